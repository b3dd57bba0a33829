#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "proto/frame.h"
#include "proto/startup.h"

static const enum declare_carrier all[] = {
    DECLARE_OPTIONS, DECLARE_PARAMETER, DECLARE_DATABASE, DECLARE_APPLICATION_NAME, DECLARE_LISTENER};

static void parse(struct startup *startup, const char *const *strings)
{
	uint8_t packet[4096] = {0};
	size_t size = 8;
	const char *why = NULL;

	frame_put32(packet + 4, 196608);
	for (; *strings != NULL; strings++) {
		memcpy(packet + size, *strings, strlen(*strings) + 1);
		size += strlen(*strings) + 1;
	}
	size++;
	frame_put32(packet, (uint32_t)size);
	assert_true(startup_parse(packet, size, startup, &why));
}

#define PARSE(startup, ...) parse((startup), (const char *const[]){"user", "ann", __VA_ARGS__, NULL})

static void declares(const struct startup *startup, const enum declare_carrier *enabled, unsigned count,
    const char *listener, enum declare_carrier carrier, const char *head, const char *database)
{
	struct declared declared;

	startup_declared(startup, enabled, count, listener, &declared);
	assert_string_equal(declare_carrier_names[declared.carrier], declare_carrier_names[carrier]);
	if (head == NULL)
		assert_null(declared.head);
	else
		assert_string_equal(declared.head, head);
	assert_string_equal(declared.database, database);
	declared_free(&declared);
	assert_null(declared.head);
	assert_null(declared.database);
	declared_free(&declared);
}

static void test_each_carrier_in_its_turn(void **state)
{
	struct startup startup;

	(void)state;
	PARSE(&startup, "database", "shop@d", "options", "-c headgate.head=o", "headgate.head", "p",
	    "application_name", "head=a");
	declares(&startup, all, 5, "l", DECLARE_OPTIONS, "o", "shop");
	declares(&startup, all + 1, 4, "l", DECLARE_PARAMETER, "p", "shop");
	declares(&startup, all + 2, 3, "l", DECLARE_DATABASE, "d", "shop");
	declares(&startup, all + 3, 2, "l", DECLARE_APPLICATION_NAME, "a", "shop@d"); /* not ours to cut */
	declares(&startup, all + 4, 1, "l", DECLARE_LISTENER, "l", "shop@d");
	declares(&startup, all + 4, 1, NULL, DECLARE_NONE, NULL, "shop@d");
	declares(&startup, all, 0, "l", DECLARE_NONE, NULL, "shop@d");

	/* The order is the caller's. */
	static const enum declare_carrier turned[] = {DECLARE_LISTENER, DECLARE_DATABASE};
	declares(&startup, turned, 2, "l", DECLARE_LISTENER, "l", "shop");
	declares(&startup, turned, 2, NULL, DECLARE_DATABASE, "d", "shop");
	startup_free(&startup);

	PARSE(&startup, "database", "shop");
	declares(&startup, all, 5, NULL, DECLARE_NONE, NULL, "shop");
	declares(&startup, all, 5, "l", DECLARE_LISTENER, "l", "shop");
	startup_free(&startup);
}

/* What is present is declared, however bad: the caller refuses it with a reason, it does not fall through to
 * the next carrier. */
static void test_a_bad_head_is_handed_on(void **state)
{
	struct startup startup;

	(void)state;
	PARSE(&startup, "database", "shop@", "application_name", "x");
	declares(&startup, all, 5, "l", DECLARE_DATABASE, "", "shop");
	startup_free(&startup);
	PARSE(&startup, "database", "shop@a@b c");
	declares(&startup, all, 5, "l", DECLARE_DATABASE, "a@b c", "shop");
	startup_free(&startup);
	PARSE(&startup, "options", "-c headgate.head=a\\ b;drop", "database", "shop");
	declares(&startup, all, 5, "l", DECLARE_OPTIONS, "a b;drop", "shop");
	startup_free(&startup);
	PARSE(&startup, "options", "-c headgate.head=", "headgate.head", "p", "database", "shop");
	declares(&startup, all, 5, "l", DECLARE_OPTIONS, "", "shop");
	startup_free(&startup);
	PARSE(&startup, "headgate.head", "", "database", "shop");
	declares(&startup, all, 5, "l", DECLARE_PARAMETER, "", "shop");
	startup_free(&startup);
}

