// Every error that the gateway answers with itself, and the one place that maps it to a status, a problem document
// (RFC 9457) and a Proxy-Status error (RFC 9209).
internal import HTTPWire

/// Why the gateway answers a request itself.
struct GatewayError: Error, Equatable {
  enum Kind: Equatable {
    // The caller's request.
    case malformed(WireError)
    case misdirected
    case notAllowed
    case notAuthenticated
    case noRoute
    case bodyTooLarge
    case requestTimeout
    case loopDetected
    case answeredHere
    // The upstream.
    case nameNotFound
    case connectionRefused
    case connectionTimeout
    case connectionFailed
    case tlsFailure
    case connectionTerminated
    case malformedResponse(WireRule)
    case responseHeadTimeout
    case streamTimeout
    // The token.
    case tokenUnavailable
    case parkTimeout
    case parkedTooMany
    // This process.
    case connectionLimit
    case draining
    case internalError
  }

  /// Who is at fault.
  enum Source: String { case downstream, upstream, tokenEndpoint = "token_endpoint", `internal` }

  var kind: Kind
  /// The credential concerned, for errors of tokens.
  var credential: String?
  /// A stable word that refines the kind: why no token could be had, or what the TLS library said.
  var reason: String?
  /// Seconds after which another attempt makes sense.
  var retryAfter: Int?

  init(_ kind: Kind, credential: String? = nil, reason: String? = nil, retryAfter: Int? = nil) {
    self.kind = kind
    self.credential = credential
    self.reason = reason
    self.retryAfter = retryAfter
  }

  var source: Source {
    switch kind {
    case .malformed, .misdirected, .notAllowed, .notAuthenticated, .noRoute, .bodyTooLarge, .requestTimeout,
      .loopDetected, .answeredHere:
      .downstream
    case .nameNotFound, .connectionRefused, .connectionTimeout, .connectionFailed, .tlsFailure,
      .connectionTerminated, .malformedResponse, .responseHeadTimeout, .streamTimeout:
      .upstream
    case .tokenUnavailable, .parkTimeout: .tokenEndpoint
    case .parkedTooMany, .connectionLimit, .draining, .internalError: .internal
    }
  }

  var status: UInt16 {
    switch kind {
    case .malformed(let error): error.status
    case .misdirected: 421
    case .notAllowed: 403
    case .notAuthenticated: 401
    case .noRoute: 404
    case .bodyTooLarge: 413
    case .requestTimeout: 408
    case .loopDetected: 508
    case .answeredHere: 200
    case .nameNotFound, .connectionRefused, .connectionFailed, .tlsFailure, .connectionTerminated,
      .malformedResponse, .tokenUnavailable:
      502
    case .connectionTimeout, .responseHeadTimeout, .streamTimeout, .parkTimeout: 504
    case .parkedTooMany, .connectionLimit, .draining: 503
    case .internalError: 500
    }
  }

  /// The error type of RFC 9209 §2.3, nil where the caller is at fault and no type fits.
  var proxyStatus: String {
    switch kind {
    case .malformed: "http_request_error"
    case .misdirected, .noRoute: "destination_not_found"
    case .notAllowed, .notAuthenticated: "http_request_denied"
    case .bodyTooLarge, .requestTimeout, .answeredHere: "http_request_error"
    case .loopDetected: "proxy_loop_detected"
    case .nameNotFound: "dns_error"
    case .connectionRefused: "connection_refused"
    case .connectionTimeout: "connection_timeout"
    case .connectionFailed: "destination_unavailable"
    case .tlsFailure: "tls_protocol_error"
    case .connectionTerminated: "connection_terminated"
    case .malformedResponse(.headTooLarge), .malformedResponse(.tooManyFields): "http_response_header_section_size"
    case .malformedResponse: "http_protocol_error"
    case .responseHeadTimeout, .streamTimeout: "http_response_timeout"
    case .tokenUnavailable, .parkTimeout: "proxy_configuration_error"
    case .parkedTooMany, .connectionLimit: "connection_limit_reached"
    case .draining: "destination_unavailable"
    case .internalError: "proxy_internal_error"
    }
  }

