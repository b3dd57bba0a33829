/* The surface of a database: what its clients can see of the schema and rely on. Two of them compared say
 * whether clients of the first would still work with the second, as far as that can be told without knowing
 * their statements. Pure: one statement, its rows come in by a function.
 *
 * Left out is what describe.h leaves out; partitions count for their existence alone. What was added takes
 * nothing away, unless writes of clients that do not know it can be refused for it. */
#ifndef SCHEMA_SURFACE_H
#define SCHEMA_SURFACE_H

#include <stdbool.h>

#include "schema/readers.h"

struct surface;
extern const char surface_sql[];
/* NULL: the rows are no answer to it. */
struct surface *surface_read(const struct reader_rows *rows);
void surface_free(struct surface **surface); /* NULL-safe, leaves NULL */

struct surface_loss {
	bool certain; /* a client that uses it gets errors; else it depends on how it does */
	char *text;   /* one line: "column public.orders.note is gone" */
};
struct surface_losses {
	struct surface_loss *at; /* those that are certain first */
	unsigned count, certain;
};
struct surface_losses surface_compare(const struct surface *before, const struct surface *after);
void surface_losses_free(struct surface_losses *losses); /* leaves none */

#endif
