// Names to addresses, without blocking: literals and local names at once, the rest by the hosts file and DNS. Lives on
// the control loop.

/// Looks names up. Confined to its loop; every completion is called there, never before the call that asked returns.
package final class Resolver: Runnable {
  package typealias Completion = (Result<ResolvedName, ResolveFailure>) -> Void

  private static let configurationFile = "/etc/resolv.conf"

  let loop: EventLoop
  private let options: ResolverOptions
  private var channel: ResolverChannel
  /// The name servers that `channel` asks were read from this.
  private var configuration: FileIdentity?
  private var isStopped = false
  /// Who waits for each name that is being looked up: one question serves all.
  private var inFlight: [String: [Completion]] = [:]
  private var ready: [(completion: Completion, result: Result<ResolvedName, ResolveFailure>)] = []
  private var isQueued = false

  /// - Throws: `library` when c-ares cannot start.
  package init(_ loop: EventLoop, _ options: ResolverOptions = ResolverOptions()) throws(ResolveFailure) {
    self.loop = loop
    self.options = options
    configuration = FileIdentity(path: Self.configurationFile)
    channel = try ResolverChannel(loop, options)
  }

  deinit { channel.destroy() }

  /// Looks `host` up: numeric literals and `localhost` names (RFC 6761, section 6.3) without asking anybody, others in
  /// the hosts file, then in DNS for both address families, in the search domains that resolv.conf names.
  package func resolve(_ host: String, _ completion: @escaping Completion) {
    if isStopped { return answer(.failure(ResolveFailure(.stopped, "the resolver was stopped")), completion) }
    if let address = SocketAddress(numeric: host, port: 0) {
      return answer(.success(ResolvedName(fixed: [address])), completion)
    }
    // An empty name, or one that C would see another end of.
    guard !host.isEmpty, !host.utf8.contains(0) else {
      return answer(.failure(ResolveFailure(.badName, "not a host name")), completion)
    }
    let name = host.lowercased()
    if Self.isLocal(name) { return answer(.success(ResolvedName(fixed: Self.loopback)), completion) }
    if inFlight[name] != nil {
      inFlight[name]?.append(completion)
      return
    }
    followConfiguration()
    inFlight[name] = [completion]
    channel.query(name) { [weak self] result in self?.finished(name, result) }
  }

  private static let loopback: [SocketAddress] = [
    .ipv4(0x7f00_0001, port: 0), .ipv6(high: 0, low: 1, scope: 0, port: 0),
  ]

  private static func isLocal(_ name: String) -> Bool {
    let name = name.hasSuffix(".") ? name.dropLast() : name[...]
    return name == "localhost" || name.hasSuffix(".localhost")
  }

  /// c-ares reads resolv.conf once; it may have been written after we started, or have changed with the network.
  private func followConfiguration() {
    guard inFlight.isEmpty, options.servers.isEmpty else { return }
    let current = FileIdentity(path: Self.configurationFile)
    if current == configuration { return }
    // If the new one cannot be used, the old one goes on serving, and the next look-up tries again.
    guard let renewed = try? ResolverChannel(loop, options) else { return }
    channel.destroy()
    channel = renewed
    configuration = current
  }

  private func finished(_ name: String, _ result: Result<ResolvedName, ResolveFailure>) {
    for completion in inFlight.removeValue(forKey: name) ?? [] { answer(result, completion) }
  }

  /// Not at once: we may be within c-ares, or within the call that asked.
  private func answer(_ result: Result<ResolvedName, ResolveFailure>, _ completion: @escaping Completion) {
    ready.append((completion, result))
    if isQueued { return }
    isQueued = true
    loop.runLater(self)
  }

  package func runAgain() {
    isQueued = false
    let answers = ready
    ready.removeAll()
    for answer in answers { answer.completion(answer.result) }
  }

  /// Ends all look-ups: who still waits is told `stopped`, in the next turn.
  package func stop() {
    if isStopped { return }
    isStopped = true
    channel.destroy()
  }

  /// Keeps a name's addresses fresh until the watcher is stopped.
  /// - Parameter changed: told the first answer and every other set of addresses; failures only as long as there was no
  ///   answer yet: afterwards the last good addresses stay in force.
  package func watch(_ host: String, _ changed: @escaping Completion) -> NameWatcher {
    NameWatcher(self, host, changed)
  }
}
