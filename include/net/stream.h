/* A stream: a connected socket, plain or TLS, behind one face. A plain value embedded in its owner. The owner keeps the events; the
 * stream keeps the descriptor and the TLS session. All calls are non-blocking. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls;

struct stream {
	int fd;          /* -1: closed */
	struct tls *tls; /* NULL: plain */
};

/* Bytes read (> 0), 0 at the peer's end, -1 with errno. EAGAIN: wait for stream_wants(). TLS errors come out as ECONNRESET or
 * EPROTO with the reason in stream_error(). */
ssize_t stream_read(struct stream *stream, void *buffer, size_t size);
/* Bytes taken (> 0, maybe fewer than size), or -1 with errno as above. Never raises SIGPIPE. */
ssize_t stream_write(struct stream *stream, const void *buffer, size_t size);

/* After EAGAIN: EV_READ or EV_WRITE, what the stream waits for (a TLS read may want to write, and the reverse). */
short stream_wants_read(const struct stream *stream);  /* after stream_read */
short stream_wants_write(const struct stream *stream); /* after stream_write */

/* Bytes that were decrypted and wait inside: no event will tell of them. Always false when plain. */
bool stream_pending(const struct stream *stream);

/* Why the last call failed, for logs ("tls: certificate verify failed", "Connection reset by peer"). Static or owned by the stream. */
const char *stream_error(const struct stream *stream);

/* Says goodbye (TLS close_notify, best effort, without blocking), closes, leaves fd -1. Valid on a closed stream. */
void stream_close(struct stream *stream);

#endif
