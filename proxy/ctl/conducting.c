#include "conducting.h"

#include <signal.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/resolve.h"

void conducting_begin(struct conducting *c)
{
	*c = (struct conducting){
	    .drain_timeout_ns = -1,
	    .deadline_ns = -1,
	    .max_transaction_ns = 10 * CLOCK_S,
	    .on_timeout = -1,
	};
	const struct command_option options[] = {
	    {.name = "wait", .flag = &c->wait},
	    {.name = "drain-timeout", .duration_ns = &c->drain_timeout_ns},
	    {.name = "on-timeout", .choice = &c->on_timeout, .words = "abort|cancel|terminate"},
	    {.name = "attempts", .count = &c->attempts, .low = 1, .high = 1000},
	    {.name = "deadline", .duration_ns = &c->deadline_ns},
	    {.name = "max-transaction-age", .duration_ns = &c->max_transaction_ns},
	    {.name = "max-replica-lag", .duration_ns = &c->max_replica_lag_ns},
	};
	_Static_assert(sizeof(options) == sizeof(c->options), "CONDUCTING_OPTIONS of them");
	memcpy(c->options, options, sizeof(options));
}

void conducting_fill(const struct conducting *c, const struct conf_database *section, int64_t deadline_ns,
    struct coord_request *request)
{
	_Static_assert(TIMEOUT_ABORT == 0 && TIMEOUT_CANCEL == 1 && TIMEOUT_TERMINATE == 2, "as the words");
	request->wait = c->wait;
	request->drain_timeout_ns =
	    c->drain_timeout_ns >= 0 ? c->drain_timeout_ns : section->drain.timeout_ns;
	request->on_timeout =
	    c->on_timeout >= 0 ? (enum conf_on_timeout)c->on_timeout : section->drain.on_timeout;
	request->attempts = c->attempts > 0 ? c->attempts : section->drain.attempts;
	request->deadline_ns = c->deadline_ns >= 0 ? c->deadline_ns : deadline_ns;
	request->max_transaction_ns = c->max_transaction_ns;
	request->max_replica_lag_ns = c->max_replica_lag_ns;
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct coord **coord = arg;
	(void)number, (void)what;
	coord_cancel(*coord);
}

void conducting_end(struct coord_request *request)
{
	event_base_loopbreak(request->base);
}

void conducting_run(struct coord_request *request)
{
	struct coord *coord;
	request->base = event_base_new();
	if (request->base == NULL)
		log_fatal("no event loop");
	/* The run goes on without its terminal, and without whoever read its output. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	struct event *interrupted = evsignal_new(request->base, SIGINT, on_signal, &coord);
	struct event *terminated = evsignal_new(request->base, SIGTERM, on_signal, &coord);
	if (interrupted == NULL || terminated == NULL)
		log_fatal("no event loop");
	event_add(interrupted, NULL);
	event_add(terminated, NULL);

	request->resolver = resolver_new(request->base);
	coord = coord_start(request);
	event_base_dispatch(request->base);

	coord_free(&coord);
	resolver_free(&request->resolver);
	event_free(interrupted);
	event_free(terminated);
	event_base_free(request->base);
	request->base = NULL;
}
