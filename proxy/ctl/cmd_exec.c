/* headgate exec: conducts one run of an external command. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/head.h"
#include "net/resolve.h"
#include "schema/coord.h"
#include "schema/link.h"
#include "ctl/cli.h"
#include "conduct.h"
#include "console_parse.h"

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
    "                               the reader `headgate` it is recorded in the ledger\n"
    "      --wait                   wait for another run's end (the same command or target is joined in any "
    "case)\n"
    "      --drain-timeout T        how long clients may take to end their transactions; default "
    "drain.timeout\n"
    "      --on-timeout HOW         then: abort (release, pause, try again), cancel their queries, or "
    "terminate them; default\n"
    "                               drain.on_timeout\n"
    "      --attempts N             how many tries at draining; default drain.attempts\n"
    "      --deadline T             from the announcement to the release; then the command is stopped; "
    "default 5m\n"
    "      --max-transaction-age T  refuse at once when a transaction is older; 0 does not ask; default 10s\n"
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

struct exec_options {
	const char *config, *database, *why, *to;
	bool wait, json;
	int64_t drain_timeout_ns, deadline_ns, max_transaction_ns; /* -1: not given */
	int on_timeout;                                            /* -1: not given */
	long attempts;                                             /* 0: not given */
};

struct exec {
	struct event_base *base;
	struct coord *coord;
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
	if (value != NULL)
		conduct_json(value);
	else
		fputs("null", stdout);
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
	event_base_loopbreak(exec->base);
}

static void on_signal(evutil_socket_t signal_number, short what, void *arg)
{
	struct exec *exec = arg;
	(void)signal_number, (void)what;
	coord_cancel(exec->coord);
}

