// The access log under load: every line whole, one for each request, whatever happens to the file meanwhile.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(3))) struct AccessLogLoadTests {
  /// Requests whose paths are all different.
  private static func run(
    to relay: Relay, callers: Int, _ amount: LoadRun.Amount, padding: Int = 100
  ) -> LoadRun {
    let more = String(repeating: "p", count: padding)
    return LoadRun(to: relay.address, callers: callers, amount) { caller, ordinal in
      OutgoingRequest("/caller-\(caller)/\(ordinal)/\(more)")
    }
  }

  /// - Returns: the paths of all lines.
  private static func paths(_ text: String) -> [String] {
    let lines = AccessLines.parse(text)
    #expect(lines.allSatisfy { $0.status == 200 })
    #expect(Set(lines.map { $0.text("request_id") }).count == lines.count)
    return lines.compactMap(\.path)
  }

  @Test func twoWorkersWriteOneWholeLineForEachRequest() async throws {
    let relay = try await Relay.start(
      recording: .counts, configure: { configuration, _ in configuration.logAccess() }
    ) { _ in .answer(.text("fine")) }
    let report = try await Self.run(to: relay, callers: 40, .requestsPerCaller(50)).run()
    #expect(report.isAll(200) && report.count == 2000, "\(report.failures)")
    // What is buffered is written at the end.
    #expect(try await relay.gateway.stop() == .code(0))
    let paths = Self.paths(relay.gateway.accessLogText)
    #expect(paths.count == 2000 && Set(paths).count == 2000)
  }

  /// Nobody reads the pipe: requests are served as if there were no log, and what is lost is counted and told once.
  @Test func aFullPipeHoldsNobodyUp() async throws {
    let directory = try TemporaryDirectory()
    let pipe = try TestPipe(directory)
    let relay = try await Relay.start(
      recording: .counts, configure: { configuration, _ in configuration.logAccess(to: pipe.path) }
    ) { _ in .answer(.text("fine")) }
    let report = try await Self.run(to: relay, callers: 20, .requestsPerCaller(100), padding: 500).run()
    #expect(report.isAll(200) && report.count == 2000, "\(report.failures)")
    let process = try relay.gateway.process
    try await process.waitWhileRunning("the warning") { process.errors.contains("access log lines dropped") }
    // The reader comes back: the log goes on by itself.
    var text = String(decoding: pipe.read(), as: UTF8.self)
    #expect(text.utf8.count > 40_000)
    let again = try await Self.run(to: relay, callers: 4, .requestsPerCaller(5)).run()
    #expect(again.isAll(200))
    let reader = Task {
      var more: [UInt8] = []
      while !process.hasEnded {
        more += pipe.read()
        try await Task.sleep(for: .milliseconds(5))
      }
      return more + pipe.read()
    }
    #expect(try await relay.gateway.stop() == .code(0))
    text += String(decoding: try await reader.value, as: UTF8.self)
    let paths = Self.paths(text)
    #expect(Set(paths).count == paths.count)
    let lost = AccessLines.parse(process.errors).filter { $0.text("message") == "access log lines dropped in all" }
    let count = lost.first?.text("lines").flatMap(Int.init) ?? 0
    #expect(lost.count == 1 && count > 0 && paths.count + count == 2020, "\(paths.count) and \(count)")
    let warnings = AccessLines.parse(process.errors).filter { $0.text("message") == "access log lines dropped" }
    #expect(warnings.count == 1, "one a minute at most")
  }

  /// logrotate's ways: the file is moved, made anew (`create`) or not, and SIGUSR1 sent; again and again under load.
  @Test(arguments: [false, true]) func aRotationLosesNoLine(isMadeAnew: Bool) async throws {
    let relay = try await Relay.start(
      recording: .counts, configure: { configuration, _ in configuration.logAccess() }
    ) { _ in .answer(.text("fine")) }
    let gateway = relay.gateway
    let load = try Self.run(to: relay, callers: 20, .time(.seconds(60))).start()
    let rotations = 8
    for number in 1...rotations {
      try await gateway.process.waitWhileRunning("the file has lines") { gateway.accessLogText.utf8.count > 20_000 }
      try Files.rename(gateway.accessLogPath, gateway.accessLogPath + ".\(number)")
      if isMadeAnew { try gateway.directory.write("access.log", "", mode: 0o640) }
      try gateway.process.send(SignalSource.reopen)
    }
    try await gateway.process.waitWhileRunning("the last file has lines") { !gateway.accessLogText.isEmpty }
    load.stop()
    let report = try await load.report()
    #expect(report.isAll(200), "\(report.failures)")
    #expect(try await gateway.stop() == .code(0))
    let texts = (1...rotations).map { TemporaryDirectory.read(gateway.accessLogPath + ".\($0)") ?? "" }
    #expect(texts.allSatisfy { $0.utf8.count > 20_000 })
    let paths = (texts + [gateway.accessLogText]).flatMap { Self.paths($0) }
    #expect(paths.count == report.count && Set(paths).count == report.count, "\(paths.count) of \(report.count)")
    #expect(TemporaryDirectory.mode(gateway.accessLogPath) == 0o640)
    print("access log: \(report.count) lines over \(rotations + 1) files")
  }
}
