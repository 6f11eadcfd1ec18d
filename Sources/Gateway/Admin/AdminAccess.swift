// Who may talk to the admin listener. It has no users: loopback and file permissions keep other people out, this keeps
// out the pages that these people's browsers show, and everybody without the token where one is set.
internal import HTTPWire
internal import TokenKit

struct AdminAccess {
  /// A page in somebody's browser can reach loopback, but not with one of these names in Host, unless it is ours.
  let hosts: HostSet
  /// `admin.token`; empty: none.
  private let token: [UInt8]

  init(hosts: HostSet, token: Secret?) {
    self.hosts = hosts
    self.token = Array((token?.reveal() ?? "").utf8)
  }

  /// Why a request is refused whatever it is for; nil: it is not. `bytes` are those that `head` was parsed from.
  func refusal(_ head: RequestHead, _ bytes: [UInt8]) -> AdminAnswer? {
    let authority = bytes[head.authority.range]
    guard hosts.contains(Array(authority).span) else { return .error(421, "foreign host") }
    for field in head.fields where isNamed(field, "origin", bytes) {
      if !isOwn(origin: bytes[field.value.range], authority) {
        return .error(403, "another site's page may not use the admin listener")
      }
    }
    return nil
  }

  /// Why a request without the token is refused.
  func unauthorized(_ head: RequestHead, _ bytes: [UInt8]) -> AdminAnswer? {
    if token.isEmpty { return nil }
    var matches = 0
    var count = 0
    for field in head.fields where field.known == .authorization {
      count += 1
      let value = bytes[field.value.range]
      let scheme = value.prefix(7)
      guard scheme.count == 7, String(decoding: scheme, as: UTF8.self).lowercased() == "bearer " else { continue }
      if Admission.isSecretlyEqual(Array(value.dropFirst(7)).span, token.span) { matches += 1 }
    }
    if count == 1, matches == 1 { return nil }
    var answer = AdminAnswer.error(401, "the admin token is missing or wrong")
    answer.fields = [("WWW-Authenticate", "Bearer")]
    return answer
  }

  /// What changes something has a mark that a form or a script of another site can't give it without asking first
  /// (a CORS preflight, which is never granted).
  func unmarked(_ head: RequestHead, _ bytes: [UInt8]) -> AdminAnswer? {
    let types = head.fields.filter { $0.known == .contentType }.map { text(bytes[$0.value.range]).lowercased() }
    let areJSON = types.allSatisfy { type in
      type.split(separator: ";", maxSplits: 1).first.map { $0.filter { $0 != " " } } == "application/json"
    }
    if !types.isEmpty, areJSON { return nil }
    if head.fields.contains(where: { isNamed($0, "x-gateway-admin", bytes) }) { return nil }
    return .error(403, "send Content-Type: application/json or a field X-Gateway-Admin")
  }

  /// Whether a page that the admin listener itself has given sends the request: scheme and authority are Host's.
  private func isOwn(origin: ArraySlice<UInt8>, _ authority: ArraySlice<UInt8>) -> Bool {
    text(origin).lowercased() == "http://" + text(authority).lowercased()
  }

  private func isNamed(_ field: Field, _ name: StaticString, _ bytes: [UInt8]) -> Bool {
    String(decoding: bytes[field.name.range], as: UTF8.self).lowercased() == name.description
  }

  private func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
}
