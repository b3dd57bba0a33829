/* Descriptions: rows in, objects out; what is left out; how two differ; texts as PostgreSQL gives them back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "schema_descriptions.h"

/* A table with two columns, a default by a sequence, a view on one column, and a version table. */
static const struct told shop[] = {
    {DESCRIBE_SEQUENCE, "1259:10:0", "1259:1:1", NULL, "public.orders_id_seq", {{"type", "bigint"}}},
    {DESCRIBE_SEQUENCE, "1259:91:0", "1259:9:1", NULL, "public.goose_db_version_id_seq",
	{{"type", "bigint"}}},
    {DESCRIBE_TABLE, "1259:9:0", NULL, NULL, "public.goose_db_version", {{NULL}}},
    {DESCRIBE_TABLE, "1259:1:0", NULL, NULL, "public.orders", {{"options", "fillfactor='70'"}}},
    {DESCRIBE_COLUMN, "1259:9:1", "1259:9:0", "public.goose_db_version", "id", {{"type", "integer"}}},
    {DESCRIBE_COLUMN, "1259:1:2", "1259:1:0", "public.orders", "note",
	{{"type", "text"}, {".position", "2"}}},
    {DESCRIBE_COLUMN, "1259:1:1", "1259:1:0", "public.orders", "id",
	{{"type", "bigint"}, {"not null", "yes"}}},
    {DESCRIBE_DEFAULT, "2604:5:0", "1259:1:1", "public.orders", "id",
	{{"value", "nextval('public.orders_id_seq'::regclass)"}}},
    {DESCRIBE_CONSTRAINT, "2606:7:0", "1259:1:0", "public.orders", "orders_pkey",
	{{"definition", "PRIMARY KEY (id)"}, {".type", "p"}}},
    {DESCRIBE_VIEW, "1259:2:0", NULL, NULL, "public.v",
	{{"definition", "SELECT note\n   FROM public.orders"}}},
    {DESCRIBE_GRANT, NULL, "1259:2:0", "TABLE public.v", "app", {{"privileges", "SELECT"}}},
    {DESCRIBE_COMMENT, NULL, "1259:1:2", NULL, "note", {{"text", "a note"}}},
    {DESCRIBE_COMMENT, NULL, "1259:2:1", NULL, "note", {{"text", "of the view"}}},
    {DESCRIBE_COMMENT, NULL, "1259:9:0", NULL, "", {{"text", "goose"}}},
    {DESCRIBE_COMMENT, NULL, "1259:70:0", NULL, "", {{"text", "of the key's index"}}},
    {0},
};
static const struct tie shop_aliases[] = {{"1259:70:0", "2606:7:0"}, {"1247:101:0", "1259:1:0"},
    {"1247:102:0", "1247:101:0"}, {"2618:20:0", "1259:2:0"}, {0}};
static const struct tie shop_needs[] = {{"2604:5:0", "1259:10:0"}, {"2604:5:0", "1259:1:1"},
    {"2618:20:0", "1259:1:2"}, {"2618:20:0", "1259:1:2"}, {"2618:20:0", "1259:2:0"},
    {"2618:20:0", "1247:102:0"}, {"1259:10:0", "1259:9999:0"}, {0}};

