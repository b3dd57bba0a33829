#include "schema/catalog.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "catalog_private.h"

static const char *const format_names[] = {
    [CATALOG_AUTO] = "auto",
    [CATALOG_NATIVE] = "native",
    [CATALOG_DBMATE] = "dbmate",
    [CATALOG_GOLANG_MIGRATE] = "golang-migrate",
    [CATALOG_DIESEL] = "diesel",
    [CATALOG_GOOSE] = "goose",
    [CATALOG_SQL_MIGRATE] = "sql-migrate",
    [CATALOG_FLYWAY] = "flyway",
    [CATALOG_ALEMBIC] = "alembic",
};
#define FORMATS (sizeof(format_names) / sizeof(format_names[0]))

const char *catalog_format_name(enum catalog_format format)
{
	return format_names[format];
}

const char *catalog_format_names(void)
{
	return "auto, native, dbmate, golang-migrate, diesel, goose, sql-migrate, flyway, alembic";
}

bool catalog_format_named(const char *name, enum catalog_format *format)
{
	for (size_t i = 0; i < FORMATS; i++) {
		if (strcmp(name, format_names[i]) == 0) {
			*format = (enum catalog_format)i;
			return true;
		}
	}
	return false;
}

/* ---- memory ---- */

void *catalog_keep(struct catalog *catalog, void *p)
{
	if (catalog->kept_count == catalog->kept_room) {
		catalog->kept_room = catalog->kept_room == 0 ? 64 : catalog->kept_room * 2;
		catalog->kept = mem_realloc(catalog->kept, catalog->kept_room * sizeof(void *));
	}
	return catalog->kept[catalog->kept_count++] = p;
}

char *catalog_keep_text(struct catalog *catalog, const char *s, size_t n)
{
	return catalog_keep(catalog, mem_strndup(s, n));
}

void catalog_names_add(struct catalog *catalog, struct graph_names *names, const char *s, size_t n)
{
	unsigned count = names->count;

	if ((count & (count - 1)) == 0) { /* grown at each power of two; what was before is kept along */
		const char **at = mem_alloc((count == 0 ? 1 : (size_t)count * 2) * sizeof(*at));
		if (count > 0)
			memcpy(at, names->at, count * sizeof(*at));
		names->at = catalog_keep(catalog, at);
	}
	((const char **)(uintptr_t)names->at)[names->count++] = catalog_keep_text(catalog, s, n);
}

void catalog_note_add(struct catalog_reading *reading, unsigned file, unsigned line, const char *format, ...)
{
	struct catalog *catalog = reading->catalog;
	struct catalog_defects one = {.count = 0};
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	catalog_defect(&one, catalog->shown[file], line, "%s", text);
	catalog->notes = mem_realloc(catalog->notes, (catalog->note_count + 1) * sizeof(char *));
	catalog->notes[catalog->note_count++] = catalog_keep_text(catalog, one.lines[0], SIZE_MAX);
	catalog_defects_free(&one);
}

/* ---- drafts ---- */

static size_t slot_of(const struct catalog_reading *reading, const char *revision)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (const char *s = revision; *s != '\0'; s++)
		hash = (hash ^ (unsigned char)*s) * UINT64_C(1099511628211);
	size_t slot = (size_t)hash & (reading->slot_count - 1);
	while (reading->slots[slot] != 0 &&
	    strcmp(reading->drafts[reading->slots[slot] - 1].migration.revision, revision) != 0)
		slot = (slot + 1) & (reading->slot_count - 1);
	return slot;
}

struct catalog_draft *catalog_draft_find(struct catalog_reading *reading, const char *revision)
{
	unsigned at = reading->slot_count == 0 ? 0 : reading->slots[slot_of(reading, revision)];

	return at == 0 ? NULL : &reading->drafts[at - 1];
}

static void draft_room(struct catalog_reading *reading)
{
	if (reading->count < reading->room)
		return;
	reading->room = reading->room == 0 ? 64 : reading->room * 2;
	reading->drafts = mem_realloc(reading->drafts, reading->room * sizeof(*reading->drafts));
	mem_free(&reading->slots);
	reading->slot_count = (size_t)reading->room * 2;
	reading->slots = mem_zalloc(reading->slot_count * sizeof(unsigned));
	for (unsigned i = 0; i < reading->count; i++) {
		size_t slot = slot_of(reading, reading->drafts[i].migration.revision);
		if (reading->slots[slot] == 0) /* of two alike the first is found */
			reading->slots[slot] = i + 1;
	}
}

