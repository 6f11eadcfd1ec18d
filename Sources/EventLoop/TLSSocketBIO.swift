// How OpenSSL reaches the socket: one `recv` or `send` per call, never a signal, and no `recv` that is known to find
// nothing.
internal import COpenSSL
internal import Glibc

/// Safety: the BIO's data is an unretained `TLSSession`, which frees the BIO before it ends.
enum TLSSocketBIO {
  /// nil when OpenSSL has no memory.
  static func make(_ session: TLSSession) -> OpaquePointer? {
    guard let method = unsafe method, let bio = unsafe BIO_new(method) else { return nil }
    unsafe BIO_set_data(bio, Unmanaged.passUnretained(session).toOpaque())
    unsafe BIO_set_init(bio, 1)
    return unsafe bio
  }

  /// Made once and never changed after.
  nonisolated(unsafe) private static let method: OpaquePointer? = {
    let kind = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
    guard let method = unsafe BIO_meth_new(kind, "gateway socket") else { return nil }
    unsafe BIO_meth_set_read(method, receive)
    unsafe BIO_meth_set_write(method, send)
    unsafe BIO_meth_set_ctrl(method, control)
    return unsafe method
  }()

  private static func session(_ bio: OpaquePointer) -> TLSSession? {
    guard let data = unsafe BIO_get_data(bio) else { return nil }
    return unsafe Unmanaged<TLSSession>.fromOpaque(data).takeUnretainedValue()
  }

  private static let receive: @convention(c) (OpaquePointer?, UnsafeMutablePointer<CChar>?, Int32) -> Int32 = {
    bio, bytes, count in
    guard let bio = unsafe bio, let bytes = unsafe bytes, let session = unsafe session(bio), count > 0 else {
      return -1
    }
    unsafe openssl_bio_clear_retry(bio)
    if session.isDrained {
      unsafe openssl_bio_retry_read(bio)
      return -1
    }
    switch unsafe Socket.read(session.fd, into: UnsafeMutableRawBufferPointer(start: bytes, count: Int(count))) {
    case .bytes(let received):
      // The same rule as for plain streams: after a short read nothing is there, unless the end was announced.
      if received < Int(count), !session.isEndExpected { session.isDrained = true }
      return Int32(received)
    case .wouldBlock:
      session.isDrained = true
      unsafe openssl_bio_retry_read(bio)
      return -1
    case .end:
      session.hasSocketEnded = true
      return 0
    case .failed(let number):
      session.readFailure = number
      return -1
    }
  }

  private static let send: @convention(c) (OpaquePointer?, UnsafePointer<CChar>?, Int32) -> Int32 = {
    bio, bytes, count in
    guard let bio = unsafe bio, let bytes = unsafe bytes, let session = unsafe session(bio), count > 0 else {
      return -1
    }
    unsafe openssl_bio_clear_retry(bio)
    switch unsafe Socket.write(session.fd, UnsafeRawBufferPointer(start: bytes, count: Int(count))) {
    case .bytes(let sent): return Int32(sent)
    case .wouldBlock, .end:
      unsafe openssl_bio_retry_write(bio)
      return -1
    case .failed(let number):
      session.writeFailure = number
      return -1
    }
  }

  private static let control: @convention(c) (OpaquePointer?, Int32, Int, UnsafeMutableRawPointer?) -> Int = {
    bio, command, _, _ in
    switch command {
    case BIO_CTRL_FLUSH: return 1
    case BIO_CTRL_EOF:
      guard let bio = unsafe bio, let session = unsafe session(bio) else { return 1 }
      return session.hasSocketEnded ? 1 : 0
    default: return 0
    }
  }
}
