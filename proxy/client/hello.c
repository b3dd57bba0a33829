#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/listen.h"
#include "net/tls.h"
#include "session.h"

static enum conf_tls_mode listener_mode(const struct session *s)
{
	return s->listener->section->tls.mode;
}

static void begin_tls(struct session *s, bool direct)
{
	mem_free(&s->entry->input);
	s->entry->input_size = 0;
	if (!tls_start(&s->client.stream, s->listener->tls, NULL, direct)) {
		session_close(s, REASON_HANDSHAKE_FAILED, stream_error(&s->client.stream));
		return;
	}
	session_enter(s, STATE_TLS);
	hello_handshake(s);
}

void hello_handshake(struct session *s)
{
	short wants = EV_READ;
	int done = tls_handshake(&s->client.stream, &wants);
	if (done == 0) {
		leg_watch(s, &s->client, wants);
		return;
	}
	if (done < 0) {
		session_close(s, REASON_HANDSHAKE_FAILED, stream_error(&s->client.stream));
		return;
	}
	leg_watch(s, &s->client, 0);
	session_enter(s, STATE_HELLO);
}

/* One byte of answer to SSLRequest or GSSENCRequest. The socket is fresh: it always takes one byte. */
static bool answer(struct session *s, char byte)
{
	return stream_write(&s->client.stream, &byte, 1) == 1;
}

/* replication=database: a connection for logical replication, which also takes ordinary SQL. */
static bool names_database(const struct startup *startup)
{
	for (unsigned i = 0; i < startup->count; i++)
		if (strcmp(startup->parameters[i].name, "replication") == 0 &&
		    strcmp(startup->parameters[i].value, "database") == 0)
			return true;
	return false;
}

static void parsed(struct session *s)
{
	struct entry *entry = s->entry;
	const struct startup *startup = &entry->startup;
	s->user = mem_strdup(startup->user);
	s->dbname = mem_strdup(startup->database);
	if (startup->application_name != NULL)
		s->application = mem_strndup(startup->application_name, 63);
	s->physical = startup->replication && !names_database(startup);

	enum conf_tls_mode mode = listener_mode(s);
	if (mode >= TLS_REQUIRE && s->client.stream.tls == NULL) {
		session_close(s, REASON_TLS_REQUIRED, "connect with sslmode=require or stronger");
		return;
	}
	const char *fault = tls_peer_fault(&s->client.stream);
	if (fault != NULL) {
		session_close(s, REASON_TLS_CERTIFICATE, fault);
		return;
	}
	if (mode == TLS_VERIFY_FULL) {
		const char *name = tls_peer_name(&s->client.stream);
		if (name == NULL || strcmp(name, s->user) != 0) {
			session_close(
			    s, REASON_TLS_IDENTITY, "the certificate's common name must be the user name");
			return;
		}
	}
	if (atomic_load_explicit(&s->worker->limits->clients, memory_order_relaxed) >
	    s->worker->conf->limits.clients) {
		session_close(s, REASON_TOO_MANY_CLIENTS, "limits.clients is reached");
		return;
	}
	admit_ask(s);
}

/* Takes one packet off the input. */
static void consume(struct entry *entry, size_t size)
{
	entry->input_size -= size;
	memmove(entry->input, entry->input + size, entry->input_size);
}

static void understand(struct session *s)
{
	struct entry *entry = s->entry;
	for (;;) {
		const char *why = NULL;
		size_t size = 0;
		enum startup_kind kind = startup_kind(entry->input, entry->input_size, &size, &why);
		switch (kind) {
		case STARTUP_MORE:
			return;
		case STARTUP_SSL:
			if (entry->asked_tls || s->client.stream.tls != NULL) {
				session_close(s, REASON_PROTOCOL, "a second SSLRequest");
				return;
			}
			entry->asked_tls = true;
			if (listener_mode(s) == TLS_DISABLE) {
				consume(entry, size);
				if (!answer(s, 'N')) {
					session_close(s, REASON_CLIENT_ERROR, NULL);
					return;
				}
				break;
			}
			/* CVE-2021-23214: what was sent in plain text behind the request must not pass for
			 * encrypted */
			if (entry->input_size > size) {
				session_close(s, REASON_TLS_INJECTED, NULL);
				return;
			}
			if (!answer(s, 'S')) {
				session_close(s, REASON_CLIENT_ERROR, NULL);
				return;
			}
			begin_tls(s, false);
			return;
		case STARTUP_GSS:
			if (entry->asked_gss || s->client.stream.tls != NULL) {
				session_close(s, REASON_PROTOCOL, "a GSSENCRequest out of place");
				return;
			}
			entry->asked_gss = true;
			consume(entry, size);
			if (!answer(s, 'N')) {
				session_close(s, REASON_CLIENT_ERROR, NULL);
				return;
			}
			break;
		case STARTUP_CANCEL:
			cancel_begin(s, entry->input, size);
			return;
		case STARTUP_MESSAGE:
			if (!startup_parse(entry->input, size, &entry->startup, &why)) {
				session_close(s, REASON_PROTOCOL, why);
				return;
			}
			consume(entry, size);
			parsed(s);
			return;
		case STARTUP_DIRECT_TLS:
			session_close(s, REASON_PROTOCOL, "a TLS record out of place");
			return;
		case STARTUP_BAD:
			session_close(s, REASON_PROTOCOL, why);
			return;
		}
	}
}

void hello_readable(struct session *s)
{
	struct entry *entry = s->entry;
	uint8_t first;
	if (s->client.stream.tls == NULL && entry->input_size == 0 && !entry->asked_tls &&
	    !entry->asked_gss && recv(s->client.stream.fd, &first, 1, MSG_PEEK) == 1 && first == 0x16) {
		if (listener_mode(s) == TLS_DISABLE) {
			session_close(s, REASON_HANDSHAKE_FAILED, "direct TLS on a listener without TLS");
			return;
		}
		begin_tls(s, true);
		return;
	}

	/* A packet is at most STARTUP_BYTES; a client may push what follows a StartupMessage along with it.
	 */
	size_t room = STARTUP_BYTES + 64 - entry->input_size;
	ssize_t n = leg_read(s, &s->client, s->worker->buffer, room);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		session_close(s, n == 0 ? REASON_CLIENT_VANISHED : REASON_CLIENT_ERROR,
		    n == 0 ? NULL : stream_error(&s->client.stream));
		return;
	}
	entry->input = mem_realloc(entry->input, entry->input_size + (size_t)n);
	memcpy(entry->input + entry->input_size, s->worker->buffer, (size_t)n);
	entry->input_size += (size_t)n;
	understand(s);
	if (s->state == STATE_HELLO && stream_pending(&s->client.stream))
		event_active(&s->client.event, EV_READ, 0);
}
