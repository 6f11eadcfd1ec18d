// Name resolution against a name server of the test's own.
import GatewayTesting
import Testing

@testable import EventLoop

private let second: Int64 = 1_000_000_000

@Suite struct ResolverTests {
  private let test: TestLoop
  private let server: NameServer
  private let resolver: Resolver

  init() throws {
    test = try TestLoop()
    server = try NameServer(test.loop)
    var options = ResolverOptions()
    options.servers = [server.address]
    options.searchDomains = ["corp.test", "lab.test"]
    options.attemptTimeout = 300
    options.attempts = 2
    resolver = try Resolver(test.loop, options)
  }

  private func resolve(_ host: String) throws -> Result<ResolvedName, ResolveFailure> {
    var outcome: Result<ResolvedName, ResolveFailure>?
    resolver.resolve(host) { outcome = $0 }
    #expect(outcome == nil, "told before the call returned")
    try test.turn(until: "\(host) is looked up") { outcome != nil }
    return try #require(outcome)
  }

  private func addresses(_ host: String) throws -> Set<String> { Set(try resolve(host).get().addresses.map(\.host)) }

  private func reason(_ host: String) throws -> ResolveFailure.Reason? {
    if case .failure(let failure) = try resolve(host) { failure.reason } else { nil }
  }

  @Test("Literals are answered without asking anybody", arguments: ["192.0.2.7", "2001:db8::7", "::1"])
  func literals(host: String) throws {
    let name = try resolve(host).get()
    #expect(name.addresses.map(\.host) == [host])
    #expect(server.questions.isEmpty)
    resolver.stop()
  }

  @Test(
    "localhost names are loopback, whatever DNS says (RFC 6761, 6.3)",
    arguments: ["localhost", "LocalHost", "localhost.", "api.localhost"])
  func localhost(host: String) throws {
    #expect(try addresses(host) == ["127.0.0.1", "::1"])
    #expect(server.questions.isEmpty)
    resolver.stop()
  }

  @Test("Both families are asked for, with the shortest time to live")
  func bothFamilies() throws {
    server.set(
      "api.example.test", a: .addresses(["192.0.2.1", "192.0.2.2"], ttl: 60), aaaa: .addresses(["2001:db8::1"], ttl: 40)
    )
    let name = try resolve("api.example.test").get()
    #expect(Set(name.addresses.map(\.host)) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"])
    #expect(name.addresses.allSatisfy { $0.port == 0 })
    #expect(name.timeToLive == 40 * second)
    #expect(Set(server.questions.map(\.kind)) == [.a, .aaaa])
    resolver.stop()
  }

  @Test(
    "Times to live are held between 5 s and 5 min",
    arguments: [(0, 5), (1, 5), (5, 5), (6, 6), (300, 300), (86400, 300)])
  func clamping(ttl: UInt32, seconds: Int64) throws {
    server.set("api.example.test", a: .addresses(["192.0.2.1"], ttl: ttl))
    #expect(try resolve("api.example.test").get().timeToLive == seconds * second)
    resolver.stop()
  }

  @Test("An alias counts with its own time to live")
  func alias() throws {
    server.set(
      "api.example.test", a: .alias("edge.example.test", ttl: 20, ["192.0.2.1"], addressTTL: 200),
      aaaa: .alias("edge.example.test", ttl: 20, [], addressTTL: 0))
    let name = try resolve("api.example.test").get()
    #expect(name.addresses.map(\.host) == ["192.0.2.1"])
    #expect(name.timeToLive == 20 * second)
    resolver.stop()
  }

  @Test("One family is enough", arguments: ["none", "noSuchName", "serverFailure", "refused", "silence"])
  func oneFamily(other: String) throws {
    let answers: [String: NameServer.Answer] = [
      "none": .none, "noSuchName": .noSuchName, "serverFailure": .serverFailure, "refused": .refused,
      "silence": .silence,
    ]
    let answer = try #require(answers[other])
    server.set("four.example.test", a: .addresses(["192.0.2.1"], ttl: 60), aaaa: answer)
    server.set("six.example.test", a: answer, aaaa: .addresses(["2001:db8::1"], ttl: 60))
    #expect(try addresses("four.example.test") == ["192.0.2.1"])
    #expect(try addresses("six.example.test") == ["2001:db8::1"])
    resolver.stop()
  }

  @Test("What a failure is called")
  func failures() throws {
    server.set("empty.example.test", a: .none)
    server.set("broken.example.test", a: .serverFailure, aaaa: .serverFailure)
    server.set("denied.example.test", a: .refused, aaaa: .refused)
    server.set("silent.example.test", a: .silence, aaaa: .silence)
    #expect(try reason("missing.example.test") == .notFound)
    #expect(try reason("empty.example.test") == .notFound)
    #expect(try reason("broken.example.test") == .serverFailure)
    #expect(try reason("denied.example.test") == .serverFailure)
    #expect(try reason("silent.example.test") == .timedOut)
    resolver.stop()
  }

