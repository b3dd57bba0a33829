#include "rehearse_session.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/pq.h"
#include "net/resolve.h"
#include "schema/locks.h"

#define CONNECT_NS (15 * CLOCK_S)
#define LOOK_NS    (100 * CLOCK_MS) /* for Ctrl-C */
#define QUICK      200              /* looks at locks without a pause, then this one between two */
#define PAUSE_NS   (20 * CLOCK_MS)

static void on_pause(evutil_socket_t fd, short what, void *arg);

struct link {
	struct rehearse_session *session;
	struct pq *pq;
	bool opened, closed;
};
struct rehearse_session {
	struct rehearse_session_request request;
	struct event_base *base;
	struct resolver *resolver;
	struct event *look;
	struct link work, watch;
	bool in_transaction;
	bool waiting, cancelled;
	char *lost; /* why the connection that works is gone */
	char lost_sqlstate[6];
	/* the answer that is waited for */
	bool ok;
	struct pq_now_error error;
	struct pq_rows *rows;
	/* the watching */
	void (*saw)(const struct pq_rows *locks, void *arg);
	void *saw_arg;
	struct event *pause;
	unsigned looks;
	bool looking; /* a look is on its way */
};

static char *copy(const char *text)
{
	return text != NULL ? mem_strdup(text) : NULL;
}

static void fail(struct rehearse_session *s, const char *sqlstate, const char *message)
{
	pq_now_error_free(&s->error);
	snprintf(s->error.sqlstate, sizeof(s->error.sqlstate), "%s", sqlstate);
	s->error.message = mem_strdup(message);
	s->ok = false;
}

static void on_opened(struct pq *pq, void *arg)
{
	struct link *link = arg;
	(void)pq;
	link->opened = true;
	event_base_loopbreak(link->session->base);
}

/* What waits has been answered before. */
static void on_closed(struct pq *pq, const char *sqlstate, const char *message, void *arg)
{
	struct link *link = arg;
	struct rehearse_session *s = link->session;
	(void)pq;
	link->opened = false;
	link->closed = true;
	/* Without the second connection some locks are not seen, and that is all. */
	if (link == &s->work) {
		mem_free(&s->lost);
		s->lost = mem_strdup(message);
		snprintf(s->lost_sqlstate, sizeof(s->lost_sqlstate), "%s", sqlstate);
	}
	event_base_loopbreak(s->base);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct rehearse_session *s = arg;
	(void)fd, (void)what;
	if (s->cancelled || !s->request.interrupted(s->request.arg))
		return;
	s->cancelled = true;
	if (s->waiting)
		pq_cancel(s->work.pq);
	else
		event_base_loopbreak(s->base);
}

static void open_link(struct rehearse_session *s, struct link *link)
{
	link->session = s;
	link->pq = pq_open(&(struct pq_request){
	    .base = s->base,
	    .resolver = s->resolver,
	    .dsn = s->request.dsn,
	    .dbname = s->request.dbname,
	    .application_name = "headgate rehearse",
	    .connect_ns = CONNECT_NS,
	    .handlers = {.opened = on_opened, .closed = on_closed},
	    .arg = link,
	});
	while (!link->opened && !link->closed && s->lost == NULL && !s->cancelled)
		event_base_loop(s->base, EVLOOP_ONCE);
}

/* As psql begins: what role, database and dsn say. */
static bool make_fresh(struct rehearse_session *s, struct pq_now_error *error)
{
	char sql[160];
	if (!rehearse_session_do(s, "RESET ALL", error))
		return false;
	snprintf(
	    sql, sizeof(sql), "SET lock_timeout = %lld", (long long)(s->request.lock_timeout_ns / CLOCK_MS));
	if (!rehearse_session_do(s, sql, error))
		return false;
	snprintf(sql, sizeof(sql), "SET statement_timeout = %lld",
	    (long long)(s->request.statement_timeout_ns / CLOCK_MS));
	return rehearse_session_do(s, sql, error);
}

struct rehearse_session *rehearse_session_open(
    const struct rehearse_session_request *request, struct pq_now_error *error)
{
	struct rehearse_session *s = mem_zalloc(sizeof(*s));
	struct timeval period = clock_timeval(LOOK_NS);

	*error = (struct pq_now_error){.position = 0};
	s->request = *request;
	s->base = event_base_new();
	s->look = s->base != NULL ? event_new(s->base, -1, EV_PERSIST, on_look, s) : NULL;
	s->pause = s->base != NULL ? event_new(s->base, -1, 0, on_pause, s) : NULL;
	if (s->look == NULL || s->pause == NULL || event_add(s->look, &period) != 0)
		log_fatal("no event loop");
	s->resolver = resolver_new(s->base);
	open_link(s, &s->work);
	if (!s->work.opened) {
		fail(s, s->lost != NULL ? s->lost_sqlstate : "57014",
		    s->lost != NULL ? s->lost : "interrupted");
		*error = s->error;
		s->error = (struct pq_now_error){.position = 0};
		rehearse_session_close(&s);
	} else if (!make_fresh(s, error)) {
		rehearse_session_close(&s);
	}
	return s;
}

void rehearse_session_close(struct rehearse_session **at)
{
	struct rehearse_session *s = *at;
	*at = NULL;
	if (s == NULL)
		return;
	pq_close(&s->work.pq);
	pq_close(&s->watch.pq);
	resolver_free(&s->resolver);
	event_free(s->look);
	event_free(s->pause);
	event_base_free(s->base);
	pq_now_error_free(&s->error);
	mem_free(&s->lost);
	mem_free(&s);
}

/* ---- one statement ---- */

