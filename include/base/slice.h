/* How long the scheduler lets this thread run at a stretch. A thread that serves many sockets in short turns
 * is served better by being let in soon, for a short while, than by its share in long pieces: what waits for
 * it is everybody. Linux takes the length as a request from 6.12 on, without privileges, and the share of the
 * processor stays what it was: sched_setattr(2), `sched_runtime`; kernel: EEVDF, custom slices. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

/* The shortest that the kernel allows. */
#define SLICE_SHORT_NS UINT64_C(100000)

/* Asks for SLICE_SHORT_NS for the calling thread. Older kernels take no notice; a thread that an operator
 * gave another policy (real time, idle) is left alone; what is refused changes nothing. */
void slice_shorten(void);

#endif
