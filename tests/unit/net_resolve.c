/* Names to addresses, against a name server of the test's own and a hosts file of the test's own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/clock.h"
#include "net/resolve_private.h"

static char dir[] = "/tmp/headgate-resolve-XXXXXX";
static char resolv_conf[64], hosts[64];
static struct event_base *base;
static struct resolver *resolver;

/* The name server: what it knows, and how often it was asked. */
static int dns_fd = -1;
static struct event *dns_event;
static unsigned dns_asked;

struct zone {
	const char *name;
	int code;           /* 0, 2 (failure) or 3 (no such name); -1: no answer at all */
	unsigned four, six; /* how many of each; the last byte counts from 1 */
};
static const struct zone zones[] = {
    {"two.test", 0, 2, 1},
    {"six.test", 0, 0, 1},
    {"four.test", 0, 1, 0},
    {"empty.test", 0, 0, 0},
    {"failing.test", 2, 0, 0},
    {"mute.test", -1, 0, 0},
    {"many.test", 0, 40, 0},
    {"short.search.test", 0, 1, 0},
};

static void question_name(const unsigned char *packet, size_t size, char *name, size_t *end)
{
	size_t at = 12, n = 0;
	while (at < size && packet[at] != 0) {
		for (size_t left = packet[at++]; left > 0; left--)
			name[n++] = (char)packet[at++];
		name[n++] = '.';
	}
	name[n > 0 ? n - 1 : 0] = '\0';
	*end = at + 5;
}

static void dns_answer(evutil_socket_t fd, short what, void *arg)
{
	unsigned char packet[2048];
	char name[300];
	size_t end;
	struct sockaddr_in from;
	socklen_t from_size = sizeof(from);
	(void)what;
	(void)arg;
	ssize_t n = recvfrom(fd, packet, 512, 0, (struct sockaddr *)&from, &from_size);
	assert_true(n > 12);
	dns_asked++;
	question_name(packet, (size_t)n, name, &end);
	bool six = packet[end - 3] == 28;
	struct zone zone = {.code = 3};
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		if (strcasecmp(zones[i].name, name) == 0)
			zone = zones[i];
	if (zone.code < 0)
		return;
	unsigned count = six ? zone.six : zone.four;
	packet[2] = 0x81;
	packet[3] = (unsigned char)(0x80 | zone.code);
	memset(packet + 4, 0, 8);
	packet[5] = 1;
	packet[7] = (unsigned char)count;
	for (unsigned i = 0; i < count; i++) {
		size_t length = six ? 16 : 4;
		const unsigned char head[12] = {
		    0xc0, 12, 0, six ? 28 : 1, 0, 1, 0, 0, 0, 60, 0, (unsigned char)length};
		memcpy(packet + end, head, sizeof(head));
		end += sizeof(head);
		memset(packet + end, 0, length);
		packet[end] = six ? 0xfd : 10;
		packet[end + length - 1] = (unsigned char)(i + 1);
		end += length;
	}
	assert_int_equal(end, sendto(fd, packet, end, 0, (struct sockaddr *)&from, from_size));
}

static void write_file(const char *path, const char *text)
{
	/* A new file each time, so that the time of change differs. */
	unlink(path);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	static long stamp = 1000;
	struct timespec times[2] = {{stamp, 0}, {stamp, 0}};
	stamp++;
	assert_int_equal(0, utimensat(AT_FDCWD, path, times, 0));
}

static void write_resolv_conf(void)
{
	char text[200];
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	assert_int_equal(0, getsockname(dns_fd, (struct sockaddr *)&address, &size));
	snprintf(text, sizeof(text),
	    "search search.test\nnameserver 127.0.0.1:%u\noptions timeout:1 attempts:1\n",
	    ntohs(address.sin_port));
	write_file(resolv_conf, text);
}

static int set_up(void **state)
{
	(void)state;
	base = event_base_new();
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	dns_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(0, bind(dns_fd, (struct sockaddr *)&address, sizeof(address)));
	dns_event = event_new(base, dns_fd, EV_READ | EV_PERSIST, dns_answer, NULL);
	event_add(dns_event, NULL);
	dns_asked = 0;
	write_file(
	    hosts, "127.0.0.1 localhost localhost\n10.1.1.1 db1 db1.test\n10.1.1.2 db1\nfd00::9 db6\n");
	write_resolv_conf();
	resolver = resolver_new_from(base, (struct resolver_files){resolv_conf, hosts, 20 * CLOCK_S});
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	resolver_free(&resolver);
	assert_null(resolver);
	resolver_free(&resolver);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_free(dns_event);
	close(dns_fd);
	event_base_free(base);
	return 0;
}

static struct endpoints *got;
static int calls;
static struct resolve *under_way;

