/* headgate check: the reference passes; what only the rooms above the configuration know is told too; exit
 * codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/conf.h"
#include "base/mem.h"
#include "gate/head.h"
#include "ctl/cli.h"

static char out[100000], err[20000];
static char folder[] = "/tmp/ctl_check_XXXXXX";
static char *file;

static int make_folder(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	file = mem_printf("%s/h.yaml", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(file);
	mem_free(&file);
	return rmdir(folder);
}

static void write_file(const char *text)
{
	FILE *to = fopen(file, "w");
	assert_non_null(to);
	fputs(text, to);
	fclose(to);
}

static int redirect(int fd, FILE *to)
{
	int saved = dup(fd);
	assert_true(saved >= 0 && dup2(fileno(to), fd) >= 0);
	return saved;
}

static void restore(int fd, int saved, FILE *from, char *text, size_t size)
{
	dup2(saved, fd);
	close(saved);
	rewind(from);
	text[fread(text, 1, size - 1, from)] = '\0';
	fclose(from);
}

/* Runs the command with up to two arguments; what it wrote is in out and err. */
static int check(const char *first, const char *second)
{
	char *argv[] = {
	    (char *)(uintptr_t) "check", (char *)(uintptr_t)first, (char *)(uintptr_t)second, NULL};
	int argc = 1;
	while (argv[argc] != NULL)
		argc++;
	FILE *to_out = tmpfile(), *to_err = tmpfile();
	assert_true(to_out != NULL && to_err != NULL);
	fflush(stdout);
	int saved_out = redirect(STDOUT_FILENO, to_out), saved_err = redirect(STDERR_FILENO, to_err);
	int status = cmd_check(argc, argv);
	fflush(stdout);
	restore(STDOUT_FILENO, saved_out, to_out, out, sizeof(out));
	restore(STDERR_FILENO, saved_err, to_err, err, sizeof(err));
	return status;
}

