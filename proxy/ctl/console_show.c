/* What can be looked at. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "console_private.h"

#define RUNS_SHOWN    20
#define RUNS_PATIENCE (5 * CLOCK_S)

static const char *const gates_columns[] = {"database", "gate", "state", "recorded", "accepted", "graph",
    "mode", "lease_left", "run", "hold_owner", "hold_reason", "drain_left", "hold_left", "clients", "busy",
    "held", "link", "trouble"};
static const char *const clients_columns[] = {"session", "worker", "database", "user", "application",
    "address", "state", "in_state", "head", "carrier", "transactions", "connected", "backend_pid", "server",
    "tls", "bytes_in", "bytes_out"};
static const char *const config_columns[] = {"key", "value", "standard"};
static const char *const version_columns[] = {"version"};
static const char *const help_columns[] = {"command", "who", "what"};
static const char *const hold_columns[] = {"database", "clients", "ms"};
static const char *const release_columns[] = {"database", "owner", "held"};
static const char *const upgrade_columns[] = {"database", "outcome", "run", "from", "to", "steps", "text"};

#define COUNT(array) (unsigned)(sizeof(array) / sizeof *(array))

static unsigned runs_columns(const char *const **names)
{
	static const char *columns[LINK_RUNS_COLUMNS + 1] = {"database"};
	for (unsigned i = 0; i < LINK_RUNS_COLUMNS; i++)
		columns[i + 1] = link_runs_names[i];
	*names = columns;
	return COUNT(columns);
}

unsigned console_columns(enum command command, const char *const **names)
{
	static const struct {
		const char *const *names;
		unsigned count;
	} all[COMMAND_COUNT] = {
	    [COMMAND_SHOW_GATES] = {gates_columns, COUNT(gates_columns)},
	    [COMMAND_SHOW_CLIENTS] = {clients_columns, COUNT(clients_columns)},
	    [COMMAND_SHOW_CONFIG] = {config_columns, COUNT(config_columns)},
	    [COMMAND_SHOW_VERSION] = {version_columns, COUNT(version_columns)},
	    [COMMAND_SHOW_HELP] = {help_columns, COUNT(help_columns)},
	    [COMMAND_HOLD] = {hold_columns, COUNT(hold_columns)},
	    [COMMAND_RELEASE] = {release_columns, COUNT(release_columns)},
	    [COMMAND_UPGRADE] = {upgrade_columns, COUNT(upgrade_columns)},
	};
	if (command == COMMAND_SHOW_RUNS)
		return runs_columns(names);
	if (command >= COMMAND_COUNT)
		return 0;
	*names = all[command].names;
	return all[command].count;
}

static void add_row(struct wire_answer *answer, const char *const *values, unsigned count)
{
	reply_data_row(&answer->rows, values, count);
	answer->row_count++;
}

static void finish(struct connection *connection, struct wire_answer *answer)
{
	snprintf(answer->tag, sizeof answer->tag, "SHOW");
	wire_answer(connection->wire, answer);
}

/* A span in milliseconds at most as exact: for people. */
static const char *span(int64_t ns, char *out, size_t size)
{
	int64_t unit = ns >= 10 * CLOCK_S ? CLOCK_S : CLOCK_MS;
	return conf_duration_text(ns / unit * unit, out, size);
}

struct accepted {
	char text[1200];
	size_t n;
	bool more;
};

static void accepted_add(const struct heads *set, void *arg)
{
	struct accepted *accepted = arg;
	size_t size = strlen(heads_text(set)) + 2,
	       room = sizeof accepted->text - sizeof ", ..." - accepted->n;
	if (accepted->more || size > room) {
		accepted->more = true;
		return;
	}
	accepted->n += (size_t)snprintf(
	    accepted->text + accepted->n, room, "%s%s", accepted->n ? ", " : "", heads_text(set));
}

static void accepted_text(const struct gate_view *view, struct accepted *out)
{
	*out = (struct accepted){.n = 0};
	if (view && gate_each_accepted(view, clock_now(), accepted_add, out))
		out->more = true;
	if (out->more)
		strcpy(out->text + out->n, out->n ? ", ..." : "...");
	else if (out->n == 0)
		strcpy(out->text, "none");
}

static void graph_text(const struct keeper_status *status, char *out, size_t size)
{
	const struct gate_graph *graph = status->view ? status->view->graph : NULL;
	if (graph)
		snprintf(out, size, "serial %" PRId64 ", %u revisions%s", graph->serial, graph->revisions,
		    status->view->at_recorded ? "" : ", without what is recorded");
	else if (status->graph_trouble)
		snprintf(out, size, "not used: %s", status->graph_trouble);
	else
		snprintf(out, size, "none");
}

