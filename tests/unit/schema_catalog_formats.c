/* Catalogs of other tools, read as they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "schema_catalog_text.h"

static void golang_migrate(void **state)
{
	(void)state;
	CATALOG_IS(NULL,
	    "golang-migrate\n"
	    "1 'create users' +[1:CREATE TABLE users ()] -[1:DROP TABLE users]\n"
	    "2<1 'b' +[2:SELECT 2]\n"
	    "10<2 'c.d' +[] -[1:SELECT 10]\n"
	    "20240101120000<10 'e' +[1:BEGIN; 1:SELECT 1; 1:COMMIT] -[]\n"
	    "note 10_c.d.up.sql:1: its way up does nothing: there is no statement in it\n"
	    "note 20240101120000_e.down.pgsql:1: its way down does nothing: there is no statement in it\n",
	    "000001_create_users.up.sql",
	    "\xef\xbb\xbf"
	    "CREATE TABLE users ();",
	    "1_create_users.down.sql", "DROP TABLE users;\n", "2_b.up.sql", "-- x\r\nSELECT 2;\r\n",
	    "10_c.d.up.sql", "-- nothing", "10_c.d.down.sql", "SELECT 10", "20240101120000_e.up.sql",
	    "BEGIN; SELECT 1; COMMIT;", "20240101120000_e.down.pgsql", "", "migrations.go", "package x");
	CATALOG_FAILS(NULL,
	    "2_a.up.sql: revision 2 has a way up in 002_b.up.sql too\n"
	    "002_b.up.sql:1: \\i is a psql meta-command: a migration holds SQL only\n",
	    "002_b.up.sql", "\\i other.sql", "2_a.up.sql", "SELECT 1;");
	/* What golang-migrate passes over, and a version that has a way down alone: it counts, and nothing is
	 * run. */
	CATALOG_IS(NULL,
	    "golang-migrate\n"
	    "1 'a' +[1:SELECT 1]\n"
	    "3<1 'c' +[] -[1:SELECT -3]\n"
	    "note 0004_d.sql: not looked at: its name is not that of a migration of golang-migrate "
	    "(<number>_<slug>.up.sql)\n"
	    "note schema.sql: not looked at: its name is not that of a migration of golang-migrate "
	    "(<number>_<slug>.up.sql)\n"
	    "note testdata/000001_a.up.sql: not looked at: it is in a folder\n"
	    "note 3_c.down.sql:1: its way up does nothing: there is no statement in it\n",
	    "1_a.up.sql", "SELECT 1;", "3_c.down.sql", "SELECT -3;", "0004_d.sql", "SELECT 4;",
	    "1_a.up.sql.bak", "'", "schema.sql", "\\restrict x\n", "testdata/000001_a.up.sql", "\xff\xfe'");
}

static void diesel(void **state)
{
	(void)state;
	CATALOG_IS(NULL,
	    "diesel\n"
	    "00000000000000 'diesel initial setup' +[1:SELECT 0] -[1:SELECT -0]\n"
	    "20240102030405<00000000000000 'add users' +![1:CREATE INDEX CONCURRENTLY i ON t (a)] -![]\n"
	    "20240103<20240102030405 '' +[1:SELECT 3]\n"
	    "note 2024-01-02-030405_add_users/down.sql:1: its way down does nothing: there is no statement "
	    "in it\n",
	    "00000000000000_diesel_initial_setup/up.sql", "SELECT 0",
	    "00000000000000_diesel_initial_setup/down.sql", "SELECT -0", "2024-01-02-030405_add_users/up.sql",
	    "CREATE INDEX CONCURRENTLY i ON t (a);", "2024-01-02-030405_add_users/down.sql",
	    "-- This file should undo anything in `up.sql`", "2024-01-02-030405_add_users/metadata.toml",
	    "# x\nrun_in_transaction = false # no\n", "20240103/up.sql", "SELECT 3;",
	    "20240103/metadata.toml", "run_in_transaction = true");
	CATALOG_FAILS(NULL,
	    "20240102_a/down.sql: its version 20240102 is also that of 2024-01-02_b/up.sql\n"
	    "20240102_a/up.sql: its version 20240102 is also that of 2024-01-02_b/up.sql\n"
	    "20240103_c/down.sql: a way down, but no file has the way up\n",
	    "20240102_a/up.sql", "SELECT 1;", "20240102_a/down.sql", "SELECT 1;", "2024-01-02_b/up.sql",
	    "SELECT 1;", "20240103_c/down.sql", "SELECT 1;");
	CATALOG_IS(NULL,
	    "diesel\n"
	    "00000000000000 'a' +[1:SELECT 1]\n"
	    "000000000000000<00000000000000 'b' +[1:SELECT 2]\n"
	    "note 000000000000000_b/data.sql: not looked at: its name is not that of a migration of diesel "
	    "(<version>_<slug>/up.sql)\n"
	    "note old.sql: not looked at: its name is not that of a migration of diesel "
	    "(<version>_<slug>/up.sql)\n",
	    "00000000000000_a/up.sql", "SELECT 1;", "000000000000000_b/up.sql", "SELECT 2;",
	    "000000000000000_b/data.sql", "\xff", "old.sql", "'");
}

