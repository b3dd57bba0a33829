/* The control link against real servers: what its news say, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gate/lease.h"
#include "net/resolve.h"
#include "pg_cluster.h"
#include "schema/link.h"
#include "schema_init.h"

static struct pg_cluster cluster;
static struct event_base *base;
static struct resolver *resolver;
#define S(text) ((char *)(uintptr_t)(text))
#define ID      "22222222-2222-2222-2222-222222222222"

/* What was told last, copied. */
struct seen {
	struct link *link;
	struct lease *lease;
	struct conf_database section;
	char dsn[300];
	unsigned news;
	bool fresh, connected, registered, standby;
	enum recorded_state state;
	bool by_run;
	char heads[200], detail[400], trouble[400], sqlstate[6];
	int64_t run;
	bool holding, target_known;
	char from[100], target[100], who[100], reason[100];
	unsigned pins;
	char pin[100];
	bool acknowledge_in_news, stop_in_news;
};

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "");
}

static void on_news(const struct link_news *news, void *arg)
{
	struct seen *seen = arg;
	seen->news++;
	seen->fresh = news->fresh;
	seen->connected = news->connected;
	seen->registered = news->registered;
	seen->standby = news->standby;
	seen->state = news->recorded.state;
	copy(seen->heads, sizeof(seen->heads), heads_text(&news->recorded.heads));
	copy(seen->detail, sizeof(seen->detail), news->recorded.detail);
	seen->by_run = news->recorded.by_run;
	copy(seen->trouble, sizeof(seen->trouble), news->trouble);
	copy(seen->sqlstate, sizeof(seen->sqlstate), news->trouble_sqlstate);
	seen->run = news->run.id;
	seen->holding = news->run.holding;
	seen->target_known = news->run.target_known;
	copy(seen->from, sizeof(seen->from), heads_text(&news->run.from));
	copy(seen->target, sizeof(seen->target), heads_text(&news->run.target));
	copy(seen->who, sizeof(seen->who), news->run.who);
	copy(seen->reason, sizeof(seen->reason), news->run.reason);
	seen->pins = news->pin_count;
	copy(seen->pin, sizeof(seen->pin), news->pin_count > 0 ? heads_text(&news->pins[0].heads) : "");
	if (seen->acknowledge_in_news && news->run.id != 0)
		link_acknowledge(seen->link, news->run.id, (const int32_t[]){11, 12}, 2);
	if (seen->stop_in_news)
		link_stop(&seen->link);
}

/* Every test's struct is static: a test that failed leaves its link behind, which goes on telling. */
static void start_with(
    struct seen *seen, const char *dsn, const char *dbname, int64_t lease_ns, struct conf_recorded recorded)
{
	char error[200];
	memset(seen, 0, sizeof(*seen));
	snprintf(seen->dsn, sizeof(seen->dsn), "%s", dsn);
	seen->section = (struct conf_database){
	    .name = S("shop"), .lease_ns = lease_ns, .control = {.dsn = seen->dsn}, .recorded = recorded};
	seen->lease = lease_new();
	seen->link = link_start(&(struct link_request){.base = base,
				    .resolver = resolver,
				    .section = &seen->section,
				    .name = "shop",
				    .dbname = dbname,
				    .proxy_id = ID,
				    .proxy_name = "here:1",
				    .lease = seen->lease,
				    .news = on_news,
				    .arg = seen},
	    error, sizeof(error));
	assert_non_null(seen->link);
	assert_int_equal(seen->news, 0);
}

static void start(struct seen *seen, const char *dsn, const char *dbname, int64_t lease_ns)
{
	start_with(seen, dsn, dbname, lease_ns,
	    (struct conf_recorded){.reader = S("alembic"), .schema = S("public")});
}

static void stop(struct seen *seen)
{
	link_stop(&seen->link);
	lease_unref(&seen->lease);
}

/* Runs the loop until a condition holds; a test that never gets there is ended by the alarm. */
#define until(condition)                                                                                     \
	while (!(condition))                                                                                 \
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0)

