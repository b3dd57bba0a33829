/* The steps, in their segments: those with hold:none that lead, those from the first to the last that needs
 * the hold, those that trail. In between the session is ours again. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "coord_private.h"

#define WATCH_NS (1 * CLOCK_S)
/* A server that does not do as it is told: how long until it is told harder. */
#define HARDER_NS (15 * CLOCK_S)

/* Does the plan hold at all? */
static bool holds(const struct coord *c)
{
	return coord_holds(c) && (!coord_of_steps(c) || c->plan.hold_end > 0);
}

bool coord_starts_held(const struct coord *c)
{
	bool backup = c->backup.argv != NULL && !c->backed_up;
	return holds(c) && (!coord_of_steps(c) || (c->plan.hold_begin == 0 && !backup));
}

/* Where the segment that begins at c->next ends. */
static unsigned segment_end(const struct coord *c)
{
	if (!holds(c) || c->hold == HOLD_OVER)
		return c->plan.count;
	return c->hold == HOLD_FENCED ? c->plan.hold_end : c->plan.hold_begin;
}

static void steps_over(struct coord *c, const char *outcome, char *error, bool unresolved)
{
	mem_free(&c->ending.error);
	c->ending = (struct coord_ending){
	    .outcome = outcome, .error = error, .unresolved = unresolved, .steps = true};
}

void coord_proceed(struct coord *c)
{
	if (c->next == c->plan.count) {
		steps_over(c, "succeeded", NULL, false);
		coord_enter(c, COORD_READING_TO, "every step is done");
	} else if (c->cancelled) {
		coord_give_up(c, "cancelled",
		    mem_printf("cancelled before step %u of %u", c->next + 1, c->plan.count), false);
	} else if (holds(c) && c->next == c->plan.hold_begin && c->hold == HOLD_NONE) {
		coord_enter(c, COORD_HOLDING, "what comes now needs the hold");
	} else if (c->hold == HOLD_ANNOUNCED) {
		coord_enter(c, COORD_DRAINING, "held from now on");
	} else if (c->hold == HOLD_FENCED && c->next == c->plan.hold_end) {
		coord_enter(c, COORD_LOOSENING, "what is left needs no hold");
	} else {
		coord_enter(c, c->marked ? COORD_STEPPING : COORD_MARKING, "steps");
	}
}

static void on_held(struct coord *c, const struct pq_result *result)
{
	if (!result->ok && strcmp(result->sqlstate, "55P03") == 0 &&
	    clock_now() - c->entered_ns < c->request.drain_timeout_ns)
		return; /* a renewal that takes long; again at the next tick */
	if (!result->ok) {
		coord_trouble(c, "the hold", result);
		return;
	}
	c->hold = HOLD_ANNOUNCED;
	c->marked = false;
	c->held_ns = clock_now();
	coord_say(c, NULL, "clients are being held from step %u of %u on", c->next + 1, c->plan.count);
	coord_proceed(c);
}

void coord_hold(struct coord *c)
{
	const char *const values[] = {c->run_text};
	coord_ask(c, "SELECT headgate.begin_hold($1)", values, 1, on_held);
}

static void on_loosened(struct coord *c, const struct pq_result *result)
{
	if (!result->ok) {
		coord_trouble(c, "the end of the hold", result);
		return;
	}
	c->hold = HOLD_OVER;
	coord_say(c, NULL, "clients go on; %u of %u steps are left", c->plan.count - c->next, c->plan.count);
	coord_proceed(c);
}

void coord_loosen(struct coord *c)
{
	const char *const values[] = {c->run_text};
	coord_ask(c, "SELECT headgate.end_hold($1)", values, 1, on_loosened);
}

/* ---- a segment ---- */

static char *step_text(const struct coord_step *step)
{
	char spent[32];
	conf_duration_text(step->elapsed_ns / CLOCK_MS * CLOCK_MS, spent, sizeof(spent));
	char *head = mem_printf("step %u of %u: %s %s%s%s", step->n, step->of, plan_kind_name(step->kind),
	    step->revision, step->message[0] != '\0' ? " " : "", step->message);
	char *text;
	switch (step->state) {
	case COORD_STEP_DONE:
		text = mem_printf("%s: done in %s", head, spent);
		break;
	case COORD_STEP_RETRYING:
		text = mem_printf("%s: try %u failed: %s", head, step->attempt, step->what);
		break;
	case COORD_STEP_RUNNING:
	case COORD_STEP_BLOCKED:
	default:
		if (step->elapsed_ns < WATCH_NS / 2)
			return head;
		text = step->percent >= 0
		    ? mem_printf("%s: %" PRId64 " s: %s, %d %%", head, step->elapsed_ns / CLOCK_S,
			  step->what != NULL ? step->what : "at work", step->percent)
		    : mem_printf("%s: %" PRId64 " s%s%s", head, step->elapsed_ns / CLOCK_S,
			  step->what != NULL ? ": " : "", step->what != NULL ? step->what : "");
		break;
	}
	mem_free(&head);
	return text;
}

static void on_step(const struct coord_step *step, void *arg)
{
	struct coord *c = arg;
	if (step->state == COORD_STEP_DONE)
		c->steps_done = c->steps_before + runner_steps_done(c->runner);
	char *text = step_text(step);
	coord_tell_step(c, step->state == COORD_STEP_RETRYING, step, text);
	mem_free(&text);
}

