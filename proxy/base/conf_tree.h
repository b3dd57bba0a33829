/* A YAML file as a tree that remembers where everything stood. Every plain scalar is text: what type it must
 * have is the settings table's business, so a head written 0123 or 1e5 stays what was written.
 *
 * Configuration needs no anchors, aliases, merge keys or tags: they are refused, and with them every way to
 * make a small file grow. Depth and number of values are bounded. */
#ifndef BASE_CONF_TREE_H
#define BASE_CONF_TREE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"

#define CONF_BYTES  ((size_t)1 << 20) /* longest file */
#define CONF_DEPTH  16                /* of maps and lists inside each other */
#define CONF_VALUES 100000            /* scalars, lists and maps of one file */
#define CONF_KEYS   1024              /* of one map */

enum conf_node_kind { NODE_TEXT, NODE_LIST, NODE_MAP };

struct conf_node {
	enum conf_node_kind kind;
	bool nothing; /* a text that says "no value": empty, ~ or null without quotes */
	unsigned line, column;
	char *text;
	struct conf_node **items; /* of a list; of a map key, value, key, value ... */
	unsigned count;           /* of items */
};

/* What is wrong with a file, gathered with places so that it can be told in the file's order. */
struct conf_problem {
	unsigned line, column;
	char *text;
};
struct conf_problems {
	const char *name; /* of the file, as the user wrote it */
	unsigned count, more;
	struct conf_problem at[sizeof(((struct conf_errors *)NULL)->lines) / sizeof(char *)];
};

/* Adds "name:line:column: key: text"; node NULL: the file as a whole; key "" or NULL: no key. */
void conf_problem(struct conf_problems *problems, const struct conf_node *node, const char *key,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Moves them to `errors` in the file's order. */
void conf_problems_tell(struct conf_problems *problems, struct conf_errors *errors);

/* NULL with a problem added when it is no YAML, or YAML that is refused. A file without a value is an empty
 * map. */
struct conf_node *conf_tree_parse(const char *text, size_t size, struct conf_problems *problems);
void conf_node_free(struct conf_node **node); /* NULL-safe */

/* The value at a dotted path below a map ("hold.max"), or NULL. */
const struct conf_node *conf_node_find(const struct conf_node *map, const char *path);
/* The value at the path, or the deepest map on the way to it: where an error about it is best shown. */
const struct conf_node *conf_node_near(const struct conf_node *map, const char *path);

/* The value as a message shows it: "\"text\"", "nothing", "a list", "a map"; secrets masked, long text cut.
 */
char *conf_node_got(const struct conf_node *node);

#endif
