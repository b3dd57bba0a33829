#include "conf_tree.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/conf_dsn.h"
#include "base/mem.h"

struct tree {
	yaml_parser_t parser;
	struct conf_problems *problems;
	unsigned values;
};

void conf_problem(
    struct conf_problems *problems, const struct conf_node *node, const char *key, const char *format, ...)
{
	unsigned most = sizeof(problems->at) / sizeof(problems->at[0]);
	if (problems->count == most) {
		problems->more++;
		return;
	}
	va_list ap;
	va_start(ap, format);
	char *said = NULL;
	int n = vasprintf(&said, format, ap);
	va_end(ap);
	const char *text = n < 0 ? "wrong" : said;
	bool keyed = key != NULL && key[0] != '\0';
	struct conf_problem *at = &problems->at[problems->count++];
	if (node == NULL) {
		*at = (struct conf_problem){.text = mem_printf("%s: %s%s%s", problems->name, keyed ? key : "",
						keyed ? ": " : "", text)};
	} else {
		*at = (struct conf_problem){.line = node->line,
		    .column = node->column,
		    .text = mem_printf("%s:%u:%u: %s%s%s", problems->name, node->line, node->column,
			keyed ? key : "", keyed ? ": " : "", text)};
	}
	free(said);
}

void conf_problems_tell(struct conf_problems *problems, struct conf_errors *errors)
{
	/* Insertion sort: at most twenty, and those of one place stay in order. */
	for (unsigned i = 1; i < problems->count; i++) {
		struct conf_problem moving = problems->at[i];
		unsigned j = i;
		for (; j > 0; j--) {
			const struct conf_problem *before = &problems->at[j - 1];
			if (before->line < moving.line ||
			    (before->line == moving.line && before->column <= moving.column))
				break;
			problems->at[j] = *before;
		}
		problems->at[j] = moving;
	}
	if (problems->more > 0) {
		struct conf_problem *last = &problems->at[problems->count - 1];
		mem_free(&last->text);
		last->text = mem_printf("%s: and %u more errors", problems->name, problems->more + 1);
	}
	for (unsigned i = 0; i < problems->count; i++)
		errors->lines[i] = problems->at[i].text;
	errors->count = problems->count;
	problems->count = 0;
}

void conf_node_free(struct conf_node **place)
{
	struct conf_node *node = *place;
	if (node == NULL)
		return;
	for (unsigned i = 0; i < node->count; i++)
		conf_node_free(&node->items[i]);
	mem_free(&node->items);
	mem_free(&node->text);
	mem_free(place);
}

static struct conf_node *node_new(enum conf_node_kind kind, yaml_mark_t mark)
{
	struct conf_node *node = mem_zalloc(sizeof(*node));
	node->kind = kind;
	node->line = (unsigned)mark.line + 1;
	node->column = (unsigned)mark.column + 1;
	return node;
}

/* Room doubles: a power of two is the sign that the array is full. */
static void node_add(struct conf_node *node, struct conf_node *item)
{
	if ((node->count & (node->count - 1)) == 0)
		node->items = mem_realloc(
		    node->items, sizeof(struct conf_node *) * (node->count ? node->count * 2 : 1));
	node->items[node->count++] = item;
}

static void refuse(struct tree *tree, yaml_mark_t mark, const char *why)
{
	struct conf_node at = {.line = (unsigned)mark.line + 1, .column = (unsigned)mark.column + 1};
	conf_problem(tree->problems, &at, NULL, "%s", why);
}

#define NO_ALIASES "aliases are not used here, expected a value; the database * is written \"*\""

static bool next_event(struct tree *tree, yaml_event_t *event)
{
	if (yaml_parser_parse(&tree->parser, event))
		return true;
	const yaml_parser_t *parser = &tree->parser;
	const char *context = parser->context != NULL ? parser->context : "";
	struct conf_node at = {.line = (unsigned)parser->problem_mark.line + 1,
	    .column = (unsigned)parser->problem_mark.column + 1};
	if (parser->error == YAML_MEMORY_ERROR)
		conf_problem(tree->problems, NULL, NULL, "out of memory");
	else if (parser->error == YAML_READER_ERROR)
		conf_problem(tree->problems, NULL, NULL, "not YAML: %s at byte %zu", parser->problem,
		    parser->problem_offset);
	else if (strstr(context, "alias") != NULL)
		refuse(tree, parser->context_mark, NO_ALIASES);
	else
		conf_problem(tree->problems, &at, NULL, "not YAML: %s%s%s", parser->problem,
		    context[0] ? " " : "", context);
	return false;
}

