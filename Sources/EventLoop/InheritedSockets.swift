// The listening sockets that a service manager opened for this process: LISTEN_FDS of sd_listen_fds(3), without libsystemd.
internal import CLinux
internal import Glibc

/// Sockets that are taken over instead of opened, by name or by address. Looked at once, in the process's first thread.
package struct InheritedSockets: Sendable {
  package struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
    package var description: String
    init(_ description: String) { self.description = description }
  }

  private struct Entry {
    var fd: Int32
    var name: String
    var address: SocketAddress
    var isTaken = false
  }

  /// The first descriptor that is handed over: SD_LISTEN_FDS_START.
  private static let first: Int32 = 3

  private var entries: [Entry] = []

  /// Nothing when LISTEN_PID names another process: the variables were meant for a parent. The sockets are closed on exec
  /// from here on.
  /// - Parameter first: the first descriptor; tests have others in its place.
  /// - Throws: when what was handed over is not what the variables say, or no listening stream socket.
  package init(_ environment: [String: String], process: Int32 = Process.id, first: Int32 = first) throws(Failure) {
    guard let count = environment["LISTEN_FDS"], let owner = environment["LISTEN_PID"] else { return }
    guard let owner = Int32(owner), owner > 0 else { throw Failure("LISTEN_PID is not the number of a process") }
    if owner != process { return }
    guard let count = Int32(count), (0...4096).contains(count) else {
      throw Failure("LISTEN_FDS is not a number of descriptors")
    }
    let names = (environment["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false)
    for index in 0..<count {
      let name = Int(index) < names.count ? String(names[Int(index)]) : ""
      entries.append(try Self.entry(first + index, name))
    }
  }

  private static func entry(_ fd: Int32, _ name: String) throws(Failure) -> Entry {
    let what = name.isEmpty ? "inherited descriptor \(fd)" : "inherited descriptor \(fd) (\(name))"
    guard fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 else { throw Failure("\(what) is not open, though LISTEN_FDS counts it") }
    guard option(fd, SO_TYPE) == Int32(SOCK_STREAM.rawValue), option(fd, SO_ACCEPTCONN) == 1 else {
      throw Failure("\(what) is not a listening stream socket")
    }
    do {
      return Entry(fd: fd, name: name, address: try Socket.localAddress(fd))
    } catch {
      throw Failure("\(what) has no address of ours: \(error)")
    }
  }

  private static func option(_ fd: Int32, _ name: Int32) -> Int32? {
    var value: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    return unsafe getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
  }

  /// Hands out the sockets: first those that have the name of a listener (of several, the one with its address), then
  /// those that have the address of one.
  /// - Returns: for each that is wanted, the descriptor, which is the caller's from then on, or nil.
  /// - Throws: when a socket is left over, or could be reached from other machines though its listener is on loopback and
  ///   is thus not asked who may call.
  package mutating func take(
    _ wanted: [(name: String, address: SocketAddress)]
  ) throws(Failure) -> [Int32?] {
    var taken = [Int32?](repeating: nil, count: wanted.count)
    for (index, listener) in wanted.enumerated() {
      let named = entries.indices.filter { !entries[$0].isTaken && entries[$0].name == listener.name }
      let place = named.first { entries[$0].address == listener.address } ?? named.first
      if let place { taken[index] = try take(place, listener) }
    }
    for (index, listener) in wanted.enumerated() where taken[index] == nil {
      let place = entries.indices.first { !entries[$0].isTaken && entries[$0].address == listener.address }
      if let place { taken[index] = try take(place, listener) }
    }
    if let left = entries.first(where: { !$0.isTaken }) {
      let name = left.name.isEmpty ? "" : " (\(left.name))"
      throw Failure(
        "inherited socket \(left.address)\(name) is of no use: no listener of the configuration has its address or name"
      )
    }
    return taken
  }

  private mutating func take(
    _ place: Int, _ listener: (name: String, address: SocketAddress)
  ) throws(Failure) -> Int32 {
    let address = entries[place].address
    if listener.address.isLoopback, !address.isLoopback {
      throw Failure(
        "inherited socket \(address) can be reached from other machines, but listener \(listener.name) is configured for "
          + "\(listener.address): write that address into the configuration, and who may call")
    }
    entries[place].isTaken = true
    return entries[place].fd
  }
}
