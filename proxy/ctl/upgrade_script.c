#include "upgrade.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/digest.h"
#include "net/pq.h"
#include "schema/ledger.h"
#include "schema/script.h"
#include "ctl/cli.h"

/* What makes the ledger. The rights come along where a configuration names who needs them. */
static struct ledger_plan ledger_steps(const struct upgrade *u, unsigned *count)
{
	char headgate[] = "headgate";
	const struct conf_recorded recorded = {.reader = headgate, .schema = headgate};
	const struct conf_database *section = u->m.configured ? u->m.section : NULL;
	char *control = section != NULL ? pq_dsn_user(section->control.dsn) : NULL;
	char *run = section != NULL ? pq_dsn_user(u->m.dsn) : NULL;
	bool roles = control != NULL && run != NULL;
	struct ledger_plan plan = roles ? ledger_plan(&section->recorded, control, run)
					: ledger_plan(&recorded, "nobody", "nobody");
	*count = roles ? plan.count : ledger_migration_count;
	mem_free(&control);
	mem_free(&run);
	return plan;
}

int upgrade_script(struct upgrade *u)
{
	const struct plan_ledger nothing = {.applied_count = 0};
	struct plan_request request = upgrade_plan_request(u);
	struct plan plan;
	char *why = NULL;
	request.ledger = &nothing;
	if (!(u->down ? plan_down(&request, &plan, &why) : plan_up(&request, &plan, &why))) {
		migrate_fails_plan(&u->m, why);
		return u->m.status;
	}
	char reason[UPGRADE_REASON_BYTES];
	upgrade_reason(u, &plan, reason);
	char *published = plan_publication(u->m.catalog, digest_sha256);
	unsigned ledger_count;
	struct ledger_plan ledger = ledger_steps(u, &ledger_count);
	const struct script_request script = {
	    .plan = &plan,
	    .command = u->m.command,
	    .target = u->target,
	    .reason = u->why != NULL ? u->why : reason,
	    .publication = published,
	    .ledger = ledger.steps,
	    .ledger_count = ledger_count,
	    .lock_timeout_ns = upgrade_lock_timeout(u),
	    .statement_timeout_ns = upgrade_statement_timeout(u),
	};
	script_write(&script, stdout);
	ledger_plan_free(&ledger);
	plan_free(&plan);
	mem_free(&published);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		migrate_fails(&u->m, CLI_FAILED, "the script could not be written: %s", strerror(errno));
		return u->m.status;
	}
	return CLI_OK;
}
