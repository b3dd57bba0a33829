#include "upgrade.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/digest.h"
#include "schema/backup.h"
#include "schema/coord.h"
#include "ctl/cli.h"
#include "conduct.h"
#include "steps_show.h"

struct run {
	struct upgrade *asked;
	struct steps_show show;
	struct coord_request request;
	char reason[UPGRADE_REASON_BYTES]; /* borrowed by the coordinator, so that the plan may fill it */
	int status;
};

static bool on_plan(void *arg, const struct plan_ledger *ledger, struct plan *out, char **why)
{
	struct run *run = arg;
	const struct upgrade *u = run->asked;
	struct plan_request request = upgrade_plan_request(u);
	request.ledger = ledger;
	bool planned = u->down ? plan_down(&request, out, why) : plan_up(&request, out, why);
	if (planned && u->why == NULL)
		upgrade_reason(u, out, run->reason);
	return planned;
}

static void on_progress(const struct coord_progress *progress, void *arg)
{
	struct run *run = arg;
	steps_show_progress(&run->show, progress);
}

static int64_t on_bytes(void *arg)
{
	const struct run *run = arg;
	return backup_bytes(run->asked->backing.backup.place);
}

static bool on_backup(void *arg, const struct plan *plan, struct coord_backup *out, char **why)
{
	struct run *run = arg;
	bool made = backing_make(&run->asked->backing, plan, out, why);
	/* It is called with our request's argument, so it must be ours. */
	if (out->bytes != NULL)
		out->bytes = on_bytes;
	return made;
}

static void on_done(const struct coord_result *result, void *arg)
{
	struct run *run = arg;
	struct backing *backing = &run->asked->backing;
	char *restore = result->backup != NULL ? backing_restore(backing) : NULL;
	run->status = result->exit_status;
	steps_show_result(&run->show, result, restore);
	mem_free(&restore);
	backing_end(backing, result->backup != NULL);
	conducting_end(&run->request);
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

int upgrade_run(struct upgrade *u)
{
	struct migrate *m = &u->m;
	if (!migrate_section(m))
		return m->status;
	const struct conf_database section = migrate_run_section(m);
	struct conductor self = conductor_self();
	struct heads target = target_heads(u);
	char *published = plan_publication(m->catalog, digest_sha256);
	char word[] = "headgate";
	char *const argv[] = {word, (char *)(uintptr_t)m->command, (char *)(uintptr_t)u->target, NULL};
	struct run run = {.asked = u, .status = CLI_FAILED};
	if (u->why != NULL)
		snprintf(run.reason, sizeof(run.reason), "%s", u->why);
	else
		snprintf(run.reason, sizeof(run.reason), "%s to %s", m->command, u->target);
	u->backing.section = m->section;
	u->backing.dsn = m->dsn;
	u->backing.dbname = m->dbname;
	u->backing.name = m->name;
	run.request = (struct coord_request){
	    .section = &section,
	    .name = m->name,
	    .dbname = m->dbname,
	    .who = self.who,
	    .os_user = self.os_user,
	    .host = self.host,
	    .reason = run.reason,
	    .kind = u->down ? COORD_DOWNGRADE : COORD_UPGRADE,
	    .argv = argv,
	    .target = heads_is_none(&target) ? NULL : &target,
	    .out_fd = STDERR_FILENO,
	    .err_fd = STDERR_FILENO,
	    .plan = on_plan,
	    .backup = backing_wanted(&u->backing) ? on_backup : NULL,
	    .publish = published,
	    .no_hold = u->no_hold,
	    .lock_timeout_ns = upgrade_lock_timeout(u),
	    .statement_timeout_ns = upgrade_statement_timeout(u),
	    .lock_attempts = section.migrations.lock_attempts,
	    .progress = on_progress,
	    .done = on_done,
	    .arg = &run,
	};
	conducting_fill(&u->conducting, &section, section.migrations.deadline_ns, &run.request);
	steps_show_begin(&run.show, m->command, migrate_database(m), m->json);
	conducting_run(&run.request);
	if (run.status == CLI_UNREACHABLE && !m->json)
		migrate_explain(m);
	mem_free(&published);
	heads_free(&target);
	conductor_free(&self);
	return run.status;
}
