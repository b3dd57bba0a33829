/* net/pq against a real server: statements that are one batch, COPY, the session's settings put back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/pq.h"
#include "net/resolve.h"
#include "pg_cluster.h"

static struct pg_cluster cluster;
static struct event_base *base;
static struct resolver *resolver;
static struct pq *pq;
static unsigned opened, closed, answers, asked;
static char said[4000], closed_with[6];

static void on_opened(struct pq *at, void *arg)
{
	(void)at, (void)arg;
	opened++;
}

static void on_closed(struct pq *at, const char *sqlstate, const char *message, void *arg)
{
	(void)at, (void)arg, (void)message;
	closed++;
	snprintf(closed_with, sizeof(closed_with), "%s", sqlstate);
}

/* "CREATE TABLE;!42P01@15;~;" : done, failed at 15, skipped */
static void on_answer(const struct pq_result *result, void *arg)
{
	size_t n = strlen(said);
	(void)arg;
	answers++;
	if (result->skipped)
		snprintf(said + n, sizeof(said) - n, "~;");
	else if (result->ok)
		snprintf(said + n, sizeof(said) - n, "%s;",
		    result->rows > 0 ? pq_value(result, 0, 0) : result->command_status);
	else
		snprintf(said + n, sizeof(said) - n, "!%s@%u;", result->sqlstate, result->position);
}

#define until(condition)                                                                                     \
	while (!(condition))                                                                                 \
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0)

static int start(void **state)
{
	(void)state;
	opened = closed = answers = asked = 0;
	said[0] = '\0';
	pq = pq_open(&(struct pq_request){.base = base,
	    .resolver = resolver,
	    .dsn = pg_dsn(&cluster, "postgres"),
	    .application_name = "test",
	    .connect_ns = 10 * CLOCK_S,
	    .handlers = {.opened = on_opened, .closed = on_closed}});
	until(opened + closed > 0);
	assert_int_equal(opened, 1);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	pq_close(&pq);
	return 0;
}

static void queue(const char *sql)
{
	asked++;
	pq_queue(pq, sql, NULL, 0, on_answer, NULL);
}

static void end(const char *sql)
{
	asked++;
	pq_query(pq, sql, NULL, 0, on_answer, NULL);
}

static const char *heard(void)
{
	until(answers == asked || closed > 0);
	asked = answers = 0;
	static char copy[sizeof(said)];
	memcpy(copy, said, sizeof(said));
	said[0] = '\0';
	return copy;
}

