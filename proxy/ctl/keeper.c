#include "keeper.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "client/service.h"
#include "gate/gate.h"
#include "keeper_private.h"
#include "section.h"

#define RESOLVE_EVERY (15 * CLOCK_S)
#define MINUTE        (60 * CLOCK_S)
/* A client that is parked from a hold's first moment has waited exactly as long as the hold when its time is
 * up: it must not be the client's budget that ends first. */
#define HOLD_SLACK CLOCK_S

static void on_resolve_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	keeper_resolve(arg);
}

static void on_minute(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	keeper_minute(arg);
}

static struct event *every(struct keeper *keeper, int64_t ns, event_callback_fn call)
{
	struct timeval tv = clock_timeval(ns);
	struct event *event = event_new(keeper->house->base, -1, EV_PERSIST, call, keeper);
	if (!event || event_add(event, &tv) != 0)
		log_fatal("cannot make a timer");
	return event;
}

static void take_section(
    struct keeper *keeper, struct conf *conf, const struct conf_database *section, struct tls_context *tls)
{
	struct conf *old = keeper->conf;
	keeper->conf = conf_ref(conf);
	keeper->section = section;
	conf_unref(&old);
	tls_context_unref(&keeper->tls);
	keeper->tls = tls ? tls_context_ref(tls) : NULL;
}

struct keeper *keeper_new(const struct keeper_house *house, const char *name, struct conf *conf,
    const struct conf_database *section, struct tls_context *tls)
{
	static unsigned last_id; /* one sequence for the process: an id is never used again */
	struct keeper *keeper = mem_zalloc(sizeof *keeper);
	keeper->house = house;
	keeper->id = ++last_id;
	keeper->name = mem_strdup(name);
	take_section(keeper, conf, section, tls);
	keeper->lease = lease_new();
	keeper->drain = drain_new(house->worker_count);
	keeper->unused_since_ns = clock_now();
	keeper->recorded.state = RECORDED_UNREADABLE;
	keeper->resolve_timer = every(keeper, RESOLVE_EVERY, on_resolve_timer);
	keeper->minute = every(keeper, MINUTE, on_minute);
	keeper->hold_timer = evtimer_new(house->base, keeper_on_hold_timer, keeper);
	keeper_link_start(keeper);
	keeper_resolve(keeper);
	return keeper;
}

void keeper_configure(
    struct keeper *keeper, struct conf *conf, const struct conf_database *section, struct tls_context *tls)
{
	take_section(keeper, conf, section, tls);
	/* a link to somewhere else, or another reader: what the old one read says nothing */
	if (!section_same_link(keeper->link_section, section)) {
		keeper_link_stop(keeper);
		atomic_store(&keeper->lease->deadline_ns, 0);
		keeper->fresh = false;
		keeper_link_start(keeper);
	}
	keeper_publish(keeper);
	keeper_resolve(keeper);
}

void keeper_free(struct keeper **at, bool refuse)
{
	struct keeper *keeper = *at;
	if (!keeper)
		return;
	keeper->resolved = false; /* nothing is published any more */
	keeper_release(keeper, "the database was removed");
	keeper_link_stop(keeper);
	resolve_cancel(&keeper->resolve);
	if (refuse) {
		for (unsigned i = 0; i < keeper->house->worker_count; i++)
			worker_refuse(keeper->house->workers[i], keeper->name);
	}
	event_free(keeper->resolve_timer);
	event_free(keeper->minute);
	event_free(keeper->hold_timer);
	drain_free(&keeper->drain);
	service_unref(&keeper->service);
	if (keeper->endpoints)
		endpoints_unref(&keeper->endpoints);
	lease_unref(&keeper->lease);
	gate_graph_unref(&keeper->graph_before);
	tls_context_unref(&keeper->tls);
	conf_unref(&keeper->conf);
	mem_free(&keeper->name);
	mem_free(at);
}

static void copy_run(struct gate_run *to, const struct gate_run *from)
{
	*to = *from;
	to->from = heads_copy(&from->from);
	to->target = heads_copy(&from->target);
	to->who = from->who ? mem_strdup(from->who) : NULL;
	to->reason = from->reason ? mem_strdup(from->reason) : NULL;
}

/* The ledger's pins come after the configuration's. */
static void add_pins(struct gate_view *view, const struct keeper *keeper)
{
	if (keeper->pin_count == 0)
		return;
	view->pins = mem_realloc(view->pins, (view->pin_count + keeper->pin_count) * sizeof *view->pins);
	for (unsigned i = 0; i < keeper->pin_count; i++) {
		view->pins[view->pin_count++] = (struct gate_pin){
		    .heads = heads_copy(&keeper->pins[i].heads), .until_ns = keeper->pins[i].until_ns};
	}
}

