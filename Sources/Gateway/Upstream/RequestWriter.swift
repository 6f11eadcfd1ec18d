// Writes a request head towards the upstream: the caller's fields without those that are ours, then ours, the
// credential's last.
internal import EventLoop
internal import HTTPWire
internal import TokenKit

enum RequestWriter {
  /// Fields that are written here rather than copied.
  private static let rewritten: FieldNameSet = [
    FieldNameSet(.host), FieldNameSet(.contentLength), FieldNameSet(.xGatewayToken), FieldNameSet(.xForwardedFor),
    FieldNameSet(.xForwardedProto), FieldNameSet(.xForwardedHost), FieldNameSet(.xRequestID),
    FieldNameSet(.maxForwards),
    FieldNameSet(.expect),
  ]

  private static let rewrittenInTrace: FieldNameSet = [rewritten, FieldNameSet(.traceparent)]

  /// Fields that stand in the way of writing ours without a look at the caller's.
  private static let forwarding: FieldNameSet = [
    FieldNameSet(.xForwardedFor), FieldNameSet(.xForwardedProto), FieldNameSet(.xForwardedHost),
    FieldNameSet(.xRequestID), FieldNameSet(.maxForwards),
  ]

  static func write(_ exchange: Exchange, to target: UpstreamTarget, _ stream: Stream) {
    let plan = exchange.plan
    let worker = exchange.worker
    let isTrusted = worker.isTrustedProxy(exchange.peer)
    let hostLine = target.hostLine
    let via = worker.forwarding.via
    let rendered = exchange.lease?.rendered
    exchange.requestBytes.withSpan { bytes in
      let capacity =
        HeadWriter.capacity(of: exchange.request.fields) + exchange.request.count + plan.basePath.count
        + hostLine.count + 2 * Int(exchange.request.authority.count)
        + (rendered?.count ?? 0) + via.count + 512
      stream.write(capacity: capacity) { out in
        writeRequestLine(exchange, plan, bytes, &out)
        if plan.preservesHost {
          HeadWriter.writeField(name: "Host", value: bytes.extracting(exchange.request.authority.range), into: &out)
        } else {
          out.append(copying: hostLine.span)
        }
        if exchange.span.isTraced {
          writeTraced(exchange, bytes, &out)
        } else {
          HeadWriter.writeFields(exchange.request.fields, of: bytes, skipping: rewritten, into: &out)
        }
        out.append("X-Forwarded-For: ")
        if exchange.request.names.isDisjoint(with: forwarding) {
          writeOwnForwarding(exchange, bytes, worker, &out)
        } else {
          writeForwarding(exchange, bytes, worker, isTrusted: isTrusted, &out)
        }
        out.append(copying: via.span)
        if exchange.request.acceptsTrailers { out.append("TE: trailers\r\nConnection: TE\r\n") }
        if exchange.request.expectsContinue || exchange.isExpecting { out.append("Expect: 100-continue\r\n") }
        switch exchange.request.framing {
        case .length(let length): HeadWriter.writeContentLength(length, into: &out)
        case .chunked: out.append(HeadWriter.chunkedField)
        case .none, .untilClose: break
        }
        if let rendered { out.append(copying: rendered.span) }
        out.append(HeadWriter.headEnd)
      }
    }
  }

  /// The caller's fields, with our place in the trace.
  private static func writeTraced(_ exchange: Exchange, _ bytes: Span<UInt8>, _ out: inout OutputSpan<UInt8>) {
    HeadWriter.writeFields(exchange.request.fields, of: bytes, skipping: rewrittenInTrace, into: &out)
    out.appendTraceparent(exchange.span.trace, span: exchange.span.upstreamParent, flags: exchange.span.flags)
  }

