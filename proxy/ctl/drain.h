/* A drain: have all workers parked the sessions of one database? Pure.
 *
 * It begins with the serial of the first of an unbroken row of views that hold everybody: what a worker
 * parked under an earlier one of that row stays parked under the later ones, and a report from before the row
 * says nothing. */
#ifndef CTL_DRAIN_H
#define CTL_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

struct drain;

struct drain *drain_new(unsigned workers);
void drain_free(struct drain **drain); /* NULL-safe */

void drain_begin(struct drain *drain, uint64_t serial);
void drain_end(struct drain *drain);
bool drain_active(const struct drain *drain);

/* A worker's report (worker.h: drained). False: it belongs to an earlier drain, or none is under way. */
bool drain_report(struct drain *drain, unsigned worker, uint64_t serial, const int32_t *pids,
    unsigned pid_count, unsigned logins);

/* All workers have reported: no session that could have a transaction open is not parked. */
bool drain_parked(const struct drain *drain);
unsigned drain_waiting(const struct drain *drain); /* workers that have not reported */
unsigned drain_logins(const struct drain *drain);  /* sessions still logging in, over all reports */
/* The backends of all sessions, sorted, each once. Owned by the caller; NULL with *count 0. */
int32_t *drain_pids(const struct drain *drain, unsigned *count);

#endif
