/* Types as people write them, and what changing one to the other costs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "warn_private.h"

/* PostgreSQL's name for what may be written otherwise. */
static const struct {
	const char *written, *name;
} type_names[] = {
    {"varchar", "character varying"},
    {"char varying", "character varying"},
    {"national character varying", "character varying"},
    {"char", "character"},
    {"bpchar", "character"},
    {"nchar", "character"},
    {"decimal", "numeric"},
    {"dec", "numeric"},
    {"int", "integer"},
    {"int4", "integer"},
    {"int8", "bigint"},
    {"int2", "smallint"},
    {"bool", "boolean"},
    {"float", "double precision"},
    {"float8", "double precision"},
    {"float4", "real"},
    {"varbit", "bit varying"},
    {"timestamp", "timestamp without time zone"},
    {"timestamptz", "timestamp with time zone"},
    {"time", "time without time zone"},
    {"timetz", "time with time zone"},
};

struct type {
	char name[64];
	int mods[2]; /* as written; -1: none */
	bool known, array;
};

/* How much is kept: a type's modifiers, unlimited where none are written. */
static const int unlimited = 1 << 30;

static struct type type_read(const char *text)
{
	struct type type = {.mods = {-1, -1}, .known = true};
	char plain[64] = "";
	size_t n = 0;

	if (strncasecmp(text, "pg_catalog.", 11) == 0)
		text += 11;
	for (const char *s = text; *s != '\0'; s++) {
		if (*s == '(' && type.mods[0] < 0) {
			char *end;
			type.mods[0] = (int)strtol(s + 1, &end, 10);
			if (*end == ',')
				type.mods[1] = (int)strtol(end + 1, &end, 10);
			if (*end != ')' || end == s + 1)
				type.known = false;
			s += strcspn(s, ")");
			if (*s == '\0')
				break;
		} else if (*s == '[') {
			type.array = true;
			break;
		} else if (n < sizeof(plain) - 1) {
			plain[n++] = *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;
		} else {
			type.known = false;
		}
	}
	plain[n] = '\0';
	snprintf(type.name, sizeof(type.name), "%s", plain);
	for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++)
		if (strcmp(plain, type_names[i].written) == 0)
			snprintf(type.name, sizeof(type.name), "%s", type_names[i].name);
	if (strcmp(plain, "float") == 0 && type.mods[0] >= 0) {
		if (type.mods[0] <= 24)
			snprintf(type.name, sizeof(type.name), "real");
		type.mods[0] = -1;
	}
	if ((strcmp(plain, "char") == 0 || strcmp(type.name, "bit") == 0) && type.mods[0] < 0)
		type.mods[0] = 1;
	return type;
}

static int type_limit(const struct type *type)
{
	return type->mods[0] < 0 ? unlimited : type->mods[0];
}

static bool type_is(const struct type *type, const char *name)
{
	return strcmp(type->name, name) == 0;
}

