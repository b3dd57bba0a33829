#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "tls_session.h"

struct failure {
	char *text;
	size_t size;
};

static bool fail(const struct failure *failure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool fail(const struct failure *failure, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(failure->text, failure->size, format, args);
	va_end(args);
	return false;
}

static const char *queue_reason(void)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);
	if (ERR_SYSTEM_ERROR(code))
		reason = strerror(ERR_GET_REASON(code));
	return reason != NULL ? reason : "it is not usable";
}

/* A file that cannot be opened is the commonest mistake, and OpenSSL words it badly. */
static bool readable(const struct failure *failure, const char *what, const char *path)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return fail(failure, "cannot read the %s %s: %s", what, path, strerror(errno));
	fclose(file);
	return true;
}

/* PostgreSQL's rule, so that the key files of its servers and clients serve here as they are. */
static bool key_is_private(const struct failure *failure, const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return fail(failure, "cannot read the private key %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(failure, "the private key %s is not a regular file", path);
	if (geteuid() != 0 && st.st_uid != 0 && st.st_uid != geteuid())
		return fail(failure,
		    "the private key %s must be owned by the user that headgate runs as, or by root", path);
	if (st.st_mode & (st.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO))
		return fail(failure,
		    "others may read the private key %s: it must have mode 0600, or 0640 if root owns it "
		    "(chmod 0600 %s)",
		    path, path);
	return true;
}

/* The default would ask on the terminal. Notes that it was asked. */
static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
	(void)buffer;
	(void)size;
	(void)writing;
	*(bool *)arg = true;
	return -1;
}

static bool load_identity(SSL_CTX *ssl, const struct conf_tls *conf, const struct failure *failure)
{
	if (conf->cert == NULL || conf->key == NULL)
		return fail(failure, "a certificate and its private key belong together: %s is missing",
		    conf->cert == NULL ? "tls.cert" : "tls.key");
	if (!readable(failure, "certificate", conf->cert))
		return false;
	if (SSL_CTX_use_certificate_chain_file(ssl, conf->cert) != 1)
		return fail(failure, "cannot use the certificate %s: %s", conf->cert, queue_reason());
	if (!key_is_private(failure, conf->key) || !readable(failure, "private key", conf->key))
		return false;
	bool locked = false;
	SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(ssl, &locked);
	bool loaded = SSL_CTX_use_PrivateKey_file(ssl, conf->key, SSL_FILETYPE_PEM) == 1;
	SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL);
	unsigned long code = ERR_peek_error();
	if (locked)
		return fail(failure, "the private key %s is protected by a passphrase: give one that is not",
		    conf->key);
	if (loaded ? SSL_CTX_check_private_key(ssl) != 1
		   : ERR_GET_LIB(code) == ERR_LIB_X509 && ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH)
		return fail(failure, "the private key %s does not belong to the certificate %s", conf->key,
		    conf->cert);
	if (!loaded)
		return fail(failure, "cannot use the private key %s: %s", conf->key, queue_reason());
	return true;
}

/* A listener finishes the handshake whatever is wrong with the client's certificate; tls_peer_fault() tells
 * of it. By TLS 1.3 an alert would come after the client has sent its startup packet: the close behind it
 * resets the connection, and most drivers would never read why. */
static int judged_later(int good, X509_STORE_CTX *store)
{
	(void)good, (void)store;
	return 1;
}

/* As libpq and PostgreSQL: a `ca` that is given is used, whatever the mode says; the verify modes insist on
 * what it proves. */
static bool load_trust(
    SSL_CTX *ssl, const struct conf_tls *conf, enum tls_role role, const struct failure *failure)
{
	if (conf->ca == NULL) {
		if (conf->mode >= TLS_VERIFY_CA)
			return fail(failure, "mode %s needs tls.ca, the certificates to trust",
			    conf->mode == TLS_VERIFY_CA ? "verify-ca" : "verify-full");
		if (conf->crl != NULL)
			return fail(failure, "tls.crl %s has no effect without tls.ca", conf->crl);
		SSL_CTX_set_verify(ssl, SSL_VERIFY_NONE, NULL);
		return true;
	}
	if (!readable(failure, "file of trusted certificates", conf->ca))
		return false;
	if (SSL_CTX_load_verify_file(ssl, conf->ca) != 1)
		return fail(
		    failure, "cannot use the trusted certificates in %s: %s", conf->ca, queue_reason());
	int verify = SSL_VERIFY_PEER;
	if (role == TLS_SERVER) {
		/* The list is sent to clients, which choose their certificate by it. */
		STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(conf->ca);
		if (names == NULL)
			return fail(failure, "cannot use the trusted certificates in %s: %s", conf->ca,
			    queue_reason());
		SSL_CTX_set_client_CA_list(ssl, names);
	}
	SSL_CTX_set_verify(ssl, verify, role == TLS_SERVER ? judged_later : NULL);
	if (conf->crl == NULL)
		return true;
	X509_STORE *store = SSL_CTX_get_cert_store(ssl);
	if (!readable(failure, "revocation list", conf->crl))
		return false;
	if (X509_STORE_load_file(store, conf->crl) != 1)
		return fail(failure, "cannot use the revocation list %s: %s", conf->crl, queue_reason());
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return true;
}

