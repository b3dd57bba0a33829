#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "tls_session.h"

#define ERROR_BYTES 256

void tls_refuse(struct tls *tls, const char *format, ...)
{
	char text[ERROR_BYTES];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	mem_free(&tls->error);
	tls->error = mem_strdup(text);
	tls->fatal = EPROTO;
}

/* The first error queued is the nearest to the cause; those after it tell who passed it on. */
static void refuse_by_queue(struct tls *tls, const char *during)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
	int alert = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET : -1;
	if (reason == NULL && alert >= 0) {
		/* old ones have no text for the error of every alert (3.0.2: no application protocol) */
		tls_refuse(tls, "tls: refused by the peer: alert %s", SSL_alert_desc_string_long(alert));
	} else if (reason == NULL) {
		tls_refuse(tls, "tls: %s failed (error %lx)", during, code);
	} else if (ERR_GET_LIB(code) != ERR_LIB_SSL) {
		tls_refuse(tls, "tls: %s failed: %s", during, reason);
	} else if (alert >= 0) {
		tls_refuse(tls, "tls: refused by the peer: %s", reason);
	} else if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		tls_refuse(tls, "tls: %s: %s", reason,
		    X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl)));
	} else if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER) {
		tls_refuse(tls, "tls: %s (what the peer sent is not TLS)", reason);
	} else {
		tls_refuse(tls, "tls: %s", reason);
	}
}

int tls_outcome(struct tls *tls, int returned, const char *during)
{
	int why = SSL_get_error(tls->ssl, returned);
	if (why == SSL_ERROR_WANT_READ)
		return EV_READ;
	if (why == SSL_ERROR_WANT_WRITE)
		return EV_WRITE;
	if (tls->established && (why == SSL_ERROR_ZERO_RETURN || tls->ended)) {
		tls->ended = true;
		return 0;
	}
	if (why == SSL_ERROR_SSL && !tls->ended) {
		refuse_by_queue(tls, during);
	} else {
		int cause = tls->io_error;
		if (tls->ended || why == SSL_ERROR_ZERO_RETURN)
			tls_refuse(tls, "tls: the peer closed the connection during the %s", during);
		else if (cause != 0)
			tls_refuse(tls, "tls: %s failed: %s", during, strerror(cause));
		else
			tls_refuse(tls, "tls: %s failed", during);
		tls->fatal = cause != 0 ? cause : ECONNRESET;
	}
	return -1;
}

/* Whether a host is written as a number: such a name is not sent as SNI (RFC 6066) and meets iPAddress in a
 * certificate. */
static bool is_number(const char *name)
{
	unsigned char address[sizeof(struct in6_addr)];
	return strchr(name, ':') != NULL || inet_pton(AF_INET, name, address) == 1;
}

static bool prepare_client(struct tls *tls, const char *name)
{
	SSL_set_connect_state(tls->ssl);
	if (name != NULL && name[0] != '\0') {
		tls->name = mem_strdup(name);
		if (!is_number(name) && SSL_set_tlsext_host_name(tls->ssl, name) != 1)
			return false;
	} else if (tls->context->mode == TLS_VERIFY_FULL) {
		tls_refuse(tls, "tls: mode verify-full needs a host name to verify");
		return false;
	}
	/* SSL_set_alpn_protos() is 0 when it worked. */
	return !tls->direct ||
	    SSL_set_alpn_protos(tls->ssl, (const unsigned char *)TLS_ALPN, TLS_ALPN_BYTES) == 0;
}

bool tls_start(struct stream *stream, struct tls_context *context, const char *name, bool direct)
{
	struct tls *tls = mem_zalloc(sizeof(*tls));
	stream->tls = tls;
	tls->fd = stream->fd;
	tls->direct = direct;
	tls->context = tls_context_ref(context);
	tls->wants_read = EV_READ;
	tls->wants_write = EV_WRITE;
	if (context->ssl == NULL) {
		tls_refuse(tls, "tls: switched off here (mode disable)");
		return false;
	}
	ERR_clear_error();
	tls->ssl = SSL_new(context->ssl);
	BIO *bio = tls->ssl == NULL ? NULL : stream_bio(tls);
	bool ready = false;
	if (bio != NULL) {
		SSL_set_bio(tls->ssl, bio, bio);
		SSL_set_app_data(tls->ssl, tls);
		if (context->role == TLS_CLIENT) {
			ready = prepare_client(tls, name);
		} else {
			SSL_set_accept_state(tls->ssl);
			ready = true;
		}
	}
	if (!ready && tls->fatal == 0)
		refuse_by_queue(tls, "start");
	return ready;
}

/* As libpq: a number meets iPAddress, but also a certificate that gives it as dNSName or as its common name;
 * a name meets dNSName, and the common name only where there is no dNSName. Wildcards stand for one whole
 * label. */
