/* One coordinator (or two) on a real server, with proxies and clients played by libpq connections. */
#ifndef TESTS_SCHEMA_COORD_H
#define TESTS_SCHEMA_COORD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/resolve.h"
#include "pg_cluster.h"
#include "schema/coord.h"
#include "schema_init.h"

static struct pg_cluster cluster;
static struct event_base *base;
static struct resolver *resolver;
#define S(text)       ((char *)(uintptr_t)(text))
#define SHELL(script) ((char *const[]){S("sh"), S("-c"), S(script), NULL})

/* A coordinator and what it told. */
struct seen {
	struct coord *coord;
	char dsn[300];
	struct conf_database section;
	struct coord_request request;
	int ends;
	enum coord_outcome outcome;
	int exit_status;
	bool attached;
	int64_t run_id;
	char from[100], to[100], text[600], hint[300];
	char state[32], story[16000]; /* the last state told; all lines */
};

static inline void on_progress(const struct coord_progress *progress, void *arg)
{
	struct seen *seen = arg;
	size_t n = strlen(seen->story);
	snprintf(seen->state, sizeof(seen->state), "%s", progress->state);
	snprintf(seen->story + n, sizeof(seen->story) - n, "%s%s\n", progress->warning ? "warning: " : "",
	    progress->text);
}

static inline void on_done(const struct coord_result *result, void *arg)
{
	struct seen *seen = arg;
	seen->ends++;
	seen->outcome = result->outcome;
	seen->exit_status = result->exit_status;
	seen->attached = result->attached;
	seen->run_id = result->run_id;
	snprintf(seen->from, sizeof(seen->from), "%s", result->from != NULL ? result->from : "");
	snprintf(seen->to, sizeof(seen->to), "%s", result->to != NULL ? result->to : "");
	snprintf(seen->text, sizeof(seen->text), "%s", result->text);
	snprintf(seen->hint, sizeof(seen->hint), "%s", result->hint != NULL ? result->hint : "");
	coord_free(&seen->coord);
}

/* A request with everything set, to change and to begin(). */
static inline void prepare(struct seen *seen, char *const *argv)
{
	static char *exempt[] = {S("looker")};
	memset(seen, 0, sizeof(*seen));
	snprintf(seen->dsn, sizeof(seen->dsn), "%s", pg_dsn(&cluster, "shop"));
	seen->section = (struct conf_database){
	    .name = S("shop"),
	    .control = {.dsn = seen->dsn, .run_dsn = seen->dsn},
	    .recorded = {.reader = S("alembic"), .schema = S("public")},
	    .hold = {.max_ns = 30 * CLOCK_S},
	    .drain = {.pause_ns = 10 * CLOCK_MS},
	    .fence = {.terminate_strangers = true, .exempt_roles = exempt, .exempt_count = 1},
	};
	seen->request = (struct coord_request){
	    .base = base,
	    .resolver = resolver,
	    .section = &seen->section,
	    .name = "shop",
	    .who = "ann@build7",
	    .os_user = "ann",
	    .host = "build7",
	    .reason = "why",
	    .argv = argv,
	    .drain_timeout_ns = 30 * CLOCK_S,
	    .attempts = 1,
	    .deadline_ns = 60 * CLOCK_S,
	    .max_transaction_ns = 10 * CLOCK_S,
	    .out_fd = -1,
	    .err_fd = -1,
	    .progress = on_progress,
	    .done = on_done,
	    .arg = seen,
	};
}

static inline void begin(struct seen *seen)
{
	seen->coord = coord_start(&seen->request);
}

/* Runs the loop until a condition holds; a test that never gets there is ended by the alarm. The ticking lets
 * conditions of the server be looked at. */
#define until(condition)                                                                                     \
	while (!(condition))                                                                                 \
	event_base_loop(base, EVLOOP_ONCE)

static inline void conduct(struct seen *seen)
{
	begin(seen);
	until(seen->ends > 0);
	assert_int_equal(seen->ends, 1);
}

static inline const char *sql(const char *text)
{
	return pg_sql(&cluster, "shop", text);
}

/* While a run is under way: in a session that its fence leaves alone. */
static inline const char *look(const char *text)
{
	char dsn[400];
	snprintf(dsn, sizeof(dsn), "%s user=looker", pg_dsn(&cluster, "shop"));
	return pg_sql_at(dsn, text);
}

#define assert_sql(text, expected) assert_string_equal(sql(text), expected)
#define LAST_RUN                   "FROM headgate.run ORDER BY run_id DESC LIMIT 1"
#define assert_told(seen, part)                                                                              \
	do {                                                                                                 \
		if (strstr((seen)->story, part) == NULL)                                                     \
			fail_msg("\"%s\" is not in:\n%s", part, (seen)->story);                              \
	} while (0)

static inline PGconn *client(const char *name)
{
	char dsn[400];
	snprintf(dsn, sizeof(dsn), "%s application_name=%s", pg_dsn(&cluster, "shop"), name);
	PGconn *conn = PQconnectdb(dsn);
	assert_int_equal(PQstatus(conn), CONNECTION_OK);
	return conn;
}

