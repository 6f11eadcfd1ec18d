// Credentials that come, change and go while the gateway runs. None of it cancels a grant: what is in flight is finished
// and stored on the old terms, and no row is ever deleted.

package import TokenKit

/// Definitions that a reload brings, checked: all that can be done to them on another thread.
package struct CheckedCredentials: Sendable {
  struct Item: Sendable {
    var place: Int
    var definition: CredentialDefinition
    var terms: LeaseTerms
    var seed: Fingerprint?
  }

  /// By place.
  fileprivate(set) var items: [Item] = []
}

/// Checks definitions, on any thread.
package struct CredentialChecker: Sendable {
  private let isShared: Bool
  private let owner: String
  private let fingerprinter: Fingerprinter

  fileprivate init(isShared: Bool, owner: String, fingerprinter: Fingerprinter) {
    self.isShared = isShared
    self.owner = owner
    self.fingerprinter = fingerprinter
  }

  /// - Parameter definitions: with their places.
  package func check(
    _ definitions: [(place: Int, definition: CredentialDefinition)]
  ) throws(PreparationFailure) -> CheckedCredentials {
    var checked = CheckedCredentials()
    checked.items.reserveCapacity(definitions.count)
    var seeds: [Fingerprint: String] = [:]
    var sharing = CredentialDefinition.Sharing()
    var commons = Interner<CommonTerms>()
    var rules = Interner<InjectionRules>()
    for (place, definition) in definitions.sorted(by: { $0.place < $1.place }) {
      let definition = sharing.shared(definition)
      var terms: LeaseTerms
      do throws(CredentialManagerError) {
        terms = try CredentialManager.terms(
          of: definition, shared: isShared, owner: owner, fingerprinter: fingerprinter)
      } catch {
        throw .definition(credential: definition.name, error)
      }
      terms.share(&commons, &rules)
      let seed = terms.seedFingerprint
      if let seed, let other = seeds.updateValue(definition.name, forKey: seed) {
        throw .definition(credential: definition.name, .sharedSeed([other, definition.name]))
      }
      checked.items.append(CheckedCredentials.Item(place: place, definition: definition, terms: terms, seed: seed))
    }
    return checked
  }
}

/// Checked definitions with the rows of those that are new.
package struct PreparedCredentials {
  fileprivate var items: [CheckedCredentials.Item]
  /// By place.
  fileprivate var records: [Int: StoreRecord] = [:]
}

/// What a reload has done to credentials, by place.
package struct CredentialChanges: Sendable, Equatable {
  package var added: [Int] = []
  package var changed: [Int] = []
  package var removed: [Int] = []

  package init() {}
}

/// Why credentials can't be taken.
package enum PreparationFailure: Error, Sendable {
  /// What is wrong with one of them.
  case definition(credential: String, CredentialManagerError)
  /// The refresh token that one of them starts from is being exchanged for another credential at this moment.
  case seedInUse(credential: String, by: String)
  /// The rows of new ones can't be read.
  case store(StoreError)
}

extension CredentialManager {
  private static let rereadPause = Duration.seconds(1)

  /// For another thread.
  package var checker: CredentialChecker {
    CredentialChecker(isShared: ports.store.isShared, owner: owner, fingerprinter: fingerprinter)
  }

  /// Reads the rows of those that are new. Nothing changes yet.
  /// - Parameters:
  ///   - checked: a place belongs to one name for ever; new ones follow those that there are.
  ///   - completion: called once, on the control loop, maybe before this returns.
  package func prepare(
    _ checked: CheckedCredentials, completion: @escaping (Result<PreparedCredentials, PreparationFailure>) -> Void
  ) {
    // One that is renamed, or moved to another name: both would send it.
    var busy: [Fingerprint: Entry] = [:]
    for entry in entries where entry.machine.isBusy {
      if let seed = entry.machine.query.seed { busy[seed] = entry }
    }
    var new: [CheckedCredentials.Item] = []
    for item in checked.items {
      if !busy.isEmpty, let user = item.seed.flatMap({ busy[$0] }), user.index != item.place {
        return completion(.failure(.seedInUse(credential: item.definition.name, by: user.machine.name)))
      }
      if item.place >= entries.count || (entries[item.place].isRemoved && entries[item.place].isStopped) {
        new.append(item)
      }
    }
    var prepared = PreparedCredentials(items: checked.items)
    if new.isEmpty { return completion(.success(prepared)) }
    ports.store.load(new.map { StoreQuery(name: $0.terms.name, seed: $0.seed) }) { result in
      switch result {
      case .failure(let error): completion(.failure(.store(error)))
      case .success(let records):
        guard records.count == new.count else {
          return completion(.failure(.store(StoreError(.unreadable, "the store answered with another number of rows"))))
        }
        for (item, record) in zip(new, records) { prepared.records[item.place] = record }
        completion(.success(prepared))
      }
    }
  }

