/* What tests of the gate begin with: a set from its text, and a view in which nothing is unusual. */
#ifndef TESTS_GATE_VIEW_H
#define TESTS_GATE_VIEW_H

#include "gate/gate.h"

enum { HOLD_MAX = 30, AHEAD_MAX = 60 };

/* NULL: no heads. */
static struct heads heads(const char *text)
{
	struct heads set = heads_none();
	const char *why = NULL;

	if (text != NULL && !heads_parse(text, strlen(text), &set, &why))
		fail_msg("%s: %s", text, why);
	return set;
}

/* recorded NULL: an empty table. Owned by the caller. */
static struct gate_view *plain_view(const char *recorded)
{
	struct gate_view *view = gate_view_new("shop");

	view->fresh = true;
	view->recorded.heads = heads(recorded);
	view->recorded.state = recorded == NULL ? RECORDED_EMPTY : RECORDED_CLEAN;
	view->hold_max_ns = HOLD_MAX;
	view->policy.ahead_hold_ns = AHEAD_MAX;
	return view;
}

#endif
