/* What can be ordered. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "console_private.h"

#define OBSERVE_HINT "`mode: enforce` in the configuration, and a RELOAD, make a gate that holds."

void console_fail(struct connection *connection, const char *sqlstate, const char *message,
    const char *detail, const char *hint)
{
	wire_fail(connection->wire,
	    &(struct reply_error){.severity = "ERROR",
		.sqlstate = sqlstate,
		.message = message,
		.detail = detail,
		.hint = hint});
}

static struct keepers *keepers_of(const struct connection *connection)
{
	return connection->console->house->keepers;
}

struct keeper *console_keeper(struct connection *connection, const struct statement *statement)
{
	char name[STATEMENT_DATABASE], message[160];
	struct keeper *keeper = keepers_find(keepers_of(connection), statement->database);
	for (size_t i = 0; i < sizeof name; i++) {
		char c = statement->database[i];
		name[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	if (!keeper && !statement->database_quoted)
		keeper = keepers_find(keepers_of(connection), name);
	if (keeper)
		return keeper;
	snprintf(message, sizeof message, "no gate for a database \"%s\"", statement->database);
	console_fail(connection, "3D000", message, NULL, "SHOW GATES lists them.");
	return NULL;
}

/* All databases, or the one that is named. 0: an error was sent. Owned by the caller. */
static struct keeper **chosen(
    struct connection *connection, const struct statement *statement, unsigned *count)
{
	struct keepers *keepers = keepers_of(connection);
	struct keeper **list = mem_zalloc((keepers_count(keepers) + 1) * sizeof(struct keeper *));
	*count = 0;
	if (statement->database[0]) {
		list[0] = console_keeper(connection, statement);
		*count = list[0] ? 1 : 0;
		return list;
	}
	for (unsigned i = 0; i < keepers_count(keepers); i++)
		list[(*count)++] = keepers_at(keepers, i);
	if (*count == 0)
		console_fail(connection, "3D000", "there is no gate yet", NULL, NULL);
	return list;
}

static void hold_wait_free(struct hold_wait **at)
{
	if (!*at)
		return;
	mem_free(&(*at)->keepers);
	reply_free(&(*at)->answer.rows);
	mem_free(at);
}

/* Ends what a HOLD has begun so far. */
static void undo(struct connection *connection, const struct hold_wait *wait, const char *why)
{
	struct keepers *keepers = keepers_of(connection);
	connection->releasing = true;
	for (unsigned i = 0; keepers && i < keepers_count(keepers); i++) {
		struct keeper *keeper = keepers_at(keepers, i);
		struct keeper_status status;
		keeper_status(keeper, &status);
		for (unsigned k = 0; k < wait->count; k++) {
			if (wait->keepers[k] == keeper_id(keeper) && status.hold_id == wait->id)
				keeper_release(keeper, why);
		}
	}
	connection->releasing = false;
}

void console_abandon(struct connection *connection, const char *why)
{
	roll_cancel(&connection->roll);
	if (connection->runs) {
		connection->runs->connection = NULL;
		connection->runs = NULL;
	}
	struct hold_wait *wait = connection->hold;
	connection->hold = NULL;
	/* a detached order whose owner merely left goes on; `why` is then of its connection */
	if (wait && !(connection->dead && wait->id != connection->id))
		undo(connection, wait, why);
	hold_wait_free(&wait);
	console_upgrade_left(connection);
}

static void add_held_row(struct hold_wait *wait, const struct hold_news *news)
{
	char clients[16], ms[24];
	snprintf(clients, sizeof clients, "%u", news->clients);
	snprintf(ms, sizeof ms, "%" PRId64, (news->ns + CLOCK_MS - 1) / CLOCK_MS);
	const char *const values[] = {keeper_name(news->keeper), clients, ms};
	reply_data_row(&wait->answer.rows, values, 3);
	wait->answer.row_count++;
}

/* The place of a database in what a HOLD began; wait->count: none. */
static unsigned place_of(const struct hold_wait *wait, unsigned keeper)
{
	unsigned i = 0;
	while (i < wait->count && wait->keepers[i] != keeper)
		i++;
	return i;
}

void console_hold_told(struct connection *connection, const struct hold_news *news)
{
	struct hold_wait *wait = connection->hold;
	char message[400];
	bool awaited = wait && wait->id == news->id && place_of(wait, keeper_id(news->keeper)) < wait->count;
	if (!awaited) {
		if (news->ended && !connection->releasing) {
			snprintf(message, sizeof message, "the hold of %s has ended: %s",
			    keeper_name(news->keeper), news->why);
			wire_notice(connection->wire, "01000", message, news->detail);
		}
		return;
	}
	if (news->ended) {
		connection->hold = NULL;
		snprintf(message, sizeof message, "%s is not held: %s", keeper_name(news->keeper), news->why);
		undo(connection, wait, "another database could not be held");
		hold_wait_free(&wait);
		console_fail(connection, news->sqlstate, message, news->detail,
		    strcmp(news->sqlstate, "55P03") == 0 ? "All clients go on. A longer DRAIN TIMEOUT, or ON "
							   "TIMEOUT CANCEL or TERMINATE, may get there."
							 : NULL);
		return;
	}
	add_held_row(wait, news);
	if (--wait->left > 0)
		return;
	connection->hold = NULL;
	snprintf(wait->answer.tag, sizeof wait->answer.tag, "HELD");
	wire_answer(connection->wire, &wait->answer);
	hold_wait_free(&wait);
}

