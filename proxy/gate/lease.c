#include "gate/lease.h"

#include "base/mem.h"

struct lease *lease_new(void)
{
	struct lease *lease = mem_zalloc(sizeof(*lease));

	atomic_init(&lease->references, 1);
	atomic_init(&lease->deadline_ns, 0);
	atomic_init(&lease->starved, false);
	atomic_init(&lease->clients, 0);
	atomic_init(&lease->held, 0);
	return lease;
}

struct lease *lease_ref(struct lease *lease)
{
	atomic_fetch_add_explicit(&lease->references, 1, memory_order_relaxed);
	return lease;
}

void lease_unref(struct lease **lease)
{
	struct lease *dying = *lease;

	*lease = NULL;
	/* acq_rel: whoever frees must see every other thread's last use. */
	if (dying != NULL && atomic_fetch_sub_explicit(&dying->references, 1, memory_order_acq_rel) == 1)
		mem_free(&dying);
}
