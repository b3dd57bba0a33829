#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/listen.h"
#include "net/tls.h"
#include "proto/frame.h"
#include "session.h"

/* The longest message of an authentication exchange, either way (GSS tokens are the big ones; PostgreSQL's
 * own limit is the same). */
#define LOGIN_BYTES 65536

/* Who the client is told could not be reached: the reason, not the address, before login. */
static void unreachable(struct session *s, const char *why)
{
	log_warning(session_label(s), "cannot reach the server: %s", why);
	const struct conf_database *section = s->place->service->section;
	session_close(s, REASON_SERVER_UNREACHABLE, section->disclose ? why : NULL);
}

static void on_dialled(struct dial_result *result, void *arg);

static void dial(struct session *s, enum conf_tls_mode mode)
{
	struct entry *entry = s->entry;
	const struct service *service = entry->dialing;
	entry->dial_mode = mode;
	const struct dial_request request = {.base = s->worker->base,
	    .endpoints = service->endpoints,
	    .first = s->place->next_endpoint,
	    .tls = service->upstream_tls,
	    .mode = mode,
	    .negotiation = service->section->upstream.tls.negotiation,
	    .timeout_ns = service->conf->limits.connect_ns,
	    .tcp = &service->conf->tcp};
	entry->dial = dial_start(&request, on_dialled, s);
}

void login_dial(struct session *s)
{
	struct service *service = s->place->service;
	session_enter(s, STATE_DIAL);
	service_unref(&s->entry->dialing);
	s->entry->dialing = service_ref(service);
	s->entry->second_dial = false;
	if (service->endpoints == NULL || service->endpoints->count == 0) {
		unreachable(s, service->endpoints != NULL ? service->endpoints->error : "no address");
		return;
	}
	if (s->place->next_endpoint >= service->endpoints->count)
		s->place->next_endpoint = 0;
	dial(s, service->section->upstream.tls.mode);
}

static void on_dialled(struct dial_result *result, void *arg)
{
	struct session *s = session_from(arg);
	struct entry *entry = s->entry;
	entry->dial = NULL;
	s->worker->now_ns = clock_now();
	if (result->stream.fd < 0) {
		unreachable(s, result->error);
		return;
	}
	s->server.stream = result->stream;
	s->endpoint = s->place->next_endpoint = result->endpoint;
	mem_free(&s->server_text);
	s->server_text = mem_strdup(entry->dialing->endpoints->at[result->endpoint].text);

	/* The verdict may have changed on the way, or its lease run out: no packet leaves on an old one. */
	if (!s->physical) {
		const struct service *service = s->place->service;
		struct verdict verdict = gate_ask(service->view, &s->head,
		    lease_deadline_under(service->lease, service->view->serial), s->worker->now_ns);
		if (verdict.kind != VERDICT_ADMIT) {
			leg_watch(s, &s->server, 0);
			stream_close(&s->server.stream);
			session_enter(s, STATE_HELD);
			admit_held(s);
			return;
		}
		s->epoch = s->place->epoch;
	}
	const struct conf_database *section = entry->dialing->section;
	struct reply packet = {0};
	startup_forward(&entry->startup,
	    section->upstream.dbname != NULL ? section->upstream.dbname : s->dbname, section->forward_head,
	    &packet);
	session_enter(s, STATE_LOGIN);
	leg_write(s, &s->server, packet.data, packet.size);
	reply_free(&packet);
	/* what the client pushed behind its StartupMessage */
	if (s->state == STATE_LOGIN && entry->input_size > 0)
		login_client_readable(s);
}

static void append(uint8_t **to, size_t *size, const uint8_t *bytes, size_t n)
{
	*to = mem_realloc(*to, *size + n);
	memcpy(*to + *size, bytes, n);
	*size += n;
}

static bool same_certificate(const struct session *s)
{
	unsigned char ours[TLS_ENDPOINT_BYTES], theirs[TLS_ENDPOINT_BYTES];
	size_t a = tls_endpoint(&s->client.stream, ours), b = tls_endpoint(&s->server.stream, theirs);
	return a > 0 && a == b && memcmp(ours, theirs, a) == 0;
}

/* AuthenticationSASL offers mechanisms. SCRAM-SHA-256-PLUS binds the exchange to the TLS channel, which ends
 * here: unless both legs show the same certificate it must not be offered (DESIGN: the channel-binding
 * table). False: the client is gone. */
