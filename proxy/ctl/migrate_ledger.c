#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "net/pq.h"
#include "schema/ledger.h"
#include "schema/readers.h"
#include "ctl/cli.h"
#include "migrate_private.h"

/* The first version of the ledger that keeps migrations (migrations/headgate/0002_migrations.sql). */
#define LEDGER_MIGRATIONS 2

bool migrate_fails_by(struct migrate *m, const char *what, const struct pq_now_error *error)
{
	bool unreachable = strncmp(error->sqlstate, "08", 2) == 0 || strcmp(error->sqlstate, "57P03") == 0;
	migrate_fails(m, unreachable ? CLI_UNREACHABLE : CLI_FAILED, "%s%s%s", what,
	    what[0] != '\0' ? ": " : "", error->message);
	if (error->detail != NULL)
		fprintf(stderr, "DETAIL: %s\n", error->detail);
	if (error->hint != NULL)
		fprintf(stderr, "HINT: %s\n", error->hint);
	if (!unreachable && error->sqlstate[0] != '\0')
		fprintf(stderr, "SQLSTATE: %s\n", error->sqlstate);
	return false;
}

/* What a newcomer does about a refusal at the door. */
static const char *door_hint(const char *sqlstate)
{
	if (strcmp(sqlstate, "3D000") == 0)
		return "Create it first (createdb, or CREATE DATABASE), or name another one.";
	if (strncmp(sqlstate, "28", 2) == 0)
		return "The user and its password stand in the url "
		       "(postgresql://user:password@host/database), in "
		       "$PGPASSWORD or in a passfile.";
	if (strcmp(sqlstate, "08001") == 0)
		return "Is PostgreSQL running there, and are host and port right?";
	return NULL;
}

static struct pq_now *dial(const struct migrate *m, struct pq_now_error *error)
{
	char application[64];
	snprintf(application, sizeof(application), "headgate %s", m->command);
	return pq_now_open(
	    &(struct pq_now_request){.dsn = m->dsn, .dbname = m->dbname, .application = application}, error);
}

bool migrate_connect(struct migrate *m)
{
	struct pq_now_error error;
	if (m->pq != NULL)
		return true;
	if (!migrate_section(m))
		return false;
	m->pq = dial(m, &error);
	if (m->pq != NULL)
		return true;
	migrate_fails(
	    m, CLI_UNREACHABLE, "database %s cannot be reached: %s", migrate_database(m), error.message);
	const char *hint = door_hint(error.sqlstate);
	if (hint != NULL)
		fprintf(stderr, "%s\n", hint);
	pq_now_error_free(&error);
	return false;
}

void migrate_explain(struct migrate *m)
{
	struct pq_now_error error = {.sqlstate = ""};
	struct pq_now *pq = dial(m, &error);
	const char *hint = pq == NULL ? door_hint(error.sqlstate) : NULL;
	if (hint != NULL)
		fprintf(stderr, "headgate %s: %s\n", m->command, hint);
	pq_now_close(&pq);
	pq_now_error_free(&error);
}

void migrate_ledger_free(struct migrate_ledger *ledger)
{
	for (unsigned i = 0; i < ledger->applied_count; i++) {
		mem_free(&ledger->applied[i].revision);
		mem_free(&ledger->applied[i].checksum);
		mem_free(&ledger->applied[i].applied_at);
	}
	for (unsigned i = 0; i < ledger->repeatable_count; i++) {
		mem_free(&ledger->repeatables[i].revision);
		mem_free(&ledger->repeatables[i].checksum);
		mem_free(&ledger->repeatables[i].applied_at);
	}
	mem_free(&ledger->applied);
	mem_free(&ledger->repeatables);
	mem_free(&ledger->unresolved);
	recorded_free(&ledger->recorded);
	*ledger = (struct migrate_ledger){.present = false};
}

static char *copy(const char *text)
{
	return text != NULL ? mem_strdup(text) : NULL;
}

static bool ask(struct migrate *m, const char *sql, struct pq_rows *rows)
{
	if (pq_now_ask(m->pq, sql, NULL, 0, rows))
		return true;
	migrate_fails_by(m, "reading the ledger", &rows->error);
	pq_rows_free(rows);
	return false;
}

static bool read_applied(struct migrate *m, const char *sql, struct migrate_applied **out, unsigned *count)
{
	struct pq_rows rows;
	if (!ask(m, sql, &rows))
		return false;
	*out = mem_zalloc((rows.rows + 1) * sizeof(**out));
	*count = rows.rows;
	for (unsigned i = 0; i < rows.rows; i++) {
		const char *run = pq_rows_at(&rows, i, 3);
		(*out)[i] = (struct migrate_applied){
		    .revision = copy(pq_rows_at(&rows, i, 0)),
		    .checksum = copy(pq_rows_at(&rows, i, 1)),
		    .applied_at = copy(pq_rows_at(&rows, i, 2)),
		    .run_id = run != NULL ? strtoll(run, NULL, 10) : 0,
		};
	}
	pq_rows_free(&rows);
	return true;
}

