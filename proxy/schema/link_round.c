/* One round of the link: what it sends, what the answers mean, and what follows from them. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "link_private.h"

void link_round_reset(struct link_round *round)
{
	ledger_renewal_free(&round->renewal);
	recorded_free(&round->recorded);
	mem_free(&round->role);
	mem_free(&round->database);
	mem_free(&round->trouble);
	mem_free(&round->mark);
	mem_free(&round->mark_trouble);
	*round = (struct link_round){.active = false};
}

static const char *result_cell(const void *handle, unsigned row, unsigned column)
{
	return pq_value(handle, (int)row, (int)column);
}

static struct reader_rows rows_of(const struct pq_result *result)
{
	return (struct reader_rows){.rows = (unsigned)result->rows,
	    .columns = (unsigned)result->columns,
	    .cell = result_cell,
	    .handle = result};
}

void link_round_failed(struct link_round *round, const char *what, const char *sqlstate, const char *message)
{
	if (round->trouble != NULL)
		return;
	round->trouble = mem_printf("%s: %s", what, message);
	snprintf(round->sqlstate, sizeof(round->sqlstate), "%s", sqlstate);
}

/* What a renewal answers when the ledger went away, or was never there, or is not ours to use: no such
 * function, schema or table, no right, a server that became a standby. */
static bool means_no_ledger(const char *sqlstate)
{
	static const char *const codes[] = {"42883", "3F000", "42P01", "42501", "25006"};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i], sqlstate) == 0)
			return true;
	return false;
}

static void on_renewal(const struct pq_result *result, void *arg)
{
	struct link *link = arg;
	struct link_round *round = &link->round;
	const struct reader_rows rows = rows_of(result);
	if (result->ok && ledger_renewal_read(&rows, round->sent_ns, &round->renewal)) {
		round->heard = true;
		return;
	}
	bool gone = result->ok || means_no_ledger(result->sqlstate);
	if (gone)
		link->ledger = false; /* the next round asks what there is */
	char *why =
	    mem_printf("%s%s", result->ok ? "an answer that is none of our ledger's" : result->message,
		gone ? "; if that stays, run `headgate init`" : "");
	link_round_failed(round, "the ledger", result->sqlstate, why);
	mem_free(&why);
}

static void on_probe(const struct pq_result *result, void *arg)
{
	struct link *link = arg;
	struct link_round *round = &link->round;
	const struct reader_rows rows = rows_of(result);
	if (!result->ok || !ledger_probe_read(&rows, &round->probe)) {
		link_round_failed(
		    round, "the ledger", result->sqlstate, result->ok ? "no answer" : result->message);
		return;
	}
	round->role = mem_strdup(round->probe.role != NULL ? round->probe.role : "?");
	round->database = mem_strdup(round->probe.database != NULL ? round->probe.database : "?");
	round->probe.role = round->probe.database = NULL;
	round->heard = true;
}

static void on_begin(const struct pq_result *result, void *arg)
{
	struct link *link = arg;
	if (!result->ok)
		link_round_failed(&link->round, "the reading", result->sqlstate, result->message);
}

static void on_reading(const struct pq_result *result, void *arg)
{
	struct link *link = arg;
	struct link_round *round = &link->round;
	const struct reader_rows rows = rows_of(result);
	if (result->ok) {
		reader_recorded(&link->section->recorded, &rows, &round->recorded);
		round->read = true;
	} else {
		round->read = reader_failed(result->sqlstate, result->message, &round->recorded);
		if (!round->read)
			link_round_failed(round, "the reading", result->sqlstate, result->message);
	}
}

static void on_listening(const struct pq_result *result, void *arg)
{
	struct link *link = arg;
	if (!result->ok) {
		link->listening = false;
		log_warning(link->object, "cannot LISTEN: %s", result->message);
	}
}

/* Before the next reading is sent, so that no change falls between the two. */
static void hear_nudges(struct link *link)
{
	if (link->listening)
		return;
	link->listening = true;
	pq_query(link->pq, "LISTEN " LEDGER_CHANNEL, NULL, 0, on_listening, link);
}

/* What the probe says of the ledger. True: the reading alone may carry the lease. */
static bool without_ledger(struct link *link)
{
	struct link_round *round = &link->round;
	const struct ledger_probe *probe = &round->probe;
	struct link_news *news = &link->picture.news;
	char *trouble = NULL;
	bool lease = true;

	if (!probe->standby && !link->listening) {
		hear_nudges(link);
		round->again = true;
	}
	link_set_flag(link, &news->standby, probe->standby);
	if (link_graph_found(link, probe->graph) && probe->standby) {
		round->again = round->untold = true;
		lease = false;
	}
	if (!probe->standby && probe->present && probe->allowed) {
		/* A run may be active: no lease before the first renewal has seen that there is none. */
		link->ledger = true;
		round->again = true;
		link_set_trouble(link, "", NULL);
		return false;
	}
	link_set_flag(link, &news->registered, false);
	if (probe->standby) {
		trouble = mem_strdup("the control link is on a standby: no run can be seen from there");
	} else if (!probe->present) {
		trouble = mem_printf(
		    "no ledger in database %s: run `headgate init`; until then no run can be conducted",
		    round->database);
	} else {
		/* There can be runs, and we would not see them. */
		lease = false;
		trouble = mem_printf("role %s may not use the ledger in database %s: run `headgate init`",
		    round->role, round->database);
	}
	link_set_trouble(link, probe->present && !probe->standby ? "42501" : "", trouble);
	mem_free(&trouble);
	return lease;
}

