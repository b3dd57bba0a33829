/* The coordinator, part one: the lock, the pre-check, the command and the conclusion. */
#include "schema_coord.h"

#define UPDATE "psql -qX -c \"UPDATE alembic_version SET version_num = 'b2'\""

static void a_run_from_lock_to_release(void **state)
{
	(void)state;
	static struct seen seen;
	prepare(&seen, SHELL("echo hello; " UPDATE));
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
	assert_int_equal(seen.exit_status, 0);
	assert_false(seen.attached);
	assert_string_equal(seen.from, "a1");
	assert_string_equal(seen.to, "b2");
	assert_sql("SELECT concat_ws('|', kind, state, outcome, holding, transactional, unresolved, attempt, "
		   "who, os_user, host, reason, command[1], command[3] LIKE "
		   "'echo hello; psql %', from_heads, from_state, to_heads, to_state, exit_status, "
		   "output_tail, started_at <= drained_at, drained_at <= "
		   "running_at, running_at <= ended_at, error) " LAST_RUN,
	    "exec|ended|succeeded|t|f|f|1|ann@build7|ann|build7|why|sh|t|{a1}|clean|{b2}|clean|0|hello\n|t|t|"
	    "t");
	assert_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0");
	assert_told(&seen, "announced, from a1: clients are being held");
	assert_told(&seen, "draining: 0 of 0 proxies, 0 clients busy");
}

static void the_commands_environment(void **state)
{
	(void)state;
	static struct seen seen;
	setenv("PGAPPNAME", "elsewhere", 1);
	prepare(&seen,
	    SHELL("echo $HEADGATE_RUN,$PGAPPNAME,$PGHOST,$PGPORT,$PGUSER,$PGDATABASE; psql -qXAt "
		  "\"$DATABASE_URL\" -c "
		  "\"SELECT current_database() || ' ' || session_user || ' ' || "
		  "current_setting('application_name')\""));
	conduct(&seen);
	unsetenv("PGAPPNAME");
	char *expected =
	    mem_printf("%lld,headgate-run-%lld,%s,%u,postgres,shop\nshop postgres headgate-run-%lld\n",
		(long long)seen.run_id, (long long)seen.run_id, cluster.dir, cluster.port,
		(long long)seen.run_id);
	assert_sql("SELECT output_tail " LAST_RUN, expected);
	mem_free(&expected);
	assert_int_equal(seen.exit_status, 0);
}

static void a_failing_command_is_concluded(void **state)
{
	(void)state;
	static const struct {
		const char *script;
		int status;
		const char *to, *error;
	} table[] = {
	    {"exit 3", 3, "a1", "ended with 3"},
	    {UPDATE "; exit 4", 4, "b2", "ended with 4"}, /* the gate goes to what is really recorded */
	    {"kill -KILL $$", 137, "b2", "ended with 137"},
	};
	static struct seen seen;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		prepare(&seen, SHELL(table[i].script));
		conduct(&seen);
		assert_int_equal(seen.outcome, COORD_FAILED);
		assert_int_equal(seen.exit_status, table[i].status);
		assert_string_equal(seen.to, table[i].to);
		assert_non_null(strstr(seen.text, table[i].error));
		assert_sql("SELECT concat_ws('|', outcome, unresolved, state) " LAST_RUN, "failed|f|ended");
	}
	prepare(&seen, (char *const[]){S("no-such-tool-anywhere"), NULL});
	conduct(&seen);
	assert_int_equal(seen.exit_status, 127);
	assert_non_null(strstr(seen.text, "no-such-tool-anywhere: No such file"));
}

