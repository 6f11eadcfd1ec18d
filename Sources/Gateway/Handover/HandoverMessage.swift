// What two gateways say to each other while one takes the other's place: one JSON object in each packet. They are of one
// user and one machine; what they say holds secrets, and gets into no log.
internal import EventLoop
internal import FoundationEssentials
internal import TokenKit
internal import TokenService

/// One message. "Old" is the process that serves, "new" the one that takes its place.
enum HandoverMessage: Sendable, Equatable, Codable {
  /// Understood by this build. Only `hello`, `offer` and `refused` must stay what they are.
  static let version = 1

  /// Who speaks, first thing in each direction.
  struct Hello: Sendable, Equatable, Codable {
    private static var ownProcess: Int32 { Process.id }
    /// Of these messages.
    var protocolVersion = HandoverMessage.version
    /// Of the gateway.
    var gateway = Version.text
    var process = ownProcess
    /// Which store it uses, if it says so: a replacement must not change it.
    var store: String?
  }

  // New: I have read my configuration, and it is right.
  case hello(Hello)
  // Old: so many listening sockets follow.
  case offer(Hello, sockets: Int)
  // Old: not now, or not with you. It ends here.
  case refused(reason: String)
  // Old: a listening socket, which comes with this packet; the address is that of the configuration.
  case socket(name: String, address: String)
  // New: everything is ready, let me have the store.
  case release
  // Old: a pair that the store may not have.
  case pair(HandedPair)
  // Old: the store is free. I start no token call, and have none under way.
  case released
  // Old: something went wrong, and I go on as before. It ends here.
  case cancelled(reason: String)
  // New: I serve.
  case serving
  // Old: I accept no connections any more, and what I still do needs your leases.
  case yielded
  // Old: a data loop asks; exactly one `answer` follows.
  case want(id: UInt64, HandedWant)
  case accepted(HandedIdentity, generation: UInt64)
  case replayRejected(HandedIdentity, HandedRoute)
  case routeRecovered(HandedIdentity, HandedRoute)
  case holding(ticket: UInt64)
  // New.
  case answer(id: UInt64, HandedAnswer)
  case lease(credential: String, HandedToken)
  case withdraw(HandedIdentity)
  case hold(HandedIdentity, ticket: UInt64)
  case unhold(HandedIdentity)

  /// nil for what this build does not know.
  init?(bytes: [UInt8]) {
    guard let message = try? JSONDecoder().decode(Self.self, from: Data(bytes)) else { return nil }
    self = message
  }

  /// For the packet. nil: it can't be said, which a message of ours always can.
  var bytes: [UInt8]? { (try? JSONEncoder().encode(self)).map { Array($0) } }
}

/// A credential as both processes know it. Only where all three agree is one's token of use to the other.
struct HandedIdentity: Sendable, Equatable, Hashable, Codable {
  var credential: String
  var access: [UInt8]
  var refresh: [UInt8]
}

/// A route as both processes know it.
struct HandedRoute: Sendable, Equatable, Codable {
  var name: String
  var credential: String
}

/// A question for a lease.
struct HandedWant: Sendable, Equatable, Codable {
  enum Cause: Sendable, Equatable, Codable {
    case missing
    case rejected(HandedRoute)
    case admin
  }

  var identity: HandedIdentity
  var above: UInt64?
  var cause: Cause
}

/// A token on its way from one process to the other: a secret, which is why this is no `CustomStringConvertible`.
struct HandedToken: Sendable, Equatable, Codable {
  var generation: UInt64
  var accessToken: HandedSecret
  /// Nanoseconds of CLOCK_BOOTTIME.
  var expires: Int64
  /// Nanoseconds.
  var lifetime: Int64
  var access: [UInt8]
  var refresh: [UInt8]

