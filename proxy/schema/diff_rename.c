/* Names that change. A constraint or an index that is another one in nothing but its name is renamed; where a
 * table or column may have been, a person is asked. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "describe_private.h"
#include "diff_private.h"

static bool same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool lone(const struct part *part, enum fate fate, enum describe_kind kind)
{
	return part->fate == fate && diff_either(part)->kind == kind;
}

/* ---- certain ---- */

static bool may_be_renamed(
    const struct diff_plan *plan, const struct part *dropped, const struct part *created)
{
	const struct described *a = dropped->from, *b = created->to;
	if (!same(a->on, b->on) || !described_equal(a, b))
		return false;
	if (a->kind == DESCRIBE_INDEX) {
		/* Names that are taken by something else in the meantime: then not. */
		return description_find(plan->from, DESCRIBE_INDEX, b->identity) == NULL &&
		    described_value(b, "invalid") == NULL;
	}
	return strstr(described_value(b, "definition"), " NOT VALID") == NULL;
}

static unsigned *list(const struct diff_plan *plan, enum describe_kind kind, enum fate fate, unsigned *count)
{
	unsigned *found = mem_alloc((plan->part_count + 1) * sizeof(unsigned));
	*count = 0;
	for (unsigned i = 0; i < plan->part_count; i++)
		if (lone(&plan->parts[i], fate, kind))
			found[(*count)++] = i;
	return found;
}

static void pair_renamed(struct diff_plan *plan, enum describe_kind kind)
{
	unsigned drops, creates, *dropped = list(plan, kind, FATE_DROP, &drops);
	unsigned *created = list(plan, kind, FATE_CREATE, &creates);
	for (unsigned i = 0; i < drops; i++) {
		struct part *old = &plan->parts[dropped[i]];
		for (unsigned j = 0; j < creates; j++) {
			struct part *new = &plan->parts[created[j]];
			if (new->muted || !may_be_renamed(plan, old, new))
				continue;
			old->to = new->to;
			old->renamed = true;
			old->fate = FATE_ALTER;
			plan->to_parts[describe_place(plan->to, new->to)] = dropped[i];
			/* Nothing is left of the other half. */
			*new = (struct part){.to = old->to, .drop = NOWHERE, .make = NOWHERE, .muted = true};
			break;
		}
	}
	mem_free(&dropped);
	mem_free(&created);
}

void diff_pair_renamed(struct diff_plan *plan)
{
	pair_renamed(plan, DESCRIBE_CONSTRAINT);
	pair_renamed(plan, DESCRIBE_INDEX);
}

/* ---- suspected ---- */

/* Columns of one table stand together, in the order of their names. */
static bool same_columns(const struct diff_plan *plan, const struct described *a, const struct described *b)
{
	char *old = mem_printf("%s.", a->name), *new = mem_printf("%s.", b->name);
	unsigned i = describe_first(plan->from, DESCRIBE_COLUMN, old);
	unsigned j = describe_first(plan->to, DESCRIBE_COLUMN, new);
	unsigned n = 0;
	for (;; i++, j++, n++) {
		const struct described *x =
		    i < description_count(plan->from) ? description_at(plan->from, i) : NULL;
		const struct described *y =
		    j < description_count(plan->to) ? description_at(plan->to, j) : NULL;
		x = x != NULL && x->parent == a ? x : NULL;
		y = y != NULL && y->parent == b ? y : NULL;
		if (x == NULL || y == NULL) {
			n = x == y ? n : 0;
			break;
		}
		if (strcmp(x->name, y->name) != 0 ||
		    !same(described_value(x, "type"), described_value(y, "type"))) {
			n = 0;
			break;
		}
	}
	mem_free(&old);
	mem_free(&new);
	return n > 0;
}

static bool alike(const struct diff_plan *plan, const struct described *a, const struct described *b)
{
	switch (a->kind) {
	case DESCRIBE_TABLE:
		return described_equal(a, b) && same_columns(plan, a, b);
	case DESCRIBE_COLUMN:
		return same(a->on, b->on) && same(described_value(a, "type"), described_value(b, "type")) &&
		    same(described_value(a, "generated"), described_value(b, "generated")) &&
		    same(described_value(a, ".inherited"), described_value(b, ".inherited"));
	case DESCRIBE_SEQUENCE:
		return a->parent == NULL && b->parent == NULL && described_equal(a, b);
	default:
		return false;
	}
}

/* Of two that are alike nobody can say which is meant. */
const struct part *diff_suspect(const struct diff_plan *plan, const struct part *dropped)
{
	const struct part *found = NULL;
	enum describe_kind kind = dropped->from->kind;
	for (unsigned i = 0; i < plan->part_count; i++) {
		const struct part *part = &plan->parts[i];
		if (lone(part, FATE_CREATE, kind) && alike(plan, dropped->from, part->to)) {
			if (found != NULL)
				return NULL;
			found = part;
		}
	}
	for (unsigned i = 0; found != NULL && i < plan->part_count; i++) {
		const struct part *part = &plan->parts[i];
		if (part != dropped && lone(part, FATE_DROP, kind) && alike(plan, part->from, found->to))
			return NULL;
	}
	return found;
}
