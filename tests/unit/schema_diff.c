/* From one description to another, without a server: types, lists, comments, order. That the statements do
 * what they say is shown on PostgreSQL (tests/e2e/test_autogenerate.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "schema_descriptions.h"
#include "schema/diff_private.h"

/* ---- types ---- */

static const struct {
	const char *from, *to;
	enum diff_conversion conversion;
	bool using;
} conversions[] = {
    {"integer", "integer", CONVERSION_SAFE, false},
    {"smallint", "bigint", CONVERSION_SAFE, false},
    {"integer", "bigint", CONVERSION_SAFE, false},
    {"bigint", "integer", CONVERSION_CHECKED, false},
    {"integer", "numeric", CONVERSION_SAFE, false},
    {"bigint", "numeric(10,2)", CONVERSION_CHECKED, false},
    {"integer", "double precision", CONVERSION_SAFE, false},
    {"bigint", "double precision", CONVERSION_LOSSY, true},
    {"integer", "real", CONVERSION_LOSSY, true},
    {"real", "double precision", CONVERSION_SAFE, false},
    {"double precision", "real", CONVERSION_LOSSY, true},
    {"numeric", "integer", CONVERSION_LOSSY, true},
    {"numeric(10,2)", "numeric(12,2)", CONVERSION_SAFE, false},
    {"numeric(10,2)", "numeric(12,4)", CONVERSION_SAFE, false},
    {"numeric(10,2)", "numeric(10,4)", CONVERSION_CHECKED, false},
    {"numeric(10,2)", "numeric(10,1)", CONVERSION_LOSSY, false},
    {"numeric(10,2)", "numeric", CONVERSION_SAFE, false},
    {"numeric", "numeric(10,2)", CONVERSION_LOSSY, false},
    {"numeric(10)", "numeric(9)", CONVERSION_CHECKED, false},
    {"character varying(10)", "character varying(20)", CONVERSION_SAFE, false},
    {"character varying(20)", "character varying(10)", CONVERSION_CHECKED, false},
    {"character varying(20)", "character varying", CONVERSION_SAFE, false},
    {"character varying(20)", "text", CONVERSION_SAFE, false},
    {"text", "character varying(20)", CONVERSION_CHECKED, false},
    {"character varying(10)", "character(20)", CONVERSION_SAFE, false},
    {"text", "character varying", CONVERSION_SAFE, false},
    {"character(5)", "text", CONVERSION_SAFE, false},
    {"text", "integer", CONVERSION_CHECKED, true},
    {"text", "uuid", CONVERSION_CHECKED, true},
    {"text", "jsonb", CONVERSION_LOSSY, true},
    {"text", "timestamp with time zone", CONVERSION_LOSSY, true},
    {"text", "public.mood", CONVERSION_CHECKED, true},
    {"public.mood", "text", CONVERSION_SAFE, false},
    {"public.mood", "public.other", CONVERSION_CHECKED, true},
    {"uuid", "text", CONVERSION_SAFE, false},
    {"integer", "character varying(5)", CONVERSION_CHECKED, false},
    {"double precision", "text", CONVERSION_LOSSY, false},
    {"timestamp with time zone", "text", CONVERSION_LOSSY, false},
    {"timestamp without time zone", "timestamp with time zone", CONVERSION_LOSSY, true},
    {"timestamp without time zone", "date", CONVERSION_LOSSY, true},
    {"date", "timestamp without time zone", CONVERSION_SAFE, false},
    {"timestamp(3) with time zone", "timestamp with time zone", CONVERSION_SAFE, false},
    {"timestamp with time zone", "timestamp(3) with time zone", CONVERSION_LOSSY, false},
    {"json", "jsonb", CONVERSION_LOSSY, true},
    {"jsonb", "json", CONVERSION_SAFE, false},
    {"integer[]", "bigint[]", CONVERSION_SAFE, false},
    {"integer", "integer[]", CONVERSION_LOSSY, true},
    {"public.thing", "public.stuff", CONVERSION_LOSSY, true},
    {"public.positive", "integer", CONVERSION_SAFE, false},
    {"integer", "public.positive", CONVERSION_CHECKED, false},
    {"bit(5)", "bit(8)", CONVERSION_SAFE, false},
    {"interval(3)", "interval day to second(3)", CONVERSION_LOSSY, true},
};