static void a_target(void **state)
{
	(void)state;
	static struct seen seen;
	struct heads a1 = heads_none(), b2 = heads_none();
	const char *why;
	assert_true(heads_parse("a1", 2, &a1, &why) && heads_parse("b2", 2, &b2, &why));

	prepare(&seen, SHELL(UPDATE));
	seen.request.target = &a1;
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
	assert_int_equal(seen.run_id, 0);
	assert_sql("SELECT count(*) FROM headgate.run", "0");

	prepare(&seen, SHELL("true"));
	seen.request.target = &b2;
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_FAILED);
	assert_int_equal(seen.exit_status, 1);
	assert_non_null(strstr(seen.text, "a1 and not b2"));

	prepare(&seen, SHELL(UPDATE));
	seen.request.target = &b2;
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
	assert_sql("SELECT target::text " LAST_RUN, "{b2}");

	/* a tool without a version of its own */
	for (int i = 0; i < 2; i++) {
		prepare(&seen, SHELL(i == 0 ? "exit 1" : "true"));
		seen.section.recorded = (struct conf_recorded){.reader = S("headgate")};
		seen.request.target = &b2;
		conduct(&seen);
		assert_int_equal(seen.outcome, i == 0 ? COORD_FAILED : COORD_SUCCEEDED);
		assert_sql("SELECT count(*) FROM headgate.head WHERE head = 'b2'", i == 0 ? "0" : "1");
	}
	assert_string_equal(seen.to, "b2");
	prepare(&seen, SHELL("true"));
	seen.section.recorded = (struct conf_recorded){.reader = S("headgate")};
	seen.request.target = &a1;
	conduct(&seen);
	assert_sql("SELECT string_agg(head, ',') FROM headgate.head", "a1");
	sql("DELETE FROM headgate.head");
	heads_free(&a1);
	heads_free(&b2);
}

static void refusals_disturb_nobody(void **state)
{
	(void)state;
	static struct seen seen;
	PGconn *busy = client("busyapp");
	run_sql(busy, "BEGIN");
	run_sql(busy, "SELECT * FROM t");

	prepare(&seen, SHELL("true"));
	seen.request.max_transaction_ns = 1;
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_REFUSED);
	assert_int_equal(seen.exit_status, 1);
	assert_non_null(strstr(seen.text, "1 transaction is older"));
	assert_told(&seen, "busyapp");
	assert_told(&seen, "idle in transaction");

	run_sql(busy, "PREPARE TRANSACTION 'p'");
	prepare(&seen, SHELL("true"));
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_REFUSED);
	assert_non_null(strstr(seen.text, "prepared transaction"));
	run_sql(busy, "ROLLBACK PREPARED 'p'");
	assert_true(alive(busy));

	/* the version table is locked: somebody migrates behind our back */
	run_sql(busy, "BEGIN; LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE");
	prepare(&seen, SHELL("true"));
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_REFUSED);
	assert_non_null(strstr(seen.text, "running"));
	run_sql(busy, "ROLLBACK");

	assert_sql("SELECT count(*) FROM headgate.run", "0");
	assert_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0");
	assert_true(alive(busy));
	PQfinish(busy);

	prepare(&seen, SHELL("true"));
	seen.request.dbname = "postgres";
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_REFUSED);
	assert_non_null(strstr(seen.hint, "headgate init"));

	pg_sql(&cluster, "postgres", "CREATE ROLE weak LOGIN");
	prepare(&seen, SHELL("true"));
	char *dsn = mem_printf("%s user=weak", seen.dsn);
	seen.section.control.run_dsn = dsn;
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_REFUSED);
	mem_free(&dsn);

	prepare(&seen, SHELL("true"));
	seen.section.control.run_dsn = S("host=127.0.0.1 port=1 user=postgres");
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_UNREACHABLE);
	assert_int_equal(seen.exit_status, 4);
}

