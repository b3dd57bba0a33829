/* The configuration: wrong files by table, each with the exact text it must be answered with; right ones by
 * value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"

#define LISTEN    "listen: {address: a:1}\n"
#define SHOP      "databases:\n  shop:\n"
#define NEEDED    "    upstream: {address: b:2}\n    control: {dsn: d}\n    recorded: {reader: alembic}\n"
#define DATABASES SHOP NEEDED

static struct conf *parse(const char *text)
{
	struct conf_errors errors = {.count = 0};
	struct conf *conf = conf_parse("/etc/headgate/h.yaml", text, strlen(text), &errors);
	for (unsigned i = 0; i < errors.count; i++)
		print_error("%s\n", errors.lines[i]);
	conf_errors_free(&errors);
	assert_non_null(conf);
	return conf;
}

static void test_defaults(void **state)
{
	(void)state;
	struct conf *conf = parse(LISTEN DATABASES);
	const struct conf_database *shop = conf_database(conf, "shop");
	assert_string_equal(conf->path, "/etc/headgate/h.yaml");
	assert_int_equal(conf->listen_count, 1);
	assert_string_equal(conf->listen[0].address.text, "a:1");
	assert_string_equal(conf->listen[0].address.host, "a");
	assert_int_equal(conf->listen[0].address.port, 1);
	assert_null(conf->listen[0].address.path);
	assert_null(conf->listen[0].head);
	assert_int_equal(conf->listen[0].tls.mode, TLS_DISABLE);
	assert_int_equal(conf->listen[0].unix_mode, 0777);
	assert_int_equal(conf->listen[0].backlog, 1024);
	assert_int_equal(conf->workers, 0);
	assert_false(conf->console.present);
	assert_non_null(shop);
	assert_null(conf_database(conf, "other"));
	assert_int_equal(shop->upstream.tls.mode, TLS_PREFER);
	assert_int_equal(shop->upstream.tls.negotiation, TLS_NEGOTIATE_POSTGRES);
	assert_int_equal(shop->upstream.tls.min_version, TLS_1_2);
	assert_null(shop->upstream.dbname);
	assert_string_equal(shop->control.run_dsn, "d");
	assert_int_equal(shop->control.max_databases, 64);
	assert_null(shop->recorded.schema);
	assert_null(shop->recorded.table);
	assert_int_equal(shop->recorded.order, CONF_ORDER_TOOL);
	assert_int_equal(shop->declare_count, CARRIER_COUNT);
	for (unsigned i = 0; i < CARRIER_COUNT; i++)
		assert_int_equal(shop->declare[i], i);
	assert_false(shop->forward_head);
	assert_int_equal(shop->accept, ACCEPT_COMPATIBLE);
	assert_int_equal(shop->undeclared, CONF_UNDECLARED_REJECT);
	assert_false(shop->ahead_hold);
	assert_false(shop->on_failed_hold);
	assert_false(shop->observe);
	assert_true(shop->disclose);
	assert_true(shop->replication);
	assert_true(shop->lease_ns == 5 * CLOCK_S);
	assert_true(shop->hold.max_ns == 30 * CLOCK_S && shop->hold.clients == 10000);
	assert_true(shop->hold.notice_after_ns == 5 * CLOCK_S);
	assert_true(shop->drain.timeout_ns == 5 * CLOCK_S && shop->drain.attempts == 3);
	assert_true(shop->drain.on_timeout == TIMEOUT_ABORT && shop->drain.pause_ns == CLOCK_S);
	assert_true(shop->fence.terminate_strangers);
	assert_int_equal(shop->fence.exempt_count, 0);
	assert_int_equal(shop->release.ramp, 2000);
	assert_true(shop->migrations.lock_timeout_ns == 2 * CLOCK_S);
	assert_true(
	    conf->limits.clients == 10000 && conf->limits.per_database == 0 && conf->limits.per_user == 0);
	assert_true(conf->limits.cancels == 100 && conf->limits.login_ns == 60 * CLOCK_S);
	assert_true(conf->limits.tls_handshake_ns == 10 * CLOCK_S && conf->limits.connect_ns == 10 * CLOCK_S);
	assert_true(conf->limits.idle_in_transaction_ns == 0);
	assert_true(
	    conf->tcp.keepalive_idle_ns == 60 * CLOCK_S && conf->tcp.keepalive_interval_ns == 10 * CLOCK_S);
	assert_true(conf->tcp.keepalive_count == 5 && conf->tcp.user_timeout_ns == 0);
	assert_true(conf->shutdown.timeout_ns == 30 * CLOCK_S);
	assert_int_equal(conf->log.format, LOG_FORMAT_TEXT);
	assert_int_equal(conf->log.level, LOG_LEVEL_INFO);
	assert_int_equal(conf->log.to, LOG_TARGET_STDERR);
	struct conf *again = conf_ref(conf);
	conf_unref(&conf);
	assert_null(conf);
	assert_string_equal(again->databases[0].name, "shop");
	conf_unref(&again);
	conf_unref(&again);
}

static void test_values(void **state)
{
	(void)state;
	struct conf *conf =
	    parse("listen:\n"
		  "  - {address: '[fe80::1%eth0]:6432', head: 0012+1e5, tls: {cert: c.pem, key: /k.pem}, "
		  "backlog: 7}\n"
		  "  - {address: 'unix:/run:5432', unix_mode: 0750}\n"
		  "console: {address: unix:/c, operators: ops, viewers: [a, b]}\n"
		  "databases:\n"
		  "  shop:\n"
		  "    upstream: {address: unix:/s.sock, dbname: other, tls: {mode: disable, ca: ../ca}}\n"
		  "    control: {dsn: d, run_dsn: r, max_databases: 2}\n"
		  "    recorded: {reader: sql, statement: \"select 1\\n\", order: [1, 02, 0x3]}\n"
		  "    declare: [listener, database]\n"
		  "    forward_head: true\n"
		  "    accept: {window: 3}\n"
		  "    pins: [007, a+b]\n"
		  "    undeclared: {head: 5}\n"
		  "    ahead: reject\n"
		  "  '*':\n"
		  "    upstream: {address: [a:1, b:2], tls: {mode: verify-full, negotiation: direct, ca: "
		  "ca.pem, min_version: 1.3}}\n"
		  "    control: {dsn: d}\n"
		  "    recorded: {reader: headgate, order: numeric}\n"
		  "    accept: compatible\n"
		  "    undeclared: admit\n"
		  "    ahead: {hold: 90s}\n"
		  "    on_failed: hold\n"
		  "    mode: observe\n"
		  "    disclose: false\n"
		  "    replication: false\n"
		  "    lease: 60s\n"
		  "    hold: {max: 1h, clients: 1, notice_after: 1ms}\n"
		  "    drain: {timeout: 2m, on_timeout: terminate, attempts: 1, pause: 0}\n"
		  "    fence: {strangers: stop, exempt_roles: [x]}\n"
		  "    release: {ramp: 1}\n"
		  "    migrations: {dir: m, lock_timeout: 0, format: golang-migrate, statement_timeout: 1m,\n"
		  "      set: {owner: app, a.b: '', 'c': 'x y'}, lock_attempts: 3, deadline: 2h,\n"
		  "      backup: {command: [sh, -c, -c], dir: b}}\n"
		  "workers: 3\n"
		  "log: {format: json, level: error, to: syslog}\n");
	const struct conf_listen *first = &conf->listen[0], *second = &conf->listen[1];
	assert_string_equal(first->address.host, "fe80::1%eth0");
	assert_int_equal(first->address.port, 6432);
	assert_string_equal(first->head, "0012+1e5");
	assert_int_equal(first->tls.mode, TLS_PREFER);
	assert_string_equal(first->tls.cert, "/etc/headgate/c.pem");
	assert_string_equal(first->tls.key, "/k.pem");
	assert_int_equal(first->backlog, 7);
	assert_string_equal(second->address.path, "/run/.s.PGSQL.5432");
	assert_null(second->address.host);
	assert_int_equal(second->unix_mode, 0750);
	assert_true(
	    conf->console.present && conf->console.operator_count == 1 && conf->console.viewer_count == 2);
	assert_string_equal(conf->console.operators[0], "ops");
	assert_string_equal(conf->console.viewers[1], "b");
	assert_int_equal(conf->workers, 3);
	assert_true(conf->log.format == LOG_FORMAT_JSON && conf->log.level == LOG_LEVEL_ERROR);
	assert_int_equal(conf->log.to, LOG_TARGET_SYSLOG);

	const struct conf_database *shop = conf_database(conf, "shop"),
				   *any = conf_database(conf, "whatever");
	assert_string_equal(any->name, "*");
	assert_string_equal(shop->upstream.address[0].path, "/s.sock");
	assert_string_equal(shop->upstream.dbname, "other");
	assert_string_equal(shop->upstream.tls.ca, "/etc/headgate/../ca");
	assert_string_equal(shop->control.run_dsn, "r");
	assert_string_equal(shop->recorded.statement, "select 1\n");
	assert_null(shop->recorded.schema);
	assert_int_equal(shop->recorded.order, CONF_ORDER_LIST);
	assert_int_equal(shop->recorded.list_count, 3);
	assert_string_equal(shop->recorded.list[1], "02");
	assert_true(shop->declare_count == 2 && shop->declare[0] == CARRIER_LISTENER &&
	    shop->declare[1] == CARRIER_DATABASE);
	assert_true(shop->forward_head);
	assert_true(shop->accept == ACCEPT_WINDOW && shop->window == 3);
	assert_int_equal(shop->pin_count, 2);
	assert_string_equal(shop->pins[0].head, "007");
	assert_string_equal(shop->pins[1].head, "a+b");
	assert_int_equal(shop->undeclared, CONF_UNDECLARED_HEAD);
	assert_string_equal(shop->undeclared_head, "5");
	assert_false(shop->ahead_hold);

	assert_int_equal(any->upstream.address_count, 2);
	assert_string_equal(any->upstream.address[1].host, "b");
	assert_int_equal(any->upstream.tls.negotiation, TLS_NEGOTIATE_DIRECT);
	assert_int_equal(any->upstream.tls.min_version, TLS_1_3);
	assert_null(any->recorded.schema);
	assert_int_equal(any->recorded.order, CONF_ORDER_NUMERIC);
	assert_int_equal(any->accept, ACCEPT_COMPATIBLE);
	assert_int_equal(any->undeclared, CONF_UNDECLARED_ADMIT);
	assert_true(any->ahead_hold && any->ahead_hold_ns == 90 * CLOCK_S);
	assert_true(any->on_failed_hold && any->observe && !any->disclose && !any->replication);
	assert_true(any->lease_ns == 60 * CLOCK_S && any->hold.max_ns == 3600 * CLOCK_S);
	assert_true(any->hold.clients == 1 && any->hold.notice_after_ns == CLOCK_MS);
	assert_true(any->drain.timeout_ns == 120 * CLOCK_S && any->drain.on_timeout == TIMEOUT_TERMINATE);
	assert_true(any->drain.attempts == 1 && any->drain.pause_ns == 0);
	assert_true(!any->fence.terminate_strangers && any->fence.exempt_count == 1);
	assert_int_equal(any->release.ramp, 1);
	assert_string_equal(any->migrations.dir, "/etc/headgate/m");
	assert_int_equal(any->migrations.format, 3);
	assert_true(any->migrations.lock_timeout_ns == 0 && any->migrations.lock_attempts == 3);
	assert_true(any->migrations.statement_timeout_ns == 60 * CLOCK_S &&
	    any->migrations.deadline_ns == 7200 * CLOCK_S);
	assert_int_equal(any->migrations.set_count, 3);
	assert_string_equal(any->migrations.set[0].name, "owner");
	assert_string_equal(any->migrations.set[0].value, "app");
	assert_string_equal(any->migrations.set[1].value, "");
	assert_string_equal(any->migrations.set[2].value, "x y");
	assert_int_equal(any->migrations.backup.command_count, 3);
	assert_string_equal(any->migrations.backup.command[2], "-c");
	assert_null(any->migrations.backup.command[3]);
	assert_string_equal(any->migrations.backup.dir, "/etc/headgate/b");
	conf_unref(&conf);
}

static void test_duration_text(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} spans[] = {{0, "0"}, {CLOCK_MS, "1ms"}, {1500 * CLOCK_MS, "1500ms"}, {5 * CLOCK_S, "5s"},
	    {90 * CLOCK_S, "90s"}, {120 * CLOCK_S, "2m"}, {7200 * CLOCK_S, "2h"},
	    {1500 * CLOCK_MS + 400000, "1500ms"}, {12 * CLOCK_S + 300000001, "12s"},
	    {59 * CLOCK_S + 999999999, "1m"}, {100, "0"}};
	(void)state;
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		char text[32];
		assert_string_equal(conf_duration_text(spans[i].ns, text, sizeof(text)), spans[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_duration_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
