/* Printing the configuration: what is printed parses to the same, secrets stay inside, and the annotated
 * reference knows every key. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/conf.h"
#include "base/conf_dsn.h"
#include "base/mem.h"

static struct conf *parse(const char *text)
{
	struct conf_errors errors = {.count = 0};
	struct conf *conf = conf_parse("/etc/headgate/h.yaml", text, strlen(text), &errors);
	for (unsigned i = 0; i < errors.count; i++)
		print_error("%s\n", errors.lines[i]);
	conf_errors_free(&errors);
	if (conf == NULL)
		print_error("in:\n%s\n", text);
	assert_non_null(conf);
	return conf;
}

static char *printed(const struct conf *conf)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	assert_non_null(to);
	conf_print(conf, to);
	fclose(to);
	return text;
}

static void add_setting(const char *key, const char *value, const char *standard, void *arg)
{
	char **all = arg;
	char *longer = mem_printf("%s%s = %s (%s)\n", *all, key, value, standard);
	mem_free(all);
	*all = longer;
}

/* Every setting with its value, one a line. */
static char *settings(const struct conf *conf)
{
	char *all = mem_strdup("");
	conf_each(conf, add_setting, &all);
	return all;
}

static void assert_round_trip(const struct conf *conf)
{
	char *text = printed(conf), *before = settings(conf);
	struct conf *again = parse(text);
	char *text_again = printed(again), *after = settings(again);
	assert_string_equal(text_again, text);
	assert_string_equal(after, before);
	conf_unref(&again);
	free(text);
	free(text_again);
	mem_free(&before);
	mem_free(&after);
}

