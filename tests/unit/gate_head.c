#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "gate/head.h"
#include "gate/lease.h"

#define HEAD_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_sets_have_one_canonical_text(void **state)
{
	static const struct {
		const char *written, *canonical;
	} rows[] = {
	    {"9f2c1e7a", "9f2c1e7a"},
	    {"b+a", "a+b"},
	    {"a+b", "a+b"},
	    {"b+a+b+a", "a+b"},
	    {"10+9", "10+9"}, /* bytewise, not by number */
	    {"ab+a", "a+ab"}, /* a prefix comes first */
	    {"A+a+_", "A+_+a"},
	    {"1.2.3", "1.2.3"},
	    {"add-users:2", "add-users:2"},
	    {"!#$%&()*-./:<=>?[]^_`{|}~", "!#$%&()*-./:<=>?[]^_`{|}~"},
	    {HEAD_64, HEAD_64},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct heads heads = heads_none();
		const char *why = NULL;
		assert_true(heads_parse(rows[i].written, strlen(rows[i].written), &heads, &why));
		assert_string_equal(heads.text, rows[i].canonical);
		assert_string_equal(heads_text(&heads), rows[i].canonical);
		assert_false(heads_is_none(&heads));

		struct heads copy = heads_copy(&heads);
		assert_true(heads_equal(&heads, &copy));
		assert_ptr_not_equal(heads.text, copy.text);
		heads_free(&heads);
		heads_free(&copy);
		assert_true(heads_is_none(&heads));
	}
}

static void test_what_is_no_set(void **state)
{
	static const char *const rows[] = {"", "+", "+a", "a+", "a++b", " a", "a ", "a b", "a,b", "a@b",
	    "a;b", "a'b", "a\"b", "a\\b", "a\tb", "a\nb", "caf\xc3\xa9", "\x7f", HEAD_64 "x",
	    "a+" HEAD_64 "x"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct heads heads = {.text = (char *)"untouched"};
		const char *why = NULL;
		assert_false(heads_parse(rows[i], strlen(rows[i]), &heads, &why));
		assert_non_null(why);
		assert_string_equal(heads.text, "untouched");
	}
}

static void test_every_byte(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char text[3] = {'a', (char)c, 'b'};
		struct heads heads = heads_none();
		const char *why = NULL;
		bool expected = c > 0x20 && c < 0x7f && memchr("+,@;'\"\\", c, 7) == NULL;
		bool set = c == '+';
		assert_int_equal(heads_parse(text, 3, &heads, &why), expected || set);
		assert_int_equal(heads_count(&heads), set ? 2 : expected ? 1 : 0);
		heads_free(&heads);
	}
}

static void test_not_read_past_its_length(void **state)
{
	struct heads heads = heads_none();
	const char *why = NULL;
	char *exact = malloc(3);

	(void)state;
	memcpy(exact, "b+a", 3);
	assert_true(heads_parse(exact, 3, &heads, &why));
	assert_string_equal(heads.text, "a+b");
	heads_free(&heads);
	assert_true(heads_parse(exact, 1, &heads, &why));
	assert_string_equal(heads.text, "b");
	heads_free(&heads);
	free(exact);
}

static void test_at_most_sixteen(void **state)
{
	char text[17 * 3 + 1] = "";
	struct heads heads = heads_none();
	const char *why = NULL;

	(void)state;
	for (int i = 0; i < 16; i++) {
		char revision[4] = {(char)('a' + i), '1', '+', '\0'};
		strcat(text, revision);
	}
	size_t size = strlen(text) - 1; /* less the last '+' */
	assert_true(heads_parse(text, size, &heads, &why));
	assert_int_equal(heads_count(&heads), 16);

	/* One it has already is no further one; a seventeenth is refused and leaves the set. */
	assert_true(heads_add(&heads, "c1", 2, &why));
	assert_false(heads_add(&heads, "zz", 2, &why));
	assert_int_equal(heads_count(&heads), 16);
	heads_free(&heads);

	strcat(text, "zz");
	assert_false(heads_parse(text, strlen(text), &heads, &why));
}

static void test_rows_add_up(void **state)
{
	struct heads heads = heads_none();
	const char *why = NULL;

	(void)state;
	assert_true(heads_add(&heads, "b", 1, &why));
	assert_string_equal(heads.text, "b");
	assert_true(heads_add(&heads, "a", 1, &why));
	assert_true(heads_add(&heads, "c", 1, &why));
	assert_true(heads_add(&heads, "b", 1, &why));
	assert_string_equal(heads.text, "a+b+c");
	assert_false(heads_add(&heads, "", 0, &why));
	assert_false(heads_add(&heads, "d+e", 3, &why)); /* one revision, not a set */
	assert_string_equal(heads.text, "a+b+c");
	heads_free(&heads);
}

static void test_none(void **state)
{
	struct heads none = heads_none(), other = heads_none(), some = {.text = (char *)"a"};

	(void)state;
	assert_true(heads_is_none(&none));
	assert_true(heads_is_none(NULL));
	assert_string_equal(heads_text(&none), "none");
	assert_int_equal(heads_count(&none), 0);
	assert_true(heads_equal(&none, &other));
	assert_false(heads_equal(&none, &some));
	assert_false(heads_equal(&some, &none));
	heads_free(&none);
	heads_free(NULL);
}

static void test_lease_is_counted(void **state)
{
	struct lease *lease = lease_new(), *second = lease_ref(lease), *nothing = NULL;

	(void)state;
	assert_int_equal(lease_deadline(lease), 0);
	atomic_store(&lease->deadline_ns, 42);
	lease_unref(&lease);
	assert_null(lease);
	assert_int_equal(lease_deadline(second), 42);
	lease_unref(&second);
	assert_null(second);
	lease_unref(&nothing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sets_have_one_canonical_text),
	    cmocka_unit_test(test_what_is_no_set),
	    cmocka_unit_test(test_every_byte),
	    cmocka_unit_test(test_not_read_past_its_length),
	    cmocka_unit_test(test_at_most_sixteen),
	    cmocka_unit_test(test_rows_add_up),
	    cmocka_unit_test(test_none),
	    cmocka_unit_test(test_lease_is_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
