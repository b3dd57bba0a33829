#include "gate/gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

/* What one refusal is about. */
struct telling {
	const struct gate_view *view;
	const struct verdict *verdict;
	const struct heads *head; /* the head the client was judged by */
	bool assumed;             /* it is undeclared_head: the client declared nothing */
	bool disclose;
	struct text message, hint;
};

static enum verdict_row deciding_row(const struct verdict *verdict)
{
	return verdict->row == ROW_OBSERVE ? verdict->observed_row : verdict->row;
}

/* The sets that are accepted, joined by ',': as many whole ones as there is room for. */
struct listing {
	struct text *detail;
	size_t room;
	const char *comma;
	bool full;
};

static void listing_add(const struct heads *set, void *arg)
{
	struct listing *listing = arg;
	size_t size = strlen(heads_text(set)) + 1;

	/* The first are the recorded heads, which text_add_heads() shortens: nothing is said without them. */
	if (listing->comma[0] == '\0') {
		text_add_heads(listing->detail, set, TEXT_DETAIL_HEADS);
	} else if (listing->full || size > listing->room) {
		listing->full = true;
		return;
	} else {
		text_add(listing->detail, ",%s", heads_text(set));
	}
	listing->room -= size < listing->room ? size : listing->room;
	listing->comma = ",";
}

static void detail_accepted(struct text *detail, const struct gate_view *view, int64_t asked_ns)
{
	struct listing listing = {.detail = detail, .room = TEXT_DETAIL_HEADS, .comma = ""};

	text_add(detail, " accepted=");
	bool more = gate_each_accepted(view, asked_ns, listing_add, &listing);
	if (listing.comma[0] == '\0')
		text_add(detail, "none");
	else if (more || listing.full)
		text_add(detail, ",...");
}

/* The end of every DETAIL: what is unusual about the reading, and the run. "At base" would say as much as a
 * head does. */
static void detail_state(struct text *detail, const struct gate_view *view, bool disclose)
{
	enum recorded_state state = view->recorded.state;
	bool at_base = state == RECORDED_EMPTY || state == RECORDED_ABSENT;

	if (view->fresh && state != RECORDED_CLEAN && (disclose || !at_base))
		text_add(detail, " state=%s", recorded_state_name(state));
	if (view->run.id != 0)
		text_add(detail, " run=%" PRId64, view->run.id);
}

static void refusal_detail(const struct telling *telling, struct text *detail)
{
	const struct gate_view *view = telling->view;

	text_add(detail, "declared=");
	if (telling->assumed)
		text_add(detail, "none assumed=");
	text_add_heads(detail, telling->head, TEXT_DETAIL_HEADS);
	if (telling->disclose) {
		text_add(detail, " recorded=");
		text_add_heads(detail, gate_recorded_heads(view), TEXT_DETAIL_HEADS);
		detail_accepted(detail, view, telling->verdict->asked_ns);
	}
	text_add(detail, " relation=%s", gate_relation_name(telling->verdict->relation));
	detail_state(detail, view, telling->disclose);
}

/* "this client was built for A" */
static void message_client(struct telling *telling)
{
	text_add(&telling->message,
	    telling->assumed ? "this client declared no head and counts as built for "
			     : "this client was built for ");
	text_add_heads(&telling->message, telling->head, TEXT_MESSAGE_HEADS);
}

/* Rows 8 to 10: where the database is, which head the client has, how the two stand. */
static void refuse_head(struct telling *telling, const char *serves, const char *standing)
{
	struct text *message = &telling->message;

	if (telling->disclose) {
		text_add_where(message, telling->view);
		text_add(message, ", ");
		message_client(telling);
	} else {
		message_client(telling);
		text_add(message, ", which ");
		text_add_database(message, telling->view);
		text_add(message, " %s", serves);
	}
	text_add(message, ": %s", standing);
}

static void refuse_behind(struct telling *telling)
{
	refuse_head(telling, "no longer serves", "it is behind");
	text_add(&telling->hint, "Deploy the build that was made for ");
	if (telling->disclose)
		text_add_schema(&telling->hint, gate_recorded_heads(telling->view));
	else
		text_add(&telling->hint, "the database's present schema");
	text_add(&telling->hint, ". This one will be refused however often it tries.");
}

static void refuse_ahead(struct telling *telling)
{
	refuse_head(telling, "does not serve yet", "it is ahead");
	text_add(&telling->hint, "Migrate the database to ");
	text_add_schema(&telling->hint, telling->head);
	text_add(&telling->hint, ", or wait until that is done, then connect again.");
}

