#include "remote.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "ctl/cli.h"
#include "net/resolve.h"

struct remote {
	struct event_base *base;
	struct resolver *resolver;
	struct pq *pq;
	char *path;
	bool opened;
	int status;
	void (*noticed)(const char *message, void *arg);
	void *arg;
};

static void on_opened(struct pq *pq, void *arg)
{
	struct remote *remote = arg;
	(void)pq;
	remote->opened = true;
	event_base_loopbreak(remote->base);
}

static void on_closed(struct pq *pq, const char *sqlstate, const char *message, void *arg)
{
	struct remote *remote = arg;
	(void)pq;
	if (remote->status != -1)
		return;
	fprintf(stderr, "headgate: the console at %s %s: %s\n", remote->path,
	    remote->opened                       ? "is gone"
		: strcmp(sqlstate, "28000") == 0 ? "refuses"
						 : "cannot be reached",
	    message);
	remote_stop(remote, CLI_UNREACHABLE);
}

static void on_noticed(struct pq *pq, const char *severity, const char *message, void *arg)
{
	struct remote *remote = arg;
	(void)pq;
	(void)severity;
	if (remote->noticed)
		remote->noticed(message, remote->arg);
	else
		fprintf(stderr, "%s\n", message);
}

/* The socket's path from what the user or the configuration says; NULL: said why. Owned by the caller. */
static char *console_path(const char *config, const char *console, int *status)
{
	*status = CLI_CONFIG;
	if (console) {
		*status = CLI_USAGE;
		return mem_strdup(strncmp(console, "unix:", 5) == 0 ? console + 5 : console);
	}
	struct conf *conf = cli_conf(config);
	char *path = conf && conf->console.address.path ? mem_strdup(conf->console.address.path) : NULL;
	if (conf && !path)
		fprintf(stderr,
		    "headgate: %s has no console; give it one: console: {address: "
		    "unix:/run/headgate/.s.PGSQL.6434}\n",
		    conf->path);
	conf_unref(&conf);
	return path;
}

/* libpq names a socket by its folder and a port. */
static char *console_dsn(const char *path)
{
	const char *name = strrchr(path, '/');
	char *end = NULL;
	unsigned long port = name && strncmp(name, "/.s.PGSQL.", 10) == 0 ? strtoul(name + 10, &end, 10) : 0;
	if (path[0] != '/' || port == 0 || port > 65535 || !end || *end) {
		fprintf(
		    stderr, "headgate: the console's socket is named /FOLDER/.s.PGSQL.PORT, not %s\n", path);
		return NULL;
	}
	char *folder = mem_strndup(path, name == path ? 1 : (size_t)(name - path));
	char *escaped = mem_alloc(2 * strlen(folder) + 1);
	size_t n = 0;
	for (const char *c = folder; *c; c++) {
		if (*c == '\'' || *c == '\\')
			escaped[n++] = '\\';
		escaped[n++] = *c;
	}
	escaped[n] = '\0';
	char *dsn =
	    mem_printf("host='%s' port=%lu user=headgate dbname=headgate sslmode=disable", escaped, port);
	mem_free(&folder);
	mem_free(&escaped);
	return dsn;
}

struct remote *remote_open(const char *config, const char *console, int *status)
{
	char *path = console_path(config, console, status);
	char *dsn = path ? console_dsn(path) : NULL;
	if (!dsn) {
		mem_free(&path);
		return NULL;
	}
	/* what the rooms below have to say is said by us */
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, LOG_TARGET_STDERR);
	struct remote *remote = mem_zalloc(sizeof *remote);
	remote->path = path;
	remote->status = -1;
	remote->base = event_base_new();
	if (!remote->base)
		log_fatal("cannot make an event loop");
	remote->resolver = resolver_new(remote->base);
	remote->pq = pq_open(&(struct pq_request){.base = remote->base,
	    .resolver = remote->resolver,
	    .dsn = dsn,
	    .application_name = "headgate",
	    .connect_ns = 5 * CLOCK_S,
	    .handlers = {.opened = on_opened, .closed = on_closed, .noticed = on_noticed},
	    .arg = remote});
	mem_free(&dsn);
	event_base_dispatch(remote->base);
	if (!remote->opened) {
		*status = CLI_UNREACHABLE;
		remote_close(&remote);
	}
	return remote;
}

void remote_close(struct remote **at)
{
	struct remote *remote = *at;
	if (!remote)
		return;
	pq_close(&remote->pq);
	resolver_free(&remote->resolver);
	event_base_free(remote->base);
	mem_free(&remote->path);
	mem_free(at);
}

struct event_base *remote_base(const struct remote *remote)
{
	return remote->base;
}

void remote_ask(struct remote *remote, const char *sql, pq_done *done, void *arg)
{
	pq_query(remote->pq, sql, NULL, 0, done, arg);
}

void remote_notices(struct remote *remote, void (*noticed)(const char *message, void *arg), void *arg)
{
	remote->noticed = noticed;
	remote->arg = arg;
}

int remote_run(struct remote *remote)
{
	if (remote->status == -1)
		event_base_dispatch(remote->base);
	return remote->status == -1 ? CLI_FAILED : remote->status;
}

void remote_stop(struct remote *remote, int status)
{
	remote->status = status;
	event_base_loopbreak(remote->base);
}

void remote_complain(const struct pq_result *result)
{
	fprintf(stderr, "headgate: %s\n", result->message);
	if (result->detail && result->detail[0])
		fprintf(stderr, "  %s\n", result->detail);
	if (result->hint && result->hint[0])
		fprintf(stderr, "  %s\n", result->hint);
}

char *remote_quoted(const char *text, char quote)
{
	char *out = mem_alloc(2 * strlen(text) + 3);
	size_t n = 0;
	out[n++] = quote;
	for (; *text; text++) {
		if (*text == quote)
			out[n++] = quote;
		out[n++] = *text;
	}
	out[n++] = quote;
	out[n] = '\0';
	return out;
}
