/* The ledger: its texts, its plan on a real server, and the rule that a renewal and an announcement happen
 * one after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pg_cluster.h"
#include "schema/ledger.h"
#include "schema_init.h"

static struct pg_cluster cluster;
#define S(text) ((char *)(uintptr_t)(text))
static const struct conf_recorded alembic = {.reader = S("alembic"), .schema = S("public")};

#define ID    "'11111111-1111-1111-1111-111111111111'"
#define RENEW "SELECT * FROM headgate.renew(" ID ", 'p', '0', 5000, NULL, NULL)"
#define ANNOUNCE                                                                                             \
	"SELECT headgate.announce('exec', true, 1, 'ann@build7', 'ann', 'build7', 'why', "                   \
	"'{alembic,upgrade,head}', '{a1,b2}', 'clean', '{c3}')"

static void sections(void **state)
{
	(void)state;
	const char *text =
	    "-- message: x\n-- migrate:up transaction:false\nA;\n-- note\nB;\n-- migrate:down\nC;\n";
	char *up = ledger_section(text, "up"), *down = ledger_section(text, "down");
	assert_string_equal(up, "A;\n-- note\nB;\n");
	assert_string_equal(down, "C;\n");
	assert_null(ledger_section(text, "sideways"));
	assert_null(ledger_section(text, "u"));
	mem_free(&up);
	mem_free(&down);
	assert_true(ledger_migration_count >= 1);
	for (unsigned i = 0; i < ledger_migration_count; i++)
		assert_int_equal(ledger_migrations[i].version, i + 1);
}

struct cells {
	unsigned columns;
	const char *at[9];
};

static const char *cell(const void *handle, unsigned row, unsigned column)
{
	const struct cells *cells = handle;
	assert_int_equal(row, 0);
	assert_true(column < cells->columns);
	return cells->at[column];
}

static void renewals_are_read(void **state)
{
	(void)state;
	struct ledger_renewal out;
	const struct cells none = {9, {NULL}};
	struct reader_rows rows = {1, 9, cell, &none};
	assert_true(ledger_renewal_read(&rows, 1000, &out));
	assert_int_equal(out.run.id, 0);
	assert_int_equal(out.pin_count, 0);
	assert_null(out.unresolved);
	assert_false(out.graph); /* a ledger that keeps none */
	ledger_renewal_free(&out);

	const struct cells full = {9,
	    {"7", "t", "ann", "why", "b2+a1", "", "left",
		"a1 -1\nb2+c3 1500\nbad'head 1\nnothing\n x\nd4 99999999999999999", "0"}};
	rows.handle = &full;
	assert_true(ledger_renewal_read(&rows, 1000, &out));
	assert_int_equal(out.run.id, 7);
	assert_true(out.run.holding);
	assert_string_equal(heads_text(&out.run.from), "a1+b2");
	assert_true(out.run.target_known);
	assert_true(heads_is_none(&out.run.target));
	assert_string_equal(out.unresolved, "left");
	assert_true(out.graph);
	assert_int_equal(out.pin_count, 3);
	assert_true(out.pins[0].until_ns == INT64_MAX);
	assert_string_equal(heads_text(&out.pins[1].heads), "b2+c3");
	assert_int_equal(out.pins[1].until_ns, 1000 + 1500 * CLOCK_MS);
	assert_true(out.pins[2].until_ns == INT64_MAX);
	ledger_renewal_free(&out);

	const struct cells unknown = {9, {"7", "f", NULL, NULL, "bad'head", NULL, NULL, NULL, NULL}};
	rows.handle = &unknown;
	assert_true(ledger_renewal_read(&rows, 1000, &out));
	assert_false(out.run.holding || out.run.target_known);
	assert_true(heads_is_none(&out.run.from));
	ledger_renewal_free(&out);

	rows.columns = 8;
	assert_false(ledger_renewal_read(&rows, 1000, &out));
	rows = (struct reader_rows){0, 9, cell, &full};
	assert_false(ledger_renewal_read(&rows, 1000, &out));
}

static PGconn *connect_as(const char *dbname)
{
	PGconn *conn = PQconnectdb(pg_dsn(&cluster, dbname));
	assert_int_equal(PQstatus(conn), CONNECTION_OK);
	return conn;
}

