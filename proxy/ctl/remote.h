/* A client of the console, for the commands hold, release and status: one connection on a small loop of its
 * own. */
#ifndef CTL_REMOTE_H
#define CTL_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/pq.h"

struct event_base;
struct remote;

/* Connects to the console at `console` (path of its socket, with or without "unix:"), or, where that is NULL,
 * to that of the configuration at `config` (NULL: the default). NULL: said why on stderr; *status is the exit
 * status. */
struct remote *remote_open(const char *config, const char *console, int *status);
void remote_close(struct remote **remote); /* NULL-safe */
struct event_base *remote_base(const struct remote *remote);

/* Sends a command; `done` runs from the loop. */
void remote_ask(struct remote *remote, const char *sql, pq_done *done, void *arg);
/* Every NOTICE from now on. */
void remote_notices(struct remote *remote, void (*noticed)(const char *message, void *arg), void *arg);
/* Runs the loop until remote_stop(), or until the proxy is gone: then it says so, and the status is
 * CLI_UNREACHABLE. */
int remote_run(struct remote *remote);
void remote_stop(struct remote *remote, int status);

/* Prints an error of the console on stderr, with its detail and hint. */
void remote_complain(const struct pq_result *result);
/* A name in double quotes, a text in single ones. Owned by the caller. */
char *remote_quoted(const char *text, char quote);

#endif
