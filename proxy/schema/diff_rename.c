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

void diff_pair_renamed(struct diff_plan *plan)
{
	unsigned end = plan->part_count;
	for (unsigned i = 0; i < end; i++) {
		struct part *dropped = &plan->parts[i];
		enum describe_kind kind = diff_either(dropped)->kind;
		if (dropped->fate != FATE_DROP || (kind != DESCRIBE_CONSTRAINT && kind != DESCRIBE_INDEX))
			continue;
		for (unsigned j = 0; j < end; j++) {
			struct part *created = &plan->parts[j];
			if (!lone(created, FATE_CREATE, kind) || !may_be_renamed(plan, dropped, created))
				continue;
			dropped->to = created->to;
			dropped->renamed = true;
			dropped->fate = FATE_ALTER;
			plan->to_parts[describe_place(plan->to, created->to)] = i;
			/* Nothing is left of the other half. */
			*created = (struct part){.from = NULL,
			    .to = dropped->to,
			    .fate = FATE_KEEP,
			    .drop = NOWHERE,
			    .make = NOWHERE,
			    .muted = true};
			break;
		}
	}
}

/* ---- suspected ---- */

static bool same_columns(const struct diff_plan *plan, const struct described *a, const struct described *b)
{
	unsigned n = 0, matched = 0, m = 0;
	for (unsigned i = 0; i < description_count(plan->to); i++)
		m += description_at(plan->to, i)->kind == DESCRIBE_COLUMN &&
		    description_at(plan->to, i)->parent == b;
	for (unsigned i = 0; i < description_count(plan->from); i++) {
		const struct described *column = description_at(plan->from, i);
		if (column->kind != DESCRIBE_COLUMN || column->parent != a)
			continue;
		n++;
		char *identity = mem_printf("%s.%s", b->name, column->name);
		const struct described *other = description_find(plan->to, DESCRIBE_COLUMN, identity);
		matched +=
		    other != NULL && same(described_value(column, "type"), described_value(other, "type"));
		mem_free(&identity);
	}
	return n > 0 && n == m && matched == n;
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
