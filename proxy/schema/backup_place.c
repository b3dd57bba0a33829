/* What makes a backup, where it goes, and how it comes back. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "schema/backup.h"

#define DEFAULT_DIR "backups"
#define NAME_BYTES  200 /* of the place's own name */

struct texts {
	char **at;
	unsigned count;
};

static void texts_add(struct texts *texts, char *owned)
{
	texts->at = mem_realloc(texts->at, (texts->count + 2) * sizeof(texts->at[0]));
	texts->at[texts->count++] = owned;
	texts->at[texts->count] = NULL;
}

/* Letters, digits and a few more: in a file's name nothing else means nothing. */
static void plain_name(const char *from, char *to, size_t room)
{
	size_t n = 0;
	for (; from[n] != '\0' && n < room - 1; n++) {
		char c = from[n];
		bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    c == '_' || c == '-' || c == '+' || (c == '.' && n > 0);
		to[n] = fine ? c : '_';
	}
	to[n] = '\0';
}

static bool make_folder(const char *path, char **why)
{
	char *copy = mem_strdup(path);
	bool made = true;

	for (char *s = copy + 1; made; s++) {
		bool last = *s == '\0';
		if (!last && *s != '/')
			continue;
		*s = '\0';
		made = mkdir(copy, 0700) == 0 || errno == EEXIST;
		if (last)
			break;
		*s = '/';
	}
	if (!made)
		*why = mem_printf("no folder for the backup: %s: %s; say another with --backup=FOLDER or "
				  "migrations.backup.dir",
		    copy, strerror(errno));
	mem_free(&copy);
	return made;
}

