/* Types: enums, domains, composite types, ranges. */
#include <string.h>

#include "base/mem.h"
#include "diff_private.h"

static void drop_type(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(
	    script, "DROP %s %s", part->from->kind == DESCRIBE_DOMAIN ? "DOMAIN" : "TYPE", part->from->name);
}

/* ---- enums ---- */

static void create_enum(struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *type = plan->parts[action->part].to;
	const char *values = described_value(type, "values");
	diff_say(script, "CREATE TYPE %s AS ENUM (%s)", type->name, values != NULL ? values : "");
}

/* Would a statement of this script use the value? Then not in the transaction that adds it. */
static bool is_used(const struct diff_plan *plan, const struct diff_item *value)
{
	for (unsigned i = 0; i < plan->part_count; i++) {
		const struct part *part = &plan->parts[i];
		if (part->make == NOWHERE)
			continue;
		switch (part->to->kind) {
		case DESCRIBE_ENUM:
		case DESCRIBE_COMMENT:
			continue;
		case DESCRIBE_FUNCTION:
		case DESCRIBE_PROCEDURE:
			if (described_value(part->to, ".parsed") == NULL)
				continue;
			break;
		default:
			break;
		}
		const char *const *names = describe_attributes(part->to->kind);
		for (unsigned k = 0; names[k] != NULL; k++) {
			const char *text = part->to->values[k];
			if (text != NULL && memmem(text, strlen(text), value->at, value->size) != NULL)
				return true;
		}
	}
	return false;
}

/* The old values must stand among the new ones in their order; what does not is left to a person. */
static bool is_kept_in_order(const struct diff_items *old, const struct diff_items *new)
{
	unsigned next = 0;
	for (unsigned i = 0; i < old->count; i++) {
		while (next < new->count &&
		    !(new->at[next].size ==
			old->at[i].size &&memcmp(new->at[next].at, old->at[i].at, old->at[i].size) == 0))
			next++;
		if (next++ >= new->count)
			return false;
	}
	return true;
}

static void leave_values(struct diff_script *script, const struct part *part, const struct diff_items *old,
    const struct diff_items *new)
{
	const struct diff_item *gone = NULL, *come = NULL;
	unsigned goners = 0, comers = 0;
	for (unsigned i = 0; i < old->count; i++)
		if (!diff_item_in(new, &old->at[i])) {
			gone = &old->at[i];
			goners++;
		}
	for (unsigned i = 0; i < new->count; i++)
		if (!diff_item_in(old, &new->at[i])) {
			come = &new->at[i];
			comers++;
		}
	if (goners == 0)
		diff_leave(script,
		    "the values of %s are to stand in another order, and PostgreSQL cannot move them. It "
		    "takes a new type:",
		    part->to->name);
	else
		diff_leave(script,
		    "values of %s go, and PostgreSQL cannot take them away. Should one be renamed, say so; "
		    "else it takes a "
		    "new type, and rows that have such a value must have another before:",
		    part->to->name);
	if (goners == 1 && comers == 1)
		diff_say(script, "ALTER TYPE %s RENAME VALUE %.*s TO %.*s", part->to->name, (int)gone->size,
		    gone->at, (int)come->size, come->at);
	diff_say(script, "CREATE TYPE %s_new AS ENUM (%s)", part->to->name, diff_to(part, "values"));
	diff_say(script,
	    "ALTER TABLE ... ALTER COLUMN ... DROP DEFAULT, ALTER COLUMN ... TYPE %s_new USING "
	    "...::text::%s_new",
	    part->to->name, part->to->name);
	diff_say(script, "DROP TYPE %s", part->to->name);
	diff_say(script, "ALTER TYPE %s_new RENAME TO %s", part->to->name, describe_bare(part->to->name));
	diff_left(script);
}

static void alter_enum(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	struct diff_items old = diff_items(diff_from(part, "values")),
			  new = diff_items(diff_to(part, "values"));
	if (!is_kept_in_order(&old, &new)) {
		leave_values(script, part, &old, &new);
	} else {
		for (unsigned i = 0; i < new.count; i++) {
			const struct diff_item *value = &new.at[i];
			if (diff_item_in(&old, value))
				continue;
			if (is_used(plan, value))
				script->alone = true;
			/* What stands before it is there by now. */
			const struct diff_item *anchor = i > 0 ? &new.at[i - 1]
			    : new.count > 1                    ? &new.at[1]
							       : NULL;
			bool last = true;
			for (unsigned k = i + 1; k < new.count; k++)
				last &= !diff_item_in(&old, &new.at[k]);
			if (i == 0 && old.count > 0)
				anchor = &old.at[0];
			if (anchor == NULL || (last && i > 0))
				diff_say(script, "ALTER TYPE %s ADD VALUE IF NOT EXISTS %.*s", part->to->name,
				    (int)value->size, value->at);
			else
				diff_say(script, "ALTER TYPE %s ADD VALUE IF NOT EXISTS %.*s %s %.*s",
				    part->to->name, (int)value->size, value->at, i > 0 ? "AFTER" : "BEFORE",
				    (int)anchor->size, anchor->at);
		}
	}
	diff_items_free(&old);
	diff_items_free(&new);
}

const struct diff_writer diff_enum = {create_enum, drop_type, alter_enum};

/* ---- domains ---- */

