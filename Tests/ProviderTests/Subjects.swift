// The providers under test, in each of their configurations, with samples of their token endpoints.
import GatewayTesting
import MisaCukcukProvider
import OAuth2Provider
import TokenKit
import VinIDProvider

enum Subjects {
  static let all = [
    vinid(encoding: "form"), vinid(encoding: "multipart"), misa(format: "json"), misa(format: "xml"),
    oauth2("refresh_token, basic", #""grant": "refresh_token", "client_secret": {"value": "s3cr3t-of-client"}"#),
    oauth2(
      "refresh_token, post",
      #""grant": "refresh_token", "client_auth": "post", "client_secret": {"value": "s3cr3t-of-client"}"#),
    oauth2("refresh_token, none", #""grant": "refresh_token", "client_auth": "none", "scope": "a b""#),
    oauth2(
      "client_credentials", #""grant": "client_credentials", "client_secret": {"value": "s3cr3t-of-client"}"#,
      usesRefreshToken: false),
    parcel,
  ]

  static func vinid(encoding: String) -> ProviderUnderTest {
    ProviderUnderTest(
      VinIDProvider.self, name: "vinid (\(encoding))",
      settings: """
        {"token_url": "https://oauth.example/oauth2/token", "client_id": "my-app", "redirect_uri": "https://my.app/cb",
         "client_secret": {"value": "s3cr3t-of-client"}, "encoding": "\(encoding)"}
        """,
      secrets: ["s3cr3t-of-client"], goodReply: oauth2Reply, refusal: oauth2Refusal,
      refusals: oauth2Refusals(login: .needsLogin), malformed: oauth2Malformed, oddLifetimes: oauth2OddLifetimes)
  }

  static func oauth2(_ name: String, _ settings: String, usesRefreshToken: Bool = true) -> ProviderUnderTest {
    ProviderUnderTest(
      OAuth2Provider.self, name: "oauth2 (\(name))",
      settings: #"{"token_url": "https://sso.example/token", "client_id": "svc", \#(settings)}"#,
      usesRefreshToken: usesRefreshToken,
      secrets: settings.contains("client_secret") ? ["s3cr3t-of-client"] : [], goodReply: oauth2Reply,
      refusal: oauth2Refusal, refusals: oauth2Refusals(login: usesRefreshToken ? .needsLogin : .misconfigured),
      malformed: oauth2Malformed, oddLifetimes: oauth2OddLifetimes)
  }

  static func misa(format: String) -> ProviderUnderTest {
    let isJSON = format == "json"
    return ProviderUnderTest(
      MisaCukcukProvider.self, name: "misa-cukcuk (\(format))",
      settings: """
        {"token_url": "https://graphapi.example/Authen/v2/RefreshToken", "company_code": "MYSHOP", "format": "\(format)"}
        """,
      goodReply: isJSON ? misaJSON : misaXML,
      refusal: { isJSON ? misaFailureJSON(JSONReply.quoted($0)) : misaFailureXML($0) },
      refusals: isJSON ? MisaSamples.refusalsJSON : MisaSamples.refusalsXML,
      malformed: isJSON ? MisaSamples.malformedJSON : MisaSamples.malformedXML,
      oddLifetimes: MisaSamples.oddDates.map {
        isJSON ? misaJSON("tok", "ref", date: "\"\($0)\"") : misaXML("tok", "ref", date: $0)
      })
  }

  // MARK: MISA's replies

  static let misaJSON: @Sendable (ConformanceReply) -> String = {
    misaJSON($0.accessToken, $0.refreshToken, filler: $0.filler)
  }

  static func misaJSON(
    _ access: String, _ refresh: String?, date: String = "\"2025-06-25T18:44:15.6186183+07:00\"", filler: String? = nil
  ) -> String {
    let refreshMember = refresh.map { ",\"RefreshToken\":\(JSONReply.quoted($0))" } ?? ""
    let fillerMember = filler.map { ",\"MainCurrency\":\"\($0)\"" } ?? ""
    return """
      {"Data":{"AppID":"x","Access_Token":\(JSONReply.quoted(access)),"Token_type":"bearer","Expire_Date":\(date)\
      \(fillerMember)\(refreshMember)},"Success":true,"ErrorMessage":null,"ErrorType":0,"Total":1}
      """
  }

  static let misaXML: @Sendable (ConformanceReply) -> String = {
    misaXML($0.accessToken, $0.refreshToken, filler: $0.filler)
  }

  static func misaXML(
    _ access: String, _ refresh: String?, date: String = "2025-06-25T18:44:15.6186183+07:00", filler: String? = nil
  ) -> String {
    func text(_ value: String) -> String {
      value.unicodeScalars.map { scalar in
        switch scalar {
        case "&": "&amp;"
        case "<": "&lt;"
        case "\r", "\n", "\t": "&#\(scalar.value);"
        default: String(scalar)
        }
      }.joined()
    }
    let refreshMember = refresh.map { "<RefreshToken>\(text($0))</RefreshToken>" } ?? "<RefreshToken i:nil=\"true\"/>"
    return """
      <R xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns="http://schemas.example/BO"><ActionType>Login\
      </ActionType><Data><Access_Token>\(text(access))</Access_Token><AppID>x</AppID><Branchs/>\
      <Expire_Date>\(date)</Expire_Date><MainCurrency>\(filler ?? "")</MainCurrency>\(refreshMember)</Data>\
      <ErrorMessage i:nil="true"/><ErrorType>None</ErrorType><Success>true</Success><Total>1</Total></R>
      """
  }

  static func misaFailureJSON(_ errorType: String) -> String {
    #"{"Data":null,"Success":false,"ErrorMessage":\#(errorType),"ErrorType":\#(errorType),"Total":0}"#
  }

  static func misaFailureXML(_ errorType: String) -> String {
    """
    <R xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><ActionType>Login</ActionType><Data i:nil="true"/>\
    <ErrorMessage>\(errorType)</ErrorMessage><ErrorType>\(errorType)</ErrorType><Success>false</Success></R>
    """
  }

  // MARK: OAuth2's replies

  static let oauth2Reply: @Sendable (ConformanceReply) -> String = { reply in
    let refresh = reply.refreshToken.map { ",\"refresh_token\":\(JSONReply.quoted($0))" } ?? ""
    let filler = reply.filler.map { ",\"id_token\":\"\($0)\"" } ?? ""
    return """
      {"access_token":\(JSONReply.quoted(reply.accessToken)),"expires_in":3600\(filler)\(refresh),\
      "scope":"openid offline","token_type":"bearer"}
      """
  }

  static let oauth2Refusal: @Sendable (String) -> String = {
    "{\"error\":\(JSONReply.quoted($0)),\"error_description\":\(JSONReply.quoted($0))}"
  }

  static func oauth2Refusals(login: GrantError.Kind) -> [ConformanceRefusal] {
    OAuth2Samples.refusals.map { refusal in
      var refusal = refusal
      if refusal.kind == .needsLogin { refusal.kind = login }
      return refusal
    }
  }

  static let oauth2Malformed = OAuth2Samples.malformed
  static let oauth2OddLifetimes = OAuth2Samples.oddLifetimes
}
