/* The backup before a run: which tables, which command, which place, which words to restore. Tables are found
 * on a real server; that pg_dump and pg_restore do what is said here: tests/e2e/test_backup.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "pg_cluster.h"
#include "schema/backup.h"

static struct pg_cluster cluster;
static PGconn *conn;

/* A plan of one migration with this text. */
static struct backup_scope scope_of(const char *text, bool all)
{
	const struct catalog_piece piece = {.text = text, .size = strlen(text), .line = 3};
	const struct catalog_section section = {
	    .file = "0001_x.sql", .line = 1, .pieces = &piece, .piece_count = 1};
	struct plan_step step = {.section = &section};
	const struct plan plan = {.at = &step, .count = 1};
	struct backup_scope scope;
	backup_scope(&plan, all, &scope);
	return scope;
}

static const char *cell(const void *handle, unsigned row, unsigned column)
{
	const PGresult *result = handle;
	return PQgetisnull(result, (int)row, (int)column) ? NULL : PQgetvalue(result, (int)row, (int)column);
}

static void look(struct backup_scope *scope)
{
	if (scope->everything)
		return;
	const char *values[] = {scope->names, scope->calls, scope->writes ? "true" : "false"};
	PGresult *result = PQexecParams(conn, backup_tables_sql, 3, NULL, values, NULL, NULL, 0);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("%s", PQerrorMessage(conn));
	const struct reader_rows rows = {
	    (unsigned)PQntuples(result), (unsigned)PQnfields(result), cell, result};
	assert_true(backup_scope_read(scope, &rows));
	PQclear(result);
}

