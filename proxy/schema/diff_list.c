/* Lists as they come from the catalogs: items between commas, some of them quoted. */
#include <string.h>

#include "base/mem.h"
#include "diff_private.h"

struct diff_items diff_items(const char *list)
{
	struct diff_items items = {NULL, 0};
	const char *at = list;
	while (at != NULL && *at != '\0') {
		const char *start = at;
		bool quoted = false;
		for (; *at != '\0' && (quoted || *at != ','); at++)
			quoted ^= *at == '\'';
		items.at = mem_realloc(items.at, (items.count + 1) * sizeof(*items.at));
		items.at[items.count++] = (struct diff_item){start, (size_t)(at - start)};
		at += strspn(at, ", ");
	}
	return items;
}

void diff_items_free(struct diff_items *items)
{
	mem_free(&items->at);
	items->count = 0;
}

bool diff_item_in(const struct diff_items *items, const struct diff_item *item)
{
	for (unsigned i = 0; i < items->count; i++)
		if (items->at[i].size == item->size && memcmp(items->at[i].at, item->at, item->size) == 0)
			return true;
	return false;
}

/* "name" of "name='value'" */
static struct diff_item option_name(const struct diff_item *option)
{
	const char *equals = memchr(option->at, '=', option->size);
	return (struct diff_item){option->at, equals != NULL ? (size_t)(equals - option->at) : option->size};
}

static bool option_named(const struct diff_items *options, const struct diff_item *option)
{
	struct diff_item name = option_name(option);
	for (unsigned i = 0; i < options->count; i++) {
		struct diff_item other = option_name(&options->at[i]);
		if (other.size == name.size && memcmp(other.at, name.at, name.size) == 0)
			return true;
	}
	return false;
}

void diff_options(struct diff_script *script, const char *object, const char *from, const char *to)
{
	struct diff_items old = diff_items(from), new = diff_items(to);
	struct diff_phrase set = {NULL, 0, 0}, reset = {NULL, 0, 0};
	for (unsigned i = 0; i < new.count; i++)
		if (!diff_item_in(&old, &new.at[i]))
			diff_phrase_say(
			    &set, "%s%.*s", set.size > 0 ? ", " : "", (int)new.at[i].size, new.at[i].at);
	for (unsigned i = 0; i < old.count; i++) {
		struct diff_item name = option_name(&old.at[i]);
		if (!option_named(&new, &old.at[i]))
			diff_phrase_say(
			    &reset, "%s%.*s", reset.size > 0 ? ", " : "", (int)name.size, name.at);
	}
	if (set.size > 0)
		diff_say(script, "%s SET (%s)", object, set.at);
	if (reset.size > 0)
		diff_say(script, "%s RESET (%s)", object, reset.at);
	mem_free(&set.at);
	mem_free(&reset.at);
	diff_items_free(&old);
	diff_items_free(&new);
}
