// A login's pair on its way from the command line to the running gateway, as JSON: what a token endpoint gives, and how
// old it is.
internal import FoundationEssentials
internal import TokenKit
internal import TokenService

struct TokenHandover {
  /// Why a text is none; holds nothing of it.
  struct Malformed: Error {
    var message: String
  }

  private static let longestAge = 3600.0

  var token: Token
  /// Time since the grant was sent, from which lifetimes count.
  var age: Duration
  /// Of the settings that the login was made with.
  var identity: String?

  init(token: Token, age: Duration, identity: String?) {
    self.token = token
    self.age = age
    self.identity = identity
  }

  private struct Text: Decodable {
    var access_token: JSONScalar?
    var refresh_token: JSONScalar?
    var expires_in: JSONScalar?
    var refresh_expires_in: JSONScalar?
    var refresh_token_expires_in: JSONScalar?
    var scope: JSONScalar?
    var age: JSONScalar?
    var identity: JSONScalar?
  }

  /// Reads what `json` writes, and what a token endpoint answers.
  init(json: [UInt8]) throws(Malformed) {
    guard let text = JSONReply.decode(Text.self, from: ReplyBody.trimmed(json)) else {
      throw Malformed(message: "the body is not a JSON object")
    }
    guard let access = text.access_token?.text, HeaderText.isAccessToken(access) else {
      throw Malformed(message: "access_token is missing, or has characters that no token has")
    }
    guard let refresh = text.refresh_token?.text, TokenRules.isRefreshToken(refresh) else {
      throw Malformed(message: "refresh_token is missing, or has characters that no token has")
    }
    let age = text.age?.numeric ?? 0
    guard text.age == nil || text.age?.numeric != nil, age >= 0, age <= Self.longestAge else {
      throw Malformed(message: "age must be seconds, 0 to \(Int(Self.longestAge))")
    }
    self.age = .milliseconds(Int64(age * 1000))
    identity = text.identity?.text
    token = Token(
      accessToken: Secret(access), refreshToken: Secret(refresh),
      lifetime: ReplyLifetime.seconds(text.expires_in).map { .relative($0) } ?? .unknown,
      refreshTokenLifetime: ReplyLifetime.seconds(text.refresh_expires_in)
        ?? ReplyLifetime.seconds(text.refresh_token_expires_in),
      scope: text.scope?.text.flatMap { TokenRules.isScope($0) ? $0 : nil })
  }

  /// As the credential manager takes it.
  func reply(at now: Moment) -> GrantReply {
    let sent = Moment(boot: now.boot + (.zero - age), wall: now.wall + (.zero - age))
    return GrantReply(token: token, date: nil, sent: sent, received: now)
  }

  /// The text; full of secrets.
  var json: Secret {
    var members = ["\"access_token\":\(JSONReply.quoted(token.accessToken.reveal()))"]
    if let refresh = token.refreshToken { members.append("\"refresh_token\":\(JSONReply.quoted(refresh.reveal()))") }
    if case .relative(let lifetime) = token.lifetime { members.append("\"expires_in\":\(lifetime.wholeSeconds)") }
    if let lifetime = token.refreshTokenLifetime {
      members.append("\"refresh_token_expires_in\":\(lifetime.wholeSeconds)")
    }
    if let scope = token.scope { members.append("\"scope\":\(JSONReply.quoted(scope))") }
    members.append("\"age\":\(Double(age.nanoseconds / 1_000_000) / 1000)")
    if let identity { members.append("\"identity\":\(JSONReply.quoted(identity))") }
    return Secret("{\(members.joined(separator: ","))}")
  }
}

extension Duration {
  fileprivate var wholeSeconds: Int64 { components.seconds }
}
