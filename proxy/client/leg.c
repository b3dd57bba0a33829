#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "session.h"

bool leg_hung_up(const struct leg *leg)
{
	struct pollfd at = {.fd = leg->stream.fd, .events = POLLRDHUP};
	return poll(&at, 1, 0) > 0; /* also behind bytes that wait to be read */
}

/* Watching for a hang-up must not wake up for bytes that may not be read yet, again and again. EV_CLOSED
 * alone misses a reset, which libevent reports as readable and writable: with nothing registered for either,
 * it would spin. So bytes are reported too, edge-triggered: once. A backlog's own event finds resets by
 * itself, and must not be mixed with an edge-triggered one. */
static void arm(struct session *s, struct leg *leg)
{
	short what = leg->watching;
	if (what == EV_CLOSED && leg->backlog == NULL)
		what = EV_CLOSED | EV_READ | EV_ET;
	event_assign(&leg->event, s->worker->base, leg->stream.fd, (short)(what | EV_PERSIST),
	    leg == &s->client ? session_on_client : session_on_server, s);
	if (event_add(&leg->event, NULL) < 0)
		log_panic("cannot watch a socket");
}

void leg_watch(struct session *s, struct leg *leg, short what)
{
	if (leg->stream.fd < 0)
		what = 0;
	if (leg->watching != what) {
		if (leg->watching != 0)
			event_del(&leg->event);
		leg->watching = what;
		if (what != 0)
			arm(s, leg);
	}
	/* no event will tell of what TLS has already decrypted */
	if (what == EV_READ && stream_pending(&leg->stream))
		event_active(&leg->event, EV_READ, 0);
}

/* The leg's backlog came or went. */
static void rewatch(struct session *s, struct leg *leg)
{
	if (leg->watching != EV_CLOSED)
		return;
	event_del(&leg->event);
	arm(s, leg);
}

ssize_t leg_read_odd(struct session *s, struct leg *leg, ssize_t n)
{
	if (n < 0 && errno == EAGAIN) {
		leg_watch(s, leg, stream_wants_read(&leg->stream));
		errno = EAGAIN;
	} else if (n > 0) {
		leg->bytes += (uint64_t)n;
		leg_watch(s, leg, EV_READ);
	}
	return n;
}

void leg_forget(struct leg *leg)
{
	if (leg->backlog == NULL)
		return;
	if (event_initialized(&leg->backlog->writable))
		event_del(&leg->backlog->writable);
	mem_free(&leg->backlog->data);
	mem_free(&leg->backlog);
}

/* A leg that cannot be written to any more. */
static void broken(struct session *s, struct leg *leg)
{
	leg_forget(leg);
	if (s->state == STATE_LINGER || s->state == STATE_CLOSED) {
		session_enter(s, STATE_CLOSED);
		return;
	}
	if (leg == &s->client) {
		relay_client_gone(s, true);
		return;
	}
	/* What the server said last is still to be read, and its FATAL tells more than our broken pipe: the
	 * read that meets its end closes the session. */
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct session *s = session_from(arg);
	s->worker->now_ns = clock_now();
	for (int i = 0; i < 2; i++) {
		struct leg *leg = i == 0 ? &s->client : &s->server;
		struct backlog *backlog = leg->backlog;
		if (backlog == NULL || s->state == STATE_CLOSED)
			continue;
		ssize_t n =
		    stream_write(&leg->stream, backlog->data + backlog->at, backlog->size - backlog->at);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n < 0) {
			broken(s, leg);
			continue;
		}
		backlog->at += (size_t)n;
		if (backlog->at < backlog->size)
			continue;
		leg_forget(leg);
		rewatch(s, leg);
		relay_flushed(s, leg);
	}
}

/* Keeps what the leg could not take. There is at most what one turn read, and our own few words: the source
 * is not read meanwhile. */
static void keep(struct session *s, struct leg *to, const uint8_t *bytes, size_t n)
{
	struct backlog *backlog = to->backlog;
	if (backlog == NULL) {
		backlog = to->backlog = mem_zalloc(sizeof *backlog);
		rewatch(s, to);
		event_assign(&backlog->writable, s->worker->base, to->stream.fd,
		    (short)(stream_wants_write(&to->stream) | EV_PERSIST), on_writable, s);
		event_add(&backlog->writable, NULL);
	}
	backlog->data = mem_realloc(backlog->data, backlog->size + n);
	memcpy(backlog->data + backlog->size, bytes, n);
	backlog->size += n;
}

bool leg_write(struct session *s, struct leg *to, const uint8_t *bytes, size_t n)
{
	if (to->backlog == NULL) {
		ssize_t w = stream_write(&to->stream, bytes, n);
		if (w == (ssize_t)n)
			return true;
		if (w < 0) {
			if (errno != EAGAIN) {
				broken(s, to);
				return false;
			}
			w = 0;
		}
		bytes += w;
		n -= (size_t)w;
	}
	keep(s, to, bytes, n);
	return true;
}

void leg_close(struct session *s, struct leg *leg)
{
	leg_watch(s, leg, 0);
	leg_forget(leg);
	stream_close(&leg->stream);
}