static void goose(void **state)
{
	(void)state;
	CATALOG_IS(NULL,
	    "goose\n"
	    "1 'users' +[2:CREATE TABLE a (); 4:CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
	    "6:SELECT 2] "
	    "-[8:DROP TABLE a]\n"
	    "2<1 'index' +![4:CREATE INDEX CONCURRENTLY i ON t (a)]\n"
	    "20240101000000<2 'x' +[2:SELECT 1] -[]\n"
	    "note 20240101000000_x.sql:3: its way down does nothing: there is no statement in it\n",
	    "00001_users.sql",
	    "-- +goose Up\nCREATE TABLE a ();\n-- +goose StatementBegin\nCREATE FUNCTION f() RETURNS int "
	    "LANGUAGE sql AS "
	    "'SELECT 1'\n-- +goose StatementEnd\nSELECT 2;\n-- +goose Down\nDROP TABLE a;\n",
	    "00002_index.sql",
	    "-- comment\n-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY i ON t (a);\n",
	    "20240101000000_x.sql", "  --+goose up\nSELECT 1;\n--   +goose   down\n", "embed.go",
	    "package m");
	CATALOG_FAILS(NULL,
	    "1_a.sql:3: a StatementBegin inside that of line 2\n"
	    "1_a.sql:3: a StatementBegin without StatementEnd\n"
	    "1_a.sql:5: a StatementEnd without StatementBegin\n"
	    "1_a.sql:6: unknown annotation Sideways\n"
	    "2_b.sql:2: SQL before the first section (-- +goose Up)\n"
	    "2_b.sql:5: a second section of that name: the first is on line 3\n"
	    "3_go.go: a migration written in Go: headgate runs SQL only\n"
	    "x.sql: its name is not that of a goose migration (<number>_<slug>.sql)\n",
	    "1_a.sql",
	    "-- +goose Up\n-- +goose StatementBegin\n-- +goose StatementBegin\n-- +goose Down\n-- +goose "
	    "StatementEnd\n"
	    "-- +goose Sideways\nSELECT 1;",
	    "2_b.sql", "\nSELECT 1;\n-- +goose Up\nSELECT 1;\n-- +goose Up\nSELECT 1;", "3_go.go",
	    "package m", "x.sql", "-- +goose Up\nSELECT 1;");
	CATALOG_IS(NULL,
	    "goose\n1 'a' +[2:SELECT 1]\n"
	    "note seed.sql: not looked at: its name is not that of a goose migration (<number>_<slug>.sql)\n",
	    "1_a.sql", "-- +goose Up\nSELECT 1;", "seed.sql", "SELECT '");
	CATALOG_FAILS(NULL, "1_a.sql:1: ENVSUB: switch placeholders on and give their values\n", "1_a.sql",
	    "-- +goose ENVSUB ON\n-- +goose Up\nSELECT ${x};");
	static const struct catalog_placeholder values[] = {{"x", "7"}};
	static const struct catalog_options on = {
	    .placeholders = true, .placeholder = values, .placeholder_count = 1};
	CATALOG_IS(&on, "goose\n1 'a' +[3:SELECT 7]\n", "1_a.sql",
	    "-- +goose ENVSUB ON\n-- +goose Up\nSELECT ${x};");
}

