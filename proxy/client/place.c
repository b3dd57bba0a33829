#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "place.h"
#include "session.h"

/* How often held clients are let in, and how many at once at the most (as a span of the rate). */
#define RAMP_STEP  (5 * CLOCK_MS)
#define RAMP_BURST 0.02

struct place *place_find(struct worker *worker, const char *name)
{
	struct place *place;
	TAILQ_FOREACH(place, &worker->places, of_worker)
	if (!place->retired && strcmp(place->service->name, name) == 0)
		return place;
	return NULL;
}

static void run_ramp(struct place *place)
{
	struct worker *worker = place->worker;
	unsigned rate = place->service->section->release.ramp;
	double share = (double)rate / worker->ramp_share;
	place->ramp_tokens += share * (double)(worker->now_ns - place->ramp_at) / (double)CLOCK_S;
	place->ramp_at = worker->now_ns;
	double most = share * RAMP_BURST < 1 ? 1 : share * RAMP_BURST;
	if (place->ramp_tokens > most || rate == 0)
		place->ramp_tokens = most;
	struct session *s;
	while ((s = TAILQ_FIRST(&place->ready)) != NULL && (rate == 0 || place->ramp_tokens >= 1)) {
		place->ramp_tokens -= rate != 0;
		admit_turn(s);
	}
	if (s != NULL && !event_pending(&place->ramp, EV_TIMEOUT, NULL)) {
		struct timeval tv = clock_timeval(RAMP_STEP);
		event_add(&place->ramp, &tv);
	}
}

static void on_ramp(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct place *place = arg;
	place->worker->now_ns = clock_now();
	run_ramp(place);
}

void place_ready(struct place *place, struct session *s)
{
	if (s->in_ready)
		return; /* it keeps its turn, whatever is published meanwhile */
	s->in_ready = true;
	TAILQ_INSERT_TAIL(&place->ready, s, of_ready);
	if (!event_pending(&place->ramp, EV_TIMEOUT, NULL)) {
		/* from the loop, not from inside a walk over the sessions */
		struct timeval tv = clock_timeval(1);
		event_add(&place->ramp, &tv);
	}
}

void place_unready(struct place *place, struct session *s)
{
	if (!s->in_ready)
		return;
	s->in_ready = false;
	TAILQ_REMOVE(&place->ready, s, of_ready);
}

struct drained_letter {
	struct letter letter;
	struct worker *worker;
	unsigned service_id, pid_count, logins;
	uint64_t serial;
	int32_t pids[];
};

static void open_drained(struct letter *letter, void *arg)
{
	(void)arg;
	struct drained_letter *l = (struct drained_letter *)letter;
	const struct worker_handlers *handlers = &l->worker->handlers;
	handlers->drained(
	    l->worker, l->service_id, l->serial, l->pids, l->pid_count, l->logins, handlers->arg);
	worker_unref(&l->worker);
	mem_free(&l);
}

void place_drained(struct place *place)
{
	const struct gate_view *view = place->service->view;
	if (place->busy > 0 || place->in_publication || !gate_holds_all(view))
		return;
	bool news = place->told_serial != view->serial || (place->told_logins > 0 && place->logins == 0) ||
	    place->told_pids_stale;
	if (!news)
		return;
	place->told_serial = view->serial;
	place->told_logins = place->logins;
	place->told_pids_stale = false;

	unsigned count = 0;
	struct session *s;
	TAILQ_FOREACH(s, &place->sessions, of_place)
	count += cancel_backend_pid(s) != 0;
	struct drained_letter *l = mem_zalloc(sizeof *l + count * sizeof l->pids[0]);
	l->letter.open = open_drained;
	l->worker = worker_ref(place->worker);
	l->service_id = place->service->id;
	l->serial = view->serial;
	l->logins = place->logins;
	TAILQ_FOREACH(s, &place->sessions, of_place)
	if (cancel_backend_pid(s) != 0)
		l->pids[l->pid_count++] = cancel_backend_pid(s);
	mailbox_post(place->worker->control, &l->letter);
}

