/* Single values: texts, numbers, lengths of time, choices. Lists are in conf_lists.c, addresses in
 * conf_address.c. */
#include "conf_kinds.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf_dsn.h"
#include "base/mem.h"

#define HEAD_EXPECTED                                                                                        \
	"a head (1 to 64 visible ASCII characters other than + , @ ; ' \" and \\; up to 16, joined by +)"

static char **text_at(const struct setting *setting, const void *object)
{
	return (char **)((char *)(uintptr_t)object + setting->at);
}

void conf_expected(
    struct reading *reading, const struct conf_node *node, const char *near, const char *what, ...)
{
	va_list ap;
	char *said = NULL;
	va_start(ap, what);
	int n = vasprintf(&said, what, ap);
	va_end(ap);
	char *got = conf_node_got(node);
	if (near != NULL)
		conf_problem(reading->problems, node, reading->path,
		    "expected %s, got %s; did you mean \"%s\"?", n < 0 ? "" : said, got, near);
	else
		conf_problem(
		    reading->problems, node, reading->path, "expected %s, got %s", n < 0 ? "" : said, got);
	mem_free(&got);
	free(said);
}

/* One character of UTF-8 that libyaml let through, so well-formed. */
static unsigned utf8_character(const char *s, size_t *size)
{
	unsigned char c = (unsigned char)*s;
	*size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	unsigned value = *size == 1 ? c : c & (0xffu >> (*size + 1));
	for (size_t i = 1; i < *size; i++)
		value = value << 6 | ((unsigned char)s[i] & 0x3f);
	return value;
}

/* What a YAML reader may not take as it stands inside double quotes, or what a terminal obeys. */
static bool needs_escape(unsigned value)
{
	return value < 0x20 || (value >= 0x7f && value < 0xa0) || value == 0x2028 || value == 0x2029 ||
	    value == 0xfeff || value == 0xfffe || value == 0xffff;
}

void conf_print_quoted(FILE *to, const char *text)
{
	fputc('"', to);
	while (*text != '\0') {
		size_t size;
		unsigned value = utf8_character(text, &size);
		if (value == '"' || value == '\\')
			fprintf(to, "\\%c", (char)value);
		else if (value == '\n')
			fputs("\\n", to);
		else if (value == '\t')
			fputs("\\t", to);
		else if (needs_escape(value))
			fprintf(to, "\\u%04x", value);
		else
			fwrite(text, 1, size, to);
		text += size;
	}
	fputc('"', to);
}

char *conf_read_text(
    struct reading *reading, const struct setting *setting, const struct conf_node *node, bool lines)
{
	long long low = (long long)setting->low, high = (long long)setting->high;
	if (node->kind != NODE_TEXT || node->nothing) {
		conf_expected(reading, node, NULL, "a text of %lld to %lld bytes", low, high);
		return NULL;
	}
	size_t size = strlen(node->text);
	if ((long long)size < low || (long long)size > high) {
		conf_problem(reading->problems, node, reading->path,
		    "expected a text of %lld to %lld bytes, got %zu", low, high, size);
		return NULL;
	}
	for (const char *c = node->text; *c != '\0';) {
		unsigned value = utf8_character(c, &size);
		bool line = lines && (value == '\n' || value == '\t');
		if (needs_escape(value) && !line) {
			conf_problem(reading->problems, node, reading->path,
			    "expected a text without control characters");
			return NULL;
		}
		c += size;
	}
	return mem_strdup(node->text);
}

static void text_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	*text_at(setting, object) = conf_read_text(reading, setting, node, false);
}

static void statement_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	*text_at(setting, object) = conf_read_text(reading, setting, node, true);
}

static void text_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	const char *text = *text_at(setting, object);
	if (yaml)
		conf_print_quoted(to, text);
	else
		fputs(text, to);
}

static void dsn_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	char *masked = conf_dsn_masked(*text_at(setting, object));
	if (yaml)
		conf_print_quoted(to, masked);
	else
		fputs(masked, to);
	mem_free(&masked);
}

static void text_release(const struct setting *setting, void *object)
{
	mem_free(text_at(setting, object));
}

static bool text_is_set(const struct setting *setting, const void *object)
{
	return *text_at(setting, object) != NULL;
}

static void file_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	char *name = conf_read_text(reading, setting, node, false);
	if (name != NULL && name[0] != '/') {
		char *whole =
		    mem_printf("%s/%s", strcmp(reading->folder, "/") == 0 ? "" : reading->folder, name);
		mem_free(&name);
		name = whole;
	}
	*text_at(setting, object) = name;
}

/* The rule of gate/head.h, which stands a floor above; its own check comes again where heads are made of
 * these texts. Here it buys the line and the column. */
char *conf_read_heads(struct reading *reading, const struct conf_node *node)
{
	bool ok = node->kind == NODE_TEXT && !node->nothing;
	unsigned count = 0;
	for (const char *c = node->text; ok; c++) {
		size_t size = strcspn(c, "+");
		ok = size >= 1 && size <= 64 && ++count <= 16;
		for (size_t i = 0; ok && i < size; i++)
			ok = c[i] > 0x20 && c[i] < 0x7f && strchr(",@;'\"\\", c[i]) == NULL;
		c += size;
		if (*c == '\0')
			break;
	}
	if (!ok) {
		conf_expected(reading, node, NULL, "%s", HEAD_EXPECTED);
		return NULL;
	}
	return mem_strdup(node->text);
}

static void heads_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	*text_at(setting, object) = conf_read_heads(reading, node);
}

/* A whole number in plain digits, or -1. */
static int64_t number_of(const char *text, size_t size)
{
	if (size == 0 || size > 15 || strspn(text, "0123456789") < size)
		return -1;
	return strtoll(text, NULL, 10);
}

