#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/dial.h"

enum dial_state {
	DIAL_BEGIN,     /* nothing done yet: dial_start() may not call back */
	DIAL_BACKLOG,   /* a unix socket's backlog is full; asked again in a moment */
	DIAL_CONNECT,   /* the connection is on its way */
	DIAL_ASK,       /* SSLRequest is being written */
	DIAL_ANSWER,    /* its one byte of answer is awaited */
	DIAL_HANDSHAKE, /* TLS */
	DIAL_ENDED,
};

#define BACKLOG_FIRST_NS (2 * CLOCK_MS)
#define BACKLOG_MOST_NS  (100 * CLOCK_MS)

struct dial {
	struct dial_request request;
	dial_done *done;
	void *arg;
	enum dial_state state;
	struct event event; /* the one thing waited for */
	struct stream stream;
	unsigned tried; /* endpoints given up */
	bool plain;     /* this endpoint's TLS failed and `prefer` allows to go without */
	size_t asked;   /* bytes of SSLRequest written */
	int64_t deadline_ns;
	int64_t backlog_ns;
	char error[sizeof(((struct dial_result *)0)->error)];
};

static const unsigned char ssl_request[8] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};

static void turn(evutil_socket_t fd, short what, void *arg);
static void advance(struct dial *dial);
static void begin(struct dial *dial);

static const struct endpoint *current(const struct dial *dial)
{
	const struct endpoints *endpoints = dial->request.endpoints;
	return &endpoints->at[(dial->request.first + dial->tried) % endpoints->count];
}

static void enter(struct dial *dial, enum dial_state state)
{
	dial->state = state;
}

/* Waits for the socket, or with what 0 for a moment, within the endpoint's time. */
static void await(struct dial *dial, short what, int64_t span_ns)
{
	int64_t left = dial->deadline_ns - clock_now();
	struct timeval tv = clock_timeval(span_ns < left ? span_ns : left);
	event_assign(&dial->event, dial->request.base, what == 0 ? -1 : dial->stream.fd, what, turn, dial);
	event_add(&dial->event, &tv);
}

static void await_socket(struct dial *dial, short what)
{
	await(dial, what, INT64_MAX);
}

static void dial_free(struct dial **at)
{
	struct dial *dial = *at;
	*at = NULL;
	event_del(&dial->event);
	stream_close(&dial->stream);
	endpoints_unref(&dial->request.endpoints);
	tls_context_unref(&dial->request.tls);
	mem_free(&dial);
}

static void finish(struct dial *dial)
{
	struct dial_result result = {.stream = dial->stream};
	if (dial->stream.fd >= 0)
		result.endpoint = (unsigned)(current(dial) - dial->request.endpoints->at);
	else
		memcpy(result.error, dial->error, sizeof(result.error));
	dial->stream = (struct stream){.fd = -1};
	enter(dial, DIAL_ENDED);
	dial->done(&result, dial->arg); /* in which dial_cancel() only forgets us */
	dial_free(&dial);
}

static void give_up(struct dial *dial, const char *why)
{
	snprintf(dial->error, sizeof(dial->error), "%s: %s", current(dial)->text, why);
	stream_close(&dial->stream);
	log_debug("dial", "%s", dial->error);
	dial->plain = false;
	dial->tried++;
	begin(dial);
}

/* A connection attempt of its own, to the same endpoint and within the same time. */
static void fall_back(struct dial *dial, const char *why)
{
	log_debug("dial", "%s: %s; going on without TLS", current(dial)->text, why);
	stream_close(&dial->stream);
	dial->plain = true;
	advance(dial);
}

static void tls_failed(struct dial *dial)
{
	char why[200];
	snprintf(why, sizeof(why), "%s", stream_error(&dial->stream));
	if (dial->request.mode == TLS_PREFER)
		fall_back(dial, why);
	else
		give_up(dial, why);
}

static bool wants_tls(const struct dial *dial)
{
	return dial->request.mode >= TLS_PREFER && !dial->plain &&
	    current(dial)->address.ss_family != AF_UNIX &&
	    (dial->request.tls != NULL || dial->request.mode != TLS_PREFER);
}

