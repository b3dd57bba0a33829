/* What an upgrade would bring: for `headgate check`. */
#ifndef CTL_PENDING_H
#define CTL_PENDING_H

#include <stdbool.h>

#include "migrate.h"

/* Reads the folder, and the database where one was named, and tells: are the files in order, and is all of
 * them applied? False: that was not to be found out, said; m->status. *behind: something is pending, was left
 * half way, or is recorded that no file has. */
bool pending_tell(struct migrate *m, bool *behind);

#endif
