/* Writing a new migration into the folder: for `headgate revision` and `headgate merge`. */
#ifndef CTL_REVISING_H
#define CTL_REVISING_H

#include <stdbool.h>

#include "migrate.h"

struct revising {
	const char *message;
	const char *revision;    /* its id; NULL: made */
	const unsigned *parents; /* places in m->graph */
	unsigned parent_count;
	const struct option_list *depends, *labels;
	const char *up, *down; /* SQL; NULL: for a person to fill in */
	bool up_outside, down_outside;
};

/* The folder, read; it need not be there. */
bool revising_open(struct migrate *m);
/* Writes its files, which is all or nothing, and says which: a path a line, or with --json {"revision",
 * "parents", "files"}. Nothing that is there is written over, and nothing is written with which the folder
 * would not be in order. The folder is made where it is missing. */
bool revising_write(struct migrate *m, const struct revising *revising);

/* A parent that is no head makes a new branch: is it, then? Said with what to do. */
bool revising_are_heads(struct migrate *m, const struct graph_places *parents, const char *what_to_do);

#endif
