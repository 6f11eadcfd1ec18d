// The business APIs that the sandbox plays: they take the current token of their API only, and say what they received.

/// Counts of one upstream since the start or the last reset.
package struct UpstreamCounters: Sendable, Equatable {
  package var requests = 0
  package var accepted = 0
  /// Answered 401.
  package var unauthorized = 0
  /// Requests with no or several Authorization fields.
  package var notOneAuthorization = 0

  package init() {}

  var json: OrderedJSON {
    [
      "requests": .int(requests), "accepted": .int(accepted), "unauthorized": .int(unauthorized),
      "not_one_authorization": .int(notOneAuthorization),
    ]
  }
}

/// Which API an upstream belongs to.
package enum SandboxAPI: String, Sendable, CaseIterable {
  case vinid, cukcuk, oauth2
}

/// Answers of one upstream; no I/O, and no state but the counters.
struct SandboxUpstream: Sendable {
  let api: SandboxAPI
  /// CUKCUK: the value that its `CompanyCode` field must have.
  let companyCode: String
  var counters = UpstreamCounters()

  /// - Parameter isCurrent: whether the API takes an access token now.
  func plan(_ request: IncomingRequest, isCurrent: (String) -> Bool) -> BodyPlan {
    let isGood = refusal(request, isCurrent) == nil
    switch Self.firstSegment(request.path) {
    case "early-401" where !isGood: return .answerFirst(.answer(Self.unauthorized))
    case "early-401-close" where !isGood: return .answerAndClose(Self.unauthorized)
    case "stall" where isGood:
      let time = request.head.query("seconds").flatMap(Int.init) ?? 5
      return .stall(afterBytes: Self.number(request.path) ?? 65536, .seconds(min(time, 600)))
    default: return .digest
    }
  }

  /// Requests that were answered ahead of their body come here too, for the counters, through `note`.
  mutating func answer(_ request: IncomingRequest, isCurrent: (String) -> Bool, secrets: [String]) -> Reaction {
    // There the token is judged before the body, and not again when the body has come.
    let isJudged = ["early-401", "early-401-close"].contains(Self.firstSegment(request.path))
    let refusal = isJudged ? nil : refusal(request, isCurrent)
    note(request, isRefused: refusal != nil)
    if let refusal { return .answer(refusal) }
    switch (api, request.path) {
    case (.vinid, "/user-management/user-info"): return .answer(Self.userInfo)
    case (.cukcuk, "/api/v1/branchs/all"):
      return .answer(request.fields.all("CompanyCode") == [companyCode] ? Self.branches : Self.unknownCompany)
    default: break
    }
    switch Self.firstSegment(request.path) {
    case "download":
      guard let count = Self.number(request.path), count <= 1 << 32 else { return Self.badNumber }
      let body = Body.pattern(count, isChunked: request.head.query("chunked") != nil)
      return .answer(Answer(fields: [FieldLine("Content-Type", "application/octet-stream")], body: body))
    case "status":
      guard let status = Self.number(request.path), (200...599).contains(status) else { return Self.badNumber }
      return .answer(.text("status \(status)\n", status: status))
    case "slow":
      guard let milliseconds = Self.number(request.path), milliseconds <= 600_000 else { return Self.badNumber }
      var answer = echo(request, secrets: secrets)
      answer.delay = .milliseconds(milliseconds)
      return .answer(answer)
    case "events":
      guard let count = Self.number(request.path), count <= 100_000 else { return Self.badNumber }
      let pause = Duration.milliseconds(request.head.query("ms").flatMap(Int.init) ?? 100)
      let events = (0..<count).map { Array("data: \($0)\n\n".utf8) }
      return .answer(
        Answer(fields: [FieldLine("Content-Type", "text/event-stream")], body: .chunks(events, pause: pause)))
    default: return .answer(echo(request, secrets: secrets))
    }
  }

  mutating func note(_ request: IncomingRequest, isRefused: Bool) {
    counters.requests += 1
    if request.fields.all("Authorization").count != 1 { counters.notOneAuthorization += 1 }
    if isRefused { counters.unauthorized += 1 } else { counters.accepted += 1 }
  }

  private func refusal(_ request: IncomingRequest, _ isCurrent: (String) -> Bool) -> Answer? {
    let values = request.fields.all("Authorization")
    if values.count == 1, let token = Self.bearer(values[0]), isCurrent(token) { return nil }
    return Self.unauthorized
  }

  static func bearer(_ value: String) -> String? {
    let parts = value.split(separator: " ", maxSplits: 1)
    return parts.count == 2 && parts[0].lowercased() == "bearer" ? String(parts[1]) : nil
  }

  /// What was received, without tokens.
  private func echo(_ request: IncomingRequest, secrets: [String]) -> Answer {
    func redacted(_ text: String) -> String {
      secrets.reduce(text) { $1.isEmpty ? $0 : $0.replacing($1, with: "<redacted>") }
    }
    let fields = request.fields.lines.map { line -> OrderedJSON in
      let isSecret = ["authorization", "proxy-authorization"].contains(line.name.lowercased())
      return [.string(line.name), .string(isSecret ? "<redacted>" : redacted(line.value))]
    }
    return .json([
      "api": .string(api.rawValue),
      "method": .string(request.method),
      "target": .string(redacted(request.target)),
      "authorizations": .int(request.fields.all("Authorization").count),
      "is_token_current": true,
      "fields": .array(fields),
      "trailers": .array(request.trailers.lines.map { [.string($0.name), .string(redacted($0.value))] }),
      "body": ["bytes": .int(request.bodyCount), "fnv1a64": .string(request.fingerprint.description)],
    ])
  }

  private static func firstSegment(_ path: String) -> String {
    String(path.dropFirst().prefix { $0 != "/" })
  }

  private static func number(_ path: String) -> Int? {
    let segments = path.split(separator: "/")
    return segments.count == 2 ? Int(segments[1]).flatMap { $0 >= 0 ? $0 : nil } : nil
  }

  private static let badNumber = Reaction.answer(
    .text("a number is expected after the path's first part\n", status: 400))

  private static let unauthorized = Answer.json(["error": "invalid_token"], status: 401)
    .adding("WWW-Authenticate", "Bearer realm=\"sandbox\", error=\"invalid_token\"")

  /// The members of the vendor's profile page.
  private static let userInfo = Answer.json([
    "data": [
      "full_name": "Sandbox User", "email": "user@sandbox.invalid", "phone_number": "+84000000000",
      "dob": "2000-01-01", "gender": 1, "nationality": "VN", "identity_documents": [],
      "addresses": [
        ["city": "Ha Noi", "commune": "Dich Vong", "address": "1 Sandbox Street", "type": 1, "district": "Cau Giay"]
      ],
    ],
    "meta": ["code": 200],
  ])

  private static let branches = Answer.json([
    "Code": 200, "ErrorType": 0, "Success": true, "Total": 1,
    "Data": [
      [
        "Id": "b0519dfe-0bfc-4cc0-a3d1-b88e20ea55ab", "Code": "CN01", "Name": "Sandbox 1", "IsBaseDepot": false,
        "IsChainBranch": false, "Inactive": false,
      ]
    ],
  ])

  /// Business errors of CUKCUK come with 200.
  private static let unknownCompany = Answer.json([
    "Code": 200, "ErrorType": 2, "Success": false, "ErrorMessage": "Company does not exist.", "Data": nil, "Total": 0,
  ])
}
