#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/listen.h"

/* How many clients one wake-up takes before others get their turn. */
#define ACCEPT_BURST 64
#define ACCEPT_PAUSE (100 * CLOCK_MS)

struct listening {
	struct listener *listener;
	int fd;
	struct event *readable, *pause;
	listen_accepted *accepted;
	void *arg;
	dev_t device; /* of the unix socket's file, to know it for ours */
	ino_t inode;
};

struct listener *listener_new(struct conf *conf, const struct conf_listen *section, struct tls_context *tls)
{
	struct listener *listener = mem_zalloc(sizeof *listener);
	atomic_init(&listener->references, 1);
	listener->conf = conf_ref(conf);
	listener->section = section;
	listener->tls = tls_context_ref(tls);
	return listener;
}

struct listener *listener_ref(struct listener *listener)
{
	atomic_fetch_add_explicit(&listener->references, 1, memory_order_relaxed);
	return listener;
}

void listener_unref(struct listener **place)
{
	struct listener *listener = *place;
	*place = NULL;
	if (listener == NULL ||
	    atomic_fetch_sub_explicit(&listener->references, 1, memory_order_acq_rel) != 1)
		return;
	tls_context_unref(&listener->tls);
	conf_unref(&listener->conf);
	mem_free(&listener);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct listening *l = arg;
	event_add(l->readable, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct listening *l = arg;
	for (int i = 0; i < ACCEPT_BURST; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client >= 0) {
			l->accepted(client, l->listener, l->arg);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == ECONNABORTED || errno == EINTR)
			continue; /* that one has left already */
		/* Out of descriptors or memory: the waiting client stays in the backlog, and spinning on it
		 * would help nobody. */
		log_error(l->listener->section->address.text,
		    "cannot accept a client: %s; trying again in 100 ms", strerror(errno));
		event_del(l->readable);
		struct timeval tv = clock_timeval(ACCEPT_PAUSE);
		event_add(l->pause, &tv);
		return;
	}
}

/* A socket file that nobody answers on is left over from a crash. */
static bool unix_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bool stale =
	    connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static bool listen_unix(struct listening *l, const struct conf_listen *section)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(section->address.path) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return false;
	}
	strcpy(address.sun_path, section->address.path);
	struct stat st;
	if (lstat(address.sun_path, &st) == 0 && S_ISSOCK(st.st_mode) && unix_stale(&address))
		unlink(address.sun_path);

	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&address, sizeof address) < 0)
		return false;
	if (stat(address.sun_path, &st) == 0) {
		l->device = st.st_dev;
		l->inode = st.st_ino;
	}
	return chmod(address.sun_path, (mode_t)section->unix_mode) == 0 &&
	    listen(l->fd, section->backlog) == 0;
}

static bool listen_tcp(struct listening *l, const struct conf_listen *section, const char **why)
{
	char port[8];
	snprintf(port, sizeof port, "%u", (unsigned)section->address.port);
	struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM},
			*found = NULL;
	int error = getaddrinfo(section->address.host, port, &hints, &found);
	if (error != 0) {
		*why = gai_strerror(error);
		return false;
	}
	int on = 1, off = 0;
	bool ok = false;
	l->fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd >= 0 && setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0) {
		if (found->ai_family == AF_INET6) /* [::] takes IPv4 too */
			setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
		ok = bind(l->fd, found->ai_addr, found->ai_addrlen) == 0 &&
		    listen(l->fd, section->backlog) == 0;
	}
	int kept = errno;
	freeaddrinfo(found);
	errno = kept;
	return ok;
}

struct listening *listen_start(struct event_base *base, struct listener *listener, listen_accepted *accepted,
    void *arg, char *error, unsigned error_size)
{
	const struct conf_listen *section = listener->section;
	struct listening *l = mem_zalloc(sizeof *l);
	l->listener = listener_ref(listener);
	l->accepted = accepted;
	l->arg = arg;
	l->fd = -1;
	const char *why = NULL;
	bool ok = section->address.path != NULL ? listen_unix(l, section) : listen_tcp(l, section, &why);
	if (!ok) {
		snprintf(error, error_size, "cannot listen on %s: %s", section->address.text,
		    why != NULL ? why : strerror(errno));
		listen_stop(&l);
		return NULL;
	}
	l->readable = event_new(base, l->fd, EV_READ | EV_PERSIST, on_readable, l);
	l->pause = event_new(base, -1, 0, on_pause_over, l);
	if (l->readable == NULL || l->pause == NULL || event_add(l->readable, NULL) < 0)
		log_fatal("cannot watch a listening socket");
	return l;
}

void listen_replace(struct listening *l, struct listener *listener)
{
	listener_ref(listener);
	listener_unref(&l->listener);
	l->listener = listener;
}

const struct listener *listen_listener(const struct listening *l)
{
	return l->listener;
}

void listen_stop(struct listening **place)
{
	struct listening *l = *place;
	if (l == NULL)
		return;
	if (l->readable != NULL)
		event_free(l->readable);
	if (l->pause != NULL)
		event_free(l->pause);
	if (l->fd >= 0)
		close(l->fd);
	const char *path = l->listener->section->address.path;
	struct stat st;
	if (path != NULL && l->inode != 0 && stat(path, &st) == 0 && st.st_dev == l->device &&
	    st.st_ino == l->inode)
		unlink(path);
	listener_unref(&l->listener);
	mem_free(place);
}
