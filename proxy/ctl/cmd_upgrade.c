/* headgate upgrade, headgate downgrade: a run of migrations. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "net/digest.h"
#include "ctl/cli.h"
#include "steps_show.h"
#include "upgrade.h"

#define UPGRADE_HELP                                                                                         \
	"  -m, --message WHY            why; kept in the ledger, told to held clients; default: the "        \
	"migrations' own "                                                                                   \
	"messages\n"                                                                                         \
	"      --dry-run                the list of steps, and nothing else: which are held, which run "     \
	"outside a "                                                                                         \
	"transaction\n"                                                                                      \
	"      --sql                    print one script for psql instead, which keeps the ledger; "         \
	"connects to nothing. "                                                                              \
	"It begins\n"                                                                                        \
	"                               at FROM where the target is FROM:TO, else at base\n"                 \
	"      --no-hold                hold nobody: for a database without proxies\n"                       \
	"      --lock-timeout T         a step that waits longer for a lock is rolled back and tried "       \
	"again; default\n"                                                                                   \
	"                               migrations.lock_timeout (2s)\n"                                      \
	"      --statement-timeout T    for each statement; default migrations.statement_timeout (none)\n"   \
	"      --deadline T             from the announcement to the release; then the run is cancelled; "   \
	"default\n"                                                                                          \
	"                               migrations.deadline (1h)\n" CONDUCTING_HELP                          \
	"      --backup[=DIR]           back up first what the migrations touch, while traffic flows; into " \
	"DIR, else "                                                                                         \
	"the\n"                                                                                              \
	"                               configuration's migrations.backup.dir, else backups\n"               \
	"      --no-backup              even where the configuration asks for one\n"                         \
	"      --accept-changed         files that were changed since they were applied are taken as they "  \
	"are\n"
#define UPGRADE_HELP_END                                                                                     \
	MIGRATE_HELP                                                                                         \
	"\n"                                                                                                 \
	"--json writes one object a line: {\"event\": \"progress\" or \"step\", ...}, at last {\"event\": "  \
	"\"result\", "                                                                                       \
	"\"outcome\",\n"                                                                                     \
	"\"from\", \"to\", \"steps\", \"steps_done\", \"failure\", ...}.\n"                                  \
	"\n"                                                                                                 \
	"Ctrl-C (or SIGTERM): before the first step release and leave; in a step it is cancelled and "       \
	"rolled back, "                                                                                      \
	"what was done\n"                                                                                    \
	"before it stays. A hang-up of the terminal changes nothing.\n"                                      \
	"\n"                                                                                                 \
	"Exit status: 0 done, or nothing to do, or the run that was joined succeeded; 1 it failed, was "     \
	"refused, gave "                                                                                     \
	"up, was\n"                                                                                          \
	"cancelled or lost its connection; 2 wrong usage; 3 wrong configuration; 4 the server cannot be "    \
	"reached.\n"                                                                                         \
	"\n"

static const char upgrade_help[] =
    "Usage: headgate upgrade [TARGET] [OPTION]...\n"
    "\n"
    "Brings a database up to TARGET: takes the lock, makes the ledger where it is missing, lets every proxy "
    "hold "
    "its clients\n"
    "between two transactions, does each migration and its row of the ledger in one transaction, and lets "
    "the "
    "clients go.\n"
    "Migrations that say hold:none run with traffic flowing. Twenty callers at once do it once: the others "
    "join "
    "and get the\n"
    "same result.\n"
    "\n"
    "TARGET is head (the default), heads, a revision or a unique beginning of one, a label, +N, REVISION+N "
    "or "
    "BRANCH@head;\n"
    "several are joined by a comma. With --sql also FROM:TO.\n"
    "\n" UPGRADE_HELP "      --late HOW               migrations that stand before what is recorded and were "
    "never applied: refuse "
    "(default),\n"
    "                               run them, or leave them out\n"
    "      --no-repeatables         leave Flyway's R__ files alone\n" UPGRADE_HELP_END
    "Examples:  headgate upgrade --dry-run\n"
    "           headgate upgrade head -m \"prices in cents\"\n"
    "           headgate upgrade +1 --url postgresql://migrator@db1/shop --dir db/migrations\n"
    "           headgate upgrade --sql 0007:head > change.sql\n";

static const char downgrade_help[] =
    "Usage: headgate downgrade TARGET [OPTION]...\n"
    "\n"
    "Brings a database down to TARGET by the migrations' down sections, as a run like `headgate upgrade`.\n"
    "\n"
    "TARGET is the revision that stays, or -N to undo the last N, or base to undo all; BRANCH@base, "
    "REVISION-N. There is no\n"
    "default. With --sql also FROM:TO.\n"
    "\n" UPGRADE_HELP "      --late HOW               migrations on the way that were never applied: refuse "
    "(default), or leave them "
    "out\n" UPGRADE_HELP_END "Examples:  headgate downgrade -1 --dry-run\n"
    "           headgate downgrade 0007 -m \"the new report is wrong\"\n"
    "           headgate downgrade base\n";

struct plan_request upgrade_plan_request(const struct upgrade *u)
{
	_Static_assert(PLAN_LATE_REFUSE == 0 && PLAN_LATE_RUN == 1 && PLAN_LATE_LEAVE == 2, "as the words");
	return (struct plan_request){
	    .catalog = u->m.catalog,
	    .target = u->target,
	    .digest = digest_sha256,
	    .late = (enum plan_late)u->late,
	    .accept_changed = u->accept_changed,
	    .no_repeatables = u->no_repeatables,
	};
}

/* What held clients, the ledger and the log are told where nobody said why. */
void upgrade_reason(const struct upgrade *u, const struct plan *plan, char out[UPGRADE_REASON_BYTES])
{
	size_t at = 0;
	for (unsigned i = 0; i < plan->count; i++) {
		const struct plan_step *step = &plan->at[i];
		const char *message = step->migration->message;
		char rest[32] = "";
		if (i + 1 < plan->count)
			snprintf(rest, sizeof(rest), " and %u more", plan->count - i - 1);
		int n = snprintf(out + at, UPGRADE_REASON_BYTES - at, "%s%s%s",
		    i > 0         ? ", "
			: u->down ? "undo "
				  : "",
		    message[0] != '\0' ? message : step->revision, rest);
		if (at + (size_t)n >= UPGRADE_REASON_BYTES || (i > 0 && at + (size_t)n > 200)) {
			/* No room: the words before it stay, with how many are left. */
			snprintf(out + at, UPGRADE_REASON_BYTES - at, "%s%u steps", i > 0 ? " and " : "",
			    plan->count - i);
			return;
		}
		at += (size_t)n - strlen(rest);
	}
	out[at] = '\0';
}

