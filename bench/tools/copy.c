/* copy: streams COPY through one connection for a while and says how many bytes passed.
 *
 *     copy HOST PORT USER DATABASE OPTIONS out|in SECONDS SQL WIDTH
 *
 * out runs the statement again and again, and reads; in runs it once and sends one-column rows of WIDTH bytes
 * in CopyData messages of about 8 KiB (as psql sends them). Prints {"bytes": N, "seconds": S}; bytes are
 * those on the wire. */
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { CHUNK = 65536, MESSAGE = 8192 };

/* Follows message borders through the stream without gathering bodies. */
struct stream {
	unsigned char head[5];
	size_t have; /* bytes of the head */
	size_t rest; /* bytes of the body still to come */
	int ready;   /* ReadyForQuery seen */
	char failure[256];
	size_t failure_size;
	int in_error;
};

static void stream_eat(struct stream *stream, const unsigned char *bytes, size_t size)
{
	while (size > 0) {
		if (stream->rest > 0) {
			size_t part = size < stream->rest ? size : stream->rest;
			if (stream->in_error) {
				size_t room = sizeof stream->failure - 1 - stream->failure_size;
				size_t kept = part < room ? part : room;
				memcpy(stream->failure + stream->failure_size, bytes, kept);
				stream->failure_size += kept;
			}
			bytes += part;
			size -= part;
			stream->rest -= part;
			continue;
		}
		stream->head[stream->have++] = *bytes++;
		size--;
		if (stream->have < 5)
			continue;
		stream->have = 0;
		stream->rest = ((size_t)stream->head[1] << 24 | (size_t)stream->head[2] << 16 |
				   (size_t)stream->head[3] << 8 | stream->head[4]) -
		    4;
		stream->in_error = stream->head[0] == 'E';
		stream->ready |= stream->head[0] == 'Z';
	}
}

/* Reads until ReadyForQuery and its last byte; returns the bytes read. */
static int64_t drain(int fd, unsigned char *chunk)
{
	struct stream stream = {.ready = 0};
	int64_t total = 0;

	while (!stream.ready || stream.rest > 0) {
		ssize_t got = recv(fd, chunk, CHUNK, 0);
		if (got <= 0)
			wire_die("the connection was closed in the middle of COPY");
		stream_eat(&stream, chunk, (size_t)got);
		total += got;
	}
	if (stream.failure_size > 0) {
		for (size_t i = 0; i < stream.failure_size; i++)
			if (!stream.failure[i])
				stream.failure[i] = ' ';
		wire_die("COPY failed: %s", stream.failure);
	}
	return total;
}

static int64_t copy_out(int fd, const char *sql, int64_t until, unsigned char *chunk)
{
	int64_t total = 0;

	while (wire_now_ns() < until) {
		wire_send_all(fd, chunk, wire_query(chunk, CHUNK, sql));
		total += drain(fd, chunk);
	}
	return total;
}

static int64_t copy_in(
    int fd, struct wire_reader *reader, const char *sql, int64_t until, size_t width, unsigned char *chunk)
{
	static unsigned char message[5 + MESSAGE];
	size_t size = 5 + MESSAGE / width * width;
	uint32_t length = (uint32_t)size - 1;
	struct wire_message answer;
	int64_t total = 0;

	message[0] = 'd';
	for (int i = 0; i < 4; i++)
		message[1 + i] = (unsigned char)(length >> (24 - 8 * i));
	for (size_t at = 5; at < size; at++)
		message[at] = (at - 4) % width == 0 ? '\n' : (unsigned char)('a' + at % 26);
	wire_send_all(fd, chunk, wire_query(chunk, CHUNK, sql));
	do {
		while (!wire_next(reader, &answer))
			if (wire_fill(reader, fd) <= 0)
				wire_die("the connection was closed before COPY");
		if (answer.type == 'E')
			wire_die("COPY refused: %s", wire_error_field(&answer, 'M'));
	} while (answer.type != 'G');
	while (wire_now_ns() < until) {
		wire_send_all(fd, message, size);
		total += (int64_t)size;
	}
	static const unsigned char done[5] = {'c', 0, 0, 0, 4};
	wire_send_all(fd, done, sizeof done);
	drain(fd, chunk);
	return total;
}

int main(int argc, char **argv)
{
	static unsigned char chunk[CHUNK];
	static struct wire_reader reader;

	size_t width = argc == 10 ? (size_t)atoi(argv[9]) : 0;
	if (width < 1 || width > MESSAGE)
		wire_die("usage: copy HOST PORT USER DATABASE OPTIONS out|in SECONDS SQL WIDTH");
	int fd = wire_connect(argv[1], (unsigned)atoi(argv[2]));
	wire_login(fd, &reader, argv[3], argv[4], argv[5][0] ? argv[5] : NULL);
	int64_t start = wire_now_ns();
	int64_t until = start + (int64_t)(atof(argv[7]) * 1e9);
	int64_t total = strcmp(argv[6], "out") == 0 ? copy_out(fd, argv[8], until, chunk)
						    : copy_in(fd, &reader, argv[8], until, width, chunk);
	printf("{\"bytes\": %lld, \"seconds\": %.6f}\n", (long long)total,
	    (double)(wire_now_ns() - start) / 1e9);
	return 0;
}
