#include "migrate.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/pq.h"
#include "schema/split.h"
#include "ctl/cli.h"
#include "conduct.h"
#include "migrate_private.h"

#define URL_EXAMPLE "postgresql://USER@HOST:5432/DATABASE"

_Static_assert((int)CATALOG_AUTO == 0 && (int)CATALOG_ALEMBIC == 8, "as migrations.format in conf.def");

bool migrate_fails(struct migrate *m, int status, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "headgate %s: ", m->command);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	m->status = status;
	return false;
}

/* ---- which database, by what ---- */

/* "x: y" as it stands in YAML between double quotes. What is no text is told by the parser. */
static char *yaml_quoted(const char *text)
{
	char *out = mem_alloc(2 * strlen(text) + 3), *to = out;
	*to++ = '"';
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			*to++ = '\\';
		*to++ = *text;
	}
	*to++ = '"';
	*to = '\0';
	return out;
}

/* The name by which people know what a url leads to. */
static char *url_name(const char *url)
{
	char *name = pq_dsn_dbname(url);
	if (name == NULL)
		name = pq_dsn_user(url);
	if (name == NULL || name[0] == '\0' || strcmp(name, "*") == 0) {
		mem_free(&name);
		name = mem_strdup("database");
	}
	return name;
}

/* NULL: it is right. */
static const char *url_error(const char *url)
{
	struct split_error no_text;
	return split_check_text(url, strlen(url), &no_text) ? pq_dsn_error(url) : "it is not UTF-8";
}

/* No configuration: one is made up, in which everything but the database is at its default. */
static bool open_url(struct migrate *m, const char *url, const char *from)
{
	const char *wrong = url_error(url);
	if (wrong != NULL)
		return migrate_fails(m, CLI_USAGE, "%s: %s\nIt is written %s", from, wrong, URL_EXAMPLE);
	struct conf_errors errors = {.count = 0};
	char *name = url_name(url);
	char *quoted_name = yaml_quoted(name), *quoted_url = yaml_quoted(url);
	char *text = mem_printf("listen: {address: \"127.0.0.1:6432\"}\n"
				"databases:\n"
				"  %s:\n"
				"    upstream: {address: \"127.0.0.1:5432\"}\n"
				"    control: {dsn: %s}\n"
				"    recorded: {reader: headgate}\n",
	    quoted_name, quoted_url);
	m->conf = conf_parse(from, text, strlen(text), &errors);
	for (unsigned i = 0; i < errors.count; i++)
		fprintf(stderr, "%s\n", errors.lines[i]);
	conf_errors_free(&errors);
	mem_free(&text);
	mem_free(&quoted_name);
	mem_free(&quoted_url);
	mem_free(&name);
	if (m->conf == NULL) {
		m->status = CLI_USAGE;
		return false;
	}
	m->section = &m->conf->databases[0];
	m->name = m->section->name;
	m->dsn = mem_strdup(url);
	return true;
}

/* The section may be left open here where there are several: a command that only reads files needs none. */
static bool choose_section(struct migrate *m)
{
	bool one = m->conf->database_count == 1 && strcmp(m->conf->databases[0].name, "*") != 0;
	if (m->given.database == NULL && !one)
		return true;
	m->section = cli_database(m->conf, m->given.database);
	if (m->section == NULL) {
		m->status = CLI_USAGE;
		return false;
	}
	m->name = m->given.database != NULL ? m->given.database : m->section->name;
	if (m->given.url != NULL) {
		const char *wrong = url_error(m->given.url);
		if (wrong != NULL)
			return migrate_fails(m, CLI_USAGE, "--url: %s\nIt is written %s", wrong, URL_EXAMPLE);
		m->dsn = mem_strdup(m->given.url);
		return true;
	}
	m->dsn = mem_strdup(m->section->control.run_dsn);
	m->dbname = conduct_dbname(m->section, m->name);
	return true;
}

