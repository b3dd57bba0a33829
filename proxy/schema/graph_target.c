/* Targets: what a person types, to revisions. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph_private.h"

#define GRAPH_PREFIX 4 /* a shorter beginning of an id is more likely a slip: 2 must not mean 2024... */

static bool target_is(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(s, word, n) == 0;
}

/* ---- names ---- */

/* Do two dotted numbers say the same? Leading zeros and parts .0 at the end do not count. */
static bool same_number(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t i = 0, k = 0;

	if (a_size == 0 || b_size == 0)
		return false;
	while (i < a_size || k < b_size) {
		while (i < a_size && a[i] == '0')
			i++;
		while (k < b_size && b[k] == '0')
			k++;
		while (i < a_size && k < b_size && isdigit((unsigned char)a[i]) && a[i] == b[k]) {
			i++;
			k++;
		}
		if ((i < a_size && a[i] != '.') || (k < b_size && b[k] != '.'))
			return false;
		i += i < a_size;
		k += k < b_size;
	}
	return true;
}

static bool several(const struct graph *graph, const unsigned char *set, const char *s, size_t n, char **why)
{
	char *text = graph_set_text(graph, set);

	*why = mem_printf("%.*s begins several revisions: %s", (int)n, s, text);
	mem_free(&text);
	return false;
}

static bool find_prefix(const struct graph *graph, const char *s, size_t n, unsigned *place, char **why)
{
	unsigned char *numbers = graph_set(graph), *prefixes = graph_set(graph);
	unsigned number_count = 0, prefix_count = 0;

	for (unsigned i = 0; i < graph->count; i++) {
		const char *id = graph->at[i].id;
		numbers[i] = same_number(id, strlen(id), s, n);
		prefixes[i] = n >= GRAPH_PREFIX && strncmp(id, s, n) == 0;
		if (numbers[i] || (prefixes[i] && number_count == 0))
			*place = i;
		number_count += numbers[i];
		prefix_count += prefixes[i];
	}
	bool found = number_count == 1 || (number_count == 0 && prefix_count == 1);
	if (!found && number_count + prefix_count > 1)
		several(graph, number_count > 0 ? numbers : prefixes, s, n, why);
	else if (!found)
		*why = mem_printf("no revision or label %.*s%s", (int)n, s,
		    n < GRAPH_PREFIX ? " (the beginning of one needs four characters)" : "");
	mem_free(&numbers);
	mem_free(&prefixes);
	return found;
}

static bool find_exact(const struct graph *graph, const char *s, size_t n, unsigned *place)
{
	return graph_find(graph, s, n, place) || graph_label_find(graph, s, n, place);
}

static bool find_name(const struct graph *graph, const char *s, size_t n, unsigned *place, char **why)
{
	if (n == 0) {
		*why = mem_strdup("a target is empty");
		return false;
	}
	return find_exact(graph, s, n, place) || find_prefix(graph, s, n, place, why);
}

/* ---- branches ---- */

static unsigned char *branch_of(const struct graph *graph, unsigned place)
{
	unsigned char *branch = graph_set(graph), *down = graph_set(graph);

	branch[place] = 1;
	down[place] = 1;
	graph_add_descendants(graph, branch, GRAPH_REVISES);
	graph_add_ancestors(graph, down, GRAPH_REVISES);
	for (unsigned i = 0; i < graph->count; i++)
		branch[i] |= down[i];
	mem_free(&down);
	return branch;
}

bool graph_on_branch(const struct graph *graph, unsigned place, const char *branch)
{
	unsigned of;
	char *why = NULL;

	if (!find_name(graph, branch, strlen(branch), &of, &why)) {
		mem_free(&why);
		return false;
	}
	unsigned char *set = branch_of(graph, of);
	bool on = set[place];
	mem_free(&set);
	return on;
}

/* ---- walking ---- */

static bool walk_one(
    const struct graph *graph, const unsigned char *branch, unsigned *place, bool up, char **why)
{
	unsigned char *next = graph_set(graph);
	unsigned count = 0, to = graph->count;
	bool at_base = *place == graph->count, fine = true;

	for (unsigned i = 0; i < graph->count; i++) {
		const struct graph_revision *r = &graph->at[i];
		bool near = at_base && up && r->parent_count == 0;
		for (unsigned k = 0; !at_base && up && k < r->parent_count; k++)
			near = near || r->parents[k] == *place;
		for (unsigned k = 0; !at_base && !up && k < r->child_count; k++)
			near = near || r->children[k] == *place;
		if (near && (branch == NULL || branch[i])) {
			next[i] = 1;
			count++;
			to = i;
		}
	}
	if (count > 1) {
		char *text = graph_set_text(graph, next);
		*why = mem_printf("which way from %s? There are %s: name one, or a branch (branch@...)",
		    at_base ? "base" : graph->at[*place].id, text);
		mem_free(&text);
		fine = false;
	} else if (count == 0 && (up || at_base)) {
		*why = mem_printf("%s is %s", at_base ? "base" : graph->at[*place].id,
		    up ? "a head: nothing comes after it" : "where it begins: nothing comes before it");
		fine = false;
	} else {
		*place = to; /* none below: base */
	}
	mem_free(&next);
	return fine;
}

bool graph_walk(
    const struct graph *graph, const unsigned char *branch, unsigned *place, int steps, char **why)
{
	for (int i = 0; i < abs(steps); i++) {
		char *fault = NULL;
		if (walk_one(graph, branch, place, steps > 0, &fault))
			continue;
		*why =
		    i == 0 ? mem_strdup(fault) : mem_printf("after %d of %d steps: %s", i, abs(steps), fault);
		mem_free(&fault);
		return false;
	}
	return true;
}

