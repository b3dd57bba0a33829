/* headgate verify: does what was applied agree with the files, and with itself? */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/digest.h"
#include "schema/plan.h"
#include "ctl/cli.h"
#include "migrate.h"
#include "page.h"
#include "page_json.h"
#include "position.h"

#define LISTED "100" /* most differences and indexes that are read */

static const char help[] =
    "Usage: headgate verify [OPTION]...\n"
    "\n"
    "Compares the migrations in the folder with what the ledger says was applied, and looks at what is left "
    "of "
    "failures.\n"
    "These are problems: a file that was changed since it was applied, or is not there any more; a revision "
    "below the\n"
    "recorded heads that was never applied; a recorded head that no file has; a published graph (what the "
    "proxies know)\n"
    "that contradicts the folder; an index that a failed concurrent build left invalid; a run that was left "
    "half way.\n"
    "Nothing is changed.\n"
    "\n" MIGRATE_HELP "\n"
    "Exit status: 0 no problem; 1 there are some; 2 wrong usage; 3 wrong configuration; 4 the database "
    "cannot "
    "be reached.\n"
    "\n"
    "Example:  headgate verify || headgate log\n";

struct finding {
	const char *kind;
	bool problem; /* else worth a word */
	char *revision, *file, *text;
};

struct verification {
	struct migrate *m;
	struct finding *found;
	unsigned count, problems;
	struct position position;
	const struct migrate_applied **applied;
};

static void find(struct verification *v, const char *kind, bool problem, const char *revision,
    const char *file, const char *format, ...) __attribute__((format(printf, 6, 7)));
static void find(struct verification *v, const char *kind, bool problem, const char *revision,
    const char *file, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	v->found = mem_realloc(v->found, (v->count + 1) * sizeof(*v->found));
	v->found[v->count++] = (struct finding){
	    .kind = kind,
	    .problem = problem,
	    .revision = revision == NULL ? NULL : mem_strdup(revision),
	    .file = file == NULL ? NULL : mem_strdup(file),
	    .text = mem_strdup(text),
	};
	v->problems += problem;
}

static void verification_free(struct verification *v)
{
	for (unsigned i = 0; i < v->count; i++) {
		mem_free(&v->found[i].revision);
		mem_free(&v->found[i].file);
		mem_free(&v->found[i].text);
	}
	mem_free(&v->found);
	position_free(&v->position);
	mem_free(&v->applied);
}

/* ---- what is recorded ---- */

static void look_at_heads(struct verification *v)
{
	for (unsigned i = 0; i < v->position.unknown_count; i++)
		find(v, "unknown_head", true, v->position.unknown[i], NULL,
		    "revision %s is recorded, but no file in %s has it", v->position.unknown[i], v->m->dir);
}

static void look_at_state(struct verification *v)
{
	const struct recorded *recorded = &v->m->ledger.recorded;

	if (v->m->ledger.unresolved != NULL)
		find(v, "unresolved", true, NULL, NULL,
		    "%s. See what was done, then: headgate resolve --help", v->m->ledger.unresolved);
	else if (recorded->state == RECORDED_FAILED || recorded->state == RECORDED_UNREADABLE)
		find(v, "state", true, NULL, NULL, "the recorded version is %s%s%s",
		    recorded_state_name(recorded->state), recorded->detail == NULL ? "" : ": ",
		    recorded->detail == NULL ? "" : recorded->detail);
}

/* ---- what was applied ---- */

static void look_at_checksum(
    struct verification *v, const struct catalog_migration *m, const struct migrate_applied *applied)
{
	char checksum[65];

	if (applied->checksum == NULL || catalog_format(v->m->catalog) == CATALOG_ALEMBIC)
		return;
	catalog_checksum(&m->up, digest_sha256, checksum);
	if (strcmp(checksum, applied->checksum) == 0)
		return;
	find(v, "changed", true, m->revision, m->file,
	    "revision %s was changed since it was applied (%s, run %lld)", m->revision, applied->applied_at,
	    (long long)applied->run_id);
}

