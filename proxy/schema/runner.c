#include "runner.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "command_private.h"
#include "runner_private.h"

#define RUNNER_MAGIC 0x72756e6eu
/* How often the second connection looks at a long statement. */
#define TICK_NS (1 * CLOCK_S)
/* Pauses before another try: growing, so that what is in the way gets its chance. */
#define PAUSE_LEAST_NS (250 * CLOCK_MS)
#define PAUSE_MOST_NS  (8 * CLOCK_S)
#define ACCIDENTS      3

static const struct state {
	const char *name;
	void (*act)(struct runner *r);
} states[] = {
#define RUNNER_STATE(name, act) [RUNNER_##name] = {#name, act},
#include "runner_states.def"
#undef RUNNER_STATE
};

/* A statement on the lock's connection that is under way. */
struct runner_question {
	struct runner_question *next;
	struct runner *runner;
	runner_answer *answer;
};

/* As a new session of psql's, less what would give up the lock (DISCARD ALL, pg_advisory_unlock_all()); the
 * settings that RESET ALL takes from us follow in runner_settings_sql(). UNLISTEN: else each step's own
 * notification would come back to us. */
const char *const runner_session_sql[] = {
    "RESET SESSION AUTHORIZATION",
    "RESET ROLE",
    "RESET ALL",
    "CLOSE ALL",
    "DEALLOCATE ALL",
    "UNLISTEN *",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
    NULL,
};

char *runner_settings_sql(const struct runner *r)
{
	return mem_printf("SELECT pg_catalog.set_config('lock_timeout', '%" PRId64 "', false), "
			  "pg_catalog.set_config('statement_timeout', '%" PRId64 "', false), "
			  "pg_catalog.set_config('tcp_keepalives_idle', '5', false), "
			  "pg_catalog.set_config('tcp_keepalives_interval', '3', false), "
			  "pg_catalog.set_config('tcp_keepalives_count', '3', false), "
			  "pg_catalog.set_config('tcp_user_timeout', '15000', false), "
			  "CASE WHEN pg_catalog.current_setting('synchronous_commit') = 'off' THEN "
			  "pg_catalog.set_config('synchronous_commit', 'on', false) END%s",
	    r->request.lock_timeout_ns / CLOCK_MS, r->request.statement_timeout_ns / CLOCK_MS,
	    r->request.checks_client
		? ", pg_catalog.set_config('client_connection_check_interval', '1000', false)"
		: "");
}

const struct plan_step *runner_step(const struct runner *r)
{
	return &r->request.plan->at[r->at];
}

bool runner_copies(const struct split_statement *statement)
{
	return statement->kind == SPLIT_COPY_IN ||
	    (statement->size > 4 && strncasecmp(statement->text, "copy", 4) == 0);
}

/* ---- questions ---- */

static void on_answer(const struct pq_result *result, void *arg)
{
	struct runner_question *question = arg;
	struct runner *r = question->runner;
	runner_answer *answer = question->answer;

	/* Answers come in order, and there may be as many as a file has statements. */
	if (question != r->questions)
		log_panic("runner: an answer out of order");
	r->questions = question->next;
	if (r->questions == NULL)
		r->last_question = &r->questions;
	mem_free(&question);
	/* Made up because the link broke: our owner hears of that, and takes us away. */
	if (answer == NULL || (!result->ok && !pq_is_open(r->request.pq)))
		return;
	answer(r, result);
}

static struct runner_question *question_new(struct runner *r, runner_answer *answer)
{
	struct runner_question *question = mem_alloc(sizeof(*question));
	*question = (struct runner_question){.runner = r, .answer = answer};
	*r->last_question = question;
	r->last_question = &question->next;
	return question;
}

void runner_ask(
    struct runner *r, const char *sql, const char *const *values, int count, runner_answer *answer)
{
	pq_query(r->request.pq, sql, values, count, on_answer, question_new(r, answer));
}

void runner_ask_queued(
    struct runner *r, const char *sql, const char *const *values, int count, runner_answer *answer)
{
	pq_queue(r->request.pq, sql, values, count, on_answer, question_new(r, answer));
}

