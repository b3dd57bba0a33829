/* The graph of migrations: which revision follows which, and how sets of heads stand to each other. Pure, and
 * without files: it is made from a catalog, or from what the ledger keeps of one.
 *
 * Words as Alembic's. A revision revises its parents (several: a merge; none: a base), and may depend on
 * others, which must be there before it. A label names a revision and the branch it lies on: its ancestors
 * and descendants by revises. What is at a set of heads has all their ancestors, by both kinds of edge; so
 * the heads that are recorded are those of its revisions that none of its revisions revises or depends on. */
#ifndef SCHEMA_GRAPH_H
#define SCHEMA_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "gate/head.h"
#include "schema/catalog_defects.h"

/* A list of texts that belongs to whoever holds it. */
struct graph_names {
	const char *const *at;
	unsigned count;
};

/* One revision as it is written somewhere. Copied by graph_new(). */
struct graph_source {
	const char *id;
	struct graph_names parents, depends, labels; /* depends: ids or labels */
	bool compatible;                             /* it does not break clients of the head before it */
	const char *file;                            /* for messages; or NULL */
	unsigned line;
};

struct graph;
/* The order of the sources is the order in which revisions are taken where the edges leave a choice. NULL:
 * defects were added (an id twice or not usable, an unknown parent, a circle, a label twice). */
struct graph *graph_new(const struct graph_source *sources, unsigned count, struct catalog_defects *defects);
void graph_free(struct graph **graph); /* NULL-safe, leaves NULL */

/* A revision, by its place among the sources. Pointers live as long as the graph. */
struct graph_revision {
	const char *id;
	const unsigned *parents, *depends, *children; /* places, ascending; children: who revises it */
	unsigned parent_count, depend_count, child_count;
	struct graph_names labels;
	bool compatible;
	const char *file;
	unsigned line;
};
unsigned graph_count(const struct graph *graph);
const struct graph_revision *graph_at(const struct graph *graph, unsigned place);
/* The revision with exactly this id (labels are not looked at). */
bool graph_find(const struct graph *graph, const char *id, size_t n, unsigned *place);

/* Places, owned. */
struct graph_places {
	unsigned *at;
	unsigned count;
};
void graph_places_free(struct graph_places *places); /* leaves none */
/* Revisions that nobody revises ("heads" as `headgate heads` lists them); those that revise nobody. */
struct graph_places graph_heads(const struct graph *graph);
struct graph_places graph_bases(const struct graph *graph);
/* All revisions that a database at these heads has, in the order of an upgrade. False, with *why to be freed:
 * a head that is not in the graph. */
bool graph_applied(const struct graph *graph, const struct heads *recorded, struct graph_places *out,
    char **why) __attribute__((warn_unused_result));
/* Does the revision lie on the branch of this label, or of this revision's id? */
bool graph_on_branch(const struct graph *graph, unsigned place, const char *branch);

/* The revisions a text names, as Alembic reads it. A target is one of
 *   <id>  <label>           exactly; or the beginning of one id, of four characters and more; or, where ids
 *                           are numbers, the same number (3 and 0003)
 *   head  heads  base       head is an error where there are several; base is no revision
 *   current                 what is recorded
 *   <id>+N  <id>-N          N steps up or down from it
 *   <branch>@<any of these, +N and -N included>
 * and several may be given, joined by ','. +N and -N alone count from what is recorded; only graph_upgrade()
 * takes the first and graph_downgrade() the second. False: *why (to be freed) says what is wrong. */
bool graph_resolve(const struct graph *graph, const struct heads *recorded, const char *text,
    struct graph_places *out, char **why) __attribute__((warn_unused_result));

/* What is to be done, step by step. */
struct graph_step {
	unsigned place;
	struct heads after; /* what is recorded when it is done */
};
struct graph_path {
	bool down;         /* each step is undone rather than done */
	struct heads from; /* what it starts from; canonical, so it may be shorter than what was recorded */
	struct graph_step *at;
	unsigned count; /* 0: nothing to do */
};
void graph_path_free(struct graph_path *path); /* leaves an empty one */

/* The way from what is recorded up to the target, or from a to b where the target is "a:b" (offline: whatever
 * is recorded). Revisions come in an order that the edges allow, a branch as far as it goes before the next.
 * Branches other than the target's are left alone. False: *why (to be freed). */
bool graph_upgrade(const struct graph *graph, const struct heads *recorded, const char *target,
    struct graph_path *out, char **why) __attribute__((warn_unused_result));
/* The way down to the target, which stays: what came after it goes, and what depends on that. "base" and
 * "branch@base" leave nothing of it; -N undoes the last N revisions of the one head, or of the branch. "a:b"
 * is the way from a down to b. */
bool graph_downgrade(const struct graph *graph, const struct heads *recorded, const char *target,
    struct graph_path *out, char **why) __attribute__((warn_unused_result));
/* The revisions from a to b, both included, oldest first: for `history -r a:b`. Either may be missing (from
 * base, to heads); -N:b and a:+N count from the other end. */
bool graph_between(const struct graph *graph, const struct heads *recorded, const char *range,
    struct graph_places *out, char **why) __attribute__((warn_unused_result));

/* How one set of heads stands to another: by all that a database at them has. UNKNOWN: neither has all of the
 * other's, or a head is not in the graph. */
enum graph_relation { GRAPH_SAME, GRAPH_BEHIND, GRAPH_AHEAD, GRAPH_UNKNOWN };
enum graph_relation graph_relate(
    const struct graph *graph, const struct heads *declared, const struct heads *recorded);

/* Are clients of `declared` served at `recorded`: is it behind only by revisions marked compatible, or by at
 * most so many revisions? The same heads always are. */
bool graph_is_compatible(
    const struct graph *graph, const struct heads *declared, const struct heads *recorded);
bool graph_is_within(
    const struct graph *graph, const struct heads *declared, const struct heads *recorded, unsigned window);

/* The sets of heads for which that holds, the recorded one first, then nearest first: at most `room` into
 * out[] (owned by the caller), their number returned. With branches they can be many: *more says that there
 * were more. window < 0: those behind by compatible revisions. */
unsigned graph_accepted(const struct graph *graph, const struct heads *recorded, int window,
    struct heads *out, unsigned room, bool *more);

#endif
