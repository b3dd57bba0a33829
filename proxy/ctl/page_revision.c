#include "page_revision.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "page_lanes.h"

#define LANES 30 /* more would leave no room for texts */
#define LABELS                                                                                               \
	64 /* with more, as where each revision is labelled, a label is shown where it stands alone          \
	    */

struct page_revisions {
	const struct catalog *catalog;
	const struct graph *graph;
	bool *depended, *current;   /* by place */
	unsigned *after;            /* how many come after it, by all edges */
	struct graph_names *labels; /* all labels of the branches it is on */
};

/* ---- making ---- */

static void label_put(struct page_revisions *revisions, unsigned place, const char *label)
{
	struct graph_names *labels = &revisions->labels[place];
	const char **at = mem_alloc((labels->count + 1) * sizeof(*at));

	if (labels->count > 0)
		memcpy(at, labels->at, labels->count * sizeof(*at));
	at[labels->count] = label;
	mem_free(&labels->at);
	*labels = (struct graph_names){.at = at, .count = labels->count + 1};
}

static bool label_has(const struct page_revisions *revisions, unsigned place, const char *label)
{
	const struct graph_names *labels = &revisions->labels[place];

	for (unsigned i = 0; i < labels->count; i++)
		if (strcmp(labels->at[i], label) == 0)
			return true;
	return false;
}

/* A label is that of all that comes after its revision, and of what comes before it as far down as there is
 * but one way: Alembic's rule. */
static void label_spread(struct page_revisions *revisions, unsigned from, const char *label)
{
	const struct graph *graph = revisions->graph;
	unsigned count = graph_count(graph), *queue = mem_alloc(count * sizeof(*queue)), taken = 0, put = 0;

	label_put(revisions, from, label);
	queue[put++] = from;
	while (taken < put) {
		const struct graph_revision *r = graph_at(graph, queue[taken++]);
		for (unsigned i = 0; i < r->child_count; i++) {
			if (label_has(revisions, r->children[i], label))
				continue;
			label_put(revisions, r->children[i], label);
			queue[put++] = r->children[i];
		}
	}
	mem_free(&queue);
	for (const struct graph_revision *r = graph_at(graph, from); r->parent_count == 1;) {
		unsigned parent = r->parents[0];
		r = graph_at(graph, parent);
		if (revisions->after[parent] > 1 || r->parent_count > 1 ||
		    label_has(revisions, parent, label))
			break;
		label_put(revisions, parent, label);
	}
}

static void take_labels(struct page_revisions *revisions)
{
	unsigned count = graph_count(revisions->graph), labels = 0;

	for (unsigned i = 0; i < count; i++)
		labels += graph_at(revisions->graph, i)->labels.count;
	for (unsigned i = 0; i < count; i++) {
		const struct graph_revision *r = graph_at(revisions->graph, i);
		for (unsigned k = 0; k < r->labels.count; k++) {
			if (labels > LABELS)
				label_put(revisions, i, r->labels.at[k]);
			else
				label_spread(revisions, i, r->labels.at[k]);
		}
	}
}

static void mark_current(struct page_revisions *revisions, const struct heads *recorded)
{
	const char *s = heads_is_none(recorded) ? "" : recorded->text;
	unsigned place;

	while (*s != '\0') {
		size_t n = strcspn(s, "+");
		if (graph_find(revisions->graph, s, n, &place))
			revisions->current[place] = true;
		s += n + (s[n] == '+');
	}
}

struct page_revisions *page_revisions_new(const struct catalog *catalog, const struct heads *recorded)
{
	struct page_revisions *revisions = mem_zalloc(sizeof(*revisions));
	unsigned count = catalog_count(catalog);

	revisions->catalog = catalog;
	revisions->graph = catalog_graph(catalog);
	revisions->depended = mem_zalloc(count * sizeof(bool));
	revisions->current = mem_zalloc(count * sizeof(bool));
	revisions->after = mem_zalloc(count * sizeof(unsigned));
	revisions->labels = mem_zalloc(count * sizeof(*revisions->labels));
	for (unsigned i = 0; i < count; i++) {
		const struct graph_revision *r = graph_at(revisions->graph, i);
		revisions->after[i] += r->child_count;
		for (unsigned k = 0; k < r->depend_count; k++) {
			revisions->depended[r->depends[k]] = true;
			revisions->after[r->depends[k]]++;
		}
	}
	take_labels(revisions);
	if (recorded != NULL)
		mark_current(revisions, recorded);
	return revisions;
}

