/* headgate resolve: an operator says what became of a run that was left half way. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/resolve.h"
#include "schema/coord.h"
#include "schema/link.h"
#include "ctl/cli.h"
#include "conduct.h"

static const char help[] =
    "Usage: headgate resolve [-c FILE] [-d DATABASE] --as done|undone -m WHY [--json]\n"
    "\n"
    "A run whose coordinator was lost while its command ran is failed and unresolved: nobody but a person "
    "knows how far the\n"
    "command came, so the gate stays shut. Look at the database, finish the migration or undo it, with the "
    "tool's own means\n"
    "(through control.run_dsn, not through the proxy), and then say so: the gate goes to the version that is "
    "recorded. The\n"
    "ledger keeps who said what, and when. The oldest unresolved run of the database is meant.\n"
    "\n"
    "  -c, --config FILE    the configuration; default $HEADGATE_CONFIG or /etc/headgate/headgate.yaml\n"
    "  -d, --database NAME  which of its databases; may be left out when there is one\n"
    "      --as done        what the run was to do is done\n"
    "      --as undone      what it had done is undone\n"
    "  -m, --message WHY    how you know; kept in the ledger\n"
    "      --json           answer in JSON: {\"ok\", \"run\", \"text\"}\n"
    "  -h, --help           this text\n"
    "\n"
    "Exit status: 0 resolved, 1 nothing was unresolved or it was refused, 2 wrong usage, 3 wrong "
    "configuration, 4 the server\n"
    "cannot be reached.\n"
    "\n"
    "Example:  headgate resolve -d shop --as undone -m \"rolled back by the crash, checked "
    "alembic_version\"\n";

struct resolve_options {
	const char *config, *database, *as, *why;
	bool json;
};

struct answer {
	struct event_base *base;
	bool json;
	int status;
};

static void on_done(enum coord_resolved how, int64_t run_id, const char *text, void *arg)
{
	struct answer *answer = arg;
	answer->status = how == COORD_RESOLVED ? CLI_OK
	    : how == COORD_RESOLVE_UNREACHABLE ? CLI_UNREACHABLE
					       : CLI_FAILED;
	if (answer->json) {
		printf("{\"ok\":%s,\"run\":", how == COORD_RESOLVED ? "true" : "false");
		if (run_id != 0)
			printf("%" PRId64, run_id);
		else
			fputs("null", stdout);
		fputs(",\"text\":", stdout);
		conduct_json(text);
		puts("}");
	} else {
		fprintf(how == COORD_RESOLVED ? stdout : stderr, "headgate resolve: %s\n", text);
	}
	event_base_loopbreak(answer->base);
}

static int resolve_section(const struct conf_database *section, const struct resolve_options *options)
{
	char why[512];
	if (!link_check(section, why, sizeof(why))) {
		fprintf(stderr, "headgate resolve: databases.%s: %s\n", section->name, why);
		return CLI_CONFIG;
	}
	struct answer answer = {.base = event_base_new(), .json = options->json, .status = CLI_FAILED};
	if (answer.base == NULL)
		log_fatal("no event loop");
	struct resolver *resolver = resolver_new(answer.base);
	struct conductor self = conductor_self();
	char *dbname = conduct_dbname(section, options->database != NULL ? options->database : section->name);
	char *note = mem_printf("%s: %s", options->as, options->why);
	const struct resolution_request request = {
	    .base = answer.base,
	    .resolver = resolver,
	    .section = section,
	    .dbname = dbname,
	    .who = self.who,
	    .note = note,
	    .done = on_done,
	    .arg = &answer,
	};
	struct resolution *resolution = resolution_start(&request);
	event_base_dispatch(answer.base);
	resolution_free(&resolution);
	resolver_free(&resolver);
	event_base_free(answer.base);
	conductor_free(&self);
	mem_free(&dbname);
	mem_free(&note);
	return answer.status;
}

/* An exit status to leave with, or -1: go on. */
static int read_options(int argc, char **argv, struct resolve_options *out)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"database", required_argument, NULL, 'd'},
	    {"as", required_argument, NULL, 'a'},
	    {"message", required_argument, NULL, 'm'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	const char *wrong = NULL;
	optind = 0; /* glibc: begin anew */
	for (int option; (option = getopt_long(argc, argv, "c:d:m:h", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			out->config = optarg;
			break;
		case 'd':
			out->database = optarg;
			break;
		case 'a':
			out->as = optarg;
			break;
		case 'm':
			out->why = optarg;
			break;
		case 'j':
			out->json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return CLI_OK;
		default:
			wrong = "";
			break;
		}
	}
	if (wrong == NULL && optind < argc)
		wrong = "headgate resolve: it takes no argument; a database goes after -d\n";
	if (wrong == NULL &&
	    (out->as == NULL || (strcmp(out->as, "done") != 0 && strcmp(out->as, "undone") != 0)))
		wrong = "headgate resolve: say --as done or --as undone\n";
	if (wrong == NULL && (out->why == NULL || out->why[0] == '\0'))
		wrong = "headgate resolve: say how you know, with -m: the ledger keeps it\n";
	if (wrong == NULL)
		return -1;
	fprintf(stderr, "%sTry: headgate resolve --help\n", wrong);
	return CLI_USAGE;
}

int cmd_resolve(int argc, char **argv)
{
	struct resolve_options options = {.config = NULL};
	int status = read_options(argc, argv, &options);
	if (status >= 0)
		return status;
	struct conf *conf = cli_conf(options.config);
	if (conf == NULL)
		return CLI_CONFIG;
	const struct conf_database *section = cli_database(conf, options.database);
	status = section != NULL ? resolve_section(section, &options) : CLI_USAGE;
	conf_unref(&conf);
	return status;
}
