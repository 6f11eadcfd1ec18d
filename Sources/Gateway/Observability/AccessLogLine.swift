// Renders one exchange as a line of the access log, as bytes into a buffer of the loop. Names of the configuration are
// rendered once.
internal import EventLoop
internal import HTTPWire

/// What a line tells of: an exchange, or a request that did not become one. Read field by field, and copied nowhere.
protocol AccessLogSubject: AnyObject {
  var trace: ExchangeTrace { get }
  var span: ExchangeSpan { get }
  /// Without a method when what came was no request.
  var request: RequestHead { get }
  var peer: SocketAddress { get }
  /// The route's place among the plans; nil when none was found.
  var routeIndex: Int? { get }
  /// Of the request's body.
  var bytesIn: UInt64 { get }
  var isReplayed: Bool { get }
}

extension Exchange: AccessLogSubject {
  var routeIndex: Int? { Int(plan.index) }
  var bytesIn: UInt64 { body.received }
  var isReplayed: Bool { machine.hasReplayed }
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
  private let names: AccessLogNames
  private var clock: AccessLogClock

  init(_ configuration: LogConfiguration, _ names: AccessLogNames, idPrefix: [UInt8]) {
    format = configuration.accessFormat
    redaction = AccessLogRedaction(configuration.redact)
    self.idPrefix = idPrefix.map { $0 }
    self.names = names
    clock = AccessLogClock(configuration.accessFormat)
  }

  /// - Parameters:
  ///   - bytes: what the ranges of its request count in.
  ///   - now: its end, nanoseconds of CLOCK_BOOTTIME.
  mutating func write(
    _ entry: some AccessLogSubject, _ bytes: Span<UInt8>, now: Int64, into out: inout OutputSpan<UInt8>
  ) {
    clock.advance(to: now)
    switch format {
    case .json: writeJSON(entry, bytes, now, &out)
    case .combined: writeCombined(entry, bytes, &out)
    }
  }

  // MARK: JSON

