/* The published graph, from the ledger to the control link's news, against real servers. */
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
static const struct conf_recorded alembic = {.reader = S("alembic"), .schema = S("public")};

struct seen {
	struct link *link;
	struct lease *lease;
	struct conf_database section;
	char dsn[300];
	unsigned news, lost,
	    strangers; /* without a lease; a head that the graph told with it does not have */
	bool fresh, registered, standby, graphs;
	char heads[200], trouble[400], graph_trouble[400];
	int64_t serial; /* 0: no graph */
	unsigned revisions;
};

static void on_news(const struct link_news *news, void *arg)
{
	struct seen *seen = arg;
	const struct gate_graph *graph = news->graph;
	seen->lost += seen->fresh && !news->fresh;
	seen->news++;
	seen->fresh = news->fresh;
	seen->registered = news->registered;
	seen->standby = news->standby;
	snprintf(seen->heads, sizeof(seen->heads), "%s", heads_text(&news->recorded.heads));
	snprintf(seen->trouble, sizeof(seen->trouble), "%s", news->trouble != NULL ? news->trouble : "");
	snprintf(seen->graph_trouble, sizeof(seen->graph_trouble), "%s",
	    news->graph_trouble != NULL ? news->graph_trouble : "");
	seen->serial = graph != NULL ? graph->serial : 0;
	seen->revisions = graph != NULL ? graph->revisions : 0;
	seen->graphs |= graph != NULL;
	if (graph != NULL && news->fresh) {
		struct gate_standing *standing = graph->stand(news->graph, &news->recorded.heads, 0);
		seen->strangers += standing == NULL;
		gate_standing_unref(&standing);
	}
}

