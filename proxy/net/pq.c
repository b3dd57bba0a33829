#include "net/pq.h"

#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pq_private.h"
#include "net/resolve.h"

/* Every setting whose value by role or database could change what our statements mean or how long they may
 * take. The time-outs are read from pg_settings because each exists only from some version on. */
static const char setup_sql[] =
    "SELECT pg_catalog.set_config('search_path', '', false), "
    "pg_catalog.set_config('default_transaction_isolation', 'read committed', false), "
    "pg_catalog.set_config('default_transaction_read_only', 'off', false), "
    "pg_catalog.set_config('DateStyle', 'ISO', false), "
    "(SELECT pg_catalog.count(pg_catalog.set_config(s.name, '0', false)) FROM pg_catalog.pg_settings s WHERE "
    "s.name IN "
    "('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', "
    "'transaction_timeout'))";

void pq_cancel(const struct pq *pq)
{
	char why[256];
	PGcancel *cancel = pq->conn != NULL ? PQgetCancel(pq->conn) : NULL;
	if (cancel != NULL && PQcancel(cancel, why, sizeof(why)) != 1)
		log_debug("net/pq", "cancel: %s", why);
	PQfreeCancel(cancel);
}

bool pq_is_open(const struct pq *pq)
{
	return pq != NULL && pq->state == PQ_OPEN && pq->broken == NULL;
}

int32_t pq_backend_pid(const struct pq *pq)
{
	return pq->conn != NULL ? PQbackendPID(pq->conn) : 0;
}

int pq_server_version(const struct pq *pq)
{
	return pq->conn != NULL ? PQserverVersion(pq->conn) : 0;
}

void pq_enter(struct pq *pq)
{
	if (pq->magic != PQ_MAGIC)
		log_panic("net/pq: called with something that is not a connection");
	pq->busy++;
}

bool pq_leave(struct pq *pq)
{
	if (--pq->busy > 0 || !pq->dead)
		return !pq->dead;
	pq->magic = 0;
	mem_free(&pq);
	return false;
}

void pq_event_drop(struct event **event)
{
	if (*event != NULL)
		event_free(*event);
	*event = NULL;
}

/* All that a link needs while it lives, and nothing that the owner may still ask for. */
static void unhook(struct pq *pq)
{
	pq_event_drop(&pq->io);
	pq_event_drop(&pq->out);
	pq_event_drop(&pq->timer);
	resolve_cancel(&pq->resolve);
	pq_hosts_free(&pq->hosts);
	if (pq->conn != NULL)
		PQfinish(pq->conn);
	pq->conn = NULL;
}

void pq_close(struct pq **at)
{
	struct pq *pq = *at;
	*at = NULL;
	if (pq == NULL)
		return;
	unhook(pq);
	pq_event_drop(&pq->kick);
	while (pq->first != NULL) {
		struct statement *s = pq_statement_take(pq);
		pq_statement_free(&s);
	}
	mem_free(&pq->dsn);
	mem_free(&pq->dbname);
	mem_free(&pq->application_name);
	mem_free(&pq->broken);
	mem_free(&pq->fatal_message);
	pq->dead = true;
	pq->busy++;
	pq_leave(pq);
}

static bool answer_error(struct pq *pq, struct statement *s, const char *sqlstate, const char *message)
{
	const struct pq_result result = {
	    .sqlstate = sqlstate, .message = message, .severity = "", .command_status = ""};
	return pq_answer(pq, s, &result);
}

void pq_lost(struct pq *pq, const char *sqlstate, const char *message)
{
	char *why = mem_strdup(pq->fatal_message != NULL ? pq->fatal_message : message);
	char code[6];
	snprintf(code, sizeof(code), "%s", pq->fatal_message != NULL ? pq->fatal_sqlstate : sqlstate);

	/* Only those who wait now: one who asks again inside its answer is answered from the loop. */
	unsigned waiting = 0;
	for (struct statement *s = pq->first; s != NULL; s = s->next)
		waiting++;

	pq_enter(pq);
	pq->state = PQ_LOST;
	unhook(pq);
	for (; !pq->dead && waiting > 0; waiting--)
		answer_error(pq, pq_statement_take(pq), "08006", why);
	if (!pq->dead)
		pq->handlers.closed(pq, code, why, pq->arg);
	pq_leave(pq);
	mem_free(&why);
}

void pq_lost_by_libpq(struct pq *pq)
{
	char sqlstate[6];
	snprintf(sqlstate, sizeof(sqlstate), "%s", pq->state == PQ_CONNECT ? "08001" : "08006");
	char *why = pq_message_line(pq->conn != NULL ? PQerrorMessage(pq->conn) : "out of memory", sqlstate);
	pq_lost(pq, sqlstate, why[0] != '\0' ? why : "the connection was lost");
	mem_free(&why);
}

static bool take_notifications(struct pq *pq)
{
	PGnotify *notify;
	bool alive = true;
	while (alive && pq->conn != NULL && (notify = PQnotifies(pq->conn)) != NULL) {
		pq_enter(pq);
		if (pq->handlers.notified != NULL)
			pq->handlers.notified(pq, notify->relname, notify->extra, notify->be_pid, pq->arg);
		PQfreemem(notify);
		alive = pq_leave(pq);
	}
	return alive && pq->conn != NULL;
}

static void flush(struct pq *pq)
{
	int left = PQflush(pq->conn);
	if (left < 0) {
		pq_lost_by_libpq(pq);
		return;
	}
	if (left > 0)
		event_add(pq->out, NULL);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct pq *pq = arg;
	(void)fd, (void)what;
	bool up = PQconsumeInput(pq->conn) == 1;

	/* Also when the link is down: what arrived before is answered as it was. */
	if (!pq_take_results(pq) || !take_notifications(pq))
		return;
	if (!up || PQstatus(pq->conn) == CONNECTION_BAD)
		pq_lost_by_libpq(pq);
	else
		flush(pq);
}

