/* What `headgate exec`, `headgate upgrade` and `headgate downgrade` share: the options about a run, and the
 * loop on which it is conducted. */
#ifndef CTL_CONDUCTING_H
#define CTL_CONDUCTING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "schema/coord.h"
#include "options.h"

#define CONDUCTING_OPTIONS 7

#define CONDUCTING_HELP                                                                                      \
	"      --wait                   wait for another run's end (the same command or target is joined "   \
	"in any "                                                                                            \
	"case)\n"                                                                                            \
	"      --drain-timeout T        how long clients may take to end their transactions; default "       \
	"drain.timeout\n"                                                                                    \
	"      --on-timeout HOW         then: abort (release, pause, try again), cancel their queries, or "  \
	"terminate them; default\n"                                                                          \
	"                               drain.on_timeout\n"                                                  \
	"      --attempts N             how many tries at draining; default drain.attempts\n"                \
	"      --max-transaction-age T  refuse at once when a transaction is older; 0 does not ask; "        \
	"default 10s\n"                                                                                      \
	"      --max-replica-lag T      refuse at once when a replica is further behind; default 0, which "  \
	"does not ask\n"

struct conducting {
	bool wait;
	int64_t drain_timeout_ns, deadline_ns; /* -1: not given */
	int64_t max_transaction_ns, max_replica_lag_ns;
	int on_timeout;    /* -1: not given */
	unsigned attempts; /* 0: not given */
	struct command_option options[CONDUCTING_OPTIONS];
};
/* Nothing is given yet. Its options point into it: it stays where it is. */
void conducting_begin(struct conducting *conducting);

/* Puts what was given, and the section's settings where nothing was, into the request. */
void conducting_fill(const struct conducting *conducting, const struct conf_database *section,
    int64_t deadline_ns, struct coord_request *request);

/* Conducts it, on a loop made here (base and resolver are filled in), until conducting_end() is called, which
 * request->done must do. Ctrl-C and SIGTERM are coord_cancel(); a hang-up of the terminal changes nothing. */
void conducting_run(struct coord_request *request);
void conducting_end(struct coord_request *request);

#endif