static void a_role_with_just_enough_rights(void **state)
{
	(void)state;
	static struct seen seen;
	char said[4000];
	const struct conf_recorded recorded = {.reader = S("alembic"), .schema = S("public")};
	pg_sql(&cluster, "postgres", "CREATE ROLE conductor LOGIN");
	pg_sql(&cluster, "postgres", "GRANT pg_read_all_stats, pg_signal_backend TO conductor");
	init_database(&cluster, "shop", &recorded, "ctl", "conductor", said, sizeof(said));
	sql("ALTER TABLE alembic_version OWNER TO conductor");
	pg_sql(&cluster, "postgres", "CREATE ROLE app LOGIN");
	PGconn *super = client("super");
	char *text = mem_printf("host=%s port=%u dbname=shop user=app", cluster.dir, cluster.port);
	PGconn *app = PQconnectdb(text);
	mem_free(&text);

	prepare(&seen, SHELL(UPDATE));
	char *dsn = mem_printf("host=%s port=%u dbname=shop user=conductor", cluster.dir, cluster.port);
	seen.section.control.run_dsn = dsn;
	seen.request.drain_timeout_ns = 0;
	conduct(&seen);
	/* It may end an app's session, and not a superuser's. */
	assert_int_equal(seen.outcome, COORD_GAVE_UP);
	assert_told(&seen, "our role may not terminate it");
	assert_told(&seen, "super");
	assert_false(alive(app));
	assert_true(alive(super));
	PQfinish(super);
	PQfinish(app);

	prepare(&seen, SHELL(UPDATE));
	seen.section.control.run_dsn = dsn;
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
	assert_string_equal(seen.to, "b2");
	mem_free(&dsn);
}

/* A client that is killed leaves its statement at the server, and here our role may not end it. */
static void what_cannot_be_ended_is_unresolved(void **state)
{
	(void)state;
	static struct seen seen, next;
	char said[4000];
	const struct conf_recorded recorded = {.reader = S("alembic"), .schema = S("public")};
	init_database(&cluster, "shop", &recorded, "ctl", "conductor", said, sizeof(said));
	char *dsn = mem_printf("host=%s port=%u dbname=shop user=conductor", cluster.dir, cluster.port);
	prepare(&seen,
	    SHELL("PGUSER=postgres psql -qX -c 'SELECT pg_sleep(1000)' & "
		  "while [ $(psql -qXAt -c \"SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT "
		  "pg_sleep(1000)'\") = 0 ]; do :; done"));
	seen.section.control.run_dsn = dsn;
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_UNRESOLVED);
	assert_int_equal(seen.exit_status, 1);
	assert_told(&seen, "left behind by the command, still there");
	assert_sql("SELECT concat_ws('|', outcome, unresolved, exit_status) " LAST_RUN, "failed|t|0");
	prepare(&next, SHELL("true"));
	conduct(&next);
	assert_int_equal(next.outcome, COORD_REFUSED);
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(1000)'");
	mem_free(&dsn);
}

static void two_at_once(void **state)
{
	(void)state;
	static struct seen first, second, third;
	int go[2];
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	char *script =
	    mem_printf("read x </proc/%d/fd/%d; psql -qX -c 'CREATE INDEX CONCURRENTLY ON t (n)'; exit 5",
		(int)getpid(), go[0]);
	prepare(&first, SHELL(script));
	prepare(&second, SHELL(script));
	prepare(&third, SHELL("true"));

	begin(&first);
	until(strcmp(first.state, "running") == 0 || strstr(first.story, "running:") != NULL);
	begin(&second);
	until(strstr(second.story, "attached to run") != NULL);
	begin(&third);
	until(third.ends > 0);
	assert_int_equal(third.outcome, COORD_REFUSED);
	assert_non_null(strstr(third.text, "ann@build7"));
	assert_non_null(strstr(third.hint, "--wait"));

	prepare(&third, SHELL("true"));
	third.request.wait = true;
	begin(&third);
	until(strstr(third.story, "waiting: run") != NULL);
	assert_int_equal(first.ends + second.ends + third.ends, 0);
	/* An index built concurrently waits for every old snapshot: those who wait have none. */
	assert_int_equal(write(go[1], "\n", 1), 1);
	until(first.ends > 0 && second.ends > 0 && third.ends > 0);
	assert_int_equal(first.exit_status, 5);
	assert_int_equal(second.exit_status, 5);
	assert_int_equal(second.outcome, COORD_FAILED);
	assert_true(second.attached);
	assert_int_equal(second.run_id, first.run_id);
	assert_int_equal(third.outcome, COORD_SUCCEEDED);
	assert_true(third.run_id > first.run_id);
	assert_sql("SELECT count(*) FROM headgate.run", "2");
	assert_sql("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND indisvalid", "1");
	sql("DROP INDEX t_n_idx");
	mem_free(&script);
	close(go[0]), close(go[1]);
}

