// What all TLS connections to peers under one set of certificate authorities share.
internal import COpenSSL

/// The settings, authorities and resumable sessions of outgoing TLS connections. Made once per `ca_file`, shared by
/// all loops: TLS 1.2 or newer, peer and name verified, `http/1.1` offered.
///
/// Safety: SSL_CTX counts its references atomically and is not changed after `init`.
@safe
package final class TLSClientContext: @unchecked Sendable {
  let pointer: OpaquePointer
  let sessions = TLSSessionCache()

  /// Room for two full records, so that bulk data takes one call for two of them.
  private static let readBuffer = 2 * (16 * 1024 + 512)

  /// - Parameter caFile: a PEM bundle of authorities; nil for those of the system. A bundle is read once per process.
  /// - Throws: `trust_store` when the bundle cannot be read or holds no certificate.
  package init(caFile: String? = nil) throws(TLSError) {
    let store = try TLSTrustStore.shared(caFile: caFile)
    ERR_clear_error()
    guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
      throw TLSError.fromQueue(otherwise: .library)
    }
    unsafe pointer = context
    unsafe SSL_CTX_set1_cert_store(context, store.pointer)
    unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    unsafe openssl_ctx_set_mode(
      context,
      Int(SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER))
    // An end without close_notify is told by `TLSSession` itself: sending must stay possible after it.
    unsafe SSL_CTX_set_options(
      context, OPENSSL_OP_IGNORE_UNEXPECTED_EOF | OPENSSL_OP_NO_RENEGOTIATION | OPENSSL_OP_NO_COMPRESSION)
    unsafe openssl_ctx_set_read_ahead(context, 1)
    unsafe SSL_CTX_set_default_read_buffer_len(context, Self.readBuffer)
    unsafe openssl_ctx_set_session_cache_mode(context, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL))
    unsafe SSL_CTX_sess_set_new_cb(context, Self.sessionCame)
    let offered: [UInt8] = [8] + Array("http/1.1".utf8)
    // SSL_CTX_set_alpn_protos is the one that returns 0 for success.
    guard unsafe openssl_ctx_set_min_version(context, TLS1_2_VERSION) == 1,
      unsafe SSL_CTX_set_alpn_protos(context, offered, UInt32(offered.count)) == 0
    else { throw TLSError.fromQueue(otherwise: .library) }
  }

  deinit { unsafe SSL_CTX_free(pointer) }

  /// Returns 1 when it keeps the reference to the session. In TLS 1.3 it is called while reading.
  private static let sessionCame: @convention(c) (OpaquePointer?, OpaquePointer?) -> Int32 = { ssl, session in
    guard let ssl = unsafe ssl, let session = unsafe session, let owner = unsafe TLSSession.of(ssl) else { return 0 }
    owner.keep(unsafe ResumableSession(owning: session))
    return 1
  }
}

/// Whom a connection speaks TLS with.
package struct TLSTarget: Sendable {
  package var context: TLSClientContext
  /// The name, or address literal, that the peer's certificate must have. A trailing dot does not count.
  package var serverName: String

  package init(context: TLSClientContext, serverName: String) {
    self.context = context
    self.serverName = serverName
  }
}
