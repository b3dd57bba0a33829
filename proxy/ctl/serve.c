/* headgate serve: builds the house, runs it, reloads it, leaves. */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "console.h"
#include "ctl/cli.h"
#include "house.h"
#include "notify.h"
#include "section.h"

/* After an order to leave at once, workers have so long to close their sessions. */
#define HURRY (5 * CLOCK_S)

static void on_accepted(int fd, struct listener *listener, void *arg)
{
	struct house *house = arg;
	worker_client(house->workers[house->next_worker], fd, listener);
	house->next_worker = (house->next_worker + 1) % house->worker_count;
}

static unsigned worker_place(const struct house *house, const struct worker *worker)
{
	unsigned i = 0;
	while (i < house->worker_count && house->workers[i] != worker)
		i++;
	return i;
}

static void on_drained(struct worker *worker, unsigned service_id, uint64_t serial, const int32_t *pids,
    unsigned pid_count, unsigned logins, void *arg)
{
	struct house *house = arg;
	if (house->keepers)
		keepers_drained(
		    house->keepers, worker_place(house, worker), service_id, serial, pids, pid_count, logins);
}

static void on_wanted(struct worker *worker, const char *database, void *arg)
{
	struct house *house = arg;
	if (house->keepers && worker_place(house, worker) < house->worker_count)
		keepers_wanted(house->keepers, worker, database);
}

static void on_emptied(struct worker *worker, void *arg)
{
	struct house *house = arg;
	(void)worker;
	if (++house->emptied == house->worker_count)
		event_base_loopbreak(house->base);
}

static void on_hold_news(const struct hold_news *news, void *arg)
{
	struct house *house = arg;
	if (house->console)
		console_hold_news(house->console, news);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct house *house = arg;
	(void)fd;
	(void)what;
	if (!house->hurried) {
		log_warning("", "shutdown.timeout is over: the sessions that are left are ended");
		house_shutdown(house, true, "the clock");
		return;
	}
	log_error("", "sessions do not end: leaving without them");
	_exit(CLI_FAILED);
}

void house_shutdown(struct house *house, bool immediate, const char *by)
{
	bool again = house->stopping;
	if (house->hurried)
		return;
	house->stopping = true;
	house->hurried = immediate || again;
	if (!again) {
		notify_stopping();
		listeners_free(&house->listeners);
		console_stopping(house->console);
	}
	log_info("", "%s by %s: %u clients", house->hurried ? "leaving at once" : "shutting down", by,
	    client_limits_clients(house->limits));
	for (unsigned i = 0; i < house->worker_count; i++)
		worker_shutdown(house->workers[i], !house->hurried);
	struct timeval tv = clock_timeval(house->hurried ? HURRY : house->conf->shutdown.timeout_ns);
	evtimer_add(house->deadline, &tv);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct house *house = arg;
	(void)what;
	if (number == SIGHUP) {
		struct conf_errors errors = {0};
		house_reload(house, "SIGHUP", &errors);
		conf_errors_free(&errors);
		return;
	}
	house_shutdown(house, number == SIGQUIT,
	    number == SIGTERM      ? "SIGTERM"
		: number == SIGINT ? "SIGINT"
				   : "SIGQUIT");
}

/* Descriptors for what the limits allow: two for each client, and our own. */
static void raise_descriptors(const struct conf *conf)
{
	struct rlimit limit;
	rlim_t needed = 2 * (rlim_t)conf->limits.clients + 2 * (rlim_t)conf->limits.cancels + 512;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
		return;
	struct rlimit raised = {
	    .rlim_cur = needed, .rlim_max = limit.rlim_max > needed ? limit.rlim_max : needed};
	if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
		return;
	raised = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
		limit = raised;
	log_warning("",
	    "limits.clients (%u) needs %llu descriptors, the system allows %llu: ulimit -n, or LimitNOFILE= "
	    "of the unit",
	    conf->limits.clients, (unsigned long long)needed, (unsigned long long)limit.rlim_cur);
}

static void set_logs(const struct conf *conf)
{
	log_setup((enum log_format)conf->log.format, (enum log_level)conf->log.level,
	    (enum log_target)conf->log.to);
}

