#include "schema/readers.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "readers_private.h"

#define DETAIL_CHARACTERS  300
#define COLUMNS_CHARACTERS 1000

static const struct reader *reader_find(const char *name)
{
	for (unsigned i = 0; i < readers_count; i++)
		if (name != NULL && strcmp(readers[i].name, name) == 0)
			return &readers[i];
	return NULL;
}

const char *reader_names(void)
{
	static _Thread_local char names[600];
	size_t n = 0;
	for (unsigned i = 0; i < readers_count && n < sizeof(names); i++)
		n += (size_t)snprintf(
		    names + n, sizeof(names) - n, "%s%s", i > 0 ? ", " : "", readers[i].name);
	return names;
}

/* The statement goes into a sub-select, so it must be a query; said here in plainer words than the server's.
 */
static bool begins_like_a_query(const char *statement)
{
	static const char *const words[] = {"select", "with", "values", "table"};
	while (isspace((unsigned char)*statement) || *statement == '(')
		statement++;
	if (strncmp(statement, "--", 2) == 0 || strncmp(statement, "/*", 2) == 0)
		return true; /* the server will say */
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i]);
		if (strncasecmp(statement, words[i], n) == 0 && !isalnum((unsigned char)statement[n]) &&
		    statement[n] != '_')
			return true;
	}
	return false;
}

bool reader_check(const struct conf_recorded *section, char *error, size_t error_size)
{
	const struct reader *reader = reader_find(section->reader);
	if (reader == NULL) {
		snprintf(error, error_size, "recorded.reader: \"%s\" is unknown; write one of %s",
		    section->reader != NULL ? section->reader : "", reader_names());
		return false;
	}
	if (reader->table == NULL) {
		if (section->statement == NULL || section->statement[0] == '\0') {
			snprintf(error, error_size,
			    "recorded.statement: the reader %s needs one, such as SELECT version FROM "
			    "public.schema_version",
			    reader->name);
			return false;
		}
		if (!begins_like_a_query(section->statement)) {
			snprintf(error, error_size,
			    "recorded.statement: write one SELECT, which returns the head, or head and "
			    "state");
			return false;
		}
		if (section->table != NULL) {
			snprintf(error, error_size,
			    "recorded.table: the reader %s has its table in its statement; leave it out",
			    reader->name);
			return false;
		}
		return true;
	}
	if (section->statement != NULL) {
		snprintf(error, error_size,
		    "recorded.statement: belongs to the reader sql; the reader %s has its own", reader->name);
		return false;
	}
	if (reader->fixed &&
	    ((section->schema != NULL && strcmp(section->schema, reader->schema) != 0) ||
		(section->table != NULL && strcmp(section->table, reader->table) != 0))) {
		snprintf(error, error_size,
		    "recorded: the reader %s reads %s.%s and no other table; leave schema and table out",
		    reader->name, reader->schema, reader->table);
		return false;
	}
	return true;
}

static char *quoted(const char *text, char quote)
{
	char *out = mem_alloc(2 * strlen(text) + 3), *to = out;
	*to++ = quote;
	for (; *text != '\0'; text++) {
		if (*text == quote)
			*to++ = quote;
		*to++ = *text;
	}
	*to++ = quote;
	*to = '\0';
	return out;
}

char *sql_identifier(const char *name)
{
	return quoted(name, '"');
}

char *sql_literal(const char *text)
{
	char *plain = quoted(text, '\'');
	if (strchr(text, '\\') == NULL)
		return plain;
	/* Whatever standard_conforming_strings says. */
	char *out = mem_alloc(2 * strlen(plain) + 3), *to = out;
	*to++ = ' ';
	*to++ = 'E';
	for (const char *from = plain; *from != '\0'; from++) {
		if (*from == '\\')
			*to++ = '\\';
		*to++ = *from;
	}
	*to = '\0';
	mem_free(&plain);
	return out;
}

static const char *table_name(const struct reader *reader, const struct conf_recorded *section)
{
	return section->table != NULL ? section->table : reader->table;
}

