/* TLS: every mode of both roles, what is verified, what is refused and how it is worded. */
#include "net_tls_certs.h"

static bool contains(const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		return true;
	print_message("looked for \"%s\" in \"%s\"\n", part, text);
	return false;
}

/* A row: who presents what, and how each side ends. NULL: it works; else a part of the error. */
struct row {
	const char *title;
	enum conf_tls_mode server_mode;
	const char *server_cert; /* file name without .crt */
	const char *server_ca, *server_crl;
	enum conf_tls_mode client_mode;
	const char *client_cert;
	const char *client_ca, *client_crl;
	const char *host;
	const char *client_error, *server_error;
	const char *fault; /* a listener's, with its client */
};

static const struct row rows[] = {
    {.title = "require without a ca trusts anybody", TLS_PREFER, "foreign", .client_mode = TLS_REQUIRE},
    {.title = "prefer without a ca trusts anybody", TLS_PREFER, "expired", .client_mode = TLS_PREFER},
    {.title = "require with a ca verifies it",
	TLS_PREFER,
	"foreign",
	.client_mode = TLS_REQUIRE,
	.client_ca = "ca",
	.client_error = "certificate verify failed: unable to get local issuer certificate",
	.server_error = "refused by the peer: tlsv1 alert unknown ca"},
    {.title = "require with a ca, no host name compared",
	TLS_REQUIRE,
	"server",
	.client_mode = TLS_REQUIRE,
	.client_ca = "ca",
	.host = "elsewhere.test"},
    {.title = "verify-ca",
	TLS_REQUIRE,
	"server",
	.client_mode = TLS_VERIFY_CA,
	.client_ca = "ca",
	.host = "elsewhere.test"},
    {.title = "verify-ca, wrong ca",
	TLS_REQUIRE,
	"server",
	.client_mode = TLS_VERIFY_CA,
	.client_ca = "other",
	.client_error = "certificate verify failed",
	.server_error = "unknown ca"},
    {.title = "verify-ca, self-signed",
	TLS_REQUIRE,
	"ed25519",
	.client_mode = TLS_VERIFY_CA,
	.client_ca = "ca",
	.client_error = "self-signed certificate",
	.server_error = "refused by the peer"},
    {.title = "expired",
	TLS_REQUIRE,
	"expired",
	.client_mode = TLS_VERIFY_CA,
	.client_ca = "ca",
	.client_error = "certificate has expired",
	.server_error = "certificate expired"},
    {.title = "not valid yet",
	TLS_REQUIRE,
	"early",
	.client_mode = TLS_VERIFY_CA,
	.client_ca = "ca",
	.client_error = "certificate is not yet valid",
	.server_error = "refused by the peer"},
    {.title = "verify-full by dNSName",
	TLS_REQUIRE,
	"server",
	.client_mode = TLS_VERIFY_FULL,
	.client_ca = "ca",
	.host = "db.test"},
    {.title = "verify-full, letters' case",
	TLS_REQUIRE,
	"server",
	.client_mode = TLS_VERIFY_FULL,
	.client_ca = "ca",
	.host = "DB.Test"},
    {.title = "verify-full by iPAddress",
	TLS_REQUIRE,
	"server",
	.client_mode = TLS_VERIFY_FULL,
	.client_ca = "ca",
	.host = "127.0.0.1"},
    {.title = "verify-full by IPv6",
	TLS_REQUIRE,
	"server",
	.client_mode = TLS_VERIFY_FULL,
	.client_ca = "ca",
	.host = "::1"},
    {.title = "verify-full by common name",
	TLS_REQUIRE,
	"plain-name",
	.client_mode = TLS_VERIFY_FULL,
	.client_ca = "ca",
	.host = "cn.test"},
    {.title = "verify-full, a number as common name",
	TLS_REQUIRE,
	"number",
	.client_mode = TLS_VERIFY_FULL,
	.client_ca = "ca",
	.host = "127.0.0.1"},
    {.title = "verify-full, wrong number",
	TLS_REQUIRE,
	"server",
	.client_mode = TLS_VERIFY_FULL,
	.client_ca = "ca",
	.host = "127.0.0.2",
	.client_error = "is not for host name \"127.0.0.2\""},
    {.title = "verify-full, wrong host",
	TLS_REQUIRE,
	"server",
	.client_mode = TLS_VERIFY_FULL,
	.client_ca = "ca",
	.host = "db.test.evil",
	.client_error = "(CN db.test) is not for host name \"db.test.evil\""},
    {.title = "verify-full, common name beside a dNSName is not looked at",
	TLS_REQUIRE,
	"wild",
	.client_mode = TLS_VERIFY_FULL,
	.client_ca = "ca",
	.host = "wild.test",
	.client_error = "is not for host name"},
    {.title = "wildcard",
	TLS_REQUIRE,
	"wild",
	.client_mode = TLS_VERIFY_FULL,
	.client_ca = "ca",
	.host = "a.wild.test"},
    {.title = "wildcard is one label",
	TLS_REQUIRE,
	"wild",
	.client_mode = TLS_VERIFY_FULL,
	.client_ca = "ca",
	.host = "a.b.wild.test",
	.client_error = "is not for host name"},
    {.title = "revoked by the client's list",
	TLS_REQUIRE,
	"bob",
	.client_mode = TLS_VERIFY_CA,
	.client_ca = "ca",
	.client_crl = "bob",
	.client_error = "certificate revoked",
	.server_error = "certificate revoked"},
    {.title = "not revoked by the client's list",
	TLS_REQUIRE,
	"server",
	.client_mode = TLS_VERIFY_FULL,
	.client_ca = "ca",
	.client_crl = "bob",
	.host = "db.test"},
    {.title = "client certificate",
	TLS_VERIFY_CA,
	"server",
	"ca",
	.client_mode = TLS_REQUIRE,
	.client_cert = "alice"},
    {.title = "client certificate missing",
	TLS_VERIFY_CA,
	"server",
	"ca",
	.client_mode = TLS_REQUIRE,
	.fault = "the client has shown none"},
    {.title = "client certificate missing, verify-full",
	TLS_VERIFY_FULL,
	"server",
	"ca",
	.client_mode = TLS_REQUIRE,
	.fault = "the client has shown none"},
    {.title = "client certificate of another ca",
	TLS_VERIFY_CA,
	"server",
	"ca",
	.client_mode = TLS_REQUIRE,
	.client_cert = "mallory",
	.fault = "unable to "},
    {.title = "client certificate revoked",
	TLS_VERIFY_CA,
	"server",
	"ca",
	"bob",
	.client_mode = TLS_REQUIRE,
	.client_cert = "bob",
	.fault = "certificate revoked"},
    {.title = "client certificate not revoked",
	TLS_VERIFY_CA,
	"server",
	"ca",
	"bob",
	.client_mode = TLS_REQUIRE,
	.client_cert = "alice"},
    {.title = "a listener with a ca asks for a certificate, and does without",
	TLS_REQUIRE,
	"server",
	"ca",
	.client_mode = TLS_REQUIRE},
    {.title = "but does not take a wrong one",
	TLS_PREFER,
	"server",
	"ca",
	.client_mode = TLS_REQUIRE,
	.client_cert = "mallory",
	.fault = "unable to "},
    {.title = "without a ca a client's certificate is not asked for",
	TLS_REQUIRE,
	"server",
	.client_mode = TLS_REQUIRE,
	.client_cert = "mallory"},
};

