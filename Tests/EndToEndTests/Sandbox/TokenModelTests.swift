// The token APIs of the sandbox as scripts: what comes, what goes, under a clock that the test sets.
import GatewayTesting
import Testing
import TokenKit

/// A token request as the server hands it over.
private func request(
  _ body: String, type: String = "application/x-www-form-urlencoded", accept: String? = nil, basic: String? = nil,
  method: String = "POST"
) -> IncomingRequest {
  var request = IncomingRequest()
  request.head.method = method
  request.head.fields.add("Content-Type", type)
  if let accept { request.head.fields.add("Accept", accept) }
  if let basic { request.head.fields.add("Authorization", basic) }
  request.body = Array(body.utf8)
  return request
}

private func at(_ seconds: Int64) -> WallTime { WallTime(milliseconds: 1_750_000_000_000 + seconds * 1000) }

private func body(_ result: TokenResult) -> [UInt8] {
  if case .bytes(let bytes) = result.answer.body { bytes } else { [] }
}

extension TokenResult {
  fileprivate var json: JSONValue? { JSONValue.parse(body(self)) }
  fileprivate var text: String { String(decoding: body(self), as: UTF8.self) }
}

@Suite struct HydraModelTests {
  static func refresh(_ token: String, client: String = "sandbox-app", more: String = "") -> IncomingRequest {
    request("grant_type=refresh_token&refresh_token=\(token)&client_id=\(client)&redirect_uri=http%3A%2F%2Fx\(more)")
  }

  static func model(grace: Duration = .zero) -> HydraModel {
    var model = HydraModel()
    model.rules.grace = grace
    model.ledger.logIn("seed", model.rules, now: at(0))
    return model
  }

  @Test func aRotationKillsTheOldPair() throws {
    var model = Self.model()
    let first = model.answer(Self.refresh("seed"), now: at(0))
    #expect(first.outcome == "granted" && first.answer.status == 200)
    #expect(first.json?["expires_in"]?.int == 3600 && first.json?["token_type"]?.text == "bearer")
    let access = try #require(first.json?["access_token"]?.text)
    let successor = try #require(first.json?["refresh_token"]?.text)
    #expect(model.ledger.isCurrent(access, now: at(3599)))
    #expect(!model.ledger.isCurrent(access, now: at(3600)))
    let second = model.answer(Self.refresh(successor), now: at(10))
    let newAccess = try #require(second.json?["access_token"]?.text)
    #expect(!model.ledger.isCurrent(access, now: at(10)))
    #expect(model.ledger.isCurrent(newAccess, now: at(10)))
  }

  @Test func reuseOfASpentTokenRevokesTheFamily() throws {
    var model = Self.model()
    let pair = model.answer(Self.refresh("seed"), now: at(0))
    let access = try #require(pair.json?["access_token"]?.text)
    let successor = try #require(pair.json?["refresh_token"]?.text)
    let reuse = model.answer(Self.refresh("seed"), now: at(1))
    #expect(reuse.answer.status == 400 && reuse.outcome == "invalid_grant")
    #expect(!model.ledger.isCurrent(access, now: at(1)))
    #expect(model.answer(Self.refresh(successor), now: at(1)).outcome == "invalid_grant")
    // Another login is another family.
    model.ledger.logIn("other", model.rules, now: at(1))
    #expect(model.answer(Self.refresh("other"), now: at(1)).outcome == "granted")
  }

  @Test func ofTwoConcurrentRefreshesOneIsToldToRetry() throws {
    var model = Self.model()
    let a = model.receive(Self.refresh("seed"))
    let b = model.receive(Self.refresh("seed"))
    let winner = model.finish(a, now: at(0))
    let loser = model.finish(b, now: at(0))
    #expect(winner.outcome == "granted")
    #expect(loser.answer.status == 400 && loser.json?["error"]?.text == "invalid_request")
    #expect(loser.json?["error_description"]?.text?.contains("please retry") == true)
    // The race revokes nothing; a reuse after it does.
    #expect(model.ledger.isCurrent(try #require(winner.json?["access_token"]?.text), now: at(0)))
    #expect(model.answer(Self.refresh("seed"), now: at(0)).outcome == "invalid_grant")
  }

  @Test func inTheGraceWindowASpentTokenIsStillTaken() throws {
    var model = Self.model(grace: .seconds(5))
    let first = model.answer(Self.refresh("seed"), now: at(0))
    let again = model.answer(Self.refresh("seed"), now: at(4))
    #expect(again.outcome == "granted")
    #expect(model.ledger.isCurrent(try #require(first.json?["access_token"]?.text), now: at(4)))
    #expect(model.answer(Self.refresh("seed"), now: at(5)).outcome == "invalid_grant")
  }

