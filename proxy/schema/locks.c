#include "schema/locks.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct {
	const char *mode, *name, *stops;
} modes[] = {
    {"AccessShareLock", "AccessShare", NULL},
    {"RowShareLock", "RowShare", NULL},
    {"RowExclusiveLock", "RowExclusive", NULL},
    {"ShareUpdateExclusiveLock", "ShareUpdateExclusive", "other schema changes"},
    {"ShareLock", "Share", "writes"},
    {"ShareRowExclusiveLock", "ShareRowExclusive", "writes"},
    {"ExclusiveLock", "Exclusive", "writes"},
    {"AccessExclusiveLock", "AccessExclusive", "reads and writes"},
};
#define MODES (sizeof(modes) / sizeof(modes[0]))

unsigned lock_rank(const char *mode)
{
	for (unsigned i = 0; mode != NULL && i < MODES; i++)
		if (strcmp(mode, modes[i].mode) == 0)
			return i + 1;
	return 0;
}

const char *lock_name(const char *mode)
{
	unsigned rank = lock_rank(mode);
	return rank == 0 ? "" : modes[rank - 1].name;
}

const char *lock_stops(const char *mode)
{
	unsigned rank = lock_rank(mode);
	return rank == 0 ? NULL : modes[rank - 1].stops;
}

/* ---- relations ---- */

const char locks_relations_sql[] =
    "SELECT c.oid, c.relkind, pg_catalog.format('%I.%I', n.nspname, c.relname), "
    "CASE WHEN i.indrelid IS NOT NULL THEN (SELECT pg_catalog.format('%I.%I', tn.nspname, t.relname) "
    "FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace WHERE t.oid = "
    "i.indrelid) END, "
    "coalesce(pg_catalog.pg_relation_filenode(c.oid), 0), c.reltuples, "
    /* pg_relation_size() would wait for a lock that somebody has */
    "c.relpages::int8 * pg_catalog.current_setting('block_size')::int8 "
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid "
    "WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f', 'i', 'I') AND n.nspname !~ '^pg_' "
    "AND n.nspname NOT IN ('information_schema', 'headgate') ORDER BY c.oid";

