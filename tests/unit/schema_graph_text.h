/* Graphs as one line, for tests: "a; b<a; c<a @x; m<b,c; d<m >x ~" is five revisions; < revises, > depends
 * on, @ labels, ~ compatible. */
#ifndef TESTS_SCHEMA_GRAPH_TEXT_H
#define TESTS_SCHEMA_GRAPH_TEXT_H

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/graph.h"

#define GRAPH_TEXT_MOST 64

struct graph_text {
	char *words;
	struct graph_source sources[GRAPH_TEXT_MOST];
	const char *names[GRAPH_TEXT_MOST * 16];
	unsigned count, name_count;
};

static inline struct graph_names graph_text_names(struct graph_text *text, char *list)
{
	struct graph_names names = {&text->names[text->name_count], 0};
	char *save = NULL;
	for (char *name = strtok_r(list, ",", &save); name != NULL; name = strtok_r(NULL, ",", &save)) {
		text->names[text->name_count++] = name;
		names.count++;
	}
	return names;
}

static inline struct graph *graph_text_new(const char *line, struct catalog_defects *defects)
{
	struct graph_text text = {.words = mem_strdup(line)};
	char *outer = NULL, *inner = NULL;
	for (char *one = strtok_r(text.words, ";", &outer); one != NULL; one = strtok_r(NULL, ";", &outer)) {
		struct graph_source *source = &text.sources[text.count++];
		source->line = text.count;
		source->file = "g";
		for (char *word = strtok_r(one, " ", &inner); word != NULL;
		     word = strtok_r(NULL, " ", &inner)) {
			char *parents = strchr(word, '<');
			if (word[0] == '>')
				source->depends = graph_text_names(&text, word + 1);
			else if (word[0] == '@')
				source->labels = graph_text_names(&text, word + 1);
			else if (word[0] == '~')
				source->compatible = true;
			else {
				source->id = word;
				if (parents != NULL) {
					*parents = '\0';
					source->parents = graph_text_names(&text, parents + 1);
				}
			}
		}
	}
	struct graph *graph = graph_new(text.sources, text.count, defects);
	mem_free(&text.words);
	return graph;
}

static inline struct heads graph_text_heads(const char *text)
{
	struct heads heads = heads_none();
	const char *why;
	if (text[0] != '\0' && !heads_parse(text, strlen(text), &heads, &why))
		abort();
	return heads;
}

#endif
