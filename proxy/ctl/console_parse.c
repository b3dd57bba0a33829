#include "console_parse.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum token_kind { TOKEN_WORD, TOKEN_QUOTED, TOKEN_STRING, TOKEN_SYMBOL };

struct token {
	enum token_kind kind;
	const char *p; /* with its quotes */
	size_t n;
};

/* No command has more words; a courtesy may be longer, its first words say which it is. */
#define TOKENS 40

struct tokens {
	struct token at[TOKENS];
	unsigned count, next;
	bool more; /* there were more than TOKENS */
};

struct command_row {
	const char *name, *synopsis;
	enum console_right right;
};
static const struct command_row command_rows[] = {
#define COMMAND(id, name, who, synopsis, what, function) {name, synopsis, who},
#include "console_commands.def"
#undef COMMAND
};

/* What drivers send at connect, at reset and around a statement, as their words joined by one blank. */
struct courtesy {
	const char *text; /* lower case; a '*' at the end: anything may follow */
	const char *tag, *column, *value;
	char transaction;
};
static const struct courtesy courtesies[] = {
    {"begin*", "BEGIN", NULL, NULL, 'T'},
    {"start transaction*", "START TRANSACTION", NULL, NULL, 'T'},
    {"rollback to*", "ROLLBACK", NULL, NULL, 0},
    {"commit*", "COMMIT", NULL, NULL, 'I'},
    {"end*", "COMMIT", NULL, NULL, 'I'},
    {"rollback*", "ROLLBACK", NULL, NULL, 'I'},
    {"abort*", "ROLLBACK", NULL, NULL, 'I'},
    {"savepoint*", "SAVEPOINT", NULL, NULL, 0},
    {"release savepoint*", "RELEASE", NULL, NULL, 0},
    {"set*", "SET", NULL, NULL, 0},
    {"reset*", "RESET", NULL, NULL, 0},
    {"discard*", "DISCARD ALL", NULL, NULL, 0},
    {"deallocate*", "DEALLOCATE", NULL, NULL, 0},
    {"close*", "CLOSE CURSOR", NULL, NULL, 0},
    {"unlisten*", "UNLISTEN", NULL, NULL, 0},
    {"select 1", "SELECT 1", "?column?", "1", 0},
    {"select 1 as *", "SELECT 1", "one", "1", 0},
    {"select version ( )", "SELECT 1", "version", CONSOLE_SERVER_VERSION, 0},
    {"select pg_catalog . version ( )", "SELECT 1", "version", CONSOLE_SERVER_VERSION, 0},
    {"select pg_catalog.version ( )", "SELECT 1", "version", CONSOLE_SERVER_VERSION, 0},
    {"select current_schema ( )", "SELECT 1", "current_schema", "console", 0},
    {"select current_database ( )", "SELECT 1", "current_database", "headgate", 0},
    {"select pg_advisory_unlock_all ( )", "SELECT 1", "pg_advisory_unlock_all", "", 0},
    {"select pg_is_in_recovery ( )", "SELECT 1", "pg_is_in_recovery", "f", 0},
    {"select pg_catalog.set_config*", "SELECT 1", "set_config", "", 0}, /* the first word of net/pq.c */
    {"show transaction isolation level", "SHOW", "transaction_isolation", "read committed", 0},
    {"show transaction_isolation", "SHOW", "transaction_isolation", "read committed", 0},
    {"show default_transaction_isolation", "SHOW", "default_transaction_isolation", "read committed", 0},
    {"show transaction_read_only", "SHOW", "transaction_read_only", "off", 0},
    {"show default_transaction_read_only", "SHOW", "default_transaction_read_only", "off", 0},
    {"show server_version", "SHOW", "server_version", CONSOLE_SERVER_VERSION, 0},
    {"show server_version_num", "SHOW", "server_version_num", "150000", 0},
    {"show server_encoding", "SHOW", "server_encoding", "UTF8", 0},
    {"show client_encoding", "SHOW", "client_encoding", "UTF8", 0},
    {"show standard_conforming_strings", "SHOW", "standard_conforming_strings", "on", 0},
    {"show datestyle", "SHOW", "DateStyle", "ISO, MDY", 0},
    {"show timezone", "SHOW", "TimeZone", "UTC", 0},
    {"show search_path", "SHOW", "search_path", "", 0},
    {"show max_identifier_length", "SHOW", "max_identifier_length", "63", 0},
};

