/* The graph as the gate asks it: on random graphs against an oracle that knows sets of bits and nothing else;
 * wide and long ones; and as the ledger tells it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <pthread.h>

#include "gate/gate.h"
#include "schema/order.h"
#include "schema_graph_text.h"

enum { NOW = 1000, LEASE = 2000, MOST = 9 };

static uint32_t seed = 1;

static unsigned any(unsigned below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 10) % below;
}

static struct gate_graph *order_of(const char *line, int64_t serial)
{
	struct catalog_defects defects = {.count = 0};
	struct graph *graph = graph_text_new(line, &defects);
	if (graph == NULL)
		fail_msg("%s: %s", line, defects.lines[0]);
	return order_new(graph, serial);
}

/* ---- the oracle's world: a few revisions, what each has (itself included), which are compatible ---- */

struct world {
	unsigned count;
	unsigned has[MOST], compatible;
	struct gate_graph *graph;
	char line[600];
};

static void world_make(struct world *world)
{
	char *to = world->line, *end = world->line + sizeof(world->line);

	*world = (struct world){.count = 1 + any(MOST)};
	for (unsigned i = 0; i < world->count; i++) {
		unsigned edges[3] = {any(i + 1), any(i + 1), any(i + 1)};
		to += snprintf(to, (size_t)(end - to), "%sr%u", i == 0 ? "" : "; ", i);
		world->has[i] = 1U << i;
		bool first = edges[0] < i && any(8) > 0, second = edges[1] < i && any(3) == 0;
		if (first)
			to += snprintf(to, (size_t)(end - to), "<r%u", edges[0]);
		if (second)
			to += snprintf(to, (size_t)(end - to), "%sr%u", first ? "," : "<", edges[1]);
		bool third = edges[2] < i && any(4) == 0;
		if (third)
			to += snprintf(to, (size_t)(end - to), " >r%u", edges[2]);
		world->has[i] |= (first ? world->has[edges[0]] : 0) | (second ? world->has[edges[1]] : 0) |
		    (third ? world->has[edges[2]] : 0);
		if (any(2) == 0) {
			to += snprintf(to, (size_t)(end - to), " ~");
			world->compatible |= 1U << i;
		}
	}
	world->graph = order_of(world->line, 7);
}

/* What these places have; bits of a set that is named, canonical or not. */
static unsigned all_of(const struct world *world, unsigned named)
{
	unsigned all = 0;
	for (unsigned i = 0; i < world->count; i++)
		all |= named & 1U << i ? world->has[i] : 0;
	return all;
}

static struct heads heads_of(const struct world *world, unsigned named)
{
	struct heads heads = heads_none();
	const char *why;
	for (unsigned i = 0; i < world->count; i++) {
		char id[8];
		snprintf(id, sizeof(id), "r%u", i);
		if (named & 1U << i && !heads_add(&heads, id, strlen(id), &why))
			abort();
	}
	return heads;
}

static bool may_lack(const struct world *world, int window, unsigned what)
{
	return window < 0 ? (what & ~world->compatible) == 0 : __builtin_popcount(what) <= window;
}

static bool is_accepted(const struct world *world, int window, unsigned client, unsigned at)
{
	return (client & ~at) == 0 && may_lack(world, window, at & ~client);
}

static const int windows[] = {-1, 0, 1, 2, 5, 1000};
#define WINDOWS (sizeof(windows) / sizeof(windows[0]))

