// The `otlp` part of gateway.json: what it becomes, and each way to get it wrong.
import Testing
import TokenKit

@testable import Gateway

@Suite struct OTLPConfigurationTests {
  private func read(_ otlp: String) throws -> Result<LoadedConfiguration, InvalidConfiguration> {
    Good.read(
      try Good.changed([("\"workers\": 2", "\"workers\": 2, \"otlp\": \(otlp)")]), directory: try TemporaryDirectory())
  }

  @Test func defaults() throws {
    let result = try read("{ \"url\": \"http://127.0.0.1:4318/v1/traces\" }")
    #expect(result.all.isEmpty)
    let otlp = try #require(try result.get().configuration.otlp)
    #expect(otlp.url.text == "http://127.0.0.1:4318/v1/traces" && otlp.headers.isEmpty && otlp.serviceName == "gateway")
    #expect(otlp.sampleRatio == 1 && otlp.batch == 512 && otlp.queue == 8192 && otlp.caFile == nil)
    #expect(otlp.interval == .seconds(1) && otlp.timeout == .seconds(10))
    #expect(try Good.read(Good.text, directory: TemporaryDirectory()).get().configuration.otlp == nil)
    #expect(try read("null").get().configuration.otlp == nil)
  }

  @Test func everythingSet() throws {
    let result = try read(
      """
      { "url": "http://collector:4318", "allow_plaintext": true, "service_name": "edge", "sample_ratio": 0.1,
        "headers": { "Authorization": { "env": "HEADER" }, "X-Scope": "team" }, "batch": 10, "queue": 20,
        "interval": "5s", "timeout": "2s" }
      """)
    #expect(result.all.isEmpty)
    let otlp = try #require(try result.get().configuration.otlp)
    #expect(otlp.url.text == "http://collector:4318/v1/traces", "what is meant without a path")
    #expect(otlp.headers.map(\.name) == ["Authorization", "X-Scope"])
    #expect(otlp.headers.map { $0.value.reveal() } == ["x-secret", "team"])
    #expect(otlp.serviceName == "edge" && otlp.sampleRatio == 0.1 && otlp.batch == 10 && otlp.queue == 20)
    #expect(otlp.interval == .seconds(5) && otlp.timeout == .seconds(2))
  }

  private static let url = "\"url\": \"http://127.0.0.1:4318\""

  @Test(arguments: [
    Mistake("", "{}", "otlp.url: is missing; write for example \"http://127.0.0.1:4318/v1/traces\""),
    Mistake("", "[]", "otlp: must be an object, not an array"),
    Mistake(
      "", "{ \"url\": \"grpc://127.0.0.1:4317\" }",
      "otlp.url: \"grpc://127.0.0.1:4317\" must start with https:// or http://"),
    Mistake(
      "", "{ \"url\": \"http://collector:4318\" }",
      "otlp.url: http://collector:4318 would carry paths and headers over the network unencrypted; use https, or write "
        + "\"allow_plaintext\": true"),
    Mistake("", "{ \(url), \"servicename\": \"a\" }", "otlp.servicename: unknown key; did you mean \"service_name\"?"),
    Mistake(
      "", "{ \(url), \"service_name\": \"\" }",
      "otlp.service_name: must have 1 to 256 characters, none of them a control character"),
    Mistake("", "{ \(url), \"sample_ratio\": 1.5 }", "otlp.sample_ratio: must be between 0.0 and 1.0"),
    Mistake("", "{ \(url), \"batch\": 0 }", "otlp.batch: must be a whole number between 1 and 65536"),
    Mistake("", "{ \(url), \"interval\": \"0s\" }", "otlp.interval: must be between \"10ms\" and \"1m\""),
    Mistake(
      "", "{ \(url), \"headers\": { \"Content-Type\": \"a\" } }",
      "otlp.headers.Content-Type: \"Content-Type\" follows from what is sent and can't be set"),
    Mistake(
      "", "{ \(url), \"headers\": { \"Host\": \"a\" } }",
      "otlp.headers.Host: \"Host\" belongs to the connection or to the gateway and can't be set"),
    Mistake(
      "", "{ \(url), \"headers\": { \"X-A\": 1 } }", "otlp.headers.X-A: must be a string or a secret, not a number"),
    Mistake(
      "", "{ \(url), \"headers\": { \"X-A\": \"\\n\" } }",
      "otlp.headers.X-A: has characters that a header field can't carry"),
    Mistake(
      "", "{ \(url), \"headers\": { \"X-A\": { \"env\": \"NOWHERE\" } } }",
      "otlp.headers.X-A: environment variable NOWHERE is not set"),
    Mistake(
      "", "{ \(url), \"headers\": { \"X-A\": \"a\", \"x_a\": \"b\" } }",
      "otlp.headers.x_a: stands for a field that is set already"),
  ]) func mistakes(_ mistake: Mistake) throws { #expect(try read(mistake.new).errors == mistake.errors) }

  /// A secret that stands in the file is shown by no quoted line.
  @Test func quotedLinesHideSecrets() throws {
    let result = try read("{ \"url\": \"http://127.0.0.1:1\", \"headers\": { \"X-A\": \"hush-hush\" }, \"bach\": 1 }")
    let shown = result.all.flatMap(\.excerpt).joined()
    #expect(shown.contains("bach") && !shown.contains("hush-hush"), "\(shown)")
  }

  @Test func credentialsDoNotSetTracingFields() throws {
    let text = try Good.changed([
      (
        "\"refresh_token\": { \"env\": \"SEED_A\" }",
        "\"refresh_token\": { \"env\": \"SEED_A\" }, \"header\": \"TraceParent\""
      )
    ])
    let errors = Good.read(text, directory: try TemporaryDirectory()).errors
    #expect(
      errors == [
        "credentials.a.header: \"TraceParent\" belongs to the connection or to the gateway and can't be set"
      ])
  }
}
