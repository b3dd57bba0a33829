/* Sets of revisions, and how they stand to each other. */
#include <string.h>

#include "base/mem.h"
#include "graph_private.h"

unsigned char *graph_set(const struct graph *graph)
{
	return mem_zalloc(graph->count);
}

void graph_add_ancestors(const struct graph *graph, unsigned char *set, enum graph_edges edges)
{
	for (unsigned i = graph->count; i-- > 0;) {
		const struct graph_revision *r = &graph->at[graph->order[i]];
		if (!set[graph->order[i]])
			continue;
		for (unsigned k = 0; k < r->parent_count; k++)
			set[r->parents[k]] = 1;
		for (unsigned k = 0; edges == GRAPH_ALL_EDGES && k < r->depend_count; k++)
			set[r->depends[k]] = 1;
	}
}

void graph_add_descendants(const struct graph *graph, unsigned char *set, enum graph_edges edges)
{
	for (unsigned i = 0; i < graph->count; i++) {
		unsigned place = graph->order[i];
		const struct graph_revision *r = &graph->at[place];
		if (!set[place])
			continue;
		for (unsigned k = 0; k < r->child_count; k++)
			set[r->children[k]] = 1;
		for (unsigned k = 0; edges == GRAPH_ALL_EDGES && k < graph->dependent_counts[place]; k++)
			set[graph->dependents[place][k]] = 1;
	}
}

unsigned graph_set_count(const struct graph *graph, const unsigned char *set)
{
	unsigned count = 0;

	for (unsigned i = 0; i < graph->count; i++)
		count += set[i];
	return count;
}

struct graph_places graph_set_places(const struct graph *graph, const unsigned char *set)
{
	struct graph_places places = {.at = mem_alloc(graph_set_count(graph, set) * sizeof(unsigned))};

	for (unsigned i = 0; i < graph->count; i++)
		if (set[graph->order[i]])
			places.at[places.count++] = graph->order[i];
	return places;
}

static bool has_above(const struct graph *graph, const unsigned char *set, unsigned place)
{
	const struct graph_revision *r = &graph->at[place];

	for (unsigned k = 0; k < r->child_count; k++)
		if (set[r->children[k]])
			return true;
	for (unsigned k = 0; k < graph->dependent_counts[place]; k++)
		if (set[graph->dependents[place][k]])
			return true;
	return false;
}

bool graph_set_heads(const struct graph *graph, const unsigned char *set, struct heads *out, char **why)
{
	const char *fault = NULL;

	*out = heads_none();
	for (unsigned i = 0; i < graph->count; i++) {
		if (!set[i] || has_above(graph, set, i))
			continue;
		if (!heads_add(out, graph->at[i].id, strlen(graph->at[i].id), &fault)) {
			heads_free(out);
			*why = mem_printf("too many heads at once: %s", fault);
			return false;
		}
	}
	return true;
}

unsigned char *graph_set_applied(const struct graph *graph, const struct heads *recorded, char **why)
{
	unsigned char *set = graph_set(graph);
	const char *s = heads_is_none(recorded) ? "" : recorded->text;

	while (*s != '\0') {
		size_t n = strcspn(s, "+");
		unsigned place;
		if (!graph_find(graph, s, n, &place)) {
			*why = mem_printf(
			    "revision %.*s is recorded, but it is not among these migrations", (int)n, s);
			mem_free(&set);
			return NULL;
		}
		set[place] = 1;
		s += n + (s[n] == '+');
	}
	graph_add_ancestors(graph, set, GRAPH_ALL_EDGES);
	return set;
}

char *graph_set_text(const struct graph *graph, const unsigned char *set)
{
	char *text = mem_strdup("");
	unsigned shown = 0, count = graph_set_count(graph, set);

	for (unsigned i = 0; i < graph->count && shown < 8; i++) {
		const struct graph_revision *r = &graph->at[i];
		if (!set[i])
			continue;
		char *more = r->file == NULL
		    ? mem_printf("%s%s%s", text, shown == 0 ? "" : ", ", r->id)
		    : mem_printf("%s%s%s (%s:%u)", text, shown == 0 ? "" : ", ", r->id, r->file, r->line);
		mem_free(&text);
		text = more;
		shown++;
	}
	if (shown < count) {
		char *more = mem_printf("%s and %u more", text, count - shown);
		mem_free(&text);
		text = more;
	}
	return text;
}

unsigned graph_set_tips(
    const struct graph *graph, const unsigned char *branch, const unsigned char *set, unsigned char *tips)
{
	unsigned count = 0;

	for (unsigned i = 0; i < graph->count; i++) {
		const struct graph_revision *r = &graph->at[i];
		bool tip = set[i] && (branch == NULL || branch[i]);
		for (unsigned k = 0; tip && k < r->child_count; k++)
			tip = !(set[r->children[k]] && (branch == NULL || branch[r->children[k]]));
		for (unsigned k = 0; tip && branch == NULL && k < graph->dependent_counts[i]; k++)
			tip = !set[graph->dependents[i][k]];
		tips[i] = tip;
		count += tip;
	}
	return count;
}

