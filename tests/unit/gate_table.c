/* The decision table, row by row. gate_oracle.c has it as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "gate/gate.h"
#include "gate_view.h"

enum { NOW = 1000, LEASE = 2000 };

static struct verdict ask(const struct gate_view *view, const char *declared)
{
	struct heads set = heads(declared);
	struct verdict verdict = gate_ask(view, &set, LEASE, NOW);

	heads_free(&set);
	return verdict;
}

#define expect(verdict_, kind_, row_)                                                                        \
	do {                                                                                                 \
		struct verdict got = (verdict_);                                                             \
		assert_string_equal(verdict_kind_name(got.kind), verdict_kind_name(kind_));                  \
		assert_string_equal(verdict_row_name(got.row), verdict_row_name(row_));                      \
	} while (0)

static void test_row_1_observe_says_what_it_would_have_been(void **state)
{
	struct gate_view *view = plain_view("20");

	(void)state;
	view->policy.mode = GATE_OBSERVE;
	struct verdict verdict = ask(view, "10");
	expect(verdict, VERDICT_ADMIT, ROW_OBSERVE);
	assert_int_equal(verdict.observed, VERDICT_REJECT);
	assert_int_equal(verdict.observed_row, ROW_UNKNOWN);
	assert_false(gate_holds_all(view));
	view->fresh = false;
	verdict = ask(view, "10");
	expect(verdict, VERDICT_ADMIT, ROW_OBSERVE);
	assert_int_equal(verdict.observed, VERDICT_HOLD);
	assert_int_equal(verdict.observed_row, ROW_NO_READING);
	gate_view_unref(&view);
}

static void test_row_2_needs_a_reading_within_its_lease(void **state)
{
	struct gate_view *view = plain_view("20");
	struct heads declared = heads("20");

	(void)state;
	expect(gate_ask(NULL, &declared, LEASE, NOW), VERDICT_HOLD, ROW_NO_READING);
	assert_int_equal(gate_ask(NULL, &declared, LEASE, NOW).budget_ns, GATE_UNPUBLISHED_HOLD_NS);
	assert_true(gate_holds_all(NULL));
	expect(gate_ask(view, &declared, 0, NOW), VERDICT_HOLD, ROW_NO_READING);
	expect(gate_ask(view, &declared, NOW, NOW), VERDICT_HOLD, ROW_NO_READING);
	expect(gate_ask(view, &declared, NOW + 1, NOW), VERDICT_ADMIT, ROW_ACCEPTED);
	view->fresh = false;
	expect(gate_ask(view, &declared, LEASE, NOW), VERDICT_HOLD, ROW_NO_READING);
	assert_int_equal(gate_ask(view, &declared, LEASE, NOW).budget_ns, HOLD_MAX);
	assert_true(gate_holds_all(view));
	heads_free(&declared);
	gate_view_unref(&view);
}

static void test_row_2_an_unclean_reading_is_none(void **state)
{
	static const enum recorded_state states[] = {RECORDED_RUNNING, RECORDED_UNREADABLE};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct gate_view *view = plain_view("20");
		view->recorded.state = states[i];
		expect(ask(view, "20"), VERDICT_HOLD, ROW_NO_READING);
		expect(ask(view, NULL), VERDICT_HOLD, ROW_NO_READING);
		assert_true(gate_holds_all(view));
		view->hold.id = 7; /* the operator's word is the better reason to give */
		expect(ask(view, "20"), VERDICT_HOLD, ROW_OPERATOR_HOLD);
		view->run.id = 3; /* and our own run explains what its tool reports */
		view->run.holding = true;
		expect(ask(view, "20"), VERDICT_HOLD, ROW_RUN);
		gate_view_unref(&view);
	}
}

