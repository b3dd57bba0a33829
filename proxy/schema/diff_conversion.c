/* What happens to values when the type of their column changes. The types are as format_type() writes them:
 * "numeric(10,2)", "character varying(20)[]", "timestamp(3) with time zone", "public.mood". What is not in
 * this file is not known, and counts as lossy. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "diff_private.h"

#define NAME_BYTES 200

struct type {
	char name[NAME_BYTES]; /* without modifiers and dimensions */
	int modifier[2];       /* -1: none */
	unsigned dimensions;
};

static bool type_read(const char *text, struct type *out)
{
	size_t n = 0;
	*out = (struct type){.modifier = {-1, -1}};
	for (const char *at = text; *at != '\0'; at++) {
		if (*at == '(' && isdigit((unsigned char)at[1])) {
			if (sscanf(at, "(%d,%d)", &out->modifier[0], &out->modifier[1]) < 1)
				return false;
			at += strcspn(at, ")");
			if (*at == '\0')
				return false;
		} else if (strncmp(at, "[]", 2) == 0) {
			out->dimensions++;
			at++;
		} else {
			if (n + 1 >= NAME_BYTES)
				return false;
			out->name[n++] = *at;
		}
	}
	return true;
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

static const char *const strings[] = {"text", "character varying", "character", "public.citext", NULL};

static bool is_string(const struct type *type)
{
	return type->dimensions == 0 && is_one_of(type->name, strings);
}

/* From no modifier to one, or to a smaller one. */
static bool narrower(int from, int to)
{
	return to >= 0 && (from < 0 || to < from);
}

static enum diff_conversion same_name(const struct type *from, const struct type *to)
{
	static const char *const lengths[] = {"character varying", "character", "bit varying", "bit", NULL};
	static const char *const times[] = {"timestamp without time zone", "timestamp with time zone",
	    "time without time zone", "time with time zone", "interval", NULL};
	int f = from->modifier[0], t = to->modifier[0];
	if (f == t && from->modifier[1] == to->modifier[1])
		return CONVERSION_SAFE;
	if (is_one_of(to->name, lengths))
		return narrower(f, t) ? CONVERSION_CHECKED : CONVERSION_SAFE;
	if (is_one_of(to->name, times))
		return narrower(f, t) ? CONVERSION_LOSSY : CONVERSION_SAFE; /* rounds */
	if (strcmp(to->name, "numeric") == 0) {
		int fs = from->modifier[1] < 0 ? 0 : from->modifier[1],
		    ts = to->modifier[1] < 0 ? 0 : to->modifier[1];
		if (t < 0)
			return CONVERSION_SAFE;
		if (f < 0 || ts < fs)
			return CONVERSION_LOSSY; /* rounds */
		return t - ts < f - fs ? CONVERSION_CHECKED : CONVERSION_SAFE;
	}
	return CONVERSION_LOSSY;
}

static enum diff_conversion from_string(
    const struct diff_plan *plan, const struct type *from, const struct type *to)
{
	static const char *const read[] = {"smallint", "integer", "bigint", "numeric", "boolean", "uuid",
	    "date", "timestamp without time zone", "time without time zone", "inet", "cidr", "macaddr",
	    "json", "xml", "interval", "double precision", NULL};
	if (is_string(to)) {
		if (to->modifier[0] < 0)
			return strcmp(to->name, "character") == 0 ? CONVERSION_CHECKED : CONVERSION_SAFE;
		return strcmp(from->name, to->name) == 0 || narrower(from->modifier[0], to->modifier[0])
		    ? CONVERSION_CHECKED
		    : CONVERSION_SAFE;
	}
	if (to->dimensions == 0 && description_find(plan->to, DESCRIBE_ENUM, to->name) != NULL)
		return CONVERSION_CHECKED;
	return to->dimensions == 0 && to->modifier[0] < 0 && is_one_of(to->name, read) ? CONVERSION_CHECKED
										       : CONVERSION_LOSSY;
}

static enum diff_conversion to_string(
    const struct diff_plan *plan, const struct type *from, const struct type *to)
{
	static const char *const written[] = {"smallint", "integer", "bigint", "numeric", "boolean", "uuid",
	    "date", "timestamp without time zone", "time without time zone", "inet", "cidr", "macaddr",
	    "json", "jsonb", "xml", "name", "\"char\"", NULL};
	bool enumerated = description_find(plan->from, DESCRIBE_ENUM, from->name) != NULL;
	if (from->dimensions > 0 || (!enumerated && !is_one_of(from->name, written)))
		return CONVERSION_LOSSY;
	return to->modifier[0] < 0 && strcmp(to->name, "character") != 0 ? CONVERSION_SAFE
									 : CONVERSION_CHECKED;
}

static int integer_rank(const char *name)
{
	static const char *const integers[] = {"smallint", "integer", "bigint"};
	for (int i = 0; i < 3; i++)
		if (strcmp(name, integers[i]) == 0)
			return i;
	return -1;
}

static enum diff_conversion between_numbers(const struct type *from, const struct type *to)
{
	int f = integer_rank(from->name), t = integer_rank(to->name);
	if (f >= 0 && t >= 0)
		return f <= t ? CONVERSION_SAFE : CONVERSION_CHECKED;
	if (f >= 0 && strcmp(to->name, "numeric") == 0)
		return to->modifier[0] < 0 ? CONVERSION_SAFE : CONVERSION_CHECKED;
	if ((f >= 0 && f <= 1 && strcmp(to->name, "double precision") == 0) ||
	    (f == 0 && strcmp(to->name, "real") == 0) ||
	    (strcmp(from->name, "real") == 0 && strcmp(to->name, "double precision") == 0))
		return CONVERSION_SAFE;
	return CONVERSION_LOSSY;
}

static enum diff_conversion between_others(const struct type *from, const struct type *to)
{
	static const struct {
		const char *from, *to;
	} safe[] = {
	    {"date", "timestamp without time zone"}, {"cidr", "inet"}, {"jsonb", "json"}, {"name", "text"}};
	for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
		if (strcmp(from->name, safe[i].from) == 0 && strcmp(to->name, safe[i].to) == 0 &&
		    to->modifier[0] < 0)
			return CONVERSION_SAFE;
	return between_numbers(from, to);
}

static enum diff_conversion convert(
    const struct diff_plan *plan, const char *from_text, const char *to_text, bool *using)
{
	struct type from, to;
	*using = true;
	if (strcmp(from_text, to_text) == 0) {
		*using = false;
		return CONVERSION_SAFE;
	}
	if (!type_read(from_text, &from) || !type_read(to_text, &to) || from.dimensions != to.dimensions)
		return CONVERSION_LOSSY;
	/* PostgreSQL casts arrays as it casts their elements. */
	from.dimensions = to.dimensions = 0;
	bool old_enum = description_find(plan->from, DESCRIBE_ENUM, from.name) != NULL;
	bool new_enum = description_find(plan->to, DESCRIBE_ENUM, to.name) != NULL;
	if (strcmp(from.name, to.name) == 0) {
		/* An assignment refuses what does not fit, where a cast that is written out would cut it. */
		*using = false;
		return same_name(&from, &to);
	}
	if (is_string(&from)) {
		*using = !is_string(&to);
		return from_string(plan, &from, &to);
	}
	if (is_string(&to)) {
		*using = false;
		return to_string(plan, &from, &to);
	}
	if (old_enum && new_enum)
		return CONVERSION_CHECKED;
	enum diff_conversion conversion = between_others(&from, &to);
	*using = conversion == CONVERSION_LOSSY;
	return conversion;
}

enum diff_conversion diff_conversion(
    const struct diff_plan *plan, const char *from, const char *to, bool *using)
{
	const struct described *old = description_find(plan->from, DESCRIBE_DOMAIN, from);
	const struct described *new = description_find(plan->to, DESCRIBE_DOMAIN, to);
	if (old == NULL && new == NULL)
		return convert(plan, from, to, using);
	/* A domain is its type, and checks. */
	enum diff_conversion conversion = convert(plan, old != NULL ? described_value(old, "type") : from,
	    new != NULL ? described_value(new, "type") : to, using);
	return new != NULL &&conversion == CONVERSION_SAFE ? CONVERSION_CHECKED : conversion;
}

bool diff_same_family(const char *from_text, const char *to_text)
{
	static const char *const texts[] = {"text", "character varying", NULL};
	struct type from, to;
	if (!type_read(from_text, &from) || !type_read(to_text, &to) || from.dimensions != to.dimensions)
		return false;
	return strcmp(from.name, to.name) == 0 ||
	    (integer_rank(from.name) >= 0 && integer_rank(to.name) >= 0) ||
	    (is_one_of(from.name, texts) && is_one_of(to.name, texts));
}
