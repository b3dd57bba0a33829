/* One client's life. Private to the client wing; the events and states are DESIGN's "One client's life".
 *
 *  session.c  birth, the one function that assigns the state, timers
 *  leg.c      a leg of it: watching, reading, writing, what waits for room
 *  ending.c   the close, its reason, the last words, the grave
 *  hello.c    HELLO, TLS: from the first byte to a parsed StartupMessage
 *  admit.c    the gate's question, HELD, PARKED, WAITING, and what wakes them
 *  discard.c  WAITING, and the batch that waits was cancelled
 *  login.c    DIAL, LOGIN: to the first ReadyForQuery
 *  relay.c    IDLE, BUSY, REPLICA, GONE: the two pumps
 *  flow.c     a stream from the server is taken in larger pieces
 *  wave.c     a release: everybody's first answer before anybody's second
 *  cancel.c   CANCEL, and cancels of parked queries
 *  orphan.c   a server connection whose client was cut off */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#include "client/reasons.h"
#include "house.h"
#include "net/dial.h"
#include "net/stream.h"
#include "proto/reply.h"
#include "proto/startup.h"
#include "proto/tracker.h"

enum session_state {
#define STATE(identifier, name, timer) STATE_##identifier,
#include "client/states.def"
#undef STATE
	STATE_COUNT
};
const char *session_state_name(enum session_state state);

#define SESSION_MAGIC UINT32_C(0x68656164)

/* Bytes that the far side could not take yet. Allocated while there are any; carries the event that waits for
 * room. */
struct backlog {
	uint8_t *data;
	size_t at, size;
	struct event writable;
};

/* One leg. The event reads; while nothing may be read it watches for a hang-up (EV_CLOSED). */
struct leg {
	struct stream stream;
	struct event event;
	short watching;          /* EV_READ, EV_CLOSED or 0 */
	struct backlog *backlog; /* to be written to this leg */
	uint64_t bytes;          /* read from it */
};

/* What only a session on its way in needs; gone at its first IDLE. */
struct entry {
	uint8_t
	    *input; /* bytes read and not yet understood: HELLO's packet, then the client's side of LOGIN */
	size_t input_size;
	uint8_t *answer; /* the server's side of LOGIN: an incomplete message */
	size_t answer_size;
	struct startup startup;
	struct dial *dial;
	struct service *dialing; /* whose endpoints and settings the dial uses */
	int64_t login_left_ns;   /* of limits.login; time held is not counted */
	int64_t login_since;
	bool asked_tls, asked_gss;
	bool plus_taken; /* SCRAM-SHA-256-PLUS was taken out of the server's offer, on two TLS legs */
	bool sasl_first; /* the client's next message is a SASLInitialResponse */
	enum conf_tls_mode dial_mode; /* of the attempt under way */
	bool second_dial;             /* allow and prefer: the other way is being tried */
};

/* A server whose client has broken off fails when it comes to write, and ends its statement. Here it would go
 * on and on: so it is told after as much as the sockets between the two would have taken. */
#define UNHEARD_BYTES ((size_t)1024 * 1024)

struct cancel;

/* Where it stands in its database's wave: let go and not answered yet, or answered while others are not. */
enum wave { WAVE_NONE, WAVE_OUT, WAVE_ANSWERED };

