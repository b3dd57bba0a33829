#include "schema/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/util.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "link_private.h"

#define BACKOFF_FIRST_NS (100 * CLOCK_MS)
#define BACKOFF_LAST_NS  (5 * CLOCK_S)

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t link_interval_ns(const struct link *link)
{
	return least(link->section->lease_ns / 5, CLOCK_S);
}

void link_timer(struct link *link, int64_t span_ns)
{
	const struct timeval tv = clock_timeval(span_ns);
	event_add(link->timer, &tv);
}

/* Half of it at least, so that a crowd of proxies does not come back as one. */
static int64_t jittered(int64_t span_ns)
{
	uint32_t random;
	evutil_secure_rng_get_bytes(&random, sizeof(random));
	return span_ns / 2 + (int64_t)((double)(span_ns / 2) * ((double)random / (double)UINT32_MAX));
}

void link_lost(struct link *link, const char *sqlstate, const char *why)
{
	char code[6], *trouble = mem_strdup(why);
	snprintf(code, sizeof(code), "%s", sqlstate);

	pq_close(&link->pq);
	link->state = LINK_DOWN;
	link->listening = link->ledger = link->renewed = false;
	link_round_reset(&link->round);
	link_graph_forget(link);
	link->backoff_ns =
	    link->backoff_ns == 0 ? BACKOFF_FIRST_NS : least(2 * link->backoff_ns, BACKOFF_LAST_NS);
	link_timer(link, jittered(link->backoff_ns));
	link_set_flag(link, &link->picture.news.connected, false);
	link_set_trouble(link, code, trouble);
	mem_free(&trouble);
	/* Those whose connection went without an answer; pq answers the others itself. */
	while (link->asks != NULL) {
		struct link_ask *ask = link->asks;
		link->asks = ask->next;
		ask->done(NULL, 0, LINK_RUNS_COLUMNS, "the control link was lost", ask->arg);
		mem_free(&ask);
	}
	if (!link_tell(link, !link->picture.told))
		return;
}

static void on_opened(struct pq *pq, void *arg)
{
	struct link *link = arg;
	char statement_ms[24], lock_ms[24];
	/* A renewal that takes longer is worth nothing, and one that waits for a lock must leave time for the
	 * next. */
	int64_t statement_ns = link->section->lease_ns / 2;
	int64_t lock_ns = most(50 * CLOCK_MS, least(link->section->lease_ns / 25, 500 * CLOCK_MS));
	snprintf(statement_ms, sizeof(statement_ms), "%" PRId64, statement_ns / CLOCK_MS);
	snprintf(lock_ms, sizeof(lock_ms), "%" PRId64, lock_ns / CLOCK_MS);
	const char *const values[] = {statement_ms, lock_ms};
	/* synchronous_commit: a registration must survive a crash of the server, and must not wait for a
	 * standby that is away. */
	pq_query(pq,
	    "SELECT pg_catalog.set_config('statement_timeout', $1, false), "
	    "pg_catalog.set_config('lock_timeout', $2, false), "
	    "pg_catalog.set_config('synchronous_commit', 'local', false)",
	    values, 2, NULL, NULL);
	link->state = LINK_UP;
	link_round_begin(link);
}

static void on_closed(struct pq *pq, const char *sqlstate, const char *message, void *arg)
{
	(void)pq;
	link_lost(arg, sqlstate, message);
}

static void on_notified(struct pq *pq, const char *channel, const char *payload, int32_t pid, void *arg)
{
	struct link *link = arg;
	(void)pq, (void)pid;
	if (strcmp(channel, LEDGER_CHANNEL) != 0)
		return;
	log_debug(link->object, "nudge: %s", payload);
	if (link->state == LINK_UP)
		link_round_ask(link);
}

static void on_noticed(struct pq *pq, const char *severity, const char *message, void *arg)
{
	const struct link *link = arg;
	(void)pq;
	log_debug(link->object, "server says %s: %s", severity, message);
}

