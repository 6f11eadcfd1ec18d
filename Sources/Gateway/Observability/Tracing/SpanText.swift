// Finished spans as OTLP has them in JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding), with
// attributes by the semantic conventions of HTTP.
internal import EventLoop
internal import HTTPWire

/// Writes spans one behind the other. Confined to the control loop.
struct SpanText {
  /// Bytes of a span at most: what it has by itself, and what its names, its host and its path take.
  private static let limit = 8192
  private static let nameLimit = 256
  private static let pathLimit = 2048

  /// Of the process, by place.
  var places: PlanPlaces {
    didSet { (routes, upstreams) = ([:], [:]) }
  }
  /// What stands for a place, rendered when it is needed for the first time after a reload.
  private var routes: [Int32: Route] = [:]
  private var upstreams: [Int32: Upstream] = [:]

  private struct Route {
    var name: [UInt8]
    var attributes: [UInt8]
  }

  private struct Upstream {
    var origin: [UInt8]
    var attributes: [UInt8]
  }

  init(_ places: PlanPlaces) { self.places = places }

  // MARK: Around the spans

  /// What stands before the spans of a call.
  static func head(service: String, instance: String) -> [UInt8] {
    var out = AttributeText()
    out.literal("{\"resourceSpans\":[{\"resource\":{\"attributes\":[")
    out.isFirst = true
    out.text("service.name", service)
    out.text("service.version", Version.text)
    out.text("service.instance.id", instance)
    out.literal("]},\"scopeSpans\":[{\"scope\":{\"name\":\"gateway\",\"version\":\"\(Version.text)\"},\"spans\":[")
    return out.bytes
  }

  static let tail = Array("]}]}]}".utf8)

  // MARK: Spans

  /// - Parameters:
  ///   - text: what its ranges count in.
  ///   - offset: nanoseconds from CLOCK_BOOTTIME to CLOCK_REALTIME.
  mutating func write(_ record: SpanRecord, _ text: Span<UInt8>, offset: Int64, into buffer: ByteBuffer) {
    let route = route(record.route)
    let upstream = upstream(record.upstream)
    let listener = record.kind == .request ? self.listener(record.listener) : []
    buffer.append(capacity: Self.limit) { out in
      Self.begin(record, &out)
      switch record.kind {
      case .request:
        Self.writeMethod(record, text, &out)
        if let route {
          out.append(" ")
          out.append(copying: route.name.span)
        }
        out.append("\",\"kind\":2")
      case .attempt:
        Self.writeMethod(record, text, &out)
        out.append("\",\"kind\":3")
      case .wait: out.append("wait for token\",\"kind\":1")
      }
      Self.writeTimes(record.begun, record.ended, offset, &out)
      out.append(",\"attributes\":[")
      switch record.kind {
      case .request: Self.writeRequest(record, text, listener.span, &out)
      case .attempt: Self.writeAttempt(record, text, upstream, &out)
      case .wait:
        out.append("{\"key\":\"gateway.wait_for\",\"value\":{\"stringValue\":\"")
        out.append(record.marks.contains(.refused) ? "replacement\"}}" : "token\"}}")
      }
      if let route { out.append(copying: route.attributes.span) }
      Self.writeEnd(record, offset, &out)
    }
  }

  private static func begin(_ record: SpanRecord, _ out: inout OutputSpan<UInt8>) {
    out.append("{\"traceId\":\"")
    out.appendID(record.trace)
    out.append("\",\"spanId\":\"")
    out.appendID(record.id)
    if record.parent != 0 {
      out.append("\",\"parentSpanId\":\"")
      out.appendID(record.parent)
    }
    // Beside the flags of the context: that it is known whether the parent is another process's, and whether it is.
    out.append("\",\"flags\":")
    out.appendDecimal(UInt64(record.flags) | 0x100 | (record.marks.contains(.hasRemoteParent) ? 0x200 : 0))
    out.append(",\"name\":\"")
  }

  private static func writeMethod(_ record: SpanRecord, _ text: Span<UInt8>, _ out: inout OutputSpan<UInt8>) {
    out.append(name(of: record.method) ?? "HTTP")
  }

