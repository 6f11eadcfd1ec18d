// HTTP-RULES.md, "Header hygiene": what a caller sets and the origin must not see, and what it must.
import GatewayTesting

enum HygieneRows {
  static var all: [RuleRow] { authorizations + companyCodes + hopByHop + underscores + kept }

  private static let rule =
    "the caller's Authorization, and every field that the credential injects, never reach the upstream"

  /// No text of the caller's may be left, under whatever name.
  private static func clean(_ rule: String, fields: String, target: String = "/first") -> RuleRow {
    .accepted(rule, fields: fields, target: target) { request in
      String(decoding: request.head.raw, as: UTF8.self).contains("stolen") ? "the caller's field" : nil
    }
  }

  private static let authorizationNames = [
    "Authorization", "authorization", "AUTHORIZATION", "AuThOrIzAtIoN", "Authorization_", "_Authorization",
    "Authori_zation",
    "Authori-zation", "authorization-",
  ]

  private static var authorizations: [RuleRow] {
    var rows: [RuleRow] = []
    for name in authorizationNames {
      for value in ["Bearer stolen", "Basic stolen", "stolen", "\tBearer stolen \t", "Bearer a, Bearer stolen"] {
        rows.append(clean("\(rule): any case", fields: "\(name): \(value)"))
      }
      for other in authorizationNames {
        rows.append(clean("\(rule): repeated", fields: "\(name): Bearer stolen\r\n\(other): Bearer stolen"))
      }
      for option in ["\(name)", "close, \(name)", "\(name)\r\nConnection: \(name)"] {
        rows.append(
          clean(
            "Connection-named fields out, stripping, then ours in, last",
            fields: "\(name): stolen\r\nConnection: \(option)"))
        if option.hasPrefix("close") { rows[rows.count - 1].closes = true }
      }
      for target in ["/cukcuk/x", "/strip/x"] {
        rows.append(clean("\(rule): on every route", fields: "\(name): Bearer stolen", target: target))
      }
    }
    rows.append(
      clean(rule, fields: Array(repeating: "Authorization: stolen", count: 90).joined(separator: "\r\n")).inOnePiece)
    return rows
  }

  private static var companyCodes: [RuleRow] {
    [
      "CompanyCode", "companycode", "COMPANYCODE", "cOMPANYcODE", "Company-Code", "company-code", "Company_Code",
      "company_code",
      "CompanyCode_", "_CompanyCode", "Company--Code", "Company__Code", "C-o-m-p-a-n-y-C-o-d-e", "CompanyCode-",
    ].flatMap { name in
      [
        clean("\(rule) (CompanyCode)", fields: "\(name): stolen", target: "/cukcuk/x"),
        clean("\(rule) (CompanyCode)", fields: "\(name): stolen\r\nCompanyCode: stolen", target: "/cukcuk/x"),
        clean(
          "\(rule) (CompanyCode)", fields: "\(name): stolen\r\nConnection: CompanyCode, \(name)", target: "/cukcuk/x"),
      ]
    }
  }

  private static var hopByHop: [RuleRow] {
    var rows: [RuleRow] = []
    for name in [
      "Keep-Alive", "Proxy-Connection", "TE", "Upgrade", "Proxy-Authenticate", "Proxy-Authorization", "HTTP2-Settings",
    ] {
      for spelling in [name, name.lowercased(), name.uppercased(), name.replacing("-", with: "_")] {
        rows.append(clean("hop-by-hop, both ways", fields: "\(spelling): stolen"))
        rows.append(clean("hop-by-hop, both ways", fields: "Connection: \(spelling)\r\n\(spelling): stolen"))
      }
    }
    for name in [
      "X-Private", "x-private", "Cookie", "Accept", "Via", "Max-Forwards", "X-Request-ID", "Expect-CT", "x!y",
    ] {
      for option in [
        name, name.uppercased(), "a, \(name), b", "a,\(name)", "a\r\nConnection: \(name)", ",,\t\(name) ,",
      ] {
        rows.append(
          clean(
            "Connection and every field that it names",
            fields: "Connection: \(option)\r\n\(name): stolen\r\n\(name): stolen"))
      }
    }
    for fields in [
      "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: stolen",
      "Upgrade: h2c\r\nHTTP2-Settings: stolen",
      "Connection: upgrade\r\nUpgrade: websocket, h2c", "Connection: Upgrade\r\nUpgrade: TLS/1.3",
    ] {
      rows.append(
        .accepted("Upgrade: h2c and HTTP2-Settings are never forwarded", fields: fields) { request in
          ["Upgrade", "HTTP2-Settings", "Connection"].first { request.fields.contains($0) }.map {
            "\($0) was forwarded"
          }
        })
    }
    for (te, isAsked) in [
      ("trailers", true), ("Trailers", true), ("gzip, trailers", true), ("trailers;q=0.5", false), ("gzip", false),
      ("", false),
      ("trailersx", false),
    ] {
      rows.append(
        .accepted("hop-by-hop: but TE: trailers goes on", fields: "TE: \(te)\r\nConnection: TE") { request in
          request.fields.all("TE") == (isAsked ? ["trailers"] : []) ? nil : "TE is \(request.fields.all("TE"))"
        })
    }
    return rows
  }

  private static var underscores: [RuleRow] {
    [
      "X_Forwarded_For", "x_forwarded_for", "X_Any", "_", "a_", "_a", "X-Forwarded_For", "Content_Length",
      "Transfer_Encoding",
      "Proxy_Authorization", "X_Request_ID", "X_Gateway_Token",
    ].map { clean("field names with _: dropped by default", fields: "\($0): stolen") }
  }

  /// Nothing else is taken away.
  private static var kept: [RuleRow] {
    [
      "Accept", "Cookie", "Content-Type", "Origin", "Referer", "User-Agent", "Range", "If-None-Match", "Cache-Control",
      "traceparent", "tracestate", "X-Authorization", "Authorization-Info", "WWW-Authenticate", "Trailer",
      "X-CompanyCode",
      "Date", "Server", "Retry-After", "X-Real-IP", "CompanyCode",
    ].map { name in
      .accepted("all other fields go on", fields: "\(name): kept\r\n\(name): again") { request in
        request.fields.all(name) == ["kept", "again"] ? nil : "\(name) is \(request.fields.all(name))"
      }
    }
  }

  /// With `underscore_fields` = "keep".
  static var withUnderscoresKept: [RuleRow] {
    var rows: [RuleRow] = []
    for name in ["X_Any", "_", "a_b_c", "X_Real_IP"] {
      rows.append(
        .accepted("field names with _: configurable", fields: "\(name): kept") {
          $0.fields.all(name) == ["kept"] ? nil : "\(name) was dropped"
        })
    }
    for name in [
      "Authorization_", "_Authorization", "Authori_zation", "Transfer_Encoding", "Content_Length",
      "Proxy_Authorization",
      "Proxy_Connection", "Keep_Alive", "X_Forwarded_For", "X_FORWARDED_HOST", "X-Forwarded_Proto", "HTTP2_Settings",
    ] {
      rows.append(clean("what a careless server takes for ours is stripped all the same", fields: "\(name): stolen"))
      rows.append(
        clean(
          "what a careless server takes for ours is stripped all the same", fields: "\(name): stolen",
          target: "/cukcuk/x"))
    }
    for name in ["Company_Code", "company_code", "CompanyCode_", "_CompanyCode"] {
      rows.append(clean("\(rule) (CompanyCode)", fields: "\(name): stolen", target: "/cukcuk/x"))
    }
    return rows
  }
}
