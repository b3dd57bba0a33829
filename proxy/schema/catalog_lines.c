/* Formats whose sections are marked by comment lines: ours and dbmate's, goose's, sql-migrate's. As those
 * tools do, lines are looked at one by one, whatever quotes they stand in. */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "catalog_private.h"

bool catalog_line_next(const struct catalog_file *file, struct catalog_line *line)
{
	if (line->next >= file->size)
		return false;
	line->begin = line->next;
	const char *s = file->bytes + line->begin;
	const char *end = memchr(s, '\n', file->size - line->begin);
	line->end = end == NULL ? file->size : (size_t)(end - file->bytes);
	line->next = end == NULL ? file->size : line->end + 1;
	while (line->end > line->begin && strchr(" \t\r", file->bytes[line->end - 1]) != NULL &&
	    file->bytes[line->end - 1] != '\0')
		line->end--;
	line->number++;
	return true;
}

/* A cursor over one line's text. */
struct catalog_words {
	const char *s, *end;
};

static void words_blanks(struct catalog_words *words)
{
	while (words->s < words->end && (*words->s == ' ' || *words->s == '\t'))
		words->s++;
}

static bool words_take(struct catalog_words *words, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(words->end - words->s) < n || strncasecmp(words->s, text, n) != 0)
		return false;
	words->s += n;
	return true;
}

static struct catalog_words words_next(struct catalog_words *words)
{
	struct catalog_words word;

	words_blanks(words);
	word.s = words->s;
	while (words->s < words->end && *words->s != ' ' && *words->s != '\t')
		words->s++;
	word.end = words->s;
	return word;
}

static bool word_is(const struct catalog_words *word, const char *text)
{
	return (size_t)(word->end - word->s) == strlen(text) && strncasecmp(word->s, text, strlen(text)) == 0;
}

/* A comment line's text, from behind the dashes. */
static bool comment_of(
    const struct catalog_file *file, const struct catalog_line *line, struct catalog_words *out)
{
	*out = (struct catalog_words){file->bytes + line->begin, file->bytes + line->end};
	words_blanks(out);
	bool comment = words_take(out, "--");
	words_blanks(out);
	return comment;
}

/* ---- ours and dbmate's ---- */

struct native_reading {
	struct catalog_reading *reading;
	struct catalog_draft *draft;
	unsigned file;
	struct catalog_section *section; /* the open one */
	size_t begin;                    /* of its text */
	unsigned begin_line;
};

static void native_close(struct native_reading *n, size_t end)
{
	if (n->section != NULL)
		catalog_piece_add(n->reading, n->section, n->begin, end, n->begin_line, n->file);
	n->section = NULL;
}

static void native_option(struct native_reading *n, struct catalog_section *section,
    const struct catalog_words *word, unsigned line)
{
	bool up = section == &n->draft->migration.up;

	if (word_is(word, "transaction:false")) {
		section->outside = true;
	} else if (word_is(word, "hold:none")) {
		section->flowing = true;
		n->draft->strict = true;
	} else if (word_is(word, "compatible") && up) {
		n->draft->migration.compatible = true;
		n->draft->strict = true;
	} else if (word_is(word, "compatible")) {
		catalog_fault(n->reading, n->file, line, "compatible belongs to the line -- migrate:up");
	} else if (!word_is(word, "transaction:true")) {
		catalog_fault(n->reading, n->file, line,
		    "unknown option %.*s: there are transaction:false, hold:none and compatible",
		    (int)(word->end - word->s), word->s);
	}
}

static void native_section(
    struct native_reading *n, struct catalog_words *words, const struct catalog_line *line)
{
	struct catalog_migration *m = &n->draft->migration;
	struct catalog_words name = words_next(words), word;
	struct catalog_section *section = word_is(&name, "up") ? &m->up : &m->down;

