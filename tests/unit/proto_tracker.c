/* Every hard case of the protocol as a script. What the server answers here is what a PostgreSQL 15 answered
 * when it was sent the same; tests/e2e/test_tracker_oracle.py asks it again, by chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto_tracker_script.h"

static void check(const struct script *script, const struct step *step, const struct tracker *t)
{
	if (strcmp(script_says(t), step->says) != 0)
		fail_msg("%s: after '%s' it says %s, not %s", script->name, step->messages, script_says(t),
		    step->says);
	if (t->violation != NULL)
		fail_msg("%s: '%s': %s", script->name, step->messages, t->violation);
}

/* One side's bytes in two pieces; n: in one. */
static void feed(struct tracker *t, const struct step *step, const uint8_t *bytes, size_t n, size_t cut)
{
	for (int i = 0; i < 2; i++) {
		/* memory of exactly their size, so that the sanitizer sees a byte read too far */
		size_t size = i == 0 ? cut : n - cut;
		uint8_t *piece = mem_dup(i == 0 ? bytes : bytes + cut, size);
		if (step->messages[0] == '>')
			assert_int_equal(tracker_client(t, piece, size, false), size);
		else
			assert_true(tracker_server(t, piece, size));
		mem_free(&piece);
	}
}

static void test_every_script(void **state)
{
	uint8_t bytes[SCRIPT_BYTES];

	(void)state;
	for (size_t i = 0; i < SCRIPTS; i++) {
		struct tracker t;
		tracker_init(&t, 'I');
		assert_string_equal(script_says(&t), "ibs");
		for (const struct step *step = scripts[i].steps; step->messages != NULL; step++) {
			size_t n = script_bytes(step->messages, bytes);
			feed(&t, step, bytes, n, n);
			check(&scripts[i], step, &t);
		}
		tracker_free(&t);
	}
}

/* Every step of every script, cut at every offset: the same answers, and busy in the middle of a message. */
static void test_cut_at_every_offset(void **state)
{
	uint8_t bytes[SCRIPT_BYTES];

	(void)state;
	for (size_t i = 0; i < SCRIPTS; i++) {
		for (size_t at = 0;; at++) {
			bool cut_any = false;
			struct tracker t;
			tracker_init(&t, 'I');
			for (const struct step *step = scripts[i].steps; step->messages != NULL; step++) {
				size_t n = script_bytes(step->messages, bytes);
				cut_any |= at < n;
				feed(&t, step, bytes, n, at < n ? at : n);
				check(&scripts[i], step, &t);
			}
			tracker_free(&t);
			if (!cut_any)
				break;
		}
	}
}

static void test_byte_by_byte(void **state)
{
	uint8_t bytes[SCRIPT_BYTES];

	(void)state;
	for (size_t i = 0; i < SCRIPTS; i++) {
		struct tracker t;
		tracker_init(&t, 'I');
		for (const struct step *step = scripts[i].steps; step->messages != NULL; step++) {
			size_t n = script_bytes(step->messages, bytes);
			size_t ends = 0; /* of the message that a byte belongs to */
			for (size_t at = 0; at < n; at++) {
				if (at == ends)
					ends += 1 + frame_be32(bytes + at + 1);
				feed(&t, step, bytes + at, 1, 1);
				if (at + 1 < ends) {
					assert_false(tracker_idle(&t));
					if (step->messages[0] == '>')
						assert_false(tracker_between(&t));
					else
						assert_false(tracker_server_boundary(&t));
				} else if (step->messages[0] == '<') {
					assert_true(tracker_server_boundary(&t));
				}
			}
			check(&scripts[i], step, &t);
		}
		tracker_free(&t);
	}
}

/* Behind which of the messages a batch ends: what tracker_client() with one_batch stops at. */
static bool ends_batch(const struct tracker *before, uint8_t type)
{
	if (type == 'S')
		return before->mode != TRACKER_COPY_IN;
	return (type == 'Q' || type == 'F') && before->mode != TRACKER_SKIP && before->mode != TRACKER_UNSURE;
}

/* Nobody knows whether the server would discard it: it stops before. */
static bool unsure(const struct tracker *before, uint8_t type)
{
	return before->mode == TRACKER_UNSURE && strchr("QFPBEDC", type) != NULL;
}

/* One batch at a time: it stops exactly behind its last message, and the answers stay the same. */
static void test_one_batch_at_a_time(void **state)
{
	uint8_t bytes[SCRIPT_BYTES];
	unsigned stops = 0, unsures = 0;

	(void)state;
	for (size_t i = 0; i < SCRIPTS; i++) {
		struct tracker t;
		tracker_init(&t, 'I');
		for (const struct step *step = scripts[i].steps; step->messages != NULL; step++) {
			size_t n = script_bytes(step->messages, bytes);
			if (step->messages[0] == '<') {
				assert_true(tracker_server(&t, bytes, n));
				check(&scripts[i], step, &t);
				continue;
			}
			for (size_t at = 0; at < n;) {
				/* a second tracker takes message by message, and tells where the end must be
				 */
				struct tracker copy = t;
				copy.queue = t.queue == t.inside ? copy.inside
								 : mem_dup(t.queue, t.room * sizeof *t.queue);
				size_t ends = at;
				bool over = false;
				while (ends < n && !over && !unsure(&copy, bytes[ends])) {
					size_t size = 1 + frame_be32(bytes + ends + 1);
					over = ends_batch(&copy, bytes[ends]) || bytes[ends] == 'X';
					assert_int_equal(
					    tracker_client(&copy, bytes + ends, size, false), size);
					ends += size;
				}
				tracker_free(&copy);
				assert_int_equal(tracker_client(&t, bytes + at, n - at, true), ends - at);
				stops += over && ends < n;
				at = ends;
				if (at < n && unsure(&t, bytes[at])) {
					size_t size = 1 + frame_be32(bytes + at + 1);
					assert_int_equal(tracker_client(&t, bytes + at, n - at, true), 0);
					assert_int_equal(tracker_client(&t, bytes + at, size, false), size);
					unsures++;
					at += size;
				}
			}
			check(&scripts[i], step, &t);
		}
		tracker_free(&t);
	}
	assert_true(stops > 50);
	assert_true(unsures > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_script),
	    cmocka_unit_test(test_cut_at_every_offset),
	    cmocka_unit_test(test_byte_by_byte),
	    cmocka_unit_test(test_one_batch_at_a_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
