/* ALTER TABLE. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "warn_private.h"

static void change_type(struct warn_run *run, const struct warn_name *table, const struct warn_name *column,
    struct warn_words *words)
{
	struct warn_words type = *words, expression;
	char to[256], shown[300];
	bool computed = words_have(*words, "using", &expression),
	     collated = words_have(*words, "collate", NULL);

	while (!words_end(words) && !words_is(words, "using") && !words_is(words, "collate"))
		words_skip(words);
	type.end = words->place;
	warn_type_text(type, to, sizeof(to));
	if (computed) {
		/* USING column, USING column::type: as without it */
		struct warn_name used;
		bool plain = words_name(&expression, &used) && strcmp(used.name, column->name) == 0;
		if (plain && words_is_text(&expression, ":")) {
			char cast[256];
			expression.place += 2;
			warn_type_text(expression, cast, sizeof(cast));
			plain = strcasecmp(cast, to) == 0;
			expression.place = expression.end;
		}
		computed = !plain || !words_end(&expression);
	}
	const char *from = NULL;
	if (run->facts != NULL && run->facts->column_type != NULL)
		from = run->facts->column_type(table->schema, table->name, column->name, run->facts->arg);
	enum warn_change change = computed ? WARN_CHANGE_REWRITE : warn_type_change(from, to);
	if (from != NULL)
		snprintf(shown, sizeof(shown), "%s becomes %s", from, to);
	else
		snprintf(shown, sizeof(shown), "the type becomes %s", to);
	warn_locked(run, table);
	static const char advice[] = "a new column beside it, kept equal by a trigger and filled in batches; "
				     "then swap the names in a later "
				     "migration";
	switch (change) {
	case WARN_CHANGE_FREE:
		if (collated)
			warn_add(run,
			    &(struct warn_what){"change-collation", WARN_BLOCKS, WARN_WORK_INDEX, WARN_AE,
				table->shown, advice},
			    "column %s: indexes with it are built anew if its collation changes, while reads "
			    "and "
			    "writes of %s wait",
			    column->name, table->shown);
		return;
	case WARN_CHANGE_ZONE:
		warn_add(run,
		    &(struct warn_what){"change-column-type", WARN_BLOCKS, WARN_WORK_UNKNOWN, WARN_AE,
			table->shown,
			"SET LOCAL TimeZone = 'UTC' before it: then nothing is written (where the times are "
			"meant in "
			"UTC)"},
		    "column %s: %s; %s is written anew with all its indexes, while its reads and writes "
		    "wait, unless "
		    "the session's TimeZone is UTC",
		    column->name, shown, table->shown);
		return;
	case WARN_CHANGE_REWRITE:
		warn_add(run,
		    &(struct warn_what){
			"change-column-type", WARN_BLOCKS, WARN_WORK_REWRITE, WARN_AE, table->shown, advice},
		    "column %s: %s%s; %s is written anew with all its indexes, while its reads and writes "
		    "wait",
		    column->name, shown, computed ? " by an expression" : "", table->shown);
		return;
	case WARN_CHANGE_UNKNOWN:
		warn_add(run,
		    &(struct warn_what){
			"change-column-type", WARN_BLOCKS, WARN_WORK_UNKNOWN, WARN_AE, table->shown, advice},
		    "column %s: %s; unless that needs no other bytes (varchar made longer, varchar to text, "
		    "more digits "
		    "at the same scale) %s is written anew with all its indexes, while its reads and writes "
		    "wait",
		    column->name, shown, table->shown);
		return;
	}
}

static void set_not_null(struct warn_run *run, const struct warn_name *table, const struct warn_name *column)
{
	struct warn_name check = *column;
	snprintf(check.schema, sizeof(check.schema), "%s", table->name);
	if (warn_names_has(&run->not_null_checks, &check))
		return;
	if (run->facts != NULL && run->facts->checked_not_null != NULL &&
	    run->facts->checked_not_null(table->schema, table->name, column->name, run->facts->arg) == 1)
		return;
	warn_add(run,
	    &(struct warn_what){"set-not-null", WARN_BLOCKS, WARN_WORK_SCAN, WARN_AE, table->shown,
		"ADD CONSTRAINT ... CHECK (column IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT in a later "
		"migration, "
		"then SET NOT NULL (which finds it) and drop the check; since PostgreSQL 18 also ADD "
		"CONSTRAINT ... "
		"NOT NULL column NOT VALID"},
	    "all rows of %s are read to look for nulls in %s, while its reads and writes wait", table->shown,
	    column->name);
}

