#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void wire_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

int64_t wire_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int wire_connect(const char *host, unsigned port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_un un;
	} address;
	socklen_t size;

	memset(&address, 0, sizeof address);
	if (host[0] == '/') {
		address.un.sun_family = AF_UNIX;
		int wrote =
		    snprintf(address.un.sun_path, sizeof address.un.sun_path, "%s/.s.PGSQL.%u", host, port);
		if (wrote < 0 || (size_t)wrote >= sizeof address.un.sun_path)
			wire_die("socket path too long: %s", host);
		size = sizeof address.un;
	} else {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons((uint16_t)port);
		if (inet_pton(AF_INET, host, &address.in.sin_addr) != 1)
			wire_die("not an IPv4 address: %s", host);
		size = sizeof address.in;
	}
	int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, &address.any, size) < 0)
		wire_die("connect to %s port %u: %s", host, port, strerror(errno));
	if (host[0] != '/') {
		int on = 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	}
	return fd;
}

static void put32(unsigned char *out, uint32_t value)
{
	value = htonl(value);
	memcpy(out, &value, sizeof value);
}

static uint32_t get32(const unsigned char *in)
{
	uint32_t value;

	memcpy(&value, in, sizeof value);
	return ntohl(value);
}

/* Appends a string with its NUL; ends the program where it does not fit. */
static size_t put_text(unsigned char *out, size_t room, size_t at, const char *text)
{
	size_t size = strlen(text) + 1;

	if (at > room || size > room - at)
		wire_die("message too long");
	memcpy(out + at, text, size);
	return at + size;
}

size_t wire_startup(
    unsigned char *out, size_t room, const char *user, const char *database, const char *options)
{
	const char *pairs[][2] = {{"user", user}, {"database", database}, {"options", options}};
	size_t at = 8;

	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		if (!pairs[i][1])
			continue;
		at = put_text(out, room, at, pairs[i][0]);
		at = put_text(out, room, at, pairs[i][1]);
	}
	at = put_text(out, room, at, "");
	put32(out, (uint32_t)at);
	put32(out + 4, 3 << 16);
	return at;
}

size_t wire_query(unsigned char *out, size_t room, const char *sql)
{
	size_t at = put_text(out, room, 5, sql);

	out[0] = 'Q';
	put32(out + 1, (uint32_t)(at - 1));
	return at;
}

long wire_fill(struct wire_reader *reader, int fd)
{
	if (reader->start == reader->end) {
		reader->start = reader->end = 0;
	} else if (reader->start > 0) {
		memmove(reader->room, reader->room + reader->start, reader->end - reader->start);
		reader->end -= reader->start;
		reader->start = 0;
	}
	if (reader->end == sizeof reader->room)
		wire_die("an answer is longer than %d bytes", WIRE_ROOM);
	long got = recv(fd, reader->room + reader->end, sizeof reader->room - reader->end, 0);
	if (got > 0)
		reader->end += (size_t)got;
	return got;
}

int wire_next(struct wire_reader *reader, struct wire_message *message)
{
	size_t have = reader->end - reader->start;
	const unsigned char *head = reader->room + reader->start;

	if (have < 5)
		return 0;
	uint32_t length = get32(head + 1);
	if (length < 4 || length > WIRE_ROOM)
		wire_die("message '%c' of %u bytes", head[0], length);
	if (have < (size_t)length + 1)
		return 0;
	*message = (struct wire_message){.type = (char)head[0], .body = head + 5, .size = length - 4};
	reader->start += (size_t)length + 1;
	return 1;
}

const char *wire_error_field(const struct wire_message *error, char field)
{
	size_t at = 0;

	while (at < error->size && error->body[at]) {
		const unsigned char *text = error->body + at + 1;
		const unsigned char *end = memchr(text, 0, error->size - at - 1);
		if (!end)
			break;
		if ((char)error->body[at] == field)
			return (const char *)text;
		at = (size_t)(end - error->body) + 1;
	}
	return "";
}

void wire_first_column(const struct wire_message *row, char *out, size_t room)
{
	size_t size = 0;

	if (row->size >= 6) {
		uint32_t said = get32(row->body + 2);
		if (said != UINT32_MAX && said <= row->size - 6)
			size = said;
	}
	if (size >= room)
		size = room - 1;
	memcpy(out, row->body + 6, size);
	out[size] = 0;
}

void wire_send_all(int fd, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	while (size > 0) {
		ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
		if (sent < 0)
			wire_die("send: %s", strerror(errno));
		at += sent;
		size -= (size_t)sent;
	}
}

/* Waits for the next whole message. */
static struct wire_message take(int fd, struct wire_reader *reader, const char *doing)
{
	struct wire_message message;

	while (!wire_next(reader, &message)) {
		long got = wire_fill(reader, fd);
		if (got <= 0)
			wire_die("%s: %s", doing, got < 0 ? strerror(errno) : "the connection was closed");
	}
	if (message.type == 'E')
		wire_die(
		    "%s: %s %s", doing, wire_error_field(&message, 'C'), wire_error_field(&message, 'M'));
	return message;
}

void wire_login(
    int fd, struct wire_reader *reader, const char *user, const char *database, const char *options)
{
	unsigned char packet[1024];

	wire_send_all(fd, packet, wire_startup(packet, sizeof packet, user, database, options));
	while (take(fd, reader, "login").type != 'Z')
		;
}

void wire_ask(int fd, struct wire_reader *reader, const char *sql, char *out, size_t room)
{
	unsigned char packet[1024];
	struct wire_message message;

	out[0] = 0;
	wire_send_all(fd, packet, wire_query(packet, sizeof packet, sql));
	do {
		message = take(fd, reader, sql);
		if (message.type == 'D')
			wire_first_column(&message, out, room);
	} while (message.type != 'Z');
}