  /// nil for those that the conventions do not list.
  private static func name(of method: Method) -> StaticString? {
    switch method {
    case .get: "GET"
    case .head: "HEAD"
    case .post: "POST"
    case .put: "PUT"
    case .delete: "DELETE"
    case .options: "OPTIONS"
    case .patch: "PATCH"
    case .other: nil
    }
  }

  static func writeTimes(_ begun: Int64, _ ended: Int64, _ offset: Int64, _ out: inout OutputSpan<UInt8>) {
    out.append(",\"startTimeUnixNano\":\"")
    out.appendTime(begun &+ offset)
    out.append("\",\"endTimeUnixNano\":\"")
    out.appendTime(ended &+ offset)
    out.append("\"")
  }

  private static func writeRequest(
    _ record: SpanRecord, _ text: Span<UInt8>, _ listener: Span<UInt8>, _ out: inout OutputSpan<UInt8>
  ) {
    writeMethodAttribute(record, text, &out)
    out.append(",{\"key\":\"url.scheme\",\"value\":{\"stringValue\":\"http\"}}")
    out.append(",{\"key\":\"url.path\",\"value\":{\"stringValue\":\"")
    writeEscaped(text.extracting(record.pathRange), pathLimit, &out)
    out.append("\"}}")
    if record.status != 0 { writeNumber("http.response.status_code", UInt64(record.status), &out) }
    if let peer = record.peer.address { writePeer(peer, &out) }
    out.append(copying: listener)
    if record.bytesIn > 0 { writeNumber("http.request.body.size", record.bytesIn, &out) }
    if record.bytesOut > 0 { writeNumber("http.response.body.size", record.bytesOut, &out) }
    if record.generation != 0 { writeNumber("gateway.token_generation", record.generation, &out) }
    writeFlag("gateway.replayed", record.marks.contains(.replayed), &out)
    if record.marks.contains(.cut) { writeFlag("gateway.cut", true, &out) }
    if record.marks.contains(.abandoned) { writeFlag("gateway.client_gone", true, &out) }
    if let error = record.error { writeWord("gateway.reason", error.label, &out) }
  }

  private static func writeAttempt(
    _ record: SpanRecord, _ text: Span<UInt8>, _ upstream: Upstream?, _ out: inout OutputSpan<UInt8>
  ) {
    writeMethodAttribute(record, text, &out)
    if let upstream {
      out.append(",{\"key\":\"url.full\",\"value\":{\"stringValue\":\"")
      out.append(copying: upstream.origin.span)
      let path = text.extracting(record.pathRange)
      if path.isEmpty { out.append("/") }
      writeEscaped(path, pathLimit, &out)
      out.append("\"}}")
      out.append(copying: upstream.attributes.span)
    }
    if record.status != 0 { writeNumber("http.response.status_code", UInt64(record.status), &out) }
    if let peer = record.peer.address { writePeer(peer, &out) }
    if record.number > 0 { writeNumber("http.request.resend_count", UInt64(record.number), &out) }
    if record.generation != 0 { writeNumber("gateway.token_generation", record.generation, &out) }
    if record.connected != 0 { writeFlag("gateway.connection_reused", record.marks.contains(.reused), &out) }
    if record.marks.contains(.abandoned) { writeFlag("gateway.client_gone", true, &out) }
  }

  private static func writeMethodAttribute(
    _ record: SpanRecord, _ text: Span<UInt8>, _ out: inout OutputSpan<UInt8>
  ) {
    out.append("{\"key\":\"http.request.method\",\"value\":{\"stringValue\":\"")
    out.append(name(of: record.method) ?? "_OTHER")
    out.append("\"}}")
    if record.method == .other, record.methodCount > 0 {
      out.append(",{\"key\":\"http.request.method_original\",\"value\":{\"stringValue\":\"")
      writeEscaped(text.extracting(record.methodRange), nameLimit, &out)
      out.append("\"}}")
    }
  }

