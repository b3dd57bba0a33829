#include "schema/graph.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph_private.h"

static int compare_bytes(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t shared = a_size < b_size ? a_size : b_size;
	int order = memcmp(a, b, shared);

	return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

bool graph_find(const struct graph *graph, const char *id, size_t n, unsigned *place)
{
	unsigned low = 0, high = graph->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		const char *other = graph->at[graph->by_id[middle]].id;
		int order = compare_bytes(other, strlen(other), id, n);
		if (order == 0) {
			*place = graph->by_id[middle];
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool graph_label_find(const struct graph *graph, const char *name, size_t n, unsigned *place)
{
	unsigned low = 0, high = graph->label_count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		const char *other = graph->labels[middle].name;
		int order = compare_bytes(other, strlen(other), name, n);
		if (order == 0) {
			*place = graph->labels[middle].place;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* ---- making one ---- */

static int compare_ids(const void *a, const void *b, void *arg)
{
	const struct graph *graph = arg;
	const unsigned *x = a, *y = b;
	int order = strcmp(graph->at[*x].id, graph->at[*y].id);

	return order != 0 ? order : (*x > *y) - (*x < *y);
}

static int compare_labels(const void *a, const void *b)
{
	const struct graph_label *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

static void copy_revision(struct graph_revision *to, const struct graph_source *from)
{
	const char **labels = mem_alloc(from->labels.count * sizeof(*labels));

	for (unsigned i = 0; i < from->labels.count; i++)
		labels[i] = mem_strdup(from->labels.at[i]);
	*to = (struct graph_revision){
	    .id = mem_strdup(from->id),
	    .labels = {labels, from->labels.count},
	    .compatible = from->compatible,
	    .file = from->file == NULL ? NULL : mem_strdup(from->file),
	    .line = from->line,
	};
}

/* Ids and labels are what people type as targets: nothing in them may look like another kind of target. */
static const char *name_fault(const char *name)
{
	static const char *const words[] = {"head", "heads", "base", "current", "none"};
	struct heads heads = heads_none();
	const char *why = NULL;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(name, words[i]) == 0)
			return "it is a word of its own among targets";
	if (strpbrk(name, "+:@") != NULL)
		return "+ : and @ mean something in targets";
	if (!heads_parse(name, strlen(name), &heads, &why))
		return why;
	heads_free(&heads);
	return NULL;
}

static void check_names(const struct graph *graph, struct catalog_defects *defects)
{
	for (unsigned i = 0; i < graph->count; i++) {
		const struct graph_revision *r = &graph->at[i];
		const char *why = name_fault(r->id);
		if (why != NULL)
			catalog_defect(defects, r->file, r->line, "\"%s\" is no revision: %s", r->id, why);
		for (unsigned l = 0; l < r->labels.count; l++)
			if ((why = name_fault(r->labels.at[l])) != NULL)
				catalog_defect(defects, r->file, r->line, "\"%s\" is no label: %s",
				    r->labels.at[l], why);
	}
	for (unsigned i = 1; i < graph->count; i++) {
		const struct graph_revision *a = &graph->at[graph->by_id[i - 1]],
					    *b = &graph->at[graph->by_id[i]];
		if (strcmp(a->id, b->id) == 0)
			catalog_defect(defects, b->file, b->line, "revision %s is also that of %s", b->id,
			    a->file == NULL ? "another" : a->file);
	}
	for (unsigned i = 0; i < graph->label_count; i++) {
		const struct graph_label *label = &graph->labels[i];
		const struct graph_revision *r = &graph->at[label->place];
		unsigned other;
		if (graph_find(graph, label->name, strlen(label->name), &other))
			catalog_defect(defects, r->file, r->line, "label %s is also a revision (%s)",
			    label->name, graph->at[other].file == NULL ? "" : graph->at[other].file);
		if (i > 0 && strcmp(label[-1].name, label->name) == 0)
			catalog_defect(defects, r->file, r->line, "label %s is also that of revision %s (%s)",
			    label->name, graph->at[label[-1].place].id,
			    graph->at[label[-1].place].file == NULL ? "" : graph->at[label[-1].place].file);
	}
}

static int compare_places(const void *a, const void *b)
{
	const unsigned *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Names to places, each once and not in `without`. */
static unsigned *resolve_edges(const struct graph *graph, unsigned place, const struct graph_names *names,
    bool labels, const unsigned *without, unsigned without_count, unsigned *count,
    struct catalog_defects *defects)
{
	const struct graph_revision *r = &graph->at[place];
	unsigned *at = mem_alloc(names->count * sizeof(*at));

	*count = 0;
	for (unsigned i = 0; i < names->count; i++) {
		const char *name = names->at[i];
		unsigned to = 0;
		const char *verb = labels ? "depends on" : "revises";
		if (!graph_find(graph, name, strlen(name), &to) &&
		    !(labels && graph_label_find(graph, name, strlen(name), &to))) {
			catalog_defect(defects, r->file, r->line, "revision %s %s %s, which is nowhere here",
			    r->id, verb, name);
			continue;
		}
		if (to == place) {
			catalog_defect(defects, r->file, r->line, "revision %s %s itself", r->id, verb);
			continue;
		}
		bool known = false;
		for (unsigned k = 0; k < *count; k++)
			known = known || at[k] == to;
		for (unsigned k = 0; k < without_count; k++)
			known = known || without[k] == to;
		if (!known)
			at[(*count)++] = to;
	}
	qsort(at, *count, sizeof(*at), compare_places);
	return at;
}

static void link_edges(
    struct graph *graph, const struct graph_source *sources, struct catalog_defects *defects)
{
	unsigned *child_counts = mem_zalloc(graph->count * sizeof(*child_counts));

	graph->dependents = mem_zalloc(graph->count * sizeof(*graph->dependents));
	graph->dependent_counts = mem_zalloc(graph->count * sizeof(*graph->dependent_counts));
	for (unsigned i = 0; i < graph->count; i++) {
		struct graph_revision *r = &graph->at[i];
		r->parents =
		    resolve_edges(graph, i, &sources[i].parents, false, NULL, 0, &r->parent_count, defects);
		r->depends = resolve_edges(graph, i, &sources[i].depends, true, r->parents, r->parent_count,
		    &r->depend_count, defects);
		for (unsigned k = 0; k < r->parent_count; k++)
			child_counts[r->parents[k]]++;
		for (unsigned k = 0; k < r->depend_count; k++)
			graph->dependent_counts[r->depends[k]]++;
	}
	for (unsigned i = 0; i < graph->count; i++) {
		graph->at[i].children = mem_alloc(child_counts[i] * sizeof(unsigned));
		graph->dependents[i] = mem_alloc(graph->dependent_counts[i] * sizeof(unsigned));
		graph->dependent_counts[i] = 0;
	}
	for (unsigned i = 0; i < graph->count; i++) {
		const struct graph_revision *r = &graph->at[i];
		for (unsigned k = 0; k < r->parent_count; k++) {
			struct graph_revision *parent = &graph->at[r->parents[k]];
			((unsigned *)(uintptr_t)parent->children)[parent->child_count++] = i;
		}
		for (unsigned k = 0; k < r->depend_count; k++)
			graph->dependents[r->depends[k]][graph->dependent_counts[r->depends[k]]++] = i;
	}
	mem_free(&child_counts);
}

/* One is ready when all it needs is there; of those ready, a child of the last one goes on its branch. */
struct graph_turns {
	unsigned *waiting; /* edges down that are not there yet */
	unsigned char *done;
	unsigned lowest; /* below it nothing is ready */
};

static void turn_release(struct graph_turns *turns, unsigned place)
{
	if (--turns->waiting[place] == 0 && place < turns->lowest)
		turns->lowest = place;
}

static unsigned turn_next(const struct graph *graph, struct graph_turns *turns, unsigned last)
{
	if (last < graph->count)
		for (unsigned k = 0; k < graph->at[last].child_count; k++) {
			unsigned child = graph->at[last].children[k];
			if (turns->waiting[child] == 0 && !turns->done[child])
				return child;
		}
	while (
	    turns->lowest < graph->count && (turns->waiting[turns->lowest] > 0 || turns->done[turns->lowest]))
		turns->lowest++;
	return turns->lowest;
}

/* A circle among those that never became ready: each has an edge down to another such. */
static void report_circle(
    const struct graph *graph, const unsigned char *done, struct catalog_defects *defects)
{
	unsigned place = 0, *seen = mem_zalloc(graph->count * sizeof(*seen)), n = 0;

	while (done[place])
		place++;
	while (seen[place] == 0) {
		const struct graph_revision *r = &graph->at[place];
		seen[place] = ++n;
		unsigned next = graph->count;
		for (unsigned k = 0; k < r->parent_count && next == graph->count; k++)
			if (!done[r->parents[k]])
				next = r->parents[k];
		for (unsigned k = 0; k < r->depend_count && next == graph->count; k++)
			if (!done[r->depends[k]])
				next = r->depends[k];
		place = next;
	}
	unsigned char *circle = graph_set(graph);
	for (unsigned i = 0; i < graph->count; i++)
		circle[i] = seen[i] >= seen[place];
	char *text = graph_set_text(graph, circle);
	catalog_defect(defects, graph->at[place].file, graph->at[place].line,
	    "revisions that come after one another in a circle: %s", text);
	mem_free(&text);
	mem_free(&circle);
	mem_free(&seen);
}

static void put_in_order(struct graph *graph, struct catalog_defects *defects)
{
	struct graph_turns turns = {
	    .waiting = mem_alloc(graph->count * sizeof(unsigned)), .done = graph_set(graph)};
	unsigned count = 0, last = graph->count;

	for (unsigned i = 0; i < graph->count; i++)
		turns.waiting[i] = graph->at[i].parent_count + graph->at[i].depend_count;
	graph->order = mem_alloc(graph->count * sizeof(unsigned));
	while ((last = turn_next(graph, &turns, last)) < graph->count) {
		turns.done[last] = 1;
		graph->order[count++] = last;
		for (unsigned k = 0; k < graph->at[last].child_count; k++)
			turn_release(&turns, graph->at[last].children[k]);
		for (unsigned k = 0; k < graph->dependent_counts[last]; k++)
			turn_release(&turns, graph->dependents[last][k]);
	}
	if (count < graph->count)
		report_circle(graph, turns.done, defects);
	mem_free(&turns.waiting);
	mem_free(&turns.done);
}

struct graph *graph_new(const struct graph_source *sources, unsigned count, struct catalog_defects *defects)
{
	struct graph *graph = mem_zalloc(sizeof(*graph));
	unsigned before = defects->count, labels = 0;

	graph->count = count;
	graph->at = mem_zalloc(count * sizeof(*graph->at));
	graph->by_id = mem_alloc(count * sizeof(*graph->by_id));
	for (unsigned i = 0; i < count; i++) {
		copy_revision(&graph->at[i], &sources[i]);
		graph->by_id[i] = i;
		labels += sources[i].labels.count;
	}
	qsort_r(graph->by_id, count, sizeof(*graph->by_id), compare_ids, graph);
	graph->labels = mem_alloc(labels * sizeof(*graph->labels));
	for (unsigned i = 0; i < count; i++)
		for (unsigned l = 0; l < graph->at[i].labels.count; l++)
			graph->labels[graph->label_count++] =
			    (struct graph_label){graph->at[i].labels.at[l], i};
	qsort(graph->labels, labels, sizeof(*graph->labels), compare_labels);

	check_names(graph, defects);
	link_edges(graph, sources, defects);
	/* With an edge missing or an id twice a circle would be hard to tell from its cause. */
	if (defects->count == before)
		put_in_order(graph, defects);
	if (defects->count > before)
		graph_free(&graph);
	return graph;
}

void graph_free(struct graph **place)
{
	struct graph *graph = *place;

	if (graph == NULL)
		return;
	for (unsigned i = 0; i < graph->count; i++) {
		struct graph_revision *r = &graph->at[i];
		for (unsigned l = 0; l < r->labels.count; l++)
			free((void *)(uintptr_t)r->labels.at[l]);
		mem_free(&r->labels.at);
		mem_free(&r->id);
		mem_free(&r->file);
		mem_free(&r->parents);
		mem_free(&r->depends);
		mem_free(&r->children);
		if (graph->dependents != NULL)
			mem_free(&graph->dependents[i]);
	}
	mem_free(&graph->at);
	mem_free(&graph->by_id);
	mem_free(&graph->labels);
	mem_free(&graph->order);
	mem_free(&graph->dependents);
	mem_free(&graph->dependent_counts);
	mem_free(place);
}

unsigned graph_count(const struct graph *graph)
{
	return graph->count;
}

const struct graph_revision *graph_at(const struct graph *graph, unsigned place)
{
	return &graph->at[place];
}

void graph_places_free(struct graph_places *places)
{
	mem_free(&places->at);
	places->count = 0;
}