int64_t upgrade_lock_timeout(const struct upgrade *u)
{
	const struct conf_database *section = u->m.section;
	if (u->lock_timeout_ns >= 0)
		return u->lock_timeout_ns;
	return section != NULL ? section->migrations.lock_timeout_ns : 2 * CLOCK_S;
}

int64_t upgrade_statement_timeout(const struct upgrade *u)
{
	const struct conf_database *section = u->m.section;
	if (u->statement_timeout_ns >= 0)
		return u->statement_timeout_ns;
	return section != NULL ? section->migrations.statement_timeout_ns : 0;
}

static int dry_run(struct upgrade *u)
{
	struct steps_show show;
	struct plan plan;
	if (!migrate_ledger(&u->m) || !migrate_plan(&u->m, u->down, upgrade_plan_request(u), &plan))
		return u->m.status;
	steps_show_begin(&show, u->m.command, migrate_database(&u->m), u->m.json);
	steps_show_plan(&show, &plan, u->no_hold);
	plan_free(&plan);
	return CLI_OK;
}

/* Whoever keeps the version elsewhere runs the migrations, too. */
static bool may_run(struct upgrade *u)
{
	const char *reader = u->m.section != NULL ? u->m.section->recorded.reader : "headgate";
	if (strcmp(reader, "headgate") != 0)
		return migrate_fails(&u->m, CLI_CONFIG,
		    "databases.%s.recorded.reader is %s: that tool runs its migrations, and headgate "
		    "conducts it: "
		    "headgate exec -m \"...\" -- COMMAND. For migrations of headgate's own the reader is "
		    "headgate",
		    u->m.section->name, reader);
	if (catalog_format(u->m.catalog) == CATALOG_ALEMBIC)
		return migrate_fails(&u->m, CLI_FAILED,
		    "%s is an Alembic folder, whose migrations Alembic itself runs: headgate exec -m \"...\" "
		    "-- alembic "
		    "%s %s",
		    u->m.dir, u->m.command, u->target);
	if (catalog_count(u->m.catalog) == 0 && catalog_repeatable_count(u->m.catalog) == 0)
		return migrate_fails(&u->m, CLI_FAILED,
		    "there are no migrations in the folder %s. The first one is made by `headgate revision "
		    "-m "
		    "\"...\"`; another folder is named with --dir",
		    u->m.dir);
	if (strchr(u->target, ':') != NULL && !u->sql)
		return migrate_fails(&u->m, CLI_USAGE,
		    "%s: FROM:TO is for --sql, which connects to nothing; a run begins at what is recorded",
		    u->target);
	return true;
}

