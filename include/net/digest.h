/* SHA-256, for the checksums of migrations: OpenSSL's, which no other room may name. */
#ifndef NET_DIGEST_H
#define NET_DIGEST_H

#include <stddef.h>

void digest_sha256(const void *bytes, size_t size, unsigned char out[32]);

#endif
