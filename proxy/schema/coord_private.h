/* Inside of schema/coord: the struct shared by its machine (coord.c) and what ends it early (coord_ends.c),
 * the steps before anybody is disturbed (coord_set.c, coord_lock.c, coord_vet.c), drain and fence
 * (coord_drain.c), the command and the conclusion (coord_run.c), the look at the server's backends
 * (coord_backends.c); and for runs of steps the ledger and the plan (coord_plan.c), the backup
 * (coord_backup.c), the segments (coord_steps.c) and what becomes of a lost connection (coord_inquire.c). */
#ifndef SCHEMA_COORD_PRIVATE_H
#define SCHEMA_COORD_PRIVATE_H

#include <event2/event.h>

#include "gate/gate.h"
#include "net/pq.h"
#include "schema/command.h"
#include "schema/coord.h"
#include "schema/ledger.h"
#include "runner.h"

/* Held shared by every coordinator, also one that only waits: the fence knows its own by it. The lock's
 * number plus one. */
#define COORD_PRESENT_LOCK "7522525836451345510"

#define COORD_LOCK_IS(alias, key)                                                                            \
	alias                                                                                                \
	    ".locktype = 'advisory' AND " alias ".granted AND " alias ".objsubid = 1 AND " alias             \
	    ".database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AND (" alias \
	    ".classid::bigint << 32 | " alias ".objid::bigint) = " key

enum coord_state {
#define COORD_STATE(name, text, tick_ms, act) COORD_##name,
#include "coord_states.def"
#undef COORD_STATE
};

typedef void coord_answer(struct coord *c, const struct pq_result *result);

/* A statement under way. Its answer counts only in the state that asked: turn grows with every change. */
struct coord_question {
	struct coord_question *next;
	struct coord *coord;
	unsigned turn;
	coord_answer *answer;
};

/* How a run's row is to end, and what becomes of us then. */
struct coord_ending {
	const char *outcome; /* the ledger's word; NULL: nothing is to be concluded */
	char *error;
	bool unresolved;
	bool again;   /* another attempt follows */
	bool steps;   /* it is that of the steps, not of an attempt that gave up before them */
	bool reduced; /* the tail in ASCII: the server's encoding refused it */
};

struct coord {
	unsigned magic;
	enum coord_state state;
	struct coord_request request;
	struct pq *pq;
	struct event *timer;
	struct coord_question *questions;
	bool asking; /* a question of this turn is under way, since asked_ns */
	unsigned turn;
	int64_t asked_ns, entered_ns;
	char *object;   /* for logs: "shop run 7" */
	char *run_text; /* the run's number as a parameter */

	/* locking */
	int64_t attached_run; /* another's, or 0 */
	int64_t blocked_ns;   /* since when the lock is another's; 0: it is not known to be */
	char *blocker;        /* what was said of it last */

	/* the run */
	int64_t run_id; /* 0: not announced, or ended */
	int64_t last_run_id;
	unsigned attempt;
	int64_t announced_ns, drained_ns, pressed_ns;
	int64_t drain_deadline_ns;
	int64_t held_ns;    /* since when traffic is held */
	bool cancelled;     /* asked for while a statement was under way whose answer must be known first */
	bool over_hold;     /* the warning about hold.max was given */
	bool over_deadline; /* the command was told to stop for it */
	struct recorded from, to;
	bool to_known;
	char *said; /* the last progress line, not to repeat it */
	char *slow; /* the proxies that have not acknowledged, as the last look at them found; or NULL */
	char *hint; /* what to do about an attempt that gave up, or NULL */

	/* the command */
	struct command *command;
	char **environment;
	unsigned environment_count;
	int status;
	char *command_error, *tail;
	bool command_ended;

	/* a run of steps */
	bool founding, founded; /* the ledger is to be made; it was, by us */
	bool ascii;             /* the server's encoding has no place for all of Unicode */
	bool checks_client;     /* the server looks whether we are there while it is at a statement */
	char *role;             /* who we are to the server */
	struct ledger_plan ledger_plan;
	unsigned ledger_step;
	struct plan plan;
	unsigned next; /* the step that comes next */
	enum coord_hold { HOLD_NONE, HOLD_ANNOUNCED, HOLD_FENCED, HOLD_OVER } hold;
	bool marked;     /* the ledger says that steps are at work */
	bool stepped;    /* steps of this attempt's run have begun */
	bool at_segment; /* the runner is at work */
	struct runner *runner;
	unsigned steps_done, steps_before; /* in all attempts; in those before this one */
	struct coord_backup backup;
	bool backed_up;
	int64_t backup_ns; /* when it began */
	char *lost;        /* what is said of the lost connection */
	unsigned lost_at;  /* the step that it was at, from 1; 0: none */
	bool lost_open;    /* which may have been committed */
	int64_t inquire_until_ns;
	unsigned stops;  /* how often a step was told to stop */
	int64_t stop_ns; /* when last, by the deadline */

	struct coord_ending ending;
	struct coord_result result;
	char *text, *from_text, *to_text;
};

/* coord.c */
void coord_enter(struct coord *c, enum coord_state state, const char *why);
/* Asks in this state's turn; at most one question at a time. */
void coord_ask(struct coord *c, const char *sql, const char *const *values, int count, coord_answer *answer);
/* A statement that belongs to the question that follows it, whose own answer does not matter. */
void coord_send(struct coord *c, const char *sql);
/* How it all ends: entering UNLOCKING (connection up) or ENDED. text is taken. */
void coord_finish(struct coord *c, enum coord_outcome outcome, int exit_status, char *text, const char *hint);
/* Before the command: ends the announced run (or none) and tries again where attempts are left and `again` is
 * true. text is taken. */
