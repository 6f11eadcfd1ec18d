// Which route wins, and what its path becomes.
import HTTPWire
import Testing
import TokenKit

@testable import Gateway

extension RouteTable {
  /// Matches texts as a GET (or another method) that came on a listener.
  func match(_ host: String, _ path: String, method: String = "GET", listener: Int = 0) -> Int? {
    let known: [String: HTTPWire.Method] = [
      "GET": .get, "HEAD": .head, "POST": .post, "PUT": .put, "OPTIONS": .options,
    ]
    let (authority, target, name) = (Array(host.utf8), Array(path.utf8), Array(method.utf8))
    return match(
      listener: listener, authority: authority.span, path: target.span, method: known[method] ?? .other,
      methodName: name.span)
  }

  /// The whole path that goes to the upstream.
  func rewritten(_ path: String, route: Int) -> String {
    let target = Array(path.utf8)
    let rewrite = rewrite(route: route, path: target.span)
    return String(decoding: bytes[rewrite.prefix] + target[rewrite.kept], as: UTF8.self)
  }
}

struct RouteTableTests {
  private static func route(
    _ prefix: String = "", host: String? = nil, methods: [String] = [], listener: Int? = nil, strip: Bool = false,
    base: String = ""
  ) -> RouteConfiguration {
    RouteConfiguration(
      name: prefix, match: RouteMatch(listener: listener, host: host, pathPrefix: prefix, methods: methods),
      stripPrefix: strip, upstream: UpstreamConfiguration(origins: [], basePath: base))
  }

  @Test(
    "Whole segments, longest first, whatever the order of the file",
    arguments: [
      ("/a", 1), ("/a/", 1), ("/a/x", 1), ("/ab", 0), ("/a/b", 2), ("/a/b/c", 2), ("/a/bc", 1), ("/A", 0), ("/", 0),
      ("/a/b/", 2), ("/a//b", 1), ("*", 0), ("/long/er", 3), ("/long", 0),
    ])
  func prefixes(_ path: String, _ expected: Int) {
    let routes = [Self.route(), Self.route("/a"), Self.route("/a/b"), Self.route("/long/er")]
    #expect(RouteTable(routes).match("x", path) == expected)
    let turned = RouteTable(routes.reversed())
    #expect(turned.match("x", path).map { routes.count - 1 - $0 } == expected)
  }

  @Test func nothingFits() {
    let table = RouteTable([Self.route("/a"), Self.route(host: "b.example")])
    #expect(table.match("x", "/b") == nil)
    #expect(table.match("x", "*") == nil)
    #expect(RouteTable([]).match("x", "/") == nil)
  }

  @Test(
    "The host counts before the prefix, without case, port and last dot",
    arguments: [
      ("b.example", "/x", 1), ("B.Example:8080", "/x", 1), ("b.example.", "/x", 1), ("b.example:", "/x", 1),
      ("c.example", "/x/y", 2), ("c.example", "/z", 0), ("xb.example", "/x/y", 3), ("b.example.evil", "/x/y", 3),
      ("[::1]:80", "/", 4), ("[::1]", "/", 4), ("[::2]", "/", 0), ("", "/", 0), ("example", "/x/y", 3),
    ])
  func hosts(_ host: String, _ path: String, _ expected: Int) {
    let table = RouteTable([
      Self.route(), Self.route(host: "b.example"), Self.route("/x", host: "c.example"), Self.route("/x/y"),
      Self.route(host: "[::1]"),
    ])
    #expect(table.match(host, path) == expected)
  }

  @Test func everyOneOfManyHostsIsFound() {
    let names = (0..<500).map { "h\($0).example" } + (0..<500).map { "\($0)x.test" }
    let table = RouteTable(names.map { Self.route("/a", host: $0) } + [Self.route()])
    for (index, name) in names.enumerated() {
      #expect(table.match(name.uppercased(), "/a/b") == index)
      #expect(table.match(name, "/b") == names.count)
    }
    #expect(table.match("h500.example", "/a") == names.count)
  }

  @Test(
    "Methods, case-sensitive",
    arguments: [
      ("GET", 0), ("POST", 1), ("PUT", 2), ("PURGE", 1), ("purge", 2), ("PURGER", 2), ("HEAD", 2),
    ])
  func methods(_ method: String, _ expected: Int) {
    let table = RouteTable([
      Self.route("/a", methods: ["GET"]), Self.route("/a", methods: ["POST", "PURGE"]), Self.route(),
    ])
    #expect(table.match("x", "/a", method: method) == expected)
  }

  @Test func listeners() {
    let table = RouteTable([Self.route("/a", listener: 1), Self.route("/a", listener: 2), Self.route()])
    #expect([0, 1, 2].map { table.match("x", "/a", listener: $0) } == [2, 0, 1])
  }

  @Test(
    "Rewriting",
    arguments: [
      ("/a", true, "", "/a/x", "/x"), ("/a", true, "", "/a", "/"), ("/a", true, "", "/a/", "/"),
      ("/a", false, "", "/a/x", "/a/x"), ("/a", true, "/base", "/a/x", "/base/x"),
      ("/a", true, "/base", "/a", "/base/"),
      ("/a", false, "/base", "/a", "/base/a"), ("", true, "/base", "/", "/base/"),
      ("", false, "/base", "/x", "/base/x"),
      ("", true, "/base", "*", "*"), ("/a/b", true, "", "/a/b/c%2Fd", "/c%2Fd"),
    ])
  func rewriting(_ prefix: String, _ strip: Bool, _ base: String, _ path: String, _ expected: String) {
    let table = RouteTable([Self.route("/other"), Self.route(prefix, strip: strip, base: base)])
    #expect(table.match("x", path) == 1)
    #expect(table.rewritten(path, route: 1) == expected)
  }

  @Test(
    "Two slashes left by stripping are told",
    arguments: [("/a//b", true), ("/a/b", false), ("/a/", false), ("/a//", true)])
  func twoSlashes(_ path: String, _ expected: Bool) {
    let table = RouteTable([Self.route("/a", strip: true)])
    let target = Array(path.utf8)
    let rewrite = table.rewrite(route: 0, path: target.span)
    #expect(rewrite.beginsWithTwoSlashes == expected)
  }
}

struct HostSetTests {
  @Test(
    "Hosts of a listener",
    arguments: [
      ("localhost", true), ("LOCALHOST:8080", true), ("localhost.", true), ("[::1]:8080", true), ("127.0.0.1", true),
      ("127.0.0.2", false), ("localhost.evil.example", false), ("evil.example", false), ("", false),
      ("localhos", false),
      ("[::1", false), (":80", false),
    ])
  func contains(_ authority: String, _ expected: Bool) {
    let set = HostSet(["localhost", "127.0.0.1", "[::1]"])
    let bytes = Array(authority.utf8)
    let (isInSet, isInAny) = (set.contains(bytes.span), HostSet.any.contains(bytes.span))
    #expect(isInSet == expected)
    #expect(isInAny)
  }

  @Test(
    "Hosts as the configuration writes them",
    arguments: [
      ("Example.COM", "example.com"), ("example.com.", "example.com"), ("::1", "[::1]"), ("[::1]", "[::1]"),
      ("10.0.0.1", "10.0.0.1"), ("a_b", "a_b"), ("a:80", nil), ("https://a", nil), ("a/b", nil), ("", nil),
      ("a b", nil),
      ("*.a", nil), ("é", nil), ("[a]", nil),
    ])
  func normal(_ text: String, _ expected: String?) { #expect(HostName.normal(text) == expected) }
}
