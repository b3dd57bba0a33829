/* Ways through the graph. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph_private.h"

/* ---- a path, from the set of what is there and the set of what changes ---- */

struct graph_tips {      /* the heads while the path is walked */
	unsigned *above; /* edges into a revision from those that are there */
	unsigned char *is;
};

static void tip_down(struct graph_tips *tips, unsigned place, bool there)
{
	tips->above[place] += there ? 1 : -1U;
	tips->is[place] = tips->above[place] == 0;
}

static void tip_change(const struct graph *graph, struct graph_tips *tips, unsigned place, bool there)
{
	const struct graph_revision *r = &graph->at[place];

	tips->is[place] = there;
	for (unsigned k = 0; k < r->parent_count; k++)
		tip_down(tips, r->parents[k], there);
	for (unsigned k = 0; k < r->depend_count; k++)
		tip_down(tips, r->depends[k], there);
}

/* Those of the last heads that are still heads, and those that the step may have made so. */
static bool step_heads(const struct graph *graph, const struct graph_tips *tips, const struct heads *before,
    unsigned place, bool down, struct heads *out, char **why)
{
	const struct graph_revision *r = &graph->at[place];
	const char *fault = NULL;
	bool fine = true;

	*out = heads_none();
	for (const char *s = heads_is_none(before) ? "" : before->text; *s != '\0' && fine;) {
		size_t n = strcspn(s, "+");
		unsigned head;
		if (graph_find(graph, s, n, &head) && tips->is[head])
			fine = heads_add(out, s, n, &fault);
		s += n + (s[n] == '+');
	}
	if (!down)
		fine = fine && heads_add(out, r->id, strlen(r->id), &fault);
	for (unsigned k = 0; down && fine && k < r->parent_count; k++)
		if (tips->is[r->parents[k]])
			fine = heads_add(
			    out, graph->at[r->parents[k]].id, strlen(graph->at[r->parents[k]].id), &fault);
	for (unsigned k = 0; down && fine && k < r->depend_count; k++)
		if (tips->is[r->depends[k]])
			fine = heads_add(
			    out, graph->at[r->depends[k]].id, strlen(graph->at[r->depends[k]].id), &fault);
	if (fine)
		return true;
	heads_free(out);
	*why = mem_printf("after revision %s there would be too many heads at once: %s", r->id, fault);
	return false;
}

static bool path_make(const struct graph *graph, const unsigned char *there, const unsigned char *change,
    bool down, struct graph_path *out, char **why)
{
	struct graph_places places = graph_set_places(graph, change);
	struct graph_tips tips = {
	    .above = mem_zalloc(graph->count * sizeof(unsigned)), .is = graph_set(graph)};
	bool fine;

	*out = (struct graph_path){.down = down, .at = mem_zalloc(places.count * sizeof(*out->at))};
	for (unsigned i = 0; i < graph->count; i++)
		if (there[graph->order[i]])
			tip_change(graph, &tips, graph->order[i], true);
	fine = graph_set_heads(graph, there, &out->from, why);
	const struct heads *before = &out->from;
	for (unsigned i = 0; i < places.count && fine; i++) {
		unsigned place = places.at[down ? places.count - 1 - i : i];
		struct graph_step *step = &out->at[out->count];
		tip_change(graph, &tips, place, !down);
		if (down)
			tips.is[place] = 0;
		step->place = place;
		fine = step_heads(graph, &tips, before, place, down, &step->after, why);
		before = &step->after;
		out->count += fine;
	}
	mem_free(&tips.above);
	mem_free(&tips.is);
	graph_places_free(&places);
	if (!fine)
		graph_path_free(out);
	return fine;
}

void graph_path_free(struct graph_path *path)
{
	for (unsigned i = 0; i < path->count; i++)
		heads_free(&path->at[i].after);
	mem_free(&path->at);
	heads_free(&path->from);
	path->count = 0;
	path->down = false;
}

/* ---- where a path starts ---- */