static void every_set_against_every_other(void **state)
{
	unsigned long asked = 0;

	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		struct world world;
		world_make(&world);
		unsigned sets = 1U << world.count;
		for (unsigned named = 0; named < sets; named += 1 + any(sets / 16 + 1)) {
			struct heads at = heads_of(&world, named);
			unsigned recorded = all_of(&world, named);
			for (size_t w = 0; w < WINDOWS; w++) {
				struct gate_standing *standing =
				    world.graph->stand(world.graph, &at, windows[w]);
				for (unsigned d = 1; d < sets; d += 1 + any(sets / 16 + 1)) {
					struct heads declared = heads_of(&world, d);
					unsigned client = all_of(&world, d);
					struct gate_stance got;
					assert_true(standing->ask(standing, &declared, &got));
					bool within = (client & ~recorded) == 0,
					     all = (recorded & ~client) == 0;
					enum gate_relation relation = within && all ? RELATION_SAME
					    : within                                ? RELATION_BEHIND
					    : all                                   ? RELATION_AHEAD
										    : RELATION_UNKNOWN;
					bool covers = may_lack(&world, windows[w], recorded & ~client);
					if (got.relation != relation || got.within != within ||
					    got.covers != covers)
						fail_msg("%s: %s to %s, window %d: %s, within %d, covers %d",
						    world.line, declared.text, heads_text(&at), windows[w],
						    gate_relation_name(got.relation), got.within, got.covers);
					heads_free(&declared);
					asked++;
				}
				for (unsigned i = 0; i < standing->accepted_count; i++) {
					struct gate_stance got;
					assert_true(standing->ask(standing, &standing->accepted[i], &got));
					assert_true(
					    got.within && got.covers && got.relation == RELATION_BEHIND);
				}
				gate_standing_unref(&standing);
			}
			heads_free(&at);
		}
		gate_graph_unref(&world.graph);
	}
	assert_true(asked > 50000);
}

/* ---- the whole table over a real graph ---- */

/* Could a client be accepted at any set that a run from here to there passes through? */
static bool has_hope(const struct world *world, int window, unsigned client, unsigned from, unsigned to)
{
	unsigned low = from & to, high = from | to;

	for (unsigned set = 0; set < 1U << world->count; set++) {
		bool whole = (set & low) == low && (set & ~high) == 0 && all_of(world, set) == set;
		if (whole && is_accepted(world, window, client, set))
			return true;
	}
	return false;
}

struct question {
	unsigned recorded, target, client, pin;
	int window;
	bool holding, ahead_hold;
};

static enum verdict_row oracle(const struct world *world, const struct question *q)
{
	bool pinned = q->pin != 0 && q->pin == q->client;

	if (q->holding)
		return pinned || has_hope(world, q->window, q->client, q->recorded, q->target) ||
			(q->ahead_hold && (q->target & ~q->client) == 0)
		    ? ROW_RUN
		    : ROW_RUN_HOPELESS;
	if (pinned || is_accepted(world, q->window, q->client, q->recorded))
		return ROW_ACCEPTED;
	if ((q->recorded & ~q->client) == 0)
		return ROW_AHEAD;
	return (q->client & ~q->recorded) == 0 ? ROW_BEHIND : ROW_UNKNOWN;
}

/* The tips of a set: what a database or a client names. */
static struct heads tips_of(const struct world *world, unsigned set)
{
	unsigned tips = set;
	for (unsigned i = 0; i < world->count; i++)
		if (set & 1U << i)
			tips &= ~(world->has[i] & ~(1U << i));
	return heads_of(world, tips);
}

static unsigned any_set(const struct world *world, bool none)
{
	unsigned set;
	do
		set = all_of(world, any(1U << world->count));
	while (set == 0 && !none);
	return set;
}

static struct gate_view *view_of(const struct world *world, const struct question *q)
{
	struct gate_view *view = gate_view_new("shop");

	view->fresh = true;
	view->recorded.heads = tips_of(world, q->recorded);
	view->recorded.state = q->recorded == 0 ? RECORDED_EMPTY : RECORDED_CLEAN;
	view->policy.ahead = q->ahead_hold ? ANSWER_HOLD : ANSWER_REJECT;
	view->policy.window = q->window;
	view->policy.order = ORDER_TEXT; /* to be seen at once if it were asked */
	if (q->holding) {
		view->run.id = 3;
		view->run.holding = view->run.target_known = true;
		view->run.from = tips_of(world, q->recorded);
		view->run.target = tips_of(world, q->target);
	}
	if (q->pin != 0) {
		view->pins = mem_zalloc(sizeof(*view->pins));
		view->pins[0] = (struct gate_pin){.heads = tips_of(world, q->pin), .until_ns = INT64_MAX};
		view->pin_count = 1;
	}
	view->graph = gate_graph_ref(world->graph);
	gate_view_settle(view, NULL);
	return view;
}