  /// So many are changed in one turn of the loop, which has more to do: refreshes must not be late.
  private static var changedPerTurn: Int { 256 }

  /// Takes what was prepared. There is room for new ones at once; very many change over several turns of the loop. Those
  /// that are not among them end when nothing of theirs is in flight.
  /// - Parameter completion: called once, on the control loop, when all is done, maybe before this returns.
  package func reload(
    _ prepared: PreparedCredentials, tokenCallsPerHost: Int = 16,
    completion: @escaping (CredentialChanges) -> Void = { _ in }
  ) {
    if isStopping { return completion(CredentialChanges()) }
    hosts.follow(parallel: tokenCallsPerHost)
    let known = entries.count
    var isKept = [Bool](repeating: false, count: known)
    var moved: [CheckedCredentials.Item] = []
    for index in prepared.items.indices {
      let place = prepared.items[index].place
      if place >= known {
        let item = prepared.items[index]
        entries.append(makeEntry(place, item.definition, item.terms))
        deadlines.append()
        continue
      }
      isKept[place] = true
      let entry = entries[place]
      if !entry.isRemoved, entry.machine.latestSeed != prepared.items[index].terms.seed {
        moved.append(prepared.items[index])
      }
    }
    let removed = isKept.indices.filter { !isKept[$0] }
    goOn(
      Reload(
        removed: removed, moved: moved, items: prepared.items, records: prepared.records, known: known,
        completion: completion))
  }

  /// A reload that is under way. No refresh token may be two credentials' at any time, whoever had it before: who has to
  /// give one up does so first, and those that have another one now change together.
  private final class Reload {
    var removed: [Int]
    var moved: [CheckedCredentials.Item]
    let items: [CheckedCredentials.Item]
    /// How many of them, from the end, are done.
    var done = 0
    var records: [Int: StoreRecord]
    /// How many places there were before.
    let known: Int
    let completion: (CredentialChanges) -> Void
    var changes = CredentialChanges()

    init(
      removed: [Int], moved: [CheckedCredentials.Item], items: [CheckedCredentials.Item],
      records: [Int: StoreRecord], known: Int, completion: @escaping (CredentialChanges) -> Void
    ) {
      self.removed = removed
      self.moved = moved
      self.items = items
      self.records = records
      self.known = known
      self.completion = completion
    }
  }

  private func goOn(_ reload: Reload) {
    for _ in 0..<Self.changedPerTurn {
      if isStopping { break }
      if let place = reload.removed.popLast() {
        if remove(entries[place]) { reload.changes.removed.append(place) }
      } else if !reload.moved.isEmpty {
        for item in reload.moved { take(item, reload) }
        reload.moved = []
      } else if reload.done < reload.items.count {
        reload.done += 1
        take(reload.items[reload.items.count - reload.done], reload)
      } else {
        break
      }
    }
    if isStopping || (reload.removed.isEmpty && reload.moved.isEmpty && reload.done == reload.items.count) {
      reload.changes.added.sort()
      reload.changes.changed.sort()
      reload.changes.removed.sort()
      return reload.completion(reload.changes)
    }
    _ = ports.timers.schedule(at: ports.clock.now.boot) { [weak self] in self?.goOn(reload) }
  }

