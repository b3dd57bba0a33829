/* The first packet of a connection. Source: PostgreSQL documentation, "Message Flow: Start-up", "SSL Session
 * Encryption", "Message Formats"; postmaster's ProcessStartupPacket for what the server does with it.
 *
 * Every length here is hostile: a packet is 8 to 10,004 bytes (MAX_STARTUP_PACKET_LENGTH after the length
 * word), strings end inside it, the list ends with one zero byte that is the packet's last. Pure: bytes in, a
 * value out. */
#ifndef PROTO_STARTUP_H
#define PROTO_STARTUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/reply.h"

#define STARTUP_BYTES      10004 /* the server takes 10,000 after the length word */
#define STARTUP_PARAMETERS 1000  /* more than this is refused: 08P01 */

enum startup_kind {
	STARTUP_MORE,       /* not all there yet */
	STARTUP_SSL,        /* SSLRequest 80877103, 8 bytes */
	STARTUP_GSS,        /* GSSENCRequest 80877104, 8 bytes */
	STARTUP_CANCEL,     /* CancelRequest 80877102, 16 to 268 bytes */
	STARTUP_MESSAGE,    /* StartupMessage, major version 3 */
	STARTUP_DIRECT_TLS, /* the first byte is a TLS record's (0x16) */
	STARTUP_BAD,        /* anything else; *why says what */
};

/* What n bytes at p begin with; *size is the packet's length for all but MORE, DIRECT_TLS and BAD. */
enum startup_kind startup_kind(const uint8_t *p, size_t n, size_t *size, const char **why);

struct startup_parameter {
	const char *name, *value; /* into the packet */
};
/* Parsed StartupMessage: an index into its own copy of the packet. */
struct startup {
	uint8_t *packet; /* owned copy */
	size_t size;
	uint32_t version;                     /* 196608 is 3.0 */
	struct startup_parameter *parameters; /* owned array */
	unsigned count;
	/* Into the packet; of doubles the last, as the server has it. user is never empty; database is the
	 * user's name where none is given; the others are NULL where absent. */
	const char *user, *database, *options, *application_name;
	/* Would the server make this a walsender (`database` included), or refuse the value? */
	bool replication;
};
bool startup_parse(const uint8_t *packet, size_t size, struct startup *out, const char **why)
    __attribute__((warn_unused_result));
void startup_free(struct startup *startup);

/* `options` split as PostgreSQL's pg_split_opts does (blanks separate, a backslash takes the next byte as it
 * is). Calls `each` for every setting "-c name=value", "-cname=value", "--name=value"; name has '-' turned to
 * '_' as the server does. Other switches are skipped. at/length: where in `options` the whole setting (with
 * its -c) stands, so that it can be cut out. Always ends: each turn consumes at least one byte
 * (CVE-2026-107349 was an empty name looping for ever). */
struct startup_option {
	const char *name, *value; /* unescaped, valid during the call */
	size_t at, length;
};
void startup_options(
    const char *options, void (*each)(const struct startup_option *option, void *arg), void *arg);

/* How a client declared its head (DESIGN 6): the first enabled carrier that is present wins; an error in it
 * is a refusal. */
enum declare_carrier {
	DECLARE_OPTIONS,
	DECLARE_PARAMETER,
	DECLARE_DATABASE,
	DECLARE_APPLICATION_NAME,
	DECLARE_LISTENER,
	DECLARE_NONE
};
/* "options", "parameter", "database", "application_name", "listener", "none" */
extern const char *const declare_carrier_names[];
struct declared {
	enum declare_carrier carrier;
	/* Owned text as the client wrote it (unescaped), however bad or empty; NULL with DECLARE_NONE. */
	char *head;
	/* Owned: the database's name less the suffix (cut whenever that carrier is enabled, whichever won),
	 * of it the 63 bytes that the server looks at; the user's name where nothing is left. */
	char *database;
};
/* enabled: carriers in order of precedence. listener_head: or NULL. */
void startup_declared(const struct startup *startup, const enum declare_carrier *enabled,
    unsigned enabled_count, const char *listener_head, struct declared *out);
/* The name before any '@', as `database` above: what to look the database's section up by, before the section
 * says which carriers are enabled. The caller tries the whole name first. Owned by the caller. */
char *startup_database_base(const struct startup *startup);
void declared_free(struct declared *declared);

/* Writes the StartupMessage for the server: as received, with `database` replaced by dbname (added where the
 * client sent none and dbname is not the user's), and less what was ours alone (headgate.head in options and
 * parameters, in any case of letters) unless forward_head. All else keeps its bytes and order; `options` that
 * is left blank is dropped. */
void startup_forward(const struct startup *startup, const char *dbname, bool forward_head, struct reply *out);

#endif
