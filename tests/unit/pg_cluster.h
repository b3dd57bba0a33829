/* A throw-away PostgreSQL for one test program: its own data in a temporary folder, a unix socket there and a
 * free TCP port on 127.0.0.1, run as the user postgres when we are root. It ends with us, however we end. */
#ifndef TESTS_PG_CLUSTER_H
#define TESTS_PG_CLUSTER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>

struct pg_cluster {
	char dir[64];
	char bin[256];
	unsigned port;
	pid_t pid;
	pid_t janitor; /* removes the folder when we are gone, aborted and killed ones too */
	int alive;     /* the pipe whose end tells it so */
};

static inline void pg_die(const char *what)
{
	fprintf(stderr, "test cluster: %s: %s\n", what, strerror(errno));
	exit(99);
}

/* In a child: PostgreSQL refuses to run as root. */
static inline void pg_drop_root(void)
{
	if (geteuid() == 0) {
		const struct passwd *user = getpwnam("postgres");
		if (user == NULL || initgroups(user->pw_name, user->pw_gid) != 0 ||
		    setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
			_exit(98);
	}
	if (prctl(PR_SET_PDEATHSIG, SIGQUIT) != 0)
		_exit(97);
}

/* argv[0] is filled in here: initdb looks for postgres beside itself by it, and in PATH without a path. */
static inline pid_t pg_spawn(const struct pg_cluster *pg, const char *program, char **argv)
{
	char path[512], log[128];
	snprintf(path, sizeof(path), "%s/%s", pg->bin, program);
	snprintf(log, sizeof(log), "%s/%s.log", pg->dir, program);
	pid_t pid = fork();
	if (pid == 0) {
		pg_drop_root();
		if (freopen(log, "a", stdout) == NULL || dup2(1, 2) != 2 || chdir("/") != 0)
			_exit(96);
		argv[0] = path;
		execv(path, argv);
		_exit(95);
	}
	return pid;
}

static inline int pg_wait(pid_t pid)
{
	int status = -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static inline unsigned pg_free_port(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) != 0)
		pg_die("no free port");
	close(fd);
	return ntohs(address.sin_port);
}

/* The superuser's connection string; valid until the next call. */
static inline const char *pg_dsn(const struct pg_cluster *pg, const char *dbname)
{
	static char dsn[256];
	snprintf(dsn, sizeof(dsn), "host=%s port=%u user=postgres dbname=%s", pg->dir, pg->port, dbname);
	return dsn;
}

static inline void pg_cluster_start(struct pg_cluster *pg)
{
	char data[128], port[16];
	snprintf(data, sizeof(data), "%s/data", pg->dir);
	snprintf(port, sizeof(port), "%u", pg->port);
	char *argv[] = {"postgres", "-D", data, "-k", pg->dir, "-p", port, "-c", "listen_addresses=127.0.0.1",
	    "-c", "fsync=off", "-c", "max_connections=30", "-c", "shared_buffers=8MB", NULL};
	pg->pid = pg_spawn(pg, "postgres", argv);
	for (;;) {
		PGconn *conn = PQconnectdb(pg_dsn(pg, "postgres"));
		bool up = PQstatus(conn) == CONNECTION_OK;
		PQfinish(conn);
		if (up)
			return;
		if (waitpid(pg->pid, NULL, WNOHANG) != 0)
			pg_die("postgres ended");
		usleep(20000); /* a condition is polled for: postgres tells nobody else that it is up */
	}
}

static inline void pg_cluster_stop(struct pg_cluster *pg)
{
	if (pg->pid > 0) {
		kill(pg->pid, SIGCONT);
		kill(pg->pid, SIGINT);
		pg_wait(pg->pid);
	}
	pg->pid = 0;
}

static inline void pg_janitor(struct pg_cluster *pg)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		pg_die("no pipe");
	pg->alive = ends[1];
	pg->janitor = fork();
	if (pg->janitor == 0) {
		char byte;
		setsid(); /* a Ctrl-C is for the test */
		close(ends[1]);
		while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
			;
		/* An orphaned server may still be writing while it ends. */
		execlp("sh", "sh", "-c",
		    "for i in 1 2 3 4 5; do rm -rf \"$0\" 2>/dev/null && exit; sleep 1; done", pg->dir,
		    (char *)NULL);
		_exit(1);
	}
	close(ends[0]);
}

static inline void pg_cluster_new(struct pg_cluster *pg)
{
	glob_t found = {0};
	const char *bin = getenv("PG_BIN");
	if (bin == NULL && glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0)
		bin = found.gl_pathv[found.gl_pathc - 1];
	if (bin == NULL)
		pg_die("no PostgreSQL in /usr/lib/postgresql");
	snprintf(pg->bin, sizeof(pg->bin), "%s", bin);
	globfree(&found);
	snprintf(pg->dir, sizeof(pg->dir), "/tmp/headgate-test-XXXXXX");
	if (mkdtemp(pg->dir) == NULL || chmod(pg->dir, 0755) != 0)
		pg_die("no folder");
	pg_janitor(pg);
	const struct passwd *user = getpwnam("postgres");
	if (geteuid() == 0 && (user == NULL || chown(pg->dir, user->pw_uid, user->pw_gid) != 0))
		pg_die("no user postgres");
	pg->port = pg_free_port();
	char data[128];
	snprintf(data, sizeof(data), "%s/data", pg->dir);
	char *argv[] = {"initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
	    "--no-sync", NULL};
	if (pg_wait(pg_spawn(pg, "initdb", argv)) != 0)
		pg_die("initdb failed");
	pg_cluster_start(pg);
}

static inline void pg_cluster_free(struct pg_cluster *pg)
{
	pg_cluster_stop(pg);
	close(pg->alive);
	pg_wait(pg->janitor);
}

/* Runs SQL as the superuser, or dies. The first column of the first row is kept until the next call. */
static inline const char *pg_sql_at(const char *dsn, const char *sql)
{
	static char value[4096];
	PGconn *conn = PQconnectdb(dsn);
	PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
		fprintf(stderr, "test cluster: %s\n in: %s\n", PQerrorMessage(conn), sql);
		exit(99);
	}
	snprintf(value, sizeof(value), "%s",
	    PQntuples(result) > 0 && PQnfields(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
	PQfinish(conn);
	return value;
}

static inline const char *pg_sql(const struct pg_cluster *pg, const char *dbname, const char *sql)
{
	return pg_sql_at(pg_dsn(pg, dbname), sql);
}

#endif
