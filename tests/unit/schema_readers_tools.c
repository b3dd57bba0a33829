/* Every reader on a real server, over tables made by its tool's own DDL: what is read after each change, by a
 * role that may do nothing but what `headgate init` grants it; and that each change is told of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "pg_cluster.h"
#include "schema/ledger.h"
#include "schema_init.h"
#include "schema_readers_tools.h"

static struct pg_cluster cluster;
static PGconn *maker, *control; /* who migrates, and the control link */
#define S(text) ((char *)(uintptr_t)(text))
#define TOOLS   (sizeof(tools) / sizeof(tools[0]))

static const char *cell(const void *handle, unsigned row, unsigned column)
{
	const PGresult *result = handle;
	return PQgetisnull(result, (int)row, (int)column) ? NULL : PQgetvalue(result, (int)row, (int)column);
}

static void run(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);
	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("%s\n%s", PQerrorMessage(conn), sql);
	PQclear(result);
}

/* As the control link reads. */
static struct recorded read_by(const struct conf_recorded *section)
{
	struct recorded out = {.state = RECORDED_CLEAN};
	char *sql = reader_sql(section);
	run(control, "BEGIN READ ONLY");
	PGresult *result = PQexecParams(control, sql, 0, NULL, NULL, NULL, NULL, 0);
	if (PQresultStatus(result) == PGRES_TUPLES_OK) {
		const struct reader_rows rows = {
		    (unsigned)PQntuples(result), (unsigned)PQnfields(result), cell, result};
		reader_recorded(section, &rows, &out);
	} else {
		assert_true(reader_failed(PQresultErrorField(result, PG_DIAG_SQLSTATE),
		    PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), &out));
	}
	PQclear(result);
	run(control, "ROLLBACK");
	mem_free(&sql);
	return out;
}

static void expect(const char *where, const struct conf_recorded *section, const struct tool_step *step)
{
	struct recorded out = read_by(section);
	const char *heads = step->heads != NULL ? step->heads : "none";
	const char *detail = step->detail != NULL ? step->detail : "";
	bool good = out.state == step->state && strcmp(heads_text(&out.heads), heads) == 0 &&
	    (out.state >= RECORDED_ABSENT) == (out.detail != NULL) &&
	    (out.detail == NULL || strstr(out.detail, detail) != NULL);
	if (!good)
		fail_msg("%s, after %s: %s %s (%s) instead of %s %s (%s)", where,
		    step->sql != NULL ? step->sql : "its DDL", recorded_state_name(out.state),
		    heads_text(&out.heads), out.detail != NULL ? out.detail : "",
		    recorded_state_name(step->state), heads, detail);
	recorded_free(&out);
}

static void clear(void)
{
	run(maker,
	    "SET client_min_messages = error; DROP SCHEMA IF EXISTS public, atlas_schema_revisions, "
	    "graphile_migrate, pgroll, "
	    "reshape, sqitch CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC");
}

static bool nudged(void)
{
	bool told = false;
	run(control, "SELECT");
	for (PGnotify *notify = PQnotifies(control); notify != NULL; notify = PQnotifies(control)) {
		told |= strcmp(notify->relname, LEDGER_CHANNEL) == 0;
		PQfreemem(notify);
	}
	return told;
}

static void tools_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < TOOLS; i++) {
		const struct tool *tool = &tools[i];
		const struct conf_recorded section = {.reader = S(tool->name), .table = S(tool->table)};
		const struct tool_step none = {"nothing", RECORDED_ABSENT, NULL, "no version table"};
		char error[200];
		assert_true(reader_check(&section, error, sizeof(error)));
		clear();
		expect(tool->name, &section, &none);
		run(maker, tool->ddl);
		char *nudge = ledger_nudge_sql(&section, "ctl");
		run(maker, nudge);
		run(maker, nudge); /* may be repeated */
		mem_free(&nudge);
		for (const struct tool_step *step = tool->steps;
		     step->sql != NULL || step->heads != NULL || step->state != 0; step++) {
			nudged();
			if (step->sql != NULL)
				run(maker, step->sql);
			if (step->sql != NULL && strncmp(step->sql, "DROP", 4) != 0 &&
			    strncmp(step->sql, "ALTER", 5) != 0 && !nudged())
				fail_msg("%s: nobody was told of %s", tool->name, step->sql);
			expect(tool->name, &section, step);
		}
	}
}

/* No reader of the table is without a tool above; `headgate` and `sql` are tested with the link. */
static void every_reader_is_tested(void **state)
{
	(void)state;
	const char *names = reader_names();
	unsigned found = 0, count = 1;
	for (const char *at = names; *at != '\0'; at++)
		count += *at == ',';
	for (size_t i = 0; i < TOOLS; i++)
		found += tools[i].table == NULL && strstr(names, tools[i].name) != NULL;
	assert_int_equal(found, count - 2);
}

