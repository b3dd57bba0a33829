/* The report, for people. Everything from files and from the database goes through page.h, which makes it
 * safe. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rehearse.h"
#include "page.h"

#define MARGIN "      "

static char *in_time(int64_t ns)
{
	return page_duration(ns / CLOCK_MS);
}

void rehearse_show_at(const struct rehearse *r, const char *what, const char *revision)
{
	const char *terminal = getenv("TERM");
	if (r->m.json || !isatty(STDERR_FILENO) || terminal == NULL || strcmp(terminal, "dumb") == 0)
		return;
	fputs("\r\033[K", stderr);
	if (what != NULL)
		fprintf(stderr, "%s %s ...", what, revision);
	fflush(stderr);
}

void rehearse_show_begin(const struct rehearse *r)
{
	struct page page = page_open(stdout);
	const char *what = r->data ? "its schema and data" : "its schema";
	char *from = mem_strdup(heads_text(&r->plan.from)), *to = mem_strdup(heads_text(&r->plan.to));

	printf("Rehearsing ");
	page_text(&page, migrate_database(&r->m));
	printf(": %u step%s from %s to %s, on ", r->plan.count, r->plan.count == 1 ? "" : "s", from, to);
	if (r->scratch != NULL)
		printf("a copy of %s (%s)\n", what, scratch_name(r->scratch));
	else
		puts("that database itself");
	if (r->copy_warning != NULL) {
		page_ink(&page, PAGE_BAD, "The copy has gaps:");
		putchar('\n');
		page_lines(&page, r->copy_warning, strlen(r->copy_warning), 4);
	}
	fflush(stdout);
	mem_free(&from);
	mem_free(&to);
}

/* ---- one migration ---- */

static void show_size(const struct page *page, const struct rehearse *r, const char *name)
{
	const struct locks_relation *relation = locks_relation_named(&r->sizes, name);
	if (relation == NULL || relation->kind == 'p' || relation->rows < 0 || relation->bytes < 65536)
		return;
	char *bytes = page_bytes(relation->bytes);
	page_ink(page, PAGE_FAINT, " (about %.0f rows, %s)", relation->rows, bytes);
	mem_free(&bytes);
}

/* An index's locks are its table's matter, where that is locked as much; and what is built or dropped
 * concurrently comes to the strongest lock on the index when nobody uses that any more. */
static bool is_worth_telling(
    const struct rehearse *r, const struct rehearse_section *section, const struct locks_seen *seen)
{
	if (r->m.verbose)
		return true;
	if (seen->relation->table != NULL && section->outside)
		return false;
	for (unsigned i = 0; seen->relation->table != NULL && i < section->found.count; i++) {
		const struct locks_seen *other = &section->found.at[i];
		if (strcmp(other->relation->name, seen->relation->table) == 0 &&
		    lock_rank(other->mode) >= lock_rank(seen->mode) && (other->rewritten || !seen->rewritten))
			return false;
	}
	return lock_stops(seen->mode) != NULL || seen->rewritten;
}

/* TRUNCATE makes a new file, too. */
static bool empties(const struct warnings *warnings)
{
	for (unsigned i = 0; i < warnings->count; i++)
		if (strcmp(warnings->at[i].rule, "truncate") == 0)
			return true;
	return false;
}

static void show_one(const struct page *page, const struct rehearse *r,
    const struct rehearse_section *section, const struct locks_seen *seen)
{
	const char *mode = seen->mode != NULL ? lock_name(seen->mode) : "no lock seen";
	page_ink(page, lock_rank(seen->mode) == 8 ? PAGE_BAD : PAGE_PLAIN, "%s", mode);
	printf(" on ");
	page_text(page, seen->relation->name);
	show_size(page, r, seen->relation->name);
	if (lock_stops(seen->mode) != NULL)
		printf(": %s wait", lock_stops(seen->mode));
	if (seen->rewritten)
		page_ink(
		    page, PAGE_BAD, "; written anew%s", empties(&section->warnings) ? " or emptied" : "");
	if (seen->rows_read > 0)
		printf("; %" PRId64 " row%s read", seen->rows_read, seen->rows_read == 1 ? "" : "s");
	putchar('\n');
}

