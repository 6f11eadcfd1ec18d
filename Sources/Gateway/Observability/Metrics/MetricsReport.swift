// Puts together what a scrape is told: the loops' counters and what the control loop knows itself.
internal import EventLoop
internal import TokenKit
internal import TokenService

/// All that the metrics are read from, at one moment. Confined to the control loop.
struct MetricsReport {
  /// How many of the routes, credentials or upstreams are too many to tell of those of which there is nothing to tell.
  static let fullListing = 1000
  /// The same for histograms, of which each has 19 lines.
  static let fullHistograms = 100

  let names: MetricNames
  let counters: CounterSnapshot
  let manager: CredentialManager?
  let credentialCounters: CredentialCounters
  let leases: SharedLeaseState
  let process: ProcessStatistics
  let controlTiming: LoopTiming
  let storeOperations: Int
  let reloads: ReloadCounts
  var spans = SpanCounts()
  let now: Moment

  var page: MetricsPage {
    MetricsPage(
      requestFamilies + connectionFamilies + upstreamFamilies + credentialFamilies + refreshFamilies + parkFamilies
        + storeFamilies + reloadFamilies + loopFamilies + tracingFamilies + processFamilies)
  }

  /// One sample without labels.
  func single(_ name: String, _ type: MetricType, _ help: String, _ value: UInt64) -> MetricFamily {
    MetricFamily(name: name, type: type, help: help) { $1.sample(name, MetricLabels(), value) }
  }

  /// Nanoseconds of a time of the wall clock.
  static func nanoseconds(_ time: WallTime) -> Int64 {
    let (product, isOver) = time.milliseconds.multipliedReportingOverflow(by: 1_000_000)
    return isOver ? (time.milliseconds < 0 ? .min : .max) : product
  }
}

/// What routes, credentials, listeners and upstreams are called, by their places.
struct MetricNames {
  var routes: [(name: String, credential: String)]
  var credentials: [String]
  var listeners: [String]
  /// Servers by name, each with its pools: one server may have several, with different settings.
  var upstreams: [(name: String, pools: [Int])] = []
  /// Places of what the configuration has no more: nothing is told of it.
  var goneRoutes: Set<Int> = []
  var goneCredentials: Set<Int> = []

  init(
    routes: [(name: String, credential: String)] = [], credentials: [String] = [], listeners: [String] = [],
    upstreams: [String] = []
  ) {
    self.routes = routes
    self.credentials = credentials
    self.listeners = listeners
    var places: [String: Int] = [:]
    for (pool, name) in upstreams.enumerated() {
      if let place = places[name] {
        self.upstreams[place].pools.append(pool)
      } else {
        places[name] = self.upstreams.count
        self.upstreams.append((name, [pool]))
      }
    }
  }

  init(_ places: PlanPlaces) {
    self.init(
      routes: places.routes.map { ($0.name, $0.credential) }, credentials: places.credentials,
      listeners: places.listeners, upstreams: places.upstreams.map(\.name))
    goneRoutes = Set(places.routes.indices).subtracting(places.ofRoutes)
    // There may be very many of them, of which few are gone.
    var isThere = [Bool](repeating: false, count: places.credentials.count)
    for place in places.ofCredentials { isThere[place] = true }
    goneCredentials = Set(isThere.indices.filter { !isThere[$0] })
    // A server's pools stay with it as long as one of them is in use: its counters must not go back.
    let used = Set(places.ofUpstreams.joined())
    upstreams.removeAll { $0.pools.allSatisfy { !used.contains($0) } }
  }

  /// - Parameter route: its place; the place after the last one is that of requests without a route.
  func labels(ofRoute route: Int) -> MetricLabels {
    let named = route < routes.count ? routes[route] : ("", "")
    return MetricLabels(["route": named.0, "credential": named.1])
  }
}
