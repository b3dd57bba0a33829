/* The configuration: wrong files by table, each with the exact text it must be answered with; right ones by
 * value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/conf.h"
#include "base/mem.h"

/* What is left of a file when one part of it is the example's. */
#define LISTEN    "listen: {address: a:1}\n"
#define SHOP      "databases:\n  shop:\n"
#define NEEDED    "    upstream: {address: b:2}\n    control: {dsn: d}\n    recorded: {reader: alembic}\n"
#define DATABASES SHOP NEEDED

struct wrong {
	const char *text;
	const char *errors; /* lines without the file's name in front */
};

static const struct wrong wrongs[] = {
    /* keys */
    {"",
	":1:1: listen: expected this key (where clients come in), it is missing\n"
	":1:1: databases: expected this key (what is gated, by the name clients use), it is missing\n"},
    {"listn: {address: a:1}\n" DATABASES,
	":1:1: unknown key \"listn\"; did you mean \"listen\"?\n"
	":1:1: listen: expected this key (where clients come in), it is missing\n"},
    {LISTEN "verbose: true\n" DATABASES,
	":2:1: unknown key \"verbose\", expected listen, workers, console, databases, limits, tcp, shutdown "
	"or log\n"},
    {LISTEN "limits.clients: 5\n" DATABASES,
	":2:1: unknown key \"limits.clients\", expected listen, workers, console, databases, limits, tcp, "
	"shutdown or log\n"},
    {LISTEN "http: {address: 127.0.0.1:9432}\n" DATABASES,
	":2:1: unknown key \"http\", expected listen, workers, console, databases, limits, tcp, shutdown or "
	"log\n"},
    {LISTEN DATABASES "    hold: {maxx: 3s}\n",
	":7:12: databases.shop.hold: unknown key \"maxx\"; did you mean \"max\"?\n"},
    {LISTEN DATABASES "    onfailed: hold\n",
	":7:5: databases.shop: unknown key \"onfailed\"; did you mean \"on_failed\"?\n"},
    {LISTEN DATABASES "    hold: {clietns: 3}\n",
	":7:12: databases.shop.hold: unknown key \"clietns\"; did you mean \"clients\"?\n"},
    {"listen: [{address: a:1}, {adress: a:2}]\n" DATABASES,
	":1:26: listen[1].address: expected this key (host:port, [v6]:port or unix:/path), it is missing\n"
	":1:27: listen[1]: unknown key \"adress\"; did you mean \"address\"?\n"},
    {LISTEN DATABASES "workers: 2\nworkers: 3\n", ":8:1: \"workers\" is given twice, first in line 7\n"},
    {LISTEN DATABASES "  shop: {}\n", ":7:3: \"shop\" is given twice, first in line 3\n"},
    {LISTEN SHOP "    upstream: {}\n    control:\n    recorded: {reader: alembic}\n",
	":4:15: databases.shop.upstream.address: expected this key (the server; several are tried in turn), "
	"it is missing\n"
	":5:13: databases.shop.control.dsn: expected this key (libpq connection string of the control link), "
	"it is missing\n"},
    /* types */
    {"listen: 5\n" DATABASES, ":1:9: listen: expected a list of 1 to 64 maps, or one map, got \"5\"\n"},
    {"listen: []\n" DATABASES, ":1:9: listen: expected a list of 1 to 64 maps, or one map, got a list\n"},
    {"listen: [5]\n" DATABASES, ":1:10: listen[0]: expected a map with the key address, got \"5\"\n"},
    {LISTEN "databases: {}\n",
	":2:12: databases: expected a map of at least one database by the name clients use, got a map\n"},
    {LISTEN "databases: {shop: }\n",
	":2:19: databases.shop: expected a map with the keys upstream, control and recorded, got nothing\n"},
    {"- a\n", ":1:1: expected a map of settings\n"},
    {"nonsense\n", ":1:1: expected a map of settings\n"},
    {LISTEN DATABASES "limits: 5\n", ":7:9: limits: expected a map, got a text\n"},
    {LISTEN DATABASES "limits: [5]\n", ":7:9: limits: expected a map, got a list\n"},
    {LISTEN DATABASES "    recorded2: x\n    recordd: y\n",
	":7:5: databases.shop: unknown key \"recorded2\"; did you mean \"recorded\"?\n"
	":8:5: databases.shop: unknown key \"recordd\"; did you mean \"recorded\"?\n"},
    /* numbers */
    {LISTEN DATABASES "workers: many\n",
	":7:10: workers: expected auto or a whole number from 1 to 1024, got \"many\"\n"},
    {LISTEN DATABASES "workers: 0\n",
	":7:10: workers: expected auto or a whole number from 1 to 1024, got \"0\"\n"},
    {LISTEN DATABASES "workers: 1025\n",
	":7:10: workers: expected auto or a whole number from 1 to 1024, got \"1025\"\n"},
    {LISTEN DATABASES "limits: {clients: -1}\n",
	":7:19: limits.clients: expected a whole number from 1 to 1000000, got \"-1\"\n"},
    {LISTEN DATABASES "limits: {clients: 99999999999999999999}\n",
	":7:19: limits.clients: expected a whole number from 1 to 1000000, got \"99999999999999999999\"\n"},
    {LISTEN DATABASES "limits: {clients: 1e3}\n",
	":7:19: limits.clients: expected a whole number from 1 to 1000000, got \"1e3\"\n"},
    {LISTEN DATABASES "limits: {clients: }\n",
	":7:19: limits.clients: expected a whole number from 1 to 1000000, got nothing\n"},
    /* lengths of time */
    {LISTEN DATABASES "    lease: 5\n",
	":7:12: databases.shop.lease: expected a length of time with its unit (ms, s, m, h) from 1s to 1m, "
	"got \"5\"; did you mean \"5s\"?\n"},
    {LISTEN DATABASES "    lease: 500ms\n",
	":7:12: databases.shop.lease: expected a length of time with its unit (ms, s, m, h) from 1s to 1m, "
	"got \"500ms\"\n"},
    {LISTEN DATABASES "    lease: 61s\n",
	":7:12: databases.shop.lease: expected a length of time with its unit (ms, s, m, h) from 1s to 1m, "
	"got \"61s\"\n"},
    {LISTEN DATABASES "    lease: 0\n",
	":7:12: databases.shop.lease: expected a length of time with its unit (ms, s, m, h) from 1s to 1m, "
	"got \"0\"\n"},
    {LISTEN DATABASES "    lease: 1.5s\n",
	":7:12: databases.shop.lease: expected a length of time with its unit (ms, s, m, h) from 1s to 1m, "
	"got \"1.5s\"\n"},
    {LISTEN DATABASES "    lease: 5 s\n",
	":7:12: databases.shop.lease: expected a length of time with its unit (ms, s, m, h) from 1s to 1m, "
	"got \"5 s\"\n"},
    {LISTEN DATABASES "    lease: 999999999999999h\n",
	":7:12: databases.shop.lease: expected a length of time with its unit (ms, s, m, h) from 1s to 1m, "
	"got \"999999999999999h\"\n"},
    {LISTEN DATABASES "    lease: {a: 1}\n",
	":7:12: databases.shop.lease: expected a length of time with its unit (ms, s, m, h) from 1s to 1m, "
	"got a map\n"},
    /* choices */
    {LISTEN DATABASES "    mode: obseve\n",
	":7:11: databases.shop.mode: expected enforce or observe, got \"obseve\"; did you mean "
	"\"observe\"?\n"},
    {LISTEN DATABASES "    disclose: yes\n",
	":7:15: databases.shop.disclose: expected false or true, got \"yes\"\n"},
    {LISTEN DATABASES "log: {level: warn}\n",
	":7:14: log.level: expected debug, info, warning or error, got \"warn\"\n"},
    {LISTEN DATABASES "    accept: window\n",
	":7:13: databases.shop.accept: expected exact, compatible or {window: N}, got \"window\"\n"},
    {LISTEN DATABASES "    accept: compatable\n",
	":7:13: databases.shop.accept: expected exact, compatible or {window: N}, got \"compatable\"; did "
	"you mean \"compatible\"?\n"},
    {LISTEN DATABASES "    accept: {window: 0}\n",
	":7:22: databases.shop.accept: expected a whole number from 1 to 1000, got \"0\"\n"},
    {LISTEN DATABASES "    accept: {window: 1, exact: 2}\n",
	":7:13: databases.shop.accept: expected exact, compatible or {window: N}, got a map\n"},
    {LISTEN DATABASES "    undeclared: {head: a b}\n",
	":7:24: databases.shop.undeclared: expected a head (1 to 64 visible ASCII characters other than + , "
	"@ ; ' \" and \\; up to 16, joined by +), got \"a b\"\n"},
    {LISTEN DATABASES "    ahead: hold\n",
	":7:12: databases.shop.ahead: expected reject or {hold: 60s}, got \"hold\"\n"},
    {LISTEN DATABASES "    ahead: {hold: 60}\n",
	":7:19: databases.shop.ahead: expected a length of time with its unit (ms, s, m, h) from 1ms to 24h, "
	"got \"60\"; did you mean \"60s\"?\n"},
    /* texts and lists */
    {LISTEN DATABASES
	"    pins: [a, a++b, 0123456789012345678901234567890123456789012345678901234567890123x, a]\n",
	":7:15: databases.shop.pins: expected a head (1 to 64 visible ASCII characters other than + , @ ; ' "
	"\" and \\; up to 16, joined by +), got \"a++b\"\n"
	":7:21: databases.shop.pins: expected a head (1 to 64 visible ASCII characters other than + , @ ; ' "
	"\" and \\; up to 16, joined by +), got "
	"\"012345678901234567890123456789012345678901234567890123456789...\"\n"
	":7:88: databases.shop.pins: \"a\" is given twice\n"},
    {LISTEN DATABASES "    declare: [options, option, options]\n",
	":7:24: databases.shop.declare: expected options, parameter, database, application_name or listener, "
	"got \"option\"; did you mean \"options\"?\n"
	":7:32: databases.shop.declare: \"options\" is given twice\n"},
    {LISTEN DATABASES "console: {address: unix:/c, operators: {a: b}}\n",
	":7:40: console.operators: expected a list of names, got a map\n"},
    {LISTEN DATABASES "console: {address: unix:/c, operators: [[a]]}\n",
	":7:41: console.operators: expected a text of 1 to 63 bytes, got a list\n"},
    {LISTEN SHOP "    upstream: {address: [], dbname: \"\"}\n    control: {dsn: \"a\\nb\"}\n    recorded: "
		 "{reader: sql, order: [a+b]}\n",
	":4:25: databases.shop.upstream.address: expected 1 to 16 items, got 0\n"
	":4:37: databases.shop.upstream.dbname: expected a text of 1 to 63 bytes, got 0\n"
	":5:20: databases.shop.control.dsn: expected a text without control characters\n"
	":6:37: databases.shop.recorded.order: expected one head an item, got \"a+b\"\n"},
    {LISTEN SHOP "    upstream: {address: b:2}\n    control: {dsn: d}\n    recorded: {reader: sql, order: "
		 "numerical}\n",
	":6:36: databases.shop.recorded.order: expected tool, none, numeric, text or a list of heads, "
	"oldest first, got \"numerical\"; did you mean \"numeric\"?\n"},
    {LISTEN DATABASES "    migrations: {format: flywy, set: [a], backup: {command: {a: b}}}\n",
	":7:26: databases.shop.migrations.format: expected auto, native, dbmate, golang-migrate, diesel, "
	"goose, sql-migrate, flyway or alembic, got \"flywy\"; did you mean \"flyway\"?\n"
	":7:38: databases.shop.migrations.set: expected a map of names and values, {owner: app}, 4096 at "
	"most, "
	"got a list\n"
	":7:61: databases.shop.migrations.backup.command: expected a list of words: a program and its "
	"arguments, got a map\n"},
    {LISTEN DATABASES "    migrations: {set: {'a b': c, d: [e], f: ~, g: ''}, backup: {dirs: x}}\n",
	":7:24: databases.shop.migrations.set: expected a name of letters, digits and _ . : - as it stands "
	"in "
	"${name}, got \"a b\"\n"
	":7:37: databases.shop.migrations.set.d: expected a text of 0 to 65536 bytes, got a list\n"
	":7:45: databases.shop.migrations.set.f: expected a text of 0 to 65536 bytes, got nothing\n"
	":7:65: databases.shop.migrations.backup: unknown key \"dirs\"; did you mean \"dir\"?\n"},
    /* addresses */
    {"listen: {address: 6432}\n" DATABASES,
	":1:19: listen[0].address: expected host:port, [v6]:port or unix:/path, got \"6432\"\n"},
    {"listen: {address: \"::1:6432\"}\n" DATABASES,
	":1:19: listen[0].address: expected host:port, [v6]:port or unix:/path, got \"::1:6432\"\n"},
    {"listen: {address: \"[::g]:6432\"}\n" DATABASES,
	":1:19: listen[0].address: expected host:port, [v6]:port or unix:/path, got \"[::g]:6432\"\n"},
    {"listen: {address: \"a:0\"}\n" DATABASES,
	":1:19: listen[0].address: expected a port from 1 to 65535 after the last colon, got \"a:0\"\n"},
    {"listen: {address: \"a:65536\"}\n" DATABASES,
	":1:19: listen[0].address: expected a port from 1 to 65535 after the last colon, got \"a:65536\"\n"},
    {"listen: {address: \"a b:1\"}\n" DATABASES,
	":1:19: listen[0].address: expected host:port, [v6]:port or unix:/path, got \"a b:1\"\n"},
    {"listen: {address: unix:relative}\n" DATABASES,
	":1:19: listen[0].address: expected unix: and an absolute path of at most 107 bytes, got "
	"\"unix:relative\"\n"},
    {LISTEN SHOP "    upstream: {address: \"postgres://u:secret@h/db\"}\n    control: {dsn: d}\n    "
		 "recorded: {reader: r}\n",
	":4:25: databases.shop.upstream.address: expected host:port, [v6]:port or unix:/path, got "
	"\"postgres://u:***@h/db\"\n"},
    {"listen: {address: unix:/x, unix_mode: 777}\n" DATABASES,
	":1:39: listen[0].unix_mode: expected access bits from 0000 to 0777, got \"777\"\n"},
    /* rules */
    {"listen: {address: a:1, unix_mode: 0700}\n" DATABASES,
	":1:35: listen[0].unix_mode: only a unix socket has access bits, and a:1 is none\n"},
    {"listen: {address: a:1, tls: {mode: require}}\n" DATABASES,
	":1:36: listen[0].tls.mode: TLS needs the keys cert and key; without them the mode is disable\n"},
    {"listen: {address: a:1, tls: {cert: c}}\n" DATABASES,
	":1:36: listen[0].tls.cert: expected a key beside the cert, it is missing\n"},
    {"listen: {address: a:1, tls: {key: c}}\n" DATABASES,
	":1:35: listen[0].tls.key: expected a cert beside the key, it is missing\n"},
    {"listen: {address: a:1, tls: {cert: c, key: k, crl: x}}\n" DATABASES,
	":1:52: listen[0].tls.crl: expected a ca beside the crl, it is missing\n"},
    {"listen: {address: a:1, tls: {mode: verify-full, cert: c, key: k}}\n" DATABASES,
	":1:36: listen[0].tls.mode: verify-full needs the key ca, it is missing\n"},
    {"listen: {address: unix:/x, tls: {cert: c, key: k}}\n" DATABASES,
	":1:33: listen[0].tls: no client asks for TLS on a unix socket; leave tls out\n"},
    {"listen: [{address: a:1}, {address: unix:/f:5}, {address: A:1}, {address: "
     "unix:/f/.s.PGSQL.5}]\n" DATABASES,
	":1:58: listen[2].address: A:1 is listen[0]'s address already\n"
	":1:74: listen[3].address: unix:/f/.s.PGSQL.5 is listen[1]'s address already\n"},
    {LISTEN SHOP "    upstream: {address: [a:1, unix:/x], tls: {mode: require}}\n    control: {dsn: d}\n    "
		 "recorded: {reader: r}\n",
	":4:53: databases.shop.upstream.tls.mode: there is no TLS on the unix socket unix:/x; use disable or "
	"prefer\n"},
    {LISTEN SHOP "    upstream: {address: a:1, tls: {negotiation: direct, mode: verify-ca}}\n    control: "
		 "{dsn: d}\n    recorded: {reader: r}\n",
	":4:63: databases.shop.upstream.tls.mode: verify-ca needs the key ca, it is missing\n"},
    {LISTEN SHOP "    upstream: {address: a:1, tls: {negotiation: direct}}\n    control: {dsn: d}\n    "
		 "recorded: {reader: r}\n",
	":4:49: databases.shop.upstream.tls.negotiation: direct needs mode require, verify-ca or "
	"verify-full, as with libpq\n"},
    {LISTEN DATABASES "    drain: {timeout: 31s}\n",
	":7:22: databases.shop.drain.timeout: 31s is more than hold.max (30s): who is held first would be "
	"dropped before the drain ends\n"},
    {LISTEN DATABASES "    declare: []\n",
	":7:14: databases.shop.declare: nobody can declare a head and undeclared clients are rejected: "
	"nobody would be served\n"},
    {LISTEN DATABASES "console:\n",
	":7:9: console.address: expected this key (the console's unix socket), it is missing\n"},
    {LISTEN DATABASES "console: {address: a:5}\n",
	":7:20: console.address: expected unix:/path, got \"a:5\": the console tells who is there by the "
	"socket's peer\n"},
    {"listen: {address: unix:/x}\nconsole: {address: unix:/x}\n" DATABASES,
	":2:20: console.address: unix:/x is listen[0]'s address already\n"},
    /* what is not YAML, or YAML of the kind that is refused */
    {"listen: {address: a:1\nworkers: 2\n",
	":2:8: not YAML: did not find expected ',' or '}' while parsing a flow mapping\n"},
    {LISTEN "\tworkers: 2\n",
	":2:1: not YAML: found character that cannot start any token while scanning for the next token\n"},
    {LISTEN "workers: \x01\n", ": not YAML: control characters are not allowed at byte 32\n"},
    {LISTEN "workers: \xff\n", ": not YAML: invalid leading UTF-8 octet at byte 32\n"},
    {LISTEN "workers: \"\\0\"\n", ":2:10: expected text without zero bytes\n"},
    {LISTEN "databases:\n  *: {}\n",
	":3:3: aliases are not used here, expected a value; the database * is written \"*\"\n"},
    {"listen: &a {address: a:1}\n" DATABASES, ":1:9: anchors are not used here, expected a value\n"},
    {LISTEN "databases: *a\n",
	":2:12: aliases are not used here, expected a value; the database * is written \"*\"\n"},
    {LISTEN "workers: !!int 5\n" DATABASES, ":2:10: tags are not used here, expected a value\n"},
    {LISTEN "limits: {<<: {clients: 5}}\n" DATABASES,
	":2:10: merge keys are not used here, expected a key\n"},
    {LISTEN "? [a]\n: b\n" DATABASES, ":2:3: expected a key\n"},
    {LISTEN DATABASES "---\nlisten: {address: a:1}\n", ":7:1: expected one YAML document, got a second\n"},
    {"[[[[[[[[[[[[[[[[[[[[[[", ":1:17: too many maps and lists inside each other\n"},
};

