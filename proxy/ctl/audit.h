/* The ledger's audit as rows: every run, and every step that it tried. */
#ifndef CTL_AUDIT_H
#define CTL_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "migrate.h"

/* Columns of a run. Times are texts in UTC, spans milliseconds, lists JSON where the name says so. */
enum audit_run {
	RUN_ID,
	RUN_KIND,
	RUN_STATE,
	RUN_OUTCOME,
	RUN_WHO,
	RUN_OS_USER,
	RUN_HOST,
	RUN_DB_USER,
	RUN_CLIENT,
	RUN_REASON,
	RUN_COMMAND, /* joined by blanks */
	RUN_COMMAND_JSON,
	RUN_FROM, /* heads, joined by '+'; "" : base */
	RUN_FROM_JSON,
	RUN_FROM_STATE,
	RUN_TARGET, /* NULL: not known beforehand */
	RUN_TARGET_JSON,
	RUN_TO, /* NULL: it did not come to an end of its own */
	RUN_TO_JSON,
	RUN_TO_STATE,
	RUN_STARTED,
	RUN_ENDED,
	RUN_MS,         /* until now, where it has not ended */
	RUN_DRAINED_MS, /* from the start until all were drained; NULL: they were not */
	RUN_ATTEMPT,
	RUN_EXIT_STATUS,
	RUN_ERROR,
	RUN_OUTPUT,
	RUN_UNRESOLVED, /* "t" */
	RUN_RESOLVED,
	RUN_RESOLVED_BY,
	RUN_RESOLVED_NOTE,
	RUN_RESOLVED_AS,
	RUN_STEPS, /* how many it was to do */
	RUN_BACKUP,
	RUN_BACKUP_BYTES,
	RUN_BACKUP_MS,
	RUN_BACKUP_ERROR,
	RUN_COLUMNS
};

enum audit_step {
	STEP_RUN,
	STEP_ORDINAL,
	STEP_KIND,
	STEP_REVISION,
	STEP_FILE,
	STEP_LINE,
	STEP_MESSAGE,
	STEP_CHECKSUM,
	STEP_TRANSACTIONAL, /* "t" */
	STEP_HOLDING,
	STEP_STATE,
	STEP_ATTEMPTS,
	STEP_FROM_JSON,
	STEP_TO_JSON,
	STEP_STARTED,
	STEP_ENDED,
	STEP_MS,
	STEP_ERROR,
	STEP_SQLSTATE,
	STEP_ERROR_LINE,
	STEP_COLUMNS
};

struct audit_request {
	unsigned limit;  /* at most so many runs, the newest */
	const char *run; /* this one alone: its number; or NULL */
	const char
	    *since; /* a time as PostgreSQL reads it, or "7d", "12h", "30m", "2w": so long ago; or NULL */
};
struct audit {
	struct pq_rows runs;  /* newest first */
	struct pq_rows steps; /* by run, in the order of their trial */
};
/* Connects where that was not done. A database without a ledger has no runs; *present says which. */
bool audit_read(struct migrate *m, const struct audit_request *request, struct audit *out, bool *present);
void audit_free(struct audit *audit);

/* Values by column. */
const char *audit_run(const struct audit *audit, unsigned row, enum audit_run column);
const char *audit_step(const struct audit *audit, unsigned row, enum audit_step column);
int64_t audit_number(const char *value); /* NULL: -1 */
bool audit_true(const char *value);

#endif
