/* The graph, by tables: targets and paths as Alembic has them, relations, what is accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "schema_graph_text.h"

static struct graph *must(const char *line)
{
	struct catalog_defects defects = {.count = 0};
	struct graph *graph = graph_text_new(line, &defects);
	if (graph == NULL)
		fail_msg("%s: %s", line, defects.lines[0]);
	return graph;
}

/* "+a:a +b:b" : steps and what is recorded after each; "!..." what is wrong. */
static char *path_text(bool fine, const struct graph *graph, const struct graph_path *path, char *why)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	if (!fine)
		fprintf(to, "!%s", why);
	for (unsigned i = 0; fine && i < path->count; i++)
		fprintf(to, "%s%c%s:%s", i == 0 ? "" : " ", path->down ? '-' : '+',
		    graph_at(graph, path->at[i].place)->id,
		    heads_is_none(&path->at[i].after) ? "" : path->at[i].after.text);
	fclose(to);
	return text;
}

static char *places_text(bool fine, const struct graph *graph, const struct graph_places *places, char *why)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	if (!fine)
		fprintf(to, "!%s", why);
	for (unsigned i = 0; fine && i < places->count; i++)
		fprintf(to, "%s%s", i == 0 ? "" : " ", graph_at(graph, places->at[i])->id);
	fclose(to);
	return text;
}

static void expect(const char *what, char *got, const char *wanted)
{
	/* An error is told by a part of its text. */
	if (wanted[0] == '!' ? got[0] != '!' || strstr(got, wanted + 1) == NULL : strcmp(got, wanted) != 0)
		fail_msg("%s: <%s>, not <%s>", what, got, wanted);
	free(got);
}

struct row {
	const char *recorded, *target, *wanted;
};

static void ways(const char *line, const struct row *rows, size_t count, bool down)
{
	struct graph *graph = must(line);
	for (size_t i = 0; i < count; i++) {
		struct heads recorded = graph_text_heads(rows[i].recorded);
		struct graph_path path = {.count = 0};
		char *why = NULL;
		bool fine =
		    (down ? graph_downgrade : graph_upgrade)(graph, &recorded, rows[i].target, &path, &why);
		assert_int_equal(fine, why == NULL);
		expect(rows[i].target, path_text(fine, graph, &path, why), rows[i].wanted);
		mem_free(&why);
		graph_path_free(&path);
		heads_free(&recorded);
	}
	graph_free(&graph);
	assert_null(graph);
}
#define WAYS(line, rows, down) ways(line, rows, sizeof(rows) / sizeof(rows[0]), down)

#define LINE                   "aaaa1; aaab2<aaaa1; ccc3<aaab2; ddd4<ccc3"
/* two branches from a common base, merged */
#define FORK   "base0; a1<base0 @left; a2<a1; b1<base0 @right; b2<b1; m<a2,b2; n<m"
#define FORKED "base0; a1<base0 @left; a2<a1; b1<base0 @right; b2<b1"
/* two bases; b2 depends on a1 */
#define APART "a1 @a; a2<a1; b1 @b; b2<b1 >a1; b3<b2"