const char *command_name(enum command command)
{
	return command < COMMAND_COUNT ? command_rows[command].name : "";
}

enum console_right command_right(enum command command)
{
	return command < COMMAND_COUNT ? command_rows[command].right : RIGHT_VIEWER;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* A bare name may hold what names of databases hold in life, a dash included: quoting my-db should not be
 * needed. */
static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	    c == '-' || c == '.' || c == '$' || (unsigned char)c >= 0x80;
}

static enum statement_found wrong(
    struct statement_error *error, const char *sqlstate, const char *message, const char *hint)
{
	error->sqlstate = sqlstate;
	snprintf(error->message, sizeof error->message, "%s", message);
	snprintf(error->hint, sizeof error->hint, "%s", hint ? hint : "");
	return STATEMENT_WRONG;
}

/* Blanks and comments. False: a comment that does not end. */
static bool skip_blanks(const char *text, size_t *at)
{
	size_t i = *at;
	for (;;) {
		while (is_blank(text[i]))
			i++;
		if (text[i] == '-' && text[i + 1] == '-') {
			while (text[i] && text[i] != '\n')
				i++;
		} else if (text[i] == '/' && text[i + 1] == '*') {
			const char *end = strstr(text + i + 2, "*/");
			if (!end)
				return false;
			i = (size_t)(end - text) + 2;
		} else {
			break;
		}
	}
	*at = i;
	return true;
}

/* Length of the quoted thing at p, quotes included; 0 when it does not end. */
static size_t quoted_length(const char *p)
{
	char quote = p[0];
	for (size_t i = 1; p[i]; i++) {
		if (p[i] != quote)
			continue;
		if (p[i + 1] != quote)
			return i + 1;
		i++;
	}
	return 0;
}

static size_t word_length(const char *p)
{
	size_t n = 0;
	while (is_word(p[n]) && !(p[n] == '-' && p[n + 1] == '-'))
		n++;
	return n;
}

static enum statement_found tokenise(
    const char *text, size_t *at, struct tokens *tokens, struct statement_error *error)
{
	size_t i = *at;
	tokens->count = tokens->next = 0;
	tokens->more = false;
	for (;;) {
		if (!skip_blanks(text, &i))
			return wrong(error, "42601", "unterminated /* comment", NULL);
		if (!text[i] || text[i] == ';')
			break;
		struct token token = {.p = text + i};
		if (text[i] == '\'' || text[i] == '"') {
			token.kind = text[i] == '"' ? TOKEN_QUOTED : TOKEN_STRING;
			token.n = quoted_length(text + i);
			if (token.n == 0)
				return wrong(error, "42601",
				    token.kind == TOKEN_QUOTED ? "unterminated quoted name"
							       : "unterminated quoted string",
				    NULL);
		} else if (word_length(text + i) > 0) {
			token.kind = TOKEN_WORD;
			token.n = word_length(text + i);
		} else {
			token.kind = TOKEN_SYMBOL;
			token.n = 1;
		}
		i += token.n;
		if (tokens->count < TOKENS)
			tokens->at[tokens->count++] = token;
		else
			tokens->more = true;
	}
	bool ended = text[i] == ';';
	*at = i + (ended ? 1 : 0);
	return tokens->count == 0 && !ended ? STATEMENT_NONE : STATEMENT_FOUND;
}

static const struct token *peek(const struct tokens *tokens)
{
	return tokens->next < tokens->count ? &tokens->at[tokens->next] : NULL;
}

static bool token_is(const struct token *token, const char *word)
{
	return token && token->kind == TOKEN_WORD && token->n == strlen(word) &&
	    strncasecmp(token->p, word, token->n) == 0;
}

static bool accept_word(struct tokens *tokens, const char *word)
{
	if (!token_is(peek(tokens), word))
		return false;
	tokens->next++;
	return true;
}