void coord_give_up(struct coord *c, const char *outcome, char *text, bool again);
/* A statement failed that should not. */
void coord_trouble(struct coord *c, const char *what, const struct pq_result *result);
void coord_lost(struct coord *c, const char *sqlstate, const char *message);
struct coord_counts {
	int proxies, ready, clients;
};
/* One line; not told again while it is the same. */
void coord_say(struct coord *c, const struct coord_counts *counts, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void coord_warn(struct coord *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
int64_t coord_deadline_ns(const struct coord *c); /* of the announced run, clock_now() scale */
bool coord_true(const struct pq_result *result, int row, int column);
long long coord_number(const struct pq_result *result, int row, int column); /* NULL: 0 */
const char *coord_text(const struct pq_result *result, int row, int column); /* NULL: "" */
/* '{"a","b"}' of a NULL-terminated list. To be freed. */
char *coord_array(const char *const *items, unsigned count);

/* In mode observe, and with no_hold, nobody is held, drained or fenced: the run is recorded, and the command
 * or the steps conducted, beside the traffic. */
static inline bool coord_holds(const struct coord *c)
{
	return !c->request.section->observe && !c->request.no_hold;
}

/* May strangers be terminated? */
static inline bool coord_fences(const struct coord *c)
{
	return c->request.section->fence.terminate_strangers && coord_holds(c);
}

static inline bool coord_of_steps(const struct coord *c)
{
	return c->request.plan != NULL;
}

/* The states' acts: coord_lock.c */
void coord_set(struct coord *c);
void coord_lock(struct coord *c);
void coord_attend(struct coord *c);
void coord_check(struct coord *c);
void coord_read(struct coord *c);
void coord_announce(struct coord *c);
extern const char coord_session_sql[]; /* what coord_set() makes of a session, but for LISTEN */
void coord_listen(struct coord *c);
/* coord_vet.c */
void coord_vet(struct coord *c);
/* coord_drain.c */
void coord_drain(struct coord *c);
void coord_fence(struct coord *c);
void coord_mark(struct coord *c);
/* coord_run.c */
void coord_begin(struct coord *c); /* starts the command; on entering RUNNING */
void coord_watch(struct coord *c);
void coord_settle(struct coord *c);
void coord_read_done(struct coord *c); /* the recorded version after the command is known */
void coord_nudge(struct coord *c);
void coord_conclude(struct coord *c);
void coord_unlock(struct coord *c);
/* coord_plan.c */
void coord_found(struct coord *c);
void coord_plan(struct coord *c);
void coord_publish(struct coord *c);
void coord_plan_drop(struct coord *c); /* for another attempt */
/* coord_backup.c */
void coord_back_up(struct coord *c);
void coord_note_backup(struct coord *c);
/* coord_steps.c */
void coord_proceed(struct coord *c); /* what comes next of a run of steps */
void coord_hold(struct coord *c);
void coord_step(struct coord *c);
void coord_restore(struct coord *c);
void coord_loosen(struct coord *c);
void coord_stop_step(struct coord *c, const char *why); /* harder each time */
void coord_steps_end(struct coord *c);                  /* the run is concluded */
bool coord_starts_held(const struct coord *c);
/* coord_inquire.c */
void coord_inquire(struct coord *c);
bool coord_inquires(const struct coord *c); /* is there something to find out? */
void coord_inquire_begin(struct coord *c, const char *sqlstate, const char *message);
/* coord_run.c */
bool coord_environment(struct coord *c, const char *const *over, char *error, unsigned error_size);
void coord_watch_hold(struct coord *c, int64_t now); /* warns past hold.max */
/* coord.c */
void coord_idle(struct coord *c);
void coord_tick(struct coord *c, int64_t span_ns); /* the state's act again, where nothing is asked */
void coord_tell_step(struct coord *c, bool warning, const struct coord_step *step, const char *text);
void coord_open(struct coord *c); /* a connection, into c->pq */

/* coord_backends.c: one look at pg_stat_activity. Our own backends (coordinators, the proxies' control links)
 * are never in it. */
struct coord_backend {
	int pid;
	const char *text;   /* "pid 12 (shop@10.0.0.7, psql), idle in transaction for 12 s" */
	bool acked, exempt; /* a proxy answers for it; its role is exempt from the fence */
	bool transaction;   /* it has one open */
	bool young;         /* it came after the run was announced, or just before */
	bool ours_to_end;   /* we have the right to cancel and terminate it */
	bool of_command;    /* it says that it belongs to this run's command */
	bool ended;         /* told to end (or cancelled) by this look */
	long long transaction_ms;
};
enum coord_press {
	PRESS_NOBODY,
	PRESS_CANCEL_OPEN,
	PRESS_TERMINATE_OPEN,
	PRESS_TERMINATE_STRANGERS,
	PRESS_TERMINATE_OLD_STRANGERS,
	PRESS_TERMINATE_COMMANDS
};
/* open: in a transaction and not exempt. strangers: nobody answers for them and not exempt; old: but the
 * young. */
void coord_look(struct coord *c, enum coord_press press, coord_answer *answer);
int coord_look_count(const struct pq_result *result);
struct coord_backend coord_look_at(const struct pq_result *result, int row);
int coord_look_prepared(const struct pq_result *result); /* prepared transactions of this database */

#endif