static void sql_migrate(void **state)
{
	(void)state;
	CATALOG_IS(NULL,
	    "sql-migrate\n"
	    "20170426134008-init 'init' +[2:CREATE TABLE a ()] -[4:DROP TABLE a]\n"
	    "20170426134009-concurrently<20170426134008-init 'concurrently' +![2:CREATE INDEX CONCURRENTLY i "
	    "ON a (b)]\n"
	    "20170426134010-0123456789012345678901234567890123456789012345678<20170426134009-concurrently "
	    "'01234567890123456789012345678901234567890123456789' +[2:SELECT 1; 8:SELECT 2; 12:SELECT 4] "
	    "-[10:SELECT 3]\n"
	    "plain<20170426134010-0123456789012345678901234567890123456789012345678 'plain' +[2:SELECT 1]\n",
	    "20170426134008-init.sql",
	    "-- +migrate Up\nCREATE TABLE a ();\n-- +migrate Down\nDROP TABLE a;\n",
	    "20170426134009-concurrently.sql",
	    "-- +migrate Up notransaction\nCREATE INDEX CONCURRENTLY i ON a (b);",
	    "20170426134010-01234567890123456789012345678901234567890123456789.sql",
	    "-- +migrate Up\nSELECT 1;\n\n-- +migrate StatementBegin\n-- +migrate StatementEnd\n\n\nSELECT "
	    "2;\n"
	    "-- +migrate Down\nSELECT 3;\n-- +migrate Up\nSELECT 4;",
	    "plain.sql", "-- +migrate Up\nSELECT 1;");
	/* As lax as sql-migrate itself. */
	CATALOG_IS(NULL,
	    "sql-migrate\n"
	    "1-a.b 'a.b' +[3:SELECT 1; 6:SELECT 2; 9:SELECT 3]\n"
	    "2-b<1-a.b 'b' +[] -[2:SELECT -2]\n"
	    "3_c<2-b 'c' +![2:SELECT 3]\n"
	    "3<3_c '' +[2:SELECT 3]\n"
	    "note 1-a.b.sql:1: SQL before the first section (-- +migrate Up) is not run\n"
	    "note 3 c.sql:1: unknown option --: sql-migrate knows notransaction\n"
	    "note 2-b.sql:1: its way up does nothing: there is no statement in it\n",
	    "1-a.b.sql",
	    "SELECT 0;\n-- +migrate Up\nSELECT 1;\n-- +migrate StatementBegin\n-- +migrate "
	    "StatementBegin\nSELECT 2\n"
	    "-- +migrate StatementEnd\n-- +migrate StatementEnd\nSELECT 3;",
	    "2-b.sql", "-- +migrate Down\nSELECT -2;", "3.sql", "-- +migrate Up\nSELECT 3;", "3 c.sql",
	    "-- +migrate Up -- notransaction\nSELECT 3;");
	CATALOG_FAILS(NULL, "a.sql:2: a StatementBegin without StatementEnd\n", "a.sql",
	    "-- +migrate Up\n-- +migrate StatementBegin\nSELECT 1;");
	CATALOG_FAILS(NULL, "a.sql: there is no line -- +migrate Up in it\n", "1.sql",
	    "-- +migrate Up\nSELECT 1;", "a.sql", "SELECT 1;");
}

