#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gate/gate.h"

struct text text_begin(char *buffer, size_t size)
{
	buffer[0] = '\0';
	return (struct text){.at = buffer, .room = size};
}

void text_add(struct text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(text->at, text->room, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= text->room) {
		text->at[0] = '\0';
		return;
	}
	text->at += n;
	text->room -= (size_t)n;
}

/* How many bytes the UTF-8 character at s takes; 0 when it is none, or a control character that could forge a
 * line. */
static size_t character_size(const unsigned char *s)
{
	size_t n;

	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0; /* the terminating zero ends here too */
	}
	/* Overlong forms, surrogates, beyond U+10FFFF, and the C1 controls. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f) || (s[0] == 0xc2 && s[1] < 0xa0))
		return 0;
	return n;
}

static void add_bounded(struct text *text, const char *name, size_t most)
{
	char clean[TEXT_CLAUSE + sizeof("...")];
	size_t size = 0;

	for (const unsigned char *s = (const unsigned char *)name; *s != '\0';) {
		size_t n = character_size(s);
		size_t taken = n == 0 ? 1 : n;
		if (size + taken > most) {
			memcpy(clean + size, "...", 3);
			size += 3;
			break;
		}
		if (n == 0)
			clean[size] = '?';
		else
			memcpy(clean + size, s, n);
		size += taken;
		s += taken;
	}
	clean[size] = '\0';
	text_add(text, "%s", clean);
}

void text_add_name(struct text *text, const char *name)
{
	add_bounded(text, name, TEXT_NAME);
}

void text_add_clause(struct text *text, const char *clause)
{
	add_bounded(text, clause, TEXT_CLAUSE);
}

void text_add_heads(struct text *text, const struct heads *heads, size_t most)
{
	const char *s = heads_text(heads);
	size_t size = strlen(s);

	if (size <= most) {
		text_add(text, "%s", s);
		return;
	}
	size = most - strlen("+...");
	while (size > 0 && s[size] != '+')
		size--;
	text_add(text, "%.*s+...", (int)size, s);
}

void text_add_schema(struct text *text, const struct heads *heads)
{
	text_add(text, heads_count(heads) > 1 ? "schema heads " : "schema head ");
	text_add_heads(text, heads, TEXT_MESSAGE_HEADS);
}

void text_add_database(struct text *text, const struct gate_view *view)
{
	if (view == NULL) {
		text_add(text, "this database");
		return;
	}
	text_add(text, "database \"");
	text_add_name(text, view->database);
	text_add(text, "\"");
}

void text_add_where(struct text *text, const struct gate_view *view)
{
	const struct heads *recorded = gate_recorded_heads(view);

	text_add_database(text, view);
	if (!heads_is_none(recorded)) {
		text_add(text, " is at ");
		text_add_schema(text, recorded);
	} else if (view->recorded.state == RECORDED_ABSENT) {
		text_add(text, " has no recorded schema version");
	} else {
		text_add(text, " is at base (no migration applied)");
	}
}

void text_add_span(struct text *text, int64_t span_ns)
{
	int64_t tenths = span_ns < 0 ? 0 : span_ns / INT64_C(100000000);

	/* Tenths below ten seconds; above, nobody cares. */
	if (tenths < 100 && tenths % 10 != 0)
		text_add(text, "%" PRId64 ".%" PRId64 " s", tenths / 10, tenths % 10);
	else
		text_add(text, "%" PRId64 " s", tenths / 10);
}
