/* The keeper of one gate, between a control link and two workers that the test plays itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ctl/keepers.h"

#define WORKERS 2

/* What the keeper did to the rooms below, and how to speak to it as they do. */
static struct {
	struct event_base *base;
	struct resolver *resolver;
	struct conf *conf;
	struct keepers *keepers;
	struct worker *workers[WORKERS]; /* told apart by their addresses; never looked into */
	char worker_memory[WORKERS];
	struct service *service; /* last published */
	unsigned published, refused;
	char refused_name[64];
	unsigned pressed;
	enum conf_on_timeout pressed_how;
	struct client_row row; /* the client that SHOW CLIENTS would show */
	unsigned rows;
	struct link_request link;
	char link_dbname[64];
	unsigned links, links_stopped;
	int64_t acknowledged;
	unsigned acknowledged_pids, acknowledgements;
	struct hold_news news;
	char why[300], detail[900];
	unsigned held, ended;
} stage;

void worker_publish(struct worker *worker, struct service *service)
{
	if (worker != stage.workers[0])
		return;
	service_unref(&stage.service);
	stage.service = service_ref(service);
	stage.published++;
}

void worker_refuse(struct worker *worker, const char *database)
{
	(void)worker;
	snprintf(stage.refused_name, sizeof stage.refused_name, "%s", database);
	stage.refused++;
}

void worker_press(struct worker *worker, unsigned service_id, enum conf_on_timeout how)
{
	(void)worker;
	assert_int_equal(service_id, stage.service->id);
	stage.pressed_how = how;
	stage.pressed++;
}

struct question {
	worker_snapshot_done *done;
	struct worker *worker;
	void *arg;
};

static void answer_snapshot(evutil_socket_t fd, short what, void *arg)
{
	struct question *question = arg;
	(void)fd;
	(void)what;
	question->done(question->worker, &stage.row, question->worker == stage.workers[0] ? stage.rows : 0,
	    question->arg);
	mem_free(&question);
}

void worker_snapshot(struct worker *worker, worker_snapshot_done *done, void *arg)
{
	struct question *question = mem_zalloc(sizeof *question);
	struct timeval now = {0, 1};
	*question = (struct question){.done = done, .worker = worker, .arg = arg};
	event_base_once(stage.base, -1, EV_TIMEOUT, answer_snapshot, question, &now);
}

struct link *link_start(const struct link_request *request, char *error, unsigned error_size)
{
	(void)error;
	(void)error_size;
	stage.link = *request;
	snprintf(stage.link_dbname, sizeof stage.link_dbname, "%s", request->dbname);
	stage.links++;
	return (struct link *)&stage.link;
}

void link_stop(struct link **link)
{
	stage.links_stopped++;
	*link = NULL;
}

void link_acknowledge(struct link *link, int64_t run_id, const int32_t *pids, unsigned pid_count)
{
	(void)link;
	(void)pids;
	stage.acknowledged = run_id;
	stage.acknowledged_pids = pid_count;
	stage.acknowledgements++;
}

void link_runs(struct link *link, unsigned limit, link_runs_done *done, void *arg)
{
	(void)link;
	(void)limit;
	done(NULL, 0, LINK_RUNS_COLUMNS, NULL, arg);
}

bool link_check(const struct conf_database *section, char *error, unsigned error_size)
{
	(void)section;
	(void)error;
	(void)error_size;
	return true;
}

static void on_hold_news(const struct hold_news *news, void *arg)
{
	(void)arg;
	stage.news = *news;
	snprintf(stage.why, sizeof stage.why, "%s", news->why ? news->why : "");
	snprintf(stage.detail, sizeof stage.detail, "%s", news->detail ? news->detail : "");
	stage.held += !news->ended;
	stage.ended += news->ended;
}

