/* How a graph is kept, and sets of its revisions. */
#ifndef SCHEMA_GRAPH_PRIVATE_H
#define SCHEMA_GRAPH_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/graph.h"

struct graph_label {
	const char *name;
	unsigned place;
};

struct graph {
	struct graph_revision *at;
	unsigned count;
	unsigned *by_id;            /* places, by id */
	struct graph_label *labels; /* by name */
	unsigned label_count;
	unsigned *order;       /* places, so that what goes first comes first */
	unsigned **dependents; /* who depends on a place */
	unsigned *dependent_counts;
};

/* A set: one byte a revision. */
unsigned char *graph_set(const struct graph *graph);
enum graph_edges { GRAPH_REVISES, GRAPH_ALL_EDGES };
/* Adds all ancestors, or all descendants, of the members. */
void graph_add_ancestors(const struct graph *graph, unsigned char *set, enum graph_edges edges);
void graph_add_descendants(const struct graph *graph, unsigned char *set, enum graph_edges edges);
unsigned graph_set_count(const struct graph *graph, const unsigned char *set);
struct graph_places graph_set_places(const struct graph *graph, const unsigned char *set); /* in order */
/* The members above which there is no member: what is recorded of a database that has them. */
bool graph_set_heads(const struct graph *graph, const unsigned char *set, struct heads *out, char **why)
    __attribute__((warn_unused_result));
/* The members (on the branch) after which there is none (on the branch), and their number: by revises where a
 * branch is given, since what another branch depends on is still that branch's tip; else by all edges. */
unsigned graph_set_tips(
    const struct graph *graph, const unsigned char *branch, const unsigned char *set, unsigned char *tips);
/* All that a database at these heads has; NULL with *why when one is not in the graph. */
unsigned char *graph_set_applied(const struct graph *graph, const struct heads *recorded, char **why);

/* "a1 (0001_x.sql:2), b2 (0002_y.sql:1)", cut after some; to be freed. */
char *graph_set_text(const struct graph *graph, const unsigned char *set);
bool graph_label_find(const struct graph *graph, const char *name, size_t n, unsigned *place);

/* What a target says, before it is known in which direction it is meant. */
struct graph_target {
	unsigned char *branch; /* the revisions of the branch it names, or NULL */
	const char *branch_name;
	size_t branch_size;
	int steps;            /* +N or -N alone; 0: it names revisions */
	unsigned char *named; /* them; none is base */
	unsigned char *from;  /* base, reached by <id>-N: the branch of <id>; or NULL */
};
bool graph_target_read(const struct graph *graph, const struct heads *recorded, const char *text, size_t n,
    struct graph_target *out, char **why) __attribute__((warn_unused_result));
void graph_target_free(struct graph_target *target);
/* Walks from a revision, or from base (*place == graph->count), by children or parents on the branch. */
bool graph_walk(const struct graph *graph, const unsigned char *branch, unsigned *place, int steps,
    char **why) __attribute__((warn_unused_result));

#endif
