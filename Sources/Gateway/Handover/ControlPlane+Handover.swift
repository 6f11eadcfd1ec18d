// What a replacement does to the control plane: letting the store go and taking it back in the old process, taking it in
// the new one, and names for what both have.
internal import EventLoop
internal import Glibc
internal import Logging
internal import TokenKit
internal import TokenService

// MARK: The old process

extension ControlPlane {
  /// Callers' sockets and the admin listener's.
  var handedSockets: [HandedSocket] {
    listening.sockets.map {
      HandedSocket(.listener, name: places.listeners[$0.place], $0.address, fd: $0.fd)
    } + [HandedSocket(.admin, configuration.admin, fd: adminSocket)]
  }

  /// Waits for replacements from now on.
  /// - Parameter socket: of the process before this one; nil: a new one is opened.
  func awaitSuccessor(_ socket: Int32?) {
    if Process.id == 1 {
      // The end of a container's first process is that of the container.
      if let socket { Socket.close(socket) }
      return logger.info("process 1 can't be replaced by another")
    }
    let address = SocketAddress.unix(path: configuration.handover)
    do throws(SystemError) {
      if !HandoverServer.isPath(configuration.handover) { throw SystemError("bind", errno: ENAMETOOLONG) }
      let fd: Int32
      if let socket { fd = socket } else { fd = try Socket.listen(on: address, backlog: 16, kind: .packets) }
      handover = try HandoverServer(self, HandedSocket(.handover, address, fd: fd))
    } catch {
      logger.warning(
        "this process can't be replaced by another without a restart",
        metadata: ["handover": "\(configuration.handover)", "error": "\(error)"])
    }
  }

  /// Finishes the token calls that are under way, then closes the store. A reload that has begun comes first.
  func releaseStoreForSuccessor() {
    reloads?.whenIdle { [weak self] in self?.pauseCredentials() }
  }

  private func pauseCredentials() {
    guard phase == .serving, let manager, handover?.isStoreWanted == true else { return }
    phase = .handingOver
    manager.pause { [unowned self] in
      guard phase == .handingOver, let store else { return }
      self.store = nil
      // Nobody else has it any more: it stays for as long as it closes.
      store.close { [unowned self, store] result in
        withExtendedLifetime(store) {}
        if case .failure(let error) = result {
          logger.error("the store was not closed in order", metadata: ["error": "\(error.message)"])
        }
        isStoreReleased = true
        // The replacement may have come to its end meanwhile, one way or the other.
        if phase == .handingOver {
          if isTakingBack { return reopenStore() }
          handover?.storeReleased(manager.pairsOnlyInMemory)
        } else {
          endIfDone()
        }
      }
    }
  }

  /// The new process has failed: everything goes on as before.
  func takeStoreBack() {
    guard phase == .handingOver else { return }
    if store != nil {
      manager?.resume(with: nil)
      return goOnServing()
    }
    isTakingBack = true
    // Else it is being closed.
    if isStoreReleased { reopenStore() }
  }

  private func reopenStore() {
    guard phase == .handingOver else { return }
    do throws(SystemError) {
      let opened = try openStore { [unowned self] result in
        guard phase == .handingOver, let reopening else { return }
        self.reopening = nil
        switch result {
        case .success:
          store = reopening
          isStoreReleased = false
          isTakingBack = false
          manager?.resume(with: reopening)
          goOnServing()
        case .failure(let error):
          // Leases serve to their end; what kept the store for itself may let it go.
          reopenLater(error.message)
        }
      }
      reopening = opened
    } catch {
      reopenLater("\(error)")
    }
  }

  private func reopenLater(_ reason: String) {
    logger.error("the store can't be opened again, trying on", metadata: ["reason": "\(reason)"])
    _ = after(.seconds(1)) { [weak self] in self?.reopenStore() }
  }

  private func goOnServing() {
    phase = .serving
    logger.notice("the store is ours again, going on as before")
    // Another new process may have asked meanwhile.
    if handover?.isStoreWanted == true { return releaseStoreForSuccessor() }
    reloads?.goOn()
  }

