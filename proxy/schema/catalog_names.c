/* What names of files say, tool by tool. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "catalog_private.h"

const char *catalog_base_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash == NULL ? name : slash + 1;
}

bool catalog_ends_with(const char *name, const char *ending)
{
	size_t n = strlen(name), m = strlen(ending);

	return n >= m && strcmp(name + n - m, ending) == 0;
}

size_t catalog_digits(const char *s)
{
	return strspn(s, "0123456789");
}

/* Two runs of digits by their value, however long. */
static int compare_numbers(const char *a, size_t a_size, const char *b, size_t b_size)
{
	while (a_size > 0 && *a == '0') {
		a++;
		a_size--;
	}
	while (b_size > 0 && *b == '0') {
		b++;
		b_size--;
	}
	if (a_size != b_size)
		return a_size < b_size ? -1 : 1;
	return memcmp(a, b, a_size);
}

int catalog_compare_natural(const char *a, const char *b)
{
	size_t a_digits = catalog_digits(a), b_digits = catalog_digits(b);

	/* Names that begin with a number come first, by it: a rule that holds for any three names. */
	if ((a_digits > 0) != (b_digits > 0))
		return a_digits > 0 ? -1 : 1;
	int order = compare_numbers(a, a_digits, b, b_digits);
	if (order == 0)
		order = strcmp(a + a_digits, b + b_digits);
	return order != 0 ? order : strcmp(a, b);
}

int catalog_compare_versions(const char *a, const char *b)
{
	while (*a != '\0' || *b != '\0') {
		size_t a_digits = catalog_digits(a), b_digits = catalog_digits(b);
		int order = compare_numbers(a, a_digits, b, b_digits); /* a missing part is 0 */
		if (order != 0)
			return order;
		a += a_digits;
		b += b_digits;
		a += *a != '\0';
		b += *b != '\0';
	}
	return 0;
}

/* [0-9]+_<slug>.(up|down).<anything> */
struct catalog_name catalog_name_golang(const char *name)
{
	struct catalog_name out = {.kind = NAME_OTHER, .id = name, .id_size = catalog_digits(name)};
	const char *ending = strrchr(name, '.');

	if (strchr(name, '/') != NULL || out.id_size == 0 || name[out.id_size] != '_' || ending == NULL)
		return out;
	out.slug = name + out.id_size + 1;
	size_t rest = (size_t)(ending - out.slug);
	if (ending < out.slug)
		return out;
	if (rest >= 3 && memcmp(ending - 3, ".up", 3) == 0) {
		out.kind = NAME_UP;
		out.slug_size = rest - 3;
	} else if (rest >= 5 && memcmp(ending - 5, ".down", 5) == 0) {
		out.kind = NAME_DOWN;
		out.slug_size = rest - 5;
	}
	return out;
}

/* <version>_<slug>/up.sql; the version is what stands before the first _. */
struct catalog_name catalog_name_diesel(const char *name)
{
	struct catalog_name out = {.kind = NAME_OTHER, .id = name};
	const char *slash = strchr(name, '/');

	if (slash == NULL || slash == name)
		return out;
	size_t n = (size_t)(slash - name);
	const char *bar = memchr(name, '_', n);
	out.id_size = bar == NULL ? n : (size_t)(bar - name);
	out.slug = bar == NULL ? slash : bar + 1;
	out.slug_size = (size_t)(slash - out.slug);
	if (strcmp(slash, "/up.sql") == 0)
		out.kind = NAME_UP;
	else if (strcmp(slash, "/down.sql") == 0)
		out.kind = NAME_DOWN;
	else if (strcmp(slash, "/metadata.toml") == 0)
		out.kind = NAME_SETTINGS;
	return out;
}

static bool is_callback(const char *base)
{
	static const char *const beginnings[] = {"before", "after", "createSchema"};

	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
		size_t n = strlen(beginnings[i]);
		if (strncmp(base, beginnings[i], n) == 0 && (i == 2 || isupper((unsigned char)base[n])))
			return true;
	}
	return false;
}

/* Flyway's migrations in languages of the JVM lie beside those in SQL, or in a tree of their own. */
static bool is_program(const char *base)
{
	return catalog_ends_with(base, ".java") || catalog_ends_with(base, ".kt") ||
	    catalog_ends_with(base, ".groovy") || catalog_ends_with(base, ".scala");
}

/* V<version>__<slug>.sql; in folders of any depth. */
struct catalog_name catalog_name_flyway(const char *name)
{
	const char *base = catalog_base_name(name);
	struct catalog_name out = {.kind = NAME_OTHER, .id = base + 1};
	size_t n = strlen(base);
	bool settings = catalog_ends_with(base, ".sql.conf");
	const char *program = is_program(base) ? strrchr(base, '.') : NULL;

