// Renders one exchange as a line of the access log, as bytes into a buffer of the loop. Names of the configuration are
// rendered once.
internal import EventLoop
internal import HTTPWire

/// What a line tells, besides the request's head. Made on the stack for each line.
struct AccessLogEntry {
  var trace: ExchangeTrace
  var peer: SocketAddress
  /// The route's place among the plans; nil when none was found.
  var route: Int?
  var bytesIn: UInt64
  var isReplayed: Bool
  /// The line's end of the exchange, nanoseconds of CLOCK_BOOTTIME.
  var now: Int64
}

/// Confined to its loop.
struct AccessLogLine {
  /// Bytes of a line at most, whatever callers send: what a pipe takes whole or not at all (PIPE_BUF).
  static let limit = 4096
  private static let idLimit = 160
  private static let methodLimit = 32
  private static let hostLimit = 256
  private static let targetLimit = 1400
  private static let agentLimit = 400
  private static let refererLimit = 500

  private let format: LogConfiguration.AccessFormat
  private let redaction: AccessLogRedaction
  private let idPrefix: [UInt8]
  private let listeners: [[UInt8]]
  private let routes: [[UInt8]]
  private var clock: AccessLogClock

  init(_ configuration: LogConfiguration, listeners: [ListenerPlan], routes: [RoutePlan], idPrefix: [UInt8]) {
    format = configuration.accessFormat
    redaction = AccessLogRedaction(configuration.redact)
    self.idPrefix = idPrefix.map { $0 }
    self.listeners = listeners.map { Array("\",\"listener\":\"\(AccessLogText.name($0.name))\",\"peer\":\"".utf8) }
    self.routes = routes.map { route in
      var text = ",\"route\":\"\(AccessLogText.name(route.name))\""
      if route.credential != nil { text += ",\"credential\":\"\(AccessLogText.name(route.credentialName))\"" }
      return Array(text.utf8)
    }
    clock = AccessLogClock(configuration.accessFormat)
  }

  /// - Parameters:
  ///   - head: without a method when the request could not be understood.
  ///   - bytes: what the head's ranges count in.
  mutating func write(
    _ entry: borrowing AccessLogEntry, _ head: borrowing RequestHead, _ bytes: Span<UInt8>,
    into out: inout OutputSpan<UInt8>
  ) {
    clock.advance(to: entry.now)
    switch format {
    case .json: writeJSON(entry, head, bytes, &out)
    case .combined: writeCombined(entry, head, bytes, &out)
    }
  }

  // MARK: JSON

  private func writeJSON(
    _ entry: borrowing AccessLogEntry, _ head: borrowing RequestHead, _ bytes: Span<UInt8>,
    _ out: inout OutputSpan<UInt8>
  ) {
    out.append(copying: clock.bytes.span)
    writeRequestID(entry.trace.requestID, head, bytes, &out)
    let listener = listeners[entry.trace.listener]
    out.append(copying: listener.span)
    entry.peer.writeHost(into: &out)
    if !head.methodRange.isEmpty {
      out.append("\",\"method\":\"")
      value(bytes.extracting(head.methodRange.range), Self.methodLimit, &out)
      out.append("\",\"host\":\"")
      value(bytes.extracting(head.authority.range), Self.hostLimit, &out)
      out.append("\",\"path\":\"")
      writeTarget(.json, head, bytes, &out)
    }
    out.append("\",\"status\":")
    out.appendDecimal(UInt64(entry.trace.loggedStatus))
    out.append(",\"bytes_in\":")
    out.appendDecimal(entry.bytesIn)
    out.append(",\"bytes_out\":")
    out.appendDecimal(entry.trace.bytesOut)
    out.append(",\"duration\":")
    Self.writeSeconds(entry.now &- entry.trace.begun, &out)
    if let index = entry.route {
      let route = routes[index]
      out.append(copying: route.span)
    }
    if entry.trace.generation != 0 {
      out.append(",\"generation\":")
      out.appendDecimal(entry.trace.generation)
    }
    out.append(entry.isReplayed ? ",\"replayed\":true" : ",\"replayed\":false")
    writeUpstream(entry, &out)
    if let error = entry.trace.loggedError {
      out.append(",\"proxy_status\":\"")
      Self.write(error.proxyStatus, &out)
      out.append("\",\"reason\":\"")
      Self.write(error.word, &out)
      out.append("\"")
    }
    if entry.trace.isCut { out.append(",\"cut\":true") }
    for field in head.fields where field.known == .other {
      let name = bytes.extracting(field.name.range)
      if Self.isEqual(name, "user-agent") {
        out.append(",\"user_agent\":\"")
        value(bytes.extracting(field.value.range), Self.agentLimit, &out)
        out.append("\"")
        break
      }
    }
    out.append("}\n")
  }

