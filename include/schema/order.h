/* The graph of migrations as the gate asks it (gate/graph.h), and as the ledger keeps it: what `upgrade`,
 * `stamp` and `publish` wrote into headgate.revision comes to the proxies this way, without a file.
 *
 * The tables are the operators' own, and are checked all the same: at most ORDER_REVISIONS revisions,
 * ORDER_BYTES of names and ORDER_NAMES in one list, and what graph_new() asks of any graph. */
#ifndef SCHEMA_ORDER_H
#define SCHEMA_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "gate/graph.h"
#include "schema/graph.h"
#include "schema/readers.h"

#define ORDER_REVISIONS 100000
#define ORDER_BYTES     33554432
#define ORDER_NAMES     256

/* Takes the graph over. One reference, the caller's. */
struct gate_graph *order_new(struct graph *revisions, int64_t serial);

/* One text that changes whenever another graph is published. */
extern const char order_mark_sql[];
/* The graph, in one statement, so that it is one graph. $1 ORDER_REVISIONS, $2 ORDER_BYTES. */
extern const char order_sql[];
/* Its answer. *out is NULL when none is published. False: *why (to be freed) says what is wrong with it. */
bool order_read(const struct reader_rows *rows, struct gate_graph **out, char **why)
    __attribute__((warn_unused_result));

#endif
