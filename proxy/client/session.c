#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/listen.h"
#include "session.h"

#define CANCEL_NS (10 * CLOCK_S)

enum state_timer {
	TIMER_NONE,
	TIMER_LOGIN,
	TIMER_HANDSHAKE,
	TIMER_BUDGET,
	TIMER_TRANSACTION,
	TIMER_CANCEL,
	TIMER_LINGER
};

static const struct {
	const char *name;
	enum state_timer timer;
} states[STATE_COUNT] = {
#define STATE(identifier, state_name, state_timer)                                                           \
	[STATE_##identifier] = {.name = state_name, .timer = state_timer},
#include "client/states.def"
#undef STATE
};

const char *session_state_name(enum session_state state)
{
	return states[state].name;
}

void session_check(const struct session *s)
{
	if (s->magic != SESSION_MAGIC)
		log_panic("a session's event came to something else");
}

void session_peer(const struct session *s, char *text, size_t size)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof address;
	char host[INET6_ADDRSTRLEN] = "?";
	if (s->client.stream.fd < 0 ||
	    getpeername(s->client.stream.fd, (struct sockaddr *)&address, &length) < 0) {
		snprintf(text, size, "gone");
		return;
	}
	if (address.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
		snprintf(text, size, "%s:%u", host, (unsigned)ntohs(in->sin_port));
	} else if (address.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&address;
		inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
		snprintf(text, size, "[%s]:%u", host, (unsigned)ntohs(in->sin6_port));
	} else {
		struct ucred who;
		length = sizeof who;
		if (getsockopt(s->client.stream.fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0)
			snprintf(text, size, "unix:pid=%d", (int)who.pid);
		else
			snprintf(text, size, "unix");
	}
}

const char *session_label(const struct session *s)
{
	char peer[80];
	session_peer(s, peer, sizeof peer);
	const char *name = s->place != NULL ? s->place->service->name : s->dbname;
	snprintf(s->worker->label, sizeof s->worker->label, "%s%sclient=%s session=%llu",
	    name != NULL ? name : "", name != NULL ? " " : "", peer, (unsigned long long)s->id);
	return s->worker->label;
}

/* What an event of a leg means in each state. */
void session_on_client(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct session *s = session_from(arg);
	s->worker->now_ns = clock_now();
	bool let_go = s->wave != WAVE_NONE && (s->state == STATE_IDLE || s->state == STATE_BUSY);
	if (s->client.watching == EV_CLOSED && !let_go) {
		if (leg_hung_up(&s->client))
			session_close(s, REASON_CLIENT_VANISHED, NULL);
		return;
	}
	switch ((enum session_state)s->state) {
	case STATE_HELLO:
		hello_readable(s);
		break;
	case STATE_TLS:
		hello_handshake(s);
		break;
	case STATE_LOGIN:
		login_client_readable(s);
		break;
	case STATE_IDLE:
	case STATE_BUSY:
	case STATE_REPLICA:
		relay_client_readable(s);
		break;
	case STATE_PARKED:
		admit_waiting(s);
		break;
	case STATE_WAITING:
		discard_readable(s);
		break;
	case STATE_LINGER: {
		/* whatever the client still sends is of no interest; its end is */
		ssize_t n = leg_read(s, &s->client, s->worker->buffer, WORKER_BUFFER);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			session_enter(s, STATE_CLOSED);
		break;
	}
	case STATE_HELD:
	case STATE_DIAL:
	case STATE_CANCEL:
	case STATE_GONE:
	case STATE_CLOSED:
	case STATE_COUNT:
		break;
	}
}

void session_on_server(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct session *s = session_from(arg);
	switch ((enum session_state)s->state) {
	case STATE_LOGIN:
		s->worker->now_ns = clock_now();
		login_server_readable(s);
		break;
	case STATE_IDLE:
	case STATE_BUSY:
	case STATE_PARKED:
	case STATE_WAITING:
	case STATE_REPLICA:
	case STATE_GONE:
		relay_server_readable(s);
		break;
	case STATE_HELLO:
	case STATE_TLS:
	case STATE_HELD:
	case STATE_DIAL:
	case STATE_CANCEL:
	case STATE_LINGER:
	case STATE_CLOSED:
	case STATE_COUNT:
		break;
	}
}

void session_timer(struct session *s, int64_t span_ns)
{
	if (span_ns < 0) {
		event_del(&s->timer);
		return;
	}
	struct timeval tv = clock_timeval(span_ns < CLOCK_MS ? CLOCK_MS : span_ns);
	event_add(&s->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct session *s = session_from(arg);
	s->worker->now_ns = clock_now();
	switch (states[s->state].timer) {
	case TIMER_NONE:
		break;
	case TIMER_LOGIN:
		session_close(s, REASON_CLIENT_TIMEOUT, NULL);
		break;
	case TIMER_HANDSHAKE:
		session_close(s, REASON_HANDSHAKE_TIMEOUT, NULL);
		break;
	case TIMER_BUDGET:
		admit_timer(s);
		break;
	case TIMER_TRANSACTION: {
		/* armed once and looked at when it is due: no timer is moved on the hot path */
		int64_t most = s->worker->conf->limits.idle_in_transaction_ns;
		if (s->stash_size > 0 && s->tracker.mode == TRACKER_UNSURE) {
			session_close(s, REASON_DRAINED,
			    "a statement was sent before the failed COPY in front of it was closed by a "
			    "Sync");
			break;
		}
		if (most == 0)
			break;
		if (s->quiet_since_ns == 0 || !tracker_idle_in_transaction(&s->tracker))
			session_timer(s, most);
		else if (s->worker->now_ns - s->quiet_since_ns >= most)
			session_close(s, REASON_IDLE_IN_TRANSACTION, NULL);
		else
			session_timer(s, most - (s->worker->now_ns - s->quiet_since_ns));
		break;
	}
	case TIMER_CANCEL:
		cancel_timer(s);
		break;
	case TIMER_LINGER:
		session_enter(s, STATE_CLOSED);
		break;
	}
}

void session_new(struct worker *worker, int fd, struct listener *listener)
{
	struct session *s = mem_zalloc(sizeof *s);
	s->magic = SESSION_MAGIC;
	s->worker = worker;
	s->id = atomic_fetch_add_explicit(&worker->limits->next_session, 1, memory_order_relaxed) + 1;
	s->client.stream.fd = fd;
	s->server.stream.fd = -1;
	s->listener = listener;
	s->carrier = DECLARE_NONE;
	s->born_ns = s->since_ns = worker->now_ns = clock_now();
	s->state = STATE_HELLO;
	event_assign(&s->timer, worker->base, -1, 0, on_timer, s);
	tracker_init(&s->tracker, 'I');
	TAILQ_INSERT_TAIL(&worker->sessions, s, of_worker);
	worker->session_count++;
	s->counted = true;
	unsigned clients = atomic_fetch_add_explicit(&worker->limits->clients, 1, memory_order_relaxed) + 1;
	s->entry = mem_zalloc(sizeof *s->entry);
	s->entry->login_left_ns = worker->conf->limits.login_ns;
	s->entry->login_since = worker->now_ns;
	dial_tune(fd, &worker->conf->tcp);
	/* Those over the limit are told so once they have introduced themselves; for a flood there are no
	 * words. */
	if (clients > worker->conf->limits.clients + 100)
		session_drop(s, REASON_TOO_MANY_CLIENTS);
	else if (worker->stopping)
		session_close(s, REASON_SHUTDOWN_HELD, NULL);
	else
		session_enter(s, STATE_HELLO);
}

void session_count_held(struct session *s, bool held)
{
	if (s->counted_held == held || s->place == NULL)
		return;
	s->counted_held = held;
	if (held)
		atomic_fetch_add_explicit(&s->place->service->lease->held, 1, memory_order_relaxed);
	else
		atomic_fetch_sub_explicit(&s->place->service->lease->held, 1, memory_order_relaxed);
}

static bool state_busy(unsigned state)
{
	return state == STATE_BUSY || state == STATE_GONE;
}

/* Entering a state does the state's work. */
static __attribute__((noinline)) void entered(
    struct session *s, enum session_state state, enum session_state old)
{
	struct place *place = s->place;
	if (place != NULL) {
		place->busy += state_busy(state);
		place->busy -= state_busy(old);
		place->logins += state == STATE_LOGIN;
		place->logins -= old == STATE_LOGIN;
	}
	if (s->flowing)
		flow_end(s);
	int64_t now = s->worker->now_ns;
	if (log_wants(LOG_LEVEL_DEBUG))
		log_debug(session_label(s), "%s -> %s", states[old].name, states[state].name);

	/* login time: held time does not count */
	if (s->entry != NULL) {
		if (states[old].timer == TIMER_LOGIN || states[old].timer == TIMER_HANDSHAKE)
			s->entry->login_left_ns -= now - s->entry->login_since;
		if (s->entry->login_left_ns < 0)
			s->entry->login_left_ns = 0; /* due at once; below it would mean never */
		s->entry->login_since = now;
	}
	s->since_ns = now;

	switch (state) {
	case STATE_HELLO:
		session_timer(s, s->entry->login_left_ns);
		leg_watch(s, &s->client, EV_READ);
		break;
	case STATE_TLS: {
		int64_t most = s->worker->conf->limits.tls_handshake_ns;
		session_timer(s, s->entry->login_left_ns < most ? s->entry->login_left_ns : most);
		break;
	}
	case STATE_HELD:
		session_count_held(s, true);
		leg_watch(s, &s->client, EV_CLOSED);
		break;
	case STATE_DIAL:
		session_count_held(s, false);
		session_timer(s, s->entry->login_left_ns);
		leg_watch(s, &s->client, EV_CLOSED);
		break;
	case STATE_LOGIN:
		session_timer(s, s->entry->login_left_ns);
		leg_watch(s, &s->server, EV_READ);
		leg_watch(s, &s->client, EV_READ);
		break;
	case STATE_IDLE:
		if (old == STATE_BUSY)
			break; /* the hot path: both legs are read already, and the transaction's timer looks
				  for itself */
		session_count_held(s, false);
		s->held_since_ns = 0;
		event_del(&s->timer);
		entry_free(&s->entry);
		break;
	case STATE_BUSY:
		s->quiet_since_ns = 0;
		if (s->worker->conf->limits.idle_in_transaction_ns > 0 &&
		    !event_pending(&s->timer, EV_TIMEOUT, NULL))
			session_timer(s, s->worker->conf->limits.idle_in_transaction_ns);
		break;
	case STATE_REPLICA:
		event_del(&s->timer);
		entry_free(&s->entry);
		break;
	case STATE_PARKED:
		session_count_held(s, false);
		s->held_since_ns = 0;
		s->noticed = false;
		event_del(&s->timer);
		entry_free(&s->entry);
		leg_watch(s, &s->client, EV_READ);
		break;
	case STATE_WAITING:
		session_count_held(s, true);
		entry_free(&s->entry);
		leg_watch(s, &s->client, EV_CLOSED);
		break;
	case STATE_GONE:
		leg_watch(s, &s->client, 0);
		event_del(&s->timer);
		break;
	case STATE_CANCEL:
		session_count_held(s, false);
		session_timer(s, CANCEL_NS);
		leg_watch(s, &s->client, 0);
		break;
	case STATE_LINGER:
		session_count_held(s, false);
		session_linger(s);
		break;
	case STATE_CLOSED:
		session_count_held(s, false);
		session_bury(s);
		break;
	case STATE_COUNT:
		break;
	}
	/* a LINGER that had nothing to wait for is closed by now, and has left its place */
	if (s->place != NULL && (state_busy(old) || old == STATE_LOGIN))
		place_drained(s->place);
}

/* The one place where the state is assigned. */
void session_enter(struct session *s, enum session_state state)
{
	enum session_state old = s->state;
	if (old == STATE_CLOSED || (old == state && state != STATE_HELLO))
		return;
	s->state = (uint8_t)state;
	/* A transaction begins or ends, nothing else: the hot path. Both legs are read already, no timer is
	 * moved. */
	bool turn = (state == STATE_BUSY && old == STATE_IDLE) || (state == STATE_IDLE && old == STATE_BUSY);
	if (turn && s->worker->conf->limits.idle_in_transaction_ns == 0 && !log_wants(LOG_LEVEL_DEBUG)) {
		s->place->busy += state == STATE_BUSY ? 1U : -1U;
		s->since_ns = s->worker->now_ns;
		return;
	}
	entered(s, state, old);
}
