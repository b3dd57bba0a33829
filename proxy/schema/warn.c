/* A run of sections: what they created, what their transactions hold, and the warnings they get. */
#include "schema/warn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "warn_private.h"

const char *warn_kind_name(enum warn_kind kind)
{
	switch (kind) {
	case WARN_BLOCKS:
		return "blocks";
	case WARN_BREAKS:
		return "breaks";
	case WARN_LOSES:
		return "loses data";
	case WARN_FAILS:
		return "may fail";
	}
	return "";
}

void warnings_free(struct warnings *warnings)
{
	for (unsigned i = 0; i < warnings->count; i++) {
		mem_free(&warnings->at[i].object);
		mem_free(&warnings->at[i].text);
		mem_free(&warnings->at[i].advice);
	}
	mem_free(&warnings->at);
	*warnings = (struct warnings){.count = 0};
}

void warn_add(struct warn_run *run, const struct warn_what *what, const char *format, ...)
{
	struct warnings *out = run->out;
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (out->count == out->room) {
		out->room = out->room == 0 ? 8 : out->room * 2;
		out->at = mem_realloc(out->at, out->room * sizeof(out->at[0]));
	}
	out->at[out->count++] = (struct warning){
	    .rule = what->rule,
	    .kind = what->kind,
	    .work = what->work,
	    .lock = what->lock,
	    .object = mem_strdup(what->object != NULL ? what->object : ""),
	    .text = mem_strdup(text != NULL ? text : ""),
	    .advice = what->advice != NULL ? mem_strdup(what->advice) : NULL,
	    .statement = run->place,
	    .line = run->statement->line,
	};
	free(text);
}

/* ---- names ---- */

bool warn_same(const struct warn_name *a, const struct warn_name *b)
{
	return strcmp(a->name, b->name) == 0 &&
	    (a->schema[0] == '\0' || b->schema[0] == '\0' || strcmp(a->schema, b->schema) == 0);
}

/* What a migration names is bounded by its size, and the look-up by this: past it things count as old. */
#define NAMES_MOST 10000

void warn_names_add(struct warn_names *names, const struct warn_name *name)
{
	if (names->count == NAMES_MOST)
		return;
	if (names->count == names->room) {
		names->room = names->room == 0 ? 16 : names->room * 2;
		names->at = mem_realloc(names->at, names->room * sizeof(names->at[0]));
	}
	names->at[names->count++] = *name;
}

bool warn_names_has(const struct warn_names *names, const struct warn_name *name)
{
	for (unsigned i = 0; i < names->count; i++)
		if (warn_same(&names->at[i], name))
			return true;
	return false;
}

static void names_clear(struct warn_names *names)
{
	mem_free(&names->at);
	*names = (struct warn_names){.count = 0};
}

bool warn_is_new(const struct warn_run *run, const struct warn_name *name)
{
	return strcmp(name->schema, "pg_temp") == 0 || warn_names_has(&run->created, name);
}

char warn_relation_kind(const struct warn_run *run, const struct warn_name *name)
{
	const struct warn_facts *facts = run->facts;
	if (facts == NULL || facts->relation_kind == NULL)
		return 0;
	return facts->relation_kind(name->schema, name->name, facts->arg);
}

/* ---- the transaction ---- */

static void transaction_begins(struct warn_run *run, bool in_transaction)
{
	run->in_transaction = in_transaction;
	run->told_many = false;
	run->told_data = false;
	names_clear(&run->locked);
	names_clear(&run->unvalidated);
	names_clear(&run->enum_values);
}

void warn_locked(struct warn_run *run, const struct warn_name *table)
{
	if (!run->in_transaction || warn_is_new(run, table) || warn_names_has(&run->locked, table))
		return;
	warn_names_add(&run->locked, table);
	if (run->locked.count < 2 || run->told_many)
		return;
	run->told_many = true;
	warn_add(run,
	    &(struct warn_what){"many-tables", WARN_BLOCKS, WARN_WORK_NONE, WARN_AE, table->shown,
		"one migration a table: each then lets go of its lock before the next is waited for"},
	    "reads and writes of %s wait too, from here to the transaction's end, beside those of %s: "
	    "whoever "
	    "uses them in the other order deadlocks with it",
	    table->shown, run->locked.at[0].shown);
}

