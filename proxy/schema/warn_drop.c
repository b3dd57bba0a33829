/* DROP. */
#include <string.h>

#include "warn_private.h"

static const struct {
	const char *words, *shown;
	bool data; /* goes with it */
} drop_kinds[] = {
    {"table", "table", true},
    {"foreign table", "foreign table", false},
    {"materialized view", "materialized view", false},
    {"view", "view", false},
    {"sequence", "sequence", true},
    {"schema", "schema", true},
    {"type", "type", false},
    {"domain", "domain", false},
    {"function", "function", false},
    {"procedure", "procedure", false},
    {"routine", "routine", false},
    {"aggregate", "aggregate", false},
    {"extension", "extension", true},
};

static void drop_index(struct warn_run *run, struct warn_words *words)
{
	bool concurrently = words_take(words, "concurrently");

	words_take_all(words, "if exists");
	while (!words_end(words)) {
		struct warn_name index;
		struct warn_words part = words_until_comma(words);
		if (!words_name(&part, &index) || concurrently || warn_is_new(run, &index))
			continue;
		if (warn_relation_kind(run, &index) == 'I') {
			warn_add(run,
			    &(struct warn_what){
				"drop-index", WARN_BLOCKS, WARN_WORK_NONE, WARN_AE, index.shown, NULL},
			    "reads and writes of the partitioned table and all its partitions wait, from "
			    "here to the "
			    "transaction's end (there is no CONCURRENTLY for it)");
			continue;
		}
		warn_add(run,
		    &(struct warn_what){"drop-index", WARN_BLOCKS, WARN_WORK_NONE, WARN_AE, index.shown,
			"DROP INDEX CONCURRENTLY, in a section with transaction:false"},
		    "reads and writes of its table wait, from here to the transaction's end, and for "
		    "whatever query uses "
		    "that table now");
	}
}

static bool is_name_of_something(const struct warn_words *words)
{
	return !words_end(words) && !words_is(words, "cascade") && !words_is(words, "restrict");
}

bool warn_drop(struct warn_run *run, struct warn_words *words)
{
	size_t kind = 0;

	if (words_take(words, "index")) {
		drop_index(run, words);
		return true;
	}
	while (kind < sizeof(drop_kinds) / sizeof(drop_kinds[0]) &&
	    !words_take_all(words, drop_kinds[kind].words))
		kind++;
	if (kind == sizeof(drop_kinds) / sizeof(drop_kinds[0]))
		return false;
	words_take_all(words, "if exists");
	bool cascade = words_have(*words, "cascade", NULL),
	     table = strcmp(drop_kinds[kind].shown, "table") == 0;
	while (is_name_of_something(words)) {
		struct warn_name name;
		struct warn_words part = words_until_comma(words);
		if (!words_name(&part, &name) || warn_is_new(run, &name))
			continue;
		if (table)
			warn_locked(run, &name);
		warn_add(run,
		    &(struct warn_what){table ? "drop-table" : "drop-object", WARN_BREAKS, WARN_WORK_NONE,
			table ? WARN_AE : NULL, name.shown,
			cascade
			    ? "name what goes, without CASCADE; and release clients that do not use it first"
			    : "release clients that do not use it first, and drop it in a later migration"},
		    "clients that use the %s %s get errors%s%s", drop_kinds[kind].shown, name.shown,
		    drop_kinds[kind].data ? "; its data goes, and no down section brings it back" : "",
		    cascade ? "; CASCADE takes along whatever depends on it, named here or not" : "");
	}
	return true;
}
