// A reload of very many credentials: over several turns of the loop, without a refresh token in two hands.

import GatewayTesting
import Testing
import TokenKit

@testable import TokenService

@Suite struct ManagerReloadTests {
  private final class Rig {
    let clock = ManualClock()
    let transport = ScriptedTransport()
    let manager: CredentialManager

    init(_ definitions: [CredentialDefinition]) throws {
      manager = try CredentialManager(
        definitions: definitions,
        ports: ManagerPorts(
          transport: transport, store: MemoryStore(SharedStore(), owner: "me", clock: clock), timers: clock,
          clock: clock, publisher: RecordingPublisher()),
        owner: "me", randomSeed: 3, fingerprinter: .forTests, onEvent: { _, _ in })
      manager.start { _ in }
      clock.advance(by: .zero)
    }

    /// - Returns: what has changed, and in how many turns.
    func reload(
      _ definitions: [Int: CredentialDefinition], eachTurn: () -> Void = {}
    ) throws -> (changes: CredentialChanges, turns: Int) {
      let checked = try manager.checker.check(definitions.map { (place: $0.key, definition: $0.value) })
      var prepared: PreparedCredentials?
      manager.prepare(checked) { prepared = try? $0.get() }
      clock.advance(by: .zero)
      var changes: CredentialChanges?
      var turns = 1
      manager.reload(try #require(prepared)) { changes = $0 }
      eachTurn()
      while changes == nil, clock.runNext(until: clock.now.boot) {
        turns += 1
        eachTurn()
      }
      return (try #require(changes), turns)
    }
  }

  private static func definition(_ name: String, seed: String? = nil, refreshAt: Double = 0.8) -> CredentialDefinition {
    var policy = RefreshPolicy()
    policy.refreshAt = refreshAt
    return CredentialDefinition(
      name: name,
      material: CredentialMaterial(
        provider: PlainProvider(refresh: seed != nil), seed: seed.map { Secret($0) }),
      policy: policy)
  }

  @Test func veryManyChangeOverSeveralTurns() throws {
    let rig = try Rig((0..<1000).map { Self.definition("c\($0)") })
    var definitions: [Int: CredentialDefinition] = [:]
    for place in 0..<800 { definitions[place] = Self.definition("c\(place)", refreshAt: 0.5) }
    for place in 800..<900 { definitions[place] = Self.definition("c\(place)") }
    for place in 1000..<1500 { definitions[place] = Self.definition("c\(place)") }
    var before = 0
    var most = 0
    let (changes, turns) = try rig.reload(definitions) {
      let now = rig.manager.entries.prefix(800).count { $0.machine.latestTerms.policy.refreshAt == 0.5 }
      most = max(most, now - before)
      before = now
    }
    #expect(changes.changed == Array(0..<800) && changes.added == Array(1000..<1500))
    #expect(changes.removed == Array(900..<1000))
    // 1,500 of them.
    #expect(turns >= 6 && most <= 256, "\(turns), \(most)")
    #expect(rig.manager.configuredCount == 1400 && rig.manager.count == 1500)
    #expect(try rig.reload(definitions).changes == CredentialChanges())
    // Everyone lives: new ones can be asked for a token.
    for place in [0, 799, 850, 1000, 1499] {
      var answers = 0
      rig.manager.want(credential: place, LeaseWant(above: nil, cause: .missing)) { _ in answers += 1 }
      rig.transport.reply(200, "access-\(place)  3600")
      rig.clock.advance(by: .seconds(1))
      #expect(answers == 1, "\(place)")
    }
    #expect(rig.manager.isOver(credential: 950) && !rig.manager.isOver(credential: 850))
  }

  /// Renamed ones, and ones that have changed seeds with each other.
  @Test func noRefreshTokenIsTwoCredentialsAtAnyTime() throws {
    func seed(_ number: Int) -> String { "seed-\(number)" }
    let rig = try Rig((0..<700).map { Self.definition("c\($0)", seed: seed($0)) })
    while !rig.transport.calls.isEmpty { rig.transport.fail("refused", sent: false) }
    var definitions: [Int: CredentialDefinition] = [:]
    for place in 0..<600 {
      definitions[place] = Self.definition("c\(place)", seed: seed(place == 0 ? 599 : place == 599 ? 0 : place))
    }
    for place in 600..<700 { definitions[place + 100] = Self.definition("new-\(place)", seed: seed(place)) }
    var wasShared = false
    let (changes, turns) = try rig.reload(definitions) {
      // New ones that have not read their rows yet send nothing.
      let seeds = rig.manager.entries.filter { !$0.isRemoved && $0.index < 700 }.compactMap(\.machine.latestTerms.seed)
      if Set(seeds).count != seeds.count { wasShared = true }
    }
    #expect(changes.changed == [0, 599] && changes.removed.count == 100 && changes.added.count == 100)
    #expect(turns > 2 && !wasShared)
    rig.clock.advance(by: .seconds(1))
    let all = rig.manager.entries.filter { !$0.isRemoved }.compactMap(\.machine.latestTerms.seed)
    #expect(all.count == 700 && Set(all).count == 700)
  }

  @Test func oneSeedOfTwoIsRefused() {
    let checker = try? Rig([]).manager.checker
    #expect(throws: PreparationFailure.self) {
      _ = try checker?.check([(0, Self.definition("a", seed: "s")), (1, Self.definition("b", seed: "s"))])
    }
  }
}