static void types_convert(void **state)
{
	(void)state;
	const struct told told[] = {
	    {DESCRIBE_ENUM, "1247:1:0", NULL, NULL, "public.mood", {{"values", "'a', 'b'"}}},
	    {DESCRIBE_ENUM, "1247:2:0", NULL, NULL, "public.other", {{"values", "'a'"}}},
	    {DESCRIBE_DOMAIN, "1247:3:0", NULL, NULL, "public.positive", {{"type", "integer"}}}, {0}};
	struct description *d = tell_all(NULL, told, NULL, NULL);
	const struct diff_plan plan = {.from = d, .to = d};
	for (size_t i = 0; i < sizeof(conversions) / sizeof(conversions[0]); i++) {
		bool using = false;
		enum diff_conversion conversion =
		    diff_conversion(&plan, conversions[i].from, conversions[i].to, &using);
		if (conversion != conversions[i].conversion || using != conversions[i].using)
			fail_msg("%s to %s: %d, using %d", conversions[i].from, conversions[i].to, conversion,
			    using);
	}
	assert_true(diff_same_family("integer", "bigint"));
	assert_true(diff_same_family("character varying(9)", "text"));
	assert_true(diff_same_family("numeric(10,2)", "numeric"));
	assert_false(diff_same_family("uuid", "text"));
	assert_false(diff_same_family("integer", "integer[]"));
	description_free(&d);
}

/* ---- lists ---- */

static void lists_come_apart(void **state)
{
	(void)state;
	static const char list[] = "'a, b', 'it''s', plain, x='1,2'";
	static const char *const items[] = {"'a, b'", "'it''s'", "plain", "x='1,2'"};
	struct diff_items all = diff_items(list), none = diff_items(NULL), empty = diff_items("");
	assert_int_equal(all.count, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(all.at[i].size, strlen(items[i]));
		assert_memory_equal(all.at[i].at, items[i], strlen(items[i]));
		assert_true(diff_item_in(&all, &all.at[i]));
		assert_false(diff_item_in(&none, &all.at[i]));
	}
	assert_int_equal(none.count + empty.count, 0);
	diff_items_free(&all);
	diff_items_free(&none);
	diff_items_free(&empty);
}

static void options_change(void **state)
{
	(void)state;
	struct diff_script script = {.alone = false};
	diff_options(&script, "ALTER TABLE t", "a='1', b='x, y', c='3'", "a='2', c='3', d='4'");
	assert_string_equal(script.text.at, "ALTER TABLE t SET (a='2', d='4');\nALTER TABLE t RESET (b);\n");
	assert_int_equal(script.statements, 2);
	mem_free(&script.text.at);
}

/* ---- comments ---- */

/* Names may hold anything; none of it may get out of a comment. */
static void comments_stay_comments(void **state)
{
	(void)state;
	struct diff_script script = {.alone = false};
	diff_remark(&script, "the table %s goes", "\"x\n; DROP TABLE y; \r\n--\"");
	diff_remark(&script, "the table %s goes", "\"x\n migrate:down\n+goose Down\"");
	diff_leave(&script, "%s", "line\rtwo");
	diff_say(&script, "DROP TABLE %s", "\"x\nDROP TABLE y; \"");
	diff_left(&script);
	for (const char *line = script.text.at; *line != '\0'; line = strchr(line, '\n') + 1) {
		assert_memory_equal(line, "-- ", 3);
		assert_true(strchr(line, '\r') == NULL || strchr(line, '\r') > strchr(line, '\n'));
		assert_non_null(strchr(line, '\n'));
		const char *first = line + 2 + strspn(line + 2, " ");
		assert_true(*first != '+' && strncmp(first, "migrate", 7) != 0);
	}
	assert_int_equal(script.statements, 0);
	assert_int_equal(script.left, 1);
	diff_say(&script, "SELECT 1");
	assert_int_equal(script.statements, 1);
	assert_int_equal(script.remarks, 0);
	assert_non_null(strstr(script.text.at, "\nSELECT 1;\n"));
	mem_free(&script.text.at);
}

static void long_comments_are_broken(void **state)
{
	(void)state;
	struct diff_script script = {.alone = false};
	char word[300], *text;
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	text = mem_printf("%s and many words after that one which is too long for any line, and so there are "
			  "some more lines "
			  "than one, of which none is too long",
	    word);
	diff_remark(&script, "%s", text);
	unsigned lines = 0;
	for (const char *line = script.text.at; *line != '\0'; line = strchr(line, '\n') + 1) {
		assert_memory_equal(line, "-- ", 3);
		assert_true(lines == 0 || strchr(line, '\n') - line <= 113);
		lines++;
	}
	assert_int_equal(lines, 3);
	mem_free(&text);
	mem_free(&script.text.at);
}

