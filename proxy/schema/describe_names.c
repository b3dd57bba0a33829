/* Names, qualified and quoted as PostgreSQL writes them. */
#include <string.h>

#include "base/mem.h"
#include "describe_private.h"

/* The version tables of migration tools, wherever they lie; what a tool names like everybody names things
 * ("migrations") is left out only where the configuration says so. */
static const char *const version_tables[] = {"alembic_version", "flyway_schema_history", "schema_migrations",
    "ar_internal_metadata", "databasechangelog", "databasechangeloglock", "goose_db_version",
    "gorp_migrations", "django_migrations", "_prisma_migrations", "pgmigrations", "knex_migrations",
    "knex_migrations_lock", "\"SequelizeMeta\"", "doctrine_migration_versions", "__diesel_schema_migrations",
    "_sqlx_migrations", "\"__EFMigrationsHistory\"", "atlas_schema_revisions", "refinery_schema_history",
    "_yoyo_migration", "_yoyo_log", "yoyo_lock", "_yoyo_version"};

const char *describe_bare(const char *qualified)
{
	const char *bare = qualified;
	bool quoted = false;
	for (const char *at = qualified; *at != '\0' && (quoted || *at != '('); at++) {
		quoted ^= *at == '"';
		if (*at == '.' && !quoted)
			bare = at + 1;
	}
	return bare;
}

char *describe_schema(const char *qualified)
{
	const char *bare = describe_bare(qualified);
	return mem_strndup(qualified, bare > qualified ? (size_t)(bare - qualified) - 1 : 0);
}

/* Whether or not the one is quoted where it need not be. */
static bool same_name(const char *a, const char *b)
{
	for (;; a++, b++) {
		a += strspn(a, "\"");
		b += strspn(b, "\"");
		if (*a != *b || *a == '\0')
			return *a == *b;
	}
}

bool describe_is_version_table(const char *name, const char *skip)
{
	if (skip != NULL && same_name(skip, name))
		return true;
	const char *bare = describe_bare(name);
	for (size_t i = 0; i < sizeof(version_tables) / sizeof(version_tables[0]); i++)
		if (strcmp(version_tables[i], bare) == 0)
			return true;
	return false;
}
