// Many worlds, one after the other: what `scripts/simulate` and the tests run.

/// Which invariant broke, and how.
package struct Violation: Sendable, Equatable {
  /// The invariant.
  package let invariant: Invariant
  /// What happened.
  package let text: String
}

/// What came of one world.
package struct SimulationOutcome: Sendable {
  /// The first violation; nil: none.
  package internal(set) var violation: Violation?
  /// Events.
  package internal(set) var steps = 0
  /// Requests that left.
  package internal(set) var requests = 0
  /// Requests that were served.
  package internal(set) var served = 0
  /// Token calls that left.
  package internal(set) var calls = 0
  /// Unavoidable losses.
  package internal(set) var losses: [Loss: Int] = [:]
  /// A line for each event, if asked for.
  package internal(set) var trace: [String] = []

  init() {}
}

/// What came of many.
package struct SimulationSummary: Sendable {
  /// Worlds in which every invariant held.
  package var passed = 0
  /// The seeds of the others.
  package var failures: [(seed: UInt64, violation: Violation)] = []
  /// Events.
  package var steps = 0
  /// Requests that were served.
  package var served = 0
  /// Token calls that left.
  package var calls = 0
  /// Unavoidable losses.
  package var losses: [Loss: Int] = [:]

  /// Nothing yet.
  package init() {}

  mutating func add(_ outcome: SimulationOutcome, seed: UInt64) {
    steps += outcome.steps
    served += outcome.served
    calls += outcome.calls
    for (loss, count) in outcome.losses { losses[loss, default: 0] += count }
    if let violation = outcome.violation { failures.append((seed, violation)) } else { passed += 1 }
  }
}

/// Runs worlds.
package enum SimulationRun {
  /// One world.
  package static func world(seed: UInt64, mutation: Mutation? = nil, isTraced: Bool = false) -> SimulationOutcome {
    let world = Simulation(seed: seed, mutation: mutation, isTraced: isTraced)
    var outcome = world.run()
    outcome.calls = world.calls.count
    return outcome
  }

  /// The worlds of `seeds`, until `mostFailures` of them have failed.
  /// - Parameter onFailure: told of each failing seed at once.
  package static func worlds(
    seeds: Range<UInt64>, mutation: Mutation? = nil, mostFailures: Int = 10,
    onFailure: (UInt64, Violation) -> Void = { _, _ in }
  ) -> SimulationSummary {
    var summary = SimulationSummary()
    for seed in seeds {
      let outcome = world(seed: seed, mutation: mutation)
      summary.add(outcome, seed: seed)
      if let violation = outcome.violation {
        onFailure(seed, violation)
        if summary.failures.count >= mostFailures { break }
      }
    }
    return summary
  }
}
