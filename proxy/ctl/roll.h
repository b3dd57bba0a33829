/* A roll call: the sessions of all workers in one list. A worker that does not answer in time is left out and
 * counted, so that whoever asks gets an answer when it matters most. */
#ifndef CTL_ROLL_H
#define CTL_ROLL_H

#include "client/worker.h"

struct event_base;
struct roll;

/* rows live during the call; missing: workers that did not answer within two seconds. */
typedef void roll_done(const struct client_row *rows, unsigned count, unsigned missing, void *arg);

/* `done` runs once, later, unless cancelled. */
struct roll *roll_start(
    struct event_base *base, struct worker *const *workers, unsigned count, roll_done *done, void *arg);
void roll_cancel(struct roll **roll); /* NULL-safe */

#endif