/* The first column of the first row, or "!SQLSTATE". */
static const char *ask(PGconn *conn, const char *sql)
{
	static char value[2][2000];
	static unsigned turn;
	char *to = value[turn++ % 2];
	PGresult *result = PQexec(conn, sql);
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	if (sqlstate != NULL)
		snprintf(to, 2000, "!%s", sqlstate);
	else
		snprintf(
		    to, 2000, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : PQcmdStatus(result));
	PQclear(result);
	return to;
}

/* Waits for it: the session that had it before may still be on its way out. */
static void take_lock(PGconn *conn)
{
	assert_string_equal(ask(conn, "SELECT pg_advisory_lock(" LEDGER_LOCK ")"), "");
}

static void init_may_be_repeated(void **state)
{
	(void)state;
	char said[4000];
	pg_sql(&cluster, "postgres", "CREATE DATABASE again");
	pg_sql(&cluster, "postgres", "CREATE ROLE ctl LOGIN");
	init_database(&cluster, "again", &alembic, "ctl", "postgres", said, sizeof(said));
	assert_non_null(strstr(said, "ledger version 1: applied"));
	assert_non_null(strstr(said, "does not exist yet"));
	init_database(&cluster, "again", &alembic, "ctl", "postgres", said, sizeof(said));
	assert_non_null(strstr(said, "ledger version 1: already there"));
	assert_int_equal(
	    atoi(pg_sql(&cluster, "again", "SELECT count(*) FROM headgate.version")), ledger_migration_count);

	pg_sql(
	    &cluster, "again", "CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY)");
	init_database(&cluster, "again", &alembic, "ctl", "postgres", said, sizeof(said));
	assert_non_null(strstr(said, "\"alembic_version\": in place"));
	init_database(&cluster, "again", &alembic, "ctl", "postgres", said, sizeof(said));
	assert_string_equal(
	    pg_sql(&cluster, "again",
		"SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.alembic_version'::regclass"),
	    "1");
	assert_string_equal(pg_sql(&cluster, "again",
				"SELECT has_table_privilege('ctl', 'public.alembic_version', 'SELECT')"),
	    "t");

	/* what the control role may, and no more */
	PGconn *ctl = connect_as("again");
	ask(ctl, "SET SESSION AUTHORIZATION ctl");
	assert_string_equal(ask(ctl, RENEW), "");
	assert_string_equal(ask(ctl, "SELECT count(*) FROM headgate.run"), "0");
	assert_string_equal(ask(ctl, "SELECT headgate.reap()"), "!42501");
	assert_string_equal(ask(ctl, "INSERT INTO headgate.run (kind, who) VALUES ('exec', 'x')"), "!42501");
	assert_string_equal(ask(ctl, ANNOUNCE), "!42501");
	assert_string_equal(ask(ctl, "SELECT headgate.leave(" ID ")"), "");
	assert_string_equal(ask(ctl, "SELECT count(*) FROM headgate.proxy"), "0");
	PQfinish(ctl);
}

/* The printed plan that another administrator runs must leave the run role able to conduct. */
static void a_run_role_that_does_not_own_the_ledger(void **state)
{
	(void)state;
	char said[4000];
	pg_sql(&cluster, "postgres", "CREATE DATABASE other");
	pg_sql(&cluster, "postgres", "CREATE ROLE ctl2 LOGIN");
	pg_sql(&cluster, "postgres", "CREATE ROLE conductor LOGIN");
	init_database(&cluster, "other", &alembic, "ctl2", "conductor", said, sizeof(said));
	PGconn *run = connect_as("other");
	ask(run, "SET SESSION AUTHORIZATION conductor");
	take_lock(run);
	assert_string_equal(ask(run, ANNOUNCE), "1");
	assert_string_equal(ask(run, "SELECT headgate.reap()"), "1");
	PQfinish(run);
}

static void a_run_in_the_way_is_said(void **state)
{
	(void)state;
	PGconn *holder = connect_as("again"), *init = connect_as("again");
	take_lock(holder);
	struct ledger_plan plan = ledger_plan(&alembic, "ctl", "postgres");
	assert_string_equal(ask(init, plan.steps[0].sql), "!55P03");
	PQfinish(holder);
	while (strcmp(ask(init, plan.steps[0].sql), "DO") != 0)
		;
	ledger_plan_free(&plan);
	PQfinish(init);
}

