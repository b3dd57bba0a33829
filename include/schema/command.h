/* An external command that a run conducts: a migration tool. Asynchronous on the loop.
 *
 * No shell: argv is executed as it is (execvp), with stdin from /dev/null, in a session and process group of
 * its own. A small keeper process stands between: it holds a socket to us, and when we die, by SIGKILL too,
 * or ask for it, it kills the whole group and every other descendant. The same happens to what the command
 * leaves behind when it ends: nothing of a migration goes on after its run.
 *
 * Output is passed on to out_fd and err_fd as it comes (a reader that is slow slows the command, never our
 * loop; one that has gone away is forgotten), and the tail of both together is kept. */
#ifndef SCHEMA_COMMAND_H
#define SCHEMA_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct command;

#define COMMAND_TAIL_BYTES 8192

struct command_result {
	/* As a shell says it: the command's exit status, 128+n when signal n ended it, 127 or 126 when it
	 * could not be executed. */
	int status;
	/* Why it could not be executed, or how its keeper was lost; or NULL. */
	const char *error;
	/* The last COMMAND_TAIL_BYTES of its output, always valid UTF-8 without NUL: other bytes and control
	 * characters (but newline and tab) as \xNN. */
	const char *tail;
};

struct command_request {
	struct event_base *base;
	char *const *argv;              /* NULL-terminated */
	const char *const *environment; /* NULL-terminated "NAME=value", over our own environment; "NAME"
					   alone takes it out; or NULL */
	int out_fd, err_fd;             /* where its output goes; not closed; < 0: nowhere */
	int64_t grace_ns;               /* from command_stop()'s SIGTERM to SIGKILL */
	/* Once, in the loop, never inside command_start(). Strings live during the call. command_free() is
	 * allowed inside. */
	void (*done)(struct command *command, const struct command_result *result, void *arg);
	void *arg;
};

/* Never NULL: what fails is told by `done`. */
struct command *command_start(const struct command_request *request);
/* SIGTERM to the group, SIGKILL after the grace; SIGKILL at once when called again. Nothing once it has
 * ended. */
void command_stop(struct command *command);
/* SIGKILL to the group. */
void command_kill(struct command *command);
/* The command's process (leader of its group), 0 before it is known and after its end. */
pid_t command_pid(const struct command *command);
/* Kills what still runs and waits for the keeper's end; writes what is still to be passed on (this may
 * block). NULL-safe; `done` will not run. */
void command_free(struct command **command);

#endif
