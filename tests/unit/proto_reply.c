#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/frame.h"
#include "proto/reply.h"

/* A literal with its length, zero bytes included. */
#define BYTES(literal) (literal), sizeof(literal) - 1

static void is(struct reply *reply, const char *bytes, size_t size)
{
	assert_int_equal(reply->size, size);
	assert_memory_equal(reply->data, bytes, size);
	reply_free(reply);
	assert_null(reply->data);
	assert_int_equal(reply->size, 0);
	assert_int_equal(reply->room, 0);
}

static void test_messages_byte_by_byte(void **state)
{
	static const char *const names[] = {"a", "bc"}, *const values[] = {"x", NULL, ""};
	struct reply reply = {.data = NULL};

	(void)state;
	reply_authentication_ok(&reply);
	is(&reply, BYTES("R\0\0\0\10\0\0\0\0"));
	reply_parameter_status(&reply, "TimeZone", "UTC");
	is(&reply, BYTES("S\0\0\0\21TimeZone\0UTC\0"));
	reply_backend_key(&reply, 0x01020304, "\5\6\7\10", 4);
	is(&reply, BYTES("K\0\0\0\14\1\2\3\4\5\6\7\10"));
	reply_ready(&reply, 'T');
	is(&reply, BYTES("Z\0\0\0\5T"));
	reply_negotiate_protocol(&reply, 0x00030002, names, 2);
	is(&reply, BYTES("v\0\0\0\21\0\3\0\2\0\0\0\2a\0bc\0"));
	reply_row_description(&reply, names, 1);
	is(&reply, BYTES("T\0\0\0\32\0\1a\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0"));
	reply_data_row(&reply, values, 3);
	is(&reply, BYTES("D\0\0\0\23\0\3\0\0\0\1x\377\377\377\377\0\0\0\0"));
	reply_command_complete(&reply, "SELECT 1");
	is(&reply, BYTES("C\0\0\0\15SELECT 1\0"));
	reply_bare(&reply, '1');
	is(&reply, BYTES("1\0\0\0\4"));
	reply_parameter_description(&reply, 2);
	is(&reply, BYTES("t\0\0\0\16\0\2\0\0\0\31\0\0\0\31"));
}

static void test_errors_leave_out_what_is_not_said(void **state)
{
	struct reply reply = {.data = NULL};
	struct reply_error error = {
	    .severity = "FATAL", .sqlstate = "55000", .message = "no", .detail = "d", .hint = "h"};

	(void)state;
	reply_error(&reply, &error);
	is(&reply, BYTES("E\0\0\0\44SFATAL\0VFATAL\0C55000\0Mno\0Dd\0Hh\0\0"));
	error.detail = NULL;
	error.hint = "";
	error.severity = "NOTICE";
	error.sqlstate = "00000";
	reply_notice(&reply, &error);
	is(&reply, BYTES("N\0\0\0\40SNOTICE\0VNOTICE\0C00000\0Mno\0\0"));
}

static void test_appends_whole_messages(void **state)
{
	struct reply reply = {.data = NULL};
	size_t at = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		reply_ready(&reply, 'I');
		reply_bytes(&reply, "3\0\0\0\4", 5);
		reply_bytes(&reply, NULL, 0);
		reply_command_complete(&reply, "SET");
	}
	for (int i = 0; i < 3000; i++) {
		assert_true(at + FRAME_HEADER <= reply.size);
		assert_int_equal(reply.data[at], "Z3C"[i % 3]);
		at += 1 + frame_be32(reply.data + at + 1);
	}
	assert_int_equal(at, reply.size);
	reply_free(&reply);
	reply_free(&reply);
}

/* A string of `size` bytes that takes little memory: the same pages, mapped again and again. */
static char *long_string(size_t size)
{
	const size_t step = 1 << 20;
	int fd = memfd_create("string", 0);
	char *text = mmap(
	    NULL, size + step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(fd >= 0 && ftruncate(fd, (off_t)step) == 0 && text != MAP_FAILED);
	for (size_t at = 0; at < size; at += step)
		assert_ptr_equal(
		    mmap(text + at, step, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0), text + at);
	memset(text, 'x', step);
	close(fd);
	return text;
}

/* The length word of a message may say one GiB and no more: what would be longer leaves no trace. */
static void test_over_a_gib_is_never_built(void **state)
{
	struct reply reply = {.data = NULL};
	char *text = long_string(FRAME_BYTES);
	const char *values[] = {"short", text, "short"};

	(void)state;
	assert_int_equal(strlen(text), FRAME_BYTES);
	reply_ready(&reply, 'I');
	reply_data_row(&reply, values, 3);
	assert_int_equal(reply.size, 6);
	reply_command_complete(&reply, text);
	assert_int_equal(reply.size, 6);
	reply_ready(&reply, 'I');
	assert_int_equal(reply.size, 12);
	assert_true(reply.room < 1024);
	reply_free(&reply);
	munmap(text, FRAME_BYTES + (1 << 20));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_messages_byte_by_byte),
	    cmocka_unit_test(test_errors_leave_out_what_is_not_said),
	    cmocka_unit_test(test_appends_whole_messages),
	    cmocka_unit_test(test_over_a_gib_is_never_built),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
