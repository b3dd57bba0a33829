#include "schema/command.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "command_private.h"

#define COMMAND_MAGIC 0x636f6d6du
/* What may wait for a slow reader of ours before we stop reading the command's output. */
#define PASS_HIGH ((size_t)64 * 1024)

enum command_state {
	COMMAND_STARTING,
	COMMAND_RUNNING,
	COMMAND_STOPPING, /* SIGTERM sent, the grace runs */
	COMMAND_KILLED,
	COMMAND_ENDED,
};

/* One way out: the command's pipe, what waits, where it goes. */
struct pass {
	struct command *command;
	int from, to; /* -1: closed; to < 0: nowhere (any more) */
	struct event *readable, *writable;
	struct evbuffer *waiting;
};

struct command {
	unsigned magic;
	enum command_state state;
	struct command_request request;
	int control;
	pid_t keeper, pid;
	struct event *heard, *timer;
	struct pass out, err;
	struct tail tail;
	char *error;
	int status;
};

extern char **environ;

static bool names(const char *variable, const char *name, size_t length)
{
	return strncmp(variable, name, length) == 0 && (variable[length] == '=' || variable[length] == '\0');
}

static char **merged(const char *const *over)
{
	size_t ours = 0, theirs = 0;
	while (environ[ours] != NULL)
		ours++;
	while (over != NULL && over[theirs] != NULL)
		theirs++;
	char **all = mem_alloc((ours + theirs + 1) * sizeof(*all));
	size_t count = 0;
	for (size_t i = 0; i < ours; i++) {
		bool replaced = false;
		for (size_t k = 0; k < theirs && !replaced; k++)
			replaced = names(environ[i], over[k], strcspn(over[k], "="));
		if (!replaced)
			all[count++] = environ[i];
	}
	for (size_t k = 0; k < theirs; k++) {
		if (strchr(over[k], '=') != NULL)
			all[count++] = (char *)(uintptr_t)over[k];
	}
	all[count] = NULL;
	return all;
}

/* Writes what can be written without waiting. O_NONBLOCK is not for us to set: our terminal is shared with
 * the shell that started us. poll() promises a pipe room for PIPE_BUF bytes; a regular file never waits. */
static void pass_write(struct pass *pass)
{
	size_t size;
	while (pass->to >= 0 && (size = evbuffer_get_length(pass->waiting)) > 0) {
		struct pollfd polled = {.fd = pass->to, .events = POLLOUT};
		if (poll(&polled, 1, 0) == 0)
			break;
		size_t part = size < PIPE_BUF ? size : PIPE_BUF;
		ssize_t n = write(pass->to, evbuffer_pullup(pass->waiting, (ev_ssize_t)part), part);
		if (n > 0)
			evbuffer_drain(pass->waiting, (size_t)n);
		else if (n < 0 && errno == EAGAIN)
			break;
		else if (n < 0 && errno != EINTR)
			pass->to = -1;
	}
	if (pass->to < 0)
		evbuffer_drain(pass->waiting, evbuffer_get_length(pass->waiting));
}

/* After any I/O: what to wait for next. */
static void pass_strategy(struct pass *pass)
{
	size_t waiting = evbuffer_get_length(pass->waiting);
	if (waiting > 0 && pass->writable == NULL)
		pass->to = -1; /* what poll() made us wait for can be polled; anything else is gone */
	if (waiting > 0 && pass->writable != NULL)
		event_add(pass->writable, NULL);
	if (pass->readable == NULL)
		return;
	if (waiting < PASS_HIGH)
		event_add(pass->readable, NULL);
	else
		event_del(pass->readable);
}

