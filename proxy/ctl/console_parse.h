/* The console's language: statements in, values out. Pure.
 *
 * A statement is a command of console_commands.def, or a courtesy: what drivers and psql send of their own
 * accord (BEGIN, SET ..., SELECT 1, SHOW transaction_isolation) and want answered before they let anybody
 * speak. Words are case-insensitive; names are bare or in double quotes, strings in single quotes, both
 * doubled to contain themselves; times are written 500ms, 5s, 2m, 1h; comments are SQL's. */
#ifndef CTL_CONSOLE_PARSE_H
#define CTL_CONSOLE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"

enum console_right { RIGHT_NONE, RIGHT_VIEWER, RIGHT_OPERATOR };

enum command {
#define COMMAND(id, name, who, synopsis, what, function) COMMAND_##id,
#include "console_commands.def"
#undef COMMAND
	COMMAND_COUNT,
	COMMAND_EMPTY = COMMAND_COUNT, /* nothing between two semicolons */
	COMMAND_COURTESY,
};

#define STATEMENT_DATABASE 64  /* with its NUL, as PostgreSQL's NAMEDATALEN */
#define STATEMENT_REASON   200 /* with its NUL */
#define STATEMENT_TARGET   200 /* with its NUL */

/* A plain value. Strings that are not there are "". */
struct statement {
	enum command command;
	char database[STATEMENT_DATABASE]; /* "": all */
	bool database_quoted;     /* taken as it is written; a bare name may also be meant in lower case */
	int64_t drain_ns, max_ns; /* -1: not given */
	bool on_timeout_given;
	enum conf_on_timeout on_timeout;
	char reason[STATEMENT_REASON];
	bool detached, force, immediate;
	char target[STATEMENT_TARGET];
	bool dry_run;
	/* A courtesy's answer. column NULL: no row. Static. */
	const char *tag, *column, *value;
	char transaction; /* what the connection's transaction status becomes: 'I' or 'T'; 0: as before */
};

struct statement_error {
	const char *sqlstate;
	char message[160], hint[240]; /* hint "": none */
};

enum statement_found { STATEMENT_FOUND, STATEMENT_NONE, STATEMENT_WRONG };

/* Reads the statement at text[*at] and moves *at past its semicolon. NONE: only blanks were left. WRONG:
 * *error says why; *at is undefined. */
enum statement_found statement_parse(
    const char *text, size_t *at, struct statement *out, struct statement_error *error);

/* "500ms", "5s", "2m", "1h": nanoseconds, at most a day; -1: it is not that. */
int64_t console_duration(const char *text);

const char *command_name(enum command command);
enum console_right command_right(enum command command);

/* What the courtesies answer for the server's version. */
#define CONSOLE_SERVER_VERSION "15.0 (headgate " HEADGATE_VERSION ")"

#endif
