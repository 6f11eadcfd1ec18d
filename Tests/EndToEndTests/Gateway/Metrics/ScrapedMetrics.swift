// What a scrape of /metrics gave, read by the rules of the text format.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

struct ScrapedMetrics {
  let text: String
  /// By the series as it stands there, such as `name{a="b"}`.
  private(set) var values: [String: Double] = [:]
  /// By family.
  private(set) var types: [String: String] = [:]
  private(set) var helps: [String: String] = [:]

  init(_ text: String) throws {
    self.text = text
    for line in text.split(separator: "\n") {
      if line.hasPrefix("# ") {
        let words = line.split(separator: " ", maxSplits: 3).map(String.init)
        guard words.count == 4 else { throw SpawnError("no header: \(line)") }
        if words[1] == "TYPE" { types[words[2]] = words[3] } else { helps[words[2]] = words[3] }
        continue
      }
      guard let end = line.lastIndex(of: " "), let value = Double(line[line.index(after: end)...]) else {
        throw SpawnError("no sample: \(line)")
      }
      let series = String(line[..<end])
      if values.updateValue(value, forKey: series) != nil { throw SpawnError("twice: \(series)") }
    }
  }

  /// nil: it is not there.
  subscript(_ series: String) -> Double? { values[series] }

  /// The label names of a family's samples, without those of its type.
  func labels(of family: String) -> Set<String> {
    var names: Set<String> = []
    for series in values.keys {
      let parts = series.split(separator: "{", maxSplits: 1)
      let isOwn = [family, family + "_bucket", family + "_sum", family + "_count"].contains { parts[0] == $0 }
      guard isOwn, parts.count == 2 else { continue }
      for match in parts[1].matches(of: #/([a-z_]+)="/#) { names.insert(String(match.1)) }
    }
    return names.subtracting(["le"])
  }
}

extension GatewayUnderTest {
  /// A scrape, which holds no secret.
  func metrics() async throws -> ScrapedMetrics {
    let answer = try await adminGet("/metrics")
    #expect(answer.status == 200 && answer.fields.all("Content-Type") == ["text/plain; version=0.0.4; charset=utf-8"])
    SecretMarks.expectNone(in: answer.bodyText)
    for secret in TokenRig.secrets { #expect(!answer.bodyText.contains(secret)) }
    return try ScrapedMetrics(answer.bodyText)
  }

  /// Scrapes until the series has that value.
  @discardableResult
  func metrics(until series: String, is value: Double) async throws -> ScrapedMetrics {
    var last: ScrapedMetrics?
    try await process.waitWhileRunning("\(series) is \(value)", within: .seconds(30)) {
      last = try await self.metrics()
      return last?[series] == value
    }
    return try #require(last)
  }
}

/// Debian's `prometheus` and `promtool`; scripts/test installs them.
enum Promtool {
  static let path = "/usr/bin/promtool"
  static let server = "/usr/bin/prometheus"
  static var isThere: Bool { TemporaryDirectory.names(in: "/usr/bin").contains("promtool") }
  static let comment: Comment = "promtool is not installed: scripts/test installs it"
  /// The top of the repository.
  static let top = "/" + #filePath.split(separator: "/").dropLast(5).joined(separator: "/")

  /// What it says about these arguments, and whether it found nothing wrong.
  static func run(_ arguments: [String], input: String? = nil) async throws -> (isGood: Bool, output: String) {
    let directory = try TemporaryDirectory()
    var command = [path] + arguments
    if let input {
      try directory.write("input", input)
      command = ["/bin/sh", "-c", "exec \(path) \(arguments.joined(separator: " ")) < \(directory.path("input"))"]
    }
    let process = try ChildProcess(command[0], Array(command.dropFirst()), directory: directory, name: "promtool")
    let exit = try await process.waitForExit(within: .seconds(60))
    return (exit == .code(0), process.output + process.errors)
  }
}
