/* What failed, as a compiler would say it: frames of every shape. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "ctl/steps_show_private.h"

static const struct coord_failure plain = {
    .n = 2,
    .of = 3,
    .kind = PLAN_UP,
    .revision = "0002",
    .message = "orders",
    .file = "m/2.sql",
    .line = 7,
    .statement = "SELECT 1",
    .statement_line = 7,
    .severity = "ERROR",
    .sqlstate = "42601",
    .error = "wrong",
    .left = "Nothing of it is there.",
};

static char *shown(const struct coord_failure *failure)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	const struct page page = {.to = to};
	show_failure(&page, failure);
	fclose(to);
	return text;
}

static void is(const struct coord_failure *failure, const char *expected)
{
	char *text = shown(failure);
	assert_string_equal(text, expected);
	free(text);
}

#define END "\nStep 2 of 3 (up 0002 orders) failed. Nothing of it is there.\n\n"

static void the_place_of_an_error(void **state)
{
	(void)state;
	struct coord_failure failure = plain;
	failure.column = 8;
	failure.position = 8;
	is(&failure,
	    "\nm/2.sql:7:8: ERROR: wrong\n"
	    "    7 | SELECT 1\n"
	    "      |        ^\n"
	    "SQLSTATE: 42601\n" END);
	/* tabs, CRLF, characters of more than a byte; three lines before it at most */
	failure.statement = "SELECT\r\n1,\r\n2,\r\n3,\r\n\t'h\xc3\xa9', \xe2\x82\xac frob\r\nFROM x";
	failure.position = 7 + 1 + 4 + 4 + 4 + 8 + 2;
	is(&failure,
	    "\nm/2.sql:7:8: ERROR: wrong\n"
	    "    8 | 1,\n"
	    "    9 | 2,\n"
	    "   10 | 3,\n"
	    "   11 |     'h\xc3\xa9', \xe2\x82\xac frob\n"
	    "      |             ^\n"
	    "SQLSTATE: 42601\n" END);
	/* behind the last character: the end of the input */
	failure.statement = "SELECT (";
	failure.position = 9;
	is(&failure,
	    "\nm/2.sql:7:8: ERROR: wrong\n"
	    "    7 | SELECT (\n"
	    "      |         ^\n"
	    "SQLSTATE: 42601\n" END);
}

static void no_place(void **state)
{
	(void)state;
	struct coord_failure failure = plain;
	failure.statement = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj";
	failure.detail = "first\nsecond";
	failure.hint = "try\tthis";
	failure.context = "";
	is(&failure,
	    "\nm/2.sql:7: ERROR: wrong\n"
	    "    7 | a\n    8 | b\n    9 | c\n   10 | d\n   11 | e\n   12 | f\n   13 | g\n   14 | h\n"
	    "      | ...\n"
	    "DETAIL: first\n        second\n"
	    "HINT: try\\x09this\n"
	    "SQLSTATE: 42601\n" END);
	/* the COMMIT has no statement */
	failure = plain;
	failure.statement = NULL;
	is(&failure, "\nm/2.sql:7: ERROR: wrong\nSQLSTATE: 42601\n" END);
}

static void hostile_text(void **state)
{
	(void)state;
	struct coord_failure failure = plain;
	failure.statement = "SELECT '\033[2J' \xff x";
	failure.position = 10;
	failure.error = "column \"\033]0;x\007\" %s%n";
	failure.message = "";
	is(&failure,
	    "\nm/2.sql:7: ERROR: column \"\\x1b]0;x\\x07\" %s%n\n"
	    "    7 | SELECT '\\x1b[2J' \\xff x\n"
	    "      |             ^\n"
	    "SQLSTATE: 42601\n"
	    "\nStep 2 of 3 (up 0002) failed. Nothing of it is there.\n\n");
}

static void cut_statements(void **state)
{
	(void)state;
	char long_text[COORD_STATEMENT_BYTES + 1];
	memset(long_text, 'x', sizeof(long_text));
	long_text[COORD_STATEMENT_BYTES] = '\0';
	struct coord_failure failure = plain;
	failure.statement = long_text;
	/* the error lies behind what was kept: no mark is put at a wrong place */
	failure.position = COORD_STATEMENT_BYTES + 100;
	char *text = shown(&failure);
	assert_null(strchr(text, '^'));
	assert_non_null(strstr(text, "xxx...\n"));
	free(text);
	/* a line too wide to show has none either */
	failure.position = 2000;
	text = shown(&failure);
	assert_null(strchr(text, '^'));
	free(text);
	/* every position of a text is safe to ask for */
	for (unsigned position = 0; position < 40; position++) {
		failure.statement = "\xc3\xa9\n\t\xe2\x82\xac\r\n\n a";
		failure.position = position;
		text = shown(&failure);
		assert_non_null(text);
		free(text);
	}
}

static void as_json(void **state)
{
	(void)state;
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	struct page_json json = {.to = to, .depth = 1};
	page_json_begin(&json, NULL, '{');
	json_failure(&json, "none", NULL);
	json_failure(&json, "one", &plain);
	json_line_end(&json);
	fclose(to);
	assert_string_equal(text,
	    "{\"none\": null, \"one\": {\"step\": 2, \"steps\": 3, \"kind\": \"up\", \"revision\": \"0002\", "
	    "\"message\": \"orders\", \"file\": \"m/2.sql\", \"line\": 7, \"column\": null, \"statement\": "
	    "\"SELECT 1\", "
	    "\"statement_line\": 7, \"position\": null, \"severity\": \"ERROR\", \"sqlstate\": \"42601\", "
	    "\"error\": "
	    "\"wrong\", \"detail\": null, \"hint\": null, \"context\": null, \"left\": \"Nothing of it is "
	    "there.\"}}\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_place_of_an_error),
	    cmocka_unit_test(no_place),
	    cmocka_unit_test(hostile_text),
	    cmocka_unit_test(cut_statements),
	    cmocka_unit_test(as_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
