// Token calls through libcurl on the control loop: no thread, no polling, no look-up of names by libcurl. Made by the
// gateway's control loop, used by the credential manager.

package import EventLoop
package import TokenKit

/// Sends grants. Confined to the control loop.
package final class CurlTransport: GrantTransport {
  private let loop: EventLoop
  private let userAgent: String
  private let lookUp: NameLookup
  /// One for each CA file: a multi handle keeps one set of parsed authorities, and transfers with different authorities
  /// must not share TLS sessions or connections.
  private var multis: [String?: Authorities] = [:]
  /// Of files that were replaced, until their transfers are over.
  private var replaced: [CurlMulti] = []
  private var waiting: [UInt64: Waiting] = [:]
  private var nextID: UInt64 = 0
  private var isClosed = false

  /// - Parameters:
  ///   - userAgent: product and version, for example `gateway/1.0`.
  ///   - lookUp: asked for every host that is no address; the proxy's instead of the token endpoint's if there is one.
  package init(_ loop: EventLoop, userAgent: String = "gateway", lookUp: @escaping NameLookup) {
    self.loop = loop
    self.userAgent = userAgent
    self.lookUp = lookUp
  }

  package func send(
    _ request: GrantRequest, options: GrantTransportOptions,
    completion: @escaping (Result<GrantResponse, GrantTransportFailure>) -> Void
  ) {
    if isClosed { return answerLater(.failure(Self.cancelled), completion) }
    do throws(GrantTransportFailure) {
      let call = try GrantCall(request, options, userAgent: userAgent)
      let deadline = Process.bootClockNanoseconds() + call.timeout.nanoseconds
      if call.isPeerNumeric { return try start(call, resolveEntry: nil, deadline: deadline, completion) }
      wait(Waiting(call: call, deadline: deadline, completion: completion))
    } catch {
      answerLater(.failure(error), completion)
    }
  }

  /// Ends every call with the failure `cancelled` and gives all handles back; for the end of the process.
  package func close() {
    if isClosed { return }
    isClosed = true
    for multi in multis.values.map(\.multi) + replaced { multi.close() }
    multis = [:]
    replaced = []
    for id in waiting.keys.sorted() { finishWaiting(id)?.completion(.failure(Self.cancelled)) }
  }

  private static let cancelled = GrantTransportFailure(code: "cancelled", mayHaveBeenSent: false)

  // MARK: Names

  /// A call whose peer's name is being looked up.
  private struct Waiting {
    let call: GrantCall
    let deadline: Int64
    let completion: CurlMulti.Completion
    var timer: TimerWheel.Timer?
  }

  private func wait(_ call: Waiting) {
    nextID += 1
    let id = nextID
    var call = call
    let timer = loop.timers.make(LookupTimeout(self, id))
    loop.timers.schedule(timer, at: call.deadline)
    call.timer = timer
    waiting[id] = call
    lookUp(call.call.peer.host, call.call.peer.port) { [weak self] result in self?.lookupEnded(id, result) }
  }

  private func lookupEnded(_ id: UInt64, _ result: Result<[String], NameFailure>) {
    // An answer after the time-out finds nobody.
    guard let waited = finishWaiting(id) else { return }
    do throws(GrantTransportFailure) {
      switch result {
      case .success(let addresses):
        guard let entry = waited.call.resolveEntry(addresses) else { throw Self.notFound }
        try start(waited.call, resolveEntry: entry, deadline: waited.deadline, waited.completion)
      case .failure(.notFound): throw Self.notFound
      case .failure(.timedOut): throw GrantTransportFailure(code: "dns_timeout", mayHaveBeenSent: false)
      case .failure(.failed): throw GrantTransportFailure(code: "dns_failure", mayHaveBeenSent: false)
      }
    } catch {
      answerLater(.failure(error), waited.completion)
    }
  }

  private static let notFound = GrantTransportFailure(code: "name_not_found", mayHaveBeenSent: false)

  private func finishWaiting(_ id: UInt64) -> Waiting? {
    guard let waited = waiting.removeValue(forKey: id) else { return nil }
    if let timer = waited.timer { loop.timers.release(timer) }
    return waited
  }

  private final class LookupTimeout: TimerHandler {
    private weak var transport: CurlTransport?
    private let id: UInt64

    init(_ transport: CurlTransport, _ id: UInt64) {
      self.transport = transport
      self.id = id
    }

    func timerFired(_ timer: TimerWheel.Timer) {
      transport?.finishWaiting(id)?.completion(
        .failure(GrantTransportFailure(code: "dns_timeout", mayHaveBeenSent: false)))
    }
  }

  // MARK: Transfers

  private func start(
    _ call: GrantCall, resolveEntry: String?, deadline: Int64, _ completion: @escaping CurlMulti.Completion
  ) throws(GrantTransportFailure) {
    let multi = try multi(trusting: call.caFile)
    let left = Duration.nanoseconds(max(0, deadline - Process.bootClockNanoseconds()))
    try multi.add(CurlAttempt(call, resolveEntry: resolveEntry, timeLeft: left), completion: completion)
  }

  /// What transfers share that trust one file.
  private struct Authorities {
    let multi: CurlMulti
    /// The file as it was when its multi handle was made; nil: the system's, or there was none.
    let file: FileIdentity?
  }

  /// libcurl keeps what it has parsed, by path and for an hour: a file that was replaced gets another multi handle.
  private func multi(trusting caFile: String?) throws(GrantTransportFailure) -> CurlMulti {
    replaced.removeAll(where: \.isIdle)
    let file = caFile.flatMap { FileIdentity(path: $0) }
    if let known = multis[caFile] {
      // While there is no file the one that was read counts.
      if file == nil || file == known.file { return known.multi }
      multis[caFile] = nil
      if !known.multi.isIdle { replaced.append(known.multi) }
    }
    guard let multi = CurlMulti(loop) else {
      throw GrantTransportFailure(code: "out_of_memory", mayHaveBeenSent: false)
    }
    // Reloads may have brought one after the other.
    if multis.count >= Self.keptAuthorities { multis = multis.filter { !$0.value.multi.isIdle } }
    multis[caFile] = Authorities(multi: multi, file: file)
    return multi
  }

  private static let keptAuthorities = 64

  /// Never from within `send`: the caller may not be ready for its answer yet.
  private func answerLater(
    _ result: Result<GrantResponse, GrantTransportFailure>, _ completion: @escaping CurlMulti.Completion
  ) {
    loop.runLater(Answer { completion(result) })
  }

  private final class Answer: Runnable {
    private let deliver: () -> Void
    init(_ deliver: @escaping () -> Void) { self.deliver = deliver }
    func runAgain() { deliver() }
  }
}
