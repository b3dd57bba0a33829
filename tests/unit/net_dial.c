/* Dialling, against a stub server in the same loop that misbehaves on demand. */
#include "net_tls_certs.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/dial.h"

/* What the stub does with its nth connection:
 *  S  answers 'S' and goes on with TLS          N  answers 'N'
 *  E  answers an ErrorResponse                  X  answers something else
 *  I  answers 'S' with a plain message behind   F  answers 'S' and closes when the ClientHello comes
 *  C  closes when asked                         H  hangs: never answers      Q  closes at the first byte
 *  h  answers 'S' and hangs in the handshake    D  direct TLS       P  plain: reads no SSLRequest
 * Then every good connection answers "ping" with "pong". */
struct stub {
	struct event_base *base;
	struct event *event;
	int fd;
	unsigned short port;
	char path[64];
	const char *script;
	unsigned accepted;
	unsigned alive;
	struct visit *visits;
};

struct visit {
	struct stub *stub;
	struct visit *next;
	struct event *event;
	struct stream stream;
	char act;
	size_t asked;
	unsigned char request[8];
	enum { ASKED, HANDSHAKE, TALK, DEAF } state;
};

static struct tls_context *stub_context;

static void visit_end(struct visit *visit)
{
	if (visit->event != NULL)
		event_free(visit->event);
	visit->event = NULL;
	stream_close(&visit->stream);
}

static void visit_turn(evutil_socket_t fd, short what, void *arg);

static void visit_await(struct visit *visit, short what)
{
	if (visit->event != NULL)
		event_free(visit->event);
	visit->event = event_new(visit->stub->base, visit->stream.fd, what, visit_turn, visit);
	event_add(visit->event, NULL);
}

static void visit_tls(struct visit *visit)
{
	visit->state = HANDSHAKE;
	assert_true(tls_start(&visit->stream, stub_context, NULL, visit->act == 'D'));
	visit_await(visit, EV_READ);
}

static void visit_answer(struct visit *visit)
{
	static const unsigned char request[8] = {0, 0, 0, 8, 4, 210, 22, 47};
	assert_memory_equal(request, visit->request, 8);
	const char *answer = "";
	switch (visit->act) {
	case 'S':
	case 'F':
	case 'h':
		answer = "S";
		break;
	case 'N':
		answer = "N";
		break;
	case 'E':
		answer = "E....SFATAL....Mevil text from nobody knows whom";
		break;
	case 'X':
		answer = "HTTP/1.0 400 what";
		break;
	case 'I':
		answer = "SR....injected";
		break;
	default:
		break;
	}
	size_t size = strlen(answer);
	if (size > 0)
		assert_int_equal(size, stream_write(&visit->stream, answer, size));
	if (visit->act == 'S' || visit->act == 'I') {
		visit_tls(visit);
	} else if (visit->act == 'C') {
		visit_end(visit);
	} else if (visit->act == 'N') {
		visit->state = TALK;
		visit_await(visit, EV_READ);
	} else {
		visit->state = DEAF;
		if (visit->act == 'F')
			visit_await(visit, EV_READ);
	}
}

static void visit_turn(evutil_socket_t fd, short what, void *arg)
{
	struct visit *visit = arg;
	char bytes[64];
	short wants = EV_READ;
	(void)fd;
	(void)what;
	if (visit->state == ASKED) {
		ssize_t n = stream_read(&visit->stream, visit->request + visit->asked, 8 - visit->asked);
		if (n <= 0) {
			visit_end(visit);
			return;
		}
		visit->asked += (size_t)n;
		if (visit->asked == 8)
			visit_answer(visit);
		else
			visit_await(visit, EV_READ);
	} else if (visit->state == HANDSHAKE) {
		int end = tls_handshake(&visit->stream, &wants);
		if (end > 0)
			visit->state = TALK;
		if (end < 0)
			visit_end(visit);
		else
			visit_await(visit, wants);
	} else if (visit->state == TALK) {
		ssize_t n = stream_read(&visit->stream, bytes, sizeof(bytes));
		if (n == 4 && memcmp(bytes, "ping", 4) == 0)
			assert_int_equal(4, stream_write(&visit->stream, "pong", 4));
		if (n == 0 || (n < 0 && errno != EAGAIN))
			visit_end(visit);
		else
			visit_await(visit, EV_READ);
	} else {
		visit_end(visit);
	}
}

