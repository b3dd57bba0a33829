/* Warnings and the backup's scan: any bytes that the splitter takes for statements get warnings that are
 * whole, with facts and without, in a transaction and outside. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
/* The fuzz targets are linked with the rooms below schema/ only. */
#include "schema/split.c"
#include "schema/split_kind.c"
#include "schema/split_text.c"
#include "schema/split_token.c"
#include "schema/warn.c"
#include "schema/warn_constraint.c"
#include "schema/warn_drop.c"
#include "schema/warn_statement.c"
#include "schema/warn_table.c"
#include "schema/warn_types.c"
#include "schema/warn_words.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool truth)
{
	if (!truth)
		abort();
}

static const char *fact_type(const char *schema, const char *table, const char *column, void *arg)
{
	(void)schema, (void)arg;
	/* what was written comes back as a type, too */
	return strlen(table) % 2 == 0 ? column : "numeric(10,2)";
}

static char fact_kind(const char *schema, const char *name, void *arg)
{
	(void)schema, (void)arg;
	return "rpvmiI"[strlen(name) % 6];
}

static char fact_volatility(const char *schema, const char *name, void *arg)
{
	(void)schema, (void)arg;
	return "\0isv"[strlen(name) % 4];
}

static int fact_checked(const char *schema, const char *table, const char *column, void *arg)
{
	(void)schema, (void)table, (void)arg;
	return (int)(strlen(column) % 3) - 1;
}

static const struct warn_facts facts = {.server_version = 150000,
    .column_type = fact_type,
    .relation_kind = fact_kind,
    .volatility = fact_volatility,
    .checked_not_null = fact_checked};

static void check_warnings(const struct split *split, const struct warnings *warnings)
{
	unsigned place = 0;
	for (unsigned i = 0; i < warnings->count; i++) {
		const struct warning *w = &warnings->at[i];
		check(w->statement < split->count && w->rule[0] != '\0' && w->text[0] != '\0');
		check(w->line == split->at[w->statement].line);
		/* the one about several outside of a transaction comes first */
		check(w->statement >= place || strcmp(warnings->at[0].rule, "outside-several") == 0);
		place = w->statement;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_dup(data, size); /* its own memory: a read past the end is seen */
	struct split split = {.count = 0};
	struct split_error error;

	if (split_append(&split, text, size, 1, &error)) {
		for (int way = 0; way < 4; way++) {
			struct warnings warnings = {.count = 0};
			struct warn_run *run = warn_begin(way % 2 == 0 ? &facts : NULL);
			warn_section(run, &split, way / 2 == 0, &warnings);
			check_warnings(&split, &warnings);
			warnings_free(&warnings);
			/* what it created is not warned of the second time, whatever else is */
			warn_section(run, &split, way / 2 == 0, &warnings);
			check_warnings(&split, &warnings);
			warnings_free(&warnings);
			warn_end(&run);
		}
	}
	split_free(&split);
	mem_free(&text);
	return 0;
}