static char *file(const char *name, const char *suffix)
{
	char text[64];
	if (name == NULL)
		return NULL;
	snprintf(text, sizeof(text), "%s%s", name, suffix);
	return certs_path(text);
}

/* In TLS 1.3 a client is done before the server has looked at its certificate: the refusal comes with the
 * first read. */
static void exchange(struct stream *stream, int *end)
{
	char byte = 'x';
	if (*end < 0)
		return;
	ssize_t n = stream_read(stream, &byte, 1);
	if (n < 0 && errno != EAGAIN)
		*end = -1;
}

static void run_row(const struct row *row, int version)
{
	struct conf_tls server_conf = {.mode = row->server_mode,
	    .cert = file(row->server_cert, ".crt"),
	    .key = file(row->server_cert, ".key"),
	    .ca = file(row->server_ca, ".crt"),
	    .crl = file(row->server_crl, ".crl"),
	    .min_version = version == 13 ? TLS_1_3 : TLS_1_2};
	struct conf_tls client_conf = {.mode = row->client_mode,
	    .cert = file(row->client_cert, ".crt"),
	    .key = file(row->client_cert, ".key"),
	    .ca = file(row->client_ca, ".crt"),
	    .crl = file(row->client_crl, ".crl"),
	    .min_version = version == 13 ? TLS_1_3 : TLS_1_2};
	struct tls_context *server_context = certs_context(server_conf, TLS_SERVER);
	struct tls_context *client_context = certs_context(client_conf, TLS_CLIENT);
	struct stream server, client;
	int server_end, client_end;
	certs_pair(&server, &client);
	assert_true(tls_start(&server, server_context, NULL, false));
	assert_true(tls_start(&client, client_context, row->host, false));
	/* A session keeps what it began with. */
	tls_context_unref(&server_context);
	tls_context_unref(&client_context);
	certs_shake(&server, &client, &server_end, &client_end);
	exchange(&client, &client_end);
	exchange(&server, &server_end);
	if ((client_end < 0) != (row->client_error != NULL) ||
	    (server_end < 0) != (row->server_error != NULL))
		fail_msg("%s: client %d %s, server %d %s", row->title, client_end, stream_error(&client),
		    server_end, stream_error(&server));
	if ((row->client_error && !contains(stream_error(&client), row->client_error)) ||
	    (row->server_error && !contains(stream_error(&server), row->server_error)))
		fail_msg("%s: wording", row->title);
	const char *fault = tls_peer_fault(&server);
	if ((fault != NULL) != (row->fault != NULL) || (fault != NULL && !contains(fault, row->fault)))
		fail_msg("%s: %s", row->title, fault != NULL ? fault : "no fault");
	if (row->server_ca != NULL && row->client_cert != NULL && server_end > 0 && row->fault == NULL)
		assert_string_equal(row->client_cert, tls_peer_name(&server));
	else if (server_end > 0)
		assert_null(tls_peer_name(&server));
	stream_close(&server);
	stream_close(&client);
	assert_int_equal(-1, server.fd);
}

