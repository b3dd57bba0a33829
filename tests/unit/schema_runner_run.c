/* Runs of steps as runs: what is held and for how long, locks in the way, the deadline, Ctrl-C, the backup.
 */
#include "schema_runner.h"

#define FOREVER 3600000

#define MIXED                                                                                                \
	"1_a.sql", "-- migrate:up hold:none\nCREATE TABLE a ();", "2_b.sql",                                 \
	    "-- migrate:up\nCREATE TABLE b ();", "3_c.sql", "-- migrate:up hold:none\nCREATE TABLE c ();",   \
	    "4_d.sql", "-- migrate:up\nCREATE TABLE d ();", "5_e.sql",                                       \
	    "-- migrate:up hold:none\nSELECT pg_advisory_xact_lock(5);\nCREATE TABLE e ();"

/* A proxy is there: it is asked to drain only when the third step is to come, and let go after the fourth. */
static void only_what_needs_it_is_held(void **state)
{
	(void)state;
	static struct runs runs;
	struct proxy proxy = proxy_new("0001", FOREVER);
	PGconn *holder = client("holder");
	char pids[40];
	run_sql(holder, "SELECT pg_advisory_lock(5)");
	RUNS(&runs, MIXED);
	runs.seen.request.lock_timeout_ns = 0;
	runs_begin(&runs);
	until(strstr(runs.seen.story, "draining: 0 of 1 proxy") != NULL);
	assert_string_equal(runs.steps, "1 running~; 1 done~; ");
	assert_has(runs.seen.story, "nobody is held");
	assert_has(runs.seen.story, "clients are being held from step 2 of 5 on");
	assert_sql(
	    "SELECT concat_ws('|', state, holding, held_at > started_at, running_at < held_at) " LAST_RUN,
	    "draining|t|t|t");
	proxy_renew(&proxy, NULL, NULL);
	assert_sql("SELECT run_id " LAST_RUN, proxy.run);
	snprintf(pids, sizeof(pids), "{%d}", PQbackendPID(holder));
	proxy_ack(&proxy, pids);
	until(strstr(runs.steps, "5 running") != NULL);
	assert_string_equal(runs.steps,
	    "1 running~; 1 done~; 2 running; 2 done; 3 running; 3 done; 4 running; 4 done; 5 running~; ");
	assert_has(runs.seen.story, "clients go on; 1 of 5 steps are left");
	assert_sql("SELECT concat_ws('|', state, holding, transactional) " LAST_RUN, "running|f|t");
	PQfinish(holder);
	runs_end(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_sql(STEPS,
	    "1|up|1|in|flowing|done|1\n2|up|2|in|held|done|1\n3|up|3|in|held|done|1\n4|up|4|in|held|done|1\n"
	    "5|up|5|in|flowing|done|1");
	assert_sql("SELECT drained_at > held_at " LAST_RUN, "t");
	proxy_gone(&proxy);
}

static void a_run_of_flowing_steps_never_holds(void **state)
{
	(void)state;
	static struct runs runs;
	struct proxy proxy = proxy_new("0001", FOREVER);
	PGconn *busy = client("busy");
	run_sql(busy, "BEGIN");
	run_sql(busy, "SELECT txid_current()");
	RUNS(&runs, "1_a.sql", "-- migrate:up hold:none\nCREATE TABLE a ();", "2_b.sql",
	    "-- migrate:up hold:none\nCREATE TABLE b ();");
	runs.seen.request.max_transaction_ns = 1; /* nobody is asked about */
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_sql("SELECT concat_ws('|', holding, drained_at IS NULL, held_at IS NULL, running_at IS NOT "
		   "NULL) " LAST_RUN,
	    "f|t|t|t");
	assert_true(alive(busy));
	PQfinish(busy);
	proxy_gone(&proxy);
}

static void without_a_hold(void **state)
{
	(void)state;
	static struct runs runs;
	struct proxy proxy = proxy_new("0001", FOREVER);
	PGconn *stranger = client("stranger");
	RUNS(&runs, MIXED);
	runs.seen.request.no_hold = true;
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_true(alive(stranger));
	assert_sql("SELECT bool_or(holding) FROM headgate.step", "f");
	PQfinish(stranger);
	proxy_gone(&proxy);
}

/* It cannot drain: what was done with traffic flowing stays, the next attempt plans anew. */
static void attempts_plan_anew(void **state)
{
	(void)state;
	static struct runs runs;
	struct proxy proxy = proxy_new("0001", FOREVER);
	RUNS(&runs, MIXED);
	runs.seen.request.drain_timeout_ns = 0;
	runs.seen.request.attempts = 2;
	runs_begin(&runs);
	while (runs.seen.ends == 0) {
		event_base_loop(base, EVLOOP_ONCE);
		proxy_renew(&proxy, NULL, NULL); /* it is there, and does not acknowledge */
	}
	runs_end(&runs);
	assert_told(&runs.seen, "attempt 1 gave up");
	assert_outcome(&runs, COORD_GAVE_UP);
	assert_int_equal(runs.planned, 2);
	assert_int_equal(runs.done, 1);
	assert_int_equal(runs.total, 5);
	assert_sql("SELECT string_agg(concat_ws('|', attempt, outcome, from_heads, to_heads, steps), E'\\n' "
		   "ORDER BY "
		   "run_id) FROM headgate.run",
	    "1|gave_up|{}|{1}|5\n2|gave_up|{1}|4");
	assert_sql(HEADS, "1");
	proxy_gone(&proxy);
}

static void a_lock_in_the_way(void **state)
{
	(void)state;
	static struct runs runs;
	PGconn *holder = client("holder");
	sql("CREATE TABLE t (n int)");
	run_sql(holder, "BEGIN");
	run_sql(holder, "LOCK TABLE t");
	RUNS(&runs, "1_a.sql", "-- migrate:up hold:none\nALTER TABLE t ADD a int;", "2_b.sql",
	    "-- migrate:up hold:none transaction:false\nALTER TABLE t ADD b int;\nALTER TABLE t ADD c int;");
	runs.seen.request.lock_attempts = 100;
	runs_begin(&runs);
	until(strstr(runs.steps, "1 retrying~; 1 retrying~") != NULL);
	assert_has(runs.what, "canceling statement due to lock timeout");
	assert_sql("SELECT count(*) FROM headgate.step", "0");
	run_sql(holder, "COMMIT");
	until(strstr(runs.steps, "1 done") != NULL);
	runs_end(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_sql("SELECT attempts > 2 FROM headgate.step WHERE revision = '1'", "t");

	/* outside of a transaction; and at most so many times */
	run_sql(holder, "BEGIN");
	run_sql(holder, "LOCK TABLE t");
	RUNS(&runs, "1_a.sql", "-- migrate:up hold:none\nALTER TABLE t ADD a int;", "2_b.sql",
	    "-- migrate:up hold:none transaction:false\nALTER TABLE t ADD b int;\nALTER TABLE t ADD c int;",
	    "3_c.sql", "-- migrate:up hold:none transaction:false\nALTER TABLE t ADD d int;");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_FAILED);
	assert_string_equal(runs.steps, "1 running~; 1 retrying~; 1 retrying~; ");
	assert_has(runs.failure, "1/1 up 3 3_c.sql:2:0 [ALTER TABLE t ADD d int] ERROR 55P03");
	assert_has(runs.left,
	    "It was tried 3 times. The step runs outside a transaction, but nothing of it is there");
	assert_sql("SELECT concat_ws('|', state, attempts, sqlstate) FROM headgate.step ORDER BY step_id "
		   "DESC LIMIT 1",
	    "undone|3|55P03");
	PQfinish(holder);
}

static void a_deadlock_is_tried_again(void **state)
{
	(void)state;
	static struct runs runs;
	PGconn *other = client("other"), *gate = client("gate");
	sql("CREATE TABLE t (n int)");
	sql("CREATE TABLE u (n int)");
	run_sql(gate, "SELECT pg_advisory_lock(9)");
	run_sql(other, "BEGIN");
	run_sql(other, "SET LOCAL deadlock_timeout = '1h'"); /* it is not the one that finds it */
	run_sql(other, "LOCK TABLE u");
	RUNS(&runs, "1_a.sql",
	    "-- migrate:up hold:none\nSET LOCAL deadlock_timeout = '10ms';\nLOCK TABLE t;\nSELECT "
	    "pg_advisory_xact_lock(9);\nLOCK TABLE u;");
	runs.seen.request.lock_timeout_ns = 0;
	runs_begin(&runs);
	until(strcmp(look("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"),
		  "1") == 0);
	assert_int_equal(PQsendQuery(other, "LOCK TABLE t; COMMIT"), 1);
	until(strcmp(look("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"),
		  "1") == 0);
	PQfinish(gate);
	runs_end(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_has(runs.steps, "1 retrying~");
	assert_has(runs.what, "deadlock");
	PQfinish(other);
}

/* Built concurrently, an index waits for others' transactions: lock_timeout would leave it invalid. */
static void an_index_waits_for_transactions(void **state)
{
	(void)state;
	static struct runs runs;
	PGconn *old = client("old");
	sql("CREATE TABLE t (n int)");
	run_sql(old, "BEGIN");
	run_sql(old, "INSERT INTO t VALUES (1)");
	RUNS(&runs, "1_a.sql", "-- migrate:up hold:none\nCREATE INDEX CONCURRENTLY i ON t (n);");
	runs_begin(&runs);
	until(strstr(runs.steps, "1 blocked~") != NULL);
	assert_has(runs.what, "waiting for a lock of pid");
	assert_has(runs.what, "(postgres, old), idle in transaction for");
	assert_has(runs.seen.story, "step 1 of 1: up 1 a: 1 s");
	run_sql(old, "COMMIT");
	runs_end(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass", "t");

	/* A file that sets it knows better. */
	run_sql(old, "BEGIN");
	run_sql(old, "INSERT INTO t VALUES (1)");
	RUNS(&runs, "1_a.sql", "-- migrate:up hold:none\nCREATE INDEX CONCURRENTLY i ON t (n);", "2_b.sql",
	    "-- migrate:up hold:none\nSET lock_timeout = '50ms';\nCREATE INDEX CONCURRENTLY j ON t (n);");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_UNRESOLVED);
	assert_has(runs.failure, "55P03");
	assert_has(runs.left, "DROP INDEX CONCURRENTLY public.j;");
	PQfinish(old);
}

static void progress_of_a_long_statement(void **state)
{
	(void)state;
	static struct runs runs;
	sql("CREATE TABLE t (n int)");
	sql("INSERT INTO t SELECT generate_series(1, 3000)");
	sql("CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT pg_sleep(0.001); SELECT "
	    "$1'");
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE INDEX i ON t (slow(n));");
	runs_begin(&runs);
	until(strstr(runs.what, "create index on public.t: building index: scanning table") != NULL);
	coord_cancel(runs.seen.coord);
	runs_end(&runs);
	assert_outcome(&runs, COORD_CANCELLED);
}

static void the_deadline_cancels_and_releases(void **state)
{
	(void)state;
	static struct runs runs;
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();", "2_b.sql",
	    "-- migrate:up\nCREATE TABLE b ();\nSELECT pg_sleep(1000);");
	runs.seen.request.deadline_ns = CLOCK_S;
	runs.seen.section.hold.max_ns = 500 * CLOCK_MS;
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_FAILED);
	assert_told(&runs.seen, "past the run's deadline");
	assert_told(&runs.seen, "past hold.max (500ms)");
	assert_has(runs.seen.text, "stopped at the run's deadline, step 2 of 2");
	assert_has(runs.failure, "2_b.sql:3:0 [SELECT pg_sleep(1000)] ERROR 57014");
	assert_sql("SELECT concat_ws('|', outcome, unresolved, to_heads) " LAST_RUN, "failed|f|{1}");
	assert_sql("SELECT to_regclass('public.b') IS NULL", "t");
	assert_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0");
}

