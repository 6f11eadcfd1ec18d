// One row of a table of rules for answers: what the upstream sends, and what must come of it at the caller.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

struct UpstreamRow: Sendable {
  enum Outcome: Sendable {
    /// 502, and the caller's connection goes on.
    case badGateway
    /// The answer begins, and the caller sees that it has no end. A 502 is as good.
    case cut
    /// An answer with this status and body; the closure says what is wrong with it.
    case passes(Int, String, @Sendable (ReceivedResponse) -> String?)
  }

  /// The words of HTTP-RULES.md.
  var rule: String
  /// A character for each byte.
  var response: String
  /// What the upstream does afterwards; nothing: it waits for the next request.
  var ends: [RawOrigin.Step] = []
  var method = "GET"
  /// Further lines of the request.
  var lines = ""
  var outcome: Outcome
  /// The upstream's connection may carry another request.
  var isReusable = false
  /// With it the answer comes byte by byte as well as at once.
  var isDripped = true

  static func refused(_ rule: String, _ response: String, method: String = "GET") -> UpstreamRow {
    UpstreamRow(rule: rule, response: response, method: method, outcome: .badGateway)
  }

  /// The same with these lines between a good status line and a body of five bytes.
  static func refused(_ rule: String, fields: String, method: String = "GET") -> UpstreamRow {
    refused(rule, "HTTP/1.1 200 OK\r\n\(fields)\r\n\r\nhello", method: method)
  }

  static func cut(_ rule: String, _ response: String, ends: [RawOrigin.Step] = []) -> UpstreamRow {
    UpstreamRow(rule: rule, response: response, ends: ends, outcome: .cut)
  }

  static func passes(
    _ rule: String, _ response: String, ends: [RawOrigin.Step] = [], method: String = "GET", lines: String = "",
    status: Int = 200, body: String = "", isReusable: Bool = false,
    _ check: @escaping @Sendable (ReceivedResponse) -> String? = { _ in nil }
  ) -> UpstreamRow {
    UpstreamRow(
      rule: rule, response: response, ends: ends, method: method, lines: lines, outcome: .passes(status, body, check),
      isReusable: isReusable)
  }

  /// For bytes behind a message: those that come later may meet the next request under way, and nothing can tell them
  /// from its answer then.
  var inOnePiece: UpstreamRow {
    var row = self
    row.isDripped = false
    return row
  }

  /// For failures.
  var name: String {
    let text = response.count > 300 ? "\(response.prefix(200))…(\(response.count))" : response
    return "\(rule) | \(method) \(text.debugDescription) \(ends)"
  }
}

enum UpstreamRun {
  private static let threads = 4

  private struct Sending: Sendable {
    var row: UpstreamRow
    var mark: String
    var isDripped: Bool
    var version: String
    var bytes: [UInt8]
  }

