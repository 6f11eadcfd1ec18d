// A good configuration to change, a provider for it, and a directory for files.
import FoundationEssentials
import Gateway
import Glibc
import TokenKit

/// A provider with one key of each sort. Makes no requests.
struct FakeProvider: TokenProvider {
  enum Grant: String, CaseIterable { case refresh_token, client_credentials }

  private enum Key {
    static let tokenURL = SettingsKey.tokenURL
    static let clientID = SettingsKey.requiredText("client_id", "The client's name.")
    static let clientSecret = SettingsKey.secret("client_secret", "The client's secret.")
    static let company = SettingsKey.text("company", "For the field CompanyCode.")
    static let grant = SettingsKey.choice("grant", "How tokens are got.", default: Grant.refresh_token)
  }

  static let id = "fake"
  static let settings = SettingsObject([
    Key.tokenURL.entry, Key.clientID.entry, Key.clientSecret.entry, Key.company.entry, Key.grant.entry,
  ])
  let tokenURL: String
  let clientSecret: Secret?
  let company: String?
  let grant: Grant

  init(settings: SettingsReader) {
    tokenURL = settings.read(Key.tokenURL)
    _ = settings.read(Key.clientID)
    clientSecret = settings.read(Key.clientSecret)
    company = settings.read(Key.company)
    grant = settings.read(Key.grant)
  }

  var traits: ProviderTraits {
    ProviderTraits(
      usesRefreshToken: grant == .refresh_token, refreshTokenLifetime: .seconds(720 * 3600), accessTokenIdentity: [],
      refreshTokenIdentity: [], requestFields: company.map { [("CompanyCode", $0)] } ?? [], tokenURLs: [tokenURL])
  }

  func grantRequest(_ context: GrantContext) throws(GrantError) -> GrantRequest { throw GrantError(.transient, "fake") }

  func token(from response: GrantResponse, _ context: GrantContext) throws(GrantError) -> Token {
    throw GrantError(.transient, "fake")
  }
}

enum Good {
  /// Loads without a problem when `SEED_A`, `SEED_B` are set.
  static let text = """
    {
      "workers": 2,
      "listeners": [ { "name": "main", "address": "127.0.0.1:8080" } ],
      "admin": { "address": "127.0.0.1:9901" },
      "store": { "path": "DIR/gateway.db" },
      "credentials": {
        "a": {
          "provider": "fake", "token_url": "https://sso.example/token", "client_id": "app",
          "refresh_token": { "env": "SEED_A" }
        },
        "b": {
          "provider": "fake", "token_url": "https://sso.example/token", "client_id": "app",
          "refresh_token": { "env": "SEED_B" }
        }
      },
      "routes": [
        { "name": "one", "match": { "path_prefix": "/one/" }, "upstream": { "url": "https://one.example" },
          "credential": "a" },
        { "name": "two", "match": { "host": "two.internal", "methods": ["GET"] },
          "upstream": { "url": "https://two.example/base/" }, "credential": "b" }
      ],
      "timeouts": { "connect": "5s" },
      "limits": { "headers": 100 },
      "log": { "level": "info", "access": "off", "format": "json" }
    }
    """

  static let environment = ["SEED_A": "seed-a", "SEED_B": "seed-b", "EMPTY": "", "SPACED": "a b", "HEADER": "x-secret"]
  static let registry = ProviderRegistry([FakeProvider.self])

  /// The good text with replacements, each of which must apply.
  static func changed(_ edits: [(String, String)]) throws -> String {
    var text = text
    for (old, new) in edits {
      guard text.contains(old) else { throw NotThere(text: old) }
      text = text.replacing(old, with: new)
    }
    return text
  }

  struct NotThere: Error { var text: String }

  static func read(
    _ text: String, directory: TemporaryDirectory
  ) -> Result<LoadedConfiguration, InvalidConfiguration> {
    ConfigurationLoader.read(
      Array(text.replacing("DIR", with: directory.path).utf8), directory: directory.path, registry: registry,
      environment: environment)
  }
}

/// A directory of mode 0700 that goes when the last reference does.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/gateway-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    setMode(0o700, of: path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file and returns its path.
  func write(_ name: String, _ text: String, mode: mode_t = 0o600) throws -> String {
    try Data(text.utf8).write(to: URL(filePath: "\(path)/\(name)"))
    setMode(mode, of: "\(path)/\(name)")
    return "\(path)/\(name)"
  }

  private func setMode(_ mode: mode_t, of path: String) { _ = unsafe chmod(path, mode) }
}

/// What `check` prints.
func report(_ problems: [SettingsProblem], file: String) -> String {
  ProblemReport.lines(problems, file: file).joined(separator: "\n")
}

extension Result where Success == LoadedConfiguration, Failure == InvalidConfiguration {
  /// `path: message` of every error.
  var errors: [String] { all.filter { $0.severity == .error }.map { "\($0.path): \($0.message)" } }
  /// `path: message` of every warning.
  var warnings: [String] { all.filter { $0.severity == .warning }.map { "\($0.path): \($0.message)" } }

  var all: [SettingsProblem] {
    switch self {
    case .success(let loaded): loaded.warnings
    case .failure(let invalid): invalid.problems
    }
  }
}
