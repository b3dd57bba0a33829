/* Between the files of describe: the statements, and what their rows are. */
#ifndef SCHEMA_DESCRIBE_PRIVATE_H
#define SCHEMA_DESCRIBE_PRIVATE_H

#include "schema/describe.h"

#define DESCRIBE_ATTRIBUTES 24 /* most of one kind, and the NULL behind them */

/* What the rows of a statement are. */
enum describe_rows {
	ROWS_NONE,    /* of no interest */
	ROWS_OBJECTS, /* reference, parent's reference or NULL, on, name, then the attributes of the kind */
	ROWS_ALIASES, /* reference, reference that it stands for */
	ROWS_NEEDS,   /* reference, reference that it depends on */
};
struct describe_statement {
	enum describe_rows rows;
	enum describe_kind kind; /* ROWS_OBJECTS */
	const char *sql;
	const char *attributes[DESCRIBE_ATTRIBUTES];
};
extern const struct describe_statement describe_statements[];
extern const unsigned describe_statement_count;

/* The text as PostgreSQL would give it back once it has read it, where that differs: (ARRAY[a, b])::text[]
 * becomes ARRAY[(a)::text, (b)::text], ((a AND b) AND c) becomes (a AND b AND c), 'x'::text AS text loses its
 * name. To be freed. */
char *describe_settled(const char *text);
/* The same of a CREATE STATISTICS, with its columns in the order of their names. */
char *describe_settled_statistics(const char *definition);

/* Where an object stands in its description. */
unsigned describe_place(const struct description *description, const struct described *object);

/* The objects of a kind whose identities begin so are one after the other: the first of them, or where it
 * would stand. */
unsigned describe_first(
    const struct description *description, enum describe_kind kind, const char *beginning);

/* The last part of a qualified name: "orders" of "public.orders", "\"a.b\"" of "public.\"a.b\"". */
const char *describe_bare(const char *qualified);
/* What stands before it: "public". To be freed. */
char *describe_schema(const char *qualified);
/* Of a migration tool; skip: a further one, or NULL. */
bool describe_is_version_table(const char *name, const char *skip);

#endif
