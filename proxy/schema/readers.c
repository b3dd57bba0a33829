#include "schema/readers.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct reader {
	const char *name;
	const char *schema, *table; /* the tool's own; NULL: the reader has no table */
	bool fixed;                 /* they cannot be configured */
	const char *select;         /* the select list, where the statement is the common one */
	void (*recorded)(const struct reader_rows *rows, struct recorded *out);
};

static const char *cell(const struct reader_rows *rows, unsigned row, unsigned column)
{
	return rows->cell(rows->handle, row, column);
}

/* Values of the table are shown cut: they may be anything. */
static void unreadable(struct recorded *out, unsigned row, const char *value, const char *why)
{
	/* First the text: value may be of the heads. */
	char *detail = value != NULL ? mem_printf("row %u, \"%.80s\": %s", row + 1, value, why)
				     : mem_printf("row %u: %s", row + 1, why);
	recorded_free(out);
	out->state = RECORDED_UNREADABLE;
	out->detail = detail;
}

/* A row, a head: Alembic's rows are its unmerged heads, an empty table is its base. */
static void rows_are_heads(const struct reader_rows *rows, struct recorded *out)
{
	out->state = rows->rows > 0 ? RECORDED_CLEAN : RECORDED_EMPTY;
	for (unsigned i = 0; i < rows->rows; i++) {
		const char *head = cell(rows, i, 0), *why = "it is NULL";
		if (head == NULL || !heads_add(&out->heads, head, strlen(head), &why)) {
			unreadable(out, i, head, why);
			return;
		}
	}
}

/* In the order of their weight: of several rows the gravest counts. */
static const enum recorded_state states[] = {
    RECORDED_CLEAN, RECORDED_EMPTY, RECORDED_ABSENT, RECORDED_RUNNING, RECORDED_FAILED, RECORDED_UNREADABLE};
#define STATES (sizeof(states) / sizeof(states[0]))

static bool state_named(const char *name, size_t *weight)
{
	for (size_t i = 0; i < STATES; i++) {
		if (strcmp(name, recorded_state_name(states[i])) == 0) {
			*weight = i;
			return true;
		}
	}
	return false;
}

/* The user's statement: column 1 a head or NULL, column 2, where there is one, a state or NULL. */
static void rows_of_the_user(const struct reader_rows *rows, struct recorded *out)
{
	size_t gravest = 0;
	bool stated = false;

	if (rows->columns != 1 && rows->columns != 2) {
		out->state = RECORDED_UNREADABLE;
		out->detail = mem_printf(
		    "the statement returns %u columns: one is expected, the head, or two, head and state",
		    rows->columns);
		return;
	}
	for (unsigned i = 0; i < rows->rows; i++) {
		const char *head = cell(rows, i, 0), *why = NULL;
		const char *state = rows->columns == 2 ? cell(rows, i, 1) : NULL;
		size_t weight = 0;
		if (state != NULL && !state_named(state, &weight)) {
			unreadable(out, i, state,
			    "no state: clean, empty, absent, running, failed or unreadable is expected");
			return;
		}
		if (head != NULL && !heads_add(&out->heads, head, strlen(head), &why)) {
			unreadable(out, i, head, why);
			return;
		}
		stated |= state != NULL;
		gravest = weight > gravest ? weight : gravest;
	}
	out->state = stated && gravest > 0 ? states[gravest]
	    : heads_is_none(&out->heads)   ? RECORDED_EMPTY
					   : RECORDED_CLEAN;
	if (!heads_is_none(&out->heads) && (out->state == RECORDED_EMPTY || out->state == RECORDED_ABSENT))
		unreadable(out, 0, heads_text(&out->heads),
		    "the statement returns a head and says that there is none");
	else if (out->state >= RECORDED_RUNNING)
		out->detail = mem_printf("the statement says %s", recorded_state_name(out->state));
}

static const struct reader readers[] = {
    {.name = "alembic",
	.schema = "public",
	.table = "alembic_version",
	.select = "version_num",
	.recorded = rows_are_heads},
    {.name = "headgate",
	.schema = "headgate",
	.table = "head",
	.fixed = true,
	.select = "head",
	.recorded = rows_are_heads},
    {.name = "sql", .recorded = rows_of_the_user},
};
#define READERS (sizeof(readers) / sizeof(readers[0]))

static const struct reader *reader_find(const char *name)
{
	for (size_t i = 0; i < READERS; i++)
		if (name != NULL && strcmp(readers[i].name, name) == 0)
			return &readers[i];
	return NULL;
}

const char *reader_names(void)
{
	static _Thread_local char names[200];
	size_t n = 0;
	for (size_t i = 0; i < READERS && n < sizeof(names); i++)
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

char *reader_table(const struct conf_recorded *section)
{
	const struct reader *reader = reader_find(section->reader);
	if (reader == NULL || reader->table == NULL)
		return NULL;
	char *schema = sql_identifier(section->schema != NULL ? section->schema : reader->schema);
	char *table = sql_identifier(section->table != NULL ? section->table : reader->table);
	char *both = mem_printf("%s.%s", schema, table);
	mem_free(&schema);
	mem_free(&table);
	return both;
}

/* The trailing semicolon that people write. */
static size_t statement_length(const char *statement)
{
	size_t n = strlen(statement);
	while (n > 0 && (isspace((unsigned char)statement[n - 1]) || statement[n - 1] == ';'))
		n--;
	return n;
}

char *reader_sql(const struct conf_recorded *section)
{
	const struct reader *reader = reader_find(section->reader);
	/* One more than a set may hold, so that too many are noticed. The line break ends a comment of the
	 * user's. */
	if (reader->table == NULL)
		return mem_printf("SELECT * FROM (%.*s\n) AS recorded LIMIT %d",
		    (int)statement_length(section->statement), section->statement, HEADS_COUNT + 1);
	char *table = reader_table(section);
	/* And one character more than a head may have: a value of any size is noticed and never travels. */
	char *sql = mem_printf("SELECT pg_catalog.left(%s::pg_catalog.text, %d) FROM %s LIMIT %d",
	    reader->select, HEAD_BYTES + 1, table, HEADS_COUNT + 1);
	mem_free(&table);
	return sql;
}

void reader_recorded(
    const struct conf_recorded *section, const struct reader_rows *rows, struct recorded *out)
{
	*out = (struct recorded){.heads = heads_none()};
	reader_find(section->reader)->recorded(rows, out);
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
