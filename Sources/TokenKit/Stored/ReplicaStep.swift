// What replicas ask of the store that they share, statement by statement. `ReplicaSession` decides on the steps; the
// PostgreSQL store carries them out, and models do in tests and in the simulator.

/// An operation of one credential. One connection carries one out at a time.
public enum ReplicaRequest: Sendable, Equatable {
  /// Before a grant.
  case begin(StoreBegin)
  /// After one that brought a pair, or a login.
  case save(StoreSave)
  /// After one that brought none.
  case abandon(StoreAbandon)
  /// First thing on a new connection: take the locks again of grants that are under way. One that another replica has
  /// taken meanwhile stays lost; the call goes on all the same.
  case relock
}

/// What an operation came to.
public enum ReplicaAnswer: Sendable, Equatable {
  /// Of `begin`.
  case begun(StoreBeginAnswer)
  /// Of `save`.
  case saved(StoreSaveAnswer)
  /// Of `abandon`.
  case abandoned
  /// Of `relock`.
  case relocked
}

/// One thing to be done on the connection, or the operation's end.
public enum ReplicaStep: Sendable, Equatable {
  /// Try to take the credential's lock, which belongs to the connection; never wait for it. Answer `locked`.
  case lock(String)
  /// Give it up. Answer `unlocked`.
  case unlock(String)
  /// Read the row. Answer `row`.
  case read(String)
  /// Write the row in one durable statement. Answer `written`.
  case write(ReplicaWrite)
  /// In one durable statement: if the row still has that generation, take away the mark if `owner` set it (unless it is
  /// kept) and write the verdict. Answer `finished`, whether or not there was such a row.
  case finish(StoreAbandon, owner: String?)
  /// The lock could not be given up: close the connection, which gives up all of them. Answer `disconnected`.
  case disconnect
  /// The operation is over; the session is ready for another one.
  case answer(Result<ReplicaAnswer, StoreError>)
}

/// A compare-and-set of a whole row.
public struct ReplicaWrite: Sendable, Equatable {
  /// The row.
  public var row: StoredCredential
  /// Remembered for ever in the same transaction.
  public var fingerprints: [Fingerprint]
  /// The generation that the stored row must have.
  public var expected: UInt64
  /// Whether there may be no row at all.
  public var mayInsert: Bool
  /// Whether the stored row may carry a verdict.
  public var mayReplaceVerdict: Bool

  /// A compare-and-set.
  public init(
    row: StoredCredential, fingerprints: [Fingerprint], expected: UInt64, mayInsert: Bool, mayReplaceVerdict: Bool
  ) {
    self.row = row
    self.fingerprints = fingerprints
    self.expected = expected
    self.mayInsert = mayInsert
    self.mayReplaceVerdict = mayReplaceVerdict
  }
}

/// What came of a step.
public enum ReplicaResult: Sendable, Equatable {
  /// Of `lock`: whether it is ours now.
  case locked(Bool)
  /// Of `unlock`.
  case unlocked
  /// Of `read`. The mark's age is counted by the store's own clock, so that those of replicas may differ; nil without a
  /// mark.
  case row(StoredCredential?, markAge: Duration?)
  /// Of `write`: whether the stored row was the expected one.
  case written(Bool)
  /// Of `finish`.
  case finished
  /// Of `disconnect`.
  case disconnected
  /// Of any step but `disconnect`. The error may hide a success. If the connection is gone, call
  /// `ReplicaSession.disconnected` instead, and start the operation again on the next connection or give it up.
  case failed(StoreError)
}
