// The head of a request or a response as a scripted peer received it.

/// What broke a message. The scripted peers read strictly and with a parser of their own, so that a mistake that the
/// gateway's parser and writer share still shows.
package struct MessageViolation: Error, Sendable, Equatable, CustomStringConvertible {
  package var description: String
  package init(_ description: String) { self.description = description }
}

/// A start line and fields, with the bytes that they were read from.
package struct MessageHead: Sendable, Equatable {
  /// Requests: as sent. Empty in a response.
  package var method = ""
  /// Requests: the target as sent. Empty in a response.
  package var target = ""
  /// `HTTP/1.1` or `HTTP/1.0`.
  package var version = "HTTP/1.1"
  /// Responses: the status code. 0 in a request.
  package var status = 0
  /// Responses: the reason phrase.
  package var reason = ""
  package var fields = FieldList()
  /// Every byte of the head, the empty line included.
  package var raw: [UInt8] = []

  package init() {}

  /// The target without its query.
  package var path: String { String(target.prefix { $0 != "?" }) }

  /// The value of a query parameter, not decoded.
  package func query(_ name: String) -> String? {
    guard let mark = target.firstIndex(of: "?") else { return nil }
    for pair in target[target.index(after: mark)...].split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts[0] == name { return parts.count > 1 ? String(parts[1]) : "" }
    }
    return nil
  }

  /// RFC 9112 §9.3.
  package var keepsAlive: Bool {
    let options = fields.elements("Connection")
    if options.contains("close") { return false }
    return version == "HTTP/1.1" || options.contains("keep-alive")
  }

  enum Framing: Equatable {
    case none
    case length(Int)
    case chunked
    case untilClose
  }

  /// RFC 9112 §6.3, with nothing forgiven.
  func framing(isRequest: Bool, answersHead: Bool) throws(MessageViolation) -> Framing {
    let lengths = fields.all("Content-Length")
    let codings = fields.all("Transfer-Encoding")
    if !lengths.isEmpty, !codings.isEmpty { throw MessageViolation("Content-Length and Transfer-Encoding") }
    if lengths.count > 1 { throw MessageViolation("Content-Length \(lengths.count) times") }
    if codings.count > 1 { throw MessageViolation("Transfer-Encoding \(codings.count) times") }
    var length: Int?
    if let text = lengths.first {
      guard !text.isEmpty, text.utf8.allSatisfy(Ascii.isDigit), let number = Int(text) else {
        throw MessageViolation("Content-Length is not a number")
      }
      length = number
    }
    if let coding = codings.first {
      if coding.lowercased() != "chunked" { throw MessageViolation("Transfer-Encoding is not chunked") }
      if version == "HTTP/1.0" { throw MessageViolation("Transfer-Encoding in HTTP/1.0") }
    }
    if !isRequest, answersHead || status < 200 || status == 204 || status == 304 { return .none }
    if !codings.isEmpty { return .chunked }
    if let length { return length == 0 ? .none : .length(length) }
    return isRequest ? .none : .untilClose
  }
}

extension MessageHead {
  /// Takes the bytes of a head apart; they end with the empty line.
  init(_ bytes: [UInt8], isRequest: Bool) throws(MessageViolation) {
    self.init()
    raw = bytes
    var lines = try Self.lines(bytes)
    // RFC 9112 §2.2: one empty line before a request line is let pass.
    if isRequest, lines.first?.isEmpty == true { lines.removeFirst() }
    guard let start = lines.first, !start.isEmpty else { throw MessageViolation("no start line") }
    if isRequest { try readRequestLine(start) } else { try readStatusLine(start) }
    for line in lines.dropFirst() where !line.isEmpty { fields.lines.append(try Self.field(line)) }
    if isRequest {
      let hosts = fields.all("Host").count
      if hosts > 1 || (hosts == 0 && version == "HTTP/1.1") { throw MessageViolation("Host \(hosts) times") }
    }
  }

  private static func lines(_ bytes: [UInt8]) throws(MessageViolation) -> [ArraySlice<UInt8>] {
    var lines: [ArraySlice<UInt8>] = []
    var start = 0
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      if byte == Ascii.lineFeed { throw MessageViolation("a line feed without carriage return in the head") }
      if byte == Ascii.carriageReturn {
        guard index + 1 < bytes.count, bytes[index + 1] == Ascii.lineFeed else {
          throw MessageViolation("a carriage return without line feed in the head")
        }
        lines.append(bytes[start..<index])
        index += 2
        start = index
      } else {
        index += 1
      }
    }
    return lines
  }

  private mutating func readRequestLine(_ line: ArraySlice<UInt8>) throws(MessageViolation) {
    let parts = line.split(separator: Ascii.space, omittingEmptySubsequences: false)
    guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(Ascii.isToken), !parts[1].isEmpty,
      parts[1].allSatisfy({ $0 > 32 && $0 < 127 })
    else { throw MessageViolation("a malformed request line") }
    method = String(decoding: parts[0], as: UTF8.self)
    target = String(decoding: parts[1], as: UTF8.self)
    version = try Self.version(parts[2])
  }

  private mutating func readStatusLine(_ line: ArraySlice<UInt8>) throws(MessageViolation) {
    let parts = line.split(separator: Ascii.space, maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[1].count == 3, parts[1].allSatisfy(Ascii.isDigit),
      let number = Int(String(decoding: parts[1], as: UTF8.self)), number >= 100
    else { throw MessageViolation("a malformed status line") }
    version = try Self.version(parts[0])
    status = number
    reason = String(decoding: parts[2], as: UTF8.self)
  }

  private static func version(_ bytes: ArraySlice<UInt8>) throws(MessageViolation) -> String {
    let text = String(decoding: bytes, as: UTF8.self)
    guard text == "HTTP/1.1" || text == "HTTP/1.0" else { throw MessageViolation("an unknown version") }
    return text
  }

  static func field(_ line: ArraySlice<UInt8>) throws(MessageViolation) -> FieldLine {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { throw MessageViolation("a field without colon") }
    let name = line[..<colon]
    guard !name.isEmpty, name.allSatisfy(Ascii.isToken) else { throw MessageViolation("a malformed field name") }
    var value = line[(colon + 1)...]
    while let first = value.first, first == Ascii.space || first == Ascii.tab { value = value.dropFirst() }
    while let last = value.last, last == Ascii.space || last == Ascii.tab { value = value.dropLast() }
    guard value.allSatisfy({ $0 >= 32 && $0 != 127 || $0 == Ascii.tab }) else {
      throw MessageViolation("a control character in a field value")
    }
    return FieldLine(String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
  }
}
