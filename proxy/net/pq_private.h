/* Inside of net/pq: the connection's struct, shared by its opening (pq_open.c) and its life (pq.c). */
#ifndef NET_PQ_PRIVATE_H
#define NET_PQ_PRIVATE_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "net/pq.h"
#include "pq_dsn.h"

struct event;

#define PQ_MAGIC 0x70713a29u

enum pq_state { PQ_BEGIN, PQ_RESOLVE, PQ_CONNECT, PQ_SETUP, PQ_OPEN, PQ_LOST };

struct statement {
	struct statement *next;
	pq_done *done;
	void *arg;
	bool sent;     /* else it is answered with 08003 */
	bool answered; /* its results are complete, its Sync's answer is awaited */
	bool queued;   /* no Sync follows it */
	bool rowless;  /* its rows are dropped as they come */
	enum { COPY_NONE, COPY_ASKED, COPY_FEEDING, COPY_DRAINING } copy;
	const char *data; /* of COPY FROM STDIN, what is left of it */
	size_t size;
	PGresult *result;
};

struct pq {
	unsigned magic;
	enum pq_state state;
	struct event_base *base;
	struct resolver *resolver;
	char *dsn, *dbname, *application_name;
	struct pq_handlers handlers;
	void *arg;

	PGconn *conn;
	struct event *io;    /* connecting: what libpq waits for; then: reading */
	struct event *out;   /* what could not be sent at once */
	struct event *timer; /* the opening's time */
	struct event *kick;  /* what must not happen inside a caller's call */
	char *broken;        /* found while sending: why the link is to be given up */

	struct resolve *resolve;
	struct pq_hosts hosts;
	struct statement *first, **last;
	char fatal_sqlstate[6]; /* the server's own reason for ending the session */
	char *fatal_message;

	unsigned busy; /* calls into the owner that are under way */
	bool dead;     /* closed inside one of them */
};

/* Owner's code runs between these two. False from pq_leave(): it closed us, touch nothing any more. */
void pq_enter(struct pq *pq);
bool pq_leave(struct pq *pq);

/* The opening: from the dsn to a socket that speaks. Ends in pq_connected() or pq_lost(). */
void pq_begin(struct pq *pq);
/* libpq has logged in. */
void pq_connected(struct pq *pq);

/* The link is given up: everybody who waits hears of it, then the owner, who may close us at any of these
 * calls: nothing may follow. */
void pq_lost(struct pq *pq, const char *sqlstate, const char *message);
/* The same in libpq's words. */
void pq_lost_by_libpq(struct pq *pq);

/* libpq's notices while opening and after; arg is the struct pq. */
void pq_on_notice(void *arg, const PGresult *result);

void pq_event_drop(struct event **event);

/* To be called with the statement whose results come next, before any of them is parsed. */
void pq_prime(struct pq *pq, const struct statement *s);
/* One piece of what has arrived for a COPY, which is the only statement under way. False: nothing to take
 * now, or *alive is false: the link was lost. *over: its results are complete. */
bool pq_take_copy(struct pq *pq, struct statement *s, bool *alive, bool *over);
/* Takes what answers have arrived. False: the link was lost, or its owner has closed it. */
bool pq_take_results(struct pq *pq);
/* Tells a statement's owner; false: touch nothing any more. */
bool pq_answer(struct pq *pq, struct statement *s, const struct pq_result *result);
struct statement *pq_statement_take(struct pq *pq);
void pq_statement_free(struct statement **s);
/* Adds to the statements under way. */
struct statement *pq_statement(struct pq *pq, pq_done *done, void *arg);
void pq_note_fatal(struct pq *pq, const PGresult *result);
/* Keeps a result as its statement's, where it says more than the one before. */
void pq_keep_result(struct statement *s, PGresult *result);
void pq_kick(struct pq *pq);

#endif