  private static func writeEnd(_ record: SpanRecord, _ offset: Int64, _ out: inout OutputSpan<UInt8>) {
    let isError =
      switch record.kind {
      // What a caller did wrong is none of the server's errors.
      case .request: record.status >= 500 || record.marks.contains(.cut)
      case .attempt: record.error != nil || record.status >= 400
      case .wait: record.error != nil
      }
    if isError {
      out.append(",{\"key\":\"error.type\",\"value\":{\"stringValue\":\"")
      if let error = record.error {
        writeShort(error.label, &out)
      } else {
        out.appendDecimal(UInt64(record.status))
      }
      out.append("\"}}")
    }
    out.append("]")
    if record.kind == .attempt, record.connected != 0 {
      out.append(",\"events\":[")
      writeEvent("connected", max(record.begun, record.connected) &+ offset, &out)
      if record.firstByte != 0 {
        out.append(",")
        writeEvent("first byte", record.firstByte &+ offset, &out)
      }
      out.append("]")
    }
    out.append(isError ? ",\"status\":{\"code\":2}}" : ",\"status\":{}}")
  }

  private static func writeEvent(_ name: StaticString, _ time: Int64, _ out: inout OutputSpan<UInt8>) {
    out.append("{\"timeUnixNano\":\"")
    out.appendTime(time)
    out.append("\",\"name\":\"")
    out.append(name)
    out.append("\"}")
  }

  private static func writePeer(_ peer: SocketAddress, _ out: inout OutputSpan<UInt8>) {
    if case .unix = peer {
      return out.append(",{\"key\":\"network.transport\",\"value\":{\"stringValue\":\"unix\"}}")
    }
    out.append(",{\"key\":\"network.peer.address\",\"value\":{\"stringValue\":\"")
    peer.writeHost(into: &out)
    out.append("\"}}")
    writeNumber("network.peer.port", UInt64(peer.port), &out)
  }

  private static func writeNumber(_ key: StaticString, _ value: UInt64, _ out: inout OutputSpan<UInt8>) {
    out.append(",{\"key\":\"")
    out.append(key)
    out.append("\",\"value\":{\"intValue\":\"")
    out.appendDecimal(value)
    out.append("\"}}")
  }

  private static func writeFlag(_ key: StaticString, _ value: Bool, _ out: inout OutputSpan<UInt8>) {
    out.append(",{\"key\":\"")
    out.append(key)
    out.append(value ? "\",\"value\":{\"boolValue\":true}}" : "\",\"value\":{\"boolValue\":false}}")
  }

  private static func writeWord(_ key: StaticString, _ value: String, _ out: inout OutputSpan<UInt8>) {
    out.append(",{\"key\":\"")
    out.append(key)
    out.append("\",\"value\":{\"stringValue\":\"")
    writeShort(value, &out)
    out.append("\"}}")
  }

  /// Words of our own, which need no escaping.
  private static func writeShort(_ word: String, _ out: inout OutputSpan<UInt8>) {
    for byte in word.utf8.prefix(64) { out.append(byte) }
  }

  private static func writeEscaped(_ bytes: Span<UInt8>, _ limit: Int, _ out: inout OutputSpan<UInt8>) {
    var text = AccessLogText(.json, limit: limit)
    text.append(bytes, into: &out)
  }

  // MARK: Names of the configuration

  private mutating func route(_ place: Int32) -> Route? {
    if let known = routes[place] { return known }
    guard places.routes.indices.contains(Int(place)) else { return nil }
    let named = places.routes[Int(place)]
    var attributes = AttributeText()
    attributes.text("gateway.route", named.name)
    if !named.credential.isEmpty { attributes.text("gateway.credential", named.credential) }
    let route = Route(name: Array(AccessLogText.name(named.name).utf8), attributes: attributes.bytes)
    routes[place] = route
    return route
  }

  private mutating func upstream(_ place: Int32) -> Upstream? {
    if let known = upstreams[place] { return known }
    guard places.upstreams.indices.contains(Int(place)) else { return nil }
    let origin = places.upstreams[Int(place)].origin
    var attributes = AttributeText()
    attributes.text("server.address", origin.host)
    attributes.number("server.port", UInt64(origin.port))
    let scheme = origin.isTLS ? "https" : "http"
    let upstream = Upstream(
      origin: Array("\(scheme)://\(origin.authority)".utf8), attributes: attributes.bytes)
    upstreams[place] = upstream
    return upstream
  }

  private func listener(_ place: Int32) -> [UInt8] {
    guard places.listeners.indices.contains(Int(place)) else { return [] }
    var attributes = AttributeText()
    attributes.text("gateway.listener", places.listeners[Int(place)])
    return attributes.bytes
  }
}
