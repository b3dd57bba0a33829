#include "gate/graph.h"

#include <stddef.h>

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

struct gate_graph *gate_graph_ref(struct gate_graph *graph)
{
	if (graph != NULL)
		atomic_fetch_add_explicit(&graph->references, 1, memory_order_relaxed);
	return graph;
}

void gate_graph_unref(struct gate_graph **graph)
{
	struct gate_graph *dying = *graph;

	*graph = NULL;
	/* acq_rel: whoever frees must see every other thread's last use. */
	if (dying != NULL && atomic_fetch_sub_explicit(&dying->references, 1, memory_order_acq_rel) == 1)
		dying->free(dying);
}

struct gate_standing *gate_standing_ref(struct gate_standing *standing)
{
	if (standing != NULL)
		atomic_fetch_add_explicit(&standing->references, 1, memory_order_relaxed);
	return standing;
}

void gate_standing_unref(struct gate_standing **standing)
{
	struct gate_standing *dying = *standing;

	*standing = NULL;
	if (dying != NULL && atomic_fetch_sub_explicit(&dying->references, 1, memory_order_acq_rel) == 1)
		dying->free(dying);
}
