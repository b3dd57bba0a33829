/* What a statement is, by its leading words. The list of what PostgreSQL refuses in a transaction block is
 * that of PreventInTransactionBlock() in its sources (13 to 18). */
#include <string.h>
#include <strings.h>

#include "split_private.h"

struct split_phrase {
	struct split_lexer lexer;
	struct split_token token;
};

static void phrase_next(struct split_phrase *phrase)
{
	phrase->token = split_next(&phrase->lexer);
}

static bool phrase_is(const struct split_phrase *phrase, const char *word)
{
	return split_word_is(&phrase->lexer, &phrase->token, word);
}

static bool phrase_take(struct split_phrase *phrase, const char *word)
{
	if (!phrase_is(phrase, word))
		return false;
	phrase_next(phrase);
	return true;
}

static bool phrase_ends(const struct split_phrase *phrase)
{
	return phrase->token.kind == SPLIT_TOKEN_END;
}

static bool text_is(const struct split_phrase *phrase, const char *text)
{
	const struct split_token *token = &phrase->token;
	size_t n = strlen(text);

	return token->end - token->start == n && strncasecmp(phrase->lexer.text + token->start, text, n) == 0;
}

static bool phrase_is_false(const struct split_phrase *phrase)
{
	return text_is(phrase, "false") || text_is(phrase, "off") || text_is(phrase, "0") ||
	    text_is(phrase, "'false'") || text_is(phrase, "'off'");
}

/* Steps over a name, which may be qualified or quoted. */
static void phrase_name(struct split_phrase *phrase)
{
	phrase_next(phrase);
	while (text_is(phrase, ".")) {
		phrase_next(phrase);
		phrase_next(phrase);
	}
}

/* Steps over an option list in parentheses, if there is one. True: it switches `option` on. */
static bool phrase_options(struct split_phrase *phrase, const char *option)
{
	bool on = false;
	unsigned depth = 0;

	do {
		if (phrase->token.kind == SPLIT_TOKEN_OPEN)
			depth++;
		else if (phrase->token.kind == SPLIT_TOKEN_CLOSE && depth > 0)
			depth--;
		else if (depth == 0 || phrase_ends(phrase))
			return on;
		bool named = phrase_is(phrase, option);
		phrase_next(phrase);
		if (named)
			on = !phrase_is_false(phrase);
	} while (depth > 0);
	return on;
}

/* Is `option = false` (or off, 0) anywhere in the rest? */
static bool phrase_switches_off(struct split_phrase phrase, const char *option)
{
	while (!phrase_ends(&phrase)) {
		bool named = phrase_is(&phrase, option);
		phrase_next(&phrase);
		if (!named)
			continue;
		if (text_is(&phrase, "="))
			phrase_next(&phrase);
		if (phrase_is_false(&phrase))
			return true;
	}
	return false;
}

static bool phrase_has(struct split_phrase phrase, const char *first, const char *second)
{
	while (!phrase_ends(&phrase)) {
		if (phrase_take(&phrase, first)) {
			if (second == NULL || phrase_is(&phrase, second))
				return true;
		} else {
			phrase_next(&phrase);
		}
	}
	return false;
}

static const char *alone_create(struct split_phrase *p)
{
	if (phrase_is(p, "database"))
		return "CREATE DATABASE";
	if (phrase_is(p, "tablespace"))
		return "CREATE TABLESPACE";
	if (phrase_is(p, "subscription"))
		return phrase_switches_off(*p, "create_slot") || phrase_switches_off(*p, "connect")
		    ? NULL
		    : "CREATE SUBSCRIPTION";
	phrase_take(p, "unique");
	if (phrase_take(p, "index") && phrase_is(p, "concurrently"))
		return "CREATE INDEX CONCURRENTLY";
	return NULL;
}

static const char *alone_drop(struct split_phrase *p)
{
	if (phrase_is(p, "database"))
		return "DROP DATABASE";
	if (phrase_is(p, "tablespace"))
		return "DROP TABLESPACE";
	if (phrase_is(p, "subscription"))
		return "DROP SUBSCRIPTION";
	if (phrase_take(p, "index") && phrase_is(p, "concurrently"))
		return "DROP INDEX CONCURRENTLY";
	return NULL;
}

static const char *alone_alter(struct split_phrase *p)
{
	if (phrase_is(p, "system"))
		return "ALTER SYSTEM";
	if (phrase_take(p, "database")) {
		phrase_name(p);
		return phrase_take(p, "set") && phrase_is(p, "tablespace") ? "ALTER DATABASE SET TABLESPACE"
									   : NULL;
	}
	if (phrase_take(p, "table"))
		return phrase_has(*p, "detach", "partition") && phrase_has(*p, "concurrently", NULL)
		    ? "ALTER TABLE DETACH PARTITION CONCURRENTLY"
		    : NULL;
	if (phrase_take(p, "subscription")) {
		phrase_name(p);
		if (phrase_is(p, "refresh"))
			return "ALTER SUBSCRIPTION REFRESH";
		if ((phrase_take(p, "set") || phrase_take(p, "add") || phrase_take(p, "drop")) &&
		    phrase_is(p, "publication") && !phrase_switches_off(*p, "refresh"))
			return "ALTER SUBSCRIPTION PUBLICATION";
	}
	return NULL;
}