/* -1: go on, else the exit status to leave with. */
static int read_options(struct upgrade *u, int argc, char **argv)
{
	const char *command = argv[0];
	conducting_begin(&u->conducting);
	const struct command_option own[] = {
	    {.name = "message", .letter = 'm', .text = &u->why},
	    {.name = "dry-run", .flag = &u->dry_run},
	    {.name = "sql", .flag = &u->sql},
	    {.name = "no-hold", .flag = &u->no_hold},
	    {.name = "lock-timeout", .duration_ns = &u->lock_timeout_ns},
	    {.name = "statement-timeout", .duration_ns = &u->statement_timeout_ns},
	    {.name = "backup", .maybe = true, .text = &u->backing.given},
	    {.name = "no-backup", .flag = &u->backing.off},
	    {.name = "accept-changed", .flag = &u->accept_changed},
	    {.name = "late", .choice = &u->late, .words = "refuse|run|leave"},
	    {.name = "no-repeatables", .flag = &u->no_repeatables},
	};
	u->m.also = (struct command_options){u->conducting.options, CONDUCTING_OPTIONS};
	int status = migrate_open(
	    &u->m, argc, argv, u->down ? downgrade_help : upgrade_help, own, sizeof(own) / sizeof(own[0]));
	if (status >= 0)
		return status;
	if (u->m.word_count > 1)
		return command_usage(command,
		    "one target, please: several revisions are joined by a comma, %s,%s", u->m.words[0],
		    u->m.words[1]);
	if (u->m.word_count == 0 && u->down)
		return command_usage(command,
		    "down to where? -1 undoes the last migration, base all of them, a revision what came "
		    "after it");
	u->target = u->m.word_count == 1 ? u->m.words[0] : "head";
	if (u->backing.off && u->backing.given != NULL)
		return command_usage(command, "--backup and --no-backup: one of them");
	if (u->sql && (u->dry_run || u->m.json))
		return command_usage(command, "--sql answers in SQL: leave --dry-run and --json out");
	if (u->sql && u->down && strchr(u->target, ':') == NULL)
		return command_usage(
		    command, "--sql connects to nothing: say where it begins, too, as FROM:%s", u->target);
	if (u->why != NULL && u->why[0] == '\0')
		u->why = NULL;
	return -1;
}

static int upgrade(int argc, char **argv, bool down)
{
	struct upgrade u = {.down = down, .lock_timeout_ns = -1, .statement_timeout_ns = -1};
	int status = read_options(&u, argc, argv);
	if (status < 0) {
		if (!migrate_catalog(&u.m) || !may_run(&u))
			status = u.m.status;
		else if (u.sql)
			status = upgrade_script(&u);
		else if (u.dry_run)
			status = dry_run(&u);
		else
			status = upgrade_run(&u);
	}
	migrate_close(&u.m);
	return status;
}

int cmd_upgrade(int argc, char **argv)
{
	return upgrade(argc, argv, false);
}

int cmd_downgrade(int argc, char **argv)
{
	return upgrade(argc, argv, true);
}
