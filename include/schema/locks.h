/* What a statement holds and what it writes anew: the relations that are there, the locks on them (pg_locks),
 * and which of them are in new files afterwards. Pure: statements are texts, rows come in by a function
 * (schema/readers.h). PostgreSQL's chapter on explicit locking says which mode conflicts with which. */
#ifndef SCHEMA_LOCKS_H
#define SCHEMA_LOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/readers.h"

/* Modes as pg_locks names them ("AccessExclusiveLock"). 1, the weakest, to 8; 0: no such mode. */
unsigned lock_rank(const char *mode);
const char *lock_name(const char *mode); /* "AccessExclusive" */
/* Who waits for it: "reads and writes", "writes", "other schema changes", or NULL: nobody to speak of. */
const char *lock_stops(const char *mode);

/* One relation of a user's schema. */
struct locks_relation {
	uint32_t oid;
	char kind;     /* pg_class.relkind: r, p, m, v, f, i, I */
	char *name;    /* qualified, as SQL writes it */
	char *table;   /* of an index: its table's name; else NULL */
	uint32_t file; /* relfilenode; 0: it has none */
	double rows;   /* as the statistics have it; < 0: not known */
	int64_t bytes; /* of the main fork, as the statistics have it */
};
struct locks_relations {
	struct locks_relation *at; /* by oid */
	unsigned count;
};
extern const char locks_relations_sql[];
bool locks_relations_read(const struct reader_rows *rows, struct locks_relations *out)
    __attribute__((warn_unused_result));
void locks_relations_free(struct locks_relations *relations); /* leaves none */
const struct locks_relation *locks_relation(
    const struct locks_relations *relations, uint32_t oid); /* or NULL */
const struct locks_relation *locks_relation_named(const struct locks_relations *relations, const char *name);

/* What was seen of one relation that was there before. */
struct locks_seen {
	const struct locks_relation *relation;
	const char *mode;  /* static: the strongest lock; NULL: none */
	int64_t rows_read; /* in whole scans */
	bool rewritten;    /* it lies in a new file */
};
struct locks_found {
	struct locks_seen *at; /* the strongest lock first, then by name */
	unsigned count, room;
};
void locks_found_free(struct locks_found *found); /* leaves none */

/* (relation, mode) of locks that are granted to the backend $1. */
extern const char locks_held_sql[];
/* Adds what is new or stronger. before: what was there. */
void locks_held_add(
    struct locks_found *found, const struct locks_relations *before, const struct reader_rows *rows);
/* (relation, rows) that the session's transaction read in whole scans so far, together with what it has not
 * reported yet: asked twice, the difference counts. */
extern const char locks_read_sql[];
void locks_read_add(struct locks_found *found, const struct locks_relations *before,
    const struct reader_rows *start, const struct reader_rows *end);
/* Those of before that have another file in after. */
void locks_rewritten_add(
    struct locks_found *found, const struct locks_relations *before, const struct locks_relations *after);
void locks_found_sort(struct locks_found *found);

#endif
