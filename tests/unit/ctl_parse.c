/* The console's language, by table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ctl/console_parse.h"

#define MS INT64_C(1000000)
#define S  INT64_C(1000000000)

static struct statement parsed(const char *text)
{
	struct statement statement;
	struct statement_error error = {.message = ""};
	size_t at = 0;
	enum statement_found found = statement_parse(text, &at, &statement, &error);
	if (found != STATEMENT_FOUND)
		fail_msg("%s: %s", text, error.message);
	assert_int_equal(at, strlen(text));
	return statement;
}

static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum command command;
	} rows[] = {
	    {"SHOW GATES", COMMAND_SHOW_GATES},
	    {"show\n gates;", COMMAND_SHOW_GATES},
	    {"Show Clients", COMMAND_SHOW_CLIENTS},
	    {"SHOW RUNS", COMMAND_SHOW_RUNS},
	    {"SHOW CONFIG", COMMAND_SHOW_CONFIG},
	    {"SHOW VERSION", COMMAND_SHOW_VERSION},
	    {"/* a */ SHOW -- b\n HELP;", COMMAND_SHOW_HELP},
	    {"HOLD", COMMAND_HOLD},
	    {"release *", COMMAND_RELEASE},
	    {"RELOAD", COMMAND_RELOAD},
	    {"shutdown", COMMAND_SHUTDOWN},
	    {";", COMMAND_EMPTY},
	    {"BEGIN", COMMAND_COURTESY},
	    {"BEGIN READ ONLY", COMMAND_COURTESY},
	    {"begin;", COMMAND_COURTESY},
	    {"SET extra_float_digits = 3", COMMAND_COURTESY},
	    {"SET application_name = 'a;b'", COMMAND_COURTESY},
	    {"select version()", COMMAND_COURTESY},
	    {"select pg_catalog.version()", COMMAND_COURTESY},
	    {"SELECT 1", COMMAND_COURTESY},
	    {"SHOW TRANSACTION ISOLATION LEVEL", COMMAND_COURTESY},
	    {"RELEASE SAVEPOINT a", COMMAND_COURTESY},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(parsed(rows[i].text).command, rows[i].command);
}

static void test_hold(void **state)
{
	(void)state;
	struct statement s = parsed("HOLD");
	assert_string_equal(s.database, "");
	assert_int_equal(s.drain_ns, -1);
	assert_int_equal(s.max_ns, -1);
	assert_false(s.on_timeout_given);
	assert_false(s.detached);

	s = parsed(
	    "hold my-db drain timeout 1500ms max '2m' on timeout Cancel reason 'it''s; time' detached;");
	assert_string_equal(s.database, "my-db");
	assert_false(s.database_quoted);
	assert_int_equal(s.drain_ns, 1500 * MS);
	assert_int_equal(s.max_ns, 120 * S);
	assert_true(s.on_timeout_given);
	assert_int_equal(s.on_timeout, TIMEOUT_CANCEL);
	assert_string_equal(s.reason, "it's; time");
	assert_true(s.detached);

	s = parsed("HOLD DETACHED MAX 1h DRAIN 5s ON TIMEOUT TERMINATE");
	assert_string_equal(s.database, "");
	assert_int_equal(s.max_ns, 3600 * S);
	assert_int_equal(s.drain_ns, 5 * S);
	assert_int_equal(s.on_timeout, TIMEOUT_TERMINATE);

	s = parsed("HOLD \"max\" MAX 10s");
	assert_string_equal(s.database, "max");
	assert_true(s.database_quoted);
	s = parsed("HOLD \"a\"\"b\"");
	assert_string_equal(s.database, "a\"b");
	assert_string_equal(parsed("HOLD *").database, "");
	assert_string_equal(parsed("HOLD * MAX 1s").database, "");

	s = parsed("RELEASE shop FORCE");
	assert_string_equal(s.database, "shop");
	assert_true(s.force);
	assert_true(parsed("RELEASE FORCE").force);
	assert_true(parsed("SHUTDOWN IMMEDIATE").immediate);
	assert_false(parsed("SHUTDOWN").immediate);
}

static void test_upgrade(void **state)
{
	(void)state;
	struct statement s = parsed("UPGRADE");
	assert_int_equal(s.command, COMMAND_UPGRADE);
	assert_string_equal(s.database, "");
	assert_string_equal(s.target, "");
	assert_false(s.dry_run);
	s = parsed("upgrade my-db to 2024.1_x reason 'it''s time' dry run;");
	assert_string_equal(s.database, "my-db");
	assert_string_equal(s.target, "2024.1_x");
	assert_string_equal(s.reason, "it's time");
	assert_true(s.dry_run);
	s = parsed("UPGRADE \"to\" DRY RUN TO '+1'");
	assert_string_equal(s.database, "to");
	assert_true(s.database_quoted);
	assert_string_equal(s.target, "+1");
	assert_true(s.dry_run);
	assert_string_equal(parsed("UPGRADE TO 'a@head,b@head'").target, "a@head,b@head");
}

