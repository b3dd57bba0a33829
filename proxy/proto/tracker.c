#include <string.h>

#include "base/mem.h"
#include "proto/frame.h"
#include "proto/tracker.h"

/* A queue entry is a kind and how many of it in a row. QUERY: or FunctionCall. BAD_SYNC: a Sync with a body,
 * which is answered by an error and a ReadyForQuery. COPY_END: CopyDone or CopyFail. */
enum kind { EXTENDED, QUERY, SYNC, BAD_SYNC, COPY_END };
#define KIND_SHIFT 29
#define RUN_MAX    ((UINT32_C(1) << KIND_SHIFT) - 1)

/* The server builds bodies of up to 1 GiB - 2 bytes, to which the length word comes. */
#define LENGTH_MAX (FRAME_BYTES + 4)

static inline enum kind entry_kind(uint32_t entry)
{
	return (enum kind)(entry >> KIND_SHIFT);
}

static uint32_t *entry_at(const struct tracker *t, uint32_t i)
{
	uint32_t at = t->first + i;
	return &t->queue[at >= t->room ? at - t->room : at];
}

static inline bool front_is(const struct tracker *t, enum kind kind)
{
	return t->count > 0 && entry_kind(t->queue[t->first]) == kind;
}

void tracker_init(struct tracker *t, char status)
{
	*t = (struct tracker){.status = status, .room = TRACKER_INLINE, .mode = TRACKER_NORMAL};
	t->queue = t->inside;
}

void tracker_free(struct tracker *t)
{
	if (t->queue != t->inside)
		mem_free(&t->queue);
	t->queue = t->inside;
	t->room = TRACKER_INLINE;
	t->first = t->count = 0;
}

static void grow(struct tracker *t)
{
	uint32_t room = t->room < 32 ? 64 : t->room * 2;
	uint32_t *queue = mem_alloc(room * sizeof *queue);
	for (uint32_t i = 0; i < t->count; i++)
		queue[i] = *entry_at(t, i);
	if (t->queue != t->inside)
		mem_free(&t->queue);
	t->queue = queue;
	t->room = room;
	t->first = 0;
}

static inline void push(struct tracker *t, enum kind kind)
{
	if (t->count == 0) {
		t->first = 0;
		t->count = 1;
		t->queue[0] = (uint32_t)kind << KIND_SHIFT | 1;
		return;
	}
	uint32_t *last = entry_at(t, t->count - 1);
	if (entry_kind(*last) == kind && (*last & RUN_MAX) < RUN_MAX) {
		*last += 1;
		return;
	}
	if (t->count == t->room)
		grow(t);
	t->count++;
	*entry_at(t, t->count - 1) = (uint32_t)kind << KIND_SHIFT | 1;
}

/* The server is done with the front entry. A CopyDone or CopyFail that comes to the front belongs to no copy,
 * and the server drops it without a word. */
static void pop_entry(struct tracker *t)
{
	do {
		if (--t->count == 0) {
			if (t->queue != t->inside)
				tracker_free(t); /* a burst's memory goes back when its last answer came */
			return;
		}
		t->first = t->first + 1 == t->room ? 0 : t->first + 1;
	} while (front_is(t, COPY_END));
}

/* Takes one off the front entry. */
static inline void pop(struct tracker *t)
{
	uint32_t *front = &t->queue[t->first];
	if ((*front & RUN_MAX) > 1)
		*front -= 1;
	else
		pop_entry(t);
}

/* The server met an error in an extended message: it discards up to the next Sync. */
static void skip_to_sync(struct tracker *t)
{
	while (t->count > 0 && !front_is(t, SYNC) && !front_is(t, BAD_SYNC))
		pop_entry(t);
	if (t->count == 0) {
		t->mode = TRACKER_SKIP;
		t->open = true; /* a Query that was discarded has closed nothing */
	}
}

