/* A new migration: what its files are called and what is in them, in the format of its folder. Pure.
 *
 * Its revision follows those that are there: the next number, as wide as theirs; a timestamp (UTC) where they
 * are timestamps, and in an empty folder; so many random hexadecimal digits where they are such, as
 * Alembic's; the next version with Flyway. Branches, labels and depends-on are of the native format alone:
 * the other tools take files in the order of their names, so a new one comes last there. Alembic writes its
 * own. */
#ifndef SCHEMA_NEWFILE_H
#define SCHEMA_NEWFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/catalog.h"

#define NEWFILE_FILES 4  /* most files of a migration: up, down, and settings of each */
#define NEWFILE_SLUG  40 /* longest slug, in bytes */

struct newfile_request {
	enum catalog_format format;    /* CATALOG_AUTO: the catalog's, native without one */
	const struct catalog *catalog; /* what is there; or NULL */
	const char *folder;            /* what the catalog puts before its files' names; or NULL */
	const char *message;           /* one line that says what it does */
	const char *revision;          /* its id; NULL: one is made */
	struct graph_names parents;    /* ids; none: it revises nothing */
	struct graph_names depends, labels;
	const char *up, *down; /* SQL; NULL: a person will fill it in */
	/* It must not run in a transaction. golang-migrate has no mark for that: the catalog sees it by its
	 * SQL. */
	bool up_outside, down_outside;
	int64_t now_s;   /* seconds since 1970 */
	uint64_t random; /* for an id that is made of random digits */
};

struct newfile {
	char *name; /* below the folder; has a folder in it with diesel */
	char *text;
};
struct newfiles {
	char *revision; /* as the catalog will read it */
	struct newfile at[NEWFILE_FILES];
	unsigned count;
};

/* False: *why (to be freed) says what is wrong: an id that is there already or that the format cannot have, a
 * message of several lines, a branch where there are none. */
bool newfile_make(const struct newfile_request *request, struct newfiles *out, char **why)
    __attribute__((warn_unused_result));
void newfiles_free(struct newfiles *files); /* leaves none */

/* May revisions of this format have several parents, labels, and depend on others? */
bool newfile_branches(enum catalog_format format);

/* "Add an e-mail!" is add_an_e_mail: for file names. To be freed; never "". */
char *newfile_slug(const char *message);

#endif
