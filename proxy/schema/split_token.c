#include "split_private.h"

#include <string.h>
#include <strings.h>

static bool split_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool split_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool split_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static char split_peek(const struct split_lexer *lexer, size_t ahead)
{
	return ahead < lexer->size - lexer->at ? lexer->text[lexer->at + ahead] : '\0';
}

static void split_step(struct split_lexer *lexer)
{
	if (lexer->text[lexer->at++] == '\n')
		lexer->line++;
}

static void split_step_to(struct split_lexer *lexer, size_t to)
{
	const char *s = lexer->text + lexer->at;

	while ((s = memchr(s, '\n', (size_t)(lexer->text + to - s))) != NULL) {
		lexer->line++;
		s++;
	}
	lexer->at = to;
}

/* A comment to the line's end; \r ends a line for PostgreSQL too. */
static void split_line_comment(struct split_lexer *lexer)
{
	while (lexer->at < lexer->size && lexer->text[lexer->at] != '\n' && lexer->text[lexer->at] != '\r')
		lexer->at++;
}

static bool split_block_comment(struct split_lexer *lexer)
{
	unsigned depth = 0;

	do {
		if (lexer->at == lexer->size)
			return false;
		char c = split_peek(lexer, 0), next = split_peek(lexer, 1);
		if (c == '/' && next == '*') {
			depth++;
			lexer->at += 2;
		} else if (c == '*' && next == '/') {
			depth--;
			lexer->at += 2;
		} else {
			split_step(lexer);
		}
	} while (depth > 0);
	return true;
}

/* Blanks and comments. False: a comment that never ends, *began is where it began. */
static bool split_gap(struct split_lexer *lexer, struct split_token *began)
{
	while (lexer->at < lexer->size) {
		char c = split_peek(lexer, 0), next = split_peek(lexer, 1);
		*began = (struct split_token){
		    .kind = SPLIT_TOKEN_BROKEN, .start = lexer->at, .end = lexer->size, .line = lexer->line};
		if (split_blank(c))
			split_step(lexer);
		else if (c == '-' && next == '-')
			split_line_comment(lexer);
		else if (c == '/' && next == '*') {
			if (!split_block_comment(lexer))
				return false;
		} else
			break;
	}
	return true;
}

/* After the closing quote: does a further '…' behind a line end continue it? The server keeps the rules of
 * the first part (so \' in the second part of an E'…' is an escape); psql, which sees one line at a time,
 * forgets them, and what it then splits the server refuses. */
static bool split_continues(struct split_lexer *lexer)
{
	struct split_lexer ahead = *lexer;
	bool line_end = false;

	for (;;) {
		char c = split_peek(&ahead, 0);
		if (ahead.at == ahead.size)
			return false;
		if (split_blank(c)) {
			line_end = line_end || c == '\n' || c == '\r';
			split_step(&ahead);
		} else if (c == '-' && split_peek(&ahead, 1) == '-') {
			split_line_comment(&ahead);
		} else {
			break;
		}
	}
	if (!line_end || split_peek(&ahead, 0) != '\'')
		return false;
	ahead.at++;
	*lexer = ahead;
	return true;
}

/* From behind the opening quote to behind the closing one. */
static bool split_quoted(struct split_lexer *lexer, char quote, bool escapes)
{
	while (lexer->at < lexer->size) {
		char c = split_peek(lexer, 0);
		split_step(lexer);
		if (c == '\\' && escapes && lexer->at < lexer->size) {
			split_step(lexer);
		} else if (c == quote) {
			if (split_peek(lexer, 0) == quote)
				lexer->at++;
			else if (!escapes || !split_continues(lexer))
				return true;
		}
	}
	return false;
}

/* $tag$…$tag$. The lexer stands at the first $; 0: this is no dollar quote. */
static size_t split_dollar_tag(const struct split_lexer *lexer)
{
	size_t n = 1;

	if (split_letter(split_peek(lexer, 1)))
		while (split_letter(split_peek(lexer, n)) || split_digit(split_peek(lexer, n)))
			n++;
	return split_peek(lexer, n) == '$' ? n + 1 : 0;
}

static bool split_dollar(struct split_lexer *lexer, size_t tag)
{
	const char *open = lexer->text + lexer->at;
	size_t rest = lexer->size - lexer->at - tag;
	const char *close = memmem(open + tag, rest, open, tag);

	split_step_to(lexer, close == NULL ? lexer->size : (size_t)(close - lexer->text) + tag);
	return close != NULL;
}

