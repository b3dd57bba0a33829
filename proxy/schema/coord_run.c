/* Steps 6 and 7: the command, and the conclusion. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "command_private.h"
#include "coord_private.h"

/* From SIGTERM to SIGKILL, for a tool to roll back. */
#define COMMAND_GRACE_NS (5 * CLOCK_S)
/* A client that has ended leaves its backend behind for a moment; one whose client was killed goes on until
 * it is terminated. */
#define SETTLE_GRACE_NS (1 * CLOCK_S)
#define SETTLE_NS       (10 * CLOCK_S)
#define PRESS_EVERY_NS  (500 * CLOCK_MS)

static void add_variable(const char *name, const char *value, void *arg)
{
	struct coord *c = arg;
	c->environment = mem_realloc(c->environment, (c->environment_count + 2) * sizeof(c->environment[0]));
	c->environment[c->environment_count++] =
	    value != NULL ? mem_printf("%s=%s", name, value) : mem_strdup(name);
	c->environment[c->environment_count] = NULL;
}

/* PGOPTIONS and PGAPPNAME of ours would come through: the first stays (it is part of how the run role
 * connects), the second is the run's. */
bool coord_environment(struct coord *c, const char *const *over, char *error, unsigned error_size)
{
	for (unsigned i = 0; i < c->environment_count; i++)
		mem_free(&c->environment[i]);
	mem_free(&c->environment);
	c->environment_count = 0;
	if (!pq_environment(
		c->request.section->control.run_dsn, c->request.dbname, add_variable, c, error, error_size))
		return false;
	char *application = mem_printf("headgate-run-%" PRId64, c->run_id);
	for (unsigned i = 0; i < c->environment_count; i++) {
		if (strncmp(c->environment[i], "PGAPPNAME", 9) == 0) {
			mem_free(&c->environment[i]);
			c->environment[i] = mem_strdup("HEADGATE_RUN");
		}
	}
	add_variable("PGAPPNAME", application, c);
	add_variable("HEADGATE_RUN", c->run_text, c);
	mem_free(&application);
	for (; over != NULL && *over != NULL; over++) {
		const char *equals = strchr(*over, '=');
		char *name = mem_strndup(*over, equals != NULL ? (size_t)(equals - *over) : strlen(*over));
		add_variable(name, equals != NULL ? equals + 1 : NULL, c);
		mem_free(&name);
	}
	return true;
}

static void on_command(struct command *command, const struct command_result *result, void *arg)
{
	struct coord *c = arg;
	(void)command;
	c->command_ended = true;
	c->status = result->status;
	c->tail = mem_strdup(result->tail);
	c->command_error = result->error != NULL ? mem_strdup(result->error) : NULL;
	if (c->state == COORD_STOPPING)
		coord_finish(c, COORD_LOST, 1,
		    mem_printf("the connection that holds the lock was lost while the command ran; the "
			       "command was stopped (%d)",
			c->status),
		    "the first proxy that notices marks the run as failed and keeps its gate shut; see what "
		    "was done, then `headgate resolve`");
	else
		coord_enter(c, COORD_SETTLING, "the command has ended");
}

void coord_begin(struct coord *c)
{
	char error[256];
	if (!coord_environment(c, NULL, error, sizeof(error))) {
		coord_give_up(c, "gave_up", mem_printf("the command's environment: %s", error), false);
		return;
	}
	const struct command_request request = {
	    .base = c->request.base,
	    .argv = c->request.argv,
	    .environment = (const char *const *)c->environment,
	    .out_fd = c->request.out_fd,
	    .err_fd = c->request.err_fd,
	    .grace_ns = COMMAND_GRACE_NS,
	    .done = on_command,
	    .arg = c,
	};
	coord_say(c, NULL, "running: %s", c->request.argv[0]);
	c->command = command_start(&request);
	coord_enter(c, COORD_RUNNING, c->request.argv[0]);
}

static void on_alive(struct coord *c, const struct pq_result *result)
{
	if (!result->ok)
		coord_warn(c, "the ledger: %s", result->message);
	else if (result->rows != 1)
		coord_lost(c, "55000", "somebody has ended the run in the ledger");
}

void coord_watch_hold(struct coord *c, int64_t now)
{
	char max[32];
	if (c->over_hold || now - c->held_ns <= c->request.section->hold.max_ns)
		return;
	c->over_hold = true;
	coord_warn(c, "past hold.max (%s): held clients are being sent away with 57P03",
	    conf_duration_text(c->request.section->hold.max_ns, max, sizeof(max)));
}

