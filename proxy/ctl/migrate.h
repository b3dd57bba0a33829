/* What all commands about migrations share: their options, the configuration or the little that stands for
 * it, the catalog, the connection, and what the ledger keeps.
 *
 * Where they look. With a configuration file (-c, $HEADGATE_CONFIG, or the default where that exists): the
 * section that -d names says all; --dir goes over it, and so does --url, which without -c and -d means that
 * no configuration is looked at. Without one: the database is --url or $DATABASE_URL, the folder --dir or
 * "migrations", the reader is `headgate`, and everything else is at its default. A command that needs no
 * database asks for none.
 *
 *   int cmd_heads(int argc, char **argv)
 *   {
 *           struct migrate m = {.verbose_too = true};
 *           const struct command_option own[] = {{.name = "resolve", .flag = &resolve}};
 *           int status = migrate_open(&m, argc, argv, help, own, 1);
 *           if (status < 0)
 *                   status = migrate_catalog(&m) ? heads(&m) : m.status;
 *           migrate_close(&m);
 *           return status;
 *   }
 *
 * Every function that returns false has said why on stderr and left the exit status in m->status. */
#ifndef CTL_MIGRATE_H
#define CTL_MIGRATE_H

#include <stdbool.h>

#include "base/conf.h"
#include "gate/gate.h"
#include "gate/head.h"
#include "net/pq_now.h"
#include "schema/catalog.h"
#include "schema/graph.h"
#include "schema/plan.h"
#include "options.h"

/* Goes into the help of each command, before its own last lines. */
#define MIGRATE_HELP                                                                                         \
	"  -c, --config FILE      the configuration; default $HEADGATE_CONFIG or "                           \
	"/etc/headgate/headgate.yaml, where there is one\n"                                                  \
	"  -d, --database NAME    which of its databases; may be left out when there is one\n"               \
	"      --url URL          the database itself (postgresql://...); default $DATABASE_URL where "      \
	"there "                                                                                             \
	"is no configuration\n"                                                                              \
	"      --dir FOLDER       where the migrations are; default: the configuration's migrations.dir, "   \
	"else "                                                                                              \
	"migrations\n"                                                                                       \
	"      --format NAME      of the folder, where it should not be recognised by itself: native, "      \
	"dbmate,\n"                                                                                          \
	"                         golang-migrate, diesel, goose, sql-migrate, flyway, alembic\n"             \
	"      --set NAME=VALUE   replaces ${NAME} in the files; may be given several times\n"               \
	"      --json             answer in JSON\n"                                                          \
	"  -h, --help             this text\n"

/* What the ledger keeps of the database's migrations. */
struct migrate_applied {
	char *revision, *checksum, *applied_at; /* checksum: NULL where it was stamped without its file */
	int64_t run_id;
};
struct migrate_ledger {
	bool present;                    /* our ledger is there and is new enough to read */
	bool old;                        /* it is there and older than this program: upgrade brings it up */
	struct recorded recorded;        /* by the section's reader: state absent means "never migrated" */
	struct migrate_applied *applied; /* by revision */
	unsigned applied_count;
	struct migrate_applied *repeatables; /* by file's name, which stands in `revision` */
	unsigned repeatable_count;
	int64_t serial;   /* of the published graph; 0: none was published */
	char *unresolved; /* a run left half way, one line; or NULL */
};

struct migrate {
	/* Set by the caller before migrate_open(). */
	bool verbose_too;            /* takes -v, --verbose */
	bool drafts;                 /* it runs nothing: a migration not filled in yet is no defect */
	struct command_options also; /* more options, besides its own */

	const char *command; /* "upgrade" */
	char **words;        /* what is left behind the options */
	unsigned word_count;
	bool json, verbose;
	int status; /* of the last function that failed */

	struct conf *conf;                   /* a made up one without a file; freed by migrate_close() */
	bool configured;                     /* it is from a file */
	const struct conf_database *section; /* NULL: no configuration and no url */
	const char *name;                    /* of the database, for people */
	const char *dir;                     /* of the migrations */
	enum catalog_format format;
	char *dsn, *dbname; /* for runs; dsn NULL: no database was named; dbname NULL: the dsn's */

	struct catalog *catalog;
	const struct graph *graph; /* the catalog's */
	struct pq_now *pq;
	struct migrate_ledger ledger;

	struct migrate_given {
		const char *config, *database, *url, *dir, *format;
		struct option_list set;
	} given;
	struct catalog_placeholder *placeholders; /* `set` of the configuration, then of the command line */
	unsigned placeholder_count;
};

/* Options, configuration. -1: go on; else the exit status to leave with. */
int migrate_open(struct migrate *m, int argc, char **argv, const char *help, const struct command_option *own,
    unsigned own_count);
void migrate_close(struct migrate *m); /* whatever was opened; leaves a zeroed struct */

/* Reads and checks the folder; each defect is a line on stderr. An empty folder is a catalog of nothing; one
 * that is not there is an error, unless `may_be_missing`. */
bool migrate_catalog(struct migrate *m);
bool migrate_catalog_at(struct migrate *m, bool may_be_missing);

/* Another database than was named so far: that of this url, which the option `from` gave. The section stays.
 */
bool migrate_goes_to(struct migrate *m, const char *url, const char *from);
/* Is it said which database is meant? False: it was asked for on stderr. */
bool migrate_section(struct migrate *m);
/* Connects as who conducts runs. */
bool migrate_connect(struct migrate *m);
/* The database could not be reached, as was said already: one line more on what to do, where there is one. */
void migrate_explain(struct migrate *m);
/* What is recorded and applied; connects where that was not done. A database without a ledger is no error. */
bool migrate_ledger(struct migrate *m);

/* Makes the ledger, or brings it up, where that is needed (migrate_ledger() was called), and reads again. */
bool migrate_make_ledger(struct migrate *m);
/* Begins a transaction that holds the lock of whoever changes the schema; where another has it, for some
 * seconds it is tried again. */
bool migrate_begin(struct migrate *m);
bool migrate_commit(struct migrate *m);
/* The section as a run takes it: with --url for its connection, where one was given. */
struct conf_database migrate_run_section(const struct migrate *m);

/* The steps from what the ledger has (migrate_ledger() was called) to request.target, up or down; target,
 * late and the like are the caller's, the rest is filled in. False where the recorded state does not allow
 * it, too.
 */
bool migrate_plan(struct migrate *m, bool down, struct plan_request request, struct plan *out);
/* Why a plan was refused, told and freed; false. */
bool migrate_fails_plan(struct migrate *m, char *why);

/* "headgate NAME: " and a line on stderr; sets m->status and returns false, for return migrate_fails(...). */
bool migrate_fails(struct migrate *m, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with what the server said: "what: message", DETAIL, HINT, SQLSTATE. */
bool migrate_fails_by(struct migrate *m, const char *what, const struct pq_now_error *error);

/* The options of catalog_parse() for this command, to read other folders alike. */
struct catalog_options migrate_catalog_options(const struct migrate *m);
/* How the database is named in messages: "shop". */
const char *migrate_database(const struct migrate *m);

#endif
