// The sockets that callers connect to: inherited from a service manager, or opened here.
internal import EventLoop

enum ListeningSockets {
  /// The descriptors, in the order of the listeners, and the admin listener's, which a service manager names `admin`.
  static func open(
    _ listeners: [(name: String, address: SocketAddress)], admin: SocketAddress, _ environment: [String: String]
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
      let what = index == listeners.count ? "admin listener" : "listener \(listener.name)"
      if let fd = inherited[index] { opened.append(fd) } else { opened.append(try listen(listener.address, what)) }
    }
    let last = opened.removeLast()
    return (opened, last)
  }

  private static func listen(_ address: SocketAddress, _ what: String) throws(StartFailure) -> Int32 {
    do {
      return try Socket.listen(on: address)
    } catch {
      throw StartFailure("\(what) can't listen on \(address): \(error)")
    }
  }
}