static void a_batch_is_one(void **state)
{
	(void)state;
	queue("BEGIN");
	queue("CREATE TABLE public.batch (n int)");
	queue("SELECT generate_series(1, 1000)");
	end("COMMIT");
	end("SELECT count(*) FROM pg_class WHERE relname = 'batch'");
	assert_string_equal(heard(), "BEGIN;CREATE TABLE;SELECT 1000;COMMIT;1;");
	assert_false(pq_in_transaction(pq));

	/* What follows an error is skipped, the way back to a savepoint and the COMMIT too. */
	queue("BEGIN");
	queue("SAVEPOINT s");
	queue("INSERT INTO public.batch VALUES (1)");
	queue("SELECT x FROM public.batch");
	queue("ROLLBACK TO SAVEPOINT s");
	queue("INSERT INTO public.batch VALUES (2)");
	end("COMMIT");
	assert_string_equal(heard(), "BEGIN;SAVEPOINT;INSERT 0 1;!42703@8;~;~;~;");
	assert_true(pq_in_transaction(pq));
	end("ROLLBACK");
	end("SELECT count(*) FROM public.batch");
	assert_string_equal(heard(), "ROLLBACK;0;");
	assert_false(pq_in_transaction(pq));

	/* A commit that fails; batches one behind the other, the first of which fails. */
	end("CREATE TABLE public.deferred (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
	queue("BEGIN");
	queue("INSERT INTO public.deferred VALUES (1), (1)");
	end("COMMIT");
	queue("BEGIN");
	queue("SELECT 1");
	end("COMMIT");
	assert_string_equal(heard(), "CREATE TABLE;BEGIN;INSERT 0 2;!23505@0;BEGIN;SELECT 1;COMMIT;");
	assert_false(pq_in_transaction(pq));
}

static void rows_of_a_batch_are_not_kept(void **state)
{
	struct rusage before, after;
	(void)state;
	queue("BEGIN");
	queue("SELECT 1");
	end("COMMIT");
	heard();
	getrusage(RUSAGE_SELF, &before);
	queue("BEGIN");
	queue("SELECT repeat('x', 10000) FROM generate_series(1, 10000)"); /* 100 MB */
	queue("SELECT repeat('x', 10000) FROM generate_series(1, 10000)");
	end("COMMIT");
	assert_string_equal(heard(), "BEGIN;SELECT 10000;SELECT 10000;COMMIT;");
	end("SELECT 7");
	assert_string_equal(heard(), "7;");
	getrusage(RUSAGE_SELF, &after);
#ifndef __SANITIZE_ADDRESS__
	assert_true(after.ru_maxrss - before.ru_maxrss < 40 * 1024);
#endif
}

static void copy(const char *sql, const char *data, size_t size)
{
	asked++;
	pq_copy(pq, sql, data, size, on_answer, NULL);
}

static void copies(void **state)
{
	(void)state;
	end("CREATE TABLE public.copied (n int, t text)");
	assert_string_equal(heard(), "CREATE TABLE;");
	copy("COPY public.copied FROM stdin", "1\tone\n2\t\\N\n", 11);
	assert_string_equal(heard(), "COPY 2;");
	copy("COPY public.copied FROM stdin", "", 0);
	assert_string_equal(heard(), "COPY 0;");
	copy("COPY public.copied FROM stdin", "x\tone\n", 6);
	assert_string_equal(heard(), "!22P02@0;");
	copy("COPY public.copied TO stdout", NULL, 0);
	assert_string_equal(heard(), "COPY 2;");
	copy("SELECT 5", NULL, 0);
	assert_string_equal(heard(), "5;");
	copy("COPY nowhere FROM stdin", "1\n", 2);
	assert_string_equal(heard(), "!42P01@0;");

	/* Inside a transaction, between batches. */
	queue("BEGIN");
	end("INSERT INTO public.copied VALUES (3)");
	assert_string_equal(heard(), "BEGIN;INSERT 0 1;");
	copy("COPY public.copied FROM stdin", "4\tfour\n", 7);
	assert_string_equal(heard(), "COPY 1;");
	assert_true(pq_in_transaction(pq));
	end("ROLLBACK");
	end("SELECT count(*) FROM public.copied");
	assert_string_equal(heard(), "ROLLBACK;2;");
}

static void a_copy_larger_than_any_buffer(void **state)
{
	(void)state;
	enum { ROWS = 1000000, WIDTH = 32 };
	char *data = mem_alloc((size_t)ROWS * WIDTH + 1);
	for (int i = 0; i < ROWS; i++)
		snprintf(data + (size_t)i * WIDTH, WIDTH + 1, "%08d\txxxxxxxxxxxxxxxxxxxxxx\n", i);
	end("CREATE UNLOGGED TABLE public.large (n int, t text)");
	heard();
	copy("COPY public.large FROM stdin", data, (size_t)ROWS * WIDTH);
	assert_string_equal(heard(), "COPY 1000000;");
	copy("COPY public.large TO stdout", NULL, 0);
	assert_string_equal(heard(), "COPY 1000000;");
	/* an error in the first line, found while the rest is on its way */
	data[0] = 'x';
	copy("COPY public.large FROM stdin", data, (size_t)ROWS * WIDTH);
	assert_string_equal(heard(), "!22P02@0;");
	end("SELECT count(DISTINCT n) FROM public.large");
	assert_string_equal(heard(), "1000000;");
	mem_free(&data);
}

static void loss_in_the_middle_is_told(void **state)
{
	(void)state;
	end("CREATE TABLE IF NOT EXISTS public.copied (n int, t text)");
	heard();
	queue("BEGIN");
	queue("SELECT 1");
	queue("SELECT pg_terminate_backend(pg_backend_pid())");
	queue("SELECT 2");
	end("COMMIT");
	until(closed > 0);
	assert_string_equal(closed_with, "57P01");
	assert_int_equal(answers, 5);
	stop(NULL);
	start(NULL);
	/* A lock in its way keeps the COPY from beginning until its backend has gone. */
	PGconn *holder = PQconnectdb(pg_dsn(&cluster, "postgres"));
	PQclear(PQexec(holder, "BEGIN; LOCK TABLE public.copied"));
	copy("COPY public.copied FROM stdin", "1\tx\n", 4);
	char kill_it[100];
	snprintf(kill_it, sizeof(kill_it), "SELECT pg_terminate_backend(%d)", pq_backend_pid(pq));
	pg_sql(&cluster, "postgres", kill_it);
	until(closed > 0);
	assert_string_equal(closed_with, "57P01");
	assert_int_equal(answers, 1);
	PQfinish(holder);
}

static void settings_are_put_back(void **state)
{
	(void)state;
	end("SET search_path = public");
	end("SET lock_timeout = '1s'");
	end("SET default_transaction_isolation = serializable");
	asked++;
	pq_settle(pq, on_answer, NULL);
	heard();
	end("SELECT concat_ws(',', current_setting('search_path'), current_setting('lock_timeout'), "
	    "current_setting('transaction_isolation'))");
	assert_string_equal(heard(), ",0,read committed;");
	end("RESET ALL");
	end("SHOW search_path");
	assert_string_equal(heard(), "RESET;\"$user\", public;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_batch_is_one, start, stop),
	    cmocka_unit_test_setup_teardown(rows_of_a_batch_are_not_kept, start, stop),
	    cmocka_unit_test_setup_teardown(copies, start, stop),
	    cmocka_unit_test_setup_teardown(a_copy_larger_than_any_buffer, start, stop),
	    cmocka_unit_test_setup_teardown(loss_in_the_middle_is_told, start, stop),
	    cmocka_unit_test_setup_teardown(settings_are_put_back, start, stop),
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
