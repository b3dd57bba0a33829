/* What clients are told: the exact words row by row, and what no word may do (overflow, cut a character, tell
 * a stranger). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "gate/gate.h"
#include "gate_view.h"

#define SECOND INT64_C(1000000000)

static struct gate_view *shop(const char *recorded)
{
	struct gate_view *view = plain_view(recorded);

	view->hold_max_ns = 30 * SECOND;
	view->policy.ahead_hold_ns = 60 * SECOND;
	view->policy.disclose = true;
	view->policy.order = ORDER_NUMERIC;
	return view;
}

static void run_on(struct gate_view *view)
{
	view->run = (struct gate_run){.id = 17,
	    .holding = true,
	    .from = heads("20"),
	    .target_known = true,
	    .target = heads("30"),
	    .who = mem_strdup("ci@build7"),
	    .reason = mem_strdup("add orders.note")};
}

static struct refusal refuse(struct gate_view *view, const char *declared, enum refusal_moment moment)
{
	struct heads set = heads(declared);
	struct verdict verdict = gate_ask(view, &set, 2, 1);
	struct refusal refusal;

	memset(&refusal, 'x', sizeof(refusal));
	assert_string_equal(verdict_kind_name(verdict.kind), "reject");
	gate_refusal(view, &set, &verdict, moment, &refusal);
	heads_free(&set);
	return refusal;
}

static void says(
    struct refusal refusal, const char *sqlstate, const char *message, const char *detail, const char *hint)
{
	assert_string_equal(refusal.sqlstate, sqlstate);
	assert_string_equal(refusal.message, message);
	assert_string_equal(refusal.detail, detail);
	if (strstr(refusal.hint, hint) == NULL)
		fail_msg("\"%s\" is not in the hint \"%s\"", hint, refusal.hint);
}

static void test_refusals(void **state)
{
	struct gate_view *view = shop("20");

	(void)state;
	says(refuse(view, "10", REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is at schema head 20, this client was built for 10: it is behind",
	    "declared=10 recorded=20 accepted=20 relation=behind",
	    "Deploy the build that was made for schema head 20.");
	says(refuse(view, "10", REFUSAL_LIVE), "57P01",
	    "database \"shop\" is at schema head 20, this client was built for 10: it is behind",
	    "declared=10 recorded=20 accepted=20 relation=behind", "Deploy the build");
	says(refuse(view, "30", REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is at schema head 20, this client was built for 30: it is ahead",
	    "declared=30 recorded=20 accepted=20 relation=ahead", "Migrate the database to schema head 30");
	says(refuse(view, "b+a", REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is at schema head 20, this client was built for a+b: the two do not match",
	    "declared=a+b recorded=20 accepted=20 relation=unknown",
	    "declares the head it was really built for");
	says(refuse(view, NULL, REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is gated by schema version, and this client did not declare the head it was "
	    "built for",
	    "declared=none recorded=20 accepted=20 relation=unknown",
	    "PGOPTIONS=\"-c headgate.head=REVISION\"");
	view->policy.undeclared = UNDECLARED_HEAD;
	view->policy.undeclared_head = heads("10");
	says(refuse(view, NULL, REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is at schema head 20, this client declared no head and counts as built for "
	    "10: it is behind",
	    "declared=none assumed=10 recorded=20 accepted=20 relation=behind", "Deploy the build");
	view->recorded.state = RECORDED_FAILED;
	view->recorded.detail = mem_strdup("step 3 failed");
	says(refuse(view, "20", REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is closed: a migration of its schema failed and was left half way (step 3 "
	    "failed)",
	    "declared=20 recorded=20 accepted=none relation=same state=failed", "headgate status");
	mem_free(&view->recorded.detail);
	view->recorded.detail =
	    mem_strdup("run 7 (exec, by a_long_name_of_a_person@build-host-17, 2026-01-02 "
		       "03:04:05 UTC) was left half way: its coordinator was lost");
	view->recorded.by_run = true;
	says(refuse(view, "20", REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is closed: run 7 (exec, by a_long_name_of_a_person@build-host-17, 2026-01-02 "
	    "03:04:05 UTC) was left half way: its coordinator was lost",
	    "declared=20 recorded=20 accepted=none relation=same state=failed", "headgate resolve");
	view->policy.disclose = false;
	says(refuse(view, "20", REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is closed: a migration of its schema failed and was left half way",
	    "declared=20 relation=same state=failed", "headgate resolve");
	view->policy.disclose = true;
	view->recorded.by_run = false;
	run_on(view);
	view->recorded.state = RECORDED_CLEAN;
	says(refuse(view, "10", REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is being migrated from 20 to 30, this client was built for 10: however the "
	    "migration "
	    "ends, it will not be served",
	    "declared=10 recorded=20 accepted=20 relation=behind run=17",
	    "the head the database is being migrated to");
	gate_view_unref(&view);

	view = shop(NULL);
	says(refuse(view, "10", REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is at base (no migration applied), this client was built for 10: it is ahead",
	    "declared=10 recorded=none accepted=none relation=ahead state=empty", "Migrate the database");
	view->recorded.state = RECORDED_ABSENT;
	view->policy.order = ORDER_NONE;
	says(refuse(view, "10", REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" has no recorded schema version, this client was built for 10: the two do not "
	    "match",
	    "declared=10 recorded=none accepted=none relation=unknown state=absent", "migrate the database");
	gate_view_unref(&view);

	view = shop("b+a");
	view->pins = mem_zalloc(2 * sizeof(*view->pins));
	view->pins[0] = (struct gate_pin){.heads = heads("c"), .until_ns = 1}; /* ended when it was asked */
	view->pins[1] = (struct gate_pin){.heads = heads("e+d"), .until_ns = 2};
	view->pin_count = 2;
	says(refuse(view, "x", REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is at schema heads a+b, this client was built for x: the two do not match",
	    "declared=x recorded=a+b accepted=a+b,d+e relation=unknown", "");
	gate_view_unref(&view);
}

