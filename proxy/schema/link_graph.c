/* The published graph, on its way to the gate. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "link_private.h"
#include "schema/order.h"

#define FAILURES_BORNE 3              /* a round that fails for the graph is tried again, so often */
#define PAUSE_NS       (30 * CLOCK_S) /* then we go on without it for so long */

static bool same_mark(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Without a graph the gate knows the recorded heads alone: strict, but never wrong. */
static void go_without(struct link *link, const char *why)
{
	struct gate_graph *none = NULL;
	char *trouble = why != NULL ? mem_strdup(why) : NULL;

	link_set_graph(link, &none, &trouble);
}

static void pause_graph(struct link *link, const char *why)
{
	mem_free(&link->graph_mark);
	link->graph_failures = 0;
	link->graph_pause_ns = clock_now() + PAUSE_NS;
	go_without(link, why);
}

void link_graph_forget(struct link *link)
{
	link->graphs = false;
	mem_free(&link->graph_mark);
	link->graph_failures = 0;
	link->graph_pause_ns = 0;
}

bool link_graph_found(struct link *link, bool found)
{
	if (found == link->graphs)
		return false;
	if (!found)
		link_graph_forget(link);
	link->graphs = found;
	return found;
}

static void on_mark(const struct pq_result *result, void *arg)
{
	struct link *link = arg;
	struct link_round *round = &link->round;

	if (result->ok && result->rows == 1)
		round->mark = mem_strdup(pq_value(result, 0, 0));
	else
		round->mark_trouble =
		    mem_strdup(result->ok ? "its place in the ledger is empty" : result->message);
	link_round_answered(link);
}

bool link_graph_due(struct link *link)
{
	link->round.marking = link->graphs && clock_now() >= link->graph_pause_ns;
	return link->round.marking;
}

void link_graph_ask(struct link *link)
{
	pq_query(link->pq, order_mark_sql, NULL, 0, on_mark, link);
}

/* What stays as it is, however often it is tried. */
static bool is_final(const char *sqlstate)
{
	return strncmp(sqlstate, "42", 2) == 0 || strncmp(sqlstate, "3F", 2) == 0;
}

static const char *result_cell(const void *handle, unsigned row, unsigned column)
{
	return pq_value(handle, (int)row, (int)column);
}

static void on_graph(const struct pq_result *result, void *arg)
{
	struct link *link = arg;
	struct link_round *round = &link->round;
	const struct reader_rows rows = {.rows = (unsigned)result->rows,
	    .columns = (unsigned)result->columns,
	    .cell = result_cell,
	    .handle = result};
	struct gate_graph *graph = NULL;
	char *trouble = NULL;

	if (!result->ok) {
		/* Clients that the graph would let in wait rather than being turned away, while it may still
		 * come and the lease lasts. */
		if (!is_final(result->sqlstate) && ++link->graph_failures < FAILURES_BORNE) {
			link_round_failed(
			    round, "the graph of migrations", result->sqlstate, result->message);
		} else {
			pause_graph(link, result->message);
		}
		link_round_end(link);
		return;
	}
	if (!order_read(&rows, &graph, &trouble)) {
		char *why = mem_printf("%s; publish it again when that is mended", trouble);
		mem_free(&trouble);
		trouble = why;
	}
	link_set_graph(link, &graph, &trouble);
	link->graph_failures = 0;
	mem_free(&link->graph_mark);
	link->graph_mark = round->mark;
	round->mark = NULL;
	link_round_end(link);
}

void link_graph_settle(struct link *link)
{
	struct link_round *round = &link->round;

	if (!link->graphs) {
		go_without(link, NULL);
	} else if (round->marking && round->mark == NULL) {
		pause_graph(link, round->mark_trouble);
	} else if (round->marking && !same_mark(round->mark, link->graph_mark)) {
		char revisions[16], bytes[16];
		snprintf(revisions, sizeof(revisions), "%d", ORDER_REVISIONS);
		snprintf(bytes, sizeof(bytes), "%d", ORDER_BYTES);
		const char *const values[] = {revisions, bytes};
		pq_query(link->pq, order_sql, values, 2, on_graph, link);
		return;
	}
	link_round_end(link);
}
