/* A worker: a thread with its own event loop that owns the sessions dealt to it, for life. This is the door
 * by which the control thread speaks to it; every function here is called in the control thread and only
 * posts a letter, unless it says otherwise. */
#ifndef CLIENT_WORKER_H
#define CLIENT_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/conf.h"
#include "base/mailbox.h"
#include "client/reasons.h"
#include "client/service.h"
#include "net/tls.h"

struct worker;

/* One client for SHOW CLIENTS. Fixed sizes: a snapshot is one array. */
struct client_row {
	uint64_t session;
	unsigned worker;
	char database[64], user[64], application[64], address[64], state[12], head[80], carrier[20], tls[48],
	    server[64];
	int32_t backend_pid;
	int64_t connected_ns, state_ns, transactions; /* ages in ns; transactions admitted so far */
	uint64_t bytes_in, bytes_out;
	bool in_transaction, waiting; /* waiting: held, or parked with a query in its socket */
};

/* Called in the control thread. */
struct worker_handlers {
	/* Every session of the service that could have a transaction open is parked under the view with this
	 * serial (a view for which gate_holds_all() is true). pids: the backends of all sessions of this
	 * service, known to this worker. logins: sessions still in LOGIN, which have sent no statement
	 * (called again when that number falls to 0, or when pids change while drained). */
	void (*drained)(struct worker *worker, unsigned service_id, uint64_t serial, const int32_t *pids,
	    unsigned pid_count, unsigned logins, void *arg);
	/* A client asked for a database that no published service names: "*" may apply. Answered by
	 * worker_publish() or worker_refuse(). */
	void (*wanted)(struct worker *worker, const char *database, void *arg);
	/* The last session is gone after worker_shutdown(). */
	void (*emptied)(struct worker *worker, void *arg);
	void *arg;
};

/* Counts that limits are held against, shared by all workers (one for the process, made by the control
 * thread). */
struct client_limits;
struct client_limits *client_limits_new(void);
void client_limits_free(struct client_limits **limits);
unsigned client_limits_clients(const struct client_limits *limits); /* connected now */
uint64_t client_limits_closed(
    const struct client_limits *limits, enum close_reason reason); /* sessions that ended so */

/* Starts the thread. `control` is the control thread's mailbox. conf: the first configuration. */
struct worker *worker_start(unsigned index, const struct conf *conf, struct client_limits *limits,
    struct mailbox *control, const struct worker_handlers *handlers);

/* A new client: the descriptor is the worker's from here on. listener: what it came in by; referenced by the
 * session. */
struct listener; /* net/listen.h */
void worker_client(struct worker *worker, int fd, struct listener *listener);

/* A new picture of a database. Takes a reference of its own. Sessions of the database are asked the gate's
 * question again: idle ones at once, busy ones at their transaction's end; held ones go on, paced by
 * release.ramp. */
void worker_publish(struct worker *worker, struct service *service);
/* No such database here (any more): waiting clients get 3D000, live ones go on until their next transaction's
 * start. */
void worker_refuse(struct worker *worker, const char *database);
/* New limits and time-outs for sessions to come. */
void worker_configure(struct worker *worker, struct conf *conf);

/* What to do with the sessions of a draining service that are still not parked: cancel their queries (a
 * CancelRequest to the server), or end them too (57P01): the drain then waits for their backends to hang up.
 */
void worker_press(struct worker *worker, unsigned service_id, enum conf_on_timeout how);

/* A snapshot of the sessions: `done` gets rows that it does not own, in the control thread. Made in one pass
 * over the worker's sessions. */
typedef void worker_snapshot_done(
    struct worker *worker, const struct client_row *rows, unsigned count, void *arg);
void worker_snapshot(struct worker *worker, worker_snapshot_done *done, void *arg);

/* graceful: each session ends at its first IDLE with 57P01, held ones with 57P03; else all at once. `emptied`
 * follows. */
void worker_shutdown(struct worker *worker, bool graceful);
/* Joins the thread and frees; sessions that are left are cut off. Letters that it had posted may still be in
 * the control mailbox: their handlers are called when they are opened, at the latest when that mailbox is
 * freed. */
void worker_free(struct worker **worker);

unsigned worker_index(const struct worker *worker);

#endif
