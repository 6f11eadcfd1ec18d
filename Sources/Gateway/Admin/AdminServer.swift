// The admin listener: health, readiness and the credentials, for probes, for people and for the gateway's own command
// line. On the control loop.
internal import EventLoop
internal import HTTPWire
internal import TokenKit

/// Confined to the control loop.
final class AdminServer {
  private static let connectionLimit = 64

  let loop: EventLoop
  private var access: AdminAccess
  private var listener: Listener?
  private(set) var isYielding = false
  private var connections: [ObjectIdentifier: AdminConnection] = [:]
  private let routes: [AdminRoute]

  init(
    _ loop: EventLoop, fd: Int32, plane: ControlPlane, address: SocketAddress, token: Secret?
  ) throws(SystemError) {
    self.loop = loop
    access = AdminAccess(hosts: Self.hosts(address), token: token)
    routes = Self.makeRoutes(plane)
    listener = try Listener(loop, fd: fd) { [unowned self] connection, _ in accept(connection) }
  }

  /// A reload has brought another token, or none.
  func follow(_ token: Secret?) { access = AdminAccess(hosts: access.hosts, token: token) }

  /// Everything that can be asked. Handlers are called on the control loop.
  private static func makeRoutes(_ plane: ControlPlane) -> [AdminRoute] {
    let credentials = AdminCredentials(plane)
    let reload = AdminReload(plane)
    let status = AdminStatus(plane)
    return [
      AdminRoute(.get, "/", isOpen: true, answer: status.page),
      AdminRoute(.get, "/api/status", status.snapshot),
      AdminRoute(.get, "/api/events", status.events),
      AdminRoute(.get, "/healthz", isOpen: true, answer: reload.health),
      AdminRoute(.get, "/readyz", isOpen: true) { [unowned plane] _ in CredentialReport.readiness(plane) },
      AdminRoute(.get, "/metrics", AdminMetrics(plane).scrape),
      AdminRoute(.get, "/api/credentials") { [unowned plane] _ in CredentialReport.list(plane) },
      AdminRoute(.get, "/api/credentials/{name}", credentials.show),
      AdminRoute(.get, "/api/reload", answer: reload.last),
      AdminRoute(.post, "/api/reload", reload.reload),
      AdminRoute(.post, "/api/credentials/{name}/refresh", credentials.refresh),
      AdminRoute(.put, "/api/credentials/{name}/tokens", credentials.takeTokens),
    ]
  }

  /// Off loopback there is a token, and any name may lead here.
  private static func hosts(_ address: SocketAddress) -> HostSet {
    guard address.isLoopback else { return .any }
    return HostSet(["localhost", "127.0.0.1", "[::1]"] + (HostName.normal(address.host).map { [$0] } ?? []))
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

  /// Another process has the listener from now on. Requests at hand are answered, and people who look are sent there.
  func yield() {
    isYielding = true
    listener?.stop()
    listener = nil
    for connection in Array(connections.values) { connection.closeUnlessAnswering() }
  }

  func close() {
    listener?.drain()
    listener = nil
    for connection in Array(connections.values) { connection.close() }
  }

  /// What a request leads to, judged by its head.
  enum Judgement {
    case refused(AdminAnswer)
    case handled(AdminRoute.Handler, AdminRequest)
  }

  /// Finds the route, and refuses those who may not use it, before anything of a body is read.
  func judge(_ head: RequestHead, _ bytes: [UInt8]) -> Judgement {
    if let refusal = access.refusal(head, bytes) { return .refused(refusal) }
    let path = String(decoding: bytes[head.path.range], as: UTF8.self)
    var found: [(route: AdminRoute, parameters: [String: String])] = []
    for route in routes { if let parameters = route.match(path) { found.append((route, parameters)) } }
    if found.first?.route.isOpen != true, let refusal = access.unauthorized(head, bytes) { return .refused(refusal) }
    if found.isEmpty { return .refused(notFound) }
    let method = head.method == .head ? Method.get : head.method
    guard let (route, parameters) = found.first(where: { $0.route.method == method }) else {
      return .refused(notAllowed(found.map(\.route.method)))
    }
    if method != .get, let refusal = access.unmarked(head, bytes) { return .refused(refusal) }
    let query = String(decoding: bytes[head.query.range].dropFirst(), as: UTF8.self)
    return .handled(
      route.handler, AdminRequest(method: method, path: path, query: query, parameters: parameters))
  }

  private var notFound: AdminAnswer {
    let paths = Set(routes.map(\.path)).sorted().map(ProblemResponse.quoted).joined(separator: ",")
    return AdminAnswer(status: 404, body: "{\"error\":\"not found\",\"paths\":[\(paths)]}\n")
  }

  private func notAllowed(_ methods: [Method]) -> AdminAnswer {
    let names = methods.flatMap { method in
      switch method {
      case .get: ["GET", "HEAD"]
      case .post: ["POST"]
      case .put: ["PUT"]
      case .delete: ["DELETE"]
      case .head, .options, .patch, .other: [String]()
      }
    }
    var answer = AdminAnswer.error(405, "method not allowed")
    answer.fields = [("Allow", names.joined(separator: ", "))]
    return answer
  }
}