static const char *alone_reindex(struct split_phrase *p)
{
	bool concurrently = phrase_options(p, "concurrently");

	if (phrase_is(p, "database"))
		return "REINDEX DATABASE";
	if (phrase_is(p, "system"))
		return "REINDEX SYSTEM";
	if (phrase_is(p, "schema"))
		return "REINDEX SCHEMA";
	phrase_next(p);
	return concurrently || phrase_is(p, "concurrently") ? "REINDEX CONCURRENTLY" : NULL;
}

static const char *alone_cluster(struct split_phrase *p)
{
	phrase_options(p, "verbose");
	phrase_take(p, "verbose");
	return phrase_ends(p) ? "CLUSTER" : NULL;
}

static const char *alone_vacuum(struct split_phrase *p)
{
	(void)p;
	return "VACUUM";
}

static const char *alone_discard(struct split_phrase *p)
{
	return phrase_is(p, "all") ? "DISCARD ALL" : NULL;
}

/* A DO block that commits on its way: between its dollar quotes, COMMIT or ROLLBACK as PL/pgSQL's own
 * command. */
static const char *alone_do(struct split_phrase *p)
{
	while (
	    !phrase_ends(p) && (p->token.kind != SPLIT_TOKEN_QUOTED || p->lexer.text[p->token.start] != '$'))
		phrase_next(p);
	const char *text = p->lexer.text + p->token.start;
	size_t size = p->token.end - p->token.start;
	if (phrase_ends(p))
		return NULL;
	size_t tag = (size_t)((const char *)memchr(text + 1, '$', size - 1) - text) + 1;
	struct split_phrase body = {.lexer = {.text = text + tag, .size = size - 2 * tag}};
	bool begins = true;
	do {
		phrase_next(&body);
		if (begins && (phrase_is(&body, "commit") || phrase_is(&body, "rollback")))
			return "DO with COMMIT";
		begins = body.token.kind == SPLIT_TOKEN_SEMICOLON || phrase_is(&body, "begin") ||
		    phrase_is(&body, "then") || phrase_is(&body, "else") || phrase_is(&body, "loop");
	} while (!phrase_ends(&body) && body.token.kind != SPLIT_TOKEN_BROKEN);
	return NULL;
}

static const char *phrase_alone(struct split_phrase *p)
{
	static const struct {
		const char *word;
		const char *(*alone)(struct split_phrase *p);
	} rows[] = {
	    {"create", alone_create},
	    {"drop", alone_drop},
	    {"alter", alone_alter},
	    {"reindex", alone_reindex},
	    {"cluster", alone_cluster},
	    {"vacuum", alone_vacuum},
	    {"discard", alone_discard},
	    {"do", alone_do},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (phrase_take(p, rows[i].word))
			return rows[i].alone(p);
	return NULL;
}

/* COPY t (…) FROM STDIN; STDOUT means the same there, for PostgreSQL's grammar. */
static bool phrase_copies_in(struct split_phrase *p)
{
	unsigned depth = 0;

	for (; !phrase_ends(p); phrase_next(p)) {
		if (p->token.kind == SPLIT_TOKEN_OPEN)
			depth++;
		else if (p->token.kind == SPLIT_TOKEN_CLOSE && depth > 0)
			depth--;
		else if (depth == 0 && phrase_is(p, "from")) {
			phrase_next(p);
			return phrase_is(p, "stdin") || phrase_is(p, "stdout");
		}
	}
	return false;
}

static enum split_kind phrase_kind(struct split_phrase *p, const char **command)
{
	if (phrase_take(p, "begin")) {
		*command = "BEGIN";
		return SPLIT_BEGIN;
	}
	if (phrase_take(p, "start") && phrase_is(p, "transaction")) {
		*command = "START TRANSACTION";
		return SPLIT_BEGIN;
	}
	if (phrase_is(p, "commit") || phrase_is(p, "end")) {
		*command = phrase_is(p, "end") ? "END" : "COMMIT";
		phrase_next(p);
		if (!phrase_is(p, "prepared"))
			return SPLIT_COMMIT;
		*command = "COMMIT PREPARED";
		return SPLIT_ALONE;
	}
	if (phrase_take(p, "prepare") && phrase_is(p, "transaction")) {
		*command = "PREPARE TRANSACTION";
		return SPLIT_COMMIT;
	}
	if (phrase_is(p, "rollback") || phrase_is(p, "abort")) {
		*command = phrase_is(p, "abort") ? "ABORT" : "ROLLBACK";
		phrase_next(p);
		if (phrase_is(p, "prepared")) {
			*command = "ROLLBACK PREPARED";
			return SPLIT_ALONE;
		}
		if (!phrase_take(p, "work"))
			phrase_take(p, "transaction");
		if (!phrase_is(p, "to"))
			return SPLIT_ROLLBACK;
		*command = "ROLLBACK TO SAVEPOINT";
		return SPLIT_SAVEPOINT;
	}
	if (phrase_is(p, "savepoint") || phrase_is(p, "release")) {
		*command = phrase_is(p, "release") ? "RELEASE SAVEPOINT" : "SAVEPOINT";
		return SPLIT_SAVEPOINT;
	}
	if (phrase_take(p, "copy")) {
		if (!phrase_copies_in(p))
			return SPLIT_ORDINARY;
		*command = "COPY FROM STDIN";
		return SPLIT_COPY_IN;
	}
	*command = phrase_alone(p);
	return *command == NULL ? SPLIT_ORDINARY : SPLIT_ALONE;
}

void split_classify(struct split_statement *statement)
{
	struct split_phrase phrase = {.lexer = {.text = statement->text, .size = statement->size}};

	phrase_next(&phrase);
	statement->command = NULL;
	statement->kind = phrase_kind(&phrase, &statement->command);
}
