/* schema/describe.h over a connection: runs its statements in one transaction of its own. */
#ifndef CTL_DESCRIBING_H
#define CTL_DESCRIBING_H

#include "net/pq_now.h"
#include "schema/describe.h"

/* skip: as description_new(). The connection must be in no transaction. NULL: *error is set (to be freed). To
 * be freed by description_free(). */
struct description *describing(struct pq_now *pq, const char *skip, struct pq_now_error *error);

#endif
