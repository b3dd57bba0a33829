/* headgate history: the revisions of the folder, newest first. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/cli.h"
#include "migrate.h"
#include "page_revision.h"

static const char help[] =
    "Usage: headgate history [-r FROM:TO] [--verbose] [--indicate-current] [OPTION]...\n"
    "\n"
    "The migrations in the folder, newest first, with the branches drawn to their left. No database is "
    "asked,\n"
    "unless --indicate-current or the range wants one.\n"
    "\n"
    "  -r, --rev-range FROM:TO\n"
    "                         only these, both ends included; either may be missing. An end is a revision "
    "or the\n"
    "                         beginning of one, a label, head, base, current, or -N, +N from the other end\n"
    "  -i, --indicate-current mark what the database is at\n"
    "  -v, --verbose          an entry for each, with its file\n" MIGRATE_HELP "\n"
    "Exit status: 0 told; 1 failed; 2 wrong usage; 3 wrong configuration; 4 the database cannot be reached.\n"
    "\n"
    "Examples:  headgate history -i\n"
    "           headgate history -r current:        what an upgrade would bring\n"
    "           headgate history -r -5:head         the last six\n";

/* The revisions asked for, oldest first. */
static bool choose(struct migrate *m, const char *range, struct graph_places *places)
{
	const char *colon = strchr(range, ':');
	char *why = NULL;

	if (colon == NULL || strchr(colon + 1, ':') != NULL)
		return migrate_fails(m, CLI_USAGE, "-r %s: write FROM:TO, FROM: or :TO", range);
	if (!graph_between(m->graph, &m->ledger.recorded.heads, range, places, &why)) {
		migrate_fails(m, CLI_FAILED, "-r %s: %s", range, why);
		mem_free(&why);
		return false;
	}
	if (places->count == 0 && colon != range && colon[1] != '\0')
		return migrate_fails(m, CLI_FAILED,
		    "-r %s: nothing lies between: the second does not come after the first", range);
	return true;
}

static bool history(struct migrate *m, const char *range, bool indicate)
{
	struct graph_places places = {.count = 0};
	struct page page = page_open(stdout);

	if (!migrate_catalog(m) || ((indicate || strstr(range, "current") != NULL) && !migrate_ledger(m)))
		return false;
	if (!choose(m, range, &places)) {
		graph_places_free(&places);
		return false;
	}
	struct page_revisions *revisions =
	    page_revisions_new(m->catalog, indicate ? &m->ledger.recorded.heads : NULL);
	if (m->json) {
		/* As people see them: newest first. */
		for (unsigned i = 0; i < places.count / 2; i++) {
			unsigned swap = places.at[i];
			places.at[i] = places.at[places.count - 1 - i];
			places.at[places.count - 1 - i] = swap;
		}
		page_revisions_json(stdout, revisions, places.at, places.count);
	} else {
		page_revisions_print(&page, revisions, places.at, places.count, m->verbose);
		if (graph_count(m->graph) == 0)
			fprintf(stderr, "There are no migrations in %s yet.\n", m->dir);
	}
	page_revisions_free(&revisions);
	graph_places_free(&places);
	return true;
}

int cmd_history(int argc, char **argv)
{
	struct migrate m = {.verbose_too = true, .drafts = true};
	const char *range = ":";
	bool indicate = false;
	const struct command_option own[] = {
	    {.name = "rev-range", .letter = 'r', .text = &range},
	    {.name = "indicate-current", .letter = 'i', .flag = &indicate},
	};
	int status = migrate_open(&m, argc, argv, help, own, 2);
	if (status < 0 && m.word_count > 0)
		status = command_usage("history", "what is \"%s\"? A range goes behind -r", m.words[0]);
	if (status < 0)
		status = history(&m, range, indicate) ? CLI_OK : m.status;
	migrate_close(&m);
	return status;
}
