/* The session: its settings, and whether the ledger is there and ours to use. */
#include <string.h>

#include "base/mem.h"
#include "coord_private.h"

/* Keepalives for the server's side of the connection: a coordinator whose host is gone must lose its lock in
 * about 15 s, not in two hours. A database set to synchronous_commit = off could forget, in a crash, that a
 * run was under way. */
const char coord_session_sql[] =
    "SELECT pg_is_in_recovery(), to_regclass('headgate.run') IS NOT NULL, "
    "COALESCE(has_table_privilege(to_regclass('headgate.run'), 'INSERT, UPDATE'), false) AND "
    "COALESCE(has_function_privilege(to_regprocedure('headgate.reap()'), 'EXECUTE'), false), "
    "pg_has_role('pg_read_all_stats', 'USAGE'), current_user, current_database(), "
    "to_regclass('headgate.step') IS NOT NULL, "
    "current_setting('server_encoding') NOT IN ('UTF8', 'SQL_ASCII'), "
    "COALESCE(current_setting('client_connection_check_interval', true), '0') <> '0', "
    "set_config('statement_timeout', '15s', false), set_config('lock_timeout', '500ms', false), "
    "set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '3', false), "
    "set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '15000', false), "
    "CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', "
    "false) END, "
    "pg_try_advisory_lock_shared(" COORD_PRESENT_LOCK ")";
enum {
	SET_STANDBY,
	SET_LEDGER,
	SET_ALLOWED,
	SET_STATS,
	SET_ROLE,
	SET_DATABASE,
	SET_CURRENT,
	SET_ASCII,
	SET_CHECKS,
};

static const char init_hint[] = "run `headgate init` for this database first";

static void on_set(struct coord *c, const struct pq_result *result)
{
	const char *role, *database;
	if (!result->ok) {
		coord_finish(c, COORD_REFUSED, 1, mem_printf("the session: %s", result->message), init_hint);
		return;
	}
	role = coord_text(result, 0, SET_ROLE);
	database = coord_text(result, 0, SET_DATABASE);
	mem_free(&c->role);
	c->role = mem_strdup(role);
	c->ascii = coord_true(result, 0, SET_ASCII);
	c->checks_client = coord_true(result, 0, SET_CHECKS);
	bool ledger = coord_true(result, 0, SET_LEDGER), current = coord_true(result, 0, SET_CURRENT);
	c->founding = coord_of_steps(c) && !(ledger && current);
	const char *reader = c->request.section->recorded.reader;
	if (coord_true(result, 0, SET_STANDBY))
		coord_finish(c, COORD_REFUSED, 1,
		    mem_printf("the server of %s is a standby: nothing can be migrated there", database),
		    "let control.run_dsn name the primary");
	else if (coord_of_steps(c) && strcmp(reader, "headgate") != 0)
		coord_finish(c, COORD_REFUSED, 1,
		    mem_printf("the recorded version of %s is that of %s, and only %s keeps it",
			c->request.name, reader, reader),
		    "Let `headgate exec -- COMMAND` conduct that tool; or set `recorded: {reader: headgate}` "
		    "and "
		    "`headgate stamp` what the database is at");
	else if (!coord_true(result, 0, SET_STATS) && coord_holds(c))
		coord_finish(c, COORD_REFUSED, 1,
		    mem_printf("role %s may not see what other sessions do, so it cannot know that nobody is "
			       "at work",
			role),
		    coord_of_steps(c)
			? "as a superuser: GRANT pg_read_all_stats, pg_signal_backend TO this role; or, "
			  "where no "
			  "proxy serves this database, --no-hold"
			: "as a superuser: GRANT pg_read_all_stats, pg_signal_backend TO the role of "
			  "control.run_dsn");
	else if (c->founding && !c->founded)
		coord_enter(c, COORD_LOCKING, "the ledger is to be made");
	else if (!ledger)
		coord_finish(c, COORD_REFUSED, 1, mem_printf("there is no ledger in database %s", database),
		    init_hint);
	else if (!current)
		coord_finish(c, COORD_REFUSED, 1,
		    mem_printf("the ledger in database %s is older than this program", database),
		    "run `headgate init` for this database: it brings the ledger up");
	else if (!coord_true(result, 0, SET_ALLOWED))
		coord_finish(c, COORD_REFUSED, 1,
		    mem_printf("role %s may not conduct runs in database %s", role, database),
		    "run `headgate init` with this role as control.run_dsn's");
	else
		coord_enter(c, COORD_LOCKING, "the session is set");
}

void coord_set(struct coord *c)
{
	coord_listen(c);
	/* By itself, as it fails where the server's system cannot do it. */
	coord_send(c,
	    "SELECT set_config('client_connection_check_interval', '1000', false) "
	    "WHERE current_setting('client_connection_check_interval', true) IS NOT NULL");
	coord_ask(c, coord_session_sql, NULL, 0, on_set);
}

void coord_listen(struct coord *c)
{
	coord_send(c, "LISTEN " LEDGER_ACK_CHANNEL);
	coord_send(c, "LISTEN " LEDGER_CHANNEL);
}
