/* Step 4, the drain, and step 5, the fence: from the announcement until nobody but us can be at work. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "coord_private.h"

/* What is pressed is pressed again so often, while it stays. */
#define PRESS_EVERY_NS (500 * CLOCK_MS)
/* A session that was logging in when the hold began is known to its proxy a moment later; and a backend that
 * was told to end needs one. */
#define FENCE_GRACE_NS (300 * CLOCK_MS)
#define FENCE_LEAST_NS (2 * CLOCK_S)

/* Every proxy whose lease may still run, by the server's clock; the margin is for clocks of different pace.
 * $1 the run. */
static const char drain_sql[] =
    "SELECT p.name, p.acked_run IS NOT DISTINCT FROM $1::bigint, p.seen_at > COALESCE(n.held_at, "
    "n.started_at), "
    "(extract(epoch FROM p.seen_at - clock_timestamp()) * 1000)::bigint + p.lease_ms + p.lease_ms / 50 + "
    "200, b.busy "
    "FROM (SELECT count(*) AS busy FROM pg_stat_activity a WHERE a.datname = current_database() AND "
    "a.backend_type = 'client backend' "
    "AND a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL "
    "AND NOT EXISTS (SELECT FROM headgate.proxy q WHERE q.link_pid = a.pid AND a.backend_start <= "
    "q.seen_at)) b "
    "LEFT JOIN headgate.run n ON n.run_id = $1::bigint AND n.state = 'draining' "
    "LEFT JOIN headgate.proxy p ON n.run_id IS NOT NULL "
    "AND clock_timestamp() < p.seen_at + (p.lease_ms + p.lease_ms / 50 + 200) * interval '1 millisecond' "
    "ORDER BY p.name";
enum { PROXY_NAME, PROXY_ACKED, PROXY_SPOKE, PROXY_LEFT_MS, BUSY };

struct drain {
	int proxies, ready; /* whose lease may run; of them acknowledged */
	int silent; /* not ready, and not heard of since the announcement: only its lease's end is waited for
		     */
	const char *slow; /* one that is not ready */
};

/* How many proxies a text names. */
#define SLOW_NAMED 5

/* Keeps their names for the hint. */
static void note_slow(struct coord *c, const struct pq_result *result)
{
	int named = 0, more = 0;
	mem_free(&c->slow);
	for (int i = 0; i < result->rows && pq_value(result, i, PROXY_NAME) != NULL; i++) {
		if (coord_true(result, i, PROXY_ACKED))
			continue;
		if (named == SLOW_NAMED) {
			more++;
			continue;
		}
		char *longer = mem_printf("%s%s%s", named > 0 ? c->slow : "", named > 0 ? ", " : "",
		    coord_text(result, i, PROXY_NAME));
		mem_free(&c->slow);
		c->slow = longer;
		named++;
	}
	if (more > 0) {
		char *longer = mem_printf("%s and %d more", c->slow, more);
		mem_free(&c->slow);
		c->slow = longer;
	}
}

/* What to do about a drain that did not end. busy: clients were seen in a transaction. */
static void hint_at_drain(struct coord *c, bool busy)
{
	const char *press = c->request.on_timeout == TIMEOUT_ABORT ? "give --on-timeout cancel or terminate, "
	    : c->request.on_timeout == TIMEOUT_CANCEL              ? "give --on-timeout terminate, "
								   : "";
	mem_free(&c->hint);
	if (busy)
		c->hint = mem_printf("End those transactions, %sor give a longer --drain-timeout%s%s%s",
		    press, c->slow != NULL ? ". Not acknowledged by " : "", c->slow != NULL ? c->slow : "",
		    c->slow != NULL ? ": a proxy in mode observe never drains" : "");
	else
		c->hint = mem_printf("See what keeps %s: a proxy in mode observe never drains, and its log "
				     "says so; or give a longer --drain-timeout",
		    c->slow != NULL ? c->slow : "it");
}

static struct drain drain_of(const struct pq_result *result)
{
	struct drain drain = {.proxies = 0};
	for (int i = 0; i < result->rows && pq_value(result, i, PROXY_NAME) != NULL; i++) {
		drain.proxies++;
		if (coord_true(result, i, PROXY_ACKED)) {
			drain.ready++;
			continue;
		}
		drain.silent += !coord_true(result, i, PROXY_SPOKE);
		drain.slow = coord_text(result, i, PROXY_NAME);
	}
	return drain;
}

