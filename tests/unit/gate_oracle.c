/* The decision table as a whole: every state crossed with every policy is judged twice, by the gate and by an
 * oracle that was written from DESIGN's table over small numbers and knows nothing of texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "gate/gate.h"
#include "gate_view.h"

enum { NOW = 1000, LEASE = 2000 };

/* The world: heads 1 to 4 in order and 5, which only ORDER_TEXT can place (last); 6 is the
 * set of 2 and 3; 0 is none. Recorded 2, a run from 2 to 3, a pin on 1. A graph has 1 to 4 in a line, where
 * 2 is compatible and 6 is as 3; or it reaches no further than 2; or it knows nothing. */
static const char *const world[] = {NULL, "1", "2", "3", "4", "x", "2+3"};
enum { GRAPH_NONE, GRAPH_COMPATIBLE, GRAPH_EXACT, GRAPH_SHORT, GRAPH_EMPTY, GRAPHS };

static int line_place(const struct gate_graph *graph, const struct heads *set)
{
	int place = heads_is_none(set) ? 0 : strcmp(set->text, "2+3") == 0 ? 3 : set->text[0] - '0';

	return place <= (int)graph->revisions ? place : -1;
}

static bool line_ask(
    const struct gate_standing *standing, const struct heads *declared, struct gate_stance *out)
{
	int place = line_place(standing->graph, declared), at = line_place(standing->graph, &standing->heads);

	*out = (struct gate_stance){.relation = place == at ? RELATION_SAME
		: place < at                                ? RELATION_BEHIND
							    : RELATION_AHEAD,
	    .within = place <= at,
	    .covers = place >= at || (standing->window < 0 && place == 1 && at == 2)};
	return place >= 0;
}

static void line_standing_free(struct gate_standing *standing)
{
	gate_graph_unref(&standing->graph);
	heads_free(&standing->heads);
	mem_free(&standing);
}

static struct gate_standing *line_stand(struct gate_graph *graph, const struct heads *set, int window)
{
	if (line_place(graph, set) < 0)
		return NULL;
	struct gate_standing *standing = mem_zalloc(sizeof(*standing));
	*standing = (struct gate_standing){.graph = gate_graph_ref(graph),
	    .heads = heads_copy(set),
	    .window = window,
	    .ask = line_ask,
	    .free = line_standing_free};
	atomic_init(&standing->references, 1);
	return standing;
}

static void line_free(struct gate_graph *graph)
{
	mem_free(&graph);
}

static struct gate_graph *line_graph(unsigned revisions)
{
	struct gate_graph *graph = mem_zalloc(sizeof(*graph));

	*graph = (struct gate_graph){.revisions = revisions, .stand = line_stand, .free = line_free};
	atomic_init(&graph->references, 1);
	return graph;
}

struct situation {
	bool observe, fresh, leased;
	int run; /* 0 none, 1 flowing, 2 holding, 3 holding with its target known */
	bool hold;
	enum recorded_state state;
	int undeclared; /* the enum; UNDECLARED_HEAD means head 1 */
	bool ahead_hold, failed_hold;
	enum gate_order order;
	int pin; /* 0 none, 1 in force, 2 ended */
	int graph;
	int declared;
};

/* Negative, zero or positive as strcmp; 99: not known. Base is 0. */
static int oracle_compare(enum gate_order order, int a, int b)
{
	bool ordered_a = order == ORDER_TEXT ? a <= 5 : a <= 4;
	bool ordered_b = order == ORDER_TEXT ? b <= 5 : b <= 4;

	if (a == 0)
		return 99;
	if (b == 0 && a == 6)
		return order == ORDER_NUMERIC || order == ORDER_TEXT ? 1 : 99;
	if (b != 0 && a == b)
		return 0;
	if (order == ORDER_NONE || !ordered_a || !ordered_b)
		return 99;
	return a - b;
}

static bool oracle_knows(const struct situation *s, int head)
{
	static const int reach[GRAPHS] = {-1, 4, 4, 2, 0};

	return s->graph != GRAPH_NONE && (head == 6 ? 3 : head) <= reach[s->graph];
}