static uint32_t number(const char *text)
{
	return text != NULL ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

bool locks_relations_read(const struct reader_rows *rows, struct locks_relations *out)
{
	*out = (struct locks_relations){.count = 0};
	if (rows->columns != 7)
		return false;
	out->at = mem_zalloc((rows->rows + 1) * sizeof(out->at[0]));
	for (unsigned i = 0; i < rows->rows; i++) {
		const char *cells[7];
		for (unsigned column = 0; column < 7; column++)
			cells[column] = rows->cell(rows->handle, i, column);
		if (cells[0] == NULL || cells[1] == NULL || cells[2] == NULL)
			continue;
		out->at[out->count++] = (struct locks_relation){
		    .oid = number(cells[0]),
		    .kind = cells[1][0],
		    .name = mem_strdup(cells[2]),
		    .table = cells[3] != NULL ? mem_strdup(cells[3]) : NULL,
		    .file = number(cells[4]),
		    .rows = cells[5] != NULL ? strtod(cells[5], NULL) : -1,
		    .bytes = cells[6] != NULL ? strtoll(cells[6], NULL, 10) : 0,
		};
	}
	return true;
}

void locks_relations_free(struct locks_relations *relations)
{
	for (unsigned i = 0; i < relations->count; i++) {
		mem_free(&relations->at[i].name);
		mem_free(&relations->at[i].table);
	}
	mem_free(&relations->at);
	relations->count = 0;
}

static int by_oid(const void *a, const void *b)
{
	const struct locks_relation *x = a, *y = b;
	return x->oid < y->oid ? -1 : x->oid > y->oid;
}

const struct locks_relation *locks_relation(const struct locks_relations *relations, uint32_t oid)
{
	const struct locks_relation key = {.oid = oid};
	if (relations->count == 0)
		return NULL;
	return bsearch(&key, relations->at, relations->count, sizeof(relations->at[0]), by_oid);
}

const struct locks_relation *locks_relation_named(const struct locks_relations *relations, const char *name)
{
	for (unsigned i = 0; i < relations->count; i++)
		if (strcmp(relations->at[i].name, name) == 0)
			return &relations->at[i];
	return NULL;
}

/* ---- what is seen ---- */

void locks_found_free(struct locks_found *found)
{
	mem_free(&found->at);
	*found = (struct locks_found){.count = 0};
}

static struct locks_seen *seen_of(struct locks_found *found, const struct locks_relation *relation)
{
	for (unsigned i = 0; i < found->count; i++)
		if (found->at[i].relation == relation)
			return &found->at[i];
	if (found->count == found->room) {
		found->room = found->room == 0 ? 8 : found->room * 2;
		found->at = mem_realloc(found->at, found->room * sizeof(found->at[0]));
	}
	found->at[found->count] = (struct locks_seen){.relation = relation};
	return &found->at[found->count++];
}

const char locks_held_sql[] =
    "SELECT l.relation, l.mode FROM pg_catalog.pg_locks l WHERE l.pid = $1::int AND l.granted "
    "AND l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d "
    "WHERE d.datname = pg_catalog.current_database())";

void locks_held_add(
    struct locks_found *found, const struct locks_relations *before, const struct reader_rows *rows)
{
	for (unsigned i = 0; i < rows->rows; i++) {
		const struct locks_relation *relation =
		    locks_relation(before, number(rows->cell(rows->handle, i, 0)));
		unsigned rank = lock_rank(rows->cell(rows->handle, i, 1));
		if (relation == NULL || rank == 0)
			continue;
		struct locks_seen *seen = seen_of(found, relation);
		if (rank > lock_rank(seen->mode))
			seen->mode = modes[rank - 1].mode;
	}
}

const char locks_read_sql[] =
    "SELECT s.relid, s.seq_tup_read FROM pg_catalog.pg_stat_xact_all_tables s WHERE s.seq_tup_read > 0";

static int64_t read_before(const struct reader_rows *start, const char *relation)
{
	for (unsigned i = 0; i < start->rows; i++) {
		const char *oid = start->cell(start->handle, i, 0), *count = start->cell(start->handle, i, 1);
		if (oid != NULL && count != NULL && strcmp(oid, relation) == 0)
			return strtoll(count, NULL, 10);
	}
	return 0;
}

void locks_read_add(struct locks_found *found, const struct locks_relations *before,
    const struct reader_rows *start, const struct reader_rows *end)
{
	for (unsigned i = 0; i < end->rows; i++) {
		const char *oid = end->cell(end->handle, i, 0), *count = end->cell(end->handle, i, 1);
		const struct locks_relation *relation = locks_relation(before, number(oid));
		if (relation == NULL || count == NULL)
			continue;
		int64_t rows = strtoll(count, NULL, 10) - read_before(start, oid);
		if (rows > 0)
			seen_of(found, relation)->rows_read += rows;
	}
}

void locks_rewritten_add(
    struct locks_found *found, const struct locks_relations *before, const struct locks_relations *after)
{
	for (unsigned i = 0; i < before->count; i++) {
		const struct locks_relation *was = &before->at[i], *is = locks_relation(after, was->oid);
		if (is != NULL && was->file != 0 && is->file != 0 && was->file != is->file)
			seen_of(found, was)->rewritten = true;
	}
}

static int by_strength(const void *a, const void *b)
{
	const struct locks_seen *x = a, *y = b;
	unsigned left = lock_rank(x->mode), right = lock_rank(y->mode);
	return left != right ? (left > right ? -1 : 1) : strcmp(x->relation->name, y->relation->name);
}

void locks_found_sort(struct locks_found *found)
{
	if (found->count > 1)
		qsort(found->at, found->count, sizeof(found->at[0]), by_strength);
}