static void many_at_once_run_once(void **state)
{
	(void)state;
	enum { MANY = 6 };
	static struct seen seen[MANY];
	int go[2];
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	sql("TRUNCATE t");
	char *script = mem_printf(
	    "psql -qX -c 'INSERT INTO t VALUES (1)'; read x </proc/%d/fd/%d", (int)getpid(), go[0]);
	char *const *argv = SHELL(script);
	for (int i = 0; i < MANY; i++) {
		prepare(&seen[i], argv);
		begin(&seen[i]);
	}
	int attached = 0;
	while (attached < MANY - 1) {
		event_base_loop(base, EVLOOP_ONCE);
		attached = 0;
		for (int i = 0; i < MANY; i++)
			attached += strstr(seen[i].story, "attached to run") != NULL;
	}
	assert_int_equal(write(go[1], "\n", 1), 1);
	for (int i = 0; i < MANY; i++) {
		until(seen[i].ends > 0);
		assert_int_equal(seen[i].outcome, COORD_SUCCEEDED);
	}
	assert_sql("SELECT count(*) FROM t", "1");
	mem_free(&script);
	close(go[0]), close(go[1]);
}

static void a_lock_without_a_run(void **state)
{
	(void)state;
	static struct seen seen;
	PGconn *holder = client("holder");
	run_sql(holder, "SELECT pg_advisory_lock(" LEDGER_LOCK ")");
	prepare(&seen, SHELL("true"));
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_REFUSED);
	char *pid = mem_printf("pid %d ", PQbackendPID(holder));
	assert_non_null(strstr(seen.text, pid));
	assert_non_null(strstr(seen.text, "holder"));
	mem_free(&pid);

	prepare(&seen, SHELL("true"));
	seen.request.wait = true;
	begin(&seen);
	until(strstr(seen.story, "waiting: the lock") != NULL);
	PQfinish(holder);
	until(seen.ends > 0);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
}

static void cancelling(void **state)
{
	(void)state;
	static struct seen seen;
	/* at once */
	prepare(&seen, SHELL("true"));
	begin(&seen);
	coord_cancel(seen.coord);
	until(seen.ends > 0);
	assert_int_equal(seen.outcome, COORD_CANCELLED);

	/* while it waits for another */
	PGconn *holder = client("holder");
	run_sql(holder, "SELECT pg_advisory_lock(" LEDGER_LOCK ")");
	prepare(&seen, SHELL("true"));
	seen.request.wait = true;
	begin(&seen);
	until(strstr(seen.story, "waiting: the lock") != NULL);
	coord_cancel(seen.coord);
	until(seen.ends > 0);
	assert_int_equal(seen.outcome, COORD_CANCELLED);
	PQfinish(holder);
	assert_sql("SELECT count(*) FROM headgate.run", "0");

	/* while the command runs it is the command's matter */
	int out[2];
	char said[16];
	assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	prepare(&seen, SHELL("trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done"));
	seen.request.out_fd = out[1];
	begin(&seen);
	until(read(out[0], said, sizeof(said)) > 0);
	coord_cancel(seen.coord);
	until(seen.ends > 0);
	assert_int_equal(seen.outcome, COORD_FAILED);
	assert_int_equal(seen.exit_status, 9);
	assert_sql("SELECT concat_ws('|', outcome, unresolved, exit_status) " LAST_RUN, "failed|f|9");
	close(out[0]), close(out[1]);
}

