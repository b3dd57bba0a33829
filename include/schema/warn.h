/* Warnings about the statements of migrations: whom they make wait and for how long, which clients they
 * break, which data they lose. Pure: statements in, values out.
 *
 * A statement is judged by its words, and by what is known of the database where somebody knows it. What was
 * created earlier in the same run has no clients and no rows yet, and is not warned of. Locks that are held
 * for a moment only (a column added, a default changed) are not warned of either: every change of a table
 * takes one. What a DO block or a called function does is not looked into.
 *
 * The rules are PostgreSQL's for 13 to 18 (ALTER TABLE, CREATE INDEX and so on in its manual; which type
 * changes rewrite: ATColumnChangeRequiresRewrite() and the support functions of varchar, varbit, numeric,
 * timestamp, time and interval in its sources). Each is tried on a server by tests/unit/schema_warn_trial.c.
 */
#ifndef SCHEMA_WARN_H
#define SCHEMA_WARN_H

#include <stdbool.h>

#include "schema/split.h"

enum warn_kind {
	WARN_BLOCKS, /* clients wait, and the longer the bigger the table */
	WARN_BREAKS, /* clients that know what was there before get errors */
	WARN_LOSES,  /* data goes that no down section brings back */
	WARN_FAILS,  /* it may fail, or leave something half done */
};
const char *warn_kind_name(enum warn_kind kind); /* "blocks", "breaks", "loses data", "may fail" */

/* What is done while the lock is held. */
enum warn_work {
	WARN_WORK_NONE,    /* only a moment */
	WARN_WORK_SCAN,    /* all rows are read */
	WARN_WORK_INDEX,   /* an index is built */
	WARN_WORK_REWRITE, /* the table is written anew, with its indexes */
	WARN_WORK_UNKNOWN, /* one of these, or nothing: that depends on what is not known */
};

struct warning {
	const char *rule; /* static: "add-foreign-key" */
	enum warn_kind kind;
	enum warn_work work;
	const char
	    *lock;    /* static, as pg_locks names it: "AccessExclusiveLock"; NULL: that is not the point */
	char *object; /* table, index, type as written, folded: "public.orders"; "" for none */
	char *text;   /* what happens, and to whom; one line */
	char *advice; /* the safer way, one line; or NULL */
	unsigned statement; /* its place in the section */
	unsigned line;
};
struct warnings {
	struct warning *at;
	unsigned count, room;
};
void warnings_free(struct warnings *warnings); /* leaves none */

/* What is known of the database just before the section. Names are folded and without quotes; schema is ""
 * where none was written. Each function may be NULL, and may not know. */
struct warn_facts {
	int server_version; /* 150004; 0: not known */
	/* As format_type() says it: "character varying(20)"; NULL: not known. */
	const char *(*column_type)(const char *schema, const char *table, const char *column, void *arg);
	/* pg_class.relkind; 0: not known. */
	char (*relation_kind)(const char *schema, const char *name, void *arg);
	/* pg_proc.provolatile, the worst of that name; 0: not known. */
	char (*volatility)(const char *schema, const char *function, void *arg);
	/* Is there a valid CHECK that this column is not null? -1: not known. */
	int (*checked_not_null)(const char *schema, const char *table, const char *column, void *arg);
	void *arg;
};

/* One run: what its sections created so far. */
struct warn_run;
struct warn_run *warn_begin(const struct warn_facts *facts); /* borrowed; NULL: nothing is known */
/* Adds to *out, in the order of the statements. outside: the section does not run in one transaction. */
void warn_section(struct warn_run *run, const struct split *statements, bool outside, struct warnings *out);
void warn_end(struct warn_run **run); /* NULL-safe, leaves NULL */

#endif
