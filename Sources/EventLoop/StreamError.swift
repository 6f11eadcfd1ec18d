// Why a stream cannot be used (any more): the system said so, or TLS did.

/// What ended a stream or its sending direction.
package enum StreamError: Error, Sendable, Equatable, CustomStringConvertible {
  case system(SystemError)
  case tls(TLSError)

  package var description: String {
    switch self {
    case .system(let error): error.description
    case .tls(let error): error.description
    }
  }
}
