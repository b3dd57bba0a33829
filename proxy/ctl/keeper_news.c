#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "keeper_private.h"
#include "section.h"

static void log_run(const struct keeper *keeper, const struct link_news *news)
{
	const struct gate_run *is = &news->run, *was = &keeper->run;
	if (is->id != was->id && was->id)
		log_info(keeper->name, "run %lld has ended", (long long)was->id);
	if (is->id && is->id != was->id)
		log_info(keeper->name, "run %lld by %s begins from %s to %s%s%s", (long long)is->id,
		    is->who ? is->who : "somebody", heads_text(&is->from),
		    is->target_known ? heads_text(&is->target) : "what its command makes of it",
		    is->reason ? ": " : "", is->reason ? is->reason : "");
	if (is->id && is->holding && (is->id != was->id || !was->holding))
		log_info(keeper->name, "run %lld holds traffic: %u clients", (long long)is->id,
		    keeper_clients(keeper));
	if (is->id && is->id == was->id && was->holding && !is->holding)
		log_info(keeper->name, "run %lld lets traffic go", (long long)is->id);
}

/* What the link reads and what troubles it are its own lines; what follows for clients is ours. */
static void log_lease(const struct keeper *keeper, const struct link_news *news)
{
	if (keeper->fresh && !news->fresh)
		log_warning(keeper->name, "the lease is lost, clients are held: %s",
		    news->trouble ? news->trouble : "no reading in time");
	else if (!keeper->fresh && news->fresh && keeper->news)
		log_info(keeper->name, "the lease is regained");
}

static void forget_news(struct keeper *keeper)
{
	heads_free(&keeper->recorded.heads);
	mem_free(&keeper->recorded.detail);
	heads_free(&keeper->run.from);
	heads_free(&keeper->run.target);
	mem_free(&keeper->run.who);
	mem_free(&keeper->run.reason);
	keeper->run = (struct gate_run){0};
	for (unsigned i = 0; i < keeper->pin_count; i++)
		heads_free(&keeper->pins[i].heads);
	mem_free(&keeper->pins);
	keeper->pin_count = 0;
	mem_free(&keeper->trouble);
	mem_free(&keeper->graph_trouble);
}

static void take_graph(struct keeper *keeper, struct gate_graph *graph)
{
	if (graph == keeper->graph)
		return;
	gate_graph_unref(&keeper->graph_before);
	keeper->graph_before = keeper->graph;
	keeper->graph = gate_graph_ref(graph);
}

static void take_news(struct keeper *keeper, const struct link_news *news)
{
	bool known = keeper->news || news->fresh;
	forget_news(keeper);
	keeper->recorded.heads = heads_copy(&news->recorded.heads);
	keeper->recorded.state = news->recorded.state;
	keeper->recorded.detail = news->recorded.detail ? mem_strdup(news->recorded.detail) : NULL;
	keeper->recorded.by_run = news->recorded.by_run;
	keeper->run = news->run;
	keeper->run.from = heads_copy(&news->run.from);
	keeper->run.target = heads_copy(&news->run.target);
	keeper->run.who = news->run.who ? mem_strdup(news->run.who) : NULL;
	keeper->run.reason = news->run.reason ? mem_strdup(news->run.reason) : NULL;
	if (news->pin_count)
		keeper->pins = mem_zalloc(news->pin_count * sizeof *keeper->pins);
	keeper->pin_count = news->pin_count;
	for (unsigned i = 0; i < news->pin_count; i++)
		keeper->pins[i] = (struct gate_pin){
		    .heads = heads_copy(&news->pins[i].heads), .until_ns = news->pins[i].until_ns};
	keeper->trouble = news->trouble && news->trouble[0] ? mem_strdup(news->trouble) : NULL;
	keeper->graph_trouble = news->graph_trouble ? mem_strdup(news->graph_trouble) : NULL;
	take_graph(keeper, news->graph);
	keeper->news = known;
	keeper->fresh = news->fresh;
	keeper->connected = news->connected;
	keeper->registered = news->registered;
	keeper->standby = news->standby;
}

