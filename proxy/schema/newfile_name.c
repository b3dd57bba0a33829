/* Ids of new migrations, and the names of their files. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "catalog_private.h"
#include "newfile_private.h"

#define TIMESTAMP_DIGITS 14
#define EPOCH_DIGITS     10 /* seconds since 1970, as golang-migrate can be told to number */
#define HEX_DIGITS       6  /* fewer are no random id */

/* ---- what is there ---- */

/* The name of a migration's file below the folder. */
static const char *file_of(const struct newfile_request *request, const struct catalog_migration *m)
{
	size_t n = request->folder == NULL ? 0 : strlen(request->folder);

	if (n == 0 || strncmp(m->up.file, request->folder, n) != 0)
		return m->up.file;
	const char *name = m->up.file + n;
	return *name == '/' ? name + 1 : name;
}

static const char *last_file(const struct newfile_request *request)
{
	unsigned count = request->catalog == NULL ? 0 : catalog_count(request->catalog);

	return count == 0 ? NULL : file_of(request, catalog_at(request->catalog, count - 1));
}

static struct catalog_name parse_name(enum catalog_format format, const char *name)
{
	struct catalog_name out = {.kind = NAME_OTHER};

	switch (format) {
	case CATALOG_GOLANG_MIGRATE:
		return catalog_name_golang(name);
	case CATALOG_DIESEL:
		return catalog_name_diesel(name);
	case CATALOG_FLYWAY:
		return catalog_name_flyway(name);
	case CATALOG_GOOSE:
		return catalog_name_numbered(name);
	case CATALOG_SQL_MIGRATE: /* the whole name is the id; what its digits are is what is asked */
		out.id = name;
		out.id_size = catalog_digits(name);
		out.kind = NAME_UP;
		return out;
	case CATALOG_NATIVE:
	case CATALOG_DBMATE:
		return catalog_name_native(name, format == CATALOG_DBMATE);
	case CATALOG_ALEMBIC:
	case CATALOG_AUTO:
		return out;
	}
	return out;
}

bool newfile_has_undo(const struct catalog *catalog)
{
	for (unsigned i = 0; catalog != NULL && i < catalog_count(catalog); i++)
		if (catalog_at(catalog, i)->down.file != NULL)
			return true;
	return false;
}

static bool is_taken(const struct newfile_request *request, const char *revision)
{
	unsigned place;

	return request->catalog != NULL &&
	    graph_find(catalog_graph(request->catalog), revision, strlen(revision), &place);
}

/* ---- ids ---- */

static char *timestamp(int64_t now_s)
{
	time_t now = (time_t)now_s;
	struct tm tm;
	char text[40];

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y%m%d%H%M%S", &tm);
	return mem_strdup(text);
}

/* The same as diesel writes it. */
static char *timestamp_apart(int64_t now_s)
{
	char *t = timestamp(now_s);
	char *apart = mem_printf("%.4s-%.2s-%.2s-%s", t, t + 4, t + 6, t + 8);

	mem_free(&t);
	return apart;
}

/* The number after one, as wide. */
static char *number_after(const char *digits, size_t n)
{
	char *next = mem_printf("0%.*s", (int)n, digits);

	for (size_t i = n + 1; i-- > 0;) {
		if (next[i] != '9') {
			next[i]++;
			break;
		}
		next[i] = '0';
	}
	if (next[0] == '0')
		memmove(next, next + 1, n + 1);
	return next;
}

/* What follows a run of digits: the time where they are one, and the time is later. */
static char *digits_after(const char *last, size_t n, int64_t now_s)
{
	char *now = NULL;

	if (n == TIMESTAMP_DIGITS)
		now = timestamp(now_s);
	else if (n == EPOCH_DIGITS && last[0] == '1')
		now = mem_printf("%lld", (long long)now_s);
	if (now != NULL && strlen(now) == n && memcmp(now, last, n) > 0)
		return now;
	mem_free(&now);
	return number_after(last, n);
}

