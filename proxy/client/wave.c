/* The wave: those whom a release lets go with a query waiting. The server's backends have been idle meanwhile
 * and take several times as long as usual for the first one. Who has his answer asks again at once, and the
 * second queries of the quick would stand in front of the first ones of the others: with 64 clients that is a
 * fifth more for the last. So nobody's second query is read before all the others of the wave have their
 * first answer, none has come for a tick, or LIFE ticks are over: who runs long, or a server that is far
 * away, keeps nobody waiting. (Letting go of few at a time instead was tried: the last one's answer comes
 * later, and behind a network it would throttle.) Meanwhile the worker asks for short turns: with the
 * scheduler's own it is put aside for each backend that it wakes, and the other cores wait for it. */
#include "base/clock.h"
#include "base/slice.h"
#include "session.h"

#define TICK_NS (10 * CLOCK_MS)
#define LIFE    10 /* ticks */

void wave_stop(struct place *place)
{
	event_del(&place->wave.tick);
	slice_short(false);
	place->wave.out = 0;
}

static void end(struct place *place)
{
	wave_stop(place);
	for (struct session *s = TAILQ_FIRST(&place->sessions), *next; s != NULL; s = next) {
		next = TAILQ_NEXT(s, of_place);
		bool unread = s->wave == WAVE_ANSWERED && s->client.watching == 0;
		s->wave = WAVE_NONE;
		if (unread)
			relay_resume(s);
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
		end(place); /* may free the place */
}

void wave_init(struct place *place)
{
	event_assign(&place->wave.tick, place->worker->base, -1, EV_PERSIST, on_tick, place);
}

void wave_join(struct session *s)
{
	struct place *place = s->place;
	if (s->wave == WAVE_OUT)
		return;
	s->wave = WAVE_OUT;
	place->wave.moved = true;
	if (place->wave.out++ == 0) {
		struct timeval tv = clock_timeval(TICK_NS);
		event_add(&place->wave.tick, &tv);
		place->wave.ticks = 0;
		slice_short(true);
	}
}

static void leave(struct session *s, enum wave to)
{
	struct place *place = s->place;
	s->wave = (uint8_t)to;
	place->wave.moved = --place->wave.out > 0;
	if (!place->wave.moved) /* from the loop: sessions may be being walked */
		event_active(&place->wave.tick, EV_TIMEOUT, 0);
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
