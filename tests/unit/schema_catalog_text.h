/* Catalogs from texts, for tests. */
#ifndef TESTS_SCHEMA_CATALOG_TEXT_H
#define TESTS_SCHEMA_CATALOG_TEXT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/catalog.h"

/* name, text, name, text, ..., NULL. */
static inline struct catalog_files catalog_text_files(const char *const *pairs)
{
	struct catalog_files files = {.count = 0};
	for (; pairs[0] != NULL; pairs += 2) {
		files.at = mem_realloc(files.at, (files.count + 1) * sizeof(*files.at));
		/* Without the NUL: a read past the end is for the sanitizer to see. */
		files.at[files.count++] = (struct catalog_file){
		    .name = mem_strdup(pairs[0]),
		    .bytes = mem_dup(pairs[1], strlen(pairs[1])),
		    .size = strlen(pairs[1]),
		};
	}
	return files;
}

static inline struct catalog *catalog_text_parse(
    const char *const *pairs, const struct catalog_options *options, struct catalog_defects *defects)
{
	static const struct catalog_options none = {.format = CATALOG_AUTO};
	struct catalog_files files = catalog_text_files(pairs);
	return catalog_parse(&files, options == NULL ? &none : options, defects);
}

static inline void catalog_text_statements(FILE *to, const char *mark, const struct catalog_section *section)
{
	if (section->file == NULL)
		return;
	struct split split = catalog_statements(section);
	fprintf(to, " %s%s%s[", mark, section->outside ? "!" : "", section->flowing ? "~" : "");
	for (unsigned i = 0; i < split.count; i++)
		fprintf(to, "%s%u:%.*s", i == 0 ? "" : "; ", split.at[i].line, (int)split.at[i].size,
		    split.at[i].text);
	fputs("]", to);
	split_free(&split);
}

/* One line a migration: "id<parents >depends @labels ~ 'message' +[1:statement] -[...]"; to be freed. */
static inline char *catalog_text(const struct catalog *catalog)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	fprintf(to, "%s\n", catalog_format_name(catalog_format(catalog)));
	for (unsigned i = 0; i < catalog_count(catalog); i++) {
		const struct catalog_migration *m = catalog_at(catalog, i);
		const struct graph_revision *r = graph_at(catalog_graph(catalog), i);
		fputs(m->revision, to);
		for (unsigned k = 0; k < r->parent_count; k++)
			fprintf(to, "%s%s", k == 0 ? "<" : ",",
			    graph_at(catalog_graph(catalog), r->parents[k])->id);
		for (unsigned k = 0; k < r->depend_count; k++)
			fprintf(to, "%s%s", k == 0 ? " >" : ",",
			    graph_at(catalog_graph(catalog), r->depends[k])->id);
		for (unsigned k = 0; k < r->labels.count; k++)
			fprintf(to, "%s%s", k == 0 ? " @" : ",", r->labels.at[k]);
		fprintf(to, "%s '%s'", m->compatible ? " ~" : "", m->message);
		catalog_text_statements(to, "+", &m->up);
		catalog_text_statements(to, "-", &m->down);
		fputc('\n', to);
	}
	for (unsigned i = 0; i < catalog_repeatable_count(catalog); i++) {
		const struct catalog_migration *m = catalog_repeatable_at(catalog, i);
		fprintf(to, "R '%s'", m->message);
		catalog_text_statements(to, "+", &m->up);
		fputc('\n', to);
	}
	for (unsigned i = 0; i < catalog_note_count(catalog); i++)
		fprintf(to, "note %s\n", catalog_note(catalog, i));
	fclose(to);
	return text;
}

/* Fails the test where the catalog is not as told. */
#define CATALOG_IS(options, wanted, ...)                                                                     \
	do {                                                                                                 \
		const char *const catalog_pairs[] = {__VA_ARGS__, NULL};                                     \
		struct catalog_defects catalog_faults = {.count = 0};                                        \
		struct catalog *catalog_made = catalog_text_parse(catalog_pairs, options, &catalog_faults);  \
		if (catalog_made == NULL)                                                                    \
			fail_msg("defect: %s", catalog_faults.lines[0]);                                     \
		char *catalog_got = catalog_text(catalog_made);                                              \
		if (strcmp(catalog_got, wanted) != 0)                                                        \
			fail_msg("got\n%snot\n%s", catalog_got, wanted);                                     \
		free(catalog_got);                                                                           \
		catalog_free(&catalog_made);                                                                 \
	} while (0)

/* Fails the test where the defects are not these, one a line. */
#define CATALOG_FAILS(options, wanted, ...)                                                                  \
	do {                                                                                                 \
		const char *const catalog_pairs[] = {__VA_ARGS__, NULL};                                     \
		struct catalog_defects catalog_faults = {.count = 0};                                        \
		struct catalog *catalog_made = catalog_text_parse(catalog_pairs, options, &catalog_faults);  \
		char *catalog_got = mem_strdup("");                                                          \
		for (unsigned catalog_i = 0;                                                                 \
		     catalog_i < catalog_faults.count && catalog_i < CATALOG_DEFECTS; catalog_i++) {         \
			char *catalog_more =                                                                 \
			    mem_printf("%s%s\n", catalog_got, catalog_faults.lines[catalog_i]);              \
			mem_free(&catalog_got);                                                              \
			catalog_got = catalog_more;                                                          \
		}                                                                                            \
		assert_null(catalog_made);                                                                   \
		if (strcmp(catalog_got, wanted) != 0)                                                        \
			fail_msg("got\n%snot\n%s", catalog_got, wanted);                                     \
		mem_free(&catalog_got);                                                                      \
		catalog_defects_free(&catalog_faults);                                                       \
	} while (0)

#endif
