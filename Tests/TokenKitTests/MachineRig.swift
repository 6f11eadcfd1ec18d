// Drives one machine in tests: a store model behind it that can fail or be held, a manual clock, and calls that the test
// answers itself.

import GatewayTesting
import Testing
import TokenKit

/// A machine with everything that it asks for, but the token endpoint, answered at once.
final class MachineRig {
  var machine: LeaseStateMachine
  var now = Moment(
    boot: BootInstant(nanoseconds: 1_000_000_000_000), wall: WallTime(milliseconds: 1_750_000_000_000))
  var store: StoreModel
  /// Operations that fail.
  var broken: Set<StoreOperation> = []
  /// Operations whose answers wait for `letGo`.
  var held: Set<StoreOperation> = []
  private var waiting: [LeaseEvent] = []
  /// What reading the secrets again brings, once.
  var newSecrets: LeaseTerms?

  var actions: [LeaseAction] = []
  var pending: [(attempt: UInt64, token: String?)] = []
  var calls: [(token: String?, at: BootInstant)] = []
  var answers: [UInt64: [LeaseAnswer]] = [:]
  var published: [Lease] = []
  var events: [CredentialEvent] = []
  var rereads = 0
  var reads = 0
  var begins = 0
  var saves = 0
  var withdrawals = 0
  var stops = 0
  var pauses = 0
  var announced: UInt64?
  /// Whether turns at the token host come at once.
  var givesTurns = true
  var turns: [(id: UInt64, priority: TurnPriority)] = []
  var endedTurns: [UInt64] = []
  var releases = 0
  private var lastWant: UInt64 = 0

  init(_ terms: LeaseTerms, store: StoreModel? = nil, seed: UInt64 = 1) {
    machine = LeaseStateMachine(terms: terms, randomSeed: seed)
    self.store = store ?? StoreModel(isShared: terms.storeIsShared)
  }

  /// Terms as tests want them.
  static func terms(
    seed: String? = "seed", refresh: Bool = true, kills: Bool = false, shared: Bool = false,
    scope: String = "read", client: String = "app", refreshLifetime: Duration? = nil, owner: String = "me",
    policy: RefreshPolicy = RefreshPolicy()
  ) -> LeaseTerms {
    let traits = ProviderTraits(
      usesRefreshToken: refresh, killsOldTokenAtRotation: kills, refreshTokenLifetime: refreshLifetime,
      accessTokenIdentity: ["https://sso.example/token", client, scope], refreshTokenIdentity: [client],
      tokenURLs: ["https://sso.example/token"])
    return LeaseTerms(
      name: "vinid", providerID: "test", traits: traits, seed: seed.map { Secret($0) }, policy: policy,
      rules: .bearer, storeIsShared: shared, owner: owner, fingerprinter: .forTests)
  }

  /// Loads the row, as the manager does at start.
  @discardableResult
  func start() -> MachineRig {
    send(.loaded(store.read(machine.query)))
    return self
  }

  func send(_ event: LeaseEvent) {
    var queue = [event]
    while !queue.isEmpty {
      let next = queue.removeFirst()
      for action in machine.handle(next, at: now) {
        actions.append(action)
        if case .askTurn(let turn, let priority) = action {
          turns.append((turn, priority))
          if givesTurns { queue.append(.turn(turn)) }
        } else if let (operation, answer) = carryOut(action) {
          if held.contains(operation) { waiting.append(answer) } else { queue.append(answer) }
        }
      }
    }
  }

  /// The store's answers come now.
  func letGo() {
    held = []
    let events = waiting
    waiting = []
    for event in events { send(event) }
  }