/* Each reader over each tool's table, where they have one name, or are told so. */
static void tables_of_other_tools_are_not_taken_for_ones_own(void **state)
{
	(void)state;
	static const struct {
		const char *tool, *reader, *says; /* says NULL: it cannot tell, and reads it */
	} table[] = {
	    {"rails", "dbmate", NULL},
	    {"dbmate", "rails", NULL},
	    {"rails", "golang-migrate",
		"no column dirty: by its columns (version) it is one of dbmate or rails"},
	    {"rails", "ecto", "it is one of dbmate or rails; set recorded.reader"},
	    {"golang-migrate", "rails",
		"by its columns (version,dirty) the table is one of golang-migrate, not of rails"},
	    {"golang-migrate", "dbmate", "one of golang-migrate"},
	    {"golang-migrate", "ecto", "one of golang-migrate"},
	    {"ecto", "rails", "one of ecto"},
	    {"ecto", "golang-migrate", "one of ecto"},
	    {"laravel", "typeorm",
		"no column timestamp: by its columns (id,migration,batch) it is one of laravel"},
	    {"typeorm", "laravel", "it is one of typeorm"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct conf_recorded section = {.reader = S(table[i].reader)};
		size_t tool = 0;
		while (strcmp(tools[tool].name, table[i].tool) != 0)
			tool++;
		clear();
		run(maker, tools[tool].ddl);
		char *nudge = ledger_nudge_sql(&section, "ctl");
		run(maker, nudge);
		mem_free(&nudge);
		for (unsigned filled = 0; filled < 2; filled++) {
			struct recorded out = read_by(&section);
			bool good = table[i].says == NULL ? out.state <= RECORDED_EMPTY
							  : out.state == RECORDED_UNREADABLE &&
				heads_is_none(&out.heads) && strstr(out.detail, table[i].says) != NULL;
			if (!good)
				fail_msg("%s over %s: %s (%s)", table[i].reader, table[i].tool,
				    recorded_state_name(out.state), out.detail != NULL ? out.detail : "");
			recorded_free(&out);
			for (unsigned step = 0; step < 2 && filled == 0; step++)
				if (tools[tool].steps[step].sql != NULL)
					run(maker, tools[tool].steps[step].sql);
		}
	}
}

/* A table of no tool's, or with names that are made to hurt, hurts nobody: its names are values. */
static void a_strange_table_is_unreadable(void **state)
{
	(void)state;
	const struct conf_recorded section = {
	    .reader = S("flyway"), .schema = S("o'd\"d"), .table = S("; DROP")};
	clear();
	run(maker,
	    "CREATE SCHEMA \"o'd\"\"d\"; CREATE TABLE \"o'd\"\"d\".\"; DROP\" (\"a,\"\"'; b\" int, success "
	    "text)");
	char *nudge = ledger_nudge_sql(&section, "ctl");
	run(maker, nudge);
	mem_free(&nudge);
	struct recorded out = read_by(&section);
	assert_int_equal(out.state, RECORDED_UNREADABLE);
	assert_non_null(strstr(
	    out.detail, "the table has no column installed_rank, as flyway makes it, only a,\"'; b,success"));
	recorded_free(&out);
	run(maker, "ALTER TABLE \"o'd\"\"d\".\"; DROP\" DROP COLUMN \"a,\"\"'; b\", DROP COLUMN success");
	out = read_by(&section);
	assert_int_equal(out.state, RECORDED_UNREADABLE);
	assert_non_null(strstr(out.detail, "no columns"));
	recorded_free(&out);
	run(maker, "DROP SCHEMA \"o'd\"\"d\" CASCADE");
}

/* What keeps us from the lock table is no clean reading. */
static void rights_on_both_tables_are_needed(void **state)
{
	(void)state;
	const struct conf_recorded section = {.reader = S("liquibase")};
	const struct tool_step refused = {"a revoke", RECORDED_UNREADABLE, NULL, "may not read the version"};
	clear();
	run(maker, CHANGELOG);
	char *nudge = ledger_nudge_sql(&section, "ctl");
	run(maker, nudge);
	mem_free(&nudge);
	run(maker, "REVOKE SELECT ON databasechangeloglock FROM ctl");
	expect("liquibase", &section, &refused);
	run(maker,
	    "GRANT SELECT ON databasechangeloglock TO ctl; REVOKE SELECT ON databasechangelog FROM ctl");
	expect("liquibase", &section, &refused);
}

static int start(void **state)
{
	char said[4000];
	(void)state;
	pg_cluster_new(&cluster);
	pg_sql(&cluster, "postgres", "CREATE ROLE ctl LOGIN");
	init_database(&cluster, "postgres", &(const struct conf_recorded){.reader = S("headgate")}, "ctl",
	    "postgres", said, sizeof(said));
	maker = PQconnectdb(pg_dsn(&cluster, "postgres"));
	control = PQconnectdb(pg_dsn(&cluster, "postgres"));
	run(control, "SET SESSION AUTHORIZATION ctl; SET search_path = ''; LISTEN " LEDGER_CHANNEL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	PQfinish(maker);
	PQfinish(control);
	pg_cluster_free(&cluster);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tools_are_read),
	    cmocka_unit_test(every_reader_is_tested),
	    cmocka_unit_test(tables_of_other_tools_are_not_taken_for_ones_own),
	    cmocka_unit_test(a_strange_table_is_unreadable),
	    cmocka_unit_test(rights_on_both_tables_are_needed),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