static void test_row_3_a_run_holds_whom_it_may_serve(void **state)
{
	struct gate_view *view = plain_view("20");

	(void)state;
	view->run = (struct gate_run){.id = 3, .holding = true, .from = heads("20")};
	expect(ask(view, "20"), VERDICT_HOLD, ROW_RUN);
	expect(ask(view, "x"), VERDICT_HOLD, ROW_RUN); /* the target may be any */
	expect(ask(view, NULL), VERDICT_REJECT, ROW_RUN_HOPELESS);
	view->policy.undeclared = UNDECLARED_ADMIT;
	expect(ask(view, NULL), VERDICT_HOLD, ROW_RUN);

	view->run.target_known = true;
	view->run.target = heads("30");
	expect(ask(view, "20"), VERDICT_HOLD, ROW_RUN);
	expect(ask(view, "30"), VERDICT_HOLD, ROW_RUN);
	expect(ask(view, "10"), VERDICT_REJECT, ROW_RUN_HOPELESS);
	expect(ask(view, "40"), VERDICT_REJECT, ROW_RUN_HOPELESS);
	assert_true(gate_holds_all(view));

	/* Ahead even of the target: held where row 8 would have held it before the run and will after it. */
	view->policy.order = ORDER_NUMERIC;
	expect(ask(view, "40"), VERDICT_REJECT, ROW_RUN_HOPELESS);
	view->policy.ahead = ANSWER_HOLD;
	expect(ask(view, "40"), VERDICT_HOLD, ROW_RUN);
	expect(ask(view, "10"), VERDICT_REJECT, ROW_RUN_HOPELESS);

	/* A pin in force keeps hope. */
	view->pins = mem_zalloc(sizeof(*view->pins));
	view->pins[0] = (struct gate_pin){.heads = heads("10"), .until_ns = NOW + 1};
	view->pin_count = 1;
	expect(ask(view, "10"), VERDICT_HOLD, ROW_RUN);
	view->pins[0].until_ns = NOW;
	expect(ask(view, "10"), VERDICT_REJECT, ROW_RUN_HOPELESS);

	/* A run that lets traffic flow decides nothing. */
	view->run.holding = false;
	expect(ask(view, "20"), VERDICT_ADMIT, ROW_ACCEPTED);
	assert_false(gate_holds_all(view));
	gate_view_unref(&view);
}

static void test_row_4_an_operator_holds_everybody(void **state)
{
	struct gate_view *view = plain_view("20");

	(void)state;
	view->hold.id = 7;
	expect(ask(view, "20"), VERDICT_HOLD, ROW_OPERATOR_HOLD);
	expect(ask(view, "x"), VERDICT_HOLD, ROW_OPERATOR_HOLD);
	expect(ask(view, NULL), VERDICT_HOLD, ROW_OPERATOR_HOLD);
	assert_true(gate_holds_all(view));
	gate_view_unref(&view);
}

static void test_row_5_failed_keeps_the_gate_shut(void **state)
{
	struct gate_view *view = plain_view("20");

	(void)state;
	view->recorded.state = RECORDED_FAILED;
	expect(ask(view, "20"), VERDICT_REJECT, ROW_FAILED);
	view->policy.undeclared = UNDECLARED_ADMIT;
	expect(ask(view, NULL), VERDICT_REJECT, ROW_FAILED);
	view->policy.on_failed = ANSWER_HOLD;
	expect(ask(view, "20"), VERDICT_HOLD, ROW_FAILED);
	assert_false(gate_holds_all(view)); /* rows 2 to 4 only */
	gate_view_unref(&view);
}

