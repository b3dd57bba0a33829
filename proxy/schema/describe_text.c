/* Descriptions as text: what PostgreSQL would make of its own words, and how two descriptions differ. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "describe_private.h"

#define SHOWN_BYTES 100 /* of a value in a difference */

/* ---- settled texts ---- */

/* Behind the quoted thing that begins here: '...', "...". */
static const char *skip_quoted(const char *at)
{
	char quote = *at++;
	while (*at != '\0') {
		if (*at == quote) {
			if (at[1] != quote)
				return at + 1;
			at++;
		}
		at++;
	}
	return at;
}

/* From behind an opening bracket to the closing one that fits, NULL when there is none. comma: the first on
 * the way that stands in no other bracket ends it too. */
static const char *find_close(const char *at, bool comma)
{
	unsigned depth = 0;
	while (*at != '\0') {
		if (*at == '\'' || *at == '"') {
			at = skip_quoted(at);
			continue;
		}
		if (depth == 0 && (*at == ']' || *at == ')' || (comma && *at == ',')))
			return at;
		if (*at == '(' || *at == '[')
			depth++;
		else if (*at == ')' || *at == ']')
			depth--;
		at++;
	}
	return NULL;
}

/* The array's type behind ")::", less its []: to where, or NULL when it is no array. A type may be of several
 * words, and qualified. */
static const char *array_type(const char *at)
{
	while (*at != '\0') {
		if (*at == '"')
			at = skip_quoted(at);
		else if ((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '_' ||
		    *at == '.' || *at == ' ')
			at++;
		else
			break;
	}
	return at[0] == '[' && at[1] == ']' ? at : NULL;
}

struct growing {
	char *at;
	size_t size, room;
};

static void put(struct growing *out, const char *text, size_t size)
{
	if (out->size + size + 1 > out->room) {
		out->room = 2 * (out->size + size + 1);
		out->at = mem_realloc(out->at, out->room);
	}
	memcpy(out->at + out->size, text, size);
	out->size += size;
	out->at[out->size] = '\0';
}

/* "(ARRAY[" stands at `at`. Behind the cast when it was one and was written anew, else NULL. */
static const char *put_array(struct growing *out, const char *at)
{
	const char *first = at + strlen("(ARRAY[");
	const char *close = find_close(first, false);
	if (close == NULL || close == first || strncmp(close, "])::", 4) != 0)
		return NULL;
	const char *type = close + 4, *type_end = array_type(type);
	if (type_end == NULL)
		return NULL;
	put(out, "ARRAY[", 6);
	for (const char *element = first; element < close;) {
		const char *end = find_close(element, true);
		put(out, "(", 1);
		put(out, element, (size_t)(end - element));
		put(out, ")::", 3);
		put(out, type, (size_t)(type_end - type));
		element = end;
		if (*end == ',') {
			put(out, ", ", 2);
			element = end + 1 + strspn(end + 1, " ");
		}
	}
	put(out, "]", 1);
	return type_end + 2;
}

/* Casts of arrays go into the arrays. */
static char *settle_arrays(const char *text)
{
	struct growing out = {NULL, 0, 0};
	put(&out, "", 0);
	for (const char *at = text; *at != '\0';) {
		const char *end = NULL;
		if (strncmp(at, "(ARRAY[", 7) == 0)
			end = put_array(&out, at);
		if (end == NULL) {
			end = *at == '\'' || *at == '"' ? skip_quoted(at) : at + 1;
			put(&out, at, (size_t)(end - at));
		}
		at = end;
	}
	return out.at;
}

/* Does the word stand between the brackets, in no further ones? */
static bool joined_by(const char *at, const char *close, const char *word)
{
	unsigned depth = 0;
	while (at < close) {
		if (*at == '\'' || *at == '"') {
			at = skip_quoted(at);
			continue;
		}
		if (depth == 0 && strncmp(at, word, strlen(word)) == 0)
			return true;
		depth += *at == '(' || *at == '[';
		depth -= *at == ')' || *at == ']';
		at++;
	}
	return false;
}

/* ((a AND b) AND c) is (a AND b AND c), and so with OR: takes the inner brackets out. */
static void settle_lists(char *text)
{
	static const char *const words[] = {" AND ", " OR "};
	for (char *at = text; *at != '\0';) {
		if (*at == '\'' || *at == '"') {
			at = (char *)(uintptr_t)skip_quoted(at);
			continue;
		}
		const char *close = at[0] == '(' && at[1] == '(' ? find_close(at + 2, false) : NULL;
		bool took = false;
		for (size_t i = 0; close != NULL && *close == ')' && !took && i < 2; i++) {
			if (strncmp(close + 1, words[i], strlen(words[i])) != 0 ||
			    !joined_by(at + 2, close, words[i]))
				continue;
			char *end = (char *)(uintptr_t)close;
			memmove(end, end + 1, strlen(end));
			memmove(at + 1, at + 2, strlen(at + 1));
			took = true;
		}
		at += took ? 0 : 1;
	}
}

/* What the parser does to some texts that come from itself, so that what is made of them is described by
 * another: a constraint that was made so would differ from its model for ever (status IN ('a', 'b') of a
 * varchar; a BETWEEN 1 AND 2 AND ...). */
char *describe_settled(const char *text)
{
	char *settled = settle_arrays(text);
	settle_lists(settled);
	return settled;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* CREATE STATISTICS s ON b, a FROM t: the columns stand as in the table, whose order does not count. */
char *describe_settled_statistics(const char *definition)
{
	const char *on = strstr(definition, " ON "), *from = NULL;
	char **items = NULL;
	unsigned count = 0;
	struct growing out = {NULL, 0, 0};
	for (const char *at = on; at != NULL; at = strstr(at + 1, " FROM "))
		from = at;
	if (on == NULL || from <= on)
		return mem_strdup(definition);
	on += strlen(" ON ");
	put(&out, definition, (size_t)(on - definition));
	for (const char *at = on; at < from;) {
		const char *end = find_close(at, true);
		end = end == NULL || end > from ? from : end;
		items = mem_realloc(items, (count + 1) * sizeof(char *));
		items[count++] = mem_strndup(at, (size_t)(end - at));
		at = end + strspn(end, ", ");
	}
	if (count > 0)
		qsort(items, count, sizeof(char *), compare_texts);
	for (unsigned i = 0; i < count; i++) {
		put(&out, ", ", i > 0 ? 2 : 0);
		put(&out, items[i], strlen(items[i]));
		mem_free(&items[i]);
	}
	put(&out, from, strlen(from));
	mem_free(&items);
	return out.at;
}

/* ---- differences ---- */

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