static void on_news(const struct link_news *news, void *arg)
{
	struct keeper *keeper = arg;
	bool was_connected = keeper->connected;
	log_lease(keeper, news);
	log_run(keeper, news);
	bool missing = !news->fresh && news->trouble_sqlstate && strcmp(news->trouble_sqlstate, "3D000") == 0;
	take_news(keeper, news);
	if (keeper->run.id != keeper->acknowledged_run)
		keeper->acknowledged_run = 0;
	keeper_publish(keeper);
	/* the server may have moved */
	if (was_connected && !keeper->connected)
		keeper_resolve(keeper);
	if (missing && keeper_on_demand(keeper))
		keeper->house->needless(keeper, true, keeper->house->arg);
}

void keeper_link_start(struct keeper *keeper)
{
	char error[400] = "";
	char *dbname = section_link_dbname(keeper->section, keeper->name);
	keeper->link_conf = conf_ref(keeper->conf);
	keeper->link_section = keeper->section;
	keeper->link = link_start(&(struct link_request){.base = keeper->house->base,
				      .resolver = keeper->house->resolver,
				      .section = keeper->section,
				      .name = keeper->name,
				      .dbname = dbname,
				      .proxy_id = keeper->house->proxy_id,
				      .proxy_name = keeper->house->proxy_name,
				      .lease = keeper->lease,
				      .news = on_news,
				      .arg = keeper},
	    error, sizeof error);
	mem_free(&dbname);
	if (!keeper->link) {
		log_error(keeper->name, "no control link, clients are held: %s", error);
		mem_free(&keeper->trouble);
		keeper->trouble = mem_strdup(error);
	}
}

void keeper_link_stop(struct keeper *keeper)
{
	if (keeper->link)
		link_stop(&keeper->link);
	keeper->connected = keeper->registered = keeper->standby = false;
	forget_news(keeper);
	take_graph(keeper, NULL);
	keeper->recorded.state = RECORDED_UNREADABLE;
	keeper->recorded.by_run = false;
	keeper->news = false;
	keeper->acknowledged_run = 0;
	while (keeper->runs) {
		struct runs_wait *wait = keeper->runs;
		keeper->runs = wait->next;
		wait->done(NULL, 0, 0, "the control link was closed", wait->arg);
		mem_free(&wait);
	}
	keeper->link_section = NULL;
	conf_unref(&keeper->link_conf);
}

static void on_runs(const char *const *cells, unsigned rows, unsigned columns, const char *error, void *arg)
{
	struct runs_wait *wait = arg;
	struct runs_wait **at = &wait->keeper->runs;
	while (*at != wait)
		at = &(*at)->next;
	*at = wait->next;
	wait->done(cells, rows, columns, error, wait->arg);
	mem_free(&wait);
}

void keeper_runs(struct keeper *keeper, unsigned limit, link_runs_done *done, void *arg)
{
	if (!keeper->link || !keeper->connected) {
		done(
		    NULL, 0, 0, keeper->trouble ? keeper->trouble : "the control link is not connected", arg);
		return;
	}
	struct runs_wait *wait = mem_zalloc(sizeof *wait);
	*wait = (struct runs_wait){.next = keeper->runs, .keeper = keeper, .done = done, .arg = arg};
	keeper->runs = wait;
	link_runs(keeper->link, limit, on_runs, wait);
}

static bool same_endpoints(const struct endpoints *a, const struct endpoints *b)
{
	if (!a || !b || a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++) {
		const struct endpoint *x = &a->at[i], *y = &b->at[i];
		if (x->size != y->size || memcmp(&x->address, &y->address, x->size) != 0 ||
		    x->index != y->index || strcmp(x->name, y->name) != 0)
			return false;
	}
	return true;
}

static void on_resolved(struct endpoints *endpoints, void *arg)
{
	struct keeper *keeper = arg;
	keeper->resolve = NULL;
	if (endpoints->count == 0)
		log_warning(keeper->name, "upstream: %s", endpoints->error);
	/* a resolver that fails now and then is no reason to forget where the server was */
	bool keep = endpoints->count == 0 && keeper->endpoints && keeper->endpoints->count > 0;
	if (keep || same_endpoints(keeper->endpoints, endpoints)) {
		endpoints_unref(&endpoints);
		return;
	}
	if (keeper->endpoints)
		endpoints_unref(&keeper->endpoints);
	keeper->endpoints = endpoints;
	keeper->resolved = true;
	keeper_publish(keeper);
}

void keeper_resolve(struct keeper *keeper)
{
	resolve_cancel(&keeper->resolve);
	struct resolve *resolve = resolve_start(keeper->house->resolver, keeper->section->upstream.address,
	    keeper->section->upstream.address_count, on_resolved, keeper);
	keeper->resolve = resolve;
}
