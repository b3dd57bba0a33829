#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "coord_private.h"

/* One row a backend, at least one row (pid NULL: no backend) for the number of prepared transactions.
 * pg_cancel_backend() and pg_terminate_backend() fail the whole statement where a right is missing, so the
 * right is asked for first.
 *
 * $1 the run, $2 exempt roles, $3 what to do. A backend counts as acknowledged, or as a control link's, only
 * if it began before the proxy said so: the server uses process numbers again. */
static const char look_sql[] =
    "SELECT b.pid, b.acked, b.exempt, b.open, b.young, b.may, b.commands, b.xact_ms, x.prepared, b.label, "
    "CASE WHEN NOT b.may THEN false "
    "WHEN $3 = 'cancel open' AND b.open AND NOT b.exempt THEN pg_cancel_backend(b.pid) "
    "WHEN $3 = 'end open' AND b.open AND NOT b.exempt THEN pg_terminate_backend(b.pid) "
    "WHEN $3 = 'end strangers' AND NOT b.acked AND NOT b.exempt THEN pg_terminate_backend(b.pid) "
    "WHEN $3 = 'end old strangers' AND NOT b.acked AND NOT b.exempt AND NOT b.young THEN "
    "pg_terminate_backend(b.pid) "
    "WHEN $3 = 'end commands' AND b.commands THEN pg_terminate_backend(b.pid) "
    "ELSE false END AS ended "
    "FROM (SELECT count(*) AS prepared FROM pg_prepared_xacts WHERE database = current_database()) x "
    "LEFT JOIN (SELECT a.pid, "
    "EXISTS (SELECT FROM headgate.proxy p WHERE p.acked_run = $1::bigint AND a.pid = ANY (p.pids) AND "
    "a.backend_start <= p.seen_at) AS acked, "
    "COALESCE(a.usename = ANY ($2::text[]), false) AS exempt, "
    "a.xact_start IS NOT NULL AS open, "
    "a.backend_start > COALESCE((SELECT COALESCE(n.held_at, n.started_at) FROM headgate.run n WHERE n.run_id "
    "= $1::bigint), "
    "clock_timestamp()) - interval '1 second' AS young, "
    "me.rolsuper OR (NOT COALESCE(r.rolsuper, true) AND (pg_has_role(a.usesysid, 'USAGE') OR "
    "pg_has_role('pg_signal_backend', 'USAGE'))) AS may, "
    "a.application_name = 'headgate-run-' || $1 AS commands, "
    "COALESCE((extract(epoch FROM clock_timestamp() - a.xact_start) * 1000)::bigint, 0) AS xact_ms, "
    "format('pid %s (%s%s%s)%s%s', a.pid, a.usename, COALESCE('@' || host(a.client_addr), ''), "
    "CASE WHEN a.application_name <> '' THEN ', ' || a.application_name ELSE '' END, COALESCE(', ' || "
    "a.state, ''), "
    "CASE WHEN a.xact_start IS NOT NULL THEN format(', in a transaction for %s s', "
    "round(extract(epoch FROM clock_timestamp() - a.xact_start)::numeric, 1)) || format(', in its query for "
    "%s s', "
    "round(extract(epoch FROM clock_timestamp() - a.query_start)::numeric, 1)) ELSE '' END) AS label "
    "FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid, pg_roles me "
    "WHERE me.rolname = current_user AND a.datname = current_database() AND a.backend_type = 'client "
    "backend' AND a.pid <> pg_backend_pid() "
    "AND NOT EXISTS (SELECT FROM headgate.proxy p WHERE p.link_pid = a.pid AND a.backend_start <= p.seen_at) "
    "AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND " COORD_LOCK_IS(
	"l", COORD_PRESENT_LOCK) ")) b ON true "
				 "ORDER BY b.xact_ms DESC NULLS LAST, b.pid LIMIT 10000";
enum { PID, ACKED, EXEMPT, OPEN, YOUNG, MAY, COMMANDS, XACT_MS, PREPARED, LABEL, ENDED };

static const char *press_word(enum coord_press press)
{
	switch (press) {
	case PRESS_NOBODY:
		return "look";
	case PRESS_CANCEL_OPEN:
		return "cancel open";
	case PRESS_TERMINATE_OPEN:
		return "end open";
	case PRESS_TERMINATE_STRANGERS:
		return "end strangers";
	case PRESS_TERMINATE_OLD_STRANGERS:
		return "end old strangers";
	case PRESS_TERMINATE_COMMANDS:
		return "end commands";
	}
	return "look";
}

void coord_look(struct coord *c, enum coord_press press, coord_answer *answer)
{
	const struct conf_database *section = c->request.section;
	char *exempt =
	    coord_array((const char *const *)section->fence.exempt_roles, section->fence.exempt_count);
	const char *const values[] = {c->run_text != NULL ? c->run_text : "0", exempt, press_word(press)};
	coord_ask(c, look_sql, values, 3, answer);
	mem_free(&exempt);
}

int coord_look_count(const struct pq_result *result)
{
	return result->rows == 1 && pq_value(result, 0, PID) == NULL ? 0 : result->rows;
}

struct coord_backend coord_look_at(const struct pq_result *result, int row)
{
	return (struct coord_backend){
	    .pid = (int)coord_number(result, row, PID),
	    .text = coord_text(result, row, LABEL),
	    .acked = coord_true(result, row, ACKED),
	    .exempt = coord_true(result, row, EXEMPT),
	    .transaction = coord_true(result, row, OPEN),
	    .young = coord_true(result, row, YOUNG),
	    .ours_to_end = coord_true(result, row, MAY),
	    .of_command = coord_true(result, row, COMMANDS),
	    .ended = coord_true(result, row, ENDED),
	    .transaction_ms = coord_number(result, row, XACT_MS),
	};
}

int coord_look_prepared(const struct pq_result *result)
{
	return result->rows > 0 ? (int)coord_number(result, 0, PREPARED) : 0;
}