struct statement *pq_statement(struct pq *pq, pq_done *done, void *arg)
{
	struct statement *s = mem_zalloc(sizeof(*s));
	s->done = done;
	s->arg = arg;
	*pq->last = s;
	pq->last = &s->next;
	return s;
}

void pq_kick(struct pq *pq)
{
	event_active(pq->kick, EV_TIMEOUT, 1);
}

static bool send_statement(
    struct pq *pq, const struct statement *s, const char *sql, const char *const *values, int count)
{
	if (PQsendQueryParams(pq->conn, sql, count, NULL, values, NULL, NULL, 0) != 1)
		return false;
	if (s == pq->first)
		pq_prime(pq, s);
	return s->queued || PQpipelineSync(pq->conn) == 1;
}

static void ask(struct pq *pq, struct statement *s, const char *sql, const char *const *values, int count)
{
	if ((pq->state != PQ_SETUP && pq->state != PQ_OPEN) || pq->broken != NULL) {
		pq_kick(pq);
		return;
	}
	s->sent = true;
	int left = 0;
	if (!send_statement(pq, s, sql, values, count))
		left = -1;
	else if (!s->queued)
		left = PQflush(pq->conn);
	if (left < 0) {
		pq->broken = mem_strdup(PQerrorMessage(pq->conn));
		pq_kick(pq);
	} else if (left > 0) {
		event_add(pq->out, NULL);
	}
}

void pq_query(struct pq *pq, const char *sql, const char *const *values, int count, pq_done *done, void *arg)
{
	ask(pq, pq_statement(pq, done, arg), sql, values, count);
}

void pq_queue(struct pq *pq, const char *sql, const char *const *values, int count, pq_done *done, void *arg)
{
	struct statement *s = pq_statement(pq, done, arg);
	s->queued = s->rowless = true;
	ask(pq, s, sql, values, count);
}

bool pq_in_transaction(const struct pq *pq)
{
	PGTransactionStatusType status = pq->conn != NULL ? PQtransactionStatus(pq->conn) : PQTRANS_IDLE;
	return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

void pq_settle(struct pq *pq, pq_done *done, void *arg)
{
	pq_query(pq, setup_sql, NULL, 0, done, arg);
}

static void on_setup(const struct pq_result *result, void *arg)
{
	struct pq *pq = arg;
	if (pq->state != PQ_SETUP)
		return; /* lost in the meantime, which is being told */
	if (!result->ok) {
		pq_lost(pq, result->sqlstate, result->message);
		return;
	}
	event_del(pq->timer);
	pq->state = PQ_OPEN;
	pq->handlers.opened(pq, pq->arg);
}

void pq_connected(struct pq *pq)
{
	pq_event_drop(&pq->io);
	pq->io = event_new(pq->base, PQsocket(pq->conn), EV_READ | EV_PERSIST, on_io, pq);
	pq->out = event_new(pq->base, PQsocket(pq->conn), EV_WRITE, on_io, pq);
	PQsetErrorVerbosity(pq->conn, PQERRORS_DEFAULT);
	if (pq->io == NULL || pq->out == NULL || PQsetnonblocking(pq->conn, 1) != 0 ||
	    PQenterPipelineMode(pq->conn) != 1) {
		pq_lost_by_libpq(pq);
		return;
	}
	event_add(pq->io, NULL);
	pq->state = PQ_SETUP;
	pq_query(pq, setup_sql, NULL, 0, on_setup, pq);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct pq *pq = arg;
	(void)fd, (void)what;
	pq_enter(pq);
	if (pq->state == PQ_BEGIN)
		pq_begin(pq);
	if (!pq->dead && pq->broken != NULL && pq->state != PQ_LOST) {
		char sqlstate[6] = "08006";
		char *why = pq_message_line(pq->broken, sqlstate);
		pq_lost(pq, sqlstate, why);
		mem_free(&why);
	}
	/* In order: one that was not sent waits for those that were. */
	unsigned waiting = 0;
	for (struct statement *s = pq->first; s != NULL && !s->sent; s = s->next)
		waiting++;
	for (; !pq->dead && waiting > 0; waiting--)
		answer_error(pq, pq_statement_take(pq), "08003", "the connection is not open");
	/* And answers that stood behind them may be in libpq's hands already. */
	if (!pq->dead && pq->conn != NULL && (pq->state == PQ_SETUP || pq->state == PQ_OPEN))
		pq_take_results(pq);
	pq_leave(pq);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	pq_lost(arg, "08001", "the connection could not be opened in time");
}

struct pq *pq_open(const struct pq_request *request)
{
	struct pq *pq = mem_zalloc(sizeof(*pq));
	pq->magic = PQ_MAGIC;
	pq->base = request->base;
	pq->resolver = request->resolver;
	pq->dsn = mem_strdup(request->dsn);
	pq->dbname = request->dbname != NULL ? mem_strdup(request->dbname) : NULL;
	pq->application_name = mem_strdup(request->application_name);
	pq->handlers = request->handlers;
	pq->arg = request->arg;
	pq->last = &pq->first;

	pq->kick = event_new(pq->base, -1, 0, on_kick, pq);
	pq->timer = evtimer_new(pq->base, on_timer, pq);
	if (pq->kick == NULL || pq->timer == NULL)
		log_panic("net/pq: no event");
	const struct timeval tv = clock_timeval(request->connect_ns);
	evtimer_add(pq->timer, &tv);
	event_active(pq->kick, EV_TIMEOUT, 1);
	return pq;
}
