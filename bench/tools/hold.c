/* hold: clients under load while their database is held and released, every answer timed and checked.
 *
 *     hold KEY=VALUE ...      (keys: see struct plan)
 *
 * Each client asks for one row of pgbench_accounts by a random key, checks the answer, thinks for think_ms,
 * and asks again. When each has been answered three times (a new backend's first answers are slow) and
 * warm_ms more have passed, the console is told to hold; hold_ms after its answer it is told to release.
 * Until every client has had its next answer, and after_ms more, the load goes on. Where hold= is empty there
 * is no console: the clients themselves stop asking, and begin again all at once, which shows what server and
 * machine take for it. Prints one JSON object; times are milliseconds. One thread, one clock. */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct plan {
	const char *host, *port, *user, *database, *options;                  /* where the clients go */
	const char *console, *console_port, *console_user, *console_database; /* where the orders go */
	const char *hold, *release;                                           /* the orders */
	const char *witness, *witness_port,
	    *witness_user; /* PostgreSQL itself, asked what arrived during the hold */
	const char *clients, *think_ms, *warm_ms, *hold_ms, *after_ms, *rows;
};

enum { WARM = 3, SETTLE_NS = 50000000 }; /* after the witness was asked, before the release */
enum phase { WARMING, HOLDING, HELD, RELEASED };
enum client_state { THINKING, WAITING, DEAD };

struct client {
	int fd;
	enum client_state state;
	int right; /* the row that was asked for has come */
	unsigned asked_for, answers;
	int64_t asked, due;  /* when the query left; when to ask again */
	int64_t first_after; /* the first answer after the release, 0: none yet */
	struct client *next; /* thinking clients wait in line: all think equally long */
	struct wire_reader reader;
};

struct load {
	const struct plan *plan;
	int epoll;
	enum phase phase;
	struct client *clients;
	unsigned count, rows;
	unsigned cold; /* clients that have not had WARM answers yet */
	int64_t think;
	struct client *first, **last;
	int64_t answers, answers_held, answers_after, errors, wrong, unanswered;
	int64_t held_since, release_sent, warm_latency;
	char trouble[300];
};

static void trouble(struct load *load, const char *code, const char *text)
{
	load->errors++;
	if (load->trouble[0])
		return;
	snprintf(load->trouble, sizeof load->trouble, "%s %s", code, text);
	for (char *at = load->trouble; *at; at++)
		if ((unsigned char)*at < 32 || *at == '"' || *at == '\\')
			*at = '\'';
}

static void ask(struct load *load, struct client *client, int64_t now)
{
	unsigned char packet[128];
	char sql[80];

	client->asked_for = 1 + (unsigned)random() % load->rows;
	snprintf(sql, sizeof sql, "SELECT aid FROM pgbench_accounts WHERE aid = %u", client->asked_for);
	size_t size = wire_query(packet, sizeof packet, sql);
	client->right = 0;
	client->asked = now;
	client->state = WAITING;
	/* Thirty bytes into an empty socket buffer: they fit or the connection is gone, which the next recv
	 * will say. */
	if (send(client->fd, packet, size, MSG_NOSIGNAL) != (ssize_t)size && errno != EPIPE &&
	    errno != ECONNRESET)
		wire_die("send: %s", strerror(errno));
}

/* The clients hold themselves. */
static int withholding(const struct load *load)
{
	return !load->plan->hold[0] && (load->phase == HOLDING || load->phase == HELD);
}

static void answered(struct load *load, struct client *client, int64_t now)
{
	load->answers++;
	if (++client->answers == WARM)
		load->cold--;
	if (!client->right)
		load->wrong++;
	switch (load->phase) {
	case WARMING:
		load->warm_latency += now - client->asked;
		break;
	case HOLDING:
		break;
	case HELD:
		load->answers_held++;
		break;
	case RELEASED:
		if (!client->first_after) {
			client->first_after = now;
			load->unanswered--;
		}
		load->answers_after++;
		break;
	}
	if (load->think == 0 && !withholding(load)) {
		ask(load, client, now);
		return;
	}
	client->state = THINKING;
	client->due = now + load->think;
	client->next = NULL;
	*load->last = client;
	load->last = &client->next;
}

