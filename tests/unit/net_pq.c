/* net/pq against a real server: the opening in all its forms, order of answers, transactions in one round
 * trip, notifications, loss. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/pq.h"
#include "net/resolve.h"
#include "pg_cluster.h"

static struct pg_cluster cluster;
static struct event_base *base;
static struct resolver *resolver;

struct seen {
	struct pq *pq;
	unsigned opened, closed, answers;
	char sqlstate[6], message[400];
	char notified[100], noticed[100];
	char log[2000]; /* answers, in order */
	bool close_in_answer, close_in_closed, ask_in_answer;
};

static void on_opened(struct pq *pq, void *arg)
{
	struct seen *seen = arg;
	seen->pq = pq;
	seen->opened++;
}

static void on_closed(struct pq *pq, const char *sqlstate, const char *message, void *arg)
{
	struct seen *seen = arg;
	(void)pq;
	seen->closed++;
	snprintf(seen->sqlstate, sizeof(seen->sqlstate), "%s", sqlstate);
	snprintf(seen->message, sizeof(seen->message), "%s", message);
	if (seen->close_in_closed)
		pq_close(&seen->pq);
}

static void on_notified(struct pq *pq, const char *channel, const char *payload, int32_t pid, void *arg)
{
	struct seen *seen = arg;
	(void)pq, (void)pid;
	snprintf(seen->notified, sizeof(seen->notified), "%s:%s", channel, payload);
}

static void on_noticed(struct pq *pq, const char *severity, const char *message, void *arg)
{
	struct seen *seen = arg;
	(void)pq;
	snprintf(seen->noticed, sizeof(seen->noticed), "%s: %s", severity, message);
}

static void on_answer(const struct pq_result *result, void *arg)
{
	struct seen *seen = arg;
	size_t n = strlen(seen->log);
	if (result->ok)
		snprintf(seen->log + n, sizeof(seen->log) - n, "%s;",
		    result->rows > 0 && pq_value(result, 0, 0) ? pq_value(result, 0, 0)
							       : result->command_status);
	else
		snprintf(seen->log + n, sizeof(seen->log) - n, "!%s;", result->sqlstate);
	seen->answers++;
	if (seen->ask_in_answer) {
		seen->ask_in_answer = false;
		pq_query(seen->pq, "SELECT 'asked'", NULL, 0, on_answer, seen);
	}
	if (seen->close_in_answer)
		pq_close(&seen->pq);
}

static void open_as(struct seen *seen, const char *dsn, const char *dbname, int64_t connect_ns)
{
	memset(seen, 0, sizeof(*seen));
	seen->pq = pq_open(&(struct pq_request){.base = base,
	    .resolver = resolver,
	    .dsn = dsn,
	    .dbname = dbname,
	    .application_name = "test",
	    .connect_ns = connect_ns,
	    .arg = seen,
	    .handlers = {
		.opened = on_opened, .closed = on_closed, .notified = on_notified, .noticed = on_noticed}});
	assert_int_equal(seen->opened + seen->closed, 0);
}

/* Runs the loop until a condition holds; a test that never gets there is ended by the alarm. */
#define until(condition)                                                                                     \
	while (!(condition))                                                                                 \
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0)

static void open_now(struct seen *seen)
{
	open_as(seen, pg_dsn(&cluster, "postgres"), NULL, 10 * CLOCK_S);
	until(seen->opened + seen->closed > 0);
	assert_string_equal(seen->message, "");
	assert_true(pq_is_open(seen->pq));
	assert_true(pq_backend_pid(seen->pq) > 0);
	assert_true(pq_server_version(seen->pq) >= 130000);
}

static void opens_in_all_forms(void **state)
{
	(void)state;
	char tcp[256], name[256], uri[256], several[256];
	snprintf(tcp, sizeof(tcp), "host=127.0.0.1 port=%u user=postgres dbname=postgres", cluster.port);
	snprintf(name, sizeof(name), "host=localhost port=%u user=postgres dbname=postgres", cluster.port);
	snprintf(
	    uri, sizeof(uri), "postgresql://postgres@localhost:%u/postgres?connect_timeout=5", cluster.port);
	snprintf(several, sizeof(several),
	    "host=/nowhere,localhost,127.0.0.1 port=1,1,%u user=postgres dbname=postgres", cluster.port);
	const char *dsns[] = {tcp, name, uri, several, pg_dsn(&cluster, "postgres")};
	for (unsigned i = 0; i < sizeof(dsns) / sizeof(dsns[0]); i++) {
		struct seen seen;
		open_as(&seen, dsns[i], NULL, 10 * CLOCK_S);
		until(seen.opened + seen.closed > 0);
		assert_string_equal(seen.message, "");
		pq_close(&seen.pq);
		assert_null(seen.pq);
		pq_close(&seen.pq);
	}
}

