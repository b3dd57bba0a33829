#include "page.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

static const char *const inks[] = {
    [PAGE_PLAIN] = "",
    [PAGE_ID] = "\033[33m",
    [PAGE_HEAD] = "\033[1;32m",
    [PAGE_CURRENT] = "\033[1;36m",
    [PAGE_LABEL] = "\033[1;35m",
    [PAGE_GOOD] = "\033[32m",
    [PAGE_BAD] = "\033[31m",
    [PAGE_FAINT] = "\033[2m",
};

struct page page_open(FILE *to)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	int fd = fileno(to);

	return (struct page){
	    .to = to,
	    .colour = (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0 && fd >= 0 &&
		isatty(fd) == 1,
	};
}

/* How many bytes of s (n of them) are one character of UTF-8 that prints; 0: none does. */
static size_t character(const char *s, size_t n)
{
	const unsigned char *b = (const unsigned char *)s;

	if (b[0] < 0x80)
		return b[0] >= 0x20 && b[0] != 0x7f;
	size_t size = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
	if (b[0] < 0xc2 || b[0] > 0xf4 || size > n)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((b[i] & 0xc0) != 0x80)
			return 0;
	/* C1 controls, longer forms than needed, surrogates, beyond Unicode; marks that turn text around. */
	if ((b[0] == 0xc2 && b[1] < 0xa0) || (b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
	    (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
		return 0;
	if (b[0] == 0xe2 &&
	    ((b[1] == 0x80 && ((b[2] >= 0xa8 && b[2] <= 0xae) || b[2] == 0x8e || b[2] == 0x8f)) ||
		(b[1] == 0x81 && b[2] >= 0xa6 && b[2] <= 0xa9)))
		return 0;
	return size;
}

/* Prints a text made safe, as far as `most` columns go; *all: was that all of it? Returns the columns. */
static unsigned put_safe(FILE *to, const char *s, size_t n, unsigned most, bool *all)
{
	unsigned width = 0;
	size_t i = 0;

	while (i < n) {
		size_t size = character(s + i, n - i);
		unsigned takes = size == 0 ? 4 : 1;
		if (most - width < takes)
			break;
		if (size == 0)
			fprintf(to, "\\x%02x", (unsigned char)s[i]);
		else
			fwrite(s + i, 1, size, to);
		width += takes;
		i += size == 0 ? 1 : size;
	}
	*all = i == n;
	return width;
}

static FILE *gather(char **text, size_t *size)
{
	FILE *to = open_memstream(text, size);

	if (to == NULL)
		log_fatal("out of memory");
	return to;
}

void page_ink(const struct page *page, enum page_ink ink, const char *format, ...)
{
	char *text = NULL;
	size_t size = 0;
	bool all, colour = page->colour && ink != PAGE_PLAIN;
	va_list args;

	FILE *to = gather(&text, &size);
	va_start(args, format);
	vfprintf(to, format, args);
	va_end(args);
	fclose(to);
	if (colour)
		fputs(inks[ink], page->to);
	put_safe(page->to, text, size, UINT32_MAX, &all);
	if (colour)
		fputs("\033[0m", page->to);
	free(text);
}

void page_text(const struct page *page, const char *text)
{
	bool all;

	if (text == NULL)
		text = "-";
	put_safe(page->to, text, strlen(text), UINT32_MAX, &all);
}

unsigned page_width(const char *text)
{
	size_t n = strlen(text);
	unsigned width = 0;

	for (size_t i = 0; i < n;) {
		size_t size = character(text + i, n - i);
		width += size == 0 ? 4 : 1;
		i += size == 0 ? 1 : size;
	}
	return width;
}

void page_column(const struct page *page, const char *text, unsigned width)
{
	bool all;

	if (text == NULL)
		text = "-";
	unsigned is = page_width(text), most = is > width && width > 3 ? width - 3 : width;
	unsigned put = put_safe(page->to, text, strlen(text), most, &all);
	if (is > width && width > 3)
		put += (unsigned)fprintf(page->to, "...");
	for (; put < width; put++)
		fputc(' ', page->to);
}

void page_lines(const struct page *page, const char *text, size_t size, unsigned margin)
{
	const char *end = text + size;

	while (text < end) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((line_end == NULL ? end : line_end) - text);
		const char *s = text;
		bool all;
		text += n + (line_end != NULL);
		while (n > 0 && s[n - 1] == '\r')
			n--;
		if (n > 0)
			fprintf(page->to, "%*s", (int)margin, "");
		/* Tabs are how people indent. */
		for (const char *tab; n > 0 && (tab = memchr(s, '\t', n)) != NULL; s = tab + 1) {
			put_safe(page->to, s, (size_t)(tab - s), UINT32_MAX, &all);
			fputs("    ", page->to);
			n -= (size_t)(tab - s) + 1;
		}
		put_safe(page->to, s, n, UINT32_MAX, &all);
		fputc('\n', page->to);
	}
}

char *page_duration(int64_t ms)
{
	int64_t s = ms / 1000;

	if (ms < 0)
		return mem_strdup("-");
	if (ms < 1000)
		return mem_printf("%lld ms", (long long)ms);
	if (s < 60)
		return mem_printf("%lld.%lld s", (long long)s, (long long)(ms % 1000 / 100));
	if (s < 3600)
		return mem_printf("%lld min %lld s", (long long)(s / 60), (long long)(s % 60));
	if (s < 86400)
		return mem_printf("%lld h %lld min", (long long)(s / 3600), (long long)(s % 3600 / 60));
	return mem_printf("%lld d %lld h", (long long)(s / 86400), (long long)(s % 86400 / 3600));
}

char *page_bytes(int64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	if (bytes < 1024)
		return mem_printf("%lld bytes", (long long)bytes);
	double size = (double)bytes / 1024;
	for (; size >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		size /= 1024;
	return mem_printf("%.1f %s", size, units[unit]);
}
