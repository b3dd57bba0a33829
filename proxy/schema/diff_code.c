/* Code and what runs it: functions, procedures, aggregates, views, rules, triggers, policies. */
#include <string.h>

#include "base/mem.h"
#include "diff_private.h"

/* ---- functions ---- */

/* CREATE OR REPLACE stands in what PostgreSQL gives. Bodies that are text are not checked: what they speak of
 * may come later in the script; in the database that was described they were checked. */
static void say_routine(struct diff_script *script, const struct described *routine)
{
	if (described_value(routine, ".parsed") == NULL)
		script->bodies = true;
	diff_say(script, "%s", described_value(routine, "definition"));
}

static void create_routine(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	say_routine(script, plan->parts[action->part].to);
}

static void alter_routine(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	say_routine(script, part->to);
}

static void drop_routine(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "DROP %s %s",
	    part->from->kind == DESCRIBE_PROCEDURE       ? "PROCEDURE"
		: part->from->kind == DESCRIBE_AGGREGATE ? "AGGREGATE"
							 : "FUNCTION",
	    part->from->name);
}

const struct diff_writer diff_function = {create_routine, drop_routine, alter_routine};
const struct diff_writer diff_procedure = {create_routine, drop_routine, alter_routine};

static void create_aggregate(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *aggregate = plan->parts[action->part].to;
	diff_say(script, "CREATE AGGREGATE %s %s", aggregate->name, described_value(aggregate, "definition"));
}

const struct diff_writer diff_aggregate = {create_aggregate, drop_routine, NULL};

/* ---- views ---- */

static void say_view(struct diff_script *script, const struct described *view, const char *words)
{
	const char *options = described_value(view, "options"), *method = NULL;
	if (view->kind == DESCRIBE_MATVIEW)
		method = described_value(view, "access method");
	diff_say(script, "%s %s%s%s%s%s%s AS\n%s", words, view->name, method != NULL ? " USING " : "",
	    method != NULL ? method : "", options != NULL ? " WITH (" : "", options != NULL ? options : "",
	    options != NULL ? ")" : "", described_value(view, "definition"));
}

static void create_view(struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *view = plan->parts[action->part].to;
	say_view(script, view, view->kind == DESCRIBE_MATVIEW ? "CREATE MATERIALIZED VIEW" : "CREATE VIEW");
}

static void drop_view(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "DROP %s %s", part->from->kind == DESCRIBE_MATVIEW ? "MATERIALIZED VIEW" : "VIEW",
	    part->from->name);
}

static void alter_view(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	if (diff_changed(part, "definition")) {
		say_view(script, part->to, "CREATE OR REPLACE VIEW");
		return;
	}
	char *object = mem_printf(
	    "ALTER %s %s", part->to->kind == DESCRIBE_MATVIEW ? "MATERIALIZED VIEW" : "VIEW", part->to->name);
	diff_options(script, object, diff_from(part, "options"), diff_to(part, "options"));
	mem_free(&object);
}

const struct diff_writer diff_view = {create_view, drop_view, alter_view};
const struct diff_writer diff_matview = {create_view, drop_view, alter_view};

/* ---- rules and triggers ---- */

static void set_state(struct diff_script *script, const struct described *object)
{
	const char *state = described_value(object, "state");
	diff_say(script, "ALTER TABLE %s %s %s %s", object->on,
	    state == NULL                        ? "ENABLE"
		: strcmp(state, "disabled") == 0 ? "DISABLE"
		: strcmp(state, "replica") == 0  ? "ENABLE REPLICA"
						 : "ENABLE ALWAYS",
	    object->kind == DESCRIBE_RULE ? "RULE" : "TRIGGER", object->name);
}

static void create_rule_or_trigger(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *object = plan->parts[action->part].to;
	diff_say(script, "%s", described_value(object, "definition"));
	if (described_value(object, "state") != NULL)
		set_state(script, object);
}

static void drop_rule_or_trigger(
    struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "DROP %s %s ON %s", part->from->kind == DESCRIBE_RULE ? "RULE" : "TRIGGER",
	    part->from->name, part->from->on);
}

static void alter_rule_or_trigger(
    struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	set_state(script, part->to);
}

const struct diff_writer diff_rule = {create_rule_or_trigger, drop_rule_or_trigger, alter_rule_or_trigger};
const struct diff_writer diff_trigger = {create_rule_or_trigger, drop_rule_or_trigger, alter_rule_or_trigger};

/* ---- policies ---- */

static void create_policy(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *policy = plan->parts[action->part].to;
	diff_say(script, "CREATE POLICY %s ON %s %s", policy->name, policy->on,
	    described_value(policy, "definition"));
}

static void drop_policy(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	diff_say(script, "DROP POLICY %s ON %s", part->from->name, part->from->on);
}

const struct diff_writer diff_policy = {create_policy, drop_policy, NULL};