static void failed(struct tracker *t)
{
	if (!t->swallowed) {
		skip_to_sync(t);
		return;
	}
	/* A COPY IN with a Sync behind it. If the COPY failed before it read that Sync, the Sync ends the
	 * discarding, and all that the client sent behind it is answered. If it failed later, the next Sync
	 * does. The next ReadyForQuery tells as much as can be told. */
	t->swallowed = false;
	pop(t);
	t->mode = TRACKER_UNSURE;
}

/* CopyInResponse: the server goes on reading what was sent behind the statement. Syncs are swallowed, a
 * CopyDone ends the copy. On anything else it gives the connection up, if it comes to read it: a COPY that
 * failed before is over, and all behind it counts. */
static void begin_copy_in(struct tracker *t)
{
	t->mode = TRACKER_COPY_IN;
	t->swallowed = false;
	if (t->count > 0 && (*entry_at(t, 0) & RUN_MAX) > 1)
		t->mode = TRACKER_NORMAL;
	while (t->count > 1 && t->mode == TRACKER_COPY_IN) {
		uint32_t *next = entry_at(t, 1);
		enum kind kind = entry_kind(*next);
		bool sync = kind == SYNC || kind == BAD_SYNC;
		if (sync)
			t->swallowed = true;
		else
			t->mode = TRACKER_NORMAL;
		if (kind == COPY_END && (*next & RUN_MAX) > 1) { /* the rest is for the Query's next COPY */
			*next -= 1;
		} else if (sync || kind == COPY_END) {
			*next = *entry_at(t, 0);
			pop_entry(t);
		}
	}
	if (t->swallowed && t->count == 1 && front_is(t, EXTENDED))
		t->open = true; /* what that Sync was to close */
}

static void extended_message(struct tracker *t)
{
	t->open = true;
	if (t->mode == TRACKER_COPY_IN)
		t->mode = TRACKER_NORMAL; /* as in begin_copy_in() */
	if (t->mode != TRACKER_SKIP)
		push(t, EXTENDED);
}

enum turn { GOES_ON, ENDS_BATCH, ENDS_ALL };

/* One message of the client, of which the header is there. */
static inline enum turn client_message(struct tracker *t, uint8_t type, uint32_t body)
{
	if (t->mode == TRACKER_COPY_BOTH && t->streams_only && memchr("dcfHSX", type, 6) == NULL) {
		t->violation =
		    "a statement on a connection that streams changes; open another connection for it";
		return ENDS_ALL;
	}
	switch (type) {
	case 'd':
		return GOES_ON;
	case 'H':
		if (body != 0 && t->mode != TRACKER_COPY_IN)
			extended_message(t); /* a Flush with a body is answered by an error */
		return GOES_ON;
	case 'P':
	case 'B':
	case 'E':
	case 'D':
	case 'C':
		extended_message(t);
		return GOES_ON;
	case 'S':
		if (t->mode == TRACKER_COPY_IN) {
			t->swallowed = true;
			return GOES_ON;
		}
		t->open = false;
		if (t->mode == TRACKER_SKIP)
			t->mode = TRACKER_NORMAL;
		push(t, body == 0 ? SYNC : BAD_SYNC);
		return ENDS_BATCH;
	case 'Q':
	case 'F':
		if (t->mode == TRACKER_SKIP)
			return GOES_ON;
		if (t->mode == TRACKER_COPY_IN)
			t->mode = TRACKER_NORMAL;
		push(t, QUERY);
		if (t->mode == TRACKER_UNSURE)
			return GOES_ON; /* it may be discarded, and only a Sync ends that */
		t->open = false;
		return ENDS_BATCH;
	case 'c':
	case 'f':
		if (t->mode == TRACKER_COPY_IN)
			t->mode = TRACKER_NORMAL;
		else if (t->count > 0 && (t->mode == TRACKER_NORMAL || t->mode == TRACKER_UNSURE))
			push(t, COPY_END);
		return GOES_ON;
	case 'X':
		t->terminated = true;
		return ENDS_ALL;
	case 'p':
		t->violation = "a password message outside authentication";
		return ENDS_ALL;
	default:
		t->violation = "unknown message type";
		return ENDS_ALL;
	}
}

