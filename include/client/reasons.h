/* Why sessions end: one table (client/reasons.def), its names, and counters of the process. */
#ifndef CLIENT_REASONS_H
#define CLIENT_REASONS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum close_reason {
#define REASON(identifier, name, sqlstate, error, text) REASON_##identifier,
#include "client/reasons.def"
#undef REASON
	REASON_COUNT
};

struct close_reason_row {
	const char *name, *sqlstate, *text;
	bool error;
};
extern const struct close_reason_row close_reasons[REASON_COUNT];

#endif
