/* The steps before anybody is disturbed: the lock (or another's run to wait for), the version;
 * and the announcement. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "command_private.h"
#include "coord_private.h"

/* A renewal takes the lock for a moment to see whether anybody conducts, and a coordinator holds it a little
 * longer than its run: so a lock without a run counts as another's only after so long. */
#define NAMELESS_NS (3 * CLOCK_S)
/* A version table that is locked: a migration is under way behind our back, or a moment's lock. */
#define READ_NS (2 * CLOCK_S)

/* Who holds the lock, and is it what we were to do? The same target, where both name one; else the same
 * command. $1 our command, $2 our target or NULL */
static const char who_sql[] =
    "SELECT n.run_id, n.who, n.reason, to_char(n.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "
    "\"UTC\"'), n.state, "
    "CASE WHEN n.target IS NOT NULL AND $2::text IS NOT NULL THEN n.target = string_to_array($2::text, '+') "
    "ELSE n.command = $1::text[] AND (n.kind <> 'exec' OR n.target IS NOT DISTINCT FROM "
    "string_to_array($2::text, '+')) END, "
    "(SELECT format('pid %s (%s%s%s), connected since %s', a.pid, a.usename, COALESCE('@' || "
    "host(a.client_addr), ''), "
    "CASE WHEN a.application_name <> '' THEN ', ' || a.application_name ELSE '' END, "
    "to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"')) "
    "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE " COORD_LOCK_IS(
	"l", LEDGER_LOCK) " LIMIT 1) "
			  "FROM (SELECT 1) AS always LEFT JOIN headgate.run n ON n.state <> 'ended'";
enum { WHO_RUN, WHO_WHO, WHO_REASON, WHO_SINCE, WHO_STATE, WHO_SAME, WHO_HOLDER };

static void blocked_by(struct coord *c, char *text, bool certain)
{
	int64_t now = clock_now();
	if (c->blocked_ns == 0)
		c->blocked_ns = now;
	mem_free(&c->blocker);
	c->blocker = text;
	if (c->request.wait)
		coord_say(c, NULL, "waiting: %s", text);
	else if (certain || now - c->blocked_ns > NAMELESS_NS + c->request.section->drain.pause_ns)
		coord_finish(c, COORD_REFUSED, 1, mem_strdup(text), "--wait waits for its end");
}

static void on_who(struct coord *c, const struct pq_result *result)
{
	if (!result->ok && c->founding) {
		blocked_by(c, mem_strdup("the lock is somebody else's, and there is no ledger yet"), false);
		return;
	}
	if (!result->ok) {
		coord_trouble(c, "looking for the run under way", result);
		return;
	}
	bool run = pq_value(result, 0, WHO_RUN) != NULL;
	if (run && coord_true(result, 0, WHO_SAME)) {
		c->attached_run = coord_number(result, 0, WHO_RUN);
		coord_say(c, NULL, "attached to run %" PRId64 " of %s, which does the same since %s",
		    c->attached_run, coord_text(result, 0, WHO_WHO), coord_text(result, 0, WHO_SINCE));
		coord_enter(c, COORD_ATTACHED, "the same is under way");
	} else if (run) {
		blocked_by(c,
		    mem_printf("run %s of %s is %s since %s (%s)", coord_text(result, 0, WHO_RUN),
			coord_text(result, 0, WHO_WHO), coord_text(result, 0, WHO_STATE),
			coord_text(result, 0, WHO_SINCE), coord_text(result, 0, WHO_REASON)),
		    true);
	} else if (pq_value(result, 0, WHO_HOLDER) != NULL) {
		blocked_by(c,
		    mem_printf(
			"the lock is held by %s, with no run announced", coord_text(result, 0, WHO_HOLDER)),
		    false);
	}
}

