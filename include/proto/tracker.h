/* The tracker: is a session between transactions? It reads message headers only, in both directions, split
 * anywhere, and keeps a small picture of what the server still has to answer. Pure.
 *
 * Source: PostgreSQL documentation, "Message Flow" (Simple Query, Extended Query, Pipelining, Function Call,
 * COPY Operations); the server's main loop (tcop/postgres.c: PostgresMain, SocketBackend) and COPY reader
 * (commands/copyfromparse.c).
 *
 * The picture is a queue of what the client sent and the server has not finished with:
 *
 *   Query, FunctionCall, Sync   each answered by one ReadyForQuery; a Sync with a body by an error before it
 *   extended messages           each answered by one message of its own; a Describe of a statement by two, of
 *                               which the second counts; a Flush by none, unless it is malformed
 *   CopyDone, CopyFail          the end of a COPY IN, or dropped by the server when there is none
 *
 * Runs of one kind take one entry. An ErrorResponse while an extended message is at the front makes the
 * server discard everything up to the next Sync, Query and FunctionCall included. In COPY IN the server
 * swallows Flush and Sync. A COPY IN may fail before it read anything (into a view; a BEFORE STATEMENT
 * trigger), and nothing in the bytes tells whether a Sync behind it was swallowed: then both are reckoned
 * with, and the tracker says idle only where both are. */
#ifndef PROTO_TRACKER_H
#define PROTO_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACKER_INLINE  6     /* entries without an allocation */
#define TRACKER_ENTRIES 65536 /* then the client must wait for answers */

struct tracker_cursor {
	uint32_t left; /* bytes of the current message's body still to come */
	uint8_t have;  /* bytes of a split header */
	uint8_t header[5];
};

enum tracker_mode {
	TRACKER_NORMAL,
	TRACKER_SKIP,      /* the server discards up to the next Sync */
	TRACKER_COPY_IN,   /* the server reads CopyData */
	TRACKER_UNSURE,    /* as SKIP, unless the ReadyForQuery of a Sync taken for swallowed is under way */
	TRACKER_COPY_BOTH, /* replication: never comes back */
};

struct tracker {
	struct tracker_cursor client, server;
	uint8_t mode; /* enum tracker_mode */
	char status;  /* of the last ReadyForQuery: I, T or E */
	char last;    /* type of the last message the server began */
	bool open; /* extended messages were sent since the last Sync: an implicit transaction may be open */
	bool answered;     /* the server has said something of the front entry since the last ReadyForQuery */
	bool swallowed;    /* a Sync was taken for swallowed by the COPY IN at the front */
	bool terminated;   /* the client sent Terminate */
	bool streams_only; /* set by the owner: once COPY BOTH has begun nothing else may be asked for */
	uint32_t first, count, room; /* the queue, a ring */
	uint32_t *queue;             /* heap, or inside */
	uint32_t inside[TRACKER_INLINE];
	const char *violation; /* what was wrong, after TRACKER_VIOLATION; static text */
};

/* As after the login's first ReadyForQuery. */
void tracker_init(struct tracker *tracker, char status);
void tracker_free(struct tracker *tracker);

/* The client's bytes, in order. Returns how many of them may go to the server now: n; fewer when one_batch is
 * set and the end of a batch was reached (a Query, FunctionCall or Sync that is answered by a ReadyForQuery:
 * not one that the server discards or a COPY IN swallows) or where UNSURE leaves open whether a statement
 * would be discarded or begin one (wait for the ReadyForQuery); when the queue is full (wait for answers) or
 * after Terminate. At a protocol violation tracker->violation is set and nothing may go. */
size_t tracker_client(struct tracker *tracker, const uint8_t *bytes, size_t n, bool one_batch);

/* The server's bytes. False: violation. Every byte is passed on in any case. */
bool tracker_server(struct tracker *tracker, const uint8_t *bytes, size_t n);

/* No transaction, nothing outstanding, at a message's boundary on both sides: here, and only here, a session
 * may be parked. */
static inline bool tracker_idle(const struct tracker *t)
{
	return t->count == 0 && t->status == 'I' && !t->open && t->mode == TRACKER_NORMAL &&
	    t->client.have == 0 && t->client.left == 0 && t->server.have == 0 && t->server.left == 0;
}

/* The client's next byte begins a batch (which may begin a transaction), as opposed to going on with one. */
static inline bool tracker_between(const struct tracker *t)
{
	return !t->open && (t->mode == TRACKER_NORMAL || t->mode == TRACKER_UNSURE) && t->client.have == 0 &&
	    t->client.left == 0;
}

/* The server owes nothing. */
static inline bool tracker_settled(const struct tracker *t)
{
	return t->count == 0;
}

/* The server's stream is between two messages: one of ours may be put in. */
static inline bool tracker_server_boundary(const struct tracker *t)
{
	return t->server.have == 0 && t->server.left == 0;
}

/* Waiting for the client inside a transaction: what idle_in_transaction times. */
static inline bool tracker_idle_in_transaction(const struct tracker *t)
{
	return t->count == 0 && t->mode != TRACKER_COPY_BOTH && (t->status != 'I' || t->open) &&
	    t->client.left == 0;
}

#endif
