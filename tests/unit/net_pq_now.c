/* net/pq_now against a real server: answers, errors with their place, several statements, Ctrl-C at every
 * moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/pq_now.h"
#include "pg_cluster.h"

static struct pg_cluster cluster;

static struct pq_now *opened(const char *dbname)
{
	struct pq_now_error error;
	struct pq_now *now = pq_now_open(
	    &(struct pq_now_request){
		.dsn = pg_dsn(&cluster, "postgres"), .dbname = dbname, .application = "test"},
	    &error);
	if (now == NULL)
		fail_msg("not opened: %s %s", error.sqlstate, error.message);
	return now;
}

static void refused(const char *dsn, const char *sqlstate)
{
	struct pq_now_error error;
	struct pq_now *now = pq_now_open(
	    &(struct pq_now_request){.dsn = dsn, .application = "test", .connect_ns = 5 * CLOCK_S}, &error);
	assert_null(now);
	assert_string_equal(error.sqlstate, sqlstate);
	assert_true(error.message[0] != '\0');
	pq_now_error_free(&error);
	assert_null(error.message);
}

static void opening_fails_with_a_reason(void **state)
{
	char port[32];
	(void)state;
	refused(pg_dsn(&cluster, "nosuch"), "3D000");
	snprintf(port, sizeof(port), "host=127.0.0.1 port=%u", pg_free_port());
	refused(port, "08001");
	refused("frob=1", "08001");
	refused("host=name.invalid", "08001");
}

static void rows_are_copied(void **state)
{
	(void)state;
	struct pq_now *now = opened(NULL);
	struct pq_rows rows;
	const char *const values[] = {"it's", NULL};
	assert_true(pq_now_ask(
	    now, "SELECT $1::text AS a, $2::text AS b UNION ALL SELECT 'x', ''", values, 2, &rows));
	assert_true(rows.ok);
	assert_int_equal(rows.rows, 2);
	assert_int_equal(rows.columns, 2);
	assert_string_equal(rows.names[0], "a");
	assert_string_equal(pq_rows_at(&rows, 0, 0), "it's");
	assert_null(pq_rows_at(&rows, 0, 1));
	assert_string_equal(pq_rows_at(&rows, 1, 1), "");
	assert_null(pq_rows_at(&rows, 2, 0));
	assert_null(pq_rows_at(&rows, 0, 2));
	assert_string_equal(rows.status, "SELECT 2");
	pq_rows_free(&rows);
	assert_int_equal(rows.rows, 0);
	assert_true(pq_now_ask(now, "CREATE TABLE public.kept (a int)", NULL, 0, &rows));
	assert_int_equal(rows.columns, 0);
	pq_rows_free(&rows);
	assert_true(pq_now_server_version(now) >= 130000);
	assert_true(pq_now_backend(now) > 0);
	assert_false(pq_now_interrupted(now));
	pq_now_close(&now);
	assert_null(now);
	pq_now_close(&now);
}

static void errors_have_all_parts(void **state)
{
	(void)state;
	struct pq_now *now = opened(NULL);
	struct pq_rows rows;
	struct pq_now_error error;
	assert_false(pq_now_ask(now, "SELECT 1,\n  frob(2)", NULL, 0, &rows));
	assert_false(rows.ok);
	assert_string_equal(rows.error.sqlstate, "42883");
	assert_int_equal(rows.error.position, 13);
	assert_non_null(rows.error.hint);
	pq_rows_free(&rows);
	assert_true(pq_now_do(now, "CREATE TABLE public.d (a int PRIMARY KEY)", NULL, 0, &error));
	assert_true(pq_now_do(now, "INSERT INTO public.d VALUES (1)", NULL, 0, &error));
	assert_false(pq_now_do(now, "INSERT INTO public.d VALUES (1)", NULL, 0, &error));
	assert_string_equal(error.detail, "Key (a)=(1) already exists.");
	assert_int_equal(error.position, 0);
	pq_now_error_free(&error);
	assert_true(pq_now_do(now, "SELECT 1", NULL, 0, &error));
	pq_now_close(&now);
}

static void several_in_one_go(void **state)
{
	(void)state;
	struct pq_now *now = opened(NULL);
	struct pq_now_error error;
	struct pq_rows rows;
	unsigned failed = 99;
	const char *const good[] = {
	    "BEGIN", "CREATE TABLE public.s (a int)", "INSERT INTO public.s VALUES (1)", "COMMIT"};
	const char *const bad[] = {"BEGIN", "INSERT INTO public.s VALUES (2)", "SELECT 1/0",
	    "INSERT INTO public.s VALUES (3)", "COMMIT"};
	assert_true(pq_now_all(now, good, 4, &error, &failed));
	assert_false(pq_now_all(now, bad, 5, &error, &failed));
	assert_int_equal(failed, 2);
	assert_string_equal(error.sqlstate, "22012");
	pq_now_error_free(&error);
	assert_true(pq_now_ask(now, "SELECT count(*) FROM public.s", NULL, 0, &rows));
	assert_string_equal(pq_rows_at(&rows, 0, 0), "1");
	pq_rows_free(&rows);
	assert_true(pq_now_all(now, good, 0, &error, &failed));
	pq_now_close(&now);
}

static void a_lost_link_says_why(void **state)
{
	(void)state;
	struct pq_now *now = opened(NULL);
	struct pq_now_error error;
	char sql[80];
	snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)", (int)pq_now_backend(now));
	pg_sql(&cluster, "postgres", sql);
	assert_false(pq_now_do(now, "SELECT 1", NULL, 0, &error));
	/* whether it heard of it before or with this statement */
	assert_true(strcmp(error.sqlstate, "57P01") == 0 || strcmp(error.sqlstate, "08006") == 0);
	pq_now_error_free(&error);
	assert_false(pq_now_do(now, "SELECT 1", NULL, 0, &error));
	assert_string_equal(error.sqlstate, "57P01");
	assert_non_null(strstr(error.message, "terminating connection"));
	pq_now_error_free(&error);
	pq_now_close(&now);
}