static void stub_accept(evutil_socket_t fd, short what, void *arg)
{
	struct stub *stub = arg;
	(void)what;
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(client >= 0);
	if (stub->accepted >= strlen(stub->script))
		fail_msg("a connection too many after %s", stub->script);
	struct visit *visit = calloc(1, sizeof(*visit));
	visit->stub = stub;
	visit->next = stub->visits;
	stub->visits = visit;
	visit->stream.fd = client;
	visit->act = stub->script[stub->accepted++];
	if (visit->act == 'D') {
		visit_tls(visit);
	} else if (visit->act != 'H') {
		visit->state = visit->act == 'P' ? TALK : visit->act == 'Q' ? DEAF : ASKED;
		visit_await(visit, EV_READ);
	}
}

static void stub_open(struct stub *stub, struct event_base *base, const char *script, bool unix_socket)
{
	memset(stub, 0, sizeof(*stub));
	stub->base = base;
	stub->script = script;
	if (unix_socket) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		snprintf(stub->path, sizeof(stub->path), "%s/stub", certs_dir);
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", stub->path);
		stub->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_int_equal(0, bind(stub->fd, (struct sockaddr *)&address, sizeof(address)));
	} else {
		struct sockaddr_in address = {
		    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t size = sizeof(address);
		stub->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_int_equal(0, bind(stub->fd, (struct sockaddr *)&address, sizeof(address)));
		assert_int_equal(0, getsockname(stub->fd, (struct sockaddr *)&address, &size));
		stub->port = ntohs(address.sin_port);
	}
	assert_int_equal(0, listen(stub->fd, unix_socket ? 1 : 128));
	stub->event = event_new(base, stub->fd, EV_READ | EV_PERSIST, stub_accept, stub);
	event_add(stub->event, NULL);
}

static void stub_close(struct stub *stub)
{
	event_free(stub->event);
	close(stub->fd);
	if (stub->path[0] != '\0')
		unlink(stub->path);
	for (struct visit *visit = stub->visits, *next; visit != NULL; visit = next) {
		next = visit->next;
		visit_end(visit);
		free(visit);
	}
}

/* Endpoints as the resolver would give them; port 0: the stub's unix socket. */
static struct endpoints *endpoints_of(
    const unsigned short *ports, unsigned count, const char *name, const char *path)
{
	struct endpoints *endpoints = mem_zalloc(sizeof(*endpoints) + count * sizeof(endpoints->at[0]));
	atomic_init(&endpoints->references, 1);
	endpoints->count = count;
	for (unsigned i = 0; i < count; i++) {
		struct endpoint *endpoint = &endpoints->at[i];
		if (ports[i] == 0) {
			struct sockaddr_un *address = (struct sockaddr_un *)&endpoint->address;
			address->sun_family = AF_UNIX;
			snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
			endpoint->size = sizeof(*address);
			snprintf(endpoint->text, sizeof(endpoint->text), "%s", path);
		} else {
			struct sockaddr_in *address = (struct sockaddr_in *)&endpoint->address;
			address->sin_family = AF_INET;
			address->sin_port = htons(ports[i]);
			address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
			endpoint->size = sizeof(*address);
			snprintf(endpoint->name, sizeof(endpoint->name), "%s", name);
			snprintf(endpoint->text, sizeof(endpoint->text), "%s:%u", name, ports[i]);
		}
	}
	return endpoints;
}

struct caller {
	struct event_base *base;
	struct dial *dial;
	struct dial_result result;
	int called;
	bool inside_start;
};

static void dialled(struct dial_result *result, void *arg)
{
	struct caller *caller = arg;
	assert_false(caller->inside_start);
	caller->result = *result;
	caller->called++;
	dial_cancel(&caller->dial); /* as an owner that ends within the call does */
	assert_null(caller->dial);
	event_base_loopbreak(caller->base);
}

static const struct conf_tcp tcp = {.keepalive_idle_ns = 60 * CLOCK_S,
    .keepalive_interval_ns = 10 * CLOCK_S,
    .keepalive_count = 5,
    .user_timeout_ns = 1500 * CLOCK_MS};

static void dial_once(struct caller *caller, const struct dial_request *request)
{
	memset(caller, 0, sizeof(*caller));
	caller->base = request->base;
	caller->inside_start = true;
	caller->dial = dial_start(request, dialled, caller);
	caller->inside_start = false;
	assert_non_null(caller->dial);
	struct timeval limit = {20, 0};
	event_base_loopexit(request->base, &limit);
	event_base_dispatch(request->base);
	assert_int_equal(1, caller->called);
}

