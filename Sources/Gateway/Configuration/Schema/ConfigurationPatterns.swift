// Regular expressions of the schema for the gateway's own keys. The parser has its own code for each of these texts; a
// test changes files in hundreds of ways and asks both.
internal import TokenKit

/// Rules for texts.
enum ConfigurationPatterns {
  private static let octet = "(?:" + DecimalRange.pattern(0...255) + ")"
  private static let ipv4 = octet + #"(?:\."# + octet + "){3}"
  private static let port = ":0*(?:" + DecimalRange.pattern(0...65535) + ")"

  /// RFC 3986's grammar of IPv6 addresses: those with `::`, by the number of groups before it, then those without.
  private static let ipv6: String = {
    let group = "[0-9A-Fa-f]{1,4}"
    let last = "(?:\(group):\(group)|\(ipv4))"
    func before(_ most: Int) -> String { "(?:(?:\(group):){0,\(most)}\(group))?" }
    var forms = ["(?:\(group):){6}\(last)"]
    for count in 0...4 { forms.append("\(before(count))::(?:\(group):){\(4 - count)}\(last)") }
    forms.append("::(?:\(group):){5}\(last)")
    forms.append("\(before(5))::\(group)")
    forms.append("\(before(6))::")
    return "(?:" + forms.joined(separator: "|") + ")"
  }()

  /// `127.0.0.1:8080`, `[::1]:8080`, `unix:/path`.
  static let address = SettingsText(
    "^(?:" + ipv4 + port + #"|\["# + ipv6 + #"\]"# + port + #"|unix:/[^\u0000]{0,106})$"#)
  /// Addresses that only this machine reaches.
  static let ownAddress = SettingsText(
    #"^(?:unix:|127\.|\[(?:0{0,4}:){1,7}0{0,3}1\]|\[(?:0{0,4}:){1,6}[fF]{4}:(?:127\.|7[fF][0-9A-Fa-f]{2}:))"#)
  static let listenerName = SettingsText("^[A-Za-z0-9_.:/\\[\\]-]{1,128}$")
  /// A host without port.
  static let host = SettingsText(hostPattern)
  /// One, or any.
  static let hosts = SettingsText(hostPattern, always: ["*"])
  private static let hostPattern: String = {
    let literal = "[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*"
    return #"^(?:[A-Za-z0-9.~_-]+|\["# + literal + #"\]\.?|"# + literal + ")$"
  }()
  /// A host name without a dot at its end.
  static let serverName = SettingsText(#"^(?:[A-Za-z0-9.~_-]*[A-Za-z0-9~_-]|\.)$"#)
  /// `10.0.0.0/8`, `fd00::/8`, or one address.
  static let block = SettingsText(
    "^(?:" + ipv4 + "(?:/0*(?:" + DecimalRange.pattern(0...32) + "))?|" + ipv6 + "(?:/0*(?:"
      + DecimalRange.pattern(0...128) + "))?)$")
  /// A field that a credential may set.
  static let fieldName = SettingsText(
    SettingsPatterns.token,
    refused: [
      "^(?:"
        + (HeaderText.reserved + FieldRules.reserved.sorted()).map(SettingsPatterns.caseless).joined(separator: "|")
        + ")$"
    ], length: 1...256)

  /// A prefix of paths.
  static let pathPrefix = SettingsText(
    #"^/(?:[!"$&-.0-:<->@-\[\]-~]+/)*[!"$&-.0-:<->@-\[\]-~]*$"#, refused: [#"/\.{1,2}(?:/|$)"#, #"/\*$"#])
  /// An http or https URL whose path goes before the request's.
  static let upstreamURL = SettingsText(
    SettingsPatterns.url, refused: [#"[?;]"#, "[^:]//", #"//[^/]+/(?:.*/)?\.{1,2}(?:/|$)"#, #"//[^/]+/(?:.*/)?\*$"#])

  /// A method that can be forwarded.
  static let method = SettingsText(
    SettingsPatterns.token,
    refused: ["^(?:CONNECT|TRACE|" + usualMethods.map(SettingsPatterns.caseless).joined(separator: "|") + ")$"],
    always: usualMethods)
  static let usualMethods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
}