/* Anchors and tags hang on values; neither has a use here. */
static bool plain_node(
    struct tree *tree, const yaml_event_t *event, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor != NULL)
		refuse(tree, event->start_mark, "anchors are not used here, expected a value");
	else if (tag != NULL)
		refuse(tree, event->start_mark, "tags are not used here, expected a value");
	else if (++tree->values > CONF_VALUES)
		refuse(tree, event->start_mark, "too many values in one file");
	else
		return true;
	return false;
}

static struct conf_node *build(struct tree *tree, const yaml_event_t *event, unsigned depth);

static struct conf_node *build_text(struct tree *tree, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t size = event->data.scalar.length;
	if (!plain_node(tree, event, event->data.scalar.anchor, event->data.scalar.tag))
		return NULL;
	if (memchr(text, '\0', size) != NULL) {
		refuse(tree, event->start_mark, "expected text without zero bytes");
		return NULL;
	}
	struct conf_node *node = node_new(NODE_TEXT, event->start_mark);
	node->text = mem_strndup(text, size);
	node->nothing = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    (size == 0 || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
	return node;
}

static bool key_usable(struct tree *tree, const struct conf_node *map, const struct conf_node *key)
{
	if (key->kind != NODE_TEXT || key->nothing) {
		conf_problem(tree->problems, key, NULL, "expected a key");
		return false;
	}
	if (strcmp(key->text, "<<") == 0) {
		conf_problem(tree->problems, key, NULL, "merge keys are not used here, expected a key");
		return false;
	}
	if (map->count / 2 >= CONF_KEYS) {
		conf_problem(tree->problems, key, NULL, "too many keys in one map");
		return false;
	}
	return true;
}

/* A key given twice is told and dropped, so that what follows it is still read. */
static void add_pair(struct tree *tree, struct conf_node *map, struct conf_node *key, struct conf_node *value)
{
	for (unsigned i = 0; i < map->count; i += 2) {
		if (strcmp(map->items[i]->text, key->text) != 0)
			continue;
		char *got = conf_node_got(key);
		conf_problem(tree->problems, key, NULL, "%s is given twice, first in line %u", got,
		    map->items[i]->line);
		mem_free(&got);
		conf_node_free(&key);
		conf_node_free(&value);
		return;
	}
	node_add(map, key);
	node_add(map, value);
}

static struct conf_node *build_list(struct tree *tree, const yaml_event_t *first, unsigned depth)
{
	if (!plain_node(tree, first, first->data.sequence_start.anchor, first->data.sequence_start.tag))
		return NULL;
	struct conf_node *list = node_new(NODE_LIST, first->start_mark);
	yaml_event_t event;
	while (next_event(tree, &event)) {
		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			return list;
		}
		struct conf_node *item = build(tree, &event, depth);
		yaml_event_delete(&event);
		if (item == NULL)
			break;
		node_add(list, item);
	}
	conf_node_free(&list);
	return NULL;
}

static struct conf_node *build_map(struct tree *tree, const yaml_event_t *first, unsigned depth)
{
	if (!plain_node(tree, first, first->data.mapping_start.anchor, first->data.mapping_start.tag))
		return NULL;
	struct conf_node *map = node_new(NODE_MAP, first->start_mark);
	struct conf_node *key = NULL;
	yaml_event_t event;
	while (next_event(tree, &event)) {
		if (event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			return map;
		}
		struct conf_node *node = build(tree, &event, depth);
		yaml_event_delete(&event);
		if (node == NULL)
			break;
		if (key != NULL) {
			add_pair(tree, map, key, node);
			key = NULL;
		} else {
			key = node;
			if (!key_usable(tree, map, key))
				break;
		}
	}
	conf_node_free(&key);
	conf_node_free(&map);
	return NULL;
}

