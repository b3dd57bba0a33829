/* The second connection: it cancels and ends, and looks how far a long statement is. It has no transaction
 * open between its looks: an index built concurrently would wait for it. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "coord_private.h"
#include "runner_private.h"

#define OPEN_NS (10 * CLOCK_S)

/* The fence must know it as ours. */
static const char present_sql[] = "SELECT pg_catalog.pg_try_advisory_lock_shared(" COORD_PRESENT_LOCK ")";

/* $1 the backend, $2 how many bytes a COPY is given, which the server does not know. Blockers are asked for
 * only while it waits: that takes locks of the lock table. */
#define LOOK_SQL(copy, analyze)                                                                              \
	"SELECT a.wait_event_type = 'Lock', CASE WHEN a.wait_event_type = 'Lock' THEN "                      \
	"(SELECT string_agg(format('pid %s (%s%s%s)%s%s', b.pid, b.usename, COALESCE('@' || "                \
	"host(b.client_addr), ''), CASE WHEN b.application_name <> '' THEN ', ' || b.application_name ELSE " \
	"'' END, COALESCE(', ' || b.state, COALESCE(', ' || b.backend_type, '')), COALESCE(format(' for %s " \
	"s', round(extract(epoch FROM clock_timestamp() - b.xact_start)::numeric, 1)), '')), '; ' ORDER BY " \
	"b.pid) FROM pg_stat_activity b WHERE b.pid = ANY (pg_blocking_pids(a.pid))) END, "                  \
	"p.what, p.done, p.total FROM pg_stat_activity a LEFT JOIN ("                                        \
	"SELECT c.pid, format('%s on %s: %s', lower(c.command), c.relid::regclass, c.phase), "               \
	"CASE WHEN c.blocks_total > 0 THEN c.blocks_done WHEN c.tuples_total > 0 THEN c.tuples_done ELSE "   \
	"c.lockers_done END, CASE WHEN c.blocks_total > 0 THEN c.blocks_total WHEN c.tuples_total > 0 THEN " \
	"c.tuples_total ELSE c.lockers_total END FROM pg_stat_progress_create_index c "                      \
	"UNION ALL SELECT v.pid, format('vacuum of %s: %s', v.relid::regclass, v.phase), "                   \
	"CASE WHEN v.phase = 'vacuuming heap' THEN v.heap_blks_vacuumed ELSE v.heap_blks_scanned END, "      \
	"v.heap_blks_total FROM pg_stat_progress_vacuum v "                                                  \
	"UNION ALL SELECT c.pid, format('%s of %s: %s', lower(c.command), c.relid::regclass, c.phase), "     \
	"c.heap_blks_scanned, c.heap_blks_total FROM pg_stat_progress_cluster c " copy analyze               \
	") p(pid, what, done, total) ON p.pid = a.pid WHERE a.pid = $1 AND $2::bigint IS NOT NULL LIMIT 1"
#define LOOK_ANALYZE                                                                                         \
	"UNION ALL SELECT z.pid, format('analyze of %s: %s', z.relid::regclass, z.phase), "                  \
	"z.sample_blks_scanned, z.sample_blks_total FROM pg_stat_progress_analyze z "
#define LOOK_COPY                                                                                            \
	"UNION ALL SELECT y.pid, format('%s of %s: %s rows', lower(y.command), y.relid::regclass, "          \
	"y.tuples_processed), y.bytes_processed, GREATEST(y.bytes_total, $2::bigint) FROM "                  \
	"pg_stat_progress_copy y "

static void aside_stop(struct runner *r);

static bool at_work(const struct runner *r)
{
	return r->state == RUNNER_BATCH || r->state == RUNNER_STATEMENT;
}

static void on_looked(const struct pq_result *result, void *arg)
{
	enum { BLOCKED, BLOCKERS, WHAT, DONE, TOTAL };
	struct runner *r = arg;
	r->aside_asking = false;
	if (!result->ok || result->rows != 1 || !at_work(r))
		return;
	const char *blocked = pq_value(result, 0, BLOCKED), *blockers = pq_value(result, 0, BLOCKERS),
		   *what = pq_value(result, 0, WHAT);
	long long done = coord_number(result, 0, DONE), total = coord_number(result, 0, TOTAL);
	mem_free(&r->what);
	r->percent = -1;
	r->blocked = blocked != NULL && strcmp(blocked, "t") == 0;
	if (r->blocked && blockers != NULL)
		r->what = mem_printf("waiting for a lock of %s", blockers);
	else if (r->blocked)
		r->what = mem_strdup("waiting for a lock");
	else if (what != NULL)
		r->what = mem_strdup(what);
	if (!r->blocked && total > 0)
		r->percent = (int)(done >= total ? 100 : done * 100 / total);
	runner_tell(r, r->blocked ? COORD_STEP_BLOCKED : COORD_STEP_RUNNING, r->what);
}

