/* The two grammars are libpq's: conninfo_parse() and conninfo_uri_parse() in fe-connect.c
 * (documentation: "Connection Strings"). */
#include "base/conf_dsn.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MASK "***"

static const char *const secrets[] = {
    "password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"};

static bool is_secret(const char *key, size_t size)
{
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (strlen(secrets[i]) == size && strncasecmp(secrets[i], key, size) == 0)
			return true;
	return false;
}

static bool is_space(char c)
{
	return isspace((unsigned char)c);
}

/* Where a value ends: at its closing quote or the first blank, a backslash taking the next byte along. */
static const char *value_end(const char *p)
{
	bool quoted = *p == '\'';
	if (quoted)
		p++;
	for (; *p != '\0'; p++) {
		if (quoted ? *p == '\'' : is_space(*p))
			return quoted ? p + 1 : p;
		if (*p == '\\' && p[1] != '\0')
			p++;
	}
	return p;
}

/* A secret with a blank in it that nobody quoted goes on until something looks like the next "key=". */
static const char *secret_end(const char *p)
{
	for (;;) {
		const char *word = p;
		while (is_space(*word))
			word++;
		const char *end = word;
		while (*end != '\0' && *end != '=' && !is_space(*end))
			end++;
		const char *after = end;
		while (is_space(*after))
			after++;
		if (*word == '\0' || (*after == '=' && end > word))
			return p;
		p = *end == '=' ? end + 1 : end;
	}
}

static void mask_pairs(const char *p, FILE *to)
{
	while (*p != '\0') {
		const char *key = p;
		while (is_space(*key))
			key++;
		const char *end = key;
		while (*end != '\0' && *end != '=' && !is_space(*end))
			end++;
		const char *value = end;
		while (is_space(*value))
			value++;
		if (*value != '=') { /* malformed, or no connection string at all */
			fwrite(p, 1, (size_t)(value - p), to);
			p = value;
			continue;
		}
		value++;
		while (is_space(*value))
			value++;
		const char *next = value_end(value);
		if (is_secret(key, (size_t)(end - key))) {
			fwrite(p, 1, (size_t)(value - p), to);
			fputs(MASK, to);
			next = secret_end(next);
		} else {
			fwrite(p, 1, (size_t)(next - p), to);
		}
		p = next;
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Keywords of a URI may be percent-encoded too. */
static size_t decode(const char *p, size_t size, char *out, size_t room)
{
	size_t n = 0;
	for (size_t i = 0; i < size && n < room; i++) {
		if (p[i] == '%' && size - i > 2 && hex_digit(p[i + 1]) >= 0 && hex_digit(p[i + 2]) >= 0) {
			out[n++] = (char)(hex_digit(p[i + 1]) * 16 + hex_digit(p[i + 2]));
			i += 2;
		} else {
			out[n++] = p[i];
		}
	}
	return n;
}

static void mask_query(const char *p, FILE *to)
{
	while (*p != '\0') {
		size_t pair = strcspn(p, "&");
		const char *equals = memchr(p, '=', pair);
		char key[64];
		if (equals != NULL && is_secret(key, decode(p, (size_t)(equals - p), key, sizeof(key)))) {
			fwrite(p, 1, (size_t)(equals - p) + 1, to);
			fputs(MASK, to);
		} else {
			fwrite(p, 1, pair, to);
		}
		p += pair;
		if (*p == '&')
			fputc(*p++, to);
	}
}

/* The '@' that ends user and password, or NULL. libpq takes the first one before any '/'; a password that
 * holds a raw '/' or '?' is an error to it, and hidden all the same. */
static const char *credentials_end(const char *p)
{
	const char *at = p + strcspn(p, "@/");
	if (*at == '@')
		return at;
	const char *colon = p + strcspn(p, ":/?[");
	if (*colon != ':')
		return NULL;
	const char *port = colon + 1;
	port += strspn(port, "0123456789");
	if (*port == '\0' || *port == '/' || *port == '?' || *port == ',')
		return NULL;
	return strrchr(port, '@');
}

static void mask_uri(const char *p, const char *rest, FILE *to)
{
	const char *at = credentials_end(rest);
	const char *colon = at != NULL ? memchr(rest, ':', (size_t)(at - rest)) : NULL;
	if (colon != NULL) {
		fwrite(p, 1, (size_t)(colon - p) + 1, to);
		fputs(MASK, to);
		p = at;
	}
	const char *query = strchr(p, '?');
	if (query == NULL) {
		fputs(p, to);
		return;
	}
	fwrite(p, 1, (size_t)(query - p) + 1, to);
	mask_query(query + 1, to);
}

char *conf_dsn_masked(const char *dsn)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	if (to == NULL)
		return mem_strdup(MASK);
	if (strncmp(dsn, "postgresql://", 13) == 0)
		mask_uri(dsn, dsn + 13, to);
	else if (strncmp(dsn, "postgres://", 11) == 0)
		mask_uri(dsn, dsn + 11, to);
	else
		mask_pairs(dsn, to);
	fclose(to);
	return text;
}
