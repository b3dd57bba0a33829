/* The backup before a run of migrations: which tables its statements may touch, what makes it, where it goes,
 * and how it is put back. Pure, but for backup_place() and backup_bytes(), which look at the disk.
 *
 * Which tables is found by a tolerant scan: every name in the statements that is one of a table in any schema
 * counts, so rather too many are saved than too few. Where statements can touch what they do not name (DO, a
 * function of the user's own, CASCADE, a type's change, triggers) everything is saved, and why is said. */
#ifndef SCHEMA_BACKUP_H
#define SCHEMA_BACKUP_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "schema/plan.h"
#include "schema/readers.h"

/* Past so many tables everything is saved. */
#define BACKUP_TABLES 1000

struct backup_scope {
	bool everything;
	char *why; /* everything: because of what; "0003_x.sql:12: a DO block" */
	/* Else: the names that the statements hold, as arrays of PostgreSQL ('{"a","b"}'), parameters of
	 * backup_tables_sql. */
	char *names, *calls;
	bool writes; /* they write rows: INSERT, UPDATE, DELETE, COPY, TRUNCATE, ... */
	/* After backup_scope_read(): patterns for pg_dump's --table, exact. None: nothing of what is there is
	 * touched. */
	char **tables;
	unsigned table_count;
};
void backup_scope_free(struct backup_scope *scope); /* leaves none */

/* What the plan's statements say. all: do not look, everything. */
void backup_scope(const struct plan *plan, bool all, struct backup_scope *out);
/* $1 names, $2 calls, $3 "true" where rows are written. With tables: their partitions and children, and the
 * tables that foreign keys change with them. */
extern const char backup_tables_sql[];
/* False: the answer is not one to that. */
bool backup_scope_read(struct backup_scope *scope, const struct reader_rows *rows)
    __attribute__((warn_unused_result));

/* "everything, because of ...", "tables public.a and public.b", "nothing: ..." To be freed. */
char *backup_describe(const struct backup_scope *scope);

struct backup_request {
	const struct backup_scope *scope;
	char *const *command; /* NULL: pg_dump */
	unsigned command_count;
	const char *dir;      /* NULL: "backups", and nowhere with a command of the user's */
	const char *database; /* as people call it */
	const struct heads *from;
	time_t now;
};
struct backup {
	char **argv;        /* NULL-terminated */
	char **environment; /* NULL-terminated; for coord_backup */
	char *place;        /* the folder or file it goes into, absolute; NULL: the command's own business */
	char *what;         /* backup_describe() */
	bool own;           /* made by our pg_dump */
};
/* Makes the folder that it goes into, readable by nobody else, where it is missing, and chooses a name in it
 * that is free. A command of the user's is told by HEADGATE_BACKUP where it should go, by HEADGATE_DATABASE
 * the database's name, by HEADGATE_TABLES the tables (a line each, quoted as SQL; empty: everything), besides
 * the connection's PGHOST and so on. False: *why, to be freed. */
bool backup_make(const struct backup_request *request, struct backup *out, char **why)
    __attribute__((warn_unused_result));
void backup_free(struct backup *backup); /* leaves none */

/* How much is there: of a file, or of all files in a folder. 0: nothing yet. */
int64_t backup_bytes(const char *place);
/* Removes what a failed pg_dump left: only a folder whose files are those of pg_dump -Fd. */
void backup_discard(const char *place);

/* How it is put back, lines without indentation; of pg_dump's only. database: the server's name for it. To be
 * freed. */
char *backup_restore(
    const struct backup_scope *scope, const char *place, const char *database, const struct heads *from);

#endif
