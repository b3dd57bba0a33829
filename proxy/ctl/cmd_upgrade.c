/* headgate upgrade, headgate downgrade: a run of migrations. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/digest.h"
#include "schema/backup.h"
#include "ctl/cli.h"
#include "backing.h"
#include "conduct.h"
#include "conducting.h"
#include "migrate.h"
#include "steps_show.h"

#define REASON_BYTES 400

#define UPGRADE_HELP                                                                                         \
	"  -m, --message WHY            why; kept in the ledger, told to held clients; default: the "        \
	"migrations' own "                                                                                   \
	"messages\n"                                                                                         \
	"      --dry-run                the list of steps, and nothing else: which are held, which run "     \
	"outside a "                                                                                         \
	"transaction\n"                                                                                      \
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

struct upgrade {
	struct migrate m;
	struct conducting conducting;
	bool down;
	const char *target, *why;
	bool no_hold, sql, dry_run, accept_changed, no_repeatables;
	int64_t lock_timeout_ns, statement_timeout_ns; /* -1: not given */
	int late;

	struct backing backing;
	struct steps_show show;
	struct coord_request request;
	char reason[REASON_BYTES]; /* what coord is told: made from the steps where nobody said */
	char *published;
	int status;
};

static struct plan_request plan_request(const struct upgrade *u)
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
static void make_reason(struct upgrade *u, const struct plan *plan)
{
	size_t at = 0;
	for (unsigned i = 0; i < plan->count; i++) {
		const struct plan_step *step = &plan->at[i];
		const char *message = step->migration->message;
		char rest[32] = "";
		if (i + 1 < plan->count)
			snprintf(rest, sizeof(rest), " and %u more", plan->count - i - 1);
		int n = snprintf(u->reason + at, sizeof(u->reason) - at, "%s%s%s",
		    i > 0         ? ", "
			: u->down ? "undo "
				  : "",
		    message[0] != '\0' ? message : step->revision, rest);
		if (at + (size_t)n >= sizeof(u->reason) || (i > 0 && at + (size_t)n > 200)) {
			/* No room: the words before it stay, with how many are left. */
			snprintf(u->reason + at, sizeof(u->reason) - at, "%s%u steps", i > 0 ? " and " : "",
			    plan->count - i);
			return;
		}
		at += (size_t)n - strlen(rest);
	}
	u->reason[at] = '\0';
}

static bool on_plan(void *arg, const struct plan_ledger *ledger, struct plan *out, char **why)
{
	struct upgrade *u = arg;
	struct plan_request request = plan_request(u);
	request.ledger = ledger;
	bool planned = u->down ? plan_down(&request, out, why) : plan_up(&request, out, why);
	if (planned && u->why == NULL)
		make_reason(u, out);
	return planned;
}

static void on_progress(const struct coord_progress *progress, void *arg)
{
	struct upgrade *u = arg;
	steps_show_progress(&u->show, progress);
}

static int64_t on_bytes(void *arg)
{
	const struct upgrade *u = arg;
	return backup_bytes(u->backing.backup.place);
}

static bool on_backup(void *arg, const struct plan *plan, struct coord_backup *out, char **why)
{
	struct upgrade *u = arg;
	bool made = backing_make(&u->backing, plan, out, why);
	/* What is called with our request's argument must be ours. */
	if (out->bytes != NULL)
		out->bytes = on_bytes;
	return made;
}

static void on_done(const struct coord_result *result, void *arg)
{
	struct upgrade *u = arg;
	char *restore = result->backup != NULL ? backing_restore(&u->backing) : NULL;
	u->status = result->exit_status;
	steps_show_result(&u->show, result, restore);
	mem_free(&restore);
	backing_end(&u->backing, result->backup != NULL);
	conducting_end(&u->request);
}

/* The heads that an absolute target of an upgrade names, so that others of another folder do not take this
 * run for theirs. None where it depends on what is recorded. */
static struct heads target_heads(const struct upgrade *u)
{
	struct heads none = heads_none(), target = heads_none();
	struct graph_places places;
	const char *reason;
	char *why = NULL;
	if (u->down)
		return target;
	if (!graph_resolve(u->m.graph, &none, u->target, &places, &why)) {
		mem_free(&why);
		return target;
	}
	for (unsigned i = 0; i < places.count; i++) {
		const char *id = graph_at(u->m.graph, places.at[i])->id;
		if (!heads_add(&target, id, strlen(id), &reason)) {
			heads_free(&target);
			break;
		}
	}
	graph_places_free(&places);
	return target;
}

static int conduct(struct upgrade *u)
{
	const struct conf_database *section = u->m.section;
	struct conductor self = conductor_self();
	struct heads target = target_heads(u);
	char word[] = "headgate";
	char *const argv[] = {word, (char *)(uintptr_t)u->m.command, (char *)(uintptr_t)u->target, NULL};
	const struct conf_database own = migrate_run_section(&u->m);
	if (u->why != NULL)
		snprintf(u->reason, sizeof(u->reason), "%s", u->why);
	else
		snprintf(u->reason, sizeof(u->reason), "%s to %s", u->m.command, u->target);
	u->backing.section = section;
	u->backing.dsn = u->m.dsn;
	u->backing.dbname = u->m.dbname;
	u->backing.name = u->m.name;
	u->published = plan_publication(u->m.catalog, digest_sha256);
	u->request = (struct coord_request){
	    .section = &own,
	    .name = u->m.name,
	    .dbname = u->m.dbname,
	    .who = self.who,
	    .os_user = self.os_user,
	    .host = self.host,
	    .reason = u->reason,
	    .kind = u->down ? COORD_DOWNGRADE : COORD_UPGRADE,
	    .argv = argv,
	    .target = heads_is_none(&target) ? NULL : &target,
	    .out_fd = STDERR_FILENO,
	    .err_fd = STDERR_FILENO,
	    .plan = on_plan,
	    .backup = backing_wanted(&u->backing) ? on_backup : NULL,
	    .publish = u->published,
	    .no_hold = u->no_hold,
	    .lock_timeout_ns =
		u->lock_timeout_ns >= 0 ? u->lock_timeout_ns : section->migrations.lock_timeout_ns,
	    .statement_timeout_ns = u->statement_timeout_ns >= 0 ? u->statement_timeout_ns
								 : section->migrations.statement_timeout_ns,
	    .lock_attempts = section->migrations.lock_attempts,
	    .progress = on_progress,
	    .done = on_done,
	    .arg = u,
	};
	conducting_fill(&u->conducting, section, section->migrations.deadline_ns, &u->request);
	steps_show_begin(&u->show, u->m.command, migrate_database(&u->m), u->m.json);
	u->status = CLI_FAILED;
	conducting_run(&u->request);
	mem_free(&u->published);
	heads_free(&target);
	conductor_free(&self);
	return u->status;
}

static int dry_run(struct upgrade *u)
{
	struct plan plan;
	if (!migrate_ledger(&u->m) || !migrate_plan(&u->m, u->down, plan_request(u), &plan))
		return u->m.status;
	steps_show_begin(&u->show, u->m.command, migrate_database(&u->m), u->m.json);
	steps_show_plan(&u->show, &plan, u->no_hold);
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
		else if (u.dry_run)
			status = dry_run(&u);
		else
			status = migrate_section(&u.m) ? conduct(&u) : u.m.status;
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
