/* The session in which a rehearsal carries out the statements of one section: as a new one of psql's is, and
 * watched: a second connection looks at the locks of a statement that cannot be in a transaction while it
 * runs, for afterwards they are gone. Waits for each statement. */
#ifndef CTL_REHEARSE_SESSION_H
#define CTL_REHEARSE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "net/pq_now.h"
#include "schema/split.h"

struct rehearse_session;
struct rehearse_session_request {
	const char *dsn, *dbname;
	int64_t lock_timeout_ns, statement_timeout_ns; /* of its statements; 0: none */
	/* Asked ten times a second: Ctrl-C? Then the statement under way is cancelled. */
	bool (*interrupted)(void *arg);
	void *arg;
};
/* NULL: *error is set (to be freed). */
struct rehearse_session *rehearse_session_open(
    const struct rehearse_session_request *request, struct pq_now_error *error);
void rehearse_session_close(struct rehearse_session **session); /* NULL-safe, leaves NULL */

/* One statement of ours, or of a file (with its data, where it is a COPY). False: *error is set (to be
 * freed). */
bool rehearse_session_do(struct rehearse_session *session, const char *sql, struct pq_now_error *error);
bool rehearse_session_run(
    struct rehearse_session *session, const struct split_statement *statement, struct pq_now_error *error);
/* The same, looking at its locks meanwhile: saw() is called with (relation, mode) rows, again and again. */
bool rehearse_session_watch(struct rehearse_session *session, const struct split_statement *statement,
    void (*saw)(const struct pq_rows *locks, void *arg), void *arg, struct pq_now_error *error);
/* The answer to a question of ours, with its rows. False: *error. */
bool rehearse_session_ask(
    struct rehearse_session *session, const char *sql, struct pq_rows *rows, struct pq_now_error *error);
bool rehearse_session_in_transaction(const struct rehearse_session *session);
int32_t rehearse_session_backend(const struct rehearse_session *session);

#endif
