#include "audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "ctl/cli.h"

/* The session's search_path is empty: functions and types of pg_catalog are found without a name before them,
 * tables are named whole. */
#define UTC(time)        "to_char(" time " AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
#define SPAN(from, till) "floor(extract(epoch FROM " till " - " from ") * 1000)::bigint"

struct column {
	const char *sql;
	bool later; /* the ledger's first version does not have it */
};

static const struct column run_columns[RUN_COLUMNS] = {
    [RUN_ID] = {"n.run_id", false},
    [RUN_KIND] = {"n.kind", false},
    [RUN_STATE] = {"n.state", false},
    [RUN_OUTCOME] = {"n.outcome", false},
    [RUN_WHO] = {"n.who", false},
    [RUN_OS_USER] = {"n.os_user", false},
    [RUN_HOST] = {"n.host", false},
    [RUN_DB_USER] = {"n.db_user", false},
    [RUN_CLIENT] = {"host(n.client_addr)", false},
    [RUN_REASON] = {"n.reason", false},
    [RUN_COMMAND] = {"array_to_string(n.command, ' ')", false},
    [RUN_COMMAND_JSON] = {"array_to_json(n.command)", false},
    [RUN_FROM] = {"array_to_string(n.from_heads, '+')", false},
    [RUN_FROM_JSON] = {"array_to_json(n.from_heads)", false},
    [RUN_FROM_STATE] = {"n.from_state", false},
    [RUN_TARGET] = {"array_to_string(n.target, '+')", false},
    [RUN_TARGET_JSON] = {"array_to_json(n.target)", false},
    [RUN_TO] = {"array_to_string(n.to_heads, '+')", false},
    [RUN_TO_JSON] = {"array_to_json(n.to_heads)", false},
    [RUN_TO_STATE] = {"n.to_state", false},
    [RUN_STARTED] = {UTC("n.started_at"), false},
    [RUN_ENDED] = {UTC("n.ended_at"), false},
    [RUN_MS] = {SPAN("n.started_at", "COALESCE(n.ended_at, clock_timestamp())"), false},
    [RUN_DRAINED_MS] = {SPAN("n.started_at", "n.drained_at"), false},
    [RUN_ATTEMPT] = {"n.attempt", false},
    [RUN_EXIT_STATUS] = {"n.exit_status", false},
    [RUN_ERROR] = {"n.error", false},
    [RUN_OUTPUT] = {"n.output_tail", false},
    [RUN_UNRESOLVED] = {"n.unresolved", false},
    [RUN_RESOLVED] = {UTC("n.resolved_at"), false},
    [RUN_RESOLVED_BY] = {"n.resolved_by", false},
    [RUN_RESOLVED_NOTE] = {"n.resolved_note", false},
    [RUN_RESOLVED_AS] = {"n.resolved_as", true},
    [RUN_STEPS] = {"n.steps", true},
    [RUN_BACKUP] = {"n.backup", true},
    [RUN_BACKUP_BYTES] = {"n.backup_bytes", true},
    [RUN_BACKUP_MS] = {"n.backup_ms", true},
    [RUN_BACKUP_ERROR] = {"n.backup_error", true},
};

static const struct column step_columns[STEP_COLUMNS] = {
    [STEP_RUN] = {"s.run_id", true},
    [STEP_ORDINAL] = {"s.ordinal", true},
    [STEP_KIND] = {"s.kind", true},
    [STEP_REVISION] = {"s.revision", true},
    [STEP_FILE] = {"s.file", true},
    [STEP_LINE] = {"s.line", true},
    [STEP_MESSAGE] = {"s.message", true},
    [STEP_CHECKSUM] = {"s.checksum", true},
    [STEP_TRANSACTIONAL] = {"s.transactional", true},
    [STEP_HOLDING] = {"s.holding", true},
    [STEP_STATE] = {"s.state", true},
    [STEP_ATTEMPTS] = {"s.attempts", true},
    [STEP_FROM_JSON] = {"array_to_json(s.from_heads)", true},
    [STEP_TO_JSON] = {"array_to_json(s.to_heads)", true},
    [STEP_STARTED] = {UTC("s.started_at"), true},
    [STEP_ENDED] = {UTC("s.ended_at"), true},
    [STEP_MS] = {SPAN("s.started_at", "s.ended_at"), true},
    [STEP_ERROR] = {"s.error", true},
    [STEP_SQLSTATE] = {"s.sqlstate", true},
    [STEP_ERROR_LINE] = {"s.error_line", true},
};