static void on_lock(struct coord *c, const struct pq_result *result)
{
	if (!result->ok) {
		coord_trouble(c, "the lock", result);
		return;
	}
	if (coord_true(result, 0, 0)) {
		c->blocked_ns = 0;
		coord_enter(c, c->founding ? COORD_FOUNDING : COORD_CHECKING, "the lock is ours");
		return;
	}
	unsigned count = 0;
	while (c->request.argv[count] != NULL)
		count++;
	char *command = coord_array((const char *const *)c->request.argv, count);
	const struct heads *target = c->request.target;
	const char *const values[] = {command, target != NULL ? target->text : NULL};
	coord_ask(c, who_sql, values, 2, on_who);
	mem_free(&command);
}

/* Polled, never waited for in a statement: a waiter's snapshot would block the other's CREATE INDEX
 * CONCURRENTLY. */
void coord_lock(struct coord *c)
{
	coord_ask(c, "SELECT pg_try_advisory_lock(" LEDGER_LOCK ")", NULL, 0, on_lock);
}

/* The end of another's run is ours, but for one that was abandoned: then what we came for is still to be
 * done, and the lock is free. */
static void take_result(struct coord *c, const struct pq_result *result)
{
	enum { STATE, OUTCOME, EXIT_STATUS, ERROR, FROM, TO, UNRESOLVED };
	const char *outcome = coord_text(result, 0, OUTCOME);
	int status = (int)coord_number(result, 0, EXIT_STATUS);
	char *text = mem_printf("run %" PRId64 " of another coordinator %s%s%s", c->attached_run,
	    strcmp(outcome, "gave_up") == 0 ? "gave up" : outcome,
	    coord_text(result, 0, ERROR)[0] != '\0' ? ": " : "", coord_text(result, 0, ERROR));
	mem_free(&c->from_text);
	mem_free(&c->to_text);
	c->from_text = mem_strdup(coord_text(result, 0, FROM));
	c->to_text = mem_strdup(coord_text(result, 0, TO));
	if (coord_true(result, 0, UNRESOLVED))
		coord_finish(c, COORD_UNRESOLVED, 1, text,
		    "`headgate resolve` opens the gate when you know what was done");
	else if (strcmp(outcome, "succeeded") == 0)
		coord_finish(c, COORD_SUCCEEDED, 0, text, NULL);
	else if (strcmp(outcome, "failed") == 0)
		coord_finish(c, COORD_FAILED, status != 0 ? status : 1, text, NULL);
	else
		coord_finish(
		    c, strcmp(outcome, "cancelled") == 0 ? COORD_CANCELLED : COORD_GAVE_UP, 1, text, NULL);
}

static const char attend_sql[] =
    "SELECT n.state, n.outcome, n.exit_status, n.error, "
    "COALESCE(NULLIF(array_to_string(n.from_heads, '+'), ''), 'none'), "
    "COALESCE(NULLIF(array_to_string(n.to_heads, '+'), ''), 'none'), n.unresolved, "
    "pg_try_advisory_lock(" LEDGER_LOCK "), "
    "(SELECT format(': %s of %s steps are done', count(*), n.steps) FROM headgate.step s WHERE s.run_id = "
    "n.run_id AND s.state = 'done' AND n.steps IS NOT NULL HAVING n.steps IS NOT NULL) "
    "FROM headgate.run n WHERE n.run_id = $1";

static void on_attend(struct coord *c, const struct pq_result *result)
{
	enum { STATE, OUTCOME, LOCKED = 7, STEPS };
	if (!result->ok || result->rows != 1) {
		coord_finish(c, COORD_LOST, 1,
		    mem_printf("run %" PRId64 " of another coordinator cannot be followed: %s",
			c->attached_run, result->message),
		    NULL);
		return;
	}
	bool ended = strcmp(coord_text(result, 0, STATE), "ended") == 0;
	bool locked = coord_true(result, 0, LOCKED);
	const char *outcome = coord_text(result, 0, OUTCOME);
	if (ended && strcmp(outcome, "abandoned") == 0) {
		c->attached_run = 0;
		coord_enter(
		    c, locked ? COORD_CHECKING : COORD_LOCKING, "the other coordinator is gone; ours now");
	} else if (ended && strcmp(outcome, "gave_up") == 0 && !locked) {
		/* It may be about to try again. */
		coord_enter(c, COORD_LOCKING, "the other gave up this attempt");
	} else if (ended) {
		take_result(c, result);
	} else if (locked) {
		coord_enter(c, COORD_CHECKING, "the other coordinator is gone");
	} else {
		const char *steps = coord_text(result, 0, STEPS);
		coord_say(c, NULL, "attached to run %" PRId64 ", which is %s%s", c->attached_run,
		    coord_text(result, 0, STATE), steps);
	}
}