	native_close(n, line->begin);
	if (!word_is(&name, "up") && !word_is(&name, "down")) {
		catalog_fault(n->reading, n->file, line->number,
		    "no section is called migrate:%.*s: there are migrate:up and migrate:down",
		    (int)(name.end - name.s), name.s);
		return;
	}
	if (section->file != NULL)
		catalog_fault(n->reading, n->file, line->number,
		    "a second -- migrate:%s: the first is on line %u", section == &m->up ? "up" : "down",
		    section->line);
	catalog_section_open(n->reading, section, n->file, line->number);
	while (word = words_next(words), word.s < word.end)
		native_option(n, section, &word, line->number);
	n->section = section;
	n->begin = line->next;
	n->begin_line = line->number + 1;
}

static void native_list(struct native_reading *n, struct catalog_words *words, struct graph_names *names)
{
	while (words->s < words->end) {
		const char *s = words->s;
		while (words->s < words->end && strchr(", \t", *words->s) == NULL)
			words->s++;
		if (words->s > s)
			catalog_names_add(n->reading->catalog, names, s, (size_t)(words->s - s));
		words->s += words->s < words->end;
	}
}

/* "-- revises: a, b" and its like, before the first section. */
static void native_header(
    struct native_reading *n, struct catalog_words *words, const struct catalog_line *line)
{
	struct catalog_draft *draft = n->draft;

	draft->strict = true;
	if (words_take(words, "message:")) {
		words_blanks(words);
		draft->migration.message =
		    catalog_keep_text(n->reading->catalog, words->s, (size_t)(words->end - words->s));
	} else if (words_take(words, "revises:")) {
		if (draft->parents_given)
			catalog_fault(n->reading, n->file, line->number, "a second -- revises:");
		draft->parents_given = true;
		draft->migration.line = line->number;
		native_list(n, words, &draft->parents);
		if (draft->parents.count == 0)
			catalog_fault(n->reading, n->file, line->number,
			    "-- revises: names nothing (a first revision says: -- revises: base)");
		if (draft->parents.count == 1 && strcmp(draft->parents.at[0], "base") == 0)
			draft->parents.count = 0;
	} else if (words_take(words, "depends-on:") || words_take(words, "depends_on:")) {
		native_list(n, words, &draft->depends);
	} else if (words_take(words, "labels:") || words_take(words, "label:")) {
		native_list(n, words, &draft->labels);
	} else {
		draft->strict = false;
	}
}

/* "  -- migrate:down" or "-- Migrate:Down": dbmate takes it for a comment, and would run what was meant to
 * undo. */
static bool native_slip(const struct catalog_file *file, const struct catalog_line *line)
{
	struct catalog_words words;

	if (!comment_of(file, line, &words) || !words_take(&words, "migrate:"))
		return false;
	struct catalog_words name = words_next(&words);
	return word_is(&name, "up") || word_is(&name, "down");
}

void catalog_read_native(struct catalog_reading *reading, unsigned index)
{
	const struct catalog_file *file = &reading->catalog->files.at[index];
	struct catalog_name name =
	    catalog_name_native(file->name, reading->catalog->format == CATALOG_DBMATE);
	struct catalog_line line = {.next = split_bom(file->bytes, file->size)};
	struct native_reading n = {.reading = reading, .file = index};
	size_t head = line.next;
	unsigned sql;
	bool begun = false;

	/* dbmate passes over what does not begin with a number: schema.sql, seed.sql. */
	if (catalog_digits(file->name) == 0 && catalog_guess(file) == CATALOG_AUTO &&
	    (name.kind == NAME_OTHER || reading->numbered)) {
		catalog_note_add(reading, index, 0,
		    "not looked at: there is no line -- migrate:up in it, and no number in its name");
		return;
	}
	if (name.kind == NAME_OTHER) {
		catalog_fault(reading, index, 0,
		    "its name is not that of a migration (<revision>_<slug>.sql), as those of the other "
		    "files are");
		return;
	}
	n.draft = catalog_draft_new(reading, index, name.id, name.id_size, name.slug, name.slug_size);
	while (catalog_line_next(file, &line)) {
		const char *s = file->bytes + line.begin;
		struct catalog_words words;
		if (!comment_of(file, &line, &words))
			continue;
		const char *text = words.s;
		bool marks =
		    s[0] == '-' && (size_t)(words.end - text) >= 8 && memcmp(text, "migrate:", 8) == 0;
		if (marks) {
			if (!begun && catalog_has_sql(file, head, line.begin, 1, &sql))
				catalog_fault(
				    reading, index, sql, "SQL before the first section (-- migrate:up)");
			begun = true;
			words.s += 8;
			native_section(&n, &words, &line);
		} else if (native_slip(file, &line)) {
			catalog_fault(reading, index, line.number,
			    "a section's line begins with -- at its first column and is written in lower "
			    "case");
		} else if (!begun) {
			native_header(&n, &words, &line);
		}
	}
	native_close(&n, file->size);
	if (n.draft->migration.up.file == NULL)
		catalog_fault(reading, index, 0, "there is no line -- migrate:up in it");
}

