#include "console.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "console_private.h"
#include "net/listen.h"

#define STARTUP_TIME (10 * CLOCK_S)
/* Whoever may not come in is told so, but only so many at a time: the socket may be open to every user of the
 * machine. */
#define STRANGERS 16

static void (*const functions[])(struct connection *, const struct statement *) = {
#define COMMAND(id, name, who, synopsis, what, function) function,
#include "console_commands.def"
#undef COMMAND
};

/* From the file alone: a directory server must not be able to stall the control thread. */
static void user_name(uid_t uid, char *out, size_t size)
{
	char line[1024];
	struct passwd entry, *found = NULL;
	FILE *file = fopen("/etc/passwd", "re");
	snprintf(out, size, "uid %u", (unsigned)uid);
	while (file && fgetpwent_r(file, &entry, line, sizeof line, &found) == 0) {
		if (found->pw_uid == uid) {
			snprintf(out, size, "%s", found->pw_name);
			break;
		}
	}
	if (file)
		fclose(file);
}

/* Unhooks; what is left is freed after the loop's turn. */
static void connection_close(struct connection *connection)
{
	if (connection->dead)
		return;
	connection->dead = true;
	event_del(connection->readable);
	event_del(connection->writable);
	event_del(connection->timer);
	close(connection->fd);
	connection->fd = -1;
	event_active(connection->console->reaper, EV_TIMEOUT, 0);
}

static void connection_free(struct connection *connection)
{
	struct house *house = connection->console->house;
	log_debug("console", "%s left", connection->owner);
	console_abandon(connection, "its owner's connection was closed");
	if (house->keepers)
		keepers_release(house->keepers, connection->id, "its owner's connection was closed");
	event_free(connection->readable);
	event_free(connection->writable);
	event_free(connection->timer);
	wire_free(&connection->wire);
	mem_free(&connection);
}

static void reap(evutil_socket_t fd, short what, void *arg)
{
	struct console *console = arg;
	(void)fd;
	(void)what;
	struct connection **at = &console->connections;
	while (*at) {
		struct connection *connection = *at;
		if (connection->dead) {
			*at = connection->next;
			connection_free(connection);
			/* releasing its holds may have told others, and closed them: from the start */
			at = &console->connections;
		} else {
			at = &connection->next;
		}
	}
}

static void flush(struct connection *connection)
{
	size_t size;
	const uint8_t *bytes;
	while (!connection->dead && (bytes = wire_output(connection->wire, &size))) {
		ssize_t sent = send(connection->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent >= 0) {
			wire_sent(connection->wire, (size_t)sent);
		} else if (errno == EAGAIN || errno == EINTR) {
			event_add(connection->writable, NULL);
			return;
		} else {
			connection_close(connection);
		}
	}
	if (connection->dead)
		return;
	if (wire_ended(connection->wire)) {
		connection_close(connection);
		return;
	}
	/* reading stops while a batch that does not fit waits for its answers */
	wire_room(connection->wire, &size);
	if (size > 0)
		event_add(connection->readable, NULL);
	else
		event_del(connection->readable);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct connection *connection = arg;
	size_t size;
	(void)what;
	uint8_t *room = wire_room(connection->wire, &size);
	ssize_t got = size ? recv(fd, room, size, MSG_DONTWAIT) : 0;
	if (size == 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) {
		flush(connection);
		return;
	}
	if (got <= 0) {
		connection_close(connection);
		return;
	}
	wire_input(connection->wire, (size_t)got);
	flush(connection);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	flush(arg);
}

static void on_startup_late(evutil_socket_t fd, short what, void *arg)
{
	struct connection *connection = arg;
	(void)fd;
	(void)what;
	if (!wire_admitted(connection->wire))
		connection_close(connection);
}

