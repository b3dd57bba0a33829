/* A keeper: who keeps one database's gate. It joins what the configuration says, what the control link reads,
 * where the server is and what an operator ordered into one picture, and hands that picture to all workers
 * whenever it changes; it follows each drain to its end, and ends an operator's hold when its time is up.
 * Control thread only. */
#ifndef CTL_KEEPER_H
#define CTL_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "client/worker.h"
#include "net/tls.h"
#include "schema/link.h"

struct event_base;
struct resolver;
struct keeper;

/* What became of an operator's hold. */
struct hold_news {
	uint64_t id;
	struct keeper *keeper;
	bool ended;           /* else: every client is parked */
	unsigned clients;     /* of the database, now */
	int64_t ns;           /* since the hold began */
	const char *why;      /* when it ended: "released by ...", "its time (30s) is up" */
	const char *sqlstate; /* for who still waits for it to be complete */
	const char *detail;   /* which clients kept it; or NULL */
};

/* What all keepers share. */
struct keeper_house {
	struct event_base *base;
	struct resolver *resolver;
	struct worker *const *workers;
	unsigned worker_count;
	const char *proxy_id, *proxy_name;
	/* Never called from inside keeper_hold(); from inside keeper_release() and keeper_free() it is. */
	void (*hold_news)(const struct hold_news *news, void *arg);
	/* The server says that there is no such database, or the keeper of a "*" has had no client for long:
	 * it may go. It must not be freed inside. */
	void (*needless)(struct keeper *keeper, bool missing, void *arg);
	void *arg;
};

/* section: inside conf, which is referenced; it was checked by section_check(). tls: referenced; NULL: no TLS
 * to the server. */
struct keeper *keeper_new(const struct keeper_house *house, const char *name, struct conf *conf,
    const struct conf_database *section, struct tls_context *tls);
/* A new configuration. The link is restarted where its settings changed: then clients are held until it has
 * read. */
void keeper_configure(
    struct keeper *keeper, struct conf *conf, const struct conf_database *section, struct tls_context *tls);
/* Leaves the ledger and, unless the workers are gone (refuse false), tells them that there is no such
 * database any more. */
void keeper_free(struct keeper **keeper, bool refuse);

const char *keeper_name(const struct keeper *keeper);
unsigned keeper_id(const struct keeper *keeper);    /* struct service's */
bool keeper_on_demand(const struct keeper *keeper); /* its section is "*" */
const struct conf_database *keeper_section(const struct keeper *keeper);
unsigned keeper_clients(const struct keeper *keeper);
/* Hands one worker the present picture, if there is one yet. */
void keeper_present(struct keeper *keeper, struct worker *worker);
/* A worker's report (worker.h: drained). */
void keeper_drained(struct keeper *keeper, unsigned worker, uint64_t serial, const int32_t *pids,
    unsigned pid_count, unsigned logins);

struct hold_order {
	uint64_t id;                /* > 0; the same for all databases of one order */
	const char *owner, *reason; /* reason "": none */
	int64_t drain_ns, max_ns;   /* -1: the section's */
	bool on_timeout_given;
	enum conf_on_timeout on_timeout;
	bool detached, all; /* all: also for databases that appear while it lasts */
};
/* False, with a text, when it is held already or in observe mode. */
bool keeper_hold(struct keeper *keeper, const struct hold_order *order, char *error, unsigned error_size);
/* A database that appeared while another one is held with `all`: takes the same hold over. */
void keeper_hold_as(struct keeper *keeper, const struct keeper *other);
/* Ends the operator's hold; why as in hold_news. False: there was none. */
bool keeper_release(struct keeper *keeper, const char *why);

struct keeper_status {
	const char *gate; /* "open", "draining", "holding", "shut" */
	const struct recorded *recorded;
	const struct gate_view *view; /* as published; NULL: not yet */
	const char *graph_trouble;    /* why the published graph is not used; or NULL */
	bool observe, fresh;
	int64_t lease_left_ns; /* -1: none */
	const struct gate_run *run;
	uint64_t hold_id; /* 0: no operator's hold; all below with one */
	const char *hold_owner, *hold_reason;
	bool hold_detached, hold_all, hold_complete;
	int64_t hold_age_ns, drain_left_ns, hold_left_ns; /* drain_left -1: drained */
	unsigned clients, held;
	const char *link, *trouble; /* trouble "": none */
};
void keeper_status(const struct keeper *keeper, struct keeper_status *out);

/* link_runs(), with an answer in any case: when the link goes before it, an error. */
void keeper_runs(struct keeper *keeper, unsigned limit, link_runs_done *done, void *arg);

#endif
