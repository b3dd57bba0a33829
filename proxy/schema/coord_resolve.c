/* headgate resolve: the end of a run that was left half way. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "command_private.h"
#include "coord_private.h"

#define RESOLUTION_MAGIC 0x7265736fu
#define PATIENCE_NS      (15 * CLOCK_S)

struct resolution {
	unsigned magic;
	struct resolution_request request;
	struct pq *pq;
	struct event *timer; /* patience; then the telling of the end, from the loop */
	bool over;
	enum coord_resolved how;
	int64_t run_id;
	char *text;
};

static void finish(struct resolution *r, enum coord_resolved how, char *text)
{
	if (r->over) {
		mem_free(&text);
		return;
	}
	r->over = true;
	r->how = how;
	r->text = command_clean(text, strlen(text));
	mem_free(&text);
	pq_close(&r->pq);
	const struct timeval now = {0, 0};
	event_add(r->timer, &now);
}

static bool failed(struct resolution *r, const struct pq_result *result)
{
	/* A broken link is told by on_closed(). */
	if (!result->ok && strcmp(result->sqlstate, "42883") == 0)
		finish(r, COORD_NOT_RESOLVED,
		    mem_strdup("the ledger is older than this program: run `headgate init`, then again"));
	else if (!result->ok && pq_is_open(r->pq))
		finish(r, COORD_NOT_RESOLVED,
		    mem_printf("the ledger: %s%s%s", result->message, result->hint != NULL ? ": " : "",
			result->hint != NULL ? result->hint : ""));
	return !result->ok;
}

static void on_resolved(const struct pq_result *result, void *arg)
{
	struct resolution *r = arg;
	if (failed(r, result))
		return;
	if (coord_true(result, 0, 0))
		finish(r, COORD_RESOLVED,
		    mem_printf("run %" PRId64 " is resolved; the gate goes to what is recorded", r->run_id));
	else
		finish(r, COORD_NOTHING_UNRESOLVED,
		    mem_printf("run %" PRId64 " was resolved by somebody else just now", r->run_id));
}

static void on_found(const struct pq_result *result, void *arg)
{
	struct resolution *r = arg;
	if (failed(r, result))
		return;
	if (result->rows == 0) {
		finish(r, COORD_NOTHING_UNRESOLVED, mem_strdup("no run is unresolved"));
		return;
	}
	r->run_id = coord_number(result, 0, 0);
	if (pq_value(result, 0, 1) != NULL) {
		finish(r, COORD_NOT_RESOLVED,
		    mem_printf("a statement of run %" PRId64 "'s command is still at work: %s; wait for its "
			       "end, or SELECT pg_terminate_backend(%s)",
			r->run_id, coord_text(result, 0, 2), coord_text(result, 0, 1)));
		return;
	}
	char run[24], *who = command_clean(r->request.who, strlen(r->request.who)),
		      *note = command_clean(r->request.note, strlen(r->request.note));
	snprintf(run, sizeof(run), "%" PRId64, r->run_id);
	const char *const values[] = {run, who, note, r->request.as};
	pq_query(r->pq, "SELECT headgate.resolve($1, $2, $3, $4)", values, 4, on_resolved, r);
	mem_free(&who);
	mem_free(&note);
}

static void on_reaped(const struct pq_result *result, void *arg)
{
	(void)failed(arg, result);
}

static void on_opened(struct pq *pq, void *arg)
{
	pq_query(pq, "SET statement_timeout = '10s'", NULL, 0, NULL, NULL);
	/* Where no proxy is left to notice, the run of a coordinator that is gone is ended here. */
	pq_query(pq, "SELECT CASE WHEN pg_try_advisory_xact_lock(" LEDGER_LOCK ") THEN headgate.reap() END",
	    NULL, 0, on_reaped, arg);
	pq_query(pq,
	    "SELECT n.run_id, a.pid, format('pid %s (%s%s), %s', a.pid, a.usename, COALESCE('@' || "
	    "host(a.client_addr), ''), a.state) "
	    "FROM headgate.run n LEFT JOIN pg_stat_activity a ON a.datname = current_database() AND "
	    "a.application_name = 'headgate-run-' || n.run_id "
	    "WHERE n.unresolved ORDER BY n.run_id LIMIT 1",
	    NULL, 0, on_found, arg);
}

static void on_closed(struct pq *pq, const char *sqlstate, const char *message, void *arg)
{
	(void)pq, (void)sqlstate;
	finish(arg, COORD_RESOLVE_UNREACHABLE, mem_printf("no connection to the server: %s", message));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct resolution *r = arg;
	(void)fd, (void)what;
	if (r->magic != RESOLUTION_MAGIC)
		log_panic("not a resolution");
	if (r->over)
		r->request.done(r->how, r->run_id, r->text, r->request.arg);
	else
		finish(r, COORD_RESOLVE_UNREACHABLE, mem_strdup("the server does not answer"));
}

struct resolution *resolution_start(const struct resolution_request *request)
{
	struct resolution *r = mem_zalloc(sizeof(*r));
	r->magic = RESOLUTION_MAGIC;
	r->request = *request;
	r->timer = event_new(request->base, -1, 0, on_timer, r);
	if (r->timer == NULL)
		log_fatal("out of memory");
	const struct timeval patience = clock_timeval(PATIENCE_NS);
	event_add(r->timer, &patience);
	const struct pq_request open = {
	    .base = request->base,
	    .resolver = request->resolver,
	    .dsn = request->section->control.run_dsn,
	    .dbname = request->dbname,
	    .application_name = "headgate resolve",
	    .connect_ns = PATIENCE_NS,
	    .handlers = {.opened = on_opened, .closed = on_closed},
	    .arg = r,
	};
	r->pq = pq_open(&open);
	return r;
}

void resolution_free(struct resolution **place)
{
	struct resolution *r = *place;
	*place = NULL;
	if (r == NULL)
		return;
	r->magic = 0;
	pq_close(&r->pq);
	event_free(r->timer);
	mem_free(&r->text);
	mem_free(&r);
}