void page_revisions_free(struct page_revisions **place)
{
	struct page_revisions *revisions = *place;

	if (revisions == NULL)
		return;
	for (unsigned i = 0; i < catalog_count(revisions->catalog); i++)
		mem_free(&revisions->labels[i].at);
	mem_free(&revisions->labels);
	mem_free(&revisions->depended);
	mem_free(&revisions->current);
	mem_free(&revisions->after);
	mem_free(place);
}

bool page_revision_is_last(const struct page_revisions *revisions, unsigned place)
{
	return graph_at(revisions->graph, place)->child_count == 0 && !revisions->depended[place];
}

bool page_revision_is_current(const struct page_revisions *revisions, unsigned place)
{
	return revisions->current[place];
}

/* ---- lines and entries ---- */

static void put_names(const struct page *page, enum page_ink ink, const struct graph_names *names)
{
	for (unsigned i = 0; i < names->count; i++)
		page_ink(page, ink, "%s%s", i == 0 ? "" : ", ", names->at[i]);
}

static void put_places(
    const struct page *page, const struct graph *graph, const unsigned *places, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		page_ink(page, PAGE_ID, "%s%s", i == 0 ? "" : ", ", graph_at(graph, places[i])->id);
}

static void put_marks(const struct page *page, const struct page_revisions *revisions, unsigned place)
{
	const struct graph_revision *r = graph_at(revisions->graph, place);

	if (r->child_count == 0)
		page_ink(page, PAGE_HEAD, revisions->depended[place] ? " (effective head)" : " (head)");
	if (revisions->current[place])
		page_ink(page, PAGE_CURRENT, " (current)");
	if (r->child_count > 1)
		page_ink(page, PAGE_PLAIN, " (branchpoint)");
	if (r->parent_count > 1)
		page_ink(page, PAGE_PLAIN, " (mergepoint)");
}

void page_revision_line(
    const struct page *page, const struct page_revisions *revisions, unsigned place, bool message)
{
	const struct catalog_migration *m = catalog_at(revisions->catalog, place);
	const struct graph_names *labels = &revisions->labels[place];

	page_ink(page, PAGE_ID, "%s", m->revision);
	if (labels->count > 0) {
		fputs(" (", page->to);
		put_names(page, PAGE_LABEL, labels);
		fputs(")", page->to);
	}
	put_marks(page, revisions, place);
	if (message && m->message[0] != '\0') {
		fputs(", ", page->to);
		page_text(page, m->message);
	}
}

static bool is_outside(const struct catalog_section *section)
{
	return section->outside || section->alone != NULL || (section->control != NULL && !section->wrapped);
}

/* "Up: 3 statements, in a transaction, traffic held". */
static void put_section(
    const struct page *page, const char *title, const struct catalog_section *section, bool merges)
{
	fprintf(page->to, "%s: ", title);
	if (section->file == NULL && !merges) {
		page_ink(page, PAGE_FAINT, "none");
	} else if (section->statements == 0) {
		page_ink(page, PAGE_FAINT, "does nothing");
	} else {
		fprintf(
		    page->to, "%u statement%s, ", section->statements, section->statements == 1 ? "" : "s");
		if (section->outside)
			fputs("outside a transaction", page->to);
		else if (section->alone != NULL)
			fprintf(page->to, "outside a transaction (%s, line %u)", section->alone,
			    section->alone_line);
		else if (is_outside(section))
			fprintf(page->to, "with transactions of its own (%s, line %u)", section->control,
			    section->control_line);
		else
			fputs("in a transaction", page->to);
		fputs(section->flowing ? ", traffic flows" : ", traffic held", page->to);
	}
	fputs("\n", page->to);
}

