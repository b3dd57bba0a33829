/* The words behind a command: options by table, and what is left. As getopt_long() has it (--name VALUE,
 * --name=VALUE, unique beginnings of a name, -n VALUE, -nVALUE, -ab, "--" ends them), with two differences: a
 * word like -1 is no option but a target, and what is wrong is said in our words. */
#ifndef CTL_OPTIONS_H
#define CTL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Of an option that may be given several times; borrowed from argv. */
struct option_list {
	const char **at;
	unsigned count;
};
void option_list_free(struct option_list *list); /* leaves none */

/* One option; one of the places is set, which says what it takes. tests/lint/docs.py reads these tables: they
 * are written as `const struct command_option own[] = {` with a `.name = "..."` each. */
struct command_option {
	const char *name;         /* without "--" */
	char letter;              /* -m; 0: none */
	bool maybe;               /* with `text`: --name alone is "", a value goes behind = */
	bool *flag;               /* takes nothing */
	const char **text;        /* takes a text */
	struct option_list *list; /* takes a text, each time */
	int64_t *duration_ns;     /* takes a length of time with its unit, or 0; at most a day */
	unsigned *count;          /* takes a whole number, low to high */
	unsigned low, high;
	int *choice; /* takes one of `words` ("abort|cancel"), by its place */
	const char *words;
};
struct command_options {
	const struct command_option *at;
	unsigned count;
};

struct command_line {
	const char *help;                     /* printed for -h, --help */
	const struct command_options *tables; /* looked at in turn */
	unsigned table_count;
	bool stop_at_word; /* the first word that is no option ends them */
};

/* Reads argv[1...]; argv[0] is the command's name. -1: go on, and *words (in argv, their order kept) are the
 * rest; else the exit status to leave with: help was asked for, or something was wrong and is said. */
int command_options_read(
    const struct command_line *line, int argc, char **argv, char ***words, unsigned *word_count);

/* One line on stderr, "headgate NAME: ...", and where help is to be had. Returns CLI_USAGE. */
int command_usage(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
