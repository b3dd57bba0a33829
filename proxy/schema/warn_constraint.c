/* Constraints and columns that are added to a table. */
#include <stdio.h>
#include <string.h>

#include "warn_private.h"

/* (x IS NOT NULL), and nothing else: the column, or false. */
static bool check_is_not_null(struct warn_words words, struct warn_name *column)
{
	if (!words_is_text(&words, "("))
		return false;
	struct warn_words inside = words;
	words_skip(&words);
	inside.place++;
	inside.end = words.place - 1;
	if (words_is_text(&inside, "("))
		return check_is_not_null(inside, column);
	return words_name(&inside, column) && words_take_all(&inside, "is not null") && words_end(&inside);
}

static void add_foreign_key(
    struct warn_run *run, const struct warn_name *table, const struct warn_words *words)
{
	struct warn_name other = {.name = ""};
	struct warn_words behind = *words;
	if (!words_have(*words, "references", &behind) || !words_name(&behind, &other))
		return;
	bool other_new = warn_is_new(run, &other) || warn_same(&other, table);
	bool partitioned = warn_relation_kind(run, table) == 'p';
	const char *advice =
	    "ADD CONSTRAINT ... NOT VALID here, and ALTER TABLE ... VALIDATE CONSTRAINT in a later "
	    "migration: that one lets reads and writes through";
	if (partitioned && run->facts->server_version < 180000)
		advice = "on a partitioned table PostgreSQL before 18 knows no NOT VALID foreign key: add it "
			 "to each "
			 "partition as NOT VALID, validate these, then add it here";
	warn_add(run,
	    &(struct warn_what){
		"add-foreign-key", WARN_BLOCKS, WARN_WORK_SCAN, WARN_SRE, table->shown, advice},
	    "every row of %s is looked up in %s while writes to %s wait", table->shown, other.shown,
	    other_new ? "it" : "both");
}

static void add_check(struct warn_run *run, const struct warn_name *table, const char *rule, const char *what)
{
	warn_add(run,
	    &(struct warn_what){rule, WARN_BLOCKS, WARN_WORK_SCAN, WARN_AE, table->shown,
		"ADD CONSTRAINT ... NOT VALID here, and ALTER TABLE ... VALIDATE CONSTRAINT in a later "
		"migration: "
		"that one lets reads and writes through"},
	    "all rows of %s are read to check %s, while its reads and writes wait", table->shown, what);
	warn_locked(run, table);
}

static void add_key(struct warn_run *run, const struct warn_name *table, bool primary)
{
	warn_add(run,
	    &(struct warn_what){primary ? "add-primary-key" : "add-unique", WARN_BLOCKS, WARN_WORK_INDEX,
		WARN_AE, table->shown,
		primary ? "CREATE UNIQUE INDEX CONCURRENTLY in a migration before it (the columns already "
			  "NOT NULL), then "
			  "ADD PRIMARY KEY USING INDEX"
			: "CREATE UNIQUE INDEX CONCURRENTLY in a migration before it, then ADD CONSTRAINT "
			  "... UNIQUE "
			  "USING INDEX"},
	    "an index on %s is built while its reads and writes wait", table->shown);
	warn_locked(run, table);
}

static void not_valid(struct warn_run *run, const struct warn_name *table, const struct warn_name *constraint)
{
	struct warn_name both = *constraint;
	snprintf(both.schema, sizeof(both.schema), "%s", table->name);
	if (constraint->name[0] != '\0')
		warn_names_add(&run->unvalidated, &both);
}

static void remember_not_null(
    struct warn_run *run, const struct warn_name *table, const struct warn_words *words)
{
	struct warn_name column;
	if (!check_is_not_null(*words, &column))
		return;
	snprintf(column.schema, sizeof(column.schema), "%s", table->name);
	warn_names_add(&run->not_null_checks, &column);
}

