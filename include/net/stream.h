/* A stream: a connected socket, plain or TLS, behind one face. A plain value embedded in its owner, which may
 * copy it elsewhere and forget the old copy. The owner keeps the events; the stream keeps the descriptor and
 * the TLS session. All calls are non-blocking, as is the descriptor. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

struct tls;

struct stream {
	int fd;          /* -1: closed */
	struct tls *tls; /* NULL: plain */
};

/* The TLS half of the calls below; called through them only. */
ssize_t stream_tls_read(struct stream *stream, void *buffer, size_t size);
ssize_t stream_tls_write(struct stream *stream, const void *buffer, size_t size);
bool stream_tls_pending(const struct stream *stream);

/* Bytes read (> 0), 0 at the peer's end (with or without TLS's close_notify), -1 with errno. EAGAIN: wait for
 * stream_wants_read(). TLS errors come out as ECONNRESET or EPROTO with the reason in stream_error(), and
 * stay: a later call fails the same way. */
/* The plain calls go to the kernel directly: recv(2) and send(2) are cancellation points, and in a process
 * with threads glibc spends more instructions on that than the relay spends on a message. Nobody cancels
 * threads here. */
static inline ssize_t stream_read(struct stream *stream, void *buffer, size_t size)
{
	if (stream->tls == NULL)
		return syscall(SYS_recvfrom, stream->fd, buffer, size, 0, NULL, NULL);
	return stream_tls_read(stream, buffer, size);
}

/* Bytes taken (> 0, maybe fewer than size), or -1 with errno as above. size is not 0. Never raises SIGPIPE.
 * After EAGAIN (or fewer bytes taken than asked) the next write must begin with the very bytes that were not
 * taken, and offer no fewer of them: TLS may hold a record made of them, half sent. More bytes may follow,
 * and the buffer may lie elsewhere. */
static inline ssize_t stream_write(struct stream *stream, const void *buffer, size_t size)
{
	if (stream->tls == NULL)
		return syscall(SYS_sendto, stream->fd, buffer, size, MSG_NOSIGNAL, NULL, 0);
	return stream_tls_write(stream, buffer, size);
}

/* After EAGAIN: EV_READ or EV_WRITE, what the stream waits for (a TLS read may want to write, and the
 * reverse). */
short stream_wants_read(const struct stream *stream);  /* after stream_read */
short stream_wants_write(const struct stream *stream); /* after stream_write */

/* Bytes that arrived and wait inside: no event will tell of them, so read on. Never true after stream_read()
 * said EAGAIN. Always false when plain. */
static inline bool stream_pending(const struct stream *stream)
{
	return stream->tls != NULL && stream_tls_pending(stream);
}

/* Why the last call failed, for logs ("tls: certificate verify failed", "Connection reset by peer"). Ask at
 * once: a plain stream's answer is errno's text. Static or owned by the stream. */
const char *stream_error(const struct stream *stream);

/* Ends our side (TLS close_notify, then the socket's), best effort, without blocking: the peer sees the end
 * behind all that was written, and may still be read. */
void stream_end(struct stream *stream);

/* Says goodbye (TLS close_notify, best effort, without blocking), closes, leaves fd -1. Valid on a closed
 * stream. */
void stream_close(struct stream *stream);

#endif