/* "schema"."table" of the tool's, the latter with this end. */
static char *qualified(
    const struct reader *reader, const struct conf_recorded *section, const char *name, const char *end)
{
	char *whole = mem_printf("%s%s", name, end);
	char *schema = sql_identifier(section->schema != NULL ? section->schema : reader->schema);
	char *table = sql_identifier(whole);
	char *both = mem_printf("%s.%s", schema, table);
	mem_free(&whole);
	mem_free(&schema);
	mem_free(&table);
	return both;
}

char *reader_table(const struct conf_recorded *section)
{
	const struct reader *reader = reader_find(section->reader);
	if (reader == NULL || reader->table == NULL)
		return NULL;
	return qualified(reader, section, table_name(reader, section), "");
}

char *reader_second_table(const struct conf_recorded *section)
{
	const struct reader *reader = reader_find(section->reader);
	if (reader == NULL || reader->also == NULL)
		return NULL;
	return reader->suffix ? qualified(reader, section, table_name(reader, section), reader->also)
			      : qualified(reader, section, reader->also, "");
}

enum conf_order reader_order(const struct conf_recorded *section)
{
	const struct reader *reader = reader_find(section->reader);
	if (section->order != CONF_ORDER_TOOL)
		return section->order;
	return reader != NULL ? reader->order : CONF_ORDER_NONE;
}

/* The trailing semicolon that people write. */
static size_t statement_length(const char *statement)
{
	size_t n = strlen(statement);
	while (n > 0 && (isspace((unsigned char)statement[n - 1]) || statement[n - 1] == ';'))
		n--;
	return n;
}

/* The columns named in one list or two, each as `before"name"`. */
static void put_columns(FILE *to, const struct reader *reader, const char *before)
{
	const char *const lists[] = {reader->columns, reader->optional};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]) && lists[i] != NULL; i++) {
		for (const char *at = lists[i]; *at != '\0'; at += *at == ',') {
			size_t n = strcspn(at, ",");
			fprintf(to, "%s%s\"%.*s\"", i > 0 || at > lists[i] ? ", " : "", before, (int)n, at);
			at += n;
		}
	}
}

/* A piece of a reader's SQL, its tables put in. */
static void put(FILE *to, const struct reader *reader, const char *piece, const char *table, const char *also)
{
	static const char rows[] = "{rows}", second[] = "{also}";
	while (*piece != '\0') {
		if (strncmp(piece, rows, sizeof(rows) - 1) == 0) {
			fputs("(SELECT ", to);
			put_columns(to, reader, "");
			fprintf(to, " FROM %s)", table);
			piece += sizeof(rows) - 1;
		} else if (strncmp(piece, second, sizeof(second) - 1) == 0) {
			fputs(also, to);
			piece += sizeof(second) - 1;
		} else {
			fputc(*piece++, to);
		}
	}
}

/* Inside the sub-select r a column that the table has not is found one level further out, in `missing`, and
 * is NULL. So a table of another tool's is read without an error, and k says what it has. Values are cut one
 * character beyond what a head may have, and rows one beyond what a set may hold: too much is noticed and
 * never travels. */
static void put_statement(FILE *to, const struct reader *reader, const char *table, const char *also)
{
	char *name = sql_literal(table);
	fprintf(to,
	    "SELECT pg_catalog.left(r.head, %d), r.state, pg_catalog.left(r.detail, %d), k.columns FROM "
	    "(SELECT pg_catalog.left(pg_catalog.string_agg(attname::text, ',' ORDER BY attnum), %d) AS "
	    "columns FROM "
	    "pg_catalog.pg_attribute WHERE attrelid = %s::pg_catalog.regclass AND attnum > 0 AND NOT "
	    "attisdropped) AS k "
	    "CROSS JOIN (SELECT ",
	    HEAD_BYTES + 1, DETAIL_CHARACTERS, COLUMNS_CHARACTERS, name);
	put_columns(to, reader, "NULL::text AS ");
	fputs(") AS missing LEFT JOIN LATERAL (", to);
	if (reader->trouble != NULL) {
		fputs("(SELECT NULL::text AS head, t.state::text, t.detail::text FROM (", to);
		put(to, reader, reader->trouble, table, also);
		fputs(") AS t LIMIT 1) UNION ALL ", to);
	}
	fputs("(SELECT (", to);
	put(to, reader, reader->head, table, also);
	fputs(")::text AS head, NULL::text AS state, NULL::text AS detail FROM ", to);
	put(to, reader, reader->from != NULL ? reader->from : "{rows}", table, also);
	fputs(" AS h", to);
	if (reader->where != NULL)
		fprintf(to, " WHERE %s", reader->where);
	if (reader->last != NULL)
		fprintf(to, " ORDER BY %s LIMIT 1", reader->last);
	fprintf(to, ")) AS r ON true LIMIT %d", HEADS_COUNT + 2);
	mem_free(&name);
}

