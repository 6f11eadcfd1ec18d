// A route as the data plane uses it: bytes rendered once, times in nanoseconds, no optional setting left to look up.

/// Immutable. Each loop has its own, so that loops do not contend for their reference counts.
final class RoutePlan: Sendable {
  /// Its place in the configuration; names the route towards the control loop.
  let index: UInt32
  let name: String
  /// Its credential's place among the credentials; nil only for `"credential": null`.
  let credential: Int?
  let credentialName: String
  /// The places of its upstream's servers among the pools of the loop; one or more.
  let upstreams: [Int]
  /// What goes before the path: the path of `upstream.url` without its last slash.
  let basePath: [UInt8]
  /// The caller's Host goes on to the upstream instead of the upstream's own.
  let preservesHost: Bool
  /// Names that callers cannot set, in lower case and without `-` and `_`: `Authorization` and what the credential
  /// injects.
  let ownedNames: [[UInt8]]
  /// The server of its tokens kills the old one when it gives a new one: what can't be sent twice goes with care.
  let tokensDieAtRotation: Bool
  /// Statuses by which the upstream says that a token is not good.
  let rejections: [UInt16]

  let requestBody: UInt64
  let replayBody: Int
  let connectTimeout: Int64
  let responseHeadTimeout: Int64
  let streamIdleTimeout: Int64
  let parkTimeout: Int64
  /// Lets the control loop know when nothing of its configuration is left.
  private let tenure: PlanTenure?

  init(
    index: UInt32, name: String, credential: Int?, credentialName: String, upstreams: [Int], basePath: [UInt8],
    preservesHost: Bool, ownedNames: [[UInt8]], tokensDieAtRotation: Bool, rejections: [UInt16],
    requestBody: UInt64,
    replayBody: Int, connectTimeout: Int64, responseHeadTimeout: Int64, streamIdleTimeout: Int64, parkTimeout: Int64,
    tenure: PlanTenure? = nil
  ) {
    self.tenure = tenure
    self.index = index
    self.name = name
    self.credential = credential
    self.credentialName = credentialName
    self.upstreams = upstreams
    self.basePath = basePath
    self.preservesHost = preservesHost
    self.ownedNames = ownedNames
    self.tokensDieAtRotation = tokensDieAtRotation
    self.rejections = rejections
    self.requestBody = requestBody
    self.replayBody = replayBody
    self.connectTimeout = connectTimeout
    self.responseHeadTimeout = responseHeadTimeout
    self.streamIdleTimeout = streamIdleTimeout
    self.parkTimeout = parkTimeout
  }

  /// Stands in an exchange that has no request yet.
  static func none() -> RoutePlan {
    RoutePlan(
      index: .max, name: "", credential: nil, credentialName: "", upstreams: [], basePath: [],
      preservesHost: false, ownedNames: [], tokensDieAtRotation: false, rejections: [], requestBody: 0, replayBody: 0,
      connectTimeout: 0,
      responseHeadTimeout: 0, streamIdleTimeout: 0, parkTimeout: 0)
  }

  func rejects(_ status: UInt16) -> Bool {
    for rejection in rejections where rejection == status { return true }
    return false
  }
}

extension GatewayError {
  /// The same error with the credential's name, where the error is about a token.
  func about(_ plan: RoutePlan) -> GatewayError {
    switch kind {
    case .tokenUnavailable, .parkTimeout, .parkedTooMany:
      var named = self
      named.credential = plan.credentialName
      return named
    default: return self
    }
  }
}