static void no_announcement_without_the_lock(void **state)
{
	(void)state;
	PGconn *a = connect_as("again"), *b = connect_as("again");
	assert_string_equal(ask(a, ANNOUNCE), "!55000");
	take_lock(b);
	assert_string_equal(ask(a, ANNOUNCE), "!55000");
	assert_string_equal(ask(a, "SELECT pg_try_advisory_lock(1)"), "t");
	assert_string_equal(ask(a, ANNOUNCE), "!55000");
	assert_string_equal(ask(b, "BEGIN ISOLATION LEVEL REPEATABLE READ"), "BEGIN");
	assert_string_equal(ask(b, ANNOUNCE), "!25001");
	ask(b, "ROLLBACK");
	assert_string_equal(ask(a, "BEGIN ISOLATION LEVEL SERIALIZABLE"), "BEGIN");
	assert_string_equal(ask(a, RENEW), "!25001");
	assert_true(ask(b, ANNOUNCE)[0] != '!');
	assert_string_equal(ask(b, ANNOUNCE), "!23505"); /* one at a time */
	assert_true(ask(b, "SELECT headgate.reap()")[0] != '!');
	PQfinish(a);
	PQfinish(b);
}

static void wait_for_lock(PGconn *watch, int pid)
{
	char sql[200];
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_locks WHERE pid = %d AND NOT granted", pid);
	while (strcmp(ask(watch, sql), "1") != 0)
		;
}

static void finish(PGconn *conn, char *value, size_t size)
{
	PGresult *result;
	value[0] = '\0';
	while ((result = PQgetResult(conn)) != NULL) {
		if (PQntuples(result) > 0)
			snprintf(value, size, "%s", PQgetvalue(result, 0, 0));
		PQclear(result);
	}
}

/* A renewal that begins while a run is being announced sees the run. */
static void a_renewal_behind_an_announcement_sees_it(void **state)
{
	(void)state;
	char id[30], seen[100];
	PGconn *coordinator = connect_as("again"), *proxy = connect_as("again"), *watch = connect_as("again");
	take_lock(coordinator);
	ask(coordinator, "BEGIN");
	snprintf(id, sizeof(id), "%s", ask(coordinator, ANNOUNCE));
	assert_true(id[0] != '!');
	assert_int_equal(PQsendQuery(proxy, RENEW), 1);
	wait_for_lock(watch, PQbackendPID(proxy));
	ask(coordinator, "COMMIT");
	finish(proxy, seen, sizeof(seen));
	assert_string_equal(seen, id);
	assert_string_equal(
	    ask(watch, "SELECT state FROM headgate.run ORDER BY run_id DESC LIMIT 1"), "draining");
	ask(coordinator, "SELECT headgate.reap()");
	PQfinish(coordinator);
	PQfinish(proxy);
	PQfinish(watch);
}

/* An announcement waits for the renewal under way, and then sees its seen_at. */
static void an_announcement_behind_a_renewal_sees_it(void **state)
{
	(void)state;
	char id[30];
	PGconn *coordinator = connect_as("again"), *proxy = connect_as("again"), *watch = connect_as("again");
	take_lock(coordinator);
	ask(proxy, "BEGIN");
	assert_string_equal(ask(proxy, RENEW), "");
	ask(coordinator, "SET lock_timeout = '50ms'");
	assert_string_equal(ask(coordinator, ANNOUNCE), "!55P03");
	ask(coordinator, "SET lock_timeout = 0");
	assert_int_equal(PQsendQuery(coordinator, ANNOUNCE), 1);
	wait_for_lock(watch, PQbackendPID(coordinator));
	ask(proxy, "COMMIT");
	finish(coordinator, id, sizeof(id));
	assert_true(id[0] >= '1' && id[0] <= '9');
	assert_string_equal(ask(coordinator,
				"SELECT count(*) FROM headgate.proxy WHERE seen_at + lease_ms * interval '1 "
				"ms' > clock_timestamp()"),
	    "1");
	ask(coordinator, "SELECT headgate.reap()");
	PQfinish(coordinator);
	PQfinish(proxy);
	PQfinish(watch);
}

static void acknowledgements_are_kept_and_told(void **state)
{
	(void)state;
	char sql[300], id[30];
	PGconn *coordinator = connect_as("again"), *proxy = connect_as("again");
	take_lock(coordinator);
	ask(coordinator, "LISTEN " LEDGER_ACK_CHANNEL);
	snprintf(id, sizeof(id), "%s", ask(coordinator, ANNOUNCE));
	snprintf(sql, sizeof(sql), "SELECT * FROM headgate.renew(" ID ", 'p', '0', 5000, %s, '{11,12}')", id);
	assert_string_equal(ask(proxy, sql), id);
	PGnotify *notify;
	while ((notify = PQnotifies(coordinator)) == NULL)
		ask(coordinator, "SELECT 1");
	assert_string_equal(notify->extra, id);
	PQfreemem(notify);
	assert_string_equal(ask(coordinator, "SELECT pids FROM headgate.proxy"), "{11,12}");
	ask(proxy, sql); /* told once */
	ask(coordinator, "SELECT 1");
	assert_null(PQnotifies(coordinator));
	ask(coordinator, "SELECT headgate.reap()");
	PQfinish(coordinator);
	PQfinish(proxy);
}

