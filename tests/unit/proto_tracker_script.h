/* Scripts of a session, for the tracker's tests. A step is what one side sends: "> P B E S" for the client,
 * "< 1 2 C ZI" for the server; one letter is one message's type, with a body such as it has. Z is followed by
 * its status. "H!" is a Flush with a body. What the tracker then says is a word of letters: i idle, b
 * between, s settled, t idle in a transaction; "-" for none of them. */
#ifndef PROTO_TRACKER_SCRIPT_H
#define PROTO_TRACKER_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/tracker.h"

struct step {
	const char *messages, *says;
};
struct script {
	const char *name;
	struct step steps[16]; /* one without messages is behind the last */
};
static const struct script scripts[] = {
#include "proto_tracker_scripts.def"
};
#define SCRIPTS      (sizeof scripts / sizeof *scripts)
#define SCRIPT_BYTES 1024 /* more than any step has */

/* How long a body of each type is here. */
static inline size_t script_body(uint8_t type, bool client)
{
	if (client)
		return strchr("SHcX", type) != NULL ? 0 : (size_t)(type % 19 + 1);
	return strchr("123nsIc", type) != NULL ? 0 : type == 'Z' ? 1 : (size_t)(type % 23 + 4);
}

/* The bytes of one step; returns their count. */
static inline size_t script_bytes(const char *messages, uint8_t *out)
{
	bool client = messages[0] == '>';
	size_t n = 0;
	for (const char *p = messages + 1; *p != '\0'; p++) {
		if (*p == ' ')
			continue;
		uint8_t type = (uint8_t)*p;
		size_t body = script_body(type, client);
		if (p[1] == '!')
			body = 3;
		out[n] = type;
		frame_put32(out + n + 1, (uint32_t)body + 4);
		memset(out + n + FRAME_HEADER, 'Q', body); /* bytes that look like headers */
		if (type == 'Z' && !client)
			out[n + FRAME_HEADER] = (uint8_t) * ++p;
		else if (p[1] == '!')
			p++;
		n += FRAME_HEADER + body;
	}
	return n;
}

static inline const char *script_says(const struct tracker *t)
{
	static char text[8];
	snprintf(text, sizeof text, "%s%s%s%s", tracker_idle(t) ? "i" : "", tracker_between(t) ? "b" : "",
	    tracker_settled(t) ? "s" : "", tracker_idle_in_transaction(t) ? "t" : "");
	return text[0] != '\0' ? text : "-";
}

#endif
