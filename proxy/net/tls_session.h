/* The inside of TLS, shared by stream.c, tls.c and tls_context.c. */
#ifndef NET_TLS_SESSION_H
#define NET_TLS_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>

#include <openssl/ssl.h>

#include "net/tls.h"

struct tls_context {
	atomic_uint references;
	enum tls_role role;
	enum conf_tls_mode mode;
	SSL_CTX *ssl; /* NULL: mode disable */
};

/* One session. Kept small: an idle client has one, or two. */
struct tls {
	SSL *ssl; /* NULL: it could not be started */
	struct tls_context *context;
	char *name;  /* client: the host to verify; server: the peer's common name, once asked for */
	char *error; /* text of what ended the session */
	int fd;
	int fatal;    /* errno of what ended the session; SSL may not be called any more */
	int io_error; /* errno of the last failed system call */
	short wants_read, wants_write;
	bool direct;
	bool established;
	bool ended;   /* the socket is at its end */
	bool sated;   /* the socket is not asked for more */
	bool drained; /* the last read found nothing: what may lie inside is less than a record */
};

/* What a call of SSL came to. EV_READ, EV_WRITE: wait for it. 0: the peer's end. -1: fatal, kept in
 * tls->fatal and tls->error. */
int tls_outcome(struct tls *tls, int returned, const char *during);

/* Ends the session for a reason of ours. */
void tls_refuse(struct tls *tls, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The socket under a session: as OpenSSL's own, but without SIGPIPE and with errno kept. NULL when out of
 * memory. */
BIO *stream_bio(struct tls *tls);

/* Says close_notify where that is allowed; frees. NULL-safe. */
void tls_free(struct tls **tls);

/* ALPN's name of PostgreSQL's protocol, with its length in front as on the wire. */
#define TLS_ALPN       "\012postgresql"
#define TLS_ALPN_BYTES 11U

#endif
