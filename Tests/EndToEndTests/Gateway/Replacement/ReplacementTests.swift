// One gateway process takes another's place under load: nobody is refused, nothing fails, no spent token is sent.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(4))) struct ReplacementTests {
  /// What happens when: Another version of the gateway takes the place of the running one
  @Test func replacementsInARowUnderLoadRefuseAndFailNothing() async throws {
    let rig = try await ReplacementRig.start()
    let load = try rig.load()
    let clock = ContinuousClock()
    let begin = clock.now
    let replacements = 8
    for number in 0..<replacements {
      let old = try await rig.gateway.replace()
      try await rig.gateway.expectEnd(of: old)
      #expect(try await rig.gateway.adminStatus("/readyz") == 200)
      // At other moments of a token's life each time.
      if number % 2 == 1 {
        let generation = try await rig.gateway.waitForGeneration(1)
        try await rig.gateway.waitForGeneration(generation + 1)
      }
    }
    let time = clock.now - begin
    let count = try await rig.end(load)
    let tally = try await rig.expectNoSpentToken()
    // Tokens of 3 s are refreshed after 2.28 s to 2.4 s; one more may be under way at either end.
    let most = Double(time / .seconds(1)) / 2.2 + 3
    #expect(Double(tally.granted) <= most, "\(tally.granted) grants in \(time)")
    rig.gateway.expectNoSecretsInOutputs()
    print("\(replacements) replacements in \(time): \(count) requests, \(tally.granted) grants")
    #expect(try await rig.gateway.stop() == .code(0))
  }

  /// The next one comes while the last but one still drains.
  @Test func replacementsThatDoNotWaitForTheDrainFormAChain() async throws {
    let rig = try await ReplacementRig.start()
    let load = try rig.load()
    var olds: [ChildProcess] = []
    for _ in 0..<4 { olds.append(try await rig.gateway.replace()) }
    for old in olds { try await rig.gateway.expectEnd(of: old) }
    try await rig.end(load)
    try await rig.expectNoSpentToken()
    #expect(try await rig.gateway.stop() == .code(0))
  }

  @Test func withoutARunningGatewayItStartsAsUsual() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try GatewayUnderTest()
    try gateway.write(server.configuration())
    try await gateway.start(arguments: ["--replace"])
    try await server.expectService(through: gateway)
    #expect(try gateway.log.contains("no gateway runs that could be replaced"))
    // Its end leaves the socket's file, which is nobody's.
    try await gateway.kill()
    try await gateway.start(arguments: ["--replace"])
    try await server.expectService(through: gateway)
  }

  /// A wrong configuration, a store that is another, a port that is taken: the old one goes on.
  @Test func aReplacementThatCanNotStartChangesNothing() async throws {
    let rig = try await ReplacementRig.start()
    let load = try rig.load()
    try rig.gateway.write("{ \"listeners\": [] }")
    #expect(try await rig.gateway.failedReplacement().contains("is missing"))
    let taken = try ScriptedServer(script: ServerScript { _ in .close })
    var wrong = rig.configuration
    wrong.more["listeners"] = [
      ["name": "main", "address": .string("\(rig.gateway.address)")],
      ["name": "other", "address": .string("\(taken.addresses[0])")],
    ]
    try rig.gateway.write(wrong)
    #expect(try await rig.gateway.failedReplacement().contains("can't listen"))
    try rig.gateway.write(rig.configuration)
    for run in load { try await Deadline.wait("it serves") { run.progress.count > 100 } }
    try await rig.gateway.waitForGeneration(3)
    let old = try await rig.gateway.replace()
    try await rig.gateway.expectEnd(of: old)
    try await rig.end(load)
    try await rig.expectNoSpentToken()
  }

  /// More and fewer workers, a new listener, a listener that goes: what callers have begun is finished.
  @Test func listenersAndWorkersMayChange() async throws {
    let rig = try await ReplacementRig.start { $0.more["workers"] = 1 }
    let load = try rig.load()
    let second = SocketAddress.ipv4(0x7f00_0001, port: try FreePort.take())
    for (workers, hasSecond) in [(3, true), (1, true), (2, false)] {
      var changed = rig.configuration
      changed.more["workers"] = .int(workers)
      let main: OrderedJSON = ["name": "main", "address": .string("\(rig.gateway.address)")]
      changed.more["listeners"] =
        hasSecond ? [main, ["name": "second", "address": .string("\(second)")]] : [main]
      try rig.gateway.write(changed)
      let old = try await rig.gateway.replace()
      let answer = try? await OwnThread.run { try RawClient.request("GET", ReplacementRig.target, to: second) }
      if hasSecond { #expect(answer?.status == 200) }
      try await rig.gateway.expectEnd(of: old)
      if !hasSecond {
        await #expect(throws: (any Error).self) {
          try await OwnThread.run { try RawClient.request("GET", ReplacementRig.target, to: second) }
        }
      }
    }
    try await rig.end(load)
    try await rig.expectNoSpentToken()
  }
}
