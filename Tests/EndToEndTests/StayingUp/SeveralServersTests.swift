// `upstream.urls`: who gets a request, who is left alone for a while, and what is tried again where. Counted at the servers.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct SeveralServersTests {
  /// Servers whose behaviour the test changes as it goes, and a gateway with one data loop in front of them.
  private struct Rig {
    let servers: [ScriptedServer]
    let moods: [Shared<Mutex<Reaction>>]
    let gateway: GatewayUnderTest

    static func start(_ count: Int = 3, configure: (inout GatewayConfiguration) -> Void = { _ in }) async throws -> Rig
    {
      let moods = (0..<count).map { Shared(Mutex(Reaction.answer(.text("server \($0)")))) }
      let servers = try moods.map { mood in
        try ScriptedServer { _ in mood.value.withLock { (mood: inout sending Reaction) -> sending Reaction in mood } }
      }
      var route = Relay.plainRoute(to: servers[0].address)
      route["upstream"] = ["urls": .array(servers.map { .string($0.url) })]
      var configuration = GatewayConfiguration.empty
      configuration.more["workers"] = 1
      configuration.routes = [route]
      configure(&configuration)
      return Rig(servers: servers, moods: moods, gateway: try await .start(configuration))
    }

    func set(_ server: Int, _ reaction: Reaction) { moods[server].value.withLock { $0 = reaction } }

    /// Requests that each server has got.
    var counts: [Int] { servers.map { $0.record.completed } }

    func counts(since earlier: [Int]) -> [Int] { zip(counts, earlier).map { $0 - $1 } }

    /// One request after the other.
    func send(_ count: Int, _ method: String = "GET") async throws -> LoadReport {
      let body = method == "POST" ? Body.text("body") : .none
      return try await LoadRun(
        to: gateway.address, callers: 1, .requestsPerCaller(count), OutgoingRequest(method, "/x", body: body)
      ).run()
    }

    /// The same, and all must be answered well.
    func expectService(
      _ count: Int, _ method: String = "GET", sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
      let report = try await send(count, method)
      #expect(report.isAll(200), "\(report.statuses) \(report.failures)", sourceLocation: sourceLocation)
    }
  }

  @Test func serversThatAreEquallyBusyTakeTurns() async throws {
    let rig = try await Rig.start()
    try await rig.expectService(30)
    #expect(rig.counts == [10, 10, 10])
  }

  @Test func theServerWithTheFewestRequestsAtHandGetsTheNext() async throws {
    let rig = try await Rig.start()
    rig.set(0, .hang)
    let address = rig.gateway.address
    try await OwnThread.run {
      var waiting: [RawClient] = []
      func count() -> Int { rig.servers[0].record.completed }
      // Every server but the first has answered all that it has got, so the first gets one at most of each turn.
      while count() < 4 {
        let client = try RawClient(to: address)
        let before = rig.counts.reduce(0, +)
        try client.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try Deadline.block("somebody has it") { rig.counts.reduce(0, +) > before }
        if rig.counts[0] > waiting.count { waiting.append(client) } else { _ = try client.response() }
        if rig.counts.reduce(0, +) > 20 { break }
      }
      // One hangs there: from then on others always have fewer.
      guard count() == 1 else { throw ClientError.check("\(rig.counts)") }
    }
    #expect(rig.counts[1] >= 5 && rig.counts[2] >= 5, "\(rig.counts)")
  }

  /// What happens when: One of several upstreams is down
  @Test(arguments: ["GET", "POST"]) func aServerThatRefusesIsPassedOverUnseen(_ method: String) async throws {
    let rig = try await Rig.start()
    rig.servers[1].refuse()
    let report = try await rig.send(60, method)
    // Nothing was sent to it, so even what must not be repeated goes to another one.
    #expect(report.isAll(200), "\(report.failures) \(report.statuses)")
    let counts = rig.counts
    #expect(counts == [30, 0, 30] || counts[1] == 0 && counts[0] + counts[2] == 60, "\(counts)")
    try rig.servers[1].accept()
    // Its time is over soon, and then it gets its share again.
    try await Deadline.wait("it is taken back", within: .seconds(20)) {
      try await rig.expectService(3, method)
      return rig.counts[1] > 0
    }
    let before = rig.counts
    try await rig.expectService(30, method)
    #expect(rig.counts(since: before) == [10, 10, 10])
  }

  @Test func whenAllRefuseTheAnswerIs502() async throws {
    let rig = try await Rig.start()
    for server in rig.servers { server.refuse() }
    let response = try await rig.gateway.request("GET", "/x")
    #expect(response.status == 502 && response.problem?.reason == "connection_refused")
    for server in rig.servers { try server.accept() }
    // All are in disgrace: that is no reason to serve nobody.
    try await rig.expectService(9)
  }

  /// It takes connections and answers at once, so it would get most of the requests of all.
  @Test func aServerThatAnswers500IsLeftAloneAndTakenBack() async throws {
    let rig = try await Rig.start()
    rig.set(2, .answer(.text("broken", status: 500)))
    let report = try await rig.send(60)
    // The upstream's answers are passed on as they are; five in a row are enough.
    #expect(report.statuses[500] == 5 && report.statuses[200] == 55 && report.failures.isEmpty, "\(report.statuses)")
    #expect(rig.counts[2] == 5)
    // It comes back once and fails at once.
    try await Deadline.wait("it is tried again", within: .seconds(20)) {
      _ = try await rig.send(3)
      return rig.counts[2] > 5
    }
    let before = rig.counts
    try await rig.expectService(20)
    #expect(rig.counts(since: before)[2] == 0, "one failure is enough for who has just come back")
    rig.set(2, .answer(.text("repaired")))
    try await Deadline.wait("it is taken back", within: .seconds(20)) {
      let before = rig.counts
      try await rig.expectService(30)
      return rig.counts(since: before) == [10, 10, 10]
    }
  }

  @Test(arguments: [Reaction.reset, .close], ["GET", "POST"])
  func aServerThatDropsRequestsIsLeftAlone(_ ending: Reaction, _ method: String) async throws {
    let rig = try await Rig.start()
    rig.set(0, ending)
    let report = try await rig.send(60, method)
    #expect(report.count == 60 && report.failures.isEmpty)
    let counts = rig.counts
    #expect(counts[0] == 5, "\(counts)")
    if method == "GET" {
      // What it has swallowed is asked for again, once, and elsewhere.
      #expect(report.isAll(200), "\(report.statuses)")
      #expect(counts.reduce(0, +) == 65, "\(counts)")
    } else {
      #expect(report.statuses == [200: 55, 502: 5], "\(report.statuses)")
      #expect(counts.reduce(0, +) == 60, "nobody was sent a POST twice: \(counts)")
    }
  }

  @Test func aServerThatDoesNotAnswerIsLeftAlone() async throws {
    let rig = try await Rig.start { $0.timeouts["response_head"] = "200ms" }
    rig.set(1, .hang)
    let report = try await rig.send(60)
    #expect(report.statuses == [200: 55, 504: 5], "\(report.statuses)")
    #expect(rig.counts[1] == 5)
  }

  /// Answers of another kind than the server's fault are none of its failures.
  @Test(arguments: [404, 429, 501]) func answersThatSayNothingAboutTheServerDoNotCount(_ status: Int) async throws {
    let rig = try await Rig.start()
    rig.set(0, .answer(.text("no", status: status)))
    let report = try await rig.send(60)
    #expect(report.statuses == [200: 40, status: 20])
  }
}
