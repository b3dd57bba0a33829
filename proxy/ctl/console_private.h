/* Shared by console.c (sockets and who is there), console_show.c (what is looked at) and console_order.c
 * (what is ordered). */
#ifndef CTL_CONSOLE_PRIVATE_H
#define CTL_CONSOLE_PRIVATE_H

#include <event2/event.h>
#include <sys/types.h>

#include "console.h"
#include "console_wire.h"
#include "house.h"
#include "roll.h"

struct guest {
	uid_t uid;
	enum console_right right;
};

struct connection;

/* A HOLD that waits for its databases to be parked. */
struct hold_wait {
	uint64_t id;       /* of the order */
	unsigned *keepers; /* their ids; 0: parked */
	unsigned count, left;
	int64_t began_ns;
	struct wire_answer answer;
};

/* A SHOW RUNS that waits for several ledgers. Outlives its connection. */
struct runs_gather {
	struct connection *connection; /* NULL: answered, or gone */
	unsigned owed;
	struct wire_answer answer;
	char trouble[400];
	struct event *deadline;
};

/* An UPGRADE: `headgate upgrade` as a child of ours. Outlives its connection, as a run does its terminal. */
struct upgrade_order;

struct connection {
	struct connection *next;
	struct console *console;
	uint64_t id; /* also that of the holds it owns */
	int fd;
	struct event *readable, *writable, *timer;
	struct wire *wire;
	enum console_right right;
	uid_t uid;
	char owner[160]; /* "ops (pid 4321, psql)" */
	bool dead;
	bool releasing; /* by its own doing: it need not be told that its hold has ended */
	/* what its running statement waits for */
	struct hold_wait *hold;
	struct roll *roll;
	struct runs_gather *runs;
	struct upgrade_order *upgrade;
	enum command roll_for;
};

struct console {
	struct house *house;
	struct listening *listening;
	struct conf_listen section; /* what it listens on */
	struct guest *guests;
	unsigned guest_count;
	struct connection *connections;
	struct upgrade_order *upgrades;
	uint64_t last_id; /* of connections and orders: never used twice */
	struct event *reaper;
	bool stopping;
};

/* One for each command: the functions of console_commands.def. */
#define COMMAND(id, name, who, synopsis, what, function)                                                     \
	void function(struct connection *connection, const struct statement *statement);
#include "console_commands.def"
#undef COMMAND
unsigned console_columns(enum command command, const char *const **names);

/* What a running statement waits for is forgotten: its connection is gone, or it was cancelled. A HOLD that
 * is not complete ends. */
void console_abandon(struct connection *connection, const char *why);
void console_hold_told(struct connection *connection, const struct hold_news *news);

/* The running statement ends with this error. detail, hint: NULL where there is none. */
void console_fail(struct connection *connection, const char *sqlstate, const char *message,
    const char *detail, const char *hint);
/* The gate that a statement names: as written, and a bare name in lower case too. NULL: an error was sent. */
struct keeper *console_keeper(struct connection *connection, const struct statement *statement);
/* console_upgrade.c. Its connection leaves, and the run goes on without it; or its statement was cancelled:
 * the run is asked to end, and tells how it did. */
void console_upgrade_left(struct connection *connection);
void console_upgrade_cancel(struct connection *connection);
/* The process leaves: all are asked to end; all are killed. */
void console_upgrades_stop(struct console *console);
void console_upgrades_free(struct console *console);

#endif
