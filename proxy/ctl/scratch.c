#include "scratch.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/mem.h"

/* "hgsc": the first half of the locks' key, the other is the random number of the name. */
#define SCRATCH_LOCK "1751610211"

/* The terminal has gone: as Ctrl-C, which net/pq_now hears. */
static void on_hangup(int number)
{
	(void)number;
	raise(SIGTERM);
}

struct scratch {
	struct sigaction hangup; /* what was done about SIGHUP before */
	char *name;              /* plain: letters, digits and underscores */
	char *dsn, *owner_dbname, *application;
	struct pq_now *owner; /* the caller's */
	struct pq_now *pq;
};

/* Those whose maker is gone. Locks are seen in all databases of the server, and a maker has its lock before
 * there is a database; so what is found without one has lost its maker. It may belong to somebody else, who
 * will come by. */
static const char left_over_sql[] =
    "SELECT d.datname FROM pg_catalog.pg_database d "
    "WHERE d.datname ~ '^headgate_scratch_[0-9]+_[0-9a-f]{8}$' "
    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 2 "
    "AND l.classid = " SCRATCH_LOCK " AND l.objid = ('x' || pg_catalog.right(d.datname, 8))::bit(32)::int8)";

/* Columns about locales have come with versions: to_jsonb() knows those that there are. */
static const char create_sql[] =
    "SELECT pg_catalog.format('CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L', "
    "$1::text, pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype) || "
    "CASE j ->> 'datlocprovider' WHEN 'i' THEN pg_catalog.format(' LOCALE_PROVIDER icu ICU_LOCALE %L', "
    "coalesce(j ->> 'datlocale', j ->> 'daticulocale')) || "
    "coalesce(' ICU_RULES ' || pg_catalog.quote_literal(j ->> 'daticurules'), '') "
    "WHEN 'b' THEN pg_catalog.format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', j ->> 'datlocale') "
    "ELSE '' END, d.datname "
    "FROM pg_catalog.pg_database d, pg_catalog.to_jsonb(d) j WHERE d.datname = pg_catalog.current_database()";

static void sweep(struct pq_now *owner)
{
	struct pq_rows rows;
	if (pq_now_ask(owner, left_over_sql, NULL, 0, &rows)) {
		for (unsigned i = 0; i < rows.rows; i++) {
			struct pq_now_error error;
			char *drop =
			    mem_printf("DROP DATABASE IF EXISTS %s WITH (FORCE)", pq_rows_at(&rows, i, 0));
			if (!pq_now_do(owner, drop, NULL, 0, &error))
				pq_now_error_free(&error);
			mem_free(&drop);
		}
	}
	pq_rows_free(&rows);
}

/* One statement whose answer is of interest. The rows' error becomes *error. */
static bool ask(struct pq_now *pq, const char *sql, const char *const *values, unsigned count,
    struct pq_rows *rows, struct pq_now_error *error)
{
	if (pq_now_ask(pq, sql, values, count, rows))
		return true;
	*error = rows->error;
	rows->error = (struct pq_now_error){.position = 0};
	pq_rows_free(rows);
	return false;
}

static bool lock(struct scratch *scratch, const char *number, struct pq_now_error *error)
{
	struct pq_rows rows;
	const char *const values[] = {number};
	if (!ask(scratch->owner,
		"SELECT pg_catalog.pg_advisory_lock(" SCRATCH_LOCK ", ('x' || $1)::bit(32)::int4)", values, 1,
		&rows, error))
		return false;
	pq_rows_free(&rows);
	return true;
}

static bool create(struct scratch *scratch, struct pq_now_error *error)
{
	struct pq_rows rows;
	const char *const values[] = {scratch->name};
	if (!ask(scratch->owner, create_sql, values, 1, &rows, error))
		return false;
	scratch->owner_dbname = mem_strdup(pq_rows_at(&rows, 0, 1));
	bool ok = pq_now_do(scratch->owner, pq_rows_at(&rows, 0, 0), NULL, 0, error);
	pq_rows_free(&rows);
	if (!ok && strcmp(error->sqlstate, "42501") == 0 && error->hint == NULL)
		error->hint = mem_strdup(
		    "a scratch database is needed: give the role CREATEDB, or take another role by --url");
	return ok;
}

