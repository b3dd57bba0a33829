/* New migrations: what their files are called and contain, format by format, and that the catalog reads them
 * back as they were meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "schema/newfile.h"
#include "schema_catalog_text.h"

/* GCC 11 takes an initializer that ends in a compound literal for one without designators. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define NOW                 INT64_C(1795386904) /* 2026-11-22 22:35:04 UTC */
#define NATIVE(id, revises) #id "_x.sql", "-- revises: " revises "\n-- migrate:up\nSELECT 1;\n"

struct asked {
	const char *const *files; /* name, text, ..., NULL */
	struct newfile_request request;
};
#define FILES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NAMES(...)                                                                                           \
	((struct graph_names){(const char *const[]){__VA_ARGS__},                                            \
	    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)})

/* "revision: name{text}name{text}", or "why"; to be freed. */
static char *made(struct asked asked)
{
	struct catalog_options options = {.format = asked.request.format, .folder = asked.request.folder};
	struct catalog_defects defects = {.count = 0};
	struct catalog *catalog = NULL;
	struct newfiles files;
	char *why = NULL, *text = NULL;
	size_t size = 0;

	if (asked.files != NULL) {
		catalog = catalog_text_parse(asked.files, &options, &defects);
		if (catalog == NULL)
			fail_msg("%s", defects.lines[0]);
	}
	asked.request.catalog = catalog;
	asked.request.now_s = asked.request.now_s == 0 ? NOW : asked.request.now_s;
	if (asked.request.message == NULL)
		asked.request.message = "Add an e-mail";
	if (!newfile_make(&asked.request, &files, &why)) {
		assert_int_equal(files.count, 0);
		newfiles_free(&files);
		catalog_free(&catalog);
		return why;
	}
	FILE *to = open_memstream(&text, &size);
	fprintf(to, "%s:", files.revision);
	for (unsigned i = 0; i < files.count; i++)
		fprintf(to, " %s{%s}", files.at[i].name, files.at[i].text);
	fclose(to);
	newfiles_free(&files);
	catalog_free(&catalog);
	return text;
}

#define MADE(expected, ...)                                                                                  \
	do {                                                                                                 \
		char *text_ = made((struct asked){__VA_ARGS__});                                             \
		assert_string_equal(text_, expected);                                                        \
		mem_free(&text_);                                                                            \
	} while (0)

static void slugs(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"Add an e-mail!", "add_an_e_mail"},
	    {"  orders: a note (2nd try) ", "orders_a_note_2nd_try"},
	    {"", "migration"},
	    {"\xd0\xb4\xd0\xb0", "migration"},
	    {"na\xc3\xafve", "na_ve"},
	    {"../../etc/passwd", "etc_passwd"},
	    {"a_b", "a_b"},
	    {"1234567890 1234567890 1234567890 1234567 x", "1234567890_1234567890_1234567890_1234567"},
	    {"1234567890 1234567890 1234567890 12345678 x", "1234567890_1234567890_1234567890"},
	    {"1234567890123456789012345678901234567890123", "1234567890123456789012345678901234567890"},
	    {"1234567890123456789012345678901234567890 1", "1234567890123456789012345678901234567890"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *slug = newfile_slug(cases[i][0]);
		assert_string_equal(slug, cases[i][1]);
		mem_free(&slug);
	}
}

