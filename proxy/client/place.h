/* What a worker does with a database: publications, drains, the ramp. In the worker's thread. */
#ifndef CLIENT_PLACE_H
#define CLIENT_PLACE_H

#include "house.h"

void place_publish(struct worker *worker, struct service *service);
void place_refuse(struct worker *worker, const char *name);
void place_press(struct worker *worker, unsigned service_id, enum conf_on_timeout how);

#endif
