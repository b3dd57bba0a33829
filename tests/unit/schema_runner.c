/* Runs of steps: what is done, in which session, and what is recorded. */
#include "schema_runner.h"

static void steps_and_their_rows(void **state)
{
	(void)state;
	static struct runs runs;
	RUNS(&runs, "0001_users.sql",
	    "-- migrate:up\nCREATE TABLE users (id int);\nINSERT INTO users VALUES (1);\n-- "
	    "migrate:down\nDROP "
	    "TABLE users;",
	    "0002_note.sql",
	    "-- migrate:up hold:none compatible\nALTER TABLE users ADD note text;\n-- migrate:down\nALTER "
	    "TABLE "
	    "users DROP note;",
	    "0003_more.sql",
	    "-- migrate:up\nBEGIN ISOLATION LEVEL REPEATABLE READ;\nCREATE TABLE more (iso text DEFAULT "
	    "current_setting('transaction_isolation'));\nINSERT INTO more DEFAULT VALUES;\nCOMMIT;\n-- "
	    "migrate:down\nDROP TABLE more;");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_string_equal(runs.seen.from, "none");
	assert_string_equal(runs.seen.to, "0003");
	assert_int_equal(runs.total, 3);
	assert_int_equal(runs.done, 3);
	assert_string_equal(runs.steps, "1 running; 1 done; 2 running; 2 done; 3 running; 3 done; ");
	assert_sql(STEPS, "1|up|0001|in|held|done|1\n2|up|0002|in|held|done|1\n3|up|0003|in|held|done|1");
	assert_sql("SELECT string_agg(concat_ws('|', from_heads, to_heads, file, line, message, checksum = "
		   "(SELECT checksum FROM headgate.applied a WHERE a.revision = s.revision), started_at <= "
		   "ended_at), E'\\n' ORDER BY step_id) FROM headgate.step s",
	    "{}|{0001}|0001_users.sql|1|users|t|t\n{0001}|{0002}|0002_note.sql|1|note|t|t\n"
	    "{0002}|{0003}|0003_more.sql|1|more|t|t");
	assert_sql("SELECT concat_ws('|', kind, state, outcome, holding, unresolved, who, reason, command, "
		   "from_heads, from_state, target, to_heads, to_state, steps, error) " LAST_RUN,
	    "upgrade|ended|succeeded|t|f|ann@build7|why|{headgate,upgrade,head}|{}|empty|{0003}|{0003}|clean|"
	    "3");
	assert_sql(HEADS, "0003");
	assert_sql("SELECT iso FROM more", "repeatable read");
	assert_sql("SELECT string_agg(revision || compatible, ',' ORDER BY position) FROM headgate.revision",
	    "0001false,0002true,0003false");
	assert_sql("SELECT serial FROM headgate.graph", "1");
	assert_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0");

	RUNS(&runs, "0001_users.sql",
	    "-- migrate:up\nCREATE TABLE users (id int);\nINSERT INTO users VALUES (1);\n-- "
	    "migrate:down\nDROP "
	    "TABLE users;",
	    "0002_note.sql",
	    "-- migrate:up hold:none compatible\nALTER TABLE users ADD note text;\n-- migrate:down\nALTER "
	    "TABLE "
	    "users DROP note;");
	runs.seen.request.kind = COORD_DOWNGRADE;
	runs.target = "base";
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_REFUSED); /* 0003 is recorded, and these files know nothing of it */
	assert_has(runs.seen.text, "0003");
	assert_sql("SELECT count(*) FROM headgate.run", "1");
}

#define THREE                                                                                                \
	"1_a.sql", "-- migrate:up\nCREATE TABLE a ();\n-- migrate:down\nDROP TABLE a;", "2_b.sql",           \
	    "-- migrate:up\nCREATE TABLE b ();\n-- migrate:down\nDROP TABLE b;", "3_c.sql",                  \
	    "-- migrate:up\nCREATE TABLE c ();\n-- migrate:down\nDROP TABLE c;"

