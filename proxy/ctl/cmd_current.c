/* headgate current: what the database is at. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/cli.h"
#include "migrate.h"
#include "page_revision.h"
#include "position.h"

static const char help[] =
    "Usage: headgate current [--check-heads] [--verbose] [OPTION]...\n"
    "\n"
    "The revisions that the database is at: what is recorded in it. Where the folder of migrations is there "
    "too, each is\n"
    "marked (head) when nothing comes after it.\n"
    "\n"
    "      --check-heads      exit status 1 unless the database is at all heads of the folder, and nothing "
    "was left half way\n"
    "  -v, --verbose          an entry for each, as headgate show prints it\n" MIGRATE_HELP "\n"
    "Exit status: 0 told; 1 --check-heads: not at head; or the files are not in order; 2 wrong usage; 3 "
    "wrong\n"
    "configuration; 4 the database cannot be reached.\n"
    "\n"
    "Example:  headgate current --check-heads || headgate upgrade\n";

static void print_json(
    const struct migrate *m, const struct position *p, const struct page_revisions *revisions)
{
	struct page_json json = {.to = stdout};
	const struct recorded *recorded = &m->ledger.recorded;

	page_json_begin(&json, NULL, '{');
	page_json_text(&json, "database", migrate_database(m));
	page_json_text(&json, "state", recorded_state_name(recorded->state));
	page_json_text(&json, "detail", recorded->detail);
	page_json_text(&json, "unresolved", m->ledger.unresolved);
	page_json_heads(&json, "heads", &recorded->heads);
	page_json_flag(&json, "at_head", position_is_head(p));
	page_json_number(&json, "pending", p->pending_count);
	page_json_begin(&json, "revisions", '[');
	for (unsigned i = 0; i < p->tip_count; i++)
		page_revision_json(&json, revisions, p->tips[i]);
	page_json_end(&json, ']');
	page_json_end(&json, '}');
}

static void print_text(
    const struct migrate *m, const struct position *p, const struct page_revisions *revisions)
{
	struct page page = page_open(stdout);

	if (m->verbose)
		printf("Current revision(s) of %s:\n", migrate_database(m));
	for (unsigned i = p->tip_count; i-- > 0;) {
		if (m->verbose) {
			page_revision_entry(&page, revisions, p->tips[i], false);
			continue;
		}
		page_revision_line(&page, revisions, p->tips[i], false);
		putchar('\n');
	}
	for (unsigned i = 0; i < p->unknown_count; i++) {
		page_ink(&page, PAGE_ID, "%s", p->unknown[i]);
		if (graph_count(m->graph) > 0)
			page_ink(&page, PAGE_BAD, " (not among the migrations in %s)", m->dir);
		putchar('\n');
	}
	if (heads_is_none(&m->ledger.recorded.heads))
		puts("<base>");
}

static void warn(const struct migrate *m, const struct position *p, bool check)
{
	const struct recorded *recorded = &m->ledger.recorded;
	struct page page = page_open(stderr);

	if (position_is_head(p) || (p->whole && !check))
		return;
	fputs("headgate current: ", stderr);
	if (m->ledger.unresolved != NULL) {
		page_text(&page, m->ledger.unresolved);
		fputs("\nSee what was done, then: headgate resolve --help", stderr);
	} else if (!p->whole) {
		fprintf(stderr, "the recorded version is %s", recorded_state_name(recorded->state));
		fputs(recorded->detail == NULL ? "" : ": ", stderr);
		page_text(&page, recorded->detail == NULL ? "" : recorded->detail);
	} else if (p->pending_count > 0) {
		fprintf(stderr, "%s is not at head: %u revision%s of %s %s not applied", migrate_database(m),
		    p->pending_count, p->pending_count == 1 ? "" : "s", m->dir,
		    p->pending_count == 1 ? "is" : "are");
	} else {
		fprintf(stderr, "%s is at a revision that %s does not have", migrate_database(m), m->dir);
	}
	fputs("\n", stderr);
}

static int answer(struct migrate *m, bool check)
{
	/* All that people see here is current. */
	struct page_revisions *revisions =
	    page_revisions_new(m->catalog, m->json ? &m->ledger.recorded.heads : NULL);
	struct position position;

	position_find(m, &position);
	if (m->json)
		print_json(m, &position, revisions);
	else
		print_text(m, &position, revisions);
	warn(m, &position, check);
	bool at_head = position_is_head(&position);
	position_free(&position);
	page_revisions_free(&revisions);
	return check && !at_head ? CLI_FAILED : CLI_OK;
}

static void no_files(struct migrate *m)
{
	struct catalog_files none = {.count = 0};
	struct catalog_options options = {.format = CATALOG_NATIVE};
	struct catalog_defects defects = {.count = 0};

	m->catalog = catalog_parse(&none, &options, &defects);
	m->graph = catalog_graph(m->catalog);
}

int cmd_current(int argc, char **argv)
{
	struct migrate m = {.verbose_too = true, .drafts = true};
	bool check = false;
	const struct command_option own[] = {
	    {.name = "check-heads", .flag = &check},
	};
	int status = migrate_open(&m, argc, argv, help, own, 1);
	if (status < 0 && m.word_count > 0)
		status = command_usage("current", "what is \"%s\"?", m.words[0]);
	if (status < 0) {
		bool files = migrate_catalog_at(&m, !check);
		int failed = m.status;
		/* With files that are not there, or not in order, what is recorded can be told all the same.
		 */
		if (!files && !check)
			no_files(&m);
		status = m.catalog == NULL ? failed : migrate_ledger(&m) ? answer(&m, check) : m.status;
		if (!files && status == CLI_OK)
			status = failed;
	}
	migrate_close(&m);
	return status;
}
