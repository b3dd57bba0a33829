/* The request for short turns reaches the scheduler, changes nothing else, and leaves other policies alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/sched.h>
#include <linux/sched/types.h> /* with no <sched.h> beside it */

#include <cmocka.h>

#include "base/slice.h"

static struct sched_attr now(void)
{
	struct sched_attr attr = {.size = sizeof attr};
	assert_int_equal(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0), 0);
	return attr;
}

static void test_shortened(void **state)
{
	(void)state;
	struct utsname name;
	unsigned major = 0, minor = 0;
	assert_int_equal(uname(&name), 0);
	assert_int_equal(sscanf(name.release, "%u.%u", &major, &minor), 2);
	struct sched_attr before = now();
	slice_short(true);
	struct sched_attr after = now();
	assert_int_equal(after.sched_policy, before.sched_policy);
	assert_int_equal(after.sched_nice, before.sched_nice);
	assert_int_equal(after.sched_flags, before.sched_flags);
	if (major < 6 || (major == 6 && minor < 12)) {
		print_message("kernel %s has no slices to ask for (6.12 has)\n", name.release);
		skip();
	}
	assert_int_equal(after.sched_runtime, SLICE_SHORT_NS);
	slice_short(false);
	after = now();
	assert_memory_equal(&after, &before, sizeof after);
}

/* Last: there is no way back from SCHED_IDLE for every user. */
static void test_other_policy(void **state)
{
	(void)state;
	struct sched_attr idle = now();
	idle.sched_policy = SCHED_IDLE;
	idle.sched_runtime = 0;
	assert_int_equal(syscall(SYS_sched_setattr, 0, &idle, 0), 0);
	struct sched_attr before = now();
	slice_short(true);
	struct sched_attr after = now();
	assert_memory_equal(&after, &before, sizeof after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_shortened),
	    cmocka_unit_test(test_other_policy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