/* What dies with its coordinator, by what it was doing. */
static void lost_coordinators(void **state)
{
	(void)state;
	const struct {
		const char *update, *outcome, *unresolved;
	} table[] = {
	    {"SELECT 1", "abandoned", "f"},
	    {"UPDATE headgate.run SET state = 'running' WHERE state = 'draining'", "failed", "t"},
	    {"UPDATE headgate.run SET state = 'running', transactional = true WHERE state = 'draining'",
		"abandoned", "f"},
	};
	PGconn *proxy = connect_as("again");
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char sql[200], id[30];
		PGconn *coordinator = connect_as("again");
		take_lock(coordinator);
		snprintf(id, sizeof(id), "%s", ask(coordinator, ANNOUNCE));
		ask(coordinator, table[i].update);
		assert_string_equal(ask(proxy, RENEW), id); /* lives: nothing is reaped */
		PQfinish(coordinator);
		while (strcmp(ask(proxy, RENEW), "") != 0)
			;
		snprintf(sql, sizeof(sql), "SELECT outcome FROM headgate.run WHERE run_id = %s", id);
		assert_string_equal(ask(proxy, sql), table[i].outcome);
		snprintf(sql, sizeof(sql), "SELECT unresolved FROM headgate.run WHERE run_id = %s", id);
		assert_string_equal(ask(proxy, sql), table[i].unresolved);
		if (table[i].unresolved[0] == 't') {
			assert_non_null(strstr(ask(proxy,
						   "SELECT unresolved_text FROM headgate.renew(" ID
						   ", 'p', '0', 5000, NULL, NULL)"),
			    "ann@build7"));
			snprintf(sql, sizeof(sql), "SELECT headgate.resolve(%s, 'bob', 'ran it again')", id);
			assert_string_equal(ask(proxy, sql), "t");
			assert_string_equal(ask(proxy, sql), "f");
		}
	}
	PQfinish(proxy);
}

/* A printed plan is plain SQL, and psql runs it. */
static void psql_runs_the_plan(void **state)
{
	(void)state;
	char path[128], psql[300];
	pg_sql(&cluster, "postgres", "CREATE DATABASE printed");
	snprintf(path, sizeof(path), "%s/plan.sql", cluster.dir);
	FILE *file = fopen(path, "w");
	struct ledger_plan plan = ledger_plan(&alembic, "ctl", "postgres");
	for (unsigned i = 0; i < plan.count; i++)
		fprintf(file, "-- %s\n%s;\n", plan.steps[i].what, plan.steps[i].sql);
	fclose(file);
	ledger_plan_free(&plan);
	for (int twice = 0; twice < 2; twice++) {
		snprintf(psql, sizeof(psql), "%s/psql -X -q -v ON_ERROR_STOP=1 -f %s '%s' 2>%s/psql.log",
		    cluster.bin, path, pg_dsn(&cluster, "printed"), cluster.dir);
		assert_int_equal(system(psql), 0);
	}
	assert_int_equal(atoi(pg_sql(&cluster, "printed", "SELECT count(*) FROM headgate.version")),
	    ledger_migration_count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sections),
	    cmocka_unit_test(renewals_are_read),
	    cmocka_unit_test(init_may_be_repeated),
	    cmocka_unit_test(a_run_role_that_does_not_own_the_ledger),
	    cmocka_unit_test(a_run_in_the_way_is_said),
	    cmocka_unit_test(no_announcement_without_the_lock),
	    cmocka_unit_test(a_renewal_behind_an_announcement_sees_it),
	    cmocka_unit_test(an_announcement_behind_a_renewal_sees_it),
	    cmocka_unit_test(acknowledgements_are_kept_and_told),
	    cmocka_unit_test(lost_coordinators),
	    cmocka_unit_test(psql_runs_the_plan),
	};
	alarm(120);
	pg_cluster_new(&cluster);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pg_cluster_free(&cluster);
	return failed;
}
