/* What the warnings say of statements, tried on a server: the lock (pg_locks before the transaction's end),
 * whether the table was written anew (its relfilenode), whether its rows were read (its statistics in the
 * transaction), and that nothing of that kind happens where there is no warning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "pg_cluster.h"
#include "schema/split.h"
#include "schema/warn.h"

static struct pg_cluster cluster;
static PGconn *conn;

static void run(const char *sql)
{
	PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(conn));
	PQclear(result);
}

/* The first value of a query with up to three text parameters; until the next call. "" for none. */
static const char *ask(const char *sql, const char *a, const char *b, const char *c)
{
	static char value[256];
	const char *values[] = {a, b, c};
	int count = c != NULL ? 3 : b != NULL ? 2 : a != NULL ? 1 : 0;
	PGresult *result = PQexecParams(conn, sql, count, NULL, values, NULL, NULL, 0);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(conn));
	snprintf(value, sizeof(value), "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
	return value;
}

static const char *column_type(const char *schema, const char *table, const char *column, void *arg)
{
	(void)schema, (void)arg;
	const char *type = ask(
	    "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass($1) AND "
	    "attname = $2",
	    table, column, NULL);
	return type[0] == '\0' ? NULL : type;
}

static char relation_kind(const char *schema, const char *name, void *arg)
{
	(void)schema, (void)arg;
	return ask("SELECT relkind FROM pg_class WHERE oid = to_regclass($1)", name, NULL, NULL)[0];
}

static char volatility(const char *schema, const char *function, void *arg)
{
	(void)schema, (void)arg;
	return ask("SELECT max(provolatile::text) FROM pg_proc WHERE proname = $1", function, NULL, NULL)[0];
}

static int checked(const char *schema, const char *table, const char *column, void *arg)
{
	(void)schema, (void)arg;
	return ask("SELECT 1 FROM pg_constraint WHERE conrelid = to_regclass($1) AND convalidated AND "
		   "pg_get_constraintdef(oid) = 'CHECK ((' || $2 || ' IS NOT NULL))'",
		   table, column, NULL)[0] != '\0';
}

struct trial {
	const char *text;
	const char *table; /* whose lock is looked at */
	const char *rule;  /* the first warning's, NULL: there must be none */
	int from_version;  /* 0: any */
};