static void down_and_nothing_to_do(void **state)
{
	(void)state;
	static struct runs runs;
	RUNS(&runs, THREE);
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	RUNS(&runs, THREE);
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_int_equal(runs.seen.run_id, 0);
	assert_has(runs.seen.text, "3 is recorded already: nothing to do");
	assert_string_equal(runs.seen.to, "3");
	assert_sql("SELECT serial FROM headgate.graph", "1");

	RUNS(&runs, THREE);
	runs.seen.request.kind = COORD_DOWNGRADE;
	runs.target = "base";
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_string_equal(runs.seen.to, "none");
	assert_sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", "0");
	assert_sql("SELECT count(*) FROM headgate.applied", "0");
	assert_sql("SELECT concat_ws('|', kind, outcome, target, to_heads, to_state) " LAST_RUN,
	    "downgrade|succeeded|{}|{}|empty");
	RUNS(&runs, THREE);
	runs.seen.request.kind = COORD_DOWNGRADE;
	runs.target = "base";
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_has(runs.seen.text, "nothing to do");
	/* A graph that has changed is published although nothing is to be done. */
	RUNS(
	    &runs, "1_a.sql", "-- migrate:up compatible\nCREATE TABLE a ();\n-- migrate:down\nDROP TABLE a;");
	runs.target = "1-1";
	runs.seen.request.kind = COORD_DOWNGRADE;
	runs.target = "base";
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_sql("SELECT string_agg(revision || compatible, ',') FROM headgate.revision", "1true");
}

/* Each file finds what a new session of psql's would, whatever the one before it has done. */
static void a_session_like_a_new_one(void **state)
{
	(void)state;
	static struct runs runs;
	sql("ALTER DATABASE shop SET search_path = app, public");
	sql("ALTER ROLE postgres IN DATABASE shop SET DateStyle = 'German'");
	sql("CREATE SCHEMA IF NOT EXISTS app");
	pg_sql(&cluster, "postgres",
	    "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'owner') THEN CREATE ROLE "
	    "owner; END "
	    "IF; END $$");
	static const char look[] =
	    "-- migrate:up\nCREATE TABLE app.seen%s AS SELECT current_setting('search_path') AS path, "
	    "current_setting('DateStyle') AS style, current_user::text AS who, session_user::text AS "
	    "session, "
	    "current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement, "
	    "current_setting('work_mem') AS mem, (SELECT count(*) FROM pg_prepared_statements) AS prepared, "
	    "(SELECT count(*) FROM pg_cursors WHERE name = 'hers') AS cursors, to_regclass('pg_temp.mine') "
	    "IS NULL "
	    "AS temp, COALESCE(current_setting('my.own', true), '') AS own, (SELECT count(*) FROM "
	    "pg_listening_channels()) "
	    "AS "
	    "listens;";
	char *one = mem_printf(look, "1"), *two = mem_printf(look, "2");
	RUNS(&runs, "1_a.sql", one, "2_b.sql",
	    "-- migrate:up\nCREATE TEMP TABLE mine (); SET search_path = pg_catalog; SET work_mem = '1MB'; "
	    "PREPARE p "
	    "AS SELECT 1; DECLARE hers CURSOR WITH HOLD FOR SELECT 1; SET my.own = 'x'; LISTEN headgate; "
	    "LISTEN "
	    "other; SET lock_timeout = '1h'; SET statement_timeout = '10s'; SET DateStyle = 'SQL'; SET "
	    "SESSION "
	    "AUTHORIZATION owner; SET ROLE owner;",
	    "3_c.sql", two);
	runs.seen.request.statement_timeout_ns = 77 * CLOCK_S;
	runs_conduct(&runs);
	mem_free(&one);
	mem_free(&two);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_sql("SELECT string_agg(t::text, E'\\n') FROM (SELECT * FROM app.seen1 UNION ALL SELECT * FROM "
		   "app.seen2) t",
	    "(\"app, public\",\"German, DMY\",postgres,postgres,200ms,77s,4MB,0,0,t,\"\",0)\n"
	    "(\"app, public\",\"German, DMY\",postgres,postgres,200ms,77s,4MB,0,0,t,\"\",0)");
	sql("ALTER DATABASE shop RESET search_path");
	sql("ALTER ROLE postgres IN DATABASE shop RESET DateStyle");
	sql("DROP SCHEMA app CASCADE");
}

