#include "revising.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "schema/newfile.h"
#include "ctl/cli.h"
#include "page.h"
#include "page_json.h"

bool revising_open(struct migrate *m)
{
	return migrate_catalog_at(m, true);
}

bool revising_are_heads(struct migrate *m, const struct graph_places *parents, const char *what_to_do)
{
	for (unsigned i = 0; i < parents->count; i++) {
		const struct graph_revision *r = graph_at(m->graph, parents->at[i]);
		if (r->child_count > 0)
			return migrate_fails(m, CLI_FAILED, "revision %s is not a head: %s revises it. %s",
			    r->id, graph_at(m->graph, r->children[0])->id, what_to_do);
	}
	return true;
}

/* ---- on the disk ---- */

/* Makes the folders of a path, all but its last part. */
static bool make_folders(const char *path)
{
	char *copy = mem_strdup(path);
	bool fine = true;

	for (char *slash = strchr(copy + 1, '/'); slash != NULL && fine; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		fine = mkdir(copy, 0777) == 0 || errno == EEXIST;
		*slash = '/';
	}
	mem_free(&copy);
	return fine;
}

static bool write_all(int fd, const char *text)
{
	size_t size = strlen(text), done = 0;

	while (done < size) {
		ssize_t n = write(fd, text + done, size - done);
		if (n < 0 && errno != EINTR)
			return false;
		done += n > 0 ? (size_t)n : 0;
	}
	return fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
}

static bool write_file(const char *path, const char *text)
{
	int fd = make_folders(path) ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;

	if (fd < 0)
		return false;
	bool fine = write_all(fd, text);
	int fault = errno;
	fine = close(fd) == 0 && fine;
	if (!fine) {
		unlink(path);
		errno = fault;
	}
	return fine;
}

/* A folder of its own (diesel's) goes too, once it is empty. */
static void take_back(char *const *paths, unsigned count, bool own_folder)
{
	for (unsigned i = 0; i < count; i++)
		unlink(paths[i]);
	if (count > 0 && own_folder) {
		char *folder = mem_strdup(paths[0]);
		*strrchr(folder, '/') = '\0';
		rmdir(folder);
		mem_free(&folder);
	}
}

static bool write_files(struct migrate *m, const struct newfiles *files, char **paths)
{
	enum catalog_format format = catalog_format(m->catalog);

	for (unsigned i = 0; i < files->count; i++) {
		if (write_file(paths[i], files->at[i].text))
			continue;
		migrate_fails(m, CLI_FAILED, "writing %s: %s", paths[i], strerror(errno));
		take_back(paths, i, format == CATALOG_DIESEL);
		return false;
	}
	return true;
}

/* ---- would the folder be in order? ---- */

static void add_file(struct catalog_files *files, const struct newfile *file)
{
	files->at = mem_realloc(files->at, (files->count + 1) * sizeof(*files->at));
	files->at[files->count++] = (struct catalog_file){
	    .name = mem_strdup(file->name),
	    .bytes = mem_strdup(file->text),
	    .size = strlen(file->text),
	};
}

/* Reads the folder with the new files as they will be when somebody has filled them in. */
static bool try_out(struct migrate *m, const struct newfile_request *request)
{
	struct newfile_request filled = *request;
	struct catalog_options options = migrate_catalog_options(m);
	struct catalog_defects defects = {.count = 0};
	struct catalog_files files = {.count = 0};
	struct newfiles trial;
	char *why = NULL;

	filled.up = request->up == NULL ? "SELECT 1;" : request->up;
	filled.down = request->down == NULL ? "SELECT 1;" : request->down;
	options.format = catalog_format(m->catalog);
	bool fine = (access(m->dir, F_OK) != 0 || catalog_read_folder(m->dir, &files, &why)) &&
	    newfile_make(&filled, &trial, &why);
	if (!fine) {
		migrate_fails(m, CLI_FAILED, "%s", why);
		mem_free(&why);
		catalog_files_free(&files);
		return false;
	}
	for (unsigned i = 0; i < trial.count; i++)
		add_file(&files, &trial.at[i]);
	newfiles_free(&trial);
	struct catalog *catalog = catalog_parse(&files, &options, &defects);
	for (unsigned i = 0; i < defects.count && i < CATALOG_DEFECTS; i++)
		fprintf(stderr, "%s\n", defects.lines[i]);
	if (catalog == NULL)
		migrate_fails(m, CLI_FAILED,
		    "with it the migrations in %s would not be in order; nothing was written", m->dir);
	catalog_defects_free(&defects);
	fine = catalog != NULL;
	catalog_free(&catalog);
	return fine;
}

/* ---- the door ---- */

static void tell(
    const struct migrate *m, const struct revising *revising, const struct newfiles *files, char **paths)
{
	struct page_json json = {.to = stdout};

	if (m->json) {
		page_json_begin(&json, NULL, '{');
		page_json_text(&json, "revision", files->revision);
		page_json_begin(&json, "parents", '[');
		for (unsigned i = 0; i < revising->parent_count; i++)
			page_json_text(&json, NULL, graph_at(m->graph, revising->parents[i])->id);
		page_json_end(&json, ']');
		page_json_begin(&json, "files", '[');
		for (unsigned i = 0; i < files->count; i++)
			page_json_text(&json, NULL, paths[i]);
		page_json_end(&json, ']');
		page_json_end(&json, '}');
		return;
	}
	for (unsigned i = 0; i < files->count; i++)
		puts(paths[i]);
}

static uint64_t random_number(void)
{
	uint64_t number = 0;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		number = (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
	return number;
}

static bool write_request(
    struct migrate *m, const struct revising *revising, const struct newfile_request *request)
{
	char *paths[NEWFILE_FILES] = {NULL}, *why = NULL;
	struct newfiles files;

	if (!newfile_make(request, &files, &why)) {
		migrate_fails(m, CLI_FAILED, "%s", why);
		mem_free(&why);
		return false;
	}
	size_t n = strlen(m->dir);
	for (unsigned i = 0; i < files.count; i++)
		paths[i] =
		    mem_printf("%s%s%s", m->dir, n > 0 && m->dir[n - 1] == '/' ? "" : "/", files.at[i].name);
	bool fine = try_out(m, request) && write_files(m, &files, paths);
	if (fine)
		tell(m, revising, &files, paths);
	for (unsigned i = 0; i < NEWFILE_FILES; i++)
		mem_free(&paths[i]);
	newfiles_free(&files);
	return fine;
}

bool revising_write(struct migrate *m, const struct revising *revising)
{
	const char **parents = mem_alloc(revising->parent_count * sizeof(*parents));

	for (unsigned i = 0; i < revising->parent_count; i++)
		parents[i] = graph_at(m->graph, revising->parents[i])->id;
	struct newfile_request request = {
	    .format = catalog_format(m->catalog),
	    .catalog = m->catalog,
	    .folder = m->dir,
	    .message = revising->message,
	    .revision = revising->revision,
	    .parents = {parents, revising->parent_count},
	    .up = revising->up,
	    .down = revising->down,
	    .up_outside = revising->up_outside,
	    .down_outside = revising->down_outside,
	    .now_s = time(NULL),
	    .random = random_number(),
	};
	if (revising->depends != NULL)
		request.depends = (struct graph_names){revising->depends->at, revising->depends->count};
	if (revising->labels != NULL)
		request.labels = (struct graph_names){revising->labels->at, revising->labels->count};
	bool fine = write_request(m, revising, &request);
	mem_free(&parents);
	return fine;
}
