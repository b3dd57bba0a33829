/* What one database's section of the configuration means to the rooms below: the gate's policy, its pins, the
 * control link. */
#ifndef CTL_SECTION_H
#define CTL_SECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "gate/gate.h"

/* Fills a fresh view's policy, pins and hold_max_ns. False with a text that names the key: a head that cannot
 * be one. */
bool section_view(
    const struct conf_database *section, struct gate_view *view, char *error, size_t error_size);

/* All that can be said of a section without connecting anywhere, beyond what the configuration's own rules
 * check: heads, reader and dsn, certificates. For serve, its reload, and `headgate check`. */
bool section_check(const struct conf_database *section, char *error, size_t error_size);

/* What of a section is taken and has no effect in this version: a line for each, beginning with its key. */
void section_warnings(const struct conf_database *section, struct conf_errors *warnings);

/* Would a control link made for `a` do for `b`? */
bool section_same_link(const struct conf_database *a, const struct conf_database *b);

/* The database that the control link reads: the one that the clients of `name` are sent to, whatever the dsn
 * says, for a version recorded anywhere else would say nothing of it. Owned by the caller. */
char *section_link_dbname(const struct conf_database *section, const char *name);

#endif