/* The same by the graph, where it knows both. */
static int oracle_stands(const struct situation *s, int a, int b)
{
	if (a == 0 || !oracle_knows(s, a) || !oracle_knows(s, b))
		return oracle_compare(s->order, a, b);
	return (a == 6 ? 3 : a) - b;
}

static bool oracle_accepts(const struct situation *s, int head, int at)
{
	bool by_mark = s->graph == GRAPH_COMPATIBLE || s->graph == GRAPH_SHORT;

	return oracle_stands(s, head, at) == 0 || (by_mark && head == 1 && at == 2);
}

static struct verdict oracle(const struct situation *s)
{
	const struct verdict hold_row[] = {
	    {.kind = VERDICT_HOLD, .row = ROW_NO_READING, .budget_ns = HOLD_MAX},
	    {.kind = VERDICT_HOLD, .row = ROW_RUN, .budget_ns = HOLD_MAX},
	    {.kind = VERDICT_HOLD, .row = ROW_OPERATOR_HOLD, .budget_ns = HOLD_MAX},
	};
	int head = s->declared == 0 && s->undeclared == UNDECLARED_HEAD ? 1 : s->declared;
	int recorded = s->state == RECORDED_EMPTY || s->state == RECORDED_ABSENT ? 0 : 2;
	bool pinned = s->pin == 1 && head == 1;
	int to_recorded = oracle_stands(s, head, recorded), to_target = oracle_stands(s, head, 3);

	if (!s->fresh || !s->leased)
		return hold_row[0];
	if (s->run == 2 || s->run == 3) {
		bool hopeless;
		if (head == 0)
			hopeless = s->undeclared == UNDECLARED_REJECT;
		else
			hopeless = s->run == 3 && s->graph != GRAPH_SHORT && s->graph != GRAPH_EMPTY &&
			    !oracle_accepts(s, head, 2) && !oracle_accepts(s, head, 3) && !pinned &&
			    !(s->ahead_hold && to_target > 0 && to_target != 99);
		return hopeless ? (struct verdict){.kind = VERDICT_REJECT, .row = ROW_RUN_HOPELESS}
				: hold_row[1];
	}
	if (s->hold)
		return hold_row[2];
	if (s->state == RECORDED_RUNNING || s->state == RECORDED_UNREADABLE)
		return hold_row[0];
	if (s->state == RECORDED_FAILED)
		return (struct verdict){.kind = s->failed_hold ? VERDICT_HOLD : VERDICT_REJECT,
		    .row = ROW_FAILED,
		    .budget_ns = s->failed_hold ? HOLD_MAX : 0};
	if (head == 0)
		return (struct verdict){
		    .kind = s->undeclared == UNDECLARED_ADMIT ? VERDICT_ADMIT : VERDICT_REJECT,
		    .row = ROW_UNDECLARED};
	if (oracle_accepts(s, head, recorded) || pinned)
		return (struct verdict){.kind = VERDICT_ADMIT, .row = ROW_ACCEPTED};
	if (to_recorded == 99)
		return (struct verdict){.kind = VERDICT_REJECT, .row = ROW_UNKNOWN};
	if (to_recorded < 0)
		return (struct verdict){.kind = VERDICT_REJECT, .row = ROW_BEHIND};
	return (struct verdict){.kind = s->ahead_hold ? VERDICT_HOLD : VERDICT_REJECT,
	    .row = ROW_AHEAD,
	    .budget_ns = s->ahead_hold ? AHEAD_MAX : 0};
}

static struct gate_view *situation_view(const struct situation *s)
{
	struct gate_view *view = plain_view("2");

