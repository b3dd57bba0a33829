/* headgate check: says whether serve would take a configuration, and why not, without starting anything; and
 * whether migrations are in order and applied. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/mem.h"
#include "gate/head.h"
#include "net/tls.h"
#include "ctl/cli.h"
#include "autogenerate.h"
#include "migrate.h"
#include "options.h"
#include "page_json.h"
#include "pending.h"
#include "section.h"

static const char help[] =
    "Usage: headgate check [-c FILE] [--print] [--json]\n"
    "       headgate check --pending [OPTION]...\n"
    "       headgate check --against FILE | --against-url URL [OPTION]...\n"
    "\n"
    "The first form reads the configuration as `headgate serve` would, with every file it names, and says "
    "what is wrong with\n"
    "it: file, line, column, key, what was expected, and the key that was perhaps meant. All errors are "
    "told, "
    "not only the\n"
    "first. What is right and has no effect in this version is warned of. Nothing is started and nothing is "
    "connected to.\n"
    "\n"
    "The second form is for whoever knows `alembic check`: the configuration as before, where there is one; "
    "then the\n"
    "migrations in the folder, every defect with file and line; then, is all of them applied to the "
    "database? "
    "It is meant\n"
    "too by -d, --url, --dir or --format, and where there is no configuration file at all, but $DATABASE_URL "
    "or a folder\n"
    "migrations. Without a database the files alone are checked.\n"
    "\n"
    "The third form says whether the database is as a desired schema: what differs is listed. FILE is SQL "
    "that makes that\n"
    "schema, tried in a scratch database on the same server; URL is a database that has it. Headgate's "
    "ledger is left out.\n"
    "\n"
    "      --print            when the configuration is right, print it whole, defaults included, passwords "
    "as ***\n"
    "      --pending          exit status 1 when migrations of the folder are not applied to the database; "
    "they are listed\n"
    "      --against FILE     exit status 1 when the database differs from what this file makes\n"
    "      --against-url URL  or from this database\n" MIGRATE_HELP "\n"
    "--json, of the configuration: {\"file\", \"ok\", \"errors\": [...], \"warnings\": [...]}, with --print "
    "also \"settings\":\n"
    "{key: value}; with --pending: {\"ok\", \"heads\": [...], \"pending\": [...], ...}; with "
    "--against:\n"
    "{\"same\", \"differences\": [...]}.\n"
    "\n"
    "Exit status: 0 right, warned of or not, nothing pending, no difference; 1 something is pending, "
    "differs, "
    "or the files\n"
    "are not in order; 2 wrong usage; 3 wrong configuration; 4 the database cannot be reached.\n"
    "\n"
    "Before a reload:  headgate check -c new.yaml && cp new.yaml /etc/headgate/headgate.yaml && kill -HUP "
    "PID\n"
    "In CI:            headgate check --pending --url \"$DATABASE_URL\"\n";

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

static void print_json_setting(const char *key, const char *value, const char *standard, void *arg)
{
	bool *first = arg;
	(void)standard;
	fputs(*first ? "" : ",", stdout);
	*first = false;
	page_json_string(stdout, key);
	putchar(':');
	page_json_string(stdout, value);
}

static void print_json_lines(const char *key, const struct conf_errors *lines)
{
	printf(",\"%s\":[", key);
	for (unsigned i = 0; i < lines->count; i++) {
		fputs(i > 0 ? "," : "", stdout);
		page_json_string(stdout, lines->lines[i]);
	}
	putchar(']');
}

static void answer_json(const char *path, const struct conf *conf, const struct conf_errors *errors,
    const struct conf_errors *warnings, bool print)
{
	fputs("{\"file\":", stdout);
	page_json_string(stdout, path);
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

struct asked {
	const char *config, *database, *url, *dir, *format, *against, *against_url;
	struct option_list set;
	bool print, pending, json;
};

static const char *named_path(const struct asked *asked)
{
	const char *path = getenv("HEADGATE_CONFIG");

	if (asked->config != NULL)
		return asked->config;
	return path != NULL && path[0] != '\0' ? path : NULL;
}

/* quiet: what is right is not told, for there is more to come. */
static int check_configuration(const char *path, const struct asked *asked, bool quiet)
{
	struct conf_errors errors = {.count = 0}, warnings = {.count = 0};
	struct conf *conf = conf_load(path, &errors);

	if (conf != NULL)
		check_house(path, conf, &errors, &warnings);
	if (asked->json && (!quiet || errors.count > 0))
		answer_json(path, conf, &errors, &warnings, asked->print);
	else if (!asked->json && (!quiet || errors.count > 0 || warnings.count > 0))
		answer_text(path, conf, &errors, &warnings, asked->print);
	int status = errors.count == 0 ? CLI_OK : CLI_CONFIG;
	conf_errors_free(&warnings);
	conf_errors_free(&errors);
	conf_unref(&conf);
	return status;
}

