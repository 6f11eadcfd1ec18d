// Refusals, wrong members and odd lifetimes of the token APIs, with what each must come to.
import GatewayTesting
import TokenKit

enum OAuth2Samples {
  private static func error(_ code: String, _ more: String = "") -> String { "{\"error\":\"\(code)\"\(more)}" }
  private static let concurrent =
    "Failed to refresh token because of multiple concurrent requests using the same token which is not allowed."

  static let refusals: [ConformanceRefusal] = [
    // RFC 6749 §5.2, with the statuses that servers use for it.
    .init(400, error("invalid_grant", #","error_description":"x""#), .needsLogin, "invalid_grant"),
    .init(401, error("invalid_grant"), .needsLogin, "invalid_grant"),
    .init(200, error("invalid_grant"), .needsLogin, "invalid_grant"),
    .init(400, "error=invalid_grant&error_description=token+is+gone%21", .needsLogin, "invalid_grant"),
    .init(200, "error=invalid_grant", .needsLogin, "invalid_grant"),
    .init(400, error("invalid_request"), .misconfigured, "invalid_request"),
    .init(401, error("invalid_client"), .misconfigured, "invalid_client"),
    .init(400, error("invalid_client"), .misconfigured, "invalid_client"),
    .init(400, error("unauthorized_client"), .misconfigured, "unauthorized_client"),
    .init(400, error("unsupported_grant_type"), .misconfigured, "unsupported_grant_type"),
    .init(400, error("invalid_scope"), .misconfigured, "invalid_scope"),
    .init(403, error("access_denied"), .misconfigured, "access_denied"),
    .init(400, error("temporarily_unavailable"), .transient, "temporarily_unavailable"),
    .init(400, error("server_error"), .unanswered, "server_error"),
    .init(400, error("interaction_required"), .needsLogin, "interaction_required"),
    // Hydra, old and new.
    .init(401, error("token_inactive", #","status_code":401"#), .needsLogin, "token_inactive"),
    .init(
      400, error("invalid_request", #","error_description":"The request is malformed. \#(concurrent)""#), .unanswered,
      "concurrent_refresh"),
    .init(400, error("invalid_request", #","error_hint":"\#(concurrent)""#), .unanswered, "concurrent_refresh"),
    .init(
      400, error("invalid_request", #","error_hint":"Please retry the request.""#), .unanswered, "concurrent_refresh"),
    .init(200, error("invalid_request", #","error_description":"…please retry""#), .unanswered, "concurrent_refresh"),
    // Only that code means so.
    .init(401, error("invalid_client", #","error_hint":"Please retry.""#), .misconfigured, "invalid_client"),
    // Codes that nobody knows are not shown.
    .init(400, error("made_up"), .misconfigured, "http_400"),
    .init(200, error("made_up"), .misconfigured, "unknown_error"),
    .init(400, error("INVALID_GRANT"), .misconfigured, "http_400"),
    .init(400, #"{"error":{"code":400,"status":"INVALID_ARGUMENT"}}"#, .misconfigured, "http_400"),
    .init(200, #"{"error":-14020,"error_name":"x"}"#, .misconfigured, "unknown_error"),
    // An error beats a token.
    .init(200, #"{"error":"invalid_grant","access_token":"tok"}"#, .needsLogin, "invalid_grant"),
    // A token of a kind that cannot be put on a request.
    .init(200, #"{"access_token":"tok","token_type":"mac"}"#, .misconfigured, "unsupported_token_type"),
    .init(200, #"{"access_token":"tok","token_type":"DPoP"}"#, .misconfigured, "unsupported_token_type"),
    .init(200, #"{"access_token":"tok","token_type":"N_A"}"#, .misconfigured, "unsupported_token_type"),
  ]

  static let malformed = [
    #"{"access_token":null}"#, #"{"access_token":12345,"expires_in":1}"#, #"{"access_token":true}"#,
    #"{"access_token":["tok"]}"#, #"{"access_token":{"value":"tok"}}"#, #"{"access_token":"tok","token_type":7}"#,
    #"{"access_token":"tok","token_type":["bearer"]}"#, #"{"access_token":"tok","refresh_token":12345}"#,
    #"{"access_token":"tok","refresh_token":false}"#, #"{"access_token":"tok","refresh_token":{}}"#,
    #"{"access_token":"tok","refresh_token":["ref"]}"#, #"{"Access_Token":"tok"}"#, #"{"data":{"access_token":"tok"}}"#,
    #"{"expires_in":3600,"refresh_token":"ref"}"#, #"{"access_token":"a=b"}"#, #"{"access_token":"="}"#,
    #"{"access_token":"a b"}"#, #"{"access_token":"a,b"}"#, #"{"access_token":"a\"b"}"#,
    #"{"access_token":"a\u000d\u000ab"}"#, #"{"access_token":"a\u0000"}"#, "access_token=a%0d%0ab", "access_token=",
    #"{"access_token":"tok""#, #"{'access_token':'tok'}"#, #"{"error":null}"#, #"{"error":""}"#,
  ]

  static let oddLifetimes = [
    "0", "-1", "-3600", "0.001", "1e-300", "1e300", "1e400", "-1e400", "9223372036854775807", "18446744073709551616",
    "1750851855", "null", "true", "false", "[]", "{}", "[3600]", "\"\"", "\"0\"", "\"-5\"", "\"never\"", "\"nan\"",
    "\"inf\"", "\"-inf\"", "\"0x10\"", "\"1e3\"", "\"3600s\"", "\"99999999999999999999999\"", "\"３６００\"", "\"1.2.3\"",
  ].flatMap { value in
    [
      #"{"access_token":"tok","expires_in":\#(value)}"#,
      #"{"access_token":"tok","refresh_token":"ref","refresh_expires_in":\#(value),"expires_in":60}"#,
      #"{"access_token":"tok","refresh_token":"ref","refresh_token_expires_in":\#(value)}"#,
    ]
  }
}

enum MisaSamples {
  private static func refusals(_ body: (String) -> String) -> [ConformanceRefusal] {
    let outcomes: [(Int, GrantError.Kind)] = [
      (0, .needsLogin), (1, .needsLogin), (2, .misconfigured), (3, .misconfigured), (4, .misconfigured),
      (5, .needsLogin), (6, .needsLogin), (7, .misconfigured), (42, .needsLogin), (100, .transient), (101, .needsLogin),
      (102, .transient),
    ]
    return outcomes.flatMap { number, kind in
      [200, 400, 401].map { ConformanceRefusal($0, body("\(number)"), kind, "misa_error_\(number)") }
    }
  }

  static let refusalsJSON =
    refusals(Subjects.misaFailureJSON) + refusals { Subjects.misaFailureJSON("\"\($0)\"") } + [
      .init(200, #"{"Success":false}"#, .needsLogin, "misa_error_0"),
      .init(200, #"{"Success":"false","ErrorType":"None"}"#, .needsLogin, "misa_error_0"),
      .init(200, #"{"Success":false,"ErrorType":-1}"#, .needsLogin, "misa_error_unknown"),
      .init(200, #"{"Success":false,"ErrorType":123456789}"#, .needsLogin, "misa_error_unknown"),
      .init(200, #"{"Success":false,"ErrorType":"SomeName"}"#, .misconfigured, "misa_error_unknown"),
      .init(200, #"{"Success":false,"ErrorType":102,"Data":"busy"}"#, .transient, "misa_error_102"),
      .init(200, #"{"Success":false,"ErrorType":102,"Data":[]}"#, .transient, "misa_error_102"),
      // A token in a failed reply is none.
      .init(200, #"{"Success":false,"ErrorType":7,"Data":{"Access_Token":"tok"}}"#, .misconfigured, "misa_error_7"),
      // ASP.NET's own errors have no envelope.
      .init(401, #"{"Message":"Authorization has been denied for this request."}"#, .misconfigured, "http_401"),
      .init(400, #"{"Success":false,"ErrorType":{}}"#, .misconfigured, "http_400"),
    ]

  static let refusalsXML =
    refusals(Subjects.misaFailureXML) + [
      .init(200, Subjects.misaFailureXML("None"), .needsLogin, "misa_error_0"),
      .init(200, Subjects.misaFailureXML(""), .needsLogin, "misa_error_0"),
      .init(200, Subjects.misaFailureXML("InvalidParam"), .misconfigured, "misa_error_unknown"),
      .init(200, "<R><Success>false</Success></R>", .needsLogin, "misa_error_0"),
      .init(
        200, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n" + Subjects.misaFailureXML("102"), .transient,
        "misa_error_102"),
      .init(
        200, "<a:R xmlns:a='u'><a:Success>false</a:Success><a:ErrorType>7</a:ErrorType></a:R>", .misconfigured,
        "misa_error_7"),
      .init(401, "<Error><Message>Authorization has been denied.</Message></Error>", .misconfigured, "http_401"),
    ]

  static let malformedJSON = [
    #"{"Success":true}"#, #"{"Success":true,"Data":null}"#, #"{"Success":true,"Data":"tok"}"#,
    #"{"Success":true,"Data":[]}"#, #"{"Success":true,"Data":{}}"#, #"{"Success":true,"Data":{"Access_Token":null}}"#,
    #"{"Success":true,"Data":{"Access_Token":7}}"#, #"{"Success":true,"Data":{"Access_Token":["tok"]}}"#,
    #"{"Success":true,"Data":{"Access_Token":"tok","RefreshToken":7}}"#,
    #"{"Success":true,"Data":{"Access_Token":"tok","RefreshToken":["ref"]}}"#,
    #"{"Data":{"Access_Token":"tok"}}"#, #"{"Success":null,"Data":{"Access_Token":"tok"}}"#,
    #"{"Success":1,"Data":{"Access_Token":"tok"}}"#, #"{"Success":"yes","Data":{"Access_Token":"tok"}}"#,
    #"{"Success":[true],"Data":{"Access_Token":"tok"}}"#, #"{"Success":false,"ErrorType":{}}"#,
    #"{"Success":false,"ErrorType":true}"#, #"{"Success":false,"ErrorType":1.5}"#,
    #"{"Success":false,"ErrorType":1e99}"#,
    #"{"access_token":"tok","expires_in":3600}"#,
  ]

  static let malformedXML =
    [
      "<R><Success>true</Success></R>", "<R><Success>true</Success><Data/></R>",
      "<R><Success>true</Success><Data>tok</Data></R>",
      "<R><Success>true</Success><Data><Access_Token/></Data></R>",
      "<R><Success>true</Success><Data><Access_Token><v>tok</v></Access_Token></Data></R>",
      "<R><Success>true</Success><Data><Access_Token>tok</Access_Token><RefreshToken><v/></RefreshToken></Data></R>",
      "<R><Data><Access_Token>tok</Access_Token></Data></R>",
      "<R><Success>yes</Success><Data><Access_Token>tok</Access_Token></Data></R>",
      "<R><Success><true/></Success><Data><Access_Token>tok</Access_Token></Data></R>",
      "<R><Success>true</Success><Data><Access_Token>tok</Access_Token></Data>",
      "<R><Success>true</Success><Data><Access_Token>tok</Data></Access_Token></R>",
      "<R><Success>true</Success><Data><Access_Token>&unknown;</Access_Token></Data></R>",
      "<Success>true</Success>", "<R><Success>false</Success><ErrorType><x/></ErrorType></R>",
    ] + entities

  /// Good replies but for the document type: what it declares is never looked at.
  static let entities = [
    "<!DOCTYPE R>", "<!DOCTYPE R []>", "<!DOCTYPE R SYSTEM \"http://127.0.0.1:1/x.dtd\">",
    "<!DOCTYPE R [<!ENTITY x \"tok\">]>", "<!DOCTYPE R [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>",
    "<!DOCTYPE R [<!ENTITY % p SYSTEM \"file:///etc/passwd\"> %p;]>",
    "<!DOCTYPE R [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY x \"&b;&b;&b;&b;&b;\">]>",
  ].flatMap { type in
    ["tok", "&x;"].map {
      "<?xml version=\"1.0\"?>\(type)<R><Success>true</Success><Data><Access_Token>\($0)</Access_Token></Data></R>"
    }
  }

  static let oddDates = [
    "", " ", "never", "0001-01-01T00:00:00", "9999-12-31T23:59:59.9999999", "1970-01-01T00:00:00Z",
    "2025-06-25T10:44:15Z", "2025-06-25T10:44:14Z", "2025-02-30T00:00:00Z", "2026-13-01T00:00:00Z",
    "2026-06-25T24:00:00Z", "2026-06-25T18:44:15.12345678Z", "2026-06-25T18:44:15.Z", "2026-06-25 18:44:15",
    "/Date(1750851855618)/", "2026-06-25T18:44:15+0700", "2026-06-25T18:44:15+99:00", "2026-06-25", "1750851855",
  ]
}
