// The process's listening sockets: opened before anything else of a new configuration counts, closed when every data
// loop has taken what was queued on them.
internal import EventLoop

/// Confined to the control loop.
final class ListenerSet {
  /// What can't be opened: the place in the configuration, and why.
  struct Failure: Error {
    var index: Int
    var message: String
  }

  /// A configuration's sockets, some of them new.
  struct Prepared {
    fileprivate(set) var all: [ListeningSocket] = []
    fileprivate var opened: [ListeningSocket] = []
  }

  private(set) var sockets: [ListeningSocket] = []
  /// Those that loops still have to let go, and how many.
  private var ending: [Int: (fd: Int32, place: Int, left: Int)] = [:]
  private var lastID = 0
  private let workers: Int

  /// - Parameter opened: one for each listener, in their order.
  init(workers: Int, _ configuration: GatewayConfiguration, _ places: PlanPlaces, _ opened: [Int32]) {
    self.workers = workers
    for (index, fd) in opened.enumerated() {
      lastID += 1
      sockets.append(
        ListeningSocket(
          id: lastID, fd: fd, address: configuration.listeners[index].address, place: places.ofListeners[index]))
    }
  }

  /// Sockets for these listeners: those of the same address go on, the others are opened.
  func prepare(_ configuration: GatewayConfiguration, _ places: PlanPlaces) throws(Failure) -> Prepared {
    var prepared = Prepared()
    var free = sockets
    for (index, listener) in configuration.listeners.enumerated() {
      let place = places.ofListeners[index]
      // A port that the system has chosen stays with its listener's name.
      let known =
        free.firstIndex { $0.address == listener.address && $0.place == place }
        ?? free.firstIndex { $0.address == listener.address }
      if let known {
        var socket = free.remove(at: known)
        socket.place = place
        prepared.all.append(socket)
        continue
      }
      do throws(SystemError) {
        lastID += 1
        let socket = ListeningSocket(
          id: lastID, fd: try Socket.listen(on: listener.address), address: listener.address, place: place)
        prepared.opened.append(socket)
        prepared.all.append(socket)
      } catch {
        cancel(prepared)
        throw Failure(
          index: index, message: "listener \(listener.name) can't listen on \(listener.address): \(error)")
      }
    }
    return prepared
  }

  /// The configuration was refused after all.
  func cancel(_ prepared: Prepared) { for socket in prepared.opened { Socket.close(socket.fd) } }

  /// The loops are about to be told.
  func take(_ prepared: Prepared) {
    let kept = Set(prepared.all.map(\.id))
    for socket in sockets where !kept.contains(socket.id) { ending[socket.id] = (socket.fd, socket.place, workers) }
    sockets = prepared.all
  }

  /// A loop has taken what was queued on a socket that is no more.
  /// - Returns: who has come since then.
  func released(_ id: Int) -> [Arrival] {
    guard var entry = ending[id] else { return [] }
    entry.left -= 1
    ending[id] = entry.left > 0 ? entry : nil
    return entry.left == 0 ? Self.close(entry.fd, entry.place) : []
  }

  /// Nobody listens any more.
  /// - Returns: who has come since the loops took what was queued.
  func closeAll() -> [Arrival] {
    let last = sockets.flatMap { Self.close($0.fd, $0.place) } + ending.values.flatMap { Self.close($0.fd, $0.place) }
    sockets = []
    ending = [:]
    return last
  }

  /// The kernel resets connections that are queued on a socket when it is closed, so they are taken until there is none.
  private static func close(_ fd: Int32, _ place: Int) -> [Arrival] {
    var arrivals: [Arrival] = []
    // Without descriptors, or if they come faster than they can be taken, the rest is turned away after all.
    while arrivals.count < 4096, let (connection, peer) = try? Socket.accept(fd) {
      arrivals.append(Arrival(fd: connection, peer: peer, listener: place))
    }
    Socket.close(fd)
    return arrivals
  }
}