static void run_text(const struct gate_run *run, char *out, size_t size)
{
	snprintf(out, size, "%" PRId64 "%s%s%s%s", run->id, run->who ? " by " : "", run->who ? run->who : "",
	    run->reason ? ": " : "", run->reason ? run->reason : "");
}

/* busy below zero: not known. */
static void gate_row(struct wire_answer *answer, const struct keeper *keeper, int busy)
{
	struct keeper_status s;
	struct accepted accepted;
	char graph[600], lease[32], run[300], drain[32], left[32], clients[16], held[16], busy_text[16],
	    detail[700];
	keeper_status(keeper, &s);
	accepted_text(s.view, &accepted);
	graph_text(&s, graph, sizeof graph);
	run_text(s.run, run, sizeof run);
	snprintf(clients, sizeof clients, "%u", s.clients);
	snprintf(held, sizeof held, "%u", s.held);
	snprintf(busy_text, sizeof busy_text, "%d", busy);
	if (s.recorded && s.recorded->detail)
		snprintf(detail, sizeof detail, "%.600s%s", s.recorded->detail,
		    s.recorded->by_run ? "; say what was done about it with `headgate resolve`" : "");
	const char *const values[COUNT(gates_columns)] = {
	    keeper_name(keeper),
	    s.gate,
	    s.recorded ? recorded_state_name(s.recorded->state) : "unknown",
	    s.recorded ? heads_text(&s.recorded->heads) : NULL,
	    accepted.text,
	    graph,
	    s.observe ? "observe" : "enforce",
	    s.lease_left_ns >= 0 ? span(s.lease_left_ns, lease, sizeof lease) : NULL,
	    s.run->id ? run : NULL,
	    s.hold_id ? s.hold_owner : NULL,
	    s.hold_id && s.hold_reason[0] ? s.hold_reason : NULL,
	    s.hold_id && s.drain_left_ns >= 0 ? span(s.drain_left_ns, drain, sizeof drain) : NULL,
	    s.hold_id ? span(s.hold_left_ns, left, sizeof left) : NULL,
	    clients,
	    busy >= 0 ? busy_text : NULL,
	    held,
	    s.link,
	    s.trouble[0]                           ? s.trouble
		: s.recorded && s.recorded->detail ? detail
						   : NULL,
	};
	add_row(answer, values, COUNT(gates_columns));
}

static void tell_missing(struct connection *connection, unsigned missing)
{
	char message[80];
	if (missing == 0)
		return;
	snprintf(message, sizeof message, "%u workers did not answer in time: their clients are not shown",
	    missing);
	wire_notice(connection->wire, "01000", message, NULL);
}

static void show_gates(
    struct connection *connection, const struct client_row *rows, unsigned count, unsigned missing)
{
	const struct keepers *keepers = connection->console->house->keepers;
	struct wire_answer answer = {0};
	for (unsigned k = 0; k < keepers_count(keepers); k++) {
		const struct keeper *keeper = keepers_at(keepers, k);
		int busy = 0;
		for (unsigned i = 0; i < count; i++) {
			if (strcmp(rows[i].database, keeper_name(keeper)) == 0)
				busy += rows[i].in_transaction;
		}
		gate_row(&answer, keeper, missing ? -1 : busy);
	}
	finish(connection, &answer);
}

static void client_row(struct wire_answer *answer, const struct client_row *row)
{
	char session[24], worker[16], in_state[32], transactions[24], connected[32], pid[16], in[24], out[24],
	    state[16];
	size_t n = 0;
	for (; row->state[n] && n + 1 < sizeof state; n++)
		state[n] =
		    row->state[n] >= 'A' && row->state[n] <= 'Z' ? (char)(row->state[n] + 32) : row->state[n];
	state[n] = '\0';
	/* parked with a query in its socket: somebody waits there */
	if (row->waiting && strcmp(state, "parked") == 0)
		snprintf(state, sizeof state, "waiting");
	snprintf(session, sizeof session, "%" PRIu64, row->session);
	snprintf(worker, sizeof worker, "%u", row->worker);
	snprintf(transactions, sizeof transactions, "%" PRId64, row->transactions);
	snprintf(pid, sizeof pid, "%" PRId32, row->backend_pid);
	snprintf(in, sizeof in, "%" PRIu64, row->bytes_in);
	snprintf(out, sizeof out, "%" PRIu64, row->bytes_out);
	const char *const values[COUNT(clients_columns)] = {session, worker, row->database, row->user,
	    row->application, row->address, state, span(row->state_ns, in_state, sizeof in_state),
	    row->head[0] ? row->head : NULL, row->carrier, transactions,
	    span(row->connected_ns, connected, sizeof connected), row->backend_pid ? pid : NULL,
	    row->server[0] ? row->server : NULL, row->tls[0] ? row->tls : NULL, in, out};
	add_row(answer, values, COUNT(clients_columns));
}

