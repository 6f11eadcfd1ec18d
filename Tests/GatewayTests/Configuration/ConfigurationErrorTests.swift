// Each way to get gateway.json wrong, with the exact words that people get to read.
import Testing

@testable import Gateway

struct Mistake: CustomTestStringConvertible, Sendable {
  var old: String
  var new: String
  var errors: [String]

  init(_ old: String, _ new: String, _ errors: String...) {
    self.old = old
    self.new = new
    self.errors = errors
  }

  var testDescription: String { new }
}

struct ConfigurationErrorTests {
  private func check(_ mistake: Mistake) throws {
    let directory = try TemporaryDirectory()
    let result = Good.read(try Good.changed([(mistake.old, mistake.new)]), directory: directory)
    #expect(result.errors == mistake.errors)
  }

  @Test func goodFileHasNoProblem() throws {
    let result = Good.read(Good.text, directory: try TemporaryDirectory())
    #expect(result.all.isEmpty)
    #expect(throws: Never.self) { try result.get() }
  }

  @Test(
    "Top level, timeouts, limits, log",
    arguments: [
      Mistake("\"workers\": 2", "\"worker\": 2", "worker: unknown key; did you mean \"workers\"?"),
      Mistake("\"workers\": 2", "\"workers\": 0", "workers: must be a whole number between 1 and 1024"),
      Mistake("\"workers\": 2", "\"workers\": \"2\"", "workers: must be a whole number, not a string"),
      Mistake("\"workers\": 2", "\"handover\": \"\"", "handover: is empty"),
      Mistake(
        "\"workers\": 2", "\"handover\": \"/\(String(repeating: "h", count: 107))\"",
        "handover: has 108 bytes with its directory; a Unix socket's path has at most 107"),
      Mistake("\"workers\": 2", "\"via\": \"yes\"", "via: must be true or false, not a string"),
      Mistake(
        "\"workers\": 2", "\"underscore_fields\": \"kep\"",
        "underscore_fields: \"kep\" is not one of \"drop\", \"keep\", did you mean \"keep\"?"),
      Mistake(
        "\"workers\": 2", "\"trusted_proxies\": [\"10.0.0.1/8\"]",
        "trusted_proxies[0]: \"10.0.0.1/8\" has bits set behind its prefix length; write the network's own address"),
      Mistake(
        "\"connect\": \"5s\"", "\"connect\": \"5 s\"",
        "timeouts.connect: \"5 s\" is not a duration; write for example \"500ms\", \"10s\", \"5m\" or \"720h\""),
      Mistake(
        "\"connect\": \"5s\"", "\"connect\": 5", "timeouts.connect: must be a duration such as \"10s\", not a number"),
      Mistake(
        "\"connect\": \"5s\"", "\"connect\": \"0s\"", "timeouts.connect: must be between \"1ms\" and \"30d\""),
      Mistake("\"connect\": \"5s\"", "\"conect\": \"5s\"", "timeouts.conect: unknown key; did you mean \"connect\"?"),
      Mistake("\"headers\": 100", "\"headers\": 0", "limits.headers: must be a whole number between 1 and 1000"),
      Mistake(
        "\"headers\": 100", "\"request_head\": \"16KB\"",
        "limits.request_head: \"16KB\" is not a size; write for example \"512B\", \"64KiB\" or \"10MiB\""),
      Mistake(
        "\"headers\": 100", "\"request_head\": \"2MiB\"", "limits.request_head: must be between \"1KiB\" and \"1MiB\""),
      Mistake(
        "\"level\": \"info\"", "\"level\": \"inof\"",
        "log.level: \"inof\" is not one of \"trace\", \"debug\", \"info\", \"notice\", \"warning\", \"error\", \"critical\", "
          + "did you mean \"info\"?"),
      Mistake(
        "\"access\": \"off\"", "\"access\": \"on\"",
        "log.access: \"on\" is not one of \"off\", \"stdout\", \"stderr\"; the path of a file has a \"/\" or a \".\" in it"
      ),
      Mistake("\"access\": \"off\"", "\"access\": \"/proc\"", "log.access: /proc is a directory"),
      Mistake(
        "\"access\": \"off\"", "\"access\": \"/proc/nowhere/a.log\"",
        "log.access: directory /proc/nowhere cannot be read: No such file or directory"),
      Mistake(
        "\"access\": \"off\"", "\"redact\": [\"key\", \"\"]",
        "log.redact: must name query parameters, and one of the names is empty"),
      Mistake(
        "\"format\": \"json\"", "\"format\": \"clf\"",
        "log.format: \"clf\" is not one of \"json\", \"text\", \"combined\""),
      Mistake(
        "\"path\": \"DIR/gateway.db\"", "\"kind\": \"postgresql\"",
        "store.kind: \"postgresql\" is not one of \"sqlite\", \"postgres\", did you mean \"postgres\"?"),
      Mistake("\"path\": \"DIR/gateway.db\"", "\"path\": \"DIR/\"", "store.path: must name a file"),
      Mistake(
        "\"address\": \"127.0.0.1:9901\"", "\"address\": \"0.0.0.0:9901\"",
        "admin.address: 0.0.0.0:9901 can be reached from other machines: set \"token\" (a secret that callers send as a "
          + "bearer token), or use loopback or a Unix socket"),
      Mistake(
        "\"address\": \"127.0.0.1:9901\"",
        "\"address\": \"0.0.0.0:9901\", \"token\": { \"env\": \"SEED_A\" }"),
      Mistake(
        "\"address\": \"127.0.0.1:9901\"", "\"token\": { \"env\": \"EMPTY\" }",
        "admin.token: environment variable EMPTY is empty"),
      Mistake(
        "\"address\": \"127.0.0.1:9901\"", "\"token\": { \"env\": \"SPACED\" }",
        "admin.token: has characters that a bearer token can't have: use visible ASCII without spaces"),
    ])
  func topLevel(_ mistake: Mistake) throws { try check(mistake) }