  @Test func refreshTokensEnd() {
    var model = Self.model()
    #expect(model.answer(Self.refresh("seed"), now: at(720 * 3600)).outcome == "invalid_grant")
  }

  @Test func multipartIsTaken() {
    var model = Self.model()
    let parts = [("grant_type", "refresh_token"), ("refresh_token", "seed"), ("client_id", "sandbox-app")]
    let text = parts.map { "--b0\r\nContent-Disposition: form-data; name=\"\($0)\"\r\n\r\n\($1)\r\n" }.joined()
    #expect(
      model.answer(request(text + "--b0--\r\n", type: "multipart/form-data; boundary=b0"), now: at(0)).outcome
        == "granted")
    // Without the last delimiter the body is cut off.
    #expect(
      model.answer(request(text, type: "multipart/form-data; boundary=b0"), now: at(0)).outcome == "invalid_request")
  }

  @Test(arguments: [
    ("unknown client", refresh("seed", client: "other"), "invalid_client", 401),
    ("secret from a public client", refresh("seed", more: "&client_secret=x"), "invalid_client", 401),
    ("no token", request("grant_type=refresh_token&client_id=sandbox-app"), "invalid_request", 400),
    ("repeated parameter", refresh("seed", more: "&refresh_token=y"), "invalid_request", 400),
    ("another grant", request("grant_type=password&client_id=sandbox-app"), "unsupported_grant_type", 400),
    ("JSON", request("{}", type: "application/json"), "invalid_request", 400),
    ("malformed escape", request("grant_type=%2"), "invalid_request", 400),
    ("unknown token", refresh("other"), "invalid_grant", 400),
    ("GET", request("", method: "GET"), "invalid_request", 405),
  ])
  func aRefusalSpendsNothing(_ name: String, _ request: IncomingRequest, _ code: String, _ status: Int) {
    var model = Self.model()
    let result = model.answer(request, now: at(0))
    #expect(result.outcome == code && result.answer.status == status, "\(name)")
    #expect(result.json?["error"]?.text == code)
    #expect(!result.answer.fields.contains("WWW-Authenticate"))
    #expect(model.answer(Self.refresh("seed"), now: at(0)).outcome == "granted")
  }
}

@Suite struct MisaModelTests {
  static func model() -> MisaModel {
    var model = MisaModel()
    model.ledger.logIn("seed&1", model.rules, now: at(0))
    return model
  }

  static let json = #"{"CompanyCode":"SANDBOX","RefreshToken":"seed&1"}"#
  static let xml = """
    <RefreshParam xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns="http://schemas.datacontract.org/2004/07/MISA.QLNH.BE.BO">
      <CompanyCode>SANDBOX</CompanyCode>
      <RefreshToken>seed&amp;1</RefreshToken>
    </RefreshParam>
    """

  @Test func aJSONReplyHasThePagesMembersInOrder() throws {
    var model = Self.model()
    let result = model.answer(request(Self.json, type: "application/json"), now: at(0))
    #expect(result.answer.fields["Content-Type"] == "application/json; charset=utf-8")
    let names = [
      "Data", "AppID", "Access_Token", "Token_type", "Expire_Date", "Branchs", "BranchID", "BranchCode", "BranchName",
      "Address", "Tel", "Country", "ProvinceOrCity", "District", "WardOrCommune", "Street", "TaxCode", "TimeZoneCode",
      "PostalCode", "MainCurrency", "RequestTimeout", "RefreshToken", "ListDictionarySeperate",
      "IsNotExistBankAccountNumber", "Success", "ErrorMessage", "ErrorType", "Total",
    ]
    var rest = result.text[...]
    for name in names {
      let found = try #require(rest.firstRange(of: "\"\(name)\":"), "\(name)")
      rest = rest[found.upperBound...]
    }
    let data = try #require(result.json?["Data"])
    // 2025-06-15T15:06:40Z and an hour.
    #expect(data["Expire_Date"]?.text == "2025-06-15T23:06:40.0000000+07:00")
    let access = try #require(data["Access_Token"]?.text)
    let successor = try #require(data["RefreshToken"]?.text)
    #expect(result.json?["Success"]?.bool == true && result.json?["ErrorType"]?.int == 0)
    // The old access token stays good when the refresh token is rotated.
    let next = #"{"CompanyCode":"SANDBOX","RefreshToken":"\#(successor)"}"#
    #expect(model.answer(request(next, type: "text/json"), now: at(10)).outcome == "granted")
    #expect(model.ledger.isCurrent(access, now: at(10)))
    #expect(model.answer(request(Self.json, type: "text/html"), now: at(10)).outcome == "error_type_1")
  }

