#include "schema/coord.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "command_private.h"
#include "coord_private.h"

#define COORD_MAGIC 0x636f6f72u
/* Opening the connection; a statement's answer. The server itself gives up each of our statements sooner. */
#define OPEN_NS   (10 * CLOCK_S)
#define ANSWER_NS (30 * CLOCK_S)

static const struct state {
	const char *name, *text;
	int64_t tick_ns;
	void (*act)(struct coord *c);
} states[] = {
#define COORD_STATE(name, text, tick_ms, act) [COORD_##name] = {#name, text, (tick_ms)*CLOCK_MS, act},
#include "coord_states.def"
#undef COORD_STATE
};

const char *coord_outcome_name(enum coord_outcome outcome)
{
	switch (outcome) {
	case COORD_SUCCEEDED:
		return "succeeded";
	case COORD_FAILED:
		return "failed";
	case COORD_UNRESOLVED:
		return "unresolved";
	case COORD_REFUSED:
		return "refused";
	case COORD_GAVE_UP:
		return "gave up";
	case COORD_CANCELLED:
		return "cancelled";
	case COORD_LOST:
		return "lost";
	case COORD_UNREACHABLE:
		return "unreachable";
	}
	return "?";
}

bool coord_true(const struct pq_result *result, int row, int column)
{
	const char *value = pq_value(result, row, column);
	return value != NULL && strcmp(value, "t") == 0;
}

long long coord_number(const struct pq_result *result, int row, int column)
{
	const char *value = pq_value(result, row, column);
	return value != NULL ? strtoll(value, NULL, 10) : 0;
}

const char *coord_text(const struct pq_result *result, int row, int column)
{
	const char *value = pq_value(result, row, column);
	return value != NULL ? value : "";
}

char *coord_array(const char *const *items, unsigned count)
{
	size_t size = 3;
	for (unsigned i = 0; i < count; i++)
		size += 8 * strlen(items[i]) + 3; /* each byte as \\xNN at worst */
	char *array = mem_alloc(size), *to = array;
	*to++ = '{';
	for (unsigned i = 0; i < count; i++) {
		char *clean = command_clean(items[i], strlen(items[i]));
		if (i > 0)
			*to++ = ',';
		*to++ = '"';
		for (const char *from = clean; *from != '\0'; from++) {
			if (*from == '"' || *from == '\\')
				*to++ = '\\';
			*to++ = *from;
		}
		*to++ = '"';
		mem_free(&clean);
	}
	*to++ = '}';
	*to = '\0';
	return array;
}

static void tell(struct coord *c, bool warning, const struct coord_counts *counts,
    const struct coord_step *step, char *text)
{
	char *clean = command_clean(text, strlen(text));
	for (char *at = clean; (at = strchr(at, '\n')) != NULL;)
		*at = ' ';
	struct coord_progress progress = {
	    .state = states[c->state].text,
	    .text = clean,
	    .warning = warning,
	    .run_id = c->run_id,
	    .attempt = c->attempt,
	    .proxies = counts != NULL ? counts->proxies : -1,
	    .ready = counts != NULL ? counts->ready : -1,
	    .clients = counts != NULL ? counts->clients : -1,
	    .step = step,
	};
	if (c->request.progress != NULL)
		c->request.progress(&progress, c->request.arg);
	mem_free(&clean);
	mem_free(&text);
}

static char *formatted(const char *format, va_list args)
{
	char *text = NULL;
	if (vasprintf(&text, format, args) < 0)
		log_fatal("out of memory");
	return text;
}

void coord_say(struct coord *c, const struct coord_counts *counts, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = formatted(format, args);
	va_end(args);
	if (c->said != NULL && strcmp(c->said, text) == 0) {
		mem_free(&text);
		return;
	}
	mem_free(&c->said);
	c->said = mem_strdup(text);
	tell(c, false, counts, NULL, text);
}

void coord_warn(struct coord *c, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = formatted(format, args);
	va_end(args);
	tell(c, true, NULL, NULL, text);
}

void coord_tell_step(struct coord *c, bool warning, const struct coord_step *step, const char *text)
{
	mem_free(&c->said);
	tell(c, warning, NULL, step, mem_strdup(text));
}

