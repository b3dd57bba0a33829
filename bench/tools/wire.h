/* What the load tools share: a blocking connect, the few messages they send, and a reader that takes whole
 * messages out of a small buffer ("Frontend/Backend Protocol" in PostgreSQL's documentation). The tools load
 * proxies, so they do as little as they can; an answer that they do not understand ends them with a text. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum { WIRE_ROOM = 4096 };

struct wire_reader {
	unsigned char room[WIRE_ROOM];
	size_t start, end;
};

struct wire_message {
	char type;
	const unsigned char *body; /* inside the reader: valid until its next fill */
	size_t size;
};

/* host as libpq takes it: a number, or a folder (begins with '/') that holds a unix socket .s.PGSQL.port.
 * Returns a connected, blocking descriptor with TCP_NODELAY; ends the program when nobody listens. */
int wire_connect(const char *host, unsigned port);

/* Protocol 3.0; options and its parameter are left out where options is NULL. Both return the bytes written.
 */
size_t wire_startup(
    unsigned char *out, size_t room, const char *user, const char *database, const char *options);
size_t wire_query(unsigned char *out, size_t room, const char *sql);

/* One recv. Returns what recv returns; never reads more than there is room for. */
long wire_fill(struct wire_reader *reader, int fd);
/* Takes the next whole message; 0 when more bytes are needed, 1 with *message set. */
int wire_next(struct wire_reader *reader, struct wire_message *message);

/* A field of an ErrorResponse, "" where it has none; inside the message. */
const char *wire_error_field(const struct wire_message *error, char field);
/* The first column of a DataRow as text, cut to the room. */
void wire_first_column(const struct wire_message *row, char *out, size_t room);

void wire_send_all(int fd, const void *bytes, size_t size);
/* Logs in on a blocking descriptor; ends the program with the server's words when it is refused. */
void wire_login(
    int fd, struct wire_reader *reader, const char *user, const char *database, const char *options);
/* One query on a blocking descriptor; the first column of its last row into out. */
void wire_ask(int fd, struct wire_reader *reader, const char *sql, char *out, size_t room);

int64_t wire_now_ns(void);
void wire_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
