/* Several tools call their table the same (schema_migrations, migrations): they are told apart by its
 * columns. */
#include <string.h>

#include "base/mem.h"
#include "readers_private.h"

/* Is the name one of "a,b,c"? Names that hold a comma are none of any tool's. */
static bool listed(const char *list, const char *name, size_t n)
{
	for (const char *at = list; *at != '\0'; at += *at == ',') {
		size_t length = strcspn(at, ",");
		if (length == n && memcmp(at, name, n) == 0)
			return true;
		at += length;
	}
	return false;
}

/* The first name of `wanted` that `list` has not; its length in *n. NULL: it has them all. */
static const char *lacking(const char *list, const char *wanted, size_t *n)
{
	for (const char *at = wanted; *at != '\0'; at += *at == ',') {
		*n = strcspn(at, ",");
		if (!listed(list, at, *n))
			return at;
		at += *n;
	}
	return NULL;
}

static unsigned count(const char *list)
{
	unsigned n = 1;
	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

/* How much of the table a tool explains: the number of its columns that are there, if all are; else 0. */
static unsigned explains(const struct reader *reader, const char *table, const char *columns)
{
	size_t n;
	if (reader->table == NULL || strcmp(reader->table, table) != 0 ||
	    lacking(columns, reader->columns, &n) != NULL)
		return 0;
	return count(reader->columns);
}

/* "rails or dbmate": who explains most of it; NULL: nobody. */
static char *whose(const char *table, const char *columns, unsigned *most)
{
	char *names = NULL;
	*most = 0;
	for (unsigned i = 0; i < readers_count; i++) {
		unsigned n = explains(&readers[i], table, columns);
		*most = n > *most ? n : *most;
	}
	for (unsigned i = 0; *most > 0 && i < readers_count; i++) {
		if (explains(&readers[i], table, columns) != *most)
			continue;
		char *more = names == NULL ? mem_strdup(readers[i].name)
					   : mem_printf("%s or %s", names, readers[i].name);
		mem_free(&names);
		names = more;
	}
	return names;
}

bool reader_fits(const struct reader *reader, const char *table, const char *columns, char **why)
{
	size_t n = 0;
	unsigned most;
	const char *missing = lacking(columns, reader->columns, &n);
	char *names = whose(table, columns, &most);
	bool fits = missing == NULL && (names == NULL || most <= count(reader->columns));

	if (missing != NULL && names != NULL)
		*why =
		    mem_printf("the table has no column %.*s: by its columns (%.200s) it is one of %s; set "
			       "recorded.reader",
			(int)n, missing, columns, names);
	else if (missing != NULL)
		*why = mem_printf("the table has no column %.*s, as %s makes it, only %.200s", (int)n,
		    missing, reader->name, columns);
	else if (!fits)
		*why = mem_printf(
		    "by its columns (%.200s) the table is one of %s, not of %s; set recorded.reader", columns,
		    names, reader->name);
	mem_free(&names);
	return fits;
}
