// c-ares on a loop: its sockets on the loop's epoll, its time-outs on the timer wheel. Used by `Resolver`.
internal import CCares
internal import CLinux
internal import Glibc

/// How names are asked for. What is not set comes from /etc/resolv.conf.
package struct ResolverOptions: Sendable {
  /// Name servers to ask instead of the system's.
  package var servers: [SocketAddress] = []
  /// Domains that short names are tried in instead of the system's.
  package var searchDomains: [String]?
  /// Milliseconds for the first attempt; each further round waits twice as long.
  package var attemptTimeout: Int32 = 1500
  /// Attempts per name server.
  package var attempts: Int32 = 2

  package init() {}
}

/// One c-ares channel. Confined to its loop; lives until `destroy`.
///
/// Safety: `channel` is good until `destroy`, which calls back everything that is outstanding; c-ares is given pointers
/// to this object only for as long as the channel exists.
@safe
final class ResolverChannel: TimerHandler {
  typealias Completion = (Result<ResolvedName, ResolveFailure>) -> Void

  private final class Query {
    let completion: Completion
    init(_ completion: @escaping Completion) { self.completion = completion }
  }

  /// A socket of c-ares on the loop.
  private final class Socket: EventHandler {
    unowned let owner: ResolverChannel
    let fd: Int32
    var registration: EventLoop.Registration?

    init(_ owner: ResolverChannel, _ fd: Int32) {
      self.owner = owner
      self.fd = fd
    }

    func handle(_ events: ReadyEvents) {
      let isReadable = !events.isDisjoint(with: [.readable, .readHangup, .hangup, .error])
      owner.process(
        reading: isReadable ? fd : ResolverChannel.noSocket,
        writing: events.contains(.writable) ? fd : ResolverChannel.noSocket)
    }
  }

  private static let noSocket = Int32(ARES_SOCKET_BAD)
  /// ares_library_init must not run twice at the same time.
  private static let isLibraryReady = ares_library_init(0) == ARES_SUCCESS

  private let loop: EventLoop
  private var channel: OpaquePointer?
  private var sockets: [Int32: Socket] = [:]
  private var timer: TimerWheel.Timer?

  init(_ loop: EventLoop, _ options: ResolverOptions) throws(ResolveFailure) {
    self.loop = loop
    guard Self.isLibraryReady else { throw ResolveFailure(.library, "c-ares cannot start") }
    try open(options)
    timer = loop.timers.make(self)
  }

  private func open(_ options: ResolverOptions) throws(ResolveFailure) {
    var raw = unsafe ares_options()
    unsafe raw.sock_state_cb = Self.socketChanged
    unsafe raw.sock_state_cb_data = Unmanaged.passUnretained(self).toOpaque()
    unsafe raw.timeout = options.attemptTimeout
    unsafe raw.tries = options.attempts
    var mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS
    // The hosts file first, then DNS. c-ares copies all that it is given here.
    let lookups = unsafe strdup("fb")
    unsafe raw.lookups = lookups
    var domains = unsafe (options.searchDomains ?? []).map { unsafe strdup($0) }
    defer {
      unsafe free(lookups)
      unsafe domains.forEach { unsafe free($0) }
    }
    if options.searchDomains != nil { mask |= ARES_OPT_DOMAINS }
    var opened: OpaquePointer?
    let status = unsafe domains.withUnsafeMutableBufferPointer { domains in
      unsafe raw.domains = domains.baseAddress
      unsafe raw.ndomains = Int32(domains.count)
      return unsafe ares_init_options(&opened, &raw, mask)
    }
    guard status == ARES_SUCCESS, let opened = unsafe opened else { throw ResolveFailure(status: status) }
    if !options.servers.isEmpty {
      let list = options.servers.map(\.description).joined(separator: ",")
      let status = unsafe ares_set_servers_ports_csv(opened, list)
      if status != ARES_SUCCESS {
        unsafe ares_destroy(opened)
        throw ResolveFailure(status: status)
      }
    }
    unsafe channel = opened
  }

  /// Ends everything: what is outstanding is called back with `stopped`.
  func destroy() {
    guard let closing = unsafe channel else { return }
    unsafe channel = nil
    unsafe ares_destroy(closing)
    for socket in sockets.values { if let registration = socket.registration { loop.deregister(registration) } }
    sockets.removeAll()
    if let timer { loop.timers.release(timer) }
    timer = nil
  }