static void the_way_up(void **state)
{
	(void)state;
	static const struct row line[] = {
	    {"", "head", "+aaaa1:aaaa1 +aaab2:aaab2 +ccc3:ccc3 +ddd4:ddd4"},
	    {"aaab2", "heads", "+ccc3:ccc3 +ddd4:ddd4"},
	    {"ddd4", "head", ""},
	    {"ddd4", "aaab2", ""},
	    {"", "aaab", "+aaaa1:aaaa1 +aaab2:aaab2"},
	    {"", "aaa", "!four characters"},
	    {"", "ccc3", "+aaaa1:aaaa1 +aaab2:aaab2 +ccc3:ccc3"},
	    {"", "zzzz", "!no revision or label zzzz"},
	    {"", "+1", "+aaaa1:aaaa1"},
	    {"aaaa1", "+2", "+aaab2:aaab2 +ccc3:ccc3"},
	    {"ccc3", "+2", "!after 1 of 2 steps up: nothing comes after"},
	    {"", "aaaa1+1", "+aaaa1:aaaa1 +aaab2:aaab2"},
	    {"aaaa1", "head-1", "+aaab2:aaab2 +ccc3:ccc3"},
	    {"", "base+2", "+aaaa1:aaaa1 +aaab2:aaab2"},
	    {"", "ddd4+1", "!ddd4 is a head"},
	    {"", "aaaa1-2", "!after 1 of 2 steps: base is where it begins"},
	    {"ddd4", "-1", "!no way up"},
	    {"zzz", "head", "!revision zzz is recorded"},
	    {"ddd4", "aaaa1:ccc3", "+aaab2:aaab2 +ccc3:ccc3"},
	    {"ddd4", ":aaab2", "+aaaa1:aaaa1 +aaab2:aaab2"},
	    {"", "ccc3:", "+ddd4:ddd4"},
	    {"aaaa1", "current:aaab2", "+aaab2:aaab2"},
	    {"", "base", ""},
	    {"", "", "!empty"},
	    {"", "aaab2,ccc3", "+aaaa1:aaaa1 +aaab2:aaab2 +ccc3:ccc3"},
	    {"", "aaab2,", "!empty"},
	    {"", "@head", "!empty"},
	    {"", "ccc3@head", "+aaaa1:aaaa1 +aaab2:aaab2 +ccc3:ccc3 +ddd4:ddd4"},
	};
	WAYS(LINE, line, false);
	static const struct row fork[] = {
	    {"", "head", "+base0:base0 +a1:a1 +a2:a2 +b1:a2+b1 +b2:a2+b2 +m:m +n:n"}, {"a2+b2", "+1", "+m:m"},
	    {"a1+b1", "right@+1", "+b2:a1+b2"}, {"a2+b2", "left@+1", "+m:m"},
	    {"a2+b1", "left@+1", "+b2:a2+b2 +m:m"}, /* a merge brings its other side along */
	    {"base0", "+1", "!which one comes next? There are a1 (g:2), b1 (g:4)"},
	    {"base0", "left@+1", "+a1:a1"}, {"", "m-1", "!which way from m"},
	    {"", "left@m-1", "+base0:base0 +a1:a1 +a2:a2"}, {"", "right@a1", "!a1 is not on branch right"},
	    {"a1+b1", "+1", "!which one comes next"},
	    {"a2", "+1", "+b1:a2+b1 +b2:a2+b2 +m:m"}, /* from where it is: b1 is not after a2 */
	};
	WAYS(FORK, fork, false);
	static const struct row forked[] = {
	    {"", "head", "!there are 2 heads: a2 (g:3), b2 (g:5)"},
	    {"", "heads", "+base0:base0 +a1:a1 +a2:a2 +b1:a2+b1 +b2:a2+b2"},
	    {"", "left@head", "+base0:base0 +a1:a1 +a2:a2"},
	    {"a1", "b1@head", "+b1:a1+b1 +b2:a1+b2"},
	    {"a1+b1", "right@heads", "+b2:a1+b2"},
	    {"a1+b2", "b2", ""},
	    {"", "left", "+base0:base0 +a1:a1"}, /* a label alone is its revision */
	    {"", "nosuch@head", "!no revision or label nosuch"},
	};
	WAYS(FORKED, forked, false);
	static const struct row apart[] = {
	    {"", "heads", "+a1:a1 +a2:a2 +b1:a2+b1 +b2:a2+b2 +b3:a2+b3"},
	    {"", "b@head", "+a1:a1 +b1:a1+b1 +b2:b2 +b3:b3"}, /* a1 is no head any more: b2 depends on it */
	    {"b3", "a@head", "+a2:a2+b3"},
	    {"", "b@+2", "+a1:a1 +b1:a1+b1 +b2:b2"},
	    {"b1", "+1", "+a1:a1+b1 +b2:b2"},
	    {"", "+1", "!which one comes next? There are a1 (g:1), b1 (g:3)"},
	    {"b3", "a@+1", "+a2:a2+b3"},
	};
	WAYS(APART, apart, false);
}

