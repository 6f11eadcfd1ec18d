// How each credential's last refresh went, from the events that the log is told as well.
internal import TokenKit

/// One refresh that is over, or what stands for one.
struct LastRefresh {
  /// Raw values stand in the status page's snapshots, besides those of `GrantError.Kind`.
  enum Outcome: String {
    case success, restored, adopted, login
  }

  var time: WallTime
  /// `Outcome`, or `GrantError.Kind`.
  var outcome: String
  var isSuccess: Bool
  /// The token endpoint's code.
  var code = ""
  /// nil when no call was made, or it isn't known.
  var took: Duration?
  var cause: GrantCause?
}

/// Confined to the control loop.
final class RefreshHistory {
  private struct Entry {
    var last: LastRefresh?
    /// Of the grant under way.
    var cause: GrantCause?
    var took: Duration?
  }

  private var entries: [String: Entry] = [:]

  func note(_ event: CredentialEvent, of credential: String, at time: WallTime) {
    switch event {
    case .grantSent(let cause, _): entries[credential, default: Entry()].cause = cause
    case .callEnded(let took): entries[credential, default: Entry()].took = took
    case .grantSucceeded: end(credential, time, LastRefresh.Outcome.success.rawValue, isSuccess: true)
    case .grantFailed(let kind, let code, _): end(credential, time, kind.rawValue, isSuccess: false, code: code)
    case .leaseRestored: replace(credential, time, .restored)
    case .pairAdopted: replace(credential, time, .adopted)
    case .loggedIn: replace(credential, time, .login)
    default: break
    }
  }

  private func end(_ credential: String, _ time: WallTime, _ outcome: String, isSuccess: Bool, code: String = "") {
    let entry = entries[credential]
    entries[credential] = Entry(
      last: LastRefresh(
        time: time, outcome: outcome, isSuccess: isSuccess, code: code, took: entry?.took, cause: entry?.cause))
  }

  private func replace(_ credential: String, _ time: WallTime, _ outcome: LastRefresh.Outcome) {
    entries[credential, default: Entry()].last = LastRefresh(time: time, outcome: outcome.rawValue, isSuccess: true)
  }

  /// The configuration has not had it for long.
  func forget(_ credential: String) { entries[credential] = nil }

  /// nil for one of which nothing has happened yet.
  func last(of credential: String) -> LastRefresh? { entries[credential]?.last }
}
