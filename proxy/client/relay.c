#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "session.h"

/* How long a failed COPY's ReadyForQuery may take, once the client waits for it with the next statement. */
#define UNSURE_NS (5 * CLOCK_S)

/* Nothing has changed since this session was last admitted, and the lease runs: one compare each. */
static inline bool fresh(const struct session *s)
{
	return s->epoch == s->place->epoch &&
	    s->worker->now_ns <
	    lease_deadline_under(s->place->service->lease, s->place->service->view->serial);
}

static void stash(struct session *s, const uint8_t *bytes, size_t n)
{
	s->stash = mem_dup(bytes, n);
	s->stash_size = n;
}

/* To the server: the client's bytes as far as the gate lets them go; the rest waits in the stash. */
static void forward(struct session *s, const uint8_t *bytes, size_t n, bool free_run)
{
	if (s->state == STATE_GONE && !free_run && tracker_idle(&s->tracker)) {
		session_close(s, REASON_CLIENT_VANISHED,
		    NULL); /* nobody waits for the answer to what the gate would have to hold */
		return;
	}
	/* The gate's view has changed during a transaction, or its lease ran out: this transaction goes on to
	 * its end, batch by batch, and nothing of the next one goes out. (Not IDLE, and yet nothing open: the
	 * server is in the middle of a notification.) */
	if (!free_run && s->state != STATE_IDLE && tracker_between(&s->tracker) &&
	    (!tracker_settled(&s->tracker) ||
		(s->tracker.status == 'I' && s->tracker.mode == TRACKER_NORMAL))) {
		stash(s, bytes, n);
		return;
	}
	/* The end of a failed COPY may be the beginning of the next transaction: it waits for the server's
	 * word, or passes by a verdict of now. */
	bool unsure = !free_run && s->tracker.mode == TRACKER_UNSURE;
	size_t used = tracker_client(&s->tracker, bytes, n, !free_run && !(unsure && admit_now(s)));
	if (s->tracker.violation != NULL) {
		session_close(s, REASON_PROTOCOL, s->tracker.violation);
		return;
	}
	if (s->state == STATE_IDLE) {
		if (s->tracker.terminated) {
			leg_write(s, &s->server, bytes, used);
			relay_client_gone(s, false);
			return;
		}
		s->transactions++;
		session_enter(s, STATE_BUSY);
	}
	if (used > 0 && !leg_write(s, &s->server, bytes, used))
		return;
	if (s->tracker.terminated) {
		relay_client_gone(s, false);
		return;
	}
	if (used < n) {
		stash(s, bytes + used, n - used);
		if (unsure && !event_pending(&s->timer, EV_TIMEOUT, NULL))
			session_timer(s, UNSURE_NS);
	}
	if (s->state == STATE_BUSY && tracker_idle(&s->tracker))
		admit_settled(
		    s); /* a Flush alone, CopyData behind a failed COPY: nothing that the server answers */
}

/* The client's bytes, in order. A transaction that begins on anything but an unchanged view and a good lease
 * is asked for first; the bytes lie in the stash then, where a park finds them. */
static void input(struct session *s, const uint8_t *bytes, size_t n)
{
	bool free_run = s->state == STATE_REPLICA || fresh(s);
	if (s->state != STATE_IDLE || free_run || bytes[0] == 'X') {
		forward(s, bytes, n, free_run);
		return;
	}
	stash(s, bytes, n);
	if (!admit_transaction(s))
		return;
	uint8_t *waited = s->stash;
	s->stash = NULL;
	s->stash_size = 0;
	/* Admitted without a lease (mode observe asks for none): then one transaction at a time. */
	forward(s, waited, n, fresh(s));
	mem_free(&waited);
}

void relay_watch_client(struct session *s)
{
	if (s->state != STATE_IDLE && s->state != STATE_BUSY && s->state != STATE_REPLICA)
		return;
	short what = s->stash_size == 0 && s->server.backlog == NULL && !s->client_ended ? EV_READ : 0;
	/* just let go, and has asked: the watch of its wait tells of what may come besides, once */
	if (what == EV_READ && s->wave == WAVE_OUT && s->client.watching == EV_CLOSED &&
	    tracker_between(&s->tracker))
		return;
	leg_watch(s, &s->client, what);
}

void relay_resume(struct session *s)
{
	if (s->stash_size > 0 && s->server.backlog == NULL) {
		uint8_t *bytes = s->stash;
		size_t n = s->stash_size;
		s->stash = NULL;
		s->stash_size = 0;
		input(s, bytes, n);
		mem_free(&bytes);
	}
	if (s->client_ended && s->stash_size == 0 && s->server.backlog == NULL && s->server.stream.fd >= 0)
		shutdown(s->server.stream.fd, SHUT_WR);
	relay_watch_client(s);
}

void relay_client_readable(struct session *s)
{
	if (s->wave == WAVE_ANSWERED) { /* it is looked at again at the wave's end */
		if (s->client.watching == EV_READ || s->client.backlog != NULL) /* not edge-triggered */
			leg_watch(s, &s->client, 0);
		return;
	}
	uint8_t *buffer = s->worker->buffer;
	ssize_t n = leg_read(s, &s->client, buffer, WORKER_BUFFER);
	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			return;
		relay_client_gone(s, n < 0);
		return;
	}
	input(s, buffer, (size_t)n);
	if (s->stash_size > 0 || s->server.backlog != NULL || s->wave == WAVE_OUT)
		relay_watch_client(s);
	else if (stream_pending(&s->client.stream) && s->client.watching == EV_READ)
		event_active(&s->client.event, EV_READ, 0);
}

