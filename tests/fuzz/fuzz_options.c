/* The `options` parameter. Aborts when a setting lies outside the text, settings overlap, or cutting one
 * changes another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/options.h"
#include "proto/startup.h"

struct reading {
	size_t size; /* of the whole text */
	size_t end;  /* of the last setting */
	const char *text;
	char *cut, *cut_end;       /* the text less our settings; or NULL */
	char *others, *others_end; /* the other settings, one after the other */
	size_t copied;
};

static void note(const struct startup_option *option, void *arg)
{
	struct reading *reading = arg;

	if (option->length == 0 || option->at < reading->end || option->at + option->length > reading->size)
		abort();
	reading->end = option->at + option->length;
	if (options_is_head(option->name)) {
		if (reading->cut == NULL)
			abort(); /* one was left after the cut */
		memcpy(reading->cut_end, reading->text + reading->copied, option->at - reading->copied);
		reading->cut_end += option->at - reading->copied;
		reading->copied = reading->end;
		return;
	}
	reading->others_end = stpcpy(stpcpy(reading->others_end, option->name), "=");
	reading->others_end = stpcpy(stpcpy(reading->others_end, option->value), "\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n); /* libFuzzer calls it, no header declares it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = mem_strndup((const char *)data, n); /* ends at the first zero, as in a packet */
	size_t size = strlen(text);
	/* Each setting takes more bytes in the text than in the note: "-c" and a blank against "=" and a
	 * line's end. */
	struct reading before = {
	    .size = size, .text = text, .cut = mem_zalloc(size + 1), .others = mem_zalloc(2 * size + 1)};
	struct reading after = {.others = mem_zalloc(2 * size + 1)};

	before.cut_end = before.cut;
	before.others_end = before.others;
	startup_options(text, note, &before);
	strcpy(before.cut_end, text + before.copied);

	after.text = before.cut;
	after.size = strlen(before.cut);
	after.others_end = after.others;
	startup_options(before.cut, note, &after);
	if (strcmp(before.others, after.others) != 0)
		abort();

	mem_free(&before.cut);
	mem_free(&before.others);
	mem_free(&after.others);
	mem_free(&text);
	return 0;
}
