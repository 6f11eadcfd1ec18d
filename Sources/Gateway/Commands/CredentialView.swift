// A credential as `gateway status` shows it: out of the running gateway's JSON, or out of the store's row.
internal import FoundationEssentials
internal import TokenKit
internal import TokenService

struct CredentialView: Equatable {
  var name: String
  /// As in `/api/credentials`; of a store's row: `stored`, `new` (nothing is stored yet), `interrupted`, `needs_login`.
  var state: String
  /// nil: no gateway runs.
  var isServing: Bool?
  var reason: String?
  /// Why a login is needed.
  var needsLogin: String?
  var code: String?
  var generation: UInt64?
  var expires: WallTime?
  var nextAttempt: WallTime?
  var refreshTokenEnd: WallTime?
  var lastSuccess: WallTime?
  var grants: UInt64?
  var failedGrants: UInt64?
  var alarms: [String] = []

  /// Whether somebody should look at it.
  var isTroubled: Bool {
    if reason != nil || !alarms.isEmpty { return true }
    // A start, or a first grant, is under way; or nobody asks.
    return isServing == false && !["idle", "starting", "refreshing"].contains(state)
  }

  var isInNeedOfLogin: Bool { state == CredentialStatus.State.needsLogin.rawValue }
}

/// Credentials, and the clock by which their times are meant.
struct CredentialViews: Equatable {
  var now: WallTime
  var list: [CredentialView]
}

// MARK: From the running gateway

extension CredentialViews {
  private struct Reply: Decodable {
    struct Entry: Decodable {
      var name: String
      var state: String
      var serving: Bool
      var reason: String?
      var needs_login: String?
      var code: String?
      var generation: UInt64?
      var expires: String?
      var next_attempt: String?
      var refresh_token_end: String?
      var last_success: String?
      var grants: UInt64
      var failed_grants: UInt64
      var alarms: [String]
    }
    var time: String
    var credentials: [Entry]
  }

  /// The answer of `/api/credentials`; nil: it is none.
  init?(json: [UInt8]) {
    guard let reply = JSONReply.decode(Reply.self, from: json[...]), let now = Self.time(reply.time) else { return nil }
    self.now = now
    list = reply.credentials.map { entry in
      CredentialView(
        name: entry.name, state: entry.state, isServing: entry.serving, reason: entry.reason,
        needsLogin: entry.needs_login, code: entry.code, generation: entry.generation,
        expires: Self.time(entry.expires), nextAttempt: Self.time(entry.next_attempt),
        refreshTokenEnd: Self.time(entry.refresh_token_end), lastSuccess: Self.time(entry.last_success),
        grants: entry.grants, failedGrants: entry.failed_grants, alarms: entry.alarms)
    }
  }

  /// `2025-06-25T11:44:15.618Z`; years that the parser doesn't know are no times.
  static func time(_ text: String?) -> WallTime? {
    guard let text, let date = try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    else { return nil }
    return WallTime(milliseconds: Int64((date.timeIntervalSince1970 * 1000).rounded()))
  }
}

// MARK: From the store

extension CredentialView {
  /// What a credential's row says; nil: it has none.
  init(_ credential: CredentialConfiguration, _ row: StoredState?, now: WallTime) {
    name = credential.name
    let usesRefreshToken = credential.provider.traits.usesRefreshToken
    guard let row else {
      let lacksToken = usesRefreshToken && credential.seed == nil
      state = lacksToken ? CredentialStatus.State.needsLogin.rawValue : "new"
      if lacksToken {
        reason = LeaseFailure.Reason.needsLogin.rawValue
        needsLogin = NeedsLoginReason.noRefreshToken.rawValue
      }
      return
    }
    generation = row.generation > 0 ? row.generation : nil
    if row.hasAccessToken {
      expires = row.expiresAt
      lastSuccess = row.obtainedAt
    }
    refreshTokenEnd = usesRefreshToken && row.hasRefreshToken ? row.refreshTokenEnd : nil
    state = row.isMarked ? "interrupted" : "stored"
    if let verdict = row.needsLogin {
      let failure = LeaseFailure(.needsLogin, needsLogin: verdict.reason, code: verdict.code)
      state = CredentialStatus.State.needsLogin.rawValue
      reason = failure.text
      needsLogin = verdict.reason.rawValue
      code = verdict.code.isEmpty ? nil : verdict.code
      alarms = [CredentialAlarm.needsLogin.rawValue]
    }
    let share = RefreshPolicy().refreshTokenAlarm
    if let end = refreshTokenEnd, let life = row.refreshTokenLifetime, end - now <= life * share {
      alarms.append(CredentialAlarm.refreshTokenEnding.rawValue)
    }
  }
}
