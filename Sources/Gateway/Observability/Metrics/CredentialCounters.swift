// What is counted of the credentials on the control loop, from the events that the log is told as well.
internal import TokenKit
internal import TokenService

/// Confined to the control loop.
final class CredentialCounters {
  /// What came of a refresh. Raw values stand in metrics.
  enum Result: String, CaseIterable {
    case success, transient, unanswered
    case needsLogin = "needs_login"
    case misconfigured
  }

  /// One credential's.
  struct Counts {
    fileprivate(set) var results = [UInt64](repeating: 0, count: Result.allCases.count)
    /// Token calls; nil when there are too many credentials to tell them apart.
    fileprivate(set) var calls: HistogramCounts?
  }

  /// With more credentials than this, token calls are counted for all together.
  static let detailedCredentials = 1000

  /// Those that have had a refresh or a call, by name; with too many to tell them apart, only those with failures.
  private var counts: [String: Counts] = [:]
  /// With too many: the refreshes that brought a token, by name.
  private var successes: [String: UInt32] = [:]
  /// Of all credentials.
  private(set) var calls = HistogramCounts()
  /// Grants that went out, by cause.
  private(set) var causes: [GrantCause: UInt64] = [:]
  private(set) var grantsWithoutMark: UInt64 = 0
  private(set) var storeFailures: [StoreOperation: UInt64] = [:]
  /// The shared store is away; never so for a file.
  private(set) var isStoreAway = false
  private(set) var isDetailed: Bool

  init(credentials: Int) { isDetailed = credentials <= Self.detailedCredentials }

  /// There are so many from now on. What was counted together once isn't told apart later.
  func follow(credentials: Int) { if credentials > Self.detailedCredentials { isDetailed = false } }

  /// The configuration has not had it for long.
  func forget(_ credential: String) {
    counts[credential] = nil
    successes[credential] = nil
  }

  func note(_ event: CredentialEvent, of credential: String) {
    switch event {
    case .grantSent(let cause, _): causes[cause, default: 0] += 1
    case .grantWithoutMark: grantsWithoutMark += 1
    case .grantSucceeded: count(.success, credential)
    case .grantFailed(let kind, _, _):
      let result: Result =
        switch kind {
        case .transient: .transient
        case .unanswered: .unanswered
        case .needsLogin: .needsLogin
        case .misconfigured: .misconfigured
        }
      count(result, credential)
    case .callEnded(let took):
      calls.observe(took.nanoseconds)
      if isDetailed { counts[credential, default: Counts()].calls = observed(took, credential) }
    case .storeFailed(let operation, _): storeFailures[operation, default: 0] += 1
    default: break
    }
  }

  func note(_ notice: StoreNotice) {
    switch notice {
    case .changed: break
    case .lost: isStoreAway = true
    case .recovered: isStoreAway = false
    }
  }

  private func observed(_ took: Duration, _ credential: String) -> HistogramCounts {
    var calls = counts[credential]?.calls ?? HistogramCounts()
    calls.observe(took.nanoseconds)
    return calls
  }

  private func count(_ result: Result, _ credential: String) {
    if !isDetailed, result == .success {
      successes[credential, default: 0] &+= 1
      return
    }
    guard let place = Result.allCases.firstIndex(of: result) else { return }
    counts[credential, default: Counts()].results[place] += 1
  }

  /// nil for one of which nothing has happened yet.
  func counts(of credential: String) -> Counts? {
    guard let succeeded = successes[credential] else { return counts[credential] }
    var counts = counts[credential] ?? Counts()
    counts.results[0] += UInt64(succeeded)
    return counts
  }
}
