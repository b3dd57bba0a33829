/* The console's protocol machine: simple and extended protocol, answers now and later, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "ctl/console_wire.h"
#include "proto/frame.h"

/* The owner of a wire: SHOW GATES answers three rows at once, HOLD when the test says so. */
struct owner {
	struct wire *wire;
	bool refuse;
	unsigned ran, outputs;
	enum command last;
	uint32_t cancelled_pid, cancelled_key;
	struct reply got; /* all that came out */
};

struct bytes {
	uint8_t data[70000];
	size_t size;
};

static bool admit(struct wire *wire, const struct startup *startup, struct reply_error *refusal, void *arg)
{
	struct owner *owner = arg;
	(void)wire;
	(void)startup;
	*refusal = (struct reply_error){.severity = "FATAL", .sqlstate = "28000", .message = "no"};
	return !owner->refuse;
}

static void answer_rows(struct owner *owner, unsigned rows, const char *tag)
{
	struct wire_answer answer = {.row_count = rows};
	const char *values[] = {"a", NULL};
	for (unsigned i = 0; i < rows; i++)
		reply_data_row(&answer.rows, values, 2);
	snprintf(answer.tag, sizeof answer.tag, "%s", tag);
	wire_answer(owner->wire, &answer);
}

static void run(struct wire *wire, const struct statement *statement, void *arg)
{
	struct owner *owner = arg;
	owner->ran++;
	owner->last = statement->command;
	if (statement->command == COMMAND_SHOW_GATES)
		answer_rows(owner, 3, "SHOW");
	else if (statement->command == COMMAND_RELOAD)
		wire_fail(
		    wire, &(struct reply_error){.severity = "ERROR", .sqlstate = "F0000", .message = "bad"});
	else if (statement->command != COMMAND_HOLD)
		answer_rows(owner, 0, "DONE");
}

static unsigned columns(enum command command, const char *const **names)
{
	static const char *const two[] = {"one", "two"};
	*names = two;
	return command == COMMAND_SHOW_GATES || command == COMMAND_HOLD ? 2 : 0;
}

static void cancel(struct wire *wire, uint32_t pid, uint32_t key, void *arg)
{
	struct owner *owner = arg;
	(void)wire;
	owner->cancelled_pid = pid;
	owner->cancelled_key = key;
}

static void output(struct wire *wire, void *arg)
{
	(void)wire;
	((struct owner *)arg)->outputs++;
}

static void put(struct bytes *bytes, const void *p, size_t n)
{
	assert_true(n <= sizeof bytes->data - bytes->size);
	memcpy(bytes->data + bytes->size, p, n);
	bytes->size += n;
}

static void put_32(struct bytes *bytes, uint32_t v)
{
	uint8_t b[4];
	frame_put32(b, v);
	put(bytes, b, 4);
}

static void put_message(struct bytes *bytes, char type, const void *body, size_t n)
{
	put(bytes, &type, 1);
	put_32(bytes, (uint32_t)n + 4);
	put(bytes, body, n);
}

#define QUERY(bytes, text)       put_message(bytes, 'Q', text, sizeof(text))
#define PARSE(bytes, name, text) put_message(bytes, 'P', name "\0" text "\0\0", sizeof(name "\0" text "\0\0"))
#define BIND(bytes, portal, name)                                                                            \
	put_message(bytes, 'B', portal "\0" name "\0\0\0\0\0\0", sizeof(portal "\0" name "\0\0\0\0\0\0"))
#define DESCRIBE(bytes, what)  put_message(bytes, 'D', what, sizeof(what))
#define EXECUTE(bytes, portal) put_message(bytes, 'E', portal "\0\0\0\0", sizeof(portal "\0\0\0\0"))
#define SYNC(bytes)            put_message(bytes, 'S', "", 0)

static void put_startup(struct bytes *bytes, uint32_t version, const char *parameters, size_t n)
{
	put_32(bytes, (uint32_t)n + 8);
	put_32(bytes, version);
	put(bytes, parameters, n);
}

static void collect(struct owner *owner)
{
	size_t size;
	const uint8_t *p;
	while ((p = wire_output(owner->wire, &size))) {
		owner->got.data = mem_realloc(owner->got.data, owner->got.size + size);
		memcpy(owner->got.data + owner->got.size, p, size);
		owner->got.size += size;
		wire_sent(owner->wire, size);
	}
}

