/* headgate merge: one head out of several. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/cli.h"
#include "migrate.h"
#include "revising.h"

static const char help[] =
    "Usage: headgate merge [-m MESSAGE] [OPTION]... [REVISION]...\n"
    "\n"
    "Writes a migration that merges heads: it revises them all, so that one head is left. It does nothing to "
    "the\n"
    "database by itself; SQL may be put in it. Without REVISION all heads are merged. No database is asked. "
    "Only the\n"
    "native format has branches.\n"
    "\n"
    "  -m, --message MESSAGE  what for; default: \"merge\" and the revisions\n"
    "      --branch-label LABEL\n"
    "                         a name for the branch; may be given several times\n"
    "      --rev-id ID        the new revision's id, instead of one that is made\n" MIGRATE_HELP "\n"
    "It prints the file that it wrote.\n"
    "\n"
    "Exit status: 0 written; 1 failed; 2 wrong usage; 3 wrong configuration.\n"
    "\n"
    "Example:  headgate merge -m \"billing and orders together\" heads\n";

struct asked {
	const char *message, *revision;
	struct option_list labels;
};

static char *default_message(const struct migrate *m, const struct graph_places *parents)
{
	char *text = mem_strdup("merge");

	for (unsigned i = 0; i < parents->count; i++) {
		char *more = mem_printf("%s%s%s", text,
		    i == 0                        ? " "
			: i + 1 == parents->count ? " and "
						  : ", ",
		    graph_at(m->graph, parents->at[i])->id);
		mem_free(&text);
		text = more;
	}
	return text;
}

static bool merge(struct migrate *m, const struct asked *asked)
{
	char *target = mem_strdup(m->word_count == 0 ? "heads" : m->words[0]), *why = NULL;
	struct graph_places parents = {.count = 0};
	struct heads nothing = heads_none();

	for (unsigned i = 1; i < m->word_count; i++) {
		char *more = mem_printf("%s,%s", target, m->words[i]);
		mem_free(&target);
		target = more;
	}
	bool fine = revising_open(m);
	if (fine && !graph_resolve(m->graph, &nothing, target, &parents, &why)) {
		fine = migrate_fails(m, CLI_FAILED, "%s", why);
		mem_free(&why);
	}
	mem_free(&target);
	if (fine && parents.count < 2)
		fine = migrate_fails(m, CLI_FAILED, "there is nothing to merge: %s%s",
		    parents.count == 0 ? "no revision" : "the one head is ",
		    parents.count == 0 ? "" : graph_at(m->graph, parents.at[0])->id);
	fine = fine && revising_are_heads(m, &parents, "Merge heads: headgate heads lists them");
	if (fine) {
		char *message =
		    asked->message == NULL ? default_message(m, &parents) : mem_strdup(asked->message);
		fine = revising_write(m,
		    &(struct revising){
			.message = message,
			.revision = asked->revision,
			.parents = parents.at,
			.parent_count = parents.count,
			.labels = &asked->labels,
			.up = "",
			.down = "",
		    });
		mem_free(&message);
	}
	graph_places_free(&parents);
	return fine;
}

int cmd_merge(int argc, char **argv)
{
	struct migrate m = {.drafts = true};
	struct asked asked = {.message = NULL};
	const struct command_option own[] = {
	    {.name = "message", .letter = 'm', .text = &asked.message},
	    {.name = "branch-label", .list = &asked.labels},
	    {.name = "rev-id", .text = &asked.revision},
	};
	int status = migrate_open(&m, argc, argv, help, own, 3);
	if (status < 0)
		status = merge(&m, &asked) ? CLI_OK : m.status;
	option_list_free(&asked.labels);
	migrate_close(&m);
	return status;
}
