internal import EventLoop
internal import HTTPWire
extension GatewayError { init(_ e: ConnectFailure) { self.init(.connectionFailed) }
 init(_ e: StreamError) { self.init(.connectionTerminated) }
}
