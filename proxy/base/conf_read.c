/* From a text to a struct conf: the tree, the root section, the sections inside it, the rules. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf_table.h"

static bool clean_since(const struct reading *reading, unsigned before)
{
	return reading->problems->count + reading->problems->more == before;
}

static void read_listen(
    struct reading *reading, struct conf_listen *listen, const struct conf_node *node, const char *path)
{
	unsigned before = reading->problems->count + reading->problems->more;
	reading->path = path;
	if (node->kind != NODE_MAP) {
		conf_expected(reading, node, NULL, "a map with the key address");
		return;
	}
	conf_section_read(reading, &conf_section_listen, listen, node, path);
	if (clean_since(reading, before))
		conf_rules_listen(reading, listen, node, path);
}

static void listens_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	struct conf *conf = object;
	unsigned count = node->kind == NODE_LIST ? node->count : 1;
	if (count < setting->low || count > setting->high || (node->kind == NODE_TEXT)) {
		conf_expected(reading, node, NULL, "a list of %lld to %lld maps, or one map",
		    (long long)setting->low, (long long)setting->high);
		return;
	}
	conf->listen = mem_zalloc(sizeof(*conf->listen) * count);
	conf->listen_count = count;
	for (unsigned i = 0; i < count; i++) {
		char *path = mem_printf("listen[%u]", i);
		read_listen(reading, &conf->listen[i], node->kind == NODE_LIST ? node->items[i] : node, path);
		mem_free(&path);
	}
}

static void listens_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	const struct conf *conf = object;
	(void)setting;
	(void)yaml;
	for (unsigned i = 0; i < conf->listen_count; i++) {
		fputs("  - ", to);
		conf_section_print(to, &conf_section_listen, &conf->listen[i], 4, true);
	}
}

static void listens_release(const struct setting *setting, void *object)
{
	struct conf *conf = object;
	(void)setting;
	for (unsigned i = 0; i < conf->listen_count; i++)
		conf_section_release(&conf_section_listen, &conf->listen[i]);
	mem_free(&conf->listen);
}

static void read_database(struct reading *reading, struct conf_database *database,
    const struct conf_node *key, const struct conf_node *node)
{
	static const struct setting name = {.low = 1, .high = 63};
	unsigned before = reading->problems->count + reading->problems->more;
	reading->path = "databases";
	database->name = conf_read_text(reading, &name, key, false);
	if (database->name == NULL)
		return;
	char *path = mem_printf("databases.%s", database->name);
	reading->path = path;
	if (node->kind != NODE_MAP) {
		conf_expected(reading, node, NULL, "a map with the keys upstream, control and recorded");
	} else {
		conf_section_read(reading, &conf_section_database, database, node, path);
		if (clean_since(reading, before))
			conf_rules_database(reading, database, node, path);
	}
	mem_free(&path);
}

static void databases_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	struct conf *conf = object;
	(void)setting;
	if (node->kind != NODE_MAP || node->count == 0) {
		conf_expected(reading, node, NULL, "a map of at least one database by the name clients use");
		return;
	}
	conf->database_count = node->count / 2;
	conf->databases = mem_zalloc(sizeof(*conf->databases) * conf->database_count);
	for (unsigned i = 0; i < conf->database_count; i++)
		read_database(reading, &conf->databases[i], node->items[2 * i], node->items[2 * i + 1]);
}

static void databases_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	const struct conf *conf = object;
	(void)setting;
	(void)yaml;
	for (unsigned i = 0; i < conf->database_count; i++) {
		fputs("  ", to);
		conf_print_quoted(to, conf->databases[i].name);
		fputs(":\n", to);
		conf_section_print(to, &conf_section_database, &conf->databases[i], 4, false);
	}
}

static void databases_release(const struct setting *setting, void *object)
{
	struct conf *conf = object;
	(void)setting;
	for (unsigned i = 0; i < conf->database_count; i++) {
		conf_section_release(&conf_section_database, &conf->databases[i]);
		mem_free(&conf->databases[i].name);
	}
	mem_free(&conf->databases);
}

const struct conf_kind conf_kind_listens = {listens_read, listens_print, listens_release, NULL};
const struct conf_kind conf_kind_databases = {databases_read, databases_print, databases_release, NULL};

/* Absolute, by name only: behind a folder that is a symbolic link (as mounted configurations are) the files
 * beside the name are those meant. */
static char *absolute(const char *name)
{
	if (name[0] == '/')
		return mem_strdup(name);
	char *here = getcwd(NULL, 0);
	char *whole = mem_printf("%s/%s", here != NULL ? here : ".", name);
	free(here);
	return whole;
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (slash == path || slash == NULL)
		return mem_strdup("/");
	return mem_strndup(path, (size_t)(slash - path));
}

static void read_root(struct reading *reading, struct conf *conf, const struct conf_node *root)
{
	if (root->kind != NODE_MAP) {
		conf_problem(reading->problems, root, NULL, "expected a map of settings");
		return;
	}
	conf_section_read(reading, &conf_section_root, conf, root, "");
	conf_rules_root(reading, conf, root);
}

struct conf *conf_parse(const char *name, const char *text, size_t size, struct conf_errors *errors)
{
	struct conf_problems problems = {.name = name};
	struct conf *conf = mem_zalloc(sizeof(*conf));
	atomic_init(&conf->references, 1);
	conf->path = absolute(name);
	char *folder = folder_of(conf->path);
	struct reading reading = {.problems = &problems, .folder = folder, .path = ""};
	struct conf_node *root = conf_tree_parse(text, size, &problems);
	if (root != NULL)
		read_root(&reading, conf, root);
	conf_node_free(&root);
	mem_free(&folder);
	if (problems.count > 0)
		conf_unref(&conf);
	conf_problems_tell(&problems, errors);
	return conf;
}

/* At most one byte more than a file may have, so that a longer one shows. */
static char *read_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	char *text = mem_alloc(CONF_BYTES + 1);
	ssize_t n = 1;
	*size = 0;
	while (n != 0 && *size <= CONF_BYTES) {
		n = read(fd, text + *size, CONF_BYTES + 1 - *size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		*size += (size_t)n;
	}
	int saved = errno;
	close(fd);
	errno = saved;
	if (n < 0)
		mem_free(&text);
	return text;
}

struct conf *conf_load(const char *path, struct conf_errors *errors)
{
	size_t size;
	char *text = read_file(path, &size);
	if (text == NULL) {
		struct conf_problems problems = {.name = path};
		conf_problem(&problems, NULL, NULL, "cannot read: %s", strerror(errno));
		conf_problems_tell(&problems, errors);
		return NULL;
	}
	struct conf *conf = conf_parse(path, text, size, errors);
	mem_wipe(text, size); /* connection strings may hold passwords */
	mem_free(&text);
	return conf;
}
