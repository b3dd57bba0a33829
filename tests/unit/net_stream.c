/* Streams, plain and TLS: the known traps one by one. */
#include "net_tls_certs.h"

static struct tls_context *server_context, *client_context;

static int set_up(void **state)
{
	certs_make(state);
	server_context = certs_server_context("server");
	client_context = certs_client_context();
	return 0;
}

static int tear_down(void **state)
{
	tls_context_unref(&server_context);
	tls_context_unref(&client_context);
	return certs_remove(state);
}

static void tls_pair(struct stream *server, struct stream *client)
{
	certs_session(server, client, server_context, client_context);
}

/* Waits until the socket is ready; false when it does not become so. */
static bool ready(const struct stream *stream, short wants, int limit_ms)
{
	struct pollfd fd = {.fd = stream->fd, .events = wants == EV_READ ? POLLIN : POLLOUT};
	return poll(&fd, 1, limit_ms) == 1;
}

static void both_kinds(void (*test)(struct stream *one, struct stream *other))
{
	struct stream one, other;
	certs_pair(&one, &other);
	test(&one, &other);
	stream_close(&one);
	stream_close(&other);
	tls_pair(&one, &other);
	test(&one, &other);
	stream_close(&one);
	stream_close(&other);
	tls_pair(&other, &one);
	test(&one, &other);
	stream_close(&one);
	stream_close(&other);
}

static void exchange(struct stream *one, struct stream *other)
{
	char bytes[64];
	assert_int_equal(-1, stream_read(one, bytes, sizeof(bytes)));
	assert_int_equal(EAGAIN, errno);
	assert_int_equal(EV_READ, stream_wants_read(one));
	assert_false(stream_pending(one));
	assert_int_equal(5, stream_write(other, "hello", 5));
	assert_true(ready(one, EV_READ, 5000));
	assert_int_equal(2, stream_read(one, bytes, 2));
	assert_int_equal(one->tls != NULL, stream_pending(one));
	assert_int_equal(3, stream_read(one, bytes + 2, sizeof(bytes) - 2));
	assert_memory_equal("hello", bytes, 5);
	assert_false(stream_pending(one));
	assert_int_equal(-1, stream_read(one, bytes, sizeof(bytes)));
	assert_int_equal(EAGAIN, errno);
	/* the end, said properly */
	assert_int_equal(3, stream_write(other, "bye", 3));
	stream_close(other);
	assert_int_equal(-1, other->fd);
	assert_null(other->tls);
	assert_int_equal(3, stream_read(one, bytes, sizeof(bytes)));
	assert_int_equal(0, stream_read(one, bytes, sizeof(bytes)));
	assert_int_equal(0, stream_read(one, bytes, sizeof(bytes)));
	assert_false(stream_pending(one));
}

static void test_exchange(void **state)
{
	(void)state;
	both_kinds(exchange);
}

/* Without close_notify: PostgreSQL's protocol says itself where it ends. */
static void end_of_socket(struct stream *one, struct stream *other)
{
	char bytes[64];
	assert_int_equal(3, stream_write(other, "bye", 3));
	shutdown(other->fd, SHUT_WR);
	assert_int_equal(3, stream_read(one, bytes, sizeof(bytes)));
	assert_int_equal(0, stream_read(one, bytes, sizeof(bytes)));
	/* and the other direction goes on */
	assert_int_equal(4, stream_write(one, "last", 4));
	assert_int_equal(4, stream_read(other, bytes, sizeof(bytes)));
}

static void test_end_of_socket(void **state)
{
	(void)state;
	both_kinds(end_of_socket);
}

/* The process would be dead if SIGPIPE were raised. */
static void broken_pipe(struct stream *one, struct stream *other)
{
	stream_close(other);
	errno = 0;
	assert_int_equal(-1, stream_write(one, "x", 1));
	assert_int_equal(EPIPE, errno);
	assert_non_null(strstr(stream_error(one), "Broken pipe"));
	assert_null(strstr(stream_error(one), "Success"));
}

static void test_broken_pipe(void **state)
{
	(void)state;
	both_kinds(broken_pipe);
}

