/* A child of the proxy whose output is read line by line on the loop: `headgate upgrade` for the console.
 * Over schema/command.h, whose keeper ends it with us. */
#ifndef CTL_CHILD_H
#define CTL_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#define CHILD_LINE_BYTES 65536 /* a longer line is left out */

struct event_base;
struct child;

struct child_request {
	struct event_base *base;
	char *const *argv;              /* NULL-terminated */
	const char *const *environment; /* as command_request's */
	int64_t grace_ns;               /* from child_stop() to SIGKILL */
	/* A line without its end; errors: of stderr. What keeps the command from being executed comes so,
	 * too. */
	void (*line)(const char *line, bool errors, void *arg);
	/* Once, in the loop, after the last line. child_free() is allowed inside. */
	void (*done)(int status, void *arg);
	void *arg;
};
/* NULL: no pipe can be had. */
struct child *child_start(const struct child_request *request);
/* SIGTERM, and SIGKILL after the grace; nothing when it was called before. */
void child_stop(struct child *child);
/* Kills what still runs; `done` will not be called. NULL-safe. */
void child_free(struct child **child);

#endif
