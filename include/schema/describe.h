/* What is in a database, as its users see it: a sorted list of objects, each with its definition in
 * PostgreSQL's own words. For comparing two databases, or one with itself before and after. Pure: the
 * statements are texts, their rows come in by a function; somebody else runs them (ctl/describing.h).
 *
 * Left out: what belongs to PostgreSQL (pg_*, information_schema), to extensions, to Headgate (schema
 * headgate), and the version tables of migration tools. Not compared, because pg_dump --no-owner or a
 * rehearsal could not keep it: owners (and what an owner may do with his own), tablespaces, the order of
 * columns, versions of extensions. Names of NOT NULL constraints neither (PostgreSQL 18 has them). Of kinds
 * without a row of their own here (operators, casts, text search, publications, foreign servers, ...: kind
 * OTHER) only the existence is known. Works with PostgreSQL 13 to 18.
 *
 *   struct description *d = description_new(NULL);
 *   for (unsigned i = 0; describe_sql(i) != NULL; i++)          -- BEGIN ISOLATION LEVEL REPEATABLE READ, ...
 *           describe_read(d, i, &rows_of_statement_i);
 *   ok = description_finish(d, error, sizeof(error));           -- ... COMMIT */
#ifndef SCHEMA_DESCRIBE_H
#define SCHEMA_DESCRIBE_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/readers.h"

/* In the order in which things are listed. */
enum describe_kind {
#define KIND(name, text) DESCRIBE_##name,
#include "schema/describe.def"
#undef KIND
	DESCRIBE_KINDS
};
const char *describe_kind_name(enum describe_kind kind); /* "materialized view" */

/* One object. Texts are ready for SQL: names are qualified and quoted where they must be. */
struct described {
	enum describe_kind kind;
	const char *identity; /* unique in its kind: "public.orders", "public.orders.note",
				 "public.f(integer)", "orders_check on public.orders" */
	const char *on;       /* the table (view, type) that it is a part of, or NULL */
	const char *name;     /* its own: "note"; of what lies in a schema qualified: "public.orders" */
	const struct described *parent; /* what it is a part of, where that is described; or NULL */
	const char *const *values;      /* of its kind's attributes, in their order; NULL: it has none */
	const struct described *const *needs; /* what it depends on, by pg_depend */
	unsigned need_count;
};

struct description;
/* skip: the qualified name of a further version table to leave out (as reader_table() gives it), or NULL. */
struct description *description_new(const char *skip);
void description_free(struct description **description); /* NULL-safe, leaves NULL */

/* The statements, in order, NULL behind the last; all of them in one transaction (repeatable read, read
 * only). The first gives no rows that matter: it sets, for this transaction, what PostgreSQL's own words
 * depend on (search_path empty, time zone, styles). */
const char *describe_sql(unsigned statement);
/* Takes the rows of one statement. */
void describe_read(struct description *description, unsigned statement, const struct reader_rows *rows);
/* All rows are there: sorts, ties children to parents. False: the rows contradict each other, or there are
 * too many objects (1,000,000). */
bool description_finish(struct description *description, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* Sorted by kind, then identity. Pointers live as long as the description. */
unsigned description_count(const struct description *description);
const struct described *description_at(const struct description *description, unsigned place);
const struct described *description_find(
    const struct description *description, enum describe_kind kind, const char *identity); /* or NULL */

/* An attribute by name ("type", "not null", "definition"; describe_attributes() lists them); NULL: it has
 * none. Names that begin with a dot are there for information and are not compared. */
const char *described_value(const struct described *object, const char *attribute);
/* NULL behind the last. */
const char *const *describe_attributes(enum describe_kind kind);
/* "column public.orders.note": the kind and the identity. To be freed. */
char *described_title(const struct described *object);
bool described_equal(
    const struct described *a, const struct described *b); /* of one kind: attributes alone */

/* Texts, owned. */
struct describe_texts {
	char **at;
	unsigned count;
};
void describe_texts_free(struct describe_texts *texts); /* leaves none */
/* One line for each difference, none where they are equal: "table public.orders: column note (text) is
 * missing", "table public.orders: column note: type is text, should be integer", "view public.v is there
 * and should not be". Parts of what is missing are not listed. */
struct describe_texts describe_differences(const struct description *is, const struct description *should_be);

#endif