static void the_table_with_a_graph(void **state)
{
	unsigned rows[ROW_UNKNOWN + 1] = {0};

	(void)state;
	for (unsigned round = 0; round < 8000; round++) {
		static struct world world;
		if (round % 8 == 0) {
			if (world.graph != NULL)
				gate_graph_unref(&world.graph);
			world_make(&world);
		}
		struct question q = {.recorded = any_set(&world, true),
		    .client = any_set(&world, false),
		    .pin = any(4) == 0 ? any_set(&world, false) : 0,
		    .window = windows[any(WINDOWS)],
		    .holding = any(2) == 0,
		    .ahead_hold = any(2) == 0};
		/* a run goes up or down, it does not cross over */
		do
			q.target = any_set(&world, true);
		while ((q.target & ~q.recorded) != 0 && (q.recorded & ~q.target) != 0);
		struct gate_view *view = view_of(&world, &q);
		struct heads declared = tips_of(&world, q.client);
		struct verdict got = gate_ask(view, &declared, LEASE, NOW);
		enum verdict_row expected = oracle(&world, &q);
		if (got.row != expected)
			fail_msg("%s: %s at %s%s%s, window %d, ahead %s: %s, not %s", world.line,
			    declared.text, heads_text(&view->recorded.heads), q.holding ? ", run to " : "",
			    q.holding ? heads_text(&view->run.target) : "", q.window,
			    q.ahead_hold ? "held" : "rejected", verdict_row_name(got.row),
			    verdict_row_name(expected));
		rows[got.row]++;
		heads_free(&declared);
		gate_view_unref(&view);
		if (round == 7999)
			gate_graph_unref(&world.graph);
	}
	for (int row = ROW_RUN; row <= ROW_UNKNOWN; row++)
		if (row != ROW_OPERATOR_HOLD && row != ROW_FAILED && row != ROW_UNDECLARED)
			assert_true(rows[row] > 100);
}

/* What the graph does not know is placed by the order, and a run to where it does not reach turns nobody
 * away. */
static void beyond_the_graph(void **state)
{
	(void)state;
	struct gate_view *view = gate_view_new("shop");
	struct heads new = graph_text_heads("9"), old = graph_text_heads("1");
	view->fresh = true;
	view->recorded.heads = graph_text_heads("2");
	view->policy.order = ORDER_NUMERIC;
	view->policy.window = GATE_WINDOW_COMPATIBLE;
	view->graph = order_of("1; 2<1 ~; 3<2", 7);
	gate_view_settle(view, NULL);
	assert_int_equal(gate_ask(view, &new, LEASE, NOW).row, ROW_AHEAD);
	assert_int_equal(gate_ask(view, &old, LEASE, NOW).row, ROW_ACCEPTED);
	assert_int_equal(gate_ask(view, &old, LEASE, NOW).relation, RELATION_BEHIND);

	struct gate_view *next = gate_view_new("shop");
	next->fresh = true;
	next->recorded.heads = graph_text_heads("2");
	next->policy = view->policy;
	next->policy.order = ORDER_NONE;
	next->graph = gate_graph_ref(view->graph);
	next->run = (struct gate_run){
	    .id = 1, .holding = true, .target_known = true, .from = graph_text_heads("2"), .target = new};
	gate_view_settle(next, view);
	assert_ptr_equal(next->at_recorded, view->at_recorded); /* worked out once */
	assert_ptr_equal(next->at_from, view->at_recorded);
	assert_null(next->at_target);
	struct heads stranger = graph_text_heads("x");
	assert_int_equal(gate_ask(next, &stranger, LEASE, NOW).row, ROW_RUN);
	next->run.holding = false;
	assert_int_equal(gate_ask(next, &stranger, LEASE, NOW).row, ROW_UNKNOWN);
	gate_view_unref(&view);
	gate_view_unref(&next); /* `new` was its target */

	/* recorded is not in it: as without one */
	view = gate_view_new("shop");
	view->fresh = true;
	view->recorded.heads = graph_text_heads("8");
	view->policy.order = ORDER_NUMERIC;
	view->graph = order_of("1; 2<1 ~", 7);
	gate_view_settle(view, NULL);
	assert_null(view->at_recorded);
	assert_int_equal(gate_ask(view, &old, LEASE, NOW).row, ROW_BEHIND);
	gate_view_unref(&view);
	heads_free(&old);
	heads_free(&stranger);
}