static const char *sql(const char *text)
{
	return pg_sql(&cluster, "shop", text);
}

static PGconn *coordinator(void)
{
	PGconn *conn = PQconnectdb(pg_dsn(&cluster, "shop"));
	/* waits: the session that had it before may still be on its way out */
	PGresult *result = PQexec(conn, "SELECT pg_advisory_lock(" LEDGER_LOCK ")");
	assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
	PQclear(result);
	return conn;
}

static void run_sql(PGconn *conn, const char *text)
{
	PGresult *result = PQexec(conn, text);
	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
		fail_msg("%s: %s", text, PQerrorMessage(conn));
	PQclear(result);
}

#define ANNOUNCE                                                                                             \
	"SELECT headgate.announce('exec', true, 1, 'ann@build7', 'ann', 'build7', 'why', '{x}', '{a1}', "    \
	"'clean', '{c3,b2}')"
#define END                                                                                                  \
	"UPDATE headgate.run SET state = 'ended', outcome = 'succeeded', ended_at = now() WHERE state <> "   \
	"'ended'"

/* From a bare database to a registered proxy, with nothing restarted. */
static void without_and_with_a_ledger(void **state)
{
	(void)state;
	static struct seen seen;
	char said[4000];
	pg_sql(&cluster, "postgres", "CREATE DATABASE shop");
	int64_t before = clock_now();
	start(&seen, pg_dsn(&cluster, "postgres"), "shop", 2 * CLOCK_S);
	until(seen.news > 0);
	assert_true(seen.fresh && seen.connected);
	assert_false(seen.registered || seen.standby);
	assert_int_equal(seen.state, RECORDED_ABSENT);
	assert_non_null(strstr(seen.trouble, "headgate init"));
	assert_true(lease_deadline(seen.lease) >= before + 2 * CLOCK_S);
	assert_true(lease_deadline(seen.lease) <= clock_now() + 2 * CLOCK_S);

	sql("CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY)");
	until(seen.state == RECORDED_EMPTY);
	sql("INSERT INTO public.alembic_version VALUES ('a1')");
	until(seen.state == RECORDED_CLEAN);
	assert_string_equal(seen.heads, "a1");

	pg_sql(&cluster, "postgres", "CREATE ROLE ctl LOGIN");
	init_database(&cluster, "shop", &seen.section.recorded, "ctl", "postgres", said, sizeof(said));
	until(seen.registered);
	assert_true(seen.fresh);
	assert_string_equal(seen.trouble, "");
	assert_string_equal(
	    sql("SELECT name || ' ' || lease_ms FROM headgate.proxy WHERE proxy_id = '" ID "'"),
	    "here:1 2000");
	assert_string_equal(
	    sql("SELECT count(*) FROM pg_stat_activity a JOIN headgate.proxy p ON p.link_pid = a.pid"), "1");

	/* its row removed: comes back */
	sql("DELETE FROM headgate.proxy");
	while (strcmp(sql("SELECT count(*) FROM headgate.proxy"), "1") != 0)
		event_base_loop(base, EVLOOP_ONCE);

	/* its ledger removed and made again */
	sql("DROP SCHEMA headgate CASCADE");
	until(!seen.registered && seen.fresh && strstr(seen.trouble, "headgate init") != NULL);
	init_database(&cluster, "shop", &seen.section.recorded, "ctl", "postgres", said, sizeof(said));
	until(seen.registered);

	/* leaves by the door */
	stop(&seen);
	while (strcmp(sql("SELECT count(*) FROM headgate.proxy"), "0") != 0)
		;
}

static void ready(struct seen *seen, int64_t lease_ns)
{
	start(seen, pg_dsn(&cluster, "shop"), NULL, lease_ns);
	until(seen->registered && seen->fresh);
}

