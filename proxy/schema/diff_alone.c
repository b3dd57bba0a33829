/* What is a part of nothing: schemas, extensions, collations, event triggers; and what is not known here. */
#include <string.h>

#include "base/mem.h"
#include "diff_private.h"

static void create_schema(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	diff_say(script, "CREATE SCHEMA %s", plan->parts[action->part].to->name);
}

static void drop_schema(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "DROP SCHEMA %s", part->from->name);
}

const struct diff_writer diff_schema = {create_schema, drop_schema, NULL};

static void create_extension(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *extension = plan->parts[action->part].to;
	diff_say(script, "CREATE EXTENSION IF NOT EXISTS %s WITH SCHEMA %s", extension->name,
	    described_value(extension, "schema"));
}

static void drop_extension(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "DROP EXTENSION %s", part->from->name);
}

static void alter_extension(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_remark(script,
	    "What uses %s follows it; should more than its schema change there, generate again.",
	    part->to->name);
	diff_say(script, "ALTER EXTENSION %s SET SCHEMA %s", part->to->name, diff_to(part, "schema"));
}

const struct diff_writer diff_extension = {create_extension, drop_extension, alter_extension};

static void create_collation(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *collation = plan->parts[action->part].to;
	diff_say(script, "CREATE COLLATION %s %s", collation->name, described_value(collation, "definition"));
}

static void drop_collation(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "DROP COLLATION %s", part->from->name);
}

const struct diff_writer diff_collation = {create_collation, drop_collation, NULL};

static void set_state(struct diff_script *script, const struct described *trigger)
{
	const char *state = described_value(trigger, "state");
	diff_say(script, "ALTER EVENT TRIGGER %s %s", trigger->name,
	    state == NULL                        ? "ENABLE"
		: strcmp(state, "disabled") == 0 ? "DISABLE"
		: strcmp(state, "replica") == 0  ? "ENABLE REPLICA"
						 : "ENABLE ALWAYS");
}

static void create_event_trigger(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *trigger = plan->parts[action->part].to;
	diff_say(script, "CREATE EVENT TRIGGER %s %s", trigger->name, described_value(trigger, "definition"));
	if (described_value(trigger, "state") != NULL)
		set_state(script, trigger);
}

static void drop_event_trigger(
    struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "DROP EVENT TRIGGER %s", part->from->name);
}

static void alter_event_trigger(
    struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	set_state(script, part->to);
}

const struct diff_writer diff_event_trigger = {create_event_trigger, drop_event_trigger, alter_event_trigger};

static void create_other(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	diff_leave(script, "create the %s, whose definition Headgate does not know.",
	    plan->parts[action->part].to->name);
	diff_left(script);
}

static void drop_other(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_leave(script, "drop the %s, whose definition Headgate does not know.", part->from->name);
	diff_left(script);
}

const struct diff_writer diff_other = {create_other, drop_other, NULL};