static void service_file_and_environment(void **state)
{
	(void)state;
	char path[128], text[200];
	snprintf(path, sizeof(path), "%s/services.conf", cluster.dir);
	FILE *file = fopen(path, "w");
	fprintf(file, "[shop]\nhost=localhost\nport=%u\ndbname=template1\n", cluster.port);
	fclose(file);
	setenv("PGSERVICEFILE", path, 1);
	setenv("PGUSER", "postgres", 1);
	struct seen seen;
	open_as(&seen, "service=shop", "postgres", 10 * CLOCK_S);
	until(seen.opened + seen.closed > 0);
	assert_string_equal(seen.message, "");
	pq_query(seen.pq, "SELECT pg_catalog.current_database() || ' ' || user", NULL, 0, on_answer, &seen);
	until(seen.answers == 1);
	assert_string_equal(seen.log, "postgres postgres;");
	pq_close(&seen.pq);
	snprintf(text, sizeof(text), "%s", pq_dsn_error("service=nope"));
	assert_non_null(strstr(text, "nope"));
	char *user = pq_dsn_user("service=shop"), *dbname = pq_dsn_dbname("service=shop");
	assert_string_equal(user, "postgres");
	assert_string_equal(dbname, "template1");
	mem_free(&user);
	mem_free(&dbname);
	unsetenv("PGSERVICEFILE");
	unsetenv("PGUSER");
}

static void refusals_carry_the_servers_code(void **state)
{
	(void)state;
	const struct {
		const char *dsn, *sqlstate, *text;
	} table[] = {
	    {"dbname=nope", "3D000", "database \"nope\" does not exist"},
	    {"dbname=postgres user=nobody_here", "28000", "role \"nobody_here\" does not exist"},
	    {"dbname=postgres options='-c work_mem=x'", "22023", "work_mem"},
	};
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct seen seen;
		char dsn[300];
		snprintf(dsn, sizeof(dsn), "host=%s port=%u user=postgres %s", cluster.dir, cluster.port,
		    table[i].dsn);
		open_as(&seen, dsn, NULL, 10 * CLOCK_S);
		until(seen.opened + seen.closed > 0);
		assert_int_equal(seen.closed, 1);
		assert_string_equal(seen.sqlstate, table[i].sqlstate);
		assert_non_null(strstr(seen.message, table[i].text));
		assert_null(strstr(seen.message, "LOCATION"));
		assert_null(strstr(seen.message, table[i].sqlstate));
		assert_null(strchr(seen.message, '\n'));
		assert_false(pq_is_open(seen.pq));
		pq_query(seen.pq, "SELECT 1", NULL, 0, on_answer, &seen);
		assert_int_equal(seen.answers, 0);
		until(seen.answers == 1);
		assert_string_equal(seen.log, "!08003;");
		pq_close(&seen.pq);
	}
}

static void unreachable_and_wrong(void **state)
{
	(void)state;
	const char *dsns[] = {"host=127.0.0.1 port=1", "host=/nowhere", "nonsense", "host=name.invalid",
	    "service=nope", "host=127.0.0.1 port=x"};
	for (unsigned i = 0; i < sizeof(dsns) / sizeof(dsns[0]); i++) {
		struct seen seen;
		open_as(&seen, dsns[i], NULL, 10 * CLOCK_S);
		seen.close_in_closed = true;
		until(seen.closed == 1);
		assert_string_equal(seen.sqlstate, "08001");
		assert_true(seen.message[0] != '\0');
		assert_null(seen.pq);
	}
}

/* A server that accepts and says nothing. */
static void opening_is_bounded(void **state)
{
	(void)state;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size) + listen(fd, 5), 0);
	getsockname(fd, (struct sockaddr *)&address, &size);
	char dsn[100];
	snprintf(dsn, sizeof(dsn), "host=127.0.0.1 port=%u", ntohs(address.sin_port));
	struct seen seen;
	int64_t start = clock_now();
	open_as(&seen, dsn, NULL, 200 * CLOCK_MS);
	until(seen.closed == 1);
	assert_string_equal(seen.sqlstate, "08001");
	assert_true(clock_now() - start >= 190 * CLOCK_MS);
	pq_close(&seen.pq);
	close(fd);
}