bool warn_add_constraint(struct warn_run *run, const struct warn_name *table,
    const struct warn_name *constraint, struct warn_words *words)
{
	bool unvalidated = words_have(*words, "not valid", NULL),
	     index = words_have(*words, "using index", NULL);

	if (words_is(words, "foreign")) {
		if (unvalidated)
			not_valid(run, table, constraint);
		else
			add_foreign_key(run, table, words);
	} else if (words_take(words, "check")) {
		/* Of one that is not valid yet nothing is known until it is validated, which it is before
		 * anybody relies on it: SET NOT NULL looks only at those that are valid, and reads all rows
		 * else. */
		remember_not_null(run, table, words);
		if (unvalidated)
			not_valid(run, table, constraint);
		else
			add_check(run, table, "add-check", "the constraint");
	} else if (words_take(words, "not")) { /* NOT NULL column, since 18 */
		struct warn_name column;
		words_take(words, "null");
		if (words_name(words, &column) && !unvalidated)
			add_check(run, table, "set-not-null", "for nulls");
	} else if (words_take_all(words, "primary key")) {
		if (!index)
			add_key(run, table, true);
	} else if (words_take(words, "unique")) {
		if (!index)
			add_key(run, table, false);
	} else if (words_take(words, "exclude")) {
		warn_add(run,
		    &(struct warn_what){"add-exclusion", WARN_BLOCKS, WARN_WORK_INDEX, WARN_AE, table->shown,
			"there is no way to add it beside traffic: a new table with the constraint, filled "
			"and "
			"then swapped in, or a trigger"},
		    "an index on %s is built while its reads and writes wait", table->shown);
		warn_locked(run, table);
	} else {
		return false;
	}
	return true;
}

/* ---- columns ---- */

struct column_new {
	struct warn_name name;
	char type[256];
	bool not_null, has_default, filled; /* filled: by identity, serial, generated */
	bool rewrites, perhaps;
	const char *why;
	char function[128];
};

static bool column_word(const struct warn_words *words)
{
	static const char *const begins[] = {"default", "not", "null", "check", "unique", "primary",
	    "references", "generated", "constraint", "collate", "storage", "compression", "deferrable",
	    "initially"};
	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (words_is(words, begins[i]))
			return true;
	return false;
}

/* What the functions of a default are: 's' when none of them is volatile, 'v', or 0: one is not known. */
static char expression_volatility(
    const struct warn_run *run, struct warn_words words, char *function, size_t room)
{
	char worst = 's';

	for (; !words_end(&words); words.place++) {
		struct warn_words ahead = words;
		struct warn_name name;
		bool type = words.place > 0 && words.text[words.at[words.place - 1].start] == ':';
		if (!words_name(&ahead, &name) || !words_is_text(&ahead, "(") || type)
			continue;
		words.place = ahead.place - 1;
		char volatility = 0;
		if (run->facts != NULL && run->facts->volatility != NULL)
			volatility = run->facts->volatility(name.schema, name.name, run->facts->arg);
		if (volatility == 0)
			volatility = warn_function_volatility(name.name);
		if (volatility == 'v' || (volatility == 0 && worst == 's')) {
			snprintf(function, room, "%s", name.name);
			worst = volatility;
		}
		if (worst == 'v')
			return worst;
	}
	return worst;
}

static struct warn_words column_expression(struct warn_words *words)
{
	struct warn_words expression = *words;
	do
		words_skip(words);
	while (!words_end(words) && !column_word(words));
	expression.end = words->place;
	return expression;
}

static void column_default(const struct warn_run *run, struct column_new *column, struct warn_words *words)
{
	struct warn_words expression = column_expression(words);
	if (words_is(&expression, "null") && expression.end == expression.place + 1)
		return;
	column->has_default = true;
	char volatility = expression_volatility(run, expression, column->function, sizeof(column->function));
	if (volatility == 's')
		return;
	column->rewrites = column->rewrites || volatility == 'v';
	column->perhaps = volatility == 0;
	column->why = "whose default is another in each row";
}

