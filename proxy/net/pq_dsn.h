/* Inside of net/pq: what a dsn means, as libpq resolves it. */
#ifndef NET_PQ_DSN_H
#define NET_PQ_DSN_H

#include <stdbool.h>

#include <libpq-fe.h>

/* All parameters, with service file, environment and defaults resolved; freed by PQconninfoFree(). NULL with
 * an error text. */
PQconninfoOption *pq_dsn_options(const char *dsn, const char *dbname, char *error, unsigned error_size);
/* NULL when it has no value. */
const char *pq_dsn_value(const PQconninfoOption *options, const char *keyword);

/* One of the places a dsn names. Each owned, and "" when absent. */
struct pq_host {
	char *host;     /* a name, a number, or a unix socket's folder */
	char *hostaddr; /* a number: nothing to resolve */
	char *port;
};
struct pq_hosts {
	struct pq_host *at;
	unsigned count;
};
/* As libpq pairs the lists up: one port for all, or one each. */
struct pq_hosts pq_dsn_hosts(const PQconninfoOption *options);
void pq_hosts_free(struct pq_hosts *hosts);
/* Has this place a name that must be looked up? */
bool pq_host_named(const struct pq_host *host);

/* libpq's message on one line: without line breaks and source locations. With PQERRORS_VERBOSE the server's
 * SQLSTATE is in the text of a failed connection, and nowhere else: it is taken out of the text into
 * sqlstate, which is untouched when there is none. To be freed. */
char *pq_message_line(const char *message, char sqlstate[6]);

#endif
