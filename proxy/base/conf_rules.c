/* What one setting means for another: contradictions, and defaults that depend on what else was given. */
#include <string.h>

#include "base/mem.h"
#include "conf_table.h"

/* The section under examination: its map in the file, and the map's dotted path. */
struct here {
	struct reading *reading;
	const struct conf_node *map;
	const char *path;
};

/* A problem with the setting at `key` below the section, shown where it stands. */
static void wrong(const struct here *here, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void wrong(const struct here *here, const char *key, const char *format, ...)
{
	char text[400];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	char *whole = mem_printf("%s%s%s", here->path, here->path[0] != '\0' ? "." : "", key);
	conf_problem(here->reading->problems, conf_node_near(here->map, key), whole, "%s", text);
	mem_free(&whole);
}

/* What holds for TLS on both sides. at: "tls" or "upstream.tls". */
static void rules_tls(struct here here, const struct conf_tls *tls, const char *at)
{
	char key[64];
	if (tls->cert != NULL && tls->key == NULL) {
		snprintf(key, sizeof(key), "%s.cert", at);
		wrong(&here, key, "expected a key beside the cert, it is missing");
	}
	if (tls->key != NULL && tls->cert == NULL) {
		snprintf(key, sizeof(key), "%s.key", at);
		wrong(&here, key, "expected a cert beside the key, it is missing");
	}
	if (tls->mode >= TLS_VERIFY_CA && tls->ca == NULL) {
		snprintf(key, sizeof(key), "%s.mode", at);
		wrong(&here, key, "%s needs the key ca, it is missing",
		    tls->mode == TLS_VERIFY_CA ? "verify-ca" : "verify-full");
	}
	if (tls->crl != NULL && tls->ca == NULL) {
		snprintf(key, sizeof(key), "%s.crl", at);
		wrong(&here, key, "expected a ca beside the crl, it is missing");
	}
}

void conf_rules_listen(
    struct reading *reading, struct conf_listen *listen, const struct conf_node *map, const char *path)
{
	struct here here = {reading, map, path};
	if (conf_node_find(map, "tls.mode") == NULL)
		listen->tls.mode = listen->tls.cert != NULL ? TLS_PREFER : TLS_DISABLE;
	rules_tls(here, &listen->tls, "tls");
	if (listen->tls.mode != TLS_DISABLE && listen->tls.cert == NULL)
		wrong(&here, "tls.mode", "TLS needs the keys cert and key; without them the mode is disable");
	if (listen->address.path != NULL && listen->tls.mode != TLS_DISABLE)
		wrong(&here, "tls", "no client asks for TLS on a unix socket; leave tls out");
	if (listen->address.path == NULL && conf_node_find(map, "unix_mode") != NULL)
		wrong(&here, "unix_mode", "only a unix socket has access bits, and %s is none",
		    listen->address.text);
}

static void rules_upstream(struct here here, const struct conf_database *database)
{
	const struct conf_tls *tls = &database->upstream.tls;
	rules_tls(here, tls, "upstream.tls");
	if (tls->negotiation == TLS_NEGOTIATE_DIRECT && tls->mode < TLS_REQUIRE)
		wrong(&here, "upstream.tls.negotiation",
		    "direct needs mode require, verify-ca or verify-full, as with libpq");
	for (unsigned i = 0; i < database->upstream.address_count && tls->mode >= TLS_REQUIRE; i++)
		if (database->upstream.address[i].path != NULL)
			wrong(&here, "upstream.tls.mode",
			    "there is no TLS on the unix socket %s; use disable or prefer",
			    database->upstream.address[i].text);
}

void conf_rules_database(
    struct reading *reading, struct conf_database *database, const struct conf_node *map, const char *path)
{
	struct here here = {reading, map, path};
	char low[32], high[32];
	if (database->control.run_dsn == NULL)
		database->control.run_dsn = mem_strdup(database->control.dsn);
	rules_upstream(here, database);
	if (database->declare_count == 0 && database->undeclared == CONF_UNDECLARED_REJECT &&
	    !database->observe)
		wrong(&here, "declare",
		    "nobody can declare a head and undeclared clients are rejected: nobody would be served");
	if (database->drain.timeout_ns > database->hold.max_ns)
		wrong(&here, "drain.timeout",
		    "%s is more than hold.max (%s): who is held first would be dropped before the drain ends",
		    conf_duration_text(database->drain.timeout_ns, low, sizeof(low)),
		    conf_duration_text(database->hold.max_ns, high, sizeof(high)));
}

static bool same_address(const struct conf_address *a, const struct conf_address *b)
{
	if (a->text == NULL || b->text == NULL)
		return false;
	if (a->path != NULL || b->path != NULL)
		return a->path != NULL && b->path != NULL && strcmp(a->path, b->path) == 0;
	return a->port == b->port && strcasecmp(a->host, b->host) == 0;
}

static const struct conf_node *listen_node(const struct conf_node *map, unsigned i)
{
	const struct conf_node *node = conf_node_find(map, "listen");
	return node->kind == NODE_LIST ? node->items[i] : node;
}

static void rules_listens(struct reading *reading, const struct conf *conf, const struct conf_node *map)
{
	for (unsigned i = 0; i < conf->listen_count; i++) {
		for (unsigned j = 0; j < i; j++) {
			if (!same_address(&conf->listen[i].address, &conf->listen[j].address))
				continue;
			char *path = mem_printf("listen[%u].address", i);
			conf_problem(reading->problems, conf_node_near(listen_node(map, i), "address"), path,
			    "%s is listen[%u]'s address already", conf->listen[i].address.text, j);
			mem_free(&path);
			break;
		}
	}
}

void conf_rules_root(struct reading *reading, struct conf *conf, const struct conf_node *map)
{
	struct here here = {reading, map, ""};
	const struct conf_address *console = &conf->console.address;
	rules_listens(reading, conf, map);
	conf->console.present = conf_node_find(map, "console") != NULL;
	if (conf->console.present && conf_node_find(map, "console.address") == NULL)
		wrong(
		    &here, "console.address", "expected this key (the console's unix socket), it is missing");
	if (console->text != NULL && console->path == NULL)
		wrong(&here, "console.address",
		    "expected unix:/path, got \"%s\": the console tells who is there by the socket's peer",
		    console->text);
	for (unsigned i = 0; i < conf->listen_count; i++)
		if (same_address(console, &conf->listen[i].address))
			wrong(
			    &here, "console.address", "%s is listen[%u]'s address already", console->text, i);
}
