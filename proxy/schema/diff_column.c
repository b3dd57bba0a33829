/* Columns and their defaults. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "diff_private.h"

int diff_position(const struct described *column)
{
	const char *position = described_value(column, ".position");
	return position != NULL ? atoi(position) : 0;
}

/* ---- serial ---- */

static bool is(const struct described *object, const char *attribute, const char *value)
{
	const char *has = described_value(object, attribute);
	return has == NULL || value == NULL ? has == value : strcmp(has, value) == 0;
}

/* What PostgreSQL does for bigserial: a sequence named after table and column, of the column's type, with
 * everything at its default, owned by the column, and nextval() of it as default. */
const char *diff_serial(
    const struct diff_plan *plan, const struct described *column, const struct described **sequence)
{
	static const struct {
		const char *type, *serial, *maximum;
	} kinds[] = {{"bigint", "bigserial", "9223372036854775807"}, {"integer", "serial", "2147483647"},
	    {"smallint", "smallserial", "32767"}};
	const struct described *value = description_find(plan->to, DESCRIBE_DEFAULT, column->identity);
	const struct described *table = column->parent;
	size_t kind = 0;
	while (kind < 3 && !is(column, "type", kinds[kind].type))
		kind++;
	if (value == NULL || table == NULL || table->kind != DESCRIBE_TABLE || kind == 3 ||
	    described_value(column, "not null") == NULL || described_value(column, ".inherited") != NULL ||
	    described_value(table, "unlogged") != NULL || strchr(table->name, '"') != NULL ||
	    strchr(column->name, '"') != NULL ||
	    strlen(describe_bare(table->name)) + strlen(column->name) > 58)
		return NULL;
	char *name = mem_printf("%s_%s_seq", table->name, column->name);
	char *next = mem_printf("nextval('%s'::regclass)", name);
	const struct described *found = description_find(plan->to, DESCRIBE_SEQUENCE, name);
	const struct part *part = diff_plan_part(plan, found, true);
	bool fits = found != NULL && part->fate == FATE_CREATE && is(value, "value", next) &&
	    is(found, "owned by", column->identity) && is(found, "type", kinds[kind].type) &&
	    is(found, "start", "1") && is(found, "increment", "1") && is(found, "minimum", "1") &&
	    is(found, "maximum", kinds[kind].maximum) && is(found, "cache", "1") &&
	    is(found, "cycle", NULL) && is(found, "unlogged", NULL);
	mem_free(&name);
	mem_free(&next);
	*sequence = fits ? found : NULL;
	return fits ? kinds[kind].serial : NULL;
}

/* ---- columns ---- */

void diff_column_says(struct diff_phrase *phrase, const struct diff_plan *plan, unsigned action)
{
	const struct described *column = plan->parts[plan->actions[action].part].to, *sequence = NULL;
	const struct described *value = description_find(plan->to, DESCRIBE_DEFAULT, column->identity);
	const char *type = described_value(column, "type"), *collation = described_value(column, "collation");
	const char *identity = described_value(column, "identity"),
		   *generated = described_value(column, "generated");
	const char *serial = diff_serial(plan, column, &sequence);
	const char *options = described_value(column, "server options");

	if (value != NULL && !diff_plan_together(plan, diff_plan_part(plan, value, true)->make, action))
		value = NULL;
	if (serial != NULL &&
	    (value == NULL || !diff_plan_together(plan, diff_plan_part(plan, sequence, true)->make, action)))
		serial = NULL;
	diff_phrase_say(phrase, "%s %s", column->name, serial != NULL ? serial : type);
	if (collation != NULL)
		diff_phrase_say(phrase, " COLLATE %s", collation);
	if (options != NULL)
		diff_phrase_say(phrase, " OPTIONS (%s)", options);
	if (generated != NULL)
		diff_phrase_say(phrase, " GENERATED ALWAYS AS %s", generated);
	if (value != NULL && serial == NULL)
		diff_phrase_say(phrase, " DEFAULT %s", described_value(value, "value"));
	if (described_value(column, "not null") != NULL && serial == NULL)
		diff_phrase_say(phrase, " NOT NULL");
	if (identity != NULL) {
		struct diff_phrase words = {NULL, 0, 0};
		diff_sequence_words(&words, NULL, column, "identity ", " ");
		diff_phrase_say(phrase, " GENERATED %s AS IDENTITY%s%s%s", identity,
		    words.size > 0 ? " (" : "", words.size > 0 ? words.at + 1 : "",
		    words.size > 0 ? ")" : "");
		mem_free(&words.at);
	}
}

