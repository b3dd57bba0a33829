/* The list of steps before anything is done: `headgate upgrade --dry-run`. */
#include <string.h>

#include "base/mem.h"
#include "steps_show_private.h"

#define MESSAGE_COLUMNS 40

static bool is_held(const struct plan *plan, unsigned index, bool no_hold)
{
	return !no_hold && index >= plan->hold_begin && index < plan->hold_end;
}

/* Where it begins in its file. */
static char *place_of(const struct plan_step *step)
{
	const struct catalog_section *section = step->section;
	if (section != NULL && section->file != NULL)
		return mem_printf("%s:%u", section->file, section->line);
	return mem_strdup(step->migration->file);
}

static void json_plan(const struct steps_show *show, const struct plan *plan, bool no_hold)
{
	struct page_json json = {.to = stdout, .depth = 0};
	page_json_begin(&json, NULL, '{');
	page_json_text(&json, "database", show->database);
	page_json_text(&json, "from", heads_text(&plan->from));
	page_json_text(&json, "to", heads_text(&plan->to));
	page_json_begin(&json, "steps", '[');
	for (unsigned i = 0; i < plan->count; i++) {
		const struct plan_step *step = &plan->at[i];
		char *place = place_of(step);
		page_json_begin(&json, NULL, '{');
		page_json_number(&json, "step", i + 1);
		page_json_text(&json, "kind", plan_kind_name(step->kind));
		page_json_text(&json, "revision", step->revision);
		page_json_text(&json, "message", step->migration->message);
		page_json_text(&json, "place", place);
		page_json_flag(&json, "transaction", !step->outside);
		page_json_flag(&json, "holding", is_held(plan, i, no_hold));
		page_json_flag(&json, "late", step->late);
		page_json_text(&json, "after", heads_text(&step->after));
		page_json_text(&json, "checksum", step->checksum);
		page_json_end(&json, '}');
		mem_free(&place);
	}
	page_json_end(&json, ']');
	page_json_end(&json, '}');
}

static unsigned wider(unsigned width, const char *text, unsigned most)
{
	unsigned is = page_width(text);
	return is > width ? (is < most ? is : most) : width;
}

static void show_step(const struct page *page, const struct plan *plan, unsigned index, bool no_hold,
    unsigned id_width, unsigned message_width)
{
	const struct plan_step *step = &plan->at[index];
	char *place = place_of(step);
	fprintf(page->to, "%5u  %-4s  ", index + 1, plan_kind_name(step->kind));
	page_column(page, step->revision, id_width);
	fputs("  ", page->to);
	page_column(page, step->migration->message, message_width);
	fprintf(page->to, "  %-11s  %-7s  ", step->outside ? "outside" : "transaction",
	    is_held(plan, index, no_hold) ? "held" : "flowing");
	page_text(page, place);
	fputs(step->late ? "  (late)\n" : "\n", page->to);
	mem_free(&place);
}

static void show_steps(const struct page *page, const struct plan *plan, bool no_hold)
{
	unsigned id_width = 1, message_width = 1;
	for (unsigned i = 0; i < plan->count; i++) {
		id_width = wider(id_width, plan->at[i].revision, HEAD_BYTES);
		message_width = wider(message_width, plan->at[i].migration->message, MESSAGE_COLUMNS);
	}
	for (unsigned i = 0; i < plan->count; i++)
		show_step(page, plan, i, no_hold, id_width, message_width);
	if (no_hold)
		fputs("Nobody is held (--no-hold).\n", page->to);
	else if (plan->hold_begin == plan->hold_end)
		fputs("Nobody is held: each of them says hold:none.\n", page->to);
	else if (plan->hold_begin + 1 == plan->hold_end)
		fprintf(page->to, "Clients are held during step %u.\n", plan->hold_end);
	else
		fprintf(page->to, "Clients are held from step %u to step %u.\n", plan->hold_begin + 1,
		    plan->hold_end);
}

void steps_show_plan(const struct steps_show *show, const struct plan *plan, bool no_hold)
{
	struct page page = page_open(stdout);
	if (show->json) {
		json_plan(show, plan, no_hold);
		return;
	}
	if (plan->count == 0) {
		page_ink(&page, PAGE_PLAIN, "Nothing to do: %s is at %s.", show->database,
		    heads_text(&plan->from));
		fputc('\n', stdout);
		return;
	}
	page_ink(&page, PAGE_PLAIN, "%s would go from %s to %s in %u step%s:", show->database,
	    heads_text(&plan->from), heads_text(&plan->to), plan->count, plan->count == 1 ? "" : "s");
	fputc('\n', stdout);
	show_steps(&page, plan, no_hold);
}
