#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/mailbox.h"
#include "base/mem.h"

struct mailbox {
	pthread_mutex_t mutex;
	struct letter *first, **last; /* under mutex */
	bool rung;                    /* under mutex: the eventfd was written and not yet read */
	int fd;
	struct event *event;
	void *arg;
};

static void open_letters(struct mailbox *box)
{
	pthread_mutex_lock(&box->mutex);
	struct letter *letter = box->first;
	box->first = NULL;
	box->last = &box->first;
	box->rung = false;
	pthread_mutex_unlock(&box->mutex);

	while (letter != NULL) {
		struct letter *next = letter->next;
		letter->open(letter, box->arg);
		letter = next;
	}
}

static void on_ring(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	uint64_t count;
	if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
		log_panic("mailbox: read: %s", strerror(errno));
	open_letters(arg);
}

struct mailbox *mailbox_new(struct event_base *base, void *arg)
{
	struct mailbox *box = mem_zalloc(sizeof *box);
	pthread_mutex_init(&box->mutex, NULL);
	box->last = &box->first;
	box->arg = arg;
	box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (box->fd < 0)
		log_fatal("eventfd: %s", strerror(errno));
	box->event = event_new(base, box->fd, EV_READ | EV_PERSIST, on_ring, box);
	if (box->event == NULL || event_add(box->event, NULL) < 0)
		log_fatal("cannot watch a mailbox");
	return box;
}

void mailbox_post(struct mailbox *box, struct letter *letter)
{
	letter->next = NULL;
	pthread_mutex_lock(&box->mutex);
	*box->last = letter;
	box->last = &letter->next;
	bool ring = !box->rung;
	box->rung = true;
	/* Under the mutex: once it is released the owner may see the letter, answer it, and be freed. */
	if (ring && write(box->fd, &(uint64_t){1}, sizeof(uint64_t)) < 0 && errno != EAGAIN)
		log_panic("mailbox: write: %s", strerror(errno));
	pthread_mutex_unlock(&box->mutex);
}

void mailbox_free(struct mailbox **place)
{
	struct mailbox *box = *place;
	if (box == NULL)
		return;
	open_letters(box);
	event_free(box->event);
	close(box->fd);
	pthread_mutex_destroy(&box->mutex);
	mem_free(place);
}
