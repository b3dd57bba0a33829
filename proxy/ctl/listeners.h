/* The listening sockets of the configuration, and how a reload changes them. */
#ifndef CTL_LISTENERS_H
#define CTL_LISTENERS_H

#include "base/conf.h"
#include "net/listen.h"

struct event_base;
struct listeners;
struct listeners_plan;

struct listeners *listeners_new(struct event_base *base, listen_accepted *accepted, void *arg);
void listeners_free(struct listeners **listeners); /* stops them all; NULL-safe */

/* Everything that can fail: certificates are loaded, sockets for new addresses opened. NULL with texts in
 * errors, and nothing has changed. */
struct listeners_plan *listeners_plan_new(
    struct listeners *listeners, struct conf *conf, struct conf_errors *errors);
/* Not applied after all: new sockets are closed again. NULL-safe. */
void listeners_plan_free(struct listeners_plan **plan);
/* In force: sockets that are not wanted any more are closed, the others serve by the new settings. Frees the
 * plan. */
void listeners_apply(struct listeners *listeners, struct listeners_plan **plan);

#endif
