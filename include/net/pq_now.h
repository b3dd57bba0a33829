/* PostgreSQL for a program that waits: one connection over net/pq on a loop of its own, for the command line
 * and never for the proxy. Statements go one by one, their answers are copied.
 *
 * Ctrl-C (SIGINT) and SIGTERM while a connection is open: the statement under way is cancelled at the server
 * and answered with 57014, and so is every further one, until pq_now_clean_up() says that what follows puts
 * things back; a second signal changes nothing. */
#ifndef NET_PQ_NOW_H
#define NET_PQ_NOW_H

#include <stdbool.h>
#include <stdint.h>

struct pq_now;

/* What is wrong, as the server says it. Texts are owned; "" where there is no error. */
struct pq_now_error {
	char sqlstate[6]; /* "" : none. 08001 not reached, 08006 link lost, 57014 interrupted ... */
	char *message;
	char *detail, *hint; /* or NULL */
	unsigned position;   /* in the statement, in characters from 1; 0: nowhere in it */
};
void pq_now_error_free(struct pq_now_error *error); /* leaves none */

struct pq_now_request {
	const char *dsn;
	const char *dbname;      /* replaces the dsn's, or NULL */
	const char *application; /* "headgate rehearse" */
	int64_t connect_ns;      /* 0: 15 s */
	void (*noticed)(const char *severity, const char *message, void *arg); /* or NULL */
	void *arg;
};
/* Waits until it is open. NULL: *error is set (to be freed). The session is as pq.h says: search_path empty,
 * UTF8, no time-outs. */
struct pq_now *pq_now_open(const struct pq_now_request *request, struct pq_now_error *error);
void pq_now_close(struct pq_now **now); /* NULL-safe, leaves NULL */

/* The answer to one statement, owned. */
struct pq_rows {
	bool ok;
	unsigned rows, columns;
	char **cells;              /* row by row; NULL for SQL NULL */
	char **names;              /* of the columns */
	char *status;              /* "INSERT 0 1" */
	struct pq_now_error error; /* not ok */
};
const char *pq_rows_at(
    const struct pq_rows *rows, unsigned row, unsigned column); /* NULL: NULL, or no such */
void pq_rows_free(struct pq_rows *rows);                        /* leaves none */

/* One statement with text parameters (count 0: values may be NULL), and its answer. Returns out->ok. *out is
 * overwritten, its old value not freed. What is BEGIN .. COMMIT is a transaction as in any session. */
bool pq_now_ask(struct pq_now *now, const char *sql, const char *const *values, unsigned count,
    struct pq_rows *out) __attribute__((warn_unused_result));
/* The same, where rows do not matter. *error (to be freed) is set when false. */
bool pq_now_do(struct pq_now *now, const char *sql, const char *const *values, unsigned count,
    struct pq_now_error *error) __attribute__((warn_unused_result));
/* Several statements without parameters, in order, in one round trip, each a transaction by itself unless
 * BEGIN and COMMIT are among them. Stops to wait at the first that fails: false, *failed is its place; those
 * behind it were sent all the same, so after an error between BEGIN and COMMIT all of them did nothing. */
bool pq_now_all(struct pq_now *now, const char *const *sql, unsigned count, struct pq_now_error *error,
    unsigned *failed) __attribute__((warn_unused_result));

/* Was Ctrl-C pressed (or SIGTERM sent)? */
bool pq_now_interrupted(struct pq_now *now);
void pq_now_clean_up(struct pq_now *now);

int pq_now_server_version(const struct pq_now *now); /* 150004 */
int32_t pq_now_backend(const struct pq_now *now);    /* its pid */

#endif
