// Turns at a token host: how many at a time, how many a minute, who goes first, and what the server's own words change.

import Testing
import TokenKit

@Suite struct TokenHostQueueTests {
  static func at(_ seconds: Double) -> BootInstant { BootInstant(nanoseconds: Int64(seconds * 1e9)) }
  static func urgent(_ seconds: Double = 0) -> TurnPriority { TurnPriority(isUrgent: true, deadline: at(seconds)) }
  static func calm(_ seconds: Double) -> TurnPriority { TurnPriority(isUrgent: false, deadline: at(seconds)) }

  /// Everybody who may begin now.
  static func begin(_ queue: inout TokenHostQueue, _ seconds: Double) -> [Int] {
    var begun: [Int] = []
    while let next = queue.next(at: at(seconds)) { begun.append(next) }
    return begun
  }

  /// Calls and ends at once.
  static func call(_ queue: inout TokenHostQueue, _ credential: Int, _ seconds: Double) {
    queue.sent(credential)
    queue.end(credential, at: at(seconds))
  }

  @Test func soManyAtATimeAndOneMoreForEachThatEnds() {
    var queue = TokenHostQueue(TokenHostLimits(parallel: 3))
    for credential in 0..<5 { queue.ask(credential, Self.urgent()) }
    #expect(Self.begin(&queue, 0) == [0, 1, 2])
    #expect(queue.wakeUp(at: Self.at(0)) == nil, "only an end makes room")
    queue.end(1, at: Self.at(1))
    #expect(Self.begin(&queue, 1) == [3])
    queue.end(4, at: Self.at(1))
    queue.end(0, at: Self.at(1))
    #expect(Self.begin(&queue, 1) == [], "who no longer wants it is passed over")
    #expect(queue.runningCount == 2 && queue.waitingCount == 0)
  }

  @Test func urgentOnesFirstInTheirOrderThenWhoseTimeRunsOutFirst() {
    var queue = TokenHostQueue(TokenHostLimits(parallel: 100))
    queue.ask(1, Self.calm(500))
    queue.ask(2, Self.calm(100))
    queue.ask(3, Self.urgent(900))
    queue.ask(4, Self.calm(300))
    queue.ask(5, Self.urgent(10))
    queue.ask(1, Self.urgent(500))
    #expect(Self.begin(&queue, 0) == [3, 5, 1, 2, 4], "1 wanted it sooner than it had said")
    #expect(queue.runningCount == 5)
  }

  @Test(arguments: [1, 3, 10, 60])
  func noMinuteEverSeesMoreCallsThanItMay(_ perMinute: Int) {
    var queue = TokenHostQueue(TokenHostLimits(parallel: 4, perMinute: perMinute))
    var random = RandomSource(seed: UInt64(perMinute))
    var arrivals: [Double] = []
    var running: [(credential: Int, end: Double)] = []
    for credential in 0..<400 {
      queue.ask(credential, credential % 3 == 0 ? Self.urgent() : Self.calm(Double(credential)))
    }
    var now = 0.0
    let end = 60.0 * 400 / Double(perMinute) * 2 + 400
    while queue.waitingCount + running.count > 0, now < end {
      for (credential, at) in running where at <= now { queue.end(credential, at: Self.at(at)) }
      running.removeAll { $0.end <= now }
      for credential in Self.begin(&queue, now) {
        queue.sent(credential)
        // It reaches the server at any time before its answer does us.
        let took = random.fraction() * 3
        arrivals.append(now + random.fraction() * took)
        running.append((credential, now + took))
      }
      let wakeUp = queue.wakeUp(at: Self.at(now)).map { Double($0.nanoseconds) / 1e9 }
      let next = ([wakeUp] + running.map { $0.end }).compactMap(\.self).min() ?? now + 1
      now = max(next, now + 0.001)
    }
    #expect(arrivals.count == 400, "all of them get their turn")
    arrivals.sort()
    for index in arrivals.indices where index + perMinute < arrivals.count {
      #expect(arrivals[index + perMinute] - arrivals[index] >= 60, "\(perMinute + 1) calls within a minute")
    }
    // With calls of up to 3 s the limit is used well.
    #expect(now < 63.5 * 400 / Double(perMinute) + 70)
  }

