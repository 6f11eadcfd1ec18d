// Turns at the token hosts: which credential belongs to which host, and who may call next.

internal import TokenKit

extension CredentialManager {
  /// A token host as its credentials share it.
  final class Host {
    var queue: TokenHostQueue
    var timer: (name: ManagerTimer, at: BootInstant)?
    var isGivingTurns = false
    /// `max_per_minute` of its credentials: the smallest counts for all of them.
    private var rates: [Int: Int] = [:]

    init(parallel: Int) { queue = TokenHostQueue(TokenHostLimits(parallel: parallel)) }

    func add(_ rate: Int?) {
      guard let rate else { return }
      rates[rate, default: 0] += 1
      queue.limits.perMinute = rates.keys.min()
    }

    func remove(_ rate: Int?) {
      guard let rate, let count = rates[rate] else { return }
      rates[rate] = count > 1 ? count - 1 : nil
      queue.limits.perMinute = rates.keys.min()
    }
  }

  /// The hosts of all credentials, by host and port.
  struct Hosts {
    private var parallel: Int
    private var byAuthority: [String: Host] = [:]
    /// Many credentials have one URL.
    private var byURL: [String: Host] = [:]

    init(parallel: Int) { self.parallel = parallel }

    /// So many calls at the same time from now on, for each host.
    mutating func follow(parallel: Int) {
      if parallel == self.parallel { return }
      self.parallel = parallel
      for host in byAuthority.values { host.queue.limits.parallel = parallel }
    }

    mutating func host(of traits: ProviderTraits) -> Host {
      let url = traits.tokenURLs.first ?? ""
      if let known = byURL[url] { return known }
      var authority = url
      if case .success(let parsed) = HTTPURL.parse(url) { authority = "\(parsed.host):\(parsed.port)" }
      let host = byAuthority[authority] ?? Host(parallel: parallel)
      byAuthority[authority] = host
      byURL[url] = host
      return host
    }
  }

  func askTurn(_ turn: UInt64, _ priority: TurnPriority, for entry: Entry) {
    // It wants it sooner than it said before, and it has just come.
    if entry.turn == turn, entry.hasTurn { return }
    let host = entry.turnHost ?? entry.host
    entry.turnHost = host
    entry.turn = turn
    host.queue.ask(entry.index, priority)
    giveTurns(at: host)
    // Still waiting: for a call to end, which is soon, or for the time that the host's rules say.
    guard entry.turn == turn, !entry.hasTurn, let until = host.queue.estimate(at: ports.clock.now.boot) else { return }
    feed(.turnDelayed(turn, until: until), to: entry)
  }

  func endTurn(_ turn: UInt64, for entry: Entry) {
    guard entry.turn == turn, let host = entry.turnHost else { return }
    entry.turn = nil
    entry.turnHost = nil
    entry.hasTurn = false
    host.queue.end(entry.index, at: ports.clock.now.boot)
    giveTurns(at: host)
  }

  /// The server has answered: what that says about the whole host.
  func note(_ response: GrantResponse, isToken: Bool, of entry: Entry) {
    guard let host = entry.turnHost else { return }
    if isToken { return host.queue.served() }
    guard response.status == 429 || response.status == 503, let wait = response.retryAfter else { return }
    host.queue.refused(
      entry.index, wait: wait, isUnavailable: response.status == 503, at: ports.clock.now.boot)
  }

  /// Lets everybody begin who may, and comes back when time alone makes room.
  func giveTurns(at host: Host) {
    // A turn may be over before it was begun: the loop that gave it goes on, instead of one within it.
    if host.isGivingTurns { return }
    host.isGivingTurns = true
    defer { host.isGivingTurns = false }
    let now = ports.clock.now.boot
    while let next = host.queue.next(at: now) {
      let entry = entries[next]
      guard let turn = entry.turn else {
        host.queue.end(next, at: now)
        continue
      }
      entry.hasTurn = true
      feed(.turn(turn), to: entry)
    }
    let wakeUp = host.queue.wakeUp(at: now)
    if wakeUp == host.timer?.at { return }
    if let timer = host.timer { ports.timers.cancel(timer.name) }
    host.timer = wakeUp.map { at in
      let name = ports.timers.schedule(at: at) { [weak self, weak host] in
        guard let self, let host else { return }
        host.timer = nil
        giveTurns(at: host)
      }
      return (name, at)
    }
  }

  /// What the process before this one has called within the last minute counts too.
  func rememberCalls(_ records: [StoreRecord]) {
    let now = ports.clock.now
    for (entry, record) in zip(entries, records) where entry.host.queue.limits.perMinute != nil {
      guard let row = record.row else { continue }
      for time in [row.accessToken == nil ? nil : row.obtainedAt, row.mark?.time] {
        guard let time, time <= now.wall, now.wall - time < TokenHostQueue.minute else { continue }
        entry.host.queue.remember(now.boot - (now.wall - time))
      }
    }
  }
}
