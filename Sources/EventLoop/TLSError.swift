// What TLS can fail with: a short stable reason for logs, metrics and Proxy-Status, and OpenSSL's own words.
internal import COpenSSL

/// A failure of TLS. Holds nothing that the peer chose, and no secret.
package struct TLSError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The raw value is stable: it appears in logs and metrics.
  package enum Reason: String, Sendable, CaseIterable {
    case certificateUnknownAuthority = "certificate_unknown_authority"
    case certificateNameMismatch = "certificate_name_mismatch"
    case certificateExpired = "certificate_expired"
    case certificateNotYetValid = "certificate_not_yet_valid"
    case certificateRevoked = "certificate_revoked"
    case certificateInvalid = "certificate_invalid"
    /// No common version, cipher or parameters.
    case handshakeFailure = "handshake_failure"
    /// The peer asks for a client certificate.
    case clientCertificateRequired = "client_certificate_required"
    /// The peer refused for a reason of its own.
    case alertReceived = "alert_received"
    /// The peer hung up in the middle of the handshake.
    case handshakeClosed = "handshake_closed"
    /// What came is not TLS, or not well formed.
    case protocolViolation = "protocol"
    /// The file of certificate authorities cannot be used.
    case trustStore = "trust_store"
    /// OpenSSL cannot do what it is asked: no memory, a name that it does not take.
    case library = "library"
  }

  package var reason: Reason
  /// OpenSSL's text of the failure.
  package var detail: String

  package init(_ reason: Reason, _ detail: String) {
    self.reason = reason
    self.detail = detail
  }

  package var description: String { "\(reason.rawValue): \(detail)" }
}

extension TLSError {
  /// Takes what the thread's error queue says, and empties it.
  static func fromQueue(otherwise reason: Reason = .protocolViolation) -> TLSError {
    let code = ERR_get_error()
    ERR_clear_error()
    guard code != 0 else { return TLSError(reason, "no reason given") }
    let isFromTLS = ERR_GET_LIB(code) == ERR_LIB_SSL
    return TLSError(isFromTLS ? classify(ERR_GET_REASON(code)) : reason, text(code))
  }

  /// What the verification of the peer's certificate came to; nil when it was good.
  static func fromVerification(_ result: Int) -> TLSError? {
    guard result != Int(X509_V_OK) else { return nil }
    let detail = unsafe String(cString: X509_verify_cert_error_string(result))
    return TLSError(classifyVerification(Int32(clamping: result)), detail)
  }

  private static func text(_ code: UInt) -> String {
    guard let reason = unsafe ERR_reason_error_string(code) else { return "OpenSSL error \(code)" }
    return unsafe String(cString: reason)
  }

  private static func classify(_ reason: Int32) -> Reason {
    switch reason {
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION,
      SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY, SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_NO_CIPHERS_AVAILABLE,
      SSL_R_NO_SHARED_CIPHER, SSL_R_UNSUPPORTED_SSL_VERSION:
      .handshakeFailure
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: .clientCertificateRequired
    case SSL_R_UNEXPECTED_EOF_WHILE_READING: .handshakeClosed
    // ssl.h: alerts of the peer are numbered from SSL_AD_REASON_OFFSET on.
    case SSL_AD_REASON_OFFSET...(SSL_AD_REASON_OFFSET + 255): .alertReceived
    default: .protocolViolation
    }
  }

  private static func classifyVerification(_ result: Int32) -> Reason {
    switch result {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
      X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED:
      .certificateUnknownAuthority
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: .certificateNameMismatch
    case X509_V_ERR_CERT_HAS_EXPIRED: .certificateExpired
    case X509_V_ERR_CERT_NOT_YET_VALID: .certificateNotYetValid
    case X509_V_ERR_CERT_REVOKED: .certificateRevoked
    default: .certificateInvalid
    }
  }
}
