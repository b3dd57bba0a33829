#include "schema/split.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "split_private.h"

/* One statement in the making. */
struct split_state {
	struct split_lexer lexer;
	struct split_statement statement;
	bool begun;
	size_t piece;       /* where its piece begins */
	size_t last;        /* the end of its last token */
	unsigned open;      /* parentheses */
	unsigned open_line; /* where the outermost open one is */
	/* psql's way to know a function's BEGIN … END: the first words' initials, and how deep we are in it.
	 */
	char initials[4];
	unsigned words, body;
};

static bool split_fail(struct split_error *error, unsigned line, const char *text)
{
	error->line = line;
	snprintf(error->text, sizeof(error->text), "%s", text);
	return false;
}

static bool split_is_routine(const struct split_state *s)
{
	const char *i = s->initials;

	if (i[0] != 'c')
		return false;
	if (i[1] == 'o' && i[2] == 'r')
		return i[3] == 'f' || i[3] == 'p';
	return i[1] == 'f' || i[1] == 'p';
}

static void split_on_word(struct split_state *s, const struct split_token *token)
{
	static const char *const heading[] = {"create", "or", "replace", "function", "procedure"};

	if (s->words < sizeof(s->initials))
		for (size_t i = 0; i < sizeof(heading) / sizeof(heading[0]); i++)
			if (split_word_is(&s->lexer, token, heading[i]))
				s->initials[s->words] = heading[i][0];
	s->words++;
	if (s->open > 0 || !split_is_routine(s))
		return;
	if (split_word_is(&s->lexer, token, "begin"))
		s->body++;
	else if (split_word_is(&s->lexer, token, "case") && s->body > 0)
		s->body++; /* it ends with END too */
	else if (split_word_is(&s->lexer, token, "end") && s->body > 0)
		s->body--;
}

static void split_push(struct split *out, struct split_state *s, size_t end)
{
	s->statement.begin = s->piece;
	s->statement.end = end;
	if (out->count == out->room) {
		out->room = out->room == 0 ? 8 : out->room * 2;
		out->at = mem_realloc(out->at, out->room * sizeof(out->at[0]));
	}
	out->at[out->count++] = s->statement;
	s->statement = (struct split_statement){.text = NULL};
	s->piece = end;
	s->begun = false;
	s->words = 0;
	s->body = 0;
	memset(s->initials, 0, sizeof(s->initials));
}

/* The data of COPY … FROM stdin: from the next line to the line \. or the end. The lexer stands behind the
 * ';'.
 */
static bool split_copy_data(struct split_state *s, struct split_error *error)
{
	struct split_lexer *lexer = &s->lexer;
	const char *eol = memchr(lexer->text + lexer->at, '\n', lexer->size - lexer->at);
	size_t data = eol == NULL ? lexer->size : (size_t)(eol - lexer->text) + 1;

	struct split_lexer rest = {.text = lexer->text, .size = data, .at = lexer->at, .line = lexer->line};
	struct split_token token = split_next(&rest);
	if (token.kind != SPLIT_TOKEN_END)
		return split_fail(error, token.line,
		    "only a comment may follow COPY ... FROM stdin; on its line: the data begins on the "
		    "next");
	lexer->at = data;
	lexer->line += eol != NULL;
	s->statement.data = lexer->text + data;
	s->statement.data_line = lexer->line;
	while (lexer->at < lexer->size) {
		const char *line = lexer->text + lexer->at;
		size_t rest_size = lexer->size - lexer->at;
		const char *end = memchr(line, '\n', rest_size);
		size_t n = end == NULL ? rest_size : (size_t)(end - line) + 1;
		size_t bare = n;
		while (bare > 0 && (line[bare - 1] == '\n' || line[bare - 1] == '\r'))
			bare--;
		bool last = bare == 2 && line[0] == '\\' && line[1] == '.';
		if (!last)
			s->statement.data_size += n;
		lexer->at += n;
		lexer->line += end != NULL;
		if (last)
			break;
	}
	return true;
}

static bool split_finish(struct split *out, struct split_state *s, struct split_error *error)
{
	struct split_statement *statement = &s->statement;
	unsigned line = statement->line;

	statement->size = s->last - statement->offset;
	split_classify(statement);
	if (statement->kind == SPLIT_COPY_IN && !split_copy_data(s, error))
		return false;
	if (s->open > 0) {
		snprintf(error->text, sizeof(error->text),
		    "a parenthesis ( is never closed (in the statement that begins on line %u)", line);
		error->line = s->open_line;
		return false;
	}
	split_push(out, s, s->lexer.at);
	return true;
}

