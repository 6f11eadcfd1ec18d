// The metrics as the control loop sees them: counts what happens to credentials, and makes the answer to a scrape.
internal import EventLoop
internal import TokenKit
internal import TokenService

/// Confined to the control loop.
final class MetricsControl {
  private let loop: EventLoop
  private let collector: CounterCollector
  private var leases: SharedLeaseState
  private(set) var names: MetricNames
  let credentials: CredentialCounters

  init(
    _ loop: EventLoop, _ places: PlanPlaces, leases: SharedLeaseState,
    mailboxes: [Mailbox<WorkerMessage>]
  ) {
    self.loop = loop
    self.leases = leases
    names = MetricNames(places)
    credentials = CredentialCounters(credentials: places.ofCredentials.count)
    collector = CounterCollector(loop, CounterLayout(places), workers: mailboxes.count) {
      mailboxes[$0].send(.count(ticket: $1, asked: Process.bootClockNanoseconds()))
    }
  }

  /// The configuration has changed.
  func follow(_ places: PlanPlaces, _ leases: SharedLeaseState) {
    names = MetricNames(places)
    self.leases = leases
    credentials.follow(credentials: places.ofCredentials.count)
    collector.follow(CounterLayout(places), anew: places.reused)
  }

  /// A part of a data loop's answer.
  func receive(_ part: CounterPart) { collector.receive(part) }

  /// The counters of all data loops, merged. `completion` is called on the control loop, once, after a second at the
  /// latest, maybe before this returns. Those who ask in the same moment share an answer.
  func counters(_ completion: @escaping (CounterSnapshot) -> Void) { collector.collect(completion) }

  /// All that scrapes and the status page tell; `completion` as with `counters`.
  func report(
    _ manager: CredentialManager?, _ store: StoreWorker?, reloads: ReloadCounts, spans: SpanCounts,
    at clock: any ManagerClock,
    _ completion: @escaping (MetricsReport) -> Void
  ) {
    collector.collect { [self] counters in
      completion(
        MetricsReport(
          names: names, counters: counters, manager: manager, credentialCounters: credentials, leases: leases,
          process: ProcessStatistics.read(), controlTiming: loop.timing, storeOperations: store?.pendingCount ?? 0,
          reloads: reloads, spans: spans, now: clock.now))
    }
  }
}
