/* headgate rehearse: the pending migrations on a copy, up, down and up again, and what there is to say of
 * them. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/pq.h"
#include "schema/readers.h"
#include "ctl/cli.h"
#include "rehearse.h"

static const char help[] =
    "Usage: headgate rehearse [TARGET] [OPTION]...\n"
    "\n"
    "Does the pending migrations on a scratch database of the same server, into which the schema is copied "
    "(pg_dump\n"
    "--schema-only, pg_restore): up, down, up again. Tells of each how long it took, which locks it holds on "
    "what was\n"
    "there, which tables it writes anew, whether its down section undoes its up section, what the clients of "
    "the head\n"
    "before it would lose (and whether its mark `compatible` is right), and what is safer. The database "
    "itself is read,\n"
    "and not touched. The scratch database goes at the end, and at Ctrl-C.\n"
    "\n"
    "TARGET is as for `headgate upgrade`; default head.\n"
    "\n"
    "      --data             copy the rows too: times are real then, and rows that are in the way are met\n"
    "      --up-only          do not go down\n"
    "      --strict           warnings are failures\n"
    "      --on URL           on that database, as it is, instead of a scratch database: it is CHANGED. What "
    "is pending\n"
    "                         is what its own ledger says\n"
    "      --yes              do not ask before that\n"
    "      --late HOW         migrations that stand before what is recorded and were never applied: refuse "
    "(default),\n"
    "                         run them, or leave them out\n"
    "      --accept-changed   files that were changed since they were applied are taken as they are\n"
    "  -v, --verbose          name every lock, weak ones too\n" MIGRATE_HELP "\n"
    "Needs CREATEDB, and pg_dump and pg_restore in the PATH. With --json one object a line: {\"event\": "
    "\"begin\", ...},\n"
    "{\"event\": \"step\", ...} for each, {\"event\": \"result\", ...}.\n"
    "\n"
    "Exit status: 0 fine, or nothing is pending; 1 a step failed, a down section does not undo, a mark "
    "`compatible` is\n"
    "wrong, or (--strict) there is a warning; 2 wrong usage; 3 wrong configuration; 4 the server cannot be "
    "reached.\n"
    "\n"
    "Examples:  headgate rehearse --url postgresql://migrator@db1/shop\n"
    "           headgate rehearse -d shop --data +1\n"
    "           headgate rehearse --strict --json > rehearsal.json\n";

bool rehearse_interrupted(struct rehearse *r)
{
	if (r->m.pq != NULL && pq_now_interrupted(r->m.pq))
		r->interrupted = true;
	return r->interrupted;
}

bool rehearse_asked_to_stop(void *rehearse)
{
	return rehearse_interrupted(rehearse);
}

/* The terminal has gone: as Ctrl-C, so that the scratch database goes too. */
static void on_hangup(int number)
{
	(void)number;
	raise(SIGTERM);
}

static bool may_rehearse(struct rehearse *r)
{
	const char *reader = r->m.section->recorded.reader;
	if (strcmp(reader, "headgate") != 0)
		return migrate_fails(&r->m, CLI_CONFIG,
		    "databases.%s.recorded.reader is %s: that tool runs its migrations, and headgate knows "
		    "none of them "
		    "to rehearse. It is for migrations of headgate's own, with the reader headgate",
		    r->m.section->name, reader);
	if (catalog_format(r->m.catalog) == CATALOG_ALEMBIC)
		return migrate_fails(&r->m, CLI_FAILED,
		    "%s is an Alembic folder, whose migrations only Alembic can run", r->m.dir);
	if (strchr(r->target, ':') != NULL)
		return migrate_fails(&r->m, CLI_USAGE,
		    "%s: a rehearsal begins at what is recorded; say only where it ends", r->target);
	return true;
}

/* A database that somebody named is about to be changed. */
static bool may_change(struct rehearse *r)
{
	char answer[200] = "", *name = NULL;
	struct pq_rows rows;

	if (r->on == NULL || r->yes)
		return true;
	if (pq_now_ask(r->m.pq, "SELECT current_database()", NULL, 0, &rows))
		name = mem_strdup(pq_rows_at(&rows, 0, 0));
	pq_rows_free(&rows);
	if (!isatty(STDIN_FILENO) || name == NULL) {
		mem_free(&name);
		return migrate_fails(&r->m, CLI_USAGE,
		    "--on: that database would be changed, and stay so. Say --yes if it may be");
	}
	fprintf(stderr,
	    "The database %s will be changed, up, down and up again, and stay so. Its name, if it may be: ",
	    name);
	if (fgets(answer, sizeof(answer), stdin) == NULL)
		answer[0] = '\0';
	answer[strcspn(answer, "\n")] = '\0';
	bool same = strcmp(answer, name) == 0;
	mem_free(&name);
	return same || migrate_fails(&r->m, CLI_FAILED, "nothing was done");
}

static const char *cell(const void *handle, unsigned row, unsigned column)
{
	return pq_rows_at(handle, row, column);
}

static void read_sizes(struct rehearse *r)
{
	struct pq_rows rows;
	if (pq_now_ask(r->m.pq, locks_relations_sql, NULL, 0, &rows)) {
		const struct reader_rows view = {rows.rows, rows.columns, cell, &rows};
		if (!locks_relations_read(&view, &r->sizes))
			locks_relations_free(&r->sizes);
	}
	pq_rows_free(&rows);
}

static void count(struct rehearse *r, const struct rehearse_migration *migration)
{
	switch (migration->verdict) {
	case REHEARSE_PASSED:
		r->passed++;
		break;
	case REHEARSE_WARNED:
		r->warned++;
		break;
	case REHEARSE_FAILED:
		r->failed++;
		break;
	case REHEARSE_SKIPPED:
		r->skipped++;
		break;
	}
}