static bool split_meta(
    const struct split_lexer *lexer, const struct split_token *token, struct split_error *error)
{
	char name[32];
	size_t n = 0, at = token->end;

	while (at < lexer->size && n < sizeof(name) - 1 && lexer->text[at] > ' ' && lexer->text[at] < 0x7f)
		name[n++] = lexer->text[at++];
	name[n] = '\0';
	error->line = token->line;
	if (strcmp(name, "restrict") == 0 || strcmp(name, "unrestrict") == 0)
		snprintf(error->text, sizeof(error->text),
		    "\\%s is a psql meta-command that pg_dump puts around its output: delete the lines "
		    "\\restrict and "
		    "\\unrestrict",
		    name);
	else if (strcmp(name, ".") == 0)
		snprintf(error->text, sizeof(error->text),
		    "\\. ends the data of COPY ... FROM stdin, and there "
		    "is none here");
	else
		snprintf(error->text, sizeof(error->text),
		    "\\%s is a psql meta-command: a migration holds SQL only", name);
	return false;
}

static bool split_run(struct split *out, struct split_state *s, struct split_error *error)
{
	for (;;) {
		struct split_token token = split_next(&s->lexer);
		switch (token.kind) {
		case SPLIT_TOKEN_END:
			return !s->begun || split_finish(out, s, error);
		case SPLIT_TOKEN_BROKEN:
			return split_fail(error, token.line, s->lexer.broken);
		case SPLIT_TOKEN_BACKSLASH:
			return split_meta(&s->lexer, &token, error);
		case SPLIT_TOKEN_SEMICOLON:
			if (s->open == 0 && s->body == 0) {
				if (s->begun && !split_finish(out, s, error))
					return false;
				continue;
			}
			break;
		case SPLIT_TOKEN_OPEN:
			if (s->open++ == 0)
				s->open_line = token.line;
			break;
		case SPLIT_TOKEN_CLOSE:
			if (s->open > 0)
				s->open--;
			break;
		case SPLIT_TOKEN_WORD:
			split_on_word(s, &token);
			break;
		case SPLIT_TOKEN_QUOTED:
		case SPLIT_TOKEN_OTHER:
			break;
		}
		if (!s->begun) {
			s->begun = true;
			s->statement.text = s->lexer.text + token.start;
			s->statement.offset = token.start;
			s->statement.line = token.line;
		}
		s->last = token.end;
	}
}

bool split_append(struct split *out, const char *text, size_t size, unsigned line, struct split_error *error)
{
	struct split_state state = {.lexer = {.text = text, .size = size, .line = line}};
	unsigned before = out->count;

	bool done = split_run(out, &state, error);
	if (!done)
		out->count = before;
	return done;
}

void split_free(struct split *split)
{
	mem_free(&split->at);
	split->count = 0;
	split->room = 0;
}

bool split_wrapped(const struct split *split)
{
	if (split->count < 2 || split->at[0].kind != SPLIT_BEGIN ||
	    split->at[split->count - 1].kind != SPLIT_COMMIT)
		return false;
	for (unsigned i = 1; i + 1 < split->count; i++)
		if (split->at[i].kind != SPLIT_ORDINARY && split->at[i].kind != SPLIT_SAVEPOINT &&
		    split->at[i].kind != SPLIT_COPY_IN)
			return false;
	return true;
}

void split_position(
    const struct split_statement *statement, unsigned position, unsigned *line, unsigned *column)
{
	/* The statement need not begin its line: the column counts from that line's first byte. */
	const char *start = statement->text, *end = start + statement->size;
	const char *base = start - statement->offset;
	while (start > base && start[-1] != '\n')
		start--;

	*line = statement->line;
	*column = 1;
	for (const char *s = start; s < end && (s < statement->text || position > 1); s++) {
		if (((unsigned char)*s & 0xc0) == 0x80)
			continue;
		if (s >= statement->text)
			position--;
		if (*s == '\n') {
			++*line;
			*column = 1;
		} else {
			++*column;
		}
	}
}