  @Test("A name server that is not there")
  func noServer() throws {
    server.stop()
    #expect(try reason("api.example.test") == .serverFailure)
    resolver.stop()
  }

  @Test(
    "What is no name is an error",
    arguments: ["", "a\0.test", "a..b.test", String(repeating: "x", count: 64) + ".test"])
  func badNames(host: String) throws {
    #expect(try reason(host) == .badName)
    #expect(server.questions.isEmpty)
    resolver.stop()
  }

  @Test("Short names are tried in the search domains, in order; with a trailing dot they are not")
  func searchDomains() throws {
    server.set("api.lab.test", a: .addresses(["192.0.2.1"], ttl: 60))
    #expect(try addresses("api") == ["192.0.2.1"])
    #expect(server.questions.first?.name == "api.corp.test")
    server.forgetQuestions()
    #expect(try reason("api.") == .notFound)
    #expect(Set(server.questions.map(\.name)) == ["api"])
    resolver.stop()
  }

  @Test("Look-ups of one name that overlap are one question, in any case of letters")
  func coalescing() throws {
    server.set("api.example.test", a: .addresses(["192.0.2.1"], ttl: 60))
    var answered: [Bool] = []
    for host in ["api.example.test", "API.example.test", "api.EXAMPLE.test"] {
      resolver.resolve(host) { answered.append((try? $0.get()) != nil) }
    }
    try test.turn(until: "all three") { answered.count == 3 }
    #expect(answered == [true, true, true])
    #expect(server.questions.count == 2)
    // Nothing is kept: that is for the one who watches.
    #expect(try addresses("api.example.test") == ["192.0.2.1"])
    #expect(server.questions.count == 4)
    resolver.stop()
  }

  @Test("Names of the hosts file are answered from it")
  func hostsFile() throws {
    let lines = (TemporaryDirectory.read("/etc/hosts") ?? "").split(separator: "\n")
    let entries = lines.compactMap { line -> (String, String)? in
      let fields = line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" }.map(String.init)
      guard fields.count >= 2, SocketAddress(numeric: fields[0], port: 0) != nil, !fields[1].hasPrefix("localhost")
      else { return nil }
      return (fields[0], fields[1])
    }
    guard let (address, host) = entries.first else { return }
    let name = try resolve(host).get()
    #expect(name.addresses.map(\.host).contains(address))
    #expect(name.timeToLive == 5 * second)
    #expect(server.questions.isEmpty)
    resolver.stop()
  }

  @Test("A look-up may be started, and the resolver stopped, from within an answer")
  func reentrance() throws {
    server.set("one.example.test", a: .addresses(["192.0.2.1"], ttl: 60))
    server.set("two.example.test", a: .silence, aaaa: .silence)
    var second: Result<ResolvedName, ResolveFailure>?
    resolver.resolve("one.example.test") { [resolver] _ in
      resolver.resolve("two.example.test") { second = $0 }
      resolver.stop()
    }
    try test.turn(until: "the second answer") { second != nil }
    #expect(throws: ResolveFailure.self) { try second?.get() }
  }

  @Test("Stopping tells those who wait, and those who come later")
  func stopping() throws {
    server.set("silent.example.test", a: .silence, aaaa: .silence)
    var reasons: [ResolveFailure.Reason] = []
    let note: Resolver.Completion = { if case .failure(let failure) = $0 { reasons.append(failure.reason) } }
    resolver.resolve("silent.example.test", note)
    try test.turn(until: "it is asked") { server.questions.count == 2 }
    resolver.stop()
    resolver.resolve("192.0.2.1", note)
    try test.turn(until: "both are told") { reasons.count == 2 }
    #expect(reasons == [.stopped, .stopped])
    #expect(test.loop.timers.timeoutMilliseconds(now: test.loop.now) == -1)
  }

  @Test("A resolver that is let go leaves nothing on the loop")
  func letsGo() throws {
    var options = ResolverOptions()
    options.servers = [server.address]
    server.set("silent.example.test", a: .silence, aaaa: .silence)
    do {
      let short = try Resolver(test.loop, options)
      short.resolve("silent.example.test") { _ in }
      try test.turn(until: "it is asked") { server.questions.count == 2 }
    }
    resolver.stop()
    #expect(test.loop.timers.timeoutMilliseconds(now: test.loop.now) == -1)
    try test.settle()
  }
}
