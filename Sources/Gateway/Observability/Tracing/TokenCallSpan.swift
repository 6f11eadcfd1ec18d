// The span of a token call: a trace of its own, since no single request causes it.
internal import EventLoop
internal import HTTPWire
internal import TokenKit
internal import TokenService

extension SpanText {
  /// Neither the body nor the path or query of its URL is told.
  static func write(
    _ call: GrantCallReport, _ trace: TraceID, id: UInt64, offset: Int64, into buffer: ByteBuffer
  ) {
    var attributes = AttributeText()
    attributes.isFirst = true
    attributes.text("gateway.credential", call.credential)
    attributes.text("http.request.method", "POST")
    if case .success(let url) = HTTPURL.parse(call.url) {
      attributes.text("url.scheme", url.isTLS ? "https" : "http")
      attributes.text("server.address", url.host)
      attributes.number("server.port", UInt64(url.port))
    }
    if let status = call.status { attributes.number("http.response.status_code", UInt64(max(0, status))) }
    if let error = call.error { attributes.text("error.type", error) }
    let name = Array("token refresh \(AccessLogText.name(call.credential))".utf8)
    buffer.append(capacity: attributes.bytes.count + name.count + 512) { out in
      out.append("{\"traceId\":\"")
      out.appendID(trace)
      out.append("\",\"spanId\":\"")
      out.appendID(id)
      out.append("\",\"flags\":257,\"name\":\"")
      out.append(copying: name.span)
      out.append("\",\"kind\":3")
      writeTimes(call.sent.nanoseconds, call.ended.nanoseconds, offset, &out)
      out.append(",\"attributes\":[")
      out.append(copying: attributes.bytes.span)
      out.append(call.error == nil ? "],\"status\":{}}" : "],\"status\":{\"code\":2}}")
    }
  }
}
