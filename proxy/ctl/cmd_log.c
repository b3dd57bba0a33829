/* headgate log: the audit, as the ledger keeps it. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/cli.h"
#include "audit.h"
#include "migrate.h"
#include "page.h"
#include "page_json.h"

#define RUNS  20 /* without -n */
#define STEPS 10 /* of a run, without --verbose */

static const char help[] =
    "Usage: headgate log [-n NUMBER] [--since WHEN] [--run NUMBER] [--verbose] [OPTION]...\n"
    "\n"
    "The audit that the ledger keeps in the database: every run, newest first, with its steps: who, when, "
    "why, from\n"
    "where, how long, with which outcome, where the backup is, and how it was resolved.\n"
    "\n"
    "  -n, --number NUMBER    at most so many runs; default 20\n"
    "      --since WHEN       those that began since: 2026-11-30, \"2026-11-30 14:00\" (the server's time "
    "zone), or so long\n"
    "                         ago: 30m, 12h, 7d, 2w\n"
    "      --run NUMBER       this one, whole\n"
    "  -v, --verbose          all steps of each, its command's output, and its errors whole\n" MIGRATE_HELP
    "\n"
    "Exit status: 0 told; 1 failed, or there is no such run; 2 wrong usage; 3 wrong configuration; 4 the "
    "database cannot\n"
    "be reached.\n"
    "\n"
    "Examples:  headgate log -n 1\n"
    "           headgate log --since 7d --json | jq '.[] | select(.outcome != \"succeeded\")'\n";

/* ---- for people ---- */

static const char *heads_of(const char *heads)
{
	return heads == NULL ? "?" : heads[0] == '\0' ? "<base>" : heads;
}

static enum page_ink outcome_ink(const char *outcome)
{
	if (outcome == NULL)
		return PAGE_CURRENT;
	return strcmp(outcome, "succeeded") == 0 ? PAGE_GOOD : PAGE_BAD;
}

static void put_field(const struct page *page, const char *title, const char *text)
{
	fprintf(page->to, "%-9s", title);
	page_text(page, text);
	fputs("\n", page->to);
}

static void put_title(const struct page *page, const struct audit *audit, unsigned row)
{
	const char *outcome = audit_run(audit, row, RUN_OUTCOME);

	page_ink(page, PAGE_ID, "run %s", audit_run(audit, row, RUN_ID));
	fputs(" ", page->to);
	page_text(page, audit_run(audit, row, RUN_KIND));
	fputs(" ", page->to);
	page_ink(
	    page, outcome_ink(outcome), "%s", outcome != NULL ? outcome : audit_run(audit, row, RUN_STATE));
	if (audit_true(audit_run(audit, row, RUN_UNRESOLVED)))
		page_ink(page, PAGE_BAD, " (left half way)");
	fputs("\n", page->to);
}

static void put_who_and_when(const struct page *page, const struct audit *audit, unsigned row)
{
	const char *client = audit_run(audit, row, RUN_CLIENT);
	const char *ended = audit_run(audit, row, RUN_ENDED);
	char *span = page_duration(audit_number(audit_run(audit, row, RUN_MS)));
	int64_t attempts = audit_number(audit_run(audit, row, RUN_ATTEMPT));

	fputs("Who:     ", page->to);
	page_text(page, audit_run(audit, row, RUN_WHO));
	fputs(", as role ", page->to);
	page_text(page, audit_run(audit, row, RUN_DB_USER));
	if (client != NULL) {
		fputs(" from ", page->to);
		page_text(page, client);
	}
	fprintf(page->to, "\nWhen:    %s UTC, %s %s%s", audit_run(audit, row, RUN_STARTED),
	    ended == NULL ? "for" : "took", span, ended == NULL ? " so far" : "");
	if (attempts > 1)
		fprintf(page->to, ", at attempt %lld", (long long)attempts);
	fputs("\n", page->to);
	mem_free(&span);
}

