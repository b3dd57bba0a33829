/* What is known of the database where a migration is rehearsed, for its warnings. An unqualified name means
 * the relation of that name, in public where there are several: what search_path the statement will have is
 * not known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rehearse.h"

struct rehearse_facts {
	struct pq_now *pq;
	char text[256];
};

/* The first value of a query about (schema, name, column); NULL: none, or not to be had. */
static const char *ask(
    struct rehearse_facts *known, const char *sql, const char *schema, const char *name, const char *column)
{
	const char *values[] = {schema, name, column}, *found = NULL;
	struct pq_rows rows;

	if (pq_now_ask(known->pq, sql, values, column != NULL ? 3 : 2, &rows)) {
		const char *value = pq_rows_at(&rows, 0, 0);
		if (value != NULL) {
			snprintf(known->text, sizeof(known->text), "%s", value);
			found = known->text;
		}
	}
	pq_rows_free(&rows);
	return found;
}

#define RELATION                                                                                             \
	"(SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace " \
	"WHERE c.relname = $2 AND ($1 = '' OR n.nspname = $1) AND n.nspname !~ '^pg_' "                      \
	"ORDER BY n.nspname <> 'public', c.oid LIMIT 1)"

static const char *column_type(const char *schema, const char *table, const char *column, void *arg)
{
	return ask(arg,
	    "SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a "
	    "WHERE a.attrelid = " RELATION " AND a.attname = $3 AND NOT a.attisdropped",
	    schema, table, column);
}

static char relation_kind(const char *schema, const char *name, void *arg)
{
	const char *kind = ask(
	    arg, "SELECT r.relkind FROM pg_catalog.pg_class r WHERE r.oid = " RELATION, schema, name, NULL);
	return kind != NULL ? kind[0] : 0;
}

static char volatility(const char *schema, const char *function, void *arg)
{
	const char *worst = ask(arg,
	    "SELECT pg_catalog.max(p.provolatile::text) FROM pg_catalog.pg_proc p JOIN "
	    "pg_catalog.pg_namespace n "
	    "ON n.oid = p.pronamespace WHERE p.proname = $2 AND ($1 = '' OR n.nspname = $1)",
	    schema, function, NULL);
	return worst != NULL ? worst[0] : 0;
}

static int checked_not_null(const char *schema, const char *table, const char *column, void *arg)
{
	const char *found = ask(arg,
	    "SELECT pg_catalog.count(*) FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a "
	    "ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum] WHERE k.conrelid = " RELATION
	    " AND a.attname = $3 AND k.contype = 'c' AND k.convalidated AND pg_catalog.pg_get_expr(k.conbin, "
	    "k.conrelid) = pg_catalog.format('(%I IS NOT NULL)', a.attname)",
	    schema, table, column);
	return found == NULL ? -1 : strcmp(found, "0") != 0;
}

void rehearse_facts_begin(struct rehearse *r)
{
	r->known = mem_zalloc(sizeof(*r->known));
	r->known->pq = r->pq;
	r->facts = (struct warn_facts){
	    .server_version = pq_now_server_version(r->pq),
	    .column_type = column_type,
	    .relation_kind = relation_kind,
	    .volatility = volatility,
	    .checked_not_null = checked_not_null,
	    .arg = r->known,
	};
}

void rehearse_facts_end(struct rehearse *r)
{
	mem_free(&r->known);
}
