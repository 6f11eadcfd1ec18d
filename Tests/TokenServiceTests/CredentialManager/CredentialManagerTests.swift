// The manager: it carries out what machines ask for, once each, and keeps its callers' promises.

import GatewayTesting
import Testing
import TokenKit

@testable import TokenService

/// A manager over doubles.
final class ManagerRig {
  let clock = ManualClock()
  let transport = ScriptedTransport()
  let publisher = RecordingPublisher()
  let shared: SharedStore
  let store: MemoryStore
  let manager: CredentialManager
  private let log: Log

  final class Log { var events: [(credential: String, event: CredentialEvent)] = [] }

  init(_ definitions: [CredentialDefinition], shared: SharedStore = SharedStore()) throws {
    let log = Log()
    self.log = log
    self.shared = shared
    store = MemoryStore(shared, owner: "me", clock: clock)
    manager = try CredentialManager(
      definitions: definitions,
      ports: ManagerPorts(
        transport: transport, store: store, timers: clock, clock: clock, publisher: publisher),
      owner: "me", randomSeed: 7, fingerprinter: .sha256,
      onEvent: { log.events.append(($0, $1)) })
  }

  var logged: [CredentialEvent] { log.events.map(\.event) }

  func start() {
    manager.start { _ in }
    clock.advance(by: .zero)
  }

  static func definition(
    _ name: String = "vinid", seed: String? = "seed", provider: PlainProvider = PlainProvider(),
    reread: @escaping @Sendable () -> MaterialReread = { .unchanged }
  ) -> CredentialDefinition {
    CredentialDefinition(
      name: name, material: CredentialMaterial(provider: provider, seed: seed.map { Secret($0) }),
      transport: GrantTransportOptions(caFile: "/ca.pem", timeout: .seconds(3)), reread: reread)
  }
}

@Suite struct CredentialManagerTests {
  @Test func fingerprintsAreSHA256() throws {
    // SHA-256 of the byte 1 and "abc", computed with sha256sum.
    let fingerprint = Fingerprinter.sha256.refreshToken(Secret("abc"))
    let text = fingerprint.bytes.map { byte in
      let hex = String(byte, radix: 16)
      return hex.count == 1 ? "0" + hex : hex
    }.joined()
    #expect(text == "1e18834c426d00e57788444cb3ccd62c771b420c095bb0c4e040a8c122c4570d")
  }

