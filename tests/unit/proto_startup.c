/* The first packet: told apart at every split, parsed as ProcessStartupPacket does, written on less what was
 * ours alone. What the server accepts, and what it takes of doubles, was seen on a PostgreSQL 15 with raw
 * packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/frame.h"
#include "proto/options.h"
#include "proto/startup.h"

#define V3_0 UINT32_C(196608)

struct packet {
	uint8_t data[16384];
	size_t size;
};

static void put(struct packet *packet, const void *bytes, size_t size)
{
	assert_true(size <= sizeof(packet->data) - packet->size);
	memcpy(packet->data + packet->size, bytes, size);
	packet->size += size;
}

static void put_string(struct packet *packet, const char *s)
{
	put(packet, s, strlen(s) + 1);
}

static void begin(struct packet *packet, uint32_t code)
{
	packet->size = 8;
	frame_put32(packet->data + 4, code);
}

static void end(struct packet *packet)
{
	frame_put32(packet->data, (uint32_t)packet->size);
}

/* Names and values in turn, NULL at the end. */
static void build(struct packet *packet, uint32_t version, const char *const *strings)
{
	begin(packet, version);
	for (; *strings != NULL; strings++)
		put_string(packet, *strings);
	put(packet, "", 1);
	end(packet);
}

#define BUILD(packet, ...) build((packet), V3_0, (const char *const[]){__VA_ARGS__, NULL})

/* From memory of exactly the packet's size: a byte read too far is the sanitizer's. */
static bool parse(const struct packet *packet, struct startup *out, const char **why)
{
	uint8_t *exact = malloc(packet->size ? packet->size : 1);

	assert_non_null(exact);
	memcpy(exact, packet->data, packet->size);
	bool parsed = startup_parse(exact, packet->size, out, why);
	free(exact); /* what was parsed must not point into it */
	return parsed;
}

static void test_kinds_at_every_split(void **state)
{
	static const struct {
		uint32_t code;
		size_t size;
		enum startup_kind kind;
	} rows[] = {
	    {80877103, 8, STARTUP_SSL},
	    {80877103, 9, STARTUP_BAD},
	    {80877104, 8, STARTUP_GSS},
	    {80877104, 12, STARTUP_BAD},
	    {80877102, 15, STARTUP_BAD},
	    {80877102, 16, STARTUP_CANCEL},
	    {80877102, 268, STARTUP_CANCEL},
	    {80877102, 269, STARTUP_BAD},
	    {80877105, 8, STARTUP_BAD},
	    {V3_0, 9, STARTUP_MESSAGE},
	    {196610, 100, STARTUP_MESSAGE},          /* 3.2 */
	    {3u << 16 | 9999, 100, STARTUP_MESSAGE}, /* a minor version to come */
	    {3u << 16 | 65535, 10004, STARTUP_MESSAGE},
	    {V3_0, 10005, STARTUP_BAD},
	    {V3_0, 7, STARTUP_BAD},
	    {V3_0, 0, STARTUP_BAD},
	    {2u << 16, 100, STARTUP_BAD},
	    {4u << 16, 100, STARTUP_BAD},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet packet = {.size = 0};
		frame_put32(packet.data, (uint32_t)rows[i].size);
		frame_put32(packet.data + 4, rows[i].code);
		bool decided = false;

		for (size_t n = 0; n <= rows[i].size + 5; n++) {
			uint8_t *exact = malloc(n ? n : 1);
			size_t size = 99;
			const char *why = NULL;

			assert_non_null(exact);
			memcpy(exact, packet.data, n);
			enum startup_kind kind = startup_kind(exact, n, &size, &why);
			free(exact);
			if (rows[i].kind == STARTUP_BAD) {
				/* Junk is told as soon as it shows; once told it stays told. */
				assert_true(kind == STARTUP_BAD || (kind == STARTUP_MORE && !decided));
				decided = decided || kind == STARTUP_BAD;
				assert_true(decided || n < 8);
				assert_int_equal(kind == STARTUP_BAD, why != NULL);
			} else {
				assert_int_equal(kind, n < rows[i].size ? STARTUP_MORE : rows[i].kind);
				if (kind != STARTUP_MORE)
					assert_int_equal(size, rows[i].size);
			}
		}
	}
}