/* The stream is usable and nothing was eaten or left over. */
static void talk(struct event_base *base, struct stream *stream)
{
	char bytes[16];
	assert_int_equal(4, stream_write(stream, "ping", 4));
	for (int turn = 0; turn < 5000; turn++) {
		struct pollfd fd = {.fd = stream->fd, .events = POLLIN};
		event_base_loop(base, EVLOOP_NONBLOCK);
		poll(&fd, 1, 1);
		ssize_t n = stream_read(stream, bytes, sizeof(bytes));
		if (n < 0 && errno == EAGAIN)
			continue;
		assert_int_equal(4, n);
		assert_memory_equal("pong", bytes, 4);
		return;
	}
	fail_msg("no answer");
}

struct row {
	const char *title;
	const char *script;
	enum conf_tls_mode mode;
	bool direct;
	bool verified; /* the client's context has a ca that the stub's certificate is not of */
	bool no_context;
	const char *error; /* NULL: connected */
	bool tls;          /* connected, with TLS */
};

static const struct row rows[] = {
    {"disable", "P", .mode = TLS_DISABLE},
    {"allow is plain", "P", .mode = TLS_ALLOW},
    {"prefer without a context is plain", "P", TLS_PREFER, .no_context = true},
    {"prefer, S", "S", TLS_PREFER, .tls = true},
    {"prefer, N", "N", .mode = TLS_PREFER},
    {"prefer, E", "E", TLS_PREFER, .error = "the server answered an SSLRequest with an error"},
    {"prefer, closed", "C", TLS_PREFER, .error = "closed the connection instead of answering"},
    {"prefer, handshake cut, then plain", "FP", .mode = TLS_PREFER},
    {"prefer, not verified, then plain", "SP", TLS_PREFER, .verified = true},
    {"prefer, injected, then plain", "IP", .mode = TLS_PREFER},
    {"require, S", "S", TLS_REQUIRE, .tls = true},
    {"require, N", "N", TLS_REQUIRE, .error = "the server does not support TLS"},
    {"require, E", "E", TLS_REQUIRE, .error = "the server answered an SSLRequest with an error"},
    {"require, junk", "X", TLS_REQUIRE, .error = "is not PostgreSQL's"},
    {"require, closed", "C", TLS_REQUIRE, .error = "closed the connection instead of answering"},
    {"require, handshake cut", "F", TLS_REQUIRE, .error = "tls: "},
    {"require, not verified", "S", TLS_REQUIRE, .verified = true, .error = "certificate verify failed"},
    {"require, plain text behind the S", "I", TLS_REQUIRE, .error = "what the peer sent is not TLS"},
    {"require without a context", "P", TLS_REQUIRE, .no_context = true, .error = "TLS is required"},
    {"direct", "D", TLS_REQUIRE, .direct = true, .tls = true},
    {"direct, not verified", "D", TLS_REQUIRE, .direct = true, .verified = true,
	.error = "certificate verify failed"},
    {"direct to a server that closes", "Q", TLS_REQUIRE, .direct = true, .error = "tls: "},
    {"direct, prefer, then plain", "QP", TLS_PREFER, .direct = true},
};

static void test_modes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct event_base *base = event_base_new();
		struct stub stub;
		struct caller caller;
		struct tls_context *context =
		    certs_context((struct conf_tls){.mode = row->mode,
				      .ca = certs_path(row->verified ? "other.crt" : "ca.crt")},
			TLS_CLIENT);
		stub_open(&stub, base, row->script, false);
		struct dial_request request = {.base = base,
		    .endpoints = endpoints_of(&stub.port, 1, "db.test", NULL),
		    .tls = row->no_context ? NULL : context,
		    .mode = row->mode,
		    .timeout_ns = 10 * CLOCK_S,
		    .tcp = &tcp,
		    .negotiation = row->direct ? TLS_NEGOTIATE_DIRECT : TLS_NEGOTIATE_POSTGRES};
		dial_once(&caller, &request);
		endpoints_unref(&request.endpoints);
		bool connected = caller.result.stream.fd >= 0;
		if (connected != (row->error == NULL))
			fail_msg("%s: %s", row->title, caller.result.error);
		if (connected) {
			assert_string_equal("", caller.result.error);
			assert_int_equal(row->tls, caller.result.stream.tls != NULL);
			assert_int_equal(strlen(row->script), stub.accepted);
			talk(base, &caller.result.stream);
		} else {
			char address[40];
			snprintf(address, sizeof(address), "db.test:%u: ", stub.port);
			assert_null(caller.result.stream.tls);
			assert_memory_equal(address, caller.result.error, strlen(address));
			if (strstr(caller.result.error, row->error) == NULL)
				fail_msg("%s: %s", row->title, caller.result.error);
			assert_null(strstr(caller.result.error, "evil"));
			assert_null(strstr(caller.result.error, "Success"));
		}
		stream_close(&caller.result.stream);
		stub_close(&stub);
		tls_context_unref(&context);
		event_base_free(base);
	}
}