static bool open_conf(struct migrate *m)
{
	const char *url = getenv("DATABASE_URL"), *named = getenv("HEADGATE_CONFIG");
	bool file = m->given.config != NULL || (named != NULL && named[0] != '\0') ||
	    access(CLI_DEFAULT_CONFIG, F_OK) == 0;
	/* A url of the command line says all that a section says of the way there. */
	if (m->given.url != NULL && m->given.config == NULL && m->given.database == NULL)
		return open_url(m, m->given.url, "--url");
	if (file) {
		m->conf = cli_conf(m->given.config);
		m->configured = m->conf != NULL;
		m->status = CLI_CONFIG;
		return m->configured && choose_section(m);
	}
	if (m->given.database != NULL)
		return migrate_fails(m, CLI_USAGE,
		    "-d names a database of the configuration, and there is none (%s). Give one with -c, or "
		    "the database itself with --url " URL_EXAMPLE,
		    CLI_DEFAULT_CONFIG);
	if (m->given.url != NULL)
		return open_url(m, m->given.url, "--url");
	return url == NULL || url[0] == '\0' || open_url(m, url, "DATABASE_URL");
}

bool migrate_goes_to(struct migrate *m, const char *url, const char *from)
{
	const char *wrong = url_error(url);
	if (wrong != NULL)
		return migrate_fails(m, CLI_USAGE, "%s: %s\nIt is written %s", from, wrong, URL_EXAMPLE);
	if (m->conf == NULL)
		return open_url(m, url, from);
	mem_free(&m->dsn);
	mem_free(&m->dbname);
	m->dsn = mem_strdup(url);
	return true;
}

bool migrate_section(struct migrate *m)
{
	if (m->section != NULL)
		return true;
	if (m->conf != NULL) {
		cli_database(m->conf, NULL);
		m->status = CLI_USAGE;
		return false;
	}
	return migrate_fails(m, CLI_USAGE,
	    "which database? Say it with --url " URL_EXAMPLE
	    ", or in $DATABASE_URL, or in a configuration: -c "
	    "FILE");
}

/* ---- options ---- */

static bool take_placeholder(struct migrate *m, const char *name, size_t size, const char *value)
{
	struct catalog_placeholder *slot = NULL;
	for (unsigned i = 0; i < m->placeholder_count; i++) {
		if (strlen(m->placeholders[i].name) == size &&
		    strncmp(m->placeholders[i].name, name, size) == 0)
			slot = &m->placeholders[i];
	}
	if (slot == NULL) {
		m->placeholders =
		    mem_realloc(m->placeholders, (m->placeholder_count + 1) * sizeof(m->placeholders[0]));
		slot = &m->placeholders[m->placeholder_count++];
		slot->name = mem_strndup(name, size);
	} else {
		mem_free(&slot->value);
	}
	slot->value = mem_strdup(value);
	return true;
}

static bool take_placeholders(struct migrate *m)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-";
	for (unsigned i = 0; m->section != NULL && i < m->section->migrations.set_count; i++) {
		const struct conf_placeholder *set = &m->section->migrations.set[i];
		take_placeholder(m, set->name, strlen(set->name), set->value);
	}
	for (unsigned i = 0; i < m->given.set.count; i++) {
		const char *pair = m->given.set.at[i];
		size_t size = strspn(pair, letters);
		if (size == 0 || pair[size] != '=') {
			command_usage(
			    m->command, "--set %s: write NAME=VALUE, NAME as it stands in ${NAME}", pair);
			m->status = CLI_USAGE;
			return false;
		}
		take_placeholder(m, pair, size, pair + size + 1);
	}
	return true;
}

static bool take_format(struct migrate *m)
{
	m->format = m->section != NULL ? (enum catalog_format)m->section->migrations.format : CATALOG_AUTO;
	if (m->given.format == NULL || catalog_format_named(m->given.format, &m->format))
		return true;
	m->status = command_usage(
	    m->command, "--format %s: write one of %s", m->given.format, catalog_format_names());
	return false;
}

static const char *folder(const struct migrate *m)
{
	if (m->given.dir != NULL)
		return m->given.dir;
	if (m->section != NULL && m->section->migrations.dir != NULL)
		return m->section->migrations.dir;
	return "migrations";
}

int migrate_open(struct migrate *m, int argc, char **argv, const char *help, const struct command_option *own,
    unsigned own_count)
{
	struct migrate_given *given = &m->given;
	const struct command_option migrate_options[] = {
	    {.name = "config", .letter = 'c', .text = &given->config},
	    {.name = "database", .letter = 'd', .text = &given->database},
	    {.name = "url", .text = &given->url},
	    {.name = "dir", .text = &given->dir},
	    {.name = "format", .text = &given->format},
	    {.name = "set", .list = &given->set},
	    {.name = "json", .flag = &m->json},
	};
	const struct command_option verbose_option[] = {
	    {.name = "verbose", .letter = 'v', .flag = &m->verbose},
	};
	const struct command_options tables[] = {
	    {migrate_options, sizeof(migrate_options) / sizeof(migrate_options[0])},
	    {own, own_count},
	    m->also,
	    {verbose_option, 1},
	};
	const struct command_line line = {
	    .help = help, .tables = tables, .table_count = m->verbose_too ? 4 : 3};
	m->command = argv[0];
	int status = command_options_read(&line, argc, argv, &m->words, &m->word_count);
	if (status >= 0)
		return status;
	if (!open_conf(m) || !take_format(m) || !take_placeholders(m))
		return m->status;
	m->dir = folder(m);
	return -1;
}

