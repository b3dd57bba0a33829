/* Names to addresses without blocking the loop (libevent's evdns: /etc/hosts and DNS), for the control
 * thread. */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/conf.h"

struct event_base;

/* One place to connect to. */
struct endpoint {
	struct sockaddr_storage address;
	socklen_t size;
	unsigned index; /* of the conf_address it came from */
	char name[128]; /* host name for TLS and for logs; "" with a unix socket */
	char text[160]; /* "db1:5432 (10.0.0.3)" for logs */
};

/* An immutable, counted list, in the order to try. */
struct endpoints {
	atomic_uint references;
	unsigned count;
	char error[160]; /* with count 0: why */
	struct endpoint at[];
};
struct endpoints *endpoints_ref(struct endpoints *endpoints);
void endpoints_unref(struct endpoints **endpoints);

struct resolver;
/* Reads /etc/resolv.conf and /etc/hosts, and again when they have changed. Without a name server the hosts
 * file alone answers. */
struct resolver *resolver_new(struct event_base *base);
/* With every resolve answered or cancelled. NULL-safe. */
void resolver_free(struct resolver **resolver);

/* Resolves all addresses, in ten seconds at most: what is not known by then, or fails, is left out. `done`
 * gets a list that it owns (one reference), once, possibly before resolve_start() returns (numbers, unix
 * sockets, names of the hosts file). Returns NULL then, else a handle that resolve_cancel() takes until
 * `done` has run (within `done` it only forgets). `addresses` are copied. */
struct resolve;
typedef void resolve_done(struct endpoints *endpoints, void *arg);
struct resolve *resolve_start(struct resolver *resolver, const struct conf_address *addresses, unsigned count,
    resolve_done *done, void *arg);
void resolve_cancel(struct resolve **resolve); /* `done` will not run; NULL-safe */

#endif