/* ---- big ones ---- */

static struct gate_graph *numbered(
    unsigned count, bool (*edge)(unsigned child, unsigned parent), bool compatible)
{
	struct graph_source *sources = mem_zalloc(count * sizeof(*sources));
	char(*ids)[12] = mem_zalloc(count * sizeof(*ids));
	const char **parents = mem_zalloc((size_t)count * 2 * sizeof(*parents));
	struct catalog_defects defects = {.count = 0};
	unsigned used = 0;

	for (unsigned i = 0; i < count; i++) {
		snprintf(ids[i], sizeof(ids[i]), "v%06u", i);
		sources[i] = (struct graph_source){
		    .id = ids[i], .compatible = compatible, .parents = {parents + used, 0}};
		for (unsigned k = i == 0 ? 0 : i + 1 == count ? 0 : i - 1; k < i; k++)
			if (edge(i, k)) {
				parents[used++] = ids[k];
				sources[i].parents.count++;
			}
	}
	struct graph *graph = graph_new(sources, count, &defects);
	assert_non_null(graph);
	mem_free(&sources);
	mem_free(&ids);
	mem_free(&parents);
	return order_new(graph, 1);
}

static bool line_edge(unsigned child, unsigned parent)
{
	return parent + 1 == child;
}

#define WIDE 1500
static bool wide_edge(unsigned child, unsigned parent)
{
	return child == WIDE - 1 ? parent > 0 : parent == 0;
}

static double thread_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* A release in front of 1,000 clients, with 10,000 migrations behind it. */
static void a_long_line_is_cheap(void **state)
{
	static const int all[] = {-1, 3, 1000};

	(void)state;
	struct gate_graph *graph = numbered(10000, line_edge, true);
	for (size_t w = 0; w < 3; w++) {
		struct gate_view *view = gate_view_new("shop");
		view->fresh = true;
		view->recorded.heads = graph_text_heads("v009999");
		view->policy.window = all[w];
		view->graph = gate_graph_ref(graph);
		double start = thread_ms();
		gate_view_settle(view, NULL);
		double settled = thread_ms();
		unsigned accepted = 0;
		for (unsigned i = 0; i < 1000; i++) {
			char id[12];
			snprintf(id, sizeof(id), "v%06u", 9000 + i);
			struct heads declared = graph_text_heads(id);
			accepted += gate_ask(view, &declared, LEASE, NOW).row == ROW_ACCEPTED;
			heads_free(&declared);
		}
		double asked = thread_ms();
		print_message("window %d: %.2f ms to make ready, %.2f ms for 1,000 clients\n", all[w],
		    settled - start, asked - settled);
		assert_int_equal(accepted, all[w] == 3 ? 4 : 1000);
		assert_true(view->at_recorded->more == (all[w] != 3));
		assert_true(asked - settled < 20);
		gate_view_unref(&view);
	}
	gate_graph_unref(&graph);
}

