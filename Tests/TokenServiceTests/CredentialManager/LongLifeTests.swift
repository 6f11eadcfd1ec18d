// A credential that nobody calls, for a year: the real manager, a server whose refresh tokens end, a manual clock.

import GatewayTesting
import Testing
import TokenKit

@testable import TokenService

/// A token API that says, or doesn't say, how long its refresh tokens live.
private struct LivesProvider: TokenProvider {
  static let id = "lives"
  static let settings = SettingsObject([])
  /// What is known of it without a reply (vinid's 720 h).
  var known: Duration?

  init(settings: SettingsReader) {}
  init(known: Duration?) { self.known = known }

  var traits: ProviderTraits {
    ProviderTraits(
      usesRefreshToken: true, refreshTokenLifetime: known, accessTokenIdentity: ["url"],
      refreshTokenIdentity: ["app"], tokenURLs: ["https://sso.example/token"])
  }

  func grantRequest(_ context: GrantContext) throws(GrantError) -> GrantRequest {
    GrantRequest(
      url: "https://sso.example/token", headers: [], body: context.refreshToken ?? Secret(""),
      spendsRefreshToken: true)
  }

  func token(from response: GrantResponse, _ context: GrantContext) throws(GrantError) -> Token {
    if response.status == 400 { throw GrantError(.needsLogin, "invalid_grant") }
    guard response.status == 200 else { throw GrantError(.transient, "http_\(response.status)") }
    let parts = String(decoding: response.body, as: UTF8.self).split(separator: " ")
    guard parts.count == 4, let lifetime = Int(parts[2]), let refresh = Int(parts[3]) else {
      throw GrantError(.unanswered, "malformed")
    }
    return Token(
      accessToken: Secret(String(parts[0])), refreshToken: Secret(String(parts[1])),
      lifetime: .relative(.seconds(lifetime)), refreshTokenLifetime: known == nil ? .seconds(refresh) : nil)
  }
}

/// One credential that nobody calls.
private final class UncalledCredential {
  let clock = ManualClock()
  let transport = ScriptedTransport()
  let manager: CredentialManager
  var server: ExpiringServerModel
  var isServerDown = false
  /// In the order in which they came.
  var alarms: [(at: BootInstant, event: CredentialEvent)] = []
  private(set) var lastSuccess: BootInstant
  private let log = Log()

  private final class Log { weak var owner: UncalledCredential? }

  init(lifetime: Int, refreshLifetime: Duration, isTold: Bool) throws {
    let server = ExpiringServerModel(
      seed: "seed", lifetime: .seconds(lifetime), refreshTokenLifetime: refreshLifetime, now: clock.now.boot)
    self.server = server
    lastSuccess = clock.now.boot
    manager = try CredentialManager(
      definitions: [
        CredentialDefinition(
          name: "uncalled",
          material: CredentialMaterial(
            provider: LivesProvider(known: isTold ? nil : refreshLifetime), seed: Secret("seed")))
      ],
      ports: ManagerPorts(
        transport: transport, store: MemoryStore(SharedStore(), owner: "me", clock: clock), timers: clock,
        clock: clock, publisher: RecordingPublisher()),
      owner: "me", randomSeed: 11, fingerprinter: .forTests,
      onEvent: { [log] _, event in log.owner?.noted(event) })
    log.owner = self
    transport.onSend = { [weak self] call in self?.answer(call) }
    manager.start { _ in }
    clock.advance(by: .seconds(1))
  }

  private func noted(_ event: CredentialEvent) {
    switch event {
    case .alarmRaised, .alarmCleared: alarms.append((clock.now.boot, event))
    default: break
    }
  }

  private func answer(_ call: ScriptedTransport.Call) {
    clock.schedule(after: .milliseconds(80)) { [weak self] in
      guard let self else { return }
      if isServerDown {
        call.completion(.failure(GrantTransportFailure(code: "connect_refused", mayHaveBeenSent: false)))
      } else if let pair = server.refresh(call.body, at: clock.now.boot) {
        lastSuccess = clock.now.boot
        let seconds = server.refreshTokenLifetime.components.seconds
        let body = "\(pair.access) \(pair.refresh) \(server.lifetime.components.seconds) \(seconds)"
        call.completion(.success(GrantResponse(status: 200, body: Array(body.utf8))))
      } else {
        call.completion(.success(GrantResponse(status: 400, body: [])))
      }
    }
  }

