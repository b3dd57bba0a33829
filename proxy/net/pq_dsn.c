#include "pq_dsn.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/pq.h"

/* A value that no libpq accepts for gssencmode. */
#define PROBE "headgate-probe"

static void copy_error(const char *message, char *error, unsigned error_size)
{
	char sqlstate[6];
	char *line = pq_message_line(message != NULL ? message : "out of memory", sqlstate);
	snprintf(error, error_size, "%s", line);
	mem_free(&line);
}

/* Undoes what the probe put in, and the database that libpq made up of the user's name. A service file's we
 * cannot tell from that, and believe. */
static void take_back(PQconninfoOption *options, const PQconninfoOption *given, const char *dbname)
{
	bool named = dbname != NULL || pq_dsn_value(given, "dbname") != NULL ||
	    getenv("PGDATABASE") != NULL || pq_dsn_value(given, "service") != NULL ||
	    getenv("PGSERVICE") != NULL;
	for (PQconninfoOption *o = options; o->keyword != NULL; o++) {
		if (strcmp(o->keyword, "gssencmode") == 0) {
			const char *asked = pq_dsn_value(given, "gssencmode");
			PQfreemem(o->val);
			o->val = asked != NULL ? strdup(asked) : NULL; /* libpq frees it */
		} else if (strcmp(o->keyword, "dbname") == 0 && !named) {
			PQfreemem(o->val);
			o->val = NULL;
		}
	}
}

/* libpq resolves service file, environment and defaults only on its way to a connection. So it is sent that
 * way with one value that stops it after resolving and before the first socket, and then asked what it
 * understood. */
PQconninfoOption *pq_dsn_options(const char *dsn, const char *dbname, char *error, unsigned error_size)
{
	char *wrong = NULL;
	PQconninfoOption *given = PQconninfoParse(dsn, &wrong);
	if (given == NULL) {
		copy_error(wrong, error, error_size);
		PQfreemem(wrong);
		return NULL;
	}

	const char *const keywords[] = {"dbname", "gssencmode", "dbname", NULL};
	const char *const values[] = {dsn, PROBE, dbname, NULL};
	PGconn *conn = PQconnectStartParams(keywords, values, 1);
	PQconninfoOption *options = NULL;
	if (conn == NULL || strstr(PQerrorMessage(conn), PROBE) == NULL)
		copy_error(conn != NULL ? PQerrorMessage(conn) : NULL, error, error_size);
	else if ((options = PQconninfo(conn)) == NULL)
		copy_error(NULL, error, error_size);
	PQfinish(conn);

	if (options != NULL)
		take_back(options, given, dbname);
	PQconninfoFree(given);
	return options;
}

const char *pq_dsn_value(const PQconninfoOption *options, const char *keyword)
{
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
		if (strcmp(o->keyword, keyword) == 0)
			return o->val != NULL && o->val[0] != '\0' ? o->val : NULL;
	return NULL;
}

static unsigned list_count(const char *list)
{
	unsigned count = 1;
	for (const char *c = list; *c != '\0'; c++)
		count += *c == ',';
	return count;
}

/* The item at an index of a comma list; of a list of one, always that. "" behind its end. */
static char *list_item(const char *list, unsigned index)
{
	if (list == NULL)
		return mem_strdup("");
	if (list_count(list) == 1)
		index = 0;
	for (; index > 0 && list != NULL; index--) {
		list = strchr(list, ',');
		list = list != NULL ? list + 1 : NULL;
	}
	return list != NULL ? mem_strndup(list, strcspn(list, ",")) : mem_strdup("");
}

struct pq_hosts pq_dsn_hosts(const PQconninfoOption *options)
{
	const char *host = pq_dsn_value(options, "host");
	const char *hostaddr = pq_dsn_value(options, "hostaddr");
	const char *port = pq_dsn_value(options, "port");
	struct pq_hosts hosts = {.count = list_count(hostaddr != NULL ? hostaddr : host != NULL ? host : "")};

	hosts.at = mem_zalloc(hosts.count * sizeof(hosts.at[0]));
	for (unsigned i = 0; i < hosts.count; i++) {
		hosts.at[i].host = list_item(host, i);
		hosts.at[i].hostaddr = list_item(hostaddr, i);
		hosts.at[i].port = list_item(port, i);
		if (hosts.at[i].port[0] == '\0') {
			mem_free(&hosts.at[i].port);
			hosts.at[i].port = mem_strdup("5432");
		}
	}
	return hosts;
}

void pq_hosts_free(struct pq_hosts *hosts)
{
	for (unsigned i = 0; i < hosts->count; i++) {
		mem_free(&hosts->at[i].host);
		mem_free(&hosts->at[i].hostaddr);
		mem_free(&hosts->at[i].port);
	}
	mem_free(&hosts->at);
	hosts->count = 0;
}

