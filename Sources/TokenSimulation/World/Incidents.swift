// What lasts: outages, partitions, failovers, revocations, clock steps; and what people do: restarts, refreshes, logins.

internal import TokenKit
internal import TokenService

/// What is out of order now.
struct Incidents {
  var isServerDown = false
  var isServerFailing = false
  /// Places whose store operations all fail.
  var brokenStores: Set<Int> = []
  /// Places that don't reach the database.
  var cutOff: Set<Int> = []
  var isDatabaseDown = false
}

extension Simulation {
  var isServerDown: Bool { incidents.isServerDown }
  var isServerFailing: Bool { incidents.isServerFailing }
  func isStoreBroken(_ place: Int) -> Bool { incidents.brokenStores.contains(place) }
  func reachesDatabase(_ place: Int) -> Bool {
    !incidents.isDatabaseDown && !incidents.cutOff.contains(place) && !incidents.brokenStores.contains(place)
  }

  /// Something happens.
  func incident() {
    let place = random.below(places.count)
    let credential = random.below(servers.count)
    let duration = random.one(of: [1, 5, 12, 40]) * random.below(Span.second) + Span.millisecond
    switch random.below(15) {
    case 0:
      trace("the token server goes down")
      incidents.isServerDown = true
      endLater(0, duration)
    case 1:
      trace("the token server fails")
      incidents.isServerFailing = true
      endLater(1, duration)
    case 2:
      trace("the store fails at place \(place)")
      incidents.brokenStores.insert(place)
      cutOff(place)
      endLater(100 + UInt64(place), duration)
    case 3 where plan.isShared, 4 where plan.isShared:
      trace("place \(place) is cut off from the database")
      incidents.cutOff.insert(place)
      cutOff(place)
      endLater(200 + UInt64(place), duration)
    case 5 where plan.isShared:
      trace("the database restarts")
      incidents.isDatabaseDown = true
      dropConnections()
      endLater(2, duration / 4)
    case 6 where plan.isShared && random.chance(300):
      trace("the standby falls behind")
      database.standbyStops()
      endLater(3, duration / 4)
    case 7:
      trace("access tokens of c\(credential) are revoked")
      servers[credential].revokeAccess()
    case 8 where random.chance(300):
      let step = random.one(of: [-3_600_000, -5_000, 5_000, 3_600_000] as [Int64])
      trace("the wall clock of place \(place) steps by \(step) ms")
      wallOffsets[place] += step
      isClockStepped = true
    case 9: refresh(place, credential)
    case 10: drain(place)
    case 13: letGo(place, takesBack: true)
    case 14: letGo(place, takesBack: false)
    default:
      if losses[credential].loss != nil {
        login(place, credential)
      } else if let replica = replica(at: place) {
        kill(replica, "killed")
      }
    }
  }

  private func endLater(_ number: UInt64, _ duration: Int64) { add(.faultEnds, at: now + duration, nil, number) }

  func incidentEnds(_ number: UInt64) {
    switch number {
    case 0: incidents.isServerDown = false
    case 1: incidents.isServerFailing = false
    case 2:
      incidents.isDatabaseDown = false
      pollEverywhere()
    case 3 where recovery == nil:
      if database.failOver() {
        trace("the database fails over to an older state")
        hasFailedOver = true
      }
      dropConnections()
    case 100..<200:
      incidents.brokenStores.remove(Int(number) - 100)
      pollEverywhere()
    case 200..<300:
      incidents.cutOff.remove(Int(number) - 200)
      pollEverywhere()
    default: break
    }
  }

  // MARK: The way to the database

  private func cutOff(_ place: Int) {
    guard places[place] >= 0 else { return }
    let replica = replicas[places[place]]
    replica.lastCutOff = now
    guard replica.store.connection != 0 else { return }
    add(.connectionReaped, at: now + random.below(10 * Span.second), replica, replica.store.connection)
  }

  /// The database has noticed that a replica is away: its locks are gone.
  func reap(_ connection: UInt64, of replica: Replica) {
    if replica.isAlive, replica.store.connection == connection, reachesDatabase(replica.place) { return }
    database.disconnect(connection)
    if replica.isAlive, replica.store.connection == connection { replica.loseConnection() }
  }

