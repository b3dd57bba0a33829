/* Where a database stands among the migrations of a folder. */
#ifndef CTL_POSITION_H
#define CTL_POSITION_H

#include <stdbool.h>

#include "migrate.h"

struct position {
	bool *applied; /* by place: below what is recorded, or recorded */
	unsigned applied_count, pending_count;
	unsigned *pending; /* places of the others, in the order of an upgrade */
	/* The last ones that are applied, branch by branch: what Alembic calls current, though it be recorded
	 * only by what depends on it. */
	unsigned *tips, tip_count;
	char **unknown; /* recorded heads that no file has */
	unsigned unknown_count;
	bool whole; /* nothing runs, failed, or waits to be resolved */
};

/* m: its catalog and its ledger were read. */
void position_find(const struct migrate *m, struct position *out);
void position_free(struct position *position);
/* At all heads of the folder, and whole. */
bool position_is_head(const struct position *position);

#endif
