// The admin listener: health, readiness and the state of the credentials, for probes and people. On the control loop.
internal import EventLoop
internal import HTTPWire

/// Confined to the control loop.
final class AdminServer {
  private static let connectionLimit = 64

  let loop: EventLoop
  let plane: ControlPlane
  let hosts: HostSet
  private var listener: Listener?
  private var connections: [ObjectIdentifier: AdminConnection] = [:]

  init(_ loop: EventLoop, fd: Int32, plane: ControlPlane, address: SocketAddress) throws(SystemError) {
    self.loop = loop
    self.plane = plane
    // A page in somebody's browser can reach loopback, but not with one of these names in Host.
    hosts = AdminServer.hosts(address)
    listener = try Listener(loop, fd: fd) { [unowned self] connection, _ in accept(connection) }
  }

  private static func hosts(_ address: SocketAddress) -> HostSet {
    HostSet(["localhost", "127.0.0.1", "[::1]"] + (HostName.normal(address.host).map { [$0] } ?? []))
  }

  private func accept(_ fd: Int32) {
    guard connections.count < Self.connectionLimit else { return Socket.close(fd) }
    do throws(SystemError) {
      let connection = AdminConnection(self, try Stream(loop, connected: fd))
      connections[ObjectIdentifier(connection)] = connection
    } catch {
      Socket.close(fd)
    }
  }

  func closed(_ connection: AdminConnection) { connections[ObjectIdentifier(connection)] = nil }

  func close() {
    listener?.drain()
    listener = nil
    for connection in Array(connections.values) { connection.close() }
  }

  /// The answer to a well-formed request.
  func answer(method: Method, path: String) -> AdminAnswer {
    guard method == .get || method == .head else {
      return AdminAnswer(status: 405, body: "{\"error\":\"method not allowed\"}\n")
    }
    switch path {
    case "/healthz": return AdminAnswer(status: 200, body: "{\"status\":\"ok\"}\n")
    case "/readyz": return CredentialReport.readiness(plane)
    case "/api/credentials": return CredentialReport.list(plane)
    default:
      return AdminAnswer(
        status: 404, body: "{\"error\":\"not found\",\"paths\":[\"/healthz\",\"/readyz\",\"/api/credentials\"]}\n")
    }
  }
}

struct AdminAnswer {
  var status: UInt16
  var body: String
}
