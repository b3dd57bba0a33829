/* The command of a run: status, environment, output, tail, and above all its death. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "schema/command.h"
#include "schema/command_private.h"

struct outcome {
	struct event_base *base;
	int calls, status;
	char *tail, *error;
};

static void on_done(struct command *command, const struct command_result *result, void *arg)
{
	struct outcome *outcome = arg;
	(void)command;
	outcome->calls++;
	outcome->status = result->status;
	outcome->tail = mem_strdup(result->tail);
	outcome->error = result->error != NULL ? mem_strdup(result->error) : NULL;
	event_base_loopbreak(outcome->base);
}

static struct command *start(
    struct outcome *outcome, char *const *argv, const char *const *environment, int out_fd)
{
	*outcome = (struct outcome){.base = event_base_new()};
	struct command_request request = {
	    .base = outcome->base,
	    .argv = argv,
	    .environment = environment,
	    .out_fd = out_fd,
	    .err_fd = -1,
	    .grace_ns = 200 * CLOCK_MS,
	    .done = on_done,
	    .arg = outcome,
	};
	return command_start(&request);
}

static void finish(struct outcome *outcome, struct command *command)
{
	while (outcome->calls == 0)
		event_base_loop(outcome->base, EVLOOP_ONCE);
	command_free(&command);
	assert_null(command);
	assert_int_equal(outcome->calls, 1);
	event_base_free(outcome->base);
}

static void drop(struct outcome *outcome)
{
	mem_free(&outcome->tail);
	mem_free(&outcome->error);
}

static struct outcome run(const char *script, const char *const *environment)
{
	struct outcome outcome;
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)script, NULL};
	struct command *command = start(&outcome, argv, environment, -1);
	finish(&outcome, command);
	return outcome;
}

static void statuses_are_the_shells(void **state)
{
	(void)state;
	static const struct {
		const char *script;
		int status;
	} table[] = {
	    {"exit 0", 0}, {"exit 3", 3}, {"exit 255", 255}, {"kill -KILL $$", 137}, {"kill -TERM $$", 143}};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct outcome outcome = run(table[i].script, NULL);
		assert_int_equal(outcome.status, table[i].status);
		assert_null(outcome.error);
		drop(&outcome);
	}
}

static void what_cannot_be_executed_says_why(void **state)
{
	(void)state;
	static const struct {
		const char *program;
		int status;
		const char *text;
	} table[] = {
	    {"no-such-tool-anywhere", 127, "No such file"}, {"/etc/passwd", 126, "Permission denied"}};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct outcome outcome;
		char *argv[] = {(char *)(uintptr_t)table[i].program, NULL};
		struct command *command = start(&outcome, argv, NULL, -1);
		finish(&outcome, command);
		assert_int_equal(outcome.status, table[i].status);
		assert_non_null(strstr(outcome.error, table[i].text));
		assert_non_null(strstr(outcome.error, table[i].program));
		drop(&outcome);
	}
}

static void argv_is_not_for_a_shell(void **state)
{
	(void)state;
	struct outcome outcome;
	char *argv[] = {
	    (char[]){"printf"}, (char[]){"%s|%s"}, (char[]){"$HOME; exit 9"}, (char[]){"*"}, NULL};
	struct command *command = start(&outcome, argv, NULL, -1);
	finish(&outcome, command);
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.tail, "$HOME; exit 9|*");
	drop(&outcome);
}

static void environment_is_merged(void **state)
{
	(void)state;
	setenv("KEPT", "kept", 1);
	setenv("OVER", "old", 1);
	setenv("GONE", "old", 1);
	setenv("GONE_NOT", "stays", 1);
	const char *const environment[] = {"OVER=new=1", "GONE", "FRESH=", NULL};
	struct outcome outcome = run("echo $KEPT,$OVER,${GONE-unset},$GONE_NOT,${FRESH-unset}", environment);
	assert_string_equal(outcome.tail, "kept,new=1,unset,stays,\n");
	drop(&outcome);
}

static void stdin_is_empty_and_no_terminal(void **state)
{
	(void)state;
	struct outcome outcome =
	    run("cat; read x </dev/tty && echo terminal; ls -l /proc/self/fd | grep -c -- '->'", NULL);
	/* 0, 1, 2 and the one ls opens: nothing of ours leaks in. */
	assert_non_null(strstr(outcome.tail, "4\n"));
	assert_null(strstr(outcome.tail, "\nterminal\n"));
	drop(&outcome);
}

