/* A folder's files, as far as they may be of a catalog. The one part of the catalog that touches the disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "catalog_private.h"

struct folder_reading {
	const char *root;
	struct catalog_files *files;
	size_t room, total;
	char **why;
};

static bool folder_fail(struct folder_reading *r, const char *name, const char *what)
{
	*r->why = mem_printf("%s%s%s: %s", r->root, name[0] == '\0' ? "" : "/", name, what);
	return false;
}

static bool folder_wants(const char *name)
{
	static const char *const endings[] = {".sql", ".py", ".sql.conf"};
	struct catalog_name golang = catalog_name_golang(name);

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (catalog_ends_with(name, endings[i]))
			return true;
	return golang.kind == NAME_UP || golang.kind == NAME_DOWN ||
	    strcmp(catalog_base_name(name), "metadata.toml") == 0 ||
	    catalog_name_numbered(name).kind == NAME_FOREIGN ||
	    catalog_name_flyway(name).kind == NAME_FOREIGN;
}

static bool read_whole(struct folder_reading *r, int fd, const char *name, struct catalog_file *file)
{
	struct stat about;

	if (fstat(fd, &about) != 0)
		return folder_fail(r, name, strerror(errno));
	if (!S_ISREG(about.st_mode))
		return folder_fail(r, name, "not a file");
	if ((size_t)about.st_size > CATALOG_FILE_BYTES ||
	    (size_t)about.st_size > CATALOG_TOTAL_BYTES - r->total)
		return folder_fail(r, name, "too big (256 MiB is the limit, 1 GiB that of a folder)");
	/* A file that grows meanwhile is read as far as it was. */
	file->bytes = mem_alloc((size_t)about.st_size);
	while (file->size < (size_t)about.st_size) {
		ssize_t n = read(fd, file->bytes + file->size, (size_t)about.st_size - file->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return folder_fail(r, name, strerror(errno));
		if (n == 0)
			break;
		file->size += (size_t)n;
	}
	r->total += file->size;
	return true;
}

static bool read_file(struct folder_reading *r, int folder, const char *base, const char *name)
{
	struct catalog_files *files = r->files;
	int fd = openat(folder, base, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not stop us */

	if (fd < 0)
		return folder_fail(r, name, strerror(errno));
	if (files->count == CATALOG_FILES) {
		close(fd);
		return folder_fail(r, "", "more than 100000 files");
	}
	if (files->count == r->room) {
		r->room = r->room == 0 ? 64 : r->room * 2;
		files->at = mem_realloc(files->at, r->room * sizeof(*files->at));
	}
	struct catalog_file *file = &files->at[files->count++];
	*file = (struct catalog_file){.name = mem_strdup(name)};
	bool fine = read_whole(r, fd, name, file);
	close(fd);
	return fine;
}

static bool read_entries(struct folder_reading *r, int fd, const char *prefix, unsigned depth);

static bool read_entry(
    struct folder_reading *r, int folder, const char *base, const char *prefix, unsigned depth)
{
	struct stat about;
	char *name = mem_printf("%s%s", prefix, base);
	bool fine = true;

	/* A link that leads nowhere is somebody's rubbish, unless it has a migration's name. */
	if (fstatat(folder, base, &about, 0) != 0) {
		if (folder_wants(name))
			fine = folder_fail(r, name, strerror(errno));
	} else if (S_ISDIR(about.st_mode) && depth < CATALOG_DEPTH && strcmp(base, "__pycache__") != 0) {
		int fd = openat(folder, base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		char *below = mem_printf("%s/", name);
		fine =
		    fd >= 0 ? read_entries(r, fd, below, depth + 1) : folder_fail(r, name, strerror(errno));
		mem_free(&below);
	} else if (!S_ISDIR(about.st_mode) && folder_wants(name)) {
		fine = read_file(r, folder, base, name);
	}
	mem_free(&name);
	return fine;
}

/* Takes fd. */
static bool read_entries(struct folder_reading *r, int fd, const char *prefix, unsigned depth)
{
	DIR *folder = fdopendir(fd);
	bool fine = true;

	if (folder == NULL) {
		int fault = errno;
		close(fd);
		return folder_fail(r, prefix, strerror(fault));
	}
	while (fine) {
		errno = 0;
		const struct dirent *entry = readdir(folder);
		if (entry == NULL) {
			fine = errno == 0 || folder_fail(r, prefix, strerror(errno));
			break;
		}
		if (entry->d_name[0] != '.')
			fine = read_entry(r, dirfd(folder), entry->d_name, prefix, depth);
	}
	closedir(folder);
	return fine;
}

static int compare_names(const void *a, const void *b)
{
	const struct catalog_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

bool catalog_read_folder(const char *path, struct catalog_files *out, char **why)
{
	struct folder_reading r = {.root = path, .files = out, .why = why};
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*out = (struct catalog_files){.count = 0};
	bool fine = fd >= 0 ? read_entries(&r, fd, "", 0) : folder_fail(&r, "", strerror(errno));
	if (!fine)
		catalog_files_free(out);
	else if (out->count > 0)
		qsort(out->at, out->count, sizeof(*out->at), compare_names);
	return fine;
}

void catalog_files_free(struct catalog_files *files)
{
	for (unsigned i = 0; i < files->count; i++) {
		mem_free(&files->at[i].name);
		mem_free(&files->at[i].bytes);
	}
	mem_free(&files->at);
	files->count = 0;
}
