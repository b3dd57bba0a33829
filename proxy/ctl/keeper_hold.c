/* Drains, and the operator's hold. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "keeper_private.h"

/* How many of the clients that kept a hold are named. */
#define BLOCKERS 3

static void tell(struct keeper *keeper, bool ended, const char *why, const char *sqlstate, const char *detail)
{
	const struct hold *hold = &keeper->hold;
	keeper->house->hold_news(&(struct hold_news){.id = hold->id,
				     .keeper = keeper,
				     .ended = ended,
				     .clients = keeper_clients(keeper),
				     .ns = clock_now() - hold->began_ns,
				     .why = why,
				     .sqlstate = sqlstate,
				     .detail = detail},
	    keeper->house->arg);
}

static void forget_hold(struct hold *hold)
{
	roll_cancel(&hold->roll);
	mem_free(&hold->owner);
	mem_free(&hold->reason);
	*hold = (struct hold){0};
}

static void end_hold(struct keeper *keeper, const char *why, const char *sqlstate, const char *detail)
{
	struct hold *hold = &keeper->hold;
	log_info(keeper->name, "the hold by %s has ended after %lld ms: %s%s%s", hold->owner,
	    (long long)((clock_now() - hold->began_ns) / CLOCK_MS), why, detail ? "; " : "",
	    detail ? detail : "");
	/* the hold is gone before anybody hears of it: who hears may order the next one */
	struct hold old = *hold;
	*hold = (struct hold){0};
	keeper_publish(keeper);
	keeper->house->hold_news(&(struct hold_news){.id = old.id,
				     .keeper = keeper,
				     .ended = true,
				     .clients = keeper_clients(keeper),
				     .ns = clock_now() - old.began_ns,
				     .why = why,
				     .sqlstate = sqlstate,
				     .detail = detail},
	    keeper->house->arg);
	forget_hold(&old);
}

bool keeper_release(struct keeper *keeper, const char *why)
{
	if (!keeper->hold.id)
		return false;
	end_hold(keeper, why, "55000", NULL);
	return true;
}

/* Whoever orders a hold hears of it later, even when everybody is parked already: the first look at it is the
 * timer's. */
static void begin_hold(struct keeper *keeper)
{
	static const struct timeval soon = {0, 1};
	const struct hold *hold = &keeper->hold;
	char most[32];
	conf_duration_text(hold->until_ns - hold->began_ns, most, sizeof most);
	log_info(keeper->name, "held by %s for at most %s%s: %u clients%s%s", hold->owner, most,
	    hold->detached ? ", detached" : "", keeper_clients(keeper), hold->reason ? ": " : "",
	    hold->reason ? hold->reason : "");
	keeper->ordering = true;
	keeper_publish(keeper);
	keeper->ordering = false;
	event_add(keeper->hold_timer, &soon);
}

bool keeper_hold(struct keeper *keeper, const struct hold_order *order, char *error, unsigned error_size)
{
	const struct conf_database *section = keeper->section;
	struct hold *hold = &keeper->hold;
	if (hold->id) {
		char left[32];
		int64_t now = clock_now();
		conf_duration_text(hold->until_ns > now ? (hold->until_ns - now) / CLOCK_MS * CLOCK_MS : 0,
		    left, sizeof left);
		snprintf(error, error_size, "%s is held already, by %s, for at most %s more%s%s",
		    keeper->name, hold->owner, left, hold->reason ? ": " : "",
		    hold->reason ? hold->reason : "");
		return false;
	}
	if (section->observe) {
		snprintf(error, error_size, "%s is in observe mode: its gate holds nobody", keeper->name);
		return false;
	}
	int64_t now = clock_now();
	int64_t drain_ns = order->drain_ns >= 0 ? order->drain_ns : section->drain.timeout_ns;
	int64_t max_ns = order->max_ns >= 0 ? order->max_ns : section->hold.max_ns;
	*hold = (struct hold){.id = order->id,
	    .owner = mem_strdup(order->owner),
	    .reason = order->reason[0] ? mem_strdup(order->reason) : NULL,
	    .detached = order->detached,
	    .all = order->all,
	    .began_ns = now,
	    .drain_ns = drain_ns,
	    .drain_until_ns = now + drain_ns,
	    .until_ns = now + max_ns,
	    .on_timeout = order->on_timeout_given ? order->on_timeout : section->drain.on_timeout};
	begin_hold(keeper);
	return true;
}

