/* The coordinator, part two: proxies, the drain, the fence; and what dies. */
#include "schema_coord.h"

#define UPDATE  "psql -qX -c \"UPDATE alembic_version SET version_num = 'b2'\""
#define FOREVER 3600000

static void a_proxy_is_waited_for(void **state)
{
	(void)state;
	static struct seen seen;
	struct proxy proxy = proxy_new("0001", FOREVER);
	PGconn *parked = client("parked"), *stranger = client("stranger");
	prepare(&seen, SHELL(UPDATE));
	begin(&seen);
	until(strstr(seen.story, "draining: 0 of 1 proxy, 0 clients busy") != NULL);
	proxy_renew(&proxy, NULL, NULL);
	assert_sql("SELECT run_id " LAST_RUN, proxy.run);

	/* an acknowledgement of another run is none */
	proxy_renew(&proxy, "999999", NULL);
	assert_sql("SELECT state " LAST_RUN, "draining");
	assert_true(alive(stranger));
	run_sql(parked, "BEGIN");
	until(strstr(seen.story, "draining: 0 of 1 proxy, 1 client busy") != NULL);
	run_sql(parked, "COMMIT");

	char *pids = mem_printf("{%d}", PQbackendPID(parked));
	proxy_ack(&proxy, pids);
	mem_free(&pids);
	until(seen.ends > 0);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
	assert_told(&seen, "fenced, terminated: pid");
	assert_told(&seen, "stranger");
	assert_true(alive(parked));
	assert_false(alive(stranger));
	assert_true(alive(proxy.link));
	proxy_renew(&proxy, NULL, NULL);
	assert_string_equal(proxy.run, "");
	PQfinish(parked);
	PQfinish(stranger);
	proxy_gone(&proxy);
}

static void every_proxy_is_waited_for(void **state)
{
	(void)state;
	static struct seen seen;
	struct proxy one = proxy_new("0001", FOREVER), two = proxy_new("0002", FOREVER);
	prepare(&seen, SHELL(UPDATE));
	begin(&seen);
	until(strstr(seen.story, "draining: 0 of 2 proxies") != NULL);
	proxy_renew(&one, NULL, NULL);
	proxy_ack(&one, "{}");
	until(strstr(seen.story, "draining: 1 of 2 proxies") != NULL);
	/* A third comes in the middle: it sees the run, and is waited for too. */
	struct proxy three = proxy_new("0003", FOREVER);
	assert_string_equal(three.run, one.run);
	until(strstr(seen.story, "draining: 1 of 3 proxies") != NULL);
	proxy_renew(&two, NULL, NULL);
	proxy_ack(&two, "{}");
	proxy_ack(&three, "{}");
	until(seen.ends > 0);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
	PQfinish(two.link);
	PQfinish(three.link);
	proxy_gone(&one);
}

static void a_silent_proxys_lease_runs_out(void **state)
{
	(void)state;
	static struct seen seen;
	struct proxy proxy = proxy_new("0001", 2500);
	PGconn *cut_off = client("cutoff");
	run_sql(cut_off, "BEGIN");
	run_sql(cut_off, "SELECT * FROM t");
	prepare(&seen, SHELL("true"));
	/* The drain time-out is not for it: there is nobody to press. */
	seen.request.drain_timeout_ns = 10 * CLOCK_MS;
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
	assert_told(&seen, "waiting for the lease of a silent one");
	assert_sql("SELECT n.drained_at > p.seen_at + p.lease_ms * interval '1 ms' FROM headgate.proxy p, "
		   "headgate.run n",
	    "t");
	/* What it had under way is fenced. */
	assert_false(alive(cut_off));
	PQfinish(cut_off);
	proxy_gone(&proxy);
}

static void an_acknowledged_number_used_again_is_a_stranger(void **state)
{
	(void)state;
	static struct seen seen;
	struct proxy proxy = proxy_new("0001", FOREVER);
	prepare(&seen, SHELL("true"));
	begin(&seen);
	until(strstr(seen.story, "draining: 0 of 1 proxy") != NULL);
	PGconn *late = client("late");
	char *ack = mem_printf(
	    "UPDATE headgate.proxy SET acked_run = (SELECT max(run_id) FROM headgate.run), pids = '{%d}', "
	    "seen_at = (SELECT backend_start - interval '1 ms' FROM pg_stat_activity WHERE pid = %d)",
	    PQbackendPID(late), PQbackendPID(late));
	sql(ack);
	until(seen.ends > 0);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
	assert_false(alive(late));
	mem_free(&ack);
	PQfinish(late);
	proxy_gone(&proxy);
}

