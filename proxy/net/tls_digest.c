#include <openssl/evp.h>

#include "base/log.h"
#include "net/digest.h"

void digest_sha256(const void *bytes, size_t size, unsigned char out[32])
{
	if (EVP_Digest(bytes, size, out, NULL, EVP_sha256(), NULL) != 1)
		log_fatal("OpenSSL has no SHA-256");
}
