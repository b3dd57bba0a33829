/* The scratch database, and the copy in it: pg_dump of the one, piped into pg_restore of the other. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/pq.h"
#include "schema/readers.h"
#include "ctl/cli.h"
#include "rehearse.h"

#define SAID_BYTES 16384 /* of what the two say, kept */
#define LOOK_MS    100   /* for Ctrl-C */

struct texts {
	char **at;
	unsigned count;
};

static void texts_add(struct texts *texts, char *owned)
{
	texts->at = mem_realloc(texts->at, (texts->count + 2) * sizeof(texts->at[0]));
	texts->at[texts->count++] = owned;
	texts->at[texts->count] = NULL;
}

static void texts_free(struct texts *texts)
{
	for (unsigned i = 0; i < texts->count; i++)
		mem_free(&texts->at[i]);
	mem_free(&texts->at);
	texts->count = 0;
}

/* ---- two programs and a pipe ---- */

struct copying {
	struct texts environment, dump, restore;
	pid_t pids[2];
	int status[2];
	int errors; /* what both say */
	char said[SAID_BYTES];
	size_t size;
};

static void set_variable(const char *name, const char *value, void *arg)
{
	struct texts *environment = arg;
	size_t n = strlen(name);
	unsigned kept = 0;

	for (unsigned i = 0; i < environment->count; i++) {
		if (strncmp(environment->at[i], name, n) == 0 && environment->at[i][n] == '=')
			mem_free(&environment->at[i]);
		else
			environment->at[kept++] = environment->at[i];
	}
	environment->count = kept;
	environment->at[kept] = NULL;
	if (value != NULL)
		texts_add(environment, mem_printf("%s=%s", name, value));
}