static void on_roll(const struct client_row *rows, unsigned count, unsigned missing, void *arg)
{
	struct connection *connection = arg;
	connection->roll = NULL;
	tell_missing(connection, missing);
	if (connection->roll_for == COMMAND_SHOW_GATES) {
		show_gates(connection, rows, count, missing);
		return;
	}
	struct wire_answer answer = {0};
	for (unsigned i = 0; i < count; i++)
		client_row(&answer, &rows[i]);
	finish(connection, &answer);
}

static void call_roll(struct connection *connection, enum command command)
{
	const struct house *house = connection->console->house;
	connection->roll_for = command;
	connection->roll = roll_start(house->base, house->workers, house->worker_count, on_roll, connection);
}

void run_show_gates(struct connection *connection, const struct statement *statement)
{
	call_roll(connection, statement->command);
}

void run_show_clients(struct connection *connection, const struct statement *statement)
{
	call_roll(connection, statement->command);
}

/* An answer by one database's ledger. */
struct runs_part {
	struct runs_gather *gather;
	char database[64];
};

static void settle(struct runs_gather *gather)
{
	struct connection *connection = gather->connection;
	if (connection) {
		gather->connection = NULL;
		connection->runs = NULL;
		if (gather->trouble[0])
			wire_notice(connection->wire, "01000", gather->trouble, NULL);
		finish(connection, &gather->answer);
	}
	if (gather->owed > 0)
		return;
	reply_free(&gather->answer.rows);
	event_free(gather->deadline);
	mem_free(&gather);
}

static void on_runs_late(evutil_socket_t fd, short what, void *arg)
{
	struct runs_gather *gather = arg;
	(void)fd;
	(void)what;
	snprintf(gather->trouble, sizeof gather->trouble, "%u ledgers did not answer in time", gather->owed);
	settle(gather);
}

static void on_runs(const char *const *cells, unsigned rows, unsigned columns, const char *error, void *arg)
{
	struct runs_part *part = arg;
	struct runs_gather *gather = part->gather;
	const char *values[LINK_RUNS_COLUMNS + 1] = {part->database};
	for (unsigned r = 0; r < rows && columns == LINK_RUNS_COLUMNS; r++) {
		for (unsigned c = 0; c < columns; c++)
			values[c + 1] = cells[r * columns + c];
		add_row(&gather->answer, values, COUNT(values));
	}
	if (error && error[0])
		snprintf(gather->trouble, sizeof gather->trouble, "%s: %s", part->database, error);
	mem_free(&part);
	if (--gather->owed == 0)
		settle(gather);
}

void run_show_runs(struct connection *connection, const struct statement *statement)
{
	const struct house *house = connection->console->house;
	struct runs_gather *gather = mem_zalloc(sizeof *gather);
	struct timeval tv = clock_timeval(RUNS_PATIENCE);
	(void)statement;
	gather->connection = connection;
	gather->deadline = evtimer_new(house->base, on_runs_late, gather);
	event_add(gather->deadline, &tv);
	connection->runs = gather;
	gather->owed = 1; /* ours, until all are asked: some answer at once */
	for (unsigned i = 0; i < keepers_count(house->keepers); i++) {
		struct keeper *keeper = keepers_at(house->keepers, i);
		struct runs_part *part = mem_zalloc(sizeof *part);
		part->gather = gather;
		snprintf(part->database, sizeof part->database, "%s", keeper_name(keeper));
		gather->owed++;
		keeper_runs(keeper, RUNS_SHOWN, on_runs, part);
	}
	if (--gather->owed == 0)
		settle(gather);
}

static void add_setting(const char *key, const char *value, const char *standard, void *arg)
{
	const char *const values[] = {key, value, standard};
	add_row(arg, values, COUNT(values));
}

void run_show_config(struct connection *connection, const struct statement *statement)
{
	struct wire_answer answer = {0};
	(void)statement;
	conf_each(connection->console->house->conf, add_setting, &answer);
	finish(connection, &answer);
}

void run_show_version(struct connection *connection, const struct statement *statement)
{
	struct wire_answer answer = {0};
	const char *version = "headgate " HEADGATE_VERSION;
	(void)statement;
	add_row(&answer, &version, 1);
	finish(connection, &answer);
}

void run_show_help(struct connection *connection, const struct statement *statement)
{
	static const struct {
		const char *synopsis, *what;
		enum console_right right;
	} all[] = {
#define COMMAND(id, name, who, synopsis, what, function) {synopsis, what, who},
#include "console_commands.def"
#undef COMMAND
	};
	struct wire_answer answer = {0};
	(void)statement;
	for (unsigned i = 0; i < COUNT(all); i++) {
		const char *const values[] = {
		    all[i].synopsis, all[i].right == RIGHT_OPERATOR ? "operators" : "viewers", all[i].what};
		add_row(&answer, values, COUNT(values));
	}
	finish(connection, &answer);
}
