/* One section, carried out and looked at. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rehearse.h"
#include "rehearse_session.h"

#define STATEMENT_BYTES 600 /* of one that failed, for people */

struct work {
	struct rehearse *r;
	const struct catalog_section *section;
	struct rehearse_section *out;
	struct rehearse_session *session;
	struct split split;
	unsigned first, last; /* the statements [first, last): without a wrapping BEGIN and COMMIT */
	struct pq_rows reads; /* what the session had read before */
};

void rehearse_section_free(struct rehearse_section *section)
{
	locks_relations_free(&section->before);
	locks_found_free(&section->found);
	warnings_free(&section->warnings);
	mem_free(&section->statement);
	pq_now_error_free(&section->error);
	*section = (struct rehearse_section){.run = false};
}

bool rehearse_is_outside(const struct catalog_section *section)
{
	return section->outside || section->alone != NULL || (section->control != NULL && !section->wrapped);
}

static const char *cell(const void *handle, unsigned row, unsigned column)
{
	return pq_rows_at(handle, row, column);
}

static struct reader_rows view(const struct pq_rows *rows)
{
	return (struct reader_rows){rows->rows, rows->columns, cell, rows};
}

static bool read_relations(struct rehearse *r, struct locks_relations *out, struct pq_now_error *error)
{
	struct pq_rows rows;
	*out = (struct locks_relations){.count = 0};
	bool ok = pq_now_ask(r->pq, locks_relations_sql, NULL, 0, &rows);
	if (ok) {
		struct reader_rows seen = view(&rows);
		ok = locks_relations_read(&seen, out);
	} else {
		*error = rows.error;
		rows.error = (struct pq_now_error){.position = 0};
	}
	pq_rows_free(&rows);
	return ok;
}

static void look_at_locks(struct work *w)
{
	char pid[16];
	const char *values[] = {pid};
	struct pq_rows rows;

	snprintf(pid, sizeof(pid), "%d", rehearse_session_backend(w->session));
	if (pq_now_ask(w->r->pq, locks_held_sql, values, 1, &rows)) {
		struct reader_rows seen = view(&rows);
		locks_held_add(&w->out->found, &w->out->before, &seen);
	}
	pq_rows_free(&rows);
}

static void saw_locks(const struct pq_rows *rows, void *arg)
{
	struct work *w = arg;
	struct reader_rows seen = view(rows);
	locks_held_add(&w->out->found, &w->out->before, &seen);
}

/* Where in the file, and which words. */
static void place_error(struct work *w, const struct split_statement *statement)
{
	struct rehearse_section *out = w->out;
	out->line = statement->line;
	if (out->error.position > 0)
		split_position(statement, out->error.position, &out->line, &out->column);
	size_t size = statement->size < STATEMENT_BYTES ? statement->size : STATEMENT_BYTES;
	while (size < statement->size && size > 0 && ((unsigned char)statement->text[size] & 0xc0) == 0x80)
		size--;
	out->statement =
	    mem_printf("%.*s%s", (int)size, statement->text, size < statement->size ? "..." : "");
}

static bool run_statement(struct work *w, const struct split_statement *statement)
{
	int64_t began = clock_now();
	bool done = w->out->outside
	    ? rehearse_session_watch(w->session, statement, saw_locks, w, &w->out->error)
	    : rehearse_session_run(w->session, statement, &w->out->error);
	w->out->ns += clock_now() - began;
	if (!done)
		place_error(w, statement);
	else if (w->out->outside && rehearse_session_in_transaction(w->session))
		look_at_locks(w);
	return done;
}

static bool run_ours(struct work *w, const char *sql)
{
	int64_t began = clock_now();
	bool done = rehearse_session_do(w->session, sql, &w->out->error);
	w->out->ns += clock_now() - began;
	return done;
}

static bool run_outside(struct work *w)
{
	for (unsigned i = w->first; i < w->last; i++)
		if (!run_statement(w, &w->split.at[i]))
			return false;
	return true;
}

/* What it read in whole scans, of what was there. */
static void look_at_reads(struct work *w)
{
	struct pq_rows rows;
	struct pq_now_error aside = {.position = 0};
	if (rehearse_session_ask(w->session, locks_read_sql, &rows, &aside)) {
		struct reader_rows start = view(&w->reads), end = view(&rows);
		locks_read_add(&w->out->found, &w->out->before, &start, &end);
	}
	pq_now_error_free(&aside);
	pq_rows_free(&rows);
}

static bool run_in_transaction(struct work *w)
{
	if (!run_ours(w, "BEGIN"))
		return false;
	if (!rehearse_session_ask(w->session, locks_read_sql, &w->reads, &w->out->error))
		return false;
	for (unsigned i = w->first; i < w->last; i++)
		if (!run_statement(w, &w->split.at[i]))
			return false;
	/* What waits for the COMMIT takes its locks too. */
	if (!run_ours(w, "SET CONSTRAINTS ALL IMMEDIATE"))
		return false;
	look_at_locks(w);
	look_at_reads(w);
	return run_ours(w, "COMMIT");
}

static bool open_session(struct work *w)
{
	const struct rehearse *r = w->r;
	const struct conf_database *section = r->m.section;
	const struct rehearse_session_request request = {
	    .dsn = r->dsn,
	    .dbname = r->dbname,
	    .lock_timeout_ns = section->migrations.lock_timeout_ns,
	    .statement_timeout_ns = section->migrations.statement_timeout_ns,
	    .interrupted = rehearse_asked_to_stop,
	    .arg = w->r,
	};
	w->session = rehearse_session_open(&request, &w->out->error);
	return w->session != NULL;
}

static void make_warnings(struct work *w, struct warn_run *warn)
{
	struct split part = {.at = w->split.at + w->first, .count = w->last - w->first};
	if (warn != NULL && part.count > 0)
		warn_section(warn, &part, w->out->outside, &w->out->warnings);
}

static void judge_failure(struct work *w)
{
	const char *state = w->out->error.sqlstate;
	w->out->interrupted = rehearse_interrupted(w->r);
	w->out->lost = strncmp(state, "08", 2) == 0 || strncmp(state, "57P", 3) == 0;
}

void rehearse_section_run(struct rehearse *r, const struct catalog_section *section, bool outside,
    struct warn_run *warn, struct rehearse_section *out)
{
	struct work w = {.r = r, .section = section, .out = out};

	*out = (struct rehearse_section){.run = true, .outside = outside, .line = section->line};
	if (section->file != NULL)
		w.split = catalog_statements(section);
	bool wrapped = !outside && section->wrapped;
	w.first = wrapped ? 1 : 0;
	w.last = w.split.count - (wrapped ? 1 : 0);
	if (w.first >= w.last) { /* a merge, an empty section */
		out->ok = true;
		split_free(&w.split);
		return;
	}
	make_warnings(&w, warn);
	out->ok = read_relations(r, &out->before, &out->error) && open_session(&w) &&
	    (outside ? run_outside(&w) : run_in_transaction(&w));
	/* A transaction that is open still ends with its session. */
	rehearse_session_close(&w.session);
	if (out->ok) {
		struct locks_relations after;
		out->ok = read_relations(r, &after, &out->error);
		locks_rewritten_add(&out->found, &out->before, &after);
		locks_found_sort(&out->found);
		locks_relations_free(&after);
	}
	if (!out->ok)
		judge_failure(&w);
	pq_rows_free(&w.reads);
	split_free(&w.split);
}
