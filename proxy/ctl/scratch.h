/* A scratch database: made on the server of another database, with a name of its own, and dropped at the end
 * whatever happens; one whose maker was killed is dropped by the next that is made.
 *
 * Its name is headgate_scratch_<backend pid>_<random>. Its maker holds a session advisory lock of the
 * database it works for under a key made of that name; where nobody holds it any more, the maker is gone.
 * Needs CREATEDB. */
#ifndef CTL_SCRATCH_H
#define CTL_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "net/pq_now.h"

struct scratch;
struct scratch_request {
	struct pq_now *owner;    /* an open connection to the database that it is for: makes and drops it */
	const char *dsn;         /* that of the owner: the scratch is reached by it with another dbname */
	const char *application; /* application_name of the connection to it */
};
/* Made with the same encoding and locale as the owner's database, from template0, and connected to. NULL:
 * *error is set (to be freed). */
struct scratch *scratch_make(const struct scratch_request *request, struct pq_now_error *error);
/* Drops it, its other connections with it; also after Ctrl-C (pq_now_clean_up() on the owner). NULL-safe,
 * leaves NULL. False: it is still there; *error says why (to be freed), and its name. */
bool scratch_drop(struct scratch **scratch, struct pq_now_error *error);

struct pq_now *scratch_pq(struct scratch *scratch);
const char *scratch_name(const struct scratch *scratch);

/* Runs a text of SQL in it, statement by statement as psql would, with search_path "$user", public. Passed
 * over: the lines \restrict and \unrestrict that pg_dump writes, COPY ... FROM stdin with its data (a scratch
 * database is there for its schema), and what a dump says that fails elsewhere and does not matter (OWNER TO
 * a role that is not there, CREATE SCHEMA public, a setting of a later version). Refused: what acts on the
 * whole server. False: *why (to be freed) is "FILE:LINE: ..." with the server's words. */
bool scratch_apply(struct scratch *scratch, const char *file, const char *text, size_t size, char **why);

#endif