/* Feeds in pieces of at most `piece` bytes. */
static void feed(struct owner *owner, const struct bytes *bytes, size_t piece)
{
	for (size_t at = 0; at < bytes->size;) {
		size_t room, n = bytes->size - at;
		uint8_t *into = wire_room(owner->wire, &room);
		if (!into)
			break;
		n = n < room ? n : room;
		n = n < piece ? n : piece;
		memcpy(into, bytes->data + at, n);
		wire_input(owner->wire, n);
		at += n;
		collect(owner);
	}
	collect(owner);
}

/* The types of the messages that came, in order, and forgets them. `text`: where to leave a copy of the
 * bytes, for looking into; or NULL. */
static const char *types(struct owner *owner, struct bytes *text)
{
	static char out[4096];
	size_t n = 0;
	for (size_t at = 0; at < owner->got.size;) {
		assert_true(owner->got.size - at >= FRAME_HEADER && n + 1 < sizeof out);
		out[n++] = (char)owner->got.data[at];
		at += 1 + frame_be32(owner->got.data + at + 1);
		assert_true(at <= owner->got.size);
	}
	out[n] = '\0';
	if (text) {
		text->size = 0;
		put(text, owner->got.data, owner->got.size);
	}
	owner->got.size = 0;
	return out;
}

static bool holds(const struct bytes *bytes, const char *text)
{
	return memmem(bytes->data, bytes->size, text, strlen(text)) != NULL;
}

static struct owner *open_owner(void)
{
	struct owner *owner = mem_zalloc(sizeof *owner);
	const struct wire_handlers handlers = {
	    .admit = admit, .run = run, .columns = columns, .cancel = cancel, .output = output, .arg = owner};
	owner->wire = wire_new(7, 0x01020304, &handlers);
	return owner;
}

static struct owner *logged_in(void)
{
	struct owner *owner = open_owner();
	struct bytes bytes = {.size = 0};
	put_startup(&bytes, 0x30000, "user\0u\0database\0d\0", 19);
	feed(owner, &bytes, 1000);
	const char *seen = types(owner, NULL);
	assert_int_equal(seen[0], 'R');
	assert_string_equal(seen + strspn(seen, "RS"), "KZ");
	return owner;
}

static void close_owner(struct owner *owner)
{
	wire_free(&owner->wire);
	reply_free(&owner->got);
	mem_free(&owner);
}

static void test_startup(void **state)
{
	(void)state;
	struct owner *owner = open_owner();
	struct bytes bytes = {.size = 0}, text;
	put_32(&bytes, 8);
	put_32(&bytes, 80877104);
	put_32(&bytes, 8);
	put_32(&bytes, 80877103);
	feed(owner, &bytes, 3);
	assert_int_equal(owner->got.size, 2);
	assert_memory_equal(owner->got.data, "NN", 2);
	owner->got.size = 0;
	bytes.size = 0;
	put_startup(&bytes, 0x30002, "user\0u\0_pq_.x\0y\0", 17);
	feed(owner, &bytes, 1);
	const char *seen = types(owner, &text);
	assert_int_equal(seen[0], 'v');
	assert_true(holds(&text, "_pq_.x"));
	assert_true(wire_admitted(owner->wire));
	close_owner(owner);

	owner = open_owner();
	owner->refuse = true;
	feed(owner, &bytes, 100);
	assert_string_equal(types(owner, &text), "E");
	assert_true(holds(&text, "28000"));
	assert_true(wire_ended(owner->wire));
	close_owner(owner);
}

static void test_cancel(void **state)
{
	(void)state;
	struct owner *owner = open_owner();
	struct bytes bytes = {.size = 0};
	put_32(&bytes, 16);
	put_32(&bytes, 80877102);
	put_32(&bytes, 7);
	put_32(&bytes, 0x01020304);
	feed(owner, &bytes, 100);
	assert_int_equal(owner->cancelled_pid, 7);
	assert_int_equal(owner->cancelled_key, 0x01020304);
	assert_true(wire_ended(owner->wire));
	close_owner(owner);
	owner = logged_in();
	assert_true(wire_key_is(owner->wire, 7, 0x01020304));
	assert_false(wire_key_is(owner->wire, 7, 0x01020305));
	close_owner(owner);
}