struct catalog_draft *catalog_draft_new(struct catalog_reading *reading, unsigned file, const char *revision,
    size_t revision_size, const char *slug, size_t slug_size)
{
	struct catalog *catalog = reading->catalog;

	draft_room(reading);
	struct catalog_draft *draft = &reading->drafts[reading->count++];
	char *message = catalog_keep_text(catalog, slug, slug_size);
	for (char *c = message; *c != '\0'; c++)
		if (*c == '_' || *c == '-')
			*c = ' ';
	*draft = (struct catalog_draft){
	    .file = file,
	    .down_file = file,
	    .migration = {.revision = catalog_keep_text(catalog, revision, revision_size),
		.slug = catalog_keep_text(catalog, slug, slug_size),
		.message = message,
		.file = catalog->shown[file],
		.line = 1},
	};
	size_t slot = slot_of(reading, draft->migration.revision);
	if (reading->slots[slot] == 0)
		reading->slots[slot] = reading->count;
	return draft;
}

/* ---- which format ---- */

static bool is_migration_script(const char *name)
{
	return catalog_ends_with(name, ".sql") || catalog_ends_with(name, ".py");
}

static enum catalog_format recognise(const struct catalog *catalog)
{
	unsigned votes[FORMATS] = {0};
	enum catalog_format best = CATALOG_NATIVE;

	for (unsigned i = 0; i < catalog->files.count; i++)
		votes[catalog_guess(&catalog->files.at[i])]++;
	/* A folder of SQL may hold a script or two in Python. */
	for (size_t i = CATALOG_NATIVE; i < FORMATS; i++)
		if (votes[i] > votes[best])
			best = (enum catalog_format)i;
	return best;
}

/* ---- reading ---- */

/* Alembic's versions/ may be given, or the folder in which it is, beside env.py. */
static bool is_version(const struct catalog *catalog, const char *name)
{
	bool inside = false;

	for (unsigned i = 0; i < catalog->files.count && !inside; i++)
		inside = strncmp(catalog->files.at[i].name, "versions/", 9) == 0 &&
		    catalog_ends_with(catalog->files.at[i].name, ".py");
	if (inside) {
		if (strncmp(name, "versions/", 9) != 0)
			return false;
		name += 9;
	}
	return strchr(name, '/') == NULL && catalog_ends_with(name, ".py") &&
	    strcmp(name, "__init__.py") != 0 && name[0] != '.';
}

static bool numbered(const struct catalog *catalog)
{
	for (unsigned i = 0; i < catalog->files.count; i++) {
		const struct catalog_file *file = &catalog->files.at[i];
		if (catalog_digits(file->name) == 0 && catalog_guess(file) == CATALOG_NATIVE)
			return false;
	}
	return true;
}

static void read_single(struct catalog_reading *reading, unsigned i)
{
	struct catalog *catalog = reading->catalog;
	const char *name = catalog->files.at[i].name;
	enum catalog_format guess;

	if (!is_migration_script(name) && !catalog_ends_with(name, ".go"))
		return;
	if (strchr(name, '/') != NULL) {
		if (catalog_ends_with(name, ".sql"))
			catalog_note_add(reading, i, 0, "not looked at: it is in a folder");
		return;
	}
	if (!catalog_ends_with(name, ".sql")) {
		if (catalog->format == CATALOG_GOOSE && catalog_name_numbered(name).kind == NAME_FOREIGN)
			catalog_fault(reading, i, 0, "a migration written in Go: headgate runs SQL only");
		return;
	}
	guess = catalog_guess(&catalog->files.at[i]);
	if (guess == CATALOG_NATIVE && catalog->format == CATALOG_DBMATE)
		guess = CATALOG_DBMATE;
	if (guess != catalog->format && guess != CATALOG_AUTO)
		catalog_fault(reading, i, 0, "it is a migration of %s, but those of this folder are of %s",
		    catalog_format_name(guess), catalog_format_name(catalog->format));
	else if (catalog->format == CATALOG_NATIVE || catalog->format == CATALOG_DBMATE)
		catalog_read_native(reading, i);
	else
		catalog_read_annotated(reading, i);
}

static void read_files(struct catalog_reading *reading)
{
	struct catalog *catalog = reading->catalog;

	switch (catalog->format) {
	case CATALOG_GOLANG_MIGRATE:
		catalog_read_golang(reading);
		return;
	case CATALOG_DIESEL:
		catalog_read_diesel(reading);
		return;
	case CATALOG_FLYWAY:
		catalog_read_flyway(reading);
		return;
	case CATALOG_ALEMBIC:
		for (unsigned i = 0; i < catalog->files.count; i++)
			if (is_version(catalog, catalog->files.at[i].name))
				catalog_read_python(reading, i);
		return;
	case CATALOG_AUTO:
	case CATALOG_NATIVE:
	case CATALOG_DBMATE:
	case CATALOG_GOOSE:
	case CATALOG_SQL_MIGRATE:
		for (unsigned i = 0; i < catalog->files.count; i++)
			read_single(reading, i);
		return;
	}
}