struct session {
	uint32_t magic;
	uint8_t state;   /* enum session_state; assigned by session_enter() only */
	uint8_t reason;  /* enum close_reason, once closing */
	uint8_t carrier; /* enum declare_carrier */
	struct worker *worker;
	uint64_t id;
	struct leg client, server;
	struct event timer;
	struct tracker tracker;
	uint64_t epoch;      /* place->epoch under which it was last admitted */
	struct place *place; /* the database; NULL before the StartupMessage */
	struct heads head;   /* declared; none */
	TAILQ_ENTRY(session) of_place, of_worker;
	TAILQ_ENTRY(session) of_ready; /* HELD, admitted, waiting for the ramp */
	bool in_ready;
	uint8_t wave;   /* enum wave */
	size_t unheard; /* bytes of the server's since the client's connection broke */
	bool flowing;   /* its answer has become a stream (flow.c) */
	TAILQ_ENTRY(session) of_flow;
	uint64_t flow_asked, flow_from,
	    flow_seen; /* client.bytes at its last word; server.bytes then, and at the last tick */
	struct entry *entry;
	struct listener *listener;
	uint8_t *stash; /* client bytes that were read and may not go to the server yet */
	size_t stash_size;
	struct cancel *cancel;  /* CANCEL: the request on its way */
	struct cancel_key *key; /* this session's BackendKeyData in the shared table */
	char *user, *application;
	char *dbname; /* as the client asked for it: what it waits for while no place serves it */
	struct user_count *user_count;
	unsigned endpoint; /* the server's, in place->service->endpoints at dial time */
	char *server_text; /* which server, for people */
	int64_t since_ns;  /* of the state */
	int64_t born_ns;
	int64_t held_since_ns; /* first moment of this hold; 0: not held */
	int64_t transactions;
	int64_t quiet_since_ns; /* idle in transaction since; 0: not */
	int64_t budget_ns;      /* of the hold, from held_since_ns */
	bool noticed;           /* the NOTICE of this hold was given */
	bool discarding;        /* WAITING: the parked batch was cancelled and is being read and dropped */
	bool client_ended;      /* no more bytes will come from the client */
	bool physical; /* physical replication: it reads the log, not tables; never asked, never parked */
	bool counted;  /* in the limits' counts */
	bool counted_held;
};

/* session.c */
void session_on_client(evutil_socket_t fd, short what, void *arg); /* the legs' events */
void session_on_server(evutil_socket_t fd, short what, void *arg);
void session_new(struct worker *worker, int fd, struct listener *listener);
void session_enter(struct session *s, enum session_state state);
/* "shop client=10.0.0.7:5123 session=42" into a buffer of the worker's. */
const char *session_label(const struct session *s);
void session_peer(const struct session *s, char *text, size_t size);
void session_timer(struct session *s, int64_t span_ns); /* below 0: none */
/* Counts it into or out of its database's held clients; idempotent. */
void session_count_held(struct session *s, bool held);
void session_check(const struct session *s);
static inline struct session *session_from(void *arg)
{
	struct session *s = arg;
	session_check(s);
	return s;
}

/* ending.c */
/* Ends the session for this reason: says so to the client where the reason has a SQLSTATE and the protocol
 * allows it, lets that leave, closes. `extra`: detail for the log and the client's DETAIL, or NULL. A second
 * call is ignored: the first reason stays. */
void session_close(struct session *s, enum close_reason reason, const char *extra);
/* The same for REASON_NO_DATABASE; `extra` is `why`, and the name of the database that was asked for, made
 * short and printable. */
void session_close_unserved(struct session *s, const char *why);
/* As session_close with a text of the gate's. */
void session_refuse(struct session *s, enum close_reason reason, const struct refusal *refusal);
/* As session_close without a word to the client. */
void session_drop(struct session *s, enum close_reason reason);
/* Adds messages of ours to the client's stream, behind what is waiting there. False: that broke, and the
 * session is closed, or GONE. */
bool session_say(struct session *s, const void *bytes, size_t size);
void session_linger(struct session *s);   /* LINGER is entered: the server goes at once */
void session_farewell(struct session *s); /* LINGER: the last words have left */
void session_bury(struct session *s);     /* CLOSED is entered: unhooked from everything */
void entry_free(struct entry **entry);

/* leg.c: one leg, what its event waits for, what it could not take */
/* what: EV_READ, EV_WRITE (a TLS read that must write first), EV_CLOSED (a hang-up; bytes stay where they
 * are) or 0. */
void leg_watch(struct session *s, struct leg *leg, short what);
bool leg_hung_up(const struct leg *leg);
/* Reads a leg; counts what came. After EAGAIN the leg's event waits for what the stream needs: a TLS read may
 * first have to write. */
ssize_t leg_read_odd(struct session *s, struct leg *leg, ssize_t n);
static inline ssize_t leg_read(struct session *s, struct leg *leg, void *buffer, size_t size)
{
	ssize_t n = stream_read(&leg->stream, buffer, size);
	if (n <= 0 || leg->watching == EV_WRITE)
		return leg_read_odd(s, leg, n);
	leg->bytes += (uint64_t)n;
	return n;
}
/* Writes or keeps; false: the leg is broken. */
bool leg_write(struct session *s, struct leg *to, const uint8_t *bytes, size_t n);
void leg_forget(struct leg *leg); /* what it could not take */
void leg_close(struct session *s, struct leg *leg);

