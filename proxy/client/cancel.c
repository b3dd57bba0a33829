#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "session.h"

/* A request whose key nobody here knows goes to every upstream, to at most so many. */
#define LEGS 32

struct cancel_leg {
	struct cancel *cancel;
	struct dial *dial;
	struct service *service; /* referenced: the dial uses its settings */
	struct stream stream;
	struct event event;
};

/* One CancelRequest on its way to one server or several. */
struct cancel {
	TAILQ_ENTRY(cancel) of_worker;
	struct worker *worker;
	struct session *session; /* the client that asked; NULL: a drain's own */
	struct event timer;      /* a drain's own has no session to time it */
	size_t size;
	uint8_t packet[CANCEL_BYTES];
	bool counted, delivered;
	unsigned open, count;
	struct cancel_leg legs[LEGS];
};

static void hang_up(struct cancel_leg *leg)
{
	dial_cancel(&leg->dial);
	if (event_initialized(&leg->event))
		event_del(&leg->event);
	stream_close(&leg->stream);
	service_unref(&leg->service);
}

void cancel_free(struct cancel **place)
{
	struct cancel *cancel = *place;
	if (cancel == NULL)
		return;
	for (unsigned i = 0; i < cancel->count; i++)
		hang_up(&cancel->legs[i]);
	event_del(&cancel->timer);
	if (cancel->counted)
		atomic_fetch_sub_explicit(&cancel->worker->limits->cancels, 1, memory_order_relaxed);
	TAILQ_REMOVE(&cancel->worker->cancels, cancel, of_worker);
	mem_wipe(cancel->packet, sizeof cancel->packet);
	mem_free(place);
}

static void finish(struct cancel *cancel)
{
	if (cancel->session != NULL) /* frees it on the way */
		session_close(
		    cancel->session, cancel->delivered ? REASON_CANCEL_DONE : REASON_CANCEL_FAILED, NULL);
	else
		cancel_free(&cancel);
}

static void leg_over(struct cancel_leg *leg)
{
	struct cancel *cancel = leg->cancel;
	hang_up(leg);
	if (--cancel->open == 0)
		finish(cancel);
}

static void on_own_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct cancel *cancel = arg;
	cancel_free(&cancel);
}

/* The server acts on a request and closes; only then may its key be taken for used. */
static void on_leg(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct cancel_leg *leg = arg;
	uint8_t bytes[64];
	ssize_t n = stream_read(&leg->stream, bytes, sizeof bytes);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		leg_over(leg);
}

static void on_dialled(struct dial_result *result, void *arg)
{
	struct cancel_leg *leg = arg;
	struct cancel *cancel = leg->cancel;
	leg->dial = NULL;
	leg->stream = result->stream;
	/* a fresh connection always takes 268 bytes */
	if (leg->stream.fd < 0 ||
	    stream_write(&leg->stream, cancel->packet, cancel->size) != (ssize_t)cancel->size) {
		leg_over(leg);
		return;
	}
	cancel->delivered = true;
	event_assign(&leg->event, cancel->worker->base, leg->stream.fd, EV_READ | EV_PERSIST, on_leg, leg);
	event_add(&leg->event, NULL);
}

static void add_leg(struct cancel *cancel, struct service *service, const struct endpoint *endpoint)
{
	if (cancel->count == LEGS)
		return;
	struct cancel_leg *leg = &cancel->legs[cancel->count++];
	leg->cancel = cancel;
	leg->stream.fd = -1;
	leg->service = service_ref(service);
	struct endpoints *one = mem_zalloc(sizeof *one + sizeof *endpoint);
	atomic_init(&one->references, 1);
	one->count = 1;
	one->at[0] = *endpoint;
	const struct conf_tls *tls = &service->section->upstream.tls;
	const struct dial_request request = {.base = cancel->worker->base,
	    .endpoints = one,
	    .tls = service->upstream_tls,
	    .mode = tls->mode,
	    .negotiation = tls->negotiation,
	    .timeout_ns = service->conf->limits.connect_ns,
	    .tcp = &service->conf->tcp};
	leg->dial = dial_start(&request, on_dialled, leg);
	endpoints_unref(&one);
	cancel->open++;
}

static struct place *place_of(struct worker *worker, unsigned service_id)
{
	struct place *place;
	TAILQ_FOREACH(place, &worker->places, of_worker)
	if (place->service->id == service_id)
		return place;
	return NULL;
}