static void refuse_unknown(struct telling *telling)
{
	const struct gate_standing *at = telling->view->at_recorded;
	struct gate_stance by;

	refuse_head(telling, "does not serve", "the two do not match");
	text_add(&telling->hint,
	    "Check that the client connects to the right database and declares the head it was really "
	    "built for; then deploy the build that matches, or migrate the database.");
	if (at != NULL && !heads_is_none(telling->head) && !at->ask(at, telling->head, &by))
		text_add(&telling->hint,
		    " The published graph of migrations does not have that head: if it is a new one, run "
		    "`headgate publish`.");
}

static void refuse_undeclared(struct telling *telling)
{
	text_add_database(&telling->message, telling->view);
	text_add(&telling->message,
	    " is gated by schema version, and this client did not declare the head it was built for");
	/* The recorded head is not offered as the example: pasting it would defeat the gate. */
	text_add(&telling->hint,
	    "Declare it, for example with PGOPTIONS=\"-c headgate.head=REVISION\", where REVISION "
	    "is the migration this client was built for.");
}

static void refuse_failed(struct telling *telling)
{
	const char *detail = telling->view->recorded.detail;

	text_add_database(&telling->message, telling->view);
	text_add(&telling->message, " is closed: ");
	if (telling->view->recorded.by_run && telling->disclose && detail != NULL) {
		text_add_clause(&telling->message, detail);
	} else {
		text_add(&telling->message, "a migration of its schema failed and was left half way");
		if (telling->disclose && detail != NULL) {
			text_add(&telling->message, " (");
			text_add_clause(&telling->message, detail);
			text_add(&telling->message, ")");
		}
	}
	if (telling->view->recorded.by_run) {
		text_add(&telling->hint,
		    "Nothing is wrong with the client. The gate opens when an operator has said with "
		    "`headgate resolve` what became of that run.");
		return;
	}
	text_add(&telling->hint,
	    "Nothing is wrong with the client. An operator has to finish or undo that migration; "
	    "\"headgate status\" shows what is recorded.");
}

static void refuse_hopeless(struct telling *telling)
{
	const struct gate_run *run = &telling->view->run;
	struct text *message = &telling->message;

	text_add_database(message, telling->view);
	text_add(message, " is being migrated");
	if (telling->disclose) {
		text_add(message, " from ");
		text_add_heads(message, &run->from, TEXT_MESSAGE_HEADS);
		text_add(message, " to ");
		text_add_heads(message, &run->target, TEXT_MESSAGE_HEADS);
	}
	text_add(message, ", ");
	message_client(telling);
	text_add(message, ": however the migration ends, it will not be served");
	text_add(
	    &telling->hint, "Deploy the build that was made for the head the database is being migrated to.");
}

void gate_refusal(const struct gate_view *view, const struct heads *declared, const struct verdict *verdict,
    enum refusal_moment moment, struct refusal *out)
{
	bool assumed = heads_is_none(declared) && view->policy.undeclared == UNDECLARED_HEAD;
	struct telling telling = {.view = view,
	    .verdict = verdict,
	    .head = assumed ? &view->policy.undeclared_head : declared,
	    .assumed = assumed,
	    .disclose = view->policy.disclose || moment == REFUSAL_LIVE,
	    .message = text_begin(out->message, sizeof(out->message)),
	    .hint = text_begin(out->hint, sizeof(out->hint))};
	struct text detail = text_begin(out->detail, sizeof(out->detail));

	memcpy(out->sqlstate, moment == REFUSAL_LIVE ? "57P01" : "55000", sizeof(out->sqlstate));
	refusal_detail(&telling, &detail);

	switch (deciding_row(verdict)) {
	case ROW_BEHIND:
		refuse_behind(&telling);
		return;
	case ROW_AHEAD:
		refuse_ahead(&telling);
		return;
	case ROW_FAILED:
		refuse_failed(&telling);
		return;
	case ROW_UNDECLARED:
		refuse_undeclared(&telling);
		return;
	case ROW_RUN_HOPELESS:
		if (heads_is_none(telling.head))
			refuse_undeclared(&telling);
		else
			refuse_hopeless(&telling);
		return;
	case ROW_OBSERVE:
	case ROW_NO_READING:
	case ROW_RUN:
	case ROW_OPERATOR_HOLD:
	case ROW_ACCEPTED:
	case ROW_UNKNOWN:
		refuse_unknown(&telling);
		return;
	}
}

