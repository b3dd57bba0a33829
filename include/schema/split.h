/* SQL statements of a text, split where psql would split them. Pure: bytes in, values out.
 *
 * The rules are psql's (src/fe_utils/psqlscan.l of PostgreSQL 15 to 18): ';' ends a statement outside quotes,
 * comments, parentheses and the BEGIN … END body of a CREATE FUNCTION or PROCEDURE. Known: '…' (as with
 * standard_conforming_strings on), E'…', B'…', X'…', N'…', U&'…', "…", U&"…", $tag$…$tag$, -- and nested
 * slash-star comments, and the data of COPY … FROM stdin up to the line \. (or the end of the text). Strings
 * that go on after a line end are read as the server reads them, which is not always as psql does.
 *
 * Not psql's: meta-commands are errors and psql's variables mean nothing; what is unterminated (a quote, a
 * comment, a parenthesis) is an error, where psql would send it for the server to refuse; so is anything but
 * a comment behind COPY … FROM stdin; on its line. */
#ifndef SCHEMA_SPLIT_H
#define SCHEMA_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

enum split_kind {
	SPLIT_ORDINARY,
	SPLIT_ALONE,  /* PostgreSQL refuses it inside a transaction: CREATE INDEX CONCURRENTLY, VACUUM, ... */
	SPLIT_BEGIN,  /* BEGIN, START TRANSACTION */
	SPLIT_COMMIT, /* COMMIT, END, PREPARE TRANSACTION */
	SPLIT_ROLLBACK,  /* ROLLBACK, ABORT */
	SPLIT_SAVEPOINT, /* SAVEPOINT, RELEASE, ROLLBACK TO */
	SPLIT_COPY_IN,   /* COPY … FROM stdin: send `data` after it */
};

/* One statement. Pointers are into the text that was split; the caller keeps that. */
struct split_statement {
	const char *text; /* from its first token to its last: no ';', no comment or blank around it */
	size_t size;
	size_t offset;     /* of `text` in what was split, in bytes */
	unsigned line;     /* of `text` */
	size_t begin, end; /* its piece, in bytes: what stands before it, itself, ';' and data. Pieces meet:
			      the first begins at 0, the last is followed by blanks and comments only */
	const char *data;  /* SPLIT_COPY_IN: the lines of data, without the line \. */
	size_t data_size;
	unsigned data_line;
	enum split_kind kind; /* told by leading keywords: what a procedure does inside is not known */
	const char
	    *command; /* what made it this kind, as a static text ("CREATE INDEX CONCURRENTLY"), or NULL */
};

struct split {
	struct split_statement *at;
	unsigned count;
	size_t room; /* split.c's own */
};

struct split_error {
	unsigned line;  /* where the thing began that is wrong */
	char text[240]; /* one line */
};

/* Adds the statements of `text` to *out (zeroed before the first call). line: that of the text's first byte.
 * Empty statements are left out. The text should have passed split_check_text(). False: *error is set and
 * *out is as before. */
bool split_append(struct split *out, const char *text, size_t size, unsigned line, struct split_error *error)
    __attribute__((warn_unused_result));
void split_free(struct split *split); /* leaves a zeroed struct */

/* How many bytes of byte order mark a text begins with: 3 or 0. To be skipped before splitting. */
size_t split_bom(const char *text, size_t size);

/* Is it UTF-8 without NUL, which is all that a file of SQL may be? */
bool split_check_text(const char *text, size_t size, struct split_error *error)
    __attribute__((warn_unused_result));

/* Does a whole file bring its own transaction: BEGIN first, COMMIT last, no other transaction control between
 * and nothing that is refused inside one? Such a pair may be left out by whoever brings a transaction too. */
bool split_wrapped(const struct split *split);

/* Where PostgreSQL's error position (in characters, from 1) lies: line in the text that was split, column in
 * characters, from 1. */
void split_position(
    const struct split_statement *statement, unsigned position, unsigned *line, unsigned *column);

/* The meaning of a text, for checksums: its tokens, one blank where blanks or comments were, each statement
 * ended by ";\n". Inside quotes only line ends (CRLF is LF) and blanks before them are evened out; the data
 * of COPY keeps its blanks. Where the text cannot be split, its lines so evened out. To be freed; *out_size
 * without the closing NUL. */
char *split_meaning(const char *text, size_t size, size_t *out_size);

#endif