/* What was left half way shuts the gate whatever the tool's own table says. */
static void apply_unresolved(struct link_round *round)
{
	if (round->renewal.unresolved == NULL)
		return;
	round->recorded.state = RECORDED_FAILED;
	mem_free(&round->recorded.detail);
	round->recorded.detail = mem_strdup(round->renewal.unresolved);
	round->recorded.by_run = true;
}

/* Publishes a good round. While the gate was fresh the owner hears first and the lease grows then, so that no
 * old view lives on the new lease; a gate that was not fresh needs the lease first, or its new view would
 * find it run out. False: the owner stopped us. */
static bool publish(struct link *link)
{
	struct link_news *news = &link->picture.news;
	int64_t deadline_ns = link->round.sent_ns + link->section->lease_ns;
	bool was_fresh = news->fresh;

	if (was_fresh && !link_tell(link, false))
		return false;
	atomic_store_explicit(&link->lease->deadline_ns, deadline_ns, memory_order_release);
	const struct timeval tv = clock_timeval(deadline_ns - clock_now());
	event_add(link->expiry, &tv);
	link_set_flag(link, &news->fresh, true);
	bool starved = atomic_exchange_explicit(&link->lease->starved, false, memory_order_acq_rel);
	return link_tell(link, starved);
}

/* What is read counts, and the owner hears it. False: the owner stopped us. */
static bool take(struct link *link)
{
	struct link_round *round = &link->round;

	if (round->renewal.run.id != link->acked_run)
		link->acked_run = 0;
	link_set_run(link, &round->renewal.run);
	link_set_pins(link, &round->renewal.pins, &round->renewal.pin_count);
	link_set_recorded(link, &round->recorded);
	return publish(link);
}

void link_round_end(struct link *link)
{
	struct link_round *round = &link->round;
	bool failed = round->trouble != NULL;

	if (failed) {
		link_set_trouble(link, round->sqlstate, round->trouble);
		if (!link->ledger)
			link_set_flag(link, &link->picture.news.registered, false);
	}
	bool lives = round->lease && !failed ? take(link) : round->untold || link_tell(link, false);
	if (!lives)
		return;
	round->active = false;
	if (round->again)
		link_round_begin(link);
	else
		link_timer(link, round->sent_ns + link_interval_ns(link) - clock_now());
}

void link_round_answered(struct link *link)
{
	struct link_round *round = &link->round;
	struct link_news *news = &link->picture.news;

	/* Still active: what the owner asks for while it is told is done in the next round. */
	link_set_flag(link, &news->connected, true);
	if (round->trouble == NULL && (!round->heard || !round->read))
		link_round_failed(round, "the reading", "", "no answer");
	if (round->trouble != NULL) {
		link_round_end(link);
		return;
	}
	round->lease = true;
	if (round->probing) {
		round->lease = without_ledger(link);
	} else {
		apply_unresolved(round);
		link_set_flag(link, &news->registered, true);
		link_set_flag(link, &news->standby, false);
		link_set_trouble(link, "", NULL);
		if (link_graph_found(link, round->renewal.graph)) {
			round->again = round->untold = true;
			round->lease = false;
		}
	}
	link->renewed = true;
	link->backoff_ns = 0;
	if (round->lease)
		link_graph_settle(link);
	else
		link_round_end(link);
}

static void on_end(const struct pq_result *result, void *arg)
{
	(void)result;
	link_round_answered(arg);
}

static void send_renewal(struct link *link)
{
	char lease_ms[24], run[24];
	snprintf(lease_ms, sizeof(lease_ms), "%" PRId64, link->section->lease_ns / CLOCK_MS);
	snprintf(run, sizeof(run), "%" PRId64, link->acked_run);
	const char *const values[] = {link->proxy_id, link->proxy_name, HEADGATE_VERSION, lease_ms,
	    link->acked_run != 0 ? run : NULL, link->acked_run != 0 ? link->acked_pids : NULL};
	pq_query(link->pq, ledger_renew_sql, values, 6, on_renewal, link);
}

/* The renewal comes before the reading: what it says of runs is then never newer than the version read, and a
 * run that it did not see cannot have changed the version either (its coordinator waits for our lease). */
void link_round_begin(struct link *link)
{
	struct link_round *round = &link->round;
	link_round_reset(round);
	round->active = true;
	round->probing = !link->ledger;
	round->sent_ns = clock_now();

	if (link->ledger)
		send_renewal(link);
	else
		pq_query(link->pq, ledger_probe_sql, NULL, 0, on_probe, link);
	pq_query(link->pq, "BEGIN READ ONLY", NULL, 0, on_begin, link);
	pq_query(link->pq, link->reader_sql, NULL, 0, on_reading, link);
	/* The mark of the graph is read outside of the transaction, which a reading that fails (no version
	 * table) aborts; and after it, so that no head comes before its graph. */
	bool marking = link_graph_due(link);
	pq_query(link->pq, "COMMIT", NULL, 0, marking ? NULL : on_end, link);
	if (marking)
		link_graph_ask(link);
	link_timer(link, link->section->lease_ns);
}

void link_round_ask(struct link *link)
{
	if (link->round.active)
		link->round.again = true;
	else
		link_round_begin(link);
}
