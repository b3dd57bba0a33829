/* What PostgreSQL would make of its own words. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "describe_private.h"

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

/* ---- names that casts give ---- */

/* What the parser calls a column that is a cast of a constant: the type's own name. Others are called as they
 * are written. */
static const struct {
	const char *type, *name;
} cast_names[] = {{"integer", "int4"}, {"bigint", "int8"}, {"smallint", "int2"}, {"boolean", "bool"},
    {"character varying", "varchar"}, {"character", "bpchar"}, {"double precision", "float8"},
    {"real", "float4"}, {"timestamp without time zone", "timestamp"},
    {"timestamp with time zone", "timestamptz"}, {"time without time zone", "time"},
    {"time with time zone", "timetz"}, {"bit varying", "varbit"}};

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The type behind "::", up to " AS ": to there, or NULL when something else follows it. */
static const char *type_end(const char *type)
{
	const char *at = type;
	while (*at != '\0' && strncmp(at, " AS ", 4) != 0) {
		if (*at == '"')
			at = skip_quoted(at);
		else if (*at == '(')
			at += strspn(at, "(0123456789,)");
		else if (is_name(*at) || strchr(" .[]", *at) != NULL)
			at++;
		else
			return NULL;
	}
	return *at != '\0' ? at : NULL;
}

/* A constant ends at `at`: is there a cast, and AS with the name that it has anyway? Then to behind the cast,
 * and *end is behind the name. */
static const char *needless_name(const char *at, const char **end)
{
	const char *type = at + 2, *as = at[0] == ':' && at[1] == ':' ? type_end(type) : NULL, *last = type;
	if (as == NULL)
		return NULL;
	size_t n = (size_t)(as - type);
	for (const char *dot = type; dot < as; dot = *dot == '"' ? skip_quoted(dot) : dot + 1)
		last = *dot == '.' ? dot + 1 : last;
	n = *last == '"' ? (size_t)(skip_quoted(last) - last) : strcspn(last, "([");
	n = n < (size_t)(as - last) ? n : (size_t)(as - last);
	const char *expected = last, *name = as + 4;
	for (size_t i = 0; i < sizeof(cast_names) / sizeof(cast_names[0]); i++) {
		if (strlen(cast_names[i].type) == n && strncmp(cast_names[i].type, last, n) == 0) {
			expected = cast_names[i].name;
			n = strlen(expected);
			break;
		}
	}
	bool quoted = *name == '"' && *expected != '"';
	name += quoted;
	if (strncmp(name, expected, n) != 0 || is_name(name[n]) || (quoted && name[n] != '"'))
		return NULL;
	*end = name + n + quoted;
	return as;
}

/* Behind a constant that begins here: '...', NULL, (5). NULL: there is none. */
static const char *skip_constant(const char *text, const char *at)
{
	bool free_before = at == text || !is_name(at[-1]);
	if (*at == '\'')
		return skip_quoted(at);
	if (strncmp(at, "NULL", 4) == 0 && free_before && !is_name(at[4]))
		return at + 4;
	if (*at == '(' && free_before) {
		size_t n = strspn(at + 1, "0123456789.");
		return n > 0 && at[1 + n] == ')' ? at + n + 2 : NULL;
	}
	return NULL;
}

/* In SELECT ... UNION SELECT 'x' the second column has no name, and once it is written 'x'::text it has one.
 */
static char *settle_names(const char *text)
{
	struct growing out = {NULL, 0, 0};
	put(&out, "", 0);
	for (const char *at = text; *at != '\0';) {
		const char *after = *at == '"' ? skip_quoted(at) : skip_constant(text, at), *end = NULL;
		const char *cast = after != NULL && *at != '"' ? needless_name(after, &end) : NULL;
		const char *stop = cast != NULL ? cast : after != NULL ? after : at + 1;
		put(&out, at, (size_t)(stop - at));
		at = cast != NULL ? end : stop;
	}
	return out.at;
}

/* What the parser does to some texts that come from itself, so that what is made of them is described by
 * another: a constraint that was made so would differ from its model for ever (status IN ('a', 'b') of a
 * varchar; a BETWEEN 1 AND 2 AND ...; SELECT ... UNION SELECT 'x'). */
char *describe_settled(const char *text)
{
	char *arrays = settle_arrays(text);
	char *settled = settle_names(arrays);
	mem_free(&arrays);
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
