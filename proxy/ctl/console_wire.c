#include "console_wire.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "console_wire_private.h"

void wire_append(struct reply *reply, const void *bytes, size_t size)
{
	if (reply->room - reply->size < size) {
		reply->room = reply->size + size + reply->size / 2;
		reply->data = mem_realloc(reply->data, reply->room);
	}
	memcpy(reply->data + reply->size, bytes, size);
	reply->size += size;
}

bool body_text(struct body *body, const char **out)
{
	const uint8_t *end = body->left ? memchr(body->p, 0, body->left) : NULL;
	if (!end)
		return false;
	*out = (const char *)body->p;
	body->left -= (size_t)(end + 1 - body->p);
	body->p = end + 1;
	return true;
}

struct wire *wire_new(uint32_t pid, uint32_t key, const struct wire_handlers *handlers)
{
	struct wire *wire = mem_zalloc(sizeof *wire);
	wire->handlers = *handlers;
	wire->pid = pid;
	wire->key = key;
	wire->transaction = 'I';
	return wire;
}

void wire_free(struct wire **at)
{
	struct wire *wire = *at;
	if (!wire)
		return;
	extended_free(wire);
	mem_free(&wire->query);
	mem_free(&wire->in);
	reply_free(&wire->out);
	mem_free(at);
}

void wire_end(struct wire *wire, const struct reply_error *error)
{
	if (wire->state == WIRE_ENDED)
		return;
	if (error)
		reply_error(&wire->out, error);
	wire->state = WIRE_ENDED;
	wire->busy = false;
	wire->executing = NULL;
	if (!wire->inside)
		wire->handlers.output(wire, wire->handlers.arg);
}

static void violation(struct wire *wire, const char *message)
{
	wire_end(wire, &(struct reply_error){.severity = "FATAL", .sqlstate = "08P01", .message = message});
}

/* An error outside `run`: in an extended batch (extended) the rest of it is dropped. */
void wire_refuse(struct wire *wire, bool extended, const struct statement_error *error)
{
	reply_error(&wire->out,
	    &(struct reply_error){.severity = "ERROR",
		.sqlstate = error->sqlstate,
		.message = error->message,
		.hint = error->hint[0] ? error->hint : NULL});
	if (extended) {
		wire->state = WIRE_SKIPPING;
		return;
	}
	mem_free(&wire->query);
	reply_ready(&wire->out, wire->transaction);
}

void wire_describe(struct wire *wire, const struct statement *statement, bool extended)
{
	const char *const *names = NULL;
	unsigned count = 0;
	if (statement->command == COMMAND_COURTESY) {
		names = &statement->column;
		count = statement->column ? 1 : 0;
	} else if (statement->command != COMMAND_EMPTY) {
		count = wire->handlers.columns(statement->command, &names);
	}
	if (count > 0)
		reply_row_description(&wire->out, names, count);
	else if (extended)
		reply_bare(&wire->out, 'n');
}

static void proceed(struct wire *wire);

/* After an answer: goes on with what waited, if it came late. */
static void answered(struct wire *wire)
{
	wire->busy = false;
	wire->executing = NULL;
	if (wire->inside)
		return;
	proceed(wire);
	wire->handlers.output(wire, wire->handlers.arg);
}

void wire_answer(struct wire *wire, struct wire_answer *answer)
{
	if (!wire->busy)
		log_panic("console: an answer to no statement");
	if (wire->executing) {
		struct portal *portal = wire->executing;
		portal->rows = answer->rows;
		answer->rows = (struct reply){0};
		portal->rows_at = 0;
		snprintf(portal->tag, sizeof portal->tag, "%s", answer->tag);
		extended_answer(wire, portal);
	} else {
		wire_describe(wire, &wire->running, false);
		if (answer->rows.size)
			wire_append(&wire->out, answer->rows.data, answer->rows.size);
		reply_command_complete(&wire->out, answer->tag);
	}
	reply_free(&answer->rows);
	answered(wire);
}

void wire_fail(struct wire *wire, const struct reply_error *error)
{
	if (!wire->busy)
		log_panic("console: an error for no statement");
	reply_error(&wire->out, error);
	if (wire->executing) {
		wire->state = WIRE_SKIPPING;
	} else {
		mem_free(&wire->query);
		reply_ready(&wire->out, wire->transaction);
	}
	answered(wire);
}

void wire_notice(struct wire *wire, const char *sqlstate, const char *message, const char *detail)
{
	if (!wire->admitted || wire->state == WIRE_ENDED)
		return;
	reply_notice(&wire->out,
	    &(struct reply_error){
		.severity = "NOTICE", .sqlstate = sqlstate, .message = message, .detail = detail});
	if (!wire->inside)
		wire->handlers.output(wire, wire->handlers.arg);
}

