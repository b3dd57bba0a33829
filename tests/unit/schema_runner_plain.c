/* Which statements leave a session as it was: what is not certain is made fresh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "schema/runner_private.h"

static const struct {
	const char *sql;
	bool plain;
} rows[] = {
    {"CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT now(), CHECK (f(id)))", true},
    {"create\n\ttable t ()", true},
    {"CREATE TABLE", true},
    {"CREATE TEMP TABLE t ()", false},
    {"CREATE TEMPORARY TABLE t ()", false},
    {"CREATE TABLE pg_temp.t ()", false},
    {"CREATE TABLE t AS SELECT set_config('search_path', '', false)", false},
    {"CREATE TABLE t AS TABLE u", false},
    {"CREATE TABLE t AS EXECUTE p", false},
    {"CREATE TABLES", false},
    {"ALTER TABLE t ADD COLUMN c int", true},
    {"ALTER TABLE t ADD COLUMN c int DEFAULT f()", false},
    {"ALTER TABLE t ALTER c TYPE int USING f(c)", false},
    {"ALTER TABLE t ADD CHECK (f(c))", false},
    {"ALTER TABLE t VALIDATE CONSTRAINT k", false},
    {"DROP TABLE t CASCADE", true},
    {"DROP FUNCTION f", false},
    {"COMMENT ON TABLE t IS 'SET ROLE x'", true},
    {"GRANT SELECT ON t TO u", true},
    {"REVOKE ALL ON t FROM u", true},
    {"SET search_path = x", false},
    {"SELECT 1", false},
    {"INSERT INTO t VALUES (f())", false},
    {"DO $$ BEGIN END $$", false},
    {"ALTER DATABASE d SET x = 1", false},
    {"ALTER", false},
    {"", false},
    {"--", false},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (runner_plain(rows[i].sql, strlen(rows[i].sql)) != rows[i].plain)
			fail_msg("%s", rows[i].sql);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