/* With a renewal a second, five changes told in less than half a second each are nudges. */
static void changes_are_nudged(void **state)
{
	(void)state;
	static struct seen seen;
	ready(&seen, 60 * CLOCK_S);
	int64_t spent = 0;
	for (int i = 0; i < 5; i++) {
		char text[100], head[10];
		snprintf(head, sizeof(head), "n%d", i);
		snprintf(text, sizeof(text), "UPDATE public.alembic_version SET version_num = '%s'", head);
		sql(text);
		int64_t start_ns = clock_now();
		until(strcmp(seen.heads, head) == 0);
		spent += clock_now() - start_ns;
	}
	assert_true(spent < 5 * CLOCK_S / 2);
	sql("UPDATE public.alembic_version SET version_num = 'a1'");
	until(strcmp(seen.heads, "a1") == 0);

	/* nothing changed: nothing told, though the lease grows */
	unsigned news = seen.news;
	int64_t deadline = lease_deadline(seen.lease);
	link_renew(seen.link);
	until(lease_deadline(seen.lease) > deadline);
	assert_int_equal(seen.news, news);
	/* unless a worker starved */
	atomic_store(&seen.lease->starved, true);
	link_renew(seen.link);
	until(seen.news > news);
	assert_false(atomic_load(&seen.lease->starved));
	stop(&seen);
}

static void a_run_from_announcement_to_end(void **state)
{
	(void)state;
	static struct seen seen;
	ready(&seen, 5 * CLOCK_S);
	PGconn *conn = coordinator();
	run_sql(conn, ANNOUNCE);
	until(seen.run != 0);
	assert_true(seen.holding && seen.target_known);
	assert_string_equal(seen.from, "a1");
	assert_string_equal(seen.target, "b2+c3");
	assert_string_equal(seen.who, "ann@build7");
	assert_string_equal(seen.reason, "why");
	assert_string_equal(sql("SELECT acked_run IS NULL FROM headgate.proxy"), "t");

	link_acknowledge(seen.link, seen.run, (const int32_t[]){101, 102}, 2);
	while (
	    strcmp(sql("SELECT acked_run IS NOT NULL AND pids = '{101,102}' FROM headgate.proxy"), "t") != 0)
		event_base_loop(base, EVLOOP_ONCE);
	link_acknowledge(seen.link, seen.run, NULL, 0);
	while (strcmp(sql("SELECT acked_run IS NOT NULL AND pids = '{}' FROM headgate.proxy"), "t") != 0)
		event_base_loop(base, EVLOOP_ONCE);

	run_sql(conn, "BEGIN");
	run_sql(conn, "UPDATE public.alembic_version SET version_num = 'c3'");
	run_sql(conn, END);
	run_sql(conn, "COMMIT");
	until(seen.run == 0);
	assert_string_equal(seen.heads, "c3");
	assert_false(seen.holding);
	while (strcmp(sql("SELECT acked_run IS NULL FROM headgate.proxy"), "t") != 0)
		event_base_loop(base, EVLOOP_ONCE);
	PQfinish(conn);
	stop(&seen);
}

/* The answer to the news may come from inside them, and needs no other renewal. */
static void acknowledging_inside_the_news(void **state)
{
	(void)state;
	static struct seen seen;
	ready(&seen, 5 * CLOCK_S);
	seen.acknowledge_in_news = true;
	PGconn *conn = coordinator();
	run_sql(conn, "LISTEN " LEDGER_ACK_CHANNEL);
	run_sql(conn, ANNOUNCE);
	PGnotify *notify;
	while ((notify = PQnotifies(conn)) == NULL) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		run_sql(conn, "SELECT 1");
	}
	PQfreemem(notify);
	assert_string_equal(sql("SELECT pids FROM headgate.proxy"), "{11,12}");
	run_sql(conn, END);
	until(seen.run == 0);
	PQfinish(conn);
	stop(&seen);
}

