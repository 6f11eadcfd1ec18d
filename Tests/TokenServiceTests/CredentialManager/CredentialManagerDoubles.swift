// The manager's ports as tests play them: a manual clock, a store that can be slow or broken, a transport that the test
// answers, loops that record.

package import GatewayTesting
package import TokenKit

@testable package import TokenService

extension ManualClock: ManagerClock, ManagerTimers {
  package func schedule(at deadline: BootInstant, _ action: @escaping () -> Void) -> ManagerTimer {
    ManagerTimer(id: schedule(deadline, action))
  }
  package func cancel(_ timer: ManagerTimer) { cancelTimer(timer.id) }
}

/// A token API whose request body is the refresh token, and whose answers are `access refresh seconds`.
struct PlainProvider: TokenProvider {
  static let id = "plain"
  var traits: ProviderTraits
  var requestError: GrantError?

  static let settings = SettingsObject([])
  init(settings: SettingsReader) { self.init() }

  init(refresh: Bool = true, kills: Bool = false, fields: [(name: String, value: String)] = []) {
    traits = ProviderTraits(
      usesRefreshToken: refresh, killsOldTokenAtRotation: kills, accessTokenIdentity: ["url"],
      refreshTokenIdentity: ["app"], requestFields: fields, tokenURLs: ["https://sso.example/token"])
  }

  func grantRequest(_ context: GrantContext) throws(GrantError) -> GrantRequest {
    if let requestError { throw requestError }
    return GrantRequest(
      url: traits.tokenURLs[0], headers: [], body: context.refreshToken ?? Secret(""),
      spendsRefreshToken: traits.usesRefreshToken)
  }

  func token(from response: GrantResponse, _ context: GrantContext) throws(GrantError) -> Token {
    switch response.status {
    case 200: break
    case 400: throw GrantError(.needsLogin, "invalid_grant")
    case 401: throw GrantError(.misconfigured, "invalid_client")
    default: throw GrantError(.transient, "http_\(response.status)")
    }
    let parts = String(decoding: response.body, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
    guard parts.count == 3, let seconds = Int(parts[2]) else { throw GrantError(.unanswered, "malformed") }
    return Token(
      accessToken: Secret(String(parts[0])), refreshToken: parts[1].isEmpty ? nil : Secret(String(parts[1])),
      lifetime: .relative(.seconds(seconds)))
  }
}

/// Keeps calls until the test answers them.
final class ScriptedTransport: GrantTransport {
  struct Call {
    var body: String
    var options: GrantTransportOptions
    var completion: (Result<GrantResponse, GrantTransportFailure>) -> Void
  }
  var calls: [Call] = []
  var bodies: [String] = []
  /// Called instead of keeping the call.
  var onSend: ((Call) -> Void)?

  func send(
    _ request: GrantRequest, options: GrantTransportOptions,
    completion: @escaping (Result<GrantResponse, GrantTransportFailure>) -> Void
  ) {
    let call = Call(body: request.body.reveal(), options: options, completion: completion)
    bodies.append(call.body)
    if let onSend { onSend(call) } else { calls.append(call) }
  }

  func reply(_ status: Int = 200, _ body: String = "", retryAfter: Duration? = nil) {
    guard !calls.isEmpty else { return }
    calls.removeFirst().completion(
      .success(GrantResponse(status: status, body: Array(body.utf8), retryAfter: retryAfter)))
  }

  func fail(_ code: String, sent: Bool) {
    guard !calls.isEmpty else { return }
    calls.removeFirst().completion(.failure(GrantTransportFailure(code: code, mayHaveBeenSent: sent)))
  }
}

/// What all processes of a test share.
final class SharedStore {
  var model: StoreModel
  /// Told of every pair that became durable, with the refresh token that was there before.
  var onSave: ((_ new: StoredCredential, _ old: Secret?) -> Void)?

  init(_ model: StoreModel = StoreModel()) { self.model = model }
}

/// One process's way to the shared store: in order, after a while, and with faults.
final class MemoryStore: CredentialStoreClient {
  enum Fault {
    case none
    /// Nothing happened.
    case failed
    /// It happened, and its answer got lost.
    case answerLost
  }

  let shared: SharedStore
  let owner: String
  let clock: ManualClock
  var latency: () -> Duration = { .zero }
  var fault: (StoreOperation) -> Fault = { _ in .none }
  /// False after a crash: nothing is carried out any more.
  var isAlive = true
  private var free = BootInstant(nanoseconds: 0)

  init(_ shared: SharedStore, owner: String, clock: ManualClock) {
    self.shared = shared
    self.owner = owner
    self.clock = clock
  }

  var isShared: Bool { shared.model.isShared }

  private func perform<Answer>(
    _ operation: StoreOperation, unlocking name: String? = nil,
    completion: @escaping (Result<Answer, StoreError>) -> Void, _ work: @escaping () -> Answer
  ) {
    free = max(free, clock.now.boot) + latency()
    _ = clock.schedule(free) { [weak self] in
      guard let self, isAlive else { return }
      let fault = fault(operation)
      let answer = fault == .failed ? nil : work()
      if fault == .none, let answer {
        completion(.success(answer))
        return
      }
      if let name { shared.model.unlock(name, owner: owner) }
      completion(.failure(StoreError(.io, "injected")))
    }
  }

  func load(_ queries: [StoreQuery], completion: @escaping (Result<[StoreRecord], StoreError>) -> Void) {
    perform(.load, completion: completion) { [shared] in queries.map(shared.model.read) }
  }
  func read(_ query: StoreQuery, completion: @escaping (Result<StoreRecord, StoreError>) -> Void) {
    perform(.read, completion: completion) { [shared] in shared.model.read(query) }
  }
  func begin(_ begin: StoreBegin, completion: @escaping (Result<StoreBeginAnswer, StoreError>) -> Void) {
    perform(.mark, unlocking: begin.row.name, completion: completion) { [shared, owner, clock] in
      shared.model.begin(begin, owner: owner, now: clock.now.wall)
    }
  }
  func save(_ save: StoreSave, completion: @escaping (Result<StoreSaveAnswer, StoreError>) -> Void) {
    perform(.save, completion: completion) { [shared, owner] in
      let old = shared.model.rows[save.row.name]?.refreshToken
      let answer = shared.model.save(save, owner: owner)
      if answer == .saved { shared.onSave?(save.row, old) }
      return answer
    }
  }
  func abandon(_ abandon: StoreAbandon, completion: @escaping (Result<Void, StoreError>) -> Void) {
    perform(.abandon, unlocking: abandon.name, completion: completion) { [shared, owner] in
      shared.model.abandon(abandon, owner: owner)
    }
  }
}

/// Data loops that write down what they are told.
final class RecordingPublisher: LeasePublisher {
  var published: [(credential: Int, lease: Lease)] = []
  var withdrawals = 0
  var holds: [() -> Void] = []
  var releases = 0
  var acknowledgesAtOnce = true

  func publish(_ lease: Lease, credential: Int) { published.append((credential, lease)) }
  func withdraw(credential: Int) { withdrawals += 1 }
  func hold(credential: Int, acknowledged: @escaping () -> Void) {
    holds.append(acknowledged)
    if acknowledgesAtOnce { acknowledged() }
  }
  func release(credential: Int) { releases += 1 }
}
