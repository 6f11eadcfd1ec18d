// The reasons of our own errors as metrics name them: one for each kind, so that there are few and they are known.

enum ErrorReason: Int, CaseIterable {
  case malformed, misdirected, notAllowed, notAuthenticated, noRoute, bodyTooLarge, requestTimeout, loopDetected
  case answeredHere, nameNotFound, connectionRefused, connectionTimeout, connectionFailed, tlsFailure
  case connectionTerminated, malformedResponse, responseHeadTimeout, streamTimeout, tokenUnavailable, parkTimeout
  case parkedTooMany, connectionLimit, draining, internalError

  init(_ kind: GatewayError.Kind) {
    self =
      switch kind {
      case .malformed: .malformed
      case .misdirected: .misdirected
      case .notAllowed: .notAllowed
      case .notAuthenticated: .notAuthenticated
      case .noRoute: .noRoute
      case .bodyTooLarge: .bodyTooLarge
      case .requestTimeout: .requestTimeout
      case .loopDetected: .loopDetected
      case .answeredHere: .answeredHere
      case .nameNotFound: .nameNotFound
      case .connectionRefused: .connectionRefused
      case .connectionTimeout: .connectionTimeout
      case .connectionFailed: .connectionFailed
      case .tlsFailure: .tlsFailure
      case .connectionTerminated: .connectionTerminated
      case .malformedResponse: .malformedResponse
      case .responseHeadTimeout: .responseHeadTimeout
      case .streamTimeout: .streamTimeout
      case .tokenUnavailable: .tokenUnavailable
      case .parkTimeout: .parkTimeout
      case .parkedTooMany: .parkedTooMany
      case .connectionLimit: .connectionLimit
      case .draining: .draining
      case .internalError: .internalError
      }
  }

  /// The kind's word, where it has one of its own.
  var label: String {
    switch self {
    case .malformed: "malformed_request"
    case .misdirected: GatewayError(.misdirected).word
    case .notAllowed: GatewayError(.notAllowed).word
    case .notAuthenticated: GatewayError(.notAuthenticated).word
    case .noRoute: GatewayError(.noRoute).word
    case .bodyTooLarge: GatewayError(.bodyTooLarge).word
    case .requestTimeout: GatewayError(.requestTimeout).word
    case .loopDetected: GatewayError(.loopDetected).word
    case .answeredHere: GatewayError(.answeredHere).word
    case .nameNotFound: GatewayError(.nameNotFound).word
    case .connectionRefused: GatewayError(.connectionRefused).word
    case .connectionTimeout: GatewayError(.connectionTimeout).word
    case .connectionFailed: GatewayError(.connectionFailed).word
    case .tlsFailure: GatewayError(.tlsFailure).word
    case .connectionTerminated: GatewayError(.connectionTerminated).word
    case .malformedResponse: "malformed_response"
    case .responseHeadTimeout: GatewayError(.responseHeadTimeout).word
    case .streamTimeout: GatewayError(.streamTimeout).word
    case .tokenUnavailable: GatewayError(.tokenUnavailable).word
    case .parkTimeout: GatewayError(.parkTimeout).word
    case .parkedTooMany: GatewayError(.parkedTooMany).word
    case .connectionLimit: GatewayError(.connectionLimit).word
    case .draining: GatewayError(.draining).word
    case .internalError: GatewayError(.internalError).word
    }
  }

  var source: GatewayError.Source {
    switch self {
    case .malformed, .misdirected, .notAllowed, .notAuthenticated, .noRoute, .bodyTooLarge, .requestTimeout,
      .loopDetected, .answeredHere:
      .downstream
    case .nameNotFound, .connectionRefused, .connectionTimeout, .connectionFailed, .tlsFailure, .connectionTerminated,
      .malformedResponse, .responseHeadTimeout, .streamTimeout:
      .upstream
    case .tokenUnavailable, .parkTimeout: .tokenEndpoint
    case .parkedTooMany, .connectionLimit, .draining, .internalError: .internal
    }
  }
}