static void copy_data(void **state)
{
	(void)state;
	static struct runs runs;
	RUNS(&runs, "1_a.sql",
	    "-- migrate:up\nCREATE TABLE a (n int, t text);\nCOPY a FROM stdin;\n1\tone\n2\ttwo\n\\.\nINSERT "
	    "INTO a "
	    "VALUES (3, 'three');\nCOPY a (n) FROM stdin;\n4\n\\.\nSELECT repeat('x', 1000) FROM "
	    "generate_series(1, 1000);\nCOPY a TO STDOUT;",
	    "2_b.sql", "-- migrate:up\nCOPY a FROM stdin;\n5\tfive\n\\.\n", "3_c.sql",
	    "-- migrate:up transaction:false\nCOPY a FROM stdin;\n6\tsix\n\\.\nVACUUM a;");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_sql("SELECT string_agg(n::text, ',' ORDER BY n) FROM a", "1,2,3,4,5,6");

	RUNS(&runs, "1_a.sql",
	    "-- migrate:up\nCREATE TABLE a (n int, t text);\nCOPY a FROM stdin;\n1\tone\n2\ttwo\n\\.\nINSERT "
	    "INTO a "
	    "VALUES (3, 'three');\nCOPY a (n) FROM stdin;\n4\n\\.\nSELECT repeat('x', 1000) FROM "
	    "generate_series(1, 1000);\nCOPY a TO STDOUT;",
	    "2_b.sql", "-- migrate:up\nCOPY a FROM stdin;\n5\tfive\n\\.\n", "3_c.sql",
	    "-- migrate:up transaction:false\nCOPY a FROM stdin;\n6\tsix\n\\.\nVACUUM a;", "4_d.sql",
	    "-- migrate:up\nDELETE FROM a;\n\nCOPY a FROM stdin;\nx\ty\n\\.\nSELECT 1;");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_FAILED);
	assert_string_equal(runs.failure,
	    "1/1 up 4 4_d.sql:4:0 [COPY a FROM stdin] ERROR 22P02: invalid input syntax for type integer: "
	    "\"x\"");
	assert_sql("SELECT count(*) FROM a", "6");
	assert_sql(HEADS, "3");
}

/* A dump as a migration: one batch of as many statements as there are. */
static void many_statements(void **state)
{
	(void)state;
	enum { MANY = 20000 };
	static struct runs runs;
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	fputs("-- migrate:up\nCREATE TABLE a (n int);\n", to);
	for (int i = 0; i < MANY; i++)
		fprintf(to, "INSERT INTO a VALUES (%d);\n", i);
	fclose(to);
	RUNS(&runs, "1_a.sql", text);
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_sql("SELECT count(DISTINCT n) FROM a", "20000");
	free(text);
}

