/* headgate exec: conducts one run of an external command. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "gate/head.h"
#include "schema/coord.h"
#include "schema/link.h"
#include "ctl/cli.h"
#include "conduct.h"
#include "conducting.h"
#include "page_json.h"

#define DEADLINE_NS (5 * 60 * CLOCK_S)

static const char help[] =
    "Usage: headgate exec [-c FILE] [-d DATABASE] -m WHY [OPTION]... -- COMMAND [ARGUMENT]...\n"
    "\n"
    "Conducts one run: takes the lock, looks whether anything is in the way, announces the run to every "
    "proxy, waits until no\n"
    "client of theirs has a transaction open, ends every session that no proxy answers for, runs COMMAND, "
    "reads the recorded\n"
    "version again, and lets the clients go: those that fit go on, the others are told why not. Clients are "
    "held meanwhile, not\n"
    "refused. Needs the ledger (headgate init). No proxy has to be there.\n"
    "\n"
    "COMMAND is executed as it is, without a shell, with stdin from /dev/null, and with the direct "
    "connection of control.run_dsn\n"
    "in its environment: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and so on, DATABASE_URL, "
    "HEADGATE_RUN (the run's number)\n"
    "and PGAPPNAME (headgate-run-NUMBER). It is killed with this process, whatever kills it; what it leaves "
    "running is killed at\n"
    "its end. The tail of its output is kept in the ledger.\n"
    "\n"
    "  -c, --config FILE            the configuration; default $HEADGATE_CONFIG or "
    "/etc/headgate/headgate.yaml\n"
    "  -d, --database NAME          which of its databases; may be left out when there is one\n"
    "  -m, --message WHY            why; kept in the ledger, told to held clients\n"
    "      --to HEAD                the head it will bring: clients that neither it nor the recorded one "
    "fits are turned away at\n"
    "                               once; nothing is done when it is recorded already; not recorded at the "
    "end means failed. With\n"
    "                               the reader `headgate` it is recorded in the ledger\n" CONDUCTING_HELP
    "      --deadline T             from the announcement to the release; then the command is stopped; "
    "default 5m\n"
    "      --json                   one JSON object a line on stdout: {\"event\": \"progress\", ...}, at "
    "last {\"event\": \"result\",\n"
    "                               \"outcome\", \"exit_status\", \"run\", \"attached\", \"from\", \"to\", "
    "\"text\", \"hint\"}; the command's\n"
    "                               output goes to stderr\n"
    "  -h, --help                   this text\n"
    "\n"
    "Ctrl-C (or SIGTERM) before the command runs: release and leave. While it runs: SIGTERM to it, SIGKILL "
    "the second time. A\n"
    "hang-up of the terminal changes nothing.\n"
    "\n"
    "Exit status: the command's (128+n when signal n ended it, 126 or 127 when it could not be executed); 0 "
    "also when the target\n"
    "was recorded already or the run that was joined succeeded; 1 the run was refused, gave up, was "
    "cancelled or lost its\n"
    "connection; 2 wrong usage; 3 wrong configuration; 4 the server cannot be reached. --json tells them "
    "apart.\n"
    "\n"
    "Example:  headgate exec -d shop -m \"orders get a note\" -- alembic upgrade head\n";

struct exec {
	struct coord_request request;
	bool json;
	int status;
};

static void json_number(const char *key, int64_t value, bool known)
{
	printf(",\"%s\":", key);
	if (known)
		printf("%" PRId64, value);
	else
		fputs("null", stdout);
}

static void json_text(const char *key, const char *value)
{
	printf(",\"%s\":", key);
	page_json_string(stdout, value);
}

/* A terminal stopped with Ctrl-S, a reader that sleeps: they lose lines, and clients are not held for them.
 */
static bool takes_a_line(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLOUT};
	return poll(&polled, 1, 0) != 0;
}

static void on_progress(const struct coord_progress *progress, void *arg)
{
	const struct exec *exec = arg;
	if (!takes_a_line(exec->json ? STDOUT_FILENO : STDERR_FILENO))
		return;
	if (!exec->json) {
		fprintf(stderr, "headgate: %s%s\n", progress->warning ? "warning: " : "", progress->text);
		return;
	}
	printf("{\"event\":\"progress\",\"level\":\"%s\"", progress->warning ? "warning" : "info");
	json_text("state", progress->state);
	json_text("text", progress->text);
	json_number("run", progress->run_id, progress->run_id != 0);
	json_number("attempt", progress->attempt, progress->attempt != 0);
	json_number("proxies", progress->proxies, progress->proxies >= 0);
	json_number("ready", progress->ready, progress->ready >= 0);
	json_number("clients", progress->clients, progress->clients >= 0);
	puts("}");
	fflush(stdout);
}

