/* The catalog: the native format, what is wrong with one, placeholders, checksums, folders, speed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "schema_catalog_text.h"

static void native_files(void **state)
{
	(void)state;
	CATALOG_IS(NULL,
	    "native\n1 'one' +[2:CREATE TABLE a ()] -[4:DROP TABLE a]\n2<1 'two' +[2:SELECT 2]\n"
	    "10<2 'ten' +[2:SELECT 10]\n",
	    "1_one.sql", "-- migrate:up\nCREATE TABLE a ();\n-- migrate:down\nDROP TABLE a;\n", "10_ten.sql",
	    "-- migrate:up\nSELECT 10", "2_two.sql", "-- migrate:up\r\nSELECT 2;\r\n", "README.md", "x");
	CATALOG_IS(NULL,
	    "native\n"
	    "7a1<9f2 'by hand, please' +~[4:SELECT 1; 5:SELECT 2]\n"
	    "8b<9f2 >7a1 @pay,bill 'slug here' +[8:SELECT 1]\n"
	    "9f2 'root' +[3:SELECT 1]\n"
	    "2024-01-02 'second file' +![6:VACUUM] -~[4:SELECT 1]\n"
	    "m<7a1,8b ~ '' +[] -[]\n",
	    "9f2_root.sql", "-- revises: base\n-- migrate:up\nSELECT 1;\n", "7a1_x.sql",
	    "-- revises: 9f2\n--message: by hand, please \n-- migrate:up hold:none  transaction:true\n"
	    "SELECT 1;\nSELECT 2;\n-- revises: later is a comment\n",
	    "8b_slug_here.sql",
	    "\xef\xbb\xbf-- about it\n--revises: 9f2\n\n-- depends-on: 7a1\n-- labels: pay, bill\n--\n-- "
	    "migrate:up\nSELECT 1;",
	    "2024-01-02_second-file.sql",
	    "-- revises: base\n-- migrate:down hold:none\n\nSELECT 1;\n-- migrate:up "
	    "transaction:false\nVACUUM;\n"
	    "-- other: comment\n",
	    "m.sql", "-- revises: 7a1, 8b\n-- migrate:up compatible\n-- migrate:down\n");
	CATALOG_IS(NULL, "native\n", NULL);
	CATALOG_IS(NULL, "native\n", "README.md", "-- migrate:up", "notes/x.txt", "");
	CATALOG_IS(NULL, "native\n1 '' +[2:SELECT 1]\nnote old/0.sql: not looked at: it is in a folder\n",
	    "1.sql", "-- migrate:up\nSELECT 1", "old/0.sql", "SELECT 0;");
}

static void dbmate_files(void **state)
{
	(void)state;
	static const struct catalog_options dbmate = {.format = CATALOG_DBMATE};
	CATALOG_IS(NULL,
	    "native\n20240101 'users' +[4:SELECT 1] -[]\n20240102<20240101 'more' +![3:SELECT 2] -![]\n"
	    "note 20240101-users.sql:6: its way down does nothing: there is no statement in it\n"
	    "note 20240102_more.sql:5: its way down does nothing: there is no statement in it\n",
	    "20240101-users.sql", "-- comment\n\n-- migrate:up\nSELECT 1;\n\n-- migrate:down\n\n",
	    "20240102_more.sql",
	    "\n-- migrate:up transaction:false\nSELECT 2;\n\n-- migrate:down transaction:false\n"
	    "-- nothing to do\n");
	/* What dbmate passes over, and what it takes. */
	CATALOG_IS(NULL,
	    "native\n1 'a' +[] -[4:SELECT 1]\n"
	    "note seed.sql: not looked at: there is no line -- migrate:up in it, and no number in its name\n"
	    "note 1_a.sql:1: its way up does nothing: there is no statement in it\n",
	    "1_a.sql", "-- migrate:up\n-- nothing\n-- migrate:down\nSELECT 1;", "seed.sql", "SELECT '");
	CATALOG_FAILS(NULL, "seed.sql: there is no line -- migrate:up in it\n", "a_x.sql",
	    "-- migrate:up\nSELECT 1;", "seed.sql", "SELECT 1;");
	CATALOG_IS(&dbmate,
	    "dbmate\n007 '2 x' +[]\nnote 007_2-x.sql:1: its way up does nothing: there is no statement in "
	    "it\n",
	    "007_2-x.sql", "-- migrate:up\n");
}