int64_t coord_deadline_ns(const struct coord *c)
{
	return c->announced_ns + c->request.deadline_ns;
}

static void arm(struct coord *c, int64_t span_ns)
{
	const struct timeval tv = clock_timeval(span_ns);
	event_add(c->timer, &tv);
}

void coord_tick(struct coord *c, int64_t span_ns)
{
	arm(c, span_ns);
}

void coord_enter(struct coord *c, enum coord_state state, const char *why)
{
	log_debug(c->object, "%s -> %s: %s", states[c->state].name, states[state].name, why);
	c->state = state;
	c->turn++;
	c->asking = false;
	c->entered_ns = clock_now();
	event_del(c->timer);
	if (state == COORD_ENDED) {
		pq_close(&c->pq);
		arm(c, 0); /* told from the loop, with nobody of ours on the stack */
	} else if (state == COORD_PAUSING) {
		arm(c, c->request.section->drain.pause_ns);
	}
	states[state].act(c);
}

void coord_idle(struct coord *c)
{
	(void)c;
}

static void on_answer(const struct pq_result *result, void *arg)
{
	struct coord_question *question = arg;
	struct coord *c = question->coord;
	coord_answer *answer = question->turn == c->turn ? question->answer : NULL;

	struct coord_question **at = &c->questions;
	while (*at != question)
		at = &(*at)->next;
	*at = question->next;
	mem_free(&question);
	/* An answer made up because the link broke: what follows is told by on_closed(). */
	if (answer == NULL || (!result->ok && !pq_is_open(c->pq)))
		return;
	c->asking = false;
	event_del(c->timer);
	if (states[c->state].tick_ns > 0)
		arm(c, states[c->state].tick_ns);
	answer(c, result);
}

void coord_ask(struct coord *c, const char *sql, const char *const *values, int count, coord_answer *answer)
{
	struct coord_question *question = mem_alloc(sizeof(*question));
	*question =
	    (struct coord_question){.next = c->questions, .coord = c, .turn = c->turn, .answer = answer};
	c->questions = question;
	c->asking = true;
	arm(c, ANSWER_NS);
	pq_query(c->pq, sql, values, count, on_answer, question);
}

void coord_send(struct coord *c, const char *sql)
{
	pq_query(c->pq, sql, NULL, 0, NULL, NULL);
}

static void on_opened(struct pq *pq, void *arg)
{
	struct coord *c = arg;
	(void)pq;
	if (c->state == COORD_INQUIRING)
		coord_inquire(c);
	else
		coord_enter(c, COORD_SETTING, "connected");
}

/* What the steps have to say: RAISE NOTICE, a column that is left out, ... */
static void on_noticed(struct pq *pq, const char *severity, const char *message, void *arg)
{
	struct coord *c = arg;
	(void)pq;
	if (c->state != COORD_STEPPING || strcmp(severity, "FATAL") == 0)
		return;
	char *text = mem_printf("%s: %s", severity, message);
	coord_tell_step(c, strcmp(severity, "WARNING") == 0, NULL, text);
	mem_free(&text);
}

static void on_closed(struct pq *pq, const char *sqlstate, const char *message, void *arg)
{
	struct coord *c = arg;
	(void)pq;
	if (c->magic != COORD_MAGIC)
		log_panic("not a coordinator");
	coord_lost(c, sqlstate, message);
}

/* A nudge to look now. */
static void on_notified(struct pq *pq, const char *channel, const char *payload, int32_t pid, void *arg)
{
	struct coord *c = arg;
	(void)pq, (void)channel, (void)payload, (void)pid;
	if (!c->asking && (c->state == COORD_DRAINING || c->state == COORD_ATTACHED))
		states[c->state].act(c);
}

