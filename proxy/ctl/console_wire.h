/* One console connection's protocol machine: bytes in, bytes out, no socket. It answers as a PostgreSQL
 * server does, by simple and by extended protocol, so that psql and every driver can speak to it. Source:
 * PostgreSQL documentation, "Frontend/Backend Protocol".
 *
 * Statements run outside: `run` may answer at once or later; until then nothing that follows is looked at.
 * Everything is bounded: messages of 64 KiB, 256 prepared statements and 32 portals a connection.
 * Protocol 3.0; newer minor versions are negotiated down. Statements take no parameters. */
#ifndef CTL_CONSOLE_WIRE_H
#define CTL_CONSOLE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console_parse.h"
#include "proto/reply.h"
#include "proto/startup.h"

struct wire;

#define WIRE_MESSAGE 65536 /* longest message taken */
#define WIRE_COLUMNS 24    /* widest result */

struct wire_handlers {
	/* The startup packet is there. False with *refusal filled: it is sent and the connection ends. */
	bool (*admit)(
	    struct wire *wire, const struct startup *startup, struct reply_error *refusal, void *arg);
	/* Run a statement (a command; courtesies are answered here). Exactly one wire_answer() or wire_fail()
	 * follows, now or later. The statement is valid during the call. */
	void (*run)(struct wire *wire, const struct statement *statement, void *arg);
	/* The names of the columns that a command answers with; 0: none. */
	unsigned (*columns)(enum command command, const char *const **names);
	/* A CancelRequest came in by this connection, which ends. */
	void (*cancel)(struct wire *wire, uint32_t pid, uint32_t key, void *arg);
	/* There is something new in wire_output(). Called after a late answer or notice; not inside
	 * wire_input(). */
	void (*output)(struct wire *wire, void *arg);
	void *arg;
};

struct wire *wire_new(uint32_t pid, uint32_t key, const struct wire_handlers *handlers);
void wire_free(
    struct wire **wire); /* a statement that still runs is forgotten: its answer must not come any more */

/* Where to read to and how much fits (0: what came must be answered first), and how much was read. */
uint8_t *wire_room(struct wire *wire, size_t *size);
void wire_input(struct wire *wire, size_t size);
/* What is to be written; the owner cuts off what left with wire_sent(). */
const uint8_t *wire_output(const struct wire *wire, size_t *size);
void wire_sent(struct wire *wire, size_t size);
/* Nothing more will be read: close when the output has left. */
bool wire_ended(const struct wire *wire);
bool wire_admitted(const struct wire *wire);
bool wire_busy(const struct wire *wire); /* a statement runs */
bool wire_key_is(const struct wire *wire, uint32_t pid, uint32_t key);

/* A result. rows: DataRow messages (reply_data_row), taken over and left empty. */
struct wire_answer {
	struct reply rows;
	unsigned row_count;
	char tag[40];
};
void wire_answer(struct wire *wire, struct wire_answer *answer);
void wire_fail(struct wire *wire, const struct reply_error *error);
/* A notice, at once: the protocol allows it at any time after the login. */
void wire_notice(struct wire *wire, const char *sqlstate, const char *message, const char *detail);
/* The connection ends with this error (FATAL). */
void wire_end(struct wire *wire, const struct reply_error *error);

#endif
