// An authority and the certificates that the TLS tests need, made once per run with the `openssl` command.
import GatewayTesting

struct CertificateFiles: Sendable {
  var certificate: String
  var key: String
}

final class Certificates: Sendable {
  private static let made = Result { try Certificates() }
  static func shared() throws -> Certificates { try made.get() }

  private let directory: TemporaryDirectory
  /// The authority of all of them but `other`.
  let authority: String
  /// For `origin.test`, `127.0.0.1` and `::1`.
  let good: CertificateFiles
  let expired: CertificateFiles
  /// Of an authority that nobody trusts.
  let other: CertificateFiles

  private init() throws {
    directory = try TemporaryDirectory()
    let names = "subjectAltName=DNS:origin.test,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1"
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    let files = { [directory] (name: String) in
      CertificateFiles(certificate: directory.path("\(name).pem"), key: directory.path("\(name).key"))
    }
    let (root, stranger) = (files("root"), files("stranger"))
    good = files("good")
    expired = files("expired")
    other = files("other")
    authority = root.certificate
    let run = { [directory] (arguments: [String]) throws in try Certificates.run(arguments, directory) }
    for (files, name) in [(root, "Test"), (stranger, "Stranger")] {
      try run(
        ["req", "-x509", "-keyout", files.key, "-out", files.certificate, "-subj", "/CN=\(name)", "-days", "30"] + key)
    }
    for (files, issuer) in [(good, root), (other, stranger)] {
      try run(
        [
          "req", "-x509", "-CA", issuer.certificate, "-CAkey", issuer.key, "-keyout", files.key, "-out",
          files.certificate, "-subj", "/CN=server", "-addext", names, "-addext", "basicConstraints=CA:FALSE", "-days",
          "30",
        ] + key)
    }
    let request = directory.path("expired.csr")
    try run(["req", "-new", "-keyout", expired.key, "-out", request, "-subj", "/CN=server"] + key)
    try run([
      "x509", "-req", "-in", request, "-CA", root.certificate, "-CAkey", root.key, "-days", "-1", "-out",
      expired.certificate, "-extfile", directory.write("names", names + "\n"),
    ])
  }

  private static func run(_ arguments: [String], _ directory: TemporaryDirectory) throws {
    let child = try ChildProcess("openssl", arguments, directory: directory, name: "openssl")
    var exit: ChildExit?
    try Deadline.block("openssl ends", within: .seconds(60)) {
      exit = child.exit
      return exit != nil
    }
    if exit != .code(0) { throw NotInTime(description: "openssl \(arguments[0]): \(child.errors)") }
  }
}
