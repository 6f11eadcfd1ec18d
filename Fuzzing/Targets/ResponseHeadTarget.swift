// Response heads: what is accepted and written towards the caller is the same response to who parses it again.
internal import HTTPWire

enum ResponseHeadTarget {
  private static let tight = HeadLimits(bytes: 150, fields: 4, target: 25)

  static func run(_ input: [UInt8]) {
    for limits in [HeadLimits(), tight] {
      for isHeadRequest in [false, true] {
        Outcome<ResponseHead>.requireConsistency(of: input, count: \.count) { parse($0, isHeadRequest, limits) }
        guard case .head(let head) = parse(input.span, isHeadRequest, limits) else { continue }
        require(head.count <= min(input.count, limits.bytes), "a head of \(head.count) bytes")
        require(head.fields.count <= limits.fields, "\(head.fields.count) fields")
        requireSame(head, input, isHeadRequest)
      }
    }
  }

  private static func parse(
    _ bytes: Span<UInt8>, _ isHeadRequest: Bool, _ limits: HeadLimits
  ) -> Outcome<ResponseHead> {
    var head = ResponseHead()
    do {
      return try head.parse(bytes, isHeadRequest: isHeadRequest, limits: limits) == nil ? .incomplete : .head(head)
    } catch {
      return .failed(error)
    }
  }

  /// Writes the head as the gateway does for a caller whose connection goes on, and reads it again.
  private static func requireSame(_ head: ResponseHead, _ input: [UInt8], _ isHeadRequest: Bool) {
    let hasNoBody = isHeadRequest || head.status < 200 || head.status == 204 || head.status == 304
    require((head.framing == .none) == hasNoBody, "status \(head.status) with framing \(head.framing)")
    let bytes = input.span
    let room = head.count + 3 * head.fields.count + HeadWriter.capacity(reason: Int(head.reason.count)) + 64
    let written = [UInt8](capacity: room) { out in
      HeadWriter.writeStatusLine(head.status, reason: bytes.extracting(head.reason.range), into: &out)
      HeadWriter.writeFields(head.fields, of: bytes, into: &out)
      switch head.framing {
      case .chunked, .untilClose: out.append(HeadWriter.chunkedField)
      case .none, .length: break
      }
      out.append(HeadWriter.headEnd)
    }
    let limits = HeadLimits(bytes: written.count + 1, fields: head.fields.count + 8)
    guard case .head(let again) = parse(written.span, isHeadRequest, limits) else {
      return require(false, "cannot be read again: \(String(decoding: written, as: UTF8.self))")
    }
    require(again.count == written.count, "bytes are left behind the head")
    requireOneFraming(again.fields)
    require(again.status == head.status && again.minorVersion == 1, "status line")
    require(Array(written[again.reason.range]) == Array(input[head.reason.range]), "reason")
    require(
      again.framing == (head.framing == .untilClose ? .chunked : head.framing),
      "\(head.framing) is now \(again.framing)")
    require(again.keepsAlive && again.keepAliveTimeout == nil, "persistence")
    let kept = FieldText.kept(head.fields, of: input)
    let keptAgain = FieldText.kept(again.fields, of: written)
    require(kept == keptAgain, "fields \(kept) are now \(keptAgain)")
  }
}