static void on_client(struct load *load, struct client *client)
{
	struct wire_message message;
	long got = wire_fill(&client->reader, client->fd);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		trouble(load, "closed", got < 0 ? strerror(errno) : "by the proxy");
		epoll_ctl(load->epoll, EPOLL_CTL_DEL, client->fd, NULL);
		close(client->fd);
		client->state = DEAD;
		if (load->phase == RELEASED && !client->first_after)
			load->unanswered--;
		return;
	}
	while (wire_next(&client->reader, &message)) {
		char value[16];
		switch (message.type) {
		case 'D':
			wire_first_column(&message, value, sizeof value);
			client->right = strtoul(value, NULL, 10) == client->asked_for;
			break;
		case 'E':
			trouble(load, wire_error_field(&message, 'C'), wire_error_field(&message, 'M'));
			break;
		case 'Z':
			answered(load, client, wire_now_ns());
			break;
		default:
			break;
		}
	}
}

static int64_t think_until(const struct load *load, int64_t until)
{
	return load->first && load->first->due < until && !withholding(load) ? load->first->due : until;
}

/* Runs the load for one turn of the loop, at most until `until`. Returns the number of descriptors that were
 * ready; console is set to 1 when the console's was among them (its bytes are the caller's). */
static int turn(struct load *load, int64_t until, int *console)
{
	struct epoll_event events[512];
	int64_t now = wire_now_ns();

	while (load->first && load->first->due <= now && !withholding(load)) {
		struct client *client = load->first;
		load->first = client->next;
		if (!load->first)
			load->last = &load->first;
		if (client->state == THINKING)
			ask(load, client, now);
	}
	int64_t wait = think_until(load, until) - now;
	struct timespec timeout = {
	    .tv_sec = wait > 0 ? wait / 1000000000 : 0, .tv_nsec = wait > 0 ? wait % 1000000000 : 0};
	int ready = epoll_pwait2(load->epoll, events, 512, &timeout, NULL);
	if (ready < 0 && errno != EINTR)
		wire_die("epoll_pwait2: %s", strerror(errno));
	for (int i = 0; i < ready; i++) {
		if (events[i].data.ptr)
			on_client(load, events[i].data.ptr);
		else
			*console = 1;
	}
	return ready;
}

static void run_for(struct load *load, int64_t ns)
{
	int64_t until = wire_now_ns() + ns;
	int console = 0;

	while (wire_now_ns() < until && !console)
		turn(load, until, &console);
	if (console)
		wire_die("the console spoke unasked, or hung up");
}

/* Sends an order and runs the load until it is answered; the time it took. tag: its
 * CommandComplete. */
static int64_t order(
    struct load *load, int fd, struct wire_reader *reader, const char *sql, char *tag, size_t room)
{
	unsigned char packet[512];
	struct wire_message message;
	int64_t sent = wire_now_ns(), patience = sent + 60000000000;

	tag[0] = 0;
	wire_send_all(fd, packet, wire_query(packet, sizeof packet, sql));
	if (load->phase == HELD) {
		load->phase = RELEASED;
		load->release_sent = sent;
	}
	for (;;) {
		int console = 0;
		turn(load, patience, &console);
		if (wire_now_ns() >= patience)
			wire_die("%s: no answer within a minute", sql);
		if (!console)
			continue;
		if (wire_fill(reader, fd) <= 0)
			wire_die("%s: the console hung up", sql);
		while (wire_next(reader, &message)) {
			if (message.type == 'E')
				wire_die("%s: %s %s", sql, wire_error_field(&message, 'C'),
				    wire_error_field(&message, 'M'));
			if (message.type == 'C')
				snprintf(tag, room, "%.*s", (int)message.size, (const char *)message.body);
			if (message.type == 'Z')
				return wire_now_ns() - sent;
		}
	}
}