  var status: CredentialStatus { manager.status[0] }
}

/// A server's lifetimes.
struct Lifetimes: Sendable, CustomTestStringConvertible {
  var name: String
  var access: Int
  var refresh: Duration
  /// Whether replies say how long refresh tokens live.
  var isTold: Bool
  /// How often it is used at least, in seconds, by the rules of the design.
  var pause: Double

  var testDescription: String { name }

  static let all = [
    Lifetimes(name: "vinid: 1 h and 720 h", access: 3600, refresh: .seconds(720 * 3600), isTold: false, pause: 2736),
    Lifetimes(
      name: "an access token of 60 days, 720 h", access: 60 * 86_400, refresh: .seconds(720 * 3600), isTold: false,
      pause: 0.8 * 0.95 * 30 * 86_400),
    Lifetimes(name: "Keycloak: 1 min and 30 min", access: 60, refresh: .seconds(1800), isTold: true, pause: 45.6),
    Lifetimes(name: "Keycloak: 10 h and 30 min", access: 36_000, refresh: .seconds(1800), isTold: true, pause: 855),
  ]
}

@Suite struct LongLifeTests {
  @Test("A year without a caller: no refresh token ends unused", arguments: Lifetimes.all)
  func aYear(_ lifetimes: Lifetimes) throws {
    let credential = try UncalledCredential(
      lifetime: lifetimes.access, refreshLifetime: lifetimes.refresh, isTold: lifetimes.isTold)
    let year = Duration.seconds(365 * 86_400)
    credential.clock.advance(by: year)
    let server = credential.server
    #expect(server.refusals == 0 && credential.status.isServing)
    let left = Double(server.leastLeft.nanoseconds) / Double(lifetimes.refresh.nanoseconds)
    #expect(left >= 0.19, "a refresh token had only \(left) of its life left when it was used")
    #expect(Double(server.calls) <= 365 * 86_400 / lifetimes.pause + 2, "\(server.calls) calls")
    #expect(Double(server.calls) >= 365 * 86_400 / (lifetimes.pause / 0.95 + 2) - 2, "\(server.calls) calls")
    #expect(credential.status.lastSuccess.map { credential.clock.now.wall - $0 <= lifetimes.refresh * 0.81 } == true)
    #expect(credential.alarms.isEmpty)
  }

  @Test(
    "A server that is down: an alarm with a fifth of the refresh token's life left, and none after it",
    arguments: Lifetimes.all)
  func alarm(_ lifetimes: Lifetimes) throws {
    let credential = try UncalledCredential(
      lifetime: lifetimes.access, refreshLifetime: lifetimes.refresh, isTold: lifetimes.isTold)
    credential.clock.advance(by: lifetimes.refresh * 3)
    credential.isServerDown = true
    let last = credential.lastSuccess
    let isLast = last + lifetimes.refresh * 0.8
    credential.clock.advance(by: (isLast - credential.clock.now.boot) - .seconds(2))
    #expect(credential.lastSuccess == last)
    #expect(!credential.status.alarms.contains(.refreshTokenEnding))
    credential.clock.advance(by: .seconds(4))
    #expect(credential.status.alarms.contains(.refreshTokenEnding))
    #expect(credential.alarms.map(\.event) == [.alarmRaised(.refreshTokenEnding)])
    credential.clock.advance(by: lifetimes.refresh * 0.05)
    #expect(credential.status.alarms.contains(.refreshTokenEnding))
    credential.isServerDown = false
    credential.clock.advance(by: .seconds(310))
    #expect(credential.server.refusals == 0 && credential.lastSuccess > last)
    #expect(credential.status.alarms.isEmpty && credential.status.isServing)
    #expect(credential.alarms.map(\.event) == [.alarmRaised(.refreshTokenEnding), .alarmCleared(.refreshTokenEnding)])
  }
}
