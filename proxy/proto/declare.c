/* How a client declares its head (DESIGN: "How a client declares its head"). A value is handed on as it was
 * written, however bad: refusing it with a reason is the caller's. */
#include <string.h>

#include "base/mem.h"
#include "proto/startup.h"

#include "options.h"

const char *const declare_carrier_names[] = {
    "options", "parameter", "database", "application_name", "listener", "none"};

/* What the server keeps of a database's name (NAMEDATALEN - 1). Without this a longer name would reach the
 * same database by the gate of another section. */
enum { DATABASE_BYTES = 63 };

static void last_head(const struct startup_option *option, void *arg)
{
	char **head = arg;

	if (!options_is_head(option->name))
		return;
	mem_free(head);
	*head = mem_strdup(option->value); /* of several the last wins, as in the server */
}

static char *head_of_options(const struct startup *startup)
{
	char *head = NULL;

	if (startup->options != NULL)
		startup_options(startup->options, last_head, &head);
	return head;
}

static char *head_of_parameter(const struct startup *startup)
{
	for (unsigned i = startup->count; i > 0; i--) {
		if (options_is_head(startup->parameters[i - 1].name))
			return mem_strdup(startup->parameters[i - 1].value);
	}
	return NULL;
}

static char *head_of_database(const struct startup *startup)
{
	const char *suffix = strchr(startup->database, '@');

	return suffix == NULL ? NULL : mem_strdup(suffix + 1);
}

/* A byte that can stand in a set of heads: see gate/head.h, and '+' between them. */
static bool head_byte(char c)
{
	return c > ' ' && c <= '~' && strchr(",@;'\"\\", c) == NULL;
}

/* "head=X" that begins the name or follows a byte that no head can hold: "billing head=9f2c", not
 * "overhead=9f2c". */
static char *head_of_application_name(const struct startup *startup)
{
	static const char key[] = "head=";
	const char *name = startup->application_name;

	if (name == NULL)
		return NULL;
	for (const char *s = strstr(name, key); s != NULL; s = strstr(s + 1, key)) {
		if (s > name && head_byte(s[-1]))
			continue;
		s += sizeof(key) - 1;
		size_t n = 0;
		while (head_byte(s[n]))
			n++;
		return mem_strndup(s, n);
	}
	return NULL;
}

static char *head_of(const struct startup *startup, enum declare_carrier carrier, const char *listener_head)
{
	switch (carrier) {
	case DECLARE_OPTIONS:
		return head_of_options(startup);
	case DECLARE_PARAMETER:
		return head_of_parameter(startup);
	case DECLARE_DATABASE:
		return head_of_database(startup);
	case DECLARE_APPLICATION_NAME:
		return head_of_application_name(startup);
	case DECLARE_LISTENER:
		return listener_head == NULL ? NULL : mem_strdup(listener_head);
	case DECLARE_NONE:
		break;
	}
	return NULL;
}

/* The first n bytes of the database's name, as much of it as the server looks at; nothing left means the
 * user's name. */
static char *database_name(const struct startup *startup, size_t n)
{
	const char *name = startup->database;

	if (n == 0) {
		name = startup->user;
		n = strlen(name);
	}
	return mem_strndup(name, n < DATABASE_BYTES ? n : DATABASE_BYTES);
}

char *startup_database_base(const struct startup *startup)
{
	return database_name(startup, strcspn(startup->database, "@"));
}

void startup_declared(const struct startup *startup, const enum declare_carrier *enabled,
    unsigned enabled_count, const char *listener_head, struct declared *out)
{
	bool suffix = false;

	*out = (struct declared){.carrier = DECLARE_NONE};
	for (unsigned i = 0; i < enabled_count; i++) {
		suffix = suffix || enabled[i] == DECLARE_DATABASE;
		if (out->head != NULL)
			continue;
		out->head = head_of(startup, enabled[i], listener_head);
		if (out->head != NULL)
			out->carrier = enabled[i];
	}
	out->database =
	    suffix ? startup_database_base(startup) : database_name(startup, strlen(startup->database));
}

void declared_free(struct declared *declared)
{
	mem_free(&declared->head);
	mem_free(&declared->database);
	declared->carrier = DECLARE_NONE;
}
