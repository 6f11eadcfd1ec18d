// Many callers at once: one thread with a loop, N connections, and a report of what each request came to.
package import EventLoop
internal import Synchronization
internal import TokenKit

/// A request to send.
package struct OutgoingRequest: Sendable {
  package var method: String
  package var target: String
  /// Without Host, Content-Length, Transfer-Encoding and Connection, unless the test wants its own Host.
  package var fields: FieldList
  package var body: Body

  /// A GET.
  package init(_ target: String, fields: FieldList = FieldList()) { self.init("GET", target, fields: fields) }

  package init(_ method: String, _ target: String, fields: FieldList = FieldList(), body: Body = .none) {
    self.method = method
    self.target = target
    self.fields = fields
    self.body = body
  }

  /// - Parameter closes: adds `Connection: close`.
  func head(to address: SocketAddress, closes: Bool) -> [UInt8] {
    var text = "\(method) \(target) HTTP/1.1\r\n"
    if !fields.contains("Host") { text += "Host: \(address)\r\n" }
    for line in fields.lines { text += "\(line.name): \(line.value)\r\n" }
    if body.isChunked {
      text += "Transfer-Encoding: chunked\r\n"
    } else if let length = body.length, length > 0 || method == "POST" || method == "PUT" {
      text += "Content-Length: \(length)\r\n"
    }
    if closes { text += "Connection: close\r\n" }
    return Array((text + "\r\n").utf8)
  }
}

/// A load to put on one address.
package struct LoadRun: Sendable {
  package enum Amount: Sendable {
    /// No request begins after that time.
    case time(Duration)
    case requestsPerCaller(Int)
  }

  package var address: SocketAddress
  package var callers: Int
  package var amount: Amount
  /// Every caller keeps its connection, or makes a new one for each request.
  package var keepsConnections = true
  /// A request that takes longer is a failure.
  package var timeout: Duration = .seconds(30)
  /// Waited by each caller between its requests.
  package var pause: Duration = .zero
  /// Bodies are kept for `check`, else counted and fingerprinted only.
  package var keepsBodies = true
  /// Makes the request number `ordinal` (from 0) of a caller (from 0). Called on the run's loop.
  package var request: @Sendable (_ caller: Int, _ ordinal: Int) -> OutgoingRequest
  /// nil when the response is right, else what is wrong with it. Called on the run's loop.
  package var check: @Sendable (ReceivedResponse) -> String? = { _ in nil }

  package init(
    to address: SocketAddress, callers: Int, _ amount: Amount,
    request: @escaping @Sendable (_ caller: Int, _ ordinal: Int) -> OutgoingRequest
  ) {
    self.address = address
    self.callers = callers
    self.amount = amount
    self.request = request
  }

  /// Every caller sends the same request.
  package init(to address: SocketAddress, callers: Int, _ amount: Amount, _ request: OutgoingRequest) {
    self.init(to: address, callers: callers, amount) { _, _ in request }
  }

  /// Starts the callers; they are all under way or about to be at the return.
  package func start() throws(SystemError) -> Running { try Running(self) }

  /// Runs to the end.
  package func run() async throws -> LoadReport { try await start().report() }

  /// A run under way.
  package final class Running: Sendable {
    private let shared = Shared(Mutex(LoadReport()))
    private let isFinished = Latch()
    private let isStopping = Shared(Atomic(false))
    private let thread: LoopThread.Handle

    init(_ run: LoadRun) throws(SystemError) {
      Process.ignoreBrokenPipes()
      _ = Process.raiseDescriptorLimit()
      let (shared, isFinished, isStopping) = (shared, isFinished, isStopping)
      thread = try LoopThread.start(name: "load") {
        LoadCore.run(run, into: shared, isStopping: isStopping)
        isFinished.open()
      }
    }

    deinit {
      stop()
      thread.join()
    }

    /// What came so far.
    package var progress: LoadReport { shared.value.withLock { $0 } }

    /// The last caller has its answer.
    package var isDone: Bool { isFinished.isPassed }

    /// No request begins after this; those under way are finished.
    package func stop() { isStopping.value.store(true, ordering: .relaxed) }

    /// Waits for the last caller.
    package func report() async throws -> LoadReport {
      while !isDone { try await Task.sleep(for: .milliseconds(2)) }
      return progress
    }
  }
}

/// What a load run came to.
package struct LoadReport: Sendable {
  /// One request.
  package struct Entry: Sendable {
    package var caller: Int
    package var ordinal: Int
    /// Since the run began.
    package var start: Duration
    package var duration: Duration
    /// 0 when no response came.
    package var status: Int
  }

  package var entries: [Entry] = []
  /// What went wrong, and how often: connection errors, violations, time-outs, checks that did not hold.
  package var failures: [String: Int] = [:]
  package var connections = 0

  package init() {}

  package var count: Int { entries.count }
  package var failureCount: Int { failures.values.reduce(0, +) }

  /// How many responses had which status.
  package var statuses: [Int: Int] {
    entries.reduce(into: [:]) { counts, entry in if entry.status != 0 { counts[entry.status, default: 0] += 1 } }
  }

  /// Whether there were requests and every one was answered with that status and passed its check.
  package func isAll(_ status: Int) -> Bool {
    !entries.isEmpty && failures.isEmpty && entries.allSatisfy { $0.status == status }
  }

  /// - Parameter share: 0.5 is the median.
  package func latency(_ share: Double) -> Duration {
    let sorted = entries.map(\.duration).sorted()
    if sorted.isEmpty { return .zero }
    return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
  }
}