/* What this file answers itself. */
static void answer_courtesy(struct wire *wire, const struct statement *statement)
{
	struct wire_answer answer = {.row_count = statement->column ? 1 : 0};
	if (statement->column)
		reply_data_row(&answer.rows, &statement->value, 1);
	snprintf(answer.tag, sizeof answer.tag, "%s", statement->tag);
	if (statement->transaction)
		wire->transaction = statement->transaction;
	wire_answer(wire, &answer);
}

void wire_run(struct wire *wire, const struct statement *statement, struct portal *portal)
{
	if (statement->command == COMMAND_EMPTY) {
		reply_bare(&wire->out, 'I');
		return;
	}
	wire->running = *statement;
	wire->executing = portal;
	wire->busy = true;
	if (statement->command == COMMAND_COURTESY)
		answer_courtesy(wire, &wire->running);
	else
		wire->handlers.run(wire, &wire->running, wire->handlers.arg);
}

/* The next statement of the Query message in hand. */
static void run_query(struct wire *wire)
{
	struct statement statement;
	struct statement_error error;
	bool first = wire->query_at == 0;
	switch (statement_parse(wire->query, &wire->query_at, &statement, &error)) {
	case STATEMENT_WRONG:
		wire_refuse(wire, false, &error);
		break;
	case STATEMENT_NONE:
		if (first)
			reply_bare(&wire->out, 'I');
		mem_free(&wire->query);
		reply_ready(&wire->out, wire->transaction);
		break;
	case STATEMENT_FOUND:
		/* "a;" is one statement: nothing between its end and the semicolon's is an empty one */
		if (statement.command != COMMAND_EMPTY)
			wire_run(wire, &statement, NULL);
		break;
	}
}

static bool on_query(struct wire *wire, struct body *body)
{
	const char *text;
	if (!body_text(body, &text) || body->left)
		return false;
	extended_drop_portals(wire);
	wire->query = mem_strdup(text);
	wire->query_at = 0;
	return true;
}

static void on_message(struct wire *wire, char type, struct body body)
{
	bool well = true;
	if (wire->state == WIRE_SKIPPING && type != 'S' && type != 'X')
		return;
	switch (type) {
	case 'Q':
		well = on_query(wire, &body);
		break;
	case 'P':
		well = extended_parse(wire, &body);
		break;
	case 'B':
		well = extended_bind(wire, &body);
		break;
	case 'D':
		well = extended_describe(wire, &body);
		break;
	case 'E':
		well = extended_execute(wire, &body);
		break;
	case 'C':
		well = extended_close(wire, &body);
		break;
	case 'S':
		wire->state = WIRE_READY;
		if (wire->transaction == 'I')
			extended_drop_portals(wire);
		reply_ready(&wire->out, wire->transaction);
		break;
	case 'F':
		reply_error(&wire->out,
		    &(struct reply_error){.severity = "ERROR",
			.sqlstate = "0A000",
			.message = "the console has no functions to call"});
		reply_ready(&wire->out, wire->transaction);
		break;
	case 'H': /* everything is sent at once anyway */
	case 'd': /* what is left of a COPY that never began */
	case 'c':
	case 'f':
		break;
	case 'X':
		wire->state = WIRE_ENDED;
		break;
	default:
		violation(wire, "unknown message type");
	}
	if (!well)
		violation(wire, "malformed message");
}

static void welcome(struct wire *wire, const struct startup *startup)
{
	const char *unknown[STARTUP_PARAMETERS];
	unsigned unknown_count = 0;
	for (unsigned i = 0; i < startup->count; i++) {
		if (strncmp(startup->parameters[i].name, "_pq_.", 5) == 0)
			unknown[unknown_count++] = startup->parameters[i].name;
	}
	if ((startup->version & 0xffff) != 0 || unknown_count > 0)
		reply_negotiate_protocol(&wire->out, 0x30000, unknown, unknown_count);
	const char *const statuses[][2] = {{"server_version", CONSOLE_SERVER_VERSION},
	    {"server_encoding", "UTF8"}, {"client_encoding", "UTF8"}, {"DateStyle", "ISO, MDY"},
	    {"IntervalStyle", "postgres"}, {"TimeZone", "UTC"}, {"integer_datetimes", "on"},
	    {"standard_conforming_strings", "on"}, {"is_superuser", "off"}, {"in_hot_standby", "off"},
	    {"default_transaction_read_only", "off"},
	    {"session_authorization", startup->user ? startup->user : ""},
	    {"application_name", startup->application_name ? startup->application_name : ""}};
	uint8_t key[4];
	frame_put32(key, wire->key);
	reply_authentication_ok(&wire->out);
	for (unsigned i = 0; i < sizeof statuses / sizeof *statuses; i++)
		reply_parameter_status(&wire->out, statuses[i][0], statuses[i][1]);
	reply_backend_key(&wire->out, wire->pid, key, sizeof key);
	reply_ready(&wire->out, 'I');
}