static void both_streams_are_in_the_tail(void **state)
{
	(void)state;
	struct outcome outcome = run("echo one; echo two >&2", NULL);
	assert_non_null(strstr(outcome.tail, "one\n"));
	assert_non_null(strstr(outcome.tail, "two\n"));
	drop(&outcome);
}

static void the_tail_is_the_end(void **state)
{
	(void)state;
	struct outcome outcome = run("seq 1 200000; printf 'the end'", NULL);
	assert_int_equal(strlen(outcome.tail), COMMAND_TAIL_BYTES);
	assert_string_equal(outcome.tail + COMMAND_TAIL_BYTES - strlen("200000\nthe end"), "200000\nthe end");
	drop(&outcome);
}

static void the_tail_is_text(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t size;
		const char *text;
	} table[] = {
	    {"plain\n\ttab", 10, "plain\n\ttab"},
	    {"a\r\nb\rc", 6, "a\nb\\x0dc"},
	    {"\x1b[31mred", 8, "\\x1b[31mred"},
	    {"nul\0nul", 7, "nul\\x00nul"},
	    {"gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f"},
	    {"\xe2\x82\xac \xf0\x9f\x90\x98", 8, "\xe2\x82\xac \xf0\x9f\x90\x98"},
	    {"\xff\xfe", 2, "\\xff\\xfe"},
	    {"\xc0\xaf", 2, "\\xc0\\xaf"},
	    {"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"},
	    {"\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"},
	    {"cut \xe2\x82", 6, "cut \\xe2\\x82"},
	    {"c1 \xc2\x9b", 5, "c1 \\xc2\\x9b"},
	    {"\x7f", 1, "\\x7f"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		/* However it is split, the answer is the same. */
		for (size_t split = 0; split <= table[i].size; split++) {
			struct tail *tail = mem_zalloc(sizeof(*tail));
			tail_add(tail, table[i].bytes, split);
			tail_add(tail, table[i].bytes + split, table[i].size - split);
			char *text = tail_text(tail);
			assert_string_equal(text, table[i].text);
			mem_free(&text);
			mem_free(&tail);
		}
	}
}

static void a_full_tail_of_junk_stays_bounded(void **state)
{
	(void)state;
	struct tail *tail = mem_zalloc(sizeof(*tail));
	for (int i = 0; i < 5000; i++)
		tail_add(tail, "\xe2\x82\xac\xff\xfe", 5);
	char *text = tail_text(tail);
	assert_in_range(strlen(text), COMMAND_TAIL_BYTES - 4, COMMAND_TAIL_BYTES);
	assert_int_not_equal((unsigned char)text[0] & 0xc0, 0x80);
	mem_free(&text);
	mem_free(&tail);
}

static void output_comes_live(void **state)
{
	(void)state;
	int out[2], go[2];
	char script[128], seen[32] = "";
	assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	/* It ends only after we have seen its first line. */
	snprintf(
	    script, sizeof(script), "echo first; read x </proc/%d/fd/%d; echo last", (int)getpid(), go[0]);
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
	struct outcome outcome;
	struct command *command = start(&outcome, argv, NULL, out[1]);
	while (read(out[0], seen, sizeof(seen)) <= 0)
		event_base_loop(outcome.base, EVLOOP_ONCE);
	assert_string_equal(seen, "first\n");
	assert_int_equal(outcome.calls, 0);
	assert_int_equal(write(go[1], "\n", 1), 1);
	finish(&outcome, command);
	assert_string_equal(outcome.tail, "first\nlast\n");
	assert_int_equal(outcome.status, 0);
	drop(&outcome);
	close(out[0]), close(out[1]), close(go[0]), close(go[1]);
}

static void tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	(*(int *)arg)++;
}