static void test_row_6_undeclared(void **state)
{
	struct gate_view *view = plain_view("20");

	(void)state;
	expect(ask(view, NULL), VERDICT_REJECT, ROW_UNDECLARED);
	expect(gate_ask(view, NULL, LEASE, NOW), VERDICT_REJECT, ROW_UNDECLARED);
	view->policy.undeclared = UNDECLARED_ADMIT;
	expect(ask(view, NULL), VERDICT_ADMIT, ROW_UNDECLARED);
	view->policy.undeclared = UNDECLARED_HEAD;
	view->policy.undeclared_head = heads("20");
	expect(ask(view, NULL), VERDICT_ADMIT, ROW_ACCEPTED);
	heads_free(&view->policy.undeclared_head);
	view->policy.undeclared_head = heads("10");
	view->policy.order = ORDER_NUMERIC;
	expect(ask(view, NULL), VERDICT_REJECT, ROW_BEHIND);
	assert_int_equal(ask(view, NULL).relation, RELATION_BEHIND);
	gate_view_unref(&view);
}

static void test_row_7_accepted(void **state)
{
	struct gate_view *view = plain_view("b+a");

	(void)state;
	expect(ask(view, "a+b"), VERDICT_ADMIT, ROW_ACCEPTED);
	expect(ask(view, "a"), VERDICT_REJECT, ROW_UNKNOWN); /* a part is not the whole */
	expect(ask(view, "a+b+c"), VERDICT_REJECT, ROW_UNKNOWN);

	view->pins = mem_zalloc(2 * sizeof(*view->pins));
	view->pins[0] = (struct gate_pin){.heads = heads("c+d"), .until_ns = INT64_MAX};
	view->pins[1] = (struct gate_pin){.heads = heads("e"), .until_ns = NOW};
	view->pin_count = 2;
	expect(ask(view, "d+c"), VERDICT_ADMIT, ROW_ACCEPTED);
	assert_int_equal(ask(view, "d+c").relation, RELATION_UNKNOWN);
	expect(ask(view, "e"), VERDICT_REJECT, ROW_UNKNOWN); /* ended this very moment */
	gate_view_unref(&view);
}

