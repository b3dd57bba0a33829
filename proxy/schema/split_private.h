/* The tokens of SQL, as far as finding the ends of statements needs them. */
#ifndef SCHEMA_SPLIT_PRIVATE_H
#define SCHEMA_SPLIT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/split.h"

enum split_token_kind {
	SPLIT_TOKEN_END,
	SPLIT_TOKEN_WORD,   /* an identifier or keyword without quotes */
	SPLIT_TOKEN_QUOTED, /* a string or quoted identifier, with its prefix and quotes */
	SPLIT_TOKEN_OPEN,
	SPLIT_TOKEN_CLOSE,
	SPLIT_TOKEN_SEMICOLON,
	SPLIT_TOKEN_BACKSLASH,
	SPLIT_TOKEN_OTHER,  /* numbers, parameters, each byte of an operator */
	SPLIT_TOKEN_BROKEN, /* something never ends: lexer->broken says what, the token where it began */
};

struct split_token {
	enum split_token_kind kind;
	size_t start, end;
	unsigned line;
};

struct split_lexer {
	const char *text;
	size_t size, at;
	unsigned line;
	const char *broken;
};

/* The next token; blanks and comments before it are passed over. */
struct split_token split_next(struct split_lexer *lexer);
bool split_word_is(const struct split_lexer *lexer, const struct split_token *token, const char *word);

/* Sets kind and command from the statement's leading words. */
void split_classify(struct split_statement *statement);

#endif
