/* What `headgate upgrade` and `headgate downgrade` were asked for, between their options (cmd_upgrade.c) and
 * what is done with them: a run (upgrade_run.c), or a script for psql (upgrade_script.c). */
#ifndef CTL_UPGRADE_H
#define CTL_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/plan.h"
#include "backing.h"
#include "conducting.h"
#include "migrate.h"

#define UPGRADE_REASON_BYTES 400

struct upgrade {
	struct migrate m;
	struct conducting conducting;
	bool down;
	const char *target, *why;
	bool no_hold, sql, dry_run, accept_changed, no_repeatables;
	int64_t lock_timeout_ns, statement_timeout_ns; /* -1: not given */
	int late;
	struct backing backing;
};

/* But for the ledger. */
struct plan_request upgrade_plan_request(const struct upgrade *upgrade);
/* What held clients, the ledger and the log are told where nobody said why: the migrations' own messages. */
void upgrade_reason(const struct upgrade *upgrade, const struct plan *plan, char out[UPGRADE_REASON_BYTES]);
int64_t upgrade_lock_timeout(const struct upgrade *upgrade);
int64_t upgrade_statement_timeout(const struct upgrade *upgrade);

/* The catalog was read. An exit status. */
int upgrade_run(struct upgrade *upgrade);
int upgrade_script(struct upgrade *upgrade); /* to stdout */

#endif
