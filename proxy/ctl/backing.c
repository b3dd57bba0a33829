#include "backing.h"

#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "net/pq_now.h"

bool backing_wanted(const struct backing *backing)
{
	if (backing->off)
		return false;
	return backing->given != NULL || backing->section->migrations.backup.dir != NULL ||
	    backing->section->migrations.backup.command != NULL;
}

static const char *cell(const void *handle, unsigned row, unsigned column)
{
	return pq_rows_at(handle, row, column);
}

/* Which of the names are tables, and what they drag along. */
static bool look(struct backing *backing, char **why)
{
	struct pq_now_error error = {.position = 0};
	struct pq_now *pq = pq_now_open(
	    &(struct pq_now_request){
		.dsn = backing->dsn,
		.dbname = backing->dbname,
		.application = "headgate backup",
	    },
	    &error);
	bool read = false;
	if (pq != NULL) {
		const char *values[] = {
		    backing->scope.names, backing->scope.calls, backing->scope.writes ? "true" : "false"};
		struct pq_rows rows;
		if (pq_now_ask(pq, backup_tables_sql, values, 3, &rows)) {
			const struct reader_rows view = {rows.rows, rows.columns, cell, &rows};
			read = backup_scope_read(&backing->scope, &view);
			if (!read)
				*why =
				    mem_strdup("the backup: the server's answer about its tables is not one");
		} else {
			error = rows.error;
			rows.error = (struct pq_now_error){.position = 0};
		}
		pq_rows_free(&rows);
		pq_now_close(&pq);
	}
	if (error.message != NULL)
		*why =
		    mem_printf("the backup: which tables are touched could not be read: %s", error.message);
	pq_now_error_free(&error);
	return read;
}

static int64_t bytes_so_far(void *arg)
{
	const struct backing *backing = arg;
	return backup_bytes(backing->backup.place);
}

static void forget(struct backing *backing)
{
	backup_scope_free(&backing->scope);
	backup_free(&backing->backup);
	heads_free(&backing->from);
}

bool backing_make(struct backing *backing, const struct plan *plan, struct coord_backup *out, char **why)
{
	const struct conf_database *section = backing->section;
	forget(backing);
	*out = (struct coord_backup){.argv = NULL};
	backing->from = heads_copy(&plan->from);
	backup_scope(plan, false, &backing->scope);
	if (!backing->scope.everything && !look(backing, why))
		return false;
	if (!backing->scope.everything && backing->scope.table_count == 0) {
		out->what = "no table that is there is touched";
		return true;
	}
	struct backup_request request = {
	    .scope = &backing->scope,
	    .command = section->migrations.backup.command,
	    .command_count = section->migrations.backup.command_count,
	    .dir = backing->given != NULL && backing->given[0] != '\0' ? backing->given
								       : section->migrations.backup.dir,
	    .database = backing->name,
	    .from = &backing->from,
	    .now = time(NULL),
	};
	if (!backup_make(&request, &backing->backup, why))
		return false;
	out->argv = backing->backup.argv;
	out->environment = (const char *const *)backing->backup.environment;
	out->place =
	    backing->backup.place != NULL ? backing->backup.place : section->migrations.backup.command[0];
	out->what = backing->backup.what;
	out->bytes = backing->backup.place != NULL ? bytes_so_far : NULL;
	return true;
}

char *backing_restore(const struct backing *backing)
{
	if (!backing->backup.own)
		return NULL;
	return backup_restore(&backing->scope, backing->backup.place,
	    backing->dbname != NULL ? backing->dbname : backing->name, &backing->from);
}

void backing_end(struct backing *backing, bool made)
{
	if (!made && backing->backup.own)
		backup_discard(backing->backup.place);
	forget(backing);
}
