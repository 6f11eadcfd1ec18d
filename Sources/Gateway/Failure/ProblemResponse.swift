// Renders an error as a whole response: status line, fields and an application/problem+json body. Errors are rare, so
// this is the one place of the data plane that builds text.
internal import HTTPWire

enum ProblemResponse {
  /// - Parameters:
  ///   - proxyName: our name in Proxy-Status.
  ///   - closing: adds `Connection: close`.
  ///   - withBody: false for HEAD: the fields of the body without it.
  static func render(_ error: GatewayError, proxyName: String, closing: Bool, withBody: Bool) -> [UInt8] {
    let status = error.status
    let body = body(of: error)
    var verdict = "; error=\(error.proxyStatus)"
    // A good answer, and no error.
    if case .answeredHere = error.kind { verdict = "" }
    var head = "HTTP/1.1 \(status) \(title(status))\r\n"
    if !body.isEmpty { head += "Content-Type: application/problem+json\r\n" }
    head += "Content-Length: \(body.utf8.count)\r\nCache-Control: no-store\r\n"
    head += "Proxy-Status: \(proxyName)\(verdict); details=\"\(error.word)\"\r\n"
    if let seconds = error.retryAfterSeconds { head += "Retry-After: \(seconds)\r\n" }
    if status == 401 { head += "WWW-Authenticate: GatewayToken\r\n" }
    if case .malformed(let wire) = error.kind, wire.rule == .methodNotAllowed {
      head += "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
    }
    if closing { head += "Connection: close\r\n" }
    return Array((head + "\r\n" + (withBody ? body : "")).utf8)
  }

  /// The document; empty where the answer has no body.
  static func body(of error: GatewayError) -> String {
    if case .answeredHere = error.kind { return "" }
    var body = "{\"type\":\"about:blank\",\"title\":\"\(title(error.status))\",\"status\":\(error.status)"
    body += ",\"detail\":\(quoted(error.detail)),\"reason\":\(quoted(error.word))"
    body += ",\"source\":\(quoted(error.source.rawValue))"
    if let credential = error.credential { body += ",\"credential\":\(quoted(credential))" }
    return body + "}\n"
  }

  /// A JSON string. Details come from our own texts and from names in the configuration.
  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20:
        let hex = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  static func title(_ status: UInt16) -> String {
    switch status {
    case 200: "OK"
    case 202: "Accepted"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 415: "Unsupported Media Type"
    case 417: "Expectation Failed"
    case 421: "Misdirected Request"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    case 508: "Loop Detected"
    default: "Error"
    }
  }
}
