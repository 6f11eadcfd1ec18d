// Refreshes of very many credentials are spread by jitter, also when all their tokens end at the same time.

import GatewayTesting
import Testing
import TokenKit

@Suite struct SpreadTests {
  static let count = 100_000
  static let lifetime = 3600

  /// One credential's row, as a restored backup or a start of all at once leaves it: obtained at the same moment as all
  /// the others, `age` seconds ago.
  static func row(_ terms: LeaseTerms, age: Int, now: Moment) -> StoredCredential {
    let obtained = now.wall + .seconds(-age)
    return StoredCredential(
      name: terms.name, generation: 1, accessToken: Secret("access"), obtainedAt: obtained,
      expiresAt: obtained + .seconds(lifetime), lifetime: .seconds(lifetime), refreshToken: Secret("refresh"),
      accessIdentity: terms.accessIdentity, refreshIdentity: terms.refreshIdentity)
  }

  static let policy: RefreshPolicy = {
    var policy = RefreshPolicy()
    policy.spread = 0.875
    return policy
  }()

  /// The most in any minute, and how many there are on the average in the minutes at hand.
  static func busiest(_ seconds: [Int64]) -> Int {
    var minutes: [Int64: Int] = [:]
    for second in seconds { minutes[second / 60, default: 0] += 1 }
    return minutes.values.max() ?? 0
  }

  /// The mean of credentials that live on: one refresh in each 78 % of a lifetime.
  static var mean: Double { Double(count) / (0.78 * Double(lifetime) / 60) }

  /// Where less time is left than half of that the refreshes are spread over what is left.
  @Test("Leases from the store that all end at one time", arguments: [0, 600, 1400, 2000, 2600, 2900, 3300])
  func restored(_ age: Int) {
    let terms = MachineRig.terms(seed: "refresh", policy: Self.policy)
    let now = Moment(
      boot: BootInstant(nanoseconds: 1_000_000_000_000), wall: WallTime(milliseconds: 1_750_000_000_000))
    let record = StoreRecord(row: Self.row(terms, age: age, now: now), seedIsKnown: true)
    var due: [Int64] = []
    for index in 0..<Self.count {
      var machine = LeaseStateMachine(terms: terms, randomSeed: UInt64(index) &* 0x9e37_79b9)
      _ = machine.handle(.loaded(record), at: now)
      guard let wakeUp = machine.nextWakeUp else { continue }
      due.append((max(wakeUp, now.boot) - now.boot).nanoseconds / 1_000_000_000)
    }
    #expect(due.count == Self.count)
    let left = Double(Self.lifetime - age) - 0.05 * Double(Self.lifetime)
    let mean = max(Self.mean, Double(Self.count) / (left / 60))
    #expect(Double(Self.busiest(due)) <= 2 * mean, "\(Self.busiest(due)) in one minute; the mean is \(Int(mean))")
    #expect(due.allSatisfy { $0 < Int64(Self.lifetime - age) }, "every lease is refreshed before it ends")
  }

  /// From then on too, over many lifetimes.
  @Test func seedsThatAreAllExchangedAtOnce() {
    let terms = MachineRig.terms(policy: Self.policy)
    let start = BootInstant(nanoseconds: 1_000_000_000_000)
    let wall = WallTime(milliseconds: 1_750_000_000_000)
    var seconds: [Int64] = []
    let machines = 20_000
    for index in 0..<machines {
      var machine = LeaseStateMachine(terms: terms, randomSeed: UInt64(index) &* 0x9e37_79b9)
      var now = Moment(boot: start, wall: wall)
      var events: [LeaseEvent] = [.loaded(StoreRecord(row: nil, seedIsKnown: false))]
      var tokens = 0
      while true {
        if events.isEmpty {
          guard let wakeUp = machine.nextWakeUp, wakeUp - start < .seconds(6 * Self.lifetime) else { break }
          if wakeUp > now.boot {
            now = Moment(boot: wakeUp, wall: wall + .nanoseconds((wakeUp - start).nanoseconds / 1_000_000 * 1_000_000))
          }
          events = [.wakeUp]
        }
        for action in machine.handle(events.removeFirst(), at: now) {
          switch action {
          case .askTurn(let turn, _): events.append(.turn(turn))
          case .begin(_, let attempt): events.append(.began(attempt: attempt, .success(.marked(prior: nil))))
          case .save(_, let write): events.append(.wrote(write: write, .success(.saved)))
          case .call(let attempt, _):
            tokens += 1
            if tokens > 1 { seconds.append((now.boot - start).nanoseconds / 1_000_000_000) }
            let token = Token(
              accessToken: Secret("a\(tokens)"), refreshToken: Secret("r\(tokens)"),
              lifetime: .relative(.seconds(Self.lifetime)))
            events.append(
              .answered(attempt: attempt, .success(GrantReply(token: token, date: nil, sent: now, received: now))))
          default: break
          }
        }
      }
    }
    let mean = Self.mean * Double(machines) / Double(Self.count)
    #expect(Double(Self.busiest(seconds)) <= 2 * mean, "\(Self.busiest(seconds)); the mean is \(Int(mean))")
    #expect(seconds.count > 6 * machines, "and they all were refreshed again and again")
  }

  @Test func aFewCredentialsAreRefreshedAtTheirUsualTime() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.reply(refresh: "r1")
    rig.advance(by: .seconds(2735))
    #expect(rig.calls.count == 1)
    rig.advance(by: .seconds(146))
    #expect(rig.calls.count == 2)
  }
}
