/* How a run of migrations is shown: a live line on a terminal, plain lines elsewhere, one JSON object a line
 * with --json; what failed, as a compiler would say it; and the plan, before anything is done.
 *
 * Progress and result go to stderr, JSON and plans to stdout. A terminal that does not take lines (Ctrl-S)
 * loses them: clients are not held for it. */
#ifndef CTL_STEPS_SHOW_H
#define CTL_STEPS_SHOW_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/coord.h"
#include "page.h"

struct steps_show {
	const char *command; /* "upgrade" */
	const char *database;
	bool json;
	bool live; /* a terminal that can rewrite its line */
	struct page page;
	bool line; /* a live line stands there */
	unsigned told_step;
	int64_t told_ns; /* where lines are plain: of a step that takes long */
	char *warned;    /* what is told again and again is shown once */
};
void steps_show_begin(struct steps_show *show, const char *command, const char *database, bool json);
void steps_show_progress(struct steps_show *show, const struct coord_progress *progress);
/* restore: how the backup is put back, lines; or NULL. */
void steps_show_result(struct steps_show *show, const struct coord_result *result, const char *restore);

/* no_hold: as the run would be with --no-hold. */
void steps_show_plan(const struct steps_show *show, const struct plan *plan, bool no_hold);

#endif
