#include "conf_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* The default of what has none: compared by address. */
static const char must[] = "must be given";
#define MUST must

#define SETTING(type, key_, kind_, place, also_, standard_, low_, high_, words_, about_)                     \
	{.key = key_,                                                                                        \
	    .kind = &conf_kind_##kind_,                                                                      \
	    .at = offsetof(type, place),                                                                     \
	    .also = offsetof(type, also_),                                                                   \
	    .size = sizeof(((type *)NULL)->place),                                                           \
	    .standard = standard_,                                                                           \
	    .low = low_,                                                                                     \
	    .high = high_,                                                                                   \
	    .words = words_,                                                                                 \
	    .about = about_},

static const struct setting root_settings[] = {
#define ROOT(...) SETTING(struct conf, __VA_ARGS__)
#include "conf.def"
};
static const struct setting listen_settings[] = {
#define LISTEN(...) SETTING(struct conf_listen, __VA_ARGS__)
#include "conf.def"
};
static const struct setting database_settings[] = {
#define DATABASE(...) SETTING(struct conf_database, __VA_ARGS__)
#include "conf.def"
};

#define COUNT(settings) (sizeof(settings) / sizeof((settings)[0]))
const struct section conf_section_root = {root_settings, COUNT(root_settings)};
const struct section conf_section_listen = {listen_settings, COUNT(listen_settings)};
const struct section conf_section_database = {database_settings, COUNT(database_settings)};

static char *joined(const char *path, const char *key)
{
	return path[0] == '\0' ? mem_strdup(key) : mem_printf("%s.%s", path, key);
}

/* Is `key` the setting's, as seen below prefix ("hold.")? 2: the setting itself, 1: a map that it lies in, 0:
 * no. */
static int matches(const struct setting *setting, const char *prefix, const char *key)
{
	size_t n = strlen(prefix), size = strlen(key);
	if (strchr(key, '.') != NULL || strncmp(setting->key, prefix, n) != 0 ||
	    strncmp(setting->key + n, key, size) != 0)
		return 0;
	char next = setting->key[n + size];
	return next == '\0' ? 2 : next == '.' ? 1 : 0;
}

/* The keys that may stand below prefix, joined by '|'. */
static char *keys_below(const struct section *section, const char *prefix)
{
	char *words = NULL;
	size_t n = strlen(prefix);
	for (unsigned i = 0; i < section->count; i++) {
		const char *key = section->settings[i].key;
		if (strncmp(key, prefix, n) != 0)
			continue;
		char *word = mem_strndup(key + n, strcspn(key + n, "."));
		if (words == NULL || conf_word(words, word) < 0) {
			char *longer = words == NULL ? mem_strdup(word) : mem_printf("%s|%s", words, word);
			mem_free(&words);
			words = longer;
		}
		mem_free(&word);
	}
	return words;
}

static void unknown_key(
    struct reading *reading, const struct section *section, const char *prefix, const struct conf_node *key)
{
	char *words = keys_below(section, prefix);
	char *near = conf_nearest(words, key->text);
	char *said = conf_words_said(words, " or ");
	char *got = conf_node_got(key);
	if (near != NULL)
		conf_problem(
		    reading->problems, key, reading->path, "unknown key %s; did you mean \"%s\"?", got, near);
	else
		conf_problem(reading->problems, key, reading->path, "unknown key %s, expected %s", got, said);
	mem_free(&got);
	mem_free(&said);
	mem_free(&near);
	mem_free(&words);
}

struct pass {
	const struct section *section;
	void *object;
	bool *given; /* one a setting */
};

static void read_map(struct reading *reading, const struct pass *pass, const char *prefix,
    const struct conf_node *map, const char *path);

static void read_key(struct reading *reading, const struct pass *pass, const char *prefix,
    const struct conf_node *key, const struct conf_node *value, const char *path)
{
	int match = 0;
	unsigned i = 0;
	for (; i < pass->section->count; i++) {
		match = matches(&pass->section->settings[i], prefix, key->text);
		if (match > 0)
			break;
	}
	if (match == 0) {
		reading->path = path;
		unknown_key(reading, pass->section, prefix, key);
		return;
	}
	char *whole = joined(path, key->text);
	reading->path = whole;
	if (match == 2) {
		const struct setting *setting = &pass->section->settings[i];
		pass->given[i] = true;
		setting->kind->read(reading, setting, pass->object, value);
	} else if (value->kind == NODE_MAP) {
		char *deeper = mem_printf("%s%s.", prefix, key->text);
		read_map(reading, pass, deeper, value, whole);
		mem_free(&deeper);
	} else if (!value->nothing) { /* a map whose every line is a comment is an empty one */
		conf_problem(reading->problems, value, whole, "expected a map, got %s",
		    value->kind == NODE_LIST ? "a list" : "a text");
	}
	mem_free(&whole);
}

