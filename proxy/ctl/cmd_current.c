/* headgate current: what the database is at. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/cli.h"
#include "migrate.h"
#include "page_revision.h"

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

struct position {
	struct migrate *m;
	struct page_revisions *revisions; /* NULL: there are no files */
	struct graph_places applied;      /* of the folder's revisions */
	unsigned *tips, tip_count;        /* the last ones of these, branch by branch */
	unsigned unknown;                 /* recorded heads that no file has */
	unsigned pending;                 /* revisions that are not applied */
};

/* The heads as they are recorded, one by one; false ends. */
static bool next_head(const struct heads *heads, const char **at, size_t *n)
{
	if (*at == NULL)
		*at = heads_is_none(heads) ? "" : heads->text;
	else
		*at += *n + ((*at)[*n] == '+');
	*n = strcspn(*at, "+");
	return *n > 0;
}

/* Alembic counts as current what is last on its branch, though it be recorded only by what depends on it. */
static void find_tips(struct position *p)
{
	const struct graph *graph = p->m->graph;
	bool *there = mem_zalloc(graph_count(graph) * sizeof(bool));

	p->tips = mem_alloc(p->applied.count * sizeof(*p->tips));
	for (unsigned i = 0; i < p->applied.count; i++)
		there[p->applied.at[i]] = true;
	for (unsigned i = 0; i < p->applied.count; i++) {
		const struct graph_revision *r = graph_at(graph, p->applied.at[i]);
		bool tip = true;
		for (unsigned k = 0; k < r->child_count; k++)
			tip = tip && !there[r->children[k]];
		if (tip)
			p->tips[p->tip_count++] = p->applied.at[i];
	}
	mem_free(&there);
}

static void find_position(struct position *p)
{
	struct migrate *m = p->m;
	const char *at = NULL;
	char *why = NULL;
	size_t n;
	unsigned place;
	struct heads known = heads_none();

	while (next_head(&m->ledger.recorded.heads, &at, &n)) {
		if (!graph_find(m->graph, at, n, &place))
			p->unknown++;
		else if (!heads_add(&known, at, n, &(const char *){NULL}))
			p->unknown++;
	}
	if (!graph_applied(m->graph, &known, &p->applied, &why))
		mem_free(&why); /* it knows them all */
	heads_free(&known);
	p->pending = graph_count(m->graph) - p->applied.count;
	find_tips(p);
}

static void print_json(const struct position *p, bool at_head)
{
	struct page_json json = {.to = stdout};
	const struct recorded *recorded = &p->m->ledger.recorded;
	const char *at = NULL;
	size_t n;

	page_json_begin(&json, NULL, '{');
	page_json_text(&json, "database", migrate_database(p->m));
	page_json_text(&json, "state", recorded_state_name(recorded->state));
	page_json_text(&json, "detail", recorded->detail);
	page_json_text(&json, "unresolved", p->m->ledger.unresolved);
	page_json_begin(&json, "heads", '[');
	while (next_head(&recorded->heads, &at, &n)) {
		char *head = mem_strndup(at, n);
		page_json_text(&json, NULL, head);
		mem_free(&head);
	}
	page_json_end(&json, ']');
	page_json_flag(&json, "at_head", at_head);
	page_json_number(&json, "pending", p->pending);
	page_json_begin(&json, "revisions", '[');
	for (unsigned i = 0; i < p->tip_count; i++)
		page_revision_json(&json, p->revisions, p->tips[i]);
	page_json_end(&json, ']');
	page_json_end(&json, '}');
}

static void print_text(const struct position *p)
{
	const struct migrate *m = p->m;
	struct page page = page_open(stdout);
	const char *at = NULL;
	size_t n;
	unsigned place;

	if (m->verbose)
		printf("Current revision(s) of %s:\n", migrate_database(m));
	for (unsigned i = p->tip_count; i-- > 0;) {
		if (m->verbose) {
			page_revision_entry(&page, p->revisions, p->tips[i], false);
			continue;
		}
		page_revision_line(&page, p->revisions, p->tips[i], false);
		putchar('\n');
	}
	while (next_head(&m->ledger.recorded.heads, &at, &n)) {
		if (graph_find(m->graph, at, n, &place))
			continue;
		page_ink(&page, PAGE_ID, "%.*s", (int)n, at);
		if (graph_count(m->graph) > 0)
			page_ink(&page, PAGE_BAD, " (not among the migrations in %s)", m->dir);
		putchar('\n');
	}
	if (heads_is_none(&m->ledger.recorded.heads))
		puts("<base>");
}

/* Is what is recorded whole? An empty one is, and so is one that was never there. */
static bool is_whole(const struct migrate *m)
{
	switch (m->ledger.recorded.state) {
	case RECORDED_CLEAN:
	case RECORDED_EMPTY:
	case RECORDED_ABSENT:
		return m->ledger.unresolved == NULL;
	case RECORDED_RUNNING:
	case RECORDED_FAILED:
	case RECORDED_UNREADABLE:
		return false;
	}
	return false;
}

static void warn(const struct migrate *m)
{
	const struct recorded *recorded = &m->ledger.recorded;
	struct page page = page_open(stderr);

	if (is_whole(m))
		return;
	fputs("headgate current: ", stderr);
	if (m->ledger.unresolved != NULL) {
		page_text(&page, m->ledger.unresolved);
		fputs("\nSee what was done, then: headgate resolve --help\n", stderr);
		return;
	}
	fprintf(stderr, "the recorded version is %s", recorded_state_name(recorded->state));
	if (recorded->detail != NULL) {
		fputs(": ", stderr);
		page_text(&page, recorded->detail);
	}
	fputs("\n", stderr);
}

static int answer(struct migrate *m, bool check)
{
	struct position p = {.m = m};

	find_position(&p);
	p.revisions = page_revisions_new(m->catalog, &m->ledger.recorded.heads);
	bool at_head = p.pending == 0 && p.unknown == 0 && is_whole(m);
	if (m->json)
		print_json(&p, at_head);
	else
		print_text(&p);
	warn(m);
	if (check && is_whole(m) && p.pending > 0)
		fprintf(stderr, "headgate current: %s is not at head: %u revision%s of %s %s not applied\n",
		    migrate_database(m), p.pending, p.pending == 1 ? "" : "s", m->dir,
		    p.pending == 1 ? "is" : "are");
	else if (check && is_whole(m) && p.unknown > 0)
		fprintf(stderr, "headgate current: %s is at a revision that %s does not have\n",
		    migrate_database(m), m->dir);
	page_revisions_free(&p.revisions);
	graph_places_free(&p.applied);
	mem_free(&p.tips);
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
	struct migrate m = {.verbose_too = true};
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