/* "a:b": from the heads a, whatever is recorded. *target is left at what stands behind the colon. */
static unsigned char *path_start(
    const struct graph *graph, const struct heads *recorded, const char **target, char **why)
{
	const char *colon = strchr(*target, ':');
	struct graph_places places = {.count = 0};

	if (colon == NULL)
		return graph_set_applied(graph, recorded, why);
	char *from = mem_strndup(*target, (size_t)(colon - *target));
	bool fine = from[0] == '\0' || graph_resolve(graph, recorded, from, &places, why);
	mem_free(&from);
	*target = colon + 1;
	if (!fine)
		return NULL;
	unsigned char *set = graph_set(graph);
	for (unsigned i = 0; i < places.count; i++)
		set[places.at[i]] = 1;
	graph_places_free(&places);
	graph_add_ancestors(graph, set, GRAPH_ALL_EDGES);
	return set;
}

/* ---- up ---- */

/* Adds the one revision that comes next, with what it needs. */
static bool up_one(const struct graph *graph, const unsigned char *branch, unsigned char *set, char **why)
{
	unsigned char *tips = graph_set(graph), *ready = graph_set(graph), *partly = graph_set(graph);
	unsigned ready_count = 0, partly_count = 0;
	bool begun = graph_set_tips(graph, branch, set, tips) > 0;

	for (unsigned i = 0; i < graph->count; i++) {
		const struct graph_revision *r = &graph->at[i];
		unsigned there = 0, above_tips = 0;
		if (set[i] || (branch != NULL && !branch[i]))
			continue;
		for (unsigned k = 0; k < r->parent_count; k++) {
			there += set[r->parents[k]];
			above_tips += tips[r->parents[k]];
		}
		ready[i] = begun ? above_tips > 0 && there == r->parent_count : r->parent_count == 0;
		partly[i] = begun && above_tips > 0;
		ready_count += ready[i];
		partly_count += partly[i];
	}
	mem_free(&tips);
	/* A merge whose other side is not there yet comes next only where nothing else does. */
	const unsigned char *next = ready_count > 0 ? ready : partly;
	unsigned count = ready_count > 0 ? ready_count : partly_count;
	if (count == 1)
		for (unsigned i = 0; i < graph->count; i++)
			set[i] |= next[i];
	else if (count == 0)
		*why = mem_strdup("nothing comes after that");
	else {
		char *text = graph_set_text(graph, next);
		*why =
		    mem_printf("which one comes next? There are %s: name one, or a branch (branch@+1)", text);
		mem_free(&text);
	}
	mem_free(&ready);
	mem_free(&partly);
	if (count == 1)
		graph_add_ancestors(graph, set, GRAPH_ALL_EDGES);
	return count == 1;
}

static bool up_steps(
    const struct graph *graph, const struct graph_target *target, unsigned char *set, char **why)
{
	for (int i = 0; i < target->steps; i++) {
		char *fault = NULL;
		if (up_one(graph, target->branch, set, &fault))
			continue;
		*why = mem_printf("after %d of %d steps up: %s", i, target->steps, fault);
		mem_free(&fault);
		return false;
	}
	return true;
}

static bool up_target(const struct graph *graph, const struct heads *recorded, const char *s, size_t n,
    const unsigned char *there, unsigned char *wanted, char **why)
{
	struct graph_target target;
	bool fine = true;

	if (!graph_target_read(graph, recorded, s, n, &target, why))
		return false;
	if (target.steps < 0) {
		*why = mem_printf("%.*s is no way up: that is for downgrade", (int)n, s);
		fine = false;
	} else if (target.steps > 0) {
		unsigned char *set = mem_dup(there, graph->count);
		fine = up_steps(graph, &target, set, why);
		for (unsigned i = 0; i < graph->count; i++)
			wanted[i] |= set[i];
		mem_free(&set);
	} else {
		for (unsigned i = 0; i < graph->count; i++)
			wanted[i] |= target.named[i];
	}
	graph_target_free(&target);
	return fine;
}

bool graph_upgrade(const struct graph *graph, const struct heads *recorded, const char *text,
    struct graph_path *out, char **why)
{
	const char *target = text;
	unsigned char *there = path_start(graph, recorded, &target, why);
	bool fine = there != NULL;