static void what_is_wrong(void **state)
{
	(void)state;
	static const struct catalog_options in_folder = {.folder = "db/migrations"};
	CATALOG_FAILS(NULL, "1_a.sql: there is no line -- migrate:up in it\n", "1_a.sql", "SELECT 1;");
	CATALOG_FAILS(NULL, "2_b.sql: there is no line -- migrate:up in it\n", "1_a.sql",
	    "-- migrate:up\nSELECT 1;", "2_b.sql", "SELECT 1;");
	CATALOG_FAILS(&in_folder,
	    "db/migrations/1_b.sql:1: revision 1 is also that of db/migrations/1_a.sql\n", "1_a.sql",
	    "-- migrate:up\nSELECT 1;", "1_b.sql", "-- migrate:up\nSELECT 1;");
	CATALOG_FAILS(NULL, "a_x.sql:2: revision a revises zz, which is nowhere here\n", "a_x.sql",
	    "-- message: x\n-- revises: zz\n-- migrate:up\nSELECT 1;");
	CATALOG_FAILS(NULL,
	    "a_x.sql:1: revisions that come after one another in a circle: a (a_x.sql:1), b (b_x.sql:2)\n",
	    "a_x.sql", "-- revises: b\n-- migrate:up\nSELECT 1;", "b_x.sql",
	    "\n-- revises: a\n-- migrate:up\nSELECT 1;");
	CATALOG_FAILS(NULL, "1_a.sql:2: the section -- migrate:up is empty\n", "1_a.sql",
	    "-- message: x\n-- migrate:up\n-- nothing\n;\n-- migrate:down\nSELECT 1;");
	CATALOG_FAILS(NULL, "1_a.sql:3: \\d is a psql meta-command: a migration holds SQL only\n", "1_a.sql",
	    "-- migrate:up\nSELECT 1;\n\\d t\n");
	CATALOG_FAILS(NULL, "1_a.sql:4: a string '… never ends\n", "1_a.sql",
	    "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 'x\n");
	CATALOG_FAILS(NULL,
	    "1_a.sql:2: a dollar-quoted string $…$ never ends\n1_a.sql:4: a dollar-quoted string $…$ never "
	    "ends\n",
	    "1_a.sql", "-- migrate:up\nSELECT $$x\n-- migrate:down\n$$;");
	CATALOG_FAILS(NULL, "1_a.sql:3: a second -- migrate:up: the first is on line 1\n", "1_a.sql",
	    "-- migrate:up\nSELECT 1;\n-- migrate:up\nSELECT 1;");
	CATALOG_FAILS(NULL,
	    "1_a.sql:3: no section is called migrate:sideways: there are migrate:up and migrate:down\n",
	    "1_a.sql", "-- migrate:up\nSELECT 1;\n-- migrate:sideways\nSELECT 1;");
	CATALOG_FAILS(NULL,
	    "1_a.sql:3: a section's line begins with -- at its first column and is written in lower case\n"
	    "1_a.sql:4: a section's line begins with -- at its first column and is written in lower case\n",
	    "1_a.sql", "-- migrate:up\nSELECT 1;\n  -- migrate:down\n-- Migrate:Down\nSELECT 1;");
	CATALOG_FAILS(NULL,
	    "1_a.sql:1: unknown option hold:nun: there are transaction:false, hold:none and compatible\n"
	    "1_a.sql:3: compatible belongs to the line -- migrate:up\n",
	    "1_a.sql", "-- migrate:up hold:nun\nSELECT 1;\n-- migrate:down compatible\nSELECT 1;");
	CATALOG_FAILS(NULL, "1_a.sql:2: SQL before the first section (-- migrate:up)\n", "1_a.sql",
	    "-- comment\nSELECT 1;\n-- migrate:up\nSELECT 1;");
	CATALOG_FAILS(NULL,
	    "1_a.sql:1: -- revises: names nothing (a first revision says: -- revises: base)\n", "1_a.sql",
	    "-- revises:\n-- migrate:up\nSELECT 1;");
	CATALOG_FAILS(NULL, "1_a.sql:2: byte 0xe9 is not UTF-8: save the file as UTF-8\n", "1_a.sql",
	    "-- migrate:up\nSELECT '\xe9';");
	CATALOG_FAILS(NULL, "2_b.sql: it is a migration of goose, but those of this folder are of native\n",
	    "1_a.sql", "-- migrate:up\nSELECT 1;", "2_b.sql", "-- +goose Up\nSELECT 1;", "3_c.sql",
	    "-- migrate:up\nSELECT 1;");
	CATALOG_FAILS(NULL, "head_x.sql:1: \"head\" is no revision: it is a word of its own among targets\n",
	    "head_x.sql", "-- migrate:up\nSELECT 1;");
	CATALOG_FAILS(NULL, "1_a?b.sql: there is no line -- migrate:up in it\n", "1_a\nb.sql", "SELECT 1;");
	static const struct catalog_options goose = {.format = CATALOG_GOOSE};
	CATALOG_FAILS(&goose, "1_a.sql: it is a migration of native, but those of this folder are of goose\n",
	    "1_a.sql", "-- migrate:up\nSELECT 1;");
}