static char *select_list(const struct column *columns, unsigned count, bool later, const char *rest)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	if (to == NULL)
		log_fatal("out of memory");
	for (unsigned i = 0; i < count; i++)
		fprintf(to, "%s%s", i == 0 ? "SELECT " : ", ",
		    columns[i].later && !later ? "NULL" : columns[i].sql);
	fputs(rest, to);
	fclose(to);
	return text;
}

/* "7d" is '7 days'; to be freed. NULL: it is no span. */
static char *span_of(const char *since)
{
	static const struct {
		char letter;
		const char *unit;
	} units[] = {{'m', "minutes"}, {'h', "hours"}, {'d', "days"}, {'w', "weeks"}};
	size_t digits = strspn(since, "0123456789");

	if (digits == 0 || digits > 6 || since[digits] == '\0' || since[digits + 1] != '\0')
		return NULL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (since[digits] == units[i].letter)
			return mem_printf("%.*s %s", (int)digits, since, units[i].unit);
	return NULL;
}

static bool fails_asking(struct migrate *m, const struct audit_request *request, struct pq_rows *rows)
{
	/* 22007, 22008: no such date. */
	if (request->since != NULL && strncmp(rows->error.sqlstate, "2200", 4) == 0)
		migrate_fails(m, CLI_USAGE,
		    "--since %s: write a date (2026-11-30), a date and time (2026-11-30 14:00), or so long "
		    "ago: 30m, 12h, "
		    "7d, 2w",
		    request->since);
	else
		migrate_fails_by(m, "reading the ledger", &rows->error);
	return false;
}

static bool read_runs(struct migrate *m, const struct audit_request *request, struct audit *out)
{
	char *span = request->since == NULL ? NULL : span_of(request->since);
	char *limit = mem_printf("%u", request->limit);
	const char *values[] = {request->run, span == NULL ? request->since : NULL, span, limit};
	char *sql = select_list(run_columns, RUN_COLUMNS, m->ledger.present,
	    " FROM headgate.run n WHERE ($1::bigint IS NULL OR n.run_id = $1::bigint)"
	    " AND ($2::timestamptz IS NULL OR n.started_at >= $2::timestamptz)"
	    " AND ($3::interval IS NULL OR n.started_at >= clock_timestamp() - $3::interval)"
	    " ORDER BY n.run_id DESC LIMIT $4::bigint");

	bool fine = pq_now_ask(m->pq, sql, values, 4, &out->runs);
	if (!fine)
		fails_asking(m, request, &out->runs);
	mem_free(&sql);
	mem_free(&limit);
	mem_free(&span);
	return fine;
}

static bool read_steps(struct migrate *m, struct audit *out)
{
	char *ids = NULL;
	size_t size = 0;

	if (!m->ledger.present || out->runs.rows == 0)
		return true;
	FILE *to = open_memstream(&ids, &size);
	if (to == NULL)
		log_fatal("out of memory");
	for (unsigned i = 0; i < out->runs.rows; i++)
		fprintf(to, "%s%s", i == 0 ? "{" : ",", audit_run(out, i, RUN_ID));
	fputs("}", to);
	fclose(to);
	char *sql = select_list(step_columns, STEP_COLUMNS, true,
	    " FROM headgate.step s WHERE s.run_id = ANY ($1::bigint[]) ORDER BY s.run_id DESC, s.step_id");
	const char *values[] = {ids};
	bool fine = pq_now_ask(m->pq, sql, values, 1, &out->steps);
	if (!fine)
		migrate_fails_by(m, "reading the ledger", &out->steps.error);
	mem_free(&sql);
	free(ids);
	return fine;
}

bool audit_read(struct migrate *m, const struct audit_request *request, struct audit *out, bool *present)
{
	*out = (struct audit){.runs = {.ok = true}};
	if (!migrate_ledger(m))
		return false;
	*present = m->ledger.present || m->ledger.old;
	return !*present || (read_runs(m, request, out) && read_steps(m, out));
}

void audit_free(struct audit *audit)
{
	pq_rows_free(&audit->runs);
	pq_rows_free(&audit->steps);
}

const char *audit_run(const struct audit *audit, unsigned row, enum audit_run column)
{
	return pq_rows_at(&audit->runs, row, column);
}

const char *audit_step(const struct audit *audit, unsigned row, enum audit_step column)
{
	return pq_rows_at(&audit->steps, row, column);
}

int64_t audit_number(const char *value)
{
	return value == NULL ? -1 : strtoll(value, NULL, 10);
}

bool audit_true(const char *value)
{
	return value != NULL && strcmp(value, "t") == 0;
}
