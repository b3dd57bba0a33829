/* Building messages of the PostgreSQL frontend/backend protocol (3.0), as a server says them.
 * Source: PostgreSQL documentation, "Message Formats" and "Error and Notice Message Fields".
 *
 * A struct reply grows on the heap; every append keeps whole messages. Frames over 1 GiB are refused (never
 * built). */
#ifndef PROTO_REPLY_H
#define PROTO_REPLY_H

#include <stddef.h>
#include <stdint.h>

struct reply {
	uint8_t *data;
	size_t size, room;
};

void reply_free(struct reply *reply); /* leaves it empty, ready for use */
/* Bytes as they are: a message built elsewhere. */
void reply_bytes(struct reply *reply, const void *bytes, size_t size);

struct reply_error {
	const char *severity; /* "FATAL", "ERROR", "NOTICE", "WARNING" */
	const char *sqlstate;
	const char *message;
	const char *detail, *hint; /* NULL: left out */
};
void reply_error(struct reply *reply, const struct reply_error *error);  /* ErrorResponse */
void reply_notice(struct reply *reply, const struct reply_error *error); /* NoticeResponse */
void reply_authentication_ok(struct reply *reply);
void reply_parameter_status(struct reply *reply, const char *name, const char *value);
void reply_backend_key(struct reply *reply, uint32_t pid, const void *key, size_t key_size);
void reply_ready(struct reply *reply, char status); /* ReadyForQuery: 'I', 'T' or 'E' */
void reply_negotiate_protocol(
    struct reply *reply, uint32_t version, const char *const *unknown, unsigned count);

/* Result sets, for the console: every column is text. */
void reply_row_description(struct reply *reply, const char *const *names, unsigned count);
void reply_data_row(
    struct reply *reply, const char *const *values, unsigned count); /* a NULL value is SQL NULL */
void reply_command_complete(struct reply *reply, const char *tag);
/* Messages without a body: '1' ParseComplete, '2' BindComplete, '3' CloseComplete, 'n' NoData, 'I'
 * EmptyQueryResponse, 's' PortalSuspended. */
void reply_bare(struct reply *reply, char type);
void reply_parameter_description(struct reply *reply, unsigned count); /* every parameter text (oid 25) */

#endif