static void the_way_down(void **state)
{
	(void)state;
	static const struct row line[] = {
	    {"ddd4", "base", "-ddd4:ccc3 -ccc3:aaab2 -aaab2:aaaa1 -aaaa1:"},
	    {"ddd4", "aaab2", "-ddd4:ccc3 -ccc3:aaab2"},
	    {"ddd4", "-1", "-ddd4:ccc3"},
	    {"ddd4", "-4", "-ddd4:ccc3 -ccc3:aaab2 -aaab2:aaaa1 -aaaa1:"},
	    {"ddd4", "-5", "!only 4 steps down are left"},
	    {"aaaa1", "-2", "!only 1 step down is left"},
	    {"", "-1", "!nothing is applied: there is nothing to undo"},
	    {"ddd4", "ddd4-2", "-ddd4:ccc3 -ccc3:aaab2"},
	    {"ddd4", "aaaa1+1", "-ddd4:ccc3 -ccc3:aaab2"},
	    {"ddd4", "aaab2-2", "-ddd4:ccc3 -ccc3:aaab2 -aaab2:aaaa1 -aaaa1:"},
	    {"ddd4", "current-1", "-ddd4:ccc3"},
	    {"aaab2", "ccc3", "!ccc3 is not applied"},
	    {"aaab2", "aaab2", ""},
	    {"", "base", ""},
	    {"ddd4", "+1", "!no way down"},
	    {"", "ccc3:aaaa1", "-ccc3:aaab2 -aaab2:aaaa1"},
	    {"", "ccc3:-1", "-ccc3:aaab2"},
	    {"", "ccc3:base", "-ccc3:aaab2 -aaab2:aaaa1 -aaaa1:"},
	    {"ddd4", "aaaa1,aaab2", "!no revision or label aaaa1,aaab2"},
	};
	WAYS(LINE, line, true);
	static const struct row fork[] = {
	    {"n", "-2", "-n:m -m:a2+b2"},
	    {"n", "-3", "!which one goes first? There are a2 (g:3), b2 (g:5)"},
	    {"n", "a2", "-n:m -m:a2+b2"},
	    {"n", "a1", "-n:m -m:a2+b2 -a2:a1+b2"},
	    {"n", "left@base", "-n:m -m:a2+b2 -b2:a2+b1 -b1:a2 -a2:a1 -a1:base0 -base0:"},
	    {"a2+b2", "left@-1", "-a2:a1+b2"},
	    {"a2+b2", "left@base0", "-a2:a1+b2 -a1:b2"},
	    {"a2+b2", "base0", "-b2:a2+b1 -b1:a2 -a2:a1 -a1:base0"},
	    {"a2+b2", "right@-2", "-b2:a2+b1 -b1:a2"},
	};
	WAYS(FORK, fork, true);
	static const struct row apart[] = {
	    {"a2+b3", "a@base", "-b3:a2+b2 -b2:a2+b1 -a2:a1+b1 -a1:b1"}, /* with what depends on it */
	    {"a2+b3", "b@base", "-b3:a2+b2 -b2:a2+b1 -b1:a2"},
	    {"b3", "b@-1", "-b3:b2"},
	    {"b3", "b1", "-b3:b2 -b2:a1+b1"}, /* a1 shows again */
	    {"b3", "a@-1", "-b3:b2 -b2:a1+b1 -a1:b1"},
	    {"a2+b3", "-1", "!which one goes first"},
	    {"a2+b3", "a2-2", "-b3:a2+b2 -b2:a2+b1 -a2:a1+b1 -a1:b1"},
	    {"a2+b3", "b1-1", "-b3:a2+b2 -b2:a2+b1 -b1:a2"},
	    {"b1", "a2-2", "!nothing of that branch is applied"},
	    {"a2+b3", "base", "-b3:a2+b2 -b2:a2+b1 -b1:a2 -a2:a1 -a1:"},
	    {"a2+b3", "heads", "!more than one revision"},
	};
	WAYS(APART, apart, true);
}