static void put_heads(const struct page *page, const struct audit *audit, unsigned row)
{
	const char *to = audit_run(audit, row, RUN_TO), *target = audit_run(audit, row, RUN_TARGET);

	fputs("Heads:   ", page->to);
	page_ink(page, PAGE_ID, "%s", heads_of(audit_run(audit, row, RUN_FROM)));
	if (to != NULL && strcmp(to, audit_run(audit, row, RUN_FROM)) != 0) {
		fputs(" -> ", page->to);
		page_ink(page, PAGE_ID, "%s", heads_of(to));
	} else if (to != NULL) {
		fputs(", as before", page->to);
	}
	if (target != NULL && (to == NULL || strcmp(to, target) != 0)) {
		fputs(" (wanted: ", page->to);
		page_ink(page, PAGE_ID, "%s", heads_of(target));
		fputs(")", page->to);
	}
	fputs("\n", page->to);
}

static void put_backup(const struct page *page, const struct audit *audit, unsigned row)
{
	const char *place = audit_run(audit, row, RUN_BACKUP),
		   *error = audit_run(audit, row, RUN_BACKUP_ERROR);

	if (place == NULL && error == NULL)
		return;
	fputs("Backup:  ", page->to);
	if (error != NULL) {
		page_ink(page, PAGE_BAD, "failed: %s", error);
	} else {
		int64_t bytes = audit_number(audit_run(audit, row, RUN_BACKUP_BYTES));
		char *size = bytes < 0 ? NULL : page_bytes(bytes);
		char *span = page_duration(audit_number(audit_run(audit, row, RUN_BACKUP_MS)));
		page_text(page, place);
		fprintf(page->to, " (%s%sin %s)", size == NULL ? "" : size, size == NULL ? "" : " ", span);
		mem_free(&size);
		mem_free(&span);
	}
	fputs("\n", page->to);
}

static void put_resolution(const struct page *page, const struct audit *audit, unsigned row)
{
	const char *as = audit_run(audit, row, RUN_RESOLVED_AS), *by = audit_run(audit, row, RUN_RESOLVED_BY);
	const char *note = audit_run(audit, row, RUN_RESOLVED_NOTE);

	if (audit_run(audit, row, RUN_RESOLVED) == NULL)
		return;
	fputs("Resolved: ", page->to);
	if (as != NULL)
		fprintf(page->to, "as %s, ", as);
	fputs("by ", page->to);
	page_text(page, by);
	fprintf(page->to, ", %s UTC", audit_run(audit, row, RUN_RESOLVED));
	if (note != NULL) {
		fputs(": ", page->to);
		page_text(page, note);
	}
	fputs("\n", page->to);
}

/* An error may have many lines: the first one says what. */
static void put_error(const struct page *page, const char *text, bool whole)
{
	size_t first = strcspn(text, "\n");
	const char *rest = text + first + (text[first] != '\0');

	fputs("Error:   ", page->to);
	page_ink(page, PAGE_BAD, "%.*s", (int)first, text);
	fputs("\n", page->to);
	if (whole)
		page_lines(page, rest, strlen(rest), 9);
}

/* The ledger's word, for people. */
static const char *step_state(const char *state, bool transactional, bool error)
{
	if (strcmp(state, "failed") == 0)
		return "failed, left half way";
	if (strcmp(state, "undone") == 0 && error)
		return transactional ? "failed, rolled back" : "failed, undone";
	return state;
}

