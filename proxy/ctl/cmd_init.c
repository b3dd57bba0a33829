/* headgate init: makes the ledger in a database, grants the control role what it needs, and puts the nudge on
 * the version table. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "net/pq.h"
#include "net/resolve.h"
#include "schema/ledger.h"
#include "schema/link.h"
#include "ctl/cli.h"
#include "page_json.h"
#include "section.h"

static const char help[] =
    "Usage: headgate init [-c FILE] [-d DATABASE] [--print] [--json]\n"
    "\n"
    "Makes the ledger (schema headgate) in a database, lets the control role use it, and puts a trigger on "
    "the\n"
    "version table of the tool in use, which tells the proxies to read again. May be run again at any time: "
    "what is\n"
    "there stays. Connects as control.run_dsn, and refuses while a run is under way.\n"
    "\n"
    "  -c, --config FILE      the configuration; default $HEADGATE_CONFIG or /etc/headgate/headgate.yaml\n"
    "  -d, --database NAME    which of its databases; may be left out when there is one\n"
    "      --print            print all SQL for review, connect to nothing; psql runs it as it is\n"
    "      --json             answer in JSON: {\"database\", \"ok\", \"steps\": [{\"step\", \"result\"}], "
    "\"error\", \"sqlstate\"}\n"
    "  -h, --help             this text\n"
    "\n"
    "Rights needed:\n"
    "  who runs init (control.run_dsn): CREATE on the database; to own the version table, or be superuser, "
    "for its trigger\n"
    "  the control role (user of control.dsn): CONNECT; the rest is granted by init: USAGE on schema "
    "headgate, EXECUTE on\n"
    "    headgate.renew and headgate.leave, SELECT on the ledger's tables and on the version table. No more "
    "than that:\n"
    "    it can neither begin nor end a run\n"
    "  who conducts runs (control.run_dsn): the ledger's owner, and pg_read_all_stats and pg_signal_backend "
    "to see and\n"
    "    end what other roles leave in a run's way; and whatever its migrations need\n"
    "\n"
    "Exit status: 0 done, 1 a step failed, 2 wrong usage, 3 wrong configuration, 4 the server cannot be "
    "reached.\n"
    "\n"
    "Reviewed by somebody else:  headgate init -d shop --print > ledger.sql; psql -X -v ON_ERROR_STOP=1 -f "
    "ledger.sql shop\n";

#define CONNECT_NS (15 * CLOCK_S)
#define PATIENCE   50               /* tries at a lock ... */
#define PAUSE_NS   (200 * CLOCK_MS) /* ... with this pause */

/* One carrying out of the plan. */
struct init {
	struct event_base *base;
	struct event *pause;
	struct pq *pq;
	struct ledger_plan plan;
	unsigned step, tries;
	char *said; /* the step's own notice */
	char **said_all;
	char *error;
	char sqlstate[6];
	int status;
};

static void end(struct init *init, int status)
{
	init->status = status;
	event_base_loopbreak(init->base);
}

static void fail(struct init *init, int status, const char *sqlstate, char *error)
{
	snprintf(init->sqlstate, sizeof(init->sqlstate), "%s", sqlstate);
	mem_free(&init->error);
	init->error = error;
	end(init, status);
}

static void on_step(const struct pq_result *result, void *arg);

static void take_step(struct init *init)
{
	mem_free(&init->said);
	pq_query(init->pq, init->plan.steps[init->step].sql, NULL, 0, on_step, init);
}

static void on_pause(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	take_step(arg);
}

static void on_step(const struct pq_result *result, void *arg)
{
	struct init *init = arg;
	if (!result->ok && strcmp(result->sqlstate, "55P03") == 0 && ++init->tries < PATIENCE) {
		const struct timeval tv = clock_timeval(PAUSE_NS);
		event_add(init->pause, &tv);
		return;
	}
	if (!result->ok) {
		bool unreachable = strncmp(result->sqlstate, "08", 2) == 0;
		fail(init, unreachable ? CLI_UNREACHABLE : CLI_FAILED, result->sqlstate,
		    mem_printf("%s: %s%s%s", init->plan.steps[init->step].what, result->message,
			result->hint != NULL ? ". " : "", result->hint != NULL ? result->hint : ""));
		return;
	}
	init->said_all[init->step] = init->said != NULL ? init->said : mem_strdup("done");
	init->said = NULL;
	init->tries = 0;
	if (++init->step < init->plan.count)
		take_step(init);
	else
		end(init, CLI_OK);
}

