/* The recorded version, tool by tool: where each keeps it, and what its rows mean. One table; a further tool
 * is one row in readers_tools.c and one test. Pure: statements are text, rows come in by a function. The
 * values are untrusted text (applications may write those tables). */
#ifndef SCHEMA_READERS_H
#define SCHEMA_READERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "gate/gate.h"

/* The answer to a reader's statement. cell: NULL for SQL NULL; valid during the call. */
struct reader_rows {
	unsigned rows, columns;
	const char *(*cell)(const void *handle, unsigned row, unsigned column);
	const void *handle;
};

/* Is the section's reader known, and are its settings complete? False with a text that names what to write
 * instead. */
bool reader_check(const struct conf_recorded *section, char *error, size_t error_size);

/* The one statement that reads the version: every table qualified and quoted, few rows, short values. To be
 * run with an empty search_path, as net/pq.h leaves it. To be freed. The section was checked. */
char *reader_sql(const struct conf_recorded *section);

/* What its rows say. *out is overwritten, its old value not freed; recorded_free() it. */
void reader_recorded(
    const struct conf_recorded *section, const struct reader_rows *rows, struct recorded *out);

/* What it means that the statement failed with this SQLSTATE: no such table: absent; a lock in the way, or
 * too slow: running; no right: unreadable. False: nothing is known (the link broke, the server is going down
 * or is full). */
bool reader_failed(const char *sqlstate, const char *message, struct recorded *out)
    __attribute__((warn_unused_result));

/* The table on which `headgate init` puts its trigger, qualified and quoted; NULL when the reader has none.
 * To be freed. */
char *reader_table(const struct conf_recorded *section);
/* The same for the second table that some readers read, such as the tool's lock; NULL: there is none. */
char *reader_second_table(const struct conf_recorded *section);

/* How the ids compare where there is no graph: as the configuration says, or as the tool itself orders them.
 * Never CONF_ORDER_TOOL. */
enum conf_order reader_order(const struct conf_recorded *section);

/* "alembic, atlas, ...": for messages; valid until this thread's next call. */
const char *reader_names(void);

void recorded_free(struct recorded *recorded); /* leaves a zeroed struct */
struct recorded recorded_copy(const struct recorded *recorded);
bool recorded_equal(const struct recorded *a, const struct recorded *b);

/* An SQL identifier or string literal of this text. To be freed. */
char *sql_identifier(const char *name);
char *sql_literal(const char *text);

#endif
