#include "proto/reply.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "proto/frame.h"

/* A message being written. Once it grew past what the protocol allows, the rest is dropped and frame_end()
 * takes back what was written: a reply holds whole messages only. */
struct frame {
	struct reply *reply;
	size_t start;
	bool too_long;
};

static void reserve(struct reply *reply, size_t more)
{
	if (more <= reply->room - reply->size)
		return;
	size_t room = reply->room < 256 ? 256 : reply->room;
	while (room - reply->size < more)
		room *= 2;
	reply->data = mem_realloc(reply->data, room);
	reply->room = room;
}

static void put(struct frame *frame, const void *bytes, size_t size)
{
	struct reply *reply = frame->reply;

	if (frame->too_long || size > FRAME_BYTES - (reply->size - frame->start)) {
		frame->too_long = true;
		return;
	}
	reply_bytes(reply, bytes, size);
}

static void put_byte(struct frame *frame, char byte)
{
	put(frame, &byte, 1);
}

static void put_16(struct frame *frame, unsigned value)
{
	uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
	put(frame, bytes, sizeof(bytes));
}

static void put_32(struct frame *frame, uint32_t value)
{
	uint8_t bytes[4];
	frame_put32(bytes, value);
	put(frame, bytes, sizeof(bytes));
}

static void put_text(struct frame *frame, const char *text)
{
	put(frame, text, strlen(text) + 1);
}

static void put_field(struct frame *frame, char field, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	put_byte(frame, field);
	put_text(frame, text);
}

static struct frame frame_begin(struct reply *reply, char type)
{
	struct frame frame = {.reply = reply, .start = reply->size};

	put_byte(&frame, type);
	put_32(&frame, 0);
	return frame;
}

static void frame_end(struct frame *frame)
{
	struct reply *reply = frame->reply;

	if (frame->too_long)
		reply->size = frame->start;
	else
		frame_put32(reply->data + frame->start + 1, (uint32_t)(reply->size - frame->start - 1));
}

void reply_free(struct reply *reply)
{
	mem_free(&reply->data);
	reply->size = reply->room = 0;
}

void reply_bytes(struct reply *reply, const void *bytes, size_t size)
{
	if (size == 0)
		return;
	reserve(reply, size);
	memcpy(reply->data + reply->size, bytes, size);
	reply->size += size;
}

static void reply_fields(struct reply *reply, char type, const struct reply_error *error)
{
	struct frame frame = frame_begin(reply, type);

	put_field(&frame, 'S', error->severity);
	put_field(&frame, 'V', error->severity);
	put_field(&frame, 'C', error->sqlstate);
	put_field(&frame, 'M', error->message);
	put_field(&frame, 'D', error->detail);
	put_field(&frame, 'H', error->hint);
	put_byte(&frame, '\0');
	frame_end(&frame);
}

void reply_error(struct reply *reply, const struct reply_error *error)
{
	reply_fields(reply, 'E', error);
}

void reply_notice(struct reply *reply, const struct reply_error *error)
{
	reply_fields(reply, 'N', error);
}

void reply_authentication_ok(struct reply *reply)
{
	struct frame frame = frame_begin(reply, 'R');

	put_32(&frame, 0);
	frame_end(&frame);
}

void reply_parameter_status(struct reply *reply, const char *name, const char *value)
{
	struct frame frame = frame_begin(reply, 'S');

	put_text(&frame, name);
	put_text(&frame, value);
	frame_end(&frame);
}

void reply_backend_key(struct reply *reply, uint32_t pid, const void *key, size_t key_size)
{
	struct frame frame = frame_begin(reply, 'K');

	put_32(&frame, pid);
	put(&frame, key, key_size);
	frame_end(&frame);
}

void reply_ready(struct reply *reply, char status)
{
	struct frame frame = frame_begin(reply, 'Z');

	put_byte(&frame, status);
	frame_end(&frame);
}

void reply_negotiate_protocol(
    struct reply *reply, uint32_t version, const char *const *unknown, unsigned count)
{
	struct frame frame = frame_begin(reply, 'v');

	put_32(&frame, version);
	put_32(&frame, count);
	for (unsigned i = 0; i < count; i++)
		put_text(&frame, unknown[i]);
	frame_end(&frame);
}

enum { OID_TEXT = 25 };

void reply_row_description(struct reply *reply, const char *const *names, unsigned count)
{
	struct frame frame = frame_begin(reply, 'T');

	put_16(&frame, count);
	for (unsigned i = 0; i < count; i++) {
		put_text(&frame, names[i]);
		put_32(&frame, 0); /* no table */
		put_16(&frame, 0); /* no column */
		put_32(&frame, OID_TEXT);
		put_16(&frame, 0xffff);     /* variable width */
		put_32(&frame, 0xffffffff); /* no type modifier */
		put_16(&frame, 0);          /* text format */
	}
	frame_end(&frame);
}

void reply_data_row(struct reply *reply, const char *const *values, unsigned count)
{
	struct frame frame = frame_begin(reply, 'D');

	put_16(&frame, count);
	for (unsigned i = 0; i < count; i++) {
		if (values[i] == NULL) {
			put_32(&frame, 0xffffffff);
			continue;
		}
		size_t size = strlen(values[i]);
		put_32(&frame, (uint32_t)size); /* one that does not fit fails in put() below */
		put(&frame, values[i], size);
	}
	frame_end(&frame);
}

void reply_command_complete(struct reply *reply, const char *tag)
{
	struct frame frame = frame_begin(reply, 'C');

	put_text(&frame, tag);
	frame_end(&frame);
}

void reply_bare(struct reply *reply, char type)
{
	struct frame frame = frame_begin(reply, type);

	frame_end(&frame);
}

void reply_parameter_description(struct reply *reply, unsigned count)
{
	struct frame frame = frame_begin(reply, 't');

	put_16(&frame, count);
	for (unsigned i = 0; i < count; i++)
		put_32(&frame, OID_TEXT);
	frame_end(&frame);
}