/* A port that nobody listens on. */
static unsigned short dead_port(void)
{
	struct event_base *base = event_base_new();
	struct stub stub;
	stub_open(&stub, base, "", false);
	stub_close(&stub);
	event_base_free(base);
	return stub.port;
}

static void test_several_endpoints(void **state)
{
	(void)state;
	struct event_base *base = event_base_new();
	struct stub stub;
	struct caller caller;
	struct tls_context *context = certs_client_context();
	stub_open(&stub, base, "EHhSS", false);
	unsigned short ports[3] = {dead_port(), stub.port, stub.port};
	/* Refused, an error, silence past the time-out: each goes to the next, round from `first`. */
	struct dial_request request = {.base = base,
	    .endpoints = endpoints_of(ports, 3, "db.test", NULL),
	    .first = 0,
	    .tls = context,
	    .mode = TLS_REQUIRE,
	    .timeout_ns = 50 * CLOCK_MS,
	    .tcp = &tcp};
	dial_once(&caller, &request);
	assert_int_equal(-1, caller.result.stream.fd);
	assert_int_equal(2, stub.accepted);
	assert_non_null(
	    strstr(caller.result.error, "timed out after 50 ms waiting for the answer to an SSLRequest"));

	request.first = 1;
	request.timeout_ns = 2 * CLOCK_S;
	int64_t begin = clock_now();
	dial_once(&caller, &request); /* h: silent in the handshake, then S */
	assert_true(caller.result.stream.fd >= 0);
	assert_int_equal(2, caller.result.endpoint);
	assert_true(clock_now() - begin >= 2 * CLOCK_S);
	stream_close(&caller.result.stream);

	request.first = 2;
	dial_once(&caller, &request);
	assert_int_equal(2, caller.result.endpoint);
	talk(base, &caller.result.stream);
	stream_close(&caller.result.stream);
	endpoints_unref(&request.endpoints);

	request.endpoints = endpoints_of(ports, 1, "db.test", NULL);
	request.first = 5; /* of a longer list, before a reload */
	dial_once(&caller, &request);
	assert_non_null(strstr(caller.result.error, "Connection refused"));
	endpoints_unref(&request.endpoints);

	request.endpoints = endpoints_of(ports, 0, "db.test", NULL);
	snprintf(request.endpoints->error, sizeof(request.endpoints->error),
	    "cannot resolve db9: the name is not known");
	dial_once(&caller, &request);
	assert_string_equal("cannot resolve db9: the name is not known", caller.result.error);
	endpoints_unref(&request.endpoints);
	tls_context_unref(&context);
	stub_close(&stub);
	event_base_free(base);
}