static void cancelling_a_step(void **state)
{
	(void)state;
	static struct runs runs;
	static const char *const second[] = {
	    "-- migrate:up\nCREATE TABLE b ();\nSELECT pg_sleep(1000);",
	    "-- migrate:up transaction:false\nSELECT pg_sleep(1000);",
	    "-- migrate:up transaction:false\nCREATE TABLE b ();\nSELECT pg_sleep(1000);",
	};
	static const enum coord_outcome outcomes[] = {COORD_CANCELLED, COORD_CANCELLED, COORD_UNRESOLVED};
	for (size_t i = 0; i < 3; i++) {
		runs_clean(NULL);
		RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();", "2_b.sql", second[i], "3_c.sql",
		    "-- migrate:up\nCREATE TABLE c ();");
		runs_begin(&runs);
		until(strcmp(look("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
			  "1") == 0);
		coord_cancel(runs.seen.coord);
		runs_end(&runs);
		assert_outcome(&runs, outcomes[i]);
		assert_int_equal(runs.seen.exit_status, 1);
		assert_int_equal(runs.done, 1);
		assert_has(runs.failure, "[SELECT pg_sleep(1000)] ERROR 57014");
		assert_sql(HEADS, "1");
		assert_sql("SELECT to_regclass('public.c') IS NULL", "t");
		assert_sql("SELECT outcome " LAST_RUN, i < 2 ? "cancelled" : "failed");
		assert_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0");
	}

	/* between two steps: before the next begins */
	runs_clean(NULL);
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();", "2_b.sql",
	    "-- migrate:up\nCREATE TABLE b ();");
	runs.cancel_at = 1;
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_CANCELLED);
	assert_true(runs.done <= 1);
}

