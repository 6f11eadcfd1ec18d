// OpenSSL, with its function-like macros and cast constants as typed functions and values. The system's declarations
// that it includes stay with Swift's own module, for which they are named first.
#pragma once
#if __has_include(<SwiftGlibc.h>)
#include <SwiftGlibc.h>
#endif
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static const uint64_t OPENSSL_OP_IGNORE_UNEXPECTED_EOF = SSL_OP_IGNORE_UNEXPECTED_EOF,
                      OPENSSL_OP_NO_RENEGOTIATION = SSL_OP_NO_RENEGOTIATION,
                      OPENSSL_OP_NO_COMPRESSION = SSL_OP_NO_COMPRESSION;

static inline int openssl_ctx_set_min_version(SSL_CTX *ctx, int version) {
  return SSL_CTX_set_min_proto_version(ctx, version);
}
static inline int openssl_ctx_set_max_version(SSL_CTX *ctx, int version) {
  return SSL_CTX_set_max_proto_version(ctx, version);
}
static inline void openssl_ctx_set_mode(SSL_CTX *ctx, long mode) { SSL_CTX_set_mode(ctx, mode); }
static inline void openssl_ctx_set_read_ahead(SSL_CTX *ctx, int on) { SSL_CTX_set_read_ahead(ctx, on); }
static inline void openssl_ctx_set_session_cache_mode(SSL_CTX *ctx, long mode) {
  SSL_CTX_set_session_cache_mode(ctx, mode);
}
static inline int openssl_set_server_name(SSL *ssl, const char *name) { return (int)SSL_set_tlsext_host_name(ssl, name); }
static inline void openssl_bio_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void openssl_bio_retry_write(BIO *bio) { BIO_set_retry_write(bio); }
static inline void openssl_bio_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }
