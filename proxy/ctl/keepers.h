/* All keepers: one for each database of the configuration, and those that "*" makes on demand. */
#ifndef CTL_KEEPERS_H
#define CTL_KEEPERS_H

#include <stddef.h>

#include "keeper.h"

struct keepers;

/* house: without hold_news' and needless' arguments; it is copied. */
struct keepers_request {
	struct event_base *base;
	struct resolver *resolver;
	struct worker *const *workers; /* valid until keepers_free() */
	unsigned worker_count;
	const char *proxy_id, *proxy_name;
	void (*hold_news)(const struct hold_news *news, void *arg);
	void *arg;
};
struct keepers *keepers_new(const struct keepers_request *request);
/* refuse: tell the workers; false when they are gone. NULL-safe. */
void keepers_free(struct keepers **keepers, bool refuse);

/* What a configuration needs that can fail, made before anything is changed: all sections checked, their
 * certificates loaded. NULL with texts in errors (up to its room). */
struct keepers_plan;
struct keepers_plan *keepers_plan_new(struct conf *conf, struct conf_errors *errors);
void keepers_plan_free(struct keepers_plan **plan); /* NULL-safe */
/* Puts it in force: keepers are made, told or freed. */
void keepers_apply(struct keepers *keepers, const struct keepers_plan *plan);

/* The workers' handlers of the same names (client/worker.h). worker_index: its place in workers[]. */
void keepers_wanted(struct keepers *keepers, struct worker *worker, const char *database);
void keepers_drained(struct keepers *keepers, unsigned worker_index, unsigned service_id, uint64_t serial,
    const int32_t *pids, unsigned pid_count, unsigned logins);

unsigned keepers_count(const struct keepers *keepers);
struct keeper *keepers_at(const struct keepers *keepers, unsigned i);
struct keeper *keepers_find(const struct keepers *keepers, const char *name);
/* Ends every hold of this order; how many there were. */
unsigned keepers_release(struct keepers *keepers, uint64_t hold_id, const char *why);

#endif
