#include "roll.h"

#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

struct roll {
	roll_done *done; /* NULL: delivered or cancelled */
	void *arg;
	unsigned owed; /* answers that will still come: the roll lives until then */
	struct client_row *rows;
	unsigned count;
	struct event *deadline;
};

static void roll_free(struct roll *roll)
{
	if (roll->deadline)
		event_free(roll->deadline);
	mem_free(&roll->rows);
	mem_free(&roll);
}

static void deliver(struct roll *roll)
{
	roll_done *done = roll->done;
	roll->done = NULL;
	if (roll->deadline)
		event_del(roll->deadline);
	if (done)
		done(roll->rows, roll->count, roll->owed, roll->arg);
	mem_free(&roll->rows);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	deliver(arg);
}

static void on_snapshot(struct worker *worker, const struct client_row *rows, unsigned count, void *arg)
{
	struct roll *roll = arg;
	(void)worker;
	roll->owed--;
	if (roll->done && count > 0) {
		roll->rows = mem_realloc(roll->rows, (roll->count + count) * sizeof *rows);
		memcpy(roll->rows + roll->count, rows, count * sizeof *rows);
		roll->count += count;
	}
	if (roll->owed > 0)
		return;
	deliver(roll);
	roll_free(roll);
}

struct roll *roll_start(
    struct event_base *base, struct worker *const *workers, unsigned count, roll_done *done, void *arg)
{
	struct roll *roll = mem_zalloc(sizeof *roll);
	struct timeval tv = clock_timeval(2 * CLOCK_S);
	roll->done = done;
	roll->arg = arg;
	roll->owed = count;
	roll->deadline = evtimer_new(base, on_deadline, roll);
	evtimer_add(roll->deadline, &tv);
	for (unsigned i = 0; i < count; i++)
		worker_snapshot(workers[i], on_snapshot, roll);
	return roll;
}

void roll_cancel(struct roll **at)
{
	if (!*at)
		return;
	(*at)->done = NULL;
	event_del((*at)->deadline);
	*at = NULL;
}
