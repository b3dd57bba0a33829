#include "net/pq_now.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/pq.h"
#include "net/resolve.h"

#define CONNECT_NS (15 * CLOCK_S)

/* Signals are one per process by nature. libevent lets only one event base at a time have them, and a program
 * may have several connections, so each has an eventfd of its own here. */
#define LISTENERS 64
static volatile int listeners[LISTENERS];
static unsigned listener_count;
static struct sigaction old_int, old_term;

static void on_signal(int number)
{
	const uint64_t one = 1;
	int kept = errno;
	(void)number;
	for (unsigned i = 0; i < LISTENERS; i++) {
		int fd = listeners[i] - 1;
		if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
			continue; /* it is told already */
	}
	errno = kept;
}

static int listen_to_signals(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	unsigned i = 0;
	while (i < LISTENERS && listeners[i] != 0)
		i++;
	if (fd < 0 || i == LISTENERS)
		log_fatal("too many connections at a time, or no descriptor left");
	listeners[i] = fd + 1;
	if (listener_count++ == 0) {
		struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
		sigemptyset(&action.sa_mask);
		sigaction(SIGINT, &action, &old_int);
		sigaction(SIGTERM, &action, &old_term);
	}
	return fd;
}

static void leave_signals(int fd)
{
	for (unsigned i = 0; i < LISTENERS; i++) {
		if (listeners[i] == fd + 1)
			listeners[i] = 0;
	}
	if (--listener_count == 0) {
		sigaction(SIGINT, &old_int, NULL);
		sigaction(SIGTERM, &old_term, NULL);
	}
	close(fd);
}

struct pq_now {
	struct event_base *base;
	struct resolver *resolver;
	struct pq *pq;
	struct event *interrupt;
	int signals; /* eventfd */
	bool open, interrupted, cleaning;
	bool cancelled; /* the statement under way was */

	/* The statements under way: what came for the last of them, or for the first that failed. */
	unsigned waiting, answered;
	bool failed, gave_up;
	unsigned failed_at;
	struct pq_rows *rows;
	struct pq_now_error error;
	char *lost; /* why the link went down after it was open */
	char lost_sqlstate[6];
	void (*noticed)(const char *severity, const char *message, void *arg);
	void *arg;
};

void pq_now_error_free(struct pq_now_error *error)
{
	mem_free(&error->message);
	mem_free(&error->detail);
	mem_free(&error->hint);
	*error = (struct pq_now_error){.position = 0};
}

static char *copy(const char *text)
{
	return text != NULL ? mem_strdup(text) : NULL;
}

static void set_error(struct pq_now *now, const char *sqlstate, const char *message)
{
	pq_now_error_free(&now->error);
	snprintf(now->error.sqlstate, sizeof(now->error.sqlstate), "%s", sqlstate);
	now->error.message = mem_strdup(message);
}

static void move_error(struct pq_now *now, struct pq_now_error *to)
{
	*to = now->error;
	if (to->message == NULL)
		to->message = mem_strdup("");
	now->error = (struct pq_now_error){.position = 0};
}

static void on_opened(struct pq *pq, void *arg)
{
	struct pq_now *now = arg;
	(void)pq;
	now->open = true;
	event_base_loopbreak(now->base);
}

/* What waits has been answered by net/pq with 08006 and the same words. */
static void on_closed(struct pq *pq, const char *sqlstate, const char *message, void *arg)
{
	struct pq_now *now = arg;
	(void)pq;
	if (!now->open) {
		set_error(now, sqlstate, message);
	} else {
		mem_free(&now->lost);
		now->lost = mem_strdup(message);
		strncpy(now->lost_sqlstate, sqlstate, sizeof(now->lost_sqlstate) - 1);
	}
	event_base_loopbreak(now->base);
}

static void on_noticed(struct pq *pq, const char *severity, const char *message, void *arg)
{
	struct pq_now *now = arg;
	(void)pq;
	if (now->noticed != NULL)
		now->noticed(severity, message, now->arg);
}

static void on_interrupt(evutil_socket_t fd, short what, void *arg)
{
	struct pq_now *now = arg;
	uint64_t count;
	(void)what;
	if (read((int)fd, &count, sizeof(count)) < 0)
		return;
	now->interrupted = true;
	if (now->cleaning)
		return;
	if (!now->open || (now->waiting > 0 && now->cancelled)) {
		/* Nobody answers: it need not be waited for. */
		now->gave_up = true;
		event_base_loopbreak(now->base);
	} else if (now->waiting > 0) {
		now->cancelled = true;
		pq_cancel(now->pq);
	}
}

struct pq_now *pq_now_open(const struct pq_now_request *request, struct pq_now_error *error)
{
	struct pq_now *now = mem_zalloc(sizeof(*now));
	now->noticed = request->noticed;
	now->arg = request->arg;
	now->base = event_base_new();
	now->signals = listen_to_signals();
	now->interrupt = now->base != NULL
	    ? event_new(now->base, now->signals, EV_READ | EV_PERSIST, on_interrupt, now)
	    : NULL;
	if (now->interrupt == NULL || event_add(now->interrupt, NULL) != 0)
		log_fatal("no event loop");
	now->resolver = resolver_new(now->base);
	now->pq = pq_open(&(struct pq_request){
	    .base = now->base,
	    .resolver = now->resolver,
	    .dsn = request->dsn,
	    .dbname = request->dbname,
	    .application_name = request->application,
	    .connect_ns = request->connect_ns > 0 ? request->connect_ns : CONNECT_NS,
	    .handlers = {.opened = on_opened, .closed = on_closed, .noticed = on_noticed},
	    .arg = now,
	});
	event_base_dispatch(now->base);
	if (now->open)
		return now;
	if (now->gave_up)
		set_error(now, "57014", "interrupted while connecting");
	move_error(now, error);
	pq_now_close(&now);
	return NULL;
}

