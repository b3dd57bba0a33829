/* headgate publish: the graph of a folder, into the ledger. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/digest.h"
#include "schema/plan.h"
#include "ctl/cli.h"
#include "conduct.h"
#include "migrate.h"
#include "page_json.h"

static const char help[] = "Usage: headgate publish [OPTION]...\n"
			   "\n"
			   "Tells the proxies of a database which migration follows which: puts the graph of "
			   "a folder into the ledger, so that the\n"
			   "gate knows which head is ahead, which is behind, and which is compatible. "
			   "`headgate upgrade` does it by itself; this\n"
			   "is for the folders of other tools, from CI before they migrate: `headgate "
			   "publish --dir alembic/versions`. Files are\n"
			   "read, none is run.\n"
			   "\n"
			   "  -m, --message WHY      why; kept in the ledger\n" MIGRATE_HELP "\n"
			   "Exit status: 0 published, or nothing has changed; 1 refused, as when the folder "
			   "lacks what is recorded; 2 wrong usage;\n"
			   "3 wrong configuration; 4 the server cannot be reached.\n"
			   "\n"
			   "Example:  headgate publish -d shop --dir alembic/versions\n";

/* What was recorded by whatever tool must be in the folder, or the gate would know nothing of it. */
static bool has_recorded(struct migrate *m)
{
	const struct recorded *recorded = &m->ledger.recorded;
	struct graph_places places = {.count = 0};
	char *why = NULL;
	if (recorded->state != RECORDED_CLEAN)
		return true;
	bool has = graph_applied(m->graph, &recorded->heads, &places, &why);
	graph_places_free(&places);
	if (has)
		return true;
	migrate_fails(m, CLI_FAILED,
	    "%s. The folder %s is older than the database, or another project's; nothing was published", why,
	    m->dir);
	mem_free(&why);
	return false;
}

/* The run that the audit keeps of it. */
static bool add_run(struct migrate *m, const char *why, char run[24])
{
	static const char sql[] = "INSERT INTO headgate.run (kind, state, outcome, holding, transactional, "
				  "who, os_user, host, reason, "
				  "command, from_heads, to_heads, ended_at) VALUES ('publish', 'ended', "
				  "'succeeded', false, true, $1, $2, $3, "
				  "$4, ARRAY['headgate', 'publish'], headgate.heads(), headgate.heads(), "
				  "pg_catalog.clock_timestamp()) "
				  "RETURNING run_id";
	struct conductor self = conductor_self();
	struct pq_rows rows;
	const char *const values[] = {self.who, self.os_user, self.host, why};
	bool ok = pq_now_ask(m->pq, sql, values, 4, &rows);
	if (ok)
		snprintf(run, 24, "%s", pq_rows_at(&rows, 0, 0));
	else
		migrate_fails_by(m, "publishing", &rows.error);
	pq_rows_free(&rows);
	conductor_free(&self);
	return ok;
}

static bool publish(struct migrate *m, const char *why, int64_t *serial)
{
	char run[24], *graph = plan_publication(m->catalog, digest_sha256);
	const char *const values[] = {run, graph};
	struct pq_rows rows;
	if (!migrate_begin(m) || !add_run(m, why, run)) {
		mem_free(&graph);
		return false;
	}
	bool ok = pq_now_ask(m->pq, "SELECT headgate.publish($1::bigint, $2::jsonb)", values, 2, &rows);
	if (ok)
		*serial = strtoll(pq_rows_at(&rows, 0, 0), NULL, 10);
	else
		migrate_fails_by(m, "publishing", &rows.error);
	pq_rows_free(&rows);
	mem_free(&graph);
	/* Without a change there is nothing to keep a record of. */
	struct pq_now_error error;
	if (ok && *serial == m->ledger.serial && !pq_now_do(m->pq, "ROLLBACK", NULL, 0, &error)) {
		ok = migrate_fails_by(m, "publishing", &error);
		pq_now_error_free(&error);
	}
	return ok && (*serial == m->ledger.serial || migrate_commit(m));
}

static void answer(const struct migrate *m, int64_t serial)
{
	unsigned count = catalog_count(m->catalog);
	bool changed = serial != m->ledger.serial;
	if (m->json) {
		struct page_json json = {.to = stdout, .depth = 0};
		page_json_begin(&json, NULL, '{');
		page_json_text(&json, "database", migrate_database(m));
		page_json_number(&json, "revisions", count);
		page_json_number(&json, "serial", serial);
		page_json_flag(&json, "changed", changed);
		page_json_end(&json, '}');
	} else {
		printf("%s: the graph of %u revision%s is published%s (serial %lld)\n", migrate_database(m),
		    count, count == 1 ? "" : "s", changed ? "" : " already", (long long)serial);
	}
}

int cmd_publish(int argc, char **argv)
{
	struct migrate m = {.verbose_too = false};
	const char *why = NULL;
	int64_t serial = 0;
	const struct command_option own[] = {
	    {.name = "message", .letter = 'm', .text = &why},
	};
	int status = migrate_open(&m, argc, argv, help, own, 1);
	if (status < 0 && m.word_count > 0)
		status = command_usage("publish", "what is \"%s\"? The folder goes behind --dir", m.words[0]);
	if (status < 0) {
		bool ok = migrate_catalog(&m);
		if (ok && catalog_count(m.catalog) == 0)
			ok = migrate_fails(&m, CLI_FAILED, "there are no migrations in the folder %s", m.dir);
		ok = ok && migrate_ledger(&m) && migrate_make_ledger(&m) && has_recorded(&m) &&
		    publish(&m, why, &serial);
		if (ok)
			answer(&m, serial);
		status = ok ? CLI_OK : m.status;
	}
	migrate_close(&m);
	return status;
}
