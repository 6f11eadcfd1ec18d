// WWW-Authenticate of a 401: which challenges are worth a refresh (RFC 6750 §3.1).
import HTTPWire
import Testing

@testable import Gateway

@Suite struct ChallengeTests {
  @Test(arguments: [
    ("", true),
    ("WWW-Authenticate: Bearer\r\n", true),
    ("WWW-Authenticate: Bearer error=\"invalid_token\"\r\n", true),
    ("WWW-Authenticate: Bearer realm=\"a, error=insufficient_scope\", error=\"invalid_token\"\r\n", true),
    ("WWW-Authenticate: Bearer realm=\"x\", error=\"insufficient_scope\"\r\n", false),
    ("WWW-Authenticate: Bearer error = insufficient_scope\r\n", false),
    ("WWW-Authenticate: Bearer Error=\"Invalid_Request\"\r\n", false),
    ("WWW-Authenticate: Bearer error=\"insufficient_claims\", claims=\"eyJ\"\r\n", false),
    ("WWW-Authenticate: DPoP error=\"use_dpop_nonce\"\r\n", false),
    ("WWW-Authenticate: Bearer error_description=\"insufficient_scope\"\r\n", true),
    ("www-authenticate: Basic\r\nWWW-Authenticate: Bearer error=\"insufficient_scope\"\r\n", false),
    ("WWW-Authenticate: Bearer error=\r\n", true),
  ])
  func curable(fields: String, expected: Bool) throws {
    let bytes = Array("HTTP/1.1 401 Unauthorized\r\n\(fields)Content-Length: 0\r\n\r\n".utf8)
    var head = ResponseHead()
    #expect(try head.parse(bytes.span, isHeadRequest: false, limits: HeadLimits()) == bytes.count)
    #expect(Challenge.mayBeCured(head, bytes.span) == expected)
  }
}
