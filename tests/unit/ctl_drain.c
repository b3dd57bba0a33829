/* When is a drain over? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "ctl/drain.h"

static void test_all_must_report(void **state)
{
	(void)state;
	struct drain *drain = drain_new(3);
	assert_false(drain_parked(drain));
	assert_false(drain_report(drain, 0, 5, NULL, 0, 0));
	drain_begin(drain, 5);
	assert_true(drain_active(drain));
	assert_int_equal(drain_waiting(drain), 3);
	assert_true(drain_report(drain, 0, 5, NULL, 0, 0));
	assert_true(drain_report(drain, 2, 5, NULL, 0, 0));
	assert_true(drain_report(drain, 2, 6, NULL, 0, 0));
	assert_false(drain_parked(drain));
	assert_false(drain_report(drain, 3, 5, NULL, 0, 0));
	assert_true(drain_report(drain, 1, 6, NULL, 0, 0));
	assert_true(drain_parked(drain));
	drain_end(drain);
	assert_false(drain_parked(drain));
	drain_free(&drain);
	assert_null(drain);
	drain_free(&drain);
}

/* What was parked for an earlier hold was let go since. */
static void test_old_reports_do_not_count(void **state)
{
	(void)state;
	struct drain *drain = drain_new(1);
	drain_begin(drain, 5);
	drain_report(drain, 0, 5, NULL, 0, 0);
	assert_true(drain_parked(drain));
	drain_end(drain);
	drain_begin(drain, 8);
	assert_false(drain_parked(drain));
	assert_false(drain_report(drain, 0, 5, NULL, 0, 0));
	assert_false(drain_report(drain, 0, 7, NULL, 0, 0));
	assert_false(drain_parked(drain));
	assert_true(drain_report(drain, 0, 9, NULL, 0, 0));
	/* and a late one under an earlier view does not overwrite a newer */
	assert_false(drain_report(drain, 0, 8, NULL, 0, 4));
	assert_int_equal(drain_logins(drain), 0);
	drain_free(&drain);
}

static void test_pids_and_logins(void **state)
{
	(void)state;
	struct drain *drain = drain_new(2);
	unsigned count = 9;
	drain_begin(drain, 1);
	assert_null(drain_pids(drain, &count));
	assert_int_equal(count, 0);
	drain_report(drain, 0, 1, (int32_t[]){30, 10}, 2, 1);
	drain_report(drain, 1, 1, (int32_t[]){20, 10, 40}, 3, 2);
	assert_int_equal(drain_logins(drain), 3);
	int32_t *pids = drain_pids(drain, &count);
	assert_int_equal(count, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pids[i], 10 * (int)(i + 1));
	mem_free(&pids);
	/* a report replaces the worker's last one */
	drain_report(drain, 1, 1, (int32_t[]){50}, 1, 0);
	assert_int_equal(drain_logins(drain), 1);
	pids = drain_pids(drain, &count);
	assert_int_equal(count, 3);
	assert_int_equal(pids[2], 50);
	mem_free(&pids);
	drain_free(&drain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_must_report),
	    cmocka_unit_test(test_old_reports_do_not_count),
	    cmocka_unit_test(test_pids_and_logins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
