/* The tracker as a library for test_tracker_oracle.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/tracker.h"

struct tracker *oracle_new(char status)
{
	struct tracker *t = mem_alloc(sizeof *t);
	tracker_init(t, status);
	return t;
}

void oracle_free(struct tracker *t)
{
	tracker_free(t);
	free(t);
}

size_t oracle_client(struct tracker *t, const uint8_t *bytes, size_t n, bool one_batch)
{
	return tracker_client(t, bytes, n, one_batch);
}

bool oracle_server(struct tracker *t, const uint8_t *bytes, size_t n)
{
	return tracker_server(t, bytes, n);
}

int oracle_state(const struct tracker *t)
{
	return (tracker_idle(t) ? 1 : 0) | (tracker_between(t) ? 2 : 0) | (tracker_settled(t) ? 4 : 0) |
	    (tracker_idle_in_transaction(t) ? 8 : 0) | (t->violation != NULL ? 16 : 0);
}

const char *oracle_text(const struct tracker *t)
{
	static char text[400];
	int at = snprintf(text, sizeof text, "mode=%d status=%c open=%d answered=%d swallowed=%d queue=", t->mode,
	    t->status, t->open, t->answered, t->swallowed);
	for (uint32_t i = 0; i < t->count && at < 380; i++) {
		uint32_t place = t->first + i;
		uint32_t entry = t->queue[place >= t->room ? place - t->room : place];
		at += snprintf(text + at, sizeof text - (size_t)at, "%.1s%u ", &"EQSc"[entry >> 30],
		    entry & ((UINT32_C(1) << 30) - 1));
	}
	return text;
}

/* The little of base/mem.c that the tracker uses. */
void *mem_alloc(size_t size)
{
	void *p = malloc(size);
	if (p == NULL)
		abort();
	return p;
}

void mem_free_at(void *p)
{
	void **place = p;
	free(*place);
	*place = NULL;
}
