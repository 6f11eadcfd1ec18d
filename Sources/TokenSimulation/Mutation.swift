// Broken variants, each at a port or in a setting, so that the production code stays as it is: they show that the
// checkers see what they are there for.

/// What is broken in a world.
package enum Mutation: String, CaseIterable, Sendable {
  /// The transport sends a request again by itself after its answer has come.
  case transportRepeats = "transport-repeats"
  /// A call without an answer is reported as the server's verdict.
  case timeoutIsVerdict = "timeout-is-verdict"
  /// Marks never reach the store.
  case marksDropped = "marks-dropped"
  /// Locks are given to everybody, and foreign marks count for nothing.
  case lockIgnored = "lock-ignored"
  /// Data loops use a lease beyond its end.
  case leaseOutlives = "lease-outlives"
  /// Leases reach the data loops under another credential's number.
  case leaseCrosses = "lease-crosses"
  /// The manager never hears of routes that reject fresh leases.
  case penaltyForgotten = "penalty-forgotten"
  /// There is hardly a wait between attempts.
  case backoffMissing = "backoff-missing"
  /// Some timers never fire.
  case timersLost = "timers-lost"
  /// Some answers of the store never come.
  case storeSilent = "store-silent"

  /// The invariant that it breaks.
  package var breaks: Invariant {
    switch self {
    case .transportRepeats: .spentTokenIsNeverSent
    case .timeoutIsVerdict, .marksDropped: .lossOnlyWhereUnavoidable
    case .lockIgnored: .oneGrantInFlight
    case .leaseOutlives, .leaseCrosses: .onlyGoodTokensLeave
    case .penaltyForgotten, .backoffMissing: .callsAreBounded
    case .timersLost, .storeSilent: .servesAgain
    }
  }
}

/// What must hold after every step of every world.
package enum Invariant: String, CaseIterable, Sendable {
  /// A refresh token whose successor is in the store, or in the sending process's memory, is never sent.
  case spentTokenIsNeverSent = "spent-token-is-never-sent"
  /// A credential is lost only where the server rotated, the reply never reached a living process, and no grace window
  /// was left; then the gateway says so and asks no more.
  case lossOnlyWhereUnavoidable = "loss-only-where-unavoidable"
  /// At most one grant in flight per credential, over all replicas that reach the store continuously.
  case oneGrantInFlight = "one-grant-in-flight"
  /// No request leaves with an expired token, another credential's, or none.
  case onlyGoodTokensLeave = "only-good-tokens-leave"
  /// Token calls are bounded by lifetimes, the back-off schedule and the 401 rules.
  case callsAreBounded = "calls-are-bounded"
  /// Once faults stop, every credential that is not lost serves again within its back-off.
  case servesAgain = "serves-again"
}
