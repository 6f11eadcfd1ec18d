// Where an upstream is, for every loop: what the pool's connections have in common.
internal import EventLoop

/// Immutable. Each loop has its own.
final class UpstreamTarget: Sendable {
  /// Among the upstream servers of the process.
  let place: Int
  let host: String
  let port: UInt16
  /// The Host line of requests to it.
  let hostLine: [UInt8]
  let tls: TLSTarget?
  /// The address itself when the host is a literal; else the control loop resolves it and publishes the addresses.
  let literalAddresses: [SocketAddress]
  let idleTimeout: Int64
  /// How many connections a loop keeps while nobody uses them.
  let idleConnections: Int
  let responseHeadBytes: Int
  let responseFields: Int

  init(
    place: Int, host: String, port: UInt16, authority: String, tls: TLSTarget?, idleTimeout: Int64,
    idleConnections: Int,
    responseHeadBytes: Int, responseFields: Int
  ) {
    self.place = place
    self.host = host
    self.port = port
    hostLine = Array("Host: \(authority)\r\n".utf8)
    self.tls = tls
    self.idleTimeout = idleTimeout
    self.idleConnections = idleConnections
    self.responseHeadBytes = responseHeadBytes
    self.responseFields = responseFields
    literalAddresses = SocketAddress(numeric: host, port: port).map { [$0] } ?? []
  }
}
