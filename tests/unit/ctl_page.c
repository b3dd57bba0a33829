/* What commands print: safe texts, columns, lanes, JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "ctl/page.h"
#include "ctl/page_json.h"
#include "ctl/page_lanes.h"

static FILE *to;
static char *written;
static size_t written_size;

static struct page open_page(bool colour)
{
	to = open_memstream(&written, &written_size);
	return (struct page){.to = to, .colour = colour};
}

static void written_is(const char *expected)
{
	fclose(to);
	assert_string_equal(written, expected);
	free(written);
}

static void texts_are_safe(void **state)
{
	(void)state;
	static const struct {
		const char *text, *safe;
	} cases[] = {
	    {"plain", "plain"},
	    {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
	    {"\033]0;x\007", "\\x1b]0;x\\x07"},
	    {"a\nb\tc\r", "a\\x0ab\\x09c\\x0d"},
	    {"\x7f\xc2\x9b"
	     "31m",
		"\\x7f\\xc2\\x9b31m"},
	    {"\xff\xc3", "\\xff\\xc3"},
	    {"\xc0\xaf\xe0\x80\xaf\xed\xa0\x80\xf4\x90\x80\x80",
		"\\xc0\\xaf\\xe0\\x80\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80"},
	    {"\xe2\x80\xaegnp", "\\xe2\\x80\\xaegnp"},
	    {"\xe2\x80", "\\xe2\\x80"},
	    {NULL, "-"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct page page = open_page(false);
		page_text(&page, cases[i].text);
		written_is(cases[i].safe);
	}
	struct page page = open_page(true);
	page_ink(&page, PAGE_ID, "%s", "a\033[0m");
	page_ink(&page, PAGE_PLAIN, " %d", 3);
	written_is("\033[33ma\\x1b[0m\033[0m 3");
	page = open_page(false);
	page_ink(&page, PAGE_BAD, "x");
	written_is("x");
}

static void columns(void **state)
{
	(void)state;
	struct page page = open_page(false);
	page_column(&page, "abc", 5);
	page_column(&page, "\xc3\xa9\xc3\xa9\xc3\xa9", 5);
	page_column(&page, "abcdefgh", 6);
	page_column(&page, "\033\033\033", 7);
	page_column(&page, "abcd", 3);
	page_column(&page, NULL, 2);
	written_is("abc  \xc3\xa9\xc3\xa9\xc3\xa9  abc...\\x1b...abc- ");
	assert_int_equal(page_width("\xc3\xa9\033"), 5);
	page = open_page(false);
	page_lines(&page, "a\r\n\n\tb\033\nc", 9, 2);
	written_is("  a\n\n      b\\x1b\n  c\n");
}

static void measures(void **state)
{
	(void)state;
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {{-1, "-"}, {0, "0 ms"}, {999, "999 ms"}, {1290, "1.2 s"}, {59999, "59.9 s"},
	    {60000, "1 min 0 s"}, {3725000, "1 h 2 min"}, {90000000, "1 d 1 h"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = page_duration(cases[i].ms);
		assert_string_equal(text, cases[i].text);
		mem_free(&text);
	}
	char *text = page_bytes(1023);
	assert_string_equal(text, "1023 bytes");
	mem_free(&text);
	text = page_bytes(1536);
	assert_string_equal(text, "1.5 KiB");
	mem_free(&text);
	text = page_bytes(INT64_MAX);
	assert_string_equal(text, "8388608.0 TiB");
	mem_free(&text);
}

/* "d<bc c<a b<a a": newest first, each with its parents, all of one letter. `lines` of text each. */
static char *drawn(const char *graph, unsigned lines)
{
	struct lanes *lanes = lanes_new();
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	for (const char *s = graph; *s != '\0';) {
		unsigned id = (unsigned char)*s++, parents[8], count = 0;
		const char *row;
		bool due;
		if (*s == '<')
			for (s++; *s != '\0' && *s != ' '; s++)
				parents[count++] = (unsigned char)*s;
		s += *s == ' ';
		lanes_next(lanes, id, parents, count);
		while (row = lanes_before(lanes), row != NULL)
			fprintf(out, "%s\n", row);
		fprintf(out, "%s %c\n", lanes_own(lanes), (char)id);
		for (unsigned i = 1; row = lanes_after(lanes, &due), due || i < lines; i++)
			fprintf(out, i < lines ? "%s .\n" : "%s\n", row);
	}
	assert_int_equal(lanes_count(lanes), 0);
	fclose(out);
	lanes_free(&lanes);
	return text;
}

