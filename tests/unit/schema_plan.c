/* Plans: the steps from what the ledger has to a target, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/digest.h"
#include "schema/plan.h"
#include "schema_catalog_text.h"
#include "schema_graph_text.h"

#define LINEAR                                                                                               \
	"1_a.sql", "-- migrate:up\nCREATE TABLE a ();\n-- migrate:down\nDROP TABLE a;\n", "2_b.sql",         \
	    "-- migrate:up hold:none\nSELECT 2;\n-- migrate:down hold:none\nSELECT -2;\n", "3_c.sql",        \
	    "-- migrate:up\nSELECT 3;\n-- migrate:down\nSELECT -3;\n"

static struct catalog *catalog;

static void parse(const char *const *pairs)
{
	struct catalog_defects defects = {.count = 0};
	catalog_free(&catalog);
	catalog = catalog_text_parse(pairs, NULL, &defects);
	if (catalog == NULL)
		fail_msg("defect: %s", defects.lines[0]);
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

/* The ledger: heads, and what is applied: its name and its checksum as the catalog has it, "x" for another,
 * or none. "1 2 3:x 4:?" */
struct case_of {
	const char *heads, *applied, *target;
	bool down;
	enum plan_late late;
	bool accept_changed;
};

static const char *checksum_of(const char *name, char out[65])
{
	unsigned place;
	out[0] = '\0';
	for (unsigned i = 0; i < catalog_repeatable_count(catalog); i++) {
		if (strcmp(catalog_repeatable_at(catalog, i)->file, name) == 0)
			catalog_checksum(&catalog_repeatable_at(catalog, i)->up, digest_sha256, out);
	}
	if (graph_find(catalog_graph(catalog), name, strlen(name), &place))
		catalog_checksum(&catalog_at(catalog, place)->up, digest_sha256, out);
	return out;
}