static void test_junk_is_told_from_its_first_bytes(void **state)
{
	size_t size;
	const char *why = NULL;

	(void)state;
	assert_int_equal(startup_kind((const uint8_t *)"\x16", 1, &size, &why), STARTUP_DIRECT_TLS);
	assert_int_equal(startup_kind((const uint8_t *)"\x16\3\1", 3, &size, &why), STARTUP_DIRECT_TLS);
	assert_int_equal(startup_kind((const uint8_t *)"GET / HTTP/1.1\r\n", 16, &size, &why), STARTUP_BAD);
	assert_int_equal(startup_kind((const uint8_t *)"G", 1, &size, &why), STARTUP_BAD);
	assert_int_equal(startup_kind((const uint8_t *)"\0\1", 2, &size, &why), STARTUP_BAD);
	assert_int_equal(startup_kind((const uint8_t *)"\0\0\377\377", 4, &size, &why), STARTUP_BAD);
	assert_int_equal(startup_kind((const uint8_t *)"\377\377\377\377", 4, &size, &why), STARTUP_BAD);
}

static void test_parse(void **state)
{
	struct packet packet;
	struct startup startup;
	const char *why = NULL;

	(void)state;
	BUILD(&packet, "user", "ann", "database", "shop", "application_name", "web", "options", "-c a.b=1",
	    "client_encoding", "UTF8");
	assert_true(parse(&packet, &startup, &why));
	assert_int_equal(startup.version, V3_0);
	assert_int_equal(startup.count, 5);
	assert_string_equal(startup.user, "ann");
	assert_string_equal(startup.database, "shop");
	assert_string_equal(startup.application_name, "web");
	assert_string_equal(startup.options, "-c a.b=1");
	assert_string_equal(startup.parameters[4].name, "client_encoding");
	assert_string_equal(startup.parameters[4].value, "UTF8");
	assert_false(startup.replication);
	startup_free(&startup);
	assert_null(startup.packet);
	startup_free(&startup);

	BUILD(&packet, "user", "ann");
	assert_true(parse(&packet, &startup, &why));
	assert_string_equal(startup.database, "ann");
	assert_null(startup.options);
	assert_null(startup.application_name);
	startup_free(&startup);

	/* An empty database is none; the last of doubles counts; settings' names have no case, these four
	 * have. */
	BUILD(&packet, "user", "x", "database", "nope", "user", "ann", "database", "", "Application_Name",
	    "a", "APPLICATION_NAME", "b", "User", "u", "Options", "o", "Replication", "true");
	assert_true(parse(&packet, &startup, &why));
	assert_string_equal(startup.user, "ann");
	assert_string_equal(startup.database, "ann");
	assert_string_equal(startup.application_name, "b");
	assert_null(startup.options);
	assert_false(startup.replication);
	startup_free(&startup);
}

static void test_replication_as_parse_bool_reads_it(void **state)
{
	/* no: the server took it for an ordinary session. The others became a walsender or were refused. */
	static const char *const no[] = {
	    "off", "of", "OFF", "f", "fal", "false", "FALSE", "no", "n", "N", "0"};
	static const char *const yes[] = {"database", "true", "on", "1", "t", "y", "ye", "yes", "o",
	    "Database", "00", "10", "falsex", "nope", "offf", "", " off", "0 "};
	struct packet packet;
	struct startup startup;
	const char *why = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		BUILD(&packet, "user", "ann", "replication", "true", "replication", no[i]);
		assert_true(parse(&packet, &startup, &why));
		if (startup.replication)
			fail_msg("replication=%s", no[i]);
		startup_free(&startup);
	}
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		BUILD(&packet, "user", "ann", "replication", yes[i]);
		assert_true(parse(&packet, &startup, &why));
		if (!startup.replication)
			fail_msg("replication=%s", yes[i]);
		startup_free(&startup);
	}
}