static void put_step(const struct page *page, const struct audit *audit, unsigned row, bool whole)
{
	const char *state = audit_step(audit, row, STEP_STATE), *error = audit_step(audit, row, STEP_ERROR);
	int64_t attempts = audit_number(audit_step(audit, row, STEP_ATTEMPTS));
	bool done = strcmp(state, "done") == 0;
	bool transactional = audit_true(audit_step(audit, row, STEP_TRANSACTIONAL));
	char *span = page_duration(audit_number(audit_step(audit, row, STEP_MS)));

	fprintf(page->to, "  %4s  ", audit_step(audit, row, STEP_ORDINAL));
	page_column(page, audit_step(audit, row, STEP_KIND), 6);
	page_ink(page, PAGE_ID, " %s", audit_step(audit, row, STEP_REVISION));
	fputs(" ", page->to);
	page_ink(page, done ? PAGE_GOOD : PAGE_BAD, "%s", step_state(state, transactional, error != NULL));
	fprintf(page->to, ", %s", span);
	if (!transactional)
		fputs(", outside a transaction", page->to);
	if (!audit_true(audit_step(audit, row, STEP_HOLDING)))
		fputs(", traffic flowed", page->to);
	if (attempts > 1)
		fprintf(page->to, ", %lld attempts", (long long)attempts);
	fputs(": ", page->to);
	page_text(page, audit_step(audit, row, STEP_MESSAGE));
	fputs("\n", page->to);
	mem_free(&span);
	if (whole || error != NULL) {
		fputs("        ", page->to);
		page_text(page, audit_step(audit, row, STEP_FILE));
		fprintf(page->to, ":%s\n",
		    audit_step(audit, row,
			error != NULL && audit_step(audit, row, STEP_ERROR_LINE) != NULL ? STEP_ERROR_LINE
											 : STEP_LINE));
	}
	if (error != NULL) {
		fputs("        ", page->to);
		page_ink(page, PAGE_BAD, "%.*s", (int)strcspn(error, "\n"), error);
		fputs("\n", page->to);
	}
}

/* Those that failed are always told; of the others so many. */
static void put_steps(const struct page *page, const struct audit *audit, unsigned row, bool whole)
{
	const char *id = audit_run(audit, row, RUN_ID), *wanted = audit_run(audit, row, RUN_STEPS);
	unsigned first = 0, count = 0, done = 0, shown = 0;

	while (first < audit->steps.rows && strcmp(audit_step(audit, first, STEP_RUN), id) != 0)
		first++;
	for (;
	     first + count < audit->steps.rows && strcmp(audit_step(audit, first + count, STEP_RUN), id) == 0;
	     count++)
		done += strcmp(audit_step(audit, first + count, STEP_STATE), "done") == 0;
	if (wanted == NULL && count == 0)
		return;
	fprintf(page->to, "Steps:   %u%s%s done\n", done, wanted == NULL ? "" : " of ",
	    wanted == NULL ? "" : wanted);
	for (unsigned i = first; i < first + count; i++) {
		bool bad = strcmp(audit_step(audit, i, STEP_STATE), "done") != 0;
		if (!whole && !bad && shown >= STEPS)
			continue;
		shown++;
		put_step(page, audit, i, whole);
	}
	if (shown < count)
		fprintf(page->to, "        and %u more: headgate log --run %s\n", count - shown, id);
}

static void put_run(const struct page *page, const struct audit *audit, unsigned row, bool whole)
{
	const char *reason = audit_run(audit, row, RUN_REASON), *error = audit_run(audit, row, RUN_ERROR);
	const char *output = audit_run(audit, row, RUN_OUTPUT), *command = audit_run(audit, row, RUN_COMMAND);
	bool exec = strcmp(audit_run(audit, row, RUN_KIND), "exec") == 0;

	put_title(page, audit, row);
	put_who_and_when(page, audit, row);
	put_heads(page, audit, row);
	if (command != NULL && (exec || whole))
		put_field(page, "Command:", command);
	if (exec && audit_run(audit, row, RUN_EXIT_STATUS) != NULL)
		put_field(page, "Status:", audit_run(audit, row, RUN_EXIT_STATUS));
	put_backup(page, audit, row);
	put_steps(page, audit, row, whole);
	if (error != NULL)
		put_error(page, error, whole);
	put_resolution(page, audit, row);
	if (reason != NULL) {
		fputs("\n", page->to);
		page_lines(page, reason, strlen(reason), 4);
	}
	if (whole && output != NULL && output[0] != '\0') {
		fputs("\n", page->to);
		page_lines(page, output, strlen(output), 8);
	}
}

