/* The words behind a command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "ctl/cli.h"
#include "ctl/options.h"

static struct taken {
	bool json, quiet;
	const char *text, *backup;
	struct option_list list;
	int64_t span_ns;
	unsigned count;
	int choice;
} taken;

/* "a|b" in one text, and what was said on stderr or stdout. */
static char words_left[400], said[2000];

static int read_words(const char *line, bool stop)
{
	static char copy[400];
	char *argv[40] = {"test"}, *save = NULL;
	int argc = 1;
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, "|", &save); word != NULL; word = strtok_r(NULL, "|", &save))
		argv[argc++] = word;
	option_list_free(&taken.list);
	taken = (struct taken){.span_ns = -1, .choice = -1};
	const struct command_option own[] = {
	    {.name = "json", .letter = 'j', .flag = &taken.json},
	    {.name = "text", .letter = 't', .text = &taken.text},
	    {.name = "tests", .list = &taken.list},
	    {.name = "backup", .maybe = true, .text = &taken.backup},
	};
	const struct command_option more[] = {
	    {.name = "quiet", .letter = 'q', .flag = &taken.quiet},
	    {.name = "span", .duration_ns = &taken.span_ns},
	    {.name = "count", .count = &taken.count, .low = 2, .high = 5},
	    {.name = "how", .choice = &taken.choice, .words = "abort|cancel"},
	};
	const struct command_options tables[] = {{own, 4}, {more, 4}};
	const struct command_line command = {
	    .help = "the help\n", .tables = tables, .table_count = 2, .stop_at_word = stop};
	char **words;
	unsigned count = 0;

	FILE *to = tmpfile();
	fflush(stdout);
	fflush(stderr);
	int old_out = dup(1), old_err = dup(2);
	dup2(fileno(to), 1);
	dup2(fileno(to), 2);
	int status = command_options_read(&command, argc, argv, &words, &count);
	fflush(stdout);
	fflush(stderr);
	dup2(old_out, 1);
	dup2(old_err, 2);
	close(old_out);
	close(old_err);
	rewind(to);
	said[fread(said, 1, sizeof(said) - 1, to)] = '\0';
	fclose(to);

	words_left[0] = '\0';
	for (unsigned i = 0; status < 0 && i < count; i++)
		snprintf(words_left + strlen(words_left), sizeof(words_left) - strlen(words_left), "%s%s",
		    i > 0 ? "|" : "", words[i]);
	if (status < 0)
		assert_null(words[count]);
	return status;
}

static void right_ones(void **state)
{
	(void)state;
	assert_int_equal(read_words("", false), -1);
	assert_string_equal(words_left, "");
	assert_int_equal(read_words("a|--json|b|-t|x|c|--|--quiet|-j", false), -1);
	assert_string_equal(words_left, "a|b|c|--quiet|-j");
	assert_true(taken.json && !taken.quiet);
	assert_string_equal(taken.text, "x");
	assert_int_equal(
	    read_words("-jqtvalue|--tests=1|--tests|2|--span=1500ms|--count|5|--how=cancel", false), -1);
	assert_true(taken.json && taken.quiet);
	assert_string_equal(taken.text, "value");
	assert_int_equal(taken.list.count, 2);
	assert_string_equal(taken.list.at[1], "2");
	assert_true(taken.span_ns == 1500 * INT64_C(1000000));
	assert_int_equal(taken.count, 5);
	assert_int_equal(taken.choice, 1);
	/* how far down, and no options */
	assert_int_equal(read_words("-1|-12|-|--text=-1", false), -1);
	assert_string_equal(words_left, "-1|-12|-");
	assert_string_equal(taken.text, "-1");
	/* a value that may be left out is not taken from the next word */
	assert_int_equal(read_words("--backup|dir", false), -1);
	assert_string_equal(words_left, "dir");
	assert_string_equal(taken.backup, "");
	assert_int_equal(read_words("--backup=dir", false), -1);
	assert_string_equal(taken.backup, "dir");
	/* an exact name before a longer one; a unique beginning */
	assert_int_equal(read_words("--text|a|--quie|--sp=0", false), -1);
	assert_string_equal(taken.text, "a");
	assert_true(taken.quiet && taken.span_ns == 0);
	/* a command behind them */
	assert_int_equal(read_words("-j|sh|-c|--json|--", true), -1);
	assert_string_equal(words_left, "sh|-c|--json|--");
	assert_int_equal(read_words("--|-j|--", true), -1);
	assert_string_equal(words_left, "-j|--");
	assert_false(taken.json);
}

static void wrong_ones(void **state)
{
	(void)state;
	static const struct {
		const char *line, *said;
	} rows[] = {
	    {"--frob", "headgate test: there is no option --frob\nTry: headgate test --help\n"},
	    {"--jsno", "there is no option --jsno; did you mean --json?"},
	    {"-x", "there is no option -x"},
	    {"-jx", "there is no option -x"},
	    {"--te", "--te may mean several options: write it out"},
	    {"--text", "--text needs a value behind it"},
	    {"-t", "--text needs a value behind it"},
	    {"--json=x", "--json takes no value"},
	    {"--span|5", "--span 5: write a time with its unit, at most a day: 500ms, 5s, 2m"},
	    {"--span|25h", "write a time with its unit"},
	    {"--span=-1s", "write a time with its unit"},
	    {"--count|1", "--count 1: write a number from 2 to 5"},
	    {"--count|-3", "write a number"},
	    {"--count| 3", "write a number"},
	    {"--count|3x", "write a number"},
	    {"--count|99999999999999999999999", "write a number"},
	    {"--how|abor", "--how abor: write abort or cancel"},
	    {"--how|", "--how needs a value behind it"},
	    {"--how=", "--how : write abort or cancel"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (read_words(rows[i].line, false) != CLI_USAGE || strstr(said, rows[i].said) == NULL)
			fail_msg("%s: %s", rows[i].line, said);
	}
	assert_int_equal(read_words("-j|--help|--frob", false), CLI_OK);
	assert_string_equal(said, "the help\n");
	assert_int_equal(read_words("-h", false), CLI_OK);
	option_list_free(&taken.list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(right_ones),
	    cmocka_unit_test(wrong_ones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
