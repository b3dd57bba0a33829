#include "drain.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct report {
	uint64_t serial; /* 0: none */
	int32_t *pids;
	unsigned pid_count, logins;
};

struct drain {
	uint64_t since; /* 0: not active */
	unsigned workers;
	struct report reports[];
};

struct drain *drain_new(unsigned workers)
{
	struct drain *drain = mem_zalloc(sizeof *drain + workers * sizeof(struct report));
	drain->workers = workers;
	return drain;
}

static void forget(struct drain *drain)
{
	for (unsigned i = 0; i < drain->workers; i++) {
		mem_free(&drain->reports[i].pids);
		drain->reports[i] = (struct report){0};
	}
}

void drain_free(struct drain **at)
{
	if (!*at)
		return;
	forget(*at);
	mem_free(at);
}

void drain_begin(struct drain *drain, uint64_t serial)
{
	forget(drain);
	drain->since = serial;
}

void drain_end(struct drain *drain)
{
	forget(drain);
	drain->since = 0;
}

bool drain_active(const struct drain *drain)
{
	return drain->since != 0;
}

bool drain_report(struct drain *drain, unsigned worker, uint64_t serial, const int32_t *pids,
    unsigned pid_count, unsigned logins)
{
	if (!drain_active(drain) || worker >= drain->workers || serial < drain->since)
		return false;
	struct report *report = &drain->reports[worker];
	if (serial < report->serial)
		return false;
	mem_free(&report->pids);
	report->serial = serial;
	report->pids = pid_count ? mem_dup(pids, pid_count * sizeof *pids) : NULL;
	report->pid_count = pid_count;
	report->logins = logins;
	return true;
}

unsigned drain_waiting(const struct drain *drain)
{
	unsigned waiting = 0;
	for (unsigned i = 0; i < drain->workers; i++)
		waiting += drain->reports[i].serial == 0;
	return waiting;
}

bool drain_parked(const struct drain *drain)
{
	return drain_active(drain) && drain_waiting(drain) == 0;
}

unsigned drain_logins(const struct drain *drain)
{
	unsigned logins = 0;
	for (unsigned i = 0; i < drain->workers; i++)
		logins += drain->reports[i].logins;
	return logins;
}

static int compare(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	return (x > y) - (x < y);
}

int32_t *drain_pids(const struct drain *drain, unsigned *count)
{
	unsigned all = 0, n = 0;
	for (unsigned i = 0; i < drain->workers; i++)
		all += drain->reports[i].pid_count;
	*count = 0;
	if (all == 0)
		return NULL;
	int32_t *pids = mem_alloc(all * sizeof *pids);
	for (unsigned i = 0; i < drain->workers; i++) {
		const struct report *report = &drain->reports[i];
		if (report->pid_count)
			memcpy(pids + n, report->pids, report->pid_count * sizeof *pids);
		n += report->pid_count;
	}
	qsort(pids, all, sizeof *pids, compare);
	n = 1;
	for (unsigned i = 1; i < all; i++) {
		if (pids[i] != pids[n - 1])
			pids[n++] = pids[i];
	}
	*count = n;
	return pids;
}
