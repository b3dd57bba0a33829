#include "listeners.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "gate/head.h"

struct listeners {
	struct event_base *base;
	listen_accepted *accepted;
	void *arg;
	struct listening **at; /* NULL: one that a plan has stopped */
	unsigned count;
};

struct slot {
	struct listener *listener;   /* as it is to be */
	struct listening *opened;    /* a new socket, the plan's until it is applied */
	struct listening *kept;      /* or the socket that has the address already */
	struct listener *in_the_way; /* of a socket that was closed because the new address needs its port */
	unsigned in_the_way_at;
};

struct listeners_plan {
	struct listeners *listeners;
	struct slot *slots;
	unsigned count;
};

struct listeners *listeners_new(struct event_base *base, listen_accepted *accepted, void *arg)
{
	struct listeners *listeners = mem_zalloc(sizeof *listeners);
	listeners->base = base;
	listeners->accepted = accepted;
	listeners->arg = arg;
	return listeners;
}

void listeners_free(struct listeners **at)
{
	struct listeners *listeners = *at;
	if (!listeners)
		return;
	for (unsigned i = 0; i < listeners->count; i++) {
		if (listeners->at[i])
			listen_stop(&listeners->at[i]);
	}
	mem_free(&listeners->at);
	mem_free(at);
}

static void note(struct conf_errors *errors, char *line)
{
	if (errors->count < sizeof errors->lines / sizeof *errors->lines)
		errors->lines[errors->count++] = line;
	else
		mem_free(&line);
}

static const struct conf_listen *section_at(const struct listeners *listeners, unsigned i)
{
	return listeners->at[i] ? listen_listener(listeners->at[i])->section : NULL;
}

static bool is_wanted(const struct conf *conf, const struct conf_listen *section)
{
	for (unsigned i = 0; i < conf->listen_count; i++) {
		if (strcmp(conf->listen[i].address.text, section->address.text) == 0)
			return true;
	}
	return false;
}

static struct listening *start(
    struct listeners *listeners, struct listener *listener, char *error, unsigned error_size)
{
	return listen_start(
	    listeners->base, listener, listeners->accepted, listeners->arg, error, error_size);
}

/* 127.0.0.1:6432 cannot become 0.0.0.0:6432 while it is open: the one that is not wanted any more makes
 * place. */
static void open_in_place_of(
    struct listeners *listeners, const struct conf *conf, struct slot *slot, char *error, unsigned error_size)
{
	const struct conf_listen *section = slot->listener->section;
	for (unsigned i = 0; i < listeners->count && !slot->opened; i++) {
		const struct conf_listen *old = section_at(listeners, i);
		if (!old || is_wanted(conf, old) || section->address.path || old->address.path ||
		    old->address.port != section->address.port)
			continue;
		slot->in_the_way = listener_ref((struct listener *)listen_listener(listeners->at[i]));
		slot->in_the_way_at = i;
		listen_stop(&listeners->at[i]);
		slot->opened = start(listeners, slot->listener, error, error_size);
		return;
	}
}

static bool plan_slot(struct listeners *listeners, struct conf *conf, const struct conf_listen *section,
    struct slot *slot, struct conf_errors *errors)
{
	char error[400] = "";
	struct tls_context *tls = tls_context_new(&section->tls, TLS_SERVER, error, sizeof error);
	if (!tls) {
		note(errors, mem_printf("listen %s: %s", section->address.text, error));
		return false;
	}
	struct heads heads = heads_none();
	const char *why = "";
	if (section->head && !heads_parse(section->head, strlen(section->head), &heads, &why)) {
		note(errors,
		    mem_printf(
			"listen %s: '%s' cannot be a head: %s", section->address.text, section->head, why));
		tls_context_unref(&tls);
		return false;
	}
	heads_free(&heads);
	slot->listener = listener_new(conf, section, tls);
	tls_context_unref(&tls);
	for (unsigned i = 0; i < listeners->count && !slot->kept; i++) {
		const struct conf_listen *old = section_at(listeners, i);
		if (old && strcmp(old->address.text, section->address.text) == 0)
			slot->kept = listeners->at[i];
	}
	if (slot->kept)
		return true;
	slot->opened = start(listeners, slot->listener, error, sizeof error);
	if (!slot->opened)
		open_in_place_of(listeners, conf, slot, error, sizeof error);
	if (!slot->opened)
		note(errors, mem_strdup(error));
	return slot->opened != NULL;
}

struct listeners_plan *listeners_plan_new(
    struct listeners *listeners, struct conf *conf, struct conf_errors *errors)
{
	struct listeners_plan *plan = mem_zalloc(sizeof *plan);
	plan->listeners = listeners;
	plan->count = conf->listen_count;
	plan->slots = mem_zalloc((plan->count + 1) * sizeof *plan->slots);
	bool good = true;
	for (unsigned i = 0; i < plan->count; i++)
		good = plan_slot(listeners, conf, &conf->listen[i], &plan->slots[i], errors) && good;
	if (!good)
		listeners_plan_free(&plan);
	return plan;
}

void listeners_plan_free(struct listeners_plan **at)
{
	struct listeners_plan *plan = *at;
	if (!plan)
		return;
	for (unsigned i = 0; i < plan->count; i++) {
		struct slot *slot = &plan->slots[i];
		if (slot->opened)
			listen_stop(&slot->opened);
		if (slot->in_the_way) {
			char error[400];
			struct listening *again =
			    start(plan->listeners, slot->in_the_way, error, sizeof error);
			if (!again)
				log_error("", "%s: it was closed for a reload that failed", error);
			plan->listeners->at[slot->in_the_way_at] = again;
			listener_unref(&slot->in_the_way);
		}
		if (slot->listener)
			listener_unref(&slot->listener);
	}
	mem_free(&plan->slots);
	mem_free(at);
}

static void keep(struct slot *slot)
{
	const struct conf_listen *old = listen_listener(slot->kept)->section, *now = slot->listener->section;
	if (now->address.path && old->unix_mode != now->unix_mode &&
	    chmod(now->address.path, now->unix_mode) != 0)
		log_warning(now->address.text, "cannot change its mode: %s", strerror(errno));
	if (old->backlog != now->backlog)
		log_warning(now->address.text, "its backlog changes with the next start");
	listen_replace(slot->kept, slot->listener);
}

void listeners_apply(struct listeners *listeners, struct listeners_plan **at)
{
	struct listeners_plan *plan = *at;
	struct listening **now = mem_zalloc((plan->count + 1) * sizeof *now);
	for (unsigned i = 0; i < plan->count; i++) {
		struct slot *slot = &plan->slots[i];
		if (slot->kept)
			keep(slot);
		else
			log_info("", "listening on %s", slot->listener->section->address.text);
		now[i] = slot->kept ? slot->kept : slot->opened;
		for (unsigned j = 0; slot->kept && j < listeners->count; j++) {
			if (listeners->at[j] == slot->kept)
				listeners->at[j] = NULL;
		}
		if (slot->in_the_way)
			listener_unref(&slot->in_the_way);
		listener_unref(&slot->listener);
	}
	for (unsigned j = 0; j < listeners->count; j++) {
		if (!listeners->at[j])
			continue;
		log_info("", "no longer listening on %s", section_at(listeners, j)->address.text);
		listen_stop(&listeners->at[j]);
	}
	mem_free(&listeners->at);
	listeners->at = now;
	listeners->count = plan->count;
	mem_free(&plan->slots);
	mem_free(at);
}