static void check_encoding(struct catalog_reading *reading, unsigned file)
{
	const struct catalog_file *f = &reading->catalog->files.at[file];
	struct split_error error;

	if (!split_check_text(f->bytes, f->size, &error))
		catalog_fault(reading, file, error.line, "%s", error.text);
}

/* Of what is read: a dump in another encoding may lie beside the migrations. */
static void check_encodings(struct catalog_reading *reading)
{
	for (unsigned i = 0; i < reading->count; i++) {
		const struct catalog_draft *draft = &reading->drafts[i];
		check_encoding(reading, draft->file);
		if (draft->down_file != draft->file)
			check_encoding(reading, draft->down_file);
	}
}

/* ---- order ---- */

static int compare_drafts(const void *a, const void *b, void *arg)
{
	const struct catalog_draft *x = a, *y = b;
	const struct catalog *catalog = arg;
	int order = 0;

	if (x->repeatable != y->repeatable)
		return x->repeatable ? 1 : -1;
	if (x->repeatable)
		return strcmp(x->migration.slug, y->migration.slug);
	/* Those of sql-migrate keep the .sql in their ids, and a-b.sql comes before a.sql. */
	if (catalog->format == CATALOG_SQL_MIGRATE)
		order = catalog_compare_natural(
		    catalog_base_name(x->migration.file), catalog_base_name(y->migration.file));
	else if (catalog->format == CATALOG_FLYWAY)
		order = catalog_compare_versions(x->migration.revision, y->migration.revision);
	else if (catalog->format == CATALOG_DIESEL)
		order = strcmp(x->migration.revision, y->migration.revision);
	else if (catalog->format != CATALOG_ALEMBIC)
		order = catalog_compare_natural(x->migration.revision, y->migration.revision);
	return order != 0 ? order : strcmp(x->migration.file, y->migration.file);
}

static void link_in_order(struct catalog_reading *reading)
{
	struct catalog *catalog = reading->catalog;

	if (reading->count > 0)
		qsort_r(reading->drafts, reading->count, sizeof(*reading->drafts), compare_drafts, catalog);
	for (unsigned i = 0; i < reading->count; i++) {
		struct catalog_draft *draft = &reading->drafts[i], *before = draft - 1;
		if (draft->repeatable) {
			if (i > 0 && before->repeatable &&
			    strcmp(draft->migration.slug, before->migration.slug) == 0)
				catalog_fault(reading, draft->file, 0,
				    "the repeatable migration %s is also %s", draft->migration.slug,
				    before->migration.file);
			continue;
		}
		catalog->count++;
		if (i == 0)
			continue;
		const char *id = draft->migration.revision, *other = before->migration.revision;
		if (!draft->parents_given && strcmp(id, other) != 0)
			catalog_names_add(catalog, &draft->parents, other, strlen(other));
		/* Flyway's 1.0 and 1 are one; equal ids are the graph's to find. */
		if (catalog->format == CATALOG_FLYWAY && strcmp(id, other) != 0 &&
		    catalog_compare_versions(id, other) == 0)
			catalog_fault(reading, draft->file, 0, "version %s is also that of %s (%s)", id,
			    before->migration.file, other);
	}
	catalog->repeatable_count = reading->count - catalog->count;
}

static void make_graph(struct catalog_reading *reading)
{
	unsigned count = reading->catalog->count;
	struct graph_source *sources = mem_alloc(count * sizeof(*sources));

	for (unsigned i = 0; i < count; i++) {
		const struct catalog_draft *draft = &reading->drafts[i];
		sources[i] = (struct graph_source){
		    .id = draft->migration.revision,
		    .parents = draft->parents,
		    .depends = draft->depends,
		    .labels = draft->labels,
		    .compatible = draft->migration.compatible,
		    .file = draft->migration.file,
		    .line = draft->migration.line,
		};
	}
	reading->catalog->graph = graph_new(sources, count, reading->defects);
	mem_free(&sources);
}

/* ---- the door ---- */