/* Takes the quotes off; false when it does not fit. */
static bool unquote(const struct token *token, char *out, size_t size)
{
	size_t n = 0;
	bool quoted = token->kind == TOKEN_QUOTED || token->kind == TOKEN_STRING;
	size_t from = quoted ? 1 : 0, to = quoted ? token->n - 1 : token->n;
	for (size_t i = from; i < to; i++) {
		if (quoted && token->p[i] == token->p[0])
			i++;
		if (n + 1 >= size)
			return false;
		out[n++] = token->p[i];
	}
	out[n] = '\0';
	return true;
}

/* How many single-letter changes make one text of the other, for "did you mean". */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t m = strlen(b);
	if (m >= 63)
		return 99;
	for (unsigned j = 0; j <= m; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			unsigned above = row[j];
			unsigned best = corner + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			corner = above;
		}
	}
	return row[m];
}

static unsigned word_count(const char *name)
{
	return strchr(name, ' ') ? 2 : 1;
}

static enum statement_found unknown_command(const struct tokens *tokens, struct statement_error *error)
{
	char first[32] = "", both[64] = "";
	unquote(&tokens->at[0], first, sizeof first);
	snprintf(both, sizeof both, "%s", first);
	if (tokens->count > 1) {
		char second[30] = "";
		if (unquote(&tokens->at[1], second, sizeof second))
			snprintf(both, sizeof both, "%s %s", first, second);
	}
	unsigned best = 4;
	const char *nearest = NULL;
	for (unsigned i = 0; i < COMMAND_COUNT; i++) {
		const char *name = command_rows[i].name;
		unsigned d = distance(word_count(name) == 2 ? both : first, name);
		/* a slip of the hand, not another word altogether */
		if (d < best && 2 * d <= strlen(name)) {
			best = d;
			nearest = command_rows[i].synopsis;
		}
	}
	char message[160], hint[240];
	snprintf(message, sizeof message, "unknown command: %s", both[0] ? both : "?");
	if (strcasecmp(first, "pause") == 0 || strcasecmp(first, "suspend") == 0)
		snprintf(hint, sizeof hint,
		    "Here it is HOLD: it is answered when all clients are parked and ends with this "
		    "connection. For one that stays, write HOLD ... DETACHED.");
	else if (strcasecmp(first, "resume") == 0)
		snprintf(hint, sizeof hint, "Here it is RELEASE [database|*].");
	else if (nearest)
		snprintf(hint, sizeof hint, "Did you mean %s?", nearest);
	else
		snprintf(hint, sizeof hint, "SHOW HELP lists the commands.");
	return wrong(error, "42601", message, hint);
}

int64_t console_duration(const char *text)
{
	static const struct {
		const char *unit;
		int64_t ns;
	} units[] = {{"ms", 1000000}, {"s", 1000000000}, {"m", INT64_C(60000000000)},
	    {"min", INT64_C(60000000000)}, {"h", INT64_C(3600000000000)}};
	int64_t number = 0;
	size_t i = 0;
	for (; text[i] >= '0' && text[i] <= '9' && i < 9; i++)
		number = number * 10 + (text[i] - '0');
	if (i == 0)
		return -1;
	for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
		/* a day is far beyond any hold; the limit keeps sums of times far from overflowing */
		if (strcasecmp(text + i, units[u].unit) == 0)
			return number > INT64_C(86400000000000) / units[u].ns ? -1 : number * units[u].ns;
	}
	return -1;
}

static int64_t duration(const struct token *token)
{
	char text[24];
	if (token->kind == TOKEN_SYMBOL || token->kind == TOKEN_QUOTED || !unquote(token, text, sizeof text))
		return -1;
	return console_duration(text);
}

static bool parse_duration(
    struct tokens *tokens, const char *what, int64_t *out, struct statement_error *error)
{
	char message[160];
	const struct token *token = peek(tokens);
	int64_t ns = token ? duration(token) : -1;
	if (*out != -1 || ns <= 0) {
		snprintf(message, sizeof message, *out != -1 ? "%s is given twice" : "%s needs a time", what);
		wrong(error, "42601", message,
		    *out != -1 ? NULL : "Write it with its unit, at most a day: 500ms, 5s, 2m, 1h.");
		return false;
	}
	*out = ns;
	tokens->next++;
	return true;
}