  /// Asks for both address families. `completion` may be called before this returns: for names in the hosts file.
  func query(_ host: String, _ completion: @escaping Completion) {
    guard let channel = unsafe channel else { return completion(.failure(ResolveFailure(.stopped, "stopped"))) }
    var hints = ares_addrinfo_hints()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    let query = unsafe Unmanaged.passRetained(Query(completion)).toOpaque()
    unsafe ares_getaddrinfo(channel, host, nil, &hints, Self.answered, query)
    rearm()
  }

  /// Takes over the query's one reference: c-ares calls back exactly once.
  private static let answered: ares_addrinfo_callback = { query, status, _, info in
    guard let query = unsafe query else { return }
    let completion = unsafe Unmanaged<Query>.fromOpaque(query).takeRetainedValue().completion
    guard status == ARES_SUCCESS, let info = unsafe info else {
      return completion(.failure(ResolveFailure(status: status)))
    }
    let name = unsafe ResolverChannel.name(info)
    unsafe ares_freeaddrinfo(info)
    completion(name.map { .success($0) } ?? .failure(ResolveFailure(.notFound, "the name has no address")))
  }

  private static func name(_ info: UnsafePointer<ares_addrinfo>) -> ResolvedName? {
    var addresses: [SocketAddress] = []
    var seconds = Int32.max
    var node = unsafe info.pointee.nodes
    while let current = unsafe node {
      if let address = unsafe address(current.pointee), !addresses.contains(address) { addresses.append(address) }
      seconds = unsafe min(seconds, current.pointee.ai_ttl)
      unsafe node = current.pointee.ai_next
    }
    var alias = unsafe info.pointee.cnames
    while let current = unsafe alias {
      seconds = unsafe min(seconds, current.pointee.ttl)
      unsafe alias = current.pointee.next
    }
    return addresses.isEmpty ? nil : ResolvedName(addresses: addresses, secondsToLive: seconds)
  }

  private static func address(_ node: ares_addrinfo_node) -> SocketAddress? {
    var storage = sockaddr_storage()
    let length = unsafe min(Int(node.ai_addrlen), MemoryLayout<sockaddr_storage>.size)
    guard let address = unsafe node.ai_addr, length > 0 else { return nil }
    unsafe withUnsafeMutableBytes(of: &storage) {
      unsafe $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: length))
    }
    return SocketAddress(storage, length: socklen_t(length))?.with(port: 0)
  }

  // MARK: Sockets and time

  private static let socketChanged: ares_sock_state_cb = { owner, fd, reading, writing in
    guard let owner = unsafe owner else { return }
    unsafe Unmanaged<ResolverChannel>.fromOpaque(owner).takeUnretainedValue()
      .watch(fd, reading: reading != 0, writing: writing != 0)
  }

  /// A socket that cannot be watched gets no answer, and c-ares' own time-out says so.
  private func watch(_ fd: Int32, reading: Bool, writing: Bool) {
    guard reading || writing else {
      guard let socket = sockets.removeValue(forKey: fd), let registration = socket.registration else { return }
      return loop.deregister(registration, isClosing: false)
    }
    if let registration = sockets[fd]?.registration {
      try? loop.modify(registration, reading: reading, writing: writing)
      return
    }
    let socket = Socket(self, fd)
    sockets[fd] = socket
    socket.registration = try? loop.register(fd, reading: reading, writing: writing, socket)
  }

  private func process(reading: Int32, writing: Int32) {
    guard let channel = unsafe channel else { return }
    unsafe ares_process_fd(channel, reading, writing)
    rearm()
  }

  func timerFired(_ timer: TimerWheel.Timer) { process(reading: Self.noSocket, writing: Self.noSocket) }

  /// c-ares' next deadline moves with every call.
  private func rearm() {
    guard let channel = unsafe channel, let timer else { return }
    var wait = timeval()
    if unsafe ares_timeout(channel, nil, &wait) == nil { return loop.timers.cancel(timer) }
    loop.timers.schedule(timer, at: loop.now + Int64(wait.tv_sec) * 1_000_000_000 + Int64(wait.tv_usec) * 1000)
  }
}
