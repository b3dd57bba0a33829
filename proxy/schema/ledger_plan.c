/* What `headgate init` does, as SQL. Every step is a DO block: one statement, one transaction, the same when
 * we send it and when psql does. */
#include "schema/ledger.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"

static const char *line_after(const char *line)
{
	const char *end = strchr(line, '\n');
	return end != NULL ? end + 1 : line + strlen(line);
}

static bool section_line(const char *line, const char *name)
{
	static const char mark[] = "-- migrate:";
	if (strncmp(line, mark, sizeof(mark) - 1) != 0)
		return false;
	line += sizeof(mark) - 1;
	size_t n = strcspn(line, " \t\r\n");
	return name == NULL || (n == strlen(name) && strncmp(line, name, n) == 0);
}

char *ledger_section(const char *text, const char *name)
{
	const char *line = text;
	while (*line != '\0' && !section_line(line, name))
		line = line_after(line);
	if (*line == '\0')
		return NULL;
	const char *start = line_after(line);
	for (line = start; *line != '\0' && !section_line(line, NULL);)
		line = line_after(line);
	return mem_strndup(start, (size_t)(line - start));
}

static void step(struct ledger_plan *plan, char *what, char *sql)
{
	plan->steps = mem_realloc(plan->steps, (plan->count + 1) * sizeof(plan->steps[0]));
	plan->steps[plan->count++] = (struct ledger_step){.what = what, .sql = sql};
}

static char *apply_sql(const struct ledger_migration *migration)
{
	char *up = ledger_section(migration->text, "up");
	if (up == NULL || strstr(up, "$ledger$") != NULL)
		log_panic(
		    "ledger: %s has no section up, or the quote that we put around it", migration->file);
	char *sql = mem_printf("DO $headgate$\n"
			       "BEGIN\n"
			       "\tIF NOT pg_catalog.pg_try_advisory_xact_lock(" LEDGER_LOCK ") THEN\n"
			       "\t\tRAISE EXCEPTION 'a run is under way in this database, or another init' "
			       "USING ERRCODE = '55P03';\n"
			       "\tEND IF;\n"
			       "\tIF pg_catalog.to_regclass('headgate.version') IS NOT NULL THEN\n"
			       "\t\tIF EXISTS (SELECT FROM headgate.version WHERE version = %d) THEN\n"
			       "\t\t\tRAISE NOTICE 'headgate: already there';\n"
			       "\t\t\tRETURN;\n"
			       "\t\tEND IF;\n"
			       "\tEND IF;\n"
			       "\tEXECUTE $ledger$\n%s$ledger$;\n"
			       "\tINSERT INTO headgate.version (version, file) VALUES (%d, '%s');\n"
			       "\tRAISE NOTICE 'headgate: applied';\n"
			       "END $headgate$",
	    migration->version, up, migration->version, migration->file);
	mem_free(&up);
	return sql;
}

/* The run role is the owner when it runs init itself; not when somebody else runs the printed SQL for it. */
static char *grant_sql(const char *control_role, const char *run_role)
{
	char *control = sql_identifier(control_role), *run = sql_identifier(run_role);
	char *run_name = sql_literal(run_role);
	char *sql = mem_printf("DO $headgate$\n"
			       "BEGIN\n"
			       "\tGRANT USAGE ON SCHEMA headgate TO %1$s, %2$s;\n"
			       "\tGRANT EXECUTE ON FUNCTION headgate.renew(uuid, text, text, int, bigint, "
			       "int[]), headgate.leave(uuid) TO %1$s, %2$s;\n"
			       "\tGRANT SELECT ON ALL TABLES IN SCHEMA headgate TO %1$s, %2$s;\n"
			       "\tIF NOT pg_catalog.pg_has_role(%3$s, (SELECT nspowner FROM "
			       "pg_catalog.pg_namespace WHERE nspname = 'headgate'), 'USAGE') THEN\n"
			       "\t\tGRANT INSERT, UPDATE, DELETE, TRUNCATE ON headgate.head, headgate.proxy, "
			       "headgate.run, headgate.pin, headgate.step, headgate.applied, "
			       "headgate.repeatable, headgate.revision, headgate.graph TO %2$s;\n"
			       "\t\tGRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA headgate TO %2$s;\n"
			       "\tEND IF;\n"
			       "\tRAISE NOTICE 'headgate: granted';\n"
			       "END $headgate$",
	    control, run, run_name);
	mem_free(&control);
	mem_free(&run);
	mem_free(&run_name);
	return sql;
}

/* Not ours to grant, so only told. */
static char *conductor_sql(const char *run_role)
{
	char *name = sql_literal(run_role);
	char *sql = mem_printf("DO $headgate$\n"
			       "DECLARE\n"
			       "\tlacks text := (SELECT pg_catalog.string_agg(r, ', ') FROM "
			       "pg_catalog.unnest(ARRAY['pg_read_all_stats', 'pg_signal_backend']) r\n"
			       "\t\tWHERE NOT pg_catalog.pg_has_role(%1$s, r, 'USAGE'));\n"
			       "BEGIN\n"
			       "\tIF lacks IS NULL THEN\n"
			       "\t\tRAISE NOTICE 'headgate: in order';\n"
			       "\tELSE\n"
			       "\t\tRAISE NOTICE 'headgate: it is not in %%, without which a run cannot see "
			       "or end what other roles leave in its way: GRANT %% TO %%',\n"
			       "\t\t\tlacks, lacks, pg_catalog.quote_ident(%1$s);\n"
			       "\tEND IF;\n"
			       "END $headgate$",
	    name);
	mem_free(&name);
	return sql;
}

