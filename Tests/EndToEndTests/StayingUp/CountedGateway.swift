// A release build of the gateway with a token and a counting library in it, and runs whose middle part is counted.
import EventLoop
import GatewayTesting
import Synchronization
import TokenKit

/// One data loop; every request goes to one upstream with the sandbox's token.
struct CountedGateway {
  static let callers = 64

  let sandbox: Sandbox
  let gateway: GatewayUnderTest
  let counts: Counts
  let configuration: GatewayConfiguration

  static func start(
    to upstream: OrderedJSON, _ options: SandboxOptions = .onFreePorts,
    configure: (inout GatewayConfiguration, Sandbox.Addresses) -> Void = { _, _ in }
  ) async throws -> CountedGateway {
    let sandbox = try Sandbox(options)
    let gateway = try GatewayUnderTest(program: ReleaseBuild.path)
    let counts = try await Counts(in: gateway.directory)
    var configuration = GatewayConfiguration.only(.vinid, sandbox.addresses)
    configuration.more["workers"] = 1
    configuration.routes = [
      ["name": "all", "match": ["path_prefix": "/"], "upstream": upstream, "credential": "vinid"]
    ]
    configure(&configuration, sandbox.addresses)
    try gateway.write(configuration)
    try await gateway.start(environment: counts.environment)
    return CountedGateway(sandbox: sandbox, gateway: gateway, counts: counts, configuration: configuration)
  }

  private struct Progress {
    var responses = 0
    var before = CountedWork()
    var work: CountedWork?
  }

  /// What the gateway does for `requests` requests in the middle of a run, with at most a request of each caller more or
  /// less, and what went wrong in the run. The callers have their connections by then.
  func work(
    for requests: Int, _ request: OutgoingRequest, check: @escaping @Sendable (ReceivedResponse) -> String?
  ) async throws -> (work: CountedWork, failures: [String: Int]) {
    let warm = Self.callers * 50
    let progress = Shared(Mutex(Progress()))
    let counts = counts
    var run = LoadRun(to: gateway.address, callers: Self.callers, .time(.seconds(120)), request)
    run.check = { response in
      progress.value.withLock { progress in
        progress.responses += 1
        if progress.responses == warm { progress.before = counts.work() }
        if progress.responses == warm + requests { progress.work = counts.work(since: progress.before) }
      }
      return check(response)
    }
    let running = try run.start()
    defer { running.stop() }
    try await Deadline.wait("\(requests) requests", within: .seconds(100)) {
      progress.value.withLock { $0.work != nil } || running.progress.failureCount > 100
    }
    running.stop()
    let report = try await running.report()
    return (progress.value.withLock { $0.work } ?? CountedWork(), report.failures)
  }
}