static void test_wrong(void **state)
{
	unsigned failed = 0;
	(void)state;
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		struct conf_errors errors = {.count = 0};
		struct conf *conf = conf_parse("h.yaml", wrongs[i].text, strlen(wrongs[i].text), &errors);
		char got[8000] = "";
		for (unsigned j = 0; j < errors.count; j++) {
			assert_memory_equal(errors.lines[j], "h.yaml:", 7);
			strcat(strcat(got, errors.lines[j] + 6), "\n");
		}
		conf_errors_free(&errors);
		if (conf == NULL && strcmp(got, wrongs[i].errors) == 0)
			continue;
		print_error("the file:\n%s\nwas answered with:\n%s\nexpected was:\n%s\n", wrongs[i].text, got,
		    wrongs[i].errors);
		conf_unref(&conf);
		failed++;
	}
	assert_int_equal(failed, 0);
}

/* At most twenty lines, the last of which says how many more there are. */
static void test_many(void **state)
{
	(void)state;
	struct conf_errors errors = {.count = 0};
	char text[2000] = LISTEN DATABASES "limits:\n";
	for (unsigned i = 0; i < 30; i++)
		sprintf(text + strlen(text), "  k%u: 1\n", i);
	assert_null(conf_parse("h.yaml", text, strlen(text), &errors));
	assert_int_equal(errors.count, 20);
	assert_non_null(strstr(errors.lines[0], "h.yaml:8:3: limits: unknown key \"k0\""));
	assert_string_equal(errors.lines[19], "h.yaml: and 11 more errors");
	conf_errors_free(&errors);
}