static void on_opened(struct pq *pq, void *arg)
{
	pq_query(pq, "SET client_min_messages = notice", NULL, 0, NULL, NULL);
	take_step(arg);
}

static void on_closed(struct pq *pq, const char *sqlstate, const char *message, void *arg)
{
	struct init *init = arg;
	(void)pq;
	fail(init, CLI_UNREACHABLE, sqlstate, mem_strdup(message));
}

static void on_noticed(struct pq *pq, const char *severity, const char *message, void *arg)
{
	static const char ours[] = "headgate: ";
	struct init *init = arg;
	(void)pq, (void)severity;
	if (strncmp(message, ours, sizeof(ours) - 1) != 0)
		return;
	mem_free(&init->said);
	init->said = mem_strdup(message + sizeof(ours) - 1);
}

/* Like the control link, the conductor goes to the database that the clients' name stands for, where its dsn
 * does not say another. */
static char *run_dbname(const struct conf_database *section, const char *name)
{
	char *dbname = section_link_dbname(section, name);
	if (strcmp(section->name, "*") == 0)
		return dbname;
	char *own = pq_dsn_dbname(section->control.run_dsn);
	if (own != NULL) {
		mem_free(&dbname);
		return own;
	}
	return dbname != NULL ? dbname : pq_dsn_dbname(section->control.dsn);
}

static void carry_out(struct init *init, const struct conf_database *section, const char *dbname)
{
	init->base = event_base_new();
	if (init->base == NULL || (init->pause = evtimer_new(init->base, on_pause, init)) == NULL) {
		init->status = CLI_FAILED;
		init->error = mem_strdup("no event loop");
		return;
	}
	struct resolver *resolver = resolver_new(init->base);
	init->said_all = mem_zalloc(init->plan.count * sizeof(init->said_all[0]));
	init->pq = pq_open(&(struct pq_request){
	    .base = init->base,
	    .resolver = resolver,
	    .dsn = section->control.run_dsn,
	    .dbname = dbname,
	    .application_name = "headgate init",
	    .connect_ns = CONNECT_NS,
	    .handlers = {.opened = on_opened, .closed = on_closed, .noticed = on_noticed},
	    .arg = init,
	});
	event_base_dispatch(init->base);
	pq_close(&init->pq);
	resolver_free(&resolver);
}

static void init_free(struct init *init)
{
	for (unsigned i = 0; init->said_all != NULL && i < init->plan.count; i++)
		mem_free(&init->said_all[i]);
	mem_free(&init->said_all);
	mem_free(&init->said);
	mem_free(&init->error);
	ledger_plan_free(&init->plan);
	if (init->pause != NULL)
		event_free(init->pause);
	if (init->base != NULL)
		event_base_free(init->base);
}

static void answer_json(const struct init *init, const char *dbname)
{
	printf("{\"database\":");
	page_json_string(stdout, dbname != NULL ? dbname : "");
	printf(",\"ok\":%s,\"steps\":[", init->status == CLI_OK ? "true" : "false");
	for (unsigned i = 0; i < init->step; i++) {
		printf("%s{\"step\":", i > 0 ? "," : "");
		page_json_string(stdout, init->plan.steps[i].what);
		printf(",\"result\":");
		page_json_string(stdout, init->said_all[i]);
		putchar('}');
	}
	putchar(']');
	if (init->error != NULL) {
		printf(",\"error\":");
		page_json_string(stdout, init->error);
		printf(",\"sqlstate\":");
		page_json_string(stdout, init->sqlstate);
	}
	printf("}\n");
}

static void answer_text(const struct init *init)
{
	for (unsigned i = 0; i < init->step; i++)
		printf("%s: %s\n", init->plan.steps[i].what, init->said_all[i]);
	if (init->error != NULL)
		fprintf(stderr, "headgate init: %s%s%s\n", init->error,
		    init->sqlstate[0] != '\0' ? " SQLSTATE " : "", init->sqlstate);
	if (strcmp(init->sqlstate, "55P03") == 0)
		fprintf(
		    stderr, "headgate init: something else holds the lock; try again when it has ended\n");
}