/* The same where the clients hold themselves: answered when nobody waits for an answer any more. */
static int64_t order_ourselves(struct load *load)
{
	int64_t start = wire_now_ns();
	unsigned waiting = 1;

	if (load->phase == HELD) {
		load->phase = RELEASED;
		load->release_sent = start;
		return 0;
	}
	while (waiting > 0) {
		run_for(load, 200000);
		waiting = 0;
		for (unsigned i = 0; i < load->count; i++)
			waiting += load->clients[i].state == WAITING;
	}
	return wire_now_ns() - start;
}

static void log_in_all(struct load *load)
{
	const struct plan *plan = load->plan;

	for (unsigned i = 0; i < load->count; i++) {
		struct client *client = &load->clients[i];
		client->fd = wire_connect(plan->host, (unsigned)atoi(plan->port));
		wire_login(client->fd, &client->reader, plan->user, plan->database,
		    plan->options[0] ? plan->options : NULL);
		fcntl(client->fd, F_SETFL, O_NONBLOCK);
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
		if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
			wire_die("epoll_ctl: %s", strerror(errno));
	}
}

/* The first questions are spread over one think time, as they would be in life. */
static void start_all(struct load *load)
{
	int64_t now = wire_now_ns();

	load->last = &load->first;
	for (unsigned i = 0; i < load->count; i++) {
		struct client *client = &load->clients[i];
		if (load->think == 0) {
			ask(load, client, now);
			continue;
		}
		client->state = THINKING;
		client->due = now + load->think * i / load->count;
		*load->last = client;
		load->last = &client->next;
	}
}

/* How many queries of the load's user reached PostgreSQL since the hold was answered. The witness logs in
 * before the load and leaves after it: a backend that comes or goes takes a core for milliseconds, and would
 * take it from the release. */
static long reached(const struct plan *plan, int witness, struct wire_reader *reader, double since)
{
	char sql[300], value[32];

	snprintf(sql, sizeof sql,
	    "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND pid <> pg_backend_pid()"
	    " AND query_start > to_timestamp(%.6f)",
	    plan->user, since);
	wire_ask(witness, reader, sql, value, sizeof value);
	return strtol(value, NULL, 10);
}

static int by_time(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return (a > b) - (a < b);
}

static void read_plan(struct plan *plan, int argc, char **argv)
{
	const struct {
		const char *key;
		const char **to;
	} keys[] = {
	    {"host", &plan->host},
	    {"port", &plan->port},
	    {"user", &plan->user},
	    {"database", &plan->database},
	    {"options", &plan->options},
	    {"console", &plan->console},
	    {"console_port", &plan->console_port},
	    {"console_user", &plan->console_user},
	    {"console_database", &plan->console_database},
	    {"hold", &plan->hold},
	    {"release", &plan->release},
	    {"witness", &plan->witness},
	    {"witness_port", &plan->witness_port},
	    {"witness_user", &plan->witness_user},
	    {"clients", &plan->clients},
	    {"think_ms", &plan->think_ms},
	    {"warm_ms", &plan->warm_ms},
	    {"hold_ms", &plan->hold_ms},
	    {"after_ms", &plan->after_ms},
	    {"rows", &plan->rows},
	};
	size_t many = sizeof keys / sizeof keys[0];

	for (int i = 1; i < argc; i++) {
		size_t key = 0, size = strcspn(argv[i], "=");
		while (key < many &&
		    (strlen(keys[key].key) != size || strncmp(keys[key].key, argv[i], size) != 0))
			key++;
		if (key == many || !argv[i][size])
			wire_die("hold: not KEY=VALUE, or no such key: %s", argv[i]);
		*keys[key].to = argv[i] + size + 1;
	}
	for (size_t key = 0; key < many; key++)
		if (!*keys[key].to)
			wire_die("hold: %s= is missing", keys[key].key);
}

static int64_t milliseconds(const char *text)
{
	return (int64_t)(atof(text) * 1e6);
}

