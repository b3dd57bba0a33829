/* TLS. One context per listener and per upstream, built from the configuration, immutable and counted: a
 * reload builds new ones and sessions go on with what they began with. Floor TLS 1.2, no renegotiation, no
 * compression. No tickets and no cache, as PostgreSQL. OpenSSL is known to net/tls*.c and net/stream.c only.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "net/stream.h"

struct tls_context;
enum tls_role { TLS_SERVER, TLS_CLIENT };

/* `ca` is used wherever it is given, as libpq and PostgreSQL do: a client verifies the server by it in any
 * mode, a listener asks for a client certificate and refuses one that `ca` did not sign; the verify modes
 * insist on one. NULL on error, with a text in error that names the file and says what to do. Mode disable
 * gives a context too (it refuses sessions). Checks that a key file is not readable by others (as libpq and
 * PostgreSQL do). */
struct tls_context *tls_context_new(
    const struct conf_tls *conf, enum tls_role role, char *error, size_t error_size);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context **context); /* NULL-safe */

/* Starts TLS on a connected stream (stream->tls was NULL). As server, `direct` demands ALPN "postgresql"
 * (PostgreSQL 17's rule); it is offered and selected in any case. As client, name is the host for SNI (names
 * only) and for verify-full; direct sends ALPN. The caller guarantees that no byte read before is left over
 * (CVE-2021-23214, CVE-2021-23222). False: stream_error() says why; the stream is then good for
 * stream_close() only. */
bool tls_start(struct stream *stream, struct tls_context *context, const char *name, bool direct)
    __attribute__((warn_unused_result));
/* 1: done, and nothing that the peer sent after its handshake has been read yet. 0: wait for *wants (EV_READ
 * or EV_WRITE). -1: failed; stream_error() says why. As client in TLS 1.3, a server's refusal of our
 * certificate comes only with the first stream_read(). */
int tls_handshake(struct stream *stream, short *wants);

/* A listener's client, after the handshake: what is wrong with its certificate, or NULL. None shown is a
 * fault where the mode is verify-ca or verify-full. A text of OpenSSL's. The handshake does not fail of it:
 * whoever lets clients in must ask. */
const char *tls_peer_fault(const struct stream *stream);

/* The peer's common name (verify-full on a listener compares it with the user), or NULL: none, or one that
 * has a fault. Owned by the stream. */
const char *tls_peer_name(const struct stream *stream);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", for logs and SHOW CLIENTS; "" when plain. */
const char *tls_describe(const struct stream *stream);

/* tls-server-end-point of this leg's server certificate (RFC 5929): our own on a listener's stream, the
 * server's on an upstream's. The size of the hash, 0 when there is none. Two legs with equal hashes can relay
 * SCRAM-SHA-256-PLUS. */
#define TLS_ENDPOINT_BYTES 64
size_t tls_endpoint(const struct stream *stream, unsigned char hash[TLS_ENDPOINT_BYTES]);

#endif