static void put_sql(const struct page *page, const char *title, const struct catalog_section *section)
{
	if (section->file == NULL || section->statements == 0)
		return;
	page_ink(page, PAGE_FAINT, "    -- %s (%s:%u)", title, section->file, section->line);
	fputs("\n", page->to);
	for (unsigned i = 0; i < section->piece_count; i++) {
		const struct catalog_piece *piece = &section->pieces[i];
		const char *text = piece->text;
		size_t size = piece->size;
		while (size > 0 && (*text == '\n' || *text == '\r')) {
			text++;
			size--;
		}
		while (size > 0 && strchr(" \t\r\n", text[size - 1]) != NULL)
			size--;
		page_lines(page, text, size, 4);
	}
	fputs("\n", page->to);
}

void page_revision_entry(
    const struct page *page, const struct page_revisions *revisions, unsigned place, bool sql)
{
	const struct catalog_migration *m = catalog_at(revisions->catalog, place);
	const struct graph_revision *r = graph_at(revisions->graph, place);

	fputs("Rev: ", page->to);
	page_ink(page, PAGE_ID, "%s", m->revision);
	put_marks(page, revisions, place);
	fputs(r->parent_count > 1 ? "\nMerges: " : "\nParent: ", page->to);
	if (r->parent_count == 0)
		fputs("<base>", page->to);
	put_places(page, revisions->graph, r->parents, r->parent_count);
	if (r->depend_count > 0) {
		fputs("\nAlso depends on: ", page->to);
		put_places(page, revisions->graph, r->depends, r->depend_count);
	}
	if (r->child_count > 1) {
		fputs("\nBranches into: ", page->to);
		put_places(page, revisions->graph, r->children, r->child_count);
	}
	if (revisions->labels[place].count > 0) {
		fputs("\nBranch names: ", page->to);
		put_names(page, PAGE_LABEL, &revisions->labels[place]);
	}
	fputs("\nPath: ", page->to);
	page_text(page, m->file);
	fputs("\n", page->to);
	if (catalog_format(revisions->catalog) != CATALOG_ALEMBIC) {
		/* A merge with nothing to do has a way down without saying so. */
		bool merges = r->parent_count > 1 && m->up.statements == 0;
		put_section(page, "Up", &m->up, merges);
		put_section(page, "Down", &m->down, merges);
		if (m->compatible)
			fputs("Compatible: clients of the head before it are served after it\n", page->to);
	}
	fputs("\n    ", page->to);
	page_text(page, m->message);
	fputs("\n\n", page->to);
	if (sql) {
		put_sql(page, "up", &m->up);
		put_sql(page, "down", &m->down);
	}
}

/* ---- JSON ---- */

static void json_places(struct page_json *json, const char *key, const struct graph *graph,
    const unsigned *places, unsigned count)
{
	page_json_begin(json, key, '[');
	for (unsigned i = 0; i < count; i++)
		page_json_text(json, NULL, graph_at(graph, places[i])->id);
	page_json_end(json, ']');
}

static void json_section(struct page_json *json, const char *key, const struct catalog_section *section)
{
	if (section->file == NULL) {
		page_json_as_is(json, key, NULL);
		return;
	}
	page_json_begin(json, key, '{');
	page_json_text(json, "file", section->file);
	page_json_number(json, "line", section->line);
	page_json_number(json, "statements", section->statements);
	page_json_flag(json, "transaction", !is_outside(section));
	page_json_flag(json, "hold", !section->flowing);
	page_json_end(json, '}');
}

void page_revision_json(struct page_json *json, const struct page_revisions *revisions, unsigned place)
{
	const struct catalog_migration *m = catalog_at(revisions->catalog, place);
	const struct graph_revision *r = graph_at(revisions->graph, place);
	const struct graph_names *labels = &revisions->labels[place];

	page_json_begin(json, NULL, '{');
	page_json_text(json, "revision", m->revision);
	json_places(json, "parents", revisions->graph, r->parents, r->parent_count);
	json_places(json, "depends_on", revisions->graph, r->depends, r->depend_count);
	page_json_begin(json, "labels", '[');
	for (unsigned i = 0; i < labels->count; i++)
		page_json_text(json, NULL, labels->at[i]);
	page_json_end(json, ']');
	page_json_flag(json, "head", r->child_count == 0);
	page_json_flag(json, "current", revisions->current[place]);
	page_json_flag(json, "branchpoint", r->child_count > 1);
	page_json_flag(json, "mergepoint", r->parent_count > 1);
	page_json_flag(json, "compatible", m->compatible);
	page_json_text(json, "message", m->message);
	page_json_text(json, "file", m->file);
	json_section(json, "up", &m->up);
	json_section(json, "down", &m->down);
	page_json_end(json, '}');
}