/* A short statement each second, so that a dead connection is noticed; in between there is no transaction. */
void coord_watch(struct coord *c)
{
	int64_t now = clock_now();
	const char *const values[] = {c->run_text};
	if (coord_holds(c))
		coord_watch_hold(c, now);
	if (!c->over_deadline && now > coord_deadline_ns(c)) {
		c->over_deadline = true;
		coord_warn(c, "past the run's deadline: stopping the command");
		command_stop(c->command);
	}
	coord_ask(c, "SELECT run_id FROM headgate.run WHERE run_id = $1 AND state = 'running'", values, 1,
	    on_alive);
}

static bool left_over(const struct coord *c, const struct coord_backend *backend)
{
	/* Nobody but the command could come in since the fence, or they came around it; with strangers: stop,
	 * only what says so is the command's. */
	return backend->of_command || (coord_fences(c) && !backend->acked && !backend->exempt);
}

static void on_settled(struct coord *c, const struct pq_result *result)
{
	int left = 0;
	if (!result->ok) {
		coord_warn(c, "looking for what the command left behind: %s", result->message);
		return;
	}
	bool last = clock_now() - c->entered_ns > SETTLE_NS;
	for (int i = 0; i < coord_look_count(result); i++) {
		struct coord_backend backend = coord_look_at(result, i);
		if (!left_over(c, &backend))
			continue;
		left++;
		if (backend.ended || last)
			coord_warn(c, "%s: %s",
			    backend.ended ? "left behind by the command, terminated"
					  : "left behind by the command, still there",
			    backend.text);
	}
	if (left > 0 && !last)
		return;
	if (left > 0)
		c->ending.unresolved = true;
	coord_enter(c, COORD_READING_TO, left > 0 ? "something is still at work" : "nothing is left behind");
}

/* Killing a client does not end its statement at the server: a migration that goes on there would do so among
 * the clients that are let go. */
void coord_settle(struct coord *c)
{
	int64_t now = clock_now();
	enum coord_press how = PRESS_NOBODY;
	if (now - c->entered_ns > SETTLE_GRACE_NS && now - c->pressed_ns >= PRESS_EVERY_NS) {
		how = coord_fences(c) ? PRESS_TERMINATE_STRANGERS : PRESS_TERMINATE_COMMANDS;
		c->pressed_ns = now;
	}
	coord_look(c, how, on_settled);
}

/* The tool keeps no version of its own: what --to says is recorded, if the command succeeded. */
static bool records_target(const struct coord *c)
{
	return strcmp(c->request.section->recorded.reader, "headgate") == 0 && c->request.target != NULL &&
	    !heads_is_none(c->request.target) && c->status == 0;
}

void coord_read_done(struct coord *c)
{
	if (coord_of_steps(c)) {
		coord_enter(c, COORD_CONCLUDING, c->ending.outcome);
		return;
	}
	bool unresolved = c->ending.unresolved;
	mem_free(&c->ending.error);
	c->ending = (struct coord_ending){.outcome = "succeeded", .unresolved = unresolved};
	if (records_target(c)) {
		recorded_free(&c->to);
		c->to = (struct recorded){.heads = heads_copy(c->request.target), .state = RECORDED_CLEAN};
		mem_free(&c->to_text);
		c->to_text = mem_strdup(heads_text(&c->to.heads));
	}
	if (unresolved)
		c->ending.error =
		    mem_strdup("a statement of the command could not be ended and is still at work");
	else if (c->command_error != NULL)
		c->ending.error = mem_strdup(c->command_error);
	else if (c->over_deadline)
		c->ending.error =
		    mem_printf("stopped at the run's deadline; the command ended with %d", c->status);
	else if (c->status != 0)
		c->ending.error = mem_printf("the command ended with %d", c->status);
	else if (c->request.target != NULL && !heads_is_none(c->request.target) &&
	    !heads_equal(&c->to.heads, c->request.target))
		c->ending.error =
		    mem_printf("the command ended with 0, but what is recorded is %s and not %s", c->to_text,
			heads_text(c->request.target));
	if (c->ending.error != NULL)
		c->ending.outcome = "failed";
	coord_enter(c, COORD_NUDGING, c->ending.outcome);
}

static void on_nudged(struct coord *c, const struct pq_result *result)
{
	if (!result->ok)
		log_debug(c->object, "the nudge on the version table: %s", result->message);
	coord_enter(c, COORD_CONCLUDING, c->ending.outcome);
}

/* A first migration makes the version table: now the control role can be let read it. */
void coord_nudge(struct coord *c)
{
	const struct conf_database *section = c->request.section;
	char *table = reader_table(&section->recorded), *role = pq_dsn_user(section->control.dsn);
	bool fresh = table != NULL && role != NULL && strcmp(section->recorded.reader, "headgate") != 0 &&
	    c->from.state == RECORDED_ABSENT && c->to.state != RECORDED_ABSENT;
	if (fresh) {
		char *sql = ledger_nudge_sql(&section->recorded, role);
		coord_ask(c, sql, NULL, 0, on_nudged);
		mem_free(&sql);
	}
	mem_free(&table);
	mem_free(&role);
	if (!fresh)
		coord_enter(c, COORD_CONCLUDING, c->ending.outcome);
}