void migrate_close(struct migrate *m)
{
	catalog_free(&m->catalog);
	pq_now_close(&m->pq);
	migrate_ledger_free(&m->ledger);
	for (unsigned i = 0; i < m->placeholder_count; i++) {
		mem_free(&m->placeholders[i].name);
		mem_free(&m->placeholders[i].value);
	}
	mem_free(&m->placeholders);
	option_list_free(&m->given.set);
	mem_free(&m->dsn);
	mem_free(&m->dbname);
	conf_unref(&m->conf);
	*m = (struct migrate){.status = 0};
}

const char *migrate_database(const struct migrate *m)
{
	return m->name != NULL ? m->name : "database";
}

/* ---- the folder ---- */

struct catalog_options migrate_catalog_options(const struct migrate *m)
{
	return (struct catalog_options){
	    .format = m->format,
	    .folder = m->dir,
	    .drafts = m->drafts,
	    .placeholders = m->placeholder_count > 0,
	    .placeholder = m->placeholders,
	    .placeholder_count = m->placeholder_count,
	};
}

static bool tell_defects(struct migrate *m, struct catalog_defects *defects)
{
	unsigned shown = defects->count < CATALOG_DEFECTS ? defects->count : CATALOG_DEFECTS;
	for (unsigned i = 0; i < shown; i++)
		fprintf(stderr, "%s\n", defects->lines[i]);
	if (defects->count > shown)
		fprintf(stderr, "... and %u more\n", defects->count - shown);
	migrate_fails(
	    m, CLI_FAILED, "the migrations in %s are not in order, as said above; nothing was done", m->dir);
	catalog_defects_free(defects);
	return false;
}

static bool fails_without_folder(struct migrate *m, int error)
{
	if (error != ENOENT)
		return migrate_fails(m, CLI_FAILED, "the folder %s: %s", m->dir, strerror(error));
	if (m->given.dir == NULL && m->section != NULL && m->section->migrations.dir != NULL)
		return migrate_fails(m, CLI_FAILED,
		    "there is no folder %s, which databases.%s.migrations.dir of the configuration names",
		    m->dir, m->section->name);
	return migrate_fails(m, CLI_FAILED,
	    "there is no folder %s%s. Say where the migrations are with --dir; the first one is made by "
	    "`headgate revision -m \"...\"`",
	    m->dir, m->given.dir == NULL && m->dir[0] != '/' ? " here" : "");
}

bool migrate_catalog_at(struct migrate *m, bool may_be_missing)
{
	struct stat status;
	struct catalog_files files = {.count = 0};
	struct catalog_defects defects = {.count = 0};
	char *why = NULL;
	if (m->conf != NULL && m->section == NULL && m->given.dir == NULL && !migrate_section(m))
		return false;
	bool missing = stat(m->dir, &status) != 0;
	if (missing && !(may_be_missing && errno == ENOENT))
		return fails_without_folder(m, errno);
	if (!missing && !S_ISDIR(status.st_mode))
		return migrate_fails(m, CLI_FAILED, "%s is no folder", m->dir);
	if (!missing && !catalog_read_folder(m->dir, &files, &why)) {
		migrate_fails(m, CLI_FAILED, "%s", why);
		mem_free(&why);
		return false;
	}
	const struct catalog_options options = migrate_catalog_options(m);
	m->catalog = catalog_parse(&files, &options, &defects);
	catalog_files_free(&files);
	if (m->catalog == NULL)
		return tell_defects(m, &defects);
	m->graph = catalog_graph(m->catalog);
	for (unsigned i = 0; m->verbose && i < catalog_note_count(m->catalog); i++)
		fprintf(stderr, "%s\n", catalog_note(m->catalog, i));
	return true;
}

bool migrate_catalog(struct migrate *m)
{
	return migrate_catalog_at(m, false);
}
