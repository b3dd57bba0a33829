/* What `headgate exec` and `headgate resolve` share: who asks, and which of the server's databases it is
 * about. */
#ifndef CTL_CONDUCT_H
#define CTL_CONDUCT_H

#include "base/conf.h"

/* For the ledger. Owned. */
struct conductor {
	char *who;     /* "ann@build7"; $HEADGATE_WHO where it is set; with sudo, who called it */
	char *os_user; /* of the process */
	char *host;
};
struct conductor conductor_self(void);
void conductor_free(struct conductor *conductor);

/* The server's name of the database for control.run_dsn; NULL: libpq's default. Owned by the caller. */
char *conduct_dbname(const struct conf_database *section, const char *name);

#endif