/* A child that presses Ctrl-C once the server is at that statement. */
static pid_t presser(const char *text, int number, unsigned times)
{
	pid_t us = getpid(), child = fork();
	if (child != 0)
		return child;
	char sql[200];
	snprintf(sql, sizeof(sql),
	    "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND "
	    "strpos(query, '%s') > 0",
	    text);
	while (strcmp(pg_sql(&cluster, "postgres", sql), "1") != 0)
		usleep(10000);
	for (unsigned i = 0; i < times; i++)
		kill(us, number);
	_exit(0);
}

static void ctrl_c_cancels_the_statement(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		struct pq_now *now = opened(NULL), *other = opened(NULL);
		struct pq_now_error error;
		pid_t child = presser("pg_sleep(301)", round == 0 ? SIGINT : SIGTERM, 1);
		assert_false(pq_now_do(now, "SELECT pg_sleep(301)", NULL, 0, &error));
		assert_int_equal(pg_wait(child), 0);
		assert_string_equal(error.sqlstate, "57014");
		pq_now_error_free(&error);
		assert_true(pq_now_interrupted(now));
		/* nothing more, on any connection, but to put things back */
		assert_false(pq_now_do(now, "SELECT 1", NULL, 0, &error));
		assert_string_equal(error.sqlstate, "57014");
		pq_now_error_free(&error);
		assert_false(pq_now_do(other, "SELECT 1", NULL, 0, &error));
		pq_now_error_free(&error);
		pq_now_clean_up(now);
		child = presser("pg_sleep(0.311)", SIGINT, 3);
		assert_true(pq_now_do(now, "SELECT pg_sleep(0.311)", NULL, 0, &error));
		assert_int_equal(pg_wait(child), 0);
		pq_now_close(&other);
		pq_now_close(&now);
	}
	/* the old ways of signals are back */
	struct sigaction action;
	assert_int_equal(sigaction(SIGINT, NULL, &action), 0);
	assert_true(action.sa_handler == SIG_DFL);
	struct pq_now *now = opened(NULL);
	assert_false(pq_now_interrupted(now));
	raise(SIGINT);
	assert_true(pq_now_interrupted(now));
	pq_now_close(&now);
}

