/* What failed, and what it leaves. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner_private.h"

static const char *keep(struct runner *r, char *text)
{
	return r->texts[r->text_count++] = text;
}

static const char *copy(struct runner *r, const char *text)
{
	return text != NULL && text[0] != '\0' ? keep(r, mem_strdup(text)) : NULL;
}

void runner_failure_clear(struct runner *r)
{
	for (unsigned i = 0; i < r->text_count; i++)
		mem_free(&r->texts[i]);
	r->text_count = 0;
	r->failed = r->lock_trouble = false;
	r->failure = (struct coord_failure){.n = 0};
}

/* A lock that was not given in time, a deadlock, another's change since our snapshot: with nothing done, the
 * same may succeed later. */
static bool is_lock_trouble(const char *sqlstate)
{
	return strcmp(sqlstate, "55P03") == 0 || strcmp(sqlstate, "40P01") == 0 ||
	    strcmp(sqlstate, "40001") == 0;
}

/* Not in the middle of a character. */
static char *shortened(const struct split_statement *s)
{
	size_t size = s->size;
	if (size <= COORD_STATEMENT_BYTES)
		return mem_strndup(s->text, size);
	size = COORD_STATEMENT_BYTES;
	while (size > 0 && ((unsigned char)s->text[size] & 0xc0) == 0x80)
		size--;
	char *head = mem_strndup(s->text, size), *text = mem_printf("%s...", head);
	mem_free(&head);
	return text;
}

void runner_failure_take(struct runner *r, const struct split_statement *statement,
    const struct pq_result *result, const char *what)
{
	const struct plan_step *step = runner_step(r);
	runner_failure_clear(r);
	r->failed = true;
	r->lock_trouble = is_lock_trouble(result->sqlstate);
	r->failure = (struct coord_failure){
	    .n = r->at + 1,
	    .of = r->request.plan->count,
	    .kind = step->kind,
	    .revision = step->revision,
	    .message = step->migration->message,
	    .file = step->section->file != NULL ? step->section->file : step->migration->file,
	    .line = step->section->file != NULL ? step->section->line : step->migration->line,
	    .severity = "ERROR",
	    .sqlstate = keep(r, mem_strdup(result->sqlstate)),
	    .error = keep(r, mem_printf("%s%s", what, result->message)),
	    .detail = copy(r, result->detail),
	    .hint = copy(r, result->hint),
	    .context = copy(r, result->context),
	    .left = "",
	};
	if (result->severity != NULL && result->severity[0] != '\0')
		r->failure.severity = keep(r, mem_strdup(result->severity));
	if (r->lock_trouble && r->failure.hint == NULL && r->blocked && r->what != NULL)
		r->failure.hint = keep(r, mem_strdup(r->what));
	if (statement == NULL)
		return;
	r->failure.statement = keep(r, shortened(statement));
	r->failure.statement_line = r->failure.line = statement->line;
	r->failure.position = result->position;
	if (result->position > 0)
		split_position(statement, result->position, &r->failure.line, &r->failure.column);
}

/* "it is pending as before; what is recorded stays 0002. Mend ... " */
static char *standing(const struct runner *r)
{
	const struct plan_step *step = runner_step(r);
	return mem_printf("%s; what is recorded stays %s. %s",
	    step->kind == PLAN_DOWN     ? "it is there as before"
		: step->kind == PLAN_UP ? "it is pending as before"
					: "it runs again with the next upgrade",
	    heads_text(&step->before),
	    r->stopping > 0       ? "Run the same again to go on."
		: r->lock_trouble ? "Run the same again when nothing is in the way."
				  : "Mend the file and run the same again.");
}

void runner_failure_settle(struct runner *r)
{
	const struct plan_step *step = runner_step(r);
	if (r->failure.left[0] != '\0')
		return;
	char *stands = standing(r),
	     *tried = r->attempt > 1 && r->lock_trouble ? mem_printf("It was tried %u times. ", r->attempt)
							: mem_strdup("");
	char *invalid = r->left_invalid != NULL
	    ? mem_printf(" The failed build left an invalid index, which costs writes and serves nobody: %s",
		  r->left_invalid)
	    : mem_strdup("");
	bool undone = r->certain && !r->effects;
	if (!step->outside)
		r->failure.left = keep(
		    r, mem_printf("%sThe step was rolled back, nothing of it is there: %s", tried, stands));
	else if (undone)
		r->failure.left = keep(r,
		    mem_printf("%sThe step runs outside a transaction, but nothing of it is there yet: %s",
			tried, stands));
	else
		r->failure.left = keep(r,
		    mem_printf(
			"%sThe step runs outside a transaction and is half way: %s in force. The gate stays "
			"shut. Finish it by hand and say `headgate resolve --as done`, or take back what is "
			"there and say `headgate resolve --as undone`.%s",
			tried,
			r->effects ? "what stands before this statement is" : "part of this statement may be",
			invalid));
	mem_free(&stands);
	mem_free(&tried);
	mem_free(&invalid);
}

static void on_failed(struct runner *r, const struct pq_result *result)
{
	const struct plan_step *step = runner_step(r);
	if (!result->ok && runner_accident(r, result)) {
		runner_enter(r, RUNNER_FAILING, "cancelled by accident");
		return;
	}
	if (!result->ok)
		runner_warn(r, "the ledger, about the step that failed: %s", result->message);
	bool undone = !step->outside || (r->certain && !r->effects && result->ok);
	runner_end(r, !undone ? RUNNER_HALF : r->stopping > 0 ? RUNNER_STOPPED : RUNNER_FAILED);
}

static const char failed_sql[] =
    "SELECT headgate.step_failed($13, $14, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
    "pg_catalog.string_to_array($11::text, '+'), pg_catalog.string_to_array($12::text, '+'), "
    "pg_catalog.clock_timestamp() - $15::bigint * interval '1 millisecond', $16, $17, $18)";

void runner_fail(struct runner *r)
{
	struct runner_values values;
	char elapsed[24], line[16];
	runner_failure_settle(r);
	runner_step_values(r, &values);
	snprintf(elapsed, sizeof(elapsed), "%lld", (long long)((clock_now() - r->began_ns) / CLOCK_MS));
	snprintf(line, sizeof(line), "%u", r->failure.line);
	const char *all[RUNNER_STEP_VALUES + 6];
	memcpy(all, values.at, sizeof(values.at));
	all[RUNNER_STEP_VALUES] = r->step_id;
	all[RUNNER_STEP_VALUES + 1] = r->certain && !r->effects ? "true" : "false";
	all[RUNNER_STEP_VALUES + 2] = elapsed;
	all[RUNNER_STEP_VALUES + 3] = r->failure.error;
	all[RUNNER_STEP_VALUES + 4] = r->failure.sqlstate;
	all[RUNNER_STEP_VALUES + 5] = line;
	runner_ask(r, failed_sql, all, RUNNER_STEP_VALUES + 6, on_failed);
}
