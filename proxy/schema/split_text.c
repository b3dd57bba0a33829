/* Texts as a whole: their encoding, and their meaning. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "split_private.h"

size_t split_bom(const char *text, size_t size)
{
	return size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* The length of the UTF-8 sequence at s, 0 if there is none; PostgreSQL's pg_utf8_islegal(). */
static size_t split_utf8(const unsigned char *s, size_t rest)
{
	size_t n = s[0] < 0x80 ? 1
	    : s[0] < 0xc2      ? 0
	    : s[0] < 0xe0      ? 2
	    : s[0] < 0xf0      ? 3
	    : s[0] < 0xf5      ? 4
			       : 0;

	if (n == 0 || n > rest)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

bool split_check_text(const char *text, size_t size, struct split_error *error)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;

	error->line = 1;
	if (size >= 2 && ((s[0] == 0xff && s[1] == 0xfe) || (s[0] == 0xfe && s[1] == 0xff))) {
		snprintf(error->text, sizeof(error->text), "the file is UTF-16: save it as UTF-8");
		return false;
	}
	if (size >= 5 && memcmp(text, "PGDMP", 5) == 0) {
		snprintf(error->text, sizeof(error->text),
		    "the file is a dump in pg_dump's custom format: migrations are plain SQL");
		return false;
	}
	for (size_t at = 0; at < size; at += n) {
		n = split_utf8(s + at, size - at);
		if (s[at] == '\0') {
			snprintf(error->text, sizeof(error->text),
			    "a NUL byte, which PostgreSQL takes in no text");
			return false;
		}
		if (n == 0) {
			snprintf(error->text, sizeof(error->text),
			    "byte 0x%02x is not UTF-8: save the file as UTF-8", s[at]);
			return false;
		}
		if (s[at] == '\n')
			error->line++;
	}
	return true;
}

struct split_sink {
	char *at;
	size_t size, room;
};

static void sink_put(struct split_sink *sink, const char *s, size_t n)
{
	if (n > sink->room - sink->size) {
		sink->room = (sink->room + n) * 2;
		sink->at = mem_realloc(sink->at, sink->room);
	}
	memcpy(sink->at + sink->size, s, n);
	sink->size += n;
}

/* Copies with CRLF as LF, and without blanks before line ends where `trim`. */
static void sink_even(struct split_sink *sink, const char *s, size_t n, bool trim)
{
	size_t floor = sink->size; /* what was there before is not ours to trim */

	for (size_t i = 0; i < n; i++) {
		while (s[i] == '\n' && sink->size > floor &&
		    strchr(trim ? " \t\r" : "\r", sink->at[sink->size - 1]) != NULL &&
		    sink->at[sink->size - 1] != '\0')
			sink->size--;
		sink_put(sink, s + i, 1);
	}
}

static void sink_statement(struct split_sink *sink, const struct split_statement *statement)
{
	struct split_lexer lexer = {.text = statement->text, .size = statement->size};
	size_t last = 0;

	for (;;) {
		struct split_token token = split_next(&lexer);
		if (token.kind == SPLIT_TOKEN_END)
			break;
		if (token.start > last)
			sink_put(sink, " ", 1);
		sink_even(sink, lexer.text + token.start, token.end - token.start, true);
		last = token.end;
	}
	sink_put(sink, ";\n", 2);
	if (statement->data != NULL) {
		sink_even(sink, statement->data, statement->data_size, false);
		while (sink->at[sink->size - 1] == '\r')
			sink->size--;
		if (sink->at[sink->size - 1] != '\n')
			sink_put(sink, "\n", 1);
		sink_put(sink, "\\.\n", 3);
	}
}

char *split_meaning(const char *text, size_t size, size_t *out_size)
{
	struct split_sink sink = {.at = mem_alloc(size + 64), .room = size + 64};
	struct split split = {.count = 0};
	struct split_error error;
	size_t bom = split_bom(text, size);

	if (split_append(&split, text + bom, size - bom, 1, &error)) {
		for (unsigned i = 0; i < split.count; i++)
			sink_statement(&sink, &split.at[i]);
	} else {
		sink_even(&sink, text + bom, size - bom, true);
		while (sink.size > 0 && strchr(" \t\n", sink.at[sink.size - 1]) != NULL)
			sink.size--;
		sink_put(&sink, "\n", 1);
	}
	split_free(&split);
	*out_size = sink.size;
	sink_put(&sink, "", 1);
	return sink.at;
}
