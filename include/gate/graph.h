/* What a graph of migrations tells the gate. The gate knows no files, tables or edges: whoever does (the
 * schema wing) makes these objects. Both kinds are immutable once made, and counted: any thread may ask, and
 * the last to let go frees.
 *
 * A database, or a client, at a set of heads has all that comes before them in the graph. What the words
 * below say of two sets is said of all that they have. */
#ifndef GATE_GRAPH_H
#define GATE_GRAPH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/head.h"

enum gate_relation { RELATION_SAME, RELATION_BEHIND, RELATION_AHEAD, RELATION_UNKNOWN };
const char *gate_relation_name(enum gate_relation relation); /* "same", ... */

/* What a client may lack and be served all the same: only what is marked compatible, or at most so many
 * revisions. 0: nothing, the heads must be the same. */
#define GATE_WINDOW_COMPATIBLE (-1)

/* How a declared set stands to another one. A client is accepted at it when both hold. */
struct gate_stance {
	enum gate_relation relation; /* UNKNOWN: neither has all of the other's */
	bool within;                 /* it has nothing that the other has not */
	bool covers;                 /* it has all of the other's, but for what it may lack */
};

/* One set of heads, made ready to measure others by. */
struct gate_standing {
	atomic_uint references;
	struct gate_graph *graph; /* referenced */
	struct heads heads;
	int window;
	/* The sets accepted besides, nearest first: for people, so bounded. `more`: there are more. */
	struct heads *accepted;
	unsigned accepted_count;
	bool more;
	/* False: the graph does not know all of declared. declared is not none. Costs no more than looking up
	 * each of declared; any thread, at once. */
	bool (*ask)(
	    const struct gate_standing *standing, const struct heads *declared, struct gate_stance *out);
	void (*free)(struct gate_standing *standing);
};

struct gate_graph {
	atomic_uint references;
	int64_t serial; /* what the ledger numbers it */
	unsigned revisions;
	/* NULL: the graph does not know all of heads. None is base, which every graph knows. One reference,
	 * the caller's. */
	struct gate_standing *(*stand)(struct gate_graph *graph, const struct heads *heads, int window);
	void (*free)(struct gate_graph *graph);
};

struct gate_graph *gate_graph_ref(struct gate_graph *graph); /* NULL-safe */
void gate_graph_unref(struct gate_graph **graph);            /* NULL-safe, leaves NULL */
struct gate_standing *gate_standing_ref(struct gate_standing *standing);
void gate_standing_unref(struct gate_standing **standing); /* NULL-safe, leaves NULL */

#endif
