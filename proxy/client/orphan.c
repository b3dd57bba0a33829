/* A server connection whose client we have cut off in the middle of something. The backend may go on with its
 * statement, and commit it: until it has hung up, its database is not drained. */
#include <errno.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "session.h"

struct orphan {
	TAILQ_ENTRY(orphan) of_place;
	struct place *place;
	struct stream stream;
	struct event event;
	size_t unheard; /* at UNHEARD_BYTES it is closed, and its backend fails at its next write */
};

static void end(struct orphan **at)
{
	struct orphan *orphan = *at;
	struct place *place = orphan->place;
	event_del(&orphan->event);
	stream_close(&orphan->stream);
	TAILQ_REMOVE(&place->orphans, orphan, of_place);
	mem_free(at);
	place->busy--;
	place_drained(place);
	place_unused(place);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct orphan *orphan = arg;
	/* With TLS as without: what it says is nobody's any more. */
	ssize_t n = recv(fd, orphan->place->worker->buffer, WORKER_BUFFER, 0);
	if (n > 0)
		orphan->unheard += (size_t)n;
	if ((n > 0 && orphan->unheard < UNHEARD_BYTES) || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	end(&orphan);
}

void orphan_adopt(struct session *s)
{
	struct orphan *orphan = mem_zalloc(sizeof *orphan);
	if (s->flowing)
		flow_end(s);
	leg_watch(s, &s->server, 0);
	leg_forget(&s->server);
	orphan->place = s->place;
	orphan->stream = s->server.stream;
	s->server.stream = (struct stream){.fd = -1};
	TAILQ_INSERT_TAIL(&s->place->orphans, orphan, of_place);
	s->place->busy++;
	/* It ends once it comes to read. A socket that is broken tells so to whoever reads it. */
	(void)shutdown(orphan->stream.fd, SHUT_WR);
	event_assign(
	    &orphan->event, s->worker->base, orphan->stream.fd, EV_READ | EV_PERSIST, on_readable, orphan);
	if (event_add(&orphan->event, NULL) < 0)
		log_panic("cannot watch a socket");
}

void orphans_free(struct place *place)
{
	for (struct orphan *orphan; (orphan = TAILQ_FIRST(&place->orphans)) != NULL;)
		end(&orphan);
}