static void warn_without_effect(const struct conf *conf)
{
	struct conf_errors warnings = {0};
	for (unsigned i = 0; i < conf->database_count; i++)
		section_warnings(&conf->databases[i], &warnings);
	for (unsigned i = 0; i < warnings.count; i++)
		log_warning("", "%s", warnings.lines[i]);
	conf_errors_free(&warnings);
}

/* All that can fail first, then all that cannot: a configuration is in force whole or not at all. */
static bool put_in_force(struct house *house, struct conf *conf, struct conf_errors *errors)
{
	char error[500] = "";
	struct keepers_plan *keepers = keepers_plan_new(conf, errors);
	struct listeners_plan *listeners =
	    keepers ? listeners_plan_new(house->listeners, conf, errors) : NULL;
	bool good = keepers && listeners;
	if (good && !console_configure(house->console, conf, error, sizeof error)) {
		errors->lines[errors->count++] = mem_printf("console: %s", error);
		good = false;
	}
	if (good) {
		set_logs(conf);
		warn_without_effect(conf);
		if (conf->limits.clients != house->conf->limits.clients ||
		    conf->limits.cancels != house->conf->limits.cancels)
			raise_descriptors(conf);
		keepers_apply(house->keepers, keepers);
		listeners_apply(house->listeners, &listeners);
		for (unsigned i = 0; i < house->worker_count; i++)
			worker_configure(house->workers[i], conf);
		struct conf *old = house->conf;
		house->conf = conf_ref(conf);
		conf_unref(&old);
	}
	listeners_plan_free(&listeners);
	keepers_plan_free(&keepers);
	return good;
}

bool house_reload(struct house *house, const char *by, struct conf_errors *errors)
{
	if (house->stopping) {
		errors->lines[errors->count++] = mem_strdup("headgate is shutting down");
		return false;
	}
	notify_reloading();
	struct conf *conf = conf_load(house->conf->path, errors);
	unsigned workers = house->conf->workers;
	bool good = conf && put_in_force(house, conf, errors);
	if (good && conf->workers != workers)
		log_warning(
		    "", "the number of workers changes with the next start: %u stay", house->worker_count);
	if (good) {
		log_info("", "reloaded %s, by order of %s", house->conf->path, by);
	} else {
		for (unsigned i = 0; i < errors->count; i++)
			log_error("", "%s", errors->lines[i]);
		log_error("", "reload by order of %s refused: the configuration in force stays", by);
	}
	conf_unref(&conf);
	notify_ready();
	return good;
}

/* A name that no other process has ever had: RFC 4122, version 4. */
static void name_proxy(struct house *house)
{
	unsigned char b[16];
	char host[64] = "localhost";
	if (getrandom(b, sizeof b, 0) != sizeof b)
		log_fatal("no random bytes: %s", strerror(errno));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(house->proxy_id, sizeof house->proxy_id,
	    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
	    b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
	gethostname(host, sizeof host - 1);
	snprintf(house->proxy_name, sizeof house->proxy_name, "%s:%d", host, (int)getpid());
}

static void start_workers(struct house *house)
{
	const struct worker_handlers handlers = {
	    .drained = on_drained, .wanted = on_wanted, .emptied = on_emptied, .arg = house};
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned count = house->conf->workers ? house->conf->workers : cores > 0 ? (unsigned)cores : 1;
	sigset_t all, old;
	house->workers = mem_zalloc(count * sizeof *house->workers);
	/* signals are the control thread's */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < count; i++)
		house->workers[i] = worker_start(i, house->conf, house->limits, house->mailbox, &handlers);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	house->worker_count = count;
}

static void build(struct house *house, struct conf *conf)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP};
	name_proxy(house);
	house->conf = conf_ref(conf);
	house->base = event_base_new();
	if (!house->base)
		log_fatal("cannot make an event loop");
	house->mailbox = mailbox_new(house->base, house);
	house->resolver = resolver_new(house->base);
	house->limits = client_limits_new();
	house->deadline = evtimer_new(house->base, on_deadline, house);
	for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		house->signals[i] = evsignal_new(house->base, numbers[i], on_signal, house);
		event_add(house->signals[i], NULL);
	}
	start_workers(house);
	house->keepers = keepers_new(&(struct keepers_request){.base = house->base,
	    .resolver = house->resolver,
	    .workers = house->workers,
	    .worker_count = house->worker_count,
	    .proxy_id = house->proxy_id,
	    .proxy_name = house->proxy_name,
	    .hold_news = on_hold_news,
	    .arg = house});
	house->listeners = listeners_new(house->base, on_accepted, house);
	house->console = console_new(house);
}