static struct conf *parsed(const char *more)
{
	struct conf_errors errors = {0};
	char text[2000];
	snprintf(text, sizeof text,
	    "listen: {address: \"127.0.0.1:6432\"}\n"
	    "databases:\n"
	    "  shop:\n"
	    "    upstream: {address: \"127.0.0.1:5432\", tls: {mode: disable}}\n"
	    "    control: {dsn: \"host=127.0.0.1\"}\n"
	    "    recorded: {reader: alembic}\n"
	    "%s",
	    more);
	struct conf *conf = conf_parse("test.yaml", text, strlen(text), &errors);
	if (!conf)
		fail_msg("%s", errors.lines[0]);
	return conf;
}

static void apply(const char *more)
{
	struct conf_errors errors = {0};
	struct conf *conf = parsed(more);
	struct keepers_plan *plan = keepers_plan_new(conf, &errors);
	if (!plan)
		fail_msg("%s", errors.lines[0]);
	keepers_apply(stage.keepers, plan);
	keepers_plan_free(&plan);
	conf_unref(&conf);
}

#define SHORT_DRAIN "    drain: {timeout: 50ms, on_timeout: abort}\n"

static void set_up(const char *more)
{
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, LOG_TARGET_STDERR);
	memset(&stage, 0, sizeof stage);
	stage.base = event_base_new();
	stage.resolver = resolver_new(stage.base);
	for (unsigned i = 0; i < WORKERS; i++)
		stage.workers[i] = (struct worker *)&stage.worker_memory[i];
	stage.keepers = keepers_new(&(struct keepers_request){.base = stage.base,
	    .resolver = stage.resolver,
	    .workers = stage.workers,
	    .worker_count = WORKERS,
	    .proxy_id = "id",
	    .proxy_name = "name",
	    .hold_news = on_hold_news});
	apply(more);
}

static void turn(void)
{
	event_base_loop(stage.base, EVLOOP_NONBLOCK);
}

static void clear_down(void)
{
	turn();
	keepers_free(&stage.keepers, false);
	turn();
	service_unref(&stage.service);
	resolver_free(&stage.resolver);
	event_base_free(stage.base);
}

/* Runs the loop until the counter is there. */
static void until(const unsigned *counter, unsigned value)
{
	int64_t deadline = clock_now() + 20 * CLOCK_S;
	while (*counter < value) {
		if (clock_now() > deadline)
			fail_msg("still %u, not %u", *counter, value);
		event_base_loop(stage.base, EVLOOP_ONCE);
	}
	assert_int_equal(*counter, value);
}

/* The link has read. run: 0 none. */
static void read_head(const char *head, int64_t run, bool holding)
{
	const char *why;
	struct link_news news = {.fresh = true, .connected = true, .registered = true};
	atomic_store(&stage.link.lease->deadline_ns, clock_now() + 60 * CLOCK_S);
	assert_true(heads_parse(head, strlen(head), &news.recorded.heads, &why));
	news.recorded.state = RECORDED_CLEAN;
	news.run.id = run;
	news.run.holding = holding;
	stage.link.news(&news, stage.link.arg);
	heads_free(&news.recorded.heads);
}

static struct keeper *shop(void)
{
	return keepers_find(stage.keepers, "shop");
}

static void drained(unsigned worker, unsigned pid_count, unsigned logins)
{
	static const int32_t pids[] = {11, 12, 13, 14};
	keepers_drained(stage.keepers, worker, stage.service->id, stage.service->view->serial, pids + worker,
	    pid_count, logins);
}

static bool hold(struct hold_order order)
{
	char error[300];
	order.id = order.id ? order.id : 1;
	order.owner = "ops";
	order.reason = "";
	order.drain_ns = order.drain_ns ? order.drain_ns : -1;
	order.max_ns = order.max_ns ? order.max_ns : -1;
	return keeper_hold(shop(), &order, error, sizeof error);
}

static const char *gate(void)
{
	struct keeper_status status;
	keeper_status(shop(), &status);
	return status.gate;
}