/* The client has ended its side. What it had begun goes on at the server to its end, as it would without us;
 * what it had asked for before and not yet sent on still passes the gate. */
void relay_client_gone(struct session *s, bool was_broken)
{
	if (s->state == STATE_GONE) {
		if (was_broken) {
			leg_watch(s, &s->client, 0);
			leg_forget(&s->client);
			stream_close(&s->client.stream);
			leg_watch(s, &s->server, EV_READ);
		}
		return;
	}
	bool settled = tracker_idle(&s->tracker);
	if (s->state != STATE_BUSY && s->state != STATE_REPLICA && !s->tracker.terminated) {
		session_close(s, was_broken ? REASON_CLIENT_ERROR : REASON_CLIENT_VANISHED, NULL);
		return;
	}
	s->client_ended = true;
	if (was_broken) {
		leg_watch(s, &s->client, 0);
		leg_forget(&s->client);
		stream_close(&s->client.stream);
		mem_free(&s->stash);
		s->stash_size = 0;
	}
	if (s->server.backlog == NULL && settled && s->stash_size == 0 && s->state != STATE_REPLICA) {
		session_close(s, s->tracker.terminated ? REASON_CLIENT_LEFT : REASON_CLIENT_VANISHED, NULL);
		return;
	}
	session_enter(s, STATE_GONE);
	if (s->server.backlog == NULL && s->stash_size == 0)
		shutdown(s->server.stream.fd, SHUT_WR);
	leg_watch(s, &s->server, s->client.backlog == NULL ? EV_READ : 0);
}

/* The server's bytes that nobody is there to hear any more, or that the client can still take. */
static void to_client(struct session *s, const uint8_t *bytes, size_t n)
{
	if (s->client.stream.fd < 0) {
		size_t before = s->unheard / UNHEARD_BYTES;
		s->unheard += n;
		size_t now = s->unheard / UNHEARD_BYTES;
		/* again at 2, 4, 8 ...: a pipeline has a next statement, and a server may not heed */
		if (now != before && (now & (now - 1)) == 0)
			cancel_own(s);
		return;
	}
	if (leg_write(s, &s->client, bytes, n) && s->client.backlog != NULL)
		leg_watch(s, &s->server, 0);
}

static void server_ended(struct session *s, const char *why)
{
	if (s->state == STATE_GONE)
		session_close(s, s->tracker.terminated ? REASON_CLIENT_LEFT : REASON_CLIENT_VANISHED, NULL);
	else if (s->tracker.last == 'E' && s->tracker.answered)
		session_close(
		    s, REASON_SERVER_ENDED, NULL); /* it has said why, after its last ReadyForQuery */
	else
		session_close(s, REASON_SERVER_LOST, why);
}

void relay_server_readable(struct session *s)
{
	uint8_t *buffer = s->worker->buffer;
	ssize_t n = leg_read(s, &s->server, buffer, WORKER_BUFFER);
	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			return;
		s->worker->now_ns = clock_now();
		server_ended(s,
		    n < 0 ? stream_error(&s->server.stream)
			  : "the server closed the connection unexpectedly");
		return;
	}
	if (!tracker_server(&s->tracker, buffer, (size_t)n)) {
		session_close(s, REASON_SERVER_PROTOCOL, s->tracker.violation);
		return;
	}
	to_client(s, buffer, (size_t)n);

	if (s->state == STATE_BUSY) {
		if (tracker_idle(&s->tracker)) {
			if (s->flowing)
				flow_end(s);
			s->worker->now_ns = clock_now();
			admit_settled(s);
			if (s->stash_size > 0 && s->state == STATE_IDLE)
				relay_resume(s);
		} else if (s->tracker.mode == TRACKER_COPY_BOTH) {
			/* logical replication: no transaction of its own from here on */
			session_enter(s, STATE_REPLICA);
			relay_resume(s);
		} else {
			flow_check(s);
			if (s->stash_size > 0) {
				s->worker->now_ns = clock_now();
				relay_resume(s);
			}
			if (s->worker->conf->limits.idle_in_transaction_ns > 0 && s->state == STATE_BUSY)
				s->quiet_since_ns =
				    tracker_idle_in_transaction(&s->tracker) ? clock_now() : 0;
		}
	} else if (s->state == STATE_GONE) {
		s->worker->now_ns = clock_now();
		if (s->stash_size > 0)
			relay_resume(s);
		else if (tracker_idle(&s->tracker) && s->server.backlog == NULL && s->client.backlog == NULL)
			server_ended(s, NULL);
	}
	if (s->server.watching == EV_READ && stream_pending(&s->server.stream))
		event_active(&s->server.event, EV_READ, 0);
}

void relay_flushed(struct session *s, struct leg *leg)
{
	if (s->state == STATE_LINGER) {
		if (leg == &s->client)
			session_farewell(s);
		return;
	}
	if (leg == &s->client) {
		if (s->server.stream.fd >= 0 && !s->discarding)
			leg_watch(s, &s->server, EV_READ);
	} else if (s->state == STATE_LOGIN) {
		login_watch_client(s);
	} else {
		relay_resume(s);
		if (s->state == STATE_GONE && s->stash_size == 0 && tracker_idle(&s->tracker))
			server_ended(s, NULL);
	}
}