  private static let listener = "{ \"name\": \"main\", \"address\": \"127.0.0.1:8080\" }"
  private static let relay =
    " can be reached from other machines, and whoever reaches it uses your credentials: set \"allow\" (address blocks) "
    + "or \"caller_token\" (a secret), or \"open\": true if that is what you want"

  @Test(
    "Listeners",
    arguments: [
      Mistake(listener, "", "listeners: is missing; write for example [{\"address\": \"127.0.0.1:8080\"}]"),
      Mistake(listener, "7", "listeners[0]: must be an object, not a number"),
      Mistake(listener, "{}", "listeners[0].address: is missing"),
      Mistake(listener, "{\"address\": \"0.0.0.0:8080\"}", "listeners[0]: 0.0.0.0:8080" + relay),
      Mistake(listener, "{\"address\": \"[::]:8080\", \"open\": false}", "listeners[0]: [::]:8080" + relay),
      Mistake(
        listener, "{\"address\": \"0.0.0.0:8080\", \"allow\": null, \"caller_token\": null}",
        "listeners[0]: 0.0.0.0:8080" + relay),
      Mistake(
        listener, "{\"address\": \"0.0.0.0:8080\", \"allow\": []}",
        "listeners[0].allow: lets nobody in; leave the key out to let everybody in"),
      Mistake(
        listener, "{\"address\": \"0.0.0.0:8080\", \"allow\": [\"10.0.0.0/33\"]}",
        "listeners[0].allow[0]: \"10.0.0.0/33\" needs a prefix length between 0 and 32"),
      Mistake(
        listener, "{\"address\": \"0.0.0.0:8080\", \"caller_token\": {\"env\": \"NOBODY\"}}",
        "listeners[0].caller_token: environment variable NOBODY is not set"),
      Mistake(
        listener, "{\"address\": \"localhost:8080\"}",
        "listeners[0].address: \"localhost:8080\" is not an address; write \"127.0.0.1:8080\", \"[::1]:8080\" or "
          + "\"unix:/path\"; for localhost write 127.0.0.1"),
      Mistake(
        listener, "{\"address\": \"unix:gateway.sock\"}",
        "listeners[0].address: \"unix:gateway.sock\" must be absolute: unix:/path"),
      Mistake(
        listener, "{\"address\": \"unix:/run/g.sock\", \"allow\": [\"10.0.0.0/8\"]}",
        "listeners[0].allow: means nothing on a Unix socket: the permissions of its directory decide who may connect"),
      Mistake(
        listener, "{\"address\": \"127.0.0.1:9901\"}",
        "listeners[0].address: 127.0.0.1:9901 is taken by the admin listener"),
      Mistake(
        listener, "\(listener), {\"address\": \"0.0.0.0:8080\", \"open\": true}",
        "listeners[1].address: 0.0.0.0:8080 is taken by listeners[0]"),
      Mistake(
        listener, "\(listener), {\"name\": \"main\", \"address\": \"127.0.0.1:8081\"}",
        "listeners[1].name: \"main\" is also the name of listeners[0]"),
      Mistake(
        listener, "{\"address\": \"127.0.0.1:8080\", \"hosts\": [\"a.example:80\", \"*\"]}",
        "listeners[0].hosts: \"*\" takes every host already; it must stand alone",
        "listeners[0].hosts[0]: \"a.example:80\" is not a host; write it without scheme, port and path"),
      Mistake(
        listener, "{\"address\": \"127.0.0.1:8080\", \"tls\": {}}", "listeners[0].tls: unknown key"),
    ])
  func listeners(_ mistake: Mistake) throws { try check(mistake) }

