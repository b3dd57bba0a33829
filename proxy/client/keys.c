#include <string.h>

#include "base/mem.h"
#include "proto/frame.h"
#include "session.h"

struct cancel_key {
	struct cancel_key *next;
	struct cancel_owner owner;
	uint32_t hash;
	uint16_t size;
	uint8_t body[]; /* of BackendKeyData: the process id, then 4 to 256 bytes of key */
};

/* FNV-1a: the key is random already. */
static uint32_t hash_of(const uint8_t *bytes, size_t size)
{
	uint32_t hash = 2166136261U;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 16777619U;
	return hash;
}

static void widen(struct client_limits *limits)
{
	unsigned room = limits->key_room == 0 ? 256 : limits->key_room * 2;
	struct cancel_key **keys = mem_zalloc(room * sizeof(struct cancel_key *));
	for (unsigned i = 0; i < limits->key_room; i++) {
		struct cancel_key *key = limits->keys[i];
		while (key != NULL) {
			struct cancel_key *next = key->next;
			key->next = keys[key->hash % room];
			keys[key->hash % room] = key;
			key = next;
		}
	}
	mem_free(&limits->keys);
	limits->keys = keys;
	limits->key_room = room;
}

void cancel_remember(struct session *s, const uint8_t *body, size_t size)
{
	if (s->key != NULL || size < 8 || size > 4 + 256)
		return; /* nothing that a CancelRequest could name */
	struct cancel_key *key = mem_zalloc(sizeof *key + size);
	key->owner = (struct cancel_owner){.worker = s->worker,
	    .session = s,
	    .endpoints = endpoints_ref(s->entry->dialing->endpoints),
	    .endpoint = s->endpoint,
	    .service_id = s->place->service->id};
	key->hash = hash_of(body, size);
	key->size = (uint16_t)size;
	memcpy(key->body, body, size);
	s->key = key;

	struct client_limits *limits = s->worker->limits;
	pthread_mutex_lock(&limits->mutex);
	if (limits->key_count >= limits->key_room)
		widen(limits);
	struct cancel_key **slot = &limits->keys[key->hash % limits->key_room];
	key->next = *slot;
	*slot = key;
	limits->key_count++;
	pthread_mutex_unlock(&limits->mutex);
}

void cancel_forget(struct session *s)
{
	struct cancel_key *key = s->key;
	if (key == NULL)
		return;
	struct client_limits *limits = s->worker->limits;
	pthread_mutex_lock(&limits->mutex);
	struct cancel_key **at = &limits->keys[key->hash % limits->key_room];
	while (*at != key)
		at = &(*at)->next;
	*at = key->next;
	limits->key_count--;
	pthread_mutex_unlock(&limits->mutex);
	endpoints_unref(&key->owner.endpoints);
	mem_wipe(key->body, key->size);
	mem_free(&s->key);
}

int32_t cancel_backend_pid(const struct session *s)
{
	return s->key != NULL ? (int32_t)frame_be32(s->key->body) : 0;
}

size_t cancel_packet(const struct session *s, uint8_t *packet)
{
	if (s->key == NULL)
		return 0;
	size_t size = 8 + (size_t)s->key->size;
	frame_put32(packet, (uint32_t)size);
	frame_put32(packet + 4, 80877102);
	memcpy(packet + 8, s->key->body, s->key->size);
	return size;
}

/* Compares without telling by its time how much was right. */
static bool same(const uint8_t *a, const uint8_t *b, size_t size)
{
	uint8_t difference = 0;
	for (size_t i = 0; i < size; i++)
		difference = (uint8_t)(difference | (a[i] ^ b[i]));
	return difference == 0;
}

bool cancel_lookup(struct client_limits *limits, const uint8_t *body, size_t size, struct cancel_owner *owner)
{
	uint32_t hash = hash_of(body, size);
	bool found = false;
	pthread_mutex_lock(&limits->mutex);
	struct cancel_key *key = limits->key_room > 0 ? limits->keys[hash % limits->key_room] : NULL;
	for (; key != NULL && !found; key = key->next) {
		if (key->hash != hash || key->size != size || !same(key->body, body, size))
			continue;
		*owner = key->owner;
		endpoints_ref(owner->endpoints);
		found = true;
	}
	pthread_mutex_unlock(&limits->mutex);
	return found;
}