static void what_a_section_holds(void **state)
{
	(void)state;
	const char *const files[] = {"1_a.sql",
	    "-- migrate:up\nSELECT 1;\nVACUUM;\nCREATE INDEX CONCURRENTLY i ON t (a);\nBEGIN;\nCOMMIT;\n"
	    "-- migrate:down\nBEGIN;\nSELECT 1;\nCOMMIT;\n",
	    NULL};
	struct catalog_defects defects = {.count = 0};
	struct catalog *catalog = catalog_text_parse(files, NULL, &defects);
	const struct catalog_section *up = &catalog_at(catalog, 0)->up, *down = &catalog_at(catalog, 0)->down;
	assert_int_equal(up->statements, 5);
	assert_string_equal(up->alone, "VACUUM");
	assert_int_equal(up->alone_line, 3);
	assert_string_equal(up->control, "BEGIN");
	assert_int_equal(up->control_line, 5);
	assert_false(up->wrapped);
	assert_true(down->wrapped);
	assert_null(down->alone);
	assert_int_equal(down->line, 7);
	catalog_free(&catalog);
	assert_null(catalog);
}

static void placeholders(void **state)
{
	(void)state;
	static const struct catalog_placeholder values[] = {{"role", "app"}, {"schema.name", "s; --"}};
	static const struct catalog_options on = {
	    .placeholders = true, .placeholder = values, .placeholder_count = 2};
	static const struct catalog_placeholder two_lines[] = {{"x", "a\nb"}};
	static const struct catalog_options bad = {
	    .placeholders = true, .placeholder = two_lines, .placeholder_count = 1};
	const char *text = "-- migrate:up\nGRANT ${role} TO $${x}$$;\nSELECT '${role}';";
	CATALOG_IS(
	    NULL, "native\n1 'a' +[2:GRANT ${role} TO $${x}$$; 3:SELECT '${role}']\n", "1_a.sql", text);
	CATALOG_FAILS(&on, "1_a.sql:2: the placeholder ${x} has no value\n", "1_a.sql", text);
	CATALOG_IS(&on,
	    "native\n1 'a' +[2:GRANT app TO $x ${ ${} ${a b}; 3:SELECT 's; --'] -[5:SELECT 'app']\n",
	    "1_a.sql",
	    "-- migrate:up\nGRANT ${role} TO $x ${ ${} ${a b};\nSELECT '${schema.name}';\n-- migrate:down\n"
	    "SELECT '${role}'");
	CATALOG_FAILS(&on,
	    "1_a.sql:2: the placeholder ${Role} has no value\n1_a.sql:4: the placeholder ${z} has no value\n",
	    "1_a.sql", "-- migrate:up\nSELECT ${Role};\n\nSELECT ${z}");
	CATALOG_FAILS(&bad, "1_a.sql:2: the value of the placeholder ${x} has a line end\n", "1_a.sql",
	    "-- migrate:up\nSELECT ${x};");
}

/* Not SHA-256: only a function to see what is given to it. */
static void first_bytes(const void *bytes, size_t size, unsigned char out[32])
{
	memset(out, 0, 32);
	for (size_t i = 0; i < size; i++)
		out[i % 32] = (unsigned char)(out[i % 32] * 31 + ((const unsigned char *)bytes)[i]);
}

static void checksum(const char *text, const struct catalog_options *options, char out[65])
{
	const char *const files[] = {"1_a.sql", text, NULL};
	struct catalog_defects defects = {.count = 0};
	struct catalog *catalog = catalog_text_parse(files, options, &defects);
	assert_non_null(catalog);
	catalog_checksum(&catalog_at(catalog, 0)->up, first_bytes, out);
	assert_int_equal(strlen(out), 64);
	char none[65] = "x";
	catalog_checksum(&catalog_at(catalog, 0)->down, first_bytes, none);
	assert_string_equal(none, "");
	catalog_free(&catalog);
}