  @Test func aColdStartWithAThousandCallersMakesOneCall() throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    var answers: [LeaseAnswer] = []
    for _ in 0..<500 {
      rig.manager.want(credential: 0, LeaseWant(above: nil, cause: .missing)) { answers.append($0) }
    }
    rig.start()
    for _ in 0..<500 {
      rig.manager.want(credential: 0, LeaseWant(above: nil, cause: .missing)) { answers.append($0) }
    }
    #expect(rig.transport.bodies == ["seed"])
    #expect(rig.transport.calls.first?.options.caFile == "/ca.pem")
    #expect(answers.isEmpty)
    rig.transport.reply(200, "access next 3600")
    rig.clock.advance(by: .zero)
    #expect(answers.count == 1000)
    #expect(answers.allSatisfy { (try? $0.get().generation) == 1 })
    #expect(rig.publisher.published.count == 1)
    #expect(rig.transport.bodies.count == 1)
  }

  @Test func aStoreThatCantBeReadIsAStartUpError() throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    rig.store.fault = { _ in .failed }
    var result: Result<Void, StoreError>?
    rig.manager.start { result = $0 }
    rig.clock.advance(by: .seconds(60))
    #expect(throws: StoreError.self) { try #require(result).get() }
    #expect(rig.transport.bodies.isEmpty)
  }

  @Test func twoCredentialsWithOneSeedAreAnError() {
    #expect(throws: CredentialManagerError.sharedSeed(["a", "b"])) {
      try ManagerRig([ManagerRig.definition("a"), ManagerRig.definition("b")])
    }
  }

  @Test func aProvidersFieldThatCantBeSentIsAnError() {
    #expect(throws: CredentialManagerError.self) {
      try ManagerRig([ManagerRig.definition(provider: PlainProvider(fields: [(name: "X", value: "a\nb")]))])
    }
  }

  @Test func theProvidersFieldsAreRendered() throws {
    let rig = try ManagerRig([
      ManagerRig.definition(provider: PlainProvider(fields: [(name: "CompanyCode", value: "SHOP")]))
    ])
    rig.start()
    rig.transport.reply(200, "access next 3600")
    rig.clock.advance(by: .zero)
    let rendered = rig.publisher.published.first.map { String(decoding: $0.lease.rendered, as: UTF8.self) }
    #expect(rendered == "Authorization: Bearer access\r\nCompanyCode: SHOP\r\n")
  }

  @Test(arguments: [
    (502, GrantError.Kind.unanswered), (503, .unanswered), (429, .transient), (400, .needsLogin), (401, .misconfigured),
  ])
  func anErrorOfTheServerItselfLeavesTheTokenInDoubt(status: Int, kind: GrantError.Kind) throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    rig.start()
    rig.transport.reply(status, "", retryAfter: status == 429 ? .seconds(30) : nil)
    rig.clock.advance(by: .zero)
    let failures = rig.logged.compactMap { event -> GrantError.Kind? in
      if case .grantFailed(let kind, _, _) = event { kind } else { nil }
    }
    #expect(failures == [kind])
    if status == 429 { #expect(rig.manager.status.first?.nextAttempt == rig.clock.now.wall + .seconds(30)) }
  }

  @Test(arguments: [true, false])
  func aCallThatFailedBeforeAnythingLeftIsTransient(sent: Bool) throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    rig.start()
    rig.transport.fail("reset", sent: sent)
    rig.clock.advance(by: .zero)
    #expect((rig.shared.model.rows["vinid"]?.mark != nil) == sent)
  }

  @Test func aRequestThatCantBeMadeIsNotSent() throws {
    var provider = PlainProvider()
    provider.requestError = GrantError(.misconfigured, "no_key")
    let rig = try ManagerRig([ManagerRig.definition(provider: provider)])
    rig.start()
    #expect(rig.transport.bodies.isEmpty)
    #expect(rig.manager.status.first?.state == .misconfigured)
    #expect(rig.manager.status.first?.failure?.code == "no_key")
  }

  /// What happens when: The file of a secret changes
  @Test func secretsAreReadAgainWhenTheServerRefusesThem() throws {
    let material = CredentialMaterial(provider: PlainProvider(), seed: Secret("other"))
    let rig = try ManagerRig([ManagerRig.definition(reread: { .changed(material) })])
    rig.start()
    rig.transport.reply(401)
    rig.clock.advance(by: .seconds(2))
    #expect(rig.transport.bodies == ["seed", "other"])
    #expect(rig.logged.contains(.secretsChanged))
  }

  @Test func secretsThatAreTheSameAsBeforeBringNoRetryForward() throws {
    let rig = try ManagerRig([
      ManagerRig.definition(reread: {
        .changed(CredentialMaterial(provider: PlainProvider(), seed: Secret("seed")))
      })
    ])
    rig.start()
    rig.transport.reply(401)
    rig.clock.advance(by: .milliseconds(299_900))
    #expect(rig.transport.bodies.count == 1)
    #expect(!rig.logged.contains(.secretsChanged))
    rig.clock.advance(by: .seconds(1))
    #expect(rig.transport.bodies.count == 2)
  }

  @Test func anAdminsRefreshIsAnsweredWithTheNewLease() throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    rig.start()
    rig.transport.reply(200, "a1 r1 3600")
    rig.clock.advance(by: .seconds(5))
    var answer: LeaseAnswer?
    rig.manager.refresh(credential: 0) { answer = $0 }
    rig.clock.advance(by: .zero)
    rig.transport.reply(200, "a2 r2 3600")
    rig.clock.advance(by: .zero)
    #expect(try answer?.get().generation == 2)
    #expect(rig.transport.bodies == ["seed", "r1"])
  }

  @Test func holdsAreAnnouncedAndReleased() throws {
    let rig = try ManagerRig([ManagerRig.definition(provider: PlainProvider(kills: true))])
    rig.start()
    rig.transport.reply(200, "a1 r1 10")
    rig.clock.advance(by: .seconds(9))
    #expect(rig.publisher.holds.count == 1)
    #expect(rig.transport.bodies == ["seed", "r1"])
    #expect(rig.publisher.releases == 0)
    rig.transport.reply(200, "a2 r2 10")
    rig.clock.advance(by: .zero)
    #expect(rig.publisher.releases == 1)
  }

  @Test func shutdownWaitsForTheGrantAndItsWrite() throws {
    let rig = try ManagerRig([ManagerRig.definition("a", seed: "s1"), ManagerRig.definition("b", seed: "s2")])
    rig.start()
    rig.transport.reply(200, "a1 r1 3600")
    rig.clock.advance(by: .zero)
    var isDone = false
    rig.manager.shutdown { isDone = true }
    rig.clock.advance(by: .seconds(1))
    #expect(!isDone)
    rig.store.latency = { .milliseconds(700) }
    rig.transport.reply(200, "b1 q1 3600")
    rig.clock.advance(by: .milliseconds(600))
    #expect(!isDone)
    rig.clock.advance(by: .milliseconds(100))
    #expect(isDone)
    #expect(rig.shared.model.rows["b"]?.refreshToken?.reveal() == "q1")
    var late: LeaseAnswer?
    rig.manager.want(credential: 0, LeaseWant(above: 1, cause: .rejected(route: 1))) { late = $0 }
    #expect(throws: LeaseFailure.self) { try #require(late).get() }
  }

  @Test func givingUpSaysWhichPairIsLost() throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    rig.start()
    rig.store.fault = { $0 == .save ? .failed : .none }
    rig.transport.reply(200, "a1 r1 3600")
    rig.clock.advance(by: .seconds(1))
    var count = 0
    rig.manager.shutdown { count += 1 }
    rig.clock.advance(by: .seconds(30))
    #expect(count == 0)
    rig.manager.giveUp()
    #expect(count == 1)
    #expect(rig.logged.contains(.pairLost(generation: 1)))
    // The write succeeds after all: shutdown is not reported twice.
    rig.store.fault = { _ in .none }
    rig.clock.advance(by: .seconds(30))
    #expect(count == 1)
  }

  @Test func aWriteWhoseAnswerGotLostIsRepeatedWithoutHarm() throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    rig.start()
    var losses = 3
    rig.store.fault = { operation in
      guard operation == .save, losses > 0 else { return .none }
      losses -= 1
      return .answerLost
    }
    rig.transport.reply(200, "a1 r1 3600")
    rig.clock.advance(by: .seconds(30))
    #expect(rig.manager.status.first?.alarms == [])
    #expect(rig.manager.status.first?.generation == 1)
    #expect(rig.shared.model.rows["vinid"]?.generation == 1)
  }

  @Test func noEventAndNoStatusHoldsASecret() throws {
    let rig = try ManagerRig([ManagerRig.definition(seed: "SECRET-seed")])
    rig.start()
    rig.transport.reply(200, "SECRET-access SECRET-next 3600")
    rig.clock.advance(by: .seconds(3000))
    rig.transport.reply(400)
    rig.clock.advance(by: .seconds(3000))
    var text = ""
    dump(rig.logged, to: &text)
    dump(rig.manager.status, to: &text)
    #expect(rig.logged.count > 5)
    #expect(!text.contains("SECRET"))
  }

  @Test func oneTimerIsKeptForEachCredential() throws {
    let rig = try ManagerRig([ManagerRig.definition("a", seed: "s1"), ManagerRig.definition("b", seed: "s2")])
    rig.start()
    rig.transport.reply(200, "a1 r1 3600")
    rig.transport.reply(200, "b1 q1 3600")
    rig.clock.advance(by: .seconds(2))
    var timers = 0
    while !rig.clock.isIdle, timers < 10 {
      rig.clock.runNext(until: BootInstant(nanoseconds: .max))
      timers += 1
      rig.clock.advance(by: .zero)
      if rig.transport.calls.count == 2 { break }
    }
    // Two wake-ups and the two marks that they lead to.
    #expect(timers <= 4)
    #expect(rig.transport.calls.count == 2)
  }

  @Test func aLoginReplacesWhatThereWas() throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    rig.start()
    rig.transport.reply(400)
    rig.clock.advance(by: .seconds(1))
    #expect(rig.manager.status.first?.state == .needsLogin)
    func reply(_ access: String) -> GrantReply {
      GrantReply(
        token: Token(
          accessToken: Secret(access), refreshToken: Secret("in"), lifetime: .relative(.seconds(100))),
        date: nil, sent: rig.clock.now, received: rig.clock.now)
    }
    #expect(!rig.manager.login(credential: 0, reply("bad token")))
    #expect(rig.manager.login(credential: 0, reply("good")))
    rig.clock.advance(by: .zero)
    #expect(rig.manager.status.first?.isServing == true)
    rig.clock.advance(by: .seconds(81))
    #expect(rig.transport.bodies == ["seed", "in"])
  }

  @Test func aReloadChangesTheDefinitionAndKeepsTheSeedsApart() throws {
    let rig = try ManagerRig([ManagerRig.definition("a", seed: "s1"), ManagerRig.definition("b", seed: "s2")])
    rig.start()
    rig.transport.reply(200, "a1 r1 3600")
    rig.transport.reply(200, "b1 q1 3600")
    rig.clock.advance(by: .zero)
    #expect(throws: CredentialManagerError.sharedSeed(["b", "a"])) {
      try rig.manager.update(credential: 0, ManagerRig.definition("a", seed: "s2"))
    }
    try rig.manager.update(credential: 0, ManagerRig.definition("a", seed: "s3"))
    rig.clock.advance(by: .seconds(1))
    #expect(rig.transport.bodies == ["s1", "s2", "s3"])
    #expect(rig.publisher.withdrawals == 1)
  }
}
