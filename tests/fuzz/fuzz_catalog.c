/* The catalog and its graph: any files end in a catalog or in defects, one line each; whatever the targets,
 * ways through the graph end in a path that leads where its steps say, or in a reason.
 * Input: the format's number, a byte for switches, then files, each its name up to a line end, its bytes up
 * to a byte 0xff; the last of them is a target. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
/* The fuzz targets are linked with the rooms below schema/ only. */
#include "schema/catalog.c"
#include "schema/catalog_defects.c"
#include "schema/catalog_folder.c"
#include "schema/catalog_layouts.c"
#include "schema/catalog_lines.c"
#include "schema/catalog_names.c"
#include "schema/catalog_python.c"
#include "schema/catalog_section.c"
#include "schema/graph.c"
#include "schema/graph_path.c"
#include "schema/graph_set.c"
#include "schema/graph_target.c"
#include "schema/split.c"
#include "schema/split_kind.c"
#include "schema/split_text.c"
#include "schema/split_token.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool truth)
{
	if (!truth)
		abort();
}

static char *take_until(const uint8_t **s, size_t *size, uint8_t end, size_t *taken)
{
	const uint8_t *at = *size == 0 ? NULL : memchr(*s, end, *size);
	size_t n = at == NULL ? *size : (size_t)(at - *s);
	char *text = mem_dup(*s, n);

	*s += n + (at != NULL);
	*size -= n + (at != NULL);
	*taken = n;
	return text;
}

static struct catalog_files read_input(const uint8_t *s, size_t size, char **target)
{
	struct catalog_files files = {.count = 0};
	size_t n;

	*target = mem_strdup("head");
	while (size > 0 && files.count < 40) {
		char *name = take_until(&s, &size, '\n', &n);
		char *ended = mem_strndup(name, n);
		mem_free(&name);
		if (size == 0) {
			mem_free(target);
			*target = ended;
			break;
		}
		char *bytes = take_until(&s, &size, 0xff, &n);
		files.at = mem_realloc(files.at, (files.count + 1) * sizeof(*files.at));
		files.at[files.count++] = (struct catalog_file){.name = ended, .bytes = bytes, .size = n};
	}
	return files;
}

static void check_lines(struct catalog_defects *defects)
{
	for (unsigned i = 0; i < defects->count && i < CATALOG_DEFECTS; i++)
		check(strchr(defects->lines[i], '\n') == NULL);
	catalog_defects_free(defects);
}

static void digest(const void *bytes, size_t size, unsigned char out[32])
{
	memset(out, size > 0 ? ((const unsigned char *)bytes)[size - 1] : 0, 32);
}

static void check_path(const struct catalog *catalog, const struct graph_path *path)
{
	const struct graph *graph = catalog_graph(catalog);
	struct catalog_defects defects = {.count = 0};

	for (unsigned i = 0; i < path->count; i++) {
		struct graph_places before, after;
		char *why = NULL;
		check(graph_applied(graph, i == 0 ? &path->from : &path->at[i - 1].after, &before, &why));
		check(graph_applied(graph, &path->at[i].after, &after, &why));
		check(path->down ? after.count + 1 == before.count : before.count + 1 == after.count);
		graph_places_free(&before);
		graph_places_free(&after);
	}
	check(catalog_check_path(catalog, path, &defects) == (defects.count == 0));
	check_lines(&defects);
}

static void walk(const struct catalog *catalog, const struct heads *recorded, const char *target)
{
	const struct graph *graph = catalog_graph(catalog);
	struct graph_path path;
	struct graph_places places;
	char *why = NULL;

	if (graph_upgrade(graph, recorded, target, &path, &why)) {
		check(!path.down && why == NULL);
		check_path(catalog, &path);
		graph_path_free(&path);
	}
	mem_free(&why);
	if (graph_downgrade(graph, recorded, target, &path, &why)) {
		check(path.down && why == NULL);
		check_path(catalog, &path);
		graph_path_free(&path);
	}
	mem_free(&why);
	if (graph_between(graph, recorded, target, &places, &why))
		graph_places_free(&places);
	mem_free(&why);
	if (graph_resolve(graph, recorded, target, &places, &why))
		graph_places_free(&places);
	mem_free(&why);
}

static void look_at(const struct catalog *catalog, const char *target)
{
	const struct graph *graph = catalog_graph(catalog);
	struct heads none = heads_none(), middle = heads_none(), accepted[8];
	const char *fault;
	bool more;

	for (unsigned i = 0; i < catalog_count(catalog); i++) {
		const struct catalog_migration *m = catalog_at(catalog, i);
		struct split up = catalog_statements(&m->up), down = catalog_statements(&m->down);
		char sum[65];
		check(up.count == m->up.statements && down.count == m->down.statements);
		check(strcmp(graph_at(graph, i)->id, m->revision) == 0);
		catalog_checksum(&m->up, digest, sum);
		split_free(&up);
		split_free(&down);
	}
	if (catalog_count(catalog) > 0)
		check(heads_parse(catalog_at(catalog, catalog_count(catalog) / 2)->revision,
		    strlen(catalog_at(catalog, catalog_count(catalog) / 2)->revision), &middle, &fault));
	walk(catalog, &none, target);
	walk(catalog, &middle, target);
	check(graph_relate(graph, &none, &middle) == (heads_is_none(&middle) ? GRAPH_SAME : GRAPH_BEHIND));
	unsigned count = graph_accepted(graph, &middle, 2, accepted, 8, &more);
	for (unsigned i = 0; i < count; i++) {
		check(graph_is_within(graph, &accepted[i], &middle, 2));
		heads_free(&accepted[i]);
	}
	heads_free(&middle);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct catalog_placeholder values[] = {{"a", "1"}, {"quote", "'"}};
	struct catalog_defects defects = {.count = 0};
	char *target;

	if (size < 2)
		return 0;
	struct catalog_options options = {
	    .format = (enum catalog_format)(data[0] % (CATALOG_ALEMBIC + 1)),
	    .folder = (data[1] & 1) ? "dir" : NULL,
	    .placeholders = (data[1] & 2) != 0,
	    .placeholder = values,
	    .placeholder_count = 2,
	};
	struct catalog_files files = read_input(data + 2, size - 2, &target);
	struct catalog *catalog = catalog_parse(&files, &options, &defects);
	check((catalog == NULL) == (defects.count > 0));
	check_lines(&defects);
	if (catalog != NULL)
		look_at(catalog, target);
	catalog_free(&catalog);
	mem_free(&target);
	return 0;
}
