/* headgate branches: the revisions that several others revise. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/cli.h"
#include "migrate.h"
#include "page_revision.h"

static const char help[] =
    "Usage: headgate branches [--verbose] [OPTION]...\n"
    "\n"
    "The branch points of the migrations in the folder: revisions that several others revise, and those. No "
    "database\n"
    "is asked.\n"
    "\n"
    "  -v, --verbose          an entry for each branch point, and what its branches begin with\n" MIGRATE_HELP
    "\n"
    "Exit status: 0 told; 1 the files are not in order; 2 wrong usage; 3 wrong configuration.\n"
    "\n"
    "Example:  headgate branches\n";

static void print_branch(
    const struct migrate *m, const struct page *page, const struct page_revisions *revisions, unsigned place)
{
	const struct graph_revision *r = graph_at(m->graph, place);

	if (m->verbose) {
		page_revision_entry(page, revisions, place, false);
	} else {
		page_revision_line(page, revisions, place, false);
		putchar('\n');
	}
	for (unsigned i = 0; i < r->child_count; i++) {
		printf("%*s -> ", (int)strlen(r->id), "");
		page_revision_line(page, revisions, r->children[i], m->verbose);
		putchar('\n');
	}
	putchar('\n');
}

static void print_branches(const struct migrate *m)
{
	struct page_revisions *revisions = page_revisions_new(m->catalog, NULL);
	struct page page = page_open(stdout);
	unsigned count = graph_count(m->graph), found = 0;
	unsigned *points = mem_alloc(count * sizeof(*points));

	for (unsigned i = 0; i < count; i++)
		if (graph_at(m->graph, i)->child_count > 1)
			points[found++] = i;
	if (m->json)
		page_revisions_json(stdout, revisions, points, found);
	for (unsigned i = found; i-- > 0 && !m->json;)
		print_branch(m, &page, revisions, points[i]);
	mem_free(&points);
	page_revisions_free(&revisions);
}

int cmd_branches(int argc, char **argv)
{
	struct migrate m = {.verbose_too = true, .drafts = true};
	int status = migrate_open(&m, argc, argv, help, NULL, 0);

	if (status < 0 && m.word_count > 0)
		status = command_usage("branches", "what is \"%s\"?", m.words[0]);
	if (status < 0 && !migrate_catalog(&m))
		status = m.status;
	if (status < 0) {
		print_branches(&m);
		status = CLI_OK;
	}
	migrate_close(&m);
	return status;
}
