#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/cli.h"
#include "console_parse.h"

struct reader {
	const struct command_line *line;
	const char *name; /* the command's */
	char **argv;
	int argc, at;
};

void option_list_free(struct option_list *list)
{
	mem_free(&list->at);
	list->count = 0;
}

static int usage(const char *name, const char *format, va_list args)
{
	fprintf(stderr, "headgate %s: ", name);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\nTry: headgate %s --help\n", name);
	return CLI_USAGE;
}

int command_usage(const char *name, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int status = usage(name, format, args);
	va_end(args);
	return status;
}

static const struct command_option *next_option(const struct command_line *line, unsigned *index)
{
	unsigned n = (*index)++;
	for (unsigned t = 0; t < line->table_count; t++) {
		if (n < line->tables[t].count)
			return &line->tables[t].at[n];
		n -= line->tables[t].count;
	}
	return NULL;
}

static const struct command_option *by_letter(const struct command_line *line, char letter)
{
	const struct command_option *option;
	unsigned index = 0;
	while ((option = next_option(line, &index)) != NULL) {
		if (option->letter == letter)
			return option;
	}
	return NULL;
}

/* Exactly this name, else the only one that begins so; *several: more than one does. */
static const struct command_option *by_name(
    const struct command_line *line, const char *name, size_t size, bool *several)
{
	const struct command_option *option, *found = NULL;
	unsigned index = 0;
	*several = false;
	while ((option = next_option(line, &index)) != NULL) {
		if (strncmp(option->name, name, size) != 0)
			continue;
		if (option->name[size] == '\0') {
			*several = false;
			return option;
		}
		*several = found != NULL;
		found = option;
	}
	return *several ? NULL : found;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many letters are to be changed, put in or left out: names are short. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[64], n = (unsigned)strlen(b);
	if (n >= 64)
		return 64;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1] != '\0'; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned change = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			row[j] = least(change, least(row[j], row[j - 1]) + 1);
		}
	}
	return row[n];
}

static int unknown(const struct reader *reader, const char *word, const char *name)
{
	const struct command_option *option;
	const char *near = NULL;
	unsigned index = 0, best = 3;
	while ((option = next_option(reader->line, &index)) != NULL) {
		unsigned d = distance(name, option->name);
		if (d < best) {
			best = d;
			near = option->name;
		}
	}
	if (near != NULL)
		return command_usage(reader->name, "there is no option %s; did you mean --%s?", word, near);
	return command_usage(reader->name, "there is no option %s", word);
}

static int read_count(const struct reader *reader, const struct command_option *option, const char *value)
{
	char *end;
	errno = 0;
	unsigned long number = strtoul(value, &end, 10);
	if (errno == 0 && end != value && *end == '\0' && value[0] >= '0' && value[0] <= '9' &&
	    number >= option->low && number <= option->high) {
		*option->count = (unsigned)number;
		return -1;
	}
	return command_usage(reader->name, "--%s %s: write a number from %u to %u", option->name, value,
	    option->low, option->high);
}

static int read_choice(const struct reader *reader, const struct command_option *option, const char *value)
{
	size_t size = strlen(value);
	int place = 0;
	for (const char *word = option->words;; place++) {
		size_t n = strcspn(word, "|");
		if (n == size && strncmp(word, value, n) == 0) {
			*option->choice = place;
			return -1;
		}
		if (word[n] == '\0')
			break;
		word += n + 1;
	}
	char said[200] = "";
	for (const char *word = option->words; *word != '\0';) {
		size_t n = strcspn(word, "|"), have = strlen(said);
		const char *before = have == 0 ? "" : word[n] == '\0' ? " or " : ", ";
		snprintf(said + have, sizeof(said) - have, "%s%.*s", before, (int)n, word);
		word += n + (word[n] == '|');
	}
	return command_usage(reader->name, "--%s %s: write %s", option->name, value, said);
}

static int take(const struct reader *reader, const struct command_option *option, const char *value)
{
	if (option->text != NULL) {
		*option->text = value;
	} else if (option->list != NULL) {
		option->list->at =
		    mem_realloc(option->list->at, (option->list->count + 1) * sizeof(option->list->at[0]));
		option->list->at[option->list->count++] = value;
	} else if (option->duration_ns != NULL) {
		int64_t span = strcmp(value, "0") == 0 ? 0 : console_duration(value);
		if (span < 0)
			return command_usage(reader->name,
			    "--%s %s: write a time with its unit, at most a day: 500ms, 5s, 2m", option->name,
			    value);
		*option->duration_ns = span;
	} else if (option->count != NULL) {
		return read_count(reader, option, value);
	} else {
		return read_choice(reader, option, value);
	}
	return -1;
}

/* value: behind '=' or the letter; or NULL: the next word, where one is taken. */
static int apply(struct reader *reader, const struct command_option *option, const char *value)
{
	if (option->flag != NULL) {
		if (value != NULL)
			return command_usage(reader->name, "--%s takes no value", option->name);
		*option->flag = true;
		return -1;
	}
	if (value == NULL && option->maybe)
		value = "";
	else if (value == NULL && reader->at < reader->argc)
		value = reader->argv[reader->at++];
	if (value == NULL)
		return command_usage(reader->name, "--%s needs a value behind it", option->name);
	return take(reader, option, value);
}

static int read_long(struct reader *reader, const char *word)
{
	char name[64];
	bool several;
	size_t size = strcspn(word + 2, "=");
	const char *value = word[2 + size] == '=' ? word + 2 + size + 1 : NULL;
	snprintf(name, sizeof(name), "%.*s", (int)size, word + 2);
	if (strcmp(name, "help") == 0) {
		fputs(reader->line->help, stdout);
		return CLI_OK;
	}
	const struct command_option *option = by_name(reader->line, word + 2, size, &several);
	if (option != NULL)
		return apply(reader, option, value);
	if (several)
		return command_usage(reader->name, "--%s may mean several options: write it out", name);
	return unknown(reader, word, name);
}

static int read_letters(struct reader *reader, const char *word)
{
	for (const char *letter = word + 1; *letter != '\0'; letter++) {
		const char shown[] = {'-', *letter, '\0'};
		const struct command_option *option = by_letter(reader->line, *letter);
		if (option == NULL && *letter == 'h') {
			fputs(reader->line->help, stdout);
			return CLI_OK;
		}
		if (option == NULL)
			return command_usage(reader->name, "there is no option %s", shown);
		bool rest = option->flag == NULL && letter[1] != '\0';
		int status = apply(reader, option, rest ? letter + 1 : NULL);
		if (status >= 0 || rest)
			return status;
	}
	return -1;
}

/* -1 and -12: how far down, and no options. */
static bool is_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0' && (word[1] < '0' || word[1] > '9');
}

int command_options_read(
    const struct command_line *line, int argc, char **argv, char ***words, unsigned *word_count)
{
	struct reader reader = {.line = line, .name = argv[0], .argv = argv, .argc = argc, .at = 1};
	bool ended = false;
	unsigned count = 0;
	*words = argv + 1;
	while (reader.at < argc) {
		char *word = argv[reader.at++];
		int status = -1;
		if (!ended && strcmp(word, "--") == 0) {
			ended = true;
		} else if (ended || !is_option(word)) {
			/* Behind what was read already: nothing that is still to be read is overwritten. */
			(*words)[count++] = word;
			ended = ended || line->stop_at_word;
		} else {
			status = word[1] == '-' ? read_long(&reader, word) : read_letters(&reader, word);
		}
		if (status >= 0)
			return status;
	}
	*word_count = count;
	(*words)[count] = NULL;
	return -1;
}