static void test_modes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run_row(&rows[i], 13);
}

static void test_host_missing(void **state)
{
	(void)state;
	struct tls_context *context =
	    certs_context((struct conf_tls){.mode = TLS_VERIFY_FULL, .ca = certs_path("ca.crt")}, TLS_CLIENT);
	struct stream one, other;
	certs_pair(&one, &other);
	assert_false(tls_start(&one, context, "", false));
	assert_true(contains(stream_error(&one), "needs a host name"));
	short wants;
	assert_int_equal(-1, tls_handshake(&one, &wants));
	stream_close(&one);
	stream_close(&other);
	tls_context_unref(&context);
}

static void test_disabled(void **state)
{
	(void)state;
	struct tls_context *context = certs_context((struct conf_tls){.mode = TLS_DISABLE}, TLS_SERVER);
	struct stream one, other;
	certs_pair(&one, &other);
	assert_false(tls_start(&one, context, NULL, false));
	assert_true(contains(stream_error(&one), "mode disable"));
	char byte;
	assert_int_equal(-1, stream_read(&one, &byte, 1));
	assert_int_equal(EPROTO, errno);
	stream_close(&one);
	stream_close(&other);
	tls_context_unref(&context);
	tls_context_unref(&context); /* NULL-safe */
}

/* A peer made of OpenSSL alone, for what our own client or server does not do. */
struct raw {
	SSL_CTX *context;
	SSL *ssl;
};

static int raw_sni_seen; /* -1: none */
static char raw_sni[64];

static int remember_sni(SSL *ssl, int *alert, void *arg)
{
	(void)alert;
	(void)arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	raw_sni_seen = name != NULL ? 1 : -1;
	snprintf(raw_sni, sizeof(raw_sni), "%s", name ? name : "");
	return SSL_TLSEXT_ERR_OK;
}