static void a_stuck_reader_stops_the_command_not_the_loop(void **state)
{
	(void)state;
	int out[2], ticks = 0, size = 0, full = 0;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	char *argv[] = {(char[]){"yes"}, NULL};
	struct outcome outcome;
	struct command *command = start(&outcome, argv, NULL, out[1]);
	struct event *timer = event_new(outcome.base, -1, EV_PERSIST, tick, &ticks);
	event_add(timer, &(struct timeval){0, 10000});
	/* Until the pipe to us takes no more, and well past that. */
	while (full < 10) {
		event_base_loop(outcome.base, EVLOOP_ONCE);
		int now = 0;
		assert_int_equal(ioctl(out[0], FIONREAD, &now), 0);
		assert_int_equal(fcntl(out[1], F_GETFL) & O_NONBLOCK, 0);
		full = now == size && now > 0 ? full + 1 : 0;
		size = now;
	}
	while (ticks < 20)
		event_base_loop(outcome.base, EVLOOP_ONCE);
	assert_int_equal(outcome.calls, 0);
	close(out[0]); /* and a reader that has gone away is forgotten */
	signal(SIGPIPE, SIG_IGN);
	for (int until = ticks + 5; ticks < until;)
		event_base_loop(outcome.base, EVLOOP_ONCE);
	assert_int_equal(outcome.calls, 0);
	command_kill(command);
	event_free(timer);
	finish(&outcome, command);
	assert_int_equal(outcome.status, 137);
	drop(&outcome);
	close(out[1]);
}

static void a_stop_is_a_term_and_then_a_kill(void **state)
{
	(void)state;
	static const struct {
		const char *script;
		int status;
	} table[] = {
	    {"trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done", 7},
	    {"trap '' TERM; echo ready; while :; do sleep 0.01; done", 137},
	    {"echo ready; exec sleep 1000", 143},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int out[2];
		char seen[32];
		assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
		char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)table[i].script, NULL};
		struct outcome outcome;
		struct command *command = start(&outcome, argv, NULL, out[1]);
		while (read(out[0], seen, sizeof(seen)) <= 0)
			event_base_loop(outcome.base, EVLOOP_ONCE);
		command_stop(command);
		finish(&outcome, command);
		assert_int_equal(outcome.status, table[i].status);
		drop(&outcome);
		close(out[0]), close(out[1]);
	}
}

static void a_second_stop_does_not_wait(void **state)
{
	(void)state;
	int out[2];
	char seen[32];
	assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"},
	    (char[]){"trap '' TERM; echo ready; while :; do sleep 0.01; done"}, NULL};
	struct outcome outcome = {.base = event_base_new()};
	struct command_request request = {
	    .base = outcome.base,
	    .argv = argv,
	    .out_fd = out[1],
	    .err_fd = -1,
	    .grace_ns = 3600 * CLOCK_S,
	    .done = on_done,
	    .arg = &outcome,
	};
	struct command *command = command_start(&request);
	while (read(out[0], seen, sizeof(seen)) <= 0)
		event_base_loop(outcome.base, EVLOOP_ONCE);
	command_stop(command);
	command_stop(command);
	finish(&outcome, command);
	assert_int_equal(outcome.status, 137);
	drop(&outcome);
	close(out[0]), close(out[1]);
}

static void a_stop_right_after_the_start_works(void **state)
{
	(void)state;
	struct outcome outcome;
	char *argv[] = {(char[]){"sleep"}, (char[]){"1000"}, NULL};
	struct command *command = start(&outcome, argv, NULL, -1);
	command_stop(command);
	finish(&outcome, command);
	assert_true(outcome.status == 143 || outcome.status == 137);
	drop(&outcome);
}

/* A tree of processes that hold the write end of a pipe, one of them out of the group: the pipe's end says
 * that all are dead. */
#define TREE    "sleep 1000 & (trap '' TERM HUP; sleep 1000 & wait) & "
#define ESCAPED "setsid sleep 1000 & "

static void wait_for_end(int fd)
{
	char byte[256];
	ssize_t n;
	while ((n = read(fd, byte, sizeof(byte))) != 0) {
		if (n < 0)
			assert_int_equal(errno, EINTR);
	}
}

static void wait_for_ready(int fd)
{
	char byte;
	do
		assert_int_equal(read(fd, &byte, 1), 1);
	while (byte != '\n');
}

/* A shell script whose processes all hold the descriptor as their output, opened through /proc. */
static void tree_script(char *script, size_t size, int fd, const char *more, const char *end)
{
	snprintf(script, size, "exec >/proc/%d/fd/%d 2>&1; " TREE "%s echo ready; %s", (int)getpid(), fd,
	    more, end);
}

