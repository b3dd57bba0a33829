#include "pending.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "page_json.h"
#include "page_revision.h"
#include "position.h"

#define LISTED 20 /* of what is pending, for people */

/* One head, or which. */
static void tell_files(const struct migrate *m)
{
	struct graph_places heads = graph_heads(m->graph);
	unsigned count = catalog_count(m->catalog);

	printf("%s: in order: %u revision%s (%s)", m->dir, count, count == 1 ? "" : "s",
	    catalog_format_name(catalog_format(m->catalog)));
	if (heads.count > 1) {
		printf(", %u heads:", heads.count);
		for (unsigned i = 0; i < heads.count && i < LISTED; i++)
			printf(" %s", graph_at(m->graph, heads.at[i])->id);
		if (heads.count > LISTED)
			fputs(" ...", stdout);
	}
	putchar('\n');
	graph_places_free(&heads);
}

static void tell_state(const struct migrate *m, const struct page *page)
{
	const struct recorded *recorded = &m->ledger.recorded;
	bool resolve = m->ledger.unresolved != NULL;
	const char *detail = resolve ? m->ledger.unresolved : recorded->detail;

	printf("%s: ", migrate_database(m));
	page_ink(page, PAGE_BAD, "%s", resolve ? "left half way" : recorded_state_name(recorded->state));
	if (detail != NULL) {
		fputs(": ", stdout);
		page_text(page, detail);
	}
	fputs(resolve ? "\nSee what was done, then: headgate resolve --help\n" : "\n", stdout);
}

static void tell_position(const struct migrate *m, const struct position *p)
{
	struct page page = page_open(stdout);
	struct page_revisions *revisions = page_revisions_new(m->catalog, NULL);

	if (!p->whole)
		tell_state(m, &page);
	for (unsigned i = 0; i < p->unknown_count; i++) {
		printf("%s: ", migrate_database(m));
		page_ink(
		    &page, PAGE_BAD, "is at revision %s, which no file in %s has", p->unknown[i], m->dir);
		putchar('\n');
	}
	printf("%s: ", migrate_database(m));
	if (p->pending_count == 0) {
		page_ink(&page, p->unknown_count == 0 ? PAGE_GOOD : PAGE_PLAIN, "nothing is pending");
		putchar('\n');
	} else {
		page_ink(&page, PAGE_BAD, "%u revision%s pending", p->pending_count,
		    p->pending_count == 1 ? " is" : "s are");
		puts(", oldest first:");
	}
	for (unsigned i = 0; i < p->pending_count && i < LISTED; i++) {
		fputs("  ", stdout);
		page_revision_line(&page, revisions, p->pending[i], true);
		putchar('\n');
	}
	if (p->pending_count > LISTED)
		printf("  and %u more: headgate history -r current:\n", p->pending_count - LISTED);
	page_revisions_free(&revisions);
}

/* p NULL: no database was asked. */
static void print_json(const struct migrate *m, const struct position *p)
{
	struct page_json json = {.to = stdout};
	struct page_revisions *revisions = page_revisions_new(m->catalog, NULL);

	page_json_begin(&json, NULL, '{');
	page_json_text(&json, "dir", m->dir);
	page_json_text(&json, "format", catalog_format_name(catalog_format(m->catalog)));
	page_json_number(&json, "revisions", catalog_count(m->catalog));
	page_json_text(&json, "database", p == NULL ? NULL : migrate_database(m));
	if (p != NULL) {
		page_json_flag(&json, "ok", position_is_head(p));
		page_json_text(&json, "state", recorded_state_name(m->ledger.recorded.state));
		page_json_text(&json, "unresolved", m->ledger.unresolved);
		page_json_heads(&json, "heads", &m->ledger.recorded.heads);
		page_json_begin(&json, "unknown", '[');
		for (unsigned i = 0; i < p->unknown_count; i++)
			page_json_text(&json, NULL, p->unknown[i]);
		page_json_end(&json, ']');
		page_json_begin(&json, "pending", '[');
		for (unsigned i = 0; i < p->pending_count; i++)
			page_revision_json(&json, revisions, p->pending[i]);
		page_json_end(&json, ']');
	}
	page_json_end(&json, '}');
	page_revisions_free(&revisions);
}

bool pending_tell(struct migrate *m, bool *behind)
{
	struct position position = {.whole = true};
	bool asked = m->dsn != NULL;

	*behind = false;
	if (!migrate_catalog(m) || (asked && !migrate_ledger(m)))
		return false;
	if (asked) {
		position_find(m, &position);
		*behind = !position_is_head(&position);
	}
	if (m->json) {
		print_json(m, asked ? &position : NULL);
	} else {
		tell_files(m);
		if (asked)
			tell_position(m, &position);
		else
			fputs("No database was named, so nothing was compared with one: --url or "
			      "$DATABASE_URL.\n",
			    stderr);
	}
	position_free(&position);
	return true;
}