/* Is it the migrations that are meant? path NULL: no configuration was named. */
static bool means_migrations(const struct asked *asked, const char *path)
{
	const char *url = getenv("DATABASE_URL");

	if (asked->pending || asked->against != NULL || asked->against_url != NULL ||
	    asked->database != NULL || asked->url != NULL || asked->dir != NULL || asked->format != NULL ||
	    asked->set.count > 0)
		return true;
	return path == NULL && !asked->print && access(CLI_DEFAULT_CONFIG, F_OK) != 0 &&
	    ((url != NULL && url[0] != '\0') || access("migrations", F_OK) == 0);
}

static int check_usage(const struct migrate *m, const struct asked *asked)
{
	bool against = asked->against != NULL || asked->against_url != NULL;

	if (m->word_count > 0)
		return command_usage("check",
		    "what is \"%s\"? The configuration goes after -c, the folder after --dir", m->words[0]);
	if (asked->print)
		return command_usage("check", "--print is of the configuration, and goes with -c alone");
	if (asked->against != NULL && asked->against_url != NULL)
		return command_usage("check", "--against or --against-url, not both");
	if (against && asked->pending && m->json)
		return command_usage(
		    "check", "--pending and --against would be two documents: ask one by one");
	return -1;
}

static int check_migrations(struct migrate *m, const struct asked *asked, const char *path)
{
	bool behind = false, against = asked->against != NULL || asked->against_url != NULL;
	int status = check_usage(m, asked);

	if (status >= 0)
		return status;
	if (m->configured) {
		status = check_configuration(path == NULL ? CLI_DEFAULT_CONFIG : path, asked, true);
		if (status != CLI_OK)
			return status;
	}
	if ((asked->pending || against) && !migrate_section(m))
		return m->status;
	if ((asked->pending || !against) && !pending_tell(m, &behind))
		return m->status;
	status = against ? drift(m, asked->against, asked->against_url) : CLI_OK;
	if (against && !m->json && status == CLI_OK)
		printf("%s: as desired\n", migrate_database(m));
	return status == CLI_OK && behind ? CLI_FAILED : status;
}

/* Which of the two is meant shows when the options are read; migrate_open() reads them again. */
static int read_asked(struct asked *asked, int argc, char **argv)
{
	const struct command_option every[] = {
	    {.name = "config", .letter = 'c', .text = &asked->config},
	    {.name = "database", .letter = 'd', .text = &asked->database},
	    {.name = "url", .text = &asked->url},
	    {.name = "dir", .text = &asked->dir},
	    {.name = "format", .text = &asked->format},
	    {.name = "set", .list = &asked->set},
	    {.name = "json", .flag = &asked->json},
	    {.name = "print", .flag = &asked->print},
	    {.name = "pending", .flag = &asked->pending},
	    {.name = "against", .text = &asked->against},
	    {.name = "against-url", .text = &asked->against_url},
	};
	const struct command_options table = {every, sizeof(every) / sizeof(every[0])};
	const struct command_line line = {.help = help, .tables = &table, .table_count = 1};
	char **copy = mem_dup(argv, ((size_t)argc + 1) * sizeof(*argv)), **words;
	unsigned word_count;
	int status = command_options_read(&line, argc, copy, &words, &word_count);

	if (status < 0 && !means_migrations(asked, named_path(asked)) && word_count > 0)
		status = command_usage("check", "what is \"%s\"? The file goes after -c", words[0]);
	mem_free(&copy);
	return status;
}

int cmd_check(int argc, char **argv)
{
	struct asked asked = {.print = false};
	bool pending = false, print = false;
	const char *against = NULL, *against_url = NULL;
	const struct command_option own[] = {
	    {.name = "print", .flag = &print},
	    {.name = "pending", .flag = &pending},
	    {.name = "against", .text = &against},
	    {.name = "against-url", .text = &against_url},
	};
	int status = read_asked(&asked, argc, argv);
	const char *path = named_path(&asked);

	if (status < 0 && !means_migrations(&asked, path)) {
		status = check_configuration(path == NULL ? CLI_DEFAULT_CONFIG : path, &asked, false);
	} else if (status < 0) {
		struct migrate m = {.json = false};
		status = migrate_open(&m, argc, argv, help, own, 4);
		if (status < 0)
			status = check_migrations(&m, &asked, path);
		migrate_close(&m);
	}
	option_list_free(&asked.set);
	return status;
}