static bool host_matches(X509 *certificate, const char *name)
{
	if (is_number(name) && X509_check_ip_asc(certificate, name, 0) == 1)
		return true;
	return X509_check_host(certificate, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

static char *common_name(X509 *certificate)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at < 0)
		return NULL;
	unsigned char *text = NULL;
	int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	char *name = NULL;
	/* A name with a zero byte inside would be read by us as another than was certified (CVE-2009-4034).
	 */
	if (size > 0 && memchr(text, '\0', (size_t)size) == NULL)
		name = mem_strndup((const char *)text, (size_t)size);
	OPENSSL_free(text);
	return name;
}

/* What the handshake of a client leaves to be checked. */
static bool accept_server(struct tls *tls)
{
	const unsigned char *protocol = NULL;
	unsigned size = 0;
	SSL_get0_alpn_selected(tls->ssl, &protocol, &size);
	if (tls->direct && size == 0) {
		tls_refuse(
		    tls, "tls: the server does not know ALPN \"postgresql\", which direct negotiation needs");
		return false;
	}
	if (tls->context->mode != TLS_VERIFY_FULL)
		return true;
	X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
	if (certificate != NULL && host_matches(certificate, tls->name))
		return true;
	char *other = certificate == NULL ? NULL : common_name(certificate);
	tls_refuse(tls, "tls: the server's certificate (CN %.64s) is not for host name \"%.100s\"",
	    other ? other : "none", tls->name);
	mem_free(&other);
	return false;
}

int tls_handshake(struct stream *stream, short *wants)
{
	struct tls *tls = stream->tls;
	if (tls->fatal != 0)
		return -1;
	ERR_clear_error();
	int returned = SSL_do_handshake(tls->ssl);
	if (returned != 1) {
		int outcome = tls_outcome(tls, returned, "handshake");
		if (outcome <= 0)
			return -1;
		*wants = (short)outcome;
		return 0;
	}
	tls->established = true;
	/* Header and body of a record by one system call instead of two. Not before: the peer's first bytes,
	 * read together with the end of its handshake, would lie inside with no event to tell of them. */
	SSL_set_read_ahead(tls->ssl, 1);
	if (tls->context->role == TLS_CLIENT && !accept_server(tls))
		return -1;
	return 1;
}

void tls_free(struct tls **at)
{
	struct tls *tls = *at;
	if (tls == NULL)
		return;
	*at = NULL;
	if (tls->ssl != NULL) {
		ERR_clear_error();
		/* Not after an error (SSL_shutdown(3)), and not into the middle of a handshake. */
		if (tls->established && tls->fatal == 0)
			SSL_shutdown(tls->ssl);
		SSL_free(tls->ssl);
		ERR_clear_error();
	}
	tls_context_unref(&tls->context);
	mem_free(&tls->name);
	mem_free(&tls->error);
	mem_free(&tls);
}

const char *tls_peer_fault(const struct stream *stream)
{
	const struct tls *tls = stream->tls;
	if (tls == NULL || !tls->established || tls->context->role != TLS_SERVER)
		return NULL;
	if (SSL_get0_peer_certificate(tls->ssl) == NULL)
		return tls->context->mode >= TLS_VERIFY_CA ? "the client has shown none" : NULL;
	long result = SSL_get_verify_result(tls->ssl);
	return result == X509_V_OK ? NULL : X509_verify_cert_error_string(result);
}

const char *tls_peer_name(const struct stream *stream)
{
	struct tls *tls = stream->tls;
	if (tls == NULL || !tls->established)
		return NULL;
	if (tls->context->role == TLS_SERVER && tls_peer_fault(stream) == NULL) {
		X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
		if (tls->name == NULL && certificate != NULL)
			tls->name = common_name(certificate);
		return tls->name;
	}
	return NULL;
}

const char *tls_describe(const struct stream *stream)
{
	static _Thread_local char text[96];
	const struct tls *tls = stream->tls;
	if (tls == NULL || !tls->established)
		return "";
	snprintf(text, sizeof(text), "%s %s", SSL_get_version(tls->ssl), SSL_get_cipher_name(tls->ssl));
	return text;
}

size_t tls_endpoint(const struct stream *stream, unsigned char hash[TLS_ENDPOINT_BYTES])
{
	const struct tls *tls = stream->tls;
	if (tls == NULL || !tls->established)
		return 0;
	X509 *certificate = tls->context->role == TLS_SERVER ? SSL_get_certificate(tls->ssl)
							     : SSL_get0_peer_certificate(tls->ssl);
	int algorithm = NID_undef;
	if (certificate == NULL || X509_get_signature_info(certificate, &algorithm, NULL, NULL, NULL) != 1)
		return 0;
	if (algorithm == NID_md5 || algorithm == NID_sha1)
		algorithm = NID_sha256; /* RFC 5929, 4.1 */
	const EVP_MD *digest = algorithm == NID_undef ? NULL : EVP_get_digestbynid(algorithm);
	unsigned size = 0;
	/* A signature that hashes by itself (Ed25519) defines no channel binding; PostgreSQL offers none
	 * then. */
	if (digest == NULL || EVP_MD_get_size(digest) > TLS_ENDPOINT_BYTES ||
	    X509_digest(certificate, digest, hash, &size) != 1)
		return 0;
	return size;
}