  private func writeUpstream(_ entry: borrowing AccessLogEntry, _ out: inout OutputSpan<UInt8>) {
    if let upstream = entry.trace.upstream {
      out.append(",\"upstream\":\"")
      let address = upstream.bytes
      out.append(copying: address.span)
      out.append("\",\"upstream_connect\":")
      Self.writeSeconds(entry.trace.connected &- entry.trace.connectBegun, &out)
      out.append(entry.trace.isReused ? ",\"reused\":true" : ",\"reused\":false")
    }
    if entry.trace.firstByte != 0 {
      out.append(",\"upstream_first_byte\":")
      Self.writeSeconds(entry.trace.firstByte &- entry.trace.connected, &out)
    }
    if entry.trace.upstreamStatus != 0 {
      out.append(",\"upstream_status\":")
      out.appendDecimal(UInt64(entry.trace.upstreamStatus))
    }
  }

  /// The one that the upstream got: the caller's if it sent one, else ours.
  private func writeRequestID(
    _ own: UInt64, _ head: borrowing RequestHead, _ bytes: Span<UInt8>, _ out: inout OutputSpan<UInt8>
  ) {
    if head.names.contains(.xRequestID) {
      for field in head.fields where field.known == .xRequestID && !field.isDropped {
        if RequestWriter.isRequestID(field) {
          return value(bytes.extracting(field.value.range), Self.idLimit, &out)
        }
      }
    }
    out.append(copying: idPrefix.span)
    out.appendHex(own)
  }

  // MARK: Combined

  /// The combined format of Apache and nginx, in UTC: caller, time, request, status, bytes of the body, Referer,
  /// User-Agent.
  private func writeCombined(
    _ entry: borrowing AccessLogEntry, _ head: borrowing RequestHead, _ bytes: Span<UInt8>,
    _ out: inout OutputSpan<UInt8>
  ) {
    entry.peer.writeHost(into: &out)
    out.append(copying: clock.bytes.span)
    if head.methodRange.isEmpty {
      out.append("-")
    } else {
      var text = AccessLogText(.plain, limit: Self.methodLimit)
      text.append(bytes.extracting(head.methodRange.range), into: &out)
      out.append(" ")
      writeTarget(.plain, head, bytes, &out)
      out.append(head.minorVersion == 0 ? " HTTP/1.0" : " HTTP/1.1")
    }
    out.append("\" ")
    let status = entry.trace.loggedStatus
    if status == 0 { out.append("000") } else { out.appendDecimal(UInt64(status)) }
    out.append(" ")
    out.appendDecimal(entry.trace.bytesOut)
    writeQuoted("referer", Self.refererLimit, head, bytes, &out)
    writeQuoted("user-agent", Self.agentLimit, head, bytes, &out)
    out.append("\n")
  }

  private func writeQuoted(
    _ name: StaticString, _ limit: Int, _ head: borrowing RequestHead, _ bytes: Span<UInt8>,
    _ out: inout OutputSpan<UInt8>
  ) {
    out.append(" \"")
    var text = AccessLogText(.plain, limit: limit)
    var isThere = false
    for field in head.fields where field.known == .other && !isThere {
      if !Self.isEqual(bytes.extracting(field.name.range), name) { continue }
      isThere = true
      redaction.append(bytes.extracting(field.value.range), text: &text, into: &out)
    }
    if !isThere { out.append("-") }
    out.append("\"")
  }

  // MARK: Parts

  /// The target as the caller sent it, less what must not be seen.
  private func writeTarget(
    _ style: AccessLogText.Style, _ head: borrowing RequestHead, _ bytes: Span<UInt8>, _ out: inout OutputSpan<UInt8>
  ) {
    var text = AccessLogText(style, limit: Self.targetLimit)
    text.append(bytes.extracting(head.path.range), into: &out)
    if !head.query.isEmpty { redaction.append(bytes.extracting(head.query.range), text: &text, into: &out) }
  }

  private func value(_ bytes: Span<UInt8>, _ limit: Int, _ out: inout OutputSpan<UInt8>) {
    var text = AccessLogText(.json, limit: limit)
    text.append(bytes, into: &out)
  }

  /// Words of our own, which need no escaping. Errors are rare.
  private static func write(_ word: String, _ out: inout OutputSpan<UInt8>) {
    for byte in word.utf8.prefix(64) { out.append(byte) }
  }

  /// Seconds with six places; never negative.
  private static func writeSeconds(_ nanoseconds: Int64, _ out: inout OutputSpan<UInt8>) {
    let micros = UInt64(max(0, nanoseconds)) / 1000
    out.appendDecimal(micros / 1_000_000)
    let part = UInt32(micros % 1_000_000)
    out.append(UInt8(ascii: "."))
    out.append(0x30 + UInt8(truncatingIfNeeded: part / 100_000))
    out.append(0x30 + UInt8(truncatingIfNeeded: part / 10_000 % 10))
    out.append(0x30 + UInt8(truncatingIfNeeded: part / 1000 % 10))
    out.append(0x30 + UInt8(truncatingIfNeeded: part / 100 % 10))
    out.append(0x30 + UInt8(truncatingIfNeeded: part / 10 % 10))
    out.append(0x30 + UInt8(truncatingIfNeeded: part % 10))
  }

  /// - Parameter expected: in lower case.
  private static func isEqual(_ name: Span<UInt8>, _ expected: StaticString) -> Bool {
    if name.count != expected.utf8CodeUnitCount { return false }
    let expected = expected.bytes
    for index in 0..<expected.count where name[index] | 0x20 != expected[index] | 0x20 { return false }
    return true
  }
}