/* To a port of this host's own ephemeral range that nobody listens on, TCP may connect a socket to itself. */
static bool is_own_echo(int fd)
{
	struct sockaddr_storage here, there;
	socklen_t here_size = sizeof(here), there_size = sizeof(there);
	memset(&here, 0, sizeof(here));
	memset(&there, 0, sizeof(there));
	if (getsockname(fd, (struct sockaddr *)&here, &here_size) != 0 ||
	    getpeername(fd, (struct sockaddr *)&there, &there_size) != 0)
		return false;
	return here.ss_family != AF_UNIX && here_size == there_size && memcmp(&here, &there, here_size) == 0;
}

static void shake_hands(struct dial *dial)
{
	short wants = 0;
	int outcome = tls_handshake(&dial->stream, &wants);
	if (outcome > 0)
		finish(dial);
	else if (outcome < 0)
		tls_failed(dial);
	else
		await_socket(dial, wants);
}

static void start_tls(struct dial *dial)
{
	bool direct = dial->request.negotiation == TLS_NEGOTIATE_DIRECT;
	if (!tls_start(&dial->stream, dial->request.tls, current(dial)->name, direct)) {
		tls_failed(dial);
		return;
	}
	enter(dial, DIAL_HANDSHAKE);
	shake_hands(dial);
}

static void ask(struct dial *dial)
{
	ssize_t n =
	    send(dial->stream.fd, ssl_request + dial->asked, sizeof(ssl_request) - dial->asked, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		give_up(dial, strerror(errno));
		return;
	}
	dial->asked += n > 0 ? (size_t)n : 0;
	if (dial->asked < sizeof(ssl_request)) {
		await_socket(dial, EV_WRITE);
		return;
	}
	enter(dial, DIAL_ANSWER);
	await_socket(dial, EV_READ);
}

/* One byte and no more: what follows an 'S' belongs to TLS, and if it came in the clear TLS refuses it
 * (CVE-2021-23222). */