/* Workers are empty. Keepers go while nobody listens to them any more; the console last, so that who asked
 * for the shutdown hears of it. */
static void tear_down(struct house *house)
{
	listeners_free(&house->listeners);
	keepers_free(&house->keepers, false);
	console_free(&house->console);
	for (unsigned i = 0; i < house->worker_count; i++)
		worker_free(&house->workers[i]);
	mailbox_free(&house->mailbox);
	mem_free(&house->workers);
	client_limits_free(&house->limits);
	resolver_free(&house->resolver);
	event_free(house->deadline);
	/* A second SIGTERM that comes now must not make an orderly end look like a death. */
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (unsigned i = 0; i < sizeof house->signals / sizeof *house->signals; i++)
		event_free(house->signals[i]);
	event_base_free(house->base);
	conf_unref(&house->conf);
}

/* Passwords pass through here: no core file and no other process of the same user may hold them, except where
 * somebody looks for a fault. */
static void guard_secrets(const struct conf *conf)
{
#ifdef NDEBUG
	if (conf->log.level != LOG_LEVEL_DEBUG)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#else
	(void)conf;
#endif
}

static int serve(const char *path)
{
	struct house house = {.status = CLI_OK};
	struct conf_errors errors = {0};
	struct conf *conf = cli_conf(path);
	if (!conf)
		return CLI_CONFIG;
	set_logs(conf);
	signal(SIGPIPE, SIG_IGN);
	guard_secrets(conf);
	raise_descriptors(conf); /* before the workers' first descriptor */
	build(&house, conf);
	if (put_in_force(&house, conf, &errors)) {
		log_info("", "headgate " HEADGATE_VERSION " is ready: %u worker%s, %u database%s",
		    house.worker_count, house.worker_count == 1 ? "" : "s", keepers_count(house.keepers),
		    keepers_count(house.keepers) == 1 ? "" : "s");
		notify_ready();
	} else {
		for (unsigned i = 0; i < errors.count; i++)
			log_error("", "%s", errors.lines[i]);
		house.status = CLI_CONFIG;
		house_shutdown(&house, true, "settings that cannot be put in force");
	}
	conf_errors_free(&errors);
	conf_unref(&conf);
	event_base_dispatch(house.base);
	tear_down(&house);
	if (house.status == CLI_OK)
		log_info("", "bye");
	return house.status;
}

static const char help[] =
    "Usage: headgate serve [-c FILE]\n"
    "\n"
    "Runs the proxy in the foreground until SIGTERM or SIGINT. Say what it listens on, and which databases "
    "it gates by\n"
    "which recorded version, in the configuration; conf/headgate.yaml explains every key.\n"
    "\n"
    "  -c, --config FILE  the configuration; default $HEADGATE_CONFIG or /etc/headgate/headgate.yaml\n"
    "  -h, --help         this text\n"
    "\n"
    "Signals: HUP reads the configuration again (a wrong one changes nothing and says so); TERM and INT let "
    "transactions\n"
    "end for at most shutdown.timeout, a second one or QUIT ends them at once. Under systemd, Type=notify "
    "works.\n"
    "\n"
    "Exit status: 0 left in order, 1 the machine refused something, 2 wrong usage, 3 wrong configuration.\n"
    "\n"
    "Example:  headgate check -c headgate.yaml && headgate serve -c headgate.yaml\n";

int cmd_serve(int argc, char **argv)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	const char *path = NULL;
	optind = 0; /* glibc: begin anew */
	for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return CLI_OK;
		default:
			fputs("Try: headgate serve --help\n", stderr);
			return CLI_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "headgate serve: what is \"%s\"? The configuration goes after -c\n",
		    argv[optind]);
		return CLI_USAGE;
	}
	return serve(path);
}
