/* How all heads stand to one set of heads, worked out once, so that a question costs a look-up.
 *
 * Each revision keeps which of the set's tips it has (itself or an ancestor of it): who has all of them has
 * all of the set. For what may be lacked it keeps which of some witnesses it has. Going down from the tips,
 * `lackable` is what could be missing: marked compatible, or so near the top that no more than the window
 * stands above it, and nothing above it that is not lackable itself. The first ones below that must be had,
 * and who has them has all that is further down. So the witnesses are those, and, where lackable ones are
 * counted, these too. */
#include "schema/order.h"

#include <string.h>

#include "base/mem.h"
#include "graph_private.h"

#define WORD_BITS      64
#define MOST_WITNESSES 1024 /* as wide as the widest window, 1000 */
#define MOST_WORDS     (MOST_WITNESSES / WORD_BITS)
#define MOST_LISTED    16

struct order {
	struct gate_graph graph;
	struct graph *revisions;
};

struct standing {
	struct gate_standing standing;
	const struct graph *revisions;
	unsigned char *applied; /* the set has it */
	uint16_t *tips;         /* which of the set's tips a revision has, by place */
	uint16_t all_tips;
	bool listed;         /* there are few enough witnesses; else a question looks at the whole graph */
	unsigned words;      /* of witnesses, a revision */
	uint64_t *witnesses; /* by place */
	uint64_t must[MOST_WORDS], may[MOST_WORDS];
};

_Static_assert(HEADS_COUNT <= 16, "a tip is a bit of uint16_t");

/* ---- asking ---- */

/* With more witnesses than are kept: a merge of very many branches. */
static bool covers_slowly(const struct standing *s, const struct heads *declared)
{
	char *why = NULL;
	unsigned char *has = graph_set_applied(s->revisions, declared, &why);
	unsigned lacking = 0;
	bool breaking = false;

	for (unsigned i = 0; has != NULL && i < s->revisions->count; i++) {
		if (s->applied[i] && !has[i]) {
			lacking++;
			breaking = breaking || !s->revisions->at[i].compatible;
		}
	}
	bool covers =
	    has != NULL && (s->standing.window < 0 ? !breaking : lacking <= (unsigned)s->standing.window);
	mem_free(&has);
	mem_free(&why);
	return covers;
}

static bool covers(const struct standing *s, const uint64_t *has)
{
	int lacking = 0;

	for (unsigned w = 0; w < s->words; w++) {
		if ((s->must[w] & ~has[w]) != 0)
			return false;
		lacking += __builtin_popcountll(s->may[w] & ~has[w]);
	}
	return s->standing.window < 0 || lacking <= s->standing.window;
}

static bool standing_ask(
    const struct gate_standing *standing, const struct heads *declared, struct gate_stance *out)
{
	const struct standing *s = (const struct standing *)standing;
	uint64_t has[MOST_WORDS] = {0};
	uint16_t tips = 0;
	bool within = true;

	for (const char *name = declared->text; *name != '\0';) {
		size_t n = strcspn(name, "+");
		unsigned place;
		if (!graph_find(s->revisions, name, n, &place))
			return false;
		within = within && s->applied[place];
		tips |= s->tips[place];
		for (unsigned w = 0; w < s->words; w++)
			has[w] |= s->witnesses[(size_t)place * s->words + w];
		name += n + (name[n] == '+');
	}
	bool all = tips == s->all_tips;
	*out = (struct gate_stance){
	    .relation = within ? (all ? RELATION_SAME : RELATION_BEHIND)
		: all          ? RELATION_AHEAD
			       : RELATION_UNKNOWN,
	    .within = within,
	    .covers = all || (s->listed ? covers(s, has) : covers_slowly(s, declared)),
	};
	return true;
}

/* ---- making one ---- */

/* The revisions that come right after one, by both kinds of edge. */
static unsigned above_count(const struct graph *graph, unsigned place)
{
	return graph->at[place].child_count + graph->dependent_counts[place];
}

static unsigned above_at(const struct graph *graph, unsigned place, unsigned i)
{
	unsigned children = graph->at[place].child_count;

	return i < children ? graph->at[place].children[i] : graph->dependents[place][i - children];
}

/* Is what of the set stands on this one, itself included, no more than `most`? seen: a mark a place, of those
 * that were seen on the way to `place`. */
static bool few_above(
    const struct standing *s, unsigned place, unsigned most, unsigned *seen, unsigned *queue)
{
	unsigned count = 0;

	if (most == 0)
		return false;
	queue[count++] = place;
	seen[place] = place + 1;
	for (unsigned next = 0; next < count; next++) {
		for (unsigned i = 0; i < above_count(s->revisions, queue[next]); i++) {
			unsigned above = above_at(s->revisions, queue[next], i);
			if (!s->applied[above] || seen[above] == place + 1)
				continue;
			if (count == most)
				return false;
			seen[above] = place + 1;
			queue[count++] = above;
		}
	}
	return true;
}