static void on_warning(const char *text, void *arg)
{
	coord_warn(arg, "%s", text);
}

static char *failed_text(const struct coord *c)
{
	const struct coord_failure *failure = runner_failure(c->runner);
	if (failure == NULL)
		return mem_printf("before step %u of %u", c->next + 1, c->plan.count);
	return mem_printf("step %u of %u (%s %s, %s:%u): %s", failure->n, failure->of,
	    plan_kind_name(failure->kind), failure->revision, failure->file, failure->line, failure->error);
}

static void on_segment(enum runner_outcome how, void *arg)
{
	struct coord *c = arg;
	bool open;
	char *text;
	c->next = runner_at(c->runner, &open);
	switch (how) {
	case RUNNER_DONE:
		break;
	case RUNNER_FAILED:
		steps_over(c, "failed", failed_text(c), false);
		break;
	case RUNNER_HALF:
		steps_over(c, "failed", failed_text(c), true);
		break;
	case RUNNER_STOPPED:
		text = failed_text(c);
		steps_over(c, c->over_deadline ? "failed" : "cancelled",
		    mem_printf(
			"%s %s", c->over_deadline ? "stopped at the run's deadline," : "cancelled,", text),
		    false);
		mem_free(&text);
		break;
	}
	coord_enter(c, COORD_RESTORING, "the segment is over");
}

static void begin_segment(struct coord *c)
{
	if (c->runner == NULL) {
		const struct runner_request request = {
		    .base = c->request.base,
		    .resolver = c->request.resolver,
		    .pq = c->pq,
		    .dsn = c->request.section->control.run_dsn,
		    .dbname = c->request.dbname,
		    .object = c->object,
		    .run = c->run_text,
		    .plan = &c->plan,
		    .ascii = c->ascii,
		    .checks_client = c->checks_client,
		    .lock_timeout_ns = c->request.lock_timeout_ns,
		    .statement_timeout_ns = c->request.statement_timeout_ns,
		    .lock_attempts = c->request.lock_attempts,
		    .deadline_ns = coord_deadline_ns(c),
		    .told = on_step,
		    .warned = on_warning,
		    .done = on_segment,
		    .arg = c,
		};
		c->runner = runner_new(&request);
	}
	c->stepped = true;
	runner_run(c->runner, c->next, segment_end(c), c->hold == HOLD_FENCED);
}

void coord_stop_step(struct coord *c, const char *why)
{
	c->stops++;
	c->stop_ns = clock_now();
	if (c->stops > 2) {
		coord_lost(c, "57014", "given up: the server does not end the statement");
		return;
	}
	coord_warn(c, "%s%s", why, c->stops > 1 ? ": its session is ended" : "");
	runner_stop(c->runner);
}

/* On entering it begins; then it watches the clock, and asks nothing: the connection is the files'. */
void coord_step(struct coord *c)
{
	int64_t now = clock_now();
	if (now - c->entered_ns < WATCH_NS / 2 && !c->at_segment) {
		c->at_segment = true;
		begin_segment(c);
	}
	if (c->hold == HOLD_FENCED)
		coord_watch_hold(c, now);
	coord_tick(c, WATCH_NS);
	if (now > coord_deadline_ns(c) && (!c->over_deadline || now - c->stop_ns > HARDER_NS)) {
		c->over_deadline = true;
		coord_stop_step(c, "past the run's deadline: stopping the step");
	}
}

/* ---- between and after them ---- */

static void on_restored(struct coord *c, const struct pq_result *result)
{
	if (!result->ok) {
		/* What we ask is qualified: it goes without. */
		coord_warn(c, "the session after the steps: %s", result->message);
	}
	if (c->ending.steps)
		coord_enter(c, COORD_READING_TO, c->ending.outcome);
	else
		coord_proceed(c);
}

void coord_restore(struct coord *c)
{
	c->at_segment = false;
	for (unsigned i = 0; runner_session_sql[i] != NULL; i++)
		coord_send(c, runner_session_sql[i]);
	pq_settle(c->pq, NULL, NULL);
	coord_listen(c);
	coord_ask(c, coord_session_sql, NULL, 0, on_restored);
}

void coord_steps_end(struct coord *c)
{
	const char *error = c->ending.error;
	if (error == NULL)
		coord_finish(c, COORD_SUCCEEDED, 0,
		    mem_printf("run %" PRId64 " succeeded: %s -> %s, %u step%s", c->last_run_id, c->from_text,
			c->to_text, c->steps_done, c->steps_done == 1 ? "" : "s"),
		    NULL);
	else if (c->ending.unresolved)
		coord_finish(c, COORD_UNRESOLVED, 1,
		    mem_printf("run %" PRId64 " was left half way: %s; recorded: %s", c->last_run_id, error,
			c->to_text),
		    "the gate stays shut until `headgate resolve --as done` or `--as undone`");
	else
		coord_finish(c, strcmp(c->ending.outcome, "cancelled") == 0 ? COORD_CANCELLED : COORD_FAILED,
		    1,
		    mem_printf("run %" PRId64 " %s: %s; recorded: %s", c->last_run_id, c->ending.outcome,
			error, c->to_text),
		    NULL);
}