static void set(
    struct diff_script *script, const struct described *column, const char *what, const char *value)
{
	diff_say(script, "ALTER TABLE %s ALTER COLUMN %s %s %s", column->on, column->name, what, value);
}

void diff_column_rest(struct diff_script *script, const struct described *column)
{
	const char *storage = described_value(column, "storage"),
		   *compression = described_value(column, "compression");
	const char *statistics = described_value(column, "statistics"),
		   *options = described_value(column, "options");
	if (storage != NULL)
		set(script, column, "SET STORAGE", storage);
	if (compression != NULL)
		set(script, column, "SET COMPRESSION", compression);
	if (statistics != NULL)
		set(script, column, "SET STATISTICS", statistics);
	if (options != NULL)
		diff_say(
		    script, "ALTER TABLE %s ALTER COLUMN %s SET (%s)", column->on, column->name, options);
}

static void create(struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *column = plan->parts[action->part].to;
	if (described_value(column, ".inherited") != NULL) {
		set(script, column, "SET", "NOT NULL");
		return;
	}
	const struct described *value = description_find(plan->to, DESCRIBE_DEFAULT, column->identity);
	bool new_table = diff_plan_part(plan, column->parent, true)->fate == FATE_CREATE;
	struct diff_phrase phrase = {NULL, 0, 0};
	diff_column_says(&phrase, plan, action->root);
	if (!new_table && described_value(column, "not null") != NULL && value == NULL &&
	    described_value(column, "identity") == NULL && described_value(column, "generated") == NULL)
		diff_remark(script,
		    "Fails where %s has rows: the new column may not be NULL and has no default.",
		    column->on);
	diff_say(script, "ALTER TABLE %s ADD COLUMN %s", column->on, phrase.at);
	diff_column_rest(script, column);
	mem_free(&phrase.at);
}

static void drop(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	const struct described *column = part->from;
	if (described_value(column, ".inherited") != NULL) {
		set(script, column, "DROP", "NOT NULL");
		return;
	}
	const struct part *suspect = part->fate == FATE_DROP ? diff_suspect(plan, part) : NULL;
	if (suspect != NULL)
		diff_remark(script,
		    "Is this a rename? %s.%s goes and %s comes, both %s. To keep the values, write instead "
		    "of this DROP "
		    "COLUMN and of the ADD COLUMN below:\n  ALTER TABLE %s RENAME COLUMN %s TO %s;",
		    column->on, column->name, suspect->to->name, described_value(column, "type"), column->on,
		    column->name, suspect->to->name);
	if (described_value(column, "generated") == NULL)
		diff_remark(
		    script, "Data goes: the column %s of %s and its values.", column->name, column->on);
	diff_say(script, "ALTER TABLE %s DROP COLUMN %s", column->on, column->name);
}

static void alter_type(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	const char *old = diff_from(part, "type"), *new = diff_to(part, "type"),
		   *collation = diff_to(part, "collation");
	const struct described *column = part->to;
	bool using = false, recollated = diff_changed(part, "collation");
	enum diff_conversion conversion = diff_conversion(plan, old, new, &using);
	if (described_value(column, "generated") != NULL)
		using = false;
	if (conversion == CONVERSION_CHECKED)
		diff_remark(script, "Fails where a value of %s.%s does not fit into %s.", column->on,
		    column->name, new);
	if (conversion == CONVERSION_LOSSY)
		diff_leave(script,
		    "%s.%s from %s to %s may change or lose values. If it may, take this:", column->on,
		    column->name, old, new);
	struct diff_phrase phrase = {NULL, 0, 0};
	diff_phrase_say(&phrase, "ALTER TABLE %s ALTER COLUMN %s TYPE %s", column->on, column->name, new);
	if (collation != NULL)
		diff_phrase_say(&phrase, " COLLATE %s", collation);
	else if (recollated)
		diff_phrase_say(&phrase, " COLLATE pg_catalog.\"default\"");
	if (using) {
		bool enums = description_find(plan->from, DESCRIBE_ENUM, old) != NULL;
		diff_phrase_say(&phrase, " USING %s%s::%s", column->name, enums ? "::text" : "", new);
	}
	diff_say(script, "%s", phrase.at);
	mem_free(&phrase.at);
	if (conversion == CONVERSION_LOSSY)
		diff_left(script);
}

