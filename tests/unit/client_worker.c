/* A worker whose sessions stand in every state is cut off: nothing leaks, nothing is touched afterwards, the
 * counts are back at nothing. The test plays clients, server and control thread. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "client/worker.h"
#include "net/listen.h"
#include "proto/frame.h"
#include "proto/reply.h"

#define CLIENTS 12

static struct {
	char folder[64], path[100];
	struct event_base *base;
	struct mailbox *mailbox;
	struct conf *conf;
	struct client_limits *limits;
	struct worker *workers[2];
	struct listener *listener;
	struct endpoints *endpoints;
	struct lease *lease;
	struct service *service;
	uint64_t serial;
	int server, backends[CLIENTS], clients[CLIENTS];
	unsigned backend_count, client_count, emptied, drained, wanted;
	char states[CLIENTS + 1][12];
	unsigned state_count, answers;
} stage;

static const char configuration[] = "listen: [{address: 'unix:/nowhere/listen'}]\n"
				    "workers: 2\n"
				    "databases:\n"
				    "  app:\n"
				    "    upstream: {address: 'unix:/nowhere/server'}\n"
				    "    control: {dsn: 'host=/nowhere'}\n"
				    "    recorded: {reader: alembic}\n";

static void on_drained(struct worker *worker, unsigned id, uint64_t serial, const int32_t *pids,
    unsigned pid_count, unsigned logins, void *arg)
{
	(void)worker, (void)id, (void)serial, (void)pids, (void)pid_count, (void)logins, (void)arg;
	stage.drained++;
}

static void on_wanted(struct worker *worker, const char *database, void *arg)
{
	(void)worker, (void)database, (void)arg;
	stage.wanted++;
}

static void on_emptied(struct worker *worker, void *arg)
{
	(void)worker, (void)arg;
	stage.emptied++;
}

static void on_snapshot(struct worker *worker, const struct client_row *rows, unsigned count, void *arg)
{
	(void)worker, (void)arg;
	for (unsigned i = 0; i < count; i++)
		snprintf(stage.states[stage.state_count++], sizeof stage.states[0], "%s", rows[i].state);
	stage.answers++;
}

/* Lets the workers go on until so many sessions are in that state. */
static void await(const char *state, unsigned wanted)
{
	for (int64_t end = clock_now() + 20 * CLOCK_S; clock_now() < end;) {
		stage.state_count = stage.answers = 0;
		for (unsigned i = 0; i < 2; i++)
			worker_snapshot(stage.workers[i], on_snapshot, NULL);
		while (stage.answers < 2)
			event_base_loop(stage.base, EVLOOP_ONCE);
		unsigned found = 0;
		for (unsigned i = 0; i < stage.state_count; i++)
			found += strcmp(stage.states[i], state) == 0;
		if (found == wanted)
			return;
	}
	fail_msg("%u sessions in state %s: it never came to that", wanted, state);
}

static void publish(bool hold)
{
	struct service *service = service_new(1, "app");
	service->conf = conf_ref(stage.conf);
	service->section = conf_database(stage.conf, "app");
	service->endpoints = endpoints_ref(stage.endpoints);
	service->lease = lease_ref(stage.lease);
	service->view = gate_view_new("app");
	service->view->serial = ++stage.serial;
	service->view->fresh = true;
	service->view->policy.undeclared = UNDECLARED_ADMIT;
	service->view->hold.id = hold;
	service->view->hold_max_ns = 60 * CLOCK_S;
	atomic_store(&stage.lease->serial, stage.serial);
	atomic_store(&stage.lease->deadline_ns, clock_now() + 3600 * CLOCK_S);
	for (unsigned i = 0; i < 2; i++)
		worker_publish(stage.workers[i], service);
	service_unref(&service);
}

static int set_up(void **state)
{
	(void)state;
	struct conf_errors errors = {0};
	memset(&stage, 0, sizeof stage);
	snprintf(stage.folder, sizeof stage.folder, "/tmp/client_worker.XXXXXX");
	assert_non_null(mkdtemp(stage.folder));
	snprintf(stage.path, sizeof stage.path, "%s/server", stage.folder);
	stage.conf = conf_parse("test", configuration, sizeof configuration - 1, &errors);
	assert_non_null(stage.conf);
	stage.base = event_base_new();
	stage.mailbox = mailbox_new(stage.base, NULL);
	stage.limits = client_limits_new();
	stage.lease = lease_new();
	char error[200];
	struct tls_context *tls =
	    tls_context_new(&stage.conf->listen[0].tls, TLS_SERVER, error, sizeof error);
	assert_non_null(tls);
	stage.listener = listener_new(stage.conf, &stage.conf->listen[0], tls);
	tls_context_unref(&tls);
	stage.endpoints = mem_zalloc(sizeof *stage.endpoints + sizeof stage.endpoints->at[0]);
	atomic_init(&stage.endpoints->references, 1);
	stage.endpoints->count = 1;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", stage.path);
	memcpy(&stage.endpoints->at[0].address, &address, sizeof address);
	stage.endpoints->at[0].size = sizeof address;
	stage.server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(stage.server, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(stage.server, 16), 0);
	const struct worker_handlers handlers = {
	    .drained = on_drained, .wanted = on_wanted, .emptied = on_emptied};
	for (unsigned i = 0; i < 2; i++)
		stage.workers[i] = worker_start(i, stage.conf, stage.limits, stage.mailbox, &handlers);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		worker_free(&stage.workers[i]);
	mailbox_free(&stage.mailbox); /* after the workers: what they had posted is opened here */
	client_limits_free(&stage.limits);
	listener_unref(&stage.listener);
	endpoints_unref(&stage.endpoints);
	lease_unref(&stage.lease);
	conf_unref(&stage.conf);
	event_base_free(stage.base);
	for (unsigned i = 0; i < stage.backend_count; i++)
		close(stage.backends[i]);
	for (unsigned i = 0; i < stage.client_count; i++)
		close(stage.clients[i]);
	close(stage.server);
	unlink(stage.path);
	return rmdir(stage.folder);
}

