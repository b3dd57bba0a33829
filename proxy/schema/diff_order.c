/* The actions and their order. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "describe_private.h"
#include "diff_private.h"

/* ---- actions and what must be done before them ---- */

static unsigned add_action(struct diff_plan *plan, unsigned part, bool drop)
{
	unsigned at = plan->action_count++;
	plan->actions[at] = (struct action){.part = part, .drop = drop, .root = at, .next = NOWHERE};
	return at;
}

static void before(struct diff_plan *plan, unsigned first, unsigned then)
{
	if (first == NOWHERE || then == NOWHERE || first == then)
		return;
	struct action *action = &plan->actions[then];
	if (action->before_count == action->before_room) {
		action->before_room = action->before_room > 0 ? 2 * action->before_room : 4;
		action->before = mem_realloc(action->before, action->before_room * sizeof(unsigned));
	}
	action->before[action->before_count++] = first;
}

static void drops_in_turn(
    struct diff_plan *plan, const struct described *object, const struct described *need, void *arg)
{
	(void)arg;
	const struct part *part = diff_plan_part(plan, object, false),
			  *on = diff_plan_part(plan, need, false);
	before(plan, part->drop, on->drop);
	if (on->drop == NOWHERE)
		before(plan, part->drop, on->make);
	if (part->drop == NOWHERE)
		before(plan, part->make, on->drop); /* it lets go of it */
}

static void makes_in_turn(
    struct diff_plan *plan, const struct described *object, const struct described *need, void *arg)
{
	(void)arg;
	before(plan, diff_plan_part(plan, need, true)->make, diff_plan_part(plan, object, true)->make);
}

/* Names that cannot be there twice, of objects of whatever kind: "r public.orders". */
static char *taken_name(const struct described *object)
{
	switch (object->kind) {
	case DESCRIBE_TABLE:
	case DESCRIBE_SEQUENCE:
	case DESCRIBE_INDEX:
	case DESCRIBE_VIEW:
	case DESCRIBE_MATVIEW:
	case DESCRIBE_COMPOSITE:
	case DESCRIBE_ENUM:
	case DESCRIBE_DOMAIN:
	case DESCRIBE_RANGE:
		return mem_printf("relation or type %s", object->name);
	case DESCRIBE_CONSTRAINT: {
		const char *index = described_value(object, ".index");
		return index != NULL ? mem_printf("relation or type %s", index) : NULL;
	}
	case DESCRIBE_FUNCTION:
	case DESCRIBE_PROCEDURE:
	case DESCRIBE_AGGREGATE:
		return mem_printf("routine %s", object->name);
	default:
		return NULL;
	}
}

struct taken {
	char *name;
	unsigned action;
};

static int compare_taken(const void *a, const void *b)
{
	return strcmp(((const struct taken *)a)->name, ((const struct taken *)b)->name);
}

/* A name is free once what had it is gone. */
static void names_in_turn(struct diff_plan *plan)
{
	struct taken *drops = mem_alloc((plan->action_count + 1) * sizeof(*drops));
	unsigned count = 0;
	for (unsigned i = 0; i < plan->action_count; i++) {
		char *name =
		    plan->actions[i].drop ? taken_name(plan->parts[plan->actions[i].part].from) : NULL;
		if (name != NULL)
			drops[count++] = (struct taken){name, i};
	}
	qsort(drops, count, sizeof(*drops), compare_taken);
	for (unsigned i = 0; i < plan->action_count; i++) {
		const struct part *part = &plan->parts[plan->actions[i].part];
		bool takes = !plan->actions[i].drop && (part->fate != FATE_ALTER || part->renamed);
		struct taken key = {takes ? taken_name(part->to) : NULL, i};
		const struct taken *found =
		    key.name != NULL ? bsearch(&key, drops, count, sizeof(key), compare_taken) : NULL;
		if (found != NULL)
			before(plan, found->action, i);
		mem_free(&key.name);
	}
	for (unsigned i = 0; i < count; i++)
		mem_free(&drops[i].name);
	mem_free(&drops);
}

/* ---- written together ---- */