static void test_malformed(void **state)
{
	static const struct {
		const char *body;
		size_t size;
	} rows[] = {
	    {"", 0},
	    {"\0", 1},                           /* no user */
	    {"user\0\0\0", 7},                   /* an empty one */
	    {"database\0shop\0\0", 15},          /* still none */
	    {"user\0ann\0", 9},                  /* no terminator */
	    {"user\0ann\0\0x", 11},              /* something after it */
	    {"user\0ann\0\0\0", 11},             /* two terminators */
	    {"user\0ann\0database", 17},         /* a name cut off */
	    {"user\0ann\0database\0", 18},       /* no value */
	    {"user\0ann\0database\0shop", 22},   /* a value cut off */
	    {"user\0ann\0database\0shop\0", 23}, /* no terminator */
	    {"user", 4},
	};
	struct startup startup = {.count = 77};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet packet;
		const char *why = NULL;
		begin(&packet, V3_0);
		put(&packet, rows[i].body, rows[i].size);
		end(&packet);
		if (parse(&packet, &startup, &why))
			fail_msg("row %zu was parsed", i);
		assert_non_null(why);
		assert_int_equal(startup.count, 77); /* untouched */
	}

	struct packet packet;
	const char *why = NULL;
	BUILD(&packet, "user", "ann");
	frame_put32(packet.data, (uint32_t)packet.size - 1); /* the length lies */
	assert_false(parse(&packet, &startup, &why));
	frame_put32(packet.data, (uint32_t)packet.size);
	frame_put32(packet.data + 4, 2u << 16);
	assert_false(parse(&packet, &startup, &why));
	packet.size = 4;
	assert_false(parse(&packet, &startup, &why));
}

static void test_bounds(void **state)
{
	struct packet packet;
	struct startup startup;
	const char *why = NULL;

	(void)state;
	for (unsigned count = 1000; count <= 1001; count++) {
		begin(&packet, V3_0);
		put_string(&packet, "user");
		put_string(&packet, "ann");
		for (unsigned i = 1; i < count; i++)
			put(&packet, "a\0b", 4);
		put(&packet, "", 1);
		end(&packet);
		assert_int_equal(parse(&packet, &startup, &why), count == 1000);
		if (count == 1000) {
			assert_int_equal(startup.count, 1000);
			startup_free(&startup);
		}
	}
	for (size_t size = STARTUP_BYTES; size <= STARTUP_BYTES + 1; size++) {
		char value[STARTUP_BYTES];
		begin(&packet, V3_0);
		put_string(&packet, "user");
		put_string(&packet, "ann");
		put_string(&packet, "a.b");
		size_t n = size - packet.size - 2;
		memset(value, 'x', n);
		value[n] = '\0';
		put_string(&packet, value);
		put(&packet, "", 1);
		end(&packet);
		assert_int_equal(packet.size, size);
		assert_int_equal(parse(&packet, &startup, &why), size == STARTUP_BYTES);
		if (size == STARTUP_BYTES)
			startup_free(&startup);
	}
}

static void forward_is(
    const struct packet *from, const char *dbname, bool forward_head, const struct packet *to)
{
	struct startup startup;
	struct reply out = {.data = NULL};
	const char *why = NULL;

	assert_true(parse(from, &startup, &why));
	reply_bytes(&out, "before", 6); /* it appends */
	startup_forward(&startup, dbname, forward_head, &out);
	assert_int_equal(out.size, 6 + to->size);
	assert_memory_equal(out.data, "before", 6);
	assert_memory_equal(out.data + 6, to->data, to->size);
	reply_free(&out);
	startup_free(&startup);
}

