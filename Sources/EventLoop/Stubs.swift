package struct ResolveFailure: Error { package var reason = "" }
package struct ResolvedName { package var addresses: [SocketAddress] }
package final class NameWatcher {}
package final class Resolver { package init(_ loop: EventLoop) throws(SystemError) {} 
  package func resolve(_ host: String, _ c: @escaping (Result<ResolvedName, ResolveFailure>) -> Void) { c(.failure(ResolveFailure())) }
  package func watch(_ host: String, _ c: @escaping (Result<ResolvedName, ResolveFailure>) -> Void) -> NameWatcher { NameWatcher() } }
