/* Shared by console_wire.c (the connection, start-up, simple protocol) and console_extended.c (prepared
 * statements and portals). */
#ifndef CTL_CONSOLE_WIRE_PRIVATE_H
#define CTL_CONSOLE_WIRE_PRIVATE_H

#include "console_wire.h"
#include "proto/frame.h"

#define STATEMENTS  256
#define PORTALS     32
#define OUTPUT_HIGH 262144 /* with more than this unsent, the next statement waits */

enum wire_state {
	WIRE_STARTUP,
	WIRE_READY,
	WIRE_SKIPPING, /* an error in an extended batch: everything up to the next Sync is dropped */
	WIRE_ENDED,
};

struct prepared {
	char *name;
	struct statement statement;
};

struct portal {
	char *name;
	struct statement statement;
	bool executed;
	struct reply rows; /* what Execute has not sent yet, from rows_at on */
	size_t rows_at;
	char tag[40];
};

struct wire {
	struct wire_handlers handlers;
	uint32_t pid, key;
	enum wire_state state;
	bool admitted;
	bool inside; /* in proceed(): an answer that comes now is noticed by it */
	bool busy;
	uint8_t *in;
	size_t in_at, in_size, in_room;
	struct reply out;
	size_t out_at;
	char transaction; /* 'I' or 'T' */
	/* the Query message being worked through; NULL: none */
	char *query;
	size_t query_at;
	struct statement running;
	struct portal *executing; /* NULL: `running` came by simple protocol */
	uint32_t execute_rows;    /* 0: all */
	struct prepared *statements[STATEMENTS];
	struct portal *portals[PORTALS];
};

/* A message's body while it is read: every read says whether it fitted. */
struct body {
	const uint8_t *p;
	size_t left;
};
bool body_text(struct body *body, const char **out);

/* console_wire.c */
void wire_append(struct reply *reply, const void *bytes, size_t size);
/* An error outside `run`; extended: the rest of the batch is dropped. */
void wire_refuse(struct wire *wire, bool extended, const struct statement_error *error);
/* extended: a statement without a result is described as such. */
void wire_describe(struct wire *wire, const struct statement *statement, bool extended);
void wire_run(struct wire *wire, const struct statement *statement, struct portal *portal);

/* console_extended.c. The message functions say whether the message was well formed. */
bool extended_parse(struct wire *wire, struct body *body);
bool extended_bind(struct wire *wire, struct body *body);
bool extended_describe(struct wire *wire, struct body *body);
bool extended_execute(struct wire *wire, struct body *body);
bool extended_close(struct wire *wire, struct body *body);
/* The portal's result is there: sends as much of it as Execute asked for. */
void extended_answer(struct wire *wire, struct portal *portal);
void extended_drop_portals(struct wire *wire);
void extended_free(struct wire *wire);

#endif
