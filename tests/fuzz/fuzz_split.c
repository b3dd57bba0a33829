/* The splitter: any bytes end in statements that lie in their pieces, one after the other, or in an error; a
 * text cut at a statement's end splits into what stood before; and the meaning of a meaning is itself. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
/* The fuzz targets are linked with the rooms below schema/ only. */
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

static void check_pieces(const char *text, size_t size, const struct split *split)
{
	size_t at = 0;

	for (unsigned i = 0; i < split->count; i++) {
		const struct split_statement *s = &split->at[i];
		check(s->begin == at && s->end <= size && s->end > s->begin);
		check(s->size > 0 && s->offset >= s->begin && s->offset + s->size <= s->end);
		check(s->text == text + s->offset && s->line > 0);
		check(s->data == NULL || (s->data >= text && s->data + s->data_size <= text + s->end));
		unsigned line, column;
		split_position(s, (unsigned)size, &line, &column);
		check(line >= s->line && column > 0);
		at = s->end;
	}
	struct split rest = {.count = 0};
	struct split_error error;
	check(split_append(&rest, text + at, size - at, 1, &error) && rest.count == 0);
	split_free(&rest);
}

/* A function's body that never ends takes the ';' behind it in. */
static bool ends_open(const char *meaning, size_t size)
{
	struct split split = {.count = 0};
	struct split_error error;
	bool open = !split_append(&split, meaning, size, 1, &error) ||
	    (split.count > 0 && split.at[split.count - 1].text[split.at[split.count - 1].size - 1] == ';');

	split_free(&split);
	return open;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (split_bom((const char *)data, size) > 0)
		return 0;                 /* the caller skips it */
	char *text = mem_dup(data, size); /* its own memory: a read past the end is seen */
	struct split split = {.count = 0}, again = {.count = 0};
	struct split_error error = {.line = 0};
	bool fine = split_append(&split, text, size, 1, &error);

	(void)split_check_text(text, size, &error);
	check(error.line > 0 || fine);
	if (fine) {
		check_pieces(text, size, &split);
		if (split.count > 1) {
			size_t cut = split.at[split.count - 2].end;
			check(split_append(&again, text, cut, 1, &error));
			check(again.count == split.count - 1);
		}
		(void)split_wrapped(&split);
	} else {
		check(split.count == 0 && memchr(error.text, '\n', strlen(error.text)) == NULL);
	}
	size_t meaning_size, twice_size;
	char *meaning = split_meaning(text, size, &meaning_size);
	if (fine && !ends_open(meaning, meaning_size) && split_bom(meaning, meaning_size) == 0) {
		char *twice = split_meaning(meaning, meaning_size, &twice_size);
		check(meaning_size == twice_size && memcmp(meaning, twice, meaning_size) == 0);
		mem_free(&twice);
	}
	mem_free(&meaning);
	split_free(&split);
	split_free(&again);
	mem_free(&text);
	return 0;
}