static void native(void **state)
{
	(void)state;
	MADE("20261122223504: 20261122223504_add_an_e_mail.sql{-- message: Add an e-mail\n-- revises: "
	     "base\n\n-- migrate:up\n\n\n"
	     "-- migrate:down\n\n}",
	    .files = NULL);
	MADE("2: 2_x.sql{-- message: x\n-- revises: 1\n\n-- migrate:up\nSELECT 1;\n\n-- migrate:down\nSELECT "
	     "2;\n}",
	    FILES(NATIVE(1, "base")),
	    {.message = " x", .parents = NAMES("1"), .up = "SELECT 1;\n\n \n", .down = "SELECT 2;"});
	MADE("0100: 0100_x.sql{-- message: x\n-- revises: 0098, 0099\n-- depends-on: 7, bill\n-- labels: "
	     "pay, out\n\n-- migrate:up\n\n\n"
	     "-- migrate:down\n\n}",
	    FILES(NATIVE(0098, "base"), NATIVE(0099, "base")),
	    {.message = "x",
		.parents = NAMES("0098", "0099"),
		.depends = NAMES("7", "bill"),
		.labels = NAMES("pay", "out")});
	MADE("my-id: my-id_x.sql{-- message: x\n-- revises: base\n\n-- migrate:up\n\n\n-- migrate:down\n\n}",
	    FILES(NATIVE(0098, "base")), {.message = "x", .revision = "my-id"});
}

/* The revision alone. */
static void id_is(const char *expected, enum catalog_format format, int64_t now_s, const char *const *files)
{
	static const struct catalog_options none = {.format = CATALOG_AUTO};
	struct catalog_options options = none;
	struct catalog_defects defects = {.count = 0};
	struct newfiles made_files;
	char *why = NULL;

	options.format = format;
	struct catalog *catalog = catalog_text_parse(files, &options, &defects);
	if (catalog == NULL)
		fail_msg("%s", defects.lines[0]);
	unsigned count = catalog_count(catalog);
	const char *parent = count == 0 ? "" : catalog_at(catalog, count - 1)->revision;
	struct newfile_request request = {
	    .format = format,
	    .catalog = catalog,
	    .message = "x",
	    .parents = {&parent, count > 0},
	    .now_s = now_s,
	    .random = 7,
	};
	if (!newfile_make(&request, &made_files, &why))
		fail_msg("%s", why);
	assert_string_equal(made_files.at[0].name, expected);
	newfiles_free(&made_files);
	catalog_free(&catalog);
}

#define UP(name)    name, "SELECT 1;"
#define MARK(name)  name, "-- migrate:up\nSELECT 1;\n"
#define GOOSE(name) name, "-- +goose Up\nSELECT 1;\n"
#define SQLM(name)  name, "-- +migrate Up\nSELECT 1;\n"

