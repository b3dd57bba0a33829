/* The gate: what one database says to one client at one moment. Pure: no socket, no clock of its own.
 *
 * A struct gate_view is an immutable, counted picture of everything the decision needs. The control thread
 * builds one whenever anything changes and hands it to the workers; a session remembers the view under which
 * it was last admitted, so that the check at a transaction's start is one pointer compare (same view?) and
 * one clock compare (lease). The decision table is DESIGN's "The gate": the first row that applies decides.
 */
#ifndef GATE_GATE_H
#define GATE_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/graph.h"
#include "gate/head.h"

enum gate_mode { GATE_ENFORCE, GATE_OBSERVE };
enum recorded_state {
	RECORDED_CLEAN,      /* heads are what the database is at */
	RECORDED_EMPTY,      /* the version table is there and holds nothing: at base */
	RECORDED_ABSENT,     /* no version table: never migrated */
	RECORDED_RUNNING,    /* the tool says a migration is under way, or its lock kept us from reading */
	RECORDED_FAILED,     /* the tool, or our ledger, says a migration was left half way */
	RECORDED_UNREADABLE, /* no right to read it, or it holds what cannot be a head */
};
const char *recorded_state_name(enum recorded_state state); /* "clean", ... */

struct recorded {
	struct heads heads;
	enum recorded_state state;
	char *detail; /* why it is failed, running or unreadable, for people; or NULL; owned */
	bool by_run;  /* failed by a run of ours that nobody has resolved yet; detail is a clause about it */
};

/* How two heads compare where no graph of migrations knows both. */
enum gate_order {
	ORDER_NONE,    /* ids have no order: row 10 */
	ORDER_NUMERIC, /* ids are integers, or such with dots between: 1.10 comes after 1.9 */
	ORDER_TEXT,    /* ids compare bytewise */
	ORDER_LIST,    /* the configuration lists the heads, oldest first */
};

enum gate_undeclared { UNDECLARED_REJECT, UNDECLARED_ADMIT, UNDECLARED_HEAD };
enum gate_answer { ANSWER_REJECT, ANSWER_HOLD }; /* for `ahead` and `on_failed` */

/* What the configuration says of one database's gate. Owned by the view that holds it. */
struct gate_policy {
	enum gate_mode mode;
	enum gate_undeclared undeclared;
	struct heads undeclared_head; /* with UNDECLARED_HEAD */
	enum gate_answer ahead;
	int64_t ahead_hold_ns; /* with ANSWER_HOLD: for at most so long */
	enum gate_answer on_failed;
	bool disclose; /* may text given before login name the recorded head? */
	int window;    /* what a client may lack: GATE_WINDOW_COMPATIBLE, or so many revisions; 0: exact */
	enum gate_order order;
	struct heads *list; /* with ORDER_LIST: one revision each, oldest first */
	unsigned list_count;
};

/* A head accepted besides the recorded one, until a time. */
struct gate_pin {
	struct heads heads;
	int64_t until_ns; /* clock_now() scale; INT64_MAX: no end (the configuration's) */
};

struct gate_run {
	int64_t id;   /* ledger's run id; 0: no run */
	bool holding; /* traffic is to be held */
	struct heads from;
	bool target_known;
	struct heads target; /* with target_known */
	char *who, *reason;  /* owned, or NULL */
};

struct gate_hold {
	uint64_t id; /* 0: no operator's hold */
	char *owner, *reason;
};

struct gate_view {
	atomic_uint references;
	uint64_t serial; /* grows with every view of this database */
	char *database;  /* the name clients use */
	struct gate_policy policy;
	bool fresh; /* there is a reading and its lease had not run out when the view was made */
	struct recorded recorded;
	struct gate_run run;
	struct gate_hold hold;
	struct gate_pin *pins;
	unsigned pin_count;
	int64_t hold_max_ns;      /* how long one client may be held in a row */
	struct gate_graph *graph; /* of migrations, referenced; NULL: none was published */
	/* Made by gate_view_settle(). NULL: no graph, or it does not know the set. */
	struct gate_standing *at_recorded, *at_from, *at_target;
};

/* A zeroed view with one reference. The maker fills it (owning every pointer in it) before the first
 * hand-over; after that nobody writes to it. */
struct gate_view *gate_view_new(const char *database);
/* The maker's last step: looks up in the graph what every client will be measured by. before: an older view
 * of this database, whose work is taken over where nothing of it changed; or NULL. */
void gate_view_settle(struct gate_view *view, const struct gate_view *before);
struct gate_view *gate_view_ref(struct gate_view *view);
void gate_view_unref(struct gate_view **view); /* NULL-safe, leaves NULL; the last one frees all it owns */

enum verdict_kind { VERDICT_ADMIT, VERDICT_HOLD, VERDICT_REJECT };

