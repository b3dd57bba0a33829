/* The configuration: one YAML file, read whole into a struct that nobody writes to afterwards.
 *
 * Unknown key, wrong type, out of bounds or contradictory settings are errors that name file, line, column,
 * the key, what was expected and the nearest known key; all errors of a file are reported, not just the
 * first. Durations carry a unit (ms, s, m, h), sizes KiB, MiB, GiB; a bare number where a unit belongs is an
 * error (0 excepted). conf/headgate.yaml is the annotated reference. Lengths of time are nanoseconds here. */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* libpq's names. On a listener: disable = never TLS; allow, prefer = TLS if the client asks; require = TLS
 * only; verify-ca = and a client certificate signed by `ca`; verify-full = and its common name is the user
 * name. */
enum conf_tls_mode { TLS_DISABLE, TLS_ALLOW, TLS_PREFER, TLS_REQUIRE, TLS_VERIFY_CA, TLS_VERIFY_FULL };
enum conf_tls_negotiation { TLS_NEGOTIATE_POSTGRES, TLS_NEGOTIATE_DIRECT };

struct conf_tls {
	enum conf_tls_mode mode; /* listeners: prefer where a cert is given, else disable; upstream: prefer */
	enum conf_tls_negotiation negotiation; /* upstream only */
	char *cert, *key, *ca,
	    *crl; /* PEM files; paths relative to the configuration file's folder are made absolute */
	char *ciphers, *ciphersuites, *groups; /* OpenSSL lists; NULL: OpenSSL's default */
	enum { TLS_1_2, TLS_1_3 } min_version; /* floor: 1.2 */
};

/* host:port, [v6]:port or unix:/path/of/the/socket (or unix:/folder:5432, as libpq names it). */
struct conf_address {
	char *text; /* as written, for logs */
	char *host; /* name or number; NULL with a unix socket */
	char *path; /* unix socket's path; NULL with TCP */
	uint16_t port;
};

struct conf_listen {
	struct conf_address address;
	char *head; /* whoever comes in here was built for this head (as written; several joined by +); or
		       NULL */
	struct conf_tls tls;
	unsigned unix_mode; /* access bits of a unix socket, default 0777 */
	int backlog;        /* default 1024 */
};

enum conf_carrier {
	CARRIER_OPTIONS,
	CARRIER_PARAMETER,
	CARRIER_DATABASE,
	CARRIER_APPLICATION_NAME,
	CARRIER_LISTENER,
	CARRIER_COUNT
};
enum conf_accept { ACCEPT_EXACT, ACCEPT_COMPATIBLE, ACCEPT_WINDOW };
enum conf_order { CONF_ORDER_TOOL, CONF_ORDER_NONE, CONF_ORDER_NUMERIC, CONF_ORDER_TEXT, CONF_ORDER_LIST };
enum conf_on_timeout { TIMEOUT_ABORT, TIMEOUT_CANCEL, TIMEOUT_TERMINATE };

struct conf_recorded {
	char *reader;    /* alembic, headgate, sql, ...: checked by the schema wing's table of readers */
	char *schema;    /* NULL: the tool's own default */
	char *table;     /* NULL: the tool's own default */
	char *statement; /* reader sql: returns rows (head text[, state text]) */
	enum conf_order order; /* where there is no graph: how heads compare */
	char **list;           /* with CONF_ORDER_LIST, oldest first */
	unsigned list_count;
};

struct conf_pin {
	char *head;
};

struct conf_placeholder {
	char *name, *value; /* ${name} in a migration's SQL becomes the value */
};