static void test_rows_8_to_10_by_order(void **state)
{
	static const struct {
		enum gate_order order;
		const char *declared, *recorded;
		enum gate_relation relation;
	} rows[] = {
	    {ORDER_NONE, "10", "20", RELATION_UNKNOWN},
	    {ORDER_NONE, "20", "20", RELATION_SAME},
	    {ORDER_NONE, "20", NULL, RELATION_UNKNOWN},
	    {ORDER_NUMERIC, "9", "10", RELATION_BEHIND},
	    {ORDER_NUMERIC, "10", "9", RELATION_AHEAD},
	    {ORDER_NUMERIC, "0010", "10", RELATION_SAME},
	    {ORDER_NUMERIC, "0", "000", RELATION_SAME},
	    {ORDER_NUMERIC, "20240101000000", "20240101000001", RELATION_BEHIND},
	    {ORDER_NUMERIC, "99999999999999999999999999999999999999", "1", RELATION_AHEAD},
	    {ORDER_NUMERIC, "1.2", "1", RELATION_AHEAD},
	    {ORDER_NUMERIC, "1.9", "1.10", RELATION_BEHIND},
	    {ORDER_NUMERIC, "1.0.0", "1", RELATION_SAME},
	    {ORDER_NUMERIC, "1.02", "1.2", RELATION_SAME},
	    {ORDER_NUMERIC, "1.0.1", "1", RELATION_AHEAD},
	    {ORDER_NUMERIC, "2", "1.9.9", RELATION_AHEAD},
	    {ORDER_NUMERIC, "0.1", "0.0.9", RELATION_AHEAD},
	    {ORDER_NUMERIC, "1.", "1", RELATION_UNKNOWN},
	    {ORDER_NUMERIC, ".1", "1", RELATION_UNKNOWN},
	    {ORDER_NUMERIC, "1..2", "1", RELATION_UNKNOWN},
	    {ORDER_NUMERIC, "1.x", "1", RELATION_UNKNOWN},
	    {ORDER_NUMERIC, "1.2", NULL, RELATION_AHEAD},
	    {ORDER_NUMERIC, "1..2", NULL, RELATION_UNKNOWN},
	    {ORDER_NUMERIC, "1", "x", RELATION_UNKNOWN},
	    {ORDER_NUMERIC, "-1", "1", RELATION_UNKNOWN},
	    {ORDER_NUMERIC, "1+2", "1+2", RELATION_SAME},
	    {ORDER_NUMERIC, "1+2", "3", RELATION_UNKNOWN},
	    {ORDER_NUMERIC, "1", "2+3", RELATION_UNKNOWN},
	    {ORDER_NUMERIC, "1", NULL, RELATION_AHEAD},
	    {ORDER_NUMERIC, "1+2", NULL, RELATION_AHEAD},
	    {ORDER_NUMERIC, "x", NULL, RELATION_UNKNOWN},
	    {ORDER_TEXT, "9", "10", RELATION_AHEAD},
	    {ORDER_TEXT, "a", "b", RELATION_BEHIND},
	    {ORDER_TEXT, "ab", "a", RELATION_AHEAD},
	    {ORDER_TEXT, "a", NULL, RELATION_AHEAD},
	    {ORDER_LIST, "new", "old", RELATION_AHEAD},
	    {ORDER_LIST, "old", "new", RELATION_BEHIND},
	    {ORDER_LIST, "mid", "old", RELATION_AHEAD},
	    {ORDER_LIST, "mid", "mid", RELATION_SAME},
	    {ORDER_LIST, "other", "mid", RELATION_UNKNOWN},
	    {ORDER_LIST, "mid", "other", RELATION_UNKNOWN},
	    {ORDER_LIST, "other", "other", RELATION_SAME},
	    {ORDER_LIST, "old", NULL, RELATION_AHEAD},
	    {ORDER_LIST, "other", NULL, RELATION_UNKNOWN},
	    {ORDER_TEXT, NULL, "a", RELATION_UNKNOWN},
	    {ORDER_TEXT, NULL, NULL, RELATION_UNKNOWN},
	};
	struct heads list[] = {heads("old"), heads("mid"), heads("new")};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gate_policy policy = {.order = rows[i].order, .list = list, .list_count = 3};
		struct heads declared = heads(rows[i].declared), recorded = heads(rows[i].recorded);
		enum gate_relation relation = gate_relate(&policy, &declared, &recorded);
		if (relation != rows[i].relation)
			fail_msg("row %zu: %s to %s is %s", i, heads_text(&declared), heads_text(&recorded),
			    gate_relation_name(relation));
		heads_free(&declared);
		heads_free(&recorded);
	}
	for (size_t i = 0; i < 3; i++)
		heads_free(&list[i]);
}

/* Where there is no graph a list of heads can count, and nothing else can. */
static void test_row_7_a_window_in_a_list(void **state)
{
	struct gate_view *view = plain_view("new");

	(void)state;
	view->policy.order = ORDER_LIST;
	view->policy.list = mem_zalloc(3 * sizeof(struct heads));
	view->policy.list_count = 3;
	for (unsigned i = 0; i < 3; i++)
		view->policy.list[i] = heads(i == 0 ? "old" : i == 1 ? "mid" : "new");
	gate_view_settle(view, NULL);
	for (int window = GATE_WINDOW_COMPATIBLE; window <= 3; window++) {
		view->policy.window = window;
		assert_int_equal(ask(view, "new").row, ROW_ACCEPTED);
		assert_int_equal(ask(view, "mid").row, window >= 1 ? ROW_ACCEPTED : ROW_BEHIND);
		assert_int_equal(ask(view, "old").row, window >= 2 ? ROW_ACCEPTED : ROW_BEHIND);
		assert_int_equal(ask(view, "x").row, ROW_UNKNOWN);
	}
	view->policy.order = ORDER_TEXT;
	assert_int_equal(ask(view, "mid").row, ROW_BEHIND);
	gate_view_unref(&view);
}