static void ids_follow(void **state)
{
	(void)state;
	id_is("0003_x.sql", CATALOG_AUTO, NOW, FILES(MARK("0001_a.sql"), MARK("0002_b.sql")));
	id_is("10_x.sql", CATALOG_AUTO, NOW, FILES(MARK("9_a.sql")));
	id_is("20261122223504_x.sql", CATALOG_AUTO, NOW, FILES(MARK("20250101000000_a.sql")));
	id_is("20261122223505_x.sql", CATALOG_AUTO, NOW, FILES(MARK("20261122223504_a.sql")));
	id_is("20270101000001_x.sql", CATALOG_AUTO, NOW, FILES(MARK("20270101000000_a.sql")));
	id_is("20261122223504_x.sql", CATALOG_AUTO, NOW, FILES(MARK("first_a.sql"), MARK("second_b.sql")));
	id_is("20261122223505_x.sql", CATALOG_AUTO, NOW, FILES(MARK("20261122223504_a.sql"), MARK("b.sql")));
	id_is("20261122223504_x.sql", CATALOG_DBMATE, NOW, FILES(MARK("20250101000000_a.sql")));
	id_is("20261122223504_x.sql", CATALOG_DBMATE, NOW, FILES("README", ""));
	id_is("000012_x.up.sql", CATALOG_AUTO, NOW,
	    FILES(UP("000011_a.up.sql"), UP("000011_a.down.sql"), UP("000009_a.up.sql")));
	id_is("1795386904_x.up.sql", CATALOG_AUTO, NOW, FILES(UP("1500000000_a.up.sql")));
	id_is("20261122223504_x.up.sql", CATALOG_GOLANG_MIGRATE, NOW, FILES("README", ""));
	id_is("2026-11-22-223504_x/up.sql", CATALOG_AUTO, NOW,
	    FILES(UP("00000000000000_diesel_initial_setup/up.sql")));
	id_is("2026-11-22-223504_x/up.sql", CATALOG_AUTO, NOW, FILES(UP("2024-01-01-000000_a/up.sql")));
	id_is("2026-11-22-223505_x/up.sql", CATALOG_AUTO, NOW, FILES(UP("2026-11-22-223504_a/up.sql")));
	id_is("2026-11-22-223504-0000_x/up.sql", CATALOG_AUTO, NOW,
	    FILES(UP("2024-01-01-000000-0000_a/up.sql")));
	id_is("20261122223504_x/up.sql", CATALOG_AUTO, NOW, FILES(UP("20240101000000_a/up.sql")));
	id_is("00002_x.sql", CATALOG_AUTO, NOW, FILES(GOOSE("00001_a.sql")));
	id_is("20261122223504-x.sql", CATALOG_SQL_MIGRATE, NOW, FILES("README", ""));
	id_is("2_x.sql", CATALOG_AUTO, NOW, FILES(SQLM("1_a.sql")));
	id_is("20261122223504-x.sql", CATALOG_AUTO, NOW, FILES(SQLM("20240101000000-a.sql")));
	id_is("V1__x.sql", CATALOG_FLYWAY, NOW, FILES("README", ""));
	id_is("V1.10__x.sql", CATALOG_AUTO, NOW, FILES(UP("V1.2__a.sql"), UP("V1.9__a.sql")));
	id_is("V1_3__x.sql", CATALOG_AUTO, NOW, FILES(UP("V1_2__a.sql")));
	id_is("core/V008__x.sql", CATALOG_AUTO, NOW, FILES(UP("V002__a.sql"), UP("core/V007__a.sql")));
	id_is("V20261122223504__x.sql", CATALOG_AUTO, NOW, FILES(UP("V20250101000000__a.sql")));
}

static void random_ids(void **state)
{
	(void)state;
	char *text = made(
	    (struct asked){FILES("3f1c07a9d2b4_a.sql", "-- revises: base\n-- migrate:up\nSELECT 1;\n",
			       "8d40be6135f7_b.sql", "-- revises: 3f1c07a9d2b4\n-- migrate:up\nSELECT 1;\n"),
		{.parents = NAMES("8d40be6135f7"), .random = 1}});
	assert_int_equal(strspn(text, "0123456789abcdef"), 12);
	assert_true(strspn(text, "0123456789") < 12);
	assert_int_equal(text[12], ':');
	mem_free(&text);
}

static void two_files(void **state)
{
	(void)state;
	MADE("2: 2_x.up.sql{-- x\n} 2_x.down.sql{-- undoes: x\n}", FILES(UP("1_a.up.sql")),
	    {.message = "x", .parents = NAMES("1")});
	MADE("2: 02_x.up.sql{A;\n} 02_x.down.sql{B;\n}", FILES(UP("db/01_a.up.sql")),
	    {.folder = NULL,
		.format = CATALOG_GOLANG_MIGRATE,
		.message = "x",
		.revision = "02",
		.up = "A;",
		.down = "B;"});
}

static void flyway_undo(void **state)
{
	(void)state;
	MADE("2: V2__x.sql{-- x\n}", FILES(UP("V1__a.sql")), {.message = "x", .parents = NAMES("1")});
	MADE("2: V2__x.sql{A\n} U2__x.sql{B\n}", FILES(UP("V1__a.sql")),
	    {.message = "x", .parents = NAMES("1"), .up = "A", .down = "B"});
	MADE("2: s/V2__x.sql{-- x\n} s/U2__x.sql{-- undoes: x\n}",
	    FILES(UP("s/V1__a.sql"), UP("s/U1__a.sql")),
	    {.message = "x", .folder = "db/", .parents = NAMES("1")});
}