static void on_startup_message(struct wire *wire, const uint8_t *packet, size_t size)
{
	struct startup startup;
	const char *why = "malformed startup packet";
	if (!startup_parse(packet, size, &startup, &why)) {
		violation(wire, why);
		return;
	}
	struct reply_error refusal = {.severity = "FATAL", .sqlstate = "28000", .message = "not admitted"};
	if (!wire->handlers.admit(wire, &startup, &refusal, wire->handlers.arg)) {
		wire_end(wire, &refusal);
	} else {
		wire->admitted = true;
		wire->state = WIRE_READY;
		welcome(wire, &startup);
	}
	startup_free(&startup);
}

/* False: not all there yet. */
static bool take_startup(struct wire *wire)
{
	const uint8_t *p = wire->in + wire->in_at;
	size_t size = 0;
	const char *why = "malformed startup packet";
	enum startup_kind kind = startup_kind(p, wire->in_size - wire->in_at, &size, &why);
	if (kind == STARTUP_MORE)
		return false;
	wire->in_at += size;
	switch (kind) {
	case STARTUP_MORE:
		break;
	case STARTUP_SSL:
	case STARTUP_GSS:
		wire_append(&wire->out, "N", 1);
		break;
	case STARTUP_CANCEL:
		wire->state = WIRE_ENDED;
		if (size == 16)
			wire->handlers.cancel(
			    wire, frame_be32(p + 8), frame_be32(p + 12), wire->handlers.arg);
		break;
	case STARTUP_MESSAGE:
		on_startup_message(wire, p, size);
		break;
	case STARTUP_DIRECT_TLS:
	case STARTUP_BAD:
		violation(wire, kind == STARTUP_BAD ? why : "the console speaks no TLS");
		break;
	}
	return true;
}

static bool take_message(struct wire *wire)
{
	const uint8_t *p = wire->in + wire->in_at;
	size_t left = wire->in_size - wire->in_at;
	if (left < FRAME_HEADER)
		return false;
	uint32_t length = frame_be32(p + 1);
	if (length < 4 || length > WIRE_MESSAGE) {
		violation(
		    wire, length < 4 ? "malformed message" : "the console takes messages of at most 64 KiB");
		return true;
	}
	if (left - 1 < length)
		return false;
	wire->in_at += 1 + (size_t)length;
	on_message(wire, (char)p[0], (struct body){.p = p + FRAME_HEADER, .left = length - 4});
	return true;
}

static void proceed(struct wire *wire)
{
	wire->inside = true;
	while (!wire->busy && wire->state != WIRE_ENDED && wire->out.size - wire->out_at < OUTPUT_HIGH) {
		if (wire->query)
			run_query(wire);
		else if (!(wire->state == WIRE_STARTUP ? take_startup(wire) : take_message(wire)))
			break;
	}
	wire->inside = false;
}

uint8_t *wire_room(struct wire *wire, size_t *size)
{
	*size = 0;
	if (wire->state == WIRE_ENDED)
		return NULL;
	if (wire->in_at > 0) {
		memmove(wire->in, wire->in + wire->in_at, wire->in_size - wire->in_at);
		wire->in_size -= wire->in_at;
		wire->in_at = 0;
	}
	if (wire->in_size == wire->in_room && wire->in_room < WIRE_MESSAGE + FRAME_HEADER) {
		size_t room = wire->in_room ? wire->in_room * 2 : 1024;
		wire->in_room = room < WIRE_MESSAGE + FRAME_HEADER ? room : WIRE_MESSAGE + FRAME_HEADER;
		wire->in = mem_realloc(wire->in, wire->in_room);
	}
	*size = wire->in_room - wire->in_size;
	return *size ? wire->in + wire->in_size : NULL;
}

void wire_input(struct wire *wire, size_t size)
{
	wire->in_size += size;
	proceed(wire);
}

const uint8_t *wire_output(const struct wire *wire, size_t *size)
{
	*size = wire->out.size - wire->out_at;
	return *size ? wire->out.data + wire->out_at : NULL;
}

void wire_sent(struct wire *wire, size_t size)
{
	wire->out_at += size;
	if (wire->out_at == wire->out.size) {
		wire->out.size = wire->out_at = 0;
		if (wire->out.room > OUTPUT_HIGH)
			reply_free(&wire->out);
	}
	proceed(wire);
}

bool wire_ended(const struct wire *wire)
{
	return wire->state == WIRE_ENDED;
}

bool wire_admitted(const struct wire *wire)
{
	return wire->admitted;
}

bool wire_busy(const struct wire *wire)
{
	return wire->busy;
}

bool wire_key_is(const struct wire *wire, uint32_t pid, uint32_t key)
{
	return wire->admitted && wire->pid == pid && wire->key == key;
}
