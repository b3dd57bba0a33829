/* Where each tool keeps its version, and which row is the head: the tool's own rule, from its sources. */
#include "readers_private.h"

/* dateexecuted moves when a changeset that runs always, or on change, runs again: such a row would be the
 * last for ever, and say nothing of what was added before it. An id alone is unique only with its file and
 * author, which together often cannot be a head (a blank, too long): then their digest is. */
static const char liquibase_rows[] =
    "(SELECT CASE WHEN n.name ~ '^[!-~]{1,64}$' AND pg_catalog.translate(n.name, '+,@;''\"' || chr(92), '') "
    "= n.name "
    "THEN n.name ELSE pg_catalog.md5(n.name) END AS head, n.dateexecuted, n.orderexecuted "
    "FROM (SELECT filename || '::' || id || '::' || author AS name, dateexecuted, orderexecuted FROM {rows} "
    "AS t "
    "WHERE exectype::text <> 'RERAN') AS n)";
static const char liquibase_locked[] =
    "SELECT 'running' AS state, 'locked by ' || COALESCE(lockedby, '?') || ' since ' || "
    "COALESCE(lockgranted::text, "
    "'?') || "
    "'; if nobody runs: liquibase release-locks' AS detail FROM {also} WHERE locked LIMIT 1";

/* Of rows of one version the last that succeeded tells whether it is applied. */
static const char flyway_rows[] = "(SELECT DISTINCT ON (version) version, type FROM {rows} AS t WHERE "
				  "success::text = 'true' AND version IS NOT "
				  "NULL ORDER BY version, installed_rank DESC)";

/* A down of today deletes the row, one of old adds a row that is not applied. */
static const char goose_rows[] =
    "(SELECT DISTINCT ON (version_id) version_id, is_applied FROM {rows} AS t ORDER BY version_id, id DESC)";

/* The newest version that is complete. What was found in the schema besides (`inferred`) is no version that a
 * client could have been built for. */
static const char pgroll_rows[] =
    "(WITH RECURSIVE m AS (SELECT schema, name, parent, COALESCE(migration::jsonb ->> 'version_schema', "
    "name) AS "
    "version, done::text = 'true' AND migration_type IS DISTINCT FROM 'inferred' AS good FROM {rows} AS t), "
    "back AS (SELECT m.* FROM m WHERE NOT EXISTS (SELECT FROM m AS c WHERE c.schema = m.schema AND c.parent "
    "= m.name) "
    "UNION ALL SELECT p.* FROM back AS b JOIN m AS p ON p.schema = b.schema AND p.name = b.parent WHERE NOT "
    "b.good) "
    "SELECT version FROM back WHERE good)";