static void alter_column(struct warn_run *run, const struct warn_name *table, struct warn_words *words)
{
	struct warn_name column;

	words_take(words, "column");
	if (!words_name(words, &column))
		return;
	if (words_take_all(words, "set data type") || words_take(words, "type")) {
		change_type(run, table, &column, words);
		return;
	}
	if (words_take_all(words, "set not null"))
		set_not_null(run, table, &column);
	else if (words_take_all(words, "set expression"))
		warn_add(run,
		    &(struct warn_what){
			"change-generated", WARN_BLOCKS, WARN_WORK_REWRITE, WARN_AE, table->shown, NULL},
		    "%s is written anew with all its indexes, while its reads and writes wait", table->shown);
	else if (words_is(words, "set") &&
	    (words_take_all(words, "set statistics") || words_is_text(words, "(")))
		return; /* lets reads and writes through */
	warn_locked(run, table);
}

static void drop_column(struct warn_run *run, const struct warn_name *table, struct warn_words *words)
{
	struct warn_name column;

	words_take(words, "column");
	words_take_all(words, "if exists");
	if (!words_name(words, &column))
		return;
	bool cascade = words_have(*words, "cascade", NULL);
	warn_add(run,
	    &(struct warn_what){"drop-column", WARN_BREAKS, WARN_WORK_NONE, WARN_AE, table->shown,
		"release clients that do not use it first (nor SELECT *), and drop it in a later migration"},
	    "clients that use %s.%s get errors%s; its data goes, and no down section brings it back",
	    table->shown, column.name,
	    cascade ? ", and so do those of whatever else CASCADE takes along" : "");
}

static void rename_thing(struct warn_run *run, const struct warn_name *table, struct warn_words *words)
{
	struct warn_name from, to;

	if (words_take(words, "constraint"))
		return;
	if (words_take(words, "to")) {
		if (!words_name(words, &to))
			return;
		warn_add(run,
		    &(struct warn_what){"rename-table", WARN_BREAKS, WARN_WORK_NONE, WARN_AE, table->shown,
			"a view of the old name over the new table serves old clients until the last of them "
			"is gone"},
		    "clients that know %s get errors: it is %s now", table->shown, to.name);
		return;
	}
	words_take(words, "column");
	if (!words_name(words, &from) || !words_take(words, "to") || !words_name(words, &to))
		return;
	warn_add(run,
	    &(struct warn_what){"rename-column", WARN_BREAKS, WARN_WORK_NONE, WARN_AE, table->shown,
		"a new column beside it, kept equal by a trigger and filled in batches; drop the old one "
		"when no client "
		"uses it"},
	    "clients that know %s.%s get errors: it is %s now", table->shown, from.name, to.name);
}

static void validate(struct warn_run *run, const struct warn_name *table, struct warn_words *words)
{
	struct warn_name constraint;

	words_take(words, "constraint");
	if (!words_name(words, &constraint))
		return;
	snprintf(constraint.schema, sizeof(constraint.schema), "%s", table->name);
	if (!run->in_transaction || !warn_names_has(&run->unvalidated, &constraint))
		return;
	warn_add(run,
	    &(struct warn_what){"validate-at-once", WARN_BLOCKS, WARN_WORK_SCAN, NULL, table->shown,
		"validate in a later migration, when the lock of ADD CONSTRAINT is gone"},
	    "%s was added in this transaction: its lock on %s is kept while all rows are read, as if it had "
	    "been "
	    "added without NOT VALID",
	    constraint.name, table->shown);
}

static void rewritten(
    struct warn_run *run, const struct warn_name *table, const char *rule, const char *advice)
{
	warn_add(run,
	    &(struct warn_what){rule, WARN_BLOCKS, WARN_WORK_REWRITE, WARN_AE, table->shown, advice},
	    "%s is written anew, while its reads and writes wait", table->shown);
	warn_locked(run, table);
}

static void attach_partition(struct warn_run *run, const struct warn_name *table, struct warn_words *words)
{
	struct warn_name partition;
	if (!words_name(words, &partition) || warn_is_new(run, &partition))
		return;
	warn_add(run,
	    &(struct warn_what){"attach-partition", WARN_BLOCKS, WARN_WORK_SCAN, WARN_AE, partition.shown,
		"give it a CHECK constraint that implies the bounds first (NOT VALID, then VALIDATE): then "
		"it is not "
		"read; likewise the default partition"},
	    "all rows of %s are read to check the bounds, while its reads and writes wait (so are those of a "
	    "default "
	    "partition of %s)",
	    partition.shown, table->shown);
}

