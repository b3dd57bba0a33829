/* Inside of ctl/migrate: between options, configuration and folder (migrate.c) and the database
 * (migrate_ledger.c). */
#ifndef CTL_MIGRATE_PRIVATE_H
#define CTL_MIGRATE_PRIVATE_H

#include "migrate.h"

/* Is it said which database is meant? False: it was asked for on stderr. */
bool migrate_needs_section(struct migrate *m);
void migrate_ledger_free(struct migrate_ledger *ledger); /* leaves none */

#endif