static void a_lost_coordinator(void **state)
{
	(void)state;
	static struct seen seen;
	ready(&seen, 5 * CLOCK_S);
	PGconn *conn = coordinator();
	run_sql(conn, ANNOUNCE);
	until(seen.run != 0);
	PQfinish(conn); /* while draining */
	until(seen.run == 0);
	assert_int_equal(seen.state, RECORDED_CLEAN);

	conn = coordinator();
	run_sql(conn, ANNOUNCE);
	run_sql(conn, "UPDATE headgate.run SET state = 'running' WHERE state = 'draining'");
	until(seen.run != 0);
	PQfinish(conn);
	until(seen.run == 0);
	assert_int_equal(seen.state, RECORDED_FAILED);
	assert_string_equal(seen.heads, "c3");
	assert_true(seen.by_run);
	assert_non_null(strstr(seen.detail, " was left half way: its coordinator was lost"));
	assert_non_null(strstr(seen.detail, "ann@build7"));
	sql("SELECT headgate.resolve((SELECT run_id FROM headgate.run WHERE unresolved), 'bob', 'it was "
	    "done')");
	until(seen.state == RECORDED_CLEAN);
	assert_string_equal(seen.detail, "");
	assert_false(seen.by_run);
	stop(&seen);
}

static void pins(void **state)
{
	(void)state;
	static struct seen seen;
	ready(&seen, 5 * CLOCK_S);
	sql("INSERT INTO headgate.pin (head, until, who) VALUES ('old1', now() + interval '1 hour', 'ann'), "
	    "('zz', now() - interval '1s', 'ann')");
	until(seen.pins == 1);
	assert_string_equal(seen.pin, "old1");
	/* its end wanders by less than anybody wants to hear of */
	unsigned news = seen.news;
	int64_t deadline = lease_deadline(seen.lease);
	link_renew(seen.link);
	until(lease_deadline(seen.lease) > deadline);
	assert_int_equal(seen.news, news);
	sql("DELETE FROM headgate.pin");
	until(seen.pins == 0);
	stop(&seen);
}

static void what_keeps_from_reading(void **state)
{
	(void)state;
	static struct seen seen;
	ready(&seen, 5 * CLOCK_S);
	PGconn *conn = PQconnectdb(pg_dsn(&cluster, "shop"));
	run_sql(conn, "BEGIN");
	run_sql(conn, "LOCK TABLE public.alembic_version");
	until(seen.state == RECORDED_RUNNING);
	assert_true(seen.fresh);
	run_sql(conn, "ROLLBACK");
	until(seen.state == RECORDED_CLEAN);
	run_sql(conn, "ALTER TABLE public.alembic_version RENAME TO hidden");
	until(seen.state == RECORDED_ABSENT);
	run_sql(conn, "ALTER TABLE public.hidden RENAME TO alembic_version");
	until(seen.state == RECORDED_CLEAN);
	run_sql(conn, "INSERT INTO public.alembic_version VALUES ('no head; --')");
	until(seen.state == RECORDED_UNREADABLE);
	assert_non_null(strstr(seen.detail, "no head; --"));
	run_sql(conn, "DELETE FROM public.alembic_version WHERE version_num <> 'c3'");
	until(seen.state == RECORDED_CLEAN);
	PQfinish(conn);
	stop(&seen);
}

/* The control role, with what init grants it, and without. */
static void rights(void **state)
{
	(void)state;
	static struct seen seen;
	char dsn[300];
	snprintf(dsn, sizeof(dsn), "host=%s port=%u user=ctl dbname=shop", cluster.dir, cluster.port);
	start(&seen, dsn, NULL, 2 * CLOCK_S);
	until(seen.registered && seen.fresh);
	assert_int_equal(seen.state, RECORDED_CLEAN);
	sql("REVOKE SELECT ON public.alembic_version FROM ctl");
	until(seen.state == RECORDED_UNREADABLE);
	assert_true(seen.fresh);
	assert_non_null(strstr(seen.detail, "headgate init"));
	sql("GRANT SELECT ON public.alembic_version TO ctl");
	until(seen.state == RECORDED_CLEAN);
	/* a ledger that cannot be used may hold a run that cannot be seen: the lease is left to run out */
	sql("REVOKE USAGE ON SCHEMA headgate FROM ctl");
	until(!seen.registered);
	until(!seen.fresh);
	assert_true(clock_now() >= lease_deadline(seen.lease));
	assert_non_null(strstr(seen.trouble, "role ctl"));
	assert_non_null(strstr(seen.trouble, "headgate init"));
	sql("GRANT USAGE ON SCHEMA headgate TO ctl");
	until(seen.registered && seen.fresh);
	stop(&seen);
}