  private static let one =
    "\"match\": { \"path_prefix\": \"/one/\" }, \"upstream\": { \"url\": \"https://one.example\" }"

  private static func upstream(_ members: String) -> String {
    "\"match\": { \"path_prefix\": \"/one/\" }, \"upstream\": { \(members) }"
  }

  private static func match(_ members: String) -> String {
    "\"match\": { \(members) }, \"upstream\": { \"url\": \"https://one.example\" }"
  }

  @Test(
    "Routes",
    arguments: [
      Mistake(
        "\"credential\": \"b\"", "\"credential\": \"bb\"",
        "routes[1].credential: there is no credential \"bb\"; did you mean \"b\"?"),
      Mistake(
        ",\n      \"credential\": \"a\" }", " }",
        "routes[0].credential: is missing; write \"credential\": null to forward this route's requests without one"),
      Mistake("\"credential\": \"b\"", "\"credential\": 7", "routes[1].credential: must be a string, not a number"),
      Mistake(
        one, "\"match\": { \"path_prefix\": \"/one/\" }",
        "routes[0].upstream: is missing; write {\"url\": \"https://…\"}"),
      Mistake(one, "\"upstream\": null", "routes[0].upstream: is missing; write {\"url\": \"https://…\"}"),
      Mistake(one, upstream(""), "routes[0].upstream: needs \"url\" or \"urls\""),
      Mistake(one, upstream("\"url\": null"), "routes[0].upstream: needs \"url\" or \"urls\""),
      Mistake(
        one, upstream("\"url\": \"https://a.example\", \"urls\": [\"https://b.example\"]"),
        "routes[0].upstream: has both \"url\" and \"urls\"; write one of them"),
      Mistake(one, upstream("\"urls\": []"), "routes[0].upstream.urls: must not be empty"),
      Mistake(
        one, upstream("\"urls\": [\"https://a.example\", \"http://127.0.0.1\"]"),
        "routes[0].upstream.urls[1]: must have the same scheme and path as the first URL"),
      Mistake(
        one, upstream("\"url\": \"one.example\""),
        "routes[0].upstream.url: \"one.example\" must start with https:// or http://"),
      Mistake(
        one, upstream("\"url\": \"https://me:hunter2@one.example\""),
        "routes[0].upstream.url: the URL must not have a user name or password in it"),
      Mistake(
        one, upstream("\"url\": \"https://one.example/?key=1\""),
        "routes[0].upstream.url: must not have a query; the caller's goes on"),
      Mistake(
        one, upstream("\"url\": \"http://one.example\""),
        "routes[0].upstream.url: http://one.example would carry tokens over the network unencrypted; use https, or write "
          + "\"allow_plaintext\": true beside it"),
      Mistake(
        one, upstream("\"url\": \"http://127.0.0.1:1\", \"tls_server_name\": \"a.example\""),
        "routes[0].upstream.tls_server_name: means nothing for an http:// upstream"),
      Mistake(
        one, upstream("\"url\": \"https://one.example\", \"ca_file\": \"/nowhere.pem\""),
        "routes[0].upstream.ca_file: file /nowhere.pem cannot be read: No such file or directory"),
      Mistake(one, match("\"path_prefix\": \"one\""), "routes[0].match.path_prefix: \"one\" must begin with a slash"),
      Mistake(
        one, match("\"path_prefix\": \"/a//b\""),
        "routes[0].match.path_prefix: \"/a//b\" must not have an empty segment (//)"),
      Mistake(
        one, match("\"path_prefix\": \"/a/../b\""),
        "routes[0].match.path_prefix: \"/a/../b\" must not have a . or .. segment"),
      Mistake(
        one, match("\"path_prefix\": \"/a%20b\""), "routes[0].match.path_prefix: \"/a%20b\" must not be percent-encoded"
      ),
      Mistake(
        one, match("\"path_prefix\": \"/a/*\""),
        "routes[0].match.path_prefix: \"/a/*\" must not end in /*: a prefix takes everything below it anyway"),
      Mistake(
        one, match("\"host\": \"*.internal\""),
        "routes[0].match.host: \"*.internal\" is not a host; write it without scheme, port and path (wildcards don't work)"
      ),
      Mistake(
        one, match("\"listener\": \"man\""),
        "routes[0].match.listener: there is no listener \"man\"; did you mean \"main\"?"),
      Mistake(
        one, match("\"methods\": [\"get\", \"TRACE\", \"A B\"]"),
        "routes[0].match.methods[0]: methods are case-sensitive; write \"GET\"",
        "routes[0].match.methods[1]: TRACE is never forwarded", "routes[0].match.methods[2]: \"A B\" is not a method"),
      Mistake(
        one, match("\"path\": \"/one\""), "routes[0].match.path: unknown key"),
      Mistake(
        one, one + ", \"strip_prefx\": true", "routes[0].strip_prefx: unknown key; did you mean \"strip_prefix\"?"),
      Mistake(
        one, one + ", \"timeouts\": { \"drain\": \"1s\" }, \"limits\": { \"parked\": 1 }",
        "routes[0].timeouts.drain: can only be set at the top level",
        "routes[0].limits.parked: can only be set at the top level"),
    ])
  func routes(_ mistake: Mistake) throws { try check(mistake) }