bool diff_plan_together(const struct diff_plan *plan, unsigned a, unsigned b)
{
	return a != NOWHERE && b != NOWHERE && plan->actions[a].root == plan->actions[b].root;
}

/* Is there a way, against time, from one group to the other over a third? Then they cannot be done at once.
 */
static bool roundabout(
    const struct diff_plan *plan, unsigned from, unsigned to, unsigned *seen, unsigned mark)
{
	unsigned room = 64, count = 0;
	unsigned *stack = mem_alloc(room * sizeof(unsigned));
	bool found = false;
	stack[count++] = from;
	seen[from] = mark;
	while (count > 0 && !found) {
		unsigned group = stack[--count];
		for (unsigned member = group; member != NOWHERE && !found;
		     member = plan->actions[member].next) {
			const struct action *action = &plan->actions[member];
			for (unsigned i = 0; i < action->before_count; i++) {
				unsigned root = plan->actions[action->before[i]].root;
				if (root == to && group != from)
					found = true;
				if (root == to || seen[root] == mark)
					continue;
				seen[root] = mark;
				if (count == room) {
					room *= 2;
					stack = mem_realloc(stack, room * sizeof(unsigned));
				}
				stack[count++] = root;
			}
		}
	}
	mem_free(&stack);
	return found;
}

struct joining {
	unsigned *seen, mark;
	unsigned *last; /* of each root's members */
};

static bool join(struct diff_plan *plan, struct joining *joining, unsigned action, unsigned with)
{
	unsigned a = plan->actions[action].root, b = plan->actions[with].root;
	if (a == b)
		return true;
	if (roundabout(plan, a, b, joining->seen, ++joining->mark) ||
	    roundabout(plan, b, a, joining->seen, ++joining->mark))
		return false;
	plan->actions[joining->last[b]].next = a;
	joining->last[b] = joining->last[a];
	for (unsigned member = a; member != NOWHERE; member = plan->actions[member].next)
		plan->actions[member].root = b;
	return true;
}

/* What CREATE TABLE can say of its parts. A check or key that is not validated cannot stand in it. */
static bool said_in_table(const struct described *object)
{
	switch (object->kind) {
	case DESCRIBE_COLUMN:
		return described_value(object, ".inherited") == NULL;
	case DESCRIBE_DEFAULT:
		return described_value(object, ".inherited") == NULL;
	case DESCRIBE_ATTRIBUTE:
		return true;
	case DESCRIBE_DOMAIN_CONSTRAINT:
	case DESCRIBE_CONSTRAINT:
		return strstr(described_value(object, "definition"), " NOT VALID") == NULL;
	default:
		return false;
	}
}

/* Together with their whole: in creating what CREATE can say, in dropping everything. */
static void join_parts(struct diff_plan *plan, struct joining *joining, enum describe_kind kind)
{
	for (unsigned i = 0; i < plan->part_count; i++) {
		const struct part *part = &plan->parts[i];
		if (diff_either(part)->kind != kind)
			continue;
		const struct part *whole =
		    part->drop != NOWHERE ? diff_plan_part(plan, part->from->parent, false) : NULL;
		if (whole != NULL && whole->drop != NOWHERE)
			join(plan, joining, part->drop, whole->drop);
		whole = part->make != NOWHERE && part->fate != FATE_ALTER
		    ? diff_plan_part(plan, part->to->parent, true)
		    : NULL;
		if (whole != NULL && whole->make != NOWHERE && whole->fate != FATE_ALTER &&
		    said_in_table(part->to) &&
		    (kind != DESCRIBE_CONSTRAINT || whole->to->kind == DESCRIBE_TABLE))
			join(plan, joining, part->make, whole->make);
	}
}

