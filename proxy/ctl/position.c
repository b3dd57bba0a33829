#include "position.h"

#include <string.h>

#include "base/mem.h"

static bool is_whole(const struct migrate_ledger *ledger)
{
	switch (ledger->recorded.state) {
	case RECORDED_CLEAN:
	case RECORDED_EMPTY:
	case RECORDED_ABSENT:
		return ledger->unresolved == NULL;
	case RECORDED_RUNNING:
	case RECORDED_FAILED:
	case RECORDED_UNREADABLE:
		return false;
	}
	return false;
}

static void take_heads(const struct migrate *m, struct position *p, struct heads *known)
{
	const struct heads *recorded = &m->ledger.recorded.heads;
	const char *s = heads_is_none(recorded) ? "" : recorded->text, *fault = NULL;

	while (*s != '\0') {
		size_t n = strcspn(s, "+");
		unsigned place;
		if (!graph_find(m->graph, s, n, &place) || !heads_add(known, s, n, &fault)) {
			p->unknown = mem_realloc(p->unknown, (p->unknown_count + 1) * sizeof(*p->unknown));
			p->unknown[p->unknown_count++] = mem_strndup(s, n);
		}
		s += n + (s[n] == '+');
	}
}

static void find_tips(const struct graph *graph, struct position *p)
{
	p->tips = mem_alloc(p->applied_count * sizeof(*p->tips));
	for (unsigned i = 0; i < graph_count(graph); i++) {
		const struct graph_revision *r = graph_at(graph, i);
		bool tip = p->applied[i];
		for (unsigned k = 0; tip && k < r->child_count; k++)
			tip = !p->applied[r->children[k]];
		if (tip)
			p->tips[p->tip_count++] = i;
	}
}

/* The places come in the order of an upgrade when all heads are asked for. */
static void find_pending(const struct graph *graph, struct position *p)
{
	struct heads nothing = heads_none();
	struct graph_places all = {.count = 0};
	char *why = NULL;

	p->pending = mem_alloc(graph_count(graph) * sizeof(*p->pending));
	if (!graph_between(graph, &nothing, ":", &all, &why))
		mem_free(&why); /* from base to all heads there is always a way */
	for (unsigned i = 0; i < all.count; i++)
		if (!p->applied[all.at[i]])
			p->pending[p->pending_count++] = all.at[i];
	graph_places_free(&all);
}

void position_find(const struct migrate *m, struct position *out)
{
	struct heads known = heads_none();
	struct graph_places places = {.count = 0};
	char *why = NULL;

	*out = (struct position){.whole = is_whole(&m->ledger)};
	out->applied = mem_zalloc(graph_count(m->graph) * sizeof(bool));
	take_heads(m, out, &known);
	if (!graph_applied(m->graph, &known, &places, &why))
		mem_free(&why); /* it knows them all */
	for (unsigned i = 0; i < places.count; i++)
		out->applied[places.at[i]] = true;
	out->applied_count = places.count;
	find_tips(m->graph, out);
	find_pending(m->graph, out);
	graph_places_free(&places);
	heads_free(&known);
}

bool position_is_head(const struct position *p)
{
	return p->whole && p->pending_count == 0 && p->unknown_count == 0;
}

void position_free(struct position *p)
{
	for (unsigned i = 0; i < p->unknown_count; i++)
		mem_free(&p->unknown[i]);
	mem_free(&p->unknown);
	mem_free(&p->applied);
	mem_free(&p->pending);
	mem_free(&p->tips);
	*p = (struct position){.applied = NULL};
}