static void answers_in_order(void **state)
{
	(void)state;
	struct seen seen;
	open_now(&seen);
	const char *values[] = {"one", NULL};
	pq_query(seen.pq, "SELECT $1::text || COALESCE($2, '-')", values, 2, on_answer, &seen);
	pq_query(seen.pq, "SELECT 1/0", NULL, 0, on_answer, &seen);
	pq_query(seen.pq, "no sql", NULL, 0, on_answer, &seen);
	pq_query(seen.pq, "", NULL, 0, on_answer, &seen);
	pq_query(seen.pq, "BEGIN READ ONLY", NULL, 0, on_answer, &seen);
	pq_query(seen.pq, "CREATE TABLE public.t ()", NULL, 0, on_answer, &seen);
	pq_query(seen.pq, "COMMIT", NULL, 0, on_answer, &seen);
	pq_query(seen.pq, "SELECT 'last'", NULL, 0, on_answer, &seen);
	assert_int_equal(seen.answers, 0);
	until(seen.answers == 8);
	assert_string_equal(seen.log, "one-;!22012;!42601;;BEGIN;!25006;ROLLBACK;last;");
	seen.ask_in_answer = true;
	pq_query(seen.pq, "SELECT 'ask'", NULL, 0, on_answer, &seen);
	until(seen.answers == 10);
	assert_non_null(strstr(seen.log, "ask;asked;"));
	pq_close(&seen.pq);
}

static void session_is_the_same_everywhere(void **state)
{
	(void)state;
	pg_sql(&cluster, "postgres", "CREATE DATABASE odd");
	pg_sql(&cluster, "postgres",
	    "ALTER DATABASE odd SET default_transaction_isolation = 'serializable'; ALTER DATABASE odd SET "
	    "search_path = pg_temp, public;"
	    "ALTER DATABASE odd SET default_transaction_read_only = on; ALTER DATABASE odd SET "
	    "statement_timeout = 1234");
	struct seen seen;
	open_as(&seen, pg_dsn(&cluster, "odd"), NULL, 10 * CLOCK_S);
	until(seen.opened + seen.closed > 0);
	pq_query(seen.pq, "SHOW transaction_isolation", NULL, 0, on_answer, &seen);
	pq_query(seen.pq, "SHOW search_path", NULL, 0, on_answer, &seen);
	pq_query(seen.pq, "SHOW transaction_read_only", NULL, 0, on_answer, &seen);
	pq_query(seen.pq, "SHOW statement_timeout", NULL, 0, on_answer, &seen);
	pq_query(seen.pq, "SHOW application_name", NULL, 0, on_answer, &seen);
	until(seen.answers == 5);
	assert_string_equal(seen.log, "read committed;;off;0;test;");
	pq_close(&seen.pq);
}

static void notifications_and_notices(void **state)
{
	(void)state;
	struct seen seen;
	open_now(&seen);
	pq_query(seen.pq, "LISTEN headgate", NULL, 0, on_answer, &seen);
	until(seen.answers == 1);
	pg_sql(&cluster, "postgres", "SELECT pg_notify('headgate', 'run')");
	until(seen.notified[0] != '\0');
	assert_string_equal(seen.notified, "headgate:run");
	pq_query(seen.pq, "DO $$BEGIN RAISE WARNING 'mind'; END$$", NULL, 0, on_answer, &seen);
	until(seen.answers == 2);
	assert_string_equal(seen.noticed, "WARNING: mind");
	pq_close(&seen.pq);
}

static void a_killed_backend_is_told(void **state)
{
	(void)state;
	for (int waiting = 0; waiting < 2; waiting++) {
		struct seen seen;
		char sql[100];
		open_now(&seen);
		if (waiting) {
			pq_query(seen.pq, "SELECT pg_catalog.pg_sleep(60)", NULL, 0, on_answer, &seen);
			pq_query(seen.pq, "SELECT 2", NULL, 0, on_answer, &seen);
			while (strcmp(pg_sql(&cluster, "postgres",
					  "SELECT count(*) FROM pg_stat_activity WHERE query LIKE "
					  "'%pg_sleep(60)' AND state = 'active'"),
				   "1") != 0)
				event_base_loop(base, EVLOOP_NONBLOCK);
		}
		snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)", pq_backend_pid(seen.pq));
		pg_sql(&cluster, "postgres", sql);
		until(seen.closed == 1);
		assert_string_equal(seen.sqlstate, "57P01");
		assert_int_equal(seen.answers, waiting ? 2 : 0);
		assert_string_equal(seen.log, waiting ? "!08006;!08006;" : "");
		pq_close(&seen.pq);
	}
}

static void closing_anywhere_is_safe(void **state)
{
	(void)state;
	struct seen seen;
	/* after each number of loop turns of an opening */
	for (int turns = 0; turns < 8; turns++) {
		open_as(&seen, pg_dsn(&cluster, "postgres"), NULL, 10 * CLOCK_S);
		for (int i = 0; i < turns && seen.opened == 0; i++)
			event_base_loop(base, EVLOOP_ONCE);
		pq_close(&seen.pq);
	}
	open_now(&seen);
	seen.close_in_answer = true;
	pq_query(seen.pq, "SELECT 1", NULL, 0, on_answer, &seen);
	pq_query(seen.pq, "SELECT 2", NULL, 0, on_answer, &seen);
	until(seen.answers == 1);
	assert_null(seen.pq);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(seen.answers, 1);
}

