#include "proto/startup.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "proto/frame.h"

#include "options.h"

enum {
	CODE_CANCEL = 80877102,
	CODE_SSL = 80877103,
	CODE_GSS = 80877104,
	TLS_RECORD_HANDSHAKE = 0x16,
	CANCEL_BYTES_LEAST = 16, /* a key of 4 bytes (protocol 3.0) */
	CANCEL_BYTES_MOST = 268, /* a key of 256 bytes (protocol 3.2) */
};

static enum startup_kind startup_bad(const char **why, const char *reason)
{
	*why = reason;
	return STARTUP_BAD;
}

enum startup_kind startup_kind(const uint8_t *p, size_t n, size_t *size, const char **why)
{
	if (n == 0)
		return STARTUP_MORE;
	if (p[0] == TLS_RECORD_HANDSHAKE)
		return STARTUP_DIRECT_TLS;
	/* The length's upper half is zero in every packet: junk is told from the first bytes, not waited for.
	 */
	if (p[0] != 0 || (n > 1 && p[1] != 0))
		return startup_bad(why, "not a PostgreSQL start-up packet");
	if (n < 4)
		return STARTUP_MORE;

	uint32_t length = frame_be32(p);
	if (length < 8 || length > STARTUP_BYTES)
		return startup_bad(why, "invalid length of start-up packet");
	if (n < 8)
		return STARTUP_MORE;

	enum startup_kind kind;
	uint32_t code = frame_be32(p + 4);
	if (code == CODE_SSL || code == CODE_GSS) {
		if (length != 8)
			return startup_bad(why, "invalid length of encryption request");
		kind = code == CODE_SSL ? STARTUP_SSL : STARTUP_GSS;
	} else if (code == CODE_CANCEL) {
		if (length < CANCEL_BYTES_LEAST || length > CANCEL_BYTES_MOST)
			return startup_bad(why, "invalid length of cancel request");
		kind = STARTUP_CANCEL;
	} else if (code >> 16 == 3) {
		kind = STARTUP_MESSAGE;
	} else {
		return startup_bad(why, "unsupported frontend protocol");
	}
	if (n < length)
		return STARTUP_MORE;
	*size = length;
	return kind;
}

/* The string at `at` with its zero byte, inside the packet; where the next begins goes to *next. */
static const char *startup_string(const uint8_t *packet, size_t size, size_t at, size_t *next)
{
	const uint8_t *end = memchr(packet + at, '\0', size - at);

	if (end == NULL)
		return NULL;
	*next = (size_t)(end - packet) + 1;
	return (const char *)packet + at;
}

/* Walks the list; `parameters` NULL: only counts. */
static bool startup_list(const uint8_t *packet, size_t size, struct startup_parameter *parameters,
    unsigned *count, const char **why)
{
	size_t at = 8;

	*count = 0;
	while (at < size && packet[at] != '\0') {
		struct startup_parameter parameter;
		size_t value_at, next;

		if (*count == STARTUP_PARAMETERS) {
			*why = "too many start-up parameters";
			return false;
		}
		parameter.name = startup_string(packet, size, at, &value_at);
		if (parameter.name == NULL ||
		    (parameter.value = startup_string(packet, size, value_at, &next)) == NULL) {
			*why = "a start-up parameter is cut off";
			return false;
		}
		if (parameters != NULL)
			parameters[*count] = parameter;
		++*count;
		at = next;
	}
	if (at != size - 1) {
		*why = "invalid start-up packet layout: expected terminator as last byte";
		return false;
	}
	return true;
}

/* Whether the server would start a walsender, or refuse the value; as parse_bool() reads it. What is not
 * clearly false must count as replication only if the server cannot take it for false: an app session passed
 * as replication would be ungated. */
static bool startup_replication(const char *value)
{
	size_t n = strlen(value);

	if (n == 0)
		return true;
	return !(strncasecmp(value, "false", n) == 0 || strncasecmp(value, "no", n) == 0 ||
	    strncasecmp(value, "off", n < 2 ? 2 : n) == 0 || strcmp(value, "0") == 0);
}

/* The server takes the last of doubles, these four names exactly as written, and every other name as a
 * setting's, where case does not matter. */