  private func carryOut(_ action: LeaseAction) -> (StoreOperation, LeaseEvent)? {
    let error = StoreError(.io, "injected")
    switch action {
    case .begin(let begin, let attempt):
      begins += 1
      if broken.contains(.mark) { return (.mark, .began(attempt: attempt, .failure(error))) }
      let answer = store.begin(begin, owner: machineOwner, now: now.wall)
      return (.mark, .began(attempt: attempt, .success(answer)))
    case .save(let save, let write):
      saves += 1
      if broken.contains(.save) { return (.save, .wrote(write: write, .failure(error))) }
      return (.save, .wrote(write: write, .success(store.save(save, owner: machineOwner))))
    case .read(let query, let read):
      reads += 1
      if broken.contains(.read) { return (.read, .reread(read: read, .failure(error))) }
      return (.read, .reread(read: read, .success(store.read(query))))
    case .askTurn: break
    case .endTurn(let turn): endedTurns.append(turn)
    case .abandon(let abandon):
      if !broken.contains(.abandon) { store.abandon(abandon, owner: machineOwner) }
    case .call(let attempt, let token):
      pending.append((attempt, token?.reveal()))
      calls.append((token?.reveal(), now.boot))
    case .announceHold(let attempt): announced = attempt
    case .releaseHold: releases += 1
    case .rereadSecrets:
      rereads += 1
      if let terms = newSecrets {
        newSecrets = nil
        return (.load, .termsChanged(terms))
      }
    case .publish(let lease): published.append(lease)
    case .withdraw: withdrawals += 1
    case .answer(let id, let answer): answers[id, default: []].append(answer)
    case .note(let event): events.append(event)
    case .paused: pauses += 1
    case .stopped: stops += 1
    }
    return nil
  }

  var machineOwner = "me"

  /// Lets time pass; the machine is woken when it wants to be. A machine that wants to be woken again and again without
  /// time passing is a failure.
  func advance(by duration: Duration) {
    let end = now.boot + duration
    var spins = 0
    while let wake = machine.nextWakeUp, wake <= end {
      if wake > now.boot {
        move(to: wake)
        spins = 0
      } else {
        spins += 1
        if spins > 20 {
          Issue.record("the machine wants to be woken in a loop")
          break
        }
      }
      send(.wakeUp)
    }
    move(to: end)
  }

  private var leftOver: Int64 = 0

  private func move(to instant: BootInstant) {
    guard instant > now.boot else { return }
    let nanoseconds = (instant - now.boot).nanoseconds + leftOver
    leftOver = nanoseconds % 1_000_000
    now = Moment(boot: instant, wall: now.wall + .nanoseconds(nanoseconds - leftOver))
  }

  /// Answers the call in flight with a pair.
  func reply(
    _ access: String = "access", refresh: String? = "next", lifetime: Token.Lifetime = .relative(.seconds(3600)),
    refreshLifetime: Duration? = nil, date: WallTime? = nil, took: Duration = .zero
  ) {
    guard let call = take() else { return }
    let sent = now
    if took > .zero { move(to: now.boot + took) }
    send(
      .answered(
        attempt: call,
        .success(
          GrantReply(
            token: Token(
              accessToken: Secret(access), refreshToken: refresh.map { Secret($0) }, lifetime: lifetime,
              refreshTokenLifetime: refreshLifetime),
            date: date, sent: sent, received: now))))
  }

  /// Answers the call in flight with an error.
  func fail(_ kind: GrantError.Kind, _ code: String = "code", retryAfter: Duration? = nil) {
    guard let call = take() else { return }
    send(.answered(attempt: call, .failure(GrantError(kind, code, retryAfter: retryAfter))))
  }

  private func take() -> UInt64? {
    guard pending.count == 1 else {
      Issue.record("there are \(pending.count) calls in flight, not 1")
      return nil
    }
    return pending.removeFirst().attempt
  }

  /// Somebody asks.
  @discardableResult
  func want(above: UInt64? = nil, _ cause: LeaseWant.Cause = .missing) -> UInt64 {
    lastWant += 1
    send(.want(id: lastWant, LeaseWant(above: above, cause: cause)))
    return lastWant
  }

  /// The one answer of a want; nil while there is none.
  func answer(_ id: UInt64) -> LeaseAnswer? {
    #expect((answers[id]?.count ?? 0) <= 1, "a want has more than one answer")
    return answers[id]?.first
  }

  func generation(_ id: UInt64) -> UInt64? { try? answer(id)?.get().generation }

  func failure(_ id: UInt64) -> LeaseFailure? {
    if case .failure(let failure) = answer(id) { failure } else { nil }
  }

  var status: CredentialStatus { machine.status(at: now) }
  var alarms: [CredentialAlarm] { status.alarms }
  var isServing: Bool { status.isServing }

  /// A process that starts on the same store.
  func restarted(_ terms: LeaseTerms, seed: UInt64 = 2) -> MachineRig {
    let next = MachineRig(terms, store: store, seed: seed)
    next.now = now
    return next
  }
}
