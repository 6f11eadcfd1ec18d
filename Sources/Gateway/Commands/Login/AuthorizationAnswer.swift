// What the authorization server sends the browser back with (RFC 6749 §4.1.2, RFC 9207), as the loopback listener gets it
// or as a person pastes it.
internal import TokenKit

/// An answer to the login that was asked for.
enum AuthorizationAnswer: Equatable {
  /// The code to exchange.
  case code(Secret)
  /// The server's error and its description, fit to be shown.
  case refused(String)

  /// Why a text is no answer to it.
  enum Problem: Error, Equatable {
    /// Neither a code nor an error is in it.
    case noAnswer
    /// It has no `state`, or another one: it belongs to another login, or somebody wants his own code to be taken.
    case foreign
    /// It names an issuer that is not the one asked (RFC 9207).
    case otherIssuer(String)
    /// A parameter stands in it twice, or can't be decoded.
    case malformed

    var message: String {
      switch self {
      case .noAnswer: "that has neither a code nor an error in it"
      case .foreign: "that is not the answer to this login: its state is another one"
      case .otherIssuer(let issuer):
        "the answer comes from another issuer, \(Printable.text(issuer)); if that is right, set \"issuer\""
      case .malformed: "that is not a well-formed answer"
      }
    }
  }

  private static let names = ["code", "state", "iss", "error", "error_description"]
  private static let longestCode = 16 * 1024

  /// Reads a query; `?` at its start is fine.
  /// - Parameter state: the one that was sent.
  init(query: String, state: String, endpoint: AuthorizationEndpoint) throws(Problem) {
    let values = try Self.values(query)
    if values["code"] == nil, values["error"] == nil { throw .noAnswer }
    guard values["state"] == state else { throw .foreign }
    if let issuer = values["iss"], !endpoint.accepts(issuer: issuer) { throw .otherIssuer(issuer) }
    if let error = values["error"] {
      let description = values["error_description"].map { ": \(Printable.text($0))" } ?? ""
      self = .refused(Printable.text(error, limit: 64) + description)
    } else {
      self = .code(try Self.code(values["code"] ?? ""))
    }
  }

  /// Reads what a person has pasted: the whole URL, its query, or the code alone, whose state nobody knows then; PKCE
  /// guards it all the same.
  init(pasted: String, state: String, endpoint: AuthorizationEndpoint) throws(Problem) {
    let text = pasted.trimmed
    if text.isEmpty { throw .noAnswer }
    let isURL = text.contains("://")
    if isURL || text.contains("code=") || text.contains("error=") {
      var rest = text[...]
      if let mark = rest.firstIndex(of: "?") {
        rest = rest[rest.index(after: mark)...].prefix { $0 != "#" }
      } else if let mark = rest.firstIndex(of: "#") {
        rest = rest[rest.index(after: mark)...]
      } else if isURL {
        throw .noAnswer
      }
      self = try AuthorizationAnswer(query: String(rest), state: state, endpoint: endpoint)
    } else if text.contains(" ") {
      throw .noAnswer
    } else {
      self = .code(try Self.code(text))
    }
  }

  /// Parameters that are known, each once; the others are not looked at.
  private static func values(_ query: String) throws(Problem) -> [String: String] {
    var values: [String: String] = [:]
    let text = query.hasPrefix("?") ? query.dropFirst() : query[...]
    for part in text.split(separator: "&") {
      guard let name = part.split(separator: "=", maxSplits: 1).first.map(String.init), names.contains(name),
        part.utf8.count > name.utf8.count
      else { continue }
      guard let value = FormEncoding.decode(part.utf8)?.first?.value else {
        // A description is for people only.
        if name == "error_description" { continue }
        throw .malformed
      }
      guard values.updateValue(value, forKey: name) == nil else { throw .malformed }
    }
    return values
  }

  /// RFC 6749 A.11: printable ASCII.
  private static func code(_ text: String) throws(Problem) -> Secret {
    if text.isEmpty { throw .noAnswer }
    guard text.utf8.count <= longestCode, text.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) else { throw .malformed }
    return Secret(text)
  }
}

extension String {
  /// Without the white space, quotes and angle brackets that come along when something is copied.
  fileprivate var trimmed: String {
    var rest = self[...]
    let isExtra = { (character: Character) in character.isWhitespace || "\"'<>".contains(character) }
    while let first = rest.first, isExtra(first) { rest.removeFirst() }
    while let last = rest.last, isExtra(last) { rest.removeLast() }
    return String(rest)
  }
}
