/* What is not ALTER TABLE or DROP. */
#include <stdio.h>
#include <string.h>

#include "warn_private.h"

/* ---- CREATE ---- */

static void create_index(struct warn_run *run, struct warn_words *words)
{
	struct warn_name index = {.name = ""}, table;
	bool concurrently = words_take(words, "concurrently"),
	     if_not = words_take_all(words, "if not exists");

	if (!words_is(words, "on"))
		words_name(words, &index);
	bool only = words_take_all(words, "on only");
	if ((!only && !words_take(words, "on")) || !words_table(words, &table))
		return;
	bool new_table = warn_is_new(run, &table);
	/* In PostgreSQL an index lives where its table does. */
	memcpy(index.schema, table.schema, sizeof(index.schema));
	if (index.name[0] != '\0' && !concurrently)
		warn_names_add(&run->created, &index);
	if (new_table)
		return;
	char kind = warn_relation_kind(run, &table);
	if (concurrently && if_not)
		warn_add(run,
		    &(struct warn_what){"index-if-not-exists", WARN_FAILS, WARN_WORK_NONE, NULL, table.shown,
			"DROP INDEX CONCURRENTLY IF EXISTS in a migration before it, and no IF NOT EXISTS"},
		    "a build that failed leaves an invalid index of this name, and IF NOT EXISTS then takes "
		    "it for done");
	if (concurrently || only)
		return;
	warn_add(run,
	    &(struct warn_what){"create-index", WARN_BLOCKS, WARN_WORK_INDEX, WARN_SH, table.shown,
		kind == 'p'
		    ? "CREATE INDEX ... ON ONLY the partitioned table, CREATE INDEX CONCURRENTLY on each "
		      "partition, then ALTER INDEX ... ATTACH PARTITION"
		    : "CREATE INDEX CONCURRENTLY, in a section with transaction:false hold:none"},
	    "writes to %s wait while the index is built", table.shown);
}

static void create_table(struct warn_run *run, struct warn_words *words)
{
	struct warn_name table, parent;
	struct warn_words behind;

	words_take_all(words, "if not exists");
	if (!words_name(words, &table))
		return;
	warn_names_add(&run->created, &table);
	if (!words_have(*words, "partition of", &behind) || !words_name(&behind, &parent) ||
	    warn_is_new(run, &parent))
		return;
	warn_add(run,
	    &(struct warn_what){"create-partition", WARN_BLOCKS, WARN_WORK_NONE, WARN_AE, parent.shown,
		"CREATE TABLE ... (LIKE parent INCLUDING ALL), then ATTACH PARTITION, which lets reads and "
		"writes of the "
		"parent through"},
	    "reads and writes of all of %s wait, from here to the transaction's end (and a default partition "
	    "is read "
	    "whole)",
	    parent.shown);
	warn_locked(run, &parent);
}

static void create(struct warn_run *run, struct warn_words *words)
{
	static const char *const named[] = {"view", "recursive view", "materialized view", "type", "domain",
	    "sequence", "function", "procedure", "aggregate", "schema", "foreign table", "extension"};
	struct warn_words start = *words;

	words_take_all(words, "or replace");
	words_take(words, "unique");
	if (words_take(words, "index")) {
		create_index(run, words);
		return;
	}
	words_take(words, "global");
	words_take(words, "local");
	bool temporary = words_take(words, "temporary") || words_take(words, "temp");
	words_take(words, "unlogged");
	if (words_take(words, "table")) {
		create_table(run, words);
		return;
	}
	/* CREATE OR REPLACE of what was there before makes nothing new. */
	if (!temporary && words_take_all(&start, "or replace"))
		return;
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		struct warn_name name;
		if (!words_take_all(words, named[i]))
			continue;
		words_take_all(words, "if not exists");
		if (words_name(words, &name))
			warn_names_add(&run->created, &name);
		return;
	}
}

/* ---- ALTER ---- */

