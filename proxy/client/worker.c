#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/listen.h"
#include "place.h"
#include "session.h"

static void on_bury(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct worker *worker = arg;
	struct session *s;
	while ((s = TAILQ_FIRST(&worker->dead)) != NULL) {
		TAILQ_REMOVE(&worker->dead, s, of_worker);
		tracker_free(&s->tracker);
		heads_free(&s->head);
		mem_free(&s->stash);
		mem_free(&s->user);
		mem_free(&s->application);
		mem_free(&s->dbname);
		mem_free(&s->server_text);
		listener_unref(&s->listener);
		s->magic = 0;
		mem_free(&s);
	}
	worker_check_empty(worker);
}

static void *run(void *arg)
{
	struct worker *worker = arg;
	char name[16];
	snprintf(name, sizeof name, "worker-%u", worker->index);
	pthread_setname_np(pthread_self(), name);
	event_base_loop(worker->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

struct worker *worker_start(unsigned index, const struct conf *conf, struct client_limits *limits,
    struct mailbox *control, const struct worker_handlers *handlers)
{
	struct worker *worker = mem_zalloc(sizeof *worker);
	atomic_init(&worker->references, 1);
	worker->index = index;
	worker->control = control;
	worker->handlers = *handlers;
	worker->limits = limits;
	worker->conf = conf_ref((struct conf *)conf);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	worker->ramp_share = conf->workers != 0 ? conf->workers : cores > 0 ? (unsigned)cores : 1;
	TAILQ_INIT(&worker->places);
	TAILQ_INIT(&worker->sessions);
	TAILQ_INIT(&worker->dead);
	TAILQ_INIT(&worker->cancels);
	worker->buffer = mem_alloc(WORKER_BUFFER);

	/* Nobody else touches this base: libevent needs no lock of its own. */
	struct event_config *config = event_config_new();
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_flag(
	    config, EVENT_BASE_FLAG_NO_CACHE_TIME); /* few timers: the time is asked for when one is armed */
	worker->base = event_base_new_with_config(config);
	event_config_free(config);
	if (worker->base == NULL)
		log_fatal("cannot make an event loop: %s", strerror(errno));
	worker->mailbox = mailbox_new(worker->base, worker);
	flow_init(worker);
	event_assign(&worker->bury, worker->base, -1, 0, on_bury, worker);

	limits_worker_join(limits, worker);
	sigset_t all, old;
	sigfillset(&all); /* signals are the control thread's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int error = pthread_create(&worker->thread, NULL, run, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error != 0)
		log_fatal("cannot start a worker: %s", strerror(error));
	return worker;
}

unsigned worker_index(const struct worker *worker)
{
	return worker->index;
}

/* Letters from the control thread. */
struct order {
	struct letter letter;
	int fd;
	struct listener *listener;
	struct service *service;
	struct conf *conf;
	char *name;
	unsigned service_id;
	enum conf_on_timeout how;
	bool graceful;
};

static void post(struct worker *worker, void (*open)(struct letter *, void *), const struct order *order)
{
	struct order *copy = mem_dup(order, sizeof *order);
	copy->letter.open = open;
	mailbox_post(worker->mailbox, &copy->letter);
}

static void open_client(struct letter *letter, void *arg)
{
	struct order *order = (struct order *)letter;
	session_new(arg, order->fd, order->listener);
	mem_free(&order);
}

void worker_client(struct worker *worker, int fd, struct listener *listener)
{
	post(worker, open_client, &(struct order){.fd = fd, .listener = listener_ref(listener)});
}

static void open_publish(struct letter *letter, void *arg)
{
	struct order *order = (struct order *)letter;
	struct worker *worker = arg;
	worker->now_ns = clock_now();
	place_publish(worker, order->service);
	service_unref(&order->service);
	mem_free(&order);
}

void worker_publish(struct worker *worker, struct service *service)
{
	post(worker, open_publish, &(struct order){.service = service_ref(service)});
}

static void open_refuse(struct letter *letter, void *arg)
{
	struct order *order = (struct order *)letter;
	struct worker *worker = arg;
	worker->now_ns = clock_now();
	place_refuse(worker, order->name);
	mem_free(&order->name);
	mem_free(&order);
}

void worker_refuse(struct worker *worker, const char *database)
{
	post(worker, open_refuse, &(struct order){.name = mem_strdup(database)});
}

static void open_configure(struct letter *letter, void *arg)
{
	struct order *order = (struct order *)letter;
	struct worker *worker = arg;
	conf_unref(&worker->conf);
	worker->conf = order->conf;
	mem_free(&order);
}

void worker_configure(struct worker *worker, struct conf *conf)
{
	post(worker, open_configure, &(struct order){.conf = conf_ref(conf)});
}

static void open_press(struct letter *letter, void *arg)
{
	struct order *order = (struct order *)letter;
	struct worker *worker = arg;
	worker->now_ns = clock_now();
	place_press(worker, order->service_id, order->how);
	mem_free(&order);
}

void worker_press(struct worker *worker, unsigned service_id, enum conf_on_timeout how)
{
	post(worker, open_press, &(struct order){.service_id = service_id, .how = how});
}

/* Letters to the control thread. Each keeps the worker's struct until it is opened. */
struct worker *worker_ref(struct worker *worker)
{
	atomic_fetch_add_explicit(&worker->references, 1, memory_order_relaxed);
	return worker;
}

void worker_unref(struct worker **place)
{
	struct worker *worker = *place;
	*place = NULL;
	if (atomic_fetch_sub_explicit(&worker->references, 1, memory_order_acq_rel) == 1)
		mem_free(&worker);
}

struct want {
	struct letter letter;
	struct worker *worker;
	char name[];
};

static void open_want(struct letter *letter, void *arg)
{
	(void)arg;
	struct want *want = (struct want *)letter;
	want->worker->handlers.wanted(want->worker, want->name, want->worker->handlers.arg);
	worker_unref(&want->worker);
	mem_free(&want);
}

void worker_want(struct worker *worker, const char *database)
{
	size_t size = strlen(database) + 1;
	struct want *want = mem_zalloc(sizeof *want + size);
	want->letter.open = open_want;
	want->worker = worker_ref(worker);
	memcpy(want->name, database, size);
	mailbox_post(worker->control, &want->letter);
}

struct snapshot {
	struct letter letter;
	struct worker *worker;
	worker_snapshot_done *done;
	void *arg;
	unsigned count;
	struct client_row *rows;
};

static void open_snapshot_answer(struct letter *letter, void *arg)
{
	(void)arg;
	struct snapshot *snapshot = (struct snapshot *)letter;
	snapshot->done(snapshot->worker, snapshot->rows, snapshot->count, snapshot->arg);
	mem_free(&snapshot->rows);
	worker_unref(&snapshot->worker);
	mem_free(&snapshot);
}

static void copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "");
}

static void fill_row(struct client_row *row, const struct session *s, int64_t now)
{
	row->session = s->id;
	row->worker = s->worker->index;
	copy_text(
	    row->database, sizeof row->database, s->place != NULL ? s->place->service->name : s->dbname);
	copy_text(row->user, sizeof row->user, s->user);
	copy_text(row->application, sizeof row->application, s->application);
	session_peer(s, row->address, sizeof row->address);
	copy_text(row->state, sizeof row->state, session_state_name(s->state));
	copy_text(row->head, sizeof row->head, heads_is_none(&s->head) ? "" : heads_text(&s->head));
	copy_text(row->carrier, sizeof row->carrier, declare_carrier_names[s->carrier]);
	copy_text(row->tls, sizeof row->tls,
	    s->client.stream.tls != NULL && s->state != STATE_TLS ? tls_describe(&s->client.stream) : "");
	copy_text(row->server, sizeof row->server, s->server_text);
	row->backend_pid = cancel_backend_pid(s);
	row->connected_ns = now - s->born_ns;
	row->state_ns = now - s->since_ns;
	row->transactions = s->transactions;
	row->bytes_in = s->client.bytes;
	row->bytes_out = s->server.bytes;
	row->in_transaction = s->state == STATE_BUSY;
	row->waiting = s->state == STATE_HELD || s->state == STATE_WAITING;
}

static void open_snapshot(struct letter *letter, void *arg)
{
	struct snapshot *snapshot = (struct snapshot *)letter;
	struct worker *worker = arg;
	snapshot->rows = mem_zalloc(worker->session_count * sizeof *snapshot->rows);
	int64_t now = clock_now();
	struct session *s;
	TAILQ_FOREACH(s, &worker->sessions, of_worker)
	fill_row(&snapshot->rows[snapshot->count++], s, now);
	snapshot->letter.open = open_snapshot_answer;
	mailbox_post(worker->control, &snapshot->letter);
}

void worker_snapshot(struct worker *worker, worker_snapshot_done *done, void *arg)
{
	struct snapshot *snapshot = mem_zalloc(sizeof *snapshot);
	snapshot->letter.open = open_snapshot;
	snapshot->worker = worker_ref(worker);
	snapshot->done = done;
	snapshot->arg = arg;
	mailbox_post(worker->mailbox, &snapshot->letter);
}

static void open_emptied(struct letter *letter, void *arg)
{
	(void)arg;
	struct want *want = (struct want *)letter;
	want->worker->handlers.emptied(want->worker, want->worker->handlers.arg);
	worker_unref(&want->worker);
	mem_free(&want);
}

void worker_check_empty(struct worker *worker)
{
	if (!worker->stopping || worker->emptied_told || worker->session_count > 0 ||
	    !TAILQ_EMPTY(&worker->dead))
		return;
	worker->emptied_told = true;
	struct want *want = mem_zalloc(sizeof *want);
	want->letter.open = open_emptied;
	want->worker = worker_ref(worker);
	mailbox_post(worker->control, &want->letter);
}

static void stop_session(struct session *s, bool graceful)
{
	switch ((enum session_state)s->state) {
	case STATE_HELLO:
	case STATE_TLS:
	case STATE_HELD:
	case STATE_DIAL:
	case STATE_LOGIN:
		session_close(s, REASON_SHUTDOWN_HELD, NULL);
		break;
	case STATE_IDLE:
	case STATE_PARKED:
	case STATE_WAITING:
	case STATE_REPLICA:
		session_close(s, REASON_SHUTDOWN, NULL);
		break;
	case STATE_BUSY: /* at its transaction's end */
	case STATE_GONE:
	case STATE_CANCEL:
	case STATE_LINGER:
		if (!graceful)
			session_close(s, REASON_SHUTDOWN, NULL);
		break;
	case STATE_CLOSED:
	case STATE_COUNT:
		break;
	}
	if (!graceful && s->state != STATE_CLOSED)
		session_enter(s, STATE_CLOSED); /* what could be said has been said */
}

static void open_shutdown(struct letter *letter, void *arg)
{
	struct order *order = (struct order *)letter;
	struct worker *worker = arg;
	worker->now_ns = clock_now();
	worker->stopping = order->graceful ? 1 : 2;
	for (struct session *s = TAILQ_FIRST(&worker->sessions), *next; s != NULL; s = next) {
		next = TAILQ_NEXT(s, of_worker);
		stop_session(s, order->graceful);
	}
	mem_free(&order);
	worker_check_empty(worker);
}

void worker_shutdown(struct worker *worker, bool graceful)
{
	post(worker, open_shutdown, &(struct order){.graceful = graceful});
}

static void open_exit(struct letter *letter, void *arg)
{
	struct order *order = (struct order *)letter;
	struct worker *worker = arg;
	event_base_loopbreak(worker->base);
	mem_free(&order);
}

void worker_free(struct worker **place)
{
	struct worker *worker = *place;
	if (worker == NULL)
		return;
	limits_worker_leave(worker->limits, worker);
	post(worker, open_exit, &(struct order){.fd = -1});
	pthread_join(worker->thread, NULL);
	worker->emptied_told = true;
	mailbox_free(&worker->mailbox); /* opens what came last: a client, a question */
	for (struct session *s; (s = TAILQ_FIRST(&worker->sessions)) != NULL;)
		session_enter(s, STATE_CLOSED);
	for (struct cancel *cancel; (cancel = TAILQ_FIRST(&worker->cancels)) != NULL;)
		cancel_free(&cancel);
	on_bury(-1, 0, worker);
	for (struct place *at; (at = TAILQ_FIRST(&worker->places)) != NULL;) {
		at->in_publication = true; /* nothing is told any more, and it is freed below */
		orphans_free(at);
		at->in_publication = false;
		at->retired = true;
		place_unused(at);
	}
	flow_free(worker);
	event_base_free(worker->base);
	conf_unref(&worker->conf);
	mem_free(&worker->buffer);
	worker_unref(place);
}
