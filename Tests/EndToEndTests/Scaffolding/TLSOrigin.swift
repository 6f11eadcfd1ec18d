// An HTTPS origin of another program with a certificate for `localhost`.
import GatewayTesting
import TokenKit

/// Runs until it is let go.
struct TLSOrigin {
  private let directory: TemporaryDirectory
  private let process: ChildProcess
  private let certificate: String
  private let port: String

  /// - Parameter script: a file of TLSOrigin/.
  static func start(script: String) async throws -> TLSOrigin {
    let directory = try TemporaryDirectory()
    let (certificate, key) = try await makeCertificate(in: directory)
    let folder = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/TLSOrigin"
    let process = try ChildProcess(
      "python3", ["\(folder)/\(script)", certificate, key], directory: directory, name: "origin")
    let line = try await process.waitForLine(containing: "port ")
    guard let port = line.split(separator: " ").last else { throw SpawnError("the origin printed \(line)") }
    return TLSOrigin(directory: directory, process: process, certificate: certificate, port: String(port))
  }

  /// A certificate for `localhost`, signed by itself.
  static func makeCertificate(in directory: TemporaryDirectory) async throws -> (certificate: String, key: String) {
    let (certificate, key) = (directory.path("cert.pem"), directory.path("key.pem"))
    let openssl = try ChildProcess(
      "openssl",
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
        certificate, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
      ], directory: directory, name: "openssl")
    guard try await openssl.waitForExit() == .code(0) else { throw SpawnError(openssl.errors) }
    return (certificate, key)
  }

  /// A route's `upstream`.
  /// - Parameter trusts: names its certificate as `ca_file`.
  func upstream(trusts: Bool = true) -> OrderedJSON {
    var upstream: OrderedJSON = ["url": .string("https://localhost:\(port)")]
    if trusts { upstream["ca_file"] = .string(certificate) }
    return upstream
  }

  var upstream: OrderedJSON { upstream() }
}