static void strangers_stop_the_run_by_policy(void **state)
{
	(void)state;
	static struct seen seen;
	PGconn *stranger = client("stranger");
	prepare(&seen, SHELL("true"));
	seen.section.fence.terminate_strangers = false;
	seen.request.drain_timeout_ns = 0;
	seen.request.attempts = 2;
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_GAVE_UP);
	assert_int_equal(seen.exit_status, 1);
	assert_told(&seen, "no proxy answers for it: pid");
	assert_told(&seen, "stranger");
	assert_non_null(strstr(seen.hint, "fence.strangers: terminate"));
	assert_true(alive(stranger));
	assert_sql("SELECT string_agg(concat_ws('|', attempt, state, outcome, unresolved), ',' ORDER BY "
		   "run_id) FROM headgate.run",
	    "1|ended|gave_up|f,2|ended|gave_up|f");
	assert_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0");

	/* It leaves in time. */
	prepare(&seen, SHELL("true"));
	seen.section.fence.terminate_strangers = false;
	begin(&seen);
	until(strstr(seen.story, "fencing: 1 session") != NULL);
	PQfinish(stranger);
	until(seen.ends > 0);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
}

static void exempt_roles_stay(void **state)
{
	(void)state;
	static struct seen seen;
	char *roles[] = {S("other"), S("backup")};
	pg_sql(&cluster, "postgres", "CREATE ROLE backup LOGIN");
	char *dsn = mem_printf("host=%s port=%u dbname=shop user=backup", cluster.dir, cluster.port);
	PGconn *backup = PQconnectdb(dsn);
	run_sql(backup, "BEGIN");
	run_sql(backup, "SELECT 1");
	prepare(&seen, SHELL("true"));
	seen.section.fence.exempt_roles = roles;
	seen.section.fence.exempt_count = 2;
	conduct(&seen);
	assert_int_equal(seen.outcome, COORD_SUCCEEDED);
	assert_told(&seen, "1 transaction of exempt roles is open");
	assert_true(alive(backup));
	PQfinish(backup);
	mem_free(&dsn);
}

static void a_prepared_transaction_stops_the_fence(void **state)
{
	(void)state;
	static struct seen seen;
	struct proxy proxy = proxy_new("0001", FOREVER);
	PGconn *busy = client("busy");
	run_sql(busy, "BEGIN; INSERT INTO t VALUES (1)");
	prepare(&seen, SHELL("true"));
	seen.request.drain_timeout_ns = CLOCK_S;
	begin(&seen);
	until(strstr(seen.story, "1 client busy") != NULL);
	run_sql(busy, "PREPARE TRANSACTION 'p'");
	proxy_renew(&proxy, NULL, NULL);
	proxy_ack(&proxy, "{}");
	until(seen.ends > 0);
	assert_int_equal(seen.outcome, COORD_GAVE_UP);
	assert_non_null(strstr(seen.text, "prepared transaction"));
	assert_non_null(strstr(seen.hint, "ROLLBACK PREPARED"));
	sql("ROLLBACK PREPARED 'p'");
	PQfinish(busy);
	proxy_gone(&proxy);
}

/* A proxy that speaks and does not drain, past the time-out. */
static void giving_up_names_who_is_in_the_way(void **state)
{
	(void)state;
	static struct seen seen;
	struct proxy proxy = proxy_new("0001", FOREVER);
	PGconn *busy = client("busyapp");
	run_sql(busy, "BEGIN");
	run_sql(busy, "SELECT * FROM t");
	prepare(&seen, SHELL("true"));
	seen.request.drain_timeout_ns = 200 * CLOCK_MS;
	seen.request.attempts = 2;
	begin(&seen);
	while (seen.ends == 0) {
		proxy_renew(&proxy, NULL, NULL);
		event_base_loop(base, EVLOOP_ONCE);
	}
	assert_int_equal(seen.outcome, COORD_GAVE_UP);
	assert_told(&seen, "in the way: pid");
	assert_told(&seen, "busyapp");
	assert_told(&seen, "idle in transaction");
	assert_told(&seen, "attempt 1 gave up");
	assert_non_null(strstr(seen.hint, "End those transactions, give --on-timeout cancel or terminate"));
	assert_true(alive(busy));
	assert_sql("SELECT string_agg(outcome, ',') FROM headgate.run", "gave_up,gave_up");
	PQfinish(busy);
	proxy_gone(&proxy);
}