static struct raw raw_new(int fd, bool server)
{
	struct raw raw;
	raw.context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	SSL_CTX_set_cipher_list(raw.context, "ALL:@SECLEVEL=0");
	SSL_CTX_set_min_proto_version(raw.context, TLS1_VERSION);
	if (server) {
		assert_int_equal(
		    1, SSL_CTX_use_certificate_chain_file(raw.context, certs_path("server.crt")));
		assert_int_equal(
		    1, SSL_CTX_use_PrivateKey_file(raw.context, certs_path("server.key"), SSL_FILETYPE_PEM));
		SSL_CTX_set_tlsext_servername_callback(raw.context, remember_sni);
	}
	raw.ssl = SSL_new(raw.context);
	SSL_set_fd(raw.ssl, fd);
	if (server)
		SSL_set_accept_state(raw.ssl);
	else
		SSL_set_connect_state(raw.ssl);
	return raw;
}

static void raw_drop(struct raw *raw)
{
	SSL_free(raw->ssl);
	SSL_CTX_free(raw->context);
}

/* The stream's end of it, and the raw peer's (1 or -1 each). */
static int shake_with_raw(struct stream *stream, struct raw *raw, int *raw_end)
{
	int end = 0;
	*raw_end = 0;
	for (int turn = 0; turn < 200 && (end == 0 || *raw_end == 0); turn++) {
		short wants;
		if (*raw_end == 0) {
			ERR_clear_error();
			int n = SSL_do_handshake(raw->ssl);
			int why = SSL_get_error(raw->ssl, n);
			*raw_end = n == 1                                               ? 1
			    : why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0
											: -1;
			if (*raw_end < 0)
				shutdown(SSL_get_fd(raw->ssl), SHUT_WR);
		}
		if (end == 0)
			end = tls_handshake(stream, &wants);
		if (end < 0)
			shutdown(stream->fd, SHUT_WR);
	}
	return end;
}

struct version_row {
	int highest;
	const char *ciphers; /* of the raw client, or NULL */
	int floor;           /* of our server: enum in conf_tls */
	const char *error, *describes;
};

static void test_versions(void **state)
{
	(void)state;
	static const struct version_row versions[] = {
	    {TLS1_VERSION, NULL, TLS_1_2, "unsupported protocol", NULL},
	    {TLS1_1_VERSION, NULL, TLS_1_2, "unsupported protocol", NULL},
	    {TLS1_2_VERSION, NULL, TLS_1_2, NULL, "TLSv1.2 ECDHE"},
	    {TLS1_3_VERSION, NULL, TLS_1_2, NULL, "TLSv1.3 TLS_"},
	    {TLS1_2_VERSION, NULL, TLS_1_3, "unsupported protocol", NULL},
	    {TLS1_2_VERSION, "AES128-SHA", TLS_1_2, "no shared cipher", NULL},
	};
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		const struct version_row *row = &versions[i];
		struct conf_tls conf = {.mode = TLS_REQUIRE,
		    .cert = certs_path("server.crt"),
		    .key = certs_path("server.key"),
		    .min_version = row->floor == TLS_1_3 ? TLS_1_3 : TLS_1_2};
		struct tls_context *context = certs_context(conf, TLS_SERVER);
		struct stream server, client;
		certs_pair(&server, &client);
		assert_true(tls_start(&server, context, NULL, false));
		struct raw raw = raw_new(client.fd, false);
		SSL_set_max_proto_version(raw.ssl, row->highest);
		if (row->ciphers)
			assert_int_equal(1, SSL_set_cipher_list(raw.ssl, row->ciphers));
		int raw_end;
		int end = shake_with_raw(&server, &raw, &raw_end);
		if (row->error != NULL) {
			assert_int_equal(-1, end);
			assert_int_equal(-1, raw_end);
			assert_true(contains(stream_error(&server), row->error));
			assert_string_equal("", tls_describe(&server));
		} else {
			assert_int_equal(1, end);
			assert_true(contains(tls_describe(&server), row->describes));
		}
		raw_drop(&raw);
		stream_close(&server);
		stream_close(&client);
		tls_context_unref(&context);
	}
}