/* ---- for programs ---- */

struct json_column {
	const char *key;
	unsigned column;
	enum { JSON_TEXT, JSON_AS_IS, JSON_FLAG } as;
};

static const struct json_column run_keys[] = {
    {"run", RUN_ID, JSON_AS_IS},
    {"kind", RUN_KIND, JSON_TEXT},
    {"state", RUN_STATE, JSON_TEXT},
    {"outcome", RUN_OUTCOME, JSON_TEXT},
    {"who", RUN_WHO, JSON_TEXT},
    {"os_user", RUN_OS_USER, JSON_TEXT},
    {"host", RUN_HOST, JSON_TEXT},
    {"db_user", RUN_DB_USER, JSON_TEXT},
    {"client_addr", RUN_CLIENT, JSON_TEXT},
    {"reason", RUN_REASON, JSON_TEXT},
    {"command", RUN_COMMAND_JSON, JSON_AS_IS},
    {"from_heads", RUN_FROM_JSON, JSON_AS_IS},
    {"from_state", RUN_FROM_STATE, JSON_TEXT},
    {"target", RUN_TARGET_JSON, JSON_AS_IS},
    {"to_heads", RUN_TO_JSON, JSON_AS_IS},
    {"to_state", RUN_TO_STATE, JSON_TEXT},
    {"started_at", RUN_STARTED, JSON_TEXT},
    {"ended_at", RUN_ENDED, JSON_TEXT},
    {"ms", RUN_MS, JSON_AS_IS},
    {"drained_ms", RUN_DRAINED_MS, JSON_AS_IS},
    {"attempt", RUN_ATTEMPT, JSON_AS_IS},
    {"exit_status", RUN_EXIT_STATUS, JSON_AS_IS},
    {"error", RUN_ERROR, JSON_TEXT},
    {"output_tail", RUN_OUTPUT, JSON_TEXT},
    {"unresolved", RUN_UNRESOLVED, JSON_FLAG},
    {"resolved_at", RUN_RESOLVED, JSON_TEXT},
    {"resolved_by", RUN_RESOLVED_BY, JSON_TEXT},
    {"resolved_note", RUN_RESOLVED_NOTE, JSON_TEXT},
    {"resolved_as", RUN_RESOLVED_AS, JSON_TEXT},
    {"step_count", RUN_STEPS, JSON_AS_IS},
    {"backup", RUN_BACKUP, JSON_TEXT},
    {"backup_bytes", RUN_BACKUP_BYTES, JSON_AS_IS},
    {"backup_ms", RUN_BACKUP_MS, JSON_AS_IS},
    {"backup_error", RUN_BACKUP_ERROR, JSON_TEXT},
};

static const struct json_column step_keys[] = {
    {"step", STEP_ORDINAL, JSON_AS_IS},
    {"kind", STEP_KIND, JSON_TEXT},
    {"revision", STEP_REVISION, JSON_TEXT},
    {"file", STEP_FILE, JSON_TEXT},
    {"line", STEP_LINE, JSON_AS_IS},
    {"message", STEP_MESSAGE, JSON_TEXT},
    {"checksum", STEP_CHECKSUM, JSON_TEXT},
    {"transaction", STEP_TRANSACTIONAL, JSON_FLAG},
    {"held", STEP_HOLDING, JSON_FLAG},
    {"state", STEP_STATE, JSON_TEXT},
    {"attempts", STEP_ATTEMPTS, JSON_AS_IS},
    {"from_heads", STEP_FROM_JSON, JSON_AS_IS},
    {"to_heads", STEP_TO_JSON, JSON_AS_IS},
    {"started_at", STEP_STARTED, JSON_TEXT},
    {"ended_at", STEP_ENDED, JSON_TEXT},
    {"ms", STEP_MS, JSON_AS_IS},
    {"error", STEP_ERROR, JSON_TEXT},
    {"sqlstate", STEP_SQLSTATE, JSON_TEXT},
    {"error_line", STEP_ERROR_LINE, JSON_AS_IS},
};