/* Finds the witnesses; false when there are too many. */
static bool find_witnesses(struct standing *s, unsigned *witnesses, unsigned *count)
{
	const struct graph *graph = s->revisions;
	int window = s->standing.window;
	unsigned most = window < 0 ? 0 : (unsigned)window;
	unsigned *seen = mem_zalloc(graph->count * sizeof(*seen));
	unsigned *queue = mem_alloc(((size_t)most + 1) * sizeof(*queue));
	unsigned char *lackable = graph_set(graph);
	bool fits = true;

	*count = 0;
	for (unsigned i = graph->count; i-- > 0 && fits;) {
		unsigned place = graph->order[i];
		bool next = s->applied[place];
		for (unsigned k = 0; next && k < above_count(graph, place); k++) {
			unsigned above = above_at(graph, place, k);
			next = !s->applied[above] || lackable[above];
		}
		if (!next)
			continue;
		lackable[place] =
		    window < 0 ? graph->at[place].compatible : few_above(s, place, most, seen, queue);
		if (window < 0 && lackable[place])
			continue;
		fits = *count < MOST_WITNESSES;
		if (!fits)
			break;
		uint64_t *set = lackable[place] ? s->may : s->must;
		set[*count / WORD_BITS] |= UINT64_C(1) << (*count % WORD_BITS);
		witnesses[(*count)++] = place;
	}
	mem_free(&seen);
	mem_free(&queue);
	mem_free(&lackable);
	return fits;
}

/* What a revision has of the marked ones: its own mark, and all that those it comes after have. */
static void spread(struct standing *s)
{
	const struct graph *graph = s->revisions;

	for (unsigned i = 0; i < graph->count; i++) {
		unsigned place = graph->order[i];
		const struct graph_revision *r = &graph->at[place];
		for (unsigned k = 0; k < r->parent_count + r->depend_count; k++) {
			unsigned below =
			    k < r->parent_count ? r->parents[k] : r->depends[k - r->parent_count];
			s->tips[place] |= s->tips[below];
			for (unsigned w = 0; w < s->words; w++)
				s->witnesses[(size_t)place * s->words + w] |=
				    s->witnesses[(size_t)below * s->words + w];
		}
	}
}

static void mark_tips(struct standing *s)
{
	unsigned char *tips = graph_set(s->revisions);
	unsigned bit = 0;

	(void)graph_set_tips(s->revisions, NULL, s->applied, tips);
	s->tips = mem_zalloc(s->revisions->count * sizeof(*s->tips));
	for (unsigned i = 0; i < s->revisions->count; i++) {
		if (tips[i])
			s->tips[i] = (uint16_t)(1U << bit++);
		s->all_tips |= s->tips[i];
	}
	mem_free(&tips);
}

static void mark_witnesses(struct standing *s)
{
	unsigned witnesses[MOST_WITNESSES], count;

	s->listed = find_witnesses(s, witnesses, &count);
	if (!s->listed)
		return;
	s->words = (count + WORD_BITS - 1) / WORD_BITS;
	s->witnesses = mem_zalloc((size_t)s->revisions->count * s->words * sizeof(*s->witnesses));
	for (unsigned i = 0; i < count; i++)
		s->witnesses[(size_t)witnesses[i] * s->words + i / WORD_BITS] |= UINT64_C(1)
		    << (i % WORD_BITS);
}

static void list_accepted(struct gate_standing *standing, const struct graph *revisions)
{
	struct heads sets[MOST_LISTED + 1];
	unsigned count = graph_accepted(
	    revisions, &standing->heads, standing->window, sets, MOST_LISTED + 1, &standing->more);

	/* The first is the set itself. */
	heads_free(&sets[0]);
	standing->accepted_count = count - 1;
	standing->accepted = mem_dup(sets + 1, (count - 1) * sizeof(sets[0]));
}

static void standing_free(struct gate_standing *standing)
{
	struct standing *s = (struct standing *)standing;

	for (unsigned i = 0; i < standing->accepted_count; i++)
		heads_free(&standing->accepted[i]);
	mem_free(&standing->accepted);
	heads_free(&standing->heads);
	gate_graph_unref(&standing->graph);
	mem_free(&s->applied);
	mem_free(&s->tips);
	mem_free(&s->witnesses);
	mem_free(&s);
}

static struct gate_standing *order_stand(struct gate_graph *graph, const struct heads *heads, int window)
{
	const struct graph *revisions = ((struct order *)graph)->revisions;
	char *why = NULL;
	unsigned char *applied = graph_set_applied(revisions, heads, &why);

	mem_free(&why);
	if (applied == NULL)
		return NULL;
	struct standing *s = mem_zalloc(sizeof(*s));
	s->standing = (struct gate_standing){.graph = gate_graph_ref(graph),
	    .heads = heads_copy(heads),
	    .window = window,
	    .ask = standing_ask,
	    .free = standing_free};
	atomic_init(&s->standing.references, 1);
	s->revisions = revisions;
	s->applied = applied;
	mark_tips(s);
	mark_witnesses(s);
	spread(s);
	list_accepted(&s->standing, revisions);
	return &s->standing;
}

static void order_free(struct gate_graph *graph)
{
	struct order *order = (struct order *)graph;

	graph_free(&order->revisions);
	mem_free(&order);
}

struct gate_graph *order_new(struct graph *revisions, int64_t serial)
{
	struct order *order = mem_zalloc(sizeof(*order));

	order->graph = (struct gate_graph){
	    .serial = serial, .revisions = graph_count(revisions), .stand = order_stand, .free = order_free};
	atomic_init(&order->graph.references, 1);
	order->revisions = revisions;
	return &order->graph;
}