static void test_lists(void **state)
{
	(void)state;
	struct conf_tls conf = {.mode = TLS_REQUIRE,
	    .cert = certs_path("server.crt"),
	    .key = certs_path("server.key"),
	    .ciphersuites = (char *)"TLS_CHACHA20_POLY1305_SHA256",
	    .ciphers = (char *)"ECDHE-ECDSA-AES128-GCM-SHA256",
	    .groups = (char *)"P-384"};
	struct tls_context *server_context = certs_context(conf, TLS_SERVER),
			   *client_context = certs_client_context();
	struct stream server, client;
	certs_session(&server, &client, server_context, client_context);
	assert_string_equal("TLSv1.3 TLS_CHACHA20_POLY1305_SHA256", tls_describe(&server));
	assert_string_equal("TLSv1.3 TLS_CHACHA20_POLY1305_SHA256", tls_describe(&client));
	stream_close(&server);
	stream_close(&client);
	struct conf_tls other = {.mode = TLS_REQUIRE, .groups = (char *)"P-521"};
	struct tls_context *stranger = certs_context(other, TLS_CLIENT);
	int server_end, client_end;
	certs_pair(&server, &client);
	assert_true(tls_start(&server, server_context, NULL, false));
	assert_true(tls_start(&client, stranger, NULL, false));
	certs_shake(&server, &client, &server_end, &client_end);
	assert_int_equal(-1, server_end);
	stream_close(&server);
	stream_close(&client);
	tls_context_unref(&server_context);
	tls_context_unref(&client_context);
	tls_context_unref(&stranger);
}

/* What is not TLS at all: a Query injected after SSLRequest was answered, a StartupMessage, a browser, a bare
 * close. */
static void test_plaintext(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t size;
		const char *error;
	} inputs[] = {
	    {"Q\0\0\0\x0dSELECT 1\0", 14, "what the peer sent is not TLS"},
	    {"\0\0\0\x08\0\x03\0\0", 8, "what the peer sent is not TLS"},
	    {"GET / HTTP/1.0\r\n\r\n", 18, "http request"},
	    {"", 0, "closed the connection during the handshake"},
	    {"\x16\x03\x01", 3, "closed the connection during the handshake"},
	};
	struct tls_context *context = certs_server_context("server");
	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
		struct stream server, client;
		short wants = 0;
		certs_pair(&server, &client);
		assert_true(tls_start(&server, context, NULL, false));
		assert_int_equal(0, tls_handshake(&server, &wants));
		assert_int_equal(EV_READ, wants);
		if (inputs[i].size > 0)
			assert_int_equal(
			    inputs[i].size, stream_write(&client, inputs[i].bytes, inputs[i].size));
		shutdown(client.fd, SHUT_WR);
		assert_int_equal(-1, tls_handshake(&server, &wants));
		assert_true(contains(stream_error(&server), inputs[i].error));
		char byte;
		assert_int_equal(-1, stream_read(&server, &byte, 1));
		assert_true(errno == EPROTO || errno == ECONNRESET);
		stream_close(&server);
		stream_close(&client);
	}
	/* and before a good ClientHello */
	struct tls_context *client_context = certs_client_context();
	struct stream server, client;
	int server_end, client_end;
	certs_pair(&server, &client);
	assert_int_equal(5, stream_write(&client, "X\0\0\0\4", 5));
	assert_true(tls_start(&server, context, NULL, false));
	assert_true(tls_start(&client, client_context, NULL, false));
	certs_shake(&server, &client, &server_end, &client_end);
	assert_int_equal(-1, server_end);
	assert_int_equal(-1, client_end);
	stream_close(&server);
	stream_close(&client);
	tls_context_unref(&context);
	tls_context_unref(&client_context);
}

