/* headgate hold and headgate release. */
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "console_parse.h"
#include "ctl/cli.h"
#include "page_json.h"
#include "remote.h"

static const char hold_help[] =
    "Usage: headgate hold [-c FILE | --console PATH] [-d DATABASE] [OPTION]...\n"
    "\n"
    "Parks every client at the end of its transaction, says when all are parked, and stays until Ctrl-C; "
    "then everybody goes\n"
    "on. The hold also ends when this command dies, and by itself when its time is up: clients wait, they "
    "see no error.\n"
    "To run a migration while clients are held use `headgate exec`: it asks every proxy, not just this one.\n"
    "\n"
    "  -c, --config FILE         whose console to ask; default $HEADGATE_CONFIG or "
    "/etc/headgate/headgate.yaml\n"
    "      --console PATH        the console's socket itself: /run/headgate/.s.PGSQL.6434\n"
    "  -d, --database NAME       this one; default all\n"
    "      --drain-timeout TIME  how long to wait for transactions to end; default drain.timeout\n"
    "      --on-timeout HOW      then: abort (give up, default drain.on_timeout), cancel or terminate who is "
    "in the way\n"
    "      --max TIME            when the hold ends by itself; default hold.max\n"
    "      --for TIME            stay so long instead of until Ctrl-C\n"
    "      --reason TEXT         for logs, held clients and whoever asks\n"
    "      --detached            return at once and leave the hold in force, until `headgate release` or "
    "--max\n"
    "      --json                print what is held as JSON\n"
    "  -h, --help                this text\n"
    "\n"
    "Exit status: 0 held and let go, 1 not held, or the hold ended before its time, 2 wrong usage, 3 wrong "
    "configuration,\n"
    "4 the proxy cannot be reached.\n"
    "\n"
    "Example:  headgate hold -d shop --max 20s --reason 'failing over'\n";

static const char release_help[] =
    "Usage: headgate release [-c FILE | --console PATH] [-d DATABASE] [--force] [--json]\n"
    "\n"
    "Ends a hold that was left with --detached. Nothing held is no error.\n"
    "\n"
    "  -c, --config FILE    whose console to ask; default $HEADGATE_CONFIG or /etc/headgate/headgate.yaml\n"
    "      --console PATH   the console's socket itself: /run/headgate/.s.PGSQL.6434\n"
    "  -d, --database NAME  this one; default all\n"
    "      --force          also a hold whose owner is still there (the log says who forced it)\n"
    "      --json           print what was released as JSON\n"
    "  -h, --help           this text\n"
    "\n"
    "Exit status: 0 released, 1 refused, 2 wrong usage, 3 wrong configuration, 4 the proxy cannot be "
    "reached.\n"
    "\n"
    "Example:  headgate release -d shop\n";

struct order {
	struct remote *remote;
	const char *config, *console, *database, *drain, *on_timeout, *max, *reason;
	bool detached, force, json;
	int64_t for_ns; /* -1: until Ctrl-C */
	int left;       /* databases that are still held */
	bool held, leaving;
	struct event *interrupt, *terminate, *timer;
};

static int failure(const struct pq_result *result)
{
	remote_complain(result);
	return strcmp(result->sqlstate, "08006") == 0 ? CLI_UNREACHABLE : CLI_FAILED;
}

static void print_json(const struct pq_result *result, const char *const names[3])
{
	putchar('[');
	for (int row = 0; row < result->rows; row++) {
		for (int i = 0; i < 3; i++) {
			fputs(i ? ", " : row ? ",\n {" : "{", stdout);
			page_json_string(stdout, names[i]);
			fputs(": ", stdout);
			page_json_string(stdout, pq_value(result, row, i));
		}
		putchar('}');
	}
	puts("]");
}

static void on_released(const struct pq_result *result, void *arg)
{
	struct order *order = arg;
	static const char *const names[] = {"database", "owner", "held"};
	if (!result->ok) {
		remote_stop(order->remote, failure(result));
		return;
	}
	if (order->json && !order->leaving)
		print_json(result, names);
	for (int row = 0; row < result->rows && !order->json; row++)
		printf("%s: released, held for %s\n", pq_value(result, row, 0), pq_value(result, row, 2));
	if (result->rows == 0 && !order->json && !order->leaving)
		puts("nothing is held");
	remote_stop(order->remote, CLI_OK);
}

static void ask_release(struct order *order)
{
	char *name = order->database ? remote_quoted(order->database, '"') : mem_strdup("*");
	char *sql = mem_printf("RELEASE %s%s", name, order->force ? " FORCE" : "");
	remote_ask(order->remote, sql, on_released, order);
	mem_free(&sql);
	mem_free(&name);
}

/* Only our own hold: with "*" another's would be in the way, and closing the connection is enough. */
static void leave(struct order *order)
{
	if (order->leaving)
		return;
	order->leaving = true;
	if (order->held && order->database)
		ask_release(order);
	else
		remote_stop(order->remote, order->held ? CLI_OK : CLI_FAILED);
}

static void on_leave(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	leave(arg);
}

static void on_notice(const char *message, void *arg)
{
	struct order *order = arg;
	fprintf(stderr, "headgate: %s\n", message);
	if (order->leaving || !order->held || !strstr(message, "has ended"))
		return;
	if (--order->left == 0)
		remote_stop(order->remote, CLI_FAILED);
}

