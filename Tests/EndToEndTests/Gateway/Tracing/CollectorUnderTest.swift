// A collector of traces by the official schema, as a process, and the spans that it got.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

/// One span, as the schema's own reader understood it.
struct CollectedSpan: Sendable, CustomStringConvertible {
  enum Kind: Int { case `internal` = 1, server, client }

  let json: JSONValue

  private func text(_ key: String) -> String { json[key]?.text ?? "" }
  var trace: String { text("trace") }
  var id: String { text("id") }
  /// Empty: none.
  var parent: String { text("parent") }
  var name: String { text("name") }
  var kind: Kind? { json["kind"]?.int.flatMap(Kind.init) }
  var scope: String { text("scope") }
  var flags: Int { json["flags"]?.int ?? -1 }
  var isError: Bool { json["status"]?.int == 2 }
  /// Nanoseconds since 1970, as exact as a double.
  var start: Double { json["start"]?.double ?? 0 }
  var end: Double { json["end"]?.double ?? 0 }
  subscript(_ attribute: String) -> JSONValue? { json["attributes"]?[attribute] }
  func resource(_ attribute: String) -> String? { json["resource"]?[attribute]?.text }
  func event(_ name: String) -> Double? { json["events"]?[name]?.double }
  var description: String { "\(name) \(kind.map { "\($0)" } ?? "?") \(json)" }
}

extension JSONValue {
  fileprivate var double: Double? { if case .number(let number) = self { number } else { nil } }
}

/// Runs `collector.py` on a free port until it is let go.
struct CollectorUnderTest: Sendable {
  /// Everything that came.
  struct Log: Sendable {
    var spans: [CollectedSpan]
    var calls: [JSONValue]
    /// What broke a rule of OTLP.
    var problems: [String]
    /// The bodies of all calls that were read.
    var text: String

    func spans(_ kind: CollectedSpan.Kind) -> [CollectedSpan] { spans.filter { $0.kind == kind } }
  }

  let address: SocketAddress
  private let control: SocketAddress
  private let process: ChildProcess
  private let directory: TemporaryDirectory

  /// - Parameter tls: PEM files of a certificate and its key.
  static func start(tls: (certificate: String, key: String)? = nil) async throws -> CollectorUnderTest {
    let directory = try TemporaryDirectory()
    let (process, says) = try await PythonPeer.start(
      "Gateway/Tracing/collector.py", tls.map { [$0.certificate, $0.key] } ?? [], directory: directory)
    guard let port = says["port"]?.int.flatMap({ UInt16(exactly: $0) }),
      let control = says["control"]?.int.flatMap({ UInt16(exactly: $0) })
    else { throw SpawnError("the collector printed: \(process.output)") }
    return CollectorUnderTest(
      address: .ipv4(0x7f00_0001, port: port), control: .ipv4(0x7f00_0001, port: control), process: process,
      directory: directory)
  }

  /// For `otlp` in the configuration.
  func settings(_ more: [(String, OrderedJSON)] = []) -> OrderedJSON {
    .object([("url", .string("http://\(address)/v1/traces")), ("interval", "50ms")] + more)
  }

  func log() async throws -> Log {
    let control = control
    let response = try await OwnThread.run {
      try RawClient.request("GET", "/control/log", to: control, within: .seconds(60))
    }
    guard let json = response.json else { throw ClientError.check("the collector's log is no JSON") }
    return Log(
      spans: (json["spans"]?.elements ?? []).map(CollectedSpan.init), calls: json["calls"]?.elements ?? [],
      problems: (json["problems"]?.elements ?? []).compactMap(\.text), text: json["text"]?.text ?? "")
  }

  /// Spans so far. What broke a rule is none of them.
  func count() async throws -> Int {
    let control = control
    let response = try await OwnThread.run {
      try RawClient.request("GET", "/control/counts", to: control, within: .seconds(60))
    }
    #expect(response.json?["problems"]?.elements?.isEmpty == true, "\(response.bodyText)")
    return try #require(response.json?["spans"]?.int)
  }

  /// How the next calls go; see the script.
  func behave(_ mode: OrderedJSON) async throws {
    let control = control
    let response = try await OwnThread.run {
      try RawClient.request("POST", "/control/mode", to: control, body: Array(mode.text.utf8), within: .seconds(60))
    }
    #expect(response.status == 200)
  }

  /// Waits until the log is as it should be; nothing in it may break a rule or hold a secret.
  @discardableResult
  func log(
    until what: String, sourceLocation: SourceLocation = #_sourceLocation,
    _ isReached: @Sendable (Log) -> Bool
  ) async throws -> Log {
    var log = try await self.log()
    try await Deadline.wait("\(what)", within: .seconds(60)) {
      log = try await self.log()
      return isReached(log) || !log.problems.isEmpty
    }
    log.expectSound(sourceLocation: sourceLocation)
    return log
  }
}

extension CollectorUnderTest.Log {
  func expectSound(sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(problems.isEmpty, sourceLocation: sourceLocation)
    SecretMarks.expectNone(in: text, sourceLocation: sourceLocation)
    for secret in TokenRig.secrets { #expect(!text.contains(secret), sourceLocation: sourceLocation) }
  }
}

/// A `traceparent` that a server under test saw.
struct SeenContext: Equatable {
  var trace: String
  var parent: String
  var flags: String

  /// nil: there is not exactly one, or it is none of version 00.
  init?(_ fields: FieldList) {
    let values = fields.all("traceparent")
    guard values.count == 1, let match = values[0].wholeMatch(of: #/00-([0-9a-f]{32})-([0-9a-f]{16})-(0[0-3])/#) else {
      return nil
    }
    trace = String(match.1)
    parent = String(match.2)
    flags = String(match.3)
  }
}
