/* refuse: how fast are wrong clients turned away? Keeps CONCURRENCY connections in the making for SECONDS:
 * each connects, sends its startup packet, reads the ErrorResponse and closes, as libpq does.
 *
 *     refuse HOST PORT USER DATABASE OPTIONS CONCURRENCY SECONDS SQLSTATE
 *
 * Prints {"refused": N, "other": N, "seconds": S, "said": "..."}: refused with that SQLSTATE, ended
 * otherwise, and the first answer that was not as expected (else the first that was). Clients come from
 * 127.0.0.2 to 127.0.0.9 in turn, so that closed connections do not use up one address's ports. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { MOST = 1024 };

struct attempt {
	int fd;
	int sent;
	struct wire_reader reader;
};

struct load {
	int epoll;
	struct sockaddr_in to;
	unsigned char packet[1024];
	size_t packet_size;
	const char *sqlstate;
	int64_t started, refused, other;
	char said[512];
	int said_wrong;
};

static void begin(struct load *load, struct attempt *attempt)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	int on = 1;

	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(load->started++ % 8));
	attempt->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (attempt->fd < 0)
		wire_die("socket: %s", strerror(errno));
	setsockopt(attempt->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	if (bind(attempt->fd, (struct sockaddr *)&from, sizeof from) < 0)
		wire_die("bind: %s", strerror(errno));
	if (connect(attempt->fd, (struct sockaddr *)&load->to, sizeof load->to) < 0 && errno != EINPROGRESS)
		wire_die("connect: %s", strerror(errno));
	attempt->reader.start = attempt->reader.end = 0;
	/* On loopback the connection stands already, unless the listener's queue is full: then EPOLLOUT says
	 * when. */
	attempt->sent =
	    send(attempt->fd, load->packet, load->packet_size, MSG_NOSIGNAL) == (ssize_t)load->packet_size;
	struct epoll_event event = {.events = attempt->sent ? EPOLLIN : EPOLLOUT, .data.ptr = attempt};
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, attempt->fd, &event) < 0)
		wire_die("epoll_ctl: %s", strerror(errno));
}

static void conclude(
    struct load *load, struct attempt *attempt, const struct wire_message *error, const char *text)
{
	int expected = error && strcmp(wire_error_field(error, 'C'), load->sqlstate) == 0;

	if (expected)
		load->refused++;
	else
		load->other++;
	if (!load->said[0] || (!expected && !load->said_wrong)) {
		load->said_wrong = !expected;
		snprintf(load->said, sizeof load->said, "%s %s", error ? wire_error_field(error, 'C') : "",
		    error ? wire_error_field(error, 'M') : text);
	}
	close(attempt->fd);
	attempt->fd = -1;
}

static void on_event(struct load *load, struct attempt *attempt)
{
	struct wire_message message;

	if (!attempt->sent) {
		if (send(attempt->fd, load->packet, load->packet_size, MSG_NOSIGNAL) !=
		    (ssize_t)load->packet_size) {
			conclude(load, attempt, NULL, strerror(errno));
			return;
		}
		attempt->sent = 1;
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = attempt};
		epoll_ctl(load->epoll, EPOLL_CTL_MOD, attempt->fd, &event);
		return;
	}
	long got = wire_fill(&attempt->reader, attempt->fd);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		conclude(load, attempt, NULL, got < 0 ? strerror(errno) : "closed without a word");
		return;
	}
	if (wire_next(&attempt->reader, &message))
		conclude(load, attempt, message.type == 'E' ? &message : NULL, "let in");
}

int main(int argc, char **argv)
{
	static struct attempt attempts[MOST];
	static struct load load;

	if (argc != 9)
		wire_die("usage: refuse HOST PORT USER DATABASE OPTIONS CONCURRENCY SECONDS SQLSTATE");
	int many = atoi(argv[6]);
	if (many < 1 || many > MOST)
		wire_die("concurrency must be 1 to %d", MOST);
	load.sqlstate = argv[8];
	load.to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
	if (inet_pton(AF_INET, argv[1], &load.to.sin_addr) != 1)
		wire_die("not an IPv4 address: %s", argv[1]);
	load.packet_size =
	    wire_startup(load.packet, sizeof load.packet, argv[3], argv[4], argv[5][0] ? argv[5] : NULL);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);

	int64_t start = wire_now_ns(), now = start;
	int64_t until = start + (int64_t)(atof(argv[7]) * 1e9), patience = until + 5000000000;
	int open = many;
	for (int i = 0; i < many; i++)
		begin(&load, &attempts[i]);
	while (open > 0 && now < patience) {
		struct epoll_event events[256];
		int ready = epoll_wait(load.epoll, events, 256, 100);
		now = wire_now_ns();
		for (int i = 0; i < ready; i++) {
			struct attempt *attempt = events[i].data.ptr;
			on_event(&load, attempt);
			if (attempt->fd >= 0)
				continue;
			if (now < until)
				begin(&load, attempt);
			else
				open--;
		}
	}
	for (char *at = load.said; *at; at++)
		if ((unsigned char)*at < 32 || *at == '"' || *at == '\\')
			*at = '\'';
	printf("{\"refused\": %lld, \"other\": %lld, \"seconds\": %.6f, \"said\": \"%s\"}\n",
	    (long long)load.refused, (long long)load.other + open, (double)(now - start) / 1e9, load.said);
	return 0;
}