/* A sequence and default that serial brings along. */
static void join_serials(struct diff_plan *plan, struct joining *joining)
{
	for (unsigned i = 0; i < plan->part_count; i++) {
		const struct part *part = &plan->parts[i];
		const struct described *sequence = NULL;
		if (part->make == NOWHERE || part->to->kind != DESCRIBE_COLUMN || part->fate == FATE_ALTER ||
		    diff_serial(plan, part->to, &sequence) == NULL)
			continue;
		const struct described *value =
		    description_find(plan->to, DESCRIBE_DEFAULT, part->to->identity);
		unsigned sequence_make = diff_plan_part(plan, sequence, true)->make;
		unsigned default_make = diff_plan_part(plan, value, true)->make;
		if (join(plan, joining, sequence_make, part->make))
			join(plan, joining, default_make, part->make);
	}
}

void diff_actions(struct diff_plan *plan)
{
	plan->actions = mem_alloc((2 * (size_t)plan->part_count + 1) * sizeof(*plan->actions));
	for (unsigned i = 0; i < plan->part_count; i++) {
		struct part *part = &plan->parts[i];
		if (part->muted)
			continue;
		if (part->fate == FATE_DROP || part->fate == FATE_REPLACE)
			part->drop = add_action(plan, i, true);
		if ((part->fate == FATE_CREATE || part->fate == FATE_ALTER || part->fate == FATE_REPLACE) &&
		    !part->left)
			part->make = add_action(plan, i, false);
	}
	for (unsigned i = 0; i < description_count(plan->from); i++)
		diff_plan_needs(plan, description_at(plan->from, i), false, drops_in_turn, NULL);
	for (unsigned i = 0; i < description_count(plan->to); i++)
		diff_plan_needs(plan, description_at(plan->to, i), true, makes_in_turn, NULL);
	for (unsigned i = 0; i < plan->part_count; i++)
		before(plan, plan->parts[i].drop, plan->parts[i].make);
	names_in_turn(plan);

	static const enum describe_kind in_order[] = {DESCRIBE_COLUMN, DESCRIBE_ATTRIBUTE, DESCRIBE_SEQUENCE,
	    DESCRIBE_DEFAULT, DESCRIBE_DOMAIN_CONSTRAINT, DESCRIBE_CONSTRAINT, DESCRIBE_INDEX,
	    DESCRIBE_STATISTICS, DESCRIBE_TRIGGER, DESCRIBE_RULE, DESCRIBE_POLICY, DESCRIBE_GRANT,
	    DESCRIBE_COMMENT};
	struct joining joining = {.seen = mem_zalloc((plan->action_count + 1) * sizeof(unsigned)),
	    .last = mem_alloc((plan->action_count + 1) * sizeof(unsigned))};
	for (unsigned i = 0; i < plan->action_count; i++)
		joining.last[i] = i;
	join_serials(plan, &joining);
	for (size_t i = 0; i < sizeof(in_order) / sizeof(in_order[0]); i++)
		join_parts(plan, &joining, in_order[i]);
	mem_free(&joining.seen);
	mem_free(&joining.last);
}

/* ---- order ---- */

/* Of all that could be done next, what a reader expects next: drops, from what is built on others down to
 * them; then what is new, table by table. */
static const struct described *topmost(const struct described *object)
{
	while (object->parent != NULL)
		object = object->parent;
	return object;
}

static int phase(const struct diff_plan *plan, const struct action *action)
{
	const struct part *part = &plan->parts[action->part];
	bool privileges = diff_either(part)->kind == DESCRIBE_DEFAULT_PRIVILEGES;
	if (privileges)
		return part->fate == FATE_CREATE ? 3
						 : 0; /* new tables get what is to be given, and no more */
	return action->drop ? 1 : 2;
}

static int compare_actions(const struct diff_plan *plan, unsigned x, unsigned y)
{
	const struct action *a = &plan->actions[x], *b = &plan->actions[y];
	int order = phase(plan, a) - phase(plan, b);
	if (order != 0)
		return order;
	const struct described *p = a->drop ? plan->parts[a->part].from : plan->parts[a->part].to;
	const struct described *q = b->drop ? plan->parts[b->part].from : plan->parts[b->part].to;
	if (a->drop) {
		order = (int)q->kind - (int)p->kind;
	} else {
		const struct described *s = topmost(p), *t = topmost(q);
		order = (int)s->kind - (int)t->kind;
		if (order == 0)
			order = strcmp(s->identity, t->identity);
		if (order == 0)
			order = (int)p->kind - (int)q->kind;
		/* Columns come as they stand in the table that is wanted. */
		if (order == 0 && p->kind == DESCRIBE_COLUMN)
			order = diff_position(p) - diff_position(q);
	}
	return order != 0 ? order : strcmp(p->identity, q->identity);
}

