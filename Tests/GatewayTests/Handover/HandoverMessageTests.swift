// What two processes say to each other: every message comes back as it was, and nothing of it prints a secret.
import TokenKit
import TokenService
import Testing

@testable import EventLoop
@testable import Gateway

/// One of each.
enum HandoverSamples {
  static let fingerprint = Fingerprint(bytes: [UInt8](repeating: 7, count: 32))

  static let row = StoredCredential(
    name: "main", generation: .max, accessToken: Secret("made-up-access"), obtainedAt: WallTime(milliseconds: 1),
    expiresAt: WallTime(milliseconds: 2), lifetime: .nanoseconds(3), refreshToken: Secret("made-up-refresh"),
    refreshTokenEnd: WallTime(milliseconds: 4), refreshTokenLifetime: .nanoseconds(5),
    accessIdentity: identityOfAccess, refreshIdentity: identityOfRefresh)

  static let identityOfAccess = Fingerprinter.sha256.identity(["access"])
  static let identityOfRefresh = Fingerprinter.sha256.identity(["refresh"])

  static let lease = HandedLease(
    generation: .max, accessToken: Secret("made-up-access"), expires: BootInstant(nanoseconds: .max),
    lifetime: .seconds(3), accessIdentity: identityOfAccess, refreshIdentity: identityOfRefresh)

  static let identity = HandedIdentity(
    credential: "m\u{e4}in \"1\"", access: identityOfAccess.bytes, refresh: identityOfRefresh.bytes)
  static let route = HandedRoute(name: "r", credential: "")

  static let messages: [HandoverMessage] = [
    .hello(HandoverMessage.Hello()), .offer(HandoverMessage.Hello(), sockets: 3), .refused(reason: "why"),
    .socket(name: "listener main", address: "unix:/run/x"), .release, .pair(HandedPair(row)), .released,
    .cancelled(reason: "why"), .serving, .yielded,
    .want(id: .max, HandedWant(identity: identity, above: nil, cause: .missing)),
    .want(id: 2, HandedWant(identity: identity, above: 3, cause: .rejected(route))),
    .want(id: 3, HandedWant(identity: identity, above: 3, cause: .admin)), .accepted(identity, generation: 1),
    .replayRejected(identity, route), .routeRecovered(identity, route), .holding(ticket: 1),
    .answer(id: 1, .lease(HandedToken(lease))),
    .answer(
      id: 1,
      .failure(LeaseFailure(.needsLogin, needsLogin: .lostReply, code: "c", until: BootInstant(nanoseconds: 9)))),
    .lease(credential: "main", HandedToken(lease)), .withdraw(identity), .hold(identity, ticket: 1), .unhold(identity),
  ]
}

@Suite("Handover messages") struct HandoverMessageTests {
  @Test("Each comes back as it was", arguments: HandoverSamples.messages)
  func roundTrip(message: HandoverMessage) throws {
    let bytes = try #require(message.bytes)
    #expect(HandoverMessage(bytes: bytes) == message)
    // A packet of the kernel's default buffers takes it.
    #expect(bytes.count < 100_000)
  }

  @Test("A cut message, another one's words and nothing at all are no message")
  func malformed() throws {
    let bytes = try #require(HandoverMessage.serving.bytes)
    for count in 0..<bytes.count { #expect(HandoverMessage(bytes: Array(bytes[..<count])) == nil) }
    #expect(HandoverMessage(bytes: Array("{\"later\":{}}".utf8)) == nil)
    #expect(HandoverMessage(bytes: [0xff, 0]) == nil)
  }

  @Test("A greeting of a later version is understood as one")
  func later() {
    let text = "{\"hello\":{\"_0\":{\"protocolVersion\":2,\"gateway\":\"2.0\",\"process\":3,\"more\":[]}}}"
    #expect(
      HandoverMessage(bytes: Array(text.utf8))
        == .hello(HandoverMessage.Hello(protocolVersion: 2, gateway: "2.0", process: 3)))
  }

  @Test("Rows, leases and failures come back with all they say")
  func values() throws {
    #expect(HandedPair(HandoverSamples.row).row == HandoverSamples.row)
    #expect(HandedToken(HandoverSamples.lease).lease == HandoverSamples.lease)
    let failure = LeaseFailure(
      .rateLimited, needsLogin: .seedSpent, code: "429", until: BootInstant(nanoseconds: 5))
    guard case .failure(let reason, let needsLogin, let code, let until) = HandedAnswer.failure(failure) else {
      Issue.record("no failure")
      return
    }
    #expect(HandedAnswer.failure(reason: reason, needsLogin, code, until) == failure)
    #expect(HandedAnswer.failure(reason: "new", nil, "", nil).reason == .tokenEndpointUnreachable)
  }

  @Test("Identities that are none make no lease and no row")
  func identities() {
    var token = HandedToken(HandoverSamples.lease)
    token.access = [1, 2, 3]
    #expect(token.lease == nil)
  }

  @Test("Nothing prints a token", arguments: HandoverSamples.messages)
  func secrecy(message: HandoverMessage) {
    var dumped = ""
    dump(message, to: &dumped)
    for text in ["\(message)", String(reflecting: message), dumped] { #expect(!text.contains("made-up")) }
  }

  @Test("A socket's label says what it is, also for names that look like others")
  func labels() throws {
    for (kind, name) in [(HandedSocket.Kind.listener, "admin"), (.listener, ""), (.admin, ""), (.handover, "")] {
      let socket = HandedSocket(kind, name: name, .ipv4(0x7f00_0001, port: 80), fd: 5)
      let back = try #require(HandedSocket(label: socket.label, address: "\(socket.address)", fd: 5))
      #expect(back.kind == kind && back.name == name && back.address == socket.address)
    }
    #expect(HandedSocket(label: "later", address: "127.0.0.1:80", fd: 5) == nil)
    #expect(HandedSocket(label: "admin", address: "nowhere", fd: 5) == nil)
  }
}