static void marked(void **state)
{
	(void)state;
	MADE("2: 2_x.sql{-- +goose Up\n\n\n-- +goose Down\n\n}", FILES(GOOSE("1_a.sql")),
	    {.message = "x", .parents = NAMES("1")});
	MADE("2_x: 2_x.sql{-- +migrate Up\nSELECT 1;\n-- why\nSELECT 2;\n-- +migrate StatementBegin\n"
	     "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n\tRETURN 1;\nEND $$;\n"
	     "-- +migrate StatementEnd\n\n-- +migrate Down\nSELECT 3;\n}",
	    FILES(SQLM("1_a.sql")),
	    {.message = "x",
		.parents = NAMES("1_a"),
		.up = "SELECT 1;\n\n-- why\nSELECT 2;\nCREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS "
		      "$$\nBEGIN\n\tRETURN "
		      "1;\nEND $$;\n",
		.down = "SELECT 3;"});
}

static void outside(void **state)
{
	(void)state;
	MADE("2: 2_x.sql{-- message: x\n-- revises: 1\n\n-- migrate:up transaction:false\nA\n\n-- "
	     "migrate:down\nB\n}",
	    FILES(NATIVE(1, "base")),
	    {.message = "x", .parents = NAMES("1"), .up = "A", .down = "B", .up_outside = true});
	MADE("2: 2_x.sql{-- +goose NO TRANSACTION\n-- +goose Up\nA\n\n-- +goose Down\nB\n}",
	    FILES(GOOSE("1_a.sql")),
	    {.message = "x", .parents = NAMES("1"), .up = "A", .down = "B", .down_outside = true});
	MADE("2_x: 2_x.sql{-- +migrate Up notransaction\nA\n\n-- +migrate Down\nB\n}", FILES(SQLM("1_a.sql")),
	    {.message = "x", .parents = NAMES("1_a"), .up = "A", .down = "B", .up_outside = true});
	MADE("2: 2_x/up.sql{A\n} 2_x/metadata.toml{run_in_transaction = false\n} 2_x/down.sql{B\n}",
	    FILES(UP("1_a/up.sql")),
	    {.message = "x",
		.revision = "2",
		.parents = NAMES("1"),
		.up = "A",
		.down = "B",
		.up_outside = true});
	MADE("2: V2__x.sql{A\n} V2__x.sql.conf{executeInTransaction=false\n} U2__x.sql{B\n} "
	     "U2__x.sql.conf{executeInTransaction=false\n}",
	    FILES(UP("V1__a.sql")),
	    {.message = "x",
		.parents = NAMES("1"),
		.up = "A",
		.down = "B",
		.up_outside = true,
		.down_outside = true});
}