/* ---- reading ---- */

/* "...+3" or "...-3": where the sign stands. */
static bool relative_at(const char *s, size_t n, size_t *sign, int *steps)
{
	size_t at = n;

	while (at > 0 && isdigit((unsigned char)s[at - 1]))
		at--;
	if (at == n || at == 0 || n - at > 6 || (s[at - 1] != '+' && s[at - 1] != '-'))
		return false;
	*sign = at - 1;
	*steps = 0;
	for (; at < n; at++)
		*steps = *steps * 10 + (s[at] - '0');
	if (s[*sign] == '-')
		*steps = -*steps;
	return *steps != 0;
}

static bool read_heads(const struct graph *graph, struct graph_target *out, bool one, char **why)
{
	unsigned count = 0;

	for (unsigned i = 0; i < graph->count; i++) {
		out->named[i] = graph->at[i].child_count == 0 && (out->branch == NULL || out->branch[i]);
		count += out->named[i];
	}
	if (!one || count <= 1)
		return true;
	char *text = graph_set_text(graph, out->named);
	*why = mem_printf("there are %u heads: %s. Ask for one of them, for branch@head, for all (heads), or "
			  "merge them",
	    count, text);
	mem_free(&text);
	return false;
}

static bool read_current(
    const struct graph *graph, const struct heads *recorded, struct graph_target *out, char **why)
{
	unsigned char *set = graph_set_applied(graph, recorded, why);

	if (set == NULL)
		return false;
	graph_set_tips(graph, out->branch, set, out->named);
	mem_free(&set);
	return true;
}

/* <id>+N, head-N, base+N. */
static bool read_relative(const struct graph *graph, const struct heads *recorded, const char *s, size_t n,
    int steps, struct graph_target *out, char **why)
{
	struct graph_target start;
	unsigned place = graph->count;

	if (!graph_target_read(graph, recorded, s, n, &start, why))
		return false;
	unsigned count = graph_set_count(graph, start.named);
	bool fine = start.steps == 0 && count <= 1;
	for (unsigned i = 0; i < graph->count; i++)
		if (start.named[i])
			place = i;
	if (!fine) {
		char *text = graph_set_text(graph, start.named);
		*why = mem_printf("%.*s is more than one revision (%s)", (int)n, s, text);
		mem_free(&text);
	} else {
		if (place < graph->count)
			out->from = branch_of(graph, place);
		fine = graph_walk(graph, out->branch, &place, steps, why);
	}
	if (fine && place < graph->count)
		out->named[place] = 1;
	graph_target_free(&start);
	return fine;
}

static bool read_rest(const struct graph *graph, const struct heads *recorded, const char *s, size_t n,
    struct graph_target *out, char **why)
{
	unsigned place;
	size_t sign;
	int steps;

	if (target_is(s, n, "head") || target_is(s, n, "heads"))
		return read_heads(graph, out, n == 4, why);
	if (target_is(s, n, "base"))
		return true;
	if (target_is(s, n, "current"))
		return read_current(graph, recorded, out, why);
	if (!find_exact(graph, s, n, &place) && relative_at(s, n, &sign, &steps)) {
		if (sign > 0)
			return read_relative(graph, recorded, s, sign, steps, out, why);
		out->steps = steps;
		return true;
	}
	if (!find_name(graph, s, n, &place, why))
		return false;
	out->named[place] = 1;
	if (out->branch == NULL || out->branch[place])
		return true;
	*why = mem_printf("revision %s is not on branch %.*s", graph->at[place].id, (int)out->branch_size,
	    out->branch_name);
	return false;
}

bool graph_target_read(const struct graph *graph, const struct heads *recorded, const char *text, size_t n,
    struct graph_target *out, char **why)
{
	const char *at = n == 0 ? NULL : memchr(text, '@', n);
	unsigned place;
	bool fine = true;

	*out = (struct graph_target){.named = graph_set(graph)};
	if (n == 0) {
		*why = mem_strdup("a target is empty");
		fine = false;
	}
	if (fine && at != NULL) {
		out->branch_name = text;
		out->branch_size = (size_t)(at - text);
		fine = find_name(graph, text, out->branch_size, &place, why);
		if (fine)
			out->branch = branch_of(graph, place);
		n -= out->branch_size + 1;
		text = at + 1;
	}
	fine = fine && read_rest(graph, recorded, text, n, out, why);
	if (!fine)
		graph_target_free(out);
	return fine;
}

void graph_target_free(struct graph_target *target)
{
	mem_free(&target->branch);
	mem_free(&target->named);
	mem_free(&target->from);
}

bool graph_resolve(const struct graph *graph, const struct heads *recorded, const char *text,
    struct graph_places *out, char **why)
{
	unsigned char *set = graph_set(graph);
	bool fine = true;

	for (const char *s = text; fine; s++) {
		size_t n = strcspn(s, ",");
		struct graph_target target;
		fine = graph_target_read(graph, recorded, s, n, &target, why);
		if (!fine)
			break;
		if (target.steps != 0) {
			*why = mem_printf("%.*s counts from what is recorded: name a revision", (int)n, s);
			fine = false;
		}
		for (unsigned i = 0; i < graph->count; i++)
			set[i] |= target.named[i];
		graph_target_free(&target);
		s += n;
		if (*s == '\0')
			break;
	}
	if (fine)
		*out = graph_set_places(graph, set);
	mem_free(&set);
	return fine;
}
