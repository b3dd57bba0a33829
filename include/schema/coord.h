/* The coordinator: conducts one run of an external command, as DESIGN's "A run, and why it is safe" numbers
 * the steps: lock, pre-check, announce, drain, fence, the command, conclude, release. It speaks to PostgreSQL
 * and to nobody else; proxies are what the ledger says they are (there may be none: the fence still applies).
 * It lives on an event loop. Its death at any moment, SIGKILL included, kills the command and releases the
 * lock, and the first proxy that notices ends the run.
 *
 * While the command runs the connection that holds the lock has no transaction and no snapshot open: CREATE
 * INDEX CONCURRENTLY would wait for it. */
#ifndef SCHEMA_COORD_H
#define SCHEMA_COORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "gate/head.h"

struct event_base;
struct resolver;
struct coord;

enum coord_outcome {
	COORD_SUCCEEDED, /* the command ended with 0, and recorded the target where one was named; or the
			    target was recorded already */
	COORD_FAILED, /* the command failed; the run is concluded, the gate is at what is really recorded */
	COORD_UNRESOLVED,  /* left half way: the gate stays shut until `headgate resolve` */
	COORD_REFUSED,     /* nobody was disturbed: the lock is another's, the pre-check found something */
	COORD_GAVE_UP,     /* it could not drain or fence in time; released */
	COORD_CANCELLED,   /* coord_cancel() before the command ran; released */
	COORD_LOST,        /* the connection was lost: the first proxy that notices ends the run */
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
};

struct coord_result {
	enum coord_outcome outcome;
	int exit_status;       /* for the shell: the command's, or 0, 1, and 4 with COORD_UNREACHABLE */
	int64_t run_id;        /* 0: none was announced */
	bool attached;         /* another coordinator's run; its result */
	const char *from, *to; /* heads, "none"; NULL: not read */
	const char *text;      /* one line */
	const char *hint;      /* what to do now; or NULL */
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
	char *const *argv;                         /* the command */
	const struct heads *target;                /* what it is to bring; NULL or none: not known */
	bool wait;                                 /* another's run in the way: wait for its end */
	int64_t drain_timeout_ns;
	enum conf_on_timeout on_timeout;
	unsigned attempts;
	int64_t deadline_ns;        /* from an announcement to its release */
	int64_t max_transaction_ns; /* pre-check: refuse when a transaction is older; 0: do not ask */
	int out_fd, err_fd;         /* the command's output */
	void (*progress)(const struct coord_progress *progress, void *arg);
	/* Once, in the loop. coord_free() is allowed inside. */
	void (*done)(const struct coord_result *result, void *arg);
	void *arg;
};

struct coord *coord_start(const struct coord_request *request);
/* Ctrl-C: before the command runs: release and leave. While it runs: SIGTERM to it, SIGKILL the second time.
 */
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
	/* Once, in the loop. resolution_free() is allowed inside. */
	void (*done)(enum coord_resolved how, int64_t run_id, const char *text, void *arg);
	void *arg;
};
struct resolution *resolution_start(const struct resolution_request *request);
void resolution_free(struct resolution **resolution); /* NULL-safe */

#endif
