/* The `options` parameter: what declare.c and startup_forward() share. Private to the room. */
#ifndef PROTO_OPTIONS_H
#define PROTO_OPTIONS_H

#include <stdbool.h>

/* What isspace() takes for a blank in the server. */
#define OPTIONS_BLANKS " \t\n\v\f\r"

/* Is this the name of our own setting, headgate.head? Case does not matter, as in the server
 * (guc_name_compare). */
bool options_is_head(const char *name);

#endif