static bool admit(struct wire *wire, const struct startup *startup, struct reply_error *refusal, void *arg)
{
	struct connection *connection = arg;
	static char message[160]; /* sent before this returns to the loop */
	(void)wire;
	char name[64], application[40] = "";
	user_name(connection->uid, name, sizeof name);
	if (connection->right == RIGHT_NONE) {
		snprintf(message, sizeof message, "user %s may not use the console", name);
		log_warning("console", "%s", message);
		*refusal = (struct reply_error){.severity = "FATAL",
		    .sqlstate = "28000",
		    .message = message,
		    .hint = "root and the user headgate runs as may, and whom console.operators or "
			    "console.viewers list."};
		return false;
	}
	const char *from = startup->application_name ? startup->application_name : "";
	size_t n = 0;
	for (; from[n] && n + 1 < sizeof application; n++)
		application[n] = from[n] >= ' ' && from[n] <= '~' ? from[n] : '?';
	application[n] = '\0';
	/* accepted by its pid already; now its program has a name */
	char *tail = strrchr(connection->owner, ')');
	if (tail && application[0])
		snprintf(tail, (size_t)(connection->owner + sizeof connection->owner - tail), ", %s)",
		    application);
	event_del(connection->timer);
	log_debug("console", "%s came", connection->owner);
	return true;
}

static void run(struct wire *wire, const struct statement *statement, void *arg)
{
	struct connection *connection = arg;
	(void)wire;
	if (command_right(statement->command) > connection->right) {
		char message[80];
		snprintf(
		    message, sizeof message, "permission denied for %s", command_name(statement->command));
		console_fail(connection, "42501", message, NULL,
		    "A viewer may SHOW; console.operators lists who may do more.");
		return;
	}
	functions[statement->command](connection, statement);
}

static void cancel(struct wire *wire, uint32_t pid, uint32_t key, void *arg)
{
	struct connection *from = arg;
	(void)wire;
	if (from->right == RIGHT_NONE)
		return;
	for (struct connection *c = from->console->connections; c; c = c->next) {
		if (c->dead || !wire_key_is(c->wire, pid, key) || !wire_busy(c->wire))
			continue;
		if (c->upgrade) {
			/* answered when it has ended, by its result */
			console_upgrade_cancel(c);
			return;
		}
		console_abandon(c, "its order was cancelled");
		console_fail(c, "57014", "canceling statement due to user request", NULL, NULL);
		return;
	}
}

static void output(struct wire *wire, void *arg)
{
	(void)wire;
	flush(arg);
}

static enum console_right right_of(const struct console *console, uid_t uid)
{
	enum console_right right = uid == 0 || uid == geteuid() ? RIGHT_OPERATOR : RIGHT_NONE;
	for (unsigned i = 0; i < console->guest_count; i++) {
		if (console->guests[i].uid == uid && console->guests[i].right > right)
			right = console->guests[i].right;
	}
	return right;
}

static bool has_place(const struct console *console, bool stranger)
{
	unsigned admitted = 0, strangers = 0;
	for (const struct connection *c = console->connections; c; c = c->next) {
		if (c->right == RIGHT_NONE)
			strangers++;
		else
			admitted++;
	}
	return stranger ? strangers < STRANGERS : admitted < CONSOLE_CONNECTIONS;
}

static void on_accepted(int fd, struct listener *listener, void *arg)
{
	struct console *console = arg;
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof peer;
	uint32_t key;
	(void)listener;
	enum console_right right = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0
	    ? right_of(console, peer.uid)
	    : RIGHT_NONE;
	if (!has_place(console, right == RIGHT_NONE) || getrandom(&key, sizeof key, 0) != sizeof key) {
		log_warning("console", "too many connections: one was closed");
		close(fd);
		return;
	}
	struct connection *connection = mem_zalloc(sizeof *connection);
	connection->console = console;
	connection->next = console->connections;
	console->connections = connection;
	connection->id = ++console->last_id;
	connection->fd = fd;
	connection->uid = peer.uid;
	connection->right = right;
	char name[64];
	user_name(peer.uid, name, sizeof name);
	snprintf(connection->owner, sizeof connection->owner, "%s (pid %d)", name, (int)peer.pid);
	const struct wire_handlers handlers = {.admit = admit,
	    .run = run,
	    .columns = console_columns,
	    .cancel = cancel,
	    .output = output,
	    .arg = connection};
	connection->wire = wire_new((uint32_t)connection->id, key, &handlers);
	connection->readable =
	    event_new(console->house->base, fd, EV_READ | EV_PERSIST, on_readable, connection);
	connection->writable = event_new(console->house->base, fd, EV_WRITE, on_writable, connection);
	connection->timer = evtimer_new(console->house->base, on_startup_late, connection);
	struct timeval tv = clock_timeval(STARTUP_TIME);
	event_add(connection->timer, &tv);
	event_add(connection->readable, NULL);
}