static void on_blockers(struct coord *c, const struct pq_result *result)
{
	static const char *const done[] = {
	    [TIMEOUT_ABORT] = "", [TIMEOUT_CANCEL] = "cancelled: ", [TIMEOUT_TERMINATE] = "terminated: "};
	int named = 0;
	if (!result->ok) {
		coord_trouble(c, "looking for who is in the way", result);
		return;
	}
	for (int i = 0; i < coord_look_count(result); i++) {
		struct coord_backend backend = coord_look_at(result, i);
		if (!backend.transaction || backend.exempt)
			continue;
		named++;
		if (c->request.on_timeout == TIMEOUT_ABORT)
			coord_warn(c, "in the way: %s", backend.text);
		else if (backend.ours_to_end)
			coord_warn(c, "%s%s", done[c->request.on_timeout], backend.text);
		else
			coord_warn(c, "in the way, and our role may not end it: %s", backend.text);
	}
	if (c->request.on_timeout != TIMEOUT_ABORT && clock_now() < c->drain_deadline_ns)
		return; /* pressed; the drain goes on */
	hint_at_drain(c, named > 0);
	coord_give_up(c, "gave_up",
	    named > 0
		? mem_printf("it could not drain in time: %d client%s still at work", named,
		      named == 1 ? " is" : "s are")
		: mem_strdup(
		      "it could not drain in time: a proxy does not acknowledge, and no client is at work"),
	    true);
}

static void press(struct coord *c)
{
	c->pressed_ns = clock_now();
	coord_look(c,
	    c->request.on_timeout == TIMEOUT_CANCEL          ? PRESS_CANCEL_OPEN
		: c->request.on_timeout == TIMEOUT_TERMINATE ? PRESS_TERMINATE_OPEN
							     : PRESS_NOBODY,
	    on_blockers);
}

static void past_timeout(struct coord *c, const struct drain *drain, int64_t now)
{
	/* Silent ones have no client that could be pressed: their lease ends in its time, and the fence deals
	 * with what is left of them. */
	if (drain->ready + drain->silent == drain->proxies)
		return;
	if (c->pressed_ns == 0 && c->request.on_timeout != TIMEOUT_ABORT) {
		coord_warn(c, "past the drain time-out: proxy %s is not drained yet", drain->slow);
		c->drain_deadline_ns = now + c->request.drain_timeout_ns;
		press(c);
	} else if (now >= c->drain_deadline_ns || now - c->pressed_ns >= PRESS_EVERY_NS) {
		press(c);
	}
}

static void on_drained(struct coord *c, const struct pq_result *result)
{
	int64_t now = clock_now();
	if (!result->ok) {
		coord_trouble(c, "the proxies' state", result);
		return;
	}
	struct drain drain = drain_of(result);
	note_slow(c, result);
	int busy = (int)coord_number(result, 0, BUSY);
	const struct coord_counts counts = {.proxies = drain.proxies, .ready = drain.ready, .clients = busy};
	coord_say(c, &counts, "draining: %d of %d prox%s, %d client%s busy%s", drain.ready, drain.proxies,
	    drain.proxies == 1 ? "y" : "ies", busy, busy == 1 ? "" : "s",
	    drain.silent > 0 && drain.ready + drain.silent == drain.proxies
		? "; waiting for the lease of a silent one"
		: "");
	if (drain.ready == drain.proxies) {
		c->drained_ns = now;
		c->pressed_ns = 0;
		coord_enter(c, COORD_FENCING, "every proxy has acknowledged, or its lease has run out");
	} else if (now >= coord_deadline_ns(c)) {
		hint_at_drain(c, busy > 0);
		coord_give_up(
		    c, "gave_up", mem_strdup("it could not drain before the run's deadline"), false);
	} else if (now >= c->drain_deadline_ns || c->pressed_ns != 0) {
		past_timeout(c, &drain, now);
	}
}

void coord_drain(struct coord *c)
{
	const char *const values[] = {c->run_text};
	if (c->drain_deadline_ns == 0)
		c->drain_deadline_ns = clock_now() + c->request.drain_timeout_ns;
	coord_ask(c, drain_sql, values, 1, on_drained);
}

struct fence {
	int strangers, young; /* nobody answers for them; those of them that came since the announcement */
	int open;             /* in a transaction, strangers or not */
	int exempt_open;
};

static struct fence fence_of(const struct pq_result *result)
{
	struct fence fence = {.strangers = 0};
	for (int i = 0; i < coord_look_count(result); i++) {
		struct coord_backend backend = coord_look_at(result, i);
		fence.exempt_open += backend.exempt && backend.transaction;
		if (backend.exempt)
			continue;
		fence.open += backend.transaction;
		fence.strangers += !backend.acked;
		fence.young += !backend.acked && backend.young;
	}
	return fence;
}

static void name_strangers(struct coord *c, const struct pq_result *result, bool only_ended)
{
	for (int i = 0; i < coord_look_count(result); i++) {
		struct coord_backend backend = coord_look_at(result, i);
		if (backend.exempt || (backend.acked && !backend.transaction) ||
		    (only_ended && !backend.ended))
			continue;
		coord_warn(c, "%s: %s",
		    backend.ended       ? "fenced, terminated"
			: backend.acked ? "a proxy says that it is parked, but it is in a transaction"
			: !backend.ours_to_end && c->request.section->fence.terminate_strangers
			? "no proxy answers for it, and our role may not terminate it"
			: "no proxy answers for it",
		    backend.text);
	}
}

