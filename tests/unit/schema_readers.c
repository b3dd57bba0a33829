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
	const char *at[20][3];
};

static const char *cell(const void *handle, unsigned row, unsigned column)
{
	const struct cells *cells = handle;
	assert_true(row < cells->rows && column < cells->columns);
	return cells->at[row][column];
}

#define LONG64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	const char *reader;
	struct cells cells;
	enum recorded_state state;
	const char *heads;  /* NULL: none */
	const char *detail; /* a part of it; NULL: none */
} rows_table[] = {
    {"alembic", {0, 1, {{0}}}, RECORDED_EMPTY, NULL, NULL},
    {"alembic", {1, 1, {{"ae1027a6acf"}}}, RECORDED_CLEAN, "ae1027a6acf", NULL},
    {"alembic", {2, 1, {{"b2"}, {"a1"}}}, RECORDED_CLEAN, "a1+b2", NULL},
    {"alembic", {2, 1, {{"a1"}, {NULL}}}, RECORDED_UNREADABLE, NULL, "row 2"},
    {"alembic", {1, 1, {{""}}}, RECORDED_UNREADABLE, NULL, "row 1"},
    {"alembic", {2, 1, {{"a1"}, {"a b"}}}, RECORDED_UNREADABLE, NULL, "row 2, \"a b\""},
    {"alembic", {1, 1, {{"x'; DROP TABLE t; --"}}}, RECORDED_UNREADABLE, NULL, "row 1"},
    {"alembic", {1, 1, {{"a+b"}}}, RECORDED_UNREADABLE, NULL, "row 1"},
    {"alembic", {1, 1, {{LONG64}}}, RECORDED_CLEAN, LONG64, NULL},
    {"alembic", {1, 1, {{LONG64 "a"}}}, RECORDED_UNREADABLE, NULL, "longer"},
    {"alembic",
	{17, 1,
	    {{"1"}, {"2"}, {"3"}, {"4"}, {"5"}, {"6"}, {"7"}, {"8"}, {"9"}, {"10"}, {"11"}, {"12"}, {"13"},
		{"14"}, {"15"}, {"16"}, {"17"}}},
	RECORDED_UNREADABLE, NULL, "16"},
    {"headgate", {0, 1, {{0}}}, RECORDED_EMPTY, NULL, NULL},
    {"headgate", {1, 1, {{"0007"}}}, RECORDED_CLEAN, "0007", NULL},
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

static void statements_are_qualified_and_quoted(void **state)
{
	(void)state;
	const struct {
		struct conf_recorded section;
		const char *sql, *table;
	} table[] = {
	    {{.reader = S("alembic")},
		"SELECT pg_catalog.left(version_num::pg_catalog.text, 65) FROM "
		"\"public\".\"alembic_version\" LIMIT 17",
		"\"public\".\"alembic_version\""},
	    {{.reader = S("alembic"), .schema = S("a\"b"), .table = S("x; y")},
		"SELECT pg_catalog.left(version_num::pg_catalog.text, 65) FROM \"a\"\"b\".\"x; y\" LIMIT 17",
		"\"a\"\"b\".\"x; y\""},
	    {{.reader = S("headgate"), .schema = S("headgate")},
		"SELECT pg_catalog.left(head::pg_catalog.text, 65) FROM \"headgate\".\"head\" LIMIT 17",
		"\"headgate\".\"head\""},
	    {{.reader = S("sql"), .statement = S("SELECT v FROM public.v ;\n")},
		"SELECT * FROM (SELECT v FROM public.v\n) AS recorded LIMIT 17", NULL},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char error[200];
		assert_true(reader_check(&table[i].section, error, sizeof(error)));
		char *sql = reader_sql(&table[i].section), *name = reader_table(&table[i].section);
		assert_string_equal(sql, table[i].sql);
		if (table[i].table == NULL)
			assert_null(name);
		else
			assert_string_equal(name, table[i].table);
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
	    {{.reader = S("alembik")}, "alembic, headgate, sql"},
	    {{.reader = NULL}, "alembic, headgate, sql"},
	    {{.reader = S("sql")}, "needs one"},
	    {{.reader = S("sql"), .statement = S("DELETE FROM t")}, "one SELECT"},
	    {{.reader = S("sql"), .statement = S("selection")}, "one SELECT"},
	    {{.reader = S("sql"), .statement = S("SELECT 1"), .table = S("t")}, "leave it out"},
	    {{.reader = S("alembic"), .statement = S("SELECT 1")}, "belongs to the reader sql"},
	    {{.reader = S("headgate"), .table = S("other")}, "headgate.head"},
	    {{.reader = S("headgate"), .schema = S("public")}, "headgate.head"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char error[300] = "";
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
	    cmocka_unit_test(failures_mean),
	    cmocka_unit_test(literals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
