/* What Alembic's migration files say of the graph, read without Python: the assignments at the outermost
 * level of a module, as far as they are literals. */
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "catalog_private.h"

struct python {
	struct catalog_reading *reading;
	unsigned file;
	const char *start, *s, *end;
	unsigned line;
	unsigned depth; /* of brackets: inside them lines go on */
};

enum python_token {
	PYTHON_END,     /* of the file */
	PYTHON_NEWLINE, /* of a statement, or ; */
	PYTHON_NAME,
	PYTHON_STRING,
	PYTHON_OPEN,
	PYTHON_CLOSE,
	PYTHON_OTHER, /* one byte */
};

struct python_word {
	enum python_token token;
	const char *s; /* with strings: their contents */
	size_t n;
	unsigned line;
	bool plain; /* a string without escapes or f and b prefixes: its contents are its value */
	bool first; /* it begins at the line's first column */
};

static void python_step(struct python *p)
{
	p->line += *p->s == '\n';
	p->s++;
}

/* Blanks, comments and line ends that end nothing. */
static void python_gap(struct python *p)
{
	while (p->s < p->end) {
		if (*p->s == '#') {
			while (p->s < p->end && *p->s != '\n')
				p->s++;
		} else if (*p->s == '\\' && p->end - p->s > 1 && (p->s[1] == '\n' || p->s[1] == '\r')) {
			p->s++;
			if (*p->s == '\r')
				p->s++;
			if (p->s < p->end)
				python_step(p);
		} else if (*p->s == ' ' || *p->s == '\t' || *p->s == '\r' || *p->s == '\f' ||
		    (*p->s == '\n' && p->depth > 0)) {
			python_step(p);
		} else {
			break;
		}
	}
}

static void python_string(struct python *p, struct python_word *word)
{
	char quote = *p->s;
	bool raw = false;
	size_t quotes = p->end - p->s >= 3 && p->s[1] == quote && p->s[2] == quote ? 3 : 1;

	for (const char *c = word->s; c < p->s; c++) {
		raw = raw || *c == 'r' || *c == 'R';
		word->plain = word->plain && strchr("fFbBtT", *c) == NULL;
	}
	word->token = PYTHON_STRING;
	p->s += quotes;
	word->s = p->s;
	for (; p->s < p->end; python_step(p)) {
		if (*p->s == '\\' && p->end - p->s > 1) {
			word->plain = word->plain && raw;
			p->s++;
		} else if (quotes == 1 && *p->s == '\n') {
			break; /* Python refuses it: so be it the end */
		} else if (*p->s == quote &&
		    (quotes == 1 || (p->end - p->s >= 3 && p->s[1] == quote && p->s[2] == quote))) {
			break;
		}
	}
	word->n = (size_t)(p->s - word->s);
	if (p->s < p->end && *p->s == quote)
		p->s += quotes;
}

static struct python_word python_next(struct python *p)
{
	python_gap(p);
	struct python_word word = {.s = p->s, .n = 1, .line = p->line, .plain = true};
	word.first = p->s == p->start || p->s[-1] == '\n';
	if (p->s == p->end)
		return word;
	char c = *p->s;
	if (isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80) {
		while (p->s < p->end &&
		    (isalnum((unsigned char)*p->s) || *p->s == '_' || (unsigned char)*p->s >= 0x80))
			p->s++;
		word.token = PYTHON_NAME;
		word.n = (size_t)(p->s - word.s);
		if (word.n <= 2 && p->s < p->end && (*p->s == '"' || *p->s == '\''))
			python_string(p, &word);
	} else if (c == '"' || c == '\'') {
		python_string(p, &word);
	} else {
		word.token = c == '\n' || c == ';'          ? PYTHON_NEWLINE
		    : strchr("([{", c) != NULL && c != '\0' ? PYTHON_OPEN
		    : strchr(")]}", c) != NULL && c != '\0' ? PYTHON_CLOSE
							    : PYTHON_OTHER;
		p->depth += word.token == PYTHON_OPEN;
		p->depth -= word.token == PYTHON_CLOSE && p->depth > 0;
		python_step(p);
	}
	return word;
}

static bool python_is(const struct python_word *word, const char *text)
{
	return (word->token == PYTHON_NAME || word->token == PYTHON_OTHER) && word->n == strlen(text) &&
	    memcmp(word->s, text, word->n) == 0;
}