static void test_reset(void **state)
{
	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct stream one, other;
		char bytes[8];
		if (kind == 0)
			certs_pair(&one, &other);
		else
			tls_pair(&one, &other);
		assert_int_equal(1, stream_write(&one, "x", 1));
		close(other.fd); /* with a byte unread: a unix socket says ECONNRESET then */
		other.fd = -1;
		assert_int_equal(-1, stream_read(&one, bytes, sizeof(bytes)));
		assert_int_equal(ECONNRESET, errno);
		assert_non_null(strstr(stream_error(&one), "Connection reset by peer"));
		if (kind == 1) { /* sticky */
			assert_int_equal(-1, stream_write(&one, "x", 1));
			assert_int_equal(ECONNRESET, errno);
			assert_int_equal(-1, stream_read(&one, bytes, sizeof(bytes)));
		}
		stream_close(&one);
		stream_close(&other);
	}
}

static void test_close_closed(void **state)
{
	(void)state;
	struct stream stream = {.fd = -1};
	stream_close(&stream);
	assert_int_equal(-1, stream.fd);
	assert_false(stream_pending(&stream));
	errno = 0;
	assert_string_equal("connection closed by the peer", stream_error(&stream));
}

/* Half-way through a handshake. */
static void test_close_early(void **state)
{
	(void)state;
	struct stream server, client;
	short wants;
	char byte;
	certs_pair(&server, &client);
	assert_true(tls_start(&client, client_context, "db.test", false));
	assert_int_equal(0, tls_handshake(&client, &wants));
	assert_int_equal(EV_READ, wants);
	assert_int_equal(-1, stream_read(&client, &byte, 1));
	assert_int_equal(ENOTCONN, errno);
	assert_int_equal(-1, stream_write(&client, "x", 1));
	assert_int_equal(ENOTCONN, errno);
	assert_true(tls_start(&server, server_context, NULL, false));
	assert_int_equal(0, tls_handshake(&server, &wants));
	stream_close(&client);
	assert_int_equal(-1, tls_handshake(&server, &wants));
	stream_close(&server);
}

/* Two socket pairs with a wire between them that a test carries bytes over. */
struct wire {
	struct stream server, client;
	struct stream server_end, client_end;
};

static void wire_lay(struct wire *wire)
{
	certs_pair(&wire->server, &wire->server_end);
	certs_pair(&wire->client, &wire->client_end);
	assert_true(tls_start(&wire->server, server_context, NULL, true));
	assert_true(tls_start(&wire->client, client_context, "db.test", true));
}

static void wire_cut(struct wire *wire)
{
	stream_close(&wire->server);
	stream_close(&wire->client);
	stream_close(&wire->server_end);
	stream_close(&wire->client_end);
}

/* Carries up to size bytes; how many. */
static size_t carry(struct stream *from, struct stream *to, size_t size)
{
	char bytes[40000];
	ssize_t n = recv(from->fd, bytes, size < sizeof(bytes) ? size : sizeof(bytes), 0);
	if (n <= 0)
		return 0;
	assert_int_equal(n, send(to->fd, bytes, (size_t)n, MSG_NOSIGNAL));
	return (size_t)n;
}

static void wire_shake(struct wire *wire, size_t step)
{
	int server_end = 0, client_end = 0;
	for (int turn = 0; turn < 20000 && (server_end == 0 || client_end == 0); turn++) {
		short wants;
		if (client_end == 0)
			client_end = tls_handshake(&wire->client, &wants);
		carry(&wire->client_end, &wire->server_end, step);
		if (server_end == 0)
			server_end = tls_handshake(&wire->server, &wants);
		carry(&wire->server_end, &wire->client_end, step);
	}
	assert_int_equal(1, server_end);
	assert_int_equal(1, client_end);
}

