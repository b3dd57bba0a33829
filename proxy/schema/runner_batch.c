/* A step in a transaction: BEGIN, its statements, its row of the ledger, COMMIT, and the next step's session,
 * all sent before the first answer. Only COPY has to wait for what is before it. */
#include <string.h>

#include "base/mem.h"
#include "runner_private.h"

static const char done_sql[] =
    "SELECT headgate.step_done($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
    "pg_catalog.string_to_array($11::text, '+'), pg_catalog.string_to_array($12::text, '+'))";

void runner_batch_drop(struct runner *r)
{
	for (unsigned i = 0; i < r->item_count; i++)
		mem_free(&r->items[i].sql);
	mem_free(&r->items);
	r->item_count = r->sent = r->heard = 0;
	r->broken = r->committing = false;
}

static struct runner_item *add(struct runner *r, int kind, const char *sql, size_t size)
{
	struct runner_item *item = &r->items[r->item_count++];
	*item = (struct runner_item){.sql = mem_strndup(sql, size), .kind = kind};
	return item;
}

static void add_text(struct runner *r, int kind, const char *sql)
{
	add(r, kind, sql, strlen(sql));
}

static void make_items(struct runner *r)
{
	const struct catalog_section *section = runner_step(r)->section;
	const struct split *split = &r->split;
	/* A pair that wraps the file is ours; its BEGIN may have options. */
	unsigned first = section->wrapped ? 1 : 0, end = split->count - (section->wrapped ? 1 : 0);
	bool plain = true;

	r->items = mem_alloc((split->count + 32) * sizeof(*r->items));
	if (section->wrapped)
		add(r, ITEM_FRAME, split->at[0].text, split->at[0].size);
	else
		add_text(r, ITEM_FRAME, "BEGIN");
	for (unsigned i = first; i < end; i++) {
		struct runner_item *item = add(r, ITEM_FILE, split->at[i].text, split->at[i].size);
		item->statement = &split->at[i];
		plain = plain && runner_plain(split->at[i].text, split->at[i].size);
		item->copy = runner_copies(&split->at[i]);
		item->syncs = item->copy;
		if (item->copy)
			item[-1].syncs = true;
	}
	/* The ledger is ours to write, whatever role the file has taken and however short it has set its
	 * time. */
	if (!plain) {
		add_text(r, ITEM_FRAME, "RESET SESSION AUTHORIZATION");
		add_text(r, ITEM_FRAME, "RESET ROLE");
		add_text(r, ITEM_FRAME, "SET LOCAL statement_timeout = '15s'");
		char *kept = mem_printf("SELECT headgate.lock_kept(%s)", r->request.run);
		add_text(r, ITEM_FRAME, kept);
		mem_free(&kept);
	}
	add_text(r, ITEM_LEDGER, done_sql);
	add(r, ITEM_COMMIT, "COMMIT", strlen("COMMIT"))->syncs = true;
	if (plain)
		return;
	char *settings = runner_settings_sql(r);
	for (unsigned i = 0; runner_session_sql[i] != NULL; i++)
		add_text(r, ITEM_FRESH, runner_session_sql[i]);
	add(r, ITEM_FRESH, settings, strlen(settings))->syncs = true;
	mem_free(&settings);
}

static void send_items(struct runner *r);

static void over(struct runner *r)
{
	if (r->failed) {
		r->fresh = false;
		r->certain = true;
		runner_enter(r, RUNNER_ROLLING_BACK, r->failure.sqlstate);
		return;
	}
	r->fresh = !r->broken;
	runner_batch_drop(r);
	runner_step_over(r);
}

static void on_item(struct runner *r, const struct pq_result *result)
{
	const struct runner_item *item = &r->items[r->heard++];
	if (item->kind == ITEM_COMMIT)
		r->committing = false;
	if (!result->ok && !result->skipped) {
		r->broken = true;
		/* What fails of the next step's session, once the step is committed, is done once more. */
		if (!r->failed && item->kind != ITEM_FRESH)
			runner_failure_take(r, item->statement, result,
			    item->kind == ITEM_LEDGER ? "its row in the ledger: " : "");
	}
	if (r->heard < r->sent)
		return;
	if (r->sent < r->item_count && !r->broken)
		send_items(r);
	else
		over(r);
}

static void send_items(struct runner *r)
{
	struct runner_values values;
	runner_step_values(r, &values);
	while (r->sent < r->item_count) {
		const struct runner_item *item = &r->items[r->sent];
		bool ledger = item->kind == ITEM_LEDGER;
		if (item->copy && r->sent > r->heard)
			return;
		r->sent++;
		if (item->kind == ITEM_COMMIT)
			r->committing = true;
		if (item->copy) {
			runner_ask_copy(
			    r, item->sql, item->statement->data, item->statement->data_size, on_item);
			return;
		}
		if (item->syncs)
			runner_ask(r, item->sql, NULL, 0, on_item);
		else
			runner_ask_queued(r, item->sql, ledger ? values.at : NULL,
			    ledger ? RUNNER_STEP_VALUES : 0, on_item);
	}
}

void runner_batch(struct runner *r)
{
	make_items(r);
	send_items(r);
}