static void what_is_saved(void **state)
{
	static const struct {
		const char *text, *saved;
	} rows[] = {
	    {"ALTER TABLE orders ADD note text", "table public.orders"},
	    {"ALTER TABLE public.orders ADD note text", "table public.orders"},
	    {"alter table \"Odd \"\"name\" drop a", "table public.\"Odd \"\"name\""},
	    {"ALTER TABLE orders ADD c int REFERENCES lines", "tables public.lines and public.orders"},
	    {"UPDATE lines SET a = 1", "table public.lines"},
	    {"CREATE TABLE fresh (a int)", "nothing: no table that is there is touched"},
	    {"CREATE TABLE fresh AS SELECT * FROM lines", "table public.lines"},
	    {"ALTER TABLE parts ADD b int", "tables public.part1 and public.parts"},
	    {"DELETE FROM parent", "tables public.child, public.grandchild and public.parent"},
	    {"DROP VIEW v", "table public.v"},
	    {"SELECT setval('s', 5) FROM s", "table public.s"},
	    {"INSERT INTO lines SELECT gen_random_uuid(), now()", "table public.lines"},
	    {"ALTER TYPE mood ADD VALUE 'x'", "nothing: no table that is there is touched"},
	    {"CREATE FUNCTION orders_of(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"nothing: no table that is there is touched"},
	    {"CREATE OR REPLACE FUNCTION quiet() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"nothing: no table that is there is touched"},
	    /* In doubt everything. */
	    {"\n\nDO $$ BEGIN END $$", "everything: 0001_x.sql:5: DO may change what it does not name"},
	    {"CALL p()", "everything: 0001_x.sql:3: CALL p may change what it does not name"},
	    {"DROP TABLE orders CASCADE",
		"everything: 0001_x.sql:3: DROP TABLE orders takes along what depends on it"},
	    {"DROP SCHEMA other",
		"everything: 0001_x.sql:3: DROP SCHEMA other may change what it does not name"},
	    {"ALTER DOMAIN d SET NOT NULL",
		"everything: 0001_x.sql:3: ALTER DOMAIN d changes every table with a column of that type"},
	    {"SELECT changes()", "everything: function changes may change what no statement names"},
	    {"ALTER TABLE lines ADD c int DEFAULT changes()",
		"everything: function changes may change what no statement names"},
	    {"SELECT steady()", "nothing: no table that is there is touched"},
	    {"UPDATE watched SET a = 1",
		"everything: triggers of public.watched may change what no statement names"},
	    {"ALTER TABLE watched ADD b int", "table public.watched"},
	    {"INSERT INTO ruled VALUES (1)",
		"everything: rules of public.ruled may change what no statement names"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct backup_scope scope = scope_of(rows[i].text, false);
		look(&scope);
		char *saved = backup_describe(&scope);
		if (strcmp(saved, rows[i].saved) != 0)
			fail_msg("%s\n  saved: %s\n  wanted: %s", rows[i].text, saved, rows[i].saved);
		mem_free(&saved);
		backup_scope_free(&scope);
	}
	struct backup_scope scope = scope_of("SELECT 1", true);
	char *saved = backup_describe(&scope);
	assert_string_equal(saved, "everything");
	mem_free(&saved);
	backup_scope_free(&scope);
}

static struct backup_request request_in(
    const char *dir, const struct backup_scope *scope, const struct heads *from)
{
	return (struct backup_request){
	    .scope = scope,
	    .dir = dir,
	    .database = "the shop/../x",
	    .from = from,
	    .now = 1772366400,
	};
}

static void commands_and_places(void **state)
{
	struct backup_scope scope = scope_of("ALTER TABLE orders ADD note text", false);
	struct heads from = heads_none();
	const char *why_static;
	char *why = NULL, dir[] = "/tmp/headgate-backup-XXXXXX", *inside, *text;
	struct backup backup, second;
	struct stat st;

	(void)state;
	look(&scope);
	assert_true(heads_parse("b2+a1", 5, &from, &why_static));
	assert_non_null(mkdtemp(dir));
	inside = mem_printf("%s/two/levels/", dir);
	struct backup_request request = request_in(inside, &scope, &from);
	assert_true(backup_make(&request, &backup, &why));
	text = mem_printf("%s/two/levels/headgate-the_shop_.._x-20260301T120000Z-from-a1+b2", dir);
	assert_string_equal(backup.place, text);
	mem_free(&text);
	static const char *const argv[] = {"pg_dump", "--format=directory", NULL, "--no-password",
	    "--lock-wait-timeout=60000", "--table=\"public\".\"orders\""};
	for (size_t i = 0; i < sizeof(argv) / sizeof(argv[0]); i++)
		assert_string_equal(backup.argv[i],
		    argv[i] != NULL ? argv[i] : (text = mem_printf("--file=%s", backup.place)));
	mem_free(&text);
	assert_null(backup.argv[6]);
	assert_true(backup.own);
	assert_null(backup.environment);
	assert_string_equal(backup.what, "table public.orders");
	assert_int_equal(stat(inside, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700); /* data of the database lies in it */

	/* A second one in the same second has another name; sizes; what is not pg_dump's is not removed. */
	assert_int_equal(backup_bytes(backup.place), 0);
	assert_int_equal(mkdir(backup.place, 0700), 0);
	assert_true(backup_make(&request, &second, &why));
	text = mem_printf("%s-2", backup.place);
	assert_string_equal(second.place, text);
	mem_free(&text);
	backup_free(&second);
	for (int i = 0; i < 2; i++) {
		text = mem_printf("%s/%s", backup.place, i == 0 ? "toc.dat" : "mine.txt");
		FILE *file = fopen(text, "w");
		fputs("12345", file);
		fclose(file);
		mem_free(&text);
	}
	assert_int_equal(backup_bytes(backup.place), 10);
	backup_discard(backup.place);
	assert_int_equal(backup_bytes(backup.place), 5);
	text = mem_printf("%s/mine.txt", backup.place);
	unlink(text);
	mem_free(&text);
	backup_discard(backup.place);
	assert_int_not_equal(stat(backup.place, &st), 0);
	backup_discard("/nonexistent");
	backup_free(&backup);

	/* A command of the user's. */
	char *command[] = {(char *)"/bin/save", (char *)"--all", NULL};
	request.command = command;
	request.command_count = 2;
	assert_true(backup_make(&request, &backup, &why));
	assert_string_equal(backup.argv[0], "/bin/save");
	assert_null(backup.argv[2]);
	assert_false(backup.own);
	assert_memory_equal(backup.environment[0], "HEADGATE_BACKUP=/tmp/headgate-backup-", 37);
	assert_string_equal(backup.environment[1], "HEADGATE_DATABASE=the shop/../x");
	assert_string_equal(backup.environment[2], "HEADGATE_TABLES=\"public\".\"orders\"\n");
	backup_free(&backup);
	request.dir = NULL;
	assert_true(backup_make(&request, &backup, &why));
	assert_null(backup.place);
	assert_string_equal(backup.environment[0], "HEADGATE_BACKUP"); /* taken out of the environment */
	backup_free(&backup);

	/* No folder. */
	request.command = NULL;
	request.dir = "/proc/no/where";
	assert_false(backup_make(&request, &backup, &why));
	assert_non_null(strstr(why, "/proc/no"));
	assert_non_null(strstr(why, "--backup=FOLDER"));
	mem_free(&why);

	text = mem_printf("rm -r %s", dir);
	assert_int_equal(system(text), 0);
	mem_free(&text);
	mem_free(&inside);
	heads_free(&from);
	backup_scope_free(&scope);
}

static void restoring(void **state)
{
	struct backup_scope some = {.table_count = 1}, all = {.everything = true};
	struct heads none = heads_none(), two = heads_none();
	const char *why;

	(void)state;
	assert_true(heads_parse("b2+a1", 5, &two, &why));
	char *text = backup_restore(&some, "/b/it's", "my shop", &two);
	assert_string_equal(text,
	    "look at it:     pg_restore --list '/b/it'\\''s'\n"
	    "in its place:   pg_restore --clean --if-exists --single-transaction --dbname='my shop' "
	    "'/b/it'\\''s'\n"
	    "                and, when what is recorded must go back too: headgate stamp a1,b2\n");
	mem_free(&text);
	text = backup_restore(&all, "/b/x", "shop", &none);
	assert_non_null(strstr(text, "createdb shop_restored && pg_restore --dbname=shop_restored /b/x\n"));
	mem_free(&text);
	heads_free(&two);
}

static int setup(void **state)
{
	(void)state;
	pg_cluster_new(&cluster);
	conn = PQconnectdb(pg_dsn(&cluster, "postgres"));
	PGresult *result = PQexec(conn,
	    "CREATE TYPE mood AS ENUM ('sad');"
	    "CREATE TABLE orders (id int PRIMARY KEY);"
	    "CREATE TABLE lines (a int);"
	    "CREATE TABLE \"Odd \"\"name\" (a int);"
	    "CREATE TABLE parts (id int) PARTITION BY RANGE (id);"
	    "CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (1) TO (100);"
	    "CREATE TABLE parent (id int PRIMARY KEY);"
	    "CREATE TABLE child (id int PRIMARY KEY REFERENCES parent ON DELETE CASCADE);"
	    "CREATE TABLE grandchild (id int REFERENCES child ON DELETE SET NULL);"
	    "CREATE VIEW v AS SELECT 1 AS a;"
	    "CREATE SEQUENCE s;"
	    "CREATE FUNCTION changes() RETURNS int LANGUAGE sql AS 'SELECT 1';"
	    "CREATE FUNCTION quiet() RETURNS int LANGUAGE sql AS 'SELECT 1';"
	    "CREATE FUNCTION steady() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';"
	    "CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
	    "CREATE TABLE watched (a int);"
	    "CREATE TRIGGER watch AFTER UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION watch();"
	    "CREATE TABLE ruled (a int);"
	    "CREATE RULE rule AS ON INSERT TO ruled DO ALSO DELETE FROM lines;"
	    "CREATE SCHEMA headgate; CREATE TABLE headgate.lines (a int);"
	    "SET search_path = ''");
	assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
	PQclear(result);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	PQfinish(conn);
	pg_cluster_free(&cluster);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_saved),
	    cmocka_unit_test(commands_and_places),
	    cmocka_unit_test(restoring),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
