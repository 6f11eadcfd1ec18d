// Three replicas on one PostgreSQL store with tokens of 2 s: killed and started, their store restarted, under load.
import EventLoop
import GatewayTesting
import Glibc
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(15))) struct ReplicaTests {
  /// GATEWAY_TESTS_FULL asks for 5 minutes.
  private static let isFull = unsafe getenv("GATEWAY_TESTS_FULL") != nil
  private static let time: Duration = .seconds(isFull ? 300 : 30)
  private static let lifetime = 2

  /// What happens when: Replicas are killed while PostgreSQL restarts
  @Test func replicasKilledAtRandomLoseNoRequestOfTheOthersWithAGraceWindow() async throws {
    let rig = try await ReplicaRig(lifetime: Self.lifetime, grace: 30)
    rig.server.answerLate(by: .milliseconds(200))
    try rig.beginLoad()
    let start = ContinuousClock.now
    var random = RandomSource(seed: 7)
    var restarts = [0.3, 0.7].map { start + Self.time * $0 }[...]
    var (kills, inCall) = (0, 0)
    while ContinuousClock.now - start < Self.time {
      try await Task.sleep(for: .milliseconds(500 + Int(random.next() % 3000)))
      var victim = rig.replicas[Int(random.next() % 3)]
      if kills % 3 == 1 {
        // Chance alone seldom hits a call.
        var caller: ReplicaUnderTest?
        try await Deadline.wait("a call is in flight", within: .seconds(60)) {
          caller = rig.replicas.first(where: \.isInCall)
          return caller != nil
        }
        victim = try #require(caller)
      }
      if victim.isInCall { inCall += 1 }
      let pause = Duration.milliseconds(Int(random.next() % 1500))
      let target = victim
      async let killed: Void = target.killAndStart(after: pause)
      if let next = restarts.first, ContinuousClock.now > next {
        restarts.removeFirst()
        try await rig.database.restart(restarts.isEmpty ? .immediate : .fast)
      }
      try await killed
      kills += 1
    }
    #expect(restarts.isEmpty)
    let requests = try await rig.endLoad()
    let took = ContinuousClock.now - start
    try await rig.stop()
    let tally = try await rig.server.tally()
    let resent = tally.tokens.count - Set(tally.tokens).count
    print(
      "grace 30 s: \(requests) requests, \(kills) kills, \(inCall) in a call, \(tally.tokens.count) token calls, "
        + "\(resent) re-sent")
    #expect(inCall > 0)
    // Only a call that a kill cut off is made again; a call's own retry may be cut off too.
    #expect(resent <= kills, "\(tally.tokens.count) calls, \(kills) kills")
    #expect(tally.tokens.count <= Int(took / .seconds(1.5)) + 2 + kills, "\(tally.tokens.count) calls in \(took)")
  }

  @Test func aStrictServerSeesNoTokenTwiceWhenReplicasAreKilledBetweenCalls() async throws {
    let rig = try await ReplicaRig(lifetime: Self.lifetime, grace: 0)
    rig.server.answerLate(by: .milliseconds(100))
    try rig.beginLoad()
    let start = ContinuousClock.now
    var random = RandomSource(seed: 11)
    var restarts = [0.3, 0.7].map { start + Self.time * $0 }[...]
    var (kills, spared) = (0, 0)
    while ContinuousClock.now - start < Self.time {
      try await Task.sleep(for: .milliseconds(500 + Int(random.next() % 2000)))
      if let next = restarts.first, ContinuousClock.now > next {
        restarts.removeFirst()
        try await rig.database.restart(restarts.isEmpty ? .immediate : .fast)
        continue
      }
      // It is stopped first: what the store says of it then is how it dies.
      let victim = rig.replicas[Int(random.next() % 3)]
      try victim.gateway.process.send(SIGSTOP)
      if try await rig.isMarked() {
        try victim.gateway.process.send(SIGCONT)
        spared += 1
      } else {
        try await victim.killAndStart(after: .milliseconds(Int(random.next() % 1500)))
        kills += 1
      }
    }
    #expect(restarts.isEmpty)
    let requests = try await rig.endLoad()
    let took = ContinuousClock.now - start
    try await rig.stop()
    let tally = try await rig.server.tally()
    print(
      "grace 0: \(requests) requests, \(kills) kills, \(spared) spared in a call, \(tally.tokens.count) token calls in "
        + "\(took)")
    #expect(kills > 0)
    #expect(tally.spent == 0 && tally.areAllDifferent && tally.granted == tally.tokens.count, "\(tally)")
    #expect(tally.tokens.count <= Int(took / .seconds(1.5)) + 2, "\(tally.tokens.count) calls in \(took)")
    #expect(tally.tokens.count >= Int(took / .seconds(4)), "\(tally.tokens.count) calls in \(took)")
  }

  /// What happens when: Two replicas want to refresh at once
  @Test func theOtherReplicasHaveANewLeaseWithinASecond() async throws {
    let rig = try await ReplicaRig(lifetime: 4, grace: 0)
    for replica in rig.replicas { try await replica.gateway.waitForGeneration(5) }
    let events = rig.replicas.map { $0.gateway.leaseEvents }
    var delays: [Int] = []
    for generation in 2...4 {
      let made = try #require(events.compactMap { $0.made[generation] }.first, "\(events)")
      let adopted = events.compactMap { $0.adopted[generation] }
      #expect(adopted.count == 2, "generation \(generation): \(events)")
      delays += adopted.map { $0 - made }
    }
    print("a new lease reached the other replicas after \(delays.sorted()) ms")
    #expect(delays.allSatisfy { $0 < 1000 })
    try await rig.stop()
    let tally = try await rig.server.tally()
    #expect(tally.spent == 0 && tally.areAllDifferent, "\(tally)")
  }

  /// What happens when: PostgreSQL is away
  @Test func withoutTheStoreLeasesServeToTheirEndAndNoRefreshTokenIsSent() async throws {
    let rig = try await ReplicaRig(lifetime: 20, grace: 0)
    try await rig.database.stop()
    let calls = try await rig.server.tally().tokens.count
    let start = ContinuousClock.now
    try rig.beginLoad(callers: 1)
    // Before the refresh ahead: nobody notices.
    try await Task.sleep(for: .seconds(3))
    _ = try await rig.endLoad()
    // Beyond the end of the lease: refused, but not by a call that nobody could have stored.
    let gateway = rig.replicas[0].gateway
    try await Deadline.wait("the lease is over", within: .seconds(60)) {
      try await rig.server.request(through: gateway).status == 502
    }
    #expect(ContinuousClock.now - start > .seconds(4))
    #expect(try await rig.server.request(through: gateway).json?["reason"]?.text == "store_unavailable")
    #expect(try await rig.server.tally().tokens.count == calls)
    #expect(gateway.allLogs.contains("store lost"))
    try await rig.database.start()
    for replica in rig.replicas {
      try await Deadline.wait("it serves again", within: .seconds(60)) {
        try await rig.server.request(through: replica.gateway).status == 200
      }
    }
    #expect(gateway.allLogs.contains("store is back"))
    try await rig.stop()
    let tally = try await rig.server.tally()
    #expect(tally.spent == 0 && tally.areAllDifferent, "\(tally)")
  }

  /// What happens when: The key of the store is wrong or missing
  @Test func tokensAreEncryptedAndAWrongKeyIsAClearErrorAtStart() async throws {
    let key: OrderedJSON = ["value": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]
    let rig = try await ReplicaRig(lifetime: 3600, grace: 0, count: 1, more: ["encryption_key": key])
    let before = try await rig.stores
    #expect(before.contains("main") && !before.contains("vinid-"))
    #expect(
      try await rig.database.sql("SELECT encode(refresh_token, 'escape') FROM gateway_credential").contains("vinid-")
        == false)
    try await rig.stop()

    let gateway = try GatewayUnderTest()
    var configuration = rig.server.configuration()
    let url = rig.database.tcpURL()
    func store(_ more: [(String, OrderedJSON)]) -> OrderedJSON {
      .object([("kind", "postgres"), ("url", ["value": .string(url)])] + more)
    }
    let other: OrderedJSON = ["value": .string(String(repeating: "ab", count: 32))]
    for (keys, words) in [
      ([], "give their key in \\\"encryption_key\\\""), ([("encryption_key", other)], "encrypted with another key"),
    ] as [([(String, OrderedJSON)], String)] {
      configuration.more["store"] = store(keys)
      try gateway.write(configuration)
      try await gateway.start(waitingFor: nil)
      #expect(try await gateway.process.waitForExit() == .code(1))
      let log = try gateway.log
      #expect(log.contains(words), "\(log)")
      #expect(try await rig.stores == before)
    }
    // The key is rotated: the old one still reads, and a login is not needed.
    configuration.more["store"] = store([("encryption_key", other), ("encryption_key_previous", key)])
    try gateway.write(configuration)
    try await gateway.start()
    try await rig.server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    #expect(try await rig.server.tally().tokens.count == 1)
  }

  /// What happens when: PostgreSQL is away at the start
  @Test func aStoreThatIsNotThereIsAnErrorAtStart() async throws {
    let gateway = try GatewayUnderTest()
    let server = try await RotatingServer.start(.sandboxVinID)
    var configuration = server.configuration()
    configuration.timeouts["drain"] = "2s"
    configuration.more["store"] = [
      "kind": "postgres", "url": ["value": .string("postgres://gateway:made-up-pw@127.0.0.1:\(try FreePort.take())/x")],
    ]
    try gateway.write(configuration)
    try await gateway.start(waitingFor: nil)
    #expect(try await gateway.process.waitForExit() == .code(1))
    #expect(try gateway.log.contains("the store can't be opened: PostgreSQL: connection to server"))
    #expect(try await server.tally().tokens.isEmpty)
    gateway.expectNoSecretsInOutputs()
  }
}
