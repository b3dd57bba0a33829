/* Certificates for the tests of TLS, made by libcrypto in a temporary folder, and a handshake between two
 * streams in one thread. */
#ifndef NET_TLS_CERTS_H
#define NET_TLS_CERTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/tls.h"

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

struct wish {
	const char *name;              /* of the files: NAME.crt, NAME.key */
	const char *common_name;       /* NULL: none */
	const char *san;               /* as openssl.cnf has it, or NULL */
	const struct identity *issuer; /* NULL: signs itself, and is an authority */
	int from_days, to_days;
	const EVP_MD *digest; /* NULL with own_digest: the key's own (Ed25519) */
	bool ed25519;
	bool authority;
};

static char certs_dir[] = "/tmp/headgate-tls-XXXXXX";
static struct identity certs_ca, certs_other;

/* "server.crt" to its path; the text lives as long as the program. */
static inline char *certs_path(const char *file)
{
	static char texts[64][300];
	static unsigned next;
	char *text = texts[next++ % 64];
	snprintf(text, sizeof(texts[0]), "%s/%s", certs_dir, file);
	return text;
}

static FILE *certs_open(const char *name, const char *suffix)
{
	char file[64];
	snprintf(file, sizeof(file), "%s%s", name, suffix);
	FILE *f = fopen(certs_path(file), "we");
	assert_non_null(f);
	assert_int_equal(0, fchmod(fileno(f), 0600));
	return f;
}

static void certs_extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	assert_non_null(extension);
	assert_int_equal(1, X509_add_ext(certificate, extension, -1));
	X509_EXTENSION_free(extension);
}

static struct identity certs_issue(struct wish wish)
{
	static long serial = 100;
	struct identity made;
	made.key = wish.ed25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_EC_gen("P-256");
	assert_non_null(made.key);
	made.certificate = X509_new();
	X509_set_version(made.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial++);
	X509_gmtime_adj(X509_getm_notBefore(made.certificate), (long)wish.from_days * 86400);
	X509_gmtime_adj(
	    X509_getm_notAfter(made.certificate), (long)(wish.to_days ? wish.to_days : 30) * 86400);
	X509_set_pubkey(made.certificate, made.key);
	if (wish.common_name != NULL)
		X509_NAME_add_entry_by_NID(X509_get_subject_name(made.certificate), NID_commonName,
		    MBSTRING_UTF8, (const unsigned char *)wish.common_name, -1, -1, 0);
	X509 *issuer = wish.issuer ? wish.issuer->certificate : made.certificate;
	X509_set_issuer_name(made.certificate, X509_get_subject_name(issuer));
	certs_extend(made.certificate, issuer, NID_basic_constraints,
	    wish.issuer == NULL || wish.authority ? "critical,CA:TRUE" : "CA:FALSE");
	certs_extend(made.certificate, issuer, NID_subject_key_identifier, "hash");
	if (wish.san != NULL)
		certs_extend(made.certificate, issuer, NID_subject_alt_name, wish.san);
	EVP_PKEY *signer = wish.issuer ? wish.issuer->key : made.key;
	const EVP_MD *digest = EVP_PKEY_is_a(signer, "ED25519") ? NULL
	    : wish.digest                                       ? wish.digest
								: EVP_sha256();
	assert_true(X509_sign(made.certificate, signer, digest) > 0);
	FILE *f = certs_open(wish.name, ".crt");
	PEM_write_X509(f, made.certificate);
	fclose(f);
	f = certs_open(wish.name, ".key");
	PEM_write_PrivateKey(f, made.key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	return made;
}

static void certs_drop(struct identity made)
{
	EVP_PKEY_free(made.key);
	X509_free(made.certificate);
}

/* A list of the CA that revokes `certificate`. */
static void certs_revoke(const char *name, X509 *certificate)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -86400), *later = X509_gmtime_adj(NULL, 86400 * 30);
	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(certs_ca.certificate));
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, later);
	X509_REVOKED *revoked = X509_REVOKED_new();
	X509_REVOKED_set_serialNumber(revoked, X509_get_serialNumber(certificate));
	X509_REVOKED_set_revocationDate(revoked, now);
	X509_CRL_add0_revoked(crl, revoked);
	assert_true(X509_CRL_sign(crl, certs_ca.key, EVP_sha256()) > 0);
	FILE *f = certs_open(name, ".crl");
	PEM_write_X509_CRL(f, crl);
	fclose(f);
	X509_CRL_free(crl);
	ASN1_TIME_free(now);
	ASN1_TIME_free(later);
}

/* Everything that the tests use: ca, other (a second authority), server, wild, plain-name, number, expired,
 * early, foreign (of the other authority), alice, mallory (of the other authority), bob with bob.crl,
 * ed25519, sha1, sha384. */