static void drawn_is(const char *graph, unsigned lines, const char *expected)
{
	char *text = drawn(graph, lines);
	assert_string_equal(text, expected);
	free(text);
}

static void lanes_are_drawn(void **state)
{
	(void)state;
	drawn_is("c<b b<a a", 1, "* c\n* b\n* a\n");
	drawn_is("c<b b<a a", 3, "* c\n| .\n| .\n* b\n| .\n| .\n* a\n .\n .\n");
	drawn_is("d<bc c<a b<a a", 1, "* d\n|\\\n| * c\n* | b\n|/\n* a\n");
	drawn_is("d<bc c<a b<a a", 2, "* d\n|\\ .\n| * c\n| | .\n* | b\n| | .\n|/\n* a\n .\n");
	/* Two heads from one base, and a base of its own. */
	drawn_is("c<a b<a a x", 1, "* c\n| * b\n|/\n* a\n* x\n");
	drawn_is("c<a x b<a a", 1, "* c\n| * x\n| * b\n|/\n* a\n");
	/* A lane that ends to the left of others; one that joins across another. */
	drawn_is("x<y c<a y a", 1, "* x\n| * c\n* | y\n /\n* a\n");
	drawn_is("c<a x<y b<a a y", 1, "* c\n| * x\n| | * b\n| |/\n|/|\n* | a\n /\n* y\n");
	drawn_is(
	    "c<a x<y b<a z a y z", 1, "* c\n| * x\n| | * b\n| | | * z\n| |/\n|/|\n* | a\n /\n* y\n* z\n");
	/* Three parents at once, and the same parent twice in lanes. */
	drawn_is("e<bcd d<a c<a b<a a", 1, "* e\n|\\\n| |\\\n| | * d\n| * | c\n* | | b\n|/ /\n|/\n* a\n");
	drawn_is("e<ab b<a a", 1, "* e\n|\\\n| * b\n|/\n* a\n");
	drawn_is("f<ed x<a e<a d<a a", 1, "* f\n|\\\n| | * x\n* | | e\n| * | d\n|/ /\n|/\n* a\n");
}

static void json(void **state)
{
	(void)state;
	struct page_json json = {.to = open_page(false).to};
	page_json_begin(&json, NULL, '[');
	page_json_begin(&json, NULL, '{');
	page_json_text(&json, "a\"", "x\n\\\033\xff\xc3\xa9\xe2\x82");
	page_json_text(&json, "b", NULL);
	page_json_begin(&json, "c", '[');
	page_json_number(&json, NULL, -3);
	page_json_flag(&json, NULL, true);
	page_json_end(&json, ']');
	page_json_begin(&json, "d", '[');
	page_json_end(&json, ']');
	page_json_as_is(&json, "e", "{}");
	page_json_as_is(&json, "f", NULL);
	page_json_end(&json, '}');
	page_json_begin(&json, NULL, '{');
	page_json_end(&json, '}');
	page_json_end(&json, ']');
	written_is("[{\"a\\\"\": \"x\\n\\\\\\u001b\\ufffd\xc3\xa9\\ufffd\\ufffd\", \"b\": null, \"c\": [-3, "
		   "true], \"d\": [], "
		   "\"e\": {}, \"f\": null},\n {}]\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts_are_safe),
	    cmocka_unit_test(columns),
	    cmocka_unit_test(measures),
	    cmocka_unit_test(lanes_are_drawn),
	    cmocka_unit_test(json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
