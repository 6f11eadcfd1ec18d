// Replacements that come to nothing, at every step and on either side: the old process goes on as if nothing had been, or
// the new one goes on alone.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(4))) struct ReplacementFailureTests {
  /// How far a new process comes before it is gone.
  enum Step: Int, CaseIterable, Sendable, CustomTestStringConvertible {
    case connected, greeted, asked, released, nonsense, otherVersion
    var testDescription: String { "\(self)" }
  }

  /// Under load, with tokens of 3 s that go on to be refreshed; nothing is refused and nothing fails.
  @Test(arguments: Step.allCases) func theNewProcessIsGone(step: Step) async throws {
    let rig = try await ReplacementRig.start()
    let load = try rig.load(callers: 2)
    let path = rig.gateway.storePath + ".handover"
    for _ in 0..<3 {
      let before = try await rig.gateway.waitForGeneration(1)
      try await OwnThread.run {
        let peer = try HandoverPeer(to: path)
        if step == .connected { return }
        peer.send(HandoverPeer.hello(version: step == .otherVersion ? 99 : 1))
        if step == .otherVersion {
          let refusal = try peer.wait(for: "refused")
          if !refusal.contains("restart the gateway") { throw DeadlinePassed(refusal) }
          return
        }
        try peer.wait(for: "offer")
        for _ in 0..<3 { try peer.wait(for: "socket") }
        if step == .nonsense {
          peer.send("nonsense")
          try peer.wait(for: "cancelled")
          return try peer.waitForEnd()
        }
        if step == .greeted { return }
        peer.send(HandoverPeer.release)
        if step == .asked { return }
        try peer.wait(for: "released")
      }
      try await rig.gateway.waitForGeneration(before + 1)
    }
    #expect(try await rig.gateway.adminStatus("/readyz") == 200)
    try await rig.end(load)
    try await rig.expectNoSpentToken()
    let log = try rig.gateway.log
    #expect(log.contains("replacement failed, going on") == (step != .connected))
    // And one that comes about, after all those.
    let old = try await rig.gateway.replace()
    try await rig.gateway.expectEnd(of: old)
    try await rig.server.expectService(through: rig.gateway)
  }

  /// How far the old process comes before it is gone.
  enum OldStep: Int, CaseIterable, Sendable, CustomTestStringConvertible {
    case connected, greeted, oneSocket, offered, asked, released, serving, yielded
    var testDescription: String { "\(self)" }
  }

  /// The new one serves alone, with the sockets that it got, and opens those that it did not get.
  @Test(arguments: OldStep.allCases) func theOldProcessDies(step: OldStep) async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try GatewayUnderTest()
    try gateway.write(server.configuration())
    let path = gateway.storePath + ".handover"
    let socket = try Socket.listen(on: .unix(path: path), kind: .packets)
    try await gateway.start(waitingFor: nil, arguments: ["--replace"])
    let (main, admin) = (gateway.address, gateway.admin)
    try await OwnThread.run {
      let peer = try HandoverPeer(acceptingOn: socket)
      if step == .connected { return }
      try peer.wait(for: "hello")
      let handed = step.rawValue >= OldStep.oneSocket.rawValue
      let sockets = handed ? [try Socket.listen(on: main), try Socket.listen(on: admin)] : []
      defer { for fd in sockets { Socket.close(fd) } }
      peer.send(HandoverPeer.offer(sockets: 2))
      if step == .greeted { return }
      peer.send(HandoverPeer.socket("listener main", main), descriptor: sockets[0])
      if step == .oneSocket { return }
      peer.send(HandoverPeer.socket("admin", admin), descriptor: sockets[1])
      if step == .offered { return }
      try peer.wait(for: "release")
      if step == .asked { return }
      peer.send(HandoverPeer.released)
      if step == .released { return }
      try peer.wait(for: "serving")
      if step == .serving { return }
      peer.send(HandoverPeer.yielded)
      // It asks as a draining process does, and gets its answer.
      peer.send(
        "{\"want\":{\"id\":1,\"_1\":{\"identity\":{\"credential\":\"main\",\"access\":[1],\"refresh\":[2]},"
          + "\"cause\":{\"missing\":{}}}}}")
      let answer = try peer.wait(for: "answer")
      if !answer.contains("shutting_down") { throw DeadlinePassed("another account's token: \(answer.prefix(20))") }
    }
    try await gateway.process.waitWhileRunning("it serves", within: .seconds(60)) {
      try await gateway.adminStatus("/readyz") == 200
    }
    try await server.expectService(through: gateway)
    // Whoever comes next can take its place.
    let old = try await gateway.replace()
    try await gateway.expectEnd(of: old)
    try await server.expectService(through: gateway)
    #expect(try await server.tally().tokens.count == 1)
  }

  @Test(arguments: [true, false]) func aNewProcessThatIsNotWantedDoesNotStart(isLate: Bool) async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try GatewayUnderTest()
    try gateway.write(server.configuration())
    let socket = try Socket.listen(on: .unix(path: gateway.storePath + ".handover"), kind: .packets)
    try await gateway.start(waitingFor: nil, arguments: ["--replace"])
    try await OwnThread.run {
      let peer = try HandoverPeer(acceptingOn: socket)
      try peer.wait(for: "hello")
      if !isLate { return peer.send(HandoverPeer.refused("a reason of the test")) }
      peer.send(HandoverPeer.offer(sockets: 0))
      try peer.wait(for: "release")
      peer.send(HandoverPeer.cancelled("a reason of the test"))
      try peer.waitForEnd()
    }
    #expect(try await gateway.process.waitForExit(within: .seconds(60)) == .code(1))
    #expect(try gateway.process.errors.contains("a reason of the test"))
    #expect(try await server.tally().tokens.isEmpty)
  }

  @Test func twoAtOnceAreOneTooMany() async throws {
    let rig = try await ReplacementRig.start()
    let load = try rig.load(callers: 2)
    let path = rig.gateway.storePath + ".handover"
    let (gateway, old) = (rig.gateway, try rig.gateway.process)
    let first = try await OwnThread.run {
      let peer = try HandoverPeer(to: path)
      peer.send(HandoverPeer.hello())
      try peer.wait(for: "offer")
      return HeldPeer(peer)
    }
    #expect(try await gateway.failedReplacement().contains("another replacement is under way"))
    old.send(ChildProcess.replace)
    try await old.waitWhileRunning("SIGUSR2 is refused") { old.errors.contains("SIGUSR2 does nothing") }
    first.close()
    try await old.waitWhileRunning("it notices") { old.errors.contains("replacement failed") }
    try await gateway.expectEnd(of: try await gateway.replace())
    try await rig.end(load)
    try await rig.expectNoSpentToken()
  }

  /// It has the store, and stands still: it is killed, so that it can't wake up with it, and the old one goes on.
  @Test func aNewProcessThatStandsStillWithTheStoreIsEnded() async throws {
    let rig = try await ReplacementRig.start()
    let load = try rig.load(callers: 2)
    let before = try await rig.gateway.waitForGeneration(1)
    let script = """
      import fcntl, json, socket, sys, time
      peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
      peer.connect(sys.argv[1] + ".handover")
      peer.send(json.dumps({"hello": {"_0": {"protocolVersion": 1, "gateway": "0.0", "process": 1}}}).encode())
      peer.send(json.dumps({"release": {}}).encode())
      while not peer.recv(65536).startswith(b'{"released'): pass
      lock = open(sys.argv[1] + ".lock", "r+")
      fcntl.flock(lock, fcntl.LOCK_EX)
      print("has it", flush=True)
      time.sleep(600)
      """
    let still = try ChildProcess(
      "python3", ["-c", script, rig.gateway.storePath], directory: rig.gateway.directory, name: "still")
    _ = try await still.waitForLine(containing: "has it")
    #expect(try await still.waitForExit(within: .seconds(60)) == .signal(ChildProcess.kill))
    let old = try rig.gateway.process
    try await old.waitWhileRunning("the store is back") { old.errors.contains("the store is ours again") }
    try await rig.gateway.waitForGeneration(before + 1)
    #expect(old.errors.contains("the new process did not serve in time"))
    for run in load {
      // Tokens were over meanwhile: who waited longer than `park` got an answer that says so.
      run.stop()
      let report = try await run.report()
      #expect(Set(report.statuses.keys).isSubset(of: [200, 502, 503, 504]))
    }
    try await rig.expectNoSpentToken()
    try await rig.gateway.expectEnd(of: try await rig.gateway.replace())
  }

  /// SIGTERM in the middle: both end, and the store is whole.
  @Test func sigtermEndsAReplacementUnderWay() async throws {
    let rig = try await ReplacementRig.start(lifetime: 3600)
    let path = rig.gateway.storePath + ".handover"
    for step in 0..<2 {
      let held = try await OwnThread.run {
        let peer = try HandoverPeer(to: path)
        peer.send(HandoverPeer.hello())
        try peer.wait(for: "offer")
        if step == 1 {
          peer.send(HandoverPeer.release)
          try peer.wait(for: "released")
        }
        return HeldPeer(peer)
      }
      #expect(try await rig.gateway.stop() == .code(0))
      try await held.waitFor("cancelled")
      // With the copies of the sockets.
      held.close()
      try await rig.gateway.start()
      try await rig.server.expectService(through: rig.gateway)
    }
    try await rig.expectNoSpentToken()
  }
}

/// A peer that is kept between blocking steps, each on a thread of its own.
final class HeldPeer: @unchecked Sendable {
  private let peer: HandoverPeer
  init(_ peer: HandoverPeer) { self.peer = peer }

  func close() { peer.close() }

  func waitFor(_ kind: String) async throws { try await OwnThread.run { [self] in _ = try peer.wait(for: kind) } }
}