/* Files that would grow, nest, or be too long are refused at a bounded price. */
static void test_bounds(void **state)
{
	(void)state;
	struct conf_errors errors = {.count = 0};
	size_t size = ((size_t)1 << 20) + 1;
	char *text = mem_alloc(size);
	memset(text, '#', size);
	assert_null(conf_parse("h.yaml", text, size, &errors));
	assert_string_equal(errors.lines[0], "h.yaml: expected at most 1048576 bytes, got more");
	conf_errors_free(&errors);

	memset(text, ',', size);
	for (size_t i = 0; i + 1 < size; i += 2)
		text[i] = 'a';
	memcpy(text, "listen: [ ", 10);
	assert_null(conf_parse("h.yaml", text, size - 1, &errors));
	assert_non_null(strstr(errors.lines[0], "too many values in one file"));
	conf_errors_free(&errors);

	char *end = text;
	for (unsigned i = 0; i < 2000; i++)
		end += sprintf(end, "k%u: 1\n", i);
	assert_null(conf_parse("h.yaml", text, (size_t)(end - text), &errors));
	assert_string_equal(errors.lines[0], "h.yaml:1025:1: too many keys in one map");
	conf_errors_free(&errors);
	mem_free(&text);
}

static void test_load(void **state)
{
	(void)state;
	struct conf_errors errors = {.count = 0};
	assert_null(conf_load("/nowhere/h.yaml", &errors));
	assert_string_equal(errors.lines[0], "/nowhere/h.yaml: cannot read: No such file or directory");
	conf_errors_free(&errors);
	assert_null(conf_load("/", &errors));
	assert_string_equal(errors.lines[0], "/: cannot read: Is a directory");
	conf_errors_free(&errors);

	char folder[] = "/tmp/base_conf_XXXXXX";
	assert_non_null(mkdtemp(folder));
	char *path = mem_printf("%s/h.yaml", folder);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs("listen: {address: a:1, tls: {cert: c, key: k}}\n" DATABASES, file);
	fclose(file);
	struct conf *conf = conf_load(path, &errors);
	assert_non_null(conf);
	char *cert = mem_printf("%s/c", folder);
	assert_string_equal(conf->listen[0].tls.cert, cert);
	conf_unref(&conf);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	mem_free(&cert);
	mem_free(&path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_wrong),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
