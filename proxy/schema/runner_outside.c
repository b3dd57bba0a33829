/* A step that cannot be in a transaction: recorded as started before, then statement by statement, each by
 * itself as psql would send it, and recorded as finished. */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "runner_private.h"

static const char started_sql[] =
    "SELECT headgate.step_started($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
    "pg_catalog.string_to_array($11::text, '+'), pg_catalog.string_to_array($12::text, '+'))";

/* A partitioned index counts as invalid until all its parts are attached, which is no failure. */
#define INVALID_SQL                                                                                          \
	"FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "                     \
	"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE NOT i.indisvalid AND c.relkind = "   \
	"'i'"

static const char invalid_before_sql[] =
    "SELECT COALESCE(pg_catalog.array_agg(i.indexrelid), '{}')::text " INVALID_SQL;
static const char invalid_after_sql[] =
    "SELECT pg_catalog.string_agg(pg_catalog.format('DROP INDEX CONCURRENTLY %I.%I;', n.nspname, c.relname), "
    "' ' ORDER BY c.relname) " INVALID_SQL " AND NOT (i.indexrelid = ANY ($1::pg_catalog.oid[]))";

static const struct split_statement *statement(const struct runner *r)
{
	return &r->split.at[r->statement];
}

static bool concurrent(const struct split_statement *s)
{
	return s->kind == SPLIT_ALONE && s->command != NULL && strstr(s->command, "CONCURRENTLY") != NULL;
}

static bool begins_with(const struct split_statement *s, const char *word)
{
	size_t n = strlen(word);
	return s->size >= n && strncasecmp(s->text, word, n) == 0 &&
	    (s->size == n || strchr(" \t\r\n(-/'\"$", s->text[n]) != NULL);
}

/* Statements that leave nothing in the database. */
static bool idle(const struct split_statement *s)
{
	static const char *const words[] = {"set", "reset", "show", "begin", "start", "rollback", "abort",
	    "savepoint", "release", "discard", "deallocate", "close", "listen", "unlisten"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (begins_with(s, words[i]))
			return true;
	}
	return false;
}

/* Can what failed have left something, with an error of the server's? A procedure may have committed on its
 * way; of what PostgreSQL does in several transactions of its own only indexes can be told from outside. */
static bool leaves_nothing(const struct split_statement *s)
{
	if (begins_with(s, "call") || begins_with(s, "do"))
		return false;
	if (s->kind != SPLIT_ALONE || s->command == NULL)
		return true;
	return strstr(s->command, "INDEX") != NULL || strcmp(s->command, "REINDEX CONCURRENTLY") == 0 ||
	    strcmp(s->command, "VACUUM") == 0 || strcmp(s->command, "ALTER SYSTEM") == 0 ||
	    strcmp(s->command, "CREATE DATABASE") == 0 || strcmp(s->command, "CREATE TABLESPACE") == 0;
}

/* The ledger could not be told that a step begins or has ended. */
static void ledger_refused(struct runner *r, const struct pq_result *result, bool half)
{
	runner_failure_take(r, NULL, result, "its row in the ledger: ");
	r->certain = !half;
	runner_failure_settle(r);
	runner_end(r, half ? RUNNER_HALF : RUNNER_FAILED);
}

static void on_started(struct runner *r, const struct pq_result *result)
{
	if (!result->ok) {
		ledger_refused(r, result, false);
		return;
	}
	r->step_id = mem_strdup(pq_value(result, 0, 0));
	r->statement = 0;
	runner_enter(r, RUNNER_STATEMENT, r->step_id);
}

static void on_invalid_before(struct runner *r, const struct pq_result *result)
{
	mem_free(&r->invalid);
	r->invalid = mem_strdup(result->ok && result->rows == 1 ? pq_value(result, 0, 0) : "{}");
}

void runner_begin_outside(struct runner *r)
{
	struct runner_values values;
	runner_step_values(r, &values);
	runner_ask(r, invalid_before_sql, NULL, 0, on_invalid_before);
	runner_ask(r, started_sql, values.at, RUNNER_STEP_VALUES, on_started);
}