char *reader_sql(const struct conf_recorded *section)
{
	const struct reader *reader = reader_find(section->reader);
	/* One more than a set may hold, so that too many are noticed. The line break ends a comment of the
	 * user's. */
	if (reader->table == NULL)
		return mem_printf("SELECT * FROM (%.*s\n) AS recorded LIMIT %d",
		    (int)statement_length(section->statement), section->statement, HEADS_COUNT + 1);
	char *table = reader_table(section), *also = reader_second_table(section), *sql = NULL;
	size_t size;
	FILE *to = open_memstream(&sql, &size);
	if (to == NULL)
		log_panic("reader: no memory for a statement");
	put_statement(to, reader, table, also);
	fclose(to);
	mem_free(&table);
	mem_free(&also);
	return sql;
}

void reader_recorded(
    const struct conf_recorded *section, const struct reader_rows *rows, struct recorded *out)
{
	const struct reader *reader = reader_find(section->reader);
	*out = (struct recorded){.heads = heads_none()};
	if (reader->table == NULL)
		reader_rows_of_the_user(rows, out);
	else
		reader_rows_of_the_tool(reader, table_name(reader, section), rows, out);
}

bool reader_failed(const char *sqlstate, const char *message, struct recorded *out)
{
	static const struct {
		const char *sqlstate; /* or a class of two characters */
		bool known;
		enum recorded_state state;
		const char *why;
	} table[] = {
	    {"42P01", true, RECORDED_ABSENT, "no version table"},
	    {"3F000", true, RECORDED_ABSENT, "no version table"},
	    {"55P03", true, RECORDED_RUNNING, "a lock on the version table, as a migration takes it"},
	    {"57014", true, RECORDED_RUNNING, "the version could not be read in time"},
	    {"42501", true, RECORDED_UNREADABLE,
		"the control role may not read the version: run `headgate init`, or grant it"},
	    {"08", false, RECORDED_UNREADABLE, NULL},
	    {"40", false, RECORDED_UNREADABLE, NULL},
	    {"53", false, RECORDED_UNREADABLE, NULL},
	    {"57", false, RECORDED_UNREADABLE, NULL},
	    {"58", false, RECORDED_UNREADABLE, NULL},
	    {"", true, RECORDED_UNREADABLE, "the version cannot be read"},
	};
	size_t i = 0;
	while (strncmp(sqlstate, table[i].sqlstate, strlen(table[i].sqlstate)) != 0)
		i++;
	if (!table[i].known)
		return false;
	*out = (struct recorded){.heads = heads_none(),
	    .state = table[i].state,
	    .detail = mem_printf("%s (%s)", table[i].why, message)};
	return true;
}

void recorded_free(struct recorded *recorded)
{
	heads_free(&recorded->heads);
	mem_free(&recorded->detail);
	*recorded = (struct recorded){.heads = heads_none()};
}

struct recorded recorded_copy(const struct recorded *recorded)
{
	return (struct recorded){.heads = heads_copy(&recorded->heads),
	    .state = recorded->state,
	    .detail = recorded->detail != NULL ? mem_strdup(recorded->detail) : NULL,
	    .by_run = recorded->by_run};
}

bool recorded_equal(const struct recorded *a, const struct recorded *b)
{
	bool details = a->detail == NULL || b->detail == NULL ? a->detail == b->detail
							      : strcmp(a->detail, b->detail) == 0;
	return a->state == b->state && a->by_run == b->by_run && details && heads_equal(&a->heads, &b->heads);
}
