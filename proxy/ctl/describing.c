#include "describing.h"

#include <string.h>

#include "base/mem.h"

static const char *cell(const void *handle, unsigned row, unsigned column)
{
	return pq_rows_at(handle, row, column);
}

static bool read_all(struct pq_now *pq, struct description *description, struct pq_now_error *error)
{
	for (unsigned i = 0; describe_sql(i) != NULL; i++) {
		struct pq_rows rows;
		bool ok = pq_now_ask(pq, describe_sql(i), NULL, 0, &rows);
		if (ok) {
			const struct reader_rows view = {rows.rows, rows.columns, cell, &rows};
			describe_read(description, i, &view);
		} else {
			*error = rows.error;
			rows.error = (struct pq_now_error){.position = 0};
		}
		pq_rows_free(&rows);
		if (!ok)
			return false;
	}
	return true;
}

/* The snapshot is one for all statements; the rollback takes back what the first of them has set. */
struct description *describing(struct pq_now *pq, const char *skip, struct pq_now_error *error)
{
	char why[200];
	struct description *description = description_new(skip);
	struct pq_now_error aside = {.position = 0};
	bool ok = pq_now_do(pq, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, 0, error);
	if (ok) {
		/* Some definitions need a lock on their table, which a migration may have. */
		ok = pq_now_do(pq, "SET LOCAL lock_timeout = '30s'", NULL, 0, error) &&
		    read_all(pq, description, error);
		bool left = pq_now_do(pq, "ROLLBACK", NULL, 0, ok ? error : &aside);
		pq_now_error_free(&aside);
		ok = ok && left;
	}
	if (ok && !description_finish(description, why, sizeof(why))) {
		*error = (struct pq_now_error){.sqlstate = "XX000", .message = mem_strdup(why)};
		ok = false;
	}
	if (!ok)
		description_free(&description);
	return description;
}
