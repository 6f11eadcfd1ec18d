// Leases, injection rules, expiry: values without time of their own.

import GatewayTesting
import Testing
@testable import TokenKit

@Suite struct LeaseTests {
  static let start = BootInstant(nanoseconds: 5_000_000_000)

  static func lease(_ token: String = "abc", rules: InjectionRules = .bearer, lifetime: Duration = .seconds(3600))
    -> Lease?
  {
    Lease(
      generation: 7, accessToken: Secret(token), rules: rules, expires: start + lifetime, lifetime: lifetime)
  }

  static func text(_ lease: Lease?) -> String? { lease.map { String(decoding: $0.rendered, as: UTF8.self) } }

  @Test func rendersAllFieldLinesOnce() throws {
    let rules = try InjectionRules(extra: [.init(name: "X-Key", value: Secret("k 1"))])
      .adding([(name: "CompanyCode", value: "SHOP")])
    #expect(
      Self.text(Self.lease(rules: rules)) == "Authorization: Bearer abc\r\nX-Key: k 1\r\nCompanyCode: SHOP\r\n")
    #expect(Self.lease(rules: rules)?.fields.map(\.name) == ["Authorization", "X-Key", "CompanyCode"])
  }

  @Test func anEmptySchemeIsABareToken() throws {
    #expect(
      Self.text(Self.lease(rules: try InjectionRules(header: "access_token", scheme: ""))) == "access_token: abc\r\n")
  }

  @Test func theConfigurationsFieldsWinOverTheProviders() throws {
    let rules = try InjectionRules(extra: [.init(name: "Company_Code", value: Secret("MINE"))])
      .adding([(name: "CompanyCode", value: "A"), (name: "company-code", value: "B")])
    #expect(rules.names == ["Authorization", "Company_Code", "CompanyCode"])
  }

  @Test(arguments: [
    ("Content-Length", "Bearer", "v"), ("Host", "Bearer", "v"), ("Bad Name", "Bearer", "v"), ("", "Bearer", "v"),
    ("Transfer_Encoding", "Bearer", "v"), ("A", "Bea rer", "v"), ("A", "Bearer", "v\r\nX: y"), ("A", "Bearer", ""),
    ("A", "Bearer", " v"), ("A", "Bearer", "é"), ("A", "Bearer", "v\0"),
  ])
  func rulesThatCantStandInAHeaderAreRefused(header: String, scheme: String, value: String) {
    #expect(throws: InjectionRules.Malformed.self) {
      try InjectionRules(header: header, scheme: scheme, extra: [.init(name: "X", value: Secret(value))])
    }
  }

  @Test func twoFieldsOfOneNameAreRefused() {
    #expect(throws: InjectionRules.Malformed.duplicate("authorization")) {
      try InjectionRules(extra: [.init(name: "authorization", value: Secret("v"))])
    }
  }

  @Test(arguments: ["", "a b", "a\r\nX: y", "a\n", "a\0b", "tôken", String(repeating: "a", count: 16_385)])
  func tokensThatCantStandInAHeaderMakeNoLease(token: String) {
    #expect(Self.lease(token) == nil)
  }

  @Test(arguments: [(3.0, 2.7), (50, 45), (100, 95), (3600, 3595), (1, 0.9)])
  func aLeaseIsUnusableATenthOfItsLifeBeforeItsEndAtMostFiveSeconds(lifetime: Double, usable: Double) throws {
    let lease = try #require(Self.lease(lifetime: .seconds(lifetime)))
    #expect(lease.usableUntil == Self.start + .seconds(usable))
    #expect(lease.isUsable(at: lease.usableUntil - .nanoseconds(1)))
    #expect(!lease.isUsable(at: lease.usableUntil))
  }

  @Test func nothingPrintedOfALeaseHoldsItsToken() throws {
    let lease = try #require(Self.lease("supersecret"))
    var dumped = ""
    dump(lease, to: &dumped)
    dump(lease.fields, to: &dumped)
    #expect(!(dumped + "\(lease)" + String(reflecting: lease)).contains("supersecret"))
  }
}

@Suite struct ExpiryTests {
  static let sent = WallTime(milliseconds: 1_750_000_000_500)
  static let received = WallTime(milliseconds: 1_750_000_000_700)

  static func lifetime(_ said: Token.Lifetime, date: WallTime? = nil, last: Duration? = nil) -> Duration {
    Expiry.lifetime(
      said, sent: sent, received: received, date: date, lastKnown: last, policy: RefreshPolicy())
  }