static void show_seen(const struct page *page, const struct rehearse *r, const char *word,
    const struct rehearse_section *section)
{
	for (unsigned i = 0; i < section->found.count; i++) {
		const struct locks_seen *seen = &section->found.at[i];
		if (!is_worth_telling(r, section, seen))
			continue;
		printf(MARGIN "%-6s ", word);
		show_one(page, r, section, seen);
		word = "";
	}
}

static void show_warnings(const struct page *page, const char *file, const struct warnings *warnings)
{
	for (unsigned i = 0; i < warnings->count; i++) {
		const struct warning *w = &warnings->at[i];
		fputs(MARGIN, stdout);
		page_text(page, file);
		printf(":%u: ", w->line);
		page_ink(page, PAGE_ID, "%s", w->rule);
		printf(" (%s): ", warn_kind_name(w->kind));
		page_text(page, w->text);
		putchar('\n');
		if (w->advice == NULL)
			continue;
		fputs(MARGIN "    instead: ", stdout);
		page_text(page, w->advice);
		putchar('\n');
	}
}

static void show_error(const struct page *page, const struct catalog_section *section, const char *word,
    const struct rehearse_section *done)
{
	if (!done->run || done->ok)
		return;
	printf(MARGIN);
	page_ink(page, PAGE_BAD, "%s failed", word);
	printf(": ");
	page_text(page, section->file);
	printf(":%u", done->line);
	if (done->column > 0)
		printf(":%u", done->column);
	printf(": ");
	page_text(page, done->error.message);
	if (done->error.sqlstate[0] != '\0')
		printf(" (%s)", done->error.sqlstate);
	putchar('\n');
	const struct {
		const char *word, *text;
	} more[] = {{"DETAIL", done->error.detail}, {"HINT", done->error.hint}};
	for (size_t i = 0; i < 2; i++) {
		if (more[i].text == NULL)
			continue;
		printf(MARGIN "    %s: ", more[i].word);
		page_text(page, more[i].text);
		putchar('\n');
	}
	if (done->statement != NULL)
		page_lines(page, done->statement, strlen(done->statement), 10);
	else
		puts(MARGIN "    at the end of its transaction");
}

static void show_differences(const struct page *page, const char *what, const struct describe_texts *texts)
{
	if (texts->count == 0)
		return;
	fputs(MARGIN, stdout);
	page_ink(page, PAGE_BAD, "%s", what);
	putchar('\n');
	for (unsigned i = 0; i < texts->count; i++)
		page_lines(page, texts->at[i], strlen(texts->at[i]), 10);
}

static void show_clients(const struct page *page, const struct rehearse_migration *migration)
{
	const struct surface_losses *losses = &migration->losses;
	const struct plan_step *step = migration->step;
	bool marked = step->migration->compatible, any = step->section->statements > 0;
	char *clients = heads_is_none(&step->before) ? mem_strdup("clients from before it")
						     : mem_printf("clients of %s", heads_text(&step->before));

	if (losses->count > 0 || marked || (migration->suggested && any))
		fputs(MARGIN, stdout);
	if (migration->contradicted)
		page_ink(page, PAGE_BAD, "it is marked compatible, and %s get errors:", clients);
	else if (losses->count > 0)
		printf("%s %s:", clients,
		    losses->certain > 0 ? "get errors when they use this" : "may get errors");
	else if (marked)
		printf("%s keep what they see, as it says (compatible)", clients);
	else if (migration->suggested && any)
		page_ink(page, PAGE_FAINT, "%s keep what they see: it may be marked compatible", clients);
	if (losses->count > 0 || marked || (migration->suggested && any))
		putchar('\n');
	for (unsigned i = 0; i < losses->count; i++) {
		printf(MARGIN "    %s", losses->at[i].certain ? "" : "perhaps: ");
		page_text(page, losses->at[i].text);
		putchar('\n');
	}
	if (migration->needs_no_hold) {
		fputs(MARGIN, stdout);
		page_ink(
		    page, PAGE_FAINT, "nothing waits for it: it may run with traffic flowing (hold:none)");
		putchar('\n');
	}
	mem_free(&clients);
}

