// Which places nobody refers to any more, so that reloads that bring ever new names don't take ever more memory.
internal import EventLoop
internal import TokenKit

/// Held by all that a data loop made of one configuration: the last of it that goes tells the control loop so.
final class PlanTenure: Sendable {
  private let generation: Int
  private let control: Mailbox<ControlMessage>

  init(_ generation: Int, _ control: Mailbox<ControlMessage>) {
    self.generation = generation
    self.control = control
  }

  deinit { control.send(.planReleased(generation: generation)) }
}

/// Knows by which configurations each place was used, and which of them requests still go by. Confined to the control
/// loop.
struct PlaceLedger {
  /// So many of each kind wait for their names to come back, with their counters.
  private static let kept = 32

  /// The configurations from the first to the last one in a row that used a place.
  private struct Use {
    var first: Int
    var last: Int
  }

  /// By its number: how many loops still have something of a configuration.
  private var alive: [Int: Int] = [:]
  private(set) var generation = 0
  private var routes: [Use] = []
  private var credentials: [Use] = []
  private var upstreams: [Use] = []
  private let workers: Int

  init(_ places: PlanPlaces, workers: Int) {
    self.workers = workers
    take(places, generation: 0)
  }

  /// A configuration is in force.
  mutating func take(_ places: PlanPlaces, generation: Int) {
    self.generation = generation
    alive[generation] = workers
    Self.note(places.ofRoutes, fresh: places.reused.routes, generation, &routes)
    Self.note(places.ofCredentials, fresh: places.reused.credentials, generation, &credentials)
    Self.note(places.ofUpstreams.joined(), fresh: places.reused.upstreams, generation, &upstreams)
  }

  private static func note(_ used: some Sequence<Int>, fresh: [Int], _ generation: Int, _ uses: inout [Use]) {
    for place in fresh { uses[place].first = generation }
    for place in used {
      while place >= uses.count { uses.append(Use(first: generation, last: generation)) }
      uses[place].last = generation
    }
  }

  /// A loop has nothing of that configuration any more.
  mutating func released(_ generation: Int) {
    guard let left = alive[generation] else { return }
    alive[generation] = left > 1 ? left - 1 : nil
  }

  /// Places that may be given to other names, those first that were not used for the longest time.
  /// - Parameter isOver: whether the credential manager has ended what was at a place.
  func free(credentialIsOver isOver: (Int) -> Bool) -> PlanPlaces.Chosen {
    let alive = self.alive.keys.sorted()
    func free(_ uses: [Use]) -> [Int] {
      let unused = uses.indices.filter { uses[$0].last < generation }
      if unused.count <= Self.kept { return [] }
      return unused.sorted { uses[$0].last < uses[$1].last }.dropLast(Self.kept).filter { place in
        !alive.contains { (uses[place].first...uses[place].last).contains($0) }
      }
    }
    return PlanPlaces.Chosen(
      routes: free(routes), credentials: free(credentials).filter(isOver), upstreams: free(upstreams))
  }
}