/* Names come from the configuration: a line break in one must not end the comment. */
static void print_comment(const char *text)
{
	printf("-- ");
	for (; *text != '\0'; text++)
		putchar(*text == '\n' || *text == '\r' ? ' ' : *text);
	putchar('\n');
}

static void print_plan(
    const struct ledger_plan *plan, const char *name, const char *control_role, const char *run_role)
{
	char *title = mem_printf("The ledger of headgate " HEADGATE_VERSION
				 " for the database \"%s\". May be run again at any time.",
	    name);
	char *control = mem_printf(
	    "%s, the control role: CONNECT on the database, and what is granted below.", control_role);
	char *run = mem_printf(
	    "%s, who conducts runs: pg_read_all_stats and pg_signal_backend, and what its migrations need.",
	    run_role);
	print_comment(title);
	print_comment("Both roles must exist. Rights:");
	print_comment(control);
	print_comment(run);
	print_comment("Who runs this: CREATE on the database, and to own the version table or be superuser.");
	printf("SET search_path = '';\n");
	for (unsigned i = 0; i < plan->count; i++) {
		putchar('\n');
		print_comment(plan->steps[i].what);
		printf("%s;\n", plan->steps[i].sql);
	}
	mem_free(&title);
	mem_free(&control);
	mem_free(&run);
}

struct init_options {
	const char *config, *database;
	bool print, json;
};

static int init_section(const struct conf_database *section, const struct init_options *options)
{
	char why[512];
	if (!link_check(section, why, sizeof(why))) {
		fprintf(stderr, "headgate init: databases.%s: %s\n", section->name, why);
		return CLI_CONFIG;
	}
	const char *name = options->database != NULL ? options->database : section->name;
	char *control_role = pq_dsn_user(section->control.dsn),
	     *run_role = pq_dsn_user(section->control.run_dsn);
	if (control_role == NULL || run_role == NULL) {
		fprintf(stderr,
		    "headgate init: databases.%s.control: the dsn names no user, and there is no default "
		    "here\n",
		    section->name);
		mem_free(&control_role);
		mem_free(&run_role);
		return CLI_CONFIG;
	}
	struct init init = {
	    .plan = ledger_plan(&section->recorded, control_role, run_role), .status = CLI_OK};
	if (options->print) {
		print_plan(&init.plan, name, control_role, run_role);
	} else {
		char *dbname = run_dbname(section, name);
		carry_out(&init, section, dbname);
		if (options->json)
			answer_json(&init, dbname);
		else
			answer_text(&init);
		mem_free(&dbname);
	}
	int status = init.status;
	init_free(&init);
	mem_free(&control_role);
	mem_free(&run_role);
	return status;
}

/* An exit status to leave with, or -1: go on. */
static int read_options(int argc, char **argv, struct init_options *out)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"database", required_argument, NULL, 'd'},
	    {"print", no_argument, NULL, 'p'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	optind = 0; /* glibc: begin anew */
	for (int option; (option = getopt_long(argc, argv, "c:d:h", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			out->config = optarg;
			break;
		case 'd':
			out->database = optarg;
			break;
		case 'p':
			out->print = true;
			break;
		case 'j':
			out->json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return CLI_OK;
		default:
			fputs("Try: headgate init --help\n", stderr);
			return CLI_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "headgate init: what is \"%s\"? A database goes after -d\n", argv[optind]);
		return CLI_USAGE;
	}
	if (out->print && out->json) {
		fputs("headgate init: --print answers in SQL, --json in JSON: one of them\n", stderr);
		return CLI_USAGE;
	}
	return -1;
}

int cmd_init(int argc, char **argv)
{
	struct init_options options = {.config = NULL};
	int status = read_options(argc, argv, &options);
	if (status >= 0)
		return status;
	struct conf *conf = cli_conf(options.config);
	if (conf == NULL)
		return CLI_CONFIG;
	const struct conf_database *section = cli_database(conf, options.database);
	status = section != NULL ? init_section(section, &options) : CLI_USAGE;
	conf_unref(&conf);
	return status;
}
