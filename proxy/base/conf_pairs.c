/* Values that are maps of the user's own names: the placeholders of migrations. */
#include <string.h>

#include "base/mem.h"
#include "conf_kinds.h"

static void *place(const void *object, size_t at)
{
	return (void *)(uintptr_t)((const char *)object + at);
}

/* As schema/catalog.h has it. */
static bool is_name(const char *name)
{
	return name[0] != '\0' &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-") ==
	    strlen(name);
}

static void read_pair(struct reading *reading, const struct setting *setting, const struct conf_node *name,
    const struct conf_node *value, struct conf_placeholder *list, unsigned *count)
{
	static const struct setting text = {.low = 0, .high = 65536};
	if (name->kind != NODE_TEXT || !is_name(name->text) || strlen(name->text) > 255) {
		conf_expected(
		    reading, name, NULL, "a name of letters, digits and _ . : - as it stands in ${name}");
		return;
	}
	(void)setting;
	const char *map = reading->path;
	char *path = mem_printf("%s.%s", map, name->text);
	reading->path = path;
	/* An empty value is a value here, and written "". */
	char *copy = conf_read_text(reading, &text, value, true);
	reading->path = map;
	mem_free(&path);
	if (copy != NULL)
		list[(*count)++] = (struct conf_placeholder){.name = mem_strdup(name->text), .value = copy};
}

static void placeholders_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	struct conf_placeholder **list = place(object, setting->at);
	unsigned *count = place(object, setting->also);
	if (node->kind != NODE_MAP || node->count / 2 > setting->high) {
		conf_expected(reading, node, NULL, "a map of names and values, {owner: app}, %lld at most",
		    (long long)setting->high);
		return;
	}
	*list = mem_zalloc((node->count / 2 + 1) * sizeof(**list));
	for (unsigned i = 0; i < node->count; i += 2)
		read_pair(reading, setting, node->items[i], node->items[i + 1], *list, count);
}

static void placeholders_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	const struct conf_placeholder *list = *(struct conf_placeholder **)place(object, setting->at);
	unsigned count = *(unsigned *)place(object, setting->also);
	fputc('{', to);
	for (unsigned i = 0; i < count; i++) {
		fputs(i > 0 ? ", " : "", to);
		if (yaml) {
			conf_print_quoted(to, list[i].name);
			fputs(": ", to);
			conf_print_quoted(to, list[i].value);
		} else {
			fprintf(to, "%s: %s", list[i].name, list[i].value);
		}
	}
	fputc('}', to);
}

static void placeholders_release(const struct setting *setting, void *object)
{
	struct conf_placeholder **list = place(object, setting->at);
	unsigned *count = place(object, setting->also);
	while (*count > 0) {
		mem_free(&(*list)[--*count].name);
		mem_free(&(*list)[*count].value);
	}
	mem_free(list);
}

static bool placeholders_is_set(const struct setting *setting, const void *object)
{
	return *(unsigned *)place(object, setting->also) > 0;
}

const struct conf_kind conf_kind_placeholders = {
    placeholders_read, placeholders_print, placeholders_release, placeholders_is_set};
