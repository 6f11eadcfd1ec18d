internal import EventLoop
internal import HTTPWire
struct AddressRange: Sendable { func contains(_ a: SocketAddress) -> Bool { true } }
struct HostSet: Sendable { func contains(_ a: Span<UInt8>) -> Bool { true } }
struct RouteTable: Sendable { 
  struct Match { var route: Int; var strippedBytes: Int }
  func match(listener: Int, host: Span<UInt8>, path: Span<UInt8>, method: Span<UInt8>) -> Match? { Match(route: 0, strippedBytes: 0) } }
extension GatewayError { init(_ e: ConnectFailure) { self.init(.connectionFailed) }
 init(_ e: StreamError) { self.init(.connectionTerminated) }
}