/* ---- goose's and sql-migrate's ---- */

struct annotated_reading {
	struct catalog_reading *reading;
	struct catalog_draft *draft;
	unsigned file;
	struct catalog_section *section;
	size_t begin;
	unsigned begin_line;
	unsigned statement_line; /* of the open StatementBegin; 0: none */
	bool goose, begun;
};

static void annotated_cut(struct annotated_reading *a, size_t end, const struct catalog_line *line)
{
	if (a->section != NULL && end > a->begin)
		catalog_piece_add(a->reading, a->section, a->begin, end, a->begin_line, a->file);
	a->begin = line->next;
	a->begin_line = line->number + 1;
}

static void annotated_statement(struct annotated_reading *a, bool begin, const struct catalog_line *line)
{
	if (!a->goose && (a->section == NULL || begin == (a->statement_line > 0)))
		return; /* sql-migrate passes over it */
	if (begin && a->statement_line > 0)
		catalog_fault(a->reading, a->file, line->number, "a StatementBegin inside that of line %u",
		    a->statement_line);
	else if (!begin && a->statement_line == 0)
		catalog_fault(a->reading, a->file, line->number, "a StatementEnd without StatementBegin");
	annotated_cut(a, line->begin, line);
	a->statement_line = begin ? line->number : 0;
}

static void annotated_close(struct annotated_reading *a, size_t end, const struct catalog_line *line)
{
	if (a->statement_line > 0)
		catalog_fault(
		    a->reading, a->file, a->statement_line, "a StatementBegin without StatementEnd");
	a->statement_line = 0;
	annotated_cut(a, end, line);
}

static void annotated_section(
    struct annotated_reading *a, bool up, struct catalog_words *words, const struct catalog_line *line)
{
	struct catalog_section *section = up ? &a->draft->migration.up : &a->draft->migration.down;

	annotated_close(a, line->begin, line);
	/* sql-migrate gathers what stands under several of the same name. */
	if (section->file != NULL && a->goose)
		catalog_fault(a->reading, a->file, line->number,
		    "a second section of that name: the first is on "
		    "line %u",
		    section->line);
	if (section->file == NULL)
		catalog_section_open(a->reading, section, a->file, line->number);
	struct catalog_words option;
	while (option = words_next(words), option.s < option.end) {
		if (a->goose)
			catalog_fault(a->reading, a->file, line->number, "unknown option %.*s",
			    (int)(option.end - option.s), option.s);
		else if (word_is(&option, "notransaction"))
			section->outside = true;
		else
			catalog_note_add(a->reading, a->file, line->number,
			    "unknown option %.*s: sql-migrate knows notransaction",
			    (int)(option.end - option.s), option.s);
	}
	a->section = section;
}

static void annotation(
    struct annotated_reading *a, struct catalog_words *words, const struct catalog_line *line)
{
	struct catalog_words all = *words, word = words_next(words);