static uint64_t mix(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static char *random_hex(const struct newfile_request *request, size_t n)
{
	uint64_t state = request->random;
	char *id = mem_alloc(n + 1);

	do {
		for (size_t i = 0; i < n; i++)
			id[i] = "0123456789abcdef"[mix(&state) & 15];
		id[n] = '\0';
		/* An id of digits alone would be read as a number beside the others. */
	} while (is_taken(request, id) || catalog_digits(id) == n);
	return id;
}

/* Ids of a native folder: all digits, or all so many hexadecimal ones, or neither. */
static char *native_id(const struct newfile_request *request)
{
	unsigned count = request->catalog == NULL ? 0 : catalog_count(request->catalog);
	bool digits = count > 0, hex = count > 0;
	const char *last = NULL;

	for (unsigned i = 0; i < count; i++) {
		const char *id = catalog_at(request->catalog, i)->revision;
		size_t n = strlen(id);
		digits = digits && catalog_digits(id) == n;
		hex = hex && n >= HEX_DIGITS && strspn(id, "0123456789abcdef") == n &&
		    (last == NULL || strlen(last) == n);
		last = id;
	}
	if (digits)
		return digits_after(last, strlen(last), request->now_s);
	if (hex)
		return random_hex(request, strlen(last));
	char *id = timestamp(request->now_s);
	while (is_taken(request, id)) {
		char *next = number_after(id, strlen(id));
		mem_free(&id);
		id = next;
	}
	return id;
}

/* 1.2 is followed by 1.3, 2024_01_09 by 2024_01_10. */
static char *flyway_id(const char *last, size_t n, int64_t now_s)
{
	size_t head = n;

	while (head > 0 && isdigit((unsigned char)last[head - 1]))
		head--;
	char *tail = head == 0 ? digits_after(last, n, now_s) : number_after(last + head, n - head);
	char *id = mem_printf("%.*s%s", (int)head, last, tail);
	mem_free(&tail);
	return id;
}

/* diesel writes 2024-01-31-235959, lately 2024-01-31-235959-0000, and wrote 20240131235959. */
static char *diesel_id(const char *last, size_t n, int64_t now_s)
{
	unsigned hyphens = 0;

	for (size_t i = 0; i < n; i++)
		hyphens += last[i] == '-';
	if (hyphens == 0 && strspn(last, "0") < n)
		return digits_after(last, n, now_s);
	char *id = timestamp_apart(now_s);
	if (hyphens > 3) {
		char *longer = mem_printf("%s-0000", id);
		mem_free(&id);
		id = longer;
	}
	if (strlen(id) == n && memcmp(id, last, n) <= 0) {
		size_t head = n;
		while (isdigit((unsigned char)last[head - 1])) /* it begins with no hyphen */
			head--;
		char *tail = number_after(last + head, n - head);
		mem_free(&id);
		id = mem_printf("%.*s%s", (int)head, last, tail);
		mem_free(&tail);
	}
	return id;
}

static char *make_id(const struct newfile_request *request)
{
	const char *last = last_file(request);

	if (request->format == CATALOG_NATIVE)
		return native_id(request);
	if (last == NULL && request->format == CATALOG_FLYWAY)
		return mem_strdup("1");
	if (last == NULL)
		return request->format == CATALOG_DIESEL ? timestamp_apart(request->now_s)
							 : timestamp(request->now_s);
	struct catalog_name name = parse_name(request->format, last);
	if (name.id_size == 0) /* sql-migrate takes any name: a time sorts behind no letter, so say so */
		return NULL;
	if (request->format == CATALOG_FLYWAY)
		return flyway_id(name.id, name.id_size, request->now_s);
	if (request->format == CATALOG_DIESEL)
		return diesel_id(name.id, name.id_size, request->now_s);
	return digits_after(name.id, name.id_size, request->now_s);
}

/* ---- names ---- */

static char *name_with(const struct newfile_request *request, const char *id, const char *slug)
{
	const char *last = last_file(request);

	switch (request->format) {
	case CATALOG_GOLANG_MIGRATE:
		return mem_printf("%s_%s.up.sql", id, slug);
	case CATALOG_DIESEL:
		return mem_printf("%s_%s/up.sql", id, slug);
	case CATALOG_FLYWAY: {
		/* Beside the last one, whatever folder it lies in. */
		size_t n = last == NULL ? 0 : (size_t)(catalog_base_name(last) - last);
		return mem_printf("%.*sV%s__%s.sql", (int)n, last == NULL ? "" : last, id, slug);
	}
	case CATALOG_SQL_MIGRATE: {
		size_t digits = last == NULL ? 0 : catalog_digits(last);
		char between = digits > 0 && last[digits] == '_' ? '_' : '-';
		return mem_printf("%s%c%s.sql", id, between, slug);
	}
	case CATALOG_NATIVE:
	case CATALOG_DBMATE:
	case CATALOG_GOOSE:
	case CATALOG_ALEMBIC:
	case CATALOG_AUTO:
		return mem_printf("%s_%s.sql", id, slug);
	}
	return NULL;
}

/* As the catalog will read it from the name. */
static char *revision_of(enum catalog_format format, const char *name)
{
	struct catalog_name as = parse_name(format, name);
	const char *s = as.id;
	size_t n = as.id_size, k = 0;

	if (as.kind != NAME_UP)
		return NULL;
	if (format == CATALOG_SQL_MIGRATE) {
		n = strlen(name) - 4;
		return mem_strndup(name, n > HEAD_BYTES ? HEAD_BYTES : n);
	}
	while ((format == CATALOG_GOLANG_MIGRATE || format == CATALOG_GOOSE) && n > 1 && *s == '0') {
		s++;
		n--;
	}
	char *revision = mem_strndup(s, n);
	for (size_t i = 0; i < n; i++) {
		if (format == CATALOG_DIESEL && revision[i] == '-')
			continue;
		revision[k++] = (char)(format == CATALOG_FLYWAY && revision[i] == '_' ? '.' : revision[i]);
	}
	revision[k] = '\0';
	return revision;
}

/* Would the catalog read back what was asked for, and may a head be called so? */
static bool check_id(
    const struct newfile_request *request, const char *id, const char *name, const char *revision, char **why)
{
	static const char *const ids[] = {
	    [CATALOG_GOLANG_MIGRATE] = "a number",
	    [CATALOG_DBMATE] = "a number",
	    [CATALOG_GOOSE] = "a number",
	    [CATALOG_FLYWAY] = "a version, of numbers with dots",
	    [CATALOG_DIESEL] = "a version without _",
	    [CATALOG_SQL_MIGRATE] = "the beginning of a file's name",
	    [CATALOG_NATIVE] = "letters and digits, without _",
	};
	struct heads heads = heads_none();
	const char *fault = NULL;

	struct catalog_name as = parse_name(request->format, name);
	bool same = revision != NULL && strchr(id, '/') == NULL && id[0] != '.' &&
	    (request->format == CATALOG_SQL_MIGRATE ||
		(as.id_size == strlen(id) && memcmp(as.id, id, as.id_size) == 0));
	if (!same) {
		*why = mem_printf("%s cannot be a revision of %s: that is %s", id,
		    catalog_format_name(request->format), ids[request->format]);
		return false;
	}
	if (!heads_parse(revision, strlen(revision), &heads, &fault)) {
		*why = mem_printf("%s cannot be a revision: %s", id, fault);
		return false;
	}
	heads_free(&heads);
	if (!is_taken(request, revision))
		return true;
	*why = mem_printf("revision %s is there already", revision);
	return false;
}

/* Where files are taken in the order of their names, a new one that does not come last would be run by nobody
 * who has those behind it. */
static bool check_order(const struct newfile_request *request, const char *revision, char **why)
{
	unsigned count = request->catalog == NULL ? 0 : catalog_count(request->catalog);

	if (newfile_branches(request->format) || count == 0)
		return true;
	const char *last = catalog_at(request->catalog, count - 1)->revision;
	int order = request->format == CATALOG_FLYWAY ? catalog_compare_versions(revision, last)
	    : request->format == CATALOG_DIESEL       ? strcmp(revision, last)
						      : catalog_compare_natural(revision, last);
	if (order > 0)
		return true;
	*why = mem_printf("%s would not come last: %s takes its files in order, and %s is there", revision,
	    catalog_format_name(request->format), last);
	return false;
}

bool newfile_name(
    const struct newfile_request *request, const char *slug, char **name, char **revision, char **why)
{
	char *id = request->revision == NULL ? make_id(request) : mem_strdup(request->revision);

	*name = *revision = NULL;
	if (id == NULL) {
		*why =
		    mem_strdup("the last file's name does not begin with a number, so there is no next one: "
			       "say with --rev-id how the name is to begin");
		return false;
	}
	*name = name_with(request, id, slug);
	*revision = revision_of(request->format, *name);
	bool fine = check_id(request, id, *name, *revision, why) && check_order(request, *revision, why);
	if (!fine) {
		mem_free(name);
		mem_free(revision);
	}
	mem_free(&id);
	return fine;
}
