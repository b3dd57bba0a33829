#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/listen.h"
#include "session.h"

/* The server cuts names to so many bytes (NAMEDATALEN less one): a longer one means the database that its
 * beginning names. */
#define NAME_BYTES   63

#define NOTICE_AGAIN (100 * CLOCK_MS)

static struct verdict ask(const struct session *s)
{
	const struct service *service = s->place->service;
	return gate_ask(service->view, &s->head, lease_deadline_under(service->lease, service->view->serial),
	    s->worker->now_ns);
}

static void observe(const struct session *s, const struct verdict *verdict)
{
	if (verdict->row == ROW_OBSERVE && verdict->observed != VERDICT_ADMIT)
		log_info(session_label(s), "observed: would be %s (%s), head %s",
		    verdict_kind_name(verdict->observed), verdict_row_name(verdict->observed_row),
		    heads_text(&s->head));
}

static void refuse(struct session *s, const struct verdict *verdict, enum refusal_moment moment)
{
	struct refusal refusal;
	gate_refusal(s->place->service->view, &s->head, verdict, moment, &refusal);
	session_refuse(s, moment == REFUSAL_LIVE ? REASON_HEAD_RETIRED : REASON_HEAD_REFUSED, &refusal);
}

/* The gate was closed on the lease alone: whoever renews it must say so to us again. (Not where this view is
 * outdated: then the newer one is in our mailbox.) */
static void starve(const struct session *s, const struct verdict *verdict)
{
	const struct service *service = s->place->service;
	if (verdict->row == ROW_NO_READING && service->view->fresh &&
	    atomic_load_explicit(&service->lease->serial, memory_order_acquire) == service->view->serial)
		atomic_store_explicit(&service->lease->starved, true, memory_order_release);
}

static void held_timer(struct session *s, const struct verdict *verdict)
{
	const struct service *service = s->place->service;
	int64_t now = s->worker->now_ns;
	if (s->held_since_ns == 0)
		s->held_since_ns = now;
	s->budget_ns = verdict->budget_ns;
	int64_t left = s->held_since_ns + s->budget_ns - now;
	int64_t notice = s->held_since_ns + service->section->hold.notice_after_ns - now;
	if (notice <= 0)
		notice = NOTICE_AGAIN; /* the server was in the middle of a message */
	if (s->state == STATE_WAITING && !s->noticed && notice < left)
		left = notice;
	session_timer(s, left > 0 ? left : 0);
}

/* HELD, or on to the server. */
static void startup_verdict(struct session *s, const struct verdict *verdict)
{
	switch (verdict->kind) {
	case VERDICT_ADMIT:
		observe(s, verdict);
		s->held_since_ns = 0;
		s->epoch = s->place->epoch;
		login_dial(s);
		break;
	case VERDICT_HOLD:
		if (s->state != STATE_HELD) {
			const struct service *service = s->place->service;
			if (atomic_load_explicit(&service->lease->held, memory_order_relaxed) >=
			    service->section->hold.clients) {
				session_close(s, REASON_TOO_MANY_HELD, "hold.clients is reached");
				return;
			}
			session_enter(s, STATE_HELD);
		}
		session_count_held(s, true); /* it may have been held before its database was known */
		held_timer(s, verdict);
		starve(s, verdict);
		break;
	case VERDICT_REJECT:
		refuse(s, verdict, REFUSAL_BEFORE_LOGIN);
		break;
	}
}

static bool carrier_enabled(const struct conf_database *section, enum conf_carrier carrier)
{
	for (unsigned i = 0; i < section->declare_count; i++)
		if (section->declare[i] == carrier)
			return true;
	return false;
}

/* The name whose section serves this client: its own, or what stands before '@' where a section allows that
 * suffix. */
static char *wanted_name(const struct session *s)
{
	const struct conf *conf = s->worker->conf;
	char *whole = mem_strndup(s->dbname, NAME_BYTES);
	const struct conf_database *section = conf_database(conf, whole);
	if (section != NULL && strcmp(section->name, whole) == 0)
		return whole;
	char *base = startup_database_base(&s->entry->startup);
	section = conf_database(conf, base);
	bool cut = section != NULL && carrier_enabled(section, CARRIER_DATABASE);
	mem_free(cut ? &whole : &base);
	return cut ? base : whole;
}