static void a_killed_link_comes_back(void **state)
{
	(void)state;
	static struct seen seen;
	ready(&seen, 5 * CLOCK_S);
	sql("SELECT pg_terminate_backend(link_pid) FROM headgate.proxy");
	until(!seen.connected);
	assert_true(seen.fresh); /* until the lease runs out */
	assert_string_equal(seen.sqlstate, "57P01");
	until(seen.connected && seen.fresh && seen.registered);
	assert_string_equal(seen.trouble, "");
	assert_string_equal(sql("SELECT count(*) FROM headgate.proxy"), "1");
	stop(&seen);
}

static void a_server_that_stops(void **state)
{
	(void)state;
	static struct seen seen;
	ready(&seen, 1 * CLOCK_S);
	pg_cluster_stop(&cluster);
	until(!seen.connected);
	until(!seen.fresh);
	assert_true(clock_now() >= lease_deadline(seen.lease));
	assert_true(seen.trouble[0] != '\0');
	unsigned news = seen.news;
	pg_cluster_start(&cluster);
	until(seen.fresh && seen.connected && seen.registered);
	assert_true(seen.news > news);
	stop(&seen);

	/* and one that was down from the beginning */
	pg_cluster_stop(&cluster);
	start(&seen, pg_dsn(&cluster, "shop"), NULL, 1 * CLOCK_S);
	until(seen.news > 0);
	assert_false(seen.fresh || seen.connected || seen.registered);
	assert_string_equal(seen.sqlstate, "08001");
	pg_cluster_start(&cluster);
	until(seen.fresh && seen.registered);
	stop(&seen);
}

static void a_server_that_says_nothing(void **state)
{
	(void)state;
	static struct seen seen;
	ready(&seen, 1 * CLOCK_S);
	pid_t backend = (pid_t)atoi(sql("SELECT link_pid FROM headgate.proxy"));
	assert_true(backend > 0);
	kill(backend, SIGSTOP);
	until(!seen.connected);
	assert_string_equal(seen.sqlstate, "08006");
	/* the server as a whole still answers: a new link takes the place of the stuck one */
	until(seen.connected && seen.fresh);
	kill(backend, SIGCONT);
	stop(&seen);
}

static void other_readers(void **state)
{
	(void)state;
	static struct seen seen;
	start_with(&seen, pg_dsn(&cluster, "shop"), NULL, 5 * CLOCK_S,
	    (struct conf_recorded){.reader = S("headgate"), .schema = S("headgate")});
	until(seen.fresh && seen.registered);
	assert_int_equal(seen.state, RECORDED_EMPTY);
	sql("INSERT INTO headgate.head (head) VALUES ('0002'), ('0001')");
	until(seen.state == RECORDED_CLEAN);
	assert_string_equal(seen.heads, "0001+0002");
	sql("DELETE FROM headgate.head");
	until(seen.state == RECORDED_EMPTY);
	stop(&seen);

	sql("CREATE TABLE public.mine (version bigint, dirty boolean)");
	start_with(&seen, pg_dsn(&cluster, "shop"), NULL, 5 * CLOCK_S,
	    (struct conf_recorded){.reader = S("sql"),
		.statement = S("SELECT version, CASE WHEN dirty THEN 'failed' ELSE 'clean' END FROM "
			       "public.mine -- mine\n;")});
	until(seen.fresh && seen.registered);
	assert_int_equal(seen.state, RECORDED_EMPTY);
	sql("INSERT INTO public.mine VALUES (7, true)");
	until(seen.state == RECORDED_FAILED);
	sql("UPDATE public.mine SET dirty = false");
	until(seen.state == RECORDED_CLEAN);
	assert_string_equal(seen.heads, "7");
	stop(&seen);

	/* it cannot write, and a mistake is told */
	sql("CREATE FUNCTION public.naughty() RETURNS text LANGUAGE sql AS $$INSERT INTO public.mine VALUES "
	    "(8, false) RETURNING version::text$$");
	const char *wrong[] = {"SELECT public.naughty()", "SELECT nothing FROM public.mine",
	    "SELECT 1; SELECT 2", "SELECT 1) AS x; COMMIT; SELECT (2"};
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		start_with(&seen, pg_dsn(&cluster, "shop"), NULL, 5 * CLOCK_S,
		    (struct conf_recorded){.reader = S("sql"), .statement = S(wrong[i])});
		until(seen.fresh && seen.registered);
		assert_int_equal(seen.state, RECORDED_UNREADABLE);
		assert_true(seen.detail[0] != '\0');
		stop(&seen);
	}
	assert_string_equal(sql("SELECT count(*) FROM public.mine"), "1");
}

