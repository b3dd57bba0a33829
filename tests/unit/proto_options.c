/* `options` is read as the server reads it. The vectors were sent to a PostgreSQL 15 in raw start-up packets,
 * and say what it then showed for headgate.head; the property compares with pg_split_opts() written down
 * again and the C library's own getopt(), which is what the server uses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/options.h"
#include "proto/startup.h"

enum { SETTINGS = 200, TEXT = 64 };

struct settings {
	unsigned count;
	struct {
		char name[TEXT], value[TEXT];
		size_t at, length;
	} at[SETTINGS];
};

static void collect(const struct startup_option *option, void *arg)
{
	struct settings *settings = arg;

	assert_true(settings->count < SETTINGS);
	snprintf(settings->at[settings->count].name, TEXT, "%s", option->name);
	snprintf(settings->at[settings->count].value, TEXT, "%s", option->value);
	settings->at[settings->count].at = option->at;
	settings->at[settings->count].length = option->length;
	settings->count++;
}

/* `options` in memory of exactly its size, so that the sanitizer sees a byte read too far. */
static void read_settings(const char *options, struct settings *settings)
{
	size_t size = strlen(options) + 1;
	char *exact = malloc(size);

	assert_non_null(exact);
	memcpy(exact, options, size);
	settings->count = 0;
	startup_options(exact, collect, settings);
	free(exact);
	for (unsigned i = 0; i < settings->count; i++) {
		size_t end = i == 0 ? 0 : settings->at[i - 1].at + settings->at[i - 1].length;
		assert_true(settings->at[i].length > 0);
		assert_true(settings->at[i].at >= end);
		assert_true(settings->at[i].at + settings->at[i].length < size);
	}
}

static void test_as_postgresql_15_read_it(void **state)
{
	/* head: what SHOW headgate.head gave; NULL: nothing. cut: `options` without our settings. */
	static const struct {
		const char *options, *head, *cut;
	} rows[] = {
	    {"-c headgate.head=9f2c", "9f2c", ""},
	    {"--headgate.head=9f2c", "9f2c", ""},
	    {"-cheadgate.head=9f2c", "9f2c", ""},
	    {"-c HEADGATE.HEAD=9f2c", "9f2c", ""},
	    {"--HeadGate.Head=9f2c", "9f2c", ""},
	    {"-c headgate.head=a -c headgate.head=b", "b", " "},
	    {"-c headgate.head=a --HEADGATE.HEAD=b", "b", " "},
	    {"-c headgate.head=", "", ""},
	    {"-c headgate.head=x=y", "x=y", ""},
	    {"-c headgate.head='x'", "'x'", ""},
	    {"-c  headgate.head=x", "x", ""},
	    {"-c\theadgate.head=x\n-c\vwork_mem=1MB\f", "x", "\n-c\vwork_mem=1MB\f"},
	    {"-c headgate.head=a\\ b", "a b", ""},
	    {"-c headgate.head=a\\\\b", "a\\b", ""},
	    {"-c headgate.head=a\\", "a", ""},
	    {"\\-c head\\gate.head=x", "x", ""},
	    {"-ec headgate.head=x", "x", "-e"},
	    {"-e-headgate.head=x", "x", "-e"},
	    {"-t pl -c headgate.head=x", "x", "-t pl "},
	    {"-S 2048 -c headgate.head=x", "x", "-S 2048 "},
	    {"-fs -c headgate.head=x", "x", "-fs "},
	    {"-W 0 -c headgate.head=x", "x", "-W 0 "},
	    {"-r /tmp/x -c headgate.head=x", "x", "-r /tmp/x "},
	    {"-c headgate.head=x\xc2\xa0y", "x\xc2\xa0y", ""},
	    {"-c work_mem=1MB -c headgate.head=x -c a.b=1", "x", "-c work_mem=1MB  -c a.b=1"},
	    {"-c\xa0headgate.head=x", NULL, "-c\xa0headgate.head=x"}, /* another setting's name */
	    {"--work-mem=1MB", NULL, "--work-mem=1MB"},
	    {"-c work-mem=2MB", NULL, "-c work-mem=2MB"},
	    {"-e", NULL, "-e"},
	    {"   ", NULL, "   "},
	    {"", NULL, ""},
	    /* The server refused these (42601, 42602, 42704): there is no head in them, and they go on as
	       they are. */
	    {"-c headgate.head", NULL, "-c headgate.head"},
	    {"--headgate.head", NULL, "--headgate.head"},
	    {"--headgate-head=x", NULL, "--headgate-head=x"},
	    {"-- headgate.head=x", NULL, "-- headgate.head=x"},
	    {"-\\- headgate.head=x", NULL, "-\\- headgate.head=x"},
	    {"-c work_mem=1MB -- -c headgate.head=x", NULL, "-c work_mem=1MB -- -c headgate.head=x"},
	    {"-ecc headgate.head=x", NULL, "-ecc headgate.head=x"},
	    {"-cc headgate.head=x", NULL, "-cc headgate.head=x"},
	    {"-c -c headgate.head=x", NULL, "-c -c headgate.head=x"},
	    {"-c \"headgate.head=x\"", NULL, "-c \"headgate.head=x\""},
	    {"-c =x", NULL, "-c =x"},
	    {"--=x", NULL, "--=x"},
	    {"-", NULL, "-"},
	    {"-c", NULL, "-c"},
	    {"\\", NULL, "\\"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings settings;
		const char *head = NULL;
		char cut[200] = "";
		size_t copied = 0;

		read_settings(rows[i].options, &settings);
		for (unsigned n = 0; n < settings.count; n++) {
			if (!options_is_head(settings.at[n].name))
				continue;
			head = settings.at[n].value;
			strncat(cut, rows[i].options + copied, settings.at[n].at - copied);
			copied = settings.at[n].at + settings.at[n].length;
		}
		strcat(cut, rows[i].options + copied);
		if ((head == NULL) != (rows[i].head == NULL) ||
		    (head != NULL && strcmp(head, rows[i].head) != 0))
			fail_msg("%s: head is %s", rows[i].options, head == NULL ? "none" : head);
		assert_string_equal(cut, rows[i].cut);
	}
}

static void test_names_have_their_dashes_turned(void **state)
{
	struct settings settings;

	(void)state;
	read_settings("--work-mem=1-2 -c a-b.c-d=- -c=x", &settings);
	assert_int_equal(settings.count, 3);
	assert_string_equal(settings.at[0].name, "work_mem");
	assert_string_equal(settings.at[0].value, "1-2");
	assert_string_equal(settings.at[1].name, "a_b.c_d");
	assert_string_equal(settings.at[1].value, "-");
	assert_string_equal(settings.at[2].name, "");
	assert_string_equal(settings.at[2].value, "x");
}

/* pg_split_opts() of PostgreSQL 15, with argv[0] left free for the program's name. */
static int reference_split(const char *options, char **argv)
{
	int argc = 1;

	argv[0] = mem_strdup("postgres");
	for (;;) {
		char word[4096];
		size_t size = 0;
		int escaped = 0;
		while (*options != '\0' && strchr(" \t\n\v\f\r", *options) != NULL)
			options++;
		if (*options == '\0')
			return argc;
		for (; *options != '\0'; options++) {
			if (strchr(" \t\n\v\f\r", *options) != NULL && !escaped)
				break;
			if (!escaped && *options == '\\') {
				escaped = 1;
			} else {
				escaped = 0;
				word[size++] = *options;
			}
		}
		word[size] = '\0';
		argv[argc++] = mem_strdup(word);
	}
}

/* What the server would set, or false when it would refuse the whole. */
static bool reference_settings(const char *options, struct settings *settings)
{
	char *argv[2048] = {NULL}, *owned[2048];
	int argc = reference_split(options, argv), flag;
	bool valid = true;

	memcpy(owned, argv, sizeof(owned));
	settings->count = 0;
	optind = 0; /* starts glibc's getopt() afresh */
	opterr = 0;
	while ((flag = getopt(argc, argv, "B:bc:C:D:d:EeFf:h:ijk:lN:nOPp:r:S:sTt:v:W:-:")) != -1) {
		if (flag == '?' || ((flag == 'c' || flag == '-') && strchr(optarg, '=') == NULL)) {
			valid = false;
			break;
		}
		if (flag != 'c' && flag != '-')
			continue;
		char *equal = strchr(optarg, '=');
		snprintf(settings->at[settings->count].name, TEXT, "%.*s", (int)(equal - optarg), optarg);
		for (char *s = settings->at[settings->count].name; *s != '\0'; s++)
			*s = *s == '-' ? '_' : *s;
		snprintf(settings->at[settings->count++].value, TEXT, "%s", equal + 1);
	}
	valid = valid && optind == argc;
	for (int i = 0; i < argc; i++)
		mem_free(&owned[i]);
	return valid;
}

static uint32_t random_state = 2463534242u;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % n;
}

