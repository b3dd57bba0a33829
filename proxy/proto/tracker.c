#include <string.h>

#include "base/mem.h"
#include "proto/frame.h"
#include "proto/tracker.h"

/* A queue entry is a kind and how many of it in a row. QUERY: or FunctionCall. COPY_END: CopyDone or
 * CopyFail. */
enum kind { EXTENDED, QUERY, SYNC, COPY_END };
#define KIND_SHIFT 30
#define RUN_MAX    ((UINT32_C(1) << KIND_SHIFT) - 1)

/* The server builds bodies of up to 1 GiB - 2 bytes, to which the length word comes. */
#define LENGTH_MAX (FRAME_BYTES + 4)

static enum kind entry_kind(uint32_t entry)
{
	return (enum kind)(entry >> KIND_SHIFT);
}

static uint32_t *entry_at(const struct tracker *t, uint32_t i)
{
	uint32_t at = t->first + i;
	return &t->queue[at >= t->room ? at - t->room : at];
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

static void push(struct tracker *t, enum kind kind)
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
		t->first = t->first + 1 == t->room ? 0 : t->first + 1;
		t->count--;
	} while (t->count > 0 && entry_kind(*entry_at(t, 0)) == COPY_END);
	if (t->count == 0 && t->queue != t->inside)
		tracker_free(t); /* a burst's memory goes back when its last answer came */
}

/* Takes one off the front entry. */
static void pop(struct tracker *t)
{
	uint32_t *front = entry_at(t, 0);
	if ((*front & RUN_MAX) > 1)
		*front -= 1;
	else
		pop_entry(t);
}

/* The server met an error in an extended message: it discards up to the next Sync. */
static void skip_to_sync(struct tracker *t)
{
	while (t->count > 0 && entry_kind(*entry_at(t, 0)) != SYNC)
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
		if (kind == SYNC)
			t->swallowed = true;
		else
			t->mode = TRACKER_NORMAL;
		if (kind == COPY_END && (*next & RUN_MAX) > 1) { /* the rest is for the Query's next COPY */
			*next -= 1;
		} else if (kind == SYNC || kind == COPY_END) {
			*next = *entry_at(t, 0);
			pop_entry(t);
		}
	}
	if (t->swallowed && t->count == 1 && entry_kind(*entry_at(t, 0)) == EXTENDED)
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

