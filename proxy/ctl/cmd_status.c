/* headgate status: the gates, for people and programs. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "console_parse.h"
#include "console_private.h"
#include "ctl/cli.h"
#include "page_json.h"
#include "remote.h"

static const char help[] =
    "Usage: headgate status [-c FILE | --console PATH] [-d DATABASE] [--json]\n"
    "\n"
    "Asks the running proxy for its gates: open, draining (a hold waits for transactions to end), holding, "
    "or shut (what is\n"
    "recorded was left half way), and why.\n"
    "\n"
    "  -c, --config FILE    whose console to ask; default $HEADGATE_CONFIG or /etc/headgate/headgate.yaml\n"
    "      --console PATH   the console's socket itself: /run/headgate/.s.PGSQL.6434\n"
    "  -d, --database NAME  this one only\n"
    "      --json           a list of objects, with the columns of SHOW GATES\n"
    "  -h, --help           this text\n"
    "\n"
    "Exit status: 0 all gates are open, 1 one is not, 2 wrong usage, 3 wrong configuration, 4 the proxy "
    "cannot be reached.\n"
    "\n"
    "Example:  headgate status || echo 'somebody holds traffic'\n";

/* Columns of SHOW GATES by place; console_show.c has their names. */
enum {
	DATABASE,
	GATE,
	STATE,
	RECORDED,
	ACCEPTED,
	GRAPH,
	MODE,
	LEASE_LEFT,
	RUN,
	HOLD_OWNER,
	HOLD_REASON,
	DRAIN_LEFT,
	HOLD_LEFT,
	CLIENTS,
	BUSY,
	HELD,
	LINK,
	TROUBLE
};

struct question {
	struct remote *remote;
	const char *database; /* or NULL */
	bool json;
};

static void print_json_row(const struct pq_result *result, int row, bool first)
{
	const char *const *names;
	unsigned count = console_columns(COMMAND_SHOW_GATES, &names);
	fputs(first ? "" : ",\n ", stdout);
	for (unsigned i = 0; i < count; i++) {
		fputs(i ? ", " : "{", stdout);
		page_json_string(stdout, names[i]);
		fputs(": ", stdout);
		page_json_string(stdout, pq_value(result, row, (int)i));
	}
	putchar('}');
}

static const char *text(const struct pq_result *result, int row, int column)
{
	const char *value = pq_value(result, row, column);
	return value ? value : "-";
}

static void print_row(const struct pq_result *result, int row)
{
	printf("%-20s %-8s %-24s %-10s %7s %6s %6s  ", text(result, row, DATABASE), text(result, row, GATE),
	    text(result, row, RECORDED), text(result, row, STATE), text(result, row, CLIENTS),
	    text(result, row, BUSY), text(result, row, HELD));
	const char *owner = pq_value(result, row, HOLD_OWNER), *reason = pq_value(result, row, HOLD_REASON);
	const char *run = pq_value(result, row, RUN), *trouble = pq_value(result, row, TROUBLE);
	const char *graph = pq_value(result, row, GRAPH);
	bool said = false;
	if (run)
		said = printf("run %s", run) > 0;
	if (owner)
		said = printf("%sheld by %s for at most %s more%s%s", said ? "; " : "", owner,
			   text(result, row, HOLD_LEFT), reason ? ": " : "", reason ? reason : "") > 0;
	if (trouble)
		said = printf("%s%s", said ? "; " : "", trouble) > 0;
	if (graph && strncmp(graph, "not used", 8) == 0)
		said = printf("%sthe published graph is %s", said ? "; " : "", graph) > 0;
	if (strcmp(text(result, row, MODE), "observe") == 0)
		printf("%sobserve mode", said ? "; " : "");
	putchar('\n');
}

static void answered(const struct pq_result *result, void *arg)
{
	const struct question *question = arg;
	if (!result->ok) {
		remote_complain(result);
		remote_stop(
		    question->remote, strcmp(result->sqlstate, "08006") == 0 ? CLI_UNREACHABLE : CLI_FAILED);
		return;
	}
	bool found = false, all_open = true;
	if (question->json)
		putchar('[');
	for (int row = 0; row < result->rows; row++) {
		if (question->database && strcmp(text(result, row, DATABASE), question->database) != 0)
			continue;
		if (!found && !question->json)
			printf("%-20s %-8s %-24s %-10s %7s %6s %6s  %s\n", "DATABASE", "GATE", "RECORDED",
			    "STATE", "CLIENTS", "BUSY", "HELD", "WHY");
		if (question->json)
			print_json_row(result, row, !found);
		else
			print_row(result, row);
		found = true;
		all_open = all_open && strcmp(text(result, row, GATE), "open") == 0;
	}
	if (question->json)
		puts("]");
	if (question->database && !found)
		fprintf(stderr, "headgate: no gate for a database \"%s\"\n", question->database);
	remote_stop(question->remote, all_open && (found || !question->database) ? CLI_OK : CLI_FAILED);
}

int cmd_status(int argc, char **argv)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"console", required_argument, NULL, 'C'},
	    {"database", required_argument, NULL, 'd'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	const char *config = NULL, *console = NULL;
	struct question question = {0};
	optind = 0;
	for (int option; (option = getopt_long(argc, argv, "c:d:h", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			config = optarg;
			break;
		case 'C':
			console = optarg;
			break;
		case 'd':
			question.database = optarg;
			break;
		case 'j':
			question.json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return CLI_OK;
		default:
			fputs("Try: headgate status --help\n", stderr);
			return CLI_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(
		    stderr, "headgate status: what is \"%s\"? The database goes after -d\n", argv[optind]);
		return CLI_USAGE;
	}
	int status;
	question.remote = remote_open(config, console, &status);
	if (!question.remote)
		return status;
	remote_ask(question.remote, "SHOW GATES", answered, &question);
	status = remote_run(question.remote);
	remote_close(&question.remote);
	return status;
}
