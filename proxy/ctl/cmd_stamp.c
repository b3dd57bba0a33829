/* headgate stamp: records heads without running anything. */
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

static const char help[] =
    "Usage: headgate stamp TARGET [--purge] [OPTION]...\n"
    "       headgate stamp --purge [OPTION]...\n"
    "\n"
    "Records that a database is at TARGET, with all that comes before it applied, and runs nothing: for a "
    "database whose\n"
    "schema is there already, as when it was made before headgate came. The ledger is made where it is "
    "missing, and the\n"
    "graph is published. Branches that TARGET does not lie on stay as they are recorded.\n"
    "\n"
    "TARGET is head, heads, a revision or a unique beginning of one, a label, BRANCH@head, or base: nothing; "
    "several are\n"
    "joined by a comma.\n"
    "\n"
    "      --purge            forget first what is recorded, known to this folder or not\n"
    "  -m, --message WHY      why; kept in the ledger\n" MIGRATE_HELP "\n"
    "Exit status: 0 stamped, 1 refused, 2 wrong usage, 3 wrong configuration, 4 the server cannot be "
    "reached.\n"
    "\n"
    "Examples:  headgate stamp head -m \"made by hand until today\"\n"
    "           headgate stamp --purge\n";

struct stamp {
	struct migrate m;
	const char *target, *why;
	bool purge;
	struct heads heads;          /* what is to be recorded */
	struct graph_places applied; /* and what these heads have */
};

/* Does it lie on the way of one of these, before it or behind it? Such heads are one line of history. */
static bool related(const struct graph *graph, const char *a, size_t a_size, const struct heads *others)
{
	struct heads one = heads_none();
	const char *why, *text = others->text;
	bool is = false;
	if (!heads_add(&one, a, a_size, &why))
		return false;
	while (!is && text != NULL && *text != '\0') {
		size_t n = strcspn(text, "+");
		struct heads other = heads_none();
		is = heads_add(&other, text, n, &why) && graph_relate(graph, &one, &other) != GRAPH_UNKNOWN;
		heads_free(&other);
		text += n + (text[n] == '+');
	}
	heads_free(&one);
	return is;
}

/* Of several targets on one line the last counts. */
static void add_target(struct stamp *s, const struct graph_places *places, unsigned index)
{
	const struct graph *graph = s->m.graph;
	const char *id = graph_at(graph, places->at[index])->id, *why;
	struct heads one = heads_none();
	if (!heads_add(&one, id, strlen(id), &why))
		return;
	bool covered = false;
	for (unsigned i = 0; i < places->count && !covered; i++) {
		const char *other_id = graph_at(graph, places->at[i])->id;
		struct heads other = heads_none();
		covered = i != index && heads_add(&other, other_id, strlen(other_id), &why) &&
		    graph_relate(graph, &one, &other) == GRAPH_BEHIND;
		heads_free(&other);
	}
	if (!covered && !heads_add(&s->heads, id, strlen(id), &why))
		migrate_fails(&s->m, CLI_FAILED, "%s: %s", id, why);
	heads_free(&one);
}

/* What is recorded and lies on none of the targets' lines stays. */
static bool keep_others(struct stamp *s)
{
	const struct graph *graph = s->m.graph;
	const struct heads *recorded = &s->m.ledger.recorded.heads;
	struct heads target = heads_copy(&s->heads);
	const char *why = NULL, *text = recorded->text;
	bool ok = true;
	while (ok && text != NULL && *text != '\0') {
		size_t n = strcspn(text, "+");
		unsigned place;
		if (!graph_find(graph, text, n, &place))
			ok = migrate_fails(&s->m, CLI_FAILED,
			    "%.*s is recorded and not among the migrations in %s; --purge forgets what is "
			    "recorded",
			    (int)n, text, s->m.dir);
		else if (!related(graph, text, n, &target) && !heads_add(&s->heads, text, n, &why))
			ok = migrate_fails(&s->m, CLI_FAILED, "%.*s: %s", (int)n, text, why);
		text += n + (text[n] == '+');
	}
	heads_free(&target);
	return ok;
}

static bool choose(struct stamp *s)
{
	struct graph_places places = {.count = 0};
	char *why = NULL;
	bool base = s->target != NULL && strcmp(s->target, "base") == 0;
	if (s->target != NULL && !base) {
		if (!graph_resolve(s->m.graph, &s->m.ledger.recorded.heads, s->target, &places, &why))
			return migrate_fails_plan(&s->m, why);
		s->m.status = -1;
		for (unsigned i = 0; i < places.count && s->m.status < 0; i++)
			add_target(s, &places, i);
		graph_places_free(&places);
		if (s->m.status >= 0)
			return false;
		if (!s->purge && !keep_others(s))
			return false;
	}
	if (!graph_applied(s->m.graph, &s->heads, &s->applied, &why))
		return migrate_fails_plan(&s->m, why);
	return true;
}