/* [database|*] : a bare word that is not one of the command's own, a quoted name, or a star. */
static bool parse_database(
    struct tokens *tokens, const char *const *own, struct statement *out, struct statement_error *error)
{
	const struct token *token = peek(tokens);
	if (!token || token->kind == TOKEN_STRING)
		return true;
	if (token->kind == TOKEN_SYMBOL) {
		if (token->p[0] == '*')
			tokens->next++;
		return true;
	}
	for (; token->kind == TOKEN_WORD && *own; own++) {
		if (token_is(token, *own))
			return true;
	}
	if (!unquote(token, out->database, sizeof out->database) || !out->database[0]) {
		wrong(error, "42602", "the database's name is empty or longer than 63 bytes", NULL);
		return false;
	}
	out->database_quoted = token->kind == TOKEN_QUOTED;
	tokens->next++;
	return true;
}

static enum statement_found expected_end(
    const struct tokens *tokens, enum command command, struct statement_error *error)
{
	const struct token *token = peek(tokens);
	if (!token)
		return STATEMENT_FOUND;
	char message[160], hint[240];
	snprintf(message, sizeof message, "syntax error at or near \"%.*s\"",
	    token->n < 60 ? (int)token->n : 60, token->p);
	snprintf(hint, sizeof hint, "The command is %s.", command_rows[command].synopsis);
	return wrong(error, "42601", message, hint);
}

static bool parse_on_timeout(struct tokens *tokens, struct statement *out)
{
	static const char *const words[] = {
	    [TIMEOUT_ABORT] = "abort", [TIMEOUT_CANCEL] = "cancel", [TIMEOUT_TERMINATE] = "terminate"};
	for (unsigned i = 0; i < 3; i++) {
		if (accept_word(tokens, words[i])) {
			out->on_timeout = (enum conf_on_timeout)i;
			out->on_timeout_given = true;
			return true;
		}
	}
	return false;
}

static enum statement_found parse_hold(
    struct tokens *tokens, struct statement *out, struct statement_error *error)
{
	static const char *const own[] = {"drain", "max", "on", "reason", "detached", NULL};
	if (!parse_database(tokens, own, out, error))
		return STATEMENT_WRONG;
	for (;;) {
		unsigned before = tokens->next;
		if (accept_word(tokens, "drain")) {
			accept_word(tokens, "timeout");
			if (!parse_duration(tokens, "DRAIN TIMEOUT", &out->drain_ns, error))
				return STATEMENT_WRONG;
		} else if (accept_word(tokens, "max")) {
			if (!parse_duration(tokens, "MAX", &out->max_ns, error))
				return STATEMENT_WRONG;
		} else if (accept_word(tokens, "on")) {
			if (!accept_word(tokens, "timeout") || !parse_on_timeout(tokens, out))
				return wrong(error, "42601", "ON TIMEOUT needs ABORT, CANCEL or TERMINATE",
				    "What to do with clients that are still in a transaction at the end of "
				    "DRAIN TIMEOUT.");
		} else if (accept_word(tokens, "reason")) {
			const struct token *token = peek(tokens);
			if (!token || token->kind != TOKEN_STRING)
				return wrong(error, "42601", "REASON needs a text in single quotes", NULL);
			if (!unquote(token, out->reason, sizeof out->reason))
				return wrong(error, "42601", "the reason is longer than 199 bytes", NULL);
			tokens->next++;
		} else if (accept_word(tokens, "detached")) {
			out->detached = true;
		}
		if (tokens->next == before)
			return expected_end(tokens, COMMAND_HOLD, error);
	}
}

static enum statement_found parse_upgrade(
    struct tokens *tokens, struct statement *out, struct statement_error *error)
{
	static const char *const own[] = {"to", "reason", "dry", NULL};
	if (!parse_database(tokens, own, out, error))
		return STATEMENT_WRONG;
	for (;;) {
		unsigned before = tokens->next;
		const struct token *token;
		if (accept_word(tokens, "to")) {
			token = peek(tokens);
			if (!token || token->kind == TOKEN_SYMBOL)
				return wrong(error, "42601", "TO needs a target: head, or a revision",
				    "In single quotes when it has more than letters, digits and _ . -: TO "
				    "'+1'.");
			if (!unquote(token, out->target, sizeof out->target) || !out->target[0])
				return wrong(
				    error, "42601", "the target is empty or longer than 199 bytes", NULL);
			tokens->next++;
		} else if (accept_word(tokens, "reason")) {
			token = peek(tokens);
			if (!token || token->kind != TOKEN_STRING)
				return wrong(error, "42601", "REASON needs a text in single quotes", NULL);
			if (!unquote(token, out->reason, sizeof out->reason))
				return wrong(error, "42601", "the reason is longer than 199 bytes", NULL);
			tokens->next++;
		} else if (accept_word(tokens, "dry")) {
			if (!accept_word(tokens, "run"))
				return wrong(error, "42601", "DRY needs RUN behind it",
				    command_rows[COMMAND_UPGRADE].synopsis);
			out->dry_run = true;
		}
		if (tokens->next == before)
			return expected_end(tokens, COMMAND_UPGRADE, error);
	}
}