/* Each conversation has the same answer however its bytes are cut. */
static void test_conversations(void **state)
{
	(void)state;
	struct bytes one[12] = {{.size = 0}};
	const char *expected[12];
	unsigned n = 0;
	QUERY(&one[n], "SHOW GATES");
	expected[n++] = "TDDDCZ";
	QUERY(&one[n], "");
	expected[n++] = "IZ";
	QUERY(&one[n], "SHOW GATES; RELEASE; select 1;");
	expected[n++] = "TDDDCCTDCZ";
	QUERY(&one[n], "SHOW GATES; nonsense; RELEASE");
	expected[n++] = "TDDDCEZ";
	QUERY(&one[n], "RELEASE; RELOAD; RELEASE");
	expected[n++] = "CEZ";
	PARSE(&one[n], "s", "SHOW GATES");
	DESCRIBE(&one[n], "Ss");
	BIND(&one[n], "", "s");
	DESCRIBE(&one[n], "P");
	EXECUTE(&one[n], "");
	SYNC(&one[n]);
	expected[n++] = "1tT2TDDDCZ";
	PARSE(&one[n], "", "BEGIN");
	BIND(&one[n], "", "");
	DESCRIBE(&one[n], "P");
	EXECUTE(&one[n], "");
	PARSE(&one[n], "", "SELECT 1");
	BIND(&one[n], "", "");
	EXECUTE(&one[n], "");
	SYNC(&one[n]);
	QUERY(&one[n], "COMMIT");
	expected[n++] = "12nC12DCZCZ";
	/* an error drops the rest up to the Sync, a Query included */
	PARSE(&one[n], "", "nonsense");
	BIND(&one[n], "", "");
	EXECUTE(&one[n], "");
	QUERY(&one[n], "RELEASE");
	SYNC(&one[n]);
	QUERY(&one[n], "RELEASE");
	expected[n++] = "EZCZ";
	PARSE(&one[n], "", "SHOW GATES; RELEASE");
	SYNC(&one[n]);
	PARSE(&one[n], "", "");
	BIND(&one[n], "", "");
	EXECUTE(&one[n], "");
	put_message(&one[n], 'C', "S", 2);
	SYNC(&one[n]);
	expected[n++] = "EZ12I3Z";
	BIND(&one[n], "", "missing");
	SYNC(&one[n]);
	EXECUTE(&one[n], "missing");
	SYNC(&one[n]);
	DESCRIBE(&one[n], "Pmissing");
	SYNC(&one[n]);
	expected[n++] = "EZEZEZ";
	put_message(&one[n], 'F', "\0\0\0\1\0\0\0\0\0\0", 10);
	put_message(&one[n], 'H', "", 0);
	expected[n++] = "EZ";
	for (unsigned i = 0; i < n; i++) {
		for (size_t piece = 1; piece <= one[i].size; piece++) {
			struct owner *owner = logged_in();
			feed(owner, &one[i], piece);
			const char *seen = types(owner, NULL);
			if (strcmp(seen, expected[i]) != 0)
				fail_msg("conversation %u in pieces of %zu: %s, not %s", i, piece, seen,
				    expected[i]);
			close_owner(owner);
		}
	}
}

static void test_portal_in_parts(void **state)
{
	(void)state;
	struct owner *owner = logged_in();
	struct bytes bytes = {.size = 0};
	PARSE(&bytes, "", "SHOW GATES");
	BIND(&bytes, "p", "");
	put_message(&bytes, 'E', "p\0\0\0\0\2", 6);
	put_message(&bytes, 'E', "p\0\0\0\0\2", 6);
	SYNC(&bytes);
	feed(owner, &bytes, 1000);
	assert_string_equal(types(owner, NULL), "12DDsDCZ");
	assert_int_equal(owner->ran, 1);
	close_owner(owner);
}

static void test_parameters_are_refused(void **state)
{
	(void)state;
	struct owner *owner = logged_in();
	struct bytes bytes = {.size = 0}, text;
	PARSE(&bytes, "", "SHOW GATES");
	put_message(&bytes, 'B', "\0\0\0\0\0\1\0\0\0\1x\0\0", 13);
	SYNC(&bytes);
	put_message(&bytes, 'P', "\0SHOW GATES\0\0\1\0\0\0\31", 18);
	SYNC(&bytes);
	feed(owner, &bytes, 1000);
	assert_string_equal(types(owner, &text), "1EZEZ");
	assert_true(holds(&text, "0A000"));
	close_owner(owner);
}

