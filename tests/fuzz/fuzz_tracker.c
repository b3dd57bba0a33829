/* The tracker. The input is turns: a byte that says whose (bit 0) and how (bit 1: whole messages are made of
 * the bytes; bit 2: one batch at a time), a byte that says how many bytes, and these. The same turns go to a
 * second tracker byte by byte. Aborts when the two differ, or either breaks what it promises. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/frame.h"
#include "proto/tracker.h"

#define TURN 256

static void want(bool truth)
{
	if (!truth)
		abort();
}

static void sound(const struct tracker *t)
{
	want(t->count <= TRACKER_ENTRIES && t->count <= t->room && t->first < t->room);
	want(t->room <= TRACKER_ENTRIES);
	want((t->queue == t->inside) == (t->room == TRACKER_INLINE));
	want(t->mode <= TRACKER_COPY_BOTH);
	want(t->client.have < FRAME_HEADER && t->server.have < FRAME_HEADER);
	want(t->client.have == 0 || t->client.left == 0);
	want(t->server.have == 0 || t->server.left == 0);
	want(t->client.left <= FRAME_BYTES && t->server.left <= FRAME_BYTES);
	want(t->mode != TRACKER_SKIP || t->count == 0);
	want(t->mode != TRACKER_COPY_IN || t->count <= 1);
	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t entry = t->queue[(t->first + i) % t->room];
		want((entry & (UINT32_MAX >> 2)) != 0);
		/* strays of COPY never stay at the front */
		want(i > 0 || entry >> 30 != 3);
	}
	if (tracker_idle(t))
		want(tracker_between(t) && tracker_settled(t) && tracker_server_boundary(t) &&
		    !tracker_idle_in_transaction(t));
}

static void same(const struct tracker *a, const struct tracker *b)
{
	want(a->mode == b->mode && a->status == b->status && a->last == b->last && a->open == b->open);
	want(a->answered == b->answered && a->swallowed == b->swallowed && a->terminated == b->terminated);
	want(a->client.left == b->client.left && a->client.have == b->client.have);
	want(a->server.left == b->server.left && a->server.have == b->server.have);
	want(a->count == b->count);
	for (uint32_t i = 0; i < a->count; i++)
		want(a->queue[(a->first + i) % a->room] == b->queue[(b->first + i) % b->room]);
}

/* Messages out of any bytes: one is the type, short bodies follow. */
static size_t messages(const uint8_t *data, size_t n, bool by_client, uint8_t *out)
{
	static const char from_client[] = "QPBEDCHSFdcfXp", from_server[] = "123TnCIsEGHdcDNASVtZZZWZ";
	const char *types = by_client ? from_client : from_server;
	size_t kinds = by_client ? sizeof from_client - 1 : sizeof from_server - 1, size = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t type = (uint8_t)types[data[i] % kinds];
		size_t body = !by_client && type == 'Z' ? 1 : data[i] / kinds % 3;
		out[size] = type;
		frame_put32(out + size + 1, (uint32_t)body + 4);
		memset(out + size + FRAME_HEADER, "ITE"[data[i] % 3], body);
		size += FRAME_HEADER + body;
	}
	return size;
}

/* False: the session is over. */
static bool client_turn(struct tracker *a, struct tracker *b, const uint8_t *bytes, size_t n, bool one_batch)
{
	size_t used = 0, more = 1;
	while (used < n && more > 0 && a->violation == NULL && !a->terminated) {
		uint8_t *exact = mem_dup(bytes + used, n - used); /* exactly its size, for the sanitizer */
		more = tracker_client(a, exact, n - used, one_batch);
		mem_free(&exact);
		want(more <= n - used);
		used += more;
		sound(a);
	}
	bool over = a->violation != NULL || a->terminated;
	bool unsure = one_batch && a->mode == TRACKER_UNSURE && a->client.have == 0 && a->client.left == 0;
	want(used == n || over || a->count == TRACKER_ENTRIES || unsure);
	for (size_t i = 0; i < used; i++)
		want(tracker_client(b, bytes + i, 1, false) == 1);
	sound(b);
	if (a->violation == NULL)
		same(a, b);
	return !over;
}

static bool server_turn(struct tracker *a, struct tracker *b, const uint8_t *bytes, size_t n)
{
	uint8_t *exact = mem_dup(bytes, n);
	bool fine = tracker_server(a, exact, n);
	mem_free(&exact);
	sound(a);
	want(fine == (a->violation == NULL));
	bool fine_too = true;
	for (size_t i = 0; i < n && fine_too; i++)
		fine_too = tracker_server(b, bytes + i, 1);
	sound(b);
	want(fine == fine_too);
	if (fine)
		same(a, b);
	return fine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n); /* libFuzzer calls it, no header declares it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tracker whole, pieces;
	size_t at = 0;

	tracker_init(&whole, 'I');
	tracker_init(&pieces, 'I');
	while (n - at > 2) {
		uint8_t how = data[at], made[TURN * (FRAME_HEADER + 3)];
		size_t size = data[at + 1];
		at += 2;
		size = size < n - at ? size : n - at;
		const uint8_t *bytes = data + at;
		at += size;
		if (how & 2) {
			size = messages(bytes, size, how & 1, made);
			bytes = made;
		}
		bool goes_on = how & 1 ? client_turn(&whole, &pieces, bytes, size, how & 4)
				       : server_turn(&whole, &pieces, bytes, size);
		if (!goes_on)
			break;
	}
	tracker_free(&whole);
	tracker_free(&pieces);
	return 0;
}
