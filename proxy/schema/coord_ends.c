/* What ends a run before its time, and how the end is told: a connection that is lost, Ctrl-C, an attempt
 * that gives up. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "coord_private.h"

void coord_finish(struct coord *c, enum coord_outcome outcome, int exit_status, char *text, const char *hint)
{
	mem_free(&c->text);
	c->text = text;
	c->result.outcome = outcome;
	c->result.exit_status = exit_status;
	c->result.hint = hint;
	if (pq_is_open(c->pq))
		coord_enter(c, COORD_UNLOCKING, coord_outcome_name(outcome));
	else
		coord_enter(c, COORD_ENDED, coord_outcome_name(outcome));
}

void coord_give_up(struct coord *c, const char *outcome, char *text, bool again)
{
	if (c->run_id == 0) {
		bool cancelled = strcmp(outcome, "cancelled") == 0;
		coord_finish(c, cancelled ? COORD_CANCELLED : COORD_REFUSED, 1, text, NULL);
		return;
	}
	mem_free(&c->ending.error);
	c->ending = (struct coord_ending){
	    .outcome = outcome, .error = text, .again = again && c->attempt < c->request.attempts};
	/* Steps with hold:none may have gone before. */
	coord_enter(c, c->stepped ? COORD_READING_TO : COORD_CONCLUDING, text);
}

void coord_trouble(struct coord *c, const char *what, const struct pq_result *result)
{
	coord_give_up(c, "gave_up",
	    mem_printf("%s: %s%s%s", what, result->message, result->detail != NULL ? ": " : "",
		result->detail != NULL ? result->detail : ""),
	    false);
}

void coord_lost(struct coord *c, const char *sqlstate, const char *message)
{
	static const char run_hint[] = "`headgate status` tells whether the gate is shut; `headgate resolve` "
				       "opens it when you know what was done";
	log_debug(c->object, "connection lost (%s): %s", sqlstate, message);
	pq_close(&c->pq);
	if (coord_inquires(c)) {
		coord_inquire_begin(c, sqlstate, message);
		return;
	}
	switch (c->state) {
	case COORD_OPENING:
	case COORD_SETTING:
	case COORD_LOCKING:
	case COORD_FOUNDING:
	case COORD_CHECKING:
	case COORD_READING_FROM:
	case COORD_PLANNING:
	case COORD_VETTING:
	case COORD_PAUSING:
		coord_finish(
		    c, COORD_UNREACHABLE, 4, mem_printf("no connection to the server: %s", message), NULL);
		break;
	case COORD_ATTACHED:
		coord_finish(c, COORD_UNREACHABLE, 4,
		    mem_printf("the connection was lost while run %" PRId64
			       " of another coordinator went on: %s",
			c->attached_run, message),
		    "`headgate status` tells how it ends");
		break;
	case COORD_ANNOUNCING:
	case COORD_PUBLISHING:
	case COORD_BACKING_UP:
	case COORD_NOTING:
	case COORD_HOLDING:
	case COORD_DRAINING:
	case COORD_FENCING:
		coord_finish(c, COORD_LOST, 1,
		    mem_printf("the connection was lost, nothing was migrated: %s", message),
		    "the first proxy that notices ends the run and opens its gate again");
		break;
	case COORD_RUNNING:
		coord_enter(c, COORD_STOPPING, "connection lost");
		coord_warn(
		    c, "the connection that holds the lock is lost (%s): stopping the command", message);
		command_stop(c->command);
		break;
	case COORD_MARKING:
		coord_finish(c, COORD_LOST, 1,
		    mem_printf("the connection was lost just before the command was to start: %s", message),
		    run_hint);
		break;
	case COORD_STEPPING:
	case COORD_RESTORING:
	case COORD_LOOSENING:
	case COORD_INQUIRING:
	case COORD_SETTLING:
	case COORD_READING_TO:
	case COORD_NUDGING:
	case COORD_CONCLUDING:
		coord_finish(c, COORD_LOST, 1,
		    mem_printf("the connection was lost before the run was concluded (the command had ended "
			       "with %d): %s",
			c->status, message),
		    run_hint);
		break;
	case COORD_UNLOCKING:
		coord_enter(c, COORD_ENDED, "the lock went with the connection");
		break;
	case COORD_STOPPING:
	case COORD_ENDED:
		break;
	}
}

void coord_cancel(struct coord *c)
{
	switch (c->state) {
	case COORD_OPENING:
	case COORD_SETTING:
	case COORD_LOCKING:
	case COORD_FOUNDING:
	case COORD_CHECKING:
	case COORD_READING_FROM:
	case COORD_PLANNING:
	case COORD_VETTING:
	case COORD_PAUSING:
		coord_finish(c, COORD_CANCELLED, 1, mem_strdup("cancelled before anybody was held"), NULL);
		break;
	case COORD_ATTACHED:
		coord_finish(c, COORD_CANCELLED, 1,
		    mem_printf("left; run %" PRId64 " of the other coordinator goes on", c->attached_run),
		    NULL);
		break;
	case COORD_ANNOUNCING:
	case COORD_PUBLISHING:
	case COORD_NOTING:
	case COORD_HOLDING:
	case COORD_MARKING:
	case COORD_RESTORING:
	case COORD_LOOSENING:
		c->cancelled = true;
		break;
	case COORD_STEPPING:
		c->cancelled = true;
		coord_stop_step(c, "stopping the step");
		break;
	case COORD_INQUIRING:
		c->inquire_until_ns = 0;
		break;
	case COORD_DRAINING:
	case COORD_FENCING:
		coord_give_up(
		    c, "cancelled", mem_strdup("cancelled while draining; nothing was migrated"), false);
		break;
	case COORD_BACKING_UP:
		c->cancelled = true;
		/* fall through */
	case COORD_RUNNING:
	case COORD_STOPPING:
		if (c->command != NULL) {
			coord_warn(c, "stopping the command");
			command_stop(c->command);
		}
		break;
	case COORD_SETTLING:
	case COORD_READING_TO:
	case COORD_NUDGING:
	case COORD_CONCLUDING:
	case COORD_UNLOCKING:
	case COORD_ENDED:
		break;
	}
}
