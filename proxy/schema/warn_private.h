/* How warnings are made: a statement as words, and the run it belongs to. */
#ifndef SCHEMA_WARN_PRIVATE_H
#define SCHEMA_WARN_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/warn.h"
#include "split_private.h"

/* ---- words (warn_words.c) ---- */

/* A stretch of tokens; a copy is a place to come back to. */
struct warn_words {
	const char *text;
	const struct split_token *at;
	unsigned place, end;
};
struct warn_tokens {
	struct split_token *at;
	unsigned count;
};
/* The tokens of a statement, to be freed with mem_free(&tokens.at). */
struct warn_tokens warn_tokens(const char *text, size_t size);

bool words_end(const struct warn_words *words);
bool words_is(const struct warn_words *words, const char *word);
bool words_is_text(const struct warn_words *words, const char *text); /* of any token, its case ignored */
bool words_take(struct warn_words *words, const char *word);
/* Takes words that stand one after the other ("if exists"), all or none. */
bool words_take_all(struct warn_words *words, const char *phrase);
/* One token, or all of a parenthesis. */
void words_skip(struct warn_words *words);
/* What is left up to the next comma outside parentheses, which is stepped over too. */
struct warn_words words_until_comma(struct warn_words *words);
/* Does the phrase stand anywhere outside parentheses? *behind (or NULL): what follows it. */
bool words_have(struct warn_words words, const char *phrase, struct warn_words *behind);

/* A name as PostgreSQL folds it: without quotes, else in lower case. */
struct warn_name {
	char schema[128], name[128]; /* schema "" where none was written; cut to the room, for messages */
	char shown[260];
};
/* Takes one that may be qualified. False: there is none. */
bool words_name(struct warn_words *words, struct warn_name *out);
/* "ONLY t *" too. */
bool words_table(struct warn_words *words, struct warn_name *out);

/* ---- types (warn_types.c) ---- */

enum warn_change {
	WARN_CHANGE_FREE,    /* nothing is written */
	WARN_CHANGE_ZONE,    /* nothing, with TimeZone at UTC; else all */
	WARN_CHANGE_REWRITE, /* all rows and indexes are */
	WARN_CHANGE_UNKNOWN,
};
/* Types as somebody writes them; from NULL: not known. */
enum warn_change warn_type_change(const char *from, const char *to);
/* The words of a type, one blank between words, none elsewhere; cut to the room. */
void warn_type_text(struct warn_words words, char *out, size_t room);
/* 'i', 's', 'v' as pg_proc says it, 0: not known. */
char warn_function_volatility(const char *name);

/* ---- the run (warn.c) ---- */

struct warn_names {
	struct warn_name *at;
	unsigned count, room;
};

struct warn_run {
	const struct warn_facts *facts; /* or NULL */
	struct warn_names created;
	/* of the transaction */
	bool in_transaction;
	struct warn_names locked; /* tables with AccessExclusive */
	bool told_many, told_data;
	struct warn_names unvalidated; /* table as schema + name; constraints NOT VALID */
	struct warn_names enum_values; /* literals, in name */
	/* of the table: CHECK (x IS NOT NULL) that were validated, in name the column, in schema the table */
	struct warn_names not_null_checks;
	/* of the statement */
	const struct split_statement *statement;
	unsigned place;
	struct warnings *out;
};

bool warn_same(const struct warn_name *a, const struct warn_name *b);
void warn_names_add(struct warn_names *names, const struct warn_name *name);
bool warn_names_has(const struct warn_names *names, const struct warn_name *name);
/* Was it created in this run? */
bool warn_is_new(const struct warn_run *run, const struct warn_name *name);
char warn_relation_kind(const struct warn_run *run, const struct warn_name *name);
/* AccessExclusive on a table that was there before: several of them in one transaction are worth a word. */
void warn_locked(struct warn_run *run, const struct warn_name *table);

struct warn_what {
	const char *rule;
	enum warn_kind kind;
	enum warn_work work;
	const char *lock;
	const char *object;
	const char *advice; /* or NULL */
};
void warn_add(struct warn_run *run, const struct warn_what *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define WARN_AE  "AccessExclusiveLock"
#define WARN_SRE "ShareRowExclusiveLock"
#define WARN_SH  "ShareLock"

/* The words stand behind ALTER TABLE (or MATERIALIZED VIEW, FOREIGN TABLE). */
void warn_alter_table(struct warn_run *run, struct warn_words *words); /* warn_table.c */
void warn_add_column(struct warn_run *run, const struct warn_name *table, struct warn_words *words);
/* The words stand behind ADD and an optional CONSTRAINT name (in *constraint, name "" for none). False: it
 * is no constraint. */
bool warn_add_constraint(struct warn_run *run, const struct warn_name *table,
    const struct warn_name *constraint, struct warn_words *words);   /* warn_constraint.c */
void warn_statement(struct warn_run *run, struct warn_words *words); /* warn_statement.c */
bool warn_drop(struct warn_run *run, struct warn_words *words);      /* warn_drop.c: behind DROP */

#endif
