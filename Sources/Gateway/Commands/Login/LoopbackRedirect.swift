// Redirect URIs that lead to this machine (RFC 8252 §7.3), on which the command itself takes the browser's answer.
internal import EventLoop
internal import TokenKit

struct LoopbackRedirect: Equatable {
  /// 127.0.0.1, ::1 or localhost.
  var host: String
  /// nil: any that is free; servers let addresses, but not names, have any port.
  var port: UInt16?
  /// Without the query.
  var path: String
  private var query: String

  /// nil: it leads elsewhere.
  init?(_ redirectURI: String) {
    guard case .success(let url) = HTTPURL.parse(redirectURI), !url.isTLS, url.isLoopback else { return nil }
    let isName = SocketAddress(numeric: url.host, port: 0) == nil
    if isName, url.host != "localhost" { return nil }
    host = url.host
    let authority = redirectURI.dropFirst("http://".count).prefix { $0 != "/" && $0 != "?" }
    let isWritten = authority.hasSuffix(":\(url.port)")
    port = isWritten || isName ? url.port : nil
    path = String(url.pathAndQuery.prefix { $0 != "?" })
    query = String(url.pathAndQuery.dropFirst(path.count))
  }

  /// Where to listen; the second may be missing on this machine.
  var addresses: [SocketAddress] {
    let names = host == "localhost" ? ["127.0.0.1", "::1"] : [host]
    return names.compactMap { SocketAddress(numeric: $0, port: port ?? 0) }
  }

  /// The URI with the port that is listened on, if it has none of its own.
  func uri(configured: String, port chosen: UInt16) -> String {
    if port != nil { return configured }
    let name = host.contains(":") ? "[\(host)]" : host
    return "http://\(name):\(chosen)\(path)\(query)"
  }
}
