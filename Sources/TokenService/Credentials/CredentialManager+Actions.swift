// How the manager drives a machine: feeds it events one after the other, carries its actions out, and keeps its timer.

internal import TokenKit

extension CredentialManager {
  /// Gives an event to a machine. Actions may lead to further events at once: those wait until all actions of this one
  /// have been carried out.
  func feed(_ event: LeaseEvent, to entry: Entry) {
    entry.events.append(event)
    guard !entry.isHandling else { return }
    entry.isHandling = true
    while !entry.events.isEmpty {
      let next = entry.events.removeFirst()
      for action in entry.machine.handle(next, at: ports.clock.now) { carryOut(action, for: entry) }
    }
    // Its storage goes too: there may be very many credentials, and few of them have events at a time.
    entry.events = []
    entry.isHandling = false
    keepTimer(of: entry)
  }

  private func keepTimer(of entry: Entry) {
    let rests = entry.isRemoved && entry.isStopped
    let deadline = rests ? nil : entry.machine.nextWakeUp
    // One that was replaced has no place among the deadlines.
    guard entries[entry.index] === entry, deadline != deadlines.deadline(of: entry.index) else { return }
    deadlines.set(entry.index, deadline)
    armTimer()
  }

  private func armTimer() {
    if isWaking || deadlines.first == timer?.at { return }
    if let timer { ports.timers.cancel(timer.name) }
    timer = deadlines.first.map { deadline in
      let name = ports.timers.schedule(at: deadline) { [weak self] in self?.wakeDue() }
      return (name, deadline)
    }
  }

  /// Wakes those whose time has come. Each once, and not too many at a time: the loop has more to do.
  private func wakeDue() {
    timer = nil
    let now = ports.clock.now.boot
    var due: [Int] = []
    while due.count < Self.wokenPerTurn, let index = deadlines.popDue(at: now) { due.append(index) }
    isWaking = true
    for index in due { feed(.wakeUp, to: entries[index]) }
    isWaking = false
    armTimer()
  }

  private static var wokenPerTurn: Int { 256 }

  private func carryOut(_ action: LeaseAction, for entry: Entry) {
    switch action {
    case .askTurn(let turn, let priority): askTurn(turn, priority, for: entry)
    case .endTurn(let turn): endTurn(turn, for: entry)
    case .begin(let begin, let attempt):
      ports.store.begin(begin) { [weak self, weak entry] result in
        guard let self, let entry else { return }
        feed(.began(attempt: attempt, result), to: entry)
      }
    case .announceHold(let attempt):
      ports.publisher.hold(credential: entry.index) { [weak self, weak entry] in
        guard let self, let entry else { return }
        feed(.holdAcknowledged(attempt: attempt), to: entry)
      }
    case .releaseHold: ports.publisher.release(credential: entry.index)
    case .call(let attempt, let refreshToken): call(attempt, refreshToken, for: entry)
    case .save(let save, let write):
      ports.store.save(save) { [weak self, weak entry] result in
        guard let self, let entry else { return }
        feed(.wrote(write: write, result), to: entry)
      }
    case .abandon(let abandon):
      ports.store.abandon(abandon) { [weak self, weak entry] result in
        guard let self, let entry, case .failure(let error) = result else { return }
        note(.storeFailed(operation: .abandon, error), of: entry)
      }
    case .read(let query, let read):
      ports.store.read(query) { [weak self, weak entry] result in
        guard let self, let entry else { return }
        feed(.reread(read: read, result), to: entry)
      }
    case .rereadSecrets: rereadSecrets(of: entry)
    case .publish(let lease):
      ports.publisher.publish(lease, credential: entry.index)
      let outcome = LoginOutcome.published(generation: lease.generation, isStored: !entry.machine.hasUnsavedPair)
      for completion in take(&entry.logins.taken) { completion(outcome) }
    case .withdraw: ports.publisher.withdraw(credential: entry.index)
    case .answer(let id, let answer):
      guard let completion = entry.answers.removeValue(forKey: id) else { return }
      if case .failure = answer, entries[entry.index] !== entry {
        // Its name has come back: the new one may have what was asked for.
        want(credential: entry.index, LeaseWant(above: nil, cause: .missing), answer: completion)
      } else {
        completion(answer)
      }
    case .note(let event):
      if case .loggedIn = event { entry.logins.taken += take(&entry.logins.pending) }
      note(event, of: entry)
    case .paused: notePaused()
    case .stopped:
      markStopped(entry)
      for completion in take(&entry.logins.taken) + take(&entry.logins.pending) { completion(.stopped) }
      if entry.isRemoved { revive(entry) }
      finishIfStopped()
    }
  }

