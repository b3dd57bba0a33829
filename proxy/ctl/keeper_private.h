/* Shared by keeper.c (what is published), keeper_news.c (what comes in) and keeper_hold.c (drains and the
 * operator's hold). */
#ifndef CTL_KEEPER_PRIVATE_H
#define CTL_KEEPER_PRIVATE_H

#include <event2/event.h>

#include "drain.h"
#include "keeper.h"
#include "roll.h"

/* The operator's hold; id 0: none. */
struct hold {
	uint64_t id;
	char *owner, *reason;
	bool detached, all;
	int64_t began_ns, drain_ns, drain_until_ns, until_ns; /* clock_now() scale */
	enum conf_on_timeout on_timeout;
	bool complete;     /* every client is parked, and the owner was told */
	bool pressed;      /* the clients that kept it were cancelled or terminated: once */
	struct roll *roll; /* it gives up, and is finding out because of whom */
};

struct runs_wait {
	struct runs_wait *next;
	struct keeper *keeper;
	link_runs_done *done;
	void *arg;
};

struct keeper {
	const struct keeper_house *house;
	unsigned id;
	char *name;
	struct conf *conf;
	const struct conf_database *section;
	struct tls_context *tls;
	struct lease *lease;
	uint64_t serial;
	struct service *service; /* as published; NULL: not yet */
	int64_t unused_since_ns; /* 0: in use */
	struct event *minute;

	struct link *link;
	struct conf *link_conf; /* what the link was started with */
	const struct conf_database *link_section;
	struct runs_wait *runs;
	struct recorded recorded;
	struct gate_run run;
	struct gate_pin *pins;
	unsigned pin_count;
	bool news, fresh, connected, registered, standby;
	char *trouble; /* or NULL */
	struct gate_graph *graph;
	/* The one before it, for a minute: big ones are freed by us and not by the worker that is last to let
	 * go of its view. */
	struct gate_graph *graph_before;
	char *graph_trouble; /* or NULL */

	struct endpoints *endpoints;
	struct resolve *resolve;
	struct event *resolve_timer;
	bool resolved; /* at least tried */

	struct drain *drain;
	int64_t holding_since_ns; /* 0: the gate does not hold everybody */
	int64_t acknowledged_run; /* 0: none */
	bool pids_changed;        /* since the acknowledgement */
	bool observe_warned;
	struct hold hold;
	bool ordering; /* inside keeper_hold() */
	struct event *hold_timer;
};

/* keeper.c */
void keeper_publish(struct keeper *keeper);
/* keeper_news.c */
void keeper_link_start(struct keeper *keeper);
void keeper_link_stop(struct keeper *keeper);
void keeper_resolve(struct keeper *keeper);
/* keeper_hold.c: looks at where drains and deadlines stand, acts, and sets the timer for the next. */
void keeper_check(struct keeper *keeper);
void keeper_minute(struct keeper *keeper);
void keeper_on_hold_timer(evutil_socket_t fd, short what, void *arg);

#endif