static void read_map(struct reading *reading, const struct pass *pass, const char *prefix,
    const struct conf_node *map, const char *path)
{
	for (unsigned i = 0; i < map->count; i += 2)
		read_key(reading, pass, prefix, map->items[i], map->items[i + 1], path);
}

/* Defaults go the way of all values, so that there is one way. */
static void read_standard(struct reading *reading, const struct setting *setting, void *object)
{
	struct conf_node plain = {.kind = NODE_TEXT, .text = (char *)(uintptr_t)setting->standard};
	if (setting->standard[0] != '[') {
		setting->kind->read(reading, setting, object, &plain);
		return;
	}
	struct conf_node *node =
	    conf_tree_parse(setting->standard, strlen(setting->standard), reading->problems);
	if (node != NULL)
		setting->kind->read(reading, setting, object, node);
	conf_node_free(&node);
}

void conf_section_read(struct reading *reading, const struct section *section, void *object,
    const struct conf_node *map, const char *path)
{
	struct pass pass = {
	    .section = section, .object = object, .given = mem_zalloc(section->count * sizeof(bool))};
	read_map(reading, &pass, "", map, path);
	for (unsigned i = 0; i < section->count; i++) {
		const struct setting *setting = &section->settings[i];
		if (pass.given[i] || setting->standard == NULL)
			continue;
		char *whole = joined(path, setting->key);
		reading->path = whole;
		if (setting->standard == must)
			conf_problem(reading->problems, conf_node_near(map, setting->key), whole,
			    "expected this key (%s), it is missing", setting->about);
		else
			read_standard(reading, setting, object);
		mem_free(&whole);
	}
	reading->path = path;
	mem_free(&pass.given);
}

void conf_section_release(const struct section *section, void *object)
{
	for (unsigned i = 0; i < section->count; i++)
		if (section->settings[i].kind->release != NULL)
			section->settings[i].kind->release(&section->settings[i], object);
}

static bool is_set(const struct setting *setting, const void *object)
{
	return setting->kind->is_set == NULL || setting->kind->is_set(setting, object);
}

/* Opens the maps that the key lies in and the one before it did not. */
static void print_maps(FILE *to, const char *key, const char *before, unsigned *indent, bool *started)
{
	const char *rest = key;
	for (size_t n = strcspn(rest, "."); rest[n] == '.'; n = strcspn(rest, ".")) {
		size_t whole = (size_t)(rest - key) + n + 1;
		if (strncmp(key, before, whole) != 0) {
			fprintf(to, "%*s%.*s:\n", *started ? 0 : (int)*indent, "", (int)n, rest);
			*started = false;
			before = "";
		}
		*indent += 2;
		rest += n + 1;
	}
}

void conf_section_print(
    FILE *to, const struct section *section, const void *object, unsigned indent, bool started)
{
	const char *before = "";
	for (unsigned i = 0; i < section->count; i++) {
		const struct setting *setting = &section->settings[i];
		if (!is_set(setting, object))
			continue;
		const char *leaf = strrchr(setting->key, '.');
		unsigned deeper = indent;
		print_maps(to, setting->key, before, &deeper, &started);
		fprintf(to, "%*s%s:", started ? 0 : (int)deeper, "", leaf != NULL ? leaf + 1 : setting->key);
		started = false;
		before = setting->key;
		/* Sections inside begin lines of their own. */
		bool nested = setting->kind == &conf_kind_listens || setting->kind == &conf_kind_databases;
		fputc(nested ? '\n' : ' ', to);
		setting->kind->print(to, setting, object, true);
		if (!nested)
			fputc('\n', to);
	}
}

void conf_section_each(
    const struct section *section, const void *object, const char *path, conf_each_setting *each, void *arg)
{
	for (unsigned i = 0; i < section->count; i++) {
		const struct setting *setting = &section->settings[i];
		if (setting->kind == &conf_kind_listens || setting->kind == &conf_kind_databases)
			continue;
		char *value = NULL;
		size_t size = 0;
		FILE *to = is_set(setting, object) ? open_memstream(&value, &size) : NULL;
		if (to != NULL) {
			setting->kind->print(to, setting, object, false);
			fclose(to);
		}
		char *whole = joined(path, setting->key);
		bool standard = setting->standard != NULL && setting->standard != must;
		each(whole, value != NULL ? value : "", standard ? setting->standard : "", arg);
		mem_free(&whole);
		free(value);
	}
}
