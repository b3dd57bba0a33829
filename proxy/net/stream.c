#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/err.h>

#include "net/stream.h"
#include "tls_session.h"

/* OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE, and forgets which errno it met. */
static int bio_read(BIO *bio, char *buffer, int size)
{
	struct tls *tls = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (tls->sated) {
		tls->drained = true;
		BIO_set_retry_read(bio);
		return -1;
	}
	ssize_t n = recv(tls->fd, buffer, (size_t)size, 0);
	tls->drained = n <= 0;
	if (n < 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
			BIO_set_retry_read(bio);
		else
			tls->io_error = errno;
	} else if (n == 0) {
		tls->ended = true;
	}
	return (int)n;
}

static int bio_write(BIO *bio, const char *buffer, int size)
{
	struct tls *tls = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	ssize_t n = send(tls->fd, buffer, (size_t)size, MSG_NOSIGNAL);
	if (n < 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
			BIO_set_retry_write(bio);
		else
			tls->io_error = errno;
	}
	return (int)n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	/* BIO_CTRL_EOF is not answered: an end without close_notify then is no protocol error, it is
	 * tls->ended. */
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void bio_prepare(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "headgate socket");
	if (bio_method == NULL)
		return;
	BIO_meth_set_read(bio_method, bio_read);
	BIO_meth_set_write(bio_method, bio_write);
	BIO_meth_set_ctrl(bio_method, bio_control);
}

BIO *stream_bio(struct tls *tls)
{
	pthread_once(&bio_once, bio_prepare);
	if (bio_method == NULL)
		return NULL;
	BIO *bio = BIO_new(bio_method);
	if (bio == NULL)
		return NULL;
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	return bio;
}

static bool dead(const struct tls *tls)
{
	if (tls->fatal != 0)
		errno = tls->fatal;
	else if (!tls->established)
		errno = ENOTCONN;
	else
		return false;
	return true;
}

/* As SSL_read_ex(). That ends after a message without data (set_habits()): old ones when all that lies inside
 * is worked off, new ones (3.5) at each, and after new keys SSL_has_pending() does not know of the rest. No
 * event would tell of it, so it is worked off here; the socket is not asked again for that, which bounds the
 * call. */
static int read_record(struct tls *tls, void *buffer, size_t size, size_t *n)
{
	int returned;
	tls->drained = false;
	for (;;) {
		ERR_clear_error();
		returned = SSL_read_ex(tls->ssl, buffer, size, n);
		if (returned == 1 || tls->drained || SSL_get_error(tls->ssl, returned) != SSL_ERROR_WANT_READ)
			break;
		tls->sated = true;
	}
	tls->sated = false;
	return returned;
}

ssize_t stream_tls_read(struct stream *stream, void *buffer, size_t size)
{
	struct tls *tls = stream->tls;
	if (dead(tls))
		return -1;
	size_t done = 0;
	/* One call of SSL gives one record at most. Going on while something lies inside saves the owner as
	 * many turns and writes. */
	do {
		size_t n = 0;
		int returned = read_record(tls, (char *)buffer + done, size - done, &n);
		if (returned != 1) {
			int outcome = tls_outcome(tls, returned, "read");
			tls->drained = true;
			if (outcome > 0)
				tls->wants_read = (short)outcome;
			if (done > 0)
				break; /* an end or a failure will be met again by the next call */
			if (outcome == 0)
				return 0;
			errno = outcome > 0 ? EAGAIN : tls->fatal;
			return -1;
		}
		tls->drained = false;
		done += n;
	} while (done < size && SSL_has_pending(tls->ssl));
	return (ssize_t)done;
}

ssize_t stream_tls_write(struct stream *stream, const void *buffer, size_t size)
{
	struct tls *tls = stream->tls;
	if (dead(tls))
		return -1;
	size_t done = 0;
	/* With SSL_MODE_ENABLE_PARTIAL_WRITE each call takes one record's worth. */
	do {
		size_t n = 0;
		ERR_clear_error();
		int returned = SSL_write_ex(tls->ssl, (const char *)buffer + done, size - done, &n);
		if (returned != 1) {
			int outcome = tls_outcome(tls, returned, "write");
			if (outcome > 0)
				tls->wants_write = (short)outcome;
			if (done > 0)
				break;
			errno = outcome > 0 ? EAGAIN : outcome == 0 ? EPIPE : tls->fatal;
			return -1;
		}
		done += n;
	} while (done < size);
	return (ssize_t)done;
}

/* Reading ahead may leave part of a record inside. Whoever asks reads once more, learns EAGAIN, and is not
 * told again. */
bool stream_tls_pending(const struct stream *stream)
{
	const struct tls *tls = stream->tls;
	return tls->established && tls->fatal == 0 && !tls->drained && SSL_has_pending(tls->ssl) == 1;
}

short stream_wants_read(const struct stream *stream)
{
	return stream->tls == NULL ? EV_READ : stream->tls->wants_read;
}

short stream_wants_write(const struct stream *stream)
{
	return stream->tls == NULL ? EV_WRITE : stream->tls->wants_write;
}

const char *stream_error(const struct stream *stream)
{
	if (stream->tls != NULL && stream->tls->error != NULL)
		return stream->tls->error;
	return errno == 0 ? "connection closed by the peer" : strerror(errno);
}

void stream_end(struct stream *stream)
{
	struct tls *tls = stream->tls;
	if (tls != NULL) {
		/* Not after an error (SSL_shutdown(3)), nor where the record found no room. */
		ERR_clear_error();
		if (dead(tls) || SSL_shutdown(tls->ssl) < 0)
			return;
	}
	shutdown(stream->fd, SHUT_WR);
}

void stream_close(struct stream *stream)
{
	tls_free(&stream->tls);
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
}