static void a_failed_step_is_rolled_back_and_told(void **state)
{
	(void)state;
	static struct runs runs;
	static const char one[] =
	    "-- migrate:up\nCREATE TABLE a (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);";
	RUNS(&runs, "1_a.sql", one, "2_b.sql",
	    "-- message: it fails\n-- migrate:up\nCREATE TABLE b ();\n\n  SELECT 1,\n    nowhere FROM "
	    "a;\nCREATE "
	    "TABLE c ();",
	    "3_c.sql", "-- migrate:up\nCREATE TABLE d ();");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_FAILED);
	assert_int_equal(runs.seen.exit_status, 1);
	assert_int_equal(runs.total, 3);
	assert_int_equal(runs.done, 1);
	assert_string_equal(runs.failure,
	    "2/3 up 2 2_b.sql:6:5 [SELECT 1,\n    nowhere FROM a] ERROR 42703: column \"nowhere\" does not "
	    "exist");
	assert_string_equal(runs.left,
	    "The step was rolled back, nothing of it is there: it is pending as before; what is recorded "
	    "stays 1. Mend the file and run the same again.");
	assert_has(runs.seen.text, "failed: step 2 of 3 (up 2, 2_b.sql:6): column \"nowhere\"");
	assert_has(runs.seen.text, "recorded: 1");
	assert_sql(STEPS, "1|up|1|in|held|done|1\n2|up|2|in|held|undone|1|42703|6");
	assert_sql("SELECT concat_ws('|', state, outcome, unresolved, to_heads, error) " LAST_RUN,
	    "ended|failed|f|{1}|step 2 of 3 (up 2, 2_b.sql:6): column \"nowhere\" does not exist");
	assert_sql("SELECT string_agg(tablename::text, ',') FROM pg_tables WHERE schemaname = 'public'", "a");

	/* at the COMMIT */
	RUNS(&runs, "1_a.sql", one, "2_b.sql", "-- migrate:up\nINSERT INTO a VALUES (1), (1);");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_FAILED);
	assert_has(runs.failure, "1/1 up 2 2_b.sql:1:0 [-] ERROR 23505: duplicate key");
	assert_sql(HEADS, "1");
	/* What goes back to a savepoint after an error does not hide it. */
	RUNS(&runs, "1_a.sql", one, "2_b.sql",
	    "-- migrate:up\nSAVEPOINT s;\nSELECT 1/0;\nROLLBACK TO SAVEPOINT s;\nCREATE TABLE b ();");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_FAILED);
	assert_has(runs.failure, "2_b.sql:3:0 [SELECT 1/0] ERROR 22012");
	/* in a function */
	RUNS(&runs, "1_a.sql", one, "2_b.sql",
	    "-- migrate:up\nDO $$\nBEGIN\n  RAISE EXCEPTION 'no' USING DETAIL = 'd', HINT = 'h';\nEND $$;");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_FAILED);
	assert_has(runs.failure, "2_b.sql:2:0 [DO $$\nBEGIN\n");
	/* Then it is mended. */
	RUNS(&runs, "1_a.sql", one, "2_b.sql", "-- migrate:up\nCREATE TABLE b ();");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_sql(HEADS, "2");
}

/* A step that gives up the lock must not be committed: somebody else may conduct by now. */
static void a_step_that_gives_up_the_lock(void **state)
{
	(void)state;
	static struct runs runs;
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE TABLE a ();\nSELECT pg_advisory_unlock_all();");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_FAILED);
	assert_has(runs.failure, "this session has lost the lock");
	assert_sql("SELECT to_regclass('public.a') IS NULL", "t");
	assert_sql(HEADS, "none");
}

static void outside_of_a_transaction(void **state)
{
	(void)state;
	static struct runs runs;
	sql("CREATE TABLE t (n int)");
	sql("INSERT INTO t SELECT generate_series(1, 100)");
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE INDEX CONCURRENTLY i ON t (n);", "2_b.sql",
	    "-- migrate:up transaction:false\nBEGIN;\nCREATE TABLE b ();\nCOMMIT;\nCREATE TABLE c "
	    "();\nVACUUM t;",
	    "3_c.sql", "-- migrate:up\nALTER SYSTEM SET work_mem = '5MB';\n", "4_d.sql",
	    "-- migrate:up\nCREATE TABLE d ();\nROLLBACK;\nBEGIN;\nCREATE TABLE e ();\nCOMMIT;");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_sql(STEPS,
	    "1|up|1|out|held|done|1\n2|up|2|out|held|done|1\n3|up|3|out|held|done|1\n4|up|4|out|held|done|1");
	assert_sql("SELECT count(*) FROM pg_index WHERE indexrelid = 'i'::regclass AND indisvalid", "1");
	assert_sql("SELECT string_agg(tablename::text, ',' ORDER BY tablename) FROM pg_tables WHERE "
		   "schemaname = 'public'",
	    "b,c,d,e,t");
	assert_sql(HEADS, "4");
	sql("ALTER SYSTEM RESET work_mem");
}