static struct conf_node *build(struct tree *tree, const yaml_event_t *event, unsigned depth)
{
	if (depth >= CONF_DEPTH) {
		refuse(tree, event->start_mark, "too many maps and lists inside each other");
		return NULL;
	}
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return build_text(tree, event);
	case YAML_SEQUENCE_START_EVENT:
		return build_list(tree, event, depth + 1);
	case YAML_MAPPING_START_EVENT:
		return build_map(tree, event, depth + 1);
	default:
		refuse(tree, event->start_mark, NO_ALIASES);
		return NULL;
	}
}

/* The stream's one document: NULL when it has none, or on a problem. */
static struct conf_node *build_document(struct tree *tree)
{
	struct conf_node *root = NULL;
	yaml_event_t event;
	while (next_event(tree, &event)) {
		yaml_event_type_t type = event.type;
		if (type == YAML_DOCUMENT_START_EVENT && root != NULL) {
			refuse(tree, event.start_mark, "expected one YAML document, got a second");
			type = YAML_STREAM_END_EVENT;
		} else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT &&
		    type != YAML_DOCUMENT_END_EVENT && type != YAML_STREAM_END_EVENT) {
			root = build(tree, &event, 0);
			if (root == NULL)
				type = YAML_STREAM_END_EVENT;
		}
		yaml_event_delete(&event);
		if (type == YAML_STREAM_END_EVENT)
			break;
	}
	return root;
}

struct conf_node *conf_tree_parse(const char *text, size_t size, struct conf_problems *problems)
{
	struct tree tree = {.problems = problems};
	unsigned before = problems->count + problems->more;
	if (size > CONF_BYTES) {
		conf_problem(problems, NULL, NULL, "expected at most %zu bytes, got more", CONF_BYTES);
		return NULL;
	}
	if (!yaml_parser_initialize(&tree.parser)) {
		conf_problem(problems, NULL, NULL, "out of memory");
		return NULL;
	}
	yaml_parser_set_encoding(&tree.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&tree.parser, (const unsigned char *)text, size);
	struct conf_node *root = build_document(&tree);
	yaml_parser_delete(&tree.parser);
	if (root == NULL && problems->count + problems->more == before)
		root = node_new(NODE_MAP, (yaml_mark_t){0, 0, 0});
	return root;
}

static const struct conf_node *map_get(const struct conf_node *map, const char *key, size_t size)
{
	if (map->kind != NODE_MAP)
		return NULL;
	for (unsigned i = 0; i < map->count; i += 2)
		if (strlen(map->items[i]->text) == size && memcmp(map->items[i]->text, key, size) == 0)
			return map->items[i + 1];
	return NULL;
}

const struct conf_node *conf_node_find(const struct conf_node *map, const char *path)
{
	while (map != NULL) {
		size_t size = strcspn(path, ".");
		map = map_get(map, path, size);
		if (path[size] == '\0')
			break;
		path += size + 1;
	}
	return map;
}

const struct conf_node *conf_node_near(const struct conf_node *map, const char *path)
{
	for (;;) {
		size_t size = strcspn(path, ".");
		const struct conf_node *next = map_get(map, path, size);
		if (next == NULL)
			return map;
		map = next;
		if (path[size] == '\0')
			return map;
		path += size + 1;
	}
}

char *conf_node_got(const struct conf_node *node)
{
	if (node->nothing)
		return mem_strdup("nothing");
	if (node->kind != NODE_TEXT)
		return mem_strdup(node->kind == NODE_LIST ? "a list" : "a map");
	/* A connection string in the wrong place must not carry its password into a log. */
	char *masked = conf_dsn_masked(node->text);
	int most = 60;
	while (most > 0 && strlen(masked) > (size_t)most && ((unsigned char)masked[most] & 0xc0) == 0x80)
		most--;
	char *got = mem_printf("\"%.*s%s\"", most, masked, strlen(masked) > (size_t)most ? "..." : "");
	for (char *c = got; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	mem_free(&masked);
	return got;
}
