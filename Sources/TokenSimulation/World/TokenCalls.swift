// Token calls on their way: what happens to them between a process and the token server.

internal import TokenKit
internal import TokenService

/// One call.
struct TokenCall {
  var replica: Int
  var credential: Int
  var token: TokenName?
  var sentAt: Int64
  /// The process waits for it.
  var isWaiting = true
  /// What it will hear; nil: nothing came, the wait ends by itself.
  var reply: Reply?
  /// Whether its token's mark was durable when it left.
  var isMarked = false
  var completion: ((Result<GrantResponse, GrantTransportFailure>) -> Void)?

  enum Reply {
    case refused
    case pair(PackedReply)
    case status(Int, retryAfter: Duration?)
    case garbled
  }
}

extension Replica: GrantTransport {
  func send(
    _ request: GrantRequest, options: GrantTransportOptions,
    completion: @escaping (Result<GrantResponse, GrantTransportFailure>) -> Void
  ) {
    guard isAlive else { return }
    if hasLetGo { world.violate(.oneGrantInFlight, "\(owner) makes a call after it has let go of the store") }
    let credential = Database.index(request.url)
    world.send(request.spendsRefreshToken ? TokenName(request.body) : nil, of: credential, from: self, completion)
    effect("call sent")
  }
}

extension Simulation {
  /// As long as a call may take.
  static let callLimit = 5 * Span.second

  func send(
    _ token: TokenName?, of credential: Int, from replica: Replica,
    _ completion: @escaping (Result<GrantResponse, GrantTransportFailure>) -> Void
  ) {
    trace("\(replica.owner) c\(credential) sends \(token?.refreshText ?? "a grant without token")")
    let index = calls.count
    var call = TokenCall(
      replica: replica.serial, credential: credential, token: token, sentAt: now, completion: completion)
    if let token { call.isMarked = isMarkDurable(token) }
    calls.append(call)
    checkCall(index, replica)
    replica.credentials[credential].inFlight += 1
    let end = now + Self.callLimit
    if random.chance(rates.refused) || isServerDown {
      calls[index].reply = .refused
      add(.callEnds, at: now + Span.millisecond, replica, UInt64(index))
    } else if random.chance(rates.requestLost) {
      add(.callEnds, at: end, replica, UInt64(index))
    } else if random.chance(rates.slow) {
      // Processed late, maybe after nobody waits any more; but before the same token can come again.
      let arrival = now + random.below(5_900 * Span.millisecond)
      if arrival >= end { add(.callEnds, at: end, replica, UInt64(index)) }
      add(.callArrives, at: arrival, replica, UInt64(index))
    } else {
      add(.callArrives, at: now + random.below(60 * Span.millisecond), replica, UInt64(index))
    }
  }

  /// The server has the call before it.
  func callArrived(_ index: Int) {
    let call = calls[index]
    let end = call.sentAt + Self.callLimit
    let isLate = now >= end
    var back = now + random.below(60 * Span.millisecond)
    if let early = refusal() {
      calls[index].reply = early
    } else {
      let answer = servers[call.credential].grant(call.token, at: now)
      switch answer {
      case .invalid(let isReuse):
        trace("server: \(call.token?.refreshText ?? "?") is not good\(isReuse ? ", it was replaced" : "")")
        judgeInvalid(index, isReuse: isReuse)
        calls[index].reply = .status(400, retryAfter: nil)
      case .pair(let access, let refresh):
        if refresh?.number != call.token?.number { losses[call.credential].rotatedBy = index }
        trace("server: \(access.accessText) \(refresh?.refreshText ?? "")")
        calls[index].reply = packed(access, refresh, call.credential)
      }
      if random.chance(rates.replyLost) {
        trace("its reply is lost")
        calls[index].reply = nil
        back = end
      } else if random.chance(rates.garbled) {
        calls[index].reply = .garbled
      } else if random.chance(rates.errorAfter) {
        calls[index].reply = .status(503, retryAfter: nil)
      }
    }
    if isLate { return }
    if back >= end {
      calls[index].reply = nil
      back = end
    }
    add(.callEnds, at: back, replicas[call.replica], UInt64(index))
  }

  /// What the server says without looking at the token.
  private func refusal() -> TokenCall.Reply? {
    if random.chance(rates.tooMany) {
      let wait: Duration? = random.chance(400) ? .seconds(1 + random.below(30)) : nil
      return .status(429, retryAfter: wait)
    }
    if random.chance(rates.errorBefore) || isServerFailing { return .status(503, retryAfter: nil) }
    if random.chance(rates.misconfigured) { return .status(401, retryAfter: nil) }
    return nil
  }

  func packed(_ access: TokenName, _ refresh: TokenName?, _ credential: Int) -> TokenCall.Reply {
    let rules = plan.servers[credential]
    let end = rules.saysDate ? (serverWall(rules) + Int64(rules.lifetime) * 1000) : nil
    return .pair(PackedReply(access: access, refresh: refresh, lifetime: Int64(rules.lifetime), end: end))
  }

  func serverWall(_ rules: TokenServerRules) -> Int64 { trueWall + rules.clockOffset / Span.millisecond }

  /// The answer comes, or the wait is over.
  func callEnded(_ index: Int, _ replica: Replica) {
    guard calls[index].isWaiting, replica.isAlive else { return }
    calls[index].isWaiting = false
    let call = calls[index]
    calls[index].completion = nil
    replica.credentials[call.credential].inFlight -= 1
    let result = outcome(of: call, replica)
    replica.effect("reply received")
    guard replica.isAlive else { return }
    call.completion?(result)
    if mutation == .transportRepeats, case .pair = call.reply, call.token != nil, random.chance(300) {
      send(call.token, of: call.credential, from: replica) { _ in }
    }
  }

  private func outcome(
    of call: TokenCall, _ replica: Replica
  ) -> Result<GrantResponse, GrantTransportFailure> {
    let rules = plan.servers[call.credential]
    switch call.reply {
    case .pair(let reply)?:
      let received = reply.refresh ?? call.token
      if let received {
        replica.credentials[call.credential].received = received
        replica.credentials[call.credential].receivedAt = now
      }
      replica.credentials[call.credential].unanswered = nil
      replica.credentials[call.credential].calls.succeeded()
      return .success(
        GrantResponse(status: 200, body: reply.bytes, date: WallTime(milliseconds: serverWall(rules) / 1000 * 1000)))
    case .status(let status, let retryAfter)?:
      if status != 429 { noteUnanswered(status >= 500, call, replica) }
      replica.credentials[call.credential].calls.failed()
      return .success(GrantResponse(status: status, body: [], retryAfter: retryAfter))
    case .garbled?:
      noteUnanswered(true, call, replica)
      replica.credentials[call.credential].calls.failed()
      return .success(GrantResponse(status: 200, body: [1, 2, 3]))
    case .refused?:
      replica.credentials[call.credential].calls.failed()
      return .failure(GrantTransportFailure(code: "connect_refused", mayHaveBeenSent: false))
    case nil:
      noteUnanswered(true, call, replica)
      replica.credentials[call.credential].calls.failed()
      if mutation == .timeoutIsVerdict { return .success(GrantResponse(status: 400, body: [])) }
      return .failure(GrantTransportFailure(code: "timeout", mayHaveBeenSent: true))
    }
  }

  private func noteUnanswered(_ isUnanswered: Bool, _ call: TokenCall, _ replica: Replica) {
    if isUnanswered { replica.credentials[call.credential].unanswered = call.token }
  }
}
