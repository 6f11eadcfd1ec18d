// A login's pair as JSON: written, read again, and refused.
import HTTPWire
import Testing
import TokenKit

@testable import Gateway

struct TokenHandoverTests {
  @Test func whatIsWrittenIsRead() throws {
    let token = Token(
      accessToken: Secret("at"), refreshToken: Secret("r \"t\\"), lifetime: .relative(.seconds(3600)),
      refreshTokenLifetime: .seconds(720 * 3600), scope: "a b")
    let text = TokenHandover(token: token, age: .milliseconds(1500), identity: "id").json
    #expect("\(text)".contains("redacted"))
    let read = try TokenHandover(json: Array(text.reveal().utf8))
    #expect(read.token == token && read.age == .milliseconds(1500) && read.identity == "id")

    let now = Moment(boot: BootInstant(nanoseconds: 10_000_000_000), wall: WallTime(milliseconds: 10_000))
    let reply = read.reply(at: now)
    #expect(reply.sent.wall == WallTime(milliseconds: 8_500) && reply.received.wall == now.wall)
  }

  @Test("a token endpoint's own answer will do")
  func tokenEndpointsAnswer() throws {
    let text = #"{"access_token":"a","token_type":"Bearer","expires_in":"60","refresh_token":"r","id_token":"x"}"#
    let read = try TokenHandover(json: Array(text.utf8))
    #expect(read.token.lifetime == .relative(.seconds(60)) && read.age == .zero && read.identity == nil)
  }

  @Test(
    arguments: [
      ("", "not a JSON object"), ("[]", "not a JSON object"), ("{}", "access_token"),
      (#"{"access_token":7,"refresh_token":"r"}"#, "access_token"),
      (#"{"access_token":"a b","refresh_token":"r"}"#, "access_token"),
      (#"{"access_token":"a\r\nX: y","refresh_token":"r"}"#, "access_token"),
      (#"{"access_token":"a"}"#, "refresh_token"), (#"{"access_token":"a","refresh_token":""}"#, "refresh_token"),
      (#"{"access_token":"a","refresh_token":"r\n"}"#, "refresh_token"),
      (#"{"access_token":"a","refresh_token":"r","age":-1}"#, "age"),
      (#"{"access_token":"a","refresh_token":"r","age":"soon"}"#, "age"),
      (#"{"access_token":"a","refresh_token":"r","age":1e9}"#, "age"),
    ]) func refused(_ text: String, _ part: String)
  {
    do throws(TokenHandover.Malformed) {
      _ = try TokenHandover(json: Array(text.utf8))
      #expect(Bool(false), "was taken")
    } catch {
      #expect(error.message.contains(part), "\(error.message)")
    }
  }

  @Test func routesMatchWholeSegments() {
    let route = AdminRoute(.post, "/api/credentials/{name}/refresh") { _, _ in }
    #expect(route.match("/api/credentials/a.b-c/refresh") == ["name": "a.b-c"])
    for path in [
      "/api/credentials//refresh", "/api/credentials/refresh", "/api/credentials/a/refresh/",
      "/api/credentials/a/b/refresh",
      "/api/credentials/a", "/",
    ] {
      #expect(route.match(path) == nil, "\(path)")
    }
  }
}