/* May all of them be held? A HOLD of everything passes over what only observes. */
static unsigned holdable(
    struct connection *connection, const struct statement *statement, struct keeper **list, unsigned count)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < count; i++) {
		if (statement->database[0] || !keeper_section(list[i])->observe)
			list[kept++] = list[i];
	}
	if (kept < count) {
		char message[100];
		snprintf(message, sizeof message, "in observe mode, and not held: %u of %u databases",
		    count - kept, count);
		wire_notice(connection->wire, "01000", message, NULL);
	}
	if (kept == 0)
		console_fail(connection, "55000", "there is no gate that holds: all are in observe mode",
		    NULL, OBSERVE_HINT);
	return kept;
}

void run_hold(struct connection *connection, const struct statement *statement)
{
	struct console *console = connection->console;
	if (console->stopping) {
		console_fail(connection, "57P03", "headgate is shutting down", NULL, NULL);
		return;
	}
	unsigned count;
	struct keeper **list = chosen(connection, statement, &count);
	if (count > 0)
		count = holdable(connection, statement, list, count);
	if (count == 0) {
		mem_free(&list);
		return;
	}
	struct hold_order order = {.id = statement->detached ? ++console->last_id : connection->id,
	    .owner = connection->owner,
	    .reason = statement->reason,
	    .drain_ns = statement->drain_ns,
	    .max_ns = statement->max_ns,
	    .on_timeout_given = statement->on_timeout_given,
	    .on_timeout = statement->on_timeout,
	    .detached = statement->detached,
	    .all = !statement->database[0]};
	struct hold_wait *wait = mem_zalloc(sizeof *wait);
	wait->id = order.id;
	wait->keepers = mem_zalloc(count * sizeof *wait->keepers);
	wait->began_ns = clock_now();
	char error[500];
	bool good = true, observes = false;
	for (unsigned i = 0; i < count && good; i++) {
		observes = keeper_section(list[i])->observe;
		good = keeper_hold(list[i], &order, error, sizeof error);
		if (good)
			wait->keepers[wait->count++] = keeper_id(list[i]);
	}
	mem_free(&list);
	wait->left = wait->count;
	if (!good) {
		undo(connection, wait, "another database could not be held");
		hold_wait_free(&wait);
		console_fail(connection, "55000", error, NULL,
		    observes ? OBSERVE_HINT : "RELEASE ends a hold, with FORCE one of another connection.");
		return;
	}
	connection->hold = wait;
}

static bool is_foreign(const struct connection *connection, const struct keeper_status *status)
{
	return status->hold_id && status->hold_id != connection->id && !status->hold_detached;
}

static void release_row(struct wire_answer *answer, const char *database, const struct keeper_status *status)
{
	char held[32];
	conf_duration_text(status->hold_age_ns / CLOCK_MS * CLOCK_MS, held, sizeof held);
	const char *const values[] = {database, status->hold_owner, held};
	reply_data_row(&answer->rows, values, 3);
	answer->row_count++;
}

void run_release(struct connection *connection, const struct statement *statement)
{
	unsigned count;
	struct keeper **list = chosen(connection, statement, &count);
	struct keeper_status status;
	char message[400];
	for (unsigned i = 0; i < count && !statement->force; i++) {
		keeper_status(list[i], &status);
		if (!is_foreign(connection, &status))
			continue;
		snprintf(
		    message, sizeof message, "%s is held by %s", keeper_name(list[i]), status.hold_owner);
		mem_free(&list);
		console_fail(connection, "55000", message, NULL,
		    "RELEASE ... FORCE ends a hold that another connection owns.");
		return;
	}
	struct wire_answer answer = {.tag = "RELEASE"};
	for (unsigned i = 0; i < count; i++) {
		keeper_status(list[i], &status);
		if (!status.hold_id)
			continue;
		bool forced = is_foreign(connection, &status);
		snprintf(
		    message, sizeof message, "released by %s%s", connection->owner, forced ? " (FORCE)" : "");
		release_row(&answer, keeper_name(list[i]), &status);
		connection->releasing = true;
		keeper_release(list[i], message);
		connection->releasing = false;
		if (status.run->id && status.run->holding) {
			snprintf(message, sizeof message, "%s is still held by run %" PRId64,
			    keeper_name(list[i]), status.run->id);
			wire_notice(connection->wire, "01000", message, NULL);
		}
	}
	mem_free(&list);
	if (count > 0)
		wire_answer(connection->wire, &answer);
}

void run_reload(struct connection *connection, const struct statement *statement)
{
	struct conf_errors errors = {0};
	(void)statement;
	if (house_reload(connection->console->house, connection->owner, &errors)) {
		struct wire_answer answer = {.tag = "RELOAD"};
		wire_answer(connection->wire, &answer);
		return;
	}
	char *detail = mem_strdup("");
	for (unsigned i = 0; i < errors.count; i++) {
		char *more = mem_printf("%s%s%s", detail, i ? "\n" : "", errors.lines[i]);
		mem_free(&detail);
		detail = more;
	}
	conf_errors_free(&errors);
	console_fail(
	    connection, "F0000", "the configuration is not taken: the one in force stays", detail, NULL);
	mem_free(&detail);
}

void run_shutdown(struct connection *connection, const struct statement *statement)
{
	struct wire_answer answer = {.tag = "SHUTDOWN"};
	wire_answer(connection->wire, &answer);
	house_shutdown(connection->console->house, statement->immediate, connection->owner);
}
