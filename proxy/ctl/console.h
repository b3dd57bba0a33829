/* The console: a unix socket that speaks the PostgreSQL protocol (console_wire.h), for psql, drivers and the
 * commands of `headgate`. Who may come in is known by the socket itself: root, the user this process runs as,
 * and the users the configuration lists. */
#ifndef CTL_CONSOLE_H
#define CTL_CONSOLE_H

#include <stdbool.h>

#include "keeper.h"

struct house;
struct console;

#define CONSOLE_CONNECTIONS 64

struct console *console_new(struct house *house);
void console_free(struct console **console); /* NULL-safe */

/* The address and the lists of users; connections stay. False with a text, and nothing has changed: the
 * address cannot be had. */
bool console_configure(struct console *console, struct conf *conf, char *error, unsigned error_size);
/* For keepers' holds: whoever waits for it, or owns it, is told. */
void console_hold_news(struct console *console, const struct hold_news *news);
/* The process leaves: holds that are waited for are answered, new ones refused. */
void console_stopping(struct console *console);

#endif