void keeper_hold_as(struct keeper *keeper, const struct keeper *other)
{
	if (keeper->hold.id || !other->hold.id || keeper->section->observe)
		return;
	keeper->hold = other->hold;
	keeper->hold.owner = mem_strdup(other->hold.owner);
	keeper->hold.reason = other->hold.reason ? mem_strdup(other->hold.reason) : NULL;
	keeper->hold.roll = NULL;
	begin_hold(keeper);
}

void keeper_drained(struct keeper *keeper, unsigned worker, uint64_t serial, const int32_t *pids,
    unsigned pid_count, unsigned logins)
{
	if (!drain_report(keeper->drain, worker, serial, pids, pid_count, logins))
		return;
	keeper->pids_changed = true;
	keeper_check(keeper);
}

static bool keeps_hold(const struct keeper *keeper, const struct client_row *row)
{
	return strcmp(row->database, keeper->name) == 0 &&
	    (row->in_transaction || strcasecmp(row->state, "busy") == 0);
}

/* The drain's time is up and the policy is to give up: by now it is known who kept it. */
static void on_blockers(const struct client_row *rows, unsigned count, unsigned missing, void *arg)
{
	struct keeper *keeper = arg;
	keeper->hold.roll = NULL;
	char detail[900] = "", why[160], span[32];
	size_t n = 0;
	unsigned kept = 0;
	for (unsigned i = 0; i < count; i++) {
		const struct client_row *row = &rows[i];
		if (!keeps_hold(keeper, row))
			continue;
		if (++kept > BLOCKERS || n >= sizeof detail)
			continue;
		conf_duration_text(row->state_ns / CLOCK_MS * CLOCK_MS, span, sizeof span);
		int more = snprintf(detail + n, sizeof detail - n,
		    "%ssession %llu of %s (%s, %s) with backend %d, busy for %s", n ? "; " : "",
		    (unsigned long long)row->session, row->user,
		    row->application[0] ? row->application : "no application name", row->address,
		    row->backend_pid, span);
		n += more > 0 ? (size_t)more : 0;
	}
	if (kept > BLOCKERS && n < sizeof detail)
		snprintf(detail + n, sizeof detail - n, "; and %u more", kept - BLOCKERS);
	conf_duration_text(keeper->hold.drain_ns, span, sizeof span);
	if (kept == 0 && missing > 0)
		snprintf(why, sizeof why, "%u workers did not answer within %s", missing, span);
	else if (kept == 0)
		snprintf(why, sizeof why, "backends of clients that were cut off were still at work after %s",
		    span);
	else
		snprintf(why, sizeof why, "%u client%s still had a transaction open after %s", kept,
		    kept == 1 ? "" : "s", span);
	end_hold(keeper, why, "55P03", detail[0] ? detail : NULL);
}

static void drain_timed_out(struct keeper *keeper, int64_t now)
{
	struct hold *hold = &keeper->hold;
	if (hold->on_timeout == TIMEOUT_ABORT || hold->pressed) {
		hold->roll = roll_start(keeper->house->base, keeper->house->workers,
		    keeper->house->worker_count, on_blockers, keeper);
		return;
	}
	log_warning(keeper->name, "clients are not parked in time: %s",
	    hold->on_timeout == TIMEOUT_CANCEL ? "their queries are cancelled" : "they are ended");
	for (unsigned i = 0; i < keeper->house->worker_count; i++)
		worker_press(keeper->house->workers[i], keeper->id, hold->on_timeout);
	hold->pressed = true;
	hold->drain_until_ns = now + hold->drain_ns;
}