static void test_unix(void **state)
{
	(void)state;
	struct event_base *base = event_base_new();
	struct stub stub;
	struct caller caller;
	struct tls_context *context = certs_client_context();
	unsigned short port = 0;
	stub_open(&stub, base, "PPPPPPPPPPPPPPPPPPPP", true);
	struct dial_request request = {.base = base,
	    .endpoints = endpoints_of(&port, 1, "", stub.path),
	    .tls = context,
	    .mode = TLS_PREFER,
	    .timeout_ns = 5 * CLOCK_S,
	    .tcp = &tcp};
	dial_once(&caller, &request);
	assert_true(caller.result.stream.fd >= 0);
	assert_null(caller.result.stream.tls);
	talk(base, &caller.result.stream);
	stream_close(&caller.result.stream);

	/* The backlog is full: refused by EAGAIN, and no event tells when there is room. */
	struct event *tick = stub.event;
	event_del(tick);
	int waiting[16], count = 0;
	for (; count < 16; count++) {
		const struct endpoint *endpoint = &request.endpoints->at[0];
		waiting[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (connect(waiting[count], (const struct sockaddr *)&endpoint->address, endpoint->size) != 0)
			break;
	}
	assert_true(count < 16);
	assert_true(errno == EAGAIN || errno == ECONNREFUSED);
	bool kernel_says_again = errno == EAGAIN;
	request.timeout_ns = 30 * CLOCK_MS;
	dial_once(&caller, &request);
	assert_int_equal(-1, caller.result.stream.fd);
	if (kernel_says_again) {
		assert_non_null(strstr(caller.result.error, "timed out after 30 ms in the socket's backlog"));
		/* and gets through where there is room in time */
		event_add(tick, NULL);
		request.timeout_ns = 5 * CLOCK_S;
		dial_once(&caller, &request);
		assert_true(caller.result.stream.fd >= 0);
		talk(base, &caller.result.stream);
		stream_close(&caller.result.stream);
	} else {
		print_message("this kernel refuses where Linux says EAGAIN: the backlog is not tested\n");
	}
	for (int i = 0; i <= count; i++)
		close(waiting[i]);
	endpoints_unref(&request.endpoints);

	request.endpoints = endpoints_of(&port, 1, "", "/nonexistent/socket");
	dial_once(&caller, &request);
	assert_string_equal("/nonexistent/socket: No such file or directory", caller.result.error);
	endpoints_unref(&request.endpoints);
	tls_context_unref(&context);
	stub_close(&stub);
	event_base_free(base);
}

static void never(struct dial_result *result, void *arg)
{
	(void)result;
	(void)arg;
	fail_msg("done ran after dial_cancel()");
}

/* At every stage: after each number of turns of the loop. */
static void test_cancel(void **state)
{
	(void)state;
	struct tls_context *context = certs_client_context();
	struct dial *none = NULL;
	dial_cancel(&none);
	for (int turns = 0; turns < 6; turns++) {
		for (const char *act = "Hh"; *act != '\0'; act++) {
			struct event_base *base = event_base_new();
			struct stub stub;
			char script[2] = {*act, '\0'};
			stub_open(&stub, base, script, false);
			struct dial_request request = {.base = base,
			    .endpoints = endpoints_of(&stub.port, 1, "db.test", NULL),
			    .tls = context,
			    .mode = TLS_REQUIRE,
			    .timeout_ns = 10 * CLOCK_S,
			    .tcp = &tcp};
			struct dial *dial = dial_start(&request, never, NULL);
			endpoints_unref(&request.endpoints); /* the dial has its own */
			for (int turn = 0; turn < turns; turn++)
				event_base_loop(base, EVLOOP_NONBLOCK);
			dial_cancel(&dial);
			assert_null(dial);
			for (int turn = 0; turn < 3; turn++)
				event_base_loop(base, EVLOOP_NONBLOCK);
			stub_close(&stub);
			event_base_free(base);
		}
	}
	tls_context_unref(&context);
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);
	assert_int_equal(0, getsockopt(fd, level, name, &value, &size));
	return value;
}

static void test_tune(void **state)
{
	(void)state;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	dial_tune(fd, &tcp);
	assert_int_not_equal(0, option(fd, IPPROTO_TCP, TCP_NODELAY));
	assert_int_not_equal(0, option(fd, SOL_SOCKET, SO_KEEPALIVE));
	assert_int_equal(60, option(fd, IPPROTO_TCP, TCP_KEEPIDLE));
	assert_int_equal(10, option(fd, IPPROTO_TCP, TCP_KEEPINTVL));
	assert_int_equal(5, option(fd, IPPROTO_TCP, TCP_KEEPCNT));
	assert_int_equal(1500, option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	struct conf_tcp bare = {.keepalive_idle_ns = 0};
	dial_tune(fd, &bare);
	assert_int_not_equal(0, option(fd, IPPROTO_TCP, TCP_NODELAY));
	assert_int_equal(0, option(fd, SOL_SOCKET, SO_KEEPALIVE));
	close(fd);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	dial_tune(fd, &tcp);
	assert_int_equal(0, option(fd, SOL_SOCKET, SO_KEEPALIVE));
	close(fd);
}

static int set_up(void **state)
{
	certs_make(state);
	stub_context = certs_server_context("server");
	return 0;
}

static int tear_down(void **state)
{
	tls_context_unref(&stub_context);
	return certs_remove(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_modes),
	    cmocka_unit_test(test_several_endpoints),
	    cmocka_unit_test(test_unix),
	    cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_tune),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