/* Clients that came before the database was served. */
static void take_in(struct worker *worker)
{
	for (struct session *s = TAILQ_FIRST(&worker->sessions), *next; s != NULL; s = next) {
		next = TAILQ_NEXT(s, of_worker);
		if (s->place == NULL && s->state == STATE_HELD)
			admit_ask(s);
	}
}

void place_publish(struct worker *worker, struct service *service)
{
	struct place *place;
	TAILQ_FOREACH(place, &worker->places, of_worker)
	if (place->service->id == service->id)
		break;
	bool first = place == NULL;
	if (first) {
		place = mem_zalloc(sizeof *place);
		place->worker = worker;
		TAILQ_INIT(&place->sessions);
		TAILQ_INIT(&place->orphans);
		TAILQ_INIT(&place->ready);
		event_assign(&place->ramp, worker->base, -1, 0, on_ramp, place);
		wave_init(place);
		TAILQ_INSERT_TAIL(&worker->places, place, of_worker);
	}
	service_unref(&place->service);
	place->service = service_ref(service);
	place->epoch = ++worker->epoch;
	place->retired = false;

	/* All in one go, also those that are let go: with a thousand of them, each slice of a turn of its own
	 * would wait behind the traffic of those that are on their way already. One report at the end, not
	 * one for each session that parks. */
	place->in_publication = true;
	for (struct session *s = TAILQ_FIRST(&place->sessions), *next; s != NULL; s = next) {
		next = TAILQ_NEXT(s, of_place);
		admit_view(s);
	}
	place->in_publication = false;
	place_drained(place);
	if (first)
		take_in(worker);
}

void place_unused(struct place *place)
{
	if (!place->retired || !TAILQ_EMPTY(&place->sessions) || !TAILQ_EMPTY(&place->orphans) ||
	    place->in_publication)
		return;
	TAILQ_REMOVE(&place->worker->places, place, of_worker);
	event_del(&place->ramp);
	wave_stop(place);
	service_unref(&place->service);
	mem_free(&place);
}

void place_refuse(struct worker *worker, const char *name)
{
	struct place *place = place_find(worker, name);
	for (struct session *s = TAILQ_FIRST(&worker->sessions), *next; s != NULL; s = next) {
		next = TAILQ_NEXT(s, of_worker);
		bool waits = s->place == NULL && s->state == STATE_HELD && strcmp(s->dbname, name) == 0;
		bool here =
		    place != NULL && s->place == place && (s->state == STATE_HELD || s->state == STATE_DIAL);
		if (waits || here)
			session_close_unserved(s, "the client asked for");
	}
	if (place == NULL)
		return;
	place->retired = true;
	place->epoch = ++worker->epoch;
	/* live sessions end at their next IDLE */
	place->in_publication = true;
	for (struct session *s = TAILQ_FIRST(&place->sessions), *next; s != NULL; s = next) {
		next = TAILQ_NEXT(s, of_place);
		if (s->state == STATE_IDLE || s->state == STATE_PARKED || s->state == STATE_WAITING)
			session_close(
			    s, REASON_NO_DATABASE, "the database was taken out of the configuration");
	}
	place->in_publication = false;
	place_unused(place);
}

void place_press(struct worker *worker, unsigned service_id, enum conf_on_timeout how)
{
	struct place *place;
	TAILQ_FOREACH(place, &worker->places, of_worker)
	if (place->service->id == service_id)
		break;
	if (place == NULL)
		return;
	for (struct session *s = TAILQ_FIRST(&place->sessions), *next; s != NULL; s = next) {
		next = TAILQ_NEXT(s, of_place);
		if ((s->state != STATE_BUSY && s->state != STATE_GONE) || how == TIMEOUT_ABORT)
			continue;
		cancel_own(s); /* a backend in a long statement does not notice that its client is gone */
		if (how == TIMEOUT_TERMINATE)
			session_close(s, REASON_DRAINED, "the database is being migrated");
	}
}
