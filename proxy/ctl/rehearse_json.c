/* The report, for programs: one object a line, as `exec --json` and `upgrade --json` have it. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "rehearse.h"
#include "page_json.h"

static struct page_json line_begin(const char *event)
{
	struct page_json json = {.to = stdout, .depth = 1};
	page_json_begin(&json, NULL, '{');
	page_json_text(&json, "event", event);
	return json;
}

static void line_end(struct page_json *json)
{
	page_json_end(json, '}');
	putchar('\n');
	fflush(stdout);
}

void rehearse_json_begin(const struct rehearse *r)
{
	struct page_json json = line_begin("begin");
	page_json_text(&json, "database", migrate_database(&r->m));
	page_json_text(&json, "from", heads_text(&r->plan.from));
	page_json_text(&json, "to", heads_text(&r->plan.to));
	page_json_number(&json, "steps", r->plan.count);
	page_json_text(&json, "scratch", r->scratch != NULL ? scratch_name(r->scratch) : NULL);
	page_json_flag(&json, "data", r->data);
	page_json_text(&json, "copy_warning", r->copy_warning);
	line_end(&json);
}

static void seen(struct page_json *json, const struct locks_found *found)
{
	page_json_begin(json, "relations", '[');
	for (unsigned i = 0; i < found->count; i++) {
		const struct locks_seen *s = &found->at[i];
		char kind[2] = {s->relation->kind, '\0'};
		page_json_begin(json, NULL, '{');
		page_json_text(json, "relation", s->relation->name);
		page_json_text(json, "kind", kind);
		page_json_text(json, "table", s->relation->table);
		page_json_text(json, "lock", s->mode);
		page_json_text(json, "stops", lock_stops(s->mode));
		page_json_flag(json, "rewritten", s->rewritten);
		page_json_number(json, "rows_read", s->rows_read);
		page_json_end(json, '}');
	}
	page_json_end(json, ']');
}

static void warnings(struct page_json *json, const struct warnings *all)
{
	static const char *const works[] = {[WARN_WORK_NONE] = NULL,
	    [WARN_WORK_SCAN] = "scan",
	    [WARN_WORK_INDEX] = "index",
	    [WARN_WORK_REWRITE] = "rewrite",
	    [WARN_WORK_UNKNOWN] = "unknown"};
	page_json_begin(json, "warnings", '[');
	for (unsigned i = 0; i < all->count; i++) {
		const struct warning *w = &all->at[i];
		page_json_begin(json, NULL, '{');
		page_json_text(json, "rule", w->rule);
		page_json_text(json, "kind", warn_kind_name(w->kind));
		page_json_text(json, "work", works[w->work]);
		page_json_text(json, "lock", w->lock);
		page_json_text(json, "object", w->object);
		page_json_number(json, "line", w->line);
		page_json_text(json, "text", w->text);
		page_json_text(json, "instead", w->advice);
		page_json_end(json, '}');
	}
	page_json_end(json, ']');
}

static void section(
    struct page_json *json, const char *key, const char *file, const struct rehearse_section *s)
{
	if (!s->run) {
		page_json_as_is(json, key, NULL);
		return;
	}
	page_json_begin(json, key, '{');
	page_json_flag(json, "ok", s->ok);
	page_json_number(json, "ms", s->ns / CLOCK_MS);
	page_json_flag(json, "transaction", !s->outside);
	seen(json, &s->found);
	warnings(json, &s->warnings);
	if (s->ok) {
		page_json_as_is(json, "error", NULL);
	} else {
		page_json_begin(json, "error", '{');
		page_json_text(json, "file", file);
		page_json_number(json, "line", s->line);
		page_json_text(json, "sqlstate", s->error.sqlstate);
		page_json_text(json, "message", s->error.message);
		page_json_text(json, "detail", s->error.detail);
		page_json_text(json, "hint", s->error.hint);
		page_json_text(json, "statement", s->statement);
		page_json_end(json, '}');
	}
	page_json_end(json, '}');
}

static void texts(struct page_json *json, const char *key, const struct describe_texts *all)
{
	page_json_begin(json, key, '[');
	for (unsigned i = 0; i < all->count; i++)
		page_json_text(json, NULL, all->at[i]);
	page_json_end(json, ']');
}

void rehearse_json_migration(const struct rehearse *r, const struct rehearse_migration *migration)
{
	static const char *const verdicts[] = {[REHEARSE_PASSED] = "passed",
	    [REHEARSE_WARNED] = "warned",
	    [REHEARSE_FAILED] = "failed",
	    [REHEARSE_SKIPPED] = "skipped"};
	const struct plan_step *step = migration->step;
	struct page_json json = line_begin("step");

	(void)r;
	page_json_text(&json, "revision", step->revision);
	page_json_text(&json, "kind", plan_kind_name(step->kind));
	page_json_text(&json, "message", step->migration->message);
	page_json_text(&json, "file", step->section->file);
	page_json_flag(&json, "flowing", step->flowing);
	page_json_flag(&json, "compatible", step->migration->compatible);
	page_json_text(&json, "verdict", verdicts[migration->verdict]);
	section(&json, "up", step->section->file, &migration->up);
	section(&json, "down", step->migration->down.file, &migration->down);
	section(&json, "again", step->section->file, &migration->again);
	page_json_flag(&json, "has_down", migration->has_down);
	page_json_flag(&json, "needs_no_hold", migration->needs_no_hold);
	texts(&json, "left", &migration->left);
	texts(&json, "different", &migration->different);
	page_json_begin(&json, "clients", '{');
	page_json_text(&json, "of", heads_text(&step->before));
	page_json_flag(&json, "contradicted", migration->contradicted);
	page_json_flag(&json, "suggested", migration->suggested);
	for (int certain = 1; certain >= 0; certain--) {
		page_json_begin(&json, certain == 1 ? "lose" : "may_lose", '[');
		for (unsigned i = 0; i < migration->losses.count; i++)
			if (migration->losses.at[i].certain == (certain == 1))
				page_json_text(&json, NULL, migration->losses.at[i].text);
		page_json_end(&json, ']');
	}
	page_json_end(&json, '}');
	line_end(&json);
}

void rehearse_json_end(const struct rehearse *r)
{
	struct page_json json = line_begin("result");
	page_json_flag(&json, "ok", r->failed == 0 && r->skipped == 0 && !(r->strict && r->warnings > 0));
	page_json_number(&json, "passed", r->passed);
	page_json_number(&json, "warned", r->warned);
	page_json_number(&json, "failed", r->failed);
	page_json_number(&json, "skipped", r->skipped);
	page_json_number(&json, "warnings", r->warnings);
	page_json_number(&json, "ms", (clock_now() - r->began_ns) / CLOCK_MS);
	line_end(&json);
}