static void look_at_applied(struct verification *v)
{
	const struct migrate_ledger *ledger = &v->m->ledger;

	for (unsigned i = 0; i < ledger->applied_count; i++) {
		const struct migrate_applied *a = &ledger->applied[i];
		unsigned place;
		if (!graph_find(v->m->graph, a->revision, strlen(a->revision), &place)) {
			find(v, "missing", true, a->revision, NULL,
			    "revision %s was applied (%s, run %lld), but no file in %s has it", a->revision,
			    a->applied_at, (long long)a->run_id, v->m->dir);
			continue;
		}
		v->applied[place] = a;
		const struct catalog_migration *m = catalog_at(v->m->catalog, place);
		look_at_checksum(v, m, a);
		if (!v->position.applied[place])
			find(v, "not_recorded", true, a->revision, m->file,
			    "revision %s was applied (%s, run %lld), but the recorded heads (%s) do not have "
			    "it",
			    a->revision, a->applied_at, (long long)a->run_id,
			    heads_text(&ledger->recorded.heads));
	}
	/* Heads that were recorded by `headgate exec --to` say nothing of single revisions. */
	for (unsigned i = 0; i < catalog_count(v->m->catalog) && ledger->applied_count > 0; i++) {
		const struct catalog_migration *m = catalog_at(v->m->catalog, i);
		if (v->position.applied[i] && v->applied[i] == NULL)
			find(v, "not_applied", true, m->revision, m->file,
			    "revision %s is below what is recorded and was never applied: its file came "
			    "later. "
			    "headgate upgrade --late run, or --late leave",
			    m->revision);
	}
}

static void look_at_repeatables(struct verification *v)
{
	const struct migrate_ledger *ledger = &v->m->ledger;

	for (unsigned i = 0; i < ledger->repeatable_count; i++) {
		const char *name = ledger->repeatables[i].revision;
		bool there = false;
		for (unsigned k = 0; k < catalog_repeatable_count(v->m->catalog) && !there; k++) {
			const char *file = catalog_repeatable_at(v->m->catalog, k)->file;
			const char *slash = strrchr(file, '/');
			there = strcmp(slash == NULL ? file : slash + 1, name) == 0;
		}
		if (!there)
			find(v, "repeatable_missing", false, NULL, name,
			    "%s was run (%s, run %lld) and is not there any more", name,
			    ledger->repeatables[i].applied_at, (long long)ledger->repeatables[i].run_id);
	}
}

/* ---- what only the database can tell ---- */

static bool ask(
    struct verification *v, const char *what, const char *sql, const char *value, struct pq_rows *rows)
{
	if (pq_now_ask(v->m->pq, sql, &value, value == NULL ? 0 : 1, rows))
		return true;
	migrate_fails_by(v->m, what, &rows->error);
	pq_rows_free(rows);
	return false;
}