static void column_generated(const struct warn_run *run, struct column_new *column, struct warn_words *words)
{
	bool identity = words_have(*words, "as identity", NULL);
	int version = run->facts != NULL ? run->facts->server_version : 0;

	column->filled = true;
	words_have(*words, "as", words);
	if (identity) {
		column->rewrites = true;
		column->why = "which gives each row a number";
		words_take(words, "identity");
	} else {
		words_skip(words); /* the expression */
		/* Before 18 there are only stored ones, which then is a syntax error to leave out. */
		if (words_take(words, "virtual") || (!words_take(words, "stored") && version >= 180000))
			return;
		column->rewrites = true;
		column->why = "which is generated in each row";
	}
	if (words_is_text(words, "("))
		words_skip(words);
}

static void column_references(struct warn_run *run, const struct warn_name *table,
    const struct column_new *column, struct warn_words *words)
{
	/* With nothing but nulls in it there is nothing to look up. */
	if (column->has_default || column->filled)
		add_foreign_key(run, table, words);
	words_take(words, "references");
}

static bool type_is_serial(const char *type)
{
	static const char *const names[] = {
	    "serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(type, names[i]) == 0)
			return true;
	return false;
}

static void tell_of_column(
    struct warn_run *run, const struct warn_name *table, const struct column_new *column)
{
	struct warn_what what = {.rule = column->filled ? "add-column-filled" : "add-column-default",
	    .kind = WARN_BLOCKS,
	    .work = WARN_WORK_REWRITE,
	    .lock = WARN_AE,
	    .object = table->shown,
	    .advice = column->filled ? "ADD COLUMN without it, fill it in batches, then set it (identity: "
				       "ADD GENERATED ... AS IDENTITY)"
				     : "ADD COLUMN without a default, ALTER COLUMN ... SET DEFAULT (for new "
				       "rows), fill the old rows in "
				       "batches"};

	if (column->rewrites) {
		warn_add(run, &what,
		    "%s is written anew with all its indexes, while its reads and writes wait: column %s, %s",
		    table->shown, column->name.name, column->why);
	} else if (column->perhaps) {
		what.work = WARN_WORK_UNKNOWN;
		warn_add(run, &what,
		    "if %s() is volatile, %s is written anew with all its indexes, while its reads and "
		    "writes wait",
		    column->function, table->shown);
	}
	if (column->not_null && !column->has_default && !column->filled)
		warn_add(run,
		    &(struct warn_what){"add-column-not-null", WARN_FAILS, WARN_WORK_NONE, NULL, table->shown,
			"give it a DEFAULT, or add it nullable, fill it, and then SET NOT NULL"},
		    "column %s is NOT NULL without a default: this fails (23502) as soon as %s has a row",
		    column->name.name, table->shown);
}

void warn_add_column(struct warn_run *run, const struct warn_name *table, struct warn_words *words)
{
	struct column_new column = {.why = ""};
	struct warn_name constraint = {.name = ""};
	bool unique = false, primary = false, check = false;

	words_take_all(words, "if not exists");
	if (!words_name(words, &column.name))
		return;
	struct warn_words type = *words;
	while (!words_end(words) && !column_word(words))
		words_skip(words);
	type.end = words->place;
	warn_type_text(type, column.type, sizeof(column.type));
	if (type_is_serial(column.type)) {
		column.filled = column.rewrites = true;
		column.why = "which gives each row a number";
	}
	while (!words_end(words)) {
		if (words_take(words, "constraint")) {
			words_name(words, &constraint);
		} else if (words_take(words, "default")) {
			column_default(run, &column, words);
		} else if (words_take(words, "generated")) {
			column_generated(run, &column, words);
		} else if (words_take_all(words, "not null")) {
			column.not_null = true;
		} else if (words_is(words, "references")) {
			column_references(run, table, &column, words);
		} else if (words_take_all(words, "primary key")) {
			primary = column.not_null = true;
		} else if (words_take(words, "unique")) {
			unique = true;
		} else if (words_take(words, "check")) {
			check = true;
		} else {
			words_skip(words);
		}
	}
	tell_of_column(run, table, &column);
	if (primary || unique)
		add_key(run, table, primary);
	if (check && !column.rewrites)
		add_check(run, table, "add-check", "the constraint");
	warn_locked(run, table);
}
