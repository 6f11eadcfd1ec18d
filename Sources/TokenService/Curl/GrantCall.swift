// A grant as libcurl is told about it: checked, with every text that it is made of. Without I/O.

internal import EventLoop
internal import TokenKit

/// One token call, ready to be sent.
struct GrantCall {
  let url: HTTPURL
  let proxy: HTTPURL?
  let caFile: String?
  /// Lines as libcurl takes them (`Name: value`, `Name;` for an empty value, `Name:` for none of its own).
  let headerLines: [Secret]
  let body: Secret
  let spendsRefreshToken: Bool
  let timeout: Duration

  /// Checks a request.
  /// - Throws: a failure marked as misconfigured; nothing was sent.
  init(
    _ request: GrantRequest, _ options: GrantTransportOptions, userAgent: String
  ) throws(GrantTransportFailure) {
    guard case .success(let url) = HTTPURL.parse(request.url) else { throw Self.refused("malformed_url") }
    guard url.isTLS || url.isLoopback || options.allowsPlaintext else { throw Self.refused("plaintext_forbidden") }
    self.url = url
    proxy = try Self.proxy(options.proxy)
    if let caFile = options.caFile, caFile.isEmpty || caFile.utf8.contains(0) { throw Self.refused("ca_file") }
    caFile = options.caFile
    body = request.body
    spendsRefreshToken = request.spendsRefreshToken
    timeout = options.timeout

    var lines: [Secret] = []
    var names: Set<String> = []
    for (name, value) in request.headers {
      guard Self.isToken(name), !Self.ownFields.contains(name.lowercased()) else {
        throw Self.refused("malformed_request")
      }
      let text = value.reveal()
      guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
        throw Self.refused("malformed_request")
      }
      names.insert(name.lowercased())
      let isBlank = text.utf8.allSatisfy { $0 == 0x20 || $0 == 0x09 }
      lines.append(Secret(isBlank ? "\(name);" : "\(name): \(text)"))
    }
    // What libcurl would add by itself: never an Expect, which costs a second with servers that don't know it, and no
    // content type that the provider did not choose.
    lines.append(Secret("Expect:"))
    if !names.contains("content-type") { lines.append(Secret("Content-Type:")) }
    if !names.contains("accept") { lines.append(Secret("Accept: */*")) }
    if !names.contains("user-agent") { lines.append(Secret("User-Agent: \(userAgent)")) }
    headerLines = lines
  }

  /// Whose address libcurl will connect to.
  var peer: HTTPURL { proxy ?? url }

  /// Whether the peer's host is an address, which nobody needs to be asked for.
  var isPeerNumeric: Bool { SocketAddress(numeric: peer.host, port: peer.port) != nil }

  /// The peer and its addresses as CURLOPT_RESOLVE takes them; nil when no address is usable. Without the leading `+`
  /// an entry has no end, so that libcurl never goes looking itself; the next call puts a new one in its place.
  func resolveEntry(_ addresses: [String]) -> String? {
    let usable = addresses.compactMap { text -> String? in
      switch SocketAddress(numeric: text, port: peer.port) {
      case .ipv4?: text
      case .ipv6?: "[\(text)]"
      case .unix?, nil: nil
      }
    }
    return usable.isEmpty ? nil : "\(peer.host):\(peer.port):\(usable.joined(separator: ","))"
  }

  /// Fields that follow from the request itself or that belong to one connection.
  private static let ownFields: Set<String> = [
    "host", "content-length", "transfer-encoding", "connection", "expect", "te", "trailer", "upgrade", "keep-alive",
    "proxy-connection", "proxy-authorization",
  ]

  private static func proxy(_ text: String?) throws(GrantTransportFailure) -> HTTPURL? {
    guard let text else { return nil }
    guard case .success(let proxy) = HTTPURL.parse(text), proxy.pathAndQuery == "/" else {
      throw refused("malformed_proxy")
    }
    return proxy
  }

  /// A field name (RFC 9110 §5.6.2).
  private static func isToken(_ name: String) -> Bool {
    !name.isEmpty
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
      }
  }

  private static func refused(_ code: String) -> GrantTransportFailure {
    GrantTransportFailure(code: code, mayHaveBeenSent: false, isMisconfigured: true)
  }
}
