// What the browser comes back with, or a person pastes: each kind, and each way in which it is wrong.
import EventLoop
import Testing
import TokenKit

@testable import Gateway

struct AuthorizationAnswerTests {
  typealias Problem = AuthorizationAnswer.Problem
  typealias Outcome = Result<AuthorizationAnswer, Problem>

  private static func endpoint(issuer: String? = nil) throws -> AuthorizationEndpoint {
    guard case .success(let url) = HTTPURL.parse("https://sso.example/auth") else { throw Good.NotThere(text: "url") }
    return AuthorizationEndpoint(
      url: url, clientID: "c", redirectURI: "https://app.example/cb", scope: nil, issuer: issuer)
  }

  private static func code(_ text: String) -> Outcome { .success(.code(Secret(text))) }
  private static func no(_ problem: Problem) -> Outcome { .failure(problem) }

  @Test(
    "RFC 6749 §4.1.2: queries",
    arguments: [
      ("code=abc&state=st", code("abc")), ("?code=abc&state=st", code("abc")), ("state=st&code=abc", code("abc")),
      ("code=4%2F0A+b%3D&state=st", code("4/0A b=")), ("code=4%2F0A-b%3D&state=st", code("4/0A-b=")),
      ("code=4/0A-b=&state=st", code("4/0A-b=")), ("code=abc&state=st&session_state=x&foo", code("abc")),
      ("code=abc&state=st&scope=a%ZZ", code("abc")),
      // RFC 6749 §10.12
      ("code=abc", no(.foreign)), ("code=abc&state=", no(.foreign)), ("code=abc&state=other", no(.foreign)),
      ("error=access_denied", no(.foreign)), ("error=access_denied&state=other", no(.foreign)),
      ("code=abc&state=ST", no(.foreign)),
      // §3.1: parameters must not be included more than once
      ("code=abc&code=def&state=st", no(.malformed)), ("code=abc&state=st&state=st", no(.malformed)),
      ("code=a%0d%0ab&state=st", no(.malformed)), ("code=%zz&state=st", no(.malformed)),
      ("code=&state=st", no(.noAnswer)), ("state=st", no(.noAnswer)), ("", no(.noAnswer)), ("foo", no(.noAnswer)),
      // §4.1.2.1
      ("error=access_denied&state=st", .success(.refused("access_denied"))),
      (
        "error=access_denied&error_description=The+user+said+no&state=st",
        .success(.refused("access_denied: The user said no"))
      ),
      ("error=e&error_description=%1b%5B31mred%0d%0aline%E2%80%AE&state=st", .success(.refused("e:  [31mred  line"))),
      ("error=e&error_description=%C4%91%C4%83ng+nh%E1%BA%ADp&state=st", .success(.refused("e: đăng nhập"))),
      ("error=e&error_description=%ff&state=st", .success(.refused("e"))),
      (
        "error=\(String(repeating: "x", count: 99))&state=st",
        .success(.refused(String(repeating: "x", count: 64) + "…"))
      ),
      ("error=e&code=abc&state=st", .success(.refused("e"))),
      // RFC 9207 §2.4
      ("code=abc&state=st&iss=https%3A%2F%2Fsso.example", code("abc")),
      ("code=abc&state=st&iss=https%3A%2F%2Fevil.example", no(.otherIssuer("https://evil.example"))),
    ] as [(String, Outcome)])
  func queries(_ query: String, _ expected: Outcome) throws {
    let endpoint = try Self.endpoint()
    let result = Result { () throws(Problem) in
      try AuthorizationAnswer(query: query, state: "st", endpoint: endpoint)
    }
    #expect(result == expected)
  }

  @Test(
    "Pasted: the address, its query, or the code",
    arguments: [
      ("https://app.example/cb?code=abc&state=st", code("abc")),
      ("  <https://app.example/cb?code=abc&state=st>\r\n", code("abc")),
      ("\"https://app.example/cb?code=abc&state=st\"", code("abc")),
      ("https://app.example/cb?code=abc&state=st#_=_", code("abc")),
      ("https://app.example/cb#code=abc&state=st", code("abc")),
      ("com.example.app:/cb?code=abc&state=st", code("abc")), ("com.example.app://cb?code=abc&state=st", code("abc")),
      ("?code=abc&state=st", code("abc")), ("code=abc&state=st", code("abc")), ("abc", code("abc")),
      ("4/0A-b_c.d~", code("4/0A-b_c.d~")),
      ("https://app.example/cb?code=abc&state=other", no(.foreign)), ("https://app.example/cb?code=abc", no(.foreign)),
      ("https://app.example/cb", no(.noAnswer)), ("https://app.example/cb?x=1", no(.noAnswer)),
      ("https://app.example/cb?error=access_denied&state=st", .success(.refused("access_denied"))),
      ("", no(.noAnswer)), ("  \t", no(.noAnswer)), ("two words", no(.noAnswer)), ("đ", no(.malformed)),
    ] as [(String, Outcome)])
  func pasted(_ text: String, _ expected: Outcome) throws {
    let endpoint = try Self.endpoint()
    let result = Result { () throws(Problem) in
      try AuthorizationAnswer(pasted: text, state: "st", endpoint: endpoint)
    }
    #expect(result == expected)
  }

  @Test(
    "RFC 8252 §7.3, §8.3: redirect URIs that lead to this machine",
    arguments: [
      ("http://127.0.0.1:8400/cb?x=1", "127.0.0.1:8400 /cb"), ("http://127.0.0.1/cb", "127.0.0.1:0 /cb"),
      ("http://127.0.0.1:80/cb", "127.0.0.1:80 /cb"), ("http://[::1]:8400", "[::1]:8400 /"),
      ("http://[::1]/a/b", "[::1]:0 /a/b"), ("http://localhost:8400/cb", "127.0.0.1:8400 [::1]:8400 /cb"),
      ("http://localhost/cb", "127.0.0.1:80 [::1]:80 /cb"), ("http://127.0.0.1?x", "127.0.0.1:0 /"),
      ("https://127.0.0.1:8400/cb", ""), ("http://app.example/cb", ""), ("http://a.localhost:8400/cb", ""),
      ("com.example.app:/cb", ""), ("urn:ietf:wg:oauth:2.0:oob", ""), ("http://192.168.1.1/cb", ""),
    ])
  func loopback(_ uri: String, _ expected: String) {
    let redirect = LoopbackRedirect(uri)
    #expect((redirect.map { $0.addresses.map(\.description) + [$0.path] } ?? []).joined(separator: " ") == expected)
  }

  @Test("RFC 8252 §7.3: the port that is listened on goes into the URI only if it has none") func chosenPorts() throws {
    for (uri, expected) in [
      ("http://127.0.0.1/cb?x=1", "http://127.0.0.1:1234/cb?x=1"), ("http://[::1]/cb", "http://[::1]:1234/cb"),
      ("http://127.0.0.1", "http://127.0.0.1:1234/"), ("http://127.0.0.1:8400", "http://127.0.0.1:8400"),
      ("http://localhost/cb", "http://localhost/cb"),
    ] {
      #expect(try #require(LoopbackRedirect(uri)).uri(configured: uri, port: 1234) == expected)
    }
  }
}