static void resolved(struct endpoints *endpoints, void *arg)
{
	assert_ptr_equal(&calls, arg);
	got = endpoints;
	calls++;
	resolve_cancel(&under_way); /* as an owner that ends within the call does */
	event_base_loopbreak(base);
}

/* "db1:5432" or "/path"; the answer in got. Whether it came at once. */
static bool ask(const char *const *texts, unsigned count)
{
	struct conf_address addresses[8];
	char host[8][200];
	memset(addresses, 0, sizeof(addresses));
	for (unsigned i = 0; i < count; i++) {
		snprintf(host[i], sizeof(host[i]), "%s", texts[i]);
		if (texts[i][0] == '/') {
			addresses[i].path = host[i];
		} else {
			addresses[i].host = host[i];
			addresses[i].port = 5432;
		}
	}
	calls = 0;
	got = NULL;
	under_way = resolve_start(resolver, addresses, count, resolved, &calls);
	memset(host, 'x', sizeof(host)); /* the configuration may go */
	bool at_once = under_way == NULL;
	assert_int_equal(at_once, calls);
	if (!at_once) {
		struct timeval limit = {15, 0};
		event_base_loopexit(base, &limit);
		event_base_dispatch(base);
	}
	assert_int_equal(1, calls);
	assert_non_null(got);
	return at_once;
}

static bool ask_one(const char *text)
{
	return ask(&text, 1);
}

static const char *number(unsigned i)
{
	static char text[INET6_ADDRSTRLEN];
	assert_true(i < got->count);
	const struct sockaddr *address = (const struct sockaddr *)&got->at[i].address;
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;
		assert_int_equal(5432, ntohs(in->sin_port));
		assert_int_equal(sizeof(*in), got->at[i].size);
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
	} else {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)address;
		assert_int_equal(AF_INET6, address->sa_family);
		assert_int_equal(5432, ntohs(in->sin6_port));
		assert_int_equal(sizeof(*in), got->at[i].size);
		inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof(text));
	}
	return text;
}

static void test_at_once(void **state)
{
	(void)state;
	assert_true(ask_one("127.0.0.7"));
	assert_int_equal(1, got->count);
	assert_string_equal("127.0.0.7", number(0));
	assert_string_equal("127.0.0.7", got->at[0].name);
	assert_string_equal("127.0.0.7:5432", got->at[0].text);
	endpoints_unref(&got);

	assert_true(ask_one("::1"));
	assert_string_equal("::1", number(0));
	assert_string_equal("[::1]:5432", got->at[0].text);
	endpoints_unref(&got);

	assert_true(ask_one("/run/postgresql/.s.PGSQL.5432"));
	assert_int_equal(1, got->count);
	const struct sockaddr_un *un = (const struct sockaddr_un *)&got->at[0].address;
	assert_int_equal(AF_UNIX, un->sun_family);
	assert_string_equal("/run/postgresql/.s.PGSQL.5432", un->sun_path);
	assert_string_equal("", got->at[0].name);
	assert_string_equal("/run/postgresql/.s.PGSQL.5432", got->at[0].text);
	struct endpoints *second = endpoints_ref(got);
	endpoints_unref(&got);
	assert_null(got);
	assert_int_equal(1, second->count);
	endpoints_unref(&second);
	endpoints_unref(&second);

	char path[160];
	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_true(ask_one(path));
	assert_int_equal(0, got->count);
	assert_non_null(strstr(got->error, "107 bytes"));
	endpoints_unref(&got);

	assert_true(ask(NULL, 0));
	assert_int_equal(0, got->count);
	assert_string_not_equal("", got->error);
	endpoints_unref(&got);
	assert_int_equal(0, dns_asked);
}

static void test_hosts_file(void **state)
{
	(void)state;
	ask_one("localhost");
	assert_int_equal(1, got->count); /* named twice there */
	assert_string_equal("127.0.0.1", number(0));
	assert_string_equal("localhost:5432 (127.0.0.1)", got->at[0].text);
	endpoints_unref(&got);
	ask_one("db1");
	assert_int_equal(2, got->count);
	assert_string_equal("db1", got->at[1].name);
	endpoints_unref(&got);
	ask_one("DB6");
	assert_string_equal("fd00::9", number(0));
	endpoints_unref(&got);
	assert_int_equal(0, dns_asked);
}

static void test_server(void **state)
{
	(void)state;
	assert_false(ask_one("two.test"));
	assert_int_equal(3, got->count);
	assert_string_equal("10.0.0.1", number(0));
	assert_string_equal("10.0.0.2", number(1));
	assert_string_equal("fd00::1", number(2));
	assert_string_equal("two.test:5432 (fd00::1)", got->at[2].text);
	endpoints_unref(&got);
	ask_one("six.test");
	assert_int_equal(1, got->count);
	assert_string_equal("fd00::1", number(0));
	endpoints_unref(&got);
	ask_one("short");
	assert_int_equal(1, got->count);
	assert_string_equal("short", got->at[0].name);
	endpoints_unref(&got);
	ask_one("many.test");
	assert_int_equal(16, got->count);
	endpoints_unref(&got);
	assert_true(dns_asked > 0);
}