static void alter_type(struct warn_run *run, struct warn_words *words)
{
	struct warn_name type;

	if (!words_name(words, &type) || warn_is_new(run, &type))
		return;
	if (words_take_all(words, "add value")) {
		words_take_all(words, "if not exists");
		if (words_end(words) || words->at[words->place].kind != SPLIT_TOKEN_QUOTED ||
		    !run->in_transaction)
			return;
		struct warn_name value = type;
		const struct split_token *token = words->at + words->place;
		snprintf(value.name, sizeof(value.name), "%.*s", (int)(token->end - token->start - 2),
		    words->text + token->start + 1);
		warn_names_add(&run->enum_values, &value);
	} else if (words_take_all(words, "rename value")) {
		warn_add(run,
		    &(struct warn_what){"rename-enum-value", WARN_BREAKS, WARN_WORK_NONE, NULL, type.shown,
			"ADD VALUE, move the rows over, and keep the old value"},
		    "clients that send or expect the old value of %s get errors", type.shown);
	} else if (words_is(words, "rename") || words_take_all(words, "drop attribute") ||
	    words_take_all(words, "set schema")) {
		warn_add(run,
		    &(struct warn_what){"rename-object", WARN_BREAKS, WARN_WORK_NONE, NULL, type.shown, NULL},
		    "clients that know the type %s as it was get errors", type.shown);
	}
}

static void alter_domain(struct warn_run *run, struct warn_words *words)
{
	struct warn_name domain;

	if (!words_name(words, &domain) || warn_is_new(run, &domain))
		return;
	bool added = words_is(words, "add") && !words_have(*words, "not valid", NULL);
	if (!added && !words_take_all(words, "set not null"))
		return;
	warn_add(run,
	    &(struct warn_what){"domain-constraint", WARN_BLOCKS, WARN_WORK_SCAN, WARN_SH, domain.shown,
		"ALTER DOMAIN ... ADD CONSTRAINT ... NOT VALID here, VALIDATE CONSTRAINT in a later "
		"migration"},
	    "every table with a column of %s is read whole, while writes to it wait", domain.shown);
}

static void alter_other(struct warn_run *run, struct warn_words *words)
{
	static const char *const named[] = {
	    "view", "sequence", "function", "procedure", "routine", "aggregate", "schema"};
	struct warn_name name;

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		if (!words_take(words, named[i]))
			continue;
		words_take_all(words, "if exists");
		if (!words_name(words, &name) || warn_is_new(run, &name))
			return;
		struct warn_words behind;
		if (words_have(*words, "rename to", &behind) || words_have(*words, "set schema", &behind) ||
		    words_have(*words, "rename column", &behind))
			warn_add(run,
			    &(struct warn_what){"rename-object", WARN_BREAKS, WARN_WORK_NONE, NULL,
				name.shown, "keep what has the old name until no client uses it"},
			    "clients that know the %s %s get errors", named[i], name.shown);
		return;
	}
}

static void alter(struct warn_run *run, struct warn_words *words)
{
	struct warn_name index;

	words_take(words, "foreign");
	bool materialized = words_take(words, "materialized");
	if (words_take(words, "table") || (materialized && words_take(words, "view"))) {
		warn_alter_table(run, words);
	} else if (words_take(words, "index")) {
		words_take_all(words, "if exists");
		if (words_name(words, &index) && !warn_is_new(run, &index) &&
		    words_take_all(words, "set tablespace"))
			warn_add(run,
			    &(struct warn_what){"set-tablespace", WARN_BLOCKS, WARN_WORK_REWRITE, WARN_AE,
				index.shown, "REINDEX (TABLESPACE ...) INDEX CONCURRENTLY (PostgreSQL 14)"},
			    "the index is copied, while queries that would use its table wait");
	} else if (words_take(words, "type")) {
		alter_type(run, words);
	} else if (words_take(words, "domain")) {
		alter_domain(run, words);
	} else {
		alter_other(run, words);
	}
}

/* ---- maintenance ---- */