/* More than the socket takes at once, both ways. */
static void large_statements_and_answers(void **state)
{
	(void)state;
	struct seen seen;
	open_now(&seen);
	size_t size = 3 << 20;
	char *big = mem_alloc(size + 1);
	memset(big, 'x', size);
	big[size] = '\0';
	const char *values[] = {big};
	for (int i = 0; i < 4; i++)
		pq_query(
		    seen.pq, "SELECT pg_catalog.length($1::text), $1::text", values, 1, on_answer, &seen);
	until(seen.answers == 4);
	assert_string_equal(seen.log, "3145728;3145728;3145728;3145728;");
	mem_free(&big);
	pq_close(&seen.pq);
}

static void copy_is_refused(void **state)
{
	(void)state;
	struct seen seen;
	open_now(&seen);
	pq_query(seen.pq, "COPY (SELECT 1) TO STDOUT", NULL, 0, on_answer, &seen);
	until(seen.closed + seen.answers > 0);
	pq_close(&seen.pq);
}

struct environment {
	char text[4000];
};

static void on_set(const char *name, const char *value, void *arg)
{
	struct environment *environment = arg;
	size_t n = strlen(environment->text);
	snprintf(environment->text + n, sizeof(environment->text) - n, "%s=%s\n", name,
	    value != NULL ? value : "(out)");
}

static void environment_for_a_child(void **state)
{
	(void)state;
	const struct {
		const char *dsn, *dbname, *lines[6];
	} table[] = {
	    {"host=db1 port=5433 user=ops password='a/b c' dbname=shop sslmode=require", NULL,
		{"PGHOST=db1\n", "PGPORT=5433\n", "PGPASSWORD=a/b c\n", "PGSSLMODE=require\n",
		    "PGSERVICE=(out)\n",
		    "DATABASE_URL=postgresql://ops:a%2Fb%20c@db1:5433/shop?sslmode=require\n"}},
	    {"host=/run/pg user=ops dbname=shop", "other",
		{"PGHOST=/run/pg\n", "PGDATABASE=other\n", "PGUSER=ops\n",
		    "DATABASE_URL=postgresql://ops@/other?host=%2Frun%2Fpg&port=5432\n"}},
	    {"postgresql://ops@[::1]:6000,db2/shop", NULL,
		{"DATABASE_URL=postgresql://ops@[::1]:6000,db2:5432/shop\n", "PGPORT=6000,\n"}},
	    {"user=ops host=h", NULL, {"PGUSER=ops\n", "DATABASE_URL=postgresql://ops@h:5432/ops\n"}},
	};
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct environment environment = {""};
		char error[200];
		assert_true(pq_environment(
		    table[i].dsn, table[i].dbname, on_set, &environment, error, sizeof(error)));
		for (unsigned l = 0; l < 6 && table[i].lines[l] != NULL; l++)
			if (strstr(environment.text, table[i].lines[l]) == NULL)
				fail_msg(
				    "%s: no %s in %s", table[i].dsn, table[i].lines[l], environment.text);
	}
	struct environment unnamed = {""};
	char error[200] = "";
	assert_true(pq_environment("user=ops host=h", NULL, on_set, &unnamed, error, sizeof(error)));
	assert_null(strstr(unnamed.text, "PGDATABASE"));
	assert_null(pq_dsn_dbname("user=ops host=h"));
	assert_false(pq_environment("host", NULL, on_set, &(struct environment){""}, error, sizeof(error)));
	assert_true(error[0] != '\0');
	assert_null(pq_dsn_error("host=x"));
	assert_non_null(pq_dsn_error("hst=x"));
	assert_non_null(pq_dsn_error("sslmode=maybe"));
	assert_non_null(pq_dsn_error("postgresql://[::1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(environment_for_a_child),
	    cmocka_unit_test(opens_in_all_forms),
	    cmocka_unit_test(service_file_and_environment),
	    cmocka_unit_test(refusals_carry_the_servers_code),
	    cmocka_unit_test(unreachable_and_wrong),
	    cmocka_unit_test(opening_is_bounded),
	    cmocka_unit_test(answers_in_order),
	    cmocka_unit_test(session_is_the_same_everywhere),
	    cmocka_unit_test(notifications_and_notices),
	    cmocka_unit_test(a_killed_backend_is_told),
	    cmocka_unit_test(closing_anywhere_is_safe),
	    cmocka_unit_test(large_statements_and_answers),
	    cmocka_unit_test(copy_is_refused),
	};
	alarm(120);
	pg_cluster_new(&cluster);
	base = event_base_new();
	resolver = resolver_new(base);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	resolver_free(&resolver);
	event_base_free(base);
	pg_cluster_free(&cluster);
	return failed;
}
