/* Dialling: a connected stream to the server, its TLS included, trying several endpoints in turn. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "base/conf.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "net/tls.h"

struct event_base;
struct dial;

struct dial_request {
	struct event_base *base;
	struct endpoints *endpoints; /* referenced by the dial while it lasts */
	unsigned first;              /* which endpoint to begin with (the last that worked) */
	struct tls_context *tls;     /* referenced; NULL: never TLS */
	enum conf_tls_mode mode;
	enum conf_tls_negotiation negotiation;
	int64_t timeout_ns;         /* for one endpoint */
	const struct conf_tcp *tcp; /* valid until the dial ends */
};

struct dial_result {
	struct stream stream; /* the caller's now; fd -1 on failure */
	unsigned endpoint;    /* which one */
	char error[256];      /* on failure: of the last endpoint, "db1:5432: Connection refused" */
};
typedef void dial_done(struct dial_result *result, void *arg);

/* mode: disable: plain. allow: plain (whether to come back with TLS is for who reads the server's first
 * answer: call again with mode require). prefer: SSLRequest, TLS on 'S', plain on 'N', plain again on a fresh
 * connection (within the same time-out) if the handshake fails. require and the verify modes: TLS or failure.
 * Unix sockets never do TLS (as libpq; require on a unix socket is refused by the configuration). An 'E'
 * answer to SSLRequest is a failure with a fixed text, never relayed (CVE-2024-10977). Exactly one byte of
 * answer is read (CVE-2021-23222). `done` runs once, from the loop, never from inside dial_start(). */
struct dial *dial_start(const struct dial_request *request, dial_done *done, void *arg);
void dial_cancel(struct dial **dial); /* `done` will not run; NULL-safe; within `done` it only forgets */

/* TCP_NODELAY, keepalive and user timeout as configured, for both legs; ignores unix sockets. */
void dial_tune(int fd, const struct conf_tcp *tcp);

#endif