static void what_is_left_behind_is_killed(void **state)
{
	(void)state;
	int held[2];
	char script[512];
	assert_int_equal(pipe2(held, O_CLOEXEC), 0);
	tree_script(script, sizeof(script), held[1], ESCAPED, "exit 0");
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
	struct outcome outcome;
	struct command *command = start(&outcome, argv, NULL, -1);
	finish(&outcome, command);
	assert_int_equal(outcome.status, 0);
	close(held[1]);
	wait_for_end(held[0]);
	close(held[0]);
	drop(&outcome);
}

static void freeing_kills(void **state)
{
	(void)state;
	int held[2];
	char script[512];
	assert_int_equal(pipe2(held, O_CLOEXEC), 0);
	tree_script(script, sizeof(script), held[1], ESCAPED, "wait");
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
	struct outcome outcome;
	struct command *command = start(&outcome, argv, NULL, -1);
	wait_for_ready(held[0]);
	command_free(&command);
	assert_int_equal(outcome.calls, 0);
	event_base_free(outcome.base);
	close(held[1]);
	wait_for_end(held[0]);
	close(held[0]);
}

/* A process like a coordinator: starts the tree and loops. Its pid. */
static pid_t coordinator(int held[2], const char *more, pid_t *keeper_of)
{
	int told[2];
	pid_t pid;
	assert_int_equal(pipe2(held, O_CLOEXEC), 0);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char script[512];
		tree_script(script, sizeof(script), held[1], more, "wait");
		char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
		struct outcome outcome;
		struct command *command = start(&outcome, argv, NULL, -1);
		while (outcome.calls == 0 && command_pid(command) == 0)
			event_base_loop(outcome.base, EVLOOP_ONCE);
		char path[64], line[256] = "";
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)command_pid(command));
		FILE *file = fopen(path, "re");
		int keeper = 0;
		if (file == NULL || fgets(line, sizeof(line), file) == NULL ||
		    sscanf(strrchr(line, ')'), ") %*c %d", &keeper) != 1)
			_exit(99);
		fclose(file);
		if (write(told[1], &keeper, sizeof(keeper)) != sizeof(keeper))
			_exit(98);
		while (outcome.calls == 0)
			event_base_loop(outcome.base, EVLOOP_ONCE);
		_exit(outcome.error != NULL ? 42 : 41);
	}
	int keeper = 0;
	close(told[1]);
	assert_int_equal(read(told[0], &keeper, sizeof(keeper)), sizeof(keeper));
	close(told[0]);
	*keeper_of = keeper;
	wait_for_ready(held[0]);
	close(held[1]);
	return pid;
}

static void a_coordinator_killed_takes_the_command_with_it(void **state)
{
	(void)state;
	int held[2];
	pid_t keeper;
	pid_t pid = coordinator(held, ESCAPED, &keeper);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	wait_for_end(held[0]);
	close(held[0]);
}

static void a_keeper_killed_is_noticed(void **state)
{
	(void)state;
	int held[2], status;
	pid_t keeper;
	/* Without a keeper nobody finds what has left the group. */
	pid_t pid = coordinator(held, "", &keeper);
	kill(keeper, SIGKILL);
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	wait_for_end(held[0]);
	close(held[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(statuses_are_the_shells),
	    cmocka_unit_test(what_cannot_be_executed_says_why),
	    cmocka_unit_test(argv_is_not_for_a_shell),
	    cmocka_unit_test(environment_is_merged),
	    cmocka_unit_test(stdin_is_empty_and_no_terminal),
	    cmocka_unit_test(both_streams_are_in_the_tail),
	    cmocka_unit_test(the_tail_is_the_end),
	    cmocka_unit_test(the_tail_is_text),
	    cmocka_unit_test(a_full_tail_of_junk_stays_bounded),
	    cmocka_unit_test(output_comes_live),
	    cmocka_unit_test(a_stuck_reader_stops_the_command_not_the_loop),
	    cmocka_unit_test(a_stop_is_a_term_and_then_a_kill),
	    cmocka_unit_test(a_second_stop_does_not_wait),
	    cmocka_unit_test(a_stop_right_after_the_start_works),
	    cmocka_unit_test(what_is_left_behind_is_killed),
	    cmocka_unit_test(freeing_kills),
	    cmocka_unit_test(a_coordinator_killed_takes_the_command_with_it),
	    cmocka_unit_test(a_keeper_killed_is_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