/* The tables of a list. False: there is none, it means all. */
static bool each_table(
    struct warn_run *run, struct warn_words *words, const struct warn_what *what, const char *does)
{
	bool any = false;
	while (!words_end(words)) {
		struct warn_name table;
		struct warn_words part = words_until_comma(words);
		if (!words_table(&part, &table))
			continue;
		any = true;
		if (warn_is_new(run, &table))
			continue;
		struct warn_what about = *what;
		about.object = table.shown;
		warn_add(run, &about, "%s %s, while its reads and writes wait", table.shown, does);
		warn_locked(run, &table);
	}
	return any;
}

static bool takes_option(struct warn_words *words, const char *option)
{
	bool on = false;
	if (!words_is_text(words, "("))
		return false;
	struct warn_words inside = *words;
	words_skip(words);
	inside.place++;
	inside.end = words->place - 1;
	while (!words_end(&inside)) {
		struct warn_words part = words_until_comma(&inside);
		if (!words_take(&part, option))
			continue;
		on = words_end(&part) || words_is(&part, "true") || words_is(&part, "on") ||
		    words_is_text(&part, "1");
	}
	return on;
}

static void vacuum(struct warn_run *run, struct warn_words *words)
{
	bool full = takes_option(words, "full");
	full = words_take(words, "full") || full;
	if (!full)
		return;
	words_take(words, "freeze");
	words_take(words, "verbose");
	words_take(words, "analyze");
	struct warn_what what = {"vacuum-full", WARN_BLOCKS, WARN_WORK_REWRITE, WARN_AE, "",
	    "VACUUM without FULL lets traffic through; pg_repack gives the space back beside it"};
	if (!each_table(run, words, &what, "is written anew with all its indexes"))
		warn_add(run, &what, "every table is written anew, while its reads and writes wait");
}

static void cluster(struct warn_run *run, struct warn_words *words)
{
	struct warn_what what = {"cluster", WARN_BLOCKS, WARN_WORK_REWRITE, WARN_AE, "",
	    "pg_repack orders a table beside traffic"};
	takes_option(words, "verbose");
	words_take(words, "verbose");
	if (!each_table(run, words, &what, "is written anew with all its indexes"))
		warn_add(
		    run, &what, "every clustered table is written anew, while its reads and writes wait");
}

static void reindex(struct warn_run *run, struct warn_words *words)
{
	static const char *const kinds[] = {"index", "table", "schema", "database", "system"};
	struct warn_name name = {.name = ""};
	bool concurrently = takes_option(words, "concurrently");

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!words_take(words, kinds[i]))
			continue;
		concurrently = words_take(words, "concurrently") || concurrently;
		words_name(words, &name);
		if (concurrently || warn_is_new(run, &name))
			return;
		warn_add(run,
		    &(struct warn_what){"reindex", WARN_BLOCKS, WARN_WORK_INDEX, WARN_SH, name.shown,
			"REINDEX ... CONCURRENTLY, in a section with transaction:false hold:none"},
		    "writes to the table wait while the index is built anew, and so does every query that is "
		    "planned with "
		    "it (AccessExclusiveLock on the index)");
	}
}

static void truncate_tables(struct warn_run *run, struct warn_words *words)
{
	words_take(words, "table");
	bool cascade = words_have(*words, "cascade", NULL);
	while (!words_end(words)) {
		struct warn_name table;
		struct warn_words part = words_until_comma(words);
		if (!words_table(&part, &table) || warn_is_new(run, &table))
			continue;
		warn_add(run,
		    &(struct warn_what){"truncate", WARN_LOSES, WARN_WORK_NONE, WARN_AE, table.shown, NULL},
		    "all rows of %s go, and no down section brings them back; its reads and writes wait%s",
		    table.shown, cascade ? "; CASCADE empties every table that refers to it, too" : "");
		warn_locked(run, &table);
	}
}

