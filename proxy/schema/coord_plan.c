/* A run of steps, before anybody is disturbed: the ledger is made where it is missing, the steps are planned
 * from what it has, and once the run is announced the graph is published. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "coord_private.h"

/* For a lock in the way of the ledger's making, or of the publication. */
#define FOUNDING_NS (10 * CLOCK_S)

static const char init_hint[] =
    "`headgate init` makes it; `headgate init --print` prints what somebody else may run for you";

static void on_founded(struct coord *c, const struct pq_result *result)
{
	const struct ledger_step *step = &c->ledger_plan.steps[c->ledger_step];
	if (!result->ok && strcmp(result->sqlstate, "55P03") == 0 &&
	    clock_now() - c->entered_ns < FOUNDING_NS)
		return; /* again at the next tick */
	if (!result->ok) {
		coord_finish(c, COORD_REFUSED, 1,
		    mem_printf(
			"role %s cannot make the ledger (%s): %s", c->role, step->what, result->message),
		    init_hint);
		return;
	}
	c->ledger_step++;
	if (c->ledger_step < c->ledger_plan.count) {
		coord_found(c);
		return;
	}
	c->founded = true;
	coord_enter(c, COORD_SETTING, "the ledger is there");
}

/* Under the lock, so that of many who come at once one makes it. Each step may be repeated. */
void coord_found(struct coord *c)
{
	const struct conf_database *section = c->request.section;
	if (c->ledger_plan.count == 0) {
		char *control = pq_dsn_user(section->control.dsn);
		c->ledger_plan =
		    ledger_plan(&section->recorded, control != NULL ? control : c->role, c->role);
		c->ledger_step = 0;
		coord_say(c, NULL, "the ledger is being made: schema headgate, tables of ours");
		mem_free(&control);
	}
	if (c->ledger_step == c->ledger_plan.count)
		c->ledger_step = 0;
	coord_ask(c, c->ledger_plan.steps[c->ledger_step].sql, NULL, 0, on_founded);
}

/* The first line is the answer, the others say which files it is about. */
static void refuse(struct coord *c, char *why)
{
	char *line = why != NULL ? strchr(why, '\n') : NULL;
	if (line != NULL)
		*line++ = '\0';
	while (line != NULL && *line != '\0') {
		size_t n = strcspn(line, "\n");
		coord_warn(c, "%.*s", (int)n, line);
		line += n + (line[n] != '\0');
	}
	coord_finish(
	    c, COORD_REFUSED, 1, mem_printf("refused: %s", why != NULL ? why : "there is no plan"), NULL);
	mem_free(&why);
}

static const char ledger_sql[] = "SELECT 'h', h.head, NULL FROM headgate.head h "
				 "UNION ALL SELECT 'a', a.revision, a.checksum FROM headgate.applied a "
				 "UNION ALL SELECT 'r', r.file, r.checksum FROM headgate.repeatable r";

static void nothing_to_do(struct coord *c)
{
	mem_free(&c->to_text);
	c->to_text = mem_strdup(heads_text(&c->plan.to));
	coord_finish(c, COORD_SUCCEEDED, 0,
	    heads_is_none(&c->plan.to)
		? mem_strdup("nothing is recorded and nothing is to be: nothing to do, nobody was held")
		: mem_printf("%s is recorded already: nothing to do, nobody was held", c->to_text),
	    NULL);
}

static void planned(struct coord *c)
{
	char *why = NULL;
	if (c->plan.count == 0 && c->request.publish == NULL) {
		nothing_to_do(c);
	} else if (c->plan.count == 0) {
		coord_enter(c, COORD_PUBLISHING, "nothing to do");
	} else if (c->request.backup != NULL && !c->backed_up &&
	    !c->request.backup(c->request.arg, &c->plan, &c->backup, &why)) {
		refuse(c, why);
	} else {
		if (c->attempt == 0 && c->backup.argv == NULL && c->backup.what != NULL)
			coord_say(c, NULL, "no backup: %s", c->backup.what);
		c->attempt++;
		coord_enter(c, COORD_VETTING, heads_text(&c->plan.to));
	}
}

static void on_ledger(struct coord *c, const struct pq_result *result)
{
	const char *why_not;
	char *why = NULL;
	if (!result->ok) {
		coord_trouble(c, "the ledger", result);
		return;
	}
	struct plan_ledger ledger = {.heads = heads_none()};
	struct plan_applied *applied = mem_alloc((size_t)(result->rows + 1) * sizeof(*applied));
	struct plan_applied *repeatable = mem_alloc((size_t)(result->rows + 1) * sizeof(*repeatable));
	bool fine = true;
	for (int i = 0; i < result->rows && fine; i++) {
		const char *name = coord_text(result, i, 1);
		const struct plan_applied row = {.name = name, .checksum = pq_value(result, i, 2)};
		switch (coord_text(result, i, 0)[0]) {
		case 'h':
			fine = heads_add(&ledger.heads, name, strlen(name), &why_not);
			break;
		case 'a':
			applied[ledger.applied_count++] = row;
			break;
		default:
			repeatable[ledger.repeatable_count++] = row;
			break;
		}
	}
	ledger.applied = applied;
	ledger.repeatable = repeatable;
	coord_plan_drop(c);
	if (!fine)
		why = mem_printf("what is recorded cannot be a set of heads: %s", why_not);
	else
		fine = c->request.plan(c->request.arg, &ledger, &c->plan, &why);
	heads_free(&ledger.heads);
	mem_free(&applied);
	mem_free(&repeatable);
	if (fine)
		planned(c);
	else
		refuse(c, why);
}

void coord_plan(struct coord *c)
{
	coord_ask(c, ledger_sql, NULL, 0, on_ledger);
}

void coord_plan_drop(struct coord *c)
{
	c->steps_before = c->steps_done;
	runner_free(&c->runner);
	plan_free(&c->plan);
	c->next = 0;
}

static void on_published(struct coord *c, const struct pq_result *result)
{
	if (!result->ok && strcmp(result->sqlstate, "55P03") == 0 &&
	    clock_now() - c->entered_ns < FOUNDING_NS)
		return; /* somebody else publishes; again at the next tick */
	if (!result->ok) {
		coord_trouble(c, "publishing the graph", result);
		return;
	}
	if (c->run_id == 0)
		nothing_to_do(c);
	else if (c->backup.argv != NULL && !c->backed_up)
		coord_enter(c, COORD_BACKING_UP, c->backup.place != NULL ? c->backup.place : "");
	else
		coord_proceed(c);
}

/* Before the first step, so that a head is never recorded that the proxies' graph lacks. */
void coord_publish(struct coord *c)
{
	char steps[16];
	snprintf(steps, sizeof(steps), "%u", c->plan.count);
	const char *run = c->run_id != 0 ? c->run_text : NULL;
	const char *const count[] = {run, steps}, *const graph[] = {run, c->request.publish};
	static const char count_sql[] = "UPDATE headgate.run SET steps = $2::int WHERE run_id = $1::bigint";
	if (c->request.publish == NULL) {
		coord_ask(c, count_sql, count, 2, on_published);
		return;
	}
	if (run != NULL)
		pq_query(c->pq, count_sql, count, 2, NULL, NULL);
	coord_ask(c, "SELECT headgate.publish($1, $2)", graph, 2, on_published);
}