struct conf_database {
	char *name; /* the name clients use; "*" for any other */
	struct {
		struct conf_address *address; /* tried in turn; at least one */
		unsigned address_count;
		char *dbname; /* default: the client's name for it (less a head suffix) */
		struct conf_tls tls;
	} upstream;
	struct {
		char *dsn;     /* the control link's libpq connection string */
		char *run_dsn; /* who runs migrations, directly, not through a proxy; default: dsn */
		unsigned
		    max_databases; /* for "*": how many names may have a control link at a time, default 64 */
	} control;
	struct conf_recorded recorded;
	enum conf_carrier
	    declare[CARRIER_COUNT]; /* in order of precedence as DESIGN 6; those switched off are missing */
	unsigned declare_count;
	bool forward_head;
	enum conf_accept accept; /* `exact` and `compatible` behave alike without a graph */
	unsigned window;
	struct conf_pin *pins; /* accepted besides the recorded head, always */
	unsigned pin_count;
	enum { CONF_UNDECLARED_REJECT, CONF_UNDECLARED_ADMIT, CONF_UNDECLARED_HEAD } undeclared;
	char *undeclared_head;
	bool ahead_hold;
	int64_t ahead_hold_ns;
	bool on_failed_hold;
	bool observe;     /* mode: observe */
	bool disclose;    /* default true */
	bool replication; /* default true: replication connections pass */
	int64_t lease_ns; /* default 5 s; renewed each fifth of it, at least each second */
	struct {
		int64_t max_ns;
		unsigned clients;
		int64_t notice_after_ns;
	} hold; /* 30 s, 10000, 5 s */
	struct {
		int64_t timeout_ns;
		enum conf_on_timeout on_timeout;
		unsigned attempts;
		int64_t pause_ns;
	} drain; /* 5 s, abort, 3, 1 s */
	struct {
		bool terminate_strangers;
		char **exempt_roles;
		unsigned exempt_count;
	} fence; /* strangers: terminate | stop */
	struct {
		unsigned ramp;
	} release; /* 2000 a second */
	struct {
		char *dir;  /* NULL: not said */
		int format; /* enum catalog_format (schema/catalog.h); 0: recognised by itself */
		struct conf_placeholder *set;
		unsigned set_count;
		int64_t lock_timeout_ns;      /* 2 s; 0: none */
		int64_t statement_timeout_ns; /* 0: none */
		unsigned lock_attempts;       /* 10 */
		int64_t deadline_ns;          /* of a whole run: 1 h */
		/* Made before a run where either is given. command NULL: pg_dump. */
		struct {
			char **command;
			unsigned command_count;
			char *dir;
		} backup;
	} migrations;
};

struct conf_limits {
	unsigned clients;         /* 10000 */
	unsigned per_database;    /* 0: none */
	unsigned per_user;        /* 0: none */
	unsigned cancels;         /* CancelRequests being forwarded at a time, default 100 */
	int64_t login_ns;         /* from accept to the first ReadyForQuery, time held not counted: 60 s */
	int64_t tls_handshake_ns; /* 10 s */
	int64_t connect_ns;       /* to one upstream address, its TLS included: 10 s */
	int64_t idle_in_transaction_ns; /* 0: off */
};

struct conf_tcp {                                         /* both legs */
	int64_t keepalive_idle_ns, keepalive_interval_ns; /* 60 s, 10 s */
	unsigned keepalive_count;                         /* 5 */
	int64_t user_timeout_ns;                          /* 0: the system's */
};

struct conf {
	atomic_uint references;
	char *path;
	struct conf_listen *listen;
	unsigned listen_count;
	unsigned workers; /* 0: auto, the number of cores */
	struct {
		struct conf_address address;
		bool present;
		char **operators;
		unsigned operator_count;
		char **viewers;
		unsigned viewer_count;
	} console;
	struct conf_database *databases;
	unsigned database_count;
	struct conf_limits limits;
	struct conf_tcp tcp;
	struct {
		int64_t timeout_ns;
	} shutdown; /* default 30 s */
	struct {
		int format, level, to;
	} log; /* enum log_format, log_level, log_target */
};

/* Errors of a load, as text lines ready to print ("headgate.yaml:12:5: ..."), most 20 of them. */
struct conf_errors {
	unsigned count;
	char *lines[20];
};
void conf_errors_free(struct conf_errors *errors);

/* Reads a file, or a text under a name (tests, fuzzing). NULL on error, with errors->count > 0. */
struct conf *conf_load(const char *path, struct conf_errors *errors);
struct conf *conf_parse(const char *name, const char *text, size_t size, struct conf_errors *errors);

struct conf *conf_ref(struct conf *conf);
void conf_unref(struct conf **conf);

/* The database section for a name: its own, else "*", else NULL. */
const struct conf_database *conf_database(const struct conf *conf, const char *name);

/* Prints the running configuration as YAML that parses to the same. Passwords inside dsn are printed as ***.
 */
void conf_print(const struct conf *conf, FILE *to);

/* Calls `each` for every setting with its dotted key and printed value (SHOW CONFIG). */
void conf_each(const struct conf *conf,
    void (*each)(const char *key, const char *value, const char *standard, void *arg), void *arg);

/* "1500ms", "5s", "2m": for messages. Returns buf. */
char *conf_duration_text(int64_t ns, char *buf, size_t size);

#endif
