/* Sections: their pieces, placeholders in them, and whether their SQL can be split. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "catalog_private.h"

void catalog_section_open(
    struct catalog_reading *reading, struct catalog_section *section, unsigned file, unsigned line)
{
	section->file = reading->catalog->shown[file];
	section->line = line;
}

void catalog_piece_add(struct catalog_reading *reading, struct catalog_section *section, size_t begin,
    size_t end, unsigned line, unsigned file)
{
	const char *text = reading->catalog->files.at[file].bytes + begin;
	unsigned count = section->piece_count;

	if ((count & (count - 1)) == 0) { /* grown at each power of two; what was before is kept along */
		struct catalog_piece *pieces =
		    mem_alloc((count == 0 ? 1 : (size_t)count * 2) * sizeof(*pieces));
		if (count > 0)
			memcpy(pieces, section->pieces, count * sizeof(*pieces));
		section->pieces = catalog_keep(reading->catalog, pieces);
	}
	((struct catalog_piece *)(uintptr_t)section->pieces)[section->piece_count++] = (struct catalog_piece){
	    .text = text, .size = end - begin, .source = text, .source_size = end - begin, .line = line};
}

void catalog_section_whole(struct catalog_reading *reading, struct catalog_section *section, unsigned index)
{
	const struct catalog_file *file = &reading->catalog->files.at[index];

	catalog_section_open(reading, section, index, 1);
	catalog_piece_add(reading, section, split_bom(file->bytes, file->size), file->size, 1, index);
}

bool catalog_has_sql(
    const struct catalog_file *file, size_t begin, size_t end, unsigned first, unsigned *line)
{
	struct split split = {.count = 0};
	struct split_error error;
	bool fine = split_append(&split, file->bytes + begin, end - begin, first, &error);
	bool sql = !fine || split.count > 0;

	if (sql)
		*line = fine ? split.at[0].line : error.line;
	split_free(&split);
	return sql;
}

/* ---- placeholders ---- */

static bool name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("_.:-", c) != NULL);
}

static const char *value_of(const struct catalog_options *options, const char *name, size_t n)
{
	for (unsigned i = 0; i < options->placeholder_count; i++)
		if (strlen(options->placeholder[i].name) == n &&
		    memcmp(options->placeholder[i].name, name, n) == 0)
			return options->placeholder[i].value;
	return NULL;
}

static void replace_in(struct catalog_reading *reading, unsigned file, struct catalog_piece *piece)
{
	const char *s = piece->source, *end = s + piece->source_size, *open;
	char *text = NULL;
	size_t size = 0;
	unsigned line = piece->line;
	FILE *to = open_memstream(&text, &size);

	if (to == NULL)
		log_fatal("out of memory");
	while ((open = memmem(s, (size_t)(end - s), "${", 2)) != NULL) {
		const char *name = open + 2, *close = name;
		while (close < end && name_byte(*close))
			close++;
		for (const char *c = s; c < open; c++)
			line += *c == '\n';
		fwrite(s, 1, (size_t)(open - s), to);
		if (close == name || close == end || *close != '}') {
			fwrite(open, 1, 2, to);
			s = name;
			continue;
		}
		const char *value = value_of(reading->options, name, (size_t)(close - name));
		if (value == NULL)
			catalog_fault(reading, file, line, "the placeholder ${%.*s} has no value",
			    (int)(close - name), name);
		else if (strpbrk(value, "\r\n") != NULL) /* lines in messages would be wrong */
			catalog_fault(reading, file, line,
			    "the value of the placeholder ${%.*s} has a line end", (int)(close - name), name);
		if (value != NULL)
			fputs(value, to);
		else
			fwrite(open, 1, (size_t)(close + 1 - open), to); /* no second fault from the gap */
		s = close + 1;
	}
	fwrite(s, 1, (size_t)(end - s), to);
	fclose(to);
	piece->text = catalog_keep(reading->catalog, text);
	piece->size = size;
}

/* ---- checks ---- */

static void replace_placeholders(struct catalog_reading *reading, const struct catalog_draft *draft,
    struct catalog_section *section, unsigned file)
{
	bool present = false;

