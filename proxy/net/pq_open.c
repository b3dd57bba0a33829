#include <arpa/inet.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/mem.h"
#include "pq_private.h"
#include "net/resolve.h"

static void on_connecting(evutil_socket_t fd, short what, void *arg);

/* libpq may change the socket at each step (the next host), even to the same number: the old event goes
 * before it may. */
static void wait_connecting(struct pq *pq, short what)
{
	pq->io = event_new(pq->base, PQsocket(pq->conn), what, on_connecting, pq);
	if (pq->io == NULL) {
		pq_lost(pq, "08001", "no socket to wait for");
		return;
	}
	event_add(pq->io, NULL);
}

static void on_connecting(evutil_socket_t fd, short what, void *arg)
{
	struct pq *pq = arg;
	(void)fd, (void)what;
	pq_event_drop(&pq->io);
	switch (PQconnectPoll(pq->conn)) {
	case PGRES_POLLING_READING:
		wait_connecting(pq, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		wait_connecting(pq, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		pq_connected(pq);
		break;
	default:
		pq_lost_by_libpq(pq);
		break;
	}
}

/* The three lists that libpq pairs up again. */
struct lists {
	char *host, *hostaddr, *port;
	unsigned count;
};

static void list_append(char **list, const char *item, bool first)
{
	char *longer = mem_printf("%s%s%s", first ? "" : *list, first ? "" : ",", item);
	mem_free(list);
	*list = longer;
}

static void lists_append(struct lists *lists, const char *host, const char *hostaddr, const char *port)
{
	list_append(&lists->host, host, lists->count == 0);
	list_append(&lists->hostaddr, hostaddr, lists->count == 0);
	list_append(&lists->port, port, lists->count == 0);
	lists->count++;
}

static const char *number_of(const struct endpoint *endpoint, char buffer[INET6_ADDRSTRLEN])
{
	const struct sockaddr *address = (const struct sockaddr *)&endpoint->address;
	const void *in = address->sa_family == AF_INET6
	    ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
	    : (const void *)&((const struct sockaddr_in *)address)->sin_addr;
	return inet_ntop(address->sa_family, in, buffer, INET6_ADDRSTRLEN);
}

/* endpoints: of the named hosts, in their order, or NULL when none has a name. */
static struct lists lists_of(const struct pq *pq, const struct endpoints *endpoints)
{
	struct lists lists = {.count = 0};
	unsigned named = 0;
	for (unsigned i = 0; i < pq->hosts.count; i++) {
		const struct pq_host *host = &pq->hosts.at[i];
		if (!pq_host_named(host)) {
			lists_append(&lists, host->host, host->hostaddr, host->port);
			continue;
		}
		for (unsigned e = 0; e < endpoints->count; e++) {
			char buffer[INET6_ADDRSTRLEN];
			if (endpoints->at[e].index == named && number_of(&endpoints->at[e], buffer) != NULL)
				lists_append(&lists, host->host, buffer, host->port);
		}
		named++;
	}
	return lists;
}

static void connect_to(struct pq *pq, const struct lists *lists)
{
	/* Later keywords win over earlier ones, and the first dbname is expanded: gssencmode is only a
	 * default. */
	const char *const keywords[] = {"gssencmode", "dbname", "host", "hostaddr", "port", "dbname",
	    "application_name", "client_encoding", NULL};
	const char *const values[] = {"disable", pq->dsn, lists != NULL ? lists->host : NULL,
	    lists != NULL ? lists->hostaddr : NULL, lists != NULL ? lists->port : NULL, pq->dbname,
	    pq->application_name, "UTF8", NULL};

	pq->state = PQ_CONNECT;
	pq->conn = PQconnectStartParams(keywords, values, 1);
	if (pq->conn == NULL || PQstatus(pq->conn) == CONNECTION_BAD) {
		pq_lost_by_libpq(pq);
		return;
	}
	PQsetErrorVerbosity(pq->conn, PQERRORS_VERBOSE); /* else a refusal's SQLSTATE cannot be had */
	PQsetNoticeReceiver(pq->conn, pq_on_notice, pq);
	wait_connecting(pq, EV_WRITE);
}

static void on_resolved(struct endpoints *endpoints, void *arg)
{
	struct pq *pq = arg;
	pq->resolve = NULL;
	struct lists lists = lists_of(pq, endpoints);
	pq_enter(pq);
	if (lists.count == 0)
		pq_lost(pq, "08001",
		    endpoints->error[0] != '\0' ? endpoints->error : "the host's name has no address");
	else
		connect_to(pq, &lists);
	pq_leave(pq);
	mem_free(&lists.host);
	mem_free(&lists.hostaddr);
	mem_free(&lists.port);
	endpoints_unref(&endpoints);
}

/* A port that is no number is for libpq to complain of. */
static uint16_t port_number(const char *text)
{
	long port = strtol(text, NULL, 10);
	return port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

static void resolve_names(struct pq *pq, unsigned named)
{
	struct conf_address *addresses = mem_zalloc(named * sizeof(addresses[0]));
	unsigned n = 0;
	for (unsigned i = 0; i < pq->hosts.count; i++) {
		struct pq_host *host = &pq->hosts.at[i];
		if (pq_host_named(host))
			addresses[n++] = (struct conf_address){
			    .text = host->host, .host = host->host, .port = port_number(host->port)};
	}
	pq->state = PQ_RESOLVE;
	if (pq->resolver == NULL)
		log_panic("net/pq: a name to resolve and no resolver");
	pq_enter(pq);
	struct resolve *resolve = resolve_start(pq->resolver, addresses, named, on_resolved, pq);
	if (pq_leave(pq) && pq->state == PQ_RESOLVE)
		pq->resolve = resolve;
	mem_free(&addresses);
}

void pq_begin(struct pq *pq)
{
	char error[256];
	PQconninfoOption *options = pq_dsn_options(pq->dsn, pq->dbname, error, sizeof(error));
	if (options == NULL) {
		pq_lost(pq, "08001", error);
		return;
	}
	pq->hosts = pq_dsn_hosts(options);
	PQconninfoFree(options);

	unsigned named = 0;
	for (unsigned i = 0; i < pq->hosts.count; i++)
		named += pq_host_named(&pq->hosts.at[i]);
	if (named > 0)
		resolve_names(pq, named);
	else
		connect_to(pq, NULL);
}
