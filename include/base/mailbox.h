/* A mailbox: how threads speak to each other. A queue under a mutex and an eventfd that wakes the owner's
 * event loop. Letters are delivered in the order posted, in the owner's thread, several a wake-up. */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

struct event_base;
struct mailbox;

/* A letter is embedded at the start of the poster's own struct; `open` runs in the owner's thread with the
 * owner's `arg` and frees the letter. */
struct letter {
	struct letter *next;
	void (*open)(struct letter *letter, void *arg);
};

struct mailbox *mailbox_new(struct event_base *base, void *arg);

/* From any thread. The mailbox owns the letter from here on. Never blocks for longer than the queue's mutex.
 */
void mailbox_post(struct mailbox *box, struct letter *letter);

/* In the owner's thread, with no poster left. Letters still inside are opened first. */
void mailbox_free(struct mailbox **box);

#endif