static inline bool at_boundary(const struct tracker_cursor *c)
{
	return (c->left | c->have) == 0;
}

/* Moves the cursor over bytes up to and including the next header. True: a header is complete, its type in
 * *type and its body's length in cursor->left. Bytes used are added to *used. */
static bool next_header(struct tracker_cursor *c, const uint8_t *bytes, size_t n, size_t *used, uint8_t *type,
    const char **violation)
{
	size_t at = *used;
	if (c->left > 0) {
		size_t take = n - at < c->left ? n - at : c->left;
		c->left -= (uint32_t)take;
		at += take;
	}
	*used = at;
	if (at == n)
		return false;

	const uint8_t *header = bytes + at;
	if (c->have == 0 && n - at >= FRAME_HEADER) {
		*used = at + FRAME_HEADER;
	} else {
		size_t take = (size_t)FRAME_HEADER - c->have;
		if (take > n - at)
			take = n - at;
		memcpy(c->header + c->have, header, take);
		c->have = (uint8_t)(c->have + take);
		*used = at + take;
		if (c->have < FRAME_HEADER)
			return false;
		c->have = 0;
		header = c->header;
	}
	uint32_t length = frame_be32(header + 1);
	if (length < 4 || length > LENGTH_MAX) {
		*violation = "impossible message length";
		return false;
	}
	*type = header[0];
	c->left = length - 4;
	return true;
}

/* A statement, or a part of one: what the server does, unless it is discarding. */
static bool begins_work(uint8_t type)
{
	return memchr("QFPBEDC", type, 7) != NULL;
}

/* The bytes of the current message's body. */
static size_t rest_of_body(struct tracker_cursor *c, size_t n)
{
	size_t take = n < c->left ? n : c->left;
	c->left -= (uint32_t)take;
	return take;
}

size_t tracker_client(struct tracker *t, const uint8_t *bytes, size_t n, bool one_batch)
{
	size_t used = 0;
	while (used < n) {
		if (t->count >= TRACKER_ENTRIES)
			return used + rest_of_body(&t->client, n - used);
		const uint8_t *header = bytes + used;
		size_t there = n - used;
		uint8_t type;
		if (one_batch && t->mode == TRACKER_UNSURE && at_boundary(&t->client) && begins_work(*header))
			return used;
		/* Whole messages, as most are, are read where they stand (a length below 4 turns into a huge
		 * one here). */
		uint32_t body = 0;
		if (there >= FRAME_HEADER && at_boundary(&t->client) &&
		    (body = frame_be32(header + 1) - 4) <= there - FRAME_HEADER) {
			type = header[0];
			used += FRAME_HEADER + body;
		} else {
			if (!next_header(&t->client, bytes, n, &used, &type, &t->violation))
				return t->violation != NULL ? 0 : used;
			body = t->client.left;
		}
		enum turn turn = client_message(t, type, body);
		if (turn == GOES_ON || (turn == ENDS_BATCH && !one_batch))
			continue;
		/* the rest of this message goes along, what is behind it does not */
		return t->violation != NULL ? 0 : used + rest_of_body(&t->client, n - used);
	}
	return used;
}

static void ready_for_query(struct tracker *t, char status)
{
	t->last = 'Z';
	t->status = status;
	t->swallowed = false;
	if (t->mode != TRACKER_NORMAL) {
		if (t->mode == TRACKER_UNSURE)
			t->answered = false; /* what was said was the COPY's error */
		if (t->mode != TRACKER_COPY_BOTH)
			t->mode = TRACKER_NORMAL;
	}
	/* A ReadyForQuery with nothing before it answers a bare Sync. With anything else at the front it
	 * answers a Sync that an aborted COPY IN was thought to have swallowed (libpq reports the same as
	 * "message type 0x5a arrived from server while idle"). */
	if (t->answered || front_is(t, SYNC)) {
		while (front_is(t, EXTENDED))
			pop_entry(t);
		if (t->count > 0)
			pop(t);
	}
	t->answered = false;
	if (t->count == 0)
		t->open = false;
}