static void test_alpn_between_streams(void **state)
{
	(void)state;
	struct tls_context *server_context = certs_server_context("server"),
			   *client_context = certs_client_context();
	for (int both = 0; both < 4; both++) {
		bool server_direct = both & 1, client_direct = both & 2;
		struct stream server, client;
		int server_end, client_end;
		certs_pair(&server, &client);
		assert_true(tls_start(&server, server_context, NULL, server_direct));
		assert_true(tls_start(&client, client_context, "db.test", client_direct));
		certs_shake(&server, &client, &server_end, &client_end);
		bool good = !server_direct || client_direct;
		assert_int_equal(good ? 1 : -1, server_end);
		assert_int_equal(good ? 1 : -1, client_end);
		if (!good) {
			assert_true(contains(stream_error(&server), "no application protocol"));
			assert_true(contains(stream_error(&client), "refused by the peer: "));
			assert_true(contains(stream_error(&client), "alert no application protocol"));
		}
		stream_close(&server);
		stream_close(&client);
	}
	tls_context_unref(&server_context);
	tls_context_unref(&client_context);
}

static void test_alpn_foreign(void **state)
{
	(void)state;
	static const struct {
		const char *offer;
		unsigned size;
		bool good;
	} offers[] = {
	    {"\x08http/1.1", 9, false}, {"\x02h2\x0apostgresql", 14, true}, {"\x0apostgresqL", 11, false}};
	struct tls_context *context = certs_server_context("server");
	for (size_t i = 0; i < 2 * sizeof(offers) / sizeof(offers[0]); i++) {
		struct stream server, client;
		int raw_end;
		certs_pair(&server, &client);
		assert_true(tls_start(&server, context, NULL, i & 1));
		struct raw raw = raw_new(client.fd, false);
		SSL_set_alpn_protos(raw.ssl, (const unsigned char *)offers[i / 2].offer, offers[i / 2].size);
		assert_int_equal(offers[i / 2].good ? 1 : -1, shake_with_raw(&server, &raw, &raw_end));
		if (offers[i / 2].good) {
			const unsigned char *chosen;
			unsigned size;
			SSL_get0_alpn_selected(raw.ssl, &chosen, &size);
			assert_int_equal(10, size);
			assert_memory_equal("postgresql", chosen, 10);
		}
		raw_drop(&raw);
		stream_close(&server);
		stream_close(&client);
	}
	tls_context_unref(&context);
}

/* A server before PostgreSQL 17 does not know ALPN; names are sent as SNI, numbers are not. */
static void test_towards_raw_server(void **state)
{
	(void)state;
	static const struct {
		const char *host;
		const char *sni;
	} hosts[] = {{"db.test", "db.test"}, {"127.0.0.1", NULL}, {"::1", NULL}, {"fe80::1%eth0", NULL},
	    {"", NULL}, {"10.example", "10.example"}};
	struct tls_context *context = certs_client_context();
	for (size_t i = 0; i < 2 * sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct stream server, client;
		bool direct = i & 1;
		int raw_end;
		certs_pair(&server, &client);
		struct raw raw = raw_new(server.fd, true);
		assert_true(tls_start(&client, context, hosts[i / 2].host, direct));
		int end = shake_with_raw(&client, &raw, &raw_end);
		assert_int_equal(direct ? -1 : 1, end);
		if (direct)
			assert_true(contains(stream_error(&client), "does not know ALPN"));
		assert_int_equal(hosts[i / 2].sni ? 1 : -1, raw_sni_seen);
		assert_string_equal(hosts[i / 2].sni ? hosts[i / 2].sni : "", raw_sni);
		raw_drop(&raw);
		stream_close(&server);
		stream_close(&client);
	}
	tls_context_unref(&context);
}

