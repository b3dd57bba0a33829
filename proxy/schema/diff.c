#include "schema/diff.h"

#include <string.h>

#include "base/mem.h"
#include "diff_private.h"

static const struct diff_writer *const writers[DESCRIBE_KINDS] = {
    [DESCRIBE_SCHEMA] = &diff_schema,
    [DESCRIBE_EXTENSION] = &diff_extension,
    [DESCRIBE_COLLATION] = &diff_collation,
    [DESCRIBE_ENUM] = &diff_enum,
    [DESCRIBE_DOMAIN] = &diff_domain,
    [DESCRIBE_DOMAIN_CONSTRAINT] = &diff_domain_constraint,
    [DESCRIBE_COMPOSITE] = &diff_composite,
    [DESCRIBE_ATTRIBUTE] = &diff_attribute,
    [DESCRIBE_RANGE] = &diff_range,
    [DESCRIBE_SEQUENCE] = &diff_sequence,
    [DESCRIBE_TABLE] = &diff_table,
    [DESCRIBE_COLUMN] = &diff_column,
    [DESCRIBE_DEFAULT] = &diff_default,
    [DESCRIBE_CONSTRAINT] = &diff_constraint,
    [DESCRIBE_INDEX] = &diff_index,
    [DESCRIBE_STATISTICS] = &diff_statistics,
    [DESCRIBE_FUNCTION] = &diff_function,
    [DESCRIBE_PROCEDURE] = &diff_procedure,
    [DESCRIBE_AGGREGATE] = &diff_aggregate,
    [DESCRIBE_VIEW] = &diff_view,
    [DESCRIBE_MATVIEW] = &diff_matview,
    [DESCRIBE_RULE] = &diff_rule,
    [DESCRIBE_TRIGGER] = &diff_trigger,
    [DESCRIBE_POLICY] = &diff_policy,
    [DESCRIBE_EVENT_TRIGGER] = &diff_event_trigger,
    [DESCRIBE_OTHER] = &diff_other,
    [DESCRIBE_GRANT] = &diff_grant,
    [DESCRIBE_DEFAULT_PRIVILEGES] = &diff_default_privileges,
    [DESCRIBE_COMMENT] = &diff_comment,
};

/* What cannot be made anew or dropped, because something that holds data needs it. */
static void leave(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	char *title = described_title(part->from), *holder = described_title(part->holder);
	diff_leave(script,
	    part->fate == FATE_DROP ? "the %s should go, and the %s still needs it."
				    : "the %s changes in a way for which it must be dropped and made anew, "
				      "and the %s needs it meanwhile.",
	    title, holder);
	writers[part->from->kind]->drop(script, plan, part);
	diff_left(script);
	mem_free(&title);
	mem_free(&holder);
}

static void write_action(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct part *part = &plan->parts[action->part];
	const struct diff_writer *writer = writers[diff_either(part)->kind];
	if (part->left)
		leave(script, plan, part);
	else if (action->drop)
		writer->drop(script, plan, part);
	else if (part->fate == FATE_ALTER) {
		if (writer->alter != NULL)
			writer->alter(script, plan, part);
	} else
		writer->create(script, plan, action);
}

/* What must be around the statements. */
static char *whole(const struct diff_script *script)
{
	const char *text = script->text.at != NULL ? script->text.at : "";
	if (script->alone && script->bodies)
		return mem_printf("SET check_function_bodies = off;\n%sRESET check_function_bodies;\n", text);
	return mem_printf("%s%s", script->bodies ? "SET LOCAL check_function_bodies = off;\n" : "", text);
}

struct diff diff_make(const struct description *from, const struct description *to)
{
	struct diff_plan *plan = diff_plan_new(from, to);
	struct diff_script script = {.alone = false};
	unsigned count = 0;
	diff_actions(plan);
	unsigned *order = diff_order(plan, &count);
	for (unsigned i = 0; i < count; i++)
		write_action(&script, plan, &plan->actions[order[i]]);
	struct diff diff = {.sql = whole(&script),
	    .statements = script.statements,
	    .remarks = script.remarks,
	    .left = script.left,
	    .alone = script.alone};
	mem_free(&order);
	mem_free(&script.text.at);
	diff_plan_free(&plan);
	return diff;
}

void diff_free(struct diff *diff)
{
	mem_free(&diff->sql);
	*diff = (struct diff){.sql = NULL};
}
