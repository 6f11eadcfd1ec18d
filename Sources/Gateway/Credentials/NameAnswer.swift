// The resolver's answers in the words of those who ask: the curl transport and the data loops.
internal import EventLoop
internal import TokenService

enum NameAnswer {
  /// For the transport: numeric addresses, in the order in which they should be tried.
  static func numeric(_ result: Result<ResolvedName, ResolveFailure>) -> Result<[String], NameFailure> {
    switch result {
    case .success(let name): .success(name.addresses.map(\.host))
    case .failure(let failure):
      switch failure.reason {
      case .notFound, .badName: .failure(.notFound)
      case .timedOut: .failure(.timedOut)
      case .serverFailure, .unreachable, .stopped, .library: .failure(.failed)
      }
    }
  }

  /// For the data loops: addresses to connect to, or the error for callers.
  static func upstream(
    _ result: Result<ResolvedName, ResolveFailure>, port: UInt16
  ) -> Result<[SocketAddress], GatewayError> {
    switch result {
    case .success(let name): .success(name.addresses.map { $0.with(port: port) })
    case .failure(let failure): .failure(GatewayError(.nameNotFound, reason: "name_\(failure.reason.rawValue)"))
    }
  }
}
