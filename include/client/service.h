/* A service: everything a worker needs to serve one database, in one immutable, counted bundle. The control
 * thread makes a new one whenever the gate's view, the addresses, the configuration or the certificates
 * change, and publishes it to every worker; a session admitted under the current service needs one pointer
 * compare to know that nothing has changed since. */
#ifndef CLIENT_SERVICE_H
#define CLIENT_SERVICE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/conf.h"
#include "gate/gate.h"
#include "gate/lease.h"
#include "net/resolve.h"
#include "net/tls.h"

struct service {
	atomic_uint references;
	unsigned id;       /* of the database, the same in all its services; > 0, never used again */
	char *name;        /* the name clients use (owned) */
	struct conf *conf; /* referenced */
	const struct conf_database *section; /* inside conf */
	struct endpoints *endpoints;         /* referenced; count 0: not resolved */
	struct tls_context *upstream_tls;    /* referenced; or NULL */
	struct lease *lease;                 /* referenced */
	struct gate_view *view;              /* referenced; never NULL */
};

/* Zeroed, one reference; the maker fills it before publishing. */
struct service *service_new(unsigned id, const char *name);
struct service *service_ref(struct service *service);
void service_unref(struct service **service);

#endif
