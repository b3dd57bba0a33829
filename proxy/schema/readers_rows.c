/* What the rows of a reader's statement say. */
#include <string.h>

#include "base/mem.h"
#include "readers_private.h"

static const char *cell(const struct reader_rows *rows, unsigned row, unsigned column)
{
	return rows->cell(rows->handle, row, column);
}

/* Values of the table are shown cut: they may be anything. */
static void unreadable(
    struct recorded *out, unsigned row, const char *value, const char *why, const char *hint)
{
	/* First the text: value may be of the heads. */
	char *detail = value != NULL ? mem_printf("row %u, \"%.80s\": %s%s", row + 1, value, why, hint)
				     : mem_printf("row %u: %s%s", row + 1, why, hint);
	recorded_free(out);
	out->state = RECORDED_UNREADABLE;
	out->detail = detail;
}

/* In the order of their weight: of several rows the gravest counts. */
static const enum recorded_state states[] = {
    RECORDED_CLEAN, RECORDED_EMPTY, RECORDED_ABSENT, RECORDED_RUNNING, RECORDED_FAILED, RECORDED_UNREADABLE};
#define STATES (sizeof(states) / sizeof(states[0]))

static bool state_named(const char *name, size_t *weight)
{
	for (size_t i = 0; i < STATES; i++) {
		if (strcmp(name, recorded_state_name(states[i])) == 0) {
			*weight = i;
			return true;
		}
	}
	return false;
}

/* The user's statement: column 1 a head or NULL, column 2, where there is one, a state or NULL. */
void reader_rows_of_the_user(const struct reader_rows *rows, struct recorded *out)
{
	size_t gravest = 0;
	bool stated = false;

	if (rows->columns != 1 && rows->columns != 2) {
		out->state = RECORDED_UNREADABLE;
		out->detail = mem_printf(
		    "the statement returns %u columns: one is expected, the head, or two, head and state",
		    rows->columns);
		return;
	}
	for (unsigned i = 0; i < rows->rows; i++) {
		const char *head = cell(rows, i, 0), *why = NULL;
		const char *state = rows->columns == 2 ? cell(rows, i, 1) : NULL;
		size_t weight = 0;
		if (state != NULL && !state_named(state, &weight)) {
			unreadable(out, i, state,
			    "no state: clean, empty, absent, running, failed or unreadable is expected", "");
			return;
		}
		if (head != NULL && !heads_add(&out->heads, head, strlen(head), &why)) {
			unreadable(out, i, head, why, "");
			return;
		}
		stated |= state != NULL;
		gravest = weight > gravest ? weight : gravest;
	}
	out->state = stated && gravest > 0 ? states[gravest]
	    : heads_is_none(&out->heads)   ? RECORDED_EMPTY
					   : RECORDED_CLEAN;
	if (!heads_is_none(&out->heads) && (out->state == RECORDED_EMPTY || out->state == RECORDED_ABSENT))
		unreadable(out, 0, heads_text(&out->heads),
		    "the statement returns a head and says that there is none", "");
	else if (out->state >= RECORDED_RUNNING)
		out->detail = mem_printf("the statement says %s", recorded_state_name(out->state));
}

/* Columns: a head, a state, what it is about (each may be NULL), and the columns of the table. */
void reader_rows_of_the_tool(
    const struct reader *reader, const char *table, const struct reader_rows *rows, struct recorded *out)
{
	enum { HEAD, STATE, DETAIL, COLUMNS, CELLS };
	const char *columns = rows->columns == CELLS && rows->rows > 0 ? cell(rows, 0, COLUMNS) : NULL;
	size_t gravest = 0;

	if (columns == NULL || !reader_fits(reader, table, columns, &out->detail)) {
		out->state = RECORDED_UNREADABLE;
		if (out->detail == NULL)
			out->detail = mem_strdup("the table has no columns");
		return;
	}
	for (unsigned i = 0; i < rows->rows; i++) {
		const char *head = cell(rows, i, HEAD), *state = cell(rows, i, STATE), *why = NULL;
		size_t weight = 0;
		if (head != NULL && !heads_add(&out->heads, head, strlen(head), &why)) {
			unreadable(out, i, head, why, "; the reader sql can read it another way");
			return;
		}
		if (state == NULL || !state_named(state, &weight) || weight <= gravest)
			continue;
		gravest = weight;
		mem_free(&out->detail);
		out->detail = mem_strdup(cell(rows, i, DETAIL) != NULL ? cell(rows, i, DETAIL) : state);
	}
	out->state = gravest > 0         ? states[gravest]
	    : heads_is_none(&out->heads) ? RECORDED_EMPTY
					 : RECORDED_CLEAN;
	if (out->state == RECORDED_UNREADABLE)
		heads_free(&out->heads);
}