	if (!fine)
		return false;
	unsigned char *wanted = graph_set(graph);
	if (target[0] == '\0' && target > text)
		target = "heads"; /* "a:" */
	for (const char *s = target; fine; s++) {
		size_t n = strcspn(s, ",");
		fine = up_target(graph, recorded, s, n, there, wanted, why);
		s += n;
		if (*s == '\0')
			break;
	}
	graph_add_ancestors(graph, wanted, GRAPH_ALL_EDGES);
	for (unsigned i = 0; i < graph->count; i++)
		wanted[i] = wanted[i] && !there[i];
	fine = fine && path_make(graph, there, wanted, false, out, why);
	mem_free(&there);
	mem_free(&wanted);
	return fine;
}

/* ---- down ---- */

static bool down_steps(const struct graph *graph, const struct graph_target *target,
    const unsigned char *there, unsigned char *gone, char **why)
{
	unsigned char *rest = mem_dup(there, graph->count), *tips = graph_set(graph);
	bool fine = true;

	for (int i = 0; i < -target->steps && fine; i++) {
		unsigned count = graph_set_tips(graph, target->branch, rest, tips);
		fine = count == 1;
		if (count == 0) {
			const char *where = target->branch == NULL ? "" : " on that branch";
			*why = i == 0 ? mem_printf("nothing is applied%s: there is nothing to undo", where)
				      : mem_printf("only %d step%s down %s left%s", i, i == 1 ? "" : "s",
					    i == 1 ? "is" : "are", where);
			break;
		}
		if (!fine) {
			char *text = graph_set_text(graph, tips);
			*why = mem_printf(
			    "which one goes first? There are %s: name a revision to stay, or a branch "
			    "(branch@-1)",
			    text);
			mem_free(&text);
			break;
		}
		graph_add_descendants(graph, tips, GRAPH_ALL_EDGES);
		for (unsigned k = 0; k < graph->count; k++) {
			gone[k] |= tips[k] && there[k];
			rest[k] = rest[k] && !tips[k];
		}
	}
	mem_free(&rest);
	mem_free(&tips);
	return fine;
}

/* What goes so that `stays` is the last on its branch; base where stays is graph->count. */
static bool down_to(const struct graph *graph, const struct graph_target *target, unsigned stays,
    const unsigned char *there, unsigned char *gone, char **why)
{
	const unsigned char *branch = target->branch != NULL ? target->branch : target->from;
	unsigned count = 0;

	if (stays < graph->count && !there[stays]) {
		*why =
		    mem_printf("revision %s is not applied: there is no way down to it", graph->at[stays].id);
		return false;
	}
	for (unsigned i = 0; i < graph->count; i++) {
		const struct graph_revision *r = &graph->at[i];
		bool root = stays == graph->count && r->parent_count == 0;
		for (unsigned k = 0; stays < graph->count && k < r->parent_count; k++)
			root = root || r->parents[k] == stays;
		/* Without a branch's name all that came after a revision goes; base reached by steps is that
		 * of the branch they were made on. */
		if (branch != NULL && !branch[i] && (target->branch != NULL || stays == graph->count))
			root = false;
		gone[i] = root && there[i];
		count += gone[i];
	}
	if (count == 0 && target->from != NULL && stays == graph->count) {
		*why = mem_strdup("nothing of that branch is applied: there is no way down from it");
		return false;
	}
	graph_add_descendants(graph, gone, GRAPH_ALL_EDGES);
	return true;
}

static bool down_target(const struct graph *graph, const struct graph_target *target, const char *text,
    const unsigned char *there, unsigned char *gone, char **why)
{
	unsigned stays = graph->count, count = graph_set_count(graph, target->named);

	if (target->steps > 0) {
		*why = mem_printf("%s is no way down: that is for upgrade", text);
		return false;
	}
	if (target->steps < 0)
		return down_steps(graph, target, there, gone, why);
	if (count > 1) {
		char *names = graph_set_text(graph, target->named);
		*why = mem_printf("%s is more than one revision (%s): a way down leads to one", text, names);
		mem_free(&names);
		return false;
	}
	for (unsigned i = 0; i < graph->count; i++)
		if (target->named[i])
			stays = i;
	return down_to(graph, target, stays, there, gone, why);
}

