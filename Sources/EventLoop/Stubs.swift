package typealias StreamError = SystemError
package struct TLSError: Error {}
package final class TLSClientContext: Sendable { package static func shared(caFile: String?) throws(TLSError) -> TLSClientContext { throw TLSError() } }
package struct TLSTarget: Sendable { package init(context: TLSClientContext, serverName: String, port: UInt16) {} }
package final class Connector: StreamDelegate {
  package var isFinished = false
  var completion: ((Result<Stream, ConnectFailure>) -> Void)?
  package static func connect(_ loop: EventLoop, to: [SocketAddress], tls: TLSTarget?, timeout: Int64, completion: @escaping (Result<Stream, ConnectFailure>) -> Void) -> Connector { 
   let c = Connector(); c.completion = completion
   do throws(SystemError) { let fd = try Socket.startConnecting(to: to[0]); let s = try Stream(loop, connecting: fd); s.delegate = c } catch { c.isFinished = true; completion(.failure(ConnectFailure())) }
   return c
 }
  package func streamDidConnect(_ stream: Stream) { isFinished = true; stream.delegate = nil; completion?(.success(stream)) }
  package func stream(_ stream: Stream, didRead bytes: Span<UInt8>) {}
  package func streamDidFinishReading(_ stream: Stream) {}
  package func streamDidEnd(_ stream: Stream) {}
  package func streamDidHangUp(_ stream: Stream) {}
  package func streamDidDrain(_ stream: Stream) {}
  package func streamDidFailWriting(_ stream: Stream, _ error: SystemError) {}
  package func streamDidFail(_ stream: Stream, _ error: SystemError) { completion?(.failure(ConnectFailure())) }
}
package struct ConnectFailure: Error {}
extension Stream { package var endedCleanly: Bool { true } }
package struct ResolveFailure: Error { package var reason = "" }
package struct ResolvedName { package var addresses: [SocketAddress] }
package final class NameWatcher {}
package final class Resolver { package init(_ loop: EventLoop) throws(SystemError) {} 
  package func resolve(_ host: String, _ c: @escaping (Result<ResolvedName, ResolveFailure>) -> Void) { c(.failure(ResolveFailure())) }
  package func watch(_ host: String, _ c: @escaping (Result<ResolvedName, ResolveFailure>) -> Void) -> NameWatcher { NameWatcher() } }