static bool set_lists(SSL_CTX *ssl, const struct conf_tls *conf, const struct failure *failure)
{
	int floor = conf->min_version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
	if (SSL_CTX_set_min_proto_version(ssl, floor) != 1)
		return fail(failure, "cannot set the lowest TLS version: %s", queue_reason());
	if (conf->ciphers != NULL && SSL_CTX_set_cipher_list(ssl, conf->ciphers) != 1)
		return fail(failure, "tls.ciphers: no cipher that OpenSSL knows in \"%s\"", conf->ciphers);
	if (conf->ciphersuites != NULL && SSL_CTX_set_ciphersuites(ssl, conf->ciphersuites) != 1)
		return fail(
		    failure, "tls.ciphersuites: not all known to OpenSSL: \"%s\"", conf->ciphersuites);
	if (conf->groups != NULL && SSL_CTX_set1_groups_list(ssl, conf->groups) != 1)
		return fail(failure, "tls.groups: not all known to OpenSSL: \"%s\"", conf->groups);
	return true;
}

/* Only in a ClientHello can the missing of an extension be answered by an alert: the callback for ALPN runs
 * only where it was offered. */
static int client_hello(SSL *ssl, int *alert, void *arg)
{
	(void)arg;
	const struct tls *tls = SSL_get_app_data(ssl);
	const unsigned char *extension;
	size_t size;
	if (tls == NULL || !tls->direct)
		return SSL_CLIENT_HELLO_SUCCESS;
	if (SSL_client_hello_get0_ext(
		ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &extension, &size) == 1)
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	ERR_raise(ERR_LIB_SSL, SSL_R_NO_APPLICATION_PROTOCOL);
	return SSL_CLIENT_HELLO_ERROR;
}

/* As PostgreSQL 17: who offers ALPN must offer "postgresql", else a page could make a browser speak to us
 * (RFC 7301; ALPACA). */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size,
    const unsigned char *offered, unsigned offered_size, void *arg)
{
	(void)ssl;
	(void)arg;
	unsigned char *found = NULL;
	int outcome = SSL_select_next_proto(
	    &found, chosen_size, (const unsigned char *)TLS_ALPN, TLS_ALPN_BYTES, offered, offered_size);
	*chosen = found;
	return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void set_habits(SSL_CTX *ssl, enum tls_role role)
{
	/* RELEASE_BUFFERS: an idle session keeps no 16 KiB buffers. The others: how stream_write() is allowed
	 * to be called. */
	SSL_CTX_set_mode(ssl,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* Without AUTO_RETRY a read ends after a message that carries no data; with it, a peer that sends key
	 * updates as fast as we work them off would keep a worker inside one call for good. */
	SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
	/* No tickets and no cache, as PostgreSQL: libpq resumes no session, tickets cost work in each
	 * handshake and memory after it, and a resumed session would not look at the revocation list again.
	 */
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	if (role == TLS_SERVER) {
		SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
		SSL_CTX_set_num_tickets(ssl, 0);
		SSL_CTX_set_dh_auto(ssl, 1);
		SSL_CTX_set_client_hello_cb(ssl, client_hello, NULL);
		SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
	}
}

struct tls_context *tls_context_new(
    const struct conf_tls *conf, enum tls_role role, char *error, size_t error_size)
{
	const struct failure failure = {error, error_size};
	struct tls_context *context = mem_zalloc(sizeof(*context));
	atomic_init(&context->references, 1);
	context->role = role;
	context->mode = conf->mode;
	if (conf->mode == TLS_DISABLE)
		return context;
	ERR_clear_error();
	bool good = false;
	context->ssl = SSL_CTX_new(role == TLS_SERVER ? TLS_server_method() : TLS_client_method());
	if (context->ssl == NULL) {
		fail(&failure, "cannot prepare TLS: %s", queue_reason());
	} else {
		bool named = role == TLS_SERVER || conf->cert != NULL || conf->key != NULL;
		set_habits(context->ssl, role);
		good = set_lists(context->ssl, conf, &failure) &&
		    (!named || load_identity(context->ssl, conf, &failure)) &&
		    load_trust(context->ssl, conf, role, &failure);
	}
	ERR_clear_error();
	if (!good)
		tls_context_unref(&context);
	return context;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
	atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
	return context;
}

void tls_context_unref(struct tls_context **at)
{
	struct tls_context *context = *at;
	*at = NULL;
	if (context == NULL || atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(context->ssl);
	mem_free(&context);
}