/* Why row 2 holds. */
static void message_unread(struct text *text, const struct gate_view *view, bool disclose)
{
	bool running = view != NULL && view->fresh && view->recorded.state == RECORDED_RUNNING;
	bool unreadable = view != NULL && view->fresh && view->recorded.state == RECORDED_UNREADABLE;

	if (running)
		text_add(text, "its migration tool reports a migration under way");
	else if (unreadable)
		text_add(text, "its recorded schema version cannot be read");
	else
		text_add(text, "its schema version is not known at the moment");
	if ((running || unreadable) && disclose && view->recorded.detail != NULL) {
		text_add(text, " (");
		text_add_name(text, view->recorded.detail);
		text_add(text, ")");
	}
}

static void message_by(struct text *text, const char *who, const char *reason)
{
	if (who != NULL) {
		text_add(text, " by ");
		text_add_name(text, who);
	}
	if (reason != NULL) {
		text_add(text, " (");
		text_add_name(text, reason);
		text_add(text, ")");
	}
}

/* A sentence's first half: the database, and what it waits for. Returns the cause's name for DETAIL. */
static const char *message_cause(
    struct text *text, const struct gate_view *view, const struct verdict *verdict, bool disclose)
{
	text_add_database(text, view);
	switch (deciding_row(verdict)) {
	case ROW_RUN:
	case ROW_RUN_HOPELESS:
		text_add(text, " is being migrated");
		if (disclose)
			message_by(text, view->run.who, view->run.reason);
		return "run";
	case ROW_OPERATOR_HOLD:
		text_add(text, " is on hold");
		if (disclose)
			message_by(text, view->hold.owner, view->hold.reason);
		return "operator";
	case ROW_FAILED:
		text_add(text, " is closed after a failed migration");
		return "failed";
	case ROW_AHEAD:
		text_add(text, " has not reached the schema head this client was built for");
		return "ahead";
	case ROW_OBSERVE:
	case ROW_NO_READING:
	case ROW_UNDECLARED:
	case ROW_ACCEPTED:
	case ROW_BEHIND:
	case ROW_UNKNOWN:
		break;
	}
	text_add(text, " is held: ");
	message_unread(text, view, disclose);
	return "unknown";
}

/* The parts that both texts of a hold share: message up to "held for 5 s", and DETAIL. */
static struct text hold_begin(
    const struct gate_view *view, const struct verdict *verdict, int64_t held_ns, struct refusal *out)
{
	bool disclose = view != NULL && view->policy.disclose;
	struct text message = text_begin(out->message, sizeof(out->message));
	struct text detail = text_begin(out->detail, sizeof(out->detail));
	const char *cause = message_cause(&message, view, verdict, disclose);

	text_add(&message, "; this client has been held for ");
	text_add_span(&message, held_ns);

	text_add(&detail, "cause=%s held_ms=%" PRId64 " budget_ms=%" PRId64, cause,
	    held_ns / INT64_C(1000000), verdict->budget_ns / INT64_C(1000000));
	if (view != NULL && view->fresh && disclose) {
		text_add(&detail, " recorded=");
		text_add_heads(&detail, gate_recorded_heads(view), TEXT_DETAIL_HEADS);
	}
	if (view != NULL)
		detail_state(&detail, view, disclose);
	return message;
}

void gate_hold_expired(
    const struct gate_view *view, const struct verdict *verdict, int64_t held_ns, struct refusal *out)
{
	struct text message = hold_begin(view, verdict, held_ns, out);
	struct text hint = text_begin(out->hint, sizeof(out->hint));

	memcpy(out->sqlstate, "57P03", sizeof(out->sqlstate));
	text_add(&message, ", the longest allowed");
	if (deciding_row(verdict) == ROW_AHEAD)
		text_add(
		    &hint, "Migrate the database to the head this client was built for, then connect again.");
	else
		text_add(
		    &hint, "Connect again later. \"headgate status\" shows what the database waits for.");
}

void gate_hold_notice(
    const struct gate_view *view, const struct verdict *verdict, int64_t held_ns, struct refusal *out)
{
	int64_t left_ns = verdict->budget_ns - held_ns;
	struct text hint = text_begin(out->hint, sizeof(out->hint));

	(void)hold_begin(view, verdict, held_ns, out);
	memcpy(out->sqlstate, "00000", sizeof(out->sqlstate));
	text_add(&hint,
	    "There is nothing to do: this client goes on by itself when the hold ends. If that takes more "
	    "than another ");
	text_add_span(&hint, left_ns);
	text_add(&hint, ", it gets an error that says so.");
}
