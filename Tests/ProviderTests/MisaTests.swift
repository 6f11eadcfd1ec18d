// misa-cukcuk: exact requests, the page's samples, settings, traits.
import GatewayTesting
import MisaCukcukProvider
import Testing
import TokenKit

@Suite struct MisaTests {
  static let url = "https://graphapi.cukcuk.com/Authen/v2/RefreshToken"

  func provider(_ more: String = "", company: String = "sample string 1") throws -> MisaCukcukProvider {
    try read(MisaCukcukProvider.self, #"{"token_url": "\#(Self.url)", "company_code": "\#(company)"\#(more)}"#).provider
  }

  @Test(
    "the requests of the page, byte for byte",
    arguments: [
      ("json", "application/json", Fixtures.misaRequestJSON), ("xml", "application/xml", Fixtures.misaRequestXML),
    ])
  func sampleRequest(format: String, type: String, body: String) throws {
    let request = try provider(#", "format": "\#(format)""#).grantRequest(context("sample string 2"))
    #expect(request.url == Self.url)
    #expect(request.lines == ["Content-Type: \(type)", "Accept: \(type)", body])
    #expect(request.spendsRefreshToken)
  }

  @Test func textIsEscaped() throws {
    let json = try provider(company: #"a\"\\b"#).grantRequest(context(#"<&>"'\"#)).body.reveal()
    #expect(json == #"{"# + "\n" + #"  "CompanyCode": "a\"\\b","# + "\n" + #"  "RefreshToken": "<&>\"'\\""# + "\n}")
    let xml = try provider(#", "format": "xml""#, company: "a<b").grantRequest(context(#"]]><&>"'\"#)).body.reveal()
    #expect(
      xml.hasSuffix(
        "<CompanyCode>a&lt;b</CompanyCode>\n  <RefreshToken>]]&gt;&lt;&amp;&gt;\"'\\</RefreshToken>\n</RefreshParam>"))
  }

  @Test(
    "the replies of the page, in every format, whatever was asked for",
    arguments: ["application/json", "text/html", "application/xml"], ["json", "xml"])
  func sampleReply(type: String, format: String) throws {
    let samples = [
      "application/json": Fixtures.misaReplyJSON, "text/html": Fixtures.misaReplyHTML,
      "application/xml": Fixtures.misaReplyXML,
    ]
    let body = try #require(samples[type])
    let token = try provider(#", "format": "\#(format)""#).outcome(body).get()
    #expect(token.accessToken == Secret("sample string 2"))
    #expect(token.refreshToken == Secret("sample string 7"))
    #expect(token.lifetime == .absolute(WallTime(milliseconds: 1_750_851_855_618)))
    #expect(token.refreshTokenLifetime == nil && token.scope == nil)
  }

  @Test("XML: prefixes, a declaration, comments, CDATA and white space are only spelling") func xmlSpellings() throws {
    let body = """
      \u{feff}  <?xml version="1.0" encoding="utf-8"?>
      <!-- x --><b:R xmlns:b="urn:b" xmlns="urn:a"><b:Success>true</b:Success><Data xmlns="urn:c">
        <b:RefreshToken><![CDATA[r<1>]]></b:RefreshToken><Access_Token>a&#x2e;b&amp;c</Access_Token></Data></b:R>
      """
    let token = try provider().outcome(body).get()
    #expect(token.accessToken == Secret("a.b&c") && token.refreshToken == Secret("r<1>") && token.lifetime == .unknown)
  }

  @Test("the tokens are those of Data, not of a branch or of the envelope") func tokensElsewhere() throws {
    let xml = """
      <R><RefreshToken>no</RefreshToken><Data><Branchs><B><RefreshToken>no</RefreshToken><Access_Token>no</Access_Token></B>
      </Branchs><Access_Token>yes</Access_Token></Data><Success>true</Success></R>
      """
    let json = """
      {"RefreshToken":"no","Data":{"Branchs":[{"Access_Token":"no","RefreshToken":"no"}],"Access_Token":"yes"},"Success":true}
      """
    for body in [xml, json] {
      let token = try provider().outcome(body).get()
      #expect(token.accessToken == Secret("yes") && token.refreshToken == nil)
    }
  }

  @Test("a date without offset is in utc_offset", arguments: [("+07:00", 7.0), ("-03:30", -3.5), ("Z", 0)])
  func utcOffset(offset: String, hours: Double) throws {
    let body = Subjects.misaJSON("tok", nil, date: #""2025-06-26T00:00:00""#)
    let utcMidnight: Int64 = 1_750_896_000_000
    let expected = WallTime(milliseconds: utcMidnight - Int64(hours * 3_600_000))
    #expect(try provider(#", "utc_offset": "\#(offset)""#).outcome(body).get().lifetime == .absolute(expected))
  }

  @Test func utcOffsetDefault() throws {
    let body = Subjects.misaXML("tok", nil, date: "2025-06-26T00:00:00")
    let expected = WallTime(milliseconds: 1_750_896_000_000 - 7 * 3_600_000)
    #expect(try provider().outcome(body).get().lifetime == .absolute(expected))
  }

  @Test("an expiry is judged by the server's clock when it says one") func serverClock() throws {
    let body = Subjects.misaJSON("tok", nil)
    // Ours is an hour before the token's end; a server that is two hours ahead of us calls it expired.
    #expect(try provider().outcome(body, date: now + .seconds(7200)).get().lifetime == .unknown)
    #expect(
      try provider().outcome(body, date: now).get().lifetime == .absolute(WallTime(milliseconds: 1_750_851_855_618)))
  }

  @Test("102, a call of the same kind is running: wait as long as the server says") func retryAfter() throws {
    let outcome = try provider().outcome(Subjects.misaFailureJSON("102"), retryAfter: .seconds(3))
    #expect(outcome == .failure(GrantError(.transient, "misa_error_102", retryAfter: .seconds(3))))
  }

  @Test func traits() throws {
    let traits = try provider(company: "SHOP").traits
    #expect(traits.requestFields.map(\.name) == ["CompanyCode"] && traits.requestFields.map(\.value) == ["SHOP"])
    #expect(traits.usesRefreshToken && !traits.killsOldTokenAtRotation && traits.refreshTokenLifetime == nil)
    #expect(try provider(#", "company_code_header": false"#, company: "SHOP").traits.requestFields.isEmpty)
    #expect(
      try provider(company: "A").traits.refreshTokenIdentity != provider(company: "B").traits.refreshTokenIdentity)
    #expect(try provider(company: "A").traits.accessTokenIdentity != provider(company: "B").traits.accessTokenIdentity)
  }

  @Test("a company code that no field can carry is an error, unless none has to") func companyCode() throws {
    for code in ["quán", " a", "a "] {
      let settings = #""token_url": "\#(Self.url)", "company_code": "\#(code)""#
      #expect(try read(MisaCukcukProvider.self, "{\(settings)}").errors.count == 1)
      #expect(try read(MisaCukcukProvider.self, #"{\#(settings), "company_code_header": false}"#).errors.isEmpty)
    }
    let injection = #""token_url": "\#(Self.url)", "company_code": "a\r\nX: y", "company_code_header": false"#
    #expect(
      try read(MisaCukcukProvider.self, "{\(injection)}").errors == [
        "c.company_code: must not have control characters in it"
      ])
  }

  @Test func allThatIsWrongAtOnce() throws {
    let errors = try read(
      MisaCukcukProvider.self, #"{"format": "yaml", "company_code_header": "no", "utc_offset": "7", "company": "x"}"#
    ).errors
    #expect(
      errors == [
        "c.token_url: is missing", "c.company_code: is missing", #"c.format: "yaml" is not one of "json", "xml""#,
        "c.company_code_header: must be true or false, not a string",
        #"c.utc_offset: "7" is not an offset; write for example "+07:00", "-03:30" or "Z""#, "c.company: unknown key",
      ])
  }
}