static bool declare(struct session *s)
{
	const struct conf_database *section = s->place->service->section;
	static const enum declare_carrier names[CARRIER_COUNT] = {[CARRIER_OPTIONS] = DECLARE_OPTIONS,
	    [CARRIER_PARAMETER] = DECLARE_PARAMETER,
	    [CARRIER_DATABASE] = DECLARE_DATABASE,
	    [CARRIER_APPLICATION_NAME] = DECLARE_APPLICATION_NAME,
	    [CARRIER_LISTENER] = DECLARE_LISTENER};
	enum declare_carrier enabled[CARRIER_COUNT];
	for (unsigned i = 0; i < section->declare_count; i++)
		enabled[i] = names[section->declare[i]];

	struct declared declared;
	startup_declared(
	    &s->entry->startup, enabled, section->declare_count, s->listener->section->head, &declared);
	s->carrier = (uint8_t)declared.carrier;
	mem_free(&s->dbname);
	s->dbname = mem_strdup(declared.database);
	bool ok = true;
	const char *why = NULL;
	if (declared.head != NULL && !heads_parse(declared.head, strlen(declared.head), &s->head, &why)) {
		char text[160];
		snprintf(text, sizeof text, "declared through %s: %s",
		    declare_carrier_names[declared.carrier], why);
		session_close(s, REASON_HEAD_MALFORMED, text);
		ok = false;
	}
	declared_free(&declared);
	return ok;
}

static bool within_limits(struct session *s)
{
	const struct conf_limits *limits = &s->worker->conf->limits;
	unsigned clients = atomic_load_explicit(&s->place->service->lease->clients, memory_order_relaxed);
	if (limits->per_database != 0 && clients > limits->per_database) {
		session_close(s, REASON_TOO_MANY_DATABASE, "limits.per_database is reached");
		return false;
	}
	if (limits->per_user != 0) {
		s->user_count = limits_user(s->worker->limits, s->user, limits->per_user);
		if (s->user_count == NULL) {
			session_close(s, REASON_TOO_MANY_USER, "limits.per_user is reached");
			return false;
		}
	}
	return true;
}

void admit_ask(struct session *s)
{
	if (s->place == NULL) {
		char *name = wanted_name(s);
		struct place *place = place_find(s->worker, name);
		if (place == NULL) {
			/* not served yet, or at all: the control thread knows */
			mem_free(&s->dbname);
			s->dbname = name;
			if (s->state == STATE_HELD)
				return;
			session_enter(s, STATE_HELD);
			s->held_since_ns = s->worker->now_ns;
			session_timer(s, s->worker->conf->limits.login_ns);
			worker_want(s->worker, s->dbname);
			return;
		}
		mem_free(&name);
		s->place = place;
		TAILQ_INSERT_TAIL(&place->sessions, s, of_place);
		atomic_fetch_add_explicit(&place->service->lease->clients, 1, memory_order_relaxed);
		if (!declare(s) || !within_limits(s))
			return;
		if (s->entry->startup.replication && !place->service->section->replication) {
			session_close(
			    s, REASON_REPLICATION_REFUSED, "replication: false is set for this database");
			return;
		}
	}
	if (s->physical) {
		login_dial(s);
		return;
	}
	if (s->state == STATE_HELD) { /* it waited for its database to be served: paced as after a hold */
		admit_held(s);
		return;
	}
	struct verdict verdict = ask(s);
	startup_verdict(s, &verdict);
}

void admit_held(struct session *s)
{
	if (s->place == NULL) {
		admit_ask(s);
		return;
	}
	struct verdict verdict = ask(s);
	if (verdict.kind == VERDICT_ADMIT) {
		place_ready(s->place, s);
		return;
	}
	place_unready(s->place, s);
	startup_verdict(s, &verdict);
}

void admit_turn(struct session *s)
{
	place_unready(s->place, s);
	struct verdict verdict = ask(s);
	startup_verdict(s, &verdict);
}

/* Something waits: in the stash or in the socket. */
static void park_waiting(struct session *s, const struct verdict *verdict)
{
	if (s->state != STATE_WAITING) {
		s->noticed = false;
		s->held_since_ns = 0;
		session_enter(s, STATE_WAITING);
	}
	held_timer(s, verdict);
}

static void park(struct session *s, const struct verdict *verdict)
{
	starve(s, verdict);
	if (s->stash_size > 0 || s->state == STATE_WAITING)
		park_waiting(s, verdict);
	else
		session_enter(s, STATE_PARKED);
}

/* Let go: what waits goes out at once, without another turn of the loop. */
static void resume(struct session *s)
{
	bool waited = s->state == STATE_WAITING;
	session_enter(s, STATE_IDLE);
	relay_resume(s);
	if (waited && s->state == STATE_IDLE && s->client.watching != 0)
		relay_client_readable(s);
}

bool admit_transaction(struct session *s)
{
	if (s->place->retired) {
		session_close(s, REASON_NO_DATABASE, "the database was taken out of the configuration");
		return false;
	}
	struct verdict verdict = ask(s);
	switch (verdict.kind) {
	case VERDICT_ADMIT:
		if (s->epoch != s->place->epoch)
			observe(s, &verdict);
		s->epoch = s->place->epoch;
		return true;
	case VERDICT_HOLD:
		park(s, &verdict);
		return false;
	case VERDICT_REJECT:
		refuse(s, &verdict, REFUSAL_LIVE);
		return false;
	}
	return false;
}

