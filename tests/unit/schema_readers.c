/* Readers by table: rows in, recorded version out; statements; failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "schema/readers.h"

struct cells {
	unsigned rows, columns;
	const char *at[20][4];
};

static const char *cell(const void *handle, unsigned row, unsigned column)
{
	const struct cells *cells = handle;
	assert_true(row < cells->rows && column < cells->columns);
	return cells->at[row][column];
}

#define LONG64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

#define PRISMA "migration_name,started_at,finished_at,rolled_back_at,logs"

static const struct {
	const char *reader;
	struct cells cells;
	enum recorded_state state;
	const char *heads;  /* NULL: none */
	const char *detail; /* a part of it; NULL: none */
} rows_table[] = {
    {"alembic", {1, 4, {{NULL, NULL, NULL, "version_num"}}}, RECORDED_EMPTY, NULL, NULL},
    {"alembic", {1, 4, {{"ae1027a6acf", NULL, NULL, "version_num"}}}, RECORDED_CLEAN, "ae1027a6acf", NULL},
    {"alembic", {2, 4, {{"b2", NULL, NULL, "version_num,x"}, {"a1"}}}, RECORDED_CLEAN, "a1+b2", NULL},
    {"alembic", {1, 4, {{"", NULL, NULL, "version_num"}}}, RECORDED_UNREADABLE, NULL, "row 1"},
    {"alembic", {2, 4, {{"a1", NULL, NULL, "version_num"}, {"a b"}}}, RECORDED_UNREADABLE, NULL,
	"row 2, \"a b\""},
    {"alembic", {1, 4, {{"x'; DROP TABLE t; --", NULL, NULL, "version_num"}}}, RECORDED_UNREADABLE, NULL,
	"row 1"},
    {"alembic", {1, 4, {{"a+b", NULL, NULL, "version_num"}}}, RECORDED_UNREADABLE, NULL, "the reader sql"},
    {"alembic", {1, 4, {{LONG64, NULL, NULL, "version_num"}}}, RECORDED_CLEAN, LONG64, NULL},
    {"alembic", {1, 4, {{LONG64 "a", NULL, NULL, "version_num"}}}, RECORDED_UNREADABLE, NULL, "longer"},
    {"alembic", {1, 4, {{NULL, NULL, NULL, "version"}}}, RECORDED_UNREADABLE, NULL,
	"no column version_num, as alembic makes it, only version"},
    {"alembic", {1, 4, {{"a1", NULL, NULL, NULL}}}, RECORDED_UNREADABLE, NULL, "no columns"},
    {"alembic", {0, 4, {{0}}}, RECORDED_UNREADABLE, NULL, "no columns"},
    {"alembic", {1, 1, {{"a1"}}}, RECORDED_UNREADABLE, NULL, "no columns"},
    {"alembic",
	{17, 4,
	    {{"1", NULL, NULL, "version_num"}, {"2"}, {"3"}, {"4"}, {"5"}, {"6"}, {"7"}, {"8"}, {"9"}, {"10"},
		{"11"}, {"12"}, {"13"}, {"14"}, {"15"}, {"16"}, {"17"}}},
	RECORDED_UNREADABLE, NULL, "16"},
    {"prisma", {1, 4, {{"m1", "running", "m2 runs", PRISMA}}}, RECORDED_RUNNING, "m1", "m2 runs"},
    {"prisma", {2, 4, {{NULL, "failed", "m2 failed", PRISMA}, {"m1", "running", "m3 runs"}}}, RECORDED_FAILED,
	"m1", "m2 failed"},
    {"prisma", {2, 4, {{NULL, "unreadable", "a tie", PRISMA}, {"m1"}}}, RECORDED_UNREADABLE, NULL, "a tie"},
    {"prisma", {1, 4, {{NULL, "failed", NULL, PRISMA}}}, RECORDED_FAILED, NULL, "failed"},
    {"headgate", {1, 4, {{NULL, NULL, NULL, "head,run_id"}}}, RECORDED_EMPTY, NULL, NULL},
    {"headgate", {1, 4, {{"0007", NULL, NULL, "head,run_id"}}}, RECORDED_CLEAN, "0007", NULL},
    {"rails", {1, 4, {{"7", NULL, NULL, "version"}}}, RECORDED_CLEAN, "7", NULL},
    {"dbmate", {1, 4, {{"7", NULL, NULL, "version"}}}, RECORDED_CLEAN, "7", NULL},
    {"rails", {1, 4, {{"7", NULL, NULL, "version,dirty"}}}, RECORDED_UNREADABLE, NULL,
	"by its columns (version,dirty) the table is one of golang-migrate, not of rails"},
    {"rails", {1, 4, {{"7", NULL, NULL, "inserted_at,version"}}}, RECORDED_UNREADABLE, NULL, "one of ecto,"},
    {"rails", {1, 4, {{"7", NULL, NULL, "version,dirty,inserted_at"}}}, RECORDED_UNREADABLE, NULL,
	"one of ecto or golang-migrate,"},
    {"golang-migrate", {1, 4, {{"7", NULL, NULL, "version"}}}, RECORDED_UNREADABLE, NULL,
	"no column dirty: by its columns (version) it is one of dbmate or rails"},
    {"golang-migrate", {1, 4, {{"7", NULL, NULL, "versions"}}}, RECORDED_UNREADABLE, NULL,
	"no column version, as golang-migrate makes it, only versions"},
    {"golang-migrate", {1, 4, {{"7", NULL, NULL, "ver\"sion,,x"}}}, RECORDED_UNREADABLE, NULL,
	"no column version"},
    {"ecto", {1, 4, {{"7", NULL, NULL, "version,dirty"}}}, RECORDED_UNREADABLE, NULL,
	"one of golang-migrate"},
    {"laravel", {1, 4, {{NULL, NULL, NULL, "id,timestamp,name"}}}, RECORDED_UNREADABLE, NULL,
	"one of typeorm"},
    {"typeorm", {1, 4, {{NULL, NULL, NULL, "id,migration,batch"}}}, RECORDED_UNREADABLE, NULL,
	"one of laravel"},
    {"sql", {0, 1, {{0}}}, RECORDED_EMPTY, NULL, NULL},
    {"sql", {1, 1, {{"42"}}}, RECORDED_CLEAN, "42", NULL},
    {"sql", {1, 1, {{NULL}}}, RECORDED_EMPTY, NULL, NULL},
    {"sql", {1, 2, {{"42", "clean"}}}, RECORDED_CLEAN, "42", NULL},
    {"sql", {1, 2, {{"42", NULL}}}, RECORDED_CLEAN, "42", NULL},
    {"sql", {1, 2, {{"42", "failed"}}}, RECORDED_FAILED, "42", "says failed"},
    {"sql", {1, 2, {{NULL, "absent"}}}, RECORDED_ABSENT, NULL, NULL},
    {"sql", {2, 2, {{"42", "clean"}, {"43", "running"}}}, RECORDED_RUNNING, "42+43", "says running"},
    {"sql", {2, 2, {{"42", "failed"}, {"43", "clean"}}}, RECORDED_FAILED, "42+43", "says failed"},
    {"sql", {1, 2, {{"42", "dirty"}}}, RECORDED_UNREADABLE, NULL, "no state"},
    {"sql", {1, 2, {{"42", "empty"}}}, RECORDED_UNREADABLE, NULL, "says that there is none"},
    {"sql", {1, 2, {{"4 2", "clean"}}}, RECORDED_UNREADABLE, NULL, "row 1, \"4 2\""},
    {"sql", {1, 3, {{"42", "clean", "x"}}}, RECORDED_UNREADABLE, NULL, "3 columns"},
};

