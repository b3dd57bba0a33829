/* COPY, and rows that nobody wants. libpq knows no COPY in pipeline mode, so that is left for the one
 * statement and entered again. */
#include <event2/event.h>

#include "base/log.h"
#include "base/mem.h"
#include "pq_private.h"

/* What is given to libpq at a time: it keeps what the socket does not take. */
#define CHUNK_BYTES ((size_t)64 * 1024)

/* Never of the last before libpq is idle: it would forget to leave this mode. */
void pq_prime(struct pq *pq, const struct statement *s)
{
	if (s != NULL && s->sent && s->rowless)
		PQsetSingleRowMode(pq->conn);
}

static bool lost(struct pq *pq, bool *alive)
{
	*alive = false;
	pq_lost_by_libpq(pq);
	return false;
}

/* The next only when the last has left: so much and no more waits in memory. */
static bool feed(struct pq *pq, struct statement *s, bool *alive)
{
	for (;;) {
		int left = PQflush(pq->conn);
		if (left < 0)
			return lost(pq, alive);
		if (left > 0)
			break;
		size_t part = s->size < CHUNK_BYTES ? s->size : CHUNK_BYTES;
		int put =
		    part > 0 ? PQputCopyData(pq->conn, s->data, (int)part) : PQputCopyEnd(pq->conn, NULL);
		if (put < 0)
			return lost(pq, alive);
		if (put == 0)
			break;
		if (part == 0) {
			s->copy = COPY_ASKED;
			return true;
		}
		s->data += part;
		s->size -= part;
	}
	event_add(pq->out, NULL);
	return false;
}

static bool drain(struct pq *pq, struct statement *s)
{
	char *row = NULL;
	int size = PQgetCopyData(pq->conn, &row, 1);
	if (size > 0) {
		PQfreemem(row);
		return true;
	}
	if (size == 0)
		return false;
	s->copy = COPY_ASKED;
	return true;
}

bool pq_take_copy(struct pq *pq, struct statement *s, bool *alive, bool *over)
{
	if (s->copy == COPY_FEEDING)
		return feed(pq, s, alive);
	if (s->copy == COPY_DRAINING)
		return drain(pq, s);
	if (PQisBusy(pq->conn))
		return false;
	PGresult *result = PQgetResult(pq->conn);
	if (result == NULL) {
		if (PQenterPipelineMode(pq->conn) != 1)
			return lost(pq, alive);
		*over = true;
		return false;
	}
	switch (PQresultStatus(result)) {
	case PGRES_COPY_IN:
		s->copy = COPY_FEEDING;
		PQclear(result);
		break;
	case PGRES_COPY_OUT:
		s->copy = COPY_DRAINING;
		PQclear(result);
		break;
	case PGRES_COPY_BOTH:
		PQclear(result);
		*alive = false;
		pq_lost(pq, "08P01", "a statement began a replication stream");
		return false;
	default:
		pq_note_fatal(pq, result);
		pq_keep_result(s, result);
		break;
	}
	return true;
}

void pq_copy(struct pq *pq, const char *sql, const char *data, size_t size, pq_done *done, void *arg)
{
	if (pq->first != NULL)
		log_panic("net/pq: a COPY while a statement is under way");
	struct statement *s = pq_statement(pq, done, arg);
	s->copy = COPY_ASKED;
	s->data = data;
	s->size = size;
	if (pq->state != PQ_OPEN || pq->broken != NULL) {
		pq_kick(pq);
		return;
	}
	s->sent = true;
	if (PQexitPipelineMode(pq->conn) != 1 || PQsendQuery(pq->conn, sql) != 1) {
		pq->broken = mem_strdup(PQerrorMessage(pq->conn));
		pq_kick(pq);
		return;
	}
	int left = PQflush(pq->conn);
	if (left < 0) {
		pq->broken = mem_strdup(PQerrorMessage(pq->conn));
		pq_kick(pq);
	} else if (left > 0) {
		event_add(pq->out, NULL);
	}
}