static void detach_partition(
    struct warn_run *run, const struct warn_name *table, const struct warn_words *words)
{
	if (words_have(*words, "concurrently", NULL) || words_have(*words, "finalize", NULL))
		return;
	warn_add(run,
	    &(struct warn_what){"detach-partition", WARN_BLOCKS, WARN_WORK_NONE, WARN_AE, table->shown,
		"DETACH PARTITION ... CONCURRENTLY (PostgreSQL 14), in a section with transaction:false"},
	    "reads and writes of all of %s wait, from here to the transaction's end", table->shown);
	warn_locked(run, table);
}

static void row_security(struct warn_run *run, const struct warn_name *table)
{
	warn_add(run,
	    &(struct warn_what){"row-security", WARN_BREAKS, WARN_WORK_NONE, WARN_AE, table->shown,
		"CREATE POLICY in the same migration, before it"},
	    "clients see no row of %s that no policy shows them", table->shown);
}

static void set_something(struct warn_run *run, const struct warn_name *table, struct warn_words *words)
{
	struct warn_name schema;

	if (words_take(words, "schema") && words_name(words, &schema))
		warn_add(run,
		    &(struct warn_what){"rename-table", WARN_BREAKS, WARN_WORK_NONE, WARN_AE, table->shown,
			"a view of the old name over the new table serves old clients until the last of them "
			"is gone"},
		    "clients that know %s get errors: it is in the schema %s now", table->shown, schema.name);
	else if (words_is(words, "tablespace"))
		rewritten(run, table, "set-tablespace", "pg_repack moves a table beside traffic");
	else if (words_take(words, "access"))
		rewritten(run, table, "set-access-method", NULL);
	else if (words_is(words, "logged") || words_is(words, "unlogged"))
		rewritten(run, table, "set-logged", NULL);
}

static void action(struct warn_run *run, const struct warn_name *table, struct warn_words *words)
{
	struct warn_name constraint = {.name = ""};

	if (words_take(words, "add")) {
		if (words_take(words, "column")) {
			warn_add_column(run, table, words);
			return;
		}
		if (words_take(words, "constraint"))
			words_name(words, &constraint);
		if (!warn_add_constraint(run, table, &constraint, words))
			warn_add_column(run, table, words);
	} else if (words_take(words, "drop")) {
		warn_locked(run, table);
		if (!words_is(words, "constraint"))
			drop_column(run, table, words);
	} else if (words_take(words, "alter")) {
		if (!words_is(words, "constraint"))
			alter_column(run, table, words);
	} else if (words_take(words, "rename")) {
		warn_locked(run, table);
		rename_thing(run, table, words);
	} else if (words_take(words, "validate")) {
		validate(run, table, words);
	} else if (words_take_all(words, "attach partition")) {
		attach_partition(run, table, words);
	} else if (words_take_all(words, "detach partition")) {
		detach_partition(run, table, words);
	} else if (words_take(words, "set")) {
		set_something(run, table, words);
	} else if (words_take_all(words, "enable row level") || words_take_all(words, "force row level")) {
		row_security(run, table);
	}
}

/* What was renamed in a run is as new as it was. */
static void note_rename(struct warn_run *run, const struct warn_name *table, struct warn_words words)
{
	struct warn_name to;
	if (!words_take_all(&words, "rename to") || !words_name(&words, &to))
		return;
	memcpy(to.schema, table->schema, sizeof(to.schema));
	warn_names_add(&run->created, &to);
}

void warn_alter_table(struct warn_run *run, struct warn_words *words)
{
	struct warn_name table;

	if (words_take_all(words, "all in tablespace")) {
		warn_add(run,
		    &(struct warn_what){"set-tablespace", WARN_BLOCKS, WARN_WORK_REWRITE, WARN_AE, "",
			"pg_repack moves a table beside traffic"},
		    "every table there is written anew, while its reads and writes wait");
		return;
	}
	words_take_all(words, "if exists");
	if (!words_table(words, &table))
		return;
	if (warn_is_new(run, &table)) {
		note_rename(run, &table, *words);
		return;
	}
	while (!words_end(words)) {
		struct warn_words part = words_until_comma(words);
		action(run, &table, &part);
	}
}