/* Where the operator's hold stands. False: it has ended, and everything was looked at again. */
static bool check_hold(struct keeper *keeper, int64_t now)
{
	struct hold *hold = &keeper->hold;
	if (!hold->id || keeper->ordering)
		return true;
	if (now >= hold->until_ns) {
		char why[80], most[32];
		conf_duration_text(hold->until_ns - hold->began_ns, most, sizeof most);
		snprintf(why, sizeof why, "its time (%s) is up", most);
		end_hold(keeper, why, "55P03", NULL);
		return false;
	}
	if (hold->complete || hold->roll)
		return true;
	bool published = keeper->service && keeper->service->view->hold.id == hold->id;
	/* who is logging in has sent no statement: worth waiting for, not worth giving up for */
	bool logins = drain_logins(keeper->drain) > 0;
	if (published && drain_parked(keeper->drain) && (!logins || now >= hold->drain_until_ns)) {
		hold->complete = true;
		log_info(keeper->name, "all clients are parked, after %lld ms",
		    (long long)((now - hold->began_ns) / CLOCK_MS));
		tell(keeper, false, NULL, NULL, NULL);
	} else if (now >= hold->drain_until_ns) {
		drain_timed_out(keeper, now);
	}
	return true;
}

/* The coordinator gives a drain its whole time-out: what we wait for logins must leave it room to hear of us.
 */
static int64_t logins_until(const struct keeper *keeper)
{
	return keeper->holding_since_ns + keeper->section->drain.timeout_ns / 2;
}

static void check_run(struct keeper *keeper, int64_t now)
{
	const struct gate_view *view = keeper->service ? keeper->service->view : NULL;
	if (!view || !view->run.id || !view->run.holding || !keeper->link)
		return;
	if (!drain_active(keeper->drain)) {
		if (!keeper->observe_warned)
			log_warning(keeper->name,
			    "observe mode: run %lld is not held and not acknowledged here",
			    (long long)view->run.id);
		keeper->observe_warned = true;
		return;
	}
	if (!drain_parked(keeper->drain) || (drain_logins(keeper->drain) > 0 && now < logins_until(keeper)))
		return;
	bool first = keeper->acknowledged_run != view->run.id;
	if (!first && !keeper->pids_changed)
		return;
	unsigned count;
	int32_t *pids = drain_pids(keeper->drain, &count);
	if (first)
		log_info(keeper->name, "all clients are parked for run %lld: acknowledged with %u backends",
		    (long long)view->run.id, count);
	keeper->acknowledged_run = view->run.id;
	keeper->pids_changed = false;
	link_acknowledge(keeper->link, view->run.id, pids, count);
	mem_free(&pids);
}

void keeper_on_hold_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	keeper_check(arg);
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void keeper_check(struct keeper *keeper)
{
	int64_t now = clock_now(), next = INT64_MAX;
	if (!check_hold(keeper, now))
		return;
	check_run(keeper, now);
	const struct hold *hold = &keeper->hold;
	if (hold->id) {
		next = hold->until_ns;
		if (!hold->complete && !hold->roll)
			next = sooner(next, hold->drain_until_ns);
	}
	if (drain_parked(keeper->drain) && drain_logins(keeper->drain) > 0 && now < logins_until(keeper))
		next = sooner(next, logins_until(keeper));
	event_del(keeper->hold_timer);
	if (next != INT64_MAX) {
		struct timeval tv = clock_timeval(next > now ? next - now : 1);
		event_add(keeper->hold_timer, &tv);
	}
}

void keeper_minute(struct keeper *keeper)
{
	int64_t now = clock_now();
	unsigned clients = keeper_clients(keeper);
	gate_graph_unref(&keeper->graph_before);
	if (keeper->holding_since_ns && now - keeper->holding_since_ns >= 30 * CLOCK_S) {
		const struct gate_view *view = keeper->service->view;
		const char *cause = "an operator ordered it";
		if (!view->fresh)
			cause = "there is no fresh reading";
		else if (view->run.holding)
			cause = "of a run";
		else if (!view->hold.id)
			cause = "the recorded version cannot be judged";
		log_warning(keeper->name, "still holding after %lld s because %s%s%s: %u clients, %u waiting",
		    (long long)((now - keeper->holding_since_ns) / CLOCK_S), cause,
		    view->hold.id ? ", held by " : "", view->hold.id ? view->hold.owner : "", clients,
		    atomic_load(&keeper->lease->held));
	}
	if (clients > 0)
		keeper->unused_since_ns = 0;
	else if (!keeper->unused_since_ns)
		keeper->unused_since_ns = now;
	bool quiet = !keeper->hold.id && !drain_active(keeper->drain);
	if (keeper_on_demand(keeper) && quiet && keeper->unused_since_ns &&
	    now - keeper->unused_since_ns >= 300 * CLOCK_S)
		keeper->house->needless(keeper, false, keeper->house->arg);
}
