// How a client proves who it is (RFC 6749 §2.3): stated in the configuration, never probed.
import FoundationEssentials
import TokenKit

/// A client and its way to authenticate.
struct ClientAuthentication: Sendable {
  /// The way.
  enum Method: String, CaseIterable, Sendable {
    /// In the Authorization field.
    case basic
    /// In the body.
    case post
    /// Not at all: a public client says its name only.
    case none
  }

  /// `client_id`.
  let id: String
  private let secret: Secret?
  private let method: Method

  private enum Key {
    static let id = SettingsKey.requiredLine("client_id", "The client's name.").examples("my-app")
    static let secret = SettingsKey.clientSecret
    static let entry = SettingsEntry(
      "client_auth", .choice(Method.allCases.map(\.rawValue)),
      "How the client proves who it is: in the field Authorization, in the body, or not at all.",
      otherwise: "basic with a client_secret, else none")
  }

  /// The keys and what holds between them.
  static let settings = SettingsObject(
    [Key.id.entry, Key.secret.entry, Key.entry],
    rules: [
      SettingsRule(
        "\"client_auth\": \"basic\" or \"post\" needs \"client_secret\".",
        when: .any([
          .equals("client_auth", .string(Method.basic.rawValue)), .equals("client_auth", .string(Method.post.rawValue)),
        ]), .isSet("client_secret")),
      SettingsRule(
        "\"client_auth\": \"none\" excludes \"client_secret\".",
        when: .equals("client_auth", .string(Method.none.rawValue)), .not(.isSet("client_secret"))),
    ])

  /// Reads `client_id`, `client_secret` and `client_auth`, and reports what contradicts itself.
  init(settings: SettingsReader, secretRequired: Bool) {
    id = settings.read(Key.id)
    secret = settings.read(Key.secret)
    let hasSecret = settings.isSet("client_secret")
    let explicit = settings.isSet("client_auth")
    method = settings.choice(Key.entry.name, default: hasSecret ? .basic : .none)
    switch method {
    case .basic, .post:
      if !hasSecret { settings.reject("client_secret", "is missing: client_auth \"\(method.rawValue)\" sends one") }
    case .none:
      if hasSecret {
        settings.reject("client_auth", "\"none\" sends no client_secret; remove one of the two")
      } else if secretRequired, !explicit {
        settings.reject(
          "client_secret", "is missing: the client_credentials grant is for clients that authenticate (RFC 6749 §4.4)")
      } else if secretRequired {
        settings.warn("client_auth", "\"none\" with client_credentials: whoever knows the client_id gets tokens")
      }
    }
  }

  /// Fields that go into the body. With Basic none: a client must not authenticate in two ways (§2.3).
  var fields: [(name: String, value: String)] {
    switch (method, secret) {
    case (.basic, _): []
    case (.post, let secret?): [("client_id", id), ("client_secret", secret.reveal())]
    case (.post, nil), (.none, _): [("client_id", id)]
    }
  }

  /// Fields that go into the request's head. Both parts are form-encoded before they are joined (§2.3.1), so a colon
  /// in the id cannot move the border between them.
  var headers: [(name: String, value: Secret)] {
    guard method == .basic, let secret else { return [] }
    let pair = "\(FormEncoding.escape(id)):\(FormEncoding.escape(secret.reveal()))"
    return [("Authorization", Secret("Basic \(Data(pair.utf8).base64EncodedString())"))]
  }
}
