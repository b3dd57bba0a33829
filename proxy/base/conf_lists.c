/* Values that are lists. Where a list is expected, a single value is a list of one. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf_kinds.h"

struct items {
	struct conf_node *one; /* a value that stands for a list of itself */
	struct conf_node *const *at;
	unsigned count;
};

static bool items_of(struct reading *reading, const struct setting *setting, const struct conf_node *node,
    const char *what, struct items *items)
{
	items->one = (struct conf_node *)(uintptr_t)node;
	items->at = &items->one;
	items->count = 1;
	if (node->kind == NODE_LIST) {
		items->at = node->items;
		items->count = node->count;
	}
	if (node->kind == NODE_MAP || node->nothing)
		conf_expected(reading, node, NULL, "a list of %s", what);
	else if (items->count < setting->low || items->count > setting->high)
		conf_problem(reading->problems, node, reading->path, "expected %lld to %lld items, got %u",
		    (long long)setting->low, (long long)setting->high, items->count);
	else
		return true;
	return false;
}

static void *place(const void *object, size_t at)
{
	return (void *)(uintptr_t)((const char *)object + at);
}

static void print_list(FILE *to, char *const *texts, unsigned count, bool yaml)
{
	fputc('[', to);
	for (unsigned i = 0; i < count; i++) {
		fputs(i > 0 ? ", " : "", to);
		if (yaml)
			conf_print_quoted(to, texts[i]);
		else
			fputs(texts[i], to);
	}
	fputc(']', to);
}

static void free_list(char ***list, unsigned *count)
{
	for (unsigned i = 0; i < *count; i++)
		mem_free(&(*list)[i]);
	mem_free(list);
	*count = 0;
}

/* Texts, each read by `read`; what cannot be read, or was there before, is told and left out. */
typedef char *read_item(struct reading *reading, const struct conf_node *node);

static void read_texts(
    struct reading *reading, const struct items *items, read_item *read, char ***list, unsigned *count)
{
	*list = mem_zalloc(sizeof(char *) * (items->count + 1));
	for (unsigned i = 0; i < items->count; i++) {
		char *text = read(reading, items->at[i]);
		for (unsigned j = 0; text != NULL && j < *count; j++) {
			if (strcmp((*list)[j], text) != 0)
				continue;
			char *got = conf_node_got(items->at[i]);
			conf_problem(
			    reading->problems, items->at[i], reading->path, "%s is given twice", got);
			mem_free(&got);
			mem_free(&text);
		}
		if (text != NULL)
			(*list)[(*count)++] = text;
	}
}

static char *read_name(struct reading *reading, const struct conf_node *node)
{
	static const struct setting name = {.low = 1, .high = 63};
	return conf_read_text(reading, &name, node, false);
}

static void names_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	struct items items;
	if (items_of(reading, setting, node, "names", &items))
		read_texts(
		    reading, &items, read_name, place(object, setting->at), place(object, setting->also));
}

static void names_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	print_list(
	    to, *(char ***)place(object, setting->at), *(unsigned *)place(object, setting->also), yaml);
}

static void names_release(const struct setting *setting, void *object)
{
	free_list(place(object, setting->at), place(object, setting->also));
}

static bool names_is_set(const struct setting *setting, const void *object)
{
	return *(unsigned *)place(object, setting->also) > 0;
}

/* A program and its arguments: words may come twice, and order is all. */
static void command_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	static const struct setting word = {.low = 1, .high = 4095};
	char ***list = place(object, setting->at);
	unsigned *count = place(object, setting->also);
	struct items items;
	if (!items_of(reading, setting, node, "words: a program and its arguments", &items))
		return;
	*list = mem_zalloc(sizeof(char *) * (items.count + 1)); /* ended by NULL, as execvp() has it */
	for (unsigned i = 0; i < items.count; i++) {
		char *text = conf_read_text(reading, &word, items.at[i], false);
		if (text != NULL)
			(*list)[(*count)++] = text;
	}
}

/* Pins are structs, to grow (until when, by whom); today each is a text, and so is their list. */
_Static_assert(sizeof(struct conf_pin) == sizeof(char *), "a pin is its head");

static void pins_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	struct items items;
	if (items_of(reading, setting, node, "heads", &items))
		read_texts(reading, &items, conf_read_heads, place(object, setting->at),
		    place(object, setting->also));
}

static char *read_revision(struct reading *reading, const struct conf_node *node)
{
	char *head = conf_read_heads(reading, node);
	if (head != NULL && strchr(head, '+') != NULL) {
		conf_expected(reading, node, NULL, "one head an item");
		mem_free(&head);
	}
	return head;
}

