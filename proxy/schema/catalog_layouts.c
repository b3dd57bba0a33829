/* Formats whose names of files say what they are: golang-migrate's, diesel's, Flyway's. */
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "catalog_private.h"

/* One of a migration's files. Where an up or a down is there already, the two files are named. */
static void put_section(struct catalog_reading *reading, struct catalog_draft *draft, bool up, unsigned file)
{
	struct catalog_section *section = up ? &draft->migration.up : &draft->migration.down;

	if (section->file != NULL) {
		catalog_fault(reading, file, 0, "revision %s has %s in %s too", draft->migration.revision,
		    up ? "a way up" : "a way down", section->file);
		return;
	}
	catalog_section_whole(reading, section, file);
	if (up) {
		draft->file = file;
		draft->migration.file = reading->catalog->shown[file];
	} else {
		draft->down_file = file;
	}
}

static void check_ups(struct catalog_reading *reading)
{
	for (unsigned i = 0; i < reading->count; i++) {
		struct catalog_draft *draft = &reading->drafts[i];
		if (draft->migration.up.file != NULL)
			continue;
		/* golang-migrate counts the version and runs nothing, diesel refuses the folder. */
		if (reading->catalog->format == CATALOG_GOLANG_MIGRATE)
			catalog_section_open(reading, &draft->migration.up, draft->file, 1);
		else
			catalog_fault(reading, draft->file, 0, "a way down, but no file has the way up");
	}
}

/* The tools pass over such a file without a word; whatever is no SQL lies beside migrations everywhere. */
static void unfit(struct catalog_reading *reading, unsigned file, const char *form)
{
	if (catalog_ends_with(reading->catalog->files.at[file].name, ".sql"))
		catalog_note_add(reading, file, 0,
		    "not looked at: its name is not that of a migration of %s (%s)",
		    catalog_format_name(reading->catalog->format), form);
}

/* Files come sorted by name, which is not by number: 10_ comes before 9_, and 1_x.up.sql may stand far from
 * 001_x.down.sql. So drafts are looked up. */
static struct catalog_draft *draft_of(struct catalog_reading *reading, unsigned file, const char *id,
    size_t id_size, const struct catalog_name *name)
{
	char *revision = mem_strndup(id, id_size);
	struct catalog_draft *draft = catalog_draft_find(reading, revision);

	if (draft == NULL)
		draft = catalog_draft_new(reading, file, id, id_size, name->slug, name->slug_size);
	mem_free(&revision);
	return draft;
}

void catalog_read_golang(struct catalog_reading *reading)
{
	for (unsigned i = 0; i < reading->catalog->files.count; i++) {
		const char *file = reading->catalog->files.at[i].name;
		struct catalog_name name = catalog_name_golang(file);
		if (name.kind == NAME_OTHER) {
			if (strchr(file, '/') == NULL)
				unfit(reading, i, "<number>_<slug>.up.sql");
			else if (catalog_ends_with(file, ".sql"))
				catalog_note_add(reading, i, 0, "not looked at: it is in a folder");
			continue;
		}
		while (name.id_size > 1 && name.id[0] == '0') {
			name.id++;
			name.id_size--;
		}
		put_section(
		    reading, draft_of(reading, i, name.id, name.id_size, &name), name.kind == NAME_UP, i);
	}
	check_ups(reading);
}

/* The value of a line `key = value`, in TOML or in properties, lower case; "" where there is none. */
static void setting(const struct catalog_file *file, const char *key, char *value, size_t room)
{
	struct catalog_line line = {.next = split_bom(file->bytes, file->size)};

	value[0] = '\0';
	while (catalog_line_next(file, &line)) {
		const char *s = file->bytes + line.begin, *end = file->bytes + line.end;
		size_t n = strlen(key), k = 0;
		while (s < end && (*s == ' ' || *s == '\t'))
			s++;
		if ((size_t)(end - s) < n || strncasecmp(s, key, n) != 0)
			continue;
		for (s += n; s < end && (*s == ' ' || *s == '\t'); s++)
			;
		if (s == end || (*s != '=' && *s != ':'))
			continue;
		for (s++; s < end && (*s == ' ' || *s == '\t'); s++)
			;
		for (; s < end && *s >= 'A' && *s <= 'z' && k < room - 1; s++)
			value[k++] = (char)(*s | 0x20);
		value[k] = '\0';
	}
}

static bool setting_is(const struct catalog_file *file, const char *key, const char *value)
{
	char found[16];

	setting(file, key, found, sizeof(found));
	return strcmp(found, value) == 0;
}

void catalog_read_diesel(struct catalog_reading *reading)
{
	for (unsigned i = 0; i < reading->catalog->files.count; i++) {
		const struct catalog_file *file = &reading->catalog->files.at[i];
		struct catalog_name name = catalog_name_diesel(file->name);
		char id[2 * HEAD_BYTES];
		size_t n = 0;
		if (name.kind == NAME_OTHER) {
			unfit(reading, i, "<version>_<slug>/up.sql");
			continue;
		}
		for (size_t k = 0; k < name.id_size && n < sizeof(id); k++)
			if (name.id[k] != '-')
				id[n++] = name.id[k];
		/* Files of one folder stand together, and down.sql, metadata.toml, up.sql is their order. */
		struct catalog_draft *draft = draft_of(reading, i, id, n, &name);
		size_t folder = (size_t)(strchr(file->name, '/') - file->name);
		const char *known = reading->catalog->files.at[draft->file].name;
		if (strncmp(known, file->name, folder + 1) != 0)
			catalog_fault(reading, i, 0, "its version %s is also that of %s",
			    draft->migration.revision, reading->catalog->shown[draft->file]);
		else if (name.kind == NAME_SETTINGS)
			draft->migration.up.outside = draft->migration.down.outside =
			    setting_is(file, "run_in_transaction", "false");
		else
			put_section(reading, draft, name.kind == NAME_UP, i);
	}
	check_ups(reading);
}

