/* One migration: up, down, up again. */
#include <string.h>

#include "base/mem.h"
#include "describing.h"
#include "rehearse.h"

void rehearse_migration_free(struct rehearse_migration *migration)
{
	rehearse_section_free(&migration->up);
	rehearse_section_free(&migration->down);
	rehearse_section_free(&migration->again);
	describe_texts_free(&migration->left);
	describe_texts_free(&migration->different);
	surface_losses_free(&migration->losses);
	*migration = (struct rehearse_migration){.step = NULL};
}

void rehearse_moment_free(struct rehearse_moment *moment)
{
	description_free(&moment->description);
	surface_free(&moment->surface);
}

static const char *cell(const void *handle, unsigned row, unsigned column)
{
	return pq_rows_at(handle, row, column);
}

/* NULL: said. */
static struct description *describe(struct rehearse *r)
{
	struct pq_now_error error = {.position = 0};
	struct description *description = describing(r->pq, NULL, &error);

	if (description == NULL) {
		r->broken = true;
		if (!rehearse_interrupted(r))
			migrate_fails_by(&r->m, "the schema could not be read", &error);
		pq_now_error_free(&error);
	}
	return description;
}

/* Looks in both ways. False: said. */
static bool take_moment(struct rehearse *r, struct rehearse_moment *out)
{
	struct pq_rows rows;

	*out = (struct rehearse_moment){.description = describe(r)};
	if (out->description == NULL)
		return false;
	if (pq_now_ask(r->pq, surface_sql, NULL, 0, &rows)) {
		const struct reader_rows view = {rows.rows, rows.columns, cell, &rows};
		out->surface = surface_read(&view);
	} else if (!rehearse_interrupted(r)) {
		migrate_fails_by(&r->m, "the schema could not be read", &rows.error);
	}
	pq_rows_free(&rows);
	r->broken = out->surface == NULL;
	if (r->broken)
		rehearse_moment_free(out);
	return !r->broken;
}

static unsigned warnings_of(const struct rehearse_migration *migration)
{
	unsigned count = migration->up.warnings.count + migration->down.warnings.count;
	if (migration->step->migration->compatible && !migration->contradicted)
		count += migration->losses.count;
	return count;
}

static void judge(struct rehearse *r, struct rehearse_migration *migration)
{
	const struct rehearse_section *up = &migration->up, *down = &migration->down,
				      *again = &migration->again;
	unsigned warnings = warnings_of(migration) +
	    (!migration->has_down && !r->up_only && migration->step->kind == PLAN_UP);

	r->warnings += warnings;
	if (!up->ok || (down->run && !down->ok) || (again->run && !again->ok) || migration->left.count > 0 ||
	    migration->different.count > 0 || migration->contradicted)
		migration->verdict = REHEARSE_FAILED;
	else
		migration->verdict = warnings > 0 ? REHEARSE_WARNED : REHEARSE_PASSED;
}

/* For a way back that is taken once something has gone wrong the doubts are others: that clients break, or
 * that data goes, is what it is for. */
static void keep_what_blocks(struct warnings *warnings)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < warnings->count; i++) {
		struct warning *w = &warnings->at[i];
		if (w->kind == WARN_BLOCKS || w->kind == WARN_FAILS) {
			warnings->at[kept++] = *w;
			continue;
		}
		mem_free(&w->object);
		mem_free(&w->text);
		mem_free(&w->advice);
	}
	warnings->count = kept;
}

/* What a section that failed has left: nothing where it was in a transaction. */
static bool is_where_it_was(
    struct rehearse *r, const struct rehearse_section *section, const struct rehearse_moment *was)
{
	struct description *is;
	if (section->interrupted || section->lost)
		return false;
	if (!section->outside)
		return true;
	is = describe(r);
	if (is == NULL)
		return false;
	struct describe_texts differences = describe_differences(is, was->description);
	bool same = differences.count == 0;
	describe_texts_free(&differences);
	description_free(&is);
	return same;
}

static void compare_clients(struct rehearse_migration *migration, const struct rehearse_moment *before,
    const struct rehearse_moment *after)
{
	bool marked = migration->step->migration->compatible;
	migration->losses = surface_compare(before->surface, after->surface);
	migration->contradicted = marked && migration->losses.certain > 0;
	migration->suggested = !marked && migration->losses.count == 0;
}

/* Nothing that clients could wait for, nor rows that they could have changed too. */
static bool needs_no_hold(const struct rehearse_migration *migration)
{
	const struct locks_found *found = &migration->up.found;
	if (migration->step->flowing || migration->losses.count > 0 ||
	    migration->step->section->statements == 0)
		return false;
	for (unsigned i = 0; i < found->count; i++) {
		const struct locks_seen *seen = &found->at[i];
		if (seen->relation->table != NULL && migration->up.outside)
			continue; /* an index that is built or dropped concurrently */
		if (lock_rank(seen->mode) > lock_rank("ShareUpdateExclusiveLock") ||
		    lock_rank(seen->mode) == lock_rank("RowExclusiveLock"))
			return false;
	}
	return true;
}

/* From `before` it went up to `after`: back, and up again. True: it is at `after` now. */
static bool back_and_forth(struct rehearse *r, struct rehearse_migration *migration,
    const struct rehearse_moment *before, const struct rehearse_moment *after)
{
	const struct plan_step *step = migration->step;
	const struct catalog_section *down = &step->migration->down;
	struct warn_run *warn = warn_begin(&r->facts);
	struct description *now;

	rehearse_show_at(r, "down", step->revision);
	rehearse_section_run(r, down, rehearse_is_outside(down), warn, &migration->down);
	warn_end(&warn);
	keep_what_blocks(&migration->down.warnings);
	if (!migration->down.ok)
		return is_where_it_was(r, &migration->down, after);
	now = describe(r);
	if (now == NULL)
		return false;
	migration->left = describe_differences(now, before->description);
	description_free(&now);
	rehearse_show_at(r, "up again", step->revision);
	rehearse_section_run(r, step->section, step->outside, NULL, &migration->again);
	now = migration->again.ok ? describe(r) : NULL;
	if (now == NULL)
		return false;
	migration->different = describe_differences(now, after->description);
	description_free(&now);
	return migration->different.count == 0;
}

bool rehearse_migration_run(
    struct rehearse *r, const struct plan_step *step, struct rehearse_migration *out, bool *again)
{
	struct rehearse_moment after;
	bool goes_on = false;

	*again = false;
	*out = (struct rehearse_migration){.step = step, .verdict = REHEARSE_SKIPPED};
	out->has_down = step->kind == PLAN_UP && step->migration->down.file != NULL;
	/* Where the step before it went well, that is where it is. */
	if (r->at.description == NULL && !take_moment(r, &r->at))
		return false;
	rehearse_show_at(r, "up", step->revision);
	rehearse_section_run(r, step->section, step->outside, r->warn, &out->up);
	if (out->up.ok && take_moment(r, &after)) {
		if (step->kind == PLAN_UP)
			compare_clients(out, &r->at, &after);
		out->needs_no_hold = step->kind == PLAN_UP && needs_no_hold(out);
		goes_on = true;
		if (out->has_down && !r->up_only) {
			goes_on = back_and_forth(r, out, &r->at, &after);
			/* Up it went once: from a new copy the rest can be reached. */
			*again = !goes_on;
		}
		rehearse_moment_free(&r->at);
		r->at = after;
	}
	if (!goes_on)
		rehearse_moment_free(&r->at);
	rehearse_show_at(r, NULL, NULL);
	judge(r, out);
	return goes_on;
}