bool conf_read_count(
    struct reading *reading, const struct setting *setting, const struct conf_node *node, unsigned *out)
{
	bool automatic = setting->kind == &conf_kind_count_or_auto;
	int64_t value = node->kind == NODE_TEXT ? number_of(node->text, strlen(node->text)) : -1;
	if (automatic && node->kind == NODE_TEXT && strcmp(node->text, "auto") == 0) {
		*out = 0;
		return true;
	}
	if (value < setting->low || value > setting->high) {
		conf_expected(reading, node, NULL, "%sa whole number from %lld to %lld",
		    automatic ? "auto or " : "", (long long)setting->low, (long long)setting->high);
		return false;
	}
	*out = (unsigned)value;
	return true;
}

static unsigned *count_at(size_t at, const void *object)
{
	return (unsigned *)(uintptr_t)((const char *)object + at);
}

static void count_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	conf_read_count(reading, setting, node, count_at(setting->at, object));
}

static void count_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	(void)yaml;
	unsigned value = *count_at(setting->at, object);
	if (value == 0 && setting->kind == &conf_kind_count_or_auto)
		fputs("auto", to);
	else
		fprintf(to, "%u", value);
}

static void access_bits_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	size_t size = node->kind == NODE_TEXT ? strlen(node->text) : 0;
	long value = -1;
	if (size == 4 && node->text[0] == '0' && strspn(node->text, "01234567") == size)
		value = strtol(node->text, NULL, 8);
	if (value < setting->low || value > setting->high)
		conf_expected(reading, node, NULL, "access bits from 0%03llo to 0%03llo",
		    (unsigned long long)setting->low, (unsigned long long)setting->high);
	else
		*count_at(setting->at, object) = (unsigned)value;
}

static void access_bits_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	(void)yaml;
	fprintf(to, "0%03o", *count_at(setting->at, object));
}

/* They have a meaning on unix sockets only, so they are printed for those only. */
static bool access_bits_is_set(const struct setting *setting, const void *object)
{
	(void)setting;
	return ((const struct conf_listen *)object)->address.path != NULL;
}

static const struct {
	const char *name;
	int64_t ns;
} units[] = {{"ms", CLOCK_MS}, {"s", CLOCK_S}, {"m", 60 * CLOCK_S}, {"h", 3600 * CLOCK_S}};
#define UNITS (sizeof(units) / sizeof(units[0]))

char *conf_duration_text(int64_t ns, char *buf, size_t size)
{
	/* What a file can hold comes out exactly; a measured span is rounded to what people read. */
	if (ns % CLOCK_MS != 0) {
		int64_t grain = ns < 10 * CLOCK_S ? CLOCK_MS : CLOCK_S;
		ns = (ns + grain / 2) / grain * grain;
	}
	size_t unit = UNITS - 1;
	while (unit > 0 && ns % units[unit].ns != 0)
		unit--;
	if (ns == 0)
		snprintf(buf, size, "0");
	else
		snprintf(buf, size, "%lld%s", (long long)(ns / units[unit].ns), units[unit].name);
	return buf;
}

static int64_t duration_of(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	int64_t value = number_of(text, digits);
	if (value == 0 && text[digits] == '\0')
		return 0;
	for (size_t i = 0; i < UNITS; i++)
		if (value >= 0 && strcmp(text + digits, units[i].name) == 0)
			return value > INT64_MAX / units[i].ns ? INT64_MAX : value * units[i].ns;
	return -1;
}

bool conf_read_duration(
    struct reading *reading, const struct setting *setting, const struct conf_node *node, int64_t *out)
{
	char low[32], high[32];
	int64_t value = node->kind == NODE_TEXT ? duration_of(node->text) : -1;
	if (value >= setting->low && value <= setting->high) {
		*out = value;
		return true;
	}
	bool bare = value < 0 && node->kind == NODE_TEXT && number_of(node->text, strlen(node->text)) > 0;
	char *near = bare ? mem_printf("%ss", node->text) : NULL;
	conf_expected(reading, node, near, "a length of time with its unit (ms, s, m, h) from %s to %s",
	    conf_duration_text(setting->low, low, sizeof(low)),
	    conf_duration_text(setting->high, high, sizeof(high)));
	mem_free(&near);
	return false;
}

static int64_t *duration_at(size_t at, const void *object)
{
	return (int64_t *)(uintptr_t)((const char *)object + at);
}

static void duration_read(
    struct reading *reading, const struct setting *setting, void *object, const struct conf_node *node)
{
	conf_read_duration(reading, setting, node, duration_at(setting->at, object));
}

static void duration_print(FILE *to, const struct setting *setting, const void *object, bool yaml)
{
	char text[32];
	(void)yaml;
	fputs(conf_duration_text(*duration_at(setting->at, object), text, sizeof(text)), to);
}

const struct conf_kind conf_kind_text = {text_read, text_print, text_release, text_is_set};
const struct conf_kind conf_kind_statement = {statement_read, text_print, text_release, text_is_set};
const struct conf_kind conf_kind_dsn = {text_read, dsn_print, text_release, text_is_set};
const struct conf_kind conf_kind_file = {file_read, text_print, text_release, text_is_set};
const struct conf_kind conf_kind_heads = {heads_read, text_print, text_release, text_is_set};
const struct conf_kind conf_kind_count = {count_read, count_print, NULL, NULL};
const struct conf_kind conf_kind_count_or_auto = {count_read, count_print, NULL, NULL};
const struct conf_kind conf_kind_access_bits = {
    access_bits_read, access_bits_print, NULL, access_bits_is_set};
const struct conf_kind conf_kind_duration = {duration_read, duration_print, NULL, NULL};
