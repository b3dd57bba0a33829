/* Between the files of diff: what happens to each object, the actions that this takes, and the script they
 * are written to.
 *
 * Two descriptions are laid side by side: a part is an object of either or of both, with its fate. A part
 * that is made anew is dropped and created: two actions, others take one. Actions are ordered by what needs
 * what (drops in the old description's order, creations in the new one's); one that can be said inside of
 * another (a column in its CREATE TABLE, an index that goes with its table) is written along with it, unless
 * that closes a circle. */
#ifndef SCHEMA_DIFF_PRIVATE_H
#define SCHEMA_DIFF_PRIVATE_H

#include <limits.h>
#include <stddef.h>

#include "schema/diff.h"
#include "describe_private.h"

#define NOWHERE UINT_MAX

/* ---- the script ---- */

/* Text that grows. */
struct diff_phrase {
	char *at; /* never NULL once something was said */
	size_t size, room;
};
void diff_phrase_say(struct diff_phrase *phrase, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct diff_script {
	struct diff_phrase text;
	unsigned statements, remarks, left;
	bool commented;      /* statements become comments */
	bool remark_pending; /* one stands before the next statement */
	bool gap;            /* an empty line is to stand before what comes next */
	bool bodies;         /* functions are among them whose bodies PostgreSQL would check */
	bool alone;          /* no one transaction can hold it */
};
/* A statement without its semicolon. */
void diff_say(struct diff_script *script, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A comment about the statement that follows. */
void diff_remark(struct diff_script *script, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A comment about what is left to a person; the statements up to diff_left() become comments below it.
 */
void diff_leave(struct diff_script *script, const char *format, ...) __attribute__((format(printf, 2, 3)));
void diff_left(struct diff_script *script);

/* ---- parts ---- */

enum fate { FATE_KEEP, FATE_CREATE, FATE_DROP, FATE_ALTER, FATE_REPLACE };

struct part {
	const struct described *from, *to; /* one of them may be NULL */
	enum fate fate;
	bool left;    /* it cannot be made anew or dropped: what `holder` is needs it */
	bool muted;   /* a part of what is left to a person */
	bool renamed; /* from and to have other names: ALTER ... RENAME */
	const struct described *holder;
	unsigned drop, make; /* actions, or NOWHERE; make: creates or alters */
};

struct action {
	unsigned part;
	bool drop;
	unsigned root, next; /* written along with that action; the next that is written along with it */
	unsigned *before;    /* actions that must have been done before */
	unsigned before_count, before_room;
};

struct diff_plan {
	const struct description *from, *to;
	struct part *parts;
	unsigned part_count;
	unsigned *from_parts, *to_parts; /* by place in the descriptions */
	struct action *actions;
	unsigned action_count;
};

/* diff_plan.c */
struct diff_plan *diff_plan_new(const struct description *from, const struct description *to);
void diff_plan_free(struct diff_plan **plan);
struct part *diff_plan_part(
    const struct diff_plan *plan, const struct described *object, bool of_to); /* NULL-safe */
/* All that an object depends on, its whole among it. Calls each; the list is that of the side it is from. */
typedef void diff_plan_need(
    struct diff_plan *plan, const struct described *object, const struct described *need, void *arg);
void diff_plan_needs(
    struct diff_plan *plan, const struct described *object, bool of_to, diff_plan_need *each, void *arg);
/* What takes its column from another table: the column there. NULL: its own. */
const struct described *diff_plan_inherited_from(
    const struct description *description, const struct described *column_or_default);

/* diff_fate.c: how a changed object gets there; which parts of it PostgreSQL lets nobody make anew. */
enum fate diff_fate(const struct diff_plan *plan, const struct part *part);
bool diff_replaceable(const struct described *object);
/* Must `dependent` be made anew when `changed` is altered? */
bool diff_disturbs(const struct diff_plan *plan, const struct part *changed, const struct part *dependent);
bool diff_changes_parents(const struct part *table); /* attached, detached, partitioned otherwise */

/* diff_rename.c: pairs parts that only differ by name, where renaming is certain to be right. */
void diff_pair_renamed(struct diff_plan *plan);
/* What a part that is dropped looks like under its new name: NULL or the part that is created. */
const struct part *diff_suspect(const struct diff_plan *plan, const struct part *dropped);

/* diff_order.c: makes the actions; then their order: roots, to be freed. */
void diff_actions(struct diff_plan *plan);
unsigned *diff_order(struct diff_plan *plan, unsigned *count);
bool diff_plan_together(const struct diff_plan *plan, unsigned a, unsigned b); /* actions; NOWHERE: false */

/* ---- writing ---- */

/* One for each kind, NULL where an action cannot be (or says nothing by itself). */
struct diff_writer {
	void (*create)(struct diff_script *script, const struct diff_plan *plan, const struct action *action);
	void (*drop)(struct diff_script *script, const struct diff_plan *plan, const struct part *part);
	void (*alter)(struct diff_script *script, const struct diff_plan *plan, const struct part *part);
};

extern const struct diff_writer diff_schema, diff_extension, diff_collation, diff_event_trigger,
    diff_other; /* diff_alone.c */
extern const struct diff_writer diff_enum, diff_domain, diff_domain_constraint, diff_composite,
    diff_attribute, diff_range;                                               /* diff_type.c */
extern const struct diff_writer diff_sequence;                                /* diff_sequence.c */
extern const struct diff_writer diff_table;                                   /* diff_table.c */
extern const struct diff_writer diff_column, diff_default;                    /* diff_column.c */
extern const struct diff_writer diff_constraint, diff_index, diff_statistics; /* diff_constraint.c */
extern const struct diff_writer diff_function, diff_procedure, diff_aggregate, diff_view, diff_matview,
    diff_rule, diff_trigger, diff_policy;                                          /* diff_code.c */
extern const struct diff_writer diff_grant, diff_default_privileges, diff_comment; /* diff_grant.c */

/* A column as it stands in CREATE TABLE and ADD COLUMN; action: the one that creates it. */
void diff_column_says(struct diff_phrase *phrase, const struct diff_plan *plan, unsigned action);
/* What needs statements of their own behind that. */
void diff_column_rest(struct diff_script *script, const struct described *column);
void diff_constraint_rest(struct diff_script *script, const struct described *constraint);
int diff_position(const struct described *column_or_attribute);
/* "bigserial" where the column's sequence is new, and it and the default are what serial makes; else NULL. */
const char *diff_serial(
    const struct diff_plan *plan, const struct described *column, const struct described **sequence);

/* A value of the new object, or of the old one. "" is never among values that are compared. */
const char *diff_to(const struct part *part, const char *attribute);
const char *diff_from(const struct part *part, const char *attribute);
bool diff_changed(const struct part *part, const char *attribute);
const struct described *diff_either(const struct part *part); /* the new one, else the old */

/* diff_list.c: "a='1', b='2'", "'x', 'y,z'": items between commas outside of quotes. */
struct diff_item {
	const char *at;
	size_t size;
};
struct diff_items {
	struct diff_item *at;
	unsigned count;
};
struct diff_items diff_items(const char *list); /* NULL: none */
void diff_items_free(struct diff_items *items);
bool diff_item_in(const struct diff_items *items, const struct diff_item *item);
/* "object SET (a='1')", "object RESET (b)": from one list of options to another. */
void diff_options(struct diff_script *script, const char *object, const char *from, const char *to);

/* diff_sequence.c: "START WITH 10 INCREMENT BY 5", as far as it is not the default (from NULL) or has
 * changed; each behind `before`. prefix of the attributes: "" or "identity ". */
void diff_sequence_words(struct diff_phrase *phrase, const struct described *from, const struct described *to,
    const char *prefix, const char *before);

/* diff_conversion.c: what a change of a column's type does to values. */
enum diff_conversion {
	CONVERSION_SAFE,    /* every value fits and stays what it is */
	CONVERSION_CHECKED, /* PostgreSQL refuses where a value does not fit */
	CONVERSION_LOSSY,   /* may change values, or is not known */
};
/* needs_using: the conversion must be written out. */
enum diff_conversion diff_conversion(
    const struct diff_plan *plan, const char *from, const char *to, bool *needs_using);
/* Do they share their operators, so that what compares the one can compare the other? */
bool diff_same_family(const char *from, const char *to);

#endif