void coord_attend(struct coord *c)
{
	char run[24];
	snprintf(run, sizeof(run), "%" PRId64, c->attached_run);
	const char *const values[] = {run};
	coord_ask(c, attend_sql, values, 1, on_attend);
}

static void on_reaped(struct coord *c, const struct pq_result *result)
{
	if (!result->ok) {
		coord_trouble(c, "the ledger", result);
		return;
	}
	if (c->attached_run != 0) {
		/* However the run that we followed ended, it is in its row now. */
		coord_enter(c, COORD_ATTACHED, "its coordinator is gone");
		return;
	}
	if (result->rows > 0) {
		coord_finish(c, COORD_REFUSED, 1, mem_printf("refused: %s", coord_text(result, 0, 0)),
		    "see what was done, then `headgate resolve`");
		return;
	}
	c->attached_run = 0;
	coord_enter(c, coord_of_steps(c) ? COORD_READING_FROM : COORD_VETTING, "no run is left half way");
}

static void on_orphans(struct coord *c, const struct pq_result *result)
{
	if (!result->ok) {
		coord_trouble(c, "the ledger", result);
		return;
	}
	/* In a statement of its own: it must see what the reaping left unresolved. */
	coord_ask(c,
	    "SELECT format('run %s of %s was left half way: %s', n.run_id, n.who, COALESCE(n.error, 'no "
	    "reason recorded')) "
	    "FROM headgate.run n WHERE n.unresolved ORDER BY n.run_id LIMIT 1",
	    NULL, 0, on_reaped);
}

void coord_check(struct coord *c)
{
	coord_ask(c, "SELECT headgate.reap()", NULL, 0, on_orphans);
}

static const char *result_cell(const void *handle, unsigned row, unsigned column)
{
	return pq_value(handle, (int)row, (int)column);
}

static void on_read(struct coord *c, const struct pq_result *result)
{
	bool before = c->state == COORD_READING_FROM;
	struct recorded *recorded = before ? &c->from : &c->to;
	const struct reader_rows rows = {.rows = (unsigned)result->rows,
	    .columns = (unsigned)result->columns,
	    .cell = result_cell,
	    .handle = result};
	recorded_free(recorded);
	if (result->ok) {
		reader_recorded(&c->request.section->recorded, &rows, recorded);
	} else if (!reader_failed(result->sqlstate, result->message, recorded)) {
		recorded->state = RECORDED_UNREADABLE;
		recorded->detail = mem_strdup(result->message);
	}
	bool blocked = !result->ok && recorded->state == RECORDED_RUNNING;
	if (blocked && clock_now() - c->entered_ns < READ_NS)
		return; /* once more at the next tick */

	char **text = before ? &c->from_text : &c->to_text;
	mem_free(text);
	*text = mem_strdup(heads_text(&recorded->heads));
	if (!before) {
		coord_read_done(c);
		return;
	}
	if (recorded->state == RECORDED_RUNNING || recorded->state == RECORDED_UNREADABLE) {
		bool running = recorded->state == RECORDED_RUNNING;
		coord_finish(c, COORD_REFUSED, 1,
		    mem_printf("refused: the recorded version is %s: %s",
			recorded_state_name(recorded->state),
			recorded->detail != NULL ? recorded->detail : "?"),
		    running ? "a migration seems to be under way that headgate does not conduct"
			    : "look at `recorded` in the configuration, and run `headgate init`");
	} else if (coord_of_steps(c)) {
		coord_enter(c, COORD_PLANNING, *text);
	} else if (!heads_is_none(&recorded->heads) && recorded->state == RECORDED_CLEAN &&
	    c->request.target != NULL && heads_equal(&recorded->heads, c->request.target)) {
		c->to_text = mem_strdup(*text);
		coord_finish(c, COORD_SUCCEEDED, 0,
		    mem_printf("%s is recorded already: nothing to do, nobody was held", *text), NULL);
	} else {
		c->attempt++;
		coord_enter(c, COORD_ANNOUNCING, *text);
	}
}

