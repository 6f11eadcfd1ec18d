// One TLS connection: the handshake, records in and out, and how it ended. Driven by its `Stream`.
internal import COpenSSL
internal import Glibc

/// The client's side of one TLS connection. Confined to its loop.
///
/// Safety: owns `ssl`, which owns the BIO that points back here; both are freed in `deinit`.
@safe
package final class TLSSession {
  /// What a call came to.
  enum Outcome {
    case bytes(Int)
    case wouldBlock
    /// - Parameter clean: the peer said that nothing more follows; false when its connection just ended.
    case end(clean: Bool)
    case failed(StreamError)
  }

  private let context: TLSClientContext
  private let ssl: OpaquePointer
  private let key: TLSSessionCache.Key

  private(set) var fd: Int32 = -1
  /// The socket is known to hold nothing more.
  var isDrained = false
  /// The peer ended its direction, so that the socket is to be read until it says so.
  var isEndExpected = false
  var hasSocketEnded = false
  var readFailure: Int32 = 0
  var writeFailure: Int32 = 0
  /// Reading waits until something can be sent (an answer to a key update), or the other way round.
  private(set) var isReadAwaitingWrite = false
  private(set) var isWriteAwaitingRead = false
  /// How reading ended: told again as often as it is asked.
  private var readEnd: Outcome?
  private var isBroken = false

  /// - Parameters:
  ///   - serverName: what the certificate must be for; sent as SNI unless it is an address literal (RFC 6066, 3).
  ///   - port: with the name, the key under which sessions are resumed.
  package init(_ context: TLSClientContext, serverName: String, port: UInt16) throws(TLSError) {
    let name = serverName.hasSuffix(".") ? String(serverName.dropLast()) : serverName
    self.context = context
    key = TLSSessionCache.Key(name: name.lowercased(), port: port)
    ERR_clear_error()
    guard let ssl = unsafe SSL_new(context.pointer) else { throw TLSError.fromQueue(otherwise: .library) }
    unsafe self.ssl = ssl
    guard let bio = unsafe TLSSocketBIO.make(self) else { throw TLSError.fromQueue(otherwise: .library) }
    unsafe SSL_set_bio(ssl, bio, bio)
    unsafe SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
    unsafe SSL_set_connect_state(ssl)
    try expect(name)
    if let known = context.sessions.take(key) { unsafe SSL_set_session(ssl, known.pointer) }
  }

  deinit { unsafe SSL_free(ssl) }

  /// Has the peer's certificate checked for the name.
  private func expect(_ name: String) throws(TLSError) {
    // A NUL would end the name early for OpenSSL, and an empty one means any name.
    guard !name.isEmpty, !name.utf8.contains(0) else { throw TLSError(.library, "not a name to verify") }
    let isSet: Bool
    if IPAddress(name) != nil {
      isSet = unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1
    } else {
      unsafe SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
      isSet = unsafe SSL_set1_host(ssl, name) == 1 && openssl_set_server_name(ssl, name) == 1
    }
    if !isSet { throw TLSError.fromQueue(otherwise: .library) }
  }

  /// The session that an SSL object belongs to.
  static func of(_ ssl: OpaquePointer) -> TLSSession? {
    guard let data = unsafe SSL_get_ex_data(ssl, 0) else { return nil }
    return unsafe Unmanaged<TLSSession>.fromOpaque(data).takeUnretainedValue()
  }

  func keep(_ session: ResumableSession) { context.sessions.put(session, for: key) }

  /// The handshake was an abbreviated one.
  package var isResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }

  /// For example `TLSv1.3`.
  package var version: String { unsafe String(cString: SSL_get_version(ssl)) }

  func attach(_ fd: Int32) { self.fd = fd }

  /// The socket has something to read.
  func noteReadable(isEnding: Bool) {
    isDrained = false
    if isEnding { isEndExpected = true }
  }

  /// Goes on with the handshake. `bytes` means that it is complete.
  func handshake() -> Outcome {
    ERR_clear_error()
    let result = unsafe SSL_do_handshake(ssl)
    if result == 1 { return .bytes(0) }
    let kind = unsafe SSL_get_error(ssl, result)
    if kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE { return .wouldBlock }
    isBroken = true
    if let error = unsafe TLSError.fromVerification(SSL_get_verify_result(ssl)) {
      ERR_clear_error()
      return .failed(.tls(error))
    }
    if kind == SSL_ERROR_SSL { return .failed(.tls(TLSError.fromQueue())) }
    if readFailure != 0 { return .failed(.system(SystemError("recv", errno: readFailure))) }
    if writeFailure != 0 { return .failed(.system(SystemError("send", errno: writeFailure))) }
    return .failed(.tls(TLSError(.handshakeClosed, "the peer closed the connection in the handshake")))
  }

  /// The plain text of at most one record.
  func read(into buffer: UnsafeMutableRawBufferPointer) -> Outcome {
    if let readEnd { return readEnd }
    isReadAwaitingWrite = false
    ERR_clear_error()
    let count = unsafe SSL_read(ssl, buffer.baseAddress, Int32(clamping: buffer.count))
    if count > 0 { return .bytes(Int(count)) }
    let outcome: Outcome
    switch unsafe SSL_get_error(ssl, count) {
    case SSL_ERROR_WANT_READ: return .wouldBlock
    case SSL_ERROR_WANT_WRITE:
      isReadAwaitingWrite = true
      return .wouldBlock
    case SSL_ERROR_ZERO_RETURN: outcome = .end(clean: !hasSocketEnded)
    case SSL_ERROR_SYSCALL where readFailure != 0:
      isBroken = true
      outcome = .failed(.system(SystemError("recv", errno: readFailure)))
    case SSL_ERROR_SYSCALL where writeFailure != 0:
      isBroken = true
      outcome = .failed(.system(SystemError("send", errno: writeFailure)))
    default:
      isBroken = true
      outcome = hasSocketEnded ? .end(clean: false) : .failed(.tls(TLSError.fromQueue()))
    }
    readEnd = outcome
    return outcome
  }

  /// Sends at most one record. After `wouldBlock` the next call must start with the same bytes; more may follow them.
  func write(_ bytes: UnsafeRawBufferPointer) -> Outcome {
    isWriteAwaitingRead = false
    ERR_clear_error()
    let count = unsafe SSL_write(ssl, bytes.baseAddress, Int32(clamping: bytes.count))
    if count > 0 { return .bytes(Int(count)) }
    switch unsafe SSL_get_error(ssl, count) {
    case SSL_ERROR_WANT_WRITE: return .wouldBlock
    case SSL_ERROR_WANT_READ:
      isWriteAwaitingRead = true
      return .wouldBlock
    case SSL_ERROR_SYSCALL where writeFailure != 0:
      return .failed(.system(SystemError("send", errno: writeFailure)))
    default:
      isBroken = true
      return .failed(.tls(TLSError.fromQueue()))
    }
  }

  /// Tells the peer that nothing more follows, as far as the socket takes it at once.
  func sayGoodbye() {
    let isComplete = unsafe SSL_is_init_finished(ssl) == 1
    if isBroken || writeFailure != 0 || !isComplete { return }
    ERR_clear_error()
    unsafe SSL_shutdown(ssl)
    ERR_clear_error()
  }

  /// The descriptor is about to be closed.
  func detach() {
    // Freeing a connection that did not say goodbye would make its session, which is still good, not resumable.
    if !isBroken { unsafe SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN) }
    fd = -1
  }
}
