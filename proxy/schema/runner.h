/* The runner: does the steps of a plan, one after the other, on the connection that holds the run's lock. It
 * belongs to the coordinator, which says which steps may run now and what becomes of the run afterwards.
 *
 * Each step begins in a session that is as a new one of psql's: the settings of role, database and dsn, and
 * nothing that the step before it left but what a session cannot give back (advisory locks: they go with the
 * run). A step in a transaction is one batch with its ledger row, and with the making of the next step's
 * session behind it, so that it costs one round trip. What cannot be in a transaction is recorded as started,
 * goes statement by statement, and is recorded as finished.
 *
 * A second connection, opened when it is needed, cancels and tells how far a long statement is. */
#ifndef SCHEMA_RUNNER_H
#define SCHEMA_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/coord.h"
#include "schema/plan.h"

struct event_base;
struct pq;
struct resolver;
struct runner;

enum runner_outcome {
	RUNNER_DONE,    /* all of the segment */
	RUNNER_FAILED,  /* nothing of the step that failed is there, and the ledger says so */
	RUNNER_HALF,    /* a step outside a transaction was left half way, and the ledger says so */
	RUNNER_STOPPED, /* as runner_stop() wanted; nothing of a step that was under way is there */
};

struct runner_request {
	struct event_base *base;
	struct resolver *resolver;
	struct pq *pq;            /* nobody else asks on it while a segment runs */
	const char *dsn, *dbname; /* of the second connection, as pq_request's */
	const char *object;       /* for logs */
	const char *run;          /* the run's number */
	const struct plan *plan;
	bool ascii;         /* the server's encoding does not hold all that a file's name may have */
	bool checks_client; /* the session has client_connection_check_interval */
	int64_t lock_timeout_ns, statement_timeout_ns;
	unsigned lock_attempts;
	int64_t deadline_ns; /* clock_now() scale: no pause goes beyond it */
	void (*told)(const struct coord_step *step, void *arg);
	void (*warned)(const char *text, void *arg);
	/* Once a segment, in the loop, never inside runner_run(). runner_free() is not allowed inside. */
	void (*done)(enum runner_outcome how, void *arg);
	void *arg;
};

/* Strings and the plan are borrowed until runner_free(). */
struct runner *runner_new(const struct runner_request *request);
/* Does the steps [begin, end). The session is the files' afterwards: pq_settle() it. */
void runner_run(struct runner *runner, unsigned begin, unsigned end, bool holding);
/* Cancels the statement under way and goes no further; the second time the session is ended. */
void runner_stop(struct runner *runner);
unsigned runner_steps_done(const struct runner *runner);
/* The step that it is at, or was at, and whether it is being told to commit or commits by itself: then a lost
 * connection leaves it open what became of it. */
unsigned runner_at(const struct runner *runner, bool *open_ended);
/* What failed, until runner_free(); NULL: nothing. */
const struct coord_failure *runner_failure(const struct runner *runner);
/* Statements that take from a session what a file has made of it, NULL at the end; pq_settle() comes after.
 */
extern const char *const runner_session_sql[];
void runner_free(struct runner **runner); /* NULL-safe; `done` will not run */

#endif