/* Types whose modifier is a bound that may be raised for nothing. */
static bool type_widens(const struct type *type)
{
	static const char *const names[] = {"character varying", "bit varying", "timestamp without time zone",
	    "timestamp with time zone", "time without time zone", "time with time zone"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (type_is(type, names[i]))
			return true;
	return false;
}

static bool type_is_stamp(const struct type *type)
{
	return type_is(type, "timestamp without time zone") || type_is(type, "timestamp with time zone");
}

static enum warn_change same_name_change(const struct type *from, const struct type *to)
{
	if (from->mods[0] == to->mods[0] &&
	    (from->mods[1] < 0 ? 0 : from->mods[1]) == (to->mods[1] < 0 ? 0 : to->mods[1]))
		return WARN_CHANGE_FREE;
	if (type_is(to, "numeric")) {
		/* numeric(p, s): the scale must stay, the precision may grow; without any it takes all. */
		if (to->mods[0] < 0)
			return WARN_CHANGE_FREE;
		int from_scale = from->mods[1] < 0 ? 0 : from->mods[1],
		    to_scale = to->mods[1] < 0 ? 0 : to->mods[1];
		return from->mods[0] >= 0 && from_scale == to_scale && to->mods[0] >= from->mods[0]
		    ? WARN_CHANGE_FREE
		    : WARN_CHANGE_REWRITE;
	}
	if (type_widens(to))
		return type_limit(to) >= type_limit(from) ? WARN_CHANGE_FREE : WARN_CHANGE_REWRITE;
	if (strncmp(to->name, "interval", 8) == 0)
		return WARN_CHANGE_UNKNOWN; /* fields and precision: not worth a table */
	return WARN_CHANGE_REWRITE;
}

enum warn_change warn_type_change(const char *from_text, const char *to_text)
{
	if (from_text == NULL)
		return WARN_CHANGE_UNKNOWN;
	struct type from = type_read(from_text), to = type_read(to_text);
	if (!from.known || !to.known)
		return WARN_CHANGE_UNKNOWN;
	if (from.array != to.array)
		return WARN_CHANGE_REWRITE;
	if (type_is(&from, to.name))
		return from.array && from.mods[0] != to.mods[0] ? WARN_CHANGE_UNKNOWN
								: same_name_change(&from, &to);
	if (from.array)
		return WARN_CHANGE_UNKNOWN;
	if (type_is(&from, "character varying") && type_is(&to, "text"))
		return WARN_CHANGE_FREE;
	if (type_is(&from, "text") && type_is(&to, "character varying"))
		return to.mods[0] < 0 ? WARN_CHANGE_FREE : WARN_CHANGE_REWRITE;
	if (type_is(&from, "cidr") && type_is(&to, "inet"))
		return WARN_CHANGE_FREE;
	if (type_is_stamp(&from) && type_is_stamp(&to))
		return type_limit(&to) >= type_limit(&from) ? WARN_CHANGE_ZONE : WARN_CHANGE_REWRITE;
	/* Between two of the built-in types named here there is no further change that costs nothing. */
	static const char *const costly[] = {"character varying", "character", "text", "numeric", "integer",
	    "bigint", "smallint", "boolean", "double precision", "real", "timestamp without time zone",
	    "timestamp with time zone", "date", "time without time zone", "time with time zone", "json",
	    "jsonb", "uuid", "bytea", "inet", "interval", "money", "bit", "bit varying"};
	bool known[2] = {false, false};
	for (size_t i = 0; i < sizeof(costly) / sizeof(costly[0]); i++) {
		known[0] = known[0] || type_is(&from, costly[i]);
		known[1] = known[1] || type_is(&to, costly[i]);
	}
	return known[0] && known[1] ? WARN_CHANGE_REWRITE : WARN_CHANGE_UNKNOWN;
}

void warn_type_text(struct warn_words words, char *out, size_t room)
{
	size_t n = 0;
	enum split_token_kind before = SPLIT_TOKEN_END;

	out[0] = '\0';
	for (; !words_end(&words); words.place++) {
		const struct split_token *token = words.at + words.place;
		bool wordy = token->kind == SPLIT_TOKEN_WORD || token->kind == SPLIT_TOKEN_QUOTED;
		bool blank = wordy && (before == SPLIT_TOKEN_WORD || before == SPLIT_TOKEN_CLOSE);
		n += (size_t)snprintf(out + n, room - n, "%s%.*s", blank ? " " : "",
		    (int)(token->end - token->start < 200 ? token->end - token->start : 200),
		    words.text + token->start);
		if (n >= room)
			return;
		before = token->kind;
	}
}

char warn_function_volatility(const char *name)
{
	static const char *const volatiles[] = {"random", "random_normal", "gen_random_uuid", "uuidv4",
	    "uuidv7", "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "clock_timestamp",
	    "timeofday", "nextval", "currval", "lastval", "setval", "gen_random_bytes", "gen_salt", "setseed",
	    "pg_sleep"};
	/* Not all of them functions to PostgreSQL: what looks like a call. */
	static const char *const steady[] = {"now", "current_timestamp", "current_time", "localtimestamp",
	    "localtime", "statement_timestamp", "transaction_timestamp", "coalesce", "nullif", "greatest",
	    "least", "lower", "upper", "md5", "sha256", "date_trunc", "date_part", "extract", "to_timestamp",
	    "to_char", "to_date", "to_number", "make_date", "make_interval", "make_timestamptz", "timezone",
	    "jsonb_build_object", "jsonb_build_array", "json_build_object", "json_build_array", "to_jsonb",
	    "to_json", "array", "row", "cast", "trim", "btrim", "ltrim", "rtrim", "concat", "concat_ws",
	    "format", "repeat", "replace", "substring", "substr", "length", "abs", "round", "floor", "ceil",
	    "encode", "decode", "string_to_array", "array_fill", "int4range", "int8range", "numrange",
	    "tsrange", "tstzrange", "daterange", "to_tsvector", "point", "box", "current_setting", "age",
	    "inet_client_addr", "txid_current", "pg_current_xact_id", "version"};

	for (size_t i = 0; i < sizeof(volatiles) / sizeof(volatiles[0]); i++)
		if (strcmp(name, volatiles[i]) == 0)
			return 'v';
	for (size_t i = 0; i < sizeof(steady) / sizeof(steady[0]); i++)
		if (strcmp(name, steady[i]) == 0)
			return 's';
	return 0;
}