static void rows_mean(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows_table) / sizeof(rows_table[0]); i++) {
		struct conf_recorded section = {.reader = (char *)(uintptr_t)rows_table[i].reader};
		const struct reader_rows rows = {
		    rows_table[i].cells.rows, rows_table[i].cells.columns, cell, &rows_table[i].cells};
		struct recorded out;
		reader_recorded(&section, &rows, &out);
		if (out.state != rows_table[i].state)
			fail_msg("row %zu: %s (%s)", i, recorded_state_name(out.state),
			    out.detail != NULL ? out.detail : "");
		assert_string_equal(
		    heads_text(&out.heads), rows_table[i].heads != NULL ? rows_table[i].heads : "none");
		if (rows_table[i].detail == NULL)
			assert_null(out.detail);
		else if (out.detail == NULL || strstr(out.detail, rows_table[i].detail) == NULL)
			fail_msg("row %zu: detail %s", i, out.detail != NULL ? out.detail : "(none)");
		struct recorded copy = recorded_copy(&out);
		assert_true(recorded_equal(&copy, &out));
		copy.state = copy.state == RECORDED_CLEAN ? RECORDED_EMPTY : RECORDED_CLEAN;
		assert_false(recorded_equal(&copy, &out));
		recorded_free(&copy);
		recorded_free(&out);
	}
}