static void open_link(struct link *link)
{
	link->state = LINK_OPENING;
	link->pq = pq_open(&(struct pq_request){
	    .base = link->base,
	    .resolver = link->resolver,
	    .dsn = link->section->control.dsn,
	    .dbname = link->dbname,
	    .application_name = "headgate",
	    .connect_ns = most(CLOCK_S, least(link->section->lease_ns, 10 * CLOCK_S)),
	    .handlers =
		{.opened = on_opened, .closed = on_closed, .notified = on_notified, .noticed = on_noticed},
	    .arg = link,
	});
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;
	(void)fd, (void)what;
	switch (link->state) {
	case LINK_DOWN:
		open_link(link);
		break;
	case LINK_OPENING:
		break;
	case LINK_UP:
		if (link->round.active)
			link_lost(link, "08006", "the server did not answer within the lease");
		else
			link_round_begin(link);
		break;
	}
}

static void on_expiry(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;
	(void)fd, (void)what;
	int64_t left_ns = lease_deadline(link->lease) - clock_now();
	if (left_ns > 0) {
		const struct timeval tv = clock_timeval(left_ns);
		event_add(link->expiry, &tv);
		return;
	}
	log_warning(link->object, "the lease has run out");
	if (link->picture.trouble == NULL)
		link_set_trouble(link, "08006", "the server has not answered for a lease");
	link_set_flag(link, &link->picture.news.fresh, false);
	if (!link_tell(link, false))
		return;
}

bool link_check(const struct conf_database *section, char *error, unsigned error_size)
{
	const char *wrong;
	if (!reader_check(&section->recorded, error, error_size))
		return false;
	if ((wrong = pq_dsn_error(section->control.dsn)) != NULL) {
		snprintf(error, error_size, "control.dsn: %s", wrong);
		return false;
	}
	if (section->control.run_dsn != NULL && (wrong = pq_dsn_error(section->control.run_dsn)) != NULL) {
		snprintf(error, error_size, "control.run_dsn: %s", wrong);
		return false;
	}
	return true;
}

struct link *link_start(const struct link_request *request, char *error, unsigned error_size)
{
	if (!link_check(request->section, error, error_size))
		return NULL;
	struct link *link = mem_zalloc(sizeof(*link));
	link->base = request->base;
	link->resolver = request->resolver;
	link->section = request->section;
	link->dbname = request->dbname != NULL ? mem_strdup(request->dbname) : NULL;
	link->proxy_id = mem_strdup(request->proxy_id);
	link->proxy_name = mem_strdup(request->proxy_name);
	link->object = mem_printf("%s link", request->name);
	link->reader_sql = reader_sql(&request->section->recorded);
	link->lease = lease_ref(request->lease);
	link->news = request->news;
	link->arg = request->arg;
	link->timer = evtimer_new(link->base, on_timer, link);
	link->expiry = evtimer_new(link->base, on_expiry, link);
	if (link->timer == NULL || link->expiry == NULL)
		log_panic("schema/link: no event");
	open_link(link);
	return link;
}

void link_acknowledge(struct link *link, int64_t run_id, const int32_t *pids, unsigned pid_count)
{
	size_t size = 3 + (size_t)pid_count * 12, n = 0;
	char *text = mem_alloc(size);
	text[n++] = '{';
	for (unsigned i = 0; i < pid_count; i++)
		n += (size_t)snprintf(text + n, size - n, i > 0 ? ",%" PRId32 : "%" PRId32, pids[i]);
	text[n++] = '}';
	text[n] = '\0';
	mem_free(&link->acked_pids);
	link->acked_pids = text;
	link->acked_run = run_id;
	link_renew(link);
}

void link_renew(struct link *link)
{
	if (link->state == LINK_UP)
		link_round_ask(link);
	else if (link->state == LINK_DOWN)
		link_timer(link, 0);
}