static struct gate_view *make_view(struct keeper *keeper)
{
	struct gate_view *view = gate_view_new(keeper->name);
	char error[400];
	if (!section_view(keeper->section, view, error, sizeof error))
		log_panic("a configuration that was not checked: %s", error);
	add_pins(view, keeper);
	view->serial = ++keeper->serial;
	/* The link's word. Whether the lease has run out since is for the workers, who read its deadline at
	 * each transaction, and ask for another publication when they held somebody for it. */
	view->fresh = keeper->fresh;
	view->recorded.heads = heads_copy(&keeper->recorded.heads);
	view->recorded.state = keeper->recorded.state;
	view->recorded.detail = keeper->recorded.detail ? mem_strdup(keeper->recorded.detail) : NULL;
	view->recorded.by_run = keeper->recorded.by_run;
	copy_run(&view->run, &keeper->run);
	view->graph = gate_graph_ref(keeper->graph);
	gate_view_settle(view, keeper->service ? keeper->service->view : NULL);
	const struct hold *hold = &keeper->hold;
	if (hold->id) {
		view->hold = (struct gate_hold){.id = hold->id,
		    .owner = mem_strdup(hold->owner),
		    .reason = hold->reason ? mem_strdup(hold->reason) : NULL};
		int64_t budget_ns = hold->until_ns - hold->began_ns + HOLD_SLACK;
		if (view->hold_max_ns < budget_ns)
			view->hold_max_ns = budget_ns;
	}
	return view;
}

static void note_holding(struct keeper *keeper, const struct gate_view *view)
{
	if (!gate_holds_all(view)) {
		drain_end(keeper->drain);
		keeper->holding_since_ns = 0;
	} else if (!drain_active(keeper->drain)) {
		drain_begin(keeper->drain, view->serial);
		keeper->holding_since_ns = clock_now();
	}
}

void keeper_publish(struct keeper *keeper)
{
	if (!keeper->resolved)
		return;
	struct service *service = service_new(keeper->id, keeper->name);
	service->conf = conf_ref(keeper->conf);
	service->section = keeper->section;
	service->endpoints = endpoints_ref(keeper->endpoints);
	service->upstream_tls = keeper->tls ? tls_context_ref(keeper->tls) : NULL;
	service->lease = lease_ref(keeper->lease);
	service->view = make_view(keeper);
	atomic_store(&keeper->lease->serial,
	    service->view->serial); /* from here on no worker admits by an older one */
	service_unref(&keeper->service);
	keeper->service = service;
	atomic_store(&keeper->lease->starved, false);
	note_holding(keeper, service->view);
	for (unsigned i = 0; i < keeper->house->worker_count; i++)
		worker_publish(keeper->house->workers[i], service);
	keeper_check(keeper);
}

void keeper_present(struct keeper *keeper, struct worker *worker)
{
	if (keeper->service)
		worker_publish(worker, keeper->service);
}

const char *keeper_name(const struct keeper *keeper)
{
	return keeper->name;
}

unsigned keeper_id(const struct keeper *keeper)
{
	return keeper->id;
}

bool keeper_on_demand(const struct keeper *keeper)
{
	return strcmp(keeper->section->name, "*") == 0;
}

const struct conf_database *keeper_section(const struct keeper *keeper)
{
	return keeper->section;
}

unsigned keeper_clients(const struct keeper *keeper)
{
	return atomic_load(&keeper->lease->clients);
}

static const char *gate_word(const struct keeper *keeper)
{
	const struct gate_view *view = keeper->service ? keeper->service->view : NULL;
	if (!view)
		return "holding";
	if (gate_holds_all(view))
		return drain_parked(keeper->drain) ? "holding" : "draining";
	if (view->policy.mode == GATE_ENFORCE && view->recorded.state == RECORDED_FAILED)
		return view->policy.on_failed == ANSWER_HOLD ? "holding" : "shut";
	return "open";
}

void keeper_status(const struct keeper *keeper, struct keeper_status *out)
{
	const struct hold *hold = &keeper->hold;
	const struct gate_view *view = keeper->service ? keeper->service->view : NULL;
	int64_t now = clock_now(), deadline = lease_deadline(keeper->lease);
	*out = (struct keeper_status){
	    .gate = gate_word(keeper),
	    .recorded = keeper->news ? &keeper->recorded : NULL,
	    .view = view,
	    .graph_trouble = keeper->graph_trouble,
	    .observe = keeper->section->observe,
	    .fresh = keeper->fresh,
	    .lease_left_ns = deadline > now ? deadline - now : -1,
	    .run = &keeper->run,
	    .hold_id = hold->id,
	    .drain_left_ns = -1,
	    .clients = keeper_clients(keeper),
	    .held = atomic_load(&keeper->lease->held),
	    .link = !keeper->connected ? "lost"
		: keeper->standby      ? "standby"
		: keeper->registered   ? "up"
				       : "reading only",
	    .trouble = keeper->trouble ? keeper->trouble : "",
	};
	if (keeper->endpoints && keeper->endpoints->count == 0 && !keeper->trouble)
		out->trouble = keeper->endpoints->error;
	if (hold->id) {
		out->hold_owner = hold->owner;
		out->hold_reason = hold->reason ? hold->reason : "";
		out->hold_detached = hold->detached;
		out->hold_all = hold->all;
		out->hold_complete = hold->complete;
		out->hold_age_ns = now - hold->began_ns;
		if (!hold->complete)
			out->drain_left_ns = hold->drain_until_ns > now ? hold->drain_until_ns - now : 0;
		out->hold_left_ns = hold->until_ns > now ? hold->until_ns - now : 0;
	}
}
