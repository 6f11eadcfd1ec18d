// The sockets that callers connect to: inherited from a service manager, or opened here.
internal import EventLoop
internal import Glibc

enum ListeningSockets {
  /// The descriptors, in the order of the listeners, and the admin listener's, which a service manager names `admin`.
  /// - Parameters:
  ///   - predecessor: the process that has sockets for us.
  ///   - patience: how long to wait for an address that a process has which is just ending.
  static func open(
    _ listeners: [(name: String, address: SocketAddress)], admin: SocketAddress, _ environment: [String: String],
    _ predecessor: HandoverClient?, patience: Duration
  ) throws(StartFailure) -> (listeners: [Int32], admin: Int32) {
    let wanted = listeners + [(name: "admin", address: admin)]
    var inherited: [Int32?]
    do {
      var sockets = try InheritedSockets(environment)
      inherited = try sockets.take(wanted)
    } catch {
      throw StartFailure("\(error)")
    }
    var opened: [Int32] = []
    for (index, listener) in wanted.enumerated() {
      let isAdmin = index == listeners.count
      let what = isAdmin ? "admin listener" : "listener \(listener.name)"
      let handed = predecessor?.take(isAdmin ? .admin : .listener, name: isAdmin ? "" : listener.name, listener.address)
      if let fd = inherited[index] {
        opened.append(fd)
        if let handed { Socket.close(handed) }
      } else {
        if let handed { opened.append(handed) } else { opened.append(try listen(listener.address, what, patience)) }
      }
    }
    let last = opened.removeLast()
    return (opened, last)
  }

  private static func listen(
    _ address: SocketAddress, _ what: String, _ patience: Duration
  ) throws(StartFailure) -> Int32 {
    let end = ContinuousClock.now + patience
    while true {
      do {
        return try Socket.listen(on: address)
      } catch {
        guard error.errno == EADDRINUSE, ContinuousClock.now < end else {
          throw StartFailure("\(what) can't listen on \(address): \(error)")
        }
        usleep(20_000)
      }
    }
  }
}