void link_stop(struct link **at)
{
	struct link *link = *at;
	if (link != NULL && link->state == LINK_UP && link->ledger) {
		const char *const values[] = {link->proxy_id};
		pq_query(link->pq, "SELECT headgate.leave($1)", values, 1, NULL, NULL);
	}
	link_detach(at);
}

void link_detach(struct link **at)
{
	struct link *link = *at;
	*at = NULL;
	if (link == NULL)
		return;
	pq_close(&link->pq);
	event_free(link->timer);
	event_free(link->expiry);
	link_round_reset(&link->round);
	link_graph_forget(link);
	while (link->asks != NULL) {
		struct link_ask *ask = link->asks;
		link->asks = ask->next;
		mem_free(&ask);
	}
	lease_unref(&link->lease);
	mem_free(&link->dbname);
	mem_free(&link->proxy_id);
	mem_free(&link->proxy_name);
	mem_free(&link->object);
	mem_free(&link->reader_sql);
	mem_free(&link->acked_pids);
	link->dead = true;
	if (link->telling)
		return; /* link_tell() ends it, when nobody reads the news any more */
	link_picture_free(&link->picture);
	mem_free(&link);
}

const char *const link_runs_names[LINK_RUNS_COLUMNS] = {
    "run_id", "state", "who", "reason", "from", "to", "started_at", "ended_at", "outcome"};

static void ask_end(struct link_ask *ask)
{
	for (struct link_ask **at = &ask->link->asks; *at != NULL; at = &(*at)->next) {
		if (*at == ask) {
			*at = ask->next;
			break;
		}
	}
	mem_free(&ask);
}

static void on_runs(const struct pq_result *result, void *arg)
{
	struct link_ask *ask = arg;
	link_runs_done *done = ask->done;
	void *done_arg = ask->arg;
	ask_end(ask);
	if (!result->ok || result->columns != LINK_RUNS_COLUMNS) {
		done(NULL, 0, LINK_RUNS_COLUMNS,
		    result->ok ? "an answer that is none of our ledger's" : result->message, done_arg);
		return;
	}
	unsigned rows = (unsigned)result->rows;
	const char **cells = mem_alloc((size_t)(rows + 1) * LINK_RUNS_COLUMNS * sizeof(cells[0]));
	for (unsigned i = 0; i < rows * LINK_RUNS_COLUMNS; i++)
		cells[i] = pq_value(result, (int)(i / LINK_RUNS_COLUMNS), (int)(i % LINK_RUNS_COLUMNS));
	done(cells, rows, LINK_RUNS_COLUMNS, NULL, done_arg);
	mem_free(&cells);
}

static void on_runs_down(evutil_socket_t fd, short what, void *arg)
{
	struct link_ask *ask = arg;
	(void)fd, (void)what;
	ask->done(NULL, 0, LINK_RUNS_COLUMNS, "the control link is down", ask->arg);
	mem_free(&ask);
}

void link_runs(struct link *link, unsigned limit, link_runs_done *done, void *arg)
{
	struct link_ask *ask = mem_zalloc(sizeof(*ask));
	*ask = (struct link_ask){.link = link, .done = done, .arg = arg};
	if (link->state != LINK_UP) {
		const struct timeval now = {0, 0};
		event_base_once(link->base, -1, EV_TIMEOUT, on_runs_down, ask, &now);
		return;
	}
	char text[16];
	snprintf(text, sizeof(text), "%u", limit);
	const char *const values[] = {text};
	ask->next = link->asks;
	link->asks = ask;
	pq_query(link->pq,
	    "SELECT run_id, state, who, reason, pg_catalog.array_to_string(from_heads, '+'), "
	    "pg_catalog.array_to_string(COALESCE(to_heads, target), '+'), started_at, ended_at, outcome "
	    "FROM headgate.run ORDER BY run_id DESC LIMIT $1::int",
	    values, 1, on_runs, ask);
}