static bool read_state(struct migrate *m)
{
	static const char sql[] = "SELECT (SELECT g.serial FROM headgate.graph g), (SELECT "
				  "pg_catalog.format('run %s (%s, by %s, %s) was "
				  "left half way: %s', n.run_id, n.kind, n.who, "
				  "pg_catalog.to_char(n.started_at AT TIME ZONE 'UTC', "
				  "'YYYY-MM-DD HH24:MI:SS \"UTC\"'), COALESCE(n.error, 'no reason "
				  "recorded')) FROM headgate.run n WHERE "
				  "n.unresolved ORDER BY n.run_id LIMIT 1)";
	struct pq_rows rows;
	if (!ask(m, sql, &rows))
		return false;
	const char *serial = pq_rows_at(&rows, 0, 0);
	m->ledger.serial = serial != NULL ? strtoll(serial, NULL, 10) : 0;
	m->ledger.unresolved = copy(pq_rows_at(&rows, 0, 1));
	pq_rows_free(&rows);
	return true;
}

#define APPLIED_COLUMNS                                                                                      \
	", checksum, pg_catalog.to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'), "   \
	"run_id "                                                                                            \
	"FROM headgate."

static bool read_ledger(struct migrate *m)
{
	struct migrate_ledger *ledger = &m->ledger;
	struct pq_rows rows;
	if (!ask(m,
		"SELECT pg_catalog.to_regclass('headgate.version') IS NOT NULL, "
		"pg_catalog.has_schema_privilege(s.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, "
		"'SELECT'), "
		"pg_catalog.quote_ident(current_user) FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_namespace "
		"s ON "
		"s.nspname = 'headgate' LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = s.oid AND "
		"c.relname = "
		"'version'",
		&rows))
		return false;
	const char *there = pq_rows_at(&rows, 0, 0), *allowed = pq_rows_at(&rows, 0, 1);
	bool present = there != NULL && strcmp(there, "t") == 0;
	bool refused = present && (allowed == NULL || strcmp(allowed, "t") != 0);
	if (refused)
		migrate_fails(m, CLI_FAILED,
		    "database %s has a ledger (schema headgate) that role %s may not read. Come as the role "
		    "that "
		    "conducts runs, or let `headgate init` grant it",
		    migrate_database(m), pq_rows_at(&rows, 0, 2));
	pq_rows_free(&rows);
	if (refused || !present)
		return !refused;
	if (!ask(m, "SELECT COALESCE(pg_catalog.max(version), 0) FROM headgate.version", &rows))
		return false;
	unsigned long version = strtoul(pq_rows_at(&rows, 0, 0), NULL, 10);
	pq_rows_free(&rows);
	ledger->present = version >= LEDGER_MIGRATIONS;
	ledger->old = version < ledger_migration_count;
	return !ledger->present ||
	    (read_applied(m, "SELECT revision" APPLIED_COLUMNS "applied ORDER BY 1", &ledger->applied,
		 &ledger->applied_count) &&
		read_applied(m, "SELECT file" APPLIED_COLUMNS "repeatable ORDER BY 1", &ledger->repeatables,
		    &ledger->repeatable_count) &&
		read_state(m));
}

static const char *rows_cell(const void *handle, unsigned row, unsigned column)
{
	return pq_rows_at(handle, row, column);
}

/* The last statement of its transaction: where there is no such table yet, that fails. */
static bool read_recorded(struct migrate *m)
{
	struct pq_rows answer;
	char *sql = reader_sql(&m->section->recorded);
	bool ok = pq_now_ask(m->pq, sql, NULL, 0, &answer);
	mem_free(&sql);
	if (ok) {
		const struct reader_rows rows = {
		    .rows = answer.rows, .columns = answer.columns, .cell = rows_cell, .handle = &answer};
		reader_recorded(&m->section->recorded, &rows, &m->ledger.recorded);
	} else {
		ok = reader_failed(answer.error.sqlstate, answer.error.message, &m->ledger.recorded);
		if (!ok)
			migrate_fails_by(m, "reading the recorded version", &answer.error);
	}
	pq_rows_free(&answer);
	return ok;
}

