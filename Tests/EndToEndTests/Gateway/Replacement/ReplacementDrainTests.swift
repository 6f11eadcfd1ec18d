// What the old process still does for its callers: it has the new one's leases until it ends.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(4))) struct ReplacementDrainTests {
  /// Holds answers back until it is opened, and says 401 to the first token then.
  private final class Origin: Sendable {
    let server: ScriptedServer
    private let state = State()

    private final class State: Sendable {
      let isOpen = Atomic(false)
      let first = Mutex<String?>(nil)

      func isFirst(_ token: String) -> Bool {
        first.withLock { first in
          if first == nil { first = token }
          return first == token
        }
      }

      func react(_ request: IncomingRequest) -> Reaction {
        if !isOpen.load(ordering: .relaxed) { return .after(.milliseconds(20)) { [self] in react(request) } }
        let token = request.fields["Authorization"] ?? ""
        if request.path == "/judge", isFirst(token) { return .answer(Answer(401)) }
        return .answer(.text("\(request.bodyCount)"))
      }
    }

    init() throws {
      server = try ScriptedServer(
        script: ServerScript(onHead: { _ in .digest }) { [state] request in
          if request.path == "/judge" { _ = state.isFirst(request.fields["Authorization"] ?? "") }
          return request.path == "/now" ? .answer(.text("now")) : state.react(request)
        })
    }

    func open() { state.isOpen.store(true, ordering: .relaxed) }
  }

  private struct Rig {
    let sandbox: Sandbox
    let origin: Origin
    let gateway: GatewayUnderTest

    static func start(_ change: (inout OrderedJSON) -> Void = { _ in }) async throws -> Rig {
      let sandbox = try Sandbox(.onFreePorts)
      let origin = try Origin()
      var configuration = GatewayConfiguration.empty
      var credential = GatewayConfiguration.vinid(sandbox.addresses)
      change(&credential)
      configuration.credentials["vinid"] = credential
      configuration.routes = [
        GatewayConfiguration.route("vinid", prefix: "/vinid/", to: sandbox.addresses.vinid, credential: "vinid"),
        GatewayConfiguration.route("own", prefix: "/own/", to: origin.server.addresses[0], credential: "vinid"),
      ]
      configuration.timeouts = ["token": "30s", "park": "60s"]
      return Rig(sandbox: sandbox, origin: origin, gateway: try await .start(configuration))
    }
  }

  /// Requests that wait for their answer, an upload that has half of its body to come, and a kept connection.
  @Test func whatIsUnderWayIsFinishedByTheOldProcess() async throws {
    let rig = try await Rig.start()
    let (gateway, address) = (rig.gateway, rig.gateway.address)
    let waiting = (0..<5).map { _ in Task { try await gateway.request("GET", "/own/slow") } }
    try await Deadline.wait("the origin has them") { rig.origin.server.record.completed == 5 }
    let half = 1 << 20
    let upload = Upload()
    let uploading = Task { try await upload.run(half: half, to: address) }
    try await upload.waitForHalf()
    let old = try await gateway.replace()
    #expect(!old.hasEnded)
    // Who comes now is the new process's.
    #expect(try await gateway.request("GET", "/own/now").status == 200)
    rig.origin.open()
    for task in waiting { #expect(try await task.value.status == 200) }
    upload.goOn()
    let answer = try await uploading.value
    #expect(answer.status == 200 && answer.bodyText == "\(2 * half)")
    #expect(!answer.head.keepsAlive, "the old process ends")
    try await gateway.expectEnd(of: old)
    #expect(rig.sandbox.counters(.vinid).granted == 1)
  }

  /// The old process meets a 401: the new one refreshes, and the request is sent again from the old one.
  @Test func a401InTheOldProcessIsRefreshedByTheNewOne() async throws {
    let rig = try await Rig.start()
    let gateway = rig.gateway
    let waiting = (0..<3).map { _ in Task { try await gateway.request("GET", "/own/judge") } }
    try await Deadline.wait("the origin has them") { rig.origin.server.record.completed == 3 }
    let old = try await gateway.replace()
    rig.origin.open()
    for task in waiting { #expect(try await task.value.status == 200) }
    try await gateway.expectEnd(of: old)
    let counters = rig.sandbox.counters(.vinid)
    #expect(counters.granted == 2 && counters.spentTokenSeen == 0 && counters.mostAtOnce == 1, "\(counters)")
    try await gateway.waitForGeneration(2, of: "vinid")
    gateway.expectNoSecretsInOutputs()
  }

  /// Who waits in the old process for a refresh that may not be made yet gets the new process's answer.
  @Test func whoWaitsForATokenIsServedByTheNewProcessesAnswer() async throws {
    let rig = try await Rig.start { $0["min_refresh_interval"] = "40s" }
    let gateway = rig.gateway
    #expect(try await gateway.request("GET", "/vinid/x").status == 200)
    rig.sandbox.revokeAccessTokens(.vinid)
    #expect(try await gateway.request("GET", "/vinid/x").status == 200)
    rig.sandbox.revokeAccessTokens(.vinid)
    let waiting = (0..<4).map { _ in Task { try await gateway.request("GET", "/vinid/x", within: .seconds(90)) } }
    try await Deadline.wait("they wait", within: .seconds(30)) {
      let page = try await gateway.adminGet("/metrics").bodyText
      return page.contains("gateway_parked_requests{credential=\"vinid\"} 4")
    }
    let old = try await gateway.replace()
    for task in waiting { #expect(try await task.value.status == 200) }
    try await gateway.expectEnd(of: old)
    let counters = rig.sandbox.counters(.vinid)
    #expect(counters.granted == 3 && counters.spentTokenSeen == 0, "\(counters)")
  }

  /// The new process is killed while the old one drains: the leases at hand serve, and the old one ends in order.
  @Test func theNewProcessDiesWhileTheOldOneDrains() async throws {
    let rig = try await Rig.start()
    let gateway = rig.gateway
    let waiting = (0..<3).map { _ in Task { try await gateway.request("GET", "/own/slow") } }
    try await Deadline.wait("the origin has them") { rig.origin.server.record.completed == 3 }
    let old = try await gateway.replace()
    try await gateway.kill()
    rig.origin.open()
    for task in waiting { #expect(try await task.value.status == 200) }
    try await gateway.expectEnd(of: old)
    try await gateway.start()
    #expect(try await gateway.request("GET", "/vinid/x").status == 200)
    #expect(rig.sandbox.counters(.vinid).granted == 1)
  }

  /// SIGTERM to the new one while the old one drains: it waits for the old one, whose requests are finished.
  @Test func theNewProcessEndsAfterTheOldOne() async throws {
    let rig = try await Rig.start()
    let gateway = rig.gateway
    let waiting = Task { try await gateway.request("GET", "/own/slow") }
    try await Deadline.wait("the origin has it") { rig.origin.server.record.completed == 1 }
    let old = try await gateway.replace()
    let new = try gateway.process
    new.send(ChildProcess.terminate)
    try await new.waitWhileRunning("it drains") { new.errors.contains("signal received, draining") }
    rig.origin.open()
    #expect(try await waiting.value.status == 200)
    try await gateway.expectEnd(of: old)
    #expect(try await new.waitForExit(within: .seconds(40)) == .code(0))
  }
}

/// A request whose body comes in two halves, the second one when it is told to go on.
private final class Upload: Sendable {
  private let isHalfSent = Atomic(false)
  private let goesOn = Atomic(false)

  func run(half: Int, to address: SocketAddress) async throws -> ReceivedResponse {
    try await OwnThread.run { [self] in
      let client = try RawClient(to: address)
      try client.send("POST /own/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(2 * half)\r\n\r\n")
      try client.send([UInt8](repeating: 0x61, count: half), within: .seconds(60))
      isHalfSent.store(true, ordering: .relaxed)
      try Deadline.block("the second half", within: .seconds(60)) { goesOn.load(ordering: .relaxed) }
      try client.send([UInt8](repeating: 0x61, count: half), within: .seconds(60))
      return try client.response()
    }
  }

  func waitForHalf() async throws {
    try await Deadline.wait("half of it is sent", within: .seconds(60)) { isHalfSent.load(ordering: .relaxed) }
  }

  func goOn() { goesOn.store(true, ordering: .relaxed) }
}
