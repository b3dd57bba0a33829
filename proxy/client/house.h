/* Inside a worker: its places (one a database), its sessions, its buffer. Private to the client wing. */
#ifndef CLIENT_HOUSE_H
#define CLIENT_HOUSE_H

#include <pthread.h>
#include <sys/queue.h>

#include <event2/event_struct.h>

#include "client/reasons.h"
#include "client/service.h"
#include "client/worker.h"

struct session;

TAILQ_HEAD(session_list, session);
struct cancel;
TAILQ_HEAD(cancel_list, cancel);
struct orphan;
TAILQ_HEAD(orphan_list, orphan);

/* A database as one worker sees it. */
struct place {
	TAILQ_ENTRY(place) of_worker;
	struct worker *worker;
	struct service *service; /* the current one */
	uint64_t epoch; /* grows with every publication, over all places of the worker: one compare tells
			   "nothing changed" */
	struct session_list sessions;
	struct orphan_list orphans;
	struct session_list ready; /* HELD sessions that were admitted, in the order to let in */
	struct event ramp;
	double ramp_tokens;
	int64_t ramp_at;
	struct {
		struct event tick;
		unsigned out;   /* let go, and not answered yet */
		unsigned ticks; /* since it began */
		bool moved;     /* since the last tick */
	} wave;
	unsigned next_endpoint; /* the last that worked */
	unsigned busy, logins;  /* sessions in BUSY or GONE, and orphans; in LOGIN */
	uint64_t told_serial;   /* the holding view whose drain was reported */
	unsigned told_logins;
	bool told_pids_stale;
	bool in_publication; /* sessions are being walked: reports and frees wait */
	bool retired;        /* no service any more */
};
TAILQ_HEAD(place_list, place);

/* What this worker reads into: one at a time, never across a turn of the loop. */
#define WORKER_BUFFER (128 * 1024)

struct worker {
	atomic_uint references; /* the control thread's, and one for each letter on its way there */
	TAILQ_ENTRY(worker) of_limits;
	unsigned index;
	pthread_t thread;
	struct event_base *base;
	struct mailbox *mailbox, *control;
	struct worker_handlers handlers;
	struct client_limits *limits;
	struct conf *conf;
	struct place_list places;
	struct session_list sessions, dead;
	struct cancel_list cancels;
	struct session_list flows; /* streams from the server, looked at by the tick */
	struct event tick;
	int tick_fd;
	struct event bury; /* frees dead sessions after the loop's turn */
	uint64_t next_session, epoch;
	unsigned session_count;
	int stopping; /* 0, 1 graceful, 2 at once */
	bool emptied_told;
	uint8_t *buffer;
	int64_t now_ns;      /* read once an event */
	unsigned ramp_share; /* how many workers share release.ramp */
	char label[256];
};

struct place *place_find(struct worker *worker, const char *name);
void place_unused(struct place *place); /* frees a retired place without sessions */
/* Reports a drain to the control thread if there is something new to say. */
void place_drained(struct place *place);
void place_ready(struct place *place, struct session *s); /* queue for the ramp */
void place_unready(struct place *place, struct session *s);
struct worker *worker_ref(struct worker *worker);
void worker_unref(struct worker **worker);
void worker_want(struct worker *worker, const char *database);
void worker_check_empty(struct worker *worker);

/* Shared by all workers: counts that limits are held against, and who holds which cancel key. */
struct user_count;
struct letter;
TAILQ_HEAD(worker_list, worker);
struct client_limits {
	atomic_uint clients, cancels;
	atomic_ullong next_session;
	atomic_ullong closed[REASON_COUNT];
	pthread_mutex_t mutex; /* users and keys: at login, end and cancel only */
	struct user_count *users;
	struct worker_list workers; /* that take letters from one another */
	struct cancel_key **keys;   /* a hash */
	unsigned key_count, key_room;
};
/* Counts a user in, if fewer than `most` are (0: no limit). NULL: full. */
struct user_count *limits_user(struct client_limits *limits, const char *user, unsigned most);
void limits_user_leave(struct client_limits *limits, struct user_count **count);
void limits_worker_join(struct client_limits *limits, struct worker *worker);
void limits_worker_leave(struct client_limits *limits, struct worker *worker);
/* Posts a letter from one worker to another. False: that one has left meanwhile, the letter stays the
 * caller's.
 */
bool limits_post(struct client_limits *limits, const struct worker *to, struct letter *letter);

#endif
