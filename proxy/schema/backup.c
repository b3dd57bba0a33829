/* What a plan's statements may touch. */
#include "schema/backup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "warn_private.h"

/* Past so many different names nobody looks at them any more. */
#define NAMES_MOST 50000

struct names {
	char **at;
	unsigned count, room;
};

struct scan {
	struct names names, calls;
	bool writes;
	char *doubt;
};

static void names_add(struct names *names, const char *name)
{
	if (names->count == names->room) {
		names->room = names->room == 0 ? 64 : names->room * 2;
		names->at = mem_realloc(names->at, names->room * sizeof(names->at[0]));
	}
	names->at[names->count++] = mem_strdup(name);
}

static void names_free(struct names *names)
{
	for (unsigned i = 0; i < names->count; i++)
		mem_free(&names->at[i]);
	mem_free(&names->at);
	names->count = names->room = 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_unite(struct names *names)
{
	unsigned kept = 0;
	if (names->count > 1)
		qsort(names->at, names->count, sizeof(names->at[0]), by_text);
	for (unsigned i = 0; i < names->count; i++) {
		if (kept > 0 && strcmp(names->at[kept - 1], names->at[i]) == 0)
			mem_free(&names->at[i]);
		else
			names->at[kept++] = names->at[i];
	}
	names->count = kept;
}

/* '{"a","b"}' */
static char *names_array(const struct names *names)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	fputc('{', to);
	for (unsigned i = 0; i < names->count; i++) {
		fputs(i == 0 ? "\"" : ",\"", to);
		for (const char *s = names->at[i]; *s != '\0'; s++) {
			if (*s == '"' || *s == '\\')
				fputc('\\', to);
			fputc(*s, to);
		}
		fputc('"', to);
	}
	fputc('}', to);
	fclose(to);
	char *owned = mem_strdup(text);
	free(text);
	return owned;
}

/* Every name, whatever it names: of a column or a keyword too, that costs nothing but a look. */
static void scan_names(struct scan *scan, struct warn_words words, bool calls)
{
	while (!words_end(&words)) {
		struct warn_name name;
		struct warn_words at = words;
		if (!words_name(&words, &name)) {
			words.place++;
			continue;
		}
		bool called = calls && words_is_text(&words, "(");
		/* Each part of a.b.c may be the table. */
		for (; at.place < words.place; at.place++) {
			struct warn_words part = at;
			part.end = at.place + 1;
			if (words_name(&part, &name))
				names_add(&scan->names, name.name);
		}
		if (called)
			names_add(&scan->calls, name.name);
	}
}

/* What begins a statement that touches nothing but what it names. In some of them what looks like a call is
 * one; some write rows, and so call triggers. */
static const char *const plain[] = {"create view", "create or replace view", "create recursive view",
    "create type", "create domain", "create sequence", "create schema", "create extension", "create trigger",
    "create or replace trigger", "create constraint trigger", "create function", "create or replace function",
    "create procedure", "create or replace procedure", "create policy", "create statistics", "create role",
    "create user", "create publication", "alter index", "alter view", "alter sequence", "alter function",
    "alter procedure", "alter trigger", "alter policy", "alter schema", "alter default privileges",
    "alter role", "alter statistics", "drop table", "drop index", "drop view", "drop materialized view",
    "drop sequence", "drop function", "drop procedure", "drop trigger", "drop policy", "drop statistics",
    "comment", "grant", "revoke", "lock", "vacuum", "analyze", "set", "reset", "show", "notify", "begin",
    "start", "commit", "end", "savepoint", "release", "rollback"};
static const char *const calling[] = {"create table", "create unlogged table", "create temp table",
    "create temporary table", "create materialized view", "create index", "create unique index",
    "alter table", "alter materialized view", "refresh", "reindex", "cluster", "values", "select"};
static const char *const writing[] = {"insert", "update", "delete", "merge", "truncate", "copy", "with"};

static bool begins_with(const struct warn_words *words, const char *const *phrases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct warn_words ahead = *words;
		if (words_take_all(&ahead, phrases[i]))
			return true;
	}
	return false;
}
#define BEGINS_WITH(words, phrases) begins_with(words, phrases, sizeof(phrases) / sizeof((phrases)[0]))

