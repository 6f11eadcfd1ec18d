// `{"credential": "NAME"}`: the file that systemd passes, and what is said when there is none.
import GatewayTesting
import Glibc
import Testing
import TokenKit

@testable import Gateway

@Suite("Configuration: credentials of systemd") struct SystemdCredentialTests {
  private func read(
    _ name: String, _ environment: [String: String], _ directory: String
  ) -> (secret: String?, problem: String) {
    let problems = SettingsProblems()
    let resolver = SecretResolver(environment: environment, directory: directory)
    let secret = resolver.secret(
      from: .object(["credential": .string(name)]), path: "credentials.a.refresh_token", problems: problems)
    return (secret?.reveal(), problems.all.map(\.message).joined(separator: "; "))
  }

  @Test("The name, the name behind that of a directory, and without systemd the directory beside the configuration")
  func places() throws {
    let passed = try GatewayTesting.TemporaryDirectory()
    try passed.write("plain", "one\n", mode: 0o400)
    try passed.write("gateway_listed", "two", mode: 0o440)
    let environment = ["CREDENTIALS_DIRECTORY": passed.path]
    #expect(read("plain", environment, "/nowhere").secret == "one")
    #expect(read("plain", [:], "/nowhere").problem.contains("CREDENTIALS_DIRECTORY is not set"))
    #expect(read("missing", environment, "/nowhere").problem.contains("LoadCredential=missing:PATH"))
    for name in ["", ".", "..", "a/b", "../plain", "a\nb", "a\0b"] {
      #expect(read(name, environment, "/nowhere").problem.contains("is not the name of a credential"), "\(name)")
    }

    let beside = try GatewayTesting.TemporaryDirectory()
    try #require(unsafe mkdir(beside.path("credentials"), 0o700) == 0)
    try beside.write("credentials/hand", "three")
    #expect(read("hand", [:], beside.path).secret == "three")
    #expect(read("hand", environment, beside.path).secret == nil)
  }
}