static struct python_word python_peek(const struct python *p)
{
	struct python ahead = *p;

	return python_next(&ahead);
}

/* To behind the statement's end. True: a ; ended it, and the next one stands on the same level. */
static bool python_skip(struct python *p)
{
	struct python_word word;

	do
		word = python_next(p);
	while (word.token != PYTHON_END && !(word.token == PYTHON_NEWLINE && p->depth == 0));
	return word.token == PYTHON_NEWLINE && word.s[0] == ';';
}

/* One string: several in a row, and + between them, in as many parentheses as there are. */
static bool python_text(struct python *p, struct python_word word, char **out)
{
	size_t size = 0;
	char *text = mem_strdup("");
	unsigned opened = 0;
	bool fine = false;

	while (word.token == PYTHON_OPEN && word.s[0] == '(') {
		opened++;
		word = python_next(p);
	}
	while (word.token == PYTHON_STRING && word.plain) {
		text = mem_realloc(text, size + word.n + 1);
		memcpy(text + size, word.s, word.n);
		size += word.n;
		text[size] = '\0';
		fine = true;
		struct python_word next = python_peek(p);
		while (opened > 0 && next.token == PYTHON_CLOSE) {
			python_next(p);
			opened--;
			next = python_peek(p);
		}
		if (python_is(&next, "+")) {
			python_next(p);
			fine = false; /* until the string behind it is there */
		} else if (next.token != PYTHON_STRING) {
			break;
		}
		word = python_next(p);
	}
	*out = text;
	return fine && opened == 0 && memchr(text, '\0', size) == NULL;
}

/* After the first bracket of what may be a list: is it one, or a string in parentheses? */
static bool python_is_list(const struct python *p)
{
	struct python ahead = *p;
	unsigned depth = ahead.depth;

	for (;;) {
		struct python_word word = python_next(&ahead);
		if (word.token == PYTHON_END)
			return false;
		if (word.token == PYTHON_CLOSE && ahead.depth < depth)
			break;
		if (python_is(&word, ",") && ahead.depth == depth)
			return true;
	}
	return false;
}

static bool python_element(struct python *p, struct python_word word, struct graph_names *out)
{
	char *text = NULL;
	bool fine;

	if (python_is(&word, "None"))
		return true;
	fine = python_text(p, word, &text);
	if (fine)
		catalog_names_add(p->reading->catalog, out, text, strlen(text));
	mem_free(&text);
	return fine;
}

/* None, a string, or a tuple, list or set of strings, with its brackets or without. */
static bool python_value(struct python *p, struct graph_names *out)
{
	struct python_word word = python_next(p);
	bool bracket = word.token == PYTHON_OPEN;

	if (bracket) {
		struct python_word next = python_peek(p);
		bracket = word.s[0] != '(' || next.token == PYTHON_CLOSE || python_is_list(p);
		if (bracket)
			word = python_next(p);
	}
	while (!(bracket && word.token == PYTHON_CLOSE)) {
		if (!python_element(p, word, out))
			return false;
		struct python_word next = python_peek(p);
		if (!python_is(&next, ",")) {
			if (!bracket)
				break;
			word = python_next(p);
			if (word.token != PYTHON_CLOSE)
				return false;
			break;
		}
		python_next(p);
		next = python_peek(p);
		if (!bracket && (next.token == PYTHON_NEWLINE || next.token == PYTHON_END))
			break; /* x = "a", */
		word = python_next(p);
	}
	struct python_word next = python_peek(p);
	return next.token == PYTHON_NEWLINE || next.token == PYTHON_END;
}

struct python_module {
	struct graph_names revision, down_revision, branch_labels, depends_on;
	unsigned revision_line, down_line;
	bool failed;
	struct python_word doc;
};

static struct graph_names *python_target(
    struct python_module *m, const struct python_word *word, unsigned **line)
{
	*line = NULL;
	if (python_is(word, "revision")) {
		*line = &m->revision_line;
		return &m->revision;
	}
	if (python_is(word, "down_revision")) {
		*line = &m->down_line;
		return &m->down_revision;
	}
	return python_is(word, "branch_labels") ? &m->branch_labels
	    : python_is(word, "depends_on")     ? &m->depends_on
						: NULL;
}