static void forward(struct cancel *cancel)
{
	struct worker *worker = cancel->worker;
	struct cancel_owner owner;
	if (cancel_lookup(worker->limits, cancel->packet + 8, cancel->size - 8, &owner)) {
		struct place *place = place_of(worker, owner.service_id);
		if (place != NULL)
			add_leg(cancel, place->service, &owner.endpoints->at[owner.endpoint]);
		endpoints_unref(&owner.endpoints);
	} else {
		struct place *place;
		TAILQ_FOREACH(place, &worker->places, of_worker)
		for (unsigned i = 0;
		     place->service->endpoints != NULL && i < place->service->endpoints->count; i++)
			add_leg(cancel, place->service, &place->service->endpoints->at[i]);
	}
	if (cancel->open == 0)
		finish(cancel);
}

/* Is the request for a client whose query is parked here? Then it is answered here, and the session lives. In
 * the owner's thread. */
static bool answered_here(struct worker *worker, const uint8_t *body, size_t size)
{
	struct cancel_owner owner;
	if (!cancel_lookup(worker->limits, body, size, &owner))
		return false;
	endpoints_unref(&owner.endpoints);
	struct session *s = owner.session;
	if (owner.worker != worker)
		return false;
	worker->now_ns = clock_now();
	if (s->state == STATE_PARKED)
		admit_waiting(s); /* the query may have come in the same turn of the loop */
	return s->state == STATE_WAITING && discard_begin(s);
}

/* Asks the worker that owns the key, and hears back. */
struct question {
	struct letter letter;
	struct worker *asker;
	uint64_t session;
	bool answered;
	size_t size;
	uint8_t body[CANCEL_BYTES];
};

static void take_answer(struct worker *worker, uint64_t id, bool answered)
{
	struct session *s;
	TAILQ_FOREACH(s, &worker->sessions, of_worker)
	{
		if (s->id != id || s->state != STATE_CANCEL)
			continue;
		if (answered)
			session_close(s, REASON_CANCEL_ANSWERED, NULL);
		else
			forward(s->cancel);
		return;
	}
}

static void open_answer(struct letter *letter, void *arg)
{
	struct question *question = (struct question *)letter;
	take_answer(arg, question->session, question->answered);
	mem_free(&question);
}

static void open_question(struct letter *letter, void *arg)
{
	struct question *question = (struct question *)letter;
	question->answered = answered_here(arg, question->body, question->size);
	question->letter.open = open_answer;
	if (!limits_post(((struct worker *)arg)->limits, question->asker, &question->letter))
		mem_free(&question);
}

static struct cancel *cancel_new(struct worker *worker, const uint8_t *packet, size_t size)
{
	struct cancel *cancel = mem_zalloc(sizeof *cancel);
	cancel->worker = worker;
	cancel->size = size;
	memcpy(cancel->packet, packet, size);
	event_assign(&cancel->timer, worker->base, -1, 0, on_own_timer, cancel);
	TAILQ_INSERT_TAIL(&worker->cancels, cancel, of_worker);
	return cancel;
}

void cancel_begin(struct session *s, const uint8_t *packet, size_t size)
{
	struct worker *worker = s->worker;
	struct cancel *cancel = s->cancel = cancel_new(worker, packet, size);
	cancel->session = s;
	session_enter(s, STATE_CANCEL);
	cancel->counted = true;
	if (atomic_fetch_add_explicit(&worker->limits->cancels, 1, memory_order_relaxed) >=
	    worker->conf->limits.cancels) {
		session_close(s, REASON_TOO_MANY_CANCELS, NULL);
		return;
	}
	struct cancel_owner owner;
	if (!cancel_lookup(worker->limits, packet + 8, size - 8, &owner)) {
		forward(cancel);
		return;
	}
	endpoints_unref(&owner.endpoints);
	if (owner.worker == worker) {
		take_answer(worker, s->id, answered_here(worker, packet + 8, size - 8));
		return;
	}
	struct question *question = mem_zalloc(sizeof *question);
	question->letter.open = open_question;
	question->asker = worker;
	question->session = s->id;
	question->size = size - 8;
	memcpy(question->body, packet + 8, size - 8);
	if (!limits_post(worker->limits, owner.worker, &question->letter)) {
		mem_free(&question);
		forward(cancel);
	}
}

void cancel_timer(struct session *s)
{
	session_close(
	    s, s->cancel != NULL && s->cancel->delivered ? REASON_CANCEL_DONE : REASON_CANCEL_FAILED, NULL);
}

void cancel_own(struct session *s)
{
	uint8_t packet[CANCEL_BYTES];
	size_t size = cancel_packet(s, packet);
	if (size == 0)
		return;
	struct cancel *cancel = cancel_new(s->worker, packet, size);
	struct timeval tv = clock_timeval(10 * CLOCK_S);
	event_add(&cancel->timer, &tv);
	forward(cancel);
}