static void test_failures(void **state)
{
	(void)state;
	ask_one("nobody.test");
	assert_int_equal(0, got->count);
	assert_string_equal("cannot resolve nobody.test: the name is not known", got->error);
	endpoints_unref(&got);
	ask_one("empty.test");
	assert_int_equal(0, got->count);
	assert_non_null(strstr(got->error, "empty.test: "));
	endpoints_unref(&got);
	ask_one("failing.test");
	assert_int_equal(0, got->count);
	assert_non_null(strstr(got->error, "failing.test: "));
	endpoints_unref(&got);
	char name[200];
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_true(ask_one(name));
	assert_non_null(strstr(got->error, "too long"));
	endpoints_unref(&got);
}

/* In the order of the configuration, whatever is answered first; what fails is left out. */
static void test_several(void **state)
{
	(void)state;
	const char *const names[] = {
	    "four.test", "nobody.test", "10.9.9.9", "/tmp/socket", "db1", "six.test"};
	assert_false(ask(names, 6));
	assert_int_equal(6, got->count);
	const unsigned indexes[] = {0, 2, 3, 4, 4, 5};
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(indexes[i], got->at[i].index);
	assert_string_equal("10.0.0.1", number(0));
	assert_string_equal("10.9.9.9", number(1));
	assert_string_equal("fd00::1", number(5));
	endpoints_unref(&got);
}

static void never(struct endpoints *endpoints, void *arg)
{
	(void)endpoints;
	(void)arg;
	fail_msg("done ran after resolve_cancel()");
}

static void test_cancel(void **state)
{
	(void)state;
	struct resolve *none = NULL;
	resolve_cancel(&none);
	for (int turns = 0; turns < 3; turns++) {
		struct conf_address addresses[2] = {
		    {.host = (char *)"mute.test", .port = 5432}, {.host = (char *)"two.test", .port = 5432}};
		struct resolve *resolve = resolve_start(resolver, addresses, 2, never, NULL);
		assert_non_null(resolve);
		for (int turn = 0; turn < turns; turn++)
			event_base_loop(base, EVLOOP_NONBLOCK);
		resolve_cancel(&resolve);
		assert_null(resolve);
		for (int turn = 0; turn < 5; turn++)
			event_base_loop(base, EVLOOP_NONBLOCK);
	}
	/* and it still works */
	ask_one("four.test");
	assert_int_equal(1, got->count);
	endpoints_unref(&got);
}

static void test_time_limit(void **state)
{
	(void)state;
	resolver_free(&resolver);
	resolver = resolver_new_from(base, (struct resolver_files){resolv_conf, hosts, 50 * CLOCK_MS});
	int64_t begin = clock_now();
	const char *const names[] = {"mute.test", "10.9.9.9"};
	assert_false(ask(names, 2));
	assert_true(clock_now() - begin >= 45 * CLOCK_MS);
	assert_int_equal(1, got->count); /* what is known is given */
	assert_int_equal(1, got->at[0].index);
	endpoints_unref(&got);
	ask_one("mute.test");
	assert_string_equal("cannot resolve mute.test: no name server answered in time", got->error);
	endpoints_unref(&got);
}

static void test_no_server(void **state)
{
	(void)state;
	resolver_free(&resolver);
	unlink(resolv_conf);
	resolver = resolver_new_from(base, (struct resolver_files){resolv_conf, hosts, 20 * CLOCK_S});
	assert_true(ask_one("db1"));
	assert_int_equal(2, got->count);
	endpoints_unref(&got);
	assert_true(ask_one("two.test"));
	assert_int_equal(0, got->count);
	assert_string_equal(
	    "cannot resolve two.test: not in the hosts file, and there is no name server", got->error);
	endpoints_unref(&got);
	event_base_loop(base, EVLOOP_NONBLOCK);
	/* A network that comes up later: the files are read again. */
	write_resolv_conf();
	ask_one("two.test");
	assert_int_equal(3, got->count);
	endpoints_unref(&got);
	write_file(hosts, "10.7.7.7 two.test\n");
	ask_one("two.test");
	assert_int_equal(1, got->count);
	assert_string_equal("10.7.7.7", number(0));
	endpoints_unref(&got);
}

int main(void)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(resolv_conf, sizeof(resolv_conf), "%s/resolv.conf", dir);
	snprintf(hosts, sizeof(hosts), "%s/hosts", dir);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_at_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_hosts_file, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_server, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_several, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_time_limit, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_no_server, set_up, tear_down),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(resolv_conf);
	unlink(hosts);
	rmdir(dir);
	return failed;
}
