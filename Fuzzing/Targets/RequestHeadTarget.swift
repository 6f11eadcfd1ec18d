// Request heads: what is accepted, judged and written towards the upstream is the same request to who parses it again.
internal import HTTPWire

enum RequestHeadTarget {
  /// Fields that the gateway writes itself.
  private static let rewritten: FieldNameSet = [
    FieldNameSet(.host), FieldNameSet(.contentLength), FieldNameSet(.expect),
  ]
  private static let tight = HeadLimits(bytes: 150, fields: 4, target: 25)

  static func run(_ input: [UInt8]) {
    for limits in [HeadLimits(), tight] {
      Outcome<RequestHead>.requireConsistency(of: input, count: \.count) { parse($0, limits) }
      requireNoLostHead(input, limits)
      guard case .head(let head) = parse(input.span, limits) else { continue }
      require(head.count <= min(input.count, limits.bytes), "a head of \(head.count) bytes")
      require(head.fields.count <= limits.fields, "\(head.fields.count) fields")
      require(Int(head.target.count) <= limits.target, "a target of \(head.target.count) bytes")
      judgePath(Array(input[head.path.range]))
      requireSame(head, input)
    }
  }

  private static func parse(_ bytes: Span<UInt8>, _ limits: HeadLimits) -> Outcome<RequestHead> {
    var head = RequestHead()
    do {
      return try head.parse(bytes, limits: limits) == nil ? .incomplete : .head(head)
    } catch {
      return .failed(error)
    }
  }

  /// `mayComplete` spares a connection the parse of bytes that cannot complete a head: then they must not.
  private static func requireNoLostHead(_ input: [UInt8], _ limits: HeadLimits) {
    var seen = 0
    for cut in Cuts.points(of: input) + [input.count] {
      let bytes = input.span.extracting(0..<cut)
      let isLookedAt = RequestHead.mayComplete(bytes, seen: seen, limits: limits)
      if isLookedAt { seen = cut }
      switch parse(bytes, limits) {
      case .incomplete: break
      case .head: return require(isLookedAt, "\(cut) bytes hold a head that nobody looks for, \(seen) were seen")
      // Seen a little later, when the line ends.
      case .failed: return
      }
    }
  }

  /// Both judgements of a path agree, and its normal form is one.
  private static func judgePath(_ path: [UInt8]) {
    var form: [UInt8]?
    do throws(WireError) {
      form = try [UInt8](capacity: path.count) { out throws(WireError) in
        try PathRules.normalForm(of: path.span, into: &out)
      }
    } catch {
      require(error == WireError(.ambiguousPath), "\(error)")
    }
    if PathRules.isPlain(path.span) { require(form == path, "a plain path has another normal form") }
    guard let form, form != Array("*".utf8) else { return }
    require(form.first == UInt8(ascii: "/"), "a normal form that does not begin with a slash")
    require(!form.contains { $0 < 0x20 || $0 == 0x7f || $0 == UInt8(ascii: "\\") }, "a normal form with a control byte")
    let segments = form.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    for (index, segment) in segments.enumerated() {
      require(!segment.elementsEqual(".".utf8) && !segment.elementsEqual("..".utf8), "a dot segment is left")
      require(!segment.isEmpty || index == segments.count - 1, "an empty segment is left")
      require(!segment.contains(UInt8(ascii: ";")), "a parameter is left")
    }
  }

  /// Writes the request as the gateway does, without what it adds to all of them, and reads it again.
  private static func requireSame(_ head: RequestHead, _ input: [UInt8]) {
    let bytes = input.span
    let room = HeadWriter.capacity(of: head.fields) + head.count + Int(head.authority.count) + 256
    let written = [UInt8](capacity: room) { out in
      HeadWriter.writeRequestLine(
        method: bytes.extracting(head.methodRange.range), path: bytes.extracting(head.path.range),
        query: bytes.extracting(head.query.range), into: &out)
      if head.authority.isEmpty {
        out.append("Host: upstream\r\n")
      } else {
        HeadWriter.writeField(name: "Host", value: bytes.extracting(head.authority.range), into: &out)
      }
      HeadWriter.writeFields(head.fields, of: bytes, skipping: rewritten, into: &out)
      if head.acceptsTrailers { out.append("TE: trailers\r\nConnection: TE\r\n") }
      if head.expectsContinue { out.append("Expect: 100-continue\r\n") }
      switch head.framing {
      case .length(let length): HeadWriter.writeContentLength(length, into: &out)
      case .chunked: out.append(HeadWriter.chunkedField)
      case .none, .untilClose: break
      }
      out.append(HeadWriter.headEnd)
    }
    let limits = HeadLimits(bytes: written.count + 1, fields: head.fields.count + 8, target: head.count + 1)
    guard case .head(let again) = parse(written.span, limits) else {
      return require(false, "cannot be read again: \(String(decoding: written, as: UTF8.self))")
    }
    func text(_ range: ByteRange) -> [UInt8] { Array(input[range.range]) }
    func textAgain(_ range: ByteRange) -> [UInt8] { Array(written[range.range]) }
    require(again.count == written.count, "bytes are left behind the head")
    requireOneFraming(again.fields)
    require(again.method == head.method && textAgain(again.methodRange) == text(head.methodRange), "method")
    require(textAgain(again.path) == text(head.path) && textAgain(again.query) == text(head.query), "target")
    require(head.authority.isEmpty || textAgain(again.authority) == text(head.authority), "authority")
    require(again.framing == head.framing && head.framing != .untilClose, "\(head.framing) is now \(again.framing)")
    require(again.keepsAlive && again.minorVersion == 1, "persistence")
    require(again.expectsContinue == head.expectsContinue, "expectation")
    require(again.acceptsTrailers == head.acceptsTrailers, "trailers")
    let kept = FieldText.kept(head.fields, of: input, without: rewritten)
    let keptAgain = FieldText.kept(again.fields, of: written, without: rewritten)
    require(kept == keptAgain, "fields \(kept) are now \(keptAgain)")
  }
}
