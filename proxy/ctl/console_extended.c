#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "console_wire_private.h"

static bool take_16(struct body *body, unsigned *out)
{
	if (body->left < 2)
		return false;
	*out = (unsigned)body->p[0] << 8 | body->p[1];
	body->p += 2;
	body->left -= 2;
	return true;
}

static bool take_32(struct body *body, uint32_t *out)
{
	if (body->left < 4)
		return false;
	*out = frame_be32(body->p);
	body->p += 4;
	body->left -= 4;
	return true;
}

static bool take_byte(struct body *body, char *out)
{
	if (body->left < 1)
		return false;
	*out = (char)body->p[0];
	body->p++;
	body->left--;
	return true;
}

static void prepared_free(struct prepared **at)
{
	if (!*at)
		return;
	mem_free(&(*at)->name);
	mem_free(at);
}

static void portal_free(struct portal **at)
{
	if (!*at)
		return;
	mem_free(&(*at)->name);
	reply_free(&(*at)->rows);
	mem_free(at);
}

void extended_drop_portals(struct wire *wire)
{
	for (unsigned i = 0; i < PORTALS; i++)
		portal_free(&wire->portals[i]);
}

void extended_free(struct wire *wire)
{
	extended_drop_portals(wire);
	for (unsigned i = 0; i < STATEMENTS; i++)
		prepared_free(&wire->statements[i]);
}

/* The place that holds `name`, or else a free one, or else NULL. */
static struct prepared **prepared_place(struct wire *wire, const char *name)
{
	struct prepared **free_place = NULL;
	for (unsigned i = 0; i < STATEMENTS; i++) {
		if (!wire->statements[i])
			free_place = free_place ? free_place : &wire->statements[i];
		else if (strcmp(wire->statements[i]->name, name) == 0)
			return &wire->statements[i];
	}
	return free_place;
}

static struct portal **portal_place(struct wire *wire, const char *name)
{
	struct portal **free_place = NULL;
	for (unsigned i = 0; i < PORTALS; i++) {
		if (!wire->portals[i])
			free_place = free_place ? free_place : &wire->portals[i];
		else if (strcmp(wire->portals[i]->name, name) == 0)
			return &wire->portals[i];
	}
	return free_place;
}

static void refuse_text(struct wire *wire, const char *sqlstate, const char *message, const char *hint)
{
	struct statement_error error = {.sqlstate = sqlstate};
	snprintf(error.message, sizeof error.message, "%s", message);
	snprintf(error.hint, sizeof error.hint, "%s", hint ? hint : "");
	wire_refuse(wire, true, &error);
}

/* Copies DataRow messages of a portal to the output, up to what Execute asked for. True: that was all. */
static bool emit_rows(struct wire *wire, struct portal *portal)
{
	struct reply *rows = &portal->rows;
	size_t from = portal->rows_at;
	for (uint32_t n = 0; portal->rows_at < rows->size; n++) {
		if (wire->execute_rows && n == wire->execute_rows)
			break;
		portal->rows_at += 1 + frame_be32(rows->data + portal->rows_at + 1);
	}
	if (portal->rows_at > from)
		wire_append(&wire->out, rows->data + from, portal->rows_at - from);
	return portal->rows_at == rows->size;
}

void extended_answer(struct wire *wire, struct portal *portal)
{
	if (!emit_rows(wire, portal)) {
		reply_bare(&wire->out, 's');
		return;
	}
	reply_free(&portal->rows);
	portal->rows_at = 0;
	reply_command_complete(&wire->out, portal->tag);
}

static void no_parameters(struct wire *wire)
{
	refuse_text(wire, "0A000", "the console's statements take no parameters",
	    "Write the values into the text of the statement.");
}

