// Secrets that systemd passes to a service (LoadCredential= and its relatives): files in a directory that only this
// service can read, named by CREDENTIALS_DIRECTORY.
internal import TokenKit

extension SecretResolver {
  /// The content of `{"credential": "NAME"}`, or why there is none.
  func credential(_ name: String) -> (Secret?, refusal: String?) {
    // systemd.exec(5): the same characters as in the name of a file.
    if name.isEmpty || name == "." || name == ".."
      || name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 < 0x20 })
    {
      return (nil, "\"\(name)\" is not the name of a credential")
    }
    guard let passed = environment["CREDENTIALS_DIRECTORY"], passed.hasPrefix("/") else {
      // What people run by hand (`check`, `status`) reads the files that systemd would pass.
      let path = SystemFile.resolve("credentials/\(name)", in: directory)
      if Self.exists(path) { return content(of: path) }
      return (
        nil,
        "credential \(name) was not passed: CREDENTIALS_DIRECTORY is not set, which systemd does for a service that has "
          + "one, and there is no file \(path)"
      )
    }
    // LoadCredential=gateway:/etc/gateway/credentials passes each file of that directory with the ID before its name.
    for path in ["\(passed)/\(name)", "\(passed)/gateway_\(name)"] where Self.exists(path) { return content(of: path) }
    return (
      nil,
      "credential \(name) was not passed: \(passed) has no file of that name; write LoadCredential=\(name):PATH into the "
        + "unit, and restart"
    )
  }

  private static func exists(_ path: String) -> Bool {
    do {
      _ = try SystemFile.status(path)
      return true
    } catch {
      // One that can't be looked at is told of when it is read.
      return !error.isMissing
    }
  }
}
