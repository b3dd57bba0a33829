#include "schema/surface.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* What a row is about, in the order in which losses are told. */
#define KINDS "XRCETFKP"
enum {
	KIND_EXTENSION = 'X',
	KIND_RELATION = 'R', /* a: relkind, s for a partition; b: row security */
	KIND_COLUMN = 'C',   /* part: the column; a: type; b: its category; c: n not null, d default, g
				generated,   i identity always, b identity by default */
	KIND_VALUE = 'E',    /* of an enum */
	KIND_TYPE = 'T',
	KIND_FUNCTION = 'F',   /* a: result */
	KIND_CONSTRAINT = 'K', /* part: definition; a: c, f, x; u: unique columns, by constraint or index;
				  b: the columns, a line each, where they are all */
	KIND_PRIVILEGE = 'P',  /* part: "SELECT to app" */
};

/* The lines are SQL's. */
/* clang-format off */
#define OURS(namespace) namespace ".nspname !~ '^pg_' AND " namespace ".nspname NOT IN ('information_schema', 'headgate')"
#define FREE(catalog, oid) \
	"NOT EXISTS (SELECT FROM pg_catalog.pg_depend m WHERE m.classid = 'pg_catalog." catalog "'::pg_catalog.regclass " \
	"AND m.objid = " oid " AND m.deptype = 'e')"
const char surface_sql[] =
	"WITH relations AS (SELECT c.*, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name "
	"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
	"WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND " OURS("n") " AND " FREE("pg_class", "c.oid") ") "
	"SELECT 'X', pg_catalog.quote_ident(e.extname), '', NULL::text, NULL::text, NULL::text FROM pg_catalog.pg_extension e "
	"UNION ALL SELECT 'R', r.name, '', CASE WHEN r.relispartition THEN 's' ELSE r.relkind::text END, "
	"r.relrowsecurity::text, NULL FROM relations r "
	"UNION ALL SELECT 'C', r.name, pg_catalog.quote_ident(a.attname), pg_catalog.format_type(a.atttypid, a.atttypmod), "
	"t.typcategory::text, CASE WHEN a.attnotnull THEN 'n' ELSE '' END || CASE WHEN a.attgenerated <> '' THEN 'g' "
	"WHEN a.atthasdef OR t.typdefault IS NOT NULL THEN 'd' ELSE '' END || "
	"CASE a.attidentity WHEN 'a' THEN 'i' WHEN 'd' THEN 'b' ELSE '' END "
	"FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
	"WHERE a.attnum > 0 AND NOT a.attisdropped AND NOT r.relispartition AND r.relkind <> 'S' "
	"UNION ALL SELECT 'E', pg_catalog.format('%I.%I', n.nspname, t.typname), pg_catalog.quote_literal(l.enumlabel), NULL, NULL, NULL "
	"FROM pg_catalog.pg_enum l JOIN pg_catalog.pg_type t ON t.oid = l.enumtypid "
	"JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE " OURS("n") " AND " FREE("pg_type", "t.oid") " "
	"UNION ALL SELECT 'T', pg_catalog.format('%I.%I', n.nspname, t.typname), '', NULL, NULL, NULL "
	"FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace "
	"LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid WHERE (t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c') "
	"AND " OURS("n") " AND " FREE("pg_type", "t.oid") " "
	"UNION ALL SELECT 'F', pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)), '', "
	"p.prokind::text || ' ' || coalesce(pg_catalog.pg_get_function_result(p.oid), ''), NULL, NULL "
	"FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace "
	"WHERE p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype AND " OURS("n") " AND " FREE("pg_proc", "p.oid") " "
	"AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend m WHERE m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass "
	"AND m.objid = p.oid AND m.deptype = 'i') "
	"UNION ALL SELECT 'K', r.name, pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(k.oid), ' NOT VALID$', ''), "
	"k.contype::text, (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), E'\n') FROM pg_catalog.pg_attribute a "
	"WHERE a.attrelid = r.oid AND a.attnum = ANY (k.conkey)), NULL "
	"FROM relations r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid "
	"WHERE k.contype IN ('c', 'f', 'x') AND NOT r.relispartition "
	"UNION ALL SELECT 'K', r.name, '(' || (SELECT pg_catalog.string_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k, true), ', ' "
	"ORDER BY k) FROM pg_catalog.generate_series(1, i.indnkeyatts) k) || ')' || "
	"coalesce(' WHERE ' || pg_catalog.pg_get_expr(i.indpred, i.indrelid), ''), 'u', CASE WHEN NOT 0 = ANY (i.indkey) THEN "
	"(SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), E'\n') FROM pg_catalog.pg_attribute a "
	"WHERE a.attrelid = r.oid AND a.attnum = ANY (i.indkey)) END, NULL "
	"FROM relations r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid WHERE i.indisunique AND i.indisvalid AND NOT r.relispartition "
	"UNION ALL SELECT 'P', r.name, x.privilege_type || ' to ' || CASE x.grantee WHEN 0 THEN 'everybody' ELSE "
	"pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END, NULL, NULL, NULL "
	"FROM relations r, pg_catalog.aclexplode(r.relacl) x WHERE x.grantee <> r.relowner AND NOT r.relispartition "
	"GROUP BY r.name, x.privilege_type, x.grantee";