/* Which row of the table decided. */
enum verdict_row {
	ROW_OBSERVE,       /*  1 */
	ROW_NO_READING,    /*  2 */
	ROW_RUN,           /*  3 */
	ROW_RUN_HOPELESS,  /*  3, the exception */
	ROW_OPERATOR_HOLD, /*  4 */
	ROW_FAILED,        /*  5 */
	ROW_UNDECLARED,    /*  6 */
	ROW_ACCEPTED,      /*  7 */
	ROW_AHEAD,         /*  8 */
	ROW_BEHIND,        /*  9 */
	ROW_UNKNOWN,       /* 10 */
};
const char *verdict_row_name(enum verdict_row row); /* "observe", "no reading", ... for logs and counters */
const char *verdict_kind_name(enum verdict_kind kind);

struct verdict {
	enum verdict_kind kind;
	enum verdict_row row;
	enum gate_relation relation; /* of the declared head (or undeclared_head) to the recorded one */
	int64_t budget_ns;           /* with HOLD: how long this client may wait for this cause */
	int64_t asked_ns;            /* when it was asked: the texts leave out pins that had ended by then */
	enum verdict_kind observed;  /* with ROW_OBSERVE: what it would have been, and by which row */
	enum verdict_row observed_row;
};

/* The gate's question. declared: none (or NULL) when the client declared nothing. lease_ns: the database's
 * lease deadline, now_ns: the time, both on clock_now()'s scale. View NULL (nothing published yet): row 2,
 * for at most GATE_UNPUBLISHED_HOLD_NS.
 *
 * What DESIGN's table leaves open:
 * - A recorded state of `running` that is no run of ours, or `unreadable`, is not a clean reading: row 2.
 * - Rows 7 to 10 go by the graph where it knows the recorded heads and the declared ones, else by the
 * policy's order: a head that nobody has published yet may still be placed by its number.
 * - Row 3's exception: the declared head is accepted at nothing that this run can leave (what it started
 * from, its target, what lies between, since a run may end after any of its steps) and is no pin; or the
 * policy rejects whoever declares nothing. Who is ahead of the target is held where row 8 would hold it: the
 * run must not turn away whom the gate would keep before and after it. Nobody is turned away while the target
 * is not known, or not in the graph.
 * - A database at base (`empty`, `absent`) equals no declared head; every head that the graph or the order
 * knows is ahead of it. */
#define GATE_UNPUBLISHED_HOLD_NS INT64_C(30000000000)
struct verdict gate_ask(
    const struct gate_view *view, const struct heads *declared, int64_t lease_ns, int64_t now_ns);

/* Is every client to be parked under this view, whatever it declared? (rows 2 to 4: the drain's question; an
 * expired lease is the caller's to know) */
bool gate_holds_all(const struct gate_view *view);

/* The heads a client is measured by: none at base (`empty`, `absent`), whatever a reader left in the field.
 */
const struct heads *gate_recorded_heads(const struct gate_view *view);

/* How `declared` stands to `recorded` in this policy's order, whatever a graph says. SAME: equal sets, or
 * equal numbers (007 and 7) where ids are numeric. Single heads compare by the order; larger sets are the
 * same or unknown. */
enum gate_relation gate_relate(
    const struct gate_policy *policy, const struct heads *declared, const struct heads *recorded);
/* How many places of the configured list `declared` is behind; -1: it is not behind, or not by ORDER_LIST. */
int gate_list_distance(
    const struct gate_policy *policy, const struct heads *declared, const struct heads *recorded);

/* Calls `each` for every set that the view accepts, as far as sets can be listed: the recorded heads, those
 * accepted besides, nearest first, the pins in force. True: there are more. Nothing while the gate is shut.
 */
bool gate_each_accepted(const struct gate_view *view, int64_t now_ns,
    void (*each)(const struct heads *set, void *arg), void *arg);

/* What a client is told. All text is in the struct: no ownership. */
struct refusal {
	char sqlstate[6];
	char message[512];
	char detail[1400]; /* "declared=A recorded=B accepted=B,C relation=behind": values hold no blanks,
			      long ones end in ... */
	char hint[400];
};

/* When in a session's life the text is given: before login nothing is disclosed that `disclose: false`
 * forbids. */
enum refusal_moment { REFUSAL_BEFORE_LOGIN, REFUSAL_LIVE };

/* The text for a REJECT (55000 before login, 57P01 for a live session), in DESIGN's error table. */
void gate_refusal(const struct gate_view *view, const struct heads *declared, const struct verdict *verdict,
    enum refusal_moment moment, struct refusal *out);
/* The text for a hold that ended by its budget (57P03), DETAIL "cause=run held_ms=30000 run=17". View may be
 * NULL. Since a held client may not have logged in, this text and the next name no head when `disclose` is
 * false. */
void gate_hold_expired(
    const struct gate_view *view, const struct verdict *verdict, int64_t held_ns, struct refusal *out);
/* The NOTICE for a client that is being held. message/detail as above; SQLSTATE 00000. */
void gate_hold_notice(
    const struct gate_view *view, const struct verdict *verdict, int64_t held_ns, struct refusal *out);

#endif
