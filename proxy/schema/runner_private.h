/* Inside of schema/runner: the struct shared by its machine (runner.c), steps in a transaction
 * (runner_batch.c), steps outside of one (runner_outside.c), what goes wrong (runner_failure.c) and the
 * second connection (runner_aside.c). */
#ifndef SCHEMA_RUNNER_PRIVATE_H
#define SCHEMA_RUNNER_PRIVATE_H

#include <event2/event.h>

#include "net/pq.h"
#include "runner.h"

enum runner_state {
#define RUNNER_STATE(name, act) RUNNER_##name,
#include "runner_states.def"
#undef RUNNER_STATE
};

/* One statement of a batch. */
struct runner_item {
	char *sql;
	const struct split_statement *statement; /* the file's; or NULL */
	bool copy;
	bool syncs; /* nothing of the batch is sent behind it before its answer */
	enum { ITEM_FRAME, ITEM_FILE, ITEM_LEDGER, ITEM_COMMIT, ITEM_FRESH } kind;
};

struct runner {
	unsigned magic;
	enum runner_state state, after_waiting;
	struct runner_request request;
	struct event *timer; /* the ticking while a statement is under way; a pause */
	struct event *kick;  /* what must not happen inside a caller's call */
	struct runner_question *questions, **last_question;

	unsigned at, end; /* the step under way, the segment's end */
	unsigned done;    /* steps done in all segments */
	bool holding;
	bool fresh; /* the session is as a new one */
	unsigned stopping;
	enum runner_outcome outcome;
	bool over; /* `done` is to be called */

	/* the step */
	struct split split;
	int64_t began_ns;
	unsigned attempt;
	unsigned accidents;
	char *message, *file;  /* as the server takes them */
	bool own_lock_timeout; /* its text speaks of lock_timeout */

	/* in a transaction */
	struct runner_item *items;
	unsigned item_count, sent, heard;
	bool broken;
	bool committing; /* the COMMIT is on its way */

	/* outside of one */
	char *step_id;
	unsigned statement;
	char *invalid;      /* the indexes that were invalid before, as '{1,2}' */
	char *left_invalid; /* DROP statements for those that are now, or NULL */
	bool effects;       /* something of it is in force */
	bool certain;       /* the statement that failed has left nothing */
	bool unlimited;     /* lock_timeout is off for a CONCURRENTLY */

	/* what failed */
	bool failed;
	bool lock_trouble;
	struct coord_failure failure;
	char *texts[12]; /* its strings */
	unsigned text_count;

	/* the second connection */
	struct pq *aside;
	bool aside_asking, aside_cancelling;
	unsigned aside_stops; /* how much of `stopping` it has been told */
	char *what;           /* the server's word on the statement under way, or NULL */
	int percent;
	bool blocked;
};

typedef void runner_answer(struct runner *r, const struct pq_result *result);

/* runner.c */
void runner_enter(struct runner *r, enum runner_state state, const char *why);
/* Asks on the lock's connection; the answer comes only while that is open. */
void runner_ask(
    struct runner *r, const char *sql, const char *const *values, int count, runner_answer *answer);
void runner_ask_queued(
    struct runner *r, const char *sql, const char *const *values, int count, runner_answer *answer);
void runner_ask_copy(struct runner *r, const char *sql, const char *data, size_t size, runner_answer *answer);
void runner_end(struct runner *r, enum runner_outcome how);
void runner_tell(struct runner *r, int state, const char *what);
void runner_warn(struct runner *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
const struct plan_step *runner_step(const struct runner *r);
/* step_done(), step_started() and step_failed() begin with the same parameters. */
#define RUNNER_STEP_VALUES 12
struct runner_values {
	char ordinal[16], line[16], attempts[16];
	const char *at[RUNNER_STEP_VALUES];
};
void runner_step_values(const struct runner *r, struct runner_values *values);
char *runner_settings_sql(const struct runner *r);           /* the last of what makes a session fresh */
bool runner_copies(const struct split_statement *statement); /* is it a COPY of any kind? */
void runner_step_over(struct runner *r);                     /* it is done */
/* Was the ledger's or the session's own statement hit by a cancel that was not meant for it? */
bool runner_accident(struct runner *r, const struct pq_result *result);
void runner_resume(struct runner *r); /* from WAITING */

/* Acts of the states. */
void runner_rest(struct runner *r);
void runner_next(struct runner *r);
void runner_freshen(struct runner *r);
void runner_pause(struct runner *r);
void runner_decide(struct runner *r);
void runner_roll_back(struct runner *r);
void runner_batch(
    struct runner *r); /* runner_plain.c: does a statement certainly leave the session as it was? */
bool runner_plain(const char *text, size_t size);

/* runner_batch.c */
void runner_begin_outside(struct runner *r); /* runner_outside.c */
void runner_statement(struct runner *r);
void runner_look(struct runner *r);
void runner_finish(struct runner *r);
void runner_fail(struct runner *r); /* runner_failure.c */

/* runner_batch.c */
void runner_batch_drop(struct runner *r);

/* runner_failure.c */
/* statement NULL: not one of the file's; then `what` goes before the message. */
void runner_failure_take(struct runner *r, const struct split_statement *statement,
    const struct pq_result *result, const char *what);
void runner_failure_clear(struct runner *r);
/* Sets failure.left, once it is known what the step leaves behind. */
void runner_failure_settle(struct runner *r);

/* runner_aside.c */
void runner_aside_tick(struct runner *r); /* how far is the statement under way? */
void runner_aside_stop(struct runner *r); /* tells it of `stopping` */
void runner_aside_close(struct runner *r);

#endif