static void test_forward(void **state)
{
	struct packet from, to;

	(void)state;
	BUILD(&from, "user", "ann", "database", "shop@9f", "options", "-c a.b=1", "_pq_.x", "1", "TimeZone",
	    "UTC");
	BUILD(
	    &to, "user", "ann", "database", "shop", "options", "-c a.b=1", "_pq_.x", "1", "TimeZone", "UTC");
	forward_is(&from, "shop", false, &to);
	forward_is(&from, "shop", true, &to);

	BUILD(&from, "headgate.head", "1", "user", "ann", "HEADGATE.Head", "2", "database", "shop",
	    "headgate.head2", "3");
	BUILD(&to, "user", "ann", "database", "shop", "headgate.head2", "3");
	forward_is(&from, "shop", false, &to);
	forward_is(&from, "shop", true, &from);

	BUILD(&from, "user", "ann", "options", "-c headgate.head=9f", "database", "shop");
	BUILD(&to, "user", "ann", "database", "shop");
	forward_is(&from, "shop", false, &to);
	forward_is(&from, "shop", true, &from);

	BUILD(&from, "user", "ann", "database", "shop", "options",
	    " -c a.b=1\\ 2  --HEADGATE.head=9f\\ x\t-c c.d=\\\\ ");
	BUILD(&to, "user", "ann", "database", "shop", "options", " -c a.b=1\\ 2  \t-c c.d=\\\\ ");
	forward_is(&from, "shop", false, &to);

	/* Blanks alone go only where we cut; what was blank from the client goes on. */
	BUILD(&from, "user", "ann", "database", "shop", "options", " -c headgate.head=1 --headgate.head=2\n");
	BUILD(&to, "user", "ann", "database", "shop");
	forward_is(&from, "shop", false, &to);
	BUILD(&from, "user", "ann", "database", "shop", "options", "  ");
	forward_is(&from, "shop", false, &from);
	BUILD(&from, "user", "ann", "database", "shop", "options", "");
	forward_is(&from, "shop", false, &from);

	/* The server takes the last options: dropping it would bring the first into force. */
	BUILD(&from, "user", "ann", "database", "shop", "options", "-c a.b=1", "options",
	    "-c headgate.head=9f");
	BUILD(&to, "user", "ann", "database", "shop", "options", "-c a.b=1", "options", "");
	forward_is(&from, "shop", false, &to);

	/* No database was sent: the user's name stands for it, and need not be said. */
	BUILD(&from, "user", "ann");
	forward_is(&from, "ann", false, &from);
	BUILD(&to, "user", "ann", "database", "shop");
	forward_is(&from, "shop", false, &to);
	BUILD(&from, "database", "", "user", "ann", "database", "x");
	BUILD(&to, "database", "shop", "user", "ann", "database", "shop");
	forward_is(&from, "shop", false, &to);
}

static void test_forward_keeps_the_version(void **state)
{
	static const char *const strings[] = {"user", "ann", "database", "shop", NULL};
	struct packet packet;

	(void)state;
	build(&packet, 3u << 16 | 9999, strings);
	forward_is(&packet, "shop", false, &packet);
}

static uint32_t random_state = 88172645u;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % n;
}

static void random_packet(struct packet *packet)
{
	static const char *const names[] = {"database", "options", "headgate.head", "Headgate.HEAD",
	    "application_name", "a.b", "replication", "_pq_.x", "options"};
	static const char *const values[] = {"", "ann", "shop@9f", "-c headgate.head=1",
	    "-c a.b=1 -c headgate.head=2", "x head=3", "-c headgate.head=x\\ y --c.d=1", "--headgate.head=1",
	    "-ec headgate.head=4 -e", "on", "-c a.b=1 -c c.d=2"};

	begin(packet, V3_0);
	put_string(packet, "user");
	put_string(packet, "ann");
	for (uint32_t n = random_below(8); n > 0; n--) {
		put_string(packet, names[random_below(sizeof(names) / sizeof(names[0]))]);
		put_string(packet, values[random_below(sizeof(values) / sizeof(values[0]))]);
	}
	put(packet, "", 1);
	end(packet);
}

