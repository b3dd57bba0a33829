/* The coordinator: conducts one run, of an external command or of migration steps, as DESIGN's "A run, and
 * why it is safe" numbers it: lock, pre-check, announce, drain, fence, the command or the steps, conclude,
 * release. It speaks to PostgreSQL and to nobody else; proxies are what the ledger says they are (there may
 * be none: the fence still applies). It lives on an event loop. Its death at any moment, SIGKILL included,
 * kills the command and releases the lock, and the first proxy that notices ends the run.
 *
 * While a command runs the connection that holds the lock has no transaction and no snapshot open: CREATE
 * INDEX CONCURRENTLY would wait for it.
 *
 * Steps run on the connection that holds the lock (schema/plan.h says what they are): those with hold:none
 * that lead, with traffic flowing; then drain and fence, and the steps that need the hold; then it ends, and
 * the rest runs with traffic flowing again. A run without a step that needs it never holds. The ledger is
 * made or brought up first where that is needed and the role may. */
#ifndef SCHEMA_COORD_H
#define SCHEMA_COORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "gate/head.h"
#include "schema/plan.h"

struct event_base;
struct resolver;
struct coord;

enum coord_kind { COORD_EXEC, COORD_UPGRADE, COORD_DOWNGRADE };

enum coord_outcome {
	COORD_SUCCEEDED,  /* the command ended with 0, and recorded the target where one was named; every step
			     is done; or the target was recorded already */
	COORD_FAILED,     /* the command or a step failed; the run is concluded, the gate is at what is really
			     recorded */
	COORD_UNRESOLVED, /* left half way: the gate stays shut until `headgate resolve` */
	COORD_REFUSED,    /* nobody was disturbed: the lock is another's, the pre-check found something */
	COORD_GAVE_UP,    /* it could not drain or fence in time; released */
	COORD_CANCELLED,  /* coord_cancel() before the command ran, or in a step, which was rolled back;
			     released */
	COORD_LOST,       /* the connection was lost: the first proxy that notices ends the run */
	COORD_UNREACHABLE, /* no connection to begin with */
};
const char *coord_outcome_name(enum coord_outcome outcome); /* "succeeded", ... */

/* What it is doing, for people and programs. Borrowed strings. */
struct coord_progress {
	const char *state; /* coord_states.def: "draining" */
	const char *text;  /* one line: "draining: 2 of 3 proxies, 14 clients busy" */
	bool warning;
	int64_t run_id; /* 0: not announced yet */
	unsigned attempt;
	int proxies, ready; /* while draining: proxies waited for, and those of them ready; else -1 */
	int clients;        /* busy while draining, strangers while fencing; else -1 */
	const struct coord_step *step; /* it is about a step; else NULL */
};

/* Where a run of steps is. Told when a step begins, each second while it runs, before it is tried again, and
 * when it is done. */
struct coord_step {
	unsigned n, of; /* from 1 */
	enum plan_kind kind;
	const char *revision, *message, *file;
	enum { COORD_STEP_RUNNING, COORD_STEP_BLOCKED, COORD_STEP_RETRYING, COORD_STEP_DONE } state;
	bool holding;       /* traffic is held meanwhile */
	unsigned attempt;   /* from 1 */
	int64_t elapsed_ns; /* since it began */
	int percent;        /* as pg_stat_progress_* has it; -1: not known */
	const char *what;   /* what the server is at, or who blocks it: one clause; or NULL */
};

/* A statement of a step that failed. Strings are never NULL but where it says so. */
struct coord_failure {
	unsigned n, of;
	enum plan_kind kind;
	const char *revision, *message;
	const char *file;
	unsigned line, column;   /* of the error's place; column 0: not known */
	const char *statement;   /* its text, at most COORD_STATEMENT_BYTES; NULL: not one of the file's
				    (the COMMIT, the ledger's row) */
	unsigned statement_line; /* in the file */
	unsigned position;       /* in the statement, in characters from 1; 0: not known */
	const char *severity, *sqlstate, *error;
	const char *detail, *hint, *context; /* or NULL */
	const char *left;                    /* what state that leaves, and what to do: a sentence or two */
};
#define COORD_STATEMENT_BYTES 4000

struct coord_result {
	enum coord_outcome outcome;
	int exit_status;            /* for the shell: the command's, or 0, 1, and 4 with COORD_UNREACHABLE */
	int64_t run_id;             /* 0: none was announced */
	bool attached;              /* another coordinator's run; its result */
	const char *from, *to;      /* heads, "none"; NULL: not read */
	const char *text;           /* one line */
	const char *hint;           /* what to do now; or NULL */
	unsigned steps, steps_done; /* of a run of steps: planned, and done in this run */
	const struct coord_failure *failure; /* the statement that failed; or NULL */
	const char *backup;                  /* where the backup made before it is; or NULL */
};

