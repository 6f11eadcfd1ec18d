// What reached the origin, read twice: by h11 at the origin, and from the same bytes by the strict reader of the scripted
// peers. Both must find the same requests and nothing else.
import GatewayTesting

/// A request at the origin.
struct SeenRequest: Sendable {
  var head: MessageHead
  var body: [UInt8] = []
  var trailers = FieldList()
  /// Its end came.
  var isWhole = false

  var fields: FieldList { head.fields }
  var target: String { head.target }
  /// The row that it belongs to.
  var row: String { fields.all("X-Row").joined(separator: ",") }

  /// The same text that the origin tells of what h11 has read.
  var told: String {
    let version = head.version.split(separator: "/").last.map(String.init) ?? ""
    var lines = ["\(head.method) \(head.target) \(version)"]
    lines += fields.lines.map { "\($0.name.lowercased()): \($0.value)" }
    lines += ["", body.map { Self.hex($0) }.joined()]
    lines += trailers.lines.map { "\($0.name.lowercased()): \($0.value)" }
    return (isWhole ? lines : lines + ["incomplete"]).joined(separator: "\n")
  }

  private static func hex(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

  /// Takes the bytes of a connection apart.
  /// - Returns: the requests, and what is wrong, nil when the bytes end with a message or within one.
  static func read(_ bytes: [UInt8]) -> (requests: [SeenRequest], violation: String?) {
    var reader = MessageReader(.requests)
    reader.feed(bytes.span)
    reader.feedEnd()
    var requests: [SeenRequest] = []
    do throws(MessageViolation) {
      while let event = try reader.next() {
        switch event {
        case .head(let head): requests.append(SeenRequest(head: head))
        case .data(let data): requests[requests.count - 1].body += data
        case .end(let trailers):
          requests[requests.count - 1].trailers = trailers
          requests[requests.count - 1].isWhole = true
        }
      }
      return (requests, nil)
    } catch {
      return (requests, error.description.hasPrefix("cut off") ? nil : error.description)
    }
  }

  /// All requests of all connections, and everything that is wrong with them as a stream of HTTP.
  static func read(_ connections: [H11Origin.Connection]) -> (requests: [SeenRequest], problems: [String]) {
    var all: [SeenRequest] = []
    var problems: [String] = []
    for connection in connections {
      let (requests, violation) = read(connection.bytes)
      all += requests
      let text = String(decoding: connection.bytes.prefix(2000), as: UTF8.self).debugDescription
      if let violation { problems.append("the origin's bytes: \(violation) in \(text)") }
      if connection.end != "idle", connection.end != "cut" {
        problems.append("h11: \(connection.end ?? "still open") in \(text)")
      }
      // h11 reads bytes as Latin-1, we as UTF-8.
      let told = connection.requests.map { String(decoding: $0.latin1, as: UTF8.self) }
      if told != requests.map(\.told) {
        problems.append("h11 read \(told), the strict reader \(requests.map(\.told))")
      }
    }
    return (all, problems + all.flatMap(\.problems))
  }

  /// What no request of the gateway may be, whatever the caller sent.
  private var problems: [String] {
    var problems: [String] = []
    func expect(_ name: String, _ counts: ClosedRange<Int>) {
      let count = fields.all(name).count
      if !counts.contains(count) { problems.append("\(count) times \(name) in \(head.method) \(target) (\(row))") }
    }
    expect("Host", 1...1)
    expect("Authorization", 1...1)
    expect("X-Row", 1...1)
    expect("Content-Length", 0...1)
    expect("Transfer-Encoding", fields.contains("Content-Length") ? 0...0 : 0...1)
    let authorization = fields["Authorization"] ?? ""
    let isCukcuk = target.hasPrefix("/cukcuk/")
    if !authorization.hasPrefix(isCukcuk ? "Bearer cukcuk-at-" : "Bearer vinid-at-") {
      problems.append("Authorization is not ours in \(target) (\(row)): \(authorization)")
    }
    if isCukcuk, fields.all("CompanyCode") != ["SANDBOX"] { problems.append("CompanyCode (\(row))") }
    if !trailers.lines.isEmpty { problems.append("trailers in \(target) (\(row)): \(trailers)") }
    return problems
  }
}

extension String {
  /// One byte for each character up to U+00FF: tables can name any byte as `\u{ff}`.
  var latin1: [UInt8] { unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) } }
}

extension UInt8 {
  /// The byte as such a character.
  var latin1: String { String(Unicode.Scalar(self)) }
}