static void end(struct coord *c)
{
	c->result.run_id = c->attached_run != 0 ? c->attached_run : c->last_run_id;
	c->result.steps = c->steps_before + c->plan.count;
	c->result.steps_done = c->steps_done;
	c->result.failure = c->runner != NULL ? runner_failure(c->runner) : NULL;
	c->result.backup = c->backed_up ? c->backup.place : NULL;
	c->result.attached = c->attached_run != 0;
	c->result.from = c->from_text;
	c->result.to = c->to_text;
	char *clean = command_clean(c->text != NULL ? c->text : "", c->text != NULL ? strlen(c->text) : 0);
	mem_free(&c->text);
	c->text = clean;
	c->result.text = c->text;
	c->request.done(&c->result, c->request.arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct coord *c = arg;
	(void)fd, (void)what;
	if (c->magic != COORD_MAGIC)
		log_panic("not a coordinator");
	if (c->state == COORD_ENDED)
		end(c);
	else if (c->state == COORD_PAUSING)
		coord_enter(c, COORD_CHECKING, "another attempt");
	else if (c->asking)
		coord_lost(c, "08006", "no answer for 30 s");
	else
		states[c->state].act(c);
}

/* Our side must notice a dead server as the server must notice us (coord_set()): on both a silence of about
 * 15 s ends the connection. What the dsn says itself stays. */
static char *dsn_with_keepalives(const char *dsn)
{
	if (strstr(dsn, "keepalives") != NULL || strstr(dsn, "tcp_user_timeout") != NULL)
		return mem_strdup(dsn);
	if (strncmp(dsn, "postgres://", 11) == 0 || strncmp(dsn, "postgresql://", 13) == 0)
		return mem_printf(
		    "%s%ckeepalives_idle=5&keepalives_interval=3&keepalives_count=3&tcp_user_timeout=15000",
		    dsn, strchr(dsn, '?') != NULL ? '&' : '?');
	return mem_printf(
	    "keepalives_idle=5 keepalives_interval=3 keepalives_count=3 tcp_user_timeout=15000 %s", dsn);
}

void coord_open(struct coord *c)
{
	static const char *const names[] = {[COORD_EXEC] = "headgate exec",
	    [COORD_UPGRADE] = "headgate upgrade",
	    [COORD_DOWNGRADE] = "headgate downgrade"};
	char *dsn = dsn_with_keepalives(c->request.section->control.run_dsn);
	const struct pq_request open = {
	    .base = c->request.base,
	    .resolver = c->request.resolver,
	    .dsn = dsn,
	    .dbname = c->request.dbname,
	    .application_name = names[c->request.kind],
	    .connect_ns = OPEN_NS,
	    .handlers = {.opened = on_opened,
		.closed = on_closed,
		.notified = on_notified,
		.noticed = on_noticed},
	    .arg = c,
	};
	c->pq = pq_open(&open);
	mem_free(&dsn);
}

struct coord *coord_start(const struct coord_request *request)
{
	struct coord *c = mem_zalloc(sizeof(*c));
	c->magic = COORD_MAGIC;
	c->request = *request;
	c->object = mem_printf("%s run", request->name);
	c->timer = event_new(request->base, -1, 0, on_timer, c);
	if (c->timer == NULL)
		log_fatal("out of memory");
	c->state = COORD_OPENING;
	coord_open(c);
	return c;
}

void coord_free(struct coord **place)
{
	struct coord *c = *place;
	*place = NULL;
	if (c == NULL)
		return;
	if (c->magic != COORD_MAGIC)
		log_panic("not a coordinator");
	c->magic = 0;
	/* The command first: while it lives the lock is held. */
	command_free(&c->command);
	pq_close(&c->pq);
	runner_free(&c->runner);
	plan_free(&c->plan);
	ledger_plan_free(&c->ledger_plan);
	mem_free(&c->role);
	mem_free(&c->lost);
	event_free(c->timer);
	while (c->questions != NULL) {
		struct coord_question *question = c->questions;
		c->questions = question->next;
		mem_free(&question);
	}
	for (unsigned i = 0; i < c->environment_count; i++)
		mem_free(&c->environment[i]);
	mem_free(&c->environment);
	recorded_free(&c->from);
	recorded_free(&c->to);
	mem_free(&c->object);
	mem_free(&c->run_text);
	mem_free(&c->slow);
	mem_free(&c->hint);
	mem_free(&c->blocker);
	mem_free(&c->said);
	mem_free(&c->command_error);
	mem_free(&c->tail);
	mem_free(&c->ending.error);
	mem_free(&c->text);
	mem_free(&c->from_text);
	mem_free(&c->to_text);
	mem_free(&c);
}
