/* The backup before a run of migrations, between the command line, schema/backup.h and the coordinator. */
#ifndef CTL_BACKING_H
#define CTL_BACKING_H

#include <stdbool.h>

#include "base/conf.h"
#include "schema/backup.h"
#include "schema/coord.h"

/* The first four lines are the caller's. */
struct backing {
	const struct conf_database *section;
	const char *dsn, *dbname, *name; /* as struct migrate's; borrowed */
	const char *given;               /* --backup: NULL: not given; "": without a folder */
	bool off;                        /* --no-backup */

	struct heads from;
	struct backup_scope scope;
	struct backup backup;
};

/* Is one asked for, by an option or by the section? */
bool backing_wanted(const struct backing *backing);

/* For coord_request.backup: finds out what the plan touches (on a connection of its own, waiting), chooses
 * the place. out->argv NULL: nothing is there to be saved, out->what says so. */
bool backing_make(struct backing *backing, const struct plan *plan, struct coord_backup *out, char **why);

/* How a backup that was made is put back, lines without indentation; NULL: none was made, or it is a command
 * of the user's, who knows. To be freed. */
char *backing_restore(const struct backing *backing);

/* made: the coordinator says so (coord_result.backup). Else what pg_dump left half done is removed. */
void backing_end(struct backing *backing, bool made);

#endif