static void test_readings_open_the_gate(void **state)
{
	(void)state;
	set_up("");
	assert_int_equal(stage.published, 1);
	assert_false(stage.service->view->fresh);
	assert_string_equal(gate(), "draining");
	assert_string_equal(stage.link_dbname, "shop");
	read_head("a1", 0, false);
	assert_true(stage.service->view->fresh);
	assert_string_equal(stage.service->view->recorded.heads.text, "a1");
	assert_string_equal(gate(), "open");
	stage.link.news(
	    &(struct link_news){.recorded = {.state = RECORDED_CLEAN}, .trouble = "cut off"}, stage.link.arg);
	assert_false(stage.service->view->fresh);
	clear_down();
}

static void test_hold_is_answered_when_all_are_parked(void **state)
{
	(void)state;
	set_up("");
	read_head("a1", 0, false);
	assert_true(hold((struct hold_order){.id = 7}));
	assert_int_equal(stage.service->view->hold.id, 7);
	assert_false(hold((struct hold_order){.id = 8}));
	drained(0, 1, 0);
	turn();
	assert_int_equal(stage.held, 0);
	assert_string_equal(gate(), "draining");
	drained(1, 2, 0);
	until(&stage.held, 1);
	assert_int_equal(stage.news.id, 7);
	assert_string_equal(gate(), "holding");
	assert_true(keeper_release(shop(), "enough"));
	assert_false(keeper_release(shop(), "enough"));
	assert_int_equal(stage.ended, 1);
	assert_string_equal(stage.why, "enough");
	assert_int_equal(stage.service->view->hold.id, 0);
	assert_string_equal(gate(), "open");
	clear_down();
}

/* Clients that are parked already (here: no reading yet) need not be parked again, and the answer is not
 * given inside the question. */
static void test_hold_when_all_are_parked_already(void **state)
{
	(void)state;
	set_up("");
	drained(0, 0, 0);
	drained(1, 0, 0);
	assert_true(hold((struct hold_order){.id = 7}));
	assert_int_equal(stage.held, 0);
	until(&stage.held, 1);
	read_head("a1", 0, false);
	assert_string_equal(gate(), "holding");
	clear_down();
}

static void test_drain_time_out_aborts_and_names_who(void **state)
{
	(void)state;
	set_up(SHORT_DRAIN);
	read_head("a1", 0, false);
	stage.rows = 1;
	stage.row = (struct client_row){.session = 42,
	    .database = "shop",
	    .user = "app",
	    .application = "batch",
	    .address = "10.0.0.7:5123",
	    .state = "busy",
	    .in_transaction = true};
	hold((struct hold_order){.id = 1});
	drained(0, 0, 0);
	until(&stage.ended, 1);
	assert_int_equal(stage.held, 0);
	assert_string_equal(stage.news.sqlstate, "55P03");
	assert_non_null(strstr(stage.why, "1 client still"));
	assert_non_null(strstr(stage.detail, "session 42 of app"));
	assert_int_equal(stage.pressed, 0);
	assert_string_equal(gate(), "open");
	clear_down();
}

static void test_drain_time_out_presses_once_then_aborts(void **state)
{
	(void)state;
	set_up(SHORT_DRAIN);
	read_head("a1", 0, false);
	hold((struct hold_order){.id = 1, .on_timeout_given = true, .on_timeout = TIMEOUT_CANCEL});
	until(&stage.pressed, WORKERS);
	assert_int_equal(stage.pressed_how, TIMEOUT_CANCEL);
	assert_int_equal(stage.ended, 0);
	until(&stage.ended, 1);
	assert_int_equal(stage.pressed, WORKERS);
	assert_int_equal(stage.held, 0);
	clear_down();
}

/* Who logs in has sent no statement: it is waited for, but the hold does not fail for it. */
static void test_logins_do_not_keep_a_hold(void **state)
{
	(void)state;
	set_up(SHORT_DRAIN);
	read_head("a1", 0, false);
	hold((struct hold_order){.id = 1});
	drained(0, 0, 1);
	drained(1, 0, 0);
	turn();
	assert_int_equal(stage.held, 0);
	until(&stage.held, 1);
	assert_true(stage.news.ns >= 50 * CLOCK_MS);
	assert_int_equal(stage.ended, 0);
	clear_down();
}