  struct Case: Sendable {
    var said: Token.Lifetime
    var last: Duration?
    var expected: Duration
  }

  static let cases: [Case] = [
    Case(said: .relative(.seconds(3600)), expected: .seconds(3600)),
    Case(said: .relative(.seconds(3)), expected: .seconds(3)),
    Case(said: .relative(.milliseconds(20)), expected: .seconds(1)),
    Case(said: .relative(.zero), expected: .seconds(3600)),
    Case(said: .relative(.seconds(-5)), last: .seconds(90), expected: .seconds(90)),
    Case(said: .relative(.seconds(Int64.max / 4)), expected: .seconds(30 * 86_400)),
    Case(said: .unknown, expected: .seconds(3600)),
    Case(said: .unknown, last: .seconds(120), expected: .seconds(120)),
    Case(said: .absolute(sent + .seconds(60)), expected: .seconds(60)),
    Case(said: .absolute(sent + .seconds(-60)), expected: .seconds(3600)),
    Case(said: .absolute(sent + .seconds(-60)), last: .seconds(77), expected: .seconds(77)),
    Case(said: .absolute(WallTime(milliseconds: .min)), expected: .seconds(3600)),
    Case(said: .absolute(WallTime(milliseconds: .max)), expected: .seconds(30 * 86_400)),
  ]

  @Test(arguments: cases)
  func neverNeverNeverAlreadyExpired(_ row: Case) {
    #expect(Self.lifetime(row.said, last: row.last) == row.expected)
  }

  @Test func aDateByAClockThatAgreesNeedsNoCorrection() {
    // The Date field has whole seconds: 0.5 s behind our clock is no disagreement.
    let date = WallTime(milliseconds: 1_750_000_000_000)
    #expect(Self.lifetime(.absolute(Self.sent + .seconds(30)), date: date) == .seconds(30))
  }

  @Test func aShortLifeByAClockThatMayBeAheadEndsSooner() {
    // The server's clock may be up to 0.499 s ahead of ours: a lease's margin of 0.3 s does not cover that.
    let date = WallTime(milliseconds: 1_750_000_000_000)
    let lifetime = Self.lifetime(.absolute(Self.sent + .seconds(3)), date: date)
    #expect(lifetime < .seconds(3))
    #expect(lifetime - Expiry.margin(of: lifetime) <= .milliseconds(3000 - 499))
  }

  @Test(arguments: [-7200, -60, 60, 7200])
  func aDateByAClockThatIsOffIsCorrectedToTheSooner(skew: Int) {
    let server = Self.sent + .seconds(skew)
    let lifetime = Self.lifetime(
      .absolute(server + .seconds(600)), date: WallTime(milliseconds: server.milliseconds / 1000 * 1000))
    #expect(lifetime <= .seconds(600) && lifetime > .milliseconds(598_500))
  }
}

@Suite struct RefreshPolicyTests {
  @Test func backoffIsFullJitterUnderADoublingCeiling() {
    let policy = RefreshPolicy()
    var random = RandomSource(seed: 3)
    for failures in 1...12 {
      let ceiling = min(Duration.seconds(10), .seconds(1 << (failures - 1)))
      let waits = (0..<400).map { _ in
        policy.backoff(failures: failures, cap: .seconds(10), random: &random)
      }
      #expect(waits.allSatisfy { $0 >= .milliseconds(250) && $0 <= ceiling })
      #expect(waits.contains { $0 > ceiling / 4 * 3 })
      #expect(waits.contains { $0 < ceiling / 2 })
    }
  }

  @Test func theSameSeedGivesTheSameNumbers() {
    var a = RandomSource(seed: 9)
    var b = RandomSource(seed: 9)
    var c = RandomSource(seed: 10)
    let first = (0..<5).map { _ in a.next() }
    #expect(first == (0..<5).map { _ in b.next() })
    #expect(first != (0..<5).map { _ in c.next() })
  }

  @Test func fingerprintsKeepTheirBytesAndTellTheirUsesApart() throws {
    let bytes = (0..<32).map { UInt8($0 * 7) }
    #expect(try #require(Fingerprint(bytes: bytes)).bytes == bytes)
    #expect(Fingerprint(bytes: [1, 2]) == nil)
    let maker = Fingerprinter.forTests
    #expect(maker.identity(["ab", "c"]) != maker.identity(["a", "bc"]))
    #expect(maker.identity(["ab"]) != maker.refreshToken(Secret("ab")))
    #expect(maker.refreshToken(Secret("ab")) == maker.refreshToken(Secret("ab")))
  }
}