void runner_ask_copy(struct runner *r, const char *sql, const char *data, size_t size, runner_answer *answer)
{
	pq_copy(r->request.pq, sql, data, size, on_answer, question_new(r, answer));
}

/* ---- telling ---- */

void runner_tell(struct runner *r, int state, const char *what)
{
	const struct plan_step *step = runner_step(r);
	const struct coord_step told = {
	    .n = r->at + 1,
	    .of = r->request.plan->count,
	    .kind = step->kind,
	    .revision = step->revision,
	    .message = step->migration->message,
	    .file = step->migration->file,
	    .state = state,
	    .holding = r->holding,
	    .attempt = r->attempt,
	    .elapsed_ns = clock_now() - r->began_ns,
	    .percent = r->percent,
	    .what = what,
	};
	r->request.told(&told, r->request.arg);
}

void runner_warn(struct runner *r, const char *format, ...)
{
	va_list args;
	char *text = NULL;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		log_fatal("out of memory");
	va_end(args);
	r->request.warned(text, r->request.arg);
	free(text);
}

/* ---- the machine ---- */

static void arm(struct runner *r, int64_t span_ns)
{
	const struct timeval tv = clock_timeval(span_ns);
	event_add(r->timer, &tv);
}

void runner_enter(struct runner *r, enum runner_state state, const char *why)
{
	if (r->aside_cancelling && state != RUNNER_WAITING) {
		r->after_waiting = state;
		state = RUNNER_WAITING;
		why = "a cancel may still come";
	}
	log_debug(r->request.object, "runner: %s -> %s: %s", states[r->state].name, states[state].name, why);
	r->state = state;
	event_del(r->timer);
	if (state == RUNNER_BATCH || state == RUNNER_STATEMENT)
		arm(r, TICK_NS);
	states[state].act(r);
}

void runner_rest(struct runner *r)
{
	(void)r;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct runner *r = arg;
	(void)fd, (void)what;
	if (r->magic != RUNNER_MAGIC)
		log_panic("not a runner");
	if (r->state == RUNNER_PAUSING) {
		r->attempt++;
		mem_free(&r->what);
		r->percent = -1;
		r->blocked = false;
		runner_failure_clear(r);
		runner_enter(r, runner_step(r)->outside ? RUNNER_STATEMENT : RUNNER_NEXT, "once more");
		return;
	}
	arm(r, TICK_NS);
	runner_aside_tick(r);
}

void runner_end(struct runner *r, enum runner_outcome how)
{
	r->outcome = how;
	r->over = true;
	runner_enter(r, RUNNER_IDLE, "the segment is over");
	event_active(r->kick, EV_TIMEOUT, 1);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct runner *r = arg;
	(void)fd, (void)what;
	if (r->state != RUNNER_IDLE)
		return;
	if (r->over) {
		r->over = false;
		r->request.done(r->outcome, r->request.arg);
	} else {
		runner_enter(r, RUNNER_NEXT, "a segment");
	}
}

void runner_resume(struct runner *r)
{
	runner_enter(r, r->after_waiting, "no cancel may come any more");
	if (r->state == RUNNER_IDLE)
		event_active(r->kick, EV_TIMEOUT, 1);
}

/* A text that goes to the ledger: any file name, in what the server's encoding can hold. */
static char *ledger_text(const struct runner *r, const char *text)
{
	char *clean = command_clean(text, strlen(text));
	for (unsigned char *c = (unsigned char *)clean; r->request.ascii && *c != '\0'; c++) {
		if (*c >= 0x80)
			*c = '?';
	}
	return clean;
}

static bool mentions(const struct catalog_section *section, const char *word)
{
	for (unsigned i = 0; i < section->piece_count; i++) {
		const struct catalog_piece *piece = &section->pieces[i];
		for (size_t k = 0; k + strlen(word) <= piece->size; k++) {
			if (strncasecmp(piece->text + k, word, strlen(word)) == 0)
				return true;
		}
	}
	return false;
}

static void step_drop(struct runner *r)
{
	runner_batch_drop(r);
	split_free(&r->split);
	mem_free(&r->message);
	mem_free(&r->file);
	mem_free(&r->step_id);
	mem_free(&r->invalid);
	mem_free(&r->left_invalid);
	mem_free(&r->what);
}

