#include "gate/gate.h"

#include <string.h>

#include "base/mem.h"

const char *recorded_state_name(enum recorded_state state)
{
	switch (state) {
	case RECORDED_CLEAN:
		return "clean";
	case RECORDED_EMPTY:
		return "empty";
	case RECORDED_ABSENT:
		return "absent";
	case RECORDED_RUNNING:
		return "running";
	case RECORDED_FAILED:
		return "failed";
	case RECORDED_UNREADABLE:
		return "unreadable";
	}
	return "?";
}

const char *gate_relation_name(enum gate_relation relation)
{
	switch (relation) {
	case RELATION_SAME:
		return "same";
	case RELATION_BEHIND:
		return "behind";
	case RELATION_AHEAD:
		return "ahead";
	case RELATION_UNKNOWN:
		return "unknown";
	}
	return "?";
}

const char *verdict_row_name(enum verdict_row row)
{
	switch (row) {
	case ROW_OBSERVE:
		return "observe";
	case ROW_NO_READING:
		return "no reading";
	case ROW_RUN:
		return "run";
	case ROW_RUN_HOPELESS:
		return "run hopeless";
	case ROW_OPERATOR_HOLD:
		return "operator hold";
	case ROW_FAILED:
		return "failed";
	case ROW_UNDECLARED:
		return "undeclared";
	case ROW_ACCEPTED:
		return "accepted";
	case ROW_AHEAD:
		return "ahead";
	case ROW_BEHIND:
		return "behind";
	case ROW_UNKNOWN:
		return "unknown";
	}
	return "?";
}

const char *verdict_kind_name(enum verdict_kind kind)
{
	switch (kind) {
	case VERDICT_ADMIT:
		return "admit";
	case VERDICT_HOLD:
		return "hold";
	case VERDICT_REJECT:
		return "reject";
	}
	return "?";
}

struct gate_view *gate_view_new(const char *database)
{
	struct gate_view *view = mem_zalloc(sizeof(*view));

	atomic_init(&view->references, 1);
	view->database = mem_strdup(database);
	return view;
}

struct gate_view *gate_view_ref(struct gate_view *view)
{
	atomic_fetch_add_explicit(&view->references, 1, memory_order_relaxed);
	return view;
}

void gate_view_unref(struct gate_view **view)
{
	struct gate_view *dying = *view;

	*view = NULL;
	if (dying == NULL || atomic_fetch_sub_explicit(&dying->references, 1, memory_order_acq_rel) != 1)
		return;
	mem_free(&dying->database);
	heads_free(&dying->policy.undeclared_head);
	for (unsigned i = 0; i < dying->policy.list_count; i++)
		heads_free(&dying->policy.list[i]);
	mem_free(&dying->policy.list);
	heads_free(&dying->recorded.heads);
	mem_free(&dying->recorded.detail);
	heads_free(&dying->run.from);
	heads_free(&dying->run.target);
	mem_free(&dying->run.who);
	mem_free(&dying->run.reason);
	mem_free(&dying->hold.owner);
	mem_free(&dying->hold.reason);
	for (unsigned i = 0; i < dying->pin_count; i++)
		heads_free(&dying->pins[i].heads);
	mem_free(&dying->pins);
	mem_free(&dying);
}

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

const struct heads *gate_recorded_heads(const struct gate_view *view)
{
	static const struct heads base = {.text = NULL};

	if (view->recorded.state == RECORDED_EMPTY || view->recorded.state == RECORDED_ABSENT)
		return &base;
	return &view->recorded.heads;
}

static bool same(const struct gate_view *view, const struct heads *declared, const struct heads *other)
{
	return gate_relate(&view->policy, declared, other) == RELATION_SAME;
}

static bool pinned(const struct gate_view *view, const struct heads *declared, int64_t now_ns)
{
	for (unsigned i = 0; i < view->pin_count; i++) {
		if (view->pins[i].until_ns > now_ns && same(view, declared, &view->pins[i].heads))
			return true;
	}
	return false;
}

/* A reading that says nothing of where the schema is: a tool is half way through its work (and it is not our
 * run, which row 3 holds for), or the version table could not be read. Whatever heads came with it, nobody
 * can be judged by them. */
static bool reading_is_clean(const struct gate_view *view)
{
	return view->recorded.state != RECORDED_RUNNING && view->recorded.state != RECORDED_UNREADABLE;
}

