/* Between newfile.c, which writes texts, and newfile_name.c, which makes ids and names. */
#ifndef SCHEMA_NEWFILE_PRIVATE_H
#define SCHEMA_NEWFILE_PRIVATE_H

#include "schema/newfile.h"

/* The name of its (first) file, and its revision as the catalog will read it; both to be freed. False: *why.
 */
bool newfile_name(const struct newfile_request *request, const char *slug, char **name, char **revision,
    char **why) __attribute__((warn_unused_result));
/* Has any migration of the folder a way down in a file of its own? Few have with Flyway. */
bool newfile_has_undo(const struct catalog *catalog);

#endif
