/* Inside of schema/link: the link's struct, shared by its life (link.c), its rounds (link_round.c) and its
 * news (link_news.c). */
#ifndef SCHEMA_LINK_PRIVATE_H
#define SCHEMA_LINK_PRIVATE_H

#include <event2/event.h>

#include "net/pq.h"
#include "schema/ledger.h"
#include "schema/link.h"
#include "schema/readers.h"

enum link_state {
	LINK_DOWN,    /* the timer opens it */
	LINK_OPENING, /* the connection bounds its time itself */
	LINK_UP,      /* the timer renews, or gives a stuck link up */
};

/* One round trip: the ledger's word (a renewal, or a probe where there is no ledger for us), then the
 * reading. */
struct link_round {
	bool active, again; /* again: somebody asked for a reading while this one was under way */
	bool probing;       /* the first statement was a probe */
	int64_t sent_ns;
	bool heard, read; /* both: it succeeded */
	bool lease;       /* and what it has read may be relied on */
	bool untold;      /* the owner need not hear of it: the next one follows at once and knows more */
	struct ledger_renewal renewal;
	struct ledger_probe probe;
	struct recorded recorded;
	char *role, *database; /* of the probe */
	bool marking;          /* it asks which graph is published, after the reading */
	char *mark;            /* which one; or NULL and why not */
	char *mark_trouble;
	char *trouble; /* why it failed */
	char sqlstate[6];
};

/* What was told last, and owns what it points to. */
struct link_picture {
	struct link_news news;
	struct gate_pin *pins;
	char *trouble, *graph_trouble;
	char sqlstate[6];
	bool changed; /* since it was told */
	bool told;    /* ever */
};

/* One SHOW RUNS under way. */
struct link_ask {
	struct link_ask *next;
	struct link *link;
	link_runs_done *done;
	void *arg;
};

struct link {
	struct event_base *base;
	struct resolver *resolver;
	const struct conf_database *section;
	char *dbname, *proxy_id, *proxy_name;
	char *object; /* for logs: "shop link" */
	char *reader_sql;
	struct lease *lease;
	void (*news)(const struct link_news *news, void *arg);
	void *arg;

	enum link_state state;
	struct pq *pq;
	bool listening;
	bool ledger;          /* renewals work; else each round probes */
	bool renewed;         /* this connection has made a good round */
	struct event *timer;  /* next opening, next renewal */
	struct event *expiry; /* the lease's end */
	int64_t backoff_ns;
	struct link_round round;
	struct link_picture picture;

	bool graphs;             /* the ledger keeps a graph that this connection may read */
	char *graph_mark;        /* which one the picture shows, or refuses; NULL: it has to be read */
	unsigned graph_failures; /* in a row */
	int64_t graph_pause_ns;  /* until then it is not asked for */

	int64_t acked_run; /* 0: nothing to acknowledge */
	char *acked_pids;  /* "{12,13}" */
	struct link_ask *asks;
	bool telling; /* the owner is being told; stopped inside that call: dead */
	bool dead;
};

/* link.c */
/* The connection is of no use: closes it, says so, and tries again later. Nothing may follow. */
void link_lost(struct link *link, const char *sqlstate, const char *why);
void link_timer(struct link *link, int64_t span_ns);
int64_t link_interval_ns(const struct link *link);

/* link_round.c */
/* Begins a round, or has one begun right after the one under way. Only in LINK_UP. */
void link_round_ask(struct link *link);
void link_round_begin(struct link *link);
void link_round_reset(struct link_round *round);
/* The first failure of a round is its reason. */
void link_round_failed(struct link_round *round, const char *what, const char *sqlstate, const char *message);
/* All answers are here. */
void link_round_answered(struct link *link);
/* The graph that belongs to this round is in the picture: tells what the round has read, or that it failed,
 * and ends it. */
void link_round_end(struct link *link);

/* link_graph.c */
/* Is there a graph to ask for in this round? */
bool link_graph_due(struct link *link);
/* Asks which graph is published: the last question of the round, and its answer is link_round_answered(). */
void link_graph_ask(struct link *link);
/* A ledger that keeps a graph was found, or is not there any more. True: this round did not ask for it, so
 * what it has read may belong to a graph that we do not have. */
bool link_graph_found(struct link *link, bool found);
/* Brings the picture's graph up to what was answered, then ends the round: at once, or when it is read. */
void link_graph_settle(struct link *link);
void link_graph_forget(struct link *link); /* the connection is gone: which graph we have says nothing */

/* link_news.c: setters note whether anything changed; link_tell() tells it. They take what they are given and
 * leave it empty. */
void link_set_flag(struct link *link, bool *flag, bool value);
void link_set_trouble(struct link *link, const char *sqlstate, const char *trouble); /* NULL: none */
void link_set_recorded(struct link *link, struct recorded *recorded);
void link_set_run(struct link *link, struct gate_run *run);
void link_set_pins(struct link *link, struct gate_pin **pins, unsigned *count);
void link_set_graph(struct link *link, struct gate_graph **graph, char **trouble); /* NULL, NULL: none */
/* Tells the owner if anything changed, or in any case. False: it stopped us inside, touch nothing any more.
 */
bool link_tell(struct link *link, bool in_any_case) __attribute__((warn_unused_result));
void link_picture_free(struct link_picture *picture);

#endif
