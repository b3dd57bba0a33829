#include "ctl/cli.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"

static int cmd_version(int argc, char **argv);
static int cmd_help(int argc, char **argv);

struct subcommand {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what, *example;
};
/* In groups: a row without a name is a title. */
static const struct subcommand subcommands[] = {
    {NULL, NULL, "The proxy", NULL},
    {"serve", cmd_serve, "run the proxy", "headgate serve -c headgate.yaml"},
    {"check", cmd_check, "is the configuration right? are all migrations applied?",
	"headgate check -c headgate.yaml"},
    {"status", cmd_status, "the gates: open, draining, holding or shut, and why", "headgate status"},
    {"hold", cmd_hold, "hold every client until Ctrl-C",
	"headgate hold -d shop --max 20s --reason \"moving house\""},
    {"release", cmd_release, "end a hold", "headgate release -d shop"},

    {NULL, NULL, "Changing a database", NULL},
    {"upgrade", cmd_upgrade, "run migrations up to a target, head by default", "headgate upgrade --dry-run"},
    {"downgrade", cmd_downgrade, "undo migrations down to a target", "headgate downgrade -1"},
    {"rehearse", cmd_rehearse, "do the pending migrations on a copy: locks, rewrites, is there a way back?",
	"headgate rehearse --strict"},
    {"stamp", cmd_stamp, "record a version without running anything", "headgate stamp head"},
    {"publish", cmd_publish, "tell the proxies the graph of a folder, as of another tool's",
	"headgate publish --dir alembic/versions"},
    {"init", cmd_init, "make the ledger and its triggers in a database", "headgate init -d shop"},
    {"exec", cmd_exec, "conduct a migration: hold every client, run a command, let them go",
	"headgate exec -d shop -m \"orders get a note\" -- alembic upgrade head"},
    {"resolve", cmd_resolve, "say what became of a run that was left half way",
	"headgate resolve -d shop --help"},

    {NULL, NULL, "Looking at migrations, and writing them", NULL},
    {"current", cmd_current, "the revisions that a database is at", "headgate current --check-heads"},
    {"history", cmd_history, "the revisions of the folder, newest first", "headgate history -i"},
    {"heads", cmd_heads, "the revisions that nothing comes after", "headgate heads"},
    {"branches", cmd_branches, "the revisions that several others come after", "headgate branches"},
    {"show", cmd_show, "one revision: its parents, its file, how it runs", "headgate show head"},
    {"verify", cmd_verify, "do the files agree with what was applied?", "headgate verify"},
    {"log", cmd_log, "the audit: every run, who, when, why, how long, its steps", "headgate log -n 1"},
    {"revision", cmd_revision, "write a new migration", "headgate revision -m \"orders get a note\""},
    {"merge", cmd_merge, "write a migration that makes one head of several", "headgate merge heads"},

    {NULL, NULL, "This program", NULL},
    {"version", cmd_version, "print the version", "headgate version"},
    {"help", cmd_help, "this text, or a command's own", "headgate help exec"},
};
#define SUBCOMMANDS (sizeof subcommands / sizeof *subcommands)

static void overview(FILE *to)
{
	fputs("headgate: holds, forwards or turns away PostgreSQL clients by schema version.\n"
	      "\n"
	      "Usage: headgate COMMAND [OPTION]...\n"
	      "\n",
	    to);
	for (size_t i = 0; i < SUBCOMMANDS; i++) {
		if (subcommands[i].name == NULL)
			fprintf(to, "%s%s:\n", i == 0 ? "" : "\n", subcommands[i].what);
		else
			fprintf(to, "  %-10s %s\n", subcommands[i].name, subcommands[i].what);
	}
	fputs("\n"
	      "Every command explains itself: headgate COMMAND --help. All read -c FILE, $HEADGATE_CONFIG "
	      "or " CLI_DEFAULT_CONFIG ".\n"
	      "Those about migrations work without one, too: --url or $DATABASE_URL, and --dir.\n"
	      "\n"
	      "Exit status: 0 done; 1 failed, or the answer is no (status, check, verify, current "
	      "--check-heads); 2 wrong usage;\n"
	      "3 wrong configuration; 4 the server or the proxy cannot be reached. exec exits as its command "
	      "does.\n",
	    to);
}