/* More ways down than are kept ready: the answers are the same. */
static void a_wide_merge_is_right(void **state)
{
	(void)state;
	struct gate_graph *graph = numbered(WIDE, wide_edge, false);
	struct heads top = graph_text_heads("v001499"), bottom = graph_text_heads("v000000"),
		     some = graph_text_heads("v000001+v000002");
	struct gate_stance got;
	const struct {
		int window;
		bool some, bottom;
	} table[] = {{-1, false, false}, {0, false, false}, {1000, false, false}, {1497, true, false},
	    {1498, true, false}, {1499, true, true}};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct gate_standing *standing = graph->stand(graph, &top, table[i].window);
		assert_true(
		    standing->ask(standing, &top, &got) && got.relation == RELATION_SAME && got.covers);
		assert_true(standing->ask(standing, &some, &got) && got.relation == RELATION_BEHIND);
		assert_int_equal(got.covers, table[i].some);
		assert_true(standing->ask(standing, &bottom, &got) && got.relation == RELATION_BEHIND);
		assert_int_equal(got.covers, table[i].bottom);
		gate_standing_unref(&standing);
	}
	gate_graph_unref(&graph);
	graph = numbered(WIDE, wide_edge, true);
	struct gate_standing *standing = graph->stand(graph, &top, GATE_WINDOW_COMPATIBLE);
	assert_true(standing->ask(standing, &bottom, &got) && got.covers && got.within);
	gate_standing_unref(&standing);
	gate_graph_unref(&graph);
	heads_free(&top);
	heads_free(&bottom);
	heads_free(&some);
}

struct asker {
	struct gate_view *view;
	unsigned accepted;
};

static void *ask_often(void *arg)
{
	struct asker *asker = arg;
	struct heads old = graph_text_heads("b+c");
	for (unsigned i = 0; i < 5000; i++)
		asker->accepted += gate_ask(asker->view, &old, LEASE, NOW).row == ROW_ACCEPTED;
	heads_free(&old);
	gate_view_unref(&asker->view);
	return NULL;
}

static void many_threads_ask(void **state)
{
	(void)state;
	struct gate_view *view = gate_view_new("shop");
	struct asker askers[4];
	pthread_t threads[4];
	view->fresh = true;
	view->recorded.heads = graph_text_heads("n");
	view->policy.window = GATE_WINDOW_COMPATIBLE;
	view->graph = order_of("a; b<a; c<a ~; m<b,c ~; n<m ~", 1);
	gate_view_settle(view, NULL);
	for (unsigned i = 0; i < 4; i++) {
		askers[i] = (struct asker){.view = gate_view_ref(view)};
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &askers[i]), 0);
	}
	gate_view_unref(&view); /* whoever comes last frees it, and the graph */
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(askers[i].accepted, 5000);
	}
}

/* ---- as the ledger tells it ---- */

struct table {
	const char *cells[8][8];
};

static const char *table_cell(const void *handle, unsigned row, unsigned column)
{
	return ((const struct table *)handle)->cells[row][column];
}

#define ROW(n, id, parents, depends, labels, compatible)                                                     \
	{                                                                                                    \
		"7", n, "99", id, parents, depends, labels, compatible                                       \
	}

