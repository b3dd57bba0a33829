/* UPGRADE: a run of migrations whose files lie on this machine, conducted by `headgate upgrade` as a child of
 * ours. Its JSON lines become notices and the answer. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "child.h"
#include "console_private.h"

#define UPGRADES    8                   /* children at a time */
#define SAID_BYTES  2000                /* kept of what it says on stderr, for an error */
#define NOTICE_ROOM 262144              /* a psql that does not read gets no more notices */
#define GRACE_NS    (10 * 60 * CLOCK_S) /* to roll back, conclude and release */

struct upgrade_order {
	struct upgrade_order *next;
	struct console *console;
	struct connection *connection; /* NULL: it has left */
	struct child *child;
	char database[STATEMENT_DATABASE];
	bool dry_run;
	char said[SAID_BYTES];
	char *result; /* the last line of JSON */
	int status;
};

/* ---- one line of our own JSON (steps_show.c) ---- */

/* The text or number behind a key, unescaped. Inside of strings a quote is escaped, so the first place where
 * the key stands with bare quotes is the outermost one that was written first. False: it is null or not
 * there. */
static bool field(const char *line, const char *key, char *out, size_t size)
{
	char name[40];
	size_t n = 0;
	snprintf(name, sizeof name, "\"%s\": ", key);
	const char *at = strstr(line, name);
	while (at && at > line && at[-1] == '\\')
		at = strstr(at + 1, name);
	out[0] = '\0';
	if (!at)
		return false;
	at += strlen(name);
	bool text = *at == '"';
	at += text;
	for (; *at && n + 1 < size; at++) {
		if (text ? *at == '"' : strchr(",}\n", *at) != NULL)
			break;
		if (*at == '\\' && at[1] == 'u') {
			/* a control character, or what was no UTF-8 */
			out[n++] = '?';
			at += strnlen(at, 5) == 5 ? 5 : 1;
		} else if (*at == '\\' && at[1]) {
			at++;
			out[n++] = *at == 'n' ? '\n' : *at == 't' ? '\t' : *at;
		} else {
			out[n++] = *at;
		}
	}
	/* cut inside a character: none is better than half of one */
	while (n > 0 && *at && ((unsigned char)*at & 0xc0) == 0x80 && (unsigned char)out[n - 1] >= 0x80)
		n--;
	out[n] = '\0';
	if (!text && strcmp(out, "null") == 0) {
		out[0] = '\0';
		return false;
	}
	return true;
}

/* ---- telling ---- */

static void say(struct upgrade_order *order, const char *message)
{
	size_t waiting = 0;
	struct connection *connection = order->connection;
	log_info("console", "UPGRADE %s: %s", order->database, message);
	if (!connection || connection->dead)
		return;
	wire_output(connection->wire, &waiting);
	if (waiting < NOTICE_ROOM)
		wire_notice(connection->wire, "00000", message, NULL);
}

static void say_step(struct upgrade_order *order, const char *line)
{
	char state[16], n[16], of[16], kind[16], revision[80], text[200], what[300], ms[24], message[800];
	field(line, "state", state, sizeof state);
	field(line, "step", n, sizeof n);
	field(line, "steps", of, sizeof of);
	field(line, "kind", kind, sizeof kind);
	field(line, "revision", revision, sizeof revision);
	field(line, "message", text, sizeof text);
	field(line, "elapsed_ms", ms, sizeof ms);
	bool more = field(line, "what", what, sizeof what);
	/* told when it is done; before that only when there is something to say */
	if (strcmp(state, "running") == 0 && !more)
		return;
	snprintf(message, sizeof message, "[%s/%s] %s %s%s%s: %s, %s ms%s%s", n, of, kind, revision,
	    text[0] ? " " : "", text, state, ms, more ? ", " : "", what);
	say(order, message);
}

static void on_line(const char *line, bool errors, void *arg)
{
	struct upgrade_order *order = arg;
	char event[16], text[800];
	if (errors) {
		size_t have = strlen(order->said);
		snprintf(order->said + have, sizeof order->said - have, "%s%s", have ? "\n" : "", line);
		log_info("console", "UPGRADE %s: %s", order->database, line);
	} else if (order->dry_run) {
		say(order, line);
	} else if (field(line, "event", event, sizeof event) && strcmp(event, "progress") == 0) {
		if (field(line, "text", text, sizeof text))
			say(order, text);
	} else if (strcmp(event, "step") == 0) {
		say_step(order, line);
	} else if (strcmp(event, "result") == 0) {
		mem_free(&order->result);
		order->result = mem_strdup(line);
	}
}

/* Without a result it did not come to a run: what it said on stderr is why. */
static void answer_failure(struct upgrade_order *order)
{
	char text[800] = "", hint[400] = "", failure[800], file[200], line[24], sqlstate[8] = "",
	     left[600] = "", detail[1200] = "";
	if (!order->result) {
		char *first = order->said, *rest = strchr(first, '\n');
		if (rest)
			*rest++ = '\0';
		if (!first[0])
			snprintf(
			    order->said, sizeof order->said, "headgate upgrade ended with %d", order->status);
		console_fail(order->connection, "F0000", first, rest, NULL);
		return;
	}
	field(order->result, "text", text, sizeof text);
	field(order->result, "hint", hint, sizeof hint);
	const char *inner = strstr(order->result, "\"failure\": {");
	if (inner && field(inner, "error", failure, sizeof failure)) {
		field(inner, "file", file, sizeof file);
		field(inner, "line", line, sizeof line);
		field(inner, "sqlstate", sqlstate, sizeof sqlstate);
		field(inner, "left", left, sizeof left);
		snprintf(detail, sizeof detail, "%s:%s: %s", file, line, failure);
	}
	bool good = strlen(sqlstate) == 5 && strncmp(sqlstate, "00", 2) != 0;
	console_fail(order->connection, good ? sqlstate : "55000", text[0] ? text : "the run failed",
	    detail[0] ? detail : NULL,
	    hint[0]       ? hint
		: left[0] ? left
			  : NULL);
}