static void test_trickle(void **state)
{
	(void)state;
	struct wire wire;
	char sent[3000], got[3000];
	wire_lay(&wire);
	wire_shake(&wire, 1);
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (char)(i * 7);
	assert_int_equal(sizeof(sent), stream_write(&wire.server, sent, sizeof(sent)));
	size_t size = 0;
	while (carry(&wire.server_end, &wire.client_end, 1) == 1) {
		ssize_t n = stream_read(&wire.client, got + size, sizeof(got) - size);
		if (n < 0) {
			assert_int_equal(EAGAIN, errno);
			assert_false(stream_pending(&wire.client));
		} else {
			size += (size_t)n;
		}
	}
	assert_int_equal(sizeof(sent), size);
	assert_memory_equal(sent, got, size);
	wire_cut(&wire);
}

/* A record and a half at every cut: what is whole is given, what is not is not promised. */
static void test_cut_records(void **state)
{
	(void)state;
	struct wire wire;
	wire_lay(&wire);
	wire_shake(&wire, 20000);
	for (size_t cut = 1; cut < 80; cut++) {
		char got[64];
		size_t size = 0;
		assert_int_equal(10, stream_write(&wire.server, "0123456789", 10));
		assert_int_equal(10, stream_write(&wire.server, "abcdefghij", 10));
		for (int part = 0; part < 2; part++) {
			carry(&wire.server_end, &wire.client_end, part == 0 ? cut : 20000);
			/* as a session would: read on while something lies inside */
			for (int reads = 0;; reads++) {
				assert_true(reads < 10);
				ssize_t n = stream_read(&wire.client, got + size, 4);
				if (n > 0)
					size += (size_t)n;
				else
					assert_int_equal(EAGAIN, errno);
				assert_true(
				    n > 0 || !stream_pending(&wire.client)); /* no promise after EAGAIN */
				if (!stream_pending(&wire.client) && !ready(&wire.client, EV_READ, 0))
					break;
			}
		}
		assert_int_equal(20, size);
		assert_memory_equal("0123456789abcdefghij", got, 20);
	}
	wire_cut(&wire);
}

static void test_corrupt(void **state)
{
	(void)state;
	struct wire wire;
	char bytes[200];
	wire_lay(&wire);
	wire_shake(&wire, 20000);
	assert_int_equal(10, stream_write(&wire.server, "0123456789", 10));
	ssize_t n = recv(wire.server_end.fd, bytes, sizeof(bytes), 0);
	assert_true(n > 10);
	bytes[n - 1] = (char)(bytes[n - 1] ^ 1);
	assert_int_equal(n, send(wire.client_end.fd, bytes, (size_t)n, 0));
	for (int again = 0; again < 2; again++) {
		assert_int_equal(-1, stream_read(&wire.client, bytes, sizeof(bytes)));
		assert_int_equal(EPROTO, errno);
		assert_non_null(strstr(stream_error(&wire.client), "tls: "));
		assert_non_null(strstr(stream_error(&wire.client), "bad record mac"));
		assert_false(stream_pending(&wire.client));
	}
	/* the other side hears of it by an alert */
	carry(&wire.client_end, &wire.server_end, 20000);
	assert_int_equal(-1, stream_read(&wire.server, bytes, sizeof(bytes)));
	assert_non_null(strstr(stream_error(&wire.server), "refused by the peer"));
	wire_cut(&wire);
}

/* A record, then the end in the middle of the next: the first is not lost. */
static void test_end_within_record(void **state)
{
	(void)state;
	struct wire wire;
	char bytes[200];
	wire_lay(&wire);
	wire_shake(&wire, 20000);
	assert_int_equal(10, stream_write(&wire.server, "0123456789", 10));
	assert_int_equal(10, stream_write(&wire.server, "abcdefghij", 10));
	carry(&wire.server_end, &wire.client_end, 50);
	shutdown(wire.client_end.fd, SHUT_WR);
	assert_int_equal(10, stream_read(&wire.client, bytes, sizeof(bytes)));
	assert_int_equal(0, stream_read(&wire.client, bytes, sizeof(bytes)));
	wire_cut(&wire);
}

/* One direction of a big transfer. */
struct flow {
	struct stream *from, *to;
	size_t sent, got;
	unsigned seed;
	bool write_blocked, read_blocked;
	unsigned blocked; /* writes that were not taken, or not whole */
};

#define FLOW_BYTES (3U << 20)

static unsigned char flow_byte(size_t at)
{
	return (unsigned char)(at ^ at >> 8 ^ at >> 16);
}