static void test_renegotiation(void **state)
{
	(void)state;
	struct tls_context *context = certs_server_context("server");
	struct stream server, client;
	int raw_end;
	certs_pair(&server, &client);
	assert_true(tls_start(&server, context, NULL, false));
	struct raw raw = raw_new(client.fd, false);
	SSL_set_max_proto_version(raw.ssl, TLS1_2_VERSION);
	assert_int_equal(1, shake_with_raw(&server, &raw, &raw_end));
	assert_false(SSL_session_reused(raw.ssl));
	assert_false(SSL_SESSION_has_ticket(SSL_get_session(raw.ssl)));
	assert_int_equal(1, SSL_renegotiate(raw.ssl));
	SSL_do_handshake(raw.ssl);
	char bytes[16];
	/* It is refused by a warning, and the session goes on: nothing to read, no failure. */
	assert_int_equal(-1, stream_read(&server, bytes, sizeof(bytes)));
	assert_int_equal(EAGAIN, errno);
	assert_int_not_equal(1, SSL_do_handshake(raw.ssl));
	ERR_clear_error();
	raw_drop(&raw);
	stream_close(&server);
	stream_close(&client);
	tls_context_unref(&context);
}

static size_t expected_hash(const char *name, const EVP_MD *digest, unsigned char *hash)
{
	FILE *f = fopen(file(name, ".crt"), "re");
	X509 *certificate = PEM_read_X509(f, NULL, NULL, NULL);
	unsigned size = 0;
	fclose(f);
	X509_digest(certificate, digest, hash, &size);
	X509_free(certificate);
	return size;
}

static void test_endpoint(void **state)
{
	(void)state;
	struct tls_context *client_context = certs_client_context();
	const struct {
		const char *name;
		const EVP_MD *digest;
	} kinds[] = {
	    {"server", EVP_sha256()}, {"sha384", EVP_sha384()}, {"sha1", EVP_sha256()}, {"ed25519", NULL}};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char error[512];
		struct conf_tls conf = {.mode = TLS_REQUIRE,
		    .cert = file(kinds[i].name, ".crt"),
		    .key = file(kinds[i].name, ".key"),
		    .ciphers = (char *)"DEFAULT:@SECLEVEL=0"};
		struct tls_context *server_context = tls_context_new(&conf, TLS_SERVER, error, sizeof(error));
		assert_non_null(server_context);
		struct stream server, client;
		unsigned char ours[TLS_ENDPOINT_BYTES], theirs[TLS_ENDPOINT_BYTES], expected[EVP_MAX_MD_SIZE];
		certs_pair(&server, &client);
		assert_int_equal(0, tls_endpoint(&server, ours));
		stream_close(&server);
		stream_close(&client);
		certs_session(&server, &client, server_context, client_context);
		size_t size = kinds[i].digest ? expected_hash(kinds[i].name, kinds[i].digest, expected) : 0;
		assert_int_equal(size, tls_endpoint(&server, ours));
		assert_int_equal(size, tls_endpoint(&client, theirs));
		if (size > 0) {
			assert_memory_equal(expected, ours, size);
			assert_memory_equal(expected, theirs, size);
		}
		stream_close(&server);
		stream_close(&client);
		tls_context_unref(&server_context);
	}
	tls_context_unref(&client_context);
}

struct bad {
	struct conf_tls conf;
	enum tls_role role;
	const char *parts[2];
};