static void checksums_are_of_the_meaning(void **state)
{
	(void)state;
	static const struct catalog_placeholder values[] = {{"a", "1"}};
	static const struct catalog_options on = {
	    .placeholders = true, .placeholder = values, .placeholder_count = 1};
	char a[65], b[65];
	checksum("-- migrate:up\nSELECT 1;\n", NULL, a);
	checksum("\xef\xbb\xbf-- licence\r\n-- migrate:up hold:none\r\nSELECT 1 ; -- x\r\n\r\n", NULL, b);
	assert_string_equal(a, b);
	checksum("-- migrate:up\nSELECT 2;\n", NULL, b);
	assert_string_not_equal(a, b);
	checksum("-- migrate:up\nSELECT ${a};\n", NULL, a);
	checksum("-- migrate:up\nSELECT ${a};\n", &on, b);
	assert_string_equal(a, b);
}

static void paths_need_sections(void **state)
{
	(void)state;
	const char *const files[] = {"1_a.sql", "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 1;\n",
	    "2_b.sql", "-- migrate:up\nSELECT 1;\n", "3_c.sql",
	    "-- message: x\n-- migrate:up\nSELECT 1;\n-- migrate:down\n-- to do\n", "3b_d.sql",
	    "-- revises: 2\n-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 1;\n", "4_e.sql",
	    "-- revises: 3, 3b\n-- migrate:up\n", NULL};
	struct catalog_defects defects = {.count = 0};
	struct catalog *catalog = catalog_text_parse(files, NULL, &defects);
	assert_non_null(catalog);
	assert_int_equal(catalog_note_count(catalog), 1);
	assert_string_equal(catalog_note(catalog, 0),
	    "3_c.sql:4: the section -- migrate:down is empty: there is no way down");
	struct heads none = heads_none(), four = {.text = (char *)(uintptr_t) "4"};
	struct graph_path path;
	char *why = NULL;
	assert_true(graph_upgrade(catalog_graph(catalog), &none, "head", &path, &why));
	assert_int_equal(path.count, 5);
	assert_true(catalog_check_path(catalog, &path, &defects));
	graph_path_free(&path);
	assert_true(graph_downgrade(catalog_graph(catalog), &four, "base", &path, &why));
	assert_false(catalog_check_path(catalog, &path, &defects));
	assert_int_equal(defects.count, 2);
	assert_string_equal(defects.lines[0], "3_c.sql: revision 3 has no way down");
	assert_string_equal(defects.lines[1], "2_b.sql: revision 2 has no way down");
	catalog_defects_free(&defects);
	graph_path_free(&path);
	catalog_free(&catalog);
}

static void names_of_formats(void **state)
{
	(void)state;
	enum catalog_format format;
	for (enum catalog_format f = CATALOG_AUTO; f <= CATALOG_ALEMBIC; f++) {
		assert_true(catalog_format_named(catalog_format_name(f), &format));
		assert_int_equal(format, f);
		assert_non_null(strstr(catalog_format_names(), catalog_format_name(f)));
	}
	assert_false(catalog_format_named("liquibase", &format));
}

static void write_text(const char *dir, const char *name, const char *text)
{
	char *path = mem_printf("%s/%s", dir, name);
	FILE *to = fopen(path, "w");
	assert_non_null(to);
	fputs(text, to);
	fclose(to);
	mem_free(&path);
}