static void hear(struct dial *dial)
{
	char answer = 0;
	ssize_t n = recv(dial->stream.fd, &answer, 1, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		await_socket(dial, EV_READ);
	else if (n < 0)
		give_up(dial, strerror(errno));
	else if (n == 0)
		give_up(dial, "the server closed the connection instead of answering an SSLRequest");
	else if (answer == 'S')
		start_tls(dial);
	else if (answer == 'N' && dial->request.mode == TLS_PREFER)
		finish(dial);
	else if (answer == 'N')
		give_up(dial, "the server does not support TLS, but the configuration requires it");
	else if (answer == 'E') /* its text came in the clear from who knows whom (CVE-2024-10977) */
		give_up(dial, "the server answered an SSLRequest with an error");
	else
		give_up(dial, "the answer to an SSLRequest is not PostgreSQL's");
}

static void connected(struct dial *dial)
{
	if (current(dial)->address.ss_family != AF_UNIX && is_own_echo(dial->stream.fd)) {
		give_up(dial, strerror(ECONNREFUSED));
	} else if (!wants_tls(dial)) {
		finish(dial);
	} else if (dial->request.tls == NULL) {
		give_up(dial, "TLS is required, but there is no TLS context for it");
	} else if (dial->request.negotiation == TLS_NEGOTIATE_DIRECT) {
		start_tls(dial);
	} else {
		enter(dial, DIAL_ASK);
		dial->asked = 0;
		ask(dial);
	}
}

/* Opens the socket and sets out; also the step of a fall-back and of a full backlog. */
static void advance(struct dial *dial)
{
	const struct endpoint *endpoint = current(dial);
	dial->stream.fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (dial->stream.fd < 0) {
		give_up(dial, strerror(errno));
		return;
	}
	if (endpoint->address.ss_family != AF_UNIX && dial->request.tcp != NULL)
		dial_tune(dial->stream.fd, dial->request.tcp);
	enter(dial, DIAL_CONNECT);
	if (connect(dial->stream.fd, (const struct sockaddr *)&endpoint->address, endpoint->size) == 0) {
		connected(dial);
	} else if (errno == EINPROGRESS || errno == EINTR) {
		await_socket(dial, EV_WRITE);
	} else if (errno == EAGAIN && endpoint->address.ss_family == AF_UNIX) {
		/* Linux queues no connection to a unix socket whose backlog is full, and no event tells when
		 * there is room. */
		stream_close(&dial->stream);
		enter(dial, DIAL_BACKLOG);
		await(dial, 0, dial->backlog_ns);
		dial->backlog_ns =
		    dial->backlog_ns * 2 < BACKLOG_MOST_NS ? dial->backlog_ns * 2 : BACKLOG_MOST_NS;
	} else {
		give_up(dial, strerror(errno));
	}
}

/* The next endpoint, or the end. */
static void begin(struct dial *dial)
{
	const struct endpoints *endpoints = dial->request.endpoints;
	if (endpoints->count == 0) {
		snprintf(dial->error, sizeof(dial->error), "%s", endpoints->error);
		finish(dial);
	} else if (dial->tried >= endpoints->count) {
		finish(dial);
	} else {
		dial->deadline_ns = clock_now() + dial->request.timeout_ns;
		dial->backlog_ns = BACKLOG_FIRST_NS;
		advance(dial);
	}
}

static void timed_out(struct dial *dial)
{
	char why[80];
	const char *where = dial->state == DIAL_BACKLOG ? "in the socket's backlog"
	    : dial->state == DIAL_CONNECT               ? "connecting"
	    : dial->state == DIAL_HANDSHAKE             ? "in the TLS handshake"
							: "waiting for the answer to an SSLRequest";
	snprintf(why, sizeof(why), "timed out after %lld ms %s",
	    (long long)(dial->request.timeout_ns / CLOCK_MS), where);
	give_up(dial, why);
}

static void turn(evutil_socket_t fd, short what, void *arg)
{
	struct dial *dial = arg;
	(void)fd;
	if (dial->state != DIAL_BEGIN && clock_now() >= dial->deadline_ns) {
		timed_out(dial);
		return;
	}
	if (dial->state != DIAL_BEGIN && dial->state != DIAL_BACKLOG && (what & EV_TIMEOUT)) {
		await_socket(
		    dial, (short)(event_get_events(&dial->event) & (EV_READ | EV_WRITE))); /* a hair early */
		return;
	}
	switch (dial->state) {
	case DIAL_BEGIN:
		begin(dial);
		break;
	case DIAL_BACKLOG:
		advance(dial);
		break;
	case DIAL_CONNECT: {
		int error = 0;
		socklen_t size = sizeof(error);
		if (getsockopt(dial->stream.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
			error = errno;
		if (error != 0)
			give_up(dial, strerror(error));
		else
			connected(dial);
		break;
	}
	case DIAL_ASK:
		ask(dial);
		break;
	case DIAL_ANSWER:
		hear(dial);
		break;
	case DIAL_HANDSHAKE:
		shake_hands(dial);
		break;
	case DIAL_ENDED:
		log_panic("dial: woken after its end");
	}
}

struct dial *dial_start(const struct dial_request *request, dial_done *done, void *arg)
{
	struct dial *dial = mem_zalloc(sizeof(*dial));
	dial->request = *request;
	dial->request.endpoints = endpoints_ref(request->endpoints);
	if (request->tls != NULL)
		dial->request.tls = tls_context_ref(request->tls);
	dial->done = done;
	dial->arg = arg;
	dial->stream.fd = -1;
	enter(dial, DIAL_BEGIN);
	event_assign(&dial->event, request->base, -1, 0, turn, dial);
	event_active(&dial->event, EV_TIMEOUT, 0);
	return dial;
}

void dial_cancel(struct dial **at)
{
	struct dial *dial = *at;
	*at = NULL;
	if (dial != NULL && dial->state != DIAL_ENDED)
		dial_free(&dial);
}

static void set(int fd, int level, int option, int64_t value)
{
	int number = value > INT32_MAX ? INT32_MAX : (int)value;
	if (setsockopt(fd, level, option, &number, sizeof(number)) != 0)
		log_debug("dial", "socket option %d not set: %s", option, strerror(errno));
}

static int64_t seconds(int64_t ns)
{
	return (ns + CLOCK_S - 1) / CLOCK_S;
}

void dial_tune(int fd, const struct conf_tcp *tcp)
{
	int on = 1;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
		return; /* a unix socket */
	if (tcp->keepalive_idle_ns > 0) {
		set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(tcp->keepalive_idle_ns));
		if (tcp->keepalive_interval_ns > 0)
			set(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(tcp->keepalive_interval_ns));
		if (tcp->keepalive_count > 0)
			set(fd, IPPROTO_TCP, TCP_KEEPCNT, tcp->keepalive_count);
	}
	if (tcp->user_timeout_ns > 0)
		set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (tcp->user_timeout_ns + CLOCK_MS - 1) / CLOCK_MS);
}
