/* The graph of a catalog as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "command_private.h"
#include "schema/plan.h"

static void put_text(FILE *to, const char *text)
{
	/* A slug is a part of a file's name, which may be any bytes. */
	char *clean = command_clean(text, strlen(text));
	putc('"', to);
	for (const unsigned char *c = (const unsigned char *)clean; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(to, "\\%c", *c);
		else if (*c < 0x20 || *c == 0x7f)
			fprintf(to, "\\u%04x", *c);
		else
			putc(*c, to);
	}
	putc('"', to);
	mem_free(&clean);
}

static void put_revisions(
    FILE *to, const char *key, const struct graph *graph, const unsigned *at, unsigned count)
{
	fprintf(to, ",\"%s\":[", key);
	for (unsigned i = 0; i < count; i++) {
		if (i > 0)
			putc(',', to);
		put_text(to, graph_at(graph, at[i])->id);
	}
	putc(']', to);
}

char *plan_publication(const struct catalog *catalog, catalog_digest digest)
{
	const struct graph *graph = catalog_graph(catalog);
	char *text, checksum[65];
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (to == NULL)
		log_fatal("out of memory");
	putc('[', to);
	for (unsigned i = 0; i < catalog_count(catalog); i++) {
		const struct catalog_migration *m = catalog_at(catalog, i);
		const struct graph_revision *r = graph_at(graph, i);
		fputs(i > 0 ? ",\n{\"revision\":" : "{\"revision\":", to);
		put_text(to, r->id);
		put_revisions(to, "parents", graph, r->parents, r->parent_count);
		put_revisions(to, "depends", graph, r->depends, r->depend_count);
		fputs(",\"labels\":[", to);
		for (unsigned k = 0; k < r->labels.count; k++) {
			if (k > 0)
				putc(',', to);
			put_text(to, r->labels.at[k]);
		}
		fprintf(to, "],\"compatible\":%s,\"message\":", r->compatible ? "true" : "false");
		put_text(to, m->message);
		catalog_checksum(&m->up, digest, checksum);
		if (checksum[0] != '\0')
			fprintf(to, ",\"checksum\":\"%s\"}", checksum);
		else
			fputs(",\"checksum\":null}", to);
	}
	putc(']', to);
	fclose(to);
	/* Ours to be freed as all else is. */
	char *copy = mem_strdup(text);
	free(text);
	return copy;
}
