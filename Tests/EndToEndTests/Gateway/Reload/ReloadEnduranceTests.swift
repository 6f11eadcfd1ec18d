// 1,000 reloads under load: no request fails, no memory and no descriptor is lost.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(4))) struct ReloadEnduranceTests {
  private static let reloads = 1000 / Pace.slowness

  /// Five files in turn: routes, servers, credentials, limits, listeners' settings and logs are all among the changes.
  private static func files(_ sandbox: Sandbox, _ origins: [SocketAddress]) -> [GatewayConfiguration] {
    (0..<5).map { number in
      var configuration = GatewayConfiguration.only(.vinid, sandbox.addresses)
      configuration.credentials["vinid"]?["refresh_at"] = .double(0.5 + Double(number) / 10)
      configuration.credentials["vinid"]?["extra_headers"] = ["X-File": .string("\(number)")]
      configuration.routes.append(Relay.plainRoute(to: origins[number % 2]))
      if number % 2 == 1 {
        configuration.credentials["oauth2"] = GatewayConfiguration.oauth2(sandbox.addresses)
        configuration.routes.append(
          GatewayConfiguration.route("oauth2", prefix: "/oauth2/", to: sandbox.addresses.oauth2, credential: "oauth2"))
      }
      for extra in 0..<number * 10 {
        configuration.routes.append(
          GatewayConfiguration.route("extra-\(extra)", prefix: "/extra/\(extra)", to: origins[1], credential: nil))
      }
      configuration.limits["parked"] = .int(1000 + number)
      configuration.limits["upstream_connections"] = .int(100 + number % 2)
      configuration.timeouts["stream_idle"] = .string("\(60 + number)s")
      configuration.listener["half_close"] = .bool(number % 2 == 0)
      return configuration
    }
  }

  @Test func aThousandReloadsUnderLoad() async throws {
    let sandbox = try Sandbox()
    let origins = try (0..<2).map { _ in try ScriptedServer(recording: .counts) { _ in .answer(.text("fine")) } }
    let files = Self.files(sandbox, origins.map(\.address))
    let gateway = try GatewayUnderTest(program: ReleaseBuild.isThere ? ReleaseBuild.path : nil)
    try gateway.write(files[0])
    try await gateway.start()
    let process = try gateway.process
    let plain = try UnderLoad(gateway, callers: 4, pause: .milliseconds(10))
    let withToken = try UnderLoad(gateway, callers: 4, target: "/vinid/x", pause: .milliseconds(10))
    var memory: [Int] = []
    var descriptors: [Int] = []
    let clock = ContinuousClock()
    let begin = clock.now
    for number in 1...Self.reloads {
      try await gateway.reload(files[number % files.count])
      if number % 10 == 0 {
        memory.append(process.residentBytes >> 10)
        descriptors.append(process.openDescriptors)
      }
    }
    let took = clock.now - begin
    let counts = [try await plain.end().count, try await withToken.end().count]
    let quarter = memory.count / 4
    func middle(_ values: [Int], _ part: Int) -> Int {
      values[part * quarter..<(part + 1) * quarter].sorted()[quarter / 2]
    }
    let kilobytes = (0..<4).map { middle(memory, $0) }
    print(
      "\(Self.reloads) reloads in \(took): \(counts) requests, KiB \(kilobytes), descriptors \((0..<4).map { middle(descriptors, $0) })"
    )
    // The second quarter is warm. Of a slow machine's load, more or fewer connections are open from one to the next.
    #expect(kilobytes[3] <= kilobytes[1] + (kilobytes[1] / 20 + 512) * Pace.slowness, "KiB: \(kilobytes)")
    #expect(abs(middle(descriptors, 3) - middle(descriptors, 1)) <= 8 * Pace.slowness, "\(descriptors)")
    #expect(try await gateway.reloadCount("success") == Self.reloads)
    #expect(sandbox.counters(.vinid).granted == 1, "settings that don't concern the token get no new one")
    #expect(sandbox.counters(.oauth2).granted == 1)
    #expect(sandbox.counters(.vinid).spentTokenSeen == 0 && sandbox.counters(.oauth2).spentTokenSeen == 0)
  }

  /// Each file has a route, a credential and an upstream's settings that no file before it had. Each request has the
  /// token of its own route's credential, whose place others may have had before.
  @Test func everNewNamesTakeNoMoreMemory() async throws {
    let tokens = try ScriptedServer(recording: .counts) { request in
      let client = request.bodyText.split(separator: "&").first { $0.hasPrefix("client_id=") }?.dropFirst(10) ?? ""
      return .answer(
        .json(["access_token": .string("of-\(client)"), "token_type": "bearer", "expires_in": 3600]))
    }
    let origin = try ScriptedServer(recording: .counts) { request in
      let answer = Answer.text(request.fields["Authorization"] ?? "none")
      return request.target.hasSuffix("/slow") ? .after(.seconds(1)) { .answer(answer) } : .answer(answer)
    }
    func file(_ number: Int) -> GatewayConfiguration {
      var configuration = GatewayConfiguration.empty
      configuration.credentials["credential-\(number)"] = [
        "provider": "oauth2", "grant": "client_credentials", "token_url": .string("\(tokens.url)/token"),
        "client_id": .string("client-\(number)"), "client_auth": "post", "client_secret": ["value": "made-up-secret"],
      ]
      configuration.routes = [
        Relay.plainRoute(to: origin.address),
        GatewayConfiguration.route(
          "route-\(number)", prefix: "/\(number)/", to: origin.address, credential: "credential-\(number)",
          more: [("timeouts", ["upstream_idle": .string("\(20_000 + number)ms")])]),
      ]
      return configuration
    }
    let gateway = try GatewayUnderTest(program: ReleaseBuild.isThere ? ReleaseBuild.path : nil)
    try gateway.write(file(0))
    try await gateway.start()
    let process = try gateway.process
    let load = try UnderLoad(gateway, callers: 2, pause: .milliseconds(10))
    let count = ReleaseBuild.isThere ? Self.reloads : 400
    var memory: [Int] = []
    var slow: [Task<(Int, String), any Error>] = []
    for number in 1...count {
      try await gateway.reload(file(number))
      #expect(try await gateway.request("GET", "/\(number)/x").bodyText == "Bearer of-client-\(number)")
      // It goes on while its route, and its credential, are no more.
      if number % 7 == 0 {
        slow.append(Task { (number, try await gateway.request("GET", "/\(number)/slow").bodyText) })
        try await Task.sleep(for: .milliseconds(5))
      }
      if number % 4 == 0 { memory.append(process.residentBytes >> 10) }
    }
    for task in slow {
      let (number, text) = try await task.value
      // One that came after the next reload found the route that is there without one.
      #expect(text == "Bearer of-client-\(number)" || text == "none")
    }
    _ = try await load.end()
    let quarter = memory.count / 4
    let kilobytes = (0..<4).map { memory[$0 * quarter..<($0 + 1) * quarter].sorted()[quarter / 2] }
    print("\(count) reloads with ever new names: KiB \(kilobytes)")
    #expect(kilobytes[3] <= kilobytes[1] + kilobytes[1] / 20 + 512, "KiB: \(kilobytes)")
    let page = try await gateway.adminGet("/metrics").bodyText
    #expect(
      page.contains(
        "gateway_requests_total{route=\"route-\(count)\",credential=\"credential-\(count)\",status=\"2xx\"}"))
    #expect(!page.contains("route-1\""))
    #expect(tokens.record.completed == count)
  }
}