  /// Has every row answered, to an HTTP/1.1 and to an HTTP/1.0 caller.
  /// - Parameter atLeast: how many rows the table has; a generator that yields nothing must not pass.
  static func expect(
    _ rows: [UpstreamRow], atLeast count: Int, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    #expect(rows.count >= count, "\(rows.count) rows", sourceLocation: sourceLocation)
    let origin = try await RawOrigin.start()
    var configuration = GatewayConfiguration.empty
    configuration.routes = [Relay.plainRoute(to: origin.address)]
    let gateway = try await GatewayUnderTest.start(configuration)
    let sendings = sendings(rows)
    let begin = ContinuousClock.now
    var problems = try await answers(sendings, gateway.address)
    let good = RawOrigin.target(row: "after", [.send(Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8))])
    let after = try await gateway.request("GET", good)
    if after.status != 200 || after.bodyText != "ok" { problems.append("a request after all: \(after.status)") }
    problems += reuse(sendings, try await origin.connections())
    for problem in problems.prefix(40) { Issue.record("\(problem)", sourceLocation: sourceLocation) }
    #expect(problems.isEmpty, "\(problems.count) problems", sourceLocation: sourceLocation)
    #expect(try await gateway.stop() == .code(0), sourceLocation: sourceLocation)
    print("HTTP rules of answers: \(rows.count) rows, \(sendings.count) requests, \(ContinuousClock.now - begin)")
  }

  private static func sendings(_ rows: [UpstreamRow]) -> [Sending] {
    var sendings: [Sending] = []
    for row in rows {
      for isDripped in row.isDripped ? [false, true] : [false] {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
          let mark = "R\(sendings.count)"
          let bytes = row.response.latin1
          let target = RawOrigin.target(row: mark, [isDripped ? .drip(bytes) : .send(bytes)] + row.ends)
          let request = "\(row.method) \(target) \(version)\r\nHost: localhost\r\n\(row.lines)\r\n"
          sendings.append(
            Sending(row: row, mark: mark, isDripped: isDripped, version: version, bytes: Array(request.utf8)))
        }
      }
    }
    return sendings
  }

  private static func answers(_ sendings: [Sending], _ address: SocketAddress) async throws -> [String] {
    try await withThrowingTaskGroup(of: [String].self) { group in
      for thread in 0..<threads {
        group.addTask {
          try await OwnThread.run {
            var problems: [String] = []
            for index in stride(from: thread, to: sendings.count, by: threads) {
              let sending = sendings[index]
              guard let problem = judge(sending, address) else { continue }
              let pace = sending.isDripped ? "in bytes" : "at once"
              problems.append("\(problem): \(pace), \(sending.version): \(sending.row.name)")
            }
            return problems
          }
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
  }

  /// - Returns: what is wrong with what the caller gets.
  private static func judge(_ sending: Sending, _ address: SocketAddress) -> String? {
    let row = sending.row
    do throws(ClientError) {
      let client = try RawClient(to: address)
      try client.send(sending.bytes)
      let response = try client.response(toHead: row.method == "HEAD")
      let isOld = sending.version == "HTTP/1.0"
      // The strict reader has seen to all else that no answer of ours may be.
      if isOld, response.fields.contains("Transfer-Encoding") || !response.interim.isEmpty { return "not for HTTP/1.0" }
      if isOld == response.head.keepsAlive { return "the wrong persistence" }
      if isOld, !client.isClosedByPeer() { return "stays open" }
      switch row.outcome {
      case .badGateway:
        if response.status != 502 { return "\(response.status) \(response.bodyText)" }
        return row.method == "HEAD" || response.problem?.source == "upstream" ? nil : "no problem document"
      case .cut:
        return response.status == 502
          ? nil : "a clean end with \(response.status) \(response.bodyText.debugDescription)"
      case .passes(let status, let body, let check):
        if response.status != status { return "\(response.status) \(response.bodyText)" }
        if response.body != body.latin1 { return "another body: \(response.bodyText.debugDescription)" }
        return check(response)
      }
    } catch {
      guard case .cut = row.outcome else { return "\(error)" }
      switch error {
      case .violation(let violation): return violation.description.hasPrefix("cut off") ? nil : "\(error)"
      case .system(let error): return error.description.contains("recv") ? nil : "\(error)"
      case .timedOut, .closed, .check: return "\(error)"
      }
    }
  }

  /// Nothing comes on a connection behind an answer that forbids it.
  private static func reuse(_ sendings: [Sending], _ connections: [RawOrigin.Connection]) -> [String] {
    let byMark = Dictionary(uniqueKeysWithValues: sendings.map { ($0.mark, $0.row) })
    var problems: [String] = []
    var seen: [String: Int] = [:]
    for connection in connections {
      for mark in connection.rows { seen[mark, default: 0] += 1 }
      for mark in connection.rows.dropLast() {
        if let row = byMark[mark], !row.isReusable { problems.append("the connection was used again: \(row.name)") }
      }
    }
    for sending in sendings {
      // Only a connection that ends without a byte may be tried a second time.
      let limit = sending.row.response.isEmpty ? 2 : 1
      let count = seen[sending.mark] ?? 0
      if count < 1 || count > limit { problems.append("asked \(count) times: \(sending.row.name)") }
    }
    return problems
  }
}
