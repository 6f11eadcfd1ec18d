// What libcurl's results mean: the code that logs and metrics show, and whether the request may have reached the server.

internal import CCurl
internal import Glibc

/// How a transfer ended, as far as it decides what a failure is called.
struct CurlOutcome {
  let result: CURLcode
  /// libcurl was about to write the request: everything before that is connecting.
  let isRequestStarted: Bool
  /// Whether the request went through TLS.
  let isTLS: Bool
  /// Bytes of the request that were handed to the connection.
  let requestSize: Int
  /// `errno` of the last failed connection.
  let systemError: Int32
  /// Status of the proxy's answer to CONNECT, 0 without one.
  let proxyStatus: Int
  let isOverLimit: Bool

  /// The failure that this is.
  var failure: GrantTransportFailure {
    GrantTransportFailure(code: code, mayHaveBeenSent: mayHaveBeenSent, isMisconfigured: isMisconfigured)
  }

  /// On a plain connection libcurl counts what the kernel took, so that zero means zero. TLS records can leave before
  /// they are counted: there the beginning of the request decides.
  private var mayHaveBeenSent: Bool { isRequestStarted && (isTLS || requestSize > 0) }

  private var isMisconfigured: Bool {
    switch result {
    case CURLE_URL_MALFORMAT, CURLE_SSL_CACERT_BADFILE, CURLE_BAD_FUNCTION_ARGUMENT: !isRequestStarted
    default: false
    }
  }

  private var code: String {
    if isOverLimit { return "response_too_large" }
    switch result {
    case CURLE_OPERATION_TIMEDOUT: return isRequestStarted ? "timeout" : "connect_timeout"
    case CURLE_COULDNT_CONNECT:
      switch systemError {
      case ECONNREFUSED: return "connect_refused"
      case EHOSTUNREACH, ENETUNREACH: return "unreachable"
      default: return "connect_failed"
      }
    case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: return "name_not_found"
    case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CIPHER: return "tls_failure"
    case CURLE_PEER_FAILED_VERIFICATION: return "tls_verify"
    case CURLE_SSL_CACERT_BADFILE: return "ca_file"
    case CURLE_GOT_NOTHING: return "empty_reply"
    case CURLE_PARTIAL_FILE: return "incomplete_response"
    case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PROXY:
      if !isRequestStarted { return proxyStatus >= 300 ? "proxy_refused" : "connect_failed" }
      // Reading fails with this result for malformed chunks as well, but then no system call has failed.
      return result == CURLE_RECV_ERROR && systemError == 0 && !isTLS ? "malformed_response" : "reset"
    // A second attempt that we stopped: the connection had gone away after the first one.
    case CURLE_ABORTED_BY_CALLBACK: return "reset"
    // After the request these are answers that are no HTTP/1.
    case CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING:
      return "malformed_response"
    case CURLE_URL_MALFORMAT: return "malformed_url"
    // What libcurl also says of a field line beyond its own limit of 100 KB.
    case CURLE_OUT_OF_MEMORY: return isRequestStarted ? "response_too_large" : "out_of_memory"
    default: return "curl_\(result.rawValue)"
    }
  }
}