/* [{"revision": "a", "checksum": "..."}, ...] */
static char *applied_json(const struct stamp *s)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	struct page_json json = {.to = to, .depth = 0};
	page_json_begin(&json, NULL, '[');
	for (unsigned i = 0; i < s->applied.count; i++) {
		const struct catalog_migration *migration = catalog_at(s->m.catalog, s->applied.at[i]);
		char checksum[65];
		catalog_checksum(&migration->up, digest_sha256, checksum);
		page_json_begin(&json, NULL, '{');
		page_json_text(&json, "revision", migration->revision);
		page_json_text(&json, "checksum", checksum[0] != '\0' ? checksum : NULL);
		page_json_end(&json, '}');
	}
	page_json_end(&json, ']');
	fclose(to);
	char *copy = mem_strdup(text);
	free(text);
	return copy;
}

static bool ask(struct migrate *m, const char *sql, const char *const *values, unsigned count, char out[24])
{
	struct pq_rows rows;
	bool ok = pq_now_ask(m->pq, sql, values, count, &rows);
	if (ok)
		snprintf(out, 24, "%s", pq_rows_at(&rows, 0, 0));
	else
		migrate_fails_by(m, "stamping", &rows.error);
	pq_rows_free(&rows);
	return ok;
}

/* The heads go first, so that a graph without what was purged is in order. */
static bool record(struct stamp *s, char run[24])
{
	struct migrate *m = &s->m;
	struct conductor self = conductor_self();
	char serial[24];
	char *applied = applied_json(s), *graph = plan_publication(m->catalog, digest_sha256);
	const char *const values[] = {self.who, self.os_user, self.host, s->why,
	    s->target != NULL ? s->target : "--purge", s->heads.text, applied};
	const char *const publication[] = {run, graph};
	bool ok = migrate_begin(m) &&
	    ask(m,
		"SELECT headgate.stamp($1, $2, $3, $4, ARRAY['headgate', 'stamp', $5], "
		"COALESCE(pg_catalog.string_to_array($6, '+'), '{}'), $7::jsonb)",
		values, 7, run) &&
	    ask(m, "SELECT headgate.publish($1::bigint, $2::jsonb)", publication, 2, serial) &&
	    migrate_commit(m);
	mem_free(&applied);
	mem_free(&graph);
	conductor_free(&self);
	return ok;
}

static void answer(const struct stamp *s, const char *run)
{
	const char *from = heads_text(&s->m.ledger.recorded.heads), *to = heads_text(&s->heads);
	unsigned count = s->applied.count;
	if (s->m.json) {
		struct page_json json = {.to = stdout, .depth = 0};
		page_json_begin(&json, NULL, '{');
		page_json_text(&json, "database", migrate_database(&s->m));
		page_json_number(&json, "run", strtoll(run, NULL, 10));
		page_json_text(&json, "from", from);
		page_json_text(&json, "to", to);
		page_json_number(&json, "applied", count);
		page_json_end(&json, '}');
	} else {
		printf("%s is stamped: %s -> %s (%u migration%s taken as applied)\n", migrate_database(&s->m),
		    from, to, count, count == 1 ? "" : "s");
	}
}

static bool stamp(struct stamp *s)
{
	struct migrate *m = &s->m;
	char run[24];
	if (!migrate_catalog(m) || !migrate_section(m))
		return false;
	if (strcmp(m->section->recorded.reader, "headgate") != 0)
		return migrate_fails(m, CLI_CONFIG,
		    "databases.%s.recorded.reader is %s: that tool keeps the version, and has a way of its "
		    "own to set it "
		    "(alembic stamp, flyway baseline, ...)",
		    m->section->name, m->section->recorded.reader);
	if (!migrate_ledger(m) || !migrate_make_ledger(m) || !choose(s) || !record(s, run))
		return false;
	answer(s, run);
	return true;
}

int cmd_stamp(int argc, char **argv)
{
	struct stamp s = {.target = NULL};
	const struct command_option own[] = {
	    {.name = "purge", .flag = &s.purge},
	    {.name = "message", .letter = 'm', .text = &s.why},
	};
	int status = migrate_open(&s.m, argc, argv, help, own, sizeof(own) / sizeof(own[0]));
	if (status < 0 && s.m.word_count > 1)
		status = command_usage("stamp",
		    "one target, please: several revisions are joined by a comma, %s,%s", s.m.words[0],
		    s.m.words[1]);
	if (status < 0 && s.m.word_count == 0 && !s.purge)
		status = command_usage("stamp", "at what is it? head, a revision, or base");
	if (status < 0) {
		s.target = s.m.word_count == 1 ? s.m.words[0] : NULL;
		status = stamp(&s) ? CLI_OK : s.m.status;
	}
	heads_free(&s.heads);
	graph_places_free(&s.applied);
	migrate_close(&s.m);
	return status;
}