static int certs_make(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(certs_dir));
	certs_ca = certs_issue((struct wish){.name = "ca", .common_name = "headgate test ca"});
	certs_other = certs_issue((struct wish){.name = "other", .common_name = "another test ca"});
	const struct wish wishes[] = {
	    {.name = "server",
		.common_name = "db.test",
		.san = "DNS:db.test,IP:127.0.0.1,IP:::1",
		.issuer = &certs_ca},
	    {.name = "wild", .common_name = "wild.test", .san = "DNS:*.wild.test", .issuer = &certs_ca},
	    {.name = "plain-name", .common_name = "cn.test", .issuer = &certs_ca},
	    {.name = "number", .common_name = "127.0.0.1", .issuer = &certs_ca},
	    {.name = "expired",
		.common_name = "db.test",
		.issuer = &certs_ca,
		.from_days = -9,
		.to_days = -2},
	    {.name = "early", .common_name = "db.test", .issuer = &certs_ca, .from_days = 2},
	    {.name = "foreign", .common_name = "db.test", .issuer = &certs_other},
	    {.name = "alice", .common_name = "alice", .issuer = &certs_ca},
	    {.name = "mallory", .common_name = "alice", .issuer = &certs_other},
	    {.name = "nameless", .issuer = &certs_ca, .san = "DNS:nameless.test"},
	    {.name = "sha384", .common_name = "db.test", .issuer = &certs_ca, .digest = EVP_sha384()},
	    {.name = "sha1", .common_name = "db.test", .issuer = &certs_ca, .digest = EVP_sha1()},
	    {.name = "ed25519", .common_name = "db.test", .ed25519 = true},
	};
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		certs_drop(certs_issue(wishes[i]));
	struct identity bob =
	    certs_issue((struct wish){.name = "bob", .common_name = "bob", .issuer = &certs_ca});
	certs_revoke("bob", bob.certificate);
	certs_drop(bob);
	return 0;
}

static int certs_remove(void **state)
{
	(void)state;
	DIR *dir = opendir(certs_dir);
	assert_non_null(dir);
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
		if (entry->d_name[0] != '.')
			unlink(certs_path(entry->d_name));
	closedir(dir);
	rmdir(certs_dir);
	certs_drop(certs_ca);
	certs_drop(certs_other);
	return 0;
}

static inline struct tls_context *certs_context(struct conf_tls conf, enum tls_role role)
{
	char error[512] = "";
	struct tls_context *context = tls_context_new(&conf, role, error, sizeof(error));
	if (context == NULL)
		fail_msg("no context: %s", error);
	return context;
}

static inline struct tls_context *certs_server_context(const char *name)
{
	char cert[40], key[40];
	snprintf(cert, sizeof(cert), "%s.crt", name);
	snprintf(key, sizeof(key), "%s.key", name);
	return certs_context(
	    (struct conf_tls){.mode = TLS_PREFER, .cert = certs_path(cert), .key = certs_path(key)},
	    TLS_SERVER);
}

static inline struct tls_context *certs_client_context(void)
{
	return certs_context((struct conf_tls){.mode = TLS_REQUIRE}, TLS_CLIENT);
}

static inline void certs_pair(struct stream *one, struct stream *other)
{
	int fds[2];
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
	*one = (struct stream){.fd = fds[0]};
	*other = (struct stream){.fd = fds[1]};
}

/* Runs both handshakes until each is done or has failed: 1 or -1 each. */
static inline void certs_shake(struct stream *server, struct stream *client, int *server_end, int *client_end)
{
	*server_end = *client_end = 0;
	for (int turn = 0; turn < 200 && (*server_end == 0 || *client_end == 0); turn++) {
		short wants;
		if (*client_end == 0)
			*client_end = tls_handshake(client, &wants);
		if (*server_end == 0)
			*server_end = tls_handshake(server, &wants);
		/* who has failed hangs up, as its owner would */
		if (*client_end < 0)
			shutdown(client->fd, SHUT_WR);
		if (*server_end < 0)
			shutdown(server->fd, SHUT_WR);
	}
	assert_int_not_equal(0, *server_end);
	assert_int_not_equal(0, *client_end);
}

/* Two streams that have shaken hands. */
static inline void certs_session(struct stream *server, struct stream *client,
    struct tls_context *server_context, struct tls_context *client_context)
{
	int server_end, client_end;
	certs_pair(server, client);
	assert_true(tls_start(server, server_context, NULL, false));
	assert_true(tls_start(client, client_context, "db.test", false));
	certs_shake(server, client, &server_end, &client_end);
	assert_int_equal(1, server_end);
	assert_int_equal(1, client_end);
}

#endif