static void on_done(const struct coord_result *result, void *arg)
{
	struct exec *exec = arg;
	exec->status = result->exit_status;
	if (exec->json) {
		fputs("{\"event\":\"result\"", stdout);
		json_text("outcome", coord_outcome_name(result->outcome));
		json_number("exit_status", result->exit_status, true);
		json_number("run", result->run_id, result->run_id != 0);
		printf(",\"attached\":%s", result->attached ? "true" : "false");
		json_text("from", result->from);
		json_text("to", result->to);
		json_text("text", result->text);
		json_text("hint", result->hint);
		puts("}");
		fflush(stdout);
	} else {
		fprintf(stderr, "headgate: %s\n", result->text);
		if (result->hint != NULL)
			fprintf(stderr, "headgate: %s\n", result->hint);
	}
	conducting_end(&exec->request);
}

struct exec_given {
	const char *config, *database, *why, *to;
	bool json;
	struct conducting conducting;
};

static int exec_section(
    const struct conf_database *section, const struct exec_given *given, char *const *argv)
{
	char why[512];
	const char *reason;
	struct heads target = heads_none();
	if (!link_check(section, why, sizeof(why))) {
		fprintf(stderr, "headgate exec: databases.%s: %s\n", section->name, why);
		return CLI_CONFIG;
	}
	if (given->to != NULL && !heads_parse(given->to, strlen(given->to), &target, &reason)) {
		fprintf(stderr, "headgate exec: --to %s: %s\n", given->to, reason);
		return CLI_USAGE;
	}
	const char *name = given->database != NULL ? given->database : section->name;
	char *dbname = conduct_dbname(section, name);
	struct conductor self = conductor_self();
	struct exec exec = {.json = given->json, .status = CLI_FAILED};
	exec.request = (struct coord_request){
	    .section = section,
	    .name = name,
	    .dbname = dbname,
	    .who = self.who,
	    .os_user = self.os_user,
	    .host = self.host,
	    .reason = given->why,
	    .kind = COORD_EXEC,
	    .argv = argv,
	    .target = given->to != NULL ? &target : NULL,
	    .out_fd = given->json ? STDERR_FILENO : STDOUT_FILENO,
	    .err_fd = STDERR_FILENO,
	    .progress = on_progress,
	    .done = on_done,
	    .arg = &exec,
	};
	conducting_fill(&given->conducting, section, DEADLINE_NS, &exec.request);
	conducting_run(&exec.request);
	conductor_free(&self);
	mem_free(&dbname);
	heads_free(&target);
	return exec.status;
}

/* An exit status to leave with, or -1: go on; *command is what is to be run. */
static int read_options(int argc, char **argv, struct exec_given *given, char ***command)
{
	conducting_begin(&given->conducting);
	const struct command_option own[] = {
	    {.name = "config", .letter = 'c', .text = &given->config},
	    {.name = "database", .letter = 'd', .text = &given->database},
	    {.name = "message", .letter = 'm', .text = &given->why},
	    {.name = "to", .text = &given->to},
	    {.name = "json", .flag = &given->json},
	};
	const struct command_options tables[] = {
	    {own, sizeof(own) / sizeof(own[0])},
	    {given->conducting.options, CONDUCTING_OPTIONS},
	};
	/* The first word that is no option begins the command, with or without "--". */
	const struct command_line line = {
	    .help = help, .tables = tables, .table_count = 2, .stop_at_word = true};
	unsigned count;
	int status = command_options_read(&line, argc, argv, command, &count);
	if (status >= 0)
		return status;
	if (given->why == NULL || given->why[0] == '\0')
		return command_usage("exec", "say why, with -m: held clients and the ledger are told");
	if (count == 0)
		return command_usage("exec", "which command? It goes after --");
	return -1;
}

int cmd_exec(int argc, char **argv)
{
	struct exec_given given = {.config = NULL};
	char **command;
	int status = read_options(argc, argv, &given, &command);
	if (status >= 0)
		return status;
	struct conf *conf = cli_conf(given.config);
	if (conf == NULL)
		return CLI_CONFIG;
	const struct conf_database *section = cli_database(conf, given.database);
	status = section != NULL ? exec_section(section, &given, command) : CLI_USAGE;
	conf_unref(&conf);
	return status;
}