static void step_take(struct runner *r)
{
	const struct plan_step *step = runner_step(r);
	step_drop(r);
	runner_failure_clear(r);
	r->split = catalog_statements(step->section);
	r->message = ledger_text(r, step->migration->message);
	r->file = ledger_text(r, step->migration->file);
	r->own_lock_timeout = step->outside && mentions(step->section, "lock_timeout");
	r->attempt = 1;
	r->statement = 0;
	r->effects = r->unlimited = r->blocked = false;
	r->accidents = 0;
	r->percent = -1;
	r->began_ns = clock_now();
	runner_tell(r, COORD_STEP_RUNNING, NULL);
}

/* The step that comes next, or once more, in a session that is as a new one. */
void runner_next(struct runner *r)
{
	if (r->attempt == 0 && (r->at == r->end || r->stopping > 0)) {
		runner_end(r, r->at == r->end ? RUNNER_DONE : RUNNER_STOPPED);
		return;
	}
	if (!r->fresh) {
		runner_enter(r, RUNNER_FRESHENING, "the session is a file's");
		return;
	}
	if (r->attempt == 0)
		step_take(r);
	r->fresh = false;
	runner_enter(r, runner_step(r)->outside ? RUNNER_STARTING : RUNNER_BATCH, runner_step(r)->revision);
}

void runner_step_over(struct runner *r)
{
	r->done++;
	runner_tell(r, COORD_STEP_DONE, NULL);
	r->at++;
	r->attempt = 0;
	runner_enter(r, RUNNER_NEXT, "done");
}

/* A cancel that came late has hit what was not meant. */
bool runner_accident(struct runner *r, const struct pq_result *result)
{
	return strcmp(result->sqlstate, "57014") == 0 && ++r->accidents <= ACCIDENTS;
}

static void on_fresh(struct runner *r, const struct pq_result *result)
{
	if (!result->ok && runner_accident(r, result)) {
		runner_enter(r, r->state, "cancelled by accident");
		return;
	}
	if (!result->ok && !r->failed) {
		runner_failure_take(r, NULL, result, "a new session for it: ");
		r->certain = true;
	}
	r->fresh = result->ok;
	if (r->state == RUNNER_FRESHENING && r->fresh)
		runner_enter(r, RUNNER_NEXT, "fresh");
	else if (r->state == RUNNER_FRESHENING)
		runner_end(r, r->stopping > 0 ? RUNNER_STOPPED : RUNNER_FAILED);
	else
		runner_enter(r, r->failed ? RUNNER_FAILING : RUNNER_FINISHING, "clean");
}

void runner_freshen(struct runner *r)
{
	char *settings = runner_settings_sql(r);
	for (unsigned i = 0; runner_session_sql[i] != NULL; i++)
		runner_ask_queued(r, runner_session_sql[i], NULL, 0, NULL);
	runner_ask(r, settings, NULL, 0, on_fresh);
	mem_free(&settings);
}

static void on_rolled_back(struct runner *r, const struct pq_result *result)
{
	if (!result->ok)
		runner_warn(r, "ROLLBACK: %s", result->message);
	runner_enter(r, runner_step(r)->outside ? RUNNER_LOOKING : RUNNER_DECIDING, "rolled back");
}

void runner_roll_back(struct runner *r)
{
	if (pq_in_transaction(r->request.pq))
		runner_ask(r, "ROLLBACK", NULL, 0, on_rolled_back);
	else
		runner_enter(
		    r, runner_step(r)->outside ? RUNNER_LOOKING : RUNNER_DECIDING, "nothing is open");
}

static int64_t pause_ns(const struct runner *r)
{
	int64_t pause = PAUSE_LEAST_NS;
	for (unsigned i = 1; i < r->attempt && pause < PAUSE_MOST_NS; i++)
		pause *= 2;
	return pause < PAUSE_MOST_NS ? pause : PAUSE_MOST_NS;
}