/* One message of the client has its header complete. True: it ends a batch. */
static bool client_message(struct tracker *t, uint8_t type)
{
	switch (type) {
	case 'd':
		return false;
	case 'H':
		if (t->client.left != 0 && t->mode != TRACKER_COPY_IN)
			extended_message(t); /* a Flush with a body is answered by an error */
		return false;
	case 'P':
	case 'B':
	case 'E':
	case 'D':
	case 'C':
		extended_message(t);
		return false;
	case 'S':
		if (t->mode == TRACKER_COPY_IN) {
			t->swallowed = true;
			return false;
		}
		t->open = false;
		if (t->mode == TRACKER_SKIP)
			t->mode = TRACKER_NORMAL;
		push(t, SYNC);
		return true;
	case 'Q':
	case 'F':
		if (t->mode == TRACKER_SKIP)
			return false;
		if (t->mode == TRACKER_COPY_IN)
			t->mode = TRACKER_NORMAL;
		push(t, QUERY);
		if (t->mode == TRACKER_UNSURE)
			return false; /* it may be discarded, and only a Sync ends that */
		t->open = false;
		return true;
	case 'c':
	case 'f':
		if (t->mode == TRACKER_COPY_IN) {
			t->mode = TRACKER_NORMAL;
		} else if (t->count > 0 && (t->mode == TRACKER_NORMAL || t->mode == TRACKER_UNSURE)) {
			push(t, COPY_END);
		}
		return false;
	case 'X':
		t->terminated = true;
		return false;
	case 'p':
		t->violation = "a password message outside authentication";
		return false;
	default:
		t->violation = "unknown message type";
		return false;
	}
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

/* The bytes of the current message's body. */
static size_t body(struct tracker_cursor *c, size_t n)
{
	size_t take = n < c->left ? n : c->left;
	c->left -= (uint32_t)take;
	return take;
}

size_t tracker_client(struct tracker *t, const uint8_t *bytes, size_t n, bool one_batch)
{
	size_t used = 0;
	for (;;) {
		uint8_t type;
		if (t->count >= TRACKER_ENTRIES)
			return used + body(&t->client, n - used);
		if (!next_header(&t->client, bytes, n, &used, &type, &t->violation))
			return t->violation != NULL ? 0 : used;
		bool ends = client_message(t, type);
		if (t->violation != NULL)
			return 0;
		/* the rest of this message goes along, what is behind it does not */
		if (t->terminated || (ends && one_batch))
			return used + body(&t->client, n - used);
	}
}

static void ready_for_query(struct tracker *t, char status)
{
	t->status = status;
	t->swallowed = false;
	if (t->mode == TRACKER_UNSURE)
		t->answered = false; /* what was said was the COPY's error */
	if (t->mode != TRACKER_COPY_BOTH)
		t->mode = TRACKER_NORMAL;
	/* A ReadyForQuery with nothing before it answers a bare Sync. With anything else at the front it
	 * answers a Sync that an aborted COPY IN was thought to have swallowed (libpq reports the same as
	 * "message type 0x5a arrived from server while idle"). */
	if (t->count > 0 && (t->answered || entry_kind(*entry_at(t, 0)) == SYNC)) {
		while (t->count > 0 && entry_kind(*entry_at(t, 0)) == EXTENDED)
			pop_entry(t);
		if (t->count > 0)
			pop(t);
	}
	t->answered = false;
	if (t->count == 0)
		t->open = false;
}

static void server_message(struct tracker *t, uint8_t type)
{
	switch (type) {
	case 'N':
	case 'A':
	case 'S':
		return; /* asynchronous */
	default:
		break;
	}
	t->last = (char)type;
	t->answered = true;
	bool extended = t->count > 0 && entry_kind(*entry_at(t, 0)) == EXTENDED;
	switch (type) {
	case 'C':
		t->swallowed = false; /* truly */
				      /* fall through */
	case '1':
	case '2':
	case '3':
	case 'T':
	case 'n':
	case 'I':
	case 's':
		if (extended)
			pop(t);
		break;
	case 'E':
		if (extended)
			failed(t);
		else if (t->mode == TRACKER_COPY_IN)
			t->mode = TRACKER_NORMAL;
		else if (t->count == 0 && t->open)
			t->mode = TRACKER_SKIP; /* a Flush that met a statement time-out */
		break;
	case 'G':
		begin_copy_in(t);
		break;
	case 'W':
		t->mode = TRACKER_COPY_BOTH;
		break;
	default:
		break;
	}
}

/* Whole messages, as most are: their headers are read where they stand. Returns where the first one begins
 * that is not all there. */
static size_t whole_messages(struct tracker *t, const uint8_t *bytes, size_t n)
{
	size_t at = 0;
	while (n - at > FRAME_HEADER) {
		uint8_t type = bytes[at];
		uint32_t length = frame_be32(bytes + at + 1);
		if (length < 4 || length >= n - at)
			break;
		if (type == 'D' || type == 'd') {
			t->last = (char)type;
			t->answered = true;
		} else if (type == 'Z') {
			if (length != 5)
				break;
			ready_for_query(t, (char)bytes[at + FRAME_HEADER]);
		} else {
			server_message(t, type);
		}
		at += 1 + (size_t)length;
	}
	return at;
}

bool tracker_server(struct tracker *t, const uint8_t *bytes, size_t n)
{
	size_t used = 0;
	if (t->server.left == 0 && t->server.have == 0)
		used = whole_messages(t, bytes, n);
	while (used < n) {
		if (t->server.left == 1 && t->server.header[0] == 'Z') {
			ready_for_query(t, (char)bytes[used]);
			t->server.header[0] = 0;
		}
		uint8_t type;
		if (!next_header(&t->server, bytes, n, &used, &type, &t->violation))
			break;
		t->server.header[0] = type;
		if (type == 'Z' && t->server.left != 1)
			t->violation = "ReadyForQuery of a wrong length";
		if (t->violation != NULL)
			return false;
		if (type != 'Z') /* told when its status byte is there */
			server_message(t, type);
		else
			continue;
		/* a message that began in the last read is over: the rest is whole again */
		if (t->server.left <= n - used) {
			used += t->server.left;
			t->server.left = 0;
			used += whole_messages(t, bytes + used, n - used);
		}
	}
	return t->violation == NULL;
}