/* The reference stands beside the tests. */
static char *reference(void)
{
	char *path =
	    mem_printf("%.*s/../../conf/headgate.yaml", (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	char *text = mem_zalloc(100000);
	assert_true(fread(text, 1, 99999, file) > 0);
	fclose(file);
	mem_free(&path);
	return text;
}

/* Settings that are switched off there begin with # and the key: this switches them on. */
static char *switched_on(const char *text)
{
	char *on = mem_strdup(text), *to = on;
	for (const char *line = text; *line != '\0';) {
		size_t blanks = strspn(line, " "), size = strcspn(line, "\n") + 1;
		bool off = line[blanks] == '#' && islower((unsigned char)line[blanks + 1]);
		memcpy(to, line, blanks);
		memcpy(to + blanks, line + blanks + off, size - blanks - off);
		to += size - off;
		line += size;
	}
	*to = '\0';
	return on;
}

static void test_reference(void **state)
{
	(void)state;
	char *text = reference(), *on = switched_on(text);
	struct conf *conf = parse(text);
	assert_round_trip(conf);
	conf_unref(&conf);
	assert_true(strlen(on) < strlen(text));
	conf = parse(on);
	assert_round_trip(conf);
	conf_unref(&conf);
	mem_free(&text);
	mem_free(&on);
}

/* All its values are the defaults, where there is a default. */
static void check_standard(const char *key, const char *value, const char *standard, void *arg)
{
	char *text = arg;
	const char *leaf = strrchr(key, '.') != NULL ? strrchr(key, '.') + 1 : key;
	char *said = mem_printf("%s:", leaf);
	if (strstr(text, said) == NULL)
		fail_msg("conf/headgate.yaml does not know %s", key);
	if (value[0] != '\0' && standard[0] != '\0' && strcmp(value, standard) != 0) {
		char *unified = mem_printf("%s|%s", value, standard);
		/* A minute may be said in both ways. */
		if (strcmp(unified, "1m|60s") != 0)
			fail_msg("conf/headgate.yaml: %s is %s, the default is %s", key, value, standard);
		mem_free(&unified);
	}
	mem_free(&said);
}

static void test_reference_standards(void **state)
{
	(void)state;
	char *text = reference();
	struct conf *conf = parse(text);
	conf_each(conf, check_standard, text);
	conf_unref(&conf);
	mem_free(&text);
}

/* Examples of values: a key with some values, written as in a file and as conf_each() says them. */
struct variety {
	const char *key;
	const char *values[4];
};

static const struct variety varieties[] = {
    {"dbname", {"shop", "\"a \\\"b\\\" \\\\ c\"", "\"\\u00e9\\U0001f418\"", "'it''s'"}},
    {"max_databases", {"1", "10000", "2", "3"}},
    {"schema", {"public", "\"null\"", "\"~\"", "\"# no comment\""}},
    {"table", {"t", "\" t \"", "\"a: b\"", "\"- x\""}},
    {"statement",
	{"select 1", "\"a\\nb\\tc\"", "|\n        select 1\n          where true\n", "\"\\u00e9\""}},
    {"order", {"none", "numeric", "text", "[0012, 1e5, \"x#y\"]"}},
    {"declare", {"[]", "options", "[listener, options]", "[application_name, database, parameter]"}},
    {"forward_head", {"true", "false", "true", "false"}},
    {"accept", {"exact", "compatible", "{window: 1}", "{window: 1000}"}},
    {"pins", {"[]", "a", "[0x10, 1_000, true]", "[a+b, '#', '*']"}},
    {"undeclared", {"reject", "admit", "{head: 0123}", "{head: \"~\"}"}},
    {"ahead", {"reject", "{hold: 1ms}", "{hold: 24h}", "{hold: 1500ms}"}},
    {"on_failed", {"reject", "hold", "reject", "hold"}},
    {"disclose", {"true", "false", "true", "false"}},
    {"replication", {"true", "false", "true", "false"}},
    {"lease", {"1s", "60s", "1m", "1500ms"}},
    {"notice_after", {"1ms", "999ms", "24h", "2m"}},
    {"on_timeout", {"abort", "cancel", "terminate", "abort"}},
    {"attempts", {"1", "100", "2", "3"}},
    {"pause", {"0", "1ms", "1h", "90m"}},
    {"strangers", {"terminate", "stop", "terminate", "stop"}},
    {"exempt_roles", {"[]", "backup", "[a, b]", "['x y', \"\\\"\", 'null']"}},
    {"ramp", {"1", "1000000", "5", "6"}},
    {"dir", {"m", "/m", "../m", "\"m n\""}},
    {"set", {"{}", "{a: b}", "{owner: \"x\\ny\", a.b-c: ''}", "{a: '1', b: \"\\u00e9\", c: '#'}"}},
    {"lock_attempts", {"1", "1000", "2", "3"}},
    {"backup",
	{"{}", "{dir: b}", "{command: [pg_dump, -Fc, \"a b\", pg_dump]}", "{command: x, dir: \"/b c\"}"}},
};
static const char *const groups[][2] = {
    {"dbname", "upstream"},
    {"max_databases", "control"},
    {"schema", "recorded"},
    {"table", "recorded"},
    {"statement", "recorded"},
    {"order", "recorded"},
    {"notice_after", "hold"},
    {"on_timeout", "drain"},
    {"attempts", "drain"},
    {"pause", "drain"},
    {"strangers", "fence"},
    {"exempt_roles", "fence"},
    {"ramp", "release"},
    {"dir", "migrations"},
    {"set", "migrations"},
    {"lock_attempts", "migrations"},
    {"backup", "migrations"},
};

static const char *group_of(const char *key)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (strcmp(groups[i][0], key) == 0)
			return groups[i][1];
	return "";
}

/* The keys of one group, each with chance one half; with the group's needed line in front. */
static void write_group(FILE *to, const char *group, const char *needed)
{
	bool open = needed != NULL;
	if (open)
		fprintf(to, "    %s:\n      %s\n", group, needed);
	for (size_t i = 0; i < sizeof(varieties) / sizeof(varieties[0]); i++) {
		const struct variety *variety = &varieties[i];
		if (strcmp(group_of(variety->key), group) != 0 || rand() % 2)
			continue;
		if (!open && group[0] != '\0')
			fprintf(to, "    %s:\n", group);
		open = true;
		fprintf(to, "    %s%s: %s\n", group[0] != '\0' ? "  " : "", variety->key,
		    variety->values[rand() % 4]);
	}
}

static void test_round_trips(void **state)
{
	(void)state;
	srand(1); /* the same files every time */
	for (unsigned round = 0; round < 500; round++) {
		char *text = NULL;
		size_t size = 0;
		FILE *to = open_memstream(&text, &size);
		assert_non_null(to);
		fputs("listen:\n  - {address: a:1, head: 001+b, tls: {cert: c, key: k}}\n", to);
		fputs("  - {address: unix:/x y:5, unix_mode: 0700}\n  - {address: '[::1]:2'}\n", to);
		if (rand() % 2)
			fputs("console: {address: unix:/c, operators: [a, 'b c']}\nworkers: 7\nlog: {format: "
			      "json}\n",
			    to);
		fputs("databases:\n", to);
		for (unsigned database = 0; database < 3; database++) {
			static const char *const names[] = {"\"*\"", "shop", "\"a.b: \\\"c\\\" {}\""};
			fprintf(to, "  %s:\n", names[database]);
			write_group(to, "upstream", "address: [db:1, unix:/run:5432]");
			write_group(to, "control", "dsn: \"host=x password='a b'\"");
			write_group(to, "recorded", "reader: sql");
			fputs("    mode: observe\n", to);
			static const char *const others[] = {
			    "hold", "drain", "fence", "release", "migrations", ""};
			for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
				write_group(to, others[i], NULL);
		}
		fclose(to);
		struct conf *conf = parse(text);
		assert_round_trip(conf);
		conf_unref(&conf);
		free(text);
	}
}

static void pick(const char *key, const char *value, const char *standard, void *arg)
{
	char **pair = arg;
	if (strcmp(key, pair[0]) == 0)
		pair[1] = mem_printf("%s|%s", value, standard);
}

static void test_each(void **state)
{
	static const char *const wanted[][2] = {
	    {"workers", "auto|auto"},
	    {"console.address", "|"},
	    {"listen[0].address", "unix:/x|"},
	    {"listen[0].unix_mode", "0777|0777"},
	    {"listen[0].head", "|"},
	    {"databases.shop.upstream.address", "[b:2, c:3]|"},
	    {"databases.shop.control.dsn", "password=***|"},
	    {"databases.shop.accept", "{window: 2}|compatible"},
	    {"databases.shop.undeclared", "{head: 05}|reject"},
	    {"databases.shop.ahead", "{hold: 1500ms}|reject"},
	    {"databases.shop.pins", "[a, b]|"},
	    {"databases.shop.hold.max", "31s|30s"},
	    {"databases.shop.recorded.order", "[1, 2]|tool"},
	    {"databases.shop.recorded.schema", "|"},
	};
	(void)state;
	struct conf *conf =
	    parse("listen: {address: unix:/x}\ndatabases:\n  shop:\n    upstream: {address: [b:2, c:3]}\n"
		  "    control: {dsn: password=hidden}\n    recorded: {reader: alembic, order: [1, 2]}\n"
		  "    accept: {window: 2}\n    undeclared: {head: 05}\n    ahead: {hold: 1500ms}\n"
		  "    pins: [a, b]\n    hold: {max: 31s}\n");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		char *pair[2] = {(char *)(uintptr_t)wanted[i][0], NULL};
		conf_each(conf, pick, pair);
		if (pair[1] == NULL)
			fail_msg("no %s", wanted[i][0]);
		assert_string_equal(pair[1], wanted[i][1]);
		mem_free(&pair[1]);
	}
	conf_unref(&conf);
}

