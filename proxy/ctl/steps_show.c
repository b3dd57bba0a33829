#include "steps_show.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "steps_show_private.h"

/* Where a step takes long and lines are plain: when it is told first, and how often from then on. */
#define TELL_FIRST_NS (1 * CLOCK_S)
#define TELL_EVERY_NS (10 * CLOCK_S)

void steps_show_begin(struct steps_show *show, const char *command, const char *database, bool json)
{
	const char *term = getenv("TERM");
	/* A line is one write. */
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	*show = (struct steps_show){
	    .command = command,
	    .database = database,
	    .json = json,
	    .live = !json && isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0,
	    .page = page_open(stderr),
	};
}

static bool takes_a_line(const struct steps_show *show)
{
	struct pollfd polled = {.fd = show->json ? STDOUT_FILENO : STDERR_FILENO, .events = POLLOUT};
	return poll(&polled, 1, 0) != 0;
}

static void erase(struct steps_show *show)
{
	if (show->line)
		fputs("\r\033[K", stderr);
	show->line = false;
}

static const char *state_name(const struct coord_step *step)
{
	switch (step->state) {
	case COORD_STEP_RUNNING:
		return "running";
	case COORD_STEP_BLOCKED:
		return "blocked";
	case COORD_STEP_RETRYING:
		return "retrying";
	case COORD_STEP_DONE:
		return "done";
	}
	return "?";
}

static char *elapsed(const struct coord_step *step)
{
	return page_duration(step->elapsed_ns / CLOCK_MS);
}

/* "[2/14] up 0002 add orders" */
static char *step_name(const struct coord_step *step)
{
	bool message = step->message != NULL && step->message[0] != '\0';
	return mem_printf("[%u/%u] %s %s%s%s", step->n, step->of, plan_kind_name(step->kind), step->revision,
	    message ? " " : "", message ? step->message : "");
}

/* What is behind a step that is under way: "12.3 s, 43 %, building index: scanning table" */
static char *step_way(const struct coord_step *step)
{
	char percent[16] = "", attempt[32] = "";
	char *time = elapsed(step);
	if (step->percent >= 0)
		snprintf(percent, sizeof(percent), ", %d %%", step->percent);
	if (step->attempt > 1)
		snprintf(attempt, sizeof(attempt), ", attempt %u", step->attempt);
	char *way = mem_printf("%s%s%s%s%s", time, attempt, percent, step->what != NULL ? ", " : "",
	    step->what != NULL ? step->what : "");
	mem_free(&time);
	return way;
}

static unsigned terminal_width(void)
{
	struct winsize size;
	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col - 1u : 79;
}

static void show_live(struct steps_show *show, const struct coord_step *step)
{
	char *name = step_name(step), *way = step_way(step);
	char *line = mem_printf("%s  %s", name, way);
	unsigned width = page_width(line), most = terminal_width();
	erase(show);
	page_column(&show->page, line, width < most ? width : most);
	fflush(stderr);
	show->line = true;
	mem_free(&line);
	mem_free(&name);
	mem_free(&way);
}

static void show_done(struct steps_show *show, const struct coord_step *step)
{
	char *name = step_name(step), *time = elapsed(step);
	erase(show);
	page_text(&show->page, name);
	page_ink(&show->page, PAGE_FAINT, "  %s%s", time, step->holding ? "" : ", traffic flowing");
	fputc('\n', stderr);
	mem_free(&name);
	mem_free(&time);
}

/* A step that has not ended yet, where lines stay: not each second. */
static void show_plain(struct steps_show *show, const struct coord_step *step, bool warning)
{
	int64_t now = clock_now();
	bool other = show->told_step != step->n;
	bool due = step->state == COORD_STEP_RETRYING || warning ||
	    (step->elapsed_ns >= TELL_FIRST_NS && (other || now - show->told_ns >= TELL_EVERY_NS));
	if (!due)
		return;
	show->told_step = step->n;
	show->told_ns = now;
	char *name = step_name(step), *way = step_way(step);
	erase(show);
	page_text(&show->page, name);
	fputs(step->state == COORD_STEP_RETRYING ? ": tried again, " : ": ", stderr);
	page_text(&show->page, way);
	fputc('\n', stderr);
	mem_free(&name);
	mem_free(&way);
}

static void json_step(const struct coord_progress *progress)
{
	const struct coord_step *step = progress->step;
	struct page_json json = {.to = stdout, .depth = 1};
	page_json_begin(&json, NULL, '{');
	page_json_text(&json, "event", "step");
	page_json_text(&json, "state", state_name(step));
	page_json_number(&json, "run", progress->run_id);
	page_json_number(&json, "step", step->n);
	page_json_number(&json, "steps", step->of);
	page_json_text(&json, "kind", plan_kind_name(step->kind));
	page_json_text(&json, "revision", step->revision);
	page_json_text(&json, "message", step->message);
	page_json_text(&json, "file", step->file);
	page_json_flag(&json, "holding", step->holding);
	page_json_number(&json, "attempt", step->attempt);
	page_json_number(&json, "elapsed_ms", step->elapsed_ns / CLOCK_MS);
	json_number_or_null(&json, "percent", step->percent, step->percent >= 0);
	page_json_text(&json, "what", step->what);
	json_line_end(&json);
}

