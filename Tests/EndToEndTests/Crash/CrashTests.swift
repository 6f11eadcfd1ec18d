// SIGKILL at the system calls of a refresh, of the real gateway against django-oauth-toolkit: what is there after a new
// start. scripts/crash-test --all kills at every one of them.
import GatewayTesting
import Glibc
import Testing

@Suite(.timeLimit(.minutes(60))) struct CrashTests {
  private static let isWhole = unsafe getenv("GATEWAY_TEST_CRASH").map { unsafe String(cString: $0) } == "all"

  /// All points; or, from shortly before the mark is on the disk, the first of each call, some between, and the last.
  private static func sample(_ points: [KillPoint]) -> [KillPoint] {
    if isWhole { return points }
    let call = points.firstIndex { $0.call == "connect" } ?? 0
    let mark = points[..<call].lastIndex { $0.call == "fdatasync" } ?? call
    let near = points[max(0, mark - 15)...]
    var seen: Set<String> = []
    let stride = max(1, near.count / 14)
    return near.enumerated().filter { offset, point in
      offset % stride == 0 || near.count - offset <= 5 || seen.insert(point.call).inserted
    }.map(\.element)
  }

  /// What happens when: The gateway is killed, at whatever moment
  @Test(.enabled(Tracer.comment) { try await Tracer.isPermitted() }, arguments: CrashMoment.allCases, [0, 30])
  func aKillAtAnySystemCallOfARefreshLosesNothingButAnUnreadReply(_ moment: CrashMoment, grace: Int) async throws {
    let rig = try await CrashRig.start(moment, grace: grace)
    let all = try await rig.rehearse()
    let calls = Set(all.map(\.call))
    #expect(calls.isSuperset(of: ["pwrite64", "fdatasync", "connect", "sendto", "recvfrom", "epoll_wait"]), "\(calls)")
    let points = Self.sample(all)
    var counts: [CrashOutcome: Int] = [:]
    var lost: [KillPoint] = []
    for point in points {
      let outcome = try await rig.live(killedAt: point)
      counts[outcome, default: 0] += 1
      if outcome == .lostReply { lost.append(point) }
    }
    let summary = counts.map { "\($0.key) \($0.value)" }.sorted().joined(separator: ", ")
    print(
      "crash test, \(moment.rawValue), grace \(grace) s: killed at \(points.count) of \(all.count) calls; \(summary)")
    if !lost.isEmpty { print("the reply was lost at \(lost.map(\.description).joined(separator: ", "))") }
    // Shown at once also where the output is a file: the whole takes its time.
    fflush(nil)
    // Each kind of moment was hit, or the test shows nothing.
    #expect(counts[.missed, default: 0] * 4 <= points.count, "\(summary)")
    #expect(counts[grace == 0 ? .lostReply : .savedByGrace, default: 0] > 0, "\(summary)")
    #expect(counts[.stored, default: 0] > 0 && counts[.notRotated(marked: false), default: 0] > 0, "\(summary)")
    #expect(counts[.notRotated(marked: true), default: 0] > 0, "\(summary)")
    if grace > 0 { #expect(lost.isEmpty) }
  }
}