/* In the child. Everything it needs was made before the fork. */
static _Noreturn void become(char *const *argv, char *const *environment, int in, int out, int errors)
{
	sigset_t none;

	/* It goes when we do, whatever ends us, and Ctrl-C is for us to pass on. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
	    dup2(errors, STDERR_FILENO) >= 0) {
		execvpe(argv[0], argv, environment);
		dprintf(STDERR_FILENO, "%s: %s: is PostgreSQL's client package installed, and in the PATH?\n",
		    argv[0], strerror(errno));
	}
	_exit(127);
}

static bool start(struct copying *c)
{
	int data[2], errors[2], nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (nothing < 0 || pipe2(data, O_CLOEXEC) != 0)
		return false;
	if (pipe2(errors, O_CLOEXEC) != 0) {
		close(nothing), close(data[0]), close(data[1]);
		return false;
	}
	c->pids[0] = fork();
	if (c->pids[0] == 0)
		become(c->dump.at, c->environment.at, nothing, data[1], errors[1]);
	c->pids[1] = c->pids[0] > 0 ? fork() : -1;
	if (c->pids[1] == 0)
		become(c->restore.at, c->environment.at, data[0], nothing, errors[1]);
	close(nothing), close(data[0]), close(data[1]), close(errors[1]);
	c->errors = errors[0];
	return c->pids[1] > 0;
}

static void stop(const struct copying *c)
{
	for (int i = 0; i < 2; i++)
		if (c->pids[i] > 0)
			kill(c->pids[i], SIGTERM);
}

/* Until both have closed what they say, which they do when they end. */
static void listen_to(struct rehearse *r, struct copying *c)
{
	struct pollfd waited = {.fd = c->errors, .events = POLLIN};
	bool stopped = false;

	for (;;) {
		char buffer[4096];
		int ready = poll(&waited, 1, LOOK_MS);
		if (!stopped && rehearse_interrupted(r)) {
			stop(c);
			stopped = true;
		}
		if (ready <= 0)
			continue;
		ssize_t n = read(c->errors, buffer, sizeof(buffer));
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		size_t room = sizeof(c->said) - 1 - c->size;
		size_t kept = n > 0 ? ((size_t)n < room ? (size_t)n : room) : 0;
		memcpy(c->said + c->size, buffer, kept);
		c->size += kept;
		c->said[c->size] = '\0';
	}
}

static void end(struct copying *c)
{
	close(c->errors);
	for (int i = 0; i < 2; i++) {
		while (c->pids[i] > 0 && waitpid(c->pids[i], &c->status[i], 0) < 0 && errno == EINTR)
			;
	}
}

/* ---- the copy ---- */

static bool is_superuser(struct rehearse *r)
{
	struct pq_rows rows;
	bool yes =
	    pq_now_ask(r->m.pq, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user", NULL,
		0, &rows) &&
	    pq_rows_at(&rows, 0, 0) != NULL && strcmp(pq_rows_at(&rows, 0, 0), "t") == 0;
	pq_rows_free(&rows);
	return yes;
}

/* Of a role that is no superuser what it has no right to is left out: owners, and what belongs to the server.
 */
static void make_commands(struct rehearse *r, struct copying *c, const char *source)
{
	static const char *const always[] = {"pg_dump", "--format=custom", "--no-password",
	    "--no-subscriptions", "--no-tablespaces", "--lock-wait-timeout=10000"};
	bool superuser = is_superuser(r);

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		texts_add(&c->dump, mem_strdup(always[i]));
	texts_add(&c->dump, mem_strdup(r->data ? "--exclude-table-data=headgate.*" : "--schema-only"));
	if (r->data)
		texts_add(&c->dump, mem_strdup("--compress=0"));
	if (!superuser) {
		texts_add(&c->dump, mem_strdup("--no-publications"));
		texts_add(&c->dump, mem_strdup("--no-security-labels"));
	}
	texts_add(&c->dump, mem_printf("--dbname=%s", source));
	texts_add(&c->restore, mem_strdup("pg_restore"));
	texts_add(&c->restore, mem_strdup("--no-password"));
	if (!superuser)
		texts_add(&c->restore, mem_strdup("--no-owner"));
	texts_add(&c->restore, mem_printf("--dbname=%s", scratch_name(r->scratch)));
}

/* pg_restore goes on after an error and counts them: a copy with gaps, and not none. */
static bool judge_copy(struct rehearse *r, struct copying *c)
{
	bool dumped = WIFEXITED(c->status[0]) && WEXITSTATUS(c->status[0]) == 0;
	bool restored = WIFEXITED(c->status[1]) && WEXITSTATUS(c->status[1]) == 0;

	while (c->size > 0 && c->said[c->size - 1] == '\n')
		c->said[--c->size] = '\0';
	if (rehearse_interrupted(r))
		return false;
	if (dumped && (restored || strstr(c->said, "errors ignored on restore") != NULL)) {
		mem_free(&r->copy_warning);
		r->copy_warning = c->size > 0 ? mem_strdup(c->said) : NULL;
		return true;
	}
	return migrate_fails(
	    &r->m, CLI_FAILED, "%s could not be copied:\n%s", migrate_database(&r->m), c->said);
}

static bool pipe_it(struct rehearse *r)
{
	struct copying *c = mem_zalloc(sizeof(*c));
	char why[400], *source = NULL;
	struct pq_rows rows;
	bool copied = false;

	for (char **variable = environ; *variable != NULL; variable++)
		texts_add(&c->environment, mem_strdup(*variable));
	if (pq_now_ask(r->m.pq, "SELECT current_database()", NULL, 0, &rows))
		source = mem_strdup(pq_rows_at(&rows, 0, 0));
	pq_rows_free(&rows);
	if (source == NULL) {
		migrate_fails(
		    &r->m, CLI_UNREACHABLE, "the connection to %s is lost", migrate_database(&r->m));
	} else if (!pq_environment(r->m.dsn, NULL, set_variable, &c->environment, why, sizeof(why))) {
		migrate_fails(&r->m, CLI_CONFIG, "%s", why);
	} else {
		make_commands(r, c, source);
		if (start(c))
			listen_to(r, c);
		else
			stop(c);
		end(c);
		copied = judge_copy(r, c);
	}
	mem_free(&source);
	texts_free(&c->environment);
	texts_free(&c->dump);
	texts_free(&c->restore);
	mem_free(&c);
	return copied;
}

/* "a.b" as SET takes it. */
static char *setting_name(const char *name)
{
	const char *dot = strchr(name, '.');
	if (dot == NULL)
		return sql_identifier(name);
	char *first = mem_strndup(name, (size_t)(dot - name));
	char *left = sql_identifier(first), *right = sql_identifier(dot + 1);
	char *both = mem_printf("%s.%s", left, right);
	mem_free(&first);
	mem_free(&left);
	mem_free(&right);
	return both;
}

/* What ALTER DATABASE ... SET has said of the original: search_path above all. Of what only a superuser may
 * set nothing is copied by others. */
static bool copy_settings(struct rehearse *r)
{
	static const char sql[] =
	    "SELECT pg_catalog.split_part(o, '=', 1), pg_catalog.substr(o, pg_catalog.strpos(o, '=') + 1) "
	    "FROM (SELECT s.setrole, pg_catalog.unnest(s.setconfig) AS o FROM pg_catalog.pg_db_role_setting "
	    "s "
	    "JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database() AND "
	    "s.setrole IN "
	    "(0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))) x ORDER BY x.setrole";
	struct pq_now *pq = scratch_pq(r->scratch);
	struct pq_rows rows, aside;

	bool read = pq_now_ask(r->m.pq, sql, NULL, 0, &rows);
	for (unsigned i = 0; read && i < rows.rows; i++) {
		const char *values[] = {pq_rows_at(&rows, i, 0), pq_rows_at(&rows, i, 1)};
		char *name = setting_name(values[0]);
		char *set =
		    mem_printf("ALTER DATABASE %s SET %s FROM CURRENT", scratch_name(r->scratch), name);
		if (pq_now_ask(pq, "SELECT pg_catalog.set_config($1, $2, false)", values, 2, &aside)) {
			pq_rows_free(&aside);
			if (!pq_now_ask(pq, set, NULL, 0, &aside) && aside.error.sqlstate[0] == '0')
				read = false;
		}
		pq_rows_free(&aside);
		mem_free(&name);
		mem_free(&set);
	}
	if (!pq_now_ask(pq, "SELECT pg_catalog.set_config('search_path', '', false)", NULL, 0, &aside))
		read = false;
	pq_rows_free(&aside);
	if (!read && !rehearse_interrupted(r))
		migrate_fails_by(&r->m, "the settings of the database could not be copied", &rows.error);
	pq_rows_free(&rows);
	return read;
}

bool rehearse_copy(struct rehearse *r)
{
	struct pq_now_error error = {.position = 0};

	if (r->scratch != NULL && !scratch_drop(&r->scratch, &error)) {
		migrate_fails_by(&r->m, "the scratch database could not be dropped", &error);
		pq_now_error_free(&error);
		return false;
	}
	const struct scratch_request request = {
	    .owner = r->m.pq, .dsn = r->m.dsn, .application = "headgate rehearse"};
	r->scratch = scratch_make(&request, &error);
	if (r->scratch == NULL) {
		migrate_fails_by(&r->m, "no scratch database could be made", &error);
		pq_now_error_free(&error);
		return false;
	}
	r->pq = scratch_pq(r->scratch);
	r->dsn = r->m.dsn;
	r->dbname = scratch_name(r->scratch);
	rehearse_show_at(r, "copying", r->data ? "schema and data" : "the schema");
	bool copied = pipe_it(r) && copy_settings(r);
	rehearse_show_at(r, NULL, NULL);
	return copied;
}