static void test_the_last_of_doubles(void **state)
{
	struct startup startup;

	(void)state;
	PARSE(
	    &startup, "options", "-c headgate.head=a --HEADGATE.head=b -c work_mem=1MB", "database", "shop");
	declares(&startup, all, 5, NULL, DECLARE_OPTIONS, "b", "shop");
	startup_free(&startup);
	PARSE(&startup, "headgate.head", "a", "HEADGATE.HEAD", "b");
	declares(&startup, all, 5, NULL, DECLARE_PARAMETER, "b", "ann");
	startup_free(&startup);
	PARSE(&startup, "options", "-c headgate.head=a", "options",
	    "-c work_mem=1MB"); /* the first is not in force */
	declares(&startup, all, 5, NULL, DECLARE_NONE, NULL, "ann");
	startup_free(&startup);
}

static void test_application_name(void **state)
{
	static const struct {
		const char *name, *head;
	} rows[] = {
	    {"head=9f", "9f"},
	    {"web head=9f", "9f"},
	    {"web head=9f pid=3", "9f"},
	    {"web;head=9f;x", "9f"},
	    {"web,head=a+b,x", "a+b"},
	    {"'head=9f'", "9f"},
	    {"overhead=1", NULL},
	    {"overhead=1 head=2", "2"},
	    {"head=1 head=2", "1"},
	    {"x+head=1", NULL},
	    {"HEAD=9f", NULL},
	    {"head =9f", NULL},
	    {"head=", ""},
	    {"head= x", ""},
	    {"head=head=1", "head=1"},
	    {"caf\xc3\xa9head=1", "1"},
	    {"head=1\xc3\xa9", "1"},
	    {"", NULL},
	    {"hea", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct startup startup;
		PARSE(&startup, "application_name", rows[i].name);
		declares(&startup, all, 5, NULL,
		    rows[i].head == NULL ? DECLARE_NONE : DECLARE_APPLICATION_NAME, rows[i].head, "ann");
		startup_free(&startup);
	}
}

static void base_is(const char *database, const char *expected)
{
	struct startup startup;

	PARSE(&startup, "database", database);
	char *base = startup_database_base(&startup);
	assert_string_equal(base, expected);
	mem_free(&base);
	startup_free(&startup);
}

static void test_database_base(void **state)
{
	(void)state;
	base_is("shop", "shop");
	base_is("shop@9f", "shop");
	base_is("shop@9f@x", "shop");
	base_is("@9f", "ann"); /* no name: the user's, as the server has it */
	base_is("", "ann");
}

/* The server looks at 63 bytes of a name. A longer one must not reach the same database by another section's
 * gate. */
static void test_a_name_is_as_long_as_the_servers(void **state)
{
	char sixty_three[64], longer[80], suffixed[200];
	struct startup startup;

	(void)state;
	memset(sixty_three, 'd', 63);
	sixty_three[63] = '\0';
	strcpy(longer, sixty_three);
	strcat(longer, "more");
	base_is(sixty_three, sixty_three);
	base_is(longer, sixty_three);
	strcpy(suffixed, longer);
	strcat(suffixed, "@9f2c");
	base_is(suffixed, sixty_three);
	PARSE(&startup, "database", suffixed);
	declares(&startup, all, 5, NULL, DECLARE_DATABASE, "9f2c", sixty_three);
	declares(&startup, all, 1, NULL, DECLARE_NONE, NULL, sixty_three);
	startup_free(&startup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_carrier_in_its_turn),
	    cmocka_unit_test(test_a_bad_head_is_handed_on),
	    cmocka_unit_test(test_the_last_of_doubles),
	    cmocka_unit_test(test_application_name),
	    cmocka_unit_test(test_database_base),
	    cmocka_unit_test(test_a_name_is_as_long_as_the_servers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
