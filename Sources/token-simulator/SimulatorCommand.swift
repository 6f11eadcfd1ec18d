// The command line of the simulator; `scripts/simulate` builds and runs it.
internal import ArgumentParser
internal import Glibc
internal import TokenSimulation

@main
struct SimulatorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token-simulator",
    abstract: "Lives random lives of credentials and checks that no rule of the design is broken.",
    discussion: "A failing seed is printed with its whole trace; `--seeds 1 --start SEED` lives it again.")

  @Option(help: "How many lives.")
  var seeds: UInt64 = 100_000

  @Option(help: "The first seed.")
  var start: UInt64 = 0

  @Option(help: "Stop after this many failing seeds.")
  var failures = 3

  @Option(help: "A broken variant to be found, such as lock-ignored.")
  var mutation: String?

  @Flag(help: "Print the trace of every life.")
  var trace = false

  func run() throws {
    var broken: Mutation?
    if let mutation {
      guard let known = Mutation(rawValue: mutation) else {
        let names = Mutation.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("no such mutation; there are \(names)")
      }
      broken = known
    }
    if trace {
      for seed in start..<(start + seeds) {
        for line in SimulationRun.world(seed: seed, mutation: broken, isTraced: true).trace { print(line) }
      }
    }
    let timer = ContinuousClock()
    let began = (wall: timer.now, cpu: clock())
    let summary = SimulationRun.worlds(
      seeds: start..<(start + seeds), mutation: broken, mostFailures: failures
    ) { seed, violation in
      print("seed \(seed): \(violation.invariant.rawValue): \(violation.text)")
    }
    let took = began.wall.duration(to: timer.now)
    let cpu = Duration.microseconds(Int64(clock() - began.cpu))
    for failure in summary.failures {
      print("\ntrace of seed \(failure.seed)")
      for line in SimulationRun.world(seed: failure.seed, mutation: broken, isTraced: true).trace { print(line) }
    }
    report(summary, took, cpu)
    if !summary.failures.isEmpty { throw ExitCode.failure }
  }

  private func report(_ summary: SimulationSummary, _ took: Duration, _ cpu: Duration) {
    let count = summary.passed + summary.failures.count
    print("\(summary.steps) events, \(summary.calls) token calls, \(summary.served) requests served")
    let losses = Loss.allCases.map { "\($0.rawValue) \(summary.losses[$0] ?? 0)" }.joined(separator: ", ")
    print("unavoidable losses: \(losses)")
    // The second figure is that of a core of its own, whatever else the machine does.
    print("\(perMinute(count, took)) schedules a minute, \(perMinute(count, cpu)) in a minute of processor time")
    print("\(summary.passed) passed, \(summary.failures.count) failed")
  }

  private func perMinute(_ count: Int, _ took: Duration) -> Int {
    Int(Double(count) * (.seconds(60) / max(took, .microseconds(1))))
  }
}