static void folders_are_read(void **state)
{
	(void)state;
	char dir[] = "/tmp/headgate-folder-XXXXXX", *why = NULL;
	struct catalog_files files;
	assert_non_null(mkdtemp(dir));
	char *command =
	    mem_printf("mkdir -p %s/sub/.git %s/.hidden %s/__pycache__ %s/data && ln -s ../data/2_b.sql "
		       "%s/sub/l.sql && ln -s nowhere %s/dangling.txt",
		dir, dir, dir, dir, dir, dir);
	assert_int_equal(system(command), 0);
	mem_free(&command);
	write_text(dir, "1_a.sql", "-- migrate:up\nSELECT 1;\n");
	write_text(dir, "data/2_b.sql", "");
	write_text(dir, "README.md", "x");
	write_text(dir, ".hidden/3.sql", "x");
	write_text(dir, "sub/.git/3.sql", "x");
	write_text(dir, "__pycache__/x.py", "x");
	write_text(dir, "1_x.up.pgsql", "x");
	write_text(dir, "sub/metadata.toml", "x");
	write_text(dir, "V1__x.sql.conf", "x");
	write_text(dir, "5_x.go", "x");
	assert_true(catalog_read_folder(dir, &files, &why));
	static const char *const names[] = {"1_a.sql", "1_x.up.pgsql", "5_x.go", "V1__x.sql.conf",
	    "data/2_b.sql", "sub/l.sql", "sub/metadata.toml"};
	assert_int_equal(files.count, sizeof(names) / sizeof(names[0]));
	for (unsigned i = 0; i < files.count; i++)
		assert_string_equal(files.at[i].name, names[i]);
	assert_memory_equal(files.at[0].bytes, "-- migrate:up", 13);
	assert_int_equal(files.at[0].size, 24);
	catalog_files_free(&files);

	command = mem_printf("mkfifo %s/9_pipe.sql", dir);
	assert_int_equal(system(command), 0);
	mem_free(&command);
	assert_false(catalog_read_folder(dir, &files, &why));
	assert_non_null(strstr(why, "9_pipe.sql: not a file"));
	mem_free(&why);
	command = mem_printf("rm %s/9_pipe.sql && ln -s nowhere %s/9_b.sql", dir, dir);
	assert_int_equal(system(command), 0);
	mem_free(&command);
	assert_false(catalog_read_folder(dir, &files, &why));
	assert_non_null(strstr(why, "9_b.sql: No such file"));
	mem_free(&why);
	command = mem_printf("rm -rf %s", dir);
	assert_int_equal(system(command), 0);
	mem_free(&command);
	assert_false(catalog_read_folder(dir, &files, &why));
	assert_non_null(strstr(why, "No such file"));
	mem_free(&why);
}

/* Says how long it takes; a slow machine is no fault. */
static void ten_thousand_files(void **state)
{
	(void)state;
	struct catalog_files files = {.at = mem_alloc(10000 * sizeof(*files.at)), .count = 10000};
	for (unsigned i = 0; i < files.count; i++) {
		char *text = mem_printf(
		    "-- message: number %u\n-- migrate:up\nCREATE TABLE t%u (id bigint PRIMARY KEY, "
		    "name text NOT NULL DEFAULT 'it''s; fine', -- a comment\n\tat timestamptz);\n"
		    "CREATE INDEX ON t%u (name);\nCREATE FUNCTION f%u() RETURNS int LANGUAGE plpgsql AS $$\n"
		    "BEGIN\n\tRETURN %u;\nEND $$;\n-- migrate:down\nDROP FUNCTION f%u();\nDROP TABLE t%u;\n",
		    i, i, i, i, i, i, i);
		files.at[i] = (struct catalog_file){
		    .name = mem_printf("%014u_number_%u.sql", i, i), .bytes = text, .size = strlen(text)};
	}
	static const struct catalog_options none = {.format = CATALOG_AUTO};
	struct catalog_defects defects = {.count = 0};
	struct heads recorded = heads_none();
	struct graph_path path;
	char *why = NULL;
	clock_t begin = clock();
	struct catalog *catalog = catalog_parse(&files, &none, &defects);
	clock_t parsed = clock();
	assert_non_null(catalog);
	assert_int_equal(catalog_count(catalog), 10000);
	assert_true(graph_upgrade(catalog_graph(catalog), &recorded, "head", &path, &why));
	clock_t planned = clock();
	assert_int_equal(path.count, 10000);
	print_message("10000 files parsed in %.3f s, the way from base to head found in %.3f s\n",
	    (double)(parsed - begin) / CLOCKS_PER_SEC, (double)(planned - parsed) / CLOCKS_PER_SEC);
	graph_path_free(&path);
	catalog_free(&catalog);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(native_files),
	    cmocka_unit_test(dbmate_files),
	    cmocka_unit_test(what_is_wrong),
	    cmocka_unit_test(what_a_section_holds),
	    cmocka_unit_test(placeholders),
	    cmocka_unit_test(checksums_are_of_the_meaning),
	    cmocka_unit_test(paths_need_sections),
	    cmocka_unit_test(names_of_formats),
	    cmocka_unit_test(folders_are_read),
	    cmocka_unit_test(ten_thousand_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