static void test_bad_configuration(void **state)
{
	(void)state;
	char *crt = certs_path("server.crt"), *key = certs_path("server.key"), *ca = certs_path("ca.crt");
	char *open_key = certs_path("open.key"), *locked_key = certs_path("locked.key"),
	     *junk = certs_path("junk.pem");
	FILE *f = fopen(key, "re");
	EVP_PKEY *pkey = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	f = fopen(open_key, "we");
	PEM_write_PrivateKey(f, pkey, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	chmod(open_key, 0644);
	f = fopen(locked_key, "we");
	PEM_write_PrivateKey(f, pkey, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL, NULL);
	fclose(f);
	chmod(locked_key, 0600);
	EVP_PKEY_free(pkey);
	f = fopen(junk, "we");
	fputs("this is no certificate\n", f);
	fclose(f);
	chmod(junk, 0600);
	char *missing = certs_path("missing.pem");
	const struct bad bads[] = {
	    {{.mode = TLS_PREFER}, TLS_SERVER, {"tls.cert is missing"}},
	    {{.mode = TLS_PREFER, .cert = crt}, TLS_SERVER, {"tls.key is missing"}},
	    {{.mode = TLS_PREFER, .cert = crt}, TLS_CLIENT, {"tls.key is missing"}},
	    {{.mode = TLS_PREFER, .cert = missing, .key = key}, TLS_SERVER, {missing, "No such file"}},
	    {{.mode = TLS_PREFER, .cert = crt, .key = missing}, TLS_SERVER, {missing, "No such file"}},
	    {{.mode = TLS_PREFER, .cert = crt, .key = certs_dir}, TLS_SERVER,
		{certs_dir, "not a regular file"}},
	    {{.mode = TLS_PREFER, .cert = junk, .key = key}, TLS_SERVER, {junk, "no start line"}},
	    {{.mode = TLS_PREFER, .cert = crt, .key = junk}, TLS_SERVER,
		{junk, "cannot use the private key"}},
	    {{.mode = TLS_PREFER, .cert = crt, .key = open_key}, TLS_SERVER, {open_key, "chmod 0600"}},
	    {{.mode = TLS_PREFER, .cert = crt, .key = open_key}, TLS_CLIENT, {open_key, "chmod 0600"}},
	    {{.mode = TLS_PREFER, .cert = crt, .key = locked_key}, TLS_SERVER, {locked_key, "passphrase"}},
	    {{.mode = TLS_PREFER, .cert = crt, .key = certs_path("alice.key")}, TLS_SERVER,
		{crt, "does not belong"}},
	    {{.mode = TLS_VERIFY_CA, .cert = crt, .key = key}, TLS_SERVER, {"verify-ca needs tls.ca"}},
	    {{.mode = TLS_VERIFY_FULL}, TLS_CLIENT, {"verify-full needs tls.ca"}},
	    {{.mode = TLS_VERIFY_CA, .ca = missing}, TLS_CLIENT, {missing, "No such file"}},
	    {{.mode = TLS_VERIFY_CA, .ca = junk}, TLS_CLIENT, {junk, "trusted certificates"}},
	    {{.mode = TLS_REQUIRE, .crl = certs_path("bob.crl")}, TLS_CLIENT, {"no effect without tls.ca"}},
	    {{.mode = TLS_REQUIRE, .ca = ca, .crl = missing}, TLS_CLIENT, {missing, "revocation list"}},
	    {{.mode = TLS_REQUIRE, .ca = ca, .crl = junk}, TLS_CLIENT, {junk, "revocation list"}},
	    {{.mode = TLS_REQUIRE, .ciphers = (char *)"NOSUCH"}, TLS_CLIENT, {"tls.ciphers", "NOSUCH"}},
	    {{.mode = TLS_REQUIRE, .ciphersuites = (char *)"NOSUCH"}, TLS_CLIENT,
		{"tls.ciphersuites", "NOSUCH"}},
	    {{.mode = TLS_REQUIRE, .groups = (char *)"NOSUCH"}, TLS_CLIENT, {"tls.groups", "NOSUCH"}},
	};
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		char error[512] = "";
		assert_null(tls_context_new(&bads[i].conf, bads[i].role, error, sizeof(error)));
		for (int part = 0; part < 2; part++)
			if (bads[i].parts[part] != NULL && !contains(error, bads[i].parts[part]))
				fail_msg("row %zu", i);
		assert_int_equal(0, ERR_peek_error());
	}
	if (geteuid() == 0) { /* PostgreSQL's exception for a key that root lends to a group */
		chmod(open_key, 0640);
		struct conf_tls conf = {.mode = TLS_PREFER, .cert = crt, .key = open_key};
		struct tls_context *context = certs_context(conf, TLS_SERVER);
		tls_context_unref(&context);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_modes),
	    cmocka_unit_test(test_host_missing),
	    cmocka_unit_test(test_disabled),
	    cmocka_unit_test(test_versions),
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_plaintext),
	    cmocka_unit_test(test_alpn_between_streams),
	    cmocka_unit_test(test_alpn_foreign),
	    cmocka_unit_test(test_towards_raw_server),
	    cmocka_unit_test(test_renegotiation),
	    cmocka_unit_test(test_endpoint),
	    cmocka_unit_test(test_bad_configuration),
	};
	return cmocka_run_group_tests(tests, certs_make, certs_remove);
}
