/* A statement that failed, as a good compiler would say it:
 *
 *   migrations/0002_orders.sql:7:30: ERROR: relation "user" does not exist
 *      5 | CREATE TABLE orders (
 *      6 |     id bigint PRIMARY KEY,
 *      7 |     user_id bigint REFERENCES user (id)
 *        |                               ^
 *   SQLSTATE: 42P01
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "steps_show_private.h"

#define BEFORE     3 /* lines that are shown before the one with the error */
#define WITHOUT    8 /* lines that are shown where the place is not known */
#define LINE_BYTES 400
#define TAB        4

/* The byte of the statement at which its character number `position` (from 1) begins. */
static size_t byte_of(const char *text, unsigned position)
{
	size_t at = 0;
	for (unsigned n = 1; n < position && text[at] != '\0'; n++) {
		at++;
		while (((unsigned char)text[at] & 0xc0) == 0x80)
			at++;
	}
	return at;
}

/* A line without its tabs; *mark, a byte in it, becomes the same place in what is returned. */
static char *without_tabs(const char *line, size_t size, size_t *mark)
{
	char *out = mem_alloc(size * TAB + 1), *to = out;
	size_t marked = *mark;
	for (size_t i = 0; i < size; i++) {
		if (i == *mark)
			marked = (size_t)(to - out);
		if (line[i] == '\t') {
			memset(to, ' ', TAB);
			to += TAB;
		} else {
			*to++ = line[i];
		}
	}
	if (*mark >= size)
		marked = (size_t)(to - out);
	*to = '\0';
	*mark = marked;
	return out;
}

static void show_line(const struct page *page, unsigned number, const char *line, size_t size)
{
	size_t none = 0;
	char *text = without_tabs(line, size < LINE_BYTES ? size : LINE_BYTES, &none);
	page_ink(page, PAGE_FAINT, "%5u | ", number);
	page_text(page, text);
	fputs(size > LINE_BYTES ? "...\n" : "\n", page->to);
	mem_free(&text);
}

static void show_mark(const struct page *page, const char *line, size_t size, size_t mark)
{
	if (mark > LINE_BYTES)
		return;
	char *text = without_tabs(line, size, &mark);
	text[mark] = '\0';
	page_ink(page, PAGE_FAINT, "      | ");
	fprintf(page->to, "%*s", (int)page_width(text), "");
	page_ink(page, PAGE_BAD, "^");
	fputc('\n', page->to);
	mem_free(&text);
}

static void show_statement(const struct page *page, const struct coord_failure *failure)
{
	const char *text = failure->statement;
	size_t length = strlen(text), place = byte_of(text, failure->position);
	/* The statement may have been cut before the place of its error. */
	bool known = failure->position > 0 && (place < length || length < COORD_STATEMENT_BYTES - 4);
	unsigned error_line = 0, number = 0;
	for (size_t i = 0; known && i < place; i++)
		error_line += text[i] == '\n';
	for (const char *line = text; *line != '\0'; number++) {
		size_t size = strcspn(line, "\n");
		bool shown = known ? number + BEFORE >= error_line && number <= error_line : number < WITHOUT;
		size_t shown_size = size > 0 && line[size - 1] == '\r' ? size - 1 : size;
		if (shown)
			show_line(page, failure->statement_line + number, line, shown_size);
		if (known && number == error_line)
			show_mark(page, line, shown_size, place - (size_t)(line - text));
		line += size + (line[size] == '\n');
	}
	if (!known && number > WITHOUT) {
		page_ink(page, PAGE_FAINT, "      | ...");
		fputc('\n', page->to);
	}
}

/* A word and a text that may have lines, which are kept below each other. */
static void show_field(const struct page *page, const char *word, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	size_t first = strcspn(text, "\n");
	char *line = mem_strndup(text, first);
	page_ink(page, PAGE_FAINT, "%s: ", word);
	page_text(page, line);
	fputc('\n', page->to);
	if (text[first] == '\n')
		page_lines(page, text + first + 1, strlen(text + first + 1), (unsigned)strlen(word) + 2);
	mem_free(&line);
}

void show_failure(const struct page *page, const struct coord_failure *failure)
{
	char column[16] = "";
	if (failure->column > 0)
		snprintf(column, sizeof(column), ":%u", failure->column);
	fputc('\n', page->to);
	page_ink(page, PAGE_PLAIN, "%s:%u%s: ", failure->file, failure->line, column);
	page_ink(page, PAGE_BAD, "%s: ", failure->severity);
	page_text(page, failure->error);
	fputc('\n', page->to);
	if (failure->statement != NULL)
		show_statement(page, failure);
	show_field(page, "DETAIL", failure->detail);
	show_field(page, "HINT", failure->hint);
	show_field(page, "CONTEXT", failure->context);
	show_field(page, "SQLSTATE", failure->sqlstate);
	bool message = failure->message[0] != '\0';
	fputc('\n', page->to);
	page_ink(page, PAGE_PLAIN, "Step %u of %u (%s %s%s%s) failed. ", failure->n, failure->of,
	    plan_kind_name(failure->kind), failure->revision, message ? " " : "",
	    message ? failure->message : "");
	page_text(page, failure->left);
	fputs("\n\n", page->to);
}

void json_failure(struct page_json *json, const char *key, const struct coord_failure *failure)
{
	if (failure == NULL) {
		page_json_as_is(json, key, NULL);
		return;
	}
	page_json_begin(json, key, '{');
	page_json_number(json, "step", failure->n);
	page_json_number(json, "steps", failure->of);
	page_json_text(json, "kind", plan_kind_name(failure->kind));
	page_json_text(json, "revision", failure->revision);
	page_json_text(json, "message", failure->message);
	page_json_text(json, "file", failure->file);
	page_json_number(json, "line", failure->line);
	json_number_or_null(json, "column", failure->column, failure->column > 0);
	page_json_text(json, "statement", failure->statement);
	page_json_number(json, "statement_line", failure->statement_line);
	json_number_or_null(json, "position", failure->position, failure->position > 0);
	page_json_text(json, "severity", failure->severity);
	page_json_text(json, "sqlstate", failure->sqlstate);
	page_json_text(json, "error", failure->error);
	page_json_text(json, "detail", failure->detail);
	page_json_text(json, "hint", failure->hint);
	page_json_text(json, "context", failure->context);
	page_json_text(json, "left", failure->left);
	page_json_end(json, '}');
}