/* What the server's messages are to us. Those of tomorrow, which we do not know, are let pass as DATA. */
enum { DATA, ANSWER, ASYNCHRONOUS, TURN };
static const uint8_t server_types[256] = {
    ['1'] = ANSWER,
    ['2'] = ANSWER,
    ['3'] = ANSWER,
    ['T'] = ANSWER,
    ['n'] = ANSWER,
    ['C'] = ANSWER,
    ['I'] = ANSWER,
    ['s'] = ANSWER,
    ['N'] = ASYNCHRONOUS,
    ['A'] = ASYNCHRONOUS,
    ['S'] = ASYNCHRONOUS,
    ['E'] = TURN,
    ['G'] = TURN,
    ['W'] = TURN,
};

static void server_turn(struct tracker *t, uint8_t type)
{
	if (type == 'G')
		begin_copy_in(t);
	else if (type == 'W')
		t->mode = TRACKER_COPY_BOTH;
	else if (front_is(t, EXTENDED))
		failed(t);
	else if (t->mode == TRACKER_COPY_IN)
		t->mode = TRACKER_NORMAL;
	else if (t->count == 0 && t->open)
		t->mode = TRACKER_SKIP; /* a Flush that met a statement time-out */
}

/* One message of the server, other than ReadyForQuery. */
static inline void server_message(struct tracker *t, uint8_t type)
{
	uint8_t what = server_types[type];
	if (what == ASYNCHRONOUS)
		return;
	t->last = (char)type;
	t->answered = true;
	if (what == DATA)
		return;
	if (what == TURN) {
		server_turn(t, type);
	} else if (front_is(t, EXTENDED)) {
		pop(t);
		if (type == 'C')
			t->swallowed = false; /* truly */
	}
}

/* Whole messages, as most are: their headers are read where they stand. Returns where the first one begins
 * that is not all there. */
static size_t whole_messages(struct tracker *t, const uint8_t *bytes, size_t n)
{
	size_t at = 0;
	while (n - at > FRAME_HEADER) {
		const uint8_t *header = bytes + at;
		uint32_t body = frame_be32(header + 1) - 4; /* a length below 4 turns into a huge one */
		if (body > n - at - FRAME_HEADER)
			break;
		if (header[0] != 'Z')
			server_message(t, header[0]);
		else if (body == 1)
			ready_for_query(t, (char)header[FRAME_HEADER]);
		else
			break;
		at += FRAME_HEADER + (size_t)body;
	}
	return at;
}

bool tracker_server(struct tracker *t, const uint8_t *bytes, size_t n)
{
	size_t used = 0;
	if (at_boundary(&t->server))
		used = whole_messages(t, bytes, n);
	while (used < n) {
		/* the header's first byte tells whose body it is */
		if (t->server.left == 1 && t->server.header[0] == 'Z')
			ready_for_query(t, (char)bytes[used]);
		uint8_t type;
		if (!next_header(&t->server, bytes, n, &used, &type, &t->violation))
			break;
		t->server.header[0] = type;
		if (type == 'Z') { /* told when its status byte is there */
			if (t->server.left != 1)
				t->violation = "ReadyForQuery of a wrong length";
			if (t->violation != NULL)
				return false;
			continue;
		}
		server_message(t, type);
		/* a message that began in the last read is over: the rest is whole again */
		if (t->server.left <= n - used) {
			used += t->server.left;
			t->server.left = 0;
			used += whole_messages(t, bytes + used, n - used);
		}
	}
	return t->violation == NULL;
}
