/* What each tool leaves in a database: its tables, by the DDL of its own sources, and rows as it writes them,
 * with what is recorded after each. */
#ifndef TESTS_SCHEMA_READERS_TOOLS_H
#define TESTS_SCHEMA_READERS_TOOLS_H

#include "gate/gate.h"

struct tool_step {
	const char *sql;
	enum recorded_state state;
	const char *heads;  /* NULL: none */
	const char *detail; /* a part of it; NULL: any */
};

struct tool {
	const char *name, *table; /* table: NULL, or the one that it is told to use */
	const char *ddl;
	struct tool_step steps[14]; /* ended by a zeroed one */
};

#define SCHEMA_HISTORY                                                                                       \
	"CREATE TABLE flyway_schema_history (installed_rank INT NOT NULL, version VARCHAR(50), description " \
	"VARCHAR(200) NOT NULL, type VARCHAR(20) NOT NULL, script VARCHAR(1000) NOT NULL, checksum "         \
	"INTEGER, "                                                                                          \
	"installed_by VARCHAR(100) NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT now(), execution_time " \
	"INTEGER "                                                                                           \
	"NOT NULL, success BOOLEAN NOT NULL); ALTER TABLE flyway_schema_history ADD CONSTRAINT "             \
	"flyway_schema_history_pk PRIMARY KEY (installed_rank); CREATE INDEX flyway_schema_history_s_idx "   \
	"ON "                                                                                                \
	"flyway_schema_history (success)"
#define FLYWAY(rank, version, type, success)                                                                 \
	"INSERT INTO flyway_schema_history VALUES (" rank ", " version ", 'd', '" type "', 'script " rank    \
	"', 1, 'u', now(), 5, " success ")"

#define CHANGELOG                                                                                            \
	"CREATE TABLE databasechangelog (id varchar(255) NOT NULL, author varchar(255) NOT NULL, filename "  \
	"varchar(255) NOT NULL, dateexecuted timestamp NOT NULL, orderexecuted int NOT NULL, exectype "      \
	"varchar(10) NOT NULL, md5sum varchar(35), description varchar(255), comments varchar(255), tag "    \
	"varchar(255), liquibase varchar(20), contexts varchar(255), labels varchar(255), deployment_id "    \
	"varchar(10)); CREATE TABLE databasechangeloglock (id int NOT NULL PRIMARY KEY, locked boolean NOT " \
	"NULL, lockgranted timestamp, lockedby varchar(255)); INSERT INTO databasechangeloglock VALUES (1, " \
	"false, NULL, NULL)"
#define CHANGESET(id, author, file, at, order, type, tag)                                                    \
	"INSERT INTO databasechangelog VALUES ('" id "', '" author "', '" file "', '2026-01-01 00:00:0" at   \
	"', " order ", '" type "', 'md5', NULL, NULL, " tag ", '4', NULL, NULL, '1')"
#define CHANGELOG_LOCK                                                                                       \
	"UPDATE databasechangeloglock SET locked = true, lockgranted = '2026-01-01', lockedby = 'ci "        \
	"(10.1.1.1)'"
#define CHANGELOG_UNLOCK                                                                                     \
	"UPDATE databasechangeloglock SET locked = false, lockgranted = NULL, lockedby = NULL WHERE id = 1"

#define PRISMA_STARTED(id, name)                                                                             \
	"INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('" id "', 'c', '" name "')"
#define ATLAS(version, applied, total, error)                                                                \
	"INSERT INTO atlas_schema_revisions.atlas_schema_revisions VALUES ('" version "', 'd', 2, " applied  \
	", " total ", now(), 5, " error ", '', 'h', '[]', 'Atlas')"
#define PGROLL(schema, name, migration, parent, done, type)                                                  \
	"INSERT INTO pgroll.migrations (schema, name, migration, parent, done, migration_type) VALUES "      \
	"('" schema "', '" name "', '" migration "', " parent ", " done ", '" type "')"