static unsigned next_number(unsigned *seed)
{
	*seed = *seed * 1103515245U + 12345U;
	return *seed >> 8;
}

static void flow_write(struct flow *flow)
{
	flow->write_blocked = false;
	if (flow->sent == FLOW_BYTES)
		return;
	/* Each time another buffer, as a relay's is; a big one, so that no fewer bytes are offered again. */
	size_t left = FLOW_BYTES - flow->sent, size = left < 70000 ? left : 70000;
	unsigned char *bytes = malloc(size);
	for (size_t i = 0; i < size; i++)
		bytes[i] = flow_byte(flow->sent + i);
	ssize_t n = stream_write(flow->from, bytes, size);
	memset(bytes, 0xee, size);
	free(bytes);
	if (n < 0) {
		if (errno != EAGAIN)
			fail_msg("write: %s", stream_error(flow->from));
		flow->write_blocked = true;
		flow->blocked++;
		return;
	}
	flow->blocked += (size_t)n < size;
	flow->sent += (size_t)n;
}

static void flow_read(struct flow *flow)
{
	unsigned char bytes[40000];
	size_t size = 1 + next_number(&flow->seed) % (next_number(&flow->seed) % 2 ? 100 : sizeof(bytes) - 1);
	ssize_t n = stream_read(flow->to, bytes, size);
	flow->read_blocked = n < 0;
	if (n < 0) {
		if (errno != EAGAIN)
			fail_msg("read: %s", stream_error(flow->to));
		return;
	}
	assert_true(n > 0);
	for (size_t i = 0; i < (size_t)n; i++)
		if (bytes[i] != flow_byte(flow->got + i))
			fail_msg("byte %zu is wrong", flow->got + i);
	flow->got += (size_t)n;
}

