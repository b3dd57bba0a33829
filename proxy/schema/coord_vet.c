/* Step 2: is anything in the way? It is found out, and said, before anybody is disturbed. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"
#include "coord_private.h"

/* How long after its lease a proxy may take to find a new ledger: two renewals. */
#define NEW_LEDGER_NS (2 * CLOCK_S)

static void refuse_transactions(struct coord *c, const struct pq_result *result)
{
	long long most_ms = c->request.max_transaction_ns / CLOCK_MS;
	int old = 0;
	for (int i = 0; i < coord_look_count(result); i++) {
		struct coord_backend backend = coord_look_at(result, i);
		if (!backend.transaction || backend.transaction_ms <= most_ms)
			continue;
		coord_warn(c, "a long transaction: %s", backend.text);
		old++;
	}
	coord_finish(c, COORD_REFUSED, 1,
	    mem_printf("refused: %d transaction%s older than %lld s; nobody was held", old,
		old == 1 ? " is" : "s are", most_ms / 1000),
	    "let them end, or end them, or allow more with --max-transaction-age");
}

static void on_ledger_age(struct coord *c, const struct pq_result *result)
{
	if (!result->ok)
		coord_trouble(c, "the ledger", result);
	else if (result->rows == 1 && coord_true(result, 0, 0))
		coord_say(c, NULL,
		    "the ledger is new: waiting until every proxy that served without it must have "
		    "registered");
	else
		coord_enter(
		    c, coord_of_steps(c) ? COORD_ANNOUNCING : COORD_READING_FROM, "nothing is in the way");
}

static void on_checked(struct coord *c, const struct pq_result *result)
{
	if (!result->ok) {
		coord_trouble(c, "the pre-check", result);
		return;
	}
	int prepared = coord_look_prepared(result);
	if (prepared > 0) {
		coord_finish(c, COORD_REFUSED, 1,
		    mem_printf(
			"refused: %d prepared transaction%s in this database hold%s locks; nobody was held",
			prepared, prepared == 1 ? "" : "s", prepared == 1 ? "s" : ""),
		    "SELECT gid, prepared, owner FROM pg_prepared_xacts; then COMMIT PREPARED or ROLLBACK "
		    "PREPARED");
		return;
	}
	/* The look is ordered by age. */
	if (c->request.max_transaction_ns > 0 && coord_look_count(result) > 0 &&
	    coord_look_at(result, 0).transaction_ms > c->request.max_transaction_ns / CLOCK_MS) {
		refuse_transactions(c, result);
		return;
	}
	/* A proxy that served before there was a ledger registers with its next renewal, and keeps until then
	 * what lease it had: it cannot be asked to drain. */
	char grace[24];
	snprintf(grace, sizeof(grace), "%" PRId64, (c->request.section->lease_ns + NEW_LEDGER_NS) / CLOCK_MS);
	/* A run of steps makes the ledger itself, and often there is no proxy at all: there one shows by its
	 * control link. */
	const char *const values[] = {grace, coord_of_steps(c) ? "true" : "false"};
	coord_ask(c,
	    "SELECT clock_timestamp() - v.applied_at < $1::bigint * interval '1 millisecond' FROM "
	    "headgate.version v WHERE v.version = 1 AND (NOT $2::boolean OR EXISTS (SELECT FROM "
	    "pg_stat_activity a WHERE a.datname = current_database() AND a.application_name = 'headgate'))",
	    values, 2, on_ledger_age);
}

/* Nobody is disturbed by a run that holds nobody. */
static void look(struct coord *c)
{
	if (coord_of_steps(c) && (!coord_holds(c) || c->plan.hold_end == 0))
		coord_enter(c, COORD_ANNOUNCING, "nobody will be held");
	else
		coord_look(c, PRESS_NOBODY, on_checked);
}

/* Replicas, logical ones too, that are behind; a base backup is none. One that is not streaming has no lag
 * that anybody knows, and whoever may not see it is told so by a NULL state. $1 in ms */
static const char lag_sql[] =
    "SELECT r.state IS NULL, format('%s%s, %s%s', COALESCE(NULLIF(r.application_name, ''), 'pid ' || r.pid), "
    "COALESCE(' on ' || host(r.client_addr), ''), r.state, "
    "CASE WHEN r.replay_lag IS NOT NULL THEN format(', %s s behind', "
    "round(extract(epoch FROM r.replay_lag)::numeric, 1)) ELSE '' END) "
    "FROM pg_stat_replication r WHERE r.state IS NULL OR (r.state <> 'backup' AND (r.state <> 'streaming' OR "
    "r.replay_lag > $1::bigint * interval '1 millisecond')) ORDER BY r.replay_lag DESC NULLS FIRST, 2";

static void on_lag(struct coord *c, const struct pq_result *result)
{
	enum { UNSEEN, LABEL };
	if (!result->ok) {
		coord_trouble(c, "the pre-check", result);
		return;
	}
	if (result->rows == 0) {
		look(c);
		return;
	}
	if (coord_true(result, 0, UNSEEN)) {
		coord_finish(c, COORD_REFUSED, 1,
		    mem_strdup("refused: this role may not see how far replicas are behind; nobody was held"),
		    "GRANT pg_read_all_stats to it, or do without --max-replica-lag");
		return;
	}
	for (int i = 0; i < result->rows; i++)
		coord_warn(c, "a replica is behind: %s", coord_text(result, i, LABEL));
	char most[32];
	conf_duration_text(c->request.max_replica_lag_ns, most, sizeof(most));
	coord_finish(c, COORD_REFUSED, 1,
	    mem_printf("refused: %d replica%s more than %s behind; nobody was held", result->rows,
		result->rows == 1 ? " is" : "s are", most),
	    "wait until they have caught up, or allow more with --max-replica-lag");
}

void coord_vet(struct coord *c)
{
	char most_ms[24];
	snprintf(most_ms, sizeof(most_ms), "%" PRId64, c->request.max_replica_lag_ns / CLOCK_MS);
	const char *const values[] = {most_ms};
	if (c->request.max_replica_lag_ns > 0)
		coord_ask(c, lag_sql, values, 1, on_lag);
	else
		look(c);
}