static void test_mutated_packets_are_parsed_or_refused(void **state)
{
	unsigned parsed = 0, refused = 0;

	(void)state;
	for (int round = 0; round < 50000; round++) {
		struct packet packet;
		struct startup startup;
		const char *why = NULL;
		size_t size;

		random_packet(&packet);
		for (uint32_t n = random_below(4); n > 0; n--)
			packet.data[random_below((uint32_t)packet.size)] = (uint8_t)random_below(256);
		if (random_below(3) == 0)
			packet.size = random_below((uint32_t)packet.size + 1);
		if (random_below(3) != 0 && packet.size >= 8)
			end(&packet);
		uint8_t *exact = mem_dup(packet.data, packet.size);
		(void)startup_kind(exact, packet.size, &size, &why);
		mem_free(&exact);
		if (!parse(&packet, &startup, &why)) {
			assert_non_null(why);
			refused++;
			continue;
		}
		parsed++;
		assert_true(startup.user != NULL && startup.user[0] != '\0' && startup.database != NULL);
		startup_free(&startup);
	}
	assert_true(parsed > 5000 && refused > 5000);
}

struct others {
	char text[8192];
};

static void note_other(const struct startup_option *option, void *arg)
{
	struct others *others = arg;
	size_t n = strlen(others->text);

	if (!options_is_head(option->name))
		snprintf(others->text + n, sizeof(others->text) - n, "%s=%s\n", option->name, option->value);
}

static void ours_alone(const struct startup_option *option, void *arg)
{
	*(bool *)arg = *(bool *)arg || options_is_head(option->name);
}

/* What the server reads of a packet: every parameter and the effective options' settings, less what is ours.
 */
static void effective(const struct startup *startup, struct others *others)
{
	others->text[0] = '\0';
	for (unsigned i = 0; i < startup->count; i++) {
		size_t n = strlen(others->text);
		const struct startup_parameter *parameter = &startup->parameters[i];
		if (strcmp(parameter->name, "options") != 0 && strcmp(parameter->name, "database") != 0 &&
		    strcasecmp(parameter->name, "headgate.head") != 0)
			snprintf(others->text + n, sizeof(others->text) - n, "%s=%s\n", parameter->name,
			    parameter->value);
	}
	if (startup->options != NULL)
		startup_options(startup->options, note_other, others);
}

static void test_forwarded_reads_the_same_less_ours(void **state)
{
	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct packet packet;
		struct startup before, after;
		struct reply out = {.data = NULL};
		struct others mine, theirs;
		const char *why = NULL;
		bool ours = false;

		random_packet(&packet);
		assert_true(parse(&packet, &before, &why));
		startup_forward(&before, "shop", false, &out);
		assert_true(startup_parse(out.data, out.size, &after, &why));
		assert_string_equal(after.database, "shop");
		effective(&before, &mine);
		effective(&after, &theirs);
		assert_string_equal(mine.text, theirs.text);
		for (unsigned i = 0; i < after.count; i++) {
			assert_false(options_is_head(after.parameters[i].name));
			if (strcmp(after.parameters[i].name, "options") == 0)
				startup_options(after.parameters[i].value, ours_alone, &ours);
		}
		assert_false(ours);

		/* Once more changes nothing. */
		struct reply again = {.data = NULL};
		startup_forward(&after, "shop", false, &again);
		assert_int_equal(again.size, out.size);
		assert_memory_equal(again.data, out.data, out.size);
		reply_free(&again);
		reply_free(&out);
		startup_free(&before);
		startup_free(&after);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kinds_at_every_split),
	    cmocka_unit_test(test_junk_is_told_from_its_first_bytes),
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_replication_as_parse_bool_reads_it),
	    cmocka_unit_test(test_malformed),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_forward),
	    cmocka_unit_test(test_forward_keeps_the_version),
	    cmocka_unit_test(test_mutated_packets_are_parsed_or_refused),
	    cmocka_unit_test(test_forwarded_reads_the_same_less_ours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
