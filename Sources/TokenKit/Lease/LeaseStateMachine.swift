// The life of one credential's token, without I/O: events in, actions out. This file has its states and its entry; the
// extensions beside it have the transitions. Driven by the credential manager on the control loop.

/// One credential. Feed it `LeaseEvent`s in the order in which they happen, carry out the actions in the order in which
/// they are returned, and send `wakeUp` at `nextWakeUp`. It reads no clock and draws random numbers from its own source:
/// the same events give the same life.
public struct LeaseStateMachine: Sendable {
  /// What it is doing. At most one grant exists at any time: in `beginning`, `blocked`, `announcing`, `calling`,
  /// `rereading(.verdict)`, `saving` and `unsaved`, no other is started whatever asks. What is rarely there is kept
  /// indirectly: credentials spend their lives in `resting`, and there may be very many.
  enum State {
    /// Its row is being read → resting, backingOff (a mark was found), needsLogin.
    case loading
    /// Nothing is in flight → queued, saving (a store that fell behind).
    case resting
    /// A grant waits for its turn at the token host, and has touched nothing yet → beginning, calling (grants that spend
    /// nothing), resting (another replica was faster). `until`: the host's limits let nothing begin before.
    indirect case queued(Attempt, until: BootInstant?)
    /// The store was asked for the mark → announcing, calling, blocked, rereading, resting (another replica was faster).
    case beginning(Attempt)
    /// The mark couldn't be written, or another replica is at it → queued.
    indirect case blocked(Attempt, retryAt: BootInstant, byReplica: Bool)
    /// The data loops are told that the access token will die → calling.
    indirect case announcing(Attempt, until: BootInstant)
    /// The grant is out → saving, backingOff, rereading, misconfigured.
    case calling(Attempt)
    /// The row is read once more before something follows from it → needsLogin, resting, beginning.
    indirect case rereading(Reread)
    /// The new pair is being written; published at `publishBy` at the latest → resting, unsaved.
    indirect case saving(Pair)
    /// The new pair is published and its write failed → saving. No grant until it is stored.
    indirect case unsaved(Pair, retryAt: BootInstant)
    /// The last attempt failed → resting when `until` has come.
    indirect case backingOff(Wait)
    /// A person must act → rereading (admin), resting (new seed, newer row), saving (login).
    indirect case needsLogin(LeaseFailure, recheckAt: BootInstant)
    /// The configuration is refused → resting when `until` has come.
    indirect case misconfigured(LeaseFailure, until: BootInstant)
    /// After shutdown; nothing happens any more.
    case stopped
  }

  /// One grant in the making.
  struct Attempt {
    var id: UInt64
    var cause: GrantCause
    /// The mark could not be written, and the lease is over.
    var skipsMark = false
  }

  /// Why the row is read.
  enum Reread {
    /// The token endpoint says that the refresh token is dead: has another replica a newer one?
    case verdict(Attempt, GrantError)
    /// A grant follows that was not to be made yet, or with new secrets: is there something newer first?
    case fresh(GrantCause)
    /// The store was ahead of us, and a seed is at hand.
    case superseded
    /// Another pair stands where ours was to be written: has ours been used meanwhile?
    case conflict(Pair)
  }

  /// A new pair on its way into the store.
  struct Pair {
    var write: UInt64
    var replacing: UInt64
    var fingerprints: [Fingerprint]
    var publishBy: BootInstant
    var isPublished = false
    /// The store is the only place besides memory that will have this refresh token: no grant before it has it.
    var mustBeStored: Bool
    /// A login's pair is of a newer family than any row.
    var isLogin = false
    var failures = 0
  }

  /// A back-off.
  struct Wait {
    var until: BootInstant
    var failure: LeaseFailure
    /// Callers wait for the next attempt, which is close, instead of sharing the failure.
    var isPatient = false
    /// Whether callers may bring it down to what is right while they ask.
    var mayShorten = true
  }

  /// Somebody who asked and has not been answered.
  struct Waiter {
    var id: UInt64
    var want: LeaseWant
  }

  /// A route that keeps answering 401 to fresh leases.
  struct RoutePenalty {
    var strikes: Int
    var until: BootInstant
  }