static void split_identifier(struct split_lexer *lexer)
{
	while (split_letter(split_peek(lexer, 0)) || split_digit(split_peek(lexer, 0)) ||
	    (split_peek(lexer, 0) == '$'))
		lexer->at++;
}

static void split_digits(struct split_lexer *lexer)
{
	while (split_digit(split_peek(lexer, 0)))
		lexer->at++;
}

static void split_number(struct split_lexer *lexer)
{
	split_digits(lexer);
	if (split_peek(lexer, 0) == '.' && split_peek(lexer, 1) != '.') { /* 1..10 is 1, .., 10 */
		lexer->at++;
		split_digits(lexer);
	}
	char e = split_peek(lexer, 0), sign = split_peek(lexer, 1);
	if ((e == 'e' || e == 'E') && (sign == '+' || sign == '-')) {
		lexer->at += 2; /* 1e- is one broken number to the server, even before a further - */
		split_digits(lexer);
	}
	/* What hangs on to a number belongs to it: 0x1F, 1_000, and the junk that the server refuses. The e
	 * of 1e'…' must not begin an E'…'. */
	if (split_letter(split_peek(lexer, 0)))
		split_identifier(lexer);
}

/* What the bytes at the lexer begin, as quotes go: how many bytes to the end of the opening quote, 0 for
 * none.
 */
static size_t split_quote_at(const struct split_lexer *lexer, char *quote, bool *escapes)
{
	char c = split_peek(lexer, 0), next = split_peek(lexer, 1);

	*escapes = false;
	if (c == '\'' || c == '"') {
		*quote = c;
		return 1;
	}
	if (next == '\'' && c != '\0' && strchr("eEbBxXnN", c) != NULL) {
		*quote = next;
		*escapes = c == 'e' || c == 'E';
		return 2;
	}
	*quote = split_peek(lexer, 2);
	if ((c == 'u' || c == 'U') && next == '&' && (*quote == '\'' || *quote == '"'))
		return 3;
	return 0;
}

struct split_token split_next(struct split_lexer *lexer)
{
	struct split_token token;
	char quote;
	bool escapes, whole = true;

	if (!split_gap(lexer, &token)) {
		lexer->broken = "a comment /* never ends";
		return token;
	}
	token = (struct split_token){.start = lexer->at, .line = lexer->line};
	if (lexer->at == lexer->size) {
		token.end = lexer->at;
		return token;
	}
	size_t open = split_quote_at(lexer, &quote, &escapes), tag = 0;
	char c = split_peek(lexer, 0);
	if (c == '$')
		tag = split_dollar_tag(lexer);
	if (open > 0) {
		token.kind = SPLIT_TOKEN_QUOTED;
		lexer->at += open;
		whole = split_quoted(lexer, quote, escapes);
		lexer->broken =
		    quote == '"' ? "a quoted identifier \"… never ends" : "a string '… never ends";
	} else if (tag > 0) {
		token.kind = SPLIT_TOKEN_QUOTED;
		whole = split_dollar(lexer, tag);
		lexer->broken = "a dollar-quoted string $…$ never ends";
	} else if (split_letter(c)) {
		token.kind = SPLIT_TOKEN_WORD;
		split_identifier(lexer);
	} else if (split_digit(c)) {
		token.kind = SPLIT_TOKEN_OTHER;
		split_number(lexer);
	} else {
		token.kind = c == '(' ? SPLIT_TOKEN_OPEN
		    : c == ')'        ? SPLIT_TOKEN_CLOSE
		    : c == ';'        ? SPLIT_TOKEN_SEMICOLON
		    : c == '\\'       ? SPLIT_TOKEN_BACKSLASH
				      : SPLIT_TOKEN_OTHER;
		lexer->at++;
		if (c == '$' && split_digit(split_peek(lexer, 0)))
			split_number(lexer);
	}
	if (!whole)
		token.kind = SPLIT_TOKEN_BROKEN;
	token.end = lexer->at;
	return token;
}

bool split_word_is(const struct split_lexer *lexer, const struct split_token *token, const char *word)
{
	size_t n = strlen(word);

	return token->kind == SPLIT_TOKEN_WORD && token->end - token->start == n &&
	    strncasecmp(lexer->text + token->start, word, n) == 0;
}
