// What a credential's machine asks of the store, as data, and what the store answers.

/// Asks for a row, and whether a seed is known.
public struct StoreQuery: Sendable, Equatable {
  /// The credential.
  public var name: String
  /// Of the seed in the configuration, if it has one.
  public var seed: Fingerprint?

  /// A query.
  public init(name: String, seed: Fingerprint?) {
    self.name = name
    self.seed = seed
  }
}

/// The answer to a query.
public struct StoreRecord: Sendable, Equatable {
  /// The row, if there is one.
  public var row: StoredCredential?
  /// Whether the seed's fingerprint is among all those ever sent or replaced, under whatever credential's name.
  public var seedIsKnown: Bool

  /// An answer.
  public init(row: StoredCredential?, seedIsKnown: Bool) {
    self.row = row
    self.seedIsKnown = seedIsKnown
  }
}

/// Before a grant: take the lock (shared stores), and if the stored generation still is `expected`, write `row`, which
/// carries the mark, and remember `fingerprints`, in one durable transaction. `row` has the expected generation, or a
/// higher one: a seed that takes over, or a pair whose own write had failed.
public struct StoreBegin: Sendable, Equatable {
  /// The whole row to write; `row.mark` is set and `row.refreshToken` is the token that will be sent.
  public var row: StoredCredential
  /// The generation that the stored row must have; 0 also means "no row".
  public var expected: UInt64
  /// Of refresh tokens sent or replaced from now on. Remembered for ever; already known ones are fine.
  public var fingerprints: [Fingerprint]

  /// A beginning.
  public init(row: StoredCredential, expected: UInt64, fingerprints: [Fingerprint]) {
    self.row = row
    self.expected = expected
    self.fingerprints = fingerprints
  }
}

/// The answer to `StoreBegin`.
public enum StoreBeginAnswer: Sendable, Equatable {
  /// Durable; the grant may be sent. `prior` is a mark that the row carried before (of any owner): an attempt whose
  /// answer nobody got. The caller owes one `StoreSave` that succeeds or one `StoreAbandon`.
  case marked(prior: InFlightMark?)
  /// The row is not the one that the caller knows: it has another generation, or (only seen where replicas share it) the
  /// same one with a verdict that `StoreBegin.row`, at that same generation, does not carry. Nothing was written, no lock
  /// is held.
  case superseded(StoredCredential)
  /// Another replica is at it (its lock is held, or its mark is younger than 5 s); nothing was written.
  case busy(retryAfter: Duration)
}

/// After a grant, or a login: if the stored generation is `replacing`, write `row` (which has no mark) and remember
/// `fingerprints`, in one durable transaction; then give up the lock if one is held.
public struct StoreSave: Sendable, Equatable {
  /// The whole row to write.
  public var row: StoredCredential
  /// The generation that the stored row must have; 0 also means "no row".
  public var replacing: UInt64
  /// Of refresh tokens that were sent or are replaced by this row.
  public var fingerprints: [Fingerprint]

  /// A save.
  public init(row: StoredCredential, replacing: UInt64, fingerprints: [Fingerprint]) {
    self.row = row
    self.replacing = replacing
    self.fingerprints = fingerprints
  }
}

/// The answer to `StoreSave`.
public enum StoreSaveAnswer: Sendable, Equatable {
  /// Durable.
  case saved
  /// The stored row has another generation (or is gone: nil); nothing was written. A lock stays held.
  case conflict(StoredCredential?)
}

/// Ends what `StoreBegin` began when no pair came of it; gives up the lock.
public struct StoreAbandon: Sendable, Equatable {
  /// The credential.
  public var name: String
  /// The generation of the row that `StoreBegin` wrote; if the stored one differs, only the lock is given up.
  public var generation: UInt64
  /// Whether the mark stays: the answer never came, so the token may have been used.
  public var keepsMark: Bool
  /// The token endpoint's verdict, to be written into the row.
  public var needsLogin: StoredVerdict?

  /// An end without a pair.
  public init(name: String, generation: UInt64, keepsMark: Bool, needsLogin: StoredVerdict? = nil) {
    self.name = name
    self.generation = generation
    self.keepsMark = keepsMark
    self.needsLogin = needsLogin
  }
}

/// Why the store did not do what it was asked.
public struct StoreError: Error, Sendable, Equatable {
  /// What kind of trouble it is.
  public enum Kind: String, Sendable, CaseIterable {
    /// The store can't be reached or opened.
    case unavailable
    /// Reading or writing failed (EIO, a corrupt file).
    case io
    /// There is no space left.
    case full
    /// Another process holds the store.
    case locked
    /// A value can't be decrypted or a row can't be read as one.
    case unreadable
  }

  /// What kind.
  public var kind: Kind
  /// What happened, for the log: a system message, never a value from a row.
  public var message: String

  /// An error.
  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }
}
