// Carries out a table of rules: one gateway with real tokens, one origin that reads with h11, a connection for each row.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

struct RuleRun {
  private static let threads = 4

  private struct Sending: Sendable {
    var row: RuleRow
    var mark: String
    var isDripped: Bool
  }

  /// Sends every row and judges both sides.
  /// - Parameter atLeast: how many rows the table has; a generator that yields nothing must not pass.
  static func expect(
    _ rows: [RuleRow], atLeast count: Int, more: [String: OrderedJSON] = [:], limits: [String: OrderedJSON] = [:],
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    #expect(rows.count >= count, "\(rows.count) rows", sourceLocation: sourceLocation)
    let rig = try await RuleRig.start(more: more, limits: limits)
    var sendings: [Sending] = []
    for row in rows {
      for isDripped in row.isDripped ? [false, true] : [false] {
        let number = String(sendings.count)
        let mark = "ROW-" + String(repeating: "0", count: 5 - number.count) + number
        sendings.append(Sending(row: row, mark: mark, isDripped: isDripped))
      }
    }
    let begin = ContinuousClock.now
    var problems = try await answers(sendings, rig.gateway.address)
    let (requests, violations) = try await rig.finish()
    problems += violations
    let byRow = Dictionary(grouping: requests, by: \.row)
    for sending in sendings {
      guard let problem = judge(sending.row, byRow[sending.mark] ?? []) else { continue }
      problems.append("\(problem): \(sending.isDripped ? "in bytes" : "at once") \(sending.row.name)")
    }
    let known = Set(sendings.map(\.mark))
    for request in requests where !known.contains(request.row) {
      problems.append("a request of nobody: \(request.head.method) \(request.target)")
    }
    for problem in problems.prefix(40) { Issue.record("\(problem)", sourceLocation: sourceLocation) }
    #expect(problems.isEmpty, "\(problems.count) problems", sourceLocation: sourceLocation)
    print("HTTP rules: \(rows.count) rows, \(sendings.count) connections, \(ContinuousClock.now - begin)")
  }

  /// The client's side of all rows.
  private static func answers(_ sendings: [Sending], _ address: SocketAddress) async throws -> [String] {
    try await withThrowingTaskGroup(of: [String].self) { group in
      for thread in 0..<threads {
        group.addTask {
          try await OwnThread.run {
            var problems: [String] = []
            for index in stride(from: thread, to: sendings.count, by: threads) {
              guard let problem = answer(to: sendings[index], address) else { continue }
              problems.append(
                "\(problem): \(sendings[index].isDripped ? "in bytes" : "at once") \(sendings[index].row.name)")
            }
            return problems
          }
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
  }

  /// - Returns: what is wrong with the answer.
  private static func answer(to sending: Sending, _ address: SocketAddress) -> String? {
    let row = sending.row
    do throws(ClientError) {
      let client = try RawClient(to: address)
      let bytes = row.text.replacing(RuleRow.mark, with: sending.mark).latin1
      if sending.isDripped {
        for byte in bytes { try client.send([byte]) }
      } else {
        try client.send(bytes)
      }
      let response = try client.response()
      if response.status != row.status { return "\(response.status) instead of \(row.status)" }
      if row.status != 200, response.problem?.source != "downstream" { return "no problem document: \(response)" }
      if response.bodyText.contains("-at-"), row.status != 200 { return "a token in an error" }
      if row.closes == response.head.keepsAlive { return "says \(response.head.fields.elements("Connection"))" }
      // Whatever stood behind the fault has no answer of its own.
      if row.closes, let more = try client.event() { return "and then \(more)" }
      return nil
    } catch {
      return "\(error)"
    }
  }

  /// - Returns: what is wrong with what the origin saw of a row.
  private static func judge(_ row: RuleRow, _ requests: [SeenRequest]) -> String? {
    switch row.seen {
    case .nothing: return requests.isEmpty ? nil : "the origin saw \(requests.map(\.told))"
    case .noneWhole:
      let isFine = requests.isEmpty || requests.count == 1 && !requests[0].isWhole && requests[0].target == "/first"
      return isFine ? nil : "the origin saw \(requests.map(\.told))"
    case .one(let check):
      guard requests.count == 1, requests[0].isWhole else { return "the origin saw \(requests.map(\.told))" }
      return check(requests[0]).map { "\($0) in \(requests[0].told)" }
    }
  }
}

/// A gateway with a token of each kind in front of an origin that reads with h11.
struct RuleRig {
  let sandbox: Sandbox
  let origin: H11Origin
  let gateway: GatewayUnderTest

  /// Routes: `/` and `/strip/` with VinID's token, `/cukcuk/` with CUKCUK's and its `CompanyCode`.
  static func start(more: [String: OrderedJSON] = [:], limits: [String: OrderedJSON] = [:]) async throws -> RuleRig {
    let sandbox = try Sandbox(.onFreePorts)
    let origin = try await H11Origin.start()
    var configuration = GatewayConfiguration.standard(sandbox.addresses)
    configuration.credentials["oauth2"] = nil
    configuration.more.merge(more) { $1 }
    configuration.limits = limits
    configuration.routes = [("all", "/", "vinid"), ("cukcuk", "/cukcuk/", "cukcuk"), ("strip", "/strip/", "vinid")].map
    {
      var route = GatewayConfiguration.route($0, prefix: $1, to: origin.address, credential: $2)
      if $0 != "strip" { route["strip_prefix"] = nil }
      return route
    }
    return RuleRig(sandbox: sandbox, origin: origin, gateway: try await .start(configuration))
  }

  /// Ends the gateway, so that nothing more can come.
  /// - Returns: all that came, and what is wrong with it as a stream of HTTP.
  func finish() async throws -> (requests: [SeenRequest], problems: [String]) {
    // What works before it ends has not been broken by what was sent.
    let response = try await gateway.request("GET", "/after", fields: [FieldLine("X-Row", "after")])
    var problems = response.status == 200 ? [] : ["a request after all: \(response.status)"]
    let exit = try await gateway.stop()
    if exit != .code(0) { problems.append("the gateway ended with \(exit)") }
    if try gateway.log.contains("-at-") { problems.append("a token in the log") }
    var (requests, violations) = SeenRequest.read(try await origin.finalConnections())
    if requests.count(where: { $0.row == "after" }) != 1 { problems.append("the request after all is not there once") }
    requests.removeAll { $0.row == "after" }
    violations += problems
    return (requests, violations)
  }
}