	if (s->state == RECORDED_EMPTY || s->state == RECORDED_ABSENT)
		heads_free(&view->recorded.heads);
	view->recorded.state = s->state;
	view->fresh = s->fresh;
	view->hold.id = s->hold ? 7 : 0;
	view->policy.mode = s->observe ? GATE_OBSERVE : GATE_ENFORCE;
	view->policy.undeclared = (enum gate_undeclared)s->undeclared;
	view->policy.undeclared_head = heads("1");
	view->policy.ahead = s->ahead_hold ? ANSWER_HOLD : ANSWER_REJECT;
	view->policy.on_failed = s->failed_hold ? ANSWER_HOLD : ANSWER_REJECT;
	view->policy.order = s->order;
	view->policy.list = mem_zalloc(4 * sizeof(struct heads));
	view->policy.list_count = 4;
	for (unsigned i = 0; i < 4; i++)
		view->policy.list[i] = heads(world[i + 1]);
	if (s->run != 0) {
		view->run.id = 3;
		view->run.holding = s->run >= 2;
		view->run.from = heads("2");
		view->run.target_known = s->run == 3;
		view->run.target = heads(s->run == 3 ? "3" : NULL);
	}
	if (s->pin != 0) {
		view->pins = mem_zalloc(sizeof(*view->pins));
		view->pins[0] =
		    (struct gate_pin){.heads = heads("1"), .until_ns = s->pin == 1 ? NOW + 1 : NOW};
		view->pin_count = 1;
	}
	if (s->graph != GRAPH_NONE)
		view->graph = line_graph(s->graph == GRAPH_SHORT ? 2 : s->graph == GRAPH_EMPTY ? 0 : 4);
	view->policy.window = s->graph == GRAPH_EXACT ? 0 : GATE_WINDOW_COMPATIBLE;
	gate_view_settle(view, NULL);
	return view;
}

static void judge(const struct gate_view *view, const struct situation *s)
{
	struct heads declared = heads(world[s->declared]);
	struct verdict got = gate_ask(view, &declared, s->leased ? LEASE : NOW, NOW), expected = oracle(s);
	bool agrees;

	heads_free(&declared);
	if (s->observe)
		agrees = got.kind == VERDICT_ADMIT && got.row == ROW_OBSERVE &&
		    got.observed == expected.kind && got.observed_row == expected.row;
	else
		agrees = got.kind == expected.kind && got.row == expected.row &&
		    got.budget_ns == expected.budget_ns;
	/* Whom the drain's question parks, nobody's verdict may admit. */
	if (gate_holds_all(view) && got.kind == VERDICT_ADMIT)
		agrees = false;
	if (!agrees)
		fail_msg("observe %d fresh %d leased %d run %d hold %d state %s undeclared %d ahead_hold %d "
			 "failed_hold "
			 "%d order %d pin %d graph %d declared %s: expected %s (%s), got %s (%s)",
		    s->observe, s->fresh, s->leased, s->run, s->hold, recorded_state_name(s->state),
		    s->undeclared, s->ahead_hold, s->failed_hold, (int)s->order, s->pin, s->graph,
		    world[s->declared] == NULL ? "none" : world[s->declared],
		    verdict_kind_name(expected.kind), verdict_row_name(expected.row),
		    verdict_kind_name(got.kind), verdict_row_name(got.row));
}

/* Counts through every combination: one digit a field, each with its own base. */
static void test_every_state_with_every_policy(void **state)
{
	static const int bases[] = {2, 2, 2, 4, 2, 6, 3, 2, 2, 4, 3, GRAPHS};
	int digit[sizeof(bases) / sizeof(bases[0])] = {0};
	size_t place;
	unsigned long judged = 0;

	(void)state;
	do {
		struct situation s = {digit[0], digit[1], digit[2], digit[3], digit[4],
		    (enum recorded_state)digit[5], digit[6], digit[7], digit[8], (enum gate_order)digit[9],
		    digit[10], digit[11], 0};
		struct gate_view *view = situation_view(&s);
		for (s.declared = 0; s.declared < 7; s.declared++, judged++)
			judge(view, &s);
		gate_view_unref(&view);
		for (place = 0; place < sizeof(bases) / sizeof(bases[0]); place++) {
			if (++digit[place] < bases[place])
				break;
			digit[place] = 0;
		}
	} while (place < sizeof(bases) / sizeof(bases[0]));
	assert_int_equal(judged, 2ul * 2 * 2 * 4 * 2 * 6 * 3 * 2 * 2 * 4 * 3 * GRAPHS * 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_state_with_every_policy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