static void refused(void **state)
{
	(void)state;
	MADE("the message is empty: say what the migration does", NULL, {.message = " "});
	MADE("the message must be one line, without control characters", NULL,
	    {.message = "a\n-- migrate:up"});
	MADE("the message must be one line, without control characters", NULL, {.message = "\033[2J"});
	MADE("Alembic writes its own files: alembic revision -m ...", NULL, {.format = CATALOG_ALEMBIC});
	MADE("revision 1 is there already", FILES(NATIVE(1, "base")), {.revision = "1"});
	MADE("a_b cannot be a revision of native: that is letters and digits, without _", NULL,
	    {.revision = "a_b"});
	MADE("../a cannot be a revision of native: that is letters and digits, without _", NULL,
	    {.revision = "../a"});
	MADE(".a cannot be a revision of native: that is letters and digits, without _", NULL,
	    {.revision = ".a"});
	MADE(
	    " cannot be a revision of native: that is letters and digits, without _", NULL, {.revision = ""});
	MADE("x7 cannot be a revision of goose: that is a number", FILES(GOOSE("1_a.sql")),
	    {.revision = "x7", .parents = NAMES("1")});
	MADE("revision 1 is there already", FILES(GOOSE("1_a.sql")),
	    {.revision = "0001", .parents = NAMES("1")});
	MADE("3 would not come last: golang-migrate takes its files in order, and 7 is there",
	    FILES(UP("7_a.up.sql")), {.revision = "3", .parents = NAMES("7")});
	MADE("golang-migrate has no branches: its files are taken in order, so a new one comes after 7",
	    FILES(UP("6_a.up.sql"), UP("7_a.up.sql")), {.parents = NAMES("6")});
	MADE("golang-migrate has no branches: its files are taken in order, so a new one comes after 7",
	    FILES(UP("7_a.up.sql")), {.parents = {NULL, 0}});
	MADE("flyway has no branches, labels or depends-on: its files are taken in order",
	    FILES(UP("V1__a.sql")), {.parents = NAMES("1"), .labels = NAMES("x")});
	MADE("label \"a b\": a revision consists of visible ASCII characters other than , @ ; ' \" and \\",
	    NULL, {.labels = NAMES("a b")});
	MADE("the last file's name does not begin with a number, so there is no next one: say with --rev-id "
	     "how the name is to begin",
	    FILES(SQLM("first.sql")), {.parents = NAMES("first")});
}

/* A folder that grows by five files, each of which the catalog then reads as the new head, after the one
 * before. */
static void read_back(void **state)
{
	(void)state;
	static const enum catalog_format formats[] = {CATALOG_NATIVE, CATALOG_DBMATE, CATALOG_GOLANG_MIGRATE,
	    CATALOG_DIESEL, CATALOG_GOOSE, CATALOG_SQL_MIGRATE, CATALOG_FLYWAY};
	for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
		const char *pairs[32] = {NULL};
		char *last = mem_strdup("");
		for (unsigned i = 0; i < 5; i++) {
			struct catalog_options options = {.format = i < 2 ? formats[f] : CATALOG_AUTO};
			if (formats[f] == CATALOG_DBMATE)
				options.format = CATALOG_DBMATE;
			struct catalog_defects defects = {.count = 0};
			struct catalog *catalog = catalog_text_parse(pairs, &options, &defects);
			if (catalog == NULL)
				fail_msg("%s", defects.lines[0]);
			assert_int_equal(catalog_format(catalog), formats[f]);
			assert_int_equal(catalog_count(catalog), i);
			if (i > 0)
				assert_string_equal(catalog_at(catalog, i - 1)->revision, last);
			if (i > 1)
				assert_int_equal(graph_at(catalog_graph(catalog), i - 1)->parents[0], i - 2);
			const char *parent = last;
			struct newfiles files;
			char *why = NULL;
			struct newfile_request request = {
			    .catalog = catalog,
			    .message = "it's; $1",
			    .parents = {&parent, i > 0},
			    .up = "SELECT 1;",
			    .down = "SELECT 2;",
			    .now_s = NOW, /* the same moment each time */
			};
			if (!newfile_make(&request, &files, &why))
				fail_msg("%s", why);
			mem_free(&last);
			last = mem_strdup(files.revision);
			unsigned n = 0;
			while (pairs[n] != NULL)
				n++;
			for (unsigned k = 0; k < files.count; k++) {
				pairs[n++] = mem_strdup(files.at[k].name);
				pairs[n++] = mem_strdup(files.at[k].text);
			}
			newfiles_free(&files);
			catalog_free(&catalog);
		}
		mem_free(&last);
		for (unsigned n = 0; pairs[n] != NULL; n++)
			mem_free(&pairs[n]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slugs),
	    cmocka_unit_test(native),
	    cmocka_unit_test(ids_follow),
	    cmocka_unit_test(random_ids),
	    cmocka_unit_test(two_files),
	    cmocka_unit_test(flyway_undo),
	    cmocka_unit_test(marked),
	    cmocka_unit_test(outside),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