/* dir/headgate-shop-20260301T120000Z-from-3f1c07a9d2b4, absolute. */
static char *choose_place(const struct backup_request *request, const char *dir, char **why)
{
	char database[64], heads[80], when[32], name[NAME_BYTES];
	struct tm tm;

	if (!make_folder(dir, why))
		return NULL;
	char *real = realpath(dir, NULL);
	if (real == NULL || access(real, W_OK | X_OK) != 0) {
		*why = mem_printf("the folder for the backup: %s: %s; say another with --backup=FOLDER or "
				  "migrations.backup.dir",
		    dir, strerror(errno));
		free(real);
		return NULL;
	}
	plain_name(request->database, database, sizeof(database));
	plain_name(heads_is_none(request->from) ? "base" : heads_text(request->from), heads, sizeof(heads));
	gmtime_r(&request->now, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(name, sizeof(name), "headgate-%s-%s-from-%s", database, when, heads);
	char *place = mem_printf("%s/%s", real, name);
	struct stat st;
	for (unsigned n = 2; lstat(place, &st) == 0; n++) {
		mem_free(&place);
		place = mem_printf("%s/%s-%u", real, name, n);
	}
	free(real);
	return place;
}

static void pg_dump(const struct backup_request *request, struct backup *out)
{
	struct texts argv = {.count = 0};

	texts_add(&argv, mem_strdup("pg_dump"));
	texts_add(&argv, mem_strdup("--format=directory"));
	texts_add(&argv, mem_printf("--file=%s", out->place));
	texts_add(&argv, mem_strdup("--no-password"));
	/* A lock in its way would keep it as long as that is held, and the run with it. */
	texts_add(&argv, mem_strdup("--lock-wait-timeout=60000"));
	for (unsigned i = 0; !request->scope->everything && i < request->scope->table_count; i++)
		texts_add(&argv, mem_printf("--table=%s", request->scope->tables[i]));
	out->argv = argv.at;
	out->own = true;
}

static void users_command(const struct backup_request *request, struct backup *out)
{
	struct texts argv = {.count = 0}, environment = {.count = 0};
	size_t size = 0;
	char *tables = NULL;

	for (unsigned i = 0; i < request->command_count; i++)
		texts_add(&argv, mem_strdup(request->command[i]));
	out->argv = argv.at;
	FILE *to = open_memstream(&tables, &size);
	for (unsigned i = 0; !request->scope->everything && i < request->scope->table_count; i++)
		fprintf(to, "%s\n", request->scope->tables[i]);
	fclose(to);
	texts_add(&environment,
	    out->place != NULL ? mem_printf("HEADGATE_BACKUP=%s", out->place)
			       : mem_strdup("HEADGATE_BACKUP"));
	texts_add(&environment, mem_printf("HEADGATE_DATABASE=%s", request->database));
	texts_add(&environment, mem_printf("HEADGATE_TABLES=%s", tables));
	out->environment = environment.at;
	free(tables);
}

bool backup_make(const struct backup_request *request, struct backup *out, char **why)
{
	const char *dir = request->dir;

	*out = (struct backup){.argv = NULL};
	if (dir == NULL && request->command == NULL)
		dir = DEFAULT_DIR;
	if (dir != NULL) {
		out->place = choose_place(request, dir, why);
		if (out->place == NULL)
			return false;
	}
	if (request->command == NULL)
		pg_dump(request, out);
	else
		users_command(request, out);
	out->what = backup_describe(request->scope);
	return true;
}

static void texts_free(char ***texts)
{
	for (unsigned i = 0; *texts != NULL && (*texts)[i] != NULL; i++)
		mem_free(&(*texts)[i]);
	mem_free(texts);
}

void backup_free(struct backup *backup)
{
	texts_free(&backup->argv);
	texts_free(&backup->environment);
	mem_free(&backup->place);
	mem_free(&backup->what);
	*backup = (struct backup){.argv = NULL};
}

int64_t backup_bytes(const char *place)
{
	char *paths[] = {(char *)(uintptr_t)place, NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	int64_t bytes = 0;

	for (FTSENT *entry; tree != NULL && (entry = fts_read(tree)) != NULL;)
		if (entry->fts_info == FTS_F)
			bytes += entry->fts_statp->st_size;
	if (tree != NULL)
		fts_close(tree);
	return bytes;
}

/* toc.dat, blobs.toc, 3245.dat.gz, blob_16411.dat.zst, ... */
static bool is_dump_file(const char *name)
{
	return strstr(name, ".dat") != NULL || strstr(name, ".toc") != NULL;
}

void backup_discard(const char *place)
{
	char *paths[] = {(char *)(uintptr_t)place, NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

	/* What is not pg_dump's keeps its folder from being removed. */
	for (FTSENT *entry; tree != NULL && (entry = fts_read(tree)) != NULL;) {
		if (entry->fts_info == FTS_DP && entry->fts_level == 0)
			rmdir(entry->fts_accpath);
		else if (entry->fts_info == FTS_F && entry->fts_level == 1 && is_dump_file(entry->fts_name))
			unlink(entry->fts_accpath);
	}
	if (tree != NULL)
		fts_close(tree);
}

/* As a word of a shell's line. */
static char *shell_word(const char *text)
{
	size_t n = strlen(text),
	       plain = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:=");
	if (n > 0 && plain == n)
		return mem_strdup(text);
	char *word = mem_alloc(n * 4 + 3), *to = word;
	*to++ = '\'';
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			to += sprintf(to, "'\\''");
		else
			*to++ = *text;
	}
	*to++ = '\'';
	*to = '\0';
	return word;
}

char *backup_restore(
    const struct backup_scope *scope, const char *place, const char *database, const struct heads *from)
{
	char *path = shell_word(place), *name = shell_word(database), *text;
	char *heads = mem_strdup(heads_is_none(from) ? "base" : heads_text(from));

	for (char *s = heads; (s = strchr(s, '+')) != NULL;)
		*s = ',';

	if (scope->everything)
		text = mem_printf(
		    "look at it:       pg_restore --list %s\n"
		    "beside this one:  createdb %s_restored && pg_restore --dbname=%s_restored %s\n"
		    "in its place:     pg_restore --clean --if-exists --single-transaction --dbname=%s %s\n",
		    path, name, name, path, name, path);
	else
		text = mem_printf(
		    "look at it:     pg_restore --list %s\n"
		    "in its place:   pg_restore --clean --if-exists --single-transaction --dbname=%s %s\n"
		    "                and, when what is recorded must go back too: headgate stamp %s\n",
		    path, name, path, heads);
	mem_free(&heads);
	mem_free(&path);
	mem_free(&name);
	return text;
}
