/* headgate revision: a new migration. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "ctl/cli.h"
#include "migrate.h"
#include "revising.h"

static const char help[] =
    "Usage: headgate revision -m MESSAGE [OPTION]...\n"
    "\n"
    "Writes a new migration into the folder, in the format of those that are there (in an empty folder: "
    "ours), and\n"
    "prints the path of what it wrote. It comes after the head. Put its SQL behind -- migrate:up, and "
    "behind\n"
    "-- migrate:down what undoes it. On the line of a section may stand:\n"
    "\n"
    "  transaction:false      it cannot run in a transaction (CREATE INDEX CONCURRENTLY is recognised by "
    "itself)\n"
    "  hold:none              it disturbs nobody: traffic flows while it runs\n"
    "  compatible             (up) clients that were built for the head before it are served after it\n"
    "\n"
    "  -m, --message MESSAGE  what it does, in one line; makes the file's name, too\n"
    "      --head REVISION    what it comes after, where that is not the one head: a revision, "
    "LABEL@head, or base\n"
    "                         for a line of its own\n"
    "      --splice           REVISION is no head: begin a branch there\n"
    "      --branch-label LABEL\n"
    "                         a name for the branch; may be given several times\n"
    "      --depends-on REVISION\n"
    "                         what else must be there before it; may be given several times\n"
    "      --rev-id ID        the new revision's id, instead of one that is made\n" MIGRATE_HELP "\n"
    "Only the native format has branches, labels and --depends-on. No database is asked.\n"
    "\n"
    "Exit status: 0 written; 1 failed; 2 wrong usage; 3 wrong configuration.\n"
    "\n"
    "Examples:  headgate revision -m \"orders get a note\"\n"
    "           $EDITOR $(headgate revision -m \"prices in cents\")\n"
    "           headgate revision -m \"billing begins\" --head base --branch-label billing\n";

struct asked {
	const char *message, *head, *revision;
	struct option_list labels, depends;
	bool splice;
};

/* Each names one revision. Beginnings of ids become ids; labels stay, since they are meant to. */
static bool resolve_depends(struct migrate *m, struct option_list *depends)
{
	struct heads nothing = heads_none();

	for (unsigned i = 0; i < depends->count; i++) {
		struct graph_places found = {.count = 0};
		char *why = NULL;
		bool fine = graph_resolve(m->graph, &nothing, depends->at[i], &found, &why);
		if (!fine)
			migrate_fails(m, CLI_FAILED, "--depends-on %s: %s", depends->at[i], why);
		else if (found.count != 1)
			fine = migrate_fails(m, CLI_FAILED, "--depends-on %s is %s revision", depends->at[i],
			    found.count == 0 ? "no" : "more than one");
		bool label = false;
		const struct graph_revision *r = fine ? graph_at(m->graph, found.at[0]) : NULL;
		for (unsigned k = 0; fine && k < r->labels.count; k++)
			label = label || strcmp(r->labels.at[k], depends->at[i]) == 0;
		if (fine && !label)
			depends->at[i] = r->id;
		graph_places_free(&found);
		mem_free(&why);
		if (!fine)
			return false;
	}
	return true;
}

static bool find_parents(struct migrate *m, const struct asked *asked, struct graph_places *parents)
{
	struct heads nothing = heads_none();
	char *why = NULL;

	if (graph_resolve(m->graph, &nothing, asked->head == NULL ? "head" : asked->head, parents, &why))
		return asked->splice ||
		    revising_are_heads(m, parents, "To begin a branch there, say --splice");
	if (asked->head == NULL)
		migrate_fails(
		    m, CLI_FAILED, "%s\nSay which one the new revision comes after: --head REVISION", why);
	else
		migrate_fails(m, CLI_FAILED, "--head %s: %s", asked->head, why);
	mem_free(&why);
	return false;
}

static bool revise(struct migrate *m, struct asked *asked)
{
	struct graph_places parents = {.count = 0};

	bool fine =
	    revising_open(m) && resolve_depends(m, &asked->depends) && find_parents(m, asked, &parents);
	struct revising new = {
	    .message = asked->message,
	    .revision = asked->revision,
	    .parents = parents.at,
	    .parent_count = parents.count,
	    .depends = &asked->depends,
	    .labels = &asked->labels,
	};
	fine = fine && revising_write(m, &new);
	if (fine && isatty(STDERR_FILENO) == 1)
		fputs("Put its SQL in, then: headgate upgrade\n", stderr);
	graph_places_free(&parents);
	return fine;
}

static int check_usage(const struct migrate *m, const struct asked *asked)
{
	if (m->word_count > 0)
		return command_usage(
		    "revision", "what is \"%s\"? A message of several words stands in quotes", m->words[0]);
	if (asked->message == NULL)
		return command_usage("revision", "say what it does: -m \"orders get a note\"");
	return -1;
}

int cmd_revision(int argc, char **argv)
{
	struct migrate m = {.json = false};
	struct asked asked = {.message = NULL};
	const struct command_option own[] = {
	    {.name = "message", .letter = 'm', .text = &asked.message},
	    {.name = "head", .text = &asked.head},
	    {.name = "splice", .flag = &asked.splice},
	    {.name = "branch-label", .list = &asked.labels},
	    {.name = "depends-on", .list = &asked.depends},
	    {.name = "rev-id", .text = &asked.revision},
	};
	int status = migrate_open(&m, argc, argv, help, own, 6);
	if (status < 0)
		status = check_usage(&m, &asked);
	if (status < 0)
		status = revise(&m, &asked) ? CLI_OK : m.status;
	option_list_free(&asked.labels);
	option_list_free(&asked.depends);
	migrate_close(&m);
	return status;
}
