/* Listeners: TCP (IPv4, IPv6) and unix sockets, in the control thread. A listener is counted: sessions keep a
 * reference to what they came in by, so a reload may drop it while they live. Out of descriptors: accepting
 * pauses for a moment and says so (no spinning), and goes on. */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include <stdatomic.h>

#include "base/conf.h"
#include "net/tls.h"

struct event_base;

struct listener {
	atomic_uint references;
	struct conf *conf;                 /* referenced */
	const struct conf_listen *section; /* inside conf */
	struct tls_context *tls;           /* referenced; never NULL */
};
struct listener *listener_new(struct conf *conf, const struct conf_listen *section, struct tls_context *tls);
struct listener *listener_ref(struct listener *listener);
void listener_unref(struct listener **listener);

/* A listening socket. `accepted` runs in the loop; the descriptor (non-blocking, close-on-exec) is the
 * callee's. */
struct listening;
typedef void listen_accepted(int fd, struct listener *listener, void *arg);
/* NULL on error with a text ("cannot listen on 0.0.0.0:6432: Address already in use"). A stale unix socket
 * file that nobody answers on is replaced. */
struct listening *listen_start(struct event_base *base, struct listener *listener, listen_accepted *accepted,
    void *arg, char *error, unsigned error_size);
/* A reload that keeps the address: new clients get the new listener from now on. */
void listen_replace(struct listening *listening, struct listener *listener);
const struct listener *listen_listener(const struct listening *listening);
/* Closes; removes the unix socket's file if it is still ours. */
void listen_stop(struct listening **listening);

#endif
