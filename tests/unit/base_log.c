/* Log lines: what a hostile text can do to them (nothing), the shape of both formats, errno kept. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static char caught[20000];

/* Runs one log call with stderr turned into a file, and leaves what it wrote in `caught`. */
static void catch_line(enum log_level level, const char *object, const char *message)
{
	FILE *file = tmpfile();
	assert_non_null(file);
	int saved = dup(STDERR_FILENO);
	assert_true(saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
	errno = ENOTEMPTY;
	log_line(level, object, "%s", message);
	int kept = errno;
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	size_t n = fread(caught, 1, sizeof(caught) - 1, file);
	caught[n] = '\0';
	fclose(file);
	assert_int_equal(kept, ENOTEMPTY);
}

struct example {
	const char *object, *message, *text, *json;
};

static const struct example examples[] = {
    {"", "hello", "hello", "\"message\":\"hello\""},
    {"shop session=42", "refused: behind", "shop session=42: refused: behind",
	"\"object\":\"shop session=42\",\"message\":\"refused: behind\""},
    {"", "a\nb\r\tc", "a\\nb\\x0d\\tc", "\"message\":\"a\\nb\\u000d\\tc\""},
    {"a\nb", "x", "a\\nb: x", "\"object\":\"a\\nb\",\"message\":\"x\""},
    {"", "say \"hi\" \\o/", "say \"hi\" \\o/", "\"message\":\"say \\\"hi\\\" \\\\o/\""},
    {"", "\x1b[31mred\x7f", "\\x1b[31mred\\x7f", "\"message\":\"\\u001b[31mred\\u007f\""},
    {"", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98",
	"\"message\":\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98\""},
    {"",
	"\xc2\x9b"
	"2J",
	"\\x9b2J", "\"message\":\"\\u009b2J\""},
    {"", "\xff\xfe", "\\xff\\xfe", "\"message\":\"\\\\xff\\\\xfe\""},
    {"", "\xc0\xaf", "\\xc0\\xaf", "\"message\":\"\\\\xc0\\\\xaf\""},
    {"", "\xed\xa0\x80", "\\xed\\xa0\\x80", "\"message\":\"\\\\xed\\\\xa0\\\\x80\""},
    {"", "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\"message\":\"\\\\xf4\\\\x90\\\\x80\\\\x80\""},
    {"", "cut \xe2\x82", "cut \\xe2\\x82", "\"message\":\"cut \\\\xe2\\\\x82\""},
};

static void test_text(void **state)
{
	(void)state;
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO, LOG_TARGET_STDERR);
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		catch_line(LOG_LEVEL_INFO, examples[i].object, examples[i].message);
		/* 2026-03-01T12:00:00.123Z info    ... */
		assert_int_equal(caught[10], 'T');
		assert_int_equal(caught[23], 'Z');
		assert_memory_equal(caught + 24, " info    ", 9);
		size_t n = strlen(caught);
		assert_int_equal(caught[n - 1], '\n');
		caught[n - 1] = '\0';
		assert_string_equal(caught + 33, examples[i].text);
	}
}

static void test_json(void **state)
{
	(void)state;
	log_setup(LOG_FORMAT_JSON, LOG_LEVEL_INFO, LOG_TARGET_STDERR);
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		char want[400];
		catch_line(LOG_LEVEL_WARNING, examples[i].object, examples[i].message);
		assert_memory_equal(caught, "{\"time\":\"", 9);
		snprintf(want, sizeof(want), "\",\"level\":\"warning\",%s}\n", examples[i].json);
		assert_string_equal(caught + 9 + 24, want);
	}
}

static void test_long(void **state)
{
	(void)state;
	static char message[10000];
	memset(message, 1, sizeof(message) - 1);
	log_setup(LOG_FORMAT_JSON, LOG_LEVEL_INFO, LOG_TARGET_STDERR);
	catch_line(LOG_LEVEL_INFO, message, message);
	size_t n = strlen(caught);
	assert_true(n > 4000 && n <= 8192);
	assert_string_equal(caught + n - 6, "...\"}\n");
	assert_non_null(strstr(caught, "...\",\"message\":\"..."));
}

static void test_threshold(void **state)
{
	(void)state;
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_WARNING, LOG_TARGET_STDERR);
	assert_false(log_wants(LOG_LEVEL_INFO));
	assert_true(log_wants(LOG_LEVEL_ERROR));
	catch_line(LOG_LEVEL_INFO, "", "quiet");
	assert_string_equal(caught, "");
	catch_line(LOG_LEVEL_ERROR, "", "loud");
	assert_non_null(strstr(caught, "error   loud\n"));
}

static void test_ends(void **state)
{
	(void)state;
	for (int panic = 0; panic < 2; panic++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			int null = open("/dev/null", O_WRONLY);
			if (null < 0 || dup2(null, STDERR_FILENO) < 0)
				_exit(90);
			if (panic)
				log_panic("impossible %d", 1);
			log_fatal("no %s", "space");
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (panic)
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
		else
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_json),
	    cmocka_unit_test(test_long),
	    cmocka_unit_test(test_threshold),
	    cmocka_unit_test(test_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