static const struct trial trials[] = {
    {"ALTER TABLE t ADD a int", "t", NULL, 0},
    {"ALTER TABLE t ADD a int NOT NULL DEFAULT 5", "t", NULL, 0},
    {"ALTER TABLE t ADD a timestamptz DEFAULT now()", "t", NULL, 0},
    {"ALTER TABLE t ADD a numeric(10,2) DEFAULT round(1.5::numeric, 1)", "t", NULL, 0},
    {"ALTER TABLE t ADD a uuid DEFAULT gen_random_uuid()", "t", "add-column-default", 0},
    {"ALTER TABLE t ADD a timestamptz DEFAULT clock_timestamp()", "t", "add-column-default", 0},
    {"ALTER TABLE t ADD a int DEFAULT ours()", "t", "add-column-default", 0},
    {"ALTER TABLE t ADD a int DEFAULT ours_stable()", "t", NULL, 0},
    {"ALTER TABLE t ADD a bigserial", "t", "add-column-filled", 0},
    {"ALTER TABLE t ADD a int GENERATED ALWAYS AS IDENTITY", "t", "add-column-filled", 0},
    {"ALTER TABLE t ADD a int GENERATED ALWAYS AS (n * 2) STORED", "t", "add-column-filled", 0},
    {"ALTER TABLE t ADD a int GENERATED ALWAYS AS (n * 2) VIRTUAL", "t", NULL, 180000},
    {"ALTER TABLE t ADD a int UNIQUE", "t", "add-unique", 0},
    {"ALTER TABLE t ADD a int CHECK (a > 0)", "t", "add-check", 0},
    {"ALTER TABLE t ADD a int REFERENCES u (id)", "t", NULL, 0},
    {"ALTER TABLE t ADD a int DEFAULT 1 REFERENCES u (id)", "u", "add-foreign-key", 0},
    {"ALTER TABLE t ALTER name TYPE varchar(30)", "t", NULL, 0},
    {"ALTER TABLE t ALTER name TYPE text", "t", NULL, 0},
    {"ALTER TABLE t ALTER name TYPE text USING name::text", "t", NULL, 0},
    {"ALTER TABLE t ALTER name TYPE varchar(10)", "t", "change-column-type", 0},
    {"ALTER TABLE t ALTER name TYPE text USING upper(name)", "t", "change-column-type", 0},
    {"ALTER TABLE t ALTER note TYPE varchar", "t", NULL, 0},
    {"ALTER TABLE t ALTER note TYPE varchar(100)", "t", "change-column-type", 0},
    {"ALTER TABLE t ALTER n TYPE bigint", "t", "change-column-type", 0},
    {"ALTER TABLE t ALTER n TYPE int4", "t", NULL, 0},
    {"ALTER TABLE t ALTER price TYPE numeric(12,2)", "t", NULL, 0},
    {"ALTER TABLE t ALTER price TYPE numeric", "t", NULL, 0},
    {"ALTER TABLE t ALTER price TYPE numeric(12,3)", "t", "change-column-type", 0},
    {"ALTER TABLE t ALTER price TYPE numeric(8,2)", "t", "change-column-type", 0},
    {"ALTER TABLE t ALTER at3 TYPE timestamp", "t", NULL, 0},
    {"ALTER TABLE t ALTER at TYPE timestamp(3)", "t", "change-column-type", 0},
    {"ALTER TABLE t ALTER bits TYPE bit varying(9)", "t", NULL, 0},
    {"ALTER TABLE t ALTER code TYPE char(6)", "t", "change-column-type", 0},
    {"ALTER TABLE t ALTER net TYPE inet", "t", NULL, 0},
    {"ALTER TABLE t ALTER doc TYPE jsonb", "t", "change-column-type", 0},
    {"ALTER TABLE t ALTER n SET NOT NULL", "t", "set-not-null", 0},
    {"ALTER TABLE t ALTER checked SET NOT NULL", "t", NULL, 0},
    {"ALTER TABLE t ALTER n SET DEFAULT 5, ALTER id DROP DEFAULT", "t", NULL, 0},
    {"ALTER TABLE t ALTER n SET STATISTICS 10", "t", NULL, 0},
    {"ALTER TABLE t SET (fillfactor = 70)", "t", NULL, 0},
    {"ALTER TABLE t ADD FOREIGN KEY (u_id) REFERENCES u (id)", "t", "add-foreign-key", 0},
    {"ALTER TABLE t ADD FOREIGN KEY (u_id) REFERENCES u (id)", "u", "add-foreign-key", 0},
    {"ALTER TABLE t ADD FOREIGN KEY (u_id) REFERENCES u (id) NOT VALID", "t", NULL, 0},
    {"ALTER TABLE t VALIDATE CONSTRAINT late", "t", NULL, 0},
    {"ALTER TABLE t ADD CONSTRAINT k CHECK (n > 0)", "t", "add-check", 0},
    {"ALTER TABLE t ADD CONSTRAINT k CHECK (n > 0) NOT VALID", "t", NULL, 0},
    {"ALTER TABLE t ADD CONSTRAINT k CHECK (n > 0) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT k", "t",
	"validate-at-once", 0},
    {"ALTER TABLE t ADD CONSTRAINT k UNIQUE (n)", "t", "add-unique", 0},
    {"ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX t_n", "t", NULL, 0},
    {"ALTER TABLE nokey ADD PRIMARY KEY (id)", "nokey", "add-primary-key", 0},
    {"ALTER TABLE t ADD CONSTRAINT k EXCLUDE USING btree (n WITH =)", "t", "add-exclusion", 0},
    {"ALTER TABLE t ADD CONSTRAINT k NOT NULL n", "t", "set-not-null", 180000},
    {"ALTER TABLE t ADD CONSTRAINT k NOT NULL n NOT VALID", "t", NULL, 180000},
    {"ALTER DOMAIN positive ADD CONSTRAINT k CHECK (VALUE < 1000000)", "t", "domain-constraint", 0},
    {"ALTER DOMAIN positive ADD CONSTRAINT k CHECK (VALUE < 1000000) NOT VALID", "t", NULL, 0},
    {"ALTER TABLE t DROP n", "t", "drop-column", 0},
    {"ALTER TABLE t RENAME n TO m", "t", "rename-column", 0},
    {"ALTER TABLE t ENABLE ROW LEVEL SECURITY", "t", "row-security", 0},
    {"ALTER TABLE t SET UNLOGGED", "t", "set-logged", 0},
    {"ALTER TABLE parts DETACH PARTITION part1", "parts", "detach-partition", 0},
    {"ALTER TABLE parts ATTACH PARTITION loose FOR VALUES FROM (100) TO (200)", "loose", "attach-partition",
	0},
    {"CREATE TABLE part3 PARTITION OF parts FOR VALUES FROM (200) TO (300)", "parts", "create-partition", 0},
    {"CREATE INDEX ON t (name)", "t", "create-index", 0},
    {"CREATE INDEX ON parts (id)", "parts", "create-index", 0},
    {"DROP INDEX t_n", "t", "drop-index", 0},
    {"DROP INDEX parts_id", "parts", "drop-index", 0},
    {"REINDEX TABLE t", "t", "reindex", 0},
    {"REINDEX INDEX t_n", "t", "reindex", 0},
    {"CLUSTER t USING t_n", "t", "cluster", 0},
    {"LOCK TABLE t", "t", "lock-table", 0},
    {"LOCK TABLE t IN SHARE MODE", "t", "lock-table", 0},
    {"LOCK TABLE t IN ROW EXCLUSIVE MODE", "t", NULL, 0},
    {"REFRESH MATERIALIZED VIEW mv", "mv", "refresh-view", 0},
    {"TRUNCATE t", "t", "truncate", 0},
    {"UPDATE t SET note = 'x'", "t", "update-all-rows", 0},
    {"DELETE FROM t", "t", "delete-all-rows", 0},
    {"DROP TABLE t", "t", "drop-table", 0},
};