  @Test func xmlIsTakenAndGiven() {
    var model = Self.model()
    let result = model.answer(request(Self.xml, type: "text/xml", accept: "application/xml"), now: at(0))
    #expect(result.outcome == "granted")
    #expect(result.answer.fields["Content-Type"] == "application/xml; charset=utf-8")
    #expect(result.text.hasPrefix("<GraphAPIResultOfLoginV2ResultHwd4PmMc xmlns:i="))
    #expect(result.text.contains("<ActionType>Login</ActionType><Data><Access_Token>cukcuk-at-"))
    #expect(result.text.contains("<ErrorType>None</ErrorType><Success>true</Success>"))
  }

  @Test func membersOutOfOrderAreNotSeen() {
    var model = Self.model()
    let lines = Self.xml.split(separator: "\n")
    let swapped = [lines[0], lines[2], lines[1], lines[3]].joined(separator: "\n")
    #expect(model.answer(request(swapped, type: "application/xml"), now: at(0)).outcome == "error_type_1")
  }

  @Test func repliesCanSayHTML() {
    var model = Self.model()
    model.repliesAsHTML = true
    let result = model.answer(request(Self.json, type: "application/json"), now: at(0))
    #expect(result.answer.fields["Content-Type"] == "text/html" && result.json?["Success"]?.bool == true)
  }