char *ledger_nudge_sql(const struct conf_recorded *section, const char *control_role)
{
	char *table = reader_table(section), *second = reader_second_table(section);
	char *name = sql_literal(table), *also = second != NULL ? sql_literal(second) : mem_strdup("NULL"),
	     *role = sql_literal(control_role);
	/* The names go into the texts as values and never as a format. */
	char *sql = mem_printf(
	    "DO $headgate$\n"
	    "DECLARE\n"
	    "\tcontrol text := %3$s;\n"
	    "\twanted text;\n"
	    "\tt oid;\n"
	    "\tnamespace text;\n"
	    "\tsaid text := 'in place';\n"
	    "BEGIN\n"
	    "\tPERFORM pg_catalog.set_config('lock_timeout', '500ms', true);\n"
	    "\tFOREACH wanted IN ARRAY pg_catalog.array_remove(ARRAY[%1$s, %2$s]::text[], NULL) LOOP\n"
	    "\t\tt := pg_catalog.to_regclass(wanted);\n"
	    "\t\tIF t IS NULL THEN\n"
	    "\t\t\tRAISE NOTICE 'headgate: %% does not exist yet: run headgate init again after the first "
	    "migration, or do nothing: the renewals alone "
	    "serve, if role %% may read it then', wanted, control;\n"
	    "\t\t\tRETURN;\n"
	    "\t\tEND IF;\n"
	    "\t\tnamespace := (SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON "
	    "n.oid = "
	    "c.relnamespace WHERE c.oid = t);\n"
	    "\t\tIF NOT pg_catalog.has_table_privilege(control, t, 'SELECT')\n"
	    "\t\t\t\tOR NOT pg_catalog.has_schema_privilege(control, namespace, 'USAGE') THEN\n"
	    "\t\t\tBEGIN\n"
	    "\t\t\t\tEXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA %%I TO %%I', namespace, control);\n"
	    "\t\t\t\tEXECUTE pg_catalog.format('GRANT SELECT ON %%s TO %%I', wanted, control);\n"
	    "\t\t\tEXCEPTION WHEN insufficient_privilege THEN\n"
	    "\t\t\t\tNULL;\n"
	    "\t\t\tEND;\n"
	    "\t\t\tIF NOT pg_catalog.has_table_privilege(control, t, 'SELECT')\n"
	    "\t\t\t\t\tOR NOT pg_catalog.has_schema_privilege(control, namespace, 'USAGE') THEN\n"
	    "\t\t\t\tsaid := pg_catalog.format('in place, but role %%s may not read %%s, and we may not "
	    "grant "
	    "it: its owner must', control, wanted);\n"
	    "\t\t\tEND IF;\n"
	    "\t\tEND IF;\n"
	    "\t\tIF EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = t AND tgname = "
	    "'headgate_nudge') "
	    "THEN\n"
	    "\t\t\tNULL;\n"
	    "\t\tELSIF (SELECT relkind NOT IN ('r', 'p') FROM pg_catalog.pg_class WHERE oid = t) THEN\n"
	    "\t\t\tsaid := pg_catalog.format('%%s is no table, so no trigger is on it: the renewals alone "
	    "serve', wanted);\n"
	    "\t\tELSE\n"
	    "\t\t\tBEGIN\n"
	    "\t\t\t\tEXECUTE 'CREATE TRIGGER headgate_nudge AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON "
	    "' || wanted "
	    "||\n"
	    "\t\t\t\t\t' FOR EACH STATEMENT EXECUTE FUNCTION headgate.nudge(''version'')';\n"
	    "\t\t\tEXCEPTION WHEN insufficient_privilege THEN\n"
	    "\t\t\t\tsaid := pg_catalog.format('role %%s may not put a trigger on %%s: its owner must run "
	    "headgate init, or do nothing: the renewals "
	    "alone serve', current_user, wanted);\n"
	    "\t\t\tEND;\n"
	    "\t\tEND IF;\n"
	    "\tEND LOOP;\n"
	    "\tRAISE NOTICE 'headgate: %%', said;\n"
	    "END $headgate$",
	    name, also, role);
	mem_free(&table);
	mem_free(&second);
	mem_free(&name);
	mem_free(&also);
	mem_free(&role);
	return sql;
}

struct ledger_plan ledger_plan(
    const struct conf_recorded *section, const char *control_role, const char *run_role)
{
	struct ledger_plan plan = {.count = 0};
	for (unsigned i = 0; i < ledger_migration_count; i++)
		step(&plan, mem_printf("ledger version %d", ledger_migrations[i].version),
		    apply_sql(&ledger_migrations[i]));
	step(&plan, mem_printf("rights of role %s", control_role), grant_sql(control_role, run_role));
	step(&plan, mem_printf("role %s as a conductor", run_role), conductor_sql(run_role));

	char *table = reader_table(section);
	/* The ledger's own table has its nudge. */
	if (table != NULL && strcmp(section->reader, "headgate") != 0)
		step(&plan, mem_printf("nudge on %s", table), ledger_nudge_sql(section, control_role));
	mem_free(&table);
	return plan;
}

void ledger_plan_free(struct ledger_plan *plan)
{
	for (unsigned i = 0; i < plan->count; i++) {
		mem_free(&plan->steps[i].what);
		mem_free(&plan->steps[i].sql);
	}
	mem_free(&plan->steps);
	plan->count = 0;
}
