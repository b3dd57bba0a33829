/* Lists of words joined by '|', and guessing which one was meant. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf_kinds.h"

#define WORD_BYTES 64 /* longer words are no slip of a finger */

unsigned conf_word_count(const char *words)
{
	unsigned n = 1;
	for (; *words != '\0'; words++)
		n += *words == '|';
	return n;
}

static const char *word_at(const char *words, unsigned n, size_t *size)
{
	while (n-- > 0)
		words += strcspn(words, "|") + 1;
	*size = strcspn(words, "|");
	return words;
}

char *conf_word_copy(const char *words, unsigned n)
{
	size_t size;
	const char *word = word_at(words, n, &size);
	return mem_strndup(word, size);
}

int conf_word(const char *words, const char *text)
{
	unsigned count = conf_word_count(words);
	for (unsigned i = 0; i < count; i++) {
		size_t size;
		const char *word = word_at(words, i, &size);
		if (strlen(text) == size && memcmp(word, text, size) == 0)
			return (int)i;
	}
	return -1;
}

char *conf_words_said(const char *words, const char *last)
{
	char *said = NULL;
	unsigned count = conf_word_count(words);
	for (unsigned i = 0; i < count; i++) {
		char *word = conf_word_copy(words, i);
		const char *between = i == 0 ? "" : i + 1 == count ? last : ", ";
		char *longer = mem_printf("%s%s%s", said ? said : "", between, word);
		mem_free(&word);
		mem_free(&said);
		said = longer;
	}
	return said;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Edit distance with neighbours swapped counting one (optimal string alignment). */
static unsigned distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	unsigned row[3][WORD_BYTES + 1];
	for (unsigned j = 0; j <= b_size; j++)
		row[0][j] = j;
	for (unsigned i = 1; i <= a_size; i++) {
		unsigned *now = row[i % 3];
		const unsigned *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
		now[0] = i;
		for (unsigned j = 1; j <= b_size; j++) {
			unsigned other = a[i - 1] != b[j - 1];
			now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + other);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
	}
	return row[a_size % 3][b_size];
}

char *conf_nearest(const char *words, const char *text)
{
	size_t text_size = strlen(text);
	unsigned count = conf_word_count(words), best = WORD_BYTES, found = 0;
	if (text_size == 0 || text_size > WORD_BYTES)
		return NULL;
	for (unsigned i = 0; i < count; i++) {
		size_t size;
		const char *word = word_at(words, i, &size);
		if (size == 0 || size > WORD_BYTES)
			continue;
		unsigned far = distance(text, text_size, word, size);
		if (far < best) {
			best = far;
			found = i;
		}
	}
	/* A third of the letters may be wrong, one always: more is another word. */
	size_t bound = text_size / 3 > 0 ? text_size / 3 : 1;
	return best <= bound ? conf_word_copy(words, found) : NULL;
}
