/* How heads compare where no graph of migrations knows them. */
#include <string.h>

#include "gate/gate.h"

/* Numbers of up to 64 digits: compared as text, since no integer type holds them. */
static enum gate_relation relate_numeric(const char *declared, const char *recorded)
{
	if (strspn(declared, "0123456789") != strlen(declared) ||
	    strspn(recorded, "0123456789") != strlen(recorded))
		return RELATION_UNKNOWN;
	declared += strspn(declared, "0");
	recorded += strspn(recorded, "0");

	size_t declared_digits = strlen(declared), recorded_digits = strlen(recorded);
	if (declared_digits != recorded_digits)
		return declared_digits < recorded_digits ? RELATION_BEHIND : RELATION_AHEAD;
	int order = strcmp(declared, recorded);
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
		return strspn(set->text, "0123456789+") == strlen(set->text);
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