/* Over an annotation, to the = of the assignment. False: it is none. */
static bool python_assigns(struct python *p)
{
	struct python_word word = python_peek(p);

	if (python_is(&word, ":"))
		do {
			python_next(p);
			word = python_peek(p);
		} while (!(python_is(&word, "=") && p->depth == 0) && word.token != PYTHON_END &&
		    !(word.token == PYTHON_NEWLINE && p->depth == 0));
	if (!python_is(&word, "="))
		return false;
	python_next(p);
	word = python_peek(p);
	if (python_is(&word, "="))
		return false;
	/* revision = rev = "..." */
	for (struct python ahead = *p; python_next(&ahead).token == PYTHON_NAME;) {
		word = python_next(&ahead);
		if (!python_is(&word, "="))
			break;
		*p = ahead;
	}
	return true;
}

static bool python_statement(struct python *p, const struct python_word *first, struct python_module *m)
{
	unsigned *line;
	struct graph_names *names = python_target(m, first, &line);

	if (names == NULL || !python_assigns(p))
		return python_skip(p);
	names->count = 0; /* the last assignment counts */
	if (line != NULL)
		*line = first->line;
	if (!python_value(p, names)) {
		m->failed = true;
		catalog_fault(p->reading, p->file, first->line,
		    "the value of %.*s is computed: only strings, tuples and lists of them and None can be "
		    "read",
		    (int)first->n, first->s);
	}
	return python_skip(p);
}

static void python_module(struct python *p, struct python_module *m)
{
	bool begun = false, outermost = false;

	for (;;) {
		struct python_word word = python_next(p);
		if (word.token == PYTHON_END)
			return;
		if (word.token == PYTHON_NEWLINE)
			continue;
		if (!begun && word.token == PYTHON_STRING)
			m->doc = word;
		begun = true;
		outermost = outermost || word.first;
		outermost = (outermost ? python_statement(p, &word, m) : python_skip(p)) && outermost;
	}
}

/* The first paragraph of the module's text, on one line. */
static const char *python_message(struct catalog *catalog, const struct python_word *doc)
{
	if (doc->token != PYTHON_STRING)
		return NULL;
	const char *s = doc->s, *end = s + doc->n;
	while (s < end && isspace((unsigned char)*s))
		s++;
	char *text = catalog_keep_text(catalog, s, (size_t)(end - s)), *to = text;
	for (char *c = text; *c != '\0'; c++) {
		if (!isspace((unsigned char)*c)) {
			*to++ = *c;
			continue;
		}
		unsigned lines = 0;
		for (; isspace((unsigned char)*c); c++)
			lines += *c == '\n';
		if (lines > 1 || *c == '\0')
			break;
		*to++ = ' ';
		c--;
	}
	*to = '\0';
	return text;
}

void catalog_read_python(struct catalog_reading *reading, unsigned index)
{
	const struct catalog_file *file = &reading->catalog->files.at[index];
	const char *base = catalog_base_name(file->name);
	size_t bom = split_bom(file->bytes, file->size), n = strlen(base) - 3;
	struct python p = {.reading = reading, .file = index, .line = 1};
	struct python_module m = {.revision_line = 1};

	p.s = p.start = file->bytes + bom;
	p.end = file->bytes + file->size;
	python_module(&p, &m);
	if (m.failed)
		return; /* what would be said of the rest follows from that */
	/* Alembic 0.1 had the revision in the name only. */
	if (m.revision_line == 1 && m.revision.count == 0 && n > 0 && strspn(base, "0123456789abcdef") >= n)
		catalog_names_add(reading->catalog, &m.revision, base, n);
	if (m.revision.count != 1) {
		catalog_fault(
		    reading, index, 0, "there is no revision = \"...\" in it: it is none of Alembic's");
		return;
	}
	const char *slug = memchr(base, '_', n);
	slug = slug == NULL ? base + n : slug + 1;
	struct catalog_draft *draft = catalog_draft_new(
	    reading, index, m.revision.at[0], strlen(m.revision.at[0]), slug, (size_t)(base + n - slug));
	draft->migration.line = m.down_line > 0 ? m.down_line : m.revision_line;
	draft->parents = m.down_revision;
	draft->parents_given = true;
	draft->depends = m.depends_on;
	draft->labels = m.branch_labels;
	const char *message = python_message(reading->catalog, &m.doc);
	if (message != NULL && message[0] != '\0')
		draft->migration.message = message;
}