struct console *console_new(struct house *house)
{
	struct console *console = mem_zalloc(sizeof *console);
	console->house = house;
	console->reaper = event_new(house->base, -1, 0, reap, console);
	return console;
}

static void close_listening(struct console *console)
{
	if (console->listening)
		listen_stop(&console->listening);
	mem_free(&console->section.address.text);
	mem_free(&console->section.address.path);
}

void console_free(struct console **at)
{
	struct console *console = *at;
	if (!console)
		return;
	close_listening(console);
	for (struct connection *c = console->connections; c; c = c->next)
		connection_close(c);
	reap(-1, 0, console);
	console_upgrades_free(console);
	event_free(console->reaper);
	mem_free(&console->guests);
	mem_free(at);
}

static void take_guests(struct console *console, char *const *names, unsigned count, enum console_right right)
{
	for (unsigned i = 0; i < count; i++) {
		/* once, at a start or a reload */
		const struct passwd *user = getpwnam(names[i]);
		if (user)
			console->guests[console->guest_count++] =
			    (struct guest){.uid = user->pw_uid, .right = right};
		else
			log_warning(
			    "console", "this machine has no user %s: nobody comes in by that name", names[i]);
	}
}

static bool listen_on(
    struct console *console, struct conf *conf, unsigned mode, char *error, unsigned error_size)
{
	const struct conf_tls none = {.mode = TLS_DISABLE};
	struct conf_listen was = console->section;
	struct tls_context *tls = tls_context_new(&none, TLS_SERVER, error, error_size);
	if (!tls)
		return false;
	console->section = (struct conf_listen){.unix_mode = mode, .backlog = 64};
	console->section.address.text = mem_strdup(conf->console.address.text);
	console->section.address.path = mem_strdup(conf->console.address.path);
	struct listener *listener = listener_new(conf, &console->section, tls);
	struct listening *opened =
	    listen_start(console->house->base, listener, on_accepted, console, error, error_size);
	struct conf_listen now = console->section;
	listener_unref(&listener);
	tls_context_unref(&tls);
	if (!opened) {
		mem_free(&now.address.text);
		mem_free(&now.address.path);
		console->section = was;
		return false;
	}
	/* the old one is stopped under its own section: its file is named there */
	console->section = was;
	close_listening(console);
	console->section = now;
	console->listening = opened;
	log_info("console", "listening on %s", now.address.text);
	return true;
}

bool console_configure(struct console *console, struct conf *conf, char *error, unsigned error_size)
{
	if (conf->console.present && !conf->console.address.path) {
		snprintf(error, error_size,
		    "console.address must be a unix socket: it tells by the socket who is there");
		return false;
	}
	bool listed = conf->console.operator_count + conf->console.viewer_count > 0;
	unsigned mode = listed ? 0666 : 0600;
	bool same = conf->console.present && console->listening &&
	    strcmp(console->section.address.path, conf->console.address.path) == 0;
	if (conf->console.present && !same && !listen_on(console, conf, mode, error, error_size))
		return false;
	if (same && console->section.unix_mode != mode) {
		console->section.unix_mode = mode;
		if (chmod(console->section.address.path, (mode_t)mode) != 0)
			log_warning("console", "cannot change the mode of its socket: %s", strerror(errno));
	}
	if (!conf->console.present)
		close_listening(console);
	mem_free(&console->guests);
	console->guest_count = 0;
	console->guests = mem_zalloc(
	    (conf->console.operator_count + conf->console.viewer_count + 1) * sizeof *console->guests);
	take_guests(console, conf->console.operators, conf->console.operator_count, RIGHT_OPERATOR);
	take_guests(console, conf->console.viewers, conf->console.viewer_count, RIGHT_VIEWER);
	return true;
}

void console_hold_news(struct console *console, const struct hold_news *news)
{
	for (struct connection *c = console->connections; c; c = c->next) {
		if (!c->dead && (c->id == news->id || (c->hold && c->hold->id == news->id))) {
			console_hold_told(c, news);
			return;
		}
	}
}

void console_stopping(struct console *console)
{
	console->stopping = true;
	console_upgrades_stop(console);
	for (struct connection *c = console->connections; c; c = c->next) {
		if (c->dead || !c->hold)
			continue;
		console_abandon(c, "headgate is shutting down");
		console_fail(c, "57P01", "the hold has ended: headgate is shutting down", NULL, NULL);
	}
}