static void create_domain(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *domain = plan->parts[action->part].to;
	const char *collation = described_value(domain, "collation"),
		   *value = described_value(domain, "default");
	struct diff_phrase words = {NULL, 0, 0};
	diff_phrase_say(&words, "CREATE DOMAIN %s AS %s", domain->name, described_value(domain, "type"));
	if (collation != NULL)
		diff_phrase_say(&words, " COLLATE %s", collation);
	if (value != NULL)
		diff_phrase_say(&words, " DEFAULT %s", value);
	if (described_value(domain, "not null") != NULL)
		diff_phrase_say(&words, " NOT NULL");
	for (unsigned i = action->root; i != NOWHERE; i = plan->actions[i].next) {
		const struct described *member = plan->parts[plan->actions[i].part].to;
		if (member->kind == DESCRIBE_DOMAIN_CONSTRAINT)
			diff_phrase_say(&words, "\n    CONSTRAINT %s %s", member->name,
			    described_value(member, "definition"));
	}
	diff_say(script, "%s", words.at);
	mem_free(&words.at);
}

static void alter_domain(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	const char *name = part->to->name, *value = diff_to(part, "default");
	(void)plan;
	if (diff_changed(part, "default") && value != NULL)
		diff_say(script, "ALTER DOMAIN %s SET DEFAULT %s", name, value);
	else if (diff_changed(part, "default"))
		diff_say(script, "ALTER DOMAIN %s DROP DEFAULT", name);
	if (diff_changed(part, "not null")) {
		bool to = diff_to(part, "not null") != NULL;
		if (to)
			diff_remark(script, "Fails where a column of the domain %s is NULL.", name);
		diff_say(script, "ALTER DOMAIN %s %s NOT NULL", name, to ? "SET" : "DROP");
	}
}

const struct diff_writer diff_domain = {create_domain, drop_type, alter_domain};

static void create_domain_constraint(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *constraint = plan->parts[action->part].to;
	diff_say(script, "ALTER DOMAIN %s ADD CONSTRAINT %s %s", constraint->on, constraint->name,
	    described_value(constraint, "definition"));
}

static void drop_domain_constraint(
    struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "ALTER DOMAIN %s DROP CONSTRAINT %s", part->from->on, part->from->name);
}

static void alter_domain_constraint(
    struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "ALTER DOMAIN %s VALIDATE CONSTRAINT %s", part->to->on, part->to->name);
}

const struct diff_writer diff_domain_constraint = {
    create_domain_constraint, drop_domain_constraint, alter_domain_constraint};

/* ---- composite types ---- */

static void say_attribute(struct diff_phrase *words, const struct described *attribute)
{
	const char *collation = described_value(attribute, "collation");
	diff_phrase_say(words, "%s %s%s%s", attribute->name, described_value(attribute, "type"),
	    collation != NULL ? " COLLATE " : "", collation != NULL ? collation : "");
}

static void create_composite(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *type = plan->parts[action->part].to;
	struct diff_phrase words = {NULL, 0, 0};
	/* By position: they are few. */
	for (int last = 0, next = 0;; last = next) {
		const struct described *found = NULL;
		for (unsigned i = action->root; i != NOWHERE; i = plan->actions[i].next) {
			const struct described *member = plan->parts[plan->actions[i].part].to;
			if (member->kind == DESCRIBE_ATTRIBUTE && diff_position(member) > last &&
			    (found == NULL || diff_position(member) < diff_position(found)))
				found = member;
		}
		if (found == NULL)
			break;
		next = diff_position(found);
		diff_phrase_say(&words, "%s", words.size > 0 ? ", " : "");
		say_attribute(&words, found);
	}
	diff_say(script, "CREATE TYPE %s AS (%s)", type->name, words.size > 0 ? words.at : "");
	mem_free(&words.at);
}

const struct diff_writer diff_composite = {create_composite, drop_type, NULL};

static void create_attribute(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *attribute = plan->parts[action->part].to;
	struct diff_phrase words = {NULL, 0, 0};
	say_attribute(&words, attribute);
	diff_say(script, "ALTER TYPE %s ADD ATTRIBUTE %s", attribute->on, words.at);
	mem_free(&words.at);
}

static void drop_attribute(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_remark(script, "Data goes: the attribute %s in all columns of the type %s.", part->from->name,
	    part->from->on);
	diff_say(script, "ALTER TYPE %s DROP ATTRIBUTE %s", part->from->on, part->from->name);
}

/* PostgreSQL changes no attribute of a type that a column has. */
static bool has_columns(const struct diff_plan *plan, const struct described *type)
{
	for (unsigned i = 0; i < description_count(plan->from); i++) {
		const struct described *object = description_at(plan->from, i);
		for (unsigned k = 0; object->kind == DESCRIBE_COLUMN && k < object->need_count; k++)
			if (object->needs[k] == type)
				return true;
	}
	return false;
}

static void alter_attribute(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	const char *collation = diff_to(part, "collation");
	bool stored = has_columns(plan, part->from->parent);
	if (stored)
		diff_leave(script,
		    "%s.%s from %s to %s: columns have this type, and PostgreSQL changes no attribute then. "
		    "Change the "
		    "columns to another type and back around this:",
		    part->to->on, part->to->name, diff_from(part, "type"), diff_to(part, "type"));
	diff_say(script, "ALTER TYPE %s ALTER ATTRIBUTE %s TYPE %s%s%s", part->to->on, part->to->name,
	    diff_to(part, "type"), collation != NULL ? " COLLATE " : "", collation != NULL ? collation : "");
	if (stored)
		diff_left(script);
}

const struct diff_writer diff_attribute = {create_attribute, drop_attribute, alter_attribute};

/* ---- ranges ---- */

static void create_range(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *type = plan->parts[action->part].to;
	diff_say(script, "CREATE TYPE %s AS RANGE %s", type->name, described_value(type, "definition"));
}

const struct diff_writer diff_range = {create_range, drop_type, NULL};