static void json_progress(const struct coord_progress *progress)
{
	struct page_json json = {.to = stdout, .depth = 1};
	page_json_begin(&json, NULL, '{');
	page_json_text(&json, "event", "progress");
	page_json_text(&json, "level", progress->warning ? "warning" : "info");
	page_json_text(&json, "state", progress->state);
	page_json_text(&json, "text", progress->text);
	json_number_or_null(&json, "run", progress->run_id, progress->run_id != 0);
	json_number_or_null(&json, "attempt", progress->attempt, progress->attempt != 0);
	json_number_or_null(&json, "proxies", progress->proxies, progress->proxies >= 0);
	json_number_or_null(&json, "ready", progress->ready, progress->ready >= 0);
	json_number_or_null(&json, "clients", progress->clients, progress->clients >= 0);
	json_line_end(&json);
}

void steps_show_progress(struct steps_show *show, const struct coord_progress *progress)
{
	/* Where there is neither proxy nor client there is nothing to wait for, and nothing to say. */
	bool nobody = progress->proxies == 0 && progress->clients == 0 && !progress->warning;
	if (!takes_a_line(show) || (nobody && !show->json))
		return;
	const struct coord_step *step = progress->step;
	if (show->json) {
		if (step != NULL)
			json_step(progress);
		else
			json_progress(progress);
	} else if (step == NULL) {
		if (progress->warning && show->warned != NULL && strcmp(show->warned, progress->text) == 0)
			return;
		mem_free(&show->warned);
		show->warned = progress->warning ? mem_strdup(progress->text) : NULL;
		erase(show);
		fputs("headgate: ", stderr);
		if (progress->warning)
			page_ink(&show->page, PAGE_BAD, "warning: ");
		page_text(&show->page, progress->text);
		fputc('\n', stderr);
	} else if (step->state == COORD_STEP_DONE) {
		show_done(show, step);
	} else if (show->live && step->state != COORD_STEP_RETRYING && !progress->warning) {
		show_live(show, step);
	} else {
		show_plain(show, step, progress->warning);
	}
}

static void show_hint(const struct page *page, const char *hint)
{
	if (hint == NULL)
		return;
	fputs("headgate: ", page->to);
	page_text(page, hint);
	fputc('\n', page->to);
}

static void json_result(const struct coord_result *result, const char *restore)
{
	struct page_json json = {.to = stdout, .depth = 1};
	page_json_begin(&json, NULL, '{');
	page_json_text(&json, "event", "result");
	page_json_text(&json, "outcome", coord_outcome_name(result->outcome));
	page_json_number(&json, "exit_status", result->exit_status);
	json_number_or_null(&json, "run", result->run_id, result->run_id != 0);
	page_json_flag(&json, "attached", result->attached);
	page_json_text(&json, "from", result->from);
	page_json_text(&json, "to", result->to);
	page_json_number(&json, "steps", result->steps);
	page_json_number(&json, "steps_done", result->steps_done);
	page_json_text(&json, "backup", result->backup);
	page_json_text(&json, "restore", restore);
	page_json_text(&json, "text", result->text);
	page_json_text(&json, "hint", result->hint);
	json_failure(&json, "failure", result->failure);
	json_line_end(&json);
}

void steps_show_result(struct steps_show *show, const struct coord_result *result, const char *restore)
{
	mem_free(&show->warned);
	if (show->json) {
		json_result(result, restore);
		return;
	}
	erase(show);
	if (result->failure != NULL)
		show_failure(&show->page, result->failure);
	fputs("headgate: ", stderr);
	/* What failed has just been told at length. */
	if (result->failure != NULL && result->outcome == COORD_FAILED && result->run_id != 0)
		page_ink(&show->page, PAGE_BAD, "run %" PRId64 " failed: %u of %u steps done, %s recorded",
		    result->run_id, result->steps_done, result->steps,
		    result->to != NULL ? result->to : "nothing");
	else
		page_ink(&show->page, result->outcome == COORD_SUCCEEDED ? PAGE_GOOD : PAGE_BAD, "%s",
		    result->text);
	fputc('\n', stderr);
	show_hint(&show->page, result->hint);
	if (result->backup != NULL) {
		page_ink(&show->page, PAGE_PLAIN, "The backup made before it: %s%s", result->backup,
		    restore != NULL ? ". To put it back:" : "");
		fputc('\n', stderr);
	}
	if (restore != NULL)
		page_lines(&show->page, restore, strlen(restore), 2);
}