static void objects_are_sorted_and_tied(void **state)
{
	(void)state;
	static const char *const titles[] = {"sequence public.orders_id_seq", "table public.orders",
	    "column public.orders.id", "column public.orders.note", "default public.orders.id",
	    "constraint orders_pkey on public.orders", "view public.v", "grant ON TABLE public.v TO app",
	    "comment on column public.orders.note", "comment on column public.v.note"};
	struct description *d = tell_all(NULL, shop, shop_aliases, shop_needs);
	assert_non_null(d);
	assert_int_equal(description_count(d), 10);
	for (unsigned i = 0; i < 10; i++) {
		char *title = described_title(description_at(d, i));
		assert_string_equal(title, titles[i]);
		mem_free(&title);
		assert_int_equal(describe_place(d, description_at(d, i)), i);
	}
	const struct described *view = description_find(d, DESCRIBE_VIEW, "public.v");
	const struct described *note = description_find(d, DESCRIBE_COLUMN, "public.orders.note");
	const struct described *table = description_find(d, DESCRIBE_TABLE, "public.orders");
	/* Once each, not itself; by way of its rule, and of the array of the table's row type. */
	assert_int_equal(view->need_count, 2);
	assert_true(view->needs[0] == table && view->needs[1] == note);
	assert_true(note->parent == table);
	assert_true(description_find(d, DESCRIBE_SEQUENCE, "public.orders_id_seq")->parent ==
	    description_find(d, DESCRIBE_COLUMN, "public.orders.id"));
	assert_int_equal(description_find(d, DESCRIBE_SEQUENCE, "public.orders_id_seq")->need_count, 0);
	assert_string_equal(described_value(table, "options"), "fillfactor='70'");
	assert_null(described_value(table, "unlogged"));
	assert_null(described_value(table, "no such thing"));
	assert_null(description_find(d, DESCRIBE_VIEW, "public.w"));
	description_free(&d);
	assert_null(d);
	description_free(&d);
}

static void version_tables_are_left_out(void **state)
{
	(void)state;
	static const char *const names[] = {"public.alembic_version", "other.schema_migrations",
	    "public.\"SequelizeMeta\"", "public.\"__EFMigrationsHistory\"", "app.\"My.versions\""};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct told told[] = {{DESCRIBE_TABLE, "1259:1:0", NULL, NULL, names[i], {{NULL}}},
		    {DESCRIBE_INDEX, "1259:3:0", "1259:1:0", names[i], "public.i",
			{{"definition", "USING btree (a)"}}},
		    {DESCRIBE_TABLE, "1259:2:0", NULL, NULL, "public.versions", {{NULL}}}, {0}};
		struct description *d = tell_all("\"app\".\"My.versions\"", told, NULL, NULL);
		assert_int_equal(description_count(d), 1);
		assert_string_equal(description_at(d, 0)->identity, "public.versions");
		description_free(&d);
	}
}

static void contradictions_are_an_error(void **state)
{
	(void)state;
	const struct told twice[] = {{DESCRIBE_SCHEMA, "2615:1:0", NULL, NULL, "a", {{NULL}}},
	    {DESCRIBE_SCHEMA, "2615:2:0", NULL, NULL, "a", {{NULL}}}, {0}};
	char error[100];
	struct description *d = description_new(NULL);
	tell(d, &twice[0]);
	tell(d, &twice[1]);
	assert_false(description_finish(d, error, sizeof(error)));
	assert_string_equal(error, "the schema a is there twice");
	description_free(&d);
}

static void nothing_is_a_description(void **state)
{
	(void)state;
	struct description *d = tell_all(NULL, NULL, NULL, NULL);
	assert_int_equal(description_count(d), 0);
	assert_null(description_find(d, DESCRIBE_TABLE, "public.t"));
	struct describe_texts texts = describe_differences(d, d);
	assert_int_equal(texts.count, 0);
	describe_texts_free(&texts);
	description_free(&d);
}

