/* A catalog while it is read. */
#ifndef SCHEMA_CATALOG_PRIVATE_H
#define SCHEMA_CATALOG_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/catalog.h"

/* A migration with what only the reading needs. */
struct catalog_draft {
	struct catalog_migration migration;
	unsigned file, down_file; /* indices of the files of its sections */
	struct graph_names parents, depends, labels;
	bool parents_given; /* else: the one before it */
	bool strict;        /* it uses what dbmate has not: an empty section is a mistake */
	bool repeatable;
	bool verbatim; /* placeholders are not replaced in it */
};

struct catalog {
	struct catalog_files files;
	char **shown; /* the names of files in messages */
	enum catalog_format format;
	struct catalog_migration *migrations, *repeatables;
	unsigned count, repeatable_count;
	struct graph *graph;
	char **notes;
	unsigned note_count;
	void **kept; /* all that the values point to */
	size_t kept_count, kept_room;
};

struct catalog_reading {
	struct catalog *catalog;
	const struct catalog_options *options;
	struct catalog_defects *defects;
	struct catalog_draft *drafts;
	unsigned count, room;
	bool numbered;   /* every file with a section has a number first, as dbmate wants it */
	unsigned *slots; /* of a hash table of drafts, by revision: index + 1 */
	size_t slot_count;
};

/* Memory that lives as long as the catalog. */
void *catalog_keep(struct catalog *catalog, void *p);
char *catalog_keep_text(struct catalog *catalog, const char *s, size_t n);
void catalog_names_add(struct catalog *catalog, struct graph_names *names, const char *s, size_t n);

void catalog_note_add(struct catalog_reading *reading, unsigned file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define catalog_fault(reading, file, line, ...)                                                              \
	catalog_defect((reading)->defects, (reading)->catalog->shown[file], line, __VA_ARGS__)

/* A new draft for a file, or the one with this revision. The pointer is good until the next. */
struct catalog_draft *catalog_draft_new(struct catalog_reading *reading, unsigned file, const char *revision,
    size_t revision_size, const char *slug, size_t slug_size);
struct catalog_draft *catalog_draft_find(struct catalog_reading *reading, const char *revision);

void catalog_section_open(
    struct catalog_reading *reading, struct catalog_section *section, unsigned file, unsigned line);
void catalog_piece_add(struct catalog_reading *reading, struct catalog_section *section, size_t begin,
    size_t end, unsigned line, unsigned file);
void catalog_section_whole(struct catalog_reading *reading, struct catalog_section *section, unsigned file);

/* ---- names (catalog_names.c) ---- */
const char *catalog_base_name(const char *name);
bool catalog_ends_with(const char *name, const char *ending);
size_t catalog_digits(const char *s);
int catalog_compare_natural(const char *a, const char *b);  /* numbers by value, the rest bytewise */
int catalog_compare_versions(const char *a, const char *b); /* Flyway's: part by part */

struct catalog_name {
	enum {
		NAME_OTHER,
		NAME_UP,
		NAME_DOWN,
		NAME_REPEATABLE,
		NAME_SETTINGS,
		NAME_IGNORED,
		NAME_BASELINE, /* Flyway's */
		NAME_FOREIGN   /* a program */
	} kind;
	const char *id, *slug; /* in the name */
	size_t id_size, slug_size;
};
struct catalog_name catalog_name_golang(const char *name);
struct catalog_name catalog_name_diesel(const char *name);
struct catalog_name catalog_name_flyway(const char *name);
struct catalog_name catalog_name_numbered(const char *name); /* goose */
struct catalog_name catalog_name_native(const char *name, bool digits_only);
/* The format that a file looks like, or CATALOG_AUTO. */
enum catalog_format catalog_guess(const struct catalog_file *file);

/* ---- files of each format, to drafts ---- */
void catalog_read_native(struct catalog_reading *reading, unsigned file);
void catalog_read_annotated(struct catalog_reading *reading, unsigned file); /* goose, sql-migrate */
void catalog_read_golang(struct catalog_reading *reading);
void catalog_read_diesel(struct catalog_reading *reading);
void catalog_read_flyway(struct catalog_reading *reading);
void catalog_read_python(struct catalog_reading *reading, unsigned file);

/* ---- sections (catalog_section.c) ---- */
void catalog_section_check(
    struct catalog_reading *reading, struct catalog_draft *draft, struct catalog_section *section);
/* Is there SQL in these bytes of the file? *line is its line. */
bool catalog_has_sql(
    const struct catalog_file *file, size_t begin, size_t end, unsigned first, unsigned *line);

/* ---- lines ---- */
struct catalog_line {
	size_t begin, end, next; /* end: without the line end and blanks before it */
	unsigned number;
};
/* The first line: {.next = the byte order mark's size}. */
bool catalog_line_next(const struct catalog_file *file, struct catalog_line *line);

#endif
