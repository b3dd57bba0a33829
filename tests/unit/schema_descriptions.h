/* Descriptions made by hand, for tests: rows as the statements would give them. */
#ifndef TESTS_SCHEMA_DESCRIPTIONS_H
#define TESTS_SCHEMA_DESCRIPTIONS_H

#include <stdio.h>

#include "schema/describe.h"
#include "schema/describe_private.h"

struct told {
	enum describe_kind kind;
	const char *reference, *parent, *on, *name;
	struct {
		const char *attribute, *value;
	} values[6];
};
struct tie {
	const char *from, *to;
};

static struct {
	const char *cells[4 + DESCRIBE_ATTRIBUTES];
} told_row;

static const char *told_cell(const void *handle, unsigned row, unsigned column)
{
	(void)handle;
	(void)row;
	return told_row.cells[column];
}

static unsigned told_statement(enum describe_rows rows, enum describe_kind kind)
{
	unsigned i = 0;
	while (describe_statements[i].rows != rows ||
	    (rows == ROWS_OBJECTS && describe_statements[i].kind != kind))
		i++;
	return i;
}

static void tell(struct description *description, const struct told *told)
{
	unsigned statement = told_statement(ROWS_OBJECTS, told->kind);
	const char *const *names = describe_attributes(told->kind);
	for (unsigned i = 0; i < 4 + DESCRIBE_ATTRIBUTES; i++)
		told_row.cells[i] = NULL;
	told_row.cells[0] = told->reference;
	told_row.cells[1] = told->parent;
	told_row.cells[2] = told->on;
	told_row.cells[3] = told->name;
	for (unsigned i = 0; i < 6 && told->values[i].attribute != NULL; i++) {
		unsigned k = 0;
		while (names[k] != NULL && strcmp(names[k], told->values[i].attribute) != 0)
			k++;
		assert_non_null(names[k]);
		told_row.cells[4 + k] = told->values[i].value;
	}
	const struct reader_rows rows = {1, 4 + DESCRIBE_ATTRIBUTES, told_cell, NULL};
	describe_read(description, statement, &rows);
}

static void tell_tie(struct description *description, enum describe_rows rows, const struct tie *tie)
{
	told_row.cells[0] = tie->from;
	told_row.cells[1] = tie->to;
	const struct reader_rows one = {1, 2, told_cell, NULL};
	describe_read(description, told_statement(rows, DESCRIBE_KINDS), &one);
}

/* Lists end with a zero. */
static struct description *tell_all(
    const char *skip, const struct told *told, const struct tie *aliases, const struct tie *needs)
{
	char error[200] = "";
	struct description *description = description_new(skip);
	for (; told != NULL && told->name != NULL; told++)
		tell(description, told);
	for (; aliases != NULL && aliases->from != NULL; aliases++)
		tell_tie(description, ROWS_ALIASES, aliases);
	for (; needs != NULL && needs->from != NULL; needs++)
		tell_tie(description, ROWS_NEEDS, needs);
	if (!description_finish(description, error, sizeof(error))) {
		print_error("%s\n", error);
		description_free(&description);
	}
	return description;
}

#endif
