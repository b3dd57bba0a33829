/* What is big, bad or endless; and that no way of cutting the same bytes changes what the tracker knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/frame.h"
#include "proto_tracker_script.h"

#define LONGEST (FRAME_BYTES + 4)

static size_t header(uint8_t *out, uint8_t type, uint32_t length)
{
	out[0] = type;
	frame_put32(out + 1, length);
	return FRAME_HEADER;
}

static void client(struct tracker *t, const char *messages)
{
	uint8_t bytes[SCRIPT_BYTES];
	size_t n = script_bytes(messages, bytes);
	assert_int_equal(tracker_client(t, bytes, n, false), n);
}

static void server(struct tracker *t, const char *messages)
{
	uint8_t bytes[SCRIPT_BYTES];
	size_t n = script_bytes(messages, bytes);
	assert_true(tracker_server(t, bytes, n));
}

static void test_a_message_of_a_gibibyte_is_never_gathered(void **state)
{
	static uint8_t chunk[1 << 20];
	uint8_t head[FRAME_HEADER];
	struct tracker t;

	(void)state;
	memset(chunk, 'Z', sizeof chunk);
	tracker_init(&t, 'I');
	header(head, 'Q', LONGEST);
	assert_int_equal(tracker_client(&t, head, sizeof head, true), sizeof head);
	for (unsigned i = 0; i < 1024; i++) {
		assert_int_equal(tracker_client(&t, chunk, sizeof chunk, true), sizeof chunk);
		if (i < 1023)
			assert_false(tracker_between(&t));
	}
	assert_true(tracker_between(&t));
	assert_int_equal(t.count, 1);

	header(head, 'D', LONGEST);
	assert_true(tracker_server(&t, head, sizeof head));
	for (unsigned i = 0; i < 1024; i++) {
		assert_true(tracker_server(&t, chunk, sizeof chunk));
		assert_int_equal(tracker_server_boundary(&t), i == 1023);
	}
	server(&t, "< C ZI");
	assert_true(tracker_idle(&t));
	tracker_free(&t);
}

/* The batch's last message goes along to its end, in as many pieces as it takes, and nothing behind it. */
static void test_one_batch_ends_behind_a_long_message(void **state)
{
	uint8_t bytes[64];
	struct tracker t;

	(void)state;
	tracker_init(&t, 'I');
	size_t n = header(bytes, 'Q', 4 + 30);
	memset(bytes + n, 'x', 40);
	assert_int_equal(tracker_client(&t, bytes, n + 20, true), n + 20);
	header(bytes + 30, 'Q', 4); /* ten bytes of the first, then the next */
	assert_int_equal(tracker_client(&t, bytes + 20, 10, true), 10);
	assert_true(tracker_between(&t));
	assert_int_equal(tracker_client(&t, bytes + 30, 5, true), 5);
	assert_int_equal(t.queue[0] & 0xff, 2);
	tracker_free(&t);
}

static void test_impossible_lengths(void **state)
{
	static const uint32_t lengths[] = {0, 1, 3, LONGEST + 1, 0x7fffffff, 0x80000000, 0xffffffff};
	uint8_t head[FRAME_HEADER];

	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		for (size_t cut = 0; cut < sizeof head; cut++) {
			struct tracker t;
			tracker_init(&t, 'I');
			header(head, 'Q', lengths[i]);
			assert_int_equal(tracker_client(&t, head, cut, false), cut);
			assert_int_equal(tracker_client(&t, head + cut, sizeof head - cut, false), 0);
			assert_string_equal(t.violation, "impossible message length");
			tracker_free(&t);

			tracker_init(&t, 'I');
			header(head, 'D', lengths[i]);
			assert_true(tracker_server(&t, head, cut));
			assert_false(tracker_server(&t, head + cut, sizeof head - cut));
			assert_string_equal(t.violation, "impossible message length");
			tracker_free(&t);
		}
	}
}

static void test_a_ready_for_query_is_one_byte(void **state)
{
	(void)state;
	for (uint32_t length = 4; length < 9; length++) {
		for (size_t cut = 0; cut < 5; cut++) {
			uint8_t bytes[16] = {0};
			struct tracker t;
			tracker_init(&t, 'I');
			header(bytes, 'Z', length);
			bytes[5] = 'T';
			assert_true(tracker_server(&t, bytes, cut));
			bool taken = tracker_server(&t, bytes + cut, 1 + length - cut);
			assert_int_equal(taken, length == 5);
			if (taken)
				assert_int_equal(t.status, 'T');
			else
				assert_string_equal(t.violation, "ReadyForQuery of a wrong length");
			tracker_free(&t);
		}
	}
}