static int64_t step_of(const struct pq_rows *rows, const char *revision)
{
	for (unsigned low = 0, high = rows->rows; low < high;) {
		unsigned middle = low + (high - low) / 2;
		int order = strcmp(pq_rows_at(rows, middle, 0), revision);
		if (order == 0)
			return strtoll(pq_rows_at(rows, middle, 1), NULL, 10);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

static void look_at_edges(struct verification *v, const struct pq_rows *rows, unsigned place,
    const unsigned *before, unsigned count)
{
	const struct catalog_migration *m = catalog_at(v->m->catalog, place);
	int64_t step = step_of(rows, m->revision);

	for (unsigned i = 0; i < count && step >= 0; i++) {
		const char *id = catalog_at(v->m->catalog, before[i])->revision;
		if (step_of(rows, id) > step)
			find(v, "out_of_order", false, m->revision, m->file,
			    "revision %s was applied before %s, which it comes after", m->revision, id);
	}
}

/* What is stamped was applied by nobody here, in no order. */
static bool look_at_order(struct verification *v)
{
	struct pq_rows rows;

	if (!v->m->ledger.present)
		return true;
	if (!ask(v, "reading the ledger",
		"SELECT a.revision, a.step_id FROM headgate.applied a WHERE a.step_id IS NOT NULL ORDER BY "
		"a.revision COLLATE \"C\"",
		NULL, &rows))
		return false;
	for (unsigned i = 0; i < graph_count(v->m->graph); i++) {
		const struct graph_revision *r = graph_at(v->m->graph, i);
		look_at_edges(v, &rows, i, r->parents, r->parent_count);
		look_at_edges(v, &rows, i, r->depends, r->depend_count);
	}
	pq_rows_free(&rows);
	return true;
}

/* The folder may have more than was published, until the next upgrade; what both have must be alike. */
static bool look_at_graph(struct verification *v)
{
	static const char sql[] =
	    "SELECT COALESCE(f.revision, r.revision), f.revision IS NULL, r.revision IS NULL,"
	    " concat_ws(', ', CASE WHEN f.parents IS DISTINCT FROM r.parents THEN 'revises' END,"
	    " CASE WHEN f.depends IS DISTINCT FROM r.depends THEN 'depends-on' END,"
	    " CASE WHEN f.labels IS DISTINCT FROM r.labels THEN 'labels' END,"
	    " CASE WHEN f.compatible IS DISTINCT FROM r.compatible THEN 'compatible' END)"
	    " FROM (SELECT e->>'revision' AS revision,"
	    " ARRAY(SELECT jsonb_array_elements_text(e->'parents')) AS parents,"
	    " ARRAY(SELECT jsonb_array_elements_text(e->'depends')) AS depends,"
	    " ARRAY(SELECT jsonb_array_elements_text(e->'labels')) AS labels,"
	    " (e->>'compatible')::boolean AS compatible FROM jsonb_array_elements($1::jsonb) e) f"
	    " FULL JOIN headgate.revision r ON r.revision = f.revision"
	    " WHERE (f.revision, f.parents, f.depends, f.labels, f.compatible)"
	    " IS DISTINCT FROM (r.revision, r.parents, r.depends, r.labels, r.compatible)"
	    " ORDER BY 1 LIMIT " LISTED;
	struct pq_rows rows;
	unsigned more = 0;

	if (!v->m->ledger.present || v->m->ledger.serial == 0) {
		if (v->m->ledger.present)
			find(v, "unpublished", false, NULL, NULL,
			    "no graph was published: proxies know no order of revisions. headgate publish");
		return true;
	}
	char *graph = plan_publication(v->m->catalog, digest_sha256);
	bool fine = ask(v, "comparing the published graph", sql, graph, &rows);
	mem_free(&graph);
	if (!fine)
		return false;
	for (unsigned i = 0; i < rows.rows; i++) {
		const char *revision = pq_rows_at(&rows, i, 0);
		bool gone = strcmp(pq_rows_at(&rows, i, 1), "t") == 0;
		bool new = strcmp(pq_rows_at(&rows, i, 2), "t") == 0;
		more += new;
		if (gone)
			find(v, "graph", true, revision, NULL,
			    "the published graph has revision %s, but no file in %s does", revision,
			    v->m->dir);
		else if (!new)
			find(v, "graph", true, revision, NULL,
			    "the published graph says otherwise of revision %s (%s): headgate publish",
			    revision, pq_rows_at(&rows, i, 3));
	}
	if (more > 0)
		find(v, "unpublished", false, NULL, NULL,
		    "%u revision%s of %s %s not published yet: the next upgrade does it, or headgate publish",
		    more, more == 1 ? "" : "s", v->m->dir, more == 1 ? "is" : "are");
	pq_rows_free(&rows);
	return true;
}

static bool look_at_indexes(struct verification *v)
{
	static const char sql[] =
	    "SELECT format('%I.%I', n.nspname, c.relname), i.indrelid::regclass::text, c.relkind = 'I'"
	    " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = "
	    "c.relnamespace"
	    " WHERE NOT i.indisvalid"
	    " AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)"
	    " ORDER BY 1 LIMIT " LISTED;
	struct pq_rows rows;

	if (!ask(v, "looking for invalid indexes", sql, NULL, &rows))
		return false;
	for (unsigned i = 0; i < rows.rows; i++) {
		const char *index = pq_rows_at(&rows, i, 0), *table = pq_rows_at(&rows, i, 1);
		/* Made ON ONLY a partitioned table, it is so until each partition has its own. */
		if (strcmp(pq_rows_at(&rows, i, 2), "t") == 0)
			find(v, "partial_index", false, NULL, NULL,
			    "index %s on %s is not valid: not all partitions have theirs", index, table);
		else
			find(v, "invalid_index", true, NULL, NULL,
			    "index %s on %s is invalid: a concurrent build of it failed. DROP INDEX "
			    "CONCURRENTLY "
			    "%s; and build it again",
			    index, table, index);
	}
	pq_rows_free(&rows);
	return true;
}

/* ---- the answer ---- */

static void print_json(const struct verification *v, const char *key, bool problem, struct page_json *json)
{
	page_json_begin(json, key, '[');
	for (unsigned i = 0; i < v->count; i++) {
		const struct finding *f = &v->found[i];
		if (f->problem != problem)
			continue;
		page_json_begin(json, NULL, '{');
		page_json_text(json, "kind", f->kind);
		page_json_text(json, "revision", f->revision);
		page_json_text(json, "file", f->file);
		page_json_text(json, "text", f->text);
		page_json_end(json, '}');
	}
	page_json_end(json, ']');
}

static void print_text(const struct verification *v)
{
	const struct heads *recorded = &v->m->ledger.recorded.heads;
	struct page page = page_open(stdout);

	for (unsigned i = 0; i < v->count; i++) {
		const struct finding *f = &v->found[i];
		if (f->file != NULL) {
			page_text(&page, f->file);
			fputs(": ", stdout);
		}
		page_ink(&page, f->problem ? PAGE_BAD : PAGE_FAINT, f->problem ? "problem: " : "note: ");
		page_text(&page, f->text);
		putchar('\n');
	}
	if (v->m->ledger.recorded.state == RECORDED_ABSENT)
		printf("%s was never migrated", migrate_database(v->m));
	else
		printf("%s is at %s (%s)", migrate_database(v->m),
		    heads_is_none(recorded) ? "<base>" : heads_text(recorded),
		    recorded_state_name(v->m->ledger.recorded.state));
	printf(", %u of %u revisions are applied: ", v->position.applied_count, catalog_count(v->m->catalog));
	if (v->problems == 0)
		page_ink(&page, PAGE_GOOD, "no problem");
	else
		page_ink(&page, PAGE_BAD, "%u problem%s", v->problems, v->problems == 1 ? "" : "s");
	putchar('\n');
}

static int verify(struct migrate *m)
{
	struct verification v = {.m = m};

	if (!migrate_catalog(m) || !migrate_ledger(m))
		return m->status;
	position_find(m, &v.position);
	v.applied = mem_zalloc(catalog_count(m->catalog) * sizeof(*v.applied));
	look_at_state(&v);
	look_at_heads(&v);
	look_at_applied(&v);
	look_at_repeatables(&v);
	bool fine = look_at_order(&v) && look_at_graph(&v) && look_at_indexes(&v);
	if (fine && m->json) {
		struct page_json json = {.to = stdout};
		page_json_begin(&json, NULL, '{');
		page_json_text(&json, "database", migrate_database(m));
		page_json_flag(&json, "ok", v.problems == 0);
		print_json(&v, "problems", true, &json);
		print_json(&v, "notes", false, &json);
		page_json_end(&json, '}');
	} else if (fine) {
		print_text(&v);
	}
	int status = !fine ? m->status : v.problems == 0 ? CLI_OK : CLI_FAILED;
	verification_free(&v);
	return status;
}

int cmd_verify(int argc, char **argv)
{
	struct migrate m = {.drafts = true};
	int status = migrate_open(&m, argc, argv, help, NULL, 0);

	if (status < 0 && m.word_count > 0)
		status = command_usage("verify", "what is \"%s\"?", m.words[0]);
	if (status < 0)
		status = verify(&m);
	migrate_close(&m);
	return status;
}
