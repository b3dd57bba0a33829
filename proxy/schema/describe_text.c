/* How two descriptions differ, in words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "describe_private.h"

#define SHOWN_BYTES 100 /* of a value in a difference */

char *described_title(const struct described *object)
{
	return mem_printf("%s %s", describe_kind_name(object->kind), object->identity);
}

static bool same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool described_equal(const struct described *a, const struct described *b)
{
	const char *const *names = describe_attributes(a->kind);
	for (unsigned i = 0; names[i] != NULL; i++)
		if (names[i][0] != '.' && !same(a->values[i], b->values[i]))
			return false;
	return true;
}

void describe_texts_free(struct describe_texts *texts)
{
	for (unsigned i = 0; i < texts->count; i++)
		mem_free(&texts->at[i]);
	mem_free(&texts->at);
	texts->count = 0;
}

static void add(struct describe_texts *texts, char *line)
{
	if ((texts->count & (texts->count + 1)) == 0)
		texts->at = mem_realloc(texts->at, 2 * (texts->count + 1) * sizeof(char *));
	texts->at[texts->count++] = line;
}

/* "table public.orders: column note", "view public.v": parts after what they are a part of. */
static char *place_of(const struct described *object)
{
	const struct described *parent = object->parent;
	if (object->kind == DESCRIBE_COMMENT || object->kind == DESCRIBE_GRANT ||
	    object->kind == DESCRIBE_DEFAULT_PRIVILEGES)
		return object->kind == DESCRIBE_DEFAULT_PRIVILEGES
		    ? described_title(object)
		    : mem_printf("%s %s", describe_kind_name(object->kind), object->identity);
	if (object->on == NULL)
		return described_title(object);
	const char *whole = parent == NULL    ? "table"
	    : parent->kind == DESCRIBE_COLUMN ? describe_kind_name(DESCRIBE_TABLE)
					      : describe_kind_name(parent->kind);
	if (object->kind == DESCRIBE_DEFAULT)
		return mem_printf("%s %s: default of column %s", whole, object->on, object->name);
	return mem_printf("%s %s: %s %s", whole, object->on, describe_kind_name(object->kind), object->name);
}

/* A value short enough for a line: its first line, cut. */
static char *shown(const char *value)
{
	if (value == NULL)
		return mem_strdup("none");
	size_t n = strcspn(value, "\r\n");
	bool cut = value[n] != '\0' || n > SHOWN_BYTES;
	if (n > SHOWN_BYTES)
		n = SHOWN_BYTES;
	while (cut && n > 0 && ((unsigned char)value[n] & 0xC0) == 0x80)
		n--; /* not inside of a character */
	return mem_printf("%.*s%s", (int)n, value, cut ? " ..." : "");
}

static void add_value(
    struct describe_texts *texts, const struct described *is, const char *name, const char *a, const char *b)
{
	char *place = place_of(is);
	if (a != NULL && b != NULL && (strchr(a, '\n') != NULL || strchr(b, '\n') != NULL)) {
		/* The first line that differs. */
		unsigned line = 1;
		const char *x = a, *y = b;
		while (*x != '\0' && *x == *y) {
			if (*x == '\n') {
				line++;
				a = x + 1;
				b = y + 1;
			}
			x++;
			y++;
		}
		char *left = shown(a), *right = shown(b);
		add(texts,
		    mem_printf("%s: line %u of the %s is \"%s\", should be \"%s\"", place, line, name,
			left + strspn(left, " \t"), right + strspn(right, " \t")));
		mem_free(&left);
		mem_free(&right);
	} else {
		/* What is there or not says yes or nothing. */
		bool flag = (a == NULL || strcmp(a, "yes") == 0) && (b == NULL || strcmp(b, "yes") == 0);
		char *left = shown(a == NULL && flag ? "no" : a),
		     *right = shown(b == NULL && flag ? "no" : b);
		add(texts, mem_printf("%s: %s is %s, should be %s", place, name, left, right));
		mem_free(&left);
		mem_free(&right);
	}
	mem_free(&place);
}

static void add_values(
    struct describe_texts *texts, const struct described *is, const struct described *should_be)
{
	const char *const *names = describe_attributes(is->kind);
	for (unsigned i = 0; names[i] != NULL; i++)
		if (names[i][0] != '.' && !same(is->values[i], should_be->values[i]))
			add_value(texts, is, names[i], is->values[i], should_be->values[i]);
}

/* What it is, beside its name, where a word about it helps. */
static const char *gist(const struct described *object)
{
	switch (object->kind) {
	case DESCRIBE_COLUMN:
	case DESCRIBE_ATTRIBUTE:
		return described_value(object, "type");
	case DESCRIBE_CONSTRAINT:
	case DESCRIBE_DOMAIN_CONSTRAINT:
		return described_value(object, "definition");
	case DESCRIBE_DEFAULT:
		return described_value(object, "value");
	case DESCRIBE_GRANT:
	case DESCRIBE_DEFAULT_PRIVILEGES: {
		const char *given = described_value(object, "privileges");
		return given != NULL ? given : "revoked";
	}
	default:
		return NULL;
	}
}

static void add_lone(struct describe_texts *texts, const struct described *object,
    const struct description *other, const char *what)
{
	for (const struct described *whole = object->parent; whole != NULL; whole = whole->parent)
		if (description_find(other, whole->kind, whole->identity) == NULL)
			return; /* goes without saying */
	char *place = place_of(object), *more = gist(object) != NULL ? shown(gist(object)) : NULL;
	add(texts,
	    more != NULL ? mem_printf("%s (%s) %s", place, more, what) : mem_printf("%s %s", place, what));
	mem_free(&place);
	mem_free(&more);
}

struct describe_texts describe_differences(const struct description *is, const struct description *should_be)
{
	struct describe_texts texts = {NULL, 0};
	unsigned i = 0, j = 0, n = description_count(is), m = description_count(should_be);
	while (i < n || j < m) {
		const struct described *a = i < n ? description_at(is, i) : NULL;
		const struct described *b = j < m ? description_at(should_be, j) : NULL;
		int order = a == NULL ? 1 : b == NULL ? -1 : (int)a->kind - (int)b->kind;
		if (order == 0)
			order = strcmp(a->identity, b->identity);
		if (order < 0) {
			add_lone(&texts, a, should_be, "is there and should not be");
			i++;
		} else if (order > 0) {
			add_lone(&texts, b, is, "is missing");
			j++;
		} else {
			add_values(&texts, a, b);
			i++;
			j++;
		}
	}
	return texts;
}