static void startup_index(struct startup *startup)
{
	for (unsigned i = 0; i < startup->count; i++) {
		const char *name = startup->parameters[i].name, *value = startup->parameters[i].value;

		if (strcmp(name, "user") == 0)
			startup->user = value;
		else if (strcmp(name, "database") == 0)
			startup->database = value;
		else if (strcmp(name, "options") == 0)
			startup->options = value;
		else if (strcmp(name, "replication") == 0)
			startup->replication = startup_replication(value);
		else if (strcasecmp(name, "application_name") == 0)
			startup->application_name = value;
	}
	if (startup->database == NULL || startup->database[0] == '\0')
		startup->database = startup->user;
}

bool startup_parse(const uint8_t *packet, size_t size, struct startup *out, const char **why)
{
	unsigned count;

	if (size < 8 || size > STARTUP_BYTES || frame_be32(packet) != size) {
		*why = "invalid length of start-up packet";
		return false;
	}
	if (frame_be32(packet + 4) >> 16 != 3) {
		*why = "unsupported frontend protocol";
		return false;
	}
	if (!startup_list(packet, size, NULL, &count, why))
		return false;

	struct startup startup = {.packet = mem_dup(packet, size),
	    .size = size,
	    .version = frame_be32(packet + 4),
	    .parameters = mem_zalloc(count * sizeof(struct startup_parameter)),
	    .count = count};
	if (!startup_list(startup.packet, size, startup.parameters, &count, why)) {
		startup_free(&startup);
		return false;
	}
	startup_index(&startup);
	if (startup.user == NULL || startup.user[0] == '\0') {
		*why = "no PostgreSQL user name specified in start-up packet";
		startup_free(&startup);
		return false;
	}
	*out = startup;
	return true;
}

void startup_free(struct startup *startup)
{
	mem_free(&startup->packet);
	mem_free(&startup->parameters);
	*startup = (struct startup){.packet = NULL};
}

static void forward_string(struct reply *out, const char *s)
{
	reply_bytes(out, s, strlen(s) + 1);
}

/* Where our own settings stand in one `options`. */
struct cut {
	struct reply *out;
	const char *options;
	size_t copied; /* up to where the text was taken over */
};

static void cut_setting(const struct startup_option *option, void *arg)
{
	struct cut *cut = arg;

	if (!options_is_head(option->name))
		return;
	reply_bytes(cut->out, cut->options + cut->copied, option->at - cut->copied);
	cut->copied = option->at + option->length;
}

/* `options` less our own settings: every other byte stays. A text of blanks alone says nothing: the parameter
 * is dropped, unless an earlier `options` would come into force by that (the server takes the last). */
static void forward_options(struct reply *out, const char *options, bool only)
{
	struct reply text = {.data = NULL};
	struct cut cut = {.out = &text, .options = options};

	startup_options(options, cut_setting, &cut);
	reply_bytes(&text, options + cut.copied, strlen(options + cut.copied) + 1);
	const char *left = (const char *)text.data;
	if (cut.copied == 0 || !only || left[strspn(left, OPTIONS_BLANKS)] != '\0') {
		forward_string(out, "options");
		forward_string(out, left);
	}
	reply_free(&text);
}

void startup_forward(const struct startup *startup, const char *dbname, bool forward_head, struct reply *out)
{
	size_t start = out->size;
	unsigned options_count = 0;
	bool database_written = false;
	uint8_t head[8] = {0};

	for (unsigned i = 0; i < startup->count; i++)
		options_count += strcmp(startup->parameters[i].name, "options") == 0;

	frame_put32(head + 4, startup->version);
	reply_bytes(out, head, sizeof(head));
	for (unsigned i = 0; i < startup->count; i++) {
		const struct startup_parameter *parameter = &startup->parameters[i];

		if (strcmp(parameter->name, "database") == 0) {
			forward_string(out, parameter->name);
			forward_string(out, dbname);
			database_written = true;
		} else if (!forward_head && strcmp(parameter->name, "options") == 0) {
			forward_options(out, parameter->value, options_count == 1);
		} else if (forward_head || !options_is_head(parameter->name)) {
			forward_string(out, parameter->name);
			forward_string(out, parameter->value);
		}
	}
	if (!database_written && strcmp(dbname, startup->user) != 0) {
		forward_string(out, "database");
		forward_string(out, dbname);
	}
	reply_bytes(out, "", 1);
	frame_put32(out->data + start, (uint32_t)(out->size - start));
}