  private func writeJSON(
    _ entry: some AccessLogSubject, _ bytes: Span<UInt8>, _ now: Int64, _ out: inout OutputSpan<UInt8>
  ) {
    out.append(copying: clock.bytes.span)
    writeRequestID(entry, bytes, &out)
    writePart(entry.trace.listener, &out)
    entry.peer.writeHost(into: &out)
    if !entry.request.methodRange.isEmpty {
      out.append("\",\"method\":\"")
      // Methods and hosts have no character that needs escaping: the parser lets none through.
      out.append(copying: bytes.extracting(entry.request.methodRange.range).extracting(first: Self.methodLimit))
      out.append("\",\"host\":\"")
      out.append(copying: bytes.extracting(entry.request.authority.range).extracting(first: Self.hostLimit))
      out.append("\",\"path\":\"")
      writeTarget(.json, entry, bytes, &out)
    }
    out.append("\",\"status\":")
    out.appendDecimal(UInt64(entry.trace.loggedStatus))
    out.append(",\"bytes_in\":")
    out.appendDecimal(entry.bytesIn)
    out.append(",\"bytes_out\":")
    out.appendDecimal(entry.trace.bytesOut)
    out.append(",\"duration\":")
    Self.writeSeconds(now &- entry.trace.begun, &out)
    if let index = entry.routeIndex {
      writePart(names.listenerCount + index, &out)
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
    writeTrace(entry, bytes, &out)
    for field in entry.request.fields where field.isUnknown {
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

  /// The trace that it belongs to: the caller's own where we do not trace.
  private func writeTrace(_ entry: some AccessLogSubject, _ bytes: Span<UInt8>, _ out: inout OutputSpan<UInt8>) {
    if entry.span.isTraced {
      Self.write(entry.span.trace, &out)
      if entry.span.isRecorded {
        out.append(",\"span_id\":\"")
        out.appendID(entry.span.id)
        out.append("\"")
      }
    } else if let context = TraceContext(of: entry.request, bytes) {
      Self.write(context.trace, &out)
    }
  }

  private static func write(_ trace: TraceID, _ out: inout OutputSpan<UInt8>) {
    out.append(",\"trace_id\":\"")
    out.appendID(trace)
    out.append("\"")
  }

  private func writeUpstream(_ entry: some AccessLogSubject, _ out: inout OutputSpan<UInt8>) {
    if let upstream = entry.trace.upstream {
      out.append(",\"upstream\":\"")
      let address = upstream.bytes
      out.append(copying: address.span)
      out.append(entry.trace.isReused ? "\",\"reused\":true" : "\",\"reused\":false")
      // Nothing to tell of a connection that was there; a wait for one is.
      let wait = entry.trace.connected &- entry.trace.connectBegun
      if wait != 0 || !entry.trace.isReused {
        out.append(",\"upstream_connect\":")
        Self.writeSeconds(wait, &out)
      }
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
    _ entry: some AccessLogSubject, _ bytes: Span<UInt8>, _ out: inout OutputSpan<UInt8>
  ) {
    if entry.request.names.contains(.xRequestID) {
      for field in entry.request.fields where field.isOwnRequestID {
        return value(bytes.extracting(field.value.range), Self.idLimit, &out)
      }
    }
    out.append(copying: idPrefix.span)
    out.appendHex(entry.trace.requestID)
  }

  // MARK: Combined

  /// The combined format of Apache and nginx, in UTC: caller, time, request, status, bytes of the body, Referer,
  /// User-Agent.
  private func writeCombined(
    _ entry: some AccessLogSubject, _ bytes: Span<UInt8>, _ out: inout OutputSpan<UInt8>
  ) {
    entry.peer.writeHost(into: &out)
    out.append(copying: clock.bytes.span)
    if entry.request.methodRange.isEmpty {
      out.append("-")
    } else {
      var text = AccessLogText(.plain, limit: Self.methodLimit)
      text.append(bytes.extracting(entry.request.methodRange.range), into: &out)
      out.append(" ")
      writeTarget(.plain, entry, bytes, &out)
      out.append(entry.request.minorVersion == 0 ? " HTTP/1.0" : " HTTP/1.1")
    }
    out.append("\" ")
    let status = entry.trace.loggedStatus
    if status == 0 { out.append("000") } else { out.appendDecimal(UInt64(status)) }
    out.append(" ")
    out.appendDecimal(entry.trace.bytesOut)
    writeQuoted("referer", Self.refererLimit, entry, bytes, &out)
    writeQuoted("user-agent", Self.agentLimit, entry, bytes, &out)
    out.append("\n")
  }

  private func writeQuoted(
    _ name: StaticString, _ limit: Int, _ entry: some AccessLogSubject, _ bytes: Span<UInt8>,
    _ out: inout OutputSpan<UInt8>
  ) {
    out.append(" \"")
    var text = AccessLogText(.plain, limit: limit)
    var isThere = false
    for field in entry.request.fields where field.isUnknown && !isThere {
      if !Self.isEqual(bytes.extracting(field.name.range), name) { continue }
      isThere = true
      redaction.append(bytes.extracting(field.value.range), text: &text, into: &out)
    }
    if !isThere { out.append("-") }
    out.append("\"")
  }

  // MARK: Parts

  private func writePart(_ index: Int, _ out: inout OutputSpan<UInt8>) {
    out.append(copying: names.bytes.span.extracting(names.range(index)))
  }

  /// The target as the caller sent it, less what must not be seen.
  private func writeTarget(
    _ style: AccessLogText.Style, _ entry: some AccessLogSubject, _ bytes: Span<UInt8>, _ out: inout OutputSpan<UInt8>
  ) {
    var text = AccessLogText(style, limit: Self.targetLimit)
    text.append(bytes.extracting(entry.request.path.range), into: &out)
    if !entry.request.query.isEmpty {
      redaction.append(bytes.extracting(entry.request.query.range), text: &text, into: &out)
    }
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

extension Field {
  /// Compared by pattern: `==` would be generic code in another module.
  fileprivate var isUnknown: Bool { if case .other = known { true } else { false } }

  /// The caller's own request id, as `RequestWriter` takes it.
  fileprivate var isOwnRequestID: Bool {
    if case .xRequestID = known { !isDropped && RequestWriter.isRequestID(self) } else { false }
  }
}