#define S(text) ((char *)(uintptr_t)(text))

static void assert_same(const char *a, const char *b)
{
	if (b == NULL)
		assert_null(a);
	else
		assert_string_equal(a, b);
}

static void statements_are_qualified_and_quoted(void **state)
{
	(void)state;
	const struct {
		struct conf_recorded section;
		const char *sql, *table, *second; /* sql: a part of it */
	} table[] = {
	    {{.reader = S("alembic")},
		"SELECT pg_catalog.left(r.head, 65), r.state, pg_catalog.left(r.detail, 300), k.columns FROM "
		"(SELECT "
		"pg_catalog.left(pg_catalog.string_agg(attname::text, ',' ORDER BY attnum), 1000) AS columns "
		"FROM "
		"pg_catalog.pg_attribute WHERE attrelid = "
		"'\"public\".\"alembic_version\"'::pg_catalog.regclass "
		"AND attnum > 0 AND NOT attisdropped) AS k CROSS JOIN (SELECT NULL::text AS \"version_num\") "
		"AS "
		"missing LEFT JOIN LATERAL ((SELECT (version_num)::text AS head, NULL::text AS state, "
		"NULL::text AS "
		"detail FROM (SELECT \"version_num\" FROM \"public\".\"alembic_version\") AS h)) AS r ON "
		"true LIMIT "
		"18",
		"\"public\".\"alembic_version\"", NULL},
	    {{.reader = S("alembic"), .schema = S("a\"b"), .table = S("x'; y")},
		"'\"a\"\"b\".\"x''; y\"'::pg_catalog.regclass", "\"a\"\"b\".\"x'; y\"", NULL},
	    {{.reader = S("headgate")}, "FROM \"headgate\".\"head\")", "\"headgate\".\"head\"", NULL},
	    {{.reader = S("knex"), .table = S("m\"g")}, "FROM \"public\".\"m\"\"g_lock\" WHERE",
		"\"public\".\"m\"\"g\"", "\"public\".\"m\"\"g_lock\""},
	    {{.reader = S("sqitch"), .schema = S("reg")}, "FROM \"reg\".\"events\" ORDER",
		"\"reg\".\"changes\"", "\"reg\".\"events\""},
	    {{.reader = S("liquibase")}, "FROM \"public\".\"databasechangeloglock\" WHERE",
		"\"public\".\"databasechangelog\"", "\"public\".\"databasechangeloglock\""},
	    {{.reader = S("efcore")}, "FROM \"public\".\"__EFMigrationsHistory\")",
		"\"public\".\"__EFMigrationsHistory\"", NULL},
	    {{.reader = S("sql"), .statement = S("SELECT v FROM public.v ;\n")},
		"SELECT * FROM (SELECT v FROM public.v\n) AS recorded LIMIT 17", NULL, NULL},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char error[200];
		assert_true(reader_check(&table[i].section, error, sizeof(error)));
		char *sql = reader_sql(&table[i].section), *name = reader_table(&table[i].section),
		     *second = reader_second_table(&table[i].section);
		if (strstr(sql, table[i].sql) == NULL)
			fail_msg("%zu: %s", i, sql);
		assert_same(name, table[i].table);
		assert_same(second, table[i].second);
		mem_free(&second);
		mem_free(&sql);
		mem_free(&name);
	}
}

