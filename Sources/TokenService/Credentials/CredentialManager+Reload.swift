// Credentials that come, change and go while the gateway runs. None of it cancels a grant: what is in flight is finished
// and stored on the old terms, and no row is ever deleted.

package import TokenKit

/// Definitions that a reload brings, checked, with the rows of those that are new.
package struct PreparedCredentials {
  /// By place.
  fileprivate var definitions: [Int: CredentialDefinition]
  fileprivate var terms: [Int: LeaseTerms]
  fileprivate var records: [Int: StoreRecord] = [:]
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

  /// Checks definitions and reads the rows of those that are new. Nothing changes yet.
  /// - Parameters:
  ///   - definitions: by place. A place belongs to one name for ever; new ones follow those that there are.
  ///   - completion: called once, on the control loop, maybe before this returns.
  package func prepare(
    _ definitions: [Int: CredentialDefinition],
    completion: @escaping (Result<PreparedCredentials, PreparationFailure>) -> Void
  ) {
    var prepared = PreparedCredentials(definitions: definitions, terms: [:])
    do throws(PreparationFailure) {
      prepared.terms = try checkedTerms(definitions)
    } catch {
      return completion(.failure(error))
    }
    let new = definitions.keys.sorted().filter {
      $0 >= entries.count || (entries[$0].isRemoved && entries[$0].isStopped)
    }
    if new.isEmpty { return completion(.success(prepared)) }
    let queries = new.compactMap { prepared.terms[$0]?.query }
    ports.store.load(queries) { result in
      switch result {
      case .failure(let error): completion(.failure(.store(error)))
      case .success(let records):
        guard records.count == new.count else {
          return completion(.failure(.store(StoreError(.unreadable, "the store answered with another number of rows"))))
        }
        for (place, record) in zip(new, records) { prepared.records[place] = record }
        completion(.success(prepared))
      }
    }
  }

  private func checkedTerms(
    _ definitions: [Int: CredentialDefinition]
  ) throws(PreparationFailure) -> [Int: LeaseTerms] {
    var all: [Int: LeaseTerms] = [:]
    var seeds: [Fingerprint: String] = [:]
    for (place, definition) in definitions.sorted(by: { $0.key < $1.key }) {
      let terms: LeaseTerms
      do throws(CredentialManagerError) {
        terms = try Self.terms(
          of: definition, shared: ports.store.isShared, owner: owner, fingerprinter: fingerprinter)
      } catch {
        throw .definition(credential: definition.name, error)
      }
      all[place] = terms
      guard let seed = terms.seedFingerprint else { continue }
      if let other = seeds.updateValue(definition.name, forKey: seed) {
        throw .definition(credential: definition.name, .sharedSeed([other, definition.name]))
      }
      // One that is renamed, or moved to another name: both would send it.
      if let user = entries.first(where: { $0.index != place && $0.machine.isBusy && $0.machine.query.seed == seed }) {
        throw .seedInUse(credential: definition.name, by: user.definition.name)
      }
    }
    return all
  }

  /// Takes what was prepared: all of it, at once. Those that are not among it end when nothing of theirs is in flight.
  package func reload(_ prepared: PreparedCredentials, tokenCallsPerHost: Int = 16) {
    if isStopping { return }
    hosts.follow(parallel: tokenCallsPerHost)
    for place in prepared.definitions.keys.sorted() {
      guard let definition = prepared.definitions[place], let terms = prepared.terms[place] else { continue }
      if place >= entries.count {
        let entry = makeEntry(place, definition, terms)
        entries.append(entry)
        deadlines.append()
        load(entry, prepared.records[place])
      } else if entries[place].isRemoved {
        successors[place] = definition
        if entries[place].isStopped { revive(entries[place], prepared.records[place]) }
      } else {
        change(entries[place], definition, terms)
      }
    }
    for entry in entries where prepared.definitions[entry.index] == nil { remove(entry) }
  }

  private func change(_ entry: Entry, _ definition: CredentialDefinition, _ terms: LeaseTerms) {
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
      return
    }
    feed(.termsChanged(terms), to: entry)
  }

  private func remove(_ entry: Entry) {
    successors[entry.index] = nil
    if entry.isRemoved { return }
    entry.isRemoved = true
    removedCount += 1
    entry.host.remove(entry.definition.settings.maxPerMinute)
    feed(.shutdown, to: entry)
  }

  /// The name of a credential that was removed has come back, and nothing of the old one is in flight any more.
  func revive(_ old: Entry, _ record: StoreRecord? = nil) {
    guard !isStopping, entries[old.index] === old, let definition = successors.removeValue(forKey: old.index) else {
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