/* A backup to make before the first step, with traffic flowing. Everything is borrowed until coord_free(). */
struct coord_backup {
	char *const *argv;              /* NULL-terminated, executed as a run's command; NULL: no backup */
	const char *const *environment; /* over that of a run's command (PGHOST and so on); or NULL */
	const char *place;              /* for the ledger and for people: where it will be */
	const char *what;               /* "everything", "tables a and b": for people; without argv
					   why there is none; or NULL */
	int64_t (*bytes)(void *arg);    /* its size so far, asked each second and at the end; or NULL */
};

/* Everything pointed to is borrowed until coord_free(). */
struct coord_request {
	struct event_base *base;
	struct resolver *resolver;
	const struct conf_database
	    *section;       /* control.run_dsn, recorded, fence, hold.max_ns, drain.pause_ns */
	const char *name;   /* of the database as clients say it, for logs and texts */
	const char *dbname; /* the server's name for it; NULL: the dsn's */
	const char *who, *os_user, *host, *reason; /* for the ledger */
	enum coord_kind kind;
	/* The command. With steps: what was asked for, word by word, for the ledger ("headgate", "upgrade",
	 * "head"); another asker of the same words, or of the same target, attaches. */
	char *const *argv;
	const struct heads *target; /* what it is to bring; NULL or none: not known */
	bool wait;                  /* another's run in the way: wait for its end */
	int64_t drain_timeout_ns;
	enum conf_on_timeout on_timeout;
	unsigned attempts;
	int64_t deadline_ns;        /* from an announcement to its release, less the backup's time */
	int64_t max_transaction_ns; /* pre-check: refuse when a transaction is older; 0: do not ask */
	int64_t max_replica_lag_ns; /* the same when a replica is further behind */
	int out_fd, err_fd;         /* the command's output, or the backup's */

	/* A run of steps: the plan, made under the lock from what is recorded; called again for another
	 * attempt. False: refused, *why (to be freed by us) is as plan_up() leaves it. An empty plan: nothing
	 * to do, success. */
	bool (*plan)(void *arg, const struct plan_ledger *ledger, struct plan *out, char **why);
	/* Called once the plan is made and something is to be done, in the first attempt; may be NULL. May
	 * wait for its own look at the database. False: refused, with *why. */
	bool (*backup)(void *arg, const struct plan *plan, struct coord_backup *out, char **why);
	const char *publish; /* the graph (plan_publication()), published before the first step; or NULL */
	bool no_hold;        /* neither drain nor fence: a database without proxies */
	int64_t lock_timeout_ns, statement_timeout_ns; /* in steps; 0: none */
	unsigned lock_attempts; /* how often a step is tried that a lock or a deadlock keeps from its work */

	void (*progress)(const struct coord_progress *progress, void *arg);
	/* Once, in the loop. coord_free() is allowed inside. */
	void (*done)(const struct coord_result *result, void *arg);
	void *arg;
};

struct coord *coord_start(const struct coord_request *request);
/* Ctrl-C: before the command runs: release and leave. While it runs: SIGTERM to it, SIGKILL the second time.
 * In a step: its statement is cancelled, what was done before stays; the second time its session is ended,
 * the third time it is left to itself. */
void coord_cancel(struct coord *coord);
/* Kills the command, drops the connection (and with it the lock). NULL-safe. */
void coord_free(struct coord **coord);

/* Ends the oldest unresolved run of a database (`headgate resolve`): the gate goes to what is recorded. It
 * first ends a run whose coordinator is gone, as a proxy would, and refuses while a statement of that run's
 * command is still at work at the server. */
struct resolution;
enum coord_resolved {
	COORD_RESOLVED,
	COORD_NOTHING_UNRESOLVED,
	COORD_NOT_RESOLVED,
	COORD_RESOLVE_UNREACHABLE
};
struct resolution_request {
	struct event_base *base;
	struct resolver *resolver;
	const struct conf_database *section;
	const char *dbname;     /* as above */
	const char *who, *note; /* for the ledger: who says so, and what was done */
	/* "done" or "undone": what became of a step that was left half way, and of what it changes in what is
	 * recorded; NULL only where no step was. */
	const char *as;
	/* Once, in the loop. resolution_free() is allowed inside. */
	void (*done)(enum coord_resolved how, int64_t run_id, const char *text, void *arg);
	void *arg;
};
struct resolution *resolution_start(const struct resolution_request *request);
void resolution_free(struct resolution **resolution); /* NULL-safe */

#endif