static inline void run_sql(PGconn *conn, const char *text)
{
	PGresult *result = PQexec(conn, text);
	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
		fail_msg("%s: %s", text, PQerrorMessage(conn));
	PQclear(result);
}

static inline bool alive(PGconn *conn)
{
	PGresult *result = PQexec(conn, "SELECT 1");
	bool up = PQresultStatus(result) == PGRES_TUPLES_OK;
	PQclear(result);
	return up;
}

/* A proxy, as far as the ledger knows: renews when it is told to. */
struct proxy {
	PGconn *link;
	char id[40];
	int lease_ms;
	char run[24]; /* the run that the last renewal told of, "" none */
	char unresolved[24];
};

static inline void proxy_renew(struct proxy *proxy, const char *acked_run, const char *pids)
{
	char lease[16];
	snprintf(lease, sizeof(lease), "%d", proxy->lease_ms);
	const char *const values[] = {proxy->id, proxy->id + 32, "0", lease, acked_run, pids};
	PGresult *result = PQexecParams(proxy->link,
	    "SELECT run_id, unresolved_run FROM headgate.renew($1, $2, $3, $4, $5, $6)", 6, NULL, values,
	    NULL, NULL, 0);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("renewal: %s", PQerrorMessage(proxy->link));
	snprintf(proxy->run, sizeof(proxy->run), "%s", PQgetvalue(result, 0, 0));
	snprintf(proxy->unresolved, sizeof(proxy->unresolved), "%s", PQgetvalue(result, 0, 1));
	PQclear(result);
}

static inline struct proxy proxy_new(const char *last, int lease_ms)
{
	struct proxy proxy = {.link = client("link"), .lease_ms = lease_ms};
	snprintf(proxy.id, sizeof(proxy.id), "11111111-1111-1111-1111-11111111%s", last);
	proxy_renew(&proxy, NULL, NULL);
	return proxy;
}

static inline void proxy_ack(struct proxy *proxy, const char *pids)
{
	char run[24];
	snprintf(run, sizeof(run), "%s", proxy->run);
	proxy_renew(proxy, run, pids);
}

static inline void proxy_gone(struct proxy *proxy)
{
	PQfinish(proxy->link);
	sql("DELETE FROM headgate.proxy");
}

/* Another process that conducts: its pid. What it runs may hold the write end of a pipe. */
static inline pid_t coordinator(struct seen *seen)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct event_base *own = event_base_new();
		seen->request.base = own;
		seen->request.resolver = resolver_new(own);
		seen->coord = coord_start(&seen->request);
		while (seen->ends == 0)
			event_base_loop(own, EVLOOP_ONCE);
		_exit(seen->exit_status);
	}
	return pid;
}

static inline void wait_for_run(const char *state)
{
	char text[200];
	snprintf(text, sizeof(text), "SELECT count(*) FROM headgate.run WHERE state = '%s'", state);
	while (strcmp(look(text), "1") != 0)
		usleep(5000);
}

/* Before each test: nothing under way, nothing recorded but a1. */
static inline int clean(void **state)
{
	(void)state;
	sql("DELETE FROM headgate.proxy");
	sql("DELETE FROM headgate.run");
	sql("DELETE FROM public.alembic_version");
	sql("INSERT INTO public.alembic_version VALUES ('a1')");
	return 0;
}

static inline void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

static struct event *ticking;

static inline void coord_tests_begin(void)
{
	char said[4000];
	const struct conf_recorded recorded = {.reader = S("alembic"), .schema = S("public")};
	signal(SIGPIPE, SIG_IGN);
	alarm(180);
	pg_cluster_new(&cluster);
	pg_sql(&cluster, "postgres", "ALTER SYSTEM SET max_prepared_transactions = 5");
	pg_cluster_stop(&cluster);
	pg_cluster_start(&cluster);
	pg_sql(&cluster, "postgres", "CREATE DATABASE shop");
	pg_sql(&cluster, "shop", "CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY)");
	pg_sql(&cluster, "shop", "CREATE TABLE public.t (n int)");
	pg_sql(&cluster, "postgres", "CREATE ROLE ctl LOGIN");
	pg_sql(&cluster, "postgres", "CREATE ROLE looker LOGIN SUPERUSER");
	init_database(&cluster, "shop", &recorded, "ctl", "postgres", said, sizeof(said));
	/* The commands are psql of the cluster's own. */
	char *path = mem_printf("%s:%s", cluster.bin, getenv("PATH"));
	setenv("PATH", path, 1);
	mem_free(&path);

	base = event_base_new();
	resolver = resolver_new(base);
	ticking = event_new(base, -1, EV_PERSIST, on_tick, NULL);
	event_add(ticking, &(struct timeval){0, 10000});
}

static inline int coord_tests_end(int failed)
{
	event_free(ticking);
	resolver_free(&resolver);
	event_base_free(base);
	pg_cluster_free(&cluster);
	return failed;
}

#endif