/* A run may end after any of its steps: who was built for one of them is not turned away. */
static void test_row_3_between_two_numbers(void **state)
{
	struct gate_view *view = plain_view("20");

	(void)state;
	view->run = (struct gate_run){
	    .id = 3, .holding = true, .from = heads("20"), .target_known = true, .target = heads("40")};
	expect(ask(view, "30"), VERDICT_REJECT, ROW_RUN_HOPELESS);
	view->policy.order = ORDER_NUMERIC;
	expect(ask(view, "30"), VERDICT_HOLD, ROW_RUN);
	expect(ask(view, "10"), VERDICT_REJECT, ROW_RUN_HOPELESS);
	expect(ask(view, "50"), VERDICT_REJECT, ROW_RUN_HOPELESS);
	gate_view_unref(&view);
}

static void test_row_8_has_its_own_budget(void **state)
{
	struct gate_view *view = plain_view("20");

	(void)state;
	view->policy.order = ORDER_NUMERIC;
	expect(ask(view, "30"), VERDICT_REJECT, ROW_AHEAD);
	view->policy.ahead = ANSWER_HOLD;
	expect(ask(view, "30"), VERDICT_HOLD, ROW_AHEAD);
	assert_int_equal(ask(view, "30").budget_ns, AHEAD_MAX);
	expect(ask(view, "10"), VERDICT_REJECT, ROW_BEHIND);
	assert_int_equal(ask(view, "10").asked_ns, NOW);
	gate_view_unref(&view);
}

static void test_base_equals_no_declared_head(void **state)
{
	static const enum recorded_state states[] = {RECORDED_EMPTY, RECORDED_ABSENT};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct gate_view *view = plain_view(NULL);
		view->recorded.state = states[i];
		expect(ask(view, "20"), VERDICT_REJECT, ROW_UNKNOWN);
		view->policy.order = ORDER_TEXT;
		expect(ask(view, "20"), VERDICT_REJECT, ROW_AHEAD);
		expect(ask(view, NULL), VERDICT_REJECT, ROW_UNDECLARED);
		view->recorded.heads = heads("20"); /* what a reader may have left */
		expect(ask(view, "20"), VERDICT_REJECT, ROW_AHEAD);
		gate_view_unref(&view);
	}
}

static void test_view_is_counted_and_frees_all(void **state)
{
	struct gate_view *view = plain_view("20"), *second = gate_view_ref(view), *nothing = NULL;

	(void)state;
	view->recorded.detail = mem_strdup("why");
	view->run = (struct gate_run){
	    .from = heads("1"), .target = heads("2"), .who = mem_strdup("w"), .reason = mem_strdup("r")};
	view->hold.owner = mem_strdup("o");
	view->hold.reason = mem_strdup("r");
	gate_view_unref(&view);
	assert_null(view);
	assert_string_equal(second->database, "shop");
	gate_view_unref(&second); /* the sanitizer finds what is left */
	gate_view_unref(&nothing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_row_1_observe_says_what_it_would_have_been),
	    cmocka_unit_test(test_row_2_needs_a_reading_within_its_lease),
	    cmocka_unit_test(test_row_2_an_unclean_reading_is_none),
	    cmocka_unit_test(test_row_3_a_run_holds_whom_it_may_serve),
	    cmocka_unit_test(test_row_4_an_operator_holds_everybody),
	    cmocka_unit_test(test_row_5_failed_keeps_the_gate_shut),
	    cmocka_unit_test(test_row_6_undeclared),
	    cmocka_unit_test(test_row_7_accepted),
	    cmocka_unit_test(test_rows_8_to_10_by_order),
	    cmocka_unit_test(test_row_7_a_window_in_a_list),
	    cmocka_unit_test(test_row_3_between_two_numbers),
	    cmocka_unit_test(test_row_8_has_its_own_budget),
	    cmocka_unit_test(test_base_equals_no_declared_head),
	    cmocka_unit_test(test_view_is_counted_and_frees_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
