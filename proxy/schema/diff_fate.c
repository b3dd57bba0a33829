/* How PostgreSQL lets an object be changed: in place, or only by making it anew. */
#include <stdlib.h>
#include <string.h>

#include "diff_private.h"

static bool begins_with(const char *text, const char *beginning)
{
	return text != NULL && beginning != NULL && strncmp(text, beginning, strlen(beginning)) == 0;
}

/* CREATE OR REPLACE VIEW may add columns at the end and do nothing else to them. */
static enum fate fate_of_view(const struct part *part)
{
	const char *old = diff_from(part, ".columns"), *new = diff_to(part, ".columns");
	if (!diff_changed(part, "definition"))
		return FATE_ALTER;
	if (part->to->kind == DESCRIBE_MATVIEW || old == NULL || !begins_with(new, old))
		return FATE_REPLACE;
	return new[strlen(old)] == '\0' || new[strlen(old)] == '\n' ? FATE_ALTER : FATE_REPLACE;
}

/* CREATE OR REPLACE FUNCTION keeps names, types and results, and takes no default away. */
static enum fate fate_of_routine(const struct part *part)
{
	const char *old = diff_from(part, ".defaults"), *new = diff_to(part, ".defaults");
	if (diff_changed(part, ".parameters") || diff_changed(part, ".result"))
		return FATE_REPLACE;
	return old != NULL && new != NULL &&atoi(new) < atoi(old) ? FATE_REPLACE : FATE_ALTER;
}

static enum fate fate_of_column(const struct part *part)
{
	const char *old = diff_from(part, "generated"), *new = diff_to(part, "generated");
	if (new != NULL && diff_changed(part, "generated"))
		return FATE_REPLACE;
	/* DROP EXPRESSION is for what is stored. */
	if (new == NULL && old != NULL &&strstr(old, ") STORED") == NULL)
		return FATE_REPLACE;
	return FATE_ALTER;
}

/* The definition less "NOT VALID", or less what may be deferred. */
static bool same_but_for(const char *a, const char *b, const char *ending)
{
	size_t n = strlen(b), m = strlen(ending);
	return strncmp(a, b, n) == 0 && strcmp(a + n, ending) == 0 && m > 0;
}

static size_t undeferred(const char *definition)
{
	const char *word = strstr(definition, " DEFERRABLE");
	return word != NULL ? (size_t)(word - definition) : strlen(definition);
}

static enum fate fate_of_constraint(const struct part *part)
{
	const char *old = diff_from(part, "definition"), *new = diff_to(part, "definition");
	if (!diff_changed(part, "definition") || same_but_for(old, new, " NOT VALID"))
		return FATE_ALTER;
	if (diff_to(part, ".type")[0] == 'f' && strstr(old, " NOT VALID") == NULL &&
	    strstr(new, " NOT VALID") == NULL && undeferred(old) == undeferred(new) &&
	    strncmp(old, new, undeferred(old)) == 0)
		return FATE_ALTER;
	return FATE_REPLACE;
}

