/* The plan: the steps of one run of migrations, from what the ledger has to a target. Pure.
 *
 * A step is one section of one migration, done in one transaction together with its row of the ledger, unless
 * it must stand outside of one. The plan is made under the run's lock from what is recorded then, so it is
 * the same list that is run. */
#ifndef SCHEMA_PLAN_H
#define SCHEMA_PLAN_H

#include <stdbool.h>

#include "gate/head.h"
#include "schema/catalog.h"

enum plan_kind { PLAN_UP, PLAN_DOWN, PLAN_REPEAT };
const char *plan_kind_name(enum plan_kind kind); /* "up", "down", "repeat": the ledger's words */

struct plan_step {
	enum plan_kind kind;
	const struct catalog_migration *migration; /* the catalog's */
	/* May have no statement (a merge, or something that was never applied and is left out on the way
	 * down): then only the ledger changes. */
	const struct catalog_section *section;
	/* As the ledger keeps it: of a repeatable one its file's name without folders. Points into the
	 * migration. */
	const char *revision;
	char checksum[65];          /* of the migration's up section */
	struct heads before, after; /* what is recorded before it, and once it is done */
	/* Not in a transaction: the file says so, or its SQL cannot be in one (section->alone), or it
	 * controls transactions itself in a way that is more than a wrapping pair. */
	bool outside;
	bool flowing; /* hold:none: traffic flows while it runs */
	bool late;    /* it comes after migrations that are there already, though it stands before them */
};

struct plan {
	struct plan_step *at;
	unsigned count; /* 0: nothing to do */
	struct heads from, to;
	/* The steps [hold_begin, hold_end) run while traffic is held: from the first to the last that needs
	 * it. Both 0: none does. */
	unsigned hold_begin, hold_end;
};
void plan_free(struct plan *plan); /* leaves an empty one */

/* What the ledger has. */
struct plan_applied {
	const char *name;     /* a revision; a repeatable one's file */
	const char *checksum; /* NULL: not known (stamped without its file) */
};
struct plan_ledger {
	struct heads heads;
	/* Empty although there are heads: they were not recorded by migrations (`headgate exec --to`), so
	 * nothing is known of single ones. */
	const struct plan_applied *applied;
	unsigned applied_count;
	const struct plan_applied *repeatable;
	unsigned repeatable_count;
};

/* What to do with a migration that lies below the recorded heads and was never applied: a file that came
 * later, from another branch of the sources. */
enum plan_late {
	PLAN_LATE_REFUSE,
	PLAN_LATE_RUN,   /* before everything else, in the graph's order; going down: as LEAVE */
	PLAN_LATE_LEAVE, /* as if it had nothing to do */
};

struct plan_request {
	const struct catalog *catalog;
	const struct plan_ledger *ledger;
	const char *target; /* as graph_upgrade() and graph_downgrade() take it */
	catalog_digest digest;
	enum plan_late late;
	bool accept_changed; /* files that have changed since they were applied */
	bool no_repeatables;
};

/* Up: late ones, the path to the target, then the repeatables whose checksum is not the ledger's. Down: the
 * path alone. False: *why, to be freed, says in its first line what is wrong and what to do, and in further
 * lines which files it is about; *out is empty. */
bool plan_up(const struct plan_request *request, struct plan *out, char **why)
    __attribute__((warn_unused_result));
bool plan_down(const struct plan_request *request, struct plan *out, char **why)
    __attribute__((warn_unused_result));

/* The catalog's graph as JSON, as headgate.publish() takes it. To be freed. */
char *plan_publication(const struct catalog *catalog, catalog_digest digest);

#endif
