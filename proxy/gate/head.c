#include "gate/head.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

struct piece {
	const char *s;
	size_t n;
};

/* A set while it is being built: pieces in canonical order, pointing into texts of the caller's. */
struct pieces {
	struct piece at[HEADS_COUNT];
	size_t count;
};

static bool revision_byte(char c)
{
	/* The excluded ones each mean something to a carrier, a shell or SQL: none of them may ever look like
	 * data. */
	return c > ' ' && c <= '~' && strchr("+,@;'\"\\", c) == NULL;
}

static bool revision_valid(const char *s, size_t n, const char **why)
{
	if (n == 0) {
		*why = "a revision is empty";
		return false;
	}
	if (n > HEAD_BYTES) {
		*why = "a revision is longer than 64 bytes";
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (!revision_byte(s[i])) {
			*why = "a revision consists of visible ASCII characters other than , @ ; ' \" and \\";
			return false;
		}
	}
	return true;
}

static int piece_compare(struct piece a, struct piece b)
{
	size_t shared = a.n < b.n ? a.n : b.n;
	int order = memcmp(a.s, b.s, shared);

	if (order != 0)
		return order;
	return (a.n > b.n) - (a.n < b.n);
}

static bool pieces_add(struct pieces *set, const char *s, size_t n, const char **why)
{
	struct piece piece = {s, n};
	size_t at = 0;

	if (!revision_valid(s, n, why))
		return false;
	while (at < set->count) {
		int order = piece_compare(set->at[at], piece);
		if (order == 0)
			return true;
		if (order > 0)
			break;
		at++;
	}
	if (set->count == HEADS_COUNT) {
		*why = "more than 16 revisions";
		return false;
	}
	memmove(&set->at[at + 1], &set->at[at], (set->count - at) * sizeof(set->at[0]));
	set->at[at] = piece;
	set->count++;
	return true;
}

static bool pieces_split(struct pieces *set, const char *s, size_t n, const char **why)
{
	size_t start = 0;

	for (size_t i = 0; i <= n; i++) {
		if (i < n && s[i] != '+')
			continue;
		if (!pieces_add(set, s + start, i - start, why))
			return false;
		start = i + 1;
	}
	return true;
}

static char *pieces_join(const struct pieces *set)
{
	size_t size = 0;
	for (size_t i = 0; i < set->count; i++)
		size += set->at[i].n + 1;

	char *text = mem_alloc(size), *end = text;
	for (size_t i = 0; i < set->count; i++) {
		if (i > 0)
			*end++ = '+';
		memcpy(end, set->at[i].s, set->at[i].n);
		end += set->at[i].n;
	}
	*end = '\0';
	return text;
}

bool heads_parse(const char *s, size_t n, struct heads *out, const char **why)
{
	struct pieces set = {.count = 0};

	if (n == 0) {
		*why = "empty";
		return false;
	}
	if (!pieces_split(&set, s, n, why))
		return false;
	out->text = pieces_join(&set);
	return true;
}

bool heads_add(struct heads *set, const char *revision, size_t n, const char **why)
{
	struct pieces pieces = {.count = 0};

	if (!heads_is_none(set) && !pieces_split(&pieces, set->text, strlen(set->text), why))
		return false;
	if (!pieces_add(&pieces, revision, n, why))
		return false;

	char *text = pieces_join(&pieces);
	heads_free(set);
	set->text = text;
	return true;
}

struct heads heads_copy(const struct heads *set)
{
	return (struct heads){.text = heads_is_none(set) ? NULL : mem_strdup(set->text)};
}

bool heads_equal(const struct heads *a, const struct heads *b)
{
	if (heads_is_none(a) || heads_is_none(b))
		return heads_is_none(a) && heads_is_none(b);
	return strcmp(a->text, b->text) == 0;
}

bool heads_is_none(const struct heads *set)
{
	return set == NULL || set->text == NULL || set->text[0] == '\0';
}

size_t heads_count(const struct heads *set)
{
	size_t count = 1;

	if (heads_is_none(set))
		return 0;
	for (const char *s = set->text; *s != '\0'; s++)
		count += *s == '+';
	return count;
}

const char *heads_text(const struct heads *set)
{
	return heads_is_none(set) ? "none" : set->text;
}

void heads_free(struct heads *set)
{
	if (set != NULL)
		mem_free(&set->text);
}