/* ---- order ---- */

static struct diff diff_of(
    const struct told *from, const struct tie *from_needs, const struct told *to, const struct tie *to_needs)
{
	struct description *a = tell_all(NULL, from, NULL, from_needs),
			   *b = tell_all(NULL, to, NULL, to_needs);
	struct diff diff = diff_make(a, b);
	description_free(&a);
	description_free(&b);
	return diff;
}

static const struct told circle[] = {
    {DESCRIBE_TABLE, "1259:1:0", NULL, NULL, "public.a", {{NULL}}},
    {DESCRIBE_TABLE, "1259:2:0", NULL, NULL, "public.b", {{NULL}}},
    {DESCRIBE_COLUMN, "1259:1:1", "1259:1:0", "public.a", "b", {{"type", "integer"}, {".position", "2"}}},
    {DESCRIBE_COLUMN, "1259:1:2", "1259:1:0", "public.a", "id", {{"type", "integer"}, {".position", "1"}}},
    {DESCRIBE_COLUMN, "1259:2:1", "1259:2:0", "public.b", "a", {{"type", "integer"}, {".position", "1"}}},
    {DESCRIBE_CONSTRAINT, "2606:3:0", "1259:1:0", "public.a", "to_b",
	{{"definition", "FOREIGN KEY (b) REFERENCES public.b(a)"}, {".type", "f"}}},
    {DESCRIBE_CONSTRAINT, "2606:4:0", "1259:2:0", "public.b", "to_a",
	{{"definition", "FOREIGN KEY (a) REFERENCES public.a(id)"}, {".type", "f"}}},
    {0},
};
static const struct tie circle_needs[] = {{"2606:3:0", "1259:1:1"}, {"2606:3:0", "1259:2:1"},
    {"2606:4:0", "1259:2:1"}, {"2606:4:0", "1259:1:2"}, {0}};

static void circles_are_broken(void **state)
{
	(void)state;
	struct diff up = diff_of(NULL, NULL, circle, circle_needs),
		    down = diff_of(circle, circle_needs, NULL, NULL);
	assert_string_equal(up.sql,
	    "CREATE TABLE public.a (\n    id integer,\n    b integer\n);\n\n"
	    "CREATE TABLE public.b (\n    a integer,\n    CONSTRAINT to_a FOREIGN KEY (a) REFERENCES "
	    "public.a(id)\n);\n\n"
	    "ALTER TABLE public.a ADD CONSTRAINT to_b FOREIGN KEY (b) REFERENCES public.b(a);\n");
	assert_int_equal(up.statements, 3);
	assert_string_equal(down.sql,
	    "ALTER TABLE public.a DROP CONSTRAINT to_b;\n"
	    "-- Data goes: the table public.b and its rows.\nDROP TABLE public.b;\n"
	    "-- Data goes: the table public.a and its rows.\nDROP TABLE public.a;\n");
	assert_int_equal(down.statements, 3);
	assert_int_equal(down.remarks, 2);
	diff_free(&up);
	diff_free(&down);
}

static void nothing_to_do(void **state)
{
	(void)state;
	struct diff same = diff_of(circle, circle_needs, circle, circle_needs),
		    none = diff_of(NULL, NULL, NULL, NULL);
	assert_string_equal(same.sql, "");
	assert_int_equal(same.statements + same.left, 0);
	assert_string_equal(none.sql, "");
	diff_free(&same);
	diff_free(&none);
}

/* What the catalogs cannot hold must not hang or crash. */
static void impossible_circles_end(void **state)
{
	(void)state;
	static const struct told told[] = {
	    {DESCRIBE_VIEW, "1259:1:0", NULL, NULL, "public.v", {{"definition", "SELECT 1"}}},
	    {DESCRIBE_VIEW, "1259:2:0", NULL, NULL, "public.w", {{"definition", "SELECT 2"}}},
	    {DESCRIBE_FUNCTION, "1255:3:0", NULL, NULL, "public.f()",
		{{"definition", "CREATE FUNCTION f"}, {".parsed", "yes"}}},
	    {0}};
	static const struct tie needs[] = {
	    {"1259:1:0", "1259:2:0"}, {"1259:2:0", "1255:3:0"}, {"1255:3:0", "1259:1:0"}, {0}};
	struct diff up = diff_of(NULL, NULL, told, needs), down = diff_of(told, needs, NULL, NULL);
	assert_int_equal(up.statements, 3);
	assert_int_equal(down.statements, 3);
	diff_free(&up);
	diff_free(&down);
}

