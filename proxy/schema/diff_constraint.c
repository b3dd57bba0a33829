/* Constraints, indexes and extended statistics of tables. */
#include <string.h>

#include "base/mem.h"
#include "describe_private.h"
#include "diff_private.h"

/* Is that role another index's now? Then taking it has taken it from the one that had it. */
static bool has_role(const struct diff_plan *plan, const char *table, const char *role)
{
	for (unsigned i = 0; i < description_count(plan->to); i++) {
		const struct described *object = description_at(plan->to, i);
		if ((object->kind == DESCRIBE_INDEX || object->kind == DESCRIBE_CONSTRAINT) &&
		    strcmp(object->on, table) == 0 && described_value(object, role) != NULL)
			return true;
	}
	return false;
}

/* What an index is to its table, beside being there. from NULL: it is new. */
static void set_roles(struct diff_script *script, const struct diff_plan *plan, const struct described *from,
    const struct described *to, const char *index)
{
	static const char identity[] = "replica identity", clustered[] = "clustered";
	bool was = from != NULL && described_value(from, identity) != NULL;
	bool is = described_value(to, identity) != NULL;
	if (is && !was)
		diff_say(script, "ALTER TABLE %s REPLICA IDENTITY USING INDEX %s", to->on, index);
	else if (was && !is && !has_role(plan, to->on, identity)) {
		const struct described *table = description_find(plan->to, DESCRIBE_TABLE, to->on);
		const char *other = table != NULL ? described_value(table, identity) : NULL;
		diff_say(
		    script, "ALTER TABLE %s REPLICA IDENTITY %s", to->on, other != NULL ? other : "DEFAULT");
	}
	was = from != NULL && described_value(from, clustered) != NULL;
	is = described_value(to, clustered) != NULL;
	if (is && !was)
		diff_say(script, "ALTER TABLE %s CLUSTER ON %s", to->on, index);
	else if (was && !is && !has_role(plan, to->on, clustered))
		diff_say(script, "ALTER TABLE %s SET WITHOUT CLUSTER", to->on);
}

/* ---- constraints ---- */

void diff_constraint_rest(struct diff_script *script, const struct described *constraint)
{
	const char *index = described_value(constraint, ".index"),
		   *options = described_value(constraint, "options");
	if (index != NULL && options != NULL)
		diff_say(script, "ALTER INDEX %s SET (%s)", index, options);
	if (index != NULL)
		set_roles(script, NULL, NULL, constraint, describe_bare(index));
}

static void create_constraint(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *constraint = plan->parts[action->part].to;
	diff_say(script, "ALTER TABLE %s ADD CONSTRAINT %s %s", constraint->on, constraint->name,
	    described_value(constraint, "definition"));
	diff_constraint_rest(script, constraint);
}

static void drop_constraint(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "ALTER TABLE %s DROP CONSTRAINT %s", part->from->on, part->from->name);
}

static void alter_constraint(
    struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	const struct described *constraint = part->to;
	const char *index = diff_to(part, ".index"), *definition = diff_to(part, "definition");
	if (part->renamed)
		diff_say(script, "ALTER TABLE %s RENAME CONSTRAINT %s TO %s", constraint->on,
		    part->from->name, constraint->name);
	if (diff_changed(part, "definition")) {
		const char *deferrable = strstr(definition, " DEFERRABLE");
		if (strstr(diff_from(part, "definition"), " NOT VALID") != NULL)
			diff_say(script, "ALTER TABLE %s VALIDATE CONSTRAINT %s", constraint->on,
			    constraint->name);
		else
			diff_say(script, "ALTER TABLE %s ALTER CONSTRAINT %s%s", constraint->on,
			    constraint->name, deferrable != NULL ? deferrable : " NOT DEFERRABLE");
	}
	if (index != NULL && diff_changed(part, "options")) {
		char *object = mem_printf("ALTER INDEX %s", index);
		diff_options(script, object, diff_from(part, "options"), diff_to(part, "options"));
		mem_free(&object);
	}
	if (index != NULL)
		set_roles(script, plan, part->from, constraint, describe_bare(index));
}

const struct diff_writer diff_constraint = {create_constraint, drop_constraint, alter_constraint};

/* ---- indexes ---- */

static void create_index(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *index = plan->parts[action->part].to;
	diff_say(script, "CREATE %sINDEX %s ON %s %s",
	    described_value(index, "unique") != NULL ? "UNIQUE " : "", describe_bare(index->name), index->on,
	    described_value(index, "definition"));
	set_roles(script, plan, NULL, index, describe_bare(index->name));
}

static void drop_index(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "DROP INDEX %s", part->from->name);
}

static void alter_index(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	if (part->renamed)
		diff_say(
		    script, "ALTER INDEX %s RENAME TO %s", part->from->name, describe_bare(part->to->name));
	set_roles(script, plan, part->from, part->to, describe_bare(part->to->name));
}

const struct diff_writer diff_index = {create_index, drop_index, alter_index};

/* ---- statistics ---- */

static void create_statistics(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *statistics = plan->parts[action->part].to;
	const char *target = described_value(statistics, "target");
	diff_say(script, "%s", described_value(statistics, "definition"));
	if (target != NULL)
		diff_say(script, "ALTER STATISTICS %s SET STATISTICS %s", statistics->name, target);
}

static void drop_statistics(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "DROP STATISTICS %s", part->from->name);
}

static void alter_statistics(
    struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	const char *target = diff_to(part, "target");
	(void)plan;
	diff_say(
	    script, "ALTER STATISTICS %s SET STATISTICS %s", part->to->name, target != NULL ? target : "-1");
}

const struct diff_writer diff_statistics = {create_statistics, drop_statistics, alter_statistics};
