/* The splitter, by tables and by property. What psql itself says of the same texts: schema_split_psql.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "schema/split.h"
#include "schema/split_private.h"
#include "schema_split_texts.h"

static struct split must_split(const char *text)
{
	struct split split = {.count = 0};
	struct split_error error;
	if (!split_append(&split, text, strlen(text), 1, &error))
		fail_msg("line %u: %s\nin: %s", error.line, error.text, text);
	return split;
}

/* "line:text|line:text" of a text's statements. */
static char *outline(const char *text)
{
	struct split split = must_split(text);
	char *line = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&line, &size);
	for (unsigned i = 0; i < split.count; i++)
		fprintf(to, "%s%u:%.*s", i == 0 ? "" : "|", split.at[i].line, (int)split.at[i].size,
		    split.at[i].text);
	fclose(to);
	split_free(&split);
	return line;
}

static void statements_end_where_psql_ends_them(void **state)
{
	static const struct {
		const char *text, *outline;
	} rows[] = {
	    {"", ""},
	    {" \n\t-- nothing\n/* at ; all */;;\n;", ""},
	    {"SELECT 1", "1:SELECT 1"},
	    {"SELECT 1;", "1:SELECT 1"},
	    {"\n\n  SELECT 1 ;\n SELECT\n2;", "3:SELECT 1|4:SELECT\n2"},
	    {"SELECT 1;SELECT 2;", "1:SELECT 1|1:SELECT 2"},
	    {"SELECT 1 -- ; no\n; SELECT 2 /* ; no */", "1:SELECT 1|2:SELECT 2"},
	    {"SELECT 1 /* a /* b ; */ c ; */ + 2; x", "1:SELECT 1 /* a /* b ; */ c ; */ + 2|1:x"},
	    {"SELECT 1\r\n;\r\nSELECT 2;\r\n", "1:SELECT 1|3:SELECT 2"},
	    {"-- a\rSELECT 1;", "1:SELECT 1"}, /* \r ends a comment, for PostgreSQL too */
	    {"SELECT 'a;b', 'it''s;', '\\'; x", "1:SELECT 'a;b', 'it''s;', '\\'|1:x"},
	    {"SELECT E'a\\';b', e'\\\\'; x", "1:SELECT E'a\\';b', e'\\\\'|1:x"},
	    {"SELECT E'a' -- c\n 'b\\';c'; x", "1:SELECT E'a' -- c\n 'b\\';c'|2:x"},
	    {"SELECT E'a' 'b\\'; x", "1:SELECT E'a' 'b\\'|1:x"}, /* no line end: two strings */
	    {"SELECT U&'d\\0061;t\\', u&\"d;\\\" ; x", "1:SELECT U&'d\\0061;t\\', u&\"d;\\\"|1:x"},
	    {"SELECT b'1;', X'f;', n'a;'; x", "1:SELECT b'1;', X'f;', n'a;'|1:x"},
	    {"SELECT fooe'a\\'; x", "1:SELECT fooe'a\\'|1:x"}, /* no E string: the word is longer */
	    {"SELECT 1e'a\\'; x", "1:SELECT 1e'a\\'|1:x"},
	    {"SELECT \"a;\"\"b;\"; x", "1:SELECT \"a;\"\"b;\"|1:x"},
	    {"SELECT $$a;$b$;'$$; x", "1:SELECT $$a;$b$;'$$|1:x"},
	    {"SELECT $t$a;$$;$tt$;$T$;$t$; x", "1:SELECT $t$a;$$;$tt$;$T$;$t$|1:x"},
	    {"SELECT $d$..$dd$d$; x", "1:SELECT $d$..$dd$d$|1:x"},
	    {"SELECT $1, a$b$c; $c$;$c$", "1:SELECT $1, a$b$c|1:$c$;$c$"},
	    {"SELECT $1a$b; x", "1:SELECT $1a$b|1:x"},
	    {"SELECT $\xc3\xa9$;$\xc3\xa9$; x", "1:SELECT $\xc3\xa9$;$\xc3\xa9$|1:x"},
	    {"SELECT 1--2;\n;x", "1:SELECT 1|2:x"},
	    {"SELECT 1 +/*;*/ 2; x", "1:SELECT 1 +/*;*/ 2|1:x"},
	    {"SELECT (a;b); x", "1:SELECT (a;b)|1:x"},
	    {"SELECT 1); x", "1:SELECT 1)|1:x"},
	    {"CREATE RULE r AS ON INSERT TO t DO (INSERT INTO a VALUES (1); INSERT INTO b VALUES (2)); x",
		"1:CREATE RULE r AS ON INSERT TO t DO (INSERT INTO a VALUES (1); INSERT INTO b VALUES (2))|1:"
		"x"},
	    {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END; "
	     "x",
		"1:CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; "
		"END|"
		"1:x"},
	    {"create or replace procedure p() begin atomic insert into t values (1); end; x",
		"1:create or replace procedure p() begin atomic insert into t values (1); end|1:x"},
	    {"BEGIN; x; END; y", "1:BEGIN|1:x|1:END|1:y"},
	    {"CREATE TABLE begin (a int); x", "1:CREATE TABLE begin (a int)|1:x"},
	    {"SELECT a[1:2], b::int, :c, :'d;'; x", "1:SELECT a[1:2], b::int, :c, :'d;'|1:x"},
	    {"DO $$BEGIN RAISE NOTICE '%', 1; END$$; x", "1:DO $$BEGIN RAISE NOTICE '%', 1; END$$|1:x"},
	    {"\f\vSELECT 1;", "1:SELECT 1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *got = outline(rows[i].text);
		assert_string_equal(got, rows[i].outline);
		free(got);
	}
}

static void what_is_wrong_names_its_line(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *says;
	} rows[] = {
	    {"SELECT 1;\nSELECT 'a\nb;\n", 2, "string"},
	    {"SELECT 1;\n\nSELECT \"a\nb;\n", 3, "identifier"},
	    {"\nSELECT E'a\\'", 2, "string"},
	    {"SELECT $x$\n$$ $X$", 1, "dollar"},
	    {"SELECT 1; /* a /* b */\nSELECT 2;", 1, "comment"},
	    {"SELECT 1;\nSELECT (\n1;\nSELECT 2;", 2, "parenthesis"},
	    {"SELECT 1;\n\\d t\n", 2, "\\d is a psql meta-command"},
	    {"SELECT 1 \\gset\n", 1, "\\gset"},
	    {"SELECT 1\\; SELECT 2;", 1, "\\;"},
	    {"\\restrict abc\nSELECT 1;", 1, "pg_dump"},
	    {"SELECT 1;\n\\unrestrict abc\n", 2, "pg_dump"},
	    {"SELECT 1;\n\\.\n", 2, "COPY"},
	    {"COPY t FROM stdin; SELECT 1;\n1\n\\.\n", 1, "only a comment"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct split split = {.count = 0};
		struct split_error error = {.line = 0};
		assert_false(split_append(&split, rows[i].text, strlen(rows[i].text), 1, &error));
		assert_int_equal(error.line, rows[i].line);
		if (strstr(error.text, rows[i].says) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", error.text, rows[i].says);
		assert_int_equal(split.count, 0);
		split_free(&split);
	}
}

static void copy_carries_its_data(void **state)
{
	(void)state;
	const char *text = "COPY t (a, b) FROM stdin; -- two\n1\t;'\n\\N\t\\.\n\\.\nSELECT 2;\n"
			   "copy t from STDIN with (format csv);\r\n1,2\r\n\\.\r\nSELECT 3;\n"
			   "COPY t FROM '/f'; COPY (SELECT 1 FROM stdin) TO STDOUT; COPY t FROM stdin;\n7";
	struct split split = must_split(text);
	assert_int_equal(split.count, 7);
	assert_int_equal(split.at[0].kind, SPLIT_COPY_IN);
	assert_int_equal(split.at[0].data_line, 2);
	assert_int_equal(split.at[0].data_size, strlen("1\t;'\n\\N\t\\.\n"));
	assert_memory_equal(split.at[0].data, "1\t;'\n\\N\t\\.\n", split.at[0].data_size);
	assert_int_equal(split.at[1].line, 5);
	assert_int_equal(split.at[2].kind, SPLIT_COPY_IN);
	assert_memory_equal(split.at[2].data, "1,2\r\n", 5);
	assert_int_equal(split.at[2].data_size, 5);
	assert_int_equal(split.at[3].line, 9);
	assert_int_equal(split.at[4].kind, SPLIT_ORDINARY);
	assert_int_equal(split.at[5].kind, SPLIT_ORDINARY);
	assert_int_equal(split.at[6].kind, SPLIT_COPY_IN);
	assert_int_equal(split.at[6].data_size, 1); /* the end of the file ends data too, as for psql */
	split_free(&split);
}

static void kinds_are_told_by_leading_words(void **state)
{
	static const struct {
		const char *text;
		enum split_kind kind;
		const char *command;
	} rows[] = {
	    {"SELECT 1", SPLIT_ORDINARY, NULL},
	    {"CREATE INDEX i ON t (a)", SPLIT_ORDINARY, NULL},
	    {"/* x */ create -- y\n unique INDEX concurrently IF NOT EXISTS i ON t (a)", SPLIT_ALONE,
		"CREATE INDEX CONCURRENTLY"},
	    {"CREATE INDEX CONCURRENTLY ON t (a)", SPLIT_ALONE, "CREATE INDEX CONCURRENTLY"},
	    {"CREATE INDEX \"concurrently\" ON t (a)", SPLIT_ORDINARY, NULL},
	    {"DROP INDEX CONCURRENTLY i", SPLIT_ALONE, "DROP INDEX CONCURRENTLY"},
	    {"DROP INDEX i", SPLIT_ORDINARY, NULL},
	    {"REINDEX TABLE t", SPLIT_ORDINARY, NULL},
	    {"REINDEX INDEX CONCURRENTLY i", SPLIT_ALONE, "REINDEX CONCURRENTLY"},
	    {"REINDEX (VERBOSE, CONCURRENTLY) TABLE t", SPLIT_ALONE, "REINDEX CONCURRENTLY"},
	    {"REINDEX (CONCURRENTLY false) TABLE t", SPLIT_ORDINARY, NULL},
	    {"REINDEX DATABASE d", SPLIT_ALONE, "REINDEX DATABASE"},
	    {"REINDEX (VERBOSE) SYSTEM d", SPLIT_ALONE, "REINDEX SYSTEM"},
	    {"REINDEX SCHEMA s", SPLIT_ALONE, "REINDEX SCHEMA"},
	    {"VACUUM", SPLIT_ALONE, "VACUUM"},
	    {"vacuum (full) t", SPLIT_ALONE, "VACUUM"},
	    {"ANALYZE t", SPLIT_ORDINARY, NULL},
	    {"DO $$BEGIN UPDATE t SET a = 1; COMMIT; END$$", SPLIT_ALONE, "DO with COMMIT"},
	    {"DO LANGUAGE 'plpgsql' $x$ BEGIN LOOP COMMIT AND CHAIN; END LOOP; END $x$", SPLIT_ALONE,
		"DO with COMMIT"},
	    {"do $$begin if a then rollback; end if; end$$ language plpgsql", SPLIT_ALONE, "DO with COMMIT"},
	    {"DO $$BEGIN PERFORM commit, 'x; COMMIT;' FROM t; -- COMMIT;\nEND$$", SPLIT_ORDINARY, NULL},
	    {"DO $$BEGIN EXECUTE $q$; COMMIT;$q$; RAISE NOTICE 'x\n; END$$", SPLIT_ORDINARY, NULL},
	    {"DO $$$$", SPLIT_ORDINARY, NULL},
	    {"DO 'BEGIN COMMIT; END'", SPLIT_ORDINARY, NULL},
	    {"CLUSTER", SPLIT_ALONE, "CLUSTER"},
	    {"CLUSTER VERBOSE", SPLIT_ALONE, "CLUSTER"},
	    {"CLUSTER (VERBOSE)", SPLIT_ALONE, "CLUSTER"},
	    {"CLUSTER t USING i", SPLIT_ORDINARY, NULL},
	    {"CLUSTER (VERBOSE) t", SPLIT_ORDINARY, NULL},
	    {"ALTER SYSTEM SET a = 1", SPLIT_ALONE, "ALTER SYSTEM"},
	    {"ALTER DATABASE \"a.b\" SET TABLESPACE t", SPLIT_ALONE, "ALTER DATABASE SET TABLESPACE"},
	    {"ALTER DATABASE d SET work_mem = 1", SPLIT_ORDINARY, NULL},
	    {"ALTER TYPE e ADD VALUE 'x'", SPLIT_ORDINARY, NULL},
	    {"ALTER TABLE a.t DETACH PARTITION p CONCURRENTLY", SPLIT_ALONE,
		"ALTER TABLE DETACH PARTITION CONCURRENTLY"},
	    {"ALTER TABLE t DETACH PARTITION p", SPLIT_ORDINARY, NULL},
	    {"CREATE DATABASE d", SPLIT_ALONE, "CREATE DATABASE"},
	    {"DROP DATABASE d", SPLIT_ALONE, "DROP DATABASE"},
	    {"CREATE TABLESPACE s LOCATION '/x'", SPLIT_ALONE, "CREATE TABLESPACE"},
	    {"DROP TABLESPACE s", SPLIT_ALONE, "DROP TABLESPACE"},
	    {"CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", SPLIT_ALONE, "CREATE SUBSCRIPTION"},
	    {"CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (create_slot = false)", SPLIT_ORDINARY,
		NULL},
	    {"DROP SUBSCRIPTION s", SPLIT_ALONE, "DROP SUBSCRIPTION"},
	    {"ALTER SUBSCRIPTION s REFRESH PUBLICATION", SPLIT_ALONE, "ALTER SUBSCRIPTION REFRESH"},
	    {"ALTER SUBSCRIPTION s SET PUBLICATION p", SPLIT_ALONE, "ALTER SUBSCRIPTION PUBLICATION"},
	    {"ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = off)", SPLIT_ORDINARY, NULL},
	    {"ALTER SUBSCRIPTION s SET (binary = true)", SPLIT_ORDINARY, NULL},
	    {"DISCARD ALL", SPLIT_ALONE, "DISCARD ALL"},
	    {"DISCARD PLANS", SPLIT_ORDINARY, NULL},
	    {"REFRESH MATERIALIZED VIEW CONCURRENTLY v", SPLIT_ORDINARY, NULL},
	    {"BEGIN", SPLIT_BEGIN, "BEGIN"},
	    {"begin isolation level serializable", SPLIT_BEGIN, "BEGIN"},
	    {"START TRANSACTION", SPLIT_BEGIN, "START TRANSACTION"},
	    {"COMMIT", SPLIT_COMMIT, "COMMIT"},
	    {"END TRANSACTION", SPLIT_COMMIT, "END"},
	    {"COMMIT PREPARED 'x'", SPLIT_ALONE, "COMMIT PREPARED"},
	    {"PREPARE TRANSACTION 'x'", SPLIT_COMMIT, "PREPARE TRANSACTION"},
	    {"PREPARE transaction_of AS SELECT 1", SPLIT_ORDINARY, NULL},
	    {"ROLLBACK", SPLIT_ROLLBACK, "ROLLBACK"},
	    {"ABORT WORK", SPLIT_ROLLBACK, "ABORT"},
	    {"ROLLBACK PREPARED 'x'", SPLIT_ALONE, "ROLLBACK PREPARED"},
	    {"ROLLBACK TO a", SPLIT_SAVEPOINT, "ROLLBACK TO SAVEPOINT"},
	    {"ROLLBACK TRANSACTION TO SAVEPOINT a", SPLIT_SAVEPOINT, "ROLLBACK TO SAVEPOINT"},
	    {"SAVEPOINT a", SPLIT_SAVEPOINT, "SAVEPOINT"},
	    {"RELEASE a", SPLIT_SAVEPOINT, "RELEASE SAVEPOINT"},
	    {"COPY t FROM STDIN", SPLIT_COPY_IN, "COPY FROM STDIN"},
	    {"COPY \"from\" (a) FROM stdin WHERE a > 1", SPLIT_COPY_IN, "COPY FROM STDIN"},
	    {"COPY t FROM 'stdin'", SPLIT_ORDINARY, NULL},
	    {"COPY t TO STDOUT", SPLIT_ORDINARY, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct split split = must_split(rows[i].text);
		assert_int_equal(split.count, 1);
		if (split.at[0].kind != rows[i].kind)
			fail_msg("%s: kind %d", rows[i].text, (int)split.at[0].kind);
		if (rows[i].command == NULL)
			assert_null(split.at[0].command);
		else
			assert_string_equal(split.at[0].command, rows[i].command);
		split_free(&split);
	}
}

static void wrapped_files(void **state)
{
	static const struct {
		const char *text;
		bool wrapped;
	} rows[] = {
	    {"BEGIN; CREATE TABLE a (); COMMIT;", true},
	    {"-- x\nbegin;\nend;", true},
	    {"BEGIN; SAVEPOINT a; ROLLBACK TO a; COMMIT;", true},
	    {"BEGIN; x; COMMIT; BEGIN; y; COMMIT;", false},
	    {"BEGIN; x; COMMIT; y;", false},
	    {"x; BEGIN; y; COMMIT;", false},
	    {"BEGIN; VACUUM; COMMIT;", false},
	    {"BEGIN; x; ROLLBACK;", false},
	    {"BEGIN;", false},
	    {"", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct split split = must_split(rows[i].text);
		assert_int_equal(split_wrapped(&split), rows[i].wrapped);
		split_free(&split);
	}
}

static void texts_must_be_utf8(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		unsigned line; /* 0: fine */
	} rows[] = {
	    {"", 0, 0},
	    {"a\n\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98", 13, 0},
	    {"\xef\xbb\xbfSELECT 1", 11, 0},
	    {"a\nb\xe9t\xe9", 6, 2},
	    {"a\n\n\0", 4, 3},
	    {"\xc0\x80", 2, 1},
	    {"\xed\xa0\x80", 3, 1},
	    {"\xf4\x90\x80\x80", 4, 1},
	    {"\xe2\x82", 2, 1},
	    {"\xff\xfeS\0", 4, 1},
	    {"PGDMP\1\16", 7, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct split_error error = {.line = 0};
		bool fine = split_check_text(rows[i].text, rows[i].size, &error);
		assert_int_equal(fine, rows[i].line == 0);
		if (!fine)
			assert_int_equal(error.line, rows[i].line);
	}
	assert_int_equal(split_bom("\xef\xbb\xbfx", 4), 3);
	assert_int_equal(split_bom("\xef\xbb", 2), 0);
}

static void positions_lead_back_to_the_file(void **state)
{
	(void)state;
	const char *text = "SELECT 1;\n  SELECT '\xc3\xa9',\n   nope;";
	struct split split = must_split(text);
	unsigned line, column;
	split_position(&split.at[1], 1, &line, &column);
	assert_int_equal(line, 2);
	assert_int_equal(column, 3);
	split_position(&split.at[1], 9, &line, &column); /* the é */
	assert_int_equal(line, 2);
	assert_int_equal(column, 11);
	split_position(&split.at[1], 10, &line, &column); /* counted in characters */
	assert_int_equal(column, 12);
	split_position(&split.at[1], 16, &line, &column);
	assert_int_equal(line, 3);
	assert_int_equal(column, 4);
	split_position(&split.at[1], 1000, &line, &column);
	assert_int_equal(line, 3);
	split_free(&split);
}

static void meaning_is_more_than_bytes(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
	    {"SELECT 1;", "\xef\xbb\xbf-- licence\r\nSELECT  1 /* x */ ;\r\n", true},
	    {"SELECT\n1", "SELECT 1;", true},
	    {"SELECT 1", "SELECT 2", false},
	    {"SELECT 'a\nb'", "SELECT 'a\r\nb'", true},
	    {"SELECT 'a \nb'", "SELECT 'a\nb'", true},
	    {"SELECT 'a b'", "SELECT 'a  b'", false},
	    {"SELECT $$\n x \n$$", "SELECT $$\r\n x\r\n$$", true},
	    {"SELECT $$-- a$$", "SELECT $$$$", false},
	    {"a; b", "a b", false},
	    {"COPY t FROM stdin;\n1\t\n\\.\n", "COPY t FROM stdin;\r\n1\t\r\n\\.\r\n", true},
	    {"COPY t FROM stdin;\n1\t\n\\.\n", "COPY t FROM stdin;\n1\n\\.\n", false},
	    {"COPY t FROM stdin;\n1\n\\.\n2;", "COPY t FROM stdin;\n1\n2\n\\.\n", false},
	    {"SELECT 'x", "SELECT 'x  \r\n\n", true}, /* what cannot be split: line by line */
	    {"SELECT 'x", "SELECT  'x", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t a_size, b_size;
		char *a = split_meaning(rows[i].a, strlen(rows[i].a), &a_size);
		char *b = split_meaning(rows[i].b, strlen(rows[i].b), &b_size);
		if ((strcmp(a, b) == 0) != rows[i].same)
			fail_msg("row %zu: <%s> and <%s>", i, a, b);
		assert_int_equal(strlen(a), a_size);
		mem_free(&a);
		mem_free(&b);
	}
}

/* Property: the pieces of a text, one after the other, are the text; each statement lies in its piece. */
static void pieces_make_the_text(void **state)
{
	(void)state;
	for (unsigned t = 0; t < split_text_count; t++) {
		const char *text = split_texts[t];
		struct split split = must_split(text);
		size_t at = 0;
		for (unsigned i = 0; i < split.count; i++) {
			const struct split_statement *s = &split.at[i];
			assert_int_equal(s->begin, at);
			assert_true(s->offset >= s->begin && s->offset + s->size <= s->end);
			assert_ptr_equal(s->text, text + s->offset);
			unsigned line = 1;
			for (size_t b = 0; b < s->offset; b++)
				line += text[b] == '\n';
			assert_int_equal(s->line, line);
			at = s->end;
		}
		assert_true(at <= strlen(text));
		split_free(&split);

		struct split rest = must_split(text + at);
		assert_int_equal(rest.count, 0);
		split_free(&rest);
	}
}

/* Property: a comment before any token changes neither the number of statements nor the meaning. */
static void comments_change_nothing(void **state)
{
	static const char *const comments[] = {"/* ; ' $$ -- ( */", "-- ; ' $$ /* (\n", " \t\n"};

	(void)state;
	for (unsigned t = 0; t < split_text_count; t++) {
		const char *text = split_texts[t];
		size_t size = strlen(text), meaning_size, other_size;
		struct split before = must_split(text);
		char *meaning = split_meaning(text, size, &meaning_size);
		struct split_lexer lexer = {.text = text, .size = size, .line = 1};
		unsigned statement = 0, last_line = 0;
		for (;;) {
			struct split_token token = split_next(&lexer);
			if (token.kind == SPLIT_TOKEN_END)
				break;
			if (statement < before.count && token.start >= before.at[statement].end)
				statement++;
			const struct split_statement *in = &before.at[statement];
			if (in->data != NULL && token.end > (size_t)(in->data - text)) {
				lexer.at = in->end; /* data is no SQL */
				continue;
			}
			/* Only between tokens that stood apart: a+b and a + b differ. */
			bool apart =
			    token.start == 0 || token.line != last_line || text[token.start - 1] == ' ';
			last_line = lexer.line;
			for (unsigned c = 0; apart && c < 3; c++) {
				char *with = mem_printf(
				    "%.*s%s%s", (int)token.start, text, comments[c], text + token.start);
				struct split after = must_split(with);
				char *other = split_meaning(with, strlen(with), &other_size);
				assert_int_equal(after.count, before.count);
				assert_string_equal(other, meaning);
				mem_free(&other);
				mem_free(&with);
				split_free(&after);
			}
		}
		mem_free(&meaning);
		split_free(&before);
	}
}

/* Property: cut anywhere, a text splits or fails; what stands before the last statement is as it was. */
static void every_beginning_splits_alike(void **state)
{
	(void)state;
	for (unsigned t = 0; t < split_text_count; t++) {
		const char *text = split_texts[t];
		struct split whole = must_split(text);
		for (size_t n = 0; n < strlen(text); n++) {
			struct split split = {.count = 0};
			struct split_error error;
			char *cut = mem_dup(text, n);
			bool fine = split_append(&split, cut, n, 1, &error);
			for (unsigned i = 0; fine && i + 1 < split.count; i++) {
				assert_int_equal(split.at[i].offset, whole.at[i].offset);
				assert_int_equal(split.at[i].size, whole.at[i].size);
				assert_int_equal(split.at[i].end, whole.at[i].end);
			}
			split_free(&split);
			mem_free(&cut);
		}
		split_free(&whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(statements_end_where_psql_ends_them),
	    cmocka_unit_test(what_is_wrong_names_its_line),
	    cmocka_unit_test(copy_carries_its_data),
	    cmocka_unit_test(kinds_are_told_by_leading_words),
	    cmocka_unit_test(wrapped_files),
	    cmocka_unit_test(texts_must_be_utf8),
	    cmocka_unit_test(positions_lead_back_to_the_file),
	    cmocka_unit_test(meaning_is_more_than_bytes),
	    cmocka_unit_test(pieces_make_the_text),
	    cmocka_unit_test(comments_change_nothing),
	    cmocka_unit_test(every_beginning_splits_alike),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