/* A graph that has only what it accepts at 20, all of it behind. */
static bool told_ask(
    const struct gate_standing *standing, const struct heads *declared, struct gate_stance *out)
{
	(void)standing;
	*out = (struct gate_stance){.relation = RELATION_BEHIND, .within = true};
	return strcmp(declared->text, "10") == 0;
}

static void told_free(struct gate_standing *standing)
{
	for (unsigned i = 0; i < standing->accepted_count; i++)
		heads_free(&standing->accepted[i]);
	mem_free(&standing->accepted);
	mem_free(&standing);
}

static struct gate_standing *told(const char *const *sets, unsigned count, bool more)
{
	struct gate_standing *standing = mem_zalloc(sizeof(*standing));

	*standing = (struct gate_standing){.accepted = mem_zalloc(count * sizeof(struct heads)),
	    .accepted_count = count,
	    .more = more,
	    .ask = told_ask,
	    .free = told_free};
	atomic_init(&standing->references, 1);
	for (unsigned i = 0; i < count; i++)
		standing->accepted[i] = heads(sets[i]);
	return standing;
}

static void test_what_a_graph_accepts_is_told(void **state)
{
	static char longs[40][HEAD_BYTES + 1];
	const char *sets[40] = {"19", "18+17"};
	struct gate_view *view = shop("20");

	(void)state;
	view->policy.order = ORDER_NONE;
	view->at_recorded = told(sets, 2, false);
	view->pins = mem_zalloc(sizeof(*view->pins));
	view->pins[0] = (struct gate_pin){.heads = heads("5"), .until_ns = 2};
	view->pin_count = 1;
	says(refuse(view, "10", REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is at schema head 20, this client was built for 10: it is behind",
	    "declared=10 recorded=20 accepted=20,19,17+18,5 relation=behind", "schema head 20");
	assert_null(strstr(refuse(view, "10", REFUSAL_BEFORE_LOGIN).hint, "publish"));
	view->at_recorded->more = true;
	says(refuse(view, "x", REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is at schema head 20, this client was built for x: the two do not match",
	    "declared=x recorded=20 accepted=20,19,17+18,5,... relation=unknown",
	    "The published graph of migrations does not have that head: if it is a new one, run "
	    "`headgate publish`.");
	view->policy.disclose = false;
	says(refuse(view, "10", REFUSAL_BEFORE_LOGIN), "55000",
	    "this client was built for 10, which database \"shop\" no longer serves: it is behind",
	    "declared=10 relation=behind", "");
	view->policy.disclose = true;
	view->recorded.state = RECORDED_FAILED;
	view->recorded.detail = mem_strdup("why");
	assert_non_null(strstr(refuse(view, "10", REFUSAL_BEFORE_LOGIN).detail, " accepted=none "));
	view->recorded.state = RECORDED_CLEAN;

	/* as many whole ones as there is room for */
	for (int i = 0; i < 40; i++) {
		memset(longs[i], 'a' + i % 26, HEAD_BYTES);
		longs[i][0] = (char)('A' + i % 26);
		sets[i] = longs[i];
	}
	gate_standing_unref(&view->at_recorded);
	view->at_recorded = told(sets, 40, false);
	struct refusal refusal = refuse(view, "10", REFUSAL_BEFORE_LOGIN);
	const char *from = strstr(refusal.detail, "accepted=20,"),
		   *to = strstr(refusal.detail, ",... relation");
	assert_non_null(from);
	assert_non_null(to);
	assert_true(to - from > 300 && to - from < 420);
	assert_int_equal((to - from - 11) % 65, 0);
	gate_view_unref(&view);
}

static struct refusal expired(struct gate_view *view, const char *declared)
{
	struct heads set = heads(declared);
	struct verdict verdict = gate_ask(view, &set, 2, 1);
	struct refusal refusal;

	memset(&refusal, 'x', sizeof(refusal));
	assert_string_equal(verdict_kind_name(verdict.kind), "hold");
	gate_hold_expired(view, &verdict, verdict.budget_ns + 1234567, &refusal);
	heads_free(&set);
	return refusal;
}

static void test_holds(void **state)
{
	struct gate_view *view = shop("20");

	(void)state;
	view->policy.ahead = ANSWER_HOLD;
	says(expired(view, "30"), "57P03",
	    "database \"shop\" has not reached the schema head this client was built for; this client has "
	    "been held for "
	    "60 s, the longest allowed",
	    "cause=ahead held_ms=60001 budget_ms=60000 recorded=20", "Migrate the database to the head");
	run_on(view);
	says(expired(view, "20"), "57P03",
	    "database \"shop\" is being migrated by ci@build7 (add orders.note); this client has been held "
	    "for 30 s, the "
	    "longest allowed",
	    "cause=run held_ms=30001 budget_ms=30000 recorded=20 run=17", "Connect again later.");
	view->run.holding = false;
	view->run.id = 0;
	view->hold.id = 3;
	view->hold.owner = mem_strdup("ops");
	says(expired(view, "20"), "57P03",
	    "database \"shop\" is on hold by ops; this client has been held for 30 s, the longest allowed",
	    "cause=operator held_ms=30001 budget_ms=30000 recorded=20", "headgate status");
	view->hold.id = 0;
	view->recorded.state = RECORDED_RUNNING;
	says(expired(view, "20"), "57P03",
	    "database \"shop\" is held: its migration tool reports a migration under way; this client has "
	    "been held for "
	    "30 s, the longest allowed",
	    "cause=unknown held_ms=30001 budget_ms=30000 recorded=20 state=running", "");
	view->recorded.state = RECORDED_UNREADABLE;
	view->recorded.detail = mem_strdup("permission denied");
	says(expired(view, "20"), "57P03",
	    "database \"shop\" is held: its recorded schema version cannot be read (permission denied); this "
	    "client has "
	    "been held for 30 s, the longest allowed",
	    "cause=unknown held_ms=30001 budget_ms=30000 recorded=20 state=unreadable", "");
	view->recorded.state = RECORDED_FAILED;
	view->policy.on_failed = ANSWER_HOLD;
	says(expired(view, "20"), "57P03",
	    "database \"shop\" is closed after a failed migration; this client has been held for 30 s, the "
	    "longest allowed",
	    "cause=failed held_ms=30001 budget_ms=30000 recorded=20 state=failed", "");
	view->fresh = false;
	says(expired(view, "20"), "57P03",
	    "database \"shop\" is held: its schema version is not known at the moment; this client has been "
	    "held for 30 s, "
	    "the longest allowed",
	    "cause=unknown held_ms=30001 budget_ms=30000", "");
	says(expired(NULL, "20"), "57P03",
	    "this database is held: its schema version is not known at the moment; this client has been held "
	    "for 30 s, the "
	    "longest allowed",
	    "cause=unknown held_ms=30001 budget_ms=30000", "");
	gate_view_unref(&view);
}

static void test_notice(void **state)
{
	struct gate_view *view = shop("20");
	struct heads declared = heads("20");
	struct refusal notice;

	(void)state;
	run_on(view);
	struct verdict verdict = gate_ask(view, &declared, 2, 1);
	gate_hold_notice(view, &verdict, 5 * SECOND + SECOND / 2, &notice);
	says(notice, "00000",
	    "database \"shop\" is being migrated by ci@build7 (add orders.note); this client has been held "
	    "for 5.5 s",
	    "cause=run held_ms=5500 budget_ms=30000 recorded=20 run=17",
	    "more than another 24 s, it gets an error");
	gate_hold_notice(view, &verdict, 40 * SECOND, &notice); /* late: nothing below zero */
	assert_non_null(strstr(notice.hint, "another 0 s"));
	heads_free(&declared);
	gate_view_unref(&view);
}

static bool utf8_ends_well(const char *s, size_t size)
{
	size_t n = strnlen(s, size);
	size_t i = 0;

	if (n == size)
		return false; /* not terminated */
	while (i < n) {
		unsigned char c = (unsigned char)s[i];
		size_t more = c < 0x80 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc2 ? 1 : 9;
		if (c < 0x20 || c == 0x7f || more == 9 || more >= n - i)
			return false;
		for (size_t j = 1; j <= more; j++) {
			if (((unsigned char)s[i + j] & 0xc0) != 0x80)
				return false;
		}
		i += 1 + more;
	}
	return true;
}

static void whole(const struct refusal *refusal)
{
	assert_true(utf8_ends_well(refusal->sqlstate, sizeof(refusal->sqlstate)));
	assert_true(utf8_ends_well(refusal->message, sizeof(refusal->message)));
	assert_true(utf8_ends_well(refusal->detail, sizeof(refusal->detail)));
	assert_true(utf8_ends_well(refusal->hint, sizeof(refusal->hint)));
	assert_int_equal(strlen(refusal->sqlstate), 5);
	assert_true(strlen(refusal->message) > 0 && strlen(refusal->detail) > 0 && strlen(refusal->hint) > 0);
}

/* Sixteen revisions of 64 bytes, told apart by their first letter. */
static char *longest_set(char first)
{
	static char text[HEADS_BYTES];
	char *s = text;

	for (int i = 0; i < HEADS_COUNT; i++) {
		*s++ = first;
		*s++ = (char)('a' + i);
		memset(s, 'z', HEAD_BYTES - 2);
		s += HEAD_BYTES - 2;
		*s++ = '+';
	}
	s[-1] = '\0';
	return text;
}

static char *monster(unsigned seed)
{
	static const char *const parts[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x98", "\xff", "\n",
	    "\"", "%s%n", "\xed\xa0\x80", "\xc3"};
	char *text = mem_zalloc(2000);

	for (size_t n = 0; n < 1900; n = strlen(text)) {
		strcat(text, parts[seed % (sizeof(parts) / sizeof(parts[0]))]);
		seed = seed * 1664525u + 1013904223u;
		seed ^= seed >> 13;
	}
	return text;
}

static struct gate_view *monstrous_view(unsigned seed)
{
	char *name = monster(seed);
	struct gate_view *view = gate_view_new(name);

	mem_free(&name);
	view->fresh = true;
	view->recorded = (struct recorded){.heads = heads(longest_set('R')), .detail = monster(seed + 1)};
	view->run = (struct gate_run){.id = INT64_MIN,
	    .from = heads(longest_set('F')),
	    .target = heads(longest_set('T')),
	    .target_known = true,
	    .who = monster(seed + 2),
	    .reason = monster(seed + 3)};
	view->hold = (struct gate_hold){.owner = monster(seed + 4), .reason = monster(seed + 5)};
	view->pins = mem_zalloc(3 * sizeof(*view->pins));
	view->pin_count = 3;
	for (unsigned i = 0; i < 3; i++)
		view->pins[i] = (struct gate_pin){.heads = heads(longest_set('P')), .until_ns = INT64_MAX};
	view->policy.undeclared = UNDECLARED_HEAD;
	view->policy.undeclared_head = heads(longest_set('U'));
	view->policy.disclose = true;
	return view;
}

static void test_nothing_overflows_or_is_cut(void **state)
{
	struct heads declared = heads(longest_set('D')), none = heads_none();

	(void)state;
	for (unsigned seed = 0; seed < 50; seed++) {
		struct gate_view *view = monstrous_view(seed);
		for (int row = ROW_OBSERVE; row <= ROW_UNKNOWN; row++) {
			struct verdict verdict = {
			    .kind = VERDICT_REJECT, .row = (enum verdict_row)row, .budget_ns = INT64_MAX};
			for (int recorded = RECORDED_CLEAN; recorded <= RECORDED_UNREADABLE; recorded++) {
				struct refusal refusal;
				view->recorded.state = (enum recorded_state)recorded;
				gate_refusal(view, &declared, &verdict, REFUSAL_BEFORE_LOGIN, &refusal);
				whole(&refusal);
				/* A value stands whole or ends in "+...": never within a revision. */
				assert_null(strstr(refusal.detail, "zz "));
				assert_non_null(strstr(refusal.detail, " relation=same"));
				assert_non_null(strstr(refusal.detail, " run=-9223372036854775808"));
				gate_refusal(view, &none, &verdict, REFUSAL_LIVE, &refusal);
				whole(&refusal);
				assert_non_null(strstr(refusal.detail, " run=-9223372036854775808"));
				gate_hold_expired(view, &verdict, INT64_MAX, &refusal);
				whole(&refusal);
				gate_hold_notice(view, &verdict, seed, &refusal);
				whole(&refusal);
			}
		}
		gate_view_unref(&view);
	}
	heads_free(&declared);
}

/* A set that is too long ends after a whole revision, and says that it goes on. */
static void test_long_sets_are_shortened(void **state)
{
	static char set[400], detail[800];
	struct gate_view *view = shop("20");

	(void)state;
	strcpy(set, "r00000000000000000a"); /* 19 bytes each: three fit into a message's 70 */
	for (char c = 'b'; c <= 'j'; c++)
		snprintf(set + strlen(set), sizeof(set) - strlen(set), "+r00000000000000000%c", c);
	snprintf(detail, sizeof(detail), "declared=%s recorded=20 accepted=20 relation=unknown", set);
	says(refuse(view, set, REFUSAL_BEFORE_LOGIN), "55000",
	    "database \"shop\" is at schema head 20, this client was built for "
	    "r00000000000000000a+r00000000000000000b+r00000000000000000c+...: the two do not match",
	    detail, "");
	gate_view_unref(&view);
}

static bool names_a_head(const struct refusal *refusal)
{
	return strstr(refusal->message, "SECRET") != NULL || strstr(refusal->detail, "SECRET") != NULL ||
	    strstr(refusal->hint, "SECRET") != NULL;
}

static void test_strangers_learn_no_head(void **state)
{
	struct heads declared = heads("10");

	(void)state;
	for (int disclose = 0; disclose <= 1; disclose++) {
		unsigned told = 0;
		for (int row = ROW_OBSERVE; row <= ROW_UNKNOWN; row++) {
			for (int recorded = RECORDED_CLEAN; recorded <= RECORDED_UNREADABLE; recorded++) {
				struct gate_view *view = shop("SECRET1");
				struct verdict verdict = {
				    .kind = VERDICT_REJECT, .row = (enum verdict_row)row};
				struct refusal refusal;

				view->policy.disclose = disclose;
				view->recorded.state = (enum recorded_state)recorded;
				view->recorded.detail = mem_strdup("SECRET2 failed");
				view->run = (struct gate_run){.id = 1,
				    .from = heads("SECRET3"),
				    .target = heads("SECRET4"),
				    .target_known = true,
				    .who = mem_strdup("ci"),
				    .reason = mem_strdup("to SECRET5")};
				view->hold =
				    (struct gate_hold){1, mem_strdup("ops"), mem_strdup("until SECRET6")};
				view->pins = mem_zalloc(sizeof(*view->pins));
				view->pins[0] =
				    (struct gate_pin){.heads = heads("SECRET7"), .until_ns = INT64_MAX};
				view->pin_count = 1;

				gate_refusal(view, &declared, &verdict, REFUSAL_BEFORE_LOGIN, &refusal);
				told += names_a_head(&refusal);
				gate_hold_expired(view, &verdict, SECOND, &refusal);
				told += names_a_head(&refusal);
				gate_hold_notice(view, &verdict, SECOND, &refusal);
				told += names_a_head(&refusal);
				gate_refusal(view, &declared, &verdict, REFUSAL_LIVE, &refusal);
				if (recorded == RECORDED_CLEAN)
					assert_true(names_a_head(&refusal)); /* who has logged in is told */
				gate_view_unref(&view);
			}
		}
		assert_int_equal(told > 0, disclose);
	}
	heads_free(&declared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_what_a_graph_accepts_is_told),
	    cmocka_unit_test(test_holds),
	    cmocka_unit_test(test_notice),
	    cmocka_unit_test(test_nothing_overflows_or_is_cut),
	    cmocka_unit_test(test_long_sets_are_shortened),
	    cmocka_unit_test(test_strangers_learn_no_head),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