void page_revisions_json(
    FILE *to, const struct page_revisions *revisions, const unsigned *places, unsigned count)
{
	struct page_json json = {.to = to};

	page_json_begin(&json, NULL, '[');
	for (unsigned i = 0; i < count; i++)
		page_revision_json(&json, revisions, places[i]);
	page_json_end(&json, ']');
}

/* ---- with lanes ---- */

static void lanes_take(struct lanes *lanes, const struct graph *graph, const bool *shown, unsigned place)
{
	const struct graph_revision *r = graph_at(graph, place);
	unsigned *parents = mem_alloc(r->parent_count * sizeof(*parents)), count = 0;

	for (unsigned i = 0; i < r->parent_count; i++)
		if (shown[r->parents[i]])
			parents[count++] = r->parents[i];
	lanes_next(lanes, place, parents, count);
	mem_free(&parents);
}

/* Tried beforehand: would there be room? */
static bool lanes_fit(const struct graph *graph, const bool *shown, const unsigned *places, unsigned count)
{
	struct lanes *lanes = lanes_new();
	bool fit = true;

	for (unsigned i = count; fit && i-- > 0;) {
		lanes_take(lanes, graph, shown, places[i]);
		fit = lanes_count(lanes) <= LANES;
	}
	lanes_free(&lanes);
	return fit;
}

/* width: of the rows, behind which the text begins; 0: there are none. */
static void put_row(const struct page *page, const char *row, unsigned width, const char *text, size_t size)
{
	if (size > 0 && width > 0)
		fprintf(page->to, "%-*s ", (int)width, row);
	else
		fputs(row, page->to);
	fwrite(text, 1, size, page->to);
	fputs("\n", page->to);
}

/* A text that was gathered, line by line, behind the lanes. lanes NULL: there are none. */
static void put_behind(const struct page *page, struct lanes *lanes, const char *text, size_t size)
{
	const char *row = "", *end = text + size;
	unsigned width = lanes == NULL ? 0 : lanes_width(lanes);
	bool due = false, first = true;

	while (lanes != NULL && (row = lanes_before(lanes)) != NULL)
		put_row(page, row, width, "", 0);
	while (text < end) {
		const char *line = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((line == NULL ? end : line) - text);
		row = lanes == NULL ? "" : first ? lanes_own(lanes) : lanes_after(lanes, &due);
		put_row(page, row, width, text, n);
		text += n + (line != NULL);
		first = false;
	}
	while (lanes != NULL && (row = lanes_after(lanes, &due), due))
		put_row(page, row, width, "", 0);
}

void page_revisions_print(const struct page *page, const struct page_revisions *revisions,
    const unsigned *places, unsigned count, bool entries)
{
	bool *shown = mem_zalloc(graph_count(revisions->graph) * sizeof(bool));

	for (unsigned i = 0; i < count; i++)
		shown[places[i]] = true;
	struct lanes *lanes = lanes_fit(revisions->graph, shown, places, count) ? lanes_new() : NULL;
	for (unsigned i = count; i-- > 0;) {
		char *text = NULL;
		size_t size = 0;
		struct page part = {.to = open_memstream(&text, &size), .colour = page->colour};
		if (part.to == NULL)
			log_fatal("out of memory");
		if (entries)
			page_revision_entry(&part, revisions, places[i], false);
		else
			page_revision_line(&part, revisions, places[i], true);
		fclose(part.to);
		if (lanes != NULL)
			lanes_take(lanes, revisions->graph, shown, places[i]);
		put_behind(page, lanes, text, size);
		free(text);
	}
	lanes_free(&lanes);
	mem_free(&shown);
}