  var terms: LeaseTerms
  var random: RandomSource
  var state = State.loading
  /// The newest pair known: in the store, or on its way there. Its refresh token is the one to send next.
  var row: StoredCredential?
  /// The generation that the store's row has, as far as known: what compare-and-set expects.
  var storedGeneration: UInt64 = 0
  /// Fingerprints that the store has yet to learn.
  var unrecordedFingerprints: [Fingerprint] = []
  /// The seed that this process has sent: it wins once, even if the store never learnt of it.
  var sentSeed: Fingerprint? {
    get { seedMemory(isSeedSent, formerSentSeed) }
    set { (isSeedSent, formerSentSeed) = remembered(newValue) }
  }
  /// The seed of which the log has been told that it isn't used.
  var ignoredSeed: Fingerprint? {
    get { seedMemory(isSeedIgnored, formerIgnoredSeed) }
    set { (isSeedIgnored, formerIgnoredSeed) = remembered(newValue) }
  }
  /// Of both: whether it is the present seed, else which one it was.
  private var isSeedSent = false
  private var isSeedIgnored = false
  private var formerSentSeed = Boxed<Fingerprint>.none
  private var formerIgnoredSeed = Boxed<Fingerprint>.none
  /// What data loops use.
  var lease: Lease?
  /// When the lease is refreshed ahead.
  @CompactInstant var refreshDue: BootInstant?
  /// The lease of a pair that is not published yet, and when it will be due.
  var pendingLease: (lease: Lease, due: BootInstant)?
  /// Whether anybody used the lease or asked for it: grants without a refresh token rest otherwise.
  var isUsed = false
  /// The generation that some upstream has accepted.
  @CompactNumber var acceptedGeneration: UInt64?
  /// Whether the refresh token was sent and its answer never came.
  var isUnanswered = false
  @CompactCount var unansweredAttempts: Int = 0
  @CompactCount var failures: Int = 0
  var waiters: [Waiter] = []
  var routes: [UInt32: RoutePenalty] = [:]
  @CompactInstant var lastForced: BootInstant?
  /// Routes whose 401 was passed through while the refresh that it forced went on: no replay tells of the new lease.
  var unreplayed: Set<UInt32> = []
  /// The lease that this refresh brought.
  @CompactNumber var unreplayedGeneration: UInt64?
  @CompactInstant var lastSent: BootInstant?
  /// Why the credential is in need of a person, until it has a pair again.
  var trouble: LeaseFailure? {
    get { boxedTrouble.value }
    set { boxedTrouble = Boxed(newValue) }
  }
  private var boxedTrouble = Boxed<LeaseFailure>.none
  /// When changed secrets last brought a retry forward.
  @CompactInstant var lastHurried: BootInstant?
  @CompactCount var attemptIDs: UInt64 = 0
  /// The turn at the token host that was asked for and has not been given back.
  @CompactNumber var turn: UInt64?
  @CompactCount var turns: UInt64 = 0
  /// Whether that turn was asked for as an urgent one, and whether it should be.
  var isTurnUrgent = false
  var isTurnWanted = false
  @CompactCount var attempts: UInt64 = 0
  @CompactCount var failedAttempts: UInt64 = 0
  @CompactWallTime var lastSuccess: WallTime?
  var isHolding = false
  @CompactCount var markFailures: Int = 0
  /// When a pair that need not be stored before the next grant is written again.
  @CompactInstant var rewriteAt: BootInstant?
  @CompactCount var reads: UInt64 = 0
  @CompactNumber var pendingRead: UInt64?
  @CompactInstant var readAgainAt: BootInstant?
  /// The terms have changed: the next row read is looked at afresh.
  var mustReconsider = false
  var newTerms: LeaseTerms? {
    get { boxedNewTerms.value }
    set { boxedNewTerms = Boxed(newValue) }
  }
  private var boxedNewTerms = Boxed<LeaseTerms>.none
  var login: GrantReply? {
    get { boxedLogin.value }
    set { boxedLogin = Boxed(newValue) }
  }
  private var boxedLogin = Boxed<GrantReply>.none
  var isStopping = false
  /// Another process is to have the store: nothing is started.
  var isPaused = false
  /// That nothing is under way any more was said.
  var isPauseTold = false
  var alarms: Set<CredentialAlarm> = []
  @CompactInstant var alarmCheckAt: BootInstant?
  var actions: [LeaseAction] = []
  @CompactCount var writes: UInt64 = 0

  /// A machine that waits for its row (`loaded`). `randomSeed` makes its jitter.
  public init(terms: LeaseTerms, randomSeed: UInt64) {
    self.terms = terms
    random = RandomSource(seed: randomSeed)
  }

  var policy: RefreshPolicy { terms.policy }

  private func seedMemory(_ isPresent: Bool, _ former: Boxed<Fingerprint>) -> Fingerprint? {
    isPresent ? terms.seedFingerprint : former.value
  }

  private func remembered(_ seed: Fingerprint?) -> (isPresent: Bool, former: Boxed<Fingerprint>) {
    guard let seed else { return (false, .none) }
    return seed == terms.seedFingerprint ? (true, .none) : (false, .some(seed))
  }

  /// What is remembered of seeds stays what it was.
  mutating func replaceTerms(_ new: LeaseTerms) {
    let (sent, ignored) = (sentSeed, ignoredSeed)
    terms = new
    sentSeed = sent
    ignoredSeed = ignored
  }

  /// The credential's name.
  public var name: String { terms.name }

  /// The refresh token in the configuration, as the newest terms have it.
  public var seed: Secret? { newTerms.map(\.seed) ?? terms.seed }

  /// What the store should be asked at start; the answer comes back as `loaded`.
  public var query: StoreQuery { terms.query }

  /// Whether a grant or its write is under way.
  public var isBusy: Bool {
    switch state {
    case .loading, .resting, .queued, .backingOff, .needsLogin, .misconfigured, .stopped: false
    case .beginning, .blocked, .announcing, .calling, .rereading, .saving, .unsaved: true
    }
  }