static void a_first_statement_that_leaves_nothing(void **state)
{
	(void)state;
	static struct runs runs;
	static const char *const texts[] = {
	    "-- migrate:up transaction:false\nSET work_mem = '1MB';\nCREATE TABLE nowhere.t ();\nCREATE "
	    "TABLE x ();",
	    "-- migrate:up\nCREATE INDEX CONCURRENTLY ON nowhere (n);",
	    "-- migrate:up transaction:false\nBEGIN;\nCREATE TABLE x ();\nSELECT 1/0;\nCOMMIT;",
	    "-- migrate:up transaction:false\nBEGIN;\nCREATE TABLE x ();\n",
	};
	static const char *const failures[] = {"1_a.sql:3:14 [CREATE TABLE nowhere.t ()] ERROR 3F000",
	    "1_a.sql:2:0 [CREATE INDEX CONCURRENTLY ON nowhere (n)] ERROR 42P01",
	    "1_a.sql:4:0 [SELECT 1/0] ERROR 22012",
	    "1_a.sql:3:0 [CREATE TABLE x ()] ERROR 25001: the file ends inside a transaction"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		runs_clean(NULL);
		RUNS(&runs, "1_a.sql", texts[i]);
		runs_conduct(&runs);
		assert_outcome(&runs, COORD_FAILED);
		assert_has(runs.failure, failures[i]);
		assert_has(runs.left, "nothing of it is there yet: it is pending as before");
		assert_sql(
		    "SELECT concat_ws('|', outcome, unresolved, transactional) " LAST_RUN, "failed|f|t");
		assert_sql("SELECT state FROM headgate.step", "undone");
		assert_sql("SELECT to_regclass('public.x') IS NULL", "t");
		assert_sql(HEADS, "none");
	}
}

struct resolved {
	enum coord_resolved how;
	int ends;
	char text[600];
};

static void on_resolved(enum coord_resolved how, int64_t run_id, const char *text, void *arg)
{
	struct resolved *resolved = arg;
	(void)run_id;
	resolved->how = how;
	resolved->ends++;
	snprintf(resolved->text, sizeof(resolved->text), "%s", text);
}

static struct resolved resolve(struct runs *runs, const char *as)
{
	struct resolved resolved = {.ends = 0};
	struct resolution *resolution = resolution_start(&(struct resolution_request){.base = base,
	    .resolver = resolver,
	    .section = &runs->seen.section,
	    .who = "bob@here",
	    .note = "looked",
	    .as = as,
	    .done = on_resolved,
	    .arg = &resolved});
	until(resolved.ends > 0);
	resolution_free(&resolution);
	return resolved;
}

static void half_way_is_for_people_to_resolve(void **state)
{
	(void)state;
	static struct runs runs, next;
	for (int done = 0; done < 2; done++) {
		runs_clean(NULL);
		RUNS(&runs, "1_a.sql",
		    "-- migrate:up transaction:false\nCREATE TABLE a ();\nSELECT 1/0;\nCREATE TABLE b ();",
		    "2_b.sql", "-- migrate:up\nCREATE TABLE c ();");
		runs_conduct(&runs);
		assert_outcome(&runs, COORD_UNRESOLVED);
		assert_int_equal(runs.seen.exit_status, 1);
		assert_has(runs.failure, "1_a.sql:3:0 [SELECT 1/0]");
		assert_has(runs.left, "what stands before this statement is in force");
		assert_has(runs.left, "headgate resolve --as done");
		assert_sql("SELECT concat_ws('|', outcome, unresolved, to_heads) " LAST_RUN, "failed|t|{}");
		assert_sql(STEPS, "1|up|1|out|held|failed|1|22012|3");

		RUNS(&next, "1_a.sql", "-- migrate:up\nCREATE TABLE z ();");
		runs_conduct(&next);
		assert_outcome(&next, COORD_REFUSED);
		assert_has(next.seen.text, "was left half way");

		struct resolved resolved = resolve(&runs, NULL);
		assert_int_equal(resolved.how, COORD_NOT_RESOLVED);
		assert_has(resolved.text, "1_a.sql:1");
		assert_has(resolved.text, "--as undone");
		if (done)
			sql("CREATE TABLE b ()");
		else
			sql("DROP TABLE a");
		resolved = resolve(&runs, done ? "done" : "undone");
		assert_int_equal(resolved.how, COORD_RESOLVED);
		assert_sql(HEADS, done ? "1" : "none");
		assert_sql(
		    "SELECT concat_ws('|', unresolved, resolved_as, resolved_by, resolved_note) " LAST_RUN,
		    done ? "f|done|bob@here|looked" : "f|undone|bob@here|looked");

		RUNS(&next, "1_a.sql",
		    "-- migrate:up transaction:false\nCREATE TABLE a ();\nSELECT 1/0;\nCREATE TABLE b ();",
		    "2_b.sql", "-- migrate:up\nCREATE TABLE c ();");
		runs_conduct(&next);
		assert_int_equal(next.seen.outcome, done ? COORD_SUCCEEDED : COORD_UNRESOLVED);
		assert_sql(HEADS, done ? "2" : "none");
	}
}