static void a_pause_is_left_at_once(void **state)
{
	(void)state;
	static struct runs runs;
	PGconn *holder = client("holder");
	sql("CREATE TABLE x ()");
	run_sql(holder, "BEGIN");
	run_sql(holder, "LOCK TABLE x");
	RUNS(&runs, "1_a.sql", "-- migrate:up hold:none\nDROP TABLE x;");
	runs.seen.request.lock_attempts = 1000;
	runs.seen.request.lock_timeout_ns = 10 * CLOCK_MS;
	runs_begin(&runs);
	until(strstr(runs.steps, "1 retrying~; 1 retrying~; 1 retrying~; 1 retrying~") != NULL); /* 2 s */
	coord_cancel(runs.seen.coord);
	int64_t from = clock_now();
	runs_end(&runs);
	assert_true(clock_now() - from < CLOCK_S);
	assert_outcome(&runs, COORD_CANCELLED);
	assert_has(runs.failure, "55P03");
	assert_sql("SELECT concat_ws('|', state, sqlstate) FROM headgate.step", "undone|55P03");
	PQfinish(holder);
}

/* A statement that does not let itself be cancelled: the session is ended. */
static void cancelling_twice_ends_the_session(void **state)
{
	(void)state;
	static struct runs runs;
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();", "2_b.sql",
	    "-- migrate:up\nCREATE TABLE b ();\nDO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION "
	    "WHEN "
	    "query_canceled THEN NULL; END; END LOOP; END $$;");
	runs_begin(&runs);
	until(strcmp(look("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "1") == 0);
	coord_cancel(runs.seen.coord);
	coord_cancel(runs.seen.coord);
	runs_end(&runs);
	assert_outcome(&runs, COORD_LOST);
	assert_has(runs.seen.text, "the connection was lost in step 2 of 2, which was rolled back");
	assert_has(runs.seen.text, "recorded: 1");
	assert_sql("SELECT concat_ws('|', state, outcome, unresolved) " LAST_RUN, "ended|abandoned|f");
	assert_sql("SELECT to_regclass('public.b') IS NULL", "t");
}

/* A backend that does nothing any more: the third time it is left to itself. */
static void a_server_that_does_not_answer(void **state)
{
	(void)state;
	static struct runs runs;
	static const char at_work[] = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();", "2_b.sql",
	    "-- migrate:up\nCREATE TABLE b ();\nSELECT pg_sleep(1000);");
	runs_begin(&runs);
	until(look(at_work)[0] != '\0');
	pid_t backend = (pid_t)strtol(look(at_work), NULL, 10);
	kill(backend, SIGSTOP);
	for (int i = 0; i < 3; i++)
		coord_cancel(runs.seen.coord);
	until(strstr(runs.seen.story, "asking what the ledger says") != NULL);
	until(
	    strcmp(look("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'headgate upgrade'"),
		"2") == 0);
	coord_cancel(runs.seen.coord);
	runs_end(&runs);
	assert_outcome(&runs, COORD_LOST);
	assert_has(runs.seen.text, "in step 2 of 2");
	assert_has(runs.seen.text, "what became of it is not known");
	assert_has(runs.seen.hint, "headgate current");
	kill(backend, SIGCONT);
	while (strcmp(look("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0") != 0)
		usleep(5000);
	assert_sql("SELECT to_regclass('public.b') IS NULL", "t");
}

static void a_lost_connection_is_asked_about(void **state)
{
	(void)state;
	static struct runs runs;
	static const char *const second[] = {
	    "-- migrate:up\nSELECT pg_sleep(1000);",
	    "-- migrate:up transaction:false\nSELECT pg_sleep(1000);",
	};
	for (int i = 0; i < 2; i++) {
		runs_clean(NULL);
		RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();", "2_b.sql", second[i]);
		runs_begin(&runs);
		until(strcmp(look("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
			  "1") == 0);
		look("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
		runs_end(&runs);
		assert_outcome(&runs, i == 0 ? COORD_LOST : COORD_UNRESOLVED);
		assert_int_equal(runs.seen.exit_status, 1);
		assert_string_equal(runs.seen.to, "1");
		assert_has(runs.seen.text, "the connection was lost in step 2 of 2");
		if (i == 1)
			assert_has(runs.seen.text, "2_b.sql:1");
		assert_sql("SELECT concat_ws('|', state, outcome, unresolved) " LAST_RUN,
		    i == 0 ? "ended|abandoned|f" : "ended|failed|t");
	}
	/* The server goes, and comes back. */
	runs_clean(NULL);
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();", "2_b.sql", second[0]);
	runs_begin(&runs);
	until(strcmp(look("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "1") == 0);
	pg_cluster_stop(&cluster);
	until(strstr(runs.seen.story, "asking what the ledger says") != NULL);
	pg_cluster_start(&cluster);
	runs_end(&runs);
	assert_outcome(&runs, COORD_LOST);
	assert_has(runs.seen.text, "which was rolled back");
	assert_has(runs.seen.text, "1 of 2 steps are done, recorded: 1");
}

static struct coord_backup backup;
static int64_t backup_size;

static int64_t backup_bytes(void *arg)
{
	(void)arg;
	return backup_size;
}

static bool give_backup(void *arg, const struct plan *plan, struct coord_backup *out, char **why)
{
	(void)arg;
	assert_true(plan->count > 0);
	if (backup.argv == NULL) {
		*why = mem_strdup("there is no room\nfor it");
		return false;
	}
	*out = backup;
	return true;
}

static void a_backup_comes_first(void **state)
{
	(void)state;
	static struct runs runs;
	struct proxy proxy = proxy_new("0001", FOREVER);
	static const char *const environment[] = {"WHERE=here", NULL};
	char *const *good =
	    SHELL("test $WHERE = here && psql -qX -c \"CREATE TABLE saved AS SELECT holding, state FROM "
		  "headgate.run WHERE run_id = $HEADGATE_RUN\"");
	backup = (struct coord_backup){.argv = good,
	    .environment = environment,
	    .place = "/there",
	    .what = "everything",
	    .bytes = backup_bytes};
	backup_size = 3 << 20;
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();");
	runs.seen.request.backup = give_backup;
	runs_begin(&runs);
	until(strstr(runs.seen.story, "draining: 0 of 1 proxy") != NULL);
	assert_sql("SELECT concat_ws('|', holding, state) FROM saved", "f|draining");
	assert_has(runs.seen.story, "nobody is held");
	assert_has(runs.seen.story, "backing up of everything into /there: 3.0 MiB");
	assert_has(runs.seen.story, "backup made of everything into /there: 3.0 MiB");
	proxy_renew(&proxy, NULL, NULL);
	proxy_ack(&proxy, "{}");
	runs_end(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_sql("SELECT concat_ws('|', backup, backup_bytes, backup_ms >= 0, backup_error) " LAST_RUN,
	    "/there|3145728|t");

	/* One that fails stops the run before anybody is held. */
	runs_clean(NULL);
	backup.argv = SHELL("echo no room >&2; exit 3");
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();");
	runs.seen.request.backup = give_backup;
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_FAILED);
	assert_has(runs.seen.text, "the backup failed, nothing was migrated: sh ended with 3: no room");
	assert_has(runs.seen.hint, "--no-backup");
	assert_sql(
	    "SELECT concat_ws('|', outcome, unresolved, holding, held_at IS NULL, backup_error) " LAST_RUN,
	    "failed|f|f|t|sh ended with 3: no room");
	assert_sql("SELECT to_regclass('public.a') IS NULL", "t");

	/* Ctrl-C */
	runs_clean(NULL);
	backup.argv = SHELL("echo at it; exec sleep 1000");
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();");
	runs.seen.request.backup = give_backup;
	runs_begin(&runs);
	until(strstr(runs.seen.story, "backing up") != NULL);
	coord_cancel(runs.seen.coord);
	runs_end(&runs);
	assert_outcome(&runs, COORD_CANCELLED);
	assert_sql("SELECT outcome " LAST_RUN, "cancelled");

	/* It cannot even begin. */
	runs_clean(NULL);
	backup.argv = NULL;
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();");
	runs.seen.request.backup = give_backup;
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_REFUSED);
	assert_has(runs.seen.text, "there is no room");
	assert_told(&runs.seen, "for it");
	assert_sql("SELECT count(*) FROM headgate.run", "0");
	PQfinish(proxy.link);
}

/* SIGKILL of the conductor: its statement ends too, though the server would not look by itself. */
static void a_killed_conductor(void **state)
{
	(void)state;
	static struct runs runs, next;
	sql("CREATE TABLE t (n int)");
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();", "2_b.sql",
	    "-- migrate:up\nCREATE TABLE b ();\nSELECT pg_sleep(1000);");
	runs.seen.section.control.dsn = runs.seen.section.control.run_dsn = runs.seen.dsn;
	pid_t pid = coordinator(&runs.seen);
	until(strcmp(look("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "1") == 0);
	kill(pid, SIGKILL);
	pg_wait(pid);
	while (strcmp(look("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "0") != 0)
		usleep(5000);
	catalog_free(&runs.catalog);
	mem_free(&runs.publish);
	assert_sql(HEADS, "1");
	assert_sql("SELECT to_regclass('public.b') IS NULL", "t");

	RUNS(&next, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();", "2_b.sql",
	    "-- migrate:up\nCREATE TABLE b ();");
	runs_conduct(&next);
	assert_outcome(&next, COORD_SUCCEEDED);
	assert_sql(
	    "SELECT string_agg(concat_ws('|', outcome, from_heads, to_heads), E'\\n' ORDER BY run_id) FROM "
	    "headgate.run",
	    "abandoned|{}\nsucceeded|{1}|{2}");
}

/* The ledger is somebody else's, as `headgate init` grants it; the files take another role than the one that
 * keeps it. */
static void a_role_with_just_enough_rights(void **state)
{
	(void)state;
	static struct runs runs;
	char said[4000];
	const struct conf_recorded recorded = {.reader = S("headgate")};
	pg_sql(&cluster, "postgres", "CREATE ROLE owner");
	pg_sql(&cluster, "postgres",
	    "CREATE ROLE conductor LOGIN IN ROLE owner, pg_read_all_stats, pg_signal_backend");
	init_database(&cluster, "shop", &recorded, "ctl", "conductor", said, sizeof(said));
	sql("GRANT USAGE, CREATE ON SCHEMA public TO owner");
	RUNS(&runs, "1_a.sql",
	    "-- migrate:up\nSET ROLE owner;\nCREATE TABLE a (n int);\nINSERT INTO a VALUES (1);", "2_b.sql",
	    "-- migrate:up\nSET ROLE owner;\nCREATE INDEX CONCURRENTLY i ON a (n);", "3_c.sql",
	    "-- migrate:up hold:none\nCREATE TABLE c ();", "4_d.sql", "-- migrate:up\nSELECT nowhere;");
	snprintf(runs.seen.dsn, sizeof(runs.seen.dsn), "host=%s port=%u user=conductor dbname=shop",
	    cluster.dir, cluster.port);
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_FAILED);
	assert_has(runs.failure, "4/4 up 4 4_d.sql:2:8 [SELECT nowhere]");
	assert_int_equal(runs.done, 3);
	assert_sql(STEPS,
	    "1|up|1|in|held|done|1\n2|up|2|out|held|done|1\n3|up|3|in|held|done|1\n"
	    "4|up|4|in|held|undone|1|42703|2");
	assert_sql("SELECT tableowner FROM pg_tables WHERE tablename = 'a'", "owner");
}

static void other_readers_are_refused(void **state)
{
	(void)state;
	static struct runs runs;
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();");
	runs.seen.section.recorded = (struct conf_recorded){.reader = S("alembic"), .schema = S("public")};
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_REFUSED);
	assert_has(runs.seen.text, "only alembic keeps it");
	assert_has(runs.seen.hint, "headgate exec");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(only_what_needs_it_is_held, runs_clean),
	    cmocka_unit_test_setup(a_run_of_flowing_steps_never_holds, runs_clean),
	    cmocka_unit_test_setup(without_a_hold, runs_clean),
	    cmocka_unit_test_setup(attempts_plan_anew, runs_clean),
	    cmocka_unit_test_setup(a_lock_in_the_way, runs_clean),
	    cmocka_unit_test_setup(a_deadlock_is_tried_again, runs_clean),
	    cmocka_unit_test_setup(an_index_waits_for_transactions, runs_clean),
	    cmocka_unit_test_setup(progress_of_a_long_statement, runs_clean),
	    cmocka_unit_test_setup(the_deadline_cancels_and_releases, runs_clean),
	    cmocka_unit_test_setup(cancelling_a_step, runs_clean),
	    cmocka_unit_test_setup(a_pause_is_left_at_once, runs_clean),
	    cmocka_unit_test_setup(cancelling_twice_ends_the_session, runs_clean),
	    cmocka_unit_test_setup(a_server_that_does_not_answer, runs_clean),
	    cmocka_unit_test_setup(a_lost_connection_is_asked_about, runs_clean),
	    cmocka_unit_test_setup(a_backup_comes_first, runs_clean),
	    cmocka_unit_test_setup(a_killed_conductor, runs_clean),
	    cmocka_unit_test_setup(a_role_with_just_enough_rights, runs_clean),
	    cmocka_unit_test_setup(other_readers_are_refused, runs_clean),
	};
	coord_tests_begin();
	return coord_tests_end(cmocka_run_group_tests(tests, NULL, NULL));
}