static bool plan_of(const struct case_of *c, struct plan *plan, char **why)
{
	static char sums[32][65], words[400];
	struct plan_applied applied[32], repeatable[32];
	struct plan_ledger ledger = {
	    .heads = graph_text_heads(c->heads), .applied = applied, .repeatable = repeatable};
	char *save = NULL;
	snprintf(words, sizeof(words), "%s", c->applied);
	for (char *word = strtok_r(words, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		char *mark = strchr(word, ':');
		if (mark != NULL)
			*mark++ = '\0';
		unsigned n = ledger.applied_count + ledger.repeatable_count;
		struct plan_applied row = {.name = word, .checksum = checksum_of(word, sums[n])};
		if (mark != NULL)
			row.checksum = strcmp(mark, "?") == 0 ? NULL : mark;
		if (strncmp(word, "R__", 3) == 0)
			repeatable[ledger.repeatable_count++] = row;
		else
			applied[ledger.applied_count++] = row;
	}
	const struct plan_request request = {.catalog = catalog,
	    .ledger = &ledger,
	    .target = c->target,
	    .digest = digest_sha256,
	    .late = c->late,
	    .accept_changed = c->accept_changed};
	bool fine = c->down ? plan_down(&request, plan, why) : plan_up(&request, plan, why);
	heads_free(&ledger.heads);
	return fine;
}

/* "up 1 none>1; up 2~ 1>2 [0,1)": ~ flowing, ! outside, * late, 0 without a statement; the steps that hold */
static void plan_is(const struct case_of *c, const char *wanted)
{
	struct plan plan;
	char *why = NULL, *got = NULL;
	size_t size;
	if (!plan_of(c, &plan, &why))
		fail_msg("refused: %s", why);
	FILE *to = open_memstream(&got, &size);
	for (unsigned i = 0; i < plan.count; i++) {
		const struct plan_step *s = &plan.at[i];
		fprintf(to, "%s%s %s%s%s%s%s %s>%s", i > 0 ? "; " : "", plan_kind_name(s->kind), s->revision,
		    s->flowing ? "~" : "", s->outside ? "!" : "", s->late ? "*" : "",
		    s->section->statements == 0 ? "0" : "", heads_text(&s->before), heads_text(&s->after));
		assert_int_equal(strlen(s->checksum), 64);
	}
	fprintf(to, " [%u,%u) %s>%s", plan.hold_begin, plan.hold_end, heads_text(&plan.from),
	    heads_text(&plan.to));
	fclose(to);
	if (strcmp(got, wanted) != 0)
		fail_msg("got  %s\nnot  %s", got, wanted);
	free(got);
	plan_free(&plan);
}

static void plan_fails(const struct case_of *c, const char *wanted)
{
	struct plan plan;
	char *why = NULL;
	assert_false(plan_of(c, &plan, &why));
	assert_int_equal(plan.count, 0);
	if (strcmp(why, wanted) != 0)
		fail_msg("got\n%s\nnot\n%s", why, wanted);
	mem_free(&why);
}
#define IS(wanted, ...)    plan_is(&(struct case_of){__VA_ARGS__}, wanted)
#define UP(h, a, t)        .heads = (h), .applied = (a), .target = (t)
#define DOWN(h, a, t)      UP(h, a, t), .down = true
#define FAILS(wanted, ...) plan_fails(&(struct case_of){__VA_ARGS__}, wanted)

static void ways(void **state)
{
	(void)state;
	PARSE(LINEAR);
	IS("up 1 none>1; up 2~ 1>2; up 3 2>3 [0,3) none>3", UP("", "", "head"));
	IS("up 2~ 1>2 [0,0) 1>2", UP("1", "1", "2"));
	IS("up 2~ 1>2; up 3 2>3 [1,2) 1>3", UP("1", "1", "head"));
	IS(" [0,0) 3>3", UP("3", "1 2 3", "head"));
	IS("down 3 3>2; down 2~ 2>1; down 1 1>none [0,3) 3>none", DOWN("3", "1 2 3", "base"));
	IS("down 3 3>2 [0,1) 3>2", DOWN("3", "1 2 3", "-1"));
	IS("up 2~ 1>2 [0,0) 1>2", UP("", "", "1:2"));
	/* heads by stamp, or by `exec --to`: nothing is known of files */
	IS("up 3 2>3 [0,1) 2>3", UP("2", "", "head"));
	IS("up 3 2>3 [0,1) 2>3", UP("2", "1:? 2:?", "head"));
}

static void what_is_recorded_may_be_more_than_the_graph_needs(void **state)
{
	(void)state;
	PARSE("a.sql", "-- revises: base\n-- migrate:up\nSELECT 1;", "b.sql",
	    "-- revises: base\n-- migrate:up\nSELECT 2;", "m.sql",
	    "-- revises: a, b\n-- migrate:up\n-- migrate:down\n", "x.sql",
	    "-- revises: m\n-- migrate:up\nSELECT 3;\n-- migrate:down\nSELECT 4;");
	IS("up a none>a; up b a>a+b; up m~0 a+b>m; up x m>x [0,4) none>x", UP("", "", "heads"));
	IS("up m~0 a+b>m; up x m>x [1,2) a+b>x", UP("a+b", "a b", "head"));
	/* a and m recorded: a is beneath m */
	IS("up x a+m>x [0,1) a+m>x", UP("a+m", "a b m", "head"));
	IS("down x x>m; down m~0 m>a+b [0,1) x>a+b", DOWN("x", "a b m x", "a"));
}

static void outside_of_a_transaction(void **state)
{
	(void)state;
	PARSE("1_a.sql", "-- migrate:up transaction:false\nSELECT 1;", "2_b.sql",
	    "-- migrate:up\nCREATE INDEX CONCURRENTLY i ON t (n);", "3_c.sql",
	    "-- migrate:up\nBEGIN;\nSELECT 1;\nCOMMIT;", "4_d.sql",
	    "-- migrate:up\nSELECT 1;\nCOMMIT;\nSELECT 2;", "5_e.sql",
	    "-- migrate:up\nSAVEPOINT s;\nROLLBACK TO s;", "6_f.sql",
	    "-- migrate:up hold:none\nROLLBACK;\nVACUUM;");
	IS("up 1! none>1; up 2! 1>2; up 3 2>3; up 4! 3>4; up 5 4>5; up 6~! 5>6 [0,5) none>6",
	    UP("", "", "head"));
}

static void changed_files(void **state)
{
	(void)state;
	PARSE(LINEAR);
	FAILS("a file has changed since it was applied: put back what was applied and write the change as a "
	      "new migration, or accept it as it is with --accept-changed\n"
	      "1_a.sql:1: revision 1: its checksum was 0123456789ab when it was applied and is 1938d2212d96 "
	      "now",
	    UP("2", "1:0123456789abcdef 2", "head"));
	IS("up 3 2>3 [0,1) 2>3", UP("2", "1:0123 2", "head"), .accept_changed = true);
	/* Down: only what is undone matters. */
	IS("down 2~ 2>1 [0,0) 2>1", DOWN("2", "1:0123 2", "1"));
	FAILS("2 files have changed since they were applied: put back what was applied and write the change "
	      "as a new migration, or accept it as it is with --accept-changed\n"
	      "3_c.sql:1: revision 3: its checksum was y when it was applied and is fa4a71571fc2 now\n"
	      "2_b.sql:1: revision 2: its checksum was x when it was applied and is a41109d24069 now",
	    DOWN("3", "1 2:x 3:y", "1"));
}

static void late_files(void **state)
{
	static const char refused[] =
	    "a migration stands before what is recorded and was never applied: give them a place behind it, "
	    "or run them now with --late run, or leave them out with --late leave\n"
	    "2_b.sql:1: revision 2";
	(void)state;
	PARSE(LINEAR);
	FAILS(refused, UP("3", "1 3", "head"));
	IS("up 2~* 3>3 [0,0) 3>3", UP("3", "1 3", "head"), .late = PLAN_LATE_RUN);
	IS(" [0,0) 3>3", UP("3", "1 3", "head"), .late = PLAN_LATE_LEAVE);
	FAILS(refused, DOWN("3", "1 3", "base"));
	IS("down 3 3>2 [0,1) 3>2", DOWN("3", "1 3", "2"));
	IS("down 3 3>2; down 2~0 2>1; down 1 1>none [0,3) 3>none", DOWN("3", "1 3", "base"),
	    .late = PLAN_LATE_LEAVE);
	IS("down 3 3>2; down 2~0 2>1; down 1 1>none [0,3) 3>none", DOWN("3", "1 3", "base"),
	    .late = PLAN_LATE_RUN);
}

static void repeatables(void **state)
{
	(void)state;
	PARSE("V1__a.sql", "SELECT 1;", "R__views.sql", "SELECT 2;", "R__more.sql", "SELECT 3;");
	IS("up 1 none>1; repeat R__more.sql 1>1; repeat R__views.sql 1>1 [0,3) none>1", UP("", "", "head"));
	IS("repeat R__views.sql 1>1 [0,1) 1>1", UP("1", "1 R__more.sql", "head"));
	IS("repeat R__more.sql 1>1 [0,1) 1>1", UP("1", "1 R__more.sql:old R__views.sql", "head"));
	IS(" [0,0) 1>1", UP("1", "1 R__more.sql R__views.sql", "head"));
}

static void what_cannot_be_gone(void **state)
{
	(void)state;
	PARSE("1_a.sql", "-- migrate:up\nSELECT 1;", "2_b.sql", "-- migrate:up\nSELECT 2;");
	FAILS("the way down cannot be gone: write the sections that are missing, or restore a backup\n"
	      "2_b.sql: revision 2 has no way down",
	    DOWN("2", "1 2", "1"));
	struct plan plan;
	char *why = NULL;
	assert_false(plan_of(&(struct case_of){UP("9", "9", "head")}, &plan, &why));
	assert_non_null(strstr(why, "9"));
	mem_free(&why);
	assert_false(plan_of(&(struct case_of){UP("", "", "nope")}, &plan, &why));
	assert_non_null(strstr(why, "nope"));
	mem_free(&why);
}

static void the_graph_as_json(void **state)
{
	(void)state;
	PARSE("a_one.sql", "-- revises: base\n-- labels: l1, l2\n-- migrate:up compatible\nSELECT 1;",
	    "b.sql", "-- revises: a\n-- message: say \"hi\" \\ there\n-- migrate:up\nSELECT 2;", "m.sql",
	    "-- revises: b\n-- depends-on: a\n-- migrate:up\nSELECT 3;");
	char *json = plan_publication(catalog, digest_sha256), sum[3][65];
	for (unsigned i = 0; i < 3; i++)
		catalog_checksum(&catalog_at(catalog, i)->up, digest_sha256, sum[i]);
	char *wanted = mem_printf(
	    "[{\"revision\":\"a\",\"parents\":[],\"depends\":[],\"labels\":[\"l1\",\"l2\"],\"compatible\":"
	    "true,"
	    "\"message\":\"one\",\"checksum\":\"%s\"},\n"
	    "{\"revision\":\"b\",\"parents\":[\"a\"],\"depends\":[],\"labels\":[],\"compatible\":false,"
	    "\"message\":\"say \\\"hi\\\" \\\\ there\",\"checksum\":\"%s\"},\n"
	    "{\"revision\":\"m\",\"parents\":[\"b\"],\"depends\":[\"a\"],\"labels\":[],\"compatible\":false,"
	    "\"message\":\"\",\"checksum\":\"%s\"}]",
	    sum[0], sum[1], sum[2]);
	assert_string_equal(json, wanted);
	mem_free(&json);
	mem_free(&wanted);
	unsigned char hash[32];
	digest_sha256("abc", 3, hash);
	assert_int_equal(hash[0], 0xba);
	assert_int_equal(hash[31], 0xad);
}

static void many(void **state)
{
	(void)state;
	enum { MANY = 3000 };
	const char **pairs = mem_zalloc((2 * MANY + 1) * sizeof(*pairs));
	for (int i = 0; i < MANY; i++) {
		pairs[2 * i] = mem_printf("%05d_x.sql", i);
		pairs[2 * i + 1] = "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;";
	}
	parse(pairs);
	struct plan plan;
	char *why = NULL;
	assert_true(plan_of(&(struct case_of){UP("", "", "head")}, &plan, &why));
	assert_int_equal(plan.count, MANY);
	for (unsigned i = 1; i < plan.count; i++)
		assert_string_equal(heads_text(&plan.at[i].before), heads_text(&plan.at[i - 1].after));
	plan_free(&plan);
	for (int i = 0; i < MANY; i++) {
		char *name = (char *)(uintptr_t)pairs[2 * i];
		mem_free(&name);
	}
	mem_free(&pairs);
}

static int done(void **state)
{
	(void)state;
	catalog_free(&catalog);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ways),
	    cmocka_unit_test(what_is_recorded_may_be_more_than_the_graph_needs),
	    cmocka_unit_test(outside_of_a_transaction),
	    cmocka_unit_test(changed_files),
	    cmocka_unit_test(late_files),
	    cmocka_unit_test(repeatables),
	    cmocka_unit_test(what_cannot_be_gone),
	    cmocka_unit_test(the_graph_as_json),
	    cmocka_unit_test(many),
	};
	return cmocka_run_group_tests(tests, NULL, done);
}
