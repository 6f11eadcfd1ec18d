// What a soak came to: every answer that was looked at, everything that was wrong, and what the gateway used meanwhile.
import GatewayTesting
import Synchronization
import TokenKit

/// Shared by all callers.
final class SoakTally: Sendable {
  struct State {
    var answers: [String: Int] = [:]
    var wrong: [String: Int] = [:]
  }

  private let state = Mutex(State())
  private let isStopping = Atomic(false)
  private let isTroubled = Atomic(false)

  /// Answers that are as they should be, by kind.
  func count(_ kind: String) { state.withLock { $0.answers[kind, default: 0] += 1 } }

  /// The text names what was expected; the same text counts once more.
  func wrong(_ what: String) { state.withLock { $0.wrong[what, default: 0] += 1 } }

  var answers: [String: Int] { state.withLock { $0.answers } }
  var wrong: [String: Int] { state.withLock { $0.wrong } }

  var mayGoOn: Bool { !isStopping.load(ordering: .relaxed) }
  func stop() { isStopping.store(true, ordering: .relaxed) }

  /// The token API is out of order, or has been a moment ago: there may be no token.
  var maybeNoToken: Bool {
    get { isTroubled.load(ordering: .relaxed) }
    set { isTroubled.store(newValue, ordering: .relaxed) }
  }
}

/// A process's memory and descriptors over time.
struct SoakUsage {
  private(set) var memory: [Int] = []
  private(set) var descriptors: [Int] = []

  /// Descriptors; where another user's can't be listed, its connections, which are most of them.
  /// - Parameter ports: of its peers and its own listeners.
  static func descriptors(of process: ChildProcess, ports: [UInt16]) -> Int {
    let listed = process.openDescriptors
    if listed > 0 { return listed }
    let ends = ports.map { ":" + hexadecimal($0) }
    return (TemporaryDirectory.read("/proc/net/tcp") ?? "").split(separator: "\n").dropFirst().count { line in
      let parts = line.split(separator: " ")
      return parts.count > 3 && ["01", "08"].contains(parts[3])
        && ends.contains { parts[1].hasSuffix($0) || parts[2].hasSuffix($0) }
    }
  }

  private static func hexadecimal(_ port: UInt16) -> String {
    let digits = String(port, radix: 16, uppercase: true)
    return String(repeating: "0", count: 4 - digits.count) + digits
  }

  mutating func sample(_ process: ChildProcess, ports: [UInt16]) {
    memory.append(process.residentBytes)
    descriptors.append(Self.descriptors(of: process, ports: ports))
  }

  /// The middle value of a part of the samples, each part being a quarter.
  static func middle(_ samples: [Int], quarter: Int) -> Int {
    let part = samples[(samples.count * quarter / 4)..<(samples.count * (quarter + 1) / 4)].sorted()
    return part.isEmpty ? 0 : part[part.count / 2]
  }
}