static void on_held(const struct pq_result *result, void *arg)
{
	struct order *order = arg;
	static const char *const names[] = {"database", "clients", "ms"};
	if (!result->ok) {
		remote_stop(order->remote, failure(result));
		return;
	}
	order->held = true;
	order->left = result->rows;
	if (order->json)
		print_json(result, names);
	for (int row = 0; row < result->rows && !order->json; row++)
		printf("%s: held after %s ms, clients parked: %s\n", pq_value(result, row, 0),
		    pq_value(result, row, 2), pq_value(result, row, 1));
	if (!order->detached && !order->json && order->for_ns < 0)
		puts("Ctrl-C lets them go.");
	fflush(stdout);
	if (order->detached) {
		remote_stop(order->remote, CLI_OK);
	} else if (order->for_ns >= 0) {
		struct timeval tv = clock_timeval(order->for_ns);
		evtimer_add(order->timer, &tv);
	}
}

static char *hold_sql(const struct order *order)
{
	char *name = order->database ? remote_quoted(order->database, '"') : mem_strdup("*");
	char *drain = order->drain ? remote_quoted(order->drain, '\'') : NULL;
	char *max = order->max ? remote_quoted(order->max, '\'') : NULL;
	char *reason = order->reason ? remote_quoted(order->reason, '\'') : NULL;
	char *sql = mem_printf("HOLD %s%s%s%s%s%s%s%s%s%s", name, drain ? " DRAIN TIMEOUT " : "",
	    drain ? drain : "", max ? " MAX " : "", max ? max : "", order->on_timeout ? " ON TIMEOUT " : "",
	    order->on_timeout ? order->on_timeout : "", reason ? " REASON " : "", reason ? reason : "",
	    order->detached ? " DETACHED" : "");
	mem_free(&name);
	mem_free(&drain);
	mem_free(&max);
	mem_free(&reason);
	return sql;
}

static int hold(struct order *order)
{
	int status;
	order->remote = remote_open(order->config, order->console, &status);
	if (!order->remote)
		return status;
	struct event_base *base = remote_base(order->remote);
	order->interrupt = evsignal_new(base, SIGINT, on_leave, order);
	order->terminate = evsignal_new(base, SIGTERM, on_leave, order);
	order->timer = evtimer_new(base, on_leave, order);
	event_add(order->interrupt, NULL);
	event_add(order->terminate, NULL);
	remote_notices(order->remote, on_notice, order);
	char *sql = hold_sql(order);
	remote_ask(order->remote, sql, on_held, order);
	mem_free(&sql);
	status = remote_run(order->remote);
	event_free(order->interrupt);
	event_free(order->terminate);
	event_free(order->timer);
	remote_close(&order->remote);
	return status;
}

static int wrong(const char *command, const char *what, const char *value)
{
	fprintf(stderr, "headgate %s: %s \"%s\"\n", command, what, value);
	return CLI_USAGE;
}

static bool is_policy(const char *word)
{
	return strcasecmp(word, "abort") == 0 || strcasecmp(word, "cancel") == 0 ||
	    strcasecmp(word, "terminate") == 0;
}

int cmd_hold(int argc, char **argv)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"console", required_argument, NULL, 'C'},
	    {"database", required_argument, NULL, 'd'},
	    {"drain-timeout", required_argument, NULL, 't'},
	    {"on-timeout", required_argument, NULL, 'o'},
	    {"max", required_argument, NULL, 'm'},
	    {"for", required_argument, NULL, 'f'},
	    {"reason", required_argument, NULL, 'r'},
	    {"detached", no_argument, NULL, 'D'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	struct order order = {.for_ns = -1};
	optind = 0;
	for (int option; (option = getopt_long(argc, argv, "c:d:h", options, NULL)) != -1;) {
		if (strchr("tmf", option) && console_duration(optarg) <= 0)
			return wrong(argv[0], "a time is written 500ms, 5s, 2m or 1h, not", optarg);
		switch (option) {
		case 'c':
			order.config = optarg;
			break;
		case 'C':
			order.console = optarg;
			break;
		case 'd':
			order.database = optarg;
			break;
		case 't':
			order.drain = optarg;
			break;
		case 'o':
			if (!is_policy(optarg))
				return wrong(
				    argv[0], "--on-timeout is abort, cancel or terminate, not", optarg);
			order.on_timeout = optarg;
			break;
		case 'm':
			order.max = optarg;
			break;
		case 'f':
			order.for_ns = console_duration(optarg);
			break;
		case 'r':
			order.reason = optarg;
			break;
		case 'D':
			order.detached = true;
			break;
		case 'j':
			order.json = true;
			break;
		case 'h':
			fputs(hold_help, stdout);
			return CLI_OK;
		default:
			fputs("Try: headgate hold --help\n", stderr);
			return CLI_USAGE;
		}
	}
	if (optind < argc)
		return wrong(argv[0], "the database goes after -d; what is", argv[optind]);
	if (order.detached && order.for_ns >= 0)
		return wrong(argv[0], "--for is for a hold that stays; give --detached a", "--max");
	return hold(&order);
}

int cmd_release(int argc, char **argv)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"console", required_argument, NULL, 'C'},
	    {"database", required_argument, NULL, 'd'},
	    {"force", no_argument, NULL, 'f'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	struct order order = {.for_ns = -1};
	optind = 0;
	for (int option; (option = getopt_long(argc, argv, "c:d:h", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			order.config = optarg;
			break;
		case 'C':
			order.console = optarg;
			break;
		case 'd':
			order.database = optarg;
			break;
		case 'f':
			order.force = true;
			break;
		case 'j':
			order.json = true;
			break;
		case 'h':
			fputs(release_help, stdout);
			return CLI_OK;
		default:
			fputs("Try: headgate release --help\n", stderr);
			return CLI_USAGE;
		}
	}
	if (optind < argc)
		return wrong(argv[0], "the database goes after -d; what is", argv[optind]);
	int status;
	order.remote = remote_open(order.config, order.console, &status);
	if (!order.remote)
		return status;
	ask_release(&order);
	status = remote_run(order.remote);
	remote_close(&order.remote);
	return status;
}