  private static func writeRequestLine(
    _ exchange: Exchange, _ plan: RoutePlan, _ bytes: Span<UInt8>, _ out: inout OutputSpan<UInt8>
  ) {
    out.append(copying: bytes.extracting(exchange.request.methodRange.range))
    out.append(UInt8(ascii: " "))
    // `OPTIONS *` asks about the server, not about a path of it.
    let basePath = plan.basePath
    if !basePath.isEmpty, !exchange.isAsterisk { out.append(copying: basePath.span) }
    if exchange.forwardedPath.isEmpty { out.append(UInt8(ascii: "/")) }
    out.append(copying: bytes.extracting(exchange.forwardedPath.range))
    out.append(copying: bytes.extracting(exchange.request.query.range))
    out.append(" HTTP/1.1\r\n")
  }

  /// X-Forwarded-* and X-Request-ID for a caller that sent none of them, after the name of the first.
  private static func writeOwnForwarding(
    _ exchange: Exchange, _ bytes: Span<UInt8>, _ worker: Worker, _ out: inout OutputSpan<UInt8>
  ) {
    exchange.peer.writeHost(into: &out)
    out.append("\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ")
    out.append(copying: bytes.extracting(exchange.request.authority.range))
    out.append("\r\nX-Request-ID: ")
    worker.writeRequestID(of: exchange, into: &out)
    out.append("\r\n")
  }

  /// X-Forwarded-*, X-Request-ID and Max-Forwards, after the name of the first.
  private static func writeForwarding(
    _ exchange: Exchange, _ bytes: Span<UInt8>, _ worker: Worker, isTrusted: Bool, _ out: inout OutputSpan<UInt8>
  ) {
    var kept = FieldNameSet.none
    var maxForwards: UInt64?
    for field in exchange.request.fields where !field.isDropped {
      let value = bytes.extracting(field.value.range)
      switch field.known {
      case .xForwardedFor where isTrusted:
        out.append(copying: value)
        out.append(", ")
      case .maxForwards: maxForwards = decimal(value)
      default: break
      }
    }
    exchange.peer.writeHost(into: &out)
    out.append("\r\n")
    for field in exchange.request.fields where !field.isDropped {
      let value = bytes.extracting(field.value.range)
      switch field.known {
      case .xForwardedProto where isTrusted && !kept.contains(.xForwardedProto):
        HeadWriter.writeField(name: "X-Forwarded-Proto", value: value, into: &out)
      case .xForwardedHost where isTrusted && !kept.contains(.xForwardedHost):
        HeadWriter.writeField(name: "X-Forwarded-Host", value: value, into: &out)
      case .xRequestID where !kept.contains(.xRequestID) && isRequestID(field):
        HeadWriter.writeField(name: "X-Request-ID", value: value, into: &out)
      default: continue
      }
      kept.add(field.known)
    }
    if !kept.contains(.xForwardedProto) { out.append("X-Forwarded-Proto: http\r\n") }
    if !kept.contains(.xForwardedHost) {
      HeadWriter.writeField(
        name: "X-Forwarded-Host", value: bytes.extracting(exchange.request.authority.range), into: &out)
    }
    if !kept.contains(.xRequestID) {
      out.append("X-Request-ID: ")
      worker.writeRequestID(of: exchange, into: &out)
      out.append("\r\n")
    }
    if let maxForwards, exchange.request.method == .options {
      out.append("Max-Forwards: ")
      out.appendDecimal(maxForwards > 0 ? maxForwards - 1 : 0)
      out.append("\r\n")
    }
  }

  /// Whether the caller's X-Request-ID is one to keep.
  static func isRequestID(_ field: Field) -> Bool { !field.value.isEmpty && field.value.count <= 128 }

  /// A decimal number of at most 9 digits; nil for anything else.
  static func decimal(_ value: Span<UInt8>) -> UInt64? {
    if value.count == 0 || value.count > 9 { return nil }
    var number: UInt64 = 0
    for index in 0..<value.count {
      let digit = value[index] &- UInt8(ascii: "0")
      if digit > 9 { return nil }
      number = number * 10 + UInt64(digit)
    }
    return number
  }
}