void coord_read(struct coord *c)
{
	char *sql = reader_sql(&c->request.section->recorded);
	coord_send(c, "BEGIN READ ONLY");
	coord_ask(c, sql, NULL, 0, on_read);
	coord_send(c, "COMMIT");
	mem_free(&sql);
}

static void on_announced(struct coord *c, const struct pq_result *result)
{
	if (!result->ok && strcmp(result->sqlstate, "55P03") == 0 &&
	    clock_now() - c->entered_ns < c->request.drain_timeout_ns)
		return; /* a renewal that takes long; again at the next tick */
	if (!result->ok) {
		coord_trouble(c, "announcing", result);
		return;
	}
	c->run_id = c->last_run_id = coord_number(result, 0, 0);
	c->announced_ns = c->held_ns = clock_now();
	c->stepped = c->marked = false;
	c->hold = coord_starts_held(c) ? HOLD_ANNOUNCED : HOLD_NONE;
	mem_free(&c->run_text);
	c->run_text = mem_printf("%" PRId64, c->run_id);
	mem_free(&c->object);
	c->object = mem_printf("%s run %" PRId64, c->request.name, c->run_id);
	coord_say(c, NULL, "run %" PRId64 " announced, from %s: %s", c->run_id, c->from_text,
	    c->hold == HOLD_ANNOUNCED         ? "clients are being held"
		: c->request.section->observe ? "mode observe, nobody is held"
					      : "nobody is held");
	if (c->cancelled)
		coord_give_up(
		    c, "cancelled", mem_strdup("cancelled while draining; nothing was migrated"), false);
	else if (coord_of_steps(c))
		coord_enter(c, COORD_PUBLISHING, "announced");
	else if (!coord_holds(c)) {
		c->drained_ns = c->announced_ns;
		coord_enter(c, COORD_MARKING, "nobody is held");
	} else
		coord_enter(c, COORD_DRAINING, "announced");
}

static char *cleaned(const char *text)
{
	return text != NULL ? command_clean(text, strlen(text)) : NULL;
}

void coord_announce(struct coord *c)
{
	const struct coord_request *r = &c->request;
	if (c->cancelled) {
		coord_finish(c, COORD_CANCELLED, 1, mem_strdup("cancelled before anybody was held"), NULL);
		return;
	}
	static const char *const kinds[] = {
	    [COORD_EXEC] = "exec", [COORD_UPGRADE] = "upgrade", [COORD_DOWNGRADE] = "downgrade"};
	const struct heads *brings = coord_of_steps(c) ? &c->plan.to : r->target;
	const char *target = brings == NULL ? NULL
	    : brings->text != NULL          ? brings->text
	    : coord_of_steps(c)             ? "" /* to base */
					    : NULL;
	char attempt[16];
	snprintf(attempt, sizeof(attempt), "%u", c->attempt);
	unsigned count = 0;
	while (r->argv[count] != NULL)
		count++;
	char *who = cleaned(r->who), *os_user = cleaned(r->os_user), *host = cleaned(r->host),
	     *reason = cleaned(r->reason);
	char *command = coord_array((const char *const *)r->argv, count);
	const char *const values[] = {attempt, who, os_user, host, reason, command,
	    c->from.heads.text != NULL ? c->from.heads.text : "", recorded_state_name(c->from.state), target,
	    coord_starts_held(c) ? "true" : "false", kinds[r->kind]};
	coord_ask(c,
	    "SELECT headgate.announce($11, $10::boolean, $1, $2, $3, $4, $5, $6, "
	    "string_to_array($7::text, '+'), "
	    "$8, string_to_array($9::text, '+'))",
	    values, 11, on_announced);
	mem_free(&who);
	mem_free(&os_user);
	mem_free(&host);
	mem_free(&reason);
	mem_free(&command);
}