static void differences_are_read(void **state)
{
	(void)state;
	static const struct told other[] = {
	    {DESCRIBE_TABLE, "1259:1:0", NULL, NULL, "public.orders", {{NULL}}},
	    {DESCRIBE_COLUMN, "1259:1:1", "1259:1:0", "public.orders", "id",
		{{"type", "integer"}, {".position", "7"}}},
	    {DESCRIBE_COLUMN, "1259:1:3", "1259:1:0", "public.orders", "extra", {{"type", "text"}}},
	    {DESCRIBE_DEFAULT, "2604:6:0", "1259:1:3", "public.orders", "extra", {{"value", "'x'::text"}}},
	    {DESCRIBE_VIEW, "1259:2:0", NULL, NULL, "public.v",
		{{"definition", "SELECT note\n   FROM public.other"}}},
	    {DESCRIBE_COMMENT, NULL, "1259:2:1", NULL, "note", {{"text", "of the view"}}},
	    {0},
	};
	static const char *const lines[] = {"sequence public.orders_id_seq",
	    "table public.orders: options is fillfactor='70', should be none",
	    "table public.orders: column extra (text) is missing",
	    "table public.orders: column id: type is bigint, should be integer",
	    "table public.orders: column id: not null is yes, should be no",
	    "table public.orders: column note (text) is there and should not be",
	    "table public.orders: default of column id (nextval('public.orders_id_seq'::regclass)) is there "
	    "and should not be",
	    "table public.orders: constraint orders_pkey (PRIMARY KEY (id)) is there and should not be",
	    "view public.v: line 2 of the definition is \"FROM public.orders\", should be \"FROM "
	    "public.other\"",
	    "grant ON TABLE public.v TO app (SELECT) is there and should not be"};
	struct description *a = tell_all(NULL, shop, shop_aliases, shop_needs);
	struct description *b = tell_all(NULL, other, NULL, NULL);
	struct describe_texts texts = describe_differences(a, b);
	for (unsigned i = 0; i < texts.count && i < 10; i++) {
		if (i == 0)
			assert_memory_equal(texts.at[i], lines[i], strlen(lines[i]));
		else
			assert_string_equal(texts.at[i], lines[i]);
	}
	/* The default of the missing column goes without saying, as does the comment of the one that is too
	 * much. */
	assert_int_equal(texts.count, 10);
	describe_texts_free(&texts);
	texts = describe_differences(a, a);
	assert_int_equal(texts.count, 0);
	describe_texts_free(&texts);
	description_free(&a);
	description_free(&b);
}

static void long_values_are_cut_between_characters(void **state)
{
	(void)state;
	char text[400] = "";
	for (int i = 0; i < 120; i++)
		strcat(text, "\xc3\xa9");
	const struct told told[] = {
	    {DESCRIBE_SEQUENCE, "1259:1:0", NULL, NULL, "public.s", {{"type", text}}}, {0}};
	const struct told short_one[] = {
	    {DESCRIBE_SEQUENCE, "1259:1:0", NULL, NULL, "public.s", {{"type", "x"}}}, {0}};
	struct description *a = tell_all(NULL, told, NULL, NULL), *b = tell_all(NULL, short_one, NULL, NULL);
	struct describe_texts texts = describe_differences(a, b);
	assert_int_equal(texts.count, 1);
	assert_non_null(strstr(texts.at[0], "\xc3\xa9 ..., should be x"));
	assert_true(strlen(texts.at[0]) < 200);
	describe_texts_free(&texts);
	description_free(&a);
	description_free(&b);
}