/* One read; false when there is nothing (more) to read now. */
static bool pass_read(struct pass *pass)
{
	char buffer[16384];
	if (pass->from < 0)
		return false;
	ssize_t n = read(pass->from, buffer, sizeof(buffer));
	if (n > 0) {
		tail_add(&pass->command->tail, buffer, (size_t)n);
		if (pass->to >= 0)
			evbuffer_add(pass->waiting, buffer, (size_t)n);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (pass->readable != NULL)
		event_free(pass->readable);
	pass->readable = NULL;
	close(pass->from);
	pass->from = -1;
	return false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct pass *pass = arg;
	(void)fd, (void)what;
	pass_read(pass);
	pass_write(pass);
	pass_strategy(pass);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct pass *pass = arg;
	(void)fd, (void)what;
	pass_write(pass);
	pass_strategy(pass);
}

static void pass_open(struct pass *pass, struct command *command, int from, int to)
{
	*pass = (struct pass){.command = command, .from = from, .to = to, .waiting = evbuffer_new()};
	if (pass->waiting == NULL)
		log_fatal("out of memory");
	if (to >= 0)
		pass->writable = event_new(command->request.base, to, EV_WRITE, on_writable, pass);
	if (from >= 0) {
		pass->readable =
		    event_new(command->request.base, from, EV_READ | EV_PERSIST, on_readable, pass);
		event_add(pass->readable, NULL);
	}
}

/* The rest is written out even if that blocks: by now nobody else waits for us. */
static void pass_close(struct pass *pass)
{
	if (pass->readable != NULL)
		event_free(pass->readable);
	if (pass->writable != NULL)
		event_free(pass->writable);
	if (pass->from >= 0)
		close(pass->from);
	while (pass->to >= 0 && pass->waiting != NULL && evbuffer_get_length(pass->waiting) > 0) {
		size_t size = evbuffer_get_contiguous_space(pass->waiting);
		ssize_t n = write(pass->to, evbuffer_pullup(pass->waiting, (ev_ssize_t)size), size);
		if (n > 0) {
			evbuffer_drain(pass->waiting, (size_t)n);
		} else if (n < 0 && errno == EAGAIN) {
			struct pollfd polled = {.fd = pass->to, .events = POLLOUT};
			poll(&polled, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			break;
		}
	}
	if (pass->waiting != NULL)
		evbuffer_free(pass->waiting);
	*pass = (struct pass){.from = -1, .to = -1};
}

static void order(struct command *command, enum keeper_order what)
{
	char byte = (char)what;
	ssize_t sent = send(command->control, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)sent; /* a keeper that is gone has killed everything */
}

static void command_enter(struct command *command, enum command_state state)
{
	command->state = state;
	event_del(command->timer);
	switch (state) {
	case COMMAND_STARTING:
	case COMMAND_RUNNING:
		break;
	case COMMAND_STOPPING: {
		struct timeval grace = clock_timeval(command->request.grace_ns);
		order(command, KEEPER_TERMINATE);
		event_add(command->timer, &grace);
		break;
	}
	case COMMAND_KILLED:
		order(command, KEEPER_KILL);
		break;
	case COMMAND_ENDED:
		command->pid = 0;
		if (command->heard != NULL)
			event_del(command->heard);
		/* Every writer is dead, so what is in the pipes now is all there will be. */
		while (pass_read(&command->out))
			;
		while (pass_read(&command->err))
			;
		pass_write(&command->out);
		pass_write(&command->err);
		break;
	}
}

/* `done` may free the command. */
static void finish(struct command *command, int status, const char *error)
{
	char *tail;
	if (command->state == COMMAND_ENDED)
		return;
	command_enter(command, COMMAND_ENDED);
	tail = tail_text(&command->tail);
	struct command_result result = {.status = status, .error = error, .tail = tail};
	command->request.done(command, &result, command->request.arg);
	mem_free(&tail);
}

static void refused(struct command *command, int error)
{
	char *text = mem_printf("cannot execute %s: %s", command->request.argv[0], strerror(error));
	finish(command, error == ENOENT ? 127 : 126, text);
	mem_free(&text);
}

static void on_heard(evutil_socket_t fd, short what, void *arg)
{
	struct command *command = arg;
	struct keeper_message message;
	(void)what;
	if (command->magic != COMMAND_MAGIC)
		log_panic("not a command");
	ssize_t n = recv(fd, &message, sizeof(message), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(message)) {
		/* Killed from outside, or it could not begin. Its child dies with it (PR_SET_PDEATHSIG); the
		 * rest of the group is ours to kill. */
		if (command->pid > 0)
			kill(-command->pid, SIGKILL);
		finish(command, 128 + SIGKILL,
		    "the process that keeps the command was lost; the command was killed");
		return;
	}
	switch ((enum keeper_word)message.word) {
	case KEEPER_STARTED:
		command->pid = message.value;
		if (command->state == COMMAND_STARTING)
			command_enter(command, COMMAND_RUNNING);
		else /* asked to stop before there was anybody to tell: say it again */
			order(command, command->state == COMMAND_KILLED ? KEEPER_KILL : KEEPER_TERMINATE);
		break;
	case KEEPER_REFUSED:
		refused(command, message.value);
		break;
	case KEEPER_ENDED:
		finish(command,
		    WIFSIGNALED(message.value) ? 128 + WTERMSIG(message.value) : WEXITSTATUS(message.value),
		    NULL);
		break;
	}
}

/* The grace is over; or, right after the start, there was no keeper to start with. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct command *command = arg;
	(void)fd, (void)what;
	if (command->keeper < 0)
		refused(command, command->status);
	else
		command_enter(command, COMMAND_KILLED);
}

static pid_t begin_keeper(struct command *command, int sockets[2], int out[2], int err[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0 || pipe2(out, O_CLOEXEC) < 0 ||
	    pipe2(err, O_CLOEXEC) < 0)
		return -1;
	char **environment = merged(command->request.environment);
	pid_t pid = fork();
	if (pid == 0) {
		struct keeper keeper = {
		    .control = sockets[1],
		    .out = out[1],
		    .err = err[1],
		    .argv = command->request.argv,
		    .environment = environment,
		};
		keeper_live(&keeper);
	}
	int error = errno;
	mem_free(&environment);
	errno = error;
	return pid;
}

struct command *command_start(const struct command_request *request)
{
	struct command *command = mem_zalloc(sizeof(*command));
	command->magic = COMMAND_MAGIC;
	command->request = *request;
	command->timer = event_new(request->base, -1, 0, on_timer, command);
	if (command->timer == NULL)
		log_fatal("out of memory");

	int sockets[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
	command->keeper = begin_keeper(command, sockets, out, err);
	command->status = command->keeper < 0 ? errno : 0;
	int theirs[] = {sockets[1], out[1], err[1]};
	for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
		if (theirs[i] >= 0)
			close(theirs[i]);
	}
	command->control = sockets[0];
	if (out[0] >= 0)
		evutil_make_socket_nonblocking(out[0]);
	if (err[0] >= 0)
		evutil_make_socket_nonblocking(err[0]);
	pass_open(&command->out, command, out[0], request->out_fd);
	pass_open(&command->err, command, err[0], request->err_fd);
	command_enter(command, COMMAND_STARTING);
	if (command->keeper < 0) {
		struct timeval now = {0, 0};
		event_add(command->timer, &now);
		return command;
	}
	command->heard = event_new(request->base, command->control, EV_READ | EV_PERSIST, on_heard, command);
	event_add(command->heard, NULL);
	return command;
}

void command_stop(struct command *command)
{
	if (command->state == COMMAND_STARTING || command->state == COMMAND_RUNNING)
		command_enter(command, COMMAND_STOPPING);
	else if (command->state == COMMAND_STOPPING)
		command_enter(command, COMMAND_KILLED);
}

void command_kill(struct command *command)
{
	if (command->state != COMMAND_ENDED)
		command_enter(command, COMMAND_KILLED);
}

pid_t command_pid(const struct command *command)
{
	return command->pid;
}

void command_free(struct command **place)
{
	struct command *command = *place;
	*place = NULL;
	if (command == NULL)
		return;
	if (command->magic != COMMAND_MAGIC)
		log_panic("not a command");
	command->magic = 0;
	if (command->heard != NULL)
		event_free(command->heard);
	event_free(command->timer);
	/* The end of the socket makes the keeper kill everything and leave. */
	if (command->control >= 0)
		close(command->control);
	while (command->keeper > 0 && waitpid(command->keeper, NULL, 0) < 0 && errno == EINTR)
		;
	pass_close(&command->out);
	pass_close(&command->err);
	mem_free(&command);
}
