/* The script that a comparison becomes: statements, comments, and what is left as a comment. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "diff_private.h"

#define COMMENT_COLUMNS 110

static void say(struct diff_phrase *phrase, const char *text, size_t size)
{
	if (phrase->size + size + 1 > phrase->room) {
		phrase->room = 2 * (phrase->size + size + 1);
		phrase->at = mem_realloc(phrase->at, phrase->room);
	}
	memcpy(phrase->at + phrase->size, text, size);
	phrase->size += size;
	phrase->at[phrase->size] = '\0';
}

static char *formatted(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
static char *formatted(const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	char *text = mem_alloc((size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, format, args);
	return text;
}

void diff_phrase_say(struct diff_phrase *phrase, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = formatted(format, args);
	va_end(args);
	say(phrase, text, strlen(text));
	mem_free(&text);
}

/* One line of a comment. It may hold names, and so anything: what a migration's format would take for a mark
 * of its own ("migrate:down", "+goose Down") is made unlike one. */
static void say_line(struct diff_phrase *out, const char *indent, const char *line, size_t size)
{
	const char *first = line + strspn(line, " \t");
	bool marks = *first == '+' || strncasecmp(first, "migrate", strlen("migrate")) == 0;
	say(out, "-- ", 3);
	say(out, indent, strlen(indent));
	say(out, "| ", marks ? 2 : 0);
	say(out, line, size);
	say(out, "\n", 1);
}

/* Whatever stands in a text, a line end in it may not end the comment. */
static void say_commented(struct diff_phrase *out, const char *text, const char *indent)
{
	const char *line = text;
	while (*line != '\0') {
		size_t n = strcspn(line, "\r\n");
		say_line(out, indent, line, n);
		line += n + strspn(line + n, "\r\n");
	}
}

/* Words are not broken, and lines of the text stay. */
static void say_wrapped(struct diff_phrase *out, const char *text)
{
	while (*text != '\0') {
		size_t n = strcspn(text, "\r\n"), take = n;
		if (n > COMMENT_COLUMNS) {
			take = COMMENT_COLUMNS;
			while (take > 0 && text[take] != ' ')
				take--;
			if (take == 0)
				take = strcspn(text, " \r\n");
		}
		say_line(out, "", text, take);
		text += take + strspn(text + take, take < n ? " " : "\r\n");
	}
}

static void say_gap(struct diff_script *script)
{
	if (script->gap && script->text.size > 0)
		say(&script->text, "\n", 1);
	script->gap = false;
}

void diff_say(struct diff_script *script, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = formatted(format, args);
	va_end(args);
	/* What takes several lines stands apart. */
	bool lines = !script->commented && strchr(text, '\n') != NULL;
	script->gap |= lines && !script->remark_pending;
	say_gap(script);
	if (script->commented) {
		char *whole = mem_printf("%s;", text);
		say_commented(&script->text, whole, "  ");
		mem_free(&whole);
	} else {
		say(&script->text, text, strlen(text));
		say(&script->text, ";\n", 2);
		script->statements++;
		script->remarks += script->remark_pending;
		script->remark_pending = false;
		script->gap = lines;
	}
	mem_free(&text);
}

void diff_remark(struct diff_script *script, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = formatted(format, args);
	va_end(args);
	say_gap(script);
	say_wrapped(&script->text, text);
	script->remark_pending = true;
	mem_free(&text);
}

void diff_leave(struct diff_script *script, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = formatted(format, args);
	va_end(args);
	char *whole = mem_printf("LEFT TO YOU: %s", text);
	say_gap(script);
	say_wrapped(&script->text, whole);
	script->left++;
	script->commented = true;
	mem_free(&whole);
	mem_free(&text);
}

void diff_left(struct diff_script *script)
{
	script->commented = false;
	script->remark_pending = false;
}