/* clang-format on */

struct thing {
	char kind;
	char *name, *part, *a, *b, *c;
};
struct surface {
	struct thing *at; /* by kind, name, part */
	unsigned count;
};

static int by_key(const void *left, const void *right)
{
	const struct thing *a = left, *b = right;
	if (a->kind != b->kind)
		return strchr(KINDS, a->kind) < strchr(KINDS, b->kind) ? -1 : 1;
	int order = strcmp(a->name, b->name);
	return order != 0 ? order : strcmp(a->part, b->part);
}

static const struct thing *find(const struct surface *surface, char kind, const char *name, const char *part)
{
	struct thing key = {.kind = kind, .name = (char *)(uintptr_t)name, .part = (char *)(uintptr_t)part};
	return surface->count == 0
	    ? NULL
	    : bsearch(&key, surface->at, surface->count, sizeof(surface->at[0]), by_key);
}

struct surface *surface_read(const struct reader_rows *rows)
{
	if (rows->columns != 6)
		return NULL;
	struct surface *surface = mem_zalloc(sizeof(*surface));
	surface->at = mem_zalloc((rows->rows + 1) * sizeof(surface->at[0]));
	for (unsigned i = 0; i < rows->rows; i++) {
		const char *cells[6];
		for (unsigned column = 0; column < 6; column++) {
			cells[column] = rows->cell(rows->handle, i, column);
			if (cells[column] == NULL)
				cells[column] = "";
		}
		if (cells[0][0] == '\0' || strchr(KINDS, cells[0][0]) == NULL)
			continue;
		surface->at[surface->count++] = (struct thing){cells[0][0], mem_strdup(cells[1]),
		    mem_strdup(cells[2]), mem_strdup(cells[3]), mem_strdup(cells[4]), mem_strdup(cells[5])};
	}
	if (surface->count > 1)
		qsort(surface->at, surface->count, sizeof(surface->at[0]), by_key);
	return surface;
}

void surface_free(struct surface **at)
{
	struct surface *surface = *at;
	if (surface == NULL)
		return;
	for (unsigned i = 0; i < surface->count; i++) {
		struct thing *thing = &surface->at[i];
		mem_free(&thing->name);
		mem_free(&thing->part);
		mem_free(&thing->a);
		mem_free(&thing->b);
		mem_free(&thing->c);
	}
	mem_free(&surface->at);
	mem_free(at);
}

/* ---- what is lost ---- */

