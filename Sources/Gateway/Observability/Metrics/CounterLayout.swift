// Where each number stands among a loop's cells. All loops of a plan have the same layout, so that their numbers are
// merged by adding cell to cell.

/// The cells: a few of the loop, then tables with a row for each route, credential, listener and upstream server.
struct CounterLayout: Sendable, Equatable {
  /// Of the loop.
  enum Cell: Int, CaseIterable {
    /// Requests that became exchanges, and those of them that are over.
    case begun, ended
    case accessLogDropped
    case spansDropped
  }

  /// Of a route. Small: there may be as many routes as credentials.
  enum RouteCell: Int, CaseIterable {
    // Answers by status class, in the order of `StatusClass`.
    case noStatus, success, redirect, clientError, serverError
    /// Callers that went away first.
    case abandoned
    /// Bytes of bodies, without framing.
    case bytesIn, bytesOut
    /// Answers by which the upstream refused a token.
    case rejections
    case replaysAccepted, replaysRejected, replaysFailed
  }

  enum CredentialCell: Int, CaseIterable {
    case parks, parkTimeouts
  }

  enum ListenerCell: Int, CaseIterable {
    case accepted, open, shed
    /// Closed at once for want of a descriptor.
    case shedForDescriptors
  }

  enum UpstreamCell: Int, CaseIterable {
    // Now.
    case active, idle, connecting, waiting, ejected
    // So far.
    case attempts, failures
  }

  /// With more routes than this, what takes many cells is counted for all routes together.
  static let detailedRoutes = 1000
  /// Buckets and the sum.
  static let histogram = TimeBuckets.count + 1
  static let detail = 2 * histogram + ErrorReason.allCases.count

  let routeCount: Int
  let credentialCount: Int
  let listenerCount: Int
  let upstreamCount: Int
  /// Histograms and errors are counted for each route.
  let isDetailed: Bool
  /// Another one with as many rows: some of them belong to others.
  let version: Int

  let routes: Int
  let details: Int
  let credentials: Int
  let listeners: Int
  let upstreams: Int
  /// How many cells there are.
  let count: Int

  init(
    routes routeCount: Int, credentials credentialCount: Int, listeners listenerCount: Int,
    upstreams upstreamCount: Int,
    version: Int = 0
  ) {
    self.version = version
    self.routeCount = routeCount
    self.credentialCount = credentialCount
    self.listenerCount = listenerCount
    self.upstreamCount = upstreamCount
    isDetailed = routeCount <= Self.detailedRoutes
    routes = Cell.allCases.count
    // One more row, for requests that have no route.
    details = routes + (routeCount + 1) * RouteCell.allCases.count
    credentials = details + (isDetailed ? routeCount + 1 : 1) * Self.detail
    listeners = credentials + credentialCount * CredentialCell.allCases.count
    upstreams = listeners + listenerCount * ListenerCell.allCases.count
    count = upstreams + upstreamCount * UpstreamCell.allCases.count
  }

  init(_ places: PlanPlaces) {
    self.init(
      routes: places.routes.count, credentials: places.routedCredentials, listeners: places.listeners.count,
      upstreams: places.upstreams.count, version: places.version)
  }

  /// The cells of these places.
  func ranges(of places: PlanPlaces.Chosen) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    for route in places.routes where route < routeCount {
      ranges.append(start(ofRoute: route)..<start(ofRoute: route + 1))
      if isDetailed { ranges.append(detailStart(route)..<detailStart(route) + Self.detail) }
    }
    for credential in places.credentials where credential < credentialCount {
      ranges.append(start(ofCredential: credential)..<start(ofCredential: credential + 1))
    }
    for upstream in places.upstreams where upstream < upstreamCount {
      ranges.append(start(ofUpstream: upstream)..<start(ofUpstream: upstream + 1))
    }
    return ranges
  }

  /// Cells of this layout in the order of a later one, which has at least as many rows of everything.
  func moved(_ cells: [UInt64], to later: CounterLayout) -> [UInt64] {
    if later == self || cells.count != count { return cells }
    var result = [UInt64](repeating: 0, count: later.count)
    func move(_ length: Int, from start: Int, to place: Int) {
      for offset in 0..<length { result[place + offset] &+= cells[start + offset] }
    }
    move(routes, from: 0, to: 0)
    // The row of requests without a route stays the last one.
    for row in 0...routeCount {
      let place = row == routeCount ? later.noRoute : row
      move(RouteCell.allCases.count, from: start(ofRoute: row), to: later.start(ofRoute: place))
      if isDetailed || row == 0 { move(Self.detail, from: detailStart(row), to: later.detailStart(place)) }
    }
    move(listeners - credentials, from: credentials, to: later.credentials)
    move(upstreams - listeners, from: listeners, to: later.listeners)
    move(count - upstreams, from: upstreams, to: later.upstreams)
    return result
  }

  /// The row of requests without a route.
  var noRoute: Int { routeCount }

  /// Where the rows of detailed numbers begin for that route: its own, or the one for all.
  func detailStart(_ route: Int) -> Int { isDetailed ? details + route * Self.detail : details }

  func start(ofRoute route: Int) -> Int { routes + route * RouteCell.allCases.count }
  func start(ofCredential credential: Int) -> Int { credentials + credential * CredentialCell.allCases.count }
  func start(ofListener listener: Int) -> Int { listeners + listener * ListenerCell.allCases.count }
  func start(ofUpstream upstream: Int) -> Int { upstreams + upstream * UpstreamCell.allCases.count }

  /// The upstreams that have cells in the range.
  func upstreams(in range: Range<Int>) -> Range<Int> {
    let stride = UpstreamCell.allCases.count
    let first = max(0, range.lowerBound - upstreams) / stride
    let end = (max(0, range.upperBound - upstreams) + stride - 1) / stride
    return first..<max(first, min(end, upstreamCount))
  }
}

/// What an answer's status says at first sight.
enum StatusClass: Int, CaseIterable {
  /// We cut the caller off before it got any.
  case none
  case success, redirect, clientError, serverError

  /// As a label's value.
  var label: String {
    switch self {
    case .none: "none"
    case .success: "2xx"
    case .redirect: "3xx"
    case .clientError: "4xx"
    case .serverError: "5xx"
    }
  }

  /// Its cell's place in a route's row. Statuses from 600 on, which nobody defined, count as 5xx, as RFC 9110 §15 has it.
  static func cell(_ status: UInt16) -> Int { status < 200 ? 0 : min(4, Int(status) / 100 - 1) }
}