static void no_such_database(void **state)
{
	(void)state;
	static struct seen seen;
	start(&seen, pg_dsn(&cluster, "nope"), NULL, 5 * CLOCK_S);
	until(seen.news > 0);
	assert_false(seen.fresh);
	assert_string_equal(seen.sqlstate, "3D000");
	stop(&seen);
}

static void stopping_inside_the_news(void **state)
{
	(void)state;
	static struct seen seen;
	start(&seen, pg_dsn(&cluster, "shop"), NULL, 5 * CLOCK_S);
	seen.stop_in_news = true;
	until(seen.news > 0);
	assert_null(seen.link);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(seen.news, 1);
	lease_unref(&seen.lease);
	start(&seen, pg_dsn(&cluster, "nope"), NULL, 5 * CLOCK_S);
	seen.stop_in_news = true;
	until(seen.news > 0);
	assert_null(seen.link);
	lease_unref(&seen.lease);
}

/* A reload: the registration does not blink. */
static void a_link_that_is_replaced(void **state)
{
	(void)state;
	static struct seen seen, next;
	ready(&seen, 5 * CLOCK_S);
	char pid[20];
	snprintf(pid, sizeof(pid), "%s", sql("SELECT link_pid FROM headgate.proxy"));
	link_detach(&seen.link);
	assert_null(seen.link);
	link_detach(&seen.link);
	char gone[100];
	snprintf(gone, sizeof(gone), "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid);
	while (strcmp(sql(gone), "0") != 0)
		;
	assert_string_equal(sql("SELECT count(*) FROM headgate.proxy"), "1");
	ready(&next, 5 * CLOCK_S);
	assert_string_equal(sql("SELECT count(*) FROM headgate.proxy"), "1");
	stop(&next);
	lease_unref(&seen.lease);
}

struct runs {
	unsigned done, rows;
	char first[LINK_RUNS_COLUMNS][100], error[100];
};

static void on_runs(const char *const *cells, unsigned rows, unsigned columns, const char *error, void *arg)
{
	struct runs *runs = arg;
	assert_int_equal(columns, LINK_RUNS_COLUMNS);
	runs->done++;
	runs->rows = rows;
	copy(runs->error, sizeof(runs->error), error);
	for (unsigned i = 0; rows > 0 && i < columns; i++)
		copy(runs->first[i], sizeof(runs->first[i]), cells[i]);
}

static void runs_are_listed(void **state)
{
	(void)state;
	static struct seen seen;
	struct runs runs = {0};
	start(&seen, pg_dsn(&cluster, "shop"), NULL, 5 * CLOCK_S);
	link_runs(seen.link, 10, on_runs, &runs);
	assert_int_equal(runs.done, 0);
	until(runs.done == 1);
	assert_non_null(strstr(runs.error, "down"));
	until(seen.registered);
	link_runs(seen.link, 2, on_runs, &runs);
	until(runs.done == 2);
	assert_string_equal(runs.error, "");
	assert_int_equal(runs.rows, 2);
	assert_string_equal(runs.first[0], sql("SELECT max(run_id) FROM headgate.run"));
	assert_string_equal(runs.first[1], "ended");
	assert_string_equal(runs.first[5], "c3+b2"); /* as it was announced */
	assert_string_equal(runs.first[8], "failed");
	link_runs(seen.link, 2, on_runs, &runs);
	stop(&seen); /* dropped, not lost */
}

static void settings_are_checked(void **state)
{
	(void)state;
	char error[300] = "";
	struct conf_database section = {.name = S("shop"),
	    .lease_ns = CLOCK_S,
	    .control = {.dsn = S("host=x")},
	    .recorded = {.reader = S("alembic")}};
	assert_true(link_check(&section, error, sizeof(error)));
	section.control.dsn = S("hst=x");
	assert_false(link_check(&section, error, sizeof(error)));
	assert_non_null(strstr(error, "control.dsn"));
	section.control.dsn = S("host=x");
	section.control.run_dsn = S("port");
	assert_false(link_check(&section, error, sizeof(error)));
	assert_non_null(strstr(error, "control.run_dsn"));
	section.recorded.reader = S("none");
	assert_false(link_check(&section, error, sizeof(error)));
	assert_non_null(strstr(error, "alembic"));
}

/* A standby reads by itself, and says that it is one; promoted, it goes on as a primary. */
static void a_standby_and_its_promotion(void **state)
{
	(void)state;
	struct pg_cluster standby = cluster;
	char data[128], port[16], promote[200];
	snprintf(standby.dir, sizeof(standby.dir), "%s/standby", cluster.dir);
	snprintf(promote, sizeof(promote), "mkdir -m 0755 %s && chown --reference=%s %s", standby.dir,
	    cluster.dir, standby.dir);
	assert_int_equal(system(promote), 0);
	standby.port = pg_free_port();
	snprintf(data, sizeof(data), "%s/data", standby.dir);
	snprintf(port, sizeof(port), "%u", cluster.port);
	char *backup[] = {"pg_basebackup", "-h", cluster.dir, "-p", port, "-U", "postgres", "-D", data, "-R",
	    "-X", "stream", "-c", "fast", NULL};
	assert_int_equal(pg_wait(pg_spawn(&standby, "pg_basebackup", backup)), 0);
	pg_cluster_start(&standby);

	static struct seen seen;
	start(&seen, pg_dsn(&standby, "shop"), NULL, 2 * CLOCK_S);
	until(seen.news > 0);
	assert_true(seen.fresh && seen.standby && seen.connected);
	assert_false(seen.registered);
	assert_string_equal(seen.heads, "c3");
	sql("UPDATE public.alembic_version SET version_num = 'd4'");
	until(strcmp(seen.heads, "d4") == 0);
	pg_sql(&standby, "shop", "SELECT pg_promote()");
	until(seen.registered && !seen.standby && seen.fresh);
	stop(&seen);
	pg_cluster_stop(&standby);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(settings_are_checked),
	    cmocka_unit_test(without_and_with_a_ledger),
	    cmocka_unit_test(changes_are_nudged),
	    cmocka_unit_test(a_run_from_announcement_to_end),
	    cmocka_unit_test(acknowledging_inside_the_news),
	    cmocka_unit_test(a_lost_coordinator),
	    cmocka_unit_test(pins),
	    cmocka_unit_test(what_keeps_from_reading),
	    cmocka_unit_test(rights),
	    cmocka_unit_test(a_killed_link_comes_back),
	    cmocka_unit_test(a_server_that_says_nothing),
	    cmocka_unit_test(a_server_that_stops),
	    cmocka_unit_test(other_readers),
	    cmocka_unit_test(no_such_database),
	    cmocka_unit_test(stopping_inside_the_news),
	    cmocka_unit_test(a_link_that_is_replaced),
	    cmocka_unit_test(runs_are_listed),
	    cmocka_unit_test(a_standby_and_its_promotion),
	};
	alarm(180);
	pg_cluster_new(&cluster);
	base = event_base_new();
	resolver = resolver_new(base);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	resolver_free(&resolver);
	event_base_free(base);
	pg_cluster_free(&cluster);
	return failed;
}
