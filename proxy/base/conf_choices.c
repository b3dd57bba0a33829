/* Choices between words, kept in an enum or a bool, some with an argument to the last word. */
#include <string.h>

#include "base/mem.h"
#include "conf_kinds.h"

/* Choices stand in an enum or, of two words, in a bool. */
static void choice_put(const struct setting *setting, void *object, int choice)
{
	if (setting->size == sizeof(bool))
		*((bool *)object + setting->at) = choice != 0;
	else
		memcpy((char *)object + setting->at, &choice, sizeof(choice));
}

static unsigned choice_get(const struct setting *setting, const void *object)
{
	unsigned choice;
	if (setting->size == sizeof(bool))
		return *((const bool *)object + setting->at);
	memcpy(&choice, (const char *)object + setting->at, sizeof(choice));
	return choice;
}

static void choice_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	int choice = node->kind == NODE_TEXT ? conf_word(setting->words, node->text) : -1;
	if (choice >= 0) {
		choice_put(setting, object, choice);
		return;
	}
	char *near = node->kind == NODE_TEXT ? conf_nearest(setting->words, node->text) : NULL;
	char *said = conf_words_said(setting->words, " or ");
	conf_expected(reading, node, near, "%s", said);
	mem_free(&said);
	mem_free(&near);
}

static void choice_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	(void)yaml;
	char *word = conf_word_copy(setting->words, choice_get(setting, object));
	fputs(word, to);
	mem_free(&word);
}

/* A choice whose last word takes an argument: `exact`, or `{window: 2}`. Reads all but the argument; the node
 * of the argument, or NULL when there is nothing (more) to read. */
static const struct conf_node *read_argument(struct reading *reading, const struct setting *setting,
    void *object, const struct conf_node *node, const char *argument)
{
	unsigned last = conf_word_count(setting->words) - 1;
	char *word = conf_word_copy(setting->words, last);
	const struct conf_node *value = NULL;
	int choice = node->kind == NODE_TEXT ? conf_word(setting->words, node->text) : -1;
	if (node->kind == NODE_MAP && node->count == 2)
		value = conf_node_find(node, word);
	if (value != NULL) {
		choice_put(setting, object, (int)last);
	} else if (choice >= 0 && choice != (int)last) {
		choice_put(setting, object, choice);
	} else {
		char *bare = mem_strndup(setting->words, strlen(setting->words) - strlen(word) - 1);
		char *near = node->kind == NODE_TEXT && choice < 0 ? conf_nearest(bare, node->text) : NULL;
		char *said = conf_words_said(bare, ", ");
		conf_expected(reading, node, near, "%s or {%s: %s}", said, word, argument);
		mem_free(&said);
		mem_free(&near);
		mem_free(&bare);
	}
	mem_free(&word);
	return value;
}

static void *argument_at(const struct setting *setting, const void *object)
{
	return (char *)(uintptr_t)object + setting->also;
}

static bool has_argument(const struct setting *setting, const void *object)
{
	return choice_get(setting, object) == conf_word_count(setting->words) - 1;
}

static void choice_or_count_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	const struct conf_node *value = read_argument(reading, setting, object, node, "N");
	if (value != NULL)
		conf_read_count(reading, setting, value, argument_at(setting, object));
}

static void choice_or_count_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	fputs(has_argument(setting, object) ? "{" : "", to);
	choice_print(to, setting, object, yaml);
	if (has_argument(setting, object))
		fprintf(to, ": %u}", *(unsigned *)argument_at(setting, object));
}

static void choice_or_duration_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	const struct conf_node *value = read_argument(reading, setting, object, node, "60s");
	if (value != NULL)
		conf_read_duration(reading, setting, value, argument_at(setting, object));
}

static void choice_or_duration_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	char text[32];
	fputs(has_argument(setting, object) ? "{" : "", to);
	choice_print(to, setting, object, yaml);
	if (has_argument(setting, object))
		fprintf(to, ": %s}",
		    conf_duration_text(*(int64_t *)argument_at(setting, object), text, sizeof(text)));
}

static void choice_or_heads_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	const struct conf_node *value = read_argument(reading, setting, object, node, "HEAD");
	if (value != NULL)
		*(char **)argument_at(setting, object) = conf_read_heads(reading, value);
}

static void choice_or_heads_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	const char *head = *(char **)argument_at(setting, object);
	fputs(has_argument(setting, object) ? "{" : "", to);
	choice_print(to, setting, object, yaml);
	if (!has_argument(setting, object))
		return;
	fputs(": ", to);
	if (yaml)
		conf_print_quoted(to, head);
	else
		fputs(head, to);
	fputs("}", to);
}

static void choice_or_heads_release(const struct setting *setting, void *object)
{
	mem_free((char **)argument_at(setting, object));
}

const struct conf_kind conf_kind_choice = {choice_read, choice_print, NULL, NULL};
const struct conf_kind conf_kind_choice_or_count = {choice_or_count_read, choice_or_count_print, NULL, NULL};
const struct conf_kind conf_kind_choice_or_duration = {
    choice_or_duration_read, choice_or_duration_print, NULL, NULL};
const struct conf_kind conf_kind_choice_or_heads = {
    choice_or_heads_read, choice_or_heads_print, choice_or_heads_release, NULL};
