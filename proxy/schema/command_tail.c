#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "command_private.h"

void tail_add(struct tail *tail, const void *bytes, size_t size)
{
	const unsigned char *from = bytes;
	if (size > sizeof(tail->ring)) {
		tail->seen += size - sizeof(tail->ring);
		from += size - sizeof(tail->ring);
		size = sizeof(tail->ring);
	}
	size_t at = (size_t)(tail->seen % sizeof(tail->ring));
	size_t first = size < sizeof(tail->ring) - at ? size : sizeof(tail->ring) - at;
	memcpy(tail->ring + at, from, first);
	memcpy(tail->ring, from + first, size - first);
	tail->seen += size;
}

/* The length of the UTF-8 sequence at s (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF), 0
 * when there is none. C1 controls count as none: terminals obey them. */
static size_t sequence(const unsigned char *s, size_t n)
{
	if (s[0] < 0x80)
		return 1;
	size_t length = s[0] >= 0xc2 && s[0] <= 0xdf ? 2
	    : (s[0] & 0xf0) == 0xe0                  ? 3
	    : s[0] >= 0xf0 && s[0] <= 0xf4           ? 4
						     : 0;
	if (length == 0 || length > n)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	bool wrong = (s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) ||
	    (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f);
	return wrong ? 0 : length;
}

char *command_clean(const char *bytes, size_t size)
{
	const unsigned char *raw = (const unsigned char *)bytes;
	char *text = mem_alloc(4 * size + 1);
	size_t length = 0;
	for (size_t i = 0; i < size;) {
		size_t n = sequence(raw + i, size - i);
		bool control =
		    n == 1 && (raw[i] < 0x20 || raw[i] == 0x7f) && raw[i] != '\n' && raw[i] != '\t';
		if (raw[i] == '\r' && i + 1 < size && raw[i + 1] == '\n') {
			i++;
		} else if (n == 0 || control) {
			length += (size_t)snprintf(text + length, 5, "\\x%02x", raw[i]);
			i++;
		} else {
			memcpy(text + length, raw + i, n);
			length += n;
			i += n;
		}
	}
	text[length] = '\0';
	return text;
}

char *tail_text(const struct tail *tail)
{
	char raw[COMMAND_TAIL_BYTES];
	size_t size = tail->seen < sizeof(raw) ? (size_t)tail->seen : sizeof(raw);
	size_t at = tail->seen < sizeof(raw) ? 0 : (size_t)(tail->seen % sizeof(raw));
	memcpy(raw, tail->ring + at, size - at);
	memcpy(raw + size - at, tail->ring, at);

	size_t skip = 0;
	/* The cut may have gone through a character: its rest is no junk of the command's. */
	while (
	    tail->seen > sizeof(raw) && skip < 3 && skip < size && ((unsigned char)raw[skip] & 0xc0) == 0x80)
		skip++;
	char *text = command_clean(raw + skip, size - skip);
	size_t length = strlen(text);
	if (length > COMMAND_TAIL_BYTES) {
		size_t cut = length - COMMAND_TAIL_BYTES;
		while (((unsigned char)text[cut] & 0xc0) == 0x80)
			cut++;
		memmove(text, text + cut, length - cut + 1);
	}
	return text;
}