static int conduct(struct exec *exec, struct coord_request *request)
{
	exec->base = event_base_new();
	if (exec->base == NULL)
		log_fatal("no event loop");
	/* The run goes on without its terminal, and without whoever read its output. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	struct event *interrupted = evsignal_new(exec->base, SIGINT, on_signal, exec);
	struct event *terminated = evsignal_new(exec->base, SIGTERM, on_signal, exec);
	if (interrupted == NULL || terminated == NULL)
		log_fatal("no event loop");
	event_add(interrupted, NULL);
	event_add(terminated, NULL);

	struct resolver *resolver = resolver_new(exec->base);
	request->base = exec->base;
	request->resolver = resolver;
	request->progress = on_progress;
	request->done = on_done;
	request->arg = exec;
	exec->coord = coord_start(request);
	event_base_dispatch(exec->base);

	coord_free(&exec->coord);
	resolver_free(&resolver);
	event_free(interrupted);
	event_free(terminated);
	event_base_free(exec->base);
	return exec->status;
}

static int exec_section(
    const struct conf_database *section, const struct exec_options *options, char *const *argv)
{
	char why[512];
	const char *reason;
	struct heads target = heads_none();
	if (!link_check(section, why, sizeof(why))) {
		fprintf(stderr, "headgate exec: databases.%s: %s\n", section->name, why);
		return CLI_CONFIG;
	}
	if (options->to != NULL && !heads_parse(options->to, strlen(options->to), &target, &reason)) {
		fprintf(stderr, "headgate exec: --to %s: %s\n", options->to, reason);
		return CLI_USAGE;
	}
	const char *name = options->database != NULL ? options->database : section->name;
	char *dbname = conduct_dbname(section, name);
	struct conductor self = conductor_self();
	struct exec exec = {.json = options->json, .status = CLI_FAILED};
	struct coord_request request = {
	    .section = section,
	    .name = name,
	    .dbname = dbname,
	    .who = self.who,
	    .os_user = self.os_user,
	    .host = self.host,
	    .reason = options->why,
	    .argv = argv,
	    .target = options->to != NULL ? &target : NULL,
	    .wait = options->wait,
	    .drain_timeout_ns =
		options->drain_timeout_ns >= 0 ? options->drain_timeout_ns : section->drain.timeout_ns,
	    .on_timeout = options->on_timeout >= 0 ? (enum conf_on_timeout)options->on_timeout
						   : section->drain.on_timeout,
	    .attempts = options->attempts > 0 ? (unsigned)options->attempts : section->drain.attempts,
	    .deadline_ns = options->deadline_ns,
	    .max_transaction_ns = options->max_transaction_ns,
	    .out_fd = options->json ? STDERR_FILENO : STDOUT_FILENO,
	    .err_fd = STDERR_FILENO,
	};
	int status = conduct(&exec, &request);
	conductor_free(&self);
	mem_free(&dbname);
	heads_free(&target);
	return status;
}

static bool read_duration(const char *option, const char *text, int64_t *out)
{
	*out = strcmp(text, "0") == 0 ? 0 : console_duration(text);
	if (*out >= 0)
		return true;
	fprintf(stderr, "headgate exec: --%s %s: write a time with its unit, at most a day: 500ms, 5s, 2m\n",
	    option, text);
	return false;
}

static bool read_how(const char *text, int *out)
{
	static const char *const names[] = {
	    [TIMEOUT_ABORT] = "abort", [TIMEOUT_CANCEL] = "cancel", [TIMEOUT_TERMINATE] = "terminate"};
	for (int i = 0; i < 3; i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = i;
			return true;
		}
	}
	fprintf(stderr, "headgate exec: --on-timeout %s: write abort, cancel or terminate\n", text);
	return false;
}

static bool read_attempts(const char *text, long *out)
{
	char *end;
	errno = 0;
	*out = strtol(text, &end, 10);
	if (errno == 0 && *end == '\0' && end != text && *out >= 1 && *out <= 1000)
		return true;
	fprintf(stderr, "headgate exec: --attempts %s: write a number from 1 to 1000\n", text);
	return false;
}

/* An exit status to leave with, or -1: go on; argv[optind] is the command. */
static int read_options(int argc, char **argv, struct exec_options *out)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"database", required_argument, NULL, 'd'},
	    {"message", required_argument, NULL, 'm'},
	    {"to", required_argument, NULL, 't'},
	    {"wait", no_argument, NULL, 'w'},
	    {"drain-timeout", required_argument, NULL, 'T'},
	    {"on-timeout", required_argument, NULL, 'O'},
	    {"attempts", required_argument, NULL, 'A'},
	    {"deadline", required_argument, NULL, 'D'},
	    {"max-transaction-age", required_argument, NULL, 'X'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	bool good = true;
	optind = 0; /* glibc: begin anew */
	/* "+": the first word that is no option begins the command, with or without "--". */
	for (int option; good && (option = getopt_long(argc, argv, "+c:d:m:h", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			out->config = optarg;
			break;
		case 'd':
			out->database = optarg;
			break;
		case 'm':
			out->why = optarg;
			break;
		case 't':
			out->to = optarg;
			break;
		case 'w':
			out->wait = true;
			break;
		case 'T':
			good = read_duration("drain-timeout", optarg, &out->drain_timeout_ns);
			break;
		case 'O':
			good = read_how(optarg, &out->on_timeout);
			break;
		case 'A':
			good = read_attempts(optarg, &out->attempts);
			break;
		case 'D':
			good = read_duration("deadline", optarg, &out->deadline_ns);
			break;
		case 'X':
			good = read_duration("max-transaction-age", optarg, &out->max_transaction_ns);
			break;
		case 'j':
			out->json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return CLI_OK;
		default:
			good = false;
			break;
		}
	}
	if (good && (out->why == NULL || out->why[0] == '\0')) {
		fputs("headgate exec: say why, with -m: held clients and the ledger are told\n", stderr);
		good = false;
	}
	if (good && optind >= argc) {
		fputs("headgate exec: which command? It goes after --\n", stderr);
		good = false;
	}
	if (!good)
		fputs("Try: headgate exec --help\n", stderr);
	return good ? -1 : CLI_USAGE;
}

int cmd_exec(int argc, char **argv)
{
	struct exec_options options = {
	    .drain_timeout_ns = -1,
	    .on_timeout = -1,
	    .deadline_ns = 5 * 60 * CLOCK_S,
	    .max_transaction_ns = 10 * CLOCK_S,
	};
	int status = read_options(argc, argv, &options);
	if (status >= 0)
		return status;
	char *const *command = argv + optind;
	struct conf *conf = cli_conf(options.config);
	if (conf == NULL)
		return CLI_CONFIG;
	const struct conf_database *section = cli_database(conf, options.database);
	status = section != NULL ? exec_section(section, &options, command) : CLI_USAGE;
	conf_unref(&conf);
	return status;
}
