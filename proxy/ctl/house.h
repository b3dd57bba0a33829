/* The running proxy: what serve.c builds, and what the console's levers move. One per process, control thread
 * only. */
#ifndef CTL_HOUSE_H
#define CTL_HOUSE_H

#include <stdbool.h>

#include "base/conf.h"
#include "base/mailbox.h"
#include "client/worker.h"
#include "keepers.h"
#include "listeners.h"
#include "net/resolve.h"

struct event_base;
struct event;
struct console;

struct house {
	struct event_base *base;
	struct mailbox *mailbox;
	struct resolver *resolver;
	struct conf *conf;
	char proxy_id[37];    /* a random UUID */
	char proxy_name[128]; /* host:pid */
	struct client_limits *limits;
	struct worker **workers;
	unsigned worker_count, next_worker, emptied;
	struct listeners *listeners;
	struct keepers *keepers;
	struct console *console;
	struct event *signals[4];
	struct event *deadline; /* of the shutdown */
	bool stopping, hurried;
	int status; /* exit status */
};

/* The configuration file anew. False with texts: it is wrong, or cannot be put in force, and the old one
 * stays. by: who asked, for the log. */
bool house_reload(struct house *house, const char *by, struct conf_errors *errors);
/* Begins to leave; immediate, or asked a second time: without waiting for anybody. */
void house_shutdown(struct house *house, bool immediate, const char *by);

#endif