static const char *strongest(const char *oid)
{
	return ask("SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND "
		   "relation = $1::oid ORDER BY "
		   "array_position('{AccessShareLock,RowShareLock,RowExclusiveLock,ShareUpdateExclusiveLock,"
		   "ShareLock,"
		   "ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'::text[], mode) DESC LIMIT 1",
	    oid, NULL, NULL);
}

static bool stops_writes(const char *mode)
{
	return strcmp(mode, "ShareLock") == 0 || strcmp(mode, "ShareRowExclusiveLock") == 0 ||
	    strcmp(mode, "ExclusiveLock") == 0 || strcmp(mode, "AccessExclusiveLock") == 0;
}

struct seen {
	char lock[64];
	bool rewritten, read;
};

static struct seen carry_out(const struct trial *trial, const char *oid)
{
	static const char file_sql[] = "SELECT pg_relation_filenode($1::oid)";
	static const char read_sql[] =
	    "SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_xact_all_tables WHERE relid = $1::oid";
	struct seen seen;
	char file[32], read[32];
	snprintf(file, sizeof(file), "%s", ask(file_sql, oid, NULL, NULL));
	snprintf(read, sizeof(read), "%s", ask(read_sql, oid, NULL, NULL)); /* what was not reported yet */
	run(trial->text);
	seen.read = strcmp(ask(read_sql, oid, NULL, NULL), read) != 0;
	seen.rewritten = strcmp(file, ask(file_sql, oid, NULL, NULL)) != 0;
	snprintf(seen.lock, sizeof(seen.lock), "%s", strongest(oid));
	return seen;
}

static void compare(const struct trial *trial, const struct warnings *warnings, const struct seen *seen)
{
	const struct warning *w = warnings->count > 0 ? &warnings->at[0] : NULL;

	if (w == NULL ? trial->rule != NULL : trial->rule == NULL || strcmp(w->rule, trial->rule) != 0)
		fail_msg("%s\n  warned of %s, wanted %s", trial->text, w == NULL ? "nothing" : w->rule,
		    trial->rule == NULL ? "nothing" : trial->rule);
	/* What gets no warning may hold a lock, but for a moment: nothing is written anew, and where writes
	 * wait nothing is read. */
	if (w == NULL) {
		if (seen->rewritten || (seen->read && stops_writes(seen->lock)))
			fail_msg("%s\n  no warning, and yet%s%s under %s", trial->text,
			    seen->rewritten ? " the table was written anew" : "",
			    seen->read ? " its rows were read" : "", seen->lock);
		return;
	}
	if (w->lock != NULL && strcmp(w->lock, seen->lock) != 0)
		fail_msg("%s\n  %s warns of %s, and it is %s", trial->text, w->rule, w->lock, seen->lock);
	assert_int_not_equal(w->work, WARN_WORK_UNKNOWN); /* everything is known here */
	/* TRUNCATE, UNLOGGED and DROP change the file too, without the table's rows. */
	if (w->kind == WARN_BLOCKS && (w->work == WARN_WORK_REWRITE) != seen->rewritten)
		fail_msg("%s\n  %s: written anew: %s", trial->text, w->rule, seen->rewritten ? "yes" : "no");
	if (w->work == WARN_WORK_SCAN && !seen->read)
		fail_msg("%s\n  %s warns that rows are read, and none was", trial->text, w->rule);
}

