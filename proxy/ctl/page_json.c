#include "page_json.h"

#include <string.h>

#include "base/mem.h"

void page_json_string(FILE *to, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	if (s == NULL) {
		fputs("null", to);
		return;
	}
	putc('"', to);
	while (*s != '\0') {
		size_t size = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;
		bool right = *s < 0x80 || (*s >= 0xc2 && *s <= 0xf4);
		for (size_t i = 1; right && i < size; i++)
			right = (s[i] & 0xc0) == 0x80; /* the NUL at the end is none */
		if (right &&
		    ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
			(*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f)))
			right = false;
		if (!right) {
			fputs("\\ufffd", to);
			s++;
			continue;
		}
		if (*s == '"' || *s == '\\')
			fprintf(to, "\\%c", *s);
		else if (*s == '\n')
			fputs("\\n", to);
		else if (*s == '\t')
			fputs("\\t", to);
		else if (*s < 0x20 || *s == 0x7f)
			fprintf(to, "\\u%04x", *s);
		else
			fwrite(s, 1, size, to);
		s += size;
	}
	putc('"', to);
}

static void put_key(struct page_json *json, const char *key)
{
	if (json->more)
		fputs(json->depth == 1 ? ",\n " : ", ", json->to);
	json->more = true;
	if (key != NULL) {
		page_json_string(json->to, key);
		fputs(": ", json->to);
	}
}

void page_json_begin(struct page_json *json, const char *key, char open)
{
	put_key(json, key);
	putc(open, json->to);
	json->more = false;
	json->depth++;
}

void page_json_end(struct page_json *json, char close)
{
	putc(close, json->to);
	json->more = true;
	if (--json->depth == 0)
		putc('\n', json->to);
}

void page_json_text(struct page_json *json, const char *key, const char *text)
{
	put_key(json, key);
	page_json_string(json->to, text);
}

void page_json_number(struct page_json *json, const char *key, int64_t number)
{
	put_key(json, key);
	fprintf(json->to, "%lld", (long long)number);
}

void page_json_flag(struct page_json *json, const char *key, bool flag)
{
	put_key(json, key);
	fputs(flag ? "true" : "false", json->to);
}

void page_json_as_is(struct page_json *json, const char *key, const char *text)
{
	put_key(json, key);
	fputs(text == NULL ? "null" : text, json->to);
}

void page_json_heads(struct page_json *json, const char *key, const struct heads *heads)
{
	const char *s = heads_is_none(heads) ? "" : heads->text;

	page_json_begin(json, key, '[');
	while (*s != '\0') {
		size_t n = strcspn(s, "+");
		char *head = mem_strndup(s, n);
		page_json_text(json, NULL, head);
		mem_free(&head);
		s += n + (s[n] == '+');
	}
	page_json_end(json, ']');
}