static void random_options(char *out, size_t size)
{
	static const char *const tokens[] = {"-c", " ", " ", "  ", "\t", "\n", "-", "--", "=", "x=y", "a-b=c",
	    "headgate.head=", "-c headgate.head=9f", "--headgate.head=1", "-e", "-t", "-W", "pl", "\\", "\\ ",
	    "\\\\", "B", "b", "c", "\v", "\xa0", "-ec"};
	unsigned count = random_below(12);

	out[0] = '\0';
	for (unsigned i = 0; i < count; i++) {
		const char *token = tokens[random_below(sizeof(tokens) / sizeof(tokens[0]))];
		if (strlen(out) + strlen(token) + 1 < size)
			strcat(out, token);
	}
}

static void test_equals_the_servers_own_reading(void **state)
{
	unsigned valid = 0, with_settings = 0;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		static struct settings ours, theirs;
		char options[256];

		random_options(options, sizeof(options));
		read_settings(options, &ours);
		if (!reference_settings(options, &theirs))
			continue; /* the server refuses the connection: there is nothing to agree on */
		valid++;
		with_settings += theirs.count > 0;
		if (ours.count != theirs.count)
			fail_msg(
			    "\"%s\": %u settings, the server sees %u", options, ours.count, theirs.count);
		for (unsigned i = 0; i < ours.count; i++) {
			assert_string_equal(ours.at[i].name, theirs.at[i].name);
			assert_string_equal(ours.at[i].value, theirs.at[i].value);
		}
	}
	/* The random strings did ask the question. */
	assert_true(valid > 20000);
	assert_true(with_settings > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_as_postgresql_15_read_it),
	    cmocka_unit_test(test_names_have_their_dashes_turned),
	    cmocka_unit_test(test_equals_the_servers_own_reading),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