  /// The new process serves: nothing new is accepted here, and what is under way gets its leases from there.
  func yield(to peer: HandoverMessage.Hello, process: Int32, _ relay: LeaseRelay) {
    phase = .draining
    self.relay = relay
    logger.notice(
      "replaced, draining",
      metadata: ["by_process": "\(process)", "by_version": "\(peer.gateway)"])
    service?.yield(to: process)
    admin?.yield()
    reloads?.goOn()
    for open in manager?.takeWaiting() ?? [] { relay.want(open.credential, open.want, answer: open.answer) }
    finishConnections()
    manager?.shutdown {}
  }

  /// For people: one that was an hour ago is history.
  var recentReplacementFailure: String? {
    lastReplacementFailure.flatMap { now.boot - $0.at < .seconds(3600) ? $0.reason : nil }
  }

  /// For the log and for people.
  func replacementFailed(_ reason: String) {
    lastReplacementFailure = (reason, now.boot)
    logger.error("replacement failed, going on", metadata: ["reason": "\(reason)"])
    service?.replacementFailed(reason)
  }
}

// MARK: The new process

extension ControlPlane {
  /// The store is free.
  func takeStore(_ pairs: [StoredCredential]) {
    do {
      try startCredentials(inheriting: pairs)
    } catch {
      fail("the store can't be opened: \(error)")
    }
  }

  /// The old process goes on itself.
  func replacementRefused(_ reason: String) {
    fail("the running gateway is not replaced: \(reason)")
  }

  /// This process is the one that others speak of from now on.
  func becomeMain(isAlone: Bool) {
    guard phase == .serving, let predecessor else { return }
    logger.notice(
      isAlone ? "the old process has ended before it was replaced" : "serving in place of the old process",
      metadata: ["old_process": "\(predecessor.process)"])
    service?.ready(inPlace: true)
    awaitSuccessor(predecessor.take(.handover, .unix(path: configuration.handover)))
    predecessor.closeRest()
    if isAlone { self.predecessor = nil }
  }

  /// The old process is over.
  func predecessorEnded() {
    if let predecessor { logger.info("the old process is over", metadata: ["old_process": "\(predecessor.process)"]) }
    publisher.predecessor = nil
    predecessor?.close()
    predecessor = nil
    endIfDone()
  }
}

// MARK: What both have

extension ControlPlane {
  /// A data loop asks, this process's or its predecessor's.
  func ask(_ want: LeaseWant, _ credential: Int, _ answer: @escaping (LeaseAnswer) -> Void) {
    if let relay { return relay.want(credential, want, answer: answer) }
    guard let manager else { return answer(.failure(LeaseFailure(.shuttingDown))) }
    manager.want(credential: credential, want, answer: answer)
  }

  /// What needs no answer.
  func tell(_ question: LeaseQuestion, _ credential: Int) {
    if let relay { return relay.tell(question, credential) }
    switch question {
    case .want: break
    case .accepted(let generation): manager?.accepted(credential: credential, generation: generation)
    case .replayRejected(let route): manager?.replayRejected(credential: credential, route: route)
    case .routeRecovered(let route): manager?.routeRecovered(credential: credential, route: route)
    }
  }

  /// A credential's name, with all that its tokens belong to.
  func identity(of credential: Int) -> HandedIdentity? {
    guard let manager, credential < manager.count else { return nil }
    let (access, refresh) = manager.identities(credential: credential)
    return HandedIdentity(credential: places.credentials[credential], access: access.bytes, refresh: refresh.bytes)
  }

  /// The same credential here; nil when there is none, or its tokens belong to something else.
  func place(of identity: HandedIdentity) -> Int? {
    guard let manager, let place = places.place(ofCredential: identity.credential), place < manager.count,
      let access = Fingerprint(bytes: identity.access), let refresh = Fingerprint(bytes: identity.refresh),
      manager.isSame(accessIdentity: access, refreshIdentity: refresh, credential: place)
    else { return nil }
    return place
  }

  /// A route's name, and its credential's.
  func handed(route: UInt32) -> HandedRoute? {
    guard route < places.routes.count else { return nil }
    let known = places.routes[Int(route)]
    return HandedRoute(name: known.name, credential: known.credential)
  }

  /// The same route here, else the number of none.
  func place(of route: HandedRoute) -> UInt32 {
    let place = places.routes.firstIndex { $0.name == route.name && $0.credential == route.credential }
    return place.map { UInt32($0) } ?? .max
  }
}
