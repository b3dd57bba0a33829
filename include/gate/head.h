/* Heads: a set of schema revisions that a database is at, or that a client was built for.
 *
 * A revision is 1 to 64 visible ASCII bytes other than + , @ ; ' " and backslash (Alembic forbids @ - + : in
 * ids; slugs, dotted versions, and numbers of the other tools fit). A set is kept in one canonical text:
 * sorted bytewise, without doubles, joined by '+' — so two sets are equal when their texts are. The value
 * comes from clients and from a table that applications may write: it is untrusted text, checked here once,
 * and never put into SQL, a format string or a shell. */
#ifndef GATE_HEAD_H
#define GATE_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#define HEAD_BYTES  64 /* longest revision */
#define HEADS_COUNT 16 /* most revisions in a set */
#define HEADS_BYTES (HEADS_COUNT * (HEAD_BYTES + 1))

/* An owned set; text NULL means "none" (a client that declared nothing, a database at base). */
struct heads {
	char *text;
};

/* Parses n bytes of revisions joined by '+'. False: *why (static text) says what is wrong and *out is
 * untouched. n == 0 is an error ("empty"); a database without heads is heads_none(). */
bool heads_parse(const char *s, size_t n, struct heads *out, const char **why)
    __attribute__((warn_unused_result));

/* Adds one revision to a set (readers build sets row by row). */
bool heads_add(struct heads *set, const char *revision, size_t n, const char **why)
    __attribute__((warn_unused_result));

static inline struct heads heads_none(void)
{
	return (struct heads){.text = NULL};
}
struct heads heads_copy(const struct heads *set);
bool heads_equal(const struct heads *a, const struct heads *b);
bool heads_is_none(const struct heads *set);
size_t heads_count(const struct heads *set);
/* For messages: the canonical text, or "none". Never NULL. */
const char *heads_text(const struct heads *set);
void heads_free(struct heads *set); /* leaves none */

#endif
