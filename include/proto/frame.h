/* Message headers: one type byte and a big-endian length that counts itself (PostgreSQL documentation,
 * "Message Formats"). */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stdint.h>

#define FRAME_HEADER 5
/* 1 GiB: the longest message PostgreSQL sends or takes (PQ_LARGE_MESSAGE_LIMIT, MaxAllocSize). */
#define FRAME_BYTES UINT32_C(0x40000000)

static inline uint32_t frame_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void frame_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

#endif