static void test_hold_ends_by_its_budget(void **state)
{
	(void)state;
	set_up("");
	read_head("a1", 0, false);
	hold((struct hold_order){.id = 1, .max_ns = 30 * CLOCK_MS});
	assert_true(stage.service->view->hold_max_ns >= 30 * CLOCK_S);
	drained(0, 0, 0);
	drained(1, 0, 0);
	until(&stage.held, 1);
	until(&stage.ended, 1);
	assert_non_null(strstr(stage.why, "is up"));
	assert_string_equal(gate(), "open");
	/* a longer hold than hold.max gives its clients a longer budget: time, never an error */
	hold((struct hold_order){.id = 2, .max_ns = 90 * CLOCK_S});
	assert_true(stage.service->view->hold_max_ns > 90 * CLOCK_S);
	clear_down();
}

static void test_run_is_acknowledged_when_drained(void **state)
{
	(void)state;
	set_up("");
	read_head("a1", 0, false);
	read_head("a1", 5, true);
	drained(0, 1, 0);
	assert_int_equal(stage.acknowledgements, 0);
	drained(1, 2, 0);
	assert_int_equal(stage.acknowledged, 5);
	assert_int_equal(stage.acknowledged_pids, 3);
	read_head("a1", 5, true);
	assert_int_equal(stage.acknowledgements, 1);
	drained(0, 3, 0);
	assert_int_equal(stage.acknowledgements, 2);
	/* the next run is another: what was parked for the first says nothing after it was let go */
	read_head("b2", 0, false);
	assert_string_equal(gate(), "open");
	uint64_t old = stage.service->view->serial - 1;
	read_head("b2", 6, true);
	keepers_drained(stage.keepers, 0, stage.service->id, old, NULL, 0, 0);
	keepers_drained(stage.keepers, 1, stage.service->id, old, NULL, 0, 0);
	assert_int_equal(stage.acknowledgements, 2);
	drained(0, 1, 0);
	drained(1, 1, 0);
	assert_int_equal(stage.acknowledged, 6);
	clear_down();
}

static void test_run_waits_for_logins_half_a_drain(void **state)
{
	(void)state;
	set_up(SHORT_DRAIN);
	read_head("a1", 0, false);
	read_head("a1", 5, true);
	drained(0, 0, 1);
	drained(1, 0, 0);
	assert_int_equal(stage.acknowledgements, 0);
	until(&stage.acknowledgements, 1);
	clear_down();
}

static void test_observe_holds_nobody(void **state)
{
	(void)state;
	set_up("    mode: observe\n");
	read_head("a1", 0, false);
	assert_false(hold((struct hold_order){.id = 1}));
	read_head("a1", 5, true);
	drained(0, 0, 0);
	drained(1, 0, 0);
	assert_int_equal(stage.acknowledgements, 0);
	assert_string_equal(gate(), "open");
	clear_down();
}

static void test_reload(void **state)
{
	(void)state;
	set_up("");
	read_head("a1", 0, false);
	hold((struct hold_order){.id = 1});
	unsigned id = stage.service->id;
	/* settings of the gate: the link, its reading and the hold stay */
	apply("    on_failed: hold\n    hold: {max: 20s}\n");
	assert_int_equal(stage.links, 1);
	assert_true(stage.service->view->fresh);
	assert_int_equal(stage.service->view->hold.id, 1);
	assert_int_equal(stage.service->id, id);
	/* another database to read: nothing is known until it has been read */
	apply("    lease: 9s\n");
	assert_int_equal(stage.links, 2);
	assert_int_equal(stage.links_stopped, 1);
	assert_false(stage.service->view->fresh);
	assert_int_equal(lease_deadline(stage.service->lease), 0);
	clear_down();
}

static const char any[] = "  \"*\":\n"
			  "    upstream: {address: \"127.0.0.1:5432\", tls: {mode: disable}}\n"
			  "    control: {dsn: \"host=127.0.0.1\", max_databases: 2}\n"
			  "    recorded: {reader: alembic}\n";

