/* The graph as the ledger keeps it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/order.h"

/* The time tells a ledger that was made anew from the one before it. */
const char order_mark_sql[] = "SELECT pg_catalog.concat(serial, ' ', published_at) FROM headgate.graph";

/* What is too big is not sent, only told of. */
const char order_sql[] =
    "WITH r AS (SELECT position, revision, pg_catalog.array_to_string(parents, '+') AS parents, "
    "pg_catalog.array_to_string(depends, '+') AS depends, pg_catalog.array_to_string(labels, '+') AS labels, "
    "compatible FROM headgate.revision ORDER BY position, revision LIMIT $1::int + 1), "
    "s AS (SELECT pg_catalog.count(*) AS revisions, COALESCE(pg_catalog.sum("
    "pg_catalog.octet_length(revision)::bigint + pg_catalog.octet_length(parents) + "
    "pg_catalog.octet_length(depends) + pg_catalog.octet_length(labels)), 0) AS bytes FROM r) "
    "SELECT g.serial, s.revisions, s.bytes, r.revision, r.parents, r.depends, r.labels, r.compatible "
    "FROM headgate.graph g CROSS JOIN s LEFT JOIN r ON s.revisions <= $1::int AND s.bytes <= $2::bigint "
    "ORDER BY r.position, r.revision";
enum { SERIAL, REVISIONS, BYTES, REVISION, PARENTS, DEPENDS, LABELS, COMPATIBLE, COLUMNS };

static const char *cell(const struct reader_rows *rows, unsigned row, unsigned column)
{
	const char *value = rows->cell(rows->handle, row, column);

	return value != NULL ? value : "";
}

/* "a+b": the pieces point into the text, which is theirs. */
static bool split(char *text, struct graph_names *out)
{
	unsigned count = text[0] != '\0';
	for (const char *s = text; *s != '\0'; s++)
		count += *s == '+';
	if (count > ORDER_NAMES)
		return false;

	const char **at = mem_alloc((count + 1) * sizeof(*at));
	char *rest = text;
	for (unsigned i = 0; i < count; i++)
		at[i] = strsep(&rest, "+");
	at[count] = text; /* what is to be freed */
	*out = (struct graph_names){at, count};
	return true;
}

static void names_free(struct graph_names *names)
{
	if (names->at != NULL)
		free((void *)(uintptr_t)names->at[names->count]);
	mem_free(&names->at);
}

static bool read_names(
    const struct reader_rows *rows, unsigned row, unsigned column, struct graph_names *out, char **why)
{
	char *text = mem_strdup(cell(rows, row, column));

	if (split(text, out))
		return true;
	mem_free(&text);
	*why = mem_printf("revision %.64s has more than %d %s", cell(rows, row, REVISION), ORDER_NAMES,
	    column == PARENTS       ? "parents"
		: column == DEPENDS ? "dependencies"
				    : "labels");
	return false;
}

static struct graph *read_revisions(const struct reader_rows *rows, char **why)
{
	struct graph_source *sources = mem_zalloc(rows->rows * sizeof(*sources));
	struct catalog_defects defects = {.count = 0};
	struct graph *graph = NULL;
	bool fine = true;

	for (unsigned i = 0; i < rows->rows && fine; i++) {
		struct graph_source *source = &sources[i];
		source->id = cell(rows, i, REVISION);
		source->compatible = strcmp(cell(rows, i, COMPATIBLE), "t") == 0;
		fine = read_names(rows, i, PARENTS, &source->parents, why) &&
		    read_names(rows, i, DEPENDS, &source->depends, why) &&
		    read_names(rows, i, LABELS, &source->labels, why);
	}
	if (fine)
		graph = graph_new(sources, rows->rows, &defects);
	if (fine && graph == NULL && defects.count > 1)
		*why = mem_printf("%s (and %u more)", defects.lines[0], defects.count - 1);
	else if (fine && graph == NULL)
		*why = mem_strdup(defects.lines[0]);
	catalog_defects_free(&defects);
	for (unsigned i = 0; i < rows->rows; i++) {
		names_free(&sources[i].parents);
		names_free(&sources[i].depends);
		names_free(&sources[i].labels);
	}
	mem_free(&sources);
	return graph;
}

bool order_read(const struct reader_rows *rows, struct gate_graph **out, char **why)
{
	*out = NULL;
	if (rows->columns != COLUMNS) {
		*why = mem_strdup("an answer that is none of our ledger's");
		return false;
	}
	if (rows->rows == 0)
		return true;

	long long revisions = strtoll(cell(rows, 0, REVISIONS), NULL, 10);
	if (revisions == 0)
		return true;
	if (revisions > ORDER_REVISIONS || rows->rows != (unsigned long long)revisions ||
	    cell(rows, 0, REVISION)[0] == '\0') {
		*why = mem_printf("it has %s revisions with %s bytes of names; at most %d with %d are read",
		    cell(rows, 0, REVISIONS), cell(rows, 0, BYTES), ORDER_REVISIONS, ORDER_BYTES);
		return false;
	}
	struct graph *graph = read_revisions(rows, why);
	if (graph == NULL)
		return false;
	*out = order_new(graph, strtoll(cell(rows, 0, SERIAL), NULL, 10));
	return true;
}
