/* Inside of ctl/migrate: between options, configuration and folder (migrate.c) and the database
 * (migrate_ledger.c). */
#ifndef CTL_MIGRATE_PRIVATE_H
#define CTL_MIGRATE_PRIVATE_H

#include "migrate.h"

void migrate_ledger_free(struct migrate_ledger *ledger); /* leaves none */

#endif
