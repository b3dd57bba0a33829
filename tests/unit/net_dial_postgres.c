/* Dialling a real PostgreSQL with ssl = on, and off: the modes, a client certificate, channel binding's hash,
 * a big answer. */
#include "net_tls_certs.h"

#include <arpa/inet.h>
#include <glob.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/dial.h"

static char bin[96], data[64];
static unsigned short port;
static pid_t server_pid;
static struct event_base *base;
static struct passwd *owner; /* who runs the server when we are root, which PostgreSQL refuses to run as */

/* Runs a program as the server's owner, quietly; its pid. */
static pid_t run(char *const argv[])
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	int log = open(certs_path("server.log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	dup2(log, 1);
	dup2(log, 2);
	if (owner != NULL && (setgid(owner->pw_gid) != 0 || setuid(owner->pw_uid) != 0))
		_exit(126);
	execv(argv[0], argv);
	_exit(127);
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
	char path[160], bytes[20000];
	snprintf(path, sizeof(path), "%s/%s", data, to);
	FILE *in = fopen(certs_path(from), "re"), *out = fopen(path, "we");
	assert_true(in != NULL && out != NULL);
	size_t n = fread(bytes, 1, sizeof(bytes), in);
	assert_int_equal(n, fwrite(bytes, 1, n, out));
	fclose(in);
	fclose(out);
	assert_int_equal(0, chmod(path, mode));
	if (owner != NULL)
		assert_int_equal(0, chown(path, owner->pw_uid, owner->pw_gid));
}

static void append_file(const char *name, const char *mode, const char *text)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/%s", data, name);
	FILE *f = fopen(path, mode);
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static unsigned short free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(0, bind(fd, (struct sockaddr *)&address, sizeof(address)));
	assert_int_equal(0, getsockname(fd, (struct sockaddr *)&address, &size));
	close(fd);
	return ntohs(address.sin_port);
}

static struct endpoints *endpoints_of(bool unix_socket)
{
	struct endpoints *endpoints = mem_zalloc(sizeof(*endpoints) + sizeof(endpoints->at[0]));
	struct endpoint *endpoint = &endpoints->at[0];
	atomic_init(&endpoints->references, 1);
	endpoints->count = 1;
	if (unix_socket) {
		struct sockaddr_un *address = (struct sockaddr_un *)&endpoint->address;
		address->sun_family = AF_UNIX;
		snprintf(address->sun_path, sizeof(address->sun_path), "%s/.s.PGSQL.%u", data, port);
		endpoint->size = sizeof(*address);
	} else {
		struct sockaddr_in *address = (struct sockaddr_in *)&endpoint->address;
		address->sin_family = AF_INET;
		address->sin_port = htons(port);
		address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		endpoint->size = sizeof(*address);
		snprintf(endpoint->name, sizeof(endpoint->name), "db.test");
	}
	snprintf(endpoint->text, sizeof(endpoint->text), "server");
	return endpoints;
}

static struct dial_result answer;

static void dialled(struct dial_result *result, void *arg)
{
	(void)arg;
	answer = *result;
	event_base_loopbreak(base);
}

/* The result in `answer`; whether it connected. */
static bool dial(struct conf_tls conf, bool unix_socket)
{
	static const struct conf_tcp tcp = {.keepalive_idle_ns = 60 * CLOCK_S};
	struct tls_context *context = certs_context(conf, TLS_CLIENT);
	struct dial_request request = {.base = base,
	    .endpoints = endpoints_of(unix_socket),
	    .tls = context,
	    .mode = conf.mode,
	    .negotiation = conf.negotiation,
	    .timeout_ns = 20 * CLOCK_S,
	    .tcp = &tcp};
	struct dial *handle = dial_start(&request, dialled, NULL);
	assert_non_null(handle);
	event_base_dispatch(base);
	endpoints_unref(&request.endpoints);
	tls_context_unref(&context);
	return answer.stream.fd >= 0;
}

static void await_read(struct stream *stream)
{
	struct pollfd fd = {.fd = stream->fd, .events = POLLIN};
	if (!stream_pending(stream))
		assert_int_equal(1, poll(&fd, 1, 30000));
}

/* One message: its type; its body (cut at size) in body. */
static char message(struct stream *stream, char *body, size_t size)
{
	unsigned char head[5];
	size_t at = 0;
	while (at < sizeof(head)) {
		await_read(stream);
		ssize_t n = stream_read(stream, head + at, sizeof(head) - at);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return 0;
		at += n > 0 ? (size_t)n : 0;
	}
	size_t length = ((size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4]) - 4;
	size_t kept = 0;
	for (size_t left = length; left > 0;) {
		char bytes[16384];
		await_read(stream);
		ssize_t n = stream_read(stream, bytes, left < sizeof(bytes) ? left : sizeof(bytes));
		if (n < 0 && errno == EAGAIN)
			continue;
		assert_true(n > 0);
		for (ssize_t i = 0; i < n && kept + 1 < size; i++)
			body[kept++] = bytes[i] == '\0' ? ' ' : bytes[i];
		left -= (size_t)n;
	}
	body[kept] = '\0';
	return (char)head[0];
}

