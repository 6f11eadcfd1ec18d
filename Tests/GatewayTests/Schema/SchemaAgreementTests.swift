// The schema and the parser against each other, on thousands of changed files, with PyPI's jsonschema as the judge of the
// schema; and the pages that are made from the same description.
import Gateway
import GatewayTesting
import Glibc
import MisaCukcukProvider
import OAuth2Provider
import Testing
import TokenKit
import VinIDProvider

@Suite("Configuration: schema", .timeLimit(.minutes(10))) struct SchemaAgreementTests {
  private static let folder = "/" + #filePath.split(separator: "/").dropLast().joined(separator: "/")
  private static let root = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
  private static let registry = ProviderRegistry([
    VinIDProvider.self, MisaCukcukProvider.self, OAuth2Provider.self,
  ])
  private static let environment = [
    "SEED_A": "seed-a", "SEED_B": "seed-b", "EMPTY": "",
    "KEY": "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789",
  ]

  /// What the parser refuses and no JSON Schema can: a part of the message, and why. Each must come up.
  private static let exceptions: [(part: String, reason: String)] = [
    ("stands twice in its object", "a JSON value has each key once; the text may not"),
    ("there is no credential", "a name that stands elsewhere in the file"),
    ("there is no listener", "a name that stands elsewhere in the file"),
    ("is also the name of", "names are compared with those of other elements"),
    ("takes the same requests as", "routes are compared with each other"),
    ("is taken by", "addresses are compared with each other"),
    ("must have the same scheme and path as the first URL", "URLs are compared with each other"),
    ("stands for a field that is set already", "names are compared with each other, whatever their case"),
    ("is the refresh token of credential", "contents of secrets are compared"),
    ("must be 32 random bytes", "looks at the content of a secret"),
    ("is ambiguous", "takes the URL in a secret apart"),
    ("was not passed", "looks for a file"),
    ("is not set", "looks into the environment"),
    ("is empty", "looks into the environment"),
    ("cannot be read", "looks at a file"),
    ("is a directory", "looks at a file"),
    ("has bits set behind its prefix length", "arithmetic on the address"),
    ("must be 1 to 128 printable characters", "a name made of host and path_prefix when it is left out"),
  ]

  private struct Verdict {
    var what: String
    var text: String
    var valid: Bool
  }

  /// Runs mutations.py.
  private func verdicts(_ directory: GatewayTesting.TemporaryDirectory, files: [String]) async throws -> [Verdict] {
    guard let python = unsafe getenv("GATEWAY_TEST_PYTHON").map({ unsafe String(cString: $0) }), !python.isEmpty else {
      throw SpawnError(
        "GATEWAY_TEST_PYTHON is not set: run scripts/test, which makes a virtual environment for this test")
    }
    let schema = try directory.write("schema.json", ConfigurationSchema.json(Self.registry))
    let output = directory.path("verdicts")
    let process = try ChildProcess(
      python, ["-B", Self.folder + "/mutations.py", schema, output] + files, directory: directory, name: "mutations")
    let exit = try await process.waitForExit(within: .seconds(480))
    try #require(exit == .code(0), "\(process.output)\(process.errors)")
    let lines = try #require(GatewayTesting.TemporaryDirectory.read(output)).split(separator: "\n")
    return try lines.map { line in
      guard case .object(let members)? = JSONValue.parse(Array(line.utf8)), case .string(let what)? = members["what"],
        case .string(let text)? = members["text"], case .bool(let valid)? = members["valid"]
      else { throw SpawnError("mutations.py printed: \(line.prefix(200))") }
      return Verdict(what: what, text: text, valid: valid)
    }
  }

  private func errors(_ text: String, directory: String) -> [SettingsProblem] {
    let result = ConfigurationLoader.read(
      Array(text.utf8), directory: directory, registry: Self.registry,
      environment: Self.environment.merging(["CREDENTIALS_DIRECTORY": directory]) { $1 })
    guard case .failure(let invalid) = result else { return [] }
    return invalid.problems.filter { $0.severity == .error }
  }

  @Test func parserAndSchemaAgreeOnChangedFiles() async throws {
    let directory = try GatewayTesting.TemporaryDirectory()
    try directory.write("ca.pem", "-----BEGIN CERTIFICATE-----\n")
    try directory.write("secret", "client-secret")
    try directory.write("callers", "callers")
    let files = [Self.folder + "/full.json", Self.folder + "/shared-store.json"]
    for file in files {
      let text = try #require(GatewayTesting.TemporaryDirectory.read(file))
      #expect(errors(text, directory: directory.path).isEmpty, "\(file)")
    }
    let verdicts = try await verdicts(directory, files: files)
    #expect(verdicts.count > 1000)
    #expect(verdicts.count { $0.valid } > 100)
    var met: Set<String> = []
    var disagreements: [String] = []
    for verdict in verdicts {
      let errors = errors(verdict.text, directory: directory.path)
      if errors.isEmpty == verdict.valid { continue }
      // The schema may pass what the parser refuses, for the reasons above alone. Never the other way round.
      let excused = errors.map { error in Self.exceptions.first { error.message.contains($0.part) }?.part }
      if verdict.valid, !excused.contains(nil) {
        met.formUnion(excused.compactMap(\.self))
      } else {
        disagreements.append("\(verdict.what): schema \(verdict.valid), \(errors.map { "\($0.path): \($0.message)" })")
      }
    }
    #expect(disagreements.isEmpty, "\(disagreements.count): \(disagreements.prefix(40).joined(separator: "\n"))")
    for exception in Self.exceptions { #expect(met.contains(exception.part), "never met: \(exception)") }
  }

  /// Every file that the repository ships.
  @Test func shippedFilesAreValid() async throws {
    let directory = try GatewayTesting.TemporaryDirectory()
    let readme = try #require(GatewayTesting.TemporaryDirectory.read("\(Self.root)/README.md"))
    var files = ["\(Self.root)/gateway.json"]
    for (index, block) in readme.split(separator: "```json\n").dropFirst().enumerated() {
      let text = block.prefix(upTo: block.firstRange(of: "```")?.lowerBound ?? block.endIndex)
      if text.contains("\"listeners\"") { files.append(try directory.write("readme-\(index).json", String(text))) }
    }
    #expect(files.count >= 3)
    let python = try #require(unsafe getenv("GATEWAY_TEST_PYTHON").map { unsafe String(cString: $0) })
    let schema = try directory.write("schema.json", ConfigurationSchema.json(Self.registry))
    let script = """
      import json, sys, jsonschema
      validator = jsonschema.Draft202012Validator(json.load(open(sys.argv[1])))
      for path in sys.argv[2:]:
          for error in validator.iter_errors(json.load(open(path))): print(path, error.json_path, error.message[:200])
      """
    let process = try ChildProcess(python, ["-c", script, schema] + files, directory: directory, name: "validate")
    #expect(try await process.waitForExit(within: .seconds(60)) == .code(0), "\(process.errors)")
    #expect(process.output.isEmpty, "\(process.output)")
  }

  @Test func thePageOfAllKeysIsCurrent() throws {
    let page = try #require(GatewayTesting.TemporaryDirectory.read("\(Self.root)/docs/configuration.md"))
    #expect(
      page == ConfigurationSchema.markdown(Self.registry),
      "run: gateway schema --markdown > docs/configuration.md")
  }

  /// Whole numbers within texts, compared with a regular expression.
  @Test(arguments: [0...0, 0...9, 1...10, 7...123, 99...100, 0...255, 1...65535, 1000...1999, 86...3600, 1...1000])
  func ranges(_ bounds: ClosedRange<Int>) throws {
    let expression = try Regex("(?:" + DecimalRange.pattern(bounds) + ")")
    let near = [0, 1, 9, 10, 99, 100, bounds.lowerBound - 1, bounds.upperBound + 1, bounds.upperBound * 10]
    for number in Set(near + Array(bounds.prefix(2000)) + Array(bounds.suffix(2000))) where number >= 0 {
      #expect(("\(number)".wholeMatch(of: expression) != nil) == bounds.contains(number), "\(number) in \(bounds)")
    }
  }
}