static void flyway(void **state)
{
	(void)state;
	CATALOG_IS(NULL,
	    "flyway\n"
	    "1 'Create users' +[1:SELECT 1] -[1:SELECT -1]\n"
	    "1.1.0<1 'x' +![1:VACUUM]\n"
	    "1.9<1.1.0 '' +[1:SELECT 9]\n"
	    "1.10<1.9 'late' +[1:SELECT '${x}']\n"
	    "002<1.10 'two' +[1:SELECT 2]\n"
	    "20240101<002 'far' +[1:SELECT 3]\n"
	    "R 'a view' +[1:CREATE OR REPLACE VIEW v AS SELECT 1]\n"
	    "R 'z view' +[]\n"
	    "note afterMigrate__x.sql: not looked at: Flyway's callbacks are not run\n"
	    "note beforeEachMigrate.sql: not looked at: Flyway's callbacks are not run\n"
	    "note B1__base.sql: not looked at: a baseline stands for versions that are there, such as "
	    "V1__Create_users.sql\n"
	    "note V7__none.sql.conf: not looked at: there is no such migration\n"
	    "note V1_10__late.sql: ${...} is left as it is: placeholders are switched off\n"
	    "note R__z_view.sql:1: its way up does nothing: there is no statement in it\n",
	    "V1__Create_users.sql", "SELECT 1;", "U1.0__undo.sql", "SELECT -1;", "V1_1_0__x.sql", "VACUUM;",
	    "V1_1_0__x.sql.conf", "# comment\nexecuteInTransaction=false\n", "V1.9.sql", "SELECT 9;",
	    "V1_10__late.sql", "SELECT '${x}';", "deep/er/V002__two.sql", "SELECT 2;",
	    "deep/V20240101__far.sql", "SELECT 3;", "R__a_view.sql", "CREATE OR REPLACE VIEW v AS SELECT 1",
	    "R__z_view.sql", "", "B1__base.sql", "SELECT 1;", "beforeEachMigrate.sql", "SELECT 1;",
	    "afterMigrate__x.sql", "SELECT 1;", "V7__none.sql.conf", "");
	CATALOG_FAILS(NULL, "V1__a.sql: version 1 is also that of V1.0__b.sql (1.0)\n", "V1__a.sql",
	    "SELECT 1;", "V1.0__b.sql", "SELECT 1;");
	/* The versions before a baseline were thrown away. */
	CATALOG_IS(NULL,
	    "flyway\n"
	    "2.1 'base' +[1:SELECT 2]\n"
	    "2.2<2.1 'c' +[1:SELECT 3]\n"
	    "note Vx__odd.sql: not looked at: its name is not that of a migration of flyway "
	    "(V<version>__<slug>.sql)\n"
	    "note v3__lower.sql: not looked at: its name is not that of a migration of flyway "
	    "(V<version>__<slug>.sql)\n"
	    "note B1__base.sql: not looked at: there is a later baseline\n"
	    "note U1__a.sql: not looked at: it undoes version 1, but no file has that (V1__...)\n",
	    "B1__base.sql", "'", "B2_1__base.sql", "SELECT 2;", "U1__a.sql", "'", "V2.2__c.sql", "SELECT 3;",
	    "Vx__odd.sql", "'", "v3__lower.sql", "'");
	CATALOG_FAILS(NULL,
	    "V2__b.java: a migration written as a program: headgate runs SQL only\n"
	    "b/R__v.sql: the repeatable migration v is also a/R__v.sql\n",
	    "V1__a.sql", "SELECT 1;", "V2__b.java", "class", "Version.java", "class", "a/R__v.sql",
	    "SELECT 1;", "b/R__v.sql", "SELECT 1;");
	CATALOG_FAILS(NULL, "b/V1__a.sql:1: revision 1 is also that of a/V1__a.sql\n", "a/V1__a.sql",
	    "SELECT 1;", "b/V1__a.sql", "SELECT 1;");
	static const struct catalog_options on = {.placeholders = true};
	CATALOG_IS(&on, "flyway\n1 'a' +[1:SELECT '${x}']\n", "V1__a.sql", "SELECT '${x}';", "V1__a.sql.conf",
	    "placeholderReplacement=false");
}