static void on_fenced(struct coord *c, const struct pq_result *result)
{
	int64_t now = clock_now();
	int64_t patience_ns =
	    c->request.drain_timeout_ns > FENCE_LEAST_NS ? c->request.drain_timeout_ns : FENCE_LEAST_NS;
	if (!result->ok) {
		coord_trouble(c, "the fence", result);
		return;
	}
	struct fence fence = fence_of(result);
	int prepared = coord_look_prepared(result);
	if (fence.strangers == 0 && fence.open == 0 && prepared == 0) {
		if (fence.exempt_open > 0)
			coord_warn(c, "%d transaction%s of exempt roles %s open and may block the migration",
			    fence.exempt_open, fence.exempt_open == 1 ? "" : "s",
			    fence.exempt_open == 1 ? "is" : "are");
		c->hold = HOLD_FENCED;
		coord_enter(c, COORD_MARKING, "nobody else is at work");
		return;
	}
	name_strangers(c, result, true);
	const struct coord_counts counts = {.proxies = -1, .ready = -1, .clients = fence.strangers};
	coord_say(c, &counts, "fencing: %d session%s that no proxy answers for", fence.strangers,
	    fence.strangers == 1 ? "" : "s");
	if (now - c->entered_ns < patience_ns && now < coord_deadline_ns(c))
		return;
	name_strangers(c, result, false);
	mem_free(&c->hint);
	c->hint = mem_strdup(prepared > 0
		? "COMMIT PREPARED or ROLLBACK PREPARED them (pg_prepared_xacts lists them)"
		: "End those sessions; `fence.strangers: terminate` ends those that our role may end, and "
		  "`fence.exempt_roles` leaves a role's alone");
	coord_give_up(c, "gave_up",
	    prepared > 0
		? mem_printf("the fence: %d prepared transaction%s", prepared, prepared == 1 ? "" : "s")
		: mem_printf("the fence: %d session%s that no proxy answers for, %d in a transaction",
		      fence.strangers, fence.strangers == 1 ? "" : "s", fence.open),
	    now < coord_deadline_ns(c));
}

void coord_fence(struct coord *c)
{
	int64_t now = clock_now(), inside_ns = now - c->entered_ns;
	enum coord_press how = PRESS_NOBODY;
	/* The young may be somebody's log-in: they get a moment to be acknowledged. */
	if (c->request.section->fence.terminate_strangers && now - c->pressed_ns >= PRESS_EVERY_NS) {
		how = inside_ns < FENCE_GRACE_NS ? PRESS_TERMINATE_OLD_STRANGERS : PRESS_TERMINATE_STRANGERS;
		/* The grace's end is no repetition. */
		c->pressed_ns =
		    inside_ns < FENCE_GRACE_NS ? now - PRESS_EVERY_NS + FENCE_GRACE_NS - inside_ns : now;
	}
	coord_look(c, how, on_fenced);
}

static void on_marked(struct coord *c, const struct pq_result *result)
{
	if (!result->ok) {
		coord_trouble(c, "the run's start", result);
		return;
	}
	if (result->rows != 1) {
		coord_trouble(c, "the run's start",
		    &(struct pq_result){.message = "somebody has ended the run in the ledger"});
		return;
	}
	c->marked = true;
	if (coord_of_steps(c)) {
		coord_proceed(c);
		return;
	}
	if (c->cancelled) {
		coord_give_up(c, "cancelled",
		    mem_strdup("cancelled before the command started; nothing was migrated"), false);
		return;
	}
	coord_begin(c);
}

/* On the session that holds the lock: whoever has ended the run has found that lock free, and then this
 * session is gone. */
void coord_mark(struct coord *c)
{
	char drained_ms[24];
	bool drained = !coord_of_steps(c) || c->hold == HOLD_FENCED;
	snprintf(drained_ms, sizeof(drained_ms), "%" PRId64, (clock_now() - c->drained_ns) / CLOCK_MS);
	const char *const values[] = {
	    c->run_text, drained ? drained_ms : NULL, coord_of_steps(c) ? "true" : "false"};
	coord_ask(c,
	    "UPDATE headgate.run SET state = 'running', running_at = COALESCE(running_at, "
	    "clock_timestamp()), "
	    "drained_at = clock_timestamp() - $2::bigint * interval '1 millisecond', "
	    "transactional = $3::boolean WHERE run_id = $1 AND state = 'draining' RETURNING run_id",
	    values, 3, on_marked);
}