static void failed(struct runner *r, const struct pq_result *result, bool certain)
{
	runner_failure_take(r, statement(r), result, "");
	r->certain = certain;
	runner_enter(r, RUNNER_ROLLING_BACK, result->sqlstate);
}

static void on_statement(struct runner *r, const struct pq_result *result)
{
	if (!result->ok) {
		/* Of the file's own transaction nothing is there, its COMMIT included. */
		failed(r, result,
		    pq_in_transaction(r->request.pq) || statement(r)->kind == SPLIT_COMMIT ||
			leaves_nothing(statement(r)));
		return;
	}
	bool open = pq_in_transaction(r->request.pq);
	r->effects = r->effects || (!open && !idle(statement(r)));
	r->statement++;
	r->attempt = 1;
	if (r->statement == r->split.count && open) {
		r->statement--;
		failed(r,
		    &(struct pq_result){.sqlstate = "25001",
			.severity = "ERROR",
			.message = "the file ends inside a transaction that it has begun",
			.hint = "Its COMMIT is missing: without it all since its BEGIN is undone."},
		    true);
	} else if (r->stopping > 0 && r->statement < r->split.count) {
		failed(r,
		    &(struct pq_result){
			.sqlstate = "57014", .severity = "ERROR", .message = "stopped before this statement"},
		    true);
	} else {
		runner_enter(r, RUNNER_STATEMENT, "the next");
	}
}

/* What waits for the transactions of others, as CONCURRENTLY does, takes no lock that keeps them from their
 * work: lock_timeout would only leave an invalid index behind, where traffic flows. A file that sets it knows
 * better. */
static void limit_locks(struct runner *r, bool off)
{
	if (r->unlimited == off || r->own_lock_timeout)
		return;
	r->unlimited = off;
	char *sql = mem_printf("SELECT pg_catalog.set_config('lock_timeout', '%lld', false)",
	    off ? 0LL : (long long)(r->request.lock_timeout_ns / 1000000));
	runner_ask(r, sql, NULL, 0, NULL);
	mem_free(&sql);
}

void runner_statement(struct runner *r)
{
	if (r->statement == r->split.count) {
		runner_enter(r, RUNNER_CLEANING, "all of them");
		return;
	}
	const struct split_statement *s = statement(r);
	char *sql = mem_strndup(s->text, s->size);
	if (runner_copies(s)) {
		runner_ask_copy(r, sql, s->data, s->data_size, on_statement);
	} else {
		if (!pq_in_transaction(r->request.pq))
			limit_locks(r, concurrent(s));
		runner_ask(r, sql, NULL, 0, on_statement);
	}
	mem_free(&sql);
}

static void on_looked(struct runner *r, const struct pq_result *result)
{
	mem_free(&r->left_invalid);
	if (!result->ok)
		r->certain = false;
	else if (result->rows == 1 && pq_value(result, 0, 0) != NULL)
		r->left_invalid = mem_strdup(pq_value(result, 0, 0));
	if (r->left_invalid != NULL)
		r->certain = false;
	runner_enter(r, RUNNER_DECIDING, r->certain ? "it left nothing" : "it may have left something");
}

void runner_look(struct runner *r)
{
	const char *const values[] = {r->invalid};
	runner_ask(r, invalid_after_sql, values, 1, on_looked);
}

static void on_invalid_left(struct runner *r, const struct pq_result *result)
{
	if (result->ok && result->rows == 1 && pq_value(result, 0, 0) != NULL)
		runner_warn(r, "%s is done, but there are invalid indexes, which no query uses: %s",
		    runner_step(r)->revision, pq_value(result, 0, 0));
	runner_step_over(r);
}

static void on_finished(struct runner *r, const struct pq_result *result)
{
	if (!result->ok) {
		ledger_refused(r, result, true);
		return;
	}
	/* IF NOT EXISTS is content with the invalid index of an earlier try. */
	const char *const values[] = {"{}"};
	if (r->invalid != NULL && runner_step(r)->section->alone != NULL)
		runner_ask(r, invalid_after_sql, values, 1, on_invalid_left);
	else
		runner_step_over(r);
}

void runner_finish(struct runner *r)
{
	const char *const values[] = {r->step_id};
	runner_ask(r, "SELECT headgate.step_finished($1)", values, 1, on_finished);
}
