/* Inside of schema/readers: one tool's row in the table of readers (readers_tools.c), the statement that is
 * made of it (readers.c), and how tables of one name are told apart (readers_shape.c). */
#ifndef SCHEMA_READERS_PRIVATE_H
#define SCHEMA_READERS_PRIVATE_H

#include "schema/readers.h"

/* The pieces of SQL are constants of ours. They run with an empty search_path (net/pq.h). In them
 *   {rows}  is the version table, of which they see the columns named below and no other, each NULL where the
 *           table has none of that name: a table of another tool's is no error, and can be told apart;
 *   {also}  is the second table, as it is. */
struct reader {
	const char *name;
	enum conf_order order;      /* how the tool's ids compare, where the configuration says nothing */
	const char *schema, *table; /* the tool's own; NULL: the reader has no table */
	bool fixed;                 /* they cannot be configured */
	const char *also;           /* a second table in the same schema, such as a lock; or NULL */
	bool suffix;                /* also is the end of its name, after the table's */
	const char *columns;        /* "version,dirty": what a table of this tool has */
	const char *optional;       /* what only some of its versions have; or NULL */
	const char *from;           /* what the head is taken from; NULL: {rows} */
	const char *head;           /* the head of a row of it; NULL is none */
	const char *where;          /* which rows count; NULL: all */
	const char *last;           /* ORDER BY of which the first row is the head; NULL: every row is one */
	const char *trouble; /* a SELECT of state and detail, the gravest first; no row: none; or NULL */
};

extern const struct reader readers[];
extern const unsigned readers_count;

/* Is a table with these columns ("a,b,c") one of this reader's? table: its name. False: *why says what is
 * missing and whose it looks like; to be freed. */
bool reader_fits(const struct reader *reader, const char *table, const char *columns, char **why)
    __attribute__((warn_unused_result));

/* What rows mean: of the user's statement, and of one that readers.c made for a tool. *out is zeroed before.
 */
void reader_rows_of_the_user(const struct reader_rows *rows, struct recorded *out);
void reader_rows_of_the_tool(
    const struct reader *reader, const char *table, const struct reader_rows *rows, struct recorded *out);

#endif