struct heap {
	const struct diff_plan *plan;
	unsigned *at, count;
};

static void heap_put(struct heap *heap, unsigned action)
{
	unsigned i = heap->count++;
	for (; i > 0 && compare_actions(heap->plan, action, heap->at[(i - 1) / 2]) < 0; i = (i - 1) / 2)
		heap->at[i] = heap->at[(i - 1) / 2];
	heap->at[i] = action;
}

static unsigned heap_take(struct heap *heap)
{
	unsigned first = heap->at[0], moved = heap->at[--heap->count], i = 0;
	while (2 * i + 1 < heap->count) {
		unsigned child = 2 * i + 1;
		if (child + 1 < heap->count &&
		    compare_actions(heap->plan, heap->at[child + 1], heap->at[child]) < 0)
			child++;
		if (compare_actions(heap->plan, moved, heap->at[child]) <= 0)
			break;
		heap->at[i] = heap->at[child];
		i = child;
	}
	heap->at[i] = moved;
	return first;
}

/* Who waits for whom, by root: lists. */
struct waiters {
	unsigned *first, *next, *root;
	unsigned *waits; /* for how many */
};

static struct waiters find_waiters(const struct diff_plan *plan)
{
	unsigned n = plan->action_count, edges = 0, count = 0;
	for (unsigned i = 0; i < n; i++)
		edges += plan->actions[i].before_count;
	struct waiters w = {.first = mem_alloc((n + 1) * sizeof(unsigned)),
	    .next = mem_alloc((edges + 1) * sizeof(unsigned)),
	    .root = mem_alloc((edges + 1) * sizeof(unsigned)),
	    .waits = mem_zalloc((n + 1) * sizeof(unsigned))};
	for (unsigned i = 0; i < n; i++)
		w.first[i] = NOWHERE;
	for (unsigned i = 0; i < n; i++) {
		unsigned root = plan->actions[i].root;
		for (unsigned k = 0; k < plan->actions[i].before_count; k++) {
			unsigned first = plan->actions[plan->actions[i].before[k]].root;
			if (first == root)
				continue;
			w.root[count] = root;
			w.next[count] = w.first[first];
			w.first[first] = count++;
			w.waits[root]++;
		}
	}
	return w;
}

unsigned *diff_order(struct diff_plan *plan, unsigned *count)
{
	unsigned n = plan->action_count, roots = 0;
	unsigned *order = mem_alloc((n + 1) * sizeof(unsigned));
	bool *done = mem_zalloc(n + 1);
	struct waiters w = find_waiters(plan);
	struct heap heap = {.plan = plan, .at = mem_alloc((n + 1) * sizeof(unsigned))};
	*count = 0;
	for (unsigned i = 0; i < n; i++) {
		roots += plan->actions[i].root == i;
		if (plan->actions[i].root == i && w.waits[i] == 0)
			heap_put(&heap, i);
	}
	while (*count < roots) {
		/* Things that need each other in a circle cannot be told by pg_depend to be made at all;
		 * should it be so, the first that is left goes first, and PostgreSQL will say. */
		for (unsigned i = 0; heap.count == 0 && i < n; i++)
			if (plan->actions[i].root == i && !done[i])
				heap_put(&heap, i);
		unsigned root = heap_take(&heap);
		if (done[root])
			continue;
		done[root] = true;
		order[(*count)++] = root;
		for (unsigned i = w.first[root]; i != NOWHERE; i = w.next[i])
			if (--w.waits[w.root[i]] == 0 && !done[w.root[i]])
				heap_put(&heap, w.root[i]);
	}
	mem_free(&heap.at);
	mem_free(&w.first);
	mem_free(&w.next);
	mem_free(&w.root);
	mem_free(&w.waits);
	mem_free(&done);
	return order;
}