static void tell(struct rehearse *r, const struct rehearse_migration *migration)
{
	if (r->m.json)
		rehearse_json_migration(r, migration);
	else
		rehearse_show_migration(r, migration);
}

/* A new copy, brought to where the steps up to `last` leave it. */
static bool replay(struct rehearse *r, unsigned last)
{
	bool ok = rehearse_copy(r);
	rehearse_facts_end(r);
	rehearse_facts_begin(r);
	for (unsigned i = 0; ok && i <= last; i++) {
		struct rehearse_section section;
		rehearse_section_run(r, r->plan.at[i].section, r->plan.at[i].outside, NULL, &section);
		ok = section.ok;
		rehearse_section_free(&section);
	}
	return ok;
}

static void rehearse_steps(struct rehearse *r)
{
	bool goes_on = true;

	rehearse_facts_begin(r);
	r->warn = warn_begin(&r->facts);
	for (unsigned i = 0; i < r->plan.count && !r->broken; i++) {
		struct rehearse_migration migration = {.step = &r->plan.at[i], .verdict = REHEARSE_SKIPPED};
		bool again = false;
		if (goes_on)
			goes_on = rehearse_migration_run(r, &r->plan.at[i], &migration, &again);
		if (rehearse_interrupted(r) || r->broken) {
			rehearse_migration_free(&migration);
			break;
		}
		count(r, &migration);
		tell(r, &migration);
		rehearse_migration_free(&migration);
		if (again && r->scratch != NULL && i + 1 < r->plan.count)
			goes_on = replay(r, i);
	}
	rehearse_moment_free(&r->at);
	warn_end(&r->warn);
	rehearse_facts_end(r);
}

static bool make_plan(struct rehearse *r)
{
	_Static_assert(PLAN_LATE_REFUSE == 0 && PLAN_LATE_RUN == 1 && PLAN_LATE_LEAVE == 2, "as the words");
	return migrate_plan(&r->m, false,
	    (struct plan_request){
		.target = r->target, .late = (enum plan_late)r->late, .accept_changed = r->accept_changed},
	    &r->plan);
}

static int conclude(struct rehearse *r)
{
	if (r->m.json)
		rehearse_json_end(r);
	else
		rehearse_show_end(r);
	return r->failed > 0 || r->skipped > 0 || (r->strict && r->warnings > 0) ? CLI_FAILED : CLI_OK;
}

static int rehearse(struct rehearse *r)
{
	if (!migrate_ledger(&r->m) || !make_plan(r))
		return r->m.status;
	if (r->plan.count == 0 && !r->m.json)
		printf(
		    "Nothing is pending: %s is at %s.\n", migrate_database(&r->m), heads_text(&r->plan.from));
	if (r->plan.count == 0)
		return r->m.json ? conclude(r) : CLI_OK;
	if (!may_change(r))
		return r->m.status;
	read_sizes(r);
	r->pq = r->m.pq;
	r->dsn = r->m.dsn;
	r->dbname = r->m.dbname;
	if (r->on == NULL && !rehearse_copy(r))
		return r->m.status;
	if (r->m.json)
		rehearse_json_begin(r);
	else
		rehearse_show_begin(r);
	r->warnings += r->copy_warning != NULL;
	rehearse_steps(r);
	if (r->broken || r->interrupted)
		return r->m.status != CLI_OK ? r->m.status : CLI_FAILED;
	return conclude(r);
}

/* Whatever happened. */
static int clean_up(struct rehearse *r, int status)
{
	struct pq_now_error error = {.position = 0};
	char *name = r->scratch != NULL ? mem_strdup(scratch_name(r->scratch)) : NULL;

	if (rehearse_interrupted(r)) {
		status = CLI_FAILED;
		fputs("headgate rehearse: interrupted\n", stderr);
	}
	if (r->m.pq != NULL)
		pq_now_clean_up(r->m.pq);
	if (!scratch_drop(&r->scratch, &error)) {
		fprintf(stderr,
		    "headgate rehearse: the scratch database %s is still there: %s. The next rehearsal tries "
		    "again to drop it\n",
		    name, error.message);
		status = status == CLI_OK ? CLI_FAILED : status;
	}
	pq_now_error_free(&error);
	mem_free(&name);
	mem_free(&r->copy_warning);
	plan_free(&r->plan);
	locks_relations_free(&r->sizes);
	migrate_close(&r->m);
	return status;
}

int cmd_rehearse(int argc, char **argv)
{
	struct rehearse r = {.m = {.verbose_too = true}, .target = "head", .began_ns = clock_now()};
	const struct command_option own[] = {
	    {.name = "data", .flag = &r.data},
	    {.name = "up-only", .flag = &r.up_only},
	    {.name = "strict", .flag = &r.strict},
	    {.name = "on", .text = &r.on},
	    {.name = "yes", .flag = &r.yes},
	    {.name = "late", .choice = &r.late, .words = "refuse|run|leave"},
	    {.name = "accept-changed", .flag = &r.accept_changed},
	};
	int status = migrate_open(&r.m, argc, argv, help, own, sizeof(own) / sizeof(own[0]));

	if (status < 0 && r.m.word_count > 1)
		status =
		    command_usage(argv[0], "one target, please: several revisions are joined by a comma");
	if (status < 0) {
		signal(SIGPIPE, SIG_IGN);
		signal(SIGHUP, on_hangup);
		if (r.m.word_count == 1)
			r.target = r.m.words[0];
		if ((r.on != NULL && !migrate_goes_to(&r.m, r.on, "--on")) || !migrate_section(&r.m) ||
		    !migrate_catalog(&r.m) || !may_rehearse(&r))
			status = r.m.status;
		else
			status = rehearse(&r);
	}
	return clean_up(&r, status);
}
