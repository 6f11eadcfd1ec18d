// What a good file becomes, what deserves a warning, and how problems are shown.
import EventLoop
import FoundationEssentials
import MisaCukcukProvider
import OAuth2Provider
import Testing
import TokenKit
import VinIDProvider

@testable import Gateway

struct ConfigurationLoaderTests {
  private func load(_ edits: [(String, String)] = []) throws -> GatewayConfiguration {
    try Good.read(try Good.changed(edits), directory: try TemporaryDirectory()).get().configuration
  }

  @Test("Everything wrong is said in one go, in the order of the file") func allAtOnce() throws {
    let directory = try TemporaryDirectory()
    let secret = try directory.write("world", "seed", mode: 0o644)
    let text = try Good.changed([
      ("\"workers\": 2", "\"wrokers\": 2"),
      ("\"connect\": \"5s\"", "\"connect\": \"5sec\""),
      ("{ \"env\": \"SEED_A\" }", "{ \"env\": \"NOBODY\" }"),
      ("{ \"env\": \"SEED_B\" }", "{ \"file\": \"world\" }"),
      ("\"host\": \"two.internal\", \"methods\": [\"GET\"]", "\"path_prefix\": \"/one\""),
    ])
    let result = Good.read(text, directory: directory)
    let chmod = isRoot() ? "640" : "600"
    #expect(
      report(result.all, file: "gateway.json") == """
        gateway.json:2:3: wrokers: unknown key; did you mean "workers"?
        gateway.json:9:7: credentials.a.refresh_token: environment variable NOBODY is not set
        gateway.json:13:7: credentials.b.refresh_token: file \(secret) can be used by every user of the machine (mode \
        0644); run: chmod \(chmod) '\(secret)'
        gateway.json:19:5: routes[1]: takes the same requests as routes[0] ("one"); set another host, path_prefix, \
        methods or listener
        gateway.json:22:17: timeouts.connect: "5sec" is not a duration; write for example "500ms", "10s", "5m" or "720h"
        """)
    #expect(ProblemReport.summary(result.all) == "5 errors")
  }

  private func isRoot() -> Bool { SystemFile.currentUser == 0 }

  @Test func defaults() throws {
    let configuration = try load([
      ("\"workers\": 2,", ""), ("\"admin\": { \"address\": \"127.0.0.1:9901\" },", ""),
      (",\n  \"timeouts\": { \"connect\": \"5s\" },\n  \"limits\": { \"headers\": 100 },\n", "\n"),
      ("  \"log\": { \"level\": \"info\", \"access\": \"off\", \"format\": \"json\" }", ""),
    ])
    #expect(configuration.workers == CPUQuota.cpus())
    #expect(configuration.admin == .ipv4(0x7f00_0001, port: 9901))
    #expect(configuration.timeouts == Timeouts())
    #expect(configuration.limits == Limits())
    #expect(configuration.limits.requestBody == .max)
    #expect("\(configuration.log.level)" == "info" && configuration.log.format == .json)
    #expect(configuration.via && configuration.underscoreFields == .drop && configuration.trustedProxies.isEmpty)
    let credential = try #require(configuration.credentials.first)
    #expect(credential.header == "Authorization" && credential.scheme == "Bearer" && credential.extraFields.isEmpty)
    #expect(credential.refreshAt == 0.8 && credential.minRefreshInterval == .seconds(10))
    #expect(credential.defaultLifetime == .seconds(3600) && credential.rejectionStatuses == [401])
    #expect(credential.refreshTokenLifetime == .seconds(720 * 3600), "the provider's own")
    #expect(credential.seed?.reveal() == "seed-a")
  }

  @Test func namesBecomeIndicesAndHostsAndPrefixesTheirComparedForm() throws {
    let configuration = try load([
      ("\"host\": \"two.internal\"", "\"host\": \"Two.Internal.\", \"listener\": \"main\"")
    ])
    #expect(configuration.credentials.map(\.name) == ["a", "b"])
    #expect(configuration.routes.map(\.credential) == [0, 1])
    #expect(configuration.routes[0].match == RouteMatch(pathPrefix: "/one"))
    #expect(configuration.routes[1].match == RouteMatch(listener: 0, host: "two.internal", methods: ["GET"]))
    #expect(configuration.routes[1].upstream.basePath == "/base")
    #expect(configuration.routes[1].upstream.origins.map(\.authority) == ["two.example"])
  }

  @Test func nullCredentialForwardsWithoutOne() throws {
    let configuration = try load([("\"credential\": \"a\"", "\"credential\": null")])
    #expect(configuration.routes[0].credential == nil)
  }

  @Test func routesLayTheirOwnTimeoutsAndLimitsOverTheTopLevels() throws {
    let configuration = try load([
      ("\"connect\": \"5s\"", "\"connect\": \"7s\", \"park\": \"1m\""),
      ("\"headers\": 100", "\"request_body\": \"1MiB\", \"replay_body\": \"1KiB\""),
      (
        "\"credential\": \"a\"",
        "\"credential\": \"a\", \"timeouts\": {\"park\": \"2s\"}, \"limits\": {\"request_body\": null}"
      ),
    ])
    #expect(configuration.timeouts.connect == .seconds(7) && configuration.timeouts.park == .seconds(60))
    #expect(configuration.routes[0].timeouts.connect == .seconds(7))
    #expect(configuration.routes[0].timeouts.park == .seconds(2))
    #expect(configuration.routes[0].limits.requestBody == .max && configuration.routes[0].limits.replayBody == 1024)
    #expect(configuration.routes[1].timeouts == configuration.timeouts)
    #expect(configuration.routes[1].limits.requestBody == 1 << 20)
  }

  @Test func listenersOnLoopbackTakeKnownHostsOnly() throws {
    let main = "{ \"name\": \"main\", \"address\": \"127.0.0.1:8080\" }"
    let configuration = try load([
      (
        main,
        """
        { "address": "127.0.0.5:8080" }, { "address": "unix:/run/g.sock" }, { "address": "127.0.0.1:1", "hosts": ["*"] },
        { "address": "[::]:2", "allow": ["10.0.0.0/8", "::1"], "half_close": true },
        { "address": "127.0.0.1:3", "hosts": ["Only.Example"] }, { "address": "0.0.0.0:4", "open": true },
        { "address": "0.0.0.0:5", "caller_token": {"env": "HEADER"} }
        """
      )
    ])
    let hosts = configuration.listeners.map(\.hosts)
    for host in ["localhost", "127.0.0.1", "[::1]", "127.0.0.5", "two.internal"] {
      #expect(hosts[0].contains(host), "\(host)")
    }
    #expect(!hosts[0].contains("evil.example") && !hosts[0].contains("127.0.0.6"))
    #expect(hosts[1] == .any && hosts[2] == .any && hosts[3] == .any && hosts[5] == .any)
    #expect(hosts[4] == HostSet(["only.example"]))
    #expect(configuration.listeners[3].allow.count == 2 && configuration.listeners[3].halfClose)
    #expect(configuration.listeners[6].callerToken?.reveal() == "x-secret")
    #expect(configuration.listeners[1].name == "unix:/run/g.sock")
  }

  @Test func fieldsOfACredential() throws {
    let configuration = try load([
      (
        "\"refresh_token\": { \"env\": \"SEED_A\" }",
        """
        "refresh_token": { "env": "SEED_A" }, "company": "SHOP", "header": "Authentication", "scheme": "bearer",
        "extra_headers": { "Retailer": "r", "X-Key": { "env": "HEADER" } }, "rejection_status": [403, 401],
        "refresh_token_lifetime": "30d"
        """
      )
    ])
    let credential = configuration.credentials[0]
    #expect(credential.injectedFieldNames == ["Authentication", "Retailer", "X-Key", "CompanyCode"])
    #expect(credential.extraFields.map { $0.value.reveal() } == ["r", "x-secret", "SHOP"])
    #expect(credential.scheme == "bearer" && credential.rejectionStatuses == [401, 403])
    #expect(credential.refreshTokenLifetime == .seconds(30 * 86_400))
  }

  @Test func aFieldOfTheFileWinsOverTheProviders() throws {
    let configuration = try load([
      (
        "\"refresh_token\": { \"env\": \"SEED_A\" }",
        "\"refresh_token\": { \"env\": \"SEED_A\" }, \"company\": \"SHOP\", \"extra_headers\": {\"company_code\": \"x\"}"
      )
    ])
    #expect(configuration.credentials[0].injectedFieldNames == ["Authorization", "company_code", "CompanyCode"])
  }

  @Test func secretFilesAreReadAgain() throws {
    let directory = try TemporaryDirectory()
    _ = try directory.write("seed", "first\r\n")
    let text = try Good.changed([("{ \"env\": \"SEED_A\" }", "{ \"file\": \"seed\" }")])
    let credential = try Good.read(text, directory: directory).get().configuration.credentials[0]
    #expect(credential.seed?.reveal() == "first")
    _ = try directory.write("seed", "second")
    #expect(credential.remake()?.seed?.reveal() == "second")
    _ = try directory.write("seed", "third", mode: 0o644)
    #expect(credential.remake() == nil)
  }

  @Test func warnings() throws {
    let directory = try TemporaryDirectory()
    let result = Good.read(
      try Good.changed([
        ("{ \"env\": \"SEED_A\" }", "{ \"value\": \"in-the-file\" }"),
        ("\"credential\": \"b\"", "\"credential\": \"a\""),
        ("DIR/gateway.db", "/tmp/gateway.db"),
        ("\"address\": \"127.0.0.1:8080\"", "\"address\": \"127.0.0.1:8080\", \"hosts\": [\"localhost\"]"),
      ]), directory: directory)
    #expect(
      result.warnings == [
        "store.path: others can read or write the directory /tmp (mode 01777), so the store will not open: run chmod 700 "
          + "/tmp, or name a directory that does not exist yet, which is made with mode 700",
        "credentials.a.refresh_token: is written into the file; {\"env\": …} or {\"file\": …} keeps it out of backups "
          + "and diffs", "credentials.b: is used by no route",
        "routes[1].match.host: \"two.internal\" is not among the hosts of any listener: no request gets here",
      ])
    #expect(result.errors.isEmpty)
    #expect(!report(result.all, file: "f").contains("in-the-file"))
    #expect(ProblemReport.summary(result.all) == "4 warnings")
  }

  @Test(
    "Files that are not a configuration",
    arguments: [
      ("", "f:1:1: the file is empty; it must hold a JSON object"),
      ("[]", "f:1:1: must be a JSON object, not an array"),
      ("{\n  \"workers\": 2,\n}", "f:3:1: a comma stands before the closing brace; take it away"),
      ("{\n  // no\n}", "f:2:3: JSON has no comments"),
    ])
  func notAConfiguration(_ text: String, _ expected: String) throws {
    let result = Good.read(text, directory: try TemporaryDirectory())
    #expect(report(result.all, file: "f") == expected)
  }

  @Test("A file that was cut off anywhere is refused") func cutOff() throws {
    let directory = try TemporaryDirectory()
    let text = Good.text.utf8
    for count in 0..<text.count {
      #expect(!Good.read(String(decoding: text.prefix(count), as: UTF8.self), directory: directory).errors.isEmpty)
    }
  }

  @Test func aFileThatIsNotThere() {
    let result = ConfigurationLoader.load(path: "/nowhere/gateway.json", registry: Good.registry, environment: [:])
    #expect(
      report(result.all, file: "/nowhere/gateway.json")
        == "/nowhere/gateway.json: the file cannot be read: No such file or directory")
  }

  @Test func whatComesFromTheFileCannotControlATerminal() throws {
    let result = Good.read(
      try Good.changed([("\"workers\": 2", "\"\\u001b[2J\": 2")]), directory: try TemporaryDirectory())
    #expect(report(result.all, file: "f") == "f:2:3: [\"\\u{1b}[2J\"]: unknown key")
  }

  @Test func relativePathsCountFromTheFilesDirectory() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("gateway.json", try Good.changed([("DIR/gateway.db", "sub/gateway.db")]))
    let result = ConfigurationLoader.load(path: path, registry: Good.registry, environment: Good.environment)
    #expect(try result.get().configuration.store.place == .sqlite(path: directory.path + "/sub/gateway.db"))
  }

  @Test func theShippedFile() throws {
    let top = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let registry = ProviderRegistry([VinIDProvider.self, MisaCukcukProvider.self, OAuth2Provider.self])
    let path = top.path + "/gateway.json"
    let loaded = try ConfigurationLoader.load(path: path, registry: registry, environment: [:]).get()
    let configuration = loaded.configuration
    #expect(configuration.listeners.map(\.address) == [.ipv4(0x7f00_0001, port: 8080)])
    #expect(configuration.credentials.map(\.providerID) == ["misa-cukcuk", "vinid"])
    let table = RouteTable(configuration.routes)
    for (name, path, port, kept) in [
      ("vinid", "/vinid/user-management/user-info", 9101, "/user-management/user-info"),
      ("cukcuk", "/cukcuk/api/v1/branchs/all", 9102, "/api/v1/branchs/all"),
    ] as [(String, String, UInt16, String)] {
      let route = try #require(table.match("127.0.0.1:8080", path))
      #expect(configuration.routes[route].name == name)
      #expect(configuration.routes[route].upstream.origins.map(\.port) == [port])
      #expect(table.rewritten(path, route: route) == kept)
      #expect(configuration.listeners[0].hosts.contains("127.0.0.1"))
    }
    #expect(
      loaded.warnings.map(\.path) == ["credentials.vinid.refresh_token", "credentials.cukcuk.refresh_token"],
      "the sandbox's secrets are known to all; the store's directory is made when it starts")
  }
}
