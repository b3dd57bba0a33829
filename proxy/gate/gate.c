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

/* The standing of this set in the view's graph, taken over from this view or the one before where it was made
 * already: views are published far more often than heads or graphs change. */
static struct gate_standing *stand(
    const struct gate_view *view, const struct gate_view *before, const struct heads *heads)
{
	const struct gate_view *views[] = {view, before};

	for (size_t i = 0; i < 2 && views[i] != NULL; i++) {
		struct gate_standing *made[] = {
		    views[i]->at_recorded, views[i]->at_from, views[i]->at_target};
		for (size_t k = 0; k < 3; k++) {
			if (made[k] != NULL && made[k]->graph == view->graph &&
			    made[k]->window == view->policy.window && heads_equal(&made[k]->heads, heads))
				return gate_standing_ref(made[k]);
		}
	}
	return view->graph->stand(view->graph, heads, view->policy.window);
}

void gate_view_settle(struct gate_view *view, const struct gate_view *before)
{
	if (view->graph == NULL)
		return;
	view->at_recorded = stand(view, before, gate_recorded_heads(view));
	if (!view->run.holding)
		return;
	view->at_from = stand(view, before, &view->run.from);
	if (view->run.target_known)
		view->at_target = stand(view, before, &view->run.target);
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
	gate_standing_unref(&dying->at_recorded);
	gate_standing_unref(&dying->at_from);
	gate_standing_unref(&dying->at_target);
	gate_graph_unref(&dying->graph);
	mem_free(&dying);
}

const struct heads *gate_recorded_heads(const struct gate_view *view)
{
	static const struct heads base = {.text = NULL};

	if (view->recorded.state == RECORDED_EMPTY || view->recorded.state == RECORDED_ABSENT)
		return &base;
	return &view->recorded.heads;
}

/* How the client stands to one of the view's sets: by the graph where it knows both, else by the order. */
static struct gate_stance stance(const struct gate_view *view, const struct gate_standing *standing,
    const struct heads *declared, const struct heads *set)
{
	struct gate_stance by = {.relation = RELATION_UNKNOWN};

	if (heads_is_none(declared) || (standing != NULL && standing->ask(standing, declared, &by)))
		return by;
	by.relation = gate_relate(&view->policy, declared, set);
	by.within = by.relation == RELATION_SAME || by.relation == RELATION_BEHIND;
	/* A list has no marks, so `compatible` is what a window of none is; by numbers nobody can tell how
	 * many there are between two. */
	int distance = gate_list_distance(&view->policy, declared, set);
	by.covers = by.relation == RELATION_SAME || by.relation == RELATION_AHEAD ||
	    (distance > 0 && distance <= view->policy.window);
	return by;
}

static bool accepted(struct gate_stance by)
{
	return by.within && by.covers;
}

static bool pinned(const struct gate_view *view, const struct heads *declared, int64_t now_ns)
{
	for (unsigned i = 0; i < view->pin_count; i++) {
		if (view->pins[i].until_ns > now_ns &&
		    gate_relate(&view->policy, declared, &view->pins[i].heads) == RELATION_SAME)
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
	if (!run->target_known || pinned(view, declared, now_ns))
		return false;
	/* Another graph will be there when this run has ended. */
	if (view->graph != NULL && view->at_target == NULL)
		return false;

	struct gate_stance from = stance(view, view->at_from, declared, &run->from),
			   target = stance(view, view->at_target, declared, &run->target);
	if (accepted(stance(view, view->at_recorded, declared, gate_recorded_heads(view))))
		return false;
	/* Accepted at one end, or at what lies between: what has at least all that the lower end has, but for
	 * what it may lack, and nothing beyond the upper end. */
	if ((from.covers || target.covers) && (from.within || target.within))
		return false;
	return view->policy.ahead != ANSWER_HOLD || target.relation != RELATION_AHEAD;
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
    struct gate_stance by, int64_t lease_ns, int64_t now_ns)
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
	if (accepted(by) || pinned(view, declared, now_ns))
		return admit(ROW_ACCEPTED);
	switch (by.relation) {
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

	struct gate_stance by = stance(view, view->at_recorded, declared, gate_recorded_heads(view));
	verdict = decide(view, declared, by, lease_ns, now_ns);
	if (view->policy.mode == GATE_OBSERVE) {
		verdict = (struct verdict){.kind = VERDICT_ADMIT,
		    .row = ROW_OBSERVE,
		    .observed = verdict.kind,
		    .observed_row = verdict.row};
	}
	verdict.relation = by.relation;
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

bool gate_each_accepted(
    const struct gate_view *view, int64_t now_ns, void (*each)(const struct heads *set, void *arg), void *arg)
{
	const struct gate_policy *policy = &view->policy;
	const struct gate_standing *at = view->at_recorded;
	const struct heads *recorded = gate_recorded_heads(view);

	if (view->recorded.state == RECORDED_FAILED)
		return false;
	if (view->recorded.state == RECORDED_CLEAN && !heads_is_none(recorded)) {
		each(recorded, arg);
		for (unsigned i = 0; at != NULL && i < at->accepted_count; i++)
			each(&at->accepted[i], arg);
		for (unsigned i = policy->list_count; at == NULL && i-- > 0;) {
			int distance = gate_list_distance(policy, &policy->list[i], recorded);
			if (distance > 0 && distance <= policy->window)
				each(&policy->list[i], arg);
		}
	}
	for (unsigned i = 0; i < view->pin_count; i++) {
		if (view->pins[i].until_ns > now_ns)
			each(&view->pins[i].heads, arg);
	}
	return at != NULL && at->more;
}