enum fate diff_fate(const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	switch (part->to->kind) {
	case DESCRIBE_COLLATION:
	case DESCRIBE_RANGE:
	case DESCRIBE_AGGREGATE:
	case DESCRIBE_POLICY:
		return FATE_REPLACE;
	case DESCRIBE_DOMAIN:
		return diff_changed(part, "type") || diff_changed(part, "collation") ? FATE_REPLACE
										     : FATE_ALTER;
	case DESCRIBE_DOMAIN_CONSTRAINT:
		return same_but_for(diff_from(part, "definition"), diff_to(part, "definition"), " NOT VALID")
		    ? FATE_ALTER
		    : FATE_REPLACE;
	case DESCRIBE_COLUMN:
		return fate_of_column(part);
	case DESCRIBE_CONSTRAINT:
		return fate_of_constraint(part);
	case DESCRIBE_INDEX:
		return diff_changed(part, "unique") || diff_changed(part, "definition") ||
			diff_changed(part, "invalid")
		    ? FATE_REPLACE
		    : FATE_ALTER;
	case DESCRIBE_STATISTICS:
	case DESCRIBE_RULE:
	case DESCRIBE_TRIGGER:
	case DESCRIBE_EVENT_TRIGGER:
		return diff_changed(part, "definition") ? FATE_REPLACE : FATE_ALTER;
	case DESCRIBE_FUNCTION:
	case DESCRIBE_PROCEDURE:
		return fate_of_routine(part);
	case DESCRIBE_VIEW:
		return fate_of_view(part);
	case DESCRIBE_MATVIEW:
		return diff_changed(part, "access method") ? FATE_REPLACE : fate_of_view(part);
	case DESCRIBE_SCHEMA:
	case DESCRIBE_EXTENSION:
	case DESCRIBE_ENUM:
	case DESCRIBE_COMPOSITE:
	case DESCRIBE_ATTRIBUTE:
	case DESCRIBE_SEQUENCE:
	case DESCRIBE_TABLE:
	case DESCRIBE_DEFAULT:
	case DESCRIBE_OTHER:
	case DESCRIBE_GRANT:
	case DESCRIBE_DEFAULT_PRIVILEGES:
	case DESCRIBE_COMMENT:
	case DESCRIBE_KINDS:
		break;
	}
	return FATE_ALTER;
}

/* What holds nothing that is not in its definition. Types hold nothing themselves; the columns of a type do.
 */
bool diff_replaceable(const struct described *object)
{
	switch (object->kind) {
	case DESCRIBE_COLUMN:
		return described_value(object, "generated") != NULL;
	case DESCRIBE_SCHEMA:
	case DESCRIBE_EXTENSION:
	case DESCRIBE_SEQUENCE:
	case DESCRIBE_TABLE:
	case DESCRIBE_OTHER:
		return false;
	default:
		return true;
	}
}

bool diff_changes_parents(const struct part *table)
{
	return table->from != NULL && table->to != NULL && table->to->kind == DESCRIBE_TABLE &&
	    (diff_changed(table, "partition of") || diff_changed(table, "inherits") ||
		diff_changed(table, "partition key"));
}

/* ALTER COLUMN ... TYPE is refused while views, rules, policies, triggers and parsed functions use the
 * column; indexes and constraints are built anew by itself, but a foreign key whose two ends change one after
 * the other may have no operator in between, and a check none for the new type. */
static bool type_disturbs(
    const struct diff_plan *plan, const struct part *column, const struct part *dependent)
{
	const char *old = diff_from(column, "type"), *new = diff_to(column, "type");
	bool using;
	switch (dependent->from->kind) {
	case DESCRIBE_VIEW:
	case DESCRIBE_MATVIEW:
	case DESCRIBE_RULE:
	case DESCRIBE_POLICY:
	case DESCRIBE_TRIGGER:
	case DESCRIBE_FUNCTION:
	case DESCRIBE_PROCEDURE:
	case DESCRIBE_STATISTICS:
		return true;
	case DESCRIBE_COLUMN:
		return diff_replaceable(dependent->from);
	case DESCRIBE_CONSTRAINT:
		return strchr("cf", described_value(dependent->from, ".type")[0]) != NULL &&
		    !diff_same_family(old, new);
	case DESCRIBE_DEFAULT:
		return dependent->fate == FATE_ALTER &&
		    diff_conversion(plan, old, new, &using) != CONVERSION_LOSSY;
	default:
		return false;
	}
}

bool diff_disturbs(const struct diff_plan *plan, const struct part *changed, const struct part *dependent)
{
	switch (changed->from->kind) {
	case DESCRIBE_COLUMN:
		return (diff_changed(changed, "type") || diff_changed(changed, "collation")) &&
		    type_disturbs(plan, changed, dependent);
	case DESCRIBE_DEFAULT:
		/* SET DEFAULT on a parent goes down to its children. */
		return dependent->from->kind == DESCRIBE_DEFAULT;
	default:
		return false;
	}
}