void pq_now_close(struct pq_now **at)
{
	struct pq_now *now = *at;
	*at = NULL;
	if (now == NULL)
		return;
	pq_close(&now->pq);
	resolver_free(&now->resolver);
	event_free(now->interrupt);
	leave_signals(now->signals);
	event_base_free(now->base);
	pq_now_error_free(&now->error);
	mem_free(&now->lost);
	mem_free(&now);
}

static void keep_rows(struct pq_rows *rows, const struct pq_result *result)
{
	rows->ok = true;
	rows->rows = (unsigned)result->rows;
	rows->columns = (unsigned)result->columns;
	rows->status = copy(result->command_status);
	rows->names = mem_zalloc((rows->columns + 1) * sizeof(char *));
	rows->cells = mem_zalloc(((size_t)rows->rows * rows->columns + 1) * sizeof(char *));
	for (unsigned column = 0; column < rows->columns; column++)
		rows->names[column] = copy(pq_column(result, (int)column));
	for (unsigned row = 0; row < rows->rows; row++) {
		for (unsigned column = 0; column < rows->columns; column++)
			rows->cells[(size_t)row * rows->columns + column] =
			    copy(pq_value(result, (int)row, (int)column));
	}
}

static void on_answer(const struct pq_result *result, void *arg)
{
	struct pq_now *now = arg;
	unsigned place = now->answered++;
	if (!result->ok && !now->failed) {
		now->failed = true;
		now->failed_at = place;
		set_error(now, result->sqlstate, result->message);
		now->error.detail = copy(result->detail);
		now->error.hint = copy(result->hint);
		now->error.position = result->position;
	}
	if (result->ok && now->rows != NULL)
		keep_rows(now->rows, result);
	if (--now->waiting == 0)
		event_base_loopbreak(now->base);
}

/* What came between two statements: an interruption, the link's end. */
static void look(struct pq_now *now)
{
	event_base_loop(now->base, EVLOOP_NONBLOCK);
}

static bool refuses(struct pq_now *now)
{
	look(now);
	if (now->interrupted && !now->cleaning)
		set_error(now, "57014", "interrupted");
	else if (now->gave_up)
		set_error(now, "08006", "the connection was given up");
	else if (now->lost != NULL)
		set_error(now, now->lost_sqlstate, now->lost);
	else
		return false;
	return true;
}

static void wait_for(struct pq_now *now)
{
	while (now->waiting > 0 && !now->gave_up)
		event_base_dispatch(now->base);
	if (now->waiting == 0)
		return;
	pq_close(&now->pq);
	now->waiting = 0;
	now->failed = true;
	set_error(now, "57014", "interrupted; the server did not answer the request to cancel");
}

static bool send_all(struct pq_now *now, const char *const *sql, unsigned count, const char *const *values,
    unsigned value_count)
{
	now->answered = 0;
	now->failed = now->cancelled = false;
	now->failed_at = 0;
	pq_now_error_free(&now->error);
	if (refuses(now))
		return false;
	now->waiting = count;
	for (unsigned i = 0; i < count; i++)
		pq_query(now->pq, sql[i], values, (int)value_count, on_answer, now);
	wait_for(now);
	return !now->failed;
}

bool pq_now_ask(
    struct pq_now *now, const char *sql, const char *const *values, unsigned count, struct pq_rows *out)
{
	*out = (struct pq_rows){.ok = false};
	now->rows = out;
	bool ok = send_all(now, &sql, 1, values, count);
	now->rows = NULL;
	if (!ok)
		move_error(now, &out->error);
	return ok;
}

bool pq_now_do(struct pq_now *now, const char *sql, const char *const *values, unsigned count,
    struct pq_now_error *error)
{
	*error = (struct pq_now_error){.position = 0};
	bool ok = send_all(now, &sql, 1, values, count);
	if (!ok)
		move_error(now, error);
	return ok;
}

bool pq_now_all(
    struct pq_now *now, const char *const *sql, unsigned count, struct pq_now_error *error, unsigned *failed)
{
	*error = (struct pq_now_error){.position = 0};
	bool ok = count == 0 || send_all(now, sql, count, NULL, 0);
	*failed = now->failed_at;
	if (!ok)
		move_error(now, error);
	return ok;
}

const char *pq_rows_at(const struct pq_rows *rows, unsigned row, unsigned column)
{
	if (row >= rows->rows || column >= rows->columns)
		return NULL;
	return rows->cells[(size_t)row * rows->columns + column];
}

void pq_rows_free(struct pq_rows *rows)
{
	for (size_t i = 0; rows->cells != NULL && i < (size_t)rows->rows * rows->columns; i++)
		mem_free(&rows->cells[i]);
	for (unsigned i = 0; rows->names != NULL && i < rows->columns; i++)
		mem_free(&rows->names[i]);
	mem_free(&rows->cells);
	mem_free(&rows->names);
	mem_free(&rows->status);
	pq_now_error_free(&rows->error);
	*rows = (struct pq_rows){.ok = false};
}

bool pq_now_interrupted(struct pq_now *now)
{
	look(now);
	return now->interrupted;
}

void pq_now_clean_up(struct pq_now *now)
{
	now->cleaning = true;
}

int pq_now_server_version(const struct pq_now *now)
{
	return now->pq != NULL ? pq_server_version(now->pq) : 0;
}

int32_t pq_now_backend(const struct pq_now *now)
{
	return now->pq != NULL ? pq_backend_pid(now->pq) : 0;
}
