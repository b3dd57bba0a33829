#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/listen.h"
#include "session.h"

/* How long the last words may take to leave, and how long a live client may take to hang up after them. */
#define LINGER_NS   (10 * CLOCK_S)
#define FAREWELL_NS (2 * CLOCK_S)

const struct close_reason_row close_reasons[REASON_COUNT] = {
#define REASON(identifier, reason_name, state, is_error, reason_text)                                        \
	[REASON_##identifier] = {                                                                            \
	    .name = reason_name, .sqlstate = state, .text = reason_text, .error = is_error},
#include "client/reasons.def"
#undef REASON
};

static void leave_place(struct session *s)
{
	if (s->place == NULL)
		return;
	place_unready(s->place, s);
	wave_leave(s);
	TAILQ_REMOVE(&s->place->sessions, s, of_place);
	atomic_fetch_sub_explicit(&s->place->service->lease->clients, 1, memory_order_relaxed);
	struct place *place = s->place;
	s->place = NULL;
	place_drained(place);
	place_unused(place);
}

void entry_free(struct entry **place)
{
	struct entry *entry = *place;
	if (entry == NULL)
		return;
	dial_cancel(&entry->dial);
	service_unref(&entry->dialing);
	if (entry->input != NULL)
		mem_wipe(entry->input, entry->input_size); /* may hold a password */
	mem_free(&entry->input);
	mem_free(&entry->answer);
	startup_free(&entry->startup);
	mem_free(place);
}

/* The server's side goes at once; the client's may have something to hear. */
static void drop_server(struct session *s)
{
	if (s->entry != NULL)
		dial_cancel(&s->entry->dial);
	cancel_forget(s);
	leg_close(s, &s->server);
}

void session_bury(struct session *s)
{
	struct worker *worker = s->worker;
	drop_server(s);
	leg_close(s, &s->client);
	event_del(&s->timer);
	cancel_free(&s->cancel);
	entry_free(&s->entry);
	leave_place(s);
	limits_user_leave(worker->limits, &s->user_count);
	if (s->counted)
		atomic_fetch_sub_explicit(&worker->limits->clients, 1, memory_order_relaxed);
	s->counted = false;
	TAILQ_REMOVE(&worker->sessions, s, of_worker);
	worker->session_count--;
	TAILQ_INSERT_TAIL(&worker->dead, s, of_worker);
	event_active(&worker->bury, 0, 0);
}

void session_linger(struct session *s)
{
	drop_server(s);
	/* it takes nobody's place any more */
	leave_place(s);
	limits_user_leave(s->worker->limits, &s->user_count);
	session_timer(s, LINGER_NS);
	leg_watch(s, &s->client, 0);
}

void session_farewell(struct session *s)
{
	/* A close with unread bytes would reset the connection and may destroy what we said. During start-up
	 * the client waits for our answer and has nothing under way. */
	int unread = 0;
	if (s->entry != NULL && ioctl(s->client.stream.fd, FIONREAD, &unread) == 0 && unread == 0) {
		session_enter(s, STATE_CLOSED);
		return;
	}
	stream_end(&s->client.stream);
	session_timer(s, FAREWELL_NS);
	leg_watch(s, &s->client, EV_READ);
}

static void close_with(
    struct session *s, enum close_reason reason, const struct reply_error *error, const char *extra)
{
	if (s->state == STATE_LINGER || s->state == STATE_CLOSED)
		return;
	s->reason = (uint8_t)reason;
	atomic_fetch_add_explicit(&s->worker->limits->closed[reason], 1, memory_order_relaxed);
	const struct close_reason_row *row = &close_reasons[reason];
	log_line(row->error ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, session_label(s), "closed in %s: %s%s%s",
	    session_state_name(s->state), error != NULL ? error->message : row->text,
	    extra != NULL ? ": " : "", extra != NULL ? extra : "");

	if ((s->state == STATE_BUSY || s->state == STATE_GONE) && s->server.stream.fd >= 0 &&
	    !tracker_idle(&s->tracker) && !s->worker->stopping)
		orphan_adopt(s);

	/* An error can only stand between two messages, and only where the client reads messages at all. */
	bool speak = error != NULL && s->client.stream.fd >= 0 && s->state != STATE_TLS &&
	    s->state != STATE_CANCEL && tracker_server_boundary(&s->tracker);
	if (!speak && s->client.backlog == NULL) {
		session_enter(s, STATE_CLOSED);
		return;
	}
	/* In LINGER before it is written: a client that breaks then has no second reason to end for. */
	struct reply reply = {0};
	if (speak)
		reply_error(&reply, error); /* may quote the server's stream, which goes now */
	session_enter(s, STATE_LINGER);
	if (speak)
		session_say(s, reply.data, reply.size);
	reply_free(&reply);
	if (s->state == STATE_LINGER && s->client.backlog == NULL)
		session_farewell(s);
}

void session_drop(struct session *s, enum close_reason reason)
{
	close_with(s, reason, NULL, NULL);
}

void session_close(struct session *s, enum close_reason reason, const char *extra)
{
	const struct close_reason_row *row = &close_reasons[reason];
	const struct reply_error error = {
	    .severity = "FATAL", .sqlstate = row->sqlstate, .message = row->text, .detail = extra};
	close_with(s, reason, row->sqlstate[0] != '\0' ? &error : NULL, extra);
}

/* As many bytes as a name of PostgreSQL has; the rest it would cut off, and so do we (admit.c). */
#define NAME_SHOWN 63

void session_close_unserved(struct session *s, const char *why)
{
	char name[NAME_SHOWN + 1], extra[160];
	size_t size = 0;
	for (const char *c = s->dbname; *c != '\0' && size < NAME_SHOWN; c++)
		name[size++] = *c >= 0x20 && *c < 0x7f ? *c : '?';
	name[size] = '\0';
	snprintf(extra, sizeof extra, "%s database \"%s\"", why, name);
	session_close(s, REASON_NO_DATABASE, extra);
}

void session_refuse(struct session *s, enum close_reason reason, const struct refusal *refusal)
{
	const struct reply_error error = {.severity = "FATAL",
	    .sqlstate = refusal->sqlstate,
	    .message = refusal->message,
	    .detail = refusal->detail[0] != '\0' ? refusal->detail : NULL,
	    .hint = refusal->hint[0] != '\0' ? refusal->hint : NULL};
	close_with(s, reason, &error, NULL);
}

bool session_say(struct session *s, const void *bytes, size_t size)
{
	return leg_write(s, &s->client, bytes, size);
}
