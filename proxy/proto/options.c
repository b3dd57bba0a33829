/* `options` is a command line: pg_split_opts() cuts it into words, getopt() reads these as switches. Both are
 * followed exactly, since what we take for a declared head the server must take for a setting too, and the
 * reverse. */
#include "options.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "proto/startup.h"

/* The switches of a backend that take a value (process_postgres_switches); 'c' and '-' are the settings. */
#define SWITCHES_WITH_VALUE "BcCDdfhkNprStvW-"

/* One word of the command line: unescaped, and where each of its bytes stood. */
struct word {
	char *text;    /* terminated */
	size_t *place; /* of each byte of text in `options`, an escape before it counted in */
	size_t start, end;
};

bool options_is_head(const char *name)
{
	return strcasecmp(name, "headgate.head") == 0;
}

static bool blank(char c)
{
	return c != '\0' && strchr(OPTIONS_BLANKS, c) != NULL;
}

/* The next word from *at on; false at the end. The word's buffers are large enough for all of `options`. */
static bool word_next(const char *options, size_t *at, struct word *word)
{
	size_t i = *at, size = 0;

	while (blank(options[i]))
		i++;
	if (options[i] == '\0')
		return false;
	word->start = i;
	while (options[i] != '\0' && !blank(options[i])) {
		word->place[size] = i;
		if (options[i] == '\\') {
			i++;
			if (options[i] == '\0')
				break; /* a last backslash escapes nothing and is gone */
		}
		word->text[size++] = options[i++];
	}
	word->text[size] = '\0';
	word->end = *at = i;
	return true;
}

/* A setting "name=value" that stands at at..end; without '=' it is none (the server refuses it). */
static void setting(char *text, size_t at, size_t end,
    void (*each)(const struct startup_option *option, void *arg), void *arg)
{
	char *equal = strchr(text, '=');

	if (equal == NULL)
		return;
	*equal = '\0';
	for (char *s = text; *s != '\0'; s++) {
		if (*s == '-')
			*s = '_';
	}
	struct startup_option option = {.name = text, .value = equal + 1, .at = at, .length = end - at};
	each(&option, arg);
}

void startup_options(
    const char *options, void (*each)(const struct startup_option *option, void *arg), void *arg)
{
	size_t room = strlen(options) + 1, at = 0;
	struct word word = {.text = mem_alloc(room), .place = mem_alloc(room * sizeof(size_t))};

	while (word_next(options, &at, &word)) {
		if (word.text[0] != '-' || word.text[1] == '\0')
			continue; /* no switch */
		if (strcmp(word.text, "--") == 0)
			break; /* the end of switches */
		for (size_t i = 1; word.text[i] != '\0'; i++) {
			char flag = word.text[i];
			if (strchr(SWITCHES_WITH_VALUE, flag) == NULL)
				continue;
			/* Several switches may stand in one word ("-ec name=value"): those before ours stay.
			 */
			size_t start = i == 1 ? word.start : word.place[i];
			char *value = word.text + i + 1;
			if (*value == '\0') {
				if (!word_next(options, &at, &word))
					break;
				value = word.text;
			}
			if (flag == 'c' || flag == '-')
				setting(value, start, word.end, each, arg);
			break;
		}
	}
	mem_free(&word.text);
	mem_free(&word.place);
}
