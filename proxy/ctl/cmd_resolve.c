/* headgate resolve: an operator says what became of a run that was left half way. */
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
#include "migrate.h"
#include "page_json.h"

static const char help[] =
    "Usage: headgate resolve --as done|undone -m WHY [OPTION]...\n"
    "\n"
    "A run that was lost while its command, or a migration outside a transaction, was at work is failed and "
    "unresolved:\n"
    "nobody but a person knows how far it came, so the gate stays shut. Look at the database, finish what "
    "was begun or undo\n"
    "it, by hand or with the tool's own means (directly, not through the proxy), and then say which: the "
    "gate goes to the\n"
    "version that is recorded. Of a migration of headgate's own, --as says what is recorded: done, it is "
    "applied; undone,\n"
    "it never was. The ledger keeps who said what, and when. The oldest unresolved run of the database is "
    "meant.\n"
    "\n"
    "      --as done          what was begun is finished: all of it is there\n"
    "      --as undone        what was begun is undone: nothing of it is there\n"
    "  -m, --message WHY      how you know; kept in the ledger\n" MIGRATE_HELP "\n"
    "--json answers {\"ok\", \"run\", \"text\"}.\n"
    "\n"
    "Exit status: 0 resolved, 1 nothing was unresolved or it was refused, 2 wrong usage, 3 wrong "
    "configuration, 4 the\n"
    "server cannot be reached.\n"
    "\n"
    "Example:  headgate resolve -d shop --as undone -m \"dropped the invalid index\"\n";

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
		page_json_string(stdout, text);
		puts("}");
	} else {
		fprintf(how == COORD_RESOLVED ? stdout : stderr, "headgate resolve: %s\n", text);
	}
	event_base_loopbreak(answer->base);
}

static int resolve(struct migrate *m, const char *as, const char *why)
{
	char wrong[512];
	if (!link_check(m->section, wrong, sizeof(wrong))) {
		migrate_fails(m, CLI_CONFIG, "databases.%s: %s", m->section->name, wrong);
		return m->status;
	}
	const struct conf_database section = migrate_run_section(m);
	struct answer answer = {.base = event_base_new(), .json = m->json, .status = CLI_FAILED};
	if (answer.base == NULL)
		log_fatal("no event loop");
	struct resolver *resolver = resolver_new(answer.base);
	struct conductor self = conductor_self();
	const struct resolution_request request = {
	    .base = answer.base,
	    .resolver = resolver,
	    .section = &section,
	    .dbname = m->dbname,
	    .who = self.who,
	    .note = why,
	    .as = as,
	    .done = on_done,
	    .arg = &answer,
	};
	struct resolution *resolution = resolution_start(&request);
	event_base_dispatch(answer.base);
	resolution_free(&resolution);
	resolver_free(&resolver);
	event_base_free(answer.base);
	conductor_free(&self);
	return answer.status;
}

int cmd_resolve(int argc, char **argv)
{
	static const char *const words[] = {"done", "undone"};
	struct migrate m = {.verbose_too = false};
	const char *why = NULL;
	int as = -1;
	const struct command_option own[] = {
	    {.name = "as", .choice = &as, .words = "done|undone"},
	    {.name = "message", .letter = 'm', .text = &why},
	};
	int status = migrate_open(&m, argc, argv, help, own, sizeof(own) / sizeof(own[0]));
	if (status < 0 && m.word_count > 0)
		status = command_usage("resolve", "it takes no argument; a database goes after -d");
	if (status < 0 && as < 0)
		status = command_usage("resolve", "say --as done or --as undone");
	if (status < 0 && (why == NULL || why[0] == '\0'))
		status = command_usage("resolve", "say how you know, with -m: the ledger keeps it");
	if (status < 0)
		status = migrate_section(&m) ? resolve(&m, words[as], why) : m.status;
	migrate_close(&m);
	return status;
}