static const struct subcommand *find(const char *name)
{
	for (size_t i = 0; i < SUBCOMMANDS; i++) {
		if (subcommands[i].name != NULL && strcmp(subcommands[i].name, name) == 0)
			return &subcommands[i];
	}
	return NULL;
}

/* The one that begins alike, for a slip of the hand; or NULL. */
static const char *nearest(const char *name)
{
	const char *best = NULL;
	size_t most = 1;
	for (size_t i = 0; i < SUBCOMMANDS; i++) {
		size_t n = 0;
		if (subcommands[i].name == NULL)
			continue;
		while (name[n] && subcommands[i].name[n] == name[n])
			n++;
		if (n > most) {
			most = n;
			best = subcommands[i].name;
		}
	}
	return best;
}

static int unknown(const char *name)
{
	const char *meant = nearest(name);
	fprintf(stderr, "headgate: no command \"%s\"", name);
	if (meant)
		fprintf(stderr, "; did you mean \"%s\"?\n", meant);
	else
		fputs(". headgate help lists them.\n", stderr);
	return CLI_USAGE;
}

static int cmd_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("headgate " HEADGATE_VERSION " (libevent %s)\n", event_get_version());
	return CLI_OK;
}

static bool asks_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int cmd_help(int argc, char **argv)
{
	if (argc < 2 || asks_help(argv[1])) {
		overview(stdout);
		return CLI_OK;
	}
	const struct subcommand *subcommand = find(argv[1]);
	if (!subcommand)
		return unknown(argv[1]);
	if (subcommand->run == cmd_help || subcommand->run == cmd_version) {
		printf("%s: %s\n\nExample:  %s\n", subcommand->name, subcommand->what, subcommand->example);
		return CLI_OK;
	}
	char ask[] = "--help";
	char *words[] = {argv[1], ask, NULL};
	return subcommand->run(2, words);
}

int cli_main(int argc, char **argv)
{
	if (argc < 2) {
		overview(stderr);
		return CLI_USAGE;
	}
	const char *name = argv[1];
	if (asks_help(name))
		name = "help";
	else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		name = "version";
	const struct subcommand *subcommand = find(name);
	if (!subcommand)
		return unknown(name);
	return subcommand->run(argc - 1, argv + 1);
}

struct conf *cli_conf(const char *path)
{
	const char *from = getenv("HEADGATE_CONFIG");
	struct conf_errors errors = {0};
	if (!path)
		path = from && from[0] ? from : CLI_DEFAULT_CONFIG;
	struct conf *conf = conf_load(path, &errors);
	for (unsigned i = 0; i < errors.count; i++)
		fprintf(stderr, "%s\n", errors.lines[i]);
	conf_errors_free(&errors);
	return conf;
}

const struct conf_database *cli_database(const struct conf *conf, const char *name)
{
	const struct conf_database *found = NULL;
	if (name) {
		for (unsigned i = 0; i < conf->database_count && !found; i++) {
			if (strcmp(conf->databases[i].name, name) == 0)
				found = &conf->databases[i];
		}
		found = found ? found : conf_database(conf, name);
	} else if (conf->database_count == 1 && strcmp(conf->databases[0].name, "*") != 0) {
		found = &conf->databases[0];
	}
	if (found)
		return found;
	if (name)
		fprintf(stderr, "headgate: %s has no database \"%s\". It has:", conf->path, name);
	else
		fprintf(stderr, "headgate: which database? Say it with -d. %s has:", conf->path);
	for (unsigned i = 0; i < conf->database_count; i++)
		fprintf(stderr, " %s", conf->databases[i].name);
	fputs("\n", stderr);
	return NULL;
}
