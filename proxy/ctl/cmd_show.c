/* headgate show: revisions, one by one. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/cli.h"
#include "migrate.h"
#include "page_revision.h"

static const char help[] =
    "Usage: headgate show REVISION... [--verbose] [OPTION]...\n"
    "\n"
    "Prints what a migration is: its parents, labels, file, how it runs, and what it is for. No database is "
    "asked,\n"
    "unless REVISION is `current`.\n"
    "\n"
    "REVISION is the beginning of one, a label, head, heads, current, or one of these with +N or -N.\n"
    "\n"
    "  -v, --verbose          with its SQL, placeholders filled in\n" MIGRATE_HELP "\n"
    "Exit status: 0 told; 1 there is no such revision; 2 wrong usage; 3 wrong configuration; 4 the database "
    "cannot be\n"
    "reached.\n"
    "\n"
    "Examples:  headgate show head\n"
    "           headgate show 2026 -v\n";

static bool wants_database(const struct migrate *m)
{
	for (unsigned i = 0; i < m->word_count; i++)
		if (strstr(m->words[i], "current") != NULL)
			return true;
	return false;
}

/* What the words name, each once, in the order of the words. */
static bool choose(struct migrate *m, unsigned *places, unsigned *count)
{
	bool *taken = mem_zalloc(graph_count(m->graph) * sizeof(bool)), fine = true;
	char *why = NULL;

	for (unsigned i = 0; i < m->word_count && fine; i++) {
		struct graph_places found = {.count = 0};
		fine = graph_resolve(m->graph, &m->ledger.recorded.heads, m->words[i], &found, &why);
		if (!fine)
			migrate_fails(m, CLI_FAILED, "%s", why);
		for (unsigned k = 0; k < found.count; k++) {
			if (!taken[found.at[k]])
				places[(*count)++] = found.at[k];
			taken[found.at[k]] = true;
		}
		graph_places_free(&found);
		mem_free(&why);
	}
	mem_free(&taken);
	return fine;
}

static bool show(struct migrate *m)
{
	struct page page = page_open(stdout);
	unsigned count = 0;

	if (!migrate_catalog(m) || (wants_database(m) && !migrate_ledger(m)))
		return false;
	unsigned *places = mem_alloc(graph_count(m->graph) * sizeof(*places));
	bool fine = choose(m, places, &count);
	if (fine) {
		struct page_revisions *revisions =
		    page_revisions_new(m->catalog, wants_database(m) ? &m->ledger.recorded.heads : NULL);
		if (m->json)
			page_revisions_json(stdout, revisions, places, count);
		for (unsigned i = 0; i < count && !m->json; i++)
			page_revision_entry(&page, revisions, places[i], m->verbose);
		if (count == 0 && !m->json)
			fputs("<base>: that is no revision, but where there is none\n", stderr);
		page_revisions_free(&revisions);
	}
	mem_free(&places);
	return fine;
}

int cmd_show(int argc, char **argv)
{
	struct migrate m = {.verbose_too = true, .drafts = true};
	int status = migrate_open(&m, argc, argv, help, NULL, 0);

	if (status < 0 && m.word_count == 0)
		status = command_usage("show", "which revision? headgate show head");
	if (status < 0)
		status = show(&m) ? CLI_OK : m.status;
	migrate_close(&m);
	return status;
}