static void big(struct stream *one, struct stream *other)
{
	int small = 3000;
	setsockopt(one->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(other->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	struct flow flows[2] = {{.from = one, .to = other, .seed = 1}, {.from = other, .to = one, .seed = 2}};
	unsigned seed = 3;
	while (flows[0].got < FLOW_BYTES || flows[1].got < FLOW_BYTES) {
		struct flow *flow = &flows[next_number(&seed) % 2];
		if (next_number(&seed) % 2)
			flow_write(flow);
		else if (flow->got < FLOW_BYTES)
			flow_read(flow);
		/* Nobody can move: one of the descriptors must say otherwise. */
		if (flows[0].read_blocked && flows[1].read_blocked && flows[0].write_blocked &&
		    flows[1].write_blocked) {
			struct pollfd fds[2] = {{.fd = one->fd, .events = POLLIN | POLLOUT},
			    {.fd = other->fd, .events = POLLIN | POLLOUT}};
			assert_true(poll(fds, 2, 10000) > 0);
		}
	}
	assert_true(flows[0].blocked > 0 && flows[1].blocked > 0);
	assert_false(stream_pending(one));
	assert_false(stream_pending(other));
}

static void test_big(void **state)
{
	(void)state;
	both_kinds(big);
}

/* Only the descriptor's word and stream_pending() decide when to read: nothing may stay behind when the peer
 * falls silent, with its buffers given back while bytes wait inside. */
static void pending(struct stream *one, struct stream *other)
{
	static char bytes[50000];
	memset(bytes, 'p', sizeof(bytes));
	size_t sent = 0, got = 0;
	while (sent < sizeof(bytes)) {
		ssize_t n = stream_write(other, bytes + sent, sizeof(bytes) - sent);
		assert_true(n > 0);
		sent += (size_t)n;
	}
	while (got < sent) {
		char small[700];
		assert_true(stream_pending(one) || ready(one, EV_READ, 0));
		ssize_t n = stream_read(one, small, sizeof(small));
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal('p', small[i]);
		got += (size_t)n;
	}
	assert_false(stream_pending(one));
	assert_false(ready(one, EV_READ, 0));
}

static void test_pending(void **state)
{
	(void)state;
	both_kinds(pending);
}

/* Offers what is left of `total` bytes; whether some were taken. */
static bool push(struct stream *stream, size_t total, size_t *sent)
{
	static char bytes[60000];
	memset(bytes, 'k', sizeof(bytes));
	if (*sent == total)
		return false;
	ssize_t n =
	    stream_write(stream, bytes, total - *sent < sizeof(bytes) ? total - *sent : sizeof(bytes));
	if (n < 0 && errno != EAGAIN)
		fail_msg("write: %s", stream_error(stream));
	*sent += n > 0 ? (size_t)n : 0;
	return n > 0;
}

static void pull(SSL *ssl, size_t *got)
{
	char bytes[20000];
	int n = SSL_read(ssl, bytes, sizeof(bytes));
	for (int i = 0; i < n; i++)
		assert_int_equal('k', bytes[i]);
	*got += n > 0 ? (size_t)n : 0;
	ERR_clear_error();
}

/* A peer of OpenSSL alone renews its keys and asks us to, while our direction is blocked with a record half
 * sent: reading has to write. */
static void test_key_update(void **state)
{
	(void)state;
	for (int full = 0; full < 2; full++) {
		struct stream server, client;
		short wants;
		int small = 3000, server_end = 0, client_end = 0;
		certs_pair(&server, &client);
		setsockopt(server.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		assert_true(tls_start(&server, server_context, NULL, false));
		SSL_CTX *context = SSL_CTX_new(TLS_client_method());
		SSL *ssl = SSL_new(context);
		SSL_set_fd(ssl, client.fd);
		SSL_set_connect_state(ssl);
		for (int turn = 0; turn < 100 && (server_end == 0 || client_end == 0); turn++) {
			client_end = client_end ? client_end : SSL_do_handshake(ssl) == 1;
			server_end = server_end ? server_end : tls_handshake(&server, &wants);
		}
		assert_true(server_end == 1 && client_end == 1);

		const size_t total = full ? 600000 : 4;
		size_t sent = 0, got = 0;
		if (full) {
			while (push(&server, total, &sent))
				;
			assert_int_equal(EAGAIN, errno);
			assert_int_equal(EV_WRITE, stream_wants_write(&server));
		}
		assert_int_equal(1, SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED));
		assert_int_equal(5, SSL_write(ssl, "after", 5));
		char word[16];
		ssize_t word_size = -1;
		bool met = false; /* we have tried to read; only then does the peer read */
		for (int turn = 0; turn < 10000 && (word_size < 0 || got < total); turn++) {
			if (word_size < 0) {
				word_size = stream_read(&server, word, sizeof(word));
				if (word_size < 0 && errno != EAGAIN)
					fail_msg("read: %s", stream_error(&server));
				met = true;
			}
			if (met)
				pull(ssl, &got);
			push(&server, total, &sent);
		}
		assert_int_equal(5, word_size);
		assert_memory_equal("after", word, 5);
		assert_int_equal(total, sent);
		assert_int_equal(total, got);
		SSL_free(ssl);
		SSL_CTX_free(context);
		stream_close(&server);
		stream_close(&client);
	}
}

/* A peer that asks for new keys without end and reads none of our answers: a read takes a bounded time, and
 * says at last that it waits for room, so that its owner does not spin. */
static void test_key_update_flood(void **state)
{
	(void)state;
	struct stream server, server_end, client, client_end;
	static char bytes[60000];
	short wants;
	int small = 3000, done = 0, client_done = 0;
	certs_pair(&server, &server_end);
	certs_pair(&client, &client_end);
	assert_true(tls_start(&server, server_context, NULL, false));
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(context);
	SSL_set_fd(ssl, client.fd);
	SSL_set_connect_state(ssl);
	for (int turn = 0; turn < 100 && (done == 0 || client_done == 0); turn++) {
		client_done = client_done ? client_done : SSL_do_handshake(ssl) == 1;
		carry(&client_end, &server_end, 20000);
		done = done ? done : tls_handshake(&server, &wants);
		carry(&server_end, &client_end, 20000);
	}
	assert_true(done == 1 && client_done == 1);

	/* Data that came in one piece with new keys is not left inside: no event would tell of it. */
	SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
	assert_int_equal(2, SSL_write(ssl, "hi", 2));
	carry(&client_end, &server_end, 20000);
	assert_int_equal(2, stream_read(&server, bytes, sizeof(bytes)));

	/* Thousands that wait in the socket are not worked off in one call. */
	size_t size = 0;
	while (size + 100 < sizeof(bytes)) {
		SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		assert_int_equal(1, SSL_do_handshake(ssl));
		ssize_t n = recv(client_end.fd, bytes + size, sizeof(bytes) - size, 0);
		assert_true(n > 0);
		size += (size_t)n;
	}
	assert_int_equal(size, send(server_end.fd, bytes, size, 0));
	unsigned reads = 0;
	for (; ready(&server, EV_READ, 0); reads++) {
		assert_int_equal(-1, stream_read(&server, bytes, sizeof(bytes)));
		assert_int_equal(EAGAIN, errno);
		assert_false(stream_pending(&server));
	}
	assert_true(reads >= 3);

	/* Nobody reads what we answer. */
	setsockopt(server.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (unsigned turn = 0; stream_wants_read(&server) != EV_WRITE; turn++) {
		assert_true(turn < 200000);
		SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
		assert_int_equal(1, SSL_do_handshake(ssl));
		carry(&client_end, &server_end, 20000);
		assert_int_equal(-1, stream_read(&server, bytes, sizeof(bytes)));
		assert_int_equal(EAGAIN, errno);
	}
	/* Room again: the read goes on to wait for bytes. */
	for (int turn = 0; turn < 1000 && stream_wants_read(&server) == EV_WRITE; turn++) {
		while (recv(server_end.fd, bytes, sizeof(bytes), 0) > 0)
			;
		assert_int_equal(-1, stream_read(&server, bytes, sizeof(bytes)));
		assert_int_equal(EAGAIN, errno);
	}
	assert_int_equal(EV_READ, stream_wants_read(&server));
	SSL_free(ssl);
	SSL_CTX_free(context);
	stream_close(&server);
	stream_close(&server_end);
	stream_close(&client);
	stream_close(&client_end);
}

/* The value may be copied: the session does not know where its stream lies. */
static void test_moved(void **state)
{
	(void)state;
	struct stream server, client;
	tls_pair(&server, &client);
	struct stream moved = server;
	memset(&server, 0x55, sizeof(server));
	char bytes[8];
	assert_int_equal(2, stream_write(&client, "hi", 2));
	assert_int_equal(2, stream_read(&moved, bytes, sizeof(bytes)));
	stream_close(&moved);
	assert_int_equal(0, stream_read(&client, bytes, sizeof(bytes)));
	stream_close(&client);
}

/* A queue of errors that somebody else left (libpq shares OpenSSL with us) is not taken for ours. */
static void test_foreign_errors(void **state)
{
	(void)state;
	struct stream server, client;
	char bytes[8];
	tls_pair(&server, &client);
	ERR_raise(ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH);
	assert_int_equal(-1, stream_read(&server, bytes, sizeof(bytes)));
	assert_int_equal(EAGAIN, errno);
	ERR_raise(ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH);
	assert_int_equal(2, stream_write(&server, "hi", 2));
	ERR_raise(ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH);
	assert_int_equal(2, stream_read(&client, bytes, sizeof(bytes)));
	stream_close(&server);
	ERR_raise(ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH);
	assert_int_equal(0, stream_read(&client, bytes, sizeof(bytes)));
	stream_close(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_exchange),
	    cmocka_unit_test(test_end_of_socket),
	    cmocka_unit_test(test_broken_pipe),
	    cmocka_unit_test(test_reset),
	    cmocka_unit_test(test_close_closed),
	    cmocka_unit_test(test_close_early),
	    cmocka_unit_test(test_trickle),
	    cmocka_unit_test(test_cut_records),
	    cmocka_unit_test(test_corrupt),
	    cmocka_unit_test(test_end_within_record),
	    cmocka_unit_test(test_big),
	    cmocka_unit_test(test_pending),
	    cmocka_unit_test(test_key_update),
	    cmocka_unit_test(test_key_update_flood),
	    cmocka_unit_test(test_moved),
	    cmocka_unit_test(test_foreign_errors),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
