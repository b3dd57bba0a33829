#include <string.h>

#include "base/mailbox.h"
#include "base/mem.h"
#include "house.h"

struct user_count {
	struct user_count *next;
	unsigned count;
	char name[];
};

struct client_limits *client_limits_new(void)
{
	struct client_limits *limits = mem_zalloc(sizeof *limits);
	pthread_mutex_init(&limits->mutex, NULL);
	TAILQ_INIT(&limits->workers);
	return limits;
}

void client_limits_free(struct client_limits **place)
{
	struct client_limits *limits = *place;
	if (limits == NULL)
		return;
	pthread_mutex_destroy(&limits->mutex);
	mem_free(&limits->keys);
	mem_free(place);
}

unsigned client_limits_clients(const struct client_limits *limits)
{
	return atomic_load_explicit(&limits->clients, memory_order_relaxed);
}

uint64_t client_limits_closed(const struct client_limits *limits, enum close_reason reason)
{
	return atomic_load_explicit(&limits->closed[reason], memory_order_relaxed);
}

struct user_count *limits_user(struct client_limits *limits, const char *user, unsigned most)
{
	pthread_mutex_lock(&limits->mutex);
	struct user_count *at = limits->users;
	while (at != NULL && strcmp(at->name, user) != 0)
		at = at->next;
	if (at == NULL) {
		size_t size = strlen(user) + 1;
		at = mem_zalloc(sizeof *at + size);
		memcpy(at->name, user, size);
		at->next = limits->users;
		limits->users = at;
	}
	if (most != 0 && at->count >= most)
		at = NULL;
	else
		at->count++;
	pthread_mutex_unlock(&limits->mutex);
	return at;
}

void limits_user_leave(struct client_limits *limits, struct user_count **place)
{
	struct user_count *count = *place;
	if (count == NULL)
		return;
	*place = NULL;
	pthread_mutex_lock(&limits->mutex);
	if (--count->count == 0) {
		struct user_count **at = &limits->users;
		while (*at != count)
			at = &(*at)->next;
		*at = count->next;
		mem_free(&count);
	}
	pthread_mutex_unlock(&limits->mutex);
}

void limits_worker_join(struct client_limits *limits, struct worker *worker)
{
	pthread_mutex_lock(&limits->mutex);
	TAILQ_INSERT_TAIL(&limits->workers, worker, of_limits);
	pthread_mutex_unlock(&limits->mutex);
}

void limits_worker_leave(struct client_limits *limits, struct worker *worker)
{
	pthread_mutex_lock(&limits->mutex);
	TAILQ_REMOVE(&limits->workers, worker, of_limits);
	pthread_mutex_unlock(&limits->mutex);
}

bool limits_post(struct client_limits *limits, const struct worker *to, struct letter *letter)
{
	pthread_mutex_lock(&limits->mutex);
	struct worker *at = TAILQ_FIRST(&limits->workers);
	while (at != NULL && at != to)
		at = TAILQ_NEXT(at, of_limits);
	if (at != NULL)
		mailbox_post(at->mailbox, letter);
	pthread_mutex_unlock(&limits->mutex);
	return at != NULL;
}
