/* How heads compare where no graph of migrations knows them. */
#include <string.h>

#include "gate/gate.h"

#define DIGITS "0123456789"

/* Digits with single separators between them? */
static bool numbers(const char *text, const char *separators)
{
	for (;;) {
		size_t n = strspn(text, DIGITS);
		if (n == 0)
			return false;
		text += n;
		if (*text == '\0')
			return true;
		if (strchr(separators, *text++) == NULL)
			return false;
	}
}

/* Part by part; a missing part is 0. Numbers of up to 64 digits are compared as text, since no integer type
 * holds them. */
static int compare_versions(const char *a, const char *b)
{
	while (*a != '\0' || *b != '\0') {
		a += strspn(a, "0");
		b += strspn(b, "0");
		size_t a_digits = strspn(a, DIGITS), b_digits = strspn(b, DIGITS);
		int order = a_digits != b_digits ? (a_digits > b_digits ? 1 : -1) : memcmp(a, b, a_digits);
		if (order != 0)
			return order;
		a += a_digits;
		b += b_digits;
		a += *a == '.';
		b += *b == '.';
	}
	return 0;
}

static enum gate_relation relate_numeric(const char *declared, const char *recorded)
{
	if (!numbers(declared, ".") || !numbers(recorded, "."))
		return RELATION_UNKNOWN;
	int order = compare_versions(declared, recorded);
	return order < 0 ? RELATION_BEHIND : order > 0 ? RELATION_AHEAD : RELATION_SAME;
}

/* The place of one head in the configured list, or list_count. */
static unsigned list_place(const struct gate_policy *policy, const char *head)
{
	unsigned place = 0;

	while (place < policy->list_count && strcmp(heads_text(&policy->list[place]), head) != 0)
		place++;
	return place;
}

static enum gate_relation relate_list(
    const struct gate_policy *policy, const char *declared, const char *recorded)
{
	unsigned declared_place = list_place(policy, declared), recorded_place = list_place(policy, recorded);

	if (declared_place == policy->list_count || recorded_place == policy->list_count)
		return RELATION_UNKNOWN;
	return declared_place < recorded_place ? RELATION_BEHIND : RELATION_AHEAD;
}

/* Whether the order knows every head of a set: then the set is ahead of a database at base. */
static bool ordered(const struct gate_policy *policy, const struct heads *set)
{
	switch (policy->order) {
	case ORDER_NONE:
		return false;
	case ORDER_NUMERIC:
		return numbers(set->text, ".+");
	case ORDER_TEXT:
		return true;
	case ORDER_LIST:
		/* The list holds one revision an entry, so only single heads can be in it. */
		return list_place(policy, set->text) < policy->list_count;
	}
	return false;
}

enum gate_relation gate_relate(
    const struct gate_policy *policy, const struct heads *declared, const struct heads *recorded)
{
	if (heads_is_none(declared))
		return RELATION_UNKNOWN;
	if (heads_is_none(recorded))
		return ordered(policy, declared) ? RELATION_AHEAD : RELATION_UNKNOWN;
	if (heads_equal(declared, recorded))
		return RELATION_SAME;
	if (heads_count(declared) != 1 || heads_count(recorded) != 1)
		return RELATION_UNKNOWN;
	switch (policy->order) {
	case ORDER_NONE:
		return RELATION_UNKNOWN;
	case ORDER_NUMERIC:
		return relate_numeric(declared->text, recorded->text);
	case ORDER_TEXT:
		return strcmp(declared->text, recorded->text) < 0 ? RELATION_BEHIND : RELATION_AHEAD;
	case ORDER_LIST:
		return relate_list(policy, declared->text, recorded->text);
	}
	return RELATION_UNKNOWN;
}

int gate_list_distance(
    const struct gate_policy *policy, const struct heads *declared, const struct heads *recorded)
{
	if (policy->order != ORDER_LIST || heads_is_none(declared) || heads_is_none(recorded))
		return -1;

	unsigned from = list_place(policy, declared->text), to = list_place(policy, recorded->text);
	return to < policy->list_count && from < to ? (int)(to - from) : -1;
}