int main(int argc, char **argv)
{
	static struct wire_reader console, witness_reader;
	static struct plan plan;
	static char held_tag[200], released_tag[200];
	struct load load = {.plan = &plan, .phase = WARMING};
	struct timespec wall;

	read_plan(&plan, argc, argv);
	load.count = (unsigned)atoi(plan.clients);
	load.rows = (unsigned)atoi(plan.rows);
	load.think = milliseconds(plan.think_ms);
	load.clients = calloc(load.count, sizeof *load.clients);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!load.clients || load.epoll < 0 || load.count == 0 || load.rows == 0)
		wire_die("hold: cannot begin");
	srandom(1);
	int witness = wire_connect(plan.witness, (unsigned)atoi(plan.witness_port));
	wire_login(witness, &witness_reader, plan.witness_user, plan.database, NULL);
	log_in_all(&load);
	int fd = -1;
	if (plan.hold[0]) {
		fd = wire_connect(plan.console, (unsigned)atoi(plan.console_port));
		wire_login(fd, &console, plan.console_user, plan.console_database, NULL);
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
		epoll_ctl(load.epoll, EPOLL_CTL_ADD, fd, &event);
	}

	load.cold = load.count;
	start_all(&load);
	for (int64_t patience = wire_now_ns() + 60000000000; load.cold > 0 && wire_now_ns() < patience;)
		run_for(&load, 1000000);
	int64_t start = wire_now_ns();
	load.answers = load.warm_latency = 0;
	run_for(&load, milliseconds(plan.warm_ms));
	double warm_seconds = (double)(wire_now_ns() - start) / 1e9;
	int64_t warm_answers = load.answers;

	load.phase = HOLDING;
	int64_t hold_ns = fd < 0 ? order_ourselves(&load)
				 : order(&load, fd, &console, plan.hold, held_tag, sizeof held_tag);
	/* What was answered before the hold may still lie in our sockets: read it first. */
	int64_t settled = wire_now_ns();
	for (int ready = 1, unasked = 0; ready > 0;)
		ready = turn(&load, settled, &unasked);
	clock_gettime(CLOCK_REALTIME, &wall);
	load.phase = HELD;
	run_for(&load, milliseconds(plan.hold_ms));
	long leaked =
	    reached(&plan, witness, &witness_reader, (double)wall.tv_sec + (double)wall.tv_nsec / 1e9);
	run_for(&load, SETTLE_NS);

	for (unsigned i = 0; i < load.count; i++)
		load.unanswered += load.clients[i].state != DEAD;
	int64_t release_ns = fd < 0
	    ? order_ourselves(&load)
	    : order(&load, fd, &console, plan.release, released_tag, sizeof released_tag);
	for (int64_t patience = load.release_sent + 60000000000;
	     load.unanswered > 0 && wire_now_ns() < patience;)
		run_for(&load, 200000);
	run_for(&load, milliseconds(plan.after_ms));

	unsigned many = 0;
	int64_t *times = calloc(load.count, sizeof *times);
	if (!times)
		wire_die("hold: out of memory");
	for (unsigned i = 0; i < load.count; i++)
		if (load.clients[i].first_after)
			times[many++] = load.clients[i].first_after - load.release_sent;
	qsort(times, many, sizeof *times, by_time);
	printf("{\"tps\": %.1f, \"latency_ms\": %.3f, \"hold_ms\": %.3f, \"release_ms\": %.3f, ",
	    (double)warm_answers / warm_seconds,
	    warm_answers ? (double)load.warm_latency / (double)warm_answers / 1e6 : 0.0,
	    (double)hold_ns / 1e6, (double)release_ns / 1e6);
	printf("\"first_ms\": %.3f, \"median_ms\": %.3f, \"all_ms\": %.3f, ",
	    many ? (double)times[0] / 1e6 : -1.0, many ? (double)times[many / 2] / 1e6 : -1.0,
	    many ? (double)times[many - 1] / 1e6 : -1.0);
	printf("\"answered\": %u, \"errors\": %lld, \"wrong\": %lld, \"in_hold\": %lld, \"reached\": %ld, ",
	    many, (long long)load.errors, (long long)load.wrong, (long long)load.answers_held, leaked);
	printf("\"after\": %lld, \"held_tag\": \"%s\", \"released_tag\": \"%s\", \"trouble\": \"%s\"}\n",
	    (long long)load.answers_after, held_tag, released_tag, load.trouble);
	return 0;
}