static struct graph_places ends(const struct graph *graph, bool heads)
{
	unsigned char *set = graph_set(graph);

	for (unsigned i = 0; i < graph->count; i++)
		set[i] = (heads ? graph->at[i].child_count : graph->at[i].parent_count) == 0;
	struct graph_places places = graph_set_places(graph, set);
	mem_free(&set);
	return places;
}

struct graph_places graph_heads(const struct graph *graph)
{
	return ends(graph, true);
}

struct graph_places graph_bases(const struct graph *graph)
{
	return ends(graph, false);
}

bool graph_applied(
    const struct graph *graph, const struct heads *recorded, struct graph_places *out, char **why)
{
	unsigned char *set = graph_set_applied(graph, recorded, why);

	if (set == NULL)
		return false;
	*out = graph_set_places(graph, set);
	mem_free(&set);
	return true;
}

/* Two sets of heads as what databases at them have. */
struct graph_pair {
	unsigned char *declared, *recorded;
	unsigned missing;  /* of declared: recorded has them, declared has not */
	unsigned surplus;  /* the other way round */
	bool incompatible; /* one of those missing is not marked compatible */
};

static bool pair_read(const struct graph *graph, const struct heads *declared, const struct heads *recorded,
    struct graph_pair *pair)
{
	char *why = NULL;

	*pair = (struct graph_pair){.declared = graph_set_applied(graph, declared, &why)};
	if (pair->declared != NULL)
		pair->recorded = graph_set_applied(graph, recorded, &why);
	mem_free(&why);
	if (pair->recorded == NULL) {
		mem_free(&pair->declared);
		return false;
	}
	for (unsigned i = 0; i < graph->count; i++) {
		if (pair->recorded[i] && !pair->declared[i]) {
			pair->missing++;
			pair->incompatible = pair->incompatible || !graph->at[i].compatible;
		}
		pair->surplus += pair->declared[i] && !pair->recorded[i];
	}
	mem_free(&pair->declared);
	mem_free(&pair->recorded);
	return true;
}

enum graph_relation graph_relate(
    const struct graph *graph, const struct heads *declared, const struct heads *recorded)
{
	struct graph_pair pair;

	if (heads_equal(declared, recorded))
		return GRAPH_SAME; /* even where the graph does not know them */
	if (!pair_read(graph, declared, recorded, &pair) || (pair.missing > 0 && pair.surplus > 0))
		return GRAPH_UNKNOWN;
	return pair.missing > 0 ? GRAPH_BEHIND : pair.surplus > 0 ? GRAPH_AHEAD : GRAPH_SAME;
}

bool graph_is_compatible(
    const struct graph *graph, const struct heads *declared, const struct heads *recorded)
{
	struct graph_pair pair;

	return heads_equal(declared, recorded) ||
	    (pair_read(graph, declared, recorded, &pair) && pair.surplus == 0 && !pair.incompatible);
}

bool graph_is_within(
    const struct graph *graph, const struct heads *declared, const struct heads *recorded, unsigned window)
{
	struct graph_pair pair;

	return heads_equal(declared, recorded) ||
	    (pair_read(graph, declared, recorded, &pair) && pair.surplus == 0 && pair.missing <= window);
}

/* The set without one of its heads, as heads. */
static bool heads_below(const struct graph *graph, unsigned char *set, unsigned place, struct heads *out)
{
	char *why = NULL;

	set[place] = 0;
	bool told = graph_set_heads(graph, set, out, &why);
	set[place] = 1;
	mem_free(&why);
	return told;
}

unsigned graph_accepted(const struct graph *graph, const struct heads *recorded, int window,
    struct heads *out, unsigned room, bool *more)
{
	unsigned count = 0, *depths = mem_alloc(room * sizeof(*depths));

	*more = false;
	if (room > 0) {
		out[count] = heads_copy(recorded);
		depths[count++] = 0;
	}
	/* Each accepted set is looked at once for what lies one step below it; the list is the queue. */
	for (unsigned i = 0; i < count; i++) {
		char *why = NULL;
		unsigned char *set = graph_set_applied(graph, &out[i], &why);
		mem_free(&why);
		if (set == NULL || (window >= 0 && depths[i] == (unsigned)window)) {
			mem_free(&set);
			continue;
		}
		for (unsigned place = 0; place < graph->count; place++) {
			struct heads below = heads_none();
			if (!set[place] || has_above(graph, set, place) ||
			    (window < 0 && !graph->at[place].compatible) ||
			    !heads_below(graph, set, place, &below))
				continue;
			/* At base no head is left: no client declares that. */
			bool known = heads_is_none(&below);
			for (unsigned k = 0; k < count && !known; k++)
				known = heads_equal(&out[k], &below);
			if (!known && count < room) {
				out[count] = below;
				depths[count++] = depths[i] + 1;
				continue;
			}
			*more = *more || !known;
			heads_free(&below);
		}
		mem_free(&set);
	}
	mem_free(&depths);
	return count;
}
