/* The catalog: a folder of migrations, as one of eight formats, checked whole. Pure, but for
 * catalog_read_folder(): names and bytes in, values out.
 *
 * Formats (each recognised by itself; catalog_format_named() for those who would rather say):
 *   native          <revision>_<slug>.sql, sections -- migrate:up and -- migrate:down, with the options
 *                   transaction:false, hold:none and compatible (up only) on the section's line; before the
 *                   first section comments -- revises: <id>[, <id>] (or base; absent: the file before it in
 *                   order), -- message:, -- depends-on: <id or label>[, ...], -- labels: <label>[, ...]
 *   dbmate          the same, the revision being the leading digits; without the comments
 *   golang-migrate  <number>_<slug>.up.sql and .down.sql
 *   diesel          <version>_<slug>/up.sql and down.sql, metadata.toml (run_in_transaction)
 *   goose           <number>_<slug>.sql with -- +goose Up, Down, StatementBegin, StatementEnd, NO TRANSACTION
 *   sql-migrate     <name>.sql with -- +migrate Up, Down [notransaction], StatementBegin, StatementEnd
 *   flyway          V<version>__<slug>.sql, U<version>__..., R__<slug>.sql, in folders of any depth, and
 *                   their .conf (executeInTransaction); B<version>__... where no V is before it
 *   alembic         versions/<anything>.py: revision, down_revision, branch_labels, depends_on, read without
 *                   Python; for the graph only, Alembic runs its own
 *
 * Revisions are ids as the tool records them, as far as a head can hold them (gate/head.h): numbers without
 * leading zeros for golang-migrate and goose, the digits as written for dbmate and diesel (less hyphens), the
 * version with dots for Flyway, the file's name less .sql, cut to 64 bytes and with _ for what a head cannot
 * hold, for sql-migrate.
 *
 * Every defect is a line that names files and lines: two files with one id, an unknown parent, a circle, no
 * up section, a meta-command, something unterminated, a migration that is a program; in the native format an
 * empty up section too, unless the revision merges, or the file might be dbmate's and has a comment there. A
 * native file that has a header or an option which dbmate has not counts as without a down section where that
 * is empty; elsewhere what is empty does nothing, as with the other tools, and a note says so.
 *
 * A folder that its own tool takes is taken: files whose names are not those of its migrations (schema.sql,
 * testdata/) are left out, with a note. */
#ifndef SCHEMA_CATALOG_H
#define SCHEMA_CATALOG_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/catalog_defects.h"
#include "schema/graph.h"
#include "schema/split.h"

#define CATALOG_FILES       100000               /* most files in a folder */
#define CATALOG_FILE_BYTES  ((size_t)256 << 20)  /* longest file */
#define CATALOG_TOTAL_BYTES ((size_t)1024 << 20) /* of all files */
#define CATALOG_DEPTH       8                    /* folders in folders */

/* ---- files ---- */

struct catalog_file {
	char *name;  /* below the folder: "V1__x.sql", "2024_users/up.sql" */
	char *bytes; /* not ended by NUL */
	size_t size;
};
struct catalog_files {
	struct catalog_file *at; /* by name */
	unsigned count;
};
/* Reads what may be of a catalog (by its name's ending), links followed, hidden names left out. False: *why
 * (to be freed) names the file and the error. Blocks on the disk. */
bool catalog_read_folder(const char *path, struct catalog_files *out, char **why)
    __attribute__((warn_unused_result));
void catalog_files_free(struct catalog_files *files); /* leaves none */

/* ---- the catalog ---- */

enum catalog_format {
	CATALOG_AUTO,
	CATALOG_NATIVE,
	CATALOG_DBMATE,
	CATALOG_GOLANG_MIGRATE,
	CATALOG_DIESEL,
	CATALOG_GOOSE,
	CATALOG_SQL_MIGRATE,
	CATALOG_FLYWAY,
	CATALOG_ALEMBIC,
};
const char *catalog_format_name(enum catalog_format format);              /* "golang-migrate", ... */
bool catalog_format_named(const char *name, enum catalog_format *format); /* "auto" too */
const char *catalog_format_names(void);                                   /* for messages */