static void the_ledgers_rows_are_read(void **state)
{
	static char many[3 * 300];
	(void)state;
	for (unsigned i = 0; i < 299; i++)
		strcat(many, i == 0 ? "a" : "+a");
	static const struct {
		unsigned rows;
		struct table table;
		int revisions; /* -1: wrong */
		const char *why;
	} all[] = {
	    {0, {{{NULL}}}, 0, NULL},
	    {1, {{{"0", "0", "0", NULL, NULL, NULL, NULL, NULL}}}, 0, NULL},
	    {3,
		{{ROW("3", "a", "", "", "", "f"), ROW("3", "b", "a", "", "x+y", "t"),
		    ROW("3", "c", "a+b", "x", "", "f")}},
		3, NULL},
	    {1, {{ROW("1", "a", "", "", "", "f")}}, 1, NULL},
	    {2, {{ROW("2", "a", "b", "", "", "f"), ROW("2", "b", "a", "", "", "f")}}, -1, "circle: a, b"},
	    {1, {{ROW("1", "a", "z", "", "", "f")}}, -1, "revises z, which is nowhere here"},
	    {1, {{ROW("1", "a", "", "z", "", "f")}}, -1, "depends on z"},
	    {2, {{ROW("2", "a", "", "", "", "f"), ROW("2", "a", "", "", "", "f")}}, -1, "also that of"},
	    {1, {{ROW("1", "a;b", "", "", "", "f")}}, -1, "no revision"},
	    {1, {{ROW("1", "a+b", "", "", "", "f")}}, -1, "no revision"},
	    {1, {{ROW("1", "a", "", "", "b c", "f")}}, -1, "no label"},
	    {1, {{ROW("1", "a", many, "", "", "f")}}, -1, "more than 256 parents"},
	    {1, {{ROW("1", "a", "", many, "", "f")}}, -1, "more than 256 dependencies"},
	    {1, {{ROW("1", "a", "", "", many, "f")}}, -1, "more than 256 labels"},
	    {2, {{ROW("2", "", "", "", "", "f"), ROW("2", "b", "", "", "", "f")}}, -1, "2 revisions"},
	    {1, {{{"7", "100001", "5000000", NULL, NULL, NULL, NULL, NULL}}}, -1,
		"it has 100001 revisions with 5000000 bytes"},
	    {1, {{{"7", "5", "99999999", NULL, NULL, NULL, NULL, NULL}}}, -1, "33554432"},
	    {2, {{ROW("2", "x", "q", "", "", "f"), ROW("2", "y", "q", "", "", "f")}}, -1, "(and 1 more)"},
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct reader_rows rows = {all[i].rows, 8, table_cell, &all[i].table};
		struct gate_graph *graph = NULL;
		char *why = NULL;
		bool read = order_read(&rows, &graph, &why);
		if (read != (all[i].revisions >= 0) || (why != NULL) == read ||
		    (why != NULL && strstr(why, all[i].why) == NULL))
			fail_msg("row %zu: %d, %s", i, read, why);
		assert_int_equal(graph == NULL ? 0 : graph->revisions,
		    all[i].revisions < 0 ? 0 : (unsigned)all[i].revisions);
		if (graph != NULL)
			assert_int_equal(graph->serial, 7);
		mem_free(&why);
		gate_graph_unref(&graph);
	}
	struct reader_rows rows = {1, 7, table_cell, &all[2].table};
	struct gate_graph *graph = NULL;
	char *why = NULL;
	assert_false(order_read(&rows, &graph, &why));
	mem_free(&why);

	/* what was read is what was written */
	rows = (struct reader_rows){3, 8, table_cell, &all[2].table};
	assert_true(order_read(&rows, &graph, &why));
	struct heads a = graph_text_heads("a"), b = graph_text_heads("b"), zz = graph_text_heads("a+zz");
	struct gate_stance got;
	struct gate_standing *at_b = graph->stand(graph, &b, GATE_WINDOW_COMPATIBLE);
	assert_true(at_b->ask(at_b, &a, &got) && got.covers && got.within);
	assert_false(at_b->ask(at_b, &zz, &got));
	assert_null(graph->stand(graph, &zz, 0));
	assert_int_equal(at_b->accepted_count, 1);
	gate_graph_unref(&graph); /* it lives on in its standing */
	assert_true(at_b->ask(at_b, &a, &got));
	gate_standing_unref(&at_b);
	heads_free(&a);
	heads_free(&b);
	heads_free(&zz);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_set_against_every_other),
	    cmocka_unit_test(the_table_with_a_graph),
	    cmocka_unit_test(beyond_the_graph),
	    cmocka_unit_test(a_long_line_is_cheap),
	    cmocka_unit_test(a_wide_merge_is_right),
	    cmocka_unit_test(many_threads_ask),
	    cmocka_unit_test(the_ledgers_rows_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
