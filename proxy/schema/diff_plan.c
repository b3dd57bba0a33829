/* The two descriptions side by side, and what becomes of each object. */
#include <string.h>

#include "base/mem.h"
#include "describe_private.h"
#include "diff_private.h"

const struct described *diff_either(const struct part *part)
{
	return part->to != NULL ? part->to : part->from;
}

const char *diff_to(const struct part *part, const char *attribute)
{
	return part->to != NULL ? described_value(part->to, attribute) : NULL;
}

const char *diff_from(const struct part *part, const char *attribute)
{
	return part->from != NULL ? described_value(part->from, attribute) : NULL;
}

bool diff_changed(const struct part *part, const char *attribute)
{
	const char *a = diff_from(part, attribute), *b = diff_to(part, attribute);
	return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

struct part *diff_plan_part(const struct diff_plan *plan, const struct described *object, bool of_to)
{
	if (object == NULL)
		return NULL;
	unsigned place = describe_place(of_to ? plan->to : plan->from, object);
	return &plan->parts[of_to ? plan->to_parts[place] : plan->from_parts[place]];
}

/* Tables that a table has its columns from: "public.a, public.b". */
const struct described *diff_plan_inherited_from(
    const struct description *description, const struct described *object)
{
	const struct described *table = object->parent, *found = NULL;
	if ((object->kind != DESCRIBE_COLUMN && object->kind != DESCRIBE_DEFAULT) ||
	    described_value(object, ".inherited") == NULL)
		return NULL;
	while (table != NULL && table->kind != DESCRIBE_TABLE)
		table = table->parent;
	if (table == NULL)
		return NULL;
	const char *parents = described_value(table, "partition of");
	struct diff_items items = diff_items(parents != NULL ? parents : described_value(table, "inherits"));
	for (unsigned i = 0; i < items.count && found == NULL; i++) {
		char *identity = mem_printf("%.*s.%s", (int)items.at[i].size, items.at[i].at, object->name);
		found = description_find(description, DESCRIBE_COLUMN, identity);
		mem_free(&identity);
	}
	diff_items_free(&items);
	return found;
}

void diff_plan_needs(
    struct diff_plan *plan, const struct described *object, bool of_to, diff_plan_need *each, void *arg)
{
	for (unsigned i = 0; i < object->need_count; i++)
		each(plan, object, object->needs[i], arg);
	if (object->parent != NULL)
		each(plan, object, object->parent, arg);
	const struct described *inherited = diff_plan_inherited_from(of_to ? plan->to : plan->from, object);
	if (inherited == NULL)
		return;
	each(plan, object, inherited, arg);
	inherited = object->kind == DESCRIBE_DEFAULT
	    ? description_find(of_to ? plan->to : plan->from, DESCRIBE_DEFAULT, inherited->identity)
	    : NULL;
	if (inherited != NULL)
		each(plan, object, inherited, arg);
}

static void pair_up(struct diff_plan *plan)
{
	unsigned n = description_count(plan->from), m = description_count(plan->to);
	plan->parts = mem_zalloc((n + m + 1) * sizeof(*plan->parts));
	plan->from_parts = mem_alloc((n + 1) * sizeof(unsigned));
	plan->to_parts = mem_alloc((m + 1) * sizeof(unsigned));
	for (unsigned i = 0, j = 0; i < n || j < m;) {
		const struct described *a = i < n ? description_at(plan->from, i) : NULL;
		const struct described *b = j < m ? description_at(plan->to, j) : NULL;
		int order = a == NULL ? 1 : b == NULL ? -1 : (int)a->kind - (int)b->kind;
		if (order == 0)
			order = strcmp(a->identity, b->identity);
		struct part *part = &plan->parts[plan->part_count];
		*part = (struct part){.fate = order < 0 ? FATE_DROP
			: order > 0                     ? FATE_CREATE
							: FATE_KEEP,
		    .drop = NOWHERE,
		    .make = NOWHERE};
		if (order <= 0) {
			part->from = a;
			plan->from_parts[i++] = plan->part_count;
		}
		if (order >= 0) {
			part->to = b;
			plan->to_parts[j++] = plan->part_count;
		}
		plan->part_count++;
	}
}

/* ---- what has to be made anew because of others ---- */

/* Who depends on a part of the old description: lists by part. */
struct dependents {
	unsigned *first, *next, *part;
	unsigned count, room;
};

static void add_dependent(
    struct diff_plan *plan, const struct described *object, const struct described *need, void *arg)
{
	struct dependents *all = arg;
	unsigned on = (unsigned)(diff_plan_part(plan, need, false) - plan->parts);
	if (all->count == all->room) {
		all->room = all->room > 0 ? 2 * all->room : 256;
		all->next = mem_realloc(all->next, all->room * sizeof(unsigned));
		all->part = mem_realloc(all->part, all->room * sizeof(unsigned));
	}
	all->part[all->count] = (unsigned)(diff_plan_part(plan, object, false) - plan->parts);
	all->next[all->count] = all->first[on];
	all->first[on] = all->count++;
}

static struct dependents find_dependents(struct diff_plan *plan)
{
	struct dependents all = {.first = mem_alloc((plan->part_count + 1) * sizeof(unsigned))};
	for (unsigned i = 0; i < plan->part_count; i++)
		all.first[i] = NOWHERE;
	for (unsigned i = 0; i < description_count(plan->from); i++)
		diff_plan_needs(plan, description_at(plan->from, i), false, add_dependent, &all);
	return all;
}

/* Statements that give an object another definition in place also let go of what the old one needed. */
static bool lets_go(const struct part *part)
{
	if (part->fate != FATE_ALTER)
		return false;
	switch (diff_either(part)->kind) {
	case DESCRIBE_EXTENSION:
		return true; /* it moves to another schema */
	case DESCRIBE_COLUMN:
		return diff_changed(part, "type") || diff_changed(part, "collation") ||
		    diff_changed(part, "generated");
	case DESCRIBE_DEFAULT:
		return described_value(part->to, ".inherited") == NULL; /* the parent's goes down over it */
	case DESCRIBE_VIEW:
	case DESCRIBE_FUNCTION:
	case DESCRIBE_PROCEDURE:
		return true;
	default:
		return false;
	}
}

static bool must_follow(const struct diff_plan *plan, const struct part *part, const struct part *dependent)
{
	if (dependent->fate != FATE_KEEP && dependent->fate != FATE_ALTER)
		return false;
	switch (part->fate) {
	case FATE_DROP:
		return !lets_go(dependent);
	case FATE_REPLACE:
		return true;
	case FATE_ALTER:
		return diff_disturbs(plan, part, dependent);
	case FATE_KEEP:
	case FATE_CREATE:
		break;
	}
	return false;
}

/* Makes anew whatever depends on `start`, and so on; or nothing, when something among it holds data: then
 * `start` is left to a person. */
static void follow(struct diff_plan *plan, const struct dependents *all, unsigned start, unsigned *stack)
{
	unsigned count = 0, done = 0;
	struct part *holder = NULL;
	stack[count++] = start;
	while (done < count && holder == NULL) {
		const struct part *part = &plan->parts[stack[done++]];
		for (unsigned i = all->first[part - plan->parts]; i != NOWHERE; i = all->next[i]) {
			struct part *dependent = &plan->parts[all->part[i]];
			if (!must_follow(plan, part, dependent))
				continue;
			if (!diff_replaceable(dependent->from)) {
				holder = dependent;
				break;
			}
			dependent->renamed = false;
			dependent->fate = FATE_REPLACE;
			stack[count++] = all->part[i];
		}
	}
	if (holder == NULL || plan->parts[start].fate == FATE_ALTER)
		return;
	for (unsigned i = 1; i < count; i++) {
		struct part *part = &plan->parts[stack[i]];
		part->renamed = strcmp(part->from->identity, part->to->identity) != 0;
		part->fate = part->renamed                  ? FATE_ALTER
		    : described_equal(part->from, part->to) ? FATE_KEEP
							    : diff_fate(plan, part);
	}
	plan->parts[start].left = true;
	plan->parts[start].holder = holder->from;
}

static bool needs_moving(const struct diff_plan *plan, const struct described *object, bool of_to)
{
	for (unsigned i = 0; i < object->need_count; i++)
		if (object->needs[i]->kind == DESCRIBE_EXTENSION &&
		    diff_plan_part(plan, object->needs[i], of_to)->fate == FATE_ALTER)
			return true;
	return false;
}

/* An extension that moves to another schema takes along what uses it: only the names in their texts change.
 */
static void follow_extensions(struct diff_plan *plan)
{
	for (unsigned i = 0; i < plan->part_count; i++) {
		struct part *part = &plan->parts[i];
		if (part->fate == FATE_ALTER || part->fate == FATE_REPLACE)
			part->muted |=
			    needs_moving(plan, part->from, false) && needs_moving(plan, part->to, true);
	}
}

/* SET DEFAULT on a parent goes down to its children: where one has another and keeps it, it is set again. */
static void keep_over_new(
    struct diff_plan *plan, const struct described *object, const struct described *need, void *arg)
{
	struct part *part = diff_plan_part(plan, object, true);
	(void)arg;
	if (object->kind == DESCRIBE_DEFAULT && need->kind == DESCRIBE_DEFAULT && part->fate == FATE_KEEP &&
	    diff_plan_part(plan, need, true)->fate == FATE_CREATE)
		part->fate = FATE_ALTER;
}

/* What belongs to a table whose place among tables a person has to change. */
static void mute(struct diff_plan *plan)
{
	for (unsigned i = 0; i < plan->part_count; i++) {
		struct part *part = &plan->parts[i];
		for (int side = 0; side < 2; side++) {
			const struct described *whole = side ? part->to : part->from;
			for (whole = whole != NULL ? whole->parent : NULL; whole != NULL;
			     whole = whole->parent)
				if (diff_changes_parents(diff_plan_part(plan, whole, side == 1)))
					part->muted = true;
		}
	}
}

struct diff_plan *diff_plan_new(const struct description *from, const struct description *to)
{
	struct diff_plan *plan = mem_zalloc(sizeof(*plan));
	plan->from = from;
	plan->to = to;
	pair_up(plan);
	diff_pair_renamed(plan);
	for (unsigned i = 0; i < plan->part_count; i++) {
		struct part *part = &plan->parts[i];
		if (part->renamed)
			part->fate = FATE_ALTER;
		else if (part->from != NULL && part->to != NULL && !described_equal(part->from, part->to))
			part->fate = diff_fate(plan, part);
	}
	follow_extensions(plan);
	struct dependents all = find_dependents(plan);
	unsigned *stack = mem_alloc((plan->part_count + 1) * sizeof(unsigned));
	for (unsigned i = 0; i < plan->part_count; i++)
		if (!plan->parts[i].muted &&
		    (plan->parts[i].fate == FATE_DROP || plan->parts[i].fate == FATE_REPLACE ||
			plan->parts[i].fate == FATE_ALTER))
			follow(plan, &all, i, stack);
	for (unsigned i = 0; i < description_count(to); i++)
		diff_plan_needs(plan, description_at(to, i), true, keep_over_new, NULL);
	mem_free(&stack);
	mem_free(&all.first);
	mem_free(&all.next);
	mem_free(&all.part);
	mute(plan);
	return plan;
}

void diff_plan_free(struct diff_plan **plan)
{
	struct diff_plan *p = *plan;
	if (p == NULL)
		return;
	for (unsigned i = 0; i < p->action_count; i++)
		mem_free(&p->actions[i].before);
	mem_free(&p->actions);
	mem_free(&p->parts);
	mem_free(&p->from_parts);
	mem_free(&p->to_parts);
	mem_free(plan);
}