  /// Whether a new refresh token is in memory only.
  public var hasUnsavedPair: Bool {
    switch state {
    case .saving, .unsaved, .rereading(.conflict): row?.refreshToken != nil
    default: false
    }
  }

  /// Takes an event and says what to do. Events that answer something that is no longer asked change nothing.
  public mutating func handle(_ event: LeaseEvent, at now: Moment) -> [LeaseAction] {
    switch event {
    case .inherited(let pair): inherit(pair)
    case .loaded(let record):
      loaded(record, now)
      keepInherited(now)
    case .want(let id, let want): wanted(id, want, now)
    case .wakeUp: wokeUp(now)
    case .accepted(let generation):
      if lease?.generation == generation {
        acceptedGeneration = generation
        isUsed = true
      }
    case .replayRejected(let route): replayRejected(route, now)
    case .routeRecovered(let route): routes[route] = nil
    case .turn(let id): turnCame(id, now)
    case .turnDelayed(let id, let until): turnDelayed(id, until: until)
    case .began(let attempt, let result): began(attempt, result, now)
    case .holdAcknowledged(let id):
      if case .announcing(let attempt, _) = state, attempt.id == id { call(attempt, now) }
    case .answered(let attempt, let result): answered(attempt, result, now)
    case .wrote(let write, let result): wrote(write, result, now)
    case .reread(let read, let result): reread(read, result, now)
    case .storeChanged(let generation):
      if generation != storedGeneration, !isStopping, !isPaused { read() }
    case .termsChanged(let terms): newTerms = terms
    case .loggedIn(let reply): login = reply
    case .pause: isPaused = true
    case .resume(let wasAway): resume(wasAway: wasAway)
    case .shutdown: isStopping = true
    }
    settle(now)
    keepTurn(now)
    updateAlarms(now)
    defer { actions = [] }
    return actions
  }

  /// What follows from the state as it is now, whichever event led to it.
  private mutating func settle(_ now: Moment) {
    if !isPaused {
      applyNewTerms(now)
      applyLogin(now)
    }
    if isStopping { stopWhereverPossible(now) }
    answerSatisfied(now)
    if isPaused { pauseWhereverPossible(now) }
    switch state {
    case .stopped: failAll(LeaseFailure(.shuttingDown))
    case _ where isPaused: break
    case .resting: considerGrant(now)
    case .queued(_, let until): failWherePatienceEnds(until, now)
    case .backingOff(let wait) where now.boot >= wait.until:
      // Whoever asks before the timer has noticed waits for the new attempt instead of sharing the old failure.
      state = .resting
      considerGrant(now)
    case .backingOff(let wait):
      if !wait.isPatient { failAll(wait.failure, exceptAdmin: true) }
      grantForAdmin(now)
    case .needsLogin(let failure, _), .misconfigured(let failure, _):
      failAll(failure, exceptAdmin: true)
      grantForAdmin(now)
    case .blocked(var attempt, let retryAt, byReplica: false):
      if mayGoUnmarked(now) {
        attempt.skipsMark = true
        queue(attempt)
      } else {
        failAll(LeaseFailure(.storeUnavailable, until: retryAt))
      }
    case .unsaved(_, let retryAt): failAll(LeaseFailure(.storeUnavailable, until: retryAt))
    case .loading, .beginning, .blocked, .announcing, .calling, .rereading, .saving: break
    }
  }

  /// The time has come for something: every deadline is looked at.
  private mutating func wokeUp(_ now: Moment) {
    if isPaused, !isBusy { return }
    if let at = readAgainAt, now.boot >= at, !isPaused { read() }
    switch state {
    case .resting:
      if let at = rewriteAt, now.boot >= at { rewrite(now) }
    case .blocked(let attempt, let retryAt, let byReplica):
      if now.boot >= retryAt, byReplica || !mayGoUnmarked(now) { queue(attempt) }
    case .announcing(let attempt, let until):
      if now.boot >= until { call(attempt, now) }
    case .saving(var pair):
      if !pair.isPublished, now.boot >= pair.publishBy {
        pair.isPublished = true
        state = .saving(pair)
        publishPair(now)
      }
    case .rereading(.conflict(var pair)):
      if !pair.isPublished, now.boot >= pair.publishBy {
        pair.isPublished = true
        state = .rereading(.conflict(pair))
        publishPair(now)
      }
    case .unsaved(let pair, let retryAt):
      if now.boot >= retryAt { save(pair) }
    case .backingOff(let wait):
      if now.boot >= wait.until { state = .resting }
    case .misconfigured(_, let until):
      if now.boot >= until { rereadThenGrant(.missing) }
    case .needsLogin(let failure, let recheckAt):
      if now.boot >= recheckAt {
        state = .needsLogin(failure, recheckAt: now.boot + policy.misconfiguredRetry)
        actions.append(.rereadSecrets)
        read()
      }
    case .loading, .queued, .beginning, .calling, .rereading, .stopped: break
    }
  }
}
