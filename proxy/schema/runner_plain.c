/* Which statements leave the session as it was. To make it as a new one again takes ten statements, which is
 * more than most migrations have; so it is left out behind those that certainly need none of it. In doubt it
 * is done. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "runner_private.h"

/* What may stand in front, and the words that bring in something that runs: an expression over rows, a query,
 * a function of the user's. What a CREATE TABLE says of its columns is not evaluated. */
static const struct {
	const char *begins, *without[8];
} plain[] = {
    {"CREATE TABLE", {"TEMP", "TEMPORARY", "PG_TEMP", "AS", "SELECT", "EXECUTE", NULL}},
    {"ALTER TABLE", {"DEFAULT", "USING", "CHECK", "GENERATED", "VALIDATE", "EXCLUDE", "AS", NULL}},
    {"DROP TABLE", {NULL}},
    {"DROP INDEX", {NULL}},
    {"DROP VIEW", {NULL}},
    {"DROP TYPE", {NULL}},
    {"DROP SEQUENCE", {NULL}},
    {"COMMENT ON", {NULL}},
    {"GRANT", {NULL}},
    {"REVOKE", {NULL}},
};

static bool word_byte(unsigned char c)
{
	return isalnum(c) || c == '_' || c >= 0x80;
}

/* The words of a text, quoted ones too: a name that is like one of the words only costs time. */
static bool next_word(const char **at, const char *end, const char **word, size_t *size)
{
	while (*at < end && !word_byte((unsigned char)**at))
		(*at)++;
	*word = *at;
	while (*at < end && word_byte((unsigned char)**at))
		(*at)++;
	*size = (size_t)(*at - *word);
	return *size > 0;
}

static bool is(const char *word, size_t size, const char *name, size_t name_size)
{
	return size == name_size && strncasecmp(word, name, size) == 0;
}

static bool begins(const char **at, const char *end, const char *with)
{
	const char *wanted = with, *wanted_end = with + strlen(with), *name, *word;
	size_t name_size, size;
	while (next_word(&wanted, wanted_end, &name, &name_size)) {
		if (!next_word(at, end, &word, &size) || !is(word, size, name, name_size))
			return false;
	}
	return true;
}

static bool has(const char *at, const char *end, const char *const *names)
{
	const char *word;
	size_t size;
	while (next_word(&at, end, &word, &size)) {
		for (unsigned i = 0; names[i] != NULL; i++) {
			if (is(word, size, names[i], strlen(names[i])))
				return true;
		}
	}
	return false;
}

bool runner_plain(const char *text, size_t size)
{
	for (unsigned i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		const char *at = text, *end = text + size;
		if (begins(&at, end, plain[i].begins))
			return !has(at, end, plain[i].without);
	}
	return false;
}