const struct reader readers[] = {
    {.name = "alembic",
	.order = CONF_ORDER_NONE,
	.schema = "public",
	.table = "alembic_version",
	.columns = "version_num",
	.head = "version_num"},
    {.name = "atlas",
	.order = CONF_ORDER_TEXT,
	.schema = "atlas_schema_revisions",
	.table = "atlas_schema_revisions",
	.columns = "version,applied,total,error",
	.head = "version",
	.where = "version <> '.atlas_cloud_identifier'",
	.last = "version COLLATE \"C\" DESC",
	.trouble = "SELECT 'failed' AS state, 'version ' || version || ': ' || applied || ' of ' || total || "
		   "' statements' "
		   "|| COALESCE(': ' || NULLIF(error, ''), '') AS detail FROM {rows} AS t WHERE version <> "
		   "'.atlas_cloud_identifier' AND (applied < total OR COALESCE(error, '') <> '') LIMIT 1"},
    {.name = "dbmate",
	.order = CONF_ORDER_TEXT,
	.schema = "public",
	.table = "schema_migrations",
	.columns = "version",
	.head = "version",
	.last = "version DESC"},
    {.name = "diesel",
	.order = CONF_ORDER_TEXT,
	.schema = "public",
	.table = "__diesel_schema_migrations",
	.columns = "version,run_on",
	.head = "version",
	.last = "version COLLATE \"C\" DESC"},
    {.name = "django",
	.order = CONF_ORDER_NONE,
	.schema = "public",
	.table = "django_migrations",
	.columns = "id,app,name",
	.from = "(SELECT DISTINCT ON (app) app, name FROM {rows} AS t ORDER BY app, id DESC)",
	.head = "app || '.' || name"},
    {.name = "django-digest",
	.order = CONF_ORDER_NONE,
	.schema = "public",
	.table = "django_migrations",
	.columns = "id,app,name",
	.head = "pg_catalog.md5(pg_catalog.string_agg(app || '.' || name, chr(10) ORDER BY app COLLATE "
		"\"C\", name "
		"COLLATE \"C\"))"},
    {.name = "doctrine",
	.order = CONF_ORDER_TEXT,
	.schema = "public",
	.table = "doctrine_migration_versions",
	.columns = "version,executed_at",
	/* the class, without its namespace: a backslash cannot be in a head */
	.head = "reverse(pg_catalog.split_part(reverse(version), chr(92), 1))",
	.last = "version COLLATE \"C\" DESC"},
    {.name = "ecto",
	.order = CONF_ORDER_NUMERIC,
	.schema = "public",
	.table = "schema_migrations",
	.columns = "version,inserted_at",
	.head = "version",
	.last = "version DESC"},
    {.name = "efcore",
	.order = CONF_ORDER_TEXT,
	.schema = "public",
	.table = "__EFMigrationsHistory",
	.columns = "MigrationId,ProductVersion",
	.head = "\"MigrationId\"",
	.last = "\"MigrationId\" COLLATE \"C\" DESC"},
    {.name = "flyway",
	.order = CONF_ORDER_NUMERIC,
	.schema = "public",
	.table = "flyway_schema_history",
	.columns = "installed_rank,version,type,success",
	.optional = "script",
	.from = flyway_rows,
	.head = "version",
	.where = "type NOT IN ('SCHEMA', 'DELETE') AND type NOT LIKE 'UNDO%'",
	.last =
	    "pg_catalog.string_to_array(pg_catalog.regexp_replace(pg_catalog.translate(version, '_', '.'), "
	    "'([.]0+)+$', ''), '.')::numeric[] DESC",
	.trouble = "SELECT 'failed' AS state, COALESCE(script, version, 'a migration') || ' failed: repair "
		   "it, then flyway "
		   "repair' AS detail FROM {rows} AS t WHERE success::text = 'false' ORDER BY installed_rank "
		   "DESC LIMIT 1"},
    {.name = "golang-migrate",
	.order = CONF_ORDER_NUMERIC,
	.schema = "public",
	.table = "schema_migrations",
	.columns = "version,dirty",
	.head = "version",
	.where = "version::text NOT LIKE '-%'", /* -1: none */
	.trouble = "SELECT 'failed' AS state, 'version ' || version || ' is dirty: it is being migrated to, "
		   "or failed half "
		   "way: migrate force' AS detail FROM {rows} AS t WHERE dirty::text = 'true' LIMIT 1"},
    {.name = "goose",
	.order = CONF_ORDER_NUMERIC,
	.schema = "public",
	.table = "goose_db_version",
	.columns = "id,version_id,is_applied",
	.from = goose_rows,
	.head = "version_id",
	.where = "is_applied::text = 'true' AND version_id::numeric > 0", /* 0: the table was made */
	.last = "version_id DESC"},
    {.name = "graphile-migrate",
	.order = CONF_ORDER_TEXT,
	.schema = "graphile_migrate",
	.table = "migrations",
	.columns = "hash,previous_hash,filename",
	.head = "filename",
	.last = "filename COLLATE \"C\" DESC"},
    {.name = "headgate",
	.order = CONF_ORDER_NONE,
	.schema = "headgate",
	.table = "head",
	.fixed = true,
	.columns = "head",
	.head = "head"},
    {.name = "knex",
	.order = CONF_ORDER_TEXT,
	.schema = "public",
	.table = "knex_migrations",
	.also = "_lock",
	.suffix = true,
	.columns = "id,name,batch",
	.head = "name",
	.last = "id DESC",
	.trouble = "SELECT 'running' AS state, 'its lock is taken; if nobody runs: knex migrate:unlock' AS "
		   "detail FROM {also} "
		   "WHERE is_locked <> 0 LIMIT 1"},
    {.name = "laravel",
	.order = CONF_ORDER_TEXT,
	.schema = "public",
	.table = "migrations",
	.columns = "migration,batch",
	.head = "migration",
	.last = "batch DESC, migration COLLATE \"C\" DESC"},
    {.name = "liquibase",
	.order = CONF_ORDER_NONE,
	.schema = "public",
	.table = "databasechangelog",
	.also = "lock",
	.suffix = true,
	.columns = "id,author,filename,dateexecuted,orderexecuted,exectype,tag",
	.from = liquibase_rows,
	.head = "head",
	.last = "dateexecuted DESC, orderexecuted DESC",
	.trouble = liquibase_locked},
    {.name = "liquibase-tag",
	.order = CONF_ORDER_NONE,
	.schema = "public",
	.table = "databasechangelog",
	.also = "lock",
	.suffix = true,
	.columns = "id,author,filename,dateexecuted,orderexecuted,exectype,tag",
	.head = "tag",
	.where = "tag IS NOT NULL",
	.last = "dateexecuted DESC, orderexecuted DESC",
	.trouble = liquibase_locked},
    {.name = "node-pg-migrate",
	.order = CONF_ORDER_TEXT,
	.schema = "public",
	.table = "pgmigrations",
	.columns = "id,name,run_on",
	.head = "name",
	.last = "run_on DESC, id DESC"},
    {.name = "pgroll",
	.order = CONF_ORDER_NONE,
	.schema = "pgroll",
	.table = "migrations",
	.columns = "schema,name,migration,parent,done",
	.optional = "migration_type",
	.from = pgroll_rows,
	.head = "version",
	.trouble =
	    "SELECT 'running' AS state, 'migration ' || name || ' of schema ' || schema || ' is active: "
	    "pgroll complete, or "
	    "pgroll rollback, ends that' AS detail FROM {rows} AS t WHERE done::text = 'false' LIMIT 1"},
    {.name = "pop",
	.order = CONF_ORDER_TEXT,
	.schema = "public",
	.table = "schema_migration",
	.columns = "version",
	.head = "version",
	.last = "version DESC"},
    {.name = "prisma",
	.order = CONF_ORDER_TEXT,
	.schema = "public",
	.table = "_prisma_migrations",
	.columns = "migration_name,started_at,finished_at,rolled_back_at,logs",
	.head = "migration_name",
	.where = "finished_at IS NOT NULL AND rolled_back_at IS NULL",
	.last = "migration_name COLLATE \"C\" DESC",
	.trouble = "SELECT CASE WHEN logs IS NULL THEN 'running' ELSE 'failed' END AS state, migration_name "
		   "|| CASE WHEN logs "
		   "IS NULL THEN ' was started ' || started_at || ' and has not finished; if nobody runs' "
		   "ELSE ' failed' END || "
		   "': prisma migrate resolve' AS detail FROM {rows} AS t WHERE finished_at IS NULL AND "
		   "rolled_back_at IS NULL "
		   "ORDER BY logs IS NULL LIMIT 1"},
    {.name = "rails",
	.order = CONF_ORDER_NUMERIC,
	.schema = "public",
	.table = "schema_migrations",
	.columns = "version",
	.head = "version",
	.last = "version::numeric DESC"},
    {.name = "refinery",
	.order = CONF_ORDER_NUMERIC,
	.schema = "public",
	.table = "refinery_schema_history",
	.columns = "version,name,applied_on",
	.head = "version",
	.last = "version DESC"},
    {.name = "reshape",
	.order = CONF_ORDER_NONE,
	.schema = "reshape",
	.table = "migrations",
	.also = "data",
	.columns = "index,name,actions",
	.head = "name",
	.last = "index DESC",
	.trouble = "SELECT 'running' AS state, 'reshape says ' || (value ->> 'state') || ': reshape "
		   "migration complete, or reshape "
		   "migration abort, ends that' AS detail FROM {also} WHERE key = 'state' AND value ->> "
		   "'state' <> 'idle' LIMIT 1"},
    {.name = "sequelize",
	.order = CONF_ORDER_TEXT,
	.schema = "public",
	.table = "SequelizeMeta",
	.columns = "name",
	.head = "name",
	.last = "name COLLATE \"C\" DESC"},
    {.name = "sql", .order = CONF_ORDER_NONE},
    {.name = "sql-migrate",
	.order = CONF_ORDER_TEXT,
	.schema = "public",
	.table = "gorp_migrations",
	.columns = "id,applied_at",
	.head = "id",
	.last = "pg_catalog.substring(id, '^[0-9]+')::numeric DESC NULLS LAST, id COLLATE \"C\" DESC"},
    {.name = "sqitch",
	.order = CONF_ORDER_NONE,
	.schema = "sqitch",
	.table = "changes",
	.also = "events",
	.columns = "change_id,change,project,committed_at",
	.from =
	    "(SELECT DISTINCT ON (project) change_id FROM {rows} AS t ORDER BY project, committed_at DESC)",
	.head = "change_id",
	.trouble = "SELECT 'failed' AS state, 'the last that happened to project ' || e.project || ' is that "
		   "change ' || e.change || ' "
		   "failed, ' || e.committed_at || ': sqitch deploy, or sqitch revert' AS detail FROM "
		   "(SELECT DISTINCT ON (project) "
		   "project, event, change, committed_at FROM {also} ORDER BY project, committed_at DESC) AS "
		   "e WHERE e.event = 'fail' "
		   "LIMIT 1"},
    {.name = "sqlx",
	.order = CONF_ORDER_NUMERIC,
	.schema = "public",
	.table = "_sqlx_migrations",
	.columns = "version,success,checksum",
	.head = "version",
	.where = "success::text = 'true'",
	.last = "version DESC",
	.trouble = "SELECT 'failed' AS state, 'migration ' || version || ' did not succeed' AS detail FROM "
		   "{rows} AS t WHERE "
		   "success::text = 'false' ORDER BY version LIMIT 1"},
    {.name = "typeorm",
	.order = CONF_ORDER_NUMERIC,
	.schema = "public",
	.table = "migrations",
	.columns = "id,timestamp,name",
	.head = "\"timestamp\"",
	.last = "\"timestamp\" DESC, id DESC",
	/* The name would tell them apart; the time is what has an order, and what file names begin with. */
	.trouble = "SELECT 'unreadable' AS state, 'the last two migrations have one time, ' || "
		   "max(\"timestamp\"::text) AS detail FROM "
		   "{rows} AS t WHERE \"timestamp\" = (SELECT max(\"timestamp\") FROM {rows} AS m) HAVING "
		   "pg_catalog.count(*) > 1"},
    {.name = "yoyo",
	.order = CONF_ORDER_TEXT,
	.schema = "public",
	.table = "_yoyo_migration",
	.also = "yoyo_lock",
	.columns = "migration_hash,migration_id,applied_at_utc",
	.head = "migration_id",
	.last = "applied_at_utc DESC, migration_id COLLATE \"C\" DESC",
	.trouble =
	    "SELECT 'running' AS state, 'process ' || COALESCE(pid::text, '?') || ' holds its lock since ' "
	    "|| "
	    "COALESCE(ctime::text, '?') || '; if it is gone: yoyo break-lock' AS detail FROM {also} LIMIT 1"},
};
const unsigned readers_count = sizeof(readers) / sizeof(readers[0]);
