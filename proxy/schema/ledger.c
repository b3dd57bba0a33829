#include "schema/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* The graph's serial came with ledger 0002: by way of JSON a missing column is NULL and no error. */
const char ledger_renew_sql[] =
    "SELECT r.run_id, r.holding, r.who, r.reason, r.from_heads, r.target, r.unresolved_text, r.pins, "
    "pg_catalog.to_jsonb(r) ->> 'graph_serial' FROM headgate.renew($1, $2, $3, $4, $5, $6) AS r";
enum { RUN_ID, HOLDING, WHO, REASON, FROM_HEADS, TARGET, UNRESOLVED, PINS, GRAPH_SERIAL, RENEWAL_COLUMNS };

const char ledger_probe_sql[] =
    "SELECT pg_catalog.pg_is_in_recovery(), p.oid IS NOT NULL, "
    "COALESCE(pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND "
    "pg_catalog.has_function_privilege(p.oid, 'EXECUTE'), false), "
    "current_user, pg_catalog.current_database(), "
    "COALESCE(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false) AND "
    "(SELECT pg_catalog.count(*) = 2 FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid "
    "AND c.relname IN ('graph', 'revision') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')) "
    "FROM (SELECT 1) AS always LEFT JOIN (pg_catalog.pg_namespace n JOIN "
    "pg_catalog.pg_proc p ON p.pronamespace = n.oid "
    "AND p.proname = 'renew') ON n.nspname = 'headgate' LIMIT 1";
enum { STANDBY, PRESENT, ALLOWED, ROLE, DATABASE, GRAPH, PROBE_COLUMNS };

static const char *cell(const struct reader_rows *rows, unsigned column)
{
	return rows->cell(rows->handle, 0, column);
}

static bool is_true(const char *value)
{
	return value != NULL && strcmp(value, "t") == 0;
}

bool ledger_probe_read(const struct reader_rows *rows, struct ledger_probe *out)
{
	if (rows->rows != 1 || rows->columns != PROBE_COLUMNS)
		return false;
	*out = (struct ledger_probe){.standby = is_true(cell(rows, STANDBY)),
	    .present = is_true(cell(rows, PRESENT)),
	    .allowed = is_true(cell(rows, ALLOWED)),
	    .role = cell(rows, ROLE),
	    .database = cell(rows, DATABASE),
	    .graph = is_true(cell(rows, GRAPH))};
	return true;
}

static char *text_of(const char *value)
{
	return value != NULL && value[0] != '\0' ? mem_strdup(value) : NULL;
}

/* The ledger is the operators' own, but a head is a head: what is none is left out. */
static bool heads_of(const char *value, struct heads *out)
{
	const char *why;
	return value != NULL && (value[0] == '\0' || heads_parse(value, strlen(value), out, &why));
}

/* "head milliseconds" */
static void pin_add(struct ledger_renewal *out, const char *line, size_t n, int64_t now_ns)
{
	const char *why, *blank = memchr(line, ' ', n);
	struct gate_pin pin = {.heads = heads_none()};
	if (blank == NULL || !heads_parse(line, (size_t)(blank - line), &pin.heads, &why))
		return;
	/* A pin of more than a century has no end: no overflow whatever was entered. */
	const int64_t longest_ms = INT64_C(100) * 366 * 86400 * 1000;
	int64_t left_ms = strtoll(blank + 1, NULL, 10);
	pin.until_ns = left_ms < 0 || left_ms > longest_ms ? INT64_MAX : now_ns + left_ms * CLOCK_MS;
	out->pins = mem_realloc(out->pins, (out->pin_count + 1) * sizeof(pin));
	out->pins[out->pin_count++] = pin;
}

bool ledger_renewal_read(const struct reader_rows *rows, int64_t now_ns, struct ledger_renewal *out)
{
	*out = (struct ledger_renewal){.pins = NULL};
	if (rows->rows != 1 || rows->columns != RENEWAL_COLUMNS)
		return false;
	if (cell(rows, RUN_ID) != NULL) {
		out->run.id = strtoll(cell(rows, RUN_ID), NULL, 10);
		out->run.holding = is_true(cell(rows, HOLDING));
		out->run.who = text_of(cell(rows, WHO));
		out->run.reason = text_of(cell(rows, REASON));
		(void)heads_of(cell(rows, FROM_HEADS), &out->run.from);
		out->run.target_known = heads_of(cell(rows, TARGET), &out->run.target);
	}
	out->unresolved = text_of(cell(rows, UNRESOLVED));
	out->graph = cell(rows, GRAPH_SERIAL) != NULL;
	for (const char *line = cell(rows, PINS); line != NULL && *line != '\0';) {
		size_t n = strcspn(line, "\n");
		pin_add(out, line, n, now_ns);
		line += n + (line[n] != '\0');
	}
	return true;
}

void ledger_renewal_free(struct ledger_renewal *renewal)
{
	heads_free(&renewal->run.from);
	heads_free(&renewal->run.target);
	mem_free(&renewal->run.who);
	mem_free(&renewal->run.reason);
	mem_free(&renewal->unresolved);
	for (unsigned i = 0; i < renewal->pin_count; i++)
		heads_free(&renewal->pins[i].heads);
	mem_free(&renewal->pins);
	*renewal = (struct ledger_renewal){.pins = NULL};
}
