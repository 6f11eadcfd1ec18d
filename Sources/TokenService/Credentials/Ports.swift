// What the credential manager needs from the world: token calls, the store, clocks, timers, the data loops. Carried out by
// curl, SQLite and the event loop; replaced by models in tests and in the simulator. All of it is confined to the
// control loop: methods are called there, and completions are called there, exactly once each.

package import TokenKit

/// How a grant is sent, besides the request itself.
package struct GrantTransportOptions: Sendable, Hashable {
  /// PEM file of the authorities to trust instead of the system's.
  package var caFile: String?
  /// Proxy URL; nil: none (the environment's proxies are never used).
  package var proxy: String?
  /// Whether an `http://` token URL is allowed (loopback ones always are).
  package var allowsPlaintext: Bool
  /// Total time for the call, connecting included.
  package var timeout: Duration

  /// Options, with the defaults of gateway.json.
  package init(
    caFile: String? = nil, proxy: String? = nil, allowsPlaintext: Bool = false, timeout: Duration = .seconds(5)
  ) {
    self.caFile = caFile
    self.proxy = proxy
    self.allowsPlaintext = allowsPlaintext
    self.timeout = timeout
  }
}

/// Why a call brought no complete answer.
package struct GrantTransportFailure: Error, Sendable, Equatable {
  /// A short token for logs and metrics: `connect_refused`, `timeout`, `tls_verify`, `reset`, `too_large`, `dns`.
  package var code: String
  /// Whether any byte of the request may have left: then the server may have rotated.
  package var mayHaveBeenSent: Bool
  /// Whether the call can't work as it is configured (URL, proxy, CA file, a field with CR or LF): nothing was sent.
  package var isMisconfigured: Bool

  /// A failure.
  package init(code: String, mayHaveBeenSent: Bool, isMisconfigured: Bool = false) {
    self.code = code
    self.mayHaveBeenSent = mayHaveBeenSent
    self.isMisconfigured = isMisconfigured
  }
}

/// Sends grants. A request is sent at most once per call: nothing below this line repeats it (a request that spends a
/// refresh token gets a fresh connection that is not used again).
package protocol GrantTransport: AnyObject {
  /// Sends `request`. `completion` is called exactly once, on the control loop, with the complete answer (whatever its
  /// status) or a failure; at the latest when the time-out is over. Never cancelled.
  func send(
    _ request: GrantRequest, options: GrantTransportOptions,
    completion: @escaping (Result<GrantResponse, GrantTransportFailure>) -> Void)
}

/// A token call that is over, for whoever traces. Holds no secret, no token and nothing of an answer's body but a known
/// error code.
package struct GrantCallReport: Sendable, Equatable {
  /// Its name.
  package var credential: String
  /// The token endpoint, as it was called.
  package var url: String
  package var sent: BootInstant
  package var ended: BootInstant
  /// Of the answer; nil: none came.
  package var status: Int?
  /// Why it brought no token; nil: it did.
  package var error: String?

  package init(
    credential: String, url: String, sent: BootInstant, ended: BootInstant, status: Int?, error: String?
  ) {
    self.credential = credential
    self.url = url
    self.sent = sent
    self.ended = ended
    self.status = status
    self.error = error
  }
}

/// The store as the control loop sees it. Operations of one credential are carried out in the order in which they were
/// asked for. A success means durable. An error may hide a success (a commit whose answer got lost): the manager repeats
/// the operation, which must then be harmless or end in a conflict.
package protocol CredentialStoreClient: AnyObject {
  /// Whether other processes use the same rows (PostgreSQL); then no grant that spends a token is sent without `begin`.
  var isShared: Bool { get }

  /// Reads many rows at start. An answer has as many records as there were queries, in their order.
  func load(_ queries: [StoreQuery], completion: @escaping (Result<[StoreRecord], StoreError>) -> Void)

  /// Reads one row.
  func read(_ query: StoreQuery, completion: @escaping (Result<StoreRecord, StoreError>) -> Void)

  /// Marks a grant as in flight (see `StoreBegin`). After an error no lock is held.
  func begin(_ begin: StoreBegin, completion: @escaping (Result<StoreBeginAnswer, StoreError>) -> Void)

  /// Writes a pair by compare-and-set (see `StoreSave`). A lock taken by `begin` is kept until a save succeeds, so that
  /// a failed one can be repeated.
  func save(_ save: StoreSave, completion: @escaping (Result<StoreSaveAnswer, StoreError>) -> Void)

  /// Ends a grant that brought no pair (see `StoreAbandon`). The lock is given up even if the row can't be written.
  func abandon(_ abandon: StoreAbandon, completion: @escaping (Result<Void, StoreError>) -> Void)
}

/// Timers of the control loop.
package protocol ManagerTimers: AnyObject {
  /// Calls `action` once on the control loop, at or soon after `deadline` (at once, but not before this call has
  /// returned, if it is past).
  func schedule(at deadline: BootInstant, _ action: @escaping () -> Void) -> ManagerTimer
  /// Forgets a timer; one that has fired or was cancelled is ignored.
  func cancel(_ timer: ManagerTimer)
}

/// Names a scheduled timer.
package struct ManagerTimer: Sendable, Hashable {
  /// Unique among the timers of one `ManagerTimers`.
  package var id: UInt64

  /// A name for a timer.
  package init(id: UInt64) { self.id = id }
}

/// Both clocks.
package protocol ManagerClock: AnyObject {
  /// Now.
  var now: Moment { get }
}

/// The data loops as the manager sees them. Credentials are numbered by their place in the manager's definitions.
package protocol LeasePublisher: AnyObject {
  /// A new lease, for all loops that hold one of this credential. Answers to wants come besides, after it.
  func publish(_ lease: Lease, credential: Int)
  /// The lease that the loops hold may not be used any more and has no successor yet.
  func withdraw(credential: Int)
  /// A grant that kills the current access token is about to be sent: requests whose body can't be kept should wait
  /// for `release`. `acknowledged` is called once all loops know; the manager waits at most 50 ms for it.
  func hold(credential: Int, acknowledged: @escaping () -> Void)
  /// That grant is over; a new lease, if it brought one, has been published before.
  func release(credential: Int)
}