static void on_present(const struct pq_result *result, void *arg)
{
	struct runner *r = arg;
	if (result->ok && at_work(r) && !r->aside_asking)
		runner_aside_tick(r);
}

static void on_opened(struct pq *pq, void *arg)
{
	struct runner *r = arg;
	pq_query(pq, "SET statement_timeout = '10s'", NULL, 0, NULL, NULL);
	pq_query(pq, present_sql, NULL, 0, on_present, r);
	aside_stop(r);
}

static void resume(struct runner *r)
{
	r->aside_cancelling = false;
	if (r->state == RUNNER_WAITING)
		runner_resume(r);
}

static void on_closed(struct pq *pq, const char *sqlstate, const char *message, void *arg)
{
	struct runner *r = arg;
	(void)pq;
	log_debug(r->request.object, "runner: the second connection: %s (%s)", message, sqlstate);
	if (r->stopping > 0 && at_work(r))
		runner_warn(r, "the second connection, by which statements are cancelled: %s", message);
	pq_close(&r->aside);
	r->aside_asking = false;
	r->aside_stops = 0;
	resume(r);
}

static void aside_open(struct runner *r)
{
	const struct pq_request open = {
	    .base = r->request.base,
	    .resolver = r->request.resolver,
	    .dsn = r->request.dsn,
	    .dbname = r->request.dbname,
	    .application_name = "headgate watch",
	    .connect_ns = OPEN_NS,
	    .handlers = {.opened = on_opened, .closed = on_closed},
	    .arg = r,
	};
	r->aside = pq_open(&open);
}

/* The last statement of the batch may be gone by now: then there is nothing to cancel, and the cancel is
 * known to have come before anything else is asked. */
static void on_stopped(const struct pq_result *result, void *arg)
{
	struct runner *r = arg;
	if (!result->ok && pq_is_open(r->aside))
		runner_warn(r, "cancelling the statement: %s", result->message);
	if (!result->ok && !pq_is_open(r->aside))
		return; /* on_closed() follows */
	resume(r);
	if (r->aside_stops < r->stopping)
		aside_stop(r);
}

static void aside_stop(struct runner *r)
{
	if (!pq_is_open(r->aside) || r->aside_stops >= r->stopping || r->aside_cancelling || !at_work(r))
		return;
	char pid[16];
	snprintf(pid, sizeof(pid), "%d", (int)pq_backend_pid(r->request.pq));
	const char *const values[] = {pid};
	r->aside_stops = r->stopping;
	r->aside_cancelling = true;
	pq_query(r->aside,
	    r->stopping > 1 ? "SELECT pg_catalog.pg_terminate_backend($1)"
			    : "SELECT pg_catalog.pg_cancel_backend($1)",
	    values, 1, on_stopped, r);
}

void runner_aside_stop(struct runner *r)
{
	if (r->aside == NULL)
		aside_open(r);
	else
		aside_stop(r);
}

/* The bytes of the COPY under way, 0: it is none. */
static size_t copy_size(const struct runner *r)
{
	if (r->state == RUNNER_STATEMENT && r->statement < r->split.count)
		return r->split.at[r->statement].data_size;
	if (r->state == RUNNER_BATCH && r->sent > 0 && r->items[r->sent - 1].copy)
		return r->items[r->sent - 1].statement->data_size;
	return 0;
}

void runner_aside_tick(struct runner *r)
{
	static const char look_13[] = LOOK_SQL("", LOOK_ANALYZE),
			  look_14[] = LOOK_SQL(LOOK_COPY, LOOK_ANALYZE);
	if (r->aside == NULL) {
		runner_tell(r, COORD_STEP_RUNNING, NULL);
		aside_open(r);
		return;
	}
	if (r->stopping > r->aside_stops)
		aside_stop(r);
	if (!pq_is_open(r->aside) || r->aside_asking) {
		runner_tell(r, r->blocked ? COORD_STEP_BLOCKED : COORD_STEP_RUNNING, r->what);
		return;
	}
	char pid[16], size[24];
	snprintf(pid, sizeof(pid), "%d", (int)pq_backend_pid(r->request.pq));
	snprintf(size, sizeof(size), "%zu", copy_size(r));
	const char *const values[] = {pid, size};
	r->aside_asking = true;
	pq_query(
	    r->aside, pq_server_version(r->aside) >= 140000 ? look_14 : look_13, values, 2, on_looked, r);
}

void runner_aside_close(struct runner *r)
{
	pq_close(&r->aside);
}