	for (unsigned i = 0; i < section->piece_count; i++)
		present = present ||
		    memmem(section->pieces[i].source, section->pieces[i].source_size, "${", 2) != NULL;
	if (!present || draft->verbatim)
		return;
	if (!reading->options->placeholders) {
		if (reading->catalog->format == CATALOG_FLYWAY)
			catalog_note_add(
			    reading, file, 0, "${...} is left as it is: placeholders are switched off");
		return;
	}
	struct catalog_piece *pieces =
	    mem_dup(section->pieces, section->piece_count * sizeof(*section->pieces));
	for (unsigned i = 0; i < section->piece_count; i++)
		replace_in(reading, file, &pieces[i]);
	section->pieces = catalog_keep(reading->catalog, pieces);
}

static void take_stock(struct catalog_section *section, const struct split *split)
{
	section->statements = split->count;
	section->wrapped = split_wrapped(split);
	for (unsigned i = split->count; i-- > 0;) {
		const struct split_statement *s = &split->at[i];
		if (s->kind == SPLIT_ALONE) {
			section->alone = s->command;
			section->alone_line = s->line;
		} else if (s->kind == SPLIT_BEGIN || s->kind == SPLIT_COMMIT || s->kind == SPLIT_ROLLBACK) {
			section->control = s->command;
			section->control_line = s->line;
		}
	}
}

static bool has_comment(const struct catalog_section *section)
{
	for (unsigned i = 0; i < section->piece_count; i++) {
		const struct catalog_piece *piece = &section->pieces[i];
		if (memmem(piece->text, piece->size, "--", 2) != NULL ||
		    memmem(piece->text, piece->size, "/*", 2) != NULL)
			return true;
	}
	return false;
}

static void check_empty(struct catalog_reading *reading, struct catalog_draft *draft,
    struct catalog_section *section, unsigned file)
{
	enum catalog_format format = reading->catalog->format;
	bool up = section == &draft->migration.up, merges = draft->parents.count > 1;

	if (merges)
		return; /* a merge has nothing to do but to be there */
	/* One of dbmate's that says so does nothing, as with dbmate. */
	bool meant = !draft->strict && has_comment(section);
	if (up && format == CATALOG_NATIVE && !reading->options->drafts && !meant) {
		catalog_fault(reading, file, section->line, "the section -- migrate:up is empty");
	} else if (!up && draft->strict) {
		catalog_note_add(reading, file, section->line,
		    "the section -- migrate:down is empty: there is no way down");
		*section = (struct catalog_section){.file = NULL};
	} else {
		catalog_note_add(reading, file, section->line, "%s does nothing: there is no statement in it",
		    up ? "its way up" : "its way down");
	}
}

void catalog_section_check(
    struct catalog_reading *reading, struct catalog_draft *draft, struct catalog_section *section)
{
	struct split split = {.count = 0};
	struct split_error error;
	bool fine = true;

	if (section->file == NULL)
		return;
	unsigned file = section == &draft->migration.up ? draft->file : draft->down_file;
	replace_placeholders(reading, draft, section, file);
	for (unsigned i = 0; i < section->piece_count; i++) {
		const struct catalog_piece *piece = &section->pieces[i];
		if (split_append(&split, piece->text, piece->size, piece->line, &error))
			continue;
		catalog_fault(reading, file, error.line, "%s", error.text);
		fine = false;
	}
	take_stock(section, &split);
	if (fine && split.count == 0)
		check_empty(reading, draft, section, file);
	split_free(&split);
}

struct split catalog_statements(const struct catalog_section *section)
{
	struct split split = {.count = 0};
	struct split_error error;

	for (unsigned i = 0; i < section->piece_count; i++)
		if (!split_append(&split, section->pieces[i].text, section->pieces[i].size,
			section->pieces[i].line, &error))
			log_panic(
			    "%s:%u: %s, but it was split before", section->file, error.line, error.text);
	return split;
}

void catalog_checksum(const struct catalog_section *section, catalog_digest digest, char out[65])
{
	char *all = mem_strdup("");
	size_t size = 0;
	unsigned char hash[32];

	out[0] = '\0';
	if (section->file != NULL) {
		for (unsigned i = 0; i < section->piece_count; i++) {
			size_t n;
			char *meaning =
			    split_meaning(section->pieces[i].source, section->pieces[i].source_size, &n);
			all = mem_realloc(all, size + n + 1);
			memcpy(all + size, meaning, n);
			size += n;
			mem_free(&meaning);
		}
		digest(all, size, hash);
		for (size_t i = 0; i < sizeof(hash); i++)
			snprintf(out + 2 * i, 3, "%02x", hash[i]);
	}
	mem_free(&all);
}