  private func take(_ item: CheckedCredentials.Item, _ reload: Reload) {
    let entry = entries[item.place]
    if item.place >= reload.known {
      load(entry, reload.records.removeValue(forKey: item.place))
      reload.changes.added.append(item.place)
    } else if entry.isRemoved {
      if successors[item.place] == nil { reload.changes.added.append(item.place) }
      successors[item.place] = item.definition
      if entry.isStopped { revive(entry, reload.records.removeValue(forKey: item.place)) }
    } else if change(entry, item.definition, item.terms) {
      reload.changes.changed.append(item.place)
    }
  }

  /// - Returns: whether anything is different.
  private func change(_ entry: Entry, _ definition: CredentialDefinition, _ terms: LeaseTerms) -> Bool {
    let old = entry.definition
    entry.definition = definition
    if old.settings.maxPerMinute != definition.settings.maxPerMinute
      || old.material.provider.traits.tokenURLs != definition.material.provider.traits.tokenURLs
    {
      entry.host.remove(old.settings.maxPerMinute)
      entry.host = hosts.host(of: definition.material.provider.traits)
      entry.host.add(definition.settings.maxPerMinute)
    }
    if terms.isSame(as: entry.machine.latestTerms), Self.isSame(definition.material, old.material),
      definition.settings.transport == old.settings.transport
    {
      return old.settings != definition.settings
    }
    feed(.termsChanged(terms), to: entry)
    return true
  }

  /// - Returns: whether it was there.
  private func remove(_ entry: Entry) -> Bool {
    let wasComingBack = successors.removeValue(forKey: entry.index) != nil
    if entry.isRemoved { return wasComingBack }
    entry.isRemoved = true
    removedCount += 1
    entry.host.remove(entry.definition.settings.maxPerMinute)
    feed(.shutdown, to: entry)
    return true
  }

  /// The name of a credential that was removed has come back, and nothing of the old one is in flight any more.
  func revive(_ old: Entry, _ record: StoreRecord? = nil) {
    guard !isStopping, !isPaused, entries[old.index] === old, let definition = successors.removeValue(forKey: old.index)
    else {
      return
    }
    let terms: LeaseTerms
    do throws(CredentialManagerError) {
      terms = try Self.terms(of: definition, shared: ports.store.isShared, owner: owner, fingerprinter: fingerprinter)
    } catch {
      // It was checked when it was prepared.
      return note(.secretsUnreadable(problem: "the credential's settings are not valid any more"), of: old)
    }
    // A new one: answers to what the old one has asked must not reach it.
    let entry = makeEntry(old.index, definition, terms)
    entries[old.index] = entry
    removedCount -= 1
    forgetStopped()
    deadlines.set(old.index, nil)
    // It may have been another account's.
    if old.machine.currentLease != nil { ports.publisher.withdraw(credential: old.index) }
    load(entry, record)
  }

  private func makeEntry(_ place: Int, _ definition: CredentialDefinition, _ terms: LeaseTerms) -> Entry {
    let host = hosts.host(of: definition.material.provider.traits)
    host.add(definition.settings.maxPerMinute)
    return Entry(
      index: place, definition: definition, host: host,
      machine: LeaseStateMachine(terms: terms, randomSeed: random.next()))
  }

  /// Wants wait until the row is there.
  private func load(_ entry: Entry, _ record: StoreRecord?) {
    if let record { return feed(.loaded(record), to: entry) }
    ports.store.load([entry.machine.query]) { [weak self, weak entry] result in
      guard let self, let entry, !entry.isStopped else { return }
      switch result {
      case .success(let records): if let record = records.first { feed(.loaded(record), to: entry) }
      case .failure(let error):
        note(.storeFailed(operation: .load, error), of: entry)
        _ = ports.timers.schedule(at: ports.clock.now.boot + Self.rereadPause) { [weak self, weak entry] in
          if let self, let entry { load(entry, nil) }
        }
      }
    }
  }
}

extension LeaseTerms {
  /// Whether a machine that has the one need not be told of the other.
  fileprivate func isSame(as other: LeaseTerms) -> Bool {
    usesRefreshToken == other.usesRefreshToken && killsOldTokenAtRotation == other.killsOldTokenAtRotation
      && accessIdentity == other.accessIdentity && refreshIdentity == other.refreshIdentity
      && seedFingerprint == other.seedFingerprint && refreshTokenLifetime == other.refreshTokenLifetime
      && policy == other.policy && rules == other.rules
  }
}