/* hello.c */
void hello_readable(struct session *s);
void hello_handshake(struct session *s);

/* admit.c */
void admit_ask(struct session
	*s); /* a parsed StartupMessage: to DIAL, HELD or away. Every way to the server passes here */
void admit_held(struct session *s); /* HELD: the view changed, or a timer woke it */
void admit_turn(struct session *s); /* HELD, and its turn in the ramp: asked again, it leaves that queue */
bool admit_transaction(
    struct session *s); /* IDLE: may a transaction start now? false: it was parked or turned away */
bool admit_now(struct session *s);     /* BUSY: would the gate let a transaction start now? */
void admit_view(struct session *s);    /* the view of its database changed */
void admit_waiting(struct session *s); /* PARKED and the client's next bytes are there */
void admit_timer(struct session *s);   /* HELD and WAITING */
void admit_settled(struct session *s); /* to IDLE, or PARKED if the gate says so, or away */

/* discard.c */
/* WAITING and cancelled: reads and drops one batch and answers it. False: not now, or it is at it already. */
bool discard_begin(struct session *s);
void discard_readable(struct session *s);

/* login.c */
void login_dial(struct session *s);
void login_server_readable(struct session *s);
void login_client_readable(struct session *s);
void login_watch_client(struct session *s); /* LOGIN: the server's backlog has gone */

/* relay.c */
void relay_client_readable(struct session *s);
void relay_server_readable(struct session *s);
/* Goes on with bytes that wait in the stash, then with the socket. */
void relay_resume(struct session *s);
/* Reads the client while its bytes may go on. */
void relay_watch_client(struct session *s);
void relay_client_gone(struct session *s, bool broken);
void relay_flushed(struct session *s, struct leg *leg);

/* flow.c */
void flow_check(struct session *s); /* BUSY, and the server has said more */
void flow_begin(struct session *s);
void flow_end(struct session *s);      /* the stream has ended */
void flow_init(struct worker *worker); /* at the worker's start; flow_free() at its end */
void flow_free(struct worker *worker);

/* wave.c: who was let go by a release */
void wave_init(struct place *place);
void wave_stop(struct place *place);   /* it is about to be freed */
void wave_join(struct session *s);     /* WAITING, and about to go on */
void wave_answered(struct session *s); /* its transaction has ended */
void wave_leave(struct session *s);    /* it leaves its place */

/* orphan.c */
/* Takes the server's socket of a session that is being closed in BUSY or GONE: its database counts as busy
 * until the backend has hung up, which it does once it comes to read. Nothing is cancelled: cancel_own()
 * does. */
void orphan_adopt(struct session *s);
void orphans_free(struct place *place); /* at the worker's end */

/* cancel.c */
void cancel_begin(struct session *s, const uint8_t *packet, size_t size);
void cancel_free(struct cancel **cancel);
void cancel_timer(struct session *s);
/* Sends a CancelRequest to the session's server on nobody's behalf (drain policy). */
void cancel_own(struct session *s);

/* keys.c: who holds which cancel key, for all workers. */
struct cancel_key;
struct cancel_owner {
	struct worker *worker;
	struct session *session;     /* to be touched in that worker's thread only */
	struct endpoints *endpoints; /* referenced for the caller */
	unsigned endpoint, service_id;
};
/* Remembers this session's BackendKeyData (the message's body). */
void cancel_remember(struct session *s, const uint8_t *body, size_t size);
void cancel_forget(struct session *s);
int32_t cancel_backend_pid(const struct session *s); /* 0: not known yet */
/* The CancelRequest packet for a session's own backend; its size, or 0. room: at least CANCEL_BYTES. */
#define CANCEL_BYTES (8 + 4 + 256)
size_t cancel_packet(const struct session *s, uint8_t *packet);
/* body: what follows a CancelRequest's code. */
bool cancel_lookup(
    struct client_limits *limits, const uint8_t *body, size_t size, struct cancel_owner *owner);

#endif
