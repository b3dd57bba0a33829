/* The control link of one database: the libpq connection that reads the recorded version, keeps the lease,
 * hears notifications, registers this proxy in the ledger and acknowledges runs. Lives on the control
 * thread's loop, reconnects with backoff (100 ms doubling to 5 s, with jitter).
 *
 * At each renewal (every lease/5, at most 1 s apart, and at once on a notification or link_renew()), in one
 * round trip: headgate.renew() on the ledger (writes seen_at, returns the active run and pins, acknowledges;
 * marks a run whose coordinator is gone), and the reader's statement in a read-only transaction with
 * lock_timeout and statement_timeout. The lease counts from before the round trip was sent. Without a ledger
 * (headgate init not run) or on a standby the reading alone serves, and the news say so. With a ledger that
 * the control role may not use there is no lease: there may be runs that we would not see.
 *
 * The published graph (order.h) is read whenever it is another than the one in the news, before the reading
 * it came with is told: whoever publishes does it before, or together with, recording a head that needs it,
 * and the link asks which graph is published after it has read the heads. So no news tell a head together
 * with a graph that is older than it. */
#ifndef SCHEMA_LINK_H
#define SCHEMA_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "gate/gate.h"
#include "gate/lease.h"

struct event_base;
struct resolver;
struct link;

struct link_news {
	bool fresh; /* a reading was made, its lease runs; false: link lost and lease run out */
	bool connected, registered, standby;
	struct recorded recorded; /* borrowed, as all below */
	struct gate_run run;
	const struct gate_pin *pins;
	unsigned pin_count;
	struct gate_graph *graph;     /* NULL: none is published, or it cannot be used */
	const char *graph_trouble;    /* why it cannot be used; or NULL */
	const char *trouble;          /* why not fresh/registered, for logs and consoles; or NULL */
	const char *trouble_sqlstate; /* "3D000": no such database; or "" */
};

struct link_request {
	struct event_base *base;
	struct resolver *resolver;
	const struct conf_database *section; /* the caller keeps its conf referenced while the link lives */
	const char *name;                    /* the name clients use, for logs */
	const char *dbname;                  /* the server's name for it; NULL: the dsn's */
	const char *proxy_id;                /* unique for this process: a random UUID text */
	const char *proxy_name;              /* host:pid, for people */
	struct lease *lease;                 /* referenced */
	/* Called whenever anything in the news changed (and first when there is any), and when lease->starved
	 * asks for it. In the loop. */
	void (*news)(const struct link_news *news, void *arg);
	void *arg;
};

/* NULL with a text if the section's reader or dsn is wrong (the same check that `headgate check` makes). */
struct link *link_start(const struct link_request *request, char *error, unsigned error_size);
/* All sessions of this database here are parked for that run: acknowledge it in the ledger, naming their
 * backends. Called again when pids change. */
void link_acknowledge(struct link *link, int64_t run_id, const int32_t *pids, unsigned pid_count);
/* Read now (REFRESH, tests). */
void link_renew(struct link *link);
/* Leaves the ledger (deletes the registration, best effort, without waiting) and closes. When the last
 * session of this database has gone: a run does not wait for a proxy that left. Safe inside `news`, not
 * inside a link_runs_done. */
void link_stop(struct link **link);
/* Closes, and stays in the ledger: for a reload that replaces the link while sessions live. Were they to
 * leave, a run announced before the next link has registered would not wait for them. */
void link_detach(struct link **link);

/* Checks reader name and settings of a section, for `headgate check` and serve: false with a text that names
 * what to write instead. */
bool link_check(const struct conf_database *section, char *error, unsigned error_size);

/* Ledger queries for the console's SHOW RUNS: rows of text, newest first; done is called in the loop, unless
 * the link is stopped before. columns: run_id, state, who, reason, from, to, started_at, ended_at, outcome.
 */
typedef void link_runs_done(
    const char *const *cells, unsigned rows, unsigned columns, const char *error, void *arg);
void link_runs(struct link *link, unsigned limit, link_runs_done *done, void *arg);
#define LINK_RUNS_COLUMNS 9
extern const char *const link_runs_names[LINK_RUNS_COLUMNS];

#endif
