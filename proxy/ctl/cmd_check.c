/* headgate check: says whether serve would take a configuration, and why not, without starting anything. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/mem.h"
#include "gate/head.h"
#include "net/tls.h"
#include "ctl/cli.h"
#include "section.h"

static const char help[] =
    "Usage: headgate check [-c FILE] [--print] [--json]\n"
    "\n"
    "Reads the configuration as `headgate serve` would, with every file it names, and says what is wrong "
    "with it:\n"
    "file, line, column, key, what was expected, and the key that was perhaps meant. All errors are told, "
    "not only\n"
    "the first. What is right and has no effect in this version is warned of. Nothing is started and nothing "
    "is connected to.\n"
    "\n"
    "  -c, --config FILE  the configuration; default $HEADGATE_CONFIG or /etc/headgate/headgate.yaml\n"
    "      --print        when it is right, print it whole, defaults included, passwords as ***\n"
    "      --json         answer in JSON: {\"file\", \"ok\", \"errors\": [...], \"warnings\": [...]}, with "
    "--print also\n"
    "                     \"settings\": {key: value}\n"
    "  -h, --help         this text\n"
    "\n"
    "Exit status: 0 right, warned of or not; 2 wrong usage, 3 wrong configuration.\n"
    "\n"
    "Before a reload:  headgate check -c new.yaml && cp new.yaml /etc/headgate/headgate.yaml && kill -HUP "
    "PID\n";

/* why: begins with the key, as the configuration's own errors do. */
static void add_error(struct conf_errors *errors, const char *path, const char *why)
{
	if (errors->count < sizeof(errors->lines) / sizeof(errors->lines[0]))
		errors->lines[errors->count++] = mem_printf("%s: %s", path, why);
}

static void check_listen(
    const char *path, unsigned number, const struct conf_listen *listen, struct conf_errors *errors)
{
	char why[512], line[600];
	struct heads heads = heads_none();
	const char *reason;
	if (listen->head != NULL && !heads_parse(listen->head, strlen(listen->head), &heads, &reason)) {
		snprintf(line, sizeof(line), "listen[%u].head: %s", number, reason);
		add_error(errors, path, line);
	}
	heads_free(&heads);
	struct tls_context *tls = tls_context_new(&listen->tls, TLS_SERVER, why, sizeof(why));
	if (tls == NULL) {
		snprintf(line, sizeof(line), "listen[%u].tls: %s", number, why);
		add_error(errors, path, line);
	}
	tls_context_unref(&tls);
}

/* What the configuration's own rules cannot know: readers, heads, the files it names. */
static void check_house(
    const char *path, const struct conf *conf, struct conf_errors *errors, struct conf_errors *warnings)
{
	for (unsigned i = 0; i < conf->listen_count; i++)
		check_listen(path, i, &conf->listen[i], errors);
	for (unsigned i = 0; i < conf->database_count; i++) {
		char why[512];
		if (!section_check(&conf->databases[i], why, sizeof(why)))
			add_error(errors, path, why);
		section_warnings(&conf->databases[i], warnings);
	}
}

/* Texts of the configuration are UTF-8, as YAML is. */
static void print_json_text(const char *text)
{
	putchar('"');
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\')
			printf("\\%c", *c);
		else if (*c < 0x20 || *c == 0x7f)
			printf("\\u%04x", *c);
		else
			putchar(*c);
	}
	putchar('"');
}

static void print_json_setting(const char *key, const char *value, const char *standard, void *arg)
{
	bool *first = arg;
	(void)standard;
	fputs(*first ? "" : ",", stdout);
	*first = false;
	print_json_text(key);
	putchar(':');
	print_json_text(value);
}

static void print_json_lines(const char *key, const struct conf_errors *lines)
{
	printf(",\"%s\":[", key);
	for (unsigned i = 0; i < lines->count; i++) {
		fputs(i > 0 ? "," : "", stdout);
		print_json_text(lines->lines[i]);
	}
	putchar(']');
}

static void answer_json(const char *path, const struct conf *conf, const struct conf_errors *errors,
    const struct conf_errors *warnings, bool print)
{
	fputs("{\"file\":", stdout);
	print_json_text(path);
	printf(",\"ok\":%s", errors->count == 0 ? "true" : "false");
	print_json_lines("errors", errors);
	print_json_lines("warnings", warnings);
	if (print && errors->count == 0) {
		bool first = true;
		fputs(",\"settings\":{", stdout);
		conf_each(conf, print_json_setting, &first);
		putchar('}');
	}
	fputs("}\n", stdout);
}

static void answer_text(const char *path, const struct conf *conf, const struct conf_errors *errors,
    const struct conf_errors *warnings, bool print)
{
	for (unsigned i = 0; i < errors->count; i++)
		fprintf(stderr, "%s\n", errors->lines[i]);
	for (unsigned i = 0; i < warnings->count; i++)
		fprintf(stderr, "%s: warning: %s\n", path, warnings->lines[i]);
	if (errors->count > 0)
		return;
	if (print)
		conf_print(conf, stdout);
	else
		printf("%s: right: %u listener%s, %u database%s\n", path, conf->listen_count,
		    conf->listen_count == 1 ? "" : "s", conf->database_count,
		    conf->database_count == 1 ? "" : "s");
}

static const char *default_path(void)
{
	const char *path = getenv("HEADGATE_CONFIG");
	return path != NULL && path[0] != '\0' ? path : "/etc/headgate/headgate.yaml";
}

int cmd_check(int argc, char **argv)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"print", no_argument, NULL, 'p'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	const char *path = default_path();
	bool print = false, json = false;
	optind = 0; /* glibc: begin anew, main() may have read options before us */
	for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'p':
			print = true;
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return CLI_OK;
		default:
			fputs("Try: headgate check --help\n", stderr);
			return CLI_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "headgate check: what is \"%s\"? The file goes after -c\n", argv[optind]);
		return CLI_USAGE;
	}
	struct conf_errors errors = {.count = 0}, warnings = {.count = 0};
	struct conf *conf = conf_load(path, &errors);
	if (conf != NULL)
		check_house(path, conf, &errors, &warnings);
	if (json)
		answer_json(path, conf, &errors, &warnings, print);
	else
		answer_text(path, conf, &errors, &warnings, print);
	int status = errors.count == 0 ? CLI_OK : CLI_CONFIG;
	conf_errors_free(&warnings);
	conf_errors_free(&errors);
	conf_unref(&conf);
	return status;
}
