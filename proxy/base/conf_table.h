/* The settings table (conf.def) at work: three sections, each a list of settings, read, printed and freed by
 * the same few functions. */
#ifndef BASE_CONF_TABLE_H
#define BASE_CONF_TABLE_H

#include "conf_kinds.h"

struct section {
	const struct setting *settings;
	unsigned count;
};
extern const struct section conf_section_root, conf_section_listen, conf_section_database;

/* Reads a map into a zeroed object: keys, then defaults for what was not given, then complaints about what
 * must be. path: of the map, "" for the file. */
void conf_section_read(struct reading *reading, const struct section *section, void *object,
    const struct conf_node *map, const char *path);
void conf_section_release(const struct section *section, void *object);

/* As YAML, every line after `indent` blanks; the first line's indent is the caller's when `started` (a list's
 * item). */
void conf_section_print(
    FILE *to, const struct section *section, const void *object, unsigned indent, bool started);

typedef void conf_each_setting(const char *key, const char *value, const char *standard, void *arg);
void conf_section_each(
    const struct section *section, const void *object, const char *path, conf_each_setting *each, void *arg);

/* The rules that tie settings to each other. Those of one section run when its values are right each by
 * itself. */
void conf_rules_listen(
    struct reading *reading, struct conf_listen *listen, const struct conf_node *map, const char *path);
void conf_rules_database(
    struct reading *reading, struct conf_database *database, const struct conf_node *map, const char *path);
void conf_rules_root(struct reading *reading, struct conf *conf, const struct conf_node *map);

#endif