static bool is_number(const char *host)
{
	struct in6_addr address;
	return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static bool is_unix(const char *host)
{
	return host[0] == '/' || host[0] == '@';
}

bool pq_host_named(const struct pq_host *host)
{
	/* A number is no name: libpq's own look-up of it does not ask anybody. */
	return host->hostaddr[0] == '\0' && host->host[0] != '\0' && !is_unix(host->host) &&
	    !is_number(host->host);
}

static bool is_sqlstate(const char *s)
{
	for (unsigned i = 0; i < 5; i++)
		if (!isdigit((unsigned char)s[i]) && !(s[i] >= 'A' && s[i] <= 'Z'))
			return false;
	return s[5] == ':' && s[6] == ' ';
}

char *pq_message_line(const char *message, char sqlstate[6])
{
	char *line = mem_alloc(2 * strlen(message) + 1), *to = line;

	for (const char *from = message; *from != '\0';) {
		size_t n = strcspn(from, "\n");
		const char *start = from;
		from += n + (from[n] != '\0');
		while (n > 0 && isspace((unsigned char)*start)) {
			start++;
			n--;
		}
		if (n == 0 || strncmp(start, "LOCATION:", 9) == 0)
			continue;
		if (to > line) {
			*to++ = ';';
			*to++ = ' ';
		}
		for (; n > 0; n--, start++) {
			/* "FATAL:  3D000: database ...": two blanks stand before a code only. */
			if (n > 9 && strncmp(start, ":  ", 3) == 0 && is_sqlstate(start + 3)) {
				memcpy(sqlstate, start + 3, 5);
				sqlstate[5] = '\0';
				*to++ = ':';
				start += 8;
				n -= 8;
				continue;
			}
			*to++ = *start;
		}
	}
	*to = '\0';
	return line;
}

const char *pq_dsn_error(const char *dsn)
{
	static _Thread_local char error[256];
	PQconninfoOption *options = pq_dsn_options(dsn, NULL, error, sizeof(error));
	if (options == NULL)
		return error;
	PQconninfoFree(options);
	return NULL;
}

static char *resolved(const char *dsn, const char *keyword)
{
	char error[256];
	PQconninfoOption *options = pq_dsn_options(dsn, NULL, error, sizeof(error));
	if (options == NULL)
		return NULL;
	const char *value = pq_dsn_value(options, keyword);
	char *copy = value != NULL ? mem_strdup(value) : NULL;
	PQconninfoFree(options);
	return copy;
}

char *pq_dsn_user(const char *dsn)
{
	return resolved(dsn, "user");
}

char *pq_dsn_dbname(const char *dsn)
{
	return resolved(dsn, "dbname");
}

/* Appends s with everything but RFC 3986's unreserved characters percent-encoded. */
static void url_append(FILE *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (isalnum((unsigned char)*s) || strchr("-._~", *s) != NULL)
			fputc(*s, out);
		else
			fprintf(out, "%%%02X", (unsigned char)*s);
	}
}

/* What a URL says in its authority and path, not in its query. */
static bool in_url_head(const char *keyword)
{
	static const char *const head[] = {"user", "password", "host", "port", "dbname"};
	for (unsigned i = 0; i < sizeof(head) / sizeof(head[0]); i++)
		if (strcmp(keyword, head[i]) == 0)
			return true;
	return false;
}

/* A unix socket goes into the query ("?host=/run/postgresql&port=5432"), which libpq and the drivers and
 * tools built on other parsers understand; a percent-encoded authority they do not. */
static char *url_text(const PQconninfoOption *options, const PQconninfoOption *given)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (out == NULL)
		return mem_strdup("");

	struct pq_hosts hosts = pq_dsn_hosts(options);
	bool in_query = false;
	for (unsigned i = 0; i < hosts.count; i++)
		in_query |= hosts.at[i].host[0] == '\0' || is_unix(hosts.at[i].host);

	fputs("postgresql://", out);
	const char *user = pq_dsn_value(options, "user"), *password = pq_dsn_value(options, "password");
	if (user != NULL) {
		url_append(out, user);
		if (password != NULL) {
			fputc(':', out);
			url_append(out, password);
		}
		fputc('@', out);
	}
	for (unsigned i = 0; i < hosts.count && !in_query; i++) {
		bool v6 = strchr(hosts.at[i].host, ':') != NULL;
		fprintf(
		    out, v6 ? "%s[%s]:%s" : "%s%s:%s", i > 0 ? "," : "", hosts.at[i].host, hosts.at[i].port);
	}
	fputc('/', out);
	const char *dbname = pq_dsn_value(options, "dbname");
	url_append(out, dbname != NULL ? dbname : user != NULL ? user : "");

	char separator = '?';
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
		bool place = strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "port") == 0;
		const char *value = pq_dsn_value(options, o->keyword);
		/* Only what was asked for, not every default. */
		bool wanted = place ? in_query
				    : !in_url_head(o->keyword) && pq_dsn_value(given, o->keyword) != NULL &&
			strcmp(o->keyword, "service") != 0;
		if (!wanted || value == NULL)
			continue;
		fprintf(out, "%c%s=", separator, o->keyword);
		url_append(out, value);
		separator = '&';
	}
	pq_hosts_free(&hosts);
	if (fclose(out) != 0 || text == NULL)
		return mem_strdup("");
	char *copy = mem_strdup(text);
	free(text);
	return copy;
}

bool pq_environment(const char *dsn, const char *dbname,
    void (*set)(const char *name, const char *value, void *arg), void *arg, char *error, unsigned error_size)
{
	PQconninfoOption *options = pq_dsn_options(dsn, dbname, error, error_size);
	if (options == NULL)
		return false;
	PQconninfoOption *given = PQconninfoParse(dsn, NULL);
	if (given == NULL) {
		snprintf(error, error_size, "out of memory");
		PQconninfoFree(options);
		return false;
	}

	for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
		const char *value = pq_dsn_value(options, o->keyword);
		if (o->envvar == NULL)
			continue;
		if (strcmp(o->keyword, "service") == 0)
			set(o->envvar, NULL, arg);
		else if (value != NULL)
			set(o->envvar, value, arg);
	}
	char *url = url_text(options, given);
	set("DATABASE_URL", url, arg);
	mem_free(&url);
	PQconninfoFree(given);
	PQconninfoFree(options);
	return true;
}
