#include "schema/script.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "schema/readers.h"

/* The session's run: no variable of psql's is needed, which a statement might contain by chance. */
#define THIS_RUN                                                                                             \
	"(SELECT run_id FROM headgate.run WHERE state <> 'ended' AND coordinator_pid = "                     \
	"pg_catalog.pg_backend_pid())"

/* As a new session, less what would give up the lock; as between the steps of a run (runner.c). */
static const char fresh[] = "RESET SESSION AUTHORIZATION;\n"
			    "RESET ROLE;\n"
			    "RESET ALL;\n"
			    "CLOSE ALL;\n"
			    "DEALLOCATE ALL;\n"
			    "UNLISTEN *;\n"
			    "DISCARD TEMP;\n"
			    "DISCARD SEQUENCES;\n";

/* A text that cannot end the comment it stands in. */
static void put_comment(FILE *to, const char *text)
{
	for (; *text != '\0'; text++)
		putc((unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text, to);
}

static void put_literal(FILE *to, const char *text)
{
	char *literal = sql_literal(text);
	fputs(literal, to);
	mem_free(&literal);
}

/* '{a,b}' would do as well: heads have no character that means anything in an array. */
static void put_heads(FILE *to, const struct heads *heads)
{
	if (heads_is_none(heads)) {
		fputs("'{}'::text[]", to);
		return;
	}
	fputs("pg_catalog.string_to_array(", to);
	put_literal(to, heads->text);
	fputs(", '+')", to);
}

/* A DO block around a body, in a quote that the body does not contain. */
static void put_block(FILE *to, const char *body)
{
	char tag[40] = "$headgate$";
	for (unsigned i = 1; strstr(body, tag) != NULL; i++)
		snprintf(tag, sizeof(tag), "$headgate%u$", i);
	fprintf(to, "DO %s\n%s%s;\n", tag, body, tag);
}

static void put_timeouts(const struct script_request *request, FILE *to)
{
	fprintf(to, "SET lock_timeout = %" PRId64 ";\n", request->lock_timeout_ns / CLOCK_MS);
	fprintf(to, "SET statement_timeout = %" PRId64 ";\n", request->statement_timeout_ns / CLOCK_MS);
}

static void put_title(const struct script_request *request, FILE *to)
{
	const struct plan *plan = request->plan;
	fputs("-- headgate ", to);
	put_comment(to, request->command);
	fputs(" --sql ", to);
	put_comment(to, request->target);
	fprintf(to, ": %u step%s, ", plan->count, plan->count == 1 ? "" : "s");
	fprintf(to, "%s -> %s\n", heads_text(&plan->from), heads_text(&plan->to));
	fputs("-- Made by headgate " HEADGATE_VERSION ". Run it with:  psql -X -f THIS_FILE DATABASE\n"
	      "-- (not with -1: each step is a transaction of its own). It holds no client.\n"
	      "\\set ON_ERROR_STOP on\n"
	      "\\set QUIET on\n"
	      "\\pset format unaligned\n"
	      "\\pset tuples_only on\n"
	      "\\encoding UTF8\n",
	    to);
}

static void put_ledger(const struct script_request *request, FILE *to)
{
	if (request->ledger_count == 0)
		return;
	fputs("\n-- The ledger, where it is missing.\nSET search_path = '';\n", to);
	for (unsigned i = 0; i < request->ledger_count; i++)
		fprintf(to, "%s;\n", request->ledger[i].sql);
	fputs("RESET search_path;\n", to);
}

/* Revisions that are to be done and are applied already, or to be undone and are not: the heads agree, and
 * the files do not. */
static void put_revisions(const struct plan *plan, FILE *to, enum plan_kind kind)
{
	unsigned count = 0;
	fputs("'{}'::text[]", to);
	for (unsigned i = 0; i < plan->count; i++) {
		if (plan->at[i].kind != kind)
			continue;
		fputs(count++ == 0 ? " || ARRAY[" : ", ", to);
		put_literal(to, plan->at[i].revision);
	}
	fputs(count > 0 ? "]" : "", to);
}

static void put_guard(const struct script_request *request, FILE *to)
{
	const struct plan *plan = request->plan;
	fputs("DECLARE\n\texpected text[] := ", to);
	put_heads(to, &plan->from);
	fputs(";\n\tfresh text[] := ", to);
	put_revisions(plan, to, PLAN_UP);
	fputs(
	    ";\n\thalf text;\n\tproxies bigint;\nBEGIN\n"
	    "\tIF NOT pg_catalog.pg_try_advisory_lock(" LEDGER_LOCK ") THEN\n"
	    "\t\tRAISE EXCEPTION 'a run is under way in this database' USING ERRCODE = '55P03';\n"
	    "\tEND IF;\n"
	    "\tPERFORM headgate.reap();\n"
	    "\tSELECT n.run_id::text INTO half FROM headgate.run n WHERE n.unresolved ORDER BY n.run_id "
	    "LIMIT 1;\n"
	    "\tIF half IS NOT NULL THEN\n"
	    "\t\tRAISE EXCEPTION 'run % was left half way', half USING ERRCODE = '55000',\n"
	    "\t\t\tHINT = 'See what was done, then `headgate resolve`.';\n"
	    "\tEND IF;\n"
	    "\tIF NOT (headgate.heads() @> expected AND headgate.heads() <@ expected) THEN\n"
	    "\t\tRAISE EXCEPTION 'this script begins at %, and recorded is %', expected, headgate.heads() "
	    "USING "
	    "ERRCODE = '55000',\n"
	    "\t\t\tHINT = 'Nothing was done. Make a script that begins there.';\n"
	    "\tEND IF;\n"
	    "\tSELECT a.revision INTO half FROM headgate.applied a WHERE a.revision = ANY (fresh) LIMIT 1;\n"
	    "\tIF half IS NOT NULL THEN\n"
	    "\t\tRAISE EXCEPTION 'revision % is applied already', half USING ERRCODE = '55000',\n"
	    "\t\t\tHINT = 'Nothing was done. This script is of other files than those that were run here.';\n"
	    "\tEND IF;\n"
	    "\tSELECT pg_catalog.count(*) INTO proxies FROM headgate.proxy p\n"
	    "\t\tWHERE p.seen_at > pg_catalog.clock_timestamp() - p.lease_ms * interval '1 millisecond';\n"
	    "\tIF proxies > 0 THEN\n"
	    "\t\tRAISE WARNING '% proxies gate this database, and this script holds none of their clients', "
	    "proxies;\n"
	    "\tEND IF;\n"
	    "END ",
	    to);
}

static void put_announcement(const struct script_request *request, FILE *to)
{
	const struct plan *plan = request->plan;
	fputs("SELECT 'run ' || run FROM headgate.announce(", to);
	put_literal(to, request->command);
	fputs(", false, 1, session_user || '@' || COALESCE(pg_catalog.host(pg_catalog.inet_client_addr()), "
	      "'local'),\n"
	      "\tNULL, NULL, ",
	    to);
	put_literal(to, request->reason);
	fputs(", ARRAY['headgate', ", to);
	put_literal(to, request->command);
	fputs(", '--sql', ", to);
	put_literal(to, request->target);
	fputs("],\n\t", to);
	put_heads(to, &plan->from);
	fprintf(to, ", '%s', ", heads_is_none(&plan->from) ? "empty" : "clean");
	put_heads(to, &plan->to);
	fputs(") AS run;\n", to);
	fprintf(to,
	    "UPDATE headgate.run SET state = 'running', transactional = true, running_at = "
	    "pg_catalog.clock_timestamp(), steps = %u WHERE run_id = " THIS_RUN ";\n",
	    plan->count);
	if (request->publication != NULL) {
		fputs("SELECT 'graph ' || serial FROM headgate.publish(" THIS_RUN ", ", to);
		put_literal(to, request->publication);
		fputs("::jsonb) AS serial;\n", to);
	}
}

static void put_beginning(const struct script_request *request, FILE *to)
{
	char *body = NULL;
	size_t size = 0;
	FILE *gather = open_memstream(&body, &size);
	if (gather == NULL)
		log_fatal("out of memory");
	put_guard(request, gather);
	fclose(gather);
	fputs("\n-- May it begin?\nBEGIN ISOLATION LEVEL READ COMMITTED;\nSET LOCAL lock_timeout = '5s';\n",
	    to);
	put_block(to, body);
	put_announcement(request, to);
	fputs("COMMIT;\n", to);
	free(body);
}

/* ---- steps ---- */

static void put_step_values(const struct plan_step *step, unsigned ordinal, FILE *to)
{
	const struct catalog_section *section = step->section;
	fprintf(to, THIS_RUN ",\n\t%u, '%s', ", ordinal, plan_kind_name(step->kind));
	put_literal(to, step->revision);
	fputs(", ", to);
	put_literal(to, step->migration->file);
	fprintf(to, ", %u, ", section->file != NULL ? section->line : step->migration->line);
	put_literal(to, step->migration->message);
	fputs(", ", to);
	put_literal(to, step->checksum);
	fputs(", false, 1,\n\t", to);
	put_heads(to, &step->before);
	fputs(", ", to);
	put_heads(to, &step->after);
}

/* With what stands before it in the file, so that its comments are there to be read. */
static void put_statement(const struct split_statement *s, FILE *to)
{
	const char *base = s->text - s->offset;
	if (s->kind == SPLIT_COPY_IN) {
		fwrite(base + s->begin, 1, s->offset + s->size - s->begin, to);
		fputs(";\n", to);
		fwrite(s->data, 1, s->data_size, to);
		if (s->data_size > 0 && s->data[s->data_size - 1] != '\n')
			putc('\n', to);
		fputs("\\.\n", to);
		return;
	}
	/* The last one of a file may do without its semicolon; what is behind it then is blanks and comments.
	 */
	size_t after = s->offset + s->size;
	bool ended = base[s->end - 1] == ';';
	fwrite(base + s->begin, 1, after - s->begin, to);
	fputs(ended ? "" : ";", to);
	fwrite(base + after, 1, s->end - after, to);
	fputs(s->end > after && base[s->end - 1] == '\n' ? "" : "\n", to);
}

static void put_statements(const struct split *split, unsigned first, unsigned end, FILE *to)
{
	for (unsigned i = first; i < end; i++)
		put_statement(&split->at[i], to);
}

/* "[1/2] up 0001 users" */
static char *step_title(const struct plan_step *step, unsigned ordinal, unsigned count)
{
	const char *message = step->migration->message;
	return mem_printf("[%u/%u] %s %s%s%s", ordinal, count, plan_kind_name(step->kind), step->revision,
	    message[0] != '\0' ? " " : "", message);
}

/* What is printed when it is done says which step it was. */
static void put_together(
    const struct plan_step *step, const struct split *split, unsigned ordinal, const char *title, FILE *to)
{
	bool wrapped = step->section->wrapped;
	if (wrapped)
		fprintf(to, "%.*s;\n", (int)split->at[0].size, split->at[0].text);
	else
		fputs("BEGIN;\n", to);
	put_statements(split, wrapped ? 1 : 0, split->count - (wrapped ? 1 : 0), to);
	fputs("RESET SESSION AUTHORIZATION;\nRESET ROLE;\nSELECT ", to);
	put_literal(to, title);
	fputs(" FROM headgate.step_done(", to);
	put_step_values(step, ordinal, to);
	fputs(");\nCOMMIT;\n", to);
}

static void put_apart(
    const struct plan_step *step, const struct split *split, unsigned ordinal, const char *title, FILE *to)
{
	fputs("SELECT 'step ' || step FROM headgate.step_started(", to);
	put_step_values(step, ordinal, to);
	fputs(") AS step;\n", to);
	put_statements(split, 0, split->count, to);
	fputs("RESET SESSION AUTHORIZATION;\nRESET ROLE;\nSELECT ", to);
	put_literal(to, title);
	fputs(" FROM headgate.step_finished((SELECT step_id FROM headgate.step\n"
	      "\tWHERE state = 'started' AND run_id = " THIS_RUN "));\n",
	    to);
}

static void put_step(const struct script_request *request, unsigned index, FILE *to)
{
	const struct plan_step *step = &request->plan->at[index];
	struct split split = {.count = 0};
	char *title = step_title(step, index + 1, request->plan->count);
	if (step->section->file != NULL)
		split = catalog_statements(step->section);
	fputs("\n-- ", to);
	put_comment(to, title);
	fputs("\n-- ", to);
	put_comment(to, step->migration->file);
	putc('\n', to);
	fputs(fresh, to);
	put_timeouts(request, to);
	if (step->outside)
		put_apart(step, &split, index + 1, title, to);
	else
		put_together(step, &split, index + 1, title, to);
	split_free(&split);
	mem_free(&title);
}

void script_write(const struct script_request *request, FILE *to)
{
	put_title(request, to);
	put_ledger(request, to);
	put_beginning(request, to);
	for (unsigned i = 0; i < request->plan->count; i++)
		put_step(request, i, to);
	fputs("\n-- The end.\n", to);
	fputs(fresh, to);
	fputs("UPDATE headgate.run SET state = 'ended', outcome = 'succeeded', ended_at = "
	      "pg_catalog.clock_timestamp(), "
	      "exit_status = 0,\n"
	      "\tto_heads = headgate.heads(), to_state = CASE WHEN headgate.heads() = '{}' THEN 'empty' ELSE "
	      "'clean' END\n"
	      "\tWHERE run_id = " THIS_RUN ";\n"
	      "SELECT 'released' WHERE pg_catalog.pg_advisory_unlock(" LEDGER_LOCK ");\n",
	    to);
}