static bool literal_stands_in(const struct split_statement *statement, const char *literal)
{
	const char *s = statement->text, *end = s + statement->size;
	size_t n = strlen(literal);

	while ((s = memmem(s, (size_t)(end - s), literal, n)) != NULL) {
		if (s > statement->text && s[-1] == '\'' && s + n < end && s[n] == '\'')
			return true;
		s++;
	}
	return false;
}

/* PostgreSQL refuses a value that its own transaction added to an enum that is older than it. */
static void look_for_enum_values(struct warn_run *run)
{
	for (unsigned i = 0; i < run->enum_values.count; i++) {
		const struct warn_name *value = &run->enum_values.at[i];
		if (!literal_stands_in(run->statement, value->name))
			continue;
		warn_add(run,
		    &(struct warn_what){"enum-value-used", WARN_FAILS, WARN_WORK_NONE, NULL, value->shown,
			"add the value in a migration of its own, before this one"},
		    "'%s' was added to the enum %s in this transaction and cannot be used before its end "
		    "(55P04)",
		    value->name, value->shown);
		run->enum_values.at[i] = run->enum_values.at[--run->enum_values.count];
		return;
	}
}

static void look_for_unlocking(struct warn_run *run)
{
	static const char call[] = "pg_advisory_unlock_all";
	const struct split_statement *statement = run->statement;
	bool discards = statement->command != NULL && strcmp(statement->command, "DISCARD ALL") == 0;

	if (!discards && memmem(statement->text, statement->size, call, sizeof(call) - 1) == NULL)
		return;
	warn_add(run,
	    &(struct warn_what){"unlocks", WARN_FAILS, WARN_WORK_NONE, NULL, "",
		"leave it out: every migration begins with a session as fresh as a new one"},
	    "%s lets go of the lock of the run itself, which then fails", discards ? "DISCARD ALL" : call);
}

static void run_statement(struct warn_run *run)
{
	const struct split_statement *statement = run->statement;

	switch (statement->kind) {
	case SPLIT_BEGIN:
		transaction_begins(run, true);
		return;
	case SPLIT_COMMIT:
	case SPLIT_ROLLBACK:
		transaction_begins(run, false);
		return;
	case SPLIT_SAVEPOINT:
		return;
	case SPLIT_ORDINARY:
	case SPLIT_ALONE:
	case SPLIT_COPY_IN:
		break;
	}
	look_for_unlocking(run);
	look_for_enum_values(run);
	/* Data is not worth its tokens. */
	if (statement->kind == SPLIT_COPY_IN ||
	    (statement->size > 6 && strncasecmp(statement->text, "insert", 6) == 0))
		return;
	struct warn_tokens tokens = warn_tokens(statement->text, statement->size);
	struct warn_words words = {.text = statement->text, .at = tokens.at, .end = tokens.count};
	warn_statement(run, &words);
	mem_free(&tokens.at);
}

/* Outside a transaction each statement stays when the next fails. */
static void look_at_outside(struct warn_run *run, const struct split *statements)
{
	unsigned count = 0;
	for (unsigned i = 0; i < statements->count; i++) {
		enum split_kind kind = statements->at[i].kind;
		if (kind == SPLIT_BEGIN || kind == SPLIT_COMMIT || kind == SPLIT_ROLLBACK)
			return;
		count++;
		run->statement = &statements->at[i];
		run->place = i;
		if (count == 2) {
			warn_add(run,
			    &(struct warn_what){"outside-several", WARN_FAILS, WARN_WORK_NONE, NULL, "",
				"one statement a migration where it cannot be in a transaction"},
			    "%u statements outside a transaction: when this one fails, what came before it "
			    "stays, "
			    "and the run is left half way",
			    statements->count);
			return;
		}
	}
}

struct warn_run *warn_begin(const struct warn_facts *facts)
{
	struct warn_run *run = mem_zalloc(sizeof(*run));
	run->facts = facts;
	return run;
}

void warn_section(struct warn_run *run, const struct split *statements, bool outside, struct warnings *out)
{
	run->out = out;
	transaction_begins(run, !outside);
	if (outside)
		look_at_outside(run, statements);
	for (unsigned i = 0; i < statements->count; i++) {
		run->statement = &statements->at[i];
		run->place = i;
		run_statement(run);
	}
}

void warn_end(struct warn_run **run)
{
	if (*run == NULL)
		return;
	transaction_begins(*run, false);
	names_clear(&(*run)->created);
	names_clear(&(*run)->not_null_checks);
	mem_free(run);
}