	words_blanks(&all);
	if (word_is(&word, "Up") || word_is(&word, "Down"))
		annotated_section(a, word_is(&word, "Up"), words, line);
	else if (word_is(&word, "StatementBegin") || word_is(&word, "StatementEnd"))
		annotated_statement(a, word_is(&word, "StatementBegin"), line);
	else if (a->goose && word_is(&all, "NO TRANSACTION"))
		a->draft->migration.up.outside = a->draft->migration.down.outside = true;
	else if (a->goose && (word_is(&all, "ENVSUB ON") || word_is(&all, "ENVSUBST ON"))) {
		if (!a->reading->options->placeholders)
			catalog_fault(a->reading, a->file, line->number,
			    "ENVSUB: switch placeholders on and give their values");
	} else if (!(a->goose && (word_is(&all, "ENVSUB OFF") || word_is(&all, "ENVSUBST OFF"))))
		catalog_fault(a->reading, a->file, line->number, "unknown annotation %.*s",
		    (int)(all.end - all.s), all.s);
}

/* Its id is the file's name, as far as a head can hold it: "1 add users" is 1_add_users. */
static struct catalog_draft *sql_migrate_draft(struct catalog_reading *reading, unsigned index)
{
	const char *name = reading->catalog->files.at[index].name;
	size_t n = strlen(name) - 4, slug = catalog_digits(name);
	char id[HEAD_BYTES];
	size_t size = n > sizeof(id) ? sizeof(id) : n;

	for (size_t i = 0; i < size; i++)
		id[i] =
		    name[i] > ' ' && name[i] < 0x7f && strchr("+,@;'\"\\", name[i]) == NULL ? name[i] : '_';
	slug += slug > 0 && slug < n;
	return catalog_draft_new(reading, index, id, size, name + slug, n - slug);
}

static struct catalog_draft *annotated_draft(struct catalog_reading *reading, unsigned index, bool goose)
{
	const char *name = reading->catalog->files.at[index].name;

	if (!goose)
		return sql_migrate_draft(reading, index);
	struct catalog_name numbered = catalog_name_numbered(name);
	if (numbered.kind != NAME_UP && catalog_guess(&reading->catalog->files.at[index]) == CATALOG_AUTO) {
		catalog_note_add(reading, index, 0,
		    "not looked at: its name is not that of a goose migration (<number>_<slug>.sql)");
		return NULL;
	}
	if (numbered.kind != NAME_UP) {
		catalog_fault(
		    reading, index, 0, "its name is not that of a goose migration (<number>_<slug>.sql)");
		return NULL;
	}
	while (numbered.id_size > 1 && numbered.id[0] == '0') {
		numbered.id++;
		numbered.id_size--;
	}
	return catalog_draft_new(
	    reading, index, numbered.id, numbered.id_size, numbered.slug, numbered.slug_size);
}

void catalog_read_annotated(struct catalog_reading *reading, unsigned index)
{
	const struct catalog_file *file = &reading->catalog->files.at[index];
	struct catalog_line line = {.next = split_bom(file->bytes, file->size)};
	struct annotated_reading a = {
	    .reading = reading, .file = index, .goose = reading->catalog->format == CATALOG_GOOSE};
	const char *mark = a.goose ? "+goose" : "+migrate";
	size_t head = line.next;
	unsigned sql;

	a.draft = annotated_draft(reading, index, a.goose);
	if (a.draft == NULL)
		return;
	while (catalog_line_next(file, &line)) {
		struct catalog_words words;
		if (!comment_of(file, &line, &words) || !words_take(&words, mark) ||
		    (words.s < words.end && *words.s != ' ' && *words.s != '\t'))
			continue;
		annotation(&a, &words, &line);
		if (!a.begun && a.section != NULL) {
			a.begun = true;
			if (!catalog_has_sql(file, head, line.begin, 1, &sql))
				continue;
			if (a.goose)
				catalog_fault(
				    reading, index, sql, "SQL before the first section (-- %s Up)", mark);
			else
				catalog_note_add(reading, index, sql,
				    "SQL before the first section (-- %s Up) is not run", mark);
		}
	}
	line.begin = line.next = file->size;
	annotated_close(&a, file->size, &line);
	if (a.draft->migration.up.file == NULL && a.draft->migration.down.file != NULL && !a.goose)
		catalog_section_open(reading, &a.draft->migration.up, index, 1); /* as sql-migrate, nothing */
	else if (a.draft->migration.up.file == NULL)
		catalog_fault(reading, index, 0, "there is no line -- %s Up in it", mark);
}