static bool run_is_hopeless(const struct gate_view *view, const struct heads *declared, int64_t now_ns)
{
	const struct gate_run *run = &view->run;

	if (heads_is_none(declared))
		return view->policy.undeclared == UNDECLARED_REJECT;
	if (!run->target_known)
		return false;
	if (same(view, declared, &run->from) || same(view, declared, gate_recorded_heads(view)) ||
	    same(view, declared, &run->target) || pinned(view, declared, now_ns))
		return false;
	return view->policy.ahead != ANSWER_HOLD ||
	    gate_relate(&view->policy, declared, &run->target) != RELATION_AHEAD;
}

static struct verdict hold(const struct gate_view *view, enum verdict_row row)
{
	int64_t budget_ns = row == ROW_AHEAD ? view->policy.ahead_hold_ns : view->hold_max_ns;

	return (struct verdict){.kind = VERDICT_HOLD, .row = row, .budget_ns = budget_ns};
}

static struct verdict reject(enum verdict_row row)
{
	return (struct verdict){.kind = VERDICT_REJECT, .row = row};
}

static struct verdict admit(enum verdict_row row)
{
	return (struct verdict){.kind = VERDICT_ADMIT, .row = row};
}

/* Rows 2 to 10, in order. `declared` is already replaced by undeclared_head where the policy says so. */
static struct verdict decide(const struct gate_view *view, const struct heads *declared,
    enum gate_relation relation, int64_t lease_ns, int64_t now_ns)
{
	const struct gate_policy *policy = &view->policy;

	if (!view->fresh || now_ns >= lease_ns)
		return hold(view, ROW_NO_READING);
	if (view->run.holding)
		return run_is_hopeless(view, declared, now_ns) ? reject(ROW_RUN_HOPELESS)
							       : hold(view, ROW_RUN);
	if (view->hold.id != 0)
		return hold(view, ROW_OPERATOR_HOLD);
	if (!reading_is_clean(view))
		return hold(view, ROW_NO_READING);
	if (view->recorded.state == RECORDED_FAILED)
		return policy->on_failed == ANSWER_HOLD ? hold(view, ROW_FAILED) : reject(ROW_FAILED);
	if (heads_is_none(declared))
		return policy->undeclared == UNDECLARED_ADMIT ? admit(ROW_UNDECLARED)
							      : reject(ROW_UNDECLARED);
	if (relation == RELATION_SAME || pinned(view, declared, now_ns))
		return admit(ROW_ACCEPTED);
	switch (relation) {
	case RELATION_AHEAD:
		return policy->ahead == ANSWER_HOLD ? hold(view, ROW_AHEAD) : reject(ROW_AHEAD);
	case RELATION_BEHIND:
		return reject(ROW_BEHIND);
	case RELATION_SAME:
	case RELATION_UNKNOWN:
		break;
	}
	return reject(ROW_UNKNOWN);
}

struct verdict gate_ask(
    const struct gate_view *view, const struct heads *declared, int64_t lease_ns, int64_t now_ns)
{
	struct verdict verdict;

	if (view == NULL) {
		return (struct verdict){.kind = VERDICT_HOLD,
		    .row = ROW_NO_READING,
		    .relation = RELATION_UNKNOWN,
		    .budget_ns = GATE_UNPUBLISHED_HOLD_NS,
		    .asked_ns = now_ns};
	}
	if (heads_is_none(declared) && view->policy.undeclared == UNDECLARED_HEAD)
		declared = &view->policy.undeclared_head;

	enum gate_relation relation = gate_relate(&view->policy, declared, gate_recorded_heads(view));
	verdict = decide(view, declared, relation, lease_ns, now_ns);
	if (view->policy.mode == GATE_OBSERVE) {
		verdict = (struct verdict){.kind = VERDICT_ADMIT,
		    .row = ROW_OBSERVE,
		    .observed = verdict.kind,
		    .observed_row = verdict.row};
	}
	verdict.relation = relation;
	verdict.asked_ns = now_ns;
	return verdict;
}

bool gate_holds_all(const struct gate_view *view)
{
	if (view == NULL)
		return true;
	if (view->policy.mode == GATE_OBSERVE)
		return false;
	return !view->fresh || view->run.holding || view->hold.id != 0 || !reading_is_clean(view);
}