static void keep_rows(struct pq_rows *rows, const struct pq_result *result)
{
	rows->ok = true;
	rows->rows = (unsigned)result->rows;
	rows->columns = (unsigned)result->columns;
	rows->cells = mem_zalloc(((size_t)rows->rows * rows->columns + 1) * sizeof(char *));
	for (unsigned row = 0; row < rows->rows; row++)
		for (unsigned column = 0; column < rows->columns; column++)
			rows->cells[(size_t)row * rows->columns + column] =
			    copy(pq_value(result, (int)row, (int)column));
}

static void take_result(struct rehearse_session *s, const struct pq_result *result)
{
	s->ok = result->ok;
	if (!result->ok) {
		fail(s, result->sqlstate, result->message);
		s->error.detail = copy(result->detail);
		s->error.hint = copy(result->hint);
		s->error.position = result->position;
	} else if (s->rows != NULL) {
		keep_rows(s->rows, result);
	}
}

static void on_result(const struct pq_result *result, void *arg)
{
	take_result(arg, result);
}

static void on_end(const struct pq_result *result, void *arg)
{
	struct rehearse_session *s = arg;
	(void)result;
	s->waiting = false;
	event_base_loopbreak(s->base);
}

static void on_answer(const struct pq_result *result, void *arg)
{
	take_result(arg, result);
	on_end(result, arg);
}

static bool may_ask(struct rehearse_session *s)
{
	if (s->lost != NULL)
		fail(s, s->lost_sqlstate, s->lost);
	else if (s->cancelled)
		fail(s, "57014", "interrupted");
	else
		return true;
	return false;
}

static bool wait_for_answer(struct rehearse_session *s, struct pq_now_error *error)
{
	while (s->waiting)
		event_base_loop(s->base, EVLOOP_ONCE);
	s->rows = NULL;
	if (!s->ok) {
		*error = s->error;
		s->error = (struct pq_now_error){.position = 0};
	}
	return s->ok;
}

/* Rows that a statement of a file returns are dropped as they come, where that is possible: in a transaction.
 */
static void send_off(struct rehearse_session *s, const char *sql, const struct split_statement *statement)
{
	bool copies = statement != NULL && strncasecmp(sql, "copy", 4) == 0;
	s->waiting = true;
	if (copies) {
		pq_copy(s->work.pq, sql, statement->data, statement->data_size, on_answer, s);
	} else if (statement != NULL && s->in_transaction) {
		pq_queue(s->work.pq, sql, NULL, 0, on_result, s);
		pq_query(s->work.pq, "SELECT", NULL, 0, on_end, s);
	} else {
		pq_query(s->work.pq, sql, NULL, 0, on_answer, s);
	}
}

static bool run(struct rehearse_session *s, const char *sql, const struct split_statement *statement,
    struct pq_now_error *error)
{
	*error = (struct pq_now_error){.position = 0};
	if (may_ask(s))
		send_off(s, sql, statement);
	bool done = wait_for_answer(s, error);
	s->in_transaction = s->lost == NULL && pq_in_transaction(s->work.pq);
	return done;
}

bool rehearse_session_do(struct rehearse_session *s, const char *sql, struct pq_now_error *error)
{
	return run(s, sql, NULL, error);
}

bool rehearse_session_ask(
    struct rehearse_session *s, const char *sql, struct pq_rows *rows, struct pq_now_error *error)
{
	*rows = (struct pq_rows){.ok = false};
	s->rows = rows;
	return run(s, sql, NULL, error);
}

bool rehearse_session_run(
    struct rehearse_session *s, const struct split_statement *statement, struct pq_now_error *error)
{
	char *sql = mem_strndup(statement->text, statement->size);
	bool done = run(s, sql, statement, error);
	mem_free(&sql);
	return done;
}

/* ---- watched ---- */

static void look(struct rehearse_session *s);

static void on_pause(evutil_socket_t fd, short what, void *arg)
{
	struct rehearse_session *s = arg;
	(void)fd, (void)what;
	if (s->waiting && s->watch.opened)
		look(s);
}

static void on_locks(const struct pq_result *result, void *arg)
{
	struct rehearse_session *s = arg;
	struct timeval pause = clock_timeval(PAUSE_NS);
	s->looking = false;
	if (result->ok && s->saw != NULL) {
		struct pq_rows rows = {.ok = true};
		keep_rows(&rows, result);
		s->saw(&rows, s->saw_arg);
		pq_rows_free(&rows);
	}
	if (!result->ok || !s->waiting)
		event_base_loopbreak(s->base);
	else if (++s->looks < QUICK)
		look(s);
	else
		event_add(s->pause, &pause);
}

/* Short statements are over in a moment: at first there is no pause between two looks. */
static void look(struct rehearse_session *s)
{
	char pid[16];
	const char *values[] = {pid};
	snprintf(pid, sizeof(pid), "%d", pq_backend_pid(s->work.pq));
	s->looking = true;
	pq_query(s->watch.pq, locks_held_sql, values, 1, on_locks, s);
}

bool rehearse_session_watch(struct rehearse_session *s, const struct split_statement *statement,
    void (*saw)(const struct pq_rows *locks, void *arg), void *arg, struct pq_now_error *error)
{
	if (s->watch.pq == NULL && s->lost == NULL)
		open_link(s, &s->watch);
	s->saw = saw;
	s->saw_arg = arg;
	s->looks = 0;
	if (s->watch.opened)
		look(s);
	bool done = rehearse_session_run(s, statement, error);
	while (s->looking && s->watch.opened)
		event_base_loop(s->base, EVLOOP_ONCE);
	event_del(s->pause);
	s->saw = NULL;
	return done;
}

bool rehearse_session_in_transaction(const struct rehearse_session *s)
{
	return s->in_transaction;
}

int32_t rehearse_session_backend(const struct rehearse_session *s)
{
	return pq_backend_pid(s->work.pq);
}