  private func take(_ completions: inout [(LoginOutcome) -> Void]) -> [(LoginOutcome) -> Void] {
    defer { completions = [] }
    return completions
  }

  /// Makes a grant request and sends it. Whatever happens, exactly one `answered` follows.
  private func call(_ attempt: UInt64, _ refreshToken: Secret?, for entry: Entry) {
    let provider = entry.definition.material.provider
    entry.turnHost?.queue.sent(entry.index)
    let sent = ports.clock.now
    let context = GrantContext(refreshToken: refreshToken, now: sent.wall)
    let request: GrantRequest
    do {
      request = try provider.grantRequest(context)
    } catch {
      feed(.answered(attempt: attempt, .failure(error)), to: entry)
      return
    }
    let url = request.url
    ports.transport.send(request, options: entry.definition.settings.transport) { [weak self, weak entry] result in
      guard let self, let entry else { return }
      let ended = ports.clock.now.boot
      note(.callEnded(took: ended - sent.boot), of: entry)
      let outcome: Result<GrantReply, GrantError>
      switch result {
      case .success(let response):
        outcome = Self.read(response, provider, context, sent: sent, received: ports.clock.now)
        if case .success = outcome {
          note(response, isToken: true, of: entry)
        } else {
          note(response, isToken: false, of: entry)
        }
      case .failure(let failure):
        let unsent: GrantError.Kind = failure.isMisconfigured ? .misconfigured : .transient
        outcome = .failure(GrantError(failure.mayHaveBeenSent ? .unanswered : unsent, failure.code))
      }
      ports.callEnded(
        GrantCallReport(
          credential: entry.machine.name, url: url, sent: sent.boot, ended: ended, status: try? result.get().status,
          error: outcome.failure?.code))
      feed(.answered(attempt: attempt, outcome), to: entry)
    }
  }

  /// What a complete answer means. An error of the server itself (5xx) says nothing about the refresh token, however it is
  /// worded: the server may have rotated.
  static func read(
    _ response: GrantResponse, _ provider: any TokenProvider, _ context: GrantContext, sent: Moment, received: Moment
  ) -> Result<GrantReply, GrantError> {
    do {
      let token = try provider.token(from: response, context)
      return .success(GrantReply(token: token, date: response.date, sent: sent, received: received))
    } catch {
      var error = error
      if response.status >= 500, error.kind == .transient || error.kind == .misconfigured { error.kind = .unanswered }
      error.retryAfter = error.retryAfter ?? response.retryAfter
      return .failure(error)
    }
  }

  private func rereadSecrets(of entry: Entry) {
    switch entry.definition.reread() {
    case .unchanged: break
    case .failed(let problem): note(.secretsUnreadable(problem: problem), of: entry)
    case .changed(let material):
      if Self.isSame(material, entry.definition.material) { return }
      var changed = entry.definition
      changed.material = material
      do {
        let terms = try newTerms(of: changed, for: entry)
        entry.definition = changed
        note(.secretsChanged, of: entry)
        feed(.termsChanged(terms), to: entry)
      } catch {
        let problem =
          switch error {
          case .injection: "the header fields it gives can't be sent"
          case .sharedSeed(let names): "its refresh token is also that of \(names.first ?? "another credential")"
          }
        note(.secretsUnreadable(problem: problem), of: entry)
      }
    }
  }

  /// Whether two materials make the same grants: what was read again need not differ.
  static func isSame(_ a: CredentialMaterial, _ b: CredentialMaterial) -> Bool {
    guard a.seed == b.seed else { return false }
    let (old, new) = (a.provider.traits, b.provider.traits)
    guard old.accessTokenIdentity == new.accessTokenIdentity, old.refreshTokenIdentity == new.refreshTokenIdentity,
      old.requestFields.elementsEqual(new.requestFields, by: ==)
    else { return false }
    let context = GrantContext(refreshToken: Secret("refresh-token"), now: WallTime(milliseconds: 0))
    func request(_ provider: any TokenProvider) -> Result<GrantRequest, GrantError> {
      do { return .success(try provider.grantRequest(context)) } catch { return .failure(error) }
    }
    switch (request(a.provider), request(b.provider)) {
    case (.success(let x), .success(let y)):
      return x.url == y.url && x.body == y.body && x.headers.elementsEqual(y.headers, by: ==)
    case (.failure(let x), .failure(let y)): return x == y
    default: return false
    }
  }
}

extension Result {
  /// Why it is none.
  fileprivate var failure: Failure? { if case .failure(let error) = self { error } else { nil } }
}