static void lock_table(struct warn_run *run, struct warn_words *words)
{
	static const struct {
		const char *phrase, *lock, *who;
	} modes[] = {
	    {"in exclusive mode", "ExclusiveLock", "writes to"},
	    {"in share row exclusive mode", WARN_SRE, "writes to"}, {"in share mode", WARN_SH, "writes to"},
	    {"in access exclusive mode", WARN_AE, "reads and writes of"},
	    {"in", NULL, NULL}, /* the rest stops neither reads nor writes */
	};
	const char *lock = WARN_AE, *who = "reads and writes of";

	words_take(words, "table");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!words_have(*words, modes[i].phrase, NULL))
			continue;
		lock = modes[i].lock;
		who = modes[i].who;
		break;
	}
	while (lock != NULL && !words_end(words)) {
		struct warn_name table;
		struct warn_words part = words_until_comma(words);
		if (!words_table(&part, &table) || warn_is_new(run, &table))
			continue;
		warn_add(run,
		    &(struct warn_what){"lock-table", WARN_BLOCKS, WARN_WORK_NONE, lock, table.shown, NULL},
		    "%s %s wait, from here to the transaction's end", who, table.shown);
		if (strcmp(lock, WARN_AE) == 0)
			warn_locked(run, &table);
	}
}

static void refresh(struct warn_run *run, struct warn_words *words)
{
	struct warn_name view;
	words_take_all(words, "materialized view");
	if (words_take(words, "concurrently") || !words_name(words, &view) || warn_is_new(run, &view))
		return;
	warn_add(run,
	    &(struct warn_what){"refresh-view", WARN_BLOCKS, WARN_WORK_REWRITE, WARN_AE, view.shown,
		"REFRESH MATERIALIZED VIEW CONCURRENTLY (it needs a unique index)"},
	    "reads of %s wait until it is made anew", view.shown);
	warn_locked(run, &view);
}

static void write_rows(struct warn_run *run, struct warn_words *words, bool updates)
{
	struct warn_name table;

	if (!updates)
		words_take(words, "from");
	if (!words_table(words, &table) || warn_is_new(run, &table))
		return;
	if (run->locked.count > 0 && !run->told_data) {
		run->told_data = true;
		warn_add(run,
		    &(struct warn_what){"data-under-lock", WARN_BLOCKS, WARN_WORK_UNKNOWN, NULL, table.shown,
			"change data in a migration of its own"},
		    "rows of %s are changed while reads and writes of %s wait", table.shown,
		    run->locked.at[0].shown);
	}
	if (words_have(*words, "where", NULL))
		return;
	warn_add(run,
	    &(struct warn_what){updates ? "update-all-rows" : "delete-all-rows",
		updates ? WARN_BLOCKS : WARN_LOSES, WARN_WORK_SCAN, "RowExclusiveLock", table.shown,
		"in batches with a WHERE, in sections with transaction:false hold:none"},
	    updates
		? "every row of %s is written: changes of the same rows wait until the transaction's end, "
		  "and the "
		  "table grows by as much"
		: "all rows of %s go, and no down section brings them back; changes of them wait until the "
		  "transaction's end",
	    table.shown);
}

static void revoke(struct warn_run *run, struct warn_words *words)
{
	if (!words_have(*words, "on", NULL))
		return;
	warn_add(run,
	    &(struct warn_what){
		"revoke", WARN_BREAKS, WARN_WORK_NONE, NULL, "", "release clients that do without it first"},
	    "clients that use what is revoked get errors (42501)");
}

void warn_statement(struct warn_run *run, struct warn_words *words)
{
	if (words_take(words, "alter"))
		alter(run, words);
	else if (words_take(words, "create"))
		create(run, words);
	else if (words_take(words, "drop"))
		warn_drop(run, words);
	else if (words_take(words, "vacuum"))
		vacuum(run, words);
	else if (words_take(words, "cluster"))
		cluster(run, words);
	else if (words_take(words, "reindex"))
		reindex(run, words);
	else if (words_take(words, "truncate"))
		truncate_tables(run, words);
	else if (words_take(words, "lock"))
		lock_table(run, words);
	else if (words_take(words, "refresh"))
		refresh(run, words);
	else if (words_take(words, "update"))
		write_rows(run, words, true);
	else if (words_take(words, "delete"))
		write_rows(run, words, false);
	else if (words_take(words, "revoke"))
		revoke(run, words);
}
