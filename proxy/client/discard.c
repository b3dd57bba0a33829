#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "session.h"

/* A parked batch was cancelled: it is read and dropped up to its end, and answered as the server answers a
 * cancelled one: the error at once, ReadyForQuery when the end is there. The server is not read meanwhile, so
 * that no message of its comes in the middle of ours or loses its boundary with the tracker's start anew. */

static void over(struct session *s)
{
	s->discarding = false;
	tracker_free(&s->tracker);
	tracker_init(&s->tracker, 'I');
	s->tracker.streams_only = true;
	struct reply reply = {0};
	reply_ready(&reply, 'I');
	bool heard = session_say(s, reply.data, reply.size);
	reply_free(&reply);
	if (!heard)
		return;
	leg_watch(s, &s->server, s->client.backlog == NULL ? EV_READ : 0);
	s->held_since_ns = 0;
	s->noticed = false;
	if (s->stash_size > 0)
		leg_watch(s, &s->client, EV_CLOSED);
	else
		session_enter(s, STATE_PARKED);
	admit_view(s); /* it may have changed meanwhile; else the next batch waits its own time */
}

/* Drops what it may of these bytes; behind the end of the batch the rest waits in the stash. */
static void drop(struct session *s, const uint8_t *bytes, size_t n)
{
	size_t used = tracker_client(&s->tracker, bytes, n, true);
	if (s->tracker.violation != NULL) {
		session_close(s, REASON_PROTOCOL, s->tracker.violation);
		return;
	}
	if (s->tracker.terminated) {
		session_close(s, REASON_CLIENT_LEFT, NULL);
		return;
	}
	if (!tracker_between(&s->tracker) || tracker_settled(&s->tracker)) {
		leg_watch(s, &s->client, EV_READ);
		return;
	}
	s->stash_size = n - used;
	s->stash = n > used ? mem_dup(bytes + used, n - used) : NULL;
	over(s);
}

bool discard_begin(struct session *s)
{
	if (s->discarding || !tracker_server_boundary(&s->tracker))
		return false;
	s->discarding = true;
	leg_watch(s, &s->server, 0);
	const struct reply_error error = {.severity = "ERROR",
	    .sqlstate = "57014",
	    .message = "canceling statement due to user request",
	    .detail = "The statement was held at the gate and never reached the server."};
	struct reply reply = {0};
	reply_error(&reply, &error);
	bool heard = session_say(s, reply.data, reply.size);
	reply_free(&reply);
	if (!heard)
		return true;
	if (s->stash_size == 0) {
		leg_watch(s, &s->client, EV_READ);
		return true;
	}
	uint8_t *bytes = s->stash;
	size_t n = s->stash_size;
	s->stash = NULL;
	s->stash_size = 0;
	drop(s, bytes, n);
	mem_free(&bytes);
	return true;
}

void discard_readable(struct session *s)
{
	ssize_t n = leg_read(s, &s->client, s->worker->buffer, 4096);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		session_close(s, n == 0 ? REASON_CLIENT_VANISHED : REASON_CLIENT_ERROR, NULL);
	else
		drop(s, s->worker->buffer, (size_t)n);
}