/* The first words, for a text. */
static void first_words(const struct split_statement *statement, char *out, size_t room)
{
	size_t n = 0, blanks = 0;
	for (; n < statement->size && n < room - 1 && n < 60; n++) {
		char c = statement->text[n];
		if ((c == ' ' || c == '\n' || c == '\t') && ++blanks == 3)
			break;
		if (c == '(' || c == '$' || (unsigned char)c < ' ')
			break;
		out[n] = c;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

/* Why this statement may touch what it does not name; NULL: it does not. */
static const char *doubt_of(const struct warn_words *words)
{
	struct warn_words ahead = *words;

	if (words_take_all(&ahead, "alter type") || words_take_all(&ahead, "alter domain"))
		return words_have(ahead, "add value", NULL) || words_have(ahead, "rename value", NULL) ||
			words_have(ahead, "validate constraint", NULL)
		    ? NULL
		    : "changes every table with a column of that type";
	if (!BEGINS_WITH(words, plain) && !BEGINS_WITH(words, calling) && !BEGINS_WITH(words, writing))
		return "may change what it does not name";
	if (words_is(words, "drop") && words_have(*words, "cascade", NULL))
		return "takes along what depends on it";
	if ((words_is(words, "alter") || words_is(words, "truncate")) && words_have(*words, "cascade", NULL))
		return "takes along what depends on it";
	if (words_have(*words, "all in tablespace", NULL) || words_have(*words, "on all tables", NULL))
		return "is about all tables";
	return NULL;
}

static void scan_statement(
    struct scan *scan, const struct plan_step *step, const struct split_statement *statement)
{
	struct warn_tokens tokens = warn_tokens(statement->text, statement->size);
	struct warn_words words = {.text = statement->text, .at = tokens.at, .end = tokens.count};
	const char *doubt = doubt_of(&words);

	if (doubt != NULL) {
		char first[64];
		first_words(statement, first, sizeof(first));
		scan->doubt = mem_printf("%s:%u: %s %s", step->section->file, statement->line, first, doubt);
	} else {
		bool writes = BEGINS_WITH(&words, writing);
		scan->writes = scan->writes || writes;
		scan_names(scan, words, writes || BEGINS_WITH(&words, calling));
	}
	mem_free(&tokens.at);
}

static void scan_step(struct scan *scan, const struct plan_step *step)
{
	struct split statements = catalog_statements(step->section);
	for (unsigned i = 0; scan->doubt == NULL && i < statements.count; i++)
		scan_statement(scan, step, &statements.at[i]);
	split_free(&statements);
	names_unite(&scan->names);
	names_unite(&scan->calls);
	if (scan->doubt == NULL && scan->names.count > NAMES_MOST)
		scan->doubt = mem_strdup("there are very many statements");
}

void backup_scope(const struct plan *plan, bool all, struct backup_scope *out)
{
	struct scan scan = {.doubt = all ? mem_strdup("") : NULL};

	for (unsigned i = 0; scan.doubt == NULL && i < plan->count; i++)
		scan_step(&scan, &plan->at[i]);
	*out =
	    (struct backup_scope){.everything = scan.doubt != NULL, .why = scan.doubt, .writes = scan.writes};
	if (!out->everything) {
		out->names = names_array(&scan.names);
		out->calls = names_array(&scan.calls);
	}
	names_free(&scan.names);
	names_free(&scan.calls);
}

void backup_scope_free(struct backup_scope *scope)
{
	mem_free(&scope->why);
	mem_free(&scope->names);
	mem_free(&scope->calls);
	for (unsigned i = 0; i < scope->table_count; i++)
		mem_free(&scope->tables[i]);
	mem_free(&scope->tables);
	*scope = (struct backup_scope){.why = NULL};
}

/* ---- which of them are tables ---- */

/* Rows (what, text): 'doubt' for what the statements may do behind their words, 'table' for a pattern.
 * Functions of extensions and PostgreSQL's own are taken for what they are: they write into no table of the
 * user's. */
const char backup_tables_sql[] =
    "WITH RECURSIVE named AS ("
    "SELECT c.oid, c.relkind, c.relhasrules FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') "
    "AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'headgate') AND c.relpersistence <> "
    "'t'), "
    "touched(oid) AS (SELECT oid FROM named "
    "UNION SELECT x.oid FROM touched t CROSS JOIN LATERAL ("
    "SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits i WHERE i.inhparent = t.oid "
    "UNION ALL SELECT k.conrelid FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = "
    "t.oid "
    "AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))) x), "
    "doubts AS (SELECT 'function ' || p.proname AS text FROM pg_catalog.pg_proc p "
    "JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace "
    "WHERE p.proname = ANY ($2::text[]) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' "
    "AND p.provolatile = 'v' "
    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass "
    "AND d.objid = p.oid AND d.deptype = 'e') "
    "UNION ALL SELECT 'triggers of ' || t.oid::pg_catalog.regclass::text FROM touched t WHERE $3::boolean "
    "AND EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = t.oid AND NOT g.tgisinternal) "
    "UNION ALL SELECT 'rules of ' || m.oid::pg_catalog.regclass::text FROM named m WHERE $3::boolean "
    "AND m.relhasrules AND m.relkind IN ('r', 'p') "
    "UNION ALL SELECT 'event trigger ' || e.evtname FROM pg_catalog.pg_event_trigger e WHERE e.evtenabled <> "
    "'D' "
    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = "
    "'pg_catalog.pg_event_trigger'::regclass "
    "AND d.objid = e.oid AND d.deptype = 'e')) "
    "SELECT 'doubt', text FROM (SELECT text FROM doubts ORDER BY text LIMIT 1) d "
    "UNION ALL SELECT 'table', '\"' || replace(n.nspname, '\"', '\"\"') || '\".\"' || replace(c.relname, "
    "'\"', '\"\"') || "
    "'\"' FROM touched t JOIN pg_catalog.pg_class c ON c.oid = t.oid "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2";

bool backup_scope_read(struct backup_scope *scope, const struct reader_rows *rows)
{
	if (rows->columns != 2)
		return false;
	scope->tables = mem_zalloc((rows->rows + 1) * sizeof(scope->tables[0]));
	for (unsigned i = 0; i < rows->rows; i++) {
		const char *what = rows->cell(rows->handle, i, 0), *text = rows->cell(rows->handle, i, 1);
		if (what == NULL || text == NULL)
			return false;
		if (strcmp(what, "table") == 0) {
			scope->tables[scope->table_count++] = mem_strdup(text);
		} else if (!scope->everything) {
			scope->everything = true;
			scope->why = mem_printf("%s may change what no statement names", text);
		}
	}
	if (!scope->everything && scope->table_count > BACKUP_TABLES) {
		scope->everything = true;
		scope->why = mem_printf("%u tables are touched", scope->table_count);
	}
	return true;
}

/* "public"."orders" as people write it: without quotes that nobody needs. */
static void put_name(FILE *to, const char *quoted)
{
	while (*quoted != '\0') {
		size_t n = strspn(quoted + 1, "abcdefghijklmnopqrstuvwxyz_0123456789");
		bool simple = n > 0 && quoted[1 + n] == '"' && quoted[2 + n] != '"' &&
		    (quoted[1] < '0' || quoted[1] > '9');
		size_t size = 1;
		while (quoted[size] != '\0' && (quoted[size] != '"' || quoted[size + 1] == '"'))
			size += quoted[size] == '"' ? 2 : 1;
		size += quoted[size] == '"';
		fwrite(simple ? quoted + 1 : quoted, 1, simple ? n : size, to);
		quoted += size;
		if (*quoted == '.')
			fputc(*quoted++, to);
	}
}

char *backup_describe(const struct backup_scope *scope)
{
	char *text = NULL;
	size_t size = 0;

	if (scope->everything)
		return scope->why == NULL || scope->why[0] == '\0' ? mem_strdup("everything")
								   : mem_printf("everything: %s", scope->why);
	if (scope->table_count == 0)
		return mem_strdup("nothing: no table that is there is touched");
	FILE *to = open_memstream(&text, &size);
	fputs(scope->table_count == 1 ? "table " : "tables ", to);
	for (unsigned i = 0; i < scope->table_count && i < 10; i++) {
		fputs(i == 0 ? "" : i + 1 == scope->table_count ? " and " : ", ", to);
		put_name(to, scope->tables[i]);
	}
	if (scope->table_count > 10)
		fprintf(to, " and %u more", scope->table_count - 10);
	fclose(to);
	char *owned = mem_strdup(text);
	free(text);
	return owned;
}
