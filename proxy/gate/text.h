/* Building the gate's texts in buffers of fixed size. Private to the room.
 *
 * Rules for every text: plain ASCII but for what people named themselves; nothing cut inside a revision or a
 * UTF-8 character; always terminated. */
#ifndef GATE_TEXT_H
#define GATE_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct gate_view;
struct heads;

enum {
	TEXT_CLAUSE = 240,       /* what a tool or the ledger tells of a failure */
	TEXT_NAME = 64,          /* bytes of a database, an owner or a reason within a message */
	TEXT_MESSAGE_HEADS = 70, /* bytes of a set of heads within a message: at least one whole revision */
	TEXT_DETAIL_HEADS = 400, /* the same in DETAIL, where there is more room */
};

struct text {
	char *at;    /* the terminating zero so far */
	size_t room; /* from there, zero included */
};

struct text text_begin(char *buffer, size_t size);

/* All or nothing: a piece that does not fit is left out, so that no piece is ever cut. */
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a person or a client named: bounded by TEXT_NAME, bytes that are no text become '?'. */
void text_add_name(struct text *text, const char *name);
void text_add_clause(struct text *text, const char *clause); /* the same, bounded by TEXT_CLAUSE */

/* As many whole revisions as fit into `most` bytes, then "+..." when some are left out; "none" for none. */
void text_add_heads(struct text *text, const struct heads *heads, size_t most);

void text_add_schema(struct text *text, const struct heads *heads); /* "schema head A", "schema heads A+B" */
void text_add_database(struct text *text, const struct gate_view *view); /* "database "shop"" */
void text_add_where(
    struct text *text, const struct gate_view *view);   /* "database "shop" is at schema head A" */
void text_add_span(struct text *text, int64_t span_ns); /* "2.5 s", "30 s" */

#endif