static void order_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	struct conf_recorded *recorded = &((struct conf_database *)object)->recorded;
	struct items items;
	if (node->kind == NODE_LIST) {
		if (items_of(reading, setting, node, "heads", &items)) {
			read_texts(reading, &items, read_revision, &recorded->list, &recorded->list_count);
			recorded->order = CONF_ORDER_LIST;
		}
		return;
	}
	int choice = node->kind == NODE_TEXT ? conf_word(setting->words, node->text) : -1;
	if (choice >= 0) {
		recorded->order = (enum conf_order)choice;
		return;
	}
	char *near = node->kind == NODE_TEXT ? conf_nearest(setting->words, node->text) : NULL;
	conf_expected(reading, node, near, "tool, none, numeric, text or a list of heads, oldest first");
	mem_free(&near);
}

static void order_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	const struct conf_recorded *recorded = &((const struct conf_database *)object)->recorded;
	if (recorded->order == CONF_ORDER_LIST) {
		print_list(to, recorded->list, recorded->list_count, yaml);
		return;
	}
	char *word = conf_word_copy(setting->words, recorded->order);
	fputs(word, to);
	mem_free(&word);
}

static void order_release(const struct setting *setting, void *object)
{
	struct conf_recorded *recorded = &((struct conf_database *)object)->recorded;
	(void)setting;
	free_list(&recorded->list, &recorded->list_count);
}

static void carriers_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	struct conf_database *database = object;
	struct items items;
	if (!items_of(reading, setting, node, "carriers", &items))
		return;
	for (unsigned i = 0; i < items.count; i++) {
		const struct conf_node *item = items.at[i];
		int choice = item->kind == NODE_TEXT ? conf_word(setting->words, item->text) : -1;
		bool twice = false;
		for (unsigned j = 0; j < database->declare_count; j++)
			twice = twice || (int)database->declare[j] == choice;
		if (choice < 0) {
			char *near =
			    item->kind == NODE_TEXT ? conf_nearest(setting->words, item->text) : NULL;
			char *said = conf_words_said(setting->words, " or ");
			conf_expected(reading, item, near, "%s", said);
			mem_free(&said);
			mem_free(&near);
		} else if (twice) {
			conf_problem(
			    reading->problems, item, reading->path, "\"%s\" is given twice", item->text);
		} else {
			database->declare[database->declare_count++] = (enum conf_carrier)choice;
		}
	}
}

static void carriers_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	const struct conf_database *database = object;
	(void)yaml;
	fputc('[', to);
	for (unsigned i = 0; i < database->declare_count; i++) {
		char *word = conf_word_copy(setting->words, database->declare[i]);
		fprintf(to, "%s%s", i > 0 ? ", " : "", word);
		mem_free(&word);
	}
	fputc(']', to);
}

static void addresses_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	struct conf_address **list = place(object, setting->at);
	unsigned *count = place(object, setting->also);
	struct items items;
	if (!items_of(reading, setting, node, "addresses", &items))
		return;
	*list = mem_zalloc(sizeof(**list) * items.count);
	for (unsigned i = 0; i < items.count; i++)
		if (conf_read_address(reading, items.at[i], &(*list)[*count]))
			(*count)++;
}

static void addresses_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	const struct conf_address *list = *(struct conf_address **)place(object, setting->at);
	unsigned count = *(unsigned *)place(object, setting->also);
	fputc('[', to);
	for (unsigned i = 0; i < count; i++) {
		fputs(i > 0 ? ", " : "", to);
		if (yaml)
			conf_print_quoted(to, list[i].text);
		else
			fputs(list[i].text, to);
	}
	fputc(']', to);
}

static void addresses_release(const struct setting *setting, void *object)
{
	struct conf_address **list = place(object, setting->at);
	unsigned *count = place(object, setting->also);
	while (*count > 0)
		conf_address_free(&(*list)[--*count]);
	mem_free(list);
}

const struct conf_kind conf_kind_addresses = {
    addresses_read, addresses_print, addresses_release, names_is_set};
const struct conf_kind conf_kind_names = {names_read, names_print, names_release, names_is_set};
const struct conf_kind conf_kind_command = {command_read, names_print, names_release, names_is_set};
const struct conf_kind conf_kind_pins = {pins_read, names_print, names_release, names_is_set};
const struct conf_kind conf_kind_order = {order_read, order_print, order_release, NULL};
const struct conf_kind conf_kind_carriers = {carriers_read, carriers_print, NULL, NULL};