  @Test(
    "Routes that take the same requests",
    arguments: [
      Mistake(
        one, match("\"host\": \"TWO.internal.\""),
        "routes[1]: takes the same requests as routes[0] (\"one\"); set another host, path_prefix, methods or listener"),
      Mistake(
        "\"host\": \"two.internal\", \"methods\": [\"GET\"]", "\"path_prefix\": \"/one\", \"listener\": \"main\"",
        "routes[1]: takes the same requests as routes[0] (\"one\"); set another host, path_prefix, methods or listener"),
      Mistake(one, match("\"host\": \"two.internal\", \"methods\": [\"POST\"]")),
      Mistake("\"name\": \"two\"", "\"name\": \"one\"", "routes[1].name: \"one\" is also the name of routes[0]"),
      // A prefix that couldn't be read says nothing about what the route takes.
      Mistake(
        "\"host\": \"two.internal\"", "\"path_prefix\": \"one\"",
        "routes[1].match.path_prefix: \"one\" must begin with a slash"),
    ])
  func conflicts(_ mistake: Mistake) throws { try check(mistake) }

  @Test func routesOnDifferentListenersDoNotConflict() throws {
    let text = try Good.changed([
      (Self.listener, "\(Self.listener), {\"name\": \"other\", \"address\": \"127.0.0.1:8081\"}"),
      (Self.one, Self.match("\"listener\": \"main\", \"path_prefix\": \"/x\"")),
      ("\"host\": \"two.internal\", \"methods\": [\"GET\"]", "\"listener\": \"other\", \"path_prefix\": \"/x\""),
    ])
    #expect(Good.read(text, directory: try TemporaryDirectory()).errors == [])
  }
}