static enum statement_found parse_command(
    enum command command, struct tokens *tokens, struct statement *out, struct statement_error *error)
{
	static const char *const force[] = {"force", NULL};
	*out = (struct statement){.command = command, .drain_ns = -1, .max_ns = -1};
	tokens->next = word_count(command_rows[command].name);
	if (tokens->more)
		return wrong(error, "42601", "the command is too long", NULL);
	if (command == COMMAND_HOLD)
		return parse_hold(tokens, out, error);
	if (command == COMMAND_UPGRADE)
		return parse_upgrade(tokens, out, error);
	if (command == COMMAND_RELEASE) {
		if (!parse_database(tokens, force, out, error))
			return STATEMENT_WRONG;
		out->force = accept_word(tokens, "force");
	} else if (command == COMMAND_SHUTDOWN) {
		out->immediate = accept_word(tokens, "immediate");
	}
	return expected_end(tokens, command, error);
}

static bool find_courtesy(const struct tokens *tokens, struct statement *out)
{
	char text[128] = "";
	size_t n = 0;
	for (unsigned i = 0; i < tokens->count && n + 1 < sizeof text; i++) {
		const struct token *token = &tokens->at[i];
		if (i > 0)
			text[n++] = ' ';
		for (size_t j = 0; j < token->n && n + 1 < sizeof text; j++) {
			char c = token->p[j];
			text[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
		}
	}
	text[n] = '\0';
	for (size_t i = 0; i < sizeof courtesies / sizeof *courtesies; i++) {
		const struct courtesy *row = &courtesies[i];
		size_t length = strlen(row->text);
		bool open = row->text[length - 1] == '*' && !strstr(row->text, " *");
		bool alias = !open && row->text[length - 1] == '*';
		bool same = open ? strncmp(text, row->text, length - 1) == 0 &&
			(text[length - 1] == '\0' || text[length - 1] == ' ')
		    : alias ? strncmp(text, row->text, length - 1) == 0
			    : strcmp(text, row->text) == 0;
		if (same) {
			*out = (struct statement){.command = COMMAND_COURTESY,
			    .drain_ns = -1,
			    .max_ns = -1,
			    .tag = row->tag,
			    .column = row->column,
			    .value = row->value,
			    .transaction = row->transaction};
			return true;
		}
	}
	return false;
}

enum statement_found statement_parse(
    const char *text, size_t *at, struct statement *out, struct statement_error *error)
{
	struct tokens tokens;
	enum statement_found found = tokenise(text, at, &tokens, error);
	if (found != STATEMENT_FOUND)
		return found;
	*out = (struct statement){.command = COMMAND_EMPTY, .drain_ns = -1, .max_ns = -1};
	if (tokens.count == 0)
		return STATEMENT_FOUND;
	/* first: RELEASE SAVEPOINT is a courtesy, not a release of a database of that name */
	if (find_courtesy(&tokens, out))
		return STATEMENT_FOUND;
	for (unsigned i = 0; i < COMMAND_COUNT; i++) {
		const char *name = command_rows[i].name;
		const char *blank = strchr(name, ' ');
		char first[16];
		snprintf(first, sizeof first, "%.*s", blank ? (int)(blank - name) : 15, name);
		if (token_is(&tokens.at[0], first) &&
		    (!blank || (tokens.count > 1 && token_is(&tokens.at[1], blank + 1))))
			return parse_command((enum command)i, &tokens, out, error);
	}
	return unknown_command(&tokens, error);
}