  init(_ lease: HandedLease) {
    generation = lease.generation
    accessToken = HandedSecret(lease.accessToken)
    expires = lease.expires.nanoseconds
    lifetime = lease.lifetime.nanoseconds
    access = lease.accessIdentity.bytes
    refresh = lease.refreshIdentity.bytes
  }

  /// nil when the identities are none.
  var lease: HandedLease? {
    guard let access = Fingerprint(bytes: access), let refresh = Fingerprint(bytes: refresh) else { return nil }
    return HandedLease(
      generation: generation, accessToken: accessToken.secret, expires: BootInstant(nanoseconds: expires),
      lifetime: .nanoseconds(lifetime), accessIdentity: access, refreshIdentity: refresh)
  }
}

/// A lease, or why there is none.
enum HandedAnswer: Sendable, Equatable, Codable {
  case lease(HandedToken)
  /// By the raw values of `LeaseFailure`; `until` in nanoseconds of CLOCK_BOOTTIME.
  case failure(reason: String, needsLogin: String?, code: String, until: Int64?)

  static func failure(_ failure: LeaseFailure) -> HandedAnswer {
    .failure(
      reason: failure.reason.rawValue, needsLogin: failure.needsLogin?.rawValue, code: failure.code,
      until: failure.until?.nanoseconds)
  }

  /// For a failure that this build does not know, the credential counts as not to be had.
  static func failure(reason: String, _ needsLogin: String?, _ code: String, _ until: Int64?) -> LeaseFailure {
    LeaseFailure(
      LeaseFailure.Reason(rawValue: reason) ?? .tokenEndpointUnreachable,
      needsLogin: needsLogin.flatMap { NeedsLoginReason(rawValue: $0) }, code: code,
      until: until.map { BootInstant(nanoseconds: $0) })
  }
}

/// Encodes itself, and prints nothing.
struct HandedSecret: Sendable, Equatable, Codable {
  var secret: Secret

  init(_ secret: Secret) { self.secret = secret }

  init(from decoder: any Decoder) throws {
    secret = Secret(try decoder.singleValueContainer().decode(String.self))
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(secret.reveal())
  }
}

/// A row that only memory has.
struct HandedPair: Sendable, Equatable, Codable {
  private var name: String
  private var generation: UInt64
  private var accessToken: HandedSecret?
  private var refreshToken: HandedSecret?
  // Milliseconds since 1970, and nanoseconds.
  private var obtained: Int64
  private var expires: Int64
  private var lifetime: Int64
  private var refreshTokenEnd: Int64?
  private var refreshTokenLifetime: Int64?
  private var access: [UInt8]
  private var refresh: [UInt8]

  init(_ row: StoredCredential) {
    name = row.name
    generation = row.generation
    accessToken = row.accessToken.map(HandedSecret.init)
    refreshToken = row.refreshToken.map(HandedSecret.init)
    obtained = row.obtainedAt.milliseconds
    expires = row.expiresAt.milliseconds
    lifetime = row.lifetime.nanoseconds
    refreshTokenEnd = row.refreshTokenEnd?.milliseconds
    refreshTokenLifetime = row.refreshTokenLifetime?.nanoseconds
    access = row.accessIdentity.bytes
    refresh = row.refreshIdentity.bytes
  }

  /// nil when the identities are none.
  var row: StoredCredential? {
    guard let access = Fingerprint(bytes: access), let refresh = Fingerprint(bytes: refresh) else { return nil }
    return StoredCredential(
      name: name, generation: generation, accessToken: accessToken?.secret,
      obtainedAt: WallTime(milliseconds: obtained), expiresAt: WallTime(milliseconds: expires),
      lifetime: .nanoseconds(lifetime), refreshToken: refreshToken?.secret,
      refreshTokenEnd: refreshTokenEnd.map { WallTime(milliseconds: $0) },
      refreshTokenLifetime: refreshTokenLifetime.map { .nanoseconds($0) }, accessIdentity: access,
      refreshIdentity: refresh)
  }
}