/* An answer that comes later: what follows waits for it, in simple and in extended protocol. */
static void test_late(void **state)
{
	(void)state;
	struct owner *owner = logged_in();
	struct bytes bytes = {.size = 0};
	QUERY(&bytes, "HOLD; RELEASE");
	QUERY(&bytes, "SHOW GATES");
	feed(owner, &bytes, 1000);
	assert_string_equal(types(owner, NULL), "");
	assert_true(wire_busy(owner->wire));
	assert_int_equal(owner->ran, 1);
	answer_rows(owner, 1, "HELD");
	assert_int_equal(owner->outputs, 1);
	collect(owner);
	assert_string_equal(types(owner, NULL), "TDCCZTDDDCZ");

	bytes.size = 0;
	PARSE(&bytes, "", "HOLD");
	BIND(&bytes, "", "");
	EXECUTE(&bytes, "");
	SYNC(&bytes);
	QUERY(&bytes, "RELEASE");
	feed(owner, &bytes, 1);
	assert_string_equal(types(owner, NULL), "12");
	wire_fail(
	    owner->wire, &(struct reply_error){.severity = "ERROR", .sqlstate = "55P03", .message = "late"});
	collect(owner);
	assert_string_equal(types(owner, NULL), "EZCZ");
	wire_notice(owner->wire, "01000", "by the way", NULL);
	collect(owner);
	assert_string_equal(types(owner, NULL), "N");
	close_owner(owner);
}

static void test_bounds(void **state)
{
	(void)state;
	static const struct {
		const char *name, *bytes;
		size_t size;
	} rows[] = {
	    {"too long", "Q\0\1\0\1", 5},
	    {"too short", "Q\0\0\0\3", 5},
	    {"huge", "Q\xff\xff\xff\xff", 5},
	    {"unknown type", "~\0\0\0\4", 5},
	    {"no NUL", "Q\0\0\0\5a", 6},
	    {"two texts", "Q\0\0\0\10a\0b\0", 9},
	    {"describe what", "D\0\0\0\6Xa", 7},
	    {"bind cut", "B\0\0\0\6\0\0", 7},
	    {"password", "p\0\0\0\5\0", 6},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct owner *owner = logged_in();
		struct bytes bytes = {.size = 0}, text;
		put(&bytes, rows[i].bytes, rows[i].size);
		QUERY(&bytes, "SHOW GATES");
		feed(owner, &bytes, 1000);
		if (strcmp(types(owner, &text), "E") != 0 || !holds(&text, "08P01") ||
		    !wire_ended(owner->wire))
			fail_msg("%s was taken", rows[i].name);
		close_owner(owner);
	}
	/* prepared statements without end */
	struct owner *owner = logged_in();
	struct bytes text;
	char name[8];
	bool refused = false;
	for (unsigned i = 0; i < 300 && !refused; i++) {
		struct bytes bytes = {.size = 0};
		char body[32];
		int n = snprintf(name, sizeof name, "s%u", i);
		memcpy(body, name, (size_t)n + 1);
		memcpy(body + n + 1, "RELEASE\0\0", 10);
		put_message(&bytes, 'P', body, (size_t)n + 11);
		SYNC(&bytes);
		feed(owner, &bytes, 1000);
		refused = strcmp(types(owner, &text), "EZ") == 0 && holds(&text, "54000");
	}
	assert_true(refused);
	close_owner(owner);
}

/* Who asks and never reads is not answered without bound. */
static void test_output_is_bounded(void **state)
{
	(void)state;
	struct owner *owner = logged_in();
	struct bytes bytes = {.size = 0};
	while (bytes.size < 60000)
		QUERY(&bytes, "SHOW GATES");
	size_t most = 0;
	for (unsigned round = 0; round < 20; round++) {
		for (size_t at = 0; at < bytes.size;) {
			size_t room, n = bytes.size - at, waiting;
			uint8_t *into = wire_room(owner->wire, &room);
			if (!into)
				break;
			n = n < room ? n : room;
			memcpy(into, bytes.data + at, n);
			wire_input(owner->wire, n);
			at += n;
			wire_output(owner->wire, &waiting);
			most = waiting > most ? waiting : most;
		}
	}
	assert_true(most < 300000);
	size_t room;
	assert_null(wire_room(owner->wire, &room));
	unsigned ran = owner->ran;
	collect(owner);
	assert_true(owner->ran > ran);
	assert_non_null(wire_room(owner->wire, &room));
	close_owner(owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_startup),
	    cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_conversations),
	    cmocka_unit_test(test_portal_in_parts),
	    cmocka_unit_test(test_parameters_are_refused),
	    cmocka_unit_test(test_late),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_output_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