static void press(enum conf_on_timeout how, const char *query, const char *sqlstate)
{
	static struct seen seen;
	struct proxy proxy = proxy_new("0001", FOREVER);
	PGconn *busy = client("busyapp");
	run_sql(busy, "BEGIN");
	if (query != NULL)
		assert_int_equal(PQsendQuery(busy, query), 1);
	prepare(&seen, SHELL("true"));
	seen.request.drain_timeout_ns = 2 * CLOCK_S;
	seen.request.on_timeout = how;
	begin(&seen);
	/* The client's query ends (or its session does), it rolls back, and its proxy says so. */
	bool over = false;
	char state[6] = "";
	while (!over) {
		proxy_renew(&proxy, NULL, NULL);
		event_base_loop(base, EVLOOP_ONCE);
		over = PQconsumeInput(busy) == 0 || PQstatus(busy) == CONNECTION_BAD;
		if (query != NULL && !over && !PQisBusy(busy)) {
			PGresult *result = PQgetResult(busy);
			snprintf(state, sizeof(state), "%s", PQresultErrorField(result, PG_DIAG_SQLSTATE));
			over = true;
			PQclear(result);
			while ((result = PQgetResult(busy)) != NULL)
				PQclear(result);
		}
	}
	assert_string_equal(state, sqlstate);
	if (how == TIMEOUT_CANCEL)
		run_sql(busy, "ROLLBACK");
	char *pids = mem_printf("{%d}", PQbackendPID(busy));
	proxy_ack(&proxy, pids);
	until(seen.ends > 0);
	if (seen.outcome != COORD_SUCCEEDED)
		fail_msg("%s", seen.story);
	assert_int_equal(alive(busy), how == TIMEOUT_CANCEL);
	assert_told(&seen, "past the drain time-out");
	assert_told(&seen, how == TIMEOUT_CANCEL ? "cancelled: pid" : "terminated: pid");
	mem_free(&pids);
	PQfinish(busy);
	proxy_gone(&proxy);
}

static void pressing(void **state)
{
	(void)state;
	press(TIMEOUT_CANCEL, "SELECT pg_sleep(1000)", "57014");
	press(TIMEOUT_TERMINATE, "SELECT pg_sleep(1000)", "57P01");
	press(TIMEOUT_TERMINATE, NULL, "");
}

static void cancelling_a_drain_releases(void **state)
{
	(void)state;
	static struct seen seen;
	struct proxy proxy = proxy_new("0001", FOREVER);
	prepare(&seen, SHELL("true"));
	seen.request.attempts = 3;
	begin(&seen);
	until(strstr(seen.story, "draining: 0 of 1 proxy") != NULL);
	coord_cancel(seen.coord);
	until(seen.ends > 0);
	assert_int_equal(seen.outcome, COORD_CANCELLED);
	assert_sql("SELECT concat_ws('|', outcome, unresolved) FROM headgate.run", "cancelled|f");
	proxy_renew(&proxy, NULL, NULL);
	assert_string_equal(proxy.run, "");
	proxy_gone(&proxy);
}

static void killed_while_draining(void **state)
{
	(void)state;
	static struct seen seen;
	struct proxy proxy = proxy_new("0001", FOREVER);
	prepare(&seen, SHELL("true"));
	pid_t pid = coordinator(&seen);
	wait_for_run("draining");
	proxy_renew(&proxy, NULL, NULL);
	assert_string_not_equal(proxy.run, "");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	while (proxy.run[0] != '\0')
		proxy_renew(&proxy, NULL, NULL);
	assert_string_equal(proxy.unresolved, "");
	assert_sql("SELECT concat_ws('|', outcome, unresolved) FROM headgate.run", "abandoned|f");
	proxy_gone(&proxy);
}

