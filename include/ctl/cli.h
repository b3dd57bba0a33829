/* The command line: one table of subcommands; main() hands over to cli_main(). Exit codes are the program's
 * interface and documented in `headgate help` and the manual page: 0 done; 1 failed; 2 usage; 3 configuration
 * wrong; 4 cannot reach the server or the proxy; others are a conducted command's own (exec). */
#ifndef CTL_CLI_H
#define CTL_CLI_H

#define CLI_DEFAULT_CONFIG "/etc/headgate/headgate.yaml"

enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_CONFIG = 3, CLI_UNREACHABLE = 4 };

int cli_main(int argc, char **argv);

/* Each subcommand, argv[0] being its name. Long options by getopt_long; --help teaches; --json where a
 * program may read. -c/--config FILE, default $HEADGATE_CONFIG or /etc/headgate/headgate.yaml. */
int cmd_serve(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_rehearse(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_resolve(int argc, char **argv);
int cmd_hold(int argc, char **argv);
int cmd_release(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_upgrade(int argc, char **argv);
int cmd_downgrade(int argc, char **argv);
int cmd_stamp(int argc, char **argv);
int cmd_publish(int argc, char **argv);
int cmd_current(int argc, char **argv);
int cmd_history(int argc, char **argv);
int cmd_heads(int argc, char **argv);
int cmd_branches(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_log(int argc, char **argv);
int cmd_revision(int argc, char **argv);
int cmd_merge(int argc, char **argv);

/* Shared by the subcommands: the configuration at path (NULL: the default), errors printed to stderr; NULL
 * when wrong (exit CLI_CONFIG). */
struct conf;
struct conf_database;
struct conf *cli_conf(const char *path);
/* The database section that -d names; without -d the only one of the file, else an error that lists them.
 * NULL: printed, exit CLI_USAGE. */
const struct conf_database *cli_database(const struct conf *conf, const char *name);

#endif
