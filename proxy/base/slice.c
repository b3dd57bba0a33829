#include <stdint.h>
#include <unistd.h>

#include <linux/sched.h>
#include <linux/sched/types.h> /* older ones define struct sched_param: no <sched.h> beside it */
#include <sys/syscall.h>

#include "base/slice.h"

void slice_short(bool wanted)
{
	struct sched_attr attr = {.size = sizeof attr};
	/* glibc has wrappers from 2.41 on only */
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) != 0 ||
	    (attr.sched_policy != SCHED_NORMAL && attr.sched_policy != SCHED_BATCH))
		return;
	attr.sched_runtime = wanted ? SLICE_SHORT_NS : 0;
	(void)syscall(SYS_sched_setattr, 0, &attr, 0);
}