static void test_courtesies(void **state)
{
	(void)state;
	assert_int_equal(parsed("BEGIN").transaction, 'T');
	assert_int_equal(parsed("commit").transaction, 'I');
	assert_int_equal(parsed("ROLLBACK TO SAVEPOINT x").transaction, 0);
	assert_int_equal(parsed("ROLLBACK").transaction, 'I');
	assert_string_equal(parsed("SELECT 1").value, "1");
	assert_null(parsed("SET x = 1").column);
	assert_string_equal(parsed("show transaction_isolation").value, "read committed");
}

static void test_wrong(void **state)
{
	(void)state;
	static const struct {
		const char *text, *sqlstate, *hint; /* hint: what it must hold */
	} rows[] = {
	    {"UPGRADE TO", "42601", "TO '+1'"},
	    {"UPGRADE TO +1", "42601", "TO '+1'"},
	    {"UPGRADE TO ''", "42601", ""},
	    {"UPGRADE DRY", "42601", "UPGRADE [database] [TO target]"},
	    {"UPGRADE REASON why", "42601", ""},
	    {"UPGRADE a b", "42601", "UPGRADE [database]"},
	    {"SHOW GATE", "42601", "SHOW GATES"},
	    {"SHOW CLIENT", "42601", "SHOW CLIENTS"},
	    {"HOLT shop", "42601", "HOLD"},
	    {"RELAOD", "42601", "RELOAD"},
	    {"PAUSE shop", "42601", "HOLD"},
	    {"RESUME", "42601", "RELEASE"},
	    {"DROP TABLE accounts", "42601", "SHOW HELP"},
	    {"HOLD shop MAX 5", "42601", "unit"},
	    {"HOLD shop MAX", "42601", "unit"},
	    {"HOLD shop MAX 0s", "42601", "unit"},
	    {"HOLD shop MAX 99999999h", "42601", "unit"},
	    {"HOLD shop MAX 25h", "42601", "unit"},
	    {"HOLD shop MAX 5s MAX 6s", "42601", ""},
	    {"HOLD shop ON TIMEOUT", "42601", "DRAIN"},
	    {"HOLD shop ON TIMEOUT WAIT", "42601", "DRAIN"},
	    {"HOLD shop REASON x", "42601", ""},
	    {"HOLD shop now", "42601", "HOLD [database|*]"},
	    {"HOLD a, b", "42601", "HOLD [database|*]"},
	    {"RELEASE shop DETACHED", "42601", "RELEASE [database|*]"},
	    {"SHOW GATES please", "42601", "SHOW GATES"},
	    {"HOLD 'shop'", "42601", "HOLD"},
	    {"HOLD \"\"", "42602", ""},
	    {"HOLD 1234567890123456789012345678901234567890123456789012345678901234", "42602", ""},
	    {"HOLD \"shop", "42601", ""},
	    {"HOLD shop REASON 'x", "42601", ""},
	    {"/* HOLD", "42601", ""},
	    {"(", "42601", ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct statement statement;
		struct statement_error error;
		size_t at = 0;
		if (statement_parse(rows[i].text, &at, &statement, &error) != STATEMENT_WRONG)
			fail_msg("%s was taken", rows[i].text);
		assert_string_equal(error.sqlstate, rows[i].sqlstate);
		assert_true(error.message[0] != '\0');
		if (!strstr(error.hint, rows[i].hint))
			fail_msg("%s: hint is \"%s\"", rows[i].text, error.hint);
	}
}

static void test_several(void **state)
{
	(void)state;
	const char *text = "SHOW GATES; -- one\n HOLD \"a;b\" REASON 'x;y';; RELOAD ";
	static const enum command expected[] = {
	    COMMAND_SHOW_GATES, COMMAND_HOLD, COMMAND_EMPTY, COMMAND_RELOAD};
	struct statement statement;
	struct statement_error error;
	size_t at = 0;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(statement_parse(text, &at, &statement, &error), STATEMENT_FOUND);
		assert_int_equal(statement.command, expected[i]);
	}
	assert_int_equal(statement_parse(text, &at, &statement, &error), STATEMENT_NONE);
}

/* Whatever is cut off or repeated: the parser ends, inside its text. */
static void test_cut(void **state)
{
	(void)state;
	const char *text = "HOLD \"a\"\"b\" DRAIN TIMEOUT 5s MAX '2m' ON TIMEOUT ABORT /* c */ REASON 'r''s' "
			   "DETACHED; SHOW x";
	char cut[160];
	for (size_t n = 0; n <= strlen(text); n++) {
		memcpy(cut, text, n);
		cut[n] = '\0';
		size_t at = 0;
		for (;;) {
			struct statement statement;
			struct statement_error error;
			size_t before = at;
			if (statement_parse(cut, &at, &statement, &error) != STATEMENT_FOUND)
				break;
			assert_true(at > before && at <= n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_hold),
	    cmocka_unit_test(test_upgrade),
	    cmocka_unit_test(test_courtesies),
	    cmocka_unit_test(test_wrong),
	    cmocka_unit_test(test_several),
	    cmocka_unit_test(test_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