static void warnings_are_true(void **state)
{
	const struct warn_facts facts = {.server_version = PQserverVersion(conn),
	    .column_type = column_type,
	    .relation_kind = relation_kind,
	    .volatility = volatility,
	    .checked_not_null = checked};

	(void)state;
	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		struct split split = {.count = 0};
		struct split_error error;
		struct warnings warnings = {.count = 0};
		if (PQserverVersion(conn) < trials[i].from_version)
			continue;
		assert_true(split_append(&split, trials[i].text, strlen(trials[i].text), 1, &error));
		run("BEGIN");
		char oid[32];
		snprintf(
		    oid, sizeof(oid), "%s", ask("SELECT $1::regclass::oid", trials[i].table, NULL, NULL));
		struct warn_run *warn = warn_begin(&facts);
		warn_section(warn, &split, false, &warnings);
		warn_end(&warn);
		struct seen seen = carry_out(&trials[i], oid);
		run("ROLLBACK");
		compare(&trials[i], &warnings, &seen);
		warnings_free(&warnings);
		split_free(&split);
	}
}

/* The facts about errors that the texts name. */
static void what_fails_fails(void **state)
{
	static const char *const rows[][2] = {
	    {"BEGIN; ALTER TYPE mood ADD VALUE 'new'; SELECT 'new'::mood", "55P04"},
	    {"BEGIN; ALTER TABLE t ADD a int NOT NULL", "23502"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		PGresult *result = PQexec(conn, rows[i][0]);
		assert_int_equal(PQresultStatus(result), PGRES_FATAL_ERROR);
		assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), rows[i][1]);
		PQclear(result);
		run("ROLLBACK");
	}
	/* A failed build leaves an index that IF NOT EXISTS takes for done. */
	PQclear(PQexec(conn, "CREATE INDEX CONCURRENTLY broken ON t ((1 / (n - n)))"));
	run("CREATE INDEX CONCURRENTLY IF NOT EXISTS broken ON t (n)");
	assert_string_equal(
	    ask("SELECT indisvalid FROM pg_index WHERE indexrelid = 'broken'::regclass", NULL, NULL, NULL),
	    "f");
	run("DROP INDEX broken");
	/* With TimeZone at UTC the two kinds of timestamp are the same bytes. */
	char file[32];
	run("BEGIN; SET LOCAL TimeZone = 'UTC'");
	snprintf(file, sizeof(file), "%s", ask("SELECT pg_relation_filenode('t')", NULL, NULL, NULL));
	run("ALTER TABLE t ALTER at TYPE timestamptz");
	assert_string_equal(ask("SELECT pg_relation_filenode('t')", NULL, NULL, NULL), file);
	run("ROLLBACK; BEGIN; SET LOCAL TimeZone = 'Europe/Lisbon'; ALTER TABLE t ALTER at TYPE timestamptz");
	assert_string_not_equal(ask("SELECT pg_relation_filenode('t')", NULL, NULL, NULL), file);
	run("ROLLBACK");
}

static int setup(void **state)
{
	(void)state;
	pg_cluster_new(&cluster);
	conn = PQconnectdb(pg_dsn(&cluster, "postgres"));
	run("SET client_min_messages = error;"
	    "CREATE TYPE mood AS ENUM ('sad', 'ok');"
	    "CREATE DOMAIN positive AS int;"
	    "CREATE FUNCTION ours() RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN 1; END';"
	    "CREATE FUNCTION ours_stable() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';"
	    "CREATE TABLE u (id int PRIMARY KEY);"
	    "INSERT INTO u SELECT generate_series(1, 100);"
	    "CREATE TABLE t (id int DEFAULT 0, n int, name varchar(20), note text, price numeric(10,2), at "
	    "timestamp, at3 "
	    "timestamp(3), bits varbit(5), code char(5), net cidr, doc json, u_id int, checked int CHECK "
	    "(checked IS NOT NULL), "
	    "pos positive, CONSTRAINT late_not CHECK (true));"
	    "INSERT INTO t SELECT i, i, 'name', 'note', 1.5, now(), now(), '101', 'c', '10.0.0.0/8', '{}', "
	    "i, i, i FROM "
	    "generate_series(1, 100) i;"
	    "ALTER TABLE t ADD CONSTRAINT late CHECK (n > 0) NOT VALID;"
	    "CREATE UNIQUE INDEX t_n ON t (n);"
	    "CREATE TABLE nokey (id int NOT NULL);"
	    "CREATE TABLE parts (id int) PARTITION BY RANGE (id);"
	    "CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (1) TO (100);"
	    "CREATE INDEX parts_id ON parts (id);"
	    "CREATE TABLE loose (id int);"
	    "INSERT INTO loose SELECT generate_series(100, 150);"
	    "CREATE MATERIALIZED VIEW mv AS SELECT * FROM u;"
	    "ANALYZE");
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
	    cmocka_unit_test(warnings_are_true),
	    cmocka_unit_test(what_fails_fails),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