static void freeing_in_the_middle_releases(void **state)
{
	(void)state;
	static struct seen seen;
	int held[2];
	char byte;
	assert_int_equal(pipe2(held, O_CLOEXEC), 0);
	char *script = mem_printf("exec >/proc/%d/fd/%d 2>&1; sleep 1000", (int)getpid(), held[1]);
	prepare(&seen, SHELL(script));
	begin(&seen);
	until(strstr(seen.story, "running:") != NULL);
	until(strcmp(look("SELECT count(*) FROM headgate.run WHERE state = 'running'"), "1") == 0);
	coord_free(&seen.coord);
	close(held[1]);
	assert_int_equal(read(held[0], &byte, 1), 0);
	close(held[0]);
	while (strcmp(look("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0") != 0)
		usleep(5000);
	mem_free(&script);
}

static void the_deadline_stops_the_command_and_its_statement(void **state)
{
	(void)state;
	static struct seen seen;
	prepare(&seen, SHELL("trap '' TERM; psql -qX -c 'SELECT pg_sleep(1000)' & wait; wait"));
	seen.request.deadline_ns = CLOCK_S;
	seen.section.hold.max_ns = 500 * CLOCK_MS;
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_FAILED);
	assert_int_not_equal(seen.exit_status, 0);
	assert_told(&seen, "past hold.max (500ms)");
	assert_told(&seen, "past the run's deadline");
	assert_told(&seen, "left behind by the command, terminated");
	assert_sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'", "0");
	assert_sql("SELECT concat_ws('|', outcome, unresolved) " LAST_RUN, "failed|f");
	assert_non_null(strstr(seen.text, "deadline"));
}

static void the_first_migration_makes_the_table(void **state)
{
	(void)state;
	static struct seen seen;
	sql("DROP TABLE alembic_version");
	prepare(&seen,
	    SHELL("psql -qX -c 'CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)' -c "
		  "\"INSERT INTO alembic_version VALUES ('a1')\""));
	char *dsn = mem_printf("%s user=ctl", seen.dsn);
	seen.section.control.dsn = dsn;
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
	assert_string_equal(seen.from, "none");
	assert_string_equal(seen.to, "a1");
	assert_sql("SELECT has_table_privilege('ctl', 'alembic_version', 'SELECT')", "t");
	assert_sql("SELECT count(*) FROM pg_trigger WHERE tgname = 'headgate_nudge' AND tgrelid = "
		   "'alembic_version'::regclass",
	    "1");
	mem_free(&dsn);
}

static void output_that_the_database_cannot_hold(void **state)
{
	(void)state;
	static struct seen seen;
	char said[4000];
	const struct conf_recorded recorded = {.reader = S("headgate")};
	pg_sql(&cluster, "postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
	init_database(&cluster, "latin", &recorded, "ctl", "postgres", said, sizeof(said));
	prepare(&seen, SHELL("printf 'gr\\303\\274n \\342\\202\\254 \\033[0m \\377'"));
	seen.section.recorded = recorded;
	seen.request.dbname = "latin";
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
	assert_string_equal(
	    pg_sql(&cluster, "latin", "SELECT output_tail " LAST_RUN), "gr??n ??? \\x1b[0m \\xff");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_run_from_lock_to_release, clean),
	    cmocka_unit_test_setup(the_commands_environment, clean),
	    cmocka_unit_test_setup(a_failing_command_is_concluded, clean),
	    cmocka_unit_test_setup(a_target, clean),
	    cmocka_unit_test_setup(refusals_disturb_nobody, clean),
	    cmocka_unit_test_setup(a_role_with_just_enough_rights, clean),
	    cmocka_unit_test_setup(what_cannot_be_ended_is_unresolved, clean),
	    cmocka_unit_test_setup(two_at_once, clean),
	    cmocka_unit_test_setup(many_at_once_run_once, clean),
	    cmocka_unit_test_setup(a_lock_without_a_run, clean),
	    cmocka_unit_test_setup(cancelling, clean),
	    cmocka_unit_test_setup(freeing_in_the_middle_releases, clean),
	    cmocka_unit_test_setup(the_deadline_stops_the_command_and_its_statement, clean),
	    cmocka_unit_test_setup(the_first_migration_makes_the_table, clean),
	    cmocka_unit_test_setup(output_that_the_database_cannot_hold, clean),
	};
	coord_tests_begin();
	return coord_tests_end(cmocka_run_group_tests(tests, NULL, NULL));
}