  @Test func turnsWithoutACallDoNotCount() {
    var queue = TokenHostQueue(TokenHostLimits(parallel: 4, perMinute: 1))
    for credential in 0..<3 { queue.ask(credential, Self.urgent()) }
    #expect(Self.begin(&queue, 0) == [0])
    queue.end(0, at: Self.at(1))
    #expect(Self.begin(&queue, 1) == [1])
    Self.call(&queue, 1, 2)
    #expect(Self.begin(&queue, 61.9) == [])
    #expect(queue.wakeUp(at: Self.at(61.9)) == Self.at(62))
    #expect(Self.begin(&queue, 62) == [2])
  }

  @Test func whoAsksIsToldWhenItsTurnCanCome() {
    var queue = TokenHostQueue(TokenHostLimits(parallel: 4, perMinute: 2))
    #expect(queue.estimate(at: Self.at(0)) == nil)
    for credential in 0..<2 {
      queue.ask(credential, Self.urgent())
      #expect(Self.begin(&queue, 10).count == 1)
      Self.call(&queue, credential, 10 + Double(credential))
    }
    queue.ask(2, Self.urgent())
    #expect(queue.estimate(at: Self.at(20)) == Self.at(70))
    queue.ask(3, Self.urgent())
    #expect(queue.estimate(at: Self.at(20)) == Self.at(71))
    queue.ask(4, Self.urgent())
    #expect(queue.estimate(at: Self.at(20)) == Self.at(130), "a minute after the one whose place it takes")
  }

  @Test func callsOfTheProcessBeforeCount() {
    var queue = TokenHostQueue(TokenHostLimits(parallel: 4, perMinute: 1))
    queue.remember(Self.at(-10))
    queue.remember(Self.at(-50))
    queue.ask(0, Self.urgent())
    #expect(Self.begin(&queue, 0) == [])
    #expect(queue.wakeUp(at: Self.at(0)) == Self.at(50))
  }

  @Test func aServerThatIsUnavailableIsSoForEverybodyButNotForLong() {
    var queue = TokenHostQueue(TokenHostLimits(parallel: 4))
    queue.refused(0, wait: .seconds(30), isUnavailable: true, at: Self.at(0))
    queue.ask(1, Self.urgent())
    #expect(Self.begin(&queue, 29) == [])
    #expect(queue.wakeUp(at: Self.at(29)) == Self.at(30))
    #expect(Self.begin(&queue, 30) == [1])
    queue.refused(1, wait: .seconds(86_400), isUnavailable: true, at: Self.at(31))
    queue.ask(2, Self.urgent())
    #expect(Self.begin(&queue, 90.9) == [])
    #expect(Self.begin(&queue, 91) == [2])
  }

  @Test func tooManyRequestsHoldTheHostWhenASecondCredentialIsToldSo() {
    var queue = TokenHostQueue(TokenHostLimits(parallel: 4))
    queue.refused(0, wait: .seconds(30), isUnavailable: false, at: Self.at(0))
    queue.ask(1, Self.urgent())
    #expect(Self.begin(&queue, 1) == [1], "one client's affair")
    queue.refused(0, wait: .seconds(30), isUnavailable: false, at: Self.at(1))
    queue.ask(2, Self.urgent())
    #expect(Self.begin(&queue, 1) == [2], "the same one again")
    queue.served()
    queue.refused(1, wait: .seconds(20), isUnavailable: false, at: Self.at(2))
    queue.ask(3, Self.urgent())
    #expect(Self.begin(&queue, 2) == [3], "a success came between")
    queue.refused(2, wait: .seconds(10), isUnavailable: false, at: Self.at(3))
    queue.ask(4, Self.urgent())
    #expect(Self.begin(&queue, 12.9) == [])
    #expect(Self.begin(&queue, 13) == [4])
  }

  @Test func manyThatComeAndGoLeaveNothingBehind() {
    var queue = TokenHostQueue(TokenHostLimits(parallel: 1))
    queue.ask(0, Self.urgent())
    #expect(Self.begin(&queue, 0) == [0])
    for round in 0..<200 {
      for credential in 1...1000 {
        queue.ask(credential, round % 2 == 0 ? Self.calm(Double(credential)) : Self.urgent())
      }
      for credential in 1...1000 { queue.end(credential, at: Self.at(1)) }
    }
    #expect(queue.waitingCount == 0)
    queue.ask(7, Self.calm(5))
    queue.end(0, at: Self.at(2))
    #expect(Self.begin(&queue, 2) == [7])
    queue.end(7, at: Self.at(2))
    #expect(queue.isIdle)
  }
}