static void flyway_settings(struct catalog_reading *reading, unsigned index)
{
	struct catalog *catalog = reading->catalog;
	const struct catalog_file *file = &catalog->files.at[index];
	size_t n = strlen(file->name) - strlen(".conf");

	for (unsigned i = 0; i < reading->count; i++) {
		struct catalog_migration *m = &reading->drafts[i].migration;
		struct catalog_section *both[] = {&m->up, &m->down};
		for (size_t k = 0; k < 2; k++) {
			if (both[k]->file == NULL)
				continue;
			size_t prefix = strlen(catalog->shown[index]) - strlen(file->name);
			const char *sql = both[k]->file + prefix;
			if (strlen(sql) != n || strncmp(sql, file->name, n) != 0)
				continue;
			if (setting_is(file, "executeInTransaction", "false"))
				both[k]->outside = true;
			if (setting_is(file, "placeholderReplacement", "false"))
				reading->drafts[i].verbatim = true;
			return;
		}
	}
	catalog_note_add(reading, index, 0, "not looked at: there is no such migration");
}

/* 1_2 is 1.2. To be freed. */
static char *flyway_version(const struct catalog_name *name)
{
	char *version = mem_strndup(name->id, name->id_size);

	for (char *c = version; *c != '\0'; c++)
		if (*c == '_')
			*c = '.';
	return version;
}

static void flyway_undo(struct catalog_reading *reading, unsigned file, const struct catalog_name *name)
{
	char *version = flyway_version(name);

	for (unsigned i = 0; i < reading->count; i++) {
		struct catalog_draft *draft = &reading->drafts[i];
		if (draft->repeatable || catalog_compare_versions(draft->migration.revision, version) != 0)
			continue;
		mem_free(&version);
		put_section(reading, draft, false, file);
		return;
	}
	/* So it is where a baseline file has taken the place of the first versions. */
	catalog_note_add(reading, file, 0,
	    "not looked at: it undoes version %s, but no file has that (V%s__...)", version, version);
	mem_free(&version);
}

static void flyway_file(struct catalog_reading *reading, unsigned file, const struct catalog_name *name)
{
	if (name->kind == NAME_UP || name->kind == NAME_BASELINE || name->kind == NAME_REPEATABLE) {
		char *version = flyway_version(name);
		struct catalog_draft *draft =
		    catalog_draft_new(reading, file, version, strlen(version), name->slug, name->slug_size);
		mem_free(&version);
		draft->repeatable = name->kind == NAME_REPEATABLE;
		put_section(reading, draft, true, file);
	} else if (name->kind == NAME_IGNORED) {
		catalog_note_add(reading, file, 0, "not looked at: Flyway's callbacks are not run");
	} else if (name->kind == NAME_FOREIGN) {
		catalog_fault(reading, file, 0, "a migration written as a program: headgate runs SQL only");
	}
}

/* Flyway begins an empty database with the last baseline, B<version>__, and leaves out what comes before.
 * Where that is still there it is run instead, so that each database has the same steps behind it; where it
 * is not, the baseline is the first of them. */
static void flyway_baseline(struct catalog_reading *reading)
{
	const struct catalog_files *files = &reading->catalog->files;
	unsigned last = files->count;
	char *version = NULL, *before = NULL;

	for (unsigned i = 0; i < files->count; i++) {
		struct catalog_name name = catalog_name_flyway(files->at[i].name);
		if (name.kind != NAME_BASELINE)
			continue;
		char *its = flyway_version(&name);
		if (version == NULL || catalog_compare_versions(its, version) > 0) {
			mem_free(&version);
			version = mem_strdup(its);
			last = i;
		}
		mem_free(&its);
	}
	for (unsigned i = 0; i < reading->count && version != NULL && before == NULL; i++)
		if (!reading->drafts[i].repeatable &&
		    catalog_compare_versions(reading->drafts[i].migration.revision, version) <= 0)
			before = mem_strdup(reading->drafts[i].migration.file);
	for (unsigned i = 0; i < files->count; i++) {
		struct catalog_name name = catalog_name_flyway(files->at[i].name);
		if (name.kind != NAME_BASELINE)
			continue;
		if (i == last && before == NULL)
			flyway_file(reading, i, &name);
		else if (i == last)
			catalog_note_add(reading, i, 0,
			    "not looked at: a baseline stands for versions that are there, such as %s",
			    before);
		else
			catalog_note_add(reading, i, 0, "not looked at: there is a later baseline");
	}
	mem_free(&version);
	mem_free(&before);
}

void catalog_read_flyway(struct catalog_reading *reading)
{
	unsigned count = reading->catalog->files.count;

	for (unsigned i = 0; i < count; i++) {
		struct catalog_name name = catalog_name_flyway(reading->catalog->files.at[i].name);
		if (name.kind == NAME_OTHER)
			unfit(reading, i, "V<version>__<slug>.sql");
		else if (name.kind != NAME_BASELINE)
			flyway_file(reading, i, &name);
	}
	flyway_baseline(reading);
	for (unsigned i = 0; i < count; i++) {
		struct catalog_name name = catalog_name_flyway(reading->catalog->files.at[i].name);
		if (name.kind == NAME_DOWN)
			flyway_undo(reading, i, &name);
	}
	for (unsigned i = 0; i < count; i++)
		if (catalog_name_flyway(reading->catalog->files.at[i].name).kind == NAME_SETTINGS)
			flyway_settings(reading, i);
}
