#include "page_lanes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct rows {
	char **at;
	unsigned count, taken;
};

struct lanes {
	unsigned *at; /* whom each leads to */
	unsigned count, room;
	struct rows before, after;
	char *own, *plain;
};

struct lanes *lanes_new(void)
{
	return mem_zalloc(sizeof(struct lanes));
}

static void rows_free(struct rows *rows)
{
	for (unsigned i = 0; i < rows->count; i++)
		mem_free(&rows->at[i]);
	mem_free(&rows->at);
	*rows = (struct rows){.count = 0};
}

void lanes_free(struct lanes **place)
{
	struct lanes *lanes = *place;

	if (lanes == NULL)
		return;
	rows_free(&lanes->before);
	rows_free(&lanes->after);
	mem_free(&lanes->own);
	mem_free(&lanes->plain);
	mem_free(&lanes->at);
	mem_free(place);
}

unsigned lanes_count(const struct lanes *lanes)
{
	return lanes->count;
}

/* ---- rows: a lane stands at every second column, what goes from lane to lane between them ---- */

static char *row_blank(unsigned lanes)
{
	char *row = mem_alloc(2 * (size_t)lanes + 2);

	memset(row, ' ', 2 * (size_t)lanes + 1);
	row[2 * (size_t)lanes + 1] = '\0';
	return row;
}

static void row_end(char *row)
{
	size_t n = strlen(row);

	while (n > 0 && row[n - 1] == ' ')
		n--;
	row[n] = '\0';
}

static void rows_add(struct rows *rows, char *row)
{
	row_end(row);
	rows->at = mem_realloc(rows->at, (rows->count + 1) * sizeof(*rows->at));
	rows->at[rows->count++] = row;
}

/* ---- lanes ---- */

static void lane_put(struct lanes *lanes, unsigned where, unsigned id)
{
	if (lanes->count == lanes->room) {
		lanes->room = lanes->room == 0 ? 8 : lanes->room * 2;
		lanes->at = mem_realloc(lanes->at, lanes->room * sizeof(*lanes->at));
	}
	memmove(lanes->at + where + 1, lanes->at + where, (lanes->count - where) * sizeof(*lanes->at));
	lanes->at[where] = id;
	lanes->count++;
}

static void lane_drop(struct lanes *lanes, unsigned where)
{
	lanes->count--;
	memmove(lanes->at + where, lanes->at + where + 1, (lanes->count - where) * sizeof(*lanes->at));
}

/* A lane leads where one to the left of it leads too: it goes over there, across those between. */
static void lane_join(struct lanes *lanes, unsigned from, unsigned to)
{
	char *row = row_blank(lanes->count);

	for (unsigned i = 0; i < from; i++)
		row[2 * i] = '|';
	for (unsigned i = from; i < lanes->count; i++)
		row[2 * i - 1] = '/';
	rows_add(&lanes->before, row);
	lane_drop(lanes, from);
	for (unsigned at = from - 1; at > to; at--) {
		row = row_blank(lanes->count);
		for (unsigned i = 0; i < lanes->count; i++)
			row[2 * i] = '|';
		row[2 * at - 1] = '/';
		rows_add(&lanes->before, row);
	}
}

static unsigned lane_of(struct lanes *lanes, unsigned id)
{
	unsigned own = lanes->count;

	for (unsigned i = 0; i < lanes->count;) {
		if (lanes->at[i] != id) {
			i++;
		} else if (own == lanes->count) {
			own = i++;
		} else {
			lane_join(lanes, i, own);
		}
	}
	if (own == lanes->count)
		lane_put(lanes, own, id);
	return own;
}

/* Further parents get lanes to the right of the first one's. */
static void fork_lanes(struct lanes *lanes, unsigned own, const unsigned *parents, unsigned count)
{
	lanes->at[own] = parents[0];
	for (unsigned k = 1; k < count; k++) {
		unsigned from = own + k - 1;
		char *row = row_blank(lanes->count + 1);
		for (unsigned i = 0; i <= from; i++)
			row[2 * i] = '|';
		for (unsigned i = from; i < lanes->count; i++)
			row[2 * i + 1] = '\\';
		rows_add(&lanes->after, row);
		lane_put(lanes, from + 1, parents[k]);
	}
}

static void end_lane(struct lanes *lanes, unsigned own)
{
	if (own + 1 < lanes->count) {
		char *row = row_blank(lanes->count);
		for (unsigned i = 0; i < own; i++)
			row[2 * i] = '|';
		for (unsigned i = own + 1; i < lanes->count; i++)
			row[2 * i - 1] = '/';
		rows_add(&lanes->after, row);
	}
	lane_drop(lanes, own);
}

void lanes_next(struct lanes *lanes, unsigned id, const unsigned *parents, unsigned count)
{
	rows_free(&lanes->before);
	rows_free(&lanes->after);
	mem_free(&lanes->own);
	mem_free(&lanes->plain);
	unsigned own = lane_of(lanes, id);
	lanes->own = row_blank(lanes->count);
	for (unsigned i = 0; i < lanes->count; i++)
		lanes->own[2 * i] = i == own ? '*' : '|';
	row_end(lanes->own);
	if (count == 0)
		end_lane(lanes, own);
	else
		fork_lanes(lanes, own, parents, count);
	lanes->plain = row_blank(lanes->count);
	for (unsigned i = 0; i < lanes->count; i++)
		lanes->plain[2 * i] = '|';
	row_end(lanes->plain);
}

const char *lanes_before(struct lanes *lanes)
{
	return lanes->before.taken < lanes->before.count ? lanes->before.at[lanes->before.taken++] : NULL;
}

const char *lanes_own(struct lanes *lanes)
{
	return lanes->own;
}

const char *lanes_after(struct lanes *lanes, bool *due)
{
	*due = lanes->after.taken < lanes->after.count;
	return *due ? lanes->after.at[lanes->after.taken++] : lanes->plain;
}

unsigned lanes_width(const struct lanes *lanes)
{
	size_t most = strlen(lanes->own), plain = strlen(lanes->plain);

	for (unsigned i = 0; i < lanes->after.count; i++)
		if (strlen(lanes->after.at[i]) > most)
			most = strlen(lanes->after.at[i]);
	return (unsigned)(plain > most ? plain : most);
}