struct catalog_placeholder {
	const char *name, *value;
};
struct catalog_options {
	enum catalog_format format;
	const char *folder; /* goes before file names in messages; or NULL */
	/* A native up section that is empty, as `headgate revision` writes it for a person to fill in, is
	 * worth a note instead of a defect: for those who only look. */
	bool drafts;
	/* ${name} in SQL is replaced by its value, and an unknown one is a defect, where `placeholders` is
	 * set; elsewhere ${name} is left as it is. Names are letters, digits and _ . : - */
	bool placeholders;
	const struct catalog_placeholder *placeholder;
	unsigned placeholder_count;
};

struct catalog;
/* Takes the files: *files is left empty. NULL: defects were added. A folder without migrations is a catalog
 * without revisions. */
struct catalog *catalog_parse(
    struct catalog_files *files, const struct catalog_options *options, struct catalog_defects *defects);
void catalog_free(struct catalog **catalog); /* NULL-safe, leaves NULL */

/* A part of a section, whose statements end with it. */
struct catalog_piece {
	const char *text; /* placeholders replaced */
	size_t size;
	const char *source; /* as it is in the file */
	size_t source_size;
	unsigned line; /* of its first byte */
};

struct catalog_section {
	const char *file; /* NULL: the migration has no such section */
	unsigned line;    /* where it begins */
	const struct catalog_piece *pieces;
	unsigned piece_count;
	bool outside; /* it says that it must not run in a transaction */
	bool flowing; /* hold:none, traffic flows while it runs */
	unsigned statements;
	/* The first statement that PostgreSQL refuses inside a transaction, and the first that controls one
	 * (BEGIN, COMMIT, ROLLBACK): static text, NULL for none, and line. */
	const char *alone, *control;
	unsigned alone_line, control_line;
	bool wrapped; /* BEGIN first, COMMIT last, no other between (split_wrapped()) */
};

struct catalog_migration {
	const char *revision; /* "" for a repeatable one */
	const char *slug;     /* "add_users"; "" where there is none */
	const char *message;  /* the header's, else the slug with blanks */
	const char *file;     /* where it is; with several files that of its up section */
	unsigned line;        /* of what names the revision or its parents; 1 where a name does */
	struct catalog_section up, down;
	bool compatible;
};

enum catalog_format catalog_format(const struct catalog *catalog);
/* Versioned migrations, in catalog order: the place is that in the graph. */
unsigned catalog_count(const struct catalog *catalog);
const struct catalog_migration *catalog_at(const struct catalog *catalog, unsigned place);
/* Flyway's R__ files, by name: run after the others whenever their checksum changed. */
unsigned catalog_repeatable_count(const struct catalog *catalog);
const struct catalog_migration *catalog_repeatable_at(const struct catalog *catalog, unsigned index);
const struct graph *catalog_graph(const struct catalog *catalog);
/* What is no defect and yet worth a word: files that are not looked at, empty sections. Lines as defects'. */
unsigned catalog_note_count(const struct catalog *catalog);
const char *catalog_note(const struct catalog *catalog, unsigned index);

/* The statements of a section, in order; their offsets are within their piece. It was split when the catalog
 * was made, so this cannot fail. split_free() it. */
struct split catalog_statements(const struct catalog_section *section);

/* Can each step of a path be done with what the catalog has? Defects name what is missing: a down section, or
 * all of them (Alembic's). */
bool catalog_check_path(const struct catalog *catalog, const struct graph_path *path,
    struct catalog_defects *defects) __attribute__((warn_unused_result));

/* The checksum of a section, over its meaning (split_meaning()), placeholders not replaced: 64 hexadecimal
 * digits of SHA-256, computed by `digest` since OpenSSL belongs to another room. "" for a missing section. */
typedef void (*catalog_digest)(const void *bytes, size_t size, unsigned char out[32]);
void catalog_checksum(const struct catalog_section *section, catalog_digest digest, char out[65]);

#endif
