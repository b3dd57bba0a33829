/* The wave: those whom a release lets go with a query waiting. The server's backends have been idle meanwhile
 * and take several times as long as usual for the first one. Who has his answer asks again at once, and the
 * second queries of the quick would stand in front of the first ones of the others: with 64 clients that is a
 * fifth more for the last. So nobody's second query is read before all the others of the wave have their
 * first answer, none has come for a tick, or LIFE ticks are over: who runs long, or a server that is far
 * away, keeps nobody waiting. (Letting go of few at a time instead was tried: the first ones are answered
 * sooner, the last one is not, and behind a network it would throttle.) A client's socket stays watched as it
 * was while it waited, which saves the first milliseconds two system calls for each. */
#include "base/clock.h"
#include "session.h"

#define TICK_NS (10 * CLOCK_MS)
#define LIFE    10 /* ticks */
/* From the last answer to the end: on a busy machine those who read theirs would wait for backends again. */
#define LAST_NS (2 * CLOCK_MS)

void wave_stop(struct place *place)
{
	event_del(&place->wave.tick);
	place->wave.out = 0;
}

static void end(struct place *place)
{
	wave_stop(place);
	struct session *s;
	TAILQ_FOREACH(s, &place->sessions, of_place)
	if (s->wave != WAVE_NONE) {
		s->wave = WAVE_NONE;
		relay_watch_client(s);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct place *place = arg;
	place->worker->now_ns = clock_now();
	bool moved = place->wave.moved;
	place->wave.moved = false;
	if (!moved || ++place->wave.ticks == LIFE)
		end(place);
}

void wave_init(struct place *place)
{
	event_assign(&place->wave.tick, place->worker->base, -1, EV_PERSIST, on_tick, place);
}

static void tick_after(struct place *place, int64_t span_ns)
{
	struct timeval tv = clock_timeval(span_ns);
	event_add(&place->wave.tick, &tv);
}

void wave_join(struct session *s)
{
	struct place *place = s->place;
	if (s->wave == WAVE_OUT)
		return;
	s->wave = WAVE_OUT;
	place->wave.moved = true;
	if (place->wave.out++ == 0) {
		tick_after(place, TICK_NS);
		place->wave.ticks = 0;
	}
}

static void leave(struct session *s, enum wave to)
{
	struct place *place = s->place;
	s->wave = (uint8_t)to;
	place->wave.moved = --place->wave.out > 0;
	if (!place->wave.moved)
		tick_after(place, LAST_NS);
}

void wave_answered(struct session *s)
{
	if (s->wave == WAVE_OUT)
		leave(s, WAVE_ANSWERED);
}

void wave_leave(struct session *s)
{
	if (s->wave == WAVE_OUT)
		leave(s, WAVE_NONE);
}
