/* One JSON document on a stream, piece by piece. Commas come by themselves; keys are ours; texts may be any
 * bytes: what is not UTF-8 becomes U+FFFD. */
#ifndef CTL_PAGE_JSON_H
#define CTL_PAGE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "gate/head.h"

/* A string alone, where the rest is written by hand. NULL: null. */
void page_json_string(FILE *to, const char *text);

struct page_json {
	FILE *to;
	bool more;      /* something stands before, in this object or list */
	unsigned depth; /* the first level of a list is one line an element */
};

/* key NULL: an element of a list, or the document itself. open: '{' or '['; the line end after the document
 * is page_json_end()'s. */
void page_json_begin(struct page_json *json, const char *key, char open);
void page_json_end(struct page_json *json, char close);
void page_json_text(struct page_json *json, const char *key, const char *text); /* NULL: null */
void page_json_number(struct page_json *json, const char *key, int64_t number);
void page_json_flag(struct page_json *json, const char *key, bool flag);
void page_json_heads(struct page_json *json, const char *key, const struct heads *heads); /* a list */
/* Already JSON (a column of PostgreSQL's); NULL: null. */
void page_json_as_is(struct page_json *json, const char *key, const char *text);

#endif
