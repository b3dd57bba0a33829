/* libpq on the loop: one asynchronous connection that resolves names without blocking, runs queries in order,
 * hears notifications, and says when it is lost. Only net/pq*.c know libpq. It does not reconnect by itself:
 * pq_open() again, with the caller's backoff.
 *
 * The dsn is libpq's in all its forms: key=value or URI, several hosts, unix sockets, service files, PG*
 * variables. gssencmode is off unless the dsn asks for it (Kerberos would block the loop). */
#ifndef NET_PQ_H
#define NET_PQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct resolver;
struct pq;

/* The result of one statement. Strings live during the callback. */
struct pq_result {
	bool ok;
	const char
	    *sqlstate; /* "" when ok; 08006 (the link broke) and 08003 (it was not open) are made up here */
	const char *message;       /* primary message; "" when ok */
	const char *detail, *hint; /* or NULL */
	const char *severity;      /* "ERROR", "FATAL", in English; "" when ok or not the server's */
	const char *context;       /* where in functions it happened, several lines; or NULL */
	unsigned position;         /* of the error in the statement, in characters from 1; 0: nowhere */
	bool skipped;              /* not ok, but not run either: a statement before it failed (pq_queue()) */
	int rows, columns;
	const void *handle;
	const char *command_status; /* "SELECT 3" */
};
const char *pq_value(const struct pq_result *result, int row, int column); /* NULL for SQL NULL */
const char *pq_column(const struct pq_result *result, int column); /* its name; NULL: no such column */

struct pq_handlers {
	void (*opened)(struct pq *pq, void *arg);
	/* The connection could not be made (sqlstate 08001), or is lost (08006), or the server said why
	 * (3D000, 28P01, 57P01, ...). Every outstanding statement has been answered with an error first. The
	 * struct stays the caller's until pq_close(). */
	void (*closed)(struct pq *pq, const char *sqlstate, const char *message, void *arg);
	void (*notified)(struct pq *pq, const char *channel, const char *payload, int32_t pid,
	    void *arg); /* may be NULL */
	/* May be NULL. The only call in which pq_close() and pq_query() are not allowed. */
	void (*noticed)(struct pq *pq, const char *severity, const char *message, void *arg);
};

/* connect_ns bounds the whole opening, names included. Never NULL; failure arrives in `closed`, from the
 * loop. Before `opened` the session is made the same whatever the role's or the database's settings are:
 * UTF8, search_path empty, read committed, read-write, no time-outs. */
struct pq_request {
	struct event_base *base;
	struct resolver *resolver;
	const char *dsn;    /* all strings are copied */
	const char *dbname; /* replaces the dsn's, or NULL */
	const char *application_name;
	int64_t connect_ns;
	struct pq_handlers handlers;
	void *arg;
};
struct pq *pq_open(const struct pq_request *request);
/* Closes at once; outstanding statements are dropped without a call. Safe inside a callback. NULL-safe. */
void pq_close(struct pq **pq);

typedef void pq_done(const struct pq_result *result, void *arg);
/* Sends one statement with text parameters (a NULL value is SQL NULL), without waiting for the ones before;
 * answered in order, from the loop. Each is its own implicit transaction (pipeline mode, a Sync after each),
 * so one that fails does not spoil the next; BEGIN, statements and COMMIT queued one after the other are one
 * transaction and one round trip. No COPY. done may be NULL. Before `opened` and after `closed`: answered
 * with 08003. */
void pq_query(struct pq *pq, const char *sql, const char *const *values, int count, pq_done *done, void *arg);
/* The same without a Sync behind it: this one, those queued after it and the pq_query() that follows run one
 * after the other, and once one fails the server skips the rest, ROLLBACK TO and COMMIT included. With BEGIN
 * the first and COMMIT the last, what fails leaves the session in a failed transaction (pq_in_transaction()).
 * The rows that the queued ones return are dropped as they come. */
void pq_queue(struct pq *pq, const char *sql, const char *const *values, int count, pq_done *done, void *arg);
/* One statement that may be a COPY, by itself: FROM STDIN is given `data` (borrowed until it is answered),
 * what TO STDOUT sends is dropped. Only while nothing is under way, and nothing may be asked before its
 * answer. */
void pq_copy(struct pq *pq, const char *sql, const char *data, size_t size, pq_done *done, void *arg);
/* Is a transaction open, or failed and not rolled back, as far as the answers tell? */
bool pq_in_transaction(const struct pq *pq);
/* Makes the session's settings again what they were at `opened`. */
void pq_settle(struct pq *pq, pq_done *done, void *arg);
/* Asks the server to cancel the statement that it is at (PQcancel: this waits for a connection of its own, so
 * it is for programs and not for the proxy's loop). */
void pq_cancel(const struct pq *pq);
bool pq_is_open(const struct pq *pq);
int32_t pq_backend_pid(const struct pq *pq);
int pq_server_version(const struct pq *pq); /* 150004 */

/* The connection's parameters as libpq's environment variables for a child process: calls set("PGHOST",
 * "db1") and so on, DATABASE_URL included; value NULL: take that variable out (PGSERVICE, which would win
 * over the others). Service file and our own environment are resolved into them. PGDATABASE only where a
 * database is named. Works on the dsn alone, without a connection. False with a text when the dsn is wrong.
 */
bool pq_environment(const char *dsn, const char *dbname,
    void (*set)(const char *name, const char *value, void *arg), void *arg, char *error, unsigned error_size);
/* Checks a dsn, its service file included: NULL, or why it is wrong (thread-local text, until the next call).
 */
const char *pq_dsn_error(const char *dsn);
/* The user that a dsn connects as, as libpq resolves it (dsn, service, environment, operating system), and
 * the database that it names, NULL when it leaves that to the user's name. To be freed. NULL when the dsn is
 * wrong. */
char *pq_dsn_user(const char *dsn);
char *pq_dsn_dbname(const char *dsn);

#endif
