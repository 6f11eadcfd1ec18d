// What the log is told about a credential. No case can hold a token, a secret, or text from a token endpoint's body.

/// Something worth a log line, a metric, or both.
public enum CredentialEvent: Sendable, Equatable {
  /// A good lease was found in the store at start.
  case leaseRestored(generation: UInt64, remaining: Duration)
  /// The store has a newer pair than this process: another replica's, or a login's.
  case pairAdopted(generation: UInt64)
  /// The configuration's refresh token is new and will be exchanged.
  case seedTaken
  /// The configuration's refresh token was sent or replaced before; its successor in the store is used.
  case seedIgnored
  /// The store says that a grant was in flight when a process ended.
  case interruptedGrantFound(owner: String)
  /// A grant goes out.
  case grantSent(cause: GrantCause, attempt: UInt64)
  /// A token call is over, with an answer or without.
  case callEnded(took: Duration)
  /// The mark could not be written and the lease is over: the grant goes out without one.
  case grantWithoutMark
  /// A grant brought a pair.
  case grantSucceeded(generation: UInt64, lifetime: Duration, took: Duration, rotated: Bool)
  /// A grant brought none; `retryIn` says when the next one goes out by itself.
  case grantFailed(kind: GrantError.Kind, code: String, retryIn: Duration?)
  /// Nobody is asked any more until a person acts.
  case loginNeeded(reason: NeedsLoginReason, code: String)
  /// A login's pair was taken.
  case loggedIn(generation: UInt64)
  /// The store did not do something.
  case storeFailed(operation: StoreOperation, StoreError)
  /// The pair is durable after all.
  case pairStored(generation: UInt64)
  /// The store had another generation than expected when a pair was to be written.
  case storeConflict(stored: UInt64, ours: UInt64)
  /// A route keeps answering 401 to fresh leases.
  case routeBackedOff(route: UInt32, wait: Duration)
  /// File secrets were read again and differ.
  case secretsChanged
  /// File secrets can't be read.
  case secretsUnreadable(problem: String)
  /// An alarm shows from now on.
  case alarmRaised(CredentialAlarm)
  /// An alarm is over.
  case alarmCleared(CredentialAlarm)
  /// The drain time is over and the pair still isn't stored.
  case pairLost(generation: UInt64)
}

/// What was asked of the store. Raw values stand in logs and metrics.
public enum StoreOperation: String, Sendable, CaseIterable {
  /// Reading all rows at start.
  case load
  /// Reading one row.
  case read
  /// Marking a grant.
  case mark
  /// Writing a pair.
  case save
  /// Ending a grant without a pair.
  case abandon
}

/// What somebody should look at. Raw values stand in logs, metrics and health.
public enum CredentialAlarm: String, Sendable, CaseIterable {
  /// A pair is in memory only.
  case pairNotStored = "pair_not_stored"
  /// Grants can't be marked.
  case markNotWritten = "mark_not_written"
  /// A person must log in.
  case needsLogin = "needs_login"
  /// The token endpoint refuses the configuration.
  case misconfigured
  /// A fifth or less is left of the refresh token's life.
  case refreshTokenEnding = "refresh_token_ending"
}