  @Test(arguments: [
    ("unknown company", #"{"CompanyCode":"X","RefreshToken":"seed&1"}"#, 2),
    ("no token", #"{"CompanyCode":"SANDBOX"}"#, 1),
    ("null token", #"{"CompanyCode":"SANDBOX","RefreshToken":null}"#, 1),
    ("dead token", #"{"CompanyCode":"SANDBOX","RefreshToken":"x"}"#, 1), ("no JSON", "seed", 1),
  ])
  func failuresComeWithStatus200(_ name: String, _ body: String, _ number: Int) {
    var model = Self.model()
    let result = model.answer(request(body, type: "application/json"), now: at(0))
    #expect(result.answer.status == 200 && result.json?["Success"]?.bool == false, "\(name)")
    #expect(result.json?["ErrorType"]?.int == number && result.json?["Data"] == .null)
    let xml = model.answer(request(body, type: "application/json", accept: "text/xml"), now: at(0))
    #expect(xml.text.contains("<Data i:nil=\"true\"/>") && xml.text.contains("<Success>false</Success>"))
    #expect(model.answer(request(Self.json, type: "application/json"), now: at(0)).outcome == "granted")
  }

  @Test func twoAtOnceAreRefusedAsOfTheSameKind() {
    var model = Self.model()
    let a = model.receive(request(Self.json, type: "application/json"))
    let b = model.receive(request(Self.json, type: "application/json"))
    #expect(model.finish(a, now: at(0)).outcome == "granted")
    #expect(model.finish(b, now: at(0)).outcome == "error_type_102")
  }
}

@Suite struct OAuth2ModelTests {
  static let basic = "Basic c2FuZGJveC1jbGllbnQ6c2FuZGJveC1zZWNyZXQ="

  static func model() -> OAuth2Model {
    var model = OAuth2Model()
    model.ledger.logIn("seed", model.rules, now: at(0))
    return model
  }

  @Test(arguments: [
    ("basic", "grant_type=client_credentials", basic as String?, "granted"),
    ("post", "grant_type=client_credentials&client_id=sandbox-client&client_secret=sandbox-secret", nil, "granted"),
    ("wrong secret", "grant_type=client_credentials&client_id=sandbox-client&client_secret=x", nil, "invalid_client"),
    ("none", "grant_type=client_credentials&client_id=sandbox-client", nil, "invalid_client"),
    ("both", "grant_type=client_credentials&client_secret=sandbox-secret", basic, "invalid_request"),
    ("wrong basic", "grant_type=client_credentials", "Basic eDp5", "invalid_client"),
    ("no base64", "grant_type=client_credentials", "Basic !!", "invalid_client"),
    ("no grant", "a=b", basic, "invalid_request"), ("other grant", "grant_type=x", basic, "unsupported_grant_type"),
  ])
  func clientsSayWhoTheyAre(_ name: String, _ body: String, _ basic: String?, _ outcome: String) {
    var model = Self.model()
    let result = model.answer(request(body, basic: basic), now: at(0))
    #expect(result.outcome == outcome, "\(name)")
    #expect((result.answer.status == 401) == (outcome == "invalid_client"))
    #expect(result.answer.fields.contains("WWW-Authenticate") == (outcome == "invalid_client" && basic != nil))
    if outcome == "granted" { #expect(result.json?["refresh_token"] == nil) }
  }

  @Test func oldAccessTokensStayGoodAndRotationCanBeOff() throws {
    var model = Self.model()
    let refresh = request("grant_type=refresh_token&refresh_token=seed", basic: Self.basic)
    model.rules.rotates = false
    let first = model.answer(refresh, now: at(0))
    #expect(first.json?["refresh_token"] == nil)
    model.rules.rotates = true
    let second = model.answer(refresh, now: at(1))
    #expect(second.json?["refresh_token"] != nil)
    #expect(model.ledger.isCurrent(try #require(first.json?["access_token"]?.text), now: at(1)))
    #expect(model.answer(refresh, now: at(2)).outcome == "invalid_grant")
    #expect(model.ledger.isCurrent(try #require(second.json?["access_token"]?.text), now: at(2)))
  }
}

@Suite struct TokenEndpointTests {
  static func endpoint() -> TokenEndpoint {
    var model = HydraModel()
    model.ledger.logIn("seed", model.rules, now: at(0))
    return TokenEndpoint(model)
  }

  /// - Returns: the answer, or nil when the connection is closed or hangs.
  static func call(_ endpoint: inout TokenEndpoint, _ token: String = "seed") -> Answer? {
    let reaction: Reaction
    switch endpoint.receive(HydraModelTests.refresh(token)) {
    case .process(let call, let fault): reaction = endpoint.finish(call, fault: fault, now: at(0))
    case .react(let immediate): reaction = immediate
    }
    if case .answer(let answer) = reaction { return answer }
    return nil
  }

  @Test(arguments: [
    (TokenFault.http500, 500 as Int?), (.http429, 429), (.malformed, 200), (.hang, nil), (.readAndClose, nil),
  ])
  func aFaultDoesNotProcess(_ fault: TokenFault, _ status: Int?) {
    var endpoint = Self.endpoint()
    endpoint.fail(fault, count: 2, retryAfter: 7)
    #expect(Self.call(&endpoint)?.status == status)
    let second = Self.call(&endpoint)
    #expect(second?.status == status)
    #expect(second?.fields["Retry-After"] == (fault == .http429 ? "7" : nil))
    #expect(Self.call(&endpoint)?.status == 200)
    #expect(endpoint.counters.calls == 3 && endpoint.counters.granted == 1 && endpoint.counters.spentTokenSeen == 0)
    #expect(endpoint.counters.outcomes[fault.rawValue] == 2)
  }

  @Test func aLostAnswerHasSpentTheToken() {
    var endpoint = Self.endpoint()
    endpoint.fail(.loseAnswer, count: 1)
    #expect(Self.call(&endpoint) == nil)
    #expect(endpoint.model.ledger.standing(of: "seed") == .spentWithLostAnswer)
    #expect(Self.call(&endpoint)?.status == 400)
    #expect(endpoint.counters.spentTokenSeen == 1 && endpoint.counters.spentAfterLostAnswer == 1)
    #expect(endpoint.counters.granted == 0)
  }

  @Test func reuseAndConcurrencyAreCounted() {
    var endpoint = Self.endpoint()
    _ = endpoint.receive(HydraModelTests.refresh("seed"))
    #expect(Self.call(&endpoint)?.status == 200)
    #expect(Self.call(&endpoint)?.status == 400)
    #expect(endpoint.counters.mostAtOnce == 2)
    #expect(endpoint.counters.spentTokenSeen == 1 && endpoint.counters.spentAfterLostAnswer == 0)
  }

  @Test func revokingAndKillingAreDifferent() throws {
    var endpoint = Self.endpoint()
    guard case .bytes(let bytes)? = Self.call(&endpoint)?.body, let json = JSONValue.parse(bytes) else {
      Issue.record("no token")
      return
    }
    let access = try #require(json["access_token"]?.text)
    let refresh = try #require(json["refresh_token"]?.text)
    endpoint.model.ledger.revokeLogins(includingAccessTokens: false)
    #expect(endpoint.model.ledger.isCurrent(access, now: at(0)))
    #expect(Self.call(&endpoint, refresh)?.status == 400)
    let login = endpoint.model.ledger.logIn(endpoint.model.rules, now: at(0))
    endpoint.model.ledger.revokeAccessTokens()
    #expect(!endpoint.model.ledger.isCurrent(access, now: at(0)))
    #expect(Self.call(&endpoint, login)?.status == 200)
  }
}

@Suite struct CivilTimeTests {
  @Test(arguments: [
    (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
    (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
  ])
  func httpDates(_ seconds: Int64, _ expected: String) {
    #expect(CivilTime(WallTime(milliseconds: seconds * 1000)).httpDate == expected)
  }

  @Test func dotNetDatesCarryTheOffset() {
    // The vendor's sample, to the millisecond.
    let time = WallTime(milliseconds: 1_750_851_855_618)
    #expect(CivilTime.dotNet(time, offsetMinutes: 420) == "2025-06-25T18:44:15.6180000+07:00")
    #expect(CivilTime.dotNet(time, offsetMinutes: -90) == "2025-06-25T10:14:15.6180000-01:30")
  }
}