static void answer_success(struct upgrade_order *order)
{
	static const char *const keys[] = {"outcome", "run", "from", "to", "steps_done", "text"};
	char cells[6][800];
	const char *values[7] = {order->database};
	struct wire_answer answer = {.row_count = 1, .tag = "UPGRADE"};
	for (unsigned i = 0; i < 6; i++) {
		bool there = order->result && field(order->result, keys[i], cells[i], sizeof cells[i]);
		values[i + 1] = there ? cells[i] : NULL;
	}
	if (order->dry_run)
		values[1] = "dry run";
	reply_data_row(&answer.rows, values, 7);
	wire_answer(order->connection->wire, &answer);
}

/* ---- the child ---- */

static void order_free(struct upgrade_order **at)
{
	struct upgrade_order *order = *at;
	struct upgrade_order **place = &order->console->upgrades;
	while (*place != order)
		place = &(*place)->next;
	*place = order->next;
	if (order->connection)
		order->connection->upgrade = NULL;
	child_free(&order->child);
	mem_free(&order->result);
	mem_free(at);
}

static void on_done(int status, void *arg)
{
	struct upgrade_order *order = arg;
	struct connection *connection = order->connection;
	order->status = status;
	log_info("console", "UPGRADE %s ended with %d", order->database, status);
	if (connection && !connection->dead) {
		connection->upgrade = NULL;
		if (status == 0)
			answer_success(order);
		else
			answer_failure(order);
		order->connection = NULL;
	}
	order_free(&order);
}

static bool start(struct upgrade_order *order, const struct statement *statement)
{
	struct connection *connection = order->connection;
	const struct conf *conf = order->console->house->conf;
	char *who = mem_printf("HEADGATE_WHO=%.*s", (int)strcspn(connection->owner, " "), connection->owner);
	const char *const environment[] = {who, "DATABASE_URL", "HEADGATE_CONFIG", NULL};
	const char *words[12];
	unsigned n = 0;
	words[n++] = "/proc/self/exe";
	words[n++] = "upgrade";
	words[n++] = "-c";
	words[n++] = conf->path;
	words[n++] = "-d";
	words[n++] = order->database;
	words[n++] = statement->dry_run ? "--dry-run" : "--json";
	if (statement->reason[0]) {
		words[n++] = "-m";
		words[n++] = statement->reason;
	}
	words[n++] = "--";
	words[n++] = statement->target[0] ? statement->target : "head";
	words[n] = NULL;
	order->child = child_start(&(struct child_request){
	    .base = order->console->house->base,
	    .argv = (char *const *)(uintptr_t)words,
	    .environment = environment,
	    .grace_ns = GRACE_NS,
	    .line = on_line,
	    .done = on_done,
	    .arg = order,
	});
	log_info("console", "UPGRADE %s to %s, by %s", order->database, words[n - 1], connection->owner);
	mem_free(&who);
	return order->child != NULL;
}

static struct keeper *choose(struct connection *connection, const struct statement *statement)
{
	struct keepers *keepers = connection->console->house->keepers;
	if (statement->database[0])
		return console_keeper(connection, statement);
	if (keepers_count(keepers) == 1)
		return keepers_at(keepers, 0);
	console_fail(connection, "3D000", "which database?", NULL, "UPGRADE name. SHOW GATES lists them.");
	return NULL;
}

void run_upgrade(struct connection *connection, const struct statement *statement)
{
	struct console *console = connection->console;
	unsigned running = 0;
	for (const struct upgrade_order *o = console->upgrades; o; o = o->next)
		running++;
	if (console->stopping || running >= UPGRADES) {
		console_fail(connection, console->stopping ? "57P03" : "53300",
		    console->stopping ? "headgate is shutting down" : "too many upgrades at a time", NULL,
		    NULL);
		return;
	}
	struct keeper *keeper = choose(connection, statement);
	if (!keeper)
		return;
	if (!keeper_section(keeper)->migrations.dir) {
		console_fail(connection, "55000",
		    "this proxy knows no folder of migrations for this database", NULL,
		    "Name it in the configuration, as migrations.dir. Where the files are elsewhere: "
		    "`headgate upgrade` "
		    "there.");
		return;
	}
	struct upgrade_order *order = mem_zalloc(sizeof *order);
	order->console = console;
	order->connection = connection;
	order->dry_run = statement->dry_run;
	snprintf(order->database, sizeof order->database, "%s", keeper_name(keeper));
	order->next = console->upgrades;
	console->upgrades = order;
	connection->upgrade = order;
	if (!start(order, statement)) {
		order_free(&order);
		console_fail(connection, "53000", "no pipe can be had", NULL, NULL);
	}
}

void console_upgrade_left(struct connection *connection)
{
	if (connection->upgrade)
		connection->upgrade->connection = NULL;
	connection->upgrade = NULL;
}

void console_upgrade_cancel(struct connection *connection)
{
	child_stop(connection->upgrade->child);
}

void console_upgrades_stop(struct console *console)
{
	for (struct upgrade_order *order = console->upgrades; order; order = order->next)
		child_stop(order->child);
}

void console_upgrades_free(struct console *console)
{
	while (console->upgrades) {
		struct upgrade_order *order = console->upgrades;
		order_free(&order);
	}
}
