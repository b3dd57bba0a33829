/* A text of SQL into a scratch database. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "schema/split.h"
#include "scratch.h"

#define BATCH 100 /* statements in one round trip */

/* ---- pg_dump's two lines ---- */

static size_t line_end(const char *text, size_t size, size_t at)
{
	const char *end = memchr(text + at, '\n', size - at);
	return end != NULL ? (size_t)(end - text) : size;
}

static bool line_is(
    const char *text, size_t at, size_t end, const char *word, const char *token, size_t token_size)
{
	size_t n = strlen(word), size = end - at;
	while (size > 0 && isspace((unsigned char)text[at + size - 1]))
		size--;
	return size == n + token_size && memcmp(text + at, word, n) == 0 &&
	    memcmp(text + at + n, token, token_size) == 0;
}

/* The first line that says something may be "\restrict TOKEN"; then a line "\unrestrict TOKEN" belongs to it.
 * Both become blanks, so that lines keep their numbers. */
static void blank_restrict(char *text, size_t size)
{
	static const char restrict_word[] = "\\restrict ", unrestrict_word[] = "\\unrestrict ";
	size_t at = 0, end = 0;
	for (; at < size; at = end + 1) {
		end = line_end(text, size, at);
		size_t first = at;
		while (first < end && isspace((unsigned char)text[first]))
			first++;
		if (first < end && strncmp(text + first, "--", 2) != 0)
			break;
	}
	size_t n = strlen(restrict_word);
	if (at >= size || end - at <= n || strncmp(text + at, restrict_word, n) != 0)
		return;
	size_t token = at + n, token_size = 0;
	while (token + token_size < end && isalnum((unsigned char)text[token + token_size]))
		token_size++;
	if (!line_is(text, at, end, restrict_word, text + token, token_size))
		return;
	for (size_t line = end + 1; line < size; line = end + 1) {
		end = line_end(text, size, line);
		if (line_is(text, line, end, unrestrict_word, text + token, token_size))
			memset(text + line, ' ', end - line);
	}
	memset(text + at, ' ', line_end(text, size, at) - at);
}

/* ---- what does not stay in one database ---- */

static size_t word(const char **at, const char *end, char *out, size_t out_size)
{
	size_t n = 0;
	while (*at < end && !isalpha((unsigned char)**at) && **at != '"' && **at != '\'')
		++*at;
	while (*at < end && (isalpha((unsigned char)**at) || **at == '_')) {
		if (n + 1 < out_size)
			out[n++] = (char)toupper((unsigned char)**at);
		++*at;
	}
	out[n] = '\0';
	return n;
}

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

/* Roles, databases, tablespaces and settings are the whole server's, and a scratch database would leave them
 * behind: NULL, or how such a statement begins. */
static const char *reaches_out(const struct split_statement *statement, char *shown, size_t shown_size)
{
	static const char *const making[] = {"CREATE", "ALTER", "DROP", "COMMENT", NULL};
	static const char *const server[] = {
	    "ROLE", "USER", "GROUP", "DATABASE", "TABLESPACE", "SUBSCRIPTION", "SYSTEM", NULL};
	static const char *const giving[] = {"GRANT", "REVOKE", NULL};
	const char *at = statement->text, *end = at + statement->size;
	char first[16], second[16], third[16];
	word(&at, end, first, sizeof(first));
	word(&at, end, second, sizeof(second));
	if (is_one_of(first, making)) {
		if (strcmp(second, "ON") == 0)
			word(&at, end, second, sizeof(second));
		word(&at, end, third, sizeof(third));
		if (!is_one_of(second, server) || strcmp(third, "MAPPING") == 0)
			return NULL;
		snprintf(shown, shown_size, "%s %s", first, second);
		return shown;
	}
	if (is_one_of(first, giving)) {
		/* A privilege is granted ON something; a role just so. */
		for (at = statement->text; at < end;) {
			char next[16];
			const char *before = at;
			if (*at == '"' || *at == '\'') {
				char quote = *at++;
				while (at < end && *at != quote)
					at++;
				at++;
				continue;
			}
			word(&at, end, next, sizeof(next));
			if (strcmp(next, "ON") == 0) {
				word(&at, end, next, sizeof(next));
				snprintf(shown, shown_size, "%s ... ON %s", first, next);
				return is_one_of(next, server) || strcmp(next, "PARAMETER") == 0 ? shown
												 : NULL;
			}
			at += at == before;
		}
		snprintf(shown, shown_size, "%s of a role", first);
		return shown;
	}
	return NULL;
}

static bool begins(const struct split_statement *statement, const char *words)
{
	const char *at = statement->text, *end = at + statement->size;
	while (*words != '\0') {
		if (*words == ' ') {
			size_t blanks = 0;
			while (at + blanks < end && isspace((unsigned char)at[blanks]))
				blanks++;
			if (blanks == 0)
				return false;
			at += blanks;
		} else if (at >= end || tolower((unsigned char)*at++) != *words) {
			return false;
		}
		words++;
	}
	return true;
}