static void test_message_types(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		uint8_t bytes[FRAME_HEADER];
		struct tracker t;
		tracker_init(&t, 'I');
		header(bytes, (uint8_t)type, 4);
		size_t used = tracker_client(&t, bytes, sizeof bytes, false);
		bool known = type != 0 && strchr("QPBEDCHSFdcfX", (int)type) != NULL;
		assert_int_equal(used, known ? FRAME_HEADER : 0);
		assert_int_equal(t.violation == NULL, known);
		assert_int_equal(t.terminated, type == 'X');
		/* what a server of tomorrow says and we do not know passes */
		t.violation = NULL;
		assert_int_equal(tracker_server(&t, bytes, sizeof bytes), type != 'Z');
		tracker_free(&t);
	}
}

static void test_nothing_goes_behind_terminate(void **state)
{
	uint8_t bytes[SCRIPT_BYTES];
	struct tracker t;

	(void)state;
	tracker_init(&t, 'I');
	size_t n = script_bytes("> Q X Q", bytes);
	size_t query = script_bytes("> Q", bytes + 200);
	assert_int_equal(tracker_client(&t, bytes, n, false), n - query);
	assert_true(t.terminated);
	tracker_free(&t);
}

static void test_after_login(void **state)
{
	struct tracker t;

	(void)state;
	tracker_init(&t, 'T');
	assert_string_equal(script_says(&t), "bst");
	client(&t, "> Q");
	server(&t, "< C ZI");
	assert_string_equal(script_says(&t), "ibs");
	tracker_free(&t);
}

/* A run of one kind is one entry, however long. */
static void test_runs_take_no_room(void **state)
{
	struct tracker t;

	(void)state;
	tracker_init(&t, 'I');
	for (unsigned i = 0; i < 100000; i++)
		client(&t, "> P B E");
	client(&t, "> S");
	assert_int_equal(t.count, 2);
	assert_ptr_equal(t.queue, t.inside);
	for (unsigned i = 0; i < 100000; i++)
		server(&t, "< 1 2 C");
	assert_int_equal(t.count, 1);
	server(&t, "< ZI");
	assert_true(tracker_idle(&t));
	tracker_free(&t);
}

/* Kinds by turns take an entry each, up to the limit; then the client waits, and goes on with the answers. */
static void test_the_queue_grows_to_its_limit(void **state)
{
	uint8_t bytes[SCRIPT_BYTES], answer[SCRIPT_BYTES];
	size_t batch = script_bytes("> P S", bytes), answers = script_bytes("< 1 ZI", answer);
	unsigned sent = 0, done = 0;
	struct tracker t;

	(void)state;
	tracker_init(&t, 'I');
	while (tracker_client(&t, bytes, batch, false) == batch)
		sent++;
	assert_int_equal(sent, TRACKER_ENTRIES / 2);
	assert_int_equal(t.count, TRACKER_ENTRIES);
	assert_true(t.room <= TRACKER_ENTRIES);
	assert_ptr_not_equal(t.queue, t.inside);
	assert_int_equal(tracker_client(&t, bytes, batch, false), 0);
	assert_null(t.violation);

	/* the ring goes round */
	for (; done < 3 * TRACKER_ENTRIES; done++) {
		assert_true(tracker_server(&t, answer, answers));
		assert_int_equal(tracker_client(&t, bytes, batch, false), batch);
		assert_int_equal(tracker_client(&t, bytes, batch, false), 0);
	}
	for (unsigned left = TRACKER_ENTRIES / 2; left > 0; left--) {
		assert_false(tracker_idle(&t));
		assert_true(tracker_server(&t, answer, answers));
	}
	assert_true(tracker_idle(&t));
	assert_ptr_equal(t.queue, t.inside); /* the memory has gone back */
	tracker_free(&t);
}

/* At the limit a client may end the message it is in and begin none, wherever its bytes are cut. */
static void test_no_cut_passes_the_limit(void **state)
{
	uint8_t bytes[SCRIPT_BYTES];
	size_t batch = script_bytes("> P S", bytes), parse = batch - FRAME_HEADER;

	(void)state;
	for (size_t cut = 0; cut < batch; cut++) {
		struct tracker t;
		tracker_init(&t, 'I');
		size_t at = cut;
		assert_int_equal(tracker_client(&t, bytes, cut, false), cut);
		for (unsigned i = 0; i < TRACKER_ENTRIES + 1000; i++) {
			uint8_t piece[SCRIPT_BYTES];
			for (size_t k = 0; k < batch; k++)
				piece[k] = bytes[(at + k) % batch];
			at += tracker_client(&t, piece, batch, false);
			assert_true(t.count <= TRACKER_ENTRIES);
		}
		assert_int_equal(t.count, TRACKER_ENTRIES);
		assert_int_equal(t.client.left, 0);
		assert_true(at % batch <= parse + FRAME_HEADER);
		tracker_free(&t);
	}
}

