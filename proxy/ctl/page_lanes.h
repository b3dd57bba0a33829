/* The lines to the left of a list of revisions, as `git log --graph` has them:
 *
 *     *   d  merge
 *     |\
 *     | * c
 *     * | b
 *     |/
 *     * a
 *
 * Revisions come newest first: each after all that revise it. A lane is a column that leads down to one.
 * Pure: rows are texts. */
#ifndef CTL_PAGE_LANES_H
#define CTL_PAGE_LANES_H

#include <stdbool.h>

struct lanes;

struct lanes *lanes_new(void);
void lanes_free(struct lanes **lanes); /* NULL-safe, leaves NULL */

/* The next revision, by its number; parents: those of its parents that will still come. Any rows of the one
 * before that were not taken are gone. */
void lanes_next(struct lanes *lanes, unsigned id, const unsigned *parents, unsigned count);
/* The rows of it: first those that stand before its own and take no text; NULL ends them. Then its own, with
 * the first line of its text. Then those for further lines: the ways to its parents, and when all are there
 * plain ones without end; *due says that this one must be printed even without a text. Good until the next
 * call. */
const char *lanes_before(struct lanes *lanes);
const char *lanes_own(struct lanes *lanes);
const char *lanes_after(struct lanes *lanes, bool *due);

/* Columns that its own row and those after take at most: texts stand in line behind them. */
unsigned lanes_width(const struct lanes *lanes);
unsigned lanes_count(const struct lanes *lanes); /* how many there are at this moment */

#endif
