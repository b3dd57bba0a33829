/* Private to the command: the keeper's side, and the tail. */
#ifndef SCHEMA_COMMAND_PRIVATE_H
#define SCHEMA_COMMAND_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "schema/command.h"

/* To the keeper: one byte. Its other word is the end of the socket: kill everything. */
enum keeper_order { KEEPER_TERMINATE = 'T', KEEPER_KILL = 'K' };

/* From the keeper. */
enum keeper_word { KEEPER_STARTED, KEEPER_REFUSED, KEEPER_ENDED };
struct keeper_message {
	int32_t word;
	int32_t value; /* the command's pid; errno of execvp; waitpid's status */
};

/* The life of the keeper, in the forked process; control, out and err are its descriptors of the command. */
struct keeper {
	int control, out, err;
	char *const *argv, *const *environment;
};
void keeper_live(const struct keeper *keeper) __attribute__((noreturn));

/* The same as valid UTF-8, other bytes and control characters (but newline and tab) as \xNN, without a
 * carriage return at a line's end. To be freed. */
char *command_clean(const char *bytes, size_t size);

/* The last bytes of a stream. */
struct tail {
	unsigned char ring[COMMAND_TAIL_BYTES];
	uint64_t seen;
};
void tail_add(struct tail *tail, const void *bytes, size_t size);
/* As command_result.tail says; the caller frees it. */
char *tail_text(const struct tail *tail);

#endif