/* It may be a copy of what not everybody may see. synchronous_commit: nothing in it has to survive. */
static bool furnish(struct scratch *scratch, struct pq_now_error *error)
{
	char *revoke = mem_printf("REVOKE ALL ON DATABASE %s FROM PUBLIC", scratch->name);
	bool ok = pq_now_do(scratch->owner, revoke, NULL, 0, error);
	mem_free(&revoke);
	const struct pq_now_request request = {
	    .dsn = scratch->dsn, .dbname = scratch->name, .application = scratch->application};
	scratch->pq = ok ? pq_now_open(&request, error) : NULL;
	return scratch->pq != NULL && pq_now_do(scratch->pq, "SET synchronous_commit = off", NULL, 0, error);
}

struct scratch *scratch_make(const struct scratch_request *request, struct pq_now_error *error)
{
	uint32_t random;
	char number[9];
	*error = (struct pq_now_error){.position = 0};
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		log_fatal("no random numbers");
	snprintf(number, sizeof(number), "%08" PRIx32, random);
	struct scratch *scratch = mem_zalloc(sizeof(*scratch));
	scratch->owner = request->owner;
	scratch->dsn = mem_strdup(request->dsn);
	scratch->application = mem_strdup(request->application);
	scratch->name = mem_printf("headgate_scratch_%" PRId32 "_%s", pq_now_backend(request->owner), number);
	sigaction(
	    SIGHUP, &(struct sigaction){.sa_handler = on_hangup, .sa_flags = SA_RESTART}, &scratch->hangup);
	sweep(request->owner);
	if (lock(scratch, number, error) && create(scratch, error) && furnish(scratch, error))
		return scratch;
	struct pq_now_error aside;
	if (!scratch_drop(&scratch, &aside))
		pq_now_error_free(&aside);
	return NULL;
}

/* Through the owner's connection, or a new one should that be gone. */
static bool drop(struct scratch *scratch, struct pq_now_error *error)
{
	char *sql = mem_printf("DROP DATABASE IF EXISTS %s WITH (FORCE)", scratch->name);
	pq_now_clean_up(scratch->owner);
	bool ok = pq_now_do(scratch->owner, sql, NULL, 0, error);
	if (!ok && strncmp(error->sqlstate, "08", 2) == 0) {
		const struct pq_now_request request = {.dsn = scratch->dsn,
		    .dbname = scratch->owner_dbname,
		    .application = scratch->application};
		struct pq_now_error aside;
		struct pq_now *pq = pq_now_open(&request, &aside);
		if (pq != NULL) {
			pq_now_error_free(error);
			pq_now_clean_up(pq);
			ok = pq_now_do(pq, sql, NULL, 0, error);
		} else {
			pq_now_error_free(&aside);
		}
		pq_now_close(&pq);
	}
	mem_free(&sql);
	return ok;
}

/* The lock is given back with it: the connection may live on. */
static void unlock(struct scratch *scratch)
{
	struct pq_now_error error;
	char *sql = mem_printf("SELECT pg_catalog.pg_advisory_unlock(" SCRATCH_LOCK ", x'%s'::int4)",
	    scratch->name + strlen(scratch->name) - 8);
	if (!pq_now_do(scratch->owner, sql, NULL, 0, &error))
		pq_now_error_free(&error);
	mem_free(&sql);
}

bool scratch_drop(struct scratch **at, struct pq_now_error *error)
{
	struct scratch *scratch = *at;
	*error = (struct pq_now_error){.position = 0};
	*at = NULL;
	if (scratch == NULL)
		return true;
	pq_now_close(&scratch->pq);
	/* Never made: there is nothing to drop. */
	bool ok = scratch->owner_dbname == NULL || drop(scratch, error);
	if (ok)
		unlock(scratch);
	sigaction(SIGHUP, &scratch->hangup, NULL);
	mem_free(&scratch->name);
	mem_free(&scratch->dsn);
	mem_free(&scratch->owner_dbname);
	mem_free(&scratch->application);
	mem_free(&scratch);
	return ok;
}

struct pq_now *scratch_pq(struct scratch *scratch)
{
	return scratch->pq;
}

const char *scratch_name(const struct scratch *scratch)
{
	return scratch->name;
}
