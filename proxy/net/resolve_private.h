/* A resolver that reads other files than the system's, and has other patience: for tests. */
#ifndef NET_RESOLVE_PRIVATE_H
#define NET_RESOLVE_PRIVATE_H

#include "net/resolve.h"

struct resolver_files {
	const char *resolv_conf, *hosts; /* valid as long as the resolver */
	int64_t limit_ns;                /* for one resolve */
};
struct resolver *resolver_new_from(struct event_base *base, struct resolver_files files);

#endif