static void an_invalid_index_is_named(void **state)
{
	(void)state;
	static struct runs runs;
	sql("CREATE TABLE t (n int)");
	sql("INSERT INTO t VALUES (1), (1)");
	sql("CREATE TABLE p (n int) PARTITION BY RANGE (n)");
	sql("CREATE INDEX unattached ON ONLY p (n)"); /* invalid too, and no failure */
	RUNS(&runs, "1_a.sql", "-- migrate:up\nCREATE UNIQUE INDEX CONCURRENTLY \"U i\" ON t (n);");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_UNRESOLVED);
	assert_has(runs.failure, "23505");
	assert_has(runs.left, "part of this statement may be in force");
	assert_has(runs.left, "DROP INDEX CONCURRENTLY public.\"U i\";");
	assert_null(strstr(runs.left, "unattached"));

	/* With IF NOT EXISTS the next try is content with it: that is said. */
	assert_int_equal(resolve(&runs, "undone").how, COORD_RESOLVED);
	RUNS(&runs, "1_a.sql",
	    "-- migrate:up\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"U i\" ON t (n);");
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_told(&runs.seen, "there are invalid indexes");
	assert_told(&runs.seen, "DROP INDEX CONCURRENTLY public.\"U i\";");
}

static void the_ledger_is_made_when_it_is_missing(void **state)
{
	(void)state;
	enum { MANY = 5 };
	static struct runs runs[MANY];
	for (int old = 0; old < 2; old++) {
		pg_sql(&cluster, "postgres", "DROP DATABASE IF EXISTS fresh WITH (FORCE)");
		pg_sql(&cluster, "postgres", "CREATE DATABASE fresh");
		if (old) {
			char *up = ledger_section(ledger_migrations[0].text, "up");
			pg_sql(&cluster, "fresh", up);
			pg_sql(&cluster, "fresh",
			    "INSERT INTO headgate.version (version, file) VALUES (1, '0001_ledger.sql'); "
			    "INSERT INTO "
			    "headgate.head VALUES ('1')");
			mem_free(&up);
		}
		for (int i = 0; i < MANY; i++) {
			RUNS(&runs[i], THREE);
			runs[i].seen.request.dbname = "fresh";
			runs_begin(&runs[i]);
		}
		for (int i = 0; i < MANY; i++) {
			until(runs[i].seen.ends > 0);
			runs_end(&runs[i]);
			assert_outcome(&runs[i], COORD_SUCCEEDED);
		}
		assert_string_equal(pg_sql(&cluster, "fresh", "SELECT count(*) FROM headgate.run"), "1");
		assert_string_equal(
		    pg_sql(&cluster, "fresh", "SELECT count(*) FROM headgate.step"), old ? "2" : "3");
		assert_string_equal(
		    pg_sql(&cluster, "fresh", "SELECT max(version) >= 2 FROM headgate.version"), "t");
	}
	pg_sql(&cluster, "postgres", "DROP DATABASE fresh WITH (FORCE)");
	pg_sql(&cluster, "postgres", "CREATE DATABASE fresh");
	pg_sql(&cluster, "postgres", "CREATE ROLE weak LOGIN");
	RUNS(&runs[0], THREE);
	snprintf(runs[0].seen.dsn, sizeof(runs[0].seen.dsn), "host=%s port=%u user=weak dbname=fresh",
	    cluster.dir, cluster.port);
	runs[0].seen.request.no_hold = true;
	runs_conduct(&runs[0]);
	assert_outcome(&runs[0], COORD_REFUSED);
	assert_has(runs[0].seen.text, "role weak cannot make the ledger");
	assert_has(runs[0].seen.hint, "headgate init");
	RUNS(&runs[0], THREE);
	snprintf(runs[0].seen.dsn, sizeof(runs[0].seen.dsn), "host=%s port=%u user=weak dbname=fresh",
	    cluster.dir, cluster.port);
	runs_conduct(&runs[0]);
	assert_outcome(&runs[0], COORD_REFUSED);
	assert_has(runs[0].seen.hint, "--no-hold");
}