  /// A word for logs, metrics and the problem document's `reason`.
  var word: String {
    if let reason { return reason }
    switch kind {
    case .malformed(let error): return error.rule.rawValue
    case .misdirected: return "misdirected_request"
    case .notAllowed: return "not_allowed"
    case .notAuthenticated: return "caller_token_required"
    case .noRoute: return "no_route"
    case .bodyTooLarge: return "body_too_large"
    case .requestTimeout: return "request_timeout"
    case .loopDetected: return "loop_detected"
    case .answeredHere: return "max_forwards"
    case .nameNotFound: return "name_not_found"
    case .connectionRefused: return "connection_refused"
    case .connectionTimeout: return "connection_timeout"
    case .connectionFailed: return "connection_failed"
    case .tlsFailure: return "tls_failure"
    case .connectionTerminated: return "connection_terminated"
    case .malformedResponse(let rule): return rule.rawValue
    case .responseHeadTimeout: return "response_head_timeout"
    case .streamTimeout: return "stream_timeout"
    case .tokenUnavailable: return "token_unavailable"
    case .parkTimeout: return "park_timeout"
    case .parkedTooMany: return "parked_too_many"
    case .connectionLimit: return "limit_reached"
    case .draining: return "draining"
    case .internalError: return "internal_error"
    }
  }

  /// One sentence for the person who reads the answer.
  var detail: String {
    switch kind {
    case .malformed(let error): return "The request breaks a rule of HTTP: \(error.rule.rawValue)."
    case .misdirected: return "This listener does not serve the host that the request names."
    case .notAllowed: return "Requests from this address are not allowed."
    case .notAuthenticated: return "This listener wants its caller token in X-Gateway-Token."
    case .noRoute: return "No route matches the request."
    case .bodyTooLarge: return "The request's body is larger than this route allows."
    case .requestTimeout: return "The request did not arrive in time."
    case .loopDetected: return "The request has passed through this gateway before."
    case .answeredHere: return "Max-Forwards is 0."
    case .nameNotFound: return "The upstream's name could not be resolved."
    case .connectionRefused: return "The upstream refused the connection."
    case .connectionTimeout: return "The upstream did not accept a connection in time."
    case .connectionFailed: return "No connection to the upstream could be made."
    case .tlsFailure: return "TLS with the upstream failed."
    case .connectionTerminated: return "The upstream closed the connection before it had answered."
    case .malformedResponse(let rule): return "The upstream's answer breaks a rule of HTTP: \(rule.rawValue)."
    case .responseHeadTimeout: return "The upstream did not answer in time."
    case .streamTimeout: return "Nothing moved for too long."
    case .tokenUnavailable:
      let name = credential ?? ""
      switch reason {
      case "needs_login", "lost_reply":
        return "Credential \"\(name)\" needs a login: its refresh token is not accepted any more."
      case "misconfigured":
        return "Credential \"\(name)\" is misconfigured: the token endpoint refuses its client or its settings."
      case "rate_limited":
        return
          "No token for credential \"\(name)\" yet: its token endpoint takes no further call before the time in Retry-After."
      case "shutting_down": return "The gateway is shutting down."
      default: return "No token for credential \"\(name)\": its token endpoint cannot be reached or does not answer."
      }
    case .parkTimeout: return "No token for credential \"\(credential ?? "")\" came in time."
    case .parkedTooMany: return "Too many requests wait for a token of credential \"\(credential ?? "")\"."
    case .connectionLimit: return "The gateway has reached a limit."
    case .draining: return "The gateway is shutting down."
    case .internalError: return "The gateway failed."
    }
  }

  /// Seconds for Retry-After, nil where another attempt would not help.
  var retryAfterSeconds: Int? {
    switch kind {
    case .parkedTooMany, .connectionLimit, .draining: retryAfter ?? 1
    default: retryAfter
    }
  }
}
