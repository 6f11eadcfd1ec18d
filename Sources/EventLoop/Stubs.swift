package typealias StreamError = SystemError
package struct TLSTarget: Sendable {}
package final class Connector { 
  package var isFinished = false
  package static func connect(_ loop: EventLoop, to: [SocketAddress], tls: TLSTarget?, timeout: Int64, completion: @escaping (Result<Stream, ConnectFailure>) -> Void) -> Connector { Connector() } }
package struct ConnectFailure: Error {}
extension Stream { package var endedCleanly: Bool { true } }
