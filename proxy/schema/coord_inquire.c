/* The connection that holds the lock is lost in a run of steps: another one finds out what the ledger says,
 * so that what is told is the truth. It ends the run too, as a proxy would, once the lock is free. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "coord_private.h"

/* A server that is back after a crash within this time is asked. */
#define INQUIRE_NS (15 * CLOCK_S)
#define AGAIN_NS   (300 * CLOCK_MS)

bool coord_inquires(const struct coord *c)
{
	return coord_of_steps(c) && c->run_id != 0 && c->state != COORD_UNLOCKING && c->state != COORD_ENDED;
}

static char *where(const struct coord *c)
{
	if (c->lost_at == 0)
		return mem_strdup("the connection was lost");
	return mem_printf("the connection was lost in step %u of %u", c->lost_at, c->plan.count);
}

static void unknown(struct coord *c)
{
	char *text = where(c);
	coord_finish(c, COORD_LOST, 1, mem_printf("%s: %s; what became of it is not known", text, c->lost),
	    "when the server is there again, `headgate current` and `headgate log` tell, and the next "
	    "`headgate upgrade` goes on from what is recorded or says what to resolve");
	mem_free(&text);
}

void coord_inquire_begin(struct coord *c, const char *sqlstate, const char *message)
{
	if (c->state == COORD_INQUIRING) {
		if (clock_now() < c->inquire_until_ns)
			coord_tick(c, AGAIN_NS);
		else
			unknown(c);
		return;
	}
	command_free(&c->command);
	c->lost = mem_strdup(message);
	if (c->state == COORD_STEPPING && c->runner != NULL)
		c->lost_at = runner_at(c->runner, &c->lost_open) + 1;
	/* It speaks of a connection that is no more. */
	runner_free(&c->runner);
	c->inquire_until_ns = clock_now() + INQUIRE_NS;
	char *text = where(c);
	coord_warn(c, "%s (%s, SQLSTATE %s): asking what the ledger says", text, message, sqlstate);
	mem_free(&text);
	coord_enter(c, COORD_INQUIRING, "connection lost");
}

/* Of the step that it was lost in. */
static const char *fate(const struct coord *c, unsigned done)
{
	if (c->lost_at == 0)
		return "";
	if (done >= c->lost_at)
		return ", which was committed";
	return ", which was rolled back";
}

static void on_found_out(struct coord *c, const struct pq_result *result)
{
	enum { STATE, OUTCOME, UNRESOLVED, ERROR, HEADS, DONE };
	if (!result->ok || result->rows != 1 || strcmp(coord_text(result, 0, STATE), "ended") != 0) {
		if (clock_now() >= c->inquire_until_ns)
			unknown(c);
		return; /* the server may not know yet that we are gone; again at the next tick */
	}
	unsigned done = (unsigned)coord_number(result, 0, DONE);
	c->steps_done = c->steps_before + done;
	mem_free(&c->to_text);
	c->to_text = mem_strdup(coord_text(result, 0, HEADS));
	c->run_id = 0;
	char *text = where(c);
	if (strcmp(coord_text(result, 0, OUTCOME), "succeeded") == 0)
		coord_finish(c, COORD_SUCCEEDED, 0,
		    mem_printf("run %" PRId64 " succeeded: %s -> %s; %s when it was concluded",
			c->last_run_id, c->from_text, c->to_text, text),
		    NULL);
	else if (coord_true(result, 0, UNRESOLVED))
		coord_finish(c, COORD_UNRESOLVED, 1,
		    mem_printf("run %" PRId64 " was left half way: %s: %s; %s; recorded: %s", c->last_run_id,
			text, c->lost, coord_text(result, 0, ERROR), c->to_text),
		    "the gate stays shut until `headgate resolve --as done` or `--as undone`");
	else
		coord_finish(c, COORD_LOST, 1,
		    mem_printf("%s%s: %s; %u of %u steps are done, recorded: %s", text, fate(c, done),
			c->lost, done, c->plan.count, c->to_text),
		    done < c->plan.count ? "the next `headgate upgrade` goes on from there" : NULL);
	mem_free(&text);
}

static const char reap_sql[] =
    "SELECT CASE WHEN pg_try_advisory_xact_lock(" LEDGER_LOCK ") THEN headgate.reap() END";
static const char found_out_sql[] =
    "SELECT n.state, n.outcome, n.unresolved, n.error, "
    "COALESCE(NULLIF(array_to_string(headgate.heads(), '+'), ''), 'none'), "
    "(SELECT count(*) FROM headgate.step s WHERE s.run_id = n.run_id AND s.state = 'done') "
    "FROM headgate.run n WHERE n.run_id = $1::bigint";

void coord_inquire(struct coord *c)
{
	const char *const values[] = {c->run_text};
	if (clock_now() >= c->inquire_until_ns) {
		unknown(c);
	} else if (c->pq == NULL) {
		coord_open(c);
	} else if (pq_is_open(c->pq)) {
		coord_send(c, reap_sql);
		coord_ask(c, found_out_sql, values, 1, on_found_out);
	}
}