static bool relay_sasl_offer(struct session *s, const uint8_t *message, size_t size)
{
	static const char plus[] = "SCRAM-SHA-256-PLUS";
	bool server_tls = s->server.stream.tls != NULL, client_tls = s->client.stream.tls != NULL;
	size_t at = FRAME_HEADER + 4;
	s->entry->sasl_first = true;
	while (at + sizeof plus <= size && memcmp(message + at, plus, sizeof plus) != 0)
		at += strnlen((const char *)message + at, size - at) + 1;
	if (at + sizeof plus > size || !server_tls || (client_tls && same_certificate(s)))
		return leg_write(s, &s->client, message, size);

	uint8_t *edited = mem_dup(message, size);
	size_t behind = at + sizeof plus;
	memcpy(edited + at, message + behind, size - behind);
	frame_put32(edited + 1, (uint32_t)(size - sizeof plus - 1));
	s->entry->plus_taken = client_tls;
	bool here = leg_write(s, &s->client, edited, size - sizeof plus);
	mem_free(&edited);
	return here;
}

/* A SASLInitialResponse: name, length, then a gs2 header that begins with n, y or p. With -PLUS taken out
 * between two TLS legs, y says "I could bind and the server cannot", which the server knows to be a downgrade
 * and refuses with a text that helps nobody. Better said here. */
static bool sasl_can_pass(struct session *s, const uint8_t *message, size_t size)
{
	if (!s->entry->plus_taken)
		return true;
	size_t name = strnlen((const char *)message + FRAME_HEADER, size - FRAME_HEADER);
	size_t at = FRAME_HEADER + name + 1 + 4;
	if (at >= size || message[at] == 'n')
		return true;
	log_warning(session_label(s),
	    "SCRAM channel binding cannot be relayed between two TLS connections with different "
	    "certificates");
	struct refusal refusal = {.sqlstate = "08P01",
	    .message = "SCRAM channel binding cannot be relayed: TLS ends at this proxy, and the server "
		       "shows another certificate",
	    .detail =
		"The client binds its authentication to the proxy's certificate, the server to its own.",
	    .hint = "Use one certificate and key on proxy and server, or connect with "
		    "channel_binding=disable, or let the proxy reach the server "
		    "through a unix socket or without TLS."};
	session_refuse(s, REASON_CHANNEL_BINDING, &refusal);
	return false;
}

/* One whole message of the server's during authentication. False: the session has left LOGIN. */
static bool server_message(struct session *s, const uint8_t *message, size_t size)
{
	struct entry *entry = s->entry;
	uint8_t type = message[0];
	s->tracker.last = (char)type;
	if (type == 'R' && size >= FRAME_HEADER + 4 && frame_be32(message + FRAME_HEADER) == 10)
		return relay_sasl_offer(s, message, size);
	if (type == 'K')
		cancel_remember(s, message + FRAME_HEADER, size - FRAME_HEADER);
	if (!leg_write(s, &s->client, message, size))
		return false;
	if (type != 'Z')
		return true;

	tracker_init(&s->tracker, size > FRAME_HEADER ? (char)message[FRAME_HEADER] : 'I');
	s->place->told_pids_stale = true;
	/* whatever the client has pushed ahead now waits as any client's bytes do */
	s->stash = entry->input;
	s->stash_size = entry->input_size;
	entry->input = NULL;
	entry->input_size = 0;
	if (s->stash_size == 0)
		mem_free(&s->stash);
	log_info(session_label(s), "connected: user %s, head %s (%s), server %s%s%s", s->user,
	    heads_text(&s->head), declare_carrier_names[s->carrier], s->server_text,
	    s->client.stream.tls != NULL ? ", " : "", tls_describe(&s->client.stream));
	s->tracker.streams_only = !s->physical;
	if (s->physical) {
		session_enter(s, STATE_REPLICA);
		relay_resume(s);
		return false;
	}
	/* as at the end of a transaction: the gate may have closed meanwhile */
	admit_settled(s);
	if (s->state == STATE_IDLE)
		relay_resume(s);
	return false;
}

/* allow and prefer: a server that refuses this kind of connection outright is tried the other way, once (as
 * libpq does). */
static bool other_way(struct session *s)
{
	struct entry *entry = s->entry;
	enum conf_tls_mode mode = entry->dialing->section->upstream.tls.mode;
	bool had_tls = s->server.stream.tls != NULL;
	if (entry->second_dial || entry->dialing->upstream_tls == NULL ||
	    (mode != TLS_ALLOW && mode != TLS_PREFER) || (mode == TLS_PREFER && !had_tls))
		return false;
	entry->second_dial = true;
	entry->answer_size = 0;
	mem_free(&entry->answer);
	leg_watch(s, &s->server, 0);
	leg_forget(&s->server);
	stream_close(&s->server.stream);
	session_enter(s, STATE_DIAL);
	dial(s, had_tls ? TLS_DISABLE : TLS_REQUIRE);
	return true;
}

