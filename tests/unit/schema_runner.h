/* Runs of steps on a real server, over the coordinator's door. */
#ifndef TESTS_SCHEMA_RUNNER_H
#define TESTS_SCHEMA_RUNNER_H

#include "net/digest.h"
#include "schema/plan.h"
#include "schema_catalog_text.h"
#include "schema_coord.h"

/* A run: what it is to do, and what it told of its steps. */
struct runs {
	struct seen seen;
	struct catalog *catalog;
	const char *target;
	char *publish;
	char steps[4000]; /* "1 running; 1 done; ..." */
	char what[2000];  /* the last word about a statement under way */
	char failure[8000], left[2000];
	unsigned total, done, planned;
	unsigned cancel_at; /* coord_cancel() when this step begins */
};

static inline bool runs_plan(void *arg, const struct plan_ledger *ledger, struct plan *out, char **why)
{
	struct runs *runs = arg;
	const struct plan_request request = {
	    .catalog = runs->catalog, .ledger = ledger, .target = runs->target, .digest = digest_sha256};
	runs->planned++;
	return runs->seen.request.kind == COORD_DOWNGRADE ? plan_down(&request, out, why)
							  : plan_up(&request, out, why);
}

static inline void runs_on_progress(const struct coord_progress *progress, void *arg)
{
	static const char *const states[] = {"running", "blocked", "retrying", "done"};
	struct runs *runs = arg;
	on_progress(progress, &runs->seen);
	if (progress->step == NULL)
		return;
	size_t n = strlen(runs->steps);
	if (progress->step->state != COORD_STEP_RUNNING || progress->step->elapsed_ns < CLOCK_S / 2)
		snprintf(runs->steps + n, sizeof(runs->steps) - n, "%u %s%s; ", progress->step->n,
		    states[progress->step->state], progress->step->holding ? "" : "~");
	if (progress->step->what != NULL)
		snprintf(runs->what, sizeof(runs->what), "%s", progress->step->what);
	if (runs->cancel_at == progress->step->n && progress->step->state == COORD_STEP_RUNNING) {
		runs->cancel_at = 0;
		coord_cancel(runs->seen.coord);
	}
}

static inline void runs_on_done(const struct coord_result *result, void *arg)
{
	struct runs *runs = arg;
	const struct coord_failure *f = result->failure;
	runs->total = result->steps;
	runs->done = result->steps_done;
	if (f != NULL) {
		snprintf(runs->failure, sizeof(runs->failure), "%u/%u %s %s %s:%u:%u [%s] %s %s: %s", f->n,
		    f->of, plan_kind_name(f->kind), f->revision, f->file, f->line, f->column,
		    f->statement != NULL ? f->statement : "-", f->severity, f->sqlstate, f->error);
		snprintf(runs->left, sizeof(runs->left), "%s", f->left);
	}
	on_done(result, &runs->seen);
}

/* name, text, ..., NULL */
static inline void runs_prepare(struct runs *runs, const char *const *pairs)
{
	struct catalog_defects defects = {.count = 0};
	memset(runs, 0, sizeof(*runs));
	prepare(&runs->seen, (char *const[]){S("headgate"), S("upgrade"), S("head"), NULL});
	runs->catalog = catalog_text_parse(pairs, NULL, &defects);
	if (runs->catalog == NULL)
		fail_msg("defect: %s", defects.lines[0]);
	runs->target = "head";
	runs->publish = plan_publication(runs->catalog, digest_sha256);
	runs->seen.section.recorded = (struct conf_recorded){.reader = S("headgate")};
	struct coord_request *request = &runs->seen.request;
	static char *const argv[] = {S("headgate"), S("upgrade"), S("head"), NULL};
	request->argv = argv;
	request->kind = COORD_UPGRADE;
	request->plan = runs_plan;
	request->publish = runs->publish;
	request->lock_timeout_ns = 200 * CLOCK_MS;
	request->lock_attempts = 3;
	request->progress = runs_on_progress;
	request->done = runs_on_done;
	request->arg = runs;
}
#define RUNS(runs, ...) runs_prepare(runs, (const char *const[]){__VA_ARGS__, NULL})

static inline void runs_begin(struct runs *runs)
{
	runs->seen.section.control.dsn = runs->seen.section.control.run_dsn = runs->seen.dsn;
	runs->seen.request.section = &runs->seen.section;
	begin(&runs->seen);
}

static inline void runs_end(struct runs *runs)
{
	until(runs->seen.ends > 0);
	assert_int_equal(runs->seen.ends, 1);
	catalog_free(&runs->catalog);
	mem_free(&runs->publish);
}

static inline void runs_conduct(struct runs *runs)
{
	runs_begin(runs);
	runs_end(runs);
}

#define assert_outcome(runs, wanted)                                                                         \
	do {                                                                                                 \
		if ((runs)->seen.outcome != (wanted))                                                        \
			fail_msg("%s (%s)\n%s\n%s", coord_outcome_name((runs)->seen.outcome),                \
			    (runs)->seen.text, (runs)->failure, (runs)->seen.story);                         \
	} while (0)
#define assert_has(text, part)                                                                               \
	do {                                                                                                 \
		if (strstr(text, part) == NULL)                                                              \
			fail_msg("\"%s\" is not in:\n%s", part, text);                                       \
	} while (0)
#define STEPS                                                                                                \
	"SELECT string_agg(concat_ws('|', ordinal, kind, revision, CASE WHEN transactional THEN 'in' ELSE "  \
	"'out' END, CASE WHEN holding THEN 'held' ELSE 'flowing' END, state, attempts, sqlstate, "           \
	"error_line), "                                                                                      \
	"E'\\n' ORDER BY step_id) FROM headgate.step"
#define HEADS "SELECT COALESCE(string_agg(head, '+' ORDER BY head), 'none') FROM headgate.head"

/* Before each test: a ledger that knows nothing, and no table of the tests'. */
static inline int runs_clean(void **state)
{
	(void)state;
	sql("SET client_min_messages = error; DROP SCHEMA IF EXISTS public, app CASCADE");
	sql("ALTER DATABASE shop RESET ALL");
	sql("CREATE SCHEMA public");
	sql("DELETE FROM headgate.proxy");
	sql("DELETE FROM headgate.step");
	sql("DELETE FROM headgate.run");
	sql("DELETE FROM headgate.applied");
	sql("DELETE FROM headgate.repeatable");
	sql("DELETE FROM headgate.head");
	sql("DELETE FROM headgate.revision");
	sql("UPDATE headgate.graph SET serial = 0, revisions = 0");
	return 0;
}

#endif
