/* Scripts for psql: that nothing of a file or of a user gets out of its place. That psql runs them and leaves
 * what a run leaves is shown by tests/e2e/test_migrate.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "net/digest.h"
#include "schema/script.h"
#include "schema_catalog_text.h"
#include "schema_graph_text.h"

static char *written(
    const char *const *files, const char *target, const char *reason, const char *publication)
{
	struct catalog_defects defects = {.count = 0};
	struct catalog *catalog = catalog_text_parse(files, NULL, &defects);
	if (catalog == NULL)
		fail_msg("defect: %s", defects.lines[0]);
	const struct plan_ledger nothing = {.applied_count = 0};
	const struct plan_request request = {
	    .catalog = catalog, .ledger = &nothing, .target = target, .digest = digest_sha256};
	struct plan plan;
	char *why = NULL;
	if (!plan_up(&request, &plan, &why))
		fail_msg("%s", why);
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	const struct script_request script = {
	    .plan = &plan,
	    .command = "upgrade",
	    .target = target,
	    .reason = reason,
	    .publication = publication,
	    .lock_timeout_ns = INT64_C(1500000000),
	};
	script_write(&script, to);
	fclose(to);
	plan_free(&plan);
	catalog_free(&catalog);
	return text;
}
#define FILES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void has(const char *text, const char *what)
{
	if (strstr(text, what) == NULL)
		fail_msg("no %s in\n%s", what, text);
}

static void has_not(const char *text, const char *what)
{
	if (strstr(text, what) != NULL)
		fail_msg("%s in\n%s", what, text);
}

static void one_step(void **state)
{
	(void)state;
	char *text = written(FILES("1_a.sql", "-- migrate:up\n-- why\nCREATE TABLE a ()\n-- the end\n"),
	    "head", "why not", "[]");
	has(text, "-- headgate upgrade --sql head: 1 step, none -> 1\n");
	has(text, "\\set ON_ERROR_STOP on\n");
	has(text,
	    "SET lock_timeout = 1500;\nSET statement_timeout = 0;\nBEGIN;\n-- why\nCREATE TABLE a ();\n-- "
	    "the end\nRESET SESSION");
	has(text, "SELECT '[1/1] up 1 a' FROM headgate.step_done(");
	has(text, "headgate.publish(");
	has(text, "'why not', ARRAY['headgate', 'upgrade', '--sql', 'head']");
	has_not(text, "The ledger, where it is missing");
	free(text);
}

static void what_cannot_be_together(void **state)
{
	(void)state;
	char *text = written(FILES("1_a.sql", "-- migrate:up transaction:false\nSELECT 1; VACUUM;", "2_b.sql",
				 "-- migrate:up\nBEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 2;\nCOMMIT;\n",
				 "3_c.sql", "-- migrate:up\nBEGIN; SELECT 3; COMMIT; SELECT 4;\n"),
	    "head", "x", NULL);
	has(text, "headgate.step_started(");
	has(text, ") AS step;\nSELECT 1;\n VACUUM;\nRESET SESSION AUTHORIZATION;\n");
	has(text,
	    "SET statement_timeout = 0;\nBEGIN ISOLATION LEVEL SERIALIZABLE;\n\nSELECT 2;\nRESET SESSION");
	/* more than a pair around it: its transactions are its own */
	has(text, ") AS step;\nBEGIN;\n SELECT 3;\n COMMIT;\n SELECT 4;\nRESET SESSION");
	has_not(text, "headgate.publish(");
	free(text);
}

static void nothing_gets_out(void **state)
{
	(void)state;
	char *text = written(
	    FILES("1_a.sql",
		"-- revises: base\n-- message: it's \\! `rm` $headgate$ 'x\n-- migrate:up\nSELECT 1;\n",
		"$headgate$_b.sql",
		"-- revises: 1\n-- migrate:up\nCOPY a FROM stdin;\n1\tx;\n\\.\nSELECT 2;\n"),
	    "head", "a'; DROP TABLE x; -- \\\n\\! date", NULL);
	/* in a comment: one line; in a literal: quoted, backslashes too */
	has(text, "\n-- [1/2] up 1 it's \\! `rm` $headgate$ 'x\n");
	has(text, "SELECT  E'[1/2] up 1 it''s \\\\! `rm` $headgate$ ''x' FROM");
	has(text, "E'a''; DROP TABLE x; -- \\\\\n\\\\! date'");
	/* a head that looks like our quote: another one is taken */
	has(text, "DO $headgate1$\n");
	has(text, "END $headgate1$;\n");
	has(text, "COPY a FROM stdin;\n1\tx;\n\\.\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_step),
	    cmocka_unit_test(what_cannot_be_together),
	    cmocka_unit_test(nothing_gets_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
