// What a look-up comes to.
internal import CCares

/// The addresses of a name.
package struct ResolvedName: Sendable, Equatable {
  /// In the order in which they should be tried (RFC 6724); their port is 0. Never empty.
  package var addresses: [SocketAddress]
  /// Nanoseconds for which they may be used: from 5 s to 5 min.
  package var timeToLive: Int64

  static let shortestTime: Int64 = 5_000_000_000
  static let longestTime: Int64 = 300_000_000_000

  init(addresses: [SocketAddress], secondsToLive: Int32) {
    self.addresses = addresses
    timeToLive = min(max(Int64(secondsToLive) * 1_000_000_000, Self.shortestTime), Self.longestTime)
  }

  /// Addresses that cannot change.
  init(fixed addresses: [SocketAddress]) {
    self.addresses = addresses
    timeToLive = Self.longestTime
  }
}

/// Why a name has no addresses.
package struct ResolveFailure: Error, Sendable, Equatable, CustomStringConvertible {
  /// The raw value is stable: it appears in logs.
  package enum Reason: String, Sendable, CaseIterable, CustomStringConvertible {
    /// The name does not exist, or has no address (NXDOMAIN, NODATA).
    case notFound = "not_found"
    case timedOut = "timed_out"
    /// No name server can be reached, or all of them answered that they cannot (SERVFAIL, REFUSED, …): c-ares asks the
    /// next one, and does not tell these apart in the end.
    case serverFailure = "server_failure"
    case badName = "bad_name"
    /// The resolver was stopped.
    case stopped
    case library

    package var description: String { rawValue }
  }

  package var reason: Reason
  package var detail: String

  package init(_ reason: Reason, _ detail: String) {
    self.reason = reason
    self.detail = detail
  }

  package var description: String { "\(reason.rawValue): \(detail)" }

  /// From a status of c-ares.
  init(status: Int32) {
    let detail =
      status == ARES_ECONNREFUSED
      ? "no DNS server can be reached, or all of them failed" : unsafe String(cString: ares_strerror(status))
    let reason: Reason =
      switch status {
      case ARES_ENODATA, ARES_ENOTFOUND: .notFound
      case ARES_ETIMEOUT: .timedOut
      case ARES_EFORMERR, ARES_ESERVFAIL, ARES_ENOTIMP, ARES_EREFUSED, ARES_EBADRESP, ARES_ECONNREFUSED:
        .serverFailure
      case ARES_EBADNAME: .badName
      case ARES_EDESTRUCTION, ARES_ECANCELLED: .stopped
      default: .library
      }
    self.init(reason, detail)
  }
}