bool admit_now(struct session *s)
{
	struct verdict verdict = ask(s);
	if (verdict.kind != VERDICT_ADMIT || s->place->retired)
		return false;
	observe(s, &verdict);
	s->epoch = s->place->epoch;
	return true;
}

void admit_settled(struct session *s)
{
	if (s->worker->stopping) {
		session_close(s, REASON_SHUTDOWN, NULL);
		return;
	}
	if (s->epoch == s->place->epoch || admit_transaction(s))
		session_enter(s, STATE_IDLE);
	if (s->wave != WAVE_NONE)
		wave_answered(s);
}

void admit_view(struct session *s)
{
	switch ((enum session_state)s->state) {
	case STATE_HELD:
		admit_held(s);
		break;
	case STATE_DIAL: {
		if (s->physical)
			break;
		struct verdict verdict = ask(s);
		if (verdict.kind == VERDICT_ADMIT)
			break;
		dial_cancel(&s->entry->dial);
		startup_verdict(s, &verdict);
		break;
	}
	case STATE_IDLE:
		admit_transaction(s);
		break;
	case STATE_PARKED:
	case STATE_WAITING:
		if (s->discarding || !admit_transaction(s))
			break;
		if (s->state == STATE_WAITING)
			wave_join(s);
		resume(s);
		break;
	case STATE_HELLO:
	case STATE_TLS:
	case STATE_LOGIN:
	case STATE_BUSY: /* asked when its transaction ends */
	case STATE_REPLICA:
	case STATE_GONE:
	case STATE_CANCEL:
	case STATE_LINGER:
	case STATE_CLOSED:
	case STATE_COUNT:
		break;
	}
}

void admit_waiting(struct session *s)
{
	uint8_t first = 0;
	ssize_t n;
	if (s->client.stream.tls == NULL) {
		n = recv(s->client.stream.fd, &first, 1, MSG_PEEK);
	} else {
		/* what TLS decrypts cannot be put back: a little is kept here */
		uint8_t bytes[2048];
		n = leg_read(s, &s->client, bytes, sizeof bytes);
		if (n > 0) {
			first = bytes[0];
			s->stash = mem_dup(bytes, (size_t)n);
			s->stash_size = (size_t)n;
		}
	}
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || first == 'X') {
		session_close(s,
		    n > 0        ? REASON_CLIENT_LEFT
			: n == 0 ? REASON_CLIENT_VANISHED
				 : REASON_CLIENT_ERROR,
		    NULL);
		return;
	}
	struct verdict verdict = ask(s);
	switch (verdict.kind) {
	case VERDICT_ADMIT: /* parked on a lease that is good again */
		resume(s);
		break;
	case VERDICT_HOLD:
		park_waiting(s, &verdict);
		starve(s, &verdict);
		break;
	case VERDICT_REJECT:
		refuse(s, &verdict, REFUSAL_LIVE);
		break;
	}
}

void admit_timer(struct session *s)
{
	if (s->place == NULL) {
		session_close_unserved(s, "the control link gave no answer about");
		return;
	}
	struct verdict verdict = ask(s);
	if (verdict.kind != VERDICT_HOLD) {
		admit_view(s);
		return;
	}
	const struct gate_view *view = s->place->service->view;
	int64_t held = s->worker->now_ns - s->held_since_ns;
	struct refusal refusal;
	if (held >= verdict.budget_ns) {
		gate_hold_expired(view, &verdict, held, &refusal);
		session_refuse(s, REASON_HELD_TOO_LONG, &refusal);
		return;
	}
	/* NOTICE is allowed at any time in a live session; during start-up libpq would take it for garbage.
	 */
	if (s->state == STATE_WAITING && !s->noticed &&
	    held >= s->place->service->section->hold.notice_after_ns &&
	    tracker_server_boundary(&s->tracker)) {
		s->noticed = true;
		gate_hold_notice(view, &verdict, held, &refusal);
		const struct reply_error notice = {.severity = "NOTICE",
		    .sqlstate = refusal.sqlstate,
		    .message = refusal.message,
		    .detail = refusal.detail[0] != '\0' ? refusal.detail : NULL,
		    .hint = refusal.hint[0] != '\0' ? refusal.hint : NULL};
		struct reply reply = {0};
		reply_notice(&reply, &notice);
		bool heard = session_say(s, reply.data, reply.size);
		reply_free(&reply);
		if (!heard)
			return;
	}
	held_timer(s, &verdict);
}
