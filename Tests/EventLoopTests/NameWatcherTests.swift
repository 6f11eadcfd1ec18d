// Names that are kept fresh in the background. The clock of the loop's timers is moved by hand.
import Testing

@testable import EventLoop

private let second: Int64 = 1_000_000_000

@Suite struct NameWatcherTests {
  private let test: TestLoop
  private let server: NameServer
  private let resolver: Resolver

  init() throws {
    test = try TestLoop()
    server = try NameServer(test.loop)
    var options = ResolverOptions()
    options.servers = [server.address]
    options.searchDomains = []
    resolver = try Resolver(test.loop, options)
  }

  private func hosts(_ result: Result<ResolvedName, ResolveFailure>) -> Set<String> {
    Set((try? result.get())?.addresses.map(\.host) ?? [])
  }

  /// Moves the timers' clock ahead and waits for the questions that this leads to.
  private func pass(_ nanoseconds: Int64, expecting count: Int) throws {
    let before = server.questions.count
    test.loop.timers.advance(to: test.loop.now + nanoseconds)
    try test.turn(until: "\(count) questions") { server.questions.count >= before + count }
    try test.settle()
  }

  @Test("A name is asked for again when its time is over, and only changes are told")
  func refreshing() throws {
    server.set("api.example.test", a: .addresses(["192.0.2.1", "192.0.2.2"], ttl: 30))
    var told: [Set<String>] = []
    let watcher = resolver.watch("api.example.test") { told.append(hosts($0)) }
    try test.turn(until: "the first answer") { told.count == 1 }
    #expect(told == [["192.0.2.1", "192.0.2.2"]])
    #expect(watcher.name?.timeToLive == 30 * second)

    // Not before its time.
    test.loop.timers.advance(to: test.loop.now + 29 * second)
    try test.settle()
    #expect(server.questions.count == 2)
    // In another order, which is how servers spread load.
    server.set("api.example.test", a: .addresses(["192.0.2.2", "192.0.2.1"], ttl: 30))
    try pass(31 * second, expecting: 2)
    #expect(told.count == 1)
    server.set("api.example.test", a: .addresses(["192.0.2.3"], ttl: 30))
    try pass(100 * second, expecting: 2)
    try test.turn(until: "the change") { told.count == 2 }
    #expect(told.last == ["192.0.2.3"])
    watcher.stop()
    resolver.stop()
  }

  /// What happens when: The name of an upstream cannot be resolved any more
  @Test("The last good addresses outlive failures, and a change after them is told")
  func theLastGoodAddressesOutliveFailures() throws {
    server.set("api.example.test", a: .addresses(["192.0.2.1"], ttl: 5))
    var told: [Set<String>] = []
    let watcher = resolver.watch("api.example.test") { told.append(hosts($0)) }
    try test.turn(until: "the first answer") { told.count == 1 }
    for (round, answer) in [NameServer.Answer.noSuchName, .refused].enumerated() {
      server.set("api.example.test", a: answer, aaaa: answer)
      try pass(Int64(100 * (round + 1)) * second, expecting: 2)
      try test.turn(until: "the failure") {
        watcher.failure?.reason == (round == 0 ? .notFound : .serverFailure)
      }
      #expect(told.count == 1)
      #expect(watcher.name?.addresses.map(\.host) == ["192.0.2.1"])
    }
    server.set("api.example.test", a: .addresses(["192.0.2.9"], ttl: 5))
    try pass(1000 * second, expecting: 2)
    try test.turn(until: "the new address") { told.count == 2 }
    #expect(told.last == ["192.0.2.9"])
    #expect(watcher.failure == nil)
    watcher.stop()
    resolver.stop()
  }

  @Test("As long as there was no answer failures are told, with longer and longer pauses, until there is one")
  func neverGood() throws {
    var reasons: [ResolveFailure.Reason] = []
    var good: Set<String> = []
    // The loop's own time, from which the backoff counts, at each failure.
    var told: [Int64] = []
    let watcher = resolver.watch("late.example.test") { [loop = test.loop] result in
      if case .failure(let failure) = result { reasons.append(failure.reason) } else { good = hosts(result) }
      told.append(loop.now)
    }
    try test.turn(until: "the first failure") { reasons.count == 1 }
    var now = test.loop.now
    for (index, backoff) in ([1, 2, 4, 8, 10] as [Int64]).enumerated() {
      while reasons.count == index + 1, now - told[index] < 20 * second {
        now += second / 8
        test.loop.timers.advance(to: now)
        try test.settle()
      }
      #expect(reasons.count == index + 2)
      #expect(now - told[index] >= backoff * second)
      #expect(now - told[index] < (backoff + 1) * second)
    }
    #expect(reasons == [ResolveFailure.Reason](repeating: .notFound, count: 6))
    server.set("late.example.test", a: .addresses(["192.0.2.1"], ttl: 60))
    try pass(now - test.loop.now + 20 * second, expecting: 2)
    try test.turn(until: "the answer") { !good.isEmpty }
    #expect(good == ["192.0.2.1"])
    watcher.stop()
    resolver.stop()
  }

  @Test("A watcher that is stopped asks and tells no more")
  func stopping() throws {
    server.set("api.example.test", a: .addresses(["192.0.2.1"], ttl: 5))
    var told = 0
    let watcher = resolver.watch("api.example.test") { _ in told += 1 }
    try test.turn(until: "the first answer") { told == 1 }
    watcher.stop()
    test.loop.timers.advance(to: test.loop.now + 1000 * second)
    try test.settle()
    #expect(server.questions.count == 2)
    #expect(told == 1)
    resolver.stop()
  }
}
