// A TLS server on a thread of its own, with blocking calls, that does what a test's script says with each connection.
import COpenSSL
import Glibc
import Synchronization

@testable import EventLoop

/// One accepted connection, on the server's thread. Every wait ends after 20 s.
///
/// Safety: owns the SSL object until `deinit`.
@safe
final class TLSPeer {
  let fd: Int32
  private let ssl: OpaquePointer

  init?(_ fd: Int32, _ context: OpaquePointer) {
    self.fd = fd
    guard let ssl = unsafe SSL_new(context) else { return nil }
    unsafe self.ssl = ssl
    unsafe SSL_set_fd(ssl, fd)
  }

  deinit { unsafe SSL_free(ssl) }

  func handshake() -> Bool { unsafe SSL_accept(ssl) == 1 }

  /// One record at most; empty at the end, nil when there was no close_notify.
  func read(_ size: Int = 1 << 16) -> [UInt8]? {
    ERR_clear_error()
    var buffer = [UInt8](repeating: 0, count: size)
    let count = unsafe SSL_read(ssl, &buffer, Int32(size))
    if count > 0 { return Array(buffer.prefix(Int(count))) }
    return unsafe SSL_get_error(ssl, count) == SSL_ERROR_ZERO_RETURN ? [] : nil
  }

  func read(exactly count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count, let more = read(count - bytes.count), !more.isEmpty { bytes += more }
    return bytes
  }

  @discardableResult
  func write(_ bytes: [UInt8]) -> Bool { unsafe SSL_write(ssl, bytes, Int32(bytes.count)) == Int32(bytes.count) }

  @discardableResult
  func write(_ text: String) -> Bool { write(Array(text.utf8)) }

  func sayGoodbye() { unsafe SSL_shutdown(ssl) }

  /// Asks for new keys in both directions.
  func updateKeys() { unsafe SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) }

  var isResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }

  var serverName: String? {
    guard let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else { return nil }
    return unsafe String(cString: name)
  }
}

/// Accepts until it is let go.
final class TLSServer: Sendable {
  struct Options {
    var certificate: CertificateFiles
    /// Versions of TLS, for example `TLS1_2_VERSION`.
    var versions: ClosedRange<Int32> = TLS1_2_VERSION...TLS1_3_VERSION
    var address = loopback
  }

  let address: SocketAddress
  private let core: TLSServerCore
  private let thread: LoopThread.Handle

  /// - Parameters:
  ///   - plain: called before the handshake; false leaves it out.
  ///   - script: what to do after the handshake; the connection is closed, without a word, when it returns.
  init(
    _ options: Options, plain: @escaping @Sendable (Int32) -> Bool = { _ in true },
    script: @escaping @Sendable (TLSPeer) -> Void
  ) throws {
    let core = try TLSServerCore(options)
    self.core = core
    address = try Socket.localAddress(core.listening)
    thread = try LoopThread.start(name: "tls server") { core.serve(plain, script) }
  }

  deinit {
    core.stop()
    thread.join()
  }
}

/// What the server's thread works with.
///
/// Safety: `context` is not changed after `init`, and lives as long as this object, which the thread holds.
@safe
private final class TLSServerCore: @unchecked Sendable {
  let listening: Int32
  private let context: OpaquePointer
  private let isStopping = Atomic(false)

  init(_ options: TLSServer.Options) throws {
    guard let context = unsafe SSL_CTX_new(TLS_server_method()) else { throw SystemError("SSL_CTX_new", errno: ENOMEM) }
    unsafe self.context = context
    listening = try Socket.listen(on: options.address)
    if options.versions.lowerBound < TLS1_2_VERSION { unsafe SSL_CTX_set_security_level(context, 0) }
    guard unsafe openssl_ctx_set_min_version(context, options.versions.lowerBound) == 1,
      unsafe openssl_ctx_set_max_version(context, options.versions.upperBound) == 1,
      unsafe SSL_CTX_use_certificate_chain_file(context, options.certificate.certificate) == 1,
      unsafe SSL_CTX_use_PrivateKey_file(context, options.certificate.key, SSL_FILETYPE_PEM) == 1
    else { throw SystemError("SSL_CTX", errno: EINVAL) }
  }

  deinit {
    Socket.close(listening)
    unsafe SSL_CTX_free(context)
  }

  func stop() { isStopping.store(true, ordering: .releasing) }

  func serve(_ plain: (Int32) -> Bool, _ script: (TLSPeer) -> Void) {
    while !isStopping.load(ordering: .acquiring) {
      var waiting = pollfd(fd: listening, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&waiting, 1, 10) > 0, let (fd, _) = try? Socket.accept(listening) else { continue }
      _ = fcntl(fd, F_SETFL, 0)
      // A reset must not drop what Nagle's delay still holds back.
      Socket.disableNagle(fd)
      var limit = timeval(tv_sec: 20, tv_usec: 0)
      for name in [SO_RCVTIMEO, SO_SNDTIMEO] {
        unsafe setsockopt(fd, SOL_SOCKET, name, &limit, socklen_t(MemoryLayout<timeval>.size))
      }
      if plain(fd), let peer = unsafe TLSPeer(fd, context), peer.handshake() { script(peer) }
      Socket.close(fd)
    }
  }
}

/// What the server's thread saw.
final class Log<Entry: Sendable>: Sendable {
  private let kept = Mutex<[Entry]>([])
  func add(_ entry: Entry) { kept.withLock { $0.append(entry) } }
  var entries: [Entry] { kept.withLock { $0 } }
}