/* Logs in as user: true at ReadyForQuery; else the error is in text. */
static bool log_in(const char *user, char *text, size_t size)
{
	char packet[100] = {0, 0, 0, 0, 0, 3, 0, 0};
	size_t n = 8;
	const char *const words[] = {"user", user, "database", "postgres"};
	for (int i = 0; i < 4; i++) {
		memcpy(packet + n, words[i], strlen(words[i]) + 1);
		n += strlen(words[i]) + 1;
	}
	packet[3] = (char)++n;
	assert_int_equal(n, stream_write(&answer.stream, packet, n));
	for (;;) {
		char type = message(&answer.stream, text, size);
		if (type == 'Z')
			return true;
		if (type == 'E' || type == 0)
			return false;
	}
}

/* The first column of the first row. */
static void query(const char *sql, char *text, size_t size)
{
	char packet[300] = "Q", body[200];
	size_t length = 5 + strlen(sql);
	packet[3] = (char)(length >> 8);
	packet[4] = (char)length;
	memcpy(packet + 5, sql, strlen(sql) + 1);
	assert_int_equal(length + 1, stream_write(&answer.stream, packet, length + 1));
	text[0] = '\0';
	for (char type = 0; type != 'Z';) {
		type = message(&answer.stream, body, sizeof(body));
		assert_int_not_equal(0, type);
		if (type == 'E')
			fail_msg("%s: %s", sql, body);
		if (type == 'D')
			snprintf(text, size, "%s", body + 6);
	}
}

static void wait_until_up(void)
{
	char text[300];
	for (int64_t deadline = clock_now() + 60 * CLOCK_S; clock_now() < deadline;) {
		if (dial((struct conf_tls){.mode = TLS_DISABLE}, true)) {
			bool up = log_in("test", text, sizeof(text));
			stream_close(&answer.stream);
			if (up)
				return;
		}
		assert_int_equal(0, waitpid(server_pid, NULL, WNOHANG));
	}
	fail_msg("the server does not come up");
}

static int tear_down(void **state)
{
	char command[200];
	if (server_pid > 0) {
		kill(server_pid, SIGINT);
		waitpid(server_pid, NULL, 0);
	}
	if (base != NULL)
		event_base_free(base);
	unlink(certs_path("server.log"));
	snprintf(command, sizeof(command), "rm -rf '%s'", data);
	assert_int_equal(0, system(command));
	return certs_remove(state);
}

static int set_up(void **state)
{
	certs_make(state);
	if (geteuid() == 0) {
		owner = getpwnam("postgres");
		assert_non_null(owner);
		assert_int_equal(0, chmod(certs_dir, 0777));
	}
	snprintf(data, sizeof(data), "%s/data", certs_dir);
	base = event_base_new();
	char *initdb[] = {NULL, (char *)"-D", data, (char *)"-U", (char *)"test", (char *)"-A",
	    (char *)"trust", (char *)"--no-sync", (char *)"--no-instructions", NULL};
	char program[128];
	int status = -1;
	initdb[0] = program;
	snprintf(program, sizeof(program), "%s/initdb", bin);
	pid_t pid = run(initdb);
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_int_equal(0, status);
	copy_file("server.crt", "server.crt", 0644);
	copy_file("server.key", "server.key", 0600);
	copy_file("ca.crt", "root.crt", 0644);
	append_file("postgresql.conf", "ae",
	    "ssl = on\nssl_ca_file = 'root.crt'\nlisten_addresses = '127.0.0.1'\nfsync = off\n");
	append_file("pg_hba.conf", "we",
	    "local all all trust\nhostssl all alice all trust clientcert=verify-full\nhost all test all "
	    "trust\n");
	char port_text[8];
	char *postgres[] = {program, (char *)"-D", data, (char *)"-k", data, (char *)"-p", port_text, NULL};
	port = free_port();
	snprintf(port_text, sizeof(port_text), "%u", port);
	snprintf(program, sizeof(program), "%s/postgres", bin);
	server_pid = run(postgres);
	wait_until_up();
	assert_true(dial((struct conf_tls){.mode = TLS_DISABLE}, true));
	char text[300];
	assert_true(log_in("test", text, sizeof(text)));
	query("CREATE ROLE alice LOGIN", text, sizeof(text));
	stream_close(&answer.stream);
	return 0;
}

static void expect_session(bool tls)
{
	char text[300];
	assert_int_equal(tls, answer.stream.tls != NULL);
	if (!log_in("test", text, sizeof(text)))
		fail_msg("%s", text);
	query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", text, sizeof(text));
	assert_string_equal(tls ? "t" : "f", text);
	stream_close(&answer.stream);
}