static void lose(struct surface_losses *out, bool certain, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void lose(struct surface_losses *out, bool certain, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	/* doubling from 8 on: room is the next power of two */
	if (out->count == 0 || (out->count >= 8 && (out->count & (out->count - 1)) == 0))
		out->at = mem_realloc(out->at, (out->count < 8 ? 8 : out->count * 2) * sizeof(out->at[0]));
	out->at[out->count++] = (struct surface_loss){certain, mem_strdup(text != NULL ? text : "")};
	free(text);
}

static const char *relation_word(const struct thing *relation)
{
	switch (relation->a[0]) {
	case 'v':
		return "view";
	case 'm':
		return "materialized view";
	case 'S':
		return "sequence";
	case 's':
		return "partition";
	default:
		return "table";
	}
}

static bool is_table(const struct thing *relation)
{
	return relation != NULL && strchr("rpf", relation->a[0]) != NULL && relation->a[0] != '\0';
}

static bool flag(const struct thing *column, char which)
{
	return strchr(column->c, which) != NULL;
}

/* Does an insert that leaves the column out get a value for it? */
static bool is_filled(const struct thing *column)
{
	return flag(column, 'd') || flag(column, 'g') || flag(column, 'i') || flag(column, 'b');
}

/* What text clients send and get stays what it was: a longer varchar, text, more digits. */
static bool only_wider(const char *from, const char *to)
{
	int n = 0, m = 0, scale_from = 0, scale_to = 0;

	if (strcmp(to, "text") == 0 || strcmp(to, "character varying") == 0)
		return strncmp(from, "character varying", 17) == 0 || strcmp(from, "text") == 0;
	if (sscanf(from, "character varying(%d)", &n) == 1 && sscanf(to, "character varying(%d)", &m) == 1)
		return m >= n;
	if (sscanf(from, "numeric(%d,%d)", &n, &scale_from) == 2) {
		if (strcmp(to, "numeric") == 0)
			return true;
		return sscanf(to, "numeric(%d,%d)", &m, &scale_to) == 2 && m >= n && scale_to == scale_from;
	}
	return false;
}

static void compare_column(
    const struct thing *was, const struct thing *is, bool of_table, struct surface_losses *out)
{
	if (strcmp(was->a, is->a) != 0 && !only_wider(was->a, is->a))
		lose(out, strcmp(was->b, is->b) != 0, "column %s.%s is %s, was %s", was->name, was->part,
		    is->a, was->a);
	if (!of_table)
		return;
	if (flag(is, 'n') && !flag(was, 'n')) {
		if (is_filled(is))
			lose(out, false, "column %s.%s is NOT NULL now: writing a null fails", was->name,
			    was->part);
		else
			lose(out, true,
			    "column %s.%s is NOT NULL now, without a default: inserts that leave it out fail",
			    was->name, was->part);
	} else if (is_filled(was) && !is_filled(is)) {
		if (flag(is, 'n'))
			lose(out, true,
			    "column %s.%s has no default any more: inserts that leave it out fail", was->name,
			    was->part);
		else
			lose(out, false,
			    "column %s.%s has no default any more: inserts that leave it out get a null",
			    was->name, was->part);
	}
	if ((flag(is, 'g') && !flag(was, 'g')) || (flag(is, 'i') && !flag(was, 'i')))
		lose(out, true, "column %s.%s is generated now: writing to it fails", was->name, was->part);
}

/* What was there. */
static void compare_old(const struct surface *before, const struct surface *after, const struct thing *was,
    struct surface_losses *out)
{
	const struct thing *is = find(after, was->kind, was->name, was->part);
	const struct thing *relation = find(after, KIND_RELATION, was->name, "");

	switch (was->kind) {
	case KIND_EXTENSION:
		if (is == NULL)
			lose(out, true, "extension %s is gone", was->name);
		break;
	case KIND_RELATION:
		if (is == NULL)
			lose(out, was->a[0] != 's', "%s %s is gone", relation_word(was), was->name);
		else if (is_table(was) && !is_table(is) && is->a[0] != 's')
			lose(out, false, "table %s is a %s now", was->name, relation_word(is));
		else if (strcmp(was->b, "true") != 0 && strcmp(is->b, "true") == 0)
			lose(out, false,
			    "%s %s shows only rows that a policy lets through (row level security)",
			    relation_word(is), is->name);
		break;
	case KIND_COLUMN:
		if (relation == NULL || relation->a[0] == 's')
			break;
		if (is == NULL)
			lose(out, true, "column %s.%s is gone", was->name, was->part);
		else
			compare_column(was, is, is_table(relation), out);
		break;
	case KIND_VALUE:
		if (is == NULL && find(after, KIND_TYPE, was->name, "") != NULL)
			lose(out, true, "enum %s has no value %s any more", was->name, was->part);
		break;
	case KIND_TYPE:
		if (is == NULL)
			lose(out, true, "type %s is gone", was->name);
		break;
	case KIND_FUNCTION:
		if (is == NULL)
			lose(out, true, "%s %s is gone", was->a[0] == 'p' ? "procedure" : "function",
			    was->name);
		else if (strcmp(was->a, is->a) != 0)
			lose(out, true, "function %s returns %s, was %s", was->name, is->a + 2, was->a + 2);
		break;
	case KIND_CONSTRAINT:
		if (is == NULL && relation != NULL && was->a[0] == 'u' &&
		    find(before, KIND_RELATION, was->name, "") != NULL)
			lose(out, false, "%s has no unique index on %s any more: ON CONFLICT %s fails",
			    was->name, was->part, was->part);
		break;
	case KIND_PRIVILEGE:
		if (is == NULL && relation != NULL)
			lose(out, true, "%s: %s was revoked", was->name, was->part);
		break;
	default:
		break;
	}
}

/* Of columns that clients of before do not know, and which they therefore leave null. */
static bool is_about_new_columns(const struct surface *before, const struct thing *constraint)
{
	char name[256];
	bool known = constraint->b[0] == '\0';

	for (const char *s = constraint->b; *s != '\0' && !known;) {
		size_t n = strcspn(s, "\n");
		snprintf(name, sizeof(name), "%.*s", (int)n, s);
		known = find(before, KIND_COLUMN, constraint->name, name) != NULL;
		s += n + (s[n] == '\n');
	}
	return !known;
}

/* What was not there, and is in the way of clients that do not know it. */
static void compare_new(const struct surface *before, const struct thing *is, struct surface_losses *out)
{
	const struct thing *relation = find(before, KIND_RELATION, is->name, "");

	if (!is_table(relation) || find(before, is->kind, is->name, is->part) != NULL)
		return;
	if (is->kind == KIND_COLUMN && flag(is, 'n') && !is_filled(is))
		lose(out, true,
		    "column %s.%s is new and NOT NULL without a default: inserts that do not know it fail",
		    is->name, is->part);
	if (is->kind != KIND_CONSTRAINT || is_about_new_columns(before, is))
		return;
	if (is->a[0] == 'u')
		lose(out, false, "%s must be unique by %s now: writes that are not fail", is->name, is->part);
	else if (is->kind == KIND_CONSTRAINT)
		lose(
		    out, false, "%s has a new constraint: writes that break it fail: %s", is->name, is->part);
}

struct surface_losses surface_compare(const struct surface *before, const struct surface *after)
{
	struct surface_losses found = {.count = 0}, out = {.count = 0};

	for (unsigned i = 0; i < before->count; i++)
		compare_old(before, after, &before->at[i], &found);
	for (unsigned i = 0; i < after->count; i++)
		compare_new(before, &after->at[i], &found);
	out.at = mem_zalloc((found.count + 1) * sizeof(out.at[0]));
	for (int certain = 1; certain >= 0; certain--) {
		for (unsigned i = 0; i < found.count; i++)
			if (found.at[i].certain == (certain == 1))
				out.at[out.count++] = found.at[i];
		out.certain = certain == 1 ? out.count : out.certain;
	}
	mem_free(&found.at);
	return out;
}

void surface_losses_free(struct surface_losses *losses)
{
	for (unsigned i = 0; i < losses->count; i++)
		mem_free(&losses->at[i].text);
	mem_free(&losses->at);
	*losses = (struct surface_losses){.count = 0};
}