/* ---- names ---- */

static void a_rename_is_asked_about(void **state)
{
	(void)state;
	static const struct told before[] = {{DESCRIBE_TABLE, "1259:1:0", NULL, NULL, "public.t", {{NULL}}},
	    {DESCRIBE_COLUMN, "1259:1:1", "1259:1:0", "public.t", "old", {{"type", "text"}}},
	    {DESCRIBE_COLUMN, "1259:1:2", "1259:1:0", "public.t", "n", {{"type", "integer"}}}, {0}};
	static const struct told after[] = {{DESCRIBE_TABLE, "1259:1:0", NULL, NULL, "public.t", {{NULL}}},
	    {DESCRIBE_COLUMN, "1259:1:1", "1259:1:0", "public.t", "new", {{"type", "text"}}},
	    {DESCRIBE_COLUMN, "1259:1:2", "1259:1:0", "public.t", "n", {{"type", "integer"}}}, {0}};
	static const struct told two[] = {{DESCRIBE_TABLE, "1259:1:0", NULL, NULL, "public.t", {{NULL}}},
	    {DESCRIBE_COLUMN, "1259:1:1", "1259:1:0", "public.t", "new", {{"type", "text"}}},
	    {DESCRIBE_COLUMN, "1259:1:3", "1259:1:0", "public.t", "newer", {{"type", "text"}}},
	    {DESCRIBE_COLUMN, "1259:1:2", "1259:1:0", "public.t", "n", {{"type", "integer"}}}, {0}};
	static const char question[] = "  ALTER TABLE public.t RENAME COLUMN old TO new;";
	struct diff one = diff_of(before, NULL, after, NULL), unclear = diff_of(before, NULL, two, NULL);
	assert_non_null(strstr(one.sql, "Is this a rename?"));
	assert_non_null(strstr(one.sql, question));
	assert_non_null(strstr(one.sql, "\nALTER TABLE public.t DROP COLUMN old;\n"));
	assert_non_null(strstr(one.sql, "\nALTER TABLE public.t ADD COLUMN new text;\n"));
	assert_int_equal(one.remarks, 1);
	assert_null(strstr(unclear.sql, "rename"));
	diff_free(&one);
	diff_free(&unclear);
}

static void a_constraint_is_renamed(void **state)
{
	(void)state;
	static const struct told before[] = {{DESCRIBE_TABLE, "1259:1:0", NULL, NULL, "public.t", {{NULL}}},
	    {DESCRIBE_CONSTRAINT, "2606:1:0", "1259:1:0", "public.t", "old",
		{{"definition", "CHECK (true)"}, {".type", "c"}}},
	    {0}};
	static const struct told after[] = {{DESCRIBE_TABLE, "1259:1:0", NULL, NULL, "public.t", {{NULL}}},
	    {DESCRIBE_CONSTRAINT, "2606:1:0", "1259:1:0", "public.t", "new",
		{{"definition", "CHECK (true)"}, {".type", "c"}}},
	    {0}};
	struct diff diff = diff_of(before, NULL, after, NULL);
	assert_string_equal(diff.sql, "ALTER TABLE public.t RENAME CONSTRAINT old TO new;\n");
	diff_free(&diff);
}

/* A name that another kind had is free once that is gone, though nothing depends on anything. */
static void a_name_is_taken_over(void **state)
{
	(void)state;
	static const struct told view[] = {
	    {DESCRIBE_VIEW, "1259:1:0", NULL, NULL, "public.x", {{"definition", "SELECT 1"}}}, {0}};
	static const struct told table[] = {
	    {DESCRIBE_TABLE, "1259:1:0", NULL, NULL, "public.x", {{NULL}}}, {0}};
	struct diff diff = diff_of(view, NULL, table, NULL);
	assert_string_equal(diff.sql, "DROP VIEW public.x;\nCREATE TABLE public.x ();\n");
	diff_free(&diff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(types_convert),
	    cmocka_unit_test(lists_come_apart),
	    cmocka_unit_test(options_change),
	    cmocka_unit_test(comments_stay_comments),
	    cmocka_unit_test(long_comments_are_broken),
	    cmocka_unit_test(circles_are_broken),
	    cmocka_unit_test(nothing_to_do),
	    cmocka_unit_test(impossible_circles_end),
	    cmocka_unit_test(a_rename_is_asked_about),
	    cmocka_unit_test(a_constraint_is_renamed),
	    cmocka_unit_test(a_name_is_taken_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
