/* headgate heads: the revisions that nothing revises. */
#include <stdio.h>

#include "base/mem.h"
#include "ctl/cli.h"
#include "migrate.h"
#include "page_revision.h"

static const char help[] =
    "Usage: headgate heads [--verbose] [--resolve-dependencies] [OPTION]...\n"
    "\n"
    "The heads of the migrations in the folder: the revisions that no other one revises. More than one means "
    "that\n"
    "branches are unmerged (see headgate merge). No database is asked.\n"
    "\n"
    "  -v, --verbose          an entry for each, as headgate show prints it\n"
    "      --resolve-dependencies\n"
    "                         not those that other revisions depend on\n" MIGRATE_HELP "\n"
    "Exit status: 0 told; 1 the files are not in order; 2 wrong usage; 3 wrong configuration.\n"
    "\n"
    "Example:  headgate heads\n";

static void print_heads(const struct migrate *m, bool resolve)
{
	struct graph_places heads = graph_heads(m->graph);
	struct page_revisions *revisions = page_revisions_new(m->catalog, NULL);
	struct page page = page_open(stdout);
	unsigned count = 0;

	for (unsigned i = 0; i < heads.count; i++)
		if (!resolve || page_revision_is_last(revisions, heads.at[i]))
			heads.at[count++] = heads.at[i];
	if (m->json)
		page_revisions_json(stdout, revisions, heads.at, count);
	for (unsigned i = 0; i < count && !m->json; i++) {
		if (m->verbose) {
			page_revision_entry(&page, revisions, heads.at[i], false);
			continue;
		}
		page_revision_line(&page, revisions, heads.at[i], false);
		putchar('\n');
	}
	page_revisions_free(&revisions);
	graph_places_free(&heads);
}

int cmd_heads(int argc, char **argv)
{
	struct migrate m = {.verbose_too = true, .drafts = true};
	bool resolve = false;
	const struct command_option own[] = {
	    {.name = "resolve-dependencies", .flag = &resolve},
	};
	int status = migrate_open(&m, argc, argv, help, own, 1);
	if (status < 0 && m.word_count > 0)
		status = command_usage("heads", "what is \"%s\"?", m.words[0]);
	if (status < 0 && !migrate_catalog(&m))
		status = m.status;
	if (status < 0) {
		print_heads(&m, resolve);
		status = CLI_OK;
	}
	migrate_close(&m);
	return status;
}