static void who_was_attached_takes_over(void **state)
{
	(void)state;
	static struct seen first, second;
	struct proxy proxy = proxy_new("0001", FOREVER);
	prepare(&first, SHELL(UPDATE));
	prepare(&second, SHELL(UPDATE));
	pid_t pid = coordinator(&first);
	wait_for_run("draining");
	begin(&second);
	until(strstr(second.story, "attached to run") != NULL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	until(strstr(second.story, "announced") != NULL);
	proxy_renew(&proxy, NULL, NULL);
	proxy_ack(&proxy, "{}");
	until(second.ends > 0);
	assert_int_equal(second.outcome, COORD_SUCCEEDED);
	assert_false(second.attached);
	assert_string_equal(second.to, "b2");
	assert_sql(
	    "SELECT string_agg(outcome, ',' ORDER BY run_id) FROM headgate.run", "abandoned,succeeded");
	proxy_gone(&proxy);
}

struct resolved {
	int ends;
	enum coord_resolved how;
	char text[300];
};

static void on_resolved(enum coord_resolved how, int64_t run_id, const char *text, void *arg)
{
	struct resolved *resolved = arg;
	(void)run_id;
	resolved->ends++;
	resolved->how = how;
	snprintf(resolved->text, sizeof(resolved->text), "%s", text);
}

static struct resolved resolve(const struct seen *seen)
{
	struct resolved resolved = {.ends = 0};
	const struct resolution_request request = {
	    .base = base,
	    .resolver = resolver,
	    .section = &seen->section,
	    .who = "bob@home",
	    .note = "undone: looked",
	    .done = on_resolved,
	    .arg = &resolved,
	};
	struct resolution *resolution = resolution_start(&request);
	until(resolved.ends > 0);
	resolution_free(&resolution);
	return resolved;
}

static void killed_while_the_command_runs(void **state)
{
	(void)state;
	static struct seen seen, next;
	int held[2];
	char byte;
	struct proxy proxy = proxy_new("0001", FOREVER);
	assert_int_equal(pipe2(held, O_CLOEXEC), 0);
	/* The command, what it started, and what left its group hold the pipe. */
	char *script = mem_printf(
	    "exec >/proc/%d/fd/%d 2>&1; psql -qX -c 'SELECT pg_sleep(1000)' & setsid sleep 1000 & echo; wait",
	    (int)getpid(), held[1]);
	prepare(&seen, SHELL(script));
	pid_t pid = coordinator(&seen);
	wait_for_run("draining");
	proxy_renew(&proxy, NULL, NULL);
	proxy_ack(&proxy, "{}");
	assert_int_equal(read(held[0], &byte, 1), 1);
	while (strcmp(look("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(1000)'"),
		   "1") != 0)
		usleep(5000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(held[1]);
	assert_int_equal(read(held[0], &byte, 1), 0);
	while (proxy.run[0] != '\0')
		proxy_renew(&proxy, NULL, NULL);
	assert_sql("SELECT concat_ws('|', outcome, unresolved) FROM headgate.run", "failed|t");
	assert_string_not_equal(proxy.unresolved, "");

	/* Nobody runs over it. */
	prepare(&next, SHELL(UPDATE));
	conduct(&next);
	assert_int_equal(next.outcome, COORD_REFUSED);
	assert_non_null(strstr(next.text, "left half way"));
	assert_non_null(strstr(next.hint, "headgate resolve"));

	/* A client that is killed leaves its statement at the server, which goes on. */
	struct resolved resolved = resolve(&seen);
	assert_int_equal(resolved.how, COORD_NOT_RESOLVED);
	assert_non_null(strstr(resolved.text, "still at work"));
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(1000)'");
	do
		resolved = resolve(&seen);
	while (resolved.how == COORD_NOT_RESOLVED);
	assert_int_equal(resolved.how, COORD_RESOLVED);
	assert_sql("SELECT concat_ws('|', outcome, unresolved, resolved_by, resolved_note, resolved_at IS "
		   "NOT NULL) FROM headgate.run",
	    "failed|f|bob@home|undone: looked|t");
	proxy_renew(&proxy, NULL, NULL);
	assert_string_equal(proxy.unresolved, "");
	assert_int_equal(resolve(&seen).how, COORD_NOTHING_UNRESOLVED);
	proxy_gone(&proxy);

	prepare(&next, SHELL(UPDATE));
	conduct(&next);
	assert_int_equal(next.outcome, COORD_SUCCEEDED);
	mem_free(&script);
	close(held[0]);
}

/* No proxy is there to notice: resolve, and the next run, do. */
static void an_orphan_without_proxies(void **state)
{
	(void)state;
	static struct seen seen;
	for (int i = 0; i < 2; i++) {
		prepare(&seen, SHELL("sleep 1000"));
		pid_t pid = coordinator(&seen);
		wait_for_run("running");
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (strcmp(look("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0") != 0)
			usleep(5000);
		assert_sql("SELECT state " LAST_RUN, "running");
		if (i == 0) {
			prepare(&seen, SHELL("true"));
			conduct(&seen);
			assert_int_equal(seen.outcome, COORD_REFUSED);
			assert_non_null(strstr(seen.text, "left half way"));
		}
		assert_int_equal(resolve(&seen).how, COORD_RESOLVED);
		assert_sql("SELECT concat_ws('|', outcome, unresolved) " LAST_RUN, "failed|f");
	}
}

static void end_coordinator(void)
{
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'headgate "
	    "exec'");
}

static void a_connection_lost_while_draining(void **state)
{
	(void)state;
	static struct seen seen;
	struct proxy proxy = proxy_new("0001", FOREVER);
	prepare(&seen, SHELL("true"));
	begin(&seen);
	until(strstr(seen.story, "draining: 0 of 1 proxy") != NULL);
	end_coordinator();
	until(seen.ends > 0);
	assert_int_equal(seen.outcome, COORD_LOST);
	assert_int_equal(seen.exit_status, 1);
	assert_non_null(strstr(seen.hint, "first proxy"));
	do
		proxy_renew(&proxy, NULL, NULL);
	while (proxy.run[0] != '\0');
	assert_sql("SELECT concat_ws('|', outcome, unresolved) FROM headgate.run", "abandoned|f");
	proxy_gone(&proxy);
}

static void a_connection_lost_while_the_command_runs(void **state)
{
	(void)state;
	static struct seen seen;
	int held[2];
	char byte;
	assert_int_equal(pipe2(held, O_CLOEXEC), 0);
	char *script =
	    mem_printf("exec >/proc/%d/fd/%d 2>&1; sleep 1000 & echo; wait", (int)getpid(), held[1]);
	prepare(&seen, SHELL(script));
	begin(&seen);
	until(strstr(seen.story, "running:") != NULL);
	assert_int_equal(read(held[0], &byte, 1), 1);
	close(held[1]);
	end_coordinator();
	until(seen.ends > 0);
	assert_int_equal(seen.outcome, COORD_LOST);
	assert_int_equal(seen.exit_status, 1);
	assert_non_null(strstr(seen.hint, "headgate resolve"));
	assert_int_equal(read(held[0], &byte, 1), 0);
	struct proxy proxy = proxy_new("0001", FOREVER);
	assert_sql("SELECT concat_ws('|', outcome, unresolved) FROM headgate.run", "failed|t");
	proxy_gone(&proxy);
	mem_free(&script);
	close(held[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_proxy_is_waited_for, clean),
	    cmocka_unit_test_setup(every_proxy_is_waited_for, clean),
	    cmocka_unit_test_setup(a_silent_proxys_lease_runs_out, clean),
	    cmocka_unit_test_setup(an_acknowledged_number_used_again_is_a_stranger, clean),
	    cmocka_unit_test_setup(strangers_stop_the_run_by_policy, clean),
	    cmocka_unit_test_setup(exempt_roles_stay, clean),
	    cmocka_unit_test_setup(a_prepared_transaction_stops_the_fence, clean),
	    cmocka_unit_test_setup(giving_up_names_who_is_in_the_way, clean),
	    cmocka_unit_test_setup(pressing, clean),
	    cmocka_unit_test_setup(cancelling_a_drain_releases, clean),
	    cmocka_unit_test_setup(killed_while_draining, clean),
	    cmocka_unit_test_setup(who_was_attached_takes_over, clean),
	    cmocka_unit_test_setup(killed_while_the_command_runs, clean),
	    cmocka_unit_test_setup(an_orphan_without_proxies, clean),
	    cmocka_unit_test_setup(a_connection_lost_while_draining, clean),
	    cmocka_unit_test_setup(a_connection_lost_while_the_command_runs, clean),
	};
	coord_tests_begin();
	return coord_tests_end(cmocka_run_group_tests(tests, NULL, NULL));
}
