// Which header fields a credential may put on requests.
internal import TokenKit

/// Names of fields that come from the configuration.
enum FieldRules {
  /// Fields that the gateway owns, besides those of the message and the connection that `HeaderText` knows.
  static let reserved: Set<String> = [
    "http2-settings", "proxy-authorization", "via", "max-forwards", "x-gateway-token", "traceparent", "tracestate",
  ]

  /// What is wrong with a field's name, worded to follow it; nil: nothing.
  static func problem(ofName name: String) -> String? {
    if !HeaderText.isToken(name) { return "is not a header field's name" }
    if !HeaderText.isInjectableName(name) || reserved.contains(HeaderText.folded(name)) {
      return "belongs to the connection or to the gateway and can't be set"
    }
    return nil
  }
}