bool graph_downgrade(const struct graph *graph, const struct heads *recorded, const char *target,
    struct graph_path *out, char **why)
{
	unsigned char *there = path_start(graph, recorded, &target, why);
	struct graph_target read;

	if (there == NULL)
		return false;
	if (!graph_target_read(graph, recorded, target, strlen(target), &read, why)) {
		mem_free(&there);
		return false;
	}
	unsigned char *gone = graph_set(graph);
	bool fine = down_target(graph, &read, target, there, gone, why);
	for (unsigned i = 0; i < graph->count; i++)
		gone[i] = gone[i] && there[i];
	fine = fine && path_make(graph, there, gone, true, out, why);
	graph_target_free(&read);
	mem_free(&there);
	mem_free(&gone);
	return fine;
}

/* ---- between ---- */

/* The one revision that an end of a range is, for counting from it; graph->count: base. */
static bool range_end(const struct graph *graph, const unsigned char *set, unsigned *place, char **why)
{
	unsigned char *tips = graph_set(graph);
	unsigned count = graph_set_tips(graph, NULL, set, tips);

	*place = graph->count;
	for (unsigned i = 0; i < graph->count; i++)
		if (tips[i])
			*place = i;
	if (count > 1) {
		char *text = graph_set_text(graph, tips);
		*why = mem_printf("a range cannot be counted from several heads: %s", text);
		mem_free(&text);
	}
	mem_free(&tips);
	return count <= 1;
}

/* Reads an end; one that is steps alone is counted from the other end. */
static bool range_read(const struct graph *graph, const struct heads *recorded, const char *text,
    const char *missing, const unsigned char *other, struct graph_target *out, char **why)
{
	unsigned place;

	if (text[0] == '\0')
		text = missing;
	if (!graph_target_read(graph, recorded, text, strlen(text), out, why))
		return false;
	if (out->steps == 0)
		return true;
	if (other == NULL) {
		*why = mem_printf("%s counts from the other end of the range, and that is not there", text);
	} else if (range_end(graph, other, &place, why) &&
	    graph_walk(graph, out->branch, &place, out->steps, why)) {
		if (place < graph->count)
			out->named[place] = 1;
		return true;
	}
	graph_target_free(out);
	return false;
}

/* What comes after the low end, by revises as Alembic has it; where that leads to no part of the high end, by
 * what depends on it too. */
static void range_above(const struct graph *graph, unsigned char *low, const unsigned char *high)
{
	unsigned char *revising = mem_dup(low, graph->count);
	bool meets = false;

	graph_add_descendants(graph, revising, GRAPH_REVISES);
	for (unsigned i = 0; i < graph->count; i++)
		meets = meets || (revising[i] && high[i]);
	if (meets)
		memcpy(low, revising, graph->count);
	else
		graph_add_descendants(graph, low, GRAPH_ALL_EDGES);
	mem_free(&revising);
}

bool graph_between(const struct graph *graph, const struct heads *recorded, const char *range,
    struct graph_places *out, char **why)
{
	const char *colon = strchr(range, ':');
	char *low = colon == NULL ? mem_strdup("") : mem_strndup(range, (size_t)(colon - range));
	const char *high = colon == NULL ? range : colon + 1;
	struct graph_target a = {.named = NULL}, b = {.named = NULL};
	bool low_first = high[0] == '+' || strstr(high, "@+") != NULL, fine;

	if (low_first)
		fine = range_read(graph, recorded, low, "base", NULL, &a, why) &&
		    range_read(graph, recorded, high, "heads", a.named, &b, why);
	else
		fine = range_read(graph, recorded, high, "heads", NULL, &b, why) &&
		    range_read(graph, recorded, low, "base", b.named, &a, why);
	if (fine) {
		bool from_base = graph_set_count(graph, a.named) == 0;
		range_above(graph, a.named, b.named);
		graph_add_ancestors(graph, b.named, GRAPH_ALL_EDGES);
		for (unsigned i = 0; i < graph->count; i++)
			b.named[i] = b.named[i] && (from_base || a.named[i]);
		*out = graph_set_places(graph, b.named);
	}
	graph_target_free(&a);
	graph_target_free(&b);
	mem_free(&low);
	return fine;
}