/* What a dump says that does not matter for a comparison, and fails in a database that is not its own: NULL,
 * or the SQLSTATE, or its beginning, that is passed over then. */
static const char *forgiven(const struct split_statement *statement)
{
	static const char owner[] = " OWNER TO ";
	static const struct {
		const char *beginning, *states;
	} table[] = {
	    {"create schema public", "42P06"},  /* pg_dump --schema=public */
	    {"comment on extension ", "42501"}, /* plpgsql belongs to the superuser */
	    {"set ", "42704"},                  /* a setting of a later version */
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (begins(statement, table[i].beginning))
			return table[i].states;
	/* Owners are not compared, and the role may be of another server. */
	const char *at = statement->text, *end = at + statement->size;
	for (; begins(statement, "alter ") && at + strlen(owner) < end; at++)
		if (strncasecmp(at, owner, strlen(owner)) == 0)
			return "42";
	return NULL;
}

/* ---- running it ---- */

static char *told(const char *file, const struct split_statement *statement, const struct pq_now_error *error)
{
	unsigned line = statement->line, column = 0;
	if (error->position > 0)
		split_position(statement, error->position, &line, &column);
	const char *hint = error->hint;
	if (hint == NULL && strcmp(error->sqlstate, "42704") == 0 && strstr(error->message, "role") != NULL)
		hint = "a role that is named in the file must be there; pg_dump --no-owner --no-privileges "
		       "leaves them out";
	return mem_printf("%s:%u: %s%s%s%s%s", file, line, error->message,
	    error->detail != NULL ? "\nDETAIL: " : "", error->detail != NULL ? error->detail : "",
	    hint != NULL ? "\nHINT: " : "", hint != NULL ? hint : "");
}

/* From a statement on, as many as go in one round trip; false: *why. */
static bool run(struct scratch *scratch, const char *file, const struct split *split, unsigned from,
    unsigned count, char **why)
{
	char *texts[BATCH];
	struct pq_now_error error;
	unsigned failed = 0;
	for (unsigned i = 0; i < count; i++)
		texts[i] = mem_strndup(split->at[from + i].text, split->at[from + i].size);
	bool ok = pq_now_all(scratch_pq(scratch), (const char *const *)texts, count, &error, &failed);
	const char *state = !ok ? forgiven(&split->at[from + failed]) : NULL;
	if (state != NULL && strncmp(error.sqlstate, state, strlen(state)) == 0)
		ok = true;
	if (!ok)
		*why = told(file, &split->at[from + failed], &error);
	pq_now_error_free(&error);
	for (unsigned i = 0; i < count; i++)
		mem_free(&texts[i]);
	return ok;
}

static bool run_all(struct scratch *scratch, const char *file, const struct split *split, char **why)
{
	char shown[64];
	unsigned at = 0;
	for (unsigned i = 0; i < split->count; i++) {
		const char *outside = reaches_out(&split->at[i], shown, sizeof(shown));
		if (outside == NULL)
			continue;
		*why = mem_printf("%s:%u: %s acts on the whole server, not on one database, and is not run "
				  "for a comparison; "
				  "leave it out of the file",
		    file, split->at[i].line, outside);
		return false;
	}
	while (at < split->count) {
		unsigned count = 0;
		/* What may fail goes alone. */
		while (at + count < split->count && count < BATCH &&
		    split->at[at + count].kind != SPLIT_COPY_IN &&
		    !(forgiven(&split->at[at + count]) != NULL && count > 0)) {
			count++;
			if (forgiven(&split->at[at]) != NULL)
				break;
		}
		if (count > 0 && !run(scratch, file, split, at, count, why))
			return false;
		at += count > 0 ? count : 1; /* COPY: its data is of no interest */
	}
	return true;
}

bool scratch_apply(struct scratch *scratch, const char *file, const char *text, size_t size, char **why)
{
	struct split split = {.count = 0};
	struct split_error wrong;
	struct pq_now_error error;
	size_t bom = split_bom(text, size);
	char *own = mem_alloc(size - bom + 1);
	memcpy(own, text + bom, size - bom);
	own[size - bom] = '\0';
	*why = NULL;
	bool ok = split_check_text(own, size - bom, &wrong);
	if (ok) {
		blank_restrict(own, size - bom);
		ok = split_append(&split, own, size - bom, 1, &wrong);
	}
	if (!ok)
		*why = mem_printf("%s:%u: %s", file, wrong.line, wrong.text);
	if (ok && !pq_now_do(scratch_pq(scratch), "SET search_path = \"$user\", public", NULL, 0, &error)) {
		*why = mem_printf("%s: %s", file, error.message);
		pq_now_error_free(&error);
		ok = false;
	}
	ok = ok && run_all(scratch, file, &split, why);
	split_free(&split);
	mem_free(&own);
	return ok;
}
