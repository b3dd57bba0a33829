/* Carries the ledger's plan out on a test cluster, as `headgate init` does. */
#ifndef TESTS_SCHEMA_INIT_H
#define TESTS_SCHEMA_INIT_H

#include "pg_cluster.h"
#include "schema/ledger.h"

struct init_said {
	const char *what;
	char *text;
	size_t size;
};

static inline void init_on_notice(void *arg, const PGresult *result)
{
	struct init_said *said = arg;
	size_t n = strlen(said->text);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	if (strncmp(message, "headgate: ", 10) == 0)
		snprintf(said->text + n, said->size - n, "%s: %s\n", said->what, message + 10);
}

static inline void init_database(const struct pg_cluster *cluster, const char *dbname,
    const struct conf_recorded *section, const char *control_role, const char *run_role, char *text,
    size_t size)
{
	struct init_said said = {.text = text, .size = size};
	PGconn *conn = PQconnectdb(pg_dsn(cluster, dbname));
	struct ledger_plan plan = ledger_plan(section, control_role, run_role);
	text[0] = '\0';
	PQsetNoticeReceiver(conn, init_on_notice, &said);
	PQclear(PQexec(conn, "SET search_path = ''"));
	for (unsigned i = 0; i < plan.count; i++) {
		said.what = plan.steps[i].what;
		PGresult *result = PQexec(conn, plan.steps[i].sql);
		if (PQresultStatus(result) != PGRES_COMMAND_OK) {
			fprintf(stderr, "init: %s: %s\n%s\n", plan.steps[i].what, PQerrorMessage(conn),
			    plan.steps[i].sql);
			exit(99);
		}
		PQclear(result);
	}
	/* as if it had been there for long: a coordinator waits for proxies that may not know a new one yet
	 */
	PQclear(PQexec(conn, "UPDATE headgate.version SET applied_at = applied_at - interval '1 hour'"));
	ledger_plan_free(&plan);
	PQfinish(conn);
}

#endif
