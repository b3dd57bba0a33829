/* A stream from the server: COPY out, a long result. PostgreSQL sends 8 KiB at a time, and a wait, a receive
 * and a send for each of them are most of what it costs to pass on. So once a batch's answer has become a
 * stream, its socket counts as readable only when much is there (SO_RCVLOWAT), and a tick of the worker's
 * fetches what that leaves lying: the stream's end, and the pieces of one that is slower than it was. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "session.h"

/* An answer is a stream once it is longer than this; shorter ones are passed on as they come. */
#define FLOW_BYTES (UINT64_C(256) * 1024)
#define FLOW_LOWAT (64 * 1024)
/* Less than this between two ticks is no stream any more. */
#define FLOW_LEAST (UINT64_C(16) * 1024)
#define TICK_NS    (500 * 1000)

static void set_tick(struct worker *worker, long every_ns)
{
	const struct itimerspec spec = {.it_interval.tv_nsec = every_ns, .it_value.tv_nsec = every_ns};
	if (timerfd_settime(worker->tick_fd, 0, &spec, NULL) < 0)
		log_panic("cannot set a timer");
}

static void set_lowat(const struct session *s, int bytes)
{
	/* A socket that is broken by now tells so to whoever reads it. */
	(void)setsockopt(s->server.stream.fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;
	uint64_t ticks;
	(void)what;
	if (read(fd, &ticks, sizeof ticks) < 0)
		return;
	for (struct session *s = TAILQ_FIRST(&worker->flows), *next; s != NULL; s = next) {
		next = TAILQ_NEXT(s, of_flow);
		uint64_t before = s->flow_seen;
		bool ended = false;
		if (s->server.watching == EV_READ && s->server.bytes - before < FLOW_LEAST) {
			uint64_t was = s->server.bytes;
			relay_server_readable(s);
			ended = s->flowing && s->server.bytes - was < FLOW_LEAST;
		}
		if (ended)
			flow_end(s);
		else
			s->flow_seen = s->server.bytes;
	}
}

void flow_init(struct worker *worker)
{
	TAILQ_INIT(&worker->flows);
	worker->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (worker->tick_fd < 0)
		log_fatal("cannot make a timer: %s", strerror(errno));
	event_assign(&worker->tick, worker->base, worker->tick_fd, EV_READ | EV_PERSIST, on_tick, worker);
	event_add(&worker->tick, NULL);
}

void flow_begin(struct session *s)
{
	struct worker *worker = s->worker;
	if (TAILQ_EMPTY(&worker->flows))
		set_tick(worker, TICK_NS);
	s->flowing = true;
	s->flow_seen = s->server.bytes;
	TAILQ_INSERT_TAIL(&worker->flows, s, of_flow);
	set_lowat(s, FLOW_LOWAT);
}

void flow_end(struct session *s)
{
	struct worker *worker = s->worker;
	s->flowing = false;
	s->flow_from = s->server.bytes;
	TAILQ_REMOVE(&worker->flows, s, of_flow);
	if (s->server.stream.fd >= 0)
		set_lowat(s, 1);
	if (TAILQ_EMPTY(&worker->flows))
		set_tick(worker, 0);
}

void flow_check(struct session *s)
{
	if (s->flowing)
		return;
	if (s->client.bytes != s->flow_asked) {
		s->flow_asked = s->client.bytes;
		s->flow_from = s->server.bytes;
	} else if (s->server.bytes - s->flow_from >= FLOW_BYTES && s->server.watching == EV_READ) {
		flow_begin(s);
	}
}

void flow_free(struct worker *worker)
{
	event_del(&worker->tick);
	close(worker->tick_fd);
}
