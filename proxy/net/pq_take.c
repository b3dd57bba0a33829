/* What has arrived, from libpq's results to the answers that our callers get. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pq_private.h"

const char *pq_value(const struct pq_result *result, int row, int column)
{
	const PGresult *from = result->handle;
	if (from == NULL || row >= PQntuples(from) || column >= PQnfields(from) ||
	    PQgetisnull(from, row, column))
		return NULL;
	return PQgetvalue(from, row, column);
}

const char *pq_column(const struct pq_result *result, int column)
{
	return result->handle != NULL ? PQfname(result->handle, column) : NULL;
}

static const char *field(const PGresult *result, int code)
{
	const char *text = PQresultErrorField(result, code);
	return text != NULL ? text : "";
}

/* A FATAL says why the session ends; the end itself comes later, as a closed socket with a text of libpq's
 * that says nothing. */
void pq_note_fatal(struct pq *pq, const PGresult *result)
{
	const char *severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	if (strcmp(severity, "FATAL") != 0 && strcmp(severity, "PANIC") != 0)
		return;
	mem_free(&pq->fatal_message);
	pq->fatal_message = mem_strdup(field(result, PG_DIAG_MESSAGE_PRIMARY));
	snprintf(pq->fatal_sqlstate, sizeof(pq->fatal_sqlstate), "%s", field(result, PG_DIAG_SQLSTATE));
}

void pq_on_notice(void *arg, const PGresult *result)
{
	struct pq *pq = arg;
	pq_note_fatal(pq, result);
	if (pq->handlers.noticed != NULL)
		pq->handlers.noticed(pq, field(result, PG_DIAG_SEVERITY_NONLOCALIZED),
		    field(result, PG_DIAG_MESSAGE_PRIMARY), pq->arg);
}

struct statement *pq_statement_take(struct pq *pq)
{
	struct statement *s = pq->first;
	pq->first = s->next;
	if (pq->first == NULL)
		pq->last = &pq->first;
	return s;
}

void pq_statement_free(struct statement **s)
{
	PQclear((*s)->result);
	mem_free(s);
}

bool pq_answer(struct pq *pq, struct statement *s, const struct pq_result *result)
{
	pq_enter(pq);
	if (s->done != NULL)
		s->done(result, s->arg);
	pq_statement_free(&s);
	return pq_leave(pq);
}

/* Tells the first statement's owner. */
static bool deliver(struct pq *pq)
{
	struct statement *s = pq_statement_take(pq);
	PGresult *from = s->result;
	struct pq_result result = {
	    .sqlstate = "", .message = "", .severity = "", .command_status = "", .handle = from};

	switch (from != NULL ? PQresultStatus(from) : PGRES_FATAL_ERROR) {
	case PGRES_TUPLES_OK:
	case PGRES_COMMAND_OK:
	case PGRES_EMPTY_QUERY:
		result.ok = true;
		result.rows = PQntuples(from);
		result.columns = PQnfields(from);
		result.command_status = PQcmdStatus(from);
		break;
	case PGRES_PIPELINE_ABORTED:
		result.skipped = true;
		result.sqlstate = "25P02";
		result.message = "a statement before it failed";
		break;
	default:
		result.sqlstate = from != NULL && field(from, PG_DIAG_SQLSTATE)[0] != '\0'
		    ? field(from, PG_DIAG_SQLSTATE)
		    : "08006";
		result.message = from != NULL ? field(from, PG_DIAG_MESSAGE_PRIMARY) : "no answer";
		result.detail = from != NULL ? PQresultErrorField(from, PG_DIAG_MESSAGE_DETAIL) : NULL;
		result.hint = from != NULL ? PQresultErrorField(from, PG_DIAG_MESSAGE_HINT) : NULL;
		result.severity = from != NULL ? field(from, PG_DIAG_SEVERITY_NONLOCALIZED) : "";
		result.context = from != NULL ? PQresultErrorField(from, PG_DIAG_CONTEXT) : NULL;
		result.position =
		    from != NULL ? (unsigned)strtoul(field(from, PG_DIAG_STATEMENT_POSITION), NULL, 10) : 0;
		break;
	}
	return pq_answer(pq, s, &result);
}

void pq_keep_result(struct statement *s, PGresult *result)
{
	if (s->result == NULL || PQresultStatus(result) == PGRES_FATAL_ERROR) {
		PQclear(s->result);
		s->result = result;
	} else {
		PQclear(result);
	}
}

static bool finish(struct pq *pq, bool *alive)
{
	*alive = deliver(pq);
	return *alive && pq->conn != NULL;
}

static bool take_copy(struct pq *pq, struct statement *s, bool *alive)
{
	bool over = false;
	bool more = pq_take_copy(pq, s, alive, &over);
	return over ? finish(pq, alive) : more;
}

/* Takes one piece of the answers that have arrived. A statement's are: its result, an end mark (NULL), and
 * the answer to its Sync, where it has one. What the Sync brings (a commit that failed) overrides. False:
 * there is nothing to take now. */
static bool take_result(struct pq *pq, bool *alive)
{
	struct statement *s = pq->first;
	if (s != NULL && s->copy != COPY_NONE && s->sent)
		return take_copy(pq, s, alive);
	if (s == NULL || !s->sent || PQisBusy(pq->conn))
		return false;
	PGresult *result = PQgetResult(pq->conn);
	if (result == NULL && s->queued) {
		pq_prime(pq, s->next);
		return finish(pq, alive);
	}
	if (result == NULL) {
		bool again = !s->answered;
		s->answered = true;
		return again;
	}
	switch (PQresultStatus(result)) {
	case PGRES_PIPELINE_SYNC:
		PQclear(result);
		pq_prime(pq, s->next);
		return finish(pq, alive);
	case PGRES_SINGLE_TUPLE:
		PQclear(result);
		return true;
	case PGRES_COPY_IN:
	case PGRES_COPY_OUT:
	case PGRES_COPY_BOTH:
		PQclear(result);
		*alive = false;
		pq_lost(pq, "08P01", "a statement began a COPY");
		return false;
	default:
		break;
	}
	pq_note_fatal(pq, result);
	pq_keep_result(s, result);
	return true;
}

bool pq_take_results(struct pq *pq)
{
	bool alive = true;
	while (take_result(pq, &alive))
		;
	return alive && pq->conn != NULL;
}
