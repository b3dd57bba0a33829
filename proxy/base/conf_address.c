/* Addresses: host:port, [v6]:port, unix:/path. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/mem.h"
#include "conf_kinds.h"

#define HOST_BYTES 127 /* what an endpoint's name has room for (net/resolve.h) */
#define EXPECTED   "host:port, [v6]:port or unix:/path"

void conf_address_free(struct conf_address *address)
{
	mem_free(&address->text);
	mem_free(&address->host);
	mem_free(&address->path);
	address->port = 0;
}

/* 1 to 65535 in plain digits, else 0. */
static uint16_t port_of(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 5 || text[digits] != '\0')
		return 0;
	long port = strtol(text, NULL, 10);
	return port <= 65535 ? (uint16_t)port : 0;
}

/* unix:/folder:5432 is libpq's way to name /folder/.s.PGSQL.5432. */
static char *socket_path(const char *text)
{
	const char *colon = strrchr(text, ':');
	uint16_t port = colon != NULL ? port_of(colon + 1) : 0;
	if (port == 0)
		return mem_strdup(text);
	return mem_printf("%.*s/.s.PGSQL.%u", (int)(colon - text), text, port);
}

static bool host_usable(const char *host)
{
	size_t n = strlen(host);
	if (n == 0 || n > HOST_BYTES)
		return false;
	for (const char *c = host; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c) && strchr("._-", *c) == NULL)
			return false;
	return true;
}

static bool v6_usable(const char *host)
{
	struct in6_addr number;
	char *bare = mem_strndup(host, strcspn(host, "%"));
	bool ok = inet_pton(AF_INET6, bare, &number) == 1 && strlen(host) <= HOST_BYTES;
	mem_free(&bare);
	return ok;
}

static bool read_unix(struct reading *reading, const struct conf_node *node, struct conf_address *out)
{
	char *path = socket_path(node->text + strlen("unix:"));
	if (path[0] != '/' || strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		conf_expected(reading, node, NULL, "unix: and an absolute path of at most %zu bytes",
		    sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
		mem_free(&path);
		return false;
	}
	*out = (struct conf_address){.text = mem_strdup(node->text), .path = path};
	return true;
}

static bool read_tcp(struct reading *reading, const struct conf_node *node, struct conf_address *out)
{
	const char *text = node->text, *colon = strrchr(text, ':');
	char *host = NULL;
	bool ok = false;
	if (colon == NULL) {
		conf_expected(reading, node, NULL, EXPECTED);
		return false;
	}
	if (text[0] == '[' && colon > text + 1 && colon[-1] == ']') {
		host = mem_strndup(text + 1, (size_t)(colon - text) - 2);
		ok = v6_usable(host);
	} else {
		host = mem_strndup(text, (size_t)(colon - text));
		ok = host_usable(host);
	}
	uint16_t port = port_of(colon + 1);
	if (!ok) {
		conf_expected(reading, node, NULL, EXPECTED);
	} else if (port == 0) {
		conf_expected(reading, node, NULL, "a port from 1 to 65535 after the last colon");
		ok = false;
	}
	if (!ok) {
		mem_free(&host);
		return false;
	}
	*out = (struct conf_address){.text = mem_strdup(text), .host = host, .port = port};
	return true;
}

bool conf_read_address(struct reading *reading, const struct conf_node *node, struct conf_address *out)
{
	if (node->kind != NODE_TEXT || node->nothing) {
		conf_expected(reading, node, NULL, EXPECTED);
		return false;
	}
	/* Control characters cannot be in a host; in a path they could forge lines. */
	for (const char *c = node->text; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			conf_expected(reading, node, NULL, EXPECTED);
			return false;
		}
	}
	if (strncmp(node->text, "unix:", 5) == 0)
		return read_unix(reading, node, out);
	return read_tcp(reading, node, out);
}

static void address_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	conf_read_address(reading, node, (struct conf_address *)((char *)object + setting->at));
}

static void address_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	const struct conf_address *address = (const void *)((const char *)object + setting->at);
	if (yaml)
		conf_print_quoted(to, address->text);
	else
		fputs(address->text, to);
}

static void address_release(const struct setting *setting, void *object)
{
	conf_address_free((struct conf_address *)((char *)object + setting->at));
}

static bool address_is_set(const struct setting *setting, const void *object)
{
	return ((const struct conf_address *)(const void *)((const char *)object + setting->at))->text !=
	    NULL;
}

const struct conf_kind conf_kind_address = {address_read, address_print, address_release, address_is_set};