static void what_is_between(void **state)
{
	static const struct {
		const char *line, *recorded, *range, *wanted;
	} rows[] = {
	    {LINE, "", "aaab2:ccc3", "aaab2 ccc3"},
	    {LINE, "", "aaab2:", "aaab2 ccc3 ddd4"},
	    {LINE, "", ":aaab2", "aaaa1 aaab2"},
	    {LINE, "", "base:heads", "aaaa1 aaab2 ccc3 ddd4"},
	    {LINE, "ccc3", "-1:current", "aaab2 ccc3"},
	    {LINE, "ccc3", "current:+1", "ccc3 ddd4"},
	    {LINE, "aaab2", "current:", "aaab2 ccc3 ddd4"},
	    {LINE, "", ":+2", "aaaa1 aaab2"},
	    {LINE, "", "ccc3", "aaaa1 aaab2 ccc3"},
	    {LINE, "", "-1:+1", "!other end"},
	    {LINE, "", "ccc3:aaaa1", ""},
	    {FORKED, "", "left:heads", "a1 a2"},
	    {FORKED, "", "-1:heads", "!several heads"},
	    {FORKED, "", "-1:left@head", "a1 a2"},
	    {APART, "", "a1:b3", "a1 b2 b3"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct graph *graph = must(rows[i].line);
		struct heads recorded = graph_text_heads(rows[i].recorded);
		struct graph_places places = {.count = 0};
		char *why = NULL;
		bool fine = graph_between(graph, &recorded, rows[i].range, &places, &why);
		expect(rows[i].range, places_text(fine, graph, &places, why), rows[i].wanted);
		mem_free(&why);
		graph_places_free(&places);
		heads_free(&recorded);
		graph_free(&graph);
	}
}

static void names_are_found(void **state)
{
	static const struct {
		const char *line, *text, *wanted;
	} rows[] = {
	    {"1; 2<1; 10<2; 20240101<10", "1", "1"},
	    {"1; 2<1; 10<2; 20240101<10", "01", "1"},
	    {"1; 2<1; 10<2; 20240101<10", "2024", "20240101"},
	    {"1; 2<1; 10<2; 20240101<10", "202", "!no revision or label 202"},
	    {"0001; 1.10<0001; 1.9<1.10", "1.9.0", "1.9"},
	    {"0001; 1.10<0001; 1.9<1.10", "1", "0001"},
	    {"0001; 1.10<0001; 1.9<1.10", "1.1", "!no revision"},
	    {"abcd1; abcd2<abcd1", "abcd", "!begins several revisions: abcd1 (g:1), abcd2 (g:2)"},
	    {"abcd1; abcd2<abcd1", "abcd2,abcd1", "abcd1 abcd2"},
	    {"a-1; a<a-1", "a-1", "a-1"}, /* an id that looks like steps is an id */
	    {"2024-01-02; 2024-01-03<2024-01-02", "2024-01-03-1", "2024-01-02"},
	    {"a1; a2<a1", "base", ""},
	    {"a1; a2<a1", "heads", "a2"},
	    {"a1; a2<a1", "current", ""},
	    {"a1; a2<a1", "+1", "!counts from what is recorded"},
	    {"a1; a2<a1", "+9999999999", "!no revision"},
	    {"", "heads", ""},
	    {"", "head", ""},
	    {"", "x", "!no revision"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct graph *graph = must(rows[i].line);
		struct heads recorded = heads_none();
		struct graph_places places = {.count = 0};
		char *why = NULL;
		bool fine = graph_resolve(graph, &recorded, rows[i].text, &places, &why);
		expect(rows[i].text, places_text(fine, graph, &places, why), rows[i].wanted);
		mem_free(&why);
		graph_places_free(&places);
		graph_free(&graph);
	}
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *line;
		unsigned count;
		const char *says; /* of the first */
	} rows[] = {
	    {"a; a", 1, "g:2: revision a is also that of g"},
	    {"a; b<z", 1, "g:2: revision b revises z, which is nowhere here"},
	    {"a; b<a >z", 1, "g:2: revision b depends on z"},
	    {"a<a", 1, "g:1: revision a revises itself"},
	    {"a; b<a >b", 1, "itself"},
	    {"a<c; b<a; c<b", 1, "in a circle: a (g:1), b (g:2), c (g:3)"},
	    {"a; b<a,d; c<b; d<c; e<d", 1, "in a circle: b (g:2), c (g:3), d (g:4)"},
	    {"a >b; b >a", 1, "in a circle: a (g:1), b (g:2)"},
	    {"a @x; b<a @x", 1, "g:2: label x is also that of revision a (g)"},
	    {"a @b; b<a", 1, "g:1: label b is also a revision (g)"},
	    {"head", 1, "\"head\" is no revision"},
	    {"a; b<a @base", 1, "\"base\" is no label"},
	    {"a+b", 1, "no revision: + : and @ mean something"},
	    {"a'b", 1, "no revision"},
	    {"a; b<y; c<z", 2, "revises y"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct catalog_defects defects = {.count = 0};
		struct graph *graph = graph_text_new(rows[i].line, &defects);
		assert_null(graph);
		assert_int_equal(defects.count, rows[i].count);
		if (strstr(defects.lines[0], rows[i].says) == NULL)
			fail_msg("%s: <%s>", rows[i].line, defects.lines[0]);
		catalog_defects_free(&defects);
	}
}

static void heads_stand_to_each_other(void **state)
{
	static const struct {
		const char *line, *declared, *recorded;
		enum graph_relation relation;
	} rows[] = {
	    {LINE, "ccc3", "ccc3", GRAPH_SAME},
	    {LINE, "aaaa1", "ccc3", GRAPH_BEHIND},
	    {LINE, "ddd4", "ccc3", GRAPH_AHEAD},
	    {LINE, "ddd4", "", GRAPH_AHEAD},
	    {LINE, "zzz", "ccc3", GRAPH_UNKNOWN},
	    {LINE, "ccc3", "zzz", GRAPH_UNKNOWN},
	    {LINE, "zzz", "zzz", GRAPH_SAME},
	    {FORK, "a2", "b2", GRAPH_UNKNOWN},
	    {FORK, "a2", "a2+b1", GRAPH_BEHIND},
	    {FORK, "a2+b2", "m", GRAPH_BEHIND},
	    {FORK, "m", "a1+b2", GRAPH_AHEAD},
	    {FORK, "a2+b1", "a1+b2", GRAPH_UNKNOWN},
	    {FORK, "base0+a2", "a2", GRAPH_SAME},
	    {APART, "a1+b3", "b3", GRAPH_SAME}, /* what a branch depends on need not be said */
	    {APART, "a2+b3", "b3", GRAPH_AHEAD},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct graph *graph = must(rows[i].line);
		struct heads a = graph_text_heads(rows[i].declared), b = graph_text_heads(rows[i].recorded);
		if (graph_relate(graph, &a, &b) != rows[i].relation)
			fail_msg("%s to %s: %d", rows[i].declared, rows[i].recorded,
			    (int)graph_relate(graph, &a, &b));
		static const enum graph_relation turned[] = {
		    GRAPH_SAME, GRAPH_AHEAD, GRAPH_BEHIND, GRAPH_UNKNOWN};
		assert_int_equal(graph_relate(graph, &b, &a), turned[rows[i].relation]);
		heads_free(&a);
		heads_free(&b);
		graph_free(&graph);
	}
}

static void what_a_gate_may_accept(void **state)
{
	static const struct {
		const char *line, *recorded;
		int window;
		const char *wanted; /* in order */
	} rows[] = {
	    {"a; b<a ~; c<b; d<c ~; e<d ~", "e", -1, "e d c"},
	    {"a; b<a ~; c<b; d<c ~; e<d ~", "c", -1, "c"},
	    {"a; b<a ~; c<b; d<c ~; e<d ~", "b", -1, "b a"},
	    {"a ~; b<a ~", "b", -1, "b a"}, /* nobody declares base */
	    {LINE, "ddd4", 0, "ddd4"},
	    {LINE, "ddd4", 2, "ddd4 ccc3 aaab2"},
	    {LINE, "ddd4", 9, "ddd4 ccc3 aaab2 aaaa1"},
	    {LINE, "zzz", 2, "zzz"},
	    {"a; b<a; c<a ~; m<b,c ~; n<m ~", "n", -1, "n m b+c b"},
	    {FORK, "m", 2, "m a2+b2 a1+b2 a2+b1"},
	    {"a; b<a >c ~; c ~", "b", -1, "b a+c a"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct graph *graph = must(rows[i].line);
		struct heads recorded = graph_text_heads(rows[i].recorded), accepted[32];
		bool more = true;
		unsigned count = graph_accepted(graph, &recorded, rows[i].window, accepted, 32, &more);
		char text[256] = "";
		for (unsigned k = 0; k < count; k++) {
			size_t n = strlen(text);
			snprintf(
			    text + n, sizeof(text) - n, "%s%s", k == 0 ? "" : " ", heads_text(&accepted[k]));
			assert_true(rows[i].window < 0
				? graph_is_compatible(graph, &accepted[k], &recorded)
				: graph_is_within(graph, &accepted[k], &recorded, (unsigned)rows[i].window));
			heads_free(&accepted[k]);
		}
		assert_string_equal(text, rows[i].wanted);
		assert_false(more);
		count = graph_accepted(graph, &recorded, rows[i].window, accepted, 1, &more);
		assert_int_equal(count, 1);
		assert_int_equal(more, strchr(rows[i].wanted, ' ') != NULL);
		heads_free(&accepted[0]);
		heads_free(&recorded);
		graph_free(&graph);
	}
	struct graph *graph = must("a; b<a ~; c<b; d<c ~");
	struct heads a = graph_text_heads("a"), b = graph_text_heads("b"), d = graph_text_heads("d");
	assert_false(graph_is_compatible(graph, &b, &d));
	assert_true(graph_is_compatible(graph, &a, &b));
	assert_false(graph_is_compatible(graph, &b, &a)); /* ahead is not behind */
	assert_false(graph_is_within(graph, &a, &d, 2));
	heads_free(&a);
	heads_free(&b);
	heads_free(&d);
	graph_free(&graph);
}

static void the_rest_of_the_door(void **state)
{
	(void)state;
	struct graph *graph = must(APART);
	struct graph_places heads = graph_heads(graph), bases = graph_bases(graph), applied;
	struct heads recorded = graph_text_heads("b2");
	char *why = NULL;
	unsigned place = 99;
	expect("heads", places_text(true, graph, &heads, NULL), "a2 b3");
	expect("bases", places_text(true, graph, &bases, NULL), "a1 b1");
	assert_true(graph_applied(graph, &recorded, &applied, &why));
	expect("applied", places_text(true, graph, &applied, NULL), "a1 b1 b2");
	assert_true(graph_find(graph, "b2x", 2, &place));
	assert_int_equal(place, 3);
	assert_false(graph_find(graph, "a", 1, &place)); /* a label */
	assert_true(graph_on_branch(graph, 3, "b"));
	assert_false(graph_on_branch(graph, 3, "a"));
	assert_false(graph_on_branch(graph, 3, "nosuch"));
	assert_int_equal(graph_count(graph), 5);
	assert_string_equal(graph_at(graph, 2)->labels.at[0], "b");
	graph_places_free(&heads);
	graph_places_free(&bases);
	graph_places_free(&applied);
	heads_free(&recorded);
	graph_free(&graph);
}

/* Property: on random graphs every way up is a way that the edges allow, ends at what was asked for, and the
 * way down from there undoes it step by step. */
static void ways_up_and_down_again(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		char line[2048] = "";
		unsigned n = 1 + round % 12;
		for (unsigned i = 0; i < n; i++) {
			size_t size = strlen(line);
			unsigned a, b, d;
			seed = seed * 1664525 + 1013904223;
			a = (seed >> 8) % (i + 1);
			b = (seed >> 16) % (i + 1);
			d = (seed >> 24) % (i + 1);
			size += (size_t)snprintf(
			    line + size, sizeof(line) - size, "%sr%02u", i == 0 ? "" : "; ", i);
			if (a < i && b < i && a != b && seed % 3 == 0)
				size +=
				    (size_t)snprintf(line + size, sizeof(line) - size, "<r%02u,r%02u", a, b);
			else if (a < i && seed % 7 != 0)
				size += (size_t)snprintf(line + size, sizeof(line) - size, "<r%02u", a);
			if (d < i && seed % 4 == 1)
				snprintf(line + size, sizeof(line) - size, " >r%02u", d);
		}
		struct graph *graph = must(line);
		struct heads none = heads_none();
		struct graph_path up, down;
		char *why = NULL;
		if (!graph_upgrade(graph, &none, "heads", &up, &why))
			fail_msg("%s: %s", line, why);
		assert_int_equal(up.count, n);
		bool there[16] = {false};
		for (unsigned i = 0; i < up.count; i++) {
			const struct graph_revision *r = graph_at(graph, up.at[i].place);
			for (unsigned k = 0; k < r->parent_count; k++)
				assert_true(there[r->parents[k]]);
			for (unsigned k = 0; k < r->depend_count; k++)
				assert_true(there[r->depends[k]]);
			there[up.at[i].place] = true;
			struct graph_places applied;
			assert_true(graph_applied(graph, &up.at[i].after, &applied, &why));
			assert_int_equal(applied.count, i + 1);
			graph_places_free(&applied);
		}
		if (!graph_downgrade(graph, &up.at[up.count - 1].after, "base", &down, &why))
			fail_msg("%s: %s", line, why);
		assert_int_equal(down.count, up.count);
		for (unsigned i = 0; i < down.count; i++) {
			assert_int_equal(down.at[i].place, up.at[up.count - 1 - i].place);
			const struct heads *after =
			    i + 1 == down.count ? &up.from : &up.at[up.count - 2 - i].after;
			assert_true(heads_equal(&down.at[i].after, after));
		}
		graph_path_free(&up);
		graph_path_free(&down);
		graph_free(&graph);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_way_up),
	    cmocka_unit_test(the_way_down),
	    cmocka_unit_test(what_is_between),
	    cmocka_unit_test(names_are_found),
	    cmocka_unit_test(what_is_wrong_is_named),
	    cmocka_unit_test(heads_stand_to_each_other),
	    cmocka_unit_test(what_a_gate_may_accept),
	    cmocka_unit_test(the_rest_of_the_door),
	    cmocka_unit_test(ways_up_and_down_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