	if (program != NULL)
		n = (size_t)(program - base);
	else if (settings)
		n -= 9;
	else if (catalog_ends_with(base, ".sql"))
		n -= 4;
	else
		return out;
	if (n == 0)
		return out;
	const char *bars = memmem(base, n, "__", 2);
	out.id_size = (bars == NULL ? n : (size_t)(bars - base)) - 1;
	out.slug = bars == NULL ? base + n : bars + 2;
	out.slug_size = (size_t)(base + n - out.slug);
	if (bars == base)
		return out;
	if (base[0] == 'R' && out.id_size == 0 && bars != NULL)
		out.kind = NAME_REPEATABLE;
	else if (is_callback(base))
		out.kind = NAME_IGNORED;
	else if (strchr("VUB", base[0]) != NULL && isdigit((unsigned char)base[1]) &&
	    strspn(base + 1, "0123456789._") >= out.id_size)
		out.kind = base[0] == 'V' ? NAME_UP : base[0] == 'U' ? NAME_DOWN : NAME_BASELINE;
	if (settings && out.kind != NAME_OTHER)
		out.kind = NAME_SETTINGS;
	if (program != NULL)
		out.kind = bars != NULL && (out.kind == NAME_UP || out.kind == NAME_REPEATABLE) ? NAME_FOREIGN
												: NAME_OTHER;
	return out;
}

struct catalog_name catalog_name_numbered(const char *name)
{
	struct catalog_name out = {.kind = NAME_OTHER, .id = name, .id_size = catalog_digits(name)};
	size_t n = strlen(name);

	if (strchr(name, '/') != NULL || out.id_size == 0)
		return out;
	if (catalog_ends_with(name, ".go") && !catalog_ends_with(name, "_test.go")) {
		out.kind = NAME_FOREIGN;
	} else if (catalog_ends_with(name, ".sql") && name[out.id_size] == '_') {
		out.kind = NAME_UP;
		out.slug = name + out.id_size + 1;
		out.slug_size = n - 4 > out.id_size + 1 ? n - 4 - out.id_size - 1 : 0;
	}
	return out;
}

struct catalog_name catalog_name_native(const char *name, bool digits_only)
{
	struct catalog_name out = {.kind = NAME_OTHER, .id = name};

	if (strchr(name, '/') != NULL || !catalog_ends_with(name, ".sql") || name[0] == '.')
		return out;
	size_t n = strlen(name) - 4, digits = catalog_digits(name);
	const char *bar = memchr(name, '_', n);
	out.id_size = bar == NULL ? n : (size_t)(bar - name);
	/* dbmate's version is the leading digits, whatever follows: 2024-users.sql. */
	if (digits > 0 && (digits_only || (bar == NULL && !isalpha((unsigned char)name[digits]))))
		out.id_size = digits;
	if (digits_only && digits == 0)
		return out;
	out.slug = name + out.id_size;
	out.slug_size = n - out.id_size;
	if (out.slug_size > 0 && strchr("_-.", out.slug[0]) != NULL) {
		out.slug++;
		out.slug_size--;
	}
	if (out.id_size > 0)
		out.kind = NAME_UP;
	return out;
}

/* By its first line of ours or of theirs. */
static enum catalog_format guess_by_text(const struct catalog_file *file)
{
	struct catalog_line line = {.next = split_bom(file->bytes, file->size)};

	while (catalog_line_next(file, &line)) {
		const char *s = file->bytes + line.begin, *end = file->bytes + line.end;
		while (s < end && (*s == ' ' || *s == '\t'))
			s++;
		if (end - s < 3 || s[0] != '-' || s[1] != '-')
			continue;
		for (s += 2; s < end && (*s == ' ' || *s == '\t'); s++)
			;
		size_t n = (size_t)(end - s);
		if (n >= 8 && strncasecmp(s, "migrate:", 8) == 0)
			return CATALOG_NATIVE;
		if (n >= 6 && memcmp(s, "+goose", 6) == 0)
			return CATALOG_GOOSE;
		if (n >= 8 && memcmp(s, "+migrate", 8) == 0)
			return CATALOG_SQL_MIGRATE;
	}
	return CATALOG_AUTO;
}

enum catalog_format catalog_guess(const struct catalog_file *file)
{
	const char *name = file->name;
	const char *base = catalog_base_name(name);
	struct catalog_name as;

	if (catalog_ends_with(name, ".py"))
		return strcmp(base, "__init__.py") != 0 &&
			(base == name || strncmp(name, "versions/", 9) == 0)
		    ? CATALOG_ALEMBIC
		    : CATALOG_AUTO;
	as = catalog_name_golang(name);
	if (as.kind == NAME_UP || as.kind == NAME_DOWN)
		return CATALOG_GOLANG_MIGRATE;
	if (!catalog_ends_with(name, ".sql"))
		return CATALOG_AUTO;
	as = catalog_name_flyway(name);
	if (as.kind == NAME_UP || as.kind == NAME_DOWN || as.kind == NAME_REPEATABLE)
		return CATALOG_FLYWAY;
	as = catalog_name_diesel(name);
	if (as.kind == NAME_UP || as.kind == NAME_DOWN)
		return CATALOG_DIESEL;
	return base == name ? guess_by_text(file) : CATALOG_AUTO;
}