/* What a lock kept from its work may be tried again, where nothing of it is there. */
void runner_decide(struct runner *r)
{
	const struct plan_step *step = runner_step(r);
	bool again = r->lock_trouble && r->certain && r->stopping == 0 &&
	    r->attempt < r->request.lock_attempts && clock_now() + pause_ns(r) < r->request.deadline_ns;
	if (!again) {
		runner_enter(r, RUNNER_CLEANING, "it failed");
		return;
	}
	if (!step->outside)
		runner_batch_drop(r);
	runner_enter(r, RUNNER_PAUSING, r->failure.sqlstate);
}

void runner_pause(struct runner *r)
{
	char *what = mem_printf("%s%s%s; once more in %.1f s", r->failure.error,
	    r->blocked && r->what != NULL ? ", " : "", r->blocked && r->what != NULL ? r->what : "",
	    (double)pause_ns(r) / (double)CLOCK_S);
	runner_tell(r, COORD_STEP_RETRYING, what);
	mem_free(&what);
	arm(r, pause_ns(r));
}

void runner_step_values(const struct runner *r, struct runner_values *values)
{
	const struct plan_step *step = runner_step(r);
	unsigned line = step->section->file != NULL ? step->section->line : step->migration->line;
	snprintf(values->ordinal, sizeof(values->ordinal), "%u", r->at + 1);
	snprintf(values->line, sizeof(values->line), "%u", line);
	snprintf(values->attempts, sizeof(values->attempts), "%u", r->attempt);
	const char *const at[RUNNER_STEP_VALUES] = {r->request.run, values->ordinal,
	    plan_kind_name(step->kind), step->revision, r->file, values->line, r->message, step->checksum,
	    r->holding ? "true" : "false", values->attempts,
	    step->before.text != NULL ? step->before.text : "",
	    step->after.text != NULL ? step->after.text : ""};
	memcpy(values->at, at, sizeof(at));
}

/* ---- the door ---- */

struct runner *runner_new(const struct runner_request *request)
{
	struct runner *r = mem_zalloc(sizeof(*r));
	r->magic = RUNNER_MAGIC;
	r->request = *request;
	r->last_question = &r->questions;
	r->timer = event_new(request->base, -1, 0, on_timer, r);
	r->kick = event_new(request->base, -1, 0, on_kick, r);
	if (r->timer == NULL || r->kick == NULL)
		log_fatal("out of memory");
	return r;
}

void runner_run(struct runner *r, unsigned begin, unsigned end, bool holding)
{
	r->at = begin;
	r->end = end;
	r->holding = holding;
	r->attempt = 0;
	r->fresh = false;
	event_active(r->kick, EV_TIMEOUT, 1);
}

void runner_stop(struct runner *r)
{
	r->stopping++;
	switch (r->state) {
	case RUNNER_BATCH:
	case RUNNER_STATEMENT:
		runner_aside_stop(r);
		break;
	case RUNNER_PAUSING:
		runner_enter(r, RUNNER_CLEANING, "stopped");
		break;
	case RUNNER_IDLE:
	case RUNNER_NEXT:
	case RUNNER_FRESHENING:
	case RUNNER_STARTING:
	case RUNNER_ROLLING_BACK:
	case RUNNER_LOOKING:
	case RUNNER_DECIDING:
	case RUNNER_CLEANING:
	case RUNNER_FINISHING:
	case RUNNER_FAILING:
	case RUNNER_WAITING:
		break; /* seen before the next step begins */
	}
}

unsigned runner_steps_done(const struct runner *r)
{
	return r->done;
}

unsigned runner_at(const struct runner *r, bool *open_ended)
{
	*open_ended = r->state == RUNNER_STATEMENT || r->state == RUNNER_FINISHING ||
	    (r->state == RUNNER_BATCH && r->committing);
	return r->at;
}

const struct coord_failure *runner_failure(const struct runner *r)
{
	return r->failed ? &r->failure : NULL;
}

void runner_free(struct runner **place)
{
	struct runner *r = *place;
	*place = NULL;
	if (r == NULL)
		return;
	if (r->magic != RUNNER_MAGIC)
		log_panic("not a runner");
	r->magic = 0;
	runner_aside_close(r);
	event_free(r->timer);
	event_free(r->kick);
	while (r->questions != NULL) {
		struct runner_question *question = r->questions;
		r->questions = question->next;
		mem_free(&question);
	}
	step_drop(r);
	runner_failure_clear(r);
	mem_free(&r);
}
