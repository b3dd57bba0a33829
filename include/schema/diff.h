/* From one description of a database to another: the statements that make the first like the second, in an
 * order in which PostgreSQL takes them. Pure.
 *
 * What it writes without a word: all that loses nothing. With a comment in front (a remark): what loses data
 * by its nature (a column or table dropped), what fails where rows do not fit (SET NOT NULL, a narrower
 * type), and where a drop and a new one look like a rename, with the RENAME to write instead. As a comment
 * only, to be decided by a person (left): a change of type that may change values, an enum's value taken
 * away, a type that columns hold on to, a table that becomes another's partition or child, and objects of
 * kind OTHER, whose definition is not known. A constraint or index that is another in nothing but its name is
 * renamed.
 *
 * Which fits where is PostgreSQL's own pg_depend. Texts of the new description are taken as PostgreSQL gives
 * them; names stand in comments in such a way that they cannot leave them. */
#ifndef SCHEMA_DIFF_H
#define SCHEMA_DIFF_H

#include <stdbool.h>

#include "schema/describe.h"

struct diff {
	char *sql;           /* statements and comments, a line end behind each; "" : nothing to do */
	unsigned statements; /* that run */
	unsigned remarks;    /* statements with a comment in front */
	unsigned left;       /* differences that remain, as comments */
	bool alone;          /* cannot be one transaction: a value is added to an enum and used */
};
struct diff diff_make(const struct description *from, const struct description *to);
void diff_free(struct diff *diff); /* leaves a zeroed struct */

#endif
