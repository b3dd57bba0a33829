/* libpq on the loop: one asynchronous connection that resolves names without blocking, runs queries in order, hears notifications, and says
 * when it is lost. The only file that knows libpq. It does not reconnect by itself: pq_open() again, with the caller's backoff. */
#ifndef NET_PQ_H
#define NET_PQ_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct resolver;
struct pq;

/* The result of one statement. Strings live during the callback. */
struct pq_result {
	bool ok;
	const char *sqlstate;   /* "" when ok; "08006" and the like are made up when the link broke */
	const char *message;    /* primary message; "" when ok */
	const char *detail, *hint; /* or NULL */
	int rows, columns;
	const void *handle;
	const char *command_status; /* "SELECT 3" */
};
const char *pq_value(const struct pq_result *result, int row, int column); /* NULL for SQL NULL */

struct pq_handlers {
	void (*opened)(struct pq *pq, void *arg);
	/* The connection could not be made, or is lost: every outstanding statement has been answered with an error first. sqlstate: the server's if it
	 * gave one (3D000, 28P01, 57P03), else 08006/08001. */
	void (*closed)(struct pq *pq, const char *sqlstate, const char *message, void *arg);
	void (*notified)(struct pq *pq, const char *channel, const char *payload, int32_t pid, void *arg); /* may be NULL */
	void (*noticed)(struct pq *pq, const char *severity, const char *message, void *arg);      /* may be NULL */
};

/* settings: appended to the dsn's options by the link itself: search_path empty, application_name given, client_encoding UTF8.
 * connect_ns bounds the whole opening. Never NULL; failure arrives in `closed`. */
struct pq_request {
	struct event_base *base;
	struct resolver *resolver;
	const char *dsn;
	const char *dbname;           /* replaces the dsn's, or NULL */
	const char *application_name;
	int64_t connect_ns;
	struct pq_handlers handlers;
	void *arg;
};
struct pq *pq_open(const struct pq_request *request);
/* Closes at once; outstanding statements are dropped without a call. Safe inside a callback. NULL-safe. */
void pq_close(struct pq **pq);

typedef void pq_done(const struct pq_result *result, void *arg);
/* Queues one statement with text parameters; answered in order. In pipeline mode: statements queued in one turn of the loop travel together, each its own
 * implicit transaction (a Sync after each). done may be NULL. */
void pq_query(struct pq *pq, const char *sql, const char *const *values, int count, pq_done *done, void *arg);
bool pq_is_open(const struct pq *pq);
int32_t pq_backend_pid(const struct pq *pq);
int pq_server_version(const struct pq *pq); /* 150004 */

/* The connection's parameters as libpq's environment variables for a child process: calls set("PGHOST", "db1") and so on, DATABASE_URL included.
 * Works on the dsn alone, without a connection. False with a text when the dsn is wrong. */
bool pq_environment(const char *dsn, const char *dbname, void (*set)(const char *name, const char *value, void *arg), void *arg,
    char *error, unsigned error_size);
/* Checks a dsn's syntax: NULL, or why it is wrong (static or thread-local text). */
const char *pq_dsn_error(const char *dsn);

#endif