bool migrate_ledger(struct migrate *m)
{
	char why[512];
	struct pq_now_error error;
	unsigned failed;
	/* One picture; and whoever changes the version table right now is not waited for. */
	static const char *const begin[] = {
	    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SET LOCAL lock_timeout = '2s'"};
	static const char *const end[] = {"COMMIT"};
	if (!migrate_connect(m))
		return false;
	if (!reader_check(&m->section->recorded, why, sizeof(why)))
		return migrate_fails(m, CLI_CONFIG, "databases.%s: %s", m->section->name, why);
	migrate_ledger_free(&m->ledger);
	if (!pq_now_all(m->pq, begin, 2, &error, &failed)) {
		migrate_fails_by(m, "reading the ledger", &error);
		pq_now_error_free(&error);
		return false;
	}
	bool ok = read_ledger(m) && read_recorded(m);
	/* It only read: whether this is a COMMIT or a ROLLBACK is all the same. */
	if (!pq_now_all(m->pq, end, 1, &error, &failed) && ok)
		ok = migrate_fails_by(m, "reading the ledger", &error);
	pq_now_error_free(&error);
	return ok;
}

struct conf_database migrate_run_section(const struct migrate *m)
{
	struct conf_database section = *m->section;
	section.control.run_dsn = m->dsn;
	return section;
}

/* ---- changing it ---- */

#define PATIENCE 50  /* tries at a lock ... */
#define PAUSE_MS 200 /* ... with this pause */

/* False: Ctrl-C. */
static bool pause_for_lock(struct migrate *m)
{
	const struct timespec pause = {.tv_sec = 0, .tv_nsec = PAUSE_MS * 1000000L};
	nanosleep(&pause, NULL);
	return !pq_now_interrupted(m->pq);
}

static bool take_step(struct migrate *m, const struct ledger_step *step)
{
	struct pq_now_error error;
	for (unsigned tries = 1;; tries++) {
		if (pq_now_do(m->pq, step->sql, NULL, 0, &error))
			return true;
		bool again = strcmp(error.sqlstate, "55P03") == 0 && tries < PATIENCE && pause_for_lock(m);
		if (!again)
			break;
		pq_now_error_free(&error);
	}
	migrate_fails_by(m, step->what, &error);
	if (strcmp(error.sqlstate, "42501") == 0)
		fprintf(stderr, "Somebody who may can make the ledger: headgate init\n");
	pq_now_error_free(&error);
	return false;
}

bool migrate_make_ledger(struct migrate *m)
{
	if (m->ledger.present && !m->ledger.old)
		return true;
	char *control = pq_dsn_user(m->section->control.dsn), *run = pq_dsn_user(m->dsn);
	bool made = control != NULL && run != NULL;
	if (made) {
		struct ledger_plan plan = ledger_plan(&m->section->recorded, control, run);
		for (unsigned i = 0; made && i < plan.count; i++)
			made = take_step(m, &plan.steps[i]);
		ledger_plan_free(&plan);
	} else {
		migrate_fails(
		    m, CLI_CONFIG, "the connection string names no user, and there is no default here");
	}
	mem_free(&control);
	mem_free(&run);
	return made && migrate_ledger(m);
}

bool migrate_begin(struct migrate *m)
{
	static const char *const begin[] = {"BEGIN", "SET LOCAL lock_timeout = '5s'"};
	static const char *const end[] = {"ROLLBACK"};
	struct pq_now_error error = {.message = NULL};
	unsigned failed;
	for (unsigned tries = 1; tries <= PATIENCE; tries++) {
		struct pq_rows rows;
		if (!pq_now_all(m->pq, begin, 2, &error, &failed))
			break;
		bool ok = pq_now_ask(
		    m->pq, "SELECT pg_catalog.pg_try_advisory_xact_lock(" LEDGER_LOCK ")", NULL, 0, &rows);
		const char *locked = pq_rows_at(&rows, 0, 0);
		bool mine = ok && locked != NULL && strcmp(locked, "t") == 0;
		if (!ok)
			migrate_fails_by(m, "taking the lock", &rows.error);
		pq_rows_free(&rows);
		if (mine || !ok)
			return mine;
		if (!pq_now_all(m->pq, end, 1, &error, &failed) || !pause_for_lock(m))
			break;
	}
	if (error.message != NULL) {
		migrate_fails_by(m, "taking the lock", &error);
		pq_now_error_free(&error);
		return false;
	}
	return migrate_fails(m, CLI_FAILED,
	    "a run is under way in %s, or something else that holds its lock: try again when it has ended "
	    "(`headgate log` shows it)",
	    migrate_database(m));
}

bool migrate_commit(struct migrate *m)
{
	struct pq_now_error error;
	if (pq_now_do(m->pq, "COMMIT", NULL, 0, &error))
		return true;
	migrate_fails_by(m, "COMMIT", &error);
	pq_now_error_free(&error);
	return false;
}