static void wrong_settings_say_what_to_write(void **state)
{
	(void)state;
	const struct {
		struct conf_recorded section;
		const char *says;
	} table[] = {
	    {{.reader = S("alembik")}, "alembic, atlas, dbmate, "},
	    {{.reader = NULL}, "typeorm, yoyo"},
	    {{.reader = S("sql")}, "needs one"},
	    {{.reader = S("sql"), .statement = S("DELETE FROM t")}, "one SELECT"},
	    {{.reader = S("sql"), .statement = S("selection")}, "one SELECT"},
	    {{.reader = S("sql"), .statement = S("SELECT 1"), .table = S("t")}, "leave it out"},
	    {{.reader = S("alembic"), .statement = S("SELECT 1")}, "belongs to the reader sql"},
	    {{.reader = S("headgate"), .table = S("other")}, "headgate.head"},
	    {{.reader = S("headgate"), .schema = S("public")}, "headgate.head"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char error[600] = "";
		assert_false(reader_check(&table[i].section, error, sizeof(error)));
		if (strstr(error, table[i].says) == NULL)
			fail_msg("%zu: %s", i, error);
	}
	const char *good[] = {"select 1", "  (SELECT 1)", "WITH a AS (SELECT 1) SELECT * FROM a",
	    "VALUES ('a')", "TABLE t", "-- mine\nSELECT 1"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char error[300];
		struct conf_recorded section = {.reader = S("sql"), .statement = S(good[i])};
		assert_true(reader_check(&section, error, sizeof(error)));
	}
}

static void the_order_is_the_tools_or_what_is_said(void **state)
{
	(void)state;
	const struct {
		struct conf_recorded section;
		enum conf_order order;
	} table[] = {
	    {{.reader = S("alembic")}, CONF_ORDER_NONE},
	    {{.reader = S("sql")}, CONF_ORDER_NONE},
	    {{.reader = S("rails")}, CONF_ORDER_NUMERIC},
	    {{.reader = S("prisma")}, CONF_ORDER_TEXT},
	    {{.reader = S("nobody's")}, CONF_ORDER_NONE},
	    {{.reader = S("rails"), .order = CONF_ORDER_NONE}, CONF_ORDER_NONE},
	    {{.reader = S("alembic"), .order = CONF_ORDER_LIST}, CONF_ORDER_LIST},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(reader_order(&table[i].section), table[i].order);
}

static void failures_mean(void **state)
{
	(void)state;
	const struct {
		const char *sqlstate;
		bool known;
		enum recorded_state state;
	} table[] = {
	    {"42P01", true, RECORDED_ABSENT},
	    {"3F000", true, RECORDED_ABSENT},
	    {"55P03", true, RECORDED_RUNNING},
	    {"57014", true, RECORDED_RUNNING},
	    {"42501", true, RECORDED_UNREADABLE},
	    {"42703", true, RECORDED_UNREADABLE},
	    {"25006", true, RECORDED_UNREADABLE},
	    {"22P02", true, RECORDED_UNREADABLE},
	    {"XX000", true, RECORDED_UNREADABLE},
	    {"08006", false, 0},
	    {"08003", false, 0},
	    {"57P01", false, 0},
	    {"57P03", false, 0},
	    {"53300", false, 0},
	    {"40001", false, 0},
	    {"58030", false, 0},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct recorded out = {.detail = NULL};
		assert_int_equal(
		    reader_failed(table[i].sqlstate, "the server's words", &out), table[i].known);
		if (!table[i].known)
			continue;
		assert_int_equal(out.state, table[i].state);
		assert_true(heads_is_none(&out.heads));
		assert_non_null(strstr(out.detail, "the server's words"));
		recorded_free(&out);
		assert_null(out.detail);
	}
}

static void literals(void **state)
{
	(void)state;
	char *a = sql_literal("it's"), *b = sql_literal("a\\'b"), *c = sql_identifier("a\"b");
	assert_string_equal(a, "'it''s'");
	assert_string_equal(b, " E'a\\\\''b'");
	assert_string_equal(c, "\"a\"\"b\"");
	mem_free(&a);
	mem_free(&b);
	mem_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_mean),
	    cmocka_unit_test(statements_are_qualified_and_quoted),
	    cmocka_unit_test(wrong_settings_say_what_to_write),
	    cmocka_unit_test(the_order_is_the_tools_or_what_is_said),
	    cmocka_unit_test(failures_mean),
	    cmocka_unit_test(literals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