static int compare_files(const void *a, const void *b)
{
	const struct catalog_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void name_files(struct catalog *catalog, const char *folder)
{
	size_t n = folder == NULL ? 0 : strlen(folder);

	catalog->shown = mem_alloc(catalog->files.count * sizeof(char *));
	for (unsigned i = 0; i < catalog->files.count; i++)
		catalog->shown[i] = n == 0 ? mem_strdup(catalog->files.at[i].name)
					   : mem_printf("%s%s%s", folder, folder[n - 1] == '/' ? "" : "/",
						 catalog->files.at[i].name);
}

static void settle(struct catalog_reading *reading)
{
	struct catalog *catalog = reading->catalog;

	catalog->migrations = mem_alloc(catalog->count * sizeof(struct catalog_migration));
	catalog->repeatables = mem_alloc(catalog->repeatable_count * sizeof(struct catalog_migration));
	for (unsigned i = 0; i < reading->count; i++) {
		struct catalog_migration *m =
		    i < catalog->count ? &catalog->migrations[i] : &catalog->repeatables[i - catalog->count];
		*m = reading->drafts[i].migration;
		if (i >= catalog->count)
			m->revision = "";
	}
}

struct catalog *catalog_parse(
    struct catalog_files *files, const struct catalog_options *options, struct catalog_defects *defects)
{
	struct catalog *catalog = mem_zalloc(sizeof(*catalog));
	struct catalog_reading reading = {.catalog = catalog, .options = options, .defects = defects};
	unsigned before = defects->count;

	catalog->files = *files;
	*files = (struct catalog_files){.count = 0};
	if (catalog->files.count > 0)
		qsort(catalog->files.at, catalog->files.count, sizeof(*catalog->files.at), compare_files);
	name_files(catalog, options->folder);
	catalog->format = options->format == CATALOG_AUTO ? recognise(catalog) : options->format;
	reading.numbered = numbered(catalog);
	read_files(&reading);
	check_encodings(&reading);
	link_in_order(&reading);
	for (unsigned i = 0; i < reading.count; i++) {
		catalog_section_check(&reading, &reading.drafts[i], &reading.drafts[i].migration.up);
		catalog_section_check(&reading, &reading.drafts[i], &reading.drafts[i].migration.down);
	}
	make_graph(&reading);
	settle(&reading);
	mem_free(&reading.drafts);
	mem_free(&reading.slots);
	if (defects->count > before)
		catalog_free(&catalog);
	return catalog;
}

void catalog_free(struct catalog **place)
{
	struct catalog *catalog = *place;

	if (catalog == NULL)
		return;
	graph_free(&catalog->graph);
	mem_free(&catalog->migrations);
	mem_free(&catalog->repeatables);
	mem_free(&catalog->notes);
	for (size_t i = 0; i < catalog->kept_count; i++)
		mem_free(&catalog->kept[i]);
	mem_free(&catalog->kept);
	for (unsigned i = 0; i < catalog->files.count; i++)
		mem_free(&catalog->shown[i]);
	mem_free(&catalog->shown);
	catalog_files_free(&catalog->files);
	mem_free(place);
}

enum catalog_format catalog_format(const struct catalog *catalog)
{
	return catalog->format;
}

unsigned catalog_count(const struct catalog *catalog)
{
	return catalog->count;
}

const struct catalog_migration *catalog_at(const struct catalog *catalog, unsigned place)
{
	return &catalog->migrations[place];
}

unsigned catalog_repeatable_count(const struct catalog *catalog)
{
	return catalog->repeatable_count;
}

const struct catalog_migration *catalog_repeatable_at(const struct catalog *catalog, unsigned index)
{
	return &catalog->repeatables[index];
}

const struct graph *catalog_graph(const struct catalog *catalog)
{
	return catalog->graph;
}

unsigned catalog_note_count(const struct catalog *catalog)
{
	return catalog->note_count;
}

const char *catalog_note(const struct catalog *catalog, unsigned index)
{
	return catalog->notes[index];
}

bool catalog_check_path(
    const struct catalog *catalog, const struct graph_path *path, struct catalog_defects *defects)
{
	unsigned before = defects->count;

	for (unsigned i = 0; i < path->count; i++) {
		const struct catalog_migration *m = &catalog->migrations[path->at[i].place];
		const struct graph_revision *r = graph_at(catalog->graph, path->at[i].place);
		bool merge = r->parent_count > 1 && m->up.statements == 0;
		if (catalog->format == CATALOG_ALEMBIC)
			catalog_defect(defects, m->file, 0,
			    "revision %s is Alembic's: headgate exec -- alembic ... runs it", m->revision);
		else if (path->down && m->down.file == NULL && !merge)
			catalog_defect(defects, m->file, 0, "revision %s has no way down", m->revision);
	}
	return defects->count == before;
}
