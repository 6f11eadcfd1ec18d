// What stands between a well-formed head and an exchange: who calls, where it goes, which of its fields go along.
internal import EventLoop
internal import HTTPWire

enum Admission {
  struct Admitted {
    var plan: RoutePlan
    /// The path to forward, a part of the head's bytes.
    var path: ByteRange
  }

  /// Judges the head and marks the fields that the caller has no say in as dropped.
  static func judge(
    _ head: inout RequestHead, _ bytes: Span<UInt8>, _ listener: ListenerPlan, _ peer: SocketAddress, _ worker: Worker
  ) throws(GatewayError) -> Admitted {
    let authority = bytes.extracting(head.authority.range)
    if !listener.allow.isEmpty, !listener.allow.contains(where: { $0.contains(peer) }) {
      throw GatewayError(.notAllowed)
    }
    if !listener.hosts.contains(authority) { throw GatewayError(.misdirected) }
    if !listener.callerToken.isEmpty, !hasCallerToken(head, bytes, listener.callerToken) {
      throw GatewayError(.notAuthenticated)
    }
    let admitted = try route(head, bytes, authority, listener, worker)
    if case .length(let length) = head.framing, length > admitted.plan.requestBody {
      throw GatewayError(.bodyTooLarge)
    }
    try strip(&head, bytes, admitted.plan, listener, worker)
    return admitted
  }

  private static func hasCallerToken(
    _ head: borrowing RequestHead, _ bytes: Span<UInt8>, _ expected: [UInt8]
  ) -> Bool {
    var matches = 0
    var count = 0
    for index in head.fields.indices where head.fields[index].known == .xGatewayToken {
      count += 1
      if isSecretlyEqual(bytes.extracting(head.fields[index].value.range), expected.span) { matches += 1 }
    }
    return count == 1 && matches == 1
  }

  /// Takes the same time wherever the first difference is.
  static func isSecretlyEqual(_ a: Span<UInt8>, _ b: Span<UInt8>) -> Bool {
    if a.count != b.count { return false }
    var difference: UInt8 = 0
    for index in 0..<a.count { difference |= a[index] ^ b[index] }
    return difference == 0
  }

  /// The route, chosen by the path as it stands and by its normal form alike: what an upstream could take for another
  /// route's path is refused.
  private static func route(
    _ head: borrowing RequestHead, _ bytes: Span<UInt8>, _ authority: Span<UInt8>, _ listener: ListenerPlan,
    _ worker: Worker
  ) throws(GatewayError) -> Admitted {
    let path = bytes.extracting(head.path.range)
    let name = bytes.extracting(head.methodRange.range)
    let routes = worker.routes
    let route = routes.match(
      listener: listener.index, authority: authority, path: path, method: head.method, methodName: name)
    if !PathRules.isPlain(path) {
      let normal = try withNormalForm(of: path, worker) { normal in
        routes.match(
          listener: listener.index, authority: authority, path: normal, method: head.method, methodName: name)
      }
      if normal != route { throw GatewayError(.malformed(WireError(.ambiguousPath))) }
    }
    guard let route else { throw GatewayError(.noRoute) }
    let rewrite = routes.rewrite(route: route, path: path)
    if rewrite.beginsWithTwoSlashes { throw GatewayError(.malformed(WireError(.ambiguousPath))) }
    let kept = bytes.extracting(head.path.range).extracting(rewrite.kept)
    if !rewrite.kept.isEmpty, !PathRules.isPlain(kept) { _ = try withNormalForm(of: kept, worker) { _ in () } }
    return Admitted(
      plan: worker.plans[route],
      path: ByteRange(start: Int(head.path.start) + rewrite.kept.lowerBound, count: rewrite.kept.count))
  }

  private static func withNormalForm<Result>(
    of path: Span<UInt8>, _ worker: Worker, _ body: (Span<UInt8>) -> Result
  ) throws(GatewayError) -> Result {
    let buffer = worker.loop.buffers.acquire()
    defer { worker.loop.buffers.release(buffer) }
    var problem: WireError?
    buffer.append(capacity: path.count) { out in
      do throws(WireError) { try PathRules.normalForm(of: path, into: &out) } catch { problem = error }
    }
    if let problem { throw GatewayError(.malformed(problem)) }
    return buffer.withSpan(body)
  }

  /// Whether a careless server could read the name as one that is ours: `Company-Code`, `companycode_` and `CompanyCode`
  /// are one to it.
  /// - Parameter owned: in lower case, without `-` and `_`.
  static func isOwned(_ name: Span<UInt8>, _ owned: [UInt8]) -> Bool {
    if name.count < owned.count { return false }
    var matched = 0
    for index in 0..<name.count {
      let byte = name[index]
      if byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") { continue }
      let lower = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
      guard matched < owned.count, owned[matched] == lower else { return false }
      matched += 1
    }
    return matched == owned.count
  }

  /// Marks what the caller may not set: what the credential sets, `Authorization`, names with underscores.
  private static func strip(
    _ head: inout RequestHead, _ bytes: Span<UInt8>, _ plan: RoutePlan, _ listener: ListenerPlan, _ worker: Worker
  ) throws(GatewayError) {
    for index in head.fields.indices where !head.fields[index].isDropped {
      let field = head.fields[index]
      switch field.known {
      case .authorization: head.fields[index].isDropped = true
      case .via:
        if worker.forwarding.isOwnVia(bytes.extracting(field.value.range)) { throw GatewayError(.loopDetected) }
      case .maxForwards where head.method == .options:
        if RequestWriter.decimal(bytes.extracting(field.value.range)) == 0 { throw GatewayError(.answeredHere) }
      case .host, .contentLength: break
      default:
        if listener.dropsUnderscoreFields, containsUnderscore(bytes, field.name) {
          head.fields[index].isDropped = true
          continue
        }
        for name in plan.ownedNames where isOwned(bytes.extracting(field.name.range), name) {
          head.fields[index].isDropped = true
        }
      }
    }
  }
}
