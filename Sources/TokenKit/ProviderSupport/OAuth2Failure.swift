// The one table from OAuth2 error codes to outcomes (RFC 6749 §5.2, OpenID Connect Core §3.1.2.6, RFC 8628, Hydra).

extension OAuth2Reply {
  /// Codes that are known, and what follows from each. A code that is not here is misconfigured, under its status.
  static let outcomes: [String: GrantError.Kind] = [
    "invalid_grant": .needsLogin,
    // Hydra before 1.0 says this, with 401, of a spent or revoked refresh token.
    "token_inactive": .needsLogin,
    // Entra and others say these of a refresh token that only a person can bring back.
    "interaction_required": .needsLogin,
    "login_required": .needsLogin,
    "consent_required": .needsLogin,
    "temporarily_unavailable": .transient,
    "slow_down": .transient,
    "server_error": .unanswered,
    "invalid_request": .misconfigured,
    "invalid_client": .misconfigured,
    "unauthorized_client": .misconfigured,
    "unsupported_grant_type": .misconfigured,
    "invalid_scope": .misconfigured,
    "invalid_target": .misconfigured,
    "access_denied": .misconfigured,
    "invalid_dpop_proof": .misconfigured,
    "use_dpop_nonce": .misconfigured,
  ]

  /// The error that the reply states, if it states one; also with HTTP 200, which some servers send.
  func failure(of response: GrantResponse) -> GrantError? {
    switch error {
    case nil, .string(""), .number(0), .bool(false): return nil
    case .string(let code):
      guard let kind = Self.outcomes[code] else { return unknown(response) }
      if code == "invalid_request", saysConcurrentUse {
        return GrantError(.unanswered, "concurrent_refresh", retryAfter: response.retryAfter)
      }
      let waits = kind == .transient || kind == .unanswered
      return GrantError(kind, code, retryAfter: waits ? response.retryAfter : nil)
    case .number, .bool, .other: return unknown(response)
    }
  }

  /// A code that nobody knows never reaches a log: a server may put anything there.
  private func unknown(_ response: GrantResponse) -> GrantError {
    GrantError(.misconfigured, (200..<300).contains(response.status) ? "unknown_error" : "http_\(response.status)")
  }

  /// Hydra's answer to the one that lost a race for a refresh token: somebody else has rotated it, or tries to.
  private var saysConcurrentUse: Bool {
    [errorDescription, errorHint].contains { member in
      guard let text = member?.text?.lowercased() else { return false }
      return text.contains("concurrent") || text.contains("retry")
    }
  }
}
