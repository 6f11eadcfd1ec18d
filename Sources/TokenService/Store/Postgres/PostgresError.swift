// What went wrong with PostgreSQL, in words for the log: never a value of a row or a parameter.

internal import TokenKit

/// A failure of one statement or connection.
struct PostgresFailure: Error {
  var error: StoreError
  /// Whether the connection is gone, or must go: the session's locks are lost with it.
  var isConnectionLost: Bool

  static func lost(_ message: String) -> PostgresFailure {
    PostgresFailure(error: StoreError(.unavailable, "PostgreSQL: \(message)"), isConnectionLost: true)
  }

  /// A row that this gateway has not written.
  static func unreadable(_ message: String) -> PostgresFailure {
    PostgresFailure(error: StoreError(.unreadable, "PostgreSQL: \(message)"), isConnectionLost: false)
  }

  /// What an SQLSTATE means (PostgreSQL's appendix A). The server's text may quote values in data exceptions (22) and
  /// violated constraints (23), and is left out there.
  init(state: String, text: String) {
    let kind: StoreError.Kind
    var isLost = false
    switch state {
    case "53100": kind = .full
    case "57014":
      self.init(
        error: StoreError(.unavailable, "PostgreSQL: the statement took too long and was cancelled (57014)"),
        isConnectionLost: false)
      return
    case "25006":
      // It became a standby: the primary is behind a new connection.
      (kind, isLost) = (.unavailable, true)
    case _ where ["08", "53", "57"].contains(state.prefix(2)):
      kind = .unavailable
      isLost = state.hasPrefix("08") || state.hasPrefix("57P")
    case _ where ["28", "3D", "3F", "42", "0A"].contains(state.prefix(2)): kind = .unavailable
    default: kind = .io
    }
    let mayQuote = state.hasPrefix("22") || state.hasPrefix("23") || state.isEmpty
    let detail = mayQuote ? "the statement failed" : text
    self.init(error: StoreError(kind, "PostgreSQL: \(detail) (SQLSTATE \(state))"), isConnectionLost: isLost)
  }

  init(error: StoreError, isConnectionLost: Bool) {
    self.error = error
    self.isConnectionLost = isConnectionLost
  }
}
