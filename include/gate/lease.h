/* The lease of one database: until when its proxies' sessions may be admitted after the last confirmed
 * reading. One atomic deadline, written by the control link, read by every worker at each transaction's
 * start. It is the backstop: when it runs out the control thread also publishes a view that holds, but a
 * stalled control thread cannot let a session pass an old lease. */
#ifndef GATE_LEASE_H
#define GATE_LEASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lease {
	atomic_uint references;
	atomic_int_least64_t deadline_ns; /* clock_now() scale; 0: no reading yet */
	/* Of the newest view. A worker that has not opened its letter yet still holds an older one: it must
	 * not admit by it on a lease that was renewed by a later reading. Set before the view is handed out.
	 */
	atomic_uint_least64_t serial;
	/* A worker parked a session on the deadline alone: whoever renews the lease next must have the view
	 * published again. */
	atomic_bool starved;
	/* Counts that limits are held against, for all workers together. */
	atomic_uint clients; /* sessions of this database */
	atomic_uint held;    /* of these HELD or PARKED with bytes waiting */
};

struct lease *lease_new(void);
struct lease *lease_ref(struct lease *lease);
void lease_unref(struct lease **lease); /* NULL-safe */

/* The deadline for one who holds the view with this serial: none for an outdated view. */
static inline int64_t lease_deadline_under(const struct lease *lease, uint64_t serial)
{
	/* the deadline first: one that was set later belongs to a view whose serial is seen, too */
	int64_t deadline = atomic_load_explicit(&lease->deadline_ns, memory_order_acquire);
	return atomic_load_explicit(&lease->serial, memory_order_acquire) == serial ? deadline : 0;
}

static inline int64_t lease_deadline(const struct lease *lease)
{
	return atomic_load_explicit(&lease->deadline_ns, memory_order_acquire);
}

#endif