  private func dropConnections() {
    database.dropAllConnections()
    for replica in replicas where replica.isAlive {
      replica.lastCutOff = now
      replica.loseConnection()
    }
  }

  /// A new connection: what has changed meanwhile is read.
  func connected(_ replica: Replica) { add(.poll, at: now + random.below(5 * Span.millisecond), replica) }

  private func pollEverywhere() {
    guard plan.isShared else { return }
    for replica in replicas where replica.isAlive { add(.poll, at: now + random.below(5 * Span.second), replica) }
  }

  func tellOthers(_ writer: Replica, _ credential: Int) {
    for replica in replicas where replica.isAlive && replica.serial != writer.serial {
      if random.chance(rates.noticeLost) || !reachesDatabase(replica.place) {
        add(.poll, at: now + random.below(5 * Span.second), replica)
      } else {
        add(.notice, at: now + random.below(30 * Span.millisecond), replica, UInt64(credential))
      }
    }
  }

  func notice(_ replica: Replica, _ credential: Int) {
    guard reachesDatabase(replica.place), let row = database.rows[credential] else { return }
    replica.manager?.storeChanged(credential: credential, generation: row.generation)
  }

  func poll(_ replica: Replica) {
    guard reachesDatabase(replica.place) else { return }
    for credential in servers.indices { notice(replica, credential) }
  }

  // MARK: People

  private func refresh(_ place: Int, _ credential: Int) {
    guard let replica = replica(at: place) else { return }
    trace("\(replica.owner) c\(credential) is refreshed by a person")
    replica.credentials[credential].calls.asking += 1
    replica.credentials[credential].saysLoginNeeded = false
    replica.loop.asked += 1
    replica.manager?.refresh(credential: credential) { [unowned replica] _ in
      replica.loop.answered += 1
      replica.credentials[credential].calls.asking -= 1
    }
  }

  private func drain(_ place: Int) {
    guard let replica = replica(at: place) else { return }
    trace("\(replica.owner) is asked to stop")
    replica.isDraining = true
    replica.hasLetGo = false
    add(.drainOver, at: now + 30 * Span.second, replica)
    replica.manager?.shutdown { [unowned self, unowned replica] in kill(replica, "it has stopped") }
  }

  /// Another process is to take the place of this one: it does, or comes to nothing and this one goes on.
  private func letGo(_ place: Int, takesBack: Bool) {
    guard let replica = replica(at: place), !replica.isLettingGo else { return }
    trace("\(replica.owner) lets go of the store")
    replica.isLettingGo = true
    add(.letGoOver, at: now + 30 * Span.second, replica)
    replica.manager?.pause { [unowned self, unowned replica] in
      replica.hasLetGo = true
      if takesBack {
        add(.letGoOver, at: now + random.below(4 * Span.second), replica, 1)
      } else if replica.isAlive, !replica.isDraining, let pairs = replica.manager?.pairsOnlyInMemory {
        heirlooms[replica.place] = pairs
        kill(replica, "it was replaced")
      }
    }
  }

  /// - Parameter wasAway: the store was given away; else it took too long to get there.
  func letGoEnds(_ replica: Replica, wasAway: Bool) {
    guard replica.isLettingGo else { return }
    trace("\(replica.owner) goes on with the store")
    replica.isLettingGo = false
    replica.hasLetGo = false
    replica.manager?.resume(with: wasAway ? replica : nil)
  }

  func login(_ place: Int, _ credential: Int) {
    guard let replica = replica(at: place), !replica.isLettingGo else { return }
    let pair = servers[credential].login(at: now)
    trace("\(replica.owner) c\(credential) gets a login: \(pair.refresh.refreshText)")
    let moment = replica.now
    let token = Token(
      accessToken: Secret(pair.access.accessText), refreshToken: Secret(pair.refresh.refreshText),
      lifetime: .relative(.seconds(plan.servers[credential].lifetime)))
    losses[credential] = LossTrack(loginAt: now)
    replica.credentials[credential].received = pair.refresh
    replica.credentials[credential].receivedAt = now
    replica.credentials[credential].markedAt = now
    let isTaken = replica.manager?.login(
      credential: credential, GrantReply(token: token, date: nil, sent: moment, received: moment))
    if isTaken != true { violate(.servesAgain, "a login was not taken") }
  }
}