static void test_on_demand(void **state)
{
	(void)state;
	set_up(any);
	keepers_wanted(stage.keepers, stage.workers[0], "blog");
	assert_int_equal(keepers_count(stage.keepers), 2);
	assert_string_equal(stage.link_dbname, "blog");
	assert_string_equal(stage.service->name, "blog");
	keepers_wanted(stage.keepers, stage.workers[0], "blog");
	assert_int_equal(keepers_count(stage.keepers), 2);
	assert_int_equal(stage.refused, 0);
	/* the server says that there is no such database */
	keepers_wanted(stage.keepers, stage.workers[0], "typo");
	stage.link.news(&(struct link_news){.recorded = {.state = RECORDED_UNREADABLE},
			    .trouble = "no such database",
			    .trouble_sqlstate = "3D000"},
	    stage.link.arg);
	until(&stage.refused, WORKERS);
	assert_string_equal(stage.refused_name, "typo");
	assert_null(keepers_find(stage.keepers, "typo"));
	/* and is not asked again at once */
	unsigned links = stage.links;
	keepers_wanted(stage.keepers, stage.workers[0], "typo");
	assert_int_equal(stage.links, links);
	assert_int_equal(stage.refused, WORKERS + 1);
	/* the bound: those that hold their clients are not given up for another */
	keepers_wanted(stage.keepers, stage.workers[0], "second");
	assert_int_equal(keepers_count(stage.keepers), 3);
	keepers_wanted(stage.keepers, stage.workers[0], "third");
	assert_int_equal(keepers_count(stage.keepers), 3);
	assert_string_equal(stage.refused_name, "third");
	/* "second" was read and is open, without clients: it makes place */
	read_head("a1", 0, false);
	keepers_wanted(stage.keepers, stage.workers[0], "third");
	assert_int_equal(keepers_count(stage.keepers), 3);
	assert_null(keepers_find(stage.keepers, "second"));
	assert_non_null(keepers_find(stage.keepers, "third"));
	/* without "*" they go */
	apply("");
	assert_int_equal(keepers_count(stage.keepers), 1);
	keepers_wanted(stage.keepers, stage.workers[0], "blog");
	assert_string_equal(stage.refused_name, "blog");
	char longer[80];
	memset(longer, 'x', 64);
	longer[64] = '\0';
	apply(any);
	keepers_wanted(stage.keepers, stage.workers[0], longer);
	assert_int_equal(keepers_count(stage.keepers), 1);
	clear_down();
}

/* A hold of everything holds what appears while it lasts. */
static void test_hold_of_all_is_inherited(void **state)
{
	(void)state;
	set_up(any);
	read_head("a1", 0, false);
	hold((struct hold_order){.id = 3, .all = true});
	keepers_wanted(stage.keepers, stage.workers[0], "blog");
	assert_string_equal(stage.service->name, "blog");
	assert_int_equal(stage.service->view->hold.id, 3);
	assert_int_equal(keepers_release(stage.keepers, 3, "over"), 2);
	clear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_readings_open_the_gate),
	    cmocka_unit_test(test_hold_is_answered_when_all_are_parked),
	    cmocka_unit_test(test_hold_when_all_are_parked_already),
	    cmocka_unit_test(test_drain_time_out_aborts_and_names_who),
	    cmocka_unit_test(test_drain_time_out_presses_once_then_aborts),
	    cmocka_unit_test(test_logins_do_not_keep_a_hold),
	    cmocka_unit_test(test_hold_ends_by_its_budget),
	    cmocka_unit_test(test_run_is_acknowledged_when_drained),
	    cmocka_unit_test(test_run_waits_for_logins_half_a_drain),
	    cmocka_unit_test(test_observe_holds_nobody),
	    cmocka_unit_test(test_reload),
	    cmocka_unit_test(test_on_demand),
	    cmocka_unit_test(test_hold_of_all_is_inherited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