void login_server_readable(struct session *s)
{
	struct entry *entry = s->entry;
	uint8_t *buffer = s->worker->buffer;
	ssize_t n = leg_read(s, &s->server, buffer, LOGIN_BYTES);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		if (s->tracker.last == 'E')
			session_close(s, REASON_SERVER_REFUSED, NULL);
		else
			session_close(s, REASON_SERVER_LOST,
			    n < 0 ? stream_error(&s->server.stream)
				  : "the server closed the connection during the login");
		return;
	}
	const uint8_t *bytes = buffer;
	size_t size = (size_t)n;
	uint8_t *joined = NULL;
	if (entry->answer_size > 0) {
		append(&entry->answer, &entry->answer_size, buffer, size);
		joined = entry->answer;
		bytes = joined;
		size = entry->answer_size;
		entry->answer = NULL;
		entry->answer_size = 0;
	}
	size_t at = 0;
	bool here = true;
	while (here && size - at >= FRAME_HEADER) {
		uint32_t length = frame_be32(bytes + at + 1);
		if (length < 4 || length > LOGIN_BYTES) {
			session_close(
			    s, REASON_SERVER_PROTOCOL, "impossible message length during the login");
			mem_free(&joined);
			return;
		}
		if (length >= size - at)
			break;
		if (s->tracker.last == 0 && bytes[at] == 'E' && other_way(s)) {
			mem_free(&joined);
			return;
		}
		here = server_message(s, bytes + at, (size_t)length + 1);
		at += (size_t)length + 1;
	}
	if (at < size && s->state == STATE_LOGIN) {
		append(&entry->answer, &entry->answer_size, bytes + at, size - at);
	} else if (at < size && s->server.stream.fd >= 0 && s->state != STATE_LINGER &&
	    s->state != STATE_CLOSED) {
		/* the server spoke on after ReadyForQuery: notifications */
		if (tracker_server(&s->tracker, bytes + at, size - at))
			leg_write(s, &s->client, bytes + at, size - at);
	}
	mem_free(&joined);
	if (s->client.backlog != NULL) /* a server that talks on has to wait for the client */
		leg_watch(s, &s->server, 0);
	else if (s->server.watching == EV_READ && stream_pending(&s->server.stream))
		event_active(&s->server.event, EV_READ, 0);
}

/* The client is read while what it says may go on: not what it has pushed ahead, nor more than the server
 * takes.
 */
void login_watch_client(struct session *s)
{
	const struct entry *entry = s->entry;
	bool ahead = entry->input_size > 0 && (entry->input[0] != 'p' || entry->input_size > LOGIN_BYTES);
	leg_watch(s, &s->client, ahead || s->server.backlog != NULL ? EV_CLOSED : EV_READ);
}

/* The client's side: only authentication messages ('p') may go to the server before the first ReadyForQuery.
 * Anything else waits, and passes the gate as any statement does. */
void login_client_readable(struct session *s)
{
	struct entry *entry = s->entry;
	ssize_t n = leg_read(s, &s->client, s->worker->buffer, LOGIN_BYTES);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		session_close(s, n == 0 ? REASON_CLIENT_VANISHED : REASON_CLIENT_ERROR, NULL);
		return;
	}
	if (n > 0) {
		append(&entry->input, &entry->input_size, s->worker->buffer, (size_t)n);
	}
	size_t at = 0;
	while (entry->input_size - at >= FRAME_HEADER && entry->input[at] == 'p') {
		uint32_t length = frame_be32(entry->input + at + 1);
		if (length < 4 || length > LOGIN_BYTES) {
			session_close(s, REASON_PROTOCOL, "impossible length of an authentication message");
			return;
		}
		if (length >= entry->input_size - at)
			break;
		bool initial = entry->sasl_first;
		entry->sasl_first = false;
		if (initial && !sasl_can_pass(s, entry->input + at, (size_t)length + 1))
			return;
		if (!leg_write(s, &s->server, entry->input + at, (size_t)length + 1))
			return;
		at += (size_t)length + 1;
	}
	mem_wipe(entry->input, at);
	entry->input_size -= at;
	if (entry->input_size > 0) {
		memmove(entry->input, entry->input + at, entry->input_size);
		if (entry->input[0] == 'X') {
			session_close(s, REASON_CLIENT_LEFT, NULL);
			return;
		}
	}
	login_watch_client(s);
	if (stream_pending(&s->client.stream) && s->client.watching == EV_READ)
		event_active(&s->client.event, EV_READ, 0);
}