#define SQITCH(event, id, change, project, at)                                                               \
	"INSERT INTO sqitch.events VALUES ('" event "', '" id "', '" change "', '" project                   \
	"', '2026-01-01 " at "')"
#define SQITCH_CHANGE(id, change, project, at)                                                               \
	"; INSERT INTO sqitch.changes VALUES ('" id "', NULL, '" change "', '" project                       \
	"', '', '2026-01-01 " at "')"

#define SHA1_A "2ac9daa2cbdcb75a7a5ad8e1ce3a66e9cf0d2fb4"
#define SHA1_B "9bc3f9e8ac7f2d8bb32c5b9f1a0a47cf6f6c0e11"
#define NAME64 "20260101000000_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct tool tools[] = {
    {"alembic", NULL,
	"CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc "
	"PRIMARY KEY "
	"(version_num))",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO alembic_version VALUES ('3f1c')", RECORDED_CLEAN, "3f1c", NULL},
	    {"UPDATE alembic_version SET version_num = '8d40' WHERE version_num = '3f1c'", RECORDED_CLEAN,
		"8d40", NULL},
	    {"INSERT INTO alembic_version VALUES ('1a2b')", RECORDED_CLEAN, "1a2b+8d40", NULL},
	    {"UPDATE alembic_version SET version_num = 'hand written' WHERE version_num = '1a2b'",
		RECORDED_UNREADABLE, NULL, "\"hand written\""},
	    {"DELETE FROM alembic_version", RECORDED_EMPTY, NULL, NULL},
	}},
    {"atlas", NULL,
	"CREATE SCHEMA atlas_schema_revisions; CREATE TABLE atlas_schema_revisions.atlas_schema_revisions "
	"(version "
	"varchar NOT NULL PRIMARY KEY, description varchar NOT NULL, type bigint NOT NULL DEFAULT 2, applied "
	"bigint NOT "
	"NULL DEFAULT 0, total bigint NOT NULL DEFAULT 0, executed_at timestamptz NOT NULL, execution_time "
	"bigint NOT "
	"NULL, error text, error_stmt text, hash varchar NOT NULL, partial_hashes jsonb, operator_version "
	"varchar NOT "
	"NULL)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {ATLAS(".atlas_cloud_identifier", "0", "0", "NULL"), RECORDED_EMPTY, NULL, NULL},
	    {ATLAS("20260101", "2", "2", "NULL"), RECORDED_CLEAN, "20260101", NULL},
	    {ATLAS("20260102", "1", "3", "NULL"), RECORDED_FAILED, "20260102",
		"version 20260102: 1 of 3 statements"},
	    {"UPDATE atlas_schema_revisions.atlas_schema_revisions SET error = 'oh, no' WHERE version = "
	     "'20260102'",
		RECORDED_FAILED, "20260102", "1 of 3 statements: oh, no"},
	    {"UPDATE atlas_schema_revisions.atlas_schema_revisions SET applied = 3", RECORDED_FAILED,
		"20260102", "oh, no"},
	    {"UPDATE atlas_schema_revisions.atlas_schema_revisions SET error = '', total = 3", RECORDED_CLEAN,
		"20260102", NULL},
	}},
    {"dbmate", NULL, "CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO schema_migrations VALUES ('20260102'), ('20260101')", RECORDED_CLEAN, "20260102",
		NULL},
	    {"DELETE FROM schema_migrations WHERE version = '20260102'", RECORDED_CLEAN, "20260101", NULL},
	}},
    {"diesel", NULL,
	"CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP "
	"NOT NULL "
	"DEFAULT CURRENT_TIMESTAMP)",
	{
	    {"INSERT INTO __diesel_schema_migrations VALUES ('00000000000000')", RECORDED_CLEAN,
		"00000000000000", NULL},
	    {"INSERT INTO __diesel_schema_migrations VALUES ('20260102030405'), ('20250102030405')",
		RECORDED_CLEAN, "20260102030405", NULL},
	}},
    {"django", NULL,
	"CREATE TABLE django_migrations (id bigint NOT NULL PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, "
	"app varchar(255) "
	"NOT NULL, name varchar(255) NOT NULL, applied timestamptz NOT NULL)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0001_initial', now()), "
	     "('auth', "
	     "'0001_initial', now()), ('auth', '0002_alter_permission_name_max_length', now())",
		RECORDED_CLEAN, "auth.0002_alter_permission_name_max_length+shop.0001_initial", NULL},
	    {"INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0002_price', now())",
		RECORDED_CLEAN, "auth.0002_alter_permission_name_max_length+shop.0002_price", NULL},
	    {"DELETE FROM django_migrations WHERE app = 'shop'", RECORDED_CLEAN,
		"auth.0002_alter_permission_name_max_length", NULL},
	    {"INSERT INTO django_migrations (app, name, applied) SELECT 'app' || i, '0001', now() FROM "
	     "generate_series(1, 16) AS i",
		RECORDED_UNREADABLE, NULL, "more than 16"},
	}},
    {"django-digest", NULL,
	"CREATE TABLE django_migrations (id serial PRIMARY KEY, app varchar(255) NOT NULL, name varchar(255) "
	"NOT NULL, "
	"applied timestamptz NOT NULL)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    /* printf 'auth.0001_initial\nshop.0001_initial' | md5sum */
	    {"INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0001_initial', now()), "
	     "('auth', "
	     "'0001_initial', now())",
		RECORDED_CLEAN, "be3f7559d65afe42a868b22554142581", NULL},
	}},
    {"doctrine", NULL,
	"CREATE TABLE doctrine_migration_versions (version varchar(191) NOT NULL, executed_at TIMESTAMP(0) "
	"WITHOUT TIME "
	"ZONE DEFAULT NULL, execution_time INT DEFAULT NULL, PRIMARY KEY (version))",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO doctrine_migration_versions VALUES ('DoctrineMigrations\\Version20260102030405', "
	     "now(), 3), "
	     "('DoctrineMigrations\\Version20260101030405', now(), 3)",
		RECORDED_CLEAN, "Version20260102030405", NULL},
	    {"INSERT INTO doctrine_migration_versions VALUES ('Version3', now(), 3)", RECORDED_CLEAN,
		"Version3", NULL},
	}},
    {"ecto", NULL, "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, inserted_at timestamp(0))",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO schema_migrations VALUES (9, now()), (10, now())", RECORDED_CLEAN, "10", NULL},
	    {"DELETE FROM schema_migrations WHERE version = 10", RECORDED_CLEAN, "9", NULL},
	}},
    {"efcore", NULL,
	"CREATE TABLE \"__EFMigrationsHistory\" (\"MigrationId\" character varying(150) NOT NULL, "
	"\"ProductVersion\" "
	"character varying(32) NOT NULL, CONSTRAINT \"PK___EFMigrationsHistory\" PRIMARY KEY "
	"(\"MigrationId\"))",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO \"__EFMigrationsHistory\" VALUES ('20260102_Prices', '9.0.0'), ('20260101_Init', "
	     "'9.0.0')",
		RECORDED_CLEAN, "20260102_Prices", NULL},
	    {"INSERT INTO \"__EFMigrationsHistory\" VALUES ('" NAME64 "', '9')", RECORDED_CLEAN,
		"20260102_Prices", NULL},
	    {"DELETE FROM \"__EFMigrationsHistory\" WHERE \"MigrationId\" LIKE '20260102%'", RECORDED_CLEAN,
		"20260101_Init", NULL},
	    {"DELETE FROM \"__EFMigrationsHistory\" WHERE \"MigrationId\" LIKE '%Init'", RECORDED_CLEAN,
		NAME64, NULL},
	    {"UPDATE \"__EFMigrationsHistory\" SET \"MigrationId\" = \"MigrationId\" || 'a'",
		RECORDED_UNREADABLE, NULL, "longer than 64 bytes; the reader sql can read it"},
	}},
    {"flyway", NULL, SCHEMA_HISTORY,
	{
	    {FLYWAY("0", "NULL", "SCHEMA", "true"), RECORDED_EMPTY, NULL, NULL},
	    {FLYWAY("1", "'1.9'", "SQL", "true"), RECORDED_CLEAN, "1.9", NULL},
	    {FLYWAY("2", "'1.10'", "JDBC", "true"), RECORDED_CLEAN, "1.10", NULL},
	    {FLYWAY("3", "'1.2'", "SQL", "true"), RECORDED_CLEAN, "1.10", NULL}, /* out of order */
	    {FLYWAY("4", "NULL", "SQL", "true"), RECORDED_CLEAN, "1.10", NULL},  /* repeatable */
	    {FLYWAY("5", "'1.10'", "UNDO_SQL", "true"), RECORDED_CLEAN, "1.9", NULL},
	    {FLYWAY("6", "'1.10'", "SQL", "true"), RECORDED_CLEAN, "1.10", NULL},
	    {FLYWAY("7", "'2'", "SQL", "false"), RECORDED_FAILED, "1.10", "script 7 failed"},
	    {"DELETE FROM flyway_schema_history WHERE NOT success", RECORDED_CLEAN, "1.10", NULL},
	    {FLYWAY("8", "'1.10'", "DELETE", "true"), RECORDED_CLEAN, "1.9", NULL},
	    {FLYWAY("9", "'2026_01.0'", "BASELINE", "true"), RECORDED_CLEAN, "2026_01.0", NULL},
	    {FLYWAY("10", "'next'", "SQL", "true"), RECORDED_UNREADABLE, NULL, "next"},
	}},
    {"golang-migrate", NULL,
	"CREATE TABLE schema_migrations (version bigint not null primary key, dirty boolean not null)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"BEGIN; TRUNCATE schema_migrations; INSERT INTO schema_migrations VALUES (7, true); COMMIT",
		RECORDED_FAILED, "7", "version 7 is dirty"},
	    {"BEGIN; TRUNCATE schema_migrations; INSERT INTO schema_migrations VALUES (7, false); COMMIT",
		RECORDED_CLEAN, "7", NULL},
	    {"BEGIN; TRUNCATE schema_migrations; INSERT INTO schema_migrations VALUES (-1, true); COMMIT",
		RECORDED_FAILED, NULL, "dirty"},
	    {"BEGIN; TRUNCATE schema_migrations; COMMIT", RECORDED_EMPTY, NULL, NULL},
	}},
    {"goose", NULL,
	"CREATE TABLE goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, version_id "
	"bigint NOT NULL, "
	"is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now())",
	{
	    {"INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true)", RECORDED_EMPTY, NULL,
		NULL},
	    {"INSERT INTO goose_db_version (version_id, is_applied) VALUES (9, true), (10, true)",
		RECORDED_CLEAN, "10", NULL},
	    {"INSERT INTO goose_db_version (version_id, is_applied) VALUES (10, false)", RECORDED_CLEAN, "9",
		NULL},
	    {"DELETE FROM goose_db_version WHERE version_id = 10 OR version_id = 9", RECORDED_EMPTY, NULL,
		NULL},
	}},
    {"graphile-migrate", NULL,
	"CREATE SCHEMA graphile_migrate; CREATE TABLE graphile_migrate.migrations (hash text PRIMARY KEY, "
	"previous_hash text "
	"REFERENCES graphile_migrate.migrations, filename text NOT NULL, date timestamptz NOT NULL DEFAULT "
	"now())",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO graphile_migrate.migrations VALUES ('sha1:a', NULL, '000001-init.sql'), ('sha1:b', "
	     "'sha1:a', "
	     "'000002.sql')",
		RECORDED_CLEAN, "000002.sql", NULL},
	}},
    {"knex", NULL,
	"CREATE TABLE knex_migrations (id serial PRIMARY KEY, name varchar(255), batch integer, "
	"migration_time timestamptz); "
	"CREATE TABLE knex_migrations_lock (index serial PRIMARY KEY, is_locked integer); INSERT INTO "
	"knex_migrations_lock "
	"(is_locked) VALUES (0)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO knex_migrations (name, batch) VALUES ('02_b.js', 1), ('01_a.js', 2)",
		RECORDED_CLEAN, "01_a.js", NULL},
	    {"UPDATE knex_migrations_lock SET is_locked = 1", RECORDED_RUNNING, "01_a.js",
		"knex migrate:unlock"},
	    {"UPDATE knex_migrations_lock SET is_locked = 0", RECORDED_CLEAN, "01_a.js", NULL},
	    {"DROP TABLE knex_migrations_lock", RECORDED_ABSENT, NULL, "knex_migrations_lock"},
	}},
    {"knex", "Mine",
	"CREATE TABLE \"Mine\" (id serial PRIMARY KEY, name varchar(255), batch integer, migration_time "
	"timestamptz); CREATE "
	"TABLE \"Mine_lock\" (index serial PRIMARY KEY, is_locked integer)",
	{
	    {"INSERT INTO \"Mine\" (name, batch) VALUES ('01_a.js', 1)", RECORDED_CLEAN, "01_a.js", NULL},
	    {"INSERT INTO \"Mine_lock\" (is_locked) VALUES (1)", RECORDED_RUNNING, "01_a.js", NULL},
	}},
    {"laravel", NULL,
	"CREATE TABLE migrations (id serial PRIMARY KEY, migration varchar(255) NOT NULL, batch integer NOT "
	"NULL)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO migrations (migration, batch) VALUES ('2026_01_02_000000_b', 1), "
	     "('2026_01_01_000000_a', 1)",
		RECORDED_CLEAN, "2026_01_02_000000_b", NULL},
	    {"INSERT INTO migrations (migration, batch) VALUES ('2025_12_31_000000_late', 2)", RECORDED_CLEAN,
		"2025_12_31_000000_late", NULL},
	}},
    {"liquibase", NULL, CHANGELOG,
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {CHANGESET("1", "ann", "db/log.xml", "1", "1", "EXECUTED", "NULL"), RECORDED_CLEAN,
		"db/log.xml::1::ann", NULL},
	    {CHANGELOG_LOCK, RECORDED_RUNNING, "db/log.xml::1::ann",
		"locked by ci (10.1.1.1) since 2026-01-01 00:00:00"},
	    {CHANGELOG_UNLOCK, RECORDED_CLEAN, "db/log.xml::1::ann", NULL},
	    {CHANGESET("2", "bob", "db/log.xml", "1", "2", "MARK_RAN", "NULL"), RECORDED_CLEAN,
		"db/log.xml::2::bob", NULL},
	    {"UPDATE databasechangelog SET exectype = 'RERAN', dateexecuted = '2026-02-01' WHERE id = '1'",
		RECORDED_CLEAN, "db/log.xml::2::bob", NULL},
	    /* printf 'db/log.xml::3::bob (generated)' | md5sum */
	    {CHANGESET("3", "bob (generated)", "db/log.xml", "2", "1", "EXECUTED", "NULL"), RECORDED_CLEAN,
		"f4e4e9e0a44199fc02bc27bf19df04df", NULL},
	}},
    {"liquibase-tag", NULL, CHANGELOG,
	{
	    {CHANGESET("1", "ann", "db/log.xml", "1", "1", "EXECUTED", "NULL"), RECORDED_EMPTY, NULL, NULL},
	    {CHANGESET("2", "ann", "db/log.xml", "2", "2", "EXECUTED", "'v1.4'"), RECORDED_CLEAN, "v1.4",
		NULL},
	    {CHANGESET("3", "ann", "db/log.xml", "3", "3", "EXECUTED", "NULL"), RECORDED_CLEAN, "v1.4", NULL},
	    {"UPDATE databasechangelog SET tag = 'v1.5' WHERE id = '3'", RECORDED_CLEAN, "v1.5", NULL},
	    {CHANGELOG_LOCK, RECORDED_RUNNING, "v1.5", "liquibase release-locks"},
	}},
    {"node-pg-migrate", NULL,
	"CREATE TABLE pgmigrations (id SERIAL PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT "
	"NULL)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO pgmigrations (name, run_on) VALUES ('1_b', '2026-01-02'), ('2_a', '2026-01-01')",
		RECORDED_CLEAN, "1_b", NULL},
	    {"INSERT INTO pgmigrations (name, run_on) VALUES ('0_c', '2026-01-02')", RECORDED_CLEAN, "0_c",
		NULL},
	}},
    {"pgroll", NULL,
	"CREATE SCHEMA pgroll; CREATE TABLE pgroll.migrations (schema NAME NOT NULL, name text NOT NULL, "
	"migration jsonb NOT "
	"NULL, created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(), "
	"parent text, done "
	"boolean NOT NULL DEFAULT FALSE, resulting_schema jsonb NOT NULL DEFAULT '{}'::jsonb, migration_type "
	"varchar(32) "
	"DEFAULT 'pgroll' CONSTRAINT migration_type_check CHECK (migration_type IN ('pgroll', 'inferred', "
	"'baseline')), "
	"PRIMARY KEY (schema, name), FOREIGN KEY (schema, parent) REFERENCES pgroll.migrations (schema, "
	"name)); CREATE UNIQUE "
	"INDEX only_one_active ON pgroll.migrations (schema) WHERE done = FALSE; CREATE UNIQUE INDEX "
	"only_first_migration_without_parent ON pgroll.migrations (schema) WHERE parent IS NULL; CREATE "
	"UNIQUE INDEX "
	"history_is_linear ON pgroll.migrations (schema, parent)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {PGROLL("public", "01_init", "{}", "NULL", "true", "pgroll"), RECORDED_CLEAN, "01_init", NULL},
	    {PGROLL("public", "02_next", "{\"version_schema\": \"v2\"}", "'01_init'", "false", "pgroll"),
		RECORDED_RUNNING, "01_init", "migration 02_next of schema public is active"},
	    {"UPDATE pgroll.migrations SET done = true", RECORDED_CLEAN, "v2", NULL},
	    {PGROLL("public", "sql_1", "{}", "'02_next'", "true", "inferred"), RECORDED_CLEAN, "v2", NULL},
	    {PGROLL("sales", "01_sales", "{}", "NULL", "true", "baseline"), RECORDED_CLEAN, "01_sales+v2",
		NULL},
	    {"ALTER TABLE pgroll.migrations DROP COLUMN migration_type; INSERT INTO pgroll.migrations "
	     "(schema, name, migration, "
	     "parent, done) VALUES ('sales', '02', '{}', '01_sales', true)",
		RECORDED_CLEAN, "02+sql_1", NULL}, /* its first releases */
	}},
    {"pop", NULL,
	"CREATE TABLE schema_migration (version VARCHAR(14) NOT NULL); CREATE UNIQUE INDEX ON "
	"schema_migration (version)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO schema_migration VALUES ('20260102'), ('20260101')", RECORDED_CLEAN, "20260102",
		NULL},
	}},
    {"pop", "schema_migrations", "CREATE TABLE schema_migrations (version VARCHAR(14) NOT NULL)",
	{
	    {"INSERT INTO schema_migrations VALUES ('20260102')", RECORDED_CLEAN, "20260102", NULL},
	}},
    {"prisma", NULL,
	"CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT "
	"NULL, finished_at "
	"TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ, "
	"started_at TIMESTAMPTZ NOT "
	"NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {PRISMA_STARTED("1", "2026_init"), RECORDED_RUNNING, NULL, "2026_init was started 2"},
	    {"UPDATE _prisma_migrations SET finished_at = now(), applied_steps_count = 1", RECORDED_CLEAN,
		"2026_init", NULL},
	    {PRISMA_STARTED("2", "2027_next"), RECORDED_RUNNING, "2026_init", "and has not finished"},
	    {"UPDATE _prisma_migrations SET logs = 'oh, no' WHERE id = '2'", RECORDED_FAILED, "2026_init",
		"2027_next failed: prisma migrate resolve"},
	    {"UPDATE _prisma_migrations SET rolled_back_at = now() WHERE id = '2'", RECORDED_CLEAN,
		"2026_init", NULL},
	    {PRISMA_STARTED(
		 "3", "2027_next") "; UPDATE _prisma_migrations SET finished_at = now() WHERE id = '3'",
		RECORDED_CLEAN, "2027_next", NULL},
	}},
    {"rails", NULL,
	"CREATE TABLE schema_migrations (version character varying NOT NULL PRIMARY KEY); CREATE TABLE "
	"ar_internal_metadata "
	"(key character varying NOT NULL PRIMARY KEY, value character varying, created_at timestamp(6) NOT "
	"NULL, updated_at "
	"timestamp(6) NOT NULL)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO schema_migrations VALUES ('9'), ('10'), ('0008')", RECORDED_CLEAN, "10", NULL},
	    {"INSERT INTO schema_migrations VALUES ('20260101000000')", RECORDED_CLEAN, "20260101000000",
		NULL},
	    {"INSERT INTO schema_migrations VALUES ('2026 01')", RECORDED_UNREADABLE, NULL, "2026 01"},
	}},
    {"refinery", NULL,
	"CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY, name VARCHAR(255), applied_on "
	"VARCHAR(255), checksum "
	"VARCHAR(255))",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO refinery_schema_history VALUES (9, 'a', '2026-01-01T00:00:00Z', '1'), (10, 'b', "
	     "'2026-01-01T00:00:00Z', '1')",
		RECORDED_CLEAN, "10", NULL},
	}},
    {"reshape", NULL,
	"CREATE SCHEMA reshape; CREATE TABLE reshape.data (key TEXT PRIMARY KEY, value JSONB); CREATE TABLE "
	"reshape.migrations "
	"(index INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name TEXT NOT NULL, description TEXT, "
	"actions JSONB NOT "
	"NULL, completed_at TIMESTAMP DEFAULT NOW()); INSERT INTO reshape.data VALUES ('version', '\"0.6\"')",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO reshape.migrations (name, actions) VALUES ('b', '[]'), ('a', '[]'); INSERT INTO "
	     "reshape.data VALUES "
	     "('state', '{\"state\": \"idle\"}')",
		RECORDED_CLEAN, "a", NULL},
	    {"UPDATE reshape.data SET value = '{\"state\": \"in_progress\", \"migrations\": []}' WHERE key = "
	     "'state'",
		RECORDED_RUNNING, "a", "reshape says in_progress"},
	    {"UPDATE reshape.data SET value = '{\"state\": \"idle\"}' WHERE key = 'state'", RECORDED_CLEAN,
		"a", NULL},
	}},
    {"sequelize", NULL,
	"CREATE TABLE \"SequelizeMeta\" (name VARCHAR(255) NOT NULL UNIQUE, PRIMARY KEY (name))",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO \"SequelizeMeta\" VALUES ('20260102-b.js'), ('20260101-a.js')", RECORDED_CLEAN,
		"20260102-b.js", NULL},
	}},
    {"sql-migrate", NULL,
	"CREATE TABLE gorp_migrations (id text NOT NULL PRIMARY KEY, applied_at timestamptz)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO gorp_migrations VALUES ('init.sql', now())", RECORDED_CLEAN, "init.sql", NULL},
	    {"INSERT INTO gorp_migrations VALUES ('9_a.sql', now()), ('10_b.sql', now())", RECORDED_CLEAN,
		"10_b.sql", NULL},
	}},
    {"sqitch", NULL,
	"CREATE SCHEMA sqitch; CREATE TABLE sqitch.changes (change_id TEXT PRIMARY KEY, script_hash TEXT, "
	"change TEXT NOT NULL, "
	"project TEXT NOT NULL, note TEXT NOT NULL DEFAULT '', committed_at TIMESTAMPTZ NOT NULL DEFAULT "
	"clock_timestamp()); "
	"CREATE TABLE sqitch.events (event TEXT NOT NULL CHECK (event IN ('deploy', 'revert', 'fail', "
	"'merge')), change_id TEXT "
	"NOT NULL, change TEXT NOT NULL, project TEXT NOT NULL, committed_at TIMESTAMPTZ NOT NULL, PRIMARY "
	"KEY (change_id, "
	"committed_at))",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {SQITCH("deploy", SHA1_A, "users", "shop", "01:00")
		    SQITCH_CHANGE(SHA1_A, "users", "shop", "01:00"),
		RECORDED_CLEAN, SHA1_A, NULL},
	    {SQITCH("fail", SHA1_B, "flips", "shop", "02:00"), RECORDED_FAILED, SHA1_A,
		"change flips failed"},
	    {SQITCH("deploy", SHA1_B, "flips", "shop", "03:00")
		    SQITCH_CHANGE(SHA1_B, "flips", "shop", "03:00"),
		RECORDED_CLEAN, SHA1_B, NULL},
	    {SQITCH("deploy", "0a", "users", "audit", "04:00") SQITCH_CHANGE("0a", "users", "audit", "04:00"),
		RECORDED_CLEAN, "0a+" SHA1_B, NULL},
	    {SQITCH("revert", SHA1_B, "flips", "shop",
		 "05:00") "; DELETE FROM sqitch.changes WHERE change = 'flips'",
		RECORDED_CLEAN, "0a+" SHA1_A, NULL},
	}},
    {"sqlx", NULL,
	"CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on "
	"TIMESTAMPTZ NOT "
	"NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT "
	"NULL)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO _sqlx_migrations VALUES (9, 'a', now(), true, '', 1), (10, 'b', now(), true, '', "
	     "-1)",
		RECORDED_CLEAN, "10", NULL},
	    {"INSERT INTO _sqlx_migrations VALUES (11, 'c', now(), false, '', -1)", RECORDED_FAILED, "10",
		"migration 11 did not succeed"},
	}},
    {"typeorm", NULL,
	"CREATE TABLE migrations (id SERIAL PRIMARY KEY, \"timestamp\" bigint NOT NULL, name character "
	"varying NOT NULL)",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO migrations (\"timestamp\", name) VALUES (1767225600000, 'B1767225600000'), "
	     "(1767225500000, "
	     "'A1767225500000'), (1767225500000, 'C1767225500000')",
		RECORDED_CLEAN, "1767225600000", NULL},
	    {"INSERT INTO migrations (\"timestamp\", name) VALUES (1767225600000, 'D1767225600000')",
		RECORDED_UNREADABLE, NULL, "have one time, 1767225600000"},
	}},
    {"yoyo", NULL,
	"CREATE TABLE _yoyo_migration (migration_hash VARCHAR(64), migration_id VARCHAR(255), applied_at_utc "
	"TIMESTAMP, PRIMARY "
	"KEY (migration_hash)); CREATE TABLE yoyo_lock (locked INT DEFAULT 1, ctime TIMESTAMP, pid INT NOT "
	"NULL, PRIMARY KEY "
	"(locked))",
	{
	    {NULL, RECORDED_EMPTY, NULL, NULL},
	    {"INSERT INTO _yoyo_migration VALUES ('a', '02.b', '2026-01-01'), ('b', '01.a', '2026-01-02')",
		RECORDED_CLEAN, "01.a", NULL},
	    {"INSERT INTO yoyo_lock VALUES (1, '2026-01-01', 77)", RECORDED_RUNNING, "01.a",
		"process 77 holds its lock"},
	    {"DELETE FROM yoyo_lock", RECORDED_CLEAN, "01.a", NULL},
	}},
};

#endif