static void start(struct seen *seen, const char *user, const char *dbname, int64_t lease_ns)
{
	char error[200];
	memset(seen, 0, sizeof(*seen));
	snprintf(seen->dsn, sizeof(seen->dsn), "host=%s port=%u user=%s dbname=%s", cluster.dir, cluster.port,
	    user, dbname);
	seen->section = (struct conf_database){
	    .name = S("shop"), .lease_ns = lease_ns, .control = {.dsn = seen->dsn}, .recorded = alembic};
	seen->lease = lease_new();
	seen->link = link_start(&(struct link_request){.base = base,
				    .resolver = resolver,
				    .section = &seen->section,
				    .name = "shop",
				    .proxy_id = "22222222-2222-2222-2222-222222222222",
				    .proxy_name = "here:1",
				    .lease = seen->lease,
				    .news = on_news,
				    .arg = seen},
	    error, sizeof(error));
	assert_non_null(seen->link);
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

static const char *database = "shop";

static const char *sql(const char *text)
{
	return pg_sql(&cluster, database, text);
}

/* A line of migrations n1 to nCOUNT, as SQL that publishes it. */
static const char *publication(unsigned count)
{
	static char text[8000];
	char *to = text, *end = text + sizeof(text);
	to += snprintf(to, (size_t)(end - to), "SELECT headgate.publish(NULL, '[");
	for (unsigned i = 1; i <= count; i++) {
		char parent[20] = "";
		if (i > 1)
			snprintf(parent, sizeof(parent), "\"n%u\"", i - 1);
		to += snprintf(to, (size_t)(end - to),
		    "%s{\"revision\": \"n%u\", \"parents\": [%s], \"depends\": [], \"labels\": [], "
		    "\"compatible\": true}",
		    i > 1 ? ", " : "", i, parent);
	}
	snprintf(to, (size_t)(end - to), "]')");
	return text;
}

static void make_database(const char *name)
{
	char text[100], said[4000];
	snprintf(text, sizeof(text), "CREATE DATABASE %s", name);
	pg_sql(&cluster, "postgres", text);
	database = name;
	sql("CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY)");
	sql("INSERT INTO public.alembic_version VALUES ('n1')");
	init_database(&cluster, name, &alembic, "ctl", "postgres", said, sizeof(said));
}

static void a_publication_is_news(void **state)
{
	(void)state;
	static struct seen seen;
	make_database("shop");
	start(&seen, "ctl", "shop", 60 * CLOCK_S);
	until(seen.fresh && seen.registered);
	assert_int_equal(seen.serial, 0);
	assert_string_equal(seen.graph_trouble, "");
	/* nudged: with a renewal a second five would take longer */
	int64_t spent = 0;
	for (unsigned i = 1; i <= 5; i++) {
		sql(publication(i));
		int64_t began = clock_now();
		until(seen.serial == i);
		spent += clock_now() - began;
		assert_int_equal(seen.revisions, i);
	}
	assert_true(spent < 5 * CLOCK_S / 2);

	/* the same once more is no news */
	unsigned news = seen.news;
	int64_t deadline = lease_deadline(seen.lease);
	sql(publication(5));
	link_renew(seen.link);
	until(lease_deadline(seen.lease) > deadline);
	assert_int_equal(seen.news, news);

	/* another connection reads it anew, and the gate goes on with what it has meanwhile */
	sql("SELECT pg_terminate_backend(link_pid) FROM headgate.proxy");
	until(seen.trouble[0] != '\0');
	assert_int_equal(seen.serial, 5);
	until(seen.trouble[0] == '\0');
	assert_int_equal(seen.serial, 5);
	assert_int_equal(seen.lost, 0);
	stop(&seen);
}

/* Whenever the two are committed together, the link tells the head with a graph that has it. */
static void no_head_before_its_graph(void **state)
{
	(void)state;
	static struct seen seen;
	PGconn *conn = PQconnectdb(pg_dsn(&cluster, "shop"));
	start(&seen, "ctl", "shop", 60 * CLOCK_S);
	until(seen.fresh && seen.serial > 0);
	for (unsigned i = 5; i < 65; i++) {
		char text[9000], head[10];
		snprintf(head, sizeof(head), "n%u", i);
		/* not at one moment of a round: renewals are sent without a pause, and each commit falls
		 * somewhere else into them */
		for (unsigned k = 0; k < i % 7; k++) {
			link_renew(seen.link);
			event_base_loop(base, EVLOOP_NONBLOCK);
		}
		snprintf(text, sizeof(text),
		    "BEGIN; UPDATE public.alembic_version SET version_num = '%s'; %s; COMMIT", head,
		    publication(i));
		assert_int_equal(PQsendQuery(conn, text), 1);
		while (strcmp(seen.heads, head) != 0) {
			link_renew(seen.link);
			assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
		}
		assert_int_equal(seen.revisions, i);
		for (PGresult *result; (result = PQgetResult(conn)) != NULL;) {
			assert_true(PQresultStatus(result) != PGRES_FATAL_ERROR);
			PQclear(result);
		}
	}
	assert_int_equal(seen.strangers, 0);
	assert_int_equal(seen.lost, 0);
	PQfinish(conn);
	stop(&seen);
}

/* A reading that fails is a reading all the same (no version table: never migrated), and says nothing of the
 * graph. */
static void a_graph_without_a_version_table(void **state)
{
	(void)state;
	static struct seen seen;
	start(&seen, "ctl", "shop", 5 * CLOCK_S);
	until(seen.fresh && seen.serial > 0);
	int64_t serial = seen.serial;
	sql("ALTER TABLE public.alembic_version RENAME TO hidden");
	until(strcmp(seen.heads, "none") == 0);
	sql(publication(70));
	until(seen.serial == serial + 1);
	assert_string_equal(seen.graph_trouble, "");
	sql("ALTER TABLE public.hidden RENAME TO alembic_version");
	until(strcmp(seen.heads, "none") != 0);
	sql(publication(64));
	until(seen.serial == serial + 2);
	assert_int_equal(seen.lost, 0);
	stop(&seen);
}

static void a_wrong_graph_is_refused(void **state)
{
	(void)state;
	static struct seen seen;
	start(&seen, "ctl", "shop", 5 * CLOCK_S);
	until(seen.fresh && seen.serial > 0);
	sql("BEGIN; UPDATE headgate.revision SET parents = '{n3}' WHERE revision = 'n1'; "
	    "UPDATE headgate.graph SET serial = serial + 1; COMMIT");
	until(seen.serial == 0);
	assert_non_null(strstr(seen.graph_trouble, "in a circle: n1, n2, n3"));
	assert_true(seen.fresh);
	assert_string_equal(seen.trouble, "");
	/* told once, and the rest goes on */
	unsigned news = seen.news;
	sql("UPDATE public.alembic_version SET version_num = 'n63'");
	until(strcmp(seen.heads, "n63") == 0);
	assert_int_equal(seen.news, news + 1);
	sql(publication(64));
	until(seen.serial > 0);
	assert_string_equal(seen.graph_trouble, "");

	/* too big to be read */
	sql("BEGIN; INSERT INTO headgate.revision SELECT 'big' || i, 1000 + i, '{}', '{}', '{}', false, '', "
	    "NULL FROM generate_series(1, 100000) i; UPDATE headgate.graph SET serial = serial + 1; COMMIT");
	until(seen.serial == 0);
	assert_non_null(strstr(seen.graph_trouble, "100001 revisions"));
	sql("BEGIN; DELETE FROM headgate.revision WHERE position > 1000; UPDATE headgate.revision SET labels "
	    "= "
	    "ARRAY[repeat('x', 40000000)] WHERE revision = 'n1'; UPDATE headgate.graph SET serial = serial + "
	    "1; COMMIT");
	until(strstr(seen.graph_trouble, "64 revisions with 4000") != NULL);
	sql(publication(64));
	until(seen.serial > 0);
	assert_int_equal(seen.lost, 0);
	stop(&seen);
}

/* Without the right to read it, and with a lock on it: the gate goes on without. */
static void a_graph_that_cannot_be_read(void **state)
{
	(void)state;
	static struct seen seen;
	sql("REVOKE SELECT ON headgate.revision FROM ctl");
	start(&seen, "ctl", "shop", 5 * CLOCK_S);
	until(seen.fresh && seen.registered);
	assert_int_equal(seen.serial, 0);
	assert_non_null(strstr(seen.graph_trouble, "permission denied for table revision"));
	assert_string_equal(seen.trouble, "");
	sql("REVOKE SELECT ON headgate.graph FROM ctl");
	sql("SELECT pg_terminate_backend(link_pid) FROM headgate.proxy");
	until(strstr(seen.graph_trouble, "permission denied for table graph") != NULL);
	sql("GRANT SELECT ON headgate.revision, headgate.graph TO ctl");
	sql("SELECT pg_terminate_backend(link_pid) FROM headgate.proxy");
	until(seen.serial > 0);
	assert_int_equal(seen.lost, 0);

	/* once: it is tried again */
	PGconn *conn = PQconnectdb(pg_dsn(&cluster, "shop"));
	for (int often = 0; often < 2; often++) {
		int64_t serial = seen.serial;
		PQclear(PQexec(conn,
		    "BEGIN; LOCK TABLE headgate.revision; UPDATE public.alembic_version SET "
		    "version_num = 'n62'"));
		sql("UPDATE headgate.graph SET serial = serial + 1");
		until(strstr(seen.trouble, "the graph of migrations") != NULL);
		assert_int_equal(seen.serial, serial); /* with the reading that it belongs to */
		if (often == 0) {
			PQclear(PQexec(conn, "ROLLBACK"));
			until(seen.serial == serial + 1);
			assert_string_equal(seen.trouble, "");
			continue;
		}
		/* again and again: without */
		until(seen.serial == 0);
		assert_non_null(strstr(seen.graph_trouble, "lock timeout"));
		assert_string_equal(seen.trouble, "");
		PQclear(PQexec(conn, "COMMIT"));
		until(strcmp(seen.heads, "n62") == 0);
		assert_int_equal(seen.serial, 0);
	}
	assert_int_equal(seen.lost, 0);
	PQfinish(conn);
	stop(&seen);
}

#define DROP "SET client_min_messages = warning; DROP SCHEMA headgate CASCADE"

/* A proxy that is newer than its ledger; and a ledger that is made anew under the same number. */
static void other_ledgers(void **state)
{
	(void)state;
	static struct seen seen;
	char said[4000];
	make_database("older");
	sql(DROP);
	char *first = ledger_section(ledger_migrations[0].text, "up");
	sql(first);
	mem_free(&first);
	sql("INSERT INTO headgate.version (version, file) VALUES (1, 'x')");
	start(&seen, "postgres", "older", 5 * CLOCK_S);
	until(seen.fresh && seen.registered);
	assert_string_equal(seen.trouble, "");
	unsigned news = seen.news;
	init_database(&cluster, "older", &alembic, "ctl", "postgres", said, sizeof(said));
	assert_non_null(strstr(said, "ledger version 1: already there"));
	sql(publication(2));
	until(seen.serial == 1);
	assert_int_equal(seen.news, news + 1);
	assert_int_equal(seen.lost, 0);

	sql(DROP);
	init_database(&cluster, "older", &alembic, "ctl", "postgres", said, sizeof(said));
	sql(publication(9));
	until(seen.revisions == 9);
	assert_int_equal(seen.serial, 1);
	sql(DROP);
	until(!seen.registered && seen.serial == 0);
	assert_string_equal(seen.graph_trouble, "");
	stop(&seen);
}

static void on_a_standby(void **state)
{
	(void)state;
	struct pg_cluster standby = cluster;
	char data[128], port[16], make[200];
	snprintf(standby.dir, sizeof(standby.dir), "%s/standby", cluster.dir);
	snprintf(make, sizeof(make), "mkdir -m 0755 %s && chown --reference=%s %s", standby.dir, cluster.dir,
	    standby.dir);
	assert_int_equal(system(make), 0);
	standby.port = pg_free_port();
	snprintf(data, sizeof(data), "%s/data", standby.dir);
	snprintf(port, sizeof(port), "%u", cluster.port);
	char *backup[] = {"pg_basebackup", "-h", cluster.dir, "-p", port, "-U", "postgres", "-D", data, "-R",
	    "-X", "stream", "-c", "fast", NULL};
	assert_int_equal(pg_wait(pg_spawn(&standby, "pg_basebackup", backup)), 0);
	pg_cluster_start(&standby);

	static struct seen seen;
	struct pg_cluster primary = cluster;
	database = "shop";
	cluster = standby;
	start(&seen, "ctl", "shop", 2 * CLOCK_S);
	cluster = primary;
	until(seen.news > 0);
	assert_true(seen.fresh && seen.standby && seen.serial > 0);
	assert_int_equal(seen.revisions, 64);
	char both[9000];
	snprintf(both, sizeof(both),
	    "BEGIN; UPDATE public.alembic_version SET version_num = 'n65'; %s; COMMIT", publication(65));
	sql(both);
	until(strcmp(seen.heads, "n65") == 0);
	assert_int_equal(seen.revisions, 65);
	assert_int_equal(seen.strangers, 0);
	pg_sql(&standby, "shop", "SELECT pg_promote()");
	until(seen.registered && seen.fresh);
	assert_int_equal(seen.revisions, 65);
	stop(&seen);
	pg_cluster_stop(&standby);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_publication_is_news),
	    cmocka_unit_test(no_head_before_its_graph),
	    cmocka_unit_test(a_graph_without_a_version_table),
	    cmocka_unit_test(a_wrong_graph_is_refused),
	    cmocka_unit_test(a_graph_that_cannot_be_read),
	    cmocka_unit_test(on_a_standby),
	    cmocka_unit_test(other_ledgers),
	};
	alarm(180);
	pg_cluster_new(&cluster);
	base = event_base_new();
	resolver = resolver_new(base);
	pg_sql(&cluster, "postgres", "CREATE ROLE ctl LOGIN");
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	resolver_free(&resolver);
	event_base_free(base);
	pg_cluster_free(&cluster);
	return failed;
}
