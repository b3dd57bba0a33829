/* A statement as words. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "warn_private.h"

struct warn_tokens warn_tokens(const char *text, size_t size)
{
	struct split_lexer lexer = {.text = text, .size = size};
	struct warn_tokens out = {.count = 0};
	unsigned room = 0;

	for (;;) {
		struct split_token token = split_next(&lexer);
		if (token.kind == SPLIT_TOKEN_END || token.kind == SPLIT_TOKEN_BROKEN)
			return out;
		if (out.count == room) {
			room = room == 0 ? 32 : room * 2;
			out.at = mem_realloc(out.at, room * sizeof(out.at[0]));
		}
		out.at[out.count++] = token;
	}
}

bool words_end(const struct warn_words *words)
{
	return words->place >= words->end;
}

bool words_is(const struct warn_words *words, const char *word)
{
	const struct split_token *token = words->at + words->place;
	return !words_end(words) && token->kind == SPLIT_TOKEN_WORD && words_is_text(words, word);
}

bool words_is_text(const struct warn_words *words, const char *text)
{
	const struct split_token *token = words->at + words->place;
	size_t n = strlen(text);
	return !words_end(words) && token->end - token->start == n &&
	    strncasecmp(words->text + token->start, text, n) == 0;
}

bool words_take(struct warn_words *words, const char *word)
{
	if (!words_is(words, word))
		return false;
	words->place++;
	return true;
}

bool words_take_all(struct warn_words *words, const char *phrase)
{
	struct warn_words ahead = *words;

	for (const char *s = phrase; *s != '\0';) {
		char word[32];
		size_t n = strcspn(s, " ");
		snprintf(word, sizeof(word), "%.*s", (int)n, s);
		if (!words_take(&ahead, word))
			return false;
		s += n;
		s += *s == ' ';
	}
	*words = ahead;
	return true;
}

void words_skip(struct warn_words *words)
{
	unsigned depth = 0;

	while (!words_end(words)) {
		enum split_token_kind kind = words->at[words->place++].kind;
		if (kind == SPLIT_TOKEN_OPEN)
			depth++;
		else if (kind == SPLIT_TOKEN_CLOSE && depth > 0)
			depth--;
		if (depth == 0)
			return;
	}
}

struct warn_words words_until_comma(struct warn_words *words)
{
	struct warn_words part = *words;

	while (!words_end(words) && !words_is_text(words, ","))
		words_skip(words);
	part.end = words->place;
	if (!words_end(words))
		words->place++;
	return part;
}

bool words_have(struct warn_words words, const char *phrase, struct warn_words *behind)
{
	for (; !words_end(&words); words_skip(&words)) {
		struct warn_words ahead = words;
		if (!words_take_all(&ahead, phrase))
			continue;
		if (behind != NULL)
			*behind = ahead;
		return true;
	}
	return false;
}

/* One part of a name, as PostgreSQL folds it. */
static bool name_part(struct warn_words *words, char *out, size_t room)
{
	if (words_end(words))
		return false;
	const struct split_token *token = words->at + words->place;
	const char *s = words->text + token->start, *end = words->text + token->end;
	size_t n = 0;
	if (token->kind == SPLIT_TOKEN_WORD) {
		for (; s < end && n < room - 1; s++)
			out[n++] = *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;
	} else if (token->kind == SPLIT_TOKEN_QUOTED && *s == '"') {
		for (s++, end--; s < end && n < room - 1; s++) {
			out[n++] = *s;
			s += *s == '"'; /* doubled */
		}
	} else {
		return false;
	}
	out[n] = '\0';
	words->place++;
	return true;
}

bool words_name(struct warn_words *words, struct warn_name *out)
{
	*out = (struct warn_name){.schema = ""};
	if (!name_part(words, out->name, sizeof(out->name)))
		return false;
	while (words_is_text(words, ".")) {
		char next[sizeof(out->name)];
		struct warn_words ahead = *words;
		ahead.place++;
		if (!name_part(&ahead, next, sizeof(next)))
			break;
		*words = ahead;
		memcpy(out->schema, out->name, sizeof(out->schema));
		memcpy(out->name, next, sizeof(out->name));
	}
	snprintf(out->shown, sizeof(out->shown), "%s%s%s", out->schema, out->schema[0] == '\0' ? "" : ".",
	    out->name);
	return true;
}

bool words_table(struct warn_words *words, struct warn_name *out)
{
	words_take(words, "only");
	bool parenthesis = words_is_text(words, "(");
	words->place += parenthesis;
	bool named = words_name(words, out);
	words->place += parenthesis && words_is_text(words, ")");
	words->place += words_is_text(words, "*");
	return named;
}
