/* The ledger: our own tables in the database, schema `headgate` (migrations/headgate). Pure: SQL texts and
 * what answers mean. */
#ifndef SCHEMA_LEDGER_H
#define SCHEMA_LEDGER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "gate/gate.h"
#include "schema/readers.h"

/* The advisory lock of whoever may change the schema: 0x6865616467617465, ASCII "headgate". */
#define LEDGER_LOCK        "7522525836451345509"
#define LEDGER_CHANNEL     "headgate"     /* NOTIFY: proxies read again; payload run, version or pin */
#define LEDGER_ACK_CHANNEL "headgate_ack" /* NOTIFY: a proxy acknowledged; payload the run's number */

/* The files of migrations/headgate, in order, inside the binary. */
struct ledger_migration {
	int version;
	const char *file, *text;
};
extern const struct ledger_migration ledger_migrations[];
extern const unsigned ledger_migration_count;

/* The text between the line `-- migrate:NAME` and the next section or the end; NULL when there is none. To be
 * freed. */
char *ledger_section(const char *text, const char *name);

/* What `headgate init` does, in order. Each step is one SQL statement and one transaction, may be repeated,
 * and tells what it did by one NOTICE that begins with "headgate: ". One that finds a lock in its way fails
 * with 55P03: try again. */
struct ledger_step {
	char *what; /* "ledger version 1" */
	char *sql;  /* without the last semicolon */
};
struct ledger_plan {
	struct ledger_step *steps;
	unsigned count;
};
/* control_role: who proxies come as; run_role: who conducts runs. Both must exist. */
struct ledger_plan ledger_plan(
    const struct conf_recorded *section, const char *control_role, const char *run_role);
void ledger_plan_free(struct ledger_plan *plan);

/* Lets the control role read the version table and puts the nudge on it, where it exists: for init, and again
 * after a run that may have created it. */
char *ledger_nudge_sql(const struct conf_recorded *section, const char *control_role);

/* A renewal. $1 proxy_id, $2 name, $3 version, $4 lease in ms, $5 the acknowledged run or NULL, $6 '{pids}'.
 */
extern const char ledger_renew_sql[];
struct ledger_renewal {
	struct gate_run run; /* id 0: none */
	char *unresolved;    /* a run left half way, for people; or NULL */
	struct gate_pin *pins;
	unsigned pin_count;
	bool graph; /* this ledger keeps one (order.h); none need be published */
};
/* now_ns: clock_now(), from before the renewal was sent: pins end no later than the server says. False: the
 * answer is not one of our ledger's. */
bool ledger_renewal_read(const struct reader_rows *rows, int64_t now_ns, struct ledger_renewal *out)
    __attribute__((warn_unused_result));
void ledger_renewal_free(struct ledger_renewal *renewal);

/* Is there a ledger, and may we use it? Reads catalogs only, so that asking costs the server no error. */
extern const char ledger_probe_sql[];
struct ledger_probe {
	bool standby, present, allowed;
	bool graph;                  /* it keeps a graph that we may read */
	const char *role, *database; /* of the answer */
};
bool ledger_probe_read(const struct reader_rows *rows, struct ledger_probe *out)
    __attribute__((warn_unused_result));

#endif
