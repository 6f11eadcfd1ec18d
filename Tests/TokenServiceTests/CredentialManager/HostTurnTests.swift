// Credentials of one token host, driven by the real manager: how many call at a time and in a minute, who goes first.

import GatewayTesting
import Testing
import TokenKit

@testable import TokenService

/// Credentials of one host over doubles; calls take 100 ms and bring a token of an hour.
private final class HostRig {
  let clock = ManualClock()
  let transport = ScriptedTransport()
  let shared: SharedStore
  let publisher = RecordingPublisher()
  let manager: CredentialManager
  var calls: [(token: String, at: BootInstant)] = []
  var underWay = 0
  var mostUnderWay = 0
  /// By token: the status instead of a pair, and its Retry-After.
  var refusals: [String: (status: Int, wait: Duration)] = [:]
  private var pairs = 0

  init(
    _ count: Int, rates: [Int: Int] = [:], parallel: Int = 16, kills: Bool = false, shared: SharedStore = SharedStore()
  ) throws {
    self.shared = shared
    manager = try CredentialManager(
      definitions: (0..<count).map { index in
        CredentialDefinition(
          name: "c\(index)",
          material: CredentialMaterial(provider: PlainProvider(kills: kills), seed: Secret("seed-\(index)")),
          maxPerMinute: rates[index])
      },
      ports: ManagerPorts(
        transport: transport, store: MemoryStore(shared, owner: "me", clock: clock), timers: clock, clock: clock,
        publisher: publisher),
      owner: "me", randomSeed: 3, tokenCallsPerHost: parallel, fingerprinter: .forTests, onEvent: { _, _ in })
    transport.onSend = { [weak self] call in self?.answer(call) }
  }

  func start() {
    manager.start { _ in }
    clock.advance(by: .zero)
  }

  private func answer(_ call: ScriptedTransport.Call) {
    calls.append((call.body, clock.now.boot))
    underWay += 1
    mostUnderWay = max(mostUnderWay, underWay)
    clock.schedule(after: .milliseconds(100)) { [weak self] in
      guard let self else { return }
      underWay -= 1
      if let refusal = refusals[call.body] {
        call.completion(
          .success(GrantResponse(status: refusal.status, body: [], retryAfter: refusal.wait)))
        return
      }
      pairs += 1
      call.completion(
        .success(GrantResponse(status: 200, body: Array("access-\(pairs) \(call.body)+ 3600".utf8))))
    }
  }

  /// How many credentials serve.
  var serving: Int { manager.status.filter { $0.isServing }.count }

  /// The most calls within any 60 s.
  var mostInAMinute: Int {
    calls.indices.map { first in
      calls.count { $0.at >= calls[first].at && $0.at - calls[first].at < .seconds(60) }
    }.max() ?? 0
  }
}

@Suite struct HostTurnTests {
  @Test func soManyTokenCallsAtATime() throws {
    let rig = try HostRig(100, parallel: 7)
    rig.start()
    #expect(rig.underWay == 7)
    rig.clock.advance(by: .seconds(5))
    #expect(rig.calls.count == 100 && rig.mostUnderWay == 7)
    #expect(rig.serving == rig.manager.status.count)
  }

  @Test("The smallest max_per_minute of a host's credentials counts for all of them", arguments: [1, 2, 5])
  func perMinute(_ rate: Int) throws {
    let rig = try HostRig(12, rates: [3: rate, 4: rate * 10])
    rig.start()
    rig.clock.advance(by: .seconds(60 * 14))
    #expect(rig.calls.count >= 12 && rig.mostInAMinute == rate)
    #expect(rig.serving == rig.manager.status.count)
  }

  @Test func whatWaitsForItsTurnHasTouchedNothing() throws {
    let rig = try HostRig(5, rates: [0: 1], kills: true)
    rig.start()
    rig.clock.advance(by: .seconds(30))
    #expect(rig.calls.count == 1)
    #expect(rig.shared.model.rows.count == 1, "a mark only for the one that has its turn")
    #expect(rig.publisher.holds.isEmpty)
    let waiting = rig.manager.status.filter { $0.state == .rateLimited }
    #expect(waiting.count == 4 && waiting.allSatisfy { $0.failure?.text == "rate_limited" })
    #expect(waiting.allSatisfy { ($0.nextAttempt.map { $0 > rig.clock.now.wall } ?? false) })
  }

  @Test func whoIsAskedForGoesFirst() throws {
    let rig = try HostRig(5, rates: [0: 1])
    rig.start()
    rig.clock.advance(by: .seconds(55))
    var answer: LeaseAnswer?
    rig.manager.want(credential: 4, LeaseWant(above: nil, cause: .missing)) { answer = $0 }
    #expect(answer == nil, "its turn is near enough to wait for")
    rig.clock.advance(by: .seconds(6))
    #expect(rig.calls.map(\.token) == ["seed-0", "seed-4"])
    #expect((try? answer?.get())??.generation == 1)
  }

  @Test func callersAreToldWhenTheTurnIsFar() throws {
    let rig = try HostRig(2, rates: [0: 1])
    rig.start()
    rig.clock.advance(by: .seconds(5))
    var answer: LeaseAnswer?
    rig.manager.want(credential: 1, LeaseWant(above: nil, cause: .missing)) { answer = $0 }
    guard case .failure(let failure)? = answer else {
      Issue.record("no answer")
      return
    }
    #expect(failure.reason == .rateLimited)
    #expect(failure.retryAfter(at: rig.clock.now.boot).map { (54...57).contains($0) } == true)
  }

  @Test func aRestartDoesNotForgetTheMinute() throws {
    let first = try HostRig(2, rates: [0: 1])
    first.start()
    first.clock.advance(by: .seconds(10))
    #expect(first.calls.count == 1)
    let second = try HostRig(2, rates: [0: 1], shared: first.shared)
    second.clock.advance(by: .seconds(10))
    second.start()
    second.clock.advance(by: .seconds(45))
    #expect(second.calls.isEmpty, "the process before has called within the minute")
    second.clock.advance(by: .seconds(10))
    #expect(second.calls.map(\.token) == ["seed-1"])
  }

  @Test("503 with Retry-After calms the host, 429 when a second credential is told it", arguments: [503, 429])
  func calm(_ status: Int) throws {
    let rig = try HostRig(4, parallel: 1)
    for index in 0..<4 { rig.refusals["seed-\(index)"] = (status, .seconds(30)) }
    rig.start()
    rig.clock.advance(by: .seconds(29))
    #expect(rig.calls.count == (status == 503 ? 1 : 2))
    rig.refusals = [:]
    rig.clock.advance(by: .seconds(3))
    #expect(rig.calls.count >= 4)
    rig.clock.advance(by: .seconds(30))
    #expect(rig.serving == rig.manager.status.count)
  }

  @Test func oneClientThatAsksTooMuchDoesNotHoldTheOthers() throws {
    let rig = try HostRig(10)
    rig.refusals["seed-3"] = (429, .seconds(3600))
    rig.start()
    rig.clock.advance(by: .seconds(2))
    #expect(rig.serving == 9)
    #expect(rig.manager.status[3].failure?.text == "rate_limited")
    rig.clock.advance(by: .seconds(3590))
    #expect(rig.calls.count { $0.token == "seed-3" } == 1, "Retry-After wins over the back-off")
  }
}