static void alter_identity(struct diff_script *script, const struct part *part)
{
	const struct described *column = part->to;
	const char *old = diff_from(part, "identity"), *new = diff_to(part, "identity");
	struct diff_phrase words = {NULL, 0, 0};
	if (new == NULL) {
		if (old != NULL)
			set(script, column, "DROP", "IDENTITY");
		return;
	}
	if (old == NULL) {
		diff_sequence_words(&words, NULL, column, "identity ", " ");
		diff_say(script, "ALTER TABLE %s ALTER COLUMN %s ADD GENERATED %s AS IDENTITY%s%s%s",
		    column->on, column->name, new, words.size > 0 ? " (" : "",
		    words.size > 0 ? words.at + 1 : "", words.size > 0 ? ")" : "");
	} else {
		if (strcmp(old, new) != 0)
			set(script, column, "SET GENERATED", new);
		diff_sequence_words(&words, part->from, column, "identity ", " SET ");
		if (words.size > 0)
			diff_say(
			    script, "ALTER TABLE %s ALTER COLUMN %s%s", column->on, column->name, words.at);
	}
	mem_free(&words.at);
}

static void alter(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	const struct described *column = part->to;
	const char *storage = diff_to(part, "storage"), *compression = diff_to(part, "compression");
	const char *statistics = diff_to(part, "statistics");
	bool identity = diff_to(part, "identity") != NULL;
	if (diff_changed(part, "generated"))
		set(script, column, "DROP", "EXPRESSION");
	/* An identity is never NULL: it is given up before, and taken after. */
	if (!identity)
		alter_identity(script, part);
	if (diff_changed(part, "type") || diff_changed(part, "collation"))
		alter_type(script, plan, part);
	if (diff_changed(part, "not null")) {
		bool to = diff_to(part, "not null") != NULL;
		if (to)
			diff_remark(script, "Fails where %s.%s is NULL.", column->on, column->name);
		set(script, column, to ? "SET" : "DROP", "NOT NULL");
	}
	if (identity)
		alter_identity(script, part);
	if (diff_changed(part, "storage"))
		set(script, column, "SET STORAGE",
		    storage != NULL ? storage : diff_to(part, ".usual storage"));
	if (diff_changed(part, "compression"))
		set(script, column, "SET COMPRESSION", compression != NULL ? compression : "DEFAULT");
	if (diff_changed(part, "statistics"))
		set(script, column, "SET STATISTICS", statistics != NULL ? statistics : "-1");
	if (diff_changed(part, "options")) {
		char *object = mem_printf("ALTER TABLE %s ALTER COLUMN %s", column->on, column->name);
		diff_options(script, object, diff_from(part, "options"), diff_to(part, "options"));
		mem_free(&object);
	}
	if (diff_changed(part, "server options")) {
		diff_leave(script, "%s.%s is to have other options of its server.", column->on, column->name);
		diff_left(script);
	}
}

const struct diff_writer diff_column = {create, drop, alter};

/* ---- defaults ---- */

static void create_default(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *value = plan->parts[action->part].to;
	set(script, value, "SET DEFAULT", described_value(value, "value"));
}

/* One that stood over a parent's gives way to it. */
static void drop_default(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	const struct described *inherited = diff_plan_inherited_from(plan->from, part->from);
	const struct described *value =
	    inherited != NULL ? description_find(plan->to, DESCRIBE_DEFAULT, inherited->identity) : NULL;
	if (value != NULL && part->fate == FATE_DROP)
		set(script, part->from, "SET DEFAULT", described_value(value, "value"));
	else
		set(script, part->from, "DROP", "DEFAULT");
}

static void alter_default(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	set(script, part->to, "SET DEFAULT", described_value(part->to, "value"));
}

const struct diff_writer diff_default = {create_default, drop_default, alter_default};
