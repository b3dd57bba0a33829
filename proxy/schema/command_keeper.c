/* The keeper: a process between us and the command. It runs after fork() without exec, so it calls nothing
 * that could need a lock another thread held at the fork: no allocation, no stdio. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command_private.h"

enum { CONTROL_FD = 3, OUT_FD = 4, ERR_FD = 5, NULL_FD = 6, FIRST_FREE_FD = 7 };

static void say(enum keeper_word word, int value)
{
	struct keeper_message message = {.word = (int32_t)word, .value = value};
	/* When nobody listens any more the end of the socket says the rest. */
	ssize_t sent = send(CONTROL_FD, &message, sizeof(message), MSG_NOSIGNAL);
	(void)sent;
}

/* Puts the descriptors at fixed numbers and closes all others: our libpq connection above all, which must end
 * with us, not with the keeper. */
static bool settle_descriptors(const struct keeper *keeper)
{
	int devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
	int from[] = {keeper->control, keeper->out, keeper->err, devnull};
	/* First out of the way: they may lie on each other's places. */
	for (int i = 0; i < 4; i++) {
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FIRST_FREE_FD);
		if (from[i] < 0)
			return false;
	}
	for (int i = 0; i < 4; i++) {
		if (dup3(from[i], CONTROL_FD + i, O_CLOEXEC) < 0)
			return false;
	}
	for (int fd = 0; fd < 3; fd++) {
		if (dup2(NULL_FD, fd) < 0)
			return false;
	}
	return close_range(FIRST_FREE_FD, ~0U, 0) == 0;
}

static void become_command(const struct keeper *keeper, pid_t parent, int refusal)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	for (int n = 1; n < NSIG; n++)
		signal(n, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(NULL_FD, 0) == 0 && dup2(OUT_FD, 1) == 1 && dup2(ERR_FD, 2) == 2)
		execvpe(keeper->argv[0], keeper->argv, keeper->environment);
	int error = errno;
	ssize_t written = write(refusal, &error, sizeof(error));
	_exit(written > 0 && error == ENOENT ? 127 : 126);
}

/* Kills every descendant: the group, and, since orphans of the command come to us (subreaper), also those
 * that left the group. Children are found by /proc; where that file is missing the group alone is killed, and
 * the rest is not waited for. */
static void kill_all(pid_t group)
{
	char path[64], list[4096];
	if (group > 0)
		kill(-group, SIGKILL);
	int n = 0;
	const char front[] = "/proc/thread-self/children";
	while ((path[n] = front[n]) != '\0')
		n++;
	for (;;) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t size = fd < 0 ? -1 : read(fd, list, sizeof(list) - 1);
		if (fd >= 0)
			close(fd);
		for (ssize_t i = 0, pid = 0; i < size; i++) {
			if (list[i] >= '0' && list[i] <= '9') {
				pid = pid * 10 + (list[i] - '0');
			} else if (pid > 0) {
				kill((pid_t)pid, SIGKILL);
				pid = 0;
			}
		}
		if (waitpid(-1, NULL, size < 0 ? WNOHANG : 0) <= 0 && errno != EINTR)
			return;
	}
}

/* The command's end: its status is looked at without reaping it, so that its group's number cannot be anybody
 * else's when the group is killed. */
static bool ended(pid_t command, int *status)
{
	siginfo_t info = {.si_pid = 0};
	if (waitid(P_PID, (id_t)command, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != command)
		return false;
	kill(-command, SIGKILL);
	waitpid(command, status, 0);
	return true;
}

static void reap_orphans(pid_t command)
{
	siginfo_t info;
	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0 ||
		    info.si_pid == command)
			return;
		waitpid(info.si_pid, NULL, 0);
	}
}

static void watch(pid_t command, pid_t parent, int signals)
{
	struct pollfd polled[] = {{.fd = CONTROL_FD, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	for (;;) {
		if (poll(polled, 2, -1) < 0)
			continue;
		if (polled[0].revents != 0) {
			char order;
			ssize_t n = recv(CONTROL_FD, &order, 1, MSG_DONTWAIT);
			if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
				break;
			if (n == 1)
				kill(-command, order == KEEPER_TERMINATE ? SIGTERM : SIGKILL);
		}
		if (polled[1].revents != 0) {
			struct signalfd_siginfo info;
			ssize_t n = read(signals, &info, sizeof(info));
			if (n == (ssize_t)sizeof(info) && info.ssi_signo == SIGTERM) {
				if (getppid() != parent)
					break;
				kill(-command, SIGTERM);
			}
			int status;
			reap_orphans(command);
			if (ended(command, &status)) {
				kill_all(0);
				say(KEEPER_ENDED, status);
				return;
			}
		}
	}
	kill_all(command);
}

void keeper_live(const struct keeper *keeper)
{
	pid_t parent = getppid();
	/* A session of its own: the terminal's Ctrl-C and hang-up are for us to pass on, and a command that
	 * asks the terminal for a password fails instead of stopping. */
	setsid();
	prctl(PR_SET_NAME, "headgate-keeper");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (!settle_descriptors(keeper))
		_exit(1);

	sigset_t heard;
	sigemptyset(&heard);
	sigaddset(&heard, SIGCHLD);
	sigaddset(&heard, SIGTERM);
	int signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
	int refusal[2];
	if (signals < 0 || pipe2(refusal, O_CLOEXEC) < 0)
		_exit(1);

	pid_t keeper_pid = getpid();
	pid_t command = fork();
	if (command == 0)
		become_command(keeper, keeper_pid, refusal[1]);
	int error = errno;
	close(refusal[1]);
	close(OUT_FD);
	close(ERR_FD);
	if (command < 0) {
		say(KEEPER_REFUSED, error);
		_exit(1);
	}
	setpgid(command, command);
	if (read(refusal[0], &error, sizeof(error)) == (ssize_t)sizeof(error)) {
		waitpid(command, NULL, 0);
		say(KEEPER_REFUSED, error);
		_exit(0);
	}
	say(KEEPER_STARTED, command);
	watch(command, parent, signals);
	_exit(0);
}
