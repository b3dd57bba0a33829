/* Tables. */
#include <string.h>

#include "base/mem.h"
#include "diff_private.h"

static const char *word(const struct described *table)
{
	return described_value(table, "server") != NULL ? "FOREIGN TABLE" : "TABLE";
}

/* The columns that are written along, as they stand in the table, and its constraints: keys first. */
static void say_parts(struct diff_phrase *phrase, const struct diff_plan *plan, const struct action *table)
{
	const char *comma = "";
	const unsigned root = table->root;
	unsigned columns = 0, *sorted = mem_alloc((plan->action_count + 1) * sizeof(unsigned));
	for (unsigned i = root; i != NOWHERE; i = plan->actions[i].next) {
		const struct part *part = &plan->parts[plan->actions[i].part];
		if (part->to->kind != DESCRIBE_COLUMN)
			continue;
		unsigned at = columns++;
		int position = diff_position(part->to);
		for (; at > 0 && diff_position(plan->parts[plan->actions[sorted[at - 1]].part].to) > position;
		     at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = i;
	}
	for (unsigned i = 0; i < columns; i++) {
		diff_phrase_say(phrase, "%s\n    ", comma);
		diff_column_says(phrase, plan, sorted[i]);
		comma = ",";
	}
	mem_free(&sorted);
	for (const char *type = "puxcf"; *type != '\0'; type++) {
		for (unsigned i = root; i != NOWHERE; i = plan->actions[i].next) {
			const struct described *constraint = plan->parts[plan->actions[i].part].to;
			if (constraint->kind != DESCRIBE_CONSTRAINT ||
			    described_value(constraint, ".type")[0] != *type)
				continue;
			diff_phrase_say(phrase, "%s\n    CONSTRAINT %s %s", comma, constraint->name,
			    described_value(constraint, "definition"));
			comma = ",";
		}
	}
}

static void set_row_security(struct diff_script *script, const char *name, const char *from, const char *to)
{
	bool was = from != NULL && strstr(from, "enabled") != NULL,
	     is = to != NULL && strstr(to, "enabled") != NULL;
	bool was_forced = from != NULL && strstr(from, "forced") != NULL;
	bool is_forced = to != NULL && strstr(to, "forced") != NULL;
	if (was != is)
		diff_say(script, "ALTER TABLE %s %s ROW LEVEL SECURITY", name, is ? "ENABLE" : "DISABLE");
	if (was_forced != is_forced)
		diff_say(
		    script, "ALTER TABLE %s %s ROW LEVEL SECURITY", name, is_forced ? "FORCE" : "NO FORCE");
}

/* What CREATE TABLE cannot say. */
static void rest(struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *table = plan->parts[action->part].to;
	const char *type = described_value(table, "of type"),
		   *identity = described_value(table, "replica identity");
	set_row_security(script, table->name, NULL, described_value(table, "row security"));
	if (type != NULL)
		diff_say(script, "ALTER TABLE %s OF %s", table->name, type);
	if (identity != NULL)
		diff_say(script, "ALTER TABLE %s REPLICA IDENTITY %s", table->name, identity);
	for (unsigned i = action->root; i != NOWHERE; i = plan->actions[i].next) {
		const struct described *member = plan->parts[plan->actions[i].part].to;
		if (member->kind == DESCRIBE_COLUMN)
			diff_column_rest(script, member);
		else if (member->kind == DESCRIBE_CONSTRAINT)
			diff_constraint_rest(script, member);
	}
}

static void create(struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *table = plan->parts[action->part].to;
	const char *parent = described_value(table, "partition of"),
		   *key = described_value(table, "partition key");
	const char *inherits = described_value(table, "inherits"),
		   *method = described_value(table, "access method");
	const char *options = described_value(table, "options"), *server = described_value(table, "server");
	const char *server_options = described_value(table, "server options");
	struct diff_phrase parts = {NULL, 0, 0}, tail = {NULL, 0, 0};

	say_parts(&parts, plan, action);
	diff_phrase_say(&tail, "%s", "");
	if (parent == NULL)
		diff_phrase_say(&tail, " (%s%s)", parts.size > 0 ? parts.at : "", parts.size > 0 ? "\n" : "");
	else
		diff_phrase_say(&tail, " PARTITION OF %s%s%s%s %s", parent, parts.size > 0 ? " (" : "",
		    parts.size > 0 ? parts.at : "", parts.size > 0 ? "\n)" : "",
		    described_value(table, "partition bound"));
	if (inherits != NULL)
		diff_phrase_say(&tail, " INHERITS (%s)", inherits);
	if (key != NULL)
		diff_phrase_say(&tail, " PARTITION BY %s", key);
	if (method != NULL)
		diff_phrase_say(&tail, " USING %s", method);
	if (options != NULL)
		diff_phrase_say(&tail, " WITH (%s)", options);
	if (server != NULL)
		diff_phrase_say(&tail, " SERVER %s", server);
	if (server_options != NULL)
		diff_phrase_say(&tail, " OPTIONS (%s)", server_options);
	diff_say(script, "CREATE %s%s %s%s", described_value(table, "unlogged") != NULL ? "UNLOGGED " : "",
	    word(table), table->name, tail.at);
	rest(script, plan, action);
	mem_free(&parts.at);
	mem_free(&tail.at);
}

static void drop(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	const struct part *suspect = diff_suspect(plan, part);
	if (suspect != NULL) {
		char *schema = describe_schema(suspect->to->name), *old = describe_schema(part->from->name);
		bool moved = strcmp(schema, old) != 0;
		diff_remark(script,
		    "Is this a rename? %s goes and %s comes, with the same columns. To keep the rows, write "
		    "instead of "
		    "this DROP TABLE and of the CREATE TABLE below:\n  ALTER TABLE %s %s %s;",
		    part->from->name, suspect->to->name, part->from->name, moved ? "SET SCHEMA" : "RENAME TO",
		    moved ? schema : describe_bare(suspect->to->name));
		mem_free(&schema);
		mem_free(&old);
	}
	diff_remark(script, "Data goes: the table %s and its rows.", part->from->name);
	diff_say(script, "DROP %s %s", word(part->from), part->from->name);
}

static void change_parents(struct diff_script *script, const struct part *part)
{
	const char *name = part->to->name, *old = diff_from(part, "partition of"),
		   *new = diff_to(part, "partition of");
	if (diff_changed(part, "partition key")) {
		diff_leave(script,
		    "the partition key of %s changes, for which it must be made anew and filled again. "
		    "Nothing is written for its columns, constraints and indexes.",
		    name);
	} else if (diff_changed(part, "partition of")) {
		diff_leave(script,
		    "%s becomes or ceases to be a partition. Nothing is written for its columns, "
		    "constraints and indexes, which come and go with that.",
		    name);
		if (old != NULL)
			diff_say(script, "ALTER TABLE %s DETACH PARTITION %s", old, name);
		if (new != NULL)
			diff_say(script, "ALTER TABLE %s ATTACH PARTITION %s %s", new, name,
			    diff_to(part, "partition bound"));
	} else {
		diff_leave(script,
		    "the parents of %s change. Nothing is written for its columns, constraints and "
		    "indexes, which may come and go with that.",
		    name);
		if (diff_from(part, "inherits") != NULL)
			diff_say(script, "ALTER TABLE %s NO INHERIT %s", name, diff_from(part, "inherits"));
		if (diff_to(part, "inherits") != NULL)
			diff_say(script, "ALTER TABLE %s INHERIT %s", name, diff_to(part, "inherits"));
	}
	diff_left(script);
}

static void alter(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	const struct described *table = part->to;
	const char *method = diff_to(part, "access method"), *type = diff_to(part, "of type");
	(void)plan;
	if (diff_changes_parents(part)) {
		change_parents(script, part);
		return;
	}
	if (diff_changed(part, "partition bound")) {
		diff_remark(script, "Fails where a row does not fit into the new bounds.");
		diff_say(
		    script, "ALTER TABLE %s DETACH PARTITION %s", diff_to(part, "partition of"), table->name);
		diff_say(script, "ALTER TABLE %s ATTACH PARTITION %s %s", diff_to(part, "partition of"),
		    table->name, diff_to(part, "partition bound"));
	}
	if (diff_changed(part, "unlogged"))
		diff_say(script, "ALTER TABLE %s SET %s", table->name,
		    diff_to(part, "unlogged") != NULL ? "UNLOGGED" : "LOGGED");
	if (diff_changed(part, "access method"))
		diff_say(script, "ALTER TABLE %s SET ACCESS METHOD %s", table->name,
		    method != NULL ? method : "heap");
	if (diff_changed(part, "options")) {
		char *object = mem_printf("ALTER TABLE %s", table->name);
		diff_options(script, object, diff_from(part, "options"), diff_to(part, "options"));
		mem_free(&object);
	}
	set_row_security(script, table->name, diff_from(part, "row security"), diff_to(part, "row security"));
	if (diff_changed(part, "replica identity")) {
		const char *identity = diff_to(part, "replica identity");
		diff_say(script, "ALTER TABLE %s REPLICA IDENTITY %s", table->name,
		    identity != NULL ? identity : "DEFAULT");
	}
	if (diff_changed(part, "of type") && type == NULL)
		diff_say(script, "ALTER TABLE %s NOT OF", table->name);
	else if (diff_changed(part, "of type"))
		diff_say(script, "ALTER TABLE %s OF %s", table->name, type);
	if (diff_changed(part, "server") || diff_changed(part, "server options")) {
		diff_leave(script, "%s is to have another server or other options of it.", table->name);
		diff_left(script);
	}
}

const struct diff_writer diff_table = {create, drop, alter};