static int client(unsigned worker)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(evutil_make_socket_nonblocking(pair[0]), 0);
	worker_client(stage.workers[worker], pair[0], stage.listener);
	return stage.clients[stage.client_count++] = pair[1];
}

static void say(int fd, const void *bytes, size_t size)
{
	assert_int_equal(write(fd, bytes, size), size);
}

static int start(unsigned worker, const char *database)
{
	uint8_t packet[100] = {0};
	size_t size = 8;
	frame_put32(packet + 4, 196608);
	size += (size_t)snprintf((char *)packet + size, 50, "user%cme%cdatabase%c%s", 0, 0, 0, database) + 2;
	frame_put32(packet, (uint32_t)size);
	int fd = client(worker);
	say(fd, packet, size);
	return fd;
}

static int accepted(void)
{
	uint8_t bytes[1000];
	int fd = accept(stage.server, NULL, NULL);
	assert_true(fd >= 0 && read(fd, bytes, sizeof bytes) > 0);
	return stage.backends[stage.backend_count++] = fd;
}

/* A session that has logged in; its key is its number. */
static int session(unsigned worker, int *backend)
{
	unsigned number = stage.backend_count + 1;
	int fd = start(worker, "app");
	*backend = accepted();
	struct reply reply = {0};
	reply_authentication_ok(&reply);
	reply_backend_key(&reply, number, "key!", 4);
	reply_ready(&reply, 'I');
	say(*backend, reply.data, reply.size);
	reply_free(&reply);
	return fd;
}

static void ask_to_cancel(unsigned worker, uint32_t number)
{
	uint8_t packet[16];
	frame_put32(packet, sizeof packet);
	frame_put32(packet + 4, 80877102);
	frame_put32(packet + 8, number);
	memcpy(packet + 12, "key!", 4);
	say(client(worker), packet, sizeof packet);
}

static void leave(void)
{
	for (unsigned i = 0; i < 2; i++)
		worker_free(&stage.workers[i]);
	assert_int_equal(client_limits_clients(stage.limits), 0);
	assert_int_equal(atomic_load(&stage.lease->clients), 0);
	assert_int_equal(atomic_load(&stage.lease->held), 0);
	for (unsigned i = 0; i < stage.client_count; i++) {
		uint8_t bytes[4096];
		ssize_t n;
		while ((n = read(stage.clients[i], bytes, sizeof bytes)) > 0)
			;
		assert_true(n == 0 || errno == ECONNRESET);
	}
}

static const char query[] = "Q\0\0\0\15SELECT 1";

static void test_cut_off_in_every_state(void **state)
{
	(void)state;
	static const uint8_t junk[15000];
	int backend;
	publish(false);
	client(0);         /* hello: silent */
	start(1, "other"); /* held: a database that nobody serves */
	start(0, "app");
	accepted(); /* login: the server says nothing */
	await("login", 1);
	session(1, &backend); /* idle, then parked */
	int waiting = session(0, &backend);
	await("idle", 2);
	say(session(1, &backend), query, sizeof query);
	await("busy", 1);
	int gone = session(0, &backend);
	say(gone, query, sizeof query);
	await("busy", 2);
	shutdown(gone, SHUT_WR);
	await("gone", 1);
	ask_to_cancel(
	    0, stage.backend_count - 1); /* of the busy one: asks the other worker, then the server */
	await("cancel", 1);
	say(client(0), junk, sizeof junk); /* linger: more than was read before it was refused */
	await("linger", 1);
	publish(true);
	await("parked", 2);
	say(waiting, query, sizeof query);
	await("waiting", 1);
	start(1, "app"); /* held: by the gate */
	await("held", 2);
	leave();
	assert_int_equal(stage.emptied, 0);
}

/* Cancels whose question is in the other worker's mailbox, clients who are still in ours. */
static void test_cut_off_with_letters_under_way(void **state)
{
	(void)state;
	int backend;
	publish(false);
	session(0, &backend);
	session(1, &backend);
	await("idle", 2);
	for (unsigned i = 0; i < 4; i++)
		ask_to_cancel(i % 2, 1 + i / 2 % 2);
	client(0);
	start(1, "other");
	publish(true);
	worker_snapshot(stage.workers[0], on_snapshot, NULL);
	leave();
}

static void test_leaves_in_order(void **state)
{
	(void)state;
	int backend;
	publish(false);
	session(0, &backend);
	session(1, &backend);
	await("idle", 2);
	for (unsigned i = 0; i < 2; i++)
		worker_shutdown(stage.workers[i], true);
	while (stage.emptied < 2) {
		event_base_loop(stage.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		for (unsigned i = 0; i < stage.client_count; i++)
			shutdown(stage.clients[i], SHUT_WR);
	}
	assert_int_equal(client_limits_closed(stage.limits, REASON_SHUTDOWN), 2);
	leave();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_cut_off_in_every_state, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_cut_off_with_letters_under_way, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_leaves_in_order, set_up, tear_down),
	};
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, LOG_TARGET_STDERR);
	return cmocka_run_group_tests_name("client/worker", tests, NULL, NULL);
}
