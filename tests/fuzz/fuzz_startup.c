/* The first packet of a connection, as any stranger may send it: kind, parse, declare, forward. Aborts when
 * what is written for the server does not parse again, or still holds what is ours alone. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "proto/options.h"
#include "proto/startup.h"

static void ours(const struct startup_option *option, void *arg)
{
	(void)arg;
	if (options_is_head(option->name))
		abort();
}

static void declare(const struct startup *startup)
{
	static const enum declare_carrier all[] = {
	    DECLARE_OPTIONS, DECLARE_PARAMETER, DECLARE_DATABASE, DECLARE_APPLICATION_NAME, DECLARE_LISTENER};

	for (unsigned first = 0; first < 5; first++) {
		struct declared declared;
		startup_declared(startup, all + first, 5 - first, "listener", &declared);
		if (declared.head == NULL || declared.database == NULL || declared.carrier == DECLARE_NONE)
			abort(); /* the listener's is always there */
		declared_free(&declared);
	}
	char *base = startup_database_base(startup);
	mem_free(&base);
}

static void forward(const struct startup *startup)
{
	struct reply out = {.data = NULL};
	struct startup after;
	const char *why;

	startup_forward(startup, "shop", false, &out);
	/* A longer database name may push a packet at the limit over it. */
	if (startup_parse(out.data, out.size, &after, &why)) {
		if (strcmp(after.database, "shop") != 0 || strcmp(after.user, startup->user) != 0 ||
		    after.replication != startup->replication)
			abort();
		for (unsigned i = 0; i < after.count; i++) {
			if (options_is_head(after.parameters[i].name))
				abort();
			if (strcmp(after.parameters[i].name, "options") == 0)
				startup_options(after.parameters[i].value, ours, NULL);
		}
		startup_free(&after);
	} else if (out.size <= STARTUP_BYTES && startup->count < STARTUP_PARAMETERS) {
		abort();
	}
	reply_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n); /* libFuzzer calls it, no header declares it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t size = 0;
	const char *why = NULL;
	struct startup startup;

	enum startup_kind kind = startup_kind(data, n, &size, &why);
	if (kind == STARTUP_BAD && why == NULL)
		abort();
	if (kind != STARTUP_MESSAGE)
		return 0;
	if (size > n)
		abort();
	if (!startup_parse(data, size, &startup, &why))
		return 0;
	declare(&startup);
	forward(&startup);
	startup_free(&startup);
	return 0;
}