static void test_freed_twice(void **state)
{
	struct tracker t;

	(void)state;
	tracker_init(&t, 'I');
	for (unsigned i = 0; i < 10; i++)
		client(&t, "> P S");
	tracker_free(&t);
	assert_string_equal(script_says(&t), "ibs");
	tracker_free(&t);
}

static void same(const struct tracker *a, const struct tracker *b)
{
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->status, b->status);
	assert_int_equal(a->last, b->last);
	assert_int_equal(a->open, b->open);
	assert_int_equal(a->answered, b->answered);
	assert_int_equal(a->swallowed, b->swallowed);
	assert_int_equal(a->terminated, b->terminated);
	assert_int_equal(a->client.left, b->client.left);
	assert_int_equal(a->client.have, b->client.have);
	assert_int_equal(a->server.left, b->server.left);
	assert_int_equal(a->server.have, b->server.have);
	assert_int_equal(a->count, b->count);
	for (uint32_t i = 0; i < a->count; i++)
		assert_int_equal(a->queue[(a->first + i) % a->room], b->queue[(b->first + i) % b->room]);
}

/* Turns of any messages, sensible or not, whole into one tracker and in pieces into another. */
static void test_any_turns_cut_anywhere(void **state)
{
	static const char from_client[] = "QQPBEDCHSSFdcf", from_server[] = "123TnCIsEEGGHdcDNASVtZZZZW";
	uint32_t dice = 1;

	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		struct tracker whole, pieces;
		tracker_init(&whole, 'I');
		tracker_init(&pieces, 'I');
		for (unsigned turn = 0; turn < 12; turn++) {
			uint8_t bytes[SCRIPT_BYTES];
			char script[64] = {0};
			dice = dice * 1103515245 + 12345;
			bool by_client = dice >> 20 & 1;
			unsigned messages = (dice >> 24) % 6 + 1;
			size_t at = 0;
			script[at++] = by_client ? '>' : '<';
			while (messages-- > 0) {
				dice = dice * 1103515245 + 12345;
				const char *types = by_client ? from_client : from_server;
				script[at++] = types[(dice >> 16) % strlen(types)];
				if (script[at - 1] == 'W' && round % 10 != 0)
					script[at - 1] = 'E';
				if (script[at - 1] == 'Z' && !by_client)
					script[at++] = "ITE"[(dice >> 8) % 3];
				if (script[at - 1] == 'H' && by_client && (dice >> 8) % 4 == 0)
					script[at++] = '!';
			}
			size_t n = script_bytes(script, bytes);
			for (size_t from = 0; from < n;) {
				dice = dice * 1103515245 + 12345;
				size_t take = (dice >> 16) % 9 + 1;
				take = take < n - from ? take : n - from;
				if (by_client)
					assert_int_equal(
					    tracker_client(&pieces, bytes + from, take, false), take);
				else
					assert_true(tracker_server(&pieces, bytes + from, take));
				from += take;
			}
			if (by_client)
				assert_int_equal(tracker_client(&whole, bytes, n, false), n);
			else
				assert_true(tracker_server(&whole, bytes, n));
			same(&whole, &pieces);
		}
		tracker_free(&whole);
		tracker_free(&pieces);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_message_of_a_gibibyte_is_never_gathered),
	    cmocka_unit_test(test_one_batch_ends_behind_a_long_message),
	    cmocka_unit_test(test_impossible_lengths),
	    cmocka_unit_test(test_a_ready_for_query_is_one_byte),
	    cmocka_unit_test(test_message_types),
	    cmocka_unit_test(test_nothing_goes_behind_terminate),
	    cmocka_unit_test(test_after_login),
	    cmocka_unit_test(test_runs_take_no_room),
	    cmocka_unit_test(test_the_queue_grows_to_its_limit),
	    cmocka_unit_test(test_no_cut_passes_the_limit),
	    cmocka_unit_test(test_freed_twice),
	    cmocka_unit_test(test_any_turns_cut_anywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
