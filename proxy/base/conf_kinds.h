/* What kinds of values there are: how each is read from a file, printed, and freed. The settings (conf.def)
 * name them; the sections (conf_table.h) apply them. */
#ifndef BASE_CONF_KINDS_H
#define BASE_CONF_KINDS_H

#include <stdint.h>
#include <stdio.h>

#include "conf_tree.h"

struct setting {
	const char *key;
	const struct conf_kind *kind;
	size_t at, also;      /* offsets of place and also */
	size_t size;          /* of the place: choices are kept in an enum or in a bool */
	const char *standard; /* default */
	int64_t low, high;
	const char *words;
	const char *about;
};

/* What reading a value needs to know besides the value. */
struct reading {
	struct conf_problems *problems;
	const char *folder; /* of the file, absolute: what relative paths start from */
	const char *path;   /* dotted path of the value, for messages: "databases.shop.hold.max" */
};

struct conf_kind {
	/* Puts the value into `object`, or adds a problem and leaves it. The place is empty before. */
	void (*read)(struct reading *reading, const struct setting *setting, void *object,
	    const struct conf_node *node);
	/* As YAML for a file, else bare for people. */
	void (*print)(FILE *to, const struct setting *setting, const void *object, bool yaml);
	void (*release)(const struct setting *setting, void *object);      /* NULL: owns nothing */
	bool (*is_set)(const struct setting *setting, const void *object); /* NULL: always */
};

extern const struct conf_kind conf_kind_text, conf_kind_statement, conf_kind_dsn, conf_kind_file,
    conf_kind_heads, conf_kind_count, conf_kind_count_or_auto, conf_kind_access_bits, conf_kind_duration,
    conf_kind_choice, conf_kind_choice_or_count, conf_kind_choice_or_duration, conf_kind_choice_or_heads,
    conf_kind_address;
extern const struct conf_kind conf_kind_addresses, conf_kind_names, conf_kind_pins, conf_kind_order,
    conf_kind_carriers, conf_kind_command;
extern const struct conf_kind conf_kind_placeholders;                 /* in conf_pairs.c */
extern const struct conf_kind conf_kind_listens, conf_kind_databases; /* in conf_read.c: they hold sections */

/* Adds "expected `what`, got ..."; `near`: a word to propose, or NULL. */
void conf_expected(struct reading *reading, const struct conf_node *node, const char *near, const char *what,
    ...) __attribute__((format(printf, 4, 5)));

/* Value parsers that several kinds share: NULL or false with a problem added. */
char *conf_read_text(
    struct reading *reading, const struct setting *setting, const struct conf_node *node, bool lines);
char *conf_read_heads(struct reading *reading, const struct conf_node *node);
bool conf_read_count(
    struct reading *reading, const struct setting *setting, const struct conf_node *node, unsigned *out);
bool conf_read_duration(
    struct reading *reading, const struct setting *setting, const struct conf_node *node, int64_t *out);
bool conf_read_address(struct reading *reading, const struct conf_node *node, struct conf_address *out);
void conf_address_free(struct conf_address *address);

/* Which of the words joined by '|' it is, or -1. */
int conf_word(const char *words, const char *text);
/* Word number n, copied; and how many there are. */
char *conf_word_copy(const char *words, unsigned n);
unsigned conf_word_count(const char *words);
/* "a, b or c", the last one joined by `last`. */
char *conf_words_said(const char *words, const char *last);
/* The word joined by '|' that `text` was perhaps meant to be, copied; or NULL. */
char *conf_nearest(const char *words, const char *text);

/* A text in double quotes that parses to the same. */
void conf_print_quoted(FILE *to, const char *text);

#endif