static void test_masks(void **state)
{
	static const char *const masks[][2] = {
	    {"", ""},
	    {"shop", "shop"},
	    {"host=a dbname=b", "host=a dbname=b"},
	    {"host=a password=x dbname=b", "host=a password=*** dbname=b"},
	    {"password=x", "password=***"},
	    {"password=", "password=***"},
	    {"PassWord=x", "PassWord=***"},
	    {"password = 'it\\'s x' user=u", "password = *** user=u"},
	    {"password='open", "password=***"},
	    {"password=a\\ b user=u", "password=*** user=u"},
	    {"password=two words user=u", "password=*** user=u"},
	    {"password=two words", "password=***"},
	    {"sslpassword=x passfile=/p", "sslpassword=*** passfile=/p"},
	    {"user='password=x' host=h", "user='password=x' host=h"},
	    {"host=h  password =x ", "host=h  password =*** "},
	    {"=x password=y", "=x password=***"},
	    {"a b password=y", "a b password=***"},
	    {"postgresql://h/db", "postgresql://h/db"},
	    {"postgresql://u@h/db", "postgresql://u@h/db"},
	    {"postgresql://u:p@h/db", "postgresql://u:***@h/db"},
	    {"postgres://u:p%40q@h:5/db?sslmode=require", "postgres://u:***@h:5/db?sslmode=require"},
	    {"postgres://:p@h", "postgres://:***@h"},
	    {"postgres://h:5432/db", "postgres://h:5432/db"},
	    {"postgres://[::1]:5/db", "postgres://[::1]:5/db"},
	    {"postgres://u:p@[::1]:5/db", "postgres://u:***@[::1]:5/db"},
	    {"postgres://a:1,b:2/db", "postgres://a:1,b:2/db"},
	    {"postgres://h/db?user=u&password=p&x=y", "postgres://h/db?user=u&password=***&x=y"},
	    {"postgres://h/db?pass%77ord=p", "postgres://h/db?pass%77ord=***"},
	    {"postgres://h/db?sslpassword=p&", "postgres://h/db?sslpassword=***&"},
	    {"postgres://u:p/q@h/db", "postgres://u:***@h/db"},
	    {"postgres://u:p?q@h/db", "postgres://u:***@h/db"},
	    {"postgres://", "postgres://"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		char *masked = conf_dsn_masked(masks[i][0]);
		assert_string_equal(masked, masks[i][1]);
		mem_free(&masked);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reference),
	    cmocka_unit_test(test_reference_standards),
	    cmocka_unit_test(test_round_trips),
	    cmocka_unit_test(test_each),
	    cmocka_unit_test(test_masks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