static void show_times(const struct rehearse_migration *migration)
{
	const struct {
		const char *word;
		const struct rehearse_section *section;
	} parts[] = {{"up", &migration->up}, {"down", &migration->down}, {"up", &migration->again}};
	const char *between = "  ";

	for (size_t i = 0; i < 3; i++) {
		if (!parts[i].section->run || !parts[i].section->ok)
			continue;
		char *time = in_time(parts[i].section->ns);
		printf("%s%s %s", between, parts[i].word, time);
		mem_free(&time);
		between = ", ";
	}
	putchar('\n');
}

void rehearse_show_migration(const struct rehearse *r, const struct rehearse_migration *migration)
{
	static const struct {
		const char *word;
		enum page_ink ink;
	} verdicts[] = {[REHEARSE_PASSED] = {"PASS", PAGE_GOOD},
	    [REHEARSE_WARNED] = {"WARN", PAGE_LABEL},
	    [REHEARSE_FAILED] = {"FAIL", PAGE_BAD},
	    [REHEARSE_SKIPPED] = {"----", PAGE_FAINT}};
	struct page page = page_open(stdout);
	const struct plan_step *step = migration->step;

	putchar('\n');
	page_ink(&page, verdicts[migration->verdict].ink, "%s", verdicts[migration->verdict].word);
	printf("  ");
	page_ink(&page, PAGE_ID, "%s", step->revision);
	printf("  ");
	page_text(&page, step->migration->message);
	if (migration->verdict == REHEARSE_SKIPPED) {
		puts("  not rehearsed, since it comes after what failed");
		return;
	}
	if (step->flowing || step->outside)
		page_ink(&page, PAGE_FAINT, "  (%s%s%s)", step->flowing ? "hold:none" : "",
		    step->flowing && step->outside ? ", " : "", step->outside ? "outside a transaction" : "");
	show_times(migration);
	show_error(&page, step->section, "up", &migration->up);
	show_seen(&page, r, "up", &migration->up);
	show_warnings(&page, step->section->file, &migration->up.warnings);
	if (migration->up.ok && step->kind == PLAN_UP)
		show_clients(&page, migration);
	show_error(&page, &step->migration->down, "down", &migration->down);
	show_seen(&page, r, "down", &migration->down);
	show_warnings(&page, step->migration->down.file, &migration->down.warnings);
	show_differences(&page, "down does not undo up:", &migration->left);
	show_error(&page, step->section, "up again", &migration->again);
	show_differences(&page, "up again makes something else than the first time:", &migration->different);
	if (!migration->has_down && !r->up_only && step->kind == PLAN_UP)
		puts(MARGIN "it has no down section: there is no way back");
	fflush(stdout);
}

void rehearse_show_end(const struct rehearse *r)
{
	struct page page = page_open(stdout);
	char *time = in_time(clock_now() - r->began_ns);
	bool failed = r->failed > 0 || (r->strict && r->warnings > 0);

	putchar('\n');
	page_ink(
	    &page, failed ? PAGE_BAD : PAGE_GOOD, "%u step%s", r->plan.count, r->plan.count == 1 ? "" : "s");
	printf(": %u passed", r->passed);
	if (r->warned > 0)
		printf(", %u with warnings", r->warned);
	if (r->failed > 0)
		printf(", %u failed", r->failed);
	if (r->skipped > 0)
		printf(", %u not rehearsed", r->skipped);
	printf("; %u warning%s%s; %s\n", r->warnings, r->warnings == 1 ? "" : "s",
	    r->strict && r->warnings > 0 ? " (--strict: that is a failure)" : "", time);
	if (!r->data && r->scratch != NULL) {
		page_ink(&page, PAGE_FAINT,
		    "The copy had no rows: times say little, and rows that are in the way were not met. "
		    "--data copies "
		    "them too.");
		putchar('\n');
	}
	fflush(stdout);
	mem_free(&time);
}
