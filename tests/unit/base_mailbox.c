/* Mailboxes: nothing is lost, each poster's letters arrive in order, in the owner's thread, and those left
 * inside at the end are opened. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/mailbox.h"
#include "base/mem.h"

#define POSTERS 4
#define LETTERS 5000

struct owner {
	struct event_base *base;
	pthread_t thread;
	unsigned next[POSTERS]; /* the number expected from each */
	unsigned opened, stranger, disorder;
};

struct note {
	struct letter letter;
	unsigned poster, number;
};

static void open_note(struct letter *letter, void *arg)
{
	struct note *note = (struct note *)letter;
	struct owner *owner = arg;
	owner->stranger += !pthread_equal(pthread_self(), owner->thread);
	owner->disorder += note->number != owner->next[note->poster];
	owner->next[note->poster] = note->number + 1;
	if (++owner->opened == POSTERS * LETTERS)
		event_base_loopbreak(owner->base);
	mem_free(&note);
}

static void post(struct mailbox *box, unsigned poster, unsigned number)
{
	struct note *note = mem_zalloc(sizeof(*note));
	*note = (struct note){.letter.open = open_note, .poster = poster, .number = number};
	mailbox_post(box, &note->letter);
}

struct poster {
	struct mailbox *box;
	unsigned index;
};

static void *post_all(void *arg)
{
	const struct poster *poster = arg;
	for (unsigned i = 0; i < LETTERS; i++)
		post(poster->box, poster->index, i);
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	struct owner owner = {.base = event_base_new(), .thread = pthread_self()};
	assert_non_null(owner.base);
	struct mailbox *box = mailbox_new(owner.base, &owner);
	struct poster posters[POSTERS];
	pthread_t threads[POSTERS];
	for (unsigned i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){box, i};
		assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
	}
	event_base_dispatch(owner.base);
	for (unsigned i = 0; i < POSTERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(owner.opened, POSTERS * LETTERS);
	assert_int_equal(owner.stranger, 0);
	assert_int_equal(owner.disorder, 0);
	mailbox_free(&box);
	assert_null(box);
	event_base_free(owner.base);
}

static void test_left_inside(void **state)
{
	(void)state;
	struct owner owner = {.base = event_base_new(), .thread = pthread_self()};
	assert_non_null(owner.base);
	struct mailbox *box = mailbox_new(owner.base, &owner);
	for (unsigned i = 0; i < 10; i++)
		post(box, 0, i);
	mailbox_free(&box);
	assert_int_equal(owner.opened, 10);
	assert_int_equal(owner.disorder, 0);
	mailbox_free(&box);
	event_base_free(owner.base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_threads),
	    cmocka_unit_test(test_left_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