static void ctrl_c_while_connecting(void **state)
{
	(void)state;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(silent, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(silent, 1), 0);
	assert_int_equal(getsockname(silent, (struct sockaddr *)&address, &size), 0);
	char dsn[64];
	snprintf(dsn, sizeof(dsn), "host=127.0.0.1 port=%u", ntohs(address.sin_port));
	pid_t us = getpid(), child = fork();
	if (child == 0) {
		/* it is connecting once its socket has come */
		int came = accept(silent, NULL, NULL);
		kill(us, SIGINT);
		pause();
		_exit(came < 0);
	}
	refused(dsn, "57014");
	kill(child, SIGKILL);
	pg_wait(child);
	close(silent);
}

static void a_dead_server_is_given_up_by_a_second_ctrl_c(void **state)
{
	(void)state;
	struct pq_now *now = opened(NULL);
	struct pq_now_error error;
	int32_t pid = pq_now_backend(now);
	pid_t us = getpid(), child = fork();
	if (child == 0) {
		const char *sql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query "
				  "LIKE '%pg_sleep(303)%' "
				  "AND pid <> pg_backend_pid()";
		while (strcmp(pg_sql(&cluster, "postgres", sql), "1") != 0)
			usleep(10000);
		kill(pid, SIGSTOP);
		kill(us, SIGINT);
		/* the first one is taken before the second comes: both would count as one */
		for (int i = 0; i < 50; i++) {
			usleep(20000);
			kill(us, SIGINT);
		}
		kill(pid, SIGCONT);
		_exit(0);
	}
	assert_false(pq_now_do(now, "SELECT pg_sleep(303)", NULL, 0, &error));
	assert_string_equal(error.sqlstate, "57014");
	pq_now_error_free(&error);
	assert_false(pq_now_do(now, "SELECT 1", NULL, 0, &error));
	pq_now_error_free(&error);
	signal(SIGINT, SIG_IGN);
	pq_now_close(&now);
	signal(SIGINT, SIG_IGN);
	pg_wait(child);
	signal(SIGINT, SIG_DFL);
}

static char said[200];

static void on_noticed(const char *severity, const char *message, void *arg)
{
	(void)arg;
	snprintf(said, sizeof(said), "%s: %s", severity, message);
}

static void notices_come_through(void **state)
{
	(void)state;
	struct pq_now_error error;
	struct pq_now *now = pq_now_open(
	    &(struct pq_now_request){
		.dsn = pg_dsn(&cluster, "postgres"), .application = "test", .noticed = on_noticed},
	    &error);
	assert_non_null(now);
	assert_true(pq_now_do(now, "DO $$ BEGIN RAISE NOTICE 'hello'; END $$", NULL, 0, &error));
	assert_string_equal(said, "NOTICE: hello");
	pq_now_close(&now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(opening_fails_with_a_reason),
	    cmocka_unit_test(rows_are_copied),
	    cmocka_unit_test(errors_have_all_parts),
	    cmocka_unit_test(several_in_one_go),
	    cmocka_unit_test(a_lost_link_says_why),
	    cmocka_unit_test(notices_come_through),
	    cmocka_unit_test(ctrl_c_cancels_the_statement),
	    cmocka_unit_test(ctrl_c_while_connecting),
	    cmocka_unit_test(a_dead_server_is_given_up_by_a_second_ctrl_c),
	};
	alarm(120);
	pg_cluster_new(&cluster);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pg_cluster_free(&cluster);
	return failed;
}