static void conclude_command(struct coord *c)
{
	static const char resolve_hint[] = "see what was done, then `headgate resolve`";
	if (c->ending.unresolved)
		coord_finish(c, COORD_UNRESOLVED, c->status != 0 ? c->status : 1, mem_strdup(c->ending.error),
		    resolve_hint);
	else if (c->ending.error == NULL)
		coord_finish(c, COORD_SUCCEEDED, 0,
		    mem_printf(
			"run %" PRId64 " succeeded: %s -> %s", c->last_run_id, c->from_text, c->to_text),
		    NULL);
	else
		coord_finish(c, COORD_FAILED, c->status != 0 ? c->status : 1,
		    mem_printf("run %" PRId64 " failed: %s; recorded: %s", c->last_run_id, c->ending.error,
			c->to_text),
		    NULL);
}

static void on_concluded(struct coord *c, const struct pq_result *result)
{
	if (!result->ok && strncmp(result->sqlstate, "22", 2) == 0 && !c->ending.reduced) {
		/* The database's encoding has no place for what the command said. */
		c->ending.reduced = true;
		return;
	}
	if (!result->ok) {
		coord_warn(c, "the conclusion: %s", result->message);
		if (clock_now() < c->entered_ns + SETTLE_NS)
			return;
		coord_lost(c, result->sqlstate, result->message);
		return;
	}
	c->run_id = 0;
	c->drain_deadline_ns = c->pressed_ns = 0;
	if (c->ending.steps) {
		coord_steps_end(c);
	} else if (c->command_ended) {
		conclude_command(c);
	} else if (c->ending.again) {
		coord_warn(c, "attempt %u gave up: %s; clients go on, the next attempt follows", c->attempt,
		    c->ending.error);
		mem_free(&c->hint);
		coord_plan_drop(c);
		coord_enter(c, COORD_PAUSING, c->ending.error);
	} else {
		bool cancelled = strcmp(c->ending.outcome, "cancelled") == 0,
		     failed = strcmp(c->ending.outcome, "failed") == 0;
		coord_finish(c,
		    cancelled    ? COORD_CANCELLED
			: failed ? COORD_FAILED
				 : COORD_GAVE_UP,
		    1, mem_strdup(c->ending.error), cancelled ? NULL : c->hint);
	}
}

static char *reduced(const char *text)
{
	char *copy = mem_strdup(text);
	for (char *at = copy; *at != '\0'; at++) {
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	}
	return copy;
}

/* $9: heads for the ledger's own table, or NULL to leave it alone. The trigger on headgate.run sends the
 * NOTIFY with the commit. */
static const char conclude_sql[] =
    "UPDATE headgate.run SET state = 'ended', ended_at = clock_timestamp(), outcome = $2, error = $3, "
    "exit_status = $4::int, output_tail = $5, "
    "to_heads = COALESCE(string_to_array($6::text, '+'), CASE WHEN $7::text IS NOT NULL THEN '{}'::text[] "
    "END), to_state = $7, unresolved = $8::boolean "
    "WHERE run_id = $1::bigint AND state <> 'ended' AND ($9::text IS NULL OR headgate.adopt($1::bigint, "
    "string_to_array($9::text, '+'))) RETURNING run_id";

void coord_conclude(struct coord *c)
{
	char status[16];
	snprintf(status, sizeof(status), "%d", c->status);
	bool ran = c->command_ended || c->stepped, low = c->ending.reduced;
	char *tail = c->command_ended ? (low ? reduced(c->tail) : mem_strdup(c->tail)) : NULL;
	char *clean =
	    c->ending.error != NULL ? command_clean(c->ending.error, strlen(c->ending.error)) : NULL;
	char *error = clean != NULL ? (low ? reduced(clean) : mem_strdup(clean)) : NULL;
	const char *const values[] = {c->run_text, c->ending.outcome, error, c->command_ended ? status : NULL,
	    tail, ran ? c->to.heads.text : NULL, ran ? recorded_state_name(c->to.state) : NULL,
	    c->ending.unresolved ? "true" : "false",
	    c->command_ended && records_target(c) && !c->ending.unresolved ? c->to.heads.text : NULL};
	coord_ask(c, conclude_sql, values, 9, on_concluded);
	mem_free(&tail);
	mem_free(&clean);
	mem_free(&error);
}

static void on_unlocked(struct coord *c, const struct pq_result *result)
{
	(void)result;
	coord_enter(c, COORD_ENDED, "released");
}

void coord_unlock(struct coord *c)
{
	coord_ask(c, "SELECT pg_advisory_unlock_all()", NULL, 0, on_unlocked);
}