static void json_row(struct page_json *json, const struct pq_rows *rows, unsigned row,
    const struct json_column *keys, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *value = pq_rows_at(rows, row, keys[i].column);
		if (keys[i].as == JSON_TEXT)
			page_json_text(json, keys[i].key, value);
		else if (keys[i].as == JSON_AS_IS)
			page_json_as_is(json, keys[i].key, value);
		else
			page_json_flag(json, keys[i].key, audit_true(value));
	}
}

static void print_json(const struct audit *audit)
{
	struct page_json json = {.to = stdout};
	unsigned step = 0;

	page_json_begin(&json, NULL, '[');
	for (unsigned i = 0; i < audit->runs.rows; i++) {
		page_json_begin(&json, NULL, '{');
		json_row(&json, &audit->runs, i, run_keys, sizeof(run_keys) / sizeof(run_keys[0]));
		page_json_begin(&json, "steps", '[');
		/* Both come in the order of the runs. */
		for (; step < audit->steps.rows &&
		     strcmp(audit_step(audit, step, STEP_RUN), audit_run(audit, i, RUN_ID)) == 0;
		     step++) {
			page_json_begin(&json, NULL, '{');
			json_row(
			    &json, &audit->steps, step, step_keys, sizeof(step_keys) / sizeof(step_keys[0]));
			page_json_end(&json, '}');
		}
		page_json_end(&json, ']');
		page_json_end(&json, '}');
	}
	page_json_end(&json, ']');
}

/* ---- the command ---- */

static bool tell(struct migrate *m, const struct audit_request *request)
{
	struct page page = page_open(stdout);
	struct audit audit;
	bool present;

	if (!audit_read(m, request, &audit, &present)) {
		audit_free(&audit);
		return false;
	}
	if (m->json)
		print_json(&audit);
	for (unsigned i = 0; i < audit.runs.rows && !m->json; i++) {
		if (i > 0)
			putchar('\n');
		put_run(&page, &audit, i, m->verbose || request->run != NULL);
	}
	bool fine = audit.runs.rows > 0 || request->run == NULL;
	if (!fine)
		migrate_fails(m, CLI_FAILED, "%s has no run %s", migrate_database(m), request->run);
	else if (!present)
		fprintf(stderr, "%s has no ledger: nothing was run in it by headgate yet.\n",
		    migrate_database(m));
	else if (audit.runs.rows == 0)
		fprintf(stderr, "No runs%s.\n", request->since == NULL ? " yet" : " since then");
	audit_free(&audit);
	return fine;
}

int cmd_log(int argc, char **argv)
{
	struct migrate m = {.verbose_too = true};
	struct audit_request request = {.limit = RUNS};
	const struct command_option own[] = {
	    {.name = "number", .letter = 'n', .count = &request.limit, .low = 1, .high = 1000000},
	    {.name = "since", .text = &request.since},
	    {.name = "run", .text = &request.run},
	};
	int status = migrate_open(&m, argc, argv, help, own, 3);
	if (status < 0 && m.word_count > 0)
		status = command_usage("log", "what is \"%s\"? One run is --run NUMBER", m.words[0]);
	if (status < 0 && request.run != NULL &&
	    (request.run[strspn(request.run, "0123456789")] != '\0' || request.run[0] == '\0' ||
		strlen(request.run) > 18))
		status = command_usage("log", "--run %s: runs have numbers", request.run);
	if (status < 0)
		status = tell(&m, &request) ? CLI_OK : m.status;
	migrate_close(&m);
	return status;
}