static void test_modes(void **state)
{
	(void)state;
	char *ca = certs_path("ca.crt"), *other = certs_path("other.crt");
	assert_true(dial((struct conf_tls){.mode = TLS_DISABLE}, false));
	expect_session(false);
	assert_true(dial((struct conf_tls){.mode = TLS_ALLOW}, false));
	expect_session(false);
	for (int mode = TLS_PREFER; mode <= TLS_VERIFY_FULL; mode++) {
		assert_true(dial((struct conf_tls){.mode = (enum conf_tls_mode)mode, .ca = ca}, false));
		expect_session(true);
	}
	assert_true(
	    dial((struct conf_tls){.mode = TLS_REQUIRE, .ca = ca}, true)); /* never on a unix socket */
	expect_session(false);
	assert_true(dial((struct conf_tls){.mode = TLS_PREFER, .ca = other}, false));
	expect_session(false);
	assert_false(dial((struct conf_tls){.mode = TLS_REQUIRE, .ca = other}, false));
	assert_non_null(strstr(answer.error, "server: tls: certificate verify failed: "));
}

/* PostgreSQL before 17 knows nothing of it, and takes a ClientHello for a start-up packet of absurd length.
 */
static void test_direct(void **state)
{
	(void)state;
	assert_true(dial((struct conf_tls){.mode = TLS_DISABLE}, true));
	char text[300];
	assert_true(log_in("test", text, sizeof(text)));
	query("SHOW server_version_num", text, sizeof(text));
	stream_close(&answer.stream);
	bool knows = strtol(text, NULL, 10) >= 170000;
	assert_int_equal(
	    knows, dial((struct conf_tls){.mode = TLS_REQUIRE, .negotiation = TLS_NEGOTIATE_DIRECT}, false));
	if (knows)
		expect_session(true);
	else
		assert_non_null(strstr(answer.error, "server: tls: "));
}

static void test_client_certificate(void **state)
{
	(void)state;
	char text[300];
	assert_true(dial(
	    (struct conf_tls){
		.mode = TLS_REQUIRE, .cert = certs_path("alice.crt"), .key = certs_path("alice.key")},
	    false));
	assert_true(log_in("alice", text, sizeof(text)));
	stream_close(&answer.stream);
	assert_true(dial(
	    (struct conf_tls){
		.mode = TLS_REQUIRE, .cert = certs_path("bob.crt"), .key = certs_path("bob.key")},
	    false));
	assert_false(log_in("alice", text, sizeof(text)));
	stream_close(&answer.stream);
	/* Of another ca: in TLS 1.3 the server's word comes with the first read. */
	assert_true(dial(
	    (struct conf_tls){
		.mode = TLS_REQUIRE, .cert = certs_path("mallory.crt"), .key = certs_path("mallory.key")},
	    false));
	await_read(&answer.stream);
	assert_int_equal(-1, stream_read(&answer.stream, text, sizeof(text)));
	assert_non_null(strstr(stream_error(&answer.stream), "tls: refused by the peer: "));
	stream_close(&answer.stream);
}

static void test_endpoint(void **state)
{
	(void)state;
	unsigned char hash[TLS_ENDPOINT_BYTES], expected[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	FILE *f = fopen(certs_path("server.crt"), "re");
	X509 *certificate = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	X509_digest(certificate, EVP_sha256(), expected, &size);
	X509_free(certificate);
	assert_true(dial((struct conf_tls){.mode = TLS_REQUIRE}, false));
	assert_int_equal(size, tls_endpoint(&answer.stream, hash));
	assert_memory_equal(expected, hash, size);
	stream_close(&answer.stream);
}

static void test_big_answer(void **state)
{
	(void)state;
	char text[300];
	assert_true(dial((struct conf_tls){.mode = TLS_REQUIRE}, false));
	assert_true(log_in("test", text, sizeof(text)));
	query("SELECT count(*) || repeat('x', 20000000) FROM generate_series(1, 10)", text, 8);
	assert_string_equal("10xxxxx", text);
	query("SELECT repeat('y', 5000) FROM generate_series(1, 2000)", text, 5);
	assert_string_equal("yyyy", text);
	stream_close(&answer.stream);
}

static void test_switched_off(void **state)
{
	(void)state;
	append_file("postgresql.conf", "ae", "ssl = off\n");
	assert_int_equal(0, kill(server_pid, SIGHUP));
	/* until a fresh connection is told 'N' */
	for (int64_t deadline = clock_now() + 30 * CLOCK_S;;) {
		assert_true(clock_now() < deadline);
		if (!dial((struct conf_tls){.mode = TLS_REQUIRE}, false))
			break;
		stream_close(&answer.stream);
	}
	assert_string_equal(
	    "server: the server does not support TLS, but the configuration requires it", answer.error);
	assert_true(dial((struct conf_tls){.mode = TLS_PREFER}, false));
	expect_session(false);
}

int main(void)
{
	glob_t found;
	if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) != 0) {
		fprintf(stderr, "no PostgreSQL under /usr/lib/postgresql\n");
		return 1;
	}
	const char *last = found.gl_pathv[found.gl_pathc - 1];
	snprintf(bin, sizeof(bin), "%.*s", (int)(strrchr(last, '/') - last), last);
	globfree(&found);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_modes), cmocka_unit_test(test_direct),
	    cmocka_unit_test(test_client_certificate), cmocka_unit_test(test_endpoint),
	    cmocka_unit_test(test_big_answer),
	    cmocka_unit_test(test_switched_off), /* last: it changes the server */
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