bool extended_parse(struct wire *wire, struct body *body)
{
	const char *name, *text;
	unsigned types;
	if (!body_text(body, &name) || !body_text(body, &text) || !take_16(body, &types) ||
	    body->left != 4 * (size_t)types)
		return false;
	if (types) {
		no_parameters(wire);
		return true;
	}
	struct statement statement = {.command = COMMAND_EMPTY}, second;
	struct statement_error error;
	size_t at = 0;
	enum statement_found found = statement_parse(text, &at, &statement, &error);
	enum statement_found after =
	    found == STATEMENT_FOUND ? statement_parse(text, &at, &second, &error) : STATEMENT_NONE;
	if (found == STATEMENT_WRONG) {
		wire_refuse(wire, true, &error);
		return true;
	}
	if (after != STATEMENT_NONE) {
		refuse_text(wire, "42601", "cannot insert multiple commands into a prepared statement", NULL);
		return true;
	}
	struct prepared **place = prepared_place(wire, name);
	if (!place) {
		refuse_text(wire, "54000", "too many prepared statements", "Close some.");
		return true;
	}
	if (*place && name[0]) {
		refuse_text(wire, "42P05", "a prepared statement of this name exists", NULL);
		return true;
	}
	prepared_free(place);
	*place = mem_zalloc(sizeof **place);
	(*place)->name = mem_strdup(name);
	(*place)->statement = statement;
	reply_bare(&wire->out, '1');
	return true;
}

bool extended_bind(struct wire *wire, struct body *body)
{
	const char *name, *statement;
	unsigned formats, parameters, results;
	if (!body_text(body, &name) || !body_text(body, &statement) || !take_16(body, &formats) ||
	    body->left < 2 * (size_t)formats)
		return false;
	body->p += 2 * (size_t)formats;
	body->left -= 2 * (size_t)formats;
	if (!take_16(body, &parameters))
		return false;
	if (parameters) {
		no_parameters(wire);
		return true;
	}
	/* text is the same bytes in both formats: which one is asked for does not matter */
	if (!take_16(body, &results) || body->left != 2 * (size_t)results)
		return false;
	struct prepared **prepared = prepared_place(wire, statement);
	if (!prepared || !*prepared) {
		refuse_text(wire, "26000", "there is no prepared statement of this name", NULL);
		return true;
	}
	struct portal **place = portal_place(wire, name);
	if (!place) {
		refuse_text(wire, "54000", "too many portals", "Send Sync, or close some.");
		return true;
	}
	if (*place && name[0]) {
		refuse_text(wire, "42P03", "a portal of this name exists", NULL);
		return true;
	}
	portal_free(place);
	*place = mem_zalloc(sizeof **place);
	(*place)->name = mem_strdup(name);
	(*place)->statement = (*prepared)->statement;
	reply_bare(&wire->out, '2');
	return true;
}

bool extended_describe(struct wire *wire, struct body *body)
{
	char kind;
	const char *name;
	if (!take_byte(body, &kind) || !body_text(body, &name) || body->left || (kind != 'S' && kind != 'P'))
		return false;
	struct prepared **prepared = kind == 'S' ? prepared_place(wire, name) : NULL;
	struct portal **portal = kind == 'P' ? portal_place(wire, name) : NULL;
	if (prepared && *prepared) {
		reply_parameter_description(&wire->out, 0);
		wire_describe(wire, &(*prepared)->statement, true);
	} else if (portal && *portal) {
		wire_describe(wire, &(*portal)->statement, true);
	} else {
		refuse_text(
		    wire, kind == 'S' ? "26000" : "34000", "there is nothing of this name to describe", NULL);
	}
	return true;
}

bool extended_execute(struct wire *wire, struct body *body)
{
	const char *name;
	uint32_t rows;
	if (!body_text(body, &name) || !take_32(body, &rows) || body->left)
		return false;
	struct portal **place = portal_place(wire, name);
	if (!place || !*place) {
		refuse_text(wire, "34000", "there is no portal of this name", NULL);
		return true;
	}
	struct portal *portal = *place;
	/* a negative count means all, as zero does */
	wire->execute_rows = rows > INT32_MAX ? 0 : rows;
	if (portal->executed) {
		extended_answer(wire, portal);
		return true;
	}
	portal->executed = portal->statement.command != COMMAND_EMPTY;
	wire_run(wire, &portal->statement, portal);
	return true;
}

bool extended_close(struct wire *wire, struct body *body)
{
	char kind;
	const char *name;
	if (!take_byte(body, &kind) || !body_text(body, &name) || body->left || (kind != 'S' && kind != 'P'))
		return false;
	struct prepared **prepared = kind == 'S' ? prepared_place(wire, name) : NULL;
	struct portal **portal = kind == 'P' ? portal_place(wire, name) : NULL;
	if (prepared)
		prepared_free(prepared);
	if (portal)
		portal_free(portal);
	reply_bare(&wire->out, '3');
	return true;
}