static void alembic_files(void **state)
{
	(void)state;
	CATALOG_IS(NULL,
	    "alembic\n"
	    "1975ea83b712 'create account table'\n"
	    "27c6<ae1027a6acf '27c6 in one line'\n"
	    "ae1027a6acf<1975ea83b712 >27b @shop,other 'add a column to several tables'\n"
	    "27b<1975ea83b712 'no doc'\n"
	    "m1<27c6,27b @one 'm'\n",
	    "1975ea83b712_create_account_table.py",
	    "\"\"\"create account table\n\nRevision ID: 1975ea83b712\nRevises:\n\n\"\"\"\n"
	    "from alembic import op\nimport sqlalchemy as sa\n\n# revision identifiers, used by Alembic.\n"
	    "revision = '1975ea83b712'\ndown_revision = None\nbranch_labels = None\ndepends_on = None\n\n\n"
	    "def upgrade():\n    revision = 'nonsense'\n    op.create_table('account',\n        x)\n\n"
	    "def downgrade():\n    op.execute(\"\"\"\nrevision = 'in a string'\n\"\"\")\n",
	    "27c6_x.py",
	    "\xef\xbb\xbf'''27c6\r\nin one line'''\r\nrevision: str = \"27c6\"  # x\r\ndown_revision: "
	    "Union[str, None] = "
	    "\\\r\n    'ae1027a6acf'\r\nbranch_labels: Union[str, Sequence[str], None] = ()\r\n",
	    "ae1027a6acf_y.py",
	    "r\"\"\"\n   add a column\n   to several tables\n\n   more\n\"\"\"\n"
	    "revision = rev = 'wrong'\nrevision = (\n    'ae1027'  # first\n    \"a6\" + 'acf'\n)\n"
	    "down_revision = ('1975ea83b712',)\nbranch_labels = ['shop',\n   'other', ]\ndepends_on = ('27' "
	    "'b')\n"
	    "if revision == 'x':\n    down_revision = 'y'\n",
	    "b_no_doc.py", "revision = '27b'; down_revision = '1975ea83b712'; x = revision == 'z'\n",
	    "c_m.py",
	    "import x; revision = 'm1'\ndown_revision = '27c6', \"27b\"\nbranch_labels = {'one'}\ndepends_on "
	    "= []\n",
	    "__init__.py", "", "notes.txt", "");
	CATALOG_IS(NULL, "alembic\na1 ''\n", "env.py", "from alembic import context\n", "versions/a1.py",
	    "revision = 'a1'\ndown_revision = None\n", "versions/__pycache__/a1.py", "x");
	CATALOG_IS(NULL, "alembic\nabc123 ''\n", "abc123.py", "down_revision = None\n");
}

static void alembic_defects(void **state)
{
	(void)state;
	CATALOG_FAILS(NULL,
	    "a.py:2: the value of down_revision is computed: only strings, tuples and lists of them and None "
	    "can be read\n"
	    "b.py:1: the value of revision is computed: only strings, tuples and lists of them and None can "
	    "be read\n"
	    "c.py:1: the value of revision is computed: only strings, tuples and lists of them and None can "
	    "be read\n"
	    "d.py:3: the value of down_revision is computed: only strings, tuples and lists of them and None "
	    "can be read\n"
	    "f_x.py: there is no revision = \"...\" in it: it is none of Alembic's\n",
	    "a.py", "revision = 'a1'\ndown_revision = last()\n", "b.py",
	    "revision = f'{x}'\ndown_revision = None\n", "c.py", "revision = 'c' 'd'.upper()\n", "d.py",
	    "revision = 'd'\n\ndown_revision = ('a', 'b'\n", "f_x.py", "x = 1\n");
	CATALOG_FAILS(NULL, "b.py:2: revision b2 revises nowhere, which is nowhere here\n", "a.py",
	    "revision = 'a1'\ndown_revision = None\n", "b.py",
	    "revision = 'b2'\ndown_revision = 'nowhere'\n");
	CATALOG_FAILS(NULL, "b.py:1: revision a1 is also that of a.py\n", "a.py", "revision = 'a1'\n", "b.py",
	    "revision = 'a1'\n");
	const char *const files[] = {"a.py", "revision = 'a1'\n", NULL};
	struct catalog_defects defects = {.count = 0};
	struct catalog *catalog = catalog_text_parse(files, NULL, &defects);
	struct heads none = heads_none();
	struct graph_path path;
	char *why = NULL;
	assert_true(graph_upgrade(catalog_graph(catalog), &none, "head", &path, &why));
	assert_false(catalog_check_path(catalog, &path, &defects));
	assert_string_equal(
	    defects.lines[0], "a.py: revision a1 is Alembic's: headgate exec -- alembic ... runs it");
	catalog_defects_free(&defects);
	graph_path_free(&path);
	catalog_free(&catalog);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golang_migrate),
	    cmocka_unit_test(diesel),
	    cmocka_unit_test(goose),
	    cmocka_unit_test(sql_migrate),
	    cmocka_unit_test(flyway),
	    cmocka_unit_test(alembic_files),
	    cmocka_unit_test(alembic_defects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