static void who_comes_at_once_attaches(void **state)
{
	(void)state;
	enum { MANY = 6 };
	static struct runs runs[MANY];
	PGconn *holder = client("holder");
	sql("CREATE TABLE t (n int)");
	run_sql(holder, "BEGIN");
	run_sql(holder, "LOCK TABLE t");
	for (int i = 0; i < MANY; i++) {
		RUNS(&runs[i], "1_a.sql", "-- migrate:up\nINSERT INTO t VALUES (1);\nCREATE TABLE once ();");
		runs[i].seen.request.lock_timeout_ns = 0;
		runs[i].seen.request.no_hold = true;
		runs_begin(&runs[i]);
	}
	int attached = 0;
	while (attached < MANY - 1) {
		event_base_loop(base, EVLOOP_ONCE);
		attached = 0;
		for (int i = 0; i < MANY; i++)
			attached += strstr(runs[i].seen.story, "attached to run") != NULL;
	}
	PQfinish(holder);
	for (int i = 0; i < MANY; i++) {
		until(runs[i].seen.ends > 0);
		runs_end(&runs[i]);
		assert_outcome(&runs[i], COORD_SUCCEEDED);
	}
	assert_sql("SELECT count(*) FROM t", "1");
	assert_sql("SELECT count(*) FROM headgate.step", "1");
}

static void texts_that_the_server_cannot_hold(void **state)
{
	(void)state;
	static struct runs runs;
	pg_sql(&cluster, "postgres", "DROP DATABASE IF EXISTS latin");
	pg_sql(&cluster, "postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
	RUNS(&runs, "1_\xe6\xbc\xa2.sql",
	    "-- message: \xe6\xbc\xa2\xe5\xad\x97\n-- migrate:up\nCREATE TABLE a ();");
	runs.seen.request.dbname = "latin";
	mem_free(&runs.publish);
	runs.seen.request.publish = NULL;
	runs_conduct(&runs);
	assert_outcome(&runs, COORD_SUCCEEDED);
	assert_string_equal(
	    pg_sql(&cluster, "latin", "SELECT message || file FROM headgate.step"), "??????1_???.sql");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(steps_and_their_rows, runs_clean),
	    cmocka_unit_test_setup(down_and_nothing_to_do, runs_clean),
	    cmocka_unit_test_setup(a_session_like_a_new_one, runs_clean),
	    cmocka_unit_test_setup(copy_data, runs_clean),
	    cmocka_unit_test_setup(many_statements, runs_clean),
	    cmocka_unit_test_setup(a_failed_step_is_rolled_back_and_told, runs_clean),
	    cmocka_unit_test_setup(a_step_that_gives_up_the_lock, runs_clean),
	    cmocka_unit_test_setup(outside_of_a_transaction, runs_clean),
	    cmocka_unit_test_setup(a_first_statement_that_leaves_nothing, runs_clean),
	    cmocka_unit_test_setup(half_way_is_for_people_to_resolve, runs_clean),
	    cmocka_unit_test_setup(an_invalid_index_is_named, runs_clean),
	    cmocka_unit_test_setup(the_ledger_is_made_when_it_is_missing, runs_clean),
	    cmocka_unit_test_setup(who_comes_at_once_attaches, runs_clean),
	    cmocka_unit_test_setup(texts_that_the_server_cannot_hold, runs_clean),
	};
	coord_tests_begin();
	return coord_tests_end(cmocka_run_group_tests(tests, NULL, NULL));
}
