// What token calls need from the resolver: libcurl is never left to look up a name, as its own resolver would block the
// control loop or make a thread for each call.

/// Why a name has no address.
package enum NameFailure: Error, Sendable, Equatable {
  /// The name does not exist, or has no address.
  case notFound
  /// No name server answered in time.
  case timedOut
  /// Anything else.
  case failed
}

/// Looks a name up. On the control loop; `completion` is called there too, once, possibly before the call returns, with
/// numeric IPv4 and IPv6 addresses in the order in which they should be tried.
package typealias NameLookup = (
  _ host: String, _ port: UInt16, _ completion: @escaping (Result<[String], NameFailure>) -> Void
) -> Void
