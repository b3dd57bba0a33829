/* A plan as one script that psql runs by itself (`headgate upgrade --sql`): for review, and for databases
 * that only somebody else may touch. Pure: it is written to a stream, nothing is asked of a database.
 *
 * The script makes the ledger where it is missing, takes the lock, refuses unless what is recorded is what it
 * begins from, and keeps the ledger by the same functions as a run does: each step in one transaction with
 * its row, what cannot be in one as started before and finished after. It stops at the first error. It holds
 * nobody: no proxy is waited for, and the script says so when there is one. */
#ifndef SCHEMA_SCRIPT_H
#define SCHEMA_SCRIPT_H

#include <stdint.h>
#include <stdio.h>

#include "schema/ledger.h"
#include "schema/plan.h"

struct script_request {
	const struct plan *plan;
	const char *command; /* "upgrade" */
	const char *target;  /* as it was asked for, "0007:head" */
	const char *reason;
	const char *publication;          /* plan_publication(); or NULL */
	const struct ledger_step *ledger; /* what makes the ledger; */
	unsigned ledger_count;
	int64_t lock_timeout_ns, statement_timeout_ns; /* 0: none */
};
void script_write(const struct script_request *request, FILE *to);

#endif
