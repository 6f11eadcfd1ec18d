// Orders of events around a 401 and a lease's end that are rare in load tests, and what they must not lead to.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(3))) struct LeaseOrderTests {
  /// Tells the first token that was seen from all others.
  private final class FirstToken: Sendable {
    private let token = Mutex<String?>(nil)

    func isFirst(_ request: IncomingRequest) -> Bool {
      let seen = request.fields["Authorization"] ?? ""
      return token.withLock {
        let first = $0 ?? seen
        $0 = first
        return first == seen
      }
    }
  }

  private static func rig(
    _ options: SandboxOptions = .onFreePorts, to upstream: ScriptedServer, connections: Int? = nil,
    timeouts: [String: OrderedJSON] = [:]
  ) async throws -> TokenRig {
    try await TokenRig(options) {
      $0.more["workers"] = 1
      $0.timeouts = timeouts
      if let connections { $0.limits["upstream_connections"] = .int(connections) }
      $0.routes = [GatewayConfiguration.route("own", prefix: "/own/", to: upstream.address, credential: "vinid")]
    }
  }

  /// The replay may take the very connection on which the empty 401 has just ended.
  @Test func anEmpty401ThatComesAfterTheNewLeaseIsReplayedOnItsOwnConnection() async throws {
    let first = FirstToken()
    let upstream = try ScriptedServer { request in
      guard first.isFirst(request) else { return .answer(.text("fine\n")) }
      return request.path == "/late" ? .after(.seconds(1)) { .answer(Answer(401)) } : .answer(Answer(401))
    }
    let rig = try await Self.rig(to: upstream)
    async let late = rig.get("/own/late", within: .seconds(8))
    try await Deadline.wait("the late one is there") { upstream.record.heads == 1 }
    let early = try await rig.get("/own/early", within: .seconds(8))
    #expect(early.status == 200)
    let response = try await late
    #expect(response.status == 200 && response.bodyText == "fine\n")
    #expect(upstream.record.completed == 4 && rig.tokenCalls() == 2)
    try await rig.finish()
  }

  /// What came while the 401 was held did not go to the upstream that sent it: that connection must not carry another
  /// request, whose bytes would be taken for the rest of the body.
  @Test func aConnectionThatMissedAPartOfABodyIsNotUsedAgain() async throws {
    let upstream = try ScriptedServer(
      script: ServerScript(
        onHead: { request in
          guard request.method == "POST" else { return .keep }
          let pieces = [Array("refused, ".utf8), Array("really\n".utf8)]
          return .answerFirst(.answer(Answer(401, body: .chunks(pieces, pause: .seconds(3)))))
        }, onRequest: { _ in .answer(.text("fine\n")) }))
    let rig = try await Self.rig(to: upstream, connections: 1, timeouts: ["park": "1s"])
    rig.sandbox.change(.vinid) { $0.fail(.hang, count: 100) }
    let address = rig.gateway.address
    let refused = try await OwnThread.run {
      let client = try RawClient(to: address)
      try client.send("POST /own/x HTTP/1.1\r\nHost: \(address)\r\nContent-Length: 20\r\n\r\n12345")
      try Deadline.block("the head is there") { upstream.record.heads == 1 }
      // The answer is on its way to the gateway; nothing shows from outside that it is held.
      try Deadline.pass(.milliseconds(400))
      try client.send("67890")
      var text = ""
      while let event = try client.event(within: .seconds(8)) {
        switch event {
        case .head(let head):
          guard head.status == 401 else { throw ClientError.check("\(head.status)") }
          try client.send("abcdefghij")
        case .data(let data): text += String(decoding: data, as: UTF8.self)
        case .end: return text
        }
      }
      return text
    }
    #expect(refused == "refused, really\n")
    let next = try await rig.get("/own/y", within: .seconds(8))
    #expect(next.status == 200 && next.bodyText == "fine\n")
    #expect(upstream.record.violations.isEmpty)
    try await rig.finish()
  }

  /// The 401's body fills the buffer, and the token endpoint says nothing: `park` still ends the wait.
  @Test func parkBoundsTheWaitOfA401WithABigBody() async throws {
    let upstream = try ScriptedServer { _ in .answer(Answer(401, body: .pattern(100 * 1024))) }
    let rig = try await Self.rig(to: upstream, timeouts: ["park": "1s", "token": "9s"])
    rig.sandbox.change(.vinid) { $0.fail(.hang, count: 100) }
    let start = ContinuousClock().now
    let response = try await rig.get("/own/x", within: .seconds(20))
    let took = ContinuousClock().now - start
    #expect(response.status == 401 && response.fingerprint == .ofPattern(count: 100 * 1024))
    #expect(took < .seconds(7), "\(took)")
  }

  /// A request that waited for a connection leaves with the lease of the moment in which it leaves.
  @Test func aRequestThatWaitedForAConnectionTakesTheLeaseOfThatMoment() async throws {
    let held = Shared(Mutex<Responder?>(nil))
    let upstream = try ScriptedServer { request in
      guard request.path == "/long" else { return .answer(.text("fine\n")) }
      held.value.withLock { $0 = request.responder }
      return .later
    }
    var options = SandboxOptions.onFreePorts
    options.setLifetime(.seconds(10))
    let rig = try await Self.rig(options, to: upstream, connections: 1, timeouts: ["connect": "30s"])
    async let long = rig.get("/own/long")
    try await Deadline.wait("the connection is taken") { upstream.record.completed == 1 }
    async let waiting = rig.get("/own/waiting")
    try await rig.gateway.waitForGeneration(2, of: "vinid")
    held.value.withLock { $0 }?.respond(.answer(.text("fine\n")))
    #expect(try await long.status == 200)
    #expect(try await waiting.status == 200)
    let tokens = upstream.record.requests.map { $0.fields["Authorization"] ?? "" }
    #expect(tokens.count == 2 && Set(tokens).count == 2, "the second one carries the new token")
    try await rig.finish()
  }
}
