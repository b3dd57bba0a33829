#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/mem.h"
#include "schema/command.h"

/* More than schema/command keeps back: see on_command(). */
#define PIPE_BYTES (512 * 1024)

struct channel {
	struct child *child;
	int fd;    /* our end; -1: ended */
	int other; /* the child's; -1: closed */
	struct event *readable;
	bool errors, long_line;
	char *line;
	size_t size;
};

struct child {
	struct child_request request;
	struct command *command;
	struct channel out, err;
	int status;
	bool stopped, over;
};

static void take_bytes(struct channel *channel, const char *bytes, size_t size)
{
	const struct child_request *request = &channel->child->request;
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '\n') {
			channel->line[channel->size] = '\0';
			if (!channel->long_line)
				request->line(channel->line, channel->errors, request->arg);
			channel->size = 0;
			channel->long_line = false;
		} else if (channel->size + 1 < CHILD_LINE_BYTES) {
			channel->line[channel->size++] = bytes[i] ? bytes[i] : '?';
		} else {
			channel->long_line = true;
		}
	}
}

static void channel_close(struct channel *channel)
{
	if (channel->readable)
		event_free(channel->readable);
	channel->readable = NULL;
	if (channel->fd >= 0)
		close(channel->fd);
	if (channel->other >= 0)
		close(channel->other);
	channel->fd = channel->other = -1;
	mem_free(&channel->line);
}

/* What is in the pipe now. False: it has ended. */
static bool channel_read(struct channel *channel)
{
	char bytes[4096];
	for (;;) {
		ssize_t got = read(channel->fd, bytes, sizeof bytes);
		if (got > 0)
			take_bytes(channel, bytes, (size_t)got);
		else if (got == 0 || (errno != EAGAIN && errno != EINTR))
			return false;
		else if (errno == EAGAIN)
			return true;
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *channel = arg;
	struct child *child = channel->child;
	(void)fd, (void)what;
	if (channel_read(channel))
		return;
	channel_close(channel);
	if (child->over && child->out.fd < 0 && child->err.fd < 0)
		child->request.done(child->status, child->request.arg);
}

/* What the command has still to pass on goes into the pipes, which are read by this very thread: they are
 * emptied before, and hold more than it keeps. Then their other ends are closed, and they run dry. */
static void on_command(struct command *command, const struct command_result *result, void *arg)
{
	struct child *child = arg;
	(void)command;
	child->status = result->status;
	channel_read(&child->out);
	channel_read(&child->err);
	if (result->error)
		child->request.line(result->error, true, child->request.arg);
	command_free(&child->command);
	close(child->out.other);
	close(child->err.other);
	child->out.other = child->err.other = -1;
	child->over = true;
}

static bool channel_open(struct channel *channel, struct child *child, bool errors)
{
	int ends[2];
	*channel = (struct channel){.child = child, .fd = -1, .other = -1, .errors = errors};
	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	channel->fd = ends[0];
	channel->other = ends[1];
	channel->line = mem_alloc(CHILD_LINE_BYTES);
	channel->readable =
	    event_new(child->request.base, channel->fd, EV_READ | EV_PERSIST, on_readable, channel);
	/* Our end reads without waiting. */
	return fcntl(channel->fd, F_SETFL, O_NONBLOCK) == 0 &&
	    fcntl(channel->other, F_SETPIPE_SZ, PIPE_BYTES) >= 0 && channel->readable &&
	    event_add(channel->readable, NULL) == 0;
}

struct child *child_start(const struct child_request *request)
{
	struct child *child = mem_zalloc(sizeof *child);
	child->request = *request;
	bool opened = channel_open(&child->out, child, false);
	opened = channel_open(&child->err, child, true) && opened;
	if (!opened) {
		child_free(&child);
		return NULL;
	}
	child->command = command_start(&(struct command_request){
	    .base = request->base,
	    .argv = request->argv,
	    .environment = request->environment,
	    .out_fd = child->out.other,
	    .err_fd = child->err.other,
	    .grace_ns = request->grace_ns,
	    .done = on_command,
	    .arg = child,
	});
	return child;
}

void child_stop(struct child *child)
{
	if (child->command && !child->stopped)
		command_stop(child->command);
	child->stopped = true;
}

void child_free(struct child **at)
{
	struct child *child = *at;
	*at = NULL;
	if (!child)
		return;
	/* Nobody reads any more, so nothing of what is left may be waited for. */
	if (child->out.fd >= 0)
		close(child->out.fd);
	if (child->err.fd >= 0)
		close(child->err.fd);
	child->out.fd = child->err.fd = -1;
	command_free(&child->command);
	channel_close(&child->out);
	channel_close(&child->err);
	mem_free(&child);
}
