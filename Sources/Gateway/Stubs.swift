internal import EventLoop
internal import TokenService
extension GatewayError { init(_ e: ResolveFailure) { self.init(.nameNotFound) } }
extension SocketAddress { func with(port: UInt16) -> SocketAddress { self } }
enum NameAnswer { static func numeric(_ r: Result<ResolvedName, ResolveFailure>, port: UInt16) -> Result<[String], NameFailure> { .failure(.notFound) } }