static void texts_settle(void **state)
{
	(void)state;
	static const struct {
		const char *text, *settled; /* NULL: as it is */
	} table[] = {
	    {"((a)::text = ANY ((ARRAY['x'::character varying, 'y'::character varying])::text[]))",
		"((a)::text = ANY (ARRAY[('x'::character varying)::text, ('y'::character varying)::text]))"},
	    {"(ARRAY['it''s, [a]'::character varying, f(1, ARRAY[2])])::public.\"My t\"[]",
		"ARRAY[('it''s, [a]'::character varying)::public.\"My t\", (f(1, ARRAY[2]))::public.\"My "
		"t\"]"},
	    {"ARRAY['x'::text]", NULL},
	    {"'(ARRAY[a])::text[]'::text", NULL},
	    {"\"(ARRAY[a])::text[]\"", NULL},
	    {"(ARRAY[1, 2])::text", NULL},
	    {"(ARRAY[1, 2", NULL},
	    {"(ARRAY[", NULL},
	    {"(ARRAY[])::text[]", NULL},
	    {"CHECK ((((a >= 1) AND (a <= 5)) AND (b = 'x AND y'::text)))",
		"CHECK (((a >= 1) AND (a <= 5) AND (b = 'x AND y'::text)))"},
	    {"(((a AND b) AND c) AND d)", "(a AND b AND c AND d)"},
	    {"((a OR b) OR c)", "(a OR b OR c)"},
	    {"((a OR b) AND c)", NULL},
	    {"(a AND (b AND c))", NULL},
	    {"((a = 'x AND y'::text) AND (c))", NULL},
	    {"((\"a AND b\") AND c)", NULL},
	    {"((a", NULL},
	    {"SELECT a\nUNION\n SELECT 'x'::text AS text", "SELECT a\nUNION\n SELECT 'x'::text"},
	    {"SELECT 'PUBLIC'::name AS name) grantee(oid)", "SELECT 'PUBLIC'::name) grantee(oid)"},
	    {"'x'::character varying(5) AS \"varchar\", 1", "'x'::character varying(5), 1"},
	    {"NULL::timestamp with time zone AS timestamptz, b", "NULL::timestamp with time zone, b"},
	    {"(0)::bigint AS int8", "(0)::bigint"},
	    {"'{}'::public.\"My t\"[] AS \"My t\"", "'{}'::public.\"My t\"[]"},
	    {"'x'::text AS texts", NULL},
	    {"'x'::text AS \"te\"", NULL},
	    {"(a)::text AS text", NULL},
	    {"f(0)::text AS text", NULL},
	    {"'x'::text, b AS text", NULL},
	    {"'x'::text || (b AS text", NULL},
	    {"\"'x'::text AS text\"", NULL},
	    {"'''x''::text AS text'::name", NULL},
	    {"xNULL::text AS text", NULL},
	    {"'x'::", NULL},
	    {"'x'::text AS ", NULL},
	    {"'x'::\"", NULL},
	    {"'open", NULL},
	    {"", NULL},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char *settled = describe_settled(table[i].text);
		assert_string_equal(settled, table[i].settled != NULL ? table[i].settled : table[i].text);
		mem_free(&settled);
	}
}

static void statistics_settle(void **state)
{
	(void)state;
	static const struct {
		const char *text, *settled; /* NULL: as it is */
	} table[] = {
	    {"CREATE STATISTICS public.s (mcv) ON b, f(a, 1), \"z, y\" FROM public.t",
		"CREATE STATISTICS public.s (mcv) ON \"z, y\", b, f(a, 1) FROM public.t"},
	    {"CREATE STATISTICS public.s ON a FROM public.t", NULL},
	    {"nonsense", NULL},
	    {" FROM ON ", NULL},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char *settled = describe_settled_statistics(table[i].text);
		assert_string_equal(settled, table[i].settled != NULL ? table[i].settled : table[i].text);
		mem_free(&settled);
	}
}

static void names_come_apart(void **state)
{
	(void)state;
	assert_string_equal(describe_bare("public.orders"), "orders");
	assert_string_equal(describe_bare("\"a.b\".\"c.d\""), "\"c.d\"");
	assert_string_equal(describe_bare("public.f(app.t, integer)"), "f(app.t, integer)");
	assert_string_equal(describe_bare("orders"), "orders");
	char *schema = describe_schema("\"a.b\".\"c.d\""), *none = describe_schema("orders");
	assert_string_equal(schema, "\"a.b\"");
	assert_string_equal(none, "");
	mem_free(&schema);
	mem_free(&none);
}

static void every_kind_has_a_statement(void **state)
{
	(void)state;
	for (int kind = 0; kind < DESCRIBE_KINDS; kind++) {
		unsigned found = 0;
		for (unsigned i = 0; describe_sql(i) != NULL; i++)
			found += describe_statements[i].rows == ROWS_OBJECTS &&
			    (int)describe_statements[i].kind == kind;
		assert_int_equal(found, 1);
		assert_non_null(describe_kind_name((enum describe_kind)kind));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(objects_are_sorted_and_tied),
	    cmocka_unit_test(version_tables_are_left_out),
	    cmocka_unit_test(contradictions_are_an_error),
	    cmocka_unit_test(nothing_is_a_description),
	    cmocka_unit_test(differences_are_read),
	    cmocka_unit_test(long_values_are_cut_between_characters),
	    cmocka_unit_test(texts_settle),
	    cmocka_unit_test(statistics_settle),
	    cmocka_unit_test(names_come_apart),
	    cmocka_unit_test(every_kind_has_a_statement),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
