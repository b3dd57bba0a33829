/* How long the scheduler lets a thread run at a turn. Who asks for short turns is let in sooner when it wakes
 * up, and is not put aside for each thread that it wakes itself: on a busy machine that is worth much for
 * milliseconds, and costs CPU when it lasts. EEVDF's slice (sched(7), sched_setattr(2)); Linux 6.12 and
 * later, no privileges needed, older kernels take no notice. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>

/* The shortest that the kernel grants. */
#define SLICE_SHORT_NS (100 * 1000)

/* For the calling thread: short turns, or the scheduler's own again. Policy and nice value stay as they are;
 * real-time, deadline and idle threads are left alone. No errors: it is a wish. */
void slice_short(bool wanted);

#endif