static void test_reference(void **state)
{
	(void)state;
	char *path =
	    mem_printf("%.*s/../../conf/headgate.yaml", (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__);
	assert_int_equal(check("-c", path), CLI_OK);
	assert_string_equal(err, "");
	assert_non_null(strstr(out, "headgate.yaml: right: 3 listeners, 2 databases\n"));
	mem_free(&path);
}

#define GOOD                                                                                                 \
	"listen: {address: a:1}\n"                                                                           \
	"databases:\n"                                                                                       \
	"  shop:\n"                                                                                          \
	"    upstream: {address: b:2}\n"                                                                     \
	"    control: {dsn: host=a password=hidden}\n"                                                       \
	"    recorded: {reader: alembic}\n"

static void test_answers(void **state)
{
	(void)state;
	write_file(GOOD);
	setenv("HEADGATE_CONFIG", file, 1);
	assert_int_equal(check(NULL, NULL), CLI_OK);
	assert_non_null(strstr(out, "h.yaml: right: 1 listener, 1 database\n"));
	assert_int_equal(check("--print", NULL), CLI_OK);
	assert_non_null(strstr(out, "      dsn: \"host=a password=***\"\n"));
	assert_int_equal(check("--json", "--print"), CLI_OK);
	assert_non_null(
	    strstr(out, "\",\"ok\":true,\"errors\":[],\"warnings\":[],\"settings\":{\"workers\":\"auto\","));
	assert_non_null(strstr(out, "\"databases.shop.hold.max\":\"30s\""));
	assert_null(strstr(out, "hidden"));

	write_file(GOOD "workers: \"a\\tb\"\n");
	assert_int_equal(check("--print", NULL), CLI_CONFIG);
	assert_string_equal(out, "");
	assert_non_null(strstr(
	    err, "h.yaml:7:10: workers: expected auto or a whole number from 1 to 1024, got \"a?b\"\n"));
	assert_int_equal(check("--json", NULL), CLI_CONFIG);
	assert_non_null(strstr(out, "\"ok\":false,\"errors\":[\""));
	assert_non_null(strstr(out, "got \\\"a?b\\\"\"],\"warnings\":[]}\n"));

	assert_int_equal(check("-c", "/nowhere/h.yaml"), CLI_CONFIG);
	assert_string_equal(err, "/nowhere/h.yaml: cannot read: No such file or directory\n");
	setenv("HEADGATE_CONFIG", "/nowhere/\xff.yaml", 1); /* JSON is UTF-8 */
	assert_int_equal(check("--json", NULL), CLI_CONFIG);
	assert_non_null(strstr(out, "{\"file\":\"/nowhere/\\ufffd.yaml\","));
	setenv("HEADGATE_CONFIG", file, 1);
	assert_int_equal(check("--help", NULL), CLI_OK);
	assert_non_null(strstr(out, "Usage: headgate check"));
	assert_int_equal(check("--nonsense", NULL), CLI_USAGE);
	assert_int_equal(check("file.yaml", NULL), CLI_USAGE);
}

/* A missing file, an unknown reader, a wrong connection string: all are found without a server. */
static void test_house(void **state)
{
	(void)state;
	write_file("listen: {address: a:1, tls: {cert: none.crt, key: none.key}}\n"
		   "databases:\n"
		   "  reader:\n"
		   "    upstream: {address: b:2}\n"
		   "    control: {dsn: host=a}\n"
		   "    recorded: {reader: alembik}\n"
		   "  dsn:\n"
		   "    upstream: {address: b:2}\n"
		   "    control: {dsn: host=a nonsense}\n"
		   "    recorded: {reader: alembic}\n"
		   "  tls:\n"
		   "    upstream: {address: b:2, tls: {ca: none.ca}}\n"
		   "    control: {dsn: host=a}\n"
		   "    recorded: {reader: alembic}\n");
	assert_int_equal(check("-c", file), CLI_CONFIG);
	assert_non_null(strstr(err, "h.yaml: listen[0].tls: "));
	assert_non_null(strstr(err, "/none.crt"));
	assert_non_null(strstr(err, "h.yaml: databases.reader"));
	assert_non_null(strstr(err, "alembik"));
	assert_non_null(strstr(err, "h.yaml: databases.dsn"));
	assert_non_null(strstr(err, "h.yaml: databases.tls"));
	assert_non_null(strstr(err, "/none.ca"));
}

/* What is taken and does nothing yet is warned of, and right all the same. */
static void test_without_effect(void **state)
{
	(void)state;
	static const struct {
		const char *setting, *warning;
	} table[] = {
	    {"accept: {window: 2}", NULL},
	    {"accept: compatible", NULL},
	    {"migrations: {dir: here}", "databases.shop.migrations.dir: has no effect yet"},
	    {"migrations: {lock_timeout: 3s}", "databases.shop.migrations.lock_timeout: has no effect yet"},
	    {"accept: exact", NULL},
	    {"migrations: {lock_timeout: 2s}", NULL},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char *text = mem_printf(GOOD "    %s\n", table[i].setting);
		write_file(text);
		mem_free(&text);
		assert_int_equal(check("-c", file), CLI_OK);
		assert_non_null(strstr(out, "h.yaml: right: "));
		if (table[i].warning == NULL) {
			assert_string_equal(err, "");
			continue;
		}
		assert_non_null(strstr(err, "h.yaml: warning: "));
		assert_non_null(strstr(err, table[i].warning));
		assert_int_equal(check("--json", NULL), CLI_OK);
		assert_non_null(strstr(out, "\"ok\":true,\"errors\":[],\"warnings\":[\"databases.shop."));
		assert_string_equal(err, "");
	}
}

/* The configuration checks heads by the gate's rule, which stands above it: this holds the two together. */
static void test_heads_agree(void **state)
{
	(void)state;
	for (unsigned c = 1; c < 0x80; c++) { /* above that a byte alone is no text to YAML */
		char head[4] = {'a', (char)c, 'b', '\0'}, text[400];
		snprintf(text, sizeof(text),
		    "listen: {address: a:1, head: \"a\\x%02xb\"}\ndatabases:\n  s:\n    upstream: {address: "
		    "b:2}\n"
		    "    control: {dsn: d}\n    recorded: {reader: alembic}\n",
		    c);
		struct heads heads = heads_none();
		const char *why;
		bool gate = heads_parse(head, strlen(head), &heads, &why);
		heads_free(&heads);
		struct conf_errors errors = {.count = 0};
		struct conf *conf = conf_parse("h.yaml", text, strlen(text), &errors);
		conf_errors_free(&errors);
		if ((conf != NULL) != gate)
			print_error("byte %u: the gate says %d\n", c, gate);
		assert_int_equal(conf != NULL, gate);
		conf_unref(&conf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reference),
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_house),
	    cmocka_unit_test(test_without_effect),
	    cmocka_unit_test(test_heads_agree),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
