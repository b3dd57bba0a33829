/* Time. Everything that measures spans uses the monotonic clock in nanoseconds; the wall clock is for people.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#define CLOCK_MS INT64_C(1000000)
#define CLOCK_S  INT64_C(1000000000)

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline int64_t clock_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * CLOCK_S + ts.tv_nsec;
}

/* A span in nanoseconds as libevent wants it; below zero counts as zero. */
static inline struct timeval clock_timeval(int64_t span_ns)
{
	struct timeval tv = {0, 0};
	if (span_ns > 0) {
		tv.tv_sec = (time_t)(span_ns / CLOCK_S);
		tv.tv_usec = (suseconds_t)(span_ns % CLOCK_S / 1000);
		if (tv.tv_sec == 0 && tv.tv_usec == 0)
			tv.tv_usec = 1;
	}
	return tv;
}

#endif
